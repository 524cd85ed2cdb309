// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was acknowledged against what was not: the allocation bitmap, left-over
 * copies and moves, where messages are lost and holders hang behind.
 */
#define _GNU_SOURCE
#include "unit.h"
#include "three.h"
#include "core/client_int.h"
#include "core/server_int.h"

/* ---- what was never acknowledged ---- */

/* Control calls that are lost on their way. */
struct losing {
	u32 from;		/* node */
	u16 op;			/* enum mx_op; 0: none */
	u32 to;			/* bit per node */
};
static struct losing losing[4];

/* The first message of a datagram, if it is a call: its operation. */
static u16 call_of(const struct dgram *d)
{
	struct mx_outer o;
	struct mx_walk walk;
	struct mx_head h;
	const u8 *head;
	u32 pay;

	if (mx_outer_decode(d->data, d->len, &o) != MX_RJ_NONE || o.kind != MX_KIND_PLAIN ||
	    mx_walk_init(&walk, d->data + MX_OUTER, o.heads_len, d->len - MX_OUTER - o.heads_len) != MX_RJ_NONE)
		return 0;
	while (mx_walk_next(&walk, &h, &head, &pay)) {
		struct mx_ctl ctl;

		if (h.type == MX_CALL && mx_ctl_decode(head, &h, &ctl))
			return ctl.op;
	}
	return 0;
}

static bool lossy_tap(struct cl *c, struct dgram *d, int from)
{
	u16 op = call_of(d);
	int to = cl_at(c, &d->to);

	for (u32 i = 0; i < 4; i++)
		if (losing[i].op && losing[i].op == op && (int)losing[i].from == from && to >= 0 &&
		    (losing[i].to >> to & 1))
			return false;
	return true;
}

/* What a write left behind that was never acknowledged does not come back in place
 * of what was acknowledged since, elsewhere. */
static void left_over_never_wins(void **state)
{
	struct three t;
	struct clreq r[16];
	u8 a[16][4096], b[4096];
	u32 here = 0, wrong = 0, wrong_later = 0, e;
	int s, other = -1;

	(void)state;
	three_up(&t, 31, 64, 32 << 20, NULL);
	/* All are enrolled; then writes whose bits never get to the holders. */
	for (e = 16; e < 28; e++)
		assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)e << 20, b, 4096), MX_OK);
	losing[0] = (struct losing){ 5, MX_OP_BITS_SET, ~0u };
	t.c.tap = lossy_tap;
	for (e = 0; e < 16; e++) {
		fill(a[e], 4096, 1000 + e);
		cl_submit(&t.v, &r[e], MX_REQ_WRITE, (u64)e << 20, a[e], 4096);
	}
	cl_for(&t.c, 300 * MX_MS);
	for (e = 0; e < 16; e++)
		assert_false(r[e].done);
	s = (int)server_of(&t.v, 0) - 100;
	bool left[16];

	for (e = 0; e < 16; e++)
		left[e] = (int)server_of(&t.v, e) - 100 == s;
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 5);
	losing[0].op = 0;
	cl_client(&t.c, 6);
	cl_for(&t.c, 12 * MX_SEC);
	/* The next owner: all servers list; one is cut off then. */
	assert_int_equal(cl_open(&t.c, 6, "vm1", NULL, &t.v), MX_OK);
	t.c.n[s].silent = true;
	cl_for(&t.c, 8 * MX_SEC);
	bool at[16] = { 0 }, done[16];

	for (e = 0; e < 16; e++) {
		fill(a[e], 4096, 2000 + e);
		cl_submit(&t.v, &r[e], MX_REQ_WRITE, (u64)e << 20, a[e], 4096);
	}
	cl_for(&t.c, 5 * MX_SEC);
	for (e = 0; e < 16; e++) {
		int srv = (int)server_of(&t.v, e) - 100;

		done[e] = r[e].done && r[e].st == MX_OK;
		if (done[e] && left[e] && other < 0)
			other = srv;
		at[e] = done[e] && left[e] && srv == other;
		here += at[e];
	}
	print_message("# left over at server %d, %u of them acknowledged at %d since\n", s, here, other);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 6);
	if (!here) {		/* they were made to wait: as good */
		three_down(&t);
		return;
	}
	/* It is back, the one with the acknowledged data is silent for a while. */
	t.c.n[s].silent = false;
	t.c.n[other].silent = true;
	cl_client(&t.c, 7);
	cl_for(&t.c, 12 * MX_SEC);
	assert_int_equal(cl_open(&t.c, 7, "vm1", NULL, &t.v), MX_OK);
	struct clreq q[16];
	static u8 got[16][4096];

	for (e = 0; e < 16; e++)
		if (at[e])
			cl_submit(&t.v, &q[e], MX_REQ_READ, (u64)e << 20, got[e], 4096);
	cl_for(&t.c, 2 * MX_SEC);
	for (e = 0; e < 16; e++)
		wrong += at[e] && q[e].done && q[e].st == MX_OK && memcmp(got[e], a[e], 4096);
	t.c.n[other].silent = false;
	cl_for(&t.c, 20 * MX_SEC);
	for (e = 0; e < 16; e++)
		if (at[e] && cl_io(&t.v, MX_REQ_READ, (u64)e << 20, b, 4096) == MX_OK)
			wrong_later += memcmp(b, a[e], 4096) != 0;
	print_message("# of %u: %u read wrong, %u when all servers are there\n", here, wrong, wrong_later);
	assert_int_equal(wrong, 0);
	assert_int_equal(wrong_later, 0);
	three_down(&t);
}

