/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Portable CRC32C. A port whose machine has nothing better lets mx_crc32c and
 * mx_crc32c_blocks (core/port.h) be these; the contracts are the same.
 */
#ifndef MEMX_CORE_CRC32C_H
#define MEMX_CORE_CRC32C_H

#include "port.h"

u32 mx_crc32c_sw(u32 seed, const void *p, size_t n);
void mx_crc32c_blocks_sw(void *dst, const void *src, u32 nblocks,
			 const u32 *seeds, u32 *crcs);

#endif
