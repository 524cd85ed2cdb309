/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memxd's data pages: taken, given back, scrubbed. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "unit.h"
#include "tools/memxd_pages.c"

#define MB (1ull << 20)

/* Resident bytes of the reservation. */
static u64 resident(const struct pages *p)
{
	u64 n = p->nchunks * CHUNK_PAGES, count = 0;
	unsigned char *v = malloc(n);

	assert_int_equal(mincore(p->base, n * MX_PAGE, v), 0);
	for (u64 i = 0; i < n; i++)
		count += v[i] & 1;
	free(v);
	return count * MX_PAGE;
}

static void nap(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Like the server: a page, waiting while there is none at hand. */
static void *get(struct pages *p)
{
	void *page;

	for (unsigned i = 0; i < 5000; i++) {
		page = pages_get(p);
		if (page)
			return page;
		nap(1);
		pages_idle(p, mxp_now());
	}
	fail_msg("no page within seconds");
	return NULL;
}

static void settle(struct pages *p)
{
	for (unsigned i = 0; i < 3000 && (p->ncoming || p->ngoing); i++) {
		nap(1);
		take_back(p);
	}
	assert_true(!p->ncoming && !p->ngoing);
}

/* All counters against the bits and stacks they stand for. */
static void check(struct pages *p)
{
	u64 used = 0, free_pages = 0, dirty = 0, ready = 0;

	for (u64 i = 0; i < p->nchunks; i++) {
		struct chunk *c = &p->chunks[i];
		u64 seen[CHUNK_PAGES / 64] = { 0 };
		unsigned nd = 0, np = 0;

		if (c->where != USED && c->where != READY)
			continue;
		ready += c->where == READY;
		assert_true(c->where == USED || c->nfree == CHUNK_PAGES);
		for (unsigned k = 0; k < c->nfree; k++) {
			assert_false(test(seen, c->stack[k]));
			flip(seen, c->stack[k]);
		}
		for (unsigned k = 0; k < CHUNK_PAGES; k++) {
			assert_true(test(seen, k) || (!test(c->is_dirty, k) && !test(c->is_punched, k)));
			nd += test(c->is_dirty, k);
			np += test(c->is_punched, k);
		}
		assert_int_equal(nd, c->ndirty);
		assert_int_equal(np, c->npunched);
		assert_int_equal(!mx_list_empty(&c->dirty), nd > 0);
		used += CHUNK_PAGES - c->nfree;
		free_pages += c->nfree - np;
		dirty += nd;
	}
	assert_int_equal(used, p->used);
	assert_int_equal(free_pages, p->free);
	assert_int_equal(dirty, p->ndirty);
	assert_int_equal(ready, p->nready);
}

static void pages__are_distinct_and_all_there(void **state)
{
	u64 n = 40 * MB / MX_PAGE;
	struct pages *p = pages_new(n * MX_PAGE);
	u8 **all = calloc(n, sizeof *all);

	for (u64 i = 0; i < n; i++) {
		all[i] = get(p);
		assert_int_equal((uintptr_t)all[i] % MX_PAGE, 0);
		memset(all[i], (int)(i % 251), MX_PAGE);
		mx_st64(all[i], i);
	}
	check(p);
	for (u64 i = 0; i < n; i++) {
		assert_int_equal(mx_ld64(all[i]), i);
		assert_int_equal(all[i][4095], i % 251);
	}
	for (u64 i = 0; i < n; i++)
		pages_put(p, all[i]);
	check(p);
	free(all);
	pages_free(p);
}

static void pages__lazily_taken_and_given_back(void **state)
{
	u64 n = 64 * MB / MX_PAGE;
	struct pages *p = pages_new(512 * MB);
	void **all = calloc(n, sizeof *all);

	settle(p);
	assert_true(resident(p) <= READY_CHUNKS * CHUNK);
	for (u64 i = 0; i < n; i++)
		all[i] = get(p);
	settle(p);
	assert_true(resident(p) >= 64 * MB && resident(p) <= 64 * MB + READY_MOST * CHUNK);
	for (u64 i = 0; i < n; i++)
		pages_put(p, all[i]);
	check(p);
	for (unsigned i = 1; i < 2 * READY_MOST; i++)
		pages_idle(p, mxp_now() + i * 2 * MX_SEC);
	settle(p);
	check(p);
	assert_true(resident(p) <= READY_CHUNKS * CHUNK);
	/* and can be taken again */
	for (u64 i = 0; i < n; i++)
		all[i] = get(p);
	check(p);
	free(all);
	pages_free(p);
}

static void pages__scattered_free_ones_are_given_back_too(void **state)
{
	u64 n = 128 * MB / MX_PAGE, kept = 0;
	struct pages *p = pages_new(256 * MB);
	void **all = calloc(n, sizeof *all);
	mx_ns now = mxp_now();

	for (u64 i = 0; i < n; i++) {
		all[i] = get(p);
		memset(all[i], 1, MX_PAGE);
	}
	for (u64 i = 0; i < n; i++)
		if (i % 8) {
			pages_put(p, all[i]);
			all[i] = NULL;
		} else {
			kept++;
		}
	check(p);
	for (unsigned i = 0; i < 2000; i++) {
		now += 500 * MX_MS;	/* time is what pages_idle says it is */
		pages_idle(p, now);
	}
	settle(p);
	check(p);
	assert_true(p->free - p->nready * CHUNK_PAGES <= TRIM_MIN);
	assert_true(resident(p) <= kept * MX_PAGE + TRIM_MIN * MX_PAGE + READY_MOST * CHUNK);
	for (u64 i = 0; i < n; i++)
		if (all[i])
			assert_int_equal(((u8 *)all[i])[77], 1);
	/* all that was punched can be used again */
	for (u64 i = 0; i < n; i++)
		if (!all[i]) {
			all[i] = get(p);
			memset(all[i], 2, MX_PAGE);
		}
	check(p);
	free(all);
	pages_free(p);
}

static void pages__free_ones_are_scrubbed_after_a_while(void **state)
{
	u64 n = 1000;
	struct pages *p = pages_new(64 * MB);
	u8 **all = calloc(n, sizeof *all);
	mx_ns now = mxp_now();

	for (u64 i = 0; i < n; i++) {
		all[i] = get(p);
		memset(all[i], 0xaa, MX_PAGE);
	}
	pages_idle(p, now);
	for (u64 i = 0; i < n; i += 2)
		pages_put(p, all[i]);
	pages_idle(p, now + MX_MS);
	assert_int_equal(p->ndirty, n / 2);
	assert_int_equal(all[0][100], 0xaa);	/* not at once */
	for (unsigned i = 0; i < 100; i++)
		pages_idle(p, now + 2 * MX_SEC + i * MX_SEC);
	assert_int_equal(p->ndirty, 0);
	for (u64 i = 0; i < n; i++)
		for (unsigned k = 0; k < MX_PAGE; k += 64)
			assert_int_equal(all[i][k], i % 2 ? 0xaa : 0);
	check(p);
	free(all);
	pages_free(p);
}

static void pages__random_use_keeps_the_books(void **state)
{
	u64 most = 48 * MB / MX_PAGE, have = 0;
	struct pages *p = pages_new(64 * MB);
	u8 **all = calloc(most, sizeof *all);
	mx_ns now = mxp_now();

	srandom(5);
	for (unsigned step = 0; step < 400000; step++) {
		unsigned phase = step / 50000 % 4;
		bool take = (unsigned)random() % 100 < (phase == 0 ? 80u : phase == 2 ? 20u : 50u);

		if (take && have < most) {
			all[have] = get(p);
			mx_st64(all[have], (u64)(uintptr_t)all[have]);
			have++;
		} else if (have) {
			u64 i = (u64)random() % have;

			assert_int_equal(mx_ld64(all[i]), (u64)(uintptr_t)all[i]);
			pages_put(p, all[i]);
			all[i] = all[--have];
		}
		if (step % 64 == 0)
			pages_idle(p, now += 20 * MX_MS);
		if (step % 20000 == 0)
			check(p);
	}
	settle(p);
	check(p);
	assert_int_equal(p->used, have);
	free(all);
	pages_free(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages__are_distinct_and_all_there),
		cmocka_unit_test(pages__lazily_taken_and_given_back),
		cmocka_unit_test(pages__scattered_free_ones_are_given_back_too),
		cmocka_unit_test(pages__free_ones_are_scrubbed_after_a_while),
		cmocka_unit_test(pages__random_use_keeps_the_books),
	};

	return unit_main(argc, argv, tests);
}
