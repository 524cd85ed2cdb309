/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holders do for a volume that nobody uses: replace a holder that is lost,
 * finish a deletion, and drop what others have long gone on from.
 *
 * A volume is left alone until its lease has been over for caretaker_after. A
 * round begins when the members heard of show something wrong, and now and then
 * without that, since a holder may have missed that it is one no more:
 *
 *	PROBE	ask the other holders what they know
 *	ASK	too few of them answer: ask all servers, one may remember more
 *	CLAIM	an admin claim; while it is held it heals the holders by itself, or
 *		writes a tombstone that has no majority yet to one
 *	DROP	a tombstone with a majority: DROP_VOLUME at every server enrolled, and
 *		at the holders, of whom one may have missed it
 *	FORGET	all have dropped it: the other holders, then we, forget it
 *
 * Holders take turns by their place in the descriptor, so that mostly one of
 * them acts; if two do, ballots decide.
 */
#include "server_int.h"

#define ROUNDS		4u		/* volumes looked after at once */
#define SLOTS		8u		/* calls of a round at once */
#define POLL		(100 * MX_MS)
#define CALL		(5 * MX_SEC)
#define CLAIM_TAKE	(15 * MX_SEC)
#define CLAIM_HOLD	(40 * MX_SEC)
#define CLAIM_SILENT	(5 * MX_SEC)
#define HEARD		(20 * MX_SEC)	/* a server announced so recently is there */
#define PAUSE_MAX	(3600 * MX_SEC)
#define REPROBES	3u
#define CHECK_EVERY	5u		/* times caretaker_after */

enum phase { IDLE, PROBE, ASK, DROP, FORGET, CLAIM, RELEASE };
enum answer { NONE, ANSWERED, UNKNOWN /* NO_VOLUME */, REBORN, SILENT };

struct slot {
	struct round *r;
	struct mx_call call;
	struct mx_peer *peer;
	u64 id, incarnation;
	u32 index;		/* in holders or enrolled */
	bool busy;
};

struct seen {			/* what a holder said */
	u8 answer;
	u32 epoch, state, lease_ms;
	u64 version;
	bool joint;		/* its holders are being changed, as far as it knows */
};

struct round {
	struct mx_server *s;
	enum phase phase;
	u8 uuid[MX_UUID];
	struct mx_desc *d;	/* the newest that was seen */
	struct mx_desc *tmp;
	u32 probes;
	struct seen seen[MX_HOLDERS_MAX];
	struct slot slot[SLOTS];
	u32 next;		/* to be called */
	bool pending;		/* some server has not answered; PROBE, ASK: newer was seen */
	bool gone;		/* a server has dropped or forgotten it: its deletion counts. Who
				 * has the tombstone must still see to it that all do so, who
				 * has missed it can let go */
	u8 req[128];
	u32 req_len;
	struct mx_claim *claim;
	bool claim_done, claim_lost;
	bool wanted;		/* somebody waits for the claim's end */
	enum mx_status claim_st;
	mx_ns until, held_at;
};

struct mx_care {
	struct mx_timer timer;
	struct mx_server *s;
	struct round *round[ROUNDS];
	u32 cursor;
};

/* ---- a round's life ---- */

static void round_stop(struct round *r)
{
	u32 i;

	for (i = 0; i < SLOTS; i++) {
		if (!r->slot[i].busy)
			continue;
		mx_call_cancel(&r->slot[i].call);
		mx_peer_put(r->slot[i].peer);
		r->slot[i].busy = false;
	}
	if (r->claim)
		mx_claim_free(r->claim);
	r->claim = NULL;
	r->phase = IDLE;
}

static void round_free(struct mx_server *s, struct round *r)
{
	if (!r)
		return;
	round_stop(r);
	mx_srv_free(s, r->d, sizeof *r->d);
	mx_srv_free(s, r->tmp, sizeof *r->tmp);
	mx_srv_free(s, r, sizeof *r);
}

/* The volume is looked at again after @pause, doubled for each failure before. */
static void round_over(struct round *r, bool failed, mx_ns now)
{
	struct mx_held *h = mx_held_find(r->s, r->uuid);
	mx_ns after = r->s->conf.caretaker_after;

	round_stop(r);
	if (!h)
		return;
	h->care_fails = failed ? mx_min_u32(h->care_fails + 1, 10) : 0;
	h->care_at = now + mx_min_u64(after << h->care_fails, mx_max_u64(PAUSE_MAX, after));
}

