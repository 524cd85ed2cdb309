/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers on the network of ep_net.h, and a client that speaks the protocol by
 * hand: calls that wait for their answer, reads and writes that repeat until done.
 */
#ifndef MEMX_TEST_SERVER_NET_H
#define MEMX_TEST_SERVER_NET_H

#define NET_EPS		8
#include "ep_net.h"
#include "core/server.h"
#include "core/server_int.h"

#define BLOCKS_MAX	256u

struct world {
	struct net net;
	struct mx_server *srv[NET_EPS];
	u64 inc[NET_EPS];		/* incarnations given so far */
	long pages;
	/* the client is node 0 */
	struct mx_peer *peer[NET_EPS];	/* to server i */
	struct mx_call call;
	bool call_over;
	enum mx_status call_st;
	u8 rep[MX_CTL_BODY_MAX];
	u32 rep_len;
	/* one data request at a time */
	struct mx_txm txm;
	int to;
	struct mx_head h;
	u8 want_type;
	union { struct mx_read rd; struct mx_write wr; struct mx_zero zr; struct mx_blkstat bs; } q;
	u8 *buf;
	u32 *crcs;
	u32 at;				/* WRITE: next block to send */
	bool got[BLOCKS_MAX];
	u8 kind[BLOCKS_MAX];
	u64 num[BLOCKS_MAX];
	u32 left;
	u32 acks;
	struct mx_write_ack ack;
	u16 ack_flags;
	struct mx_blkstat_data bs;
	bool over;
	enum mx_status st;
	u32 seed;
};

static void *srv_page_get(void *ctx)
{
	struct world *w = mx_container_of(((struct tnode *)ctx)->net, struct world, net);

	w->pages++;
	return malloc(4096);
}

static void srv_page_put(void *ctx, void *p)
{
	struct world *w = mx_container_of(((struct tnode *)ctx)->net, struct world, net);

	w->pages--;
	free(p);
}

static UNUSED struct mx_server_conf srv_conf(struct world *w, int i)
{
	struct mx_server_conf c;

	memset(&c, 0, sizeof c);
	c.ep = net_conf(true, (u64)(100 + i));
	c.ep.node.incarnation = (u64)i * 1000 + ++w->inc[i];
	c.store.ceiling = 64 << 20;
	return c;
}

static UNUSED struct mx_server *srv_start(struct world *w, int i, const struct mx_server_conf *c)
{
	struct tnode *t = &w->net.n[i];

	t->net = &w->net;
	t->port = (struct mx_port){
		.ctx = t, .alloc = net_alloc, .free = net_free, .random = net_random,
		.page_get = srv_page_get, .page_put = srv_page_put,
	};
	t->addr = (struct mx_addr){ .fam = MX_FAM_IP4, .port = (u16)(7000 + i), .a = { 10, 0, 0, 1 } };
	if (i >= w->net.count)
		w->net.count = i + 1;
	w->srv[i] = mx_server_new(&t->port, c, w->net.now);
	t->ep = w->srv[i] ? mx_server_ep(w->srv[i]) : NULL;
	return w->srv[i];
}

static UNUSED void srv_stop(struct world *w, int i)
{
	if (w->srv[i])
		mx_server_free(w->srv[i]);
	w->srv[i] = NULL;
	w->net.n[i].ep = NULL;
}

/* ---- the client ---- */

static void w_ack(struct world *w, const struct mx_head *h, const u8 *head)
{
	u32 i;

	w->acks++;
	w->ack_flags = h->flags;
	if (!mx_write_ack_decode(head, h, &w->ack))
		return;
	/* A datagram may have been damaged on its way: the repeat is another. */
	if (h->status == MX_ST_PARTIAL || (h->status == MX_ST_BAD_CRC && w->net.corrupt))
		return;
	if (h->status != MX_OK || w->h.type == MX_ZERO) {
		w->st = h->status;
		w->over = true;
		return;
	}
	for (i = 0; i < w->ack.nblocks; i++) {
		u32 b = w->ack.first + i - w->q.wr.req_first;

		if (b >= w->q.wr.req_nblocks || w->got[b])
			continue;
		w->got[b] = true;
		w->left--;
	}
	w->st = MX_OK;
	w->over = w->left == 0;
}

