// SPDX-License-Identifier: GPL-2.0-or-later
/* Claims: their life, their holders, and finding a volume's descriptor. */
#include "claim_int.h"

u64 claim_score(const char *name, u64 id)
{
	/* FNV-1a of the name, then splitmix64's finisher over both: rendezvous
	 * (highest random weight) hashing, Thaler and Ravishankar 1998. */
	u64 h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (u8)*name) * 0x100000001b3ull;
	h ^= id;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ h >> 27) * 0x94d049bb133111ebull;
	return h ^ h >> 31;
}

static void claim_timer(struct mx_timer *t, mx_ns now);

void claim_tick_at(struct mx_claim *c, mx_ns at)
{
	mx_timer_set(c->ep, &c->timer, at);
}

struct mx_claim *mx_claim_new(struct mx_ep *ep, const struct mx_claim_conf *conf,
			      const struct mx_claim_ops *ops, void *user)
{
	const struct mx_port *port = mx_ep_port(ep);
	struct mx_claim *c = port->alloc(port->ctx, sizeof *c);

	if (!c)
		return NULL;
	c->ep = ep;
	c->port = port;
	c->conf = *conf;
	if (!c->conf.lease)
		c->conf.lease = 10 * MX_SEC;
	if (!c->conf.silent)
		c->conf.silent = CLAIM_SILENT;
	c->ops = *ops;
	c->user = user;
	mx_timer_init(&c->timer, claim_timer);
	mx_list_add_tail(mx_ep_claims(ep), &c->node);
	mx_list_init(&c->edits);
	mx_list_init(&c->edits_out);
	mx_list_init(&c->bits_wait);
	mx_list_init(&c->bits_out);
	for (u32 i = 0; i < CLAIM_SLOTS; i++)
		c->slot[i].c = c;
	for (u32 i = 0; i < CLAIM_ASKS; i++)
		c->ask[i].c = c;
	c->cur = port->alloc(port->ctx, sizeof *c->cur);
	c->next = port->alloc(port->ctx, sizeof *c->next);
	c->tmp = port->alloc(port->ctx, sizeof *c->tmp);
	c->body = port->alloc(port->ctx, MX_CTL_BODY_MAX);
	c->bits_body = port->alloc(port->ctx, 64 + 4 * MX_BITS_LIST_MAX);
	c->asked = port->alloc(port->ctx, CLAIM_ASKED_MAX * sizeof *c->asked);
	if (!c->cur || !c->next || !c->tmp || !c->body || !c->bits_body || !c->asked) {
		mx_claim_free(c);
		return NULL;
	}
	return c;
}

static void slot_stop(struct claim_slot *s)
{
	const struct mx_port *port = s->c->port;

	mx_call_cancel(&s->vote);
	mx_call_cancel(&s->lease);
	mx_call_cancel(&s->bits);
	mx_call_cancel(&s->sync);
	if (s->peer)
		mx_peer_put(s->peer);
	if (s->sync_req)
		port->free(port->ctx, s->sync_req, CLAIM_SYNC_ROOM);
}

void mx_claim_free(struct mx_claim *c)
{
	const struct mx_port *port = c->port;

	mx_timer_cancel(&c->timer);
	mx_list_del(&c->node);
	claim_asks_cancel(c);
	for (u32 i = 0; i < c->nslots; i++)
		slot_stop(&c->slot[i]);
	if (c->cur)
		port->free(port->ctx, c->cur, sizeof *c->cur);
	if (c->next)
		port->free(port->ctx, c->next, sizeof *c->next);
	if (c->tmp)
		port->free(port->ctx, c->tmp, sizeof *c->tmp);
	if (c->body)
		port->free(port->ctx, c->body, MX_CTL_BODY_MAX);
	if (c->bits_body)
		port->free(port->ctx, c->bits_body, 64 + 4 * MX_BITS_LIST_MAX);
	claim_copy_free(c);
	if (c->asked)
		port->free(port->ctx, c->asked, CLAIM_ASKED_MAX * sizeof *c->asked);
	port->free(port->ctx, c, sizeof *c);
}

