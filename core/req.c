// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: cut into parts, put in order by extent, and ended.
 *
 * Reads go at once. Writes and zeroes go through the extent's struct mx_act: one
 * under way per page, the others wait in order. A discard has the extent to
 * itself, because the server may answer that nothing is left of it, and what is
 * done then (clear the bit, forget the server) must not meet a write.
 */
#include "client_int.h"

#define SPLIT_BUDGET	4096u		/* parts begun in one go */
#define HOLE_RUN	4096u		/* extents looked at for one block status */
#define SWEEP_LATER	(5 * MX_SEC)
#define POLICY_EARLY	(100 * MX_MS)	/* nothing fails sooner than this */

enum dispatched { SENT, HELD, ENDED };

static void part_done(struct mx_req *r, enum mx_status st)
{
	if (st != MX_OK && r->st == MX_OK)
		r->st = st;
	if (--r->parts || r->next_off != r->off + r->len)
		return;
	mx_list_add_tail(&r->vol->c->done, &r->node);
}

/* ---- pools ---- */

struct mx_io *mx_io_get(struct mx_vol *v)
{
	struct mx_io *io;

	if (mx_list_empty(&v->io_free))
		return NULL;
	io = mx_list_entry(v->io_free.next, struct mx_io, node);
	mx_list_del(&io->node);
	v->nlive++;
	return io;
}

void mx_io_put(struct mx_io *io)
{
	struct mx_vol *v = io->vol;

	io->state = MX_IO_FREE;
	io->tag += 0x10000;
	io->req = NULL;
	io->act = NULL;
	io->vs = NULL;
	v->nlive--;
	/* At the end: a tag's place is used again as late as can be. */
	mx_list_add_tail(&v->io_free, &io->node);
}

struct mx_act *mx_act_get(struct mx_vol *v, u32 extent)
{
	struct mx_ent *e = mx_map_at(&v->map, extent);
	struct mx_act *a = mx_ent_act(v, e);

	if (a || mx_list_empty(&v->act_free))
		return a;
	a = mx_list_entry(v->act_free.next, struct mx_act, node);
	mx_list_del(&a->node);
	a->used = true;
	a->extent = extent;
	e->act = (u32)(a - v->acts) + 1;
	return a;
}

static void act_idle(struct mx_act *a)
{
	struct mx_vol *v = a->vol;
	struct mx_ent *e;

	if (a->hold || a->writers || a->bits_busy || !mx_list_empty(&a->wait))
		return;
	e = mx_map_at(&v->map, a->extent);
	e->act = 0;
	if (e->state == MX_EXT_HOLE && (e->flags & MX_EF_BIT) && v->sweep > a->extent) {
		v->sweep = a->extent;	/* what was to be written there failed */
		mx_vol_tick_at(v, 0);
	}
	a->used = false;
	memset(&a->busy, 0, sizeof a->busy);
	memset(&a->wanted, 0, sizeof a->wanted);
	mx_list_add_head(&v->act_free, &a->node);
}

static void part_finish(struct mx_io *io, enum mx_status st)
{
	struct mx_req *r = io->req;

	mx_io_put(io);
	part_done(r, st);
}

/* ---- holding an extent ---- */

void mx_act_hold(struct mx_act *a, enum mx_hold why)
{
	if (!a->hold)
		mx_list_add_tail(&a->vol->held, &a->node);
	a->hold = (u8)why;
}

void mx_act_release(struct mx_act *a, mx_ns now)
{
	if (a->hold)
		mx_list_del(&a->node);
	a->hold = MX_HOLD_NONE;
	mx_act_run(a, now);
}

/* ---- the allocation bit ----
 *
 * Set: a write has been committed by the server and is not yet told to be done.
 * Cleared: the server has only zeroes and keeps the extent listed; then it drops
 * it. So whenever we vanish, a set bit means that some server listed the extent
 * then, and nothing else can be lost.
 */

/* Nothing is left of the extent anywhere, and nothing is missed, unless it was a
 * lost one being placed anew. */
static void forget_place(struct mx_vol *v, struct mx_ent *e)
{
	struct mx_vs *s = v->vs[e->srv[0]];
	bool lost = e->flags & MX_EF_LOSTBASE;

	if (s)
		s->extents--;
	e->srv[0] = 0;
	e->flags = lost ? e->flags & MX_EF_BIT : 0;
	mx_map_set(&v->map, e, lost ? MX_EXT_LOST : MX_EXT_HOLE);
}

