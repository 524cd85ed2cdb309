/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors and bodies: round trip, every truncation, every flipped byte, noise. */
#include <stddef.h>
#include <stdint.h>
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "core/desc.h"

static u8 buf[MX_CTL_BODY_MAX + 8], buf2[MX_CTL_BODY_MAX + 8];

static void fill_ref(struct mx_srvref *r, u32 i, u32 state)
{
	memset(r, 0, sizeof *r);
	r->id = 1000 + i;
	r->incarnation = 0x1122334455667788ull * (i + 1);
	r->addr.fam = i % 2 ? MX_FAM_IP4 : MX_FAM_IP6;
	r->addr.port = (u16)(7770 + i);
	memset(r->addr.a, (int)i + 1, i % 2 ? 4 : 16);
	r->state = state;
}

static void fill_node(struct mx_node *n, u64 id)
{
	memset(n, 0, sizeof *n);
	n->id = id;
	n->incarnation = id * 77;
	strcpy(n->name, "host-a.example (qemu 12)");
}

static struct mx_desc *make_desc(u32 holders, u32 enrolled, u32 dead)
{
	struct mx_desc *d = calloc(1, sizeof *d);
	u32 i;

	memset(d->uuid, 0xab, 16);
	strcpy(d->name, "vm1/swap");
	d->size = 5ull << 30;
	d->state = MX_VOL_LIVE;
	d->extent_shift = 20;
	d->policy = 1;
	d->op_id = 42;
	d->epoch = 7;
	d->owned = 1;
	d->version = 99;
	fill_node(&d->owner, 5);
	d->last_writer = 5;
	d->last_writer_inc = 6;
	d->config = 3;
	d->nholders = holders;
	d->nenrolled = enrolled;
	d->ndead = dead;
	for (i = 0; i < holders; i++)
		fill_ref(&d->holders[i], i, 0);
	for (i = 0; i < enrolled; i++)
		fill_ref(&d->enrolled[i], i, i % 3 ? MX_ENR_OK : MX_ENR_GONE);
	for (i = 0; i < dead; i++)
		d->dead[i] = (struct mx_dead){ .server = (u16)(i % enrolled), .extent = i * 3,
						.gen = i + 1, .order = (u16)(i % 31) };
	return d;
}

static void desc__round_trip(void **state)
{
	static const u32 sizes[][3] = { { 1, 0, 0 }, { 3, 3, 0 }, { 3, 16, 5 },
					{ 5, MX_ENROLLED_MAX, MX_DEAD_MAX } };
	struct mx_desc *got = malloc(sizeof *got);
	u32 i, n, used;

	for (i = 0; i < MX_ARRAY_SIZE(sizes); i++) {
		struct mx_desc *d = make_desc(sizes[i][0], sizes[i][1], sizes[i][2]);

		n = mx_desc_encode(buf, sizeof buf, d);
		assert_int_equal(n, 320 + 48 * (sizes[i][0] + sizes[i][1]) + 12 * sizes[i][2]);
		assert_int_equal(n, mx_desc_encoded(d));
		assert_true(mx_desc_decode(buf, n, got, NULL));
		assert_memory_equal(d, got, sizeof *d);
		assert_true(mx_desc_decode(buf, n + 5, got, &used));
		assert_int_equal(used, n);
		assert_false(mx_desc_decode(buf, n + 5, got, NULL));
		assert_int_equal(mx_desc_encode(buf, n - 1, d), 0);
		free(d);
	}
	/* The largest fits into one body, with what goes around it. */
	assert_true(n + MX_HSTATE_FIXED + 8 <= MX_CTL_BODY_MAX);
	free(got);
}

