// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One part under way: what is sent for it, what answers it, and when it is sent
 * again. Nothing here knows requests or extents; a part ends by its end().
 *
 * A part keeps its tag as long as an answer to what was sent for it counts. When
 * it starts afresh (new number, other server) the tag changes, and late answers
 * find nobody.
 */
#include "client_int.h"

#define RTO_MAX		(1 * MX_SEC)
#define BUSY_FIRST	(1 * MX_MS)
#define BUSY_SHIFTS	7u		/* up to 128 ms */
#define COPY_RETRY	(2 * MX_MS)	/* no memory for a stable copy */
#define SILENT_EVERY	(1 * MX_SEC)	/* to a silent server one part is sent, this often */

static enum mx_fill fill_read(struct mx_txm *m, struct mx_peer *p, struct mx_room *r);
static enum mx_fill fill_write(struct mx_txm *m, struct mx_peer *p, struct mx_room *r);
static enum mx_fill fill_zero(struct mx_txm *m, struct mx_peer *p, struct mx_room *r);
static enum mx_fill fill_stat(struct mx_txm *m, struct mx_peer *p, struct mx_room *r);

void mx_io_init(struct mx_io *io)
{
	io->flags = 0;
	io->st = MX_OK;
	io->req = NULL;
	io->act = NULL;
	io->vs = NULL;
	io->srv = NULL;
	io->crcs = NULL;
	io->wflags = 0;
}

/* ---- window ---- */

static u32 cost(const struct mx_io *io)
{
	return io->op <= MX_REQ_WRITE ? io->nblocks * MX_BLOCK : MX_BLOCK;
}

/* @bytes of what was asked for are settled. */
void mx_io_answered(struct mx_io *io, u32 bytes)
{
	struct mx_client *c = io->vol->c;

	if (bytes > io->win)
		bytes = io->win;
	if (!bytes)
		return;
	io->win -= bytes;
	mx_peer_window_done(io->srv->peer, bytes);
	if (io->op == MX_REQ_READ)
		c->rx_out -= bytes;
}

static void launch(struct mx_srv *s, struct mx_io *io)
{
	u32 bytes = cost(io);

	mx_list_del(&io->node);
	mx_list_add_tail(&s->flight, &io->node);
	io->state = MX_IO_SENT;
	io->win = bytes;
	io->due = MX_NEVER;
	mx_peer_window_take(s->peer, bytes);
	if (io->op == MX_REQ_READ)
		s->c->rx_out += bytes;
	mx_peer_send(s->peer, &io->txm);
}

void mx_srv_pump(struct mx_srv *s, mx_ns now)
{
	struct mx_client *c = s->c;

	(void)now;
	while (!mx_list_empty(&s->queue)) {
		struct mx_io *io = mx_list_entry(s->queue.next, struct mx_io, node);
		u32 bytes = cost(io);

		/* One part may always go, however small the window. */
		if (mx_peer_window_room(s->peer) < bytes && !mx_list_empty(&s->flight))
			return;
		if (io->op == MX_REQ_READ && c->rx_out && c->rx_out + bytes > c->rx_max) {
			if (mx_list_empty(&s->rxwait))
				mx_list_add_tail(&c->rxwait, &s->rxwait);
			return;
		}
		launch(s, io);
	}
}

/* ---- starting and stopping ---- */

static void set_need(struct mx_io *io)
{
	memset(&io->need, 0, sizeof io->need);
	io->left = io->op == MX_REQ_READ || io->op == MX_REQ_WRITE ? io->nblocks : 1;
	mx_bm_set(&io->need, 0, io->left);
	io->send = io->need;
	io->cursor = 0;
	io->ask_end = io->nblocks;
	io->seen = 0;
	io->zlo = io->zhi = 0;
	io->attempt = 0;
	io->crc_bad = 0;
	io->busy = 0;
	io->flags &= ~(MX_IOF_AGAIN | MX_IOF_BUSY);
}

