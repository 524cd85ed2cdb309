/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-256-GCM (NIST SP 800-38D), four blocks in a register.
 *
 * Twice to seven times as fast as the libraries a distribution has, which matters
 * here: each page is sealed and opened once on its way. All of it is by the
 * processor's own instructions, whose time does not depend on the data; nothing is
 * looked up by it and no branch taken on it. Machines without them take libsodium's
 * code, with the same result: crypto.c compares both before it uses this.
 *
 * GHASH is computed as POLYVAL: with blocks as little-endian numbers (their bytes
 * swapped) and H multiplied by x once, products need no shift and are reduced by
 * two multiplications (RFC 8452, appendix A; S. Gueron, 2012). The products of up
 * to 16 blocks, each with its power of H, are summed before they are reduced.
 */
#include "net/posix/gcm_vaes.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <stdlib.h>

#define T	__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,aes,pclmul,vaes,vpclmulqdq")))
#define LANES	4			/* blocks in a register */
#define WIDE	8			/* registers in the long loop */
#define CHUNK	(WIDE * 64u)		/* bytes of it */
/* Registers have no index: loops over them must be written out by the compiler. */
#define UNROLL	_Pragma("GCC unroll 16")
MX_BUILD_ASSERT(GCM_POWERS == 16);

/* Saved by the operating system as well? XCR0: SSE, AVX and the three of AVX-512. */
static bool os_saves(void)
{
	u32 lo, hi;

	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 0xe6) == 0xe6;
}

bool gcm_vaes_have(void)
{
	u32 a, b, c, d;

	/* For tests of what other machines do, and for whoever mistrusts this. */
	if (getenv("MEMX_NO_AVX512"))
		return false;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AES) || !(c & bit_PCLMUL))
		return false;
	if (!os_saves() || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return false;
	return (b & bit_AVX512F) && (b & bit_AVX512DQ) && (b & bit_AVX512BW) && (b & bit_AVX512VL) &&
	       (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

/* ---- AES ---- */

#define EXPAND(a, b, rc) do { \
	__m128i g_ = _mm_shuffle_epi32(_mm_aeskeygenassist_si128((b), (rc)), 0xff); \
	(a) = _mm_xor_si128((a), _mm_slli_si128((a), 4)); \
	(a) = _mm_xor_si128((a), _mm_slli_si128((a), 8)); \
	(a) = _mm_xor_si128((a), g_); \
} while (0)
/* The second half of a step of AES-256: no rotation, no constant. */
#define EXPAND2(a, b) do { \
	__m128i g_ = _mm_shuffle_epi32(_mm_aeskeygenassist_si128((b), 0), 0xaa); \
	(a) = _mm_xor_si128((a), _mm_slli_si128((a), 4)); \
	(a) = _mm_xor_si128((a), _mm_slli_si128((a), 8)); \
	(a) = _mm_xor_si128((a), g_); \
} while (0)

T static inline void put(u8 *p, __m128i v)
{
	_mm_storeu_si128((__m128i *)p, v);
}

T static inline __m128i get(const void *p)
{
	return _mm_loadu_si128(p);
}

T static void expand(u8 round[][16], const u8 key[32])
{
	__m128i a = get(key), b = get(key + 16);

#define STEP(i, rc) do { \
	put(round[i], a); \
	put(round[(i) + 1], b); \
	EXPAND(a, b, rc); \
	EXPAND2(b, a); \
} while (0)
	STEP(0, 0x01);
	STEP(2, 0x02);
	STEP(4, 0x04);
	STEP(6, 0x08);
	STEP(8, 0x10);
	STEP(10, 0x20);
	put(round[12], a);
	put(round[13], b);
	EXPAND(a, b, 0x40);
	put(round[14], a);
#undef STEP
}

T static inline __m128i encrypt1(const struct gcm_vaes_key *k, __m128i x)
{
	x = _mm_xor_si128(x, get(k->round[0]));
	for (unsigned i = 1; i < GCM_ROUNDS; i++)
		x = _mm_aesenc_si128(x, get(k->round[i]));
	return _mm_aesenclast_si128(x, get(k->round[GCM_ROUNDS]));
}

/* Encrypts @n registers of counters. */
T static inline __attribute__((always_inline)) void encrypt_many(const struct gcm_vaes_key *k,
								__m512i *x, unsigned n)
{
	__m512i r = _mm512_broadcast_i32x4(get(k->round[0]));

	UNROLL
	for (unsigned j = 0; j < n; j++)
		x[j] = _mm512_xor_si512(x[j], r);
	UNROLL
	for (unsigned i = 1; i < GCM_ROUNDS; i++) {
		r = _mm512_broadcast_i32x4(get(k->round[i]));
		UNROLL
		for (unsigned j = 0; j < n; j++)
			x[j] = _mm512_aesenc_epi128(x[j], r);
	}
	r = _mm512_broadcast_i32x4(get(k->round[GCM_ROUNDS]));
	UNROLL
	for (unsigned j = 0; j < n; j++)
		x[j] = _mm512_aesenclast_epi128(x[j], r);
}

