// SPDX-License-Identifier: GPL-2.0-or-later
/* Recovering a volume whose majority of holders is gone, or is not. */
#include "unit.h"
#include "three.h"

static void recovering(void **state)
{
	struct three t;
	struct clop x;
	u32 kept = 0, gone = 0;

	(void)state;
	many_up(&t, 43, 5, 6, "vm1");
	clop_init(&x);
	mx_client_recover(t.c.n[6].client, "vm1", NULL, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 60 * MX_SEC), MX_ST_INVALID);
	/* Two of its three holders restart. */
	for (u32 i = 0, n = 0; i < 3 && n < 2; i++, n++) {
		u64 id = mx_vol_desc(t.v.v)->holders[i].id;

		cl_kill(&t.c, (int)id - 100);
		gone |= 1u << (id - 100);
	}
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 6);
	for (int i = 0; i < 5; i++)
		if (gone >> i & 1)
			cl_server(&t.c, i, 64);
	cl_client(&t.c, 7);
	cl_for(&t.c, 12 * MX_SEC);
	assert_int_equal(cl_open(&t.c, 7, "vm1", NULL, &t.v), MX_ST_NO_QUORUM);
	assert_non_null(strstr(mx_vol_error(t.v.v), "volume recover"));
	mx_vol_free(t.v.v);
	clop_init(&x);
	mx_client_recover(t.c.n[7].client, "vm1", NULL, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 60 * MX_SEC), MX_OK);
	assert_int_equal(cl_open(&t.c, 7, "vm1", NULL, &t.v), MX_OK);
	for (u32 e = 0; e < 32; e++) {
		enum mx_status st = check_page(&t, e, 0, 10);

		assert_true(st == MX_OK || st == MX_ST_LOST);
		kept += st == MX_OK;
	}
	print_message("# %u of 32 extents kept\n", kept);
	assert_true(kept > 10);
	three_down(&t);
}

/*
 * Many servers are remembered that are not there any more: to wait for their silence takes a
 * while, and then those not asked yet must not be taken for silent, too.
 */
static void recovering_among_the_dead(const char *name)
{
	struct three t;
	struct clop x;
	u32 gone = 0, lost = 0;

	many_up(&t, 47, 5, 45, name);
	for (u32 i = 0; i < 2; i++)
		gone |= 1u << (mx_vol_desc(t.v.v)->holders[i].id - 100);
	for (u32 e = 0; e < 32; e++)
		lost += gone >> (server_of(&t.v, e) - 100) & 1;
	for (int i = 5; i < 45; i++)
		cl_server(&t.c, i, 64);
	cl_for(&t.c, 8 * MX_SEC);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 45);
	for (int i = 0; i < 45; i++)
		if (i >= 5 || gone >> i & 1)
			cl_kill(&t.c, i);
	cl_client(&t.c, 46);
	cl_for(&t.c, 12 * MX_SEC);
	clop_init(&x);
	mx_client_recover(t.c.n[46].client, name, NULL, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 300 * MX_SEC), MX_OK);
	assert_int_equal(cl_open(&t.c, 46, name, NULL, &t.v), MX_OK);
	for (u32 e = 0; e < 32; e++) {
		enum mx_status st = check_page(&t, e, 0, 10);

		assert_true(st == MX_OK || st == MX_ST_LOST);
		lost -= st == MX_ST_LOST;
	}
	assert_int_equal(lost, 0);
	three_down(&t);
}

static void recovering_asks_all(void **state)
{
	(void)state;
	recovering_among_the_dead("vm1");
	recovering_among_the_dead("vm2");
	recovering_among_the_dead("vm3");
}

/* The replies of all but one server to the first questions are lost, as when whoever asks
 * has just been suspended. */
static mx_ns deaf_until;

static bool deaf(struct cl *c, struct dgram *d, int from)
{
	(void)d;
	return c->now >= deaf_until || !c->n[from].server || from == 4;
}

static void recovering_what_needs_none(void **state)
{
	struct three t;
	struct clop x;

	(void)state;
	many_up(&t, 48, 5, 6, "vm1");
	cl_close(&t.c, &t.v);
	cl_for(&t.c, 12 * MX_SEC);
	deaf_until = t.c.now + 3500 * MX_MS;
	t.c.tap = deaf;
	clop_init(&x);
	mx_client_recover(t.c.n[6].client, "vm1", NULL, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 60 * MX_SEC), MX_ST_INVALID);
	t.c.tap = NULL;
	assert_int_equal(cl_open(&t.c, 6, "vm1", NULL, &t.v), MX_OK);
	for (u32 e = 0; e < 32; e++)
		assert_int_equal(check_page(&t, e, 0, 10), MX_OK);
	three_down(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recovering),
		cmocka_unit_test(recovering_asks_all),
		cmocka_unit_test(recovering_what_needs_none),
	};

	return unit_main(argc, argv, tests);
}
