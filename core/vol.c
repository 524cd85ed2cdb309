// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A volume's life: opening, the lease, what the claim tells, closing, and the tick
 * that looks after everything which waits.
 */
#include "client_int.h"

#define TICK	(100 * MX_MS)		/* while something waits */
#define CLOSE_PATIENCE	(5 * MX_SEC)

/* ---- telling people ---- */

void mx_vol_event(struct mx_vol *v, const struct mx_text *t, mx_ns now)
{
	const struct mx_port *port = v->c->port;
	char line[400];
	struct mx_text l;

	mx_text_init(&l, line, sizeof line);
	mx_text_str(mx_text_str(mx_text_str(&l, "volume '"), v->name), "': ");
	mx_text_str(&l, t->p);
	if (port->log)
		port->log(port->ctx, MX_LOG_WARN, line);
	if (v->ops.event)
		v->ops.event(v->user, line, now);
}

static void event_str(struct mx_vol *v, const char *s, mx_ns now)
{
	struct mx_text t = { .p = (char *)s };

	mx_vol_event(v, &t, now);
}

/* What stands in the way of a claim, and what to do about it. */
void mx_claim_explain(struct mx_text *t, const struct mx_claim *c, const char *name, enum mx_status st)
{
	u8 a[MX_UUID], b[MX_UUID];
	u32 ms = 0, asked = 0, answered = 0;
	const struct mx_node *o;

	mx_claim_asked(c, &asked, &answered);
	mx_text_str(mx_text_str(mx_text_str(t, "volume '"), name), "'");
	switch (st) {
	case MX_ST_OWNED:
		if (mx_claim_owner_is_us(c)) {
			mx_text_str(t, " is in use by this very client; close it here first, or use "
				       "force to take it from there");
			break;
		}
		o = mx_claim_owner(c, &ms);
		mx_text_str(mx_text_str(t, " is in use by "), o && o->name[0] ? o->name : "another client");
		mx_text_str(mx_text_u64(mx_text_str(t, " (lease "), (ms + 999) / 1000), " s left); stop it "
			    "there, or use force if that machine is dead");
		break;
	case MX_ST_NO_VOLUME:
		mx_text_u64(mx_text_str(t, " is not known to any of the "), answered);
		mx_text_str(t, " servers asked; check the name ('memxctl volume list'), or create it");
		break;
	case MX_ST_DENIED:
		mx_text_str(t, ": the key is another volume's, or what is asked for needs the pool's; "
			       "give that, or what 'memxctl volume key' makes of it for this volume");
		break;
	case MX_ST_NO_SERVERS:
		if (asked)
			mx_text_str(mx_text_u64(mx_text_str(t, ": none of the "), asked),
				    " servers known answered; are they running, and is the key right?");
		else
			mx_text_str(t, ": no server was found; is memxd running, and is the address, "
				       "interface or seed right?");
		break;
	case MX_ST_NAME_CLASH:
		mx_claim_clash(c, a, b);
		mx_text_hex(mx_text_str(t, ": two volumes have this name, "), a, MX_UUID);
		mx_text_str(mx_text_hex(mx_text_str(t, " and "), b, MX_UUID),
			    "; 'memxctl volume delete --uuid' with the one that is not wanted ends it");
		break;
	case MX_ST_NO_QUORUM:
		mx_text_str(t, ": most of the servers that keep its descriptor have restarted; "
			       "'memxctl volume recover' goes on with what is left");
		break;
	case MX_ST_TIMEOUT:
		mx_text_str(t, ": too few of the servers that keep its descriptor answer; are they "
			       "running and reachable? If they are gone for good, 'memxctl volume "
			       "recover' goes on with what is left");
		break;
	case MX_ST_DELETED:
		mx_text_str(t, " was deleted");
		break;
	case MX_ST_BAD_KEY:
		mx_text_str(t, ": the servers have another key; check the key file");
		break;
	case MX_ST_NO_KEY:
		mx_text_str(t, ": the servers want a key; give a key file");
		break;
	case MX_ST_NOMEM:
		mx_text_str(t, ": not enough memory here");
		break;
	default:
		mx_text_str(mx_text_str(t, ": "), mx_status_str(st));
		break;
	}
}

/* ---- the lease ---- */

/* The claim is asked once in a millisecond: a lease never gets shorter but by
 * being lost, and then mx_claim_ops.changed tells. */
