// SPDX-License-Identifier: GPL-2.0-or-later
/* Attributes of a disk: /sys/block/memxblkN/memx/. One value in each; docs/kernel.md
 * lists them. */
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/sysfs.h>
#include "guest-module/dev.h"

/* They go with the disk, before its volume does. */
static struct memx_dev *dev_of(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

static struct mx_vol_stats stats_of(struct device *dev)
{
	struct mx_vol_stats st;

	memx_volume_stats(dev_of(dev)->vol, &st);
	return st;
}

#define ATTR(_name, _format, _value)							\
	static ssize_t _name##_show(struct device *dev, struct device_attribute *attr,	\
				    char *buf)						\
	{										\
		return sysfs_emit(buf, _format "\n", _value);				\
	}										\
	static DEVICE_ATTR_RO(_name)

ATTR(volume, "%s", dev_of(dev)->name);
ATTR(interface, "%s", dev_of(dev)->ifname);
ATTR(fail_after_ms, "%u", dev_of(dev)->fail_after_ms);
ATTR(inflight, "%u", memx_volume_inflight(dev_of(dev)->vol));
ATTR(cipher, "%s", memx_volume_cipher(dev_of(dev)->vol));
ATTR(epoch, "%u", stats_of(dev).epoch);
ATTR(servers_all, "%u", stats_of(dev).servers);
ATTR(servers_up, "%u", stats_of(dev).servers_up);
ATTR(servers_gone, "%u", stats_of(dev).servers_gone);
ATTR(extents_placed, "%llu", stats_of(dev).extents[MX_EXT_PLACED]);
ATTR(extents_lost, "%llu", stats_of(dev).extents[MX_EXT_LOST]);
ATTR(extents_unknown, "%llu", stats_of(dev).extents[MX_EXT_UNKNOWN]);
ATTR(extents_moved, "%llu", stats_of(dev).moves);
ATTR(retransmits, "%llu", stats_of(dev).retransmits);
ATTR(from_reserves, "%llu", memx_volume_from_reserves(dev_of(dev)->vol));
ATTR(errors, "%llu", memx_volume_errors(dev_of(dev)->vol));
ATTR(map_bytes, "%llu", stats_of(dev).map_bytes);

static ssize_t uuid_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u8 uuid[16];

	memx_volume_uuid(dev_of(dev)->vol, uuid);
	return sysfs_emit(buf, "%pUb\n", uuid);
}
static DEVICE_ATTR_RO(uuid);

/* The addresses the pool was given by. */
static ssize_t pool_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct memx_dev *d = dev_of(dev);
	char text[MXK_ADDR_STR];
	int n = 0;

	for (u32 i = 0; i < d->nservers; i++)
		n += sysfs_emit_at(buf, n, "%s%s", i ? " " : "",
				   mxk_format_addr(&d->servers[i], text));
	return n + sysfs_emit_at(buf, n, "\n");
}
static DEVICE_ATTR_RO(pool);

/* ok; waiting: for servers or the lease, so that requests may stand still; lost: reads
 * of some extents fail; fenced: all requests fail; dead: detached by force. */
static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct mx_vol_stats st = stats_of(dev);
	const char *s = "ok";

	if (READ_ONCE(dev_of(dev)->state) == MEMX_STATE_DEAD)
		s = "dead";
	else if (st.fenced)
		s = "fenced";
	else if (!st.lease_ok || st.servers_up < st.servers)
		s = "waiting";
	else if (st.extents[MX_EXT_LOST])
		s = "lost";
	return sysfs_emit(buf, "%s\n", s);
}
static DEVICE_ATTR_RO(state);

static struct attribute *attrs[] = {
	&dev_attr_volume.attr, &dev_attr_uuid.attr, &dev_attr_pool.attr,
	&dev_attr_interface.attr, &dev_attr_state.attr, &dev_attr_cipher.attr,
	&dev_attr_fail_after_ms.attr, &dev_attr_inflight.attr, &dev_attr_epoch.attr,
	&dev_attr_servers_all.attr, &dev_attr_servers_up.attr, &dev_attr_servers_gone.attr,
	&dev_attr_extents_placed.attr, &dev_attr_extents_lost.attr,
	&dev_attr_extents_unknown.attr, &dev_attr_extents_moved.attr, &dev_attr_retransmits.attr,
	&dev_attr_errors.attr, &dev_attr_from_reserves.attr, &dev_attr_map_bytes.attr, NULL,
};

static const struct attribute_group group = { .name = "memx", .attrs = attrs };

const struct attribute_group *memx_disk_groups[] = { &group, NULL };
