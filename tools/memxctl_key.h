/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys for the kernel modules, in the kernel's keyrings (net/linux/key.h). */
#ifndef MEMX_TOOLS_MEMXCTL_KEY_H
#define MEMX_TOOLS_MEMXCTL_KEY_H

#include "core/ep.h"

#define KERNEL_KEY_DESC	(sizeof "memx:" + 64)

/*
 * Adds @k as the logon key memx:@name to the keyring @ring (KEY_SPEC_*_KEYRING of
 * linux/keyctl.h), in place of one of that name that is there, and writes its
 * description to @desc (KERNEL_KEY_DESC bytes). With KEY_SPEC_PROCESS_KEYRING it goes
 * with this process, whose requests to a module can use it.
 * Returns the key's serial number, or -errno (-EINVAL: @name is empty or too long).
 */
long kernel_key_add(const struct mx_key *k, const char *name, int ring, char *desc);

#endif
