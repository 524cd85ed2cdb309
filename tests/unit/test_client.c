// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the client sends, message by message: a tap on the network sees, counts,
 * holds back and drops the data messages of plain sessions.
 */
#include "unit.h"
#include "cluster.h"
#include "core/client_int.h"

#define CLIENT	5

struct watch {
	struct cl c;
	struct clvol v;
	u32 reads, wants, writes, acks, zeros, stats, data;	/* messages seen */
	u32 attempts;			/* bit per attempt of writes seen */
	u64 nums[64];			/* numbers of writes, in order */
	u32 nnums;
	u32 drop_write, drop_read, drop_data, drop_ack;	/* drop the nth of these, from 1 */
	u32 drop_all_writes;		/* how many to come */
	u32 out, out_max;		/* bytes asked for in READs and not yet delivered */
	int cut_from;			/* READ_DATA of this node is held back; -1 none */
};
static struct watch w;

static bool drops(u32 *n)
{
	return *n && --*n == 0;
}

static bool see(struct watch *x, const struct mx_head *h, const u8 *head, int from)
{
	struct mx_write wr;
	struct mx_read rd;

	switch (h->type) {
	case MX_WRITE:
		assert_true(mx_write_decode(head, h, &wr));
		x->writes++;
		if (getenv("V"))
			printf("# %.6f WRITE %u+%u of %u+%u try %u flags %x num %llx\n", (double)x->c.now / 1e9, wr.first,
			       wr.nblocks, wr.req_first, wr.req_nblocks, h->attempt, h->flags,
			       (unsigned long long)wr.num);
		x->attempts |= 1u << h->attempt;
		if (x->nnums < 64 && (!x->nnums || x->nums[x->nnums - 1] != wr.num))
			x->nums[x->nnums++] = wr.num;
		if (x->drop_all_writes) {
			x->drop_all_writes--;
			return false;
		}
		return !drops(&x->drop_write);
	case MX_READ:
		assert_true(mx_read_decode(head, h, &rd));
		x->reads++;
		x->wants += h->flags & MX_F_WANT;
		return !drops(&x->drop_read);
	case MX_READ_DATA:
		x->data++;
		return from != x->cut_from && !drops(&x->drop_data);
	case MX_WRITE_ACK:
		x->acks++;
		if (getenv("V"))
			printf("# %.6f ACK %u+%u status %u have %02x\n", (double)x->c.now / 1e9, mx_ld16(head + 16),
			       mx_ld16(head + 18), h->status, mx_ld32(head + 20));
		return !drops(&x->drop_ack);
	case MX_ZERO:
		x->zeros++;
		return true;
	case MX_BLKSTAT:
		x->stats++;
		return true;
	default:
		return true;
	}
}

/* Every message of the datagram is seen; one that is to be dropped takes all along. */
static bool tap(struct cl *c, struct dgram *d, int from)
{
	struct watch *x = c->tap_priv;
	struct mx_outer o;
	struct mx_walk walk;
	struct mx_head h;
	const u8 *head;
	u32 pay;
	bool pass = true;

	if (mx_outer_decode(d->data, d->len, &o) != MX_RJ_NONE || o.kind != MX_KIND_PLAIN)
		return true;
	assert_int_equal(mx_walk_init(&walk, d->data + MX_OUTER, o.heads_len, d->len - MX_OUTER - o.heads_len),
			 MX_RJ_NONE);
	if (getenv("V"))
		printf("# datagram of %u from %d\n", d->len, from);
	while (mx_walk_next(&walk, &h, &head, &pay))
		pass &= see(x, &h, head, from);
	return pass;
}

static void up_with(u32 servers, u32 mtu, const struct mx_vol_conf *conf)
{
	memset(&w, 0, sizeof w);
	cl_init(&w.c, 7);
	w.c.mtu = mtu;
	w.cut_from = -1;
	for (u32 i = 0; i < servers; i++)
		cl_server(&w.c, (int)i, 64);
	cl_client(&w.c, CLIENT);
	assert_int_equal(cl_create(&w.c, CLIENT, "vm1", 64 << 20), MX_OK);
	assert_int_equal(cl_open(&w.c, CLIENT, "vm1", conf, &w.v), MX_OK);
	w.c.tap = tap;
	w.c.tap_priv = &w;
}

