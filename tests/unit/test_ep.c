/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints over a bad network in virtual time: handshakes and data. */
#include "ep_help.h"

/* ---- handshake ---- */

static void handshake__plain_and_keyed(void **state)
{
	static const struct { enum keying k; enum mx_suite suite; } t[] = {
		{ PLAIN, MX_SUITE_NONE }, { CLUSTER, MX_SUITE_AES256_GCM },
		{ VOLUME, MX_SUITE_AES256_GCM },
	};
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(t); i++) {
		struct mx_peer *p = two(i + 1, t[i].k), *q;
		enum mx_suite suite = t[i].suite;

		if (suite == MX_SUITE_AES256_GCM && !mx_aead_have(suite))
			suite = MX_SUITE_CHACHA20_POLY1305;
		assert_int_equal(mx_peer_state(p), MX_PEER_HELLO);
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 10 * MX_MS);
		/* Two round trips, no repeats. */
		assert_int_equal(net.n[0].ups, 1);
		assert_int_equal(net.n[1].ups, 1);
		assert_int_equal(net.n[1].reborns, 0);
		q = net.n[0].last_peer;
		assert_non_null(q);
		assert_int_equal(mx_peer_suite(p), suite);
		assert_int_equal(mx_peer_suite(q), suite);
		assert_int_equal(mx_peer_node(p)->id, 1);
		assert_int_equal(mx_peer_node(q)->id, 2);
		assert_string_equal(mx_peer_node(q)->name, "node2");
		assert_int_equal(mx_peer_key(q)->kind, t[i].k);
		assert_false(mx_peer_is_initiator(q));
		assert_true(mx_peer_is_initiator(p));
		if (t[i].k == VOLUME)
			assert_string_equal(mx_peer_key(q)->volume, "vm1-swap");
		assert_int_equal(net.n[0].ep->stats.handshakes, 1);
		net_end(&net);
	}
}

static void handshake__suite_is_negotiated(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	struct mx_peer *p;

	net_init(&net, 3);
	set_key(&s, CLUSTER);
	set_key(&c, CLUSTER);
	c.suites = 1 << MX_SUITE_CHACHA20_POLY1305;
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	assert_int_equal(mx_peer_suite(p), MX_SUITE_CHACHA20_POLY1305);
	net_end(&net);
}

static void handshake__refusals_name_the_cause(void **state)
{
	static const struct { enum keying s, c; bool other; enum mx_status why; } t[] = {
		{ CLUSTER, CLUSTER, true, MX_ST_BAD_KEY },
		{ CLUSTER, PLAIN, false, MX_ST_NO_KEY },
		{ PLAIN, CLUSTER, false, MX_ST_BAD_KEY },
		{ CLUSTER, VOLUME, true, MX_ST_BAD_KEY },
	};
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(t); i++) {
		struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
		struct mx_peer *p;
		struct tcall *call;

		net_init(&net, i + 1);
		set_key(&s, t[i].s);
		set_key(&c, t[i].c);
		if (t[i].other)
			c.key.key[31] ^= 1;
		net_start(&net, 0, &s);
		net_start(&net, 1, &c);
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		call = call_new(p, 10, 20 * MX_SEC);
		assert_true(wait_state(p, MX_PEER_REFUSED, MX_SEC));
		assert_int_equal(mx_peer_reject(p), t[i].why);
		assert_int_equal(call->ended, 1);
		assert_int_equal(call->st, MX_ST_UNREACHABLE);
		/* Later calls end too, and not from inside mx_call_start. */
		mx_call_start(&call->c, p, 9, call->body, 10, MX_SEC, net.now, call_done);
		assert_int_equal(call->ended, 1);
		net_for(&net, 10 * MX_MS);
		assert_int_equal(call->ended, 2);
		/* The acceptor holds nothing of it; and it is tried rarely. */
		assert_int_equal(net.n[0].ep->nhalf + net.n[0].ep->naccepted, 0);
		net.sent = 0;
		net_for(&net, 60 * MX_SEC);
		assert_in_range(net.sent, 4, 60);
		assert_int_equal(net.n[0].ups, 0);
		free(call);
		net_end(&net);
	}
}

