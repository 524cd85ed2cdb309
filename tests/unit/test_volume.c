// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Volumes on real servers, over a network in memory.
 */
#define _GNU_SOURCE
#include "unit.h"
#include "three.h"
#include "vol_model.h"
#include "core/client_int.h"
#include "core/server_int.h"

/* Where everything stands, for when it stands still. */
static void dump(struct mx_vol *v)
{
	printf("# phase %u fail %u reqs %u live %u move stage %u edit %d/%d seq %llu\n", v->phase, v->fail, v->nreqs,
	       v->nlive, v->move.stage, v->edit_busy, v->edit_again, (unsigned long long)v->seq);
	for (u32 i = 0; i < v->nacts; i++) {
		struct mx_act *a = &v->acts[i];

		if (a->used)
			printf("# act: extent %u hold %u writers %u bits_busy %d\n", a->extent, a->hold,
			       a->writers, a->bits_busy);
	}
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->state != MX_IO_FREE)
			printf("# io: op %u state %u extent %u blocks %u+%u left %u flags %x busy %u due %llu vs %llu\n",
			       io->op, io->state, io->extent, io->first, io->nblocks, io->left, io->flags,
			       io->busy, (unsigned long long)io->due,
			       io->vs ? (unsigned long long)io->vs->id : 0);
	}
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (s)
			printf("# vs %llu.%llu state %u busy %d listed %d full %d leaving %d extents %u free %llu up %d\n",
			       (unsigned long long)s->id, (unsigned long long)s->inc, s->state, s->busy,
			       s->listed, s->full, s->leaving, s->extents, (unsigned long long)s->free,
			       mx_srv_up(s->srv));
	}
}

static void slice(void **state)
{
	struct cl c;
	struct clvol v;
	u8 a[4096], b[4096];

	(void)state;
	cl_init(&c, 1);
	cl_server(&c, 0, 64);
	cl_client(&c, 1);
	assert_int_equal(cl_create(&c, 1, "vm1", 64 << 20), MX_OK);
	assert_int_equal(cl_open(&c, 1, "vm1", NULL, &v), MX_OK);
	fill(a, sizeof a, 1);
	memset(b, 7, sizeof b);
	assert_int_equal(cl_io(&v, MX_REQ_READ, 4096, b, sizeof b), MX_OK);
	for (int i = 0; i < 4096; i++)
		assert_int_equal(b[i], 0);
	assert_int_equal(cl_io(&v, MX_REQ_WRITE, 4096, a, sizeof a), MX_OK);
	assert_int_equal(cl_io(&v, MX_REQ_READ, 4096, b, sizeof b), MX_OK);
	assert_memory_equal(a, b, sizeof a);
	cl_close(&c, &v);
	cl_end(&c);
}

static struct vm model;

/* What went on, for whoever reads the output. */
static void tell(struct clvol *v)
{
	struct mx_vol_stats s;

	mx_vol_stats(v->v, &s, v->cl->now);
	print_message("# %.2f s, %u requests, %llu reads, %llu writes, %llu zeros, %llu repeats, %llu extents, "
		      "%u of %u servers, %llu datagrams, %llu dropped\n", (double)v->cl->now / 1e9, model.done,
		      (unsigned long long)s.reads, (unsigned long long)s.writes, (unsigned long long)s.zeros,
		      (unsigned long long)s.retransmits, (unsigned long long)s.extents[MX_EXT_PLACED],
		      s.servers_up, s.servers, (unsigned long long)v->cl->sent,
		      (unsigned long long)v->cl->dropped);
}

static void random_requests(u64 seed, u32 servers, unsigned loss, mx_ns jitter, u32 mtu, u32 n, bool aligned)
{
	struct cl c;
	struct clvol v;

	cl_init(&c, seed);
	c.loss = loss;
	c.dup = loss / 2;
	c.jitter = jitter;
	c.mtu = mtu;
	for (u32 i = 0; i < servers; i++)
		cl_server(&c, (int)i, 64);
	cl_client(&c, 5);
	assert_int_equal(cl_create(&c, 5, "vm1", 16 << 20), MX_OK);
	assert_int_equal(cl_open(&c, 5, "vm1", NULL, &v), MX_OK);
	vm_init(&model, &v, 32768, 32);
	model.aligned = aligned;
	assert_true(vm_run(&model, n, 600 * MX_SEC));
	assert_int_equal(model.errors, 0);
	assert_true(vm_verify(&model));
	tell(&v);
	cl_close(&c, &v);
	/* The map from what servers know. */
	assert_int_equal(cl_open(&c, 5, "vm1", NULL, &v), MX_OK);
	assert_true(vm_verify(&model));
	cl_close(&c, &v);
	vm_free(&model);
	cl_end(&c);
}

