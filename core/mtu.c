/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagram size per peer: what the path carries in our direction of sending.
 *
 * Steps are 1,200, what Ethernet carries, what jumbo frames carry, and the most
 * that both ends can take. A step is used once a PROBE of it was confirmed. When
 * losses are reported again and again while a larger size is in use, the size is
 * probed anew; if that fails every time while small datagrams get through, it
 * is given up for 1,200 and the steps below it are tried again.
 */
#include "ep_int.h"

#define ROUNDS		4u		/* tries of the steps above */
#define SUSPECT		3u		/* losses until the size in use is looked at */
#define VERIFY		4u		/* tries of it */
#define AGAIN_DOWN	(60 * MX_SEC)	/* all steps again after a fall-back */
#define AGAIN		(600 * MX_SEC)
#define CALM		(5 * MX_SEC)	/* between two looks at the size in use */

static const mx_ns round_gap[ROUNDS] = { 100 * MX_MS, 400 * MX_MS, 1600 * MX_MS, AGAIN };

static void add_step(struct mx_peer *p, u32 size, u32 max)
{
	if (size <= max && (!p->mtu_n || size > p->mtu_step[p->mtu_n - 1]))
		p->mtu_step[p->mtu_n++] = (u16)size;
}

static void make_steps(struct mx_peer *p)
{
	bool ip4 = p->addr.fam == MX_FAM_IP4;
	u32 max = mx_min_u32(p->ep->conf.dgram_max, mx_min_u32(p->dgram_max, MX_DGRAM_MAX));

	p->mtu_n = 0;
	add_step(p, MX_DGRAM_MIN, max);
	add_step(p, ip4 ? 1472 : 1452, max);
	add_step(p, ip4 ? 8972 : 8952, max);
	add_step(p, max, max);
	p->mtu_cap = p->mtu_n;
}

/* Sends a probe of every step above the size in use, up to the cap. */
static u32 probe_steps(struct mx_peer *p)
{
	u32 i, n = 0;

	for (i = 0; i < p->mtu_cap; i++) {
		if (p->mtu_step[i] > p->dgram) {
			p->probes |= (u8)(1u << i);
			n++;
		}
	}
	if (n)
		mx_peer_ready(p);
	return n;
}

/* A session came up. @fresh: another node, or the first time. */
void mx_mtu_start(struct mx_peer *p, bool fresh, mx_ns now)
{
	make_steps(p);
	if (fresh || p->dgram > p->mtu_step[p->mtu_n - 1])
		p->dgram = MX_DGRAM_MIN;
	p->verify = 0;
	p->big_lost = 0;
	p->mtu_round = 0;
	p->probe_at = p->dgram < p->mtu_step[p->mtu_n - 1] ? now : MX_NEVER;
}

static void fall_back(struct mx_peer *p, mx_ns now)
{
	u32 i;

	/* The steps below the one that failed are tried first. */
	for (i = 0; i < p->mtu_n && p->mtu_step[i] < p->dgram; i++)
		;
	p->mtu_cap = (u8)mx_max_u32(i, 1);
	p->dgram = MX_DGRAM_MIN;
	p->verify = 0;
	p->big_lost = 0;
	p->mtu_round = 0;
	p->probe_at = now;
}

static void verify_tick(struct mx_peer *p, mx_ns now)
{
	u32 i;

	if (--p->verify) {
		for (i = 0; i < p->mtu_n; i++)
			if (p->mtu_step[i] == p->dgram)
				p->probes |= (u8)(1u << i);
		p->probe_at = mx_after(now, 4 * mx_peer_rto(p));
		mx_peer_ping(p, now);		/* a small one beside it */
		return;
	}
	p->big_lost = 0;
	p->verified = now;
	if (p->heard > p->verify_from) {
		fall_back(p, now);
		return;
	}
	/* Nothing passes at all: that is not the size's fault. */
	p->probe_at = mx_after(now, AGAIN_DOWN);
}

void mx_mtu_tick(struct mx_peer *p, mx_ns now)
{
	bool capped = p->mtu_cap < p->mtu_n;

	p->probe_at = MX_NEVER;
	if (!p->cur)
		return;
	if (p->verify) {
		verify_tick(p, now);
		return;
	}
	if (p->mtu_round >= ROUNDS) {
		/* Long after: paths change. */
		p->mtu_round = 0;
		p->mtu_cap = p->mtu_n;
		capped = false;
	}
	if (!probe_steps(p) && !capped)
		return;
	p->probe_at = mx_after(now, round_gap[p->mtu_round++]);
	if (p->mtu_round == ROUNDS && capped)
		p->probe_at = mx_after(now, AGAIN_DOWN);
}

/*
 * A loss was reported, or the other side repeats itself. Large datagrams may be
 * dropped on the way while small ones pass.
 */
void mx_mtu_suspect(struct mx_peer *p, mx_ns now)
{
	if (p->dgram <= MX_DGRAM_MIN || p->verify || !p->cur)
		return;
	if (p->big_lost < SUSPECT)
		p->big_lost++;
	if (p->big_lost < SUSPECT || (p->verified && now - p->verified < CALM))
		return;
	p->verify = VERIFY + 1;
	p->verify_from = now;
	p->probe_at = now;
	mx_peer_arm(p);
}

void mx_mtu_confirmed(struct mx_peer *p, u32 size, mx_ns now)
{
	u32 i;

	for (i = 0; i < p->mtu_n && p->mtu_step[i] != size; i++)
		;
	if (i == p->mtu_n)
		return;
	if (size >= p->dgram) {
		if (p->verify) {
			p->verify = 0;
			p->verified = now;
			p->probe_at = mx_after(now, AGAIN);
		}
		p->big_lost = 0;
		p->dgram = size;
	}
	p->probes &= (u8)~((2u << i) - 1);
	mx_peer_arm(p);
}

/* A PROBE arrived whole: confirm its size. */
void mx_mtu_probe_seen(struct mx_peer *p, u32 size)
{
	if (p->nprobe_ok == MTU_STEPS)
		return;		/* it will be probed again */
	p->probe_ok[p->nprobe_ok++] = (u16)size;
	mx_peer_want(p, WANT_PROBE_OK);
}
