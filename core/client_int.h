/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client. Files and what they own:
 *
 *	client.c	the instance: members of the endpoint that serve us, delivery
 *	req.c		requests: splitting, completion, policy
 *	act.c		extents being written: order, allocation bit
 *	read.c		reads and block status
 *	io.c		one part under way: messages sent, repeats, window
 *	answer.c	what comes back for it
 *	map.c		the page map
 *	vol.c		a volume's life: open, close, lease, events, policy
 *	vs.c		a volume's servers: session, seal, list, end of an incarnation
 *	rebuild.c	the map from what servers and holders know
 *	place.c		choosing servers, enrolling them
 *	edit.c		edits of the descriptor
 *	move.c		moving an extent
 *	shed_owner.c	moving those that a server asks to be rid of
 *	resize.c	changing the size
 *	volops.c	operations by name (ops_int.h)
 *
 * Objects on the path of a request are taken from pools made at open:
 *  - struct mx_io, a part: at most MX_IO_BLOCKS_MAX blocks of one extent (zeroes
 *    and discards: up to a whole extent). It is in exactly one list, told by its
 *    state.
 *  - struct mx_act, an extent that writes are under way or wait for. The map
 *    entry points to it. Order of writes is kept here, by page; what must not
 *    happen beside writes (placing, moving, changing the allocation bit) holds it.
 *
 * Completion. A part's end gives its memory back at once; its request is done
 * when all parts are, and is told so from mx_client_settle, which every way in
 * from the endpoint passes at its end. Requests that went well are told only
 * under a live lease, and what the map alone has answered, where the clock may have
 * stood still, after a majority has granted it anew; until then they wait in
 * vol->leasewait, block status in vol->statwait.
 */
#ifndef MEMX_CORE_CLIENT_INT_H
#define MEMX_CORE_CLIENT_INT_H

#include "client.h"
#include "claim.h"
#include "text.h"

/* ---- bitmaps of 256 bits ---- */
struct mx_bm { u64 w[4]; };

static inline u64 mx_bm_mask(u32 word, u32 from, u32 end)
{
	u32 lo = word * 64, hi = lo + 64;

	if (end <= lo || from >= hi)
		return 0;
	return (from > lo ? ~0ull << (from - lo) : ~0ull) &
	       (end < hi ? ~0ull >> (hi - end) : ~0ull);
}
static inline void mx_bm_set(struct mx_bm *b, u32 from, u32 end)
{
	for (u32 i = from / 64; i < 4 && i * 64 < end; i++)
		b->w[i] |= mx_bm_mask(i, from, end);
}
static inline void mx_bm_clear(struct mx_bm *b, u32 from, u32 end)
{
	for (u32 i = from / 64; i < 4 && i * 64 < end; i++)
		b->w[i] &= ~mx_bm_mask(i, from, end);
}
static inline bool mx_bm_any(const struct mx_bm *b, u32 from, u32 end)
{
	for (u32 i = from / 64; i < 4 && i * 64 < end; i++)
		if (b->w[i] & mx_bm_mask(i, from, end))
			return true;
	return false;
}
static inline bool mx_bm_test(const struct mx_bm *b, u32 i)
{
	return b->w[i / 64] >> (i & 63) & 1;
}
/* First bit at or after @from that is set (clear), or @end. */
static inline u32 mx_bm_next(const struct mx_bm *b, u32 from, u32 end, bool set)
{
	while (from < end) {
		u64 w = (set ? b->w[from / 64] : ~b->w[from / 64]) >> (from & 63);

		if (w) {
			from += (u32)__builtin_ctzll(w);
			return from < end ? from : end;
		}
		from = (from | 63) + 1;
	}
	return end;
}
/* Bits set in [from, end): run by run, there are few. */
static inline u32 mx_bm_count(const struct mx_bm *b, u32 from, u32 end)
{
	u32 n = 0, run;

	for (from = mx_bm_next(b, from, end, true); from < end;
	     from = mx_bm_next(b, run, end, true)) {
		run = mx_bm_next(b, from, end, false);
		n += run - from;
	}
	return n;
}

