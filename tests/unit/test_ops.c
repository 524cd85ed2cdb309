/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations by name beside open volumes, and when most holders are lost: who
 * gives way to whom, and that all of them end.
 */
#include "unit.h"
#include "cluster.h"
#include "core/claim_int.h"
#include "core/ops_int.h"
#include "core/server_int.h"

#define US	5	/* the client most of it is about */
#define OTHER	6

static void up_with(struct cl *c, u64 seed, int servers, u64 size)
{
	cl_init(c, seed);
	for (int i = 0; i < servers; i++)
		cl_server(c, i, 64);
	cl_client(c, US);
	cl_client(c, OTHER);
	cl_for(c, 5 * MX_SEC);
	assert_int_equal(cl_create(c, US, "vm1", size), MX_OK);
}

static void up(struct cl *c, u64 seed)
{
	up_with(c, seed, 3, 8 << 20);
}

static enum mx_status write_mark(struct clvol *v, u64 off, u8 mark)
{
	u8 b[4096];

	memset(b, mark, sizeof b);
	return cl_io(v, MX_REQ_WRITE, off, b, sizeof b);
}

static int read_mark(struct clvol *v, u64 off)
{
	u8 b[4096];

	if (cl_io(v, MX_REQ_READ, off, b, sizeof b) != MX_OK)
		return -1;
	return b[4095];
}

static enum mx_status resize(struct cl *c, int i, u64 size, bool shrink, struct clop *x)
{
	clop_init(x);
	mx_client_resize(c->n[i].client, "vm1", size, shrink, &x->op, c->now);
	return clop_wait(c, x, 200 * MX_SEC);
}

static enum mx_status delete(struct cl *c, int i, bool force, struct clop *x)
{
	clop_init(x);
	mx_client_delete(c->n[i].client, "vm1", NULL, force, &x->op, c->now);
	return clop_wait(c, x, 200 * MX_SEC);
}

/* ---- one client, twice ---- */

static void twice__a_second_open_is_refused(void **state)
{
	struct mx_vol_conf conf = { .wait_owner = true, .open_timeout = 30 * MX_SEC };
	struct clvol a, b;
	struct clop x;
	struct cl c;
	mx_ns began;

	(void)state;
	up(&c, 1);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 0, 1), MX_OK);
	for (int wait = 0; wait < 2; wait++) {
		began = c.now;
		assert_int_equal(cl_open(&c, US, "vm1", wait ? &conf : NULL, &b), MX_ST_OWNED);
		assert_non_null(strstr(mx_vol_error(b.v), "this very client"));
		assert_true(c.now < began + 5 * MX_SEC);
		mx_vol_free(b.v);
	}
	assert_int_equal(delete(&c, US, false, &x), MX_ST_OWNED);
	assert_non_null(strstr(x.err, "this very client"));
	cl_for(&c, 15 * MX_SEC);
	assert_int_equal(write_mark(&a, 4096, 2), MX_OK);
	assert_int_equal(read_mark(&a, 0), 1);
	assert_int_equal(a.events, 0);
	/* One that is being closed is waited for. */
	mx_vol_close(a.v, c.now);
	assert_int_equal(cl_open(&c, US, "vm1", &conf, &b), MX_OK);
	assert_true(a.closed);
	mx_vol_free(a.v);
	cl_close(&c, &b);
	cl_end(&c);
}

/* The first must not come back, though the last writer is its own node. */
static void twice__force_overtakes_for_good(void **state)
{
	struct mx_vol_conf conf = { .force = true, .open_timeout = 30 * MX_SEC };
	struct clvol a, b;
	struct cl c;

	(void)state;
	up(&c, 2);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 0, 1), MX_OK);
	assert_int_equal(cl_open(&c, US, "vm1", &conf, &b), MX_OK);
	assert_int_equal(write_mark(&b, 0, 2), MX_OK);
	cl_close(&c, &b);
	assert_int_equal(write_mark(&a, 0, 3), MX_ST_FENCED);
	cl_for(&c, 30 * MX_SEC);
	assert_int_equal(write_mark(&a, 0, 4), MX_ST_FENCED);
	cl_close(&c, &a);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(read_mark(&a, 0), 2);
	cl_close(&c, &a);
	cl_end(&c);
}