bool mx_vol_lease_ok(struct mx_vol *v, mx_ns now)
{
	if (now >= v->lease_seen + MX_MS || now >= v->lease_until) {
		v->lease_until = mx_claim_lease_until(v->claim);
		v->lease_seen = now;
	}
	return now < v->lease_until;
}

bool mx_vol_was_ours(struct mx_vol *v, bool local, mx_ns born, mx_ns now)
{
	/* @now may be from before it was asked for. */
	return mx_vol_lease_ok(v, mx_max_u64(now, born)) &&
	       (!local || !v->c->port->clock_stops || mx_claim_since(v->claim, born, now));
}

/* A server knows a higher epoch. Writing the descriptor as it is shows whether
 * the holders do. */
void mx_vol_suspect(struct mx_vol *v, struct mx_vs *s, mx_ns now)
{
	if (s->state == MX_VS_READY)
		mx_vs_seal(s, now);
	if (now < v->probe_at)
		return;
	v->probe_at = now + MX_SEC;
	mx_vol_sync_desc(v, now);
}

static void fail(struct mx_vol *v, enum mx_status st, const char *why, mx_ns now)
{
	struct mx_text t;

	if (v->fail)
		return;
	v->fail = (u8)st;
	v->lease_until = 0;
	mx_text_init(&t, v->err, sizeof v->err);
	mx_text_str(mx_text_str(mx_text_str(&t, "volume '"), v->name), "' ");
	mx_text_str(&t, why);
	event_str(v, why, now);
	mx_move_stop(v, now);
	mx_vol_end_all(v, st, now);
}

static void claim_leased(void *user, mx_ns now)
{
	struct mx_vol *v = user;

	(void)now;
	if (!mx_list_empty(&v->leasewait) || !mx_list_empty(&v->statwait))
		mx_vol_tick_at(v, 0);
}

static void claim_changed(void *user, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = user;

	v->lease_seen = 0;
	v->lease_until = 0;
	if (st == MX_OK) {
		v->epoch = mx_claim_epoch(v->claim);
		v->seq = 0;
		mx_resize_reclaimed(v, now);
		mx_vs_reseal(v, now);
		mx_rebuild_again(v, now);
		if (v->phase == MX_VP_OPEN || v->phase == MX_VP_CLOSING)
			mx_vol_sync_desc(v, now);
		mx_acts_retry(v, now);
	} else if (v->phase >= MX_VP_OPEN) {
		fail(v, MX_ST_FENCED, "has been taken over by another client; nothing can be read or "
				      "written here any more", now);
	} else {
		mx_vol_opened(v, MX_ST_FENCED, now);
	}
	mx_vol_tick_at(v, now);
	mx_client_settle(v->c, now);
}

/* ---- opening ---- */

void mx_vol_opened(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_text t;

	if (v->phase >= MX_VP_OPEN)
		return;
	v->phase = st == MX_OK ? MX_VP_OPEN : MX_VP_FAILED;
	v->open_st = (u8)st;
	v->tell_opened = true;
	if (st != MX_OK && !v->err[0]) {
		mx_text_init(&t, v->err, sizeof v->err);
		mx_claim_explain(&t, v->claim, v->name, st);
	}
	mx_vol_tick_at(v, now);
}

static bool take_desc(struct mx_vol *v)
{
	const struct mx_desc *d = mx_claim_desc(v->claim);

	memcpy(v->uuid, d->uuid, MX_UUID);
	v->seed = mx_crc32c(0xffffffff, d->uuid, MX_UUID);
	v->epoch = mx_claim_epoch(v->claim);
	v->size = d->size;
	return mx_map_resize(&v->map, v->c->port, (u32)((d->size + MX_EXTENT - 1) >> MX_EXTENT_SHIFT));
}

static void held(struct mx_vol *v, mx_ns now)
{
	struct mx_text t;

	/* Finding and taking have counted their time themselves. */
	v->open_until = v->conf.open_timeout ? now + v->conf.open_timeout + v->conf.rebuild_wait
					     : MX_NEVER;
	if (take_desc(v)) {
		mx_rebuild_start(v, now);
		return;
	}
	mx_text_init(&t, v->err, sizeof v->err);
	mx_text_str(mx_text_str(mx_text_str(&t, "volume '"), v->name), "': not enough memory for the map of ");
	mx_text_str(mx_text_bytes(&t, v->size), "; it takes 16 MiB for a TiB");
	mx_vol_opened(v, MX_ST_NOMEM, now);
}

