/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the endpoint share: a server and a client, calls, messages. */
#ifndef MEMX_TEST_EP_HELP_H
#define MEMX_TEST_EP_HELP_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

#include "ep_net.h"

static struct net net;

enum keying { PLAIN, CLUSTER, VOLUME };

static UNUSED void set_key(struct mx_ep_conf *c, enum keying k)
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
static UNUSED struct mx_peer *two(u64 seed, enum keying k)
{
	struct mx_ep_conf s = net_conf(true, 1), c = net_conf(false, 2);

	net_init(&net, seed);
	set_key(&s, k == PLAIN ? PLAIN : CLUSTER);
	set_key(&c, k);
	assert_non_null(net_start(&net, 0, &s));
	assert_non_null(net_start(&net, 1, &c));
	return mx_peer_connect(net.n[1].ep, &net.n[0].addr, net.now);
}

static UNUSED bool is_state(struct net *n, void *arg)
{
	struct { struct mx_peer *p; enum mx_peer_state st; } *a = arg;

	(void)n;
	return mx_peer_state(a->p) == a->st;
}

static UNUSED bool wait_state(struct mx_peer *p, enum mx_peer_state st, mx_ns time)
{
	struct { struct mx_peer *p; enum mx_peer_state st; } a = { p, st };

	return net_run(&net, net.now + time, is_state, &a);
}

static UNUSED u64 rejects(int i, enum mx_reject_why why)
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

static UNUSED void call_done(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now)
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

static UNUSED struct tcall *call_new(struct mx_peer *p, u32 len, mx_ns timeout)
{
	struct tcall *t = calloc(1, sizeof *t);
	u32 i;

	for (i = 0; i < len; i++)
		t->body[i] = (u8)net_rand(&net);
	mx_call_start(&t->c, p, 9, t->body, len, timeout, net.now, call_done);
	return t;
}

static UNUSED bool call_over(struct net *n, void *arg)
{
	(void)n;
	return ((struct tcall *)arg)->ended;
}

static UNUSED void call_wait(struct tcall *t, mx_ns time)
{
	net_run(&net, net.now + time, call_over, t);
}

/* A data message: READ with a given tag; and one with a payload. */
struct tmsg {
	struct mx_txm m;
	u32 tag, plen, sent;
	u8 data[4096];
};

static UNUSED enum mx_fill fill_msg(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
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

static UNUSED void msg_init(struct tmsg *t, u32 tag, u32 plen)
{
	memset(t, 0, sizeof *t);
	mx_txm_init(&t->m, fill_msg);
	t->tag = tag;
	t->plen = plen;
	memset(t->data, (int)tag, sizeof t->data);
}

/* Everything that passed is kept and sent again later, from the same address. */
static struct dgram kept[512];
static u32 nkept;
static bool keep_all;		/* handshakes too */
static UNUSED bool tap_keep(struct net *n, struct dgram *d)
{
	(void)n;
	if (d->to.port == 7000 && d->data[1] >= (keep_all ? 1 : MX_KIND_PLAIN) && nkept < 512) {
		kept[nkept] = *d;
		kept[nkept].data = malloc(d->len);
		memcpy(kept[nkept++].data, d->data, d->len);
	}
	return true;
}

static UNUSED void drop_kept(void)
{
	while (nkept)
		free(kept[--nkept].data);
}

#endif
