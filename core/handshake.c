/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake, both sides: docs/protocol.md section 1.
 *
 * The acceptor keeps nothing of an address until its cookie came back, and then
 * a pending session (struct mx_pend) beside the one in use, which takes over
 * when the first valid datagram on it proves that the other side has its keys.
 */
#include "ep_int.h"

MX_BUILD_ASSERT(MX_OUTER + MX_RETRY_HEAD <= SMALL_MAX);
MX_BUILD_ASSERT(MX_OUTER + MX_REJECT_HEAD <= SMALL_MAX);

static void outer(u8 *p, u32 heads_len)
{
	struct mx_outer o = {
		.kind = MX_KIND_HANDSHAKE, .major = MX_PROTO_MAJOR, .heads_len = (u16)heads_len,
	};

	mx_outer_encode(p, &o);
	mx_outer_seal_crc(p, heads_len);
}

/* ---- initiator ---- */

static void make_hello(struct mx_peer *p, struct mx_hs *hs)
{
	const struct mx_ep *ep = p->ep;
	u8 node[MX_NODE_WIRE], random[32], share[32] = { 0 }, volume[64] = { 0 };
	struct mx_head h = { 0 };
	struct mx_hello m = {
		.node = node, .random = random, .share = share, .volume = volume,
		.key_kind = ep->conf.key.kind, .minor = MX_PROTO_MINOR, .features = MX_FEATURES,
		.session = p->next->local, .rwnd = ep->conf.rwnd, .dgram_max = ep->conf.dgram_max,
	};

	mx_node_encode(node, &ep->conf.node);
	mx_random(p->ep, random, sizeof random);
	if (m.key_kind) {
		m.suites = mx_suites(ep);
		mx_random(p->ep, hs->secret, sizeof hs->secret);
		mx_x25519_base(share, hs->secret);
	}
	if (m.key_kind == MX_KEY_VOLUME)
		memcpy(volume, ep->conf.key.volume, sizeof volume);
	h.tag = mx_ld32(random);
	mx_hello_encode(hs->hello, &h, &m);
	if (m.key_kind)
		mx_hello_mac(hs->hello + MX_HELLO_MAC, ep->conf.key.key, hs->hello);
}

/* Starts a handshake, beside the session in use if there is one. */
bool mx_hs_start(struct mx_peer *p, mx_ns now)
{
	struct mx_ep *ep = p->ep;

	if (p->hs)
		return true;
	p->next = mx_sess_new(p, now);
	p->hs = mx_alloc(ep, sizeof *p->hs);
	if (!p->next || !p->hs) {
		mx_hs_end(p);
		return false;
	}
	make_hello(p, p->hs);
	p->hs->wait = HELLO_FIRST;
	p->hs->sent_at = now;
	p->hello_at = now;
	mx_hs_resend(p, now);
	mx_peer_arm(p);
	return true;
}

/* Drops what a handshake under way holds. */
void mx_hs_end(struct mx_peer *p)
{
	if (p->hs) {
		mx_wipe(p->hs, sizeof *p->hs);
		mx_release(p->ep, p->hs, sizeof *p->hs);
	}
	p->hs = NULL;
	if (p->initiator) {
		mx_sess_free(p->ep, p->next);
		p->next = NULL;
	}
	p->hello_at = MX_NEVER;
	p->want &= (u8)~WANT_HELLO;
}

/* hello_at is reached: say HELLO (again), or start anew. */
void mx_hs_resend(struct mx_peer *p, mx_ns now)
{
	struct mx_hs *hs = p->hs;

	if (!hs) {
		p->hello_at = MX_NEVER;
		if (!mx_hs_start(p, now))
			p->hello_at = mx_after(now, MX_SEC);
		return;
	}
	/* With a session in use, that one tells whether it is silent. */
	if (!p->cur && now - hs->sent_at >= p->ep->conf.silent_after)
		mx_peer_set_state(p, MX_PEER_SILENT, false, now);
	hs->sends++;
	p->hello_at = mx_after(now, mx_jitter(p->ep, hs->wait));
	hs->wait = mx_min_u64(hs->wait * 2, HELLO_MAX);
	mx_peer_want(p, WANT_HELLO);
	mx_peer_set_state(p, MX_PEER_HELLO, false, now);
}

