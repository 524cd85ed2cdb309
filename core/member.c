/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members: who announces itself, and who was told of.
 *
 * All of it is hints. A member is a heap object found by its id through a small
 * open-addressed table; none is removed while a user has put a peer there.
 */
#include "ep_int.h"

#define SEED_SOON	(2 * MX_SEC)	/* between questions at first... */
#define SEED_LATER	(5 * MX_SEC)	/* ...and after SEED_FIRST of them */
#define SEED_FIRST	10u
#define SEED_CALL	(5 * MX_SEC)
#define EVICT_AFTER	(30 * MX_SEC)	/* from a full table */
#define EXPIRE_EVERY	(30 * MX_SEC)

/* ---- table ---- */

static u32 home(const struct mx_ep *ep, u64 id)
{
	return (u32)((id ^ ep->hash_seed) * 0x9e3779b97f4a7c15ull >> 32) & (ep->members_cap * 2 - 1);
}

static void enter(struct mx_ep *ep, struct mx_member *m)
{
	u32 i = home(ep, m->node.id);

	while (ep->mhash[i])
		i = (i + 1) & (ep->members_cap * 2 - 1);
	ep->mhash[i] = m;
}

static void rehash(struct mx_ep *ep)
{
	u32 i;

	memset(ep->mhash, 0, ep->members_cap * 2 * sizeof *ep->mhash);
	for (i = 0; i < ep->nmembers; i++)
		enter(ep, ep->members[i]);
}

static bool grow(struct mx_ep *ep)
{
	u32 cap = ep->members_cap ? ep->members_cap * 2 : 16, old = ep->members_cap;
	struct mx_member **t = mx_alloc(ep, cap * sizeof *t);
	struct mx_member **h = mx_alloc(ep, cap * 2 * sizeof *h);

	if (!t || !h) {
		mx_release(ep, t, cap * sizeof *t);
		mx_release(ep, h, cap * 2 * sizeof *h);
		return false;
	}
	if (old)
		memcpy(t, ep->members, ep->nmembers * sizeof *t);
	mx_release(ep, ep->members, old * sizeof *t);
	mx_release(ep, ep->mhash, old * 2 * sizeof *h);
	ep->members = t;
	ep->mhash = h;
	ep->members_cap = cap;
	rehash(ep);
	return true;
}

static void remove_at(struct mx_ep *ep, u32 i)
{
	mx_release(ep, ep->members[i], sizeof *ep->members[i]);
	ep->members[i] = ep->members[--ep->nmembers];
	rehash(ep);
}

u32 mx_ep_nmembers(const struct mx_ep *ep)
{
	return ep->nmembers;
}

struct mx_member *mx_ep_member(struct mx_ep *ep, u32 i)
{
	return i < ep->nmembers ? ep->members[i] : NULL;
}

struct mx_member *mx_ep_member_by_id(struct mx_ep *ep, u64 id)
{
	u32 i;

	if (!ep->members_cap)
		return NULL;
	for (i = home(ep, id); ep->mhash[i]; i = (i + 1) & (ep->members_cap * 2 - 1))
		if (ep->mhash[i]->node.id == id)
			return ep->mhash[i];
	return NULL;
}

/* Full: the one silent for longest gives way, if nobody uses it. */
static bool evict(struct mx_ep *ep, mx_ns now)
{
	u32 i, best = ep->nmembers;

	for (i = 0; i < ep->nmembers; i++) {
		const struct mx_member *m = ep->members[i];

		if (m->peer || now - m->heard < EVICT_AFTER)
			continue;
		if (best == ep->nmembers || m->heard < ep->members[best]->heard)
			best = i;
	}
	if (best == ep->nmembers)
		return false;
	remove_at(ep, best);
	return true;
}

static void expire_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_ep *ep = mx_container_of(t, struct mx_ep, expire_timer);
	u32 i = 0;

	while (i < ep->nmembers) {
		const struct mx_member *m = ep->members[i];

		if (!m->peer && now - m->heard >= MEMBER_KEEP)
			remove_at(ep, i);
		else
			i++;
	}
	if (ep->nmembers)
		mx_timer_set(ep, t, mx_after(now, EXPIRE_EVERY));
}

static struct mx_member *member_new(struct mx_ep *ep, u64 id, mx_ns now)
{
	struct mx_member *m;

