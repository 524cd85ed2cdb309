// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Creating a volume: the name is reserved at a majority of the servers known,
 * holders are chosen among those that answered, and version 1 is written to
 * them under epoch 1. The uuid follows from name and op_id, so that a create
 * that is tried again, even by another process, is the same create.
 */
#include "claim_int.h"

static void create_begin(struct mx_claim *c, mx_ns now)
{
	struct mx_reserve_req r = { .op_id = c->create_op };

	memcpy(r.name, c->name, sizeof r.name);
	memcpy(r.uuid, c->uuid, MX_UUID);
	claim_asks_cancel(c);
	c->state = MX_CLAIM_FINDING;
	c->creating = true;
	c->create_check = c->releasing = c->by_uuid = false;
	c->create_st = MX_OK;
	c->hit_at = 0;
	c->started = c->last_new = now;
	c->body_len = mx_reserve_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	claim_tick_at(c, now);
}

static void make_uuid(struct mx_claim *c)
{
	u8 mac[32], op[8];
	size_t n = 0;

	while (n < MX_NAME_MAX && c->name[n])
		n++;
	mx_st64(op, c->create_op);
	mx_hmac_sha256(mac, op, sizeof op, c->name, n);
	memcpy(c->uuid, mac, MX_UUID);
}

void mx_claim_create(struct mx_claim *c, const char *name, u64 size, u64 op_id, mx_ns now)
{
	size_t n = 0;

	while (n < MX_NAME_MAX && name[n])
		n++;
	memset(c->name, 0, sizeof c->name);
	memcpy(c->name, name, n);
	memset(c->over, 0, sizeof c->over);
	c->want_done = true;
	c->create_size = size;
	c->create_op = op_id;
	make_uuid(c);
	c->deadline = c->conf.timeout ? now + c->conf.timeout : MX_NEVER;
	create_begin(c, now);
}

void claim_create_asked(struct mx_claim *c, struct claim_ask *a, enum mx_status st,
			const u8 *body, u32 len, mx_ns now)
{
	static const u8 none[MX_UUID];

	(void)a;
	if (st == MX_OK)
		c->positive++;
	else if (st == MX_ST_EXISTS && (len < MX_UUID || memcmp(c->over, body, MX_UUID) ||
					memcmp(c->over, none, MX_UUID) == 0))
		c->hit_at = now;
	else if (st == MX_ST_EXISTS)
		return;			/* it does not know yet that it is over */
	else if (st < 64)
		c->create_st = st;
}

static u32 servers_known(const struct mx_claim *c)
{
	u32 n = 0;

	for (u32 i = 0; i < mx_ep_nmembers(c->ep); i++)
		n += mx_ep_member(c->ep, i)->flags & MX_MEMBER_SERVER;
	return n;
}

/* Of the servers that agreed, those with the highest scores for this name, that
 * have room and are not leaving. */
static u32 choose_holders(struct mx_claim *c, struct mx_desc *d)
{
	u32 want = MX_HOLDERS_WANT;

	for (;;) {
		struct mx_member *best = NULL;
		u64 top = 0;

		for (u32 i = 0; i < c->nasked && d->nholders < want; i++) {
			struct mx_member *m = mx_ep_member_by_id(c->ep, c->asked[i].id);
			u64 score = claim_score(c->name, c->asked[i].id);

			if (!m || c->asked[i].answer != ANSWER_YES || (m->flags & MX_MEMBER_LEAVING) ||
			    (best && score <= top) ||
			    mx_desc_holder(d, m->node.id, m->node.incarnation) >= 0)
				continue;
			best = m;
			top = score;
		}
		if (!best)
			break;
		d->holders[d->nholders].id = best->node.id;
		d->holders[d->nholders].incarnation = best->node.incarnation;
		d->holders[d->nholders].addr = best->addr;
		d->holders[d->nholders++].state = MX_ENR_OK;
	}
	/* Two holders have no majority without both: one is better. */
	if (d->nholders == 2)
		d->nholders = 1;
	return d->nholders;
}

static void write_first(struct mx_claim *c, mx_ns now)
{
	c->epoch = c->cur->epoch;
	c->seen = c->cur->epoch;
	c->state = MX_CLAIM_ACCEPTING;
	c->writing = false;
	c->retry_at = 0;
	memcpy(c->next, c->cur, sizeof *c->next);
	claim_load_slots(c, c->cur, now);
	for (u32 i = 0; i < c->nslots; i++)
		c->slot[i].fenced = c->slot[i].gone = false;
	claim_accept_round(c, 0, now);
	claim_tick_at(c, now + CLAIM_TICK);
}

