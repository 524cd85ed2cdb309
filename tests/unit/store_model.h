/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A naive store to compare the real one with: every block is one number, every
 * rule is written out, nothing is shared with core/. Operations are drawn from
 * a stream of choices, a random generator's or a fuzzer's.
 */
#ifndef MEMX_TESTS_STORE_MODEL_H
#define MEMX_TESTS_STORE_MODEL_H

#include "core/store.h"
#include "store_port.h"

#define MV	2u
#define ME	5u
#define MREQ	6u
static const u32 m_extno[ME] = { 0, 1, 63, 70000, (1u << 30) - 1 };

struct m_page { u64 num; u32 val[8]; };
struct m_asm { bool on; u32 gen; u64 num; u8 attempt, have, need; u32 val[8]; };
struct m_ext {
	bool here;
	u32 gen;
	u16 flags;
	u64 max, floor;
	bool group[16];
	struct m_page page[256];
	struct m_asm a[256];	/* also while the extent is not here */
};
struct m_vol { bool here; u8 uuid[16]; u32 seed; u64 floor; struct m_ext ext[ME]; };

struct m_req {			/* a write whose fragments are still being delivered */
	bool on;
	u32 vol, ext;
	struct mx_write w;	/* of the whole */
	u8 attempt;
	u16 flags;
	u64 sent;		/* blocks of this attempt that were ever delivered whole */
	u32 val[64];
};

struct model {
	struct tport tp;
	struct mx_store *s;
	struct m_vol vol[MV];
	struct m_req req[MREQ];
	u64 seq, uniq;
	bool closed;
	bool tight;		/* memory may run out: BUSY, FULL and evictions are expected */
	u64 refused;		/* how often it did */
	u64 ceiling;
	/* the stream of choices */
	u32 (*pick)(struct model *m, u32 n);
	u64 rng;
	const u8 *fuzz;
	size_t fuzz_left;
	bool over;		/* the stream has ended */
};

static u32 m_pick_rng(struct model *m, u32 n)
{
	return (u32)(trand(&m->rng) % n);
}

static void m_fail(const char *why, int line)
{
	fprintf(stderr, "store_model.h:%d: %s\n", line, why);
	abort();
}
#define M_CHECK(c) do { if (!(c)) m_fail(#c, __LINE__); } while (0)

static void m_block(u32 val, u8 *p)
{
	u32 i;

	for (i = 0; i < 128; i++)
		mx_st32(p + i * 4, val ? val * 2654435761u + i * (val | 1) : 0);
}

static bool m_page_data(const struct m_page *p)
{
	u32 i, any = 0;

	for (i = 0; i < 8; i++)
		any |= p->val[i];
	return p->num && any;
}

static u32 m_block_seed(const struct m_vol *v, u32 extent, u32 blk)
{
	return mx_block_seed(v->seed, (u64)extent * 2048 + blk);
}

static u8 m_mask(u32 page, u32 first, u32 n)
{
	u8 mask = 0;
	u32 i;

	for (i = 0; i < 8; i++)
		if (page * 8 + i >= first && page * 8 + i < first + n)
			mask |= (u8)(1 << i);
	return mask;
}

/* ---- what the store must come to ---- */

static void m_ext_clear(struct m_ext *e)
{
	u32 i;

	for (i = 0; i < 256; i++)
		if (e->a[i].on && e->a[i].gen <= e->gen)
			e->a[i].on = false;
	memset(e->page, 0, sizeof e->page);
	memset(e->group, 0, sizeof e->group);
	e->floor = 0;
}

static void m_ext_make(struct m_ext *e, u32 gen, u16 flags)
{
	if (e->here)
		m_ext_clear(e);
	else
		e->max = 0;
	e->here = true;
	e->gen = gen;
	e->flags = (flags & MX_F_LOSTBASE ? MX_EXT_LOSTBASE : 0) |
		   (flags & MX_F_INCOMING ? MX_EXT_INCOMING : 0);
}

static void m_ext_free(struct m_vol *v, struct m_ext *e)
{
	m_ext_clear(e);
	v->floor = e->max > v->floor ? e->max : v->floor;
	e->here = false;
}

