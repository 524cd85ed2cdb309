/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holders: promises, leases, names, bitmaps; and the caretaker. */
#include <stddef.h>
#include <stdint.h>
#include "unit.h"
#include "server_net.h"

static struct mx_node node_of(u64 id)
{
	struct mx_node n;

	memset(&n, 0, sizeof n);
	n.id = id;
	n.incarnation = id * 10;
	snprintf(n.name, sizeof n.name, "client%d", (int)id);
	return n;
}

static struct world *up(int servers)
{
	struct world *w = w_new(7);
	int i;

	for (i = 1; i <= servers; i++) {
		struct mx_server_conf c = srv_conf(w, i);

		assert_non_null(srv_start(w, i, &c));
	}
	return w;
}

static enum mx_status prepare(struct world *w, int i, const u8 *uuid, u32 epoch, u32 flags, u64 who)
{
	struct mx_prepare_req r = { .epoch = epoch, .flags = flags, .claimant = node_of(who) };
	static u8 body[128];

	memcpy(r.uuid, uuid, 16);
	return w_call(w, i, MX_OP_PREPARE, body, mx_prepare_req_encode(body, sizeof body, &r));
}

static enum mx_status lease(struct world *w, int i, const u8 *uuid, u32 epoch, u32 ms, u64 who)
{
	struct mx_lease_req r = { .epoch = epoch, .lease_ms = ms, .claimant = node_of(who) };
	static u8 body[128];

	memcpy(r.uuid, uuid, 16);
	return w_call(w, i, MX_OP_LEASE, body, mx_lease_req_encode(body, sizeof body, &r));
}

static enum mx_status accept_by(struct world *w, int i, struct mx_desc *d, u32 epoch, u64 version,
				u32 ms, u64 who)
{
	struct mx_node n = node_of(who);

	d->epoch = epoch;
	d->version = version;
	d->owner = n;
	return w_accept(w, i, d, ms, &n);
}

static enum mx_status reserve(struct world *w, int i, const char *name, u64 op, u8 uuid)
{
	struct mx_reserve_req r = { .op_id = op };
	static u8 body[128];

	snprintf(r.name, sizeof r.name, "%s", name);
	memset(r.uuid, uuid, 16);
	return w_call(w, i, MX_OP_RESERVE, body, mx_reserve_req_encode(body, sizeof body, &r));
}

/* What the last reply says of the holder. */
static struct mx_hstate hstate(struct world *w, u32 at)
{
	static struct mx_desc d;
	struct mx_hstate h = { .desc = &d };

	assert_true(mx_hstate_decode(w->rep + at, w->rep_len - at, &h, NULL));
	return h;
}

/* ---- the table of promises, leases and acceptances ---- */

enum what { PREP, ACC, LEASE, WAIT };
static const struct step {
	enum what what;
	u64 who;
	u32 epoch;
	u64 version_or_flags;
	u32 ms;			/* lease given, or time to wait */
	enum mx_status want;
	u32 promised, lease_max_ms;	/* after it, where hstate is told */
} table[] = {
	/* version 1 is there, released */
	{ PREP, 1, 1, 0, 0, MX_ST_BEHIND, 1, 0 },		/* equal, another claimant */
	{ PREP, 1, 2, 0, 0, MX_OK, 2, 0 },
	{ PREP, 1, 2, 0, 0, MX_OK, 2, 0 },			/* again: the same */
	{ PREP, 2, 2, 0, 0, MX_ST_BEHIND, 2, 0 },
	{ ACC, 2, 2, 2, 1000, MX_ST_BEHIND, 2, 0 },		/* promised to another */
	{ ACC, 1, 1, 2, 1000, MX_ST_BEHIND, 2, 0 },
	{ ACC, 1, 2, 2, 1000, MX_OK, 2, 0 },			/* 1 owns it now */
	{ ACC, 1, 2, 2, 1000, MX_OK, 2, 0 },			/* again */
	{ ACC, 1, 2, 3, 1000, MX_OK, 2, 0 },
	{ ACC, 1, 2, 2, 1000, MX_ST_BEHIND, 2, 1000 },		/* a late one */
	{ PREP, 2, 3, 0, 0, MX_ST_OWNED, 2, 1000 },
	{ PREP, 2, 3, MX_PREP_ADMIN, 0, MX_ST_OWNED, 2, 1000 },
	{ LEASE, 2, 2, 0, 1000, MX_ST_FENCED, 2, 1000 },
	{ LEASE, 1, 1, 0, 1000, MX_ST_FENCED, 2, 1000 },
	{ WAIT, 0, 0, 0, 900, MX_OK, 0, 0 },
	{ LEASE, 1, 2, 0, 1000, MX_OK, 2, 0 },			/* renewed */
	{ WAIT, 0, 0, 0, 900, MX_OK, 0, 0 },
	{ PREP, 2, 3, 0, 0, MX_ST_OWNED, 2, 200 },
	{ WAIT, 0, 0, 0, 200, MX_OK, 0, 0 },
	{ PREP, 2, 3, 0, 0, MX_OK, 3, 0 },			/* lapsed */
	{ LEASE, 1, 2, 0, 1000, MX_ST_FENCED, 3, 0 },
	{ ACC, 1, 2, 4, 1000, MX_ST_BEHIND, 3, 0 },
	{ ACC, 2, 3, 4, 5000, MX_OK, 3, 0 },
	{ PREP, 2, 4, 0, 0, MX_OK, 4, 5000 },			/* its own lease does not stop it */
	{ ACC, 2, 4, 5, 5000, MX_OK, 4, 0 },
	{ PREP, 1, 5, MX_PREP_FORCE, 0, MX_OK, 5, 0 },		/* and force does not wait */
	{ PREP, 3, 6, 0, 0, MX_OK, 6, 0 },			/* a forced-out lease is over */
	{ LEASE, 2, 4, 0, 5000, MX_ST_FENCED, 6, 0 },
	{ ACC, 3, 6, 6, 5000, MX_OK, 6, 0 },
	{ LEASE, 3, 6, 0, 0, MX_OK, 6, 0 },			/* released */
	{ PREP, 1, 7, 0, 0, MX_OK, 7, 0 },
	{ ACC, 1, 9, 7, 1000, MX_OK, 9, 0 },			/* a majority promised without us */
	{ LEASE, 1, 10, 0, 1000, MX_OK, 10, 0 },
	{ PREP, 1, 9, 0, 0, MX_ST_BEHIND, 10, 1000 },
};

