/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Carriers and drive loop: two endpoints over real sockets of this machine. */
#define _GNU_SOURCE
#include <stddef.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "unit.h"
#include "net/posix/client_int.h"
#include "net/posix/net.h"
#include "net/posix/size.h"

/* ---- an endpoint with sockets ---- */

struct node {
	struct mxp_net net;
	struct mx_port port;
	unsigned calls;			/* answered */
	u32 last_len;
	struct mx_addr last_from;
};

static void *t_alloc(void *ctx, size_t n) { return calloc(1, n); }
static void t_free(void *ctx, void *p, size_t n) { free(p); }
static void t_random(void *ctx, void *buf, size_t n)
{
	u8 *p = buf;

	while (n--)
		*p++ = (u8)random();
}

/* Answers with the request, each byte plus one. */
static enum mx_status answer(void *user, struct mx_peer *p, u16 op, const u8 *body, u32 len, u8 *rep,
			     u32 cap, u32 *rep_len, mx_ns now)
{
	struct node *n = user;

	assert_true(len <= cap);
	for (u32 i = 0; i < len; i++)
		rep[i] = (u8)(body[i] + 1);
	*rep_len = len;
	n->calls++;
	n->last_len = len;
	n->last_from = *mx_peer_addr(p);
	return MX_OK;
}

static const struct mx_ep_ops ops = { .call = answer };

static void node_init(struct node *n)
{
	memset(n, 0, sizeof *n);
	assert_int_equal(mxp_net_init(&n->net), 0);
	n->port = (struct mx_port){ .ctx = n, .alloc = t_alloc, .free = t_free, .random = t_random };
}

static void node_listen(struct node *n, const char *text, bool server)
{
	struct mxp_udp_opts o = { .server = server };
	char *err = NULL;

	assert_int_equal(mxp_addr_parse_listen(text, 0, &o.local, 1, &err), 1);
	o.dual = *text == '*';
	if (mxp_udp_open(&n->net, &o, &err))
		fail_msg("%s", err);
}

static void node_start(struct node *n, bool accept, const struct mx_key *key, u8 suites)
{
	struct mx_ep_conf c = {
		.accept = accept, .suites = suites, .dgram_max = mxp_net_dgram_max(&n->net),
		.rwnd = mxp_net_rcvbuf(&n->net) / 4 * 3,
	};

	if (key)
		c.key = *key;
	c.require_key = key != NULL;
	t_random(NULL, &c.node.id, 8);
	t_random(NULL, &c.node.incarnation, 8);
	strcpy(c.node.name, accept ? "server" : "client");
	n->net.ep = mx_ep_new(&n->port, &c, &ops, n, mxp_now());
	assert_non_null(n->net.ep);
}

static void node_end(struct node *n)
{
	if (n->net.ep)
		mx_ep_free(n->net.ep);
	mxp_net_free(&n->net);
}

static struct mx_addr node_addr(const struct node *n, const char *host)
{
	struct mx_addr a;
	char *err = NULL;

	assert_int_equal(mxp_addr_parse(host, n->net.socks[0].local.port, &a, 1, &err), 1);
	return a;
}

struct done {
	bool done;
	enum mx_status st;
	u8 body[MX_CTL_BODY_MAX];
	u32 len;
};

static void on_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct done *d = c->user;

	d->done = true;
	d->st = st;
	d->len = len;
	if (len)
		memcpy(d->body, body, len);
}

/* Drives both until @flag or two seconds have passed. */
static bool drive(struct node *a, struct node *b, const bool *flag)
{
	mx_ns end = mxp_now() + 2 * MX_SEC;

	while (!*flag && mxp_now() < end) {
		mx_ns until = mxp_now() + MX_MS;

		mxp_all_ready(&a->net);
		mxp_all_ready(&b->net);
		mxp_step(&a->net);
		mxp_step(&b->net);
		mxp_wait(&a->net, mx_min_u64(until, mx_ep_deadline(a->net.ep)));
	}
	return *flag;
}

