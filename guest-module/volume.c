// SPDX-License-Identifier: GPL-2.0-or-later
/* An open volume, and requests to it: see memx_client.h. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include <linux/slab.h>
#include "core/client_int.h"
#include "core/wire.h"
#include "guest-module/volume.h"
#include "guest-module/trace.h"
#include "net/linux/key.h"

#define OPEN_MS		30000u
#define RESIZE_MS	30000u

/* ---- errors ---- */

static int errno_of(enum mx_status st)
{
	switch (st) {
	case MX_OK:
		return 0;
	case MX_ST_NO_SPACE:
	case MX_ST_FULL:
		return -ENOSPC;
	case MX_ST_TIMEOUT:
		return -ETIMEDOUT;
	case MX_ST_READ_ONLY:
		return -EROFS;
	case MX_ST_FENCED:
	case MX_ST_LEASE_LAPSED:
		return -ESTALE;
	case MX_ST_INVALID:
		return -EINVAL;
	case MX_ST_CANCELLED:
		return -ECANCELED;
	case MX_ST_NO_VOLUME:
	case MX_ST_DELETED:
		return -ENOENT;
	case MX_ST_OWNED:
	case MX_ST_BUSY:
		return -EBUSY;
	case MX_ST_BAD_KEY:
	case MX_ST_NO_KEY:
		return -EKEYREJECTED;
	case MX_ST_DENIED:
		return -EACCES;
	case MX_ST_NO_SERVERS:
	case MX_ST_UNREACHABLE:
		return -EHOSTUNREACH;
	case MX_ST_NOMEM:
		return -ENOMEM;
	case MX_ST_NO_QUORUM:
		return -ENOTRECOVERABLE;
	case MX_ST_NAME_CLASH:
		return -ENOTUNIQ;
	default:
		return -EIO;
	}
}

/* ---- requests ---- */

static void ended(struct memx_volume *v)
{
	/* Whoever waits frees @v only after a grace period; softirqs are off. */
	if (atomic_dec_and_test(&v->inflight))
		wake_up(&v->idle);
}

/* Without the lock. */
static void request_end(struct mxk_after *a)
{
	struct memx_request *r = container_of(a, struct memx_request, after);
	struct memx_volume *v = r->vol;

	trace_memx_request_done(v->name, r, mxk_now() - r->since_ns);
	if (r->err == -ETIMEDOUT)
		trace_memx_request_timeout(v->name, r, mxk_now() - r->since_ns);
	r->done(r, r->err);
	ended(v);
}

/* Under the lock. */
static void core_done(struct mx_req *core, enum mx_status st)
{
	struct memx_request *r = container_of(core, struct memx_request, core);

	r->err = errno_of(st);
	if (r->err)
		r->vol->errors++;
	memx_copy_done(r);
	mxk_add_after(&r->vol->node, &r->after);
}

static void refuse(struct memx_volume *v, struct memx_request *r, int err)
{
	r->err = err;
	v->errors++;
	mxk_add_after(&v->node, &r->after);
}

void memx_submit(struct memx_volume *v, struct memx_request *r, bool more)
{
	bool fits = r->op > MEMX_WRITE || memx_pages_fit(r);
	mx_ns now;

	memset(&r->core, 0, sizeof(r->core));
	r->core.op = (u8)r->op;
	r->core.off = r->off;
	r->core.len = r->len;
	r->core.buf = r;
	r->core.done = core_done;
	r->after.fn = request_end;
	r->vol = v;
	r->copy = NULL;
	r->cursor.vec = NULL;
	atomic_inc(&v->inflight);
	now = mxk_enter(&v->node);
	r->since_ns = now;
	trace_memx_request_start(v->name, r);
	if (v->failed)
		refuse(v, r, -ECANCELED);
	else if (!fits)
		refuse(v, r, -EINVAL);
	else
		mx_vol_submit(v->vol, &r->core, now);
	if (more && !v->failed)
		mxk_leave_later(&v->node);
	else
		mxk_leave(&v->node, now);
}
EXPORT_SYMBOL_GPL(memx_submit);

