// SPDX-License-Identifier: GPL-2.0-or-later
/* Driving an endpoint: see node.h. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/dmi.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>
#include "core/wire.h"
#include "net/linux/key.h"
#include "net/linux/node.h"

/* ---- entering and leaving ---- */

mx_ns mxk_enter(struct mxk_node *n)
{
	spin_lock_bh(&n->lock);
	return ktime_get_ns();
}
EXPORT_SYMBOL_GPL(mxk_enter);

void mxk_add_after(struct mxk_node *n, struct mxk_after *a)
{
	list_add_tail(&a->node, &n->after);
}
EXPORT_SYMBOL_GPL(mxk_add_after);

/* A timer that fires too early only looks and goes on, so it is not moved back:
 * most deadlines are those of requests which are answered long before. */
static void arm(struct mxk_node *n)
{
	mx_ns at = mx_ep_deadline(n->ep);

	if (at >= n->armed || n->stopping)
		return;
	n->armed = at;
	hrtimer_start(&n->timer, ns_to_ktime(min_t(u64, at, KTIME_MAX)), HRTIMER_MODE_ABS_SOFT);
}

static void pack(struct mxk_node *n, mx_ns now, struct sk_buff_head *out)
{
	while (mx_ep_tx(n->ep, now, &n->tx))
		mxk_udp_pack(n, out);
}

static void run_after(struct list_head *list)
{
	struct mxk_after *a, *next;

	list_for_each_entry_safe(a, next, list, node) {
		list_del(&a->node);
		a->fn(a);
	}
}

void mxk_leave(struct mxk_node *n, mx_ns now)
{
	struct sk_buff_head out;
	LIST_HEAD(after);

	__skb_queue_head_init(&out);
	if (mx_ep_deadline(n->ep) <= now)
		mx_ep_step(n->ep, now);
	if (!n->may_send || n->may_send(n))
		pack(n, now, &out);
	arm(n);
	list_splice_init(&n->after, &after);
	/* Not _bh: softirqs stay off until all is sent, so that a reply is not
	 * handled in the middle of it, one frame deeper in the stack each time. */
	spin_unlock(&n->lock);
	mxk_udp_send(n, &out);
	run_after(&after);
	local_bh_enable();
}
EXPORT_SYMBOL_GPL(mxk_leave);

void mxk_leave_later(struct mxk_node *n)
{
	spin_unlock_bh(&n->lock);
}
EXPORT_SYMBOL_GPL(mxk_leave_later);

static enum hrtimer_restart timer_fn(struct hrtimer *t)
{
	struct mxk_node *n = container_of(t, struct mxk_node, timer);
	mx_ns now = mxk_enter(n);

	n->armed = MX_NEVER;
	mxk_leave(n, now);
	return HRTIMER_NORESTART;
}

/* ---- receiving ---- */

/*
 * The core wants a datagram in one piece, which it may write to when it is sealed.
 * Drivers deliver small frames in the linear part, or (once the stack has pulled
 * its headers) with all of the datagram in the first fragment: both are used in
 * place. The rest is copied.
 */
static u8 *in_one_piece(struct mxk_node *n, struct sk_buff *skb, u32 off, u32 len)
{
	if (skb_headlen(skb) >= off + len && !skb_cloned(skb))
		return skb->data + off;
	if (skb_headlen(skb) <= off && skb_shinfo(skb)->nr_frags == 1 && !skb_has_frag_list(skb) &&
	    !skb_has_shared_frag(skb) && !skb_cloned(skb))
		return (u8 *)skb_frag_address(&skb_shinfo(skb)->frags[0]) + off - skb_headlen(skb);
	n->stats.rx_copied++;
	return skb_copy_bits(skb, off, n->rx_buf, len) ? NULL : n->rx_buf;
}

/* A datagram: @len bytes of @skb from @off on. Takes the skb. In softirq. */
void mxk_rx(struct mxk_node *n, const struct mx_addr *from, struct sk_buff *skb, u32 off, u32 len)
{
	mx_ns now;
	u8 *p;

	if (len > MX_DGRAM_MAX) {
		kfree_skb(skb);
		return;
	}
	now = mxk_enter(n);
	if (!n->stopping && n->ep) {
		p = in_one_piece(n, skb, off, len);
		if (p)
			mx_ep_rx(n->ep, now, from, p, len);
		consume_skb(skb);
		mxk_leave(n, now);
		return;
	}
	spin_unlock_bh(&n->lock);
	kfree_skb(skb);
}

