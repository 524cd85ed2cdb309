// SPDX-License-Identifier: GPL-2.0-or-later
/* The block device: blk-mq's requests to the client and back. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include "core/wire.h"
#include "guest-module/dev.h"
#include "net/linux/compat.h"

#define DEPTH		256u		/* requests of each hardware queue */
/* Of a discard, or zeroes: what the core cuts into parts in one go, softirqs off. */
#define ZERO_BYTES	(32u << 20)

static void request_done(struct memx_request *r, int err)
{
	blk_mq_end_request(blk_mq_rq_from_pdu(r), errno_to_blk_status(err));
}

static int op_of(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return MEMX_READ;
	case REQ_OP_WRITE:
		return MEMX_WRITE;
	case REQ_OP_DISCARD:
		return MEMX_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return MEMX_ZEROES;
	default:
		return -1;
	}
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct memx_dev *d = hctx->queue->queuedata;
	struct request *rq = bd->rq;
	struct memx_request *r = blk_mq_rq_to_pdu(rq);
	int op = op_of(rq);

	if (op < 0)
		return BLK_STS_NOTSUPP;
	blk_mq_start_request(rq);
	r->op = op;
	r->off = blk_rq_pos(rq) << SECTOR_SHIFT;
	r->len = blk_rq_bytes(rq);
	r->bvec = NULL;
	r->bio = rq->bio;
	r->done = request_done;
	memx_submit(d->vol, r, !bd->last);
	return BLK_STS_OK;
}

/* Those since the last one may have been the end of a batch after all. */
static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct memx_dev *d = hctx->queue->queuedata;

	memx_flush_submitted(d->vol);
}

/* How long to wait is the device's policy, and the core's to keep. */
static enum blk_eh_timer_return timed_out(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

static const struct blk_mq_ops mq_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.timeout = timed_out,
};

/* Under disk->open_mutex. */
static int disk_open(mxk_open_what what, mxk_open_mode mode)
{
	struct memx_dev *d = mxk_opened_disk(what)->private_data;

	return d->closed ? -ENXIO : 0;
}

static void disk_free(struct gendisk *disk)
{
	memx_dev_put(disk->private_data);
}

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
	.open = disk_open,
	.free_disk = disk_free,
};

static int make_tags(struct memx_dev *d)
{
	int rc;

	d->tags.ops = &mq_ops;
	d->tags.nr_hw_queues = d->queues;
	d->tags.queue_depth = DEPTH;
	d->tags.numa_node = NUMA_NO_NODE;
	d->tags.cmd_size = sizeof(struct memx_request);
	/* Stacking: no request needs an interrupt of the CPU it came from, so a CPU that goes
	 * offline need not wait for those of silent servers. */
	d->tags.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT | BLK_MQ_F_STACKING;
	rc = blk_mq_alloc_tag_set(&d->tags);
	d->queues = d->tags.nr_hw_queues;	/* no more than there are CPUs */
	return rc;
}

int memx_disk_add(struct memx_dev *d)
{
	struct gendisk *disk;
	int rc = make_tags(d);

	if (rc)
		return rc;
	disk = mxk_alloc_disk(&d->tags, MEMX_REQ_BYTES, ZERO_BYTES >> SECTOR_SHIFT, d);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(&d->tags);
		return PTR_ERR(disk);
	}
	kref_get(&d->ref);		/* disk_free */
	disk->fops = &disk_ops;
	disk->private_data = d;
	snprintf(disk->disk_name, DISK_NAME_LEN, "memxblk%u", d->index);
	set_capacity(disk, memx_volume_size(d->vol) >> SECTOR_SHIFT);
	set_disk_ro(disk, d->read_only);
	mutex_lock(&memx_lock);
	d->disk = disk;
	mutex_unlock(&memx_lock);
	rc = device_add_disk(NULL, disk, memx_disk_groups);
	if (!rc)
		return 0;
	mutex_lock(&memx_lock);
	d->disk = NULL;
	mutex_unlock(&memx_lock);
	put_disk(disk);
	memx_dev_put(d);		/* free_disk is for those that were added */
	blk_mq_free_tag_set(&d->tags);
	return rc;
}

bool memx_disk_close(struct memx_dev *d, bool force, u32 *openers)
{
	struct gendisk *disk = d->disk;

	mutex_lock(&disk->open_mutex);
	*openers = disk_openers(disk);
	if (force || !*openers)
		d->closed = true;
	mutex_unlock(&disk->open_mutex);
	return d->closed;
}

void memx_disk_remove(struct memx_dev *d)
{
	struct gendisk *disk = d->disk;

	del_gendisk(disk);
	mutex_lock(&memx_lock);
	d->disk = NULL;
	mutex_unlock(&memx_lock);
	put_disk(disk);
	blk_mq_free_tag_set(&d->tags);
}
