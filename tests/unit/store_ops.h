/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the model of store_model.h does to a store, step by step: requests made up at
 * random (or by a fuzzer), given to both, and what must come of them.
 */
#ifndef MEMX_TEST_STORE_OPS_H
#define MEMX_TEST_STORE_OPS_H

static u32 m_val(struct model *m)
{
	return m->pick(m, 3) ? 1 + m->pick(m, 1000) : 0;
}

static struct mx_svol *m_svol(struct model *m, u32 vi)
{
	struct m_vol *v = &m->vol[vi];
	struct mx_svol *sv = mx_svol_make(m->s, v->uuid);

	if (sv && !v->here) {
		v->here = true;
		v->floor = 0;
		memset(v->ext, 0, sizeof v->ext);
		v->seed = mx_crc32c(0xffffffff, v->uuid, 16);
	}
	return sv;
}

/* Mostly the generation there is; sometimes one above or below. */
static u32 m_gen(struct model *m, const struct m_ext *e)
{
	u32 gen = e->here ? e->gen : 1 + m->pick(m, 2);

	switch (m->pick(m, 24)) {
	case 0:
		return gen + 1;
	case 1:
		return gen > 1 ? gen - 1 : gen;
	default:
		return gen;
	}
}

static u64 m_num(struct model *m)
{
	u64 back = m->pick(m, 16) ? 0 : m->pick(m, 30);

	/* Sometimes an old number, but never one that another request has had. */
	m->seq += 1 + m->pick(m, 3);
	m->uniq++;
	return mx_num(1, (m->seq > back ? m->seq - back : 1) << 20 | (m->uniq & 0xfffff));
}

static u16 m_flags(struct model *m)
{
	return (u16)((m->pick(m, 2) ? MX_F_REPORT : 0) | (m->pick(m, 12) ? 0 : MX_F_LOSTBASE) |
		     (m->pick(m, 12) ? 0 : MX_F_INCOMING));
}

static void m_req_new(struct model *m, struct m_req *r)
{
	struct m_ext *e;
	u32 i, first, n, zero = m->pick(m, 6) == 0;

	memset(r, 0, sizeof *r);
	r->on = true;
	r->vol = m->pick(m, MV);
	r->ext = m->pick(m, ME);
	e = &m->vol[r->vol].ext[r->ext];
	if (m->pick(m, 3)) {	/* whole pages near each other */
		first = m->pick(m, 40) * 8;
		n = (1 + m->pick(m, 5)) * 8;
	} else {
		first = m->pick(m, 320);
		n = 1 + m->pick(m, 30);
	}
	r->w.num = m_num(m);
	r->w.gen = m_gen(m, e);
	r->w.extent = m_extno[r->ext];
	r->w.req_first = (u16)first;
	r->w.req_nblocks = (u16)n;
	memcpy(r->w.uuid, m->vol[r->vol].uuid, 16);
	r->flags = m_flags(m);
	for (i = 0; i < n; i++)
		r->val[i] = zero ? 0 : m_val(m);
}

/*
 * Memory is tight: refusals, and assemblies pushed out, cannot be foreseen. A page
 * of the real store may then be as it was, or as written if all of it was sent.
 */
static void m_expect_tight(struct model *m, struct m_req *r, const struct mx_write *w)
{
	struct mx_svol *sv = mx_svol_get(m->s, w->uuid);
	struct m_ext *e = &m->vol[r->vol].ext[r->ext];
	u32 page, i;

	for (page = w->first / 8; page <= (u32)(w->first + w->nblocks - 1) / 8; page++) {
		u8 need = m_mask(page, w->req_first, w->req_nblocks);
		struct mx_pageref ref;
		u32 val[8] = { 0 };
		bool done;
		u64 num;

		if (mx_store_read(sv, w->extent, w->gen, page, &ref) != MX_OK ||
		    ref.num != w->num)
			continue;
		M_CHECK(m_allowed(m, &m->vol[r->vol], e, r, page, need, &num, &done) == MX_OK);
		if (done)
			continue;
		for (i = 0; i < 8; i++) {
			u32 at = page * 8 + i - w->req_first;

			if (!(need >> i & 1))
				continue;
			M_CHECK(r->sent >> at & 1);
			val[i] = r->val[at];
		}
		m_commit(e, r, page, need, val);
	}
}