static void votes__table(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);
	u32 i;

	assert_int_equal(prepare(w, 1, d->uuid, 2, 0, 1), MX_ST_NOT_HOLDER);
	assert_int_equal(lease(w, 1, d->uuid, 2, 1000, 1), MX_ST_NOT_HOLDER);
	assert_int_equal(accept_by(w, 1, d, 1, 1, 0, 9), MX_OK);
	for (i = 0; i < MX_ARRAY_SIZE(table); i++) {
		const struct step *s = &table[i];
		enum mx_status st = MX_OK;

		if (s->what == PREP)
			st = prepare(w, 1, d->uuid, s->epoch, (u32)s->version_or_flags, s->who);
		else if (s->what == ACC)
			st = accept_by(w, 1, d, s->epoch, s->version_or_flags, s->ms, s->who);
		else if (s->what == LEASE)
			st = lease(w, 1, d->uuid, s->epoch, s->ms, s->who);
		else
			net_for(&w->net, s->ms * MX_MS);
		if (st != s->want)
			fail_msg("step %u: %d instead of %d", i, st, s->want);
		if (s->what == WAIT || (st == MX_OK && s->what != PREP))
			continue;
		if (hstate(w, 0).promised != s->promised)
			fail_msg("step %u: promised %u", i, hstate(w, 0).promised);
		if (hstate(w, 0).lease_ms > s->lease_max_ms ||
		    (s->lease_max_ms && !hstate(w, 0).lease_ms))
			fail_msg("step %u: lease %u ms", i, hstate(w, 0).lease_ms);
	}
	/* a grant carries what was accepted, by whom it was promised */
	assert_int_equal(prepare(w, 1, d->uuid, 11, 0, 1), MX_OK);
	assert_int_equal(hstate(w, 0).desc->epoch, 9);
	assert_int_equal(hstate(w, 0).desc->version, 7);
	assert_int_equal(hstate(w, 0).holder_of.id, 1);
	free(d);
	w_free(w);
}

static void votes__only_holders_are_made(void **state)
{
	struct world *w = up(2);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);

	assert_int_equal(accept_by(w, 2, d, 1, 1, 0, 9), MX_ST_NOT_HOLDER);
	d->holders[0].incarnation++;	/* another life of server 1 */
	assert_int_equal(accept_by(w, 1, d, 1, 1, 0, 9), MX_ST_NOT_HOLDER);
	d->holders[0].incarnation--;
	assert_int_equal(accept_by(w, 1, d, 1, 1, 0, 9), MX_OK);
	/* Leaving the set, it keeps its word. */
	w_ref(w, &d->holders[0], 2);
	assert_int_equal(accept_by(w, 1, d, 2, 2, 0, 8), MX_OK);
	assert_int_equal(prepare(w, 1, d->uuid, 3, 0, 7), MX_OK);
	/* A volume keeps its name. */
	strcpy(d->name, "vm2");
	assert_int_equal(accept_by(w, 1, d, 3, 3, 0, 7), MX_ST_INVALID);
	mx_server_leave(w->srv[2], w->net.now);
	strcpy(d->name, "vm1");
	assert_int_equal(accept_by(w, 2, d, 3, 3, 0, 7), MX_OK);
	assert_int_equal(reserve(w, 2, "new", 1, 1), MX_ST_LEAVING);
	free(d);
	w_free(w);
}

