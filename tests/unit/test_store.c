/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store: against a naive model, and rule by rule. */
#include <stddef.h>
#include <stdint.h>
#include "unit.h"
#include <time.h>
#include "store_model.h"

/* ---- against the model ---- */

static u64 run_model(u64 seed, u64 ceiling, bool tight, u32 steps)
{
	struct model *m = calloc(1, sizeof *m);
	u64 refused;
	u32 i;

	assert_true(m_init(m, ceiling, tight));
	m->rng = seed;
	m->closed = false;
	for (i = 0; i < steps; i++)
		m_step(m);
	mx_store_close(m->s);
	m->closed = true;
	for (i = 0; i < steps / 20; i++)
		m_step(m);
	m_fini(m);
	refused = m->refused;
	free(m);
	return refused;
}

static void model__random_operations(void **state)
{
	u64 seed;

	for (seed = 1; seed <= 40; seed++)
		run_model(seed, 64 << 20, false, 3000);
}

static void model__random_operations_memory_tight(void **state)
{
	u64 seed, refused = 0;

	for (seed = 1; seed <= 40; seed++)
		refused += run_model(seed, 1200 << 10, true, 3000);
	assert_true(refused > 100);
}

/* ---- small scenes ---- */

struct scene {
	struct tport tp;
	struct mx_store *s;
	struct mx_svol *v;
	u8 uuid[16];
	u64 seq;
	u8 head[MX_WRITE_FIXED + 256 * 4];
	u8 data[256 * 512];
};

static void scene_open_conf(struct scene *c, const struct mx_store_conf *conf)
{
	memset(c, 0, sizeof *c);
	tport_init(&c->tp);
	c->s = mx_store_new(&c->tp.port, conf);
	assert_non_null(c->s);
	memset(c->uuid, 7, 16);
	c->v = mx_svol_make(c->s, c->uuid);
	assert_non_null(c->v);
}

static void scene_open(struct scene *c, u64 ceiling)
{
	struct mx_store_conf conf = { .ceiling = ceiling };

	scene_open_conf(c, &conf);
}

static void scene_close(struct scene *c)
{
	assert_null(mx_store_check(c->s));
	mx_store_free(c->s);
	assert_int_equal(c->tp.alloc_bytes, 0);
	assert_int_equal(c->tp.pages, 0);
}

static enum mx_status put(struct scene *c, u32 extent, u32 gen, u64 seq, u32 first, u32 n, u32 val,
			  u16 flags)
{
	struct mx_write w = { .num = mx_num(1, seq), .gen = gen, .extent = extent,
			      .first = (u16)first, .nblocks = (u16)n, .req_first = (u16)first,
			      .req_nblocks = (u16)n };
	u32 seed = mx_crc32c(0xffffffff, c->uuid, 16), i;
	struct mx_wres res;

	for (i = 0; i < n; i++) {
		m_block(val, c->data + i * 512);
		mx_st32(c->head + MX_WRITE_FIXED + i * 4,
			mx_crc32c(mx_block_seed(seed, (u64)extent * 2048 + first + i),
				  c->data + i * 512, 512));
	}
	return mx_store_write(c->v, &w, 0, flags, c->head, c->data, &res);
}

static enum mx_status zap(struct scene *c, u32 extent, u32 gen, u64 seq, u32 first, u32 n,
			  u16 flags, bool *emptied)
{
	struct mx_zero z = { .num = mx_num(1, seq), .gen = gen, .extent = extent,
			     .first = (u16)first, .nblocks = (u16)n };
	u64 num;

	return mx_store_zero(c->v, &z, flags, emptied, &num);
}

static u32 kind(struct scene *c, u32 extent, u32 gen, u32 page)
{
	struct mx_pageref ref;

	assert_int_equal(mx_store_read(c->v, extent, gen, page, &ref), MX_OK);
	return ref.kind;
}