/* What the model says of each page of the fragment, until the real store stopped. */
static void m_expect_write(struct model *m, struct m_req *r, const struct mx_write *w, u64 bad,
			   enum mx_status got, const struct mx_wres *res)
{
	u32 page, p0 = w->first / 8, p1 = (w->first + w->nblocks - 1) / 8, first = 0, n = 0;
	u32 have = 0, have_at = 0;

	for (page = p0; page <= p1; page++) {
		u8 cov = m_mask(page, w->first, w->nblocks), h, need, badm = 0;
		u32 lo, i;
		enum mx_status st;
		u64 num = 0;

		need = m_mask(page, w->req_first, w->req_nblocks);
		lo = page * 8 > w->req_first ? page * 8 : w->req_first;
		for (i = 0; i < 8; i++)
			if ((cov >> i & 1) && (bad >> (page * 8 + i - w->first) & 1))
				badm |= (u8)(1 << i);
		st = m_write_page(m, r, page, cov, badm, &h, &num);
		if (st == MX_OK) {
			first = n ? first : lo;
			n += (u32)__builtin_popcount(need);
			continue;
		}
		if (st == MX_ST_PARTIAL) {
			if (h && !have) {
				have = h;
				have_at = lo;
			}
			if (n)
				break;
			continue;
		}
		M_CHECK(got == st);
		M_CHECK(res->first == lo);
		if (st == MX_ST_STALE || st == MX_ST_STALE_GEN)
			M_CHECK(res->num == num);
		return;
	}
	if (n) {
		M_CHECK(got == MX_OK && res->first == first && res->nblocks == n);
	} else if (have && (r->flags & MX_F_REPORT)) {
		M_CHECK(got == MX_ST_PARTIAL && res->first == have_at && res->have == have);
	} else {
		M_CHECK(got == MX_OK && res->nblocks == 0);
	}
}

static void m_deliver(struct model *m, struct m_req *r)
{
	static u8 head[MX_WRITE_FIXED + 64 * 4], payload[64 * 512];
	struct mx_svol *sv = m_svol(m, r->vol);
	struct mx_write w = r->w;
	struct mx_wres res;
	enum mx_status st;
	u64 bad = 0;
	u32 i;

	if (!sv)
		return;
	w.first = w.req_first;
	w.nblocks = w.req_nblocks;
	if (m->pick(m, 3)) {
		u32 skip = m->pick(m, w.req_nblocks);

		w.first = (u16)(w.first + skip);
		w.nblocks = (u16)(1 + m->pick(m, w.req_nblocks - skip));
	}
	for (i = 0; i < w.nblocks; i++) {
		u32 blk = w.first + i;

		m_block(r->val[blk - w.req_first], payload + i * 512);
		mx_st32(head + MX_WRITE_FIXED + i * 4,
			mx_crc32c(m_block_seed(&m->vol[r->vol], w.extent, blk),
				  payload + i * 512, 512));
	}
	if (m->pick(m, 40) == 0) {
		i = m->pick(m, w.nblocks);
		payload[i * 512 + m->pick(m, 512)] ^= (u8)(1 << m->pick(m, 8));
		bad |= 1ull << i;
	}
	for (i = 0; i < w.nblocks; i++)
		r->sent |= (u64)!(bad >> i & 1) << (w.first - w.req_first + i);
	m->tp.no_alloc = true;
	st = mx_store_write(sv, &w, r->attempt, r->flags, head, payload, &res);
	m->tp.no_alloc = false;
	m_short(m, st);
	if (m->tight)
		m_expect_tight(m, r, &w);
	else
		m_expect_write(m, r, &w, bad, st, &res);
	for (i = w.first / 8; i <= (u32)(w.first + w.nblocks - 1) / 8; i++)
		m_compare_page(m, r->vol, r->ext, i);
}

static void m_op_write(struct model *m)
{
	struct m_req *r = &m->req[m->pick(m, MREQ)];

	if (!r->on || m->pick(m, 8) == 0) {
		m_req_new(m, r);
	} else if (m->pick(m, 12) == 0) {
		r->attempt++;
		r->sent = 0;
	}
	m_deliver(m, r);
}

