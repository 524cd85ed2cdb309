/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside a claim: shared by claim.c (life, finding), claim_take.c (prepare,
 * accept), claim_lease.c (while it is held), claim_edit.c (descriptor edits,
 * holder changes), claim_bits.c, claim_read.c, claim_fill.c (allocation bitmap), claim_create.c,
 * claim_recover.c and claim_dead.c (is what was found long deleted?).
 */
#ifndef MEMX_CORE_CLAIM_INT_H
#define MEMX_CORE_CLAIM_INT_H

#include "claim.h"

#define CLAIM_SLOTS	(2 * MX_HOLDERS_MAX)	/* old and new holders during a change */
#define CLAIM_ASKS	16u			/* servers asked at once */
#define CLAIM_ASKED_MAX	1024u			/* servers asked in all */
#define CLAIM_SYNC_HEAD	48u			/* room for a BITS_SET request before its data */
#define CLAIM_SYNC_ROOM	(MX_BITS_CHUNK_BYTES + CLAIM_SYNC_HEAD)
#define CLAIM_TICK	(100 * MX_MS)
#define CLAIM_RETRY	(200 * MX_MS)		/* after a call that got no answer */
#define CLAIM_CALL	(2 * MX_SEC)		/* one call's patience */
#define CLAIM_FENCED	(3 * MX_SEC)		/* one holder refuses us so long: claim anew */
#define CLAIM_SETTLE	(500 * MX_MS)		/* members may still be coming in */
#define CLAIM_SILENT	(30 * MX_SEC)		/* a holder not heard this long is replaced */

/* One holder incarnation. "old" is the set in force, "new" the set being
 * changed to; most of the time every slot is old and none is new. */
struct claim_slot {
	struct mx_claim *c;
	struct mx_srvref ref;
	struct mx_peer *peer;
	bool old, new;

	/* PREPARE or ACCEPT of the round under way */
	struct mx_call vote;
	bool vote_busy, vote_ok, vote_owned;
	bool vote_admin;	/* vote_owned: the lease is an admin claim's */
	bool vote_dead;		/* it has a tombstone */
	bool gone;		/* no holder any more: restarted, or says so */
	bool lacking;		/* recorded holder that never got the descriptor (or has let go) */
	mx_ns vote_retry, vote_sent;
	mx_ns owned_until;	/* end of the lease it told of; later: renewed */

	/* lease */
	struct mx_call lease;
	u8 lease_req[112];
	bool lease_busy, fenced;
	mx_ns fenced_at;	/* since when, while HELD */
	mx_ns lease_sent;	/* start of the call under way */
	mx_ns lease_retry;	/* not before, after one that failed */
	mx_ns lease_from;	/* the holder counts from this or later; 0: none */

	/* bitmap updates */
	struct mx_call bits;
	bool bits_busy, bits_ok;
	mx_ns bits_retry;

	/* the bitmap as a whole: reading it from, or giving it to this holder */
	struct mx_call sync;
	u8 *sync_req;		/* CLAIM_SYNC_ROOM; allocated when needed */
	bool sync_busy;
	bool told;		/* has the descriptor */
	bool synced;		/* its bitmap has all that counts */
	bool begun;		/* is being filled, and told of batches */
	bool no_adopt;		/* has another version than the one read */
	bool version_known;
	struct { u32 epoch, round; } version;
	u8 step;		/* claim_fill.c: what is under way */
	u32 sync_chunk, fill_no;
	mx_ns sync_retry;
};

struct claim_ask {		/* a server asked during find or create */
	struct mx_claim *c;
	struct mx_call call;
	struct mx_peer *peer;
	u32 index;		/* in asked[] */
	bool busy;
};
enum claim_check { CHECK_NONE, CHECK_CLASH, CHECK_CREATE, CHECK_RECOVER, CHECK_TAKE };
enum claim_answer { ASKED = 0, ANSWER_NO, ANSWER_YES, ANSWER_NONE };

struct claim_copy {
	u8 **chunk;		/* MX_BITS_CHUNK_BYTES each; NULL: no bit */
	u32 nchunks;
	bool chosen, whole;
	u64 id, incarnation;	/* the holder it is read from */
	u32 epoch, round;	/* its version */
	u32 at;			/* next chunk */
	mx_ns since;		/* the last one came */
};

struct mx_claim {
	struct mx_list node;	/* of the endpoint's claims */
	struct mx_ep *ep;
	const struct mx_port *port;
	struct mx_claim_conf conf;
	struct mx_claim_ops ops;
	void *user;
	struct mx_timer timer;
	enum mx_claim_state state;

