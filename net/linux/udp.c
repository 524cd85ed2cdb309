// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The UDP carrier: a kernel socket whose datagrams are taken in the receive
 * softirq (encap_rcv), and datagrams sent as skbs that refer to the pages of
 * requests and of the store.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/gro.h>
#include <net/ip.h>
#include <net/ip_tunnels.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include "core/wire.h"
#include "net/linux/compat.h"
#include "net/linux/node.h"

/* Room ahead of the datagram for UDP, IP and the device's headers. */
#define HEADROOM	(LL_MAX_HEADER + sizeof(struct iphdr) + sizeof(struct udphdr))
/* A run of bytes this short costs less to copy than to refer to. */
#define COPY_BELOW	256u

static bool gso = true;
module_param(gso, bool, 0644);
MODULE_PARM_DESC(gso, "send datagrams that belong together in one pass through the stack");
static bool gro = true;
module_param(gro, bool, 0644);
MODULE_PARM_DESC(gro, "receive before IP, where frames are looked at for GRO");

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

/*
 * Datagrams to one address that follow each other and are equally long (the last may
 * be shorter) make one skb, which goes through the stack once and is cut at the
 * device, or by it (UDP_L4 segmentation offload).
 */
#define GSO_BYTES	61440u

struct send_cb {		/* in skb->cb until it is sent */
	__be32 from, to;
	__be16 port;
	u16 each;		/* bytes of each datagram but the last */
	u16 segs;
	bool full;		/* nothing may follow: the last was shorter, for one */
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

/* The whole datagram, as bytes. */
static void gather(struct mxk_node *n, u8 *at)
{
	const struct mx_tx *tx = &n->tx;
	u8 *begin = at;

	memcpy(at, tx->hdr, tx->hdr_len);
	at += tx->hdr_len;
	for (u32 i = 0; i < tx->nsegs; i++) {
		const struct mx_seg *s = &tx->segs[i];

		if (s->kind == MX_SEG_BUF)
			n->buf->copy(at, s->buf, s->off, s->len);
		else
			memcpy(at, (u8 *)s->buf + s->off, s->len);
		at += s->len;
	}
	if (tx->sealed)
		mx_ep_seal(tx, begin);
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

static struct sk_buff *pack_new(struct mxk_node *n)
{
	const struct mx_tx *tx = &n->tx;
	struct sk_buff *skb;

	if (!tx->sealed && tx->nsegs) {
		skb = new_skb(n, tx->hdr_len);
		if (!skb)
			return NULL;
		skb_put_data(skb, tx->hdr, tx->hdr_len);
		if (by_reference(n, skb))
			return skb;
		kfree_skb(skb);
		n->stats.tx_copied++;
	}
	skb = new_skb(n, tx->len);
	if (skb)
		gather(n, skb_put(skb, tx->len));
	return skb;
}

/* Takes back the fragments from number @nr on. */
static void cut_frags(struct sk_buff *skb, int nr)
{
	struct skb_shared_info *si = skb_shinfo(skb);

	while (si->nr_frags > nr) {
		skb_frag_t *f = &si->frags[--si->nr_frags];
		u32 len = skb_frag_size(f);

		skb->len -= len;
		skb->data_len -= len;
		skb->truesize -= len;
		skb_frag_unref(skb, si->nr_frags);
	}
}

/* Bytes that are made here, as a fragment. */
static u8 *add_room(struct sk_buff *skb, u32 len)
{
	int i = skb_shinfo(skb)->nr_frags;
	u8 *at;

	if (i == MAX_SKB_FRAGS || len > PAGE_SIZE)
		return NULL;
	at = netdev_alloc_frag(SKB_DATA_ALIGN(len));
	if (at)
		skb_add_rx_frag(skb, i, virt_to_head_page(at), at - (u8 *)page_address(virt_to_head_page(at)),
				len, SKB_DATA_ALIGN(len));
	return at;
}

/* Appends the datagram to one that is to go to the same address. */
static bool pack_more(struct mxk_node *n, struct sk_buff *skb)
{
	const struct mx_tx *tx = &n->tx;
	struct send_cb *cb = send_cb(skb);
	int nr = skb_shinfo(skb)->nr_frags;
	bool linear = tx->sealed || !tx->nsegs;
	u8 *at;

	if (cb->full || tx->len > cb->each || skb->len + tx->len > GSO_BYTES ||
	    memcmp(&cb->to, tx->to.a, 4) || cb->port != htons(tx->to.port))
		return false;
	at = add_room(skb, linear ? tx->len : tx->hdr_len);
	if (!at)
		return false;
	if (linear) {
		gather(n, at);
	} else {
		memcpy(at, tx->hdr, tx->hdr_len);
		if (!by_reference(n, skb)) {
			cut_frags(skb, nr);
			return false;
		}
	}
	cb->full = tx->len < cb->each;
	cb->segs++;
	return true;
}

void mxk_udp_pack(struct mxk_node *n, struct sk_buff_head *out)
{
	const struct mx_tx *tx = &n->tx;
	struct sk_buff *skb = skb_peek_tail(out);
	struct mxk_route *r;
	struct send_cb *cb;

	if (skb && n->gso && pack_more(n, skb))
		return;
	r = route_to(n, &tx->to);
	if (!r) {
		n->stats.tx_noroute++;
		return;
	}
	skb = pack_new(n);
	/* If not: as good as lost on the way; whoever waits for it repeats it. */
	if (!skb)
		return;
	skb_dst_set(skb, dst_clone(&r->rt->dst));
	cb = send_cb(skb);
	cb->from = r->from;
	memcpy(&cb->to, tx->to.a, 4);
	cb->port = htons(tx->to.port);
	cb->each = (u16)tx->len;
	cb->segs = 1;
	/* A probe larger than the path: what followed would be lost with it. */
	cb->full = tx->len + sizeof(struct iphdr) + sizeof(struct udphdr) > dst_mtu(&r->rt->dst);
	__skb_queue_tail(out, skb);
}

static void send_one(struct mxk_node *n, struct sk_buff *skb)
{
	struct send_cb cb = *send_cb(skb);
	struct rtable *rt = skb_rtable(skb);
	struct udphdr *uh;

	memset(skb->cb, 0, sizeof(skb->cb));
	/* iptunnel_xmit() takes the reference over. */
	skb->_skb_refdst = 0;
	if (cb.segs > 1) {
		skb_shinfo(skb)->gso_size = cb.each;
		skb_shinfo(skb)->gso_segs = cb.segs;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	}
	__skb_push(skb, sizeof(*uh));
	skb_reset_transport_header(skb);
	uh = udp_hdr(skb);
	uh->source = htons(n->port_no);
	uh->dest = cb.port;
	uh->len = htons(skb->len);
	uh->check = 0;
	skb->ip_summed = CHECKSUM_PARTIAL;
	udp4_hwcsum(skb, cb.from, cb.to);
	/* Not to be cut by IP: a probe of the path that is too large must be lost. */
	iptunnel_xmit(n->sock->sk, rt, skb, cb.from, cb.to, IPPROTO_UDP, 0, ip4_dst_hoplimit(&rt->dst),
		      htons(IP_DF), false);
}

void mxk_udp_send(struct mxk_node *n, struct sk_buff_head *list)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(list)) != NULL)
		send_one(n, skb);
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
	mxk_rx(n, &from, skb, sizeof(struct udphdr), skb->len - sizeof(struct udphdr));
	return 0;
}