enum mx_claim_state mx_claim_state(const struct mx_claim *c) { return c->state; }
const struct mx_desc *mx_claim_desc(const struct mx_claim *c) { return c->cur; }
u32 mx_claim_epoch(const struct mx_claim *c) { return c->held_epoch; }

const struct mx_node *mx_claim_owner(const struct mx_claim *c, u32 *lease_ms)
{
	if (lease_ms)
		*lease_ms = c->owner_lease_ms;
	return &c->owner;
}

bool mx_claim_owner_is_us(const struct mx_claim *c)
{
	return claim_same_node(&c->owner, mx_ep_node(c->ep));
}

void mx_claim_clash(const struct mx_claim *c, u8 a[MX_UUID], u8 b[MX_UUID])
{
	memcpy(a, c->clash_a, MX_UUID);
	memcpy(b, c->clash_b, MX_UUID);
}

void mx_claim_asked(const struct mx_claim *c, u32 *asked, u32 *answered)
{
	*asked = c->nasked;
	*answered = c->answered;
}

void claim_finish(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	if (!c->want_done)
		return;
	c->want_done = false;
	if (c->ops.done)
		c->ops.done(c->user, st, now);
}

/* ---- slots ---- */

bool claim_same_node(const struct mx_node *a, const struct mx_node *b)
{
	return a->id == b->id && a->incarnation == b->incarnation;
}

bool claim_slot_is_node(const struct claim_slot *s)
{
	const struct mx_node *n = s->peer ? mx_peer_node(s->peer) : NULL;

	return n && n->id == s->ref.id && n->incarnation == s->ref.incarnation;
}

bool claim_slot_reborn(const struct claim_slot *s)
{
	const struct mx_node *n = s->peer ? mx_peer_node(s->peer) : NULL;

	return n && n->id == s->ref.id && n->incarnation != s->ref.incarnation;
}

/* A server may have moved to another address since it was written down. */
static void slot_connect(struct claim_slot *s, mx_ns now)
{
	struct mx_member *m = mx_ep_member_by_id(s->c->ep, s->ref.id);

	if (!s->peer)
		s->peer = mx_peer_connect(s->c->ep, m ? &m->addr : &s->ref.addr, now);
}

static struct claim_slot *slot_find(struct mx_claim *c, const struct mx_srvref *r)
{
	for (u32 i = 0; i < c->nslots; i++)
		if (c->slot[i].ref.id == r->id && c->slot[i].ref.incarnation == r->incarnation)
			return &c->slot[i];
	return NULL;
}

static bool listed(const struct mx_srvref *list, u32 n, const struct mx_srvref *r)
{
	for (u32 i = 0; i < n; i++)
		if (list[i].id == r->id && list[i].incarnation == r->incarnation)
			return true;
	return false;
}

static void slots_want(struct mx_claim *c, const struct mx_srvref *list, u32 n, mx_ns now)
{
	for (u32 i = 0; i < n; i++) {
		struct claim_slot *s = slot_find(c, &list[i]);

		if (!s) {
			s = &c->slot[c->nslots++];
			memset(s, 0, sizeof *s);
			s->c = c;
			s->ref = list[i];
		}
		slot_connect(s, now);
	}
}

/* The set in force by @d, and the one it changes to. */
static void sets_of(struct mx_claim *c, struct claim_slot *s, const struct mx_desc *d)
{
	bool now = listed(d->holders, d->nholders, &s->ref);

	(void)c;
	s->old = d->nprev ? listed(d->prev, d->nprev, &s->ref) : now;
	s->new = d->nprev && now;
}

bool claim_slots_match(const struct mx_claim *c, const struct mx_desc *d)
{
	u32 old = 0, new = 0;

	for (u32 i = 0; i < c->nslots; i++) {
		const struct claim_slot *s = &c->slot[i];
		bool is = listed(d->holders, d->nholders, &s->ref);

		if (s->old != (d->nprev ? listed(d->prev, d->nprev, &s->ref) : is) ||
		    s->new != (d->nprev && is))
			return false;
		old += s->old;
		new += s->new;
	}
	return old == (d->nprev ? d->nprev : d->nholders) && new == (d->nprev ? d->nholders : 0);
}

