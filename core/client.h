/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Client: volumes as block devices over an endpoint.
 *
 * mx_client is the endpoint and its members; mx_vol an open volume with its
 * page map. Requests of any size and 512-byte alignment are split at extent
 * bounds and at MX_IO_BLOCKS_MAX; parts overlapping a write under way wait for
 * it. All memory a request needs is set up when the volume is opened
 * (struct mx_vol_conf.ios); when it is used up, further requests wait in a queue.
 */
#ifndef MEMX_CORE_CLIENT_H
#define MEMX_CORE_CLIENT_H

#include "ep.h"
#include "desc.h"

struct mx_client;
struct mx_vol;

struct mx_client_conf {
	struct mx_ep_conf ep;
	u32 rx_bytes_max;	/* cap on bytes asked for and not yet received, all servers together:
				 * what the receive buffer holds; default 1 MiB */
};
struct mx_client *mx_client_new(const struct mx_port *port, const struct mx_client_conf *c, mx_ns now);
void mx_client_free(struct mx_client *c);	/* volumes must be closed */
struct mx_ep *mx_client_ep(struct mx_client *c);

/* ---- requests ---- */
enum mx_req_op { MX_REQ_READ, MX_REQ_WRITE, MX_REQ_ZERO, MX_REQ_DISCARD, MX_REQ_FLUSH };
enum { MX_REQ_STABLE = 1 };	/* the buffer cannot change while the request is under way */
struct mx_req {
	/* set by the submitter */
	u8 op;
	u8 flags;
	u64 off;		/* bytes, multiple of 512 */
	u64 len;		/* bytes, multiple of 512; READ and WRITE below 2 GiB */
	void *buf;		/* port buffer */
	void (*done)(struct mx_req *r, enum mx_status st);
	/* the core's */
	struct mx_list node;
	enum mx_status st;
	u32 parts;		/* under way */
	u64 next_off;		/* first byte not yet split off */
	mx_ns born;
	bool local;		/* the map alone has answered some of it */
	struct mx_vol *vol;
};
/* done() is called exactly once, maybe from inside mx_ep_rx/step, never from
 * inside submit. After done() no packet refers to the buffer. Errors: LOST,
 * TIMEOUT, NO_SPACE, FENCED, READ_ONLY, INVALID (range), CANCELLED. */
void mx_vol_submit(struct mx_vol *v, struct mx_req *r, mx_ns now);
/* Ends every request under way with @st (a forced detach). */
void mx_vol_abort(struct mx_vol *v, enum mx_status st, mx_ns now);

/* Block status for [off, ...): kind of the first run and its length in bytes
 * (at most to the extent's end; holes that no server holds may run on over
 * many extents). Asynchronous. */
struct mx_blkstat_req {
	u64 off;
	u8 kind;		/* out: MX_PAGE_DATA, ZERO, HOLE, LOST */
	u64 run;		/* out: bytes */
	void (*done)(struct mx_blkstat_req *r, enum mx_status st);
	struct mx_list node;
	struct mx_vol *vol;
	u32 tag; mx_ns sent, due, rto; u8 attempt; u32 extent;
	struct mx_txm txm; struct mx_peer *peer;
};
void mx_vol_blkstat(struct mx_vol *v, struct mx_blkstat_req *r, mx_ns now);

/* ---- volumes ---- */
struct mx_vol_conf {
	bool read_only;
	bool force;		/* take over from an owner known to be dead */
	bool wait_owner;	/* wait for a lease to end, but refuse (OWNED) once it is renewed: an
				 * owner that died is waited out, a live one named; false: refuse at once */
	mx_ns lease;		/* default 10 s */
	mx_ns fail_after;	/* 0: wait for ever for silent servers; else TIMEOUT after this */
	mx_ns open_timeout;	/* default 30 s; 0: for ever */
	mx_ns rebuild_wait;	/* how long open waits for silent enrolled servers; default 3 s */
	u32 ios;		/* parts under way at once; default 512 */
	u32 enroll_max;		/* servers enrolled at once; default 16 */
};
struct mx_vol_ops {
	void (*opened)(void *user, enum mx_status st, mx_ns now);
	void (*closed)(void *user, mx_ns now);
	/* Something an operator should see: fenced, extents lost, server back. May be NULL. */
	void (*event)(void *user, const char *line, mx_ns now);
};
/* opened() follows. On failure mx_vol_error() has a sentence (cause and remedy),
 * and the volume must still be freed with mx_vol_free. */
