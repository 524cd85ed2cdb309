/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC32C on processors with AVX-512 and VPCLMULQDQ. */
#ifndef MEMX_NET_POSIX_CRC32C_WIDE_H
#define MEMX_NET_POSIX_CRC32C_WIDE_H

#include "core/wire.h"

/* Can this machine? The other must not be called where it cannot. */
bool mxp_crc32c_have_wide(void);
/* As mx_crc32c_blocks(). */
void mxp_crc32c_wide(u8 *d, const u8 *s, u32 n, const u32 *seeds, u32 *crcs);

#endif
