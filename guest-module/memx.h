/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx.ko: a volume as a block device.
 *
 *	main.c	the module: parameters, attaching and detaching
 *	disk.c	blk-mq: requests to the core and back
 *	buf.c	a request's pages as the core's buffer
 *
 * Each device has an endpoint of its own, so that all the memory it needs is taken
 * when it is attached, before anything can be under way. From then on nothing on
 * the path of a request sleeps or waits for memory:
 *  - the core's parts, the requests' own state and the copies below exist already;
 *  - an skb that cannot be had, even from the reserves, is a datagram lost, which is
 *    sent again later.
 */
#ifndef MEMX_GUEST_MODULE_H
#define MEMX_GUEST_MODULE_H

#include <linux/blk-mq.h>
#include <linux/completion.h>
#include "core/client.h"
#include "net/linux/node.h"
#include "net/linux/seed.h"

#define MEMX_REQ_BYTES	(128u * 1024)	/* of the largest request; one part for the core */
#define MEMX_REQ_PAGES	(MEMX_REQ_BYTES / PAGE_SIZE)
#define MEMX_COPIES	16u		/* requests that can have a stable copy at once */

/* What a write is sent from once a page of it was seen to change while under way. */
struct memx_copy {
	struct memx_copy *next;		/* free; node->lock */
	struct page *page[MEMX_REQ_PAGES];
};

struct memx_dev {
	struct mxk_node node;
	struct mx_client *core;
	struct mx_vol *vol;
	struct mxk_seeds seeds;
	struct blk_mq_tag_set tags;
	struct gendisk *disk;
	struct memx_copy *copies, *free_copies;	/* free_copies: node->lock */
	struct completion opened, closed;
	enum mx_status open_status;
	bool read_only;
};

/* A request's own state, in the space blk-mq keeps beside each. */
struct memx_io {
	struct mx_req core;
	struct mxk_after after;
	struct memx_dev *dev;
	struct memx_copy *copy;		/* NULL: sent from the request's own pages */
	blk_status_t status;
};

static inline struct request *memx_rq(struct memx_io *io)
{
	return blk_mq_rq_from_pdu(io);
}

/* disk.c */
int memx_disk_add(struct memx_dev *d, u32 index);
void memx_disk_remove(struct memx_dev *d);

/* buf.c */
extern const struct mxk_buf_ops memx_buf_ops;
void memx_buf_port(struct mx_port *p);
int memx_copies_init(struct memx_dev *d);
void memx_copies_exit(struct memx_dev *d);
void memx_copy_done(struct memx_io *io);	/* under the lock */
/* Can the core work on it: whole blocks in each piece? */
bool memx_buf_fits(struct request *rq);

#endif
