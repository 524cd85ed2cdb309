/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers and clients on a network in memory, in virtual time, from a seed. Real
 * mx_server and mx_client; the network loses, duplicates, delays and reorders,
 * any node can be silenced, killed and started again.
 */
#ifndef MEMX_TEST_CLUSTER_H
#define MEMX_TEST_CLUSTER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/client.h"
#include "core/server.h"
#include "dgrams.h"

#define CL_NODES	48
#define CL_QUEUE	65536
#define CL_UNUSED	__attribute__((unused))

struct cl;
struct clnode {
	struct cl *cl;
	struct mx_port port;
	struct mx_addr addr;
	struct mx_server *server;
	struct mx_client *client;
	struct mx_ep *ep;
	u64 id, inc;
	u64 ceiling;
	bool silent;		/* nothing from it or to it passes */
	long live;		/* allocations */
	size_t live_bytes;
	bool no_alloc;		/* a request path runs */
	u32 pages, page_limit;
};

struct cl {
	struct clnode n[CL_NODES];
	int count;
	mx_ns now, delay, jitter;
	unsigned loss, dup;	/* per mille */
	u32 mtu;
	struct dgrams way;
	u64 rng;
	u64 sent, dropped;
	/* a datagram about to be put on the network; false: drop it */
	bool (*tap)(struct cl *c, struct dgram *d, int from);
	void *tap_priv;
	long allocs, fail_at;	/* the nth allocation of clients fails; -1: none */
	bool fail_from;		/* ... and all after it */
	bool verbose;
	const struct mx_key *key;	/* all nodes'; NULL: none */
};

/* A request buffer as a port may have it: a stable copy is taken when asked for. */
struct clbuf {
	u8 *data, *copy;
	u32 len;
	bool changing;		/* data changes between checksum and sending */
	bool no_copy;		/* no memory for copies now */
	u32 copies;
};

