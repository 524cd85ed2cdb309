// SPDX-License-Identifier: GPL-2.0-or-later
/* Starting and stopping the server, and holding on to the module. */
#define pr_fmt(fmt) "memx-server: " fmt
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include "core/wire.h"
#include "net/linux/key.h"
#include "net/linux/nl.h"
#include "server-kmod/server.h"

#define PAGES_AT_HAND	1024u		/* 4 MiB: what arrives while the work item gets its turn */

DEFINE_MUTEX(host_lock);
struct server *the_server;

/* ---- holding on to the module ---- */

/*
 * While it has data the module has a reference to itself, so that rmmod says it is
 * in use. The reference is taken before the answer to the first write leaves; if it
 * cannot be had, the module is about to go and nothing is acknowledged any more.
 */
static bool may_send(struct mxk_node *n)
{
	struct server *s = container_of(n, struct server, node);
	bool holds = mx_store_stats(mx_server_store(s->core))->extents > 0;

	if (holds == s->pinned)
		return true;
	if (holds) {
		s->pinned = try_module_get(THIS_MODULE);
		return s->pinned;
	}
	s->pinned = false;
	module_put(THIS_MODULE);
	return true;
}

/* ---- starting ---- */

static int read_key(const struct host_conf *c, struct mx_ep_conf *ep, struct netlink_ext_ack *ack)
{
	struct mx_key k;
	int rc;

	if (!*c->key)
		return 0;
	rc = mxk_key_read(c->key, &k);
	if (rc) {
		mxk_nl_error(ack, "key is \"%s\": %s", c->key, mxk_key_error(rc));
	} else if (k.kind != MX_KEY_CLUSTER) {
		mxk_nl_error(ack, "key is \"%s\": that is the key of one volume (%s); a server needs the pool's key",
			     c->key, k.volume);
		rc = -EINVAL;
	} else {
		mxk_key_use(ep, &k);
	}
	memzero_explicit(&k, sizeof(k));
	return rc;
}

/* As memxd: what is kept here is for whoever has the key, or for a network whose
 * users are all trusted. */
static int check_trust(const struct host_conf *c, struct netlink_ext_ack *ack)
{
	const char *ifname = c->ifname + (strstarts(c->ifname, MXK_RAW_PREFIX) ?
					  strlen(MXK_RAW_PREFIX) : 0);
	struct net_device *dev;

	if (*c->ifname) {
		dev = dev_get_by_name(&init_net, ifname);
		if (!dev) {
			mxk_nl_error(ack, "there is no network interface \"%s\"", ifname);
			return -ENODEV;
		}
		dev_put(dev);
	}
	if (*c->key || (*c->ifname && (c->trusted || !strcmp(c->ifname, "lo"))))
		return 0;
	mxk_nl_error(ack, "refusing to serve %s%s without a key: anybody who can reach it could read and overwrite what is kept here; give a key (" MXK_KEY_DESC "), or name a trusted interface",
		     *c->ifname ? "on " : "all interfaces", c->ifname);
	return -EPERM;
}

static int make_core(struct server *s, const struct host_conf *c, struct mx_server_conf *conf)
{
	mxk_identify(&s->id, c->name);
	if (!mxk_lasting_id(&s->id, c->port))
		pr_warn("this machine has no UUID: after a restart it counts as another server, and what it held is waited for\n");
	conf->ep.node = s->id;
	mxk_conf_ep(&s->node, &conf->ep);
	conf->store.ceiling = s->memory;
	s->core = mx_server_new(&s->node.port, conf, mxk_now());
	if (!s->core)
		return -ENOMEM;
	s->node.ep = mx_server_ep(s->core);
	for (unsigned int i = 0; i < c->njoin; i++)
		if (!mx_ep_add_seed(s->node.ep, &c->join[i]))
			return -ENOMEM;
	return 0;
}

static int start(struct server *s, const struct host_conf *c, struct mx_server_conf *conf)
{
	struct mxk_conf nc = {
		.port = c->port, .ifname = s->ifname, .serve = true, .keyed = s->keyed,
		.trusted = s->trusted, .pages = PAGES_AT_HAND, .pages_floor = s->floor,
	};
	int rc = mxk_init(&s->node, &nc);

	if (rc)
		return rc;
	rc = make_core(s, c, conf);
	if (rc)
		goto err_core;
	s->node.may_send = may_send;
	mxk_start(&s->node);
	server_watch_start(s);
	return 0;
err_core:
	mxk_stop(&s->node);
	if (s->core)
		mx_server_free(s->core);
	mxk_exit(&s->node);
	return rc;
}

static void say_started(const struct server *s)
{
	char where[MXK_IFNAME + 32];

	if (s->node.raw)
		snprintf(where, sizeof(where), "raw Ethernet on %s", s->node.ifname);
	else
		snprintf(where, sizeof(where), "%s, UDP port %u",
			 *s->ifname ? s->ifname : "all interfaces", s->node.port_no);
	pr_info("server %s (id %016llx) donates %llu MiB, leaves the host %llu MiB, on %s, %s\n",
		s->id.name, s->id.id, s->memory >> 20, s->floor >> 20, where,
		s->keyed ? "sessions need the key" : "no key");
}

