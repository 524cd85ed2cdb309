// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The port's cryptography on the kernel's crypto library.
 *
 * The library's functions are called directly: they neither sleep nor allocate,
 * so a handshake can end, and a datagram be opened, in softirq under the
 * endpoint's lock. AES-256-GCM exists only as an object of the crypto API, which
 * aes.c makes ahead.
 */
#include <crypto/chacha20poly1305.h>
#include <crypto/curve25519.h>
#include <crypto/sha2.h>
#include "core/port.h"
#include "net/linux/aes.h"

MX_BUILD_ASSERT(CHACHA20POLY1305_AUTHTAG_SIZE == 16);
MX_BUILD_ASSERT(CHACHA20POLY1305_KEY_SIZE == 32);

void mx_hmac_sha256(u8 out[32], const void *key, size_t key_len, const void *data, size_t len)
{
	u8 block[SHA256_BLOCK_SIZE] = { 0 };
	struct sha256_state st;
	int i;

	if (key_len > sizeof(block))
		sha256(key, key_len, block);
	else
		memcpy(block, key, key_len);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36;
	sha256_init(&st);
	sha256_update(&st, block, sizeof(block));
	sha256_update(&st, data, len);
	sha256_final(&st, out);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_init(&st);
	sha256_update(&st, block, sizeof(block));
	sha256_update(&st, out, SHA256_DIGEST_SIZE);
	sha256_final(&st, out);
	memzero_explicit(block, sizeof(block));
	memzero_explicit(&st, sizeof(st));
}

/* The library expects what RFC 7748 does to a scalar to be done already. */
static void clamped(u8 to[32], const u8 scalar[32])
{
	memcpy(to, scalar, 32);
	curve25519_clamp_secret(to);
}

bool mx_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	u8 s[32];
	bool ok;

	clamped(s, scalar);
	ok = curve25519(out, s, point);
	memzero_explicit(s, sizeof(s));
	return ok;
}

void mx_x25519_base(u8 out[32], const u8 scalar[32])
{
	u8 s[32];

	clamped(s, scalar);
	/* False only for the zero scalar, which a clamped one is not. */
	if (!curve25519_generate_public(out, s))
		memset(out, 0, 32);
	memzero_explicit(s, sizeof(s));
}

bool mx_aead_have(enum mx_suite suite)
{
	return suite == MX_SUITE_CHACHA20_POLY1305 ||
	       (suite == MX_SUITE_AES256_GCM && mxk_aes_have());
}

bool mx_aead_setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32])
{
	struct mxk_aes *a = NULL;

	if (suite == MX_SUITE_AES256_GCM) {
		a = mxk_aes_get(key);
		if (!a)
			return false;
	} else {
		memcpy(k->raw, key, sizeof(k->raw));
	}
	k->suite = (u8)suite;
	k->handle = a;
	return true;
}

void mx_aead_clear(struct mx_aead_key *k)
{
	mxk_aes_put(k->handle);
	memzero_explicit(k, sizeof(*k));
}

/* The library's nonce is the port's: four zero bytes, then a little-endian number. */
void mx_aead_seal(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	if (!k->handle)
		chacha20poly1305_encrypt(buf, buf, len, aad, aad_len, pktno, k->raw);
	else if (!mxk_aes_seal(k->handle, pktno, aad, aad_len, buf, len))
		memset(buf, 0, len + CHACHA20POLY1305_AUTHTAG_SIZE);	/* never in the clear */
}

bool mx_aead_open(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	if (k->handle)
		return mxk_aes_open(k->handle, pktno, aad, aad_len, buf, len);
	return chacha20poly1305_decrypt(buf, buf, len + CHACHA20POLY1305_AUTHTAG_SIZE, aad, aad_len,
					pktno, k->raw);
}
