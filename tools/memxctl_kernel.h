/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel module memx.ko by generic netlink (net/linux/uapi.h).
 *
 * Functions that fail return -errno and put a malloc'ed sentence into *err (g_free).
 */
#ifndef MEMX_TOOLS_MEMXCTL_KERNEL_H
#define MEMX_TOOLS_MEMXCTL_KERNEL_H

#include <glib.h>
#include "core/port.h"
#include "net/linux/uapi.h"

struct kernel_attach {
	const char *volume, *interface, *key;	/* NULL: none; key: memx:NAME, in a keyring of ours */
	char **servers;			/* addresses as numbers, NULL at the end */
	bool read_only, force;
	u32 queues, fail_after_ms, timeout_ms;	/* 0: the module's defaults */
};

struct kernel_dev {
	char volume[64], device[32], interface[32];
	GString *servers;		/* separated by blanks */
	u32 state, openers, inflight, queues, fail_after_ms, epoch;
	u32 servers_all, servers_up, servers_gone;
	u64 size, placed, lost, unknown, reads, writes, read_bytes, write_bytes;
	u64 retransmits, errors, memory;
	bool read_only, sealed, fenced, lease, has_uuid;
	u8 uuid[16];
};

bool kernel_has_module(void);
/* Others below need it first. The kernel is let load the module; ends memxctl with a
 * sentence if it cannot. */
void kernel_connect(void);
/* Waits until it is attached; a signal (SIGINT, SIGTERM) ends it, by -EINTR. The device's
 * name ("memxblk0", 32 bytes) in @device. */
int kernel_attach(const struct kernel_attach *a, char *device, char **err);
/* Sleeps; false: such a signal has come since the first kernel_attach(). */
bool kernel_pause(unsigned seconds);
/* @what, as typed: a device with /dev/ before it (or a link of /dev/memx/by-volume), else a
 * volume, else a device if it is "memxblk" and digits. */
int kernel_detach(const char *what, bool force, char **err);
int kernel_detach_volume(const char *name, bool force, char **err);
int kernel_resize(const char *what, u64 bytes, bool shrink, char **err);
/* All that are attached, by device: GArray of struct kernel_dev. NULL: -errno in *rc. */
GArray *kernel_list(int *rc, char **err);

#endif
