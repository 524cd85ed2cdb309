/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints on a network in memory, in virtual time, from a seed: loses,
 * duplicates, delays, reorders, corrupts, drops what is too large. Memory is
 * counted, its sizes are checked, and any allocation can be made to fail.
 */
#ifndef MEMX_TEST_EP_NET_H
#define MEMX_TEST_EP_NET_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/ep_int.h"
#include "dgrams.h"

#ifndef NET_EPS
#define NET_EPS		4
#endif
#define NET_QUEUE	4096
#define UNUSED		__attribute__((unused))

struct net;
struct tnode {			/* one endpoint and what its callbacks saw */
	struct net *net;
	struct mx_port port;
	struct mx_ep *ep;
	struct mx_addr addr;
	int ups, silents, refusals, gones, reborns, members, messages, calls, flushes;
	struct mx_peer *last_peer;
	bool echo;		/* call: reply is the request's body, each byte + 1 */
	void (*on_message)(struct tnode *t, struct mx_peer *p, const struct mx_head *h,
			   const u8 *head, const u8 *payload);
	void *priv;
};

struct net {
	struct tnode n[NET_EPS];
	int count;
	mx_ns now, delay, jitter;
	unsigned loss, dup, corrupt;	/* per mille */
	u32 mtu;			/* larger ones are dropped */
	struct dgrams way;
	u64 rng;
	/* what was seen */
	u64 sent, dropped, bytes, largest;
	bool cut;			/* nothing passes */
	bool (*tap)(struct net *net, struct dgram *d);	/* false: drop */
	void *tap_priv;
	/* memory */
	long allocs, live;
	long fail_at;			/* the nth allocation fails; -1 none */
	size_t live_bytes, peak_bytes;
};

static UNUSED u64 net_rand(struct net *n)
{
	n->rng ^= n->rng << 13;
	n->rng ^= n->rng >> 7;
	n->rng ^= n->rng << 17;
	return n->rng;
}

static void *net_alloc(void *ctx, size_t size)
{
	struct net *n = ((struct tnode *)ctx)->net;
	size_t *p;

	if (n->allocs++ == n->fail_at)
		return NULL;
	p = calloc(1, size + 16);
	p[0] = size;
	n->live++;
	n->live_bytes += size;
	if (n->live_bytes > n->peak_bytes)
		n->peak_bytes = n->live_bytes;
	return (char *)p + 16;
}

static void net_free(void *ctx, void *q, size_t size)
{
	struct net *n = ((struct tnode *)ctx)->net;
	size_t *p = (size_t *)((char *)q - 16);

	if (p[0] != size) {
		fprintf(stderr, "freed with size %zu, allocated with %zu\n", size, p[0]);
		abort();
	}
	n->live--;
	n->live_bytes -= size;
	free(p);
}

static void net_random(void *ctx, void *buf, size_t len)
{
	struct net *n = ((struct tnode *)ctx)->net;
	u8 *b = buf;

	while (len--)
		*b++ = (u8)(net_rand(n) >> 24);
}

static void cb_message(void *user, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		       const u8 *payload, mx_ns now)
{
	struct tnode *t = user;

	(void)now;
	t->messages++;
	t->last_peer = p;
	if (t->on_message)
		t->on_message(t, p, h, head, payload);
}

static void cb_flush(void *user, mx_ns now)
{
	(void)now;
	((struct tnode *)user)->flushes++;
}

static enum mx_status cb_call(void *user, struct mx_peer *p, u16 op, const u8 *body, u32 len,
			      u8 *rep, u32 cap, u32 *rep_len, mx_ns now)
{
	struct tnode *t = user;
	u32 i;

	(void)now;
	(void)op;
	t->calls++;
	t->last_peer = p;
	if (!t->echo || len > cap)
		return MX_ST_NO_VOLUME;
	for (i = 0; i < len; i++)
		rep[i] = (u8)(body[i] + 1);
	*rep_len = len;
	return MX_OK;
}

static void cb_peer(void *user, struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now)
{
	struct tnode *t = user;

	(void)now;
	t->last_peer = st == MX_PEER_GONE ? NULL : p;
	t->ups += st == MX_PEER_UP;
	t->silents += st == MX_PEER_SILENT;
	t->refusals += st == MX_PEER_REFUSED;
	t->gones += st == MX_PEER_GONE;
	t->reborns += reborn;
}

static void cb_member(void *user, struct mx_member *m, mx_ns now)
{
	(void)m;
	(void)now;
	((struct tnode *)user)->members++;
}

static const struct mx_ep_ops net_ops = {
	.message = cb_message, .flush = cb_flush, .call = cb_call, .peer = cb_peer,
	.member = cb_member,
};

