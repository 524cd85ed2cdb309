/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions: a client's open of a volume for data, from open to close. */
#include <stdlib.h>
#include "life.h"

static void set_state(struct life_sess *s, enum sess_state to)
{
	s->state = to;
	s->since = s->l->w.now;
}

struct life_sess *sess_of(struct life_client *c, u32 vol)
{
	struct mx_list *p;

	mx_list_for_each(p, &c->sess) {
		struct life_sess *s = mx_list_entry(p, struct life_sess, node);

		if (s->vol == &c->l->vols[vol])
			return s;
	}
	return NULL;
}

/* ---- opening ---- */

/* What it was opened under; its descriptor may be that of a successor already. */
static u32 epoch_of(const struct life_sess *s)
{
	struct mx_vol_stats st;

	mx_vol_stats(s->v, &st, node_now(s->c->n));
	return st.epoch;
}

static void resolve_size(struct life_sess *s, const struct mx_desc *d)
{
	struct life_create *cr = s->cr;

	s->blocks = mx_vol_size(s->v) / MX_BLOCK;
	if (d->epoch == s->epoch && d->size != mx_vol_size(s->v))
		sim_fail(&s->l->w, "%s: size %llu, its descriptor says %llu", d->name,
			 (unsigned long long)mx_vol_size(s->v), (unsigned long long)d->size);
	if (d->epoch != s->epoch || d->epoch < cr->epoch)
		return;
	cr->epoch = d->epoch;
	if (!cr->resizing)
		cr->size_a = cr->size_b = d->size;
	cr->nholders = d->nholders;
}

/* Which of the holders recorded now are gone? The crashes before did no other harm. */
static void note_holders(struct life_sess *s, const struct mx_desc *d)
{
	struct world *w = &s->l->w;
	u32 i, k, hit = 0;

	for (i = 0; i < d->nholders; i++)
		for (k = 0; k < w->nservers; k++) {
			const struct sim_node *n = &w->nodes[k];

			if (n->id == d->holders[i].id && (!n->up || n->leaving || mx_ep_node(n->ep)->incarnation !=
							  d->holders[i].incarnation))
				hit |= 1u << k;
		}
	s->cr->holders_hit = hit;
}

static void on_free(struct world *w, struct sim_ev *e)
{
	(void)w;
	if (w->nodes[e->node].life == e->life && w->nodes[e->node].up)
		sess_free(e->p);
}

static void free_later(struct life_sess *s)
{
	world_at(&s->l->w, s->l->w.now, on_free, s->c->n, s, 0);
}

static void opened(void *user, enum mx_status st, mx_ns now)
{
	struct life_sess *s = user;
	struct life *l = s->l;
	const struct mx_desc *d;

	(void)now;
	world_mix(&l->w, l->w.now ^ (u64)st << 40);
	if (s->state != SESS_OPENING)
		sim_fail(&l->w, "%s: opened() twice, or after close", s->vol->name);
	if (st != MX_OK) {
		const char *err = mx_vol_error(s->v);

		TR(&l->w, "%s: open %s: %s: %s", s->c->n->name, s->vol->name, sim_status(st),
		   err ? err : "");
		if (!err || !*err)
			sim_fail(&l->w, "open of %s failed (%s) without a sentence that says why",
				 s->vol->name, sim_status(st));
		l->st.open_fail[st < 96 ? st : 95]++;
		s->error = st;
		set_state(s, SESS_FAILED);
		free_later(s);
		return;
	}
	d = mx_vol_desc(s->v);
	s->cr = vols_known(l, d, (u32)(s->vol - l->vols), s->since);
	s->ckv = s->cr->ck;
	s->epoch = epoch_of(s);
	resolve_size(s, d);
	if (s->epoch == s->cr->epoch)
		note_holders(s, d);
	s->ck = ck_open(s->ckv, s->c->n->name, s->epoch, s->conf.force);
	if (s->c->n->port.clock_stops)
		ck_asks(s->ck);
	if (vols_forcing(l, (u32)(s->vol - l->vols)))
		ck_force(s->ckv);
	l->st.opens++;
	l->st.forced += s->conf.force;
	set_state(s, SESS_OPEN);
	TR(&l->w, "%s: %s is OPEN, epoch %u, %llu bytes%s%s", s->c->n->name, s->vol->name, s->epoch,
	   (unsigned long long)d->size, s->conf.force ? ", by force" : "",
	   s->conf.read_only ? ", read-only" : "");
	if (s->want_close)
		sess_close_later(s);
}

