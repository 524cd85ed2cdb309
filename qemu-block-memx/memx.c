/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block driver for MemX volumes: disks in the memory of a pool of servers.
 *
 * A thin layer over the client library (net/posix/client.h): this file says what
 * each of QEMU's callbacks means for a volume, memx-wait.c how a coroutine waits
 * for the library, memx-options.c what the options are, memx-create.c how a volume
 * is made.
 *
 * Ownership. A volume has one owner, the client that may read or write it: one
 * that only reads owns it as well. A node takes it when it is opened, unless the
 * guest runs elsewhere (BDRV_O_INACTIVE): then with .bdrv_co_invalidate_cache,
 * and gives it back with .bdrv_inactivate. QEMU does not keep two processes from
 * both being told to activate: the servers do, by the epoch that is taken with
 * the ownership.
 */
#include "memx-compat.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "memx.h"

/* How long a first answer from any server is waited for. Less than a volume's
 * open may take: with no server at all there is nothing to hope for. */
#define MEMX_FIRST_ANSWER_S	10

/* While the volume cannot be had, requests try to open it this often at most. */
#define MEMX_REOPEN_NS		(1 * NANOSECONDS_PER_SECOND)

/* When the process is about to exit, requests that wait for silent servers are
 * given up after this: a policy of waiting for ever must not outlive the guest. */
#define MEMX_EXIT_GRACE		(5 * MX_SEC)

/* A request on its coroutine's stack. */
typedef struct MemxRequest {
	MemxWait wait;
	struct memx_req req;
} MemxRequest;

typedef struct MemxOp {
	MemxWait wait;
	struct mx_vol_op op;
	uint64_t size;		/* of info */
} MemxOp;

typedef struct MemxStatusRequest {
	MemxWait wait;
	struct mx_blkstat_req req;
} MemxStatusRequest;

/* Lock held. The one place that changes ->state; edges: see memx.h. */
static void memx_set_state(BDRVMemxState *s, MemxState state)
{
	switch (state) {
	case MEMX_ACTIVE:
		assert(s->state != MEMX_INFO && s->vol);
		s->was_active = true;
		break;
	case MEMX_STANDBY:
		assert(s->state != MEMX_INFO && !s->vol);
		break;
	case MEMX_LOST:
		assert(s->state == MEMX_STANDBY && !s->vol);
		break;
	case MEMX_INFO:
		g_assert_not_reached();
	}
	s->state = state;
}

static int memx_errno(enum mx_status status)
{
	return status == MX_OK ? 0 : -mx_status_errno(status);
}

/* ---- from the library; the lock is held ---- */

static void memx_request_done(struct mx_req *core, enum mx_status status)
{
	MemxRequest *r = container_of(core, MemxRequest, req.core);

	r->wait.s->inflight--;
	memx_wait_finish(&r->wait, status, NULL);
}

static void memx_op_done(struct mx_vol_op *op, enum mx_status status, const char *error, mx_ns now)
{
	MemxOp *o = container_of(op, MemxOp, op);

	memx_wait_finish(&o->wait, status, error);
}

static void memx_info_done(struct mx_vol_op *op, enum mx_status status, const char *error,
			   mx_ns now)
{
	MemxOp *o = container_of(op, MemxOp, op);
	const struct mx_hstate *found = op->priv;

	if (status == MX_OK)
		o->size = found->desc->size;
	memx_wait_finish(&o->wait, status, error);
}

static void memx_status_done(struct mx_blkstat_req *core, enum mx_status status)
{
	MemxStatusRequest *r = container_of(core, MemxStatusRequest, req);

	r->wait.s->inflight--;
	memx_wait_finish(&r->wait, status, NULL);
}

static void memx_vol_opened(void *user, enum mx_status status, mx_ns now)
{
	BDRVMemxState *s = user;
	MemxWait *w = s->opening;

	s->opening = NULL;
	memx_wait_finish(w, status, status == MX_OK ? NULL : mx_vol_error(s->vol));
}

static void memx_vol_closed(void *user, mx_ns now)
{
	BDRVMemxState *s = user;
	MemxWait *w = s->closing;

	s->closing = NULL;
	memx_wait_finish(w, MX_OK, NULL);
}

static void memx_vol_event(void *user, const char *line, mx_ns now)
{
	BDRVMemxState *s = user;

	warn_report("memx: volume '%s': %s", s->opts->volume, line);
}