/* Joins fragments only of one number, as a client must. */
static UNUSED void w_data(struct world *w, const struct mx_head *h, const u8 *head, const u8 *payload)
{
	struct mx_read_data m;
	u32 i, j, b, crc = 0;

	if (h->status != MX_OK) {
		w->st = h->status;
		w->over = true;
		return;
	}
	if (!mx_read_data_decode(head, h, &m)) {
		fprintf(stderr, "READ_DATA does not decode\n");
		abort();
	}
	b = m.first;
	for (i = 0; i < m.npages; i++) {
		struct mx_read_entry e;

		mx_read_data_entry(head, i, &e);
		for (j = 0; j < e.nblocks; j++, b++) {
			u8 *at = w->buf + b * 512;
			u32 seed = mx_block_seed(w->seed, (u64)w->q.rd.extent * 2048 +
						 w->q.rd.first + b);

			w->num[b] = e.num;
			w->kind[b] = e.kind;
			if (e.kind == MX_PAGE_DATA) {
				memcpy(at, payload + crc * 512, 512);
				if (mx_crc32c(seed, at, 512) !=
				    mx_read_data_crc(head, m.npages, crc++)) {
					if (w->net.corrupt)
						continue;
					fprintf(stderr, "block %u: checksum\n", b);
					abort();
				}
			} else {
				memset(at, 0, 512);
			}
			if (!w->got[b])
				w->left--;
			w->got[b] = true;
		}
	}
	w->st = MX_OK;
	w->over = w->left == 0;
}

static void w_message(struct tnode *t, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		      const u8 *payload)
{
	struct world *w = t->priv;

	(void)p;
	if (h->tag != w->h.tag || w->over)
		return;
	if (h->type == MX_WRITE_ACK)
		w_ack(w, h, head);
	else if (h->type == MX_READ_DATA)
		w_data(w, h, head, payload);
	else if (h->type == MX_BLKSTAT_DATA && mx_blkstat_data_decode(head, h, &w->bs)) {
		w->st = h->status;
		w->over = true;
	}
}

static enum mx_fill w_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct world *w = mx_container_of(m, struct world, txm);
	struct mx_head h = w->h;
	struct mx_write q;
	u32 n;

	(void)p;
	if (h.type == MX_READ)
		r->hlen = mx_read_encode(r->head, &h, &w->q.rd);
	else if (h.type == MX_ZERO)
		r->hlen = mx_zero_encode(r->head, &h, &w->q.zr);
	else if (h.type == MX_BLKSTAT)
		r->hlen = mx_blkstat_encode(r->head, &h, &w->q.bs);
	if (h.type != MX_WRITE)
		return MX_FILL_DONE;
	n = w->q.wr.req_nblocks - w->at;
	while (n && (mx_write_hlen(n) > r->head_room || mx_write_hlen(n) + n * 512 > r->room))
		n--;
	if (!n)
		return MX_FILL_NOROOM;
	q = w->q.wr;
	q.first = (u16)(q.req_first + w->at);
	q.nblocks = (u16)n;
	h.plen = n * 512;
	r->hlen = mx_write_encode(r->head, &h, &q, w->crcs + w->at);
	r->plen = n * 512;
	r->segs[0] = (struct mx_seg){ MX_SEG_MEM, 0, n * 512, w->buf + w->at * 512 };
	r->nsegs = 1;
	w->at += n;
	return w->at < w->q.wr.req_nblocks ? MX_FILL_MORE : MX_FILL_DONE;
}

static UNUSED void w_client_conf(struct world *w, const struct mx_ep_conf *c)
{
	net_start(&w->net, 0, c);
	w->net.n[0].priv = w;
	w->net.n[0].on_message = w_message;
}

static UNUSED struct world *w_new(u64 seed)
{
	struct world *w = calloc(1, sizeof *w);
	struct mx_ep_conf c = net_conf(false, 1);

	net_init(&w->net, seed);
	w_client_conf(w, &c);
	return w;
}

static UNUSED void w_free(struct world *w)
{
	int i;

	for (i = 1; i < w->net.count; i++)
		srv_stop(w, i);
	net_stop(&w->net, 0);
	dgrams_free(&w->net.way);
	if (w->net.live || w->pages) {
		fprintf(stderr, "%ld allocations and %ld pages left\n", w->net.live, w->pages);
		abort();
	}
	free(w);
}

static bool w_call_is_over(struct net *n, void *arg)
{
	(void)n;
	return ((struct world *)arg)->call_over;
}

