// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw Ethernet: EtherType MX_ETHERTYPE, for machines on one segment. A frame is a
 * head of 4 bytes (length of the datagram, zero) and the datagram, because short
 * frames are padded on their way.
 *
 * Under memory pressure frames arrive in buffers of the emergency reserves. Linux
 * hands those to nobody but ARP, IP and VLAN, so that a machine that swaps over this
 * carrier would lose just the answers it needs. A hook of the device's netfilter
 * ingress comes before that test: nodes that may use the reserves take such frames
 * there, a clone each, and only such frames.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_netdev.h>
#include <net/gro.h>
#include "core/wire.h"
#include "net/linux/carrier.h"

/* ---- sending ---- */

/*
 * Frames for one address make one skb on their way to the device, the first with the
 * others in its list (segmentation offload): one way through the queueing discipline,
 * and one kick of the device. Beside that of a list it has a type of offload that no
 * device has, so that it is always taken apart there, here.
 */
#define JOINED		(SKB_GSO_FRAGLIST | SKB_GSO_TUNNEL_REMCSUM)

static struct sk_buff *take_apart(struct sk_buff *skb, netdev_features_t features)
{
	if (skb_shinfo(skb)->gso_type != JOINED)
		return ERR_PTR(-EINVAL);
	return skb_segment_list(skb, features, skb_mac_header_len(skb));
}

/*
 * What one poll of the device brought for us from one address makes one skb as well, the
 * first with the others in its list. Those of @head with same_flow have its addresses.
 */
static struct sk_buff *join_received(struct list_head *head, struct sk_buff *skb)
{
	struct sk_buff *p;

	if (NAPI_GRO_CB(skb)->flush || !mxk_gro ||
	    !ether_addr_equal_64bits(eth_hdr(skb)->h_dest, skb->dev->dev_addr)) {
		NAPI_GRO_CB(skb)->flush = 1;
		return NULL;
	}
	list_for_each_entry(p, head, list)
		if (NAPI_GRO_CB(p)->same_flow)
			return mxk_gro_join(p, skb) ? NULL : p;
	return NULL;
}

/* Should it be sent on, by a bridge for instance, it is taken apart for that. */
static int joined(struct sk_buff *skb, int nhoff)
{
	skb_shinfo(skb)->gso_type = JOINED;
	skb_shinfo(skb)->gso_segs = NAPI_GRO_CB(skb)->count;
	return 0;
}

static struct packet_offload offload = {
	.type = htons(MX_ETHERTYPE), .callbacks = {
		.gso_segment = take_apart, .gro_receive = join_received, .gro_complete = joined,
	},
};

void mxk_raw_init(void)
{
	dev_add_offload(&offload);
}

void mxk_raw_exit(void)
{
	dev_remove_offload(&offload);
}

void mxk_raw_head(struct sk_buff *skb)
{
	u32 len = skb->len;
	u8 *head = __skb_push(skb, MXK_RAW_HEAD);

	mx_st16(head, len);
	mx_st16(head + 2, 0);
	skb_reset_network_header(skb);
}

/* No interface loops back what it is told to send. */
static void send_to_self(struct sk_buff *skb, struct net_device *dev)
{
	skb->protocol = eth_type_trans(skb, dev);
	netif_rx(skb);
}

void mxk_raw_send(struct mxk_node *n, struct sk_buff *skb)
{
	struct mxk_send s = *mxk_send_cb(skb);
	struct net_device *dev = skb->dev;

	memset(skb->cb, 0, sizeof(skb->cb));
	skb->protocol = htons(MX_ETHERTYPE);
	if (s.segs > 1) {
		skb_shinfo(skb)->gso_size = s.each + MXK_RAW_HEAD;
		skb_shinfo(skb)->gso_segs = s.segs;
		skb_shinfo(skb)->gso_type = JOINED;
		skb->ip_summed = CHECKSUM_UNNECESSARY;	/* there is none */
	}
	if (dev_hard_header(skb, dev, MX_ETHERTYPE, s.to, NULL, skb->len) < 0)
		kfree_skb(skb);
	else if (ether_addr_equal(s.to, dev->dev_addr))
		send_to_self(skb, dev);
	else
		dev_queue_xmit(skb);
}

/* ---- receiving ---- */

/* A frame of @len bytes, the padding included; @shared: see mxk_unpack(). */
static void unpack_frame(struct mxk_node *n, mx_ns now, const struct mx_addr *from,
			 struct sk_buff *skb, bool shared, u32 len)
{
	u8 room[MXK_RAW_HEAD];
	const u8 *head = skb_header_pointer(skb, 0, sizeof(room), room);
	u32 dgram;

	if (!head || len < MXK_RAW_HEAD)
		return;
	dgram = mx_ld16(head);
	if (dgram <= len - MXK_RAW_HEAD)
		mxk_unpack(n, now, from, skb, shared, MXK_RAW_HEAD, dgram);
}

/* @skb and what was joined to it; *@count: how many since something was sent. */
static void unpack_frames(struct mxk_node *n, mx_ns now, struct sk_buff *skb, u32 *count)
{
	struct mx_addr from = { .fam = MX_FAM_ETH };
	bool shared = skb_cloned(skb);
	struct sk_buff *f;

	if (skb->pkt_type == PACKET_OTHERHOST)
		return;
	ether_addr_copy(from.a, eth_hdr(skb)->h_source);
	n->stats.rx_joined += skb_has_frag_list(skb);
	unpack_frame(n, now, &from, skb, shared, skb_pagelen(skb));
	mxk_unpacked(n, now, count);
	skb_walk_frags(skb, f) {
		unpack_frame(n, now, &from, f, shared, f->len);
		mxk_unpacked(n, now, count);
	}
}

