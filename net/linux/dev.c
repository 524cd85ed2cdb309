// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The interface a node was told to use, which may go and come back while it is at
 * work: what was sent meanwhile counts as lost.
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/sched/mm.h>
#include <net/sock.h>
#include "core/wire.h"
#include "net/linux/carrier.h"

static int use(struct mxk_node *n, struct net_device *dev)
{
	/* What waits for us may be what memory waits for. */
	unsigned int noio = memalloc_noio_save();
	int rc = n->raw ? mxk_raw_attach(n, dev) : mxk_udp_bind(n, dev->ifindex);

	if (!rc && !n->raw) {
		mxk_group_leave(n, n->ifindex);
		mxk_group_join(n, dev);
	}
	memalloc_noio_restore(noio);
	return rc;
}

static void appeared(struct mxk_node *n, struct net_device *dev)
{
	int rc;

	if (n->ifindex == dev->ifindex || strcmp(dev->name, n->ifname))
		return;
	if (n->raw && (n->dev || !(dev->flags & IFF_UP) || mxk_raw_check(dev)))
		return;
	rc = use(n, dev);
	if (rc) {
		pr_err("network interface %s is there again and cannot be used: error %d; it is tried again when it is set up\n",
		       dev->name, rc);
		return;
	}
	pr_info("network interface %s is there again\n", dev->name);
	WRITE_ONCE(n->ifindex, dev->ifindex);
}

static void went(struct mxk_node *n, struct net_device *dev)
{
	if (n->ifindex != dev->ifindex)
		return;
	WRITE_ONCE(n->ifindex, -1);
	if (n->raw)
		mxk_raw_detach(n);
	else
		mxk_group_leave(n, dev->ifindex);
	pr_warn("network interface %s is gone; requests wait until it is back\n", dev->name);
}

static int event(struct notifier_block *nb, unsigned long what, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);
	struct mxk_node *n = container_of(nb, struct mxk_node, dev_events);

	if (!net_eq(dev_net(dev), n->net))
		return NOTIFY_DONE;
	switch (what) {
	case NETDEV_REGISTER:
	case NETDEV_CHANGENAME:
	case NETDEV_UP:
		appeared(n, dev);
		break;
	case NETDEV_UNREGISTER:
		if (!n->dev_ending)
			went(n, dev);
		break;
	}
	return NOTIFY_DONE;
}

int mxk_dev_open(struct mxk_node *n, const char *name)
{
	struct net_device *dev;
	int rc = 0;

	if (!name || !*name)
		return 0;
	n->raw = strstarts(name, MXK_RAW_PREFIX);
	if (n->raw)
		name += strlen(MXK_RAW_PREFIX);
	if (strscpy(n->ifname, name, sizeof(n->ifname)) < 0)
		return -ENODEV;
	dev = dev_get_by_name(n->net, name);
	if (!dev) {
		pr_err("there is no network interface \"%s\"\n", name);
		return -ENODEV;
	}
	n->ifindex = dev->ifindex;
	if (n->raw)
		rc = mxk_raw_check(dev) ?: mxk_raw_attach(n, dev);
	dev_put(dev);
	return rc;
}

int mxk_dev_watch(struct mxk_node *n)
{
	if (!*n->ifname)
		return 0;
	n->dev_events.notifier_call = event;
	return register_netdevice_notifier(&n->dev_events);
}

void mxk_dev_close(struct mxk_node *n)
{
	if (n->dev_events.notifier_call) {
		/* Unregistering tells of every interface that it went. */
		n->dev_ending = true;
		unregister_netdevice_notifier(&n->dev_events);
		n->dev_events.notifier_call = NULL;
	}
	mxk_raw_detach(n);
}

/* ---- what it can take ---- */

#define RWND_DEFAULT	(1u << 20)	/* an interface without a ring: loopback, bridges */
#define RWND_MIN	(256u * 1024)	/* two large requests */
#define RWND_MAX	(4u << 20)

/* Frames its receive ring holds; 0: it has none, or does not tell. Under RTNL. */
static u32 ring_frames(struct net_device *dev)
{
	struct kernel_ethtool_ringparam more = { 0 };
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };

	if (!dev->ethtool_ops || !dev->ethtool_ops->get_ringparam)
		return 0;
	dev->ethtool_ops->get_ringparam(dev, &ring, &more, NULL);
	return ring.rx_pending;
}

/* Three quarters of the ring: the rest is for others. A large frame may take several
 * buffers, of a page each. */
static u32 ring_bytes(struct net_device *dev)
{
	u64 bytes = (u64)ring_frames(dev) * min_t(u32, dev->mtu, PAGE_SIZE) / 4 * 3;

	return bytes ? clamp_t(u64, bytes, RWND_MIN, RWND_MAX) : RWND_DEFAULT;
}

u32 mxk_dev_rwnd(struct mxk_node *n)
{
	struct net_device *dev;
	u32 least = RWND_MAX;

	rtnl_lock();
	for_each_netdev(n->net, dev)
		if (*n->ifname ? dev->ifindex == n->ifindex :
				 (dev->flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP)
			least = min(least, ring_bytes(dev));
	rtnl_unlock();
	return least;
}
