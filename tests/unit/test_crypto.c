/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The port's cryptography: published vectors, and what another library made of the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "unit.h"
#include "core/port.h"

static size_t unhex(u8 *out, const char *hex)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
	return n;
}

static void assert_hex(const u8 *p, const char *hex)
{
	u8 want[512];
	size_t n = unhex(want, hex);

	assert_memory_equal(p, want, n);
}

static void setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32])
{
	memset(k, 0, sizeof *k);
	assert_true(mx_aead_setkey(k, suite, key));
}

static bool have(enum mx_suite suite)
{
	if (mx_aead_have(suite))
		return true;
	print_message("# no AES instructions here\n");
	return false;
}

/* ---- handshake ---- */

static void hmac__published_vectors(void **state)
{
	static const struct { u8 fill, key_len; const char *data, *mac; } v[] = {
		/* RFC 4231, cases 1 and 6 */
		{ 0x0b, 20, "Hi There",
		  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ 0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
		  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
		/* nothing at all */
		{ 0, 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(v); i++) {
		u8 key[131], mac[32];

		memset(key, v[i].fill, sizeof key);
		mx_hmac_sha256(mac, key, v[i].key_len, v[i].data, strlen(v[i].data));
		assert_hex(mac, v[i].mac);
	}
}

/* RFC 7748, section 5.2. */
static void x25519__published_vectors(void **state)
{
	static const char *const v[][3] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	};
	u8 scalar[32], point[32], out[32];

	for (unsigned i = 0; i < MX_ARRAY_SIZE(v); i++) {
		unhex(scalar, v[i][0]);
		unhex(point, v[i][1]);
		assert_true(mx_x25519(out, scalar, point));
		assert_hex(out, v[i][2]);
	}
	memset(scalar, 0, 32);
	scalar[0] = 9;
	mx_x25519_base(out, scalar);
	assert_hex(out, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	memcpy(point, scalar, 32);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(mx_x25519(out, scalar, point));
		memcpy(point, scalar, 32);
		memcpy(scalar, out, 32);
	}
	assert_hex(out, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void x25519__low_order_points_are_refused(void **state)
{
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	u8 scalar[32] = { 0x35, 0x17 }, point[32], out[32];

	for (unsigned i = 0; i < MX_ARRAY_SIZE(low); i++) {
		unhex(point, low[i]);
		assert_false(mx_x25519(out, scalar, point));
	}
}

/* ---- sealing ---- */

/* McGrew and Viega, "The Galois/Counter Mode of Operation", cases 13 and 14: of those
 * with a key of 256 bits the ones whose nonce a packet number makes. */
static void aead__published_vectors_gcm(void **state)
{
	u8 key[32] = { 0 }, buf[32] = { 0 };
	struct mx_aead_key k;

	if (!have(MX_SUITE_AES256_GCM))
		skip();
	setkey(&k, MX_SUITE_AES256_GCM, key);
	mx_aead_seal(&k, 0, NULL, 0, buf, 0);
	assert_hex(buf, "530f8afbc74536b9a963b4f1c4cb738b");
	assert_true(mx_aead_open(&k, 0, NULL, 0, buf, 0));
	memset(buf, 0, sizeof buf);
	mx_aead_seal(&k, 0, NULL, 0, buf, 16);
	assert_hex(buf, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
	mx_aead_clear(&k);
}

/* RFC 8439, appendix A.5; the plain text is 265 bytes of English. */
static void aead__published_vector_chacha(void **state)
{
	static const char sealed[] =
		"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
		"4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
		"332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		"9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
		"b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
		"af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		"0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
		"49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
		"a6ad5cb4022b02709b"
		"eead9d67890cbb22392336fea1851f38";
	u8 key[32], aad[12], buf[512];
	size_t len = unhex(buf, sealed) - 16;
	struct mx_aead_key k;

	unhex(key, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	unhex(aad, "f33388860000000000004e91");
	setkey(&k, MX_SUITE_CHACHA20_POLY1305, key);
	assert_true(mx_aead_open(&k, 0x0807060504030201ull, aad, sizeof aad, buf, len));
	assert_memory_equal(buf, "Internet-Drafts are draft documents valid", 41);
	mx_aead_seal(&k, 0x0807060504030201ull, aad, sizeof aad, buf, len);
	assert_hex(buf, sealed);
	mx_aead_clear(&k);
}

/* What libsodium 1.0.18 made of the same: the tag, and HMAC-SHA-256 by a key of zeros of
 * what was sealed with its tag. */
static const struct {
	enum mx_suite suite;
	u32 len;
	const char *tag, *mac;
} sodium[] = {
	{ MX_SUITE_CHACHA20_POLY1305, 0, "310b968a4ea277c30192fcd97cf391fb",
	  "d3a15ea745879c7dfc9ccff49ac616e94bbd61ed8d02c597f7392f8618fa4df3" },
	{ MX_SUITE_CHACHA20_POLY1305, 1, "139278f1b659fe8a5bb38603510e6364",
	  "eef9ce2cec20bda6f726997783d565d1b2d5632d4bed7736b2c28be958119ef5" },
	{ MX_SUITE_CHACHA20_POLY1305, 16, "eb06790310142bbe58db42fc9dab055b",
	  "d6f04c4b38bdb6ecd65553d50e85fd755a866e81d6a51b38bdf2f91802df940e" },
	{ MX_SUITE_CHACHA20_POLY1305, 48, "d8d54e340ffbb7a9ee839e6d40e347aa",
	  "04e8d5703ea8c8efb27faf258e3d73b7d228b073e784b5af4b383bb1e552c376" },
	{ MX_SUITE_CHACHA20_POLY1305, 513, "72bd3caa14c2a165d9d1796febdf934a",
	  "15e9db0bfec6d21efcec5ec680906e06ad79d8cf0fadcf448420e96c378abcec" },
	{ MX_SUITE_CHACHA20_POLY1305, 4096, "8ef94aa52efe5ffdb6ec471e7c2b54a5",
	  "6c6fea8bc58fddaeecb68d63964bbbb6959d63f9bddc077834e074553ef4a7da" },
	{ MX_SUITE_CHACHA20_POLY1305, 8960, "0e53cb55fa5d6cdcb8a2985a41052a12",
	  "cb1b642e5b2bc5330ed925a2d0107916c88625251de9d2591c84f2b047d75c84" },
	{ MX_SUITE_CHACHA20_POLY1305, 65000, "99a6405e9196bf2a7a173ec4427b4549",
	  "ca740031ba6517d0d7da86cf41eb4dd7d3fc9b52c5ac1e5077bff0061e219b53" },
	{ MX_SUITE_AES256_GCM, 0, "3c735bbe5644fff2b181d5f370bd8dc6",
	  "fdfacb465e0cb4e098b5db6e7fa16739519144fbb8333d83b91ce48bc2b08c1b" },
	{ MX_SUITE_AES256_GCM, 1, "4c036604a5966617aaa429ca3dd4afd7",
	  "e86a8e25af3bd94e331749e3461a01261c00b1db93d96f2a21945e47a3e3c5a5" },
	{ MX_SUITE_AES256_GCM, 16, "735833934d286c45e93606c6976fba25",
	  "4e3ffacbc5bcb0c5c6368af5ad199012bc21378a98a28451c4ea07d2f1a9b2b5" },
	{ MX_SUITE_AES256_GCM, 48, "6339868dc42f39eebc4ae08d97c88a0d",
	  "585410b1eb20d3471402ad1f1043532ac10a125e7a85857217ae4dff65aafc51" },
	{ MX_SUITE_AES256_GCM, 513, "a38c8fc9c03cf79235e0fecc7e93483c",
	  "c5190acaa84d9a8a4595c0dfa9657f57bb2729dc97bd04e84ec64e340fd5c90e" },
	{ MX_SUITE_AES256_GCM, 4096, "a2000b34eba07be0c29b62b875e571ac",
	  "cddd5bba159bd9133e3bb2e23505391c8aa15161cf83307eff6b1859b4f09e31" },
	{ MX_SUITE_AES256_GCM, 8960, "7bd15133223185ccb8d1b43f4a11744a",
	  "14d1a73e4b0e6154aa3b2e83a4cdbade5cac8df7b9e9b8e0e62418a0b50029fa" },
	{ MX_SUITE_AES256_GCM, 65000, "a30ce7f3c9323a3c7ad90c6082c6752e",
	  "06baec61e71bff9bdabe3229065b9eb96706013dcc2dc4c25f630635c92adc2e" },
};

static void aead__as_another_library_seals(void **state)
{
	static u8 mem[65000 + 16 + 32], plain[65000];
	u8 key[32], aad[24], mac[32], zero[32] = { 0 };
	const u64 pktno = 0x0102030405060708ull;

	for (unsigned i = 0; i < sizeof key; i++)
		key[i] = (u8)(i * 3);
	for (unsigned i = 0; i < sizeof aad; i++)
		aad[i] = (u8)(i * 5);
	for (unsigned i = 0; i < sizeof plain; i++)
		plain[i] = (u8)(i * 11 + i / 256);
	for (unsigned i = 0; i < MX_ARRAY_SIZE(sodium); i++) {
		const u32 len = sodium[i].len;
		u8 *buf = mem + 1 + i % 15;
		struct mx_aead_key k;

		if (!have(sodium[i].suite))
			continue;
		memset(mem, 0xee, sizeof mem);
		memcpy(buf, plain, len);
		setkey(&k, sodium[i].suite, key);
		mx_aead_seal(&k, pktno, aad, sizeof aad, buf, len);
		assert_hex(buf + len, sodium[i].tag);
		mx_hmac_sha256(mac, zero, sizeof zero, buf, len + 16);
		assert_hex(mac, sodium[i].mac);
		/* So this is what the other one made: it is opened, too. */
		assert_true(mx_aead_open(&k, pktno, aad, sizeof aad, buf, len));
		assert_memory_equal(buf, plain, len);
		assert_int_equal(buf[-1], 0xee);
		assert_int_equal(buf[len + 16], 0xee);
		mx_aead_clear(&k);
	}
}

static void every_flipped_bit(enum mx_suite suite)
{
	u8 key[32] = { 1 }, aad[24] = { 3 }, sealed[700 + 16], buf[sizeof sealed];
	const size_t len = sizeof sealed - 16;
	struct mx_aead_key k;

	if (!have(suite))
		return;
	memset(sealed, 7, sizeof sealed);
	setkey(&k, suite, key);
	mx_aead_seal(&k, 2, aad, sizeof aad, sealed, len);
	for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
		memcpy(buf, sealed, sizeof buf);
		buf[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(mx_aead_open(&k, 2, aad, sizeof aad, buf, len));
	}
	for (size_t bit = 0; bit < sizeof aad * 8; bit++) {
		memcpy(buf, sealed, sizeof buf);
		aad[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(mx_aead_open(&k, 2, aad, sizeof aad, buf, len));
		aad[bit / 8] ^= (u8)(1 << bit % 8);
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		memcpy(buf, sealed, sizeof buf);
		assert_false(mx_aead_open(&k, 2 ^ 1ull << bit, aad, sizeof aad, buf, len));
	}
	memcpy(buf, sealed, sizeof buf);
	assert_false(mx_aead_open(&k, 2, aad, sizeof aad, buf, len - 1));
	memcpy(buf, sealed, sizeof buf);
	assert_true(mx_aead_open(&k, 2, aad, sizeof aad, buf, len));
	mx_aead_clear(&k);
}

static void aead__every_flipped_bit_is_noticed(void **state)
{
	every_flipped_bit(MX_SUITE_CHACHA20_POLY1305);
	every_flipped_bit(MX_SUITE_AES256_GCM);
}

static void aead__cleared_keys_are_gone(void **state)
{
	static const struct mx_aead_key none;
	struct mx_aead_key k;
	u8 key[32] = { 1 };

	setkey(&k, MX_SUITE_CHACHA20_POLY1305, key);
	mx_aead_clear(&k);
	assert_memory_equal(&k, &none, sizeof k);
	mx_aead_clear(&k);
	assert_true(mx_aead_setkey(&k, MX_SUITE_CHACHA20_POLY1305, key));
	mx_aead_clear(&k);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac__published_vectors),
		cmocka_unit_test(x25519__published_vectors),
		cmocka_unit_test(x25519__low_order_points_are_refused),
		cmocka_unit_test(aead__published_vectors_gcm),
		cmocka_unit_test(aead__published_vector_chacha),
		cmocka_unit_test(aead__as_another_library_seals),
		cmocka_unit_test(aead__every_flipped_bit_is_noticed),
		cmocka_unit_test(aead__cleared_keys_are_gone),
	};

	return unit_main(argc, argv, tests);
}