/* ---- the page map ---- */
#define MX_LEAF_SHIFT	8u			/* 256 entries, 4 KiB, 256 MiB of volume */
#define MX_LEAF		(1u << MX_LEAF_SHIFT)
#define MX_MID_SHIFT	9u			/* 512 leaves, 4 KiB of pointers, 128 GiB */
#define MX_MID		(1u << MX_MID_SHIFT)

enum {
	MX_EF_BIT = 1,		/* allocation bit is set at a majority of the holders */
	MX_EF_DATA = 2,		/* a write to it was acknowledged by its server */
	MX_EF_LOSTBASE = 4,	/* pages its server has no slot of are lost */
	MX_EF_EMPTY = 8,	/* PLACED: all zeroes; to be forgotten once its bit is clear */
};
struct mx_ent {
	u32 gen;		/* newest known to us, also of a hole */
	u8 state;		/* enum mx_ext_state; mx_map_set() alone changes it */
	u8 flags;		/* MX_EF_* */
	u16 srv[3];		/* index in vol->vs, 0: none; [1], [2] are for replicas */
	u32 act;		/* index in vol->acts + 1. While the map is rebuilt: epoch of
				 * the copy's highest number */
};
MX_BUILD_ASSERT(sizeof(struct mx_ent) == 16);

/* A bit that does not say what the map does: to be set, or cleared. */
static inline bool mx_bit_disagrees(const struct mx_ent *e)
{
	if (e->state == MX_EXT_HOLE)
		return e->flags & MX_EF_BIT;
	if (e->state != MX_EXT_PLACED)
		return false;
	return (e->flags & MX_EF_EMPTY) || (e->flags & (MX_EF_DATA | MX_EF_BIT)) == MX_EF_DATA;
}

struct mx_map {
	struct mx_ent ***mid;
	u32 nmid, nents;
	u64 count[4];		/* entries by state */
	u64 bytes;
};
bool mx_map_resize(struct mx_map *m, const struct mx_port *port, u32 nents);	/* false: no memory */
void mx_map_free(struct mx_map *m, const struct mx_port *port);
void mx_map_set(struct mx_map *m, struct mx_ent *e, enum mx_ext_state st);
static inline struct mx_ent *mx_map_at(const struct mx_map *m, u32 extent)
{
	u32 leaf = extent >> MX_LEAF_SHIFT;

	return &m->mid[leaf >> MX_MID_SHIFT][leaf & (MX_MID - 1)][extent & (MX_LEAF - 1)];
}

/* ---- a server as the client sees it, whatever volumes it serves ---- */
struct mx_srv {
	struct mx_list node;	/* client->srvs */
	struct mx_client *c;
	struct mx_peer *peer;
	u32 refs;		/* volumes' servers using it */
	struct mx_list queue;	/* parts waiting for the window */
	struct mx_list flight;	/* parts sent */
	struct mx_list rxwait;	/* in client->rxwait: its first part waits for rx_max */
	struct mx_timer timer;	/* earliest due in flight */
	mx_ns armed;
};

