/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Randomness of the simulator: xoshiro256**, seeded through splitmix64.
 *
 * Everything random in a life comes from one seed, but through one stream per
 * purpose: switching the trace on, or asking one stream once more, leaves the
 * others as they were.
 */
#ifndef MEMX_SIM_RNG_H
#define MEMX_SIM_RNG_H

#include "../../core/port.h"

struct rng { u64 s[4]; };

static inline u64 mix64(u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline void rng_seed(struct rng *r, u64 seed, u64 stream)
{
	u64 x = mix64(seed) ^ mix64(stream * 0xd1342543de82ef95ull + 1);
	int i;

	for (i = 0; i < 4; i++)
		r->s[i] = x = mix64(x);
}

static inline u64 rng_rotl(u64 x, int k) { return x << k | x >> (64 - k); }

static inline u64 rng_u64(struct rng *r)
{
	u64 res = rng_rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rng_rotl(r->s[3], 45);
	return res;
}

/* 0 .. n - 1; 0 for n = 0 */
static inline u64 rng_below(struct rng *r, u64 n)
{
	return n ? (u64)(((unsigned __int128)rng_u64(r) * n) >> 64) : 0;
}

/* lo .. hi, both included */
static inline u64 rng_range(struct rng *r, u64 lo, u64 hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

static inline bool rng_ppm(struct rng *r, u32 per_million)
{
	return per_million && rng_below(r, 1000000) < per_million;
}

static inline bool rng_one_in(struct rng *r, u32 n) { return rng_below(r, n) == 0; }

/* Log-uniform in lo .. hi: each power of two as likely as the next. lo > 0. */
static inline u64 rng_log(struct rng *r, u64 lo, u64 hi)
{
	u32 a = 63 - (u32)__builtin_clzll(lo), b = 63 - (u32)__builtin_clzll(hi);
	u64 base = 1ull << rng_range(r, a, b);
	u64 x = base + rng_below(r, base);

	return x < lo ? lo : x > hi ? hi : x;
}

/*
 * Exponential with the given mean, in integers alone so that every machine
 * draws the same: -ln(u) = ln 2 * (leading zeros + 1 - log2 of the mantissa),
 * the mantissa's logarithm taken linearly.
 */
static inline u64 rng_exp(struct rng *r, u64 mean)
{
	u64 u = rng_u64(r) | 1;
	u32 lz = (u32)__builtin_clzll(u);
	u64 frac = (u << lz << 1) >> 48;	/* 16 bits below the leading one */
	u64 log2_16 = ((u64)(lz + 1) << 16) - frac;	/* -log2(u), 16 fractional bits */

	return (u64)(((unsigned __int128)mean * log2_16 * 45426) >> 32);	/* ln 2 = 45426 / 65536 */
}

#endif
