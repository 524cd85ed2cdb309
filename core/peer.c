/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Peers: who is known, in which state, how far away, and how much may be under way. */
#include "ep_int.h"

/* ---- table ---- */

/* @node: of accepted peers, which can share an address; 0: of those we connect to. */
static u32 hash_addr(const struct mx_ep *ep, const struct mx_addr *a, u64 node)
{
	const u8 *b = (const u8 *)a;
	u64 h = (ep->hash_seed ^ node) * 0x9e3779b97f4a7c15ull;
	u32 i;

	for (i = 0; i < sizeof *a; i += 8) {
		h = (h ^ mx_ld64(b + i)) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return (u32)(h >> 32) & ep->hash_mask;
}

struct mx_peer *mx_peer_find(struct mx_ep *ep, const struct mx_addr *a)
{
	struct mx_peer *p = ep->hash[hash_addr(ep, a, 0)];

	while (p && (!p->initiator || !mx_addr_eq(&p->addr, a)))
		p = p->hash_next;
	return p;
}

struct mx_peer *mx_peer_find_accepted(struct mx_ep *ep, const struct mx_addr *a, u64 node)
{
	struct mx_peer *p = ep->hash[hash_addr(ep, a, node)];

	while (p && (p->initiator || p->node.id != node || !mx_addr_eq(&p->addr, a)))
		p = p->hash_next;
	return p;
}

static void unhash(struct mx_peer *p)
{
	struct mx_peer **at = &p->ep->hash[hash_addr(p->ep, &p->addr, p->initiator ? 0 : p->node.id)];

	while (*at != p)
		at = &(*at)->hash_next;
	*at = p->hash_next;
}

static void peer_tick(struct mx_timer *t, mx_ns now);

static void init_path(struct mx_peer *p)
{
	p->dgram = MX_DGRAM_MIN;
	p->dgram_max = MX_DGRAM_MIN;
	p->rwnd = WINDOW_MIN;
	p->wnd = (u32)mx_min_u64(WINDOW_START, p->ep->conf.window_max);
	p->ssthresh = p->ep->conf.window_max;
}

struct mx_peer *mx_peer_new(struct mx_ep *ep, const struct mx_addr *a, const struct mx_node *accepted,
			    mx_ns now)
{
	bool initiator = !accepted;
	struct mx_peer *p = mx_alloc(ep, sizeof *p);
	u32 h;

	if (!p)
		return NULL;
	p->ep = ep;
	p->addr = *a;
	p->initiator = initiator;
	p->half = !initiator;
	if (accepted)
		p->node = *accepted;
	p->state = MX_PEER_NEW;
	p->heard = p->touched = now;
	p->hello_at = p->ping_at = p->prev_until = p->end_at = p->probe_at = MX_NEVER;
	p->ping_every = PING_MIN;
	mx_list_init(&p->ready);
	mx_list_init(&p->ctl);
	mx_list_init(&p->data);
	mx_list_init(&p->calls);
	mx_list_init(&p->icalls);
	mx_timer_init(&p->timer, peer_tick);
	init_path(p);
	h = hash_addr(ep, a, accepted ? accepted->id : 0);
	p->hash_next = ep->hash[h];
	ep->hash[h] = p;
	if (initiator)
		ep->ninitiators++;
	else
		ep->nhalf++;
	mx_list_add_tail(initiator ? &ep->initiators : &ep->half, &p->all);
	return p;
}

static void unlink_txms(struct mx_list *l)
{
	while (!mx_list_empty(l))
		mx_list_del(l->next);
}

/* Forgets what was to be sent and half received: it belongs to a life that is over. */
void mx_peer_drop_queues(struct mx_peer *p)
{
	mx_icalls_drop(p);
	unlink_txms(&p->ctl);
	unlink_txms(&p->data);
}

void mx_peer_forget_key(struct mx_peer *p)
{
	if (p->key)
		mx_wipe(p->key, sizeof *p->key);
	mx_release(p->ep, p->key, sizeof *p->key);
	p->key = NULL;
}

void mx_peer_free(struct mx_peer *p, mx_ns now)
{
	struct mx_ep *ep = p->ep;

	if (!p->initiator && !p->half && ep->ops->peer && !ep->closing)
		ep->ops->peer(ep->user, p, MX_PEER_GONE, false, now);
	while (!mx_list_empty(&p->calls))
		mx_calls_end(p, MX_ST_CANCELLED, now);
	mx_peer_drop_queues(p);
	mx_timer_cancel(&p->timer);
	mx_list_del(&p->ready);
	mx_list_del(&p->all);
	unhash(p);
	if (p->initiator)
		ep->ninitiators--;
	else if (p->half)
		ep->nhalf--;
	else
		ep->naccepted--;
	mx_hs_end(p);
	mx_pend_drop(p);
	mx_sess_free(ep, p->cur);
	mx_sess_free(ep, p->prev);
	mx_peer_forget_key(p);
	mx_release(ep, p, sizeof *p);
}

/*
 * Room for one more accepted peer. Those that never proved themselves have a
 * quarter of the table, and push out one another; beyond that only one silent
 * for a minute gives way.
 */
bool mx_peer_make_room(struct mx_ep *ep, mx_ns now)
{
	struct mx_peer *p;

	if (ep->nhalf >= ep->conf.peers_max / 4 + 1)
		mx_peer_free(mx_list_entry(ep->half.next, struct mx_peer, all), now);
	if (ep->naccepted + ep->nhalf < ep->conf.peers_max)
		return true;
	if (!mx_list_empty(&ep->accepted)) {
		p = mx_list_entry(ep->accepted.next, struct mx_peer, all);
		if (now - p->heard >= IDLE_EVICT) {
			mx_peer_free(p, now);
			return true;
		}
	}
	if (mx_list_empty(&ep->half))
		return false;
	mx_peer_free(mx_list_entry(ep->half.next, struct mx_peer, all), now);
	return true;
}

/* ---- states ---- */

static bool edge_ok(enum mx_peer_state from, enum mx_peer_state to)
{
	switch (to) {
	case MX_PEER_NEW:
		return false;
	case MX_PEER_HELLO:
		return from == MX_PEER_NEW;
	case MX_PEER_UP:
		return true;
	case MX_PEER_SILENT:
		return from == MX_PEER_UP || from == MX_PEER_HELLO;
	case MX_PEER_REFUSED:
		return from != MX_PEER_UP;
	case MX_PEER_GONE:
		break;
	}
	return false;
}

/* The only place that changes a peer's state, and tells the user. */
void mx_peer_set_state(struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now)
{
	struct mx_ep *ep = p->ep;

	if ((p->state == st && !reborn) || !edge_ok(p->state, st))
		return;
	p->state = st;
	if (st == MX_PEER_UP)
		p->reject = MX_OK;
	if (ep->ops->peer)
		ep->ops->peer(ep->user, p, st, reborn, now);
}

/* The rare part of mx_peer_note_heard. */
void mx_peer_heard_slow(struct mx_peer *p, mx_ns now)
{
	struct mx_ep *ep = p->ep;

	if (p->initiator) {
		mx_peer_set_state(p, MX_PEER_UP, false, now);
		return;
	}
	p->touched = now;
	if (!p->half) {
		mx_list_del(&p->all);
		mx_list_add_tail(&ep->accepted, &p->all);
	}
}

void mx_peer_ready(struct mx_peer *p)
{
	if (mx_list_empty(&p->ready))
		mx_list_add_tail(&p->ep->ready, &p->ready);
}

void mx_peer_arm(struct mx_peer *p)
{
	mx_ns at = mx_min_u64(p->hello_at, p->ping_at);

	at = mx_min_u64(at, p->prev_until);
	at = mx_min_u64(at, p->end_at);
	at = mx_min_u64(at, p->probe_at);
	if (at != p->timer.at || mx_list_empty(&p->timer.node))
		mx_timer_set(p->ep, &p->timer, at);
}

/* ---- upkeep ---- */

void mx_peer_ping(struct mx_peer *p, mx_ns now)
{
	p->ping_tag++;
	p->ping_sent = now;
	p->ping_open = true;
	mx_peer_want(p, WANT_PING);
}

static void silent(struct mx_peer *p, mx_ns now)
{
	mx_peer_set_state(p, MX_PEER_SILENT, false, now);
	/* It may have forgotten us: a handshake finds out. */
	if (!p->hs && !mx_hs_start(p, now))
		p->hello_at = mx_after(now, MX_SEC);
}

/*
 * Initiator: what is asked must be answered within silent_after; what is quiet
 * is asked. While an answer is owed, ask more often, so that a few lost
 * datagrams do not make a peer silent.
 */
static void ping_tick(struct mx_peer *p, mx_ns now)
{
	mx_ns limit = p->ep->conf.silent_after;

	p->ping_at = MX_NEVER;
	if (!p->cur || !p->refs)
		return;
	if (p->active)
		p->ping_every = PING_MIN;
	p->active = false;
	if (!p->asked && now - p->heard < p->ping_every) {
		p->ping_at = mx_after(p->heard, p->ping_every);
		return;
	}
	if (p->asked && now - p->asked_at >= limit) {
		if (p->state == MX_PEER_UP)
			silent(p, now);
		p->ping_at = mx_after(now, PING_MAX);
	} else {
		/* Look whether this one was answered. */
		p->ping_at = mx_after(now, limit / 8);
		if (p->asked)
			p->ping_at = mx_min_u64(p->ping_at, mx_after(p->asked_at, limit));
		else
			p->ping_every = mx_min_u64(p->ping_every * 2, PING_MAX);
	}
	mx_peer_ping(p, now);
}

static void renew_tick(struct mx_peer *p, mx_ns now)
{
	if (!p->cur || !p->initiator)
		return;
	if (now - p->cur->made >= p->ep->conf.rekey_after)
		p->renew = true;
	if (p->renew && !p->hs && mx_hs_start(p, now))
		p->renew = false;
}

/* Nobody wants it any more, or it never proved itself, or was silent for long. */
static bool end_tick(struct mx_peer *p, mx_ns now)
{
	if (p->initiator) {
		p->end_at = MX_NEVER;
		if (p->refs || !mx_list_empty(&p->calls))
			return false;
		/* Say BYE first; the next time around it has been sent. */
		if (p->state == MX_PEER_UP && !p->leaving) {
			p->leaving = true;
			mx_peer_want(p, WANT_BYE);
			p->end_at = mx_after(now, 10 * MX_MS);
			return false;
		}
	} else if (!p->half && now - p->heard < IDLE_GONE) {
		p->end_at = mx_after(p->heard, IDLE_GONE);
		return false;
	}
	mx_peer_free(p, now);
	return true;
}

static void peer_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_peer *p = mx_container_of(t, struct mx_peer, timer);

	if (now >= p->prev_until) {
		mx_sess_free(p->ep, p->prev);
		p->prev = NULL;
		p->prev_until = MX_NEVER;
	}
	if (now >= p->end_at && end_tick(p, now))
		return;
	if (now >= p->hello_at)
		mx_hs_resend(p, now);
	if (now >= p->ping_at) {
		renew_tick(p, now);
		ping_tick(p, now);
	}
	if (now >= p->probe_at)
		mx_mtu_tick(p, now);
	mx_peer_arm(p);
}