static void twice__operations_take_turns(void **state)
{
	struct clop x[3];
	struct clvol v;
	struct cl c;

	(void)state;
	up(&c, 3);
	for (u32 i = 0; i < 3; i++) {
		clop_init(&x[i]);
		mx_client_resize(c.n[US].client, "vm1", (16u + i) << 20, true, &x[i].op, c.now);
	}
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &v), MX_OK);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(clop_wait(&c, &x[i], 60 * MX_SEC), MX_OK);
	assert_int_equal(write_mark(&v, 0, 1), MX_OK);
	assert_int_equal(v.events, 0);
	cl_close(&c, &v);
	cl_end(&c);
}

static void twice__resize_goes_by_the_open_volume(void **state)
{
	struct clvol a;
	struct clop x;
	struct cl c;

	(void)state;
	up(&c, 4);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 7 << 20, 1), MX_OK);
	assert_int_equal(resize(&c, US, 16 << 20, false, &x), MX_OK);
	assert_int_equal(mx_vol_size(a.v), 16 << 20);
	assert_int_equal(write_mark(&a, 15 << 20, 2), MX_OK);
	assert_int_equal(resize(&c, US, 4 << 20, false, &x), MX_ST_INVALID);
	assert_non_null(strstr(x.err, "--shrink"));
	assert_int_equal(read_mark(&a, 15 << 20), 2);
	assert_int_equal(resize(&c, US, 4 << 20, true, &x), MX_OK);
	assert_int_equal(mx_vol_size(a.v), 4 << 20);
	assert_int_equal(mx_vol_desc(a.v)->size, 4 << 20);
	assert_int_equal(a.events, 0);
	/* Others' are refused. */
	assert_int_equal(resize(&c, OTHER, 32 << 20, true, &x), MX_ST_OWNED);
	/* The volume goes while its size is being changed by name. */
	clop_init(&x);
	mx_client_resize(c.n[US].client, "vm1", 64 << 20, false, &x.op, c.now);
	for (int i = 0; i < 10000 && !a.v->resize; i++)
		cl_for(&c, 20 * MX_US);
	assert_non_null(a.v->resize);
	mx_vol_free(a.v);
	assert_int_equal(clop_wait(&c, &x, MX_SEC), MX_ST_CANCELLED);
	cl_end(&c);
}

/* ---- most holders are lost in the middle ---- */

static void silence(struct cl *c, bool silent)
{
	c->n[1].silent = c->n[2].silent = silent;
}

struct held { struct mx_client *c; };
static bool op_holds(void *arg)
{
	struct held *h = arg;

	if (mx_list_empty(&h->c->ops_open))
		return false;
	return mx_claim_state(mx_list_entry(h->c->ops_open.next, struct mx_opctx, node)->claim) ==
	       MX_CLAIM_HELD;
}

static void ends__what_waits_for_a_majority(void **state)
{
	(void)state;
	for (int what = 0; what < 2; what++) {
		struct clop x;
		struct cl c;
		struct held h;

		up(&c, 10 + (u64)what);
		h.c = c.n[US].client;
		clop_init(&x);
		if (what)
			mx_client_delete(c.n[US].client, "vm1", NULL, false, &x.op, c.now);
		else
			mx_client_resize(c.n[US].client, "vm1", 16 << 20, false, &x.op, c.now);
		assert_true(cl_run(&c, c.now + 20 * MX_SEC, op_holds, &h));
		silence(&c, true);
		assert_int_equal(clop_wait(&c, &x, 70 * MX_SEC), MX_ST_TIMEOUT);
		assert_true(x.done);
		assert_non_null(strstr(x.err, "too few of the servers"));
		assert_non_null(strstr(x.err, "whether this was done"));
		silence(&c, false);
		cl_end(&c);
	}
}

static bool vol_shrinks(void *arg)
{
	struct held *h = arg;
	struct mx_vol *v;

	if (mx_list_empty(&h->c->vols))
		return false;
	v = mx_list_entry(h->c->vols.next, struct mx_vol, node);
	return v->resize != NULL;
}