static bool is_ours(const struct mx_peer *p, const u8 *client_random)
{
	return p && p->hs && mx_ct_equal(p->hs->hello + MX_HELLO_RANDOM, client_random, 32);
}

static enum mx_reject_why retry_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				   const u8 *head, const struct mx_head *h)
{
	struct mx_peer *p = mx_peer_find(ep, from);
	struct mx_retry m;

	if (!mx_retry_decode(head, h, &m))
		return MX_RJ_FIELD;
	if (!is_ours(p, m.client_random))
		return MX_RJ_SESSION;
	/* The same cookie again is an answer to a repeated HELLO. */
	if (memcmp(p->hs->hello + MX_HELLO_COOKIE, m.cookie, 32) == 0)
		return MX_RJ_NONE;
	memcpy(p->hs->hello + MX_HELLO_COOKIE, m.cookie, 32);
	p->hs->wait = HELLO_FIRST;
	mx_hs_resend(p, now);
	mx_peer_arm(p);
	return MX_RJ_NONE;
}

/* A refusal is a hint, which anybody on the way can make: go on, rarely. */
static void refused(struct mx_peer *p, enum mx_status why, mx_ns now)
{
	switch (why) {
	case MX_ST_BAD_KEY: case MX_ST_NO_KEY: case MX_ST_BAD_VERSION:
	case MX_ST_BUSY: case MX_ST_DENIED:
		break;
	default:
		why = MX_ST_UNSUPPORTED;
	}
	p->hs->wait = HELLO_MAX;
	p->hello_at = mx_after(now, mx_jitter(p->ep, why == MX_ST_BUSY ? BUSY_RETRY
								      : REFUSED_RETRY));
	mx_peer_arm(p);
	if (p->state == MX_PEER_UP)
		return;
	p->reject = (u8)why;
	mx_peer_set_state(p, MX_PEER_REFUSED, false, now);
	if (p->state == MX_PEER_REFUSED)
		mx_calls_end(p, MX_ST_UNREACHABLE, now);
}

static enum mx_reject_why reject_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				    const u8 *head, const struct mx_head *h)
{
	struct mx_peer *p = mx_peer_find(ep, from);
	struct mx_rejectmsg m;

	if (!mx_rejectmsg_decode(head, h, &m))
		return MX_RJ_FIELD;
	if (!is_ours(p, m.client_random))
		return MX_RJ_SESSION;
	refused(p, h->status, now);
	return MX_RJ_NONE;
}

/* Checks a WELCOME's proof and makes the session's keys. */
static enum mx_reject_why welcome_keys(struct mx_peer *p, const struct mx_welcome *m)
{
	const struct mx_key *key = &p->ep->conf.key;
	u8 dh[32], prk[32], mac[32];
	enum mx_reject_why why = MX_RJ_NONE;

	if (m->key_kind != key->kind)
		return MX_RJ_FIELD;
	if (key->kind == MX_KEY_NONE)
		return m->suite == MX_SUITE_NONE ? MX_RJ_NONE : MX_RJ_FIELD;
	if (m->suite == MX_SUITE_NONE || m->suite > 7 || !(mx_suites(p->ep) & 1u << m->suite))
		return MX_RJ_FIELD;
	if (!mx_x25519(dh, p->hs->secret, m->share))
		return MX_RJ_FIELD;
	mx_prk(prk, key->key, dh, p->hs->hello, m->random);
	mx_welcome_mac(mac, prk, m->head);
	if (!mx_ct_equal(mac, m->mac, 32))
		why = MX_RJ_AEAD;
	else if (!mx_sess_set_keys(p->ep, p->next, prk, m->suite, true))
		why = MX_RJ_SESSION;	/* no memory: HELLO goes on */
	mx_wipe(dh, sizeof dh);
	mx_wipe(prk, sizeof prk);
	return why;
}

/* The new session is the one to send on; the old is still heard for a while. */
static void switch_session(struct mx_peer *p, struct mx_sess *s, mx_ns now)
{
	mx_sess_free(p->ep, p->prev);
	p->prev = p->cur;
	p->prev_until = p->prev ? mx_after(now, PREV_KEEP) : MX_NEVER;
	p->cur = s;
	p->next = NULL;
}

