/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the core's port that all user-space programs have in common.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "net/posix/net.h"

static void *port_alloc(void *ctx, size_t size)
{
	return calloc(1, size);
}

static void port_free(void *ctx, void *p, size_t size)
{
	free(p);
}

void mxp_random(void *ctx, void *buf, size_t len)
{
	u8 *p = buf;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			abort();	/* no session may do without; it does not happen on Linux */
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void mxp_port_init(struct mx_port *port, void *ctx)
{
	memset(port, 0, sizeof *port);
	port->ctx = ctx;
	port->alloc = port_alloc;
	port->free = port_free;
	port->random = mxp_random;
}