/* Moves a slot: its calls point into it, so only idle ones may move. The calls
 * are cancelled and the flags say "to be sent again". */
static void slot_move(struct claim_slot *to, struct claim_slot *from)
{
	mx_call_cancel(&from->vote);
	mx_call_cancel(&from->lease);
	mx_call_cancel(&from->bits);
	mx_call_cancel(&from->sync);
	if (from->lease_busy)
		from->lease_sent = from->lease_from;
	from->vote_busy = from->lease_busy = from->bits_busy = from->sync_busy = false;
	*to = *from;
	memset(&to->vote, 0, sizeof to->vote);
	memset(&to->lease, 0, sizeof to->lease);
	memset(&to->bits, 0, sizeof to->bits);
	memset(&to->sync, 0, sizeof to->sync);
}

void claim_load_slots(struct mx_claim *c, const struct mx_desc *d, mx_ns now)
{
	u32 kept = 0;

	c->changing = d->nprev != 0;
	for (u32 i = 0; i < c->nslots; i++) {
		struct claim_slot *s = &c->slot[i];

		if (!listed(d->holders, d->nholders, &s->ref) &&
		    !listed(d->prev, d->nprev, &s->ref)) {
			slot_stop(s);
			continue;
		}
		if (kept != i)
			slot_move(&c->slot[kept], s);
		kept++;
	}
	c->nslots = kept;
	slots_want(c, d->holders, d->nholders, now);
	slots_want(c, d->prev, d->nprev, now);
	for (u32 i = 0; i < c->nslots; i++)
		sets_of(c, &c->slot[i], d);
}

/*
 * A descriptor that changes the holders goes to the new ones first, to be filled.
 * It counts only once a holder of the old set has accepted it: known from new
 * ones alone it may never have been decided, and their bitmaps may be empty.
 */
bool claim_counts(const struct mx_desc *d, const struct mx_node *from)
{
	return !d->nprev || listed(d->prev, d->nprev,
				   &(struct mx_srvref){ .id = from->id, .incarnation = from->incarnation });
}

/* What such a descriptor still says: who held the volume before. */
static void claim_undo_change(struct mx_desc *d)
{
	memcpy(d->holders, d->prev, sizeof d->holders);
	d->nholders = d->nprev;
	d->nprev = 0;
	d->epoch = 0;		/* older than anything those will tell */
	d->version = 0;
	d->config--;
}

bool claim_majority_in(const struct mx_claim *c, claim_flag *f, bool both)
{
	u32 old = 0, old_yes = 0, new = 0, new_yes = 0;

	for (u32 i = 0; i < c->nslots; i++) {
		const struct claim_slot *s = &c->slot[i];
		bool yes = f(s);

		old += s->old;
		old_yes += s->old && yes;
		new += s->new;
		new_yes += s->new && yes;
	}
	if (!old || old_yes < mx_majority(old))
		return false;
	return !both || new_yes >= mx_majority(new);
}

bool claim_majority(const struct mx_claim *c, claim_flag *f)
{
	return claim_majority_in(c, f, c->changing);
}

bool claim_hopeless(const struct mx_claim *c, claim_flag *against)
{
	u32 old = 0, old_no = 0, new = 0, new_no = 0;

	for (u32 i = 0; i < c->nslots; i++) {
		const struct claim_slot *s = &c->slot[i];
		bool no = against(s);

		old += s->old;
		old_no += s->old && no;
		new += s->new;
		new_no += s->new && no;
	}
	return old - old_no < mx_majority(old) ||
	       (c->changing && new - new_no < mx_majority(new));
}

