/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a life ends: all faults heal, and then everything must come right within
 * bounded time. What was asked ends; each volume opens and holds what the checker
 * says; deleted volumes leave nothing behind; nothing leaks.
 */
#include "life.h"

/* Generous next to what the protocol needs (back-off to 1 s, leases of 10 s,
 * caretakers after 60 s), tight next to for ever. */
#define END_REQUESTS	(120 * MX_SEC)
#define END_OPEN	(240 * MX_SEC)
#define END_VERIFY	(120 * MX_SEC)
#define END_DELETE	(900 * MX_SEC)
#define SPARE_PAGES	8u	/* an empty store may keep a few at hand */

static bool run_until(struct life *l, bool (*done)(struct life *, void *), void *arg, mx_ns limit)
{
	struct world *w = &l->w;
	mx_ns until = w->now + limit;

	while (!done(l, arg))
		if (!world_step(w, until))
			return false;
	return true;
}

static void run_for(struct life *l, mx_ns t)
{
	mx_ns until = l->w.now + t;

	while (world_step(&l->w, until))
		;
}

/* ---- drain ---- */

static struct life_sess *any_sess(struct life *l, bool (*want)(const struct life_sess *))
{
	struct mx_list *p;
	u32 i;

	for (i = 0; i < l->cf.nclients; i++)
		mx_list_for_each(p, &l->cl[i].sess) {
			struct life_sess *s = mx_list_entry(p, struct life_sess, node);

			if (want(s))
				return s;
		}
	return NULL;
}

static bool is_busy(const struct life_sess *s)
{
	return s->state == SESS_OPENING || s->inflight || s->side_ops;
}

static bool is_there(const struct life_sess *s) { (void)s; return true; }

static bool none_busy(struct life *l, void *arg)
{
	u32 i;

	(void)arg;
	for (i = 0; i < l->cf.nclients; i++)
		if (side_busy(&l->cl[i]) || !l->cl[i].n->up)
			return false;
	return !any_sess(l, is_busy);
}

static bool none_there(struct life *l, void *arg)
{
	(void)arg;
	return !any_sess(l, is_there);
}

static bool hopeless(const struct life_sess *s)
{
	return is_busy(s) && s->cr && !s->aborted &&
	       (s->state == SESS_OPEN || s->state == SESS_CLOSING) &&
	       vols_instance_gone(s->l, (u32)(s->cr - s->l->creates));
}

static void drain(struct life *l)
{
	struct life_sess *s;
	struct mx_list *p, *tmp;
	u32 i;

	/* With most holders gone no lease can be renewed, and requests wait until
	 * somebody recovers the volume. Their users do not wait that long. */
	run_for(l, 20 * MX_SEC);
	while ((s = any_sess(l, hopeless)))
		sess_abort(s);
	if (!run_until(l, none_busy, NULL, END_REQUESTS)) {
		s = any_sess(l, is_busy);
		if (s && s->inflight) {
			struct life_op *o = mx_list_entry(s->ops.next, struct life_op, node);

			sim_fail(&l->w, "%s: request #%u of %s (kind %d, blocks %llu + %u) has not ended "
				 "%llu s after all faults healed", s->vol->name, o->op, s->c->n->name,
				 o->kind, (unsigned long long)o->blk, o->n,
				 (unsigned long long)(END_REQUESTS / MX_SEC));
		}
		if (s)
			sim_fail(&l->w, "%s: %s of %s has not ended %llu s after all faults healed",
				 s->vol->name, s->state == SESS_OPENING ? "open" : "a move or resize",
				 s->c->n->name, (unsigned long long)(END_REQUESTS / MX_SEC));
		sim_fail(&l->w, "an operation by name has not ended %llu s after all faults healed",
			 (unsigned long long)(END_REQUESTS / MX_SEC));
	}
	for (i = 0; i < l->cf.nclients; i++)
		mx_list_for_each_safe(p, tmp, &l->cl[i].sess) {
			s = mx_list_entry(p, struct life_sess, node);
			if (s->state == SESS_OPEN)
				sess_close(s);
		}
	if (!run_until(l, none_there, NULL, END_REQUESTS)) {
		s = any_sess(l, is_there);
		sim_fail(&l->w, "%s: close by %s has not ended %llu s after all faults healed",
			 s->vol->name, s->c->n->name, (unsigned long long)(END_REQUESTS / MX_SEC));
	}
}

/* ---- verify ---- */

static void redo_add(struct life_sess *s, u64 blk, u32 n)
{
	if (s->nredo == MX_ARRAY_SIZE(s->redo))
		sim_fail(&s->l->w, "the simulator's list of lost runs is full");
	s->redo[s->nredo].blk = blk;
	s->redo[s->nredo++].n = n;
}

