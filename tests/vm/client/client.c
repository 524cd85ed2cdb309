// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests the interface for other modules (guest-module/memx_client.h). Does not stay
 * loaded: the result is in the log, and -EAGAIN if all was right.
 *
 *	insmod memx-client-test.ko volume=v1 server=10.77.0.1
 */
#define pr_fmt(fmt) "memx-client-test: " fmt
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "guest-module/memx_client.h"

static char *volume = "";
module_param(volume, charp, 0444);
static char *server = "";
module_param(server, charp, 0444);
static char *interface = "eth0";
module_param(interface, charp, 0444);

#define PAGES	32u
#define BYTES	(PAGES * (u32)PAGE_SIZE)

struct wait {
	struct memx_request r;
	struct completion done;
	int err;
};

static struct page *page[PAGES];
static struct bio_vec bvec[PAGES];

static void done(struct memx_request *r, int err)
{
	struct wait *w = container_of(r, struct wait, r);

	w->err = err;
	complete(&w->done);
}

static int submit_wait(struct memx_volume *v, enum memx_op op, u64 off, u64 len,
		       const struct bio_vec *bv)
{
	struct wait *w = kzalloc(sizeof(*w), GFP_KERNEL);
	int err;

	if (!w)
		return -ENOMEM;
	w->r = (struct memx_request){ .op = op, .off = off, .len = len, .bvec = bv, .done = done };
	init_completion(&w->done);
	memx_submit(v, &w->r, false);
	wait_for_completion(&w->done);
	err = w->err;
	kfree(w);
	return err;
}

static void fill(u8 seed)
{
	for (u32 i = 0; i < PAGES; i++) {
		u8 *p = page_address(page[i]);

		for (u32 k = 0; k < PAGE_SIZE; k++)
			p[k] = seed ? (u8)(seed + i * 7 + k / 512 + k) : 0;
	}
}

static bool same(u8 seed)
{
	for (u32 i = 0; i < PAGES; i++) {
		const u8 *p = page_address(page[i]);

		for (u32 k = 0; k < PAGE_SIZE; k++)
			if (p[k] != (seed ? (u8)(seed + i * 7 + k / 512 + k) : 0))
				return false;
	}
	return true;
}

#define EXPECT(cond)								\
	do {									\
		if (!(cond)) {							\
			pr_err("line %d: not %s\n", __LINE__, #cond);		\
			return -EIO;						\
		}								\
	} while (0)

static int try_io(struct memx_volume *v)
{
	u64 size = memx_volume_size(v);
	struct bio_vec odd[2] = {
		{ .bv_page = page[0], .bv_offset = 512, .bv_len = 1024 },
		{ .bv_page = page[1], .bv_offset = 3584, .bv_len = 512 },
	};
	struct bio_vec bad = { .bv_page = page[0], .bv_offset = 100, .bv_len = 512 };

	fill(3);
	EXPECT(!submit_wait(v, MEMX_WRITE, 512, BYTES, bvec));
	fill(9);
	EXPECT(!submit_wait(v, MEMX_READ, 512, BYTES, bvec));
	EXPECT(same(3));
	EXPECT(!submit_wait(v, MEMX_FLUSH, 0, 0, NULL));
	/* Pieces of pages: blocks 3, 4 and 5 of what was written are its blocks 2, 3, 4. */
	fill(9);
	EXPECT(!submit_wait(v, MEMX_READ, 1536, 1536, odd));
	EXPECT(!memcmp(page_address(page[0]) + 512, "\x05\x06\x07", 3));
	EXPECT(*((u8 *)page_address(page[1]) + 3584) == (u8)(3 + 4 + 2048));
	EXPECT(*((u8 *)page_address(page[0])) == 9);
	EXPECT(!submit_wait(v, MEMX_ZEROES, 512, BYTES, NULL));
	EXPECT(!submit_wait(v, MEMX_READ, 512, BYTES, bvec));
	EXPECT(same(0));
	EXPECT(!submit_wait(v, MEMX_DISCARD, 0, size, NULL));
	/* What cannot be. */
	EXPECT(submit_wait(v, MEMX_READ, size, 512, &odd[1]) == -EINVAL);
	EXPECT(submit_wait(v, MEMX_WRITE, 0, 512, &bad) == -EINVAL);
	EXPECT(submit_wait(v, MEMX_WRITE, 0, BYTES * 2, bvec) == -EINVAL);
	EXPECT(submit_wait(v, MEMX_WRITE, 100, 512, &odd[1]) == -EINVAL);
	EXPECT(memx_volume_inflight(v) == 0);
	EXPECT(memx_volume_errors(v) == 4);
	return 0;
}

static int try_fail(struct memx_volume *v)
{
	memx_volume_fail(v);
	EXPECT(submit_wait(v, MEMX_READ, 0, BYTES, bvec) == -ECANCELED);
	EXPECT(submit_wait(v, MEMX_FLUSH, 0, 0, NULL) == -ECANCELED);
	EXPECT(memx_volume_inflight(v) == 0);
	return 0;
}

static int try_all(void)
{
	struct mx_addr a;
	struct memx_volume_conf conf = { .name = volume, .ifname = interface, .servers = &a,
					 .nservers = 1 };
	struct memx_volume *v;
	char why[MEMX_WHY] = "";
	int rc;

	EXPECT(!mxk_parse_addr(server, &a));
	rc = memx_volume_start(&conf, &v, why, sizeof(why));
	if (!rc) {
		rc = memx_volume_wait_open(v, why, sizeof(why));
		if (!rc)
			rc = try_io(v);
		if (!rc)
			rc = try_fail(v);
		memx_volume_close(v, 20000);
	}
	if (*why)
		pr_err("%s\n", why);
	return rc;
}

static int __init client_init(void)
{
	int rc = -ENOMEM;
	u32 i;

	for (i = 0; i < PAGES; i++) {
		page[i] = alloc_page(GFP_KERNEL);
		if (!page[i])
			goto out;
		bvec[i] = (struct bio_vec){ .bv_page = page[i], .bv_len = PAGE_SIZE };
	}
	rc = try_all();
	pr_info("%s\n", rc ? "failed" : "all right");
out:
	while (i-- > 0)
		__free_page(page[i]);
	return rc ?: -EAGAIN;
}

module_init(client_init);
MODULE_DESCRIPTION("MemX: test of the client for other modules");
MODULE_LICENSE("GPL");
