/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server over a network that loses, repeats, reorders and damages datagrams. */
#include <stddef.h>
#include <stdint.h>
#include "unit.h"
#include "server_net.h"

static const u8 UU[16] = { 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7 };

static struct world *up(u64 seed, u32 dgram_max)
{
	struct world *w = w_new(seed);
	struct mx_server_conf c = srv_conf(w, 1);
	struct mx_desc *d;

	if (dgram_max) {
		c.ep.dgram_max = dgram_max;
		w->net.mtu = dgram_max;
	}
	assert_non_null(srv_start(w, 1, &c));
	d = w_desc(w, "vm1", 7, 1);
	assert_int_equal(w_seal(w, 1, d, 1), MX_OK);
	assert_int_equal(w->rep_len, 8);
	free(d);
	return w;
}

static void fill(u8 *p, u32 len, u64 *rng)
{
	u32 i;

	for (i = 0; i < len; i++) {
		*rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (u8)(*rng >> 33);
	}
}

/* Random writes, zeroes and reads against a plain array. */
static void life(u64 seed, u32 dgram_max, unsigned loss, u32 steps)
{
	struct world *w = up(seed, dgram_max);
	u8 *shadow = calloc(1, 2 << 20), *buf = malloc(BLOCKS_MAX * 512);
	u64 rng = seed, seq = 0;
	u32 i;

	net_for(&w->net, 2 * MX_SEC);	/* path MTU */
	w->net.loss = loss;
	w->net.dup = loss;
	w->net.corrupt = loss / 2;
	w->net.jitter = 300 * MX_US;
	for (i = 0; i < steps; i++) {
		u32 n = 1 + net_rand(&w->net) % (net_rand(&w->net) % 4 ? 24 : BLOCKS_MAX);
		u32 ext = net_rand(&w->net) % 2, first = net_rand(&w->net) % (2048 - n + 1);
		u8 *at = shadow + (ext << 20) + first * 512;
		u32 what = net_rand(&w->net) % 8;

		if (what < 4) {
			fill(buf, n * 512, &rng);
			assert_int_equal(w_write(w, 1, UU, mx_num(1, ++seq), 1, ext, first, n, buf,
						 net_rand(&w->net) % 2 ? MX_F_REPORT : 0), MX_OK);
			memcpy(at, buf, n * 512);
		} else if (what < 5) {
			u16 flags = net_rand(&w->net) % 2 ? MX_F_DISCARD : 0;

			assert_int_equal(w_zero(w, 1, UU, mx_num(1, ++seq), 1, ext, first, n, flags),
					 MX_OK);
			memset(at, 0, n * 512);
		} else {
			assert_int_equal(w_read(w, 1, UU, 1, 1, ext, first, n, buf), MX_OK);
			assert_memory_equal(buf, at, n * 512);
		}
	}
	if (loss)
		assert_true(w->net.dropped > 10);
	assert_true(w->net.largest <= (dgram_max ? dgram_max : 65000));
	assert_null(mx_store_check(mx_server_store(w->srv[1])));
	assert_int_equal(w->srv[1]->nfree, w->srv[1]->njobs);
	free(shadow);
	free(buf);
	w_free(w);
}

static void data__datagrams_of_1200_bytes(void **state) { life(1, 1200, 0, 300); }
static void data__datagrams_of_1200_bytes_with_loss(void **state) { life(2, 1200, 30, 200); }
static void data__datagrams_of_8972_bytes_with_loss(void **state) { life(3, 8972, 50, 300); }
static void data__datagrams_of_64_kib(void **state) { life(4, 0, 0, 300); }
static void data__datagrams_of_64_kib_with_loss(void **state) { life(5, 0, 100, 300); }

