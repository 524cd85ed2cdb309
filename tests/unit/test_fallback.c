/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What machines without AVX-512 do: this program runs itself anew as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/crc32c.h"
#include "core/port.h"
#include "core/wire.h"
#include "net/posix/crc32c_wide.h"
#include "net/posix/gcm_vaes.h"

static void fallback__is_in_force(void **state)
{
	assert_false(gcm_vaes_have());
	assert_false(mxp_crc32c_have_wide());
}

static void fallback__crc_of_blocks(void **state)
{
	enum { N = 15 };
	static u8 src[N * MX_BLOCK], dst[N * MX_BLOCK];
	u32 seeds[N], got[N], want[N];

	for (size_t i = 0; i < sizeof src; i++)
		src[i] = (u8)(i * i + i / 7);
	for (u32 n = 0; n <= N; n++) {
		for (u32 i = 0; i < n; i++)
			seeds[i] = i * 0x9e3779b9u;
		mx_crc32c_blocks_sw(NULL, src, n, seeds, want);
		mx_crc32c_blocks(n % 2 ? dst : NULL, src, n, seeds, got);
		assert_memory_equal(got, want, n * sizeof got[0]);
		if (n % 2)
			assert_memory_equal(dst, src, n * MX_BLOCK);
	}
}

/* Sealed on a machine with the instructions, by number 0x0102030405060708. */
static const u8 sealed[] = {
	0xc4, 0x51, 0xe5, 0xe8, 0x1d, 0x0e, 0x7c, 0xf0, 0x9b, 0x60, 0x01, 0xbe,
	0x49, 0x2e, 0x37, 0xc9, 0x4a, 0x67, 0x2a, 0xa3, 0xd3, 0xff, 0x38, 0x6e,
	0x7d, 0x56, 0xba, 0x91, 0xcb, 0xb9, 0xb3, 0xc5, 0xf2, 0x12, 0xca, 0xa6,
	0x4a, 0x9e, 0xda, 0x55, 0x44, 0x07, 0x55, 0x91, 0x10, 0xd8, 0xe0, 0x1b,
	0x66, 0x0c, 0xf1, 0xa6, 0x57, 0xc5, 0x8e, 0x2e, 0x73, 0x5f, 0xc7, 0xda,
	0xa0, 0x47, 0xff, 0xee, 0x8a, 0x67, 0x1c, 0x98, 0x3c, 0x93, 0x77, 0xf9,
	0x54, 0x63, 0x82, 0x34, 0x16, 0xa9, 0x0a, 0xa6, 0x69, 0x56, 0xcf, 0xc1,
	0xfc, 0x1d, 0x3f, 0xd3, 0xd8, 0x44, 0xbb,
};

static void fallback__opens_what_others_sealed(void **state)
{
	u8 key[32], aad[24], buf[sizeof sealed];
	const size_t len = sizeof buf - 16;
	struct mx_aead_key k;

	if (!mx_aead_have(MX_SUITE_AES256_GCM)) {
		print_message("# no AES instructions at all here\n");
		skip();
	}
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (u8)(i * 3);
	for (size_t i = 0; i < sizeof aad; i++)
		aad[i] = (u8)(i * 5);
	mx_aead_setkey(&k, MX_SUITE_AES256_GCM, key);
	memcpy(buf, sealed, sizeof buf);
	assert_true(mx_aead_open(&k, 0x0102030405060708ull, aad, sizeof aad, buf, len));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], (u8)(i * 11));
	mx_aead_seal(&k, 0x0102030405060708ull, aad, sizeof aad, buf, len);
	assert_memory_equal(buf, sealed, sizeof buf);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fallback__is_in_force),
		cmocka_unit_test(fallback__crc_of_blocks),
		cmocka_unit_test(fallback__opens_what_others_sealed),
	};

	if (!getenv("MEMX_NO_AVX512")) {
		/* The choice is made before main() begins. */
		setenv("MEMX_NO_AVX512", "1", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