/* A holder that has promised nothing to the new owner takes a batch of the old one
 * between the answer that tells its version and the one that brings its bits. */
static struct { int from, to, slow, slowed, chunks; struct cl *c; u8 uuid[16]; u32 round; bool on, late; } src;

static bool source_tap(struct cl *c, struct dgram *d, int from)
{
	u16 op = call_of(d);
	int to = cl_at(c, &d->to);
	struct mx_held *h;

	if (!lossy_tap(c, d, from))
		return false;
	if (src.on && from == src.from && to == src.slow && op == MX_OP_BITS_GET && !src.late &&
	    src.slowed++ < 20)
		return false;
	if (!src.on || from != src.from || to != src.to || op != MX_OP_BITS_GET)
		return true;
	h = mx_held_find(c->n[to].server, src.uuid);
	if (src.chunks++ == 0) {
		src.round = h->bits.round;
		return true;
	}
	if (h->bits.round > src.round)
		return true;
	losing[0].to &= ~(1u << to);	/* the old owner's batch passes now */
	src.late = true;
	return src.chunks > 40;
}

static void bits_of_one_version_are_equal(void **state)
{
	struct mx_vol_conf conf = { .wait_owner = true };
	struct three t;
	struct clreq r;
	struct clvol n;
	u8 a[4096], b[4096], first[4096];
	const struct mx_desc *d;
	struct mx_held *h[3];
	u32 ab, differ = 0;
	int hold[3];

	(void)state;
	memset(losing, 0, sizeof losing);
	memset(&src, 0, sizeof src);
	cl_init(&t.c, 33);
	for (int i = 0; i < 5; i++)
		cl_server(&t.c, i, 64);
	cl_client(&t.c, 6);
	cl_client(&t.c, 7);
	assert_int_equal(cl_create(&t.c, 6, "vm1", 32 << 20), MX_OK);
	assert_int_equal(cl_open(&t.c, 6, "vm1", NULL, &t.v), MX_OK);
	mark_all(&t, 20, 0, 10);
	cl_for(&t.c, 3 * MX_SEC);
	d = mx_vol_desc(t.v.v);
	memcpy(src.uuid, d->uuid, 16);
	for (int i = 0; i < 3; i++)
		hold[i] = (int)d->holders[i].id - 100;
	ab = 1u << hold[1] | 1u << hold[2];
	/* The old owner reaches neither of them with its lease nor with bits. */
	losing[0] = (struct losing){ 6, MX_OP_BITS_SET, ab | 1u << hold[0] };
	losing[1] = (struct losing){ 6, MX_OP_LEASE, ab };
	losing[2] = (struct losing){ 7, MX_OP_ACCEPT, 1u << hold[0] };
	losing[3] = (struct losing){ 7, MX_OP_LEASE, 1u << hold[0] };
	src.c = &t.c;
	src.from = 7;
	src.to = hold[0];
	src.slow = hold[2];
	src.on = true;
	t.c.tap = source_tap;
	fill(first, sizeof first, 7000);
	cl_submit(&t.v, &r, MX_REQ_WRITE, 20ull << 20, first, sizeof first);
	cl_for(&t.c, 300 * MX_MS);
	assert_false(r.done);
	assert_int_not_equal(server_of(&t.v, 20) - 100, hold[0]);
	cl_for(&t.c, 12 * MX_SEC);	/* its lease is over at those two, and alive at the other */
	assert_int_equal(cl_open(&t.c, 7, "vm1", &conf, &n), MX_OK);
	print_message("# opened at %.1f s, late batch %d, BITS_GET to it %d\n", (double)t.c.now / 1e9, src.late, src.chunks);
	for (int i = 0; i < 3; i++) {
		h[i] = mx_held_find(t.c.n[hold[i]].server, src.uuid);
		print_message("# holder %d: version (%u, %u), %llu bits, promised %u\n", hold[i], h[i]->bits.epoch,
			      h[i]->bits.round, (unsigned long long)h[i]->bits.set, h[i]->promised);
		for (int k = 0; k < i; k++)
			differ += h[i]->bits.epoch == h[k]->bits.epoch && h[i]->bits.round == h[k]->bits.round &&
				  h[i]->bits.set != h[k]->bits.set;
	}
	/* An acknowledged write of the new owner, then it ends. */
	memset(losing, 0, sizeof losing);
	src.on = false;
	fill(a, sizeof a, 9000);
	assert_int_equal(cl_io(&n, MX_REQ_WRITE, 20ull << 20, a, sizeof a), MX_OK);
	mx_vol_free(n.v);
	cl_kill(&t.c, 7);
	if (!r.done)
		mx_vol_abort(t.v.v, MX_ST_CANCELLED, t.c.now);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 6);
	t.c.n[hold[0]].silent = true;
	cl_client(&t.c, 8);
	cl_for(&t.c, 12 * MX_SEC);
	assert_int_equal(cl_open(&t.c, 8, "vm1", NULL, &t.v), MX_OK);
	assert_int_equal(cl_io(&t.v, MX_REQ_READ, 20ull << 20, b, sizeof b), MX_OK);
	assert_int_equal(differ, 0);
	assert_memory_equal(a, b, 4096);
	three_down(&t);
}