/* One call of @len bytes from @client to @to, which is @server. */
static void exchange(struct node *client, struct node *server, const struct mx_addr *to, u32 len)
{
	static u8 req[MX_CTL_BODY_MAX];
	struct mx_peer *p = mx_peer_connect(client->net.ep, to, mxp_now());
	struct done *d = calloc(1, sizeof *d);
	struct mx_call call;

	assert_non_null(p);
	memset(&call, 0, sizeof call);
	call.user = d;
	for (u32 i = 0; i < len; i++)
		req[i] = (u8)(i * 7);
	mx_call_start(&call, p, 200, req, len, 5 * MX_SEC, mxp_now(), on_done);
	mxp_flush(&client->net, mxp_now());
	if (!drive(client, server, &d->done))
		fail_msg("no answer (rx %llu, tx %llu, errors %llu)",
			 (unsigned long long)server->net.stats.rx_dgrams,
			 (unsigned long long)client->net.stats.tx_dgrams,
			 (unsigned long long)client->net.stats.tx_errors);
	assert_int_equal(d->st, MX_OK);
	assert_int_equal(d->len, len);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(d->body[i], (u8)(req[i] + 1));
	free(d);
	mx_peer_put(p);
}

static bool have_ipv6(void)
{
	return mxp_if_has_family(if_nametoindex("lo"), MX_FAM_IP6);
}

/* ---- UDP ---- */

static void pair(const char *listen, const char *to, const struct mx_key *key, u8 suites)
{
	struct node s, c;
	struct mx_addr a;

	node_init(&s);
	node_init(&c);
	node_listen(&s, listen, true);
	node_listen(&c, "*", false);
	node_start(&s, true, key, suites);
	node_start(&c, false, key, 0);
	a = node_addr(&s, to);
	exchange(&c, &s, &a, 10);
	exchange(&c, &s, &a, MX_CTL_BODY_MAX);
	assert_int_equal(s.calls >= 2, 1);
	node_end(&s);
	node_end(&c);
}

static void udp__ipv4(void **state) { pair("127.0.0.1:0", "127.0.0.1", NULL, 0); }
static void udp__any_takes_ipv4(void **state) { pair("*:0", "127.0.0.1", NULL, 0); }
static void udp__any_answers_from_the_address_asked(void **state) { pair("*:0", "127.0.0.9", NULL, 0); }
static void udp__ipv4_any(void **state) { pair("0.0.0.0:0", "127.0.0.7", NULL, 0); }

static void udp__ipv6(void **state)
{
	if (!have_ipv6())
		skip();
	pair("[::1]:0", "::1", NULL, 0);
	pair("*:0", "::1", NULL, 0);
}

static void udp__sealed_by_each_suite(void **state)
{
	struct mx_key key = { .kind = MX_KEY_CLUSTER, .key = { 1, 2, 3 } };

	pair("127.0.0.1:0", "127.0.0.1", &key, 1 << MX_SUITE_CHACHA20_POLY1305);
	if (mx_aead_have(MX_SUITE_AES256_GCM))
		pair("127.0.0.1:0", "127.0.0.1", &key, 1 << MX_SUITE_AES256_GCM);
}

static void udp__several_sockets_of_one_server(void **state)
{
	struct node s, c;
	struct mx_addr a;
	char *err = NULL;

	node_init(&s);
	node_init(&c);
	node_listen(&s, "127.0.0.1:0", true);
	node_listen(&s, "127.0.0.2:0", true);
	node_listen(&c, "*", false);
	node_start(&s, true, NULL, 0);
	node_start(&c, false, NULL, 0);
	for (unsigned i = 0; i < 2; i++) {
		char host[32];

		snprintf(host, sizeof host, "127.0.0.%u:%u", i + 1, s.net.socks[i].local.port);
		assert_int_equal(mxp_addr_parse(host, 1, &a, 1, &err), 1);
		exchange(&c, &s, &a, 5000);
	}
	node_end(&s);
	node_end(&c);
}

