/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations on volumes by name: create, delete, resize, info, list, recover;
 * and what is known of which instance of a name exists.
 */
#include <stdlib.h>
#include <string.h>
#include "life.h"

enum side_kind { SIDE_CREATE, SIDE_DELETE, SIDE_RESIZE, SIDE_INFO, SIDE_LIST, SIDE_RECOVER };
static const char *const side_names[] = { "create", "delete", "resize", "info", "list", "recover" };

struct side {
	struct mx_vol_op o;
	struct mx_list node;
	struct life_client *c;
	enum side_kind kind;
	u32 vol;
	struct life_create *cr;	/* create, resize: which instance */
	u64 size;
	u64 cands;		/* delete: instances it may have hit, by index */
	bool unsure;		/* ... one of them was not there for certain */
	u32 shrink_op;
	bool shrinks, force;
	mx_ns begun;
};

bool side_busy(const struct life_client *c) { return !mx_list_empty(&c->side); }

/* The checker knows an instance from its first open on: a shrink may have begun
 * before that, and ends after it. */
static void cut_begun(struct side *s)
{
	if (s->kind == SIDE_RESIZE && s->shrinks && s->cr->ck && !s->shrink_op)
		s->shrink_op = ck_shrink_begin(s->cr->ck, s->size / MX_BLOCK);
}

static void cuts_begun(struct life *l)
{
	struct mx_list *p;
	u32 i;

	for (i = 0; i < l->cf.nclients; i++)
		mx_list_for_each(p, &l->cl[i].side)
			cut_begun(mx_list_entry(p, struct side, node));
}

static void cut_ended(struct side *s, enum ck_end how)
{
	if (s->shrink_op)
		ck_shrink_end(s->cr->ck, s->shrink_op, s->size / MX_BLOCK, how);
	s->shrink_op = 0;
}

void side_drop(struct life_client *c)
{
	struct life *l = c->l;
	u32 i;

	while (!mx_list_empty(&c->side)) {
		struct side *s = mx_list_entry(c->side.next, struct side, node);

		if (s->kind == SIDE_CREATE)
			s->cr->state = CR_UNKNOWN;
		for (i = 0; s->kind == SIDE_DELETE && i < l->ncreates; i++)
			if (s->cands >> i & 1) {
				l->creates[i].deletes--;
				if (l->creates[i].deleted == DEL_OK)
					continue;
				l->creates[i].deleted = DEL_UNKNOWN;
				l->creates[i].deleted_at = l->w.now;
			}
		if (s->kind == SIDE_RESIZE) {
			cut_ended(s, CK_FAILED);
			s->cr->resizing = false;
		}
		mx_list_del(&s->node);
		free(s);
	}
}

/* ---- which instances there are ---- */

static bool instance_maybe(const struct life_create *cr)
{
	return cr->state != CR_REFUSED && cr->deleted != DEL_OK;
}

u32 vols_alive(struct life *l, u32 vol)
{
	u32 i, n = 0;

	for (i = 0; i < l->ncreates; i++)
		n += l->creates[i].vol == vol && l->creates[i].state == CR_OK &&
		     l->creates[i].deleted == DEL_NONE && !l->creates[i].deletes;
	return n;
}

u32 vols_maybe(struct life *l, u32 vol)
{
	u32 i, n = 0;

	for (i = 0; i < l->ncreates; i++)
		n += l->creates[i].vol == vol && instance_maybe(&l->creates[i]);
	return n;
}

/* Instances that may be met: a deletion is forgotten with all who knew of it. */
u32 vols_met(const struct life *l, u32 vol)
{
	u32 i, n = 0;

	for (i = 0; i < l->ncreates; i++)
		n += l->creates[i].vol == vol && (instance_maybe(&l->creates[i]) ||
						  (l->creates[i].deleted == DEL_OK && vols_instance_gone(l, i)));
	return n;
}

/* Did crashes take so many of its holders that it may be past finding? */
bool vols_instance_gone(const struct life *l, u32 i)
{
	const struct life_create *cr = &l->creates[i];
	u32 holders = mx_max_u32(cr->nholders, 1);	/* its creator may have known but one server */

	return (u32)__builtin_popcount(cr->holders_hit) > holders - mx_majority(holders);
}

bool vols_may_be_gone(struct life *l, u32 vol)
{
	u32 i;

	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].vol == vol && l->creates[i].state == CR_OK &&
		    l->creates[i].deleted == DEL_NONE &&
		    !vols_instance_gone(l, i))
			return false;
	return true;
}

