// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The module: attaches one volume, named by parameters.
 *
 *	modprobe memx volume=vm1-swap servers=10.0.0.1,10.0.0.2 key=memx:pool
 */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include <linux/slab.h>
#include "core/wire.h"
#include "guest-module/memx.h"
#include "net/linux/key.h"

static char *volume = "";
module_param(volume, charp, 0444);
MODULE_PARM_DESC(volume, "the volume to attach as /dev/memxblk0 (required)");

static char *servers[16];
static int nservers;
module_param_array(servers, charp, &nservers, 0444);
MODULE_PARM_DESC(servers, "addresses of servers, with or without a port; a few are enough (required)");

static char *interface = "";
module_param(interface, charp, 0444);
MODULE_PARM_DESC(interface, "use this network interface only; with raw: before it raw Ethernet there");

static char *key = "";
module_param(key, charp, 0444);
MODULE_PARM_DESC(key, "the pool's key or the volume's: " MXK_KEY_DESC " names a key of type logon in the keyring");

static bool read_only;
module_param(read_only, bool, 0444);
MODULE_PARM_DESC(read_only, "attach it for reading only");

#define OPEN_PATIENCE	(60 * HZ)
#define CLOSE_PATIENCE	(20 * HZ)

static struct memx_dev *the_dev;

/* ---- the volume; these three are called under the lock ---- */

static void vol_opened(void *user, enum mx_status st, mx_ns now)
{
	struct memx_dev *d = user;

	d->open_status = st;
	complete(&d->opened);
}

static void vol_closed(void *user, mx_ns now)
{
	struct memx_dev *d = user;

	complete(&d->closed);
}

static const struct mx_vol_ops vol_ops = { .opened = vol_opened, .closed = vol_closed };

/* ---- attaching ---- */

static int add_seeds(struct memx_dev *d, mx_ns now)
{
	for (int i = 0; i < nservers; i++) {
		struct mx_addr a;

		if (mxk_parse_addr(servers[i], &a)) {
			pr_err("servers has \"%s\"; expected " MXK_ADDR_WORDS "\n", servers[i]);
			return -EINVAL;
		}
		if (mxk_seed_add(&d->seeds, d->node.ep, &a, now))
			return -ENOMEM;
	}
	return 0;
}

/* Everything is set up before the node starts, so that allocations may sleep. */
static int make_client(struct memx_dev *d, const struct mx_key *k)
{
	struct mx_client_conf conf = { 0 };
	struct mx_vol_conf vc = { .read_only = read_only };
	mx_ns now = ktime_get_ns();
	int rc;

	memx_buf_port(&d->node.port);
	d->node.buf = &memx_buf_ops;
	mxk_identify(&conf.ep.node, "");
	mxk_conf_ep(&d->node, &conf.ep);
	conf.rx_bytes_max = conf.ep.rwnd;
	mxk_key_use(&conf.ep, k);
	d->core = mx_client_new(&d->node.port, &conf, now);
	memzero_explicit(&conf.ep.key, sizeof(conf.ep.key));
	if (!d->core)
		return -ENOMEM;
	d->node.ep = mx_client_ep(d->core);
	rc = add_seeds(d, now);
	if (rc)
		return rc;
	d->vol = mx_vol_open(d->core, volume, &vc, &vol_ops, d, now);
	return d->vol ? 0 : -ENOMEM;
}

/* 0: not refused so far. */
static int refused(struct memx_dev *d)
{
	char name[MXK_ADDR_STR];
	struct mx_addr who;
	enum mx_status st;

	mxk_enter(&d->node);
	st = mxk_seeds_refused(&d->seeds, ktime_get_ns(), &who);
	mxk_leave_later(&d->node);
	if (st == MX_OK)
		return 0;
	pr_err("server %s refuses a session: %s\n", mxk_format_addr(&who, name), mxk_refusal(st));
	return -EKEYREJECTED;
}