/* A page of a zero or discard; false: it is refused. */
static enum mx_status m_zero_page(struct m_vol *v, struct m_ext *e, u32 page, u8 zap, u64 num,
				  bool discard, bool *changed, u64 *stale)
{
	struct m_page *p = &e->page[page];
	u32 val[8], i;

	if (e->a[page].on && e->a[page].num <= num)
		e->a[page].on = false;
	for (i = 0; i < 8; i++)
		val[i] = zap >> i & 1 ? 0 : p->val[i];
	if (p->num >= num) {
		if (p->num > num && p->num > *stale)
			*stale = p->num;
		return MX_OK;
	}
	if (p->num) {
		m_set(e, page, num, val);
		*changed = true;
		return MX_OK;
	}
	if (e->flags & MX_EXT_LOSTBASE) {
		if (num <= v->floor) {
			*stale = v->floor > *stale ? v->floor : *stale;
			return MX_OK;
		}
		if (zap != 0xff)
			return discard ? MX_OK : MX_ST_LOST;
	} else if (num <= v->floor || num <= e->floor) {
		return MX_OK;
	} else if (!e->group[page / 16]) {
		e->floor = num;
		e->max = num > e->max ? num : e->max;
		*changed = true;
		return MX_OK;
	}
	m_set(e, page, num, val);
	*changed = true;
	return MX_OK;
}

static enum mx_status m_zero(struct model *m, struct m_vol *v, struct m_ext *e,
			     const struct mx_zero *z, u16 flags, bool *emptied, u64 *num)
{
	bool discard = flags & MX_F_DISCARD, changed = false, keep = flags & MX_F_KEEP;
	u32 page, lost = 0, data = 0;
	u64 stale = 0;

	*emptied = false;
	if (e->here && e->gen > z->gen) {
		*num = e->gen;
		return MX_ST_STALE_GEN;
	}
	if (!e->here || e->gen < z->gen) {
		if (discard && !(flags & (MX_F_LOSTBASE | MX_F_INCOMING))) {
			if (e->here)
				m_ext_free(v, e);
			v->floor = z->num > v->floor ? z->num : v->floor;
			*emptied = true;
			return MX_OK;
		}
		*num = v->floor;
		if (!e->here && z->num <= v->floor)
			return MX_ST_STALE;
		if (!e->here && m->closed)
			return MX_ST_LEAVING;
		m_ext_make(e, z->gen, flags);
	}
	for (page = z->first / 8; page <= (u32)(z->first + z->nblocks - 1) / 8; page++) {
		enum mx_status st = m_zero_page(v, e, page, m_mask(page, z->first, z->nblocks),
						z->num, discard, &changed, &stale);

		if (st != MX_OK)
			return st;
	}
	*num = stale;
	if (stale)
		return MX_ST_STALE;
	for (page = 0; page < 256; page++) {
		data += m_page_data(&e->page[page]);
		lost += (e->flags & MX_EXT_LOSTBASE) && !e->page[page].num;
	}
	if (discard && (changed || keep) && !data && !lost && !(e->flags & MX_EXT_INCOMING)) {
		e->max = z->num > e->max ? z->num : e->max;
		if (!keep)
			m_ext_free(v, e);
		*emptied = true;
	}
	return MX_OK;
}

static void m_op_zero(struct model *m)
{
	u32 vi = m->pick(m, MV), ei = m->pick(m, ME), i;
	struct m_ext *e = &m->vol[vi].ext[ei];
	struct mx_svol *sv = m_svol(m, vi);
	struct mx_zero z = { 0 };
	u64 num, want = 0;
	bool emptied, want_emptied;
	u16 flags = m_flags(m) & (u16)~MX_F_REPORT;
	enum mx_status st;

	if (!sv)
		return;
	flags |= m->pick(m, 3) ? MX_F_DISCARD : 0;
	flags |= m->pick(m, 3) ? 0 : MX_F_KEEP;
	memcpy(z.uuid, m->vol[vi].uuid, 16);
	z.extent = m_extno[ei];
	z.gen = m_gen(m, e);
	z.num = m_num(m);
	switch (m->pick(m, 4)) {
	case 0:
		z.nblocks = 2048;
		break;
	case 1:
		z.first = (u16)(m->pick(m, 64) * 8);
		z.nblocks = (u16)((1 + m->pick(m, 60)) * 8);
		break;
	default:
		z.first = (u16)m->pick(m, 400);
		z.nblocks = (u16)(1 + m->pick(m, 100));
	}
	m->tp.no_alloc = true;
	st = mx_store_zero(sv, &z, flags, &emptied, &num);
	m->tp.no_alloc = false;
	/* Refused half-way: what was done is found out by doing it again with room. */
	for (i = 0; m_short(m, st); i++) {
		M_CHECK(i < 100);
		m->tp.page_limit = 0;
		mx_store_set_ceiling(m->s, m->ceiling * 8);
		mx_store_work(m->s);
		st = mx_store_zero(sv, &z, flags, &emptied, &num);
		mx_store_set_ceiling(m->s, m->ceiling);
	}
	M_CHECK(st == m_zero(m, &m->vol[vi], e, &z, flags, &want_emptied, &want));
	M_CHECK(emptied == want_emptied);
	if (st == MX_ST_STALE || st == MX_ST_STALE_GEN)
		M_CHECK(num == want);
}

