// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What comes back for a part under way: data, acknowledgements, refusals.
 */
#include "client_int.h"

/* ---- answers ---- */

static void status(struct mx_io *io, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = io->vol;

	switch (st) {
	case MX_ST_BUSY:
		mx_io_pause(io, now);
		break;
	case MX_ST_BAD_CRC:
		if (++io->crc_bad > MX_CRC_TRIES)
			mx_io_end(io, st, now);
		else if (!mx_txm_queued(&io->txm))
			mx_io_resend(io);
		break;
	case MX_ST_STALE:
		io->num = mx_vol_next_num(v);
		v->st.retransmits++;
		mx_io_again(io, now);
		break;
	case MX_ST_NEED_SEAL:
	case MX_ST_NOT_ENROLLED:
		mx_vs_seal(io->vs, now);	/* parks all that is under way there */
		break;
	case MX_ST_FENCED:
		mx_vol_suspect(v, io->vs, now);
		break;
	case MX_ST_STALE_GEN:
		/* A read that was on its way while the extent was freed and placed
		 * anew: the map knows by now. */
		if (!io->act && !(io->flags & MX_IOF_INTERNAL) &&
		    mx_map_at(&v->map, io->extent)->gen != io->gen) {
			mx_part_reroute(io, now);
			break;
		}
		mx_io_end(io, st, now);
		break;
	default:
		mx_io_end(io, st, now);
		break;
	}
}

/* Something came: not lost, so not due before another round trip. */
static void progress(struct mx_io *io, mx_ns now)
{
	if (io->due == MX_NEVER || (io->flags & MX_IOF_BUSY))
		return;
	io->rto = mx_peer_rto(io->srv->peer);
	io->due = now + io->rto;
}

static void sample(struct mx_io *io, const struct mx_head *h, mx_ns now)
{
	if ((io->flags & MX_IOF_TIMED) ||
	    (io->op == MX_REQ_READ ? h->attempt != io->attempt : io->flags & MX_IOF_AGAIN))
		return;
	io->flags |= MX_IOF_TIMED;
	mx_peer_rtt_sample(io->srv->peer, now - io->sent);
}

/* ---- read data ---- */

struct run {			/* blocks that are stored in one go */
	u32 at, n;		/* relative to the part */
	u32 crc;		/* index of the first CRC, and so place in the payload */
	bool data;
};

static bool store_run(struct mx_io *io, const struct mx_read_data *m, const u8 *head,
		      const u8 *payload, const struct run *q)
{
	struct mx_client *c = io->vol->c;
	const struct mx_port *port = c->port;
	u64 block = (u64)io->extent * MX_EXTENT_BLOCKS + io->first + q->at;
	u32 off = io->buf_off + q->at * MX_BLOCK;

	if (!q->n)
		return true;
	if (q->data) {
		for (u32 i = 0; i < q->n; i++) {
			c->seeds[i] = mx_block_seed(io->vol->seed, block + i);
			c->crcs[i] = mx_read_data_crc(head, m->npages, q->crc + i);
		}
		payload += q->crc * MX_BLOCK;
		if (io->flags & MX_IOF_INTERNAL) {
			u32 *crcs = (u32 *)io->crcs + q->at;

			mx_crc32c_blocks((u8 *)io->buf + off, payload, q->n, c->seeds, crcs);
			if (memcmp(crcs, c->crcs, q->n * sizeof *crcs))
				return false;
		} else if (!port->buf_put(port->ctx, io->buf, off, payload, q->n, c->seeds, c->crcs)) {
			return false;
		}
	} else if (!(io->flags & MX_IOF_INTERNAL)) {
		port->buf_zero(port->ctx, io->buf, off, q->n * MX_BLOCK);
	}
	mx_bm_clear(&io->need, q->at, q->at + q->n);
	io->left -= q->n;
	return true;
}

/* May fragments of number @num be added to what there is of page @pi? A newer
 * write's make the page start anew; so do an older one's if they answer a later
 * question (the page was discarded, and its number forgotten). */
static bool page_takes(struct mx_io *io, u32 pi, u64 num, u8 attempt)
{
	u32 from, end;

	if (!(io->seen >> pi & 1)) {
		io->seen |= 1ull << pi;
		io->pnum[pi] = num;
		io->patt[pi] = attempt;
		return true;
	}
	if (num == io->pnum[pi])
		return true;
	if (num < io->pnum[pi] && (s8)(attempt - io->patt[pi]) <= 0)
		return false;
	io->pnum[pi] = num;
	io->patt[pi] = attempt;
	end = (io->first / MX_PAGE_BLOCKS + pi + 1) * MX_PAGE_BLOCKS;
	from = mx_max_u32(end - MX_PAGE_BLOCKS, io->first) - io->first;
	end = mx_min_u32(end - io->first, io->nblocks);
	io->left += end - from - mx_bm_count(&io->need, from, end);
	mx_bm_set(&io->need, from, end);
	return true;
}

