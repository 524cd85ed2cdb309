// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the descriptor says of servers and dead copies, and its edits: all of them
 * go through one edit at a time (mx_vol_sync_desc), which writes what is to be
 * recorded by then.
 */
#include "client_int.h"

#define VOID_ORDER_MAX	15u		/* 32,768 extents, 32 GiB */

/* ---- dead copies in a descriptor ---- */

bool mx_dead_add(struct mx_desc *d, const struct mx_vs *s, u32 extent, u32 gen)
{
	int at = mx_desc_enrolled(d, s->id, s->inc);

	if (at < 0)
		return false;
	for (u32 i = 0; i < d->ndead; i++)
		if (d->dead[i].server == at && d->dead[i].extent == extent &&
		    d->dead[i].gen != MX_GEN_ANY) {
			if (d->dead[i].gen < gen)
				d->dead[i].gen = gen;
			return true;
		}
	if (d->ndead == MX_DEAD_MAX)
		return false;
	d->dead[d->ndead++] = (struct mx_dead){ .server = (u16)at, .extent = extent, .gen = gen };
	return true;
}

void mx_dead_del(struct mx_desc *d, u64 id, u64 inc, u32 extent, u32 gen)
{
	int at = mx_desc_enrolled(d, id, inc);

	for (u32 i = 0; i < d->ndead; i++) {
		struct mx_dead *x = &d->dead[i];

		if (x->server != at || x->extent != extent || x->gen > gen)
			continue;
		*x = d->dead[--d->ndead];
		return;
	}
}

static bool covers(const struct mx_dead *x, u32 extent)
{
	return extent >> x->order == x->extent >> x->order;
}

static bool is_void_at(const struct mx_desc *d, int at, u32 extent)
{
	for (u32 i = 0; i < d->ndead; i++)
		if (d->dead[i].server == at && d->dead[i].gen == MX_GEN_ANY &&
		    covers(&d->dead[i], extent))
			return true;
	return false;
}

/* With MX_GEN_ANY: is every copy there dead? */
bool mx_desc_is_dead(const struct mx_vol *v, const struct mx_vs *s, u32 extent, u32 gen)
{
	const struct mx_desc *d = mx_claim_desc(v->claim);
	int at = mx_desc_enrolled(d, s->id, s->inc);

	if (gen == MX_GEN_ANY)
		return is_void_at(d, at, extent);
	for (u32 i = 0; i < d->ndead; i++)
		if (d->dead[i].server == at && d->dead[i].extent == extent && d->dead[i].gen >= gen &&
		    d->dead[i].gen != MX_GEN_ANY)
			return true;
	return false;
}

/* ---- holes at silent servers ---- */

/* May it have a copy that does not count, and that would be met again by whoever
 * makes the map next? */
static bool may_have(const struct mx_vs *s, u32 extent)
{
	if (!s || s->state < MX_VS_SEAL || s->state == MX_VS_GONE)
		return false;
	if (!s->listed || s->relist)
		return true;
	for (u32 i = 0; i < s->nleft; i++)
		if (s->left[i].extent == extent)
			return true;
	return false;
}

bool mx_desc_is_void(const struct mx_vol *v, u32 extent)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (may_have(v->vs[i], extent) && !mx_desc_is_dead(v, v->vs[i], extent, MX_GEN_ANY))
			return false;
	return true;
}

/* The largest range of holes around @extent that one entry can name. */
static u16 hole_order(const struct mx_vol *v, u32 extent)
{
	u16 order = 0;

	for (; order < VOID_ORDER_MAX; order++) {
		u32 from = extent >> order >> 1 << order << 1, end = from + (2u << order);

		for (u32 i = from; i < end && i < v->map.nents; i++)
			if (i >> order != extent >> order &&
			    mx_map_at(&v->map, i)->state != MX_EXT_HOLE)
				return order;
	}
	return order;
}

