// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A store's pages: a few are taken ahead of need, and only while the host has room.
 *
 * The store takes a page from the receive softirq, where nothing can be waited for:
 * from a pool that a work item refills. What the host needs comes first:
 *  - the pool is filled only while MemAvailable is above the floor, by allocations
 *    that neither wake kswapd nor write anything out (they may drop clean cache,
 *    which MemAvailable counts);
 *  - below the floor the pool goes back to the system, at once when the kernel is
 *    short (shrinker), else when whoever drives the store looks (mxk_pages_trim);
 *  - MXK_PAGES_KEPT of it stay: pages that are held are still overwritten, and a new
 *    page must be at hand before the old one is free.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/swap.h>
#include "net/linux/carrier.h"

/* No reclaim, no kswapd, no reserves: what is free above the watermarks, or nothing. */
#define GFP_IDLE	(__GFP_NOWARN | __GFP_NOMEMALLOC)
/* How long it is not tried again when the host had no room. */
#define PAUSE		(HZ / 4)
/* Pages of a store that is freed, until others get a turn. */
#define FREED_AT_A_TIME	1024u

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

static void free_list(struct list_head *list)
{
	struct page *p, *next;

	list_for_each_entry_safe(p, next, list, lru) {
		list_del(&p->lru);
		free_page_of_ours(p);
	}
}

/* What is taken now must leave the host its floor. */
static bool host_has_room(const struct mxk_pages *g)
{
	long available = si_mem_available();

	return available > 0 && (u64)available > READ_ONCE(g->floor_pages);
}

/* ---- what the core calls, under node->lock; freeing the store, which is after
 * mxk_pages_stop(), needs no lock ---- */

static void assert_alone(struct mxk_node *n)
{
	lockdep_assert(n->pages.stopping || lockdep_is_held(&n->lock));
}

static void want_refill(struct mxk_pages *g)
{
	if (!g->stopping && time_after_eq(jiffies, g->pause_until))
		queue_work(system_unbound_wq, &g->refill);
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
	if (g->nfree < g->target / 2)
		want_refill(g);
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

/* One that is busy goes back to the system when the last datagram lets go of it. A store
 * that is freed gives back all it has in one go, which on a large host takes a while. */
static void port_page_put(void *ctx, void *addr)
{
	struct mxk_node *n = ctx;
	struct mxk_pages *g = &n->pages;
	struct page *p = virt_to_page(addr);
	u32 most = time_before(jiffies, g->pause_until) ? MXK_PAGES_KEPT : g->target;

	assert_alone(n);
	g->out--;
	if (g->stopping && !(g->out % FREED_AT_A_TIME))
		cond_resched();
	if (g->nfree < most && page_count(p) == 1 && !g->stopping) {
		list_add(&p->lru, &g->free);
		g->nfree++;
	} else {
		free_page_of_ours(p);
	}
}

/* ---- taking and giving back ---- */

static void refill(struct work_struct *work)
{
	struct mxk_pages *g = container_of(work, struct mxk_pages, refill);
	struct mxk_node *n = container_of(g, struct mxk_node, pages);
	LIST_HEAD(got);
	u32 nfree, have = 0;
	bool room = true;

	spin_lock_bh(&n->lock);
	nfree = g->nfree;
	spin_unlock_bh(&n->lock);
	while (nfree + have < g->target) {
		gfp_t gfp = GFP_IDLE;
		struct page *p;

		room = host_has_room(g);
		if (room)
			gfp |= __GFP_NORETRY | __GFP_DIRECT_RECLAIM;
		else if (nfree + have >= MXK_PAGES_KEPT)
			break;
		p = new_page(gfp);
		if (!p) {
			room = false;
			break;
		}
		list_add(&p->lru, &got);
		have++;
	}
	spin_lock_bh(&n->lock);
	list_splice(&got, &g->free);
	g->nfree += have;
	if (!room)
		g->pause_until = jiffies + PAUSE;
	spin_unlock_bh(&n->lock);
}

static u32 give_back(struct mxk_node *n, u32 most)
{
	struct mxk_pages *g = &n->pages;
	LIST_HEAD(list);
	u32 done = 0;

	spin_lock_bh(&n->lock);
	while (g->nfree > MXK_PAGES_KEPT && done < most) {
		list_move(g->free.next, &list);
		g->nfree--;
		done++;
	}
	g->returned += done;
	g->pause_until = jiffies + PAUSE;
	spin_unlock_bh(&n->lock);
	free_list(&list);
	return done;
}

void mxk_pages_trim(struct mxk_node *n)
{
	struct mxk_pages *g = &n->pages;

	if (!host_has_room(g)) {
		give_back(n, U32_MAX);
		return;
	}
	spin_lock_bh(&n->lock);
	if (g->nfree < g->target / 2)
		want_refill(g);
	spin_unlock_bh(&n->lock);
}
EXPORT_SYMBOL_GPL(mxk_pages_trim);

void mxk_pages_set_floor(struct mxk_node *n, u64 bytes)
{
	WRITE_ONCE(n->pages.floor_pages, bytes >> PAGE_SHIFT);
}
EXPORT_SYMBOL_GPL(mxk_pages_set_floor);

/*
 * kswapd asks also while there is plenty of cache to drop. That is no reason to give
 * up pages which would be taken again a moment later: only below the floor.
 */
static unsigned long shrink_count(struct shrinker *sh, struct shrink_control *sc)
{
	struct mxk_node *n = mxk_shrinker_data(sh);
	u32 nfree = READ_ONCE(n->pages.nfree);

	if (nfree <= MXK_PAGES_KEPT || host_has_room(&n->pages))
		return 0;
	return nfree - MXK_PAGES_KEPT;
}

static unsigned long shrink_scan(struct shrinker *sh, struct shrink_control *sc)
{
	struct mxk_node *n = mxk_shrinker_data(sh);
	u32 done = give_back(n, (u32)min_t(unsigned long, sc->nr_to_scan, U32_MAX));
	void (*told)(struct mxk_node *) = READ_ONCE(n->pages.short_of_memory);

	if (told)
		told(n);
	return done ?: SHRINK_STOP;
}

/* ---- life ---- */

int mxk_pages_init(struct mxk_node *n, const struct mxk_conf *c)
{
	struct mxk_pages *g = &n->pages;
	int rc;

	INIT_LIST_HEAD(&g->free);
	INIT_WORK(&g->refill, refill);
	g->target = c->pages;
	g->floor_pages = c->pages_floor >> PAGE_SHIFT;
	g->pause_until = jiffies;
	if (!c->pages)
		return 0;
	n->port.page_get = port_page_get;
	n->port.page_put = port_page_put;
	n->port.page_busy = port_page_busy;
	refill(&g->refill);
	if (!g->nfree)
		return -ENOMEM;
	rc = mxk_shrinker_add(&g->shrinker, "memx-pages", shrink_count, shrink_scan, n);
	if (rc)
		free_list(&g->free);
	return rc;
}

void mxk_pages_stop(struct mxk_node *n)
{
	struct mxk_pages *g = &n->pages;

	mxk_shrinker_remove(&g->shrinker);
	spin_lock_bh(&n->lock);
	g->stopping = true;
	spin_unlock_bh(&n->lock);
	cancel_work_sync(&g->refill);
}

void mxk_pages_exit(struct mxk_node *n)
{
	struct mxk_pages *g = &n->pages;

	mxk_pages_stop(n);
	free_list(&g->free);
	g->nfree = 0;
	WARN_ON(g->out);
}
