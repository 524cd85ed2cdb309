/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the QEMU series the driver is built for. The driver is
 * written for 10.0; this file is the only place that asks for the version.
 */
#ifndef MEMX_QEMU_COMPAT_H
#define MEMX_QEMU_COMPAT_H

#include "qemu/osdep.h"
#include "block/aio.h"
#include "block/block.h"
#include "block/block_int.h"
#include "block/qdict.h"

/* 10.0 moved QObject's headers from qapi/qmp/ to qobject/ (commit 407bc4bf9027). */
#if __has_include("qobject/qdict.h")
#define MEMX_QEMU_10
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "qemu/defer-call.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qnum.h"
#include "qapi/qmp/qstring.h"
#endif

/* 9.0 dropped is_external (commit 60f782b6b78b): a driver's handlers always ran. */
static inline void memx_set_fd_handler(AioContext *ctx, int fd, IOHandler *read,
				       AioPollFn *poll, IOHandler *poll_ready, void *opaque)
{
#ifdef MEMX_QEMU_10
	aio_set_fd_handler(ctx, fd, read, NULL, poll, poll_ready, opaque);
#else
	aio_set_fd_handler(ctx, fd, false, read, NULL, poll, poll_ready, opaque);
#endif
}

/*
 * Batching: 9.0 replaced the driver's plug callbacks by defer_call(), which runs
 * the function at the end of the caller's batch, or at once outside of one.
 * Before that, the driver counts the plugs itself and memx_defer() is told.
 */
static inline void memx_defer(void (*fn)(void *), void *opaque, unsigned plugged)
{
#ifdef MEMX_QEMU_10
	(void)plugged;
	defer_call(fn, opaque);
#else
	if (!plugged)
		fn(opaque);
#endif
}

/* Names of the callbacks in struct BlockDriver that were renamed: 8.0 let the
 * protocol drivers' open be .bdrv_open (.bdrv_file_open went in 9.0), and made
 * getlength and get_allocated_file_size coroutines. */
#ifdef MEMX_QEMU_10
#define MEMX_BDRV_OPEN			.bdrv_open
#define MEMX_BDRV_GETLENGTH		.bdrv_co_getlength
#define MEMX_BDRV_ALLOCATED_SIZE	.bdrv_co_get_allocated_file_size
#define memx_maybe_coroutine_fn		coroutine_fn
#else
#define MEMX_BDRV_OPEN			.bdrv_file_open
#define MEMX_BDRV_GETLENGTH		.bdrv_getlength
#define MEMX_BDRV_ALLOCATED_SIZE	.bdrv_get_allocated_file_size
#define memx_maybe_coroutine_fn
#endif

#endif
