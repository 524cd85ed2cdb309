/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network. A datagram is gathered as a carrier would (header, segments,
 * seal), then struct sim_net decides what becomes of it.
 */
#include <stdlib.h>
#include "sim.h"

struct sim_link *net_link(struct world *w, u32 from, u32 to)
{
	return w->links ? &w->links[from * w->nnodes + to] : NULL;
}

void net_links(struct world *w, u32 mtu)
{
	u32 i, n = w->nnodes * w->nnodes;

	w->links = calloc(n, sizeof *w->links);
	if (!w->links)
		abort();
	for (i = 0; i < n; i++)
		w->links[i].mtu = mtu;
}

void net_cut(struct world *w, u32 groups, bool one_way)
{
	u32 i, j;

	for (i = 0; i < w->nnodes; i++)
		for (j = 0; j < w->nnodes; j++) {
			bool a = groups >> i & 1, b = groups >> j & 1;

			net_link(w, i, j)->cut = one_way ? a && !b : a != b;
		}
}

void net_heal(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nnodes * w->nnodes; i++) {
		w->links[i].cut = false;
		w->links[i].burst_left = 0;
	}
}

static void dgram_put(struct sim_dgram *d)
{
	if (!--d->refs)
		free(d);
}

static void net_deliver(struct world *w, struct sim_node *n, const struct sim_dgram *d)
{
	struct mx_addr from;
	enum mx_reject_why why;
	u8 *copy = w->rxbuf;

	if (!n->up) {
		TR(w, "%s is down: datagram from %s lost", n->name, w->nodes[d->from].name);
		return;
	}
	w->delivered++;
	world_mix(w, w->now ^ (u64)d->len << 40 ^ (u64)n->idx << 56);
	node_addr(&from, d->from);
#ifdef SIM_EXACT_RX
	copy = malloc(d->len);	/* so that a sanitizer sees the first byte too far */
#endif
	memcpy(copy, d->data, d->len);
	trace_dgram(w, "->", d->from, n->idx, d->data, d->len);
	why = mx_ep_rx(n->ep, node_now(n), &from, copy, d->len);
#ifdef SIM_EXACT_RX
	free(copy);
#endif
	if (why != MX_RJ_NONE)
		TR(w, "   %s drops it (reason %d)", n->name, why);
	node_pump(n);
}

static void on_arrive(struct world *w, struct sim_ev *e)
{
	net_deliver(w, &w->nodes[e->node], e->p);
	dgram_put(e->p);
}

/* A broadcast where all links are alike and lose nothing (scale): one event. */
static void on_arrive_all(struct world *w, struct sim_ev *e)
{
	struct sim_dgram *d = e->p;
	u32 i;

	for (i = 0; i < w->nnodes; i++)
		if (i != d->from)
			net_deliver(w, &w->nodes[i], d);
	dgram_put(d);
}

/* Between checksum and sending, and between one sending and the next, the owner
 * of a buffer may change it. */
static void touch_fickle(struct world *w, struct sim_buf *b)
{
	if (b->fickle && !b->stable && w->hooks.buf_touch)
		w->hooks.buf_touch(w, b);
}

static struct sim_dgram *net_gather(struct sim_node *n, const struct mx_tx *tx)
{
	struct sim_dgram *d;
	u32 i, at = tx->hdr_len, plain = tx->len - (tx->sealed ? MX_TAG : 0);

	if (tx->len > MX_DGRAM_MAX || tx->hdr_len > tx->len || tx->nsegs > MX_TX_SEGS)
		sim_fail(n->w, "%s sends an impossible datagram (%u bytes, header %u, %u segments)",
			 n->name, tx->len, tx->hdr_len, tx->nsegs);
	d = malloc(sizeof *d + tx->len);
	if (!d)
		abort();
	d->refs = 1;
	d->len = tx->len;
	d->from = n->idx;
	memcpy(d->data, tx->hdr, tx->hdr_len);
	for (i = 0; i < tx->nsegs; i++) {
		const struct mx_seg *s = &tx->segs[i];
		const u8 *src = s->buf;

		if (at + s->len > plain)
			sim_fail(n->w, "%s: segments run over the datagram's length", n->name);
		if (s->kind == MX_SEG_BUF) {
			struct sim_buf *b = s->buf;

			if (b->magic != SIM_BUF_LIVE)
				sim_fail(n->w, "%s sends from a buffer whose request has ended",
					 n->name);
			if ((u64)s->off + s->len > b->len)
				sim_fail(n->w, "%s sends from outside its buffer", n->name);
			touch_fickle(n->w, b);
			src = (b->stable ? b->stable : b->data) + s->off;
		}
		memcpy(d->data + at, src, s->len);
		at += s->len;
		if (s->kind == MX_SEG_BUF)
			touch_fickle(n->w, s->buf);
	}
	if (at != plain)
		sim_fail(n->w, "%s: datagram says %u bytes, has %u", n->name, plain, at);
	if (tx->sealed)
		mx_ep_seal(tx, d->data);
	return d;
}

