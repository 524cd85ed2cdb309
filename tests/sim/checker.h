/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checker: what a volume may answer, told from what its users did.
 *
 * It shares no code with the core. Users tell it when a request begins and how
 * it ended, which sessions (data opens) there were, and which server crashes
 * took the newest copy of an extent along. From that it keeps, per block of 512
 * bytes, the set of contents a read may return, and complains when
 *  - a read returns anything else: stale, torn, misdirected, zeros for lost data;
 *  - the pages of one write are seen half-way;
 *  - something is reported lost that no crash took;
 *  - a request of an older owner completes beside a newer one (one that took over
 *    by force while the older was alive: a write in an extent the newer wrote).
 *
 * How the set shrinks. Every moment of interest has a stamp, counting up. A
 * content C leaves the set at the stamp at which one of these becomes known:
 *  - a later write is acknowledged: C's write had ended before that one began,
 *    or C's write is of an older session (its epoch is sealed where the newer
 *    write landed);
 *  - a read returned X instead, and C's write had ended before X's began; or
 *    C's write was acknowledged, or is of an older session, before the read
 *    began: it cannot land any more, and X is what there is.
 * A read may return what was in the set at any moment between its begin and
 * its end. A write that failed stays in the set until one of the above: it may
 * have landed, or land late.
 */
#ifndef MEMX_SIM_CHECKER_H
#define MEMX_SIM_CHECKER_H

#include "../../core/port.h"

#define CK_BLOCK	512u
#define CK_ZERO		0ull		/* content: zeros */
#define CK_LOST		(~0ull)		/* content: an error */
#define CK_BAD		(~1ull)		/* content: not one ever written here */

enum ck_kind { CK_READ, CK_WRITE, CK_WRITE_ZEROS, CK_DISCARD, CK_CRASH, CK_RESIZE };
/* How a request ended, as far as the checker cares. */
enum ck_end {
	CK_OK,
	CK_FAILED,	/* may have happened wholly, in part, not at all, or yet happen */
	CK_REFUSED,	/* never begun: read-only, out of range */
	CK_ENDED_LOST,	/* an error that says: content is lost */
};

struct ck;
struct ck_vol;
struct ck_sess;

/* @fail does not return; @why is a sentence. */
struct ck *ck_new(void (*fail)(void *ctx, const char *why), void *ctx);
void ck_free(struct ck *c);

struct ck_vol *ck_vol_new(struct ck *c, const char *name);

/* A data open succeeded, under @epoch, which orders sessions (one may be overtaken
 * before it hears of its own success). @forced: did not wait for the lease of a
 * live owner. */
struct ck_sess *ck_open(struct ck_vol *v, const char *who, u32 epoch, bool forced);
/* Its own map answers nothing that a majority has not confirmed since: a takeover by force is
 * no excuse for what it reads. */
void ck_asks(struct ck_sess *s);
/* It is over, cleanly (every request ended) or by a crash (none will). */
void ck_close(struct ck_sess *s);
void ck_crash(struct ck_sess *s);
/* Somebody begins to take the volume from those who use it now, by force; whoever
 * comes next, they may not know. */
void ck_force(struct ck_vol *v);
/* Is there a session of a higher epoch? */
bool ck_overtaken(const struct ck_sess *s);
/* Likewise, and that did not wait for the end of the lease: @s may not know yet. */
bool ck_overtaken_by_force(const struct ck_sess *s);

/* Requests: blocks [blk, blk + n) of the volume. Returns the request's number. */
u32 ck_begin(struct ck_sess *s, enum ck_kind kind, u64 blk, u32 n);
/* The content a write puts (or, after a change of its buffer, may put) at @blk;
 * @version 0 is told by ck_begin itself. ck_fill writes it to memory. */
u64 ck_value(u32 op, u32 version);
void ck_changed(struct ck_vol *v, u32 op, u64 blk, u32 version);
void ck_fill(const struct ck_vol *v, u64 value, u64 blk, u8 *out);
/* A write of zeros through the data path has this content instead. */
void ck_put_zeros(struct ck_vol *v, u32 op, u64 blk);
/* @data: what a read with CK_OK returned. */
void ck_end(struct ck_vol *v, u32 op, enum ck_end how, const u8 *data);

/* Block status is asked for: what is there from now on may be told, until ck_looked()
 * with what this returns. That returns the stamp of the asking. */
u32 ck_look(struct ck_sess *s);
u32 ck_looked(struct ck_vol *v, u32 look);
/* It said the run reads as zeros, or is lost; asked at stamp @since. */
u32 ck_stamp(struct ck *c);
void ck_run_zero(struct ck_vol *v, u32 since, u64 blk, u64 n);
void ck_run_lost(struct ck_vol *v, u32 since, u64 blk, u64 n);

/* The newest copy of the extent (1 MiB) was at a server that crashed. */
void ck_lost(struct ck_vol *v, u32 extent);
/* Blocks from @blk on were cut off: they are zeros if they come back. Begun
 * and ended apart; while it is under way both are possible. */
u32 ck_shrink_begin(struct ck_vol *v, u64 blk);
void ck_shrink_end(struct ck_vol *v, u32 op, u64 blk, enum ck_end how);
/* `volume recover` goes by the bitmap of whoever is left: lost extents may have
 * become holes, holes may be called lost; and all may be either if the volume was
 * being @deleted when its holders were lost. */
void ck_recovered(struct ck_vol *v, bool deleted);

/* Could this be lost / must this be readable? For the final count. */
bool ck_may_be_lost(const struct ck_vol *v, u64 blk);
u64 ck_blocks_lost(const struct ck_vol *v);	/* blocks that have "lost" in their set */

#endif
