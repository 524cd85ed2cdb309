/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints over a bad network in virtual time; see ep_net.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ep_net.h"

static struct net net;

/* ---- helpers ---- */

enum keying { PLAIN, CLUSTER, VOLUME };

static void set_key(struct mx_ep_conf *c, enum keying k)
{
	u8 cluster[32];

	memset(cluster, 0x42, sizeof cluster);
	if (k == PLAIN)
		return;
	c->key.kind = k == CLUSTER ? MX_KEY_CLUSTER : MX_KEY_VOLUME;
	if (k == CLUSTER) {
		memcpy(c->key.key, cluster, 32);
	} else {
		strcpy(c->key.volume, "vm1-swap");
		mx_volume_key(c->key.key, cluster, c->key.volume);
	}
}

/* Server 0, client 1. */
static struct mx_peer *two(u64 seed, enum keying k)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);

	net_init(&net, seed);
	set_key(&s, k == PLAIN ? PLAIN : CLUSTER);
	set_key(&c, k);
	assert_non_null(net_start(&net, 0, &s));
	assert_non_null(net_start(&net, 1, &c));
	return mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
}

static bool is_state(struct net *n, void *arg)
{
	struct { struct mx_peer *p; enum mx_peer_state st; } *a = arg;

	(void)n;
	return mx_peer_state(a->p) == a->st;
}

static bool wait_state(struct mx_peer *p, enum mx_peer_state st, mx_ns time)
{
	struct { struct mx_peer *p; enum mx_peer_state st; } a = { p, st };

	return net_run(&net, net.now + time, is_state, &a);
}

static u64 rejects(int i, enum mx_reject_why why)
{
	return net.n[i].ep->stats.rejects[why];
}

struct tcall {
	struct mx_call c;
	int ended;
	enum mx_status st;
	u32 len;
	bool right;
	u8 body[MX_CTL_BODY_MAX];
};

static void call_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct tcall *t = mx_container_of(c, struct tcall, c);
	u32 i;

	(void)now;
	t->ended++;
	t->st = st;
	t->len = len;
	t->right = true;
	for (i = 0; i < len; i++)
		t->right = t->right && body[i] == (u8)(t->body[i] + 1);
}

static struct tcall *call_new(struct mx_peer *p, u32 len, mx_ns timeout)
{
	struct tcall *t = calloc(1, sizeof *t);
	u32 i;

	for (i = 0; i < len; i++)
		t->body[i] = (u8)net_rand(&net);
	mx_call_start(&t->c, p, 9, t->body, len, timeout, net.now, call_done);
	return t;
}

static bool call_over(struct net *n, void *arg)
{
	(void)n;
	return ((struct tcall *)arg)->ended;
}

static void call_wait(struct tcall *t, mx_ns time)
{
	net_run(&net, net.now + time, call_over, t);
}

/* A data message: READ with a given tag; and one with a payload. */
struct tmsg {
	struct mx_txm m;
	u32 tag, plen, sent;
	u8 data[4096];
};

static enum mx_fill fill_msg(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct tmsg *t = mx_container_of(m, struct tmsg, m);
	struct mx_head h = { .type = MX_READ, .hlen = 48, .plen = t->plen, .tag = t->tag };

	(void)p;
	if (r->head_room < 48 || r->room < 48 + t->plen || r->nsegs_max < 1)
		return MX_FILL_NOROOM;
	memset(r->head, 0, 48);
	mx_head_encode(r->head, &h);
	r->hlen = 48;
	r->plen = t->plen;
	if (t->plen) {
		r->segs[0] = (struct mx_seg){ .kind = MX_SEG_MEM, .len = t->plen, .buf = t->data };
		r->nsegs = 1;
	}
	t->sent++;
	return MX_FILL_DONE;
}

static void msg_init(struct tmsg *t, u32 tag, u32 plen)
{
	memset(t, 0, sizeof *t);
	mx_txm_init(&t->m, fill_msg);
	t->tag = tag;
	t->plen = plen;
	memset(t->data, (int)tag, sizeof t->data);
}

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
	len = net_gather(&tx, hello);
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

/* Everything that passed is kept and sent again later, from the same address. */
static struct dgram kept[512];
static u32 nkept;
static bool keep_all;		/* handshakes too */
static bool tap_keep(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->to.port == 7000 && d->data[1] >= (keep_all ? 1 : MX_KIND_PLAIN) && nkept < 512) {
		kept[nkept] = *d;
		kept[nkept].data = malloc(d->len);
		memcpy(kept[nkept++].data, d->data, d->len);
	}
	return true;
}

