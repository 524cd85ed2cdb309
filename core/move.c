// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Moving an extent: one at a time per volume, while its writes wait.
 *
 *	STAT	which pages the source has; a target with room for them is chosen
 *	INTENT	descriptor: the copy at the target is dead (does not count)
 *	READ, WRITE	run by run, with the checksums the writer made
 *	COMMIT	target: the copy is complete
 *	SWAP	descriptor, in one version: the source's copy is dead, the target's is not
 *
 * SWAP is the moment of moving. Whoever rebuilds the map before it takes the
 * source, after it the target, and needs to ask neither of them. Writes go on
 * right after it; the source drops its copy when it can be told (mx_vs_drops),
 * and is then taken out of the list of the dead.
 *
 * If the target's incarnation ends while SWAP is being written, the source's copy,
 * still there, is called live again (UNDO). If the source's ends then, the target's
 * copy, which is complete, counts once SWAP is written. A version under way is never
 * turned away from: nobody can tell whether it will count.
 *
 * A move that only a server asked for (shed_owner.c) must not keep writes waiting that
 * could go where the extent is: it is given up where a target would have to be waited
 * for, where it takes long, and where another extent's move comes first.
 *
 * An extent of which there is nothing (its first server was full, or all of it was
 * discarded) is not copied: its server drops it and it is placed anew.
 */
#include "client_int.h"

#define CALL_PATIENCE	(3 * MX_SEC)
#define SHED_PATIENCE	(3 * MX_SEC)	/* a move by shed_owner.c takes at most */
#define CHUNK_PAGES	(MX_IO_BLOCKS_MAX / MX_PAGE_BLOCKS)

static void next_chunk(struct mx_vol *v, mx_ns now);
static void next_run(struct mx_vol *v, mx_ns now);
static void begin(struct mx_vol *v, mx_ns now);

static u8 kind(const struct mx_move *m, u32 page)
{
	return m->kinds[page / 4] >> (page % 4 * 2) & 3;
}

static struct mx_ent *ent_of(struct mx_vol *v)
{
	return mx_map_at(&v->map, v->move.act->extent);
}

/* ---- beginning and ending ---- */

static void tell_op(struct mx_act *a, enum mx_status st, const char *err, mx_ns now)
{
	struct mx_vol_op *o = a->op;

	a->op = NULL;
	a->op_to = 0;
	if (o)
		o->done(o, st, err, now);
}

static void stop_io(struct mx_move *m)
{
	if (m->io->state != MX_IO_FREE) {
		mx_io_detach(m->io);
		m->io->state = MX_IO_FREE;
	}
	mx_call_cancel(&m->call);
	m->committing = false;
}

/* Nothing is being moved any more. */
static struct mx_act *idle(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_act *a = m->act;
	struct mx_vs *to = m->to;

	stop_io(m);
	m->stage = MX_MOVE_IDLE;
	m->act = NULL;
	m->from = m->to = NULL;
	m->attempt++;
	/* What was copied before it was given up: the descriptor calls it dead. */
	if (to && to->state != MX_VS_GONE)
		mx_vs_drops(to, now);
	mx_vol_forget_gone(v);
	return a;
}

static void finish(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_act *a = idle(v, now);

	tell_op(a, st, st == MX_OK ? NULL : mx_status_str(st), now);
	if (st == MX_OK)
		mx_act_release(a, now);
	else
		mx_act_fail_full(a, st, now);
	mx_client_kick(v->c, now);
	mx_vol_tick_at(v, now);		/* the next one */
}

static bool is_shed(const struct mx_vol *v)
{
	return v->move.act->op == &v->shed.op;
}

static bool full_ones_wait(const struct mx_act *a)
{
	const struct mx_list *n;

	mx_list_for_each(n, &a->wait)
		if (mx_list_entry(n, struct mx_io, node)->flags & MX_IOF_FULL)
			return true;
	return false;
}

/* A move for a server that has too much is given up. Should writes have been refused
 * meanwhile, the extent is moved for them. */
static void let_be(struct mx_vol *v, struct mx_act *a, mx_ns now)
{
	tell_op(a, MX_ST_NO_SPACE, mx_status_str(MX_ST_NO_SPACE), now);
	if (!full_ones_wait(a))
		mx_act_release(a, now);
	mx_client_kick(v->c, now);
	mx_vol_tick_at(v, now);
}

static void leave(struct mx_vol *v, mx_ns now)
{
	let_be(v, idle(v, now), now);
}