static const struct mx_vol_ops memx_vol_ops = {
	.opened = memx_vol_opened,
	.closed = memx_vol_closed,
	.event = memx_vol_event,
};

/* ---- opening and closing the volume ---- */

struct memx *memx_client_new(const MemxOptions *o, Error **errp)
{
	Error *local_err = NULL;
	g_autofree char *key = memx_options_key_hex(o, &local_err);
	struct memx_opts opts = {
		.servers = (const char *const *)o->servers,
		.interface = o->interface,
		.key_file = o->key_file,
		.key_hex = key,
		.poll_us = o->poll_us,
	};
	unsigned first_s = MEMX_FIRST_ANSWER_S;
	struct memx *client;
	char *err = NULL;

	if (local_err) {
		error_propagate(errp, local_err);
		return NULL;
	}
	client = memx_new(&opts, &err);
	if (key)
		memset(key, 0, strlen(key));
	if (!client) {
		error_setg(errp, "memx: %s", err);
		free(err);
		return NULL;
	}
	if (o->open_timeout_s)
		first_s = MIN(first_s, o->open_timeout_s);
	if (memx_wait_servers(client, first_s * MX_SEC, &err) < 0) {
		error_setg(errp, "memx: %s", err);
		free(err);
		memx_free(client);
		return NULL;
	}
	return client;
}

/* Waits in a coroutine by yielding; elsewhere, and while the node is being opened
 * and nothing watches its sockets yet, by polling them. */
static void memx_await(MemxWait *w)
{
	if (w->s->ctx && qemu_in_coroutine()) {
		memx_kick(w->s);
		memx_co_wait(w, false);
	} else {
		memx_block_wait(w);
	}
}

/* The library's sentences name the volume themselves. */
static int memx_fail(BDRVMemxState *s, MemxWait *w, Error **errp)
{
	if (w->error && *w->error)
		error_setg(errp, "memx: %s", w->error);
	else if (w->status != MX_OK)
		error_setg(errp, "memx: volume '%s': %s", s->opts->volume,
			   mx_status_str(w->status));
	g_free(w->error);
	w->error = NULL;
	return memx_errno(w->status);
}

/* STANDBY or LOST -> ACTIVE. @if_free: not from anybody, nor waiting for a dead one's lease. */
static int memx_take(BDRVMemxState *s, bool read_only, bool if_free, Error **errp)
{
	struct mx_vol_conf conf = {
		.read_only = read_only,
		.force = s->opts->force && !if_free,
		.wait_owner = !if_free,
		.fail_after = s->opts->timeout_s * MX_SEC,
		.open_timeout = s->opts->open_timeout_s * MX_SEC,
	};
	MemxWait w;

	memx_wait_init(&w, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		s->opening = &w;
		s->vol = mx_vol_open(memx_core(s->client), s->opts->volume, &conf, &memx_vol_ops,
				     s, memx_now());
		if (!s->vol) {
			s->opening = NULL;
			error_setg(errp, "memx: out of memory");
			return -ENOMEM;
		}
	}
	memx_await(&w);

	QEMU_LOCK_GUARD(&s->lock);
	if (w.status == MX_OK) {
		s->vol_read_only = read_only;
		memx_set_state(s, MEMX_ACTIVE);
	} else {
		mx_vol_free(s->vol);
		s->vol = NULL;
	}
	return memx_fail(s, &w, errp);
}

/* ACTIVE -> STANDBY. Not in a coroutine, no request under way. */
static void memx_release(BDRVMemxState *s)
{
	MemxWait w;

	memx_wait_init(&w, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		s->closing = &w;
		mx_vol_close(s->vol, memx_now());
	}
	memx_block_wait(&w);

	QEMU_LOCK_GUARD(&s->lock);
	s->size = mx_vol_size(s->vol);
	mx_vol_free(s->vol);
	s->vol = NULL;
	memx_set_state(s, MEMX_STANDBY);
}

/* Size and existence, without opening the volume: works beside an owner. */
static int memx_look_up(BDRVMemxState *s, Error **errp)
{
	MemxOp o = { .op.done = memx_info_done };

	memx_wait_init(&o.wait, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		mx_client_info(memx_core(s->client), s->opts->volume, &o.op, memx_now());
	}
	memx_await(&o.wait);
	if (o.wait.status == MX_OK)
		s->size = o.size;
	return memx_fail(s, &o.wait, errp);
}