void memx_flush_submitted(struct memx_volume *v)
{
	mx_ns now = mxk_enter(&v->node);

	mxk_leave(&v->node, now);
}
EXPORT_SYMBOL_GPL(memx_flush_submitted);

/*
 * Twice: what had ended well, but waits for a lease to be told so, is seen by the
 * second only. Nothing is added between them.
 */
void memx_volume_fail(struct memx_volume *v)
{
	mx_ns now;

	for (int i = 0; i < 2; i++) {
		now = mxk_enter(&v->node);
		v->failed = true;
		mx_vol_abort(v->vol, MX_ST_CANCELLED, now);
		mxk_leave(&v->node, now);
	}
	v->open_status = v->open_status ?: MX_ST_CANCELLED;
	complete(&v->opened);
}
EXPORT_SYMBOL_GPL(memx_volume_fail);

/* ---- what the core tells; under the lock ---- */

static void vol_opened(void *user, enum mx_status st, mx_ns now)
{
	struct memx_volume *v = user;

	v->open_status = st;
	complete(&v->opened);
}

static void vol_closed(void *user, mx_ns now)
{
	struct memx_volume *v = user;

	complete(&v->closed);
}

static void vol_event(void *user, const char *line, mx_ns now)
{
	struct memx_volume *v = user;

	schedule_work(&v->event_work);
}

static const struct mx_vol_ops vol_ops = {
	.opened = vol_opened, .closed = vol_closed, .event = vol_event,
};

static void event_work(struct work_struct *w)
{
	struct memx_volume *v = container_of(w, struct memx_volume, event_work);
	void (*event)(void *user) = READ_ONCE(v->event);

	if (event)
		event(v->user);
}

/* ---- opening ---- */

static int check_conf(const struct memx_volume_conf *c, char *why, size_t len)
{
	if (!mx_name_valid(c->name)) {
		snprintf(why, len, "\"%.80s\" is not a volume's name; names are 1 to %u of A-Z a-z 0-9 . _ : + @ - and, inside, /, and do not start with - or .",
			 c->name, MX_NAME_MAX);
		return -EINVAL;
	}
	if (!c->nservers) {
		snprintf(why, len, "no server was named; give the address of one or more");
		return -EINVAL;
	}
	if (c->key && c->key->kind == MX_KEY_VOLUME && strcmp(c->key->volume, c->name)) {
		snprintf(why, len, "that is the key of volume '%s', not of '%s'", c->key->volume,
			 c->name);
		return -EINVAL;
	}
	return 0;
}

/* Everything is set up before the node starts, so that allocations may sleep. */
static int make_client(struct memx_volume *v, const struct memx_volume_conf *c)
{
	struct mx_client_conf conf = { 0 };
	struct mx_vol_conf vc = {
		.read_only = c->read_only, .force = c->take, .wait_owner = true,
		.fail_after = c->fail_after_ms * MX_MS,
		.open_timeout = (c->timeout_ms ?: OPEN_MS) * MX_MS,
	};
	mx_ns now = mxk_now();

	memx_pages_port(&v->node.port);
	v->node.buf = &memx_pages_ops;
	mxk_identify(&conf.ep.node, c->node_name);
	mxk_conf_ep(&v->node, &conf.ep);
	conf.rx_bytes_max = conf.ep.rwnd;
	mxk_key_use(&conf.ep, c->key);
	v->core = mx_client_new(&v->node.port, &conf, now);
	memzero_explicit(&conf.ep.key, sizeof(conf.ep.key));
	if (!v->core)
		return -ENOMEM;
	v->node.ep = mx_client_ep(v->core);
	for (u32 i = 0; i < c->nservers; i++)
		if (mxk_seed_add(&v->seeds, v->node.ep, &c->servers[i], now))
			return -ENOMEM;
	v->vol = mx_vol_open(v->core, c->name, &vc, &vol_ops, v, now);
	return v->vol ? 0 : -ENOMEM;
}

