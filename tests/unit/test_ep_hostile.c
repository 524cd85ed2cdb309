/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints against hostile input, and out of memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gcrypt.h>
#include "ep_help.h"

/*
 * The cipher's handles are memory like any other: these stand before the library's
 * functions, count them, let them fail in their turn, and net_end() sees what is left.
 */
static long handles;	/* made, ever */
gcry_error_t gcry_cipher_open(gcry_cipher_hd_t *h, int algo, int mode, unsigned flags)
{
	gcry_error_t (*next)(gcry_cipher_hd_t *, int, int, unsigned) =
		(gcry_error_t (*)(gcry_cipher_hd_t *, int, int, unsigned))
		dlsym(RTLD_NEXT, "gcry_cipher_open");

	if (net.allocs++ == net.fail_at)
		return gcry_error(GPG_ERR_ENOMEM);
	net.live++;
	handles++;
	return next(h, algo, mode, flags);
}

void gcry_cipher_close(gcry_cipher_hd_t h)
{
	void (*next)(gcry_cipher_hd_t) = (void (*)(gcry_cipher_hd_t))dlsym(RTLD_NEXT, "gcry_cipher_close");

	net.live -= h != NULL;
	next(h);
}

/* ---- hostile input ---- */

static void hostile__garbage_and_hellos_do_not_grow_it(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	static u8 buf[2048];
	static struct mx_tx tx;
	size_t bytes;
	u32 i, j;
	u64 answers = 0;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 100 * MX_MS);
	bytes = net.live_bytes;
	for (i = 0; i < 100000; i++) {
		struct mx_addr from = { .fam = MX_FAM_IP4, .port = (u16)net_rand(&net),
					.a = { (u8)i, (u8)(i >> 8), 3, 4 } };
		u32 len = net_rand(&net) % sizeof buf;

		if (i % 5 == 0)
			from = net.n[1].addr;
		for (j = 0; j < len && j < 400; j++)
			buf[j] = (u8)(net_rand(&net) >> 16);
		buf[0] = MX_MAGIC;
		buf[1] = (u8)(1 + net_rand(&net) % 4);
		buf[2] = MX_PROTO_MAJOR;
		buf[3] = 0;
		mx_st16(buf + 4, (u16)(net_rand(&net) % 64 * 8));
		mx_st16(buf + 6, 0);
		if (i % 3 == 0) {	/* the client's session, and a right checksum */
			mx_st32(buf + 8, p->cur->remote);
			mx_st64(buf + 16, 1000 + i);
			mx_st16(buf + MX_OUTER, (u16)(net_rand(&net) % 64));
			mx_st16(buf + MX_OUTER + 2, mx_ld16(buf + 4));
			mx_st32(buf + MX_OUTER + 4, len - MX_OUTER - mx_ld16(buf + 4));
			if (MX_OUTER + mx_ld16(buf + 4) <= len)
				mx_outer_seal_crc(buf, mx_ld16(buf + 4));
		}
		mx_ep_rx(net.n[0].ep, net.now, &from, buf, len);
		while (mx_ep_tx(net.n[0].ep, net.now, &tx))
			answers++;
		net.now += 100 * MX_US;
	}
	/* Ten seconds: RESETs and REJECTs are at most a hundred a second each. */
	assert_true(answers < 4000);
	net_for(&net, 20 * MX_SEC);
	assert_true(net.live_bytes <= bytes + 70000);
	assert_int_equal(net.n[0].ep->naccepted, 1);
	net_end(&net);
}

/* Somebody guesses the number of a session that the server has not taken yet. */
static void hostile__data_for_a_session_not_welcomed(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	u8 buf[MX_OUTER + 24] = { MX_MAGIC, MX_KIND_PLAIN, MX_PROTO_MAJOR };

	(void)state;
	for (u32 i = 0; i < 100 && !p->next; i++)
		net_for(&net, 10 * MX_US);
	assert_non_null(p->next);
	mx_st16(buf + 4, 24);
	mx_st32(buf + 8, p->next->local);
	mx_st64(buf + 16, 1);
	mx_st16(buf + MX_OUTER, MX_PONG);
	mx_st16(buf + MX_OUTER + 2, 24);
	mx_outer_seal_crc(buf, 24);
	mx_ep_rx(net.n[1].ep, net.now, &net.n[0].addr, buf, sizeof buf);
	assert_int_not_equal(mx_peer_state(p), MX_PEER_UP);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_end(&net);
}

