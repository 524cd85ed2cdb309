/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checksum of limit-udp --crc. */
#include <string.h>

#include "limit-udp.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* A page's eight streams are independent, so that the processor overlaps them. */
#ifdef __x86_64__
static __attribute__((target("sse4.2"))) uint32_t crc_page_hw(const unsigned char *p)
{
	uint64_t crc[8], word;
	uint32_t sum = 0;

	for (int b = 0; b < 8; b++)
		crc[b] = 0xffffffffu;
	for (int i = 0; i < 512; i += 8) {
#pragma GCC unroll 8
		for (int b = 0; b < 8; b++) {
			memcpy(&word, p + b * 512 + i, sizeof(word));
			crc[b] = _mm_crc32_u64(crc[b], word);
		}
	}
	for (int b = 0; b < 8; b++)
		sum += ~(uint32_t)crc[b];
	return sum;
}
#endif

static uint32_t crc_page_sw(const unsigned char *p)
{
	static uint32_t table[256];
	uint32_t sum = 0;

	if (!table[1]) {
		for (uint32_t n = 0; n < 256; n++) {
			uint32_t c = n;

			for (int k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
			table[n] = c;
		}
	}
	for (int b = 0; b < 8; b++) {
		uint32_t crc = 0xffffffffu;

		for (int i = 0; i < 512; i++)
			crc = table[(crc ^ p[b * 512 + i]) & 0xff] ^ crc >> 8;
		sum += ~crc;
	}
	return sum;
}

uint32_t crc_data(const unsigned char *p, size_t bytes)
{
	uint32_t sum = 0;
	bool hw = false;

#ifdef __x86_64__
	hw = __builtin_cpu_supports("sse4.2");
#endif
	for (size_t at = 0; at < bytes; at += PAGE_BYTES) {
#ifdef __x86_64__
		if (hw) {
			sum += crc_page_hw(p + at);
			continue;
		}
#endif
		(void)hw;
		sum += crc_page_sw(p + at);
	}
	return sum;
}