static void claim_done(void *user, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = user;

	switch (v->phase) {
	case MX_VP_FIND:
		if (st != MX_OK) {
			mx_vol_opened(v, st, now);
			break;
		}
		v->phase = MX_VP_TAKE;
		mx_claim_take(v->claim, now);
		break;
	case MX_VP_TAKE:
		if (st == MX_OK)
			held(v, now);
		else
			mx_vol_opened(v, st, now);
		break;
	case MX_VP_RELEASE:
		v->phase = MX_VP_CLOSED;
		mx_vol_tick_at(v, now);
		break;
	default:
		break;
	}
}

/* ---- closing ---- */

static bool idle(const struct mx_vol *v)
{
	if (v->nreqs || v->nlive)
		return false;
	if (v->fail)
		return true;
	return !v->move.stage && !v->edit_busy && mx_list_empty(&v->held);
}

/*
 * Requests are waited for as long as they take. What the volume does for its own
 * sake (edits of the descriptor, bits, a resize) is not: with most holders gone
 * it would never end. Giving it up is what a crash would do.
 */
static void try_release(struct mx_vol *v, mx_ns now)
{
	if (v->nreqs > mx_resize_asks(v)) {
		v->close_by = 0;
		return;
	}
	if (!v->close_by)
		v->close_by = now + CLOSE_PATIENCE;
	if (v->resize && now >= v->close_by)
		mx_resize_stop(v, now);
	if (v->nreqs || v->resize)
		return;
	mx_move_stop(v, now);
	if (!idle(v) && (v->nlive || now < v->close_by))
		return;
	if (v->move.stage && !v->fail) {	/* whose swap has no majority: its user is told */
		v->fail = MX_ST_CANCELLED;
		mx_move_stop(v, now);
	}
	v->phase = MX_VP_RELEASE;
	mx_move_end(v, now);
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i])
			mx_vs_stop(v->vs[i]);
	mx_claim_release(v->claim, now);
}

void mx_vol_close(struct mx_vol *v, mx_ns now)
{
	if (v->phase == MX_VP_OPEN)
		v->phase = MX_VP_CLOSING;
	else if (v->phase < MX_VP_OPEN || v->phase == MX_VP_FAILED)
		v->phase = v->phase == MX_VP_REBUILD || v->phase == MX_VP_RECORD ? MX_VP_CLOSING
										: MX_VP_CLOSED;
	v->tell_opened = false;
	v->tell_closed = true;
	mx_vol_tick_at(v, now);
}

/* ---- the tick ---- */

/* Bits that do not agree with the map, as a client before us left them: extents
 * whose first write was not told to be done, and what turned out to be holes. A
 * few at a time. */
static void sweep(struct mx_vol *v, mx_ns now)
{
	u32 most = 64;

	if (v->sweep >= v->map.nents || !mx_vol_running(v) || v->fail)
		return;
	for (u32 n = 0; n < 65536 && v->sweep < v->map.nents; n++, v->sweep++) {
		struct mx_ent *e = mx_map_at(&v->map, v->sweep);
		struct mx_act *a;
		bool clear = e->state == MX_EXT_HOLE || (e->flags & MX_EF_EMPTY);

		if (e->act || !mx_bit_disagrees(e))
			continue;
		if (!most--)
			break;
		a = mx_act_get(v, v->sweep);
		if (!a)
			break;
		if (clear)
			mx_act_clear(a, now);
		else
			mx_act_set_bit(a, now);
	}
	if (v->sweep < v->map.nents)
		mx_vol_tick_at(v, now + TICK);
}

/* A recovered volume: the bitmap may be trusted again once every extent that any
 * server listed has its bit. */
static void make_sure(struct mx_vol *v, mx_ns now)
{
	if (!(mx_claim_desc(v->claim)->flags & MX_DESC_UNSURE) || v->sure || v->fail ||
	    v->phase != MX_VP_OPEN || v->conf.read_only || v->sweep < v->map.nents ||
	    !mx_rebuild_all_told(v))
		return;
	mx_vol_tick_at(v, now + TICK);
	for (u32 i = 0; i < v->map.nents; i++) {
		const struct mx_ent *e = mx_map_at(&v->map, i);

		if (e->act || mx_bit_disagrees(e))
			return;
	}
	v->sure = true;
	mx_vol_sync_desc(v, now);
}

