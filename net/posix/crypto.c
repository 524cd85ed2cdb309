/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port's cryptography on libsodium; AES-256-GCM, which is on every page's way, by
 * gcm_vaes.c where the processor can.
 */
#include <sodium.h>

#include "core/port.h"
#include "net/posix/gcm_vaes.h"

/* AES's key schedule is kept; ChaCha20 needs the key alone. */
MX_BUILD_ASSERT(sizeof(crypto_aead_aes256gcm_state) <= sizeof(((struct mx_aead_key *)0)->opaque));
MX_BUILD_ASSERT(crypto_aead_aes256gcm_ABYTES == 16);
MX_BUILD_ASSERT(crypto_aead_aes256gcm_NPUBBYTES == 12);
MX_BUILD_ASSERT(crypto_aead_chacha20poly1305_ietf_ABYTES == 16);
MX_BUILD_ASSERT(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == 12);
MX_BUILD_ASSERT(crypto_scalarmult_BYTES == 32 && crypto_scalarmult_SCALARBYTES == 32);

MX_BUILD_ASSERT(sizeof(struct gcm_vaes_key) <= sizeof(((struct mx_aead_key *)0)->opaque));

static bool by_vaes;

/* One message of all parts of the code, sealed by both and opened again: a machine
 * (or an emulator of one) whose instructions are not what they should be is not
 * believed. */
static bool vaes_agrees(void)
{
	u8 key[32], nonce[12] = { 1 }, aad[24] = { 2 }, a[3 * 512 + 300 + 16], b[sizeof a];
	const size_t len = sizeof a - 16;
	struct gcm_vaes_key k;

	if (!gcm_vaes_have() || !crypto_aead_aes256gcm_is_available())
		return false;
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (u8)(i * 7);
	for (size_t i = 0; i < sizeof a; i++)
		a[i] = b[i] = (u8)(i * i);
	crypto_aead_aes256gcm_encrypt_detached(a, a + len, NULL, a, len, aad, sizeof aad, NULL,
					       nonce, key);
	gcm_vaes_setkey(&k, key);
	gcm_vaes_seal(&k, nonce, aad, sizeof aad, b, len);
	return !memcmp(a, b, sizeof a) && gcm_vaes_open(&k, nonce, aad, sizeof aad, b, len);
}

/* The library picks the machine's fastest code here; without it, it would take
 * the portable ones and have no AES. */
__attribute__((constructor)) static void crypto_init(void)
{
	if (sodium_init() < 0)
		sodium_misuse();
	by_vaes = vaes_agrees();
}

void mx_hmac_sha256(u8 out[32], const void *key, size_t key_len, const void *data, size_t len)
{
	crypto_auth_hmacsha256_state st;

	crypto_auth_hmacsha256_init(&st, key, key_len);
	crypto_auth_hmacsha256_update(&st, data, len);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof st);
}

bool mx_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	return crypto_scalarmult(out, scalar, point) == 0;
}

void mx_x25519_base(u8 out[32], const u8 scalar[32])
{
	crypto_scalarmult_base(out, scalar);
}

bool mx_aead_have(enum mx_suite suite)
{
	switch (suite) {
	case MX_SUITE_CHACHA20_POLY1305:
		return true;
	case MX_SUITE_AES256_GCM:
		return crypto_aead_aes256gcm_is_available();
	default:
		return false;
	}
}

static struct gcm_vaes_key *vaes(const struct mx_aead_key *k)
{
	return (struct gcm_vaes_key *)k->opaque;
}

static crypto_aead_aes256gcm_state *gcm(const struct mx_aead_key *k)
{
	return (crypto_aead_aes256gcm_state *)k->opaque;
}

void mx_aead_setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32])
{
	k->suite = (u8)suite;
	memcpy(k->raw, key, sizeof k->raw);
	if (suite != MX_SUITE_AES256_GCM)
		return;
	if (by_vaes)
		gcm_vaes_setkey(vaes(k), key);
	else
		crypto_aead_aes256gcm_beforenm(gcm(k), key);
}

static void make_nonce(u8 nonce[12], u64 pktno)
{
	memset(nonce, 0, 4);
	mx_st64(nonce + 4, pktno);
}

void mx_aead_seal(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	u8 nonce[12];

	make_nonce(nonce, pktno);
	if (k->suite == MX_SUITE_AES256_GCM && by_vaes)
		gcm_vaes_seal(vaes(k), nonce, aad, aad_len, buf, len);
	else if (k->suite == MX_SUITE_AES256_GCM)
		crypto_aead_aes256gcm_encrypt_detached_afternm(buf, buf + len, NULL, buf, len,
							       aad, aad_len, NULL, nonce, gcm(k));
	else
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(buf, buf + len, NULL, buf, len,
								   aad, aad_len, NULL, nonce,
								   k->raw);
}

bool mx_aead_open(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	u8 nonce[12];

	make_nonce(nonce, pktno);
	if (k->suite == MX_SUITE_AES256_GCM && by_vaes)
		return gcm_vaes_open(vaes(k), nonce, aad, aad_len, buf, len);
	if (k->suite == MX_SUITE_AES256_GCM)
		return !crypto_aead_aes256gcm_decrypt_detached_afternm(buf, NULL, buf, len,
								       buf + len, aad, aad_len,
								       nonce, gcm(k));
	return !crypto_aead_chacha20poly1305_ietf_decrypt_detached(buf, NULL, buf, len, buf + len,
								   aad, aad_len, nonce, k->raw);
}