/* The one that is held for it, while another extent is being moved. */
static void leave_held(struct mx_vol *v, mx_ns now)
{
	struct mx_list *n;

	mx_list_for_each(n, &v->held) {
		struct mx_act *a = mx_list_entry(n, struct mx_act, node);

		if (a->op == &v->shed.op) {
			let_be(v, a, now);
			return;
		}
	}
}

/* Finds somebody to move to, of those this move has not tried yet. False: ended,
 * or to be looked at again later. */
static bool find_target(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;

	switch (mx_place_choose(v, m->from, m->act->op_to, m->need, &m->to, now)) {
	case MX_PLACED:
		m->to->tried = m->serial;
		return true;
	case MX_PLACE_FULL:
		finish(v, MX_ST_NO_SPACE, now);
		return false;
	case MX_PLACE_WAIT:
		if (is_shed(v)) {
			leave(v, now);
			return false;
		}
		break;
	}
	m->to = NULL;
	m->stage = MX_MOVE_IDLE;	/* its hold brings it back */
	m->act = NULL;
	m->from = NULL;
	mx_vol_tick_at(v, now + 100 * MX_MS);
	return false;
}

/* There is nothing to copy: its server drops it, and it is placed anew. */
static void forget(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_act *a = m->act;

	if (!find_target(v, now))
		return;
	m->stage = MX_MOVE_IDLE;
	m->act = NULL;
	m->from = m->to = NULL;
	tell_op(a, MX_OK, NULL, now);
	mx_act_clear(a, now);
	mx_vol_tick_at(v, now);
}

static void aim(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;

	if (!find_target(v, now))
		return;
	m->gen = mx_next_gen(v, m->act->extent);
	v->gen_used = m->gen;
	m->to_gone = false;
	m->stage = MX_MOVE_INTENT;
	m->attempt++;
	mx_vol_sync_desc(v, now);
}

static void ask_stat(struct mx_vol *v, mx_ns now);

static void begin(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_ent *e = ent_of(v);

	m->from = v->vs[e->srv[0]];
	m->to = NULL;
	m->serial++;
	m->since = now;
	m->need = 0;
	m->stage = MX_MOVE_STAT;
	if (e->flags & MX_EF_DATA)
		ask_stat(v, now);
	else
		forget(v, now);
}

static bool worth_it(const struct mx_vol *v, const struct mx_act *a)
{
	return mx_map_at(&v->map, a->extent)->state == MX_EXT_PLACED &&
	       (a->op || !mx_list_empty(&a->wait)) && !v->fail;
}

static bool may_begin(struct mx_vol *v, struct mx_act *a, mx_ns now)
{
	if (a->hold != MX_HOLD_MOVE || a->writers)
		return false;
	if (worth_it(v, a))
		return true;
	tell_op(a, v->fail ? v->fail : MX_ST_INVALID, "the extent is on no server", now);
	mx_act_release(a, now);
	return false;
}

/* Begins with the next extent that is to be moved and that no write is under way
 * to any more. */
void mx_move_kick(struct mx_vol *v, mx_ns now)
{
	struct mx_list turn;

	if (v->move.kicking || v->move.stage)
		return;
	v->move.kicking = true;
	mx_list_take(&turn, &v->held);
	while (!mx_list_empty(&turn)) {
		struct mx_act *a = mx_list_entry(turn.next, struct mx_act, node);

		mx_list_del(&a->node);
		mx_list_add_tail(&v->held, &a->node);
		if (v->move.stage || !may_begin(v, a, now))
			continue;
		v->move.act = a;
		begin(v, now);
	}
	v->move.kicking = false;
}

/* The target cannot take it: somebody else. What it has is dead and stays so. */
static void other_target(struct mx_vol *v, mx_ns now)
{
	stop_io(&v->move);
	aim(v, now);
}

/* ---- edits of the descriptor ---- */

void mx_move_edit(struct mx_vol *v, struct mx_desc *d)
{
	struct mx_move *m = &v->move;
	u32 extent;
	bool ok = true;

	if (m->stage < MX_MOVE_INTENT || m->stage > MX_MOVE_UNDO)
		return;
	extent = m->act->extent;
	m->edit_attempt = m->attempt;
	m->edit_stage = m->stage;
	switch (m->stage) {
	case MX_MOVE_INTENT:
		ok = mx_dead_add(d, m->to, extent, m->gen);
		break;
	case MX_MOVE_SWAP:
		mx_dead_del(d, m->to->id, m->to->inc, extent, m->gen);
		ok = !m->from || mx_dead_add(d, m->from, extent, ent_of(v)->gen);
		if (!ok)
			mx_dead_add(d, m->to, extent, m->gen);	/* as it was */
		break;
	default:
		mx_dead_del(d, m->from->id, m->from->inc, extent, ent_of(v)->gen);
		break;
	}
	m->edit_failed = !ok;
}

