/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the kernels built for, 6.1 and newer. The sources are
 * written for the newest; each shim names the change that made it necessary.
 * The only file of the modules with a test of the kernel's version.
 */
#ifndef MEMX_LINUX_COMPAT_H
#define MEMX_LINUX_COMPAT_H

#include <linux/version.h>
#include <linux/blk-mq.h>
#include <linux/hrtimer.h>
#include <linux/shrinker.h>

/* 6.10, "net: move skb ref helpers to new header". */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#include <linux/skbuff_ref.h>
#endif

/*
 * 6.5, "net: gro: fix misuse of CB in udp socket lookup": before it, the lookup of a
 * datagram's socket by GRO did not know on which interface it came, and found none that is
 * bound to one.
 */
#define MXK_GRO_FINDS_BOUND	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0))

/*
 * 6.9, "block: pass a queue_limits argument to blk_mq_alloc_disk"; 6.11, "block:
 * move cache control settings out of queue->flags" and its series: limits and
 * features are given when the queue is made.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static inline struct gendisk *mxk_alloc_disk(struct blk_mq_tag_set *set, u32 max_bytes,
					     u32 discard_sectors, void *data)
{
	struct queue_limits lim = {
		.logical_block_size = 512,
		.physical_block_size = PAGE_SIZE,
		.io_min = PAGE_SIZE,
		.max_hw_sectors = max_bytes >> SECTOR_SHIFT,
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
		.max_hw_discard_sectors = discard_sectors,
		.discard_granularity = PAGE_SIZE,
		.max_write_zeroes_sectors = discard_sectors,
		.features = BLK_FEAT_STABLE_WRITES,
	};

	return blk_mq_alloc_disk(set, &lim, data);
}
#else
static inline struct gendisk *mxk_alloc_disk(struct blk_mq_tag_set *set, u32 max_bytes,
					     u32 discard_sectors, void *data)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, data);
	struct request_queue *q;

	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
	blk_queue_logical_block_size(q, 512);
	blk_queue_physical_block_size(q, PAGE_SIZE);
	blk_queue_io_min(q, PAGE_SIZE);
	blk_queue_max_hw_sectors(q, max_bytes >> SECTOR_SHIFT);
	blk_queue_max_segments(q, USHRT_MAX);
	blk_queue_max_segment_size(q, UINT_MAX);
	blk_queue_max_discard_sectors(q, discard_sectors);
	q->limits.discard_granularity = PAGE_SIZE;
	blk_queue_max_write_zeroes_sectors(q, discard_sectors);
	blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
	return disk;
}
#endif

/* 6.5, "block: pass a gendisk to ->open" and "block: replace fmode_t with a
 * block-specific type for block open flags". */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
typedef struct gendisk *mxk_open_what;
typedef blk_mode_t mxk_open_mode;
static inline struct gendisk *mxk_opened_disk(mxk_open_what disk)
{
	return disk;
}
#else
typedef struct block_device *mxk_open_what;
typedef fmode_t mxk_open_mode;
static inline struct gendisk *mxk_opened_disk(mxk_open_what bdev)
{
	return bdev->bd_disk;
}
#endif

/* 6.14, "block: remove BLK_MQ_F_SHOULD_MERGE": merging is what everybody wants. */
#ifndef BLK_MQ_F_SHOULD_MERGE
#define BLK_MQ_F_SHOULD_MERGE 0
#endif

/*
 * 6.7, "mm: shrinker: add infrastructure for dynamically allocating shrinker". @count
 * and @scan find what belongs to it by mxk_shrinker_data(). Removing one that was not
 * added does nothing. Its objects cost nothing to make again (seeks 0): half of them are
 * asked for at once, where of a cache 1/2048 would be at first.
 */
typedef unsigned long mxk_shrink_fn(struct shrinker *sh, struct shrink_control *sc);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
struct mxk_shrinker {
	struct shrinker *sh;
};

static inline int mxk_shrinker_add(struct mxk_shrinker *m, const char *name, mxk_shrink_fn *count,
				   mxk_shrink_fn *scan, void *data)
{
	m->sh = shrinker_alloc(0, "%s", name);
	if (!m->sh)
		return -ENOMEM;
	m->sh->count_objects = count;
	m->sh->scan_objects = scan;
	m->sh->private_data = data;
	m->sh->seeks = 0;
	shrinker_register(m->sh);
	return 0;
}

static inline void mxk_shrinker_remove(struct mxk_shrinker *m)
{
	shrinker_free(m->sh);
	m->sh = NULL;
}

static inline void *mxk_shrinker_data(struct shrinker *sh)
{
	return sh->private_data;
}
#else
struct mxk_shrinker {
	struct shrinker sh;
	void *data;
};

static inline int mxk_shrinker_add(struct mxk_shrinker *m, const char *name, mxk_shrink_fn *count,
				   mxk_shrink_fn *scan, void *data)
{
	int rc;

	m->sh = (struct shrinker){
		.count_objects = count, .scan_objects = scan, .seeks = 0,
	};
	m->data = data;
	rc = register_shrinker(&m->sh, "%s", name);
	if (rc)
		m->data = NULL;
	return rc;
}

static inline void mxk_shrinker_remove(struct mxk_shrinker *m)
{
	if (m->data)
		unregister_shrinker(&m->sh);
	m->data = NULL;
}

static inline void *mxk_shrinker_data(struct shrinker *sh)
{
	return container_of(sh, struct mxk_shrinker, sh)->data;
}
#endif

#endif
