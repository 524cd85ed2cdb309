/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the allocation bitmap: the union of a majority's, written back to a
 * majority before it is believed.
 *
 * A bit in the union may stand at one holder only (the others missed a SET that
 * was never acknowledged, or it missed a CLEAR). Whoever acts on it must be able
 * to count on it as on a bit set by itself, so holders whose chunk differs from
 * the union are given it: the read repair of replicated registers (H. Attiya,
 * A. Bar-Noy, D. Dolev, "Sharing memory robustly in message-passing systems", 1995).
 */
#include "claim_int.h"

struct claim_union {
	u32 nchunks;
	u32 *crc;		/* [slot][chunk]: of what the holder has; 0: nothing there */
	u8 *bits;		/* nchunks * MX_BITS_CHUNK_BYTES */
};

static bool sync_ready(const struct claim_slot *s) { return s->sync_done; }

static u32 chunk_crc(const u8 *bits)
{
	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES; i++)
		if (bits[i])
			return mx_crc32c(0xffffffff, bits, MX_BITS_CHUNK_BYTES) | 1;
	return 0;
}

static u32 *slot_crc(struct claim_slot *s, u32 chunk)
{
	struct claim_union *u = s->c->both;

	return &u->crc[(u32)(s - s->c->slot) * u->nchunks + chunk];
}

void claim_read_end(struct mx_claim *c)
{
	const struct mx_port *port = c->port;
	struct claim_union *u = c->both;

	c->reading = c->reading_on = c->repairing = false;
	c->both = NULL;
	if (!u)
		return;
	if (u->crc)
		port->free(port->ctx, u->crc, CLAIM_SLOTS * u->nchunks * sizeof *u->crc);
	if (u->bits)
		port->free(port->ctx, u->bits, u->nchunks * MX_BITS_CHUNK_BYTES);
	port->free(port->ctx, u, sizeof *u);
}

static bool union_new(struct mx_claim *c)
{
	const struct mx_port *port = c->port;
	struct claim_union *u = port->alloc(port->ctx, sizeof *u);
	u32 n = claim_chunks(c);

	if (!u)
		return false;
	u->nchunks = n ? n : 1;
	u->crc = port->alloc(port->ctx, CLAIM_SLOTS * u->nchunks * sizeof *u->crc);
	u->bits = port->alloc(port->ctx, u->nchunks * MX_BITS_CHUNK_BYTES);
	c->both = u;
	if (u->crc && u->bits)
		return true;
	claim_read_end(c);
	c->reading = true;	/* tried again */
	return false;
}

static void read_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);
	struct mx_claim *c = s->c;
	struct claim_union *u = c->both;
	u32 chunk, next;

	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	claim_tick_at(c, now);
	if (st != MX_OK || len < 8 + MX_BITS_CHUNK_BYTES || !claim_slot_is_node(s)) {
		if (st == MX_ST_FENCED)
			s->fenced = true;
		return;
	}
	chunk = mx_ld32(body);
	next = mx_ld32(body + 4);
	s->sync_retry = 0;
	if (chunk < u->nchunks) {
		u8 *bits = u->bits + chunk * MX_BITS_CHUNK_BYTES;

		for (u32 i = 0; i < MX_BITS_CHUNK_BYTES; i++)
			bits[i] |= body[8 + i];
		*slot_crc(s, chunk) = chunk_crc(body + 8);
		c->read_chunk(c->user, chunk * MX_BITS_CHUNK_BYTES * 8, body + 8);
	}
	if (next == 0xffffffff || next <= chunk || next >= u->nchunks)
		s->sync_done = true;
	else
		s->sync_chunk = next;
}

static void read_push(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct mx_bits_get_req r = { .epoch = c->epoch, .chunk = s->sync_chunk };
	u32 n;

	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	n = mx_bits_get_req_encode(s->sync_req, MX_BITS_CHUNK_BYTES + 48, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_GET, s->sync_req, n, CLAIM_CALL, now, read_done);
}

/* ---- writing it back ---- */

static void repair_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);

	(void)body;
	(void)len;
	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	if (st == MX_OK && claim_slot_is_node(s)) {
		s->sync_chunk++;
		s->sync_retry = 0;
	} else if (st == MX_ST_FENCED) {
		s->fenced = true;
	}
	claim_tick_at(s->c, now);
}

static void repair_push(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct claim_union *u = c->both;
	struct mx_bits_req r = { .epoch = c->epoch, .how = MX_BITS_CHUNK };
	u32 n;

	while (s->sync_chunk < u->nchunks &&
	       chunk_crc(u->bits + s->sync_chunk * MX_BITS_CHUNK_BYTES) == *slot_crc(s, s->sync_chunk))
		s->sync_chunk++;
	if (s->sync_chunk >= u->nchunks) {
		s->sync_done = true;
		return;
	}
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	r.n = s->sync_chunk;
	r.data = u->bits + s->sync_chunk * MX_BITS_CHUNK_BYTES;
	n = mx_bits_req_encode(s->sync_req, MX_BITS_CHUNK_BYTES + 48, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_SET, s->sync_req, n, CLAIM_CALL, now, repair_done);
}

/* The bits are read from a majority; now it, or another one, must have them all. */
static void repair_begin(struct mx_claim *c)
{
	claim_sync_reset(c);
	c->repairing = true;
}

void claim_read_tick(struct mx_claim *c, mx_ns now)
{
	if (!c->reading_on) {
		if (c->changing || !union_new(c))	/* its calls are in use, or no memory: soon */
			return;
		claim_sync_reset(c);
		c->reading_on = true;
	}
	if (!c->repairing && claim_majority(c, sync_ready))
		repair_begin(c);
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!s->old || s->sync_done || s->sync_busy || !s->peer || now < s->sync_retry ||
		    !claim_sync_room(s))
			continue;
		if (c->repairing)
			repair_push(s, now);
		else
			read_push(s, now);
	}
	if (!c->repairing || !claim_majority(c, sync_ready))
		return;
	claim_sync_reset(c);
	claim_read_end(c);
	c->read_done(c->user, MX_OK, now);
}

void mx_claim_read_bits(struct mx_claim *c, mx_ns now,
			void (*chunk)(void *user, u32 first_extent, const u8 *bits),
			void (*done)(void *user, enum mx_status st, mx_ns now))
{
	claim_read_end(c);
	c->read_chunk = chunk;
	c->read_done = done;
	c->reading = true;
	claim_tick_at(c, now);
}
