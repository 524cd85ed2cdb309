// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control memory of more than a page, for the softirq: on a machine whose free memory is
 * in pieces the page allocator has none, for as long as nobody waits for it. So from the
 * first time that a size was lacking, a work item keeps some of that size at hand, of
 * whatever pages there are (vmalloc). What was asked for in vain is asked for again: bodies
 * of calls and tables by repeats of what they answer, a store's bookkeeping by BUSY. (Not the
 * root of the map of a volume of more than 64 TiB: its attaching then fails.)
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "net/linux/carrier.h"

#define KEPT_BYTES	(128u * 1024)	/* of each size, but one at least */
#define KEPT_MOST	8u

/* WQ_MEM_RECLAIM: swapped pages may wait for it. */
static struct workqueue_struct *wq;

int mxk_blocks_begin(void)
{
	wq = alloc_workqueue("memx_blocks", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return wq ? 0 : -ENOMEM;
}

void mxk_blocks_end(void)
{
	destroy_workqueue(wq);
}

static u32 size_of(u32 i)
{
	return (u32)(2 * PAGE_SIZE) << i;
}

static u32 kept(u32 i)
{
	return clamp_t(u32, KEPT_BYTES / size_of(i), 1, KEPT_MOST);
}

/* The smallest size that is wanted and not at hand; MXK_BLOCK_SIZES: none. */
static u32 lacking(struct mxk_node *n)
{
	const struct mxk_blocks *b = &n->blocks;
	u32 i = 0;

	spin_lock_bh(&n->lock);
	while (i < MXK_BLOCK_SIZES && (!(b->wanted & BIT(i)) || b->nfree[i] >= kept(i)))
		i++;
	spin_unlock_bh(&n->lock);
	return i;
}

static void refill(struct work_struct *w)
{
	struct mxk_node *n = container_of(w, struct mxk_node, blocks.refill);
	/* What waits for us may be what memory waits for. */
	unsigned int noio = memalloc_noio_save();
	u32 i;

	while ((i = lacking(n)) < MXK_BLOCK_SIZES) {
		struct list_head *p = __vmalloc(size_of(i), GFP_KERNEL | __GFP_ZERO |
						__GFP_RETRY_MAYFAIL | __GFP_NOWARN);

		if (!p)
			break;		/* begins again when it is asked for again */
		spin_lock_bh(&n->lock);
		list_add(p, &n->blocks.free[i]);
		n->blocks.nfree[i]++;
		spin_unlock_bh(&n->lock);
	}
	memalloc_noio_restore(noio);
}

void *mxk_block_take(struct mxk_node *n, size_t size)
{
	u32 i = ilog2(roundup_pow_of_two(size)) - PAGE_SHIFT - 1;
	struct mxk_blocks *b = &n->blocks;
	struct list_head *p;

	if (i >= MXK_BLOCK_SIZES || n->stopping)
		return NULL;
	b->wanted |= BIT(i);
	queue_work(wq, &b->refill);
	if (!b->nfree[i])
		return NULL;
	p = b->free[i].next;
	list_del(p);
	b->nfree[i]--;
	/* A table that grows wants another size the next time. */
	if (size_of(i) > KEPT_BYTES / 2)
		b->wanted &= ~BIT(i);
	memset(p, 0, sizeof(*p));	/* the rest is zero */
	return p;
}

void mxk_blocks_init(struct mxk_node *n)
{
	for (u32 i = 0; i < MXK_BLOCK_SIZES; i++)
		INIT_LIST_HEAD(&n->blocks.free[i]);
	INIT_WORK(&n->blocks.refill, refill);
}

void mxk_blocks_exit(struct mxk_node *n)
{
	struct list_head *p, *next;

	cancel_work_sync(&n->blocks.refill);
	for (u32 i = 0; i < MXK_BLOCK_SIZES; i++) {
		list_for_each_safe(p, next, &n->blocks.free[i])
			kvfree(p);
		INIT_LIST_HEAD(&n->blocks.free[i]);
		n->blocks.nfree[i] = 0;
	}
}
