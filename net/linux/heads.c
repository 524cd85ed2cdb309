// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the heads of datagrams that are sent lie: in pages that are there from the start
 * and used in turn. One is used again when all that lay in it have been sent, which is
 * long before its turn comes unless a device stands still. So sending allocates nothing,
 * neither takes the kernel to clear what it allocates (INIT_ON_ALLOC), and the skbs
 * themselves come from a cache of the stack's to which drivers give them back.
 */
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include "net/linux/carrier.h"

#define PAGES	128u		/* 768 heads of datagrams that refer to their data */

struct sk_buff *mxk_heads_skb(struct mxk_node *n, u32 bytes)
{
	u32 size = SKB_DATA_ALIGN(bytes) + SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct mxk_heads *h = &n->heads;
	struct page *p = h->page[h->at];
	struct sk_buff *skb;

	if (size > PAGE_SIZE)
		return NULL;
	if (h->off + size > PAGE_SIZE) {
		u32 next = (h->at + 1) % PAGES;

		p = h->page[next];
		if (page_count(p) > 1)
			return NULL;
		h->at = next;
		h->off = 0;
	}
	skb = napi_build_skb(page_address(p) + h->off, size);
	if (!skb)
		return NULL;
	get_page(p);
	h->off += size;
	return skb;
}

int mxk_heads_init(struct mxk_node *n)
{
	n->heads.page = kvcalloc(PAGES, sizeof(*n->heads.page), GFP_KERNEL);
	for (u32 i = 0; n->heads.page && i < PAGES; i++) {
		n->heads.page[i] = alloc_page(GFP_KERNEL);
		if (!n->heads.page[i])
			mxk_heads_exit(n);
	}
	return n->heads.page ? 0 : -ENOMEM;
}

void mxk_heads_exit(struct mxk_node *n)
{
	for (u32 i = 0; n->heads.page && i < PAGES && n->heads.page[i]; i++)
		put_page(n->heads.page[i]);
	kvfree(n->heads.page);
	n->heads.page = NULL;
}