static int await_open(struct memx_dev *d)
{
	unsigned long until = jiffies + OPEN_PATIENCE;

	while (!wait_for_completion_timeout(&d->opened, HZ / 5)) {
		if (refused(d))
			return -EKEYREJECTED;
		if (time_after(jiffies, until)) {
			pr_err("volume '%s' did not open in time\n", volume);
			return -ETIMEDOUT;
		}
	}
	if (d->open_status == MX_OK)
		return 0;
	pr_err("%s\n", mx_vol_error(d->vol));
	return d->open_status == MX_ST_NO_VOLUME ? -ENOENT : -EIO;
}

static void close_volume(struct memx_dev *d)
{
	mx_ns now = mxk_enter(&d->node);

	mx_vol_close(d->vol, now);
	mxk_leave(&d->node, now);
	if (!wait_for_completion_timeout(&d->closed, CLOSE_PATIENCE))
		pr_warn("volume '%s' could not be released at its servers; its lease there runs out\n",
			volume);
}

static void free_client(struct memx_dev *d)
{
	mxk_stop(&d->node);
	mxk_seeds_put(&d->seeds);
	if (d->vol)
		mx_vol_free(d->vol);
	if (d->core)
		mx_client_free(d->core);
	mxk_exit(&d->node);
}

static int take_key(struct mx_key *k)
{
	int rc = mxk_key_read(key, k);

	if (rc)
		pr_err("key is \"%s\": %s\n", key, mxk_key_error(rc));
	else if (k->kind == MX_KEY_VOLUME && strcmp(k->volume, volume)) {
		pr_err("key is \"%s\": that is the key of volume '%s', not of '%s'\n", key,
		       k->volume, volume);
		rc = -EINVAL;
	}
	return rc;
}

static int attach(struct memx_dev *d, const struct mx_key *k)
{
	struct mxk_conf nc = { .ifname = interface, .keyed = k, .memalloc = true };
	int rc;

	init_completion(&d->opened);
	init_completion(&d->closed);
	d->read_only = read_only;
	rc = memx_copies_init(d);
	if (rc)
		return rc;
	rc = mxk_init(&d->node, &nc);
	if (rc)
		goto err_copies;
	rc = make_client(d, k);
	if (rc)
		goto err_client;
	mxk_start(&d->node);
	rc = await_open(d);
	if (rc)
		goto err_client;
	rc = memx_disk_add(d, 0);
	if (rc)
		goto err_disk;
	return 0;
err_disk:
	close_volume(d);
err_client:
	free_client(d);
err_copies:
	memx_copies_exit(d);
	return rc;
}

static int __init memx_init(void)
{
	struct memx_dev *d;
	struct mx_key k = { 0 };
	int rc;

	if (!*volume || !nservers) {
		pr_err("volume= and servers= are needed, for instance volume=vm1-swap servers=10.0.0.1\n");
		return -EINVAL;
	}
	d = kvzalloc(sizeof(*d), GFP_KERNEL);
	if (!d)
		return -ENOMEM;
	rc = *key ? take_key(&k) : 0;
	if (!rc)
		rc = attach(d, *key ? &k : NULL);
	memzero_explicit(&k, sizeof(k));
	if (rc) {
		kvfree(d);
		return rc;
	}
	the_dev = d;
	pr_info("volume '%s' is /dev/memxblk0, %llu MiB, %s\n", volume, mx_vol_size(d->vol) >> 20,
		mxk_seeds_cipher(&d->seeds));
	return 0;
}

static void __exit memx_exit(void)
{
	struct memx_dev *d = the_dev;
	const struct mx_ep_stats *e = mx_ep_stats(d->node.ep);

	memx_disk_remove(d);
	close_volume(d);
	pr_info("%llu datagrams in (%llu copied, %llu skbs of several), %llu out (%llu copied, %llu without memory), %llu sent again\n",
		e->rx_dgrams, d->node.stats.rx_copied, d->node.stats.rx_joined, e->tx_dgrams, d->node.stats.tx_copied,
		d->node.stats.tx_nomem, e->retransmits);
	free_client(d);
	memx_copies_exit(d);
	kvfree(d);
}

module_init(memx_init);
module_exit(memx_exit);
MODULE_DESCRIPTION("MemX: a volume of pooled memory as a block device");
MODULE_LICENSE("GPL");
