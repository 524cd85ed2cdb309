// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocation bitmap at the holders: setting and clearing bits in batches, and
 * filling a new holder's. Reading is in claim_read.c.
 */
#include "claim_int.h"

#define CLEAR_PATIENCE	(500 * MX_MS)	/* for a holder that is there but does not answer */

static bool bits_voted(const struct claim_slot *s) { return s->bits_ok; }

/* ---- batches ---- */

static void bits_push(struct mx_claim *c, mx_ns now);

static void list_done(struct mx_list *l, enum mx_status st, mx_ns now)
{
	while (!mx_list_empty(l)) {
		struct mx_claim_bits *b = mx_list_entry(l->next, struct mx_claim_bits, node);

		mx_list_del(&b->node);
		b->done(b, st, now);
	}
}

/* A majority of the old holders, and each new one that has the descriptor: it
 * must not miss a bit that its stream has already passed.
 *
 * Bits are read as the union of some majority. One that is set at a majority is
 * seen in any other; one that is cleared at a majority may still be seen set. So
 * clearing wants every holder, and is PARTIAL if those that are there have
 * answered and another has not. */
static bool bits_everywhere(struct mx_claim *c, mx_ns now)
{
	u32 old = 0, yes = 0;
	bool wait = false;

	c->bits_st = MX_OK;

	for (u32 i = 0; i < c->nslots; i++) {
		const struct claim_slot *s = &c->slot[i];

		old += s->old;
		yes += s->old && bits_voted(s);
		if (s->new && !s->old && s->told && !s->bits_ok)
			return false;
		if (s->bits_ok || !c->bits_clear)
			continue;
		c->bits_st = MX_ST_PARTIAL;
		wait |= s->peer && mx_peer_state(s->peer) == MX_PEER_UP && !s->gone &&
			now < c->bits_since + CLEAR_PATIENCE;
	}
	return old && yes >= mx_majority(old) && !wait;
}

static void bits_next(struct mx_claim *c, mx_ns now)
{
	struct mx_bits_req r = { .epoch = c->epoch };
	u8 *list = c->bits_body + 64;	/* encoded in place behind the head's room */
	struct mx_claim_bits *first;
	bool set;

	if (c->bits_flying || mx_list_empty(&c->bits_wait) || c->state != MX_CLAIM_HELD)
		return;
	first = mx_list_entry(c->bits_wait.next, struct mx_claim_bits, node);
	set = first->set;
	while (!mx_list_empty(&c->bits_wait) && r.n < MX_BITS_LIST_MAX - 16) {
		struct mx_claim_bits *b = mx_list_entry(c->bits_wait.next, struct mx_claim_bits, node);

		if (b->set != set)
			break;
		mx_list_del(&b->node);
		mx_list_add_tail(&c->bits_out, &b->node);
		mx_st32(list + 4 * r.n++, b->extent);
	}
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	r.round = ++c->bits_round;
	c->bits_clear = !set;
	c->bits_since = now;
	r.how = set ? MX_BITS_SET : MX_BITS_CLEAR;
	r.data = list;
	/* The encoder moves the list down to its place (memmove-safe). */
	c->bits_len = mx_bits_req_encode(c->bits_body, 64 + 4 * MX_BITS_LIST_MAX, &r);
	c->bits_flying = true;
	for (u32 i = 0; i < c->nslots; i++) {
		c->slot[i].bits_ok = false;
		c->slot[i].bits_retry = 0;
	}
	bits_push(c, now);
}

static void bits_check(struct mx_claim *c, mx_ns now)
{
	struct mx_list done;
	enum mx_status st;

	if (!c->bits_flying || !bits_everywhere(c, now))
		return;
	st = c->bits_st;
	for (u32 i = 0; i < c->nslots; i++) {
		mx_call_cancel(&c->slot[i].bits);
		c->slot[i].bits_busy = false;
	}
	c->bits_flying = false;
	mx_list_init(&done);
	while (!mx_list_empty(&c->bits_out)) {
		struct mx_list *n = c->bits_out.next;

		mx_list_del(n);
		mx_list_add_tail(&done, n);
	}
	bits_next(c, now);
	list_done(&done, st, now);
}

static void bits_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, bits);
	struct mx_claim *c = s->c;

	s->bits_busy = false;
	s->bits_retry = now + CLAIM_RETRY;
	if (st < 64 && claim_slot_is_node(s)) {
		if (st == MX_OK)
			s->bits_ok = true;
		else if (st == MX_ST_FENCED || st == MX_ST_BEHIND)
			s->fenced = true;
		else if (st == MX_ST_NOT_HOLDER)
			s->gone = true;
		else if (st == MX_ST_DELETED)
			c->deleted = true;
		if (st != MX_OK && len)
			claim_note_hstate(c, body, len);
	}
	bits_check(c, now);
	claim_tick_at(c, now);
}