static void random_calm(void **state)
{
	(void)state;
	random_requests(2, 3, 0, 20 * MX_US, 65535, 3000, false);
	random_requests(3, 3, 0, 20 * MX_US, 65535, 3000, true);
}

static void random_small_mtu(void **state)
{
	(void)state;
	random_requests(4, 3, 0, 100 * MX_US, 1300, 1500, false);
	random_requests(5, 3, 0, 100 * MX_US, 1300, 1500, true);
}

static void random_lossy(void **state)
{
	(void)state;
	for (u64 seed = 10; seed < 16; seed++)
		random_requests(seed, 3, 30, 200 * MX_US, seed & 1 ? 65535 : 1300, 800, seed & 2);
}

/* ---- losing things ---- */

static void crash_and_rebuild(void **state)
{
	struct mx_vol_conf conf = { .wait_owner = true };
	struct three t;
	mx_ns start;

	(void)state;
	three_up(&t, 20, 64, 32 << 20, NULL);
	mark_all(&t, 20, 3, 500);
	mx_vol_free(t.v.v);
	cl_kill(&t.c, 5);
	cl_client(&t.c, 6);
	/* Its lease is still running: refused without wait_owner, then waited out. */
	assert_int_equal(cl_open(&t.c, 6, "vm1", NULL, &t.v), MX_ST_OWNED);
	assert_non_null(strstr(mx_vol_error(t.v.v), "in use by client105"));
	mx_vol_free(t.v.v);
	start = t.c.now;
	assert_int_equal(cl_open(&t.c, 6, "vm1", &conf, &t.v), MX_OK);
	assert_true(t.c.now - start > 5 * MX_SEC && t.c.now - start < 12 * MX_SEC);
	for (u32 e = 0; e < 20; e++) {
		assert_int_equal(check_page(&t, e, 3, 500), MX_OK);
		assert_int_equal(check_page(&t, e, 4, 0), MX_OK);
	}
	assert_int_equal(check_page(&t, 25, 3, 0), MX_OK);
	three_down(&t);
}

static void server_restarts(void **state)
{
	struct three t;
	u32 lost = 0, kept = 0, e, first = ~0u, last = 0;
	u8 z[4096] = { 0 }, b[8192];
	struct mx_vol_stats s;
	struct clop op;

	(void)state;
	three_up(&t, 21, 64, 32 << 20, NULL);
	mark_all(&t, 32, 5, 900);
	cl_kill(&t.c, 1);
	cl_for(&t.c, 100 * MX_MS);
	cl_server(&t.c, 1, 64);
	cl_for(&t.c, 2 * MX_SEC);
	for (e = 0; e < 32; e++) {
		enum mx_status st = check_page(&t, e, 5, 900);

		if (st == MX_ST_LOST && first == ~0u)
			first = e;
		if (st == MX_ST_LOST)
			last = e;
		lost += st == MX_ST_LOST;
		kept += st == MX_OK;
		assert_int_equal(st == MX_ST_LOST, mx_vol_extent(t.v.v, e, NULL, NULL) == MX_EXT_LOST);
	}
	print_message("# lost %u, kept %u; \"%s\"\n", lost, kept, t.v.last);
	assert_true(lost > 3 && kept > 10 && lost + kept == 32);
	mx_vol_stats(t.v.v, &s, t.c.now);
	assert_int_equal(s.extents[MX_EXT_LOST], lost);
	/* One page written: it can be read, the others stay lost; not the whole. */
	mark_all(&t, 0, 0, 0);
	e = first;
	fill(b, 4096, 77);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, ((u64)e << 20) + 7 * 4096, b, 4096), MX_OK);
	assert_int_equal(check_page(&t, e, 7, 77 - e), MX_OK);
	assert_int_equal(check_page(&t, e, 5, 900), MX_ST_LOST);
	assert_int_equal(cl_io(&t.v, MX_REQ_READ, ((u64)e << 20) + 7 * 4096, b, 8192), MX_ST_LOST);
	/* Zeroes make pages good, too. */
	assert_int_equal(cl_io(&t.v, MX_REQ_ZERO, ((u64)e << 20) + 8 * 4096, NULL, 8192), MX_OK);
	assert_int_equal(cl_io(&t.v, MX_REQ_READ, ((u64)e << 20) + 8 * 4096, b, 8192), MX_OK);
	assert_memory_equal(b, z, 4096);
	/* Of this nothing but what is lost will be there. */
	assert_int_equal(cl_io(&t.v, MX_REQ_ZERO, ((u64)last << 20) + 512, NULL, 512), MX_ST_LOST);
	/* It stays so through a move and a rebuild. */
	clop_init(&op);
	mx_vol_move(t.v.v, e, 0, &op.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &op, 10 * MX_SEC), MX_OK);
	assert_int_equal(check_page(&t, e, 7, 77 - e), MX_OK);
	assert_int_equal(check_page(&t, e, 5, 900), MX_ST_LOST);
	cl_close(&t.c, &t.v);
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	mx_vol_stats(t.v.v, &s, t.c.now);
	assert_int_equal(s.extents[MX_EXT_LOST], lost - 2);
	clop_init(&op);
	mx_vol_move(t.v.v, last, 0, &op.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &op, 10 * MX_SEC), MX_ST_LOST);
	assert_int_equal(check_page(&t, last, 5, 900), MX_ST_LOST);
	assert_int_equal(check_page(&t, e, 7, 77 - e), MX_OK);
	assert_int_equal(check_page(&t, e, 5, 900), MX_ST_LOST);
	/* Discarding all of it makes it a hole. */
	assert_int_equal(cl_io(&t.v, MX_REQ_DISCARD, 0, NULL, 32 << 20), MX_OK);
	for (e = 0; e < 32; e++)
		assert_int_equal(check_page(&t, e, 5, 0), MX_OK);
	cl_for(&t.c, MX_SEC);
	mx_vol_stats(t.v.v, &s, t.c.now);
	assert_int_equal(s.extents[MX_EXT_HOLE], 32);
	cl_close(&t.c, &t.v);
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	mx_vol_stats(t.v.v, &s, t.c.now);
	assert_int_equal(s.extents[MX_EXT_HOLE], 32);
	three_down(&t);
}