static void welcomed(struct mx_peer *p, const struct mx_welcome *m, mx_ns now)
{
	struct mx_node node;
	struct mx_sess *s = p->next;
	bool reborn, fresh = !p->cur;

	mx_node_decode(m->node, &node);
	reborn = p->node.id && (p->node.id != node.id || p->node.incarnation != node.incarnation);
	p->node = node;
	s->remote = m->session;
	p->rwnd = m->rwnd;
	p->dgram_max = m->dgram_max;
	if (p->hs->sends == 2)	/* HELLO, and HELLO with the cookie: no repeat */
		mx_peer_rtt_sample(p, (now - p->hs->sent_at) / 2);
	p->next = NULL;		/* not the handshake's any more */
	mx_hs_end(p);
	if (reborn) {
		/* What the old incarnation still says must not be taken for the
		 * new one's. */
		mx_sess_free(p->ep, p->cur);
		p->cur = NULL;
	} else if (!fresh) {
		p->ep->stats.rekeys++;
	}
	switch_session(p, s, now);
	p->ep->stats.handshakes++;
	p->renew = false;
	p->heard = now;
	p->asked = false;
	/* A session must be used for the other side to take it. The PING is
	 * repeated, as any, until something is heard. */
	mx_peer_ping(p, now);
	p->ping_at = mx_after(now, mx_peer_rto(p));
	mx_mtu_start(p, fresh || reborn, now);
	mx_peer_arm(p);
	mx_peer_ready(p);
	mx_peer_set_state(p, MX_PEER_UP, reborn, now);
	mx_calls_kick(p, now);
}

static enum mx_reject_why welcome_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				     const u8 *head, const struct mx_head *h)
{
	struct mx_peer *p = mx_peer_find(ep, from);
	struct mx_welcome m;
	enum mx_reject_why why;

	if (!mx_welcome_decode(head, h, &m) || m.features & ~MX_FEATURES)
		return MX_RJ_FIELD;
	if (!is_ours(p, m.client_random) || m.client_session != p->next->local)
		return MX_RJ_SESSION;
	why = welcome_keys(p, &m);
	if (why)
		return why;
	welcomed(p, &m, now);
	return MX_RJ_NONE;
}

/* ---- acceptor ---- */

static const char *refusal(enum mx_status why)
{
	switch (why) {
	case MX_ST_BAD_KEY: return "refused: wrong key (or a key, and there is none here)";
	case MX_ST_NO_KEY: return "refused: it comes without a key";
	case MX_ST_BAD_VERSION: return "refused: it speaks another major version of the protocol";
	case MX_ST_BUSY: return "refused: the table of peers is full";
	case MX_ST_UNSUPPORTED: return "refused: no cipher in common";
	default: return "refused";
	}
}

static enum mx_reject_why send_reject(struct mx_ep *ep, mx_ns now, const struct mx_addr *to,
				      u32 tag, const u8 *client_random, enum mx_status why)
{
	struct mx_head h = { .tag = tag, .status = (u8)why };
	struct mx_rejectmsg m = {
		.client_random = client_random,
		.major = MX_PROTO_MAJOR, .minor = MX_PROTO_MINOR,
	};
	struct mx_small *s;

	mx_ep_log_from(ep, MX_LOG_WARN, refusal(why), to, now);
	if (!mx_rate_ok(&ep->reject_rate, ANSWERS_BURST, ANSWERS_EVERY, now))
		return MX_RJ_SESSION;
	s = mx_small_get(ep, to);
	if (s) {
		mx_rejectmsg_encode(s->data + MX_OUTER, &h, &m);
		outer(s->data, MX_REJECT_HEAD);
		s->len = MX_OUTER + MX_REJECT_HEAD;
	}
	return MX_RJ_SESSION;
}

static void send_retry(struct mx_ep *ep, mx_ns now, const struct mx_addr *to, u32 tag,
		       const u8 *client_random)
{
	struct mx_small *s = mx_small_get(ep, to);
	struct mx_head h = { .tag = tag };
	struct mx_retry m = { .client_random = client_random };
	u8 cookie[32];

	if (!s)
		return;
	mx_cookie(ep, cookie, to, client_random, now / COOKIE_SLOT);
	m.cookie = cookie;
	mx_retry_encode(s->data + MX_OUTER, &h, &m);
	outer(s->data, MX_RETRY_HEAD);
	s->len = MX_OUTER + MX_RETRY_HEAD;
}