void mx_io_start(struct mx_io *io, mx_ns now)
{
	struct mx_vs *vs = io->vs;

	set_need(io);
	if (mx_given_up(vs))
		mx_vol_tick_at(io->vol, now);
	switch (io->op) {
	case MX_REQ_READ:
		io->txm.fill = fill_read;
		break;
	case MX_REQ_WRITE:
		io->txm.fill = fill_write;
		break;
	case MX_IO_BLKSTAT:
		io->txm.fill = fill_stat;
		break;
	default:
		io->txm.fill = fill_zero;
		break;
	}
	if (vs->state != MX_VS_READY) {
		io->state = MX_IO_PARKED;
		mx_list_add_tail(&vs->parked, &io->node);
		return;
	}
	io->state = MX_IO_QUEUED;
	io->srv = vs->srv;
	io->rto = mx_peer_rto(io->srv->peer);
	mx_list_add_tail(&io->srv->queue, &io->node);
	mx_srv_pump(io->srv, now);
}

void mx_io_detach(struct mx_io *io)
{
	struct mx_srv *s = io->srv;

	if (io->state == MX_IO_SENT) {
		if (mx_txm_queued(&io->txm))
			mx_txm_cancel(&io->txm);
		mx_io_answered(io, io->win);
		/* Who waits for its room is looked at when all is settled. */
		if (!mx_list_empty(&s->queue) && mx_list_empty(&s->rxwait))
			mx_list_add_tail(&s->c->rxwait, &s->rxwait);
	}
	mx_list_del(&io->node);
	io->srv = NULL;
	io->tag += 0x10000;
}

void mx_io_end(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_srv *s = io->srv;

	mx_io_detach(io);
	io->end(io, st, now);
	if (s && !mx_list_empty(&s->queue))
		mx_srv_pump(s, now);
}

void mx_io_again(struct mx_io *io, mx_ns now)
{
	mx_io_detach(io);
	mx_io_start(io, now);
}

/* ---- repeating ---- */

void mx_srv_arm(struct mx_srv *s, mx_ns due)
{
	if (due >= s->armed)
		return;
	s->armed = due;
	mx_timer_set(s->c->ep, &s->timer, due);
}

static void sent(struct mx_io *io, mx_ns now)
{
	io->flags &= ~MX_IOF_TIMED;
	io->sent = now;
	io->due = now + io->rto;
	mx_srv_arm(io->srv, io->due);
}

/* Sends what is missing. A buffer that may change is copied before it is sent a
 * second time, and what the server has of incomplete pages then counts no more. */
void mx_io_resend(struct mx_io *io)
{
	io->flags |= MX_IOF_AGAIN;
	io->flags &= ~MX_IOF_BUSY;
	if (io->op == MX_REQ_WRITE) {
		if (!(io->flags & (MX_IOF_STABLE | MX_IOF_COPY | MX_IOF_INTERNAL))) {
			io->flags |= MX_IOF_COPY;
			io->attempt++;
		}
		io->send = io->need;
		io->cursor = 0;
	} else {
		io->attempt++;
	}
	io->due = MX_NEVER;
	io->vol->st.retransmits++;
	mx_ep_count_retransmit(io->vol->c->ep);
	mx_peer_send(io->srv->peer, &io->txm);
}

static void is_due(struct mx_io *io, bool first, mx_ns now)
{
	struct mx_peer *p = io->srv->peer;

	if (mx_txm_queued(&io->txm)) {
		io->due = MX_NEVER;
		return;
	}
	if (mx_peer_state(p) == MX_PEER_SILENT && !first) {
		io->due = now + SILENT_EVERY;
		return;
	}
	if (!(io->flags & MX_IOF_BUSY)) {
		mx_peer_window_lost(p, now);
		io->rto = mx_min_u64(io->rto * 2, RTO_MAX);
	}
	mx_io_resend(io);
}

/* Looks at all of a server's parts when the earliest was due. While all is well
 * that is once in a round-trip time-out. */
void mx_srv_timer(struct mx_timer *t, mx_ns now)
{
	struct mx_srv *s = mx_container_of(t, struct mx_srv, timer);
	struct mx_list *n, *next;
	mx_ns due = MX_NEVER;
	bool first = true;

	s->armed = MX_NEVER;
	mx_list_for_each_safe(n, next, &s->flight) {
		struct mx_io *io = mx_list_entry(n, struct mx_io, node);

		if (io->due <= now) {
			is_due(io, first, now);
			first = false;
		}
		if (io->due < due)
			due = io->due;
	}
	if (due != MX_NEVER)
		mx_srv_arm(s, due);
}