void end_read(struct life_sess *s, struct life_op *o, enum mx_status st)
{
	struct life *l = s->l;

	if (st == MX_OK)
		l->st.verified_blocks += o->n;
	else if (st != MX_ST_LOST)
		sim_fail(&l->w, "%s: with all healed, a read of blocks %llu + %u ends with \"%s\"",
			 s->vol->name, (unsigned long long)o->blk, o->n, sim_status(st));
	else if (o->n > MX_PAGE_BLOCKS)
		redo_add(s, o->blk, o->n);
	else
		l->st.lost_blocks += o->n;
	s->burst = 1;		/* the next comes from end_fill */
}

void end_fill(struct life_sess *s)
{
	u64 end;
	u32 n;

	while (s->state == SESS_OPEN && s->inflight < 8) {
		if (s->nredo) {
			u64 blk = s->redo[s->nredo - 1].blk;

			n = mx_min_u32(s->redo[s->nredo - 1].n,
				       (u32)(MX_PAGE_BLOCKS - blk % MX_PAGE_BLOCKS));
			s->redo[s->nredo - 1].blk += n;
			s->redo[s->nredo - 1].n -= n;
			if (!s->redo[s->nredo - 1].n)
				s->nredo--;
			io_submit(s, CK_READ, blk, n, 0);
			continue;
		}
		if (s->vwin == s->vol->nwin)
			break;
		end = mx_min_u64(s->blocks, s->vol->win[s->vwin].blk + s->vol->win[s->vwin].n);
		s->vnext = mx_max_u64(s->vnext, s->vol->win[s->vwin].blk);
		if (s->vnext >= end) {
			s->vwin++;
			s->vnext = 0;
			continue;
		}
		n = (u32)mx_min_u64(128, end - s->vnext);
		io_submit(s, CK_READ, s->vnext, n, 0);
		s->vnext += n;
	}
	if (!s->inflight && s->vwin == s->vol->nwin)
		sess_close(s);
}

struct opening { struct life_client *c; u32 vol; enum mx_status error; };

static bool opened_or_not(struct life *l, void *arg)
{
	struct opening *o = arg;
	struct life_sess *s = sess_of(o->c, o->vol);

	(void)l;
	if (s && s->state == SESS_FAILED)
		o->error = s->error;
	return !s || s->state == SESS_OPEN;
}

static bool sides_done(struct life *l, void *arg)
{
	(void)l;
	return !side_busy(arg);
}

static bool any_leaving(const struct life *l)
{
	u32 i;

	for (i = 0; i < l->w.nservers; i++)
		if (l->w.nodes[i].leaving)
			return true;
	return false;
}

/* Opens by hook or by crook; NULL if the volume is rightly not to be had. */
static struct life_sess *open_somehow(struct life *l, struct life_client *c, u32 vol)
{
	struct mx_vol_conf conf = {
		.wait_owner = true, .lease = l->cf.lease, .open_timeout = 60 * MX_SEC,
		.ios = l->cf.ios, .enroll_max = l->cf.enroll_max,
	};
	mx_ns limit = l->w.now + END_OPEN;
	struct opening o = { .c = c, .vol = vol };
	const char *name = l->vols[vol].name;

	for (;;) {
		o.error = MX_OK;
		sess_open(c, vol, &conf);
		if (!run_until(l, opened_or_not, &o, 120 * MX_SEC))
			sim_fail(&l->w, "open of %s hangs though all is healed", name);
		if (o.error == MX_OK)
			return sess_of(c, vol);
		if (o.error == MX_ST_NO_VOLUME || o.error == MX_ST_DELETED) {
			if (truth_quorum(l, vol) || (vols_alive(l, vol) && !vols_may_be_gone(l, vol)))
				sim_fail(&l->w, "%s has vanished", name);
			return NULL;
		}
		if (o.error == MX_ST_NAME_CLASH) {
			if (vols_met(l, vol) < 2 || !truth_clash(l, vol))
				sim_fail(&l->w, "%s: a name clash of one volume", name);
			l->st.clashes++;
			l->vols[vol].clash = true;
			return NULL;
		}
		if (o.error == MX_ST_NO_QUORUM) {
			if (truth_quorum(l, vol))
				sim_fail(&l->w, "%s is said to have no quorum, but a majority of its "
					 "holders has it", name);
			if (!vols_may_be_gone(l, vol))
				sim_fail(&l->w, "%s has no quorum, but too few holders crashed", name);
			l->st.no_quorum++;
			vols_recover(c, vol);
			if (!run_until(l, sides_done, c, 120 * MX_SEC))
				sim_fail(&l->w, "recover of %s hangs though all is healed", name);
			/* Servers that leave take nothing in. */
			if (c->recover_st == MX_ST_NO_SERVERS && any_leaving(l))
				return NULL;
			/* What is left of an earlier volume of that name is left, too. */
			if (c->recover_st == MX_ST_NAME_CLASH && vols_ever(l, vol) > 1) {
				l->vols[vol].clash = true;
				return NULL;
			}
		}
		if (l->w.now > limit)
			sim_fail(&l->w, "%s cannot be opened though all is healed: \"%s\"", name,
				 sim_status(o.error));
		run_for(l, MX_SEC);
	}
}