static void deleted__only_admins_prepare_and_the_name_is_free(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1), *e = w_desc(w, "vm1", 8, 1);

	assert_int_equal(accept_by(w, 1, d, 1, 1, 0, 9), MX_OK);
	assert_int_equal(reserve(w, 1, "vm1", 5, 8), MX_ST_EXISTS);
	assert_int_equal(w->rep_len, 16);
	assert_memory_equal(w->rep, d->uuid, 16);
	assert_int_equal(accept_by(w, 1, e, 1, 1, 0, 9), MX_ST_EXISTS);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, d->uuid, 1), MX_ST_INVALID);
	d->state = MX_VOL_DELETED;
	assert_int_equal(accept_by(w, 1, d, 2, 2, 0, 9), MX_OK);
	assert_int_equal(prepare(w, 1, d->uuid, 3, 0, 1), MX_ST_DELETED);
	assert_int_equal(hstate(w, 0).desc->state, MX_VOL_DELETED);
	assert_int_equal(prepare(w, 1, d->uuid, 3, MX_PREP_ADMIN, 1), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm1", NULL), MX_ST_NO_VOLUME);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, NULL, d->uuid), MX_OK);
	assert_int_equal(reserve(w, 1, "vm1", 5, 8), MX_OK);
	assert_int_equal(accept_by(w, 1, e, 1, 1, 0, 9), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, d->uuid, 1), MX_ST_FENCED);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, d->uuid, 2), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, d->uuid, 2), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, NULL, d->uuid), MX_ST_DELETED);
	/* An owner that has missed it all does not bring it back. */
	d->state = MX_VOL_LIVE;
	assert_int_equal(accept_by(w, 1, d, 1, 3, 1000, 9), MX_ST_DELETED);
	assert_int_equal(accept_by(w, 1, d, 9, 3, 1000, 9), MX_ST_DELETED);
	assert_int_equal(prepare(w, 1, d->uuid, 9, 0, 9), MX_ST_DELETED);
	assert_int_equal(lease(w, 1, d->uuid, 1, 1000, 9), MX_ST_DELETED);
	assert_int_equal(w_seal(w, 1, d, 1), MX_ST_FENCED);
	/* A holder that has not seen the tombstone forgets by a later epoch's word. */
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, e->uuid, 2), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm1", NULL), MX_ST_NO_VOLUME);
	free(d);
	free(e);
	w_free(w);
}

static void deleted__who_missed_it_lets_go(void **state)
{
	struct world *w = up(2);
	struct mx_desc *d = w_desc(w, "vm1", 7, 2);

	(void)state;
	assert_int_equal(accept_by(w, 1, d, 4, 9, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 2, d, 4, 9, 0, 9), MX_OK);
	d->state = MX_VOL_DELETED;
	assert_int_equal(accept_by(w, 1, d, 5, 10, 0, 8), MX_OK);
	assert_int_equal(w_drop(w, 2, MX_OP_DROP_VOLUME, d->uuid, 3), MX_ST_FENCED);
	assert_non_null(mx_held_find(w->srv[2], d->uuid));
	assert_int_equal(w_drop(w, 2, MX_OP_DROP_VOLUME, d->uuid, 5), MX_OK);
	assert_null(mx_held_find(w->srv[2], d->uuid));
	assert_int_equal(prepare(w, 2, d->uuid, 6, 0, 1), MX_ST_DELETED);
	/* A tombstone is kept until it is told to be forgotten. */
	assert_int_equal(w_drop(w, 1, MX_OP_DROP_VOLUME, d->uuid, 5), MX_OK);
	assert_non_null(mx_held_find(w->srv[1], d->uuid));
	free(d);
	w_free(w);
}

static void deleted__not_more_tombstones_than_so_many(void **state)
{
	struct world *w = up(1);
	u32 i;

	(void)state;
	for (i = 0; i < TOMBS_MAX + 40; i++) {
		struct mx_desc *d = w_desc(w, "vm1", 7, 1);

		mx_st32(d->uuid, i + 1);
		d->state = MX_VOL_DELETED;
		assert_int_equal(accept_by(w, 1, d, 2, 2, 0, 8), MX_OK);
		net_for(&w->net, 10 * MX_MS);
		assert_true(w->srv[1]->nheld <= TOMBS_MAX);
		assert_non_null(mx_held_find(w->srv[1], d->uuid));
		free(d);
	}
	assert_int_equal(w->srv[1]->nheld, TOMBS_MAX);
	w_free(w);
}

static void lookup__two_uuids_of_one_name(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1), *e = w_desc(w, "vm1", 8, 1);
	u32 i;

	assert_int_equal(accept_by(w, 1, d, 1, 1, 0, 9), MX_OK);
	/* The other came about where this server could not be asked; we become its
	 * holder by a change of holders. */
	assert_int_equal(accept_by(w, 1, e, 2, 5, 0, 9), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm1", NULL), MX_OK);
	assert_int_equal(mx_ld32(w->rep), 2);
	/* Too large for one body: both still are told. */
	d->nenrolled = e->nenrolled = 900;
	for (i = 1; i < 900; i++) {
		d->enrolled[i] = d->enrolled[0];
		e->enrolled[i] = e->enrolled[0];
		d->enrolled[i].id = e->enrolled[i].id = 1000 + i;
	}
	assert_int_equal(accept_by(w, 1, d, 3, 6, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 1, e, 3, 6, 0, 9), MX_OK);
	assert_int_equal(w_lookup(w, 1, MX_OP_LOOKUP, "vm1", NULL), MX_OK);
	assert_int_equal(mx_ld32(w->rep), 2);
	assert_true(w->rep_len < 2000);
	free(d);
	free(e);
	w_free(w);
}