/* The descriptor is of no use here any more. */
static void let_go(struct round *r)
{
	struct mx_held *h = mx_held_find(r->s, r->uuid);

	round_stop(r);
	if (h)
		mx_held_drop(r->s, h);
}

/* ---- calls ---- */

static bool is_me(const struct mx_server *s, const struct mx_srvref *ref)
{
	const struct mx_node *me = mx_srv_node(s);

	return ref->id == me->id && ref->incarnation == me->incarnation;
}

static bool known_reborn(const struct mx_server *s, const struct mx_srvref *ref)
{
	const struct mx_member *m = mx_ep_member_by_id(s->ep, ref->id);

	return (m && m->node.incarnation != ref->incarnation) ||
	       (ref->id == mx_srv_node(s)->id && !is_me(s, ref));
}

/* Who answered: the incarnation asked for, a later one, or neither. */
static enum answer who(const struct slot *sl, enum mx_status st)
{
	const struct mx_node *n = mx_peer_node(sl->peer);

	if (n->id == sl->id && n->incarnation != sl->incarnation)
		return REBORN;
	if (st >= MX_ST_TIMEOUT || n->id != sl->id)
		return SILENT;
	return ANSWERED;
}

static bool slot_call(struct slot *sl, const struct mx_srvref *ref, u32 index, u16 op, mx_ns now,
		      void (*done)(struct mx_call *, enum mx_status, const u8 *, u32, mx_ns))
{
	struct round *r = sl->r;
	const struct mx_member *m = mx_ep_member_by_id(r->s->ep, ref->id);

	sl->peer = mx_peer_connect(r->s->ep, m ? &m->addr : &ref->addr, now);
	if (!sl->peer)
		return false;
	sl->id = ref->id;
	sl->incarnation = ref->incarnation;
	sl->index = index;
	sl->busy = true;
	mx_call_start(&sl->call, sl->peer, op, r->req, r->req_len, CALL, now, done);
	return true;
}

static void slot_done(struct slot *sl)
{
	mx_peer_put(sl->peer);
	sl->peer = NULL;
	sl->busy = false;
}

static bool slots_idle(const struct round *r)
{
	u32 i;

	for (i = 0; i < SLOTS; i++)
		if (r->slot[i].busy)
			return false;
	return true;
}

static struct slot *slot_free(struct round *r)
{
	u32 i;

	for (i = 0; i < SLOTS; i++)
		if (!r->slot[i].busy)
			return &r->slot[i];
	return NULL;
}

static void drop_start(struct round *r, enum phase phase);

/* ---- PROBE, ASK ---- */

/* What a LOOKUP tells, into tmp. False: nothing. */
static bool heard_of(struct round *r, enum mx_status st, const u8 *body, u32 len, u32 *lease_ms)
{
	struct mx_hstate h = { .desc = r->tmp };

	r->gone |= st == MX_ST_DELETED && !len;
	if (st != MX_OK || len < 8 || !mx_hstate_decode(body + 8, len - 8, &h, NULL) ||
	    memcmp(r->tmp->uuid, r->uuid, MX_UUID))
		return false;
	*lease_ms = h.lease_ms;
	/* The newest wins; its holders may be others: they are asked next. */
	if (mx_desc_cmp(r->tmp, r->d) > 0) {
		memcpy(r->d, r->tmp, sizeof *r->d);
		r->pending = true;
	}
	return true;
}

static void probe_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct slot *sl = mx_container_of(call, struct slot, call);
	struct round *r = sl->r;
	struct seen *seen = &r->seen[sl->index];

	(void)now;
	seen->answer = (u8)who(sl, st);
	slot_done(sl);
	if (heard_of(r, st, body, len, &seen->lease_ms)) {
		seen->epoch = r->tmp->epoch;
		seen->version = r->tmp->version;
		seen->state = r->tmp->state;
		seen->joint = r->tmp->nprev != 0;
	} else if (seen->answer == ANSWERED) {
		seen->answer = st == MX_ST_NO_VOLUME || st == MX_ST_DELETED ? UNKNOWN : SILENT;
	}
}

static void lookup_prepare(struct round *r, enum phase phase)
{
	struct mx_lookup_req q = { .by = MX_LOOKUP_UUID };

	memcpy(q.uuid, r->uuid, MX_UUID);
	r->req_len = mx_lookup_req_encode(r->req, sizeof r->req, &q);
	r->phase = phase;
	r->pending = false;
	r->next = 0;
}

