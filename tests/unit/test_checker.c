/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulator's checker, given histories by hand: what must pass passes, and
 * each kind of broken promise is noticed.
 */
#include <stddef.h>
#include <stdint.h>
#include "unit.h"
#include "tests/sim/checker.c"
#include "tests/sim/checker_set.c"

static jmp_buf caught;
static char why_text[1024];

static void on_fail(void *ctx, const char *why)
{
	(void)ctx;
	snprintf(why_text, sizeof why_text, "%s", why);
	longjmp(caught, 1);
}

/* True if @stmt is complained of with @words in the complaint. */
#define COMPLAINS(words, stmt)	(setjmp(caught) ? strstr(why_text, words) != NULL : ((stmt), false))

struct hist {
	struct ck *ck;
	struct ck_vol *v;
	struct ck_sess *a;
	u8 buf[64 * CK_BLOCK];
};

static int setup(void **state)
{
	static struct hist h;

	h.ck = ck_new(on_fail, NULL);
	h.v = ck_vol_new(h.ck, "vol");
	h.a = ck_open(h.v, "a", 2, false);
	*state = &h;
	return 0;
}

static int teardown(void **state)
{
	ck_free(((struct hist *)*state)->ck);
	return 0;
}

static u32 write_ok(struct hist *h, struct ck_sess *s, u64 blk, u32 n)
{
	u32 op = ck_begin(s, CK_WRITE, blk, n);

	ck_end(h->v, op, CK_OK, NULL);
	return op;
}

/* A read whose block i holds what write ops[i] put there (0: zeros). */
static void read_is(struct hist *h, struct ck_sess *s, u64 blk, u32 n, const u32 *ops)
{
	u32 r = ck_begin(s, CK_READ, blk, n), i;

	for (i = 0; i < n; i++)
		ck_fill(h->v, ops[i] ? ck_value(ops[i], 0) : CK_ZERO, blk + i, h->buf + i * CK_BLOCK);
	ck_end(h->v, r, CK_OK, h->buf);
}

static void read_lost(struct hist *h, struct ck_sess *s, u64 blk, u32 n)
{
	ck_end(h->v, ck_begin(s, CK_READ, blk, n), CK_ENDED_LOST, NULL);
}

static void read__unwritten_is_zeros(void **state)
{
	struct hist *h = *state;

	read_is(h, h->a, 5, 1, (u32[]){ 0 });
}

static void read__last_acknowledged(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 1), w2 = write_ok(h, h->a, 0, 1);

	read_is(h, h->a, 0, 1, &w2);
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w1)));
}

static void read__stale_zeros(void **state)
{
	struct hist *h = *state;

	write_ok(h, h->a, 0, 1);
	assert_true(COMPLAINS("returned zeros", read_is(h, h->a, 0, 1, (u32[]){ 0 })));
}

static void read__damaged(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 3, 1), r = ck_begin(h->a, CK_READ, 3, 1);

	ck_fill(h->v, ck_value(w, 0), 3, h->buf);
	h->buf[100] ^= 1;
	assert_true(COMPLAINS("never written", ck_end(h->v, r, CK_OK, h->buf)));
}

static void read__misdirected(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 3, 2), r = ck_begin(h->a, CK_READ, 3, 1);

	ck_fill(h->v, ck_value(w, 0), 4, h->buf);
	assert_true(COMPLAINS("never written", ck_end(h->v, r, CK_OK, h->buf)));
}

static void read__write_under_way_may_be_seen_or_not(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 1), w2 = ck_begin(h->a, CK_WRITE, 0, 1);

	read_is(h, h->a, 0, 1, &w1);
	read_is(h, h->a, 0, 1, &w2);
	/* Once seen, the older is gone for good. */
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w1)));
}

static void read__began_before_the_write_ended(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 1), r = ck_begin(h->a, CK_READ, 0, 1);

	write_ok(h, h->a, 0, 1);
	ck_fill(h->v, ck_value(w1, 0), 0, h->buf);
	ck_end(h->v, r, CK_OK, h->buf);
}

static void failed_write__may_land_late_but_not_over_a_newer(void **state)
{
	struct hist *h = *state;
	u32 w1 = ck_begin(h->a, CK_WRITE, 0, 1), w2;

	ck_end(h->v, w1, CK_FAILED, NULL);
	read_is(h, h->a, 0, 1, (u32[]){ 0 });
	read_is(h, h->a, 0, 1, &w1);
	w2 = write_ok(h, h->a, 0, 1);
	read_is(h, h->a, 0, 1, &w2);
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w1)));
}