static void reserve__is_kept_for_five_seconds(void **state)
{
	struct world *w = up(1);
	char name[16];
	u32 i;

	assert_int_equal(reserve(w, 1, "a", 1, 1), MX_OK);
	assert_int_equal(reserve(w, 1, "a", 1, 1), MX_OK);
	assert_int_equal(reserve(w, 1, "a", 2, 2), MX_ST_EXISTS);
	assert_int_equal(reserve(w, 1, "b", 2, 2), MX_OK);
	net_for(&w->net, 4 * MX_SEC);
	assert_int_equal(reserve(w, 1, "a", 2, 2), MX_ST_EXISTS);
	net_for(&w->net, 2 * MX_SEC);
	assert_int_equal(reserve(w, 1, "a", 2, 2), MX_OK);
	for (i = 0; i < RESERVES_MAX; i++) {
		snprintf(name, sizeof name, "n%u", i);
		if (reserve(w, 1, name, 3, 3) != MX_OK)
			break;
	}
	assert_int_equal(i, RESERVES_MAX - 1);
	assert_int_equal(reserve(w, 1, name, 3, 3), MX_ST_BUSY);
	w_free(w);
}

static void list__in_order_of_uuid_and_in_parts(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "x", 7, 1);
	struct mx_list_req r = { { 0 } };
	struct mx_list_entry e;
	u32 i, n = 0, more;
	u8 body[16], last[16] = { 0 };

	for (i = 0; i < 600; i++) {
		memset(d->uuid, (int)(i * 7 % 251), 16);
		mx_st32(d->uuid + 12, i);
		snprintf(d->name, sizeof d->name, "vol%u", i);
		assert_int_equal(accept_by(w, 1, d, 1, 1, i == 5 ? 9000 : 0, 9), MX_OK);
	}
	do {
		assert_int_equal(w_call(w, 1, MX_OP_LIST, body, mx_list_req_encode(body, 16, &r)), MX_OK);
		more = mx_ld32(w->rep + 4);
		for (i = 0; i < mx_ld32(w->rep); i++, n++) {
			assert_true(mx_list_entry_decode(w->rep + 8 + i * 224, 224, &e));
			assert_true(n == 0 || memcmp(e.uuid, last, 16) > 0);
			memcpy(last, e.uuid, 16);
			assert_true((e.lease_ms > 0) == (strcmp(e.name, "vol5") == 0));
			assert_int_equal(e.nholders, 1);
		}
		memcpy(r.after, last, 16);
	} while (more);
	assert_int_equal(n, 600);
	free(d);
	w_free(w);
}

/* ---- bitmaps ---- */

static enum mx_status bits_call(struct world *w, const struct mx_bits_req *r)
{
	static u8 body[MX_CTL_BODY_MAX];
	u32 n = mx_bits_req_encode(body, sizeof body, r);

	assert_true(n);
	return w_call(w, 1, MX_OP_BITS_SET, body, n);
}

/* A batch. */
static enum mx_status bits(struct world *w, const u8 *uuid, u32 epoch, u32 round, u32 how, u32 n,
			   const u8 *data)
{
	struct mx_bits_req r = { .epoch = epoch, .how = how, .n = n, .round = round, .data = data };

	memcpy(r.uuid, uuid, 16);
	return bits_call(w, &r);
}

static enum mx_status adopt(struct world *w, const u8 *uuid, u32 epoch, u32 from_epoch, u32 from_round)
{
	u8 data[8];

	mx_st32(data, from_epoch);
	mx_st32(data + 4, from_round);
	return bits(w, uuid, epoch, 0, MX_BITS_ADOPT, 2, data);
}

static enum mx_status fill(struct world *w, const u8 *uuid, u32 epoch, u32 no, u32 round, u32 how,
			   u32 n, const u8 *data)
{
	struct mx_bits_req r = { .epoch = epoch, .how = how, .n = n, .round = round, .fill = no,
				 .data = data };

	memcpy(r.uuid, uuid, 16);
	return bits_call(w, &r);
}

static enum mx_status fill_end(struct world *w, const u8 *uuid, u32 epoch, u32 no, u32 round,
			       u32 as_epoch, u32 as_round)
{
	u8 data[8];

	mx_st32(data, as_epoch);
	mx_st32(data + 4, as_round);
	return fill(w, uuid, epoch, no, round, MX_BITS_END, 2, data);
}

static enum mx_status bits_get(struct world *w, const u8 *uuid, u32 epoch, u32 chunk)
{
	struct mx_bits_get_req r = { .epoch = epoch, .chunk = chunk };
	static u8 body[64];

	memcpy(r.uuid, uuid, 16);
	return w_call(w, 1, MX_OP_BITS_GET, body, mx_bits_get_req_encode(body, sizeof body, &r));
}

static void assert_version(struct world *w, const u8 *uuid, u32 epoch, u32 round)
{
	assert_int_equal(bits_get(w, uuid, MX_EPOCH_MAX, 0), MX_OK);
	assert_int_equal(mx_ld32(w->rep + 8), epoch);
	assert_int_equal(mx_ld32(w->rep + 12), round);
}

