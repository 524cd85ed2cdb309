/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wire format: round trips, every truncation, ranges, noise; CRC32C. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

#include "core/wire.h"
#include "core/crc32c.h"

static u8 buf[8192];
static u64 rng = 88172645463325252ull;

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void fill(void *p, size_t n)
{
	u8 *b = p;

	while (n--)
		*b++ = (u8)(rnd() >> 20);
}

/* ---- CRC32C ---- */

static u32 crc_bitwise(u32 crc, const u8 *p, size_t n)
{
	for (; n; n--, p++) {
		int k;

		crc ^= *p;
		for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static void crc__known_answers(void **state)
{
	static const u8 zeros[32];
	u8 ones[32];

	memset(ones, 0xff, sizeof ones);
	/* RFC 3720, B.4 */
	assert_int_equal(~mx_crc32c_sw(~0u, zeros, 32), 0x8a9136aa);
	assert_int_equal(~mx_crc32c_sw(~0u, ones, 32), 0x62a8ab43);
	assert_int_equal(~mx_crc32c(~0u, zeros, 32), 0x8a9136aa);
	assert_int_equal(~mx_crc32c(~0u, "123456789", 9), 0xe3069283);
}

static void crc__all_ways_agree_at_every_length_and_alignment(void **state)
{
	u32 off, len, seed;

	fill(buf, sizeof buf);
	for (off = 0; off < 9; off++) {
		for (len = 0; len < 300; len++) {
			u32 want;

			seed = (u32)rnd();
			want = crc_bitwise(seed, buf + off, len);
			assert_int_equal(mx_crc32c_sw(seed, buf + off, len), want);
			assert_int_equal(mx_crc32c(seed, buf + off, len), want);
			assert_int_equal(mx_crc32c(mx_crc32c(seed, buf + off, len / 3),
						   buf + off + len / 3, len - len / 3), want);
		}
	}
}

static void crc__blocks(void **state)
{
	enum { N = 15 };
	u8 src[N * MX_BLOCK + 3], dst[N * MX_BLOCK + 3];
	u32 seeds[N], a[N], b[N], n, i;

	fill(src, sizeof src);
	fill(seeds, sizeof seeds);
	for (n = 0; n <= N; n++) {
		memset(dst, 0x55, sizeof dst);
		memset(a, 0, sizeof a);
		mx_crc32c_blocks(n % 2 ? dst + 1 : NULL, src + 2, n, seeds, a);
		mx_crc32c_blocks_sw(NULL, src + 2, n, seeds, b);
		for (i = 0; i < n; i++) {
			assert_int_equal(a[i], crc_bitwise(seeds[i], src + 2 + i * MX_BLOCK, MX_BLOCK));
			assert_int_equal(a[i], b[i]);
		}
		if (n % 2)
			assert_memory_equal(dst + 1, src + 2, n * MX_BLOCK);
		assert_int_equal(dst[1 + n % 2 * n * MX_BLOCK], 0x55);
		mx_crc32c_blocks_sw(dst, src, n, seeds, b);
		assert_memory_equal(dst, src, n * MX_BLOCK);
	}
}

/* ---- outer header and walk ---- */

static void outer__round_trip_and_refusals(void **state)
{
	struct mx_outer o = {
		.kind = MX_KIND_PLAIN, .major = MX_PROTO_MAJOR, .heads_len = 48,
		.session = 0x12345678, .pktno = 0x1122334455667788ull,
	}, got;
	u32 i;

	fill(buf, sizeof buf);
	mx_outer_encode(buf, &o);
	mx_outer_seal_crc(buf, 48);
	assert_int_equal(mx_outer_decode(buf, 72, &got), MX_RJ_NONE);
	assert_int_equal(got.session, o.session);
	assert_true(got.pktno == o.pktno);
	assert_int_equal(got.heads_len, 48);
	assert_true(mx_outer_check_crc(buf, 48));
	for (i = 0; i < 72; i++) {
		buf[i] ^= 0x10;
		assert_false(mx_outer_check_crc(buf, 48));
		buf[i] ^= 0x10;
	}
	for (i = 0; i < MX_OUTER; i++)
		assert_int_equal(mx_outer_decode(buf, i, &got), MX_RJ_SHORT);
	for (i = MX_OUTER; i < 72; i++)
		assert_int_equal(mx_outer_decode(buf, i, &got), MX_RJ_HEADS);
	buf[0] = 0;
	assert_int_equal(mx_outer_decode(buf, 72, &got), MX_RJ_MAGIC);
	mx_outer_encode(buf, &o);
	buf[2] = 2;
	assert_int_equal(mx_outer_decode(buf, 72, &got), MX_RJ_VERSION);
	mx_outer_encode(buf, &o);
	for (i = 0; i < 256; i++) {
		buf[1] = (u8)i;
		assert_int_equal(mx_outer_decode(buf, 100, &got),
				 i >= 1 && i <= 4 ? MX_RJ_NONE : MX_RJ_KIND);
	}
	o.kind = MX_KIND_SEALED;
	mx_outer_encode(buf, &o);
	assert_int_equal(mx_outer_decode(buf, 72 + MX_TAG - 1, &got), MX_RJ_SHORT);
	assert_int_equal(mx_outer_decode(buf, 72 + MX_TAG, &got), MX_RJ_NONE);
	mx_st16(buf + 4, 44);
	assert_int_equal(mx_outer_decode(buf, 100, &got), MX_RJ_HEADS);
	mx_st16(buf + 4, 8);
	assert_int_equal(mx_outer_decode(buf, 100, &got), MX_RJ_HEADS);
	mx_outer_encode(buf, &o);
	buf[3] = 1;
	assert_int_equal(mx_outer_decode(buf, 100, &got), MX_RJ_FIELD);
}

static void walk__sums_must_agree(void **state)
{
	struct mx_head h = { .type = 1, .hlen = 16, .plen = 100, .tag = 5, .flags = 3, .attempt = 9,
			     .status = 7 }, got;
	struct mx_walk w;
	const u8 *head;
	u32 off;

	mx_head_encode(buf, &h);
	h.hlen = 24;
	h.plen = 28;
	mx_head_encode(buf + 16, &h);
	assert_int_equal(mx_walk_init(&w, buf, 40, 128), MX_RJ_NONE);
	assert_true(mx_walk_next(&w, &got, &head, &off));
	assert_int_equal(got.tag, 5);
	assert_int_equal(got.flags, 3);
	assert_int_equal(got.attempt, 9);
	assert_int_equal(got.status, 7);
	assert_int_equal(off, 0);
	assert_true(mx_walk_next(&w, &got, &head, &off));
	assert_ptr_equal(head, buf + 16);
	assert_int_equal(off, 100);
	assert_int_equal(got.plen, 28);
	assert_false(mx_walk_next(&w, &got, &head, &off));

	assert_int_equal(mx_walk_init(&w, buf, 40, 127), MX_RJ_PLEN);
	assert_int_equal(mx_walk_init(&w, buf, 40, 129), MX_RJ_PLEN);
	assert_int_equal(mx_walk_init(&w, buf, 32, 128), MX_RJ_HLEN);
	assert_int_equal(mx_walk_init(&w, buf, 24, 128), MX_RJ_HLEN);
	assert_int_equal(mx_walk_init(&w, buf, 0, 0), MX_RJ_HEADS);
	mx_st16(buf + 2, 8);
	assert_int_equal(mx_walk_init(&w, buf, 40, 128), MX_RJ_HLEN);
	mx_st16(buf + 2, 17);
	assert_int_equal(mx_walk_init(&w, buf, 40, 128), MX_RJ_HLEN);
	mx_st16(buf + 2, 16);
	mx_st32(buf + 4, 0xffffffff);	/* sums must not wrap */
	mx_st32(buf + 20, 129);
	assert_int_equal(mx_walk_init(&w, buf, 40, 128), MX_RJ_PLEN);
}

/* ---- messages: one row each, encoded into buf ---- */

#define DEC(name, type)							\
	static bool name(const struct mx_head *h)			\
	{								\
		struct type m;						\
									\
		return type##_decode(buf, h, &m);			\
	}
DEC(dec_read, mx_read)
DEC(dec_rd, mx_read_data)
DEC(dec_write, mx_write)
DEC(dec_zero, mx_zero)
DEC(dec_ack, mx_write_ack)
DEC(dec_bs, mx_blkstat)
DEC(dec_bsd, mx_blkstat_data)
DEC(dec_ctl, mx_ctl)
DEC(dec_hello, mx_hello)
DEC(dec_retry, mx_retry)
DEC(dec_welcome, mx_welcome)
DEC(dec_reject, mx_rejectmsg)
DEC(dec_announce, mx_announce)

static const u8 bytes[128];
static const u32 crcs[MX_IO_BLOCKS_MAX] = { 1, 2, 3, 4, 5 };

static void enc_read(struct mx_head *h)
{
	struct mx_read m = { .epoch = 3, .gen = 4, .extent = 5, .first = 6, .nblocks = 7 };

	mx_read_encode(buf, h, &m);
}
static void enc_read_want(struct mx_head *h)
{
	struct mx_read m = { .epoch = 3, .first = 2000, .nblocks = 48, .want = { 1, 2, 3 } };

	h->flags = MX_F_WANT;
	mx_read_encode(buf, h, &m);
}
static void enc_rd(struct mx_head *h)
{
	struct mx_read_data m = { .first = 3, .nblocks = 9, .npages = 3 };
	struct mx_read_entry e[3] = {
		{ .num = 1, .kind = MX_PAGE_DATA, .nblocks = 5 },
		{ .num = 2, .kind = MX_PAGE_ZERO, .nblocks = 3 },
		{ .num = 0, .kind = MX_PAGE_HOLE, .nblocks = 1 },
	};

	mx_read_data_encode(buf, h, &m, e, crcs, 5);
}
static void enc_rd_error(struct mx_head *h)
{
	struct mx_read_data m = { 0 };

	h->status = MX_ST_FENCED;
	mx_read_data_encode(buf, h, &m, NULL, NULL, 0);
}
static void enc_write(struct mx_head *h)
{
	struct mx_write m = { .num = mx_num(1, 1), .first = 10, .nblocks = 5, .req_first = 8,
			      .req_nblocks = 16 };

	mx_write_encode(buf, h, &m, crcs);
}
static void enc_zero(struct mx_head *h)
{
	struct mx_zero m = { .num = 9, .first = 0, .nblocks = MX_EXTENT_BLOCKS };

	mx_zero_encode(buf, h, &m);
}
static void enc_ack(struct mx_head *h)
{
	struct mx_write_ack m = { .first = 2047, .nblocks = 1, .have = 0xff, .num = 5 };

	mx_write_ack_encode(buf, h, &m);
}
static void enc_bs(struct mx_head *h)
{
	struct mx_blkstat m = { .epoch = 1, .extent = 2 };

	mx_blkstat_encode(buf, h, &m);
}
static void enc_bsd(struct mx_head *h)
{
	struct mx_blkstat_data m = { .kinds = { 1 } };

	mx_blkstat_data_encode(buf, h, &m);
}
static void enc_ctl(struct mx_head *h)
{
	struct mx_ctl m = { .op = MX_OP_LIST, .total = 3000, .off = 2048, .body_crc = 1 };

	h->type = MX_CALL;
	h->plen = 952;
	mx_ctl_encode(buf, h, &m);
}
static void enc_hello(struct mx_head *h)
{
	struct mx_hello m = { .node = bytes, .random = bytes, .share = bytes, .volume = bytes,
			      .dgram_max = 1500 };

	mx_hello_encode(buf, h, &m);
}
static void enc_retry(struct mx_head *h)
{
	struct mx_retry m = { .client_random = bytes, .cookie = bytes };

	mx_retry_encode(buf, h, &m);
}
static void enc_welcome(struct mx_head *h)
{
	struct mx_welcome m = { .node = bytes, .random = bytes, .share = bytes,
				.client_random = bytes, .dgram_max = 1500 };

	mx_welcome_encode(buf, h, &m);
}
static void enc_reject(struct mx_head *h)
{
	struct mx_rejectmsg m = { .client_random = bytes, .major = 1 };

	mx_rejectmsg_encode(buf, h, &m);
}
static void enc_announce(struct mx_head *h)
{
	struct mx_announce m = { .member = bytes, .counter = 1 };

	mx_announce_encode(buf, h, &m);
}

static const struct row {
	void (*enc)(struct mx_head *h);
	bool (*dec)(const struct mx_head *h);
	u32 hlen;
} rows[] = {
	{ enc_read, dec_read, 48 },
	{ enc_read_want, dec_read, 80 },
	{ enc_rd, dec_rd, 24 + 48 + 24 },
	{ enc_rd_error, dec_rd, 24 },
	{ enc_write, dec_write, 56 + 24 },
	{ enc_zero, dec_zero, 56 },
	{ enc_ack, dec_ack, 32 },
	{ enc_bs, dec_bs, 48 },
	{ enc_bsd, dec_bsd, 88 },
	{ enc_ctl, dec_ctl, 40 },
	{ enc_hello, dec_hello, 312 },
	{ enc_retry, dec_retry, 80 },
	{ enc_welcome, dec_welcome, 256 },
	{ enc_reject, dec_reject, 56 },
	{ enc_announce, dec_announce, 192 },
};

static void messages__encode_as_documented_and_decode(void **state)
{
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(rows); i++) {
		struct mx_head h = { .tag = 77, .attempt = 3 }, got;
		struct mx_walk w;
		const u8 *head;
		u32 off;

		memset(buf, 0xee, sizeof buf);
		rows[i].enc(&h);
		assert_int_equal(h.hlen, rows[i].hlen);
		assert_int_equal(buf[h.hlen], 0xee);
		/* The bytes alone must give the head back. */
		assert_int_equal(mx_walk_init(&w, buf, h.hlen, h.plen), MX_RJ_NONE);
		assert_true(mx_walk_next(&w, &got, &head, &off));
		assert_memory_equal(&got, &h, sizeof h);
		assert_true(rows[i].dec(&got));
	}
}

/* A head that says it is shorter, or longer, or has another payload: the bytes
 * behind it are another heap block's, so a read past the end is seen. */
static void messages__every_other_length_is_refused(void **state)
{
	u32 i, hlen, k;

	for (i = 0; i < MX_ARRAY_SIZE(rows); i++) {
		struct mx_head h = { 0 };

		rows[i].enc(&h);
		for (hlen = 16; hlen <= rows[i].hlen + 64; hlen += 8) {
			struct mx_head g = h;

			g.hlen = (u16)hlen;
			if (hlen != rows[i].hlen)
				assert_false(rows[i].dec(&g));
		}
		for (k = 0; k < 64; k++) {
			struct mx_head g = h;

			g.type = (u16)k;
			if (k != h.type && !(k == MX_REPLY && h.type == MX_CALL))
				assert_false(rows[i].dec(&g));
		}
	}
}

static void messages__noise_never_reads_beyond_the_head(void **state)
{
	u32 round;

	for (round = 0; round < 200000; round++) {
		const struct row *r = &rows[rnd() % MX_ARRAY_SIZE(rows)];
		struct mx_head h = { 0 };
		u32 hlen, n = 1 + rnd() % 4;
		u8 *tight, saved[512];

		r->enc(&h);
		while (n--)
			buf[16 + rnd() % (r->hlen - 8)] ^= (u8)(1u << rnd() % 8);
		hlen = rnd() % 4 ? h.hlen : 16 + 8 * (rnd() % 50);
		h.hlen = (u16)hlen;
		if (rnd() % 4 == 0)
			h.plen = (u32)(rnd() % 70000);
		/* Exactly sized, so that the sanitizer sees one byte too many. */
		tight = malloc(hlen);
		memcpy(tight, buf, hlen);
		memcpy(saved, buf, sizeof saved);
		{
			struct mx_read a; struct mx_read_data b; struct mx_write c; struct mx_zero d;
			struct mx_write_ack e; struct mx_blkstat f; struct mx_blkstat_data g;
			struct mx_ctl i; struct mx_hello j; struct mx_retry k; struct mx_welcome l;
			struct mx_rejectmsg o; struct mx_announce q;

			mx_read_decode(tight, &h, &a);
			mx_read_data_decode(tight, &h, &b);
			mx_write_decode(tight, &h, &c);
			mx_zero_decode(tight, &h, &d);
			mx_write_ack_decode(tight, &h, &e);
			mx_blkstat_decode(tight, &h, &f);
			mx_blkstat_data_decode(tight, &h, &g);
			mx_ctl_decode(tight, &h, &i);
			mx_hello_decode(tight, &h, &j);
			mx_retry_decode(tight, &h, &k);
			mx_welcome_decode(tight, &h, &l);
			mx_rejectmsg_decode(tight, &h, &o);
			mx_announce_decode(tight, &h, &q);
		}
		free(tight);
	}
}

static void read__ranges(void **state)
{
	struct mx_head h = { 0 };
	struct mx_read m = { .epoch = 1, .first = 0, .nblocks = 1 };

	m.nblocks = 0;
	mx_read_encode(buf, &h, &m);
	assert_false(dec_read(&h));
	m.nblocks = MX_IO_BLOCKS_MAX + 1;
	mx_read_encode(buf, &h, &m);
	assert_false(dec_read(&h));
	m.nblocks = MX_IO_BLOCKS_MAX;
	m.first = MX_EXTENT_BLOCKS - MX_IO_BLOCKS_MAX;
	mx_read_encode(buf, &h, &m);
	assert_true(dec_read(&h));
	m.first++;
	mx_read_encode(buf, &h, &m);
	assert_false(dec_read(&h));
	m.first = 0xffff;
	mx_read_encode(buf, &h, &m);
	assert_false(dec_read(&h));
	m.first = 0;
	m.extent = MX_VOL_BYTES_MAX >> MX_EXTENT_SHIFT;
	mx_read_encode(buf, &h, &m);
	assert_false(dec_read(&h));
}

static void read_data__entries_must_agree(void **state)
{
	struct mx_head h = { 0 };
	struct mx_read_data m = { .first = 250, .nblocks = 6, .npages = 1 };
	struct mx_read_entry e = { .num = 1, .kind = MX_PAGE_DATA, .nblocks = 6 }, got;

	mx_read_data_encode(buf, &h, &m, &e, crcs, 6);
	assert_true(dec_rd(&h));
	mx_read_data_entry(buf, 0, &got);
	assert_int_equal(got.nblocks, 6);
	assert_true(got.num == 1);
	assert_int_equal(mx_read_data_crc(buf, 1, 4), 5);
	m.first = 251;				/* beyond the largest request */
	mx_read_data_encode(buf, &h, &m, &e, crcs, 6);
	assert_false(dec_rd(&h));
	m.first = 0;
	m.nblocks = 7;				/* not the sum */
	mx_read_data_encode(buf, &h, &m, &e, crcs, 6);
	assert_false(dec_rd(&h));
	m.nblocks = e.nblocks = 9;		/* more than a page */
	mx_read_data_encode(buf, &h, &m, &e, crcs, 9);
	assert_false(dec_rd(&h));
	m.nblocks = e.nblocks = 6;
	e.kind = 4;
	mx_read_data_encode(buf, &h, &m, &e, crcs, 0);
	assert_false(dec_rd(&h));
	e.kind = MX_PAGE_ZERO;			/* payload without a DATA entry */
	mx_read_data_encode(buf, &h, &m, &e, crcs, 6);
	assert_false(dec_rd(&h));
	mx_read_data_encode(buf, &h, &m, &e, crcs, 0);
	assert_true(dec_rd(&h));
	h.status = MX_ST_BUSY;			/* a refusal has no entries */
	assert_false(dec_rd(&h));
}

static void write__fragment_inside_request(void **state)
{
	struct mx_head h = { 0 };
	struct mx_write m = { .num = 1, .first = 8, .nblocks = 8, .req_first = 8, .req_nblocks = 8 };
	struct mx_write bad;

	mx_write_encode(buf, &h, &m, crcs);
	assert_true(dec_write(&h));
	assert_int_equal(mx_write_crc(buf, 2), 3);
	bad = m;
	bad.req_first = 9;
	bad.req_nblocks = 20;
	mx_write_encode(buf, &h, &bad, crcs);
	assert_false(dec_write(&h));
	bad = m;
	bad.req_nblocks = 7;
	mx_write_encode(buf, &h, &bad, crcs);
	assert_false(dec_write(&h));
	bad = m;
	bad.num = 0;
	mx_write_encode(buf, &h, &bad, crcs);
	assert_false(dec_write(&h));
	mx_write_encode(buf, &h, &m, crcs);
	h.plen--;
	assert_false(dec_write(&h));
}

static void ctl__fragments_lie_on_units(void **state)
{
	static const struct { u32 total, off, plen; bool ok; } t[] = {
		{ 0, 0, 0, true }, { 1, 0, 1, true }, { 1, 0, 0, false }, { 1, 1, 0, false },
		{ 1024, 0, 1024, true }, { 3000, 0, 1024, true }, { 3000, 1024, 1976, true },
		{ 3000, 0, 1000, false }, { 3000, 512, 1024, false }, { 3000, 2048, 953, false },
		{ 3000, 2048, 951, false }, { MX_CTL_BODY_MAX, 0, MX_CTL_BODY_MAX, true },
		{ MX_CTL_BODY_MAX + 1, 0, 1024, false }, { 1024, 0xfffffc00, 1024, false },
		{ 1024, 0, 0xfffffc00, false }, { 2048, 2048, 0, false },
	};
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(t); i++) {
		struct mx_head h = { .type = MX_REPLY, .plen = t[i].plen };
		struct mx_ctl m = { .op = 1, .total = t[i].total, .off = t[i].off };

		mx_ctl_encode(buf, &h, &m);
		assert_int_equal(dec_ctl(&h), t[i].ok);
	}
}