static void refused_write__never_shows(void **state)
{
	struct hist *h = *state;
	u32 w = ck_begin(h->a, CK_WRITE, 0, 1);

	ck_end(h->v, w, CK_REFUSED, NULL);
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w)));
}

static void discard__reads_zeros(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 0, 4), d = ck_begin(h->a, CK_DISCARD, 0, 4);

	ck_end(h->v, d, CK_OK, NULL);
	read_is(h, h->a, 0, 4, (u32[]){ 0, 0, 0, 0 });
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w)));
}

static void torn__half_of_an_acknowledged_page(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 8), w2 = ck_begin(h->a, CK_WRITE, 0, 8);

	assert_true(COMPLAINS("torn", read_is(h, h->a, 0, 8,
		(u32[]){ w2, w2, w2, w2, w1, w1, w1, w1 })));
}

static void torn__two_under_way(void **state)
{
	struct hist *h = *state;
	u32 w1 = ck_begin(h->a, CK_WRITE, 0, 8), w2 = ck_begin(h->a, CK_WRITE, 0, 8);

	assert_true(COMPLAINS("torn", read_is(h, h->a, 0, 2, (u32[]){ w1, w2 })));
}

static void torn__not_across_pages_nor_for_partial_writes(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 16), w2 = ck_begin(h->a, CK_WRITE, 0, 16), w3;

	read_is(h, h->a, 7, 2, (u32[]){ w2, w1 });
	ck_end(h->v, w2, CK_OK, NULL);
	w3 = ck_begin(h->a, CK_WRITE, 2, 2);
	read_is(h, h->a, 0, 8, (u32[]){ w2, w2, w3, w3, w2, w2, w2, w2 });
}

static void fickle__any_version_until_one_is_seen(void **state)
{
	struct hist *h = *state;
	u32 w = ck_begin(h->a, CK_WRITE, 0, 1), r;

	ck_changed(h->v, w, 0, 1);
	ck_end(h->v, w, CK_OK, NULL);
	r = ck_begin(h->a, CK_READ, 0, 1);
	ck_fill(h->v, ck_value(w, 1), 0, h->buf);
	ck_end(h->v, r, CK_OK, h->buf);
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w)));
}

static void lost__only_after_a_crash(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 0, 8);

	assert_true(COMPLAINS("no crash", read_lost(h, h->a, 0, 1)));
	ck_lost(h->v, 0);
	read_lost(h, h->a, 0, 1);
	assert_true(COMPLAINS("no crash", read_lost(h, h->a, EXT_BLOCKS, 1)));
	/* Another copy had it: then it stays readable. */
	read_is(h, h->a, 0, 8, (u32[]){ w, w, w, w, w, w, w, w });
	assert_true(COMPLAINS("no crash", read_lost(h, h->a, 0, 1)));
}

static void lost__never_zeros(void **state)
{
	struct hist *h = *state;

	write_ok(h, h->a, 0, 1);
	ck_lost(h->v, 0);
	assert_true(COMPLAINS("returned zeros", read_is(h, h->a, 0, 1, (u32[]){ 0 })));
}

static void lost__written_anew(void **state)
{
	struct hist *h = *state;
	u32 w;

	write_ok(h, h->a, 0, 8);
	ck_lost(h->v, 0);
	w = write_ok(h, h->a, 0, 8);
	read_is(h, h->a, 0, 1, &w);
	read_lost(h, h->a, 8, 8);
	assert_true(COMPLAINS("no crash", read_lost(h, h->a, 0, 8)));
}

static void lost__part_of_a_page_discarded(void **state)
{
	struct hist *h = *state;

	write_ok(h, h->a, 0, 8);
	ck_lost(h->v, 0);
	ck_end(h->v, ck_begin(h->a, CK_DISCARD, 0, 4), CK_OK, NULL);
	read_lost(h, h->a, 0, 8);
	ck_end(h->v, ck_begin(h->a, CK_DISCARD, 0, 8), CK_OK, NULL);
	assert_true(COMPLAINS("no crash", read_lost(h, h->a, 0, 8)));
}

static void owner__two_without_force(void **state)
{
	struct hist *h = *state;
	u32 w = ck_begin(h->a, CK_WRITE, 0, 1);

	ck_open(h->v, "b", 3, false);
	assert_true(COMPLAINS("has owned", ck_end(h->v, w, CK_OK, NULL)));
}