static void server_silent(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	struct three t;
	struct clreq r;
	u8 b[4096];
	u32 e;
	mx_ns start;

	(void)state;
	three_up(&t, 22, 64, 32 << 20, NULL);
	mark_all(&t, 32, 1, 100);
	for (e = 0; server_of(&t.v, e) != 101; e++)
		;
	/* Waits for ever by default, and goes on when the server is back. */
	t.c.n[1].silent = true;
	cl_submit(&t.v, &r, MX_REQ_READ, ((u64)e << 20) + 4096, b, sizeof b);
	assert_false(cl_run(&t.c, t.c.now + 60 * MX_SEC, clreq_is_done, &r));
	assert_non_null(strstr(t.v.last, "does not answer"));
	t.c.n[1].silent = false;
	assert_true(cl_run(&t.c, t.c.now + 10 * MX_SEC, clreq_is_done, &r));
	assert_int_equal(r.st, MX_OK);
	cl_close(&t.c, &t.v);
	/* With fail_after: an error after that, then at once. */
	assert_int_equal(cl_open(&t.c, 5, "vm1", &conf, &t.v), MX_OK);
	assert_int_equal(check_page(&t, e, 1, 100), MX_OK);
	t.c.n[1].silent = true;
	start = t.c.now;
	assert_int_equal(check_page(&t, e, 1, 100), MX_ST_TIMEOUT);
	print_message("# failed after %.3f s\n", (double)(t.c.now - start) / 1e9);
	assert_true(t.c.now - start >= 2 * MX_SEC && t.c.now - start < 5 * MX_SEC);
	start = t.c.now;
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, ((u64)e << 20) + 4096, b, sizeof b), MX_ST_TIMEOUT);
	assert_int_equal(check_page(&t, e, 1, 100), MX_ST_TIMEOUT);
	assert_true(t.c.now - start < 10 * MX_MS);
	/* Until it answers again. */
	t.c.n[1].silent = false;
	cl_run(&t.c, t.c.now + 10 * MX_SEC, NULL, NULL);
	assert_int_equal(check_page(&t, e, 1, 100), MX_OK);
	t.c.n[1].silent = true;
	start = t.c.now;
	assert_int_equal(check_page(&t, e, 1, 100), MX_ST_TIMEOUT);
	assert_true(t.c.now - start >= 2 * MX_SEC);
	/* What others hold is served. */
	for (e = 0; server_of(&t.v, e) == 101; e++)
		;
	assert_int_equal(check_page(&t, e, 1, 100), MX_OK);
	cl_close(&t.c, &t.v);
	/* Opened without it: not known whether lost. With fail_after an error, then at once. */
	assert_int_equal(cl_open(&t.c, 5, "vm1", &conf, &t.v), MX_OK);
	for (e = 0; mx_vol_extent(t.v.v, e, NULL, NULL) != MX_EXT_UNKNOWN; e++)
		assert_true(e < 32);
	assert_int_equal(check_page(&t, e, 1, 100), MX_ST_TIMEOUT);
	start = t.c.now;
	assert_int_equal(check_page(&t, e, 1, 100), MX_ST_TIMEOUT);
	assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, ((u64)e << 20) + 4096, b, sizeof b), MX_ST_TIMEOUT);
	assert_true(t.c.now - start < 10 * MX_MS);
	cl_close(&t.c, &t.v);
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	for (e = 0; mx_vol_extent(t.v.v, e, NULL, NULL) != MX_EXT_UNKNOWN; e++)
		assert_true(e < 32);
	cl_submit(&t.v, &r, MX_REQ_WRITE, ((u64)e << 20) + 8192, b, sizeof b);
	assert_false(cl_run(&t.c, t.c.now + 20 * MX_SEC, clreq_is_done, &r));
	t.c.n[1].silent = false;
	assert_true(cl_run(&t.c, t.c.now + 10 * MX_SEC, clreq_is_done, &r));
	assert_int_equal(r.st, MX_OK);
	for (e = 0; e < 32; e++)
		assert_int_equal(mx_vol_extent(t.v.v, e, NULL, NULL), MX_EXT_PLACED);
	three_down(&t);
}