static void verify(struct life *l, u32 vol, struct life_client *c)
{
	struct life_sess *s = open_somehow(l, c, vol);

	if (!s)
		return;
	s->verify = true;
	s->depth = 8;
	end_fill(s);
	node_pump(c->n);
	if (!run_until(l, none_there, NULL, END_VERIFY))
		sim_fail(&l->w, "%s cannot be read to its end though all is healed", s->vol->name);
}

static struct life_client *client_for(struct life *l, u32 vol)
{
	u32 i = (u32)rng_below(&l->w.rng_work, l->cf.nclients);

	/* One with a volume key may know another volume only. */
	return l->cl[i].may_create || i % l->cf.nvols == vol ? &l->cl[i] : &l->cl[0];
}

static void verify_all(struct life *l)
{
	u32 vol;

	for (vol = 0; vol < l->cf.nvols; vol++) {
		if (!vols_maybe(l, vol))
			continue;
		verify(l, vol, client_for(l, vol));
		if (rng_one_in(&l->w.rng_work, 3))
			verify(l, vol, client_for(l, vol));
	}
}

/* ---- delete, audit ---- */

static void check_stores(struct life *l)
{
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		const char *why = l->w.nodes[i].up ?
				  mx_store_check(mx_server_store(l->w.nodes[i].srv)) : NULL;

		if (why)
			sim_fail(&l->w, "store of %s is inconsistent: %s", l->w.nodes[i].name, why);
	}
}

static bool all_empty(struct life *l, void *arg)
{
	u32 i;

	(void)arg;
	for (i = 0; i < l->w.nservers; i++) {
		struct sim_node *n = &l->w.nodes[i];
		const struct mx_store_stats *ss;
		struct mx_server_stats st;

		if (!n->up)
			return false;
		mx_server_stats(n->srv, &st, node_now(n));
		ss = mx_store_stats(mx_server_store(n->srv));
		if (st.held || mx_svol_next(mx_server_store(n->srv), NULL) || ss->extents ||
		    ss->pages || n->npages > SPARE_PAGES)
			return false;
	}
	return true;
}

static void fail_not_empty(struct life *l)
{
	char what[512] = "";
	size_t at = 0;
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		struct sim_node *n = &l->w.nodes[i];
		const struct mx_store_stats *ss = mx_store_stats(mx_server_store(n->srv));
		struct mx_server_stats st;

		mx_server_stats(n->srv, &st, node_now(n));
		if (st.held || ss->volumes || ss->extents || n->npages > SPARE_PAGES)
			at += (size_t)snprintf(what + at, sizeof what - at, " %s %u descriptors, %llu "
				"volumes, %llu extents, %u pages;", n->name, st.held,
				(unsigned long long)ss->volumes, (unsigned long long)ss->extents,
				n->npages);
	}
	sim_fail(&l->w, "%llu s after all volumes were deleted, servers still hold:%s",
		 (unsigned long long)(END_DELETE / MX_SEC), what);
}

static void delete_all(struct life *l)
{
	bool sure = true;
	u32 vol, i, tries;

	for (vol = 0; vol < l->cf.nvols; vol++) {
		for (tries = 0; tries < 4 && vols_maybe(l, vol) && !l->vols[vol].clash; tries++) {
			vols_delete(&l->cl[0], vol, true);
			if (!run_until(l, sides_done, &l->cl[0], END_DELETE))
				sim_fail(&l->w, "delete of %s hangs though all is healed",
					 l->vols[vol].name);
		}
		sure = sure && !l->vols[vol].clash;
	}
	/* A volume whose holders all crashed has left data nobody can name. */
	for (i = 0; i < l->ncreates; i++)
		sure = sure && !l->creates[i].recovered &&
		       (l->creates[i].state == CR_REFUSED || !vols_instance_gone(l, i));
	if (!sure)
		return;
	if (!run_until(l, all_empty, NULL, END_DELETE))
		fail_not_empty(l);
}

void life_end(struct life *l)
{
	u32 i;

	faults_heal(l);
	drain(l);
	check_stores(l);
	verify_all(l);
	check_stores(l);
	delete_all(l);
	check_stores(l);
	for (i = l->w.nnodes; i-- > 0;)
		node_stop(&l->w.nodes[i]);
}