/* A refusal is repaired when the server is started with the right key. */
static void handshake__refused_then_right(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	struct mx_peer *p;

	net_init(&net, 1);
	set_key(&c, CLUSTER);
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	assert_true(wait_state(p, MX_PEER_REFUSED, MX_SEC));
	net_stop(&net, 0);
	set_key(&s, CLUSTER);
	net_start(&net, 0, &s);
	assert_true(wait_state(p, MX_PEER_UP, 30 * MX_SEC));
	assert_int_equal(mx_peer_reject(p), MX_OK);
	net_end(&net);
}

static bool tap_version(struct net *n, struct dgram *d)
{
	(void)n;
	/* The client speaks version 9 and understands REJECT, as all versions do. */
	if (d->from.port == 7001) {
		d->data[2] = 9;
		mx_st32(d->data + 12, 0x1234);
	}
	return true;
}

static void handshake__other_version_is_told(void **state)
{
	struct mx_peer *p = two(1, PLAIN);

	net.tap = tap_version;
	assert_true(wait_state(p, MX_PEER_REFUSED, MX_SEC));
	assert_int_equal(mx_peer_reject(p), MX_ST_BAD_VERSION);
	assert_true(rejects(0, MX_RJ_VERSION) > 0);
	net_end(&net);

	/* And when it is the server that speaks another one. */
	p = two(1, PLAIN);
	net_for(&net, 1);
	{
		u8 msg[MX_OUTER + MX_REJECT_HEAD] = { MX_MAGIC, MX_KIND_HANDSHAKE, 9 };
		struct mx_head h = { .status = MX_ST_BAD_VERSION };
		struct mx_rejectmsg m = { .client_random = p->hs->hello + MX_HELLO_RANDOM, .major = 9 };

		mx_rejectmsg_encode(msg + MX_OUTER, &h, &m);
		assert_int_equal(mx_ep_rx(net.n[1].ep, net.now, &net.n[0].addr, msg, sizeof msg),
				 MX_RJ_VERSION);
	}
	assert_int_equal(mx_peer_state(p), MX_PEER_REFUSED);
	assert_int_equal(mx_peer_reject(p), MX_ST_BAD_VERSION);
	net_end(&net);
}

/* The client is newer and offers what the server has never heard of; or the server grants
 * what was not offered. */
#define FEATURES	160u
static bool granting;
static u64 granted;
static bool tap_features(struct net *n, struct dgram *d)
{
	u8 *f = d->data + MX_OUTER + FEATURES;

	(void)n;
	if (d->data[1] != MX_KIND_HANDSHAKE)
		return true;
	if (mx_ld16(d->data + MX_OUTER) == MX_HELLO && !granting)
		mx_st64(f, ~0ull);
	if (mx_ld16(d->data + MX_OUTER) == MX_WELCOME && granting)
		mx_st64(f, ~MX_FEATURES);
	if (mx_ld16(d->data + MX_OUTER) == MX_WELCOME)
		granted = mx_ld64(f);
	mx_outer_seal_crc(d->data, mx_ld16(d->data + 4));
	return true;
}

static void handshake__features_are_those_of_both(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mx_peer *p = two(1, PLAIN);

		granting = i;
		granted = 77;
		net.tap = tap_features;
		assert_int_equal(wait_state(p, MX_PEER_UP, MX_SEC), !granting);
		assert_true(granted == (granting ? ~MX_FEATURES : MX_FEATURES));
		assert_int_equal(rejects(1, MX_RJ_FIELD) > 0, granting);
		net_end(&net);
	}
}

/* Somebody on the way changes what the server says of itself. */
static u32 forged, forge_at;
static bool tap_forge_welcome(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->data[1] == MX_KIND_HANDSHAKE && mx_ld16(d->data + MX_OUTER) == MX_WELCOME) {
		d->data[MX_OUTER + forge_at] ^= 0x20;
		mx_outer_seal_crc(d->data, MX_WELCOME_HEAD);
		forged++;
	}
	return true;
}

static void handshake__forged_welcome_is_refused(void **state)
{
	/* Every byte of what the MAC covers, and the MAC. */
	for (forge_at = 16; forge_at < MX_WELCOME_HEAD; forge_at++) {
		struct mx_peer *p = two(1, CLUSTER);

		forged = 0;
		net.tap = tap_forge_welcome;
		net_for(&net, 150 * MX_MS);
		assert_int_not_equal(mx_peer_state(p), MX_PEER_UP);
		assert_true(forged > 0);
		net.tap = NULL;
		assert_true(wait_state(p, MX_PEER_UP, 2 * MX_SEC));
		net_end(&net);
	}
}

