/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys from the kernel's keyrings.
 *
 * A key is of type "logon", which user space can add but not read back, with the
 * description memx:NAME. Its payload is the 32 bytes of a pool's key, or those of
 * a volume's key followed by the volume's name (no final zero).
 *
 *	memxctl key load --key-file /etc/memx/key NAME	adds it
 *	modprobe memx key=memx:NAME ...			uses it
 */
#ifndef MEMX_LINUX_KEY_H
#define MEMX_LINUX_KEY_H

#include "core/ep.h"

#define MXK_KEY_PREFIX	"memx:"
#define MXK_KEY_DESC	"memx:NAME"	/* for messages */

/*
 * Looks for the key @desc in the keyrings of the calling process (thread, process,
 * session or user keyring), as it is now: a key that is changed or revoked later
 * does not change what was read. Sleeps; process context. @k is filled, its
 * kind being MX_KEY_CLUSTER or MX_KEY_VOLUME; the caller wipes it with
 * memzero_explicit() when the core has its copy. On failure it is zeroed, and one of
 *	-EINVAL		@desc is not memx:NAME, or the payload is not a key
 *	-ENOKEY, -EKEYEXPIRED, -EKEYREVOKED, -EACCES, -ENOMEM
 */
int mxk_key_read(const char *desc, struct mx_key *k);
/* What to tell the user of such an error: a clause without a full stop. */
const char *mxk_key_error(int rc);
/* Makes an endpoint use @k, and nothing but sessions by a key. NULL: plain. */
void mxk_key_use(struct mx_ep_conf *c, const struct mx_key *k);

#endif