/* The bit is clear: now the server may forget it, too. */
static void drop_empty(struct mx_act *a, mx_ns now)
{
	struct mx_vol *v = a->vol;
	struct mx_ent *e = mx_map_at(&v->map, a->extent);

	if (e->state != MX_EXT_PLACED) {
		forget_place(v, e);
		mx_reads_reroute(v, a->extent, now);
		mx_act_release(a, now);
		return;
	}
	mx_act_hold(a, MX_HOLD_DROP);
	if (mx_vs_left_over(v->vs[e->srv[0]], a->extent, e->gen))
		mx_vs_drops(v->vs[e->srv[0]], now);
	else
		mx_vol_tick_at(v, now + 100 * MX_MS);
}

/* From vs.c: server @s has dropped it. */
void mx_act_dropped(struct mx_vs *s, u32 extent, u32 gen, mx_ns now)
{
	struct mx_vol *v = s->vol;
	struct mx_ent *e = extent < v->map.nents ? mx_map_at(&v->map, extent) : NULL;
	struct mx_act *a = e ? mx_ent_act(v, e) : NULL;

	if (!a || a->hold != MX_HOLD_DROP || e->srv[0] != s->idx || e->gen != gen)
		return;
	forget_place(v, e);
	mx_reads_reroute(v, extent, now);
	mx_act_release(a, now);
}

static void write_done(struct mx_act *a, struct mx_io *io, enum mx_status st);

static void bit_is_set(struct mx_act *a, mx_ns now)
{
	while (!mx_list_empty(&a->bitwait)) {
		struct mx_list *n = a->bitwait.next;

		mx_list_del(n);
		write_done(a, mx_list_entry(n, struct mx_io, node), MX_OK);
	}
	if (a->hold == MX_HOLD_MOVE && !a->writers)
		mx_move_kick(a->vol, now);
	mx_act_run(a, now);
}

/* A holder is missing: its bit would be seen again. The extent stays where it is,
 * and is looked at again later; a discard of a lost one waits. */
static void not_cleared(struct mx_act *a, struct mx_ent *e, mx_ns now)
{
	struct mx_vol *v = a->vol;

	if (e->state == MX_EXT_PLACED) {
		e->flags &= ~MX_EF_BIT;
		e->flags |= MX_EF_EMPTY;
	} else if (!mx_list_empty(&a->wait)) {
		mx_vol_tick_at(v, now + 100 * MX_MS);
		return;
	}
	v->sweep = mx_min_u32(v->sweep, a->extent);
	v->sweep_at = now + SWEEP_LATER;
	mx_vol_tick_at(v, v->sweep_at);
	mx_act_release(a, now);
}

static void bits_done(struct mx_claim_bits *b, enum mx_status st, mx_ns now)
{
	struct mx_act *a = mx_container_of(b, struct mx_act, bits);
	struct mx_vol *v = a->vol;
	struct mx_ent *e = mx_map_at(&v->map, a->extent);

	a->bits_busy = false;
	if (st == MX_OK && b->set) {
		e->flags |= MX_EF_BIT;
		bit_is_set(a, now);
		if (a->hold == MX_HOLD_CLEAR)
			mx_act_clear(a, now);
	} else if (st == MX_ST_PARTIAL && (u64)a->extent << MX_EXTENT_SHIFT < v->size) {
		not_cleared(a, e, now);
	} else if (st == MX_OK || st == MX_ST_PARTIAL) {
		/* Beyond the end (a volume being cut) the bit means nothing. */
		e->flags &= ~(MX_EF_BIT | MX_EF_EMPTY);
		drop_empty(a, now);
	} else if (v->fail) {
		mx_act_release(a, now);
	} else {
		/* The volume is being taken again: mx_acts_retry() asks anew. */
		mx_vol_tick_at(v, now + 100 * MX_MS);
	}
	mx_client_kick(v->c, now);
}

static void bits_send(struct mx_act *a, bool set, mx_ns now)
{
	struct mx_vol *v = a->vol;

	if (a->bits_busy)
		return;
	if (mx_claim_state(v->claim) != MX_CLAIM_HELD) {
		mx_vol_tick_at(v, now + 100 * MX_MS);
		return;
	}
	a->bits_busy = true;
	a->bits.extent = a->extent;
	a->bits.set = set;
	a->bits.done = bits_done;
	a->bits.user = v;
	mx_claim_bits(v->claim, &a->bits, now);
}

