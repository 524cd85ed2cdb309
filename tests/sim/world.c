/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time, nodes and their memory. See sim.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include "sim.h"

/* ---- saying what happened ---- */

void sim_trace(struct world *w, const char *fmt, ...)
{
	va_list ap;

	fprintf(w->trace, "%4llu.%06llu  ", (unsigned long long)(w->now / MX_SEC),
		(unsigned long long)(w->now % MX_SEC / 1000));
	va_start(ap, fmt);
	vfprintf(w->trace, fmt, ap);
	va_end(ap);
	fputc('\n', w->trace);
}

void sim_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	fprintf(stdout, "VIOLATION at %llu.%06llu s: ", (unsigned long long)(w->now / MX_SEC),
		(unsigned long long)(w->now % MX_SEC / 1000));
	va_start(ap, fmt);
	vfprintf(stdout, fmt, ap);
	va_end(ap);
	fputc('\n', stdout);
	fflush(NULL);
	_exit(1);
}

void world_mix(struct world *w, u64 x)
{
	w->hash = mix64(w->hash ^ x);
}

const char *sim_status(enum mx_status st)
{
	return st == MX_OK ? "ok" : mx_status_str(st);
}

/* ---- events: a binary heap by (time, order of insertion) ---- */

static bool ev_before(const struct sim_ev *a, const struct sim_ev *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void world_at(struct world *w, mx_ns at, sim_fn fn, struct sim_node *n, void *p, u64 x)
{
	struct sim_ev e = {
		.at = mx_max_u64(at, w->now), .seq = ++w->ev_seq, .fn = fn,
		.node = n ? n->idx : ~0u, .life = n ? n->life : 0, .p = p, .x = x,
	};
	u32 i, up;

	if (w->nheap == w->heap_cap) {
		w->heap_cap = w->heap_cap ? w->heap_cap * 2 : 1024;
		w->heap = realloc(w->heap, w->heap_cap * sizeof *w->heap);
		if (!w->heap)
			abort();
	}
	for (i = w->nheap++; i; i = up) {
		up = (i - 1) / 2;
		if (!ev_before(&e, &w->heap[up]))
			break;
		w->heap[i] = w->heap[up];
	}
	w->heap[i] = e;
}

static struct sim_ev ev_pop(struct world *w)
{
	struct sim_ev top = w->heap[0], e = w->heap[--w->nheap];
	u32 i = 0, c;

	while ((c = 2 * i + 1) < w->nheap) {
		if (c + 1 < w->nheap && ev_before(&w->heap[c + 1], &w->heap[c]))
			c++;
		if (!ev_before(&w->heap[c], &e))
			break;
		w->heap[i] = w->heap[c];
		i = c;
	}
	if (w->nheap)
		w->heap[i] = e;
	return top;
}

bool world_step(struct world *w, mx_ns until)
{
	struct sim_ev e;

	if (!w->nheap || w->heap[0].at > until) {
		w->now = mx_max_u64(w->now, until);
		return false;
	}
	e = ev_pop(w);
	w->now = e.at;
	w->ev_done++;
	e.fn(w, &e);
	return true;
}

/* ---- memory ---- */

/*
 * Each allocation of the core carries a header by which the node finds it
 * again, and a guard behind it. Headers are multiples of 16 so that alignment
 * stays what malloc gives.
 */
struct sim_alloc {
	struct mx_list node;
	size_t size;
	u64 magic;
};
#define ALLOC_MAGIC	0x616c6c6f63617465ull
#define ALLOC_GUARD	0x5a5a5a5a5a5a5a5aull
#define PAGE_MAGIC	0x7061676521212121ull

static void *port_alloc(void *ctx, size_t size)
{
	struct sim_node *n = ctx;
	struct sim_alloc *a;
	u64 guard = ALLOC_GUARD;

	if (rng_ppm(&n->w->rng_fault, n->w->healed ? 0 : n->alloc_fail_ppm)) {
		n->w->alloc_fails++;
		return NULL;
	}
	a = calloc(1, sizeof *a + size + sizeof guard);
	if (!a)
		abort();
	a->size = size;
	a->magic = ALLOC_MAGIC;
	memcpy((u8 *)(a + 1) + size, &guard, sizeof guard);
	mx_list_add_tail(&n->allocs, &a->node);
	n->nallocs++;
	return a + 1;
}

static void port_free(void *ctx, void *p, size_t size)
{
	struct sim_node *n = ctx;
	struct sim_alloc *a = p ? (struct sim_alloc *)p - 1 : NULL;
	u64 guard = ALLOC_GUARD;

	if (!a)
		return;
	if (a->magic != ALLOC_MAGIC)
		sim_fail(n->w, "%s frees what it did not get (or twice)", n->name);
	if (a->size != size)
		sim_fail(n->w, "%s frees %zu bytes of an allocation of %zu", n->name, size, a->size);
	if (memcmp((u8 *)p + size, &guard, sizeof guard))
		sim_fail(n->w, "%s wrote behind an allocation of %zu bytes", n->name, size);
	a->magic = 0;
	mx_list_del(&a->node);
	n->nallocs--;
	memset(p, 0xdd, mx_min_u64(size, 256));
	free(a);
}

static void port_random(void *ctx, void *buf, size_t len)
{
	struct sim_node *n = ctx;
	u8 *p = buf;

	for (; len; len--)
		*p++ = (u8)rng_u64(&n->rng);
}

/* A page sits behind a header of its own; content is garbage on purpose. */
struct sim_page {
	struct mx_list node;
	u64 magic;
	u64 pad;
};

static void on_refill(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];

	if (n->life != e->life)
		return;
	n->refilling = false;
	n->pool = n->pool_max;
}

