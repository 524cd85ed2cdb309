/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation bitmaps of the volumes held: which extents were ever placed. Kept in
 * chunks of 32 GiB's worth, only those with a bit set.
 */
#include "server_int.h"

#define NONE	0xffffffffu

void mx_bits_free(struct mx_server *s, struct mx_held *h)
{
	u32 i;

	for (i = 0; i < h->nchunks; i++)
		mx_srv_free(s, h->chunks[i], sizeof **h->chunks);
	mx_srv_free(s, h->chunks, h->nchunks * sizeof *h->chunks);
	h->chunks = NULL;
	h->nchunks = 0;
	h->bits_set = 0;
}

static bool room_for(struct mx_server *s, struct mx_held *h, u32 chunk)
{
	u32 n = h->nchunks ? h->nchunks : 1;
	struct mx_bchunk **t;

	if (chunk < h->nchunks)
		return true;
	while (n <= chunk)
		n *= 2;
	t = mx_srv_alloc(s, n * sizeof *t);
	if (!t)
		return false;
	if (h->nchunks)
		memcpy(t, h->chunks, h->nchunks * sizeof *t);
	mx_srv_free(s, h->chunks, h->nchunks * sizeof *t);
	h->chunks = t;
	h->nchunks = n;
	return true;
}

static struct mx_bchunk *chunk_make(struct mx_server *s, struct mx_held *h, u32 chunk)
{
	if (!room_for(s, h, chunk))
		return NULL;
	if (!h->chunks[chunk])
		h->chunks[chunk] = mx_srv_alloc(s, sizeof **h->chunks);
	return h->chunks[chunk];
}

static u32 ones(u8 b)
{
	u32 n = 0;

	for (; b; b &= (u8)(b - 1))
		n++;
	return n;
}

static void or_byte(struct mx_held *h, struct mx_bchunk *k, u32 i, u8 bits)
{
	u32 n = ones(bits & (u8)~k->bits[i]);

	k->bits[i] |= bits;
	k->count += n;
	h->bits_set += n;
}

static void clear_bit(struct mx_server *s, struct mx_held *h, u32 extent)
{
	u32 chunk = extent / (MX_BITS_CHUNK_BYTES * 8), at = extent % (MX_BITS_CHUNK_BYTES * 8);
	struct mx_bchunk *k = chunk < h->nchunks ? h->chunks[chunk] : NULL;
	u8 bit = (u8)(1 << at % 8);

	if (!k || !(k->bits[at / 8] & bit))
		return;
	k->bits[at / 8] &= (u8)~bit;
	h->bits_set--;
	if (--k->count)
		return;
	mx_srv_free(s, k, sizeof *k);
	h->chunks[chunk] = NULL;
}

static bool or_chunk(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	struct mx_bchunk *k = NULL;
	u32 i;

	for (i = 0; i < MX_BITS_CHUNK_BYTES; i++) {
		if (!r->data[i])
			continue;
		if (!k)
			k = chunk_make(s, h, r->n);
		if (!k)
			return false;
		or_byte(h, k, i, r->data[i]);
	}
	return true;
}

static bool apply(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	u32 i;

	if (r->how == MX_BITS_CHUNK)
		return or_chunk(s, h, r);
	for (i = 0; i < r->n; i++) {
		u32 extent = mx_ld32(r->data + i * 4), at = extent % (MX_BITS_CHUNK_BYTES * 8);
		struct mx_bchunk *k;

		if (r->how == MX_BITS_CLEAR) {
			clear_bit(s, h, extent);
			continue;
		}
		k = chunk_make(s, h, extent / (MX_BITS_CHUNK_BYTES * 8));
		if (!k)
			return false;	/* the caller repeats the whole: setting twice is harmless */
		or_byte(h, k, at / 8, (u8)(1 << at % 8));
	}
	return true;
}

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

/* Once a round: a late repeat must not undo what was filled in since. */
static void reset(struct mx_server *s, struct mx_held *h, const struct mx_bits_req *r)
{
	if (r->epoch < h->reset_epoch ||
	    (r->epoch == h->reset_epoch && r->round <= h->reset_round))
		return;
	h->reset_epoch = r->epoch;
	h->reset_round = r->round;
	mx_bits_free(s, h);
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
	/* Whoever set or cleared bits under a higher epoch has it at a majority. */
	if (r.epoch < h->bits_epoch)
		return MX_ST_FENCED;
	if (r.how == MX_BITS_RESET) {
		reset(c->s, h, &r);
		return MX_OK;
	}
	if (r.how == MX_BITS_CHUNK) {
		if (r.epoch == h->clear_epoch && r.round < h->clear_round)
			return MX_ST_BUSY;	/* it would set again what was cleared */
	} else {
		/* Late: its caller had its majority without us, and went on. */
		if (r.epoch == h->bits_epoch && r.round < h->bits_round)
			return MX_OK;
		h->bits_epoch = r.epoch;
		h->bits_round = r.round;
	}
	if (r.how == MX_BITS_CLEAR) {
		h->clear_epoch = r.epoch;
		h->clear_round = r.round;
	}
	return apply(c->s, h, &r) ? MX_OK : MX_ST_BUSY;
}

enum mx_status mx_call_bits_get(struct mx_ccall *c)
{
	struct mx_bits_get_req r;
	struct mx_bchunk *k;
	struct mx_held *h;
	enum mx_status st;
	u32 next;

	if (!mx_bits_get_req_decode(c->body, c->len, &r))
		return MX_ST_INVALID;
	st = bits_vol(c, r.uuid, r.epoch, &h);
	if (st != MX_OK)
		return st;
	for (next = r.chunk + 1; next < h->nchunks && !h->chunks[next]; next++)
		;
	mx_put32(&c->rep, r.chunk);
	mx_put32(&c->rep, next < h->nchunks ? next : NONE);
	k = r.chunk < h->nchunks ? h->chunks[r.chunk] : NULL;
	if (k)
		mx_put_mem(&c->rep, k->bits, MX_BITS_CHUNK_BYTES);
	else
		mx_put_zero(&c->rep, MX_BITS_CHUNK_BYTES);
	return MX_OK;
}
