// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Operations on volumes by name, and the change of an open volume's size.
 *
 * Each operation is a struct mx_opctx from its call to its done(). It ends from
 * its own timer, so that done() may do anything, and never runs inside the call
 * that began it. What asks many servers does so by struct mx_ask, one a server.
 */
#include "ops_int.h"

#define CLAIM_PATIENCE	(15 * MX_SEC)	/* to find, and to take */
#define OP_PATIENCE	(60 * MX_SEC)	/* for all of an operation */
#define RESIZE_PATIENCE	(30 * MX_SEC)	/* ... that has the volume open: without a lease */

/* ---- contexts ---- */

static void op_free(struct mx_opctx *x)
{
	struct mx_client *c = x->c;
	const struct mx_port *port = c->port;

	mx_timer_cancel(&x->timer);
	mx_timer_cancel(&x->limit);
	mx_asks_free(x);
	if (x->claim)
		mx_claim_free(x->claim);
	if (x->vol)
		mx_vol_free(x->vol);
	if (x->list)
		port->free(port->ctx, x->list, x->list_cap * sizeof *x->list);
	mx_list_del(&x->node);
	port->free(port->ctx, x, sizeof *x);
}

void mx_ops_free(struct mx_client *c)
{
	while (!mx_list_empty(&c->ops_open))
		op_free(mx_list_entry(c->ops_open.next, struct mx_opctx, node));
}

/* Ends with @st, soon. The sentence in x->err is kept if there is one. */
void mx_op_end(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	struct mx_text t;

	if (x->ending)
		return;
	x->ending = true;
	x->st = st;
	if (st != MX_OK && !x->err[0]) {
		mx_text_init(&t, x->err, sizeof x->err);
		if (x->claim)
			mx_claim_explain(&t, x->claim, x->name, st);
		else
			mx_text_str(&t, mx_status_str(st));
	}
	mx_timer_set(x->c->ep, &x->timer, 0);
}

void mx_op_end_why(struct mx_opctx *x, enum mx_status st, const char *why, mx_ns now)
{
	struct mx_text t;

	if (x->ending)
		return;
	mx_text_init(&t, x->err, sizeof x->err);
	if (x->name[0])
		mx_text_str(mx_text_str(mx_text_str(&t, "volume '"), x->name), "'");
	mx_text_str(&t, why);
	mx_op_end(x, st, now);
}

static void op_timer(struct mx_timer *t, mx_ns now)
{
	struct mx_opctx *x = mx_container_of(t, struct mx_opctx, timer);
	struct mx_vol_op *o = x->o;
	struct mx_client *c = x->c;

	if (!x->ending) {
		x->tick(x, now);
		mx_client_settle(c, now);
		return;
	}
	if (x->st == MX_OK && x->answer)
		x->answer(x, now);
	o->done(o, x->st, x->st == MX_OK ? NULL : x->err, now);
	op_free(x);
}

/*
 * What is written under a claim waits for a majority of the holders, however
 * long; whoever asked for it by name has no way to end it.
 */
static void op_limit(struct mx_timer *t, mx_ns now)
{
	struct mx_opctx *x = mx_container_of(t, struct mx_opctx, limit);
	enum mx_status st = x->claim ? mx_claim_hindrance(x->claim) : MX_ST_TIMEOUT;
	struct mx_text tx;

	if (x->ending)
		return;
	if (x->claim && !x->err[0]) {
		mx_text_init(&tx, x->err, sizeof x->err);
		mx_claim_explain(&tx, x->claim, x->name, st);
		mx_text_str(&tx, "; whether this was done shows once they are back");
	}
	mx_op_end(x, st, now);
}

static void no_tick(struct mx_opctx *x, mx_ns now)
{
	(void)x;
	(void)now;
}

/* NULL: no memory; o->done was told. */
struct mx_opctx *mx_op_new(struct mx_client *c, const char *name, struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = c->port->alloc(c->port->ctx, sizeof *x);
	struct mx_text t;

	if (!x) {
		o->done(o, MX_ST_NOMEM, "not enough memory", now);
		return NULL;
	}
	x->c = c;
	x->o = o;
	x->tick = no_tick;
	mx_timer_init(&x->timer, op_timer);
	mx_timer_init(&x->limit, op_limit);
	mx_timer_set(c->ep, &x->limit, now + OP_PATIENCE);
	mx_list_add_tail(&c->ops_open, &x->node);
	mx_text_init(&t, x->name, sizeof x->name);
	mx_text_str(&t, name ? name : "");
	if (name && !mx_name_valid(name))
		mx_op_end_why(x, MX_ST_INVALID, ": not a name; 1 to 63 letters, digits and . _ : + @ - / "
			      "are allowed, not starting with - . or /", now);
	return x;
}