/* ---- what users see ---- */

struct mx_peer *mx_peer_connect(struct mx_ep *ep, const struct mx_addr *a, mx_ns now)
{
	struct mx_peer *p = mx_peer_find(ep, a);

	if (!p) {
		if (ep->ninitiators >= ep->conf.peers_max)
			return NULL;
		p = mx_peer_new(ep, a, NULL, now);
		if (!p)
			return NULL;
		if (!mx_hs_start(p, now)) {
			mx_peer_free(p, now);
			return NULL;
		}
	}
	if (!p->refs++ && p->cur)
		p->ping_at = now;
	if (p->leaving) {
		p->leaving = false;
		p->want &= (u8)~WANT_BYE;
		p->renew = true;
	}
	p->end_at = MX_NEVER;
	mx_peer_arm(p);
	return p;
}

void mx_peer_put(struct mx_peer *p)
{
	if (!p->refs || --p->refs)
		return;
	/* Freed by its timer, not here: the caller may be inside a callback. A
	 * session that is up is kept for a while, since another connect is likely. */
	p->end_at = p->state == MX_PEER_UP ? mx_after(p->heard, LINGER) : 0;
	mx_peer_arm(p);
}

/* A call has ended; it may have been all that kept the peer. */
void mx_peer_unused(struct mx_peer *p, mx_ns now)
{
	if (!p->initiator || p->refs || !mx_list_empty(&p->calls))
		return;
	p->end_at = p->state == MX_PEER_UP ? mx_after(now, LINGER) : now;
	mx_peer_arm(p);
}