/* ---- room ---- */

static void full_pool(void **state)
{
	struct three t;
	struct mx_vol_stats s;
	u32 n, salt = 40000;
	u8 a[4096];
	enum mx_status st = MX_OK;

	(void)state;
	three_up(&t, 23, 4, 64 << 20, NULL);
	cl_server(&t.c, 4, 10);
	cl_for(&t.c, 3 * MX_SEC);
	/* Every page of extents one after the other, until nothing goes any more. */
	for (n = 0; n < 32 * 256; n++) {
		fill(a, sizeof a, salt + n);
		st = cl_io(&t.v, MX_REQ_WRITE, (u64)(n % 32) * MX_EXTENT + n / 32 * 4096, a, sizeof a);
		if (st != MX_OK) {
			dump(t.v.v);
			break;
		}
	}
	mx_vol_stats(t.v.v, &s, t.c.now);
	for (int i = 0; i < 5; i++)
		if (t.c.n[i].server)
			print_message("# server %d: %llu KiB of %llu taken\n", i,
				      (unsigned long long)(mx_store_stats(mx_server_store(t.c.n[i].server))->data_bytes >> 10),
				      (unsigned long long)(t.c.n[i].ceiling >> 10));
	print_message("# %u pages written, then: %s; %llu moves\n", n, mx_status_str(st),
		      (unsigned long long)s.moves);
	assert_int_equal(st, MX_ST_NO_SPACE);
	assert_true(n > 2000);
	assert_true(s.moves > 0);
	/* What is there can be overwritten and read. */
	for (u32 i = 0; i < n; i += 7) {
		fill(a, sizeof a, salt + i);
		assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)(i % 32) * MX_EXTENT + i / 32 * 4096, a, sizeof a),
				 MX_OK);
	}
	/* Memory is added: it goes on. */
	cl_server(&t.c, 3, 16);
	cl_for(&t.c, 5 * MX_SEC);
	for (u32 i = 0; i < 512; i++, n++) {
		fill(a, sizeof a, salt + n);
		assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)(n % 32) * MX_EXTENT + n / 32 * 4096, a, sizeof a),
				 MX_OK);
	}
	for (u32 i = 0; i < n; i++) {
		u8 b[4096];

		fill(a, sizeof a, salt + i);
		assert_int_equal(cl_io(&t.v, MX_REQ_READ, (u64)(i % 32) * MX_EXTENT + i / 32 * 4096, b, sizeof b), MX_OK);
		assert_memory_equal(a, b, sizeof a);
	}
	three_down(&t);
}

static void move_under_load(void **state)
{
	struct three t;
	struct clop op;
	u32 moved = 0;

	(void)state;
	three_up(&t, 24, 64, 16 << 20, NULL);
	t.c.loss = 10;
	t.c.jitter = 100 * MX_US;
	vm_init(&model, &t.v, 4096, 16);	/* two extents: all the requests meet there */
	for (u32 i = 0; i < 40; i++) {
		u64 at = server_of(&t.v, 1), to = at == 100 ? 101 : 100;

		assert_true(vm_run(&model, 40, 60 * MX_SEC));
		if (mx_vol_extent(t.v.v, 1, NULL, NULL) != MX_EXT_PLACED)
			continue;
		clop_init(&op);
		mx_vol_move(t.v.v, 1, i & 1 ? 0 : to, &op.op, t.c.now);
		assert_true(vm_run(&model, 60, 60 * MX_SEC));
		if (clop_wait(&t.c, &op, 10 * MX_SEC) == MX_OK)
			moved++;
	}
	print_message("# moved %u times\n", moved);
	tell(&t.v);
	assert_true(moved > 20);
	assert_int_equal(model.errors, 0);
	assert_true(vm_verify(&model));
	cl_close(&t.c, &t.v);
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	assert_true(vm_verify(&model));
	vm_free(&model);
	three_down(&t);
}