/* A page of which all is there is not touched again. */
static bool page_complete(const struct mx_io *io, u32 at, u32 n)
{
	u32 page = (io->first + at) / MX_PAGE_BLOCKS * MX_PAGE_BLOCKS;
	u32 from = mx_max_u32(page, io->first) - io->first;
	u32 end = mx_min_u32(page + MX_PAGE_BLOCKS - io->first, io->nblocks);

	(void)n;
	return !mx_bm_any(&io->need, from, end);
}

static void note_kind(struct mx_io *io, u32 at, u8 kind)
{
	if (kind == MX_PAGE_LOST)
		io->st = MX_ST_LOST;
	if (io->flags & MX_IOF_INTERNAL)
		io->vol->move.pkind[at / MX_PAGE_BLOCKS] = kind;
}

/* Stores what is new of one entry: runs of blocks still needed, joined with those
 * of earlier entries in @q as far as they follow each other. */
static bool take_entry(struct mx_io *io, const struct mx_read_data *m, const u8 *head,
		       const u8 *payload, u32 at, const struct mx_read_entry *e, u32 crc,
		       struct run *q)
{
	u32 end = at + e->nblocks, from, to;
	bool data = e->kind == MX_PAGE_DATA, ok = true;

	for (from = mx_bm_next(&io->need, at, end, true); from < end;
	     from = mx_bm_next(&io->need, to, end, true)) {
		to = mx_bm_next(&io->need, from, end, false);
		if (q->n && q->data == data && q->at + q->n == from &&
		    (!data || q->crc + q->n == crc + from - at)) {
			q->n += to - from;
			continue;
		}
		ok &= store_run(io, m, head, payload, q);
		q->at = from;
		q->n = to - from;
		q->crc = crc + from - at;
		q->data = data;
	}
	return ok;
}

static bool take_data(struct mx_io *io, const struct mx_head *h, const struct mx_read_data *m,
		      const u8 *head, const u8 *payload)
{
	struct run q = { 0 };
	u32 at = m->first, crc = 0;
	bool ok = true;

	for (u32 i = 0; i < m->npages; i++) {
		struct mx_read_entry e;
		u32 pi, ncrc;

		mx_read_data_entry(head, i, &e);
		pi = (io->first + at) / MX_PAGE_BLOCKS - io->first / MX_PAGE_BLOCKS;
		if ((io->first + at) % MX_PAGE_BLOCKS + e.nblocks > MX_PAGE_BLOCKS)
			break;		/* not of one page: the rest makes no sense */
		ncrc = e.kind == MX_PAGE_DATA ? e.nblocks : 0;
		if (!page_complete(io, at, e.nblocks)) {
			/* A run waiting in q may be of the page that starts anew. */
			if (io->seen >> pi & 1 && io->pnum[pi] != e.num) {
				ok &= store_run(io, m, head, payload, &q);
				q.n = 0;
			}
			if (page_takes(io, pi, e.num, h->attempt)) {
				note_kind(io, at, e.kind);
				ok &= take_entry(io, m, head, payload, at, &e, crc, &q);
			}
		}
		at += e.nblocks;
		crc += ncrc;
	}
	return ok & store_run(io, m, head, payload, &q);
}

static void rx_read_data(struct mx_io *io, const struct mx_head *h, const u8 *head,
			 const u8 *payload, mx_ns now)
{
	struct mx_read_data m;
	u32 left = io->left;

	if (io->op != MX_REQ_READ)
		return;
	if (h->status != MX_OK) {
		status(io, h->status, now);
		return;
	}
	if (!mx_read_data_decode(head, h, &m) || m.first + m.nblocks > io->nblocks)
		return;
	sample(io, h, now);
	if (!take_data(io, h, &m, head, payload)) {
		if (++io->crc_bad > MX_CRC_TRIES && io->left == left) {
			mx_io_end(io, MX_ST_BAD_CRC, now);
			return;
		}
		if (!mx_txm_queued(&io->txm))
			mx_io_resend(io);
	}
	if (!io->left) {
		mx_io_end(io, MX_OK, now);
		return;
	}
	if (io->left < left) {
		io->crc_bad = 0;	/* only what is bad again and again ends it */
		mx_io_answered(io, (left - io->left) * MX_BLOCK);
	}
	progress(io, now);
	/* The end came and something before it did not: probably lost. */
	if (m.first + m.nblocks >= io->ask_end && io->due != MX_NEVER) {
		io->due = now + (io->rto >> 2);
		mx_srv_arm(io->srv, io->due);
	}
}

/* ---- write acknowledgements ---- */

static void ack_zero(struct mx_io *io, const struct mx_write_ack *a, mx_ns now)
{
	u32 from = a->first, end = a->first + a->nblocks;

	if (io->zlo == io->zhi) {
		io->zlo = (u16)from;
		io->zhi = (u16)end;
	} else if (from <= io->zhi && end >= io->zlo) {
		io->zlo = (u16)mx_min_u32(from, io->zlo);
		io->zhi = (u16)mx_max_u32(end, io->zhi);
	}
	if (io->zlo <= io->first && io->zhi >= io->first + io->nblocks)
		mx_io_end(io, MX_OK, now);
}