int server_start(const struct host_conf *c, struct netlink_ext_ack *ack)
{
	struct mx_server_conf conf = { 0 };
	u64 floor = c->has_floor ? c->floor : host_floor_default();
	struct server *s;
	char why[160];
	int rc;

	lockdep_assert_held(&host_lock);
	if (the_server) {
		mxk_nl_error(ack, "this machine serves already, as %s; memxctl host set changes how much, memxctl host stop ends it",
			     the_server->id.name);
		return -EBUSY;
	}
	rc = host_check_memory(c->memory, floor, ack) ?: check_trust(c, ack) ?:
	     read_key(c, &conf.ep, ack);
	if (rc)
		return rc;
	s = kvzalloc(sizeof(*s), GFP_KERNEL);
	rc = -ENOMEM;
	if (s) {
		s->memory = s->offered = c->memory;
		s->floor = floor;
		s->trusted = c->trusted;
		s->keyed = *c->key;
		strscpy(s->ifname, c->ifname, sizeof(s->ifname));
		rc = start(s, c, &conf);
	}
	memzero_explicit(&conf, sizeof(conf));
	if (rc) {
		mxk_init_error(rc, s ? s->ifname : NULL, why, sizeof(why));
		mxk_nl_error(ack, "the server could not be started: %s", why);
		kvfree(s);
		return rc;
	}
	the_server = s;
	say_started(s);
	return 0;
}

/* ---- stopping ---- */

void server_only_copies(struct server *s, struct host_only *o)
{
	mx_ns now = mxk_enter(&s->node);

	mx_server_only_copies(s->core, &o->volumes, &o->extents, &o->bytes);
	mxk_leave(&s->node, now);
}

static void log_counters(struct server *s)
{
	const struct mx_ep_stats *e = mx_ep_stats(s->node.ep);

	pr_info("%llu datagrams in (%llu copied, %llu skbs of several), %llu out (%llu copied, %llu without memory), %llu times no page at hand\n",
		e->rx_dgrams, s->node.stats.rx_copied, s->node.stats.rx_joined, e->tx_dgrams, s->node.stats.tx_copied,
		s->node.stats.tx_nomem, s->node.pages.denied);
}

void server_stop(struct server *s)
{
	lockdep_assert_held(&host_lock);
	the_server = NULL;
	mxk_stop(&s->node);
	/* Without host_lock it does nothing; the shrinker, which wakes it, has gone. */
	server_watch_stop(s);
	log_counters(s);
	mx_server_free(s->core);
	mxk_exit(&s->node);
	if (s->pinned)
		module_put(THIS_MODULE);
	kvfree(s);
}

static void say_leaving(struct server *s, const struct host_only *o, struct netlink_ext_ack *ack)
{
	mxk_nl_error(ack, "this server holds the only copy of %llu extents of %llu volumes (%llu MiB), which would be lost. It takes nothing new now and ends when they are deleted or moved away; with --discard it ends at once",
		     o->extents, o->volumes, o->bytes >> 20);
	pr_warn("asked to stop, but this server holds the only copy of %llu extents of %llu volumes (%llu MiB): it takes nothing new, and ends when they are deleted or moved away\n",
		o->extents, o->volumes, o->bytes >> 20);
}

/* What it holds from now on can only become less: nothing is taken between the counting
 * and the end. */
static void leave(struct server *s, struct host_only *o)
{
	mx_ns now = mxk_enter(&s->node);

	if (!s->leaving)
		mx_server_leave(s->core, now);
	s->leaving = true;
	mx_server_only_copies(s->core, &o->volumes, &o->extents, &o->bytes);
	mxk_leave(&s->node, now);
}

int server_ask_to_stop(struct server *s, bool discard, struct netlink_ext_ack *ack)
{
	struct host_only o;

	lockdep_assert_held(&host_lock);
	leave(s, &o);
	if (o.extents && !discard) {
		say_leaving(s, &o, ack);
		return -EBUSY;
	}
	if (o.extents)
		pr_warn("stopping as asked for: %llu extents of %llu volumes (%llu MiB) are lost\n",
			o.extents, o.volumes, o.bytes >> 20);
	else
		pr_info("stopping; nothing is lost\n");
	server_stop(s);
	return 0;
}

static void stop_fn(struct work_struct *work)
{
	struct host_only o;

	mutex_lock(&host_lock);
	if (the_server && the_server->leaving) {
		server_only_copies(the_server, &o);
		if (!o.extents) {
			pr_info("it holds nothing any more and stops, as asked for\n");
			server_stop(the_server);
		}
	}
	mutex_unlock(&host_lock);
}

static DECLARE_WORK(stop_work, stop_fn);

void server_stop_soon(void)
{
	queue_work(system_wq, &stop_work);
}

void server_exit(void)
{
	mutex_lock(&host_lock);
	if (the_server)
		server_stop(the_server);
	mutex_unlock(&host_lock);
	cancel_work_sync(&stop_work);
}
