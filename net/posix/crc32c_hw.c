/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32C by the processor's instruction: SSE4.2, or the ARMv8 extension.
 *
 * The instruction has a latency of three cycles and a throughput of one, so four
 * blocks are carried side by side; the copy rides along, since the data is in
 * registers anyway. Newer processors do it twice as fast by crc32c_wide.c; machines
 * without the instruction take core/crc32c.c's.
 */
#include "core/crc32c.h"
#include "core/wire.h"
#include "net/posix/crc32c_wide.h"

#if defined(__x86_64__)
#define HW_TARGET	__attribute__((target("sse4.2")))
#define STEP8(c, v)	((u32)__builtin_ia32_crc32di((c), (v)))
#define STEP1(c, v)	__builtin_ia32_crc32qi((c), (v))

static inline bool have_hw(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__) && defined(__linux__) && defined(__ORDER_LITTLE_ENDIAN__) && \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <sys/auxv.h>
#include <arm_acle.h>
#define HW_TARGET	__attribute__((target("+crc")))
#define STEP8(c, v)	__crc32cd((c), (v))
#define STEP1(c, v)	__crc32cb((c), (v))

static inline bool have_hw(void)
{
	return getauxval(AT_HWCAP) & (1 << 7);	/* HWCAP_CRC32 */
}
#endif

#ifdef HW_TARGET

/* memcpy of a constant 8 bytes is one load or store, whatever the alignment. */
static inline u64 load8(const u8 *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return v;
}

static inline void store8(u8 *p, u64 v)
{
	memcpy(p, &v, 8);
}

HW_TARGET static u32 crc_hw(u32 crc, const u8 *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		crc = STEP8(crc, load8(p));
	for (; n; n--, p++)
		crc = STEP1(crc, *p);
	return crc;
}

HW_TARGET static void four_blocks(const u8 *s, const u32 *seeds, u32 *crcs)
{
	u32 a = seeds[0], b = seeds[1], c = seeds[2], d = seeds[3], i;

	for (i = 0; i < MX_BLOCK; i += 8, s += 8) {
		a = STEP8(a, load8(s));
		b = STEP8(b, load8(s + MX_BLOCK));
		c = STEP8(c, load8(s + 2 * MX_BLOCK));
		d = STEP8(d, load8(s + 3 * MX_BLOCK));
	}
	crcs[0] = a;
	crcs[1] = b;
	crcs[2] = c;
	crcs[3] = d;
}

/* The CRC is of the value that was stored, even if the source is changing. */
HW_TARGET static void four_blocks_copy(u8 *t, const u8 *s, const u32 *seeds, u32 *crcs)
{
	u32 a = seeds[0], b = seeds[1], c = seeds[2], d = seeds[3], i;

	for (i = 0; i < MX_BLOCK; i += 8, s += 8, t += 8) {
		u64 va = load8(s), vb = load8(s + MX_BLOCK);
		u64 vc = load8(s + 2 * MX_BLOCK), vd = load8(s + 3 * MX_BLOCK);

		/* Opaque, so that the compiler cannot load a word twice. */
		__asm__("" : "+r"(va), "+r"(vb), "+r"(vc), "+r"(vd));
		store8(t, va);
		store8(t + MX_BLOCK, vb);
		store8(t + 2 * MX_BLOCK, vc);
		store8(t + 3 * MX_BLOCK, vd);
		a = STEP8(a, va);
		b = STEP8(b, vb);
		c = STEP8(c, vc);
		d = STEP8(d, vd);
	}
	crcs[0] = a;
	crcs[1] = b;
	crcs[2] = c;
	crcs[3] = d;
}

static void blocks_hw(u8 *d, const u8 *s, u32 nblocks, const u32 *seeds, u32 *crcs)
{
	u32 i;

	for (i = 0; i + 4 <= nblocks; i += 4, s += 4 * MX_BLOCK) {
		if (d) {
			four_blocks_copy(d, s, seeds + i, crcs + i);
			d += 4 * MX_BLOCK;
		} else {
			four_blocks(s, seeds + i, crcs + i);
		}
	}
	for (; i < nblocks; i++, s += MX_BLOCK) {
		const u8 *from = s;

		if (d) {
			memcpy(d, s, MX_BLOCK);
			from = d;
			d += MX_BLOCK;
		}
		crcs[i] = crc_hw(seeds[i], from, MX_BLOCK);
	}
}

#endif /* HW_TARGET */

u32 mx_crc32c(u32 seed, const void *p, size_t n)
{
#ifdef HW_TARGET
	if (have_hw())
		return crc_hw(seed, p, n);
#endif
	return mx_crc32c_sw(seed, p, n);
}

/* Asking the processor takes longer than a block, in a virtual machine by far. */
static bool have_wide;

__attribute__((constructor)) static void crc32c_init(void)
{
	have_wide = mxp_crc32c_have_wide();
}

void mx_crc32c_blocks(void *dst, const void *src, u32 nblocks,
		      const u32 *seeds, u32 *crcs)
{
	if (have_wide) {
		mxp_crc32c_wide(dst, src, nblocks, seeds, crcs);
		return;
	}
#ifdef HW_TARGET
	if (have_hw()) {
		blocks_hw(dst, src, nblocks, seeds, crcs);
		return;
	}
#endif
	mx_crc32c_blocks_sw(dst, src, nblocks, seeds, crcs);
}