static void bits_push(struct mx_claim *c, mx_ns now)
{
	if (!c->bits_flying)
		return;
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (s->bits_ok || s->bits_busy || !s->peer || now < s->bits_retry ||
		    (s->new && !s->old && !s->told) || s->lacking)
			continue;
		s->bits_busy = true;
		mx_call_start(&s->bits, s->peer, MX_OP_BITS_SET, c->bits_body, c->bits_len,
			      CLAIM_CALL, now, bits_done);
	}
}

void mx_claim_bits(struct mx_claim *c, struct mx_claim_bits *b, mx_ns now)
{
	mx_list_add_tail(&c->bits_wait, &b->node);
	if (c->state == MX_CLAIM_HELD && !c->bits_flying) {
		bits_next(c, now);
		claim_tick_at(c, now + CLAIM_TICK);
	}
}

void claim_bits_fail(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	bool reading = c->reading;

	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		mx_call_cancel(&s->bits);
		mx_call_cancel(&s->sync);
		s->bits_busy = s->sync_busy = false;
	}
	c->bits_flying = false;
	claim_read_end(c);
	list_done(&c->bits_out, st, now);
	list_done(&c->bits_wait, st, now);
	if (reading)
		c->read_done(c->user, st, now);
}

/* ---- calls that stream the bitmap from or to a holder ---- */

u8 *claim_sync_room(struct claim_slot *s)
{
	const struct mx_port *port = s->c->port;

	if (!s->sync_req)
		s->sync_req = port->alloc(port->ctx, MX_BITS_CHUNK_BYTES + 48);
	return s->sync_req;
}

void claim_sync_reset(struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		mx_call_cancel(&s->sync);
		s->sync_busy = s->sync_done = false;
		s->sync_chunk = 0;
		s->sync_retry = 0;
	}
}

void mx_claim_set_bits_source(struct mx_claim *c, bool (*get)(void *user, u32 chunk, u8 *bits))
{
	c->bits_source = get;
}

void claim_bits_tick(struct mx_claim *c, mx_ns now)
{
	bits_check(c, now);
	bits_push(c, now);
	if (c->reading)
		claim_read_tick(c, now);
	else if (!c->changing && claim_filling(c))
		claim_sync_tick(c, now);
}

/* ---- filling new holders ---- */

u32 claim_chunks(const struct mx_claim *c)
{
	u64 per = (u64)MX_BITS_CHUNK_BYTES * 8 << MX_EXTENT_SHIFT;

	return (u32)((c->cur->size + per - 1) / per);
}

bool claim_all_synced(const struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].new && !c->slot[i].old && !c->slot[i].synced)
			return false;
	return true;
}

void claim_sync_end(struct mx_claim *c)
{
	if (!c->reading)
		claim_sync_reset(c);
	if (c->copy)
		c->port->free(c->port->ctx, c->copy, c->copy_len);
	c->copy = NULL;
	c->copy_ready = false;
}

/* No map here (a caretaker): the old holders' union is read first, with the same
 * machinery; the sync calls of old holders are free during a change. */
static void copy_chunk(void *user, u32 first, const u8 *bits)
{
	struct mx_claim *c = user;

	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES && first / 8 + i < c->copy_len; i++)
		c->copy[first / 8 + i] |= bits[i];
}

static void copy_read_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now);

static void copy_push(struct mx_claim *c, mx_ns now)
{
	if (!c->copy) {
		c->copy_len = claim_chunks(c) * MX_BITS_CHUNK_BYTES;
		c->copy = c->port->alloc(c->port->ctx, c->copy_len ? c->copy_len : 1);
		c->copy_len = c->copy_len ? c->copy_len : 1;
		if (!c->copy)
			return;
	}
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];
		struct mx_bits_get_req r = { .epoch = c->epoch, .chunk = s->sync_chunk };
		u32 n;

		if (!s->old || s->lacking || s->filling || s->sync_done || s->sync_busy || !s->peer || now < s->sync_retry ||
		    !claim_sync_room(s))
			continue;
		memcpy(r.uuid, c->cur->uuid, MX_UUID);
		n = mx_bits_get_req_encode(s->sync_req, MX_BITS_CHUNK_BYTES + 48, &r);
		s->sync_busy = true;
		mx_call_start(&s->sync, s->peer, MX_OP_BITS_GET, s->sync_req, n, CLAIM_CALL, now,
			      copy_read_done);
	}
}