static void drop_kept(void)
{
	while (nkept)
		free(kept[--nkept].data);
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

/* ---- calls ---- */

static void call__small_and_empty(void **state)
{
	struct mx_peer *p = two(1, CLUSTER);
	struct tcall *a = call_new(p, 0, MX_SEC), *b = call_new(p, 100, MX_SEC);

	net.n[0].echo = true;
	call_wait(a, MX_SEC);
	call_wait(b, MX_SEC);
	assert_int_equal(a->st, MX_OK);
	assert_int_equal(a->len, 0);
	assert_int_equal(b->st, MX_OK);
	assert_int_equal(b->len, 100);
	assert_true(b->right);
	assert_int_equal(net.n[0].calls, 2);
	free(a);
	free(b);
	net_end(&net);
}

static void call__status_is_handed_on(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	struct tcall *a = call_new(p, 5, MX_SEC);

	call_wait(a, MX_SEC);
	assert_int_equal(a->st, MX_ST_NO_VOLUME);
	free(a);
	net_end(&net);
}

static void call__largest_bodies_through_loss(void **state)
{
	static const u32 mtus[] = { MX_DGRAM_MIN, 1500, 65535 };
	u64 seed;
	u32 i, j;

	for (i = 0; i < MX_ARRAY_SIZE(mtus); i++) {
		for (seed = 1; seed <= 10; seed++) {
			struct mx_peer *p = two(seed, seed % 2 ? PLAIN : CLUSTER);
			struct tcall *t[3];

			net.mtu = mtus[i];
			net.loss = 200;
			net.dup = 50;
			net.jitter = MX_MS;
			net.n[0].echo = true;
			for (j = 0; j < 3; j++)
				t[j] = call_new(p, j == 2 ? 5000 : MX_CTL_BODY_MAX, 120 * MX_SEC);
			for (j = 0; j < 3; j++) {
				call_wait(t[j], 120 * MX_SEC);
				assert_int_equal(t[j]->st, MX_OK);
				assert_true(t[j]->right);
			}
			net_for(&net, 10 * MX_SEC);
			for (j = 0; j < 3; j++) {
				assert_int_equal(t[j]->ended, 1);
				free(t[j]);
			}
			/* Nothing is kept for long. */
			assert_int_equal(net.n[0].ep->nicalls, 0);
			assert_int_equal(net.n[0].ep->icall_bytes, 0);
			net_end(&net);
		}
	}
}

static void call__times_out_and_is_cancelled(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	struct tcall *a = call_new(p, 5000, 3 * MX_SEC), *b = call_new(p, 5, 10 * MX_SEC), *c;
	mx_ns start = net.now;
	struct mx_call zero;

	net.cut = true;
	call_wait(a, 10 * MX_SEC);
	assert_int_equal(a->st, MX_ST_TIMEOUT);
	assert_in_range(net.now - start, 3 * MX_SEC, 3 * MX_SEC + MX_MS);
	assert_int_equal(net.n[1].ep->stats.call_timeouts, 1);
	mx_call_cancel(&b->c);
	mx_call_cancel(&b->c);
	memset(&zero, 0, sizeof zero);
	mx_call_cancel(&zero);
	net_for(&net, 20 * MX_SEC);
	assert_int_equal(b->ended, 0);
	c = call_new(p, 5, 10 * MX_SEC);
	net_end(&net);
	assert_int_equal(c->ended, 1);
	assert_int_equal(c->st, MX_ST_CANCELLED);
	free(a);
	free(b);
	free(c);
}

/* A repeated request is answered from the reply that is kept. */
static bool tap_drop_replies;
static bool tap_replies(struct net *n, struct dgram *d)
{
	(void)n;
	return !(tap_drop_replies && d->from.port == 7000 && d->data[1] == MX_KIND_PLAIN);
}

static void call__repeat_is_answered_without_running_again(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	struct tcall *a;

	net.n[0].echo = true;
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 100 * MX_MS);
	net.tap = tap_replies;
	tap_drop_replies = true;
	a = call_new(p, 3000, 20 * MX_SEC);
	net_for(&net, 500 * MX_MS);
	assert_int_equal(net.n[0].calls, 1);
	tap_drop_replies = false;
	call_wait(a, 2 * MX_SEC);
	assert_int_equal(a->st, MX_OK);
	assert_true(a->right);
	assert_int_equal(net.n[0].calls, 1);
	free(a);
	net_end(&net);
}

/* More calls at once than the acceptor keeps: all end well. */
static void call__many_at_once(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	enum { N = 300 };
	struct tcall *t[N];
	u32 i;

	net.loss = 100;
	net.n[0].echo = true;
	for (i = 0; i < N; i++)
		t[i] = call_new(p, i * 37, 300 * MX_SEC);
	for (i = 0; i < N; i++) {
		call_wait(t[i], 300 * MX_SEC);
		assert_int_equal(t[i]->st, MX_OK);
		assert_true(t[i]->right);
		assert_true(net.n[0].ep->nicalls <= ICALLS_PEER);
		free(t[i]);
	}
	net_end(&net);
}

/* ---- lives ---- */

