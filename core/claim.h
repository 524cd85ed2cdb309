/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Claiming a volume: the proposer's side of the per-volume Paxos.
 *
 * Used by clients (open, create, resize, delete, recover) and by servers acting
 * as caretakers. Works on any endpoint; knows nothing of pages. One mx_claim is
 * one claimant's hold on one volume's descriptor, from the first look-up to the
 * release. It survives holders coming and going; it never decides with less
 * than a majority of the recorded holder incarnations (of old and new set
 * during a change), except in `recover`.
 *
 * Holders tell claimants apart by their node. Claims of one endpoint on one volume
 * therefore take turns by themselves, as if each met the other's lease; `force`
 * overtakes, and the claim overtaken ends FENCED.
 *
 * While HELD a claim also looks after its holders: one that came back as
 * another incarnation, or has been silent for 30 s, is replaced, and fewer than
 * MX_HOLDERS_WANT are made up, as far as there are servers.
 *
 * ops callbacks come from timers of the endpoint only and are the last thing the
 * claim does there: they may free it, but leased() must not, which comes from received
 * packets, too. Those of edits, bits and reading may come
 * from inside mx_claim_bits, mx_claim_release and received packets, and must not.
 */
#ifndef MEMX_CORE_CLAIM_H
#define MEMX_CORE_CLAIM_H

#include "ep.h"
#include "desc.h"

struct mx_claim;

enum mx_claim_state {
	MX_CLAIM_IDLE,
	MX_CLAIM_FINDING,	/* asking servers for the name or uuid */
	MX_CLAIM_FOUND,		/* descriptor known, nothing claimed */
	MX_CLAIM_PREPARING,	/* raising the epoch at a majority; waits out a lease unless FORCE */
	MX_CLAIM_ACCEPTING,	/* first descriptor under our epoch */
	MX_CLAIM_HELD,		/* ours; lease renewed every third of its length */
	MX_CLAIM_LOST,		/* fenced: somebody else has a higher epoch */
};

struct mx_claim_conf {
	mx_ns lease;		/* default 10 s */
	mx_ns timeout;		/* of find and prepare, 0: wait for ever */
	bool wait_lease;	/* beside a lease: wait for its end, OWNED as soon as it is renewed;
				 * false: OWNED at once. An admin claim's lease is waited for in
				 * any case, as long as timeout allows: it is short */
	bool force;		/* do not respect the lease */
	bool admin;		/* not to use data: owner's record last_writer stays */
	bool reclaim;		/* after LOST: claim again if no other writer came between */
	bool no_heal;		/* leave the holders as they are */
	mx_ns silent;		/* a holder not heard this long is replaced; default 30 s */
};

struct mx_claim_ops {
	/* Result of find / take / create. st OK: FOUND resp. HELD. OWNED: see
	 * mx_claim_owner(). NO_VOLUME, NAME_CLASH (see mx_claim_clash), NO_QUORUM,
	 * TIMEOUT, NO_SERVERS, EXISTS, DELETED, BAD_KEY, DENIED (the key is of another
	 * volume, or does not do for this: recovering needs the pool's) ... */
	void (*done)(void *user, enum mx_status st, mx_ns now);
	/* HELD -> LOST (st FENCED), or HELD again under a higher epoch (st OK). */
	void (*changed)(void *user, enum mx_status st, mx_ns now);
	/* A majority has granted the lease again. May be NULL. */
	void (*leased)(void *user, mx_ns now);
};

struct mx_claim *mx_claim_new(struct mx_ep *ep, const struct mx_claim_conf *c,
			      const struct mx_claim_ops *ops, void *user);
void mx_claim_free(struct mx_claim *c);	/* no release is sent; cancels calls */

/* Starts; done() follows, never from inside the call. name or uuid given. */
void mx_claim_find(struct mx_claim *c, const char *name, const u8 *uuid, mx_ns now);
/* After FOUND (or with a descriptor given by a caretaker): claim it. */
void mx_claim_take(struct mx_claim *c, mx_ns now);
void mx_claim_adopt(struct mx_claim *c, const struct mx_desc *d);	/* instead of find */
/* Create: reserves the name at a majority of the servers known, chooses holders
 * (rendezvous hashing of the uuid, those with room first), writes version 1
 * released. op_id chosen by the caller: same op_id and name: the same create. */
void mx_claim_create(struct mx_claim *c, const char *name, u64 size, u64 op_id, mx_ns now);

