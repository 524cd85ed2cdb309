/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server's life: its peers, the pool of replies, timers, and which control
 * call goes where. All memory of the data path is taken here.
 */
#include "server_int.h"

#define JOBS_DEFAULT	4096u
#define JOBS_MIN	128u
#define VOLUMES_DEFAULT	4096u
#define CARE_DEFAULT	(60 * MX_SEC)
#define CTL_MIN		(24u << 10)	/* memory of control that is set aside */
#define CTL_MAX		(16u << 20)
#define WORK_RETRY	(10 * MX_MS)	/* the port had no memory */

/* ---- memory of control ---- */

/* What is charged to the store for @used bytes: the budget in any case. */
static u64 ctl_charge(const struct mx_server *s, u64 used)
{
	return mx_max_u64(used, s->ctl_budget);
}

void *mx_srv_alloc(struct mx_server *s, size_t n)
{
	u64 more = ctl_charge(s, s->ctl_used + n) - ctl_charge(s, s->ctl_used);
	void *p;

	if (more && mx_store_room(s->store) + mx_store_vital(s->store) < more)
		return NULL;
	p = s->port->alloc(s->port->ctx, n);
	if (!p)
		return NULL;
	mx_store_charge(s->store, (s64)more);
	s->ctl_used += n;
	return p;
}

void mx_srv_free(struct mx_server *s, void *p, size_t n)
{
	u64 less = ctl_charge(s, s->ctl_used) - ctl_charge(s, s->ctl_used - n);

	if (!p)
		return;
	s->port->free(s->port->ctx, p, n);
	mx_store_charge(s->store, -(s64)less);
	s->ctl_used -= n;
}

/*
 * Set aside from the start, so that a full server can still be talked to: peers
 * come, descriptors change, volumes are deleted.
 */
static bool ctl_set_aside(struct mx_server *s)
{
	u64 all = s->conf.store.ceiling, n = mx_max_u64(all >> 12, CTL_MIN);

	/* Of the smallest servers not more than a sixteenth. */
	n = s->ctl_used + mx_min_u64(mx_min_u64(n, CTL_MAX), all / 16);
	if (mx_store_room(s->store) < n - s->ctl_used)
		return false;
	mx_store_charge(s->store, (s64)(n - s->ctl_used));
	s->ctl_budget = n;
	return true;
}

/* Entries of a table: one for each 2^@shift bytes of the ceiling, so that a small
 * server's tables are small too. */
static u32 share_of(const struct mx_server *s, u32 shift, u32 min, u32 max)
{
	return (u32)mx_min_u64(mx_max_u64(s->conf.store.ceiling >> shift, min), max);
}

static bool tables_new(struct mx_server *s)
{
	s->nrings = share_of(s, 19, DROPPED_MIN, DROPPED_MAX);
	s->reserves = mx_srv_alloc(s, RESERVES_MAX * sizeof *s->reserves);
	s->dropped = mx_srv_alloc(s, s->nrings * sizeof *s->dropped);
	s->letgo = mx_srv_alloc(s, s->nrings * sizeof *s->letgo);
	return s->reserves && s->dropped && s->letgo;
}

static void tables_free(struct mx_server *s)
{
	mx_srv_free(s, s->reserves, RESERVES_MAX * sizeof *s->reserves);
	mx_srv_free(s, s->dropped, s->nrings * sizeof *s->dropped);
	mx_srv_free(s, s->letgo, s->nrings * sizeof *s->letgo);
}

/* The endpoint's memory (peers, sessions, members, calls) counts too. */
static void charge_ep(struct mx_server *s)
{
	u64 now = s->ep ? mx_ep_bytes(s->ep) : 0;

	mx_store_charge(s->store, (s64)(now - s->ep_charged));
	s->ep_charged = now;
}

/* ---- jobs ---- */

struct mx_job *mx_job_get(struct mx_speer *sp, enum mx_job_kind kind, const struct mx_head *h)
{
	struct mx_server *s = sp->s;
	struct mx_job *j;

	if (mx_list_empty(&s->free_jobs)) {
		s->st.dropped_jobs++;
		return NULL;
	}
	j = mx_list_entry(s->free_jobs.next, struct mx_job, node);
	mx_list_del(&j->node);
	mx_list_add_tail(&sp->jobs, &j->node);
	s->nfree--;
	j->sp = sp;
	j->kind = (u8)kind;
	j->tag = h->tag;
	j->attempt = h->attempt;
	j->flags = 0;
	j->status = 0;
	return j;
}

void mx_job_free(struct mx_job *j)
{
	struct mx_speer *sp = j->sp;
	struct mx_job **at = &sp->recent[j->tag % RECENT_READS];

	mx_txm_cancel(&j->txm);
	if (sp->last_ack == j)
		sp->last_ack = NULL;
	if (*at == j)
		*at = NULL;
	mx_list_del(&j->node);
	/* At the head: what was used last is in the cache. */
	mx_list_add_head(&sp->s->free_jobs, &j->node);
	sp->s->nfree++;
	j->sp = NULL;
}

