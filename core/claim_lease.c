// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A claim that is held: the lease at a majority of holders, holders that lack what the
 * others have, losing the claim and giving it back.
 */
#include "claim_int.h"

/* The lease a majority still counts: the k-th newest start, k the majority. */
static mx_ns lease_majority(const struct mx_claim *c, bool new)
{
	mx_ns at[CLAIM_SLOTS];
	u32 n = 0;

	for (u32 i = 0; i < c->nslots; i++) {
		mx_ns t = c->slot[i].lease_from;
		u32 j = n;

		if (!(new ? c->slot[i].new : c->slot[i].old))
			continue;
		for (; j > 0 && at[j - 1] < t; j--)
			at[j] = at[j - 1];
		at[j] = t;
		n++;
	}
	return n ? at[mx_majority(n) - 1] : 0;
}

static mx_ns leased_from(const struct mx_claim *c)
{
	mx_ns from = lease_majority(c, false);

	return claim_joint(c) ? mx_min_u64(from, lease_majority(c, true)) : from;
}

static void lease_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, lease);
	struct mx_claim *c = s->c;
	mx_ns from;

	s->lease_busy = false;
	if (st != MX_OK)
		s->lease_retry = now + CLAIM_RETRY;
	if (st < 64 && claim_slot_is_node(s)) {
		if (st == MX_OK && s->lease_sent > s->lease_from)
			s->lease_from = s->lease_sent;
		claim_slot_refused(s, st, body, len);
	}
	if (st != MX_OK || c->state != MX_CLAIM_HELD || s->lease_sent < c->wanted)
		claim_tick_at(c, now);
	if (!c->ops.leased)
		return;
	from = leased_from(c);
	if (from > c->leased_seen) {
		c->leased_seen = from;
		c->ops.leased(c->user, now);
	}
}

static void lease_push(struct mx_claim *c, mx_ns now)
{
	struct mx_lease_req r = {
		.epoch = c->epoch,
		.lease_ms = (u32)(c->conf.lease / MX_MS),
		.claimant = *mx_ep_node(c->ep),
	};
	bool wanted = leased_from(c) < c->wanted;

	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];
		mx_ns last = mx_max_u64(s->lease_from, s->lease_sent);
		bool ask = wanted && s->lease_from < c->wanted && now >= s->lease_retry;
		u32 n;

		if (s->lease_busy || !s->peer || s->gone || s->lacking || (s->new && !s->old && !s->told) ||
		    (now < last + c->conf.lease / 3 && !ask))
			continue;
		n = mx_lease_req_encode(s->lease_req, sizeof s->lease_req, &r);
		s->lease_busy = true;
		s->lease_sent = now;
		mx_call_start(&s->lease, s->peer, MX_OP_LEASE, s->lease_req, n,
			      c->conf.lease / 3, now, lease_done);
	}
}

mx_ns mx_claim_lease_until(const struct mx_claim *c)
{
	mx_ns from;

	if (c->state != MX_CLAIM_HELD || c->releasing)
		return 0;
	from = leased_from(c);
	return from ? from + c->conf.lease / 10 * 9 : 0;
}

bool mx_claim_since(struct mx_claim *c, mx_ns since, mx_ns now)
{
	if (leased_from(c) > since)
		return true;
	/* One call at a time to each: many requests share it. */
	c->wanted = mx_max_u64(c->wanted, since + 1);
	claim_tick_at(c, now);
	return false;
}

/* It was ours, and is to be again. */
static void take_again(struct mx_claim *c)
{
	c->was_held = true;
	c->fed = false;
	c->rounds = 0;
	c->deadline = MX_NEVER;
}

void claim_lost(struct mx_claim *c, mx_ns now)
{
	claim_votes_cancel(c);
	c->writing = false;
	c->state = MX_CLAIM_LOST;
	claim_edits_fail(c, MX_ST_FENCED, now);
	claim_bits_fail(c, MX_ST_FENCED, now);
	if (c->releasing) {
		c->state = MX_CLAIM_FOUND;
		claim_finish(c, MX_OK, now);
		return;
	}
	if (!c->conf.reclaim || c->deleted) {
		if (c->ops.changed)
			c->ops.changed(c->user, MX_ST_FENCED, now);
		return;
	}
	take_again(c);
	c->conf.force = false;		/* it was meant for the owner of that time */
	claim_prepare_later(c, now);
}

/*
 * A recorded holder that missed its first ACCEPT says NOT_HOLDER while the others
 * go on. It is sent the descriptor in force, then the bitmap. Until then it votes
 * with an old bitmap, which is safe: the newest in a majority counts.
 */