static void count_from_here(void)
{
	w.reads = w.wants = w.writes = w.acks = w.zeros = w.stats = w.data = w.attempts = w.nnums = 0;
}

static void down(void)
{
	if (w.v.v)
		cl_close(&w.c, &w.v);
	cl_end(&w.c);
}

static void pattern(u8 *p, u32 len, u32 seed)
{
	for (u32 i = 0; i < len; i++)
		p[i] = (u8)(i * 31 + seed + i / 512 * 7 + 1);
}

static u8 a[1 << 20], b[1 << 20];

/* ---- hot path ---- */

static void one_message_each_way(void **state)
{
	(void)state;
	up_with(1, 65535, NULL);
	pattern(a, 4096, 1);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 8192, a, 4096), MX_OK);
	count_from_here();
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 8192, a, 4096), MX_OK);
	assert_int_equal(w.writes, 1);
	assert_int_equal(w.acks, 1);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 8192, b, 4096), MX_OK);
	assert_int_equal(w.reads, 1);
	assert_int_equal(w.data, 1);
	assert_memory_equal(a, b, 4096);
	/* A large one: one request. Holes: none. */
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 131072), MX_OK);
	count_from_here();
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 131072), MX_OK);
	assert_int_equal(w.reads, 1);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 32 << 20, b, 1 << 20), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_ZERO, 32 << 20, NULL, 4096), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_DISCARD, 32 << 20, NULL, 1 << 20), MX_OK);
	assert_int_equal(w.reads, 1);
	assert_int_equal(w.zeros, 0);
	down();
}

static void nothing_is_allocated(void **state)
{
	struct clreq q[64];

	(void)state;
	up_with(3, 1300, NULL);
	for (u32 e = 0; e < 64; e++)
		assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, (u64)e << 20, a, 4096), MX_OK);
	w.c.n[CLIENT].no_alloc = true;
	w.drop_write = 3;
	w.drop_data = 3;
	for (u32 i = 0; i < 64; i++)
		cl_submit(&w.v, &q[i], i % 3 == 2 ? MX_REQ_ZERO : i % 3 ? MX_REQ_READ : MX_REQ_WRITE,
			  ((u64)(i % 60) << 20) + i * 512, i % 3 == 2 ? NULL : a + i * 8192, 8192);
	for (u32 i = 0; i < 64; i++) {
		assert_true(cl_run(&w.c, w.c.now + 10 * MX_SEC, clreq_is_done, &q[i]));
		assert_int_equal(q[i].st, MX_OK);
	}
	w.c.n[CLIENT].no_alloc = false;
	down();
}

/* ---- loss ---- */

static void lost_write_fragment(void **state)
{
	struct clreq q;

	(void)state;
	up_with(1, 1300, NULL);
	pattern(a, 4096, 2);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	/* A buffer that cannot change: only what is missing goes again, at once. */
	count_from_here();
	pattern(a, 4096, 3);
	memset(&q, 0, sizeof q);
	q.r = (struct mx_req){ .op = MX_REQ_WRITE, .flags = MX_REQ_STABLE, .len = 4096, .buf = &q.b,
			       .done = clreq_done };
	q.b = (struct clbuf){ .data = a, .len = 4096 };
	w.drop_write = 2;
	mx_vol_submit(w.v.v, &q.r, w.c.now);
	assert_true(cl_run(&w.c, w.c.now + 3 * MX_MS, clreq_is_done, &q));
	assert_int_equal(q.st, MX_OK);
	assert_int_equal(w.writes, 5);		/* four of two blocks, one again */
	assert_int_equal(w.attempts, 1);
	assert_int_equal(q.b.copies, 0);
	/* One that may: a copy, and the page anew under another attempt. */
	count_from_here();
	pattern(a, 4096, 4);
	w.drop_write = 2;
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	assert_int_equal(w.writes, 8);
	assert_int_equal(w.attempts, 3);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 4096), MX_OK);
	assert_memory_equal(a, b, 4096);
	down();
}