static CL_UNUSED u64 cl_rand(struct cl *c)
{
	u64 z = c->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void *cl_alloc(void *ctx, size_t size)
{
	struct clnode *n = ctx;
	size_t *p;
	long i = n->cl->allocs;

	if (n->no_alloc) {
		fprintf(stderr, "allocation on the path of a request\n");
		abort();
	}
	if (n->client || !n->server)
		n->cl->allocs++;
	if ((n->client || !n->server) && n->cl->fail_at >= 0 &&
	    (i == n->cl->fail_at || (n->cl->fail_from && i > n->cl->fail_at)))
		return NULL;
	p = calloc(1, size + 16);
	p[0] = size;
	n->live++;
	n->live_bytes += size;
	return (char *)p + 16;
}

static void cl_free(void *ctx, void *q, size_t size)
{
	struct clnode *n = ctx;
	size_t *p = (size_t *)((char *)q - 16);

	if (p[0] != size) {
		fprintf(stderr, "freed with size %zu, allocated with %zu\n", size, p[0]);
		abort();
	}
	n->live--;
	n->live_bytes -= size;
	free(p);
}

static void cl_random(void *ctx, void *buf, size_t len)
{
	struct clnode *n = ctx;
	u8 *b = buf;

	while (len--)
		*b++ = (u8)cl_rand(n->cl);
}

static void *cl_page_get(void *ctx)
{
	struct clnode *n = ctx;

	if (n->page_limit && n->pages >= n->page_limit)
		return NULL;
	n->pages++;
	return malloc(4096);
}

static void cl_page_put(void *ctx, void *page)
{
	struct clnode *n = ctx;

	n->pages--;
	free(page);
}

static u8 *clbuf_bytes(void *buf)
{
	struct clbuf *b = buf;

	return b->copy ? b->copy : b->data;
}

static bool cl_buf_crc(void *ctx, void *buf, u32 off, u32 nblocks, const u32 *seeds, u32 *crcs,
		       bool stable)
{
	struct clbuf *b = buf;

	(void)ctx;
	if (off + nblocks * 512 > b->len)
		abort();
	if (stable && !b->copy) {
		if (b->no_copy)
			return false;
		b->copy = malloc(b->len);
		memcpy(b->copy, b->data, b->len);
		b->copies++;
	}
	mx_crc32c_blocks(NULL, clbuf_bytes(b) + off, nblocks, seeds, crcs);
	if (b->changing && !b->copy)
		b->data[off] ^= 0x55;
	return true;
}

static bool cl_buf_put(void *ctx, void *buf, u32 off, const void *src, u32 nblocks,
		       const u32 *seeds, const u32 *crcs)
{
	struct clbuf *b = buf;
	u32 got[256];

	(void)ctx;
	if (off + nblocks * 512 > b->len)
		abort();
	mx_crc32c_blocks(b->data + off, src, nblocks, seeds, got);
	return memcmp(got, crcs, nblocks * 4) == 0;
}

static void cl_buf_zero(void *ctx, void *buf, u32 off, u32 len)
{
	struct clbuf *b = buf;

	(void)ctx;
	if (off + len > b->len)
		abort();
	memset(b->data + off, 0, len);
}

static void cl_log(void *ctx, int level, const char *line)
{
	struct clnode *n = ctx;

	(void)level;
	if (n->cl->verbose)
		printf("# %8.3f %c%d %s\n", (double)n->cl->now / 1e9, n->server ? 'S' : 'C',
		       (int)(n - n->cl->n), line);
}

static CL_UNUSED void cl_init(struct cl *c, u64 seed)
{
	memset(c, 0, sizeof *c);
	c->rng = seed;
	c->now = MX_SEC;
	c->delay = 50 * MX_US;
	c->mtu = 65535;
	c->fail_at = -1;
	c->way.cap = CL_QUEUE;
	c->verbose = getenv("V") != NULL;
}

static struct clnode *cl_node(struct cl *c, int i)
{
	struct clnode *n = &c->n[i];

	n->cl = c;
	n->port = (struct mx_port){
		.ctx = n, .alloc = cl_alloc, .free = cl_free, .random = cl_random,
		.page_get = cl_page_get, .page_put = cl_page_put, .buf_crc = cl_buf_crc,
		.buf_put = cl_buf_put, .buf_zero = cl_buf_zero, .log = cl_log,
	};
	n->addr = (struct mx_addr){ .fam = MX_FAM_SIM, .port = (u16)(7000 + i), .a = { 10, 0, 0, 1 } };
	n->id = 100 + i;
	n->inc++;
	if (i >= c->count)
		c->count = i + 1;
	return n;
}

static void cl_conf(struct clnode *n, struct mx_ep_conf *e, const char *name)
{
	memset(e, 0, sizeof *e);
	e->node.id = n->id;
	e->node.incarnation = n->id * 1000 + n->inc;
	snprintf(e->node.name, sizeof e->node.name, "%s%d", name, (int)n->id);
	e->peers_max = 64;
	e->members_max = 64;
	if (n->cl->key)
		e->key = *n->cl->key;
}

/* Starts, or starts again, node @i as a server of @mib. Its seed is node 0. */
static CL_UNUSED void cl_server(struct cl *c, int i, u32 mib)
{
	struct clnode *n = cl_node(c, i);
	struct mx_server_conf sc;

	memset(&sc, 0, sizeof sc);
	cl_conf(n, &sc.ep, "server");
	sc.store.ceiling = (u64)mib << 20;
	n->ceiling = sc.store.ceiling;
	n->server = (void *)1;		/* alloc looks at it */
	n->server = mx_server_new(&n->port, &sc, c->now);
	if (!n->server)
		abort();
	n->ep = mx_server_ep(n->server);
	for (int j = 0; j < 3; j++)
		if (j != i) {
			struct mx_addr a = n->addr;

			a.port = (u16)(7000 + j);
			mx_ep_add_seed(n->ep, &a);
		}
}

static CL_UNUSED struct mx_client *cl_client(struct cl *c, int i)
{
	struct clnode *n = cl_node(c, i);
	struct mx_client_conf cc;

	memset(&cc, 0, sizeof cc);
	cl_conf(n, &cc.ep, "client");
	n->client = mx_client_new(&n->port, &cc, c->now);
	if (!n->client)
		return NULL;
	n->ep = mx_client_ep(n->client);
	for (int j = 0; j < 3; j++) {
		struct mx_addr a = n->addr;

		a.port = (u16)(7000 + j);
		mx_ep_add_seed(n->ep, &a);
	}
	return n->client;
}

/* The end of a process: no packet is sent. */
static CL_UNUSED void cl_kill(struct cl *c, int i)
{
	struct clnode *n = &c->n[i];

	if (n->server)
		mx_server_free(n->server);
	if (n->client)
		mx_client_free(n->client);
	n->server = NULL;
	n->client = NULL;
	n->ep = NULL;
	if (n->live || n->pages) {
		fprintf(stderr, "node %d left %ld allocations, %u pages\n", i, n->live, n->pages);
		abort();
	}
}

static int cl_at(struct cl *c, const struct mx_addr *a)
{
	for (int i = 0; i < c->count; i++)
		if (mx_addr_eq(&c->n[i].addr, a))
			return i;
	return -1;
}

static void cl_send(struct cl *c, struct dgram *d, int from)
{
	int to = cl_at(c, &d->to);
	mx_ns at = c->now + c->delay;
	int twice = 0;

	c->sent++;
	if (c->tap && !c->tap(c, d, from))
		return;
	if (to < 0 || c->n[from].silent || c->n[to].silent || d->len > c->mtu ||
	    cl_rand(c) % 1000 < c->loss) {
		c->dropped++;
		return;
	}
	do
		c->dropped += !dgrams_put(&c->way, d, at + (c->jitter ? cl_rand(c) % c->jitter : 0));
	while (!twice++ && cl_rand(c) % 1000 < c->dup);
}

static void cl_drain(struct cl *c)
{
	static u8 buf[65536 + 64];
	static struct mx_tx tx;

	for (int i = 0; i < c->count; i++) {
		struct clnode *n = &c->n[i];

		while (n->ep && mx_ep_tx(n->ep, c->now, &tx)) {
			struct dgram d = { .from = n->addr, .to = tx.to, .data = buf };

			d.len = dgram_gather(&tx, buf, clbuf_bytes);
			cl_send(c, &d, i);
		}
	}
}

static void cl_deliver(struct cl *c, u32 k)
{
	struct dgram d = dgrams_take(&c->way, k);
	int to = cl_at(c, &d.to);

	if (c->n[to].ep && !c->n[to].silent)
		mx_ep_rx(c->n[to].ep, c->now, &d.from, d.data, d.len);
	free(d.data);
}

/* Runs until @until, or until @done says so. */
static CL_UNUSED bool cl_run(struct cl *c, mx_ns until, bool (*done)(void *arg), void *arg)
{
	for (;;) {
		mx_ns at = until;
		u32 best;

		cl_drain(c);
		if (done && done(arg))
			return true;
		best = dgrams_next(&c->way);
		if (best < c->way.n)
			at = mx_min_u64(at, c->way.q[best].at);
		for (int i = 0; i < c->count; i++)
			if (c->n[i].ep)
				at = mx_min_u64(at, mx_ep_deadline(c->n[i].ep));
		if (at > c->now)
			c->now = at;
		if (c->now >= until)
			return false;
		if (best < c->way.n && c->way.q[best].at <= c->now)
			cl_deliver(c, best);
		for (int i = 0; i < c->count; i++)
			if (c->n[i].ep && mx_ep_deadline(c->n[i].ep) <= c->now)
				mx_ep_step(c->n[i].ep, c->now);
	}
}

static CL_UNUSED void cl_for(struct cl *c, mx_ns time)
{
	cl_run(c, c->now + time, NULL, NULL);
}

static CL_UNUSED void cl_end(struct cl *c)
{
	for (int i = 0; i < c->count; i++)
		cl_kill(c, i);
	dgrams_free(&c->way);
}

/* ---- doing things and waiting for them ---- */

struct clop { struct mx_vol_op op; bool done; enum mx_status st; char err[300]; };
static CL_UNUSED void clop_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct clop *x = mx_container_of(o, struct clop, op);

	(void)now;
	x->done = true;
	x->st = st;
	snprintf(x->err, sizeof x->err, "%s", err ? err : "");
}
static CL_UNUSED bool clop_is_done(void *arg) { return ((struct clop *)arg)->done; }
static CL_UNUSED void clop_init(struct clop *x)
{
	memset(x, 0, sizeof *x);
	x->op.done = clop_done;
}
static CL_UNUSED enum mx_status clop_wait(struct cl *c, struct clop *x, mx_ns most)
{
	return cl_run(c, c->now + most, clop_is_done, x) ? x->st : MX_ST_TIMEOUT;
}

