/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holding descriptors: an acceptor of each volume's Paxos (protocol.md, 4), and
 * the lease that goes with the accepted ballot.
 *
 * An acceptor never asks whether it stands in the descriptor: it keeps its word
 * for as long as this incarnation lives, and the claimant counts the word only
 * where it counts. What is here is kept encoded, as it came.
 */
#include "server_int.h"

/* ---- the table, in order of uuid ---- */

/* Where @uuid is, or would go. */
static u32 held_at(const struct mx_server *s, const u8 *uuid)
{
	u32 lo = 0, hi = s->nheld;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (memcmp(s->held[mid]->uuid, uuid, MX_UUID) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct mx_held *mx_held_find(struct mx_server *s, const u8 *uuid)
{
	u32 i = held_at(s, uuid);

	return i < s->nheld && memcmp(s->held[i]->uuid, uuid, MX_UUID) == 0 ? s->held[i] : NULL;
}

static bool table_grow(struct mx_server *s)
{
	u32 cap = s->held_cap ? s->held_cap * 2 : 16;
	struct mx_held **t = mx_srv_alloc(s, cap * sizeof *t);

	if (!t)
		return false;
	if (s->nheld)
		memcpy(t, s->held, s->nheld * sizeof *t);
	mx_srv_free(s, s->held, s->held_cap * sizeof *t);
	s->held = t;
	s->held_cap = cap;
	return true;
}

static struct mx_held *held_new(struct mx_server *s, const u8 *uuid)
{
	u32 i = held_at(s, uuid);
	struct mx_held *h;

	if (s->nheld >= s->conf.volumes_max || (s->nheld == s->held_cap && !table_grow(s)))
		return NULL;
	h = mx_srv_alloc(s, sizeof *h);
	if (!h)
		return NULL;
	memcpy(h->uuid, uuid, MX_UUID);
	memmove(s->held + i + 1, s->held + i, (s->nheld - i) * sizeof *s->held);
	s->held[i] = h;
	s->nheld++;
	return h;
}

/* An acceptor that lets go forgets what it promised. What it had at that time is
 * remembered, so that a late ACCEPT of something older does not make it a holder
 * again of a set that is long over. */
static void note_letgo(struct mx_server *s, const struct mx_held *h)
{
	struct mx_letgo *l = &s->letgo[s->nletgo++ % s->nrings];

	memcpy(l->uuid, h->uuid, MX_UUID);
	l->epoch = mx_ld32(h->desc + MX_DESC_EPOCH);
	l->version = mx_ld64(h->desc + MX_DESC_VERSION);
}

static bool older_than_letgo(const struct mx_server *s, const struct mx_desc_head *d)
{
	for (u32 i = 0; i < s->nrings; i++) {
		const struct mx_letgo *l = &s->letgo[i];

		if (memcmp(l->uuid, d->uuid, MX_UUID) == 0 &&
		    (d->epoch < l->epoch || (d->epoch == l->epoch && d->version <= l->version)))
			return true;
	}
	return false;
}

void mx_held_drop(struct mx_server *s, struct mx_held *h)
{
	u32 i = held_at(s, h->uuid);

	if (h->desc)
		note_letgo(s, h);
	mx_care_forget(s, h->uuid);
	s->nheld--;
	memmove(s->held + i, s->held + i + 1, (s->nheld - i) * sizeof *s->held);
	mx_bits_free(s, h);
	mx_srv_free(s, h->desc, h->desc_len);
	mx_srv_free(s, h, sizeof *h);
}

void mx_holders_free(struct mx_server *s)
{
	while (s->nheld)
		mx_held_drop(s, s->held[s->nheld - 1]);
	mx_srv_free(s, s->held, s->held_cap * sizeof *s->held);
}

/*
 * The volume's deletion has been decided, under @epoch. A tombstone stays, for its
 * caretaker to see that all drop the volume; who has missed it lets go here, so
 * that nobody takes the volume for a live one once the tombstones are forgotten.
 * False: it is older than what is held.
 */
bool mx_held_deleted(struct mx_server *s, const u8 *uuid, u32 epoch)
{
	struct mx_held *h = mx_held_find(s, uuid);

	if (!h || mx_ld32(h->desc + MX_DESC_STATE) != MX_VOL_LIVE)
		return true;
	if (epoch < mx_ld32(h->desc + MX_DESC_EPOCH))
		return false;
	mx_held_drop(s, h);
	return true;
}

/* A server that never answers keeps a tombstone for ever. Only so many are kept:
 * the oldest is forgotten, and what such a server has of it stays there until it
 * restarts. */
static void limit_tombs(struct mx_server *s, const struct mx_held *new)
{
	struct mx_held *oldest = NULL;
	u32 n = 0;

	for (u32 i = 0; i < s->nheld; i++) {
		struct mx_held *h = s->held[i];

		if (h == new || mx_ld32(h->desc + MX_DESC_STATE) != MX_VOL_DELETED)
			continue;
		n++;
		if (!oldest || h->buried_at < oldest->buried_at)
			oldest = h;
	}
	if (n < TOMBS_MAX)
		return;
	mx_drop_volume(s, oldest->uuid, mx_ld32(oldest->desc + MX_DESC_EPOCH));
	mx_held_drop(s, oldest);
}

bool mx_held_desc(struct mx_server *s, const struct mx_held *h, struct mx_desc *d)
{
	(void)s;
	return mx_desc_decode(h->desc, h->desc_len, d, NULL);
}

/* ---- leases ---- */

bool mx_held_leased(const struct mx_held *h, mx_ns now)
{
	return h->lease_until > now;
}

static u32 lease_left_ms(const struct mx_held *h, mx_ns now)
{
	return mx_held_leased(h, now) ? (u32)((h->lease_until - now + MX_MS - 1) / MX_MS) : 0;
}

static void lease_set(struct mx_held *h, const struct mx_node *to, u32 ms, mx_ns now)
{
	h->lease_id = to->id;
	h->lease_inc = to->incarnation;
	h->lease_until = ms ? now + ms * MX_MS : 0;
	h->quiet_since = ms ? h->lease_until : now;
}

static bool same_node(const struct mx_node *a, const struct mx_node *b)
{
	return a->id == b->id && a->incarnation == b->incarnation;
}

/* ---- replies ---- */

void mx_put_hstate(struct mx_put *w, u32 promised, u32 lease_ms, const struct mx_node *to,
		   const u8 *desc, u32 len, bool brief)
{
	u32 keep = brief ? MX_DESC_LISTS + 48 * (mx_ld32(desc + MX_DESC_NHOLDERS) +
					mx_ld32(desc + MX_DESC_NPREV)) : len;
	u8 *at;

	mx_put32(w, promised);
	mx_put32(w, lease_ms);
	mx_put_node(w, to);
	at = mx_put_room(w, keep);
	if (!at)
		return;
	memcpy(at, desc, keep);
	if (brief) {
		mx_st32(at + MX_DESC_NENROLLED, 0);
		mx_st32(at + MX_DESC_NDEAD, 0);
	}
}

static void put_held(struct mx_ccall *c, const struct mx_held *h, bool brief)
{
	mx_put_hstate(&c->rep, h->promised, lease_left_ms(h, c->now), &h->promised_to,
		      h->desc, h->desc_len, brief);
}

/* A refusal that tells what is known here. */
static enum mx_status refuse(struct mx_ccall *c, const struct mx_held *h, enum mx_status st)
{
	put_held(c, h, false);
	return st;
}

/* The volume of a request, if its sender may touch it. */
static struct mx_held *find_allowed(struct mx_ccall *c, const u8 *uuid, enum mx_status *st)
{
	struct mx_held *h = mx_held_find(c->s, uuid);

	/* A claimant that has missed the deletion is told, not taken for the
	 * owner of something new: forgetting is no licence to begin again. */
	*st = mx_dropped_epoch(c->s, uuid) ? MX_ST_DELETED : MX_ST_NOT_HOLDER;
	if (h && !mx_srv_allowed(c->sp, h->desc + MX_DESC_NAME)) {
		*st = MX_ST_DENIED;
		return NULL;
	}
	return h;
}

/* ---- finding ---- */

static bool name_is(const u8 *field, const char *name)
{
	return memcmp(field, name, MX_NAME_MAX + 1) == 0;
}

static bool live(const struct mx_held *h)
{
	return mx_ld32(h->desc + MX_DESC_STATE) == MX_VOL_LIVE;
}

/* Up to two live volumes of that name. */
static u32 by_name(struct mx_server *s, const char *name, struct mx_held *found[2])
{
	u32 n = 0, i;

	for (i = 0; i < s->nheld && n < 2; i++)
		if (name_is(s->held[i]->desc + MX_DESC_NAME, name) && live(s->held[i]))
			found[n++] = s->held[i];
	return n;
}

enum mx_status mx_call_lookup(struct mx_ccall *c)
{
	struct mx_held *found[2];
	struct mx_lookup_req r;
	u32 n, i, len = 8;
	bool brief;

	if (!mx_lookup_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	if (r.by == MX_LOOKUP_NAME) {
		n = by_name(c->s, r.name, found);
	} else {
		found[0] = mx_held_find(c->s, r.uuid);
		n = found[0] != NULL;
	}
	if (n && !mx_srv_allowed(c->sp, found[0]->desc + MX_DESC_NAME))
		return MX_ST_DENIED;
	if (!n)		/* by its uuid a deletion is told as such */
		return r.by == MX_LOOKUP_UUID && mx_dropped_epoch(c->s, r.uuid) ?
		       MX_ST_DELETED : MX_ST_NO_VOLUME;
	for (i = 0; i < n; i++)
		len += MX_HSTATE_FIXED + found[i]->desc_len;
	brief = len > c->rep.cap;
	mx_put32(&c->rep, n);
	mx_put32(&c->rep, 0);
	for (i = 0; i < n; i++)
		put_held(c, found[i], brief);
	return MX_OK;
}

static void list_entry(const struct mx_held *h, struct mx_list_entry *e, mx_ns now)
{
	struct mx_desc_head d;
	const u8 *ref;
	u32 n;

	memset(e, 0, sizeof *e);
	mx_desc_head_decode(h->desc, h->desc_len, &d);
	memcpy(e->uuid, d.uuid, MX_UUID);
	memcpy(e->name, d.name, sizeof e->name);
	e->size = d.size;
	e->version = d.version;
	e->epoch = d.epoch;
	e->owned = d.owned;
	e->state = d.state;
	e->lease_ms = lease_left_ms(h, now);
	e->nholders = d.nholders;
	e->nenrolled = d.nenrolled;
	e->ndead = d.ndead;
	e->bits_set = h->bits.set;
	e->owner = d.owner;
	for (ref = mx_desc_bytes_enrolled(h->desc, &n); n; n--, ref += MX_DESC_REF)
		e->ngone += mx_desc_ref_state(ref) == MX_ENR_GONE;
}

enum mx_status mx_call_list(struct mx_ccall *c)
{
	static const u8 none[MX_UUID];
	struct mx_server *s = c->s;
	struct mx_list_entry e;
	struct mx_list_req r;
	u32 i, n, most = (c->rep.cap - 8) / 224;

	if (!mx_list_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	i = held_at(s, r.after);
	if (i < s->nheld && memcmp(s->held[i]->uuid, r.after, MX_UUID) == 0 &&
	    memcmp(r.after, none, MX_UUID))
		i++;
	n = mx_min_u32(s->nheld - i, most);
	mx_put32(&c->rep, n);
	mx_put32(&c->rep, i + n < s->nheld);
	for (; n; n--, i++) {
		list_entry(s->held[i], &e, c->now);
		c->rep.len += mx_list_entry_encode(c->rep.p + c->rep.len,
						   c->rep.cap - c->rep.len, &e);
	}
	return MX_OK;
}

/* ---- names ---- */

static enum mx_status exists(struct mx_ccall *c, const u8 *uuid)
{
	mx_put_mem(&c->rep, uuid, MX_UUID);
	return MX_ST_EXISTS;
}

enum mx_status mx_call_reserve(struct mx_ccall *c)
{
	struct mx_server *s = c->s;
	struct mx_reserve *slot = NULL, *v;
	struct mx_held *found[2];
	struct mx_reserve_req r;
	u32 i;

	if (!mx_reserve_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	if (by_name(s, r.name, found))
		return exists(c, found[0]->uuid);
	if (s->leaving)
		return MX_ST_LEAVING;
	for (i = 0; i < RESERVES_MAX; i++) {
		v = &s->reserves[i];
		if (c->now >= v->until) {
			slot = slot ? slot : v;
		} else if (memcmp(v->name, r.name, sizeof r.name) == 0) {
			if (v->op_id != r.op_id || memcmp(v->uuid, r.uuid, MX_UUID))
				return exists(c, v->uuid);
			slot = v;
			break;
		}
	}
	if (!slot)
		return MX_ST_BUSY;
	slot->op_id = r.op_id;
	memcpy(slot->uuid, r.uuid, MX_UUID);
	memcpy(slot->name, r.name, sizeof r.name);
	slot->until = c->now + RESERVE_KEEP;
	return MX_OK;
}

/* ---- votes ---- */

enum mx_status mx_call_prepare(struct mx_ccall *c)
{
	struct mx_prepare_req r;
	enum mx_status st;
	struct mx_held *h;

	if (!mx_prepare_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	h = find_allowed(c, r.uuid, &st);
	if (!h)
		return st;
	if (!live(h) && !(r.flags & MX_PREP_ADMIN))
		return refuse(c, h, MX_ST_DELETED);
	if (mx_held_leased(h, c->now) && !(r.flags & MX_PREP_FORCE) &&
	    (h->lease_id != r.claimant.id || h->lease_inc != r.claimant.incarnation)) {
		mx_care_wanted(c->s, r.uuid);
		return refuse(c, h, MX_ST_OWNED);
	}
	if (r.epoch < h->promised ||
	    (r.epoch == h->promised && !same_node(&r.claimant, &h->promised_to)))
		return refuse(c, h, MX_ST_BEHIND);
	h->promised = r.epoch;
	h->promised_to = r.claimant;
	/* Whoever had the lease is fenced by this: there is nothing left to wait for. */
	if (h->lease_id != r.claimant.id || h->lease_inc != r.claimant.incarnation)
		h->lease_until = 0;
	h->quiet_since = mx_max_u64(h->quiet_since, c->now);
	put_held(c, h, false);
	return MX_OK;
}

/* A name that another live volume has here cannot be created anew. */
static bool name_taken(struct mx_ccall *c, const struct mx_desc_head *d, u8 *uuid)
{
	struct mx_held *found[2];

	if (d->version != 1 || !by_name(c->s, d->name, found))
		return false;
	memcpy(uuid, found[0]->uuid, MX_UUID);
	return true;
}

static enum mx_status accept_new(struct mx_ccall *c, const struct mx_desc_head *d,
				 struct mx_held **h)
{
	const struct mx_node *me = mx_srv_node(c->s);
	u8 uuid[MX_UUID];

	if (mx_dropped_epoch(c->s, d->uuid))
		return MX_ST_DELETED;
	if (older_than_letgo(c->s, d))
		return MX_ST_NOT_HOLDER;
	if (!mx_desc_head_votes(d, me->id, me->incarnation))
		return MX_ST_NOT_HOLDER;
	/* Also on a server asked to leave: it was chosen before that, and until the
	 * owner has replaced it, its vote counts. */
	if (name_taken(c, d, uuid))
		return exists(c, uuid);
	*h = held_new(c->s, d->uuid);
	return *h ? MX_OK : MX_ST_BUSY;
}

/* Keeps the bytes as they came. */
static bool keep_desc(struct mx_server *s, struct mx_held *h, const u8 *bytes, u32 len)
{
	u8 *copy = h->desc;

	if (len != h->desc_len) {
		copy = mx_srv_alloc(s, len);
		if (!copy)
			return false;
		mx_srv_free(s, h->desc, h->desc_len);
	}
	memcpy(copy, bytes, len);
	h->desc = copy;
	h->desc_len = len;
	return true;
}

/* May @d be taken over what is accepted? */
static bool accept_ok(const struct mx_held *h, const struct mx_node *claimant,
		      const struct mx_desc_head *d, const u8 *bytes)
{
	if (d->epoch < h->promised)
		return false;
	if (d->epoch == h->promised && !same_node(claimant, &h->promised_to))
		return false;
	return !mx_desc_bytes_newer(h->desc, bytes);	/* a late one of the same ballot */
}

enum mx_status mx_call_accept(struct mx_ccall *c)
{
	const u8 *bytes = c->body + MX_ACCEPT_FIXED;
	struct mx_server *s = c->s;
	struct mx_desc_head d;
	struct mx_accept_req r;
	struct mx_held *h;
	enum mx_status st;
	bool fresh;

	if (!mx_accept_req_decode(c->body, c->len, &r, &d) || r.lease_ms > LEASE_MAX_MS)
		return MX_ST_INVALID;
	if (!mx_srv_allowed(c->sp, bytes + MX_DESC_NAME) ||
	    (c->sp->restricted && d.state == MX_VOL_DELETED))
		return MX_ST_DENIED;
	h = mx_held_find(s, d.uuid);
	fresh = !h;
	if (fresh) {
		st = accept_new(c, &d, &h);
		if (st != MX_OK)
			return st;
	} else if (memcmp(h->desc + MX_DESC_NAME, bytes + MX_DESC_NAME, MX_NAME_MAX + 1)) {
		return MX_ST_INVALID;	/* a volume keeps its name */
	} else if (!accept_ok(h, &r.claimant, &d, bytes)) {
		return refuse(c, h, MX_ST_BEHIND);
	}
	if (!keep_desc(s, h, bytes, c->len - MX_ACCEPT_FIXED)) {
		if (fresh)
			mx_held_drop(s, h);
		return MX_ST_BUSY;
	}
	h->promised = d.epoch;
	h->promised_to = r.claimant;
	h->checked_at = c->now;
	if (d.state == MX_VOL_DELETED && !h->buried_at) {
		h->buried_at = c->now;
		limit_tombs(s, h);
	}
	lease_set(h, &r.claimant, r.lease_ms, c->now);
	return MX_OK;
}

enum mx_status mx_call_lease(struct mx_ccall *c)
{
	struct mx_lease_req r;
	enum mx_status st;
	struct mx_held *h;

	if (!mx_lease_req_decode(c->body, c->len, &r) || r.lease_ms > LEASE_MAX_MS)
		return MX_ST_INVALID;
	h = find_allowed(c, r.uuid, &st);
	if (!h)
		return st;
	if (r.epoch < h->promised ||
	    (r.epoch == h->promised && !same_node(&r.claimant, &h->promised_to)))
		return refuse(c, h, MX_ST_FENCED);
	/* A ballot that a majority promised without us is promised here too. */
	h->promised = r.epoch;
	h->promised_to = r.claimant;
	lease_set(h, &r.claimant, r.lease_ms, c->now);
	return MX_OK;
}

/* What is deleted, or has gone to other holders, need not be kept. */
enum mx_status mx_call_forget(struct mx_ccall *c)
{
	const struct mx_node *me = mx_srv_node(c->s);
	struct mx_drop_vol_req r;
	struct mx_desc_head d;
	struct mx_held *h;

	if (!mx_drop_vol_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	h = mx_held_find(c->s, r.uuid);
	if (!h)
		return MX_OK;
	if (r.epoch < mx_ld32(h->desc + MX_DESC_EPOCH))
		return MX_ST_FENCED;
	mx_desc_head_decode(h->desc, h->desc_len, &d);
	/* Of a deletion that this holder has not seen: told under a later epoch, it is
	 * as good as the tombstone, for FORGET follows only a deletion that counts. */
	if (live(h) && r.epoch == mx_ld32(h->desc + MX_DESC_EPOCH) &&
	    mx_desc_head_votes(&d, me->id, me->incarnation))
		return MX_ST_INVALID;
	if (!live(h) || r.epoch > mx_ld32(h->desc + MX_DESC_EPOCH))
		mx_drop_volume(c->s, r.uuid, r.epoch);
	mx_held_drop(c->s, h);
	return MX_OK;
}