/* ---- a part under way ---- */
enum mx_io_state {
	MX_IO_FREE,		/* vol->io_free */
	MX_IO_WAIT,		/* act->wait: writes, in order */
	MX_IO_UNKNOWN,		/* vol->unknown: reads of extents that a silent server may hold,
				 * or whose bit is being set */
	MX_IO_PARKED,		/* vs->parked: its server is not sealed, or cannot be told */
	MX_IO_QUEUED,		/* srv->queue */
	MX_IO_SENT,		/* srv->flight */
	MX_IO_BIT,		/* act->bitwait: committed, but its extent's bit is not set yet */
};
enum {
	MX_IOF_STABLE = 1,	/* the buffer cannot change */
	MX_IOF_COPY = 2,	/* send a stable copy from now on */
	MX_IOF_AGAIN = 4,	/* sent more than once: no round trip can be read from it */
	MX_IOF_FULL = 8,	/* its server was full */
	MX_IOF_EMPTY = 16,	/* the extent was freed by it */
	MX_IOF_INTERNAL = 32,	/* part of a move: buf is memory, CRCs in crcs */
	MX_IOF_BUSY = 64,	/* waits because the server asked for it: no loss */
	MX_IOF_TIMED = 128,	/* this attempt's round trip was measured */
};
enum { MX_IO_BLKSTAT = 16 };	/* beyond enum mx_req_op */
enum { MX_REQ_INTERNAL = 0x80 };	/* in mx_req.flags: beyond the volume's end too */
#define MX_IO_PAGES	(MX_IO_BLOCKS_MAX / MX_PAGE_BLOCKS + 1)
#define MX_CRC_TRIES	16u	/* bad fragments in a row; one repeat can bring several */

struct mx_io {
	struct mx_list node;
	struct mx_txm txm;
	struct mx_vol *vol;
	struct mx_req *req;		/* NULL: internal */
	struct mx_act *act;		/* writes */
	struct mx_vs *vs;
	struct mx_srv *srv;		/* QUEUED, SENT */
	void (*end)(struct mx_io *io, enum mx_status st, mx_ns now);
	void *buf;
	u32 buf_off;
	u32 tag;			/* low 16 bits: index in client->ios */
	u32 extent, gen;
	u16 first, nblocks;
	u16 left;			/* blocks in need */
	u16 ask_end;			/* reads: one past the last block asked for */
	u16 zlo, zhi;			/* zeroes: blocks acknowledged */
	u8 op, state, flags, attempt;
	u8 st;				/* reads: LOST once a lost page was met */
	u8 crc_bad, busy;
	u16 wflags;			/* MX_F_* of writes */
	u32 win;			/* bytes taken from the window */
	u32 cursor;			/* writes: next block to send */
	u64 num;
	mx_ns born;			/* request's submission */
	mx_ns sent, due, rto;
	struct mx_bm need;		/* blocks not yet read, or not yet committed */
	struct mx_bm send;		/* writes: blocks to send in this round */
	const u32 *crcs;		/* internal writes */
	/* reads: the number of each page's fragments so far, if seen, and the
	 * attempt that brought them */
	u64 seen;
	u64 pnum[MX_IO_PAGES];
	u8 patt[MX_IO_PAGES];
};
MX_BUILD_ASSERT(MX_IO_PAGES <= 64);

/* ---- an extent being written ---- */
enum mx_hold {
	MX_HOLD_NONE,
	MX_HOLD_PLACE,		/* needs a server, none is ready */
	MX_HOLD_VOID,		/* what a silent server may have of it is being called dead */
	MX_HOLD_CLEAR,		/* nothing is left of it: the bit is being cleared */
	MX_HOLD_DROP,		/* ... and then its server drops it */
	MX_HOLD_MOVE,		/* to be moved, or being moved */
	MX_HOLD_UNKNOWN,	/* a silent server may hold it */
};
struct mx_act {
	struct mx_list node;	/* vol->act_free, or vol->held, or none */
	struct mx_list wait;	/* parts in order */
	struct mx_list bitwait;	/* parts committed; they count as sent */
	struct mx_vol *vol;
	struct mx_claim_bits bits;
	u32 extent;
	u16 writers;		/* parts sent, and not yet answered to the request */
	u8 hold;
	bool used;
	bool bits_busy;
	bool running, again;	/* inside mx_act_run; to be run once more */
	struct mx_bm busy;	/* pages of parts sent */
	struct mx_bm wanted;	/* pages of parts waiting */
	struct mx_vol_op *op;	/* a move asked for by mx_vol_move */
	u64 op_to;
};