static void closed(void *user, mx_ns now)
{
	struct life_sess *s = user;

	(void)now;
	TR(&s->l->w, "%s: %s is closed", s->c->n->name, s->vol->name);
	if (s->state != SESS_CLOSING)
		sim_fail(&s->l->w, "%s: closed() without a close", s->vol->name);
	if (s->inflight)
		sim_fail(&s->l->w, "%s: closed() with %u requests under way", s->vol->name,
			 s->inflight);
	if (s->side_ops)
		sim_fail(&s->l->w, "%s: closed() with %u operations under way", s->vol->name,
			 s->side_ops);
	if (s->ck)
		ck_close(s->ck);
	set_state(s, SESS_CLOSED);
	if (!s->aborts)
		free_later(s);
}

/* An owner that was away finds that its volume was made larger meanwhile; by nobody
 * but who asked for it by name. */
void sess_resync(struct life_sess *s)
{
	u64 size = mx_vol_size(s->v);

	if (s->resizing || s->fenced || s->state != SESS_OPEN || size == s->blocks * MX_BLOCK || ck_overtaken(s->ck))
		return;
	if (size < s->blocks * MX_BLOCK || (size != s->cr->size_a && size != s->cr->size_b &&
					    !s->cr->recovered))
		sim_fail(&s->l->w, "%s: its size has become %llu, expected %llu, %llu or %llu",
			 s->vol->name, (unsigned long long)size,
			 (unsigned long long)s->blocks * MX_BLOCK,
			 (unsigned long long)s->cr->size_a, (unsigned long long)s->cr->size_b);
	s->blocks = size / MX_BLOCK;
}

static void event(void *user, const char *line, mx_ns now)
{
	struct life_sess *s = user;

	(void)now;
	TR(&s->l->w, "%s: %s event: %s", s->c->n->name, s->vol->name, line);
}

static const struct mx_vol_ops ops = { .opened = opened, .closed = closed, .event = event };

struct life_sess *sess_open(struct life_client *c, u32 vol, const struct mx_vol_conf *conf)
{
	struct life *l = c->l;
	struct life_sess *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->l = l;
	s->c = c;
	s->vol = &l->vols[vol];
	s->conf = *conf;
	mx_list_init(&s->ops);
	mx_list_init(&s->dead);
	set_state(s, SESS_OPENING);
	TR(&l->w, "%s: open %s%s%s%s", c->n->name, s->vol->name, conf->force ? ", force" : "",
	   conf->read_only ? ", read-only" : "", conf->wait_owner ? ", wait" : "");
	s->v = mx_vol_open(c->n->cli, s->vol->name, conf, &ops, s, node_now(c->n));
	if (!s->v) {
		TR(&l->w, "%s: no memory to open %s", c->n->name, s->vol->name);
		if (l->w.healed)
			sim_fail(&l->w, "open of %s returns NULL with memory enough", s->vol->name);
		free(s);
		return NULL;
	}
	mx_list_add_tail(&c->sess, &s->node);
	if (conf->force)
		vols_force(l, vol);
	node_pump(c->n);
	return s;
}

/* ---- ending ---- */

static void free_ops(struct mx_list *list)
{
	while (!mx_list_empty(list)) {
		struct life_op *o = mx_list_entry(list->next, struct life_op, node);

		mx_list_del(&o->node);
		free(o->buf.data);
		free(o->buf.stable);
		free(o);
	}
}

static void sess_forget(struct life_sess *s)
{
	free_ops(&s->ops);
	free_ops(&s->dead);
	mx_list_del(&s->node);
	free(s);
}

void sess_free(struct life_sess *s)
{
	struct life_client *c = s->c;

	if (s->state != SESS_FAILED && s->state != SESS_CLOSED)
		sim_fail(&s->l->w, "the simulator frees a session in use");
	mx_vol_free(s->v);
	node_pump(c->n);
	sess_forget(s);
}

void sess_drop(struct life_sess *s)
{
	if (s->shrink_op)
		ck_shrink_end(s->ckv, s->shrink_op, s->shrink_to / MX_BLOCK, CK_FAILED);
	if (s->resizing)
		s->cr->resizing = false;
	if (s->ck && s->state != SESS_CLOSED)
		ck_crash(s->ck);
	sess_forget(s);
}

