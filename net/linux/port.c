// SPDX-License-Identifier: GPL-2.0-or-later
/* The core's port: control memory, randomness, log. A store's pages: pages.c. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#ifdef CONFIG_X86
#include <asm/cpufeature.h>
#endif
#include "net/linux/carrier.h"

/*
 * Control memory is asked for at set-up, when it may sleep, and from control
 * messages in softirq, when it may not and may fail; never for a block request. But a
 * client without a session writes no page: what a session needs, a page at most, it may
 * take from the reserves if it swaps; and what is larger need not be had in one piece.
 */
static void *port_alloc(void *ctx, size_t size)
{
	struct mxk_node *n = ctx;
	void *p;

	if (n->starting)
		return kvzalloc(size, GFP_KERNEL);
	p = kzalloc(size, GFP_ATOMIC | __GFP_NOWARN |
		    (n->memalloc && size <= PAGE_SIZE ? __GFP_MEMALLOC : __GFP_NOMEMALLOC));
	if (!p && size > PAGE_SIZE)
		p = mxk_block_take(n, size);
	return p;
}

/* Much of it, and it stays: nothing is taken that interrupts or emergencies may need. */
static void *port_alloc_map(void *ctx, size_t size)
{
	struct mxk_node *n = ctx;
	void *p;

	if (n->starting)
		return kvzalloc(size, GFP_KERNEL);
	p = kzalloc(size, GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);
	if (!p && size > PAGE_SIZE)
		p = mxk_block_take(n, size);
	return p;
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

/* A hypervisor's guests can be stopped, their clocks with them. */
static bool clock_stops(void)
{
#ifdef CONFIG_X86
	return boot_cpu_has(X86_FEATURE_HYPERVISOR);
#else
	return true;
#endif
}

void mxk_port_init(struct mxk_node *n)
{
	n->port = (struct mx_port){
		.ctx = n, .clock_stops = clock_stops(), .alloc = port_alloc,
		.alloc_map = port_alloc_map,
		.free = port_free, .random = port_random, .log = port_log,
	};
}