/* A node that is a server and a client may meet itself: two roles, one address. */
static void handshake__with_oneself(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1);
	struct mx_peer *p;
	struct tcall *t;

	net_init(&net, 1);
	set_key(&s, CLUSTER);
	net_start(&net, 0, &s);
	net.n[0].echo = true;
	p = mx_peer_connect(net.n[0].ep, &net.n[0].addr, net.now);
	t = call_new(p, 3000, MX_SEC);
	call_wait(t, MX_SEC);
	assert_int_equal(t->st, MX_OK);
	assert_true(t->right);
	assert_int_equal(net.n[0].ups, 2);
	net_for(&net, 20 * MX_SEC);
	assert_int_equal(mx_peer_state(p), MX_PEER_UP);
	mx_ep_bye(net.n[0].ep, net.now);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(net.n[0].gones, 1);
	free(t);
	net_end(&net);
}

static char last_line[256];
static int lines;
static void on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	(void)level;
	lines++;
	snprintf(last_line, sizeof last_line, "%s", line);
}

static void handshake__refusal_is_logged_with_its_address(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	u32 i;

	net_init(&net, 1);
	set_key(&s, CLUSTER);
	net_start(&net, 0, &s);
	net.n[0].port.log = on_log;
	lines = 0;
	for (i = 0; i < 30; i++) {
		net_start(&net, 1, &c);
		mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		net_for(&net, MX_MS);
		net_stop(&net, 1);
	}
	assert_int_equal(lines, 10);	/* not as many as somebody likes */
	assert_string_equal(last_line, "10.0.0.1:7001: refused: it comes without a key");
	net_end(&net);
}

static void handshake__through_loss(void **state)
{
	u64 seed;
	enum keying k;

	for (seed = 1; seed <= 60; seed++) {
		for (k = PLAIN; k <= VOLUME; k++) {
			struct mx_peer *p = two(seed, k);

			net.loss = 300;
			net.dup = 200;
			net.jitter = 3 * MX_MS;
			assert_true(wait_state(p, MX_PEER_UP, 120 * MX_SEC));
			net_end(&net);
		}
	}
}

static void handshake__nobody_there_is_silent(void **state)
{
	struct mx_peer *p = two(1, PLAIN);

	net.cut = true;
	assert_true(wait_state(p, MX_PEER_SILENT, 10 * MX_SEC));
	net_for(&net, 60 * MX_SEC);
	assert_int_equal(mx_peer_state(p), MX_PEER_SILENT);
	net.cut = false;
	assert_true(wait_state(p, MX_PEER_UP, 10 * MX_SEC));
	net_end(&net);
}

/* Every answer before the cookie is smaller than its question, and leaves
 * nothing behind. */
static mx_ns small_from;
static bool tap_small(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->from.port == 7000 && !small_from)
		assert_true(d->len < MX_DGRAM_MIN);
	return true;
}

static void handshake__cookie_before_state(void **state)
{
	struct mx_peer *p = two(1, CLUSTER);
	long live;
	int i;
	static struct mx_tx tx;
	static u8 hello[2048];
	u32 len;

	net.tap = tap_small;
	assert_true(mx_ep_tx(net.n[1].ep, net.now, &tx));
	len = dgram_gather(&tx, hello, NULL);
	assert_true(len >= MX_DGRAM_MIN);
	live = net.live;
	for (i = 0; i < 1000; i++) {
		struct mx_addr from = net.n[1].addr;
		u8 copy[2048];

		from.a[3] = (u8)i;
		from.port = (u16)i;
		memcpy(copy, hello, len);
		mx_ep_rx(net.n[0].ep, net.now, &from, copy, len);
		/* A cookie of somebody else's is no better. */
		memset(copy + MX_OUTER + MX_HELLO_COOKIE, i, 32);
		mx_outer_seal_crc(copy, MX_HELLO_HEAD);
		mx_ep_rx(net.n[0].ep, net.now, &from, copy, len);
	}
	assert_int_equal(net.live, live);
	assert_int_equal(net.n[0].ep->nhalf, 0);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_end(&net);
}