static void read__kinds_and_numbers(void **state)
{
	struct world *w = up(1, 1200);
	u8 buf[BLOCKS_MAX * 512];
	u32 i;

	memset(buf, 3, 4096);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 5), 2, 9, 16, 8, buf, MX_F_LOSTBASE), MX_OK);
	assert_int_equal(w_zero(w, 1, UU, mx_num(1, 6), 2, 9, 24, 8, 0), MX_OK);
	assert_int_equal(w_read(w, 1, UU, 1, 2, 9, 12, 24, buf), MX_OK);
	for (i = 0; i < 24; i++) {
		u32 blk = 12 + i;
		u32 want = blk < 16 ? MX_PAGE_LOST : blk < 24 ? MX_PAGE_DATA : blk < 32 ?
			   MX_PAGE_ZERO : MX_PAGE_LOST;

		assert_int_equal(w->kind[i], want);
		assert_int_equal(w->num[i], want == MX_PAGE_DATA ? mx_num(1, 5) :
				 want == MX_PAGE_ZERO ? mx_num(1, 6) : 0);
	}
	assert_int_equal(w_blkstat(w, 1, UU, 1, 2, 9), MX_OK);
	assert_int_equal(w->bs.kinds[0], MX_PAGE_LOST | MX_PAGE_LOST << 2 | MX_PAGE_DATA << 4 |
			 MX_PAGE_ZERO << 6);
	/* an extent that is not here reads as never written */
	assert_int_equal(w_read(w, 1, UU, 1, 1, 10, 0, 256, buf), MX_OK);
	assert_int_equal(w->kind[255], MX_PAGE_HOLE);
	/* nor has a newer generation any page here, and an older one is gone */
	assert_int_equal(w_read(w, 1, UU, 1, 3, 9, 16, 8, buf), MX_OK);
	assert_int_equal(w->kind[0], MX_PAGE_HOLE);
	assert_int_equal(w_read(w, 1, UU, 1, 1, 9, 0, 8, buf), MX_ST_STALE_GEN);
	assert_int_equal(w_blkstat(w, 1, UU, 1, 1, 9), MX_ST_STALE_GEN);
	w_free(w);
}

/* What was not asked for is not sent. */
static void read__only_wanted_blocks(void **state)
{
	static const u32 dgrams[] = { 1200, 0 };
	u8 buf[64 * 512];
	u32 k, i, n;

	for (k = 0; k < 2; k++) {
		struct world *w = up(1, dgrams[k]);

		net_for(&w->net, 2 * MX_SEC);
		memset(buf, 3, sizeof buf);
		assert_int_equal(w_write(w, 1, UU, mx_num(1, 5), 1, 0, 0, 40, buf, 0), MX_OK);
		w->h = (struct mx_head){ .type = MX_READ, .tag = 500, .flags = MX_F_WANT };
		w->q.rd = (struct mx_read){ .epoch = 1, .gen = 1, .nblocks = 64 };
		memcpy(w->q.rd.uuid, UU, 16);
		w->buf = buf;
		w->left = 64;
		memset(w->got, 0, sizeof w->got);
		for (i = n = 0; i < 64; i++) {
			if (i % 5 == 0 || (i > 20 && i < 27)) {
				w->q.rd.want[i / 8] |= (u8)(1 << i % 8);
				n++;
			}
		}
		w->over = false;
		mx_txm_init(&w->txm, w_fill);
		mx_peer_send(w_peer(w, 1), &w->txm);
		net_for(&w->net, 10 * MX_MS);
		assert_int_equal(w->left, 64 - n);
		for (i = 0; i < 64; i++)
			assert_int_equal(w->got[i], w->q.rd.want[i / 8] >> i % 8 & 1);
		w_free(w);
	}
}

