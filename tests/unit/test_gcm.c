/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-256-GCM by vector instructions: published vectors, and beside libsodium's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>
#include "net/posix/gcm_vaes.h"

#define LONG	66000u

static void need_machine(void)
{
	if (!gcm_vaes_have() || !crypto_aead_aes256gcm_is_available()) {
		print_message("# no VAES, VPCLMULQDQ and AVX-512 here\n");
		skip();
	}
}

static size_t unhex(u8 *out, const char *hex)
{
	size_t n = 0;

	assert_int_equal(sodium_hex2bin(out, 256, hex, strlen(hex), NULL, &n, NULL), 0);
	return n;
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", cases 13, 14 and 16. */
static const struct {
	const char *key, *nonce, *aad, *plain, *cipher, *tag;
} vectors[] = {
	{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b",
	}, {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "00000000000000000000000000000000",
		"cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919",
	}, {
		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b",
	},
};

static void gcm__published_vectors(void **state)
{
	need_machine();
	for (unsigned i = 0; i < MX_ARRAY_SIZE(vectors); i++) {
		u8 key[256], nonce[256], aad[256], buf[256 + 16], cipher[256], tag[256];
		size_t aad_len = unhex(aad, vectors[i].aad), len = unhex(buf, vectors[i].plain);
		struct gcm_vaes_key k;

		unhex(key, vectors[i].key);
		unhex(nonce, vectors[i].nonce);
		unhex(cipher, vectors[i].cipher);
		unhex(tag, vectors[i].tag);
		gcm_vaes_setkey(&k, key);
		gcm_vaes_seal(&k, nonce, aad, aad_len, buf, len);
		assert_memory_equal(buf, cipher, len);
		assert_memory_equal(buf + len, tag, 16);
	}
}

/* Sealed by both; opened; what is around it left alone. */
static void compare(size_t len, size_t aad_len, unsigned shift)
{
	static u8 mem[2][LONG + 128], plain[LONG];
	u8 key[32], nonce[12], aad[512], *a = mem[0] + 16, *b = mem[1] + 16 + shift;
	struct gcm_vaes_key k;

	randombytes_buf(key, sizeof key);
	randombytes_buf(nonce, sizeof nonce);
	randombytes_buf(aad, aad_len);
	randombytes_buf(plain, len);
	memset(mem, 0xee, sizeof mem);
	memcpy(a, plain, len);
	memcpy(b, plain, len);
	crypto_aead_aes256gcm_encrypt_detached(a, a + len, NULL, a, len, aad, aad_len, NULL,
					       nonce, key);
	gcm_vaes_setkey(&k, key);
	gcm_vaes_seal(&k, nonce, aad, aad_len, b, len);
	assert_memory_equal(a, b, len + 16);
	assert_int_equal(b[-1], 0xee);
	assert_int_equal(b[len + 16], 0xee);
	assert_true(gcm_vaes_open(&k, nonce, aad, aad_len, b, len));
	assert_memory_equal(b, plain, len);
	assert_int_equal(b[-1], 0xee);
}

static void gcm__as_the_library_at_each_length(void **state)
{
	static const size_t aads[] = { 0, 1, 15, 16, 17, 24, 255, 256, 257, 511 };

	need_machine();
	for (size_t len = 0; len < 1300; len++)
		compare(len, 24, (unsigned)len % 16);
	for (unsigned i = 0; i < MX_ARRAY_SIZE(aads); i++)
		for (size_t len = 0; len < 600; len += 59)
			compare(len, aads[i], 3);
	for (size_t len = 1300; len < LONG; len += 1021)
		compare(len, 24, 8);
}

static void gcm__every_flipped_bit_is_noticed(void **state)
{
	u8 key[32] = { 1 }, nonce[12] = { 2 }, aad[24] = { 3 }, sealed[700 + 16], buf[sizeof sealed];
	const size_t len = sizeof sealed - 16;
	struct gcm_vaes_key k;

	need_machine();
	memset(sealed, 7, sizeof sealed);
	gcm_vaes_setkey(&k, key);
	gcm_vaes_seal(&k, nonce, aad, sizeof aad, sealed, len);
	for (size_t bit = 0; bit < sizeof sealed * 8; bit += 3) {
		memcpy(buf, sealed, sizeof buf);
		buf[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(gcm_vaes_open(&k, nonce, aad, sizeof aad, buf, len));
	}
	for (size_t bit = 0; bit < sizeof aad * 8; bit++) {
		memcpy(buf, sealed, sizeof buf);
		aad[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(gcm_vaes_open(&k, nonce, aad, sizeof aad, buf, len));
		aad[bit / 8] ^= (u8)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < sizeof nonce * 8; bit++) {
		memcpy(buf, sealed, sizeof buf);
		nonce[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(gcm_vaes_open(&k, nonce, aad, sizeof aad, buf, len));
		nonce[bit / 8] ^= (u8)(1 << bit % 8);
	}
	memcpy(buf, sealed, sizeof buf);
	assert_true(gcm_vaes_open(&k, nonce, aad, sizeof aad, buf, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gcm__published_vectors),
		cmocka_unit_test(gcm__as_the_library_at_each_length),
		cmocka_unit_test(gcm__every_flipped_bit_is_noticed),
	};

	if (sodium_init() < 0)
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