static bool is_rebuilding(void *arg) { return ((struct mx_vol *)arg)->phase >= MX_VP_REBUILD; }

/* A client without memory for the copy of the bitmap does not spin. */
static void no_memory_for_the_bitmap(void **state)
{
	struct three t;
	u32 turns = 0;
	mx_ns start;

	(void)state;
	cl_init(&t.c, 34);
	for (int i = 0; i < 3; i++)
		cl_server(&t.c, i, 64);
	cl_client(&t.c, 5);
	assert_int_equal(cl_create(&t.c, 5, "vm1", 32 << 20), MX_OK);
	memset(&t.v, 0, sizeof t.v);
	t.v.cl = &t.c;
	t.v.v = mx_vol_open(t.c.n[5].client, "vm1", NULL, &clvol_ops, &t.v, t.c.now);
	assert_non_null(t.v.v);
	assert_true(cl_run(&t.c, t.c.now + MX_SEC, is_rebuilding, t.v.v));
	t.c.fail_at = t.c.allocs;
	t.c.fail_from = true;
	start = t.c.now;
	for (turns = 0; turns < 1000 && t.c.now < start + MX_SEC; turns++)
		mx_ep_step(t.c.n[5].ep, t.c.now = mx_max_u64(t.c.now, mx_ep_deadline(t.c.n[5].ep)));
	print_message("# %u turns in %.3f s\n", turns, (double)(t.c.now - start) / 1e9);
	t.c.fail_at = -1;
	assert_true(turns < 1000);
	assert_true(cl_run(&t.c, t.c.now + 40 * MX_SEC, clvol_is_open, &t.v));
	mx_vol_free(t.v.v);
	cl_end(&t.c);
}

/* The surviving holder has missed the version that is a move. Neither server with a
 * copy has restarted. */