static void retry_lease(struct mx_vol *v, mx_ns now)
{
	struct mx_list *n, *next;

	mx_list_for_each_safe(n, next, &v->leasewait) {
		struct mx_req *r = mx_list_entry(n, struct mx_req, node);

		if (!mx_vol_was_ours(v, r->local, r->born, now))
			continue;
		mx_list_del(n);
		mx_list_add_tail(&v->c->done, n);
	}
	mx_list_for_each_safe(n, next, &v->statwait) {
		struct mx_blkstat_req *r = mx_list_entry(n, struct mx_blkstat_req, node);

		if (!mx_vol_was_ours(v, true, r->sent, now))
			continue;
		mx_list_del(n);
		mx_list_add_tail(&v->c->stat_done, n);
	}
	if (!mx_list_empty(&v->leasewait) || !mx_list_empty(&v->statwait))
		mx_vol_tick_at(v, now + 5 * MX_MS);
}

static void work(struct mx_vol *v, mx_ns now)
{
	mx_vs_tick(v, now);
	mx_rebuild_check(v, now);
	if (v->phase == MX_VP_REBUILD || v->phase == MX_VP_RECORD) {
		if (now >= v->open_until)
			mx_vol_opened(v, mx_claim_hindrance(v->claim), now);
		else
			mx_vol_tick_at(v, v->open_until);
	}
	if (v->edit_again)
		mx_vol_sync_desc(v, now);
	if (!mx_vol_running(v))
		return;
	retry_lease(v, now);
	if (!mx_list_empty(&v->held)) {
		mx_acts_retry(v, now);
		mx_vol_tick_at(v, now + TICK);
	}
	mx_move_tick(v, now);
	mx_shed_next(v, now);
	if (v->want_servers)
		mx_place_recruit(v, now);
	sweep(v, now);
	make_sure(v, now);
	if (v->resize)
		mx_resize_tick(v, now);
	if (mx_vol_policy(v, now))
		mx_vol_tick_at(v, now + TICK);
	if (v->phase == MX_VP_CLOSING) {
		try_release(v, now);
		mx_vol_tick_at(v, now + TICK);
	}
}

/*
 * An owner that was overtaken while it opened is told so, not that it is open; one
 * whose holders are lost meanwhile, that they are. True: not known yet.
 */
static bool open_in_doubt(struct mx_vol *v, mx_ns now)
{
	struct mx_text t;

	if (v->open_st != MX_OK || v->fail || mx_claim_state(v->claim) == MX_CLAIM_HELD)
		return false;
	if (now < v->open_until) {
		mx_vol_tick_at(v, now + 50 * MX_MS);
		return true;
	}
	v->phase = MX_VP_FAILED;
	v->open_st = (u8)mx_claim_hindrance(v->claim);
	mx_text_init(&t, v->err, sizeof v->err);
	mx_claim_explain(&t, v->claim, v->name, v->open_st);
	return false;
}

static void first_work(struct mx_vol *v, mx_ns now)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i])
			mx_vs_drops(v->vs[i], now);
}

/* The last thing done is to tell the user, who may free the volume then. */
static void tick(struct mx_timer *t, mx_ns now)
{
	struct mx_vol *v = mx_container_of(t, struct mx_vol, tick);

	v->tick_at = MX_NEVER;
	if (v->phase < MX_VP_RELEASE)
		work(v, now);
	mx_client_settle(v->c, now);
	if (v->tell_opened) {
		if (open_in_doubt(v, now))
			return;
		v->tell_opened = false;
		if (v->open_st == MX_OK && v->fail)
			v->open_st = v->fail;
		if (v->open_st == MX_OK)
			first_work(v, now);
		v->ops.opened(v->user, v->open_st, now);
	} else if (v->tell_closed && v->phase == MX_VP_CLOSED) {
		v->tell_closed = false;
		v->ops.closed(v->user, now);
	}
}

void mx_vol_tick_at(struct mx_vol *v, mx_ns at)
{
	if (at >= v->tick_at)
		return;
	v->tick_at = at;
	mx_timer_set(v->c->ep, &v->tick, at);
}

/* ---- making and freeing ---- */