static void lost_everything_once(void **state)
{
	(void)state;
	up_with(1, 65535, NULL);
	pattern(a, 4096, 5);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	pattern(a, 4096, 6);
	w.drop_write = 1;
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	pattern(a, 4096, 7);
	w.drop_ack = 1;
	count_from_here();
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	/* The same write again: the same number. */
	assert_int_equal(w.nnums, 1);
	w.drop_read = 1;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 4096), MX_OK);
	assert_memory_equal(a, b, 4096);
	w.drop_data = 1;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 4096), MX_OK);
	down();
}

static void lost_read_fragment(void **state)
{
	(void)state;
	up_with(1, 1300, NULL);
	pattern(a, 65536, 8);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 65536), MX_OK);
	count_from_here();
	w.drop_data = 5;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 65536), MX_OK);
	assert_memory_equal(a, b, 65536);
	assert_int_equal(w.reads, 2);
	assert_int_equal(w.wants, 1);		/* by bitmap */
	assert_true(w.data <= 64 + 2);
	down();
}

/* ---- buffers that change ---- */

static void changing_buffer(void **state)
{
	struct clreq q;
	u8 c1, c2;

	(void)state;
	up_with(1, 65535, NULL);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	pattern(a, 4096, 9);
	memset(&q, 0, sizeof q);
	q.r = (struct mx_req){ .op = MX_REQ_WRITE, .len = 4096, .buf = &q.b, .done = clreq_done };
	q.b = (struct clbuf){ .data = a, .len = 4096, .changing = true, .no_copy = true };
	c1 = a[0];
	count_from_here();
	mx_vol_submit(w.v.v, &q.r, w.c.now);
	/* No memory for a copy: it waits, and sends nothing that may be torn. */
	assert_false(cl_run(&w.c, w.c.now + 100 * MX_MS, clreq_is_done, &q));
	assert_int_equal(w.writes, 1);
	q.b.no_copy = false;
	assert_true(cl_run(&w.c, w.c.now + 100 * MX_MS, clreq_is_done, &q));
	assert_int_equal(q.st, MX_OK);
	assert_int_equal(q.b.copies, 1);
	assert_int_equal(w.attempts, 3);
	c2 = a[0];
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 4096), MX_OK);
	assert_true(b[0] == c1 || b[0] == c2);
	down();
}

/* ---- order ---- */

static void overlapping_writes_keep_order(void **state)
{
	struct clreq q[8];

	(void)state;
	up_with(1, 65535, NULL);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 16384), MX_OK);
	w.c.jitter = 2 * MX_MS;
	count_from_here();
	/* Parts of one page, and runs across it, all at once. */
	for (u32 i = 0; i < 8; i++) {
		memset(a + i * 16384, (int)i + 1, 16384);
		cl_submit(&w.v, &q[i], MX_REQ_WRITE, i & 1 ? 512 * i : 0, a + i * 16384, i & 1 ? 512 : 8192);
	}
	for (u32 i = 0; i < 8; i++) {
		assert_true(cl_run(&w.c, w.c.now + 10 * MX_SEC, clreq_is_done, &q[i]));
		assert_int_equal(q[i].st, MX_OK);
	}
	for (u32 i = 1; i < w.nnums; i++)
		assert_true(w.nums[i] > w.nums[i - 1]);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 8192), MX_OK);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(b[i * 512], i == 7 ? 8 : 7);
	down();
}

static void reads_do_not_wait_for_writes(void **state)
{
	struct clreq wr, rd;

	(void)state;
	up_with(1, 65535, NULL);
	memset(a, 1, 4096);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	memset(a, 2, 4096);
	w.drop_all_writes = 3;
	cl_submit(&w.v, &wr, MX_REQ_WRITE, 0, a, 4096);
	cl_for(&w.c, MX_US);		/* a datagram of its own */
	cl_submit(&w.v, &rd, MX_REQ_READ, 0, b, 4096);
	assert_true(cl_run(&w.c, w.c.now + 2 * MX_MS, clreq_is_done, &rd));
	assert_false(wr.done);
	assert_int_equal(b[0], 1);
	assert_true(cl_run(&w.c, w.c.now + MX_SEC, clreq_is_done, &wr));
	down();
}

