// SPDX-License-Identifier: GPL-2.0-or-later
/* The block device: blk-mq's requests to the core and back. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/module.h>
#include "core/wire.h"
#include "guest-module/memx.h"
#include "net/linux/compat.h"

#define DEPTH	256u

static blk_status_t status_of(enum mx_status st)
{
	switch (st) {
	case MX_OK:
		return BLK_STS_OK;
	case MX_ST_NO_SPACE:
		return BLK_STS_NOSPC;
	case MX_ST_TIMEOUT:
		return BLK_STS_TIMEOUT;
	case MX_ST_READ_ONLY:
		return BLK_STS_NOTSUPP;
	default:
		return BLK_STS_IOERR;
	}
}

/* Without the lock. */
static void io_end(struct mxk_after *a)
{
	struct memx_io *io = container_of(a, struct memx_io, after);

	blk_mq_end_request(memx_rq(io), io->status);
}

/* Under the lock. */
static void io_done(struct mx_req *r, enum mx_status st)
{
	struct memx_io *io = container_of(r, struct memx_io, core);

	io->status = status_of(st);
	memx_copy_done(io);
	mxk_add_after(&io->dev->node, &io->after);
}

static int op_of(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return MX_REQ_READ;
	case REQ_OP_WRITE:
		return MX_REQ_WRITE;
	case REQ_OP_DISCARD:
		return MX_REQ_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return MX_REQ_ZERO;
	default:
		return -1;
	}
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct memx_dev *d = hctx->queue->queuedata;
	struct request *rq = bd->rq;
	struct memx_io *io = blk_mq_rq_to_pdu(rq);
	int op = op_of(rq);
	mx_ns now;

	if (op < 0 || (op <= MX_REQ_WRITE && !memx_buf_fits(rq)))
		return BLK_STS_IOERR;
	blk_mq_start_request(rq);
	memset(&io->core, 0, sizeof(io->core));
	io->core.op = (u8)op;
	io->core.off = blk_rq_pos(rq) << SECTOR_SHIFT;
	io->core.len = blk_rq_bytes(rq);
	io->core.buf = io;
	io->core.done = io_done;
	io->after.fn = io_end;
	io->dev = d;
	io->copy = NULL;
	now = mxk_enter(&d->node);
	mx_vol_submit(d->vol, &io->core, now);
	if (bd->last)
		mxk_leave(&d->node, now);
	else
		mxk_leave_later(&d->node);
	return BLK_STS_OK;
}

/* Those since the last leave may have been the end of a batch after all. */
static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct memx_dev *d = hctx->queue->queuedata;
	mx_ns now = mxk_enter(&d->node);

	mxk_leave(&d->node, now);
}

/* How long to wait is the volume's policy, and the core's to keep. */
static enum blk_eh_timer_return timed_out(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

static const struct blk_mq_ops mq_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.timeout = timed_out,
};

static const struct block_device_operations disk_ops = { .owner = THIS_MODULE };

int memx_disk_add(struct memx_dev *d, u32 index)
{
	int rc;

	d->tags.ops = &mq_ops;
	d->tags.nr_hw_queues = 1;
	d->tags.queue_depth = DEPTH;
	d->tags.numa_node = NUMA_NO_NODE;
	d->tags.cmd_size = sizeof(struct memx_io);
	d->tags.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	d->tags.driver_data = d;
	rc = blk_mq_alloc_tag_set(&d->tags);
	if (rc)
		return rc;
	d->disk = mxk_alloc_disk(&d->tags, MEMX_REQ_BYTES, MX_EXTENT >> SECTOR_SHIFT, d);
	if (IS_ERR(d->disk)) {
		rc = PTR_ERR(d->disk);
		goto err_tags;
	}
	d->disk->fops = &disk_ops;
	d->disk->private_data = d;
	snprintf(d->disk->disk_name, DISK_NAME_LEN, "memxblk%u", index);
	set_capacity(d->disk, mx_vol_size(d->vol) >> SECTOR_SHIFT);
	set_disk_ro(d->disk, d->read_only);
	rc = add_disk(d->disk);
	if (rc)
		goto err_disk;
	return 0;
err_disk:
	put_disk(d->disk);
err_tags:
	blk_mq_free_tag_set(&d->tags);
	return rc;
}

void memx_disk_remove(struct memx_dev *d)
{
	del_gendisk(d->disk);
	put_disk(d->disk);
	blk_mq_free_tag_set(&d->tags);
}