/* ---- a volume's server: one incarnation ---- */
enum mx_vs_state {
	MX_VS_FREE,
	MX_VS_CAND,		/* to be enrolled: its session is being made */
	MX_VS_ENROLL,		/* being written into the descriptor */
	MX_VS_SEAL,		/* enrolled; to be sealed, or to be asked who it is */
	MX_VS_LIST,		/* sealed; says what it holds */
	MX_VS_READY,
	MX_VS_GONE,		/* its incarnation is over */
};
#define MX_VS_DROPS	32u
struct mx_leftover { u32 extent, gen; };
struct mx_vs {
	struct mx_vol *vol;
	struct mx_srv *srv;
	struct mx_list parked;
	struct mx_call call;	/* SEAL, LIST_EXTENTS or DROP_EXTENT */
	u64 id, inc;
	struct mx_addr addr;	/* where it was last seen */
	u16 idx;
	u8 state;		/* see vs.c */
	bool busy;		/* call is under way */
	bool sealing_body;	/* ... with vol->seal_body */
	bool listed;		/* what it holds is in the map, or it was empty when enrolled */
	bool recorded;		/* GONE: stands so in the descriptor, or was never in it */
	bool in_edit;		/* is in the edit being written */
	bool full, leaving;
	bool voided;		/* the descriptor calls holes there dead, whatever is in them:
				 * nothing may be placed there meanwhile */
	bool unvoid_in;		/* the edit being written takes that back */
	bool reported;		/* the silence was told as an event */
	mx_ns full_at, since, retry_at;
	mx_ns gave_up;		/* its last sign, when a request was given up for its silence */
	u64 free;		/* as announced */
	u64 booked;		/* extents placed since then, as if they were full */
	u32 load;
	u32 extents;		/* map entries naming it */
	u32 tried;		/* the move that has tried it as target (move.serial) */
	u32 list_from;
	u32 drop_extent, drop_gen;
	struct mx_leftover left[MX_VS_DROPS];	/* found by listing, to be dropped */
	u32 nleft;
	bool relist;		/* there were more than fit */
	bool dropping_left;	/* the call is about left[0] */
	u8 body[64];
};

/* ---- a move under way ---- */
/* What an edit of the descriptor records about it is in mx_move_edit(). */
enum mx_move_stage {
	MX_MOVE_IDLE,
	MX_MOVE_STAT,		/* source: which pages are there */
	MX_MOVE_READ, MX_MOVE_WRITE,
	MX_MOVE_COMMIT,		/* target: the copy is complete */
	/* waiting for an edit of the descriptor: */
	MX_MOVE_INTENT,		/* the copy does not count */
	MX_MOVE_SWAP,		/* the copy counts, the source does not */
	MX_MOVE_UNDO,		/* the source counts after all */
};
struct mx_move {
	u8 stage;
	bool lostbase;
	u8 edit_stage;
	bool edit_failed;	/* the list of the dead is full */
	bool to_gone;
	bool committing;	/* call is under way */
	bool kicking;
	u32 attempt;		/* counts targets tried; what an edit was made for */
	u32 edit_attempt;
	u32 serial;		/* counts moves */
	u64 need;		/* bytes to be copied */
	struct mx_act *act;
	struct mx_vs *from, *to;
	u32 gen;		/* of the copy */
	u32 chunk;		/* first block of the run being copied */
	u32 at;			/* page inside the run, next to be written */
	struct mx_io *io;	/* its own, of no pool */
	struct mx_call call;
	u8 body[64];
	u8 kinds[64];
	u8 *data;		/* MX_IO_BLOCKS_MAX blocks, allocated at open */
	u32 crcs[MX_IO_BLOCKS_MAX];
	u8 pkind[MX_IO_BLOCKS_MAX / MX_PAGE_BLOCKS];
	mx_ns since;
};

