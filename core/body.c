/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bodies of control calls. A request decoder takes exactly its body: a byte
 * less or more, or a field out of range, is refused.
 */
#include "desc.h"
#include "pack.h"

u32 mx_hstate_encode(u8 *p, u32 cap, const struct mx_hstate *h)
{
	struct mx_put w;
	u32 n;

	mx_put_init(&w, p, cap);
	mx_put32(&w, h->promised);
	mx_put32(&w, h->lease_ms);
	mx_put_node(&w, &h->holder_of);
	if (w.bad)
		return 0;
	n = mx_desc_encode(p + w.len, cap - w.len, h->desc);
	return n ? w.len + n : 0;
}

bool mx_hstate_decode(const u8 *p, u32 len, struct mx_hstate *h, u32 *used)
{
	struct mx_get r;
	u32 n = 0;

	mx_get_init(&r, p, len);
	h->promised = mx_get32(&r);
	h->lease_ms = mx_get32(&r);
	mx_get_node(&r, &h->holder_of);
	if (r.bad || h->promised > MX_EPOCH_MAX)
		return false;
	if (!mx_desc_decode(r.p, r.left, h->desc, used ? &n : NULL))
		return false;
	if (used)
		*used = MX_HSTATE_FIXED + n;
	return true;
}

u32 mx_lookup_req_encode(u8 *p, u32 cap, const struct mx_lookup_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put32(&w, r->by);
	mx_put32(&w, 0);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put_name(&w, r->name);
	return mx_put_end(&w);
}

bool mx_lookup_req_decode(const u8 *p, u32 len, struct mx_lookup_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	r->by = mx_get32(&g);
	mx_get_zero(&g, 4);
	mx_get_copy(&g, r->uuid, MX_UUID);
	mx_get_name(&g, r->name, r->by == MX_LOOKUP_UUID);
	return mx_get_end(&g) && (r->by == MX_LOOKUP_NAME || r->by == MX_LOOKUP_UUID);
}

u32 mx_list_req_encode(u8 *p, u32 cap, const struct mx_list_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, r->after, MX_UUID);
	return mx_put_end(&w);
}

bool mx_list_req_decode(const u8 *p, u32 len, struct mx_list_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, r->after, MX_UUID);
	return mx_get_end(&g);
}

u32 mx_list_entry_encode(u8 *p, u32 cap, const struct mx_list_entry *e)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, e->uuid, MX_UUID);
	mx_put_name(&w, e->name);
	mx_put64(&w, e->size);
	mx_put64(&w, e->version);
	mx_put32(&w, e->epoch);
	mx_put32(&w, e->owned);
	mx_put32(&w, e->state);
	mx_put32(&w, e->lease_ms);
	mx_put32(&w, e->nholders);
	mx_put32(&w, e->nenrolled);
	mx_put32(&w, e->ngone);
	mx_put32(&w, e->ndead);
	mx_put64(&w, e->bits_set);
	mx_put_node(&w, &e->owner);
	mx_put_zero(&w, 8);
	return mx_put_end(&w);
}

/* @p holds at least one entry; what follows it is not looked at. */
bool mx_list_entry_decode(const u8 *p, u32 len, struct mx_list_entry *e)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, e->uuid, MX_UUID);
	mx_get_name(&g, e->name, false);
	e->size = mx_get64(&g);
	e->version = mx_get64(&g);
	e->epoch = mx_get32(&g);
	e->owned = mx_get32(&g);
	e->state = mx_get32(&g);
	e->lease_ms = mx_get32(&g);
	e->nholders = mx_get32(&g);
	e->nenrolled = mx_get32(&g);
	e->ngone = mx_get32(&g);
	e->ndead = mx_get32(&g);
	e->bits_set = mx_get64(&g);
	mx_get_node(&g, &e->owner);
	mx_get_zero(&g, 8);
	return !g.bad && e->owned <= 1 && e->nholders <= MX_HOLDERS_MAX &&
	       e->nenrolled <= MX_ENROLLED_MAX && e->ngone <= e->nenrolled &&
	       e->ndead <= MX_DEAD_MAX &&
	       (e->state == MX_VOL_LIVE || e->state == MX_VOL_DELETED);
}

u32 mx_reserve_req_encode(u8 *p, u32 cap, const struct mx_reserve_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put64(&w, r->op_id);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put_name(&w, r->name);
	return mx_put_end(&w);
}

bool mx_reserve_req_decode(const u8 *p, u32 len, struct mx_reserve_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	r->op_id = mx_get64(&g);
	mx_get_copy(&g, r->uuid, MX_UUID);
	mx_get_name(&g, r->name, false);
	return mx_get_end(&g);
}

