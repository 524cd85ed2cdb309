/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx-server.ko: a server of the core that donates this machine's memory.
 *
 *	main.c		module parameters, and what sysfs shows
 *	server.c	starting and stopping it; holding on to the module
 *	pressure.c	how much is offered, by what the host has
 *	netlink.c	memxctl host
 *
 * host_lock is taken first; under it node.lock. There is one server at most: the
 * module is loaded with or without one.
 */
#ifndef MEMX_SERVER_KMOD_SERVER_H
#define MEMX_SERVER_KMOD_SERVER_H

#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/workqueue.h>
#include "core/server.h"
#include "net/linux/node.h"
#include "net/linux/uapi.h"

#define HOST_MEMORY_MIN	(8ull << 20)

struct host_conf {			/* as asked for; strings are copied */
	u64 memory, floor;		/* bytes */
	bool has_floor;			/* else the default */
	const char *ifname;		/* IF or raw:IF; "": all */
	bool trusted;
	const char *key;		/* "": none */
	const char *name;		/* "": the machine's */
	u16 port;			/* 0: any */
	unsigned int njoin;
	struct mx_addr join[MEMX_SERVER_JOIN_MAX];
};

struct server {
	struct mxk_node node;
	struct mx_server *core;
	struct mx_node id;
	char ifname[MXK_IFNAME];
	bool trusted, keyed;
	u64 memory, floor;		/* bytes, as set last; host_lock */
	u64 offered;			/* the ceiling the core was told last; host_lock */
	bool short_of_memory;		/* said so; host_lock */
	mx_ns load_at;			/* when softirq_before was, ns; 0: never */
	u64 softirq_before;		/* ns of all processors */
	bool leaving;			/* asked to stop, has data; host_lock */
	bool pinned;			/* this module is held; node.lock */
	struct delayed_work watch;
	char extra[256];		/* what STATS tells of the host; node.lock */
};

extern struct mutex host_lock;
extern struct server *the_server;	/* NULL: none; host_lock */

/* What would be lost if it stopped now. */
struct host_only {
	u64 volumes, extents, bytes;
};

/* ---- server.c; all sleep, with host_lock held unless said otherwise ---- */
/*
 * Makes the server. On failure the sentence goes to @ack, or to the log if that is
 * NULL: -EINVAL, -EPERM (no key and no trusted network), -EBUSY (there is one),
 * -ENODEV, -ENOKEY, -EADDRINUSE, -ENOMEM.
 */
int server_start(const struct host_conf *c, struct netlink_ext_ack *ack);
/* Ends it; what it holds is lost. */
void server_stop(struct server *s);
/* Ends it if nothing is lost or @discard; else it takes nothing new and -EBUSY. */
int server_ask_to_stop(struct server *s, bool discard, struct netlink_ext_ack *ack);
void server_only_copies(struct server *s, struct host_only *o);
/* Before the module goes; without host_lock. */
void server_exit(void);
/* To be called when a server that leaves has nothing any more. Any context. */
void server_stop_soon(void);

/* ---- pressure.c ---- */
u64 host_total(void);			/* bytes */
u64 host_available(void);
u64 host_floor_default(void);
/* 0, or -EINVAL with a sentence. */
int host_check_memory(u64 memory, u64 floor, struct netlink_ext_ack *ack);
/* Sets what may be donated and what is left; host_lock. */
void server_set_memory(struct server *s, u64 memory, u64 floor);
void server_watch_start(struct server *s);
void server_watch_stop(struct server *s);	/* waits */

/* ---- netlink.c ---- */
int host_netlink_init(void);
void host_netlink_exit(void);

#endif