/* ---- extents to be moved because their servers have too much ---- */
struct mx_shed_todo {
	struct mx_vol_op op;
	bool busy;		/* one is being moved; it is not in the list any more */
	u32 n;
	struct mx_shed_entry e[MX_SHED_MAX];
	mx_ns not_before;	/* there was no room for one */
};

/* ---- a volume ---- */
enum mx_vol_phase {
	MX_VP_FIND, MX_VP_TAKE,
	MX_VP_REBUILD,		/* owned; servers are sealed and listed */
	MX_VP_RECORD,		/* what was found out goes into the descriptor */
	MX_VP_OPEN,
	MX_VP_CLOSING,		/* requests under way end */
	MX_VP_RELEASE,
	MX_VP_CLOSED,
	MX_VP_FAILED,
};
#define MX_VS_MAX	(MX_ENROLLED_MAX + 64u)
#define MX_UNDEAD_MAX	32u
#define MX_NEWDEAD_MAX	32u
struct mx_deadref { u64 id, inc; u32 extent, gen; };

struct mx_vol {
	struct mx_list node;		/* client->vols */
	struct mx_client *c;
	struct mx_vol_conf conf;
	struct mx_vol_ops ops;
	void *user;
	char name[MX_NAME_MAX + 1];
	char err[256];
	u8 phase;			/* enum mx_vol_phase */
	u8 fail;			/* status every request ends with: fenced, deleted; 0: none */
	u8 open_st;			/* told by opened(), from the tick */
	bool tell_opened, tell_closed;
	struct mx_claim *claim;
	u8 uuid[MX_UUID];
	u32 seed;			/* of block CRCs */
	u32 epoch;
	u64 seq;			/* last number given */
	u64 size;
	mx_ns lease_until, lease_seen;	/* as the claim said, and when */
	struct mx_map map;

	/* requests */
	struct mx_list reqq;		/* not wholly split */
	struct mx_list leasewait, statwait;	/* done, and waiting to be told */
	struct mx_list unknown;		/* reads */
	struct mx_list statq;		/* struct mx_blkstat_req waiting for a part */
	u32 nreqs;			/* submitted, not done */
	struct mx_io *ios;
	u32 nios;
	struct mx_list io_free;
	struct mx_act *acts;
	u32 nacts;
	struct mx_list act_free, held;
	u32 nlive;			/* parts not free */

	/* servers; index 0 is no server */
	struct mx_vs **vs;		/* MX_VS_MAX */
	u32 nvs;			/* highest index in use + 1 */
	bool want_servers;		/* so much was placed that there may be more */
	u8 *seal_body;			/* shared by SEAL calls; MX_CTL_BODY_MAX */
	u32 seal_len, seal_users;
	u64 seal_version;
	u32 seal_epoch;

	/* rebuild */
	bool bits_done;
	mx_ns rebuild_until, open_until;
	u32 sweep;			/* next extent whose bit may not agree with the map */
	bool sure;			/* recovered, and all bits are right by now */

	/* edits of the descriptor */
	struct mx_claim_edit edit;
	bool edit_busy, edit_again;
	mx_ns probe_at;			/* a server said FENCED: not asked about before */
	struct mx_deadref newdead[MX_NEWDEAD_MAX], undead[MX_UNDEAD_MAX];
	u32 nnewdead, nundead, nnewdead_in, nundead_in;
	u64 new_size;			/* 0: as it is */
	bool size_in;

	struct mx_move move;
	struct mx_shed_todo shed;
	u32 gen_used;			/* highest given to a copy */
	struct mx_resize *resize;

	struct mx_timer tick;
	mx_ns tick_at;
	mx_ns gave_up;			/* as a vs's, for extents that are not known */
	mx_ns close_by;			/* CLOSING: what is not a request is given up then */
	struct mx_vol_stats st;
};