	if (ep->nmembers >= ep->conf.members_max && !evict(ep, now))
		return NULL;
	if (ep->nmembers == ep->members_cap && !grow(ep))
		return NULL;
	m = mx_alloc(ep, sizeof *m);
	if (!m)
		return NULL;
	m->node.id = id;
	ep->members[ep->nmembers++] = m;
	enter(ep, m);
	if (mx_list_empty(&ep->expire_timer.node))
		mx_timer_set(ep, &ep->expire_timer, mx_after(now, EXPIRE_EVERY));
	return m;
}

/* ---- on the wire ---- */

static void member_encode(u8 *p, const struct mx_member *m, bool with_addr, u16 age_s)
{
	mx_node_encode(p, &m->node);
	memset(p + 80, 0, 24);
	if (with_addr)
		mx_addr_encode(p + 80, &m->addr);
	mx_st64(p + 104, m->capacity);
	mx_st64(p + 112, m->free);
	mx_st32(p + 120, m->load);
	mx_st16(p + 124, m->flags);
	mx_st16(p + 126, age_s);
}

static bool member_decode(const u8 *p, struct mx_member *m)
{
	memset(m, 0, sizeof *m);
	mx_node_decode(p, &m->node);
	m->capacity = mx_ld64(p + 104);
	m->free = mx_ld64(p + 112);
	m->load = mx_ld32(p + 120);
	m->flags = mx_ld16(p + 124);
	m->age_s = mx_ld16(p + 126);
	return mx_addr_decode(p + 80, &m->addr) && m->node.id && m->load <= 1000 &&
	       m->free <= m->capacity;
}

static bool same_figures(const struct mx_member *a, const struct mx_member *b)
{
	return a->node.incarnation == b->node.incarnation && mx_addr_eq(&a->addr, &b->addr) &&
	       a->capacity == b->capacity && a->free == b->free && a->load == b->load &&
	       a->flags == b->flags;
}

/* Takes what was heard of a member, if it is newer than what is known. */
static void heard(struct mx_ep *ep, const struct mx_member *in, mx_ns at, u64 counter, mx_ns now)
{
	struct mx_member *m;
	bool news = false;

	if (in->node.id == ep->conf.node.id || in->addr.fam == MX_FAM_NONE)
		return;
	m = mx_ep_member_by_id(ep, in->node.id);
	if (!m) {
		m = member_new(ep, in->node.id, now);
		if (!m)
			return;
		news = true;
	} else if (at <= m->heard && !counter) {
		return;
	}
	news = news || !same_figures(m, in);
	if (m->node.incarnation != in->node.incarnation)
		m->counter = 0;
	if (counter)
		m->counter = counter;
	m->node = in->node;
	m->addr = in->addr;
	m->capacity = in->capacity;
	m->free = in->free;
	m->load = in->load;
	m->flags = in->flags;
	m->heard = at;
	if (news && ep->ops->member)
		ep->ops->member(ep->user, m, now);
}

/* ---- announcements ---- */

void mx_ep_announce(struct mx_ep *ep, u64 capacity, u64 free, u32 load, u16 flags)
{
	ep->self.capacity = capacity;
	ep->self.free = mx_min_u64(free, capacity);
	ep->self.load = mx_min_u32(load, 1000);
	ep->self.flags = flags;
	ep->announcing = true;
}

bool mx_ep_add_announce_addr(struct mx_ep *ep, const struct mx_addr *a)
{
	if (ep->nannounce == ANNOUNCE_ADDRS)
		return false;
	ep->announce_to[ep->nannounce++] = *a;
	return true;
}

static void announce_mac(const struct mx_ep *ep, u8 mac[32], const u8 *head)
{
	u8 k[32];

	mx_hmac_sha256(k, ep->conf.key.key, 32, "announce", 8);
	mx_hmac_sha256(mac, k, 32, head, MX_ANNOUNCE_MAC);
	mx_wipe(k, sizeof k);
}

static void announce_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_ep *ep = mx_container_of(t, struct mx_ep, announce_timer);
	u8 member[MX_MEMBER_WIRE], *head = ep->announce_msg + MX_OUTER;
	bool keyed = ep->conf.key.kind == MX_KEY_CLUSTER;
	struct mx_head h = { 0 };
	struct mx_outer o = {
		.kind = MX_KIND_ANNOUNCE, .major = MX_PROTO_MAJOR, .heads_len = MX_ANNOUNCE_HEAD,
	};
	struct mx_announce m = { .member = member, .keyed = keyed };

	mx_timer_set(ep, t, mx_after(now, mx_jitter(ep, ep->conf.announce_every)));
	if (!ep->announcing || !ep->nannounce)
		return;
	m.counter = ++ep->announce_counter;
	member_encode(member, &ep->self, false, 0);
	mx_announce_encode(head, &h, &m);
	if (keyed)
		announce_mac(ep, head + MX_ANNOUNCE_MAC, head);
	mx_outer_encode(ep->announce_msg, &o);
	mx_outer_seal_crc(ep->announce_msg, MX_ANNOUNCE_HEAD);
	ep->announce_left = ep->nannounce;
}

