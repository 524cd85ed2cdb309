/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests: what is asked, with which buffers, and how it may end. */
#include <stdlib.h>
#include "life.h"

static void fill_later(struct life_sess *s);

/* ---- how a request may end ---- */

static enum ck_end how_ended(struct life_op *o, enum mx_status st)
{
	struct life_sess *s = o->s;
	struct life *l = s->l;

	switch (st) {
	case MX_OK:
		/* The volume may have become larger while it was under way. */
		if (o->bad_range && o->blk + o->n > mx_vol_size(s->v) / MX_BLOCK)
			break;
		return CK_OK;
	case MX_ST_LOST:
		return CK_ENDED_LOST;
	case MX_ST_READ_ONLY:
		if (!s->conf.read_only || o->kind == CK_READ)
			break;
		return CK_REFUSED;
	case MX_ST_INVALID:
		if (!o->bad_range)
			break;
		return CK_REFUSED;
	case MX_ST_NO_SPACE:
		if (!l->space_short)
			break;
		return CK_FAILED;
	case MX_ST_TIMEOUT:
		/* Of the silence, not of the request: it may be young. */
		if (!s->conf.fail_after)
			break;
		return CK_FAILED;
	case MX_ST_CANCELLED:
		if (!s->aborted)
			break;
		return CK_FAILED;
	case MX_ST_FENCED:
	case MX_ST_DELETED:
	case MX_ST_LEASE_LAPSED:
		s->fenced = true;
		return CK_FAILED;
	default:
		break;
	}
	sim_fail(&l->w, "%s: request #%u of %s (%llu + %u blocks) ended with \"%s\", which nothing "
		 "explains", s->vol->name, o->op, s->c->n->name, (unsigned long long)o->blk, o->n,
		 sim_status(st));
}

static void count(struct life *l, const struct life_op *o, enum mx_status st)
{
	u64 *n = o->req.op == MX_REQ_FLUSH ? &l->st.flushes : o->kind == CK_READ ? &l->st.reads :
		 o->kind == CK_WRITE ? &l->st.writes : o->kind == CK_DISCARD ? &l->st.discards :
		 &l->st.zeros;

	*n += st == MX_OK;
	l->st.ended[st < 96 ? st : 95]++;
	l->st.lost_reads += st == MX_ST_LOST;
}

static const char *kind_name(const struct life_op *o)
{
	static const char *const names[] = { "read", "write", "zero", "discard" };

	return o->req.op == MX_REQ_FLUSH ? "flush" : names[o->kind];
}

static void io_done(struct mx_req *r, enum mx_status st)
{
	struct life_op *o = mx_container_of(r, struct life_op, req);
	struct life_sess *s = o->s;
	struct world *w = &s->l->w;
	enum ck_end how;

	if (o->ended)
		sim_fail(w, "%s: request #%u ended twice", s->vol->name, o->op);
	o->ended = true;
	s->inflight--;
	o->buf.magic = 0;
	world_mix(w, w->now ^ (u64)o->op << 32 ^ st);
	TR(w, "%s: %s #%u %s: %s", s->c->n->name, kind_name(o), o->op, s->vol->name, sim_status(st));
	how = how_ended(o, st);
	count(s->l, o, st);
	if (o->req.op != MX_REQ_FLUSH)
		ck_end(s->ckv, o->op, how, o->buf.data);
	if (s->verify)
		end_read(s, o, st);
	free(o->buf.data);
	free(o->buf.stable);
	o->buf.data = o->buf.stable = NULL;
	mx_list_del(&o->node);
	mx_list_add_tail(&s->dead, &o->node);
	if (s->burst && !s->fenced && s->state == SESS_OPEN) {
		if (s->l->cf.submit_in_done && !s->verify)
			io_fill(s);
		else
			fill_later(s);
	}
}

/* ---- asking ---- */

static void fill_buf(struct life_op *o, bool zeros)
{
	struct life_sess *s = o->s;
	struct rng *r = &s->l->w.rng_work;
	u32 i, some = zeros ? 0 : (u32)rng_below(r, 16);

	for (i = 0; i < o->n; i++) {
		/* All zeros, or now and then a zero block among others. */
		bool z = zeros || (some == 1 && rng_one_in(r, 3));

		if (z)
			ck_put_zeros(s->ckv, o->op, o->blk + i);
		ck_fill(s->ckv, z ? CK_ZERO : ck_value(o->op, 0), o->blk + i,
			o->buf.data + i * MX_BLOCK);
	}
}

struct life_op *io_submit(struct life_sess *s, enum ck_kind kind, u64 blk, u32 n, u32 flags)
{
	static const u8 reqs[] = {
		[CK_READ] = MX_REQ_READ, [CK_WRITE] = MX_REQ_WRITE,
		[CK_WRITE_ZEROS] = MX_REQ_ZERO, [CK_DISCARD] = MX_REQ_DISCARD,
	};
	struct life_op *o = calloc(1, sizeof *o);