static void life__server_restart_is_reborn(void **state)
{
	enum keying k;

	for (k = PLAIN; k <= CLUSTER; k++) {
		struct mx_ep_conf s = net_conf(true, 1);
		struct mx_peer *p = two(4, k);

		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 100 * MX_MS);
		net_stop(&net, 0);
		s.node.incarnation = 4711;
		set_key(&s, k);
		net_start(&net, 0, &s);
		/* The next PING is answered by RESET, and that leads to a handshake. */
		net_for(&net, 3 * MX_SEC);
		assert_int_equal(mx_peer_state(p), MX_PEER_UP);
		assert_int_equal(net.n[1].reborns, 1);
		assert_int_equal(mx_peer_node(p)->incarnation, 4711);
		assert_int_equal(net.n[1].silents, 0);
		assert_true(net.n[0].ep->stats.resets > 0);
		net_end(&net);
	}
}

/* Queues an answer to the old life just before the new one proves itself. */
static struct tmsg stale;
static struct mx_peer *stale_peer;
static bool tap_stale(struct net *n, struct dgram *d)
{
	if (d->to.port != 7000 || d->data[1] < MX_KIND_PLAIN || !stale_peer)
		return true;
	mx_peer_send(stale_peer, &stale.m);
	stale_peer = NULL;
	mx_ep_rx(n->n[0].ep, n->now, &d->from, d->data, d->len);
	return false;
}

static void life__client_restart_takes_the_address_over(void **state)
{
	enum keying k;

	for (k = PLAIN; k <= VOLUME; k++) {
		struct mx_ep_conf c = net_conf(false, 2);
		struct mx_peer *p = two(4, k), *q;

		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 100 * MX_MS);
		q = net.n[0].last_peer;
		mx_peer_set_user(q, &net);
		net_stop(&net, 1);
		c.node.incarnation = 4711;
		set_key(&c, k);
		net_start(&net, 1, &c);
		msg_init(&stale, 1, 0);
		stale_peer = q;
		net.tap = tap_stale;
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 10 * MX_MS);
		assert_null(stale_peer);
		assert_int_equal(stale.sent, 0);
		assert_false(mx_txm_queued(&stale.m));
		assert_int_equal(net.n[0].gones, 1);
		assert_int_equal(net.n[0].ups, 2);
		assert_int_equal(net.n[0].reborns, 1);
		assert_ptr_equal(net.n[0].last_peer, q);
		assert_null(mx_peer_user(q));
		assert_int_equal(mx_peer_node(q)->incarnation, 4711);
		net_end(&net);
	}
}

static void life__bye(void **state)
{
	struct mx_peer *p = two(4, CLUSTER);

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 100 * MX_MS);
	mx_ep_bye(net.n[1].ep, net.now);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(net.n[0].gones, 1);
	assert_int_equal(net.n[0].ep->naccepted, 0);
	net_end(&net);
	/* The server leaves: its client knows at once. */
	p = two(4, PLAIN);
	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 100 * MX_MS);
	mx_ep_bye(net.n[0].ep, net.now);
	net_for(&net, 10 * MX_MS);
	assert_int_equal(mx_peer_state(p), MX_PEER_SILENT);
	assert_true(wait_state(p, MX_PEER_UP, 5 * MX_SEC));
	net_end(&net);
}

static void life__silent_and_back(void **state)
{
	struct mx_peer *p = two(4, CLUSTER);
	mx_ns start;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 20 * MX_SEC);
	assert_int_equal(mx_peer_state(p), MX_PEER_UP);
	start = net.now;
	net.cut = true;
	assert_true(wait_state(p, MX_PEER_SILENT, 30 * MX_SEC));
	/* At most the idle PING's distance and silent_after. */
	assert_in_range(net.now - start, 4 * MX_SEC, 10 * MX_SEC + 100 * MX_MS);
	net_for(&net, 60 * MX_SEC);
	assert_int_equal(net.n[1].silents, 1);
	net.cut = false;
	assert_true(wait_state(p, MX_PEER_UP, 6 * MX_SEC));
	assert_int_equal(net.n[1].reborns, 0);
	assert_int_equal(net.n[0].reborns, 0);
	net_end(&net);
}

static void life__loss_alone_is_not_silence(void **state)
{
	u64 seed;
	int silents = 0;

	for (seed = 1; seed <= 20; seed++) {
		struct mx_peer *p = two(seed, PLAIN);

		net.loss = 100;
		assert_true(wait_state(p, MX_PEER_UP, 60 * MX_SEC));
		net_for(&net, 300 * MX_SEC);
		silents += net.n[1].silents;
		net_end(&net);
	}
	assert_int_equal(silents, 0);
}

static void life__put_peer_lingers_then_goes(void **state)
{
	struct mx_peer *p = two(4, PLAIN);

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	mx_peer_put(p);
	net_for(&net, 5 * MX_SEC);
	assert_int_equal(net.n[1].ep->ninitiators, 1);
	assert_ptr_equal(mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now), p);
	net_for(&net, 60 * MX_SEC);
	assert_int_equal(net.n[1].ep->ninitiators, 1);
	mx_peer_put(p);
	net_for(&net, 60 * MX_SEC);
	assert_int_equal(net.n[1].ep->ninitiators, 0);
	assert_int_equal(net.n[0].ep->naccepted, 0);
	/* One that never came up goes at once; one with a call when that has ended. */
	net.cut = true;
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	mx_peer_put(p);
	net_for(&net, MX_MS);
	assert_int_equal(net.n[1].ep->ninitiators, 0);
	net_end(&net);
}

