/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packing: what a peer's next datagram carries.
 *
 * In order: handshake messages, MTU probes (each a datagram of its own), then a
 * datagram of the session with upkeep heads, control messages and data messages,
 * as many as fit.
 */
#include "ep_int.h"

/* What a datagram is padded with; sent from here many times over. */
#define PAD	1024u
static const u8 pad[PAD];
MX_BUILD_ASSERT(PAD * MX_TX_SEGS >= MX_DGRAM_MAX);

void mx_txm_init(struct mx_txm *m, enum mx_fill (*fill)(struct mx_txm *, struct mx_peer *,
							struct mx_room *))
{
	mx_list_init(&m->node);
	m->fill = fill;
}

void mx_peer_send(struct mx_peer *p, struct mx_txm *m)
{
	if (!mx_list_empty(&m->node))
		return;
	mx_list_add_tail(&p->data, &m->node);
	mx_peer_ready(p);
}

void mx_peer_send_ctl(struct mx_peer *p, struct mx_txm *m)
{
	if (!mx_list_empty(&m->node))
		return;
	mx_list_add_tail(&p->ctl, &m->node);
	mx_peer_ready(p);
}

static void add_pad(struct mx_tx *tx, u32 n)
{
	while (n) {
		struct mx_seg *s = &tx->segs[tx->nsegs++];

		s->kind = MX_SEG_MEM;
		s->off = 0;
		s->len = mx_min_u32(n, PAD);
		s->buf = (void *)pad;	/* only ever read */
		n -= s->len;
	}
}

/* A handshake message of one head, padded with @plen zero bytes. */
static void handshake_tx(struct mx_peer *p, struct mx_tx *tx, const u8 *msg, u32 hlen, u32 plen)
{
	struct mx_outer o = {
		.kind = MX_KIND_HANDSHAKE, .major = MX_PROTO_MAJOR, .heads_len = (u16)hlen,
	};

	mx_outer_encode(tx->hdr, &o);
	memcpy(tx->hdr + MX_OUTER, msg, hlen);
	mx_outer_seal_crc(tx->hdr, hlen);
	tx->hdr_len = MX_OUTER + hlen;
	mx_tx_raw(tx, &p->addr);
	tx->peer = p;
	tx->len += plen;
	add_pad(tx, plen);
}

/* Outer header of a session's datagram; tx has heads, segments and len. */
static void finish(struct mx_peer *p, struct mx_tx *tx, u32 heads_len, mx_ns now)
{
	struct mx_sess *s = p->cur;
	struct mx_outer o = {
		.kind = s->keys ? MX_KIND_SEALED : MX_KIND_PLAIN, .major = MX_PROTO_MAJOR,
		.heads_len = (u16)heads_len, .session = s->remote, .pktno = ++s->tx_pktno,
	};

	mx_outer_encode(tx->hdr, &o);
	tx->to = p->addr;
	tx->peer = p;
	tx->hdr_len = MX_OUTER + heads_len;
	tx->pktno = o.pktno;
	tx->sealed = s->keys != NULL;
	tx->key = NULL;
	if (s->keys) {
		tx->key = &s->keys->tx;
		tx->len += MX_TAG;
	} else {
		mx_outer_seal_crc(tx->hdr, heads_len);
	}
	if (o.pktno >= s->renew_at)
		mx_sess_renew(s, now);
}

static u32 overhead(const struct mx_peer *p)
{
	return p->cur->keys ? MX_OUTER + MX_TAG : MX_OUTER;
}

static void probe_tx(struct mx_peer *p, mx_ns now, struct mx_tx *tx)
{
	/* The largest first: if it passes, answers to the others change nothing. */
	u32 i = 31 - (u32)__builtin_clz(p->probes), size = p->mtu_step[i];
	u32 hlen = 24, plen = size - overhead(p) - hlen;
	struct mx_head h = {
		.type = MX_PROBE, .hlen = (u16)hlen, .plen = plen,
	};

	p->probes &= (u8)~(1u << i);
	mx_head_encode(tx->hdr + MX_OUTER, &h);
	mx_st32(tx->hdr + MX_OUTER + 16, size);
	mx_st32(tx->hdr + MX_OUTER + 20, 0);
	tx->nsegs = 0;
	add_pad(tx, plen);
	tx->len = MX_OUTER + hlen + plen;
	finish(p, tx, hlen, now);
}

/* ---- a session's datagram ---- */

struct pack {
	struct mx_tx *tx;
	u32 heads;		/* bytes of heads so far */
	u32 used;		/* heads and payloads */
	u32 limit;		/* of used */
	bool asks;		/* something in it wants an answer */
};