/* ---- bounds ---- */

static bool none_waits(void *arg)
{
	struct clreq *q = arg;

	/* Never more asked for than may be received. */
	assert_true(w.c.n[CLIENT].client->rx_out <= w.c.n[CLIENT].client->rx_max);
	w.out_max = mx_max_u32(w.out_max, w.c.n[CLIENT].client->rx_out);
	for (u32 i = 0; i < 40; i++)
		if (!q[i].done)
			return false;
	return true;
}

static void asks_no_more_than_it_can_take(void **state)
{
	static struct clreq q[40];
	struct mx_vol_conf conf = { .ios = 24 };

	(void)state;
	up_with(3, 65535, &conf);
	for (u32 i = 0; i < 40; i++)
		assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, (u64)i << 20, a, 1 << 20), MX_OK);
	w.c.delay = 2 * MX_MS;
	for (u32 i = 0; i < 40; i++)
		cl_submit(&w.v, &q[i], MX_REQ_READ, (u64)i << 20, b, 1 << 20);
	assert_true(cl_run(&w.c, w.c.now + 60 * MX_SEC, none_waits, q));
	assert_true(w.out_max > 256 * 1024);
	assert_int_equal(w.c.n[CLIENT].client->rx_out, 0);
	for (u32 i = 0; i < 40; i++)
		assert_int_equal(q[i].st, MX_OK);
	down();
}

static void few_parts(void **state)
{
	struct mx_vol_conf conf = { .ios = 1 };
	static struct clreq q[40];

	(void)state;
	up_with(3, 65535, &conf);
	for (u32 i = 0; i < 40; i++)
		cl_submit(&w.v, &q[i], i & 1 ? MX_REQ_READ : MX_REQ_WRITE, (u64)(i / 2) * 300000 / 512 * 512,
			  i & 1 ? b : a, 150 * 1024);
	for (u32 i = 0; i < 40; i++) {
		assert_true(cl_run(&w.c, w.c.now + 60 * MX_SEC, clreq_is_done, &q[i]));
		assert_int_equal(q[i].st, MX_OK);
	}
	down();
}

static void bad_requests(void **state)
{
	struct clreq q;
	struct mx_vol_conf conf = { .read_only = true };
	static const struct { u8 op; u64 off, len; } bad[] = {
		{ MX_REQ_READ, 1, 512 }, { MX_REQ_READ, 0, 100 }, { MX_REQ_READ, 64 << 20, 512 },
		{ MX_REQ_WRITE, (64 << 20) - 512, 1024 }, { MX_REQ_ZERO, ~511ull, 1024 },
		{ 9, 0, 512 }, { MX_REQ_READ, 0, 1ull << 31 },
	};

	(void)state;
	up_with(1, 65535, NULL);
	for (u32 i = 0; i < MX_ARRAY_SIZE(bad); i++) {
		memset(&q, 0, sizeof q);
		q.r = (struct mx_req){ .op = bad[i].op, .off = bad[i].off, .len = bad[i].len, .buf = &q.b,
				       .done = clreq_done };
		mx_vol_submit(w.v.v, &q.r, w.c.now);
		assert_false(q.done);
		assert_true(cl_run(&w.c, w.c.now + MX_SEC, clreq_is_done, &q));
		assert_int_equal(q.st, MX_ST_INVALID);
	}
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 0), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_FLUSH, 0, NULL, 0), MX_OK);
	cl_close(&w.c, &w.v);
	assert_int_equal(cl_open(&w.c, CLIENT, "vm1", &conf, &w.v), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 512), MX_ST_READ_ONLY);
	assert_int_equal(cl_io(&w.v, MX_REQ_DISCARD, 0, NULL, 512), MX_ST_READ_ONLY);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, b, 512), MX_OK);
	down();
}

/* ---- lease and ownership ---- */

