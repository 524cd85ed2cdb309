/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx.ko's client for other modules: volumes opened in the kernel, and I/O on them by
 * lists of pages. The module's own block devices stand on it.
 *
 *	err = memx_volume_start(&conf, &v);
 *	err = memx_volume_wait_open(v, why, sizeof(why));
 *	...
 *	memx_submit(v, r, false);	->  r->done(r, err)
 *	...
 *	memx_volume_close(v, patience);
 *
 * A volume has an endpoint of its own and takes, when it is started, all the memory
 * that requests need; memx_submit() never sleeps and never waits for memory, so it
 * can serve swap. Requests beyond what it can have under way wait inside.
 *
 * Order and flush. Requests under way together are in no order, but for writes that
 * overlap: they take effect in the order of submission. A write is done when the
 * servers have it; there is no cache in between, so MEMX_FLUSH has nothing to do and
 * only tells whether the volume is still ours.
 *
 * Servers that are silent are waited for: for ever, or conf.fail_after_ms. What
 * must not wait longer is ended by memx_volume_fail().
 */
#ifndef MEMX_CLIENT_H
#define MEMX_CLIENT_H

#include <linux/bvec.h>
#include <linux/types.h>
#include "core/client.h"
#include "net/linux/node.h"

struct bio;
struct memx_volume;
struct memx_copy;

#define MEMX_WHY	400u		/* room for a sentence about an error */
#define MEMX_REQ_BYTES	(128u * 1024)	/* largest READ or WRITE: one part for the core */

struct memx_volume_conf {
	const char *name;		/* the volume's */
	const char *node_name;		/* this client's; NULL: the machine's name */
	const char *ifname;		/* only by this interface, raw:IF by raw Ethernet; NULL or "": any */
	const struct mx_addr *servers;	/* a few are enough */
	u32 nservers;
	const struct mx_key *key;	/* the pool's, or the volume's; NULL: plain */
	bool read_only;
	bool take;			/* from an owner known to be dead */
	u32 fail_after_ms;		/* how long a request waits for silent servers; 0: for ever */
	u32 timeout_ms;			/* for opening; 0: 30 s */
	/*
	 * The size has changed, or the volume is lost (fenced): something to look
	 * at. In process context, not after memx_volume_close() has begun. May be
	 * NULL.
	 */
	void (*event)(void *user);
	void *user;
};

/*
 * Begins to open a volume. Nothing in @c is needed afterwards. Sleeps (memory, and
 * a socket). 0, -EINVAL (name, no servers, or the key of another volume),
 * -ENODEV (no such interface), -ENOMEM, or what the socket had to say; @why has a
 * sentence with cause and remedy then (@len bytes, cut to fit).
 */
int memx_volume_start(const struct memx_volume_conf *c, struct memx_volume **vp, char *why,
		      size_t len);
/*
 * Waits, without signals, until it is open. 0, or an -errno and a sentence: -ENOENT no such volume,
 * -EBUSY in use elsewhere, -EKEYREJECTED, -EHOSTUNREACH nobody answers, -ETIMEDOUT,
 * -ECANCELED by memx_volume_fail(). After an error it must still be closed. Sleeps.
 */
int memx_volume_wait_open(struct memx_volume *v, char *why, size_t len);
/*
 * Ends it and frees @v. No request may be submitted meanwhile; those under way are
 * waited for as long as they take (see memx_volume_fail). Then the volume is
 * released at its servers, for which it waits @patience_ms; if they do not answer,
 * its lease there has to run out. Sleeps.
 */
void memx_volume_close(struct memx_volume *v, u32 patience_ms);
/*
 * From now on every request ends at once with -ECANCELED, those under way too: they
 * have ended when this returns, or their done() is running. Also ends an opening.
 * Nothing is released yet. Any context but hard interrupts.
 */
void memx_volume_fail(struct memx_volume *v);

/* Bytes. Any context. */
u64 memx_volume_size(const struct memx_volume *v);
/* Any context but hard interrupts. */
void memx_volume_stats(struct memx_volume *v, struct mx_vol_stats *st);
/* Requests not yet done. Any context. */
u32 memx_volume_inflight(const struct memx_volume *v);
/* Requests that ended with an error. Any context. */
u64 memx_volume_errors(const struct memx_volume *v);
/* Frames for it that came in buffers of the kernel's emergency reserves. Any context. */
u64 memx_volume_from_reserves(const struct memx_volume *v);
/* How sessions with its servers are sealed, in words ("no cipher" or its name), as far
 * as it is known. */
const char *memx_volume_cipher(struct memx_volume *v);
/* Has it a key? Any context. */
bool memx_volume_sealed(const struct memx_volume *v);
void memx_volume_uuid(struct memx_volume *v, u8 uuid[16]);
/*
 * Makes an open volume larger, or with @shrink smaller: what is beyond the new end is
 * lost. Waits up to 30 s; then -ETIMEDOUT, but it may still happen (see event).
 * Sleeps; one at a time.
 */
int memx_volume_resize(struct memx_volume *v, u64 bytes, bool shrink, char *why, size_t len);

/* ---- requests ---- */

enum memx_op {
	MEMX_READ = MX_REQ_READ,
	MEMX_WRITE = MX_REQ_WRITE,
	MEMX_ZEROES = MX_REQ_ZERO,	/* reads as zeros afterwards; memory may be given back */
	MEMX_DISCARD = MX_REQ_DISCARD,	/* the same */
	MEMX_FLUSH = MX_REQ_FLUSH,
};

/* Where in a request's pages. */
struct memx_cursor {
	const struct bio *bio;
	const struct bio_vec *vec;
	struct bvec_iter iter;		/* what is left of this list */
	u32 at;				/* offset of iter in the request, bytes */
};

/*
 * The submitter's until memx_submit(), and again from done() on. It and the pages must
 * stay until then. Pages may change while a write is under way (the old, the new or
 * a mixture is written then), but that costs: better they do not.
 */
struct memx_request {
	/* set by the submitter */
	enum memx_op op;
	u64 off, len;			/* bytes, multiples of 512; READ, WRITE: MEMX_REQ_BYTES at most */
	/* READ and WRITE: the pages, of len bytes together, by one of the two. Each
	 * piece starts and ends at a multiple of 512 in memory. */
	const struct bio_vec *bvec;	/* a list; from its first byte on */
	const struct bio *bio;		/* if bvec is NULL: linked by bi_next, as in struct
					 * request; their bi_iter says which part */
	/*
	 * Called once, without locks, with softirqs off: from a receive softirq, a
	 * timer, or within somebody's memx_submit(). May submit again. 0, -EIO (what is
	 * there was lost with its server), -ENOSPC, -ETIMEDOUT (fail_after_ms),
	 * -ESTALE (fenced), -EROFS, -EINVAL (range or pieces), -ECANCELED.
	 */
	void (*done)(struct memx_request *r, int err);
	/* the client's */
	struct mx_req core;
	struct mxk_after after;
	struct memx_volume *vol;
	struct memx_copy *copy;		/* NULL: sent from the request's own pages */
	struct memx_cursor cursor;
	u64 since_ns;
	int err;
};

/*
 * Takes a request. @more: another, or memx_flush_submitted(), follows soon; they leave in
 * fewer packets. Any context but hard interrupts; done() may be called before it
 * returns. Several callers at once are in order.
 */
void memx_submit(struct memx_volume *v, struct memx_request *r, bool more);
void memx_flush_submitted(struct memx_volume *v);

#endif