static void m_set(struct m_ext *e, u32 page, u64 num, const u32 *val)
{
	e->page[page].num = num;
	memcpy(e->page[page].val, val, 32);
	e->group[page / 16] = true;
	if (num > e->max)
		e->max = num;
}

static void m_commit(struct m_ext *e, const struct m_req *r, u32 page, u8 need, const u32 *val)
{
	u32 all[8] = { 0 }, i;

	if (!e->here || e->gen < r->w.gen)
		m_ext_make(e, r->w.gen, r->flags);
	if (e->a[page].on && e->a[page].num <= r->w.num)
		e->a[page].on = false;
	for (i = 0; i < 8; i++)
		all[i] = need >> i & 1 ? val[i] : e->page[page].val[i];
	m_set(e, page, r->w.num, all);
}

static enum mx_status m_allowed(struct model *m, struct m_vol *v, struct m_ext *e,
				const struct m_req *r, u32 page, u8 need, u64 *num, bool *done)
{
	bool same = e->here && e->gen == r->w.gen;
	struct m_page *p = same && e->page[page].num ? &e->page[page] : NULL;
	u64 floor = same && e->floor > v->floor ? e->floor : v->floor;

	*done = false;
	if (e->here && r->w.gen < e->gen) {
		*num = e->gen;
		return MX_ST_STALE_GEN;
	}
	*num = p ? p->num : floor;
	if (p ? r->w.num < p->num : r->w.num <= floor)
		return MX_ST_STALE;
	*done = p && r->w.num == p->num;
	if (*done)
		return MX_OK;
	if (!p && need != 0xff && (same ? e->flags & MX_EXT_LOSTBASE : r->flags & MX_F_LOSTBASE))
		return MX_ST_LOST;
	if (m->closed && !e->here)
		return MX_ST_LEAVING;
	return MX_OK;
}

/* One page's share of a fragment. *have: what PARTIAL reports, 0: nothing. */
static enum mx_status m_write_page(struct model *m, struct m_req *r, u32 page, u8 cov, u8 bad,
				   u8 *have, u64 *num)
{
	struct m_vol *v = &m->vol[r->vol];
	struct m_ext *e = &v->ext[r->ext];
	struct m_asm *a = &e->a[page];
	u8 need = m_mask(page, r->w.req_first, r->w.req_nblocks);
	u32 val[8] = { 0 }, i;
	enum mx_status st;
	bool done;
	int cmp;

	*have = 0;
	for (i = 0; i < 8; i++)
		if (need >> i & 1)
			val[i] = r->val[page * 8 + i - r->w.req_first];
	st = m_allowed(m, v, e, r, page, need, num, &done);
	if (st != MX_OK || done)
		return st;
	if (cov == need) {
		if (bad)
			return MX_ST_BAD_CRC;
		m_commit(e, r, page, need, val);
		return MX_OK;
	}
	cmp = !a->on ? 1 : r->w.gen != a->gen ? (r->w.gen > a->gen ? 1 : -1) :
	      r->w.num != a->num ? (r->w.num > a->num ? 1 : -1) :
	      r->attempt != a->attempt ? ((u8)(r->attempt - a->attempt) < 128 ? 1 : -1) : 0;
	if (cmp < 0)
		return MX_ST_PARTIAL;
	if (cmp > 0)
		*a = (struct m_asm){ .on = true, .gen = r->w.gen, .num = r->w.num,
				     .attempt = r->attempt, .need = need };
	for (i = 0; i < 8; ) {	/* runs of blocks still missing are taken whole or not at all */
		u32 from = i;
		u8 run = 0;

		while (i < 8 && (cov & (u8)~a->have) >> i & 1)
			run |= (u8)(1 << i++);
		if (run & bad)
			return MX_ST_BAD_CRC;
		for (; from < i; from++)
			a->val[from] = val[from];
		a->have |= run;
		i += !run;
	}
	if (a->have == a->need) {
		u32 got[8];

		memcpy(got, a->val, sizeof got);
		m_commit(e, r, page, need, got);
		return MX_OK;
	}
	*have = a->have;
	return MX_ST_PARTIAL;
}

