/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulated world: time, network, memory and nodes.
 *
 * One process, one thread, one seed. Time is virtual and jumps from event to
 * event; nothing reads a real clock or a real random source, so a seed and a
 * commit give the same life every time. The nodes run the real core; what
 * stands in for their surroundings (struct mx_port, the carrier, the timers of
 * an adapter) is here.
 */
#ifndef MEMX_SIM_SIM_H
#define MEMX_SIM_SIM_H

#include <stdio.h>
#include "rng.h"
#include "../../core/ep.h"
#include "../../core/server.h"
#include "../../core/client.h"

struct world;
struct sim_node;

/*
 * The network as one struct of named distributions. "ppm" is a chance per
 * datagram in millionths.
 */
struct sim_net {
	u32 loss_ppm;
	u32 burst_ppm;		/* a burst of losses begins on this link... */
	u32 burst_len;		/* ...and takes up to this many datagrams */
	u32 dup_ppm;
	u32 reorder_ppm;	/* overtaken by later ones... */
	mx_ns reorder_mean;	/* ...for this long on average */
	u32 corrupt_ppm;	/* one byte is changed */
	mx_ns delay_min;
	mx_ns delay_mean;	/* above the minimum, exponential */
	u64 rate;		/* bytes a second into a node; 0: no limit */
	u32 queue;		/* bytes waiting there before some are dropped */
};

/* One direction between two nodes. */
struct sim_link {
	bool cut;		/* partitioned */
	u32 mtu;		/* largest datagram that passes */
	u32 burst_left;
	mx_ns last_at;		/* arrival of the newest in order: links keep order but
				 * for what reorder_ppm takes out */
};

enum sim_role { SIM_SERVER, SIM_CLIENT };

struct sim_node {
	struct world *w;
	u32 idx;
	enum sim_role role;
	char name[16];
	u64 id;			/* lasting */
	bool up;
	u32 life;		/* starts so far; 0: never started */
	mx_ns crashed_at;	/* last */
	bool leaving;		/* this life was asked to leave */
	struct mx_addr addr;

	/* Its clock: base + time, ppm millionths fast or slow. */
	s32 ppm;
	mx_ns base;

	/* Memory the core took, so that a crash can take it away and a clean
	 * end can be audited. */
	struct mx_port port;
	struct rng rng;
	struct mx_list allocs;
	u64 nallocs;
	u32 alloc_fail_ppm;
	struct mx_list pages;
	u32 npages;
	u32 pool, pool_max;	/* pages that can be had now; 0 max: no limit */
	bool refilling;
	u32 page_fail_ppm;

	struct mx_server *srv;
	struct mx_client *cli;
	struct mx_ep *ep;

	mx_ns wake_at;		/* global time of the wake-up that counts; MX_NEVER none */
	mx_ns spin_at;
	u32 spins;
	bool pump_due;
	mx_ns rx_free_at;	/* its receiving link is free again */
};

/* Events: a function, a node, and the life of the node it was meant for. */
struct sim_ev;
typedef void (*sim_fn)(struct world *w, struct sim_ev *e);
struct sim_ev {
	mx_ns at;
	u64 seq;		/* equal times keep the order of insertion */
	sim_fn fn;
	u32 node, life;
	void *p;
	u64 x;
};

struct sim_dgram {
	u32 refs, len;
	u32 from;
	u8 data[];
};

struct sim_hooks {		/* what the workload wants to know of */
	/* A server is about to crash; its store can still be looked at. */
	void (*server_crash)(struct world *w, struct sim_node *n);
	void (*client_crash)(struct world *w, struct sim_node *n);
	/* A buffer is about to be read for sending: last chance to change it. */
	void (*buf_touch)(struct world *w, void *buf);
	/* A datagram is about to be broadcast: last chance to change it. */
	void (*broadcast)(struct world *w, u8 *dgram, u32 len);
};

struct world {
	u64 seed;
	mx_ns now;
	struct sim_ev *heap;
	u32 nheap, heap_cap;
	u64 ev_seq;
	u64 ev_done;

	struct rng rng_net, rng_fault, rng_work;
	struct sim_net net;
	struct sim_link *links;	/* [from * nnodes + to]; NULL: all alike (scale) */
	struct sim_node *nodes;
	u32 nnodes, nservers;
	bool broadcast;		/* the segment has broadcast */
	mx_ns pump_delay;	/* 0: a node sends at once; else after up to this */
	bool healed;		/* no fault happens any more */

	struct sim_hooks hooks;
	void *user;

	FILE *trace;
	u64 hash;		/* over all that happened: equal for equal lives */
	struct mx_tx tx;
	u8 *rxbuf;
	/* counters */
	u64 sent, sent_bytes, delivered, lost, dupped, corrupted, reordered, too_big, cut;
	u64 crashes, alloc_fails, page_fails;
};

#define SIM_BCAST	0xffffu

/* ---- world.c ---- */
void world_init(struct world *w, u64 seed, u32 nservers, u32 nclients);
void world_free(struct world *w);
void world_at(struct world *w, mx_ns at, sim_fn fn, struct sim_node *n, void *p, u64 x);
/* Runs the next event; false if there is none before @until (now is then @until). */
bool world_step(struct world *w, mx_ns until);
void world_mix(struct world *w, u64 x);	/* into the hash of the life */

mx_ns node_now(const struct sim_node *n);	/* its own clock */
mx_ns node_global(const struct sim_node *n, mx_ns local);
/* Starts as a new incarnation; false if memory failed. */
bool node_start_server(struct sim_node *n, const struct mx_server_conf *c);
bool node_start_client(struct sim_node *n, const struct mx_client_conf *c);
void node_crash(struct sim_node *n);	/* all it had is gone, nothing is sent */
void node_stop(struct sim_node *n);	/* freed in order; audited */
/* Sends all the core has to send and sets the wake-up. After any call into it. */
void node_pump(struct sim_node *n);
void node_addr(struct mx_addr *a, u32 idx);
const char *sim_status(enum mx_status st);

/* A broken promise, or a core that misbehaves: said, with the seed; the process
 * ends with status 1. */
void sim_fail(struct world *w, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void sim_trace(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define TR(w, ...)	do { if ((w)->trace) sim_trace((w), __VA_ARGS__); } while (0)

/* ---- buffers of requests (port's buf_*) ---- */
#define SIM_BUF_LIVE	0x62756621u
struct sim_buf {
	u32 magic;		/* LIVE between submit and done */
	u32 len;
	bool fickle;		/* its owner changes it while it is under way */
	u8 *data;
	u8 *stable;		/* the copy taken; NULL none */
	void *op;		/* the workload's */
};
bool port_buf_crc(void *ctx, void *buf, u32 off, u32 nblocks, const u32 *seeds, u32 *crcs,
		  bool stable);
bool port_buf_put(void *ctx, void *buf, u32 off, const void *src, u32 nblocks,
		  const u32 *seeds, const u32 *crcs);
void port_buf_zero(void *ctx, void *buf, u32 off, u32 len);

/* ---- net.c ---- */
void net_send(struct sim_node *n, const struct mx_tx *tx);
void net_links(struct world *w, u32 mtu);	/* a link for each pair */
void net_cut(struct world *w, u32 groups, bool one_way);	/* bit i: node i on side 1 */
void net_heal(struct world *w);
struct sim_link *net_link(struct world *w, u32 from, u32 to);

/* ---- trace.c ---- */
void trace_dgram(struct world *w, const char *verb, u32 from, u32 to, const u8 *p, u32 len);

#endif