static void owner__forced_may_overlap_but_not_in_an_extent(void **state)
{
	struct hist *h = *state;
	u32 w = ck_begin(h->a, CK_WRITE, 0, 1);
	struct ck_sess *b = ck_open(h->v, "b", 3, true);

	ck_end(h->v, w, CK_OK, NULL);
	write_ok(h, b, 0, 1);
	write_ok(h, h->a, EXT_BLOCKS, 1);
	w = ck_begin(h->a, CK_WRITE, 5, 1);
	assert_true(COMPLAINS("old owner", ck_end(h->v, w, CK_OK, NULL)));
}

/* Who was forced out, and does not know, may answer as of then; not worse. */
static void owner__forced_out_reads_what_was(void **state)
{
	struct hist *h = *state;
	u32 w0 = write_ok(h, h->a, 0, 1), w1 = write_ok(h, h->a, 0, 1), w2, zeros = 0;
	struct ck_sess *b;

	ck_force(h->v);
	b = ck_open(h->v, "b", 3, true);
	w2 = write_ok(h, b, 0, 1);
	read_is(h, h->a, 0, 1, &w1);
	read_is(h, b, 0, 1, &w2);
	assert_true(COMPLAINS("returned", read_is(h, b, 0, 1, &w1)));
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &w0)));
	assert_true(COMPLAINS("returned", read_is(h, h->a, 0, 1, &zeros)));
}

static void owner__old_writes_end_with_the_new_owner(void **state)
{
	struct hist *h = *state;
	u32 w1 = write_ok(h, h->a, 0, 1), w2 = ck_begin(h->a, CK_WRITE, 0, 1);
	struct ck_sess *b;

	ck_crash(h->a);
	b = ck_open(h->v, "b", 3, false);
	read_is(h, b, 0, 1, &w1);
	assert_true(COMPLAINS("returned", read_is(h, b, 0, 1, &w2)));
}

static void shrink__what_was_cut_off_comes_back_as_zeros(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 10, 1), op = ck_shrink_begin(h->v, 8);

	ck_shrink_end(h->v, op, 8, CK_OK);
	read_is(h, h->a, 10, 1, (u32[]){ 0 });
	assert_true(COMPLAINS("returned", read_is(h, h->a, 10, 1, &w)));
}

static void close__with_a_request_under_way(void **state)
{
	struct hist *h = *state;

	ck_begin(h->a, CK_READ, 0, 1);
	assert_true(COMPLAINS("still under way", ck_close(h->a)));
}

static void end__twice(void **state)
{
	struct hist *h = *state;
	u32 w = write_ok(h, h->a, 0, 1);

	assert_true(COMPLAINS("twice", ck_end(h->v, w, CK_OK, NULL)));
}

static void blkstat__zeros_over_data(void **state)
{
	struct hist *h = *state;

	ck_run_zero(h->v, ck_stamp(h->ck), 0, 8);
	write_ok(h, h->a, 3, 1);
	assert_true(COMPLAINS("holds data", ck_run_zero(h->v, ck_stamp(h->ck), 0, 8)));
	assert_true(COMPLAINS("no crash", ck_run_lost(h->v, ck_stamp(h->ck), 0, 8)));
}

/* Asked before many writes, told after them. */
static void blkstat__of_long_ago(void **state)
{
	struct hist *h = *state;
	u32 look = ck_look(h->a), since;

	for (int i = 0; i < 20; i++)
		write_ok(h, h->a, 3, 1);
	since = ck_looked(h->v, look);
	ck_run_zero(h->v, since, 0, 8);
	for (int i = 0; i < 20; i++)
		write_ok(h, h->a, 3, 1);
	assert_true(COMPLAINS("holds data", ck_run_zero(h->v, since, 0, 8)));
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(read__unwritten_is_zeros), T(read__last_acknowledged), T(read__stale_zeros),
		T(read__damaged), T(read__misdirected), T(read__write_under_way_may_be_seen_or_not),
		T(read__began_before_the_write_ended),
		T(failed_write__may_land_late_but_not_over_a_newer), T(refused_write__never_shows),
		T(discard__reads_zeros), T(torn__half_of_an_acknowledged_page),
		T(torn__two_under_way), T(torn__not_across_pages_nor_for_partial_writes),
		T(fickle__any_version_until_one_is_seen), T(lost__only_after_a_crash),
		T(lost__never_zeros), T(lost__written_anew), T(lost__part_of_a_page_discarded), T(owner__two_without_force),
		T(owner__forced_may_overlap_but_not_in_an_extent),
		T(owner__forced_out_reads_what_was),
		T(owner__old_writes_end_with_the_new_owner),
		T(shrink__what_was_cut_off_comes_back_as_zeros), T(close__with_a_request_under_way),
		T(end__twice), T(blkstat__zeros_over_data), T(blkstat__of_long_ago),
	};

	return unit_main(argc, argv, tests);
}
