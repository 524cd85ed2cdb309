// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changing a held descriptor: edits, batched into versions, and the change of
 * holders, which counts only with a majority of the old set and of the new one
 * (joint consensus), and only after every new holder has descriptor and bitmap.
 */
#include "claim_int.h"

#define CHANGE_PATIENCE	(10 * MX_SEC)
#define HEAL_PAUSE	(5 * MX_SEC)

void mx_claim_edit(struct mx_claim *c, struct mx_claim_edit *e, mx_ns now)
{
	e->applied = false;
	mx_list_add_tail(&c->edits, &e->node);
	if (c->state == MX_CLAIM_HELD)
		claim_tick_at(c, now);
}

static void edits_done(struct mx_list *l, enum mx_status st, mx_ns now)
{
	while (!mx_list_empty(l)) {
		struct mx_claim_edit *e = mx_list_entry(l->next, struct mx_claim_edit, node);

		mx_list_del(&e->node);
		e->done(e, st == MX_OK && !e->applied ? MX_ST_INVALID : st, now);
	}
}

void claim_edits_fail(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	c->writing = false;
	edits_done(&c->edits_out, st, now);
	edits_done(&c->edits, st, now);
}

static bool same_set(const struct mx_desc *a, const struct mx_desc *b)
{
	if (a->nholders != b->nholders)
		return false;
	for (u32 i = 0; i < a->nholders; i++)
		if (mx_desc_holder(b, a->holders[i].id, a->holders[i].incarnation) < 0)
			return false;
	return true;
}

/*
 * Applies waiting edits to a copy of the descriptor and begins writing it. An
 * edit of the holders travels alone: it may be given up without harm to others.
 * It is written with the set before in prev, and once that has the majorities of
 * both sets, a version without prev ends the change.
 */
static void write_next(struct mx_claim *c, mx_ns now)
{
	struct mx_desc *d = c->next;
	bool any = c->cur->nprev != 0, heal = false;

	memcpy(d, c->cur, sizeof *d);
	d->nprev = 0;
	while (!mx_list_empty(&c->edits)) {
		struct mx_claim_edit *e = mx_list_entry(c->edits.next, struct mx_claim_edit, node);

		heal = e == &c->heal;
		if (heal && (c->cur->nprev || !mx_list_empty(&c->edits_out)))
			break;
		mx_list_del(&e->node);
		e->applied = e->edit(e, d);
		any |= e->applied;
		mx_list_add_tail(&c->edits_out, &e->node);
		if (heal)
			break;
	}
	if (!any) {
		edits_done(&c->edits_out, MX_OK, now);
		return;
	}
	if (c->tried_version < c->cur->version)
		c->tried_version = c->cur->version;
	d->version = ++c->tried_version;
	if (!same_set(c->cur, d)) {
		memcpy(d->prev, c->cur->holders, sizeof d->prev);
		d->nprev = c->cur->nholders;
		d->config++;
		c->change_by = now + CHANGE_PATIENCE;
	}
	c->writing = true;
	c->joint = false;
	claim_load_slots(c, d, now);
	claim_accept_round(c, (u32)(c->conf.lease / MX_MS), now);
}

void claim_written(struct mx_claim *c, mx_ns now)
{
	memcpy(c->cur, c->next, sizeof *c->cur);
	claim_votes_cancel(c);
	c->writing = false;
	edits_done(&c->edits_out, MX_OK, now);
	claim_tick_at(c, now);
}

static void give_up_change(struct mx_claim *c, mx_ns now)
{
	claim_votes_cancel(c);
	c->writing = false;
	claim_load_slots(c, c->cur, now);
	edits_done(&c->edits_out, MX_ST_TIMEOUT, now);
}

/* There is a version to be written. The one that ends a change of holders waits for
 * bitmaps at a majority of the new ones: they alone count then. */
bool claim_edit_ready(const struct mx_claim *c)
{
	u32 yes = 0;

	if (c->writing)
		return false;
	if (!c->cur->nprev)
		return !mx_list_empty(&c->edits);
	for (u32 i = 0; i < c->nslots; i++)
		yes += c->slot[i].new && c->slot[i].synced;
	return yes >= mx_majority(c->cur->nholders);
}

/* ---- looking after the holders ---- */

static bool silent(const struct claim_slot *s, mx_ns now)
{
	mx_ns heard = s->peer ? mx_peer_heard(s->peer) : 0;

	if (heard < s->c->started)
		heard = s->c->started;
	return now >= heard + s->c->conf.silent;
}

static bool leaving(const struct claim_slot *s)
{
	const struct mx_member *m = mx_ep_member_by_id(s->c->ep, s->ref.id);

	return m && m->node.incarnation == s->ref.incarnation && (m->flags & MX_MEMBER_LEAVING);
}

