// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Taking a claim: PREPARE and ACCEPT at a majority of holders (L. Lamport, "Paxos Made
 * Simple", 2001; ballot = epoch, value = descriptor). claim_lease.c goes on.
 */
#include "claim_int.h"

static void vote_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now);

bool claim_voted(const struct claim_slot *s) { return s->vote_ok; }
static bool is_owned(const struct claim_slot *s) { return s->vote_owned && !s->vote_admin; }
static bool is_dead(const struct claim_slot *s) { return s->vote_dead; }
bool claim_slot_gone(const struct claim_slot *s) { return s->gone || claim_slot_reborn(s); }
bool claim_slot_against(const struct claim_slot *s) { return s->fenced || claim_slot_gone(s); }

static u16 vote_op(const struct mx_claim *c)
{
	return c->state == MX_CLAIM_PREPARING ? MX_OP_PREPARE : MX_OP_ACCEPT;
}

void claim_votes_cancel(struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		mx_call_cancel(&s->vote);
		s->vote_busy = s->vote_ok = s->vote_owned = s->vote_admin = s->vote_dead = false;
		s->vote_retry = 0;
	}
}

/* Sends the round's request to every holder that has not answered it. During a
 * change of holders the new ones come first, to be filled. */
void claim_accept_push(struct mx_claim *c, mx_ns now)
{
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (s->vote_ok || s->vote_busy || !s->peer || now < s->vote_retry)
			continue;
		if (c->state == MX_CLAIM_HELD && c->changing && s->old && !claim_joint(c))
			continue;
		s->vote_busy = true;
		s->vote_sent = now;
		mx_call_start(&s->vote, s->peer, vote_op(c), c->body, c->body_len,
			      CLAIM_CALL, now, vote_done);
	}
}

static void prepare_round(struct mx_claim *c, mx_ns now)
{
	struct mx_prepare_req r = {
		.epoch = c->epoch,
		.flags = (c->conf.force ? MX_PREP_FORCE : 0) | (c->conf.admin ? MX_PREP_ADMIN : 0),
		.claimant = *mx_ep_node(c->ep),
	};

	claim_votes_cancel(c);
	for (u32 i = 0; i < c->nslots; i++) {
		c->slot[i].fenced = false;
		c->slot[i].gone = c->slot[i].lacking = false;
		/* Refused by our own new number, a lease of the old one would look like another's. */
		mx_call_cancel(&c->slot[i].lease);
		c->slot[i].lease_busy = false;
		c->slot[i].lease_from = c->slot[i].lease_sent = c->slot[i].lease_retry = 0;
		c->slot[i].fenced_at = 0;
	}
	memcpy(r.uuid, c->cur->uuid, MX_UUID);
	c->body_len = mx_prepare_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	c->rounds++;
	c->retry_at = 0;
	claim_accept_push(c, now);
}

void claim_prepare_start(struct mx_claim *c, mx_ns now)
{
	u32 above = c->seen > c->cur->epoch ? c->seen : c->cur->epoch;

	c->state = MX_CLAIM_PREPARING;
	c->epoch = above + 1;
	c->writing = false;
	claim_load_slots(c, c->cur, now);
	prepare_round(c, now);
	claim_tick_at(c, now + CLAIM_TICK);
}

/* Somebody has a higher ballot: again above it, after a random pause that grows,
 * so that two claimants do not chase each other. */
void claim_prepare_later(struct mx_claim *c, mx_ns now)
{
	u32 r, spread = c->rounds < 10 ? 20 * (c->rounds + 1) : 200;

	c->port->random(c->port->ctx, &r, sizeof r);
	claim_votes_cancel(c);
	c->state = MX_CLAIM_PREPARING;
	c->retry_at = now + (5 + r % spread) * MX_MS;
	claim_tick_at(c, c->retry_at);
}

void claim_accept_round(struct mx_claim *c, u32 lease_ms, mx_ns now)
{
	struct mx_accept_req r = {
		.lease_ms = lease_ms,
		.claimant = c->next->owner,	/* us, or who began the same create */
		.desc = c->next,
	};

	claim_votes_cancel(c);
	c->body_len = mx_accept_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	claim_accept_push(c, now);
}