struct mx_vol *mx_vol_open(struct mx_client *c, const char *name, const struct mx_vol_conf *conf,
			   const struct mx_vol_ops *ops, void *user, mx_ns now);
const char *mx_vol_error(const struct mx_vol *v);
/* Waits for requests, releases ownership, then closed(). */
void mx_vol_close(struct mx_vol *v, mx_ns now);
void mx_vol_free(struct mx_vol *v);
u64 mx_vol_size(const struct mx_vol *v);
const struct mx_desc *mx_vol_desc(const struct mx_vol *v);
/* Grow or shrink by the owner; shrinking discards first. done via op. */
struct mx_vol_op {		/* an asynchronous operation without data */
	void (*done)(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now);
	void *user;
	void *priv;
};
void mx_vol_resize(struct mx_vol *v, u64 size, struct mx_vol_op *o, mx_ns now);
/* Moves one extent to another server (0: chosen). */
void mx_vol_move(struct mx_vol *v, u32 extent, u64 to_server, struct mx_vol_op *o, mx_ns now);

enum mx_ext_state {
	MX_EXT_HOLE,		/* no server holds it; reads are zeros */
	MX_EXT_PLACED,
	MX_EXT_LOST,		/* was placed, its server's incarnation is over */
	MX_EXT_UNKNOWN,		/* was placed; a silent server may hold it */
};
struct mx_vol_stats {
	u64 extents[4];		/* by enum mx_ext_state */
	u64 reads, writes, zeros, read_bytes, write_bytes, retransmits, moves;
	u64 map_bytes;
	u32 servers, servers_up, servers_gone;
	u32 inflight, waiting;
	u32 epoch;
	bool fenced, lease_ok;
};
void mx_vol_stats(const struct mx_vol *v, struct mx_vol_stats *out, mx_ns now);
/* Where an extent is: state, server id, generation (for tools and tests). */
enum mx_ext_state mx_vol_extent(const struct mx_vol *v, u32 extent, u64 *server, u32 *gen);

/* ---- operations on volumes by name, without opening them for data ---- */
/* Each ends by o->done with a sentence in err on failure. */
void mx_client_create(struct mx_client *c, const char *name, u64 size, u64 op_id,
		      struct mx_vol_op *o, mx_ns now);
/* @uuid of delete and recover: which one, where two have the name (NAME_CLASH); else NULL. */
void mx_client_delete(struct mx_client *c, const char *name, const u8 *uuid, bool force,
		      struct mx_vol_op *o, mx_ns now);
void mx_client_resize(struct mx_client *c, const char *name, u64 size, bool shrink_ok,
		      struct mx_vol_op *o, mx_ns now);
/* Goes on with what is left after the majority of holders is gone, from
 * surviving holders and the copies kept by enrolled servers. */
void mx_client_recover(struct mx_client *c, const char *name, const u8 *uuid, struct mx_vol_op *o, mx_ns now);
/* info: done with priv = struct mx_hstate * (valid during the call). */
void mx_client_info(struct mx_client *c, const char *name, struct mx_vol_op *o, mx_ns now);
/* list: entry() for each volume once (merged over servers), then done. */
void mx_client_list(struct mx_client *c, void (*entry)(void *user, const struct mx_list_entry *e),
		    struct mx_vol_op *o, mx_ns now);
/* raw STATS text of one server */
void mx_client_server_stats(struct mx_client *c, u64 server_id,
			    void (*text)(void *user, const char *text, u32 len),
			    struct mx_vol_op *o, mx_ns now);

#endif
