// SPDX-License-Identifier: GPL-2.0-or-later
/* A request's pages as the core's buffer: sent from and received into directly. */
#include <linux/highmem.h>
#include <linux/net.h>
#include <linux/slab.h>
#include "core/wire.h"
#include "guest-module/memx.h"

/* Called for each piece, which lies in one page. False: stop. */
typedef bool (*piece_fn)(void *arg, struct page *p, u32 off, u32 len);

static bool walk_copy(const struct memx_copy *c, u32 off, u32 len, piece_fn fn, void *arg)
{
	while (len) {
		u32 in = offset_in_page(off), n = min_t(u32, PAGE_SIZE - in, len);

		if (!fn(arg, c->page[off >> PAGE_SHIFT], in, n))
			return false;
		off += n;
		len -= n;
	}
	return true;
}

static bool walk_rq(struct request *rq, u32 off, u32 len, piece_fn fn, void *arg)
{
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		u32 n;

		if (off >= bv.bv_len) {
			off -= bv.bv_len;
			continue;
		}
		n = min(bv.bv_len - off, len);
		if (!fn(arg, bv.bv_page, bv.bv_offset + off, n))
			return false;
		off = 0;
		len -= n;
		/* Not break: these are two loops, over bios and their pieces. */
		if (!len)
			return true;
	}
	return true;
}

static bool walk(struct memx_io *io, u32 off, u32 len, piece_fn fn, void *arg)
{
	return io->copy ? walk_copy(io->copy, off, len, fn, arg) :
			  walk_rq(memx_rq(io), off, len, fn, arg);
}

bool memx_buf_fits(struct request *rq)
{
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter)
		if ((bv.bv_offset | bv.bv_len) & (MX_BLOCK - 1))
			return false;
	return true;
}

/* ---- stable copies ---- */

static bool copy_piece(void *arg, struct page *p, u32 off, u32 len)
{
	u8 **to = arg;

	memcpy_from_page(*to, p, off, len);
	*to += len;
	return true;
}

/* Under the lock. All of a copy or nothing, so that two requests cannot each hold
 * half of what is left. */
static bool make_copy(struct memx_io *io)
{
	struct memx_copy *c = io->dev->free_copies;
	u32 left = (u32)io->core.len;

	if (!c)
		return false;
	io->dev->free_copies = c->next;
	for (u32 i = 0; left; i++) {
		u32 n = min_t(u32, left, PAGE_SIZE);
		u8 *to = page_address(c->page[i]);

		walk_rq(memx_rq(io), i * PAGE_SIZE, n, copy_piece, &to);
		left -= n;
	}
	io->copy = c;
	return true;
}

void memx_copy_done(struct memx_io *io)
{
	struct memx_copy *c = io->copy;

	if (!c)
		return;
	io->copy = NULL;
	c->next = io->dev->free_copies;
	io->dev->free_copies = c;
}

void memx_copies_exit(struct memx_dev *d)
{
	if (!d->copies)
		return;
	for (u32 i = 0; i < MEMX_COPIES; i++)
		for (u32 k = 0; k < MEMX_REQ_PAGES; k++)
			if (d->copies[i].page[k])
				put_page(d->copies[i].page[k]);
	kvfree(d->copies);
	d->copies = NULL;
}

int memx_copies_init(struct memx_dev *d)
{
	d->copies = kvcalloc(MEMX_COPIES, sizeof(*d->copies), GFP_KERNEL);
	if (!d->copies)
		return -ENOMEM;
	for (u32 i = 0; i < MEMX_COPIES; i++) {
		struct memx_copy *c = &d->copies[i];

		for (u32 k = 0; k < MEMX_REQ_PAGES; k++) {
			c->page[k] = alloc_page(GFP_KERNEL);
			if (!c->page[k]) {
				memx_copies_exit(d);
				return -ENOMEM;
			}
		}
		c->next = d->free_copies;
		d->free_copies = c;
	}
	return 0;
}

/* ---- port ---- */

struct crc_arg { const u32 *seeds; u32 *crcs; };

static bool crc_piece(void *arg, struct page *p, u32 off, u32 len)
{
	struct crc_arg *a = arg;
	u32 n = len / MX_BLOCK;
	void *at = kmap_local_page(p);

	mx_crc32c_blocks(NULL, at + off, n, a->seeds, a->crcs);
	kunmap_local(at);
	a->seeds += n;
	a->crcs += n;
	return true;
}

static bool buf_crc(void *ctx, void *buf, u32 off, u32 nblocks, const u32 *seeds, u32 *crcs,
		    bool stable)
{
	struct memx_io *io = buf;
	struct crc_arg a = { seeds, crcs };

	if (stable && !io->copy && !make_copy(io))
		return false;
	return walk(io, off, nblocks * MX_BLOCK, crc_piece, &a);
}

struct put_arg { const u8 *src; const u32 *seeds, *crcs; };

static bool put_piece(void *arg, struct page *p, u32 off, u32 len)
{
	struct put_arg *a = arg;
	u32 n = len / MX_BLOCK, got[MX_PAGE_BLOCKS];
	void *at = kmap_local_page(p);

	mx_crc32c_blocks(at + off, a->src, n, a->seeds, got);
	kunmap_local(at);
	if (memcmp(got, a->crcs, n * sizeof(got[0])))
		return false;
	a->src += len;
	a->seeds += n;
	a->crcs += n;
	return true;
}

static bool buf_put(void *ctx, void *buf, u32 off, const void *src, u32 nblocks,
		    const u32 *seeds, const u32 *crcs)
{
	struct memx_io *io = buf;
	struct put_arg a = { src, seeds, crcs };

	return walk_rq(memx_rq(io), off, nblocks * MX_BLOCK, put_piece, &a);
}

static bool zero_piece(void *arg, struct page *p, u32 off, u32 len)
{
	memzero_page(p, off, len);
	return true;
}

static void buf_zero(void *ctx, void *buf, u32 off, u32 len)
{
	walk_rq(memx_rq(buf), off, len, zero_piece, NULL);
}

void memx_buf_port(struct mx_port *p)
{
	p->buf_crc = buf_crc;
	p->buf_put = buf_put;
	p->buf_zero = buf_zero;
}

/* ---- carrier ---- */

/* Pages that the slab allocator owns have no count of their own to hold on to. */
static bool add_piece(void *arg, struct page *p, u32 off, u32 len)
{
	struct sk_buff *skb = arg;
	int i = skb_shinfo(skb)->nr_frags;

	if (i == MAX_SKB_FRAGS || !sendpage_ok(p))
		return false;
	get_page(p);
	skb_add_rx_frag(skb, i, p, off, len, len);
	return true;
}

static bool add(void *buf, u32 off, u32 len, struct sk_buff *skb)
{
	return walk(buf, off, len, add_piece, skb);
}

static void copy(u8 *dst, void *buf, u32 off, u32 len)
{
	walk(buf, off, len, copy_piece, &dst);
}

const struct mxk_buf_ops memx_buf_ops = { .add = add, .copy = copy };
