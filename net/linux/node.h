/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node in the kernel: an endpoint of the core with what drives it.
 *
 * The core is single-threaded per endpoint; node->lock makes it so. Everything
 * happens in whatever context brings it: a datagram in the softirq that received
 * it, a request in its submitter, time in a soft hrtimer. There is no thread and no
 * work queue between; but for AES where the FPU is taken, see mxk_put_off().
 *
 *	now = mxk_enter(node);		takes the lock
 *	... calls into the core ...
 *	mxk_leave(node, now);		runs what is due, packs what is to be sent,
 *					drops the lock, then sends and completes
 *
 * Datagrams are packed under the lock and sent after it, and so are the users'
 * completions: neither the network stack nor the block layer is entered with the
 * lock held. Lock order: node->lock is innermost; nothing is taken under it but
 * what the allocator and the routing tables take themselves.
 */
#ifndef MEMX_LINUX_NODE_H
#define MEMX_LINUX_NODE_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include "core/ep.h"
#include "net/linux/compat.h"

/* What a frame of 9,000 bytes holds. */
#define MXK_DGRAM_MAX	(9000 - 20 - 8)
/* Marks pages (page->private) that may go out by reference: see mxk_page_get. */
#define MXK_PAGE_MARK	0x4d584b50ul

/* Before the name of an interface: raw Ethernet there, not UDP. */
#define MXK_RAW_PREFIX	"raw:"
#define MXK_IFNAME	(IFNAMSIZ + 4)

/* Something to be done when the lock has been dropped, by whoever drops it. */
struct mxk_after {
	struct list_head node;
	void (*fn)(struct mxk_after *a);
};

struct mxk_node;

/* How a request's buffer (MX_SEG_BUF) is sent. */
struct mxk_buf_ops {
	/* Adds [off, off + len) to @skb by reference. False: it would need more
	 * fragments than an skb has, and nothing was added. */
	bool (*add)(void *buf, u32 off, u32 len, struct sk_buff *skb);
	void (*copy)(u8 *dst, void *buf, u32 off, u32 len);
};

struct mxk_route;

/* 4 KiB pages for a store: see pages.c. */
#define MXK_PAGES_KEPT	64u		/* of those at hand, whatever the host's state */
struct mxk_pages {
	struct list_head free;		/* node->lock */
	u32 nfree;			/* node->lock */
	u32 target;
	u64 out;			/* pages the store has, node->lock */
	u64 denied;			/* times none was at hand */
	u64 returned;			/* given back because the host was short */
	u64 floor_pages;		/* left available to the host */
	unsigned long pause_until;	/* jiffies: nothing is taken before; node->lock */
	struct work_struct refill;
	struct mxk_shrinker shrinker;
	/* Told, if set, when the kernel took pages back below the floor. Called in
	 * reclaim: it must not allocate or wait. */
	void (*short_of_memory)(struct mxk_node *n);
	bool stopping;			/* set once, under node->lock */
};

/* Control memory of more than a page: see blocks.c. */
#define MXK_BLOCK_SIZES	9u		/* 8 KiB to 2 MiB, with pages of 4 KiB */
struct mxk_blocks {
	struct list_head free[MXK_BLOCK_SIZES];	/* node->lock */
	u32 nfree[MXK_BLOCK_SIZES];		/* node->lock */
	u32 wanted;				/* bits: the sizes that were lacking once; node->lock */
	struct work_struct refill;
};

/* See heads.c. */
struct mxk_heads {
	struct page **page;
	u32 at, off;			/* the next one begins here; node->lock */
};

struct mxk_stats {
	u64 rx_copied;			/* datagrams that had to be made contiguous */
	u64 rx_joined;			/* skbs with several datagrams */
	u64 rx_reserve;			/* frames, joined ones as one, from emergency reserves */
	atomic64_t rx_put_off;		/* skbs that came while the FPU was taken */
	u64 tx_nomem, tx_noroute, tx_copied;
	u64 tx_alloc;			/* heads that were allocated: too large, or none was free */
};

struct mxk_node {
	spinlock_t lock;
	struct mx_ep *ep;		/* set once, before mxk_start() */
	struct mx_port port;
	const struct mxk_buf_ops *buf;
	bool starting;			/* allocations may sleep: nobody else is here yet */
	bool memalloc;			/* may use the emergency reserves (swap) */
	bool serve;
	bool keyed;			/* every session is sealed */
	struct mxk_pages pages;
	struct mxk_blocks blocks;

	struct hrtimer timer;
	u64 armed;			/* when it fires, MX_NEVER: not armed. Under lock */
	bool stopping;

