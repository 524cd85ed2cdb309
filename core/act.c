// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Extents being written: the order of writes, and what must not happen beside
 * them.
 *
 * One write is under way per page, the others wait in order. A discard has the
 * extent to itself, because the server may answer that nothing is left of it, and
 * what is done then (clear the bit, drop it, forget the server) must not meet a
 * write.
 */
#include "client_int.h"

enum dispatched { SENT, HELD, ENDED };

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

/* Gives it back if nothing wants it. It may have been given back already: what is
 * begun for an extent can end at once, inside its caller. */
static void act_idle(struct mx_act *a)
{
	struct mx_vol *v = a->vol;
	struct mx_ent *e;

	if (!a->used || a->hold || a->writers || a->bits_busy || !mx_list_empty(&a->wait))
		return;
	e = mx_map_at(&v->map, a->extent);
	e->act = 0;
	if (mx_bit_disagrees(e) && v->sweep > a->extent) {
		v->sweep = a->extent;	/* what was to be written there was given up */
		mx_vol_tick_at(v, 0);
	}
	a->used = false;
	memset(&a->busy, 0, sizeof a->busy);
	memset(&a->wanted, 0, sizeof a->wanted);
	mx_list_add_head(&v->act_free, &a->node);
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

/* No server has anything of it any more. If the bit is set it was lost before (and
 * had been placed anew, with nothing written since). */
static void forget_place(struct mx_vol *v, struct mx_ent *e)
{
	struct mx_vs *s = v->vs[e->srv[0]];

	if (s)
		s->extents--;
	e->srv[0] = 0;
	e->flags &= MX_EF_BIT;
	mx_map_set(&v->map, e, e->flags ? MX_EXT_LOST : MX_EXT_HOLE);
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
	if (!mx_list_empty(&a->vol->unknown))
		mx_reads_retry(a->vol, now);
	mx_act_run(a, now);
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
	} else if (st == MX_OK) {
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
	if ((flags & MX_EF_BIT) && !(flags & MX_EF_LOSTBASE))
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
		if (io->req)
			io->req->local = true;
		mx_part_finish(io, MX_OK);
		return ENDED;
	}
	/* A lost one becomes a hole; a hole that its server left with the bit set is
	 * made a true one, or a write that is never acknowledged would count. */
	if ((e->state == MX_EXT_LOST && covers_all(io)) ||
	    (e->state == MX_EXT_HOLE && (e->flags & MX_EF_BIT))) {
		mx_act_clear(a, now);
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
			mx_part_finish(io, MX_ST_NO_SPACE);
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

/* A part joins the extent: it is sent, waits, or has ended. */
void mx_act_submit(struct mx_act *a, struct mx_io *io, mx_ns now)
{
	bool wait = must_wait(a, io);

	io->state = MX_IO_WAIT;
	if (!wait) {
		a->running = true;
		wait = dispatch(a, io, now) == HELD;
		a->running = false;
	}
	if (wait) {
		mx_list_add_tail(&a->wait, &io->node);
		want_pages(a, io);
		if (a->hold)		/* what it waits for may come without a word */
			mx_vol_tick_at(a->vol, now + 100 * MX_MS);
	}
	if (a->again)
		mx_act_run(a, now);
	else
		act_idle(a);
}

static void run_once(struct mx_act *a, mx_ns now)
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
			mx_vol_tick_at(a->vol, now + 100 * MX_MS);
		}
	}
}

/* Starts what may start. Waiting parts keep their order where they overlap. What
 * is begun for one may come back here at once: then all are looked at again. */
void mx_act_run(struct mx_act *a, mx_ns now)
{
	if (a->running) {
		a->again = true;
		return;
	}
	do {
		a->again = false;
		a->running = true;
		run_once(a, now);
		a->running = false;
	} while (a->again);
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
	e->flags &= ~MX_EF_LOSTBASE;	/* no page of it is lost any more */
	if (a->hold || !mx_list_empty(&a->wait))
		return;
	/* From now on it is read as a hole, also by reads under way: one of them
	 * might see a write to come that is not acknowledged yet. */
	e->flags &= ~MX_EF_DATA;
	e->flags |= MX_EF_EMPTY;
	mx_reads_reroute(a->vol, a->extent, now);
	mx_act_clear(a, now);
}

void mx_act_leave(struct mx_act *a, const struct mx_io *io)
{
	u32 from, end;

	pages(io, &from, &end);
	mx_bm_clear(&a->busy, from, end);
	a->writers--;
}

static void write_done(struct mx_act *a, struct mx_io *io, enum mx_status st)
{
	mx_act_leave(a, io);
	mx_part_finish(io, st);
}

void mx_write_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_act *a = io->act;
	struct mx_ent *e = mx_map_at(&v->map, a->extent);
	bool empty = io->flags & MX_IOF_EMPTY;

	if (v->fail && st != MX_OK)
		st = v->fail;
	if (st == MX_ST_FULL || st == MX_ST_LEAVING) {
		mx_act_leave(a, io);
		write_full(io, st, now);
		return;
	}
	if (st == MX_OK && !empty)	/* a discard of what is not there leaves nothing there */
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
	mx_act_leave(a, io);
	come_back(io);
	if (a->hold == MX_HOLD_MOVE && !a->writers)
		mx_move_kick(a->vol, now);
	mx_act_run(a, now);
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
		mx_part_finish(io, st);
	}
	mx_act_release(a, now);
	mx_client_kick(a->vol->c, now);
}