void mx_act_set_bit(struct mx_act *a, mx_ns now)
{
	bits_send(a, true, now);
}

void mx_act_clear(struct mx_act *a, mx_ns now)
{
	u8 flags = mx_map_at(&a->vol->map, a->extent)->flags;

	mx_act_hold(a, MX_HOLD_CLEAR);
	if ((flags & (MX_EF_BIT | MX_EF_EMPTY)) && !(flags & MX_EF_LOSTBASE))
		bits_send(a, false, now);
	else if (!a->bits_busy)
		drop_empty(a, now);
}

static void retry_one(struct mx_act *a, mx_ns now)
{
	struct mx_vol *v = a->vol;

	switch (a->hold) {
	case MX_HOLD_PLACE:
		mx_act_release(a, now);
		break;
	case MX_HOLD_VOID:
		if (mx_desc_is_void(v, a->extent))
			mx_act_release(a, now);
		break;
	case MX_HOLD_CLEAR:
		mx_act_clear(a, now);
		break;
	case MX_HOLD_DROP:
		drop_empty(a, now);
		break;
	case MX_HOLD_UNKNOWN:
		if (mx_map_at(&v->map, a->extent)->state != MX_EXT_UNKNOWN)
			mx_act_release(a, now);
		break;
	default:
		break;
	}
}

void mx_acts_retry(struct mx_vol *v, mx_ns now)
{
	struct mx_list turn;

	mx_list_take(&turn, &v->held);
	while (!mx_list_empty(&turn)) {
		struct mx_act *a = mx_list_entry(turn.next, struct mx_act, node);

		mx_list_del(&a->node);
		mx_list_add_tail(&v->held, &a->node);
		retry_one(a, now);
	}
	for (u32 i = 0; i < v->nacts; i++)
		if (!mx_list_empty(&v->acts[i].bitwait))
			mx_act_set_bit(&v->acts[i], now);
	mx_move_kick(v, now);
}

/* ---- writes ---- */

/* Pages a part keeps others out of. */
static void pages(const struct mx_io *io, u32 *from, u32 *end)
{
	if (io->op == MX_REQ_DISCARD) {
		*from = 0;
		*end = MX_EXTENT_PAGES;
		return;
	}
	*from = io->first / MX_PAGE_BLOCKS;
	*end = (io->first + io->nblocks - 1u) / MX_PAGE_BLOCKS + 1;
}

/* Blocks of the extent that are inside the volume. */
static u32 extent_blocks(const struct mx_vol *v, u32 extent)
{
	u64 left = v->size - mx_min_u64(v->size, (u64)extent << MX_EXTENT_SHIFT);

	return (u32)(mx_min_u64(left, MX_EXTENT) / MX_BLOCK);
}

static bool covers_all(const struct mx_io *io)
{
	return io->op == MX_REQ_DISCARD && io->first == 0 &&
	       io->nblocks >= extent_blocks(io->vol, io->extent);
}

static void send_write(struct mx_act *a, struct mx_io *io, struct mx_ent *e, mx_ns now)
{
	struct mx_vol *v = io->vol;
	u32 from, end;

	pages(io, &from, &end);
	mx_bm_set(&a->busy, from, end);
	a->writers++;
	/* A discard up to the volume's end takes the rest of the extent with it,
	 * or the server would never see it empty. */
	if (covers_all(io))
		io->nblocks = MX_EXTENT_BLOCKS;
	io->wflags = e->flags & MX_EF_LOSTBASE ? MX_F_LOSTBASE : 0;
	if (io->op == MX_REQ_DISCARD)
		io->wflags |= MX_F_DISCARD | MX_F_KEEP;
	io->flags &= ~(MX_IOF_FULL | MX_IOF_EMPTY);
	e->flags &= ~MX_EF_EMPTY;
	io->num = mx_vol_next_num(v);
	io->gen = e->gen;
	io->vs = v->vs[e->srv[0]];
	mx_io_start(io, now);
}