/* ---- renewal ---- */

static void rekey__under_traffic(void **state)
{
	static struct tmsg m[64];
	enum keying k;
	u32 round, i;

	for (k = PLAIN; k <= VOLUME; k++) {
		struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
		struct mx_peer *p;
		u32 sent = 0;

		net_init(&net, 11);
		net.jitter = 2 * MX_MS;
		set_key(&s, k == PLAIN ? PLAIN : CLUSTER);
		set_key(&c, k);
		c.rekey_packets = s.rekey_packets = 200;
		net_start(&net, 0, &s);
		net_start(&net, 1, &c);
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		for (i = 0; i < 64; i++)
			msg_init(&m[i], i, 700);
		for (round = 0; round < 3000; round++) {
			mx_peer_send(p, &m[round % 64].m);
			sent++;
			net_for(&net, 300 * MX_US);
		}
		net_for(&net, 100 * MX_MS);
		/* No message was lost over ten and more renewals, and nobody
		 * noticed one. */
		assert_int_equal(net.n[0].messages, sent);
		assert_true(net.n[1].ep->stats.rekeys >= 10);
		assert_int_equal(net.n[0].ups, 1);
		assert_int_equal(net.n[1].ups, 1);
		assert_int_equal(net.n[0].gones, 0);
		/* Old sessions go; none piles up. */
		net_for(&net, 15 * MX_SEC);
		assert_null(p->prev);
		assert_null(net.n[0].last_peer->prev);
		net_end(&net);
	}
}

static void rekey__by_time_and_through_loss(void **state)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	struct mx_peer *p;

	net_init(&net, 12);
	net.loss = 200;
	set_key(&s, CLUSTER);
	set_key(&c, CLUSTER);
	c.rekey_after = 60 * MX_SEC;
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	assert_true(wait_state(p, MX_PEER_UP, 60 * MX_SEC));
	net_for(&net, 1200 * MX_SEC);
	assert_in_range(net.n[1].ep->stats.rekeys, 10, 40);
	assert_int_equal(net.n[1].reborns, 0);
	net_end(&net);
}

/* The first datagrams of a new session are lost, and nobody has anything to say:
 * the other side must learn of it all the same, and soon. */
static u32 lose_new, old_session;
static bool tap_lose_new(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->to.port == 7000 && d->data[1] >= MX_KIND_PLAIN &&
	    mx_ld32(d->data + 8) != old_session && lose_new) {
		lose_new--;
		return false;
	}
	return true;
}

static void rekey__is_taken_though_its_first_datagrams_are_lost(void **state)
{
	struct mx_peer *p = two(1, CLUSTER);

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 30 * MX_SEC);
	old_session = p->cur->remote;
	lose_new = 3;
	net.tap = tap_lose_new;
	mx_sess_renew(p->cur, net.now);
	net_for(&net, 2 * MX_SEC);
	assert_int_equal(lose_new, 0);
	assert_int_equal(net.n[0].ep->stats.handshakes, 2);
	assert_int_equal(net.n[0].last_peer->cur->local, p->cur->remote);
	net_end(&net);
}

/* ---- path MTU ---- */

static void mtu__found_at_every_limit(void **state)
{
	/* What the path takes as one datagram, and the step that is used then. */
	static const struct { u32 path, want; } t[] = {
		{ 1200, 1200 }, { 1452, 1200 }, { 1472, 1472 }, { 8952, 1472 }, { 8972, 8972 },
		{ 64999, 8972 }, { 65000, 65000 },
	};
	enum keying k;
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(t); i++) {
		for (k = PLAIN; k <= CLUSTER; k++) {
			struct mx_peer *p = two(i + 1, k);

			net.mtu = t[i].path;
			assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
			net_for(&net, 20 * MX_MS);
			assert_int_equal(mx_peer_dgram(p), t[i].want);
			assert_int_equal(mx_peer_dgram(net.n[0].last_peer), t[i].want);
			net_end(&net);
		}
	}
}

static void mtu__ip6_and_carrier_limits(void **state)
{
	static const struct { u32 path, own, theirs, want; } t[] = {
		{ 1452, 65000, 65000, 1452 }, { 8952, 65000, 65000, 8952 },
		{ 65535, 8952, 65000, 8952 }, { 65535, 65000, 1496, 1496 },
		{ 65535, 1200, 65000, 1200 },
	};
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(t); i++) {
		struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
		struct mx_peer *p;

		net_init(&net, 1);
		s.dgram_max = t[i].theirs;
		c.dgram_max = t[i].own;
		net_start(&net, 0, &s);
		net_start(&net, 1, &c);
		net.n[0].addr.fam = net.n[1].addr.fam = MX_FAM_IP6;
		net.mtu = t[i].path;
		p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 20 * MX_MS);
		assert_int_equal(mx_peer_dgram(p), t[i].want);
		net_end(&net);
	}
}

