// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bringing holders up to the newest allocation bitmap: new ones, those that missed
 * a batch, and, when a volume was taken, a majority.
 *
 * An owner gives out what its map says, as a version of its own epoch. Before it
 * has a map, what was read; a holder that has that version already merely renames
 * it (ADOPT). Who has no map (a caretaker) gives out what was read under the
 * version it has. Batches go to a holder being filled, too.
 */
#include "claim_int.h"

#define CHUNKS_A_TICK	64u	/* looked at, of 32,768 extents each */

enum { STEP_ADOPT, STEP_BEGIN, STEP_CHUNK, STEP_END };

u8 *claim_sync_room(struct claim_slot *s)
{
	const struct mx_port *port = s->c->port;

	if (!s->sync_req)
		s->sync_req = port->alloc(port->ctx, CLAIM_SYNC_ROOM);
	return s->sync_req;
}

void mx_claim_set_bits_source(struct mx_claim *c, bool (*get)(void *user, u32 chunk, u8 *bits))
{
	c->bits_source = get;
}

/* It has the descriptor, but not the bitmap. */
static bool wants(const struct claim_slot *s)
{
	return s->told && !s->synced && !s->gone && !s->lacking && s->peer &&
	       mx_peer_state(s->peer) == MX_PEER_UP;
}

bool claim_filling(const struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].lacking || wants(&c->slot[i]))
			return true;
	return false;
}

bool claim_all_synced(const struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].new && !c->slot[i].old && !c->slot[i].synced)
			return false;
	return true;
}

/* The batch that @s has come to, as far as we know. */
static u32 round_at(const struct claim_slot *s)
{
	const struct mx_claim *c = s->c;

	return c->bits_flying && !(s->begun && s->bits_ok) ? c->bits_round - 1 : c->bits_round;
}

/* The chunk as after round_at(). The source does not have the batch under way. */
static bool source_chunk(const struct claim_slot *s, u32 chunk, u8 *bits)
{
	struct mx_claim *c = s->c;
	u32 first = chunk * MX_BITS_CHUNK_BYTES * 8;
	u32 end = (u32)((c->cur->size + MX_EXTENT - 1) >> MX_EXTENT_SHIFT);
	struct mx_list *n;
	bool any = false;

	memset(bits, 0, MX_BITS_CHUNK_BYTES);
	if (c->bits_source)
		c->bits_source(c->user, chunk, bits);
	else if (chunk < c->copy->nchunks && c->copy->chunk[chunk])
		memcpy(bits, c->copy->chunk[chunk], MX_BITS_CHUNK_BYTES);
	if (c->bits_flying && s->bits_ok)
		mx_list_for_each(n, &c->bits_out) {
			u32 at = mx_list_entry(n, struct mx_claim_bits, node)->extent - first;

			if (at >= MX_BITS_CHUNK_BYTES * 8)
				continue;
			bits[at / 8] &= (u8)~(1 << at % 8);
			bits[at / 8] |= (u8)(c->bits_set << at % 8);
		}
	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES; i++) {
		if (first + i * 8 + 8 > end)
			bits[i] &= (u8)(first + i * 8 < end ? (1u << (end & 7)) - 1 : 0);
		any |= bits[i];
	}
	return any;
}

static void step_ok(struct claim_slot *s)
{
	s->sync_retry = 0;
	switch (s->step) {
	case STEP_BEGIN:
		s->begun = true;
		s->bits_ok = false;
		s->sync_chunk = 0;
		break;
	case STEP_CHUNK:
		s->sync_chunk++;
		break;
	default:
		s->synced = true;
		s->begun = false;
		break;
	}
}

static void fill_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, sync);

	s->sync_busy = false;
	s->sync_retry = now + CLAIM_RETRY;
	claim_tick_at(s->c, now);
	if (st >= 64 || !claim_slot_is_node(s))
		return;
	if (st == MX_OK) {
		step_ok(s);
	} else if (st == MX_ST_NEED_BITS) {
		if (s->step == STEP_ADOPT)
			s->sync_retry = 0;
		s->no_adopt = true;
		s->begun = false;
	} else {
		claim_slot_refused(s, st, body, len);
	}
}

/* After a recovery the volume may have become smaller: then what is beyond its end
 * is to be left behind. */
static bool may_adopt(const struct claim_slot *s)
{
	const struct mx_claim *c = s->c;

	return c->bits_mine && !c->bits_source && !s->no_adopt &&
	       !(c->cur->flags & MX_DESC_UNSURE);
}

/* What comes next for @s, into @r. False: not known yet, there are many chunks. */
static bool next_step(struct claim_slot *s, struct mx_bits_req *r, u8 *data)
{
	struct mx_claim *c = s->c;
	u32 most = CHUNKS_A_TICK;

	r->data = data;
	r->round = round_at(s);
	if (!s->begun) {
		s->step = may_adopt(s) ? STEP_ADOPT : STEP_BEGIN;
		r->how = s->step == STEP_ADOPT ? MX_BITS_ADOPT : MX_BITS_BEGIN;
		if (s->step == STEP_BEGIN)
			s->fill_no = ++c->fills;
	} else {
		while (s->sync_chunk < claim_chunks(c) && !source_chunk(s, s->sync_chunk, data)) {
			s->sync_chunk++;
			if (!--most)
				return false;
		}
		s->step = s->sync_chunk < claim_chunks(c) ? STEP_CHUNK : STEP_END;
		r->how = s->step == STEP_CHUNK ? MX_BITS_CHUNK : MX_BITS_END;
		r->n = s->step == STEP_CHUNK ? s->sync_chunk : 0;
	}
	r->fill = s->step == STEP_ADOPT ? 0 : s->fill_no;
	if (s->step == STEP_ADOPT || s->step == STEP_END) {
		bool own = s->step == STEP_END && c->bits_mine;

		r->n = 2;
		mx_st32(data, own ? c->epoch : c->copy->epoch);
		mx_st32(data + 4, own ? r->round : c->copy->round);
	}
	return true;
}

static void fill(struct claim_slot *s, mx_ns now)
{
	struct mx_claim *c = s->c;
	struct mx_bits_req r = { .epoch = c->epoch };
	u32 n;

	if (s->sync_busy || now < s->sync_retry || !claim_sync_room(s))
		return;
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	if (!next_step(s, &r, s->sync_req + CLAIM_SYNC_HEAD)) {
		claim_tick_at(c, now + MX_MS);
		return;
	}
	n = mx_bits_req_encode(s->sync_req, CLAIM_SYNC_ROOM, &r);
	s->sync_busy = true;
	mx_call_start(&s->sync, s->peer, MX_OP_BITS_SET, s->sync_req, n, CLAIM_CALL, now, fill_done);
}

void claim_fill_tick(struct mx_claim *c, mx_ns now)
{
	bool any = c->reading;

	for (u32 i = 0; i < c->nslots; i++)
		any |= wants(&c->slot[i]);
	if (!any) {
		claim_copy_free(c);
		return;
	}
	/* An owner that has not read it yet has nothing to give. */
	if (!c->bits_source && ((c->bits_mine && !c->reading) || !claim_copy_tick(c, now)))
		return;
	for (u32 i = 0; i < c->nslots; i++)
		if (wants(&c->slot[i]))
			fill(&c->slot[i], now);
}