static void memx_on_shutdown(Notifier *n, void *data)
{
	BDRVMemxState *s = container_of(n, BDRVMemxState, shutdown);

	memx_give_up_at(s, memx_now() + MEMX_EXIT_GRACE);
}

static BDRVMemxState *memx_state_init(BlockDriverState *bs, MemxOptions *opts,
				      struct memx *client, MemxState state)
{
	BDRVMemxState *s = bs->opaque;

	s->bs = bs;
	s->opts = opts;
	s->client = client;
	s->state = state;
	s->armed = MX_NEVER;
	s->give_up_at = MX_NEVER;
	qemu_mutex_init(&s->lock);
	qemu_co_mutex_init(&s->open_lock);
	qemu_co_mutex_init(&s->resize_lock);
	QSIMPLEQ_INIT(&s->completed);
	return s;
}

static void memx_state_destroy(BDRVMemxState *s)
{
	memx_free(s->client);
	qemu_mutex_destroy(&s->lock);
	memx_options_free(s->opts);
}

/* The guest runs elsewhere, or nowhere yet. One that only reads takes what nobody has: QEMU
 * wants to see the image's header. */
static int memx_open_inactive(BDRVMemxState *s, bool read_only, Error **errp)
{
	if (read_only && memx_take(s, true, true, NULL) == 0)
		return 0;
	return memx_look_up(s, errp);
}

static int memx_open(BlockDriverState *bs, QDict *options, int flags, Error **errp)
{
	g_autoptr(MemxOptions) opts = memx_options_new(options, errp);
	struct memx *client;
	BDRVMemxState *s;
	int ret;

	if (!opts)
		return -EINVAL;
	client = memx_client_new(opts, errp);
	if (!client)
		return -EIO;
	s = memx_state_init(bs, g_steal_pointer(&opts), client,
			    flags & BDRV_O_NO_IO ? MEMX_INFO : MEMX_STANDBY);

	if (flags & BDRV_O_NO_IO)
		ret = memx_look_up(s, errp);
	else if (flags & BDRV_O_INACTIVE)
		ret = memx_open_inactive(s, !(flags & BDRV_O_RDWR), errp);
	else
		ret = memx_take(s, !(flags & BDRV_O_RDWR), false, errp);
	if (ret < 0) {
		memx_state_destroy(s);
		return ret;
	}

	bs->supported_write_flags = BDRV_REQ_FUA;
	bs->supported_zero_flags = BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
	bs->supported_truncate_flags = BDRV_REQ_ZERO_WRITE;
	if (qemu_register_shutdown_notifier) {
		s->shutdown.notify = memx_on_shutdown;
		qemu_register_shutdown_notifier(&s->shutdown);
	}
	memx_attach(s, bdrv_get_aio_context(bs));
	return 0;
}

static void memx_close(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;

	memx_detach(s);
	if (s->shutdown.notify)
		notifier_remove(&s->shutdown);
	if (s->vol)
		memx_release(s);
	memx_state_destroy(s);
}

/* ---- requests ---- */

/* Tries once more to have the volume. */
static int coroutine_fn memx_co_reopen(BDRVMemxState *s, bool read_only)
{
	Error *err = NULL;
	int ret;

	QEMU_LOCK_GUARD(&s->open_lock);
	if (s->state == MEMX_ACTIVE)
		return 0;
	if (s->tried_open_ns + MEMX_REOPEN_NS > (int64_t)memx_now())
		return -EIO;
	ret = memx_take(s, read_only, false, &err);
	s->tried_open_ns = memx_now();
	if (ret < 0)
		warn_report_err(err);
	return ret;
}

/* 0: the volume is open. */
static int coroutine_fn memx_co_ready(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;

	if (s->given_up)
		return -EIO;
	switch (qatomic_read(&s->state)) {
	case MEMX_ACTIVE:
		return 0;
	case MEMX_LOST:
		return memx_co_reopen(s, bdrv_is_read_only(bs));
	case MEMX_STANDBY:
	case MEMX_INFO:
		/* Another client's data may change at any time: it cannot be read. */
		return -EBUSY;
	}
	return -EIO;
}

