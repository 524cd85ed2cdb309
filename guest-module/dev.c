// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices: attaching, detaching, looking them up. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/blkdev.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "guest-module/dev.h"

#define CLOSE_MS	20000u		/* for the servers to take the volume back */
#define CLOSE_DEAD_MS	2000u		/* the same, when it is detached by force */

DEFINE_MUTEX(memx_lock);
LIST_HEAD(memx_devs);
static DEFINE_IDA(indices);

/* ---- what is to be attached ---- */

void memx_attach_init(struct memx_attach *a)
{
	memset(a, 0, sizeof(*a));
	a->conf.name = a->name;
	a->conf.node_name = a->node_name;
	a->conf.ifname = a->ifname;
	a->conf.servers = a->servers;
}

void memx_attach_free(struct memx_attach *a)
{
	kvfree_sensitive(a, sizeof(*a));
}

int memx_attach_add_server(struct memx_attach *a, const char *text)
{
	if (a->conf.nservers == MEMX_SERVERS_MAX)
		return -E2BIG;
	if (mxk_parse_addr(text, &a->servers[a->conf.nservers]))
		return -EINVAL;
	a->conf.nservers++;
	return 0;
}

/* ---- the list ---- */

static atomic_t ndevs = ATOMIC_INIT(0);

static void dev_free(struct kref *ref)
{
	kfree(container_of(ref, struct memx_dev, ref));
	if (atomic_dec_and_test(&ndevs))
		wake_up_var(&ndevs);
}

void memx_dev_put(struct memx_dev *d)
{
	kref_put(&d->ref, dev_free);
}

bool memx_devs_any(void)
{
	return atomic_read(&ndevs) != 0;
}

static struct memx_dev *find(const char *volume, const char *device)
{
	struct memx_dev *d;
	char name[DISK_NAME_LEN];

	lockdep_assert_held(&memx_lock);
	list_for_each_entry(d, &memx_devs, node) {
		snprintf(name, sizeof(name), "memxblk%u", d->index);
		if (volume ? !strcmp(d->name, volume) : !strcmp(name, device))
			return d;
	}
	return NULL;
}

struct memx_dev *memx_dev_find(const char *volume, const char *device)
{
	struct memx_dev *d;

	mutex_lock(&memx_lock);
	d = find(volume, device);
	if (d)
		kref_get(&d->ref);
	mutex_unlock(&memx_lock);
	return d;
}

/*
 * ATTACHING -> ATTACHED -> DETACHING -> (gone)
 *     |            ^-----------|            it was open after all
 *     |            `-> DEAD -> (gone)       by force
 *     `-> DETACHING, DEAD -> (gone)
 */
static void set_state(struct memx_dev *d, enum memx_state to)
{
	lockdep_assert_held(&memx_lock);
	WARN_ON(d->state == MEMX_STATE_DEAD ||
		(d->state == MEMX_STATE_DETACHING && to == MEMX_STATE_ATTACHING) || d->state == to);
	d->state = to;
}

int memx_dev_new(const struct memx_attach *a, struct memx_dev **dp)
{
	struct memx_dev *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int index = d ? ida_alloc(&indices, GFP_KERNEL) : -ENOMEM;

	if (index < 0)
		goto err;
	kref_init(&d->ref);
	init_completion(&d->gone);
	mutex_init(&d->use);
	d->state = MEMX_STATE_ATTACHING;
	d->index = (u32)index;
	strscpy(d->name, a->name, sizeof(d->name));
	strscpy(d->ifname, a->ifname, sizeof(d->ifname));
	memcpy(d->servers, a->servers, sizeof(d->servers));
	d->nservers = a->conf.nservers;
	d->queues = a->queues ?: min(num_online_cpus(), 4u);
	d->fail_after_ms = a->conf.fail_after_ms;
	d->read_only = a->conf.read_only;
	mutex_lock(&memx_lock);
	if (!find(d->name, NULL)) {
		atomic_inc(&ndevs);
		list_add_tail(&d->node, &memx_devs);
		kref_get(&d->ref);
		mutex_unlock(&memx_lock);
		*dp = d;
		return 0;
	}
	mutex_unlock(&memx_lock);
	ida_free(&indices, index);
	index = -EEXIST;
err:
	kfree(d);
	return index;
}

