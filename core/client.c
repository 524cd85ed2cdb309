// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's instance: an endpoint, the servers its volumes use, and the
 * delivery of what has ended.
 */
#include "client_int.h"

/* ---- servers ---- */

struct mx_srv *mx_srv_get(struct mx_client *c, const struct mx_addr *a, mx_ns now)
{
	const struct mx_port *port = c->port;
	struct mx_peer *peer = mx_peer_connect(c->ep, a, now);
	struct mx_srv *s;
	struct mx_list *n;

	if (!peer)
		return NULL;
	mx_list_for_each(n, &c->srvs) {
		s = mx_list_entry(n, struct mx_srv, node);
		if (s->peer != peer)
			continue;
		s->refs++;
		mx_peer_put(peer);
		return s;
	}
	s = port->alloc(port->ctx, sizeof *s);
	if (!s) {
		mx_peer_put(peer);
		return NULL;
	}
	s->c = c;
	s->peer = peer;
	s->refs = 1;
	s->armed = MX_NEVER;
	mx_list_init(&s->queue);
	mx_list_init(&s->flight);
	mx_list_init(&s->rxwait);
	mx_timer_init(&s->timer, mx_srv_timer);
	mx_list_add_tail(&c->srvs, &s->node);
	mx_peer_set_user(peer, s);
	return s;
}

void mx_srv_put(struct mx_srv *s)
{
	if (--s->refs)
		return;
	mx_timer_cancel(&s->timer);
	mx_list_del(&s->rxwait);
	mx_list_del(&s->node);
	mx_peer_set_user(s->peer, NULL);
	mx_peer_put(s->peer);
	s->c->port->free(s->c->port->ctx, s, sizeof *s);
}

/* ---- tags ---- */

/* Gives @n parts their places in the table of tags: the first free ones. */
bool mx_client_add_ios(struct mx_client *c, struct mx_io *ios, u32 n)
{
	const struct mx_port *port = c->port;
	u32 used = 0, at = 0;

	for (u32 i = 0; i < c->nios; i++)
		used += c->ios[i] != NULL;
	if (used + n > 0x10000)
		return false;
	if (used + n > c->nios) {
		struct mx_io **t = port->alloc(port->ctx, (used + n) * sizeof *t);

		if (!t)
			return false;
		if (c->nios) {
			memcpy(t, c->ios, c->nios * sizeof *t);
			port->free(port->ctx, c->ios, c->nios * sizeof *t);
		}
		c->ios = t;
		c->nios = used + n;
	}
	for (u32 i = 0; i < n; i++, at++) {
		while (c->ios[at])
			at++;
		c->ios[at] = &ios[i];
		/* Where it starts is random: answers to an earlier user of the
		 * place are nothing to this one. */
		ios[i].tag = mx_client_random(c, 0x10000) << 16 | at;
	}
	return true;
}

void mx_client_del_ios(struct mx_client *c, struct mx_io *ios, u32 n)
{
	for (u32 i = 0; i < c->nios; i++)
		if (c->ios[i] >= ios && c->ios[i] < ios + n)
			c->ios[i] = NULL;
}

u32 mx_client_random(struct mx_client *c, u32 below)
{
	u32 r;

	c->port->random(c->port->ctx, &r, sizeof r);
	return (u32)((u64)r * below >> 32);
}

/* ---- delivery ---- */

void mx_client_kick(struct mx_client *c, mx_ns now)
{
	if (mx_list_empty(&c->kick.node))
		mx_timer_set(c->ep, &c->kick, 0);	/* at the next step */
}

/* Whether the end of a request that began at @born is told now; else it waits in @wait. */
static bool may_tell(struct mx_vol *v, bool ok, bool local, mx_ns born, struct mx_list *node,
		     struct mx_list *wait, mx_ns now)
{
	if (ok && !mx_vol_was_ours(v, local, born, now)) {
		mx_list_add_tail(wait, node);
		mx_vol_tick_at(v, now + 5 * MX_MS);
		return false;
	}
	v->nreqs--;
	if (v->phase == MX_VP_CLOSING)
		mx_vol_tick_at(v, now);
	return true;
}

static void deliver_one(struct mx_req *r, mx_ns now)
{
	struct mx_vol *v = r->vol;

	mx_list_del(&r->node);
	if (v->fail && r->st == MX_OK)
		r->st = v->fail;
	if (may_tell(v, r->st == MX_OK, r->local, r->born, &r->node, &v->leasewait, now))
		r->done(r, r->st);
}