/* ---- data and packing ---- */

static int got_tags[1024];
static void note_tag(struct tnode *t, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		     const u8 *payload)
{
	u32 i;

	(void)t;
	(void)p;
	(void)head;
	assert_true(h->tag < 1024);
	got_tags[h->tag]++;
	for (i = 0; i < h->plen; i++)
		assert_int_equal(payload[i], (u8)h->tag);
}

static void data__many_messages_share_datagrams(void **state)
{
	static struct tmsg m[200];
	enum keying k;
	u32 i;

	for (k = PLAIN; k <= CLUSTER; k++) {
		struct mx_peer *p = two(5, k);

		memset(got_tags, 0, sizeof got_tags);
		net.n[0].on_message = note_tag;
		for (i = 0; i < 200; i++) {
			msg_init(&m[i], i, i % 3 ? 512 : 0);
			mx_peer_send(p, &m[i].m);
			mx_peer_send(p, &m[i].m);	/* no effect: queued */
		}
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 50 * MX_MS);
		for (i = 0; i < 200; i++) {
			assert_int_equal(got_tags[i], 1);
			assert_int_equal(m[i].sent, 1);
			assert_false(mx_txm_queued(&m[i].m));
		}
		/* The path is found to take all at once: 64 segments a datagram. */
		assert_int_equal(mx_peer_dgram(p), MX_DGRAM_MAX);
		net.sent = 0;
		for (i = 0; i < 100; i++)
			mx_peer_send(p, &m[i].m);
		net_drain(&net);
		assert_int_equal(net.sent, 2);
		net_end(&net);
	}
}

static void data__message_that_never_fits_is_dropped(void **state)
{
	static struct tmsg big, small;
	struct mx_peer *p = two(5, PLAIN);

	net.mtu = MX_DGRAM_MIN;
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, MX_SEC);
	msg_init(&big, 1, 4096);
	msg_init(&small, 2, 100);
	mx_peer_send(p, &big.m);
	mx_peer_send(p, &small.m);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(net.n[0].messages, 1);
	assert_false(mx_txm_queued(&big.m));
	net_end(&net);
}

static void data__cancelled_message_is_not_sent(void **state)
{
	static struct tmsg a, b;
	struct mx_peer *p = two(5, PLAIN);

	msg_init(&a, 1, 0);
	msg_init(&b, 2, 0);
	mx_peer_send(p, &a.m);
	mx_peer_send(p, &b.m);
	mx_txm_cancel(&a.m);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 10 * MX_MS);
	assert_int_equal(a.sent, 0);
	assert_int_equal(b.sent, 1);
	net_end(&net);
}

static void data__replays_are_refused(void **state)
{
	static struct tmsg m;
	enum keying k;
	u32 i, round;

	for (k = PLAIN; k <= CLUSTER; k++) {
		struct mx_peer *p = two(6, k);
		int before;

		net.tap = tap_keep;
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		for (i = 0; i < 100; i++) {
			msg_init(&m, i, 64);
			mx_peer_send(p, &m.m);
			net_for(&net, MX_MS);
		}
		before = net.n[0].messages;
		assert_int_equal(before, 100);
		for (round = 0; round < 2; round++) {
			u64 n = rejects(0, MX_RJ_REPLAY);

			for (i = 0; i < nkept; i++) {
				u8 *copy = malloc(kept[i].len);

				memcpy(copy, kept[i].data, kept[i].len);
				assert_int_equal(mx_ep_rx(net.n[0].ep, net.now, &kept[i].from, copy,
							  kept[i].len), MX_RJ_REPLAY);
				free(copy);
			}
			assert_int_equal(rejects(0, MX_RJ_REPLAY), n + nkept);
			/* From another address it is nobody's session. */
			kept[0].from.port++;
			assert_int_equal(mx_ep_rx(net.n[0].ep, net.now, &kept[0].from, kept[0].data,
						  kept[0].len), MX_RJ_SESSION);
			kept[0].from.port--;
		}
		assert_int_equal(net.n[0].messages, before);
		drop_kept();
		net_end(&net);
	}
}

