/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that come in fragments. One assembly per page: the newest write's. The
 * table is bounded; who starts one more than it holds pushes out the one that was
 * touched longest ago, whose sender then sends all of that page again.
 */
#include "store_int.h"

bool mx_asm_init(struct mx_store *s, u32 n)
{
	u32 buckets = 1, i;

	while (buckets < n)
		buckets *= 2;
	mx_list_init(&s->asm_lru);
	mx_list_init(&s->asm_free);
	s->asms = mx_meta_alloc(s, (u64)n * sizeof *s->asms, false);
	s->asm_bucket = mx_meta_alloc(s, (u64)buckets * sizeof *s->asm_bucket, false);
	if (s->asms)
		s->nasms = n;
	if (s->asm_bucket)
		s->asm_mask = buckets - 1;
	if (!s->asms || !s->asm_bucket) {
		mx_asm_fini(s);
		return false;
	}
	for (i = 0; i < n; i++)
		mx_list_add_tail(&s->asm_free, &s->asms[i].node);
	return true;
}

void mx_asm_fini(struct mx_store *s)
{
	mx_meta_free(s, s->asms, (u64)s->nasms * sizeof *s->asms);
	mx_meta_free(s, s->asm_bucket, ((u64)s->asm_mask + 1) * sizeof *s->asm_bucket);
	s->asms = NULL;
	s->asm_bucket = NULL;
}

static u32 *asm_chain(const struct mx_svol *v, u32 extent, u32 page)
{
	u64 h = ((u64)v->seed << 32 ^ (u64)extent << 8 ^ page) * 0x9e3779b97f4a7c15ull;

	return &v->store->asm_bucket[h >> 32 & v->store->asm_mask];
}

static struct mx_asm *asm_find(const struct mx_svol *v, u32 extent, u32 page)
{
	struct mx_store *s = v->store;
	u32 i;

	for (i = *asm_chain(v, extent, page); i; i = s->asms[i - 1].next) {
		struct mx_asm *a = &s->asms[i - 1];

		if (a->vol == v && a->extent == extent && a->page == page)
			return a;
	}
	return NULL;
}

/* Out of the table; its page is the caller's. */
static u8 *asm_detach(struct mx_asm *a)
{
	struct mx_svol *v = a->vol;
	struct mx_store *s = v->store;
	u32 *at = asm_chain(v, a->extent, a->page);

	while (*at != (u32)(a - s->asms) + 1)
		at = &s->asms[*at - 1].next;
	*at = a->next;
	mx_list_del(&a->node);
	mx_list_add_head(&s->asm_free, &a->node);
	v->nasm--;
	s->over -= a->over;
	a->vol = NULL;
	return a->data;
}

static void asm_drop(struct mx_asm *a)
{
	struct mx_store *s = a->vol->store;

	mx_page_release(s, asm_detach(a));
}

/* Between one and two seconds. */
#define ASM_OLD	2u

/* One that was added to a moment ago is about to be complete: were it to give way,
 * a request of more pages than there are assemblies would drive out its own for ever. */
bool mx_asm_evict(struct mx_store *s)
{
	struct mx_asm *a;

	if (mx_list_empty(&s->asm_lru))
		return false;
	a = mx_list_entry(s->asm_lru.next, struct mx_asm, node);
	if (s->era - a->era < ASM_OLD)
		return false;
	asm_drop(a);
	return true;
}

void mx_asm_drop_page(struct mx_svol *v, u32 extent, u32 page, u64 num)
{
	struct mx_asm *a = asm_find(v, extent, page);

	if (a && a->num <= num)
		asm_drop(a);
}

void mx_asm_drop_extent(struct mx_svol *v, u32 extent, u32 gen)
{
	u32 page;

	for (page = 0; v->nasm && page < MX_EXTENT_PAGES; page++) {
		struct mx_asm *a = asm_find(v, extent, page);

		if (a && a->gen <= gen)
			asm_drop(a);
	}
}

void mx_asm_drop_vol(struct mx_svol *v)
{
	struct mx_list *n, *t;

	mx_list_for_each_safe(n, t, &v->store->asm_lru) {
		struct mx_asm *a = mx_list_entry(n, struct mx_asm, node);

		if (a->vol == v)
			asm_drop(a);
	}
}

static enum mx_status asm_new(struct mx_wpage *p, struct mx_asm **out)
{
	struct mx_svol *v = p->v;
	struct mx_store *s = v->store;
	struct mx_asm *a;
	enum mx_status st;
	u32 *chain;
	bool over;
	u8 *data;

