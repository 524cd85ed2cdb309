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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_status_of_the_dead_ends),
	};

	return unit_main(argc, argv, tests);
}