static void *port_page_get(void *ctx)
{
	struct sim_node *n = ctx;
	struct world *w = n->w;
	struct sim_page *p;

	if (n->pool_max && !w->healed) {
		if (!n->refilling && n->pool < n->pool_max / 2 + 1) {
			n->refilling = true;
			world_at(w, w->now + rng_exp(&w->rng_fault, MX_MS), on_refill, n, NULL, 0);
		}
		if (!n->pool || rng_ppm(&w->rng_fault, n->page_fail_ppm)) {
			w->page_fails++;
			return NULL;
		}
		n->pool--;
	}
	p = malloc(sizeof *p + MX_PAGE);
	if (!p)
		abort();
	p->magic = PAGE_MAGIC;
	memset(p + 1, 0xa5, MX_PAGE);
	mx_list_add_tail(&n->pages, &p->node);
	n->npages++;
	return p + 1;
}

static void port_page_put(void *ctx, void *page)
{
	struct sim_node *n = ctx;
	struct sim_page *p = (struct sim_page *)page - 1;

	if (p->magic != PAGE_MAGIC)
		sim_fail(n->w, "%s gives back a page it did not get (or twice)", n->name);
	p->magic = 0;
	memset(page, 0xdb, MX_PAGE);
	mx_list_del(&p->node);
	n->npages--;
	free(p);
}

static void node_drop_memory(struct sim_node *n)
{
	while (!mx_list_empty(&n->allocs)) {
		struct sim_alloc *a = mx_list_entry(n->allocs.next, struct sim_alloc, node);

		mx_list_del(&a->node);
		free(a);
	}
	while (!mx_list_empty(&n->pages)) {
		struct sim_page *p = mx_list_entry(n->pages.next, struct sim_page, node);

		mx_list_del(&p->node);
		free(p);
	}
	n->nallocs = 0;
	n->npages = 0;
}

/* ---- request buffers ---- */

static struct sim_buf *buf_check(struct sim_node *n, void *buf, u32 off, u32 len, const char *what)
{
	struct sim_buf *b = buf;

	if (b->magic != SIM_BUF_LIVE)
		sim_fail(n->w, "%s: %s of a buffer whose request has ended", n->name, what);
	if (off % MX_BLOCK || len % MX_BLOCK || (u64)off + len > b->len)
		sim_fail(n->w, "%s: %s outside its buffer (%u + %u of %u)", n->name, what, off,
			 len, b->len);
	return b;
}

bool port_buf_crc(void *ctx, void *buf, u32 off, u32 nblocks, const u32 *seeds, u32 *crcs,
		  bool stable)
{
	struct sim_node *n = ctx;
	struct sim_buf *b = buf_check(n, buf, off, nblocks * MX_BLOCK, "checksum");

	if (stable && !b->stable) {
		if (rng_ppm(&n->w->rng_fault, n->w->healed ? 0 : n->alloc_fail_ppm))
			return false;
		b->stable = malloc(b->len);
		if (!b->stable)
			abort();
		memcpy(b->stable, b->data, b->len);
	}
	mx_crc32c_blocks(NULL, (b->stable ? b->stable : b->data) + off, nblocks, seeds, crcs);
	return true;
}