	if (mx_list_empty(&s->asm_free) && !mx_asm_evict(s)) {
		s->st.busy++;
		return MX_ST_BUSY;
	}
	st = mx_page_take(s, p->old && p->old->data, &data, &over);
	if (st != MX_OK)
		return st;
	a = mx_list_entry(s->asm_free.next, struct mx_asm, node);
	mx_list_del(&a->node);
	mx_list_add_tail(&s->asm_lru, &a->node);
	a->vol = v;
	a->extent = p->w->extent;
	a->page = p->page;
	a->data = data;
	a->over = over;
	s->over += over;
	v->nasm++;
	chain = asm_chain(v, a->extent, a->page);
	a->next = *chain;
	*chain = (u32)(a - s->asms) + 1;
	*out = a;
	return MX_OK;
}

/* Is what @p belongs to newer (> 0), older, or the same attempt at the same write? */
static int asm_cmp(const struct mx_wpage *p, const struct mx_asm *a)
{
	if (p->w->gen != a->gen)
		return p->w->gen > a->gen ? 1 : -1;
	if (p->w->num != a->num)
		return p->w->num > a->num ? 1 : -1;
	if (p->attempt != a->attempt)
		return (u8)(p->attempt - a->attempt) < 128 ? 1 : -1;
	return 0;
}

/* Takes the fragment's blocks that are still missing, run by run: what is there
 * and verified is not written over. */
static bool asm_add(struct mx_wpage *p, struct mx_asm *a)
{
	u32 i = p->first, end = p->first + p->n;

	while (i < end) {
		u32 from = i, off;

		while (i < end && !(a->have >> i & 1))
			i++;
		if (i == from) {
			i++;
			continue;
		}
		off = from - p->first;
		if (!mx_take_blocks(p->v, a->extent, p->page * MX_PAGE_BLOCKS + from, i - from,
				    a->data + from * MX_BLOCK, p->src + off * MX_BLOCK, p->head,
				    p->crc_at + off, a->crc + from))
			return false;
		a->have |= (u8)(((1u << (i - from)) - 1) << from);
	}
	return true;
}

static void asm_commit(struct mx_wpage *p, struct mx_asm *a)
{
	struct mx_store *s = p->v->store;
	u32 crcs[MX_PAGE_BLOCKS];
	u8 *data;

	memcpy(crcs, a->crc, sizeof crcs);
	data = asm_detach(a);
	if (p->need != 0xff)
		mx_fill_rest(p->v, p->w->extent, p->page, p->old, p->need, data, crcs);
	if (mx_is_zero(data, MX_PAGE)) {
		mx_page_release(s, data);
		data = NULL;
	}
	mx_wpage_commit(p, data, crcs);
}

enum mx_status mx_asm_write(struct mx_wpage *p, u32 *have)
{
	struct mx_asm *a = asm_find(p->v, p->w->extent, p->page);
	int cmp = a ? asm_cmp(p, a) : 1;
	enum mx_status st;

	*have = 0;
	if (cmp < 0)
		return MX_ST_PARTIAL;	/* late: its sender has gone on */
	if (!a) {
		st = asm_new(p, &a);
		if (st != MX_OK)
			return st;
	}
	if (cmp > 0) {
		a->gen = p->w->gen;
		a->num = p->w->num;
		a->attempt = p->attempt;
		a->need = p->need;
		a->have = 0;
	} else if (a->need != p->need) {
		return MX_ST_INVALID;	/* one number stands for one request */
	}
	mx_list_del(&a->node);
	mx_list_add_tail(&p->v->store->asm_lru, &a->node);
	a->era = p->v->store->era;
	if (!asm_add(p, a))
		return MX_ST_BAD_CRC;
	if (a->have == a->need) {
		asm_commit(p, a);
		return MX_OK;
	}
	*have = a->have;
	return MX_ST_PARTIAL;
}

/* The page has a newer write, or its extent a newer generation. */
static bool asm_is_old(const struct mx_asm *a)
{
	const struct mx_ext *e = mx_ext_find(a->vol, a->extent);
	const struct mx_slot *sl = e ? mx_slot_find(e, a->page) : NULL;

	if (!e || e->gen < a->gen)
		return false;
	return e->gen > a->gen || (sl && sl->num >= a->num);
}

const char *mx_asm_check(struct mx_store *s, u64 *pages)
{
	struct mx_list *n;
	u32 free_n = 0, busy_n = 0, over = 0;

	mx_list_for_each(n, &s->asm_free) {
		free_n++;
		if (mx_list_entry(n, struct mx_asm, node)->vol)
			return "a free assembly has a volume";
	}
	mx_list_for_each(n, &s->asm_lru) {
		struct mx_asm *a = mx_list_entry(n, struct mx_asm, node);

		busy_n++;
		over += a->over;
		if (!a->vol || asm_find(a->vol, a->extent, a->page) != a)
			return "an assembly is not found by its key";
		if (a->have & ~a->need || a->have == a->need)
			return "an assembly's bitmap is off";
		if (asm_is_old(a))
			return "an assembly that can come to nothing";
	}
	if (free_n + busy_n != s->nasms)
		return "assemblies lost";
	if (over != s->over)
		return "pages of the reserve miscounted";
	*pages = busy_n;
	return NULL;
}