/* The path gets narrower under traffic: losses are reported, the size falls, the
 * steps below are found again, and the large ones once it is wide again. */
static void mtu__falls_back_and_recovers(void **state)
{
	struct mx_peer *p = two(1, CLUSTER);
	u32 i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 20 * MX_MS);
	assert_int_equal(mx_peer_dgram(p), 65000);
	/* Losses on a path that still carries it do not change the size. */
	for (i = 0; i < 50; i++) {
		mx_peer_window_lost(p, net.now);
		net_for(&net, 100 * MX_MS);
		assert_int_equal(mx_peer_dgram(p), 65000);
	}
	net.mtu = 1500;
	for (i = 0; i < 60 && mx_peer_dgram(p) > 1472; i++) {
		mx_peer_window_lost(p, net.now);
		net_for(&net, 100 * MX_MS);
	}
	net.largest = 0;
	net_for(&net, MX_SEC);
	assert_int_equal(mx_peer_dgram(p), 1472);
	assert_int_equal(net.largest, 8972);	/* the step below, not what just failed */
	net.mtu = 65535;
	net_for(&net, 130 * MX_SEC);
	assert_int_equal(mx_peer_dgram(p), 65000);
	net_end(&net);
}

/* The acceptor's direction: it sees that requests are repeated. */
static void mtu__acceptor_falls_back_on_repeats(void **state)
{
	static struct tmsg m;
	struct mx_peer *p = two(1, PLAIN), *q;
	u32 i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 20 * MX_MS);
	q = net.n[0].last_peer;
	assert_int_equal(mx_peer_dgram(q), 65000);
	net.mtu = 1500;
	for (i = 0; i < 60 && mx_peer_dgram(q) > 1472; i++) {
		struct mx_txm *t = &m.m;

		msg_init(&m, 1, 0);
		t->fill = fill_msg;
		mx_peer_send(p, t);
		net_for(&net, 50 * MX_MS);
		mx_mtu_suspect(q, net.now);	/* what attempt > 0 does in ep.c */
		net_for(&net, 50 * MX_MS);
	}
	net_for(&net, MX_SEC);
	assert_int_equal(mx_peer_dgram(q), 1472);
	net_end(&net);
}

/* Silence is not the size's fault. */
static void mtu__cut_path_keeps_the_size(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	u32 i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	net_for(&net, 20 * MX_MS);
	net.cut = true;
	for (i = 0; i < 100; i++) {
		mx_peer_window_lost(p, net.now);
		net_for(&net, 50 * MX_MS);
	}
	assert_int_equal(mx_peer_dgram(p), 65000);
	net_end(&net);
}

/* ---- window and round trips ---- */

static void window__grows_when_used_and_is_halved_once_a_round_trip(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	u32 start, i;

	assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
	p->rwnd = 16u << 20;
	start = mx_peer_window_room(p);
	assert_int_equal(start, WINDOW_START);
	/* Unused: no growth. */
	for (i = 0; i < 1000; i++) {
		mx_peer_window_take(p, 4096);
		mx_peer_window_done(p, 4096);
	}
	assert_int_equal(mx_peer_window_room(p), start);
	for (i = 0; i < 5000; i++) {
		mx_peer_window_take(p, mx_peer_window_room(p));
		mx_peer_window_done(p, 65536);
	}
	assert_int_equal(p->wnd, p->ep->conf.window_max);
	net.now += MX_SEC;
	mx_peer_window_lost(p, net.now);
	mx_peer_window_lost(p, net.now);
	assert_int_equal(p->wnd, p->ep->conf.window_max / 2);
	/* Then by about a datagram a window. */
	i = p->wnd;
	p->inflight = p->wnd;
	mx_peer_window_done(p, p->wnd);
	assert_in_range(p->wnd, i + 8000, i + 70000);
	for (i = 0; i < 20; i++) {
		net.now += MX_SEC;
		mx_peer_window_lost(p, net.now);
	}
	assert_int_equal(p->wnd, WINDOW_MIN);
	p->inflight = 0;
	p->rwnd = 1;		/* one request may always be under way */
	assert_int_equal(mx_peer_window_room(p), WINDOW_MIN);
	net_end(&net);
}

static void rtt__estimator(void **state)
{
	struct mx_peer *p = two(1, PLAIN);
	u32 i;

	assert_int_equal(mx_peer_rto(p), RTO_FIRST);
	for (i = 0; i < 100; i++)
		mx_peer_rtt_sample(p, 10 * MX_MS);
	assert_in_range(mx_peer_rto(p), 10 * MX_MS, 11 * MX_MS);
	for (i = 0; i < 100; i++)
		mx_peer_rtt_sample(p, i % 2 ? 10 * MX_MS : 30 * MX_MS);
	assert_in_range(mx_peer_rto(p), 40 * MX_MS, 80 * MX_MS);
	for (i = 0; i < 200; i++)
		mx_peer_rtt_sample(p, 20 * MX_US);
	assert_int_equal(mx_peer_rto(p), RTO_MIN);
	for (i = 0; i < 200; i++)
		mx_peer_rtt_sample(p, 20 * MX_SEC);
	assert_int_equal(mx_peer_rto(p), RTO_MAX);
	net_end(&net);
}