static bool cookie_ok(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
		      const struct mx_hello *m)
{
	u64 slot = now / COOKIE_SLOT;
	u8 want[32];

	mx_cookie(ep, want, from, m->random, slot);
	if (mx_ct_equal(want, m->cookie, 32))
		return true;
	if (!slot)
		return false;
	mx_cookie(ep, want, from, m->random, slot - 1);
	return mx_ct_equal(want, m->cookie, 32);
}

/* The key a HELLO speaks of, if it is proved; MX_OK, or what to refuse with. */
static enum mx_status hello_key(struct mx_ep *ep, const struct mx_hello *m, struct mx_key *key)
{
	const struct mx_key *own = &ep->conf.key;
	u8 mac[32];

	memset(key, 0, sizeof *key);
	key->kind = m->key_kind;
	if (m->key_kind == MX_KEY_NONE)
		return ep->conf.require_key ? MX_ST_NO_KEY : MX_OK;
	memcpy(key->volume, m->volume, sizeof key->volume);
	if (own->kind == m->key_kind)
		memcpy(key->key, own->key, 32);
	else if (own->kind == MX_KEY_CLUSTER)
		mx_volume_key(key->key, own->key, key->volume);
	else
		return MX_ST_BAD_KEY;
	if (own->kind == MX_KEY_VOLUME && memcmp(own->volume, key->volume, sizeof own->volume))
		return MX_ST_BAD_KEY;
	mx_hello_mac(mac, key->key, m->head);
	return mx_ct_equal(mac, m->mac, 32) ? MX_OK : MX_ST_BAD_KEY;
}

static u8 pick_suite(struct mx_ep *ep, u8 offered)
{
	u8 both = mx_suites(ep) & offered;

	if (both & 1u << MX_SUITE_AES256_GCM)
		return MX_SUITE_AES256_GCM;
	if (both & 1u << MX_SUITE_CHACHA20_POLY1305)
		return MX_SUITE_CHACHA20_POLY1305;
	return MX_SUITE_NONE;
}

static void make_welcome(struct mx_peer *p, const struct mx_hello *m, const u8 *random,
			 const u8 *share, u8 suite)
{
	const struct mx_ep *ep = p->ep;
	u8 node[MX_NODE_WIRE];
	struct mx_head h = { .tag = mx_ld32(m->random) };
	struct mx_welcome w = {
		.node = node, .random = random, .share = share, .suite = suite,
		.key_kind = m->key_kind, .minor = MX_PROTO_MINOR, .session = p->next->local,
		.features = m->features & MX_FEATURES, .rwnd = ep->conf.rwnd, .dgram_max = ep->conf.dgram_max,
		.client_session = m->session, .client_random = m->random,
	};

	mx_node_encode(node, &ep->conf.node);
	mx_welcome_encode(p->pend->welcome, &h, &w);
}

/* Fills p->next and p->pend from a proved HELLO. */
static bool answer(struct mx_peer *p, const struct mx_hello *m, const struct mx_key *key,
		   u8 suite)
{
	struct mx_ep *ep = p->ep;
	struct mx_pend *q = p->pend;
	u8 random[32], secret[32], share[32] = { 0 }, dh[32], prk[32];
	bool ok = true;

	mx_random(ep, random, sizeof random);
	memcpy(q->client_random, m->random, 32);
	mx_node_decode(m->node, &q->node);
	q->key = *key;
	q->rwnd = m->rwnd;
	q->dgram_max = m->dgram_max;
	p->next->remote = m->session;
	if (suite == MX_SUITE_NONE) {
		make_welcome(p, m, random, share, suite);
		return true;
	}
	mx_random(ep, secret, sizeof secret);
	mx_x25519_base(share, secret);
	ok = mx_x25519(dh, secret, m->share);
	if (ok) {
		make_welcome(p, m, random, share, suite);
		mx_prk(prk, key->key, dh, m->head, random);
		mx_welcome_mac(q->welcome + MX_WELCOME_MAC, prk, q->welcome);
		ok = mx_sess_set_keys(ep, p->next, prk, suite, false);
	}
	mx_wipe(secret, sizeof secret);
	mx_wipe(dh, sizeof dh);
	mx_wipe(prk, sizeof prk);
	return ok;
}