/* ---- GHASH ---- */

T static inline __m128i swap128(__m128i v)
{
	return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

T static inline __m512i swap512(__m512i v)
{
	return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(
		_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

/* Sums of products, not reduced: low, middle and high halves. */
struct sum {
	__m512i lo, mid, hi;
};

T static inline __attribute__((always_inline)) void add_product(struct sum *s, __m512i x, __m512i h)
{
	__m512i m = _mm512_xor_si512(_mm512_clmulepi64_epi128(x, h, 0x10),
				     _mm512_clmulepi64_epi128(x, h, 0x01));

	s->lo = _mm512_xor_si512(s->lo, _mm512_clmulepi64_epi128(x, h, 0x00));
	s->hi = _mm512_xor_si512(s->hi, _mm512_clmulepi64_epi128(x, h, 0x11));
	s->mid = _mm512_xor_si512(s->mid, m);
}

T static inline __m128i fold(__m512i v)
{
	__m256i a = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}

T static inline __m128i reduce128(__m128i lo, __m128i mid, __m128i hi)
{
	const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000ull, 1);

	lo = _mm_xor_si128(lo, _mm_slli_si128(mid, 8));
	hi = _mm_xor_si128(hi, _mm_srli_si128(mid, 8));
	lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 78), _mm_clmulepi64_si128(lo, poly, 0x10));
	lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 78), _mm_clmulepi64_si128(lo, poly, 0x10));
	return _mm_xor_si128(lo, hi);
}

T static inline __m128i reduce(const struct sum *s)
{
	return reduce128(fold(s->lo), fold(s->mid), fold(s->hi));
}

T static __m128i mul(__m128i a, __m128i b)
{
	return reduce128(_mm_clmulepi64_si128(a, b, 0x00),
			 _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x10),
				       _mm_clmulepi64_si128(a, b, 0x01)),
			 _mm_clmulepi64_si128(a, b, 0x11));
}

/* Times x: what makes POLYVAL's H of GHASH's. */
T static __m128i times_x(__m128i h)
{
	__m128i carry = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xff), 31);
	__m128i up = _mm_slli_si128(_mm_srli_epi64(h, 63), 8);
	const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000ull, 1);

	h = _mm_or_si128(_mm_slli_epi64(h, 1), up);
	return _mm_xor_si128(h, _mm_and_si128(carry, poly));
}

/* 1 to 16 blocks of @len bytes in sum, the last one filled up with zeroes. */
T static __m128i hash_some(const struct gcm_vaes_key *k, __m128i acc, const u8 *p, size_t len)
{
	unsigned blocks = (unsigned)(len + 15) / 16;
	const u8 *h = k->power[GCM_POWERS - blocks];
	struct sum s = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512() };
	__m512i before = _mm512_zextsi128_si512(acc);

	for (size_t at = 0; at < len; at += 64) {
		size_t left = len - at, whole = (left + 15) & ~(size_t)15;
		__mmask64 m = left >= 64 ? ~0ull : ~0ull >> (64 - left);
		__mmask64 mh = whole >= 64 ? ~0ull : ~0ull >> (64 - whole);
		__m512i x = swap512(_mm512_maskz_loadu_epi8(m, p + at));

		add_product(&s, _mm512_xor_si512(x, before), _mm512_maskz_loadu_epi8(mh, h + at));
		before = _mm512_setzero_si512();
	}
	return reduce(&s);
}

/* ---- both together ---- */