bool mx_announce_tx(struct mx_ep *ep, struct mx_tx *tx)
{
	if (!ep->announce_left)
		return false;
	memcpy(tx->hdr, ep->announce_msg, sizeof ep->announce_msg);
	tx->hdr_len = sizeof ep->announce_msg;
	mx_tx_raw(tx, &ep->announce_to[--ep->announce_left]);
	return true;
}

enum mx_reject_why mx_announce_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				  const struct mx_outer *o, const u8 *dgram, u32 len)
{
	const u8 *head;
	struct mx_walk w;
	struct mx_head h;
	struct mx_announce m;
	struct mx_member in;
	const struct mx_member *known;
	enum mx_reject_why why;
	u8 mac[32];
	u32 off;

	if (!mx_outer_check_crc(dgram, o->heads_len))
		return MX_RJ_CRC;
	why = mx_walk_init(&w, dgram + MX_OUTER, o->heads_len, len - MX_OUTER - o->heads_len);
	if (why)
		return why;
	mx_walk_next(&w, &h, &head, &off);
	if (!mx_announce_decode(head, &h, &m) || h.hlen != o->heads_len ||
	    !member_decode(m.member, &in))
		return MX_RJ_FIELD;
	/* Only the cluster key can tell; a volume's key takes the hint as it is. */
	if (ep->conf.key.kind == MX_KEY_CLUSTER) {
		announce_mac(ep, mac, head);
		if (!m.keyed || !mx_ct_equal(mac, m.mac, 32))
			return MX_RJ_AEAD;
	}
	known = mx_ep_member_by_id(ep, in.node.id);
	if (!m.counter || (known && known->node.incarnation == in.node.incarnation &&
			   m.counter <= known->counter))
		return MX_RJ_REPLAY;
	in.addr = *from;
	heard(ep, &in, now, m.counter, now);
	return MX_RJ_NONE;
}

/* ---- members passed on ---- */

/* Request: u32 count (0 or 1), u32 zero, the asker itself if it is a server.
 * Reply: u32 count, u32 known, members; the first, if without address, is the
 * one who answers. */
#define MEMBERS_FIXED	8u

static u32 members_req(struct mx_ep *ep, u8 *req)
{
	bool told = ep->announcing && ep->conf.accept;

	mx_st32(req, told);
	mx_st32(req + 4, 0);
	if (!told)
		return MEMBERS_FIXED;
	member_encode(req + MEMBERS_FIXED, &ep->self, false, 0);
	return MEMBERS_FIXED + MX_MEMBER_WIRE;
}

enum mx_status mx_members_call(struct mx_peer *p, const u8 *body, u32 len, u8 *rep, u32 cap,
			       u32 *rep_len, mx_ns now)
{
	struct mx_ep *ep = p->ep;
	u32 count, i, n = 0, start, max = (cap - MEMBERS_FIXED) / MX_MEMBER_WIRE;
	struct mx_member in;
	u8 *at = rep + MEMBERS_FIXED;

	count = len >= MEMBERS_FIXED ? mx_ld32(body) : 2;
	if (count > 1 || len != MEMBERS_FIXED + count * MX_MEMBER_WIRE)
		return MX_ST_INVALID;
	if (count) {
		if (!member_decode(body + MEMBERS_FIXED, &in) || in.node.id != p->node.id ||
		    in.node.incarnation != p->node.incarnation)
			return MX_ST_INVALID;
		in.addr = p->addr;
		heard(ep, &in, now, 0, now);
	}
	if (ep->announcing) {
		member_encode(at, &ep->self, false, 0);
		at += MX_MEMBER_WIRE;
		n++;
	}
	start = (u32)mx_rand_below(ep, ep->nmembers);
	for (i = 0; i < ep->nmembers && n < max; i++) {
		const struct mx_member *m = ep->members[(start + i) % ep->nmembers];
		/* Rounded up, so that what is passed around does age. */
		mx_ns age = (now - m->heard + MX_SEC - 1) / MX_SEC;

		if (age * MX_SEC >= MEMBER_KEEP)
			continue;
		member_encode(at, m, true, (u16)age);
		at += MX_MEMBER_WIRE;
		n++;
	}
	mx_st32(rep, n);
	mx_st32(rep + 4, ep->nmembers);
	*rep_len = MEMBERS_FIXED + n * MX_MEMBER_WIRE;
	return MX_OK;
}