static int coroutine_fn memx_co_submit(BlockDriverState *bs, enum mx_req_op op, int64_t offset,
				       int64_t bytes, QEMUIOVector *qiov, size_t qiov_offset)
{
	BDRVMemxState *s = bs->opaque;
	MemxRequest r = {
		.req = {
			.core = {
				.op = op,
				.off = offset,
				.len = bytes,
				.done = memx_request_done,
			},
			.iov = qiov ? qiov->iov : NULL,
			.niov = qiov ? qiov->niov : 0,
			.iov_skip = qiov_offset,
		},
	};
	int ret = memx_co_ready(bs);

	if (ret < 0)
		return ret;
	memx_wait_init(&r.wait, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		qatomic_set(&s->inflight, s->inflight + 1);
		memx_submit(s->client, s->vol, &r.req);
	}
	memx_kick(s);
	memx_co_wait(&r.wait, op == MX_REQ_READ || op == MX_REQ_WRITE);
	return memx_errno(r.wait.status);
}

static int coroutine_fn memx_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
					    QEMUIOVector *qiov, size_t qiov_offset,
					    BdrvRequestFlags flags)
{
	return memx_co_submit(bs, MX_REQ_READ, offset, bytes, qiov, qiov_offset);
}

static uint64_t memx_size(BDRVMemxState *s)
{
	QEMU_LOCK_GUARD(&s->lock);
	return s->vol ? mx_vol_size(s->vol) : s->size;
}

static int coroutine_fn memx_co_resize(BDRVMemxState *s, uint64_t size, Error **errp)
{
	MemxOp o = { .op.done = memx_op_done };

	memx_wait_init(&o.wait, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		mx_vol_resize(s->vol, size, &o.op, memx_now());
	}
	memx_kick(s);
	memx_co_wait(&o.wait, false);
	return memx_fail(s, &o.wait, errp);
}

/* An image format writes behind the end to make its file grow. */
static int coroutine_fn memx_co_grow(BlockDriverState *bs, int64_t end)
{
	BDRVMemxState *s = bs->opaque;
	Error *err = NULL;
	int ret = 0;

	if (likely(end <= bs->total_sectors * BDRV_SECTOR_SIZE))
		return 0;
	QEMU_LOCK_GUARD(&s->resize_lock);
	ret = memx_co_ready(bs);
	if (ret == 0 && end > memx_size(s))
		ret = memx_co_resize(s, ROUND_UP(end, MX_BLOCK), &err);
	if (err)
		error_report_err(err);
	return ret;
}

static int coroutine_fn memx_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
					     QEMUIOVector *qiov, size_t qiov_offset,
					     BdrvRequestFlags flags)
{
	int ret = memx_co_grow(bs, offset + bytes);

	if (ret < 0)
		return ret;
	return memx_co_submit(bs, MX_REQ_WRITE, offset, bytes, qiov, qiov_offset);
}

static int coroutine_fn memx_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
					      BdrvRequestFlags flags)
{
	int ret = memx_co_grow(bs, offset + bytes);

	if (ret < 0)
		return ret;
	return memx_co_submit(bs, MX_REQ_ZERO, offset, bytes, NULL, 0);
}

static int coroutine_fn memx_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
	return memx_co_submit(bs, MX_REQ_DISCARD, offset, bytes, NULL, 0);
}

/* What was acknowledged is where it will be read from: there is no cache to
 * flush. The request still tells a client that lost the volume. */
static int coroutine_fn memx_co_flush_to_disk(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;
	MemxState state = qatomic_read(&s->state);

	if (state == MEMX_STANDBY || state == MEMX_INFO || bdrv_is_read_only(bs))
		return 0;
	return memx_co_submit(bs, MX_REQ_FLUSH, 0, 0, NULL, 0);
}

static int coroutine_fn memx_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
					 PreallocMode prealloc, BdrvRequestFlags flags,
					 Error **errp)
{
	BDRVMemxState *s = bs->opaque;
	int ret;

	if (prealloc != PREALLOC_MODE_OFF) {
		error_setg(errp, "memx: preallocation mode '%s' is not supported: a volume takes "
			   "memory as it is written", PreallocMode_str(prealloc));
		return -ENOTSUP;
	}
	QEMU_LOCK_GUARD(&s->resize_lock);
	ret = memx_co_ready(bs);
	if (ret < 0) {
		error_setg_errno(errp, -ret, "memx: volume '%s' cannot be resized",
				 s->opts->volume);
		return ret;
	}
	return memx_co_resize(s, ROUND_UP(offset, MX_BLOCK), errp);
}