void sess_close(struct life_sess *s)
{
	if (s->state != SESS_OPEN)
		return;
	TR(&s->l->w, "%s: close %s (%u requests under way)", s->c->n->name, s->vol->name, s->inflight);
	set_state(s, SESS_CLOSING);
	mx_vol_close(s->v, node_now(s->c->n));
	node_pump(s->c->n);
}

static void on_close(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];

	if (n->life == e->life && n->up)
		sess_close(e->p);
}

void sess_close_later(struct life_sess *s)
{
	world_at(&s->l->w, s->l->w.now, on_close, s->c->n, s, 0);
}

/* What was under way at the abort has long ended. */
static void on_aborted(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];
	struct life_sess *s = e->p;

	if (n->life != e->life || !n->up)
		return;
	s->aborts--;
	if (s->inflight)
		sim_fail(w, "%s: %u requests under way after an abort", s->vol->name, s->inflight);
	if (s->state == SESS_CLOSED && !s->aborts)
		free_later(s);
}

void sess_abort(struct life_sess *s)
{
	if (s->state != SESS_OPEN && s->state != SESS_CLOSING)
		return;
	TR(&s->l->w, "%s: abort %s (%u requests under way)", s->c->n->name, s->vol->name, s->inflight);
	s->aborted = true;
	mx_vol_abort(s->v, MX_ST_CANCELLED, node_now(s->c->n));
	/* done() comes from the endpoint, at once but not from inside. */
	world_at(&s->l->w, s->l->w.now + 100 * MX_MS, on_aborted, s->c->n, s, ck_stamp(s->l->ck));
	s->aborts++;
	if (s->state == SESS_OPEN)
		sess_close(s);
	else
		node_pump(s->c->n);
}

/* ---- operations beside the data ---- */

struct sess_op {
	struct mx_vol_op o;
	struct mx_blkstat_req b;
	struct life_sess *s;
	u64 arg;
	u32 look;
};

static struct sess_op *sess_op(struct life_sess *s)
{
	struct sess_op *x = calloc(1, sizeof *x);

	if (!x)
		abort();
	x->s = s;
	x->o.user = x;
	s->side_ops++;
	return x;
}

static void move_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct sess_op *x = o->user;
	struct life_sess *s = x->s;

	(void)now;
	TR(&s->l->w, "%s: move of %s extent %llu: %s%s%s", s->c->n->name, s->vol->name,
	   (unsigned long long)x->arg, sim_status(st), err ? ": " : "", err ? err : "");
	s->l->st.moves += st == MX_OK;
	s->side_ops--;
	free(x);
}

void sess_move(struct life_sess *s)
{
	struct world *w = &s->l->w;
	struct sess_op *x;
	u32 win = (u32)rng_below(&w->rng_work, s->vol->nwin);
	u64 blk = s->vol->win[win].blk + rng_below(&w->rng_work, s->vol->win[win].n);
	u64 to = rng_one_in(&w->rng_work, 3) ? 0 :
		 w->nodes[rng_below(&w->rng_work, w->nservers)].id;

	if (blk >= s->blocks)
		return;
	x = sess_op(s);
	x->o.done = move_done;
	x->arg = blk / MX_EXTENT_BLOCKS;
	TR(w, "%s: move %s extent %llu", s->c->n->name, s->vol->name, (unsigned long long)x->arg);
	mx_vol_move(s->v, (u32)x->arg, to, &x->o, node_now(s->c->n));
	node_pump(s->c->n);
}

static void resize_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct sess_op *x = o->user;
	struct life_sess *s = x->s;

	(void)now;
	TR(&s->l->w, "%s: resize of %s to %llu: %s%s%s", s->c->n->name, s->vol->name,
	   (unsigned long long)x->arg, sim_status(st), err ? ": " : "", err ? err : "");
	s->resizing = s->cr->resizing = false;
	s->fenced |= st == MX_ST_FENCED || st == MX_ST_DELETED;
	s->l->st.resizes += st == MX_OK;
	/* What an old owner hears late was there when it was overtaken: or it was of
	 * no account. Nor is a resize to the size it has by its owner's knowledge. */
	if (st == MX_OK && !ck_overtaken(s->ck) && x->arg != s->blocks * MX_BLOCK) {
		if (mx_vol_size(s->v) != x->arg)
			sim_fail(&s->l->w, "%s: resized to %llu, but its size is %llu", s->vol->name,
				 (unsigned long long)x->arg,
				 (unsigned long long)mx_vol_size(s->v));
		s->cr->size_a = s->cr->size_b = x->arg;
		s->blocks = x->arg / MX_BLOCK;
	}
	if (s->shrink_op)
		ck_shrink_end(s->ckv, s->shrink_op, x->arg / MX_BLOCK, st == MX_OK ? CK_OK : CK_FAILED);
	s->shrink_op = 0;
	s->side_ops--;
	free(x);
}

