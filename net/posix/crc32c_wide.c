/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32C of 512-byte blocks by carry-less multiplication, 64 bytes at a time.
 *
 * The instruction for CRC32C takes 8 bytes a cycle. A multiplication by x^n moves
 * what was read so far n bits on (V. Gopal et al., "Fast CRC Computation Using
 * PCLMULQDQ", 2009): four lanes of 16 bytes go 64 bytes on by two instructions.
 * What is left of a block, 16 bytes, goes through the CRC32C instruction. Blocks
 * are taken four at a time, which do not wait for each other; a copy rides along.
 */
#include "net/posix/crc32c_wide.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <stdlib.h>

#define T	__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,pclmul,vpclmulqdq,sse4.2")))
#define UNROLL	_Pragma("GCC unroll 16")
#define AT_ONCE	4
#define REGS	(MX_BLOCK / 64)
MX_BUILD_ASSERT(MX_BLOCK % 64 == 0);

bool mxp_crc32c_have_wide(void)
{
	/* For tests of what other machines do, and for whoever mistrusts this. */
	if (getenv("MEMX_NO_AVX512"))
		return false;
	__builtin_cpu_init();		/* this is asked before main() begins */
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("vpclmulqdq") &&
	       __builtin_cpu_supports("sse4.2");
}

/* x^(n+32) and x^(n-32) modulo the polynomial, bits reversed, for n = 512, and for
 * each lane what brings it to the end of the register. */
T static inline __m512i by_512(void)
{
	return _mm512_set_epi64(0x9e4addf8, 0x740eef02, 0x9e4addf8, 0x740eef02,
				0x9e4addf8, 0x740eef02, 0x9e4addf8, 0x740eef02);
}

T static inline __m512i to_the_end(void)
{
	return _mm512_set_epi64(0, 0, 0x14cd00bd6, 0xf20c0dfe, 0xba4fc28e, 0x1384aa63a,
				0x1d82c63da, 0x1c291d04);
}

T static inline __attribute__((always_inline)) __m512i moved(__m512i v, __m512i by)
{
	return _mm512_xor_si512(_mm512_clmulepi64_epi128(v, by, 0x00),
				_mm512_clmulepi64_epi128(v, by, 0x11));
}

T static inline __attribute__((always_inline)) u32 finish(__m512i v)
{
	__m512i m = moved(v, to_the_end());
	__m128i x;
	u64 crc;

	x = _mm_xor_si128(_mm512_castsi512_si128(m), _mm512_extracti32x4_epi32(m, 1));
	x = _mm_xor_si128(x, _mm512_extracti32x4_epi32(m, 2));
	x = _mm_xor_si128(x, _mm512_extracti32x4_epi32(v, 3));
	crc = _mm_crc32_u64(0, (u64)_mm_cvtsi128_si64(x));
	return (u32)_mm_crc32_u64(crc, (u64)_mm_extract_epi64(x, 1));
}

T static inline __attribute__((always_inline)) void blocks(u8 *d, const u8 *s, unsigned n,
							   const u32 *seeds, u32 *crcs)
{
	__m512i acc[AT_ONCE];

	UNROLL
	for (unsigned i = 0; i < REGS; i++) {
		UNROLL
		for (unsigned b = 0; b < n; b++) {
			__m512i v = _mm512_loadu_si512(s + b * MX_BLOCK + i * 64);

			/* Opaque: what is summed is what is stored, even if the source
			 * is changing meanwhile. */
			__asm__("" : "+v"(v));
			if (d)
				_mm512_storeu_si512(d + b * MX_BLOCK + i * 64, v);
			if (i)
				acc[b] = _mm512_xor_si512(moved(acc[b], by_512()), v);
			else
				acc[b] = _mm512_xor_si512(v, _mm512_zextsi128_si512(
					_mm_cvtsi32_si128((int)seeds[b])));
		}
	}
	UNROLL
	for (unsigned b = 0; b < n; b++)
		crcs[b] = finish(acc[b]);
}

T void mxp_crc32c_wide(u8 *d, const u8 *s, u32 n, const u32 *seeds, u32 *crcs)
{
	u32 i;

	for (i = 0; i + AT_ONCE <= n; i += AT_ONCE) {
		if (d)
			blocks(d + (size_t)i * MX_BLOCK, s + (size_t)i * MX_BLOCK, AT_ONCE,
			       seeds + i, crcs + i);
		else
			blocks(NULL, s + (size_t)i * MX_BLOCK, AT_ONCE, seeds + i, crcs + i);
	}
	for (; i < n; i++)
		blocks(d ? d + (size_t)i * MX_BLOCK : NULL, s + (size_t)i * MX_BLOCK, 1,
		       seeds + i, crcs + i);
}

#else /* other machines */

bool mxp_crc32c_have_wide(void) { return false; }
void mxp_crc32c_wide(u8 *d, const u8 *s, u32 n, const u32 *seeds, u32 *crcs) { }

#endif
