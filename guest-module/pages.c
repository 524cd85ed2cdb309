// SPDX-License-Identifier: GPL-2.0-or-later
/* A request's pages as the core's buffer: sent from and received into directly. */
#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/net.h>
#include <linux/slab.h>
#include "core/wire.h"
#include "guest-module/volume.h"

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

static void next_bio(struct memx_cursor *c, const struct bio *bio)
{
	c->bio = bio;
	c->vec = bio ? bio->bi_io_vec : NULL;
	c->iter = bio ? bio->bi_iter : (struct bvec_iter){ 0 };
}

static void rewind(struct memx_request *r)
{
	struct memx_cursor *c = &r->cursor;

	c->at = 0;
	next_bio(c, r->bvec ? NULL : r->bio);
	if (r->bvec) {
		c->vec = r->bvec;
		c->iter = (struct bvec_iter){ .bi_size = (u32)r->len };
	}
}

/* To offset @off. Datagrams go through a request from front to back, so it is
 * mostly where the last one ended. */
static void seek(struct memx_request *r, u32 off)
{
	struct memx_cursor *c = &r->cursor;

	if (!c->vec || off < c->at)
		rewind(r);
	while (c->bio && off - c->at >= c->iter.bi_size) {
		c->at += c->iter.bi_size;
		next_bio(c, c->bio->bi_next);
	}
	bvec_iter_advance(c->vec, &c->iter, off - c->at);
	c->at = off;
}

/* [off, off + len) of the request's own pages. Under the lock, for the cursor. */
static bool walk_pages(struct memx_request *r, u32 off, u32 len, piece_fn fn, void *arg)
{
	struct memx_cursor *c = &r->cursor;

	seek(r, off);
	while (len) {
		struct bio_vec bv;
		u32 n;

		if (!c->iter.bi_size)
			seek(r, c->at);
		bv = bvec_iter_bvec(c->vec, c->iter);
		n = min(bv.bv_len, len);
		if (!fn(arg, bv.bv_page, bv.bv_offset, n))
			return false;
		bvec_iter_advance(c->vec, &c->iter, n);
		c->at += n;
		len -= n;
	}
	return true;
}

static bool walk(struct memx_request *r, u32 off, u32 len, piece_fn fn, void *arg)
{
	return r->copy ? walk_copy(r->copy, off, len, fn, arg) : walk_pages(r, off, len, fn, arg);
}

static bool whole_blocks(const struct bio_vec *vec, struct bvec_iter iter)
{
	struct bio_vec bv;

	for_each_bvec(bv, vec, iter, iter)
		if ((bv.bv_offset | bv.bv_len) & (MX_BLOCK - 1))
			return false;
	return true;
}

bool memx_pages_fit(const struct memx_request *r)
{
	const struct bio *bio;
	u64 len = 0;

	if (r->len > MEMX_REQ_BYTES || (r->len | r->off) & (MX_BLOCK - 1))
		return false;
	if (r->bvec)
		return whole_blocks(r->bvec, (struct bvec_iter){ .bi_size = (u32)r->len });
	for (bio = r->bio; bio && len < r->len; bio = bio->bi_next) {
		if (!whole_blocks(bio->bi_io_vec, bio->bi_iter))
			return false;
		len += bio->bi_iter.bi_size;
	}
	return len == r->len;
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
static bool make_copy(struct memx_request *r)
{
	struct memx_copy *c = r->vol->free_copies;
	u32 left = (u32)r->len;

	if (!c)
		return false;
	r->vol->free_copies = c->next;
	for (u32 i = 0; left; i++) {
		u32 n = min_t(u32, left, PAGE_SIZE);
		u8 *to = page_address(c->page[i]);

		walk_pages(r, i * PAGE_SIZE, n, copy_piece, &to);
		left -= n;
	}
	r->copy = c;
	return true;
}

void memx_copy_done(struct memx_request *r)
{
	struct memx_copy *c = r->copy;

	if (!c)
		return;
	r->copy = NULL;
	c->next = r->vol->free_copies;
	r->vol->free_copies = c;
}

void memx_copies_exit(struct memx_volume *v)
{
	if (!v->copies)
		return;
	for (u32 i = 0; i < MEMX_COPIES; i++)
		for (u32 k = 0; k < MEMX_REQ_PAGES; k++)
			if (v->copies[i].page[k])
				put_page(v->copies[i].page[k]);
	kvfree(v->copies);
	v->copies = NULL;
}

int memx_copies_init(struct memx_volume *v)
{
	v->copies = kvcalloc(MEMX_COPIES, sizeof(*v->copies), GFP_KERNEL);
	if (!v->copies)
		return -ENOMEM;
	for (u32 i = 0; i < MEMX_COPIES; i++) {
		struct memx_copy *c = &v->copies[i];

		for (u32 k = 0; k < MEMX_REQ_PAGES; k++) {
			c->page[k] = alloc_page(GFP_KERNEL);
			if (!c->page[k]) {
				memx_copies_exit(v);
				return -ENOMEM;
			}
		}
		c->next = v->free_copies;
		v->free_copies = c;
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
	struct memx_request *r = buf;
	struct crc_arg a = { seeds, crcs };

	if (stable && !r->copy && !make_copy(r))
		return false;
	return walk(r, off, nblocks * MX_BLOCK, crc_piece, &a);
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
	struct put_arg a = { src, seeds, crcs };

	return walk_pages(buf, off, nblocks * MX_BLOCK, put_piece, &a);
}

static bool zero_piece(void *arg, struct page *p, u32 off, u32 len)
{
	memzero_page(p, off, len);
	return true;
}

static void buf_zero(void *ctx, void *buf, u32 off, u32 len)
{
	walk_pages(buf, off, len, zero_piece, NULL);
}

void memx_pages_port(struct mx_port *p)
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

const struct mxk_buf_ops memx_pages_ops = { .add = add, .copy = copy };