static void w_call_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct world *w = mx_container_of(c, struct world, call);

	(void)now;
	w->call_st = st;
	w->rep_len = len;
	if (len)
		memcpy(w->rep, body, len);
	w->call_over = true;
}

static UNUSED struct mx_peer *w_peer(struct world *w, int i)
{
	if (!w->peer[i])
		w->peer[i] = mx_peer_connect(w->net.n[0].ep, &w->net.n[i].addr, w->net.now);
	return w->peer[i];
}

/* One call to server @i, answered. */
static UNUSED enum mx_status w_call(struct world *w, int i, u16 op, const void *body, u32 len)
{
	w->call_over = false;
	if (!w_peer(w, i))
		return MX_ST_NOMEM;
	mx_call_start(&w->call, w_peer(w, i), op, body, len, 10 * MX_SEC, w->net.now, w_call_done);
	net_run(&w->net, w->net.now + 20 * MX_SEC, w_call_is_over, w);
	return w->call_over ? w->call_st : MX_ST_TIMEOUT;
}

static bool w_is_over(struct net *n, void *arg)
{
	(void)n;
	return ((struct world *)arg)->over;
}

/* Sends the request prepared in h and q to server @i until it is answered. */
static UNUSED enum mx_status w_go(struct world *w, int i)
{
	int tries;

	w->h.tag++;
	w->over = false;
	w->acks = 0;
	mx_txm_init(&w->txm, w_fill);
	if (!w_peer(w, i))
		return MX_ST_NOMEM;
	for (tries = 0; tries < 200 && !w->over; tries++) {
		w->h.attempt = (u8)tries;
		w->at = 0;
		if (w->h.type == MX_READ && w->h.flags & MX_F_WANT) {
			u32 b;

			memset(w->q.rd.want, 0, sizeof w->q.rd.want);
			for (b = 0; b < w->q.rd.nblocks; b++)
				if (!w->got[b])
					w->q.rd.want[b / 8] |= (u8)(1 << b % 8);
		}
		mx_peer_send(w_peer(w, i), &w->txm);
		net_run(&w->net, w->net.now + 20 * MX_MS, w_is_over, w);
		mx_txm_cancel(&w->txm);
		if (w->h.type == MX_READ)
			w->h.flags |= MX_F_WANT;
	}
	return w->over ? w->st : MX_ST_TIMEOUT;
}

static UNUSED enum mx_status w_write(struct world *w, int i, const u8 *uuid, u64 num, u32 gen,
				     u32 extent, u32 first, u32 n, u8 *data, u16 flags)
{
	static u32 crcs[BLOCKS_MAX];
	u32 b;

	w->seed = mx_crc32c(0xffffffff, uuid, 16);
	for (b = 0; b < n; b++)
		crcs[b] = mx_crc32c(mx_block_seed(w->seed, (u64)extent * 2048 + first + b),
				    data + b * 512, 512);
	w->h = (struct mx_head){ .type = MX_WRITE, .tag = w->h.tag, .flags = flags };
	w->q.wr = (struct mx_write){ .num = num, .gen = gen, .extent = extent,
				     .req_first = (u16)first, .req_nblocks = (u16)n };
	memcpy(w->q.wr.uuid, uuid, 16);
	w->buf = data;
	w->crcs = crcs;
	w->left = n;
	memset(w->got, 0, sizeof w->got);
	return w_go(w, i);
}

static UNUSED enum mx_status w_read(struct world *w, int i, const u8 *uuid, u32 epoch, u32 gen,
				    u32 extent, u32 first, u32 n, u8 *data)
{
	w->seed = mx_crc32c(0xffffffff, uuid, 16);
	w->h = (struct mx_head){ .type = MX_READ, .tag = w->h.tag };
	w->q.rd = (struct mx_read){ .epoch = epoch, .gen = gen, .extent = extent,
				    .first = (u16)first, .nblocks = (u16)n };
	memcpy(w->q.rd.uuid, uuid, 16);
	w->buf = data;
	w->left = n;
	memset(w->got, 0, sizeof w->got);
	return w_go(w, i);
}

static UNUSED enum mx_status w_zero(struct world *w, int i, const u8 *uuid, u64 num, u32 gen,
				    u32 extent, u32 first, u32 n, u16 flags)
{
	w->h = (struct mx_head){ .type = MX_ZERO, .tag = w->h.tag, .flags = flags };
	w->q.zr = (struct mx_zero){ .num = num, .gen = gen, .extent = extent,
				    .first = (u16)first, .nblocks = (u16)n };
	memcpy(w->q.zr.uuid, uuid, 16);
	return w_go(w, i);
}