static void nothing_completes_without_a_lease(void **state)
{
	struct clreq rd, wr;
	u64 id;
	int data;

	(void)state;
	up_with(3, 65535, NULL);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	mx_vol_extent(w.v.v, 0, &id, NULL);
	data = (int)id - 100;
	/* The other two holders go: the data server answers, a majority does not. */
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = i != data;
	cl_for(&w.c, 12 * MX_SEC);
	count_from_here();
	cl_submit(&w.v, &rd, MX_REQ_READ, 0, b, 4096);
	cl_submit(&w.v, &wr, MX_REQ_WRITE, 0, a, 4096);
	assert_false(cl_run(&w.c, w.c.now + 5 * MX_SEC, clreq_is_done, &rd));
	assert_false(wr.done);
	assert_true(w.data > 0 && w.acks > 0);	/* they were answered, and wait */
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = false;
	assert_true(cl_run(&w.c, w.c.now + 20 * MX_SEC, clreq_is_done, &rd));
	assert_true(cl_run(&w.c, w.c.now + MX_SEC, clreq_is_done, &wr));
	assert_int_equal(rd.st, MX_OK);
	assert_int_equal(wr.st, MX_OK);
	down();
}

/* Nor is anything told of a hole: another may have written there by now. */
static void no_status_without_a_lease(void **state)
{
	struct clstat s = { .r = { .off = 5 << 20, .done = clstat_done } };

	(void)state;
	up_with(3, 65535, NULL);
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = true;
	cl_for(&w.c, 12 * MX_SEC);
	mx_vol_blkstat(w.v.v, &s.r, w.c.now);
	assert_false(cl_run(&w.c, w.c.now + 5 * MX_SEC, clstat_is_done, &s));
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = false;
	assert_true(cl_run(&w.c, w.c.now + 20 * MX_SEC, clstat_is_done, &s));
	assert_int_equal(s.st, MX_OK);
	assert_int_equal(s.r.kind, MX_PAGE_HOLE);
	/* Who gives up waiting is told; so is who is fenced meanwhile. */
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = true;
	cl_for(&w.c, 12 * MX_SEC);
	s.done = false;
	mx_vol_blkstat(w.v.v, &s.r, w.c.now);
	cl_for(&w.c, MX_SEC);
	assert_false(s.done);
	mx_vol_abort(w.v.v, MX_ST_CANCELLED, w.c.now);
	cl_for(&w.c, MX_MS);
	assert_true(s.done);
	assert_int_equal(s.st, MX_ST_CANCELLED);
	down();
}

/* By fail_after, where nobody is asked but for the lease. */
static void status_without_a_lease_ends(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 4 * MX_SEC };
	struct clstat s = { .r = { .off = 5 << 20, .done = clstat_done } };

	(void)state;
	up_with(3, 65535, NULL);
	cl_close(&w.c, &w.v);
	assert_int_equal(cl_open(&w.c, CLIENT, "vm1", &conf, &w.v), MX_OK);
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = true;
	cl_for(&w.c, 12 * MX_SEC);
	mx_vol_blkstat(w.v.v, &s.r, w.c.now);
	assert_true(cl_run(&w.c, w.c.now + 10 * MX_SEC, clstat_is_done, &s));
	assert_int_equal(s.st, MX_ST_TIMEOUT);
	down();
}

static void fenced_by_another(void **state)
{
	struct mx_vol_conf force = { .force = true };
	struct clvol other;
	struct mx_vol_stats s;

	(void)state;
	up_with(3, 65535, NULL);
	memset(a, 1, 4096);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	cl_client(&w.c, 6);
	assert_int_equal(cl_open(&w.c, 6, "vm1", NULL, &other), MX_ST_OWNED);
	assert_non_null(strstr(mx_vol_error(other.v), "client105"));
	assert_non_null(strstr(mx_vol_error(other.v), "force"));
	mx_vol_free(other.v);
	assert_int_equal(cl_open(&w.c, 6, "vm1", &force, &other), MX_OK);
	memset(b, 9, 4096);
	assert_int_equal(cl_io(&other, MX_REQ_WRITE, 0, b, 4096), MX_OK);
	/* The old owner's write ends, and changes nothing. */
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_ST_FENCED);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, a, 4096), MX_ST_FENCED);
	mx_vol_stats(w.v.v, &s, w.c.now);
	assert_true(s.fenced);
	assert_true(w.v.events > 0);
	assert_int_equal(cl_io(&other, MX_REQ_READ, 0, a, 4096), MX_OK);
	assert_memory_equal(a, b, 4096);
	cl_close(&w.c, &other);
	down();
}