	char name[MX_NAME_MAX + 1];
	u8 uuid[MX_UUID];
	bool by_uuid;		/* find: only the volume of this uuid */
	bool denied;		/* find: the key does not cover it, says a server */
	bool creating, releasing;
	bool recovering;	/* put together from what is left */
	struct { u64 id, incarnation; } knows[CLAIM_SLOTS];	/* recovering: holders that have it */
	u32 nknows;
	bool create_check;	/* the name is taken: is it by this very create? */
	enum mx_status create_st;
	bool want_done;		/* the user waits for ops.done */
	bool was_held;		/* taking again after FENCED: report by ops.changed */
	u64 create_size, create_op;

	struct mx_desc *cur;	/* newest accepted that we know */
	struct mx_desc *next;	/* being written */
	struct mx_desc *tmp;	/* decoding */
	u8 *body;		/* request of the voting round */
	u32 body_len;
	u32 epoch;		/* our ballot */
	u32 held_epoch;		/* of the last time a majority had accepted us */
	u32 seen;		/* highest ballot heard of */
	u32 rounds;
	mx_ns started, deadline, retry_at, hit_at, last_new;
	struct mx_node owner;
	u32 owner_lease_ms;
	bool owner_admin;	/* it is not there for the data: a caretaker, say */
	bool overtaken;		/* by force, by a claim of this very endpoint */
	bool deleted;		/* a holder has seen the end of a deletion */
	mx_ns wanted;		/* leases granted since then are, mx_claim_since() */
	mx_ns leased_seen;	/* the newest told by ops.leased() */
	bool renewed;		/* an owner met renewed its lease: it lives */
	bool fed, feeding;	/* holders that missed the descriptor were, or are being sent it */
	u8 clash_a[MX_UUID], clash_b[MX_UUID];
	u8 over[MX_UUID];	/* create: the name's last volume, deleted, though not all know */
	struct {		/* were these deleted? (claim_dead.c) */
		enum claim_check why;	/* under way for that */
		u8 uuid[2][MX_UUID];
		bool dead[2];
		u32 n, at, tombs, epoch;
		u64 version;
		mx_ns until;
	} check;

	struct claim_slot slot[CLAIM_SLOTS];
	u32 nslots;

	struct claim_ask ask[CLAIM_ASKS];
	struct { u64 id, incarnation; u8 answer; } *asked;
	u32 nasked, answered, positive;
	u8 ask_op;

	struct mx_list edits;		/* waiting */
	struct mx_list edits_out;	/* in next */
	bool writing;			/* next is being accepted (HELD) */
	bool changing;			/* ... and has other holders: joint majorities */
	mx_ns change_by;		/* when a change of holders is given up */
	mx_ns heal_at;			/* not again before */
	u64 tried_version;		/* highest version ever sent under this epoch */
	struct mx_claim_edit heal;
	bool healing;

	struct mx_list bits_wait, bits_out;
	u8 *bits_body;
	u32 bits_len;
	bool bits_flying, bits_set;
	bool bits_mine;			/* an owner's: it changes bits */
	bool joint;			/* changing: the old set may have heard of the new one */
	u32 bits_round, fills;
	mx_ns bits_since;
	bool (*bits_source)(void *user, u32 chunk, u8 *bits);
	void (*read_chunk)(void *user, u32 first_extent, const u8 *bits);
	void (*read_done)(void *user, enum mx_status st, mx_ns now);
	bool reading, read_asked;	/* asked: since the last tick */
	struct claim_copy *copy;	/* the newest version, where there is no source */
};

/* claim.c */
void claim_tick_at(struct mx_claim *c, mx_ns at);
void claim_finish(struct mx_claim *c, enum mx_status st, mx_ns now);	/* ops.done once */
/* Makes the slots agree with @d: its holders, and while they are being changed
 * those before (old) beside them (new). Others are let go. */