/* Everything has ended but this. Puts the list's reference. */
static void dev_gone(struct memx_dev *d)
{
	mutex_lock(&memx_lock);
	list_del(&d->node);
	mutex_unlock(&memx_lock);
	ida_free(&indices, d->index);
	complete_all(&d->gone);
	memx_dev_put(d);
}

static void close_volume(struct memx_dev *d)
{
	struct memx_volume *v;
	bool dead;

	mutex_lock(&memx_lock);
	v = d->vol;
	d->vol = NULL;
	dead = d->state == MEMX_STATE_DEAD;
	mutex_unlock(&memx_lock);
	if (!v)
		return;
	/* Until a change of its size has ended. */
	mutex_lock(&d->use);
	mutex_unlock(&d->use);
	memx_volume_close(v, dead ? CLOSE_DEAD_MS : CLOSE_MS);
}

/* ---- attaching ---- */

/* The volume may have another size now. */
static void dev_event(void *user)
{
	struct memx_dev *d = user;
	unsigned int noio;

	mutex_lock(&memx_lock);
	/* Who waits for memory that is swapped to a silent server would hold the lock. */
	noio = memalloc_noio_save();
	if (d->state == MEMX_STATE_ATTACHED && d->disk && d->vol)
		set_capacity_and_notify(d->disk, memx_volume_size(d->vol) >> SECTOR_SHIFT);
	memalloc_noio_restore(noio);
	mutex_unlock(&memx_lock);
}

static int open_volume(struct memx_dev *d, const struct memx_attach *a, char *why, size_t len)
{
	struct memx_volume_conf conf = a->conf;
	struct memx_volume *v;
	bool stopped;
	int rc;

	conf.event = dev_event;
	conf.user = d;
	rc = memx_volume_start(&conf, &v, why, len);
	if (rc)
		return rc;
	mutex_lock(&memx_lock);
	d->vol = v;
	stopped = d->state != MEMX_STATE_ATTACHING;
	mutex_unlock(&memx_lock);
	if (stopped)
		memx_volume_fail(v);
	return memx_volume_wait_open(v, why, len);
}

static int attach(struct memx_dev *d, const struct memx_attach *a, char *why, size_t len)
{
	int rc = open_volume(d, a, why, len);
	const char *cipher;
	u64 size;

	if (rc)
		return rc;
	size = memx_volume_size(d->vol);
	cipher = memx_volume_cipher(d->vol);
	rc = memx_disk_add(d);
	if (rc) {
		snprintf(why, len, "the block device could not be made (error %d)", -rc);
		return rc;
	}
	mutex_lock(&memx_lock);
	if (d->state == MEMX_STATE_ATTACHING)
		set_state(d, MEMX_STATE_ATTACHED);
	else
		rc = -ECANCELED;
	mutex_unlock(&memx_lock);
	if (rc) {
		snprintf(why, len, "attaching volume \"%s\" was stopped", d->name);
		memx_disk_remove(d);
		return rc;
	}
	dev_event(d);
	pr_info("volume '%s' is /dev/memxblk%u, %llu MiB, %s\n", d->name, d->index,
		size >> 20, cipher);
	return 0;
}

int memx_dev_attach(struct memx_dev *d, const struct memx_attach *a, char *why, size_t len)
{
	int rc = attach(d, a, why, len);

	if (rc) {
		close_volume(d);
		dev_gone(d);
	}
	memx_dev_put(d);
	return rc;
}

/* ---- detaching ---- */

/* Ends what is under way, and all that comes. */
static void fail_volume(struct memx_dev *d)
{
	lockdep_assert_held(&memx_lock);
	if (d->vol)
		memx_volume_fail(d->vol);
}

/* It is attaching, or being detached already. 0: wait for its end. */
static int join_end(struct memx_dev *d, bool force, char *why, size_t len)
{
	lockdep_assert_held(&memx_lock);
	switch (d->state) {
	case MEMX_STATE_ATTACHING:
		set_state(d, MEMX_STATE_DETACHING);
		fail_volume(d);
		return 0;
	case MEMX_STATE_DETACHING:
		if (!force) {
			snprintf(why, len, "volume \"%s\" is being detached already and waits for its I/O or its servers; force ends that with errors",
				 d->name);
			return -EALREADY;
		}
		set_state(d, MEMX_STATE_DEAD);
		fail_volume(d);
		return 0;
	default:
		return 0;
	}
}