/* ---- timers ---- */

struct ttimer { struct mx_timer t; mx_ns want; u32 fired; };
static mx_ns timer_now, worst;
static void on_timer(struct mx_timer *t, mx_ns now)
{
	struct ttimer *x = mx_container_of(t, struct ttimer, t);

	assert_true(now >= x->want);
	if (now - x->want > worst)
		worst = now - x->want;
	x->fired++;
}

static void timer__fires_on_time_from_microseconds_to_weeks(void **state)
{
	enum { N = 20000 };
	struct ttimer *t = calloc(N, sizeof *t);
	struct mx_wheel *w = calloc(1, sizeof *w);
	u64 steps = 0;
	u32 i, left = N;

	net_init(&net, 77);
	timer_now = 12345678;
	mx_wheel_init(w, timer_now);
	for (i = 0; i < N; i++) {
		mx_timer_init(&t[i].t, on_timer);
		t[i].want = timer_now + (net_rand(&net) >> (12 + net_rand(&net) % 40));
		mx_wheel_set(w, &t[i].t, t[i].want);
	}
	for (i = 0; i < N; i++) {
		if (i % 7 == 0) {	/* moved */
			t[i].want = timer_now + net_rand(&net) % (100 * MX_SEC);
			mx_wheel_set(w, &t[i].t, t[i].want);
		} else if (i % 11 == 0) {
			mx_timer_cancel(&t[i].t);
			left--;
		}
	}
	worst = 0;
	while (mx_wheel_deadline(w) != MX_NEVER) {
		mx_ns at = mx_wheel_deadline(w);

		if (at > timer_now)
			timer_now = at;
		mx_wheel_run(w, timer_now);
		steps++;
	}
	for (i = 0; i < N; i++)
		assert_int_equal(t[i].fired, i % 7 && i % 11 == 0 ? 0 : 1);
	/* Never early, late by at most a tick, and few wake-ups for nothing. */
	assert_true(worst < 300 * MX_US);
	assert_true(steps < 4 * left);
	free(t);
	free(w);
}

static void rearm(struct mx_timer *t, mx_ns now)
{
	struct ttimer *x = mx_container_of(t, struct ttimer, t);

	if (++x->fired < 100)
		mx_timer_set(net.n[0].ep, t, now + 3 * MX_MS);
}

static void cancel_other(struct mx_timer *t, mx_ns now)
{
	struct ttimer *x = mx_container_of(t, struct ttimer, t);

	(void)now;
	x->fired++;
	mx_timer_cancel(&x[1].t);
}

static void timer__in_an_endpoint(void **state)
{
	struct ttimer a = { .want = 0 }, b[2] = { { .want = 0 } }, zero;
	mx_ns start;

	two(1, PLAIN);
	net_for(&net, 100 * MX_MS);
	start = net.now;
	mx_timer_init(&a.t, rearm);
	mx_timer_set(net.n[0].ep, &a.t, net.now + 3 * MX_MS);
	/* Two at the same time, and the first cancels the second. */
	mx_timer_init(&b[0].t, cancel_other);
	mx_timer_init(&b[1].t, cancel_other);
	mx_timer_set(net.n[0].ep, &b[0].t, net.now + 5 * MX_MS);
	mx_timer_set(net.n[0].ep, &b[1].t, net.now + 5 * MX_MS);
	memset(&zero, 0, sizeof zero);
	mx_timer_cancel(&zero.t);
	net_for(&net, 340 * MX_MS);
	assert_int_equal(a.fired, 100);
	assert_int_equal(b[0].fired, 1);
	assert_int_equal(b[1].fired, 0);
	/* One that is already over runs at the next step. */
	mx_timer_set(net.n[0].ep, &b[0].t, start);
	assert_true(mx_ep_deadline(net.n[0].ep) <= net.now);
	mx_ep_step(net.n[0].ep, net.now);
	assert_int_equal(b[0].fired, 2);
	net_end(&net);
}

/* ---- members ---- */

static bool tap_group(struct net *n, struct dgram *d)
{
	struct mx_addr group = { .fam = MX_FAM_IP4, .port = 7770, .a = { 239, 77, 69, 88 } };
	int i;

	if (!mx_addr_eq(&d->to, &group))
		return true;
	for (i = 0; i < n->count; i++) {
		d->to = n->n[i].addr;
		if (!mx_addr_eq(&d->from, &d->to))
			net_put(n, d, n->now + n->delay);
	}
	return false;
}