static void pools_free(struct mx_vol *v)
{
	const struct mx_port *port = v->c->port;

	if (v->ios) {
		mx_client_del_ios(v->c, v->ios, v->nios);
		port->free(port->ctx, v->ios, v->nios * sizeof *v->ios);
	}
	if (v->acts)
		port->free(port->ctx, v->acts, v->nacts * sizeof *v->acts);
	if (v->vs)
		port->free(port->ctx, v->vs, MX_VS_MAX * sizeof *v->vs);
	if (v->seal_body)
		port->free(port->ctx, v->seal_body, MX_CTL_BODY_MAX);
	if (v->move.data)
		port->free(port->ctx, v->move.data, MX_IO_BLOCKS_MAX * MX_BLOCK);
}

static bool pools_alloc(struct mx_vol *v)
{
	const struct mx_port *port = v->c->port;
	u32 nios = v->conf.ios + 1, nacts = v->conf.ios + 64;

	v->vs = port->alloc(port->ctx, MX_VS_MAX * sizeof *v->vs);
	v->seal_body = port->alloc(port->ctx, MX_CTL_BODY_MAX);
	v->move.data = port->alloc(port->ctx, MX_IO_BLOCKS_MAX * MX_BLOCK);
	v->ios = port->alloc(port->ctx, nios * sizeof *v->ios);
	v->nios = v->ios ? nios : 0;
	v->acts = port->alloc(port->ctx, nacts * sizeof *v->acts);
	v->nacts = v->acts ? nacts : 0;
	if (!v->vs || !v->seal_body || !v->move.data || !v->ios || !v->acts ||
	    !mx_client_add_ios(v->c, v->ios, nios))
		return false;
	for (u32 i = 0; i < nios; i++) {
		struct mx_io *io = &v->ios[i];

		io->vol = v;
		mx_txm_init(&io->txm, NULL);
		if (i < v->conf.ios)
			mx_list_add_tail(&v->io_free, &io->node);
		else
			mx_list_init(&io->node);
	}
	v->move.io = &v->ios[nios - 1];
	for (u32 i = 0; i < nacts; i++) {
		v->acts[i].vol = v;
		mx_list_init(&v->acts[i].wait);
		mx_list_init(&v->acts[i].bitwait);
		mx_list_init(&v->acts[i].bits.node);
		mx_list_add_tail(&v->act_free, &v->acts[i].node);
	}
	return true;
}

static void set_conf(struct mx_vol *v, const struct mx_vol_conf *conf)
{
	if (conf)
		v->conf = *conf;
	else
		v->conf.open_timeout = 30 * MX_SEC;
	if (!v->conf.lease)
		v->conf.lease = 10 * MX_SEC;
	if (!v->conf.rebuild_wait)
		v->conf.rebuild_wait = 3 * MX_SEC;
	if (!v->conf.ios)
		v->conf.ios = 512;
	v->conf.ios = mx_min_u32(v->conf.ios, 32768);
	if (!v->conf.enroll_max)
		v->conf.enroll_max = 16;
	v->conf.enroll_max = mx_min_u32(v->conf.enroll_max, MX_ENROLLED_MAX / 2);
}

static struct mx_vol *vol_new(struct mx_client *c, const char *name, const struct mx_vol_conf *conf,
			      const struct mx_vol_ops *ops, void *user)
{
	struct mx_vol *v = c->port->alloc(c->port->ctx, sizeof *v);
	struct mx_text t;

	if (!v)
		return NULL;
	v->c = c;
	v->ops = *ops;
	v->user = user;
	v->nvs = 1;
	v->sweep = ~0u;
	v->tick_at = MX_NEVER;
	mx_text_init(&t, v->name, sizeof v->name);
	mx_text_str(&t, name);
	set_conf(v, conf);
	mx_list_init(&v->reqq);
	mx_list_init(&v->leasewait);
	mx_list_init(&v->statwait);
	mx_list_init(&v->unknown);
	mx_list_init(&v->statq);
	mx_list_init(&v->io_free);
	mx_list_init(&v->act_free);
	mx_list_init(&v->held);
	mx_list_init(&v->edit.node);
	mx_timer_init(&v->tick, tick);
	mx_list_add_tail(&c->vols, &v->node);
	return v;
}

