// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asking many servers one thing.
 */
#include "ops_int.h"

#define ASK_PATIENCE	(3 * MX_SEC)
#define SETTLE		(500 * MX_MS)	/* members may still be coming in */
#define NONE_PATIENCE	(4 * MX_SEC)	/* none is known at all */
#define ASKS_MAX	4096u

static bool grow(struct mx_opctx *x)
{
	const struct mx_port *port = x->c->port;
	u32 cap = x->asks_cap ? x->asks_cap * 2 : 16;
	struct mx_ask **t = port->alloc(port->ctx, cap * sizeof *t);

	if (!t)
		return false;
	if (x->asks) {
		memcpy(t, x->asks, x->nasks * sizeof *t);
		port->free(port->ctx, x->asks, x->asks_cap * sizeof *t);
	}
	x->asks = t;
	x->asks_cap = cap;
	return true;
}

static void ask_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_ask *a = mx_container_of(call, struct mx_ask, call);
	struct mx_opctx *x = a->x;
	const struct mx_node *n = mx_peer_node(a->peer);

	a->busy = false;
	a->st = st;
	a->id = st < 64 ? n->id : 0;
	a->inc = st < 64 ? n->incarnation : 0;
	if (x->ending)
		return;
	if (x->replied)
		x->replied(x, a, body, len, now);
	if (!x->ending && x->asked)
		x->asked(x, now);
	else if (!x->ending)
		mx_timer_set(x->c->ep, &x->timer, 0);
}

static void start(struct mx_ask *a, mx_ns now)
{
	a->busy = true;
	mx_call_start(&a->call, a->peer, a->op, a->req, a->len, ASK_PATIENCE, now, ask_done);
}

struct mx_ask *mx_ask(struct mx_opctx *x, const struct mx_addr *addr, u16 op, const u8 *req, u32 len,
		      mx_ns now)
{
	const struct mx_port *port = x->c->port;
	struct mx_ask *a;

	if (x->nasks == x->asks_cap && !grow(x))
		return NULL;
	a = port->alloc(port->ctx, sizeof *a);
	if (!a)
		return NULL;
	a->x = x;
	a->op = op;
	a->addr = *addr;
	a->req = req;
	a->len = len;
	if (len <= sizeof a->body) {
		memcpy(a->body, req, len);
		a->req = a->body;
	}
	a->peer = mx_peer_connect(x->c->ep, addr, now);
	if (!a->peer) {
		port->free(port->ctx, a, sizeof *a);
		return NULL;
	}
	x->asks[x->nasks++] = a;
	start(a, now);
	return a;
}

void mx_ask_again(struct mx_ask *a, mx_ns now)
{
	start(a, now);
}

bool mx_asks_busy(const struct mx_opctx *x)
{
	for (u32 i = 0; i < x->nasks; i++)
		if (x->asks[i]->busy)
			return true;
	return false;
}

void mx_asks_free(struct mx_opctx *x)
{
	const struct mx_port *port = x->c->port;

	for (u32 i = 0; i < x->nasks; i++) {
		struct mx_ask *a = x->asks[i];

		if (a->busy)
			mx_call_cancel(&a->call);
		mx_peer_put(a->peer);
		port->free(port->ctx, a, sizeof *a);
	}
	if (x->asks)
		port->free(port->ctx, x->asks, x->asks_cap * sizeof *x->asks);
	x->asks = NULL;
	x->nasks = x->asks_cap = 0;
}

static bool was_asked(const struct mx_opctx *x, const struct mx_addr *addr)
{
	for (u32 i = 0; i < x->nasks; i++)
		if (mx_addr_eq(&x->asks[i]->addr, addr))
			return true;
	return false;
}

static void ask_new(struct mx_opctx *x, mx_ns now)
{
	for (u32 i = 0; i < mx_ep_nmembers(x->c->ep); i++) {
		const struct mx_member *m = mx_ep_member(x->c->ep, i);

		if (!(m->flags & MX_MEMBER_SERVER) || x->nasks == ASKS_MAX || was_asked(x, &m->addr))
			continue;
		if (!mx_ask(x, &m->addr, x->ask_op, x->small, x->small_len, now))
			return;
		x->last_new = now;
	}
}

static void members_tick(struct mx_opctx *x, mx_ns now)
{
	u32 answered = 0;
	mx_ns settled = x->nasks ? x->last_new + SETTLE : x->started + NONE_PATIENCE;

	ask_new(x, now);
	if (mx_asks_busy(x) || now < settled) {
		mx_timer_set(x->c->ep, &x->timer, now + 100 * MX_MS);
		return;
	}
	for (u32 i = 0; i < x->nasks; i++)
		answered += x->asks[i]->st < 64;
	if (!answered) {
		mx_op_end_why(x, MX_ST_NO_SERVERS, x->nasks ? ": no server answered; is the key right?" :
			      ": no server was found; is memxd running, and is the address, interface "
			      "or seed right?", now);
		return;
	}
	x->tick = x->after_members ? x->after_members : x->tick;
	if (x->after_members)
		x->after_members(x, now);
	else
		mx_op_end(x, MX_OK, now);
}

void mx_ask_members(struct mx_opctx *x, u16 op, mx_ns now)
{
	x->ask_op = op;
	x->started = x->last_new = now;
	x->tick = members_tick;
	mx_timer_set(x->c->ep, &x->timer, 0);
}
