/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memx client library in QEMU's event loops.
 *
 * The library is event driven and wants one caller at a time. Its sockets and
 * its deadline are watched by the node's AioContext, whose thread is called home
 * here; requests may come from any thread. A completion only takes note of who
 * is to be woken: waking can enter a coroutine, which may submit its next
 * request, so it is done after the lock was dropped.
 *
 * Requests submitted by coroutines that were just woken are sent together, as
 * are those between plug and unplug: a system call is most of a request's cost
 * when many are under way.
 */
#include "memx-compat.h"
#include <poll.h>
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "memx.h"

/* A blocking wait looks again after this long: another thread may have
 * received the completion. */
#define BLOCK_WAIT_MS_MAX	10

/* So many requests in a row are waited for in one way, and one such row of so many
 * in the way that looks worse, to see whether it still is. */
#define SPIN_ROW		256
#define SPIN_ROWS		16

/* After so long the event loop gets a turn, whatever comes of spinning. */
#define SPIN_TURN_NS		100000

void memx_wait_finish(MemxWait *w, enum mx_status status, const char *error)
{
	w->status = status;
	if (error)
		w->error = g_strdup(error);
	/* Once done is set, a waiter that spins may return, and *w is gone. One
	 * that sleeps is told when it is taken off the list. */
	if (w->co)
		QSIMPLEQ_INSERT_TAIL(&w->s->completed, w, next);
	else
		qatomic_store_release(&w->done, true);
}

/* QEMU's clock stands still while the host is suspended, the client's does not: so it is
 * looked at every second. */
static int64_t on_qemu_clock(mx_ns at)
{
	mx_ns now = memx_now(), left = at > now ? MIN(at - now, MX_SEC) : 0;

	return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + (int64_t)left;
}

/* Lock held. An earlier alarm stays as it is: it finds nothing to do and comes back
 * to rearm(). Deadlines move with each request, and moving a timer is not free. */
static void alarm_at(BDRVMemxState *s, mx_ns deadline)
{
	if (s->timer && deadline < s->armed) {
		s->armed = deadline;
		timer_mod_ns(s->timer, on_qemu_clock(deadline));
	}
}

/* Lock held. Sees to it that the client is called at its deadline. */
static void rearm(BDRVMemxState *s)
{
	alarm_at(s, MIN(memx_deadline(s->client), s->give_up_at));
}

static void flush(void *opaque)
{
	BDRVMemxState *s = opaque;

	QEMU_LOCK_GUARD(&s->lock);
	memx_flush(s->client);
	rearm(s);
}

void memx_kick(BDRVMemxState *s)
{
	if (s->waking && qemu_get_current_aio_context() == s->ctx) {
		/* The bottom half is for a nested event loop, which would otherwise
		 * wait for an answer to what nobody has sent. */
		if (!s->flush_waits) {
			s->flush_waits = true;
			qemu_bh_schedule(s->flush_bh);
		}
		return;
	}
	memx_defer(flush, s, s->plugged);
}

void memx_unplug(BDRVMemxState *s)
{
	if (--s->plugged == 0)
		flush(s);
}

static Coroutine *pop_completed(BDRVMemxState *s)
{
	Coroutine *co = NULL;
	MemxWait *w;

	QEMU_LOCK_GUARD(&s->lock);
	w = QSIMPLEQ_FIRST(&s->completed);
	if (w) {
		QSIMPLEQ_REMOVE_HEAD(&s->completed, next);
		co = w->co;
		qatomic_store_release(&w->done, true);
	}
	return co;
}

/* One at a time off the common list, so that a nested event loop may go on with
 * the rest. */
static void wake_completed(BDRVMemxState *s)
{
	Coroutine *co;

	while ((co = pop_completed(s)))
		aio_co_wake(co);
}

static void flush_bh(void *opaque)
{
	BDRVMemxState *s = opaque;

	s->flush_waits = false;
	flush(s);
}

