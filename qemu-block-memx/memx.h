/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the memx block driver: one struct per node, and waiting for the
 * client library from coroutines.
 *
 * memx.c is the table of callbacks, memx-wait.c how they meet the library,
 * memx-create.c how volumes are made.
 */
#ifndef MEMX_QEMU_H
#define MEMX_QEMU_H

#include "memx-compat.h"
#include "qemu/coroutine.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "net/posix/client.h"
#include "memx-options.h"

/* In the system emulators only; the tools do not have it. */
extern void qemu_register_shutdown_notifier(Notifier *notifier) __attribute__((weak));

#define MEMX_FDS_MAX	4	/* as memx_fds() */

/*
 * What may be done with the node. One setter: memx_set_state().
 *
 *   INFO -> (nothing)		opened for its size alone (BDRV_O_NO_IO)
 *   STANDBY -> ACTIVE, LOST	somebody else runs the guest (BDRV_O_INACTIVE)
 *   ACTIVE -> STANDBY		->vol is open; the only state with a volume
 *   LOST -> ACTIVE, STANDBY	should be active, but the volume could not be had:
 *				requests try to open it again
 */
typedef enum MemxState {
	MEMX_INFO,
	MEMX_STANDBY,
	MEMX_ACTIVE,
	MEMX_LOST,
} MemxState;

typedef struct MemxWait MemxWait;

typedef struct BDRVMemxState {
	BlockDriverState *bs;
	MemxOptions *opts;

	/*
	 * Protects what follows, and ->client, which takes one caller at a time.
	 * Held for short: never while a coroutine is entered or yields, for that
	 * coroutine may want the lock. Innermost lock.
	 */
	QemuMutex lock;
	struct memx *client;
	struct mx_vol *vol;
	bool vol_read_only;	/* how ->vol was opened */
	MemxState state;
	uint64_t size;		/* while there is no ->vol */
	QSIMPLEQ_HEAD(, MemxWait) completed;	/* to be woken once the lock is dropped */
	MemxWait *opening, *closing;	/* who waits for ->vol's callbacks */
	unsigned inflight;	/* requests and questions for status not completed */
	mx_ns armed;		/* when ->timer goes off */
	QEMUTimer *timer;	/* NULL while in no AioContext */
	mx_ns give_up_at;	/* the process ends: from then on nothing waits any more */
	bool given_up;

	/* Home thread: the one that runs the node's AioContext. */
	AioContext *ctx;
	QEMUBH *flush_bh, *spin_bh;
	int fds[MEMX_FDS_MAX];
	unsigned nfds;
	unsigned plugged;	/* 7.2 only: see memx_defer() */
	unsigned waking;	/* depth of memx_wake_completed() */
	bool flush_waits;	/* ->flush_bh is scheduled */

	/* One opening, and one change of size, at a time. */
	CoMutex open_lock;
	CoMutex resize_lock;
	int64_t tried_open_ns;
	bool was_active;	/* has been the volume's owner: a migration's source */

	/* Home thread: spinning for answers (memx-wait.c). */
	bool may_spin;		/* this thread can spare the time */
	bool spinning;		/* in spin_bh() */
	bool spin_wanted;	/* by the requests of this row */
	unsigned requests;	/* reads and writes so far */
	int64_t took_ns[2];	/* they took on average: [slept], [spun]; 0: unknown */

	Notifier shutdown;
} BDRVMemxState;

/* Somebody who waits for one completion. On the waiter's stack. */
struct MemxWait {
	BDRVMemxState *s;
	Coroutine *co;		/* set (under the lock) when it is about to yield */
	bool done;
	enum mx_status status;
	char *error;		/* a sentence, or NULL; owned */
	QSIMPLEQ_ENTRY(MemxWait) next;
};

/* memx.c: a client that has heard of a server. */
struct memx *memx_client_new(const MemxOptions *o, Error **errp);

/* memx-create.c */
extern QemuOptsList memx_create_opts;
int coroutine_fn memx_co_create_opts(BlockDriver *drv, const char *filename, QemuOpts *opts,
				     Error **errp);
#ifdef CONFIG_MEMX
int coroutine_fn memx_co_create(BlockdevCreateOptions *options, Error **errp);
#endif

static inline void memx_wait_init(MemxWait *w, BDRVMemxState *s)
{
	*w = (MemxWait) { .s = s };
}

/* From the library's callbacks, lock held. */
void memx_wait_finish(MemxWait *w, enum mx_status status, const char *error);
/* Lock not held. Sends what was submitted, or leaves that to a batch's end. */
void memx_kick(BDRVMemxState *s);
/* Lock not held. The caller has submitted what ends by memx_wait_finish(). */
void coroutine_fn memx_co_wait(MemxWait *w, bool may_spin);
/* The same outside of a coroutine: polls the client's own sockets. */
void memx_block_wait(MemxWait *w);

/* Lock not held. Ends what still waits for servers then, with an error. */
void memx_give_up_at(BDRVMemxState *s, mx_ns at);
/* Lock not held. Ends what is under way with an error, but nothing that comes later. */
void memx_cancel_in_flight(BDRVMemxState *s);

void memx_attach(BDRVMemxState *s, AioContext *ctx);
void memx_detach(BDRVMemxState *s);
void memx_unplug(BDRVMemxState *s);

#endif
