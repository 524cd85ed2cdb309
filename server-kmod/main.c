// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memx-server.ko: this machine donates memory, with nothing in user space.
 *
 *	modprobe memx-server memory=512M key=memx:pool
 *	modprobe memx-server memory=512M trusted_interface=eth1
 */
#define pr_fmt(fmt) "memx-server: " fmt
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "core/server.h"
#include "core/wire.h"
#include "net/linux/key.h"
#include "net/linux/node.h"

#define PAGES_AT_HAND	1024u		/* 4 MiB: what arrives while the work item gets its turn */

static char *memory = "";
module_param(memory, charp, 0444);
MODULE_PARM_DESC(memory, "how much to donate at most, for instance 512M or 8G (required)");

static char *floor = "64M";
module_param(floor, charp, 0444);
MODULE_PARM_DESC(floor, "how much memory is left available to this machine (default 64M)");

static char *interface = "";
module_param(interface, charp, 0444);
MODULE_PARM_DESC(interface, "serve on this network interface only");

static char *trusted_interface = "";
module_param(trusted_interface, charp, 0444);
MODULE_PARM_DESC(trusted_interface, "serve on this network interface only, and there without a key");

static char *key = "";
module_param(key, charp, 0444);
MODULE_PARM_DESC(key, "the pool's key: " MXK_KEY_DESC " names a key of type logon in the keyring");

static ushort port = MX_UDP_PORT;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "UDP port (default 7770)");

static char *name = "";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "this server's name (default: the machine's)");

struct server {
	struct mxk_node node;
	struct mx_server *core;
};

static struct server *the_server;

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

static int check_params(u64 *ceiling, u64 *left)
{
	if (!*memory) {
		pr_err("memory= is missing: say how much to donate, for instance memory=512M\n");
		return -EINVAL;
	}
	if (*interface && *trusted_interface) {
		pr_err("interface= and trusted_interface= each name the only interface served: give one of them\n");
		return -EINVAL;
	}
	if (parse_size("memory", memory, ceiling) || parse_size("floor", floor, left))
		return -EINVAL;
	if (*ceiling < (1u << 20) || *ceiling >> PAGE_SHIFT > totalram_pages()) {
		pr_err("memory is \"%s\"; expected 1M to what this machine has (%lu MiB)\n", memory,
		       totalram_pages() >> (20 - PAGE_SHIFT));
		return -EINVAL;
	}
	return 0;
}

static int take_key(struct mx_ep_conf *ep)
{
	struct mx_key k;
	int rc;

	if (!*key)
		return 0;
	rc = mxk_key_read(key, &k);
	if (!rc && k.kind != MX_KEY_CLUSTER) {
		pr_err("key is \"%s\": that is the key of one volume (%s); a server needs the pool's key\n",
		       key, k.volume);
		rc = -EINVAL;
	} else if (rc) {
		pr_err("key is \"%s\": %s\n", key, mxk_key_error(rc));
	} else {
		mxk_key_use(ep, &k);
	}
	memzero_explicit(&k, sizeof(k));
	return rc;
}

static int start(const struct mxk_conf *nc, struct mx_server_conf *conf)
{
	struct server *s = kvzalloc(sizeof(*s), GFP_KERNEL);
	int rc;

	if (!s)
		return -ENOMEM;
	rc = mxk_init(&s->node, nc);
	if (rc)
		goto err_init;
	mxk_identify(&conf->ep.node, name);
	if (!mxk_lasting_id(&conf->ep.node, nc->port))
		pr_warn("this machine has no UUID: after a restart it counts as another server, and what it held is waited for\n");
	s->core = mx_server_new(&s->node.port, conf, ktime_get_ns());
	if (!s->core) {
		rc = -ENOMEM;
		goto err_core;
	}
	s->node.ep = mx_server_ep(s->core);
	the_server = s;
	mxk_start(&s->node);
	pr_info("server %s (id %016llx) donates %s on %s, UDP port %u, %s\n", conf->ep.node.name,
		conf->ep.node.id, memory, *nc->ifname ? nc->ifname : "all interfaces",
		s->node.port_no, nc->keyed ? "with a key" : "without a key");
	return 0;
err_core:
	mxk_stop(&s->node);
	mxk_exit(&s->node);
err_init:
	kvfree(s);
	return rc;
}

static int __init server_init(void)
{
	struct mx_server_conf conf = { .ep.dgram_max = MXK_DGRAM_MAX, .ep.rwnd = 4u << 20 };
	struct mxk_conf nc = {
		.port = port, .ifname = *trusted_interface ? trusted_interface : interface,
		.trusted = *trusted_interface, .keyed = *key, .serve = true, .pages = PAGES_AT_HAND,
	};
	int rc = check_params(&conf.store.ceiling, &nc.pages_floor);

	if (!rc)
		rc = take_key(&conf.ep);
	if (!rc)
		rc = start(&nc, &conf);
	memzero_explicit(&conf.ep.key, sizeof(conf.ep.key));
	return rc;
}

static void __exit server_exit(void)
{
	struct server *s = the_server;
	const struct mx_ep_stats *e = mx_ep_stats(s->node.ep);

	mxk_stop(&s->node);
	pr_info("%llu datagrams in (%llu copied), %llu out (%llu copied, %llu without memory), %llu times no page at hand\n",
		e->rx_dgrams, s->node.stats.rx_copied, e->tx_dgrams, s->node.stats.tx_copied,
		s->node.stats.tx_nomem, s->node.pages.denied);
	mx_server_free(s->core);
	mxk_exit(&s->node);
	kvfree(s);
}

module_init(server_init);
module_exit(server_exit);
MODULE_DESCRIPTION("MemX: donates this machine's memory");
MODULE_LICENSE("GPL");