	if (!o)
		abort();
	o->s = s;
	o->kind = (u8)kind;
	o->blk = blk;
	o->n = n;
	o->begun = s->l->w.now;
	sess_resync(s);
	/* One that was overtaken may have seen a change of size that others made. */
	o->bad_range = blk + n > s->blocks ||
		       (ck_overtaken(s->ck) && blk + n > mx_vol_size(s->v) / MX_BLOCK);
	o->req.op = flags & IO_FLUSH ? MX_REQ_FLUSH : reqs[kind];
	o->req.flags = flags & IO_STABLE ? MX_REQ_STABLE : 0;
	o->req.off = blk * MX_BLOCK;
	o->req.len = (u64)n * MX_BLOCK;
	o->req.buf = &o->buf;
	o->req.done = io_done;
	o->buf.magic = SIM_BUF_LIVE;
	o->buf.op = o;
	mx_list_add_tail(&s->ops, &o->node);
	s->inflight++;
	if (!(flags & IO_FLUSH))
		o->op = ck_begin(s->ck, kind, blk, n);
	if (!(flags & IO_FLUSH) && (kind == CK_READ || kind == CK_WRITE)) {
		o->buf.len = n * MX_BLOCK;
		o->buf.data = malloc(o->buf.len);
		if (!o->buf.data)
			abort();
		if (kind == CK_WRITE)
			fill_buf(o, flags & IO_ZEROS);
		else
			memset(o->buf.data, 0xee, o->buf.len);
		o->buf.fickle = flags & IO_FICKLE;
	}
	TR(&s->l->w, "%s: %s #%u %s blocks %llu + %u%s%s", s->c->n->name, kind_name(o), o->op,
	   s->vol->name, (unsigned long long)blk, n, flags & IO_FICKLE ? ", fickle" : "",
	   flags & IO_STABLE ? ", stable" : "");
	mx_vol_submit(s->v, &o->req, node_now(s->c->n));
	return o;
}

/* The owner of a buffer scribbles over one of its blocks. */
void io_touch(struct world *w, void *buf)
{
	struct sim_buf *b = buf;
	struct life_op *o = b->op;
	u32 i;

	if (o->versions >= 250 || rng_below(&w->rng_work, 3))
		return;
	i = (u32)rng_below(&w->rng_work, o->n);
	o->versions++;
	TR(w, "%s: buffer of #%u changes at block %llu", o->s->c->n->name, o->op,
	   (unsigned long long)(o->blk + i));
	ck_changed(o->s->ckv, o->op, o->blk + i, o->versions);
	ck_fill(o->s->ckv, ck_value(o->op, o->versions), o->blk + i, b->data + i * MX_BLOCK);
}

/* ---- bursts ---- */

static u32 draw_len(struct life *l, struct rng *r)
{
	u32 n;

	switch (rng_below(r, 6)) {
	case 0:
		n = 1;
		break;
	case 1:
		n = (u32)rng_range(r, 1, 16);
		break;
	case 2:
		n = (u32)rng_range(r, 1, 64) * MX_PAGE_BLOCKS;
		break;
	case 3:
		n = (u32)rng_log(r, 1, l->cf.io_max);
		break;
	default:
		n = MX_PAGE_BLOCKS;
	}
	return mx_min_u32(n, l->cf.io_max);
}

static enum ck_kind draw_kind(struct rng *r)
{
	u32 k = (u32)rng_below(r, 100);

	return k < 40 ? CK_READ : k < 82 ? CK_WRITE : k < 90 ? CK_WRITE_ZEROS : CK_DISCARD;
}

static u32 draw_flags(struct life *l, struct rng *r, enum ck_kind kind)
{
	if (kind != CK_WRITE)
		return 0;
	if (rng_one_in(r, 12))
		return IO_ZEROS;
	if (l->cf.fickle && rng_one_in(r, 3))
		return IO_FICKLE;
	return rng_one_in(r, 2) ? IO_STABLE : 0;
}

static void io_one(struct life_sess *s)
{
	struct life *l = s->l;
	struct rng *r = &l->w.rng_work;
	u32 win = (u32)rng_below(r, s->vol->nwin), n = draw_len(l, r);
	u64 base = s->vol->win[win].blk, wn = s->vol->win[win].n, blk;
	enum ck_kind kind = draw_kind(r);

	if (s->conf.read_only && rng_below(r, 16))
		kind = CK_READ;
	/* Now and then a whole extent is discarded, and so freed. */
	if (kind == CK_DISCARD && rng_one_in(r, 3))
		n = (u32)rng_range(r, MX_EXTENT_BLOCKS / 2, MX_EXTENT_BLOCKS * 3 / 2);
	n = (u32)mx_min_u64(n, wn);
	blk = base + (rng_one_in(r, 2) ? rng_below(r, wn - n + 1) :
		      rng_below(r, mx_min_u64(wn - n + 1, 64)));
	if (n >= MX_PAGE_BLOCKS && rng_below(r, 4))
		blk -= blk % MX_PAGE_BLOCKS;
	blk = mx_max_u64(blk, base);
	if (blk + n > s->blocks && rng_below(r, 20))
		return;		/* the volume was shrunk; seldom try all the same */
	if (rng_one_in(r, 50)) {
		io_submit(s, CK_READ, 0, 0, IO_FLUSH);
		return;
	}
	io_submit(s, kind, blk, n, draw_flags(l, r, kind));
}

void io_fill(struct life_sess *s)
{
	while (s->state == SESS_OPEN && s->burst && s->inflight < s->depth && s->l->ops_left &&
	       !s->resizing) {
		s->burst--;
		s->l->ops_left--;
		io_one(s);
	}
}

static void on_fill(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];
	struct life_sess *s = e->p;

	if (n->life != e->life || !n->up)
		return;
	s->fill_due = false;
	if (s->verify)
		end_fill(s);
	else
		io_fill(s);
	node_pump(n);
}

static void fill_later(struct life_sess *s)
{
	if (s->fill_due)
		return;
	s->fill_due = true;
	world_at(&s->l->w, s->l->w.now, on_fill, s->c->n, s, 0);
}

void io_burst(struct life_sess *s)
{
	struct life *l = s->l;
	struct rng *r = &l->w.rng_work;

	s->depth = (u32)rng_range(r, 1, l->cf.depth_max);
	s->burst = (u32)rng_log(r, 1, mx_max_u32(2, l->cf.ops_max / 8));
	io_fill(s);
	node_pump(s->c->n);
}
