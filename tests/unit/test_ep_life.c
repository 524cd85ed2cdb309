/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints over a bad network in virtual time: calls, restarts, renewal, members. */
#include "ep_help.h"

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

/* As over raw Ethernet, where a machine is one address, whatever runs on it. */
static void life__nodes_share_an_address(void **state)
{
	enum keying k;

	for (k = PLAIN; k <= VOLUME; k++) {
		struct mx_ep_conf c = net_conf(false, 3);
		struct mx_peer *p = two(4, k), *q;
		struct tcall *a, *b;

		set_key(&c, k);
		assert_non_null(net_start(&net, 2, &c));
		net.n[2].addr = net.n[1].addr;
		net.n[0].echo = true;
		q = mx_peer_connect(net.n[2].ep, &net.n[0].addr, net.now);
		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		assert_true(wait_state(q, MX_PEER_UP, MX_SEC));
		net_for(&net, 30 * MX_SEC);
		assert_int_equal(net.n[0].ups, 2);
		assert_int_equal(net.n[0].gones, 0);
		assert_int_equal(net.n[0].ep->naccepted, 2);
		a = call_new(p, 20000, MX_SEC);
		b = call_new(q, 30000, MX_SEC);
		net_for(&net, 10 * MX_MS);
		assert_true(a->ended && a->st == MX_OK && a->right && a->len == 20000);
		assert_true(b->ended && b->st == MX_OK && b->right && b->len == 30000);
		free(a);
		free(b);
		/* One of them starts anew. */
		net_stop(&net, 2);
		c.node.incarnation = 4711;
		set_key(&c, k);
		assert_non_null(net_start(&net, 2, &c));
		net.n[2].addr = net.n[1].addr;
		q = mx_peer_connect(net.n[2].ep, &net.n[0].addr, net.now);
		assert_true(wait_state(q, MX_PEER_UP, MX_SEC));
		net_for(&net, 10 * MX_SEC);
		assert_int_equal(mx_peer_state(p), MX_PEER_UP);
		assert_int_equal(net.n[0].reborns, 1);
		assert_int_equal(net.n[0].gones, 1);
		assert_int_equal(net.n[0].ep->naccepted, 2);
		assert_int_equal(net.n[1].silents, 0);
		assert_int_equal(net.n[1].ep->stats.handshakes, 1);
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
			dgrams_put(&n->way, d, n->now + n->delay);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call__small_and_empty),
		cmocka_unit_test(call__status_is_handed_on),
		cmocka_unit_test(call__largest_bodies_through_loss),
		cmocka_unit_test(call__times_out_and_is_cancelled),
		cmocka_unit_test(call__repeat_is_answered_without_running_again),
		cmocka_unit_test(call__many_at_once),
		cmocka_unit_test(life__server_restart_is_reborn),
		cmocka_unit_test(life__nodes_share_an_address),
		cmocka_unit_test(life__client_restart_takes_the_address_over),
		cmocka_unit_test(life__bye),
		cmocka_unit_test(life__silent_and_back),
		cmocka_unit_test(life__loss_alone_is_not_silence),
		cmocka_unit_test(life__put_peer_lingers_then_goes),
		cmocka_unit_test(rekey__under_traffic),
		cmocka_unit_test(rekey__by_time_and_through_loss),
		cmocka_unit_test(rekey__is_taken_though_its_first_datagrams_are_lost),
		cmocka_unit_test(member__announcements),
		cmocka_unit_test(member__counter_and_mac),
		cmocka_unit_test(member__seeds_pass_members_on),
	};

	return unit_main(argc, argv, tests);
}