static void repair_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, vote);

	(void)body;
	(void)len;
	s->vote_busy = false;
	s->vote_retry = now + CLAIM_RETRY;
	if (st == MX_OK && claim_slot_is_node(s)) {
		s->lacking = false;
		s->told = true;
		s->synced = s->begun = false;
		s->no_adopt = true;
		s->lease_from = mx_max_u64(s->lease_from, s->vote_sent);
	} else if (st == MX_ST_DELETED) {
		s->c->deleted = true;
	}
	claim_tick_at(s->c, now);
}

static void repair(struct mx_claim *c, mx_ns now)
{
	bool ready = false;

	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (s->old && s->gone && claim_slot_is_node(s)) {
			s->gone = false;
			s->lacking = true;
		}
		if (!s->lacking || s->vote_busy || now < s->vote_retry || c->writing)
			continue;
		if (!ready) {
			struct mx_accept_req r = {
				.lease_ms = (u32)(c->conf.lease / MX_MS),
				.claimant = c->cur->owner,
				.desc = c->cur,
			};

			claim_votes_cancel(c);
			c->body_len = mx_accept_req_encode(c->body, MX_CTL_BODY_MAX, &r);
			ready = true;
		}
		s->vote_busy = true;
		s->vote_sent = now;
		mx_call_start(&s->vote, s->peer, MX_OP_ACCEPT, c->body, c->body_len, CLAIM_CALL,
			      now, repair_done);
	}
}

/* A holder refuses us for the sake of another. Our own number is enough for that: one
 * that did not hear of us yet may have promised it to somebody else. */
static bool outbid(const struct mx_claim *c)
{
	bool fenced = false;

	for (u32 i = 0; i < c->nslots; i++)
		fenced |= c->slot[i].fenced;
	return fenced && c->seen >= c->epoch;
}

/*
 * A holder may have promised a higher ballot to somebody who never got a
 * majority: it refuses us for ever, and one more loss would cost the majority.
 * The claim is then taken anew above that ballot.
 */
static bool refused_for_long(struct mx_claim *c, mx_ns now)
{
	bool long_ago = false;

	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!s->fenced || !s->old)
			s->fenced_at = 0;
		else if (!s->fenced_at)
			s->fenced_at = now;
		else
			long_ago |= now >= s->fenced_at + CLAIM_FENCED;
	}
	return long_ago && c->conf.reclaim && outbid(c) && c->seen < MX_EPOCH_MAX &&
	       !c->writing && !c->bits_flying && !c->reading;
}

static void release_tick(struct mx_claim *c, mx_ns now)
{
	if (claim_majority(c, claim_voted) || now >= c->deadline) {
		claim_votes_cancel(c);
		c->writing = false;
		memcpy(c->cur, c->next, sizeof *c->cur);
		c->state = MX_CLAIM_FOUND;
		claim_finish(c, MX_OK, now);
		return;
	}
	claim_accept_push(c, now);
	claim_tick_at(c, now + CLAIM_TICK);
}

void claim_held_tick(struct mx_claim *c, mx_ns now)
{
	mx_ns at = now + c->conf.lease / 6;

	/* Promised to others by so many that we can have no majority: the volume is
	 * another's, or must be taken anew. */
	if (c->deleted || c->overtaken || (claim_hopeless(c, claim_slot_against) && outbid(c))) {
		claim_lost(c, now);
		return;
	}
	if (c->releasing) {
		release_tick(c, now);
		return;
	}
	if (refused_for_long(c, now)) {
		take_again(c);
		claim_prepare_start(c, now);
		return;
	}
	lease_push(c, now);
	repair(c, now);
	claim_edit_tick(c, now);
	claim_bits_tick(c, now);
	if (c->writing || c->bits_flying || c->reading || claim_filling(c))
		at = mx_min_u64(at, now + CLAIM_TICK);
	/* What callbacks of this tick asked for is begun at once. */
	if (claim_edit_ready(c) || c->read_asked)
		at = now;
	claim_tick_at(c, at);
}

void mx_claim_release(struct mx_claim *c, mx_ns now)
{
	c->want_done = true;
	c->releasing = true;
	c->deadline = now + 2 * MX_SEC;
	if (c->state != MX_CLAIM_HELD) {
		/* Nothing to give back; done() from the timer all the same. */
		claim_votes_cancel(c);
		c->state = MX_CLAIM_HELD;
		memcpy(c->next, c->cur, sizeof *c->next);
		c->deadline = now;
		claim_tick_at(c, now);
		return;
	}
	claim_load_slots(c, c->cur, now);
	claim_edits_fail(c, MX_ST_CANCELLED, now);
	claim_bits_fail(c, MX_ST_CANCELLED, now);
	memcpy(c->next, c->cur, sizeof *c->next);
	c->next->version = ++c->tried_version;
	c->next->owned = 0;
	claim_accept_round(c, 0, now);
	claim_tick_at(c, now + CLAIM_TICK);
}