/* Sends a write whose turn it is, or begins what has to come first. */
static enum dispatched dispatch(struct mx_act *a, struct mx_io *io, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_ent *e = mx_map_at(&v->map, a->extent);

	if (e->state == MX_EXT_UNKNOWN) {
		mx_act_hold(a, MX_HOLD_UNKNOWN);
		return HELD;
	}
	if (e->state == MX_EXT_HOLE && io->op != MX_REQ_WRITE) {
		part_finish(io, MX_OK);
		return ENDED;
	}
	if (e->state == MX_EXT_LOST && covers_all(io)) {
		mx_act_clear(a, now);	/* then it is a hole */
		return HELD;
	}
	if (e->state == MX_EXT_HOLE && !mx_desc_is_void(v, a->extent)) {
		mx_act_hold(a, MX_HOLD_VOID);
		mx_vol_sync_desc(v, now);
		return HELD;
	}
	if (e->state != MX_EXT_PLACED) {
		switch (mx_place(v, a->extent, now)) {
		case MX_PLACED:
			break;
		case MX_PLACE_WAIT:
			mx_act_hold(a, MX_HOLD_PLACE);
			return HELD;
		case MX_PLACE_FULL:
			part_finish(io, MX_ST_NO_SPACE);
			return ENDED;
		}
	}
	send_write(a, io, e, now);
	return SENT;
}

static void want_pages(struct mx_act *a, const struct mx_io *io)
{
	u32 from, end;

	pages(io, &from, &end);
	mx_bm_set(&a->wanted, from, end);
}

static bool must_wait(const struct mx_act *a, const struct mx_io *io)
{
	u32 from, end;

	if (a->hold)
		return true;
	pages(io, &from, &end);
	return mx_bm_any(&a->busy, from, end) || mx_bm_any(&a->wanted, from, end);
}

/* Starts what may start. Waiting parts keep their order where they overlap. */
void mx_act_run(struct mx_act *a, mx_ns now)
{
	struct mx_list *n, *next;

	memset(&a->wanted, 0, sizeof a->wanted);
	mx_list_for_each_safe(n, next, &a->wait) {
		struct mx_io *io = mx_list_entry(n, struct mx_io, node);

		if (must_wait(a, io)) {
			want_pages(a, io);
			continue;
		}
		mx_list_del(n);
		if (dispatch(a, io, now) == HELD) {
			mx_list_add_tail(next, n);	/* where it was */
			want_pages(a, io);
		}
	}
	act_idle(a);
}

/* A part that was sent comes back to be sent elsewhere, before those that wait
 * for it. */
static void come_back(struct mx_io *io)
{
	io->state = MX_IO_WAIT;
	io->vs = NULL;
	mx_list_add_head(&io->act->wait, &io->node);
}

/* The server has no room. If others wait for nothing but this, they will come
 * back too; when the last is back the extent moves. */
static void write_full(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_act *a = io->act;
	struct mx_vs *s = io->vs;

	if (st == MX_ST_LEAVING)
		s->leaving = true;
	s->full = true;
	s->full_at = now;
	io->flags |= MX_IOF_FULL;
	come_back(io);
	mx_act_hold(a, MX_HOLD_MOVE);
	mx_move_kick(a->vol, now);
}

/* The server has only zeroes of the extent. A write that waits will need it. */
static void emptied(struct mx_act *a, struct mx_ent *e, mx_ns now)
{
	e->flags &= ~(MX_EF_DATA | MX_EF_LOSTBASE);
	if (!a->hold && mx_list_empty(&a->wait))
		mx_act_clear(a, now);
}

static void leave_act(struct mx_act *a, const struct mx_io *io)
{
	u32 from, end;

	pages(io, &from, &end);
	mx_bm_clear(&a->busy, from, end);
	a->writers--;
}

static void write_done(struct mx_act *a, struct mx_io *io, enum mx_status st)
{
	leave_act(a, io);
	part_finish(io, st);
}

static void write_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_act *a = io->act;
	struct mx_ent *e = mx_map_at(&v->map, a->extent);
	bool empty = io->flags & MX_IOF_EMPTY;

	if (v->fail && st != MX_OK)
		st = v->fail;
	if (st == MX_ST_FULL || st == MX_ST_LEAVING) {
		leave_act(a, io);
		write_full(io, st, now);
		return;
	}
	if (st == MX_OK)
		e->flags |= MX_EF_DATA;
	if (st == MX_OK && !empty && !(e->flags & MX_EF_BIT)) {
		io->state = MX_IO_BIT;
		mx_list_add_tail(&a->bitwait, &io->node);
		mx_act_set_bit(a, now);
		return;
	}
	write_done(a, io, st);
	if (st == MX_OK && empty)
		emptied(a, e, now);
	if (a->hold == MX_HOLD_MOVE && !a->writers)
		mx_move_kick(v, now);
	mx_act_run(a, now);
}

