// SPDX-License-Identifier: GPL-2.0-or-later
/* By which way, and from which of our addresses, a peer is reached. */
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include "net/linux/carrier.h"

/*
 * Direct-mapped: of two peers in one place, each looks its way up anew. Anybody can
 * send a handshake, so what concerns those has a few places of its own, before the
 * others: strangers neither displace a peer with a session nor change which of our
 * addresses it is written to from.
 */
#define ROUTES_FEW	64u	/* servers of a client */
#define ROUTES_MANY	1024u	/* clients of a server */
#define STRANGERS	64u

int mxk_routes_init(struct mxk_node *n, bool many)
{
	n->nroutes = many ? ROUTES_MANY : ROUTES_FEW;
	n->routes_seed = get_random_u32();
	n->routes = kvcalloc(STRANGERS + n->nroutes, sizeof(*n->routes), GFP_KERNEL);
	return n->routes ? 0 : -ENOMEM;
}

void mxk_routes_exit(struct mxk_node *n)
{
	for (u32 i = 0; n->routes && i < STRANGERS + n->nroutes; i++)
		dst_release(n->routes[i].dst);
	kvfree(n->routes);
	n->routes = NULL;
}

static struct mxk_route *slot(struct mxk_node *n, const struct mx_addr *to, bool session)
{
	u32 hash = jhash2((const u32 *)to, sizeof(*to) / 4, n->routes_seed);

	return &n->routes[session ? STRANGERS + hash % n->nroutes : hash % STRANGERS];
}

static void forget(struct mxk_route *r)
{
	dst_release(r->dst);
	r->dst = NULL;
}

static bool look_up4(struct mxk_node *n, struct mxk_route *r, bool as_asked)
{
	struct flowi4 fl = {
		.flowi4_oif = r->to.scope ? r->to.scope : n->ifindex, .flowi4_proto = IPPROTO_UDP,
		.fl4_sport = htons(n->port_no), .fl4_dport = htons(r->to.port),
	};
	struct rtable *rt;

	memcpy(&fl.daddr, r->to.a, 4);
	if (as_asked)
		memcpy(&fl.saddr, r->asked, 4);
	rt = ip_route_output_key(n->net, &fl);
	if (IS_ERR(rt))
		return false;
	memset(r->from, 0, sizeof(r->from));
	memcpy(r->from, &fl.saddr, 4);
	r->dst = &rt->dst;
	r->cookie = 0;
	return true;
}

static bool look_up6(struct mxk_node *n, struct mxk_route *r, bool as_asked)
{
	struct flowi6 fl = {
		.flowi6_oif = r->to.scope ? r->to.scope : n->ifindex, .flowi6_proto = IPPROTO_UDP,
		.fl6_sport = htons(n->port_no), .fl6_dport = htons(r->to.port),
	};
	struct dst_entry *dst;

	if (!n->sock6)
		return false;
	memcpy(&fl.daddr, r->to.a, 16);
	if (as_asked)
		memcpy(&fl.saddr, r->asked, 16);
	dst = ip6_dst_lookup_flow(n->net, n->sock6->sk, &fl, NULL);
	if (IS_ERR(dst))
		return false;
	memcpy(r->from, &fl.saddr, 16);
	r->dst = dst;
	r->cookie = rt6_get_cookie((struct rt6_info *)dst);
	return true;
}

static bool look_up(struct mxk_node *n, struct mxk_route *r, bool as_asked)
{
	switch (r->to.fam) {
	case MX_FAM_IP4:
		return look_up4(n, r, as_asked);
	case MX_FAM_IP6:
		return look_up6(n, r, as_asked);
	default:
		return false;
	}
}

struct mxk_route *mxk_route_to(struct mxk_node *n, const struct mx_addr *to, bool session)
{
	struct mxk_route *r = slot(n, to, session);

	if (!mx_addr_eq(&r->to, to)) {
		forget(r);
		r->to = *to;
		r->was_asked = false;
	}
	if (r->dst && dst_check(r->dst, r->cookie))
		return r;
	forget(r);
	/* An address that is not ours any more: whichever there is. */
	if ((r->was_asked && look_up(n, r, true)) || look_up(n, r, false))
		return r;
	return NULL;
}

void mxk_route_asked(struct mxk_node *n, const struct mx_addr *from, const u8 local[16],
		     bool session)
{
	struct mxk_route *r = slot(n, from, session);

	if (mx_addr_eq(&r->to, from)) {
		if (r->was_asked && !memcmp(r->asked, local, 16))
			return;
	} else {
		forget(r);
		r->to = *from;
	}
	if (r->dst && memcmp(r->from, local, 16))
		forget(r);
	r->was_asked = true;
	memcpy(r->asked, local, 16);
}