/* Lock held. memx_process() completes them, and the home thread wakes who waits. */
static void end_waiting(BDRVMemxState *s, enum mx_status status, const char *why)
{
	if (!s->vol || !s->inflight)
		return;
	warn_report("memx: volume '%s': giving up %u requests that wait for servers, %s",
		    s->opts->volume, s->inflight, why);
	mx_vol_abort(s->vol, status, memx_now());
}

/* Lock held. */
static void give_up(BDRVMemxState *s)
{
	s->give_up_at = MX_NEVER;
	s->given_up = true;
	end_waiting(s, MX_ST_TIMEOUT, "to exit");
}

void memx_give_up_at(BDRVMemxState *s, mx_ns at)
{
	QEMU_LOCK_GUARD(&s->lock);
	s->give_up_at = at;
	rearm(s);
}

void memx_cancel_in_flight(BDRVMemxState *s)
{
	QEMU_LOCK_GUARD(&s->lock);
	end_waiting(s, MX_ST_CANCELLED, "as their job is cancelled");
	alarm_at(s, memx_now());
}

/* Home thread, after memx_process(): wakes whom it answered, and sends what those
 * submit in return. */
static void answer(BDRVMemxState *s)
{
	s->waking++;
	wake_completed(s);
	s->waking--;
	/* While spinning it stays scheduled, to find nothing to do in the end: QEMU's
	 * main loop makes a system call for each one that another schedules. */
	if (s->flush_waits && !s->waking && !s->spinning) {
		s->flush_waits = false;
		qemu_bh_cancel(s->flush_bh);
	}
	flush(s);
}

/* Home thread: something came in, or the deadline is reached. */
static void run(BDRVMemxState *s)
{
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		if (s->give_up_at != MX_NEVER && memx_now() >= s->give_up_at)
			give_up(s);
		memx_process(s->client);
	}
	answer(s);
}

static void on_readable(void *opaque)
{
	run(opaque);
}

static bool on_poll(void *opaque)
{
	BDRVMemxState *s = opaque;

	return memx_readable(s->client);
}

static void on_timer(void *opaque)
{
	BDRVMemxState *s = opaque;

	WITH_QEMU_LOCK_GUARD(&s->lock) {
		s->armed = MX_NEVER;
	}
	run(s);
}

/*
 * Spins for answers before the event loop sleeps: at depth 1 the two wake-ups cost
 * more than the exchange itself, with more requests under way still a fifth. This is
 * done beside the coroutines, not in them: what waits is then completed from here,
 * the next request is submitted from within that completion, and its answer is spun
 * for in the same turn, with no pass of the event loop in between.
 */
static void spin_bh(void *opaque)
{
	BDRVMemxState *s = opaque;
	AioContext *ctx = s->ctx;
	int64_t most = (int64_t)s->opts->poll_us * 1000;
	int64_t now = memx_now(), end = now + most, turn = now + SPIN_TURN_NS;
	bool more;

	if (s->spinning)	/* this is a nested event loop */
		return;
	s->spinning = true;
	do {
		unsigned got;

		WITH_QEMU_LOCK_GUARD(&s->lock) {
			got = memx_process(s->client);
		}
		if (got)
			answer(s);
		now = memx_now();
		if (got)
			end = now + most;
		more = s->ctx == ctx && s->spin_wanted && qatomic_read(&s->inflight);
	} while (more && now < end && now < turn);
	s->spinning = false;
	if (more && now < end)
		qemu_bh_schedule(s->spin_bh);
	if (s->ctx != ctx)
		return;

	QEMU_LOCK_GUARD(&s->lock);
	rearm(s);
}

/*
 * Spinning is worth it where the server runs on another CPU and answers soon. With
 * too few CPUs for both it only keeps the server from running; with a server far
 * away it is in vain. So what counts is how long requests take in either way.
 */
static void choose_spin(BDRVMemxState *s)
{
	int64_t spun = s->took_ns[true], slept = s->took_ns[false];
	unsigned row = s->requests / SPIN_ROW;

	if (s->requests++ % SPIN_ROW)
		return;
	if (!spun || !slept)
		s->spin_wanted = row % 2 == 0;
	else
		s->spin_wanted = (spun + spun / 16 < slept) != (row % SPIN_ROWS == 0);
}

