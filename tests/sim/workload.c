/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients decide to do, one thought after the other. */
#include "life.h"

/* Data opens differ in all a user can set. */
static void draw_conf(struct life *l, struct mx_vol_conf *c)
{
	struct rng *r = &l->w.rng_work;

	memset(c, 0, sizeof *c);
	c->read_only = rng_one_in(r, 12);
	c->force = l->cf.force && rng_one_in(r, 3);
	c->wait_owner = rng_one_in(r, 2);
	c->lease = l->cf.lease;
	c->fail_after = rng_one_in(r, 3) ? rng_log(r, 100 * MX_MS, 10 * MX_SEC) : 0;
	c->open_timeout = rng_log(r, 2 * MX_SEC, 30 * MX_SEC);
	c->rebuild_wait = rng_log(r, 100 * MX_MS, 3 * MX_SEC);
	c->ios = l->cf.ios;
	c->enroll_max = l->cf.enroll_max;
}

static void think_closed(struct life_client *c, u32 vol)
{
	struct life *l = c->l;
	struct rng *r = &l->w.rng_work;
	struct mx_vol_conf conf;
	u32 k = (u32)rng_below(r, 100);

	if (c->may_create && (!vols_maybe(l, vol) ? k < 90 : k < 5 && !l->vols[vol].clash)) {
		vols_create(c, vol);
		return;
	}
	if (k >= 95 && l->cf.deletes && c->may_create)
		vols_delete(c, vol, l->cf.force && rng_one_in(r, 2));
	else if (k >= 90 && l->cf.resizes && c->may_create)
		vols_resize(c, vol);
	else if (k >= 86)
		vols_info(c, vol);
	else if (k >= 83 && c->may_create)
		vols_list(c);
	else {
		draw_conf(l, &conf);
		sess_open(c, vol, &conf);
	}
}

static void think_open(struct life_client *c, struct life_sess *s)
{
	struct life *l = c->l;
	struct rng *r = &l->w.rng_work;
	u32 k = (u32)rng_below(r, 100), i;

	if (s->fenced) {
		if (rng_one_in(r, 2))
			sess_abort(s);
		else
			sess_close(s);
	} else if (k < 6) {
		sess_close(s);
	} else if (k < 8) {
		sess_abort(s);
	} else if (k < 18 && l->cf.moves) {
		for (i = (u32)rng_range(r, 1, 3); i; i--)
			sess_move(s);
	} else if (k < 22 && l->cf.resizes) {
		sess_resize(s);
	} else if (k < 28) {
		sess_blkstat(s);
	} else if (!s->burst) {
		io_burst(s);
	} else {
		io_fill(s);
		node_pump(c->n);
	}
}

static void think(struct life_client *c)
{
	struct life *l = c->l;
	u32 vol = (u32)rng_below(&l->w.rng_work, l->cf.nvols);
	struct life_sess *s = sess_of(c, vol);

	if (!s) {
		if (!side_busy(c))
			think_closed(c, vol);
	} else if (s->state == SESS_OPEN) {
		think_open(c, s);
	} else if (s->state == SESS_CLOSING && rng_one_in(&l->w.rng_work, 5)) {
		sess_abort(s);	/* a close waits for requests; not every user does */
	}
}

static void on_think(struct world *w, struct sim_ev *e)
{
	struct life *l = w->user;
	struct life_client *c = e->p;

	if (!l->active)
		return;
	if (c->n->up)
		think(c);
	world_at(w, w->now + rng_exp(&w->rng_work, l->cf.think), on_think, NULL, c, 0);
}

void work_start(struct life *l)
{
	struct world *w = &l->w;
	u32 i;

	for (i = 0; i < l->cf.nclients; i++)
		world_at(w, rng_below(&w->rng_work, MX_SEC), on_think, NULL, &l->cl[i], 0);
}
