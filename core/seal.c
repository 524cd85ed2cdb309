/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control calls on what is stored: sealing a volume with an epoch, listing,
 * dropping and committing its extents, and the copies of descriptors kept with
 * the data for recovery.
 */
#include "server_int.h"

#define END	0xffffffffu

/* A volume that was dropped here under @epoch or a later one: whoever seals it now
 * has missed that it is gone. */
u32 mx_dropped_epoch(const struct mx_server *s, const u8 *uuid)
{
	u32 i, epoch = 0;

	for (i = 0; i < s->nrings; i++)
		if (memcmp(s->dropped[i].uuid, uuid, MX_UUID) == 0)
			epoch = mx_max_u32(epoch, s->dropped[i].epoch);
	return epoch;
}

static void note_dropped(struct mx_server *s, const u8 *uuid, u32 epoch)
{
	struct mx_dropped *d = &s->dropped[s->ndropped++ % s->nrings];

	memcpy(d->uuid, uuid, MX_UUID);
	d->epoch = epoch;
}

void mx_drop_volume(struct mx_server *s, const u8 *uuid, u32 epoch)
{
	struct mx_svol *v = mx_svol_get(s->store, uuid);

	if (v || mx_dropped_epoch(s, uuid) < epoch)
		note_dropped(s, uuid, epoch);
	if (v)
		mx_svol_drop(v);
}

static bool vol_allowed(const struct mx_ccall *c, const struct mx_svol *v)
{
	u32 len;
	const u8 *desc = mx_svol_desc(v, &len);

	return !c->sp->restricted || (desc && mx_srv_allowed(c->sp, desc + MX_DESC_NAME));
}

/* The volume, if it is sealed with the caller's epoch. */
static enum mx_status sealed_vol(struct mx_ccall *c, const u8 *uuid, u32 epoch, struct mx_svol **v)
{
	*v = mx_svol_get(c->s->store, uuid);
	if (!*v)
		return MX_ST_NEED_SEAL;
	if (!vol_allowed(c, *v))
		return MX_ST_DENIED;
	if (epoch < mx_svol_epoch(*v))
		return MX_ST_FENCED;
	return epoch > mx_svol_epoch(*v) ? MX_ST_NEED_SEAL : MX_OK;
}

static enum mx_status fenced(struct mx_ccall *c, u32 epoch)
{
	mx_put32(&c->rep, epoch);
	mx_put32(&c->rep, 0);
	return MX_ST_FENCED;
}

/* Is this incarnation enrolled, and not given up? */
static bool enrolled(const struct mx_server *s, const u8 *desc)
{
	const struct mx_node *me = mx_srv_node(s);
	const u8 *ref;
	u32 n;

	for (ref = mx_desc_bytes_enrolled(desc, &n); n; n--, ref += MX_DESC_REF)
		if (mx_ld64(ref) == me->id && mx_ld64(ref + 8) == me->incarnation)
			return mx_desc_ref_state(ref) == MX_ENR_OK;
	return false;
}

enum mx_status mx_call_seal(struct mx_ccall *c)
{
	const u8 *bytes = c->body + MX_ACCEPT_FIXED, *old;
	struct mx_server *s = c->s;
	struct mx_desc_head d;
	struct mx_seal_req r;
	struct mx_svol *v;
	u32 epoch, len;

	if (!mx_seal_req_decode(c->body, c->len, &r, &d))
		return MX_ST_INVALID;
	if (!mx_srv_allowed(c->sp, bytes + MX_DESC_NAME))
		return MX_ST_DENIED;
	if (!enrolled(s, bytes))
		return MX_ST_NOT_ENROLLED;
	v = mx_svol_get(s->store, d.uuid);
	if (v && !vol_allowed(c, v))
		return MX_ST_DENIED;
	epoch = v ? mx_svol_epoch(v) : mx_dropped_epoch(s, d.uuid);
	if (r.epoch < epoch || (!v && r.epoch == epoch))
		return fenced(c, epoch);
	if (!v)
		v = mx_svol_make(s->store, d.uuid);
	if (!v)
		return MX_ST_BUSY;
	old = mx_svol_desc(v, &len);
	if (!old || !mx_desc_bytes_newer(old, bytes)) {
		/* With an older copy in place the seal matters more than the copy. */
		if (!mx_svol_set_desc(v, bytes, c->len - MX_ACCEPT_FIXED) && !old) {
			mx_svol_drop(v);
			return MX_ST_BUSY;
		}
	}
	mx_svol_set_epoch(v, r.epoch);
	mx_put64(&c->rep, mx_svol_extents(v));
	return MX_OK;
}