static void recovered_before_a_move(void **state)
{
	struct three t;
	struct clop x;
	int hold[3], free_[2], nf = 0, e;
	enum mx_status st;
	u8 a[4096], b[4096];

	(void)state;
	memset(losing, 0, sizeof losing);
	many_up(&t, 44, 5, 6, "vm1");
	cl_for(&t.c, 3 * MX_SEC);
	mark_all(&t, 32, 0, 10);
	for (int i = 0; i < 3; i++)
		hold[i] = (int)mx_vol_desc(t.v.v)->holders[i].id - 100;
	for (int i = 0; i < 5; i++)
		if (i != hold[0] && i != hold[1] && i != hold[2])
			free_[nf++] = i;
	for (e = 0; e < 32 && (int)server_of(&t.v, (u32)e) - 100 != free_[0]; e++)
		;
	assert_true(e < 32);
	/* The target is enrolled before, so that its enrolment is no matter. */
	for (int k = 0; k < 1; k++) {
		clop_init(&x);
		mx_vol_move(t.v.v, (u32)(e ? 0 : 1), 100 + (u64)free_[1], &x.op, t.c.now);
		assert_int_equal(clop_wait(&t.c, &x, 10 * MX_SEC), MX_OK);
	}
	cl_for(&t.c, 2 * MX_SEC);
	t.c.tap = lossy_tap;
	clop_init(&x);
	mx_vol_move(t.v.v, (u32)e, 100 + (u64)free_[1], &x.op, t.c.now);
	/* After INTENT has got everywhere, before SWAP. */
	while (t.v.v->move.stage != MX_MOVE_READ && t.v.v->move.stage != MX_MOVE_WRITE)
		cl_run(&t.c, t.c.now + 10 * MX_US, NULL, NULL);
	cl_run(&t.c, t.c.now + 60 * MX_US, NULL, NULL);
	losing[0] = (struct losing){ 6, MX_OP_ACCEPT, 1u << hold[0] };
	assert_int_equal(clop_wait(&t.c, &x, 10 * MX_SEC), MX_OK);
	assert_int_equal((int)server_of(&t.v, (u32)e) - 100, free_[1]);
	cl_for(&t.c, 3 * MX_SEC);
	fill(a, sizeof a, 4242);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)e << 20, a, sizeof a), MX_OK);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 6);
	for (int i = 1; i < 3; i++)
		cl_kill(&t.c, hold[i]);
	for (int i = 1; i < 3; i++)
		cl_server(&t.c, hold[i], 64);
	cl_client(&t.c, 7);
	cl_for(&t.c, 12 * MX_SEC);
	clop_init(&x);
	mx_client_recover(t.c.n[7].client, "vm1", NULL, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 60 * MX_SEC), MX_OK);
	assert_int_equal(cl_open(&t.c, 7, "vm1", NULL, &t.v), MX_OK);
	cl_for(&t.c, 3 * MX_SEC);
	st = cl_io(&t.v, MX_REQ_READ, (u64)e << 20, b, sizeof b);
	print_message("# extent %d, moved from %d to %d, neither restarted: read %s, server %d\n", e, free_[0], free_[1],
		      mx_status_str(st), (int)server_of(&t.v, (u32)e) - 100);
	assert_int_equal(st, MX_OK);
	assert_memory_equal(a, b, 4096);
	three_down(&t);
}

/* A holder that missed a batch follows again while first writes go on. */
static void filled_under_load(void **state)
{
	struct three t;
	static struct clreq r[8];
	static u8 b[4096];
	struct mx_held *h, *o;
	u32 next = 0, since = 0, apart = 0;
	mx_ns heal = 0;

	(void)state;
	memset(losing, 0, sizeof losing);
	three_up(&t, 45, 256, 64ull << 30, NULL);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, 40ull << 30, b, 4096), MX_OK);
	t.c.jitter = 20 * MX_US;
	t.c.tap = lossy_tap;
	losing[0] = (struct losing){ 5, MX_OP_BITS_SET, 1u << 2 };
	for (u32 i = 0; i < 8; i++)
		cl_submit(&t.v, &r[i], MX_REQ_WRITE, (u64)next++ << 20, b, 4096);
	h = mx_held_find(t.c.n[2].server, t.v.v->uuid);
	o = mx_held_find(t.c.n[1].server, t.v.v->uuid);
	while (next < 20000) {
		cl_run(&t.c, t.c.now + 20 * MX_US, NULL, NULL);
		if (next > 2000 && losing[0].op) {
			losing[0].op = 0;
			heal = t.c.now;
		}
		for (u32 i = 0; i < 8; i++)
			if (r[i].done)
				cl_submit(&t.v, &r[i], MX_REQ_WRITE, (u64)next++ << 20, b, 4096);
		if (heal && !since && h->bits.epoch == o->bits.epoch && h->bits.round + 3 >= o->bits.round) {
			since = next;
			apart = (u32)((t.c.now - heal) / MX_US);
		}
	}
	print_message("# reachable again at %.3f s, %u first writes in %.3f s since; follows after %u us, write %u\n",
		      (double)heal / 1e9, next - 2000, (double)(t.c.now - heal) / 1e9, apart, since);
	print_message("# round %u of %u, fillings begun %u\n", h->bits.round, o->bits.round, h->fill_no);
	assert_true(since);
	three_down(&t);
}

