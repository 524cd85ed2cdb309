/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control calls we answer. A request in one fragment is answered from the
 * datagram; others are gathered. The reply is kept for a moment after it was
 * sent, so that a repeat gets the same body and its fragments fit those that
 * arrived. All of it is bounded by number and bytes; what is too much pushes out
 * the oldest, and its caller repeats.
 */
#include "ep_int.h"

#define SWEEP	(250 * MX_MS)

static u32 weight(const struct mx_icall *c)
{
	return (u32)sizeof *c + (c->req ? c->total : 0) + (c->rep ? c->rep_len : 0);
}

static void icall_free(struct mx_icall *c)
{
	struct mx_ep *ep = c->peer->ep;

	ep->icall_bytes -= weight(c);
	ep->nicalls--;
	c->peer->nicalls--;
	mx_txm_cancel(&c->txm);
	mx_list_del(&c->node);
	mx_list_del(&c->lru);
	if (c->req)
		mx_release(ep, c->req, c->total);
	if (c->rep)
		mx_release(ep, c->rep, c->rep_len);
	mx_release(ep, c, sizeof *c);
}

void mx_icalls_drop(struct mx_peer *p)
{
	while (!mx_list_empty(&p->icalls))
		icall_free(mx_list_entry(p->icalls.next, struct mx_icall, node));
}

static void touch(struct mx_icall *c, mx_ns now)
{
	c->at = now;
	mx_list_del(&c->lru);
	mx_list_add_tail(&c->peer->ep->icalls, &c->lru);
}

/* What is over, by its age; oldest first. */
void mx_icall_sweep(struct mx_timer *t, mx_ns now)
{
	struct mx_ep *ep = mx_container_of(t, struct mx_ep, icall_timer);
	struct mx_list *pos, *tmp;

	mx_list_for_each_safe(pos, tmp, &ep->icalls) {
		struct mx_icall *c = mx_list_entry(pos, struct mx_icall, lru);
		bool waits = mx_txm_queued(&c->txm) || !c->answered;

		if (now - c->at < ICALL_KEEP)
			break;
		if (!waits || now - c->at >= ICALL_GATHER)
			icall_free(c);
	}
	if (!mx_list_empty(&ep->icalls)) {
		mx_timer_set(ep, t, mx_after(now, SWEEP));
		return;
	}
	if (!ep->conf.accept) {
		mx_release(ep, ep->scratch, MX_CTL_BODY_MAX);
		ep->scratch = NULL;
	}
}

static void make_room(struct mx_peer *p, u32 bytes)
{
	struct mx_ep *ep = p->ep;

	if (p->nicalls >= ICALLS_PEER)
		icall_free(mx_list_entry(p->icalls.prev, struct mx_icall, node));
	while (ep->nicalls && (ep->nicalls >= ICALLS_MAX || ep->icall_bytes + bytes > ICALL_BYTES))
		icall_free(mx_list_entry(ep->icalls.next, struct mx_icall, lru));
}

static enum mx_fill reply_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_icall *c = mx_container_of(m, struct mx_icall, txm);
	struct mx_head h = {
		.type = MX_REPLY, .tag = c->tag, .attempt = c->attempt, .status = c->status,
	};
	struct mx_ctl ctl = { .op = c->op, .total = c->rep_len, .body_crc = c->rep_crc };

	(void)p;
	return mx_ctl_fill(r, &h, &ctl, c->rep, &c->sent_off);
}

static struct mx_icall *icall_new(struct mx_peer *p, const struct mx_head *h,
				  const struct mx_ctl *m, mx_ns now)
{
	struct mx_ep *ep = p->ep;
	struct mx_icall *c;

	make_room(p, (u32)sizeof *c + 2 * MX_CTL_BODY_MAX);
	c = mx_alloc(ep, sizeof *c);
	if (!c)
		return NULL;
	c->peer = p;
	c->tag = h->tag;
	c->op = m->op;
	c->attempt = h->attempt;
	c->total = m->total;
	c->crc = m->body_crc;
	c->at = now;
	mx_txm_init(&c->txm, reply_fill);
	mx_list_add_head(&p->icalls, &c->node);
	mx_list_add_tail(&ep->icalls, &c->lru);
	ep->icall_bytes += (u32)sizeof *c;
	ep->nicalls++;
	p->nicalls++;
	if (mx_list_empty(&ep->icall_timer.node))
		mx_timer_set(ep, &ep->icall_timer, mx_after(now, SWEEP));
	return c;
}