void claim_note_hstate(struct mx_claim *c, const u8 *body, u32 len)
{
	struct mx_hstate h = { .desc = c->tmp };

	c->tmp->epoch = 0;
	c->tmp->version = 0;
	if (!mx_hstate_decode(body, len, &h, NULL) || memcmp(c->tmp->uuid, c->cur->uuid, MX_UUID)) {
		c->tmp->epoch = 0;
		return;
	}
	if (h.promised > c->seen)
		c->seen = h.promised;
	if (c->tmp->epoch > c->seen)
		c->seen = c->tmp->epoch;
	if (h.lease_ms) {
		c->owner = h.holder_of;
		c->owner_lease_ms = h.lease_ms;
		/* Whoever uses the data stands there as the last writer, too. */
		c->owner_admin = claim_same_node(&h.holder_of, &c->tmp->owner) &&
				 (h.holder_of.id != c->tmp->last_writer ||
				  h.holder_of.incarnation != c->tmp->last_writer_inc);
	}
}

void claim_slot_refused(struct claim_slot *s, enum mx_status st, const u8 *body, u32 len)
{
	switch (st) {
	case MX_ST_FENCED:
	case MX_ST_BEHIND:
		s->fenced = true;
		if (len)
			claim_note_hstate(s->c, body, len);
		break;
	case MX_ST_NOT_HOLDER:
		s->gone = true;
		break;
	case MX_ST_DELETED:
		s->c->deleted = true;
		break;
	default:
		break;
	}
}

/* ---- asking the servers one sees ---- */

static void ask_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now);

static bool was_asked(const struct mx_claim *c, u64 id)
{
	for (u32 i = 0; i < c->nasked; i++)
		if (c->asked[i].id == id)
			return true;
	return false;
}

static struct mx_member *ask_next(struct mx_claim *c)
{
	struct mx_member *best = NULL;
	u64 top = 0;

	for (u32 i = 0; i < mx_ep_nmembers(c->ep); i++) {
		struct mx_member *m = mx_ep_member(c->ep, i);
		u64 score = claim_score(c->name, m->node.id);

		if (!(m->flags & MX_MEMBER_SERVER) || (best && score <= top) ||
		    was_asked(c, m->node.id))
			continue;
		best = m;
		top = score;
	}
	return best;
}

bool claim_all_asked(struct mx_claim *c)
{
	return c->nasked == CLAIM_ASKED_MAX || !ask_next(c);
}

void claim_ask_all(struct mx_claim *c, u8 op, mx_ns now)
{
	c->ask_op = op;
	for (u32 i = 0; i < CLAIM_ASKS; i++) {
		struct claim_ask *a = &c->ask[i];
		struct mx_member *m;

		if (a->busy)
			continue;
		if (c->nasked == CLAIM_ASKED_MAX)
			return;
		m = ask_next(c);
		if (!m)
			return;
		a->peer = mx_peer_connect(c->ep, &m->addr, now);
		if (!a->peer)
			return;
		a->busy = true;
		a->index = c->nasked;
		c->asked[c->nasked].id = m->node.id;
		c->asked[c->nasked++].answer = ASKED;
		c->last_new = now;
		mx_call_start(&a->call, a->peer, op, c->body, c->body_len, 3 * MX_SEC, now, ask_done);
	}
}

bool claim_asks_idle(const struct mx_claim *c)
{
	for (u32 i = 0; i < CLAIM_ASKS; i++)
		if (c->ask[i].busy)
			return false;
	return true;
}

void claim_asks_cancel(struct mx_claim *c)
{
	for (u32 i = 0; i < CLAIM_ASKS; i++) {
		struct claim_ask *a = &c->ask[i];

		if (!a->busy)
			continue;
		mx_call_cancel(&a->call);
		mx_peer_put(a->peer);
		a->busy = false;
	}
	c->nasked = c->answered = c->positive = 0;
}