/* Who wrote this descriptor? It must be a create we know of, in a state in which
 * it can be met. */
struct life_create *vols_known(struct life *l, const struct mx_desc *d, u32 vol, mx_ns begun)
{
	struct life_create *cr = NULL;
	u32 i;

	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].op_id == d->op_id)
			cr = &l->creates[i];
	if (!cr || cr->vol != vol)
		sim_fail(&l->w, "%s has a descriptor that no create wrote", l->vols[vol].name);
	if (cr->state == CR_REFUSED)
		sim_fail(&l->w, "%s: an instance is there whose create was refused", d->name);
	/* One that began before may not have heard of a deletion by force. */
	if (cr->deleted == DEL_OK && begun > cr->deleted_at)
		sim_fail(&l->w, "%s: an instance is there that was deleted", d->name);
	if (cr->have_uuid && memcmp(cr->uuid, d->uuid, MX_UUID))
		sim_fail(&l->w, "%s: one create made two volumes", d->name);
	if (!cr->have_uuid) {
		memcpy(cr->uuid, d->uuid, MX_UUID);
		cr->have_uuid = true;
		cr->ck = ck_vol_new(l->ck, d->name);
		cuts_begun(l);
	}
	cr->state = cr->state == CR_UNKNOWN ? CR_OK : cr->state;
	if (!cr->deletes && cr->deleted == DEL_UNKNOWN && begun > cr->deleted_at)
		cr->deleted = DEL_NONE;
	/* One that was overtaken while it opened has an old descriptor. */
	if (!cr->recovered && d->epoch > cr->epoch && d->size != cr->size_a && d->size != cr->size_b)
		sim_fail(&l->w, "%s: size %llu, expected %llu or %llu", d->name,
			 (unsigned long long)d->size, (unsigned long long)cr->size_a,
			 (unsigned long long)cr->size_b);
	return cr;
}

/* ---- running one ---- */

static struct side *side_new(struct life_client *c, enum side_kind kind, u32 vol,
			     void (*done)(struct mx_vol_op *, enum mx_status, const char *, mx_ns))
{
	struct side *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->c = c;
	s->kind = kind;
	s->vol = vol;
	s->begun = c->l->w.now;
	s->o.done = done;
	s->o.user = s;
	mx_list_add_tail(&c->side, &s->node);
	TR(&c->l->w, "%s: %s %s", c->n->name, side_names[kind], c->l->vols[vol].name);
	return s;
}

static void side_end(struct side *s, enum mx_status st, const char *err)
{
	struct life *l = s->c->l;

	TR(&l->w, "%s: %s %s: %s%s%s", s->c->n->name, side_names[s->kind], l->vols[s->vol].name,
	   sim_status(st), err && st ? ": " : "", err && st ? err : "");
	world_mix(&l->w, l->w.now ^ (u64)st << 32 ^ (u64)s->kind << 48);
	if (st != MX_OK && (!err || !*err))
		sim_fail(&l->w, "%s of %s failed (%s) without a sentence that says why",
			 side_names[s->kind], l->vols[s->vol].name, sim_status(st));
	mx_list_del(&s->node);
	free(s);
}

/* Servers that a create may still believe to be there. */
static u32 lately_down(struct life *l)
{
	u32 i, set = 0;

	for (i = 0; i < l->w.nservers; i++) {
		const struct sim_node *n = &l->w.nodes[i];

		if (!n->up || n->leaving || (n->crashed_at && l->w.now < n->crashed_at + 60 * MX_SEC))
			set |= 1u << i;
	}
	return set;
}

u32 vols_ever(const struct life *l, u32 vol)
{
	u32 i, n = 0;

	for (i = 0; i < l->ncreates; i++)
		n += l->creates[i].vol == vol;
	return n;
}

static void create_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct side *s = o->user;
	struct life_create *cr = s->cr;
	struct life *l = s->c->l;

	(void)now;
	if (st == MX_OK) {
		if (cr->state == CR_PENDING || cr->state == CR_UNKNOWN)
			cr->state = CR_OK;
		l->st.creates++;
	} else if (st == MX_ST_EXISTS) {
		/* A retry's EXISTS says nothing of the first try; a holder that missed a
		 * deletion says so until its caretaker finds out. */
		if (cr->tries <= 1 && vols_ever(l, s->vol) <= 1)
			sim_fail(&l->w, "create of %s: exists, but nobody made it",
				 l->vols[s->vol].name);
		cr->state = cr->tries > 1 ? CR_UNKNOWN : CR_REFUSED;
	} else {
		cr->state = CR_UNKNOWN;
	}
	side_end(s, st, err);
}