static bool probe_start(struct round *r, mx_ns now)
{
	u32 i;

	lookup_prepare(r, PROBE);
	r->probes++;
	memset(r->seen, 0, sizeof r->seen);
	for (i = 0; i < r->d->nholders; i++) {
		const struct mx_srvref *ref = &r->d->holders[i];

		if (is_me(r->s, ref))
			continue;
		if (known_reborn(r->s, ref))
			r->seen[i].answer = REBORN;
		else if (!slot_call(slot_free(r), ref, i, MX_OP_LOOKUP, now, probe_done))
			return false;
	}
	return true;
}

static void ask_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct slot *sl = mx_container_of(call, struct slot, call);
	u32 lease_ms;

	(void)now;
	heard_of(sl->r, st, body, len, &lease_ms);
	slot_done(sl);
}

static void ask_poll(struct round *r, mx_ns now)
{
	u32 n = mx_ep_nmembers(r->s->ep);
	struct slot *sl;

	for (; !r->gone && r->next < n && (sl = slot_free(r)); r->next++) {
		const struct mx_member *m = mx_ep_member(r->s->ep, r->next);
		struct mx_srvref ref = { .id = m->node.id, .incarnation = m->node.incarnation,
					 .addr = m->addr };

		if (m->flags & MX_MEMBER_SERVER)
			slot_call(sl, &ref, 0, MX_OP_LOOKUP, now, ask_done);
	}
	if (!slots_idle(r) || (!r->gone && r->next < n))
		return;
	if (r->gone && r->d->state == MX_VOL_DELETED)
		drop_start(r, DROP);
	else if (r->gone)
		let_go(r);
	else if (!r->pending || r->probes >= REPROBES || !probe_start(r, now))
		round_over(r, true, now);
}

/* ---- CLAIM ---- */

static void claim_done(void *user, enum mx_status st, mx_ns now)
{
	struct round *r = user;

	(void)now;
	r->claim_done = true;
	r->claim_st = st;
}

static void claim_changed(void *user, enum mx_status st, mx_ns now)
{
	struct round *r = user;

	(void)now;
	r->claim_lost |= st != MX_OK;
}

static bool claim_start(struct round *r, mx_ns now)
{
	static const struct mx_claim_ops ops = { .done = claim_done, .changed = claim_changed };
	struct mx_claim_conf conf = {
		.lease = 4 * MX_SEC, .timeout = CLAIM_TAKE, .admin = true, .silent = CLAIM_SILENT,
	};

	r->claim = mx_claim_new(r->s->ep, &conf, &ops, r);
	if (!r->claim)
		return false;
	r->phase = CLAIM;
	r->claim_done = r->claim_lost = r->wanted = false;
	r->until = now + 2 * CLAIM_TAKE;
	r->held_at = 0;
	mx_claim_adopt(r->claim, r->d);
	mx_claim_take(r->claim, now);
	return true;
}

static void release_start(struct round *r, bool healthy, mx_ns now)
{
	r->pending = !healthy;
	r->claim_done = false;
	r->phase = RELEASE;
	mx_claim_release(r->claim, now);
}

static void claim_poll(struct round *r, mx_ns now)
{
	bool healthy;

	if (r->claim_done && r->claim_st == MX_ST_DELETED && r->d->state == MX_VOL_LIVE) {
		let_go(r);
		return;
	}
	if (r->claim_lost || (r->claim_done && r->claim_st != MX_OK)) {
		round_over(r, true, now);
		return;
	}
	if (mx_claim_state(r->claim) != MX_CLAIM_HELD) {
		if (now >= r->until)
			round_over(r, true, now);
		return;
	}
	if (!r->held_at)
		r->held_at = now;
	healthy = mx_claim_desc(r->claim)->state == MX_VOL_DELETED ||
		  mx_claim_healthy(r->claim, now);
	/* Whoever opens the volume looks after its holders, too. */
	if (r->wanted) {
		release_start(r, false, now);
		return;
	}
	/* That a holder is silent shows only after a while. */
	if (r->pending && now < r->held_at + CLAIM_SILENT + 3 * MX_SEC)
		return;
	if (!healthy && now < r->held_at + CLAIM_HOLD)
		return;
	release_start(r, healthy, now);
}

static void release_poll(struct round *r, mx_ns now)
{
	if (r->claim_done)
		round_over(r, r->pending, now);
}