T static inline __m512i counters(__m128i first)
{
	return _mm512_add_epi32(_mm512_broadcast_i32x4(first),
				_mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
}

/* Counters are kept as little-endian numbers in the top word's place and swapped
 * there when used; the nonce's twelve bytes stand before it. */
T static inline __m512i counter_block(__m512i c)
{
	return _mm512_shuffle_epi8(c, _mm512_broadcast_i32x4(
		_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
}

/* CHUNK bytes. GHASH is of what is cipher text: after, or before. */
T static inline __attribute__((always_inline)) __m128i chunk(const struct gcm_vaes_key *k, __m128i acc,
							     __m512i *ctr, u8 *p, bool seal)
{
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(LANES, 0, 0, 0));
	__m512i x[WIDE], in[WIDE];

	UNROLL
	for (unsigned j = 0; j < WIDE; j++) {
		x[j] = counter_block(*ctr);
		*ctr = _mm512_add_epi32(*ctr, four);
	}
	encrypt_many(k, x, WIDE);
	UNROLL
	for (unsigned j = 0; j < WIDE; j++) {
		in[j] = _mm512_loadu_si512(p + j * 64);
		x[j] = _mm512_xor_si512(x[j], in[j]);
		_mm512_storeu_si512(p + j * 64, x[j]);
	}
	UNROLL
	for (unsigned half = 0; half < WIDE; half += 4) {
		struct sum s = { _mm512_setzero_si512(), _mm512_setzero_si512(),
				 _mm512_setzero_si512() };
		__m512i before = _mm512_zextsi128_si512(acc);

		UNROLL
		for (unsigned j = 0; j < 4; j++) {
			__m512i c = swap512(seal ? x[half + j] : in[half + j]);

			add_product(&s, _mm512_xor_si512(c, before),
				    _mm512_loadu_si512(k->power[j * LANES]));
			before = _mm512_setzero_si512();
		}
		acc = reduce(&s);
	}
	return acc;
}

/* Up to 256 bytes. */
T static __m128i rest(const struct gcm_vaes_key *k, __m128i acc, __m512i *ctr, u8 *p, size_t len,
		      bool seal)
{
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(LANES, 0, 0, 0));
	__m512i x[4];

	if (!seal)
		acc = hash_some(k, acc, p, len);
	UNROLL
	for (unsigned j = 0; j < 4; j++) {
		x[j] = counter_block(*ctr);
		*ctr = _mm512_add_epi32(*ctr, four);
	}
	encrypt_many(k, x, 4);
	for (size_t at = 0; at < len; at += 64) {
		size_t left = len - at;
		__mmask64 m = left >= 64 ? ~0ull : ~0ull >> (64 - left);
		__m512i v = _mm512_maskz_loadu_epi8(m, p + at);

		_mm512_mask_storeu_epi8(p + at, m, _mm512_xor_si512(v, x[at / 64]));
	}
	return seal ? hash_some(k, acc, p, len) : acc;
}

T static __m128i crypt(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		       size_t aad_len, u8 *buf, size_t len, bool seal)
{
	const u8 *a = aad;
	__m128i acc = _mm_setzero_si128(), first;
	__m512i ctr;
	u8 block[16];
	size_t n;

	for (size_t left = aad_len; left; left -= n, a += n) {
		n = left < 256 ? left : 256;
		acc = hash_some(k, acc, a, n);
	}
	memcpy(block, nonce, 12);
	memset(block + 12, 0, 4);
	first = get(block);
	ctr = counters(_mm_insert_epi32(first, 2, 3));
	for (n = len; n >= CHUNK; n -= CHUNK, buf += CHUNK)
		acc = chunk(k, acc, &ctr, buf, seal);
	for (size_t some; n; n -= some, buf += some) {
		some = n < 256 ? n : 256;
		acc = rest(k, acc, &ctr, buf, some, seal);
	}
	acc = _mm_xor_si128(acc, _mm_set_epi64x((long long)(aad_len * 8), (long long)(len * 8)));
	acc = mul(acc, get(k->power[GCM_POWERS - 1]));
	return _mm_xor_si128(swap128(acc), encrypt1(k, _mm_insert_epi32(first, 0x01000000, 3)));
}

/* ---- interface ---- */

T void gcm_vaes_setkey(struct gcm_vaes_key *k, const u8 key[32])
{
	__m128i h, p;

	expand(k->round, key);
	p = h = times_x(swap128(encrypt1(k, _mm_setzero_si128())));
	for (unsigned i = GCM_POWERS; i--; p = mul(p, h))
		put(k->power[i], p);
}

T void gcm_vaes_seal(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		     size_t aad_len, u8 *buf, size_t len)
{
	put(buf + len, crypt(k, nonce, aad, aad_len, buf, len, true));
}

T bool gcm_vaes_open(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		     size_t aad_len, u8 *buf, size_t len)
{
	__m128i want = get(buf + len), tag = crypt(k, nonce, aad, aad_len, buf, len, false);

	tag = _mm_xor_si128(tag, want);
	return _mm_testz_si128(tag, tag);
}

#else /* other machines */

bool gcm_vaes_have(void) { return false; }
void gcm_vaes_setkey(struct gcm_vaes_key *k, const u8 key[32]) { }
void gcm_vaes_seal(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		   size_t aad_len, u8 *buf, size_t len) { }

bool gcm_vaes_open(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		   size_t aad_len, u8 *buf, size_t len)
{
	return false;
}

#endif