static void fence__epochs_and_volumes(void **state)
{
	struct world *w = up(1, 0);
	static const u8 other[16] = { 1 };
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);
	u8 buf[4096] = { 1 };

	assert_int_equal(w_write(w, 1, UU, mx_num(1, 1), 1, 0, 0, 8, buf, 0), MX_OK);
	assert_int_equal(w_write(w, 1, other, mx_num(1, 2), 1, 0, 0, 8, buf, 0), MX_ST_NEED_SEAL);
	assert_int_equal(w_read(w, 1, other, 1, 1, 0, 0, 8, buf), MX_ST_NEED_SEAL);
	assert_int_equal(w_write(w, 1, UU, mx_num(2, 1), 1, 0, 0, 8, buf, 0), MX_ST_NEED_SEAL);
	d->epoch = 3;
	assert_int_equal(w_seal(w, 1, d, 3), MX_OK);
	assert_int_equal(mx_ld64(w->rep), 1);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 3), 1, 0, 0, 8, buf, 0), MX_ST_FENCED);
	assert_int_equal(w->ack.num, 3);
	assert_int_equal(w_zero(w, 1, UU, mx_num(2, 3), 1, 0, 0, 8, MX_F_DISCARD), MX_ST_FENCED);
	assert_int_equal(w_read(w, 1, UU, 2, 1, 0, 0, 8, buf), MX_ST_FENCED);
	assert_int_equal(w_blkstat(w, 1, UU, 2, 1, 0), MX_ST_FENCED);
	assert_int_equal(w_seal(w, 1, d, 2), MX_ST_FENCED);
	assert_int_equal(mx_ld32(w->rep), 3);
	assert_int_equal(w_read(w, 1, UU, 3, 1, 0, 0, 8, buf), MX_OK);
	/* not enrolled: another incarnation of us stands there, or we were given up */
	d->epoch = 4;
	d->enrolled[0].incarnation++;
	assert_int_equal(w_seal(w, 1, d, 4), MX_ST_NOT_ENROLLED);
	d->enrolled[0].incarnation--;
	d->enrolled[0].state = MX_ENR_GONE;
	assert_int_equal(w_seal(w, 1, d, 4), MX_ST_NOT_ENROLLED);
	assert_int_equal(w_read(w, 1, UU, 3, 1, 0, 0, 8, buf), MX_OK);
	free(d);
	w_free(w);
}

static void write__refusals(void **state)
{
	struct world *w = up(1, 0);
	u8 buf[4096] = { 1 };

	assert_int_equal(w_write(w, 1, UU, mx_num(1, 9), 2, 0, 0, 8, buf, 0), MX_OK);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 9), 2, 0, 0, 8, buf, 0), MX_OK);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 8), 2, 0, 0, 8, buf, 0), MX_ST_STALE);
	assert_int_equal(w->ack.num, mx_num(1, 9));
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 10), 1, 0, 0, 8, buf, 0), MX_ST_STALE_GEN);
	assert_int_equal(w_zero(w, 1, UU, mx_num(1, 11), 2, 0, 0, 2048, MX_F_DISCARD), MX_OK);
	assert_int_equal(w->ack_flags, MX_F_EMPTY);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 10), 2, 0, 0, 8, buf, 0), MX_ST_STALE);
	mx_server_leave(w->srv[1], w->net.now);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 12), 2, 0, 0, 8, buf, 0), MX_ST_LEAVING);
	w_free(w);
}

static void write__answers_are_merged(void **state)
{
	struct world *w = up(1, 1200);
	u8 buf[BLOCKS_MAX * 512];

	memset(buf, 5, sizeof buf);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 1), 1, 0, 0, 256, buf, 0), MX_OK);
	/* 128 fragments; each drain of the network sends what waits, so some remain */
	assert_true(w->acks < 100);
	w_free(w);
}

/* Many reads handed in before anything is sent: each tag is answered once, the
 * rest is dropped and counted, nothing is lost of the pool. */
static void jobs__pool_is_bounded(void **state)
{
	struct world *w = w_new(1);
	struct mx_server_conf c = srv_conf(w, 1);
	struct mx_server_stats st;
	struct mx_desc *d;
	struct mx_speer *sp;
	u8 head[48];
	struct mx_read q = { .epoch = 1, .gen = 1, .nblocks = 8 };
	struct mx_head h = { .type = MX_READ };
	u32 i;

	c.jobs = 16;
	assert_non_null(srv_start(w, 1, &c));
	d = w_desc(w, "vm1", 7, 1);
	assert_int_equal(w_seal(w, 1, d, 1), MX_OK);
	sp = mx_list_entry(w->srv[1]->speers.next, struct mx_speer, node);
	memcpy(q.uuid, UU, 16);
	for (i = 0; i < 100; i++) {
		h.tag = 1000 + i % 50;
		h.attempt = (u8)(i / 50);
		h.hlen = (u16)mx_read_encode(head, &h, &q);
		mx_serve(sp, &h, head, NULL);
	}
	assert_true(mx_server_jobs_low(w->srv[1]));
	mx_server_stats(w->srv[1], &st, w->net.now);
	/* 16 of the first 50 had room; their repeats were merged, the others dropped */
	assert_int_equal(st.dropped_jobs, 34 + 34);
	net_for(&w->net, 10 * MX_MS);
	assert_int_equal(w->srv[1]->nfree, 16);
	/* The volume goes while reads wait: they are told, and touch nothing freed. */
	for (i = 0; i < 10; i++) {
		h.tag = i;
		h.hlen = (u16)mx_read_encode(head, &h, &q);
		mx_serve(sp, &h, head, NULL);
	}
	mx_svol_drop(mx_svol_get(mx_server_store(w->srv[1]), UU));
	net_for(&w->net, 10 * MX_MS);
	assert_int_equal(w->srv[1]->nfree, 16);
	mx_server_stats(w->srv[1], &st, w->net.now);
	assert_int_equal(st.need_seal, 10);
	/* The client goes while replies wait. */
	mx_ep_bye(w->net.n[0].ep, w->net.now);
	net_drain(&w->net);
	for (i = 0; i < 10; i++) {
		h.tag = i;
		h.hlen = (u16)mx_read_encode(head, &h, &q);
		mx_serve(sp, &h, head, NULL);
	}
	assert_int_equal(w->srv[1]->nfree, 6);
	w->net.now += MX_SEC;
	while (w->net.way.n)
		net_deliver(&w->net, dgrams_next(&w->net.way));
	assert_int_equal(w->srv[1]->nfree, 16);
	assert_true(mx_list_empty(&w->srv[1]->speers));
	free(d);
	w_free(w);
}