void mx_srv_hurry(struct mx_srv *s, mx_ns now)
{
	struct mx_list *n;

	mx_list_for_each(n, &s->flight) {
		struct mx_io *io = mx_list_entry(n, struct mx_io, node);

		if (!mx_txm_queued(&io->txm))
			io->due = now;
		io->rto = mx_peer_rto(s->peer);
	}
	if (!mx_list_empty(&s->flight))
		mx_srv_arm(s, now);
}

/* Again after a pause that grows, a little different for each. */
void mx_io_pause(struct mx_io *io, mx_ns now)
{
	mx_ns wait = BUSY_FIRST << io->busy;

	if (io->busy < BUSY_SHIFTS)
		io->busy++;
	if (mx_txm_queued(&io->txm))
		return;
	io->flags |= MX_IOF_BUSY;
	io->due = now + wait + (io->tag & 15) * (wait >> 4);
	mx_srv_arm(io->srv, io->due);
}

/* ---- messages ---- */

static void head_of(const struct mx_io *io, struct mx_head *h, u16 type)
{
	h->type = type;
	h->plen = 0;
	h->tag = io->tag;
	h->flags = 0;
	h->attempt = io->attempt;
	h->status = 0;
}

static enum mx_fill fill_read(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_io *io = mx_container_of(m, struct mx_io, txm);
	struct mx_head h;
	struct mx_read q;
	bool want = io->left != io->nblocks;

	(void)p;
	if (r->head_room < 80 || r->room < 80)
		return MX_FILL_NOROOM;
	head_of(io, &h, MX_READ);
	memcpy(q.uuid, io->vol->uuid, MX_UUID);
	q.epoch = io->vol->epoch;
	q.gen = io->gen;
	q.extent = io->extent;
	q.first = io->first;
	q.nblocks = io->nblocks;
	if (want) {
		h.flags = MX_F_WANT;
		for (u32 i = 0; i < 4; i++)
			mx_st64(q.want + 8 * i, io->need.w[i]);
	}
	r->hlen = mx_read_encode(r->head, &h, &q);
	r->plen = 0;
	r->nsegs = 0;
	io->ask_end = io->nblocks;
	while (want && io->ask_end && !mx_bm_test(&io->need, io->ask_end - 1u))
		io->ask_end--;
	sent(io, r->now);
	return MX_FILL_DONE;
}

static enum mx_fill fill_stat(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_io *io = mx_container_of(m, struct mx_io, txm);
	struct mx_head h;
	struct mx_blkstat q = { .epoch = io->vol->epoch, .gen = io->gen, .extent = io->extent };

	(void)p;
	if (r->head_room < 48 || r->room < 48)
		return MX_FILL_NOROOM;
	head_of(io, &h, MX_BLKSTAT);
	memcpy(q.uuid, io->vol->uuid, MX_UUID);
	r->hlen = mx_blkstat_encode(r->head, &h, &q);
	r->plen = 0;
	r->nsegs = 0;
	sent(io, r->now);
	return MX_FILL_DONE;
}

static enum mx_fill fill_zero(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_io *io = mx_container_of(m, struct mx_io, txm);
	struct mx_head h;
	struct mx_zero q = { .num = io->num, .gen = io->gen, .extent = io->extent };

	(void)p;
	if (r->head_room < 56 || r->room < 56)
		return MX_FILL_NOROOM;
	head_of(io, &h, MX_ZERO);
	h.flags = io->wflags;
	memcpy(q.uuid, io->vol->uuid, MX_UUID);
	q.first = io->first;
	q.nblocks = io->nblocks;
	r->hlen = mx_zero_encode(r->head, &h, &q);
	r->plen = 0;
	r->nsegs = 0;
	sent(io, r->now);
	return MX_FILL_DONE;
}

/* How many of @n blocks from block @at of the extent go into this datagram. Pages
 * are not cut where that can be helped: a whole page needs no gathering. 0: none. */