/*
 * A machine that stood still without its clock telling has a lease that seems good. A
 * takeover by force is the same to it: somebody else owns the volume before its lease is over.
 */
static void stood_still(void **state)
{
	struct mx_vol_conf force = { .force = true };
	struct clstat s = { .r = { .off = 5 << 20, .done = clstat_done } };
	struct clvol other;
	struct clreq holes[16];
	u64 sent;

	(void)state;
	for (int how = 0; how < 4; how++) {
		up_with(3, 65535, NULL);
		w.c.n[CLIENT].port.clock_stops = true;
		cl_client(&w.c, 6);
		cl_for(&w.c, MX_SEC);
		w.c.n[CLIENT].silent = true;
		assert_int_equal(cl_open(&w.c, 6, "vm1", &force, &other), MX_OK);
		memset(b, 9, 4096);
		assert_int_equal(cl_io(&other, MX_REQ_WRITE, 5 << 20, b, 4096), MX_OK);
		w.c.n[CLIENT].silent = false;
		/* It never wrote there; the first that it does is this. */
		switch (how) {
		case 0:
			assert_int_equal(cl_io(&w.v, MX_REQ_READ, 5 << 20, a, 4096), MX_ST_FENCED);
			break;
		case 1:
			assert_int_equal(cl_io(&w.v, MX_REQ_DISCARD, 5 << 20, NULL, 4096), MX_ST_FENCED);
			break;
		case 2:
			assert_int_equal(cl_io(&w.v, MX_REQ_ZERO, 5 << 20, NULL, 4096), MX_ST_FENCED);
			break;
		default:
			s.done = false;
			mx_vol_blkstat(w.v.v, &s.r, w.c.now);
			assert_true(cl_run(&w.c, w.c.now + 20 * MX_SEC, clstat_is_done, &s));
			assert_int_equal(s.st, MX_ST_FENCED);
		}
		assert_int_equal(cl_io(&other, MX_REQ_READ, 5 << 20, a, 4096), MX_OK);
		assert_memory_equal(a, b, 4096);
		cl_close(&w.c, &other);
		down();
	}
	/* Many share one question; what servers have said needs none. */
	up_with(3, 65535, NULL);
	w.c.n[CLIENT].port.clock_stops = true;
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, b, 4096), MX_OK);
	cl_for(&w.c, MX_SEC);
	sent = w.c.sent;
	for (int i = 0; i < 16; i++)
		cl_submit(&w.v, &holes[i], MX_REQ_READ, (u64)(i + 2) << 20, a, 4096);
	for (int i = 0; i < 16; i++)
		assert_true(cl_run(&w.c, w.c.now + MX_SEC, clreq_is_done, &holes[i]) && holes[i].st == MX_OK);
	assert_true(w.c.sent - sent <= 12);
	sent = w.c.sent;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, a, 4096), MX_OK);
	assert_true(w.c.sent - sent <= 2);
	down();
}

/* Though the lease still seems good. */
static void asking_ends(void **state)
{
	struct mx_vol_conf conf = { .fail_after = 2 * MX_SEC };
	mx_ns began;

	(void)state;
	up_with(3, 65535, NULL);
	cl_close(&w.c, &w.v);
	w.c.n[CLIENT].port.clock_stops = true;
	assert_int_equal(cl_open(&w.c, CLIENT, "vm1", &conf, &w.v), MX_OK);
	cl_for(&w.c, MX_SEC);
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = true;
	began = w.c.now;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 5 << 20, a, 4096), MX_ST_TIMEOUT);
	assert_true(w.c.now - began < 3 * MX_SEC);
	for (int i = 0; i < 3; i++)
		w.c.n[i].silent = false;
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 5 << 20, a, 4096), MX_OK);
	down();
}