enum mx_peer_state mx_peer_state(const struct mx_peer *p) { return p->state; }
enum mx_status mx_peer_reject(const struct mx_peer *p) { return p->reject; }
const struct mx_node *mx_peer_node(const struct mx_peer *p) { return &p->node; }
const struct mx_addr *mx_peer_addr(const struct mx_peer *p) { return &p->addr; }
bool mx_peer_is_initiator(const struct mx_peer *p) { return p->initiator; }
mx_ns mx_peer_heard(const struct mx_peer *p) { return mx_max_u64(p->heard, p->ep->woke); }
void *mx_peer_user(const struct mx_peer *p) { return p->user; }
void mx_peer_set_user(struct mx_peer *p, void *u) { p->user = u; }
struct mx_ep *mx_peer_ep(const struct mx_peer *p) { return p->ep; }
u32 mx_peer_dgram(const struct mx_peer *p) { return p->dgram; }

const struct mx_key *mx_peer_key(const struct mx_peer *p)
{
	return p->key ? p->key : &p->ep->conf.key;
}

enum mx_suite mx_peer_suite(const struct mx_peer *p)
{
	return p->cur ? p->cur->suite : MX_SUITE_NONE;
}

/* ---- round trips: RFC 6298 ---- */

void mx_peer_rtt_sample(struct mx_peer *p, mx_ns rtt)
{
	mx_ns diff;

	if (!p->srtt) {
		p->srtt = rtt ? rtt : 1;
		p->rttvar = rtt / 2;
		return;
	}
	diff = rtt > p->srtt ? rtt - p->srtt : p->srtt - rtt;
	p->rttvar = p->rttvar - p->rttvar / 4 + diff / 4;
	p->srtt = p->srtt - p->srtt / 8 + rtt / 8;
	if (!p->srtt)
		p->srtt = 1;
}