static void ends__a_shrink_by_name(void **state)
{
	(void)state;
	for (int own = 0; own < 2; own++) {
		struct clvol a;
		struct clop x;
		struct held h;
		struct cl c;

		up(&c, 20 + (u64)own);
		h.c = c.n[US].client;
		assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
		assert_int_equal(write_mark(&a, 7 << 20, 1), MX_OK);
		if (!own)
			cl_close(&c, &a);
		clop_init(&x);
		mx_client_resize(c.n[US].client, "vm1", own ? 16 << 20 : 4 << 20, true, &x.op, c.now);
		assert_true(cl_run(&c, c.now + 20 * MX_SEC, vol_shrinks, &h));
		silence(&c, true);
		clop_wait(&c, &x, 120 * MX_SEC);
		assert_true(x.done);
		assert_int_equal(x.st, MX_ST_TIMEOUT);
		assert_true(strlen(x.err) > 20);
		silence(&c, false);
		if (own) {	/* the volume's own change goes on */
			cl_for(&c, 20 * MX_SEC);
			assert_int_equal(mx_vol_size(a.v), 16 << 20);
			assert_int_equal(write_mark(&a, 15 << 20, 1), MX_OK);
			cl_close(&c, &a);
		}
		cl_end(&c);
	}
}

static bool about_to_be_told(void *arg)
{
	struct clvol *x = arg;

	return x->v->tell_opened;
}

/* It was overtaken, so it seems, at the very moment at which it would have been told
 * to be open; and then nobody answers. */
static void ends__an_open_in_doubt(void **state)
{
	struct mx_vol_conf conf = { .open_timeout = 5 * MX_SEC, .rebuild_wait = MX_SEC };

	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct clvol a;
		struct cl c;

		up(&c, 30);
		memset(&a, 0, sizeof a);
		a.cl = &c;
		a.v = mx_vol_open(c.n[US].client, "vm1", &conf, &clvol_ops, &a, c.now);
		assert_true(cl_run(&c, c.now + 20 * MX_SEC, about_to_be_told, &a));
		claim_lost(a.v->claim, c.now);
		if (gone) {
			cl_kill(&c, 1);
			cl_kill(&c, 2);
			cl_server(&c, 1, 64);
			cl_server(&c, 2, 64);
		} else {
			silence(&c, true);
		}
		assert_true(cl_run(&c, c.now + 10 * MX_SEC, clvol_is_open, &a));
		assert_int_equal(a.st, gone ? MX_ST_NO_QUORUM : MX_ST_TIMEOUT);
		assert_non_null(strstr(mx_vol_error(a.v), "recover"));
		mx_vol_free(a.v);
		silence(&c, false);
		cl_end(&c);
	}
}

static bool op_accepts(void *arg)
{
	struct held *h = arg;
	struct mx_claim *claim;

	if (mx_list_empty(&h->c->ops_open))
		return false;
	claim = mx_list_entry(h->c->ops_open.next, struct mx_opctx, node)->claim;
	return claim && mx_claim_state(claim) == MX_CLAIM_ACCEPTING;
}

/* A holder misses the create, and of the two that have it one restarts: one loss is
 * none too many. */
static void ends__an_open_after_a_holder_missed_the_create(void **state)
{
	struct clvol a;
	struct clop x;
	struct held h;
	struct cl c;

	(void)state;
	up(&c, 31);
	h.c = c.n[US].client;
	clop_init(&x);
	mx_client_create(c.n[US].client, "vm2", 8 << 20, 77, &x.op, c.now);
	assert_true(cl_run(&c, c.now + 20 * MX_SEC, op_accepts, &h));
	c.n[2].silent = true;
	assert_int_equal(clop_wait(&c, &x, 30 * MX_SEC), MX_OK);
	assert_int_equal(c.n[2].server->nheld, 1);
	cl_kill(&c, 0);
	cl_server(&c, 0, 64);
	c.n[2].silent = false;
	assert_int_equal(cl_open(&c, OTHER, "vm2", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 0, 1), MX_OK);
	cl_close(&c, &a);
	cl_end(&c);
}

/* ---- an owner that was away ---- */

static void away__grown_by_another_meanwhile(void **state)
{
	struct clvol a;
	struct clop x;
	struct cl c;

	(void)state;
	up(&c, 40);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 7 << 20, 1), MX_OK);
	c.n[US].silent = true;
	cl_for(&c, 12 * MX_SEC);
	assert_int_equal(resize(&c, OTHER, 16 << 20, false, &x), MX_OK);
	c.n[US].silent = false;
	assert_int_equal(write_mark(&a, 0, 2), MX_OK);
	assert_int_equal(mx_vol_size(a.v), 16 << 20);
	assert_int_equal(write_mark(&a, 15 << 20, 3), MX_OK);
	assert_int_equal(read_mark(&a, 7 << 20), 1);
	cl_close(&c, &a);
	assert_int_equal(cl_open(&c, OTHER, "vm1", NULL, &a), MX_OK);
	assert_int_equal(mx_vol_size(a.v), 16 << 20);
	assert_int_equal(read_mark(&a, 15 << 20), 3);
	cl_close(&c, &a);
	cl_end(&c);
}