static bool jobs_new(struct mx_server *s)
{
	u32 n = s->conf.jobs, i;

	if (!n)
		n = share_of(s, 19, JOBS_MIN, JOBS_DEFAULT);
	s->jobs = mx_srv_alloc(s, n * sizeof *s->jobs);
	if (!s->jobs)
		return false;
	s->njobs = s->nfree = n;
	for (i = 0; i < n; i++)
		mx_list_add_tail(&s->free_jobs, &s->jobs[i].node);
	return true;
}

bool mx_server_jobs_low(const struct mx_server *s)
{
	return s->nfree < s->njobs / 4;
}

/* ---- peers ---- */

static void speer_free(struct mx_speer *sp)
{
	while (!mx_list_empty(&sp->jobs))
		mx_job_free(mx_list_entry(sp->jobs.next, struct mx_job, node));
	mx_list_del(&sp->node);
	mx_srv_free(sp->s, sp, sizeof *sp);
}

struct mx_speer *mx_srv_peer(struct mx_server *s, struct mx_peer *p)
{
	struct mx_speer *sp = mx_peer_user(p);
	const struct mx_key *key;
	u32 i;

	if (sp || mx_peer_is_initiator(p))
		return sp;
	sp = mx_srv_alloc(s, sizeof *sp);
	if (!sp)
		return NULL;
	sp->s = s;
	sp->peer = p;
	mx_list_init(&sp->jobs);
	key = mx_peer_key(p);
	sp->restricted = key && key->kind == MX_KEY_VOLUME;
	for (i = 0; sp->restricted && i < MX_NAME_MAX && key->volume[i]; i++)
		sp->volume[i] = (u8)key->volume[i];
	mx_list_add_tail(&s->speers, &sp->node);
	mx_peer_set_user(p, sp);
	return sp;
}

static void on_peer(void *user, struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now)
{
	struct mx_server *s = user;
	struct mx_speer *sp;

	(void)reborn;
	(void)now;
	if (mx_peer_is_initiator(p))
		return;			/* the caretaker's */
	sp = mx_peer_user(p);
	if (st == MX_PEER_UP) {
		mx_srv_peer(s, p);
	} else if (st == MX_PEER_GONE && sp) {
		mx_peer_set_user(p, NULL);
		speer_free(sp);
	}
}

static void on_message(void *user, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		       const u8 *payload, mx_ns now)
{
	struct mx_speer *sp = mx_peer_user(p);

	(void)now;
	if (sp)
		mx_serve(sp, h, head, payload);
}

static void on_flush(void *user, mx_ns now)
{
	struct mx_server *s = user;

	if (mx_store_wants_work(s->store) && mx_list_empty(&s->work.node))
		mx_timer_set(s->ep, &s->work, now);
}

/* ---- control calls ---- */

/* What a volume's key gives access to; each of these checks the name. */
static bool op_for_volume_key(u16 op)
{
	switch (op) {
	case MX_OP_LOOKUP:
	case MX_OP_PREPARE:
	case MX_OP_ACCEPT:
	case MX_OP_LEASE:
	case MX_OP_BITS_SET:
	case MX_OP_BITS_GET:
	case MX_OP_SEAL:
	case MX_OP_LIST_EXTENTS:
	case MX_OP_DROP_EXTENT:
	case MX_OP_COMMIT_EXTENT:
		return true;
	default:
		return false;
	}
}

static enum mx_status dispatch(struct mx_ccall *c, u16 op)
{
	switch (op) {
	case MX_OP_STATS:
		return mx_call_stats(c);
	case MX_OP_LOOKUP:
		return mx_call_lookup(c);
	case MX_OP_LIST:
		return mx_call_list(c);
	case MX_OP_RESERVE:
		return mx_call_reserve(c);
	case MX_OP_PREPARE:
		return mx_call_prepare(c);
	case MX_OP_ACCEPT:
		return mx_call_accept(c);
	case MX_OP_LEASE:
		return mx_call_lease(c);
	case MX_OP_BITS_SET:
		return mx_call_bits_set(c);
	case MX_OP_BITS_GET:
		return mx_call_bits_get(c);
	case MX_OP_SEAL:
		return mx_call_seal(c);
	case MX_OP_LIST_EXTENTS:
		return mx_call_list_extents(c);
	case MX_OP_DROP_EXTENT:
		return mx_call_drop_extent(c, false);
	case MX_OP_COMMIT_EXTENT:
		return mx_call_drop_extent(c, true);
	case MX_OP_DROP_VOLUME:
		return mx_call_drop_volume(c);
	case MX_OP_FORGET:
		return mx_call_forget(c);
	case MX_OP_RECOVER_LIST:
		return mx_call_recover_list(c);
	default:
		return MX_ST_UNSUPPORTED;
	}
}

static enum mx_status on_call(void *user, struct mx_peer *p, u16 op, const u8 *body, u32 len,
			      u8 *rep, u32 cap, u32 *rep_len, mx_ns now)
{
	struct mx_server *s = user;
	struct mx_ccall c = { .s = s, .body = body, .len = len, .now = now };
	enum mx_status st;

	*rep_len = 0;
	c.sp = mx_srv_peer(s, p);
	if (!c.sp)
		return MX_ST_BUSY;
	s->st.calls++;
	if (c.sp->restricted && !op_for_volume_key(op))
		return MX_ST_DENIED;
	mx_put_init(&c.rep, rep, cap);
	st = dispatch(&c, op);
	*rep_len = mx_put_end(&c.rep);
	return st;
}