static void deliver_stat(struct mx_blkstat_req *r, mx_ns now)
{
	struct mx_vol *v = r->vol;

	mx_list_del(&r->node);
	if (v->fail && r->attempt == MX_OK)
		r->attempt = v->fail;
	if (may_tell(v, r->attempt == MX_OK, true, r->sent, &r->node, &v->statwait, now))
		r->done(r, r->attempt);
}

/* Only what is there at the start, so that a caller whose done() submits what
 * completes at once does not keep us here. */
static void deliver(struct mx_client *c, mx_ns now)
{
	struct mx_list reqs, stats;

	mx_list_take(&reqs, &c->done);
	mx_list_take(&stats, &c->stat_done);
	while (!mx_list_empty(&reqs))
		deliver_one(mx_list_entry(reqs.next, struct mx_req, node), now);
	while (!mx_list_empty(&stats))
		deliver_stat(mx_list_entry(stats.next, struct mx_blkstat_req, node), now);
}

void mx_client_settle(struct mx_client *c, mx_ns now)
{
	struct mx_list *n, turn;

	if (!mx_list_empty(&c->rxwait) && c->rx_out < c->rx_max) {
		mx_list_take(&turn, &c->rxwait);
		while (!mx_list_empty(&turn)) {
			struct mx_srv *s = mx_list_entry(turn.next, struct mx_srv, rxwait);

			mx_list_del(&s->rxwait);
			mx_srv_pump(s, now);
		}
	}
	mx_list_for_each(n, &c->vols) {
		struct mx_vol *v = mx_list_entry(n, struct mx_vol, node);

		if (!mx_list_empty(&v->reqq) || !mx_list_empty(&v->statq))
			mx_vol_pump(v, now);
	}
	deliver(c, now);
	if (!mx_list_empty(&c->done) || !mx_list_empty(&c->stat_done))
		mx_client_kick(c, now);
}

static void kick_timer(struct mx_timer *t, mx_ns now)
{
	mx_client_settle(mx_container_of(t, struct mx_client, kick), now);
}

/* ---- the endpoint's calls ---- */

static void ep_message(void *user, struct mx_peer *p, const struct mx_head *h,
		       const u8 *head, const u8 *payload, mx_ns now)
{
	mx_io_message(user, p, h, head, payload, now);
}

static void ep_flush(void *user, mx_ns now)
{
	mx_client_settle(user, now);
}

static void ep_peer(void *user, struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now)
{
	struct mx_client *c = user;
	struct mx_srv *s = mx_peer_user(p);
	struct mx_list *n;

	(void)reborn;		/* the volume's servers compare incarnations themselves */
	if (!s || st == MX_PEER_GONE)
		return;
	/* First what another incarnation must not be sent is taken back. */
	mx_list_for_each(n, &c->vols)
		mx_vol_peer(mx_list_entry(n, struct mx_vol, node), s, now);
	if (st == MX_PEER_UP)
		mx_srv_hurry(s, now);
	mx_client_settle(c, now);
}

static void ep_member(void *user, struct mx_member *m, mx_ns now)
{
	struct mx_client *c = user;
	struct mx_list *n;

	mx_list_for_each(n, &c->vols)
		mx_vol_member(mx_list_entry(n, struct mx_vol, node), m, now);
	mx_client_settle(c, now);
}

/* ---- life ---- */

struct mx_client *mx_client_new(const struct mx_port *port, const struct mx_client_conf *conf,
				mx_ns now)
{
	struct mx_client *c = port->alloc(port->ctx, sizeof *c);

	if (!c)
		return NULL;
	c->port = port;
	c->rx_max = conf->rx_bytes_max ? conf->rx_bytes_max : 1u << 20;
	mx_list_init(&c->vols);
	mx_list_init(&c->srvs);
	mx_list_init(&c->rxwait);
	mx_list_init(&c->done);
	mx_list_init(&c->stat_done);
	mx_list_init(&c->ops_open);
	mx_timer_init(&c->kick, kick_timer);
	c->ops.message = ep_message;
	c->ops.flush = ep_flush;
	c->ops.peer = ep_peer;
	c->ops.member = ep_member;
	c->ep = mx_ep_new(port, &conf->ep, &c->ops, c, now);
	if (!c->ep) {
		port->free(port->ctx, c, sizeof *c);
		return NULL;
	}
	return c;
}

void mx_client_free(struct mx_client *c)
{
	const struct mx_port *port;

	if (!c)
		return;
	port = c->port;
	mx_ops_free(c);
	mx_timer_cancel(&c->kick);
	mx_ep_free(c->ep);
	if (c->nios)
		port->free(port->ctx, c->ios, c->nios * sizeof *c->ios);
	port->free(port->ctx, c, sizeof *c);
}

struct mx_ep *mx_client_ep(struct mx_client *c)
{
	return c->ep;
}
