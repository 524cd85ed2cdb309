// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How much is offered: what was said, less what the host needs for itself.
 *
 * A second apart, and at once when the kernel is short: above the floor all that
 * was said is offered, below it less, down to less than what is held. Then writes
 * of new pages are refused (FULL), clients place them on other servers, and owners
 * are asked to move extents away (core/shed.c). Nothing that is held is dropped.
 */
#define pr_fmt(fmt) "memx-server: " fmt
#include <linux/kernel_stat.h>
#include <linux/mm.h>
#include "net/linux/nl.h"
#include "server-kmod/server.h"

#define WATCH_EVERY	HZ
#define FLOOR_SHARE	20u			/* of the host's memory: 1/20, as memxd */
#define FLOOR_MIN	(64ull << 20)

u64 host_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

u64 host_available(void)
{
	long pages = si_mem_available();

	return pages > 0 ? (u64)pages << PAGE_SHIFT : 0;
}

u64 host_floor_default(void)
{
	return max(host_total() / FLOOR_SHARE, FLOOR_MIN);
}

#define MIB(bytes)	((bytes) >> 20)

int host_check_memory(u64 memory, u64 floor, struct netlink_ext_ack *ack)
{
	u64 total = host_total();

	if (memory < HOST_MEMORY_MIN) {
		mxk_nl_error(ack, "%llu bytes are too little to be of use; donate 8 MiB at least",
			     memory);
	} else if (floor >= total) {
		mxk_nl_error(ack, "a floor of %llu MiB leaves nothing to donate of this machine's %llu MiB",
			     MIB(floor), MIB(total));
	} else if (memory > total - floor) {
		mxk_nl_error(ack, "%llu MiB and a floor of %llu MiB for the host are more than this machine has (%llu MiB); donate less, or lower the floor",
			     MIB(memory), MIB(floor), MIB(total));
	} else {
		return 0;
	}
	return -EINVAL;
}

/* What may be taken in all, with the host's memory as it is. */
static u64 ceiling_now(const struct server *s, u64 used, u64 available)
{
	u64 ceiling;

	if (available >= s->floor)
		ceiling = used + (available - s->floor);
	else
		ceiling = used > s->floor - available ? used - (s->floor - available) : 0;
	return min(ceiling, s->memory);
}

/* Every change is announced: small ones are not worth it. */
static bool worth_telling(const struct server *s, u64 ceiling, u64 used)
{
	u64 diff = ceiling > s->offered ? ceiling - s->offered : s->offered - ceiling;

	if (!diff)
		return false;
	return ceiling == s->memory || ceiling <= used || s->offered < used || s->offered > s->memory ||
	       diff >= s->memory / 64;
}

static void say_change(struct server *s, u64 available)
{
	if (s->offered < s->memory && !s->short_of_memory) {
		s->short_of_memory = true;
		pr_warn("the host has %llu MiB available and %llu MiB are to be left to it: offering %llu MiB instead of %llu until it has more\n",
			MIB(available), MIB(s->floor), MIB(s->offered), MIB(s->memory));
	} else if (s->offered == s->memory && s->short_of_memory) {
		s->short_of_memory = false;
		pr_info("the host has enough memory again: offering %llu MiB\n", MIB(s->offered));
	}
}

/* In the words of memxd, which memxctl shows. Under node.lock. */
static void tell_stats(struct server *s, u64 available)
{
	const struct mxk_pages *g = &s->node.pages;

	scnprintf(s->extra, sizeof(s->extra),
		  "resident_bytes %llu\nnone_at_hand %llu\nhost_available_bytes %llu\nfloor_bytes %llu\nreturned_bytes %llu\n",
		  (g->out + g->nfree) << PAGE_SHIFT, g->denied, available, s->floor,
		  g->returned << PAGE_SHIFT);
	mx_server_set_extra(s->core, s->extra);
}

/*
 * The load figure: of the last second, what all processors spent in softirqs. That is
 * where requests are served, under one lock: a second's worth is all there is.
 */
static void measure_load(struct server *s, mx_ns now)
{
	mx_ns wall = now - s->load_at;
	u64 spent = 0;
	int cpu;

	if (wall < MX_SEC / 2)
		return;
	for_each_possible_cpu(cpu)
		spent += kcpustat_cpu(cpu).cpustat[CPUTIME_SOFTIRQ];
	if (s->load_at)
		mx_server_set_load(s->core, min_t(u64, 1000, div64_u64((spent - s->softirq_before) * 1000, wall)));
	s->load_at = now;
	s->softirq_before = spent;
}

static void look(struct server *s)
{
	struct mx_store *store = mx_server_store(s->core);
	const struct mx_store_stats *st = mx_store_stats(store);
	u64 available, used, ceiling;
	mx_ns now;
	bool tell;

	mxk_pages_trim(&s->node);
	now = mxk_enter(&s->node);
	available = host_available();
	/* What is at hand is ours already. */
	used = st->data_bytes + st->meta_bytes;
	ceiling = ceiling_now(s, used, available + ((u64)s->node.pages.nfree << PAGE_SHIFT));
	tell = worth_telling(s, ceiling, used);
	if (tell)
		mx_server_set_ceiling(s->core, ceiling);
	tell_stats(s, available);
	measure_load(s, now);
	mxk_leave(&s->node, now);
	if (tell) {
		s->offered = ceiling;
		say_change(s, available);
	}
}

static void watch_fn(struct work_struct *work)
{
	struct server *s = container_of(to_delayed_work(work), struct server, watch);
	struct host_only only;

	/* Whoever stops the server waits for this and has the lock: no waiting here. */
	if (mutex_trylock(&host_lock)) {
		look(s);
		if (s->leaving) {
			server_only_copies(s, &only);
			if (!only.extents)
				server_stop_soon();
		}
		mutex_unlock(&host_lock);
	}
	queue_delayed_work(system_wq, &s->watch, WATCH_EVERY);
}

static void short_of_memory(struct mxk_node *n)
{
	mod_delayed_work(system_wq, &container_of(n, struct server, node)->watch, 0);
}

void server_set_memory(struct server *s, u64 memory, u64 floor)
{
	s->memory = memory;
	s->floor = floor;
	mxk_pages_set_floor(&s->node, floor);
	look(s);
}

void server_watch_start(struct server *s)
{
	INIT_DELAYED_WORK(&s->watch, watch_fn);
	look(s);
	s->node.pages.short_of_memory = short_of_memory;
	queue_delayed_work(system_wq, &s->watch, WATCH_EVERY);
}

void server_watch_stop(struct server *s)
{
	cancel_delayed_work_sync(&s->watch);
}
