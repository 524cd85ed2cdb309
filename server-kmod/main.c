// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memx-server.ko: this machine donates memory, with nothing in user space.
 *
 *	modprobe memx-server memory=512M key=memx:pool
 *	modprobe memx-server memory=512M trusted_interface=eth1
 *
 * Without memory= the module is there and serves nothing until `memxctl host start`.
 */
#define pr_fmt(fmt) "memx-server: " fmt
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/sysfs.h>
#include "core/wire.h"
#include "net/linux/key.h"
#include "server-kmod/server.h"

static char *memory = "";
module_param(memory, charp, 0444);
MODULE_PARM_DESC(memory, "how much to donate at most, for instance 512M or 8G (default: nothing, until memxctl host start)");

static char *floor = "";
module_param(floor, charp, 0444);
MODULE_PARM_DESC(floor, "how much memory is left available to this machine (default 1/20 of it, at least 64M)");

static char *interface = "";
module_param(interface, charp, 0444);
MODULE_PARM_DESC(interface, "serve on this network interface only, with raw: before it by raw Ethernet (default: all)");

static char *trusted_interface = "";
module_param(trusted_interface, charp, 0444);
MODULE_PARM_DESC(trusted_interface, "serve on this network interface only (raw: as above), and there without a key");

static char *key = "";
module_param(key, charp, 0444);
MODULE_PARM_DESC(key, "the pool's key: " MXK_KEY_DESC " names a key of type logon in the keyring");

static ushort port = MX_UDP_PORT;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "UDP port (default 7770)");

static char *name = "";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "this server's name (default: the machine's)");

static char *join[MEMX_SERVER_JOIN_MAX];
static int njoin;
module_param_array(join, charp, &njoin, 0444);
MODULE_PARM_DESC(join, "addresses of servers of the pool, with or without a port; a few are enough");

/* ---- parameters ---- */

static int parse_size(const char *what, const char *text, u64 *bytes)
{
	char *end;

	*bytes = memparse(text, &end);
	if (end == text || *end) {
		pr_err("%s is \"%s\"; expected a size such as 512M or 8G\n", what, text);
		return -EINVAL;
	}
	return 0;
}

static int parse_join(struct host_conf *c)
{
	for (int i = 0; i < njoin; i++)
		if (mxk_parse_addr(join[i], &c->join[c->njoin++])) {
			pr_err("join has \"%s\"; expected " MXK_ADDR_WORDS "\n", join[i]);
			return -EINVAL;
		}
	return 0;
}

static int start_by_params(void)
{
	struct host_conf c = {
		.ifname = *trusted_interface ? trusted_interface : interface,
		.trusted = *trusted_interface, .key = key, .name = name, .port = port,
		.has_floor = *floor,
	};
	int rc;

	if (*interface && *trusted_interface) {
		pr_err("interface= and trusted_interface= each name the only interface served: give one of them\n");
		return -EINVAL;
	}
	if (parse_size("memory", memory, &c.memory) ||
	    (c.has_floor && parse_size("floor", floor, &c.floor)) || parse_join(&c))
		return -EINVAL;
	mutex_lock(&host_lock);
	rc = server_start(&c, NULL);
	mutex_unlock(&host_lock);
	return rc;
}

/* ---- /sys/module/memx_server/server/: figures, one a file; no files change them ---- */

static ssize_t show(char *buf, u64 (*value)(struct server *s))
{
	u64 v = 0;

	mutex_lock(&host_lock);
	if (the_server) {
		mx_ns now = mxk_enter(&the_server->node);

		v = value(the_server);
		mxk_leave(&the_server->node, now);
	}
	mutex_unlock(&host_lock);
	return sysfs_emit(buf, "%llu\n", v);
}

#define FIGURE(file, expression)						\
static u64 file##_value(struct server *s)					\
{										\
	return expression;							\
}										\
static ssize_t file##_show(struct module_attribute *a, struct module_kobject *k, char *buf) \
{										\
	return show(buf, file##_value);						\
}										\
static struct module_attribute file##_attr = __ATTR_RO(file)

#define STORE(s)	mx_store_stats(mx_server_store((s)->core))

FIGURE(memory_bytes, s->memory);
FIGURE(floor_bytes, s->floor);
FIGURE(offered_bytes, s->offered);
FIGURE(data_bytes, STORE(s)->data_bytes);
FIGURE(bookkeeping_bytes, STORE(s)->meta_bytes);
FIGURE(at_hand_bytes, (u64)s->node.pages.nfree << PAGE_SHIFT);
FIGURE(returned_bytes, s->node.pages.returned << PAGE_SHIFT);
FIGURE(none_at_hand, s->node.pages.denied);
FIGURE(extents, STORE(s)->extents);
FIGURE(volumes, STORE(s)->volumes);
FIGURE(full, STORE(s)->full);

static struct attribute *figures[] = {
	&memory_bytes_attr.attr, &floor_bytes_attr.attr, &offered_bytes_attr.attr,
	&data_bytes_attr.attr, &bookkeeping_bytes_attr.attr, &at_hand_bytes_attr.attr,
	&returned_bytes_attr.attr, &none_at_hand_attr.attr, &extents_attr.attr,
	&volumes_attr.attr, &full_attr.attr, NULL,
};
static const struct attribute_group figures_group = { .name = "server", .attrs = figures };

/* ---- the module ---- */

static int __init memx_server_init(void)
{
	int rc = sysfs_create_group(&THIS_MODULE->mkobj.kobj, &figures_group);

	if (rc)
		return rc;
	rc = host_netlink_init();
	if (rc)
		goto err_netlink;
	if (*memory)
		rc = start_by_params();
	else
		pr_info("serves nothing yet: memxctl host start says how much is donated, and to whom\n");
	if (rc)
		goto err_start;
	return 0;
err_start:
	host_netlink_exit();
	server_exit();
err_netlink:
	sysfs_remove_group(&THIS_MODULE->mkobj.kobj, &figures_group);
	return rc;
}

/* Not called while it holds data: see may_send() in server.c. */
static void __exit memx_server_exit(void)
{
	host_netlink_exit();
	sysfs_remove_group(&THIS_MODULE->mkobj.kobj, &figures_group);
	server_exit();
}

module_init(memx_server_init);
module_exit(memx_server_exit);
MODULE_DESCRIPTION("MemX: donates this machine's memory to a pool");
MODULE_AUTHOR("The MemX developers");
MODULE_LICENSE("GPL");