struct mx_vol *mx_vol_open(struct mx_client *c, const char *name, const struct mx_vol_conf *conf,
			   const struct mx_vol_ops *ops, void *user, mx_ns now)
{
	struct mx_vol *v = vol_new(c, name, conf, ops, user);
	struct mx_claim_conf cc;
	struct mx_claim_ops co = { .done = claim_done, .changed = claim_changed, .leased = claim_leased };

	if (!v)
		return NULL;
	memset(&cc, 0, sizeof cc);
	cc.lease = v->conf.lease;
	cc.timeout = v->conf.open_timeout;
	cc.wait_lease = v->conf.wait_owner;
	cc.force = v->conf.force;
	cc.reclaim = true;
	v->claim = mx_claim_new(c->ep, &cc, &co, v);
	if (!v->claim || !pools_alloc(v)) {
		mx_vol_free(v);
		return NULL;
	}
	mx_claim_find(v->claim, v->name, NULL, now);
	return v;
}

/* Requests still there end CANCELLED. */
static void cancel_requests(struct mx_vol *v)
{
	struct mx_list *n, *next;
	mx_ns now = 0;

	if (!v->fail)
		v->fail = MX_ST_CANCELLED;
	mx_vol_end_all(v, v->fail, now);
	mx_list_for_each_safe(n, next, &v->c->done) {
		struct mx_req *r = mx_list_entry(n, struct mx_req, node);

		if (r->vol != v)
			continue;
		mx_list_del(n);
		r->done(r, r->st == MX_OK ? MX_ST_CANCELLED : r->st);
	}
	mx_list_for_each_safe(n, next, &v->c->stat_done) {
		struct mx_blkstat_req *r = mx_list_entry(n, struct mx_blkstat_req, node);

		if (r->vol != v)
			continue;
		mx_list_del(n);
		r->done(r, MX_ST_CANCELLED);
	}
}

void mx_vol_free(struct mx_vol *v)
{
	const struct mx_port *port;

	if (!v)
		return;
	port = v->c->port;
	v->phase = MX_VP_CLOSED;
	if (v->ios && v->acts)
		cancel_requests(v);
	mx_resize_free(v);
	mx_move_free(v);
	if (v->claim)
		mx_claim_free(v->claim);
	for (u32 i = v->nvs - 1; v->vs && i >= 1; i--) {
		if (i < v->nvs && v->vs[i])
			mx_vs_free(v->vs[i]);
	}
	mx_timer_cancel(&v->tick);
	mx_list_del(&v->node);
	pools_free(v);
	mx_map_free(&v->map, port);
	port->free(port->ctx, v, sizeof *v);
}

/* ---- looking ---- */

const char *mx_vol_error(const struct mx_vol *v)
{
	return v->err;
}

u64 mx_vol_size(const struct mx_vol *v)
{
	return v->size;
}

const struct mx_desc *mx_vol_desc(const struct mx_vol *v)
{
	return mx_claim_desc(v->claim);
}

void mx_vol_stats(const struct mx_vol *v, struct mx_vol_stats *out, mx_ns now)
{
	*out = v->st;
	for (u32 i = 0; i < 4; i++)
		out->extents[i] = v->map.count[i];
	out->map_bytes = v->map.bytes;
	out->servers = out->servers_up = out->servers_gone = 0;
	for (u32 i = 1; i < v->nvs; i++) {
		const struct mx_vs *s = v->vs[i];

		if (!s || s->state < MX_VS_SEAL)
			continue;
		if (s->state == MX_VS_GONE) {
			out->servers_gone++;
			continue;
		}
		out->servers++;
		out->servers_up += mx_srv_up(s->srv);
	}
	out->inflight = v->nlive;
	out->waiting = v->nreqs;
	out->epoch = v->epoch;
	out->fenced = v->fail == MX_ST_FENCED;
	out->lease_ok = mx_claim_lease_until(v->claim) > now;
}

enum mx_ext_state mx_vol_extent(const struct mx_vol *v, u32 extent, u64 *server, u32 *gen)
{
	const struct mx_ent *e;

	if (server)
		*server = 0;
	if (gen)
		*gen = 0;
	if (extent >= v->map.nents)
		return MX_EXT_HOLE;
	e = mx_map_at(&v->map, extent);
	if (gen)
		*gen = e->gen;
	if (server && e->srv[0])
		*server = v->vs[e->srv[0]]->id;
	return e->state;
}
