/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint of each role against whatever comes in: datagrams of the input's
 * bytes, and ones that passed before with bytes changed, with session, number and
 * checksum made right so that they get past the outer checks; between time
 * passing, calls, restarts and real traffic. Memory
 * must stay bounded and all of it must be freed in the end.
 */
#include "tests/unit/ep_net.h"

enum { SERVER = 1, CLIENT = 2 };	/* ids */

static struct net net;
static const u8 *in;
static size_t left;

static u32 byte(void)
{
	if (!left)
		return 0;
	left--;
	return *in++;
}

struct fcall { struct mx_call c; u8 body[8192]; bool busy; };
static struct fcall calls[4];

static void done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct fcall *f = mx_container_of(c, struct fcall, c);
	u32 i;
	u8 sum = 0;

	(void)st;
	(void)now;
	/* Every byte must be there to be read. */
	for (i = 0; i < len; i++)
		sum ^= body[i];
	__asm__ __volatile__("" : : "r"(sum));
	f->busy = false;
}

/* Raw bytes to endpoint @i, as from the other; outer header put right as asked. */
static void inject(int i, u32 how)
{
	struct tnode *t = &net.n[i], *other = &net.n[1 - i];
	static u8 buf[4096];
	struct mx_peer *p;
	u32 n = byte() | byte() << 8, heads;
	u8 *copy;

	n = mx_min_u32(n % 2048, (u32)left);
	memset(buf, 0, MX_OUTER);
	memcpy(buf + MX_OUTER, in, n);
	in += n;
	left -= n;
	heads = byte() * 8;
	heads = mx_min_u32(mx_max_u32(heads, MX_HEAD), n & ~7u);
	buf[0] = MX_MAGIC;
	buf[1] = (u8)(1 + (how & 3));
	buf[2] = how & 64 ? 2 : MX_PROTO_MAJOR;
	mx_st16(buf + 4, (u16)heads);
	p = i == 1 ? mx_peer_find(t->ep, &other->addr)
		   : mx_peer_find_accepted(t->ep, &other->addr, CLIENT);
	if (p && p->cur && !(how & 4)) {
		mx_st32(buf + 8, p->cur->local);
		mx_st64(buf + 16, p->cur->rx_top + 1 + (how & 8 ? byte() : 0));
	}
	/* A handshake's answer must name our HELLO. */
	if (p && p->hs && heads >= 64 && (how & 16))
		memcpy(buf + MX_OUTER + (mx_ld16(buf + MX_OUTER) == MX_WELCOME ? 192 : 16),
		       p->hs->hello + MX_HELLO_RANDOM, 32);
	if (how & 32 && buf[1] == MX_KIND_HANDSHAKE && heads >= MX_HELLO_HEAD)
		mx_cookie(t->ep, buf + MX_OUTER + MX_HELLO_COOKIE, &other->addr,
			  buf + MX_OUTER + MX_HELLO_RANDOM, net.now / COOKIE_SLOT);
	mx_outer_seal_crc(buf, heads);
	copy = malloc(MX_OUTER + n);
	memcpy(copy, buf, MX_OUTER + n);
	mx_ep_rx(t->ep, net.now, &other->addr, copy, MX_OUTER + n);
	free(copy);
}

/* The last datagrams that passed. */
#define PAST	32
static struct { u32 len; int to; u8 data[2048]; } past[PAST];
static u32 npast;

static bool tap(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->len <= sizeof past[0].data) {
		past[npast % PAST].len = d->len;
		past[npast % PAST].to = d->to.port - 7000;
		memcpy(past[npast % PAST].data, d->data, d->len);
		npast++;
	}
	return true;
}

/* One of them again: some bytes changed, cut, the number a new one. */
static void again(u32 how)
{
	u32 k = npast ? byte() % mx_min_u32(npast, PAST) : 0, changes = byte() % 8, len, heads;
	struct tnode *t;
	struct mx_sess *s;
	u8 *copy;

	if (!npast || past[k].to > 1)
		return;
	t = &net.n[past[k].to];
	len = past[k].len;
	copy = malloc(len);
	memcpy(copy, past[k].data, len);
	while (changes--) {
		u32 at = byte() | byte() << 8;

		copy[how & 1 ? at % len : at % mx_min_u32(len, 400)] = (u8)byte();
	}
	if (how & 2)
		len = mx_min_u32(len, MX_OUTER + byte() * 8);
	s = mx_sess_find(t->ep, mx_ld32(copy + 8));
	if (s && how & 4)
		mx_st64(copy + 16, s->rx_top + 1);
	heads = mx_ld16(copy + 4);
	if (heads % 8 == 0 && MX_OUTER + heads <= len && copy[1] != MX_KIND_SEALED)
		mx_outer_seal_crc(copy, heads);
	mx_ep_rx(t->ep, net.now, &net.n[1 - past[k].to].addr, copy, len);
	free(copy);
}

static void start_call(u32 k, struct mx_peer *p)
{
	struct fcall *f = &calls[k % 4];

	if (f->busy || !p)
		return;
	f->busy = true;
	mx_call_start(&f->c, p, (u16)(1 + k % 8), f->body, byte() * 32, MX_SEC, net.now, done);
}

static void cancel_calls(void)
{
	u32 k;

	for (k = 0; k < 4; k++) {
		if (calls[k].busy)
			mx_call_cancel(&calls[k].c);
		calls[k].busy = false;
	}
}

static void restart(int i, struct mx_ep_conf *c)
{
	cancel_calls();
	net_stop(&net, i);
	c->node.incarnation++;
	net_start(&net, i, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mx_ep_conf s = net_conf(true, SERVER), c = net_conf(false, CLIENT);
	struct mx_peer *p;
	u32 how;

	in = data;
	left = size;
	how = byte();
	net_init(&net, 1 + (how >> 4));
	s.peers_max = c.peers_max = 4;
	s.members_max = c.members_max = 8;
	if (how & 1) {
		s.key.kind = c.key.kind = MX_KEY_CLUSTER;
		memset(s.key.key, 1, 32);
		memset(c.key.key, 1, 32);
	}
	npast = 0;
	net.mtu = how & 4 ? 1500 : 65535;
	net.tap = tap;
	net.n[0].echo = true;
	net_start(&net, 0, &s);
	net_start(&net, 1, &c);
	mx_ep_announce(net.n[0].ep, 10, 5, 0, MX_MEMBER_SERVER);
	p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
	if (how & 2)
		net_for(&net, 2 * MX_MS);
	while (left) {
		how = byte();
		switch (how >> 5) {
		case 0: inject(0, byte()); break;
		case 1: inject(1, byte()); break;
		case 2: case 3: again(how); break;
		case 4: net_for(&net, (mx_ns)(how & 31) * MX_MS); break;
		case 5: start_call(how, p); break;
		case 6:
			if ((how & 31) == 0) {
				restart(1, &c);
				p = mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
			} else if ((how & 31) == 1) {
				restart(0, &s);
			} else {
				net_for(&net, (mx_ns)(how & 31) * 100 * MX_MS);
			}
			break;
		default:
			net_drain(&net);
		}
		if (net.live_bytes > 4u << 20)
			abort();
	}
	net_for(&net, MX_SEC);
	cancel_calls();
	net_end(&net);
	return 0;
}