static void zero__pages_of_zeros_take_no_memory(void **state)
{
	struct scene c;
	u64 before;

	scene_open(&c, 16 << 20);
	before = c.tp.pages;
	assert_int_equal(put(&c, 0, 1, 5, 0, 256, 0, 0), MX_OK);
	assert_int_equal(c.tp.pages, before);
	assert_int_equal(kind(&c, 0, 1, 31), MX_PAGE_ZERO);
	assert_int_equal(put(&c, 0, 1, 4, 0, 8, 9, 0), MX_ST_STALE);
	scene_close(&c);
}

/* A carrier may send pages by reference: what is on its way must not change. */
static void busy__a_page_being_sent_is_not_filled_anew(void **state)
{
	struct mx_pageref ref;
	struct scene c;
	u8 before[4096];
	u64 seq;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 0, 1, 1, 0, 8, 1, 0), MX_OK);
	assert_int_equal(mx_store_read(c.v, 0, 1, 0, &ref), MX_OK);
	c.tp.busy = (void *)ref.data;
	memcpy(before, ref.data, 4096);
	for (seq = 2; seq < 12; seq++)
		assert_int_equal(put(&c, 0, 1, seq, 0, 8, (u32)seq, 0), MX_OK);
	assert_memory_equal(c.tp.busy, before, 4096);
	scene_close(&c);
	free(c.tp.busy);
}

static void floor__late_duplicate_after_free_is_stale(void **state)
{
	struct scene c;
	bool emptied;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_OK);
	assert_int_equal(zap(&c, 3, 1, 11, 0, 2048, MX_F_DISCARD, &emptied), MX_OK);
	assert_true(emptied);
	assert_int_equal(mx_store_stats(c.s)->extents, 0);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_ST_STALE);
	assert_int_equal(put(&c, 3, 1, 12, 0, 8, 1, 0), MX_OK);
	/* The discard comes once more, late: it must not free what came after. */
	assert_int_equal(zap(&c, 3, 1, 11, 0, 2048, MX_F_DISCARD, &emptied), MX_ST_STALE);
	assert_false(emptied);
	assert_int_equal(kind(&c, 3, 1, 0), MX_PAGE_DATA);
	scene_close(&c);
}

/* An extent that was written with zeros is in the owner's map and in the bitmap:
 * only a discard whose answer the owner waits for may take it away. */
static void floor__late_discard_does_not_free_zero_pages(void **state)
{
	struct scene c;
	bool emptied;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_OK);
	assert_int_equal(zap(&c, 3, 1, 11, 160, 8, MX_F_DISCARD, &emptied), MX_OK);
	assert_false(emptied);
	assert_int_equal(zap(&c, 3, 1, 12, 0, 8, 0, &emptied), MX_OK);
	assert_int_equal(zap(&c, 3, 1, 11, 160, 8, MX_F_DISCARD, &emptied), MX_OK);
	assert_false(emptied);
	assert_int_equal(mx_store_stats(c.s)->extents, 1);
	scene_close(&c);
}

/* The owner drops the extent by name when nothing more is under way to it. */
static void keep__an_empty_extent_stays_listed(void **state)
{
	struct mx_extinfo info;
	struct scene c;
	bool emptied;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_OK);
	assert_int_equal(zap(&c, 3, 1, 11, 0, 2048, MX_F_DISCARD | MX_F_KEEP, &emptied), MX_OK);
	assert_true(emptied);
	assert_true(mx_svol_next_extent(c.v, 0, &info));
	assert_int_equal(info.pages, 0);
	assert_int_equal(zap(&c, 3, 1, 11, 0, 2048, MX_F_DISCARD | MX_F_KEEP, &emptied), MX_OK);
	assert_true(emptied);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_ST_STALE);
	assert_int_equal(put(&c, 3, 1, 12, 0, 8, 1, 0), MX_OK);
	scene_close(&c);
}

static void floor__discard_of_absent_page_keeps_older_write_out(void **state)
{
	struct scene c;
	bool emptied;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 3, 1, 10, 0, 8, 1, 0), MX_OK);
	assert_int_equal(zap(&c, 3, 1, 12, 800, 8, MX_F_DISCARD, &emptied), MX_OK);
	assert_int_equal(put(&c, 3, 1, 11, 800, 8, 1, 0), MX_ST_STALE);
	assert_int_equal(kind(&c, 3, 1, 100), MX_PAGE_HOLE);
	scene_close(&c);
}