/* A descriptor heard of during find: remember the newest, notice two uuids. */
static void found_one(struct mx_claim *c, const struct mx_hstate *h, const struct mx_node *from,
		      mx_ns now)
{
	struct mx_desc *d = h->desc;

	/* What holders know of goes before data left over from an earlier volume. */
	if (c->recovering && c->ask_op == MX_OP_RECOVER_LIST && c->nknows &&
	    memcmp(d->uuid, c->cur->uuid, MX_UUID))
		return;
	if (c->by_uuid && memcmp(d->uuid, c->uuid, MX_UUID))
		return;
	if (!c->by_uuid && c->hit_at && memcmp(d->uuid, c->cur->uuid, MX_UUID)) {
		memcpy(c->clash_a, c->cur->uuid, MX_UUID);
		memcpy(c->clash_b, d->uuid, MX_UUID);
		return;
	}
	if (h->promised > c->seen)
		c->seen = h->promised;
	if (h->lease_ms) {
		c->owner = h->holder_of;
		c->owner_lease_ms = h->lease_ms;
	}
	if (d->epoch > c->seen)
		c->seen = d->epoch;
	if (!claim_counts(d, from))
		claim_undo_change(d);
	if (!c->hit_at || mx_desc_cmp(d, c->cur) > 0)
		memcpy(c->cur, d, sizeof *d);
	if (!c->hit_at)
		c->hit_at = now;
}

/* True: it was of the volume that is looked for. */
static bool find_answer(struct mx_claim *c, const struct mx_node *from, const u8 *body, u32 len,
			mx_ns now)
{
	bool ours = false;
	u32 n, used;

	if (len < 8)
		return false;
	n = mx_ld32(body);
	body += 8;
	len -= 8;
	for (u32 i = 0; i < n && i < 2; i++) {
		struct mx_hstate h = { .desc = c->tmp };

		if (!mx_hstate_decode(body, len, &h, &used))
			break;
		ours |= !c->by_uuid || memcmp(h.desc->uuid, c->uuid, MX_UUID) == 0;
		found_one(c, &h, from, now);
		body += used;
		len -= used;
	}
	return ours;
}

static void ask_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct claim_ask *a = mx_container_of(call, struct claim_ask, call);
	struct mx_claim *c = a->c;
	bool answered = st < 64, knows = false;	/* (< 64: what comes over the wire) */

	a->busy = false;
	c->asked[a->index].answer = !answered ? ANSWER_NONE : st == MX_OK ? ANSWER_YES : ANSWER_NO;
	c->answered += answered;
	c->denied |= st == MX_ST_DENIED;
	if (answered)
		c->asked[a->index].incarnation = mx_peer_node(a->peer)->incarnation;
	if (c->check.why)
		knows = claim_check_asked(c, st, body, len);
	else if (c->creating)
		claim_create_asked(c, a, st, body, len, now);
	else
		knows = st == MX_OK && find_answer(c, mx_peer_node(a->peer), body, len, now);
	if (knows)
		claim_recover_knows(c, mx_peer_node(a->peer));
	mx_peer_put(a->peer);
	a->peer = NULL;
	claim_tick_at(c, now);
}

static void find_end(struct mx_claim *c, enum mx_status st, mx_ns now)
{
	u32 asked = c->nasked, answered = c->answered;

	claim_asks_cancel(c);
	c->nasked = asked;		/* for mx_claim_asked */
	c->answered = answered;
	if (st == MX_OK) {
		c->state = MX_CLAIM_FOUND;
		memcpy(c->name, c->cur->name, sizeof c->name);
		memcpy(c->uuid, c->cur->uuid, MX_UUID);
		claim_load_slots(c, c->cur, now);
	} else {
		c->state = MX_CLAIM_IDLE;
	}
	if (c->create_check)
		claim_create_checked(c, st, now);
	else
		claim_finish(c, st, now);
}

static void found(struct mx_claim *c, mx_ns now)
{
	static const u8 none[MX_UUID];

	if (memcmp(c->clash_b, none, MX_UUID))
		claim_check_start(c, CHECK_CLASH, c->clash_a, c->clash_b, now);
	else
		find_end(c, MX_OK, now);
}

/* Two volumes have the name: is only one of them alive? */
void claim_clash_checked(struct mx_claim *c, mx_ns now)
{
	bool a = c->check.dead[0], b = c->check.dead[1], create_check = c->create_check;
	mx_ns by = c->deadline;

	if (a == b) {
		find_end(c, a ? MX_ST_NO_VOLUME : MX_ST_NAME_CLASH, now);
		return;
	}
	mx_claim_find(c, NULL, c->check.uuid[a ? 1 : 0], now);
	c->create_check = create_check;
	c->deadline = by;
}

