// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Was a volume deleted, of which some server still has a descriptor? A holder that
 * was away while it was deleted goes on telling of it until its caretaker hears
 * that it is over. Whoever meets it beside a volume of the same name, or in the way
 * of a create, finds its majority gone, or is about to recover it, asks all servers
 * before believing it.
 *
 * A server that has dropped or forgotten a volume says DELETED: that comes after the
 * decision. A tombstone alone may be undecided; as many as a majority are not.
 */
#include "claim_int.h"

#define CHECK_PATIENCE	(5 * MX_SEC)

static void check_ask(struct mx_claim *c, mx_ns now)
{
	struct mx_lookup_req r = { .by = MX_LOOKUP_UUID };

	memcpy(r.uuid, c->check.uuid[c->check.at], MX_UUID);
	claim_asks_cancel(c);
	c->ask_op = MX_OP_LOOKUP;
	c->body_len = mx_lookup_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	c->check.tombs = 0;
	c->check.epoch = 0;
	c->check.version = 0;
	claim_tick_at(c, now);
}

void claim_check_start(struct mx_claim *c, enum claim_check why, const u8 *a, const u8 *b, mx_ns now)
{
	u8 one[MX_UUID], two[MX_UUID];

	memcpy(one, a, MX_UUID);	/* they may be c's own */
	memcpy(two, b ? b : a, MX_UUID);
	memset(&c->check, 0, sizeof c->check);
	c->check.why = why;
	c->check.n = b ? 2 : 1;
	memcpy(c->check.uuid[0], one, MX_UUID);
	memcpy(c->check.uuid[1], two, MX_UUID);
	/* Before a recovery all are asked, however many: who has not answered is given up. */
	c->check.until = why == CHECK_RECOVER ? MX_NEVER : mx_min_u64(c->deadline, now + CHECK_PATIENCE);
	c->state = MX_CLAIM_FINDING;
	check_ask(c, now);
}

/* True: it has the volume, which it does not know to be deleted. */
bool claim_check_asked(struct mx_claim *c, enum mx_status st, const u8 *body, u32 len)
{
	struct mx_hstate h = { .desc = c->tmp };
	bool *dead = &c->check.dead[c->check.at];

	if (st == MX_ST_DELETED)
		*dead = true;
	if (st != MX_OK || len < 8 || !mx_hstate_decode(body + 8, len - 8, &h, NULL) ||
	    memcmp(c->tmp->uuid, c->check.uuid[c->check.at], MX_UUID))
		return false;
	if (c->tmp->state != MX_VOL_DELETED)
		return true;
	if (c->tmp->epoch != c->check.epoch || c->tmp->version != c->check.version)
		c->check.tombs = 0;
	c->check.epoch = c->tmp->epoch;
	c->check.version = c->tmp->version;
	c->check.tombs++;
	*dead |= !c->tmp->nprev && c->check.tombs >= mx_majority(c->tmp->nholders);
	return false;
}

void claim_check_tick(struct mx_claim *c, mx_ns now)
{
	enum claim_check why = c->check.why;

	claim_ask_all(c, c->ask_op, now);
	if ((!claim_asks_idle(c) || (why == CHECK_RECOVER && !claim_all_asked(c))) &&
	    now < c->check.until) {
		claim_tick_at(c, now + CLAIM_TICK);
		return;
	}
	if (++c->check.at < c->check.n) {
		check_ask(c, now);
		return;
	}
	c->check.why = CHECK_NONE;
	switch (why) {
	case CHECK_CLASH:
		claim_clash_checked(c, now);
		break;
	case CHECK_CREATE:
		claim_create_free(c, now);
		break;
	case CHECK_RECOVER:
		claim_recover_checked(c, now);
		break;
	case CHECK_TAKE:
		claim_take_checked(c, now);
		break;
	case CHECK_NONE:
		break;
	}
}
