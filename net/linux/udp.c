// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The UDP carrier: kernel sockets whose datagrams are taken in the receive softirq
 * (encap_rcv), after IP, connection tracking and the firewall have seen them: one by
 * one, or joined (gro.c).
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ip6_tunnel.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include "core/wire.h"
#include "net/linux/carrier.h"
#include "net/linux/compat.h"

bool mxk_gro = true;
module_param_named(gro, mxk_gro, bool, 0644);
MODULE_PARM_DESC(gro, "join received datagrams of one peer for their way through the stack (default on)");

/* ---- sending ---- */

static __be16 port_of(const struct socket *s)
{
	return inet_sk(s->sk)->inet_sport;
}

/* @check: of the addresses; the sum of the rest is added where the datagram is sent. */
static void put_udp(struct sk_buff *skb, __be16 from, __be16 to, __sum16 check)
{
	struct udphdr *uh;

	__skb_push(skb, sizeof(*uh));
	skb_reset_transport_header(skb);
	uh = udp_hdr(skb);
	uh->source = from;
	uh->dest = to;
	uh->len = htons(skb->len);
	uh->check = ~check;
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
}

/* The head of one that is in the list of another, which the stack has to find in its
 * place when it is unlinked: see skb_segment_list(). Lengths, IP's checksum and its
 * number are made then. */
static void put_heads4(struct sk_buff *skb, const struct mxk_node *n, const struct mxk_send *s,
		       __be32 from, __be32 to, u8 ttl)
{
	u32 len = skb->len;
	struct iphdr *ip;

	put_udp(skb, port_of(n->sock4), s->port,
		csum_tcpudp_magic(from, to, len + sizeof(struct udphdr), IPPROTO_UDP, 0));
	__skb_push(skb, sizeof(*ip));
	skb_reset_network_header(skb);
	ip = ip_hdr(skb);
	*ip = (struct iphdr){
		.version = 4, .ihl = sizeof(*ip) / 4, .frag_off = htons(IP_DF), .ttl = ttl,
		.protocol = IPPROTO_UDP, .saddr = from, .daddr = to,
	};
	__skb_pull(skb, skb->len - len);
}

/* Its length is written where it is sent. */
static void put_ip6(struct sk_buff *skb, const struct in6_addr *from, const struct in6_addr *to,
		    u8 hops)
{
	__skb_push(skb, sizeof(struct ipv6hdr));
	skb_reset_network_header(skb);
	*ipv6_hdr(skb) = (struct ipv6hdr){
		.version = 6, .nexthdr = IPPROTO_UDP, .hop_limit = hops, .saddr = *from,
		.daddr = *to,
	};
}

static void put_heads6(struct sk_buff *skb, const struct mxk_node *n, const struct mxk_send *s,
		       const struct in6_addr *from, const struct in6_addr *to, u8 hops)
{
	u32 len = skb->len;

	put_udp(skb, port_of(n->sock6), s->port,
		csum_ipv6_magic(from, to, len + sizeof(struct udphdr), IPPROTO_UDP, 0));
	put_ip6(skb, from, to, hops);
	__skb_pull(skb, skb->len - len);
}

/* Bytes that the sum of the datagram @skb is of, or of the first of a list: each has
 * its own sum. */
static u32 sum_len(const struct sk_buff *skb, const struct mxk_send *s)
{
	return (s->list ? s->each : skb->len) + sizeof(struct udphdr);
}

static void send4(struct mxk_node *n, struct sk_buff *skb, const struct mxk_send *s)
{
	struct rtable *rt = skb_rtable(skb);
	struct sk_buff *f;
	__be32 from, to;
	u8 ttl;

	memcpy(&from, s->from, 4);
	memcpy(&to, s->to, 4);
	/* Announcements stay in their network. */
	ttl = ipv4_is_multicast(to) ? 1 : ip4_dst_hoplimit(&rt->dst);
	/* iptunnel_xmit() takes the reference over. */
	skb->_skb_refdst = 0;
	put_udp(skb, port_of(n->sock4), s->port,
		csum_tcpudp_magic(from, to, sum_len(skb, s), IPPROTO_UDP, 0));
	skb_walk_frags(skb, f)
		put_heads4(f, n, s, from, to, ttl);
	/* Not to be cut by IP: a probe of the path that is too large must be lost. */
	iptunnel_xmit(n->sock4->sk, rt, skb, from, to, IPPROTO_UDP, 0, ttl, htons(IP_DF), false);
}