static void create_end(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	u32 asked = c->nasked, answered = c->answered;

	claim_asks_cancel(c);
	c->nasked = asked;
	c->answered = answered;
	c->creating = c->create_check = false;
	c->state = st == MX_OK ? MX_CLAIM_FOUND : MX_CLAIM_IDLE;
	claim_votes_cancel(c);
	claim_finish(c, st, now);
}

void claim_create_tick(struct mx_claim *c, mx_ns now)
{
	struct mx_desc *d = c->cur;
	bool settled = now >= c->started + CLAIM_SETTLE && now >= c->last_new + CLAIM_SETTLE / 2;

	claim_ask_all(c, MX_OP_RESERVE, now);
	if (!claim_asks_idle(c) || !settled) {
		if (now < c->deadline) {
			claim_tick_at(c, now + CLAIM_TICK);
			return;
		}
	}
	if (c->hit_at) {
		mx_ns by = c->deadline;

		mx_claim_find(c, c->name, NULL, now);
		c->create_check = true;
		c->deadline = by;
		return;
	}
	if (!c->answered || c->positive < mx_majority(servers_known(c))) {
		if (now >= c->deadline || c->create_st != MX_OK) {
			create_end(c, c->create_st != MX_OK ? c->create_st : c->answered ?
				   MX_ST_NO_QUORUM : MX_ST_NO_SERVERS, now);
			return;
		}
		if (now >= c->last_new + MX_SEC && claim_asks_idle(c)) {
			/* ask all again: answers may have been lost */
			c->nasked = c->answered = c->positive = 0;
		}
		claim_tick_at(c, now + CLAIM_TICK);
		return;
	}
	memset(d, 0, sizeof *d);
	memcpy(d->uuid, c->uuid, MX_UUID);
	memcpy(d->name, c->name, sizeof d->name);
	d->size = c->create_size;
	d->state = MX_VOL_LIVE;
	d->extent_shift = MX_EXTENT_SHIFT;
	d->policy = 1;
	d->op_id = c->create_op;
	d->epoch = 1;
	d->version = 1;
	d->config = 1;
	d->owner = *mx_ep_node(c->ep);
	if (!choose_holders(c, d))
		create_end(c, MX_ST_NO_SERVERS, now);
	else
		write_first(c, now);
}

/* The name is taken. By this create, tried before? Then it may lack a majority
 * yet: the same version 1 is sent to its holders again. */
void claim_create_checked(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	if (st == MX_ST_NAME_CLASH)
		create_end(c, st, now);
	else if (st == MX_ST_NO_VOLUME && now + 2 * CLAIM_SETTLE < c->deadline)
		create_begin(c, now);	/* only reserved, by a create that came to nothing, or is
					 * still under way: reservations end soon */
	else if (st == MX_OK && c->cur->op_id != c->create_op)
		claim_check_start(c, CHECK_CREATE, c->cur->uuid, NULL, now);
	else if (st != MX_OK)
		create_end(c, MX_ST_EXISTS, now);
	else if (c->cur->version > 1 || c->cur->epoch > 1)
		create_end(c, MX_OK, now);
	else {
		c->creating = true;
		c->create_check = false;
		c->deadline = c->conf.timeout ? now + c->conf.timeout : MX_NEVER;
		write_first(c, now);
	}
}

/* The name is another volume's: one that was deleted? */
void claim_create_free(struct mx_claim *c, mx_ns now)
{
	/* More than one such is more than is worth the trouble. */
	bool again = c->check.dead[0] && memcmp(c->over, c->check.uuid[0], MX_UUID) &&
		     now + 2 * CLAIM_SETTLE < c->deadline;

	if (again) {
		memcpy(c->over, c->check.uuid[0], MX_UUID);
		make_uuid(c);
		create_begin(c, now);
	} else {
		create_end(c, MX_ST_EXISTS, now);
	}
}

void claim_create_voted(struct mx_claim *c, mx_ns now)
{
	create_end(c, MX_OK, now);
}

void claim_create_refused(struct mx_claim *c, mx_ns now)
{
	/* Somebody went on from what we wrote: it was there all the time. */
	if (c->cur->op_id == c->create_op && c->cur->epoch > c->epoch &&
	    c->cur->state == MX_VOL_LIVE)
		create_end(c, MX_OK, now);
	else
		/* Somebody has found it and means to go on from it, or has failed to. */
		create_end(c, c->seen > c->epoch ? MX_ST_TIMEOUT : MX_ST_NO_QUORUM, now);
}
