/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The port's cryptography on libgcrypt. */
#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/port.h"

/* The first with X25519 on bytes and GCRYCTL_NO_FIPS_MODE. */
#define OLDEST	"1.10.0"

static bool fast_aes;

/* To go on would be to send what is not sealed, or to call something proved. */
static void must(const char *what, gcry_error_t err)
{
	if (!err)
		return;
	fprintf(stderr, "memx: libgcrypt cannot %s: %s\n", what, gcry_strerror(err));
	abort();
}

static bool have_all(const char *list, const char *a, const char *b)
{
	return strstr(list, a) && strstr(list, b);
}

/* Of what the library may use here ("hwflist:NAME:NAME:"); without these it has AES by
 * tables, which is slow, and whose time depends on the key. */
static bool find_fast_aes(void)
{
	char *list = gcry_get_config(0, "hwflist");
	bool yes = list && (have_all(list, ":intel-aesni:", ":intel-pclmul:") ||
			    have_all(list, ":arm-aes:", ":arm-pmull:") ||
			    have_all(list, ":ppc-vcrypto:", ":ppc-vcrypto:"));

	gcry_free(list);
	return yes;
}

/*
 * A program that uses the library itself has done this before, in its own way. The
 * protocol says which algorithms there are: a machine in FIPS mode would lack one. Keys
 * stay in ordinary memory, as the key file's content does: what may be locked is a few
 * pages, and a server has thousands of sessions.
 */
__attribute__((constructor)) static void crypto_init(void)
{
	if (!gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
		gcry_control(GCRYCTL_NO_FIPS_MODE);
		if (!gcry_check_version(OLDEST)) {
			fprintf(stderr, "memx: libgcrypt %s is too old; %s or a later one is needed\n",
				gcry_check_version(NULL), OLDEST);
			abort();
		}
		gcry_control(GCRYCTL_DISABLE_SECMEM);
		gcry_control(GCRYCTL_INITIALIZATION_FINISHED);
	}
	fast_aes = find_fast_aes();
}

void mx_hmac_sha256(u8 out[32], const void *key, size_t key_len, const void *data, size_t len)
{
	/* With this flag the first is the key. */
	gcry_buffer_t in[] = {
		{ .data = (void *)key, .len = key_len }, { .data = (void *)data, .len = len },
	};

	must("compute an HMAC", gcry_md_hash_buffers(GCRY_MD_SHA256, GCRY_MD_FLAG_HMAC, out, in, 2));
}

bool mx_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	u8 any = 0;

	if (gcry_ecc_mul_point(GCRY_ECC_CURVE25519, out, scalar, point))
		return false;
	for (unsigned i = 0; i < 32; i++)
		any |= out[i];
	return any;	/* zero: the point was of low order */
}

void mx_x25519_base(u8 out[32], const u8 scalar[32])
{
	must("multiply on curve 25519", gcry_ecc_mul_point(GCRY_ECC_CURVE25519, out, scalar, NULL));
}

bool mx_aead_have(enum mx_suite suite)
{
	switch (suite) {
	case MX_SUITE_CHACHA20_POLY1305:
		return true;
	case MX_SUITE_AES256_GCM:
		return fast_aes;
	default:
		return false;
	}
}

bool mx_aead_setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32])
{
	bool aes = suite == MX_SUITE_AES256_GCM;
	gcry_cipher_hd_t h;

	if (gcry_cipher_open(&h, aes ? GCRY_CIPHER_AES256 : GCRY_CIPHER_CHACHA20,
			     aes ? GCRY_CIPHER_MODE_GCM : GCRY_CIPHER_MODE_POLY1305, 0))
		return false;
	if (gcry_cipher_setkey(h, key, 32)) {
		gcry_cipher_close(h);
		return false;
	}
	k->suite = (u8)suite;
	k->handle = h;
	return true;
}

/* The library wipes what it frees. */
void mx_aead_clear(struct mx_aead_key *k)
{
	gcry_cipher_close(k->handle);	/* NULL: nothing */
	explicit_bzero(k, sizeof *k);
}

static gcry_error_t begin(gcry_cipher_hd_t h, u64 pktno, const void *aad, size_t aad_len)
{
	u8 nonce[12] = { 0 };
	gcry_error_t err;

	mx_st64(nonce + 4, pktno);
	err = gcry_cipher_setiv(h, nonce, sizeof nonce);
	return err ? err : gcry_cipher_authenticate(h, aad, aad_len);
}

void mx_aead_seal(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	must("begin to seal", begin(k->handle, pktno, aad, aad_len));
	must("seal", gcry_cipher_encrypt(k->handle, buf, len, NULL, 0));
	must("seal to the end", gcry_cipher_gettag(k->handle, buf + len, 16));
}

bool mx_aead_open(const struct mx_aead_key *k, u64 pktno, const void *aad, size_t aad_len,
		  u8 *buf, size_t len)
{
	return !begin(k->handle, pktno, aad, aad_len) &&
	       !gcry_cipher_decrypt(k->handle, buf, len, NULL, 0) &&
	       !gcry_cipher_checktag(k->handle, buf + len, 16);
}