static void away__shrunk_by_another_meanwhile(void **state)
{
	struct clvol a;
	struct clop x;
	struct cl c;

	(void)state;
	up(&c, 41);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 7 << 20, 1), MX_OK);
	c.n[US].silent = true;
	cl_for(&c, 12 * MX_SEC);
	assert_int_equal(resize(&c, OTHER, 4 << 20, true, &x), MX_OK);
	c.n[US].silent = false;
	assert_int_equal(write_mark(&a, 0, 2), MX_ST_FENCED);
	cl_close(&c, &a);
	cl_end(&c);
}

/* ---- a holder that missed the end ---- */

/* It still tells of the volume; the name is free all the same, and the new volume
 * is the one that is found. */
static void stale__does_not_take_the_name(void **state)
{
	struct clvol v;
	struct clop x;
	struct cl c;

	(void)state;
	up(&c, 60);
	c.n[2].silent = true;
	cl_for(&c, 6 * MX_SEC);
	assert_int_equal(delete(&c, US, false, &x), MX_OK);
	c.n[2].silent = false;
	cl_for(&c, 3 * MX_SEC);
	assert_int_equal(c.n[2].server->nheld, 1);
	assert_int_equal(cl_open(&c, OTHER, "vm1", NULL, &v), MX_ST_DELETED);
	mx_vol_free(v.v);
	assert_int_equal(cl_create(&c, OTHER, "vm1", 4 << 20), MX_OK);
	for (int i = US; i <= OTHER; i++) {
		assert_int_equal(cl_open(&c, i, "vm1", NULL, &v), MX_OK);
		assert_int_equal(mx_vol_size(v.v), 4 << 20);
		cl_close(&c, &v);
	}
	/* One that lives does. */
	assert_int_equal(cl_create(&c, US, "vm1", 8 << 20), MX_ST_EXISTS);
	cl_end(&c);
}

/* What is deleted there was deleted before: nothing of that name is. */
static void stale__deleted_again(void **state)
{
	struct clop x;
	struct cl c;

	(void)state;
	up(&c, 62);
	c.n[2].silent = true;
	cl_for(&c, 6 * MX_SEC);
	assert_int_equal(delete(&c, US, false, &x), MX_OK);
	c.n[2].silent = false;
	cl_for(&c, 3 * MX_SEC);
	assert_int_equal(delete(&c, OTHER, false, &x), MX_ST_DELETED);
	assert_int_equal(delete(&c, OTHER, false, &x), MX_ST_NO_VOLUME);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c.n[i].server->nheld, 0);
	cl_end(&c);
}

/* All that had its descriptor have restarted, but the one that missed its end; a
 * server that kept data of it remembers. */
static void stale__is_not_recovered(void **state)
{
	struct clvol v;
	struct clop x;
	struct cl c;
	int stale = -1, gone = 0;

	(void)state;
	up_with(&c, 61, 5, 32 << 20);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &v), MX_OK);
	for (u64 i = 0; i < 32; i++)
		assert_int_equal(write_mark(&v, i << 20, 1), MX_OK);
	for (int i = 0; i < 5; i++)	/* the last of the holders */
		if (c.n[i].server->nheld)
			stale = i;
	cl_close(&c, &v);
	c.n[stale].silent = true;
	cl_for(&c, 6 * MX_SEC);
	assert_int_equal(delete(&c, US, false, &x), MX_OK);
	c.n[stale].silent = false;
	for (int i = 0; i < 5; i++) {
		if (i == stale || !c.n[i].server->nheld)
			continue;
		cl_kill(&c, i);
		cl_server(&c, i, 64);
		gone++;
	}
	assert_int_equal(gone, 2);
	cl_for(&c, 10 * MX_SEC);
	assert_int_equal(cl_open(&c, OTHER, "vm1", NULL, &v), MX_ST_DELETED);
	mx_vol_free(v.v);
	clop_init(&x);
	mx_client_recover(c.n[OTHER].client, "vm1", NULL, &x.op, c.now);
	assert_int_equal(clop_wait(&c, &x, 60 * MX_SEC), MX_ST_DELETED);
	cl_end(&c);
}

/* ---- deleting without memory ---- */