static void member__announcements(void **state)
{
	struct mx_addr group = { .fam = MX_FAM_IP4, .port = 7770, .a = { 239, 77, 69, 88 } };
	struct mx_ep_conf s = net_conf(true, 1), s2 = net_conf(true, 3), c = net_conf(false, 2);
	const struct mx_member *m;

	net_init(&net, 1);
	net.tap = tap_group;
	set_key(&s, CLUSTER);
	set_key(&c, CLUSTER);
	set_key(&s2, CLUSTER);
	s2.key.key[0] ^= 1;		/* of another cluster */
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	net_start(&net, 2, &s2);
	mx_ep_add_announce_addr(net.n[0].ep, &group);
	mx_ep_add_announce_addr(net.n[2].ep, &group);
	mx_ep_announce(net.n[0].ep, 1000, 600, 30, MX_MEMBER_SERVER);
	mx_ep_announce(net.n[2].ep, 1000, 600, 30, MX_MEMBER_SERVER);
	net_for(&net, 5 * MX_SEC);
	assert_int_equal(mx_ep_nmembers(net.n[1].ep), 1);
	assert_true(rejects(1, MX_RJ_AEAD) >= 2);
	m = mx_ep_member_by_id(net.n[1].ep, 1);
	assert_non_null(m);
	assert_int_equal(m->free, 600);
	assert_true(mx_addr_eq(&m->addr, &net.n[0].addr));
	assert_int_equal(net.n[1].members, 1);		/* told once, nothing changed */
	mx_ep_announce(net.n[0].ep, 1000, 500, 31, MX_MEMBER_SERVER | MX_MEMBER_LEAVING);
	net_for(&net, 5 * MX_SEC);
	assert_int_equal(net.n[1].members, 2);
	assert_int_equal(m->flags, MX_MEMBER_SERVER | MX_MEMBER_LEAVING);
	/* Silent: it stays for a while, and for as long as somebody uses it. */
	net_stop(&net, 0);
	net_for(&net, 300 * MX_SEC);
	assert_non_null(mx_ep_member_by_id(net.n[1].ep, 1));
	mx_ep_member_by_id(net.n[1].ep, 1)->peer = (void *)&net;
	net_for(&net, 900 * MX_SEC);
	assert_non_null(mx_ep_member_by_id(net.n[1].ep, 1));
	mx_ep_member_by_id(net.n[1].ep, 1)->peer = NULL;
	net_for(&net, 60 * MX_SEC);
	assert_null(mx_ep_member_by_id(net.n[1].ep, 1));
	net_end(&net);
}

static struct dgram one_announce;
static bool tap_announce(struct net *n, struct dgram *d)
{
	if (d->data[1] == MX_KIND_ANNOUNCE && !one_announce.data) {
		one_announce = *d;
		one_announce.data = malloc(d->len);
		memcpy(one_announce.data, d->data, d->len);
	}
	return tap_group(n, d);
}

static void member__counter_and_mac(void **state)
{
	struct mx_addr group = { .fam = MX_FAM_IP4, .port = 7770, .a = { 239, 77, 69, 88 } };
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);
	struct mx_addr thief = { .fam = MX_FAM_IP4, .port = 666, .a = { 6, 6, 6, 6 } };
	u8 copy[512];
	u32 i;

	net_init(&net, 1);
	net.tap = tap_announce;
	set_key(&s, CLUSTER);
	set_key(&c, CLUSTER);
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	mx_ep_add_announce_addr(net.n[0].ep, &group);
	mx_ep_announce(net.n[0].ep, 1000, 600, 30, MX_MEMBER_SERVER);
	net_for(&net, 5 * MX_SEC);
	assert_non_null(one_announce.data);
	/* An old one again, to turn the address. */
	memcpy(copy, one_announce.data, one_announce.len);
	assert_int_equal(mx_ep_rx(net.n[1].ep, net.now, &thief, copy, one_announce.len),
			 MX_RJ_REPLAY);
	/* Any bit changed, the checksum made right again. */
	for (i = MX_OUTER; i < one_announce.len; i++) {
		memcpy(copy, one_announce.data, one_announce.len);
		copy[i] ^= 4;
		mx_outer_seal_crc(copy, MX_ANNOUNCE_HEAD);
		assert_int_not_equal(mx_ep_rx(net.n[1].ep, net.now, &thief, copy,
					      one_announce.len), MX_RJ_NONE);
	}
	assert_true(mx_addr_eq(&mx_ep_member_by_id(net.n[1].ep, 1)->addr, &net.n[0].addr));
	free(one_announce.data);
	one_announce.data = NULL;
	net_end(&net);
}

