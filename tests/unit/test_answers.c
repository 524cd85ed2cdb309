// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a client makes of answers that no server should give, and of none: most of it
 * the fuzzers of tests/fuzz have found.
 */
#include "unit.h"
#include "three.h"
#include "core/client_int.h"

#define CLIENT	5

static struct three t;

/* ---- answers changed on their way ---- */

static struct {
	u16 op;			/* replies to it */
	u32 seen;
	void (*change)(u8 *body, u32 *len);
} tapped;

/* Each in a datagram of its own, in one fragment: so it is on an idle network. */
static bool tap(struct cl *c, struct dgram *d, int from)
{
	u32 len, heads = mx_ld16(d->data + 4);
	u8 *head = d->data + MX_OUTER, *body = head + MX_CTL_HEAD;

	if (!c->n[from].server || d->data[1] != MX_KIND_PLAIN || heads != MX_CTL_HEAD ||
	    mx_ld16(head) != MX_REPLY || mx_ld16(head + 16) != tapped.op)
		return true;
	tapped.seen++;
	len = mx_ld32(head + 4);
	tapped.change(body, &len);
	mx_st32(head + 4, len);
	mx_st32(head + 20, len);
	mx_st32(head + 28, mx_crc32c(0xffffffffu, body, len));
	mx_outer_seal_crc(d->data, heads);
	d->len = MX_OUTER + heads + len;
	return true;
}

static void tap_replies(u16 op, void (*change)(u8 *body, u32 *len))
{
	tapped.op = op;
	tapped.seen = 0;
	tapped.change = change;
	t.c.tap = tap;
}

/* ---- tests ---- */

/* Alone, with no read or write beside it that would make the volume look. */
static void block_status_of_the_dead_ends(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	struct clstat s = { .r.done = clstat_done };
	mx_ns began;

	(void)state;
	three_up(&t, 1, 64, 8 << 20, &conf);
	mark_all(&t, 1, 0, 1);
	cl_for(&t.c, 2 * MX_SEC);
	for (int i = 0; i < 3; i++)
		cl_kill(&t.c, i);
	began = t.c.now;
	mx_vol_blkstat(t.v.v, &s.r, t.c.now);
	assert_true(cl_run(&t.c, t.c.now + 30 * MX_SEC, clstat_is_done, &s));
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

static u32 entries;

static void entry(void *user, const struct mx_list_entry *e)
{
	(void)user;
	(void)e;
	entries++;
}

static void said_but_not_there(u8 *body, u32 *len)
{
	mx_st32(body, 1);
	mx_st32(body + 4, 1);
	*len = 8;
}

static void same_again(u8 *body, u32 *len)
{
	static u8 first[4096];
	static u32 first_len;

	if (tapped.seen == 1) {
		first_len = *len;
		memcpy(first, body, *len);
	}
	*len = first_len;
	memcpy(body, first, first_len);
	mx_st32(body + 4, 1);
}

static void list(void (*change)(u8 *body, u32 *len), u32 want, u32 replies)
{
	struct clop x;

	three_up(&t, 2, 64, 8 << 20, NULL);
	tap_replies(MX_OP_LIST, change);
	clop_init(&x);
	entries = 0;
	mx_client_list(t.c.n[CLIENT].client, entry, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 70 * MX_SEC), MX_OK);
	assert_int_equal(entries, want);
	assert_int_equal(tapped.seen, replies);
	t.c.tap = NULL;
	three_down(&t);
}

/* "One entry, and there are more", without the entry: there is none to go on after. */
static void list_without_its_entry(void **state)
{
	(void)state;
	list(said_but_not_there, 0, 3);
}

/* Asked for what comes after the last, each server has that one once more. */
static void list_that_never_ends(void **state)
{
	(void)state;
	list(same_again, 1, 6);
}

/* Silence while one could not hear is no reason to give a server up. */
static void asleep_for_minutes(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	static u8 a[4096];
	struct clnode *us;
	struct mx_ep *ep;
	struct clreq x;

	(void)state;
	three_up(&t, 1, 64, 8 << 20, &conf);
	mark_all(&t, 1, 0, 1);
	us = &t.c.n[CLIENT];
	ep = us->ep;
	us->ep = NULL;
	cl_for(&t.c, 600 * MX_SEC);
	us->ep = ep;
	us->silent = true;	/* its network needs a while */
	cl_submit(&t.v, &x, MX_REQ_READ, 0, a, sizeof a);
	cl_for(&t.c, 2 * MX_SEC);
	assert_false(x.done);
	us->silent = false;
	assert_true(cl_run(&t.c, t.c.now + 30 * MX_SEC, clreq_is_done, &x));
	assert_int_equal(x.st, MX_OK);
	three_down(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_status_of_the_dead_ends),
		cmocka_unit_test(write_whose_bit_is_never_set_ends),
		cmocka_unit_test(list_without_its_entry),
		cmocka_unit_test(list_that_never_ends),
		cmocka_unit_test(asleep_for_minutes),
	};

	return unit_main(argc, argv, tests);
}
