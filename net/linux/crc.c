// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CRC32C in the kernel. On x86-64 by the processor's instruction, which works on
 * general registers and so needs no kernel_fpu_begin(): four blocks side by side,
 * because the instruction has three cycles of latency and one of throughput, and
 * the copy rides along. Others use the kernel's library function, which is built in
 * (libcrc32c is a module that goes through the crypto API).
 */
#include <linux/crc32.h>
#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#endif
#include "core/crc32c.h"
#include "core/wire.h"

#ifdef CONFIG_X86_64

static inline u64 step8(u64 crc, u64 v)
{
	asm("crc32q %1, %0" : "+r"(crc) : "r"(v));
	return crc;
}

static inline u64 step1(u64 crc, u8 v)
{
	asm("crc32b %1, %0" : "+r"(crc) : "r"(v));
	return crc;
}

static u32 crc_hw(u32 seed, const u8 *p, size_t n)
{
	u64 crc = seed;

	for (; n >= 8; n -= 8, p += 8)
		crc = step8(crc, *(const u64 *)p);
	for (; n; n--, p++)
		crc = step1(crc, *p);
	return (u32)crc;
}

/* The CRC is of the value that was stored, even if the source is changing. */
static inline u64 take8(u8 *t, const u8 *s)
{
	u64 v = READ_ONCE(*(const u64 *)s);

	if (t)
		*(u64 *)t = v;
	return v;
}

static void four_blocks(u8 *t, const u8 *s, const u32 *seeds, u32 *crcs)
{
	u64 a = seeds[0], b = seeds[1], c = seeds[2], d = seeds[3];
	u32 i;

	for (i = 0; i < MX_BLOCK; i += 8, s += 8) {
		a = step8(a, take8(t, s));
		b = step8(b, take8(t ? t + MX_BLOCK : NULL, s + MX_BLOCK));
		c = step8(c, take8(t ? t + 2 * MX_BLOCK : NULL, s + 2 * MX_BLOCK));
		d = step8(d, take8(t ? t + 3 * MX_BLOCK : NULL, s + 3 * MX_BLOCK));
		if (t)
			t += 8;
	}
	crcs[0] = (u32)a;
	crcs[1] = (u32)b;
	crcs[2] = (u32)c;
	crcs[3] = (u32)d;
}

/* What a datagram at an MTU of 1,500 holds. */
static void two_blocks(u8 *t, const u8 *s, const u32 *seeds, u32 *crcs)
{
	u64 a = seeds[0], b = seeds[1];
	u32 i;

	for (i = 0; i < MX_BLOCK; i += 8, s += 8) {
		a = step8(a, take8(t, s));
		b = step8(b, take8(t ? t + MX_BLOCK : NULL, s + MX_BLOCK));
		if (t)
			t += 8;
	}
	crcs[0] = (u32)a;
	crcs[1] = (u32)b;
}

static void blocks_hw(u8 *d, const u8 *s, u32 n, const u32 *seeds, u32 *crcs)
{
	while (n >= 2) {
		u32 step = n >= 4 ? 4 : 2;

		if (step == 4)
			four_blocks(d, s, seeds, crcs);
		else
			two_blocks(d, s, seeds, crcs);
		if (d)
			d += step * MX_BLOCK;
		s += step * MX_BLOCK;
		seeds += step;
		crcs += step;
		n -= step;
	}
	if (n) {
		u64 crc = seeds[0];
		u32 i;

		for (i = 0; i < MX_BLOCK; i += 8)
			crc = step8(crc, take8(d ? d + i : NULL, s + i));
		crcs[0] = (u32)crc;
	}
}

static inline bool have_hw(void)
{
	return boot_cpu_has(X86_FEATURE_XMM4_2);
}

#else

static inline bool have_hw(void) { return false; }
static inline u32 crc_hw(u32 seed, const u8 *p, size_t n) { return 0; }
static inline void blocks_hw(u8 *d, const u8 *s, u32 n, const u32 *seeds, u32 *crcs) { }

#endif

u32 mx_crc32c(u32 seed, const void *p, size_t n)
{
	return have_hw() ? crc_hw(seed, p, n) : __crc32c_le(seed, p, n);
}

void mx_crc32c_blocks(void *dst, const void *src, u32 nblocks, const u32 *seeds, u32 *crcs)
{
	const u8 *s = src;
	u8 *d = dst;
	u32 i;

	if (have_hw()) {
		blocks_hw(d, s, nblocks, seeds, crcs);
		return;
	}
	for (i = 0; i < nblocks; i++, s += MX_BLOCK) {
		const u8 *from = s;

		if (d) {
			memcpy(d, s, MX_BLOCK);
			from = d;
			d += MX_BLOCK;
		}
		crcs[i] = __crc32c_le(seeds[i], from, MX_BLOCK);
	}
}