static void member__seeds_pass_members_on(void **state)
{
	struct mx_ep_conf c = net_conf(false, 9);
	enum keying k;
	int i, j;

	for (k = PLAIN; k <= CLUSTER; k++) {
		net_init(&net, 1);
		for (i = 0; i < 3; i++) {
			struct mx_ep_conf s = net_conf(true, (u64)i + 1);

			set_key(&s, k);
			net_start(&net, i, &s);
			mx_ep_announce(net.n[i].ep, 1000, 500 + (u64)i, 0, MX_MEMBER_SERVER);
			if (i)
				assert_true(mx_ep_add_seed(net.n[i].ep, &net.n[0].addr));
		}
		set_key(&c, k);
		net_start(&net, 3, &c);
		assert_true(mx_ep_add_seed(net.n[3].ep, &net.n[0].addr));
		net_for(&net, 6 * MX_SEC);
		for (i = 0; i < 3; i++) {
			/* Each server knows the two others, and the client all. */
			assert_int_equal(mx_ep_nmembers(net.n[i].ep), 2);
			assert_non_null(mx_ep_member_by_id(net.n[3].ep, (u64)i + 1));
			for (j = 0; j < 3; j++)
				assert_true(i == j || mx_ep_member_by_id(net.n[i].ep, (u64)j + 1));
			assert_true(mx_addr_eq(&mx_ep_member_by_id(net.n[3].ep, (u64)i + 1)->addr,
					       &net.n[i].addr));
			assert_int_equal(mx_ep_member_by_id(net.n[3].ep, (u64)i + 1)->free,
					 500 + i);
		}
		/* Without the seed the others are still asked; the seed ages out. */
		net_stop(&net, 0);
		mx_ep_announce(net.n[1].ep, 1000, 77, 0, MX_MEMBER_SERVER);
		net_for(&net, 60 * MX_SEC);
		assert_int_equal(mx_ep_member_by_id(net.n[3].ep, 2)->free, 77);
		net_for(&net, 700 * MX_SEC);
		assert_null(mx_ep_member_by_id(net.n[3].ep, 1));
		assert_null(mx_ep_member_by_id(net.n[1].ep, 1));
		assert_int_equal(mx_ep_nmembers(net.n[3].ep), 2);
		net_end(&net);
	}
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
			mx_ep_rx(net.n[0].ep, net.now, &at, buf, net_gather(&tx, buf));
		while (mx_ep_tx(net.n[0].ep, net.now, &tx))
			mx_ep_rx(net.n[1].ep, net.now, &net.n[0].addr, buf, net_gather(&tx, buf));
		while (mx_ep_tx(net.n[1].ep, net.now, &tx))
			mx_ep_rx(net.n[0].ep, net.now, &at, buf, net_gather(&tx, buf));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake__plain_and_keyed),
		cmocka_unit_test(handshake__suite_is_negotiated),
		cmocka_unit_test(handshake__refusals_name_the_cause),
		cmocka_unit_test(handshake__refused_then_right),
		cmocka_unit_test(handshake__other_version_is_told),
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
		cmocka_unit_test(call__small_and_empty),
		cmocka_unit_test(call__status_is_handed_on),
		cmocka_unit_test(call__largest_bodies_through_loss),
		cmocka_unit_test(call__times_out_and_is_cancelled),
		cmocka_unit_test(call__repeat_is_answered_without_running_again),
		cmocka_unit_test(call__many_at_once),
		cmocka_unit_test(life__server_restart_is_reborn),
		cmocka_unit_test(life__client_restart_takes_the_address_over),
		cmocka_unit_test(life__bye),
		cmocka_unit_test(life__silent_and_back),
		cmocka_unit_test(life__loss_alone_is_not_silence),
		cmocka_unit_test(life__put_peer_lingers_then_goes),
		cmocka_unit_test(rekey__under_traffic),
		cmocka_unit_test(rekey__by_time_and_through_loss),
		cmocka_unit_test(rekey__is_taken_though_its_first_datagrams_are_lost),
		cmocka_unit_test(mtu__found_at_every_limit),
		cmocka_unit_test(mtu__ip6_and_carrier_limits),
		cmocka_unit_test(mtu__falls_back_and_recovers),
		cmocka_unit_test(mtu__acceptor_falls_back_on_repeats),
		cmocka_unit_test(mtu__cut_path_keeps_the_size),
		cmocka_unit_test(window__grows_when_used_and_is_halved_once_a_round_trip),
		cmocka_unit_test(rtt__estimator),
		cmocka_unit_test(timer__fires_on_time_from_microseconds_to_weeks),
		cmocka_unit_test(timer__in_an_endpoint),
		cmocka_unit_test(member__announcements),
		cmocka_unit_test(member__counter_and_mac),
		cmocka_unit_test(member__seeds_pass_members_on),
		cmocka_unit_test(hostile__garbage_and_hellos_do_not_grow_it),
		cmocka_unit_test(hostile__table_of_peers_is_bounded),
		cmocka_unit_test(hostile__unproved_sessions_do_not_crowd_out),
		cmocka_unit_test(hostile__replayed_hello_changes_nothing),
		cmocka_unit_test(hostile__forged_hints),
		cmocka_unit_test(hostile__every_truncation_of_every_datagram),
		cmocka_unit_test(memory__fails_at_every_allocation),
		cmocka_unit_test(memory__none_on_the_data_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