/* Instead of find and take, when the majority of holders is gone for good: all
 * servers are asked, and the newest descriptor that any holder, or any server
 * that keeps data, still has is given to a new holder: a surviving one, so that its
 * bitmap is kept, if there is one. Server incarnations that do not answer are
 * given up. done(OK): HELD. INVALID: the holders are there, nothing to recover.
 * @uuid: which of several of that name; NULL: there must be one only. */
void mx_claim_recover(struct mx_claim *c, const char *name, const u8 *uuid, mx_ns now);

enum mx_claim_state mx_claim_state(const struct mx_claim *c);
const struct mx_desc *mx_claim_desc(const struct mx_claim *c);
/* The epoch held, or held last: never one that is only asked for. */
u32 mx_claim_epoch(const struct mx_claim *c);
/* Owner met (OWNED): name and node; ms its lease still has. */
const struct mx_node *mx_claim_owner(const struct mx_claim *c, u32 *lease_ms);
bool mx_claim_owner_is_us(const struct mx_claim *c);	/* ... is a claim of the same endpoint */
/* What keeps a claim from being held (again): NO_QUORUM when a majority of its holders
 * has restarted, else TIMEOUT. */
enum mx_status mx_claim_hindrance(const struct mx_claim *c);
/* How many servers find asked, and how many of them answered. */
void mx_claim_asked(const struct mx_claim *c, u32 *asked, u32 *answered);
void mx_claim_clash(const struct mx_claim *c, u8 a[MX_UUID], u8 b[MX_UUID]);
/* Time until which completions may be given out: lease end by our own clock,
 * less a margin for clock rates (10 %). MX_NEVER never; 0 when not held. */
mx_ns mx_claim_lease_until(const struct mx_claim *c);

/*
 * Has a majority of holders granted the lease by calls begun after @since, our own clock?
 * Then nobody else owned the volume before that, however long we stood still without our
 * clock telling. (Raft's ReadIndex: Ongaro, "Consensus", 2014, section 6.4.) If not they
 * are asked, and ops.leased() says when to ask again. While HELD.
 */
bool mx_claim_since(struct mx_claim *c, mx_ns since, mx_ns now);

/* Changing the descriptor while HELD. edit() is applied to the newest accepted
 * descriptor; then version + 1 is written at a majority (old and new holders if
 * they differ) and done(OK) called; edits are batched in order. Embedded by the
 * caller until done. */
struct mx_claim_edit {
	struct mx_list node;
	bool (*edit)(struct mx_claim_edit *e, struct mx_desc *d);	/* false: cannot (done INVALID) */
	void (*done)(struct mx_claim_edit *e, enum mx_status st, mx_ns now);
	bool applied;
	void *user;
};
void mx_claim_edit(struct mx_claim *c, struct mx_claim_edit *e, mx_ns now);

/* Allocation bitmap at a majority of holders. Batched. Lists up to
 * MX_BITS_LIST_MAX a message. done as with edits. Only after mx_claim_read_bits. */
struct mx_claim_bits {
	struct mx_list node;
	u32 extent;
	bool set;
	void (*done)(struct mx_claim_bits *b, enum mx_status st, mx_ns now);
	void *user;
};
void mx_claim_bits(struct mx_claim *c, struct mx_claim_bits *b, mx_ns now);
/* Reads the newest bitmap of a majority and makes it a majority's: chunk() once
 * for each chunk with bits, then done. For rebuild after take. */
void mx_claim_read_bits(struct mx_claim *c, mx_ns now,
			void (*chunk)(void *user, u32 first_extent, const u8 bits[MX_BITS_CHUNK_BYTES]),
			void (*done)(void *user, enum mx_status st, mx_ns now));
/* Where an owner's claim gets the bitmap from, once it is read: bits of chunk, as after
 * the last batch that was done; false if all zero. It is given to holders that lack it.
 * A claim that never reads it, as a caretaker's, copies it from holder to holder. */
void mx_claim_set_bits_source(struct mx_claim *c, bool (*get)(void *user, u32 chunk, u8 *bits));

/* Gives the volume back: RELEASE to holders; done() when a majority knows, or
 * after 2 s at most. */
/* True when every holder is there and there are as many as there can be. */
bool mx_claim_healthy(const struct mx_claim *c, mx_ns now);
void mx_claim_release(struct mx_claim *c, mx_ns now);

#endif