/* When it arrives; MX_NEVER if it is dropped on the way. */
static mx_ns net_route(struct world *w, u32 from, u32 to, u32 len)
{
	const struct sim_net *c = &w->net;
	struct sim_link *l = net_link(w, from, to);
	struct sim_node *dst = &w->nodes[to];
	mx_ns at = w->now + c->delay_min + (c->delay_mean ? rng_exp(&w->rng_net, c->delay_mean) : 0);

	if (l) {
		if (l->cut) {
			w->cut++;
			return MX_NEVER;
		}
		if (len > l->mtu) {
			w->too_big++;
			return MX_NEVER;
		}
		if (rng_ppm(&w->rng_net, c->burst_ppm))
			l->burst_left = 1 + (u32)rng_below(&w->rng_net, c->burst_len);
		if (l->burst_left) {
			l->burst_left--;
			w->lost++;
			return MX_NEVER;
		}
	}
	if (rng_ppm(&w->rng_net, c->loss_ppm)) {
		w->lost++;
		return MX_NEVER;
	}
	if (c->rate) {
		mx_ns wire = (u64)(len + 42 + 24) * MX_SEC / c->rate;
		mx_ns start = mx_max_u64(dst->rx_free_at, at);

		if (c->queue && (start - at) * c->rate / MX_SEC > c->queue) {
			w->lost++;
			return MX_NEVER;
		}
		at = dst->rx_free_at = start + wire;
	}
	if (rng_ppm(&w->rng_net, c->reorder_ppm)) {
		w->reordered++;
		return at + rng_exp(&w->rng_net, c->reorder_mean);
	}
	if (l) {
		at = mx_max_u64(at, l->last_at);
		l->last_at = at;
	}
	return at;
}

static void net_one(struct world *w, struct sim_dgram *d, u32 to, bool dup)
{
	mx_ns at = net_route(w, d->from, to, d->len);

	if (at == MX_NEVER) {
		TR(w, "%s -> %s %u bytes lost on the way%s", w->nodes[d->from].name,
		   w->nodes[to].name, d->len, dup ? " (the copy)" : "");
		return;
	}
	if (rng_ppm(&w->rng_net, w->net.corrupt_ppm)) {
		struct sim_dgram *bad = malloc(sizeof *bad + d->len);

		if (!bad)
			abort();
		memcpy(bad, d, sizeof *bad + d->len);
		bad->refs = 0;
		bad->data[rng_below(&w->rng_net, d->len)] ^= (u8)(1 + rng_below(&w->rng_net, 255));
		d = bad;
		w->corrupted++;
		TR(w, "%s -> %s %u bytes damaged on the way", w->nodes[d->from].name,
		   w->nodes[to].name, d->len);
	}
	d->refs++;
	world_at(w, at, on_arrive, &w->nodes[to], d, 0);
}

void net_send(struct sim_node *n, const struct mx_tx *tx)
{
	struct world *w = n->w;
	struct sim_dgram *d = net_gather(n, tx);
	u32 to = mx_ld32(tx->to.a), i;

	w->sent++;
	w->sent_bytes += d->len;
	if (tx->to.fam != MX_FAM_SIM)
		sim_fail(w, "%s sends to an address of family %d", n->name, tx->to.fam);
	if (to == SIM_BCAST) {
		if (!w->broadcast)
			sim_fail(w, "%s broadcasts where there is no broadcast", n->name);
		if (w->hooks.broadcast)
			w->hooks.broadcast(w, d->data, d->len);
		if (!w->links) {
			d->refs++;
			world_at(w, w->now + w->net.delay_min, on_arrive_all, NULL, d, 0);
		}
		for (i = 0; w->links && i < w->nnodes; i++)
			if (i != n->idx)
				net_one(w, d, i, false);
	} else if (to < w->nnodes) {
		trace_dgram(w, "sends to", n->idx, to, d->data, d->len);
		net_one(w, d, to, false);
		if (rng_ppm(&w->rng_net, w->net.dup_ppm)) {
			w->dupped++;
			net_one(w, d, to, true);
		}
	}
	/* else: an address nobody listens on */
	dgram_put(d);
}