/* The first descriptor under our epoch says who we are. */
static void accept_start(struct mx_claim *c, mx_ns now)
{
	struct mx_desc *d = c->next;
	const struct mx_node *me = mx_ep_node(c->ep);

	memcpy(d, c->cur, sizeof *d);
	d->epoch = c->epoch;
	d->version++;
	c->tried_version = d->version;
	d->owner = *me;
	d->owned = 1;
	if (!c->conf.admin) {
		d->last_writer = me->id;
		d->last_writer_inc = me->incarnation;
	}
	/* A change of holders that is adopted was accepted by an old holder, and
	 * so after the new ones had been filled. */
	for (u32 i = 0; i < c->nslots; i++)
		c->slot[i].told = true;
	claim_bits_start(c);
	c->state = MX_CLAIM_ACCEPTING;
	claim_accept_round(c, (u32)(c->conf.lease / MX_MS), now);
	claim_tick_at(c, now + CLAIM_TICK);
}

static void vote_refused(struct claim_slot *s, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_claim *c = s->c;

	c->tmp->epoch = 0;
	c->owner_admin = false;
	if (len)
		claim_note_hstate(c, body, len);
	s->vote_retry = now + CLAIM_RETRY;
	switch (st) {
	case MX_ST_OWNED:
		s->vote_owned = true;
		s->vote_admin = c->owner_lease_ms && c->owner_admin;
		if (!s->vote_admin && s->owned_until && now + c->owner_lease_ms * MX_MS > s->owned_until + MX_SEC / 2)
			c->renewed = true;
		s->owned_until = s->vote_admin ? 0 : now + c->owner_lease_ms * MX_MS;
		if (c->owner_lease_ms)
			s->vote_retry = now + mx_min_u64(c->owner_lease_ms + 1, 500) * MX_MS;
		break;
	case MX_ST_BEHIND:
	case MX_ST_FENCED:
		s->fenced = true;
		break;
	case MX_ST_DELETED:
		/* A tombstone is adopted below like any newer descriptor; without
		 * one the holder has already forgotten the volume: it is over. */
		c->deleted |= !len;
		s->vote_dead = len;
		break;
	case MX_ST_NOT_HOLDER:
	case MX_ST_NO_VOLUME:
		s->gone = true;
		s->lacking = c->state == MX_CLAIM_PREPARING;
		break;
	default:
		break;
	}
	if (c->tmp->epoch && mx_desc_cmp(c->tmp, c->cur) > 0 && c->state != MX_CLAIM_HELD &&
	    claim_counts(c->tmp, mx_peer_node(s->peer)))
		memcpy(c->cur, c->tmp, sizeof *c->cur);
}

static void vote_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, vote);
	struct mx_claim *c = s->c;

	s->vote_busy = false;
	claim_tick_at(c, now);
	if (st >= 64) {			/* no answer */
		s->vote_retry = now + CLAIM_RETRY;
		return;
	}
	if (!claim_slot_is_node(s)) {	/* somebody else lives there now: no vote */
		s->gone = claim_slot_reborn(s);
		s->vote_retry = now + CLAIM_RETRY;
		return;
	}
	if (st != MX_OK) {
		vote_refused(s, st, body, len, now);
		return;
	}
	s->vote_ok = true;
	s->vote_owned = false;
	if (c->state == MX_CLAIM_PREPARING) {
		u32 seen = c->seen;

		claim_note_hstate(c, body, len);
		if (c->seen == c->epoch)
			c->seen = seen;	/* what it promised is our own ballot */
		if (c->tmp->epoch && mx_desc_cmp(c->tmp, c->cur) > 0 &&
		    claim_counts(c->tmp, mx_peer_node(s->peer)))
			memcpy(c->cur, c->tmp, sizeof *c->cur);
	} else {
		s->told = true;
		s->lease_from = mx_max_u64(s->lease_from, s->vote_sent);
	}
}

/* ---- decisions ---- */

static bool still_ours(const struct mx_claim *c)
{
	const struct mx_node *me = mx_ep_node(c->ep);

	return c->cur->last_writer == me->id && c->cur->last_writer_inc == me->incarnation;
}

/* The claim ends: fenced for good, or the take failed. */
static void take_end(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	bool held = c->was_held;

	claim_votes_cancel(c);
	c->state = held ? MX_CLAIM_LOST : MX_CLAIM_FOUND;
	c->was_held = false;
	if (held) {
		claim_edits_fail(c, MX_ST_FENCED, now);
		claim_bits_fail(c, MX_ST_FENCED, now);
	}
	if (!held)
		claim_finish(c, st, now);
	else if (c->ops.changed)
		c->ops.changed(c->user, MX_ST_FENCED, now);
}