/* One run as the library finds it: at most to the end of an extent. */
static int coroutine_fn memx_co_status_run(BDRVMemxState *s, int64_t offset, uint8_t *kind,
					   int64_t *run)
{
	MemxStatusRequest r = {
		.req = { .off = offset, .done = memx_status_done },
	};

	memx_wait_init(&r.wait, s);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		qatomic_set(&s->inflight, s->inflight + 1);
		mx_vol_blkstat(s->vol, &r.req, memx_now());
	}
	memx_kick(s);
	memx_co_wait(&r.wait, false);
	*kind = r.req.kind;
	*run = r.req.run;
	return memx_errno(r.wait.status);
}

static bool memx_reads_zero(uint8_t kind)
{
	return kind == MX_PAGE_ZERO || kind == MX_PAGE_HOLE;
}

static int coroutine_fn memx_co_block_status(BlockDriverState *bs, bool want_zero,
					     int64_t offset, int64_t bytes, int64_t *pnum,
					     int64_t *map, BlockDriverState **file)
{
	BDRVMemxState *s = bs->opaque;
	int64_t found = 0, run;
	bool zero = false;
	uint8_t kind;
	int ret = memx_co_ready(bs);

	/* Runs of one kind are joined over the bounds of extents, so that a copy of a
	 * sparse volume skips its holes in large steps. */
	while (ret == 0 && found < bytes) {
		ret = memx_co_status_run(s, offset + found, &kind, &run);
		if (ret < 0 || run == 0 || (found && memx_reads_zero(kind) != zero))
			break;
		zero = memx_reads_zero(kind);
		found += run;
	}
	if (!found)
		return ret < 0 ? ret : -EIO;
	*pnum = MIN(found, bytes);
	*map = offset;
	*file = bs;
	/* Lost pages count as data: reading them must give the error. */
	return (zero ? BDRV_BLOCK_ZERO : BDRV_BLOCK_DATA) | BDRV_BLOCK_OFFSET_VALID;
}

/* ---- what the node is ---- */

static int64_t memx_maybe_coroutine_fn memx_getlength(BlockDriverState *bs)
{
	return memx_size(bs->opaque);
}

/* In whole extents: an upper bound. */
static int64_t memx_maybe_coroutine_fn memx_get_allocated_file_size(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;
	struct mx_vol_stats stats;
	uint64_t size;

	QEMU_LOCK_GUARD(&s->lock);
	if (!s->vol)
		return -ENOTSUP;
	mx_vol_stats(s->vol, &stats, memx_now());
	size = (stats.extents[MX_EXT_PLACED] + stats.extents[MX_EXT_UNKNOWN]) * MX_EXTENT;
	return MIN(size, mx_vol_size(s->vol));
}

static void memx_refresh_limits(BlockDriverState *bs, Error **errp)
{
	bs->bl.request_alignment = MX_BLOCK;
	bs->bl.opt_transfer = MX_IO_BLOCKS_MAX * MX_BLOCK;
	bs->bl.max_transfer = QEMU_ALIGN_DOWN(INT_MAX, MX_EXTENT);
	bs->bl.min_mem_alignment = 1;
	bs->bl.opt_mem_alignment = MX_PAGE;
}

static void memx_refresh_filename(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;
	g_autofree char *name = memx_options_filename(s->opts, sizeof(bs->exact_filename));

	pstrcpy(bs->exact_filename, sizeof(bs->exact_filename), name ? name : "");
}

/* A job on the node is cancelled by force: it must not wait for silent servers. */
static void memx_cancel(BlockDriverState *bs)
{
	memx_cancel_in_flight(bs->opaque);
}

/* ---- the guest comes and goes ---- */

static int memx_inactivate(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;

	if (s->state == MEMX_ACTIVE) {
		memx_release(s);
	} else if (s->state == MEMX_LOST) {
		QEMU_LOCK_GUARD(&s->lock);
		memx_set_state(s, MEMX_STANDBY);
	}
	return 0;
}

