// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets over UDP or raw Ethernet, many in one trip: see batch.h. */
#define pr_fmt(fmt) "memx-limit-batch: " fmt
#include <linux/etherdevice.h>
#include <linux/if_ether.h>
#include <linux/inet.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <net/gro.h>
#include <net/ip.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include "batch.h"

static char *carrier = "udp", *iface = "eth0";
module_param(carrier, charp, 0444);
module_param(iface, charp, 0444);

#define PORT		7791
#define ETHERTYPE	0x88b6		/* for local experiments */
#define HEADROOM	(LL_MAX_HEADER + sizeof(struct iphdr) + sizeof(struct udphdr))
#define HEADS_BYTES	1400u		/* of a packet */
#define JOIN_BYTES	60000u
#define JOIN_MAX	64u
/* A type of offload that no device has: it is always taken apart here. */
#define JOINED		SKB_GSO_TUNNEL_REMCSUM

struct join_cb {
	struct sk_buff *last;
	u32 count;
	u32 each;			/* bytes of the first */
};

static bool raw;
static struct socket *sock;
static struct net_device *dev;
/* The one used last. */
static DEFINE_SPINLOCK(route_lock);
static struct rtable *route;
static __be32 route_from, route_to;

/* ---- making packets ---- */

static u32 room(void)
{
	return raw ? mtu : mtu - sizeof(struct iphdr) - sizeof(struct udphdr);
}

u32 carrier_units(void)
{
	u32 left = room() - sizeof(struct packet_head), units;

	units = (left - HEAD_SMALL) / UNIT;
	if (units > 4)
		units = max_t(u32, 4, (left - sizeof(struct head)) / UNIT);
	return min_t(u32, units, HEAD_CRCS * BLOCK / UNIT);
}

void batch_init(struct batch *b, const struct whom *to)
{
	b->to = *to;
	b->cur = NULL;
	__skb_queue_head_init(&b->out);
}

static struct join_cb *join_cb(struct sk_buff *skb)
{
	return (struct join_cb *)skb->cb;
}

/* It goes in the list of the one before, if there is room. */
static void complete_cur(struct batch *b)
{
	struct sk_buff *skb = b->cur, *head = skb_peek_tail(&b->out);
	struct join_cb *cb;

	b->cur = NULL;
	((struct packet_head *)skb->data)->len = skb->len;
	if (head && head->len + skb->len < JOIN_BYTES && join_cb(head)->count < JOIN_MAX) {
		cb = join_cb(head);
		if (cb->count++ == 1)
			skb_shinfo(head)->frag_list = skb;
		else
			cb->last->next = skb;
		cb->last = skb;
		head->len += skb->len;
		head->data_len += skb->len;
		head->truesize += skb->truesize;
		return;
	}
	*join_cb(skb) = (struct join_cb){ .count = 1, .each = skb->len };
	__skb_queue_tail(&b->out, skb);
}

static bool fits(const struct sk_buff *skb, u32 hlen, u32 dlen)
{
	u32 frags = skb_shinfo(skb)->nr_frags + DIV_ROUND_UP(dlen, PAGE_SIZE) + !!dlen;

	return skb->len + hlen + dlen <= room() && skb_headlen(skb) + hlen <= HEADS_BYTES &&
	       frags <= MAX_SKB_FRAGS;
}

static struct sk_buff *new_packet(void)
{
	struct sk_buff *skb = alloc_skb(HEADROOM + HEADS_BYTES, GFP_ATOMIC);

	if (!skb)
		return NULL;
	skb_reserve(skb, HEADROOM);
	skb_put_zero(skb, sizeof(struct packet_head));
	return skb;
}

/* Data may have been added already, so skb_put() does not do. */
static void *put_head(struct sk_buff *skb, u32 len)
{
	void *at = skb_tail_pointer(skb);

	skb->tail += len;
	skb->len += len;
	return at;
}

void batch_add(struct batch *b, const struct head *h, struct page *const *pages, u32 off)
{
	u32 hlen = head_len(h->units), left = h->units * UNIT;

	if (b->cur && !fits(b->cur, hlen, left))
		complete_cur(b);
	if (!b->cur)
		b->cur = new_packet();
	if (!b->cur)
		return;
	memcpy(put_head(b->cur, hlen), h, hlen);
	((struct packet_head *)b->cur->data)->heads++;
	while (left) {
		struct page *p = pages[off >> PAGE_SHIFT];
		u32 len = min_t(u32, left, PAGE_SIZE - offset_in_page(off));

		get_page(p);
		skb_add_rx_frag(b->cur, skb_shinfo(b->cur)->nr_frags, p, offset_in_page(off), len,
				len);
		off += len;
		left -= len;
	}
}

/* ---- sending ---- */

