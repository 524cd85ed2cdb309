// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page map, bitmaps and sentences of the client.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "core/client_int.h"

static long live, fail_at;
static size_t live_bytes;

static void *talloc(void *ctx, size_t n)
{
	(void)ctx;
	if (fail_at >= 0 && !fail_at--)
		return NULL;
	live++;
	live_bytes += n;
	return calloc(1, n);
}

static void tfree(void *ctx, void *p, size_t n)
{
	(void)ctx;
	live--;
	live_bytes -= n;
	free(p);
}

static const struct mx_port port = { .alloc = talloc, .free = tfree };

static void map__sixteen_mib_a_tib(void **state)
{
	struct mx_map m = { 0 };

	(void)state;
	fail_at = -1;
	assert_true(mx_map_resize(&m, &port, 1u << 20));
	assert_int_equal(m.bytes, live_bytes);
	assert_true(m.bytes <= 17u << 20);
	assert_int_equal(m.count[MX_EXT_HOLE], 1u << 20);
	mx_map_free(&m, &port);
	assert_int_equal(live, 0);
}

static void map__keeps_entries_when_resized(void **state)
{
	struct mx_map m = { 0 };

	(void)state;
	fail_at = -1;
	assert_true(mx_map_resize(&m, &port, 10));
	mx_map_at(&m, 9)->gen = 77;
	mx_map_set(&m, mx_map_at(&m, 9), MX_EXT_PLACED);
	assert_true(mx_map_resize(&m, &port, 3 * MX_LEAF + 5));
	assert_int_equal(mx_map_at(&m, 9)->gen, 77);
	assert_int_equal(m.count[MX_EXT_PLACED], 1);
	assert_int_equal(m.count[MX_EXT_HOLE], 3 * MX_LEAF + 4);
	mx_map_at(&m, 3 * MX_LEAF + 4)->gen = 5;
	mx_map_at(&m, 3 * MX_LEAF + 4)->gen = 0;
	assert_true(mx_map_resize(&m, &port, MX_MID * MX_LEAF + 1));
	assert_int_equal(mx_map_at(&m, 9)->gen, 77);
	mx_map_at(&m, MX_MID * MX_LEAF - 1)->gen = 6;
	mx_map_at(&m, MX_MID * MX_LEAF)->gen = 7;
	assert_int_equal(mx_map_at(&m, MX_MID * MX_LEAF - 1)->gen, 6);
	assert_int_equal(mx_map_at(&m, 0)->gen, 0);
	mx_map_at(&m, MX_MID * MX_LEAF - 1)->gen = 0;
	mx_map_at(&m, MX_MID * MX_LEAF)->gen = 0;
	assert_true(mx_map_resize(&m, &port, 11));
	assert_int_equal(mx_map_at(&m, 9)->gen, 77);
	assert_int_equal(mx_map_at(&m, 10)->state, MX_EXT_HOLE);
	assert_true(mx_map_resize(&m, &port, 2 * MX_LEAF));
	assert_int_equal(m.count[MX_EXT_HOLE], 2 * MX_LEAF - 1);
	mx_map_free(&m, &port);
	assert_int_equal(live, 0);
	assert_int_equal(live_bytes, 0);
}

static void map__no_memory(void **state)
{
	const u32 large = (MX_MID + 1) * MX_LEAF;

	(void)state;
	for (long i = 0; i < (long)MX_MID + 8; i++) {
		struct mx_map m = { 0 };
		bool first, second = false;

		fail_at = i;
		first = mx_map_resize(&m, &port, MX_LEAF + 1);
		if (first)
			second = mx_map_resize(&m, &port, large);
		/* Whatever failed, the map is as it was. */
		assert_int_equal(m.nents, second ? large : first ? MX_LEAF + 1 : 0);
		assert_int_equal(m.count[MX_EXT_HOLE], m.nents);
		assert_int_equal(m.bytes, live_bytes);
		fail_at = -1;
		mx_map_free(&m, &port);
		assert_int_equal(live, 0);
	}
}

