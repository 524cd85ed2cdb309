/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the client (memx_client.h):
 *
 *	volume.c	opening and closing, requests
 *	pages.c		a request's pages as the core's buffer
 *
 * Nothing on the path of a request sleeps or waits for memory:
 *  - the core's parts, the requests' own state and the copies below exist already;
 *  - an skb that cannot be had, even from the reserves, is a datagram lost, which is
 *    sent again later.
 */
#ifndef MEMX_GUEST_VOLUME_H
#define MEMX_GUEST_VOLUME_H

#include <linux/completion.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "guest-module/memx_client.h"
#include "net/linux/seed.h"

#define MEMX_REQ_PAGES	(MEMX_REQ_BYTES / PAGE_SIZE)
#define MEMX_COPIES	16u		/* requests that can have a stable copy at once */

/* What a write is sent from once a page of it was seen to change while under way. */
struct memx_copy {
	struct memx_copy *next;		/* free; node->lock */
	struct page *page[MEMX_REQ_PAGES];
};

struct memx_volume {
	struct mxk_node node;		/* its lock: see there */
	struct mx_client *core;
	struct mx_vol *vol;
	struct mxk_seeds seeds;
	struct memx_copy *copies, *free_copies;	/* free_copies: node->lock */
	char name[MX_NAME_MAX + 1];
	bool sealed;
	bool failed;			/* no request goes to the core any more; node->lock */
	atomic_t inflight;		/* submitted, and done() has not returned */
	wait_queue_head_t idle;		/* woken when inflight is 0 */
	struct completion opened, closed;
	enum mx_status open_status;
	u64 errors;			/* requests; node->lock */

	void (*event)(void *user);
	void *user;
	struct work_struct event_work;
};

/* pages.c */
extern const struct mxk_buf_ops memx_pages_ops;
void memx_pages_port(struct mx_port *p);
int memx_copies_init(struct memx_volume *v);
void memx_copies_exit(struct memx_volume *v);
void memx_copy_done(struct memx_request *r);	/* under the lock */
/* Can the core work on it: whole blocks in each piece, and as many as there should be? */
bool memx_pages_fit(const struct memx_request *r);

#endif
