/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovering a volume whose majority of holders is gone: the one place that goes
 * on without a majority, and only because somebody asked for it by name.
 *
 * All servers are asked what they know of the name, first as holders, then as
 * keepers of data. The newest descriptor gets one or two holders, under an epoch above all
 * that were heard of; while the claim is held its care for holders makes that
 * three again, and copies the bitmap.
 */
#include "claim_int.h"

#define EPOCH_LEAP	1024u

void mx_claim_recover(struct mx_claim *c, const char *name, const u8 *uuid, mx_ns now)
{
	mx_claim_find(c, name, NULL, now);
	if (uuid)
		memcpy(c->uuid, uuid, MX_UUID);
	c->by_uuid = uuid != NULL;
	c->recovering = true;
	c->seen = 0;
	c->nknows = 0;
}

static bool is_alive(const struct mx_claim *c, const struct mx_srvref *r)
{
	for (u32 i = 0; i < c->nasked; i++)
		if (c->asked[i].id == r->id && c->asked[i].incarnation == r->incarnation)
			return true;
	return false;
}

/* It votes: it is there, and has the volume. */
static bool votes(const struct mx_claim *c, u64 id, u64 incarnation)
{
	for (u32 i = 0; i < c->nknows; i++)
		if (c->knows[i].id == id && c->knows[i].incarnation == incarnation)
			return true;
	return false;
}

void claim_recover_knows(struct mx_claim *c, const struct mx_node *from)
{
	if (!c->recovering || c->ask_op != MX_OP_LOOKUP || c->nknows == CLAIM_SLOTS ||
	    votes(c, from->id, from->incarnation))
		return;
	c->knows[c->nknows].id = from->id;
	c->knows[c->nknows++].incarnation = from->incarnation;
}

static u32 voters(const struct mx_claim *c, const struct mx_srvref *list, u32 n)
{
	u32 yes = 0;

	for (u32 i = 0; i < n; i++)
		yes += votes(c, list[i].id, list[i].incarnation);
	return yes;
}

/* With a majority of the holders, during a change of both sets, nothing needs
 * recovering. */
static bool quorum(const struct mx_claim *c)
{
	const struct mx_desc *d = c->cur;

	return voters(c, d->holders, d->nholders) >= mx_majority(d->nholders) &&
	       (!d->nprev || voters(c, d->prev, d->nprev) >= mx_majority(d->nprev));
}

static void add_survivors(const struct mx_claim *c, const struct mx_srvref *list, u32 n,
			  struct mx_srvref *to, u32 *have)
{
	for (u32 i = 0; i < n && *have < 2; i++)
		if (votes(c, list[i].id, list[i].incarnation) && (!*have || to[0].id != list[i].id))
			to[(*have)++] = list[i];
}

/*
 * Up to two surviving holders: a majority of two is both, so the newer of their
 * bitmaps is taken. Those of a new set were filled, so they come first.
 */
static u32 survivors(const struct mx_claim *c, struct mx_srvref *to)
{
	u32 have = 0;

	add_survivors(c, c->cur->holders, c->cur->nholders, to, &have);
	add_survivors(c, c->cur->prev, c->cur->nprev, to, &have);
	return have;
}

/* None survived: a server like any other, one that is to leave if need be. */
static bool choose(struct mx_claim *c, bool leaving, struct mx_srvref *to)
{
	struct mx_member *best = NULL;
	u64 top = 0;

	for (u32 i = 0; i < c->nasked; i++) {
		struct mx_member *m = mx_ep_member_by_id(c->ep, c->asked[i].id);
		u64 score = claim_score(c->cur->name, c->asked[i].id);

		if (!m || !c->asked[i].incarnation ||
		    (!leaving && (m->flags & MX_MEMBER_LEAVING)) ||
		    (best && score <= top))
			continue;
		best = m;
		top = score;
	}
	if (!best)
		return false;
	memset(to, 0, sizeof *to);
	to->id = best->node.id;
	to->incarnation = best->node.incarnation;
	to->addr = best->addr;
	to->state = MX_ENR_OK;
	return true;
}