/* Clients with real addresses and right cookies, as many as they like. */
static void hostile__table_of_peers_is_bounded(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1);
	struct mx_peer *p;
	u32 i, served = 0;

	net_init(&net, 1);
	s.peers_max = 32;
	net_start(&net, 0, &s);
	for (i = 0; i < 300; i++) {
		struct mx_ep_conf c = net_conf(false, 100 + i);

		net_start(&net, 1, &c);
		net.n[1].addr.port = (u16)(10000 + i);
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		served += wait_state(p, MX_PEER_UP, 50 * MX_MS);
		if (mx_peer_state(p) != MX_PEER_UP)
			assert_int_equal(mx_peer_reject(p), MX_ST_BUSY);
		net_for(&net, 5 * MX_MS);
		assert_true(net.n[0].ep->naccepted + net.n[0].ep->nhalf <= 32);
		net_stop(&net, 1);
	}
	assert_in_range(served, 32, 40);
	/* After a minute of silence the oldest give way. */
	net_for(&net, 70 * MX_SEC);
	for (i = 0; i < 50; i++) {
		struct mx_ep_conf c = net_conf(false, 500 + i);

		net_start(&net, 1, &c);
		net.n[1].addr.port = (u16)(20000 + i);
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		if (i < 32)
			assert_true(wait_state(p, MX_PEER_UP, 50 * MX_MS));
		net_for(&net, 5 * MX_MS);
		assert_true(net.n[0].ep->naccepted + net.n[0].ep->nhalf <= 32);
		net_stop(&net, 1);
	}
	net_for(&net, 700 * MX_SEC);
	assert_int_equal(net.n[0].ep->naccepted, 0);
	assert_int_equal(net.n[0].gones, net.n[0].ups);
	net_end(&net);
}

/* Sessions asked for and never proved take at most their share. */
static void hostile__unproved_sessions_do_not_crowd_out(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	static struct mx_tx tx;
	static u8 buf[2048];
	struct mx_peer *p;
	u32 i;

	net_init(&net, 1);
	s.peers_max = 32;
	net_start(&net, 0, &s);
	for (i = 0; i < 200; i++) {
		struct mx_ep_conf h = net_conf(false, 100 + i);
		struct mx_addr at = { .fam = MX_FAM_IP4, .port = (u16)i, .a = { 9, 9, 9, 9 } };

		net_start(&net, 1, &h);
		net.n[1].addr = at;
		mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		/* HELLO, RETRY, HELLO with the cookie; and no more. */
		while (mx_ep_tx(net.n[1].ep, net.now, &tx))
			mx_ep_rx(net.n[0].ep, net.now, &at, buf, dgram_gather(&tx, buf, NULL));
		while (mx_ep_tx(net.n[0].ep, net.now, &tx))
			mx_ep_rx(net.n[1].ep, net.now, &net.n[0].addr, buf, dgram_gather(&tx, buf, NULL));
		while (mx_ep_tx(net.n[1].ep, net.now, &tx))
			mx_ep_rx(net.n[0].ep, net.now, &at, buf, dgram_gather(&tx, buf, NULL));
		assert_true(net.n[0].ep->nhalf >= 1);
		net_stop(&net, 1);
	}
	assert_true(net.n[0].ep->nhalf <= 32 / 4 + 1);
	net_start(&net, 1, &c);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 20 * MX_SEC);
	assert_int_equal(net.n[0].ep->nhalf, 0);
	assert_int_equal(net.n[0].ups, 1);
	net_end(&net);
}

/* A copy of a HELLO with its cookie, sent again later by somebody on the way,
 * must not take the session in use away. */