static void bits__batches_follow_each_other(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);
	static u8 list[64 * 4];
	const struct mx_held *h;
	u64 meta;

	assert_int_equal(bits(w, d->uuid, 1, 1, MX_BITS_SET, 0, list), MX_ST_NOT_HOLDER);
	assert_int_equal(accept_by(w, 1, d, 2, 1, 0, 9), MX_OK);
	meta = w->srv[1]->ctl_used;
	h = mx_held_find(w->srv[1], d->uuid);
	mx_st32(list, 5);
	mx_st32(list + 4, 32768 * 3 + 9);
	mx_st32(list + 8, 32768 * 900);
	assert_int_equal(bits(w, d->uuid, 1, 1, MX_BITS_SET, 3, list), MX_ST_FENCED);
	/* what it has is of no epoch yet */
	assert_int_equal(bits(w, d->uuid, 2, 1, MX_BITS_SET, 3, list), MX_ST_NEED_BITS);
	assert_int_equal(adopt(w, d->uuid, 2, 1, 0), MX_ST_NEED_BITS);
	assert_int_equal(adopt(w, d->uuid, 2, 0, 0), MX_OK);
	assert_version(w, d->uuid, 2, 0);
	assert_int_equal(bits(w, d->uuid, 2, 1, MX_BITS_SET, 3, list), MX_OK);
	assert_int_equal(bits(w, d->uuid, 2, 1, MX_BITS_SET, 3, list), MX_OK);
	assert_int_equal(adopt(w, d->uuid, 2, 0, 0), MX_OK);	/* once more: no step back */
	assert_version(w, d->uuid, 2, 1);
	assert_int_equal(h->bits.set, 3);
	assert_int_equal(bits_get(w, d->uuid, 2, 0), MX_OK);
	assert_int_equal(mx_ld32(w->rep), 0);
	assert_int_equal(mx_ld32(w->rep + 4), 3);
	assert_int_equal(w->rep[16], 1 << 5);
	assert_int_equal(bits_get(w, d->uuid, 2, 3), MX_OK);
	assert_int_equal(mx_ld32(w->rep + 4), 900);
	assert_int_equal(w->rep[16 + 1], 1 << 1);
	assert_int_equal(bits_get(w, d->uuid, 2, 900), MX_OK);
	assert_int_equal(mx_ld32(w->rep + 4), 0xffffffff);
	assert_int_equal(bits_get(w, d->uuid, 2, 32767), MX_OK);
	assert_int_equal(bits_get(w, d->uuid, 1, 0), MX_ST_FENCED);
	mx_st32(list, 32768 * 3 + 9);
	/* a batch is missing */
	assert_int_equal(bits(w, d->uuid, 2, 3, MX_BITS_CLEAR, 1, list), MX_ST_NEED_BITS);
	assert_int_equal(h->bits.set, 3);
	assert_int_equal(bits(w, d->uuid, 2, 2, MX_BITS_CLEAR, 1, list), MX_OK);
	assert_int_equal(h->bits.set, 2);
	/* an old one that comes late is over */
	assert_int_equal(bits(w, d->uuid, 2, 1, MX_BITS_SET, 3, list), MX_OK);
	assert_int_equal(h->bits.set, 2);
	mx_st32(list, 5);
	mx_st32(list + 4, 32768 * 900);
	assert_int_equal(bits(w, d->uuid, 2, 3, MX_BITS_CLEAR, 2, list), MX_OK);
	assert_int_equal(h->bits.set, 0);
	/* only the table of chunks is left */
	assert_int_equal(w->srv[1]->ctl_used, meta + h->bits.nchunks * sizeof(void *));
	free(d);
	w_free(w);
}

static void bits__filling_takes_the_place_at_its_end(void **state)
{
	struct world *w = up(1);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);
	static u8 list[8], chunk[MX_BITS_CHUNK_BYTES];
	const struct mx_held *h;

	assert_int_equal(accept_by(w, 1, d, 2, 1, 0, 9), MX_OK);
	h = mx_held_find(w->srv[1], d->uuid);
	assert_int_equal(adopt(w, d->uuid, 2, 0, 0), MX_OK);
	mx_st32(list, 70);
	assert_int_equal(bits(w, d->uuid, 2, 1, MX_BITS_SET, 1, list), MX_OK);
	chunk[4095] = 0x81;
	chunk[0] = 0x02;
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_CHUNK, 3, chunk), MX_ST_NEED_BITS);
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_BEGIN, 0, NULL), MX_OK);
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_CHUNK, 0, chunk), MX_OK);
	assert_int_equal(bits(w, d->uuid, 2, 2, MX_BITS_SET, 1, list), MX_ST_FENCED);
	/* a batch meanwhile; the chunk made before it would undo it */
	mx_st32(list, 1);
	assert_int_equal(bits(w, d->uuid, 3, 5, MX_BITS_CLEAR, 1, list), MX_OK);
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_CHUNK, 0, chunk), MX_ST_BUSY);
	assert_int_equal(fill(w, d->uuid, 3, 1, 5, MX_BITS_CHUNK, 3, chunk), MX_OK);
	/* until then nothing of it counts */
	assert_version(w, d->uuid, 2, 1);
	assert_int_equal(h->bits.set, 1);
	assert_int_equal(fill_end(w, d->uuid, 3, 1, 6, 3, 6), MX_ST_NEED_BITS);
	assert_int_equal(fill_end(w, d->uuid, 3, 2, 5, 3, 5), MX_ST_NEED_BITS);
	assert_int_equal(fill_end(w, d->uuid, 3, 1, 5, 3, 5), MX_OK);
	assert_int_equal(fill_end(w, d->uuid, 3, 1, 5, 3, 5), MX_OK);
	assert_version(w, d->uuid, 3, 5);
	assert_int_equal(h->bits.set, 5);
	assert_int_equal(bits(w, d->uuid, 3, 6, MX_BITS_SET, 1, list), MX_OK);
	/* a late BEGIN does not begin anew */
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_BEGIN, 0, NULL), MX_OK);
	assert_int_equal(fill(w, d->uuid, 3, 1, 4, MX_BITS_CHUNK, 0, chunk), MX_ST_NEED_BITS);
	/* a copy of an older version does not replace a newer one */
	assert_int_equal(fill(w, d->uuid, 4, 1, 0, MX_BITS_BEGIN, 0, NULL), MX_OK);
	assert_int_equal(fill_end(w, d->uuid, 4, 1, 0, 3, 5), MX_OK);
	assert_version(w, d->uuid, 3, 6);
	assert_int_equal(h->bits.set, 6);
	free(d);
	w_free(w);
}

