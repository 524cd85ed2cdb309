/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints: path MTU, window, round trips, timers. */
#include "ep_help.h"

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

/* Neither a large request nor its large reply gets stuck on a path that has got
 * narrower. */
static void mtu__calls_go_on_after_the_path_narrowed(void **state)
{
	enum keying k;

	for (k = PLAIN; k <= CLUSTER; k++) {
		struct mx_peer *p = two(1, k);
		struct tcall *t;

		assert_true(wait_state(p, MX_PEER_UP, MX_SEC));
		net_for(&net, 20 * MX_MS);
		net.n[0].echo = true;
		net.mtu = 1500;
		t = call_new(p, 40000, 30 * MX_SEC);
		call_wait(t, 30 * MX_SEC);
		assert_int_equal(t->st, MX_OK);
		assert_true(t->right);
		free(t);
		net_end(&net);
	}
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mtu__found_at_every_limit),
		cmocka_unit_test(mtu__ip6_and_carrier_limits),
		cmocka_unit_test(mtu__falls_back_and_recovers),
		cmocka_unit_test(mtu__acceptor_falls_back_on_repeats),
		cmocka_unit_test(mtu__calls_go_on_after_the_path_narrowed),
		cmocka_unit_test(mtu__cut_path_keeps_the_size),
		cmocka_unit_test(window__grows_when_used_and_is_halved_once_a_round_trip),
		cmocka_unit_test(rtt__estimator),
		cmocka_unit_test(timer__fires_on_time_from_microseconds_to_weeks),
		cmocka_unit_test(timer__in_an_endpoint),
	};

	return unit_main(argc, argv, tests);
}
