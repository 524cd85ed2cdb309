/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format: no datagram is read out of bounds, and what decodes encodes
 * to something that decodes to the same. The first two bytes choose the heads'
 * length, so that the fuzzer need not find it. The same bytes as a raw Ethernet
 * frame: its datagram lies within.
 */
#include <stdlib.h>
#include "core/wire.h"
#include "net/posix/net.h"

static void need(int ok)
{
	if (!ok)
		abort();
}

static u8 out[70000];

/* @m decoded from a message with head @h: encode, decode, compare. */
#define AGAIN(type, name, ...)							\
	do {									\
		struct type m, m2;						\
		struct mx_head g = *h;						\
		memset(&m, 0, sizeof m);					\
		memset(&m2, 0, sizeof m2);					\
		if (name##_decode(p, h, &m)) {					\
			need(name##_encode(out, &g, &m, ##__VA_ARGS__) == h->hlen);	\
			need(g.hlen == h->hlen && g.plen == h->plen);		\
			need(name##_decode(out, &g, &m2));			\
			need(memcmp(&m, &m2, sizeof m) == 0);			\
		}								\
	} while (0)

/* Those whose fields point into the message: fixed length, compared as bytes
 * up to the MAC, which the encoder leaves zero. */
#define AGAIN_BYTES(type, name, upto, zero_at, zero_n)				\
	do {									\
		struct type m;							\
		struct mx_head g = *h;						\
		if (name##_decode(p, h, &m)) {					\
			name##_encode(out, &g, &m);				\
			need(g.hlen == h->hlen);				\
			need(memcmp(out + 16, p + 16, (zero_at) - 16) == 0);	\
			need(memcmp(out + (zero_at) + (zero_n),			\
				    p + (zero_at) + (zero_n),			\
				    (upto) - (zero_at) - (zero_n)) == 0);	\
		}								\
	} while (0)

static void read_data(const u8 *p, const struct mx_head *h)
{
	static u32 crcs[MX_IO_BLOCKS_MAX];
	static struct mx_read_entry e[MX_IO_BLOCKS_MAX];
	struct mx_head g = *h;
	struct mx_read_data m, m2;
	u32 i, n;

	if (!mx_read_data_decode(p, h, &m))
		return;
	if (h->status)
		return;
	n = h->plen / MX_BLOCK;
	for (i = 0; i < m.npages; i++)
		mx_read_data_entry(p, i, &e[i]);
	for (i = 0; i < n; i++)
		crcs[i] = mx_read_data_crc(p, m.npages, i);
	need(mx_read_data_encode(out, &g, &m, e, crcs, n) == h->hlen);
	need(mx_read_data_decode(out, &g, &m2));
	need(m2.first == m.first && m2.nblocks == m.nblocks && m2.npages == m.npages);
}

static void write_(const u8 *p, const struct mx_head *h)
{
	static u32 crcs[MX_IO_BLOCKS_MAX];
	struct mx_head g = *h;
	struct mx_write m, m2;
	u32 i;

	if (!mx_write_decode(p, h, &m))
		return;
	for (i = 0; i < m.nblocks; i++)
		crcs[i] = mx_write_crc(p, i);
	need(mx_write_encode(out, &g, &m, crcs) == h->hlen);
	need(mx_write_decode(out, &g, &m2));
	need(m2.first == m.first && m2.req_nblocks == m.req_nblocks && m2.num == m.num);
}

static void shed(const u8 *p, const struct mx_head *h)
{
	static struct mx_shed_entry e[MX_SHED_MAX];
	struct mx_head g = *h;
	struct mx_shed m, m2;

	if (!mx_shed_decode(p, h, &m))
		return;
	for (u32 i = 0; i < m.n; i++)
		mx_shed_entry(p, i, &e[i]);
	need(mx_shed_encode(out, &g, &m, e) == h->hlen);
	need(mx_shed_decode(out, &g, &m2));
	need(memcmp(out + 16, p + 16, h->hlen - 16u) == 0);
}

static void one(const u8 *p, const struct mx_head *h)
{
	AGAIN(mx_read, mx_read);
	AGAIN(mx_zero, mx_zero);
	AGAIN(mx_write_ack, mx_write_ack);
	AGAIN(mx_blkstat, mx_blkstat);
	AGAIN(mx_blkstat_data, mx_blkstat_data);
	AGAIN(mx_ctl, mx_ctl);
	read_data(p, h);
	write_(p, h);
	shed(p, h);
	AGAIN_BYTES(mx_hello, mx_hello, MX_HELLO_MAC, MX_HELLO_MAC, 0);
	AGAIN_BYTES(mx_retry, mx_retry, MX_RETRY_HEAD, MX_RETRY_HEAD, 0);
	AGAIN_BYTES(mx_welcome, mx_welcome, MX_WELCOME_MAC, 188u, 4);
	AGAIN_BYTES(mx_rejectmsg, mx_rejectmsg, MX_REJECT_HEAD, 52u, 4);
	AGAIN_BYTES(mx_announce, mx_announce, MX_ANNOUNCE_MAC, 156u, 4);
}

static void frame(u8 *p, u32 len)
{
	u32 n = len;
	u8 *d = mxp_raw_dgram(p, &n);

	need(!d == (len < MXP_RAW_HEAD || mx_ld16(p) > len - MXP_RAW_HEAD));
	if (!d)
		return;
	need(n == mx_ld16(p) && d >= p + MXP_RAW_HEAD && d + n <= p + len);
	need(mx_crc32c(0, d, n) == mx_crc32c(0, p + MXP_RAW_HEAD, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mx_outer o;
	struct mx_walk w;
	struct mx_head h;
	const u8 *head;
	u32 off, total = 0, len, heads;
	u8 *copy;

	if (size < 2)
		return 0;
	len = (u32)size - 2;
	heads = mx_ld16(data) * 8u;
	/* Exactly sized, so that one byte too many is seen. */
	copy = malloc(len ? len : 1);
	memcpy(copy, data + 2, len);
	frame(copy, len);
	mx_outer_decode(copy, len, &o);
	if (heads <= len && mx_walk_init(&w, copy, heads, len - heads) == MX_RJ_NONE) {
		while (mx_walk_next(&w, &h, &head, &off)) {
			need(head + h.hlen <= copy + heads);
			need(off == total && off + h.plen <= len - heads);
			total += h.plen;
			one(head, &h);
		}
		need(total == len - heads);
	}
	/* One message whose payload is only said to be there. */
	if (len >= MX_HEAD && mx_ld16(copy + 2) <= len && mx_ld16(copy + 2) >= MX_HEAD) {
		h = (struct mx_head){
			.type = mx_ld16(copy), .hlen = mx_ld16(copy + 2), .plen = mx_ld32(copy + 4),
			.flags = mx_ld16(copy + 12), .status = copy[15],
		};
		one(copy, &h);
	}
	free(copy);
	return 0;
}