static void abort_ends_everything(void **state)
{
	static struct clreq q[32];

	(void)state;
	up_with(1, 65535, NULL);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 1 << 20), MX_OK);
	w.c.n[0].silent = true;
	for (u32 i = 0; i < 32; i++)
		cl_submit(&w.v, &q[i], i & 1 ? MX_REQ_READ : MX_REQ_WRITE, (u64)(i / 2 % 2) << 19, i & 1 ? b : a,
			  1 << 19);
	cl_for(&w.c, 3 * MX_SEC);
	mx_vol_abort(w.v.v, MX_ST_CANCELLED, w.c.now);
	cl_for(&w.c, MX_MS);
	for (u32 i = 0; i < 32; i++) {
		assert_true(q[i].done);
		assert_int_equal(q[i].st, MX_ST_CANCELLED);
	}
	/* And it can go on. */
	w.c.n[0].silent = false;
	cl_for(&w.c, 10 * MX_SEC);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, 0, a, 4096), MX_OK);
	down();
}

/* ---- block status ---- */

static void check_stat(u64 off, u8 kind, u64 run)
{
	struct clstat s = { .r = { .off = off, .done = clstat_done } };

	mx_vol_blkstat(w.v.v, &s.r, w.c.now);
	assert_false(s.done);
	assert_true(cl_run(&w.c, w.c.now + MX_SEC, clstat_is_done, &s));
	assert_int_equal(s.st, MX_OK);
	assert_int_equal(s.r.kind, kind);
	assert_int_equal(s.r.run, run);
}

static void block_status(void **state)
{
	struct clstat s = { .r = { .off = 64 << 20, .done = clstat_done } };
	mx_ns t;

	(void)state;
	up_with(1, 65535, NULL);
	t = w.c.now;
	check_stat(0, MX_PAGE_HOLE, 64 << 20);
	assert_int_equal(cl_io(&w.v, MX_REQ_READ, 0, a, 16384), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_FLUSH, 0, NULL, 0), MX_OK);
	assert_true(w.c.now - t < 100000);	/* what needs no server waits for no timer */
	pattern(a, 16384, 1);
	assert_int_equal(cl_io(&w.v, MX_REQ_WRITE, (5 << 20) + 8192, a, 16384), MX_OK);
	assert_int_equal(cl_io(&w.v, MX_REQ_ZERO, (5 << 20) + 12288, NULL, 4096), MX_OK);
	check_stat(1 << 20, MX_PAGE_HOLE, 4 << 20);
	check_stat(5 << 20, MX_PAGE_HOLE, 8192);
	check_stat((5 << 20) + 8192 + 512, MX_PAGE_DATA, 4096 - 512);
	check_stat((5 << 20) + 12288, MX_PAGE_ZERO, 4096);
	check_stat((5 << 20) + 16384, MX_PAGE_DATA, 8192);
	check_stat(6 << 20, MX_PAGE_HOLE, 58 << 20);
	mx_vol_blkstat(w.v.v, &s.r, w.c.now);
	assert_true(cl_run(&w.c, w.c.now + MX_SEC, clstat_is_done, &s));
	assert_int_equal(s.st, MX_ST_INVALID);
	down();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_message_each_way),
		cmocka_unit_test(nothing_is_allocated),
		cmocka_unit_test(lost_write_fragment),
		cmocka_unit_test(lost_everything_once),
		cmocka_unit_test(lost_read_fragment),
		cmocka_unit_test(changing_buffer),
		cmocka_unit_test(overlapping_writes_keep_order),
		cmocka_unit_test(reads_do_not_wait_for_writes),
		cmocka_unit_test(asks_no_more_than_it_can_take),
		cmocka_unit_test(few_parts),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(nothing_completes_without_a_lease),
		cmocka_unit_test(no_status_without_a_lease),
		cmocka_unit_test(status_without_a_lease_ends),
		cmocka_unit_test(fenced_by_another),
		cmocka_unit_test(stood_still),
		cmocka_unit_test(asking_ends),
		cmocka_unit_test(abort_ends_everything),
		cmocka_unit_test(block_status),
	};

	return unit_main(argc, argv, tests);
}