void mxk_raw_take(struct mxk_node *n, struct sk_buff *skb)
{
	u32 count = 0;
	mx_ns now;

	if (mxk_rx_begin(n, &now)) {
		unpack_frames(n, now, skb, &count);
		mxk_leave(n, now);
	}
	mxk_free_received(skb);
}

static void receive(struct mxk_node *n, struct sk_buff *skb)
{
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (skb && !mxk_put_off(n, skb))
		mxk_raw_take(n, skb);
}

/* Handlers are also called for what a device above took, a VLAN for one: not ours. */
static bool is_for(const struct sk_buff *skb, const struct packet_type *pt)
{
	return skb->dev == pt->dev;
}

static int raw_rcv(struct sk_buff *skb, struct net_device *dev, struct packet_type *pt,
		   struct net_device *orig)
{
	if (is_for(skb, pt))
		receive(container_of(pt, struct mxk_node, raw_type), skb);
	else
		kfree_skb(skb);
	return 0;
}

/* One lock, and one round of answers, for all that the stack has at hand. */
static void raw_rcv_list(struct list_head *list, struct packet_type *pt, struct net_device *orig)
{
	struct mxk_node *n = container_of(pt, struct mxk_node, raw_type);
	struct sk_buff *skb, *next;
	u32 count = 0;
	mx_ns now;
	bool on = mxk_rx_begin(n, &now);

	list_for_each_entry_safe(skb, next, list, list) {
		skb_list_del_init(skb);
		if (!is_for(skb, pt)) {
			kfree_skb(skb);
			continue;
		}
		skb = skb_share_check(skb, GFP_ATOMIC);
		if (!skb || mxk_put_off(n, skb))
			continue;
		if (on)
			unpack_frames(n, now, skb, &count);
		mxk_free_received(skb);
	}
	if (on)
		mxk_leave(n, now);
}

#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
/* A frame for a VLAN, a bond or a bridge has met the test at the device below. */
static void warn_if_stacked(const struct net_device *dev)
{
	if (!list_empty(&dev->adj_list.lower))
		pr_warn("%s stands on another interface: do not swap over raw Ethernet on it, but on the one below, or over UDP\n",
			dev->name);
}

static unsigned int ingress(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct mxk_node *n = priv;

	/* With a tag it is for a VLAN above. */
	if (!skb_pfmemalloc(skb) || skb->protocol != htons(MX_ETHERTYPE) ||
	    (skb_vlan_tag_present(skb) && skb_vlan_tag_get_id(skb)))
		return NF_ACCEPT;
	/* Every node of this interface has a hook: each takes a clone, and the skb itself
	 * is dropped where such are. */
	skb = skb_clone(skb, GFP_ATOMIC);
	if (skb) {
		n->stats.rx_reserve++;
		receive(n, skb);
	}
	return NF_ACCEPT;
}

static int hook(struct mxk_node *n, struct net_device *dev)
{
	warn_if_stacked(dev);
	n->raw_hook = (struct nf_hook_ops){
		.hook = ingress, .priv = n, .pf = NFPROTO_NETDEV, .hooknum = NF_NETDEV_INGRESS,
		.dev = dev, .priority = INT_MAX,	/* after the machine's own rules */
	};
	return nf_register_net_hook(n->net, &n->raw_hook);
}

static void unhook(struct mxk_node *n)
{
	nf_unregister_net_hook(n->net, &n->raw_hook);
}
#else
static int hook(struct mxk_node *n, struct net_device *dev)
{
	pr_warn("this kernel has no NETFILTER_INGRESS: do not swap over raw Ethernet\n");
	return 0;
}

static void unhook(struct mxk_node *n) { }
#endif

/* ---- the interface ---- */

int mxk_raw_check(const struct net_device *dev)
{
	if (dev->type != ARPHRD_ETHER) {
		pr_err("%s is not an Ethernet interface; use UDP on it\n", dev->name);
		return -EMEDIUMTYPE;
	}
	if (!(dev->flags & IFF_UP)) {
		pr_err("%s is down; `ip link set %s up` first\n", dev->name, dev->name);
		return -ENETDOWN;
	}
	if (dev->mtu < MX_DGRAM_MIN + MXK_RAW_HEAD) {
		pr_err("the MTU of %s is %u; MemX needs %u at least\n", dev->name, dev->mtu,
		       MX_DGRAM_MIN + MXK_RAW_HEAD);
		return -EMSGSIZE;
	}
	return 0;
}

int mxk_raw_attach(struct mxk_node *n, struct net_device *dev)
{
	int rc = n->memalloc ? hook(n, dev) : 0;

	if (rc)
		return rc;
	n->raw_type = (struct packet_type){
		.type = htons(MX_ETHERTYPE), .dev = dev, .func = raw_rcv,
		.list_func = raw_rcv_list, .ignore_outgoing = true,
	};
	dev_hold(dev);
	spin_lock_bh(&n->lock);
	n->dev = dev;
	spin_unlock_bh(&n->lock);
	dev_add_pack(&n->raw_type);
	return 0;
}

void mxk_raw_detach(struct mxk_node *n)
{
	struct net_device *dev = n->dev;

	if (!dev)
		return;
	spin_lock_bh(&n->lock);
	n->dev = NULL;
	spin_unlock_bh(&n->lock);
	if (n->memalloc)
		unhook(n);
	/* Waits for receivers, and for those who send what was packed before. */
	dev_remove_pack(&n->raw_type);
	dev_put(dev);
}