/* The map says something else of the extent now: begin anew. */
void mx_part_reroute(struct mx_io *io, mx_ns now)
{
	struct mx_act *a = io->act;

	mx_io_detach(io);
	if (!a) {
		mx_read_go(io, now);
		return;
	}
	leave_act(a, io);
	come_back(io);
	if (a->hold == MX_HOLD_MOVE && !a->writers)
		mx_move_kick(a->vol, now);
	mx_act_run(a, now);
}

void mx_part_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	if (io->act)
		write_end(io, st, now);
	else
		part_finish(io, st == MX_OK ? (enum mx_status)io->st : st);
}

/* A move found no room: what had asked for it fails, what can do without goes on. */
void mx_act_fail_full(struct mx_act *a, enum mx_status st, mx_ns now)
{
	struct mx_list *n, *next;

	mx_list_for_each_safe(n, next, &a->wait) {
		struct mx_io *io = mx_list_entry(n, struct mx_io, node);

		if (!(io->flags & MX_IOF_FULL))
			continue;
		mx_list_del(n);
		part_finish(io, st);
	}
	mx_act_release(a, now);
	mx_client_kick(a->vol->c, now);
}

/* ---- reads and block status ---- */

static void hole_run(struct mx_vol *v, struct mx_blkstat_req *r)
{
	u32 e = (u32)(r->off >> MX_EXTENT_SHIFT), n = 0;

	for (; n < HOLE_RUN && e < v->map.nents && mx_map_at(&v->map, e)->state == MX_EXT_HOLE; n++)
		e++;
	mx_stat_set(v, r, MX_PAGE_HOLE, (u64)e << MX_EXTENT_SHIFT);
}

static void stat_done(struct mx_blkstat_req *r, enum mx_status st)
{
	r->attempt = (u8)st;		/* until it is delivered */
	mx_list_add_tail(&r->vol->c->stat_done, &r->node);
}

static void lost_run(struct mx_vol *v, struct mx_blkstat_req *r)
{
	mx_stat_set(v, r, MX_PAGE_LOST, ((r->off >> MX_EXTENT_SHIFT) + 1) << MX_EXTENT_SHIFT);
}

static void stat_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_blkstat_req *r = io->buf;

	(void)now;
	if (st == MX_ST_LOST) {
		lost_run(io->vol, r);
		st = MX_OK;
	}
	mx_io_put(io);
	stat_done(r, st == MX_OK && !r->run ? MX_ST_INVALID : st);	/* shrunk meanwhile */
}

/* What a read finds. A lost extent that is being placed anew stays lost until its
 * server has it: before, the server would call it a hole. */
static enum mx_ext_state seen_as(const struct mx_ent *e)
{
	if (e->state == MX_EXT_PLACED && (e->flags & (MX_EF_LOSTBASE | MX_EF_DATA)) == MX_EF_LOSTBASE)
		return MX_EXT_LOST;
	return e->state;
}

/* Goes by what the map says now: also when it has changed since. */
void mx_read_go(struct mx_io *io, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_ent *e = mx_map_at(&v->map, io->extent);

	switch (seen_as(e)) {
	case MX_EXT_PLACED:
		io->vs = v->vs[e->srv[0]];
		io->gen = e->gen;
		mx_io_start(io, now);
		break;
	case MX_EXT_UNKNOWN:
		io->state = MX_IO_UNKNOWN;
		mx_list_add_tail(&v->unknown, &io->node);
		break;
	case MX_EXT_LOST:
		io->end(io, MX_ST_LOST, now);
		break;
	default:
		if (io->op == MX_IO_BLKSTAT)
			hole_run(v, io->buf);
		else
			v->c->port->buf_zero(v->c->port->ctx, io->buf, io->buf_off,
					     io->nblocks * MX_BLOCK);
		io->end(io, MX_OK, now);
		break;
	}
}