/* ---- the caretaker ---- */

/* Servers know each other, and have done so long enough to act. */
static void acquaint(struct world *w, int n)
{
	int i, j;

	for (i = 1; i <= n; i++)
		for (j = 1; j <= n; j++)
			if (w->srv[i] && w->srv[j] && i != j)
				mx_ep_add_seed(mx_server_ep(w->srv[i]), &w->net.n[j].addr);
}

static struct world *care_up(int servers)
{
	struct world *w = up(servers);

	acquaint(w, servers);
	net_for(&w->net, 30 * MX_SEC);
	return w;
}

/* The newest descriptor any server has of the volume; NULL: none. */
static const struct mx_desc *newest(struct world *w, const u8 *uuid, int n)
{
	static struct mx_desc best, d;
	bool any = false;
	int i;

	for (i = 1; i <= n; i++) {
		struct mx_held *h = w->srv[i] ? mx_held_find(w->srv[i], uuid) : NULL;

		if (!h)
			continue;
		assert_true(mx_held_desc(w->srv[i], h, &d));
		if (!any || mx_desc_cmp(&d, &best) > 0)
			best = d;
		any = true;
	}
	return any ? &best : NULL;
}

static u32 holding(struct world *w, const u8 *uuid, int n)
{
	u32 k = 0;
	int i;

	for (i = 1; i <= n; i++)
		k += w->srv[i] && mx_held_find(w->srv[i], uuid);
	return k;
}

static u32 tombs(struct world *w, const u8 *uuid, int n)
{
	u32 k = 0;
	int i;

	for (i = 1; i <= n; i++) {
		struct mx_held *h = mx_held_find(w->srv[i], uuid);

		k += h && mx_ld32(h->desc + MX_DESC_STATE) == MX_VOL_DELETED;
	}
	return k;
}

/* A volume at holders 1..3, used by client 9 and given back. */
static struct mx_desc *care_volume(struct world *w, int enrolled)
{
	struct mx_desc *d = w_desc(w, "vm1", 7, 3);
	int i;

	d->nenrolled = 0;
	for (i = 1; i <= enrolled; i++)
		w_ref(w, &d->enrolled[d->nenrolled++], i);
	for (i = 1; i <= 3; i++)
		assert_int_equal(accept_by(w, i, d, 4, 9, 0, 9), MX_OK);
	return d;
}

static void care__healthy_volumes_are_left_alone(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);

	net_for(&w->net, 600 * MX_SEC);
	assert_int_equal(newest(w, d->uuid, 4)->epoch, 4);
	assert_int_equal(holding(w, d->uuid, 4), 3);
	free(d);
	w_free(w);
}

static void care__a_lost_holder_is_replaced(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);
	const struct mx_desc *now;
	static u8 list[4];

	mx_st32(list, 77);
	for (int i = 1; i <= 3; i++) {
		mx_held_find(w->srv[i], d->uuid)->bits.epoch = 4;	/* as adopted */
	}
	assert_int_equal(bits(w, d->uuid, 4, 1, MX_BITS_SET, 1, list), MX_OK);
	srv_stop(w, 3);
	net_for(&w->net, 300 * MX_SEC);
	now = newest(w, d->uuid, 4);
	assert_true(now->epoch > 4);
	assert_int_equal(now->nholders, 3);
	assert_true(mx_desc_holder(now, 104, 4000 + w->inc[4]) >= 0);
	assert_true(mx_desc_holder(now, 103, 3000 + w->inc[3]) < 0);
	assert_int_equal(now->owned, 0);
	assert_int_equal(now->last_writer, d->last_writer);
	assert_int_equal(holding(w, d->uuid, 4), 3);
	assert_int_equal(mx_held_find(w->srv[4], d->uuid)->bits.set, 1);
	/* once is enough */
	{
		u32 epoch = now->epoch;

		net_for(&w->net, 600 * MX_SEC);
		assert_int_equal(newest(w, d->uuid, 4)->epoch, epoch);
	}
	free(d);
	w_free(w);
}

