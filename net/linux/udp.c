// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The UDP carrier: a kernel socket whose datagrams are taken in the receive
 * softirq (encap_rcv), and datagrams sent as skbs that refer to the pages of
 * requests and of the store.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include "core/wire.h"
#include "net/linux/node.h"

/* Room ahead of the datagram for UDP, IP and the device's headers. */
#define HEADROOM	(LL_MAX_HEADER + sizeof(struct iphdr) + sizeof(struct udphdr))
/* A run of bytes this short costs less to copy than to refer to. */
#define COPY_BELOW	256u

/* ---- routes ---- */

static struct mxk_route *route_to(struct mxk_node *n, const struct mx_addr *to)
{
	u32 i = jhash2((const u32 *)to, sizeof(*to) / 4, 0) % MXK_ROUTES;
	struct mxk_route *r = &n->route[i];
	struct flowi4 fl = {
		.flowi4_oif = n->ifindex, .flowi4_proto = IPPROTO_UDP,
		.fl4_sport = htons(n->port_no), .fl4_dport = htons(to->port),
	};
	struct rtable *rt;

	if (r->rt && mx_addr_eq(&r->to, to) && dst_check(&r->rt->dst, 0))
		return r;
	if (to->fam != MX_FAM_IP4)
		return NULL;
	memcpy(&fl.daddr, to->a, 4);
	rt = ip_route_output_key(n->net, &fl);
	if (IS_ERR(rt))
		return NULL;
	if (r->rt)
		ip_rt_put(r->rt);
	r->rt = rt;
	r->to = *to;
	r->from = fl.saddr;
	return r;
}

void mxk_routes_free(struct mxk_node *n)
{
	for (u32 i = 0; i < MXK_ROUTES; i++) {
		if (n->route[i].rt)
			ip_rt_put(n->route[i].rt);
		n->route[i].rt = NULL;
	}
}

/* ---- packing ---- */

struct send_cb {		/* in skb->cb until it is sent */
	__be32 from, to;
	__be16 port;
};

static struct send_cb *send_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct send_cb) > sizeof(skb->cb));
	return (struct send_cb *)skb->cb;
}

/* Is it a store's page, whose content does not change while it is referred to? */
static struct page *store_page(const struct mx_seg *s)
{
	struct page *p;

	if (s->len < COPY_BELOW || !virt_addr_valid(s->buf))
		return NULL;
	p = virt_to_page(s->buf);
	if (PageSlab(p) || PageCompound(p) || page_private(p) != MXK_PAGE_MARK)
		return NULL;
	return p;
}

static bool add_mem(struct sk_buff *skb, const struct mx_seg *s)
{
	struct page *p = store_page(s);
	int i = skb_shinfo(skb)->nr_frags;

	if (!p || i == MAX_SKB_FRAGS)
		return false;
	get_page(p);
	skb_add_rx_frag(skb, i, p, offset_in_page(s->buf), s->len, s->len);
	return true;
}

static bool by_reference(struct mxk_node *n, struct sk_buff *skb)
{
	const struct mx_tx *tx = &n->tx;

	for (u32 i = 0; i < tx->nsegs; i++) {
		const struct mx_seg *s = &tx->segs[i];

		if (s->kind == MX_SEG_BUF ? !n->buf->add(s->buf, s->off, s->len, skb) :
					    !add_mem(skb, s))
			return false;
	}
	return true;
}

static void copy_segs(struct mxk_node *n, u8 *at)
{
	const struct mx_tx *tx = &n->tx;

	for (u32 i = 0; i < tx->nsegs; i++) {
		const struct mx_seg *s = &tx->segs[i];

		if (s->kind == MX_SEG_BUF)
			n->buf->copy(at, s->buf, s->off, s->len);
		else
			memcpy(at, (u8 *)s->buf + s->off, s->len);
		at += s->len;
	}
}

static struct sk_buff *new_skb(struct mxk_node *n, u32 linear)
{
	gfp_t gfp = GFP_ATOMIC | __GFP_NOWARN;
	struct sk_buff *skb;

	if (n->memalloc)
		gfp |= __GFP_MEMALLOC;
	skb = alloc_skb(HEADROOM + linear, gfp);
	if (!skb) {
		n->stats.tx_nomem++;
		return NULL;
	}
	skb_reserve(skb, HEADROOM);
	return skb;
}

