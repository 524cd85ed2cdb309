/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What machines without AVX-512 do: this program runs itself anew as one. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "unit.h"
#include "core/crc32c.h"
#include "core/wire.h"
#include "net/posix/crc32c_wide.h"

static void fallback__is_in_force(void **state)
{
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fallback__is_in_force),
		cmocka_unit_test(fallback__crc_of_blocks),
	};

	if (!getenv("MEMX_NO_AVX512")) {
		/* The choice is made before main() begins. */
		setenv("MEMX_NO_AVX512", "1", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	return unit_main(argc, argv, tests);
}