/* The extent is the target's. Reads under way at the source begin anew. */
static void moved(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_ent *e = ent_of(v);
	struct mx_vs *from = m->from;
	u32 extent = m->act->extent;

	if (from)
		from->extents--;
	m->to->extents++;
	m->to->booked += m->need;
	e->srv[0] = m->to->idx;
	e->gen = m->gen;
	e->flags = (e->flags & MX_EF_BIT) | MX_EF_DATA | (m->lostbase ? MX_EF_LOSTBASE : 0);
	mx_map_set(&v->map, e, MX_EXT_PLACED);
	v->st.moves++;
	mx_reads_reroute(v, extent, now);
	finish(v, MX_OK, now);
	if (from)
		mx_vs_drops(from, now);
}

/* The target went while the descriptor was told that the extent is there. The
 * source still has it. */
static void undo(struct mx_vol *v, mx_ns now)
{
	v->move.stage = MX_MOVE_UNDO;
	v->move.attempt++;
	mx_vol_sync_desc(v, now);
}

void mx_move_edited(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_move *m = &v->move;

	/* Not OK: it is edited again. */
	if (st != MX_OK || m->edit_attempt != m->attempt || m->edit_stage != m->stage)
		return;
	m->edit_attempt--;
	if (m->edit_failed) {
		finish(v, MX_ST_NO_SPACE, now);
		return;
	}
	switch (m->stage) {
	case MX_MOVE_INTENT:
		m->chunk = 0;
		next_chunk(v, now);
		break;
	case MX_MOVE_SWAP:
		if (m->to_gone && !m->from)
			finish(v, MX_OK, now);	/* lost, as the map says */
		else if (m->to_gone)
			undo(v, now);
		else
			moved(v, now);
		break;
	case MX_MOVE_UNDO:
		begin(v, now);
		break;
	default:
		break;
	}
}

/* ---- copying ---- */

static struct mx_io *new_io(struct mx_vol *v, u8 op, struct mx_vs *s, u32 first, u32 n,
			    void (*end)(struct mx_io *, enum mx_status, mx_ns), mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_io *io = m->io;

	mx_io_init(io);
	io->op = op;
	io->flags = MX_IOF_INTERNAL;
	io->end = end;
	io->vs = s;
	io->extent = m->act->extent;
	io->gen = s == m->from ? ent_of(v)->gen : m->gen;
	io->first = (u16)first;
	io->nblocks = (u16)n;
	io->buf = m->data;
	io->buf_off = 0;
	io->crcs = m->crcs;
	io->born = now;
	return io;
}

/* The part is over. False: so is the move, or this attempt. */
static bool io_ok(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_move *m = &v->move;
	bool at_target = io->vs == m->to;

	io->state = MX_IO_FREE;
	io->tag += 0x10000;
	if (st == MX_OK)
		return true;
	if (at_target && (st == MX_ST_FULL || st == MX_ST_LEAVING)) {
		m->to->full = true;
		m->to->full_at = now;
		m->to->leaving |= st == MX_ST_LEAVING;
		other_target(v, now);
	} else {
		finish(v, st, now);
	}
	return false;
}

static void stat_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_move *m = &v->move;
	u32 holes = 0, lost = 0;

	if (!io_ok(io, st, now))
		return;
	m->need = 0;
	for (u32 p = 0; p < MX_EXTENT_PAGES; p++) {
		u8 k = kind(m, p);

		holes += k == MX_PAGE_HOLE;
		lost += k == MX_PAGE_LOST;
		if (k == MX_PAGE_DATA)
			m->need += MX_PAGE + 64;	/* with its bookkeeping */
	}
	m->lostbase = lost;
	if (holes == MX_EXTENT_PAGES) {
		forget(v, now);
	} else if (lost == MX_EXTENT_PAGES) {
		/* Nothing can be sent that would make it there; and it must not be dropped
		 * here, or it would read as zeros. */
		tell_op(m->act, MX_ST_LOST, "all of the extent is lost, there is nothing to move", now);
		finish(v, MX_ST_NO_SPACE, now);
	} else {
		aim(v, now);
	}
}