static UNUSED enum mx_status w_blkstat(struct world *w, int i, const u8 *uuid, u32 epoch, u32 gen,
				       u32 extent)
{
	w->h = (struct mx_head){ .type = MX_BLKSTAT, .tag = w->h.tag };
	w->q.bs = (struct mx_blkstat){ .epoch = epoch, .gen = gen, .extent = extent };
	memcpy(w->q.bs.uuid, uuid, 16);
	return w_go(w, i);
}

/* ---- descriptors ---- */

static UNUSED void w_ref(struct world *w, struct mx_srvref *r, int i)
{
	memset(r, 0, sizeof *r);
	r->id = (u64)(100 + i);
	r->incarnation = (u64)i * 1000 + w->inc[i];
	r->addr = w->net.n[i].addr;
	r->state = MX_ENR_OK;
}

/* A live volume whose holders and enrolled servers are servers 1..n. */
static UNUSED struct mx_desc *w_desc(struct world *w, const char *name, u8 uuid, int n)
{
	struct mx_desc *d = calloc(1, sizeof *d);
	int i;

	memset(d->uuid, uuid, 16);
	snprintf(d->name, sizeof d->name, "%s", name);
	d->size = 1 << 30;
	d->state = MX_VOL_LIVE;
	d->extent_shift = 20;
	d->policy = 1;
	d->epoch = d->version = d->config = 1;
	d->owner = *mx_ep_node(w->net.n[0].ep);
	for (i = 0; i < n; i++) {
		w_ref(w, &d->holders[d->nholders++], i + 1);
		w_ref(w, &d->enrolled[d->nenrolled++], i + 1);
	}
	return d;
}

static UNUSED enum mx_status w_accept(struct world *w, int i, const struct mx_desc *d, u32 lease_ms,
				      const struct mx_node *claimant)
{
	static u8 body[MX_CTL_BODY_MAX];
	struct mx_accept_req r = { .lease_ms = lease_ms, .claimant = *claimant, .desc = d };

	return w_call(w, i, MX_OP_ACCEPT, body, mx_accept_req_encode(body, sizeof body, &r));
}

static UNUSED enum mx_status w_seal(struct world *w, int i, const struct mx_desc *d, u32 epoch)
{
	static u8 body[MX_CTL_BODY_MAX];
	struct mx_seal_req r = { .epoch = epoch, .claimant = d->owner, .desc = d };

	return w_call(w, i, MX_OP_SEAL, body, mx_seal_req_encode(body, sizeof body, &r));
}

static UNUSED enum mx_status w_drop(struct world *w, int i, u16 op, const u8 *uuid, u32 epoch)
{
	static u8 body[64];
	struct mx_drop_vol_req r = { .epoch = epoch };

	memcpy(r.uuid, uuid, 16);
	return w_call(w, i, op, body, mx_drop_vol_req_encode(body, sizeof body, &r));
}

static UNUSED enum mx_status w_extent_op(struct world *w, int i, u16 op, const u8 *uuid, u32 epoch,
					 u32 extent, u32 gen, u64 num)
{
	static u8 body[64];
	struct mx_drop_ext_req r = { .epoch = epoch, .extent = extent, .gen = gen, .num = num };

	memcpy(r.uuid, uuid, 16);
	return w_call(w, i, op, body, mx_drop_ext_req_encode(body, sizeof body, &r));
}

static UNUSED enum mx_status w_list_extents(struct world *w, int i, const u8 *uuid, u32 epoch,
					    u32 from)
{
	static u8 body[64];
	struct mx_list_ext_req r = { .epoch = epoch, .from = from };

	memcpy(r.uuid, uuid, 16);
	return w_call(w, i, MX_OP_LIST_EXTENTS, body, mx_list_ext_req_encode(body, sizeof body, &r));
}

static UNUSED enum mx_status w_lookup(struct world *w, int i, u16 op, const char *name, const u8 *uuid)
{
	static u8 body[128];
	struct mx_lookup_req r = { .by = name ? MX_LOOKUP_NAME : MX_LOOKUP_UUID };

	if (name)
		snprintf(r.name, sizeof r.name, "%s", name);
	else
		memcpy(r.uuid, uuid, 16);
	return w_call(w, i, op, body, mx_lookup_req_encode(body, sizeof body, &r));
}

#endif
