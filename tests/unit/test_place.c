// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which servers a volume enrols and when, and where its extents go: real servers
 * and clients on a network in memory.
 */
#include "unit.h"
#include "cluster.h"
#include "core/client_int.h"

#define CLIENT	40
#define FIRST	4u	/* servers of a small volume, as docs/protocol.md says */
#define STEP	16u	/* extents for each one more */
#define MOST	16u	/* enroll_max by default */

struct pool {
	struct cl c;
	struct clvol v;
	u32 nservers;
	u8 page[4096];
};

static void pool_start(struct pool *p, u64 seed, u32 nservers, u32 (*mib)(u32 i), u32 (*load)(u32 i))
{
	cl_init(&p->c, seed);
	p->nservers = nservers;
	memset(p->page, 0x5a, sizeof p->page);
	for (u32 i = 0; i < nservers; i++) {
		cl_server(&p->c, (int)i, mib ? mib(i) : 1024);
		if (load)
			mx_server_set_load(p->c.n[i].server, load(i));
	}
	cl_client(&p->c, CLIENT);
	cl_for(&p->c, 40 * MX_SEC);	/* until each has heard of all */
	assert_true(mx_ep_nmembers(p->c.n[CLIENT].ep) >= nservers);
}

static void pool_open(struct pool *p, const char *name, u32 enroll_max)
{
	struct mx_vol_conf conf = { .enroll_max = enroll_max };

	assert_int_equal(cl_create(&p->c, CLIENT, name, 1ull << 30), MX_OK);
	assert_int_equal(cl_open(&p->c, CLIENT, name, &conf, &p->v), MX_OK);
}

/* A page each into extents [from, end). */
static void place(struct pool *p, u32 from, u32 end)
{
	for (u32 i = from; i < end; i++)
		assert_int_equal(cl_io(&p->v, MX_REQ_WRITE, (u64)i * MX_EXTENT, p->page, 4096), MX_OK);
}

static u32 enrolled(struct pool *p)
{
	return mx_claim_desc(p->v.v->claim)->nenrolled;
}

/* Enrolled for whom @is holds. */
static u32 enrolled_of(struct pool *p, bool (*is)(u32 i))
{
	const struct mx_desc *d = mx_claim_desc(p->v.v->claim);
	u32 n = 0;

	for (u32 k = 0; k < d->nenrolled; k++)
		for (u32 i = 0; i < p->nservers; i++)
			n += p->c.n[i].id == d->enrolled[k].id && is(i);
	return n;
}

static void enrols_as_it_grows(void **state)
{
	static struct pool p;

	(void)state;
	pool_start(&p, 1, 30, NULL, NULL);
	pool_open(&p, "vm1", 0);
	assert_int_equal(enrolled(&p), 0);
	place(&p, 0, STEP - 1);
	cl_for(&p.c, MX_SEC);
	assert_int_equal(enrolled(&p), FIRST);
	for (u32 n = 1; n < MOST - FIRST + 4; n++) {
		place(&p, n * STEP - 1, (n + 1) * STEP - 1);
		cl_for(&p.c, MX_SEC);
		assert_int_equal(enrolled(&p), mx_min_u32(FIRST + n, MOST));
	}
	cl_close(&p.c, &p.v);
	cl_end(&p.c);
}

static void never_more_than_it_may(void **state)
{
	static struct pool p;

	(void)state;
	pool_start(&p, 2, 12, NULL, NULL);
	pool_open(&p, "vm1", 2);
	place(&p, 0, 90);
	cl_for(&p.c, MX_SEC);
	assert_int_equal(enrolled(&p), 2);
	cl_close(&p.c, &p.v);
	cl_end(&p.c);
}

static u32 sixteen_or_64(u32 i) { return i & 1 ? 64 : 16; }
static u32 idle_or_busy(u32 i) { return i & 1 ? 0 : 900; }
static bool is_odd(u32 i) { return i & 1; }

/* Of two drawn at random three in four pairs have one of the better half. */
static void of_two_the_better(u64 seed, u32 (*mib)(u32 i), u32 (*load)(u32 i))
{
	static struct pool p;
	u32 all = 0, better = 0;

	pool_start(&p, seed, 32, mib, load);
	for (u32 k = 0; k < 12; k++) {
		char name[8] = { 'v', 'm', (char)('a' + k) };

		pool_open(&p, name, 0);
		place(&p, 0, 2);
		cl_for(&p.c, MX_SEC);
		assert_int_equal(enrolled(&p), FIRST);
		all += enrolled(&p);
		better += enrolled_of(&p, is_odd);
		cl_close(&p.c, &p.v);
	}
	print_message("# %u of %u enrolled are of the better half\n", better, all);
	assert_true(better * 100 >= all * 63 && better * 100 <= all * 90);
	cl_end(&p.c);
}

