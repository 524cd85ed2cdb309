// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagrams and skbs: what the core hands out becomes skbs that refer to the pages of
 * requests and of the store; what came is shown to the core where it lies.
 */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include "core/wire.h"
#include "net/linux/carrier.h"
#include "net/linux/compat.h"

/* A run of bytes this short costs less to copy than to refer to. */
#define COPY_BELOW	256u

static bool gso = true;
module_param(gso, bool, 0644);
MODULE_PARM_DESC(gso, "send datagrams that belong together in one pass through the stack (default on)");

/* ---- packing ---- */

/*
 * Datagrams to one address that follow each other make one skb, which goes through
 * the stack once and becomes several at the device. There are two ways:
 *  - Each datagram is an skb of its own, and those after the first are in its list
 *    (mxk_join). They are only unlinked at the device, and may differ in length.
 *    So do raw Ethernet, and UDP where the device cannot cut.
 *  - Where the device takes UDP_L4 segmentation offload they are the fragments of one
 *    skb, equally long but for the last, and the device does the cutting.
 */
#define GSO_BYTES	61440u

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
	skb = mxk_heads_skb(n, MXK_HEADROOM + linear);
	if (!skb) {
		n->stats.tx_alloc++;
		skb = alloc_skb(MXK_HEADROOM + linear, gfp);
	}
	if (!skb) {
		n->stats.tx_nomem++;
		return NULL;
	}
	skb_reserve(skb, MXK_HEADROOM);
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
	struct page *p;
	u8 *at;

	if (i == MAX_SKB_FRAGS || len > PAGE_SIZE)
		return NULL;
	at = netdev_alloc_frag(SKB_DATA_ALIGN(len));
	if (!at)
		return NULL;
	p = virt_to_head_page(at);
	skb_add_rx_frag(skb, i, p, at - (u8 *)page_address(p), len, SKB_DATA_ALIGN(len));
	return at;
}