static void ask_stat(struct mx_vol *v, mx_ns now)
{
	v->move.stage = MX_MOVE_STAT;
	mx_io_start(new_io(v, MX_IO_BLKSTAT, v->move.from, 0, 1, stat_end, now), now);
}

static void read_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	if (!io_ok(io, st, now))
		return;
	io->vol->move.at = 0;
	next_run(io->vol, now);
}

/* How a page is copied: its kind, with holes as zeros where absent means lost. */
static u8 how(const struct mx_move *m, u8 k)
{
	return k == MX_PAGE_HOLE && m->lostbase ? MX_PAGE_ZERO : k;
}

static void commit(struct mx_vol *v, mx_ns now);

/* The next 128 KiB that have something to copy. */
static void next_chunk(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;

	for (; m->chunk < MX_EXTENT_BLOCKS; m->chunk += MX_IO_BLOCKS_MAX) {
		bool data = false, zero = false;

		for (u32 i = 0; i < CHUNK_PAGES; i++) {
			u8 k = kind(m, m->chunk / MX_PAGE_BLOCKS + i);

			m->pkind[i] = k;
			data |= k == MX_PAGE_DATA;
			zero |= how(m, k) == MX_PAGE_ZERO;
		}
		if (data) {
			m->stage = MX_MOVE_READ;
			mx_io_start(new_io(v, MX_REQ_READ, m->from, m->chunk, MX_IO_BLOCKS_MAX,
					   read_end, now), now);
			return;
		}
		if (zero) {
			m->at = 0;
			next_run(v, now);
			return;
		}
	}
	commit(v, now);
}

static void write_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	if (!io_ok(io, st, now))
		return;
	next_run(io->vol, now);
}

/* The next pages of the chunk that are alike. */
static void next_run(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_io *io;
	u32 from, n;
	u8 k;

	while (m->at < CHUNK_PAGES && how(m, m->pkind[m->at]) > MX_PAGE_ZERO)
		m->at++;
	if (m->at == CHUNK_PAGES) {
		m->chunk += MX_IO_BLOCKS_MAX;
		next_chunk(v, now);
		return;
	}
	from = m->at;
	k = how(m, m->pkind[from]);
	while (m->at < CHUNK_PAGES && how(m, m->pkind[m->at]) == k)
		m->at++;
	n = (m->at - from) * MX_PAGE_BLOCKS;
	m->stage = MX_MOVE_WRITE;
	io = new_io(v, k == MX_PAGE_DATA ? MX_REQ_WRITE : MX_REQ_ZERO, m->to,
		    m->chunk + from * MX_PAGE_BLOCKS, n, write_end, now);
	io->num = mx_vol_next_num(v);
	io->wflags = MX_F_INCOMING | (m->lostbase ? MX_F_LOSTBASE : 0);
	io->buf_off = from * MX_PAGE;
	io->crcs = m->crcs + from * MX_PAGE_BLOCKS;
	mx_io_start(io, now);
}

/* ---- commit ---- */

static void commit_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_vol *v = mx_container_of(call, struct mx_vol, move.call);
	struct mx_move *m = &v->move;

	(void)body;
	(void)len;
	m->committing = false;
	if (st == MX_OK) {
		m->stage = MX_MOVE_SWAP;
		mx_vol_sync_desc(v, now);
	} else if (st == MX_ST_STALE_GEN) {
		other_target(v, now);	/* the copy is not there any more */
	} else {
		if (st == MX_ST_NEED_SEAL)
			mx_vs_seal(m->to, now);
		else if (st == MX_ST_FENCED)
			mx_vol_suspect(v, m->to, now);
		mx_vol_tick_at(v, now + 100 * MX_MS);	/* again: mx_move_tick */
	}
	mx_client_kick(v->c, now);
}

static void commit(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;
	struct mx_drop_ext_req r = { .epoch = v->epoch, .extent = m->act->extent, .gen = m->gen };
	u32 n;

	m->stage = MX_MOVE_COMMIT;
	if (m->committing)
		return;
	if (!mx_vs_ok(m->to)) {
		mx_vol_tick_at(v, now + 100 * MX_MS);
		return;
	}
	memcpy(r.uuid, v->uuid, MX_UUID);
	n = mx_drop_ext_req_encode(m->body, sizeof m->body, &r);
	m->committing = true;
	mx_call_start(&m->call, m->to->srv->peer, MX_OP_COMMIT_EXTENT, m->body, n, CALL_PATIENCE, now,
		      commit_done);
}