static void enrols_by_free_memory(void **state)
{
	(void)state;
	of_two_the_better(3, sixteen_or_64, NULL);
}

static void enrols_by_load(void **state)
{
	(void)state;
	of_two_the_better(4, NULL, idle_or_busy);
}

/* Not a run of members that stand side by side: all pairs of neighbours in the
 * order members are known in would then be enrolled together. */
static void enrols_from_everywhere(void **state)
{
	static struct pool p;
	u32 count[32] = { 0 }, never = 0, most = 0;

	(void)state;
	pool_start(&p, 5, 32, NULL, NULL);
	for (u32 k = 0; k < 24; k++) {
		char name[8] = { 'v', 'm', (char)('a' + k) };
		const struct mx_desc *d;

		pool_open(&p, name, 0);
		place(&p, 0, 10);
		d = mx_claim_desc(p.v.v->claim);
		for (u32 i = 0; i < d->nenrolled; i++)
			count[d->enrolled[i].id - 100]++;
		cl_close(&p.c, &p.v);
	}
	for (u32 i = 0; i < 32; i++) {
		never += !count[i];
		most = mx_max_u32(most, count[i]);
	}
	print_message("# 24 volumes of 4 servers each: most at one %u, none at %u of 32\n", most, never);
	assert_true(most <= 7 && never <= 2);
	cl_end(&p.c);
}

/* Those it has do not answer: what is new goes elsewhere. */
static void silent_ones_do_not_count(void **state)
{
	static struct pool p;

	(void)state;
	pool_start(&p, 6, 20, NULL, NULL);
	pool_open(&p, "vm1", 0);
	place(&p, 0, 2);
	cl_for(&p.c, MX_SEC);
	assert_int_equal(enrolled(&p), FIRST);
	for (u32 i = 0; i < p.nservers; i++) {
		const struct mx_desc *d = mx_claim_desc(p.v.v->claim);
		bool holder = false, ours = false;

		for (u32 k = 0; k < d->nholders; k++)
			holder |= d->holders[k].id == p.c.n[i].id;
		for (u32 k = 0; k < d->nenrolled; k++)
			ours |= d->enrolled[k].id == p.c.n[i].id;
		p.c.n[i].silent = ours && !holder;
	}
	cl_for(&p.c, 10 * MX_SEC);
	place(&p, 2, STEP);
	cl_for(&p.c, MX_SEC);
	assert_true(enrolled(&p) > FIRST);
	for (u32 i = 0; i < p.nservers; i++)
		p.c.n[i].silent = false;
	cl_for(&p.c, 10 * MX_SEC);
	cl_close(&p.c, &p.v);
	cl_end(&p.c);
}

static u32 small_and_many(u32 i) { (void)i; return 48; }

/* A large volume goes on to others before its own are full: no server ends up
 * much fuller than what the pool holds on average. */
static void large_volume_spreads(void **state)
{
	static struct pool p;
	u32 most = 0, least = ~0u, used = 0;

	(void)state;
	pool_start(&p, 7, 24, small_and_many, NULL);
	pool_open(&p, "vm1", 4);
	/* Not only a page: free memory is to shrink. */
	for (u32 i = 0; i < 300; i++) {
		static u8 half[MX_EXTENT / 2];

		memset(half, (int)i + 1, sizeof half);
		assert_int_equal(cl_io(&p.v, MX_REQ_WRITE, (u64)i * MX_EXTENT, half, sizeof half), MX_OK);
		cl_for(&p.c, 500 * MX_MS);
	}
	for (u32 i = 0; i < p.nservers; i++) {
		u32 n = (u32)mx_store_stats(mx_server_store(p.c.n[i].server))->extents;

		most = mx_max_u32(most, n);
		least = mx_min_u32(least, n);
		used += n > 0;
	}
	print_message("# 300 extents on %u of 24 servers of room for 96 each: %u at most, %u at least\n",
		      used, most, least);
	assert_true(used >= 7 && most <= 60);
	cl_close(&p.c, &p.v);
	cl_end(&p.c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enrols_as_it_grows),
		cmocka_unit_test(never_more_than_it_may),
		cmocka_unit_test(enrols_by_free_memory),
		cmocka_unit_test(enrols_by_load),
		cmocka_unit_test(enrols_from_everywhere),
		cmocka_unit_test(silent_ones_do_not_count),
		cmocka_unit_test(large_volume_spreads),
	};

	return unit_main(argc, argv, tests);
}