static void bitmap__ranges(void **state)
{
	(void)state;
	for (u32 from = 0; from < 256; from += 7)
		for (u32 end = from + 1; end <= 256; end += 5) {
			struct mx_bm b = { { 0 } };

			mx_bm_set(&b, from, end);
			for (u32 i = 0; i < 256; i++)
				assert_int_equal(mx_bm_test(&b, i), i >= from && i < end);
			assert_int_equal(mx_bm_count(&b, 0, 256), end - from);
			assert_int_equal(mx_bm_next(&b, 0, 256, true), from);
			assert_int_equal(mx_bm_next(&b, from, 256, false), end);
			assert_int_equal(mx_bm_next(&b, end, 256, true), 256);
			assert_true(mx_bm_any(&b, end - 1, 256));
			assert_false(mx_bm_any(&b, 0, from));
			assert_false(mx_bm_any(&b, end, 256));
			mx_bm_clear(&b, from, end);
			assert_false(mx_bm_any(&b, 0, 256));
		}
}

static void bitmap__holes(void **state)
{
	struct mx_bm b = { { 0 } };

	(void)state;
	for (u32 i = 0; i < 256; i += 3)
		mx_bm_set(&b, i, i + 1);
	assert_int_equal(mx_bm_count(&b, 0, 256), 86);
	assert_int_equal(mx_bm_count(&b, 1, 3), 0);
	assert_int_equal(mx_bm_next(&b, 64, 128, true), 66);
	assert_int_equal(mx_bm_next(&b, 63, 64, true), 63);
	assert_int_equal(mx_bm_next(&b, 63, 63, true), 63);
	mx_bm_clear(&b, 0, 256);
	assert_int_equal(mx_bm_count(&b, 0, 256), 0);
}

static void list__taking_all(void **state)
{
	struct mx_list a, b, n[3];

	(void)state;
	mx_list_init(&a);
	mx_list_take(&b, &a);
	assert_true(mx_list_empty(&a) && mx_list_empty(&b));
	for (int i = 0; i < 3; i++)
		mx_list_add_tail(&a, &n[i]);
	mx_list_take(&b, &a);
	assert_true(mx_list_empty(&a));
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(b.next, &n[i]);
		mx_list_del(b.next);
	}
	assert_true(mx_list_empty(&b));
}

static void text__sentences(void **state)
{
	char buf[32];
	struct mx_text t;
	const u8 hex[] = { 0, 0xab, 0x5f };

	(void)state;
	mx_text_init(&t, buf, sizeof buf);
	mx_text_u64(mx_text_str(&t, "n "), 0);
	assert_string_equal(buf, "n 0");
	mx_text_init(&t, buf, sizeof buf);
	mx_text_u64(&t, ~0ull);
	assert_string_equal(buf, "18446744073709551615");
	mx_text_init(&t, buf, sizeof buf);
	mx_text_hex(&t, hex, 3);
	assert_string_equal(buf, "00ab5f");
	mx_text_init(&t, buf, 5);
	mx_text_str(&t, "cut off");
	assert_string_equal(buf, "cut ");
	mx_text_init(&t, buf, sizeof buf);
	mx_text_bytes(&t, 3ull << 40);
	assert_string_equal(buf, "3 TiB");
	mx_text_init(&t, buf, sizeof buf);
	mx_text_bytes(&t, 1536);
	assert_string_equal(buf, "1536 bytes");
	mx_text_init(&t, buf, sizeof buf);
	mx_text_bytes(&t, 100000);
	assert_string_equal(buf, "97 KiB");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map__sixteen_mib_a_tib),
		cmocka_unit_test(map__keeps_entries_when_resized),
		cmocka_unit_test(map__no_memory),
		cmocka_unit_test(bitmap__ranges),
		cmocka_unit_test(bitmap__holes),
		cmocka_unit_test(list__taking_all),
		cmocka_unit_test(text__sentences),
	};

	return unit_main(argc, argv, tests);
}
