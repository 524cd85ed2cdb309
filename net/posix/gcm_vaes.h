/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-256-GCM on processors with AVX-512 and the vector forms of AESENC and PCLMULQDQ. */
#ifndef MEMX_NET_POSIX_GCM_VAES_H
#define MEMX_NET_POSIX_GCM_VAES_H

#include "core/port.h"

#define GCM_ROUNDS	14u
#define GCM_POWERS	16u

struct gcm_vaes_key {
	u8 round[GCM_ROUNDS + 1][16];
	/* H^16 ... H^1 as POLYVAL has them (RFC 8452, appendix A) */
	u8 power[GCM_POWERS][16];
};

/* Can this machine? The others must not be called where it cannot. */
bool gcm_vaes_have(void);
void gcm_vaes_setkey(struct gcm_vaes_key *k, const u8 key[32]);
/* In place; the 16 bytes of the tag follow buf[0..len). */
void gcm_vaes_seal(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		   size_t aad_len, u8 *buf, size_t len);
/* False: the tag is wrong; buf's content is then undefined. */
bool gcm_vaes_open(const struct gcm_vaes_key *k, const u8 nonce[12], const void *aad,
		   size_t aad_len, u8 *buf, size_t len);

#endif
