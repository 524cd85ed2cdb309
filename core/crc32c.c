/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32C by eight tables, eight bytes a step ("slicing by 8").
 *
 * A CRC is linear over GF(2): the entry for a byte is the exclusive or of the
 * entries for its single bits. So the tables are written as eight words each,
 * and the compiler makes the 256 entries of them.
 */
#include "crc32c.h"
#include "wire.h"

/* Entry of byte i, given the entries a..h of 0x01, 0x02, ... 0x80. */
#define ENT(i, a, b, c, d, e, f, g, h) \
	(((i) & 0x01 ? (a) : 0) ^ ((i) & 0x02 ? (b) : 0) ^ \
	 ((i) & 0x04 ? (c) : 0) ^ ((i) & 0x08 ? (d) : 0) ^ \
	 ((i) & 0x10 ? (e) : 0) ^ ((i) & 0x20 ? (f) : 0) ^ \
	 ((i) & 0x40 ? (g) : 0) ^ ((i) & 0x80 ? (h) : 0))
#define ENT4(i, ...) \
	ENT((i), __VA_ARGS__), ENT((i) + 1, __VA_ARGS__), \
	ENT((i) + 2, __VA_ARGS__), ENT((i) + 3, __VA_ARGS__)
#define ENT16(i, ...) \
	ENT4((i), __VA_ARGS__), ENT4((i) + 4, __VA_ARGS__), \
	ENT4((i) + 8, __VA_ARGS__), ENT4((i) + 12, __VA_ARGS__)
#define ENT64(i, ...) \
	ENT16((i), __VA_ARGS__), ENT16((i) + 16, __VA_ARGS__), \
	ENT16((i) + 32, __VA_ARGS__), ENT16((i) + 48, __VA_ARGS__)
#define TABLE(...) { \
	ENT64(0, __VA_ARGS__), ENT64(64, __VA_ARGS__), \
	ENT64(128, __VA_ARGS__), ENT64(192, __VA_ARGS__) }

/* table[k]: the effect of a byte with k more bytes after it. */
static const u32 table[8][256] = {
	TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu,
	      0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
	TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u,
	      0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
	TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u,
	      0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
	TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u,
	      0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
	TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u,
	      0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
	TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu,
	      0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
	TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u,
	      0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
	TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau,
	      0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

u32 mx_crc32c_sw(u32 seed, const void *p, size_t n)
{
	const u8 *b = p;
	u32 crc = seed;

	for (; n >= 8; n -= 8, b += 8) {
		u32 lo = crc ^ mx_ld32(b), hi = mx_ld32(b + 4);

		crc = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^
		      table[5][lo >> 16 & 0xff] ^ table[4][lo >> 24] ^
		      table[3][hi & 0xff] ^ table[2][hi >> 8 & 0xff] ^
		      table[1][hi >> 16 & 0xff] ^ table[0][hi >> 24];
	}
	for (; n; n--, b++)
		crc = crc >> 8 ^ table[0][(crc ^ *b) & 0xff];
	return crc;
}

void mx_crc32c_blocks_sw(void *dst, const void *src, u32 nblocks,
			 const u32 *seeds, u32 *crcs)
{
	const u8 *s = src;
	u8 *d = dst;
	u32 i;

	for (i = 0; i < nblocks; i++, s += MX_BLOCK) {
		/* From the copy, so that the CRC is of what was copied even if
		 * the source is changing meanwhile. */
		const u8 *from = s;

		if (d) {
			memcpy(d, s, MX_BLOCK);
			from = d;
			d += MX_BLOCK;
		}
		crcs[i] = mx_crc32c_sw(seeds[i], from, MX_BLOCK);
	}
}
