/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control calls we make. The request is repeated as a whole, under the same tag,
 * until the reply is there; fragments of the reply are kept over repeats, as long
 * as the other side gives the same body.
 */
#include "ep_int.h"

#define RTO_CALL	(20 * MX_MS)	/* the least: answering takes time too */

/* ---- fragments, both directions ---- */

/* Writes one fragment of @body from *@off on, as large as there is room. */
enum mx_fill mx_ctl_fill(struct mx_room *r, const struct mx_head *proto, struct mx_ctl *c,
			 const u8 *body, u32 *off)
{
	u32 left = c->total - *off, n;
	struct mx_head h = *proto;

	if (r->head_room < MX_CTL_HEAD || r->room < MX_CTL_HEAD || (left && !r->nsegs_max))
		return MX_FILL_NOROOM;
	n = mx_min_u32(left, r->room - MX_CTL_HEAD);
	if (n < left)
		n -= n % MX_CTL_UNIT;
	if (!n && left)
		return MX_FILL_NOROOM;
	c->off = *off;
	h.plen = n;
	r->hlen = mx_ctl_encode(r->head, &h, c);
	r->plen = n;
	if (n) {
		r->segs[0].kind = MX_SEG_MEM;
		r->segs[0].off = 0;
		r->segs[0].len = n;
		r->segs[0].buf = (void *)(body + *off);	/* only ever read */
		r->nsegs = 1;
	}
	*off += n;
	return *off == c->total ? MX_FILL_DONE : MX_FILL_MORE;
}

static u64 unit_bits(u32 off, u32 len)
{
	u32 first = off / MX_CTL_UNIT, n = (len + MX_CTL_UNIT - 1) / MX_CTL_UNIT;

	/* At most 60 units: the shifts stay in range. */
	return ((1ull << n) - 1) << first;
}

/* Puts a fragment in its place. True: the body is whole. */
bool mx_ctl_gather(u8 *body, u64 *have, const struct mx_ctl *c, const u8 *payload, u32 plen)
{
	memcpy(body + c->off, payload, plen);
	*have |= unit_bits(c->off, plen);
	return *have == unit_bits(0, c->total);
}

/* ---- calls ---- */

static void arm(struct mx_call *c)
{
	mx_timer_set(c->peer->ep, &c->timer, mx_min_u64(c->resend_at, c->deadline));
}

static enum mx_fill call_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_call *c = mx_container_of(m, struct mx_call, txm);
	struct mx_head h = { .type = MX_CALL, .tag = c->tag, .attempt = c->attempt };
	struct mx_ctl ctl = { .op = c->op, .total = c->req_len, .body_crc = c->req_crc };
	enum mx_fill f = mx_ctl_fill(r, &h, &ctl, c->req, &c->sent_off);

	(void)p;
	if (f == MX_FILL_DONE) {
		c->resend_at = mx_after(r->now, c->rto);
		arm(c);
	}
	return f;
}

static void drop_reply(struct mx_call *c)
{
	if (c->rep)
		mx_release(c->peer->ep, c->rep, c->rep_len);
	c->rep = NULL;
	c->rep_have = 0;
}

static void unlink_call(struct mx_call *c)
{
	mx_txm_cancel(&c->txm);
	mx_timer_cancel(&c->timer);
	mx_list_del(&c->node);
}

/* Tells the caller, who may free or reuse @c from then on. */
static void end_call(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_peer *p = c->peer;
	u8 *rep = c->rep;
	u32 rep_len = c->rep_len;

	unlink_call(c);
	c->peer = NULL;
	c->rep = NULL;
	c->done(c, st, body, len, now);
	mx_release(p->ep, rep, rep_len);
	mx_peer_unused(p, now);
}

static void send_again(struct mx_call *c)
{
	c->attempt++;
	c->sent_off = 0;
	c->resend_at = MX_NEVER;	/* until it has been sent */
	mx_peer_send_ctl(c->peer, &c->txm);
	arm(c);
}

static void call_tick(struct mx_timer *t, mx_ns now)
{
	struct mx_call *c = mx_container_of(t, struct mx_call, timer);

	if (now >= c->deadline) {
		/* rep_status without a reply: why it could not even start. */
		enum mx_status st = !c->rep && c->rep_status ? c->rep_status : MX_ST_TIMEOUT;

		if (st == MX_ST_TIMEOUT)
			c->peer->ep->stats.call_timeouts++;
		end_call(c, st, NULL, 0, now);
		return;
	}
	c->rto = mx_min_u64(c->rto * 2, RTO_MAX);
	c->peer->ep->stats.retransmits++;
	mx_mtu_suspect(c->peer, now);
	send_again(c);
}

