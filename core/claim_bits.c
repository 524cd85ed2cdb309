// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocation bitmap at the holders: setting and clearing bits in batches.
 * claim_read.c reads it, claim_fill.c gives it to holders that lack something.
 *
 * A batch is the next step of a replicated log: a holder takes it only on top of
 * the one before, so the newest version at any majority has all that was ever done
 * at one. A holder is "synced" while it has followed; it is then waited for, up to
 * a limit, because one that is left behind must be filled anew.
 */
#include "claim_int.h"

#define BITS_PATIENCE	(500 * MX_MS)	/* for a holder that is there but does not answer */

static bool bits_voted(const struct claim_slot *s) { return s->synced && s->bits_ok; }

/* During a change of holders, once the new set may be in force somewhere. */
bool claim_joint(const struct mx_claim *c)
{
	return c->changing && (c->joint || c->cur->nprev);
}

/* Until then the old set alone counts: the new one is being filled. */
bool claim_bits_majority(const struct mx_claim *c, claim_flag *f)
{
	return claim_majority_in(c, f, claim_joint(c));
}

static bool follows(const struct claim_slot *s) { return s->synced || s->begun; }

/* It has missed a batch, or cannot take it. */
static void lags(struct claim_slot *s)
{
	mx_call_cancel(&s->bits);
	mx_call_cancel(&s->sync);
	s->bits_busy = s->bits_ok = s->sync_busy = false;
	s->synced = s->begun = false;
	s->no_adopt = true;
}

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

static bool may_answer(const struct claim_slot *s, mx_ns now)
{
	return s->peer && mx_peer_state(s->peer) == MX_PEER_UP && !s->gone && !s->fenced &&
	       now < s->c->bits_since + BITS_PATIENCE;
}

static bool bits_everywhere(const struct mx_claim *c, mx_ns now)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (follows(&c->slot[i]) && !c->slot[i].bits_ok && may_answer(&c->slot[i], now))
			return false;
	return claim_bits_majority(c, bits_voted);
}

static void bits_next(struct mx_claim *c, mx_ns now)
{
	struct mx_bits_req r = { .epoch = c->epoch };
	u8 *list = c->bits_body + 64;	/* encoded in place behind the head's room */
	struct mx_claim_bits *first;

	if (c->bits_flying || mx_list_empty(&c->bits_wait) || c->state != MX_CLAIM_HELD)
		return;
	first = mx_list_entry(c->bits_wait.next, struct mx_claim_bits, node);
	c->bits_set = first->set;
	while (!mx_list_empty(&c->bits_wait) && r.n < MX_BITS_LIST_MAX) {
		struct mx_claim_bits *b = mx_list_entry(c->bits_wait.next, struct mx_claim_bits, node);

		if (b->set != c->bits_set)
			break;
		mx_list_del(&b->node);
		mx_list_add_tail(&c->bits_out, &b->node);
		mx_st32(list + 4 * r.n++, b->extent);
	}
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	r.round = ++c->bits_round;
	r.how = c->bits_set ? MX_BITS_SET : MX_BITS_CLEAR;
	r.data = list;
	/* The encoder moves the list down to its place (memmove-safe). */
	c->bits_len = mx_bits_req_encode(c->bits_body, 64 + 4 * MX_BITS_LIST_MAX, &r);
	c->bits_since = now;
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

	if (!c->bits_flying || !bits_everywhere(c, now))
		return;
	for (u32 i = 0; i < c->nslots; i++)
		if (follows(&c->slot[i]) && !c->slot[i].bits_ok)
			lags(&c->slot[i]);
	c->bits_flying = false;
	mx_list_take(&done, &c->bits_out);
	list_done(&done, MX_OK, now);
	bits_next(c, now);
}

static void bits_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, bits);
	struct mx_claim *c = s->c;

	s->bits_busy = false;
	s->bits_retry = now + CLAIM_RETRY;
	claim_tick_at(c, now);
	if (st >= 64 || !claim_slot_is_node(s))
		return;
	switch (st) {
	case MX_OK:
		s->bits_ok = true;
		break;
	case MX_ST_NEED_BITS:
		lags(s);
		break;
	case MX_ST_BUSY:
		lags(s);
		s->sync_retry = now + MX_SEC;
		break;
	default:
		claim_slot_refused(s, st, body, len);
		break;
	}
	bits_check(c, now);
}

static void bits_push(struct mx_claim *c, mx_ns now)
{
	if (!c->bits_flying)
		return;
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!follows(s) || s->bits_ok || s->bits_busy || !s->peer || now < s->bits_retry)
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

/* ---- beginning and ending ---- */

/* Under a new epoch nobody has followed yet, as far as an owner knows. Whoever
 * changes no bits leaves the holders as they are. */
void claim_bits_start(struct mx_claim *c)
{
	c->bits_round = c->fills = 0;
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		mx_call_cancel(&s->sync);
		s->sync_busy = s->begun = s->no_adopt = s->version_known = s->bits_ok = false;
		s->sync_retry = 0;
		s->synced = !c->bits_mine;
	}
}

void claim_bits_fail(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	bool reading = c->reading;

	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		mx_call_cancel(&s->bits);
		mx_call_cancel(&s->sync);
		s->bits_busy = s->sync_busy = s->begun = false;
	}
	c->bits_flying = c->reading = false;
	claim_copy_free(c);
	list_done(&c->bits_out, st, now);
	list_done(&c->bits_wait, st, now);
	if (reading)
		c->read_done(c->user, st, now);
}

void claim_bits_tick(struct mx_claim *c, mx_ns now)
{
	c->read_asked = false;
	bits_check(c, now);
	bits_next(c, now);
	bits_push(c, now);
	claim_fill_tick(c, now);
	claim_read_check(c, now);
}