static bool prepared(struct mx_claim *c, mx_ns now)
{
	if (!claim_majority(c, claim_voted))
		return false;
	if (!claim_slots_match(c, c->cur)) {		/* a newer set: its majority counts */
		claim_load_slots(c, c->cur, now);
		if (!claim_majority(c, claim_voted))
			return false;
	}
	/* Granted, being ours, but used before: by an earlier claim of this very
	 * node, of which the holder that told us of the volume had not heard. Its
	 * numbers must not be given out again. */
	if (c->cur->epoch >= c->epoch) {
		claim_prepare_later(c, now);
		return true;
	}
	if (c->was_held && !c->conf.admin && !still_ours(c))
		take_end(c, MX_ST_FENCED, now);
	else if (c->cur->state == MX_VOL_DELETED && !c->conf.admin)
		take_end(c, MX_ST_DELETED, now);
	else
		accept_start(c, now);
	return true;
}

/*
 * A holder that missed its first ACCEPT has no vote; if another is lost before an owner
 * or a caretaker has seen to it, no majority is left though but one is gone. It is sent
 * the descriptor as another has accepted it: the ACCEPT that it missed, come late.
 * Only of the first set of holders: one who let go of a volume may have forgotten
 * that, and must not come back.
 */
static void feed_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_slot *s = mx_container_of(call, struct claim_slot, vote);

	(void)st;			/* the next round shows it */
	(void)body;
	(void)len;
	s->vote_busy = false;
	claim_tick_at(s->c, now);
}

static bool feed_start(struct mx_claim *c, mx_ns now)
{
	struct mx_accept_req r = { .claimant = c->cur->owner, .desc = c->cur };

	if (c->fed || !c->cur->epoch || c->cur->config != 1 || c->cur->nprev)
		return false;
	c->fed = true;
	claim_votes_cancel(c);
	c->body_len = mx_accept_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!s->lacking || !s->old)
			continue;
		s->vote_busy = c->feeding = true;
		mx_call_start(&s->vote, s->peer, MX_OP_ACCEPT, c->body, c->body_len, CLAIM_CALL,
			      now, feed_done);
	}
	return c->feeding;
}

static bool feeding(const struct mx_claim *c)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].vote_busy)
			return true;
	return false;
}

static bool prepare_failed(struct mx_claim *c, mx_ns now)
{
	enum mx_status st = MX_OK;
	bool owned = false, leased = false;

	for (u32 i = 0; i < c->nslots; i++) {
		leased |= c->slot[i].vote_owned;
		owned |= is_owned(&c->slot[i]);
	}
	if (c->deleted || claim_hopeless(c, is_dead))
		st = MX_ST_DELETED;
	else if (claim_hopeless(c, claim_slot_gone) && claim_slots_match(c, c->cur))
		st = MX_ST_NO_QUORUM;
	else if (owned && (!c->conf.wait_lease || c->renewed) && !c->was_held &&
		 (claim_hopeless(c, is_owned) || now >= c->started + 3 * MX_SEC))
		st = MX_ST_OWNED;
	else if (owned && c->was_held && !still_ours(c))
		st = MX_ST_FENCED;
	else if (now >= c->deadline && !c->was_held)
		st = leased ? MX_ST_OWNED : MX_ST_TIMEOUT;
	if (st == MX_OK)
		return false;
	if (st == MX_ST_NO_QUORUM && feed_start(c, now))
		return true;
	/* A NO_QUORUM of one who held it may pass: holders can be unreachable. */
	if (st == MX_ST_NO_QUORUM && c->was_held)
		return false;
	if (st == MX_ST_NO_QUORUM) {
		claim_votes_cancel(c);
		claim_check_start(c, CHECK_TAKE, c->cur->uuid, NULL, now);
		return true;
	}
	take_end(c, st, now);
	return true;
}

/* Its majority is gone, or it was deleted and a holder has missed that. */
void claim_take_checked(struct mx_claim *c, mx_ns now)
{
	claim_asks_cancel(c);
	take_end(c, c->check.dead[0] ? MX_ST_DELETED : MX_ST_NO_QUORUM, now);
}

/* ---- claims of the same endpoint ---- */

static bool taking(const struct mx_claim *c)
{
	return !c->creating && (c->state == MX_CLAIM_PREPARING || c->state == MX_CLAIM_ACCEPTING);
}

/* Another claim of this endpoint that has the volume, or comes first. */
static const struct mx_claim *rival(const struct mx_claim *c)
{
	struct mx_list *n;
	bool later = false;

	if (c->conf.force)
		return NULL;
	mx_list_for_each(n, mx_ep_claims(c->ep)) {
		const struct mx_claim *r = mx_list_entry(n, struct mx_claim, node);

		if (r == c) {
			later = true;
			continue;
		}
		if (memcmp(r->uuid, c->uuid, MX_UUID) == 0 &&
		    (r->state == MX_CLAIM_HELD || (taking(r) && (r->conf.force || !later))))
			return r;
	}
	return NULL;
}