/* ---- a server that has to hold less ---- */

static u64 used(struct three *t, int i)
{
	const struct mx_store_stats *st = mx_store_stats(mx_server_store(t->c.n[i].server));

	return st->data_bytes + st->meta_bytes;
}

static u64 squeeze(struct three *t, int i, u64 less)
{
	u64 ceiling = used(t, i) - less;

	mx_server_set_ceiling(t->c.n[i].server, ceiling);
	return ceiling;
}

static void check_all(struct three *t)
{
	for (u32 e = 0; e < 48; e++)
		for (u32 p = 0; p < 16; p++)
			assert_int_equal(check_page(t, e, p, 1 + p * 64), MX_OK);
}

static void shedding(void **state)
{
	struct mx_server_stats sst;
	struct mx_vol_stats vst;
	struct three t;
	u64 ceiling, shed, moves;
	u32 e;

	(void)state;
	three_up(&t, 25, 64, 48 << 20, NULL);
	for (u32 p = 0; p < 16; p++)
		mark_all(&t, 48, p, 1 + p * 64);
	ceiling = squeeze(&t, 1, 400 << 10);
	t.c.loss = 100;
	cl_for(&t.c, 20 * MX_SEC);
	t.c.loss = 0;
	cl_for(&t.c, 5 * MX_SEC);
	assert_true(used(&t, 1) <= ceiling);
	mx_server_stats(t.c.n[1].server, &sst, t.c.now);
	mx_vol_stats(t.v.v, &vst, t.c.now);
	print_message("# asked for %llu, moved %llu\n", (unsigned long long)sst.shed,
		      (unsigned long long)vst.moves);
	/* An extent frees 64 KiB: seven are enough, and hardly more are moved. */
	assert_in_range(vst.moves, 7, 14);
	check_all(&t);
	/* Extents are still there that need not go, and now none is asked for. */
	for (e = 0; e < 48 && server_of(&t.v, e) != 101; e++)
		;
	assert_int_not_equal(e, 48);
	shed = sst.shed;
	moves = vst.moves;
	cl_for(&t.c, 10 * MX_SEC);
	mx_server_stats(t.c.n[1].server, &sst, t.c.now);
	assert_int_equal(sst.shed, shed);
	/* Nobody has room: they are asked for, stay, and can be read and written. */
	for (int i = 0; i < 3; i++)
		squeeze(&t, i, 100 << 10);
	cl_for(&t.c, 30 * MX_SEC);
	mx_server_stats(t.c.n[1].server, &sst, t.c.now);
	mx_vol_stats(t.v.v, &vst, t.c.now);
	assert_true(sst.shed > shed);
	assert_int_equal(vst.moves, moves);
	for (u32 p = 0; p < 16; p++)
		mark_all(&t, 48, p, 1 + p * 64);
	check_all(&t);
	/* One has: both others give to it. */
	mx_server_set_ceiling(t.c.n[2].server, 64 << 20);
	cl_for(&t.c, 30 * MX_SEC);
	for (int i = 0; i < 2; i++)
		assert_true(used(&t, i) <= mx_store_stats(mx_server_store(t.c.n[i].server))->ceiling);
	check_all(&t);
	/* Without an owner all stays where it is; the next one moves it. */
	cl_close(&t.c, &t.v);
	mx_server_set_ceiling(t.c.n[0].server, 64 << 20);
	ceiling = squeeze(&t, 2, 300 << 10);
	cl_for(&t.c, 10 * MX_SEC);
	assert_true(used(&t, 2) > ceiling);
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	cl_for(&t.c, 10 * MX_SEC);
	assert_true(used(&t, 2) <= ceiling);
	check_all(&t);
	three_down(&t);
}

/* A server that is announced and does not answer seems to have room. Nobody waits for it
 * who need not: the extents that are asked for can be written where they are. */