static void generation__higher_replaces_lower_is_refused(void **state)
{
	struct scene c;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 9, 2, 10, 0, 16, 1, 0), MX_OK);
	assert_int_equal(put(&c, 9, 1, 11, 0, 8, 1, 0), MX_ST_STALE_GEN);
	/* A copy with the old numbers: they are not below any floor here. */
	assert_int_equal(put(&c, 9, 3, 10, 8, 8, 2, MX_F_INCOMING), MX_OK);
	assert_int_equal(kind(&c, 9, 3, 0), MX_PAGE_HOLE);
	assert_int_equal(kind(&c, 9, 3, 1), MX_PAGE_DATA);
	assert_int_equal(mx_store_commit_extent(c.v, 9, 2), MX_ST_STALE_GEN);
	assert_int_equal(mx_store_commit_extent(c.v, 9, 3), MX_OK);
	assert_int_equal(mx_store_commit_extent(c.v, 9, 3), MX_OK);
	assert_int_equal(mx_store_drop_extent(c.v, 9, 2, 0), MX_ST_STALE_GEN);
	assert_int_equal(mx_store_drop_extent(c.v, 9, 3, 0), MX_OK);
	assert_int_equal(mx_store_drop_extent(c.v, 9, 3, 0), MX_OK);
	assert_int_equal(put(&c, 9, 3, 10, 8, 8, 2, 0), MX_ST_STALE);
	scene_close(&c);
}

static void lostbase__absent_pages_stay_lost_until_written_whole(void **state)
{
	struct scene c;
	bool emptied;

	scene_open(&c, 16 << 20);
	assert_int_equal(put(&c, 1, 2, 10, 0, 8, 1, MX_F_LOSTBASE), MX_OK);
	assert_int_equal(kind(&c, 1, 2, 0), MX_PAGE_DATA);
	assert_int_equal(kind(&c, 1, 2, 1), MX_PAGE_LOST);
	assert_int_equal(mx_store_stats(c.s)->lost_pages, 255);
	assert_int_equal(put(&c, 1, 2, 11, 8, 4, 1, 0), MX_ST_LOST);
	assert_int_equal(zap(&c, 1, 2, 12, 8, 4, 0, &emptied), MX_ST_LOST);
	assert_int_equal(zap(&c, 1, 2, 13, 8, 4, MX_F_DISCARD, &emptied), MX_OK);
	assert_int_equal(kind(&c, 1, 2, 1), MX_PAGE_LOST);
	assert_int_equal(zap(&c, 1, 2, 14, 0, 2040, MX_F_DISCARD, &emptied), MX_OK);
	assert_false(emptied);	/* page 255 is still lost */
	assert_int_equal(kind(&c, 1, 2, 255), MX_PAGE_LOST);
	assert_int_equal(zap(&c, 1, 2, 15, 2040, 8, MX_F_DISCARD, &emptied), MX_OK);
	assert_true(emptied);
	scene_close(&c);
}

