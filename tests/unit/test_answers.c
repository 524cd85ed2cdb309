// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a client makes of answers that no server should give, and of none: each test
 * is something that a fuzzer of tests/fuzz has found.
 */
#include "unit.h"
#include "three.h"
#include "core/client_int.h"

static struct three t;

/* ---- tests ---- */

struct stat_wait { struct mx_blkstat_req r; bool done; enum mx_status st; };

static void stat_done(struct mx_blkstat_req *r, enum mx_status st)
{
	struct stat_wait *s = mx_container_of(r, struct stat_wait, r);

	s->done = true;
	s->st = st;
}

static bool stat_is_done(void *arg) { return ((struct stat_wait *)arg)->done; }

/* Alone, with no read or write beside it that would make the volume look. */
static void block_status_of_the_dead_ends(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	struct stat_wait s = { .r.done = stat_done };
	mx_ns began;

	(void)state;
	three_up(&t, 1, 64, 8 << 20, &conf);
	mark_all(&t, 1, 0, 1);
	cl_for(&t.c, 2 * MX_SEC);
	for (int i = 0; i < 3; i++)
		cl_kill(&t.c, i);
	began = t.c.now;
	mx_vol_blkstat(t.v.v, &s.r, t.c.now);
	assert_true(cl_run(&t.c, t.c.now + 30 * MX_SEC, stat_is_done, &s));
	assert_int_equal(s.st, MX_ST_TIMEOUT);
	assert_true(t.c.now - began < 10 * MX_SEC);
	three_down(&t);
}

static bool no_bits(struct cl *c, struct dgram *d, int from)
{
	u32 heads = mx_ld16(d->data + 4);
	const u8 *head = d->data + MX_OUTER;

	return c->n[from].server || d->data[1] != MX_KIND_PLAIN || heads < MX_CTL_HEAD ||
	       mx_ld16(head) != MX_CALL || mx_ld16(head + 16) != MX_OP_BITS_SET;
}

static bool is_committed(void *arg)
{
	struct clvol *v = arg;

	for (u32 i = 0; i < v->v->nios; i++)
		if (v->v->ios[i].state == MX_IO_BIT)
			return true;
	return false;
}

/* Its data are at their server, but the holders die before they say so of the extent. */
static void write_whose_bit_is_never_set_ends(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	static u8 a[4096];
	struct clreq x;
	mx_ns began;

	(void)state;
	three_up(&t, 3, 64, 8 << 20, &conf);
	mark_all(&t, 1, 0, 1);
	cl_for(&t.c, 2 * MX_SEC);
	t.c.tap = no_bits;
	began = t.c.now;
	cl_submit(&t.v, &x, MX_REQ_WRITE, 3 << 20, a, sizeof a);
	assert_true(cl_run(&t.c, t.c.now + MX_SEC, is_committed, &t.v));
	for (int i = 0; i < 3; i++)
		cl_kill(&t.c, i);
	assert_true(cl_run(&t.c, t.c.now + 60 * MX_SEC, clreq_is_done, &x));
	assert_int_equal(x.st, MX_ST_TIMEOUT);
	assert_true(t.c.now - began < 20 * MX_SEC);
	t.c.tap = NULL;
	three_down(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_status_of_the_dead_ends),
		cmocka_unit_test(write_whose_bit_is_never_set_ends),
	};

	return unit_main(argc, argv, tests);
}