static void send6(struct mxk_node *n, struct sk_buff *skb, const struct mxk_send *s)
{
	struct dst_entry *dst = skb_dst(skb);
	struct in6_addr from, to;
	struct sk_buff *f;
	u8 hops;

	memcpy(&from, s->from, 16);
	memcpy(&to, s->to, 16);
	hops = ipv6_addr_is_multicast(&to) ? 1 : ip6_dst_hoplimit(dst);
	put_udp(skb, port_of(n->sock6), s->port,
		csum_ipv6_magic(&from, &to, sum_len(skb, s), IPPROTO_UDP, 0));
	skb_walk_frags(skb, f)
		put_heads6(f, n, s, &from, &to, hops);
	put_ip6(skb, &from, &to, hops);
	ip6tunnel_xmit(n->sock6->sk, skb, NULL);
}

void mxk_udp_send(struct mxk_node *n, struct sk_buff *skb)
{
	struct mxk_send s = *mxk_send_cb(skb);

	memset(skb->cb, 0, sizeof(skb->cb));
	if (s.segs > 1) {
		skb_shinfo(skb)->gso_size = s.each;
		skb_shinfo(skb)->gso_segs = s.segs;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4 | (s.list ? SKB_GSO_FRAGLIST : 0);
	}
	if (s.fam == MX_FAM_IP4)
		send4(n, skb, &s);
	else
		send6(n, skb, &s);
}

/* ---- receiving ---- */

/* Where it came from, and the address of ours it was sent to. */
static void addresses(const struct mxk_node *n, const struct sk_buff *skb, struct mx_addr *from,
		      u8 local[16])
{
	memset(from, 0, sizeof(*from));
	memset(local, 0, 16);
	from->port = ntohs(udp_hdr(skb)->source);
	if (skb->protocol == htons(ETH_P_IP)) {
		from->fam = MX_FAM_IP4;
		memcpy(from->a, &ip_hdr(skb)->saddr, 4);
		memcpy(local, &ip_hdr(skb)->daddr, 4);
		return;
	}
	from->fam = MX_FAM_IP6;
	memcpy(from->a, &ipv6_hdr(skb)->saddr, 16);
	memcpy(local, &ipv6_hdr(skb)->daddr, 16);
	/* Understood to be on the interface that is used, where there is only one. */
	if (ipv6_addr_type(&ipv6_hdr(skb)->saddr) & IPV6_ADDR_LINKLOCAL && !n->ifindex)
		from->scope = inet6_iif(skb);
}

/* Before anything is packed that answers it. */
static void unpack(struct mxk_node *n, mx_ns now, const struct mx_addr *from,
		   const u8 local[16], struct sk_buff *skb, u32 len)
{
	bool session = mxk_unpack(n, now, from, skb, skb_cloned(skb), sizeof(struct udphdr),
				  len - sizeof(struct udphdr));

	if (skb->pkt_type == PACKET_HOST)
		mxk_route_asked(n, from, local, session);
}

/* Each skb of the list is a datagram; the head has its UDP header still. */
static void unpack_joined(struct mxk_node *n, mx_ns now, const struct mx_addr *from,
			  const u8 local[16], struct sk_buff *skb)
{
	struct sk_buff *f;
	bool shared = skb_cloned(skb);
	u32 count = 0;

	n->stats.rx_joined++;
	unpack(n, now, from, local, skb, skb_pagelen(skb));
	mxk_unpacked(n, now, &count);
	skb_walk_frags(skb, f) {
		mxk_unpack(n, now, from, f, shared, 0, f->len);
		mxk_unpacked(n, now, &count);
	}
}

/* Sockets that are bound to their interface get nothing else; others ask here. */
static bool on_interface(const struct mxk_node *n, const struct sk_buff *skb)
{
	int index = READ_ONCE(n->ifindex);

	if (MXK_GRO_FINDS_BOUND || !index)
		return true;
	if (skb->protocol == htons(ETH_P_IP))
		return inet_iif(skb) == index || inet_sdif(skb) == index;
	return inet6_iif(skb) == index || inet6_sdif(skb) == index;
}

