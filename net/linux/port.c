// SPDX-License-Identifier: GPL-2.0-or-later
/* The core's port: control memory, randomness, log, a store's pages. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>
#include "net/linux/node.h"

/*
 * Control memory is asked for at set-up, when it may sleep, and from control
 * messages in softirq, when it may not and may fail; never for a block request.
 */
static void *port_alloc(void *ctx, size_t size)
{
	struct mxk_node *n = ctx;

	if (n->starting)
		return kvzalloc(size, GFP_KERNEL);
	return kzalloc(size, GFP_ATOMIC | __GFP_NOWARN | __GFP_NOMEMALLOC);
}

static void port_free(void *ctx, void *p, size_t size)
{
	kvfree(p);
}

static void port_random(void *ctx, void *buf, size_t len)
{
	get_random_bytes(buf, len);
}

static void port_log(void *ctx, int level, const char *line)
{
	if (level <= MX_LOG_ERR)
		pr_err("%s\n", line);
	else if (level == MX_LOG_WARN)
		pr_warn("%s\n", line);
	else if (level == MX_LOG_INFO)
		pr_info("%s\n", line);
	else
		pr_debug("%s\n", line);
}

/* ---- pages ---- */

/* No reclaim, no kswapd, no reserves: what is free above the watermarks, or nothing. */
#define GFP_IDLE	(__GFP_NOWARN | __GFP_NOMEMALLOC)

static struct page *new_page(gfp_t gfp)
{
	struct page *p = alloc_page(gfp);

	if (p)
		set_page_private(p, MXK_PAGE_MARK);
	return p;
}

static void free_page_of_ours(struct page *p)
{
	set_page_private(p, 0);
	put_page(p);
}

static void *port_page_get(void *ctx)
{
	struct mxk_node *n = ctx;
	struct mxk_pages *g = &n->pages;
	struct page *p = list_first_entry_or_null(&g->free, struct page, lru);

	if (p) {
		list_del(&p->lru);
		g->nfree--;
	}
	if (g->nfree < g->target / 2 && !g->stopping)
		queue_work(system_unbound_wq, &g->refill);
	if (!p) {
		g->denied++;
		return NULL;
	}
	g->out++;
	return page_address(p);
}

/* A datagram under way refers to it. */
static bool port_page_busy(void *ctx, void *addr)
{
	return page_count(virt_to_page(addr)) > 1;
}

/* One that is busy goes back to the system when the last datagram lets go of it. */
static void port_page_put(void *ctx, void *addr)
{
	struct mxk_node *n = ctx;
	struct mxk_pages *g = &n->pages;
	struct page *p = virt_to_page(addr);

	g->out--;
	if (g->nfree < g->target && page_count(p) == 1 && !g->stopping) {
		list_add(&p->lru, &g->free);
		g->nfree++;
	} else {
		free_page_of_ours(p);
	}
}

/* What is taken now must leave the host its floor. */
static bool host_has_room(const struct mxk_pages *g)
{
	long available = si_mem_available();

	return available > 0 && (u64)available > g->floor_pages;
}

/* Takes pages ahead, out of the receive path. Clean page cache may be dropped for
 * them, as long as the host keeps its floor; nothing is written out or swapped. */
static void refill(struct work_struct *work)
{
	struct mxk_pages *g = container_of(work, struct mxk_pages, refill);
	struct mxk_node *n = container_of(g, struct mxk_node, pages);
	LIST_HEAD(got);
	u32 want, have = 0;

	spin_lock_bh(&n->lock);
	want = g->nfree < g->target ? g->target - g->nfree : 0;
	spin_unlock_bh(&n->lock);
	while (have < want && host_has_room(g)) {
		struct page *p = new_page(GFP_IDLE | __GFP_NORETRY | __GFP_DIRECT_RECLAIM);

		if (!p)
			break;
		list_add(&p->lru, &got);
		have++;
	}
	spin_lock_bh(&n->lock);
	list_splice(&got, &g->free);
	g->nfree += have;
	spin_unlock_bh(&n->lock);
}

int mxk_pages_init(struct mxk_node *n, const struct mxk_conf *c)
{
	struct mxk_pages *g = &n->pages;

	INIT_LIST_HEAD(&g->free);
	INIT_WORK(&g->refill, refill);
	g->target = c->pages;
	g->floor_pages = c->pages_floor >> PAGE_SHIFT;
	if (!c->pages)
		return 0;
	n->port.page_get = port_page_get;
	n->port.page_put = port_page_put;
	n->port.page_busy = port_page_busy;
	refill(&g->refill);
	return g->nfree ? 0 : -ENOMEM;
}

void mxk_pages_exit(struct mxk_node *n)
{
	struct mxk_pages *g = &n->pages;
	struct page *p, *next;

	g->stopping = true;
	cancel_work_sync(&g->refill);
	list_for_each_entry_safe(p, next, &g->free, lru) {
		list_del(&p->lru);
		free_page_of_ours(p);
	}
	g->nfree = 0;
	WARN_ON(g->out);
}

void mxk_port_init(struct mxk_node *n)
{
	n->port = (struct mx_port){
		.ctx = n, .alloc = port_alloc, .free = port_free, .random = port_random,
		.log = port_log,
	};
}