static void void_add(struct mx_vol *v, struct mx_desc *d, struct mx_vs *s, u32 extent)
{
	int at = mx_desc_enrolled(d, s->id, s->inc);
	u16 order = hole_order(v, extent);
	u32 kept = 0;

	if (at < 0 || is_void_at(d, at, extent))
		return;
	s->voided = true;
	for (u32 i = 0; i < d->ndead; i++) {	/* smaller ones inside it are not needed */
		const struct mx_dead *x = &d->dead[i];

		if (x->server == at && x->gen == MX_GEN_ANY && x->extent >> order == extent >> order)
			continue;
		d->dead[kept++] = *x;
	}
	d->ndead = kept;
	if (d->ndead < MX_DEAD_MAX)		/* else the write waits for the server */
		d->dead[d->ndead++] = (struct mx_dead){ (u16)at, extent >> order << order,
							 MX_GEN_ANY, order };
}

static void edit_voids(struct mx_vol *v, struct mx_desc *d)
{
	for (u32 i = 0; i < v->nacts; i++)
		for (u32 k = 1; v->acts[i].hold == MX_HOLD_VOID && k < v->nvs; k++)
			if (may_have(v->vs[k], v->acts[i].extent))
				void_add(v, d, v->vs[k], v->acts[i].extent);
}

/* It has told, and dropped what did not count. */
static void edit_unvoid(struct mx_vs *s, struct mx_desc *d, int at)
{
	if (!s->voided || s->state != MX_VS_READY || s->nleft || s->relist)
		return;
	for (u32 i = 0; i < d->ndead;)
		if (d->dead[i].server == at && d->dead[i].gen == MX_GEN_ANY)
			d->dead[i] = d->dead[--d->ndead];
		else
			i++;
	s->unvoid_in = true;
}

bool mx_vol_new_dead(struct mx_vol *v, const struct mx_vs *s, u32 extent, u32 gen)
{
	if (v->nnewdead == MX_NEWDEAD_MAX)
		return false;
	v->newdead[v->nnewdead++] = (struct mx_deadref){ s->id, s->inc, extent, gen };
	return true;
}

/* ---- the edit ---- */

/* Copies at incarnations that are over need no record. */
static void forget_dead_of(struct mx_desc *d, u32 at)
{
	for (u32 i = 0; i < d->ndead;)
		if (d->dead[i].server == at)
			d->dead[i] = d->dead[--d->ndead];
		else
			i++;
}

/* Incarnations that are over stay listed while something is lost: for people. */
static void prune_gone(struct mx_vol *v, struct mx_desc *d)
{
	u32 kept = 0, gone = 0;

	for (u32 i = 0; i < d->nenrolled; i++)
		gone += d->enrolled[i].state == MX_ENR_GONE;
	if (!gone || v->phase != MX_VP_OPEN || v->map.count[MX_EXT_LOST] ||
	    v->map.count[MX_EXT_UNKNOWN])
		return;
	for (u32 i = 0; i < d->nenrolled; i++) {
		if (d->enrolled[i].state == MX_ENR_GONE) {
			forget_dead_of(d, i);
			continue;
		}
		for (u32 j = 0; kept != i && j < d->ndead; j++)
			if (d->dead[j].server == i)
				d->dead[j].server = (u16)kept;
		d->enrolled[kept++] = d->enrolled[i];
	}
	d->nenrolled = kept;
}

static void edit_server(struct mx_vs *s, struct mx_desc *d)
{
	int at = mx_desc_enrolled(d, s->id, s->inc);
	struct mx_srvref *r;

	edit_unvoid(s, d, at);
	if (s->state == MX_VS_GONE && !s->recorded) {
		s->in_edit = true;
		if (at < 0)
			return;
		d->enrolled[at].state = MX_ENR_GONE;
		forget_dead_of(d, (u32)at);
	} else if (s->state == MX_VS_ENROLL) {
		if (at < 0 && d->nenrolled == MX_ENROLLED_MAX)
			return;
		s->in_edit = true;
		if (at >= 0)
			return;
		r = &d->enrolled[d->nenrolled++];
		memset(r, 0, sizeof *r);
		r->id = s->id;
		r->incarnation = s->inc;
		r->addr = *mx_peer_addr(s->srv->peer);
		r->addr.scope = 0;
		r->state = MX_ENR_OK;
	}
}

