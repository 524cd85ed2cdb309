/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the operations by name: volops.c (most of them), ask.c (asking many
 * servers), recover.c.
 */
#ifndef MEMX_CORE_OPS_INT_H
#define MEMX_CORE_OPS_INT_H

#include "client_int.h"

#define MX_LIST_ENTRY_WIRE	224u

struct mx_opctx;

/* One server asked one thing. */
struct mx_ask {
	struct mx_call call;
	struct mx_opctx *x;
	struct mx_peer *peer;
	u16 op;
	bool busy;
	enum mx_status st;	/* once not busy */
	u64 id, inc;		/* who answered */
	struct mx_addr addr;
	const u8 *req;
	u32 len;
	u8 body[40];		/* short requests are kept here */
};

struct mx_opctx {
	struct mx_list node;		/* client->ops_open */
	struct mx_client *c;
	struct mx_vol_op *o;
	struct mx_timer timer;		/* tick, or the end */
	struct mx_timer limit;		/* it ends then, whatever it waits for */
	bool ending;
	enum mx_status st;
	char name[MX_NAME_MAX + 1];
	char err[300];
	void (*tick)(struct mx_opctx *x, mx_ns now);
	void (*claimed)(struct mx_opctx *x, enum mx_status st, mx_ns now);
	void (*answer)(struct mx_opctx *x, mx_ns now);	/* just before done(OK) */

	struct mx_claim *claim;
	struct mx_claim_edit edit;
	bool released, shrink_ok;
	u64 size;
	struct mx_hstate hstate;

	/* resize; vol_st: delete, too */
	struct mx_vol *vol;		/* opened for it */
	struct mx_vol *own;		/* open here before; lives until sub is done */
	struct mx_vol_op sub;
	enum mx_status vol_st;		/* to end with once the claim, or vol, is given back */
	bool cut;			/* ... but then to be opened and shrunk */
	bool late;			/* given up */
	bool unasked;			/* delete: no memory to ask a server to drop it */

	/* asking */
	struct mx_ask **asks;
	u32 nasks, asks_cap;
	u16 ask_op;			/* of mx_ask_members */
	void (*after_members)(struct mx_opctx *x, mx_ns now);	/* NULL: the operation is done */
	mx_ns started, last_new;
	void (*asked)(struct mx_opctx *x, mx_ns now);	/* one answered, or none will */
	void (*replied)(struct mx_opctx *x, struct mx_ask *a, const u8 *body, u32 len, mx_ns now);
	u8 small[160];			/* request of them all */
	u32 small_len;

	/* list, stats */
	struct mx_list_entry *list;
	u32 nlist, list_cap;
	void (*entry)(void *user, const struct mx_list_entry *e);
	void (*text)(void *user, const char *text, u32 len);
	u64 server;

	mx_ns until;			/* recover: for the holders to become three again; resize:
					 * for a lease */
};

/* volops.c */
struct mx_opctx *mx_op_new(struct mx_client *c, const char *name, struct mx_vol_op *o, mx_ns now);
/* The operation's claim, for data or not. False: ended. */
bool mx_op_claim(struct mx_opctx *x, bool force, bool heal, mx_ns now);
void mx_op_end(struct mx_opctx *x, enum mx_status st, mx_ns now);
void mx_op_end_why(struct mx_opctx *x, enum mx_status st, const char *why, mx_ns now);

/* ask.c */
struct mx_ask *mx_ask(struct mx_opctx *x, const struct mx_addr *a, u16 op, const u8 *req, u32 len,
		      mx_ns now);		/* NULL: no memory */
void mx_ask_again(struct mx_ask *a, mx_ns now);	/* its own body, from inside replied() */
/* Asks every server known, those too that become known within half a second, the
 * request x->small; then goes on with x->after_members, or ends OK; NO_SERVERS if
 * none answered. */
void mx_ask_members(struct mx_opctx *x, u16 op, mx_ns now);
bool mx_asks_busy(const struct mx_opctx *x);
void mx_asks_free(struct mx_opctx *x);

#endif
