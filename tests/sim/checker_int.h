/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the checker: checker.c (sessions, requests, losses, sizes) and
 * checker_set.c (which contents a block may have).
 */
#ifndef MEMX_SIM_CHECKER_INT_H
#define MEMX_SIM_CHECKER_INT_H

#include "checker.h"

#define EXT_BLOCKS	2048u
#define PAGE_BLOCKS	8u
#define NOT_YET		0xffffffffu

/* One content a block may have. */
struct ck_cand {
	u64 val;
	u32 op;
	u32 gone;		/* stamp since which it is impossible */
};

struct ck_blk {
	struct ck_cand *c;	/* NULL: zeros since ever */
	u16 n, cap;
};

struct ck_ext {
	u32 no;
	u32 wr_order;		/* newest session that completed a write here... */
	u32 wr_stamp;		/* ...and when first */
	struct ck_ext *next;
	struct ck_blk blk[EXT_BLOCKS];
};

#define EXT_HASH	256u
struct ck_vol {
	struct ck *ck;
	char name[64];
	u64 salt;
	struct ck_vol *next;
	struct ck_ext *ext[EXT_HASH];
	struct ck_sess *sess;		/* highest epoch first */
	u32 *reads, nreads, reads_cap;	/* requests under way that read */
};

struct ck_sess {
	struct ck_vol *vol;
	struct ck_sess *older;
	u32 order;		/* epoch */
	u32 opened;
	bool forced, over, asks;
	bool shaken;		/* a forced takeover was begun beside it... */
	u32 shaken_at;		/* ...first at this stamp */
	char who[24];
};

struct ck_op {
	struct ck_sess *sess;	/* NULL: a crash, a resize */
	u64 blk;
	u32 n;
	u8 kind, how;
	u32 submit, done;	/* 0: under way */
};

struct ck {
	void (*say)(void *ctx, const char *why);
	void *ctx;
	u32 stamp;
	struct ck_op *ops;	/* 0 is "since ever" */
	u32 nops, ops_cap;
	struct ck_vol *vols;
};

/* checker.c */
void broken(struct ck *c, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* checker_set.c */
u64 identify(const struct ck_vol *v, u64 blk, const u8 *data);	/* a content, CK_BAD: none */
struct ck_ext *ext_find(const struct ck_vol *v, u32 no);	/* NULL: never touched */
struct ck_ext *ext_get(struct ck_vol *v, u32 no);
struct ck_blk *blk_get(struct ck_vol *v, u64 blk);
void blk_add(struct ck_vol *v, struct ck_blk *b, u64 val, u32 op);
bool blk_has(const struct ck_vol *v, u64 blk, u64 val, u32 since);	/* at some time since then */
void fail_read(struct ck_vol *v, u32 op, u64 blk, u64 got) __attribute__((noreturn));

#endif