/* All that is to be recorded; done again on a newer descriptor if need be. */
static bool edit_desc(struct mx_claim_edit *ed, struct mx_desc *d)
{
	struct mx_vol *v = mx_container_of(ed, struct mx_vol, edit);

	for (u32 i = 0; i < v->nundead; i++) {
		const struct mx_deadref *u = &v->undead[i];

		mx_dead_del(d, u->id, u->inc, u->extent, u->gen);
	}
	v->nundead_in = v->nundead;
	for (u32 i = 0; i < v->nnewdead; i++) {
		const struct mx_deadref *u = &v->newdead[i];
		struct mx_vs *s = mx_vs_find(v, u->id, u->inc);

		if (s && s->state != MX_VS_GONE && !mx_dead_add(d, s, u->extent, u->gen))
			return false;
	}
	v->nnewdead_in = v->nnewdead;
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i])
			edit_server(v->vs[i], d);
	mx_move_edit(v, d);
	edit_voids(v, d);
	if (v->sure)
		d->flags &= ~MX_DESC_UNSURE;
	if (v->new_size) {
		d->size = v->new_size;
		v->size_in = true;
	}
	prune_gone(v, d);
	return true;
}

static void shift(struct mx_deadref *r, u32 *n, u32 *in)
{
	for (u32 i = *in; i < *n; i++)
		r[i - *in] = r[i];
	*n -= *in;
	*in = 0;
}

static void server_edited(struct mx_vs *s, bool ok, mx_ns now)
{
	bool in = s->in_edit, unvoid = s->unvoid_in;

	s->in_edit = s->unvoid_in = false;
	if (ok && unvoid)
		s->voided = false;
	if (!in || !ok)
		return;
	if (s->state == MX_VS_ENROLL) {
		mx_vs_enrolled(s, now);
		return;
	}
	if (s->state != MX_VS_GONE)
		return;
	s->recorded = true;
	mx_vol_forget_gone(s->vol);
}

/* Servers that are over, stand so in the descriptor, and are not referred to. */
void mx_vol_forget_gone(struct mx_vol *v)
{
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (s && s->state == MX_VS_GONE && s->recorded && !s->extents &&
		    s != v->move.from && s != v->move.to)
			mx_vs_free(s);
	}
}

static void edit_done(struct mx_claim_edit *ed, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = mx_container_of(ed, struct mx_vol, edit);
	bool size_in = v->size_in;

	v->edit_busy = v->size_in = false;
	if (st != MX_OK) {
		v->nundead_in = v->nnewdead_in = 0;
		v->edit_again = !v->fail;
		mx_vol_tick_at(v, now + 100 * MX_MS);
	}
	shift(v->undead, &v->nundead, &v->nundead_in);
	shift(v->newdead, &v->nnewdead, &v->nnewdead_in);
	mx_move_edited(v, st, now);
	if (size_in)
		mx_resize_edited(v, st, now);
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i])
			server_edited(v->vs[i], st == MX_OK, now);
	for (u32 i = 1; st == MX_OK && i < v->nvs; i++)
		if (v->vs[i])
			mx_vs_drops(v->vs[i], now);
	mx_rebuild_check(v, now);
	if (st == MX_OK && mx_vol_running(v))
		mx_acts_retry(v, now);
	if (st == MX_OK && v->edit_again)
		mx_vol_sync_desc(v, now);
	mx_client_kick(v->c, now);
}

void mx_vol_sync_desc(struct mx_vol *v, mx_ns now)
{
	if (v->edit_busy || v->fail || v->phase < MX_VP_RECORD || v->phase > MX_VP_CLOSING ||
	    mx_claim_state(v->claim) != MX_CLAIM_HELD) {
		v->edit_again = true;
		mx_vol_tick_at(v, now + 100 * MX_MS);
		return;
	}
	v->edit_busy = true;
	v->edit_again = false;
	v->edit.edit = edit_desc;
	v->edit.done = edit_done;
	mx_claim_edit(v->claim, &v->edit, now);
}
