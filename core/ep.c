/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The endpoint itself: set-up, what comes in, in which order things go out. */
#include "ep_int.h"

/* ---- set-up ---- */

static void defaults(struct mx_ep_conf *c)
{
	if (!c->peers_max)
		c->peers_max = 4096;
	if (!c->members_max)
		c->members_max = 4096;
	if (!c->dgram_max || c->dgram_max > MX_DGRAM_MAX)
		c->dgram_max = MX_DGRAM_MAX;
	if (c->dgram_max < MX_DGRAM_MIN)
		c->dgram_max = MX_DGRAM_MIN;
	if (!c->rwnd)
		c->rwnd = 1u << 20;
	if (!c->window_max)
		c->window_max = 4u << 20;
	if (c->window_max < WINDOW_MIN)
		c->window_max = WINDOW_MIN;
	if (!c->announce_every)
		c->announce_every = 2 * MX_SEC;
	if (!c->silent_after)
		c->silent_after = 5 * MX_SEC;
	if (!c->rekey_packets)
		c->rekey_packets = 1ull << 30;
	if (!c->rekey_after)
		c->rekey_after = 3600 * MX_SEC;
	if (c->key.kind != MX_KEY_NONE)
		c->require_key = true;
	c->node.name[MX_NAME_MAX] = 0;
	c->key.volume[MX_NAME_MAX] = 0;
}

static bool make_tables(struct mx_ep *ep)
{
	u32 n = 64;

	while (n < ep->conf.peers_max / 2 && n < 1u << 16)
		n *= 2;
	ep->hash = mx_alloc(ep, n * sizeof *ep->hash);
	ep->hash_mask = n - 1;
	return ep->hash != NULL;
}

struct mx_ep *mx_ep_new(const struct mx_port *port, const struct mx_ep_conf *conf,
			const struct mx_ep_ops *ops, void *user, mx_ns now)
{
	struct mx_ep *ep = port->alloc(port->ctx, sizeof *ep);

	if (!ep)
		return NULL;
	ep->port = port;
	ep->bytes = sizeof *ep;
	ep->ops = ops;
	ep->user = user;
	ep->conf = *conf;
	defaults(&ep->conf);
	mx_list_init(&ep->ready);
	mx_list_init(&ep->claims);
	mx_list_init(&ep->initiators);
	mx_list_init(&ep->accepted);
	mx_list_init(&ep->half);
	mx_list_init(&ep->icalls);
	mx_wheel_init(&ep->wheel, now);
	ep->planned = MX_NEVER;
	mx_timer_init(&ep->icall_timer, mx_icall_sweep);
	mx_random(ep, &ep->hash_seed, sizeof ep->hash_seed);
	mx_random(ep, ep->cookie_secret, sizeof ep->cookie_secret);
	mx_random(ep, &ep->call_tag, sizeof ep->call_tag);
	ep->reset_rate = ep->reject_rate = (struct mx_bucket){ .tokens = ANSWERS_BURST, .at = now };
	ep->log_rate = (struct mx_bucket){ .tokens = 10, .at = now };
	/* Not to be had later where memory is scattered, and without it nothing is answered. */
	if (conf->accept)
		ep->scratch = mx_alloc(ep, MX_CTL_BODY_MAX);
	if ((conf->accept && !ep->scratch) || !make_tables(ep) || !mx_members_init(ep, now)) {
		mx_ep_free(ep);
		return NULL;
	}
	return ep;
}

static void free_peers(struct mx_list *list)
{
	while (!mx_list_empty(list))
		mx_peer_free(mx_list_entry(list->next, struct mx_peer, all), 0);
}

void mx_ep_free(struct mx_ep *ep)
{
	const struct mx_port *port;

	if (!ep)
		return;
	ep->closing = true;
	mx_members_free(ep);
	free_peers(&ep->initiators);
	free_peers(&ep->accepted);
	free_peers(&ep->half);
	mx_release(ep, ep->scratch, MX_CTL_BODY_MAX);
	mx_release(ep, ep->slots, ep->nslots * sizeof *ep->slots);
	mx_release(ep, ep->hash, (ep->hash_mask + 1) * sizeof *ep->hash);
	port = ep->port;
	mx_wipe(ep, sizeof *ep);
	port->free(port->ctx, ep, sizeof *ep);
}