static void extents__listed_in_pages_dropped_committed(void **state)
{
	struct world *w = up(1, 0);
	u8 buf[4096] = { 1 };
	struct mx_ext_entry e;
	u32 i, n = 0, from = 0;

	for (i = 0; i < 3000; i++)
		assert_int_equal(w_write(w, 1, UU, mx_num(1, i + 1), 1, i * 3, 0, 8, buf,
					 i == 7 ? MX_F_INCOMING : 0), MX_OK);
	do {
		assert_int_equal(w_list_extents(w, 1, UU, 1, from), MX_OK);
		for (i = 0; i < mx_ld32(w->rep); i++, n++) {
			assert_true(mx_ext_entry_decode(w->rep + 8 + 24 * i, w->rep_len - 8 - 24 * i, &e));
			assert_int_equal(e.extent, n * 3);
			assert_int_equal(e.num, mx_num(1, n + 1));
			assert_int_equal(e.flags, n == 7 ? MX_EXT_INCOMING : 0);
		}
		from = mx_ld32(w->rep + 4);
	} while (from != 0xffffffff);
	assert_int_equal(n, 3000);
	/* a later epoch may look without having sealed: an administrator */
	assert_int_equal(w_list_extents(w, 1, UU, 2, 0), MX_OK);
	assert_int_equal(w_extent_op(w, 1, MX_OP_COMMIT_EXTENT, UU, 1, 21, 2, 0), MX_ST_STALE_GEN);
	assert_int_equal(w_extent_op(w, 1, MX_OP_COMMIT_EXTENT, UU, 1, 21, 1, 0), MX_OK);
	assert_int_equal(w_extent_op(w, 1, MX_OP_DROP_EXTENT, UU, 1, 21, 1, mx_num(1, 5000)), MX_OK);
	assert_int_equal(w_list_extents(w, 1, UU, 1, 21), MX_OK);
	assert_int_equal(mx_ld32(w->rep + 8), 24);
	assert_int_equal(w_write(w, 1, UU, mx_num(1, 4999), 1, 21, 0, 8, buf, 0), MX_ST_STALE);
	w_free(w);
}

static void drop_volume__frees_all_and_is_not_sealed_again(void **state)
{
	struct world *w = up(1, 0);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);
	u8 buf[4096] = { 1 };
	u32 i;

	for (i = 0; i < 300; i++)
		assert_int_equal(w_write(w, 1, UU, mx_num(1, i + 1), 1, i, 0, 8, buf, 0), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_RECOVER_LIST, "vm1", NULL), MX_OK);
	assert_int_equal(mx_ld32(w->rep), 1);
	assert_int_equal(w_lookup(w, 1, MX_OP_RECOVER_LIST, "vm2", NULL), MX_ST_NO_VOLUME);
	d->epoch = 4;
	assert_int_equal(w_seal(w, 1, d, 4), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, UU, 3), MX_ST_FENCED);
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, UU, 5), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, UU, 5), MX_OK);
	/* The old owner does not know yet. */
	assert_int_equal(w_seal(w, 1, d, 4), MX_ST_FENCED);
	assert_int_equal(mx_ld32(w->rep), 5);
	assert_int_equal(w_read(w, 1, UU, 4, 1, 0, 0, 8, buf), MX_ST_NEED_SEAL);
	net_for(&w->net, 3 * MX_SEC);
	assert_int_equal(mx_store_stats(mx_server_store(w->srv[1]))->extents, 0);
	assert_int_equal(mx_store_stats(mx_server_store(w->srv[1]))->pages, 0);
	free(d);
	w_free(w);
}