mx_ns mx_peer_rto(const struct mx_peer *p)
{
	mx_ns rto = p->srtt ? p->srtt + 4 * p->rttvar : RTO_FIRST;

	return mx_min_u64(mx_max_u64(rto, RTO_MIN), RTO_MAX);
}

/* ---- window ---- */

/*
 * Bytes that may be under way: our own estimate, and no more than the other
 * side's buffer. One request always may be, or nothing would ever move.
 */
u32 mx_peer_window_room(const struct mx_peer *p)
{
	u32 w = mx_min_u32(p->wnd, mx_max_u32(p->rwnd, WINDOW_MIN));

	return w > p->inflight ? w - p->inflight : 0;
}

void mx_peer_window_take(struct mx_peer *p, u32 bytes)
{
	p->inflight += bytes;
}

void mx_peer_window_done(struct mx_peer *p, u32 bytes)
{
	u32 max = p->ep->conf.window_max;
	/* What was not used has not been tried: no reason to grow. */
	bool used = p->inflight >= p->wnd / 2;

	p->inflight -= mx_min_u32(bytes, p->inflight);
	if (!used || p->wnd >= max)
		return;
	if (p->wnd < p->ssthresh)
		p->wnd += bytes;
	else	/* one datagram, at least 8 KiB, a window */
		p->wnd += (u32)((u64)bytes * mx_max_u32(p->dgram, 8192) / p->wnd);
	p->wnd = mx_min_u32(p->wnd, max);
}

void mx_peer_window_lost(struct mx_peer *p, mx_ns now)
{
	mx_ns rtt = p->srtt ? p->srtt : RTO_FIRST;

	mx_mtu_suspect(p, now);
	if (p->cut && now - p->cut_at < rtt)
		return;
	p->cut = true;
	p->cut_at = now;
	p->wnd = mx_max_u32(p->wnd / 2, WINDOW_MIN);
	p->ssthresh = p->wnd;
}