static void care__a_restarted_holder_is_taken_in_again(void **state)
{
	struct world *w = care_up(3);
	struct mx_desc *d = care_volume(w, 2);
	struct mx_server_conf c;
	const struct mx_desc *now;

	srv_stop(w, 2);
	net_for(&w->net, 5 * MX_SEC);
	c = srv_conf(w, 2);
	assert_non_null(srv_start(w, 2, &c));
	acquaint(w, 3);
	assert_int_equal(prepare(w, 2, d->uuid, 5, 0, 1), MX_ST_NOT_HOLDER);
	net_for(&w->net, 300 * MX_SEC);
	now = newest(w, d->uuid, 3);
	assert_true(mx_desc_holder(now, 102, 2000 + w->inc[2]) >= 0);
	assert_int_equal(now->nholders, 3);
	assert_int_equal(holding(w, d->uuid, 3), 3);
	free(d);
	w_free(w);
}

static void care__not_beside_an_owner(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);
	u32 i;

	srv_stop(w, 3);
	for (i = 0; i < 60; i++) {
		assert_int_equal(lease(w, 1, d->uuid, 4, 10000, 9), MX_OK);
		assert_int_equal(lease(w, 2, d->uuid, 4, 10000, 9), MX_OK);
		net_for(&w->net, 5 * MX_SEC);
	}
	assert_int_equal(newest(w, d->uuid, 4)->epoch, 4);
	free(d);
	w_free(w);
}

static void care__no_server_to_take_the_place_no_claim(void **state)
{
	struct world *w = care_up(3);
	struct mx_desc *d = care_volume(w, 2);

	srv_stop(w, 3);
	net_for(&w->net, 900 * MX_SEC);
	assert_int_equal(newest(w, d->uuid, 3)->epoch, 4);
	free(d);
	w_free(w);
}

static void care__one_holder_becomes_three(void **state)
{
	struct world *w = care_up(3);
	struct mx_desc *d = w_desc(w, "vm1", 7, 1);

	assert_int_equal(accept_by(w, 1, d, 4, 9, 0, 9), MX_OK);
	net_for(&w->net, 200 * MX_SEC);
	assert_int_equal(newest(w, d->uuid, 3)->nholders, 3);
	assert_int_equal(holding(w, d->uuid, 3), 3);
	free(d);
	w_free(w);
}

/* The client died between the tombstone and the dropping. */
static void care__a_deletion_is_finished(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 4);
	u8 buf[4096] = { 1 };
	int i;

	for (i = 1; i <= 4; i++) {
		assert_int_equal(w_seal(w, i, d, 4), MX_OK);
		assert_int_equal(w_write(w, i, d->uuid, mx_num(4, (u64)i), 1, (u32)i, 0, 8, buf, 0), MX_OK);
	}
	d->state = MX_VOL_DELETED;
	/* at one holder only: not a majority yet */
	assert_int_equal(accept_by(w, 2, d, 5, 10, 0, 8), MX_OK);
	srv_stop(w, 4);		/* an enrolled server is away for now */
	for (i = 0; i < 400; i++) {
		net_for(&w->net, MX_SEC);
		/* Nothing is dropped before the tombstone has its majority. */
		if (mx_store_stats(mx_server_store(w->srv[1]))->pages == 0)
			assert_true(tombs(w, d->uuid, 3) >= 2);
	}
	assert_int_equal(holding(w, d->uuid, 4), 3);
	assert_int_equal(newest(w, d->uuid, 4)->state, MX_VOL_DELETED);
	for (i = 1; i <= 3; i++)
		assert_int_equal(mx_store_stats(mx_server_store(w->srv[i]))->pages, 0);
	{
		struct mx_server_conf c = srv_conf(w, 4);	/* comes back with nothing */

		assert_non_null(srv_start(w, 4, &c));
	}
	acquaint(w, 4);
	net_for(&w->net, 4000 * MX_SEC);
	assert_int_equal(holding(w, d->uuid, 4), 0);
	free(d);
	w_free(w);
}

/* Of a deletion that one holder has missed, which is away: the others remember. */
static void care__tombstones_wait_for_every_holder(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);
	struct mx_server_conf c;

	d->state = MX_VOL_DELETED;
	assert_int_equal(accept_by(w, 1, d, 5, 10, 0, 8), MX_OK);
	assert_int_equal(accept_by(w, 2, d, 5, 10, 0, 8), MX_OK);
	srv_stop(w, 3);
	net_for(&w->net, 600 * MX_SEC);
	assert_int_equal(tombs(w, d->uuid, 2), 2);
	c = srv_conf(w, 3);		/* comes back with nothing */
	assert_non_null(srv_start(w, 3, &c));
	acquaint(w, 4);
	net_for(&w->net, 4000 * MX_SEC);
	assert_int_equal(holding(w, d->uuid, 4), 0);
	free(d);
	w_free(w);
}

/* Ends server @i's life and begins another. */
static void restart(struct world *w, int i, int n)
{
	struct mx_server_conf c;

	srv_stop(w, i);
	net_for(&w->net, MX_SEC);
	c = srv_conf(w, i);
	assert_non_null(srv_start(w, i, &c));
	acquaint(w, n);
}