static void take_members(struct mx_peer *p, const u8 *body, u32 len, mx_ns now)
{
	struct mx_member in;
	u32 i, n;

	if (len < MEMBERS_FIXED)
		return;
	n = mx_ld32(body);
	if (n > MX_CTL_BODY_MAX / MX_MEMBER_WIRE || len != MEMBERS_FIXED + n * MX_MEMBER_WIRE)
		return;
	for (i = 0; i < n; i++) {
		mx_ns age;

		if (!member_decode(body + MEMBERS_FIXED + i * MX_MEMBER_WIRE, &in))
			continue;
		age = in.age_s * MX_SEC;
		if (i == 0 && in.addr.fam == MX_FAM_NONE)
			in.addr = p->addr;
		if (age < MEMBER_KEEP)
			heard(p->ep, &in, now > age ? now - age : 0, 0, now);
	}
}

static void seed_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_seed *s = mx_container_of(c, struct mx_seed, call);

	if (st == MX_OK)
		take_members(s->peer, body, len, now);
}

static void gossip_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_seed *s = mx_container_of(c, struct mx_seed, call);
	struct mx_peer *p = s->peer;

	if (st == MX_OK)
		take_members(p, body, len, now);
	s->peer = NULL;
	mx_peer_put(p);
}

static void ask(struct mx_ep *ep, struct mx_seed *s,
		void (*done)(struct mx_call *, enum mx_status, const u8 *, u32, mx_ns), mx_ns now)
{
	if (!s->peer)
		s->peer = mx_peer_connect(ep, &s->addr, now);
	if (!s->peer || s->call.peer)
		return;
	s->asked++;
	mx_call_start(&s->call, s->peer, MX_OP_MEMBERS, s->req, members_req(ep, s->req),
		      SEED_CALL, now, done);
}

static void ask_one_at_random(struct mx_ep *ep, mx_ns now)
{
	const struct mx_member *m;

	if (!ep->nmembers || ep->gossip.peer)
		return;
	m = ep->members[mx_rand_below(ep, ep->nmembers)];
	ep->gossip.addr = m->addr;
	ask(ep, &ep->gossip, gossip_done, now);
}

static void seed_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_ep *ep = mx_container_of(t, struct mx_ep, seed_timer);
	bool soon = false;
	u32 i;

	for (i = 0; i < ep->nseeds; i++) {
		ask(ep, ep->seeds[i], seed_done, now);
		soon = soon || ep->seeds[i]->asked < SEED_FIRST;
	}
	ask_one_at_random(ep, now);
	mx_timer_set(ep, t, mx_after(now, mx_jitter(ep, soon ? SEED_SOON : SEED_LATER)));
}

bool mx_ep_add_seed(struct mx_ep *ep, const struct mx_addr *a)
{
	struct mx_seed *s;

	if (ep->nseeds == SEEDS_MAX)
		return false;
	s = mx_alloc(ep, sizeof *s);
	if (!s)
		return false;
	s->addr = *a;
	ep->seeds[ep->nseeds++] = s;
	mx_timer_set(ep, &ep->seed_timer, 0);	/* at the next step */
	return true;
}

/* ---- set-up ---- */

bool mx_members_init(struct mx_ep *ep, mx_ns now)
{
	mx_timer_init(&ep->announce_timer, announce_tick);
	mx_timer_init(&ep->seed_timer, seed_tick);
	mx_timer_init(&ep->expire_timer, expire_tick);
	ep->self.node = ep->conf.node;
	if (ep->conf.accept)
		mx_timer_set(ep, &ep->announce_timer,
			     mx_after(now, mx_rand_below(ep, ep->conf.announce_every / 4)));
	return grow(ep);
}

void mx_members_free(struct mx_ep *ep)
{
	u32 i;

	for (i = 0; i < ep->nseeds; i++) {
		mx_call_cancel(&ep->seeds[i]->call);
		mx_release(ep, ep->seeds[i], sizeof *ep->seeds[i]);
	}
	ep->nseeds = 0;
	mx_call_cancel(&ep->gossip.call);
	for (i = 0; i < ep->nmembers; i++)
		mx_release(ep, ep->members[i], sizeof *ep->members[i]);
	ep->nmembers = 0;
	mx_release(ep, ep->members, ep->members_cap * sizeof *ep->members);
	mx_release(ep, ep->mhash, ep->members_cap * 2 * sizeof *ep->mhash);
}