/* A head of the endpoint's own, at most 24 bytes. NULL: no room. */
static u8 *own_head(struct pack *k, u16 type, u32 hlen, u32 tag)
{
	struct mx_head h = { .type = type, .hlen = (u16)hlen, .tag = tag };
	u8 *at = k->tx->hdr + MX_OUTER + k->heads;

	if (k->used + hlen > k->limit)
		return NULL;
	mx_head_encode(at, &h);
	k->heads += hlen;
	k->used += hlen;
	return at;
}

static void pack_upkeep(struct mx_peer *p, struct pack *k)
{
	u8 *at;

	if (p->want & WANT_PONG) {
		at = own_head(k, MX_PONG, 24, p->pong_tag);
		mx_st64(at + 16, (u64)p->ep->self.load << 32);
	}
	if (p->want & WANT_PING) {
		own_head(k, MX_PING, MX_HEAD, p->ping_tag);
		k->asks = true;
	}
	while (p->nprobe_ok) {
		at = own_head(k, MX_PROBE_OK, 24, 0);
		mx_st32(at + 16, p->probe_ok[--p->nprobe_ok]);
		mx_st32(at + 20, 0);
	}
	if (p->want & WANT_BYE)
		own_head(k, MX_BYE, MX_HEAD, 0);
	p->want &= WANT_HELLO | WANT_WELCOME;
}

/*
 * Takes messages off @list while they fit. False: the datagram is full.
 * A message is off the list while its fill runs, which may free it, or queue it
 * again for something new.
 */
static bool pack_list(struct mx_peer *p, struct pack *k, struct mx_list *list, mx_ns now)
{
	struct mx_tx *tx = k->tx;

	while (!mx_list_empty(list)) {
		struct mx_txm *m = mx_list_entry(list->next, struct mx_txm, node);
		u32 hdr_left = sizeof tx->hdr - MX_OUTER - k->heads;
		struct mx_room r = {
			.head = tx->hdr + MX_OUTER + k->heads,
			.room = k->limit - k->used,
			.segs = tx->segs + tx->nsegs, .nsegs_max = MX_TX_SEGS - tx->nsegs,
			.now = now,
		};
		enum mx_fill f;

		r.head_room = mx_min_u32(hdr_left & ~7u, r.room);
		if (r.head_room < MX_HEAD)
			return false;
		mx_list_del(&m->node);
		f = m->fill(m, p, &r);
		if (f == MX_FILL_NOROOM || (f == MX_FILL_MORE && !r.hlen)) {
			/* It does not fit an empty datagram either: whoever
			 * repeats it will find that out. */
			if (!k->used)
				continue;
			mx_list_add_head(list, &m->node);
			return false;
		}
		k->heads += r.hlen;
		k->used += r.hlen + r.plen;
		tx->nsegs += r.nsegs;
		if (f == MX_FILL_MORE && mx_list_empty(&m->node))
			mx_list_add_head(list, &m->node);
	}
	return true;
}

static bool session_tx(struct mx_peer *p, mx_ns now, struct mx_tx *tx)
{
	struct pack k = { .tx = tx, .limit = p->dgram - overhead(p) };
	u32 upkeep;

	tx->nsegs = 0;
	if (p->want)
		pack_upkeep(p, &k);
	upkeep = k.used;
	if (pack_list(p, &k, &p->ctl, now))
		pack_list(p, &k, &p->data, now);
	if (!k.used)
		return false;
	if (k.used > upkeep) {
		p->active = true;
		k.asks = true;
	}
	if (p->initiator && k.asks && !p->asked) {
		p->asked = true;
		p->asked_at = now;
	}
	tx->len = MX_OUTER + k.used;
	finish(p, tx, k.heads, now);
	return true;
}

/* The peer's next datagram. False: it has nothing to send now. */
bool mx_peer_tx(struct mx_peer *p, mx_ns now, struct mx_tx *tx)
{
	if (p->want & WANT_HELLO && p->hs) {
		p->want &= (u8)~WANT_HELLO;
		handshake_tx(p, tx, p->hs->hello, MX_HELLO_HEAD, MX_HELLO_PAD);
		return true;
	}
	if (p->want & WANT_WELCOME && p->pend) {
		p->want &= (u8)~WANT_WELCOME;
		handshake_tx(p, tx, p->pend->welcome, MX_WELCOME_HEAD, 0);
		return true;
	}
	if (!p->cur)
		return false;
	if (p->probes) {
		probe_tx(p, now, tx);
		return true;
	}
	return session_tx(p, now, tx);
}
