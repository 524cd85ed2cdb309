// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The multicast groups by which servers find each other over UDP, on the interface a
 * server was told to use. Its own sockets are the members: what is announced comes to
 * them as everything else does, so only a server that listens on the groups' port hears
 * others.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/igmp.h>
#include <linux/inet.h>
#include <linux/inetdevice.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <net/addrconf.h>
#include <net/ipv6_stubs.h>
#include "core/wire.h"
#include "net/linux/carrier.h"

static void group4(struct ip_mreqn *m, int ifindex)
{
	*m = (struct ip_mreqn){ .imr_ifindex = ifindex };
	in4_pton(MX_MCAST4, -1, (u8 *)&m->imr_multiaddr, -1, NULL);
}

static void group6(u8 a[16])
{
	in6_pton(MX_MCAST6, -1, a, -1, NULL);
}

static int join4(struct sock *sk, int ifindex)
{
	struct ip_mreqn m;
	int rc;

	group4(&m, ifindex);
	lock_sock(sk);
	rc = ip_mc_join_group(sk, &m);
	release_sock(sk);
	return rc == -EADDRINUSE ? 0 : rc;	/* it is a member already */
}

static int join6(struct sock *sk, int ifindex)
{
	struct in6_addr a;
	int rc;

	group6(a.s6_addr);
	lock_sock(sk);
	rc = ipv6_stub->ipv6_sock_mc_join(sk, ifindex, &a);
	release_sock(sk);
	return rc == -EADDRINUSE ? 0 : rc;
}

void mxk_group_join(struct mxk_node *n, struct net_device *dev)
{
	int rc4, rc6 = -EAFNOSUPPORT;

	ASSERT_RTNL();
	if (!n->serve || !(dev->flags & IFF_MULTICAST))
		return;
	rc4 = join4(n->sock4->sk, dev->ifindex);
	if (n->sock6)
		rc6 = join6(n->sock6->sk, dev->ifindex);
	if (rc4 && rc6)
		pr_warn("cannot hear other servers by multicast on %s: error %d; name one with join\n",
			dev->name, rc4);
}

void mxk_group_leave(struct mxk_node *n, int ifindex)
{
	struct in6_addr a;
	struct ip_mreqn m;

	ASSERT_RTNL();
	if (!n->serve)
		return;
	group4(&m, ifindex);
	lock_sock(n->sock4->sk);
	ip_mc_leave_group(n->sock4->sk, &m);
	release_sock(n->sock4->sk);
	if (!n->sock6)
		return;
	group6(a.s6_addr);
	lock_sock(n->sock6->sk);
	ipv6_stub->ipv6_sock_mc_drop(n->sock6->sk, ifindex, &a);
	release_sock(n->sock6->sk);
}

static bool has_ip4(const struct mxk_node *n)
{
	struct net_device *dev;
	struct in_device *in;
	bool has;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(n->net, READ_ONCE(n->ifindex));
	in = dev ? __in_dev_get_rcu(dev) : NULL;
	has = in && rcu_access_pointer(in->ifa_list);
	rcu_read_unlock();
	return has;
}

void mxk_group_choose(const struct mxk_node *n, struct mx_addr *to)
{
	__be32 a;

	memcpy(&a, to->a, 4);
	if (to->fam != MX_FAM_IP4 || !ipv4_is_multicast(a) || !n->sock6 || has_ip4(n))
		return;
	to->fam = MX_FAM_IP6;
	group6(to->a);
}

bool mxk_group_begin(struct mxk_node *n, struct mx_addr *to)
{
	struct net_device *dev;
	struct ip_mreqn m;
	bool can;

	if (!*n->ifname)
		return false;
	rtnl_lock();
	dev = __dev_get_by_index(n->net, n->ifindex);
	can = !dev || dev->flags & IFF_MULTICAST;
	if (dev)
		mxk_group_join(n, dev);
	rtnl_unlock();
	group4(&m, 0);
	*to = (struct mx_addr){ .fam = MX_FAM_IP4, .port = MX_UDP_PORT };
	memcpy(to->a, &m.imr_multiaddr, 4);
	return can;
}
