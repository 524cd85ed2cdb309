/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the port's cryptography costs here: CPU microseconds a call, the best of many
 * short rounds, so that a busy machine disturbs little.
 *
 *	make build/crypto-cost && build/crypto-cost
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/port.h"

#define ROUNDS	50
#define ROUND_NS 1000000.0

static u8 buf[65536 + 16], aad[24];
static struct mx_aead_key key;
static size_t len;

static void seal(void)
{
	mx_aead_seal(&key, 1, aad, sizeof aad, buf, len);
}

/* Damaged, which is noticed at the end: the same work, again and again. */
static void open_(void)
{
	mx_aead_open(&key, 1, aad, sizeof aad, buf, len);
}

static void new_key(void)
{
	struct mx_aead_key k = { 0 };

	if (mx_aead_setkey(&k, (enum mx_suite)key.suite, buf))
		mx_aead_clear(&k);
}

static void x25519(void)
{
	mx_x25519_base(buf, buf);
}

static void hmac(void)
{
	mx_hmac_sha256(buf, aad, sizeof aad, buf, 128);
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cost(void (*f)(void))
{
	double best = 1e18;

	f();
	for (int r = 0; r < ROUNDS; r++) {
		double from = cpu_ns(), took;
		unsigned n = 0;

		do {
			for (int i = 0; i < 16; i++, n++)
				f();
			took = cpu_ns() - from;
		} while (took < ROUND_NS);
		if (took / n < best)
			best = took / n;
	}
	return best / 1000;
}

/* Of memory, that of the library in it: the core's count knows only the handle. */
static size_t key_bytes(enum mx_suite s)
{
	static struct mx_aead_key many[100];
	size_t before = mallinfo2().uordblks, after;

	for (unsigned i = 0; i < MX_ARRAY_SIZE(many); i++)
		if (!mx_aead_setkey(&many[i], s, buf))
			return 0;
	after = mallinfo2().uordblks;
	for (unsigned i = 0; i < MX_ARRAY_SIZE(many); i++)
		mx_aead_clear(&many[i]);
	return (after - before) / MX_ARRAY_SIZE(many) + sizeof many[0];
}

static void suite(enum mx_suite s, const char *name)
{
	static const size_t lens[] = { 64, 512, 4096, 65536 };

	if (!mx_aead_have(s) || !mx_aead_setkey(&key, s, buf)) {
		printf("%-19s not on this machine\n", name);
		return;
	}
	for (unsigned i = 0; i < MX_ARRAY_SIZE(lens); i++) {
		len = lens[i];
		printf("%-19s %6zu bytes   seal %8.3f   open %8.3f\n", name, len, cost(seal), cost(open_));
	}
	printf("%-19s a key made and cleared %8.3f, %zu bytes\n", name, cost(new_key), key_bytes(s));
	mx_aead_clear(&key);
}

int main(void)
{
	suite(MX_SUITE_AES256_GCM, "AES-256-GCM");
	suite(MX_SUITE_CHACHA20_POLY1305, "ChaCha20-Poly1305");
	printf("%-19s %8.3f\n", "X25519", cost(x25519));
	printf("%-19s %8.3f\n", "HMAC, 128 bytes", cost(hmac));
	return 0;
}
