/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request buffers scattered over iovecs, as the core's port asks for them.
 *
 * Elements may have any length and alignment. Blocks of 512 bytes that lie in
 * one element are worked on in place, others through a block on the stack.
 */
#include <stdlib.h>
#include <string.h>
#include "net/posix/client_int.h"

/* A place in a request's memory. */
struct pos {
	const struct iovec *iov;
	size_t skip;			/* bytes of *iov before it */
};

/* Accesses mostly rise, so the search starts where the last one ended. */
static struct pos seek(struct memx_req *r, size_t off)
{
	off += r->iov_skip;
	if (off < r->at_off) {
		r->at = 0;
		r->at_off = 0;
	}
	while (off - r->at_off >= r->iov[r->at].iov_len)
		r->at_off += r->iov[r->at++].iov_len;
	return (struct pos){ &r->iov[r->at], off - r->at_off };
}

/* Bytes that lie in one piece from @p on, at most @want (which is not 0). */
static size_t piece(struct pos *p, size_t want, u8 **at)
{
	size_t left;

	while (p->skip == p->iov->iov_len) {
		p->iov++;
		p->skip = 0;
	}
	left = p->iov->iov_len - p->skip;
	*at = (u8 *)p->iov->iov_base + p->skip;
	return left < want ? left : want;
}

static void copy_out(struct pos *p, u8 *dst, size_t len)
{
	while (len) {
		u8 *at;
		size_t n = piece(p, len, &at);

		memcpy(dst, at, n);
		p->skip += n;
		dst += n;
		len -= n;
	}
}

static void copy_in(struct pos *p, const u8 *src, size_t len)
{
	while (len) {
		u8 *at;
		size_t n = piece(p, len, &at);

		memcpy(at, src, n);
		p->skip += n;
		src += n;
		len -= n;
	}
}

/* ---- port ---- */

static bool make_stable(struct memx_req *r)
{
	struct pos p;

	if (r->stable)
		return true;
	r->stable = malloc(r->core.len);
	if (!r->stable)
		return false;
	p = seek(r, 0);
	copy_out(&p, r->stable, r->core.len);
	return true;
}

static bool buf_crc(void *ctx, void *buf, u32 off, u32 nblocks, const u32 *seeds, u32 *crcs,
		    bool stable)
{
	struct memx_req *r = buf;
	struct pos p;

	if (stable && !make_stable(r))
		return false;
	if (r->stable) {
		mx_crc32c_blocks(NULL, (u8 *)r->stable + off, nblocks, seeds, crcs);
		return true;
	}
	p = seek(r, off);
	while (nblocks) {
		u8 block[MX_BLOCK], *at;
		u32 n = (u32)(piece(&p, (size_t)nblocks * MX_BLOCK, &at) / MX_BLOCK);

		if (n) {
			p.skip += (size_t)n * MX_BLOCK;
		} else {
			copy_out(&p, block, MX_BLOCK);
			at = block;
			n = 1;
		}
		mx_crc32c_blocks(NULL, at, n, seeds, crcs);
		seeds += n;
		crcs += n;
		nblocks -= n;
	}
	return true;
}

static bool buf_put(void *ctx, void *buf, u32 off, const void *src, u32 nblocks,
		    const u32 *seeds, const u32 *crcs)
{
	struct pos p = seek(buf, off);
	u32 got[MX_PAGE_BLOCKS];
	const u8 *from = src;

	while (nblocks) {
		u8 block[MX_BLOCK], *at;
		u32 n = (u32)(piece(&p, (size_t)nblocks * MX_BLOCK, &at) / MX_BLOCK);

		if (n) {
			n = mx_min_u32(n, MX_PAGE_BLOCKS);
			mx_crc32c_blocks(at, from, n, seeds, got);
			p.skip += (size_t)n * MX_BLOCK;
		} else {
			n = 1;
			mx_crc32c_blocks(block, from, 1, seeds, got);
			copy_in(&p, block, MX_BLOCK);
		}
		if (memcmp(got, crcs, n * sizeof got[0]))
			return false;
		from += (size_t)n * MX_BLOCK;
		seeds += n;
		crcs += n;
		nblocks -= n;
	}
	return true;
}

static void buf_zero(void *ctx, void *buf, u32 off, u32 len)
{
	struct pos p = seek(buf, off);

	while (len) {
		u8 *at;
		size_t n = piece(&p, len, &at);

		memset(at, 0, n);
		p.skip += n;
		len -= (u32)n;
	}
}

void memx_port_buffers(struct mx_port *p)
{
	p->buf_crc = buf_crc;
	p->buf_put = buf_put;
	p->buf_zero = buf_zero;
}

/* ---- carriers ---- */

static unsigned name_iov(void *buf, u32 off, u32 len, struct iovec *iov, unsigned max)
{
	struct memx_req *r = buf;
	unsigned used = 0;
	struct pos p;

	if (r->stable) {
		if (!max)
			return 0;
		iov[0].iov_base = (u8 *)r->stable + off;
		iov[0].iov_len = len;
		return 1;
	}
	p = seek(r, off);
	while (len) {
		u8 *at;
		size_t n = piece(&p, len, &at);

		if (used == max)
			return 0;
		iov[used].iov_base = at;
		iov[used++].iov_len = n;
		p.skip += n;
		len -= (u32)n;
	}
	return used;
}

static void copy(u8 *dst, void *buf, u32 off, u32 len)
{
	struct memx_req *r = buf;
	struct pos p;

	if (r->stable) {
		memcpy(dst, (u8 *)r->stable + off, len);
		return;
	}
	p = seek(r, off);
	copy_out(&p, dst, len);
}

const struct mxp_buf_ops memx_buf_ops = { .iov = name_iov, .copy = copy };
