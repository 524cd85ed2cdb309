/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and keys as people type them. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"
#include "net/posix/key.h"
#include "net/posix/net.h"

static const char *printed(const char *text, unsigned *n)
{
	static char buf[MXP_ADDR_STR];
	struct mx_addr a[MXP_ADDR_MAX];
	char *err = NULL;

	*n = mxp_addr_parse(text, MX_UDP_PORT, a, MXP_ADDR_MAX, &err);
	if (!*n) {
		assert_non_null(err);
		assert_true(strlen(err) > 20);
		free(err);
		return NULL;
	}
	assert_null(err);
	return mxp_addr_str(&a[0], buf);
}

static void parse__accepts_and_prints_back(void **state)
{
	static const char *const cases[][2] = {
		{ "127.0.0.1", "127.0.0.1:7770" },
		{ "127.0.0.1:1", "127.0.0.1:1" },
		{ "10.1.2.3:65535", "10.1.2.3:65535" },
		{ "::1", "[::1]:7770" },
		{ "[::1]", "[::1]:7770" },
		{ "[2001:db8::5]:99", "[2001:db8::5]:99" },
		{ "::ffff:10.0.0.1", "10.0.0.1:7770" },
		{ "[fe80::1%lo]:5", "[fe80::1%lo]:5" },
		{ "eth:lo/52:54:00:12:34:56", "eth:lo/52:54:00:12:34:56" },
		{ "eth:52:54:00:12:34:5F", "eth:52:54:00:12:34:5f" },
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++) {
		unsigned n;
		const char *s = printed(cases[i][0], &n);

		if (!s)
			fail_msg("%s was refused", cases[i][0]);
		assert_string_equal(s, cases[i][1]);
		assert_int_equal(n, 1);
		/* and what is printed can be typed again */
		assert_string_equal(printed(cases[i][1], &n), cases[i][1]);
	}
}

static void parse__refuses_with_a_sentence(void **state)
{
	static const char *const cases[] = {
		"", ":7770", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x",
		"127.0.0.1:77 ", "[::1", "[::1]x", "[::1]:", "[]:5", "[::1]:99999", "256.1.1.1:5:6:zz",
		"eth:", "eth:lo", "eth:lo/", "eth:lo/52:54:00:12:34", "eth:lo/52:54:00:12:34:56:78",
		"eth:lo/52:54:00:12:34:5g", "eth:nosuchif0/52:54:00:12:34:56", "eth:/52:54:00:12:34:56",
		"no-such-host.invalid", "127.0.0.1:99999999999999999999",
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++) {
		unsigned n;

		if (printed(cases[i], &n))
			fail_msg("\"%s\" was accepted", cases[i]);
	}
}

static void parse__long_input_is_refused(void **state)
{
	char text[2000];
	unsigned n;

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	assert_null(printed(text, &n));
	text[0] = '[';
	text[1990] = ']';
	assert_null(printed(text, &n));
}

static void listen__any_port_and_star(void **state)
{
	struct mx_addr a[MXP_ADDR_MAX];
	char *err = NULL;

	assert_int_equal(mxp_addr_parse_listen("127.0.0.1:0", 7770, a, MXP_ADDR_MAX, &err), 1);
	assert_int_equal(a[0].port, 0);
	assert_int_equal(mxp_addr_parse_listen("*", 7770, a, MXP_ADDR_MAX, &err), 1);
	assert_true(mxp_addr_is_any(&a[0]));
	assert_int_equal(a[0].port, 7770);
	assert_int_equal(mxp_addr_parse_listen("*:81", 7770, a, MXP_ADDR_MAX, &err), 1);
	assert_int_equal(a[0].port, 81);
	assert_int_equal(mxp_addr_parse_listen("0.0.0.0", 7770, a, MXP_ADDR_MAX, &err), 1);
	assert_true(mxp_addr_is_any(&a[0]) && !mxp_addr_is_loopback(&a[0]));
	assert_int_equal(mxp_addr_parse_listen("raw:eth0", 7770, a, MXP_ADDR_MAX, &err), 0);
	assert_non_null(strstr(err, "--interface raw:"));
	free(err);
}

static void loopback__is_told(void **state)
{
	static const struct { const char *text; bool lo; } cases[] = {
		{ "127.0.0.1", true }, { "127.9.9.9", true }, { "::1", true },
		{ "10.0.0.1", false }, { "::2", false }, { "::", false },
		{ "::ffff:127.0.0.1", true },
	};
	struct mx_addr a[MXP_ADDR_MAX];

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++) {
		char *err = NULL;

		assert_int_equal(mxp_addr_parse(cases[i].text, 1, a, MXP_ADDR_MAX, &err), 1);
		assert_int_equal(mxp_addr_is_loopback(&a[0]), cases[i].lo);
	}
}