static bool wants_replacing(const struct claim_slot *s, mx_ns now)
{
	return s->old && (s->gone || claim_slot_reborn(s) || silent(s, now) || leaving(s));
}

/* Holds @id already, whichever its incarnation: a server has one vote. */
static bool holds(const struct mx_desc *d, u64 id, int but)
{
	for (u32 i = 0; i < d->nholders; i++)
		if ((int)i != but && d->holders[i].id == id)
			return true;
	return false;
}

/* The best server that could be a holder of @d beside those there are, or in
 * place of holder @of (-1: beside). */
static struct mx_member *candidate(struct mx_claim *c, const struct mx_desc *d, int of, mx_ns now)
{
	struct mx_member *best = NULL;
	u64 top = 0;

	for (u32 i = 0; i < mx_ep_nmembers(c->ep); i++) {
		struct mx_member *m = mx_ep_member(c->ep, i);
		u64 score = claim_score(d->name, m->node.id);

		if (!(m->flags & MX_MEMBER_SERVER) || (m->flags & MX_MEMBER_LEAVING) ||
		    now >= m->heard + 20 * MX_SEC || (best && score <= top) ||
		    holds(d, m->node.id, of) ||
		    mx_desc_holder(d, m->node.id, m->node.incarnation) >= 0)
			continue;
		best = m;
		top = score;
	}
	return best;
}

static void put_holder(struct mx_srvref *r, const struct mx_member *m)
{
	memset(r, 0, sizeof *r);
	r->id = m->node.id;
	r->incarnation = m->node.incarnation;
	r->addr = m->addr;
	r->state = MX_ENR_OK;
}

static bool heal_apply(struct mx_claim *c, struct mx_desc *d, mx_ns now)
{
	bool any = false;

	for (u32 i = 0; i < c->nslots; i++) {
		const struct mx_srvref *r = &c->slot[i].ref;
		struct mx_member *m;
		int h;

		if (!wants_replacing(&c->slot[i], now))
			continue;
		h = mx_desc_holder(d, r->id, r->incarnation);
		m = candidate(c, d, h, now);
		if (h < 0 || !m)
			continue;
		put_holder(&d->holders[h], m);
		any = true;
	}
	/* One holder becomes three; two would be worse than either. */
	while (d->nholders < MX_HOLDERS_WANT) {
		struct mx_desc *t = d;
		u32 before = d->nholders;
		struct mx_member *a = candidate(c, t, -1, now), *b;

		if (!a)
			break;
		put_holder(&d->holders[d->nholders++], a);
		b = d->nholders < MX_HOLDERS_WANT ? candidate(c, t, -1, now) : NULL;
		if (d->nholders < MX_HOLDERS_WANT && !b) {
			d->nholders = before;
			break;
		}
		if (b)
			put_holder(&d->holders[d->nholders++], b);
		any = true;
	}
	return any;
}

static bool heal_edit(struct mx_claim_edit *e, struct mx_desc *d)
{
	struct mx_claim *c = mx_container_of(e, struct mx_claim, heal);

	/* heal_at was set to now + HEAL_PAUSE when this was queued */
	return heal_apply(c, d, c->heal_at - HEAL_PAUSE);
}

static void heal_done(struct mx_claim_edit *e, enum mx_status st, mx_ns now)
{
	struct mx_claim *c = mx_container_of(e, struct mx_claim, heal);

	c->healing = false;
	(void)st;
	(void)now;
}

static bool holders_right(const struct mx_claim *c, mx_ns now)
{
	struct mx_claim *mc = (struct mx_claim *)c;	/* tmp is scratch */

	memcpy(mc->tmp, c->cur, sizeof *c->tmp);
	return !heal_apply(mc, mc->tmp, now);
}

bool mx_claim_healthy(const struct mx_claim *c, mx_ns now)
{
	return !claim_filling(c) && !c->cur->nprev && holders_right(c, now);
}

void claim_edit_tick(struct mx_claim *c, mx_ns now)
{
	if (c->writing) {
		bool filled = !c->changing || c->joint || claim_all_synced(c);

		if (!filled && now >= c->change_by) {
			give_up_change(c, now);
			return;
		}
		/* The old holders hear of it now, so it cannot be given up any more. */
		c->joint = c->changing && filled;
		if (filled && claim_majority(c, claim_voted))
			claim_written(c, now);
		else
			claim_accept_push(c, now);
		return;
	}
	if (!c->healing && !c->reading && !c->cur->nprev && !c->conf.no_heal && now >= c->heal_at &&
	    !holders_right(c, now)) {
		c->healing = true;
		c->heal_at = now + HEAL_PAUSE;
		c->heal.edit = heal_edit;
		c->heal.done = heal_done;
		mx_list_add_tail(&c->edits, &c->heal.node);
	}
	if (claim_edit_ready(c))
		write_next(c, now);
}
