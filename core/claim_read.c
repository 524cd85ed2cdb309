// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the allocation bitmap: the newest version of a majority's.
 *
 * It may be at one holder only (a batch that was never done at a majority). Whoever
 * acts on it must find it again, so an owner brings it to a majority, as a version
 * of its own epoch, before it is told what it says: the write-back of a read from
 * replicated registers (H. Attiya, A. Bar-Noy, D. Dolev, "Sharing memory robustly in
 * message-passing systems", 1995).
 */
#include "claim_int.h"

#define COPY_PATIENCE	(3 * MX_SEC)	/* then another holder is read */

static bool version_known(const struct claim_slot *s) { return s->version_known; }
static bool is_synced(const struct claim_slot *s) { return s->synced; }

u32 claim_chunks(const struct mx_claim *c)
{
	u64 per = (u64)MX_BITS_CHUNK_BYTES * 8 << MX_EXTENT_SHIFT;

	return (u32)((c->cur->size + per - 1) / per);
}

static void chunks_free(const struct mx_port *port, struct claim_copy *k)
{
	for (u32 i = 0; k->chunk && i < k->nchunks; i++) {
		if (k->chunk[i])
			port->free(port->ctx, k->chunk[i], MX_BITS_CHUNK_BYTES);
		k->chunk[i] = NULL;
	}
}

void claim_copy_free(struct mx_claim *c)
{
	struct claim_copy *k = c->copy;
	const struct mx_port *port = c->port;

	c->copy = NULL;
	if (!k)
		return;
	chunks_free(port, k);
	if (k->chunk)
		port->free(port->ctx, k->chunk, k->nchunks * sizeof *k->chunk);
	port->free(port->ctx, k, sizeof *k);
}

static bool copy_new(struct mx_claim *c)
{
	const struct mx_port *port = c->port;
	struct claim_copy *k = port->alloc(port->ctx, sizeof *k);

	if (!k)
		return false;
	c->copy = k;
	k->nchunks = mx_max_u32(claim_chunks(c), 1);
	k->chunk = port->alloc(port->ctx, k->nchunks * sizeof *k->chunk);
	if (k->chunk)
		return true;
	claim_copy_free(c);
	return false;
}

static bool is_source(const struct claim_slot *s)
{
	const struct claim_copy *k = s->c->copy;

	return k->chosen && s->ref.id == k->id && s->ref.incarnation == k->incarnation;
}

/* ---- answers ---- */

static bool any_bit(const u8 *bits)
{
	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES; i++)
		if (bits[i])
			return true;
	return false;
}

static void take_chunk(struct claim_slot *s, u32 chunk, u32 next, const u8 *bits, mx_ns now)
{
	const struct mx_port *port = s->c->port;
	struct claim_copy *k = s->c->copy;

	if (chunk != k->at)
		return;
	if (any_bit(bits)) {
		k->chunk[chunk] = port->alloc(port->ctx, MX_BITS_CHUNK_BYTES);
		if (!k->chunk[chunk])
			return;		/* asked for again, until there is memory */
		memcpy(k->chunk[chunk], bits, MX_BITS_CHUNK_BYTES);
	}
	k->since = now;
	k->at = next;
	k->whole = next <= chunk || next >= k->nchunks;
}

static void copy_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);
	struct mx_claim *c = s->c;
	struct claim_copy *k = c->copy;

	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	claim_tick_at(c, now);
	if (!k || st >= 64 || !claim_slot_is_node(s))
		return;
	if (st != MX_OK) {
		claim_slot_refused(s, st, body, len);
		return;
	}
	if (len < MX_BITS_GET_FIXED + MX_BITS_CHUNK_BYTES)
		return;
	s->sync_retry = 0;
	s->version_known = true;
	s->version.epoch = mx_ld32(body + 8);
	s->version.round = mx_ld32(body + 12);
	if (!is_source(s))
		return;
	if (s->version.epoch != k->epoch || s->version.round != k->round)
		k->chosen = false;	/* one copy is of one version */
	else
		take_chunk(s, mx_ld32(body), mx_ld32(body + 4), body + MX_BITS_GET_FIXED, now);
}

static void copy_ask(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct mx_bits_get_req r = { .epoch = c->epoch, .chunk = c->copy->at };
	u32 n;

	/* Only who has accepted us: others may still take an older owner's batches. */
	if (s->sync_busy || !s->peer || !s->lease_from || now < s->sync_retry ||
	    !claim_sync_room(s))
		return;
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	n = mx_bits_get_req_encode(s->sync_req, CLAIM_SYNC_ROOM, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_GET, s->sync_req, n, CLAIM_CALL, now, copy_done);
}

/* ---- choosing ---- */

static bool newer(const struct claim_slot *a, const struct claim_slot *b)
{
	return a->version.epoch != b->version.epoch ? a->version.epoch > b->version.epoch :
						      a->version.round > b->version.round;
}

static void choose(struct mx_claim *c, mx_ns now)
{
	struct claim_copy *k = c->copy;
	struct claim_slot *best = NULL;

	if (!claim_bits_majority(c, version_known))
		return;
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].version_known && (!best || newer(&c->slot[i], best)))
			best = &c->slot[i];
	chunks_free(c->port, k);	/* of one that was chosen before */
	k->chosen = true;
	k->id = best->ref.id;
	k->incarnation = best->ref.incarnation;
	k->epoch = best->version.epoch;
	k->round = best->version.round;
	k->at = 0;
	k->since = now;
}

/* It does not answer any more: whichever majority does. */
static void choose_again(struct mx_claim *c, mx_ns now)
{
	if (now < c->copy->since + COPY_PATIENCE)
		return;
	for (u32 i = 0; i < c->nslots; i++)
		if (is_source(&c->slot[i]))
			c->slot[i].version_known = false;
	c->copy->chosen = false;
	c->copy->at = 0;
}

/* True when the copy is whole. */
bool claim_copy_tick(struct mx_claim *c, mx_ns now)
{
	if (!c->copy && !copy_new(c))
		return false;		/* no memory: again later */
	if (c->copy->whole)
		return true;
	if (c->copy->chosen)
		choose_again(c, now);
	else
		choose(c, now);
	for (u32 i = 0; i < c->nslots; i++)
		if (c->copy->chosen ? is_source(&c->slot[i]) : !c->slot[i].version_known)
			copy_ask(&c->slot[i], now);
	return false;
}

/* ---- for the owner ---- */

void claim_read_check(struct mx_claim *c, mx_ns now)
{
	struct claim_copy *k = c->copy;

	if (!c->reading || !k || !k->whole || !claim_bits_majority(c, is_synced))
		return;
	for (u32 i = 0; i < k->nchunks; i++)
		if (k->chunk[i])
			c->read_chunk(c->user, i * MX_BITS_CHUNK_BYTES * 8, k->chunk[i]);
	claim_copy_free(c);
	c->reading = false;
	c->read_done(c->user, MX_OK, now);
}

void mx_claim_read_bits(struct mx_claim *c, mx_ns now,
			void (*chunk)(void *user, u32 first_extent, const u8 *bits),
			void (*done)(void *user, enum mx_status st, mx_ns now))
{
	c->read_chunk = chunk;
	c->read_done = done;
	c->reading = c->read_asked = c->bits_mine = true;
	c->bits_source = NULL;
	claim_copy_free(c);
	claim_bits_start(c);
	claim_tick_at(c, now);
}