/*
 * Receiving already where the driver's poll hands frames to GRO: the socket has been
 * found and the checksum verified by then, and the way through IP (routing, the
 * firewall's input chain) is spared, as ESP in UDP does it. The address must be
 * looked at instead: the lookup for GRO also finds sockets for what is only
 * forwarded here.
 */
static bool is_local(struct mxk_node *n, __be32 addr)
{
	if (addr == READ_ONCE(n->local) && time_before(jiffies, READ_ONCE(n->local_until)))
		return true;
	if (inet_addr_type(n->net, addr) != RTN_LOCAL)
		return false;
	WRITE_ONCE(n->local, addr);
	WRITE_ONCE(n->local_until, jiffies + HZ);
	return true;
}

static struct sk_buff *gro_rcv(struct sock *sk, struct list_head *head, struct sk_buff *skb)
{
	struct mxk_node *n = rcu_dereference_sk_user_data(sk);
	u32 off = skb_gro_offset(skb), len;
	const struct iphdr *ip;
	const struct udphdr *uh;
	struct mx_addr from = { .fam = MX_FAM_IP4 };

	ip = skb_gro_header(skb, off, off - sizeof(*uh) - sizeof(*ip));
	if (!ip)
		goto normal;
	uh = (const struct udphdr *)(ip + 1);
	len = ntohs(uh->len);
	if (!n || skb->protocol != htons(ETH_P_IP) || ip->ihl != 5 || ip_is_fragment(ip) ||
	    len < sizeof(*uh) || off + len - sizeof(*uh) > skb->len || !is_local(n, ip->daddr))
		goto normal;
	from.port = ntohs(uh->source);
	memcpy(from.a, &ip->saddr, 4);
	mxk_rx(n, &from, skb, off, len - sizeof(*uh));
	return ERR_PTR(-EINPROGRESS);
normal:
	NAPI_GRO_CB(skb)->flush = 1;
	return NULL;
}

static int gro_done(struct sock *sk, struct sk_buff *skb, int nhoff)
{
	return 0;		/* nothing is ever held for us */
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
	n->gso = gso;
	if (gro && MXK_GRO_MAY_CONSUME) {
		tunnel.gro_receive = gro_rcv;
		tunnel.gro_complete = gro_done;
	}
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
