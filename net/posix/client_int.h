/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What client.c, iobuf.c and wait.c share. */
#ifndef MEMX_NET_POSIX_CLIENT_INT_H
#define MEMX_NET_POSIX_CLIENT_INT_H

#include "net/posix/client.h"
#include "net/posix/net.h"

#define MEMX_SEEDS_MAX	64

struct memx {
	struct mxp_net net;
	struct mx_port port;
	struct mx_client *core;
	void (*log)(void *user, int level, const char *line);
	void *log_user;
	struct mx_addr seeds[MEMX_SEEDS_MAX];
	unsigned nseeds;
	u32 ifindex;			/* announcements are listened for here; 0: nowhere */
	char interface[64];		/* as it was given */
	unsigned calls;			/* of memx_process, to look at idle sockets rarely */
	bool settled;			/* memx_settle() was called */

	/* The blocking helper that is waiting now (wait.c). */
	bool waiting, woken;
	enum mx_status wait_st;
};

/* iobuf.c */
extern const struct mxp_buf_ops memx_buf_ops;
void memx_port_buffers(struct mx_port *p);
/* wait.c */
extern const struct mx_vol_ops memx_vol_ops;	/* user: struct memx */

#endif