static bool tap_hello(struct net *n, struct dgram *d)
{
	static const u8 zero[32];

	(void)n;
	if (d->data[1] == MX_KIND_HANDSHAKE && d->to.port == 7000 && !nkept &&
	    memcmp(d->data + MX_OUTER + MX_HELLO_COOKIE, zero, 32)) {
		kept[0] = *d;
		kept[0].data = malloc(d->len);
		memcpy(kept[nkept++].data, d->data, d->len);
	}
	return true;
}

static void hostile__replayed_hello_changes_nothing(void **state)
{
	static struct tmsg m;
	struct mx_ep_conf c = net_conf(false, 2);
	struct mx_peer *p = two(1, CLUSTER);
	u8 copy[2048];

	net.tap = tap_hello;
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 10 * MX_MS);
	/* The client starts anew: its old HELLO is of another session now. */
	net_stop(&net, 1);
	c.node.incarnation = 5;
	set_key(&c, CLUSTER);
	net_start(&net, 1, &c);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 10 * MX_MS);
	memcpy(copy, kept[0].data, kept[0].len);
	assert_int_equal(mx_ep_rx(net.n[0].ep, net.now, &net.n[1].addr, copy, kept[0].len),
			 MX_RJ_NONE);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(mx_peer_node(net.n[0].last_peer)->incarnation, 5);
	msg_init(&m, 1, 0);
	mx_peer_send(p, &m.m);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(net.n[0].messages, 1);
	assert_int_equal(net.n[0].gones, 1);
	drop_kept();
	net_end(&net);
}

/* RESET and REJECT are hints: forged ones do no lasting harm. */
static void hostile__forged_hints(void **state)
{
	struct mx_peer *p = two(1, CLUSTER);
	u8 msg[MX_OUTER + MX_HEAD];
	struct mx_outer o = { .kind = MX_KIND_HANDSHAKE, .major = 1, .heads_len = MX_HEAD };
	struct mx_head h = { .type = MX_RESET, .hlen = MX_HEAD };
	u32 i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 100 * MX_MS);
	for (i = 0; i < 1000; i++) {
		h.tag = i % 2 ? p->cur->remote : (u32)net_rand(&net);
		mx_head_encode(msg + MX_OUTER, &h);
		mx_outer_encode(msg, &o);
		mx_outer_seal_crc(msg, MX_HEAD);
		assert_int_equal(mx_ep_rx(net.n[1].ep, net.now, &net.n[0].addr, msg, sizeof msg),
				 i % 2 ? MX_RJ_NONE : MX_RJ_SESSION);
		net_for(&net, MX_MS);
		assert_int_equal(mx_peer_state(p), MX_PEER_UP);
	}
	assert_int_equal(net.n[1].reborns + net.n[0].reborns + net.n[0].gones, 0);
	net_end(&net);
}

/* Every message of a life, cut at every length, and again with a right checksum. */
static void hostile__every_truncation_of_every_datagram(void **state)
{
	enum keying k;
	u32 i, len, pass;

	for (k = PLAIN; k <= CLUSTER; k++) {
		struct mx_peer *p = two(1, k);
		struct tcall *t;

		net.tap = tap_keep;
		net.mtu = 1500;
		keep_all = true;
		t = call_new(p, 5000, MX_SEC);
		net.n[0].echo = true;
		call_wait(t, MX_SEC);
		free(t);
		net_for(&net, 200 * MX_MS);
		keep_all = false;
		assert_true(nkept > 6);		/* HELLOs, PING, PROBEs, CALLs */
		net.tap = NULL;
		for (i = 0; i < nkept; i++) {
			for (len = 0; len < mx_min_u32(kept[i].len, 5000); len++) {
				for (pass = 0; pass < 2; pass++) {
					u8 *copy = malloc(len ? len : 1);
					u32 heads = len > MX_OUTER ? (len - MX_OUTER) & ~7u : 0;

					memcpy(copy, kept[i].data, len);
					if (pass && heads) {
						mx_st16(copy + 4, (u16)heads);
						mx_st64(copy + 16, 100000 + net_rand(&net) % 1000);
						mx_outer_seal_crc(copy, heads);
					}
					mx_ep_rx(net.n[0].ep, net.now, &kept[i].from, copy, len);
					free(copy);
				}
			}
			net_for(&net, 10 * MX_MS);
		}
		assert_int_equal(mx_peer_state(p), MX_PEER_UP);
		drop_kept();
		net_end(&net);
	}
}