struct mx_client {
	const struct mx_port *port;
	struct mx_ep *ep;
	struct mx_ep_ops ops;
	struct mx_list vols, srvs;
	struct mx_list rxwait;		/* servers whose next part waits for rx_max */
	u32 rx_max, rx_out;		/* bytes asked for and not yet received */
	struct mx_list done;		/* requests to be told */
	struct mx_list stat_done;	/* block status likewise */
	struct mx_timer kick;
	struct mx_io **ios;		/* by the low 16 bits of a tag */
	u32 nios;
	struct mx_list ops_open;	/* struct mx_opctx, volops.c */
	/* Scratch of one message: frames of kernel stacks are small. */
	u32 seeds[MX_IO_BLOCKS_MAX], crcs[MX_IO_BLOCKS_MAX];
};

/* client.c */
struct mx_srv *mx_srv_get(struct mx_client *c, const struct mx_addr *a, mx_ns now);
void mx_srv_put(struct mx_srv *s);
static inline bool mx_srv_up(const struct mx_srv *s)
{
	return s && mx_peer_state(s->peer) == MX_PEER_UP;
}
void mx_client_kick(struct mx_client *c, mx_ns now);
void mx_client_settle(struct mx_client *c, mx_ns now);
bool mx_client_add_ios(struct mx_client *c, struct mx_io *ios, u32 n);
void mx_client_del_ios(struct mx_client *c, struct mx_io *ios, u32 n);
u32 mx_client_random(struct mx_client *c, u32 below);

/* req.c */
void mx_vol_pump(struct mx_vol *v, mx_ns now);
void mx_vol_end_all(struct mx_vol *v, enum mx_status st, mx_ns now);
struct mx_io *mx_io_get(struct mx_vol *v);		/* NULL: none free */
void mx_io_put(struct mx_io *io);
void mx_part_end(struct mx_io *io, enum mx_status st, mx_ns now);
void mx_part_finish(struct mx_io *io, enum mx_status st);	/* of no list and no act any more */
bool mx_vol_policy(struct mx_vol *v, mx_ns now);	/* fail_after */
void mx_vol_policy_soon(struct mx_vol *v, mx_ns now);
/* Has its silence already cost a request? Then others do not wait for it. */
bool mx_given_up(const struct mx_vs *s);

/* act.c */
struct mx_act *mx_act_get(struct mx_vol *v, u32 extent);	/* NULL: none free */
void mx_act_submit(struct mx_act *a, struct mx_io *io, mx_ns now);
void mx_act_run(struct mx_act *a, mx_ns now);
void mx_act_leave(struct mx_act *a, const struct mx_io *io);	/* it is not under way any more */
void mx_act_hold(struct mx_act *a, enum mx_hold why);
void mx_act_release(struct mx_act *a, mx_ns now);	/* hold is over */
void mx_acts_retry(struct mx_vol *v, mx_ns now);
void mx_act_clear(struct mx_act *a, mx_ns now);	/* nothing is left of it: forget it */
void mx_act_dropped(struct mx_vs *s, u32 extent, u32 gen, mx_ns now);
void mx_act_set_bit(struct mx_act *a, mx_ns now);
void mx_act_fail_full(struct mx_act *a, enum mx_status st, mx_ns now);
void mx_write_end(struct mx_io *io, enum mx_status st, mx_ns now);
void mx_part_reroute(struct mx_io *io, mx_ns now);	/* sent or parked; its extent is elsewhere now */

/* read.c */
enum mx_ext_state mx_seen_as(const struct mx_ent *e);
void mx_read_go(struct mx_io *io, mx_ns now);		/* by what the map says now */
void mx_reads_retry(struct mx_vol *v, mx_ns now);	/* unknown ones */
void mx_reads_reroute(struct mx_vol *v, u32 extent, mx_ns now);	/* those under way to it */
bool mx_stat_begin(struct mx_vol *v, struct mx_blkstat_req *r, mx_ns now);	/* false: no part free */
void mx_stat_done(struct mx_blkstat_req *r, enum mx_status st);
static inline struct mx_act *mx_ent_act(const struct mx_vol *v, const struct mx_ent *e)
{
	return e->act ? &v->acts[e->act - 1] : NULL;
}