static void stats__are_lines_of_key_and_value(void **state)
{
	struct world *w = up(1, 0);
	u8 buf[4096] = { 1 };
	char *text;

	assert_int_equal(w_write(w, 1, UU, mx_num(1, 1), 1, 5, 0, 8, buf, 0), MX_OK);
	mx_server_set_extra(w->srv[1], "host_free_bytes 17\n");
	assert_int_equal(w_call(w, 1, MX_OP_STATS, NULL, 0), MX_OK);
	w->rep[w->rep_len] = 0;
	text = (char *)w->rep;
	assert_non_null(strstr(text, "\nname node101\n"));
	assert_non_null(strstr(text, "\nnode 0000000000000065\n"));
	assert_non_null(strstr(text, "\npages 1\n"));
	assert_non_null(strstr(text, "\ncapacity_bytes 67108864\n"));
	assert_non_null(strstr(text, "\nwrites 1\n"));
	assert_non_null(strstr(text, "\nhost_free_bytes 17\n"));
	assert_non_null(strstr(text, "\nvolume.07070707070707070707070707070707 1 4096 vm1\n"));
	w_free(w);
}

static void ceiling__who_asks_is_told_at_once(void **state)
{
	struct world *w = up(1, 0);
	const struct mx_ep *ep = mx_server_ep(w->srv[1]);

	mx_server_set_ceiling(w->srv[1], 16 << 20);
	assert_int_equal(ep->self.capacity, 16 << 20);
	assert_true(ep->self.free < 16 << 20);
	mx_server_set_ceiling(w->srv[1], 64 << 20);
	assert_int_equal(ep->self.capacity, 64 << 20);
	assert_true(ep->self.free > 32 << 20);
	w_free(w);
}

/* On a full server pages are replaced, clients come, volumes are opened and deleted. */
static void full__can_still_be_talked_to(void **state)
{
	struct world *w = w_new(1);
	struct mx_server_conf c = srv_conf(w, 1);
	struct mx_ep_conf cc = net_conf(false, 5);
	struct mx_desc *d, *e;
	const struct mx_store_stats *st;
	u8 *buf = malloc(BLOCKS_MAX * 512);
	enum mx_status s = MX_OK;
	u64 seq = 0;
	u32 i, n;

	c.store.ceiling = 8 << 20;
	assert_non_null(srv_start(w, 1, &c));
	st = mx_store_stats(mx_server_store(w->srv[1]));
	d = w_desc(w, "vm1", 7, 1);
	e = w_desc(w, "vm2", 8, 1);
	assert_int_equal(w_accept(w, 1, d, 1000, &d->owner), MX_OK);
	assert_int_equal(w_seal(w, 1, d, 1), MX_OK);
	memset(buf, 9, BLOCKS_MAX * 512);
	for (n = 0; s == MX_OK; n++)
		s = w_write(w, 1, UU, mx_num(1, ++seq), 1, n / 256, n % 256 * 8, 8, buf, 0);
	assert_int_equal(s, MX_ST_FULL);
	assert_true(n > 1200);
	assert_int_equal(st->meta_bytes + st->data_bytes <= 8 << 20, 1);
	for (i = 0; i < 20; i++) {
		net_stop(&w->net, 0);
		memset(w->peer, 0, sizeof w->peer);
		cc.node.id = 5 + i;
		w->net.n[0].addr.port++;
		w_client_conf(w, &cc);
		w->net.n[0].addr.a[3] = (u8)(2 + i);
		e->epoch = 1 + i;
		e->owner = *mx_ep_node(w->net.n[0].ep);
		assert_int_equal(w_accept(w, 1, e, 0, &e->owner), MX_OK);
		assert_int_equal(w_seal(w, 1, e, 1 + i), MX_OK);
		assert_int_equal(w_write(w, 1, UU, mx_num(1, ++seq), 1, 0, i * 8 + 3, 7, buf, 0), MX_OK);
		assert_int_equal(w_read(w, 1, UU, 1, 1, 0, i * 8, 24, buf), MX_OK);
	}
	assert_int_equal(st->meta_bytes + st->data_bytes <= 8 << 20, 1);
	d->state = MX_VOL_DELETED;
	d->version = 2;
	assert_int_equal(w_accept(w, 1, d, 0, &d->owner), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, UU, 2), MX_OK);
	assert_true(mx_store_room(mx_server_store(w->srv[1])) > 4 << 20);
	free(d);
	free(e);
	free(buf);
	w_free(w);
}