static struct mx_icall *find(struct mx_peer *p, u32 tag, u16 op)
{
	struct mx_list *pos;

	mx_list_for_each(pos, &p->icalls) {
		struct mx_icall *c = mx_list_entry(pos, struct mx_icall, node);

		if (c->tag == tag && c->op == op)
			return c;
	}
	return NULL;
}

static enum mx_status run(struct mx_peer *p, u16 op, const u8 *body, u32 len, u32 *rep_len,
			  mx_ns now)
{
	struct mx_ep *ep = p->ep;
	enum mx_status st;

	*rep_len = 0;
	if (op == MX_OP_MEMBERS)
		return mx_members_call(p, body, len, ep->scratch, MX_CTL_BODY_MAX, rep_len, now);
	if (!ep->ops->call)
		return MX_ST_UNSUPPORTED;
	st = ep->ops->call(ep->user, p, op, body, len, ep->scratch, MX_CTL_BODY_MAX, rep_len, now);
	if (*rep_len > MX_CTL_BODY_MAX) {
		*rep_len = 0;
		st = MX_ST_INVALID;
	}
	return st;
}

/* The request is whole: answer it. No memory: no answer, the caller repeats. */
static void answer(struct mx_peer *p, struct mx_icall *c, const struct mx_head *h,
		   const struct mx_ctl *m, const u8 *body, mx_ns now)
{
	struct mx_ep *ep = p->ep;
	u32 len;

	if (!ep->scratch)
		ep->scratch = mx_alloc(ep, MX_CTL_BODY_MAX);
	if (!ep->scratch)
		return;
	if (!c)
		c = icall_new(p, h, m, now);
	if (!c)
		return;
	c->status = (u8)run(p, m->op, body, m->total, &len, now);
	if (c->req) {
		ep->icall_bytes -= c->total;
		mx_release(ep, c->req, c->total);
		c->req = NULL;
	}
	if (len) {
		c->rep = mx_alloc(ep, len);
		if (!c->rep) {
			icall_free(c);
			return;
		}
		memcpy(c->rep, ep->scratch, len);
		c->rep_len = len;
		ep->icall_bytes += len;
	}
	c->rep_crc = mx_crc32c(0xffffffffu, c->rep, len);
	c->attempt = h->attempt;
	c->answered = true;
	touch(c, now);
	mx_peer_send_ctl(p, &c->txm);
}

/* A repeat of what has been answered: once more, unless it is being sent. */
static void answer_again(struct mx_icall *c, const struct mx_head *h, const struct mx_ctl *m,
			 mx_ns now)
{
	if (h->attempt == c->attempt || m->off || mx_txm_queued(&c->txm))
		return;
	c->attempt = h->attempt;
	c->sent_off = 0;
	touch(c, now);
	mx_peer_send_ctl(c->peer, &c->txm);
}

static void gather(struct mx_peer *p, struct mx_icall *c, const struct mx_head *h,
		   const struct mx_ctl *m, const u8 *payload, mx_ns now)
{
	struct mx_ep *ep = p->ep;

	if (!c)
		c = icall_new(p, h, m, now);
	if (!c)
		return;
	if (!c->req) {
		c->req = mx_alloc(ep, m->total);
		if (!c->req) {
			icall_free(c);
			return;
		}
		ep->icall_bytes += m->total;
	}
	touch(c, now);
	if (!mx_ctl_gather(c->req, &c->have, m, payload, h->plen))
		return;
	if (mx_crc32c(0xffffffffu, c->req, m->total) == m->body_crc)
		answer(p, c, h, m, c->req, now);
	else
		icall_free(c);
}

void mx_icall_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head, const u8 *payload,
		 mx_ns now)
{
	struct mx_ctl m;
	struct mx_icall *c;

	if (!mx_ctl_decode(head, h, &m)) {
		p->ep->stats.rejects[MX_RJ_FIELD]++;
		return;
	}
	c = find(p, h->tag, m.op);
	if (c && (c->total != m.total || c->crc != m.body_crc)) {
		icall_free(c);
		c = NULL;
	}
	if (c && c->answered) {
		answer_again(c, h, &m, now);
	} else if (h->plen != m.total) {
		gather(p, c, h, &m, payload, now);
	} else if (mx_crc32c(0xffffffffu, payload, m.total) == m.body_crc) {
		answer(p, c, h, &m, payload, now);
	}
}
