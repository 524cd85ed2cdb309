/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for the config-host.h that QEMU's build generates, so that a
 * driver for Debian's binary QEMU compiles without configuring QEMU.
 *
 * Only what QEMU's headers under include/ ask for is set, to what Debian's
 * amd64 packages of 7.2 and 10.0 were configured with. What changes the
 * layout of a struct that the driver shares with QEMU (CONFIG_LINUX,
 * CONFIG_POSIX and CONFIG_LINUX_IO_URING do; CONFIG_DEBUG_MUTEX, which is
 * off, would) matters most.
 */
#ifndef MEMX_STOCK_CONFIG_HOST_H
#define MEMX_STOCK_CONFIG_HOST_H

#ifndef __x86_64__
#error "only x86_64 has been looked into: see the layout remark above"
#endif

#define CONFIG_ATOMIC64
#define CONFIG_BYTESWAP_H
#define CONFIG_CPUID_H
#define CONFIG_EPOLL
#define CONFIG_INT128
#define CONFIG_IOVEC
#define CONFIG_LINUX
#define CONFIG_LINUX_AIO
#define CONFIG_LINUX_IO_URING
#define CONFIG_MADVISE
#define CONFIG_MEMBARRIER
#define CONFIG_MEMFD
#define CONFIG_POSIX
#define CONFIG_POSIX_MADVISE
#define CONFIG_TCG
#define HAVE_STRCHRNUL
#define HAVE_SYSTEM_FUNCTION 1
#define HOST_X86_64

#endif