/* True: not our turn. As beside another node's lease, an admin claim's end is
 * waited for; one that holds the volume for its data is there to stay. */
static bool beside_rival(struct mx_claim *c, mx_ns now)
{
	const struct mx_claim *r = rival(c);
	bool stays;

	if (!r)
		return false;
	stays = r->state == MX_CLAIM_HELD && !r->conf.admin && !(r->releasing && c->conf.wait_lease);
	if (c->was_held || (!stays && now < c->deadline)) {
		claim_tick_at(c, now + CLAIM_TICK);
		return true;
	}
	c->owner = *mx_ep_node(c->ep);
	c->owner_lease_ms = (u32)(r->conf.lease / MX_MS);
	c->retry_at = 0;
	take_end(c, MX_ST_OWNED, now);
	return true;
}

/* The volume is ours for its data: no other claim of this endpoint may go on as if it
 * were the same. Their node is the last writer still, so the holders cannot tell. */
static void overtake(struct mx_claim *c)
{
	struct mx_list *n;

	if (c->conf.admin)
		return;
	mx_list_for_each(n, mx_ep_claims(c->ep)) {
		struct mx_claim *r = mx_list_entry(n, struct mx_claim, node);

		if (r != c && memcmp(r->uuid, c->uuid, MX_UUID) == 0)
			r->overtaken = true;
	}
	c->overtaken = false;
}

void claim_take_tick(struct mx_claim *c, mx_ns now)
{
	if (c->retry_at) {
		if (now < c->retry_at)
			claim_tick_at(c, c->retry_at);
		else if (c->was_held && c->overtaken)
			take_end(c, MX_ST_FENCED, now);
		else if (!beside_rival(c, now))
			claim_prepare_start(c, now);
		return;
	}
	if (c->feeding) {
		if (feeding(c))
			return;
		c->feeding = false;
		claim_prepare_start(c, now);
		return;
	}
	if (c->state == MX_CLAIM_PREPARING) {
		if (prepared(c, now) || prepare_failed(c, now))
			return;
		if (!claim_slots_match(c, c->cur))
			claim_load_slots(c, c->cur, now);
		if (c->seen >= c->epoch) {
			if (c->seen >= MX_EPOCH_MAX)
				take_end(c, MX_ST_INVALID, now);
			else
				claim_prepare_later(c, now);
			return;
		}
	} else if (claim_majority(c, claim_voted)) {
		if (c->creating) {
			claim_create_voted(c, now);
			return;
		}
		memcpy(c->cur, c->next, sizeof *c->cur);
		c->state = MX_CLAIM_HELD;
		c->held_epoch = c->epoch;
		c->rounds = 0;
		overtake(c);
		claim_tick_at(c, now);
		if (!c->was_held) {
			claim_finish(c, MX_OK, now);
		} else {
			c->was_held = false;
			if (c->ops.changed)
				c->ops.changed(c->user, MX_OK, now);
		}
		return;
	} else if (c->creating) {
		if (claim_hopeless(c, claim_slot_against) || now >= c->deadline) {
			claim_create_refused(c, now);
			return;
		}
	} else if (c->deleted) {
		take_end(c, MX_ST_DELETED, now);
		return;
	} else if (c->seen > c->epoch || claim_hopeless(c, claim_slot_against)) {
		claim_prepare_later(c, now);
		return;
	} else if (now >= c->deadline && !c->was_held) {
		take_end(c, MX_ST_TIMEOUT, now);
		return;
	}
	claim_accept_push(c, now);
	claim_tick_at(c, now + CLAIM_TICK);
}

void mx_claim_take(struct mx_claim *c, mx_ns now)
{
	c->want_done = true;
	c->was_held = c->creating = c->releasing = false;
	c->started = now;
	c->deadline = c->conf.timeout ? now + c->conf.timeout : MX_NEVER;
	c->rounds = 0;
	c->owner_lease_ms = 0;
	c->renewed = c->deleted = c->overtaken = c->fed = c->feeding = false;
	for (u32 i = 0; i < c->nslots; i++)
		c->slot[i].owned_until = 0;
	claim_votes_cancel(c);
	c->state = MX_CLAIM_PREPARING;
	c->retry_at = mx_max_u64(now, 1);	/* begins at the next step */
	claim_tick_at(c, now);
}

enum mx_status mx_claim_hindrance(const struct mx_claim *c)
{
	return claim_hopeless(c, claim_slot_gone) ? MX_ST_NO_QUORUM : MX_ST_TIMEOUT;
}