/* ---- DROP, FORGET ---- */

static void drop_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct slot *sl = mx_container_of(call, struct slot, call);
	enum answer a = who(sl, st);

	(void)body;
	(void)len;
	(void)now;
	if (a != REBORN && (a != ANSWERED || st != MX_OK))
		sl->r->pending = true;
	slot_done(sl);
}

static void drop_start(struct round *r, enum phase phase)
{
	struct mx_drop_vol_req q = { .epoch = r->d->epoch };

	memcpy(q.uuid, r->uuid, MX_UUID);
	r->req_len = mx_drop_vol_req_encode(r->req, sizeof r->req, &q);
	r->phase = phase;
	r->next = 0;
	r->pending = false;
}

/* Calls the next servers of the list; true when all have answered or will not. */
static bool drop_push(struct round *r, mx_ns now)
{
	bool drop = r->phase == DROP;
	u32 enrolled = drop ? r->d->nenrolled : 0, n = enrolled + r->d->nholders;
	struct slot *sl;

	for (; r->next < n && (sl = slot_free(r)); r->next++) {
		const struct mx_srvref *ref = r->next < enrolled ? &r->d->enrolled[r->next] :
					      &r->d->holders[r->next - enrolled];

		if (known_reborn(r->s, ref) || (drop && ref->state == MX_ENR_GONE))
			continue;
		if (is_me(r->s, ref)) {
			if (drop)
				mx_drop_volume(r->s, r->uuid, r->d->epoch);
			continue;
		}
		if (!slot_call(sl, ref, r->next, drop ? MX_OP_DROP_VOLUME : MX_OP_FORGET, now,
			       drop_done))
			r->pending = true;
	}
	return r->next == n && slots_idle(r);
}

static void drop_poll(struct round *r, mx_ns now)
{
	if (!drop_push(r, now))
		return;
	if (r->phase == DROP) {
		if (r->pending)
			round_over(r, true, now);
		else
			drop_start(r, FORGET);
		return;
	}
	/* A holder that did not hear it has a tombstone, and finds by itself that the
	 * others forgot. */
	let_go(r);
}

/* ---- what a probe shows ---- */

struct verdict { u32 votes, unknown, reborn, silent, newer, tombs; bool leased; };

static void judge(const struct round *r, const struct mx_held *h, struct verdict *v)
{
	const struct mx_desc *d = r->d;
	u32 epoch = mx_ld32(h->desc + MX_DESC_EPOCH), i;
	u64 version = mx_ld64(h->desc + MX_DESC_VERSION);

	memset(v, 0, sizeof *v);
	for (i = 0; i < d->nholders; i++) {
		const struct seen *s = &r->seen[i];

		if (is_me(r->s, &d->holders[i])) {
			v->votes++;
			v->tombs += epoch == d->epoch && version == d->version;
			continue;
		}
		v->unknown += s->answer == UNKNOWN;
		v->reborn += s->answer == REBORN;
		v->silent += s->answer == SILENT;
		if (s->answer != ANSWERED)
			continue;
		v->votes++;
		v->leased |= s->lease_ms > 0;
		/* While that is all a majority knows, the old set is needed, too. */
		v->newer += !s->joint && (s->epoch > epoch ||
					  (s->epoch == epoch && s->version >= version));
		v->tombs += s->epoch == d->epoch && s->version == d->version;
	}
	v->tombs += v->unknown;		/* forgotten only after it was dropped everywhere */
}

static bool there(const struct mx_member *m, mx_ns now)
{
	return (m->flags & MX_MEMBER_SERVER) && !(m->flags & MX_MEMBER_LEAVING) &&
	       now < m->heard + HEARD;
}

/* Servers that could become holders of @d. */
static u32 candidates(const struct mx_server *s, const struct mx_desc *d, mx_ns now)
{
	u32 n = 0, i;

	for (i = 0; i < mx_ep_nmembers(s->ep); i++) {
		const struct mx_member *m = mx_ep_member(s->ep, i);

		n += there(m, now) && mx_desc_holder(d, m->node.id, m->node.incarnation) < 0;
	}
	return n;
}

static u32 servers_there(const struct mx_server *s, mx_ns now)
{
	u32 n = !s->leaving, i;

	for (i = 0; i < mx_ep_nmembers(s->ep); i++)
		n += there(mx_ep_member(s->ep, i), now);
	return n;
}