/* The copy of a bitmap begun from a holder that fell silent is of no use. */
static bool falling_tap(struct cl *c, struct dgram *d, int from)
{
	int to = cl_at(c, &d->to);

	if (!lossy_tap(c, d, from))
		return false;
	if (src.on && from == src.from && to == src.to && call_of(d) == MX_OP_BITS_GET && src.chunks++ == 3) {
		c->n[to].silent = true;
		src.late = true;
	}
	return true;
}

static void a_copy_is_of_one_holder(void **state)
{
	struct mx_vol_conf conf = { .wait_owner = true };
	struct three t;
	struct clreq r;
	u8 a[4096] = { 1 }, b[4096];
	u32 x = 40 << 10, differ = 0;
	int hold[3];
	struct mx_held *h;

	(void)state;
	memset(losing, 0, sizeof losing);
	memset(&src, 0, sizeof src);
	cl_init(&t.c, 46);
	for (int i = 0; i < 5; i++)
		cl_server(&t.c, i, 64);
	cl_client(&t.c, 6);
	assert_int_equal(cl_create(&t.c, 6, "vm1", 128ull << 30), MX_OK);
	assert_int_equal(cl_open(&t.c, 6, "vm1", NULL, &t.v), MX_OK);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, 70ull << 30, a, 4096), MX_OK);
	cl_for(&t.c, 3 * MX_SEC);
	for (int i = 0; i < 3; i++)
		hold[i] = (int)mx_vol_desc(t.v.v)->holders[i].id - 100;
	losing[0] = (struct losing){ 6, MX_OP_BITS_SET, 1u << hold[1] | 1u << hold[2] };
	t.c.tap = falling_tap;
	cl_submit(&t.v, &r, MX_REQ_WRITE, (u64)x << 20, a, 4096);
	cl_for(&t.c, 300 * MX_MS);
	assert_false(r.done);
	print_message("# at server %d, holders %d %d %d\n", (int)server_of(&t.v, x) - 100, hold[0], hold[1], hold[2]);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 6);
	cl_client(&t.c, 7);
	src.from = 7;
	src.to = hold[0];
	src.on = true;
	cl_for(&t.c, 12 * MX_SEC);
	assert_int_equal(cl_open(&t.c, 7, "vm1", &conf, &t.v), MX_OK);
	print_message("# source silent in between: %d, the map's bit is %u\n", src.late,
		      mx_map_at(&t.v.v->map, x)->flags & MX_EF_BIT);
	for (int i = 1; i < 3; i++) {
		h = mx_held_find(t.c.n[hold[i]].server, t.v.v->uuid);
		print_message("# holder %d: version (%u, %u), %llu bits\n", hold[i], h->bits.epoch, h->bits.round,
			      (unsigned long long)h->bits.set);
		differ += h->bits.set != 2u + (u32)(mx_map_at(&t.v.v->map, x)->flags & MX_EF_BIT);
	}
	assert_int_equal(differ, 0);
	assert_int_equal(cl_io(&t.v, MX_REQ_READ, 70ull << 30, b, 4096), MX_OK);
	three_down(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(left_over_never_wins),
		cmocka_unit_test(bits_of_one_version_are_equal),
		cmocka_unit_test(no_memory_for_the_bitmap),
		cmocka_unit_test(recovered_before_a_move),
		cmocka_unit_test(a_copy_is_of_one_holder),
		cmocka_unit_test(filled_under_load),
	};

	return unit_main(argc, argv, tests);
}