static void care__what_others_have_forgotten_is_dropped(void **state)
{
	struct world *w = care_up(3);
	struct mx_desc *d = care_volume(w, 2);

	d->state = MX_VOL_DELETED;
	assert_int_equal(accept_by(w, 1, d, 5, 10, 0, 8), MX_OK);
	assert_int_equal(accept_by(w, 2, d, 5, 10, 0, 8), MX_OK);
	assert_int_equal(w_drop(w, 1, MX_OP_FORGET, d->uuid, 5), MX_OK);
	assert_int_equal(w_drop(w, 2, MX_OP_FORGET, d->uuid, 5), MX_OK);
	/* 3 heard nothing of it, and no member shows anything wrong. */
	net_for(&w->net, 400 * MX_SEC);
	assert_int_equal(holding(w, d->uuid, 3), 0);
	free(d);
	w_free(w);

	/* Never created by a majority: 3 alone has version 1. */
	w = care_up(3);
	d = w_desc(w, "vm1", 7, 3);
	assert_int_equal(accept_by(w, 3, d, 1, 1, 0, 9), MX_OK);
	net_for(&w->net, 300 * MX_SEC);
	assert_int_equal(holding(w, d->uuid, 3), 0);
	free(d);
	w_free(w);
}

/* The other holders have restarted since; a server that dropped the volume's data
 * remembers. Without it nobody can tell, and the descriptor is kept. */
static void care__any_server_may_remember_a_deletion(void **state)
{
	int remembers;

	for (remembers = 0; remembers < 2; remembers++) {
		struct world *w = care_up(4);
		struct mx_desc *d = care_volume(w, 4);

		if (remembers) {
			assert_int_equal(w_seal(w, 4, d, 4), MX_OK);
			assert_int_equal(w_drop(w, 4, MX_OP_DROP_VOLUME, d->uuid, 5), MX_OK);
		}
		restart(w, 1, 4);
		restart(w, 2, 4);
		net_for(&w->net, 600 * MX_SEC);
		assert_int_equal(holding(w, d->uuid, 4), !remembers);
		free(d);
		w_free(w);
	}
}

/* 3 was replaced by 4 while it could not be told, and is back. */
static void care__a_holder_that_missed_its_end_lets_go(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);

	w_ref(w, &d->holders[2], 4);
	d->config++;
	assert_int_equal(accept_by(w, 4, d, 4, 10, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 1, d, 4, 10, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 2, d, 4, 10, 0, 9), MX_OK);
	assert_non_null(mx_held_find(w->srv[3], d->uuid));
	net_for(&w->net, 400 * MX_SEC);
	assert_null(mx_held_find(w->srv[3], d->uuid));
	assert_int_equal(holding(w, d->uuid, 4), 3);
	assert_int_equal(newest(w, d->uuid, 4)->epoch, 4);
	free(d);
	w_free(w);
}

static void care__former_holders_let_go(void **state)
{
	struct world *w = care_up(4);
	struct mx_desc *d = care_volume(w, 2);

	/* 3 is replaced by 4 while it is there; all four know. */
	w_ref(w, &d->holders[2], 4);
	d->config++;
	assert_int_equal(accept_by(w, 4, d, 4, 10, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 1, d, 4, 10, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 2, d, 4, 10, 0, 9), MX_OK);
	assert_int_equal(accept_by(w, 3, d, 4, 10, 0, 9), MX_OK);
	net_for(&w->net, 300 * MX_SEC);
	assert_null(mx_held_find(w->srv[3], d->uuid));
	assert_int_equal(holding(w, d->uuid, 4), 3);
	assert_int_equal(newest(w, d->uuid, 4)->epoch, 4);
	free(d);
	w_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(votes__table),
		cmocka_unit_test(votes__only_holders_are_made),
		cmocka_unit_test(deleted__only_admins_prepare_and_the_name_is_free),
		cmocka_unit_test(deleted__who_missed_it_lets_go),
		cmocka_unit_test(deleted__not_more_tombstones_than_so_many),
		cmocka_unit_test(lookup__two_uuids_of_one_name),
		cmocka_unit_test(reserve__is_kept_for_five_seconds),
		cmocka_unit_test(list__in_order_of_uuid_and_in_parts),
		cmocka_unit_test(bits__batches_follow_each_other),
		cmocka_unit_test(bits__filling_takes_the_place_at_its_end),
		cmocka_unit_test(care__healthy_volumes_are_left_alone),
		cmocka_unit_test(care__a_lost_holder_is_replaced),
		cmocka_unit_test(care__a_restarted_holder_is_taken_in_again),
		cmocka_unit_test(care__not_beside_an_owner),
		cmocka_unit_test(care__no_server_to_take_the_place_no_claim),
		cmocka_unit_test(care__one_holder_becomes_three),
		cmocka_unit_test(care__a_deletion_is_finished),
		cmocka_unit_test(care__tombstones_wait_for_every_holder),
		cmocka_unit_test(care__what_others_have_forgotten_is_dropped),
		cmocka_unit_test(care__any_server_may_remember_a_deletion),
		cmocka_unit_test(care__a_holder_that_missed_its_end_lets_go),
		cmocka_unit_test(care__former_holders_let_go),
	};

	return unit_main(argc, argv, tests);
}