static void full__new_pages_refused_old_ones_replaced(void **state)
{
	struct scene c;
	enum mx_status st;
	bool emptied;
	u32 page, n = 0;
	u64 seq = 0, most = 0;

	scene_open(&c, 8 << 20);
	for (page = 0; ; page++) {
		st = put(&c, page / 256, 1, ++seq, page % 256 * 8, 8, 1 + page, 0);
		if (st != MX_OK)
			break;
		mx_store_work(c.s);
	}
	assert_int_equal(st, MX_ST_FULL);
	assert_true(page > 1500);
	for (n = 0; n < page; n++) {
		assert_int_equal(put(&c, n / 256, 1, ++seq, n % 256 * 8, 8, 2 + n, 0), MX_OK);
		most = mx_max_u64(most, c.tp.pages * 4096 + c.tp.alloc_bytes);
	}
	/* parts of pages too */
	assert_int_equal(put(&c, 0, 1, ++seq, 3, 2, 77, 0), MX_OK);
	assert_int_equal(put(&c, page / 256, 1, ++seq, page % 256 * 8, 8, 5, 0), MX_ST_FULL);
	assert_true(most <= 8 << 20);
	assert_true(mx_store_room(c.s) < 4096);
	assert_int_equal(zap(&c, 0, 1, ++seq, 0, 800, MX_F_DISCARD, &emptied), MX_OK);
	assert_int_equal(put(&c, page / 256, 1, ++seq, page % 256 * 8, 8, 5, 0), MX_OK);
	/* A ceiling below what is held refuses what is new, and nothing else. */
	mx_store_set_ceiling(c.s, 4 << 20);
	assert_int_equal(put(&c, 0, 1, ++seq, 0, 8, 6, 0), MX_ST_FULL);
	assert_int_equal(put(&c, 1, 1, ++seq, 0, 8, 6, 0), MX_OK);
	scene_close(&c);
}

static enum mx_status part_of(struct scene *c, u64 num, u32 gen, u8 attempt, u32 page, u32 first,
			      u32 n, u32 val, struct mx_wres *res)
{
	struct mx_write w = { .num = num, .gen = gen, .first = (u16)(page * 8 + first),
			      .nblocks = (u16)n, .req_first = (u16)(page * 8), .req_nblocks = 8 };
	u32 seed = mx_crc32c(0xffffffff, c->uuid, 16), i;

	for (i = 0; i < n; i++) {
		m_block(val, c->data + i * 512);
		mx_st32(c->head + MX_WRITE_FIXED + i * 4,
			mx_crc32c(mx_block_seed(seed, w.first + i), c->data + i * 512, 512));
	}
	return mx_store_write(c->v, &w, attempt, MX_F_REPORT, c->head, c->data, res);
}

static enum mx_status part(struct scene *c, u64 seq, u8 attempt, u32 page, u32 first, u32 n, u32 val,
			   struct mx_wres *res)
{
	return part_of(c, mx_num(1, seq), 1, attempt, page, first, n, val, res);
}

static void assembly__attempts_are_never_joined(void **state)
{
	struct scene c;
	struct mx_wres res;
	struct mx_pageref ref;
	u8 want[512];

	scene_open(&c, 16 << 20);
	assert_int_equal(part(&c, 5, 0, 0, 0, 4, 1, &res), MX_ST_PARTIAL);
	assert_int_equal(res.have, 0x0f);
	assert_int_equal(part(&c, 5, 1, 0, 4, 4, 2, &res), MX_ST_PARTIAL);
	assert_int_equal(res.have, 0xf0);
	/* The first attempt's other half comes late: of no use any more. */
	assert_int_equal(part(&c, 5, 0, 0, 4, 4, 1, &res), MX_OK);
	assert_int_equal(res.nblocks, 0);
	assert_int_equal(kind(&c, 0, 1, 0), MX_PAGE_HOLE);
	assert_int_equal(part(&c, 5, 1, 0, 0, 4, 2, &res), MX_OK);
	assert_int_equal(res.nblocks, 8);
	assert_int_equal(mx_store_read(c.v, 0, 1, 0, &ref), MX_OK);
	m_block(2, want);
	assert_memory_equal(ref.data, want, 512);
	scene_close(&c);
}

/* Pages are written in turns, a part of each at a time, more pages than can wait. */
static void assembly__more_pages_than_wait_all_end(void **state)
{
	struct mx_store_conf conf = { .ceiling = 16 << 20, .assemblies_max = 4 };
	u32 i, round, done = 0;
	struct mx_wres res;
	struct scene c;

	scene_open_conf(&c, &conf);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 20; i++)
			part(&c, 10 + i, 0, i, round & 1 ? 4 : 0, 4, 1, &res);
	}
	for (i = 0; i < 20; i++)
		done += kind(&c, 0, 1, i) == MX_PAGE_DATA;
	assert_int_equal(done, 20);
	scene_close(&c);
}