u32 mx_prepare_req_encode(u8 *p, u32 cap, const struct mx_prepare_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put32(&w, r->epoch);
	mx_put32(&w, r->flags);
	mx_put_node(&w, &r->claimant);
	return mx_put_end(&w);
}

static bool epoch_ok(u32 epoch)
{
	return epoch >= 1 && epoch <= MX_EPOCH_MAX;
}

bool mx_prepare_req_decode(const u8 *p, u32 len, struct mx_prepare_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, r->uuid, MX_UUID);
	r->epoch = mx_get32(&g);
	r->flags = mx_get32(&g);
	mx_get_node(&g, &r->claimant);
	return mx_get_end(&g) && epoch_ok(r->epoch) &&
	       !(r->flags & ~(u32)(MX_PREP_FORCE | MX_PREP_ADMIN)) && r->claimant.id;
}

/* ACCEPT and SEAL: two words, the claimant, a descriptor. */
static u32 claimed_desc_encode(u8 *p, u32 cap, u32 a, const struct mx_node *claimant,
			       const struct mx_desc *d)
{
	struct mx_put w;
	u32 n;

	mx_put_init(&w, p, cap);
	mx_put32(&w, a);
	mx_put32(&w, 0);
	mx_put_node(&w, claimant);
	if (w.bad)
		return 0;
	n = mx_desc_encode(p + w.len, cap - w.len, d);
	return n ? w.len + n : 0;
}

static bool claimed_desc_decode(const u8 *p, u32 len, u32 *a, struct mx_node *claimant,
				struct mx_desc_head *d)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	*a = mx_get32(&g);
	mx_get_zero(&g, 4);
	mx_get_node(&g, claimant);
	return !g.bad && claimant->id && mx_desc_head_decode(g.p, g.left, d);
}

u32 mx_accept_req_encode(u8 *p, u32 cap, const struct mx_accept_req *r)
{
	return claimed_desc_encode(p, cap, r->lease_ms, &r->claimant, r->desc);
}

bool mx_accept_req_decode(const u8 *p, u32 len, struct mx_accept_req *r, struct mx_desc_head *d)
{
	r->zero = 0;
	r->desc = NULL;
	return claimed_desc_decode(p, len, &r->lease_ms, &r->claimant, d);
}

u32 mx_seal_req_encode(u8 *p, u32 cap, const struct mx_seal_req *r)
{
	return claimed_desc_encode(p, cap, r->epoch, &r->claimant, r->desc);
}

bool mx_seal_req_decode(const u8 *p, u32 len, struct mx_seal_req *r, struct mx_desc_head *d)
{
	r->zero = 0;
	r->desc = NULL;
	return claimed_desc_decode(p, len, &r->epoch, &r->claimant, d) && epoch_ok(r->epoch);
}

u32 mx_lease_req_encode(u8 *p, u32 cap, const struct mx_lease_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put32(&w, r->epoch);
	mx_put32(&w, r->lease_ms);
	mx_put_node(&w, &r->claimant);
	return mx_put_end(&w);
}

bool mx_lease_req_decode(const u8 *p, u32 len, struct mx_lease_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, r->uuid, MX_UUID);
	r->epoch = mx_get32(&g);
	r->lease_ms = mx_get32(&g);
	mx_get_node(&g, &r->claimant);
	return mx_get_end(&g) && epoch_ok(r->epoch) && r->claimant.id;
}

/* Words of data that a request of this kind may have. */
static bool bits_n_ok(const struct mx_bits_req *r)
{
	switch (r->how) {
	case MX_BITS_SET:
	case MX_BITS_CLEAR:
		return r->n <= MX_BITS_LIST_MAX;
	case MX_BITS_BEGIN:
		return r->n == 0;
	case MX_BITS_CHUNK:
		return r->n < MX_BITS_CHUNKS_MAX;
	case MX_BITS_END:
	case MX_BITS_ADOPT:
		return r->n == 2;
	default:
		return false;
	}
}

static u32 bits_data_len(const struct mx_bits_req *r)
{
	return r->how == MX_BITS_CHUNK ? MX_BITS_CHUNK_BYTES : r->n * 4;
}

u32 mx_bits_req_encode(u8 *p, u32 cap, const struct mx_bits_req *r)
{
	struct mx_put w;

	if (!bits_n_ok(r))
		return 0;
	mx_put_init(&w, p, cap);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put32(&w, r->epoch);
	mx_put32(&w, r->how);
	mx_put32(&w, r->n);
	mx_put32(&w, r->round);
	mx_put32(&w, r->fill);
	mx_put32(&w, 0);
	mx_put_mem(&w, r->data, bits_data_len(r));
	return mx_put_end(&w);
}