static u32 fitting(const struct mx_peer *p, const struct mx_room *r, u32 at, u32 n)
{
	u32 whole = mx_peer_dgram(p) - MX_OUTER - MX_TAG, fit, rest;

	if (r->room < mx_write_hlen(1) + MX_BLOCK || r->head_room < mx_write_hlen(1))
		return 0;
	/* Each block takes 4 bytes of head; 4 may go into padding. */
	fit = (r->room - MX_WRITE_FIXED - 4) / (MX_BLOCK + 4);
	fit = mx_min_u32(fit, (r->head_room - MX_WRITE_FIXED - 4) / 4);
	if (fit >= n)
		return n;
	rest = MX_PAGE_BLOCKS - at % MX_PAGE_BLOCKS;	/* of the first page */
	if (fit >= rest)
		return fit - (at + fit) % MX_PAGE_BLOCKS;
	if (r->room < whole && (whole - MX_WRITE_FIXED - 4) / (MX_BLOCK + 4) > fit)
		return 0;		/* an empty one takes more of it */
	return fit;
}

static bool make_crcs(struct mx_io *io, u32 b, u32 n)
{
	struct mx_client *c = io->vol->c;
	u64 block = (u64)io->extent * MX_EXTENT_BLOCKS + io->first + b;

	if (io->flags & MX_IOF_INTERNAL)
		return true;
	for (u32 i = 0; i < n; i++)
		c->seeds[i] = mx_block_seed(io->vol->seed, block + i);
	return c->port->buf_crc(c->port->ctx, io->buf, io->buf_off + b * MX_BLOCK, n, c->seeds,
				c->crcs, io->flags & MX_IOF_COPY);
}

static void put_seg(const struct mx_io *io, struct mx_room *r, u32 b, u32 n)
{
	struct mx_seg *s = &r->segs[0];

	s->kind = io->flags & MX_IOF_INTERNAL ? MX_SEG_MEM : MX_SEG_BUF;
	s->off = io->buf_off + b * MX_BLOCK;
	s->len = n * MX_BLOCK;
	s->buf = io->buf;
	if (s->kind == MX_SEG_MEM) {
		s->buf = (u8 *)io->buf + s->off;
		s->off = 0;
	}
	r->nsegs = 1;
	r->plen = s->len;
}

/* The last block of what this request writes in its page, and not alone: the
 * server is asked to tell what it lacks, so that a loss shows at once. */
static bool wants_report(const struct mx_io *io, u32 b, u32 n, bool last)
{
	u32 at = io->first + b + n, page = (at - 1) / MX_PAGE_BLOCKS * MX_PAGE_BLOCKS;

	if (io->flags & MX_IOF_AGAIN)
		return last;
	if (at % MX_PAGE_BLOCKS && b + n < io->nblocks)
		return false;
	return mx_max_u32(page, io->first) < io->first + b;
}

static enum mx_fill fill_write(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_io *io = mx_container_of(m, struct mx_io, txm);
	struct mx_client *c = io->vol->c;
	u32 b = mx_bm_next(&io->send, io->cursor, io->nblocks, true);
	struct mx_head h;
	struct mx_write q = { .num = io->num, .gen = io->gen, .extent = io->extent };
	bool last;
	u32 n;

	r->hlen = r->plen = r->nsegs = 0;
	if (b == io->nblocks) {		/* acknowledged meanwhile */
		sent(io, r->now);
		return MX_FILL_DONE;
	}
	n = mx_bm_next(&io->send, b, io->nblocks, false) - b;
	n = fitting(p, r, io->first + b, n);
	if (!n)
		return MX_FILL_NOROOM;
	if (!make_crcs(io, b, n)) {	/* no copy can be had now */
		io->flags |= MX_IOF_BUSY;
		io->due = r->now + COPY_RETRY;
		mx_srv_arm(io->srv, io->due);
		return MX_FILL_DONE;
	}
	io->cursor = b + n;
	mx_bm_clear(&io->send, b, b + n);
	last = mx_bm_next(&io->send, b + n, io->nblocks, true) == io->nblocks;
	head_of(io, &h, MX_WRITE);
	h.flags = io->wflags | (wants_report(io, b, n, last) ? MX_F_REPORT : 0);
	memcpy(q.uuid, io->vol->uuid, MX_UUID);
	q.first = (u16)(io->first + b);
	q.nblocks = (u16)n;
	q.req_first = io->first;
	q.req_nblocks = io->nblocks;
	put_seg(io, r, b, n);
	h.plen = r->plen;
	r->hlen = mx_write_encode(r->head, &h, &q, io->crcs ? io->crcs + b : c->crcs);
	sent(io, r->now);
	return last ? MX_FILL_DONE : MX_FILL_MORE;
}