static void interface__unknown_names_those_there_are(void **state)
{
	char *err = NULL;

	assert_int_not_equal(mxp_if_index("lo", &err), 0);
	assert_int_equal(mxp_if_index("nosuchif0", &err), 0);
	assert_non_null(strstr(err, "lo"));
	free(err);
}

static void sockaddr__round_trip(void **state)
{
	static const char *const cases[] = { "10.1.2.3:5", "[2001:db8::1]:6", "eth:lo/02:00:00:00:00:01" };
	struct mx_addr a, b;
	union mxp_sockaddr sa;
	char *err = NULL;

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			assert_int_equal(mxp_addr_parse(cases[i], 1, &a, 1, &err), 1);
			if (!mxp_addr_to_sock(&a, v6, &sa)) {
				assert_true(a.fam == MX_FAM_IP6 && !v6);
				continue;
			}
			assert_true(mxp_addr_from_sock(&sa, &b));
			assert_true(mx_addr_eq(&a, &b));
		}
}

/* ---- keys ---- */

#define HEX64 "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100"

static void key__parse_and_print(void **state)
{
	struct mx_key k;
	char *err = NULL, buf[MXP_KEY_STR];

	assert_int_equal(mxp_key_parse(HEX64, "x", &k, &err), 0);
	assert_int_equal(k.kind, MX_KEY_CLUSTER);
	assert_int_equal(k.key[1], 0x11);
	assert_int_equal(k.key[31], 0);
	mxp_key_str(&k, buf);
	assert_int_equal(strcasecmp(buf, HEX64), 0);
	assert_int_equal(mxp_key_parse("vm:1/swap:" HEX64 "\n", "x", &k, &err), 0);
	assert_int_equal(k.kind, MX_KEY_VOLUME);
	assert_string_equal(k.volume, "vm:1/swap");
	mxp_key_str(&k, buf);
	assert_int_equal(strcasecmp(buf, "vm:1/swap:" HEX64), 0);
}

static void key__bad_ones_are_refused_and_not_shown(void **state)
{
	static const char *const cases[] = {
		"", "00", HEX64 "0", HEX64 " 0", "x" HEX64, ":" HEX64, "-bad:" HEX64, "a b:" HEX64,
		"0123456789012345678901234567890123456789012345678901234567890123456789:" HEX64,
		"00112233445566778899aabbccddeeffFFEEDDCCBBAA9988776655443322110g",
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++) {
		static const struct mx_key zero;
		struct mx_key k;
		char *err = NULL;

		if (!mxp_key_parse(cases[i], "file", &k, &err))
			fail_msg("\"%s\" was accepted", cases[i]);
		assert_non_null(err);
		assert_null(strstr(err, "0011223344"));
		assert_memory_equal(&k, &zero, sizeof k);
		free(err);
	}
}

static int load_text(const char *text, mode_t mode, char **err)
{
	char file[] = "/tmp/memx-test-key.XXXXXX";
	struct mx_key k;
	int fd = mkstemp(file), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	*err = NULL;
	rc = mxp_key_load(file, &k, err);
	unlink(file);
	return rc;
}

static void key_file__comments_modes_and_errors(void **state)
{
	char *err;

	assert_int_equal(load_text("# pool\n\n  " HEX64 "\n", 0600, &err), 0);
	assert_int_equal(load_text(HEX64, 0640, &err), 0);
	assert_int_not_equal(load_text(HEX64, 0644, &err), 0);
	assert_non_null(strstr(err, "chmod"));
	free(err);
	assert_int_not_equal(load_text("# nothing\n", 0600, &err), 0);
	assert_non_null(strstr(err, "keygen"));
	free(err);
	assert_int_not_equal(load_text(HEX64 "\n" HEX64 "\n", 0600, &err), 0);
	assert_non_null(strstr(err, "more than one"));
	free(err);
	err = NULL;
	assert_int_not_equal(mxp_key_load("/nonexistent/key", &(struct mx_key){ 0 }, &err), 0);
	assert_non_null(strstr(err, "keygen"));
	free(err);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__accepts_and_prints_back),
		cmocka_unit_test(parse__refuses_with_a_sentence),
		cmocka_unit_test(parse__long_input_is_refused),
		cmocka_unit_test(listen__any_port_and_star),
		cmocka_unit_test(loopback__is_told),
		cmocka_unit_test(interface__unknown_names_those_there_are),
		cmocka_unit_test(sockaddr__round_trip),
		cmocka_unit_test(key__parse_and_print),
		cmocka_unit_test(key__bad_ones_are_refused_and_not_shown),
		cmocka_unit_test(key_file__comments_modes_and_errors),
	};

	return unit_main(argc, argv, tests);
}
