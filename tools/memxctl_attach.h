/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between memxctl_attach.c and memxctl_boot.c. */
#ifndef MEMX_TOOLS_MEMXCTL_ATTACH_H
#define MEMX_TOOLS_MEMXCTL_ATTACH_H

#include "tools/memxctl.h"
#include "tools/memxctl_kernel.h"

/* memxctl_attach.c */
/* Ends with a sentence if there is no module; with @load it is let be loaded. */
void connect_kernel(bool load);
/* @c says where the pool is, @k the rest but servers, interface and key. The device's name in
 * @device, or another exit code than CTL_OK and a sentence (g_free). */
int attach_volume(struct ctl *c, struct kernel_attach *k, char *device, char **err);
/* The exit code for an -errno of the kernel's. */
int kernel_code(int rc);
void print_attached(const struct ctl *c, const char *volume, const char *device);
/* All that are attached, struct kernel_dev; ends with a sentence on failure. */
GArray *list_kernel(void);

/* memxctl_boot.c: what the table of volumes says, of one or all (NULL) */
int table_attach(struct ctl *c, const char *name, bool wait);
/* One that is named is detached whatever the table says; it is well if it is not attached. */
int table_detach(const char *name);
/* memxctl_down.c */
/* The volume that is attached under this name; NULL: there is none. Ends with a sentence on failure. */
const struct kernel_dev *down_find(const char *volume);
/* Whether a device is used as swap. */
bool down_swaps(const char *device);
/* Gives it back, after swapoff, and says what is wrong; the exit code. While the machine is being
 * switched off file systems are unmounted, too, who has it open is waited for, and a pool that is
 * silent keeps nothing back: then it is detached by force. */
int down_volume(const struct kernel_dev *d);
/* Is this machine being switched off, by systemd? */
bool down_machine_stops(void);
/* Has systemd, if it runs here, do that before the network goes. Says so if it cannot. */
void down_by_systemd(const char *volume);

/* How many arguments are wanted: 0 or 1 after --table, else 1. */
int table_wants(int argc, char **argv);

#endif