/* ---- allocation failures ---- */

/* A whole life: handshake, calls both sizes, members, reborn, renewal. True: it
 * was served in the end. */
static bool life_with_failure(long fail_at, enum keying k, long *allocs)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	struct mx_peer *p;
	struct tcall *t = NULL;
	bool served = false;

	net_init(&net, 5);
	net.fail_at = fail_at;
	net.mtu = 1500;
	set_key(&s, k == PLAIN ? PLAIN : CLUSTER);
	set_key(&c, k);
	c.rekey_after = 20 * MX_SEC;
	net.n[0].echo = true;
	if (!net_start(&net, 0, &s) || !net_start(&net, 1, &c))
		goto out;
	mx_ep_announce(net.n[0].ep, 10, 5, 0, MX_MEMBER_SERVER);
	if (!mx_ep_add_seed(net.n[1].ep, &net.n[0].addr))
		goto out;
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	if (!p)
		goto out;
	t = call_new(p, 20000, 60 * MX_SEC);
	call_wait(t, 60 * MX_SEC);
	assert_int_equal(t->st, MX_OK);
	assert_true(t->right);
	net_for(&net, 60 * MX_SEC);
	net_stop(&net, 0);
	s.node.incarnation = 99;
	if (!net_start(&net, 0, &s))
		goto out;
	net_for(&net, 30 * MX_SEC);
	assert_int_equal(net.n[1].reborns, 1);
	mx_call_start(&t->c, p, 9, t->body, 2000, 60 * MX_SEC, net.now, call_done);
	call_wait(t, 0);
	net_for(&net, 60 * MX_SEC);
	assert_int_equal(t->ended, 2);
	assert_int_equal(t->st, MX_OK);
	assert_non_null(mx_ep_member_by_id(net.n[1].ep, 1));
	served = true;
out:
	*allocs = net.allocs;
	net_end(&net);		/* checks that nothing leaked */
	free(t);
	return served;
}

static void memory__fails_at_every_allocation(void **state)
{
	enum keying k;

	for (k = PLAIN; k <= VOLUME; k++) {
		long all, n, i;
		u32 served = 0;

		assert_true(life_with_failure(-1, k, &all));
		assert_in_range(all, 20, 2000);
		assert_true(k == PLAIN || handles >= 8);
		for (i = 0; i < all; i++)
			served += life_with_failure(i, k, &n);
		/* Only set-up may fail; what fails later is made good. */
		assert_true(served > all / 2);
	}
}

/* The data path allocates nothing. */
static void memory__none_on_the_data_path(void **state)
{
	static struct tmsg m[32];
	struct mx_peer *p = two(1, CLUSTER);
	long before;
	u32 round, i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 900 * MX_MS);
	before = net.allocs;
	for (round = 0; round < 200; round++) {
		for (i = 0; i < 32; i++) {
			msg_init(&m[i], i, 512);
			mx_peer_send(p, &m[i].m);
		}
		net_for(&net, MX_MS);
	}
	assert_int_equal(net.n[0].messages, 6400);
	assert_int_equal(net.allocs, before);
	net_end(&net);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile__garbage_and_hellos_do_not_grow_it),
		cmocka_unit_test(hostile__data_for_a_session_not_welcomed),
		cmocka_unit_test(hostile__table_of_peers_is_bounded),
		cmocka_unit_test(hostile__unproved_sessions_do_not_crowd_out),
		cmocka_unit_test(hostile__replayed_hello_changes_nothing),
		cmocka_unit_test(hostile__forged_hints),
		cmocka_unit_test(hostile__every_truncation_of_every_datagram),
		cmocka_unit_test(memory__fails_at_every_allocation),
		cmocka_unit_test(memory__none_on_the_data_path),
	};

	return unit_main(argc, argv, tests);
}