static void shedding_to_nobody(void **state)
{
	struct mx_vol_stats vst;
	mx_ns longest = 0, begun;
	struct three t;
	u8 b[4096];

	(void)state;
	three_up(&t, 26, 64, 48 << 20, NULL);
	for (u32 p = 0; p < 16; p++)
		mark_all(&t, 48, p, 1 + p * 64);
	cl_server(&t.c, 3, 64);
	cl_for(&t.c, 5 * MX_SEC);
	t.c.n[3].silent = true;
	for (int i = 0; i < 3; i++)
		squeeze(&t, i, i == 1 ? 400 << 10 : 0);
	for (u32 round = 0; round < 10; round++) {
		for (u32 e = 0; e < 48; e++) {
			begun = t.c.now;
			fill(b, sizeof b, e + 1);
			assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)e << 20, b, sizeof b), MX_OK);
			longest = mx_max_u64(longest, t.c.now - begun);
		}
		cl_for(&t.c, MX_SEC);
	}
	print_message("# the longest write took %llu ms\n", (unsigned long long)(longest / MX_MS));
	assert_true(longest < 200 * MX_MS);
	mx_vol_stats(t.v.v, &vst, t.c.now);
	assert_int_equal(vst.moves, 0);
	check_all(&t);
	/* It is there after all. */
	t.c.n[3].silent = false;
	cl_for(&t.c, 30 * MX_SEC);
	assert_true(used(&t, 1) <= mx_store_stats(mx_server_store(t.c.n[1].server))->ceiling);
	check_all(&t);
	three_down(&t);
}

static bool copying(void *arg)
{
	return ((struct mx_vol *)arg)->move.stage == MX_MOVE_WRITE;
}

/* Server 1 has too much, and only server 2 has room; until something is copied there. */
static void shed_begins(struct three *t, u64 seed)
{
	three_up(t, seed, 64, 48 << 20, NULL);
	for (u32 p = 0; p < 16; p++)
		mark_all(t, 48, p, 1 + p * 64);
	squeeze(t, 0, 0);
	squeeze(t, 1, 400 << 10);
	assert_true(cl_run(&t->c, t->c.now + 10 * MX_SEC, copying, t->v.v));
}

/* The target falls silent: what is still where it was can be written there soon. */
static void shedding_to_one_who_goes(void **state)
{
	mx_ns longest = 0, begun;
	struct three t;
	u8 b[4096];

	(void)state;
	shed_begins(&t, 27);
	t.c.n[2].silent = true;
	for (u32 e = 0; e < 48; e++) {
		if (server_of(&t.v, e) == 102)
			continue;
		begun = t.c.now;
		fill(b, sizeof b, e + 1);
		assert_int_equal(cl_io(&t.v, MX_REQ_WRITE, (u64)e << 20, b, sizeof b), MX_OK);
		longest = mx_max_u64(longest, t.c.now - begun);
	}
	print_message("# the longest write took %llu ms\n", (unsigned long long)(longest / MX_MS));
	assert_in_range(longest, 1 * MX_SEC, 4 * MX_SEC);
	t.c.n[2].silent = false;
	cl_for(&t.c, 30 * MX_SEC);
	assert_true(used(&t, 1) <= mx_store_stats(mx_server_store(t.c.n[1].server))->ceiling);
	check_all(&t);
	three_down(&t);
}

/* The volume is freed, as after a failure, and its servers have another one. */
static void freed_while_moving(void **state)
{
	struct clvol other;
	struct three t;
	u8 b[4096];

	(void)state;
	fill(b, sizeof b, 1);
	shed_begins(&t, 28);
	assert_int_equal(cl_create(&t.c, 5, "vm2", 16 << 20), MX_OK);
	assert_int_equal(cl_open(&t.c, 5, "vm2", NULL, &other), MX_OK);
	for (u64 e = 0; e < 16; e++)
		assert_int_equal(cl_io(&other, MX_REQ_WRITE, e << 20, b, sizeof b), MX_OK);
	squeeze(&t, 1, 400 << 10);
	assert_true(cl_run(&t.c, t.c.now + 10 * MX_SEC, copying, t.v.v));
	mx_vol_free(t.v.v);
	t.v.v = NULL;
	cl_for(&t.c, 20 * MX_SEC);
	assert_int_equal(cl_io(&other, MX_REQ_WRITE, 0, b, sizeof b), MX_OK);
	cl_close(&t.c, &other);
	three_down(&t);
}

/* ---- by name ---- */

struct listed { u32 n; u64 size; char names[8][64]; };
static void list_entry(void *user, const struct mx_list_entry *e)
{
	struct listed *l = user;

	if (l->n < 8)
		strcpy(l->names[l->n], e->name);
	l->n++;
	l->size += e->size;
}

static u32 text_len;
static void stats_text(void *user, const char *text, u32 len)
{
	(void)user;
	assert_non_null(memmem(text, len, "capacity_bytes", 14));
	text_len = len;
}