/* ---- timers ---- */

static void on_work(struct mx_timer *t, mx_ns now)
{
	struct mx_server *s = mx_container_of(t, struct mx_server, work);

	/* Lacking memory it pauses; with more to free it goes on between packets. */
	if (mx_store_work(s->store))
		mx_timer_set(s->ep, t, now + WORK_RETRY);
}

static void announce(struct mx_server *s)
{
	u16 flags = MX_MEMBER_SERVER | (s->leaving ? MX_MEMBER_LEAVING : 0);

	mx_ep_announce(s->ep, mx_store_stats(s->store)->ceiling, mx_store_room(s->store),
		       s->load, flags);
}

static void on_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_server *s = mx_container_of(t, struct mx_server, tick);

	mx_timer_set(s->ep, t, now + TICK);
	mx_store_age(s->store);
	charge_ep(s);
	announce(s);
	on_flush(s, now);
	mx_shed_tick(s);
	mx_care_tick(s, now);
}

/* ---- life ---- */

static const struct mx_ep_ops server_ops = {
	.message = on_message,
	.flush = on_flush,
	.call = on_call,
	.peer = on_peer,
};

struct mx_server *mx_server_new(const struct mx_port *port, const struct mx_server_conf *c, mx_ns now)
{
	struct mx_server *s = port->alloc(port->ctx, sizeof *s);

	if (!s)
		return NULL;
	s->port = port;
	s->conf = *c;
	s->conf.ep.accept = true;
	if (!s->conf.volumes_max)
		s->conf.volumes_max = VOLUMES_DEFAULT;
	if (!s->conf.caretaker_after)
		s->conf.caretaker_after = CARE_DEFAULT;
	s->started = now;
	mx_list_init(&s->speers);
	mx_list_init(&s->free_jobs);
	mx_timer_init(&s->work, on_work);
	mx_timer_init(&s->tick, on_tick);
	mx_shed_init(s);
	s->store = mx_store_new(port, &c->store);
	if (!s->store)
		goto err;
	mx_store_charge(s->store, sizeof *s);
	if (!tables_new(s) || !jobs_new(s) || !ctl_set_aside(s))
		goto err;
	s->ep = mx_ep_new(port, &s->conf.ep, &server_ops, s, now);
	mx_wipe(&s->conf.ep.key, sizeof s->conf.ep.key);	/* the endpoint has it */
	if (!s->ep || !mx_care_init(s))
		goto err;
	charge_ep(s);
	announce(s);
	mx_timer_set(s->ep, &s->tick, now + TICK);
	return s;
err:
	mx_server_free(s);
	return NULL;
}

void mx_server_free(struct mx_server *s)
{
	if (s->care)
		mx_care_free(s);
	if (s->ep) {
		mx_timer_cancel(&s->work);
		mx_timer_cancel(&s->tick);
	}
	while (!mx_list_empty(&s->speers))
		speer_free(mx_list_entry(s->speers.next, struct mx_speer, node));
	if (s->ep)
		mx_ep_free(s->ep);
	if (s->store) {
		mx_holders_free(s);
		tables_free(s);
		mx_srv_free(s, s->jobs, s->njobs * sizeof *s->jobs);
		mx_store_charge(s->store, -(s64)s->ctl_budget);
		mx_store_free(s->store);
	}
	s->port->free(s->port->ctx, s, sizeof *s);
}

struct mx_ep *mx_server_ep(struct mx_server *s)
{
	return s->ep;
}

struct mx_store *mx_server_store(struct mx_server *s)
{
	return s->store;
}

void mx_server_set_ceiling(struct mx_server *s, u64 bytes)
{
	mx_store_set_ceiling(s->store, bytes);
	announce(s);
}

void mx_server_set_load(struct mx_server *s, u32 load)
{
	s->load = mx_min_u32(load, 1000);
}

void mx_server_set_extra(struct mx_server *s, const char *text)
{
	s->extra = text;
}

void mx_server_leave(struct mx_server *s, mx_ns now)
{
	(void)now;
	s->leaving = true;
	mx_store_close(s->store);
	announce(s);
}

void mx_server_stats(const struct mx_server *s, struct mx_server_stats *out, mx_ns now)
{
	u32 i;

	*out = s->st;
	out->held = s->nheld;
	out->owned = 0;
	for (i = 0; i < s->nheld; i++)
		out->owned += mx_held_leased(s->held[i], now);
}

void mx_server_only_copies(const struct mx_server *s, u64 *volumes, u64 *extents, u64 *bytes)
{
	struct mx_svol *v = NULL;

	*volumes = *extents = *bytes = 0;
	while ((v = mx_svol_next(s->store, v))) {
		*volumes += mx_svol_extents(v) > 0;
		*extents += mx_svol_extents(v);
		*bytes += mx_svol_data_bytes(v);
	}
}