/* With the nth allocation failing: what is said to be deleted leaves nothing. */
static bool delete_failing(long nth)
{
	struct clvol v;
	struct clop x;
	struct cl c;
	bool failed;

	up_with(&c, 63, 5, 32 << 20);
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &v), MX_OK);
	for (u64 i = 0; i < 32; i++)
		assert_int_equal(write_mark(&v, i << 20, 1), MX_OK);
	cl_close(&c, &v);
	c.fail_at = c.allocs + nth;
	delete(&c, US, false, &x);
	failed = c.allocs > c.fail_at;
	c.fail_at = -1;
	if (x.done && x.st != MX_OK)
		delete(&c, US, false, &x);
	cl_for(&c, 600 * MX_SEC);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mx_store_stats(c.n[i].server->store)->volumes, 0);
		assert_int_equal(c.n[i].server->nheld, 0);
	}
	cl_end(&c);
	return failed;
}

static void deleted__leaves_nothing_though_memory_fails(void **state)
{
	(void)state;
	for (long i = 0; delete_failing(i); i++)
		assert_in_range(i, 0, 200);
}

/* ---- the owner's own number, given to another ---- */

/* Holder 2 and OTHER see each other and nobody else. */
static bool cut_in_two(struct cl *c, struct dgram *d, int from)
{
	int to = cl_at(c, &d->to);
	bool a = from == 2 || from == OTHER, b = to == 2 || to == OTHER;

	return a == b;
}

/* A holder that had not heard of us promised another our very number, and another
 * restarts: no majority is for us, none is against us by a higher number. */
static void owner__outbid_by_its_own_number(void **state)
{
	struct mx_vol_conf by_force = { .force = true, .open_timeout = 3 * MX_SEC };
	struct clvol a, b;
	struct cl c;

	(void)state;
	up(&c, 70);
	c.tap = cut_in_two;
	assert_int_equal(cl_open(&c, US, "vm1", NULL, &a), MX_OK);
	assert_int_equal(write_mark(&a, 0, 1), MX_OK);
	assert_int_not_equal(cl_open(&c, OTHER, "vm1", &by_force, &b), MX_OK);
	assert_int_equal(c.n[2].server->held[0]->promised, mx_claim_epoch(a.v->claim));
	mx_vol_free(b.v);
	cl_kill(&c, OTHER);
	c.tap = NULL;
	cl_kill(&c, 1);
	cl_server(&c, 1, 64);
	cl_for(&c, 60 * MX_SEC);
	assert_int_equal(write_mark(&a, 0, 2), MX_OK);
	assert_int_equal(read_mark(&a, 0), 2);
	cl_close(&c, &a);
	cl_end(&c);
}

/* ---- beside a caretaker ---- */

static bool care_holds(void *arg)
{
	struct cl *c = arg;

	for (int i = 0; i < 3; i++)
		for (u32 k = 0; c->n[i].server && k < c->n[i].server->nheld; k++) {
			const struct mx_held *h = c->n[i].server->held[k];

			if (mx_held_leased(h, c->now) && h->lease_id < 103)
				return true;
		}
	return false;
}

/* A caretaker's claim is no reason to tell anybody that the volume is in use. */
static void care__gives_way(void **state)
{
	(void)state;
	for (int what = 0; what < 3; what++) {
		struct clvol a;
		struct clop x;
		mx_ns began;
		struct cl c;

		up(&c, 50 + (u64)what);
		cl_kill(&c, 2);
		cl_server(&c, 2, 64);
		assert_true(cl_run(&c, c.now + 300 * MX_SEC, care_holds, &c));
		began = c.now;
		if (what == 2) {
			assert_int_equal(resize(&c, US, 16 << 20, false, &x), MX_OK);
		} else {
			struct mx_vol_conf conf = { .wait_owner = what, .open_timeout = 30 * MX_SEC };

			assert_int_equal(cl_open(&c, US, "vm1", &conf, &a), MX_OK);
			assert_int_equal(write_mark(&a, 0, 1), MX_OK);
			cl_close(&c, &a);
		}
		assert_true(c.now < began + 6 * MX_SEC);
		cl_end(&c);
	}
}

/* ---- two volumes of one name ---- */

/* Servers 0 to 2 with OTHER's client, and 3, 4 and 7 with ours, do not hear each other. */
static bool in_two_parts(struct cl *c, struct dgram *d, int from)
{
	int to = cl_at(c, &d->to);
	bool there = from >= 3 && from != OTHER, where = to >= 3 && to != OTHER;

	return there == where;
}

