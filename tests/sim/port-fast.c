/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksum and stand-ins for cryptography, for the fast simulator.
 *
 * The CRC is the real one. The rest keeps the shape of the real primitives
 * (equal keys and texts agree, anything else does not, a changed byte is
 * noticed, both sides of a key agreement get the same secret) at a fraction of
 * their cost, and is of no cryptographic worth. A second binary, sim-crypto, links
 * the real ones in its place.
 */
#include "../../core/port.h"
#include "rng.h"

/* ---- CRC32C ---- */

#if defined(__x86_64__)
#include <nmmintrin.h>
__attribute__((target("sse4.2")))
static u32 crc_hw(u32 c, const u8 *p, size_t n)
{
	u64 x = c;

	for (; n >= 8; n -= 8, p += 8)
		x = _mm_crc32_u64(x, mx_ld64(p));
	for (; n; n--, p++)
		x = _mm_crc32_u8((u32)x, *p);
	return (u32)x;
}
static bool have_hw(void) { return __builtin_cpu_supports("sse4.2"); }
#else
static u32 crc_hw(u32 c, const u8 *p, size_t n) { (void)p; (void)n; return c; }
static bool have_hw(void) { return false; }
#endif

static u32 crc_bits(u32 c, const u8 *p, size_t n)
{
	int k;

	for (; n; n--) {
		c ^= *p++;
		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
	}
	return c;
}

u32 mx_crc32c(u32 seed, const void *p, size_t n)
{
	return have_hw() ? crc_hw(seed, p, n) : crc_bits(seed, p, n);
}

void mx_crc32c_blocks(void *dst, const void *src, u32 nblocks, const u32 *seeds, u32 *crcs)
{
	u32 i;

	for (i = 0; i < nblocks; i++)
		crcs[i] = mx_crc32c(seeds[i], (const u8 *)src + i * 512u, 512);
	if (dst)
		memmove(dst, src, (size_t)nblocks * 512);
}

/* ---- a keyed hash of 64 bits ---- */

static u64 fold(u64 a, u64 b)
{
	unsigned __int128 r = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ull) *
			      (b ^ 0xe7037ed1a0b428dbull);

	return (u64)r ^ (u64)(r >> 64);
}

static u64 hash64(u64 h, const u8 *p, size_t n)
{
	u64 len = n, g = h ^ 0x8ebc6af09c88c6e3ull, tail = 0;

	for (; n >= 32; n -= 32, p += 32) {
		h = fold(mx_ld64(p) ^ h, mx_ld64(p + 8));
		g = fold(mx_ld64(p + 16) ^ g, mx_ld64(p + 24));
	}
	for (; n >= 8; n -= 8, p += 8)
		h = fold(mx_ld64(p) ^ h, g);
	for (; n; n--)
		tail = tail << 8 | *p++;
	return fold(fold(h ^ tail, g), len + 1);
}

void mx_hmac_sha256(u8 out[32], const void *key, size_t key_len, const void *data, size_t len)
{
	u64 k = hash64(1, key, key_len), h = hash64(k, data, len);
	u32 i;

	for (i = 0; i < 4; i++)
		mx_st64(out + 8 * i, fold(h + i, k + i));
}

/* Multiplication modulo 2^64 by odd numbers commutes: enough of Diffie-Hellman
 * for both sides to agree. */
#define DH_BASE	0x9e3779b97f4a7c15ull

static void dh_out(u8 out[32], u64 v)
{
	memset(out, 0, 32);
	mx_st64(out, v);
	mx_st64(out + 8, mix64(v));
}

bool mx_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	u64 p = mx_ld64(point);

	if (!p || mx_ld64(point + 8) != mix64(p))
		return false;
	dh_out(out, p * (mx_ld64(scalar) | 1));
	return true;
}

void mx_x25519_base(u8 out[32], const u8 scalar[32])
{
	dh_out(out, DH_BASE * (mx_ld64(scalar) | 1));
}

bool mx_aead_have(enum mx_suite suite)
{
	return suite == MX_SUITE_CHACHA20_POLY1305 || suite == MX_SUITE_AES256_GCM;
}

bool mx_aead_setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32])
{
	k->suite = (u8)suite;
	mx_st64(k->raw, hash64(suite, key, 32));
	return true;
}

void mx_aead_clear(struct mx_aead_key *k)
{
	memset(k, 0, sizeof *k);
}

static void tag(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		const u8 *buf, size_t len, u8 out[16])
{
	u64 h = hash64(mx_ld64(k->raw) + pktno * 3, aad, aad_len);

	h = hash64(h, buf, len);
	mx_st64(out, h);
	mx_st64(out + 8, mix64(h ^ k->suite));
}

void mx_aead_seal(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	tag(k, pktno, aad, aad_len, buf, len, buf + len);
}

bool mx_aead_open(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	u8 want[16];

	tag(k, pktno, aad, aad_len, buf, len, want);
	return memcmp(want, buf + len, 16) == 0;
}