void mx_pend_drop(struct mx_peer *p)
{
	if (!p->pend)
		return;
	mx_wipe(p->pend, sizeof *p->pend);
	mx_release(p->ep, p->pend, sizeof *p->pend);
	p->pend = NULL;
	mx_sess_free(p->ep, p->next);
	p->next = NULL;
	p->want &= (u8)~WANT_WELCOME;
}

/* The cookie and the key are right: a session is made, to be proved. */
static enum mx_reject_why accept_hello(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				       struct mx_peer *p, const struct mx_hello *m,
				       const struct mx_key *key, u8 suite)
{
	if (!p) {
		struct mx_node node;

		if (!mx_peer_make_room(ep, now))
			return send_reject(ep, now, from, mx_ld32(m->random), m->random,
					   MX_ST_BUSY);
		mx_node_decode(m->node, &node);
		p = mx_peer_new(ep, from, &node, now);
		if (!p)
			return MX_RJ_SESSION;
		p->end_at = mx_after(now, HALF_KEEP);
		mx_peer_arm(p);
	}
	mx_pend_drop(p);
	p->pend = mx_alloc(ep, sizeof *p->pend);
	p->next = p->pend ? mx_sess_new(p, now) : NULL;
	if (!p->next || !answer(p, m, key, suite)) {
		if (p->half)
			mx_peer_free(p, now);
		else
			mx_pend_drop(p);
		return MX_RJ_SESSION;
	}
	p->pend->made = now;
	mx_peer_want(p, WANT_WELCOME);
	return MX_RJ_NONE;
}

static enum mx_reject_why hello_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				   const u8 *head, const struct mx_head *h)
{
	struct mx_hello m;
	struct mx_peer *p;
	struct mx_key key;
	enum mx_status st;
	enum mx_reject_why why;
	u8 suite = MX_SUITE_NONE;

	if (!ep->conf.accept)
		return MX_RJ_SESSION;
	if (!mx_hello_decode(head, h, &m) || h->plen < MX_HELLO_PAD)
		return MX_RJ_FIELD;
	if (!cookie_ok(ep, now, from, &m)) {
		send_retry(ep, now, from, h->tag, m.random);
		return MX_RJ_NONE;
	}
	p = mx_peer_find_accepted(ep, from, mx_ld64(m.node));
	if (p && p->pend && mx_ct_equal(p->pend->client_random, m.random, 32)) {
		mx_peer_want(p, WANT_WELCOME);	/* it was lost, perhaps */
		return MX_RJ_NONE;
	}
	if (p && p->cur && p->rnd == mx_ld64(m.random))
		return MX_RJ_NONE;		/* late: it has its session */
	st = hello_key(ep, &m, &key);
	if (st == MX_OK && key.kind != MX_KEY_NONE) {
		suite = pick_suite(ep, m.suites);
		if (suite == MX_SUITE_NONE)
			st = MX_ST_UNSUPPORTED;
	}
	why = st == MX_OK ? accept_hello(ep, now, from, p, &m, &key, suite)
			  : send_reject(ep, now, from, h->tag, m.random, st);
	mx_wipe(&key, sizeof key);
	return why;
}

/* Something valid came over the pending session: it is the one from now on.
 * False: no memory, and it is gone. */