/* A run of blocks of @kind up to byte @end, as far as the volume still goes. */
static inline void mx_stat_set(const struct mx_vol *v, struct mx_blkstat_req *r, u8 kind, u64 end)
{
	end = mx_min_u64(end, v->size);
	r->kind = kind;
	r->run = end > r->off ? end - r->off : 0;
}

/* io.c */
void mx_io_init(struct mx_io *io);
void mx_io_start(struct mx_io *io, mx_ns now);	/* vs, gen, num are set */
void mx_io_detach(struct mx_io *io);		/* from its server's lists; no packet refers to it */
void mx_io_end(struct mx_io *io, enum mx_status st, mx_ns now);
void mx_io_again(struct mx_io *io, mx_ns now);	/* from its first message, under a new tag */
void mx_srv_pump(struct mx_srv *s, mx_ns now);
void mx_srv_timer(struct mx_timer *t, mx_ns now);
void mx_srv_hurry(struct mx_srv *s, mx_ns now);	/* it is back: repeat at once */
void mx_io_resend(struct mx_io *io);		/* what is missing */
void mx_io_pause(struct mx_io *io, mx_ns now);	/* the server is busy */
void mx_io_answered(struct mx_io *io, u32 bytes);	/* so much less is under way */
void mx_srv_arm(struct mx_srv *s, mx_ns due);
/* answer.c */
void mx_io_message(struct mx_client *c, struct mx_peer *p, const struct mx_head *h,
		   const u8 *head, const u8 *payload, mx_ns now);
static inline u64 mx_vol_next_num(struct mx_vol *v) { return mx_num(v->epoch, ++v->seq); }

/* vs.c */
struct mx_vs *mx_vs_new(struct mx_vol *v, u64 id, u64 inc, const struct mx_addr *a,
			enum mx_vs_state st, mx_ns now);
struct mx_vs *mx_vs_find(const struct mx_vol *v, u64 id, u64 inc);
void mx_vs_free(struct mx_vs *s);
void mx_vs_check(struct mx_vs *s, mx_ns now);
void mx_vs_seal(struct mx_vs *s, mx_ns now);	/* must be sealed (again) */
void mx_vs_gone(struct mx_vs *s, mx_ns now);
void mx_vs_drops(struct mx_vs *s, mx_ns now);
bool mx_vs_left_over(struct mx_vs *s, u32 extent, u32 gen);	/* to be dropped; false: later */
void mx_vol_peer(struct mx_vol *v, struct mx_srv *s, mx_ns now);
void mx_vol_member(struct mx_vol *v, const struct mx_member *m, mx_ns now);
const char *mx_vs_name(const struct mx_vs *s);
bool mx_vs_ok(const struct mx_vs *s);		/* READY and in touch */
void mx_vs_tick(struct mx_vol *v, mx_ns now);
void mx_vs_reseal(struct mx_vol *v, mx_ns now);
void mx_vs_enrolled(struct mx_vs *s, mx_ns now);
void mx_vs_stop(struct mx_vs *s);		/* the volume is being released */

/* rebuild.c */
void mx_rebuild_start(struct mx_vol *v, mx_ns now);
void mx_rebuild_check(struct mx_vol *v, mx_ns now);
bool mx_rebuild_take(struct mx_vs *s, const struct mx_ext_entry *e);	/* false: no room, again later */
void mx_rebuild_late(struct mx_vol *v, mx_ns now);	/* unknown extents: are all servers told? */
void mx_rebuild_again(struct mx_vol *v, mx_ns now);
bool mx_rebuild_all_told(const struct mx_vol *v);
bool mx_rebuild_bits_source(void *user, u32 chunk, u8 *bits);