const struct mx_port *mx_ep_port(const struct mx_ep *ep) { return ep->port; }
struct mx_list *mx_ep_claims(struct mx_ep *ep) { return &ep->claims; }
mx_ns mx_ep_woke(const struct mx_ep *ep) { return ep->woke; }
u64 mx_ep_bytes(const struct mx_ep *ep) { return ep->bytes; }
void *mx_ep_user(const struct mx_ep *ep) { return ep->user; }
const struct mx_node *mx_ep_node(const struct mx_ep *ep) { return &ep->conf.node; }
const struct mx_ep_stats *mx_ep_stats(const struct mx_ep *ep) { return &ep->stats; }
void mx_ep_count_retransmit(struct mx_ep *ep) { ep->stats.retransmits++; }

/* ---- small helpers ---- */

/* At most @burst in a row, and one more after each @every. */
bool mx_rate_ok(struct mx_bucket *b, u32 burst, mx_ns every, mx_ns now)
{
	u64 fresh = (now - b->at) / every;

	if (fresh) {
		b->tokens = (u32)mx_min_u64(burst, b->tokens + fresh);
		b->at += fresh * every;
	}
	if (!b->tokens)
		return false;
	b->tokens--;
	return true;
}

/* Place for a short datagram to somebody who is no peer. NULL: too many wait. */
struct mx_small *mx_small_get(struct mx_ep *ep, const struct mx_addr *to)
{
	struct mx_small *s;

	if (ep->small_n == SMALL_RING)
		return NULL;
	s = &ep->small[(ep->small_head + ep->small_n++) % SMALL_RING];
	s->to = *to;
	return s;
}

u64 mx_rand_below(struct mx_ep *ep, u64 n)
{
	u64 r;

	mx_random(ep, &r, sizeof r);
	return n ? r % n : 0;
}

mx_ns mx_jitter(struct mx_ep *ep, mx_ns t)
{
	return t - t / 8 + mx_rand_below(ep, t / 4 + 1);
}

bool mx_ct_equal(const u8 *a, const u8 *b, u32 n)
{
	u8 diff = 0;
	u32 i;

	for (i = 0; i < n; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

/* ---- receiving ---- */

static void probe_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head, u32 dgram_len,
		     mx_ns now)
{
	u32 size;

	if (h->hlen != 24)
		return;
	size = mx_ld32(head + 16);
	if (h->type == MX_PROBE_OK)
		mx_mtu_confirmed(p, size, now);
	else if (size == dgram_len)
		mx_mtu_probe_seen(p, size);
}

static void pong_rx(struct mx_peer *p, const struct mx_head *h, mx_ns now)
{
	if (!p->ping_open || h->tag != p->ping_tag)
		return;
	p->ping_open = false;
	mx_peer_rtt_sample(p, now - p->ping_sent);
}

/* The other side ends the session. True: the peer is gone. */
static bool bye_rx(struct mx_peer *p, mx_ns now)
{
	if (!p->initiator) {
		mx_peer_free(p, now);
		return true;
	}
	mx_sess_free(p->ep, p->cur);
	mx_sess_free(p->ep, p->prev);
	p->cur = p->prev = NULL;
	mx_peer_set_state(p, MX_PEER_SILENT, false, now);
	if (!p->hs)
		p->hello_at = mx_after(now, HELLO_FIRST);
	mx_peer_arm(p);
	return false;
}

/* One message other than data. False: the peer is gone, or its session. */
static bool upkeep_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head,
		      const u8 *payload, u32 dgram_len, mx_ns now)
{
	switch (h->type) {
	case MX_PING:
		p->pong_tag = h->tag;
		mx_peer_want(p, WANT_PONG);
		break;
	case MX_PONG:
		pong_rx(p, h, now);
		break;
	case MX_PROBE:
	case MX_PROBE_OK:
		probe_rx(p, h, head, dgram_len, now);
		break;
	case MX_CALL:
		mx_icall_rx(p, h, head, payload, now);
		break;
	case MX_REPLY:
		mx_call_rx(p, h, head, payload, now);
		break;
	case MX_BYE:
		bye_rx(p, now);
		return false;
	default:
		/* Of a newer minor version, or kept for later: not an error. */
		p->ep->stats.rejects[MX_RJ_FIELD]++;
	}
	return true;
}