static void assembly__table_full_drops_the_old(void **state)
{
	struct mx_store_conf conf = { .ceiling = 16 << 20, .assemblies_max = 4 };
	struct mx_wres res;
	struct scene c;
	u32 i;

	scene_open_conf(&c, &conf);
	for (i = 0; i < 4; i++)
		assert_int_equal(part(&c, 10 + i, 0, i, 0, 4, 1, &res), MX_ST_PARTIAL);
	mx_store_age(c.s);
	assert_int_equal(part(&c, 14, 0, 4, 0, 4, 1, &res), MX_ST_BUSY);
	assert_int_equal(part(&c, 10, 0, 0, 0, 4, 1, &res), MX_ST_PARTIAL);	/* again */
	mx_store_age(c.s);
	assert_int_equal(part(&c, 14, 0, 4, 0, 4, 1, &res), MX_ST_PARTIAL);
	assert_int_equal(part(&c, 10, 0, 0, 4, 4, 1, &res), MX_OK);
	assert_int_equal(res.nblocks, 8);
	assert_int_equal(part(&c, 11, 0, 1, 4, 4, 1, &res), MX_ST_PARTIAL);
	assert_int_equal(res.have, 0xf0);
	scene_close(&c);
}

/* What an older epoch left half done does not stand in the way of a newer one, whose
 * generations begin anew where nothing of the extent was left. */
static void assembly__ends_with_its_epoch(void **state)
{
	struct mx_wres res;
	struct scene c;

	scene_open(&c, 16 << 20);
	mx_svol_set_epoch(c.v, 1);
	assert_int_equal(part_of(&c, mx_num(1, 10), 33, 0, 0, 0, 4, 1, &res), MX_ST_PARTIAL);
	mx_svol_set_epoch(c.v, 1);
	assert_int_equal(part_of(&c, mx_num(1, 10), 33, 0, 1, 0, 4, 1, &res), MX_ST_PARTIAL);
	mx_svol_set_epoch(c.v, 2);
	assert_int_equal(part_of(&c, mx_num(2, 1), 5, 0, 0, 0, 4, 1, &res), MX_ST_PARTIAL);
	assert_int_equal(part_of(&c, mx_num(2, 1), 5, 0, 0, 4, 4, 1, &res), MX_OK);
	assert_int_equal(res.nblocks, 8);
	scene_close(&c);
}

static void drop__a_large_volume_goes_bit_by_bit(void **state)
{
	struct scene c;
	u32 i, rounds = 0;

	scene_open(&c, 64 << 20);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(put(&c, i * 1001, 1, i + 1, 0, 8, 1, 0), MX_OK);
		mx_store_work(c.s);
	}
	mx_svol_drop(c.v);
	assert_null(mx_svol_get(c.s, c.uuid));
	assert_true(mx_store_stats(c.s)->extents > 0);
	assert_null(mx_store_check(c.s));
	while (mx_store_work(c.s))
		rounds++;
	assert_true(rounds >= 10);
	assert_int_equal(mx_store_stats(c.s)->extents, 0);
	scene_close(&c);
}

/* ---- figures ---- */

static double full_share(u64 ceiling, u32 *pages)
{
	struct scene c;
	double share;
	enum mx_status st;
	u64 page = 0;

	memset(&c, 0, sizeof c);
	scene_open(&c, ceiling);
	/* One page stands for all: only the bookkeeping is looked at. */
	mx_store_free(c.s);
	c.tp.shared = malloc(4096);
	c.s = mx_store_new(&c.tp.port, &(struct mx_store_conf){ .ceiling = ceiling });
	c.v = mx_svol_make(c.s, c.uuid);
	for (;;) {
		u8 *d = c.data;

		memset(d, 1, 4096);
		st = put(&c, (u32)(page / 256), 1, page + 1, page % 256 * 8, 8, 1, 0);
		if (st == MX_ST_FULL)
			break;
		assert_int_equal(st, MX_OK);
		page++;
		if (mx_store_wants_work(c.s))
			mx_store_work(c.s);
	}
	share = (double)mx_store_stats(c.s)->meta_bytes / (double)ceiling;
	assert_int_equal(mx_store_stats(c.s)->meta_bytes, c.tp.alloc_bytes);
	*pages = (u32)page;
	mx_store_free(c.s);
	free(c.tp.shared);
	return share;
}