static void ack_write(struct mx_io *io, const struct mx_write_ack *a, mx_ns now)
{
	u32 from = mx_max_u32(a->first, io->first), end = a->first + a->nblocks, n;

	end = mx_min_u32(end, io->first + io->nblocks);
	if (from >= end)
		return;
	from -= io->first;
	end -= io->first;
	n = mx_bm_count(&io->need, from, end);
	mx_bm_clear(&io->need, from, end);
	mx_bm_clear(&io->send, from, end);
	io->left -= n;
	if (n)
		io->crc_bad = 0;
	if (!io->left)
		mx_io_end(io, MX_OK, now);
	else
		mx_io_answered(io, n * MX_BLOCK);
}

/* The server tells which blocks of a page it has: the others are sent again. */
static void ack_partial(struct mx_io *io, const struct mx_head *h, const struct mx_write_ack *a,
			mx_ns now)
{
	u32 page = a->first / MX_PAGE_BLOCKS * MX_PAGE_BLOCKS;
	bool lacks = false;

	if (io->op != MX_REQ_WRITE || h->attempt != io->attempt || mx_txm_queued(&io->txm))
		return;
	if (!(io->flags & (MX_IOF_STABLE | MX_IOF_COPY | MX_IOF_INTERNAL))) {
		mx_io_resend(io);		/* a copy: all of the page anew */
		mx_peer_window_lost(io->srv->peer, now);
		return;
	}
	for (u32 i = 0; i < MX_PAGE_BLOCKS; i++) {
		u32 b = page + i;

		if (b < io->first || b >= io->first + io->nblocks || (a->have >> i & 1) ||
		    !mx_bm_test(&io->need, b - io->first))
			continue;
		mx_bm_set(&io->send, b - io->first, b - io->first + 1);
		lacks = true;
	}
	if (!lacks)
		return;
	io->flags |= MX_IOF_AGAIN;
	io->cursor = 0;
	io->due = MX_NEVER;
	io->vol->st.retransmits++;
	mx_ep_count_retransmit(io->vol->c->ep);
	mx_peer_window_lost(io->srv->peer, now);
	mx_peer_send(io->srv->peer, &io->txm);
}

static void rx_write_ack(struct mx_io *io, const struct mx_head *h, const u8 *head, mx_ns now)
{
	struct mx_write_ack a;

	if (io->op == MX_REQ_READ || io->op == MX_IO_BLKSTAT || !mx_write_ack_decode(head, h, &a))
		return;
	sample(io, h, now);
	if (h->status == MX_ST_PARTIAL) {
		ack_partial(io, h, &a, now);
		return;
	}
	if (h->status != MX_OK) {
		status(io, h->status, now);
		return;
	}
	progress(io, now);
	if (h->flags & MX_F_EMPTY)
		io->flags |= MX_IOF_EMPTY;
	if (io->op == MX_REQ_WRITE)
		ack_write(io, &a, now);
	else
		ack_zero(io, &a, now);
}

/* ---- block status ---- */

static u8 kind_of(const u8 *kinds, u32 page)
{
	return kinds[page / 4] >> (page % 4 * 2) & 3;
}

static void rx_blkstat(struct mx_io *io, const struct mx_head *h, const u8 *head, mx_ns now)
{
	struct mx_blkstat_data m;
	struct mx_blkstat_req *r = io->buf;
	u32 page, last;
	u8 kind;

	if (io->op != MX_IO_BLKSTAT)
		return;
	if (h->status != MX_OK) {
		status(io, h->status, now);
		return;
	}
	if (!mx_blkstat_data_decode(head, h, &m))
		return;
	if (io->flags & MX_IOF_INTERNAL) {
		memcpy(io->vol->move.kinds, m.kinds, sizeof m.kinds);
		mx_io_end(io, MX_OK, now);
		return;
	}
	page = (u32)(r->off & (MX_EXTENT - 1)) / MX_PAGE;
	kind = kind_of(m.kinds, page);
	for (last = page + 1; last < MX_EXTENT_PAGES && kind_of(m.kinds, last) == kind; last++)
		;
	mx_stat_set(io->vol, r, kind, ((u64)io->extent << MX_EXTENT_SHIFT) + (u64)last * MX_PAGE);
	mx_io_end(io, MX_OK, now);
}

void mx_io_message(struct mx_client *c, struct mx_peer *p, const struct mx_head *h,
		   const u8 *head, const u8 *payload, mx_ns now)
{
	u32 i = h->tag & 0xffff;
	struct mx_io *io = i < c->nios ? c->ios[i] : NULL;

	if (h->type == MX_SHED) {
		mx_shed_rx(c, p, h, head, now);
		return;
	}
	if (!io || io->tag != h->tag || io->state != MX_IO_SENT || io->srv->peer != p)
		return;
	switch (h->type) {
	case MX_READ_DATA:
		rx_read_data(io, h, head, payload, now);
		break;
	case MX_WRITE_ACK:
		rx_write_ack(io, h, head, now);
		break;
	case MX_BLKSTAT_DATA:
		rx_blkstat(io, h, head, now);
		break;
	default:
		break;
	}
}