/* Appends the datagram to one that is to go to the same address. */
static bool pack_more(struct mxk_node *n, struct sk_buff *skb)
{
	const struct mx_tx *tx = &n->tx;
	struct mxk_send *cb = mxk_send_cb(skb);
	int nr = skb_shinfo(skb)->nr_frags;
	bool linear = tx->sealed || !tx->nsegs;
	u8 *at;

	if (cb->full || tx->len > cb->each || skb->len + tx->len > GSO_BYTES)
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

/* A probe larger than the path: what followed in the skb would be lost with it. */
static bool too_large(const struct mx_tx *tx, const struct net_device *dev)
{
	u32 ip = tx->to.fam == MX_FAM_IP4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	return tx->len + sizeof(struct udphdr) + ip > READ_ONCE(dev->mtu);
}

/* When what is cut there cannot be summed any more, the device has to do it. */
static bool cuts_lists(const struct net_device *dev, u8 fam)
{
	netdev_features_t sums = NETIF_F_HW_CSUM |
		(fam == MX_FAM_IP4 ? NETIF_F_IP_CSUM : NETIF_F_IPV6_CSUM);

	return !(dev->features & NETIF_F_GSO_UDP_L4) && dev->features & sums;
}

/* The way there, for the skb and its cb. */
static bool address_udp(struct mxk_node *n, struct sk_buff *skb)
{
	struct mxk_route *r = mxk_route_to(n, &n->tx.to, mxk_is_session(n->tx.hdr));
	struct mxk_send *cb = mxk_send_cb(skb);

	if (!r)
		return false;
	skb_dst_set(skb, dst_clone(r->dst));
	memcpy(cb->from, r->from, sizeof(cb->from));
	cb->full = too_large(&n->tx, r->dst->dev);
	cb->list = cuts_lists(r->dst->dev, cb->fam);
	return true;
}

/* Too large for the interface: lost, as on the way. */
static bool address_raw(struct mxk_node *n, struct sk_buff *skb)
{
	struct net_device *dev = n->dev;

	if (!dev || n->tx.len + MXK_RAW_HEAD > READ_ONCE(dev->mtu))
		return false;
	skb->dev = dev;
	/* What goes back to us is received as it is. */
	mxk_send_cb(skb)->full = ether_addr_equal(n->tx.to.a, dev->dev_addr);
	mxk_raw_head(skb);
	return true;
}

static void fill_cb(const struct mx_tx *tx, struct mxk_send *cb)
{
	memset(cb, 0, sizeof(*cb));
	memcpy(cb->to, tx->to.a, sizeof(cb->to));
	cb->fam = tx->to.fam;
	cb->port = htons(tx->to.port);
	cb->each = (u16)tx->len;
	cb->segs = 1;
	cb->session = mxk_is_session(tx->hdr);
}

static bool same_way(const struct sk_buff *skb, const struct mx_tx *tx)
{
	const struct mxk_send *cb = (const struct mxk_send *)skb->cb;

	return cb->fam == tx->to.fam && cb->port == htons(tx->to.port) &&
	       cb->session == mxk_is_session(tx->hdr) && !memcmp(cb->to, tx->to.a, sizeof(cb->to));
}

bool mxk_join(struct sk_buff *skb, struct sk_buff *next)
{
	struct mxk_send *cb = mxk_send_cb(skb);

	if (cb->full || skb->len + next->len > MXK_JOIN_BYTES || cb->segs == MXK_JOIN_MAX)
		return false;
	if (cb->segs == 1)
		skb_shinfo(skb)->frag_list = next;
	else
		cb->last->next = next;
	cb->last = next;
	cb->segs++;
	skb->len += next->len;
	skb->data_len += next->len;
	skb->truesize += next->truesize;
	return true;
}

/* Has @skb its way, and what it needs to go it? If not it is lost. */
static bool address(struct mxk_node *n, struct sk_buff *skb)
{
	bool ok = n->tx.to.fam == MX_FAM_ETH ? address_raw(n, skb) : address_udp(n, skb);

	if (!ok) {
		n->stats.tx_noroute++;
		kfree_skb(skb);
	}
	return ok;
}

void mxk_pack(struct mxk_node *n)
{
	const struct mx_tx *tx = &n->tx;
	bool raw = tx->to.fam == MX_FAM_ETH;
	struct sk_buff *before = gso ? skb_peek_tail(&n->out) : NULL, *skb;

	if (n->serve && !raw && !mxk_is_session(tx->hdr))
		mxk_group_choose(n, &n->tx.to);
	if (before && !same_way(before, tx))
		before = NULL;
	if (before && !raw && !mxk_send_cb(before)->list) {
		if (pack_more(n, before))
			return;
		before = NULL;
	}
	skb = pack_new(n);
	/* If not: as good as lost on the way; whoever waits for it repeats it. */
	if (!skb)
		return;
	fill_cb(tx, mxk_send_cb(skb));
	/* What joins one over UDP needs no way of its own. */
	if (before && !raw && !too_large(tx, skb_dst(before)->dev) && mxk_join(before, skb))
		return;
	if (!address(n, skb) || (before && raw && before->dev == skb->dev && mxk_join(before, skb)))
		return;
	__skb_queue_tail(&n->out, skb);
}

void mxk_send(struct mxk_node *n, struct sk_buff *skb)
{
	if (mxk_send_cb(skb)->fam == MX_FAM_ETH)
		mxk_raw_send(n, skb);
	else
		mxk_udp_send(n, skb);
}

/* ---- unpacking ---- */

static u8 *copied(struct mxk_node *n, const struct sk_buff *skb, u32 off, u32 len)
{
	n->stats.rx_copied++;
	return skb_copy_bits(skb, off, n->rx_buf, len) ? NULL : n->rx_buf;
}

/* A page of a file, say, which somebody on this machine sends without a copy. */
static bool is_others(const skb_frag_t *f)
{
	return READ_ONCE(compound_head(skb_frag_page(f))->mapping);
}

/*
 * The core wants a datagram in one piece, which it may write to when it is sealed.
 * Drivers deliver small frames in the linear part, or (once the stack has pulled
 * its headers) with all of the datagram in the first fragment: both are used in
 * place. The rest is copied.
 */
static u8 *in_one_piece(struct mxk_node *n, struct sk_buff *skb, u32 off, u32 len)
{
	u32 linear = skb_headlen(skb);
	const skb_frag_t *f = skb_shinfo(skb)->frags;

	if (linear >= off + len)
		return skb->data + off;
	if (linear <= off && skb_shinfo(skb)->nr_frags && off - linear + len <= skb_frag_size(f) &&
	    !skb_has_shared_frag(skb) && !is_others(f))
		return (u8 *)skb_frag_address(f) + off - linear;
	return copied(n, skb, off, len);
}

bool mxk_unpack(struct mxk_node *n, mx_ns now, const struct mx_addr *from, struct sk_buff *skb,
		bool shared, u32 off, u32 len)
{
	u8 *p;

	if (len > MX_DGRAM_MAX)
		return false;
	p = shared ? copied(n, skb, off, len) : in_one_piece(n, skb, off, len);
	return p && !mx_ep_rx(n->ep, now, from, p, len) && mxk_is_session(p);
}

/* By way of the stack's cache of skbs, from which those that are sent come. */
void mxk_free_received(struct sk_buff *skb)
{
	struct sk_buff *f, *next;

	/* Of one that somebody else has, too, the list is theirs as well. */
	if (!skb_shared(skb) && !skb_cloned(skb)) {
		f = skb_shinfo(skb)->frag_list;
		skb_shinfo(skb)->frag_list = NULL;
		for (; f; f = next) {
			next = f->next;
			skb_mark_not_on_list(f);
			napi_consume_skb(f, 1);
		}
	}
	napi_consume_skb(skb, 1);
}

void mxk_unpacked(struct mxk_node *n, mx_ns now, u32 *count)
{
	if (++*count % MXK_UNPACK_RUN == 0)
		mxk_pack_all(n, now);
}
