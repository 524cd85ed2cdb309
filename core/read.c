// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and block status: where they go, and where they go again when the map
 * changes under them.
 */
#include "client_int.h"

#define HOLE_RUN	4096u		/* extents looked at for one block status */

/* What a read finds. Where no write was acknowledged by the server there is nothing
 * yet (one that was given up and may have got there is not shown), or, in a lost
 * extent being placed anew, still nothing but loss: the server, who may not know of
 * the extent at all, would call both a hole. Where one was, but the bit does not say
 * so yet, the read waits for that: what was once read must not be a hole after a
 * crash. */
enum mx_ext_state mx_seen_as(const struct mx_ent *e)
{
	if (e->state != MX_EXT_PLACED)
		return e->state;
	if (!(e->flags & MX_EF_DATA))
		return e->flags & MX_EF_LOSTBASE ? MX_EXT_LOST : MX_EXT_HOLE;
	return e->flags & MX_EF_BIT ? MX_EXT_PLACED : MX_EXT_UNKNOWN;
}

static void hole_run(struct mx_vol *v, struct mx_blkstat_req *r)
{
	u32 e = (u32)(r->off >> MX_EXTENT_SHIFT), n = 0;

	while (n++ < HOLE_RUN && e < v->map.nents && mx_seen_as(mx_map_at(&v->map, e)) == MX_EXT_HOLE)
		e++;
	mx_stat_set(v, r, MX_PAGE_HOLE, (u64)e << MX_EXTENT_SHIFT);
}

void mx_stat_done(struct mx_blkstat_req *r, enum mx_status st)
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
	mx_stat_done(r, st == MX_OK && !r->run ? MX_ST_INVALID : st);	/* shrunk meanwhile */
}

/* Goes by what the map says now: also when it has changed since. */
void mx_read_go(struct mx_io *io, mx_ns now)
{
	struct mx_vol *v = io->vol;
	struct mx_ent *e = mx_map_at(&v->map, io->extent);

	switch (mx_seen_as(e)) {
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
		if (io->op == MX_IO_BLKSTAT) {
			hole_run(v, io->buf);
		} else {
			v->c->port->buf_zero(v->c->port->ctx, io->buf, io->buf_off,
					     io->nblocks * MX_BLOCK);
			if (io->req)
				io->req->local = true;
		}
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

/* Reads under way to an extent that is not there any more begin anew, as do those
 * that wait for its bit. */
void mx_reads_reroute(struct mx_vol *v, u32 extent, mx_ns now)
{
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->extent == extent && !io->act && !(io->flags & MX_IOF_INTERNAL) &&
		    (io->state == MX_IO_SENT || io->state == MX_IO_QUEUED ||
		     io->state == MX_IO_PARKED))
			mx_part_reroute(io, now);
	}
	if (!mx_list_empty(&v->unknown))
		mx_reads_retry(v, now);
}

/* False: no part is free. */
bool mx_stat_begin(struct mx_vol *v, struct mx_blkstat_req *r, mx_ns now)
{
	struct mx_io *io;
	u32 extent = (u32)(r->off >> MX_EXTENT_SHIFT);

	if (r->off >= v->size) {
		mx_stat_done(r, MX_ST_INVALID);
		return true;
	}
	switch (mx_seen_as(mx_map_at(&v->map, extent))) {
	case MX_EXT_HOLE:
		hole_run(v, r);
		mx_stat_done(r, MX_OK);
		return true;
	case MX_EXT_LOST:
		lost_run(v, r);
		mx_stat_done(r, MX_OK);
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
		mx_stat_done(r, v->fail ? (enum mx_status)v->fail : MX_ST_CANCELLED);
	else if (r->off >= v->size)
		mx_stat_done(r, MX_ST_INVALID);
	else
		mx_list_add_tail(&v->statq, &r->node);
	mx_client_kick(v->c, now);
	mx_vol_policy_soon(v, now);
}