static void desc__every_truncation_is_refused(void **state)
{
	struct mx_desc *d = make_desc(3, 4, 2), *got = malloc(sizeof *got);
	u32 n = mx_desc_encode(buf, sizeof buf, d), i, used;

	for (i = 0; i < n; i++) {
		u8 *cut = malloc(i ? i : 1);	/* exact, so that a sanitizer sees more */

		memcpy(cut, buf, i);
		assert_false(mx_desc_decode(cut, i, got, NULL));
		assert_false(mx_desc_decode(cut, i, got, &used));
		free(cut);
	}
	free(d);
	free(got);
}

/* A changed byte is refused, or read as what it says: never something else. */
static void desc__every_changed_byte(void **state)
{
	struct mx_desc *d = make_desc(3, 2, 1), *got = malloc(sizeof *got);
	u32 n = mx_desc_encode(buf, sizeof buf, d), i, v, refused = 0;

	for (i = 0; i < n; i++) {
		for (v = 1; v < 256; v += 13) {
			u8 was = buf[i];

			buf[i] ^= (u8)v;
			if (mx_desc_decode(buf, n, got, NULL)) {
				u32 m = mx_desc_encode(buf2, sizeof buf2, got);

				assert_int_equal(m, n);
				/* the owner's name is made printable */
				if (i < 144 || i >= 208)
					assert_memory_equal(buf, buf2, n);
			} else {
				refused++;
				assert_int_equal(got->nholders + got->nenrolled + got->ndead, 0);
			}
			buf[i] = was;
		}
	}
	assert_true(refused > 1000);
	free(d);
	free(got);
}

static void desc__rules(void **state)
{
	static const struct { const char *what; u32 off, len; u64 val; } bad[] = {
		{ "size odd", 80, 8, 513 },
		{ "size absurd", 80, 8, (1ull << 50) + 512 }, { "state", 88, 4, 3 },
		{ "extent size", 92, 4, 21 }, { "policy", 96, 8, 2 }, { "epoch 0", 112, 4, 0 },
		{ "epoch", 112, 4, MX_EPOCH_MAX + 1 }, { "owned", 116, 4, 2 },
		{ "version", 120, 8, 0 }, { "holders 0", 228, 4, 0 }, { "holders", 228, 4, 6 },
		{ "enrolled", 232, 4, 1025 }, { "dead", 236, 4, 257 }, { "spare", 300, 1, 1 },
		{ "same holder twice", 320 + 48, 8, 1000 }, { "holder 0", 320, 8, 0 },
		{ "address", 320 + 16, 1, 5 }, { "enrolled state", 320 + 96 + 40, 4, 0 },
		{ "dead server", 320 + 48 * 4, 2, 2 }, { "dead run", 320 + 48 * 4 + 2, 2, 31 },
	};
	struct mx_desc *d = make_desc(2, 2, 1), *got = malloc(sizeof *got);
	u32 n = mx_desc_encode(buf, sizeof buf, d), i;
	u8 val[8];

	assert_true(mx_desc_decode(buf, n, got, NULL));
	for (i = 0; i < MX_ARRAY_SIZE(bad); i++) {
		memcpy(buf2, buf, n);
		mx_st64(val, bad[i].val);
		memcpy(buf2 + bad[i].off, val, bad[i].len);
		if (mx_desc_decode(buf2, n, got, NULL))
			fail_msg("taken: %s", bad[i].what);
	}
	free(d);
	free(got);
}

static void desc__order_and_search(void **state)
{
	struct mx_desc *a = make_desc(2, 3, 0), *b = make_desc(2, 3, 0);

	assert_int_equal(mx_desc_cmp(a, b), 0);
	b->version++;
	assert_true(mx_desc_cmp(a, b) < 0);
	a->epoch++;
	assert_true(mx_desc_cmp(a, b) > 0);
	assert_int_equal(mx_desc_enrolled(a, a->enrolled[2].id, a->enrolled[2].incarnation), 2);
	assert_int_equal(mx_desc_enrolled(a, a->enrolled[2].id, 1), -1);
	assert_int_equal(mx_desc_holder(a, a->holders[1].id, a->holders[1].incarnation), 1);
	assert_int_equal(mx_desc_holder(a, 1002, a->enrolled[2].incarnation), -1);
	free(a);
	free(b);
}