static void m_op_extent(struct model *m)
{
	u32 vi = m->pick(m, MV), ei = m->pick(m, ME);
	struct m_vol *v = &m->vol[vi];
	struct m_ext *e = &v->ext[ei];
	struct mx_svol *sv = m_svol(m, vi);
	u32 gen = m_gen(m, e);
	u64 num = m->pick(m, 4) ? 0 : m_num(m);

	if (!sv)
		return;
	if (m->pick(m, 2)) {
		M_CHECK(mx_store_commit_extent(sv, m_extno[ei], gen) ==
			(e->here && e->gen == gen ? MX_OK : MX_ST_STALE_GEN));
		if (e->here && e->gen == gen)
			e->flags &= (u16)~MX_EXT_INCOMING;
		return;
	}
	M_CHECK(mx_store_drop_extent(sv, m_extno[ei], gen, num) ==
		(e->here && e->gen > gen ? MX_ST_STALE_GEN : MX_OK));
	if (e->here && e->gen > gen)
		return;
	if (e->here)
		m_ext_free(v, e);
	v->floor = num > v->floor ? num : v->floor;
}

static void m_op_rare(struct model *m)
{
	u32 vi = m->pick(m, MV);
	struct mx_svol *sv;

	switch (m->pick(m, 12)) {
	case 0:
		sv = mx_svol_get(m->s, m->vol[vi].uuid);
		if (sv)
			mx_svol_drop(sv);
		memset(m->vol[vi].ext, 0, sizeof m->vol[vi].ext);
		m->vol[vi].here = false;
		break;
	case 1:
		sv = m_svol(m, vi);
		if (sv)
			mx_svol_set_desc(sv, m->vol[vi].uuid, 1 + m->pick(m, 16));
		break;
	case 2:
		if (m->tight)
			m->tp.page_limit = m->pick(m, 3) ? 0 : 1 + m->tp.pages;
		break;
	default:
		m_compare_extents(m, vi);
	}
}

static void m_step(struct model *m)
{
	u32 k = m->pick(m, 100);

	if (k < 60)
		m_op_write(m);
	else if (k < 75)
		m_op_zero(m);
	else if (k < 80)
		m_op_extent(m);
	else if (k < 84)
		m_op_rare(m);
	else
		m_compare_page(m, m->pick(m, MV), m->pick(m, ME), m->pick(m, 256));
	if (!m->tight || m->pick(m, 4) == 0)
		mx_store_work(m->s);
	if (m->tight && m->pick(m, 4) == 0)
		mx_store_age(m->s);
	if (m->pick(m, 8) == 0)
		m_check(m);
}

static bool m_init(struct model *m, u64 ceiling, bool tight)
{
	struct mx_store_conf c = { .ceiling = ceiling };
	u32 i;

	memset(m, 0, sizeof *m);
	tport_init(&m->tp);
	m->ceiling = ceiling;
	m->tight = tight;
	m->pick = m_pick_rng;
	if (tight) {
		c.assemblies_max = 16;
		c.reserve_pages = 16;
	}
	for (i = 0; i < MV; i++)
		memset(m->vol[i].uuid, (int)(i + 1), 16);
	m->s = mx_store_new(&m->tp.port, &c);
	return m->s != NULL;
}

static void m_fini(struct model *m)
{
	u32 i;

	for (i = 0; i < MV; i++)
		m_compare_extents(m, i);
	m_check(m);
	mx_store_free(m->s);
	M_CHECK(m->tp.alloc_bytes == 0 && m->tp.pages == 0);
}

#endif