/* A deletion by name that waits for servers may meet what was created meanwhile. */
static void join_deletes(struct life *l, struct life_create *cr)
{
	struct mx_list *p;
	u32 i;

	for (i = 0; i < l->cf.nclients; i++) {
		mx_list_for_each(p, &l->cl[i].side) {
			struct side *s = mx_list_entry(p, struct side, node);

			if (s->kind != SIDE_DELETE || s->vol != cr->vol)
				continue;
			s->cands |= 1ull << (cr - l->creates);
			cr->deletes++;
		}
	}
}

void vols_create(struct life_client *c, u32 vol)
{
	struct life *l = c->l;
	struct life_create *cr = NULL;
	struct side *s;
	u32 i;

	/* Often again a create whose end is not known: the same create. Only by the
	 * process that began it: another may know other servers, and a majority of
	 * those it knows may not meet the first one's. */
	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].vol == vol && l->creates[i].state == CR_UNKNOWN &&
		    l->creates[i].deleted == DEL_NONE && !l->creates[i].deletes &&
		    l->creates[i].by == c->idx && l->creates[i].by_life == c->n->life &&
		    rng_below(&l->w.rng_work, 4))
			cr = &l->creates[i];
	if (!cr && l->ncreates == LIFE_CREATES_MAX)
		return;
	if (!cr) {
		cr = &l->creates[l->ncreates++];
		memset(cr, 0, sizeof *cr);
		cr->op_id = rng_u64(&l->w.rng_work) | 1;
		cr->vol = vol;
		cr->holders_hit = lately_down(l);
		cr->by = c->idx;
		cr->by_life = c->n->life;
		cr->size_a = cr->size_b = l->vols[vol].size;
		join_deletes(l, cr);
	}
	cr->state = CR_PENDING;
	cr->tries++;
	s = side_new(c, SIDE_CREATE, vol, create_done);
	s->cr = cr;
	mx_client_create(c->n->cli, l->vols[vol].name, cr->size_a, cr->op_id, &s->o, node_now(c->n));
	node_pump(c->n);
}

void vols_force(struct life *l, u32 vol)
{
	u32 i;

	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].vol == vol && l->creates[i].ck)
			ck_force(l->creates[i].ck);
}

bool vols_forcing(struct life *l, u32 vol)
{
	struct mx_list *p;
	u32 i;

	for (i = 0; i < l->cf.nclients; i++) {
		mx_list_for_each(p, &l->cl[i].sess) {
			struct life_sess *s = mx_list_entry(p, struct life_sess, node);

			if (s->vol == &l->vols[vol] && s->state == SESS_OPENING && s->conf.force)
				return true;
		}
		mx_list_for_each(p, &l->cl[i].side) {
			struct side *s = mx_list_entry(p, struct side, node);

			if (s->vol == vol && s->force)
				return true;
		}
	}
	return false;
}

static void delete_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct side *s = o->user;
	struct life *l = s->c->l;
	bool refused = st == MX_ST_OWNED || st == MX_ST_NO_VOLUME || st == MX_ST_NAME_CLASH ||
		       st == MX_ST_DENIED;
	bool sure = st == MX_OK && !(s->cands & (s->cands - 1)) && !s->unsure;
	u32 i;

	(void)now;
	if (st == MX_OK)
		l->st.deletes++;
	for (i = 0; i < l->ncreates; i++) {
		if (!(s->cands >> i & 1))
			continue;
		l->creates[i].deletes--;
		if (refused || l->creates[i].deleted == DEL_OK)
			continue;
		l->creates[i].deleted = sure ? DEL_OK : DEL_UNKNOWN;
		l->creates[i].deleted_at = l->w.now;
	}
	side_end(s, st, err);
}

void vols_delete(struct life_client *c, u32 vol, bool force)
{
	struct life *l = c->l;
	struct side *s = side_new(c, SIDE_DELETE, vol, delete_done);
	u32 i;

	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].vol == vol && instance_maybe(&l->creates[i])) {
			s->cands |= 1ull << i;
			s->unsure |= l->creates[i].state != CR_OK;
			l->creates[i].deletes++;
		}
	s->force = force;
	if (force)
		vols_force(l, vol);
	mx_client_delete(c->n->cli, l->vols[vol].name, NULL, force, &s->o, node_now(c->n));
	node_pump(c->n);
}