static struct rtable *look_up(__be32 to)
{
	struct flowi4 fl = { .flowi4_proto = IPPROTO_UDP, .daddr = to };

	if (route && to == route_to && dst_check(&route->dst, 0))
		return route;
	if (route)
		ip_rt_put(route);
	route = ip_route_output_key(&init_net, &fl);
	if (IS_ERR(route))
		route = NULL;
	route_from = fl.saddr;
	route_to = to;
	return route;
}

static bool find_route(struct batch *b)
{
	spin_lock(&route_lock);
	b->route = look_up(b->to.addr);
	b->from = route_from;
	if (b->route)
		dst_hold(&b->route->dst);
	spin_unlock(&route_lock);
	return b->route;
}

static void put_udp(struct sk_buff *skb, u32 len, const struct batch *b)
{
	struct udphdr *uh;

	__skb_push(skb, sizeof(*uh));
	skb_reset_transport_header(skb);
	uh = udp_hdr(skb);
	uh->source = htons(PORT);
	uh->dest = b->to.port;
	uh->len = htons(skb->len);
	uh->check = ~csum_tcpudp_magic(b->from, b->to.addr, len + sizeof(*uh), IPPROTO_UDP, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
}

/* What is in the list brings its heads with it, and data begins after them. */
static void put_in_list(struct sk_buff *skb, const struct batch *b)
{
	u32 len = skb->len;

	put_udp(skb, len, b);
	__skb_push(skb, sizeof(struct iphdr));
	skb_reset_network_header(skb);
	*ip_hdr(skb) = (struct iphdr){
		.version = 4, .ihl = 5, .frag_off = htons(IP_DF), .ttl = 64,
		.protocol = IPPROTO_UDP, .saddr = b->from, .daddr = b->to.addr,
	};
	__skb_pull(skb, skb->len - len);
}

static void send_udp(struct sk_buff *skb, const struct batch *b)
{
	struct join_cb cb = *join_cb(skb);
	struct sk_buff *f;

	memset(skb->cb, 0, sizeof(skb->cb));
	put_udp(skb, cb.each, b);
	if (cb.count > 1) {
		skb_shinfo(skb)->gso_size = cb.each;
		skb_shinfo(skb)->gso_segs = cb.count;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4 | SKB_GSO_FRAGLIST;
		skb_walk_frags(skb, f)
			put_in_list(f, b);
	}
	dst_hold(&b->route->dst);
	iptunnel_xmit(sock->sk, b->route, skb, b->from, b->to.addr, IPPROTO_UDP, 0, 64,
		      htons(IP_DF), false);
}

static void send_raw(struct sk_buff *skb, const struct whom *to)
{
	struct join_cb cb = *join_cb(skb);
	struct sk_buff *f;

	memset(skb->cb, 0, sizeof(skb->cb));
	skb->dev = dev;
	skb->protocol = htons(ETHERTYPE);
	skb_reset_network_header(skb);
	if (cb.count > 1) {
		skb_shinfo(skb)->gso_size = cb.each;
		skb_shinfo(skb)->gso_segs = cb.count;
		skb_shinfo(skb)->gso_type = JOINED;
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		skb_walk_frags(skb, f)
			skb_reset_network_header(f);
	}
	if (dev_hard_header(skb, dev, ETHERTYPE, to->mac, NULL, skb->len) < 0)
		kfree_skb(skb);
	else
		dev_queue_xmit(skb);
}

void batch_send(struct batch *b)
{
	struct sk_buff *skb;

	if (b->cur)
		complete_cur(b);
	if (skb_queue_empty(&b->out))
		return;
	if (!raw && !find_route(b)) {
		__skb_queue_purge(&b->out);
		return;
	}
	while ((skb = __skb_dequeue(&b->out)) != NULL) {
		if (raw)
			send_raw(skb, &b->to);
		else
			send_udp(skb, b);
	}
	if (!raw)
		ip_rt_put(b->route);
}

/* ---- receiving: raw ---- */

static void raw_one(struct sk_buff *skb, struct batch *b)
{
	if (skb->pkt_type == PACKET_HOST)
		received(skb, 0, b);
	consume_skb(skb);
}

static void raw_batch(struct batch *b, const struct sk_buff *skb)
{
	struct whom from = { 0 };

	ether_addr_copy(from.mac, eth_hdr(skb)->h_source);
	batch_init(b, &from);
}

static int raw_rcv(struct sk_buff *skb, struct net_device *in, struct packet_type *pt,
		   struct net_device *orig)
{
	struct batch b;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb)
		return 0;
	raw_batch(&b, skb);
	receive_begin();
	raw_one(skb, &b);
	receive_end();
	batch_send(&b);
	return 0;
}