static CL_UNUSED enum mx_status cl_create(struct cl *c, int i, const char *name, u64 size)
{
	struct clop x;
	u64 op_id = cl_rand(c);

	clop_init(&x);
	mx_client_create(c->n[i].client, name, size, op_id, &x.op, c->now);
	return clop_wait(c, &x, 30 * MX_SEC);
}

struct clvol {
	struct cl *cl;
	struct mx_vol *v;
	bool opened, closed;
	enum mx_status st;
	int events;
	char last[400];
};
static void clvol_opened(void *user, enum mx_status st, mx_ns now)
{
	struct clvol *x = user;

	(void)now;
	x->opened = true;
	x->st = st;
}
static void clvol_closed(void *user, mx_ns now)
{
	(void)now;
	((struct clvol *)user)->closed = true;
}
static void clvol_event(void *user, const char *line, mx_ns now)
{
	struct clvol *x = user;

	(void)now;
	x->events++;
	snprintf(x->last, sizeof x->last, "%s", line);
}
static const struct mx_vol_ops clvol_ops = { clvol_opened, clvol_closed, clvol_event };
static CL_UNUSED bool clvol_is_open(void *arg) { return ((struct clvol *)arg)->opened; }
static CL_UNUSED bool clvol_is_closed(void *arg) { return ((struct clvol *)arg)->closed; }