static bool any_leaving(const struct mx_server *s, const struct mx_desc *d)
{
	u32 i;

	for (i = 0; i < d->nholders; i++) {
		const struct mx_member *m = mx_ep_member_by_id(s->ep, d->holders[i].id);

		if (m && (m->flags & MX_MEMBER_LEAVING))
			return true;
	}
	return false;
}

/* Is there something a claim would better? Without a server to take a lost holder's
 * place there is not, and a claim would only use up an epoch. */
static bool claim_helps(const struct round *r, const struct verdict *v, mx_ns now)
{
	u32 spare = candidates(r->s, r->d, now);

	if (r->d->state == MX_VOL_DELETED || r->d->nprev)
		return true;
	if (r->d->nholders < MX_HOLDERS_WANT)
		return r->d->nholders + spare >= MX_HOLDERS_WANT;
	return spare && (v->reborn || v->silent || v->unknown || any_leaving(r->s, r->d));
}

static void probe_poll(struct round *r, mx_ns now)
{
	const struct mx_node *me = mx_srv_node(r->s);
	struct mx_held *h = mx_held_find(r->s, r->uuid);
	u32 maj = mx_majority(r->d->nholders);
	struct verdict v;

	if (!h || mx_held_leased(h, now)) {
		round_over(r, false, now);
		return;
	}
	if (r->pending && r->probes < REPROBES) {
		if (!probe_start(r, now))
			round_over(r, true, now);
		return;
	}
	judge(r, h, &v);
	if (!r->d->nprev && mx_desc_holder(r->d, me->id, me->incarnation) < 0 && v.newer >= maj) {
		let_go(r);
	} else if (r->d->state == MX_VOL_DELETED && (r->gone || v.tombs >= maj)) {
		drop_start(r, DROP);
	} else if (r->gone || v.unknown >= maj) {
		/* deleted and forgotten, or never created by a majority */
		let_go(r);
	} else if (v.leased) {
		round_over(r, false, now);
	} else if (v.votes < maj) {
		/* Of these holders there will be no majority: was there another set? */
		lookup_prepare(r, ASK);
	} else if (claim_helps(r, &v, now)) {
		r->pending = v.silent > 0;
		if (!claim_start(r, now))
			round_over(r, true, now);
	} else {
		round_over(r, v.reborn || v.silent, now);
	}
}

/* ---- which volumes need it ---- */

/* By what members show: is there a holder lost, leaving or silent, or too few? */
static bool suspicious(const struct mx_server *s, const struct mx_held *h, mx_ns now)
{
	const u8 *p = h->desc + MX_DESC_LISTS;
	u32 n = mx_ld32(h->desc + MX_DESC_NHOLDERS), all = servers_there(s, now), i;
	bool me = false;

	if (mx_ld32(h->desc + MX_DESC_STATE) == MX_VOL_DELETED || mx_ld32(h->desc + MX_DESC_NPREV))
		return true;
	if (mx_ld32(h->desc + MX_DESC_EPOCH) == 1 && mx_ld64(h->desc + MX_DESC_VERSION) == 1)
		return true;		/* perhaps never created by a majority */
	for (i = 0; i < n; i++, p += 48) {
		struct mx_srvref ref = { .id = mx_ld64(p), .incarnation = mx_ld64(p + 8) };
		const struct mx_member *m = mx_ep_member_by_id(s->ep, ref.id);

		if (is_me(s, &ref)) {
			me = true;
			continue;
		}
		if (known_reborn(s, &ref) || !m || now >= m->heard + s->conf.caretaker_after ||
		    ((m->flags & MX_MEMBER_LEAVING) && all >= MX_HOLDERS_WANT))
			return true;
	}
	return !me || (n < MX_HOLDERS_WANT && all >= MX_HOLDERS_WANT);
}

static u32 my_rank(const struct mx_server *s, const struct mx_held *h)
{
	const u8 *p = h->desc + MX_DESC_LISTS;
	u32 n = mx_ld32(h->desc + MX_DESC_NHOLDERS), i;

	for (i = 0; i < n; i++)
		if (mx_ld64(p + 48 * i) == mx_srv_node(s)->id)
			return i;
	return n;
}

static bool in_round(const struct mx_care *c, const u8 *uuid)
{
	u32 i;

	for (i = 0; i < ROUNDS; i++)
		if (c->round[i] && c->round[i]->phase != IDLE &&
		    memcmp(c->round[i]->uuid, uuid, MX_UUID) == 0)
			return true;
	return false;
}