static void name__valid(void **state)
{
	char longest[66];

	assert_true(mx_name_valid("a") && mx_name_valid("vm1-swap") && mx_name_valid("a/b.c:d+e@f_g"));
	assert_false(mx_name_valid("") || mx_name_valid("-a") || mx_name_valid(".a") ||
		     mx_name_valid("/a") || mx_name_valid("a/") || mx_name_valid("a b") ||
		     mx_name_valid("a\n") || mx_name_valid("\xc3\xa4") || mx_name_valid("a*"));
	memset(longest, 'x', 65);
	longest[63] = 0;
	assert_true(mx_name_valid(longest));
	longest[63] = 'x';
	longest[64] = 0;
	assert_false(mx_name_valid(longest));
}

static void node__name_is_made_printable(void **state)
{
	struct mx_node n;
	u8 p[80];

	memset(p, 0xff, sizeof p);
	mx_node_decode(p, &n);
	assert_int_equal(strlen(n.name), 63);
	assert_int_equal(n.name[5], '?');
	memcpy(p + 16, "\x1b[31mred\0tail", 13);
	mx_node_decode(p, &n);
	assert_string_equal(n.name, "?[31mred");
	assert_int_equal(n.name[10], 0);
}

static void addr__scope_stays_at_home(void **state)
{
	struct mx_addr a = { .fam = MX_FAM_ETH, .scope = 3, .a = { 1, 2, 3, 4, 5, 6 } }, b;
	u8 p[24];

	assert_int_equal(mx_addr_encode(p, &a), 24);
	assert_true(mx_addr_decode(p, &b));
	a.scope = 0;
	assert_true(mx_addr_eq(&a, &b));
	p[8 + 7] = 1;
	assert_false(mx_addr_decode(p, &b));
}

/* ---- bodies: one table drives all of them ---- */

static struct mx_desc *some, *scratch;

union any {
	struct mx_lookup_req lookup; struct mx_list_req list; struct mx_reserve_req reserve;
	struct mx_prepare_req prepare; struct mx_accept_req accept; struct mx_seal_req seal;
	struct mx_lease_req lease; struct mx_bits_req bits; struct mx_bits_get_req bits_get;
	struct mx_list_ext_req list_ext; struct mx_drop_ext_req drop_ext;
	struct mx_drop_vol_req drop_vol; struct mx_list_entry entry; struct mx_ext_entry ext;
	struct mx_hstate hstate;
};