	struct socket *sock4, *sock6;	/* sock6: NULL without IPv6 */
	struct net *net;
	char ifname[IFNAMSIZ];		/* the only interface used; "": all */
	int ifindex;			/* its index; 0: all, -1: it is not there */
	bool raw;			/* raw Ethernet on it, no UDP */
	struct net_device *dev;		/* raw; NULL: it is not there. Lock */
	struct packet_type raw_type;
	struct nf_hook_ops raw_hook;	/* with @memalloc */
	struct notifier_block dev_events;
	bool dev_ending;
	u16 port_no;
	__be32 local;			/* an address of this machine, as of... */
	unsigned long local_until;	/* ...then (gro.c) */
	struct sk_buff_head put_off;	/* received, to be taken up by... */
	struct work_struct go_on;	/* ...this, when the FPU is free again */
	struct list_head after;		/* struct mxk_after; lock */
	struct mxk_heads heads;
	struct sk_buff_head out;	/* packed, to be sent when the lock is dropped; lock */
	/* Asked, if set, before anything is sent, under the lock: false keeps it in. */
	bool (*may_send)(struct mxk_node *n);
	struct mxk_route *routes;	/* lock */
	u32 nroutes, routes_seed;
	struct mxk_stats stats;
	struct mx_tx tx;		/* being packed */
	u8 *rx_buf;			/* MX_DGRAM_MAX: datagrams in pieces */
};

struct mxk_conf {
	u16 port;			/* UDP port to listen on; 0: any */
	const char *ifname;		/* the only interface used; raw:IF: raw Ethernet there
					 * instead of UDP; NULL or "": all */
	bool serve;			/* a server: needs a key, or trust in @ifname, see mxk_init */
	bool keyed;			/* every session is by a key (mxk_key_use) */
	bool trusted;			/* whoever is on @ifname may do anything here */
	bool memalloc;
	u64 pages_floor;		/* bytes; with @pages */
	u32 pages;			/* pages kept at hand for a store; 0: no store */
};

/*
 * Opens the socket and fills node->port. The caller then makes a server or a
 * client on node->port, sets node->ep, and calls mxk_start. All of them sleep.
 * Fails, and says why in the log:
 *	-EPERM		a server without a key that would be reached by more than
 *			loopback or a trusted interface
 *	-ENODEV		no such interface
 *	-ENETDOWN, -EMEDIUMTYPE, -EMSGSIZE	raw Ethernet: it is down, no Ethernet, its MTU too small
 *	-EBUSY		the machine is about to hibernate
 *	-EADDRINUSE, -ENOMEM ...
 */
int mxk_init(struct mxk_node *n, const struct mxk_conf *c);
/* Cause and remedy of such an error, for who asked for @ifname, at most @len bytes. */
void mxk_init_error(int rc, const char *ifname, char *text, size_t len);
/* What the carrier decides of an endpoint's configuration: dgram_max, rwnd. After
 * mxk_init(); sleeps. */
void mxk_conf_ep(struct mxk_node *n, struct mx_ep_conf *c);
void mxk_start(struct mxk_node *n);
/* No more datagrams, no more time, no reclaim of pages; says goodbye to peers first. What
 * stands on the node is then alone with it and needs no lock. */
void mxk_stop(struct mxk_node *n);
/* After the server or client was freed. */
void mxk_exit(struct mxk_node *n);

/* Goes on while the machine is suspended, as the leases of others do. */
static inline mx_ns mxk_now(void)
{
	return ktime_get_boottime_ns();
}

mx_ns mxk_enter(struct mxk_node *n);
void mxk_leave(struct mxk_node *n, mx_ns now);
/* Drops the lock and nothing else: an mxk_enter and mxk_leave follow soon. */
void mxk_leave_later(struct mxk_node *n);
/* Under the lock. */
void mxk_add_after(struct mxk_node *n, struct mxk_after *a);

/* What is left available to the host, from now on. Any context. */
void mxk_pages_set_floor(struct mxk_node *n, u64 bytes);
/* Gives what is at hand back if the host is below its floor, else takes it again.
 * To be called now and then; from process context. */
void mxk_pages_trim(struct mxk_node *n);

/* "A.B.C.D", "A.B.C.D:PORT", IPv6 as "X::Y" or "[X::Y]:PORT", or "eth:MAC". -EINVAL. */
int mxk_parse_addr(const char *text, struct mx_addr *a);
#define MXK_ADDR_WORDS	\
	"an address such as 10.0.0.1, 10.0.0.1:7770, [fd00::1]:7770 or, by raw Ethernet, eth:52:54:00:12:34:56"
/* Writes at most MXK_ADDR_STR bytes to @buf and returns it. */
#define MXK_ADDR_STR	64
char *mxk_format_addr(const struct mx_addr *a, char *buf);
/* A node name from @name, or the machine's; a new incarnation. */
void mxk_identify(struct mx_node *node, const char *name);
/*
 * For a server: the id it has at each start on this machine with this name and port,
 * made from the machine's UUID and serial numbers (DMI). A server that is back with its
 * old id and a new incarnation says that what it held is gone; under another id it would
 * be waited for. False, and the id is left alone: the machine has no UUID. Any context.
 */
bool mxk_lasting_id(struct mx_node *node, u16 port);

#endif
