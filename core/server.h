/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Server: a store and a holder of descriptors behind an endpoint.
 *
 * The data path (READ, WRITE, ZERO, BLKSTAT) is in serve.c, descriptors, votes
 * and leases in holder.c, what holders do while no client is attached (replace a
 * lost holder, finish deletions) in caretaker.c on top of core/claim.h.
 */
#ifndef MEMX_CORE_SERVER_H
#define MEMX_CORE_SERVER_H

#include "ep.h"
#include "store.h"
#include "desc.h"

struct mx_server;
struct mx_server_conf {
	struct mx_ep_conf ep;		/* accept is set by the server */
	struct mx_store_conf store;
	u32 volumes_max;		/* descriptors held; default 4096 */
	mx_ns caretaker_after;		/* a holder gone or silent this long is replaced; default 60 s */
	u32 jobs;			/* replies that can wait to be sent; default 4096, and one
					 * for each 512 KiB of a small server */
};
struct mx_server *mx_server_new(const struct mx_port *port, const struct mx_server_conf *c, mx_ns now);
void mx_server_free(struct mx_server *s);
struct mx_ep *mx_server_ep(struct mx_server *s);	/* drive this: rx, step, tx, deadline */
struct mx_store *mx_server_store(struct mx_server *s);
/* As mx_store_set_ceiling(); who asks from now on is told of the room there is. */
void mx_server_set_ceiling(struct mx_server *s, u64 bytes);
/* Load figure 0..1000 as the surrounding measures it; announced. */
void mx_server_set_load(struct mx_server *s, u32 load);
/* Asked to stop: takes no new extents, announces LEAVING; what it holds it serves. */
void mx_server_leave(struct mx_server *s, mx_ns now);
/* True if replies are waiting to be sent: the surrounding should mx_ep_tx before
 * the next mx_ep_rx, or requests will be dropped (and repeated by clients). */
bool mx_server_jobs_low(const struct mx_server *s);
struct mx_server_stats {
	u64 reads, writes, zeros, blkstats, calls;
	u64 read_bytes, write_bytes;
	u64 busy, full, fenced, need_seal, bad_crc, dropped_jobs;
	u64 shed;			/* extents that owners were asked to move away */
	u32 held, owned;		/* descriptors held; of them with a live lease */
};
void mx_server_stats(const struct mx_server *s, struct mx_server_stats *out, mx_ns now);
/* Lines "key value\n" of the surrounding's own in STATS. Not copied; NULL: none. */
void mx_server_set_extra(struct mx_server *s, const char *text);
/* For the log and memxctl: what would be lost if it stopped now. */
void mx_server_only_copies(const struct mx_server *s, u64 *volumes, u64 *extents, u64 *bytes);

#endif