static void copy_read_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);
	struct mx_claim *c = s->c;
	u32 old = 0, ready = 0;

	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	claim_tick_at(c, now);
	if (st != MX_OK || len < 8 + MX_BITS_CHUNK_BYTES || !claim_slot_is_node(s))
		return;
	if (mx_ld32(body) <= 0xffffffff / (MX_BITS_CHUNK_BYTES * 8))
		copy_chunk(c, mx_ld32(body) * (MX_BITS_CHUNK_BYTES * 8), body + 8);
	s->sync_retry = 0;
	if (mx_ld32(body + 4) == 0xffffffff || mx_ld32(body + 4) <= mx_ld32(body))
		s->sync_done = true;
	else
		s->sync_chunk = mx_ld32(body + 4);
	for (u32 i = 0; i < c->nslots; i++) {
		old += c->slot[i].old;
		ready += c->slot[i].old && c->slot[i].sync_done;
	}
	c->copy_ready = old && ready >= mx_majority(old);
}

static bool source_chunk(struct mx_claim *c, u32 chunk, u8 *bits)
{
	bool any = false;
	struct mx_list *n, *lists[2] = { &c->bits_wait, &c->bits_out };
	u32 first = chunk * MX_BITS_CHUNK_BYTES * 8;

	memset(bits, 0, MX_BITS_CHUNK_BYTES);
	if (c->bits_source) {
		any = c->bits_source(c->user, chunk, bits);
	} else if ((chunk + 1) * MX_BITS_CHUNK_BYTES <= c->copy_len) {
		memcpy(bits, c->copy + chunk * MX_BITS_CHUNK_BYTES, MX_BITS_CHUNK_BYTES);
		for (u32 i = 0; i < MX_BITS_CHUNK_BYTES && !any; i++)
			any = bits[i];
	}
	/* Bits asked for but perhaps not yet in the source. */
	for (u32 i = 0; i < 2; i++)
		mx_list_for_each(n, lists[i]) {
			struct mx_claim_bits *b = mx_list_entry(n, struct mx_claim_bits, node);

			if (!b->set || b->extent < first ||
			    b->extent - first >= MX_BITS_CHUNK_BYTES * 8)
				continue;
			bits[(b->extent - first) / 8] |= (u8)(1 << (b->extent & 7));
			any = true;
		}
	return any;
}

static void fill_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);

	(void)body;
	(void)len;
	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	if (st == MX_OK && claim_slot_is_node(s)) {
		s->sync_chunk++;
		s->sync_retry = 0;
	}
	claim_tick_at(s->c, now);
}

static void reset_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);

	(void)body;
	(void)len;
	s->sync_busy = false;
	s->sync_retry = st == MX_OK ? 0 : now + CLAIM_RETRY;
	s->emptied = st == MX_OK && claim_slot_is_node(s);
	claim_tick_at(s->c, now);
}

/* Somebody may have tried to fill it before, with bits cleared since: chunks are
 * only ever ORed in. */
static void reset_slot(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct mx_bits_req r = { .epoch = c->epoch, .how = MX_BITS_RESET };
	u32 n;

	if (s->sync_busy || now < s->sync_retry || !claim_sync_room(s))
		return;
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	r.round = ++c->resets;
	n = mx_bits_req_encode(s->sync_req, MX_BITS_CHUNK_BYTES + 48, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_SET, s->sync_req, n, CLAIM_CALL, now, reset_done);
}

static void fill_slot(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct mx_bits_req r = { .epoch = c->epoch, .how = MX_BITS_CHUNK };
	u8 *bits;
	u32 n;

	if (s->synced || s->sync_busy || now < s->sync_retry || !claim_sync_room(s))
		return;
	bits = s->sync_req + 48;
	while (s->sync_chunk < claim_chunks(c) && !source_chunk(c, s->sync_chunk, bits))
		s->sync_chunk++;
	if (s->sync_chunk >= claim_chunks(c)) {
		s->synced = !s->filling;
		s->filling = false;
		if (!c->changing && !claim_filling(c))
			claim_sync_end(c);
		claim_tick_at(c, now);
		return;
	}
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	/* What is being cleared now is still set in the chunk. */
	r.round = c->bits_flying ? c->bits_round - 1 : c->bits_round;
	r.n = s->sync_chunk;
	r.data = bits;
	n = mx_bits_req_encode(s->sync_req, MX_BITS_CHUNK_BYTES + 48, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_SET, s->sync_req, n, CLAIM_CALL, now, fill_done);
}

bool claim_filling(const struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].lacking || c->slot[i].filling)
			return true;
	return false;
}

void claim_sync_tick(struct mx_claim *c, mx_ns now)
{
	bool wait = false;

	/* A copy taken before a new holder hears of each batch could miss one. */
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!s->new || s->old || s->synced)
			continue;
		if (s->told && !s->emptied)
			reset_slot(s, now);
		wait |= !s->told || !s->emptied;
	}
	if (wait)
		return;
	if (!c->bits_source && !c->copy_ready) {
		copy_push(c, now);
		return;
	}
	for (u32 i = 0; i < c->nslots; i++)
		if ((c->slot[i].new && !c->slot[i].old && c->slot[i].told) || c->slot[i].filling)
			fill_slot(&c->slot[i], now);
}