static u64 info_size, info_lease;
static void info_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct mx_hstate *h = o->priv;

	if (st == MX_OK) {
		info_size = h->desc->size;
		info_lease = h->lease_ms;
	}
	clop_done(o, st, err, now);
}

static enum mx_status info(struct cl *c, int i, const char *name)
{
	struct clop x;

	clop_init(&x);
	x.op.done = info_done;
	mx_client_info(c->n[i].client, name, &x.op, c->now);
	return clop_wait(c, &x, 30 * MX_SEC);
}

static void by_name(void **state)
{
	struct three t;
	struct clop x;
	struct listed l = { 0 };
	u64 op_id = 4711;

	(void)state;
	three_up(&t, 40, 64, 8 << 20, NULL);
	assert_int_equal(info(&t.c, 5, "vm1"), MX_OK);
	assert_int_equal(info_size, 8 << 20);
	assert_true(info_lease > 5000 && info_lease <= 10000);
	assert_int_equal(info(&t.c, 5, "vm2"), MX_ST_NO_VOLUME);
	assert_int_equal(info(&t.c, 5, "-bad name"), MX_ST_INVALID);
	/* A name that is taken; a create that is tried again. */
	clop_init(&x);
	mx_client_create(t.c.n[5].client, "vm1", 1 << 20, 1, &x.op, t.c.now);
	assert_false(x.done);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_ST_EXISTS);
	assert_non_null(strstr(x.err, "exists already"));
	for (int i = 0; i < 2; i++) {
		clop_init(&x);
		mx_client_create(t.c.n[5].client, "disk/2", 2 << 20, op_id, &x.op, t.c.now);
		assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_OK);
	}
	for (u32 i = 0; i < 3; i++) {
		static const u64 bad[] = { 0, 1000, (1ull << 50) + 512 };

		clop_init(&x);
		mx_client_create(t.c.n[5].client, "vm3", bad[i], 2, &x.op, t.c.now);
		assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_ST_INVALID);
		assert_non_null(strstr(x.err, "multiple of 512"));
	}
	clop_init(&x);
	x.op.user = &l;
	mx_client_list(t.c.n[5].client, list_entry, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_OK);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.size, 10 << 20);
	clop_init(&x);
	mx_client_server_stats(t.c.n[5].client, 101, stats_text, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_OK);
	assert_true(text_len > 100);
	clop_init(&x);
	mx_client_server_stats(t.c.n[5].client, 999, stats_text, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_ST_NO_SERVERS);
	three_down(&t);
}

static void deleting(void **state)
{
	struct three t;
	struct clop x;
	u64 held = 0;

	(void)state;
	three_up(&t, 41, 64, 8 << 20, NULL);
	mark_all(&t, 8, 0, 10);
	/* Not beside a live owner. */
	cl_client(&t.c, 6);
	clop_init(&x);
	mx_client_delete(t.c.n[6].client, "vm1", NULL, false, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_ST_OWNED);
	assert_non_null(strstr(x.err, "client105"));
	cl_close(&t.c, &t.v);
	clop_init(&x);
	mx_client_delete(t.c.n[6].client, "vm1", NULL, false, &x.op, t.c.now);
	assert_int_equal(clop_wait(&t.c, &x, 30 * MX_SEC), MX_OK);
	for (int i = 0; i < 3; i++)
		held += mx_store_stats(mx_server_store(t.c.n[i].server))->extents;
	assert_int_equal(held, 0);
	assert_int_equal(info(&t.c, 6, "vm1"), MX_ST_NO_VOLUME);
	/* The name is free at once. */
	assert_int_equal(cl_create(&t.c, 6, "vm1", 1 << 20), MX_OK);
	three_down(&t);
}

static enum mx_status resize(struct three *t, u64 size)
{
	struct clop x;

	clop_init(&x);
	mx_vol_resize(t->v.v, size, &x.op, t->c.now);
	return clop_wait(&t->c, &x, 60 * MX_SEC);
}