/* What waits already is taken by one call, the first one too. */
static void udp__a_batch_is_delivered_whole(void **state)
{
	static const u8 junk[40];
	union mxp_sockaddr to;
	struct mx_addr a;
	struct node s;
	socklen_t len;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	node_init(&s);
	node_listen(&s, "127.0.0.1:0", true);
	node_start(&s, true, NULL, 0);
	a = node_addr(&s, "127.0.0.1");
	len = mxp_addr_to_sock(&a, false, &to);
	for (unsigned round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < MXP_RX_BATCH - 1; i++)
			assert_int_equal(sendto(fd, junk, sizeof junk, 0, &to.sa, len), sizeof junk);
		mxp_all_ready(&s.net);
		assert_int_equal(mxp_step(&s.net), MXP_RX_BATCH - 1);
		assert_int_equal(s.net.stats.rx_calls, round);
	}
	close(fd);
	node_end(&s);
}

static void udp__others_than_trusted_interfaces_are_not_heard(void **state)
{
	struct node s, c;
	struct mx_addr a;
	struct mx_peer *p;
	bool never = false;

	node_init(&s);
	node_init(&c);
	s.net.trust[0] = 999999;
	s.net.ntrust = 1;	/* and loopback is not told: nothing is trusted */
	node_listen(&s, "*:0", true);
	node_listen(&c, "*", false);
	node_start(&s, true, NULL, 0);
	node_start(&c, false, NULL, 0);
	a = node_addr(&s, "127.0.0.1");
	p = mx_peer_connect(c.net.ep, &a, mxp_now());
	mxp_flush(&c.net, mxp_now());
	drive(&c, &s, &never);
	assert_int_not_equal(mx_peer_state(p), MX_PEER_UP);
	assert_true(s.net.stats.untrusted > 0);
	s.net.loopback = if_nametoindex("lo");
	exchange(&c, &s, &a, 100);
	mx_peer_put(p);
	node_end(&s);
	node_end(&c);
}

/* ---- binding ---- */

static int try_listen(struct node *n, const struct mx_addr *local, bool dual, char **err)
{
	struct mxp_udp_opts o = { .local = *local, .dual = dual, .server = true };

	*err = NULL;
	return mxp_udp_open(&n->net, &o, err);
}

static void bind__a_second_server_is_refused(void **state)
{
	static const char *const first[] = { "127.0.0.1:0", "*:0", "0.0.0.0:0" };

	for (unsigned i = 0; i < MX_ARRAY_SIZE(first); i++) {
		struct node a, b;
		struct mx_addr local;
		char *err;

		node_init(&a);
		node_init(&b);
		node_listen(&a, first[i], true);
		local = a.net.socks[0].local;
		assert_int_equal(try_listen(&b, &local, *first[i] == '*', &err), -EADDRINUSE);
		assert_non_null(strstr(err, "another program"));
		free(err);
		node_end(&a);
		node_end(&b);
	}
}

static void bind__beside_a_clients_group_socket(void **state)
{
	struct node a, b, c;
	struct mx_addr local = { .fam = MX_FAM_IP4, .port = 28770 };
	u32 lo = if_nametoindex("lo");
	char *err = NULL;

	node_init(&a);
	node_init(&b);
	node_init(&c);
	if (mxp_mcast_join(&a.net, lo, "lo", local.port, &err)) {
		free(err);
		skip();		/* no multicast on loopback here */
	}
	if (try_listen(&b, &local, false, &err))
		fail_msg("%s", err);
	assert_int_equal(try_listen(&c, &local, false, &err), -EADDRINUSE);
	free(err);
	node_end(&a);
	node_end(&b);
	node_end(&c);
}