void claim_load_slots(struct mx_claim *c, const struct mx_desc *d, mx_ns now);
bool claim_slots_match(const struct mx_claim *c, const struct mx_desc *d);
bool claim_counts(const struct mx_desc *d, const struct mx_node *from);
bool claim_same_node(const struct mx_node *a, const struct mx_node *b);
bool claim_slot_is_node(const struct claim_slot *s);	/* the peer is that incarnation */
bool claim_slot_reborn(const struct claim_slot *s);	/* the peer is another incarnation */
typedef bool claim_flag(const struct claim_slot *s);
/* In the old set and, if @both, in the new one. */
bool claim_majority_in(const struct mx_claim *c, claim_flag *f, bool both);
bool claim_majority(const struct mx_claim *c, claim_flag *f);	/* in old and, while changing, in new */
bool claim_hopeless(const struct mx_claim *c, claim_flag *against); /* so many against that no majority is left */
u64 claim_score(const char *name, u64 id);		/* rendezvous hashing */
void claim_ask_all(struct mx_claim *c, u8 op, mx_ns now);
bool claim_all_asked(struct mx_claim *c);	/* that are known of; answered or not */
void claim_asks_cancel(struct mx_claim *c);
bool claim_asks_idle(const struct mx_claim *c);
void claim_note_hstate(struct mx_claim *c, const u8 *body, u32 len);	/* into tmp, seen, owner */
/* What a holder's answer to a lease or about the bitmap, if not OK, says of it. */
void claim_slot_refused(struct claim_slot *s, enum mx_status st, const u8 *body, u32 len);
/* claim_take.c */
void claim_take_tick(struct mx_claim *c, mx_ns now);
void claim_prepare_start(struct mx_claim *c, mx_ns now);
void claim_prepare_later(struct mx_claim *c, mx_ns now);
bool claim_slot_gone(const struct claim_slot *s);	/* what it held it has no more */
bool claim_slot_against(const struct claim_slot *s);	/* gone, or promised to another */
void claim_votes_cancel(struct mx_claim *c);
void claim_accept_round(struct mx_claim *c, u32 lease_ms, mx_ns now);
void claim_accept_push(struct mx_claim *c, mx_ns now);
bool claim_voted(const struct claim_slot *s);
/* claim_lease.c */
void claim_held_tick(struct mx_claim *c, mx_ns now);
void claim_lost(struct mx_claim *c, mx_ns now);
/* claim_edit.c */
void claim_edit_tick(struct mx_claim *c, mx_ns now);
bool claim_edit_ready(const struct mx_claim *c);
void claim_written(struct mx_claim *c, mx_ns now);	/* next has its majorities */
void claim_edits_fail(struct mx_claim *c, enum mx_status st, mx_ns now);
/* claim_bits.c */
void claim_bits_start(struct mx_claim *c);		/* a new epoch */
void claim_bits_tick(struct mx_claim *c, mx_ns now);
void claim_bits_fail(struct mx_claim *c, enum mx_status st, mx_ns now);
bool claim_joint(const struct mx_claim *c);
bool claim_bits_majority(const struct mx_claim *c, claim_flag *f);
/* claim_read.c */
bool claim_copy_tick(struct mx_claim *c, mx_ns now);
void claim_copy_free(struct mx_claim *c);
void claim_read_check(struct mx_claim *c, mx_ns now);
u32 claim_chunks(const struct mx_claim *c);
/* claim_fill.c */
void claim_fill_tick(struct mx_claim *c, mx_ns now);
bool claim_all_synced(const struct mx_claim *c);	/* new holders */
bool claim_filling(const struct mx_claim *c);		/* some holder lacks something */
u8 *claim_sync_room(struct claim_slot *s);
/* claim_recover.c */
void claim_recover_found(struct mx_claim *c, mx_ns now);	/* all servers were asked */
void claim_recover_checked(struct mx_claim *c, mx_ns now);
void claim_recover_knows(struct mx_claim *c, const struct mx_node *from);	/* it has the volume */
void claim_take_checked(struct mx_claim *c, mx_ns now);
/* claim_dead.c */
void claim_check_start(struct mx_claim *c, enum claim_check why, const u8 *a, const u8 *b, mx_ns now);
bool claim_check_asked(struct mx_claim *c, enum mx_status st, const u8 *body, u32 len);
void claim_check_tick(struct mx_claim *c, mx_ns now);
void claim_clash_checked(struct mx_claim *c, mx_ns now);	/* claim.c */
/* claim_create.c */
void claim_create_tick(struct mx_claim *c, mx_ns now);
void claim_create_asked(struct mx_claim *c, struct claim_ask *a, enum mx_status st,
			const u8 *body, u32 len, mx_ns now);
void claim_create_voted(struct mx_claim *c, mx_ns now);
void claim_create_refused(struct mx_claim *c, mx_ns now);
void claim_create_free(struct mx_claim *c, mx_ns now);	/* whether it is, was asked */
void claim_create_checked(struct mx_claim *c, enum mx_status st, mx_ns now);

#endif