/* ---- from outside ---- */

void mx_move_tick(struct mx_vol *v, mx_ns now)
{
	struct mx_move *m = &v->move;

	if (!m->stage) {
		mx_move_kick(v, now);
		return;
	}
	if (m->stage == MX_MOVE_COMMIT && !m->committing)
		commit(v, now);
	/* Before COMMIT was sent the move can be given up; after it, its fate is
	 * known only to the target, but the descriptor says that it is dead. */
	if (v->conf.fail_after && now >= m->since + v->conf.fail_after &&
	    (m->stage == MX_MOVE_STAT || m->stage == MX_MOVE_READ || m->stage == MX_MOVE_WRITE ||
	     m->stage == MX_MOVE_COMMIT))
		finish(v, MX_ST_TIMEOUT, now);
	else if (!is_shed(v))
		leave_held(v, now);
	else if (m->stage < MX_MOVE_SWAP && now >= m->since + SHED_PATIENCE)
		leave(v, now);
	if (m->stage)
		mx_vol_tick_at(v, now + 100 * MX_MS);
}

void mx_move_vs_gone(struct mx_vol *v, struct mx_vs *s, mx_ns now)
{
	struct mx_move *m = &v->move;

	if (!m->stage)
		return;
	if (s == m->from && m->stage == MX_MOVE_SWAP) {
		m->from = NULL;
	} else if (s == m->from) {
		/* The map says lost, or hole, by now: writes are placed anew. */
		tell_op(m->act, MX_ST_LOST, "its server has restarted", now);
		finish(v, MX_OK, now);
	} else if (s == m->to && m->stage == MX_MOVE_SWAP && m->edit_stage == MX_MOVE_SWAP &&
		   m->edit_attempt == m->attempt) {
		m->to_gone = true;	/* the edit may be at a majority, or not */
	} else if (s == m->to && !m->from) {
		finish(v, MX_OK, now);	/* lost, as the map says */
	} else if (s == m->to && m->stage != MX_MOVE_UNDO) {
		other_target(v, now);
	}
}

/* The volume is given back: the descriptor says by itself where the extent is. */
void mx_move_end(struct mx_vol *v, mx_ns now)
{
	if (v->move.stage)
		finish(v, MX_ST_CANCELLED, now);
}

/* The volume is freed. */
void mx_move_free(struct mx_vol *v)
{
	if (v->move.io)
		stop_io(&v->move);
}

/* The volume ends: what is being moved stays where it is, what was to be, too; a
 * version being written is waited for. */
void mx_move_stop(struct mx_vol *v, mx_ns now)
{
	enum mx_status st = v->fail ? v->fail : MX_ST_CANCELLED;
	struct mx_list turn;

	if (v->move.stage && (v->fail || v->move.stage < MX_MOVE_SWAP))
		finish(v, st, now);
	mx_list_take(&turn, &v->held);
	while (!mx_list_empty(&turn)) {
		struct mx_act *a = mx_list_entry(turn.next, struct mx_act, node);

		mx_list_del(&a->node);
		mx_list_add_tail(&v->held, &a->node);
		if (a->hold != MX_HOLD_MOVE || a == v->move.act)
			continue;
		tell_op(a, st, mx_status_str(st), now);
		mx_act_fail_full(a, st, now);
	}
}

void mx_vol_move(struct mx_vol *v, u32 extent, u64 to_server, struct mx_vol_op *o, mx_ns now)
{
	struct mx_ent *e;
	struct mx_act *a;

	if (v->fail || v->phase != MX_VP_OPEN || v->conf.read_only) {
		o->done(o, v->fail ? v->fail : MX_ST_READ_ONLY, "the volume is not open for writing", now);
		return;
	}
	e = extent < v->map.nents ? mx_map_at(&v->map, extent) : NULL;
	if (!e || e->state != MX_EXT_PLACED) {
		o->done(o, MX_ST_INVALID, "the extent is on no server", now);
		return;
	}
	if (to_server && v->vs[e->srv[0]]->id == to_server) {
		o->done(o, MX_OK, NULL, now);
		return;
	}
	a = mx_act_get(v, extent);
	if (!a || a->op || (a->hold && a->hold != MX_HOLD_MOVE)) {
		o->done(o, MX_ST_BUSY, "the extent is being changed; try again", now);
		return;
	}
	a->op = o;
	a->op_to = to_server;
	mx_act_hold(a, MX_HOLD_MOVE);
	mx_move_kick(v, now);
}
