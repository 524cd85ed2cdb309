/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The servers a client was told of: whether they take it. */
#ifndef MEMX_LINUX_SEED_H
#define MEMX_LINUX_SEED_H

#include "net/linux/node.h"

#define MXK_SEEDS_MAX	16u

struct mxk_seeds {
	struct mx_peer *peer[MXK_SEEDS_MAX];
	u32 n;
	mx_ns refused_at;		/* 0: not yet */
};

/* Makes the endpoint ask @a, and connects to it, so that its refusal is noticed.
 * Under the lock, or before mxk_start(). -ENOMEM, -E2BIG. */
int mxk_seed_add(struct mxk_seeds *s, struct mx_ep *ep, const struct mx_addr *a, mx_ns now);
/*
 * MX_OK: one answers, or may still. Else why no server takes this node (MX_ST_BAD_KEY,
 * MX_ST_NO_KEY, MX_ST_BAD_VERSION ...), and which one said so in @who: to be asked
 * every now and then while a volume is being opened. Under the lock.
 */
enum mx_status mxk_seeds_refused(struct mxk_seeds *s, mx_ns now, struct mx_addr *who);
/* How what goes to them is sealed, in words for the log. Under the lock. */
const char *mxk_seeds_cipher(const struct mxk_seeds *s);
/* A sentence for the log on such a refusal. */
const char *mxk_refusal(enum mx_status st);
/* Lets go of the peers. Under the lock, before the client is freed. */
void mxk_seeds_put(struct mxk_seeds *s);

#endif
