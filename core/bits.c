/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation bitmaps of the volumes held (desc.h, protocol.md 4). Kept in chunks
 * of 32 GiB's worth, only those that ever had a bit set.
 */
#include "server_int.h"

#define NONE	0xffffffffu
#define PER_CHUNK	(MX_BITS_CHUNK_BYTES * 8)

static void bitmap_free(struct mx_server *s, struct mx_bitmap *b)
{
	u32 i;

	for (i = 0; i < b->nchunks; i++)
		mx_srv_free(s, b->chunks[i], sizeof **b->chunks);
	mx_srv_free(s, b->chunks, b->nchunks * sizeof *b->chunks);
	memset(b, 0, sizeof *b);
}

void mx_bits_free(struct mx_server *s, struct mx_held *h)
{
	bitmap_free(s, &h->bits);
	bitmap_free(s, &h->fill);
	h->filling = false;
}

static bool room_for(struct mx_server *s, struct mx_bitmap *b, u32 chunk)
{
	u32 n = b->nchunks ? b->nchunks : 1;
	struct mx_bchunk **t;

	if (chunk < b->nchunks)
		return true;
	while (n <= chunk)
		n *= 2;
	t = mx_srv_alloc(s, n * sizeof *t);
	if (!t)
		return false;
	if (b->nchunks)
		memcpy(t, b->chunks, b->nchunks * sizeof *t);
	mx_srv_free(s, b->chunks, b->nchunks * sizeof *t);
	b->chunks = t;
	b->nchunks = n;
	return true;
}

static struct mx_bchunk *chunk_make(struct mx_server *s, struct mx_bitmap *b, u32 chunk)
{
	if (!room_for(s, b, chunk))
		return NULL;
	if (!b->chunks[chunk])
		b->chunks[chunk] = mx_srv_alloc(s, sizeof **b->chunks);
	return b->chunks[chunk];
}

static u32 ones(u8 b)
{
	u32 n = 0;

	for (; b; b &= (u8)(b - 1))
		n++;
	return n;
}

static void or_byte(struct mx_bitmap *b, struct mx_bchunk *k, u32 i, u8 bits)
{
	u32 n = ones(bits & (u8)~k->bits[i]);

	k->bits[i] |= bits;
	k->count += n;
	b->set += n;
}

static void clear_bit(struct mx_server *s, struct mx_bitmap *b, u32 extent)
{
	u32 chunk = extent / PER_CHUNK, at = extent % PER_CHUNK;
	struct mx_bchunk *k = chunk < b->nchunks ? b->chunks[chunk] : NULL;
	u8 bit = (u8)(1 << at % 8);

	if (!k || !(k->bits[at / 8] & bit))
		return;
	k->bits[at / 8] &= (u8)~bit;
	b->set--;
	if (--k->count)
		return;
	mx_srv_free(s, k, sizeof *k);
	b->chunks[chunk] = NULL;
}

/* ---- batches ---- */

/* All or nothing: bitmaps of one version must be equal. */
static bool set_all(struct mx_server *s, struct mx_bitmap *b, const struct mx_bits_req *r)
{
	u32 i;

	for (i = 0; i < r->n; i++)
		if (!chunk_make(s, b, mx_ld32(r->data + i * 4) / PER_CHUNK))
			return false;
	for (i = 0; i < r->n; i++) {
		u32 extent = mx_ld32(r->data + i * 4), at = extent % PER_CHUNK;

		or_byte(b, b->chunks[extent / PER_CHUNK], at / 8, (u8)(1 << at % 8));
	}
	return true;
}

static enum mx_status batch(struct mx_server *s, struct mx_bitmap *b, const struct mx_bits_req *r)
{
	u32 i;

	if (b->epoch != r->epoch || r->round > b->round + 1)
		return MX_ST_NEED_BITS;
	if (r->round <= b->round)
		return MX_OK;			/* once more */
	if (r->how == MX_BITS_SET && !set_all(s, b, r))
		return MX_ST_BUSY;
	for (i = 0; r->how == MX_BITS_CLEAR && i < r->n; i++)
		clear_bit(s, b, mx_ld32(r->data + i * 4));
	b->round = r->round;
	return MX_OK;
}

/* It goes to the bitmap in force and to the one being filled: OK if it is in one. */
static enum mx_status apply(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	enum mx_status now = batch(s, &h->bits, r), later = MX_ST_NEED_BITS;

	if (h->filling)
		later = batch(s, &h->fill, r);
	if (later == MX_OK && r->how == MX_BITS_CLEAR)
		h->fill_clear = mx_max_u32(h->fill_clear, r->round);
	if (now == MX_ST_BUSY || later == MX_ST_BUSY)
		return MX_ST_BUSY;
	return now == MX_OK ? now : later;
}

/* ---- filling ---- */

static bool is_filling(const struct mx_held *h, const struct mx_bits_req *r)
{
	return h->filling && h->fill_epoch == r->epoch && h->fill_no == r->fill;
}