void mxk_udp_take(struct mxk_node *n, struct sk_buff *skb)
{
	struct mx_addr from;
	u8 local[16];
	mx_ns now;

	if (!mxk_rx_begin(n, &now)) {
		kfree_skb(skb);
		return;
	}
	n->stats.rx_reserve += skb_pfmemalloc(skb);
	addresses(n, skb, &from, local);
	if (skb_is_gso(skb) && skb_has_frag_list(skb))
		unpack_joined(n, now, &from, local, skb);
	else
		unpack(n, now, &from, local, skb, skb->len);
	mxk_free_received(skb);
	mxk_leave(n, now);
}

static int encap_rcv(struct sock *sk, struct sk_buff *skb)
{
	struct mxk_node *n = rcu_dereference_sk_user_data(sk);

	/* The interface is asked for while the skb has its route. */
	if (!n || !on_interface(n, skb))
		kfree_skb(skb);
	else if (!mxk_put_off(n, skb))
		mxk_udp_take(n, skb);
	return 0;
}

/* ---- sockets ---- */

static void set_up(struct mxk_node *n, struct socket *s, bool memalloc)
{
	struct udp_tunnel_sock_cfg tunnel = { .sk_user_data = n, .encap_type = 1,
					      .encap_rcv = encap_rcv };

	if (mxk_gro) {
		tunnel.gro_receive = mxk_gro_receive;
		tunnel.gro_complete = mxk_gro_complete;
	}
	if (memalloc)
		sk_set_memalloc(s->sk);
	/* What ICMP says of the path's MTU is not used: anybody may send it. */
	if (s->sk->sk_family == AF_INET)
		ip_sock_set_mtu_discover(s->sk, IP_PMTUDISC_PROBE);
	setup_udp_tunnel_sock(n->net, s, &tunnel);
}

int mxk_udp_open(struct mxk_node *n, const struct mxk_conf *c)
{
	struct udp_port_cfg port = {
		.family = AF_INET, .local_udp_port = htons(c->port), .use_udp_checksums = 1,
		.use_udp6_tx_checksums = 1, .use_udp6_rx_checksums = 1, .ipv6_v6only = 1,
		.bind_ifindex = MXK_GRO_FINDS_BOUND ? n->ifindex : 0,
	};
	int rc = udp_sock_create(n->net, &port, &n->sock4);

	if (rc) {
		pr_err("cannot listen on UDP port %u: error %d\n", c->port, rc);
		return rc;
	}
	n->port_no = ntohs(port_of(n->sock4));
	port.family = AF_INET6;
	rc = udp_sock_create(n->net, &port, &n->sock6);
	if (rc == -EAFNOSUPPORT) {
		n->sock6 = NULL;	/* a machine without IPv6 */
	} else if (rc) {
		pr_err("cannot listen on UDP port %u of IPv6: error %d\n", c->port, rc);
		mxk_udp_close(n);
		return rc;
	}
	set_up(n, n->sock4, c->memalloc);
	if (n->sock6)
		set_up(n, n->sock6, c->memalloc);
	return 0;
}

int mxk_udp_bind(struct mxk_node *n, int ifindex)
{
	int rc;

	if (!MXK_GRO_FINDS_BOUND)
		return 0;
	rc = sock_bindtoindex(n->sock4->sk, ifindex, true);
	if (!rc && n->sock6)
		rc = sock_bindtoindex(n->sock6->sk, ifindex, true);
	return rc;
}

static void release(struct socket *s)
{
	if (!s)
		return;
	if (sock_flag(s->sk, SOCK_MEMALLOC))
		sk_clear_memalloc(s->sk);	/* nobody else does */
	udp_tunnel_sock_release(s);
}

void mxk_udp_close(struct mxk_node *n)
{
	release(n->sock4);
	release(n->sock6);
	/* Receive softirqs that had found the node are over. */
	synchronize_net();
	n->sock4 = NULL;
	n->sock6 = NULL;
}