/* All that a server takes beside its pages, as a share of what it may take. */
static void share__of_a_whole_server(void **state)
{
	static const u32 mib[] = { 64, 256, 1024 };
	u32 i;

	for (i = 0; i < MX_ARRAY_SIZE(mib); i++) {
		struct world *w = w_new(1);
		struct mx_server_conf c = srv_conf(w, 1);
		u64 all = (u64)mib[i] << 20, empty;
		double share;

		c.store.ceiling = all;
		assert_non_null(srv_start(w, 1, &c));
		empty = mx_store_stats(mx_server_store(w->srv[1]))->meta_bytes;
		/* Full: 16 slots (776 bytes) and their share of an extent (168) for
		 * each 64 KiB; what test_store.c measures on a filled store. */
		share = (double)empty / (double)all + (776 + 168 / 16.0) / 65536;
		print_message("# server of %u MiB: %.2f %% beside pages when full\n", mib[i],
			      share * 100);
		if (mib[i] >= 256)
			assert_true(share <= 0.015);
		w_free(w);
	}
}

/* ---- keys ---- */

static void keys__a_volume_key_opens_that_volume_alone(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct mx_ep_conf c = net_conf(false, 1), k;
	struct mx_server_conf sc;
	struct mx_desc *d, *e;
	u8 buf[4096] = { 1 }, u8b[16];

	net_init(&w->net, 1);
	k = net_conf(false, 2);
	c.key.kind = MX_KEY_CLUSTER;
	memset(c.key.key, 9, 32);
	w_client_conf(w, &c);
	sc = srv_conf(w, 1);
	sc.ep.key = c.key;
	sc.ep.require_key = true;
	assert_non_null(srv_start(w, 1, &sc));
	d = w_desc(w, "vm1", 7, 1);
	e = w_desc(w, "vm2", 8, 1);
	assert_int_equal(w_accept(w, 1, d, 0, &d->owner), MX_OK);
	assert_int_equal(w_accept(w, 1, e, 0, &e->owner), MX_OK);
	assert_int_equal(w_seal(w, 1, d, 1), MX_OK);
	assert_int_equal(w_seal(w, 1, e, 1), MX_OK);
	memset(u8b, 8, 16);
	assert_int_equal(w_write(w, 1, u8b, mx_num(1, 1), 1, 0, 0, 8, buf, 0), MX_OK);

	/* now as a tenant */
	net_stop(&w->net, 0);
	memset(w->peer, 0, sizeof w->peer);
	k.key.kind = MX_KEY_VOLUME;
	strcpy(k.key.volume, "vm1");
	mx_volume_key(k.key.key, c.key.key, "vm1");
	w_client_conf(w, &k);
	d->epoch = 2;
	e->epoch = 2;
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm1", NULL), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, NULL, d->uuid), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm2", NULL), MX_ST_DENIED);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, NULL, u8b), MX_ST_DENIED);
	assert_int_equal(w_accept(w, 1, d, 1000, &d->owner), MX_OK);
	assert_int_equal(w_accept(w, 1, e, 1000, &e->owner), MX_ST_DENIED);
	d->state = MX_VOL_DELETED;
	d->version = 2;
	assert_int_equal(w_accept(w, 1, d, 0, &d->owner), MX_ST_DENIED);
	d->state = MX_VOL_LIVE;
	assert_int_equal(w_seal(w, 1, d, 2), MX_OK);
	assert_int_equal(w_seal(w, 1, e, 2), MX_ST_DENIED);
	/* the other's uuid under one's own name */
	strcpy(e->name, "vm1");
	assert_int_equal(w_seal(w, 1, e, 2), MX_ST_DENIED);
	assert_int_equal(w_accept(w, 1, e, 0, &e->owner), MX_ST_INVALID);
	assert_int_equal(w_write(w, 1, UU, mx_num(2, 1), 1, 0, 0, 8, buf, 0), MX_OK);
	assert_int_equal(w_write(w, 1, u8b, mx_num(1, 2), 1, 0, 0, 8, buf, 0), MX_ST_DENIED);
	assert_int_equal(w_read(w, 1, u8b, 1, 1, 0, 0, 8, buf), MX_ST_DENIED);
	assert_int_equal(w_zero(w, 1, u8b, mx_num(1, 2), 1, 0, 0, 8, MX_F_DISCARD), MX_ST_DENIED);
	assert_int_equal(w_blkstat(w, 1, u8b, 1, 1, 0), MX_ST_DENIED);
	assert_int_equal(w_list_extents(w, 1, u8b, 1, 0), MX_ST_DENIED);
	assert_int_equal(w_list_extents(w, 1, UU, 2, 0), MX_OK);
	assert_int_equal(w_extent_op(w, 1, MX_OP_DROP_EXTENT, u8b, 1, 0, 1, 0), MX_ST_DENIED);
	assert_int_equal(w_call(w, 1, MX_OP_STATS, NULL, 0), MX_ST_DENIED);
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, UU, 2), MX_ST_DENIED);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, UU, 2), MX_ST_DENIED);
	assert_int_equal(w_lookup(w, 1, MX_OP_RECOVER_LIST, "vm1", NULL), MX_ST_DENIED);
	assert_int_equal(w_call(w, 1, 999, NULL, 0), MX_ST_DENIED);
	free(d);
	free(e);
	w_free(w);
}