static void recover_end(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	claim_asks_cancel(c);
	c->recovering = false;
	c->state = MX_CLAIM_IDLE;
	claim_finish(c, st, now);
}

static void write_recovered(struct mx_claim *c, const struct mx_srvref *to, u32 n, mx_ns now)
{
	struct mx_desc *d = c->next;

	memcpy(d, c->cur, sizeof *d);
	for (u32 i = 0; i < d->nenrolled; i++)
		if (!is_alive(c, &d->enrolled[i]))
			d->enrolled[i].state = MX_ENR_GONE;
	memset(d->holders, 0, sizeof d->holders);
	memcpy(d->holders, to, n * sizeof *to);
	d->nholders = n;
	d->nprev = 0;
	/* What it calls dead may be the only copy by now: moves may have been made
	 * since it was written. With UNSURE the latest of two counts. */
	d->ndead = 0;
	d->config++;
	d->flags |= MX_DESC_UNSURE;	/* the newest bitmap may have been at those lost */
	/* Far above: those who are gone may have promised more than is known. */
	d->epoch = c->epoch = mx_max_u32(c->seen, d->epoch) + EPOCH_LEAP;
	d->version++;
	c->tried_version = d->version;
	d->owner = *mx_ep_node(c->ep);
	d->owned = 1;
	claim_asks_cancel(c);
	c->recovering = c->releasing = c->was_held = c->writing = false;
	memcpy(c->uuid, d->uuid, MX_UUID);
	memcpy(c->cur, d, sizeof *d);	/* what slots and refusals are held against */
	c->cur->version--;
	c->retry_at = 0;
	c->rounds = 0;
	c->deadline = now + 10 * MX_SEC;
	claim_load_slots(c, d, now);
	for (u32 i = 0; i < c->nslots; i++)
		c->slot[i].fenced = c->slot[i].gone = false;
	claim_bits_start(c);
	c->state = MX_CLAIM_ACCEPTING;
	claim_accept_round(c, (u32)(c->conf.lease / MX_MS), now);
	claim_tick_at(c, now + CLAIM_TICK);
}

void claim_recover_found(struct mx_claim *c, mx_ns now)
{
	static const u8 none[MX_UUID];

	if (c->ask_op == MX_OP_LOOKUP) {	/* now those that keep data */
		c->ask_op = MX_OP_RECOVER_LIST;
		c->nasked = 0;
		c->last_new = now;
		claim_tick_at(c, now);
	} else if (!c->answered) {
		recover_end(c, MX_ST_NO_SERVERS, now);
	} else if (!c->hit_at) {
		recover_end(c, c->denied ? MX_ST_DENIED : MX_ST_NO_VOLUME, now);
	} else if (memcmp(c->clash_b, none, MX_UUID)) {
		recover_end(c, MX_ST_NAME_CLASH, now);
	} else if (c->seen > MX_EPOCH_MAX - EPOCH_LEAP || quorum(c)) {
		recover_end(c, MX_ST_INVALID, now);
	} else {
		c->deadline = MX_NEVER;
		claim_check_start(c, CHECK_RECOVER, c->cur->uuid, NULL, now);
	}
}

/* Nothing that any server knows to be deleted is brought back, and nothing is done if
 * holders that were silent the first time were heard now. */
void claim_recover_checked(struct mx_claim *c, mx_ns now)
{
	struct mx_srvref to[2];
	u32 n = survivors(c, to);

	if (!n)
		n = choose(c, false, to) || choose(c, true, to);
	if (c->check.dead[0])
		recover_end(c, MX_ST_DELETED, now);
	else if (quorum(c))
		recover_end(c, MX_ST_INVALID, now);
	else if (n)
		write_recovered(c, to, n, now);
	else
		recover_end(c, MX_ST_NO_SERVERS, now);
}