static void note_took(BDRVMemxState *s, bool spun, int64_t ns)
{
	int64_t *took = &s->took_ns[spun];

	/* Not more than so much for one that was disturbed or lost. */
	ns = MIN(ns, 64000 * (int64_t)s->opts->poll_us);
	*took = *took ? *took + (ns - *took) / 16 : ns;
}

void coroutine_fn memx_co_wait(MemxWait *w, bool may_spin)
{
	BDRVMemxState *s = w->s;
	bool home = may_spin && s->may_spin && qemu_get_current_aio_context() == s->ctx;
	bool done, spin = false;
	int64_t start = 0;

	/* Requests of other threads are left to the home thread's event loop. */
	if (home) {
		choose_spin(s);
		spin = s->spin_wanted;
		if (spin && !s->spinning)
			qemu_bh_schedule(s->spin_bh);
		if (s->requests % 4 == 0)	/* telling the time is not free */
			start = memx_now();
	}
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		done = w->done;
		if (!done)
			w->co = qemu_coroutine_self();
	}
	while (!done) {
		qemu_coroutine_yield();
		done = qatomic_load_acquire(&w->done);
	}
	if (start)
		note_took(s, spin, memx_now() - start);
}

void memx_attach(BDRVMemxState *s, AioContext *ctx)
{
	unsigned i;

	s->ctx = ctx;
	s->flush_waits = false;
	/* The main loop of an emulator holds the big lock while it spins, which vCPUs
	 * want; while it sleeps it does not. */
	s->may_spin = s->opts->poll_us &&
		      !(qemu_register_shutdown_notifier && ctx == qemu_get_aio_context());
	s->flush_bh = aio_bh_new(ctx, flush_bh, s);
	s->spin_bh = aio_bh_new(ctx, spin_bh, s);
	s->nfds = memx_fds(s->client, s->fds);
	assert(s->nfds <= MEMX_FDS_MAX);
	for (i = 0; i < s->nfds; i++)
		memx_set_fd_handler(ctx, s->fds[i], on_readable, on_poll, on_readable, s);

	QEMU_LOCK_GUARD(&s->lock);
	s->armed = MX_NEVER;
	s->timer = aio_timer_new(ctx, QEMU_CLOCK_REALTIME, SCALE_NS, on_timer, s);
	rearm(s);
}

void memx_detach(BDRVMemxState *s)
{
	unsigned i;

	for (i = 0; i < s->nfds; i++)
		memx_set_fd_handler(s->ctx, s->fds[i], NULL, NULL, NULL, NULL);
	qemu_bh_delete(s->flush_bh);
	qemu_bh_delete(s->spin_bh);
	s->flush_bh = s->spin_bh = NULL;
	s->ctx = NULL;

	QEMU_LOCK_GUARD(&s->lock);
	timer_free(s->timer);
	s->timer = NULL;
}

void memx_block_wait(MemxWait *w)
{
	BDRVMemxState *s = w->s;
	struct pollfd fds[MEMX_FDS_MAX];
	int numbers[MEMX_FDS_MAX];
	unsigned i, n;

	n = memx_fds(s->client, numbers);
	for (i = 0; i < n; i++)
		fds[i] = (struct pollfd) { .fd = numbers[i], .events = POLLIN };

	while (!qatomic_load_acquire(&w->done)) {
		mx_ns now = memx_now(), deadline;
		int ms = BLOCK_WAIT_MS_MAX;

		WITH_QEMU_LOCK_GUARD(&s->lock) {
			memx_process(s->client);
			memx_flush(s->client);
			deadline = memx_deadline(s->client);
		}
		wake_completed(s);
		if (qatomic_load_acquire(&w->done))
			break;
		if (deadline < now + BLOCK_WAIT_MS_MAX * MX_MS)
			ms = deadline > now ? (deadline - now + MX_MS - 1) / MX_MS : 0;
		poll(fds, n, ms);
	}
}
