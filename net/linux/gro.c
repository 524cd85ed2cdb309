// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Joining datagrams of one peer that come in one poll of a device, so that IP,
 * connection tracking, the firewall and the socket's lookup see them once, as one
 * long datagram. Each stays an skb of its own, in the first one's list, so they may
 * differ in length and be opened in place.
 *
 * The stack has its own way of joining UDP (the option UDP_GRO), but takes apart what
 * it has joined before it hands it to a socket with encap_rcv (udp_unexpected_gso()),
 * unless the tunnel that has the socket did the joining: that is what this does.
 */
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/addrconf.h>
#include <net/gro.h>
#include <net/route.h>
#include "net/linux/carrier.h"

#define JOIN_BYTES	60000u		/* in an IP datagram of 64 KiB */
#define JOIN_MAX	64u

/*
 * The lookup that leads here finds a socket also for what is only forwarded, and what
 * was joined could not be sent on. So the address must be this machine's; the last one
 * found to be is remembered for a second.
 */
static bool is_local4(struct mxk_node *n, const struct sk_buff *skb, __be32 addr)
{
	if (addr == READ_ONCE(n->local) && time_before(jiffies, READ_ONCE(n->local_until)))
		return true;
	if (inet_addr_type_dev_table(n->net, skb->dev, addr) != RTN_LOCAL)
		return false;
	WRITE_ONCE(n->local, addr);
	WRITE_ONCE(n->local_until, jiffies + HZ);
	return true;
}

/* The IP header, which UDP's follows at once (IPv4 with options is not joined by the
 * stack either). NULL: there is something between. */
static const void *ip_header(struct sk_buff *skb, u32 *off)
{
	u32 udp = skb_gro_offset(skb) - sizeof(struct udphdr);
	const struct ipv6hdr *ip6;

	if (skb->protocol == htons(ETH_P_IP)) {
		*off = udp - sizeof(struct iphdr);
		return skb_gro_header(skb, udp, *off);
	}
	if (udp < sizeof(*ip6))
		return NULL;
	*off = udp - sizeof(*ip6);
	ip6 = skb_gro_header(skb, udp, *off);
	return ip6 && ip6->version == 6 && ip6->nexthdr == IPPROTO_UDP ? ip6 : NULL;
}

static bool is_local(struct mxk_node *n, struct sk_buff *skb, const void *ip)
{
	if (skb->protocol == htons(ETH_P_IP))
		return is_local4(n, skb, ((const struct iphdr *)ip)->daddr);
	return ipv6_chk_addr(n->net, &((const struct ipv6hdr *)ip)->daddr, NULL, 0);
}

/* Would a rule for IP headers see in the one what it sees in the other? */
static bool same_ip(const struct sk_buff *skb, const void *a, const void *b)
{
	const struct iphdr *v4 = a, *w4 = b;
	const struct ipv6hdr *v6 = a, *w6 = b;

	if (skb->protocol == htons(ETH_P_IP))
		return v4->ttl == w4->ttl && v4->tos == w4->tos &&
		       !((v4->frag_off ^ w4->frag_off) & htons(IP_DF));
	return v6->hop_limit == w6->hop_limit && !memcmp(v6, w6, 4);
}

bool mxk_gro_join(struct sk_buff *p, struct sk_buff *skb)
{
	u32 off = skb_gro_offset(skb);

	if (NAPI_GRO_CB(p)->flush || NAPI_GRO_CB(p)->count >= JOIN_MAX ||
	    p->len + skb_gro_len(skb) > JOIN_BYTES || !pskb_may_pull(skb, off))
		return false;
	__skb_pull(skb, off);
	if (NAPI_GRO_CB(p)->last == p)
		skb_shinfo(p)->frag_list = skb;
	else
		NAPI_GRO_CB(p)->last->next = skb;
	NAPI_GRO_CB(p)->last = skb;
	NAPI_GRO_CB(p)->count++;
	skb->destructor = NULL;
	skb->sk = NULL;
	p->data_len += skb->len;
	p->truesize += skb->truesize;
	p->len += skb->len;
	NAPI_GRO_CB(skb)->same_flow = 1;
	return true;
}

/* Those of @head with same_flow are from the same address and port to the same. */
struct sk_buff *mxk_gro_receive(struct sock *sk, struct list_head *head, struct sk_buff *skb)
{
	struct mxk_node *n = rcu_dereference_sk_user_data(sk);
	struct sk_buff *p;
	const void *ip;
	u32 off;

	ip = ip_header(skb, &off);
	if (!n || NAPI_GRO_CB(skb)->flush || !ip || !is_local(n, skb, ip)) {
		NAPI_GRO_CB(skb)->flush = 1;
		return NULL;
	}
	list_for_each_entry(p, head, list) {
		if (!NAPI_GRO_CB(p)->same_flow)
			continue;
		/* If not: @p goes its way, and @skb waits for others. */
		return same_ip(skb, ip, p->data + off) && mxk_gro_join(p, skb) ? NULL : p;
	}
	return NULL;
}

/* Each one's checksum was verified before it came here. */
int mxk_gro_complete(struct sock *sk, struct sk_buff *skb, int nhoff)
{
	skb_shinfo(skb)->gso_segs = NAPI_GRO_CB(skb)->count;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = 0;
	skb->encapsulation = 0;
	return 0;
}