/* ---- allocation failing at every point ---- */

static void sweep__every_allocation_fails_once(void **state)
{
	long at, n = 0, ups = 0;

	for (at = 0; at == 0 || at < n; at += at < 200 ? 1 : 7) {
		struct world *w = w_new(1);
		struct mx_server_conf c = srv_conf(w, 1);
		struct mx_desc *d;
		u8 buf[4096] = { 1 };
		long base = w->net.allocs;

		w->net.fail_at = at ? base + at - 1 : -1;
		if (srv_start(w, 1, &c)) {
			ups++;
			d = w_desc(w, "vm1", 7, 1);
			w_accept(w, 1, d, 1000, &d->owner);
			if (w_seal(w, 1, d, 1) == MX_OK) {
				w_write(w, 1, UU, mx_num(1, 1), 1, 0, 0, 8, buf, 0);
				w_read(w, 1, UU, 1, 1, 0, 0, 8, buf);
			}
			assert_null(mx_store_check(mx_server_store(w->srv[1])));
			free(d);
		} else {
			w->srv[1] = NULL;
		}
		if (!at)
			n = w->net.allocs - base;
		w_free(w);
	}
	assert_true(n > 20 && ups > 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data__datagrams_of_1200_bytes),
		cmocka_unit_test(data__datagrams_of_1200_bytes_with_loss),
		cmocka_unit_test(data__datagrams_of_8972_bytes_with_loss),
		cmocka_unit_test(data__datagrams_of_64_kib),
		cmocka_unit_test(data__datagrams_of_64_kib_with_loss),
		cmocka_unit_test(read__kinds_and_numbers),
		cmocka_unit_test(read__only_wanted_blocks),
		cmocka_unit_test(fence__epochs_and_volumes),
		cmocka_unit_test(write__refusals),
		cmocka_unit_test(write__answers_are_merged),
		cmocka_unit_test(jobs__pool_is_bounded),
		cmocka_unit_test(extents__listed_in_pages_dropped_committed),
		cmocka_unit_test(drop_volume__frees_all_and_is_not_sealed_again),
		cmocka_unit_test(stats__are_lines_of_key_and_value),
		cmocka_unit_test(ceiling__who_asks_is_told_at_once),
		cmocka_unit_test(full__can_still_be_talked_to),
		cmocka_unit_test(share__of_a_whole_server),
		cmocka_unit_test(keys__a_volume_key_opens_that_volume_alone),
		cmocka_unit_test(sweep__every_allocation_fails_once),
	};

	return unit_main(argc, argv, tests);
}