/* ---- comparing ---- */

static void m_compare_page(struct model *m, u32 vi, u32 ei, u32 page)
{
	struct m_vol *v = &m->vol[vi];
	struct m_ext *e = &v->ext[ei];
	struct mx_svol *sv = mx_svol_get(m->s, v->uuid);
	struct mx_pageref ref;
	struct m_page *p = &e->page[page];
	u8 buf[512];
	u32 i;

	M_CHECK((sv != NULL) == v->here);
	if (!sv)
		return;
	if (e->here && e->gen > 1)
		M_CHECK(mx_store_read(sv, m_extno[ei], e->gen - 1, page, &ref) == MX_ST_STALE_GEN);
	if (e->here) {
		M_CHECK(mx_store_read(sv, m_extno[ei], e->gen + 1, page, &ref) == MX_OK);
		M_CHECK(ref.kind == MX_PAGE_HOLE);
	}
	M_CHECK(mx_store_read(sv, m_extno[ei], e->gen, page, &ref) == MX_OK);
	if (!e->here || !p->num) {
		bool lost = e->here && (e->flags & MX_EXT_LOSTBASE);

		M_CHECK(ref.kind == (lost ? MX_PAGE_LOST : MX_PAGE_HOLE));
		return;
	}
	M_CHECK(ref.num == p->num);
	M_CHECK(ref.kind == (m_page_data(p) ? MX_PAGE_DATA : MX_PAGE_ZERO));
	for (i = 0; ref.data && i < 8; i++) {
		m_block(p->val[i], buf);
		M_CHECK(memcmp(buf, ref.data + i * 512, 512) == 0);
		M_CHECK(ref.crcs[i] == mx_crc32c(m_block_seed(v, m_extno[ei], page * 8 + i),
						 buf, 512));
	}
}

static void m_compare_extents(struct model *m, u32 vi)
{
	struct m_vol *v = &m->vol[vi];
	struct mx_svol *sv = mx_svol_get(m->s, v->uuid);
	struct mx_extinfo info;
	u32 i, j, from = 0, n;
	u8 kinds[64];

	if (!sv)
		return;
	for (i = 0; i < ME; i++) {
		struct m_ext *e = &v->ext[i];

		if (!e->here)
			continue;
		M_CHECK(mx_svol_next_extent(sv, from, &info));
		mx_store_blkstat(sv, m_extno[i], e->gen, kinds);
		for (j = n = 0; j < 256; j++) {
			u32 kind = m_page_data(&e->page[j]) ? MX_PAGE_DATA :
				   e->page[j].num ? MX_PAGE_ZERO :
				   e->flags & MX_EXT_LOSTBASE ? MX_PAGE_LOST : MX_PAGE_HOLE;

			M_CHECK((kinds[j / 4] >> (j % 4 * 2) & 3) == kind);
			n += kind == MX_PAGE_DATA;
		}
		M_CHECK(info.extent == m_extno[i] && info.gen == e->gen && info.pages == n &&
			info.flags == e->flags && info.num == e->max);
		from = info.extent + 1;
	}
	M_CHECK(!mx_svol_next_extent(sv, from, &info));
}

static void m_check(struct model *m)
{
	const struct mx_store_stats *st = mx_store_stats(m->s);
	const char *why = mx_store_check(m->s);

	if (why)
		m_fail(why, __LINE__);
	M_CHECK(st->meta_bytes == m->tp.alloc_bytes);
	M_CHECK(st->data_bytes == m->tp.pages * 4096);
	if (st->ceiling >= m->ceiling)
		M_CHECK(st->meta_bytes + st->data_bytes <= m->ceiling);
}

static bool m_short(struct model *m, enum mx_status st)
{
	if (st != MX_ST_BUSY && st != MX_ST_FULL)
		return false;
	if (!m->tight)
		m_fail("refused with memory to spare", __LINE__);
	m->refused++;
	return true;
}

#include "store_ops.h"

#endif