static bool due(const struct mx_server *s, const struct mx_held *h, mx_ns now)
{
	mx_ns after = s->conf.caretaker_after;

	if (now < h->care_at || mx_held_leased(h, now) || now < s->started + after)
		return false;
	return now >= h->quiet_since + after + my_rank(s, h) * (after / 6);
}

static struct round *round_new(struct mx_server *s)
{
	struct round *r = mx_srv_alloc(s, sizeof *r);
	u32 i;

	if (!r)
		return NULL;
	r->s = s;
	for (i = 0; i < SLOTS; i++)
		r->slot[i].r = r;
	r->d = mx_srv_alloc(s, sizeof *r->d);
	r->tmp = mx_srv_alloc(s, sizeof *r->tmp);
	if (r->d && r->tmp)
		return r;
	round_free(s, r);
	return NULL;
}

static void round_start(struct round *r, struct mx_held *h, mx_ns now)
{
	memcpy(r->uuid, h->uuid, MX_UUID);
	r->probes = 0;
	r->gone = false;
	h->checked_at = now;
	mx_held_desc(r->s, h, r->d);
	if (!probe_start(r, now))
		round_over(r, true, now);
}

/* The next volume that wants looking after, from where the last search ended. */
static struct mx_held *next_volume(struct mx_care *c, mx_ns now)
{
	struct mx_server *s = c->s;
	u32 i;

	for (i = 0; i < s->nheld; i++) {
		struct mx_held *h = s->held[c->cursor++ % s->nheld];

		if (!due(s, h, now) || in_round(c, h->uuid))
			continue;
		if (suspicious(s, h, now) ||
		    now >= h->checked_at + CHECK_EVERY * s->conf.caretaker_after)
			return h;
		h->care_at = now + s->conf.caretaker_after / 6;
	}
	return NULL;
}

static void care_poll(struct mx_timer *t, mx_ns now)
{
	struct mx_care *c = mx_container_of(t, struct mx_care, timer);
	bool busy = false;
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		struct round *r = c->round[i];

		if (!r)
			continue;
		if (r->phase == PROBE && slots_idle(r))
			probe_poll(r, now);
		else if (r->phase == ASK)
			ask_poll(r, now);
		else if (r->phase == DROP || r->phase == FORGET)
			drop_poll(r, now);
		else if (r->phase == CLAIM)
			claim_poll(r, now);
		else if (r->phase == RELEASE)
			release_poll(r, now);
		if (r->phase == IDLE) {
			round_free(c->s, r);
			c->round[i] = NULL;
		}
		busy |= c->round[i] != NULL;
	}
	if (busy)
		mx_timer_set(c->s->ep, t, now + POLL);
}

/* Once a second. */
void mx_care_tick(struct mx_server *s, mx_ns now)
{
	struct mx_care *c = s->care;
	struct mx_held *h;
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		if (c->round[i])
			continue;
		h = next_volume(c, now);
		if (!h)
			return;
		c->round[i] = round_new(s);
		if (!c->round[i])
			return;
		round_start(c->round[i], h, now);
		mx_timer_set(s->ep, &c->timer, now + POLL);
	}
}

void mx_care_forget(struct mx_server *s, const u8 *uuid)
{
	u32 i;

	for (i = 0; s->care && i < ROUNDS; i++)
		if (s->care->round[i] && memcmp(s->care->round[i]->uuid, uuid, MX_UUID) == 0)
			round_stop(s->care->round[i]);
}

void mx_care_wanted(struct mx_server *s, const u8 *uuid)
{
	u32 i;

	for (i = 0; s->care && i < ROUNDS; i++)
		if (s->care->round[i] && memcmp(s->care->round[i]->uuid, uuid, MX_UUID) == 0)
			s->care->round[i]->wanted = true;
}

bool mx_care_init(struct mx_server *s)
{
	s->care = mx_srv_alloc(s, sizeof *s->care);
	if (!s->care)
		return false;
	s->care->s = s;
	mx_timer_init(&s->care->timer, care_poll);
	return true;
}

void mx_care_free(struct mx_server *s)
{
	struct mx_care *c = s->care;
	u32 i;

	mx_timer_cancel(&c->timer);
	for (i = 0; i < ROUNDS; i++)
		round_free(s, c->round[i]);
	mx_srv_free(s, c, sizeof *c);
	s->care = NULL;
}