static void claim_done(void *user, enum mx_status st, mx_ns now)
{
	struct mx_opctx *x = user;

	x->claimed(x, st, now);
}

static void claim_changed(void *user, enum mx_status st, mx_ns now)
{
	struct mx_opctx *x = user;

	if (st != MX_OK)
		mx_op_end_why(x, st, " was taken over by another client meanwhile; try again", now);
}

bool mx_op_claim(struct mx_opctx *x, bool force, bool heal, mx_ns now)
{
	struct mx_claim_conf cc;
	struct mx_claim_ops co = { .done = claim_done, .changed = claim_changed };

	if (x->ending)
		return false;
	memset(&cc, 0, sizeof cc);
	cc.timeout = CLAIM_PATIENCE;
	cc.admin = true;
	cc.force = force;
	cc.wait_lease = true;
	cc.no_heal = !heal;
	x->claim = mx_claim_new(x->c->ep, &cc, &co, x);
	if (!x->claim)
		mx_op_end_why(x, MX_ST_NOMEM, ": not enough memory", now);
	return x->claim != NULL;
}

/* ---- create ---- */

static bool size_ok(struct mx_opctx *x, u64 size, mx_ns now)
{
	if (size && !(size & (MX_BLOCK - 1)) && size <= MX_VOL_BYTES_MAX)
		return true;
	mx_op_end_why(x, MX_ST_INVALID, ": the size must be a multiple of 512 bytes, above 0 and at most "
		      "1 PiB", now);
	return false;
}

static void created(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	if (st == MX_ST_EXISTS)
		mx_op_end_why(x, st, " exists already; choose another name, or delete it first", now);
	else
		mx_op_end(x, st, now);
}

void mx_client_create(struct mx_client *c, const char *name, u64 size, u64 op_id,
		      struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, name, o, now);

	if (!x || x->ending || !size_ok(x, size, now) || !mx_op_claim(x, false, false, now))
		return;
	x->claimed = created;
	mx_claim_create(x->claim, x->name, size, op_id, now);
}

/* ---- info ---- */

static void info_answer(struct mx_opctx *x, mx_ns now)
{
	x->hstate.desc = (struct mx_desc *)mx_claim_desc(x->claim);
	x->hstate.promised = x->hstate.desc->epoch;
	x->hstate.holder_of = x->hstate.desc->owner;
	mx_claim_owner(x->claim, &x->hstate.lease_ms);
	x->o->priv = &x->hstate;
	(void)now;
}

void mx_client_info(struct mx_client *c, const char *name, struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, name, o, now);

	if (!x || !mx_op_claim(x, false, false, now))
		return;
	x->claimed = mx_op_end;
	x->answer = info_answer;
	mx_claim_find(x->claim, x->name, NULL, now);
}

/* ---- delete ---- */

static bool edit_deleted(struct mx_claim_edit *e, struct mx_desc *d)
{
	(void)e;
	d->state = MX_VOL_DELETED;
	return true;
}

static void delete_end(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	mx_op_end(x, st == MX_OK ? x->vol_st : st, now);
}

static void forgotten(struct mx_opctx *x, mx_ns now)
{
	if (!mx_asks_busy(x))
		delete_end(x, MX_OK, now);
}

static u32 drop_body(struct mx_opctx *x)
{
	struct mx_drop_vol_req r = { .epoch = mx_claim_epoch(x->claim) };

	memcpy(r.uuid, mx_claim_desc(x->claim)->uuid, MX_UUID);
	return mx_drop_vol_req_encode(x->small, sizeof x->small, &r);
}

/* The data are gone everywhere, or left to the holders, who keep the tombstone
 * and try again once our lease is over. */
static void dropped(struct mx_opctx *x, mx_ns now)
{
	const struct mx_desc *d = mx_claim_desc(x->claim);
	bool all = !x->unasked;

	if (mx_asks_busy(x))
		return;
	for (u32 i = 0; i < x->nasks; i++)
		all &= x->asks[i]->st == MX_OK;
	if (!all) {
		x->claimed = delete_end;
		mx_claim_release(x->claim, now);
		return;
	}
	mx_asks_free(x);
	x->asked = forgotten;
	for (u32 i = 0; i < d->nholders; i++)
		mx_ask(x, &d->holders[i].addr, MX_OP_FORGET, x->small, x->small_len, now);
	forgotten(x, now);
}