static void bind__errors_name_the_remedy(void **state)
{
	struct mx_addr local;
	struct node n;
	char *err = NULL;

	node_init(&n);
	assert_int_equal(mxp_addr_parse("192.0.2.77", 28771, &local, 1, &err), 1);
	assert_int_equal(try_listen(&n, &local, false, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(err, "no such address"));
	free(err);
	node_end(&n);
}

/* ---- the loop ---- */

static void wait__ends_in_time(void **state)
{
	struct node n;
	mx_ns start;

	node_init(&n);
	node_listen(&n, "127.0.0.1:0", true);
	node_start(&n, true, NULL, 0);
	mxp_step(&n.net);
	start = mxp_now();
	mxp_wait(&n.net, start + 20 * MX_MS);
	assert_true(mxp_now() - start >= 19 * MX_MS && mxp_now() - start < MX_SEC);
	start = mxp_now();
	mxp_wait(&n.net, start);	/* already over */
	assert_true(mxp_now() - start < 10 * MX_MS);
	node_end(&n);
}

static void wait__is_ended_by_the_wake_fd(void **state)
{
	u64 one = 1;
	struct node n;
	mx_ns start;

	node_init(&n);
	node_listen(&n, "127.0.0.1:0", true);
	node_start(&n, true, NULL, 0);
	n.net.wake_fd = eventfd(0, EFD_NONBLOCK);
	mxp_step(&n.net);
	assert_int_equal(write(n.net.wake_fd, &one, sizeof one), sizeof one);
	start = mxp_now();
	mxp_wait(&n.net, start + 5 * MX_SEC);
	assert_true(mxp_now() - start < MX_SEC);
	close(n.net.wake_fd);
	node_end(&n);
}

static void poll__rests_when_nothing_comes(void **state)
{
	struct node n;
	u64 polls;

	node_init(&n);
	node_listen(&n, "127.0.0.1:0", true);
	node_start(&n, true, NULL, 0);
	n.net.poll_us = 100;
	for (unsigned i = 0; i < 50; i++) {
		mxp_step(&n.net);
		mxp_wait(&n.net, mxp_now() + MX_MS);
	}
	polls = n.net.stats.polls;
	assert_in_range(polls, 1, 8);
	assert_true(n.net.spun < 5 * MX_MS);
	node_end(&n);
}

/* ---- scattered buffers ---- */

struct scattered {
	struct memx_req r;
	struct iovec iov[40];
	u8 *mem, *flat;
	u32 len;
};

static void scatter(struct scattered *s, u32 len, bool odd)
{
	u32 at = 0, skip = odd ? 100 : 512;
	unsigned n = 0;

	memset(s, 0, sizeof *s);
	s->len = len;
	s->mem = malloc(len + skip + 64);
	s->flat = malloc(len);
	for (u32 i = 0; i < len; i++)
		s->flat[i] = s->mem[skip + i] = (u8)random();
	while (at < len + skip) {
		u32 left = len + skip - at, piece;

		piece = n == 38 ? left : odd ? (u32)random() % 3000 : (u32)(random() % 6) * 512;
		if (piece > left)
			piece = left;
		s->iov[n].iov_base = s->mem + at;
		s->iov[n++].iov_len = piece;
		at += piece;
	}
	s->r.iov = s->iov;
	s->r.niov = n;
	s->r.iov_skip = skip;
	s->r.core.len = len;
}

static void scatter_end(struct scattered *s)
{
	free(s->mem);
	free(s->flat);
	free(s->r.stable);
}

static void iobuf__crc_put_zero_and_names(void **state)
{
	struct mx_port port = { 0 };

	memx_port_buffers(&port);
	srandom(1);
	for (unsigned round = 0; round < 300; round++) {
		struct scattered s;
		u32 blocks = 1 + (u32)random() % 64, first, n, seeds[64], want[64], got[64];
		struct iovec iov[80];
		unsigned pieces;
		u8 *copy;

		scatter(&s, blocks * MX_BLOCK, round & 1);
		first = (u32)random() % blocks;
		n = 1 + (u32)random() % (blocks - first);
		for (u32 i = 0; i < n; i++) {
			seeds[i] = (u32)random();
			want[i] = mx_crc32c(seeds[i], s.flat + (first + i) * MX_BLOCK, MX_BLOCK);
		}
		if (round % 4 == 3) {
			/* a stable copy is what is sent, whatever happens to the buffer */
			assert_true(port.buf_crc(NULL, &s.r, first * MX_BLOCK, n, seeds, got, true));
			memset(s.mem, 0xee, 600);
		} else {
			assert_true(port.buf_crc(NULL, &s.r, first * MX_BLOCK, n, seeds, got, false));
		}
		assert_memory_equal(got, want, n * sizeof got[0]);

		copy = malloc(n * MX_BLOCK);
		memx_buf_ops.copy(copy, &s.r, first * MX_BLOCK, n * MX_BLOCK);
		assert_memory_equal(copy, s.flat + first * MX_BLOCK, n * MX_BLOCK);
		pieces = memx_buf_ops.iov(&s.r, first * MX_BLOCK, n * MX_BLOCK, iov, 80);
		assert_true(pieces > 0);
		memset(copy, 0, n * MX_BLOCK);
		for (unsigned i = 0, at = 0; i < pieces; at += (unsigned)iov[i++].iov_len)
			memcpy(copy + at, iov[i].iov_base, iov[i].iov_len);
		assert_memory_equal(copy, s.flat + first * MX_BLOCK, n * MX_BLOCK);
		if (pieces > 1)
			assert_int_equal(memx_buf_ops.iov(&s.r, first * MX_BLOCK, n * MX_BLOCK, iov,
							  pieces - 1), 0);
		free(copy);
		scatter_end(&s);
	}
}

static void iobuf__put_verifies(void **state)
{
	struct mx_port port = { 0 };

	memx_port_buffers(&port);
	srandom(2);
	for (unsigned round = 0; round < 200; round++) {
		struct scattered s;
		u32 blocks = 1 + (u32)random() % 40, seeds[40], crcs[40];
		u8 *src, *back;

		scatter(&s, blocks * MX_BLOCK, round & 1);
		src = malloc(blocks * MX_BLOCK);
		back = malloc(blocks * MX_BLOCK);
		for (u32 i = 0; i < blocks * MX_BLOCK; i++)
			src[i] = (u8)random();
		for (u32 i = 0; i < blocks; i++) {
			seeds[i] = (u32)random();
			crcs[i] = mx_crc32c(seeds[i], src + i * MX_BLOCK, MX_BLOCK);
		}
		assert_true(port.buf_put(NULL, &s.r, 0, src, blocks, seeds, crcs));
		memx_buf_ops.copy(back, &s.r, 0, blocks * MX_BLOCK);
		assert_memory_equal(back, src, blocks * MX_BLOCK);
		crcs[(u32)random() % blocks] ^= 1u << (random() % 32);
		assert_false(port.buf_put(NULL, &s.r, 0, src, blocks, seeds, crcs));
		port.buf_zero(NULL, &s.r, 0, blocks * MX_BLOCK);
		memx_buf_ops.copy(back, &s.r, 0, blocks * MX_BLOCK);
		for (u32 i = 0; i < blocks * MX_BLOCK; i++)
			assert_int_equal(back[i], 0);
		free(src);
		free(back);
		scatter_end(&s);
	}
}

/* ---- sizes, errors ---- */

static void size__parse_and_print(void **state)
{
	static const struct { const char *text; u64 v; } good[] = {
		{ "0", 0 }, { "1", 1 }, { "512", 512 }, { "4K", 4096 }, { "10G", 10ull << 30 },
		{ "1.5G", 3ull << 29 }, { "10GiB", 10ull << 30 }, { "7t", 7ull << 40 }, { "1P", 1ull << 50 },
		{ "64B", 64 }, { "0.5M", 1 << 19 },
	};
	static const char *const bad[] = {
		"", "x", "-1", "10GB", "10 G", "1.5", "1e9", "10X", "99999999999999999999", "5000000P", " 5",
		"0x10",
	};
	char buf[MXP_SIZE_STR], *err = NULL;
	u64 v;

	for (unsigned i = 0; i < MX_ARRAY_SIZE(good); i++) {
		if (!mxp_size_parse(good[i].text, "SIZE", &v, &err))
			fail_msg("%s", err);
		assert_int_equal(v, good[i].v);
	}
	for (unsigned i = 0; i < MX_ARRAY_SIZE(bad); i++) {
		if (mxp_size_parse(bad[i], "SIZE", &v, &err))
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_non_null(strstr(err, "expected"));
		free(err);
	}
	assert_string_equal(mxp_size_str(1023, buf), "1023 B");
	assert_string_equal(mxp_size_str(1536, buf), "1.5 KiB");
	assert_string_equal(mxp_size_str(10ull << 30, buf), "10.0 GiB");
	assert_string_equal(mxp_size_str(500ull << 20, buf), "500 MiB");
}

static void errno__every_failure_has_one(void **state)
{
	assert_int_equal(mx_status_errno(MX_OK), 0);
	assert_int_equal(mx_status_errno(MX_ST_NO_SPACE), ENOSPC);
	assert_int_equal(mx_status_errno(MX_ST_LOST), EIO);
	for (unsigned st = MX_ST_BUSY; st <= MX_ST_NAME_CLASH; st++)
		assert_true(mx_status_errno((enum mx_status)st) > 0);
}

static void client__bad_setups_are_explained(void **state)
{
	const struct { struct memx_opts o; const char *say; } cases[] = {
		{ { .servers = (const char *const[]){ "[::1", NULL } }, "]" },
		{ { .servers = (const char *const[]){ "127.0.0.1:0", NULL } }, "port" },
		{ { .interface = "nosuchif0" }, "nosuchif0" },
		{ { .interface = "raw:nosuchif0" }, "nosuchif0" },
		{ { .key_hex = "12" }, "64 hex" },
		{ { .key_file = "/nonexistent/key" }, "/nonexistent/key" },
		{ { .servers = (const char *const[]){ "eth:02:00:00:00:00:01", NULL } }, "interface" },
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(cases); i++) {
		char *err = NULL;

		assert_null(memx_new(&cases[i].o, &err));
		if (!err || !strstr(err, cases[i].say))
			fail_msg("case %u: %s", i, err);
		free(err);
	}
}

static void client__nobody_there_is_said_in_time(void **state)
{
	struct memx_opts o = { .servers = (const char *const[]){ "127.0.0.1:9", "127.0.0.2:9", NULL } };
	char *err = NULL;
	struct memx *m = memx_new(&o, &err);
	mx_ns start = mxp_now();

	assert_non_null(m);
	assert_int_equal(memx_wait_servers(m, 300 * MX_MS, &err), -ETIMEDOUT);
	assert_true(mxp_now() - start < 2 * MX_SEC);
	assert_non_null(strstr(err, "127.0.0.1:9, 127.0.0.2:9"));
	assert_non_null(strstr(err, "memxd"));
	free(err);
	memx_free(m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp__ipv4),
		cmocka_unit_test(udp__any_takes_ipv4),
		cmocka_unit_test(udp__any_answers_from_the_address_asked),
		cmocka_unit_test(udp__ipv4_any),
		cmocka_unit_test(udp__ipv6),
		cmocka_unit_test(udp__sealed_by_each_suite),
		cmocka_unit_test(udp__several_sockets_of_one_server),
		cmocka_unit_test(udp__a_batch_is_delivered_whole),
		cmocka_unit_test(udp__others_than_trusted_interfaces_are_not_heard),
		cmocka_unit_test(bind__a_second_server_is_refused),
		cmocka_unit_test(bind__beside_a_clients_group_socket),
		cmocka_unit_test(bind__errors_name_the_remedy),
		cmocka_unit_test(wait__ends_in_time),
		cmocka_unit_test(wait__is_ended_by_the_wake_fd),
		cmocka_unit_test(poll__rests_when_nothing_comes),
		cmocka_unit_test(iobuf__crc_put_zero_and_names),
		cmocka_unit_test(iobuf__put_verifies),
		cmocka_unit_test(size__parse_and_print),
		cmocka_unit_test(errno__every_failure_has_one),
		cmocka_unit_test(client__bad_setups_are_explained),
		cmocka_unit_test(client__nobody_there_is_said_in_time),
	};

	return unit_main(argc, argv, tests);
}
