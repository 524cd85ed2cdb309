// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The module. Volumes are attached by memxctl (netlink.c); its parameters attach one
 * where that is not there, in an initramfs for instance:
 *
 *	modprobe memx volume=vm1-swap servers=10.0.0.1,10.0.0.2 key=memx:pool
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include "guest-module/dev.h"
#include "net/linux/key.h"

#define CREATE_TRACE_POINTS
#include "guest-module/trace.h"

static char *volume = "";
module_param(volume, charp, 0444);
MODULE_PARM_DESC(volume, "a volume to attach at once, with servers=; others: memxctl attach");

static char *servers[MEMX_SERVERS_MAX];
static int nservers;
module_param_array(servers, charp, &nservers, 0444);
MODULE_PARM_DESC(servers, "addresses of servers, with or without a port; a few are enough");

static char *interface = "";
module_param(interface, charp, 0444);
MODULE_PARM_DESC(interface, "use this network interface only; with raw: before it raw Ethernet there");

static char *key = "";
module_param(key, charp, 0444);
MODULE_PARM_DESC(key, "the pool's key or the volume's: " MXK_KEY_DESC " names a key of type logon in the keyring");

static bool read_only;
module_param(read_only, bool, 0444);
MODULE_PARM_DESC(read_only, "attach it for reading only");

static int from_params(struct memx_attach *a)
{
	int rc;

	if (!nservers) {
		pr_err("volume= needs servers=, for instance volume=vm1-swap servers=10.0.0.1\n");
		return -EINVAL;
	}
	strscpy(a->ifname, interface, sizeof(a->ifname));
	if (strscpy(a->name, volume, sizeof(a->name)) < 0 || strlen(interface) >= sizeof(a->ifname)) {
		pr_err("volume= or interface= is longer than a name can be\n");
		return -EINVAL;
	}
	a->conf.read_only = read_only;
	for (int i = 0; i < nservers; i++) {
		rc = memx_attach_add_server(a, servers[i]);
		if (rc) {
			pr_err("servers has \"%s\"; expected " MXK_ADDR_WORDS "\n", servers[i]);
			return rc;
		}
	}
	if (!*key)
		return 0;
	rc = mxk_key_read(key, &a->key);
	if (rc)
		pr_err("key is \"%s\": %s\n", key, mxk_key_error(rc));
	a->conf.key = &a->key;
	return rc;
}

static int attach_by_params(void)
{
	struct memx_attach *a = kvzalloc(sizeof(*a), GFP_KERNEL);
	char why[MEMX_WHY] = "";
	struct memx_dev *d;
	int rc;

	if (!a)
		return -ENOMEM;
	memx_attach_init(a);
	rc = from_params(a);
	if (!rc)
		rc = memx_dev_new(a, &d);
	if (!rc)
		rc = memx_dev_attach(d, a, why, sizeof(why));
	if (*why)
		pr_err("%s\n", why);
	memx_attach_free(a);
	return rc;
}

/* memxctl is served before: what waits for silent servers is ended by its detach --force. */
static int __init memx_init(void)
{
	int rc = memx_netlink_init();

	if (rc || !*volume)
		return rc;
	rc = attach_by_params();
	if (!rc)
		return 0;
	memx_netlink_exit();
	if (!memx_devs_any())
		return rc;
	/* Meanwhile another was attached, which may be open: the module has to stay. */
	if (memx_netlink_init())
		pr_err("memxctl cannot be served; unloading the module detaches all volumes\n");
	return 0;
}

/* Nothing is open now: an open device holds the module. */
static void __exit memx_exit(void)
{
	memx_netlink_exit();
	memx_dev_detach_all();
}

module_init(memx_init);
module_exit(memx_exit);
MODULE_DESCRIPTION("MemX: volumes of pooled memory as block devices");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(MEMX_GENL_NAME);