#define CODEC(name) \
	static u32 enc_##name(u8 *p, u32 cap, const union any *a) \
	{ return mx_##name##_encode(p, cap, (const void *)a); } \
	static bool dec_##name(const u8 *p, u32 len, union any *a) \
	{ return mx_##name##_decode(p, len, (void *)a); }
#define CODEC_DESC(name) \
	static u32 enc_##name(u8 *p, u32 cap, const union any *a) \
	{ return mx_##name##_encode(p, cap, (const void *)a); } \
	static bool dec_##name(const u8 *p, u32 len, union any *a) \
	{ return dec_claimed(p, len, mx_##name##_decode(p, len, (void *)a, &head), \
			     &((struct mx_##name *)a)->desc); }
/* What servers see of a descriptor is what it says. */
static struct mx_desc_head head;
static bool dec_claimed(const u8 *p, u32 len, bool ok, const struct mx_desc **d)
{
	if (!ok)
		return false;
	assert_true(mx_desc_decode(p + MX_ACCEPT_FIXED, len - MX_ACCEPT_FIXED, scratch, NULL));
	assert_memory_equal(&scratch->head, &head, sizeof head);
	*d = scratch;
	return true;
}
CODEC(lookup_req) CODEC(list_req) CODEC(reserve_req) CODEC(prepare_req) CODEC_DESC(accept_req)
CODEC_DESC(seal_req) CODEC(lease_req) CODEC(bits_req) CODEC(bits_get_req) CODEC(list_ext_req)
CODEC(drop_ext_req) CODEC(drop_vol_req) CODEC(list_entry) CODEC(ext_entry)
static u32 enc_hstate(u8 *p, u32 cap, const union any *a)
{
	return mx_hstate_encode(p, cap, &a->hstate);
}
static bool dec_hstate(const u8 *p, u32 len, union any *a)
{
	a->hstate.desc = scratch;
	return mx_hstate_decode(p, len, &a->hstate, NULL);
}

static void fill(u32 i, union any *a)
{
	static u8 data[MX_BITS_CHUNK_BYTES];

	memset(a, 0, sizeof *a);
	mx_st32(data, 17);
	switch (i) {
	case 0:
		a->lookup.by = MX_LOOKUP_NAME;
		strcpy(a->lookup.name, "vm1");
		break;
	case 1:
		a->list.after[3] = 9;
		break;
	case 2:
		a->reserve.op_id = 77;
		strcpy(a->reserve.name, "vm1");
		break;
	case 3:
		a->prepare.epoch = 9;
		a->prepare.flags = MX_PREP_ADMIN;
		fill_node(&a->prepare.claimant, 4);
		break;
	case 4:
		a->accept.lease_ms = 10000;
		fill_node(&a->accept.claimant, 4);
		a->accept.desc = some;
		break;
	case 5:
		a->seal.epoch = 9;
		fill_node(&a->seal.claimant, 4);
		a->seal.desc = some;
		break;
	case 6:
		a->lease.epoch = 9;
		fill_node(&a->lease.claimant, 4);
		break;
	case 7:
		a->bits = (struct mx_bits_req){ .epoch = 3, .how = MX_BITS_SET, .n = 30, .data = data };
		break;
	case 8:
		a->bits = (struct mx_bits_req){ .epoch = 3, .how = MX_BITS_CHUNK, .n = 30, .data = data };
		break;
	case 9:
		a->bits_get = (struct mx_bits_get_req){ .epoch = 3, .chunk = 5 };
		break;
	case 10:
		a->list_ext = (struct mx_list_ext_req){ .epoch = 3, .from = 5 };
		break;
	case 11:
		a->drop_ext = (struct mx_drop_ext_req){ .epoch = 3, .extent = 5, .gen = 2, .num = 88 };
		break;
	case 12:
		a->drop_vol.epoch = 3;
		break;
	case 13:
		strcpy(a->entry.name, "vm1");
		a->entry.state = MX_VOL_DELETED;
		a->entry.bits_set = 1ull << 29;
		fill_node(&a->entry.owner, 8);
		break;
	case 14:
		a->ext = (struct mx_ext_entry){ .extent = 4, .gen = 5, .pages = 256, .flags = 3, .num = 1 };
		break;
	default:
		a->hstate.promised = 12;
		a->hstate.lease_ms = 500;
		fill_node(&a->hstate.holder_of, 12);
		a->hstate.desc = some;
	}
}

static const struct {
	const char *name;
	u32 (*enc)(u8 *, u32, const union any *);
	bool (*dec)(const u8 *, u32, union any *);
	u32 len;
} codecs[] = {
	{ "lookup", enc_lookup_req, dec_lookup_req, 88 },
	{ "list", enc_list_req, dec_list_req, 16 },
	{ "reserve", enc_reserve_req, dec_reserve_req, 88 },
	{ "prepare", enc_prepare_req, dec_prepare_req, 104 },
	{ "accept", enc_accept_req, dec_accept_req, 88 + 320 + 48 * 7 + 24 },
	{ "seal", enc_seal_req, dec_seal_req, 88 + 320 + 48 * 7 + 24 },
	{ "lease", enc_lease_req, dec_lease_req, 104 },
	{ "bits", enc_bits_req, dec_bits_req, 40 + 120 },
	{ "bits chunk", enc_bits_req, dec_bits_req, 40 + 4096 },
	{ "bits_get", enc_bits_get_req, dec_bits_get_req, 24 },
	{ "list_ext", enc_list_ext_req, dec_list_ext_req, 24 },
	{ "drop_ext", enc_drop_ext_req, dec_drop_ext_req, 40 },
	{ "drop_vol", enc_drop_vol_req, dec_drop_vol_req, 24 },
	{ "list entry", enc_list_entry, dec_list_entry, 224 },
	{ "extent entry", enc_ext_entry, dec_ext_entry, 24 },
	{ "hstate", enc_hstate, dec_hstate, 88 + 320 + 48 * 7 + 24 },
};

static void bodies__round_trip_and_truncation(void **state)
{
	union any a, b;
	u32 i, k;

	some = make_desc(3, 4, 2);
	scratch = malloc(sizeof *scratch);
	for (i = 0; i < MX_ARRAY_SIZE(codecs); i++) {
		u32 n;

		fill(i, &a);
		n = codecs[i].enc(buf, sizeof buf, &a);
		if (n != codecs[i].len)
			fail_msg("%s: %u bytes", codecs[i].name, n);
		memset(&b, 0, sizeof b);
		assert_true(codecs[i].dec(buf, n, &b));
		assert_int_equal(codecs[i].enc(buf2, sizeof buf2, &b), n);
		assert_memory_equal(buf, buf2, n);
		assert_int_equal(codecs[i].enc(buf2, n - 1, &a), 0);
		for (k = 0; k < n; k++) {
			u8 *cut = malloc(k ? k : 1);

			memcpy(cut, buf, k);
			if (codecs[i].dec(cut, k, &b))
				fail_msg("%s: taken with %u of %u bytes", codecs[i].name, k, n);
			free(cut);
		}
	}
	free(some);
	free(scratch);
}

static void bodies__noise(void **state)
{
	u32 i, k, n, r = 1;
	union any b;

	scratch = malloc(sizeof *scratch);
	for (k = 0; k < 20000; k++) {
		for (i = 0; i < MX_ARRAY_SIZE(codecs); i++) {
			u8 *p;

			r = r * 1664525 + 1013904223;
			n = r >> 8 & 511;
			p = malloc(n ? n : 1);
			for (u32 j = 0; j < n; j++) {
				r = r * 1664525 + 1013904223;
				p[j] = r >> 30 ? (u8)(r >> 16) : 0;
			}
			codecs[i].dec(p, n, &b);
			free(p);
		}
	}
	free(scratch);
}

static void bodies__bits_out_of_range(void **state)
{
	u8 data[8];
	struct mx_bits_req r = { .epoch = 1, .how = MX_BITS_SET, .n = 2, .data = data }, got;
	u32 n;

	mx_st32(data, MX_EXTENTS_MAX - 1);
	mx_st32(data + 4, MX_EXTENTS_MAX);
	n = mx_bits_req_encode(buf, sizeof buf, &r);
	assert_false(mx_bits_req_decode(buf, n, &got));
	mx_st32(buf + n - 4, MX_EXTENTS_MAX - 1);
	assert_true(mx_bits_req_decode(buf, n, &got));
	r.n = MX_BITS_LIST_MAX + 1;
	assert_int_equal(mx_bits_req_encode(buf, sizeof buf, &r), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(desc__round_trip),
		cmocka_unit_test(desc__every_truncation_is_refused),
		cmocka_unit_test(desc__every_changed_byte),
		cmocka_unit_test(desc__rules),
		cmocka_unit_test(desc__order_and_search),
		cmocka_unit_test(name__valid),
		cmocka_unit_test(node__name_is_made_printable),
		cmocka_unit_test(addr__scope_stays_at_home),
		cmocka_unit_test(bodies__round_trip_and_truncation),
		cmocka_unit_test(bodies__noise),
		cmocka_unit_test(bodies__bits_out_of_range),
	};

	return unit_main(argc, argv, tests);
}
