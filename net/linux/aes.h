/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-256-GCM by the crypto API, for sessions that are made and used in softirq.
 *
 * Making a transform sleeps; giving it a key and using it do not, with the
 * processor's own AES. So transforms are made ahead by a work item and kept in a
 * pool, one for each direction of a session. When the pool is empty a session is not
 * made, as without memory: its client says HELLO again a little later.
 *
 * It is the bare implementation that is used (CRYPTO_ALG_INTERNAL), not the one that
 * hands over to a thread where the FPU cannot be had. It needs the FPU, which a softirq
 * may find taken: x86 used it with bottom halves on until 6.15. mxk_aes_ready() tells,
 * and node.c puts off what needs it.
 */
#ifndef MEMX_LINUX_AES_H
#define MEMX_LINUX_AES_H

#include "core/port.h"

struct mxk_aes;			/* a transform: one direction of one session */

/* Looks for a fast implementation and fills the pool. Without one, AES is not
 * offered to peers and nothing fails. Both sleep. */
void mxk_aes_init(void);
void mxk_aes_exit(void);	/* all transforms were put */
bool mxk_aes_have(void);
/* Can transforms be used here and now? Always so in process context. */
bool mxk_aes_ready(void);

/* Any context but hard interrupts. NULL: none at hand. */
struct mxk_aes *mxk_aes_get(const u8 key[32]);
void mxk_aes_put(struct mxk_aes *a);	/* forgets the key; harmless on NULL */
/* Bottom halves off, and ready; one caller at a time for each transform. As mx_aead_seal and
 * mx_aead_open; @aad and @buf in directly mapped or vmalloc memory. */
bool mxk_aes_seal(struct mxk_aes *a, u64 pktno, const void *aad, size_t aad_len, u8 *buf,
		  size_t len);
bool mxk_aes_open(struct mxk_aes *a, u64 pktno, const void *aad, size_t aad_len, u8 *buf,
		  size_t len);

#endif
