/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx.ko: attached volumes as block devices.
 *
 *	main.c		the module and its parameters
 *	netlink.c	the family "memx" (net/linux/uapi.h)
 *	dev.c		the devices: attaching, detaching
 *	disk.c		blk-mq: requests to the client and back
 *	sysfs.c		attributes of a disk
 *	memx_client.h	the client below it, which other modules use too: volume.c, pages.c
 *
 * Locks, outermost first:
 *	dev->use		a change of the size against closing
 *	memx_lock		the list of devices and their states. Never held while
 *				servers, I/O or openers are waited for
 *	disk->open_mutex	the block layer's; held by it during I/O (partitions)
 *	node->lock		a volume's
 */
#ifndef MEMX_GUEST_DEV_H
#define MEMX_GUEST_DEV_H

#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include "guest-module/memx_client.h"
#include "net/linux/uapi.h"

#define MEMX_IFNAME	(IFNAMSIZ + 4)	/* with raw: before it */

/* What is to be attached, and how. */
struct memx_attach {
	struct memx_volume_conf conf;	/* its pointers point below */
	char name[MX_NAME_MAX + 1], node_name[MX_NAME_MAX + 1];
	char ifname[MEMX_IFNAME];
	struct mx_addr servers[MEMX_SERVERS_MAX];
	struct mx_key key;
	u32 queues;			/* hardware queues; 0: one for each CPU, at most 4 */
};
void memx_attach_init(struct memx_attach *a);
/* Wipes the key and frees. */
void memx_attach_free(struct memx_attach *a);
/* Adds an address (mxk_parse_addr). -EINVAL, -E2BIG. */
int memx_attach_add_server(struct memx_attach *a, const char *text);

struct memx_dev {
	struct kref ref;		/* the list's, the disk's, and of whoever looks */
	struct list_head node;		/* memx_devs; memx_lock */
	enum memx_state state;		/* memx_lock; see set_state() */
	u32 index;			/* of memxblkN */
	char name[MX_NAME_MAX + 1];	/* the volume's */
	char ifname[MEMX_IFNAME];
	struct mx_addr servers[MEMX_SERVERS_MAX];	/* as given */
	u32 nservers, queues, fail_after_ms;
	bool read_only;
	struct mutex use;		/* held while the size is changed */
	struct memx_volume *vol;	/* memx_lock; stays while there is a disk */
	struct gendisk *disk;		/* memx_lock; set while attached */
	struct blk_mq_tag_set tags;
	bool closed;			/* nobody may open it any more; disk->open_mutex */
	struct completion gone;		/* all has ended */
};

extern struct mutex memx_lock;
extern struct list_head memx_devs;

/*
 * A new device, attaching, in the list; -EEXIST if the volume has one already, or
 * -ENOMEM. Then memx_dev_attach() must follow. Sleeps.
 */
int memx_dev_new(const struct memx_attach *a, struct memx_dev **dp);
/* Waits until it is there, or not: then it has gone from the list, and @why has a
 * sentence. Sleeps. Puts the reference of memx_dev_new(). */
int memx_dev_attach(struct memx_dev *d, const struct memx_attach *a, char *why, size_t len);
/* Waits until it has gone. -EBUSY: open, -EALREADY: being detached. Sleeps. */
int memx_dev_detach(struct memx_dev *d, bool force, char *why, size_t len);
int memx_dev_resize(struct memx_dev *d, u64 bytes, bool shrink, char *why, size_t len);
/* By volume's or device's name, one of them NULL. Put it. NULL: none. */
struct memx_dev *memx_dev_find(const char *volume, const char *device);
void memx_dev_put(struct memx_dev *d);
/* Every memx_dev_attach() under way ends soon, by -ECANCELED. */
void memx_dev_stop_attaching(void);
/* Also one that was forced off and whose file is open still. */
bool memx_devs_any(void);
/* All, when the module goes. Nothing is open then. */
void memx_dev_detach_all(void);

/* disk.c: need d->vol. Sleep. */
int memx_disk_add(struct memx_dev *d);
void memx_disk_remove(struct memx_dev *d);
/* From now on nobody can open it. False, and nothing has changed: somebody has. */
bool memx_disk_close(struct memx_dev *d, bool force, u32 *openers);

/* sysfs.c */
extern const struct attribute_group *memx_disk_groups[];

/* netlink.c */
int memx_netlink_init(void);
/* No command runs any more after it. Harmless where init has failed. */
void memx_netlink_exit(void);

#endif