/* ---- life ---- */

/* As memxd: what is kept here is for whoever has the key, or for a network whose
 * users are all trusted. */
static int may_serve(const struct mxk_conf *c)
{
	bool all = !c->ifname || !*c->ifname;

	if (!c->serve || c->keyed || (!all && (c->trusted || !strcmp(c->ifname, "lo"))))
		return 0;
	pr_err("refusing to serve %s%s without a key: anybody who can reach it could read and overwrite what is kept here; give key=" MXK_KEY_DESC ", or say that a network is trusted, for instance trusted_interface=%s\n",
	       all ? "all interfaces" : "on ", all ? "" : c->ifname, all ? "eth1" : c->ifname);
	return -EPERM;
}

int mxk_init(struct mxk_node *n, const struct mxk_conf *c)
{
	int rc = may_serve(c);

	if (rc)
		return rc;
	memset(n, 0, sizeof(*n));
	spin_lock_init(&n->lock);
	INIT_LIST_HEAD(&n->after);
	n->starting = true;
	n->stopping = true;
	n->memalloc = c->memalloc;
	n->armed = MX_NEVER;
	n->net = &init_net;
	hrtimer_init(&n->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	n->timer.function = timer_fn;
	mxk_port_init(n);
	n->rx_buf = vmalloc(MX_DGRAM_MAX);
	if (!n->rx_buf)
		return -ENOMEM;
	rc = mxk_pages_init(n, c);
	if (rc)
		goto err_pages;
	rc = mxk_udp_open(n, c);
	if (rc)
		goto err_udp;
	return 0;
err_udp:
	mxk_pages_exit(n);
err_pages:
	vfree(n->rx_buf);
	return rc;
}
EXPORT_SYMBOL_GPL(mxk_init);

void mxk_start(struct mxk_node *n)
{
	mx_ns now = mxk_enter(n);

	n->starting = false;
	n->stopping = false;
	mxk_leave(n, now);
}
EXPORT_SYMBOL_GPL(mxk_start);

void mxk_stop(struct mxk_node *n)
{
	mx_ns now;

	if (n->ep && !n->stopping) {
		now = mxk_enter(n);
		mx_ep_bye(n->ep, now);
		mxk_leave(n, now);
	}
	spin_lock_bh(&n->lock);
	n->stopping = true;
	spin_unlock_bh(&n->lock);
	mxk_udp_close(n);
	hrtimer_cancel(&n->timer);
}
EXPORT_SYMBOL_GPL(mxk_stop);

void mxk_exit(struct mxk_node *n)
{
	mxk_routes_free(n);
	mxk_pages_exit(n);
	vfree(n->rx_buf);
}
EXPORT_SYMBOL_GPL(mxk_exit);

/* ---- words to values ---- */

int mxk_parse_addr(const char *text, struct mx_addr *a)
{
	const char *end;
	u16 port = MX_UDP_PORT;

	memset(a, 0, sizeof(*a));
	if (!in4_pton(text, -1, a->a, ':', &end) && !in4_pton(text, -1, a->a, -1, &end))
		return -EINVAL;
	if (*end == ':' && (kstrtou16(end + 1, 10, &port) || !port))
		return -EINVAL;
	a->fam = MX_FAM_IP4;
	a->port = port;
	return 0;
}
EXPORT_SYMBOL_GPL(mxk_parse_addr);

void mxk_identify(struct mx_node *node, const char *name)
{
	char *p;

	get_random_bytes(&node->id, sizeof(node->id));
	get_random_bytes(&node->incarnation, sizeof(node->incarnation));
	strscpy(node->name, name && *name ? name : init_utsname()->nodename, sizeof(node->name));
	for (p = node->name; *p; p++)
		if (!isalnum(*p) && !strchr("._:+@-", *p))
			*p = '_';
}
EXPORT_SYMBOL_GPL(mxk_identify);

bool mxk_lasting_id(struct mx_node *node, u16 port)
{
	const char *uuid = dmi_get_system_info(DMI_PRODUCT_UUID);
	struct {
		char name[sizeof(node->name)];
		u8 port[2];
	} what = { .port = { port & 0xff, port >> 8 } };
	u8 out[32];

	if (!uuid)
		return false;
	strscpy(what.name, node->name, sizeof(what.name));
	mx_hmac_sha256(out, uuid, strlen(uuid), &what, sizeof(what));
	node->id = mx_ld64(out);
	return true;
}
EXPORT_SYMBOL_GPL(mxk_lasting_id);