static void status__every_one_has_a_phrase(void **state)
{
	u32 s, k;

	for (s = 0; s <= MX_ST_NAME_CLASH; s++) {
		if (s > MX_ST_LEAVING && s < MX_ST_TIMEOUT)
			continue;
		assert_string_not_equal(mx_status_str(s), "unknown status");
		for (k = 0; k < s; k++)
			if (k <= MX_ST_LEAVING || k >= MX_ST_TIMEOUT)
				assert_string_not_equal(mx_status_str(s), mx_status_str(k));
	}
	assert_string_equal(mx_status_str(200), "unknown status");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc__known_answers),
		cmocka_unit_test(crc__all_ways_agree_at_every_length_and_alignment),
		cmocka_unit_test(crc__blocks),
		cmocka_unit_test(outer__round_trip_and_refusals),
		cmocka_unit_test(walk__sums_must_agree),
		cmocka_unit_test(messages__encode_as_documented_and_decode),
		cmocka_unit_test(messages__every_other_length_is_refused),
		cmocka_unit_test(messages__noise_never_reads_beyond_the_head),
		cmocka_unit_test(read__ranges),
		cmocka_unit_test(read_data__entries_must_agree),
		cmocka_unit_test(write__fragment_inside_request),
		cmocka_unit_test(ctl__fragments_lie_on_units),
		cmocka_unit_test(status__every_one_has_a_phrase),
	};

	return unit_main(argc, argv, tests);
}