bool port_buf_put(void *ctx, void *buf, u32 off, const void *src, u32 nblocks,
		  const u32 *seeds, const u32 *crcs)
{
	struct sim_buf *b = buf_check(ctx, buf, off, nblocks * MX_BLOCK, "filling");
	u32 got[MX_IO_BLOCKS_MAX], done, k;

	for (done = 0; done < nblocks; done += k) {
		k = mx_min_u32(nblocks - done, MX_IO_BLOCKS_MAX);
		mx_crc32c_blocks(b->data + off + done * MX_BLOCK,
				 (const u8 *)src + done * MX_BLOCK, k, seeds + done, got);
		if (memcmp(got, crcs + done, k * sizeof *got))
			return false;
	}
	return true;
}

void port_buf_zero(void *ctx, void *buf, u32 off, u32 len)
{
	struct sim_buf *b = buf_check(ctx, buf, off, len, "zeroing");

	memset(b->data + off, 0, len);
}

static void port_log(void *ctx, int level, const char *line)
{
	struct sim_node *n = ctx;

	(void)level;
	TR(n->w, "%s log: %s", n->name, line);
}

/* ---- nodes ---- */

mx_ns node_now(const struct sim_node *n)
{
	return n->base + n->w->now + (mx_ns)((s64)n->w->now * n->ppm / 1000000);
}

/* The first moment at which the node's clock shows @local. */
mx_ns node_global(const struct sim_node *n, mx_ns local)
{
	mx_ns t;

	if (local <= n->base)
		return 0;
	t = (mx_ns)((unsigned __int128)(local - n->base) * 1000000 / (u64)(1000000 + n->ppm));
	while (n->base + t + (mx_ns)((s64)t * n->ppm / 1000000) < local)
		t++;
	return t;
}

void node_addr(struct mx_addr *a, u32 idx)
{
	memset(a, 0, sizeof *a);
	a->fam = MX_FAM_SIM;
	a->port = MX_UDP_PORT;
	mx_st32(a->a, idx);
}

static void on_wake(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];

	if (!n->up || n->life != e->life || n->wake_at != e->at)
		return;		/* moved, or meant for an earlier life */
	n->wake_at = MX_NEVER;
	if (n->spin_at != w->now) {
		n->spin_at = w->now;
		n->spins = 0;
	} else if (++n->spins > 10000) {
		sim_fail(w, "%s spins: its deadline never moves on", n->name);
	}
	mx_ep_step(n->ep, node_now(n));
	node_pump(n);
}

static void node_set_wake(struct sim_node *n)
{
	struct world *w = n->w;
	mx_ns local = mx_ep_deadline(n->ep), at;

	if (local == MX_NEVER)
		return;
	at = mx_max_u64(node_global(n, local), w->now);
	if (at >= n->wake_at)
		return;
	n->wake_at = at;
	world_at(w, at, on_wake, n, NULL, 0);
}

static void node_flush(struct sim_node *n)
{
	u32 sent = 0;

	while (mx_ep_tx(n->ep, node_now(n), &n->w->tx)) {
		net_send(n, &n->w->tx);
		if (++sent > 200000)
			sim_fail(n->w, "%s sends without end", n->name);
	}
	node_set_wake(n);
}

static void on_pump(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->node];

	if (!n->up || n->life != e->life)
		return;
	n->pump_due = false;
	node_flush(n);
}

void node_pump(struct sim_node *n)
{
	struct world *w = n->w;

	if (!n->up)
		return;
	/* A real node often takes several datagrams before it sends again. */
	if (w->pump_delay && !w->healed) {
		if (!n->pump_due) {
			n->pump_due = true;
			world_at(w, w->now + rng_below(&w->rng_net, w->pump_delay), on_pump, n,
				 NULL, 0);
		}
		return;
	}
	node_flush(n);
}

static void node_born(struct sim_node *n, struct mx_ep_conf *c)
{
	n->life++;
	rng_seed(&n->rng, n->w->seed, 1000 + n->idx * 1000 + n->life);
	n->base = rng_below(&n->rng, 1ull << 40);
	n->wake_at = MX_NEVER;
	n->leaving = false;
	n->pump_due = false;
	n->refilling = false;
	n->pool = n->pool_max;
	c->node.id = n->id;
	do {
		c->node.incarnation = rng_u64(&n->rng);
	} while (!c->node.incarnation);
	snprintf(c->node.name, sizeof c->node.name, "%s", n->name);
}