bool mx_bits_req_decode(const u8 *p, u32 len, struct mx_bits_req *r)
{
	struct mx_get g;
	u32 i;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, r->uuid, MX_UUID);
	r->epoch = mx_get32(&g);
	r->how = mx_get32(&g);
	r->n = mx_get32(&g);
	r->round = mx_get32(&g);
	r->fill = mx_get32(&g);
	mx_get_zero(&g, 4);
	r->zero = 0;
	r->data = NULL;
	if (g.bad || !epoch_ok(r->epoch) || !bits_n_ok(r))
		return false;
	r->data = mx_get_mem(&g, bits_data_len(r));
	if (!mx_get_end(&g))
		return false;
	for (i = 0; r->how <= MX_BITS_CLEAR && i < r->n; i++)
		if (mx_ld32(r->data + i * 4) >= MX_EXTENTS_MAX)
			return false;
	return true;
}

/* BITS_GET, LIST_EXTENTS, DROP_VOLUME, FORGET: uuid and two words. */
static u32 uuid2_encode(u8 *p, u32 cap, const u8 uuid[MX_UUID], u32 a, u32 b)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, uuid, MX_UUID);
	mx_put32(&w, a);
	mx_put32(&w, b);
	return mx_put_end(&w);
}

static bool uuid2_decode(const u8 *p, u32 len, u8 uuid[MX_UUID], u32 *a, u32 *b)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, uuid, MX_UUID);
	*a = mx_get32(&g);
	*b = mx_get32(&g);
	return mx_get_end(&g);
}

u32 mx_bits_get_req_encode(u8 *p, u32 cap, const struct mx_bits_get_req *r)
{
	return uuid2_encode(p, cap, r->uuid, r->epoch, r->chunk);
}

bool mx_bits_get_req_decode(const u8 *p, u32 len, struct mx_bits_get_req *r)
{
	return uuid2_decode(p, len, r->uuid, &r->epoch, &r->chunk) && epoch_ok(r->epoch) &&
	       r->chunk < MX_BITS_CHUNKS_MAX;
}

u32 mx_list_ext_req_encode(u8 *p, u32 cap, const struct mx_list_ext_req *r)
{
	return uuid2_encode(p, cap, r->uuid, r->epoch, r->from);
}

bool mx_list_ext_req_decode(const u8 *p, u32 len, struct mx_list_ext_req *r)
{
	return uuid2_decode(p, len, r->uuid, &r->epoch, &r->from) && epoch_ok(r->epoch);
}

u32 mx_drop_vol_req_encode(u8 *p, u32 cap, const struct mx_drop_vol_req *r)
{
	return uuid2_encode(p, cap, r->uuid, r->epoch, 0);
}

bool mx_drop_vol_req_decode(const u8 *p, u32 len, struct mx_drop_vol_req *r)
{
	return uuid2_decode(p, len, r->uuid, &r->epoch, &r->zero) && epoch_ok(r->epoch) &&
	       r->zero == 0;
}

u32 mx_drop_ext_req_encode(u8 *p, u32 cap, const struct mx_drop_ext_req *r)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put_mem(&w, r->uuid, MX_UUID);
	mx_put32(&w, r->epoch);
	mx_put32(&w, r->extent);
	mx_put32(&w, r->gen);
	mx_put32(&w, 0);
	mx_put64(&w, r->num);
	return mx_put_end(&w);
}

bool mx_drop_ext_req_decode(const u8 *p, u32 len, struct mx_drop_ext_req *r)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	mx_get_copy(&g, r->uuid, MX_UUID);
	r->epoch = mx_get32(&g);
	r->extent = mx_get32(&g);
	r->gen = mx_get32(&g);
	r->zero = 0;
	mx_get_zero(&g, 4);
	r->num = mx_get64(&g);
	return mx_get_end(&g) && epoch_ok(r->epoch) && r->extent < MX_EXTENTS_MAX;
}

u32 mx_ext_entry_encode(u8 *p, u32 cap, const struct mx_ext_entry *e)
{
	struct mx_put w;

	mx_put_init(&w, p, cap);
	mx_put32(&w, e->extent);
	mx_put32(&w, e->gen);
	mx_put16(&w, e->pages);
	mx_put16(&w, e->flags);
	mx_put32(&w, 0);
	mx_put64(&w, e->num);
	return mx_put_end(&w);
}

/* @p holds at least one entry; what follows it is not looked at. */
bool mx_ext_entry_decode(const u8 *p, u32 len, struct mx_ext_entry *e)
{
	struct mx_get g;

	mx_get_init(&g, p, len);
	e->extent = mx_get32(&g);
	e->gen = mx_get32(&g);
	e->pages = mx_get16(&g);
	e->flags = mx_get16(&g);
	mx_get_zero(&g, 4);
	e->num = mx_get64(&g);
	return !g.bad && e->extent < MX_EXTENTS_MAX && e->pages <= MX_EXTENT_PAGES;
}