/* place.c */
enum mx_placed { MX_PLACED, MX_PLACE_WAIT, MX_PLACE_FULL };
/* Chooses a server. @not: what is moved comes from there; @wanted: that server and
 * no other (0: any); @need: bytes that must have room. */
enum mx_placed mx_place_choose(struct mx_vol *v, const struct mx_vs *not, u64 wanted, u64 need,
			       struct mx_vs **out, mx_ns now);
enum mx_placed mx_place(struct mx_vol *v, u32 extent, mx_ns now);
void mx_place_recruit(struct mx_vol *v, mx_ns now);
u32 mx_next_gen(struct mx_vol *v, u32 extent);
bool mx_desc_is_dead(const struct mx_vol *v, const struct mx_vs *s, u32 extent, u32 gen);
bool mx_desc_is_void(const struct mx_vol *v, u32 extent);	/* at every server not listed */
#define MX_GEN_ANY	0xffffffffu	/* dead: whatever generation */
void mx_vol_sync_desc(struct mx_vol *v, mx_ns now);
void mx_vol_forget_gone(struct mx_vol *v);
bool mx_vol_new_dead(struct mx_vol *v, const struct mx_vs *s, u32 extent, u32 gen);

/* move.c */
void mx_move_kick(struct mx_vol *v, mx_ns now);
void mx_move_edit(struct mx_vol *v, struct mx_desc *d);	/* its part of an edit */
void mx_move_edited(struct mx_vol *v, enum mx_status st, mx_ns now);
void mx_move_vs_gone(struct mx_vol *v, struct mx_vs *s, mx_ns now);
void mx_move_stop(struct mx_vol *v, mx_ns now);		/* the volume ends */
void mx_move_end(struct mx_vol *v, mx_ns now);		/* ... and has ended */
void mx_move_free(struct mx_vol *v);
void mx_move_tick(struct mx_vol *v, mx_ns now);

bool mx_dead_add(struct mx_desc *d, const struct mx_vs *s, u32 extent, u32 gen);
void mx_dead_del(struct mx_desc *d, u64 id, u64 inc, u32 extent, u32 gen);

/* shed_owner.c */
void mx_shed_rx(struct mx_client *c, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		mx_ns now);
void mx_shed_next(struct mx_vol *v, mx_ns now);

/* vol.c */
bool mx_vol_lease_ok(struct mx_vol *v, mx_ns now);
/* Was the volume ours at some time since @born? @local: no server has said so. */
bool mx_vol_was_ours(struct mx_vol *v, bool local, mx_ns born, mx_ns now);
void mx_vol_tick_at(struct mx_vol *v, mx_ns at);
void mx_vol_event(struct mx_vol *v, const struct mx_text *t, mx_ns now);
void mx_vol_opened(struct mx_vol *v, enum mx_status st, mx_ns now);
void mx_vol_suspect(struct mx_vol *v, struct mx_vs *s, mx_ns now);	/* a server says FENCED */
void mx_claim_explain(struct mx_text *t, const struct mx_claim *c, const char *name, enum mx_status st);
static inline bool mx_vol_running(const struct mx_vol *v)
{
	return v->phase == MX_VP_OPEN || v->phase == MX_VP_CLOSING;
}

/* resize.c */
void mx_resize_tick(struct mx_vol *v, mx_ns now);
bool mx_resize_asks(const struct mx_vol *v);	/* a request of its own is under way */
void mx_resize_stop(struct mx_vol *v, mx_ns now);
void mx_resize_edited(struct mx_vol *v, enum mx_status st, mx_ns now);
void mx_resize_free(struct mx_vol *v);
void mx_resize_disown(struct mx_vol *v);	/* goes on, but nobody is told of its end */
void mx_resize_reclaimed(struct mx_vol *v, mx_ns now);

/* volops.c */
void mx_ops_free(struct mx_client *c);

#endif