void sess_resize(struct life_sess *s)
{
	struct world *w = &s->l->w;
	struct sess_op *x;
	u64 blocks;

	sess_resync(s);
	blocks = mx_max_u64(1, s->blocks * rng_range(&w->rng_work, 1, 8) / 4);
	/* With requests under way beyond the new end, what is right is moot. */
	if (s->inflight || s->resizing || s->cr->resizing || blocks > 1ull << 30)
		return;
	x = sess_op(s);
	x->o.done = resize_done;
	x->arg = blocks * MX_BLOCK;
	s->resizing = s->cr->resizing = true;
	s->cr->size_b = x->arg;
	s->shrink_to = x->arg;
	s->shrink_op = 0;
	if (blocks < s->blocks)
		s->shrink_op = ck_shrink_begin(s->ckv, blocks);
	TR(w, "%s: resize %s to %llu", s->c->n->name, s->vol->name, (unsigned long long)x->arg);
	mx_vol_resize(s->v, x->arg, &x->o, node_now(s->c->n));
	node_pump(s->c->n);
}

static void blkstat_done(struct mx_blkstat_req *b, enum mx_status st)
{
	struct sess_op *x = mx_container_of(b, struct sess_op, b);
	struct life_sess *s = x->s;
	u64 blk = b->off / MX_BLOCK, end = blk + b->run / MX_BLOCK;
	bool one_extent = blk / MX_EXTENT_BLOCKS == (end - 1) / MX_EXTENT_BLOCKS;
	u32 since = ck_looked(s->ckv, x->look);

	sess_resync(s);
	TR(&s->l->w, "%s: status of %s at %llu: %s kind %u for %llu", s->c->n->name, s->vol->name,
	   (unsigned long long)b->off, sim_status(st), b->kind, (unsigned long long)b->run);
	if (st == MX_OK && (!b->run || b->off % MX_BLOCK || b->run % MX_BLOCK || end > s->blocks ||
			    (!one_extent && b->kind != MX_PAGE_HOLE)))
		sim_fail(&s->l->w, "%s: block status of an odd run: %llu at %llu", s->vol->name,
			 (unsigned long long)b->run, (unsigned long long)b->off);
	if (st == MX_OK && ck_overtaken(s->ck)) {
		/* As with reads. */
		if (!ck_overtaken_by_force(s->ck))
			sim_fail(&s->l->w, "%s: status told by %s although another has owned the volume",
				 s->vol->name, s->c->n->name);
		if (!s->c->n->port.clock_stops)
			st = MX_ST_FENCED;
	}
	if (st == MX_OK && (b->kind == MX_PAGE_ZERO || b->kind == MX_PAGE_HOLE))
		ck_run_zero(s->ckv, since, blk, b->run / MX_BLOCK);
	if (st == MX_OK && b->kind == MX_PAGE_LOST)
		ck_run_lost(s->ckv, since, blk, b->run / MX_BLOCK);
	s->l->st.blkstats += st == MX_OK;
	s->side_ops--;
	free(x);
}

void sess_blkstat(struct life_sess *s)
{
	struct world *w = &s->l->w;
	struct sess_op *x;
	u32 win = (u32)rng_below(&w->rng_work, s->vol->nwin);
	u64 blk = s->vol->win[win].blk + rng_below(&w->rng_work, s->vol->win[win].n);

	if (blk >= s->blocks)
		return;
	x = sess_op(s);
	x->b.off = blk * MX_BLOCK;
	x->b.done = blkstat_done;
	x->look = ck_look(s->ck);
	mx_vol_blkstat(s->v, &x->b, node_now(s->c->n));
	node_pump(s->c->n);
}