static void free_client(struct memx_volume *v)
{
	mxk_stop(&v->node);
	cancel_work_sync(&v->event_work);
	WARN_ON(atomic_read(&v->inflight));
	mxk_seeds_put(&v->seeds);
	if (v->vol)
		mx_vol_free(v->vol);
	if (v->core)
		mx_client_free(v->core);
	mxk_exit(&v->node);
}

static void init(struct memx_volume *v, const struct memx_volume_conf *c)
{
	init_completion(&v->opened);
	init_completion(&v->closed);
	init_waitqueue_head(&v->idle);
	INIT_WORK(&v->event_work, event_work);
	strscpy(v->name, c->name, sizeof(v->name));
	v->sealed = c->key;
	v->event = c->event;
	v->user = c->user;
}

int memx_volume_start(const struct memx_volume_conf *c, struct memx_volume **vp, char *why,
		      size_t len)
{
	struct mxk_conf nc = { .ifname = c->ifname, .keyed = c->key, .memalloc = true };
	struct memx_volume *v;
	int rc = check_conf(c, why, len);

	*vp = NULL;
	if (rc)
		return rc;
	rc = -ENOMEM;
	v = kvzalloc(sizeof(*v), GFP_KERNEL);
	if (!v || memx_copies_init(v))
		goto err_copies;
	init(v, c);
	rc = mxk_init(&v->node, &nc);
	if (rc)
		goto err_node;
	rc = make_client(v, c);
	if (rc)
		goto err_client;
	mxk_start(&v->node);
	*vp = v;
	return 0;
err_client:
	free_client(v);
err_node:
	memx_copies_exit(v);
err_copies:
	kvfree(v);
	mxk_init_error(rc, c->ifname, why, len);
	return rc;
}
EXPORT_SYMBOL_GPL(memx_volume_start);

/* Do all servers refuse us? Then opening would end only by its time-out. */
static bool refused(struct memx_volume *v, char *why, size_t len)
{
	char addr[MXK_ADDR_STR];
	struct mx_addr who;
	enum mx_status st;
	mx_ns now = mxk_enter(&v->node);

	st = mxk_seeds_refused(&v->seeds, now, &who);
	mxk_leave_later(&v->node);
	if (st == MX_OK)
		return false;
	snprintf(why, len, "server %s refuses a session: %s", mxk_format_addr(&who, addr),
		 mxk_refusal(st));
	return true;
}

int memx_volume_wait_open(struct memx_volume *v, char *why, size_t len)
{
	const char *said = mx_vol_error(v->vol);

	/* The core's own time-out ends it at last. */
	while (!wait_for_completion_timeout(&v->opened, HZ / 5))
		if (refused(v, why, len))
			return -EKEYREJECTED;
	if (v->open_status == MX_OK && !v->failed)
		return 0;
	if (v->failed)
		snprintf(why, len, "attaching volume \"%s\" was stopped", v->name);
	else if (*said)
		snprintf(why, len, "%s", said);
	else
		snprintf(why, len, "volume \"%s\": %s", v->name, mx_status_str(v->open_status));
	return errno_of(v->open_status) ?: -ECANCELED;
}
EXPORT_SYMBOL_GPL(memx_volume_wait_open);

/* ---- closing ---- */

static void log_counts(struct memx_volume *v)
{
	const struct mx_ep_stats *e = mx_ep_stats(v->node.ep);

	pr_info("volume '%s': %llu datagrams in (%llu copied, %llu skbs of several), %llu out (%llu copied, %llu without memory), %llu sent again\n",
		v->name, e->rx_dgrams, v->node.stats.rx_copied, v->node.stats.rx_joined, e->tx_dgrams,
		v->node.stats.tx_copied, v->node.stats.tx_nomem, e->retransmits);
}

void memx_volume_close(struct memx_volume *v, u32 patience_ms)
{
	mx_ns now;

	/* The user may be gone before we are. */
	WRITE_ONCE(v->event, NULL);
	cancel_work_sync(&v->event_work);
	wait_event(v->idle, !atomic_read(&v->inflight));
	now = mxk_enter(&v->node);
	mx_vol_close(v->vol, now);
	mxk_leave(&v->node, now);
	if (!wait_for_completion_timeout(&v->closed, msecs_to_jiffies(patience_ms)))
		pr_warn("volume '%s' could not be released at its servers; its lease there runs out\n",
			v->name);
	log_counts(v);
	free_client(v);
	memx_copies_exit(v);
	kvfree(v);
}
EXPORT_SYMBOL_GPL(memx_volume_close);