void mx_call_start(struct mx_call *c, struct mx_peer *p, u16 op, const void *req, u32 req_len,
		   mx_ns timeout, mx_ns now,
		   void (*done)(struct mx_call *, enum mx_status, const u8 *, u32, mx_ns))
{
	void *user = c->user;

	memset(c, 0, sizeof *c);
	c->user = user;
	c->peer = p;
	c->op = op;
	c->tag = ++p->ep->call_tag;
	c->req = req;
	c->req_len = req_len;
	c->started = now;
	c->deadline = mx_after(now, timeout);
	c->resend_at = MX_NEVER;
	c->rto = mx_max_u64(mx_peer_rto(p), RTO_CALL);
	c->done = done;
	mx_timer_init(&c->timer, call_tick);
	mx_txm_init(&c->txm, call_fill);
	mx_list_add_tail(&p->calls, &c->node);
	p->ep->stats.calls++;
	if (req_len > MX_CTL_BODY_MAX)
		c->rep_status = MX_ST_INVALID;
	else if (p->state == MX_PEER_REFUSED)
		c->rep_status = MX_ST_UNREACHABLE;
	if (c->rep_status) {
		c->deadline = now;
	} else {
		c->req_crc = mx_crc32c(0xffffffffu, req, req_len);
		mx_peer_send_ctl(p, &c->txm);
	}
	arm(c);
}

void mx_call_cancel(struct mx_call *c)
{
	struct mx_peer *p = c->peer;

	if (!p)
		return;
	unlink_call(c);
	drop_reply(c);
	c->peer = NULL;
	mx_peer_unused(p, p->heard);
}

/* A session has come up: do not wait for the next repeat. */
void mx_calls_kick(struct mx_peer *p, mx_ns now)
{
	struct mx_list *pos;

	mx_list_for_each(pos, &p->calls) {
		struct mx_call *c = mx_list_entry(pos, struct mx_call, node);

		if (c->resend_at == MX_NEVER || now >= c->deadline)
			continue;
		c->rto = mx_max_u64(mx_peer_rto(p), RTO_CALL);
		send_again(c);
	}
}

void mx_calls_end(struct mx_peer *p, enum mx_status st, mx_ns now)
{
	struct mx_list todo;

	mx_list_init(&todo);
	while (!mx_list_empty(&p->calls)) {
		struct mx_list *n = p->calls.next;

		mx_list_del(n);
		mx_list_add_tail(&todo, n);
	}
	while (!mx_list_empty(&todo))
		end_call(mx_list_entry(todo.next, struct mx_call, node), st, NULL, 0, now);
}

static struct mx_call *find(struct mx_peer *p, u32 tag, u16 op)
{
	struct mx_list *pos;

	mx_list_for_each(pos, &p->calls) {
		struct mx_call *c = mx_list_entry(pos, struct mx_call, node);

		if (c->tag == tag && c->op == op)
			return c;
	}
	return NULL;
}

static void reply_whole(struct mx_call *c, u8 status, const u8 *body, u32 len, mx_ns now)
{
	end_call(c, status < MX_ST_TIMEOUT ? status : MX_ST_INVALID, body, len, now);
}

/* A fragment of several. False: no memory; the repeat brings it again. */
static bool gather(struct mx_call *c, const struct mx_ctl *m, u8 status)
{
	if (c->rep && (c->rep_len != m->total || c->rep_crc != m->body_crc ||
		       c->rep_status != status))
		drop_reply(c);
	if (!c->rep) {
		c->rep = mx_alloc(c->peer->ep, m->total);
		c->rep_len = m->total;
		c->rep_crc = m->body_crc;
		c->rep_status = status;
	}
	return c->rep != NULL;
}

void mx_call_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head, const u8 *payload,
		mx_ns now)
{
	struct mx_ctl m;
	struct mx_call *c;

	if (!mx_ctl_decode(head, h, &m)) {
		p->ep->stats.rejects[MX_RJ_FIELD]++;
		return;
	}
	c = find(p, h->tag, m.op);
	if (!c)
		return;		/* answered before, or cancelled */
	if (h->plen == m.total) {
		if (mx_crc32c(0xffffffffu, payload, m.total) == m.body_crc)
			reply_whole(c, h->status, payload, m.total, now);
		return;
	}
	if (!gather(c, &m, h->status)) {
		c->rep_status = 0;
		return;
	}
	if (!mx_ctl_gather(c->rep, &c->rep_have, &m, payload, h->plen)) {
		/* The rest is on its way. */
		if (c->resend_at != MX_NEVER) {
			c->resend_at = mx_after(now, c->rto);
			arm(c);
		}
		return;
	}
	if (mx_crc32c(0xffffffffu, c->rep, m.total) == m.body_crc)
		reply_whole(c, h->status, c->rep, m.total, now);
	else
		drop_reply(c);
}