static enum mx_status begin(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	if (r->epoch < h->fill_epoch || (r->epoch == h->fill_epoch && r->fill <= h->fill_no))
		return MX_OK;			/* once more, or one that came late */
	bitmap_free(s, &h->fill);
	h->filling = true;
	h->fill_epoch = h->fill.epoch = r->epoch;
	h->fill_no = r->fill;
	h->fill.round = r->round;
	h->fill_clear = 0;
	return MX_OK;
}

static enum mx_status chunk(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	struct mx_bchunk *k = NULL;
	u32 i;

	if (!is_filling(h, r))
		return MX_ST_NEED_BITS;
	if (r->round < h->fill_clear)
		return MX_ST_BUSY;		/* it would set again what was cleared */
	for (i = 0; i < MX_BITS_CHUNK_BYTES; i++) {
		if (!r->data[i])
			continue;
		if (!k)
			k = chunk_make(s, &h->fill, r->n);
		if (!k)
			return MX_ST_BUSY;
		or_byte(&h->fill, k, i, r->data[i]);
	}
	return MX_OK;
}

static bool older(const struct mx_bitmap *b, u32 epoch, u32 round)
{
	return b->epoch != epoch ? b->epoch < epoch : b->round < round;
}

static enum mx_status end(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	u32 epoch = mx_ld32(r->data), round = mx_ld32(r->data + 4);

	if (!is_filling(h, r)) {
		/* Once more, if it was this filling that ended. */
		return h->fill_epoch == r->epoch && h->fill_no == r->fill &&
		       !older(&h->bits, epoch, round) ? MX_OK : MX_ST_NEED_BITS;
	}
	if (h->fill.round < r->round)
		return MX_ST_NEED_BITS;
	h->filling = false;
	h->fill.epoch = epoch;
	if (epoch != r->epoch)
		h->fill.round = round;
	if (older(&h->bits, h->fill.epoch, h->fill.round)) {
		bitmap_free(s, &h->bits);
		h->bits = h->fill;
		memset(&h->fill, 0, sizeof h->fill);
	} else {
		bitmap_free(s, &h->fill);
	}
	return MX_OK;
}

static enum mx_status adopt(struct mx_held *h, const struct mx_bits_req *r)
{
	if (h->bits.epoch == r->epoch)
		return MX_OK;			/* once more */
	if (h->bits.epoch != mx_ld32(r->data) || h->bits.round != mx_ld32(r->data + 4))
		return MX_ST_NEED_BITS;
	h->bits.epoch = r->epoch;
	h->bits.round = 0;
	return MX_OK;
}

/* ---- calls ---- */

/* The volume, for a caller that is not fenced. */
static enum mx_status bits_vol(struct mx_ccall *c, const u8 *uuid, u32 epoch, struct mx_held **h)
{
	*h = mx_held_find(c->s, uuid);
	if (!*h)
		return MX_ST_NOT_HOLDER;
	if (!mx_srv_allowed(c->sp, (*h)->desc + MX_DESC_NAME))
		return MX_ST_DENIED;
	return epoch < (*h)->promised ? MX_ST_FENCED : MX_OK;
}

enum mx_status mx_call_bits_set(struct mx_ccall *c)
{
	struct mx_bits_req r;
	struct mx_held *h;
	enum mx_status st;

	if (!mx_bits_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	st = bits_vol(c, r.uuid, r.epoch, &h);
	if (st != MX_OK)
		return st;
	/* Whoever gave it bits under a higher epoch was promised that by a majority. */
	if (r.epoch < h->bits.epoch || r.epoch < h->fill_epoch)
		return MX_ST_FENCED;
	switch (r.how) {
	case MX_BITS_BEGIN:
		return begin(c->s, h, &r);
	case MX_BITS_CHUNK:
		return chunk(c->s, h, &r);
	case MX_BITS_END:
		return end(c->s, h, &r);
	case MX_BITS_ADOPT:
		return adopt(h, &r);
	default:
		return apply(c->s, h, &r);
	}
}

enum mx_status mx_call_bits_get(struct mx_ccall *c)
{
	struct mx_bits_get_req r;
	const struct mx_bitmap *b;
	struct mx_bchunk *k;
	struct mx_held *h;
	enum mx_status st;
	u32 next;

	if (!mx_bits_get_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	st = bits_vol(c, r.uuid, r.epoch, &h);
	if (st != MX_OK)
		return st;
	b = &h->bits;
	for (next = r.chunk + 1; next < b->nchunks && !b->chunks[next]; next++)
		;
	mx_put32(&c->rep, r.chunk);
	mx_put32(&c->rep, next < b->nchunks ? next : NONE);
	mx_put32(&c->rep, b->epoch);
	mx_put32(&c->rep, b->round);
	k = r.chunk < b->nchunks ? b->chunks[r.chunk] : NULL;
	if (k)
		mx_put_mem(&c->rep, k->bits, MX_BITS_CHUNK_BYTES);
	else
		mx_put_zero(&c->rep, MX_BITS_CHUNK_BYTES);
	return MX_OK;
}