bool mx_pend_proved(struct mx_peer *p, mx_ns now)
{
	struct mx_ep *ep = p->ep;
	struct mx_pend *q = p->pend;
	bool known = !p->half, reborn;
	struct mx_key *key = NULL;

	if (q->key.kind == MX_KEY_VOLUME) {
		key = p->key ? p->key : mx_alloc(ep, sizeof *key);
		if (!key) {		/* no memory: not now */
			mx_pend_drop(p);
			return false;
		}
		*key = q->key;
	} else {
		mx_peer_forget_key(p);
	}
	p->key = key;
	reborn = known && p->node.incarnation != q->node.incarnation;
	if (reborn) {
		/* Another life at the same address: nothing of the old one's may
		 * reach it. */
		if (ep->ops->peer)
			ep->ops->peer(ep->user, p, MX_PEER_GONE, false, now);
		mx_peer_drop_queues(p);
		p->user = NULL;
		mx_sess_free(ep, p->cur);
		p->cur = NULL;
	}
	p->node = q->node;
	p->rwnd = q->rwnd;
	p->dgram_max = q->dgram_max;
	p->rnd = mx_ld64(q->client_random);
	switch_session(p, p->next, now);
	mx_pend_drop(p);
	if (p->half) {
		p->half = false;
		ep->nhalf--;
		ep->naccepted++;
		mx_list_del(&p->all);
		mx_list_add_tail(&ep->accepted, &p->all);
	}
	p->heard = p->touched = now;
	p->end_at = mx_after(now, IDLE_GONE);
	mx_mtu_start(p, !known || reborn, now);
	mx_peer_arm(p);
	mx_peer_ready(p);
	ep->stats.handshakes++;
	mx_peer_set_state(p, MX_PEER_UP, reborn, now);
	return true;
}

/* ---- what comes in ---- */

enum mx_reject_why mx_hs_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			    const struct mx_outer *o, const u8 *dgram, u32 len)
{
	const u8 *head;
	struct mx_walk w;
	struct mx_head h;
	u32 off;
	enum mx_reject_why why;

	if (!mx_outer_check_crc(dgram, o->heads_len))
		return MX_RJ_CRC;
	why = mx_walk_init(&w, dgram + MX_OUTER, o->heads_len, len - MX_OUTER - o->heads_len);
	if (why)
		return why;
	mx_walk_next(&w, &h, &head, &off);
	if (h.hlen != o->heads_len)
		return MX_RJ_HEADS;
	switch (h.type) {
	case MX_HELLO:
		return hello_rx(ep, now, from, head, &h);
	case MX_RETRY:
		return retry_rx(ep, now, from, head, &h);
	case MX_WELCOME:
		return welcome_rx(ep, now, from, head, &h);
	case MX_REJECT:
		return reject_rx(ep, now, from, head, &h);
	case MX_RESET: {
		struct mx_peer *p = mx_peer_find(ep, from);

		/* A hint: only a handshake tells. */
		if (!p || !p->cur || p->cur->remote != h.tag)
			return MX_RJ_SESSION;
		p->renew = true;
		p->ping_at = now;
		mx_peer_arm(p);
		return MX_RJ_NONE;
	}
	}
	return MX_RJ_FIELD;
}

/*
 * A datagram of another major version. Only two are understood: a HELLO, to be
 * refused, and the refusal of ours. Their places in it never change.
 */
void mx_hs_other_version(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			 const u8 *dgram, u32 len)
{
	const u8 *head = dgram + MX_OUTER;
	struct mx_peer *p;

	if (dgram[1] != MX_KIND_HANDSHAKE)
		return;
	if (len >= MX_DGRAM_MIN && mx_ld16(head) == MX_HELLO && ep->conf.accept) {
		send_reject(ep, now, from, mx_ld32(head + 8), head + MX_HELLO_RANDOM,
			    MX_ST_BAD_VERSION);
		return;
	}
	if (len < MX_OUTER + MX_REJECT_HEAD || mx_ld16(head) != MX_REJECT)
		return;
	p = mx_peer_find(ep, from);
	if (head[15] == MX_ST_BAD_VERSION && is_ours(p, head + 16))
		refused(p, MX_ST_BAD_VERSION, now);
}

/* Tells somebody that the session he writes to is not known here. */
void mx_hs_reset(struct mx_ep *ep, mx_ns now, const struct mx_addr *from, u32 session, u32 len)
{
	struct mx_head h = { .type = MX_RESET, .hlen = MX_HEAD, .tag = session };
	struct mx_small *s;

	/* Never larger than what it answers. */
	if (!ep->conf.accept || len < MX_OUTER + MX_HEAD ||
	    !mx_rate_ok(&ep->reset_rate, ANSWERS_BURST, ANSWERS_EVERY, now))
		return;
	s = mx_small_get(ep, from);
	if (!s)
		return;
	mx_head_encode(s->data + MX_OUTER, &h);
	outer(s->data, MX_HEAD);
	s->len = MX_OUTER + MX_HEAD;
	ep->stats.resets++;
}