void mx_reads_retry(struct mx_vol *v, mx_ns now)
{
	struct mx_list turn;

	mx_list_take(&turn, &v->unknown);
	while (!mx_list_empty(&turn)) {
		struct mx_io *io = mx_list_entry(turn.next, struct mx_io, node);

		mx_list_del(&io->node);
		mx_read_go(io, now);
	}
	mx_client_kick(v->c, now);
}

/* Reads under way to an extent that is not there any more begin anew. */
void mx_reads_reroute(struct mx_vol *v, u32 extent, mx_ns now)
{
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->extent == extent && !io->act && !(io->flags & MX_IOF_INTERNAL) &&
		    (io->state == MX_IO_SENT || io->state == MX_IO_QUEUED ||
		     io->state == MX_IO_PARKED))
			mx_part_reroute(io, now);
	}
}

/* False: no part is free. */
static bool stat_begin(struct mx_vol *v, struct mx_blkstat_req *r, mx_ns now)
{
	struct mx_io *io;
	u32 extent = (u32)(r->off >> MX_EXTENT_SHIFT);

	if (r->off >= v->size) {
		stat_done(r, MX_ST_INVALID);
		return true;
	}
	switch (seen_as(mx_map_at(&v->map, extent))) {
	case MX_EXT_HOLE:
		hole_run(v, r);
		stat_done(r, MX_OK);
		return true;
	case MX_EXT_LOST:
		lost_run(v, r);
		stat_done(r, MX_OK);
		return true;
	default:
		break;
	}
	io = mx_io_get(v);
	if (!io)
		return false;
	mx_io_init(io);
	io->op = MX_IO_BLKSTAT;
	io->end = stat_end;
	io->buf = r;
	io->extent = extent;
	io->first = 0;
	io->nblocks = 1;
	io->born = r->sent;
	mx_read_go(io, now);
	return true;
}

void mx_vol_blkstat(struct mx_vol *v, struct mx_blkstat_req *r, mx_ns now)
{
	r->vol = v;
	r->sent = now;
	r->run = 0;
	r->kind = MX_PAGE_HOLE;
	v->nreqs++;
	if (v->fail || v->phase != MX_VP_OPEN)
		stat_done(r, v->fail ? (enum mx_status)v->fail : MX_ST_CANCELLED);
	else if (r->off >= v->size)
		stat_done(r, MX_ST_INVALID);
	else
		mx_list_add_tail(&v->statq, &r->node);
	mx_client_kick(v->c, now);
}

/* ---- splitting ---- */

/* The part of @r at its next_off: blocks [first, first + n) of @extent. False: no
 * memory of the pools is free, again later. */
static bool part_begin(struct mx_vol *v, struct mx_req *r, u32 extent, u32 first, u32 n, mx_ns now)
{
	struct mx_ent *e = mx_map_at(&v->map, extent);
	u32 off = (u32)(r->next_off - r->off);
	struct mx_act *a = NULL;
	struct mx_io *io;

	if (r->op == MX_REQ_READ && e->state == MX_EXT_HOLE) {
		v->c->port->buf_zero(v->c->port->ctx, r->buf, off, n * MX_BLOCK);
		return true;
	}
	if (r->op == MX_REQ_READ && seen_as(e) == MX_EXT_LOST) {
		r->st = MX_ST_LOST;
		return true;
	}
	if (r->op >= MX_REQ_ZERO && e->state == MX_EXT_HOLE && !e->act)
		return true;
	io = mx_io_get(v);
	if (!io)
		return false;
	if (r->op != MX_REQ_READ) {
		a = mx_act_get(v, extent);
		if (!a) {
			mx_io_put(io);
			return false;
		}
	}
	mx_io_init(io);
	io->op = r->op;
	io->req = r;
	io->act = a;
	io->end = mx_part_end;
	io->buf = r->buf;
	io->buf_off = off;
	io->extent = extent;
	io->first = (u16)first;
	io->nblocks = (u16)n;
	io->born = r->born;
	io->flags = r->flags & MX_REQ_STABLE ? MX_IOF_STABLE : 0;
	r->parts++;
	if (!a) {
		mx_read_go(io, now);
		return true;
	}
	io->state = MX_IO_WAIT;
	if (must_wait(a, io)) {
		mx_list_add_tail(&a->wait, &io->node);
		want_pages(a, io);
	} else if (dispatch(a, io, now) == HELD) {
		mx_list_add_tail(&a->wait, &io->node);
		want_pages(a, io);
	} else {
		act_idle(a);
	}
	return true;
}