static void resizing(void **state)
{
	struct three t;
	struct clop x;
	u8 b[4096];

	(void)state;
	three_up(&t, 42, 64, 8 << 20, NULL);
	mark_all(&t, 8, 1, 10);
	assert_int_equal(resize(&t, 16 << 20), MX_OK);
	assert_int_equal(mx_vol_size(t.v.v), 16 << 20);
	mark_all(&t, 16, 1, 10);
	/* Cut inside an extent: what is beyond is refused, and is zeros when it grows. */
	assert_int_equal(resize(&t, (3 << 20) + 8192), MX_OK);
	assert_int_equal(check_page(&t, 3, 1, 10), MX_OK);
	assert_int_equal(check_page(&t, 5, 1, 10), MX_ST_INVALID);
	assert_int_equal(cl_io(&t.v, MX_REQ_READ, (3 << 20) + 8192, b, 512), MX_ST_INVALID);
	assert_int_equal(resize(&t, 16 << 20), MX_OK);
	for (u32 e = 0; e < 16; e++)
		assert_int_equal(check_page(&t, e, 1, e <= 3 ? 10 : 0), MX_OK);
	mark_all(&t, 16, 2, 20);
	cl_close(&t.c, &t.v);
	/* By name. */
	for (u32 i = 0; i < 3; i++) {
		static const struct { u64 size; bool shrink; enum mx_status st; } step[] = {
			{ 32 << 20, false, MX_OK }, { 4 << 20, false, MX_ST_INVALID }, { 4 << 20, true, MX_OK },
		};

		clop_init(&x);
		mx_client_resize(t.c.n[5].client, "vm1", step[i].size, step[i].shrink, &x.op, t.c.now);
		assert_int_equal(clop_wait(&t.c, &x, 60 * MX_SEC), step[i].st);
	}
	assert_int_equal(cl_open(&t.c, 5, "vm1", NULL, &t.v), MX_OK);
	assert_int_equal(mx_vol_size(t.v.v), 4 << 20);
	for (u32 e = 0; e < 4; e++)
		assert_int_equal(check_page(&t, e, 2, 20), MX_OK);
	three_down(&t);
}

/* ---- memory ---- */

/* The nth allocation of the client fails, for every n: nothing is lost, nothing
 * hangs, nothing leaks, and what could not be done says so. */
static void no_memory(void **state)
{
	u32 failed = 0;
	long n;
	int beyond = 0;			/* runs that had fewer allocations than that */

	(void)state;
	for (n = 0; beyond < 2; n++) {
		struct cl c;
		struct clvol v = { 0 };
		u8 a[4096], b[4096];
		enum mx_status st;
		long before;

		cl_init(&c, 50 + (u64)n);
		for (int i = 0; i < 3; i++)
			cl_server(&c, i, 64);
		if (n & 1) {		/* half of them: from the start */
			c.fail_at = n / 2;
			if (!cl_client(&c, 5)) {
				c.n[5].client = NULL;
				failed++;
				cl_end(&c);
				continue;
			}
		} else {
			cl_client(&c, 5);
			c.fail_at = c.allocs + n / 2;
		}
		before = c.fail_at;
		st = cl_create(&c, 5, "vm1", 64 << 20);
		failed += st != MX_OK;
		assert_true(st == MX_OK || st == MX_ST_NOMEM || st == MX_ST_TIMEOUT || st == MX_ST_NO_SERVERS ||
			    st == MX_ST_UNREACHABLE);
		if (st == MX_OK)
			st = cl_open(&c, 5, "vm1", NULL, &v);
		if (st == MX_OK) {
			fill(a, sizeof a, 1);
			assert_int_equal(cl_io(&v, MX_REQ_WRITE, 1 << 20, a, sizeof a), MX_OK);
			assert_int_equal(cl_io(&v, MX_REQ_READ, 1 << 20, b, sizeof b), MX_OK);
			assert_memory_equal(a, b, sizeof a);
			assert_int_equal(cl_io(&v, MX_REQ_DISCARD, 0, NULL, 64 << 20), MX_OK);
			cl_close(&c, &v);
		} else if (v.v) {
			failed++;
			assert_true(strlen(mx_vol_error(v.v)) > 10);
			mx_vol_free(v.v);
		}
		beyond = c.allocs > before ? 0 : beyond + 1;
		cl_end(&c);
	}
	print_message("# %ld places, %u of them failed what was asked for\n", n, failed);
	assert_true(failed > 20 && n > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slice),
		cmocka_unit_test(random_calm),
		cmocka_unit_test(random_small_mtu),
		cmocka_unit_test(random_lossy),
		cmocka_unit_test(crash_and_rebuild),
		cmocka_unit_test(server_restarts),
		cmocka_unit_test(server_silent),
		cmocka_unit_test(full_pool),
		cmocka_unit_test(move_under_load),
		cmocka_unit_test(shedding),
		cmocka_unit_test(shedding_to_nobody),
		cmocka_unit_test(shedding_to_one_who_goes),
		cmocka_unit_test(freed_while_moving),
		cmocka_unit_test(by_name),
		cmocka_unit_test(deleting),
		cmocka_unit_test(resizing),
		cmocka_unit_test(no_memory),
	};

	return unit_main(argc, argv, tests);
}