/*
 * QEMU honours an error from here when a guest is first started on the
 * destination, but not when a source takes its guest back after a failed
 * migration: it then runs the guest on a node that it believes inactive, and
 * aborts at the first write. So where this process had the volume before, what
 * fails is not the activation but the requests, which try again to open it.
 */
static void coroutine_fn memx_co_invalidate_cache(BlockDriverState *bs, Error **errp)
{
	BDRVMemxState *s = bs->opaque;
	Error *err = NULL;

	QEMU_LOCK_GUARD(&s->open_lock);
	if (s->state != MEMX_STANDBY)
		return;
	if (memx_take(s, bdrv_is_read_only(bs), false, &err) == 0)
		return;
	if (!s->was_active) {
		error_propagate(errp, err);
		return;
	}
	warn_report_err(err);
	WITH_QEMU_LOCK_GUARD(&s->lock) {
		memx_set_state(s, MEMX_LOST);
	}
}

static void memx_detach_aio_context(BlockDriverState *bs)
{
	memx_detach(bs->opaque);
}

static void memx_attach_aio_context(BlockDriverState *bs, AioContext *new_context)
{
	memx_attach(bs->opaque, new_context);
}

#ifndef MEMX_QEMU_10
static void memx_io_plug(BlockDriverState *bs)
{
	BDRVMemxState *s = bs->opaque;

	s->plugged++;
}

static void memx_io_unplug(BlockDriverState *bs)
{
	memx_unplug(bs->opaque);
}
#endif

/*
 * Reopening. Read-only to writable needs the ownership, which may not be had: so
 * it is taken in prepare. The other way nothing changes; a node that became
 * read-only keeps what it owns. QEMU has drained the node.
 */
static int memx_reopen_prepare(BDRVReopenState *rs, BlockReopenQueue *queue, Error **errp)
{
	BDRVMemxState *s = rs->bs->opaque;
	Error *err = NULL;
	int ret;

	if (!(rs->flags & BDRV_O_RDWR) || s->state != MEMX_ACTIVE || !s->vol_read_only)
		return 0;
	memx_release(s);
	ret = memx_take(s, false, false, errp);
	if (ret < 0 && memx_take(s, true, false, &err) < 0) {
		error_report_err(err);
		QEMU_LOCK_GUARD(&s->lock);
		memx_set_state(s, MEMX_LOST);
	}
	return ret;
}

static BlockDriver bdrv_memx = {
	.format_name = "memx",
	.protocol_name = "memx",
	.instance_size = sizeof(BDRVMemxState),
	.strong_runtime_opts = memx_strong_options,
	.create_opts = &memx_create_opts,

	.bdrv_parse_filename = memx_parse_filename,
	MEMX_BDRV_OPEN = memx_open,
	.bdrv_close = memx_close,
	.bdrv_reopen_prepare = memx_reopen_prepare,
	.bdrv_co_create_opts = memx_co_create_opts,
#ifdef CONFIG_MEMX
	.bdrv_co_create = memx_co_create,
#endif
	.bdrv_refresh_filename = memx_refresh_filename,
	.bdrv_refresh_limits = memx_refresh_limits,
	.bdrv_has_zero_init = bdrv_has_zero_init_1,

	MEMX_BDRV_GETLENGTH = memx_getlength,
	MEMX_BDRV_ALLOCATED_SIZE = memx_get_allocated_file_size,
	.bdrv_co_preadv_part = memx_co_preadv_part,
	.bdrv_co_pwritev_part = memx_co_pwritev_part,
	.bdrv_co_pwrite_zeroes = memx_co_pwrite_zeroes,
	.bdrv_co_pdiscard = memx_co_pdiscard,
	.bdrv_co_flush_to_disk = memx_co_flush_to_disk,
	.bdrv_co_truncate = memx_co_truncate,
	.bdrv_co_block_status = memx_co_block_status,

	.bdrv_cancel_in_flight = memx_cancel,
	.bdrv_inactivate = memx_inactivate,
	.bdrv_co_invalidate_cache = memx_co_invalidate_cache,
	.bdrv_detach_aio_context = memx_detach_aio_context,
	.bdrv_attach_aio_context = memx_attach_aio_context,
#ifndef MEMX_QEMU_10
	.bdrv_io_plug = memx_io_plug,
	.bdrv_io_unplug = memx_io_unplug,
#endif
};

static void memx_init(void)
{
	bdrv_register(&bdrv_memx);
}

block_init(memx_init);