/* True: all of it is under way, or done. */
static bool split(struct mx_vol *v, struct mx_req *r, mx_ns now)
{
	u64 end = r->off + r->len, most = r->op <= MX_REQ_WRITE ? MX_IO_BLOCKS_MAX * MX_BLOCK : MX_EXTENT;
	u32 budget = SPLIT_BUDGET;

	while (r->next_off < end) {
		u32 in = (u32)(r->next_off & (MX_EXTENT - 1));
		/* Cut at the end of a page: one that is cut in two would be seen, or
		 * written, in halves. */
		u64 n = mx_min_u64(mx_min_u64(end - r->next_off, MX_EXTENT - in),
				   most - (in & (MX_PAGE - 1)));

		if (!budget--) {
			mx_client_kick(v->c, now);
			return false;
		}
		if (!part_begin(v, r, (u32)(r->next_off >> MX_EXTENT_SHIFT), in / MX_BLOCK,
				(u32)n / MX_BLOCK, now))
			return false;
		r->next_off += n;
	}
	if (!r->parts)
		mx_list_add_tail(&v->c->done, &r->node);
	return true;
}

void mx_vol_pump(struct mx_vol *v, mx_ns now)
{
	while (!mx_list_empty(&v->statq)) {
		struct mx_list *n = v->statq.next;

		mx_list_del(n);
		if (!stat_begin(v, mx_list_entry(n, struct mx_blkstat_req, node), now)) {
			mx_list_add_head(&v->statq, n);
			return;
		}
	}
	while (!mx_list_empty(&v->reqq)) {
		struct mx_req *r = mx_list_entry(v->reqq.next, struct mx_req, node);

		mx_list_del(&r->node);
		if (!split(v, r, now)) {
			mx_list_add_head(&v->reqq, &r->node);
			return;
		}
	}
}

static void count(struct mx_vol *v, const struct mx_req *r)
{
	switch (r->op) {
	case MX_REQ_READ:
		v->st.reads++;
		v->st.read_bytes += r->len;
		break;
	case MX_REQ_WRITE:
		v->st.writes++;
		v->st.write_bytes += r->len;
		break;
	case MX_REQ_ZERO:
	case MX_REQ_DISCARD:
		v->st.zeros++;
		break;
	default:
		break;
	}
}

static enum mx_status refuse(const struct mx_vol *v, const struct mx_req *r)
{
	if (v->fail)
		return v->fail;
	if (v->phase != MX_VP_OPEN)
		return MX_ST_CANCELLED;
	if (r->op == MX_REQ_FLUSH)
		return MX_OK;
	if (r->op > MX_REQ_FLUSH || ((r->off | r->len) & (MX_BLOCK - 1)) || r->off > v->size ||
	    r->len > v->size - r->off || (r->op <= MX_REQ_WRITE && r->len >> 31))
		return MX_ST_INVALID;
	if (v->conf.read_only && r->op != MX_REQ_READ)
		return MX_ST_READ_ONLY;
	return MX_OK;
}

void mx_vol_submit(struct mx_vol *v, struct mx_req *r, mx_ns now)
{
	r->vol = v;
	r->parts = 0;
	r->next_off = r->off;
	r->born = now;
	r->st = r->flags & MX_REQ_INTERNAL && !v->fail ? MX_OK : refuse(v, r);
	v->nreqs++;
	if (r->st != MX_OK || r->op == MX_REQ_FLUSH) {
		r->next_off = r->off + r->len;
		mx_list_add_tail(&v->c->done, &r->node);
	} else {
		count(v, r);
		if (!mx_list_empty(&v->reqq) || !split(v, r, now))
			mx_list_add_tail(&v->reqq, &r->node);
	}
	if (!mx_list_empty(&v->c->done))
		mx_client_kick(v->c, now);
	if (v->conf.fail_after)
		mx_vol_tick_at(v, now + POLICY_EARLY);
}

/* ---- ending ---- */

static void drop_part(struct mx_io *io, enum mx_status st, mx_ns now)
{
	switch (io->state) {
	case MX_IO_QUEUED:
	case MX_IO_SENT:
	case MX_IO_PARKED:
	case MX_IO_BIT:
		mx_io_detach(io);
		if (io->act)
			leave_act(io->act, io);
		break;
	default:
		mx_list_del(&io->node);
		break;
	}
	if (io->op == MX_IO_BLKSTAT)
		io->end(io, st, now);
	else
		part_finish(io, st);
}