static void resize_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct side *s = o->user;
	struct life_create *cr = s->cr;
	bool refused = st == MX_ST_OWNED || st == MX_ST_NO_VOLUME || st == MX_ST_NAME_CLASH ||
		       st == MX_ST_DENIED || st == MX_ST_INVALID;

	(void)now;
	cr->resizing = false;
	if (st == MX_OK)
		cr->size_a = s->size;
	if (st == MX_OK || refused)
		cr->size_b = cr->size_a;
	cut_ended(s, st == MX_OK ? CK_OK : refused ? CK_REFUSED : CK_FAILED);
	s->c->l->st.resizes += st == MX_OK;
	side_end(s, st, err);
}

void vols_resize(struct life_client *c, u32 vol)
{
	struct life *l = c->l;
	struct life_create *cr = NULL;
	struct side *s;
	u32 i, n = 0;

	for (i = 0; i < l->ncreates; i++)
		if (l->creates[i].vol == vol && instance_maybe(&l->creates[i])) {
			cr = &l->creates[i];
			n++;
		}
	/* Only where it is plain what is resized, and what its size is. */
	if (n != 1 || cr->state != CR_OK || cr->resizing || cr->deletes || cr->size_a != cr->size_b ||
	    cr->deleted != DEL_NONE)
		return;
	s = side_new(c, SIDE_RESIZE, vol, resize_done);
	s->cr = cr;
	s->size = mx_max_u64(1, cr->size_a / MX_BLOCK * rng_range(&l->w.rng_work, 1, 8) / 4) * MX_BLOCK;
	s->shrinks = s->size < cr->size_a;
	cr->resizing = true;
	cr->size_b = s->size;
	cut_begun(s);
	mx_client_resize(c->n->cli, l->vols[vol].name, s->size, rng_below(&l->w.rng_work, 4),
			 &s->o, node_now(c->n));
	node_pump(c->n);
}

static void info_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct side *s = o->user;
	const struct mx_hstate *h = o->priv;

	(void)now;
	if (st == MX_OK && h->desc->state == MX_VOL_LIVE && strcmp(h->desc->name,
								   s->c->l->vols[s->vol].name))
		sim_fail(&s->c->l->w, "info of %s tells of %s", s->c->l->vols[s->vol].name,
			 h->desc->name);
	side_end(s, st, err);
}

void vols_info(struct life_client *c, u32 vol)
{
	struct side *s = side_new(c, SIDE_INFO, vol, info_done);

	mx_client_info(c->n->cli, c->l->vols[vol].name, &s->o, node_now(c->n));
	node_pump(c->n);
}

static void list_entry(void *user, const struct mx_list_entry *e)
{
	struct side *s = user;

	TR(&s->c->l->w, "  %s: %llu bytes, epoch %u, owned %u, %u holders, %u enrolled, %llu placed",
	   e->name, (unsigned long long)e->size, e->epoch, e->owned, e->nholders, e->nenrolled,
	   (unsigned long long)e->bits_set);
}

static void side_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	(void)now;
	side_end(o->user, st, err);
}

void vols_list(struct life_client *c)
{
	struct side *s = side_new(c, SIDE_LIST, 0, side_done);

	/* entry() is given the operation's user */
	mx_client_list(c->n->cli, list_entry, &s->o, node_now(c->n));
	node_pump(c->n);
}

static void recover_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct side *s = o->user;
	struct life *l = s->c->l;
	u32 i;

	(void)now;
	for (i = 0; st == MX_OK && i < l->ncreates; i++) {
		struct life_create *cr = &l->creates[i];

		if (cr->vol != s->vol || cr->state == CR_REFUSED)
			continue;
		/* A deletion is forgotten only with all who knew of it. */
		if (cr->deleted == DEL_OK && !vols_instance_gone(l, i))
			continue;
		if (cr->deleted == DEL_OK) {
			cr->deleted = DEL_UNKNOWN;
			cr->deleted_at = l->w.now;
		}
		cr->recovered = true;
		if (cr->ck)
			ck_recovered(cr->ck, cr->deleted != DEL_NONE || cr->deletes);
	}
	l->st.recovers += st == MX_OK;
	s->c->recover_st = st;
	side_end(s, st, err);
}

void vols_recover(struct life_client *c, u32 vol)
{
	struct side *s = side_new(c, SIDE_RECOVER, vol, recover_done);

	mx_client_recover(c->n->cli, c->l->vols[vol].name, NULL, &s->o, node_now(c->n));
	node_pump(c->n);
}