static CL_UNUSED enum mx_status cl_open(struct cl *c, int i, const char *name,
					const struct mx_vol_conf *conf, struct clvol *x)
{
	memset(x, 0, sizeof *x);
	x->cl = c;
	x->v = mx_vol_open(c->n[i].client, name, conf, &clvol_ops, x, c->now);
	if (!x->v)
		return MX_ST_NOMEM;
	return cl_run(c, c->now + 60 * MX_SEC, clvol_is_open, x) ? x->st : MX_ST_TIMEOUT;
}

static CL_UNUSED void cl_close(struct cl *c, struct clvol *x)
{
	mx_vol_close(x->v, c->now);
	if (!cl_run(c, c->now + 60 * MX_SEC, clvol_is_closed, x)) {
		fprintf(stderr, "the volume does not close\n");
		abort();
	}
	mx_vol_free(x->v);
	x->v = NULL;
}

struct clreq { struct mx_req r; struct clbuf b; bool done; enum mx_status st; };
static void clreq_done(struct mx_req *r, enum mx_status st)
{
	struct clreq *x = mx_container_of(r, struct clreq, r);

	x->done = true;
	x->st = st;
	free(x->b.copy);
	x->b.copy = NULL;
}
static CL_UNUSED bool clreq_is_done(void *arg) { return ((struct clreq *)arg)->done; }

struct clstat { struct mx_blkstat_req r; bool done; enum mx_status st; };

static CL_UNUSED void clstat_done(struct mx_blkstat_req *r, enum mx_status st)
{
	struct clstat *x = mx_container_of(r, struct clstat, r);

	x->done = true;
	x->st = st;
}

static CL_UNUSED bool clstat_is_done(void *arg) { return ((struct clstat *)arg)->done; }
static CL_UNUSED void cl_submit(struct clvol *v, struct clreq *x, u8 op, u64 off, void *data, u32 len)
{
	struct clnode *n = NULL;

	memset(x, 0, sizeof *x);
	x->r.op = op;
	x->r.off = off;
	x->r.len = len;
	x->r.buf = &x->b;
	x->r.done = clreq_done;
	x->b.data = data;
	x->b.len = data ? len : 0;
	(void)n;
	mx_vol_submit(v->v, &x->r, v->cl->now);
}
static CL_UNUSED enum mx_status cl_io(struct clvol *v, u8 op, u64 off, void *data, u32 len)
{
	struct clreq x;

	cl_submit(v, &x, op, off, data, len);
	if (x.done)
		abort();	/* never from inside submit */
	if (!cl_run(v->cl, v->cl->now + 120 * MX_SEC, clreq_is_done, &x)) {
		mx_vol_abort(v->v, MX_ST_CANCELLED, v->cl->now);
		cl_run(v->cl, v->cl->now + MX_SEC, clreq_is_done, &x);
		return MX_ST_TIMEOUT;
	}
	return x.st;
}

#endif