static void raw_rcv_list(struct list_head *list, struct packet_type *pt, struct net_device *orig)
{
	struct sk_buff *skb, *next;
	struct batch b;

	raw_batch(&b, list_first_entry(list, struct sk_buff, list));
	receive_begin();
	list_for_each_entry_safe(skb, next, list, list) {
		skb_list_del_init(skb);
		skb = skb_share_check(skb, GFP_ATOMIC);
		if (skb)
			raw_one(skb, &b);
	}
	receive_end();
	batch_send(&b);
}

static struct packet_type raw_type = {
	.type = htons(ETHERTYPE), .func = raw_rcv, .list_func = raw_rcv_list,
	.ignore_outgoing = true,
};

static struct sk_buff *take_apart(struct sk_buff *skb, netdev_features_t features)
{
	if (skb_shinfo(skb)->gso_type != JOINED)
		return ERR_PTR(-EINVAL);
	return skb_segment_list(skb, features, skb_mac_header_len(skb));
}

static struct packet_offload offload = {
	.type = htons(ETHERTYPE), .callbacks = { .gso_segment = take_apart },
};

/* ---- receiving: UDP ---- */

static int encap_rcv(struct sock *sk, struct sk_buff *skb)
{
	struct whom from = { .addr = ip_hdr(skb)->saddr, .port = udp_hdr(skb)->source };
	struct sk_buff *f;
	struct batch b;

	batch_init(&b, &from);
	receive_begin();
	received(skb, sizeof(struct udphdr), &b);
	if (skb_is_gso(skb))
		skb_walk_frags(skb, f)
			received(f, 0, &b);
	receive_end();
	consume_skb(skb);
	batch_send(&b);
	return 0;
}

/* Those of one poll of the device, from one peer: one after the other in a list. */
static struct sk_buff *gro_receive(struct sock *sk, struct list_head *head, struct sk_buff *skb)
{
	u32 off = skb_gro_offset(skb);
	struct sk_buff *p;

	list_for_each_entry(p, head, list) {
		if (!NAPI_GRO_CB(p)->same_flow)
			continue;
		if (NAPI_GRO_CB(p)->flush || NAPI_GRO_CB(p)->count >= JOIN_MAX ||
		    p->len + skb_gro_len(skb) > JOIN_BYTES || !pskb_may_pull(skb, off))
			return p;
		__skb_pull(skb, off);
		if (NAPI_GRO_CB(p)->last == p)
			skb_shinfo(p)->frag_list = skb;
		else
			NAPI_GRO_CB(p)->last->next = skb;
		NAPI_GRO_CB(p)->last = skb;
		NAPI_GRO_CB(p)->count++;
		p->data_len += skb->len;
		p->truesize += skb->truesize;
		p->len += skb->len;
		NAPI_GRO_CB(skb)->same_flow = 1;
		return NULL;
	}
	return NULL;
}

static int gro_complete(struct sock *sk, struct sk_buff *skb, int nhoff)
{
	skb_shinfo(skb)->gso_segs = NAPI_GRO_CB(skb)->count;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = 0;
	skb->encapsulation = 0;
	return 0;
}

/* ---- life ---- */

static int open_udp(const char *peer, struct whom *to)
{
	struct udp_port_cfg conf = { .family = AF_INET, .local_udp_port = htons(PORT),
				     .use_udp_checksums = 1 };
	struct udp_tunnel_sock_cfg tunnel = {
		.sk_user_data = &route_lock, .encap_type = 1, .encap_rcv = encap_rcv,
		.gro_receive = gro_receive, .gro_complete = gro_complete,
	};
	int rc = udp_sock_create(&init_net, &conf, &sock);

	to->addr = in_aton(peer);
	to->port = htons(PORT);
	if (!rc)
		setup_udp_tunnel_sock(&init_net, sock, &tunnel);
	return rc;
}

static int open_raw(const char *peer, struct whom *to)
{
	if (*peer && !mac_pton(peer, to->mac))
		return -EINVAL;
	dev = dev_get_by_name(&init_net, iface);
	if (!dev)
		return -ENODEV;
	raw_type.dev = dev;
	dev_add_offload(&offload);
	dev_add_pack(&raw_type);
	return 0;
}

int carrier_open(const char *peer, struct whom *to)
{
	memset(to, 0, sizeof(*to));
	raw = !strcmp(carrier, "raw");
	return raw ? open_raw(peer, to) : open_udp(peer, to);
}

void carrier_close(void)
{
	if (sock) {
		udp_tunnel_sock_release(sock);
		synchronize_net();
	}
	if (dev) {
		dev_remove_pack(&raw_type);
		dev_remove_offload(&offload);
		dev_put(dev);
	}
	if (route)
		ip_rt_put(route);
}
