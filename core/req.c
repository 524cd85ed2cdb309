// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: cut into parts, counted, ended. Reads go at once (read.c), writes and
 * zeroes through the struct mx_act of their extent (act.c).
 */
#include "client_int.h"

#define SPLIT_BUDGET	4096u		/* parts begun in one go */
#define POLICY_EARLY	(100 * MX_MS)	/* nothing fails sooner than this */

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

void mx_part_finish(struct mx_io *io, enum mx_status st)
{
	struct mx_req *r = io->req;

	mx_io_put(io);
	part_done(r, st);
}

void mx_part_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	if (io->act)
		mx_write_end(io, st, now);
	else
		mx_part_finish(io, st == MX_OK ? (enum mx_status)io->st : st);
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

	if (r->op == MX_REQ_READ && mx_seen_as(e) == MX_EXT_HOLE) {
		r->local = true;
		v->c->port->buf_zero(v->c->port->ctx, r->buf, off, n * MX_BLOCK);
		return true;
	}
	if (r->op == MX_REQ_READ && mx_seen_as(e) == MX_EXT_LOST) {
		r->st = MX_ST_LOST;
		return true;
	}
	if (r->op >= MX_REQ_ZERO && e->state == MX_EXT_HOLE && !e->act) {
		r->local = true;
		return true;
	}
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
	mx_act_submit(a, io, now);
	return true;
}

/* True: all of it is under way, or done. */
static bool split(struct mx_vol *v, struct mx_req *r, mx_ns now)
{
	u64 most = r->op <= MX_REQ_WRITE ? MX_IO_BLOCKS_MAX * MX_BLOCK : MX_EXTENT;
	u64 end = r->off + r->len;
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
		if (!mx_stat_begin(v, mx_list_entry(n, struct mx_blkstat_req, node), now)) {
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
	r->local = false;
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
	mx_vol_policy_soon(v, now);
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
			mx_act_leave(io->act, io);
		break;
	default:
		mx_list_del(&io->node);
		break;
	}
	if (io->op == MX_IO_BLKSTAT)
		io->end(io, st, now);
	else
		mx_part_finish(io, st);
}

static void end_stats(struct mx_list *all, enum mx_status st)
{
	while (!mx_list_empty(all)) {
		struct mx_list *n = all->next;

		mx_list_del(n);
		mx_stat_done(mx_list_entry(n, struct mx_blkstat_req, node), st);
	}
}

/* Ends every request there is. What is being done to extents for their own sake
 * goes on. */
void mx_vol_end_all(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_list turn;

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
	end_stats(&v->statq, st);
	end_stats(&v->statwait, st);
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

bool mx_given_up(const struct mx_vs *s)
{
	return s->gave_up && s->gave_up == last_sign(s);
}

static bool unknown_given_up(const struct mx_vol *v)
{
	return v->gave_up && v->gave_up == last_unknown(v);
}

/* A request came: the policy looks at it in time. */
void mx_vol_policy_soon(struct mx_vol *v, mx_ns now)
{
	if (v->conf.fail_after)
		mx_vol_tick_at(v, unknown_given_up(v) ? now : now + POLICY_EARLY);
}

/* Whose silence @io waits for: where it is noted, with its last sign in *sign. NULL:
 * it waits for something else. */
static mx_ns *silence(struct mx_vol *v, const struct mx_io *io, mx_ns *sign)
{
	switch (io->state) {
	case MX_IO_PARKED:
	case MX_IO_QUEUED:
	case MX_IO_SENT:
		*sign = last_sign(io->vs);
		return &io->vs->gave_up;
	case MX_IO_UNKNOWN:
		*sign = last_unknown(v);
		return &v->gave_up;
	case MX_IO_WAIT:
		if (io->act->hold != MX_HOLD_UNKNOWN)
			return NULL;
		*sign = last_unknown(v);
		return &v->gave_up;
	default:
		return NULL;
	}
}

/* Once a request was given up for a silence, others fail at once until it ends. */
static bool overdue(struct mx_vol *v, const struct mx_io *io, mx_ns now)
{
	mx_ns t = io->born, patience = v->conf.fail_after, sign = 0, *noted;
	bool early = now < io->born + mx_min_u64(patience, POLICY_EARLY);

	if (io->flags & MX_IOF_INTERNAL)
		return false;
	noted = silence(v, io, &sign);
	if (noted && *noted && *noted == sign)
		return true;
	if (early)
		return false;
	if (noted)
		t = io->state == MX_IO_UNKNOWN ? mx_max_u64(t, sign) : sign;
	else if (io->state == MX_IO_BIT && !mx_vol_lease_ok(v, now))
		t = io->sent;	/* the holders are silent, who would set it */
	else if (io->state != MX_IO_WAIT || !io->act->hold)
		return false;	/* waits for another, whose time will come */
	t = mx_max_u64(t, mx_ep_woke(v->c->ep));
	if (now <= t || now - t < patience)
		return false;
	if (noted)
		*noted = sign;
	return true;
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

		if (now < mx_max_u64(r->born, mx_ep_woke(v->c->ep)) + v->conf.fail_after)
			continue;
		mx_list_del(n);
		r->st = MX_ST_TIMEOUT;
		mx_list_add_tail(&v->c->done, n);
	}
	mx_list_for_each_safe(n, next, &v->statwait) {
		struct mx_blkstat_req *r = mx_list_entry(n, struct mx_blkstat_req, node);

		if (now < mx_max_u64(r->sent, mx_ep_woke(v->c->ep)) + v->conf.fail_after)
			continue;
		mx_list_del(n);
		mx_stat_done(r, MX_ST_TIMEOUT);
	}
	return true;
}