static void ask_drop(struct mx_opctx *x, const struct mx_srvref *r, mx_ns now)
{
	if (!mx_ask(x, &r->addr, MX_OP_DROP_VOLUME, x->small, x->small_len, now))
		x->unasked = true;
}

static void deleted(struct mx_claim_edit *e, enum mx_status st, mx_ns now)
{
	struct mx_opctx *x = mx_container_of(e, struct mx_opctx, edit);
	const struct mx_desc *d = mx_claim_desc(x->claim);

	if (st != MX_OK) {
		mx_op_end(x, st, now);
		return;
	}
	x->asked = dropped;
	x->small_len = drop_body(x);
	for (u32 i = 0; i < d->nenrolled; i++)
		if (d->enrolled[i].state != MX_ENR_GONE)
			ask_drop(x, &d->enrolled[i], now);
	/* A holder may have missed it: nobody forgets while one has it live. */
	for (u32 i = 0; i < d->nholders; i++) {
		int at = mx_desc_enrolled(d, d->holders[i].id, d->holders[i].incarnation);

		if (at < 0 || d->enrolled[at].state == MX_ENR_GONE)
			ask_drop(x, &d->holders[i], now);
	}
	dropped(x, now);
}

static void delete_claimed(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	if (st != MX_OK) {
		mx_op_end(x, st, now);
	} else if (mx_claim_state(x->claim) == MX_CLAIM_FOUND &&
		   memcmp(mx_claim_desc(x->claim)->name, x->name, sizeof x->name)) {
		mx_op_end_why(x, MX_ST_NO_VOLUME, " is not the one that has this uuid", now);
	} else if (mx_claim_state(x->claim) == MX_CLAIM_FOUND) {
		mx_claim_take(x->claim, now);
	} else if (mx_claim_desc(x->claim)->state == MX_VOL_DELETED) {
		/* Found at a holder that has missed its deletion: that is finished, but
		 * it is not what was asked for. There may be a new one of the name. */
		x->vol_st = MX_ST_DELETED;
		deleted(&x->edit, MX_OK, now);
	} else {
		x->edit.edit = edit_deleted;
		x->edit.done = deleted;
		mx_claim_edit(x->claim, &x->edit, now);
	}
}

void mx_client_delete(struct mx_client *c, const char *name, const u8 *uuid, bool force,
		      struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, name, o, now);

	if (!x || !mx_op_claim(x, force, false, now))
		return;
	x->claimed = delete_claimed;
	mx_claim_find(x->claim, x->name, uuid, now);
}

/* ---- resize by name ---- */

static bool edit_size(struct mx_claim_edit *e, struct mx_desc *d)
{
	d->size = mx_container_of(e, struct mx_opctx, edit)->size;
	return true;
}

/* Gives the claim back, then ends with @st. */
static void resize_end(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	x->vol_st = st;
	x->released = true;
	mx_claim_release(x->claim, now);
}

static void size_edited(struct mx_claim_edit *e, enum mx_status st, mx_ns now)
{
	struct mx_opctx *x = mx_container_of(e, struct mx_opctx, edit);

	if (st == MX_OK)
		resize_end(x, st, now);
	else
		mx_op_end(x, st, now);
}

static void keep_err(struct mx_opctx *x, const char *err)
{
	struct mx_text t;

	mx_text_init(&t, x->err, sizeof x->err);
	mx_text_str(&t, err);
}

static void vol_closed(void *user, mx_ns now)
{
	struct mx_opctx *x = user;

	mx_op_end(x, x->vol_st, now);
}

static void vol_resized(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct mx_opctx *x = o->user;

	if (x->late)
		return;			/* it is being closed, which ended this */
	x->vol_st = st;
	if (st != MX_OK && err)
		keep_err(x, err);
	if (x->vol)
		mx_vol_close(x->vol, now);
	else
		mx_op_end(x, st, now);
}

/*
 * An open volume waits for its holders for as long as its user does. The user of
 * an operation by name cannot end it: it ends when the lease has lapsed for so
 * long that most holders must be gone.
 */