/* The whole datagram in the linear part. */
static struct sk_buff *pack_linear(struct mxk_node *n)
{
	const struct mx_tx *tx = &n->tx;
	struct sk_buff *skb = new_skb(n, tx->len);
	u8 *at;

	if (!skb)
		return NULL;
	at = skb_put(skb, tx->len);
	memcpy(at, tx->hdr, tx->hdr_len);
	copy_segs(n, at + tx->hdr_len);
	if (tx->sealed)
		mx_ep_seal(tx, at);
	return skb;
}

static struct sk_buff *pack_by_reference(struct mxk_node *n)
{
	const struct mx_tx *tx = &n->tx;
	struct sk_buff *skb = new_skb(n, tx->hdr_len);

	if (!skb)
		return NULL;
	skb_put_data(skb, tx->hdr, tx->hdr_len);
	if (by_reference(n, skb))
		return skb;
	kfree_skb(skb);
	n->stats.tx_copied++;
	return pack_linear(n);
}

struct sk_buff *mxk_udp_pack(struct mxk_node *n)
{
	const struct mx_tx *tx = &n->tx;
	struct mxk_route *r = route_to(n, &tx->to);
	struct sk_buff *skb;

	if (!r) {
		n->stats.tx_noroute++;
		return NULL;
	}
	skb = tx->sealed || !tx->nsegs ? pack_linear(n) : pack_by_reference(n);
	if (!skb)
		return NULL;
	skb_dst_set(skb, dst_clone(&r->rt->dst));
	send_cb(skb)->from = r->from;
	memcpy(&send_cb(skb)->to, tx->to.a, 4);
	send_cb(skb)->port = htons(tx->to.port);
	return skb;
}

void mxk_udp_send(struct mxk_node *n, struct sk_buff_head *list)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(list)) != NULL) {
		struct send_cb cb = *send_cb(skb);
		struct rtable *rt = skb_rtable(skb);

		/* It takes the skb's reference over, and does not send fragments:
		 * a probe of the path that is too large must be lost. */
		skb->_skb_refdst = 0;
		memset(skb->cb, 0, sizeof(skb->cb));
		udp_tunnel_xmit_skb(rt, n->sock->sk, skb, cb.from, cb.to, 0, ip4_dst_hoplimit(&rt->dst),
				    htons(IP_DF), htons(n->port_no), cb.port, false, false);
	}
}

/* ---- receiving ---- */

static int encap_rcv(struct sock *sk, struct sk_buff *skb)
{
	struct mxk_node *n = rcu_dereference_sk_user_data(sk);
	struct mx_addr from = { .fam = MX_FAM_IP4 };

	if (!n || skb->protocol != htons(ETH_P_IP)) {
		kfree_skb(skb);
		return 0;
	}
	from.port = ntohs(udp_hdr(skb)->source);
	memcpy(from.a, &ip_hdr(skb)->saddr, 4);
	mxk_rx(n, &from, skb, sizeof(struct udphdr));
	return 0;
}

int mxk_udp_open(struct mxk_node *n, const struct mxk_conf *c)
{
	struct udp_port_cfg port = { .family = AF_INET, .local_udp_port = htons(c->port),
				     .use_udp_checksums = 1 };
	struct udp_tunnel_sock_cfg tunnel = { .sk_user_data = n, .encap_type = 1,
					      .encap_rcv = encap_rcv };
	struct net_device *dev;
	int rc;

	if (c->ifname && *c->ifname) {
		dev = dev_get_by_name(n->net, c->ifname);
		if (!dev) {
			pr_err("there is no network interface \"%s\"\n", c->ifname);
			return -ENODEV;
		}
		n->ifindex = dev->ifindex;
		dev_put(dev);
		port.bind_ifindex = n->ifindex;
	}
	rc = udp_sock_create(n->net, &port, &n->sock);
	if (rc) {
		pr_err("cannot listen on UDP port %u: error %d\n", c->port, rc);
		return rc;
	}
	n->port_no = ntohs(inet_sk(n->sock->sk)->inet_sport);
	if (c->memalloc)
		sk_set_memalloc(n->sock->sk);
	setup_udp_tunnel_sock(n->net, n->sock, &tunnel);
	return 0;
}

void mxk_udp_close(struct mxk_node *n)
{
	udp_tunnel_sock_release(n->sock);
	/* Receive softirqs that had found the node are over. */
	synchronize_net();
	n->sock = NULL;
}