static bool node_started(struct sim_node *n)
{
	if (!n->ep) {
		TR(n->w, "%s cannot start: no memory", n->name);
		if (n->nallocs)
			sim_fail(n->w, "%s leaks %llu allocations in a start that failed", n->name,
				 (unsigned long long)n->nallocs);
		return false;
	}
	n->up = true;
	TR(n->w, "%s starts (life %u, incarnation %016llx, clock %+d ppm)", n->name, n->life,
	   (unsigned long long)mx_ep_node(n->ep)->incarnation, n->ppm);
	return true;
}

bool node_start_server(struct sim_node *n, const struct mx_server_conf *conf)
{
	struct mx_server_conf c = *conf;

	node_born(n, &c.ep);
	n->srv = mx_server_new(&n->port, &c, node_now(n));
	n->ep = n->srv ? mx_server_ep(n->srv) : NULL;
	return node_started(n);
}

bool node_start_client(struct sim_node *n, const struct mx_client_conf *conf)
{
	struct mx_client_conf c = *conf;

	node_born(n, &c.ep);
	n->cli = mx_client_new(&n->port, &c, node_now(n));
	n->ep = n->cli ? mx_client_ep(n->cli) : NULL;
	return node_started(n);
}

void node_crash(struct sim_node *n)
{
	struct world *w = n->w;

	TR(w, "%s CRASHES", n->name);
	w->crashes++;
	n->crashed_at = w->now;
	if (n->role == SIM_SERVER && w->hooks.server_crash)
		w->hooks.server_crash(w, n);
	if (n->role == SIM_CLIENT && w->hooks.client_crash)
		w->hooks.client_crash(w, n);
	n->up = false;
	n->srv = NULL;
	n->cli = NULL;
	n->ep = NULL;
	node_drop_memory(n);
}

void node_stop(struct sim_node *n)
{
	if (!n->up)
		return;
	TR(n->w, "%s stops", n->name);
	n->up = false;
	if (n->srv)
		mx_server_free(n->srv);
	if (n->cli)
		mx_client_free(n->cli);
	n->srv = NULL;
	n->cli = NULL;
	n->ep = NULL;
	if (n->nallocs || n->npages)
		sim_fail(n->w, "%s leaks %llu allocations and %u pages", n->name,
			 (unsigned long long)n->nallocs, n->npages);
}

/* ---- the world ---- */

static void node_init(struct world *w, u32 i)
{
	struct sim_node *n = &w->nodes[i];

	n->w = w;
	n->idx = i;
	n->role = i < w->nservers ? SIM_SERVER : SIM_CLIENT;
	snprintf(n->name, sizeof n->name, "%s%u", n->role == SIM_SERVER ? "server" : "client",
		 n->role == SIM_SERVER ? i : i - w->nservers);
	n->id = mix64(w->seed * 1000003 + i + 1);
	n->wake_at = MX_NEVER;
	node_addr(&n->addr, i);
	mx_list_init(&n->allocs);
	mx_list_init(&n->pages);
	n->port = (struct mx_port){
		.ctx = n, .alloc = port_alloc, .free = port_free, .random = port_random,
		.log = w->trace ? port_log : NULL, .clock_stops = n->id & 1,
	};
	if (n->role == SIM_SERVER) {
		n->port.page_get = port_page_get;
		n->port.page_put = port_page_put;
	} else {
		n->port.buf_crc = port_buf_crc;
		n->port.buf_put = port_buf_put;
		n->port.buf_zero = port_buf_zero;
	}
}

void world_init(struct world *w, u64 seed, u32 nservers, u32 nclients)
{
	FILE *trace = w->trace;
	u32 i;

	memset(w, 0, sizeof *w);
	w->trace = trace;
	w->seed = seed;
	w->hash = mix64(seed);
	rng_seed(&w->rng_net, seed, 1);
	rng_seed(&w->rng_fault, seed, 2);
	rng_seed(&w->rng_work, seed, 3);
	w->nservers = nservers;
	w->nnodes = nservers + nclients;
	w->nodes = calloc(w->nnodes, sizeof *w->nodes);
	w->rxbuf = malloc(MX_DGRAM_MAX + 1024);
	if (!w->nodes || !w->rxbuf)
		abort();
	for (i = 0; i < w->nnodes; i++)
		node_init(w, i);
}

void world_free(struct world *w)
{
	u32 i;

	for (i = 0; i < w->nnodes; i++)
		node_drop_memory(&w->nodes[i]);
	free(w->nodes);
	free(w->links);
	free(w->heap);
	free(w->rxbuf);
}