static UNUSED void net_init(struct net *n, u64 seed)
{
	memset(n, 0, sizeof *n);
	n->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	n->way.cap = NET_QUEUE;
	n->now = 1 * MX_SEC;
	n->delay = 50 * MX_US;
	n->mtu = 65535;
	n->fail_at = -1;
}

static UNUSED struct mx_ep_conf net_conf(bool accept, u64 id)
{
	struct mx_ep_conf c;

	memset(&c, 0, sizeof c);
	c.node.id = id;
	c.node.incarnation = id * 1000;
	snprintf(c.node.name, sizeof c.node.name, "node%d", (int)id);
	c.accept = accept;
	c.peers_max = 64;
	c.members_max = 64;
	return c;
}

/* (Re)starts endpoint @i at its address. NULL: no memory. */
static UNUSED struct mx_ep *net_start(struct net *n, int i, const struct mx_ep_conf *c)
{
	struct tnode *t = &n->n[i];

	t->net = n;
	t->port = (struct mx_port){
		.ctx = t, .alloc = net_alloc, .free = net_free, .random = net_random,
	};
	t->addr = (struct mx_addr){ .fam = MX_FAM_IP4, .port = (u16)(7000 + i), .a = { 10, 0, 0, 1 } };
	if (i >= n->count)
		n->count = i + 1;
	t->ep = mx_ep_new(&t->port, c, &net_ops, t, n->now);
	return t->ep;
}

static UNUSED void net_stop(struct net *n, int i)
{
	mx_ep_free(n->n[i].ep);
	n->n[i].ep = NULL;
}

static UNUSED void net_send(struct net *n, struct dgram *d)
{
	int copies = 1;

	n->sent++;
	n->bytes += d->len;
	if (d->len > n->largest)
		n->largest = d->len;
	if (n->tap && !n->tap(n, d))
		return;
	if (n->cut || d->len > n->mtu || net_rand(n) % 1000 < n->loss) {
		n->dropped++;
		return;
	}
	if (net_rand(n) % 1000 < n->dup)
		copies++;
	if (net_rand(n) % 1000 < n->corrupt)
		d->data[net_rand(n) % d->len] ^= (u8)(1 << net_rand(n) % 8);
	while (copies--)
		n->dropped += !dgrams_put(&n->way, d, n->now + n->delay +
					  (n->jitter ? net_rand(n) % n->jitter : 0));
}

static UNUSED void net_drain(struct net *n)
{
	static u8 buf[65536];
	static struct mx_tx tx;
	int i;

	for (i = 0; i < n->count; i++) {
		struct tnode *t = &n->n[i];

		while (t->ep && mx_ep_tx(t->ep, n->now, &tx)) {
			struct dgram d = { .from = t->addr, .to = tx.to, .data = buf };

			d.len = dgram_gather(&tx, buf, NULL);
			net_send(n, &d);
		}
	}
}

static UNUSED void net_deliver(struct net *n, u32 k)
{
	struct dgram d = dgrams_take(&n->way, k);
	static u8 buf[65536];
	int i;

	/* Endpoints that share an address get one each: it is opened in place. */
	for (i = 0; i < n->count; i++) {
		if (!n->n[i].ep || !mx_addr_eq(&n->n[i].addr, &d.to))
			continue;
		memcpy(buf, d.data, d.len);
		mx_ep_rx(n->n[i].ep, n->now, &d.from, buf, d.len);
	}
	free(d.data);
}

/* Runs until @until, or until @done says so. */
static UNUSED bool net_run(struct net *n, mx_ns until, bool (*done)(struct net *n, void *arg),
			   void *arg)
{
	for (;;) {
		mx_ns at = until;
		u32 k;
		int i;

		net_drain(n);
		if (done && done(n, arg))
			return true;
		k = dgrams_next(&n->way);
		if (k < n->way.n && n->way.q[k].at < at)
			at = n->way.q[k].at;
		for (i = 0; i < n->count; i++)
			if (n->n[i].ep)
				at = mx_min_u64(at, mx_ep_deadline(n->n[i].ep));
		if (at > n->now)
			n->now = at;
		if (n->now >= until)
			return false;
		if (k < n->way.n && n->way.q[k].at <= n->now)
			net_deliver(n, k);
		for (i = 0; i < n->count; i++)
			if (n->n[i].ep && mx_ep_deadline(n->n[i].ep) <= n->now)
				mx_ep_step(n->n[i].ep, n->now);
	}
}

static UNUSED void net_for(struct net *n, mx_ns time)
{
	net_run(n, n->now + time, NULL, NULL);
}

static UNUSED void net_end(struct net *n)
{
	int i;

	for (i = 0; i < n->count; i++)
		net_stop(n, i);
	dgrams_free(&n->way);
	if (n->live) {
		fprintf(stderr, "%ld allocations left\n", n->live);
		abort();
	}
}

#endif
