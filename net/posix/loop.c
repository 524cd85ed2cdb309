/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drive loop: what was received, timers, what is to be sent, and waiting.
 *
 * System calls per wake-up: one ppoll, one recvmmsg, one sendmmsg. Three things
 * change that:
 *  - A program with one socket sleeps in recvmmsg itself, while datagrams come.
 *  - Else, under load the ppoll before a recvmmsg is wasted, so reading is tried
 *    first as long as that paid the last times (n->eager).
 *  - With poll_us set, reading is tried for that long before sleeping. When a few
 *    tries in a row came to nothing it rests, until something arrives within
 *    poll_us of going to sleep; so an idle program does not spin. Where such tries
 *    fail again and again although things arrive (who sends them wants this CPU) it
 *    rests for twice as many arrivals each time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <time.h>
#include "net/posix/net.h"

#define EAGER_MAX	4	/* tries without ppoll after one that paid */
#define POLL_MISSES	4	/* fruitless rounds of polling before it rests */
#define REST_MAX	1024	/* arrivals for which polling rests at most */
#define PROMPT_NS	2000	/* a ppoll this short did not sleep */
#define RECV_SLEEP	(20 * MX_MS)	/* so long in recvmmsg at most */

mx_ns mxp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (mx_ns)t.tv_sec * MX_SEC + (mx_ns)t.tv_nsec;
}

void mxp_all_ready(struct mxp_net *n)
{
	for (unsigned i = 0; i < n->nsocks; i++)
		n->socks[i].ready = true;
}

unsigned mxp_step(struct mxp_net *n)
{
	mx_ns now = mxp_now();
	unsigned count = mxp_deliver(n, now);

	for (unsigned i = 0; i < n->nsocks; i++) {
		if (!n->socks[i].ready || !mxp_recv(n, i, false))
			continue;
		/* Not from before: a lease lasts from when it was asked for. */
		now = mxp_now();
		count += mxp_deliver(n, now);
	}
	if (count)
		now = mxp_now();
	if (now >= mx_ep_deadline(n->ep))
		mx_ep_step(n->ep, now);
	mxp_flush(n, now);
	n->now = now;
	return count;
}

bool mxp_poll(struct mxp_net *n)
{
	return mxp_rx_pending(n) || (n->nsocks && mxp_recv(n, n->hot, false) > 0);
}

static bool any_ready(const struct mxp_net *n)
{
	if (mxp_rx_pending(n))
		return true;
	for (unsigned i = 0; i < n->nsocks; i++)
		if (n->socks[i].ready)
			return true;
	return false;
}

/* True: a datagram is there, or @until has come. */
static bool spin(struct mxp_net *n, mx_ns now, mx_ns until)
{
	mx_ns end = now + n->poll_us * MX_US, t;

	do {
		if (mxp_poll(n)) {
			n->poll_misses = 0;
			n->poll_rest /= 2;
			return true;
		}
		t = mxp_now();
		if (t >= until)
			return true;
	} while (t < end);
	n->spun += t - now;
	n->stats.polls++;
	if (++n->poll_misses == POLL_MISSES) {
		n->poll_rest = n->poll_rest ? n->poll_rest * 2 : 1;
		if (n->poll_rest > REST_MAX)
			n->poll_rest = REST_MAX;
		n->poll_left = n->poll_rest;
	}
	return false;
}

/* Something arrived @slept after going to sleep. */
static void arrived(struct mxp_net *n, mx_ns slept)
{
	if (n->poll_us && slept < n->poll_us * MX_US && n->poll_left && !--n->poll_left)
		n->poll_misses = 0;
}

static void sleep_until(struct mxp_net *n, mx_ns now, mx_ns until)
{
	struct pollfd p[MXP_SOCKS + 1];
	struct timespec ts, *timeout = NULL;
	unsigned i, np = 0;
	mx_ns after;

	for (i = 0; i < n->nsocks; i++)
		p[np++] = (struct pollfd){ .fd = n->socks[i].fd, .events = POLLIN };
	if (n->wake_fd >= 0)
		p[np++] = (struct pollfd){ .fd = n->wake_fd, .events = POLLIN };
	if (until != MX_NEVER) {
		mx_ns d = until > now ? until - now : 0;

		ts.tv_sec = (time_t)(d / MX_SEC);
		ts.tv_nsec = (long)(d % MX_SEC);
		timeout = &ts;
	}
	n->stats.sleeps++;
	if (ppoll(p, np, timeout, NULL) <= 0)
		return;
	for (i = 0; i < n->nsocks; i++)
		if (p[i].revents)
			n->socks[i].ready = true;
	n->idle = false;
	after = mxp_now();
	if (after - now < PROMPT_NS)
		n->eager = EAGER_MAX;
	arrived(n, after - now);
}

/* False: that is not possible here, or not worth it. */
static bool sleep_in_recv(struct mxp_net *n, mx_ns now, mx_ns until)
{
	if (n->nsocks != 1 || (n->wake_fd >= 0 && !n->wake_by_signal))
		return false;
	/* Nothing came for that long: sleep until the deadline, then. */
	if (n->idle || until - now < RECV_SLEEP)
		return false;
	if (!n->rcvtimeo_set) {
		struct timeval tv = { .tv_usec = RECV_SLEEP / MX_US };

		if (setsockopt(n->socks[0].fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv))
			return false;
		n->rcvtimeo_set = true;
	}
	n->stats.sleeps++;
	n->idle = !mxp_recv(n, 0, true);
	if (n->poll_us && !n->idle)
		arrived(n, mxp_now() - now);
	return true;
}

void mxp_wait(struct mxp_net *n, mx_ns until)
{
	mx_ns now;

	if (any_ready(n))
		return;
	now = mxp_now();
	if (now >= until)
		return;
	if (n->poll_us && n->poll_misses < POLL_MISSES) {
		if (spin(n, now, until))
			return;
		now = mxp_now();
	}
	if (sleep_in_recv(n, now, until))
		return;
	if (n->eager) {
		if (mxp_poll(n)) {
			n->eager = EAGER_MAX;
			return;
		}
		n->eager--;
	}
	sleep_until(n, now, until);
}