static void data__replay_window(void **state)
{
	struct mx_sess s;
	u64 n, rng = 7;
	static u8 seen[200000];

	/* Against a plain table: any order within the window is taken once. */
	memset(&s, 0, sizeof s);
	memset(seen, 0, sizeof seen);
	for (n = 1; n < 100000; n++) {
		u64 k;

		rng = rng * 6364136223846793005ull + 1442695040888963407ull;
		k = n + (rng >> 33) % 3000;
		if (rng >> 60 == 0)
			k = n > 3000 ? n - 3000 + (rng >> 33) % 3000 : n;
		if (k >= sizeof seen || !k)
			continue;
		if (mx_replay_fresh(&s, k)) {
			assert_false(seen[k]);
			mx_replay_mark(&s, k);
			seen[k] = 1;
		} else {
			assert_true(seen[k] || s.rx_top - k >= REPLAY_BITS);
		}
		assert_false(mx_replay_fresh(&s, k));
	}
	assert_false(mx_replay_fresh(&s, 0));
	/* All of the last 2,048 are told apart. */
	memset(&s, 0, sizeof s);
	mx_replay_mark(&s, 5000);
	for (n = 5000 - REPLAY_BITS + 1; n < 5000; n++) {
		assert_true(mx_replay_fresh(&s, n));
		mx_replay_mark(&s, n);
		assert_false(mx_replay_fresh(&s, n));
	}
	assert_false(mx_replay_fresh(&s, 5000 - REPLAY_BITS));
	/* A jump forgets all. */
	mx_replay_mark(&s, 1ull << 40);
	assert_true(mx_replay_fresh(&s, (1ull << 40) - 1));
	assert_false(mx_replay_fresh(&s, 5001));
}

static u64 damaged;
static bool tap_damage(struct net *n, struct dgram *d)
{
	/* Payloads of PLAIN are covered by their own checksums, not the endpoint's. */
	if (d->data[1] == MX_KIND_PLAIN || d->data[1] == MX_KIND_SEALED) {
		u32 span = d->data[1] == MX_KIND_SEALED ? d->len : MX_OUTER + mx_ld16(d->data + 4);

		if (net_rand(n) % 3 == 0) {
			d->data[net_rand(n) % span] ^= (u8)(1u << net_rand(n) % 8);
			damaged++;
		}
	}
	return true;
}

static void data__damage_is_seen(void **state)
{
	enum keying k;
	u32 i;

	for (k = PLAIN; k <= CLUSTER; k++) {
		static struct tmsg m[300];
		struct mx_peer *p = two(9, k);

		memset(got_tags, 0, sizeof got_tags);
		net.n[0].on_message = note_tag;
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 10 * MX_MS);
		net.tap = tap_damage;
		for (i = 0; i < 300; i++) {
			msg_init(&m[i], i, 32);
			mx_peer_send(p, &m[i].m);
			net_for(&net, MX_MS);
		}
		/* About a third is lost, none is taken twice or changed. */
		assert_in_range(net.n[0].messages, 120, 280);
		for (i = 0; i < 300; i++)
			assert_in_range(got_tags[i], 0, 1);
		assert_true(rejects(0, k == PLAIN ? MX_RJ_CRC : MX_RJ_AEAD) > 20);
		net_end(&net);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake__plain_and_keyed),
		cmocka_unit_test(handshake__suite_is_negotiated),
		cmocka_unit_test(handshake__refusals_name_the_cause),
		cmocka_unit_test(handshake__refused_then_right),
		cmocka_unit_test(handshake__other_version_is_told),
		cmocka_unit_test(handshake__features_are_those_of_both),
		cmocka_unit_test(handshake__forged_welcome_is_refused),
		cmocka_unit_test(handshake__with_oneself),
		cmocka_unit_test(handshake__refusal_is_logged_with_its_address),
		cmocka_unit_test(handshake__through_loss),
		cmocka_unit_test(handshake__nobody_there_is_silent),
		cmocka_unit_test(handshake__cookie_before_state),
		cmocka_unit_test(data__many_messages_share_datagrams),
		cmocka_unit_test(data__message_that_never_fits_is_dropped),
		cmocka_unit_test(data__cancelled_message_is_not_sent),
		cmocka_unit_test(data__replays_are_refused),
		cmocka_unit_test(data__replay_window),
		cmocka_unit_test(data__damage_is_seen),
	};

	return unit_main(argc, argv, tests);
}