static void messages_rx(struct mx_ep *ep, struct mx_peer *p, struct mx_walk *w,
			const u8 *payloads, u32 dgram_len, mx_ns now)
{
	struct mx_head h;
	const u8 *head;
	u32 off;

	while (mx_walk_next(w, &h, &head, &off)) {
		bool data = (h.type >= MX_READ && h.type <= MX_BLKSTAT_DATA) || h.type == MX_SHED;

		/* A repeated request may mean that our large replies do not get
		 * through. */
		if (h.attempt && !p->initiator && (data || h.type == MX_CALL))
			mx_mtu_suspect(p, now);
		if (data) {
			if (ep->ops->message)
				ep->ops->message(ep->user, p, &h, head, payloads + off, now);
		} else if (!upkeep_rx(p, &h, head, payloads + off, dgram_len, now)) {
			break;
		}
	}
	if (ep->ops->flush)
		ep->ops->flush(ep->user, now);
}

static enum mx_reject_why open_dgram(struct mx_sess *s, const struct mx_outer *o, u8 *dgram,
				     u32 *len)
{
	if (!s->keys) {
		if (o->kind != MX_KIND_PLAIN)
			return MX_RJ_KIND;
		return mx_outer_check_crc(dgram, o->heads_len) ? MX_RJ_NONE : MX_RJ_CRC;
	}
	if (o->kind != MX_KIND_SEALED)
		return MX_RJ_KIND;
	*len -= MX_TAG;
	if (!mx_aead_open(&s->keys->rx, o->pktno, dgram, MX_OUTER, dgram + MX_OUTER,
			  *len - MX_OUTER))
		return MX_RJ_AEAD;
	return MX_RJ_NONE;
}

static enum mx_reject_why session_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				     const struct mx_outer *o, u8 *dgram, u32 len)
{
	struct mx_sess *s = mx_sess_find(ep, o->session);
	u32 body, dgram_len = len;
	enum mx_reject_why why;
	struct mx_walk w;
	struct mx_peer *p;

	if (!s || !mx_addr_eq(&s->peer->addr, from)) {
		mx_hs_reset(ep, now, from, o->session, len);
		return MX_RJ_SESSION;
	}
	/* Ours, but the server has not yet said that it takes it: nothing of it can be
	 * known to anybody, but by guessing. */
	if (s->peer->initiator && s == s->peer->next)
		return MX_RJ_SESSION;
	if (!mx_replay_fresh(s, o->pktno))
		return MX_RJ_REPLAY;
	why = open_dgram(s, o, dgram, &len);
	if (why)
		return why;
	body = MX_OUTER + o->heads_len;
	why = mx_walk_init(&w, dgram + MX_OUTER, o->heads_len, len - body);
	if (why)
		return why;
	mx_replay_mark(s, o->pktno);
	p = s->peer;
	if (!s->proved) {
		s->proved = true;
		if (s == p->next && !mx_pend_proved(p, now))
			return MX_RJ_SESSION;
	}
	if (o->pktno >= s->renew_at)
		mx_sess_renew(s, now);
	mx_peer_note_heard(p, now);
	messages_rx(ep, p, &w, dgram + body, dgram_len, now);
	return MX_RJ_NONE;
}

enum mx_reject_why mx_ep_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			    u8 *dgram, u32 len)
{
	struct mx_outer o;
	enum mx_reject_why why = mx_outer_decode(dgram, len, &o);