static enum mx_status not_found(const struct mx_claim *c)
{
	return c->denied ? MX_ST_DENIED : c->answered ? MX_ST_NO_VOLUME : MX_ST_NO_SERVERS;
}

static void find_tick(struct mx_claim *c, mx_ns now)
{
	bool idle;

	if (!c->hit_at || c->recovering)
		claim_ask_all(c, c->ask_op, now);
	idle = claim_asks_idle(c);
	if (c->recovering) {
		if (idle && now >= c->started + CLAIM_SETTLE && now >= c->last_new + CLAIM_SETTLE)
			claim_recover_found(c, now);
		else
			claim_tick_at(c, now + CLAIM_TICK);
		return;
	}
	if (c->hit_at && (idle || now >= c->hit_at + CLAIM_RETRY || now >= c->deadline)) {
		found(c, now);
		return;
	}
	if (!c->hit_at && idle && c->answered && now >= c->started + CLAIM_SETTLE &&
	    now >= c->last_new + CLAIM_SETTLE) {
		find_end(c, not_found(c), now);
		return;
	}
	if (now >= c->deadline) {
		find_end(c, not_found(c), now);
		return;
	}
	/* Those that did not answer are asked again after all were asked. */
	if (idle && !c->answered && c->nasked && now >= c->last_new + MX_SEC)
		c->nasked = 0;
	claim_tick_at(c, now + CLAIM_TICK);
}

void mx_claim_find(struct mx_claim *c, const char *name, const u8 *uuid, mx_ns now)
{
	struct mx_lookup_req r = { .by = uuid ? MX_LOOKUP_UUID : MX_LOOKUP_NAME };

	c->state = MX_CLAIM_FINDING;
	c->want_done = true;
	c->creating = c->create_check = c->recovering = false;
	c->check.why = CHECK_NONE;
	c->ask_op = MX_OP_LOOKUP;
	c->by_uuid = uuid != NULL;
	c->denied = false;
	if (uuid) {
		memmove(c->uuid, uuid, MX_UUID);	/* it may be that */
		memcpy(r.uuid, uuid, MX_UUID);
	}
	if (name) {
		size_t n = 0;

		while (n < MX_NAME_MAX && name[n])
			n++;
		memcpy(r.name, name, n);	/* @name may be c->name */
		memcpy(c->name, r.name, sizeof c->name);
	}
	claim_asks_cancel(c);
	memset(c->clash_a, 0, MX_UUID);
	memset(c->clash_b, 0, MX_UUID);
	c->body_len = mx_lookup_req_encode(c->body, MX_CTL_BODY_MAX, &r);
	c->started = c->last_new = now;
	c->hit_at = 0;
	c->deadline = c->conf.timeout ? now + c->conf.timeout : MX_NEVER;
	claim_tick_at(c, now);
}

void mx_claim_adopt(struct mx_claim *c, const struct mx_desc *d)
{
	memcpy(c->cur, d, sizeof *d);
	memcpy(c->name, d->name, sizeof c->name);
	memcpy(c->uuid, d->uuid, MX_UUID);
	c->seen = d->epoch;
	if (!claim_counts(d, mx_ep_node(c->ep)))
		claim_undo_change(c->cur);
	c->state = MX_CLAIM_FOUND;
}

static void claim_timer(struct mx_timer *t, mx_ns now)
{
	struct mx_claim *c = mx_container_of(t, struct mx_claim, timer);

	switch (c->state) {
	case MX_CLAIM_FINDING:
		if (c->check.why)
			claim_check_tick(c, now);
		else if (c->creating)
			claim_create_tick(c, now);
		else
			find_tick(c, now);
		break;
	case MX_CLAIM_PREPARING:
	case MX_CLAIM_ACCEPTING:
		claim_take_tick(c, now);
		break;
	case MX_CLAIM_HELD:
		claim_held_tick(c, now);
		break;
	case MX_CLAIM_IDLE:
	case MX_CLAIM_FOUND:
	case MX_CLAIM_LOST:
		break;
	}
}