/* Ends every request there is. What is being done to extents for their own sake
 * goes on. */
void mx_vol_end_all(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_list *n, turn;

	mx_list_take(&turn, &v->reqq);
	while (!mx_list_empty(&turn)) {
		struct mx_req *r = mx_list_entry(turn.next, struct mx_req, node);

		mx_list_del(&r->node);
		if (r->st == MX_OK)
			r->st = (u32)st;
		r->next_off = r->off + r->len;
		if (!r->parts)
			mx_list_add_tail(&v->c->done, &r->node);
	}
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->state != MX_IO_FREE && !(io->flags & MX_IOF_INTERNAL))
			drop_part(io, st, now);
	}
	while (!mx_list_empty(&v->statq)) {
		n = v->statq.next;
		mx_list_del(n);
		stat_done(mx_list_entry(n, struct mx_blkstat_req, node), st);
	}
	while (!mx_list_empty(&v->leasewait)) {
		struct mx_req *r = mx_list_entry(v->leasewait.next, struct mx_req, node);

		mx_list_del(&r->node);
		r->st = st;
		mx_list_add_tail(&v->c->done, &r->node);
	}
	for (u32 i = 0; i < v->nacts; i++) {
		struct mx_act *a = &v->acts[i];

		if (!a->used)
			continue;
		if (a->hold == MX_HOLD_PLACE || a->hold == MX_HOLD_UNKNOWN || a->hold == MX_HOLD_VOID ||
		    (v->fail && !a->bits_busy && a->hold != MX_HOLD_MOVE))
			mx_act_release(a, now);
		else
			mx_act_run(a, now);
	}
	mx_client_kick(v->c, now);
}

void mx_vol_abort(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	mx_vol_end_all(v, st, now);
}

/* ---- policy ---- */

static mx_ns last_sign(const struct mx_vs *s)
{
	mx_ns heard = s->srv ? mx_peer_heard(s->srv->peer) : 0;

	return mx_max_u64(heard, s->since);
}

/* An extent is not known: when did all servers that may hold it fall silent? */
static mx_ns last_unknown(const struct mx_vol *v)
{
	mx_ns t = 0;

	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i] && !v->vs[i]->listed && v->vs[i]->state != MX_VS_GONE)
			t = mx_max_u64(t, last_sign(v->vs[i]));
	return t;
}

static bool overdue(const struct mx_vol *v, const struct mx_io *io, mx_ns now)
{
	mx_ns t = io->born, patience = v->conf.fail_after;

	if (now < io->born + mx_min_u64(patience, POLICY_EARLY) || (io->flags & MX_IOF_INTERNAL))
		return false;
	switch (io->state) {
	case MX_IO_PARKED:
	case MX_IO_QUEUED:
	case MX_IO_SENT:
		t = last_sign(io->vs);
		break;
	case MX_IO_UNKNOWN:
		t = last_unknown(v);
		break;
	case MX_IO_WAIT:
		if (io->act->hold == MX_HOLD_UNKNOWN)
			t = last_unknown(v);
		else if (!io->act->hold)
			return false;	/* waits for another, whose time will come */
		break;
	default:
		return false;
	}
	return now > t && now - t >= patience;
}

/* Fails what has waited longer than the volume's policy allows. True if there is
 * more to look at later. */
bool mx_vol_policy(struct mx_vol *v, mx_ns now)
{
	struct mx_list *n, *next;

	if (!v->conf.fail_after || !v->nreqs)
		return false;
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];
		struct mx_act *a = io->act;

		if (io->state == MX_IO_FREE || !overdue(v, io, now))
			continue;
		drop_part(io, MX_ST_TIMEOUT, now);
		if (!a)
			continue;
		if (a->hold == MX_HOLD_MOVE && !a->writers)
			mx_move_kick(v, now);
		mx_act_run(a, now);
	}
	mx_list_for_each_safe(n, next, &v->leasewait) {
		struct mx_req *r = mx_list_entry(n, struct mx_req, node);

		if (now < r->born + v->conf.fail_after)
			continue;
		mx_list_del(n);
		r->st = MX_ST_TIMEOUT;
		mx_list_add_tail(&v->c->done, n);
	}
	return true;
}