/* It was open: as it was, unless force was used meanwhile. */
static bool reattached(struct memx_dev *d)
{
	bool again;

	mutex_lock(&memx_lock);
	again = d->state == MEMX_STATE_DETACHING;
	if (again)
		set_state(d, MEMX_STATE_ATTACHED);
	mutex_unlock(&memx_lock);
	return again;
}

static bool is_dead(struct memx_dev *d)
{
	bool dead;

	mutex_lock(&memx_lock);
	dead = d->state == MEMX_STATE_DEAD;
	mutex_unlock(&memx_lock);
	return dead;
}

/* The state is DETACHING or DEAD, and this is who does it. */
static int take_down(struct memx_dev *d, char *why, size_t len)
{
	u32 openers;

	/* Without force this may wait for I/O, until somebody uses force. */
	if (!memx_disk_close(d, is_dead(d), &openers)) {
		if (reattached(d)) {
			snprintf(why, len, "memxblk%u (volume \"%s\") is open; umount it, swapoff, or stop who uses it (fuser -v /dev/memxblk%u), or use force: its I/O ends with errors then",
				 d->index, d->name, d->index);
			return -EBUSY;
		}
		memx_disk_close(d, true, &openers);
	}
	/* Those who have it open are told, and get errors. */
	if (is_dead(d))
		blk_mark_disk_dead(d->disk);
	memx_disk_remove(d);
	close_volume(d);
	pr_info("volume '%s' is detached from memxblk%u\n", d->name, d->index);
	dev_gone(d);
	return 0;
}

int memx_dev_detach(struct memx_dev *d, bool force, char *why, size_t len)
{
	int rc = 0;
	bool ours;

	mutex_lock(&memx_lock);
	ours = d->state == MEMX_STATE_ATTACHED;
	if (!ours) {
		rc = join_end(d, force, why, len);
	} else {
		set_state(d, force ? MEMX_STATE_DEAD : MEMX_STATE_DETACHING);
		if (force)
			fail_volume(d);
	}
	mutex_unlock(&memx_lock);
	if (rc)
		return rc;
	if (ours)
		return take_down(d, why, len);
	wait_for_completion(&d->gone);
	return 0;
}

void memx_dev_stop_attaching(void)
{
	struct memx_dev *d;

	mutex_lock(&memx_lock);
	list_for_each_entry(d, &memx_devs, node) {
		if (d->state != MEMX_STATE_ATTACHING)
			continue;
		set_state(d, MEMX_STATE_DETACHING);
		fail_volume(d);
	}
	mutex_unlock(&memx_lock);
}

void memx_dev_detach_all(void)
{
	struct memx_dev *d;
	char why[MEMX_WHY];

	for (;;) {
		mutex_lock(&memx_lock);
		d = list_first_entry_or_null(&memx_devs, struct memx_dev, node);
		if (d)
			kref_get(&d->ref);
		mutex_unlock(&memx_lock);
		if (!d)
			break;
		if (memx_dev_detach(d, false, why, sizeof(why)))
			memx_dev_detach(d, true, why, sizeof(why));
		memx_dev_put(d);
	}
	/* Who closes a disk's last file lets the module go before the disk. */
	wait_var_event(&ndevs, !atomic_read(&ndevs));
}

/* ---- changing the size ---- */

int memx_dev_resize(struct memx_dev *d, u64 bytes, bool shrink, char *why, size_t len)
{
	struct memx_volume *v;
	int rc;

	mutex_lock(&d->use);
	mutex_lock(&memx_lock);
	v = d->state == MEMX_STATE_ATTACHED ? d->vol : NULL;
	mutex_unlock(&memx_lock);
	if (!v) {
		mutex_unlock(&d->use);
		snprintf(why, len, "volume \"%s\" is not attached (any more, or yet)", d->name);
		return -ENODEV;
	}
	rc = memx_volume_resize(v, bytes, shrink, why, len);
	mutex_unlock(&d->use);
	dev_event(d);
	return rc;
}