static void resize_watch(struct mx_opctx *x, mx_ns now)
{
	struct mx_vol *v = x->vol ? x->vol : x->own;
	struct mx_text t;

	if (mx_claim_lease_until(v->claim) > now)
		x->until = now + RESIZE_PATIENCE;
	if (now < x->until) {
		mx_timer_set(x->c->ep, &x->timer, now + MX_SEC);
		return;
	}
	x->late = true;
	x->vol_st = mx_claim_hindrance(v->claim);
	mx_text_init(&t, x->err, sizeof x->err);
	mx_claim_explain(&t, v->claim, x->name, x->vol_st);
	mx_text_str(&t, "; whether its size was changed shows once they are back");
	if (x->vol) {
		mx_vol_close(x->vol, now);
	} else {
		mx_resize_disown(v);
		mx_op_end(x, x->vol_st, now);
	}
}

static void resize_vol(struct mx_opctx *x, struct mx_vol *v, mx_ns now)
{
	mx_timer_cancel(&x->limit);
	x->tick = resize_watch;
	x->until = now + RESIZE_PATIENCE;
	mx_timer_set(x->c->ep, &x->timer, now + MX_SEC);
	x->sub.done = vol_resized;
	x->sub.user = x;
	mx_vol_resize(v, x->size, &x->sub, now);
}

static void vol_opened(void *user, enum mx_status st, mx_ns now)
{
	struct mx_opctx *x = user;

	if (st == MX_OK) {
		resize_vol(x, x->vol, now);
		return;
	}
	keep_err(x, mx_vol_error(x->vol));
	mx_op_end(x, st, now);
}

/* What is cut off is discarded first, which wants the volume open. */
static void shrink(struct mx_opctx *x, mx_ns now)
{
	static const struct mx_vol_ops ops = { .opened = vol_opened, .closed = vol_closed };
	struct mx_vol_conf vc;

	memset(&vc, 0, sizeof vc);
	vc.wait_owner = true;
	vc.open_timeout = CLAIM_PATIENCE;
	vc.fail_after = CLAIM_PATIENCE;
	vc.ios = 32;
	mx_timer_cancel(&x->limit);	/* each step of it has its own */
	x->vol = mx_vol_open(x->c, x->name, &vc, &ops, x, now);
	if (!x->vol)
		mx_op_end_why(x, MX_ST_NOMEM, ": not enough memory", now);
}

static void too_large(struct mx_opctx *x)
{
	struct mx_text t;

	mx_text_init(&t, x->err, sizeof x->err);
	mx_text_str(mx_text_str(mx_text_str(&t, "volume '"), x->name), "' is larger than that now; "
		    "shrinking cuts data off, so it must be asked for ('--shrink')");
}

/* Is it open in this very client? Then its owner is who changes the size. */
static bool resize_own(struct mx_opctx *x, mx_ns now)
{
	const u8 *uuid = mx_claim_desc(x->claim)->uuid;
	struct mx_list *n;

	mx_list_for_each(n, &x->c->vols) {
		struct mx_vol *v = mx_list_entry(n, struct mx_vol, node);

		if (v->phase != MX_VP_OPEN || v->fail || memcmp(v->uuid, uuid, MX_UUID))
			continue;
		x->own = v;
		if (x->size < v->size && !x->shrink_ok) {
			too_large(x);
			mx_op_end(x, MX_ST_INVALID, now);
		} else {
			resize_vol(x, v, now);
		}
		return true;
	}
	return false;
}

/* What was found is one holder's word, who may have missed the last version: which
 * way the size goes is said by the claim alone. */
static void resize_held(struct mx_opctx *x, mx_ns now)
{
	u64 size = mx_claim_desc(x->claim)->size;

	if (size < x->size) {
		x->edit.edit = edit_size;
		x->edit.done = size_edited;
		mx_claim_edit(x->claim, &x->edit, now);
	} else if (size > x->size && !x->shrink_ok) {
		too_large(x);
		resize_end(x, MX_ST_INVALID, now);
	} else {
		x->cut = size > x->size;
		resize_end(x, MX_OK, now);
	}
}

static void resize_claimed(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	if (x->released && x->cut)
		shrink(x, now);
	else if (x->released)
		mx_op_end(x, x->vol_st, now);
	else if (st == MX_ST_OWNED && mx_claim_owner_is_us(x->claim) && resize_own(x, now))
		return;			/* it was being opened when we began */
	else if (st != MX_OK)
		mx_op_end(x, st, now);
	else if (mx_claim_state(x->claim) != MX_CLAIM_FOUND)
		resize_held(x, now);
	else if (!resize_own(x, now))
		mx_claim_take(x->claim, now);
}

void mx_client_resize(struct mx_client *c, const char *name, u64 size, bool shrink_ok,
		      struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, name, o, now);

	if (!x || x->ending || !size_ok(x, size, now) || !mx_op_claim(x, false, false, now))
		return;
	x->size = size;
	x->shrink_ok = shrink_ok;
	x->claimed = resize_claimed;
	mx_claim_find(x->claim, x->name, NULL, now);
}