	ep->stats.rx_dgrams++;
	ep->stats.rx_bytes += len;
	if (!why) {
		if (o.kind == MX_KIND_PLAIN || o.kind == MX_KIND_SEALED)
			why = session_rx(ep, now, from, &o, dgram, len);
		else if (o.kind == MX_KIND_HANDSHAKE)
			why = mx_hs_rx(ep, now, from, &o, dgram, len);
		else
			why = mx_announce_rx(ep, now, from, &o, dgram, len);
	} else if (why == MX_RJ_VERSION) {
		mx_hs_other_version(ep, now, from, dgram, len);
	}
	if (why)
		ep->stats.rejects[why]++;
	return why;
}

/* ---- time ---- */

/* As late comes who was suspended, or stopped; one who is only short of a processor does
 * not, and must not take silence for his own. */
#define SLEPT	(10 * MX_SEC)

void mx_ep_step(struct mx_ep *ep, mx_ns now)
{
	/* Between two steps the deadline never moves away. */
	if (now > ep->planned && now - ep->planned >= SLEPT)
		ep->woke = now;
	mx_wheel_run(&ep->wheel, now);
	ep->planned = mx_max_u64(mx_ep_deadline(ep), now);
}

mx_ns mx_ep_deadline(const struct mx_ep *ep)
{
	return mx_wheel_deadline(&ep->wheel);
}

/* ---- sending ---- */

/* A datagram that is bytes already, in hdr[0..hdr_len). */
void mx_tx_raw(struct mx_tx *tx, const struct mx_addr *to)
{
	tx->to = *to;
	tx->peer = NULL;
	tx->len = tx->hdr_len;
	tx->nsegs = 0;
	tx->sealed = false;
	tx->pktno = 0;
	tx->key = NULL;
}

static bool small_tx(struct mx_ep *ep, struct mx_tx *tx)
{
	struct mx_small *s;

	if (!ep->small_n)
		return false;
	s = &ep->small[ep->small_head];
	ep->small_head = (ep->small_head + 1) % SMALL_RING;
	ep->small_n--;
	memcpy(tx->hdr, s->data, s->len);
	tx->hdr_len = s->len;
	mx_tx_raw(tx, &s->to);
	return true;
}

/* A peer keeps its turn for about what one system call sends to one address,
 * then it is the next one's. */
#define BURST	65536u

static bool peers_tx(struct mx_ep *ep, mx_ns now, struct mx_tx *tx)
{
	while (!mx_list_empty(&ep->ready)) {
		struct mx_peer *p = mx_list_entry(ep->ready.next, struct mx_peer, ready);

		if (mx_peer_tx(p, now, tx)) {
			p->burst += tx->len;
			if (p->burst >= BURST) {
				p->burst = 0;
				mx_list_del(&p->ready);
				mx_list_add_tail(&ep->ready, &p->ready);
			}
			return true;
		}
		p->burst = 0;
		mx_list_del(&p->ready);
	}
	return false;
}

bool mx_ep_tx(struct mx_ep *ep, mx_ns now, struct mx_tx *tx)
{
	if (!peers_tx(ep, now, tx) && !small_tx(ep, tx) && !mx_announce_tx(ep, tx))
		return false;
	ep->stats.tx_dgrams++;
	ep->stats.tx_bytes += tx->len;
	return true;
}

void mx_ep_seal(const struct mx_tx *tx, u8 *dgram)
{
	mx_aead_seal(tx->key, tx->pktno, dgram, MX_OUTER, dgram + MX_OUTER,
		     tx->len - MX_OUTER - MX_TAG);
}

static void bye_all(struct mx_list *list)
{
	struct mx_list *pos;

	mx_list_for_each(pos, list) {
		struct mx_peer *p = mx_list_entry(pos, struct mx_peer, all);

		if (p->cur)
			mx_peer_want(p, WANT_BYE);
	}
}

void mx_ep_bye(struct mx_ep *ep, mx_ns now)
{
	(void)now;
	bye_all(&ep->initiators);
	bye_all(&ep->accepted);
}