/* ---- looking ---- */

u64 memx_volume_size(const struct memx_volume *v)
{
	return mx_vol_size(v->vol);
}
EXPORT_SYMBOL_GPL(memx_volume_size);

void memx_volume_stats(struct memx_volume *v, struct mx_vol_stats *st)
{
	mx_ns now = mxk_enter(&v->node);

	mx_vol_stats(v->vol, st, now);
	st->retransmits = mx_ep_stats(v->node.ep)->retransmits;
	mxk_leave_later(&v->node);
}
EXPORT_SYMBOL_GPL(memx_volume_stats);

u32 memx_volume_inflight(const struct memx_volume *v)
{
	return (u32)atomic_read(&v->inflight);
}
EXPORT_SYMBOL_GPL(memx_volume_inflight);

u64 memx_volume_errors(const struct memx_volume *v)
{
	return READ_ONCE(v->errors);
}
EXPORT_SYMBOL_GPL(memx_volume_errors);

u64 memx_volume_from_reserves(const struct memx_volume *v)
{
	return READ_ONCE(v->node.stats.rx_reserve);
}
EXPORT_SYMBOL_GPL(memx_volume_from_reserves);

const char *memx_volume_cipher(struct memx_volume *v)
{
	const char *c;

	mxk_enter(&v->node);
	c = mxk_seeds_cipher(&v->seeds);
	mxk_leave_later(&v->node);
	return c;
}
EXPORT_SYMBOL_GPL(memx_volume_cipher);

bool memx_volume_sealed(const struct memx_volume *v)
{
	return v->sealed;
}
EXPORT_SYMBOL_GPL(memx_volume_sealed);

void memx_volume_uuid(struct memx_volume *v, u8 uuid[16])
{
	mxk_enter(&v->node);
	memcpy(uuid, mx_vol_desc(v->vol)->uuid, MX_UUID);
	mxk_leave_later(&v->node);
}
EXPORT_SYMBOL_GPL(memx_volume_uuid);

/* ---- changing the size ---- */

struct resize {
	struct mx_vol_op op;
	struct completion done;
	enum mx_status st;
	char *why;
	size_t len;
};

static void resized(struct mx_vol_op *op, enum mx_status st, const char *err, mx_ns now)
{
	struct resize *z = container_of(op, struct resize, op);

	z->st = st;
	if (st != MX_OK)
		snprintf(z->why, z->len, "%s", err ?: mx_status_str(st));
	complete(&z->done);
}

int memx_volume_resize(struct memx_volume *v, u64 bytes, bool shrink, char *why, size_t len)
{
	struct resize z = { .op.done = resized, .why = why, .len = len };
	mx_ns now;

	init_completion(&z.done);
	now = mxk_enter(&v->node);
	if (bytes < mx_vol_size(v->vol) && !shrink) {
		mxk_leave(&v->node, now);
		snprintf(why, len, "the volume has %llu bytes; making it smaller loses what is behind the new end, so that must be asked for",
			 mx_vol_size(v->vol));
		return -EPERM;
	}
	mx_vol_resize(v->vol, bytes, &z.op, now);
	mxk_leave(&v->node, now);
	for (u32 ms = 0; ms < RESIZE_MS && !READ_ONCE(v->failed); ms += 200)
		if (wait_for_completion_timeout(&z.done, msecs_to_jiffies(200)))
			return errno_of(z.st);
	now = mxk_enter(&v->node);
	mx_resize_disown(v->vol);
	mxk_leave(&v->node, now);
	if (!try_wait_for_completion(&z.done)) {
		snprintf(why, len, "most servers that keep the volume's descriptor do not answer; it may still happen once they do");
		return -ETIMEDOUT;
	}
	return errno_of(z.st);
}
EXPORT_SYMBOL_GPL(memx_volume_resize);
