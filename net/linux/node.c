// SPDX-License-Identifier: GPL-2.0-or-later
/* Driving an endpoint: see node.h. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/dmi.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/suspend.h>
#include <linux/slab.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>
#include "core/wire.h"
#include "net/linux/aes.h"
#include "net/linux/carrier.h"
#include "net/linux/key.h"

/* ---- entering and leaving ---- */

mx_ns mxk_enter(struct mxk_node *n)
{
	spin_lock_bh(&n->lock);
	return mxk_now();
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

/* ---- without the FPU ---- */

#define PUT_OFF_MAX	1024u		/* skbs: a receive ring or two */

/* WQ_MEM_RECLAIM: swapped pages may wait for it. */
static struct workqueue_struct *go_on_wq;

/*
 * Between the making of a hibernation image and its writing the network works again:
 * what is acknowledged then is not in the image, and a machine that resumes from it
 * would go on, under the same incarnation, with a store, with promises and with
 * packet numbers of before. So there is no image with a node in it.
 */
static DEFINE_MUTEX(nodes_lock);
static unsigned int nodes;
static bool hibernating;

static int pm_event(struct notifier_block *b, unsigned long what, void *unused)
{
	int rc = 0;

	mutex_lock(&nodes_lock);
	if (what == PM_HIBERNATION_PREPARE && nodes) {
		pr_err("hibernation is refused: detach the volumes and stop the server first\n");
		rc = -EBUSY;
	} else if (what == PM_HIBERNATION_PREPARE || what == PM_POST_HIBERNATION) {
		hibernating = what == PM_HIBERNATION_PREPARE;
	}
	mutex_unlock(&nodes_lock);
	return notifier_from_errno(rc);
}

static struct notifier_block pm_events = { .notifier_call = pm_event };

static int count_node(void)
{
	int rc = 0;

	mutex_lock(&nodes_lock);
	if (hibernating)
		rc = -EBUSY;
	else
		nodes++;
	mutex_unlock(&nodes_lock);
	return rc;
}

static void uncount_node(void)
{
	mutex_lock(&nodes_lock);
	nodes--;
	mutex_unlock(&nodes_lock);
}

int mxk_node_init(void)
{
	int rc;

	go_on_wq = alloc_workqueue("memx_fpu", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (!go_on_wq)
		return -ENOMEM;
	rc = mxk_blocks_begin();
	if (rc)
		goto err_blocks;
	rc = register_pm_notifier(&pm_events);
	if (rc)
		goto err_pm;
	return 0;
err_pm:
	mxk_blocks_end();
err_blocks:
	destroy_workqueue(go_on_wq);
	return rc;
}

void mxk_node_exit(void)
{
	unregister_pm_notifier(&pm_events);
	mxk_blocks_end();
	destroy_workqueue(go_on_wq);
}

static bool can_seal(const struct mxk_node *n)
{
	return !n->keyed || !mxk_aes_have() || mxk_aes_ready();
}

/* On this CPU, where the code that has the FPU cannot be preempted. */
static void queue_go_on(struct mxk_node *n)
{
	queue_work_on(smp_processor_id(), go_on_wq, &n->go_on);
}

bool mxk_put_off(struct mxk_node *n, struct sk_buff *skb)
{
	if (can_seal(n))
		return false;
	if (READ_ONCE(n->stopping) || skb_queue_len_lockless(&n->put_off) >= PUT_OFF_MAX) {
		kfree_skb(skb);
		return true;
	}
	atomic64_inc(&n->stats.rx_put_off);
	/* Valid under RCU only, or not to be held for long. */
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_queue_tail(&n->put_off, skb);
	queue_go_on(n);
	return true;
}

static void go_on(struct work_struct *w)
{
	struct mxk_node *n = container_of(w, struct mxk_node, go_on);
	struct sk_buff *skb;
	mx_ns now;

	local_bh_disable();
	rcu_read_lock();
	while ((skb = skb_dequeue(&n->put_off)) != NULL) {
		if (n->raw)
			mxk_raw_take(n, skb);
		else
			mxk_udp_take(n, skb);
	}
	rcu_read_unlock();
	/* What could not be packed then. */
	if (mxk_rx_begin(n, &now))
		mxk_leave(n, now);
	local_bh_enable();
}

void mxk_pack_all(struct mxk_node *n, mx_ns now)
{
	if (n->may_send && !n->may_send(n))
		return;
	if (!can_seal(n)) {
		queue_go_on(n);
		return;
	}
	while (mx_ep_tx(n->ep, now, &n->tx))
		mxk_pack(n);
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
	struct sk_buff *skb;
	LIST_HEAD(after);
	bool over;

	__skb_queue_head_init(&out);
	if (mx_ep_deadline(n->ep) <= now)
		mx_ep_step(n->ep, now);
	mxk_pack_all(n, now);
	skb_queue_splice_init(&n->out, &out);
	arm(n);
	list_splice_init(&n->after, &after);
	over = n->stopping && !n->starting;
	/* Not _bh: softirqs stay off until all is sent, so that a reply is not
	 * handled in the middle of it, one frame deeper in the stack each time. */
	spin_unlock(&n->lock);
	if (unlikely(over))
		__skb_queue_purge(&out);	/* the carrier is closed, or will be any moment */
	while ((skb = __skb_dequeue(&out)) != NULL)
		mxk_send(n, skb);
	run_after(&after);
	local_bh_enable();
}
EXPORT_SYMBOL_GPL(mxk_leave);

void mxk_leave_later(struct mxk_node *n)
{
	spin_unlock_bh(&n->lock);
}
EXPORT_SYMBOL_GPL(mxk_leave_later);

bool mxk_rx_begin(struct mxk_node *n, mx_ns *now)
{
	*now = mxk_enter(n);
	if (!n->stopping && n->ep)
		return true;
	spin_unlock_bh(&n->lock);
	return false;
}

static enum hrtimer_restart timer_fn(struct hrtimer *t)
{
	struct mxk_node *n = container_of(t, struct mxk_node, timer);
	mx_ns now;

	if (mxk_rx_begin(n, &now)) {
		n->armed = MX_NEVER;
		mxk_leave(n, now);
	}
	return HRTIMER_NORESTART;
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

/* A socket of no use but that there is one which may use the reserves: only then do
 * receive buffers come from them. */
static int open_reserve(struct mxk_node *n)
{
	int rc = sock_create_kern(n->net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &n->sock4);

	if (rc)
		n->sock4 = NULL;
	else
		sk_set_memalloc(n->sock4->sk);
	return rc;
}

static void close_reserve(struct mxk_node *n)
{
	if (!n->sock4)
		return;
	sk_clear_memalloc(n->sock4->sk);
	sock_release(n->sock4);
}

static void close_carrier(struct mxk_node *n)
{
	mxk_dev_close(n);
	if (!n->raw) {
		mxk_udp_close(n);
		return;
	}
	close_reserve(n);
	n->sock4 = NULL;
	/* Without an interface nothing above has waited for who is in mxk_leave(). */
	synchronize_net();
}

static int open_carrier(struct mxk_node *n, const struct mxk_conf *c)
{
	int rc = mxk_dev_open(n, c->ifname);

	if (!rc && !n->raw)
		rc = mxk_udp_open(n, c);
	else if (!rc && c->memalloc)
		rc = open_reserve(n);
	if (!rc)
		rc = mxk_dev_watch(n);
	if (rc)
		close_carrier(n);
	return rc;
}

void mxk_conf_ep(struct mxk_node *n, struct mx_ep_conf *c)
{
	c->rwnd = mxk_dev_rwnd(n);
	c->dgram_max = MXK_DGRAM_MAX;
	spin_lock_bh(&n->lock);
	if (n->dev)
		c->dgram_max = min_t(u32, n->dev->mtu - MXK_RAW_HEAD, MXK_DGRAM_MAX);
	spin_unlock_bh(&n->lock);
}
EXPORT_SYMBOL_GPL(mxk_conf_ep);

int mxk_init(struct mxk_node *n, const struct mxk_conf *c)
{
	int rc = may_serve(c);

	if (!rc)
		rc = count_node();
	if (rc)
		return rc;
	memset(n, 0, sizeof(*n));
	spin_lock_init(&n->lock);
	INIT_LIST_HEAD(&n->after);
	__skb_queue_head_init(&n->out);
	skb_queue_head_init(&n->put_off);
	INIT_WORK(&n->go_on, go_on);
	n->starting = true;
	n->stopping = true;
	n->memalloc = c->memalloc;
	n->keyed = c->keyed;
	n->serve = c->serve;
	n->armed = MX_NEVER;
	n->net = &init_net;
	hrtimer_init(&n->timer, CLOCK_BOOTTIME, HRTIMER_MODE_ABS_SOFT);
	n->timer.function = timer_fn;
	mxk_port_init(n);
	mxk_blocks_init(n);
	rc = -ENOMEM;
	n->rx_buf = vmalloc(MX_DGRAM_MAX);
	if (!n->rx_buf)
		goto err_buf;
	rc = mxk_heads_init(n);
	if (rc)
		goto err_heads;
	rc = mxk_routes_init(n, c->serve);
	if (rc)
		goto err_routes;
	rc = mxk_pages_init(n, c);
	if (rc)
		goto err_pages;
	rc = open_carrier(n, c);
	if (rc)
		goto err_carrier;
	return 0;
err_carrier:
	mxk_pages_exit(n);
err_pages:
	mxk_routes_exit(n);
err_routes:
	mxk_heads_exit(n);
err_heads:
	vfree(n->rx_buf);
err_buf:
	uncount_node();
	return rc;
}
EXPORT_SYMBOL_GPL(mxk_init);

void mxk_init_error(int rc, const char *ifname, char *text, size_t len)
{
	const char *name = ifname ?: "";

	if (strstarts(name, MXK_RAW_PREFIX))
		name += strlen(MXK_RAW_PREFIX);
	switch (-rc) {
	case ENODEV:
		snprintf(text, len, "there is no network interface \"%s\"; see `ip link`", name);
		break;
	case ENETDOWN:
		snprintf(text, len, "network interface %s is down; `ip link set %s up` first", name, name);
		break;
	case EMEDIUMTYPE:
		snprintf(text, len, "%s is not an Ethernet interface; use UDP on it", name);
		break;
	case EMSGSIZE:
		snprintf(text, len, "the MTU of %s is too small; MemX needs %u at least", name,
			 MX_DGRAM_MIN + MXK_RAW_HEAD);
		break;
	case EADDRINUSE:
		snprintf(text, len, "its UDP port is in use on this machine");
		break;
	case ENOMEM:
		snprintf(text, len, "not enough memory");
		break;
	case EBUSY:
		snprintf(text, len, "this machine is about to hibernate");
		break;
	default:
		snprintf(text, len, "the network could not be used (error %d); the kernel's log says more", -rc);
	}
}
EXPORT_SYMBOL_GPL(mxk_init_error);

void mxk_start(struct mxk_node *n)
{
	struct mx_addr everybody = {
		.fam = MX_FAM_ETH, .a = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};
	mx_ns now;

	if (n->serve && (n->raw || mxk_group_begin(n, &everybody)))
		mx_ep_add_announce_addr(n->ep, &everybody);
	now = mxk_enter(n);
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
	/* From here on nobody begins to send; who sends, or ends the last request, has
	 * softirqs off until it is done. */
	hrtimer_cancel(&n->timer);
	synchronize_net();
	close_carrier(n);
	cancel_work_sync(&n->go_on);
	skb_queue_purge(&n->put_off);
	if (atomic64_read(&n->stats.rx_put_off))
		pr_info("%lld times what came waited for the FPU\n",
			atomic64_read(&n->stats.rx_put_off));
	mxk_pages_stop(n);
	if (n->stats.rx_reserve)
		pr_info("%llu frames came in emergency reserves\n", n->stats.rx_reserve);
}
EXPORT_SYMBOL_GPL(mxk_stop);

void mxk_exit(struct mxk_node *n)
{
	mxk_pages_exit(n);
	mxk_routes_exit(n);
	mxk_blocks_exit(n);
	mxk_heads_exit(n);
	vfree(n->rx_buf);
	uncount_node();
}
EXPORT_SYMBOL_GPL(mxk_exit);

/* ---- words to values ---- */

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
		char serials[2][64];	/* there are boards with one UUID for all */
	} what = { .port = { port & 0xff, port >> 8 } };
	u8 out[32];

	if (!uuid)
		return false;
	strscpy(what.name, node->name, sizeof(what.name));
	strscpy(what.serials[0], dmi_get_system_info(DMI_PRODUCT_SERIAL) ?: "", sizeof(what.serials[0]));
	strscpy(what.serials[1], dmi_get_system_info(DMI_BOARD_SERIAL) ?: "", sizeof(what.serials[1]));
	mx_hmac_sha256(out, uuid, strlen(uuid), &what,
		       *what.serials[0] || *what.serials[1] ? sizeof(what) :
		       offsetof(typeof(what), serials));
	node->id = mx_ld64(out);
	return true;
}
EXPORT_SYMBOL_GPL(mxk_lasting_id);