enum mx_status mx_call_list_extents(struct mx_ccall *c)
{
	struct mx_list_ext_req r;
	struct mx_extinfo info;
	u32 from, n = 0, start;
	struct mx_svol *v;
	enum mx_status st;
	bool more;

	if (!mx_list_ext_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	st = sealed_vol(c, r.uuid, r.epoch, &v);
	if (st == MX_ST_FENCED)
		return fenced(c, mx_svol_epoch(v));
	/* A later epoch that has not sealed yet may look, too: an administrator asks
	 * where a volume is. An owner seals first, or what it sees may still change. */
	if (st != MX_OK && !(v && st == MX_ST_NEED_SEAL))
		return st;
	start = c->rep.len;
	mx_put_zero(&c->rep, 8);
	for (from = r.from; ; from = info.extent + 1) {
		struct mx_ext_entry e;

		more = mx_svol_next_extent(v, from, &info);
		if (!more || c->rep.cap - c->rep.len < MX_EXT_ENTRY_WIRE)
			break;
		e = (struct mx_ext_entry){ info.extent, info.gen, info.pages, info.flags, info.num };
		c->rep.len += mx_ext_entry_encode(c->rep.p + c->rep.len, MX_EXT_ENTRY_WIRE, &e);
		n++;
	}
	mx_st32(c->rep.p + start, n);
	mx_st32(c->rep.p + start + 4, more ? info.extent : END);
	return MX_OK;
}

enum mx_status mx_call_drop_extent(struct mx_ccall *c, bool commit)
{
	struct mx_drop_ext_req r;
	struct mx_svol *v;
	enum mx_status st;

	if (!mx_drop_ext_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	st = sealed_vol(c, r.uuid, r.epoch, &v);
	if (st == MX_ST_FENCED)
		return fenced(c, mx_svol_epoch(v));
	if (st != MX_OK)
		return st;
	return commit ? mx_store_commit_extent(v, r.extent, r.gen)
		      : mx_store_drop_extent(v, r.extent, r.gen, r.num);
}

enum mx_status mx_call_drop_volume(struct mx_ccall *c)
{
	struct mx_drop_vol_req r;
	struct mx_svol *v;

	if (!mx_drop_vol_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	v = mx_svol_get(c->s->store, r.uuid);
	if (v && r.epoch < mx_svol_epoch(v))
		return fenced(c, mx_svol_epoch(v));
	if (!mx_held_deleted(c->s, r.uuid, r.epoch))
		return fenced(c, r.epoch + 1);
	mx_drop_volume(c->s, r.uuid, r.epoch);
	return MX_OK;
}

/* ---- recovery ---- */

static bool matches(const struct mx_lookup_req *r, const u8 *desc)
{
	if (r->by == MX_LOOKUP_UUID)
		return memcmp(desc, r->uuid, MX_UUID) == 0;
	return memcmp(desc + MX_DESC_NAME, r->name, MX_NAME_MAX + 1) == 0 &&
	       mx_ld32(desc + MX_DESC_STATE) == MX_VOL_LIVE;
}

enum mx_status mx_call_recover_list(struct mx_ccall *c)
{
	static const struct mx_node nobody;
	struct mx_svol *v = NULL, *found[2];
	struct mx_lookup_req r;
	u32 len[2], n = 0, sum = 8, i;
	const u8 *desc[2];

	if (!mx_lookup_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	while (n < 2 && (v = mx_svol_next(c->s->store, v))) {
		desc[n] = mx_svol_desc(v, &len[n]);
		if (!desc[n] || !matches(&r, desc[n]))
			continue;
		sum += MX_HSTATE_FIXED + len[n];
		found[n++] = v;
	}
	if (!n)
		return MX_ST_NO_VOLUME;
	mx_put32(&c->rep, n);
	mx_put32(&c->rep, 0);
	for (i = 0; i < n; i++)
		mx_put_hstate(&c->rep, mx_svol_epoch(found[i]), 0, &nobody, desc[i], len[i],
			      sum > c->rep.cap);
	return MX_OK;
}