static void share__bookkeeping_of_a_full_store(void **state)
{
	static const u32 mib[] = { 32, 64, 256, 1024 };
	u32 i, pages;

	for (i = 0; i < MX_ARRAY_SIZE(mib); i++) {
		double share = full_share((u64)mib[i] << 20, &pages);

		print_message("# %u MiB full: %u pages, bookkeeping %.3f %%\n", mib[i], pages,
			      share * 100);
		assert_true(share <= 0.015);
	}
}

/* ---- allocation failing at every point ---- */

static bool sweep_once(u64 fail_at, u64 *allocs)
{
	struct scene *c = calloc(1, sizeof *c);
	bool emptied, ok = false;
	u8 desc[400] = { 1 };
	u32 i;

	tport_init(&c->tp);
	c->tp.fail_at = fail_at;
	c->s = mx_store_new(&c->tp.port, &(struct mx_store_conf){ .ceiling = 8 << 20 });
	if (!c->s)
		goto out;
	memset(c->uuid, 7, 16);
	c->v = mx_svol_make(c->s, c->uuid);
	if (!c->v)
		goto out_store;
	ok = mx_svol_set_desc(c->v, desc, 300) && mx_svol_set_desc(c->v, desc, 400);
	for (i = 0; i < 600; i++) {
		enum mx_status st = put(c, i * 77, 1, i + 1, 0, 8, 1, 0);

		assert_true(st == MX_OK || st == MX_ST_BUSY || st == MX_ST_FULL);
		if (i % 8 == 0)
			mx_store_work(c->s);
	}
	assert_int_equal(zap(c, 0, 1, i + 1, 0, 2048, MX_F_DISCARD, &emptied), MX_OK);
	assert_null(mx_store_check(c->s));
	mx_svol_drop(c->v);
out_store:
	mx_store_free(c->s);
out:
	*allocs = c->tp.allocs;
	assert_int_equal(c->tp.alloc_bytes, 0);
	assert_int_equal(c->tp.pages, 0);
	free(c);
	return ok;
}

static void sweep__every_allocation_fails_once(void **state)
{
	u64 n, i, dummy;

	assert_true(sweep_once(0, &n));
	assert_true(n > 8);
	for (i = 1; i <= n; i++)
		sweep_once(i, &dummy);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model__random_operations),
		cmocka_unit_test(model__random_operations_memory_tight),
		cmocka_unit_test(zero__pages_of_zeros_take_no_memory),
		cmocka_unit_test(busy__a_page_being_sent_is_not_filled_anew),
		cmocka_unit_test(floor__late_duplicate_after_free_is_stale),
		cmocka_unit_test(floor__late_discard_does_not_free_zero_pages),
		cmocka_unit_test(keep__an_empty_extent_stays_listed),
		cmocka_unit_test(floor__discard_of_absent_page_keeps_older_write_out),
		cmocka_unit_test(generation__higher_replaces_lower_is_refused),
		cmocka_unit_test(lostbase__absent_pages_stay_lost_until_written_whole),
		cmocka_unit_test(full__new_pages_refused_old_ones_replaced),
		cmocka_unit_test(assembly__attempts_are_never_joined),
		cmocka_unit_test(assembly__more_pages_than_wait_all_end),
		cmocka_unit_test(assembly__table_full_drops_the_old),
		cmocka_unit_test(assembly__ends_with_its_epoch),
		cmocka_unit_test(drop__a_large_volume_goes_bit_by_bit),
		cmocka_unit_test(share__bookkeeping_of_a_full_store),
		cmocka_unit_test(sweep__every_allocation_fails_once),
	};

	return unit_main(argc, argv, tests);
}