/* ---- list ---- */

static bool list_add(struct mx_opctx *x, const struct mx_list_entry *e)
{
	const struct mx_port *port = x->c->port;
	struct mx_list_entry *t;

	for (u32 i = 0; i < x->nlist; i++) {
		t = &x->list[i];
		if (memcmp(t->uuid, e->uuid, MX_UUID))
			continue;
		if (e->epoch > t->epoch || (e->epoch == t->epoch && e->version > t->version))
			*t = *e;
		else
			t->lease_ms = mx_max_u32(t->lease_ms, e->lease_ms);
		return true;
	}
	if (x->nlist == x->list_cap) {
		u32 cap = x->list_cap ? x->list_cap * 2 : 64;

		t = port->alloc(port->ctx, cap * sizeof *t);
		if (!t)
			return false;
		if (x->list) {
			memcpy(t, x->list, x->nlist * sizeof *t);
			port->free(port->ctx, x->list, x->list_cap * sizeof *t);
		}
		x->list = t;
		x->list_cap = cap;
	}
	x->list[x->nlist++] = *e;
	return true;
}

static void list_reply(struct mx_opctx *x, struct mx_ask *a, const u8 *body, u32 len, mx_ns now)
{
	struct mx_list_entry e;
	u32 n, i;

	if (a->st != MX_OK || len < 8)
		return;
	n = mx_min_u32(mx_ld32(body), (len - 8) / MX_LIST_ENTRY_WIRE);
	for (i = 0; i < n; i++) {
		if (!mx_list_entry_decode(body + 8 + i * MX_LIST_ENTRY_WIRE, MX_LIST_ENTRY_WIRE, &e))
			return;
		if (!list_add(x, &e)) {
			mx_op_end_why(x, MX_ST_NOMEM, "not enough memory", now);
			return;
		}
	}
	/* There are more: after the last one, whose uuid is the request. If they come in
	 * order, that ends. */
	if (!n || !mx_ld32(body + 4) || memcmp(e.uuid, a->body, MX_UUID) <= 0)
		return;
	memcpy(a->body, e.uuid, MX_UUID);
	mx_ask_again(a, now);
}

static void list_answer(struct mx_opctx *x, mx_ns now)
{
	(void)now;
	for (u32 i = 0; i < x->nlist; i++)
		x->entry(x->o->user, &x->list[i]);
}

void mx_client_list(struct mx_client *c, void (*entry)(void *user, const struct mx_list_entry *e),
		    struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, NULL, o, now);

	if (!x)
		return;
	x->entry = entry;
	x->replied = list_reply;
	x->answer = list_answer;
	memset(x->small, 0, MX_UUID);
	x->small_len = MX_UUID;
	mx_ask_members(x, MX_OP_LIST, now);
}

/* ---- figures of one server ---- */

static void stats_reply(struct mx_opctx *x, struct mx_ask *a, const u8 *body, u32 len, mx_ns now)
{
	if (a->st == MX_OK) {
		x->text(x->o->user, (const char *)body, len);
		mx_op_end(x, MX_OK, now);
	} else {
		mx_op_end(x, a->st, now);
	}
}

static void stats_tick(struct mx_opctx *x, mx_ns now)
{
	const struct mx_member *m = mx_ep_member_by_id(x->c->ep, x->server);

	if (x->nasks)
		return;
	if (m) {
		if (!mx_ask(x, &m->addr, MX_OP_STATS, x->small, 0, now))
			mx_op_end_why(x, MX_ST_NOMEM, "not enough memory", now);
	} else if (now >= x->started + 3 * MX_SEC) {
		mx_op_end_why(x, MX_ST_NO_SERVERS, "no server of that id is known; 'memxctl servers' "
			      "shows those that are", now);
	} else {
		mx_timer_set(x->c->ep, &x->timer, now + 100 * MX_MS);
	}
}

static void stats_asked(struct mx_opctx *x, mx_ns now)
{
	(void)x;
	(void)now;
}

void mx_client_server_stats(struct mx_client *c, u64 server_id,
			    void (*text)(void *user, const char *text, u32 len),
			    struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, NULL, o, now);

	if (!x)
		return;
	x->text = text;
	x->server = server_id;
	x->replied = stats_reply;
	x->asked = stats_asked;
	x->tick = stats_tick;
	x->started = now;
	stats_tick(x, now);
}