static void list_uuid(void *arg, const struct mx_list_entry *e)
{
	u8 (*uuid)[MX_UUID] = arg;

	memcpy(uuid[e->size == 4 << 20], e->uuid, MX_UUID);
}

static enum mx_status delete_one(struct cl *c, const char *name, const u8 *uuid, struct clop *x)
{
	clop_init(x);
	mx_client_delete(c->n[OTHER].client, name, uuid, false, &x->op, c->now);
	return clop_wait(c, x, 200 * MX_SEC);
}

static void clash__one_is_deleted_by_its_uuid(void **state)
{
	u8 uuid[2][MX_UUID] = { 0 }, none[MX_UUID] = { 7 };
	struct mx_addr seed;
	struct clvol v;
	struct clop x;
	struct cl c;

	(void)state;
	cl_init(&c, 77);
	c.tap = in_two_parts;
	for (int i = 0; i < 5; i++)
		cl_server(&c, i, 64);
	cl_server(&c, 7, 64);
	cl_client(&c, US);
	cl_client(&c, OTHER);
	seed = c.n[7].addr;
	for (int i = 3; i <= US; i++)
		mx_ep_add_seed(c.n[i].ep, &seed);
	cl_for(&c, 5 * MX_SEC);
	assert_int_equal(cl_create(&c, OTHER, "vm1", 8 << 20), MX_OK);
	assert_int_equal(cl_create(&c, US, "vm1", 4 << 20), MX_OK);
	c.tap = NULL;
	cl_for(&c, 15 * MX_SEC);
	assert_int_equal(cl_open(&c, OTHER, "vm1", NULL, &v), MX_ST_NAME_CLASH);
	assert_non_null(strstr(mx_vol_error(v.v), "volume delete --uuid"));
	mx_vol_free(v.v);
	assert_int_equal(delete_one(&c, "vm1", NULL, &x), MX_ST_NAME_CLASH);
	clop_init(&x);
	x.op.user = uuid;
	mx_client_list(c.n[OTHER].client, list_uuid, &x.op, c.now);
	assert_int_equal(clop_wait(&c, &x, 30 * MX_SEC), MX_OK);
	/* A majority of the one's holders is lost: it alone is recovered. */
	for (int i = 3; i < 5; i++) {
		cl_kill(&c, i);
		cl_server(&c, i, 64);
	}
	cl_for(&c, 10 * MX_SEC);
	for (int i = 0; i < 2; i++) {
		clop_init(&x);
		mx_client_recover(c.n[OTHER].client, "vm1", uuid[!i], &x.op, c.now);
		assert_int_equal(clop_wait(&c, &x, 200 * MX_SEC), i ? MX_ST_INVALID : MX_OK);
	}
	/* Nothing is deleted that was not meant. */
	assert_int_equal(delete_one(&c, "vm2", uuid[1], &x), MX_ST_NO_VOLUME);
	assert_int_equal(delete_one(&c, "vm1", none, &x), MX_ST_NO_VOLUME);
	assert_int_equal(delete_one(&c, "vm1", uuid[1], &x), MX_OK);
	assert_int_equal(cl_open(&c, OTHER, "vm1", NULL, &v), MX_OK);
	assert_int_equal(mx_vol_size(v.v), 8 << 20);
	cl_close(&c, &v);
	cl_end(&c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twice__a_second_open_is_refused),
		cmocka_unit_test(twice__force_overtakes_for_good),
		cmocka_unit_test(twice__operations_take_turns),
		cmocka_unit_test(twice__resize_goes_by_the_open_volume),
		cmocka_unit_test(ends__what_waits_for_a_majority),
		cmocka_unit_test(ends__a_shrink_by_name),
		cmocka_unit_test(ends__an_open_in_doubt),
		cmocka_unit_test(ends__an_open_after_a_holder_missed_the_create),
		cmocka_unit_test(away__grown_by_another_meanwhile),
		cmocka_unit_test(away__shrunk_by_another_meanwhile),
		cmocka_unit_test(stale__does_not_take_the_name),
		cmocka_unit_test(stale__deleted_again),
		cmocka_unit_test(stale__is_not_recovered),
		cmocka_unit_test(deleted__leaves_nothing_though_memory_fails),
		cmocka_unit_test(owner__outbid_by_its_own_number),
		cmocka_unit_test(care__gives_way),
		cmocka_unit_test(clash__one_is_deleted_by_its_uuid),
	};

	return unit_main(argc, argv, tests);
}
