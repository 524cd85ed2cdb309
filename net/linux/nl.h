/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the modules' generic netlink families share. */
#ifndef MEMX_LINUX_NL_H
#define MEMX_LINUX_NL_H

#include <linux/netlink.h>

/*
 * Says what is wrong with a request: to its sender if @ack is there, else (a module's
 * parameters) in the log. The sentence is cut at 255 bytes. Any context.
 */
__printf(2, 3) void mxk_nl_error(struct netlink_ext_ack *ack, const char *fmt, ...);

#endif
