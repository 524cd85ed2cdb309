/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything the store counts, counted again. For tests and the simulator.
 */
#include "store_int.h"

struct tally {
	u64 pages, zero_pages, lost_pages, extents;
	u64 objs[MX_OBJ_KINDS];
};

static const char *check_group(const struct mx_ext *e, const struct mx_group *g, struct tally *t)
{
	u32 i, used = 0;

	for (i = 0; i < MX_GROUP_SLOTS; i++) {
		const struct mx_slot *sl = &g->slot[i];

		if (sl->data && !sl->num)
			return "a page without a number";
		if (sl->num > e->max)
			return "a number above its extent's highest";
		if (!sl->num)
			continue;
		used++;
		if (sl->data)
			t->pages++;
		else
			t->zero_pages++;
	}
	return used != g->used ? "a group's slots miscounted" : NULL;
}

static const char *check_extent(const struct mx_svol *v, const struct mx_ext *e, struct tally *t)
{
	u64 pages = t->pages, zeros = t->zero_pages;
	const char *why;
	u32 i;

	if (mx_ext_find(v, e->extent) != e)
		return "an extent is not found by its number";
	if (e->floor > e->max)
		return "an extent's floor above its highest number";
	for (i = 0; i < MX_GROUPS; i++) {
		if (!e->group[i])
			continue;
		t->objs[MX_OBJ_GROUP]++;
		why = check_group(e, e->group[i], t);
		if (why)
			return why;
	}
	pages = t->pages - pages;
	zeros = t->zero_pages - zeros;
	if (pages != e->ndata || pages + zeros != e->nslots)
		return "an extent's slots miscounted";
	if (e->flags & MX_EXT_LOSTBASE)
		t->lost_pages += MX_EXTENT_PAGES - e->nslots;
	t->extents++;
	t->objs[MX_OBJ_EXTENT]++;
	return NULL;
}

static const char *check_node(const struct mx_node64 *n, u32 shift, struct tally *t)
{
	u32 i, count = 0;

	t->objs[MX_OBJ_NODE]++;
	for (i = 0; i < MX_NODE_WAYS; i++) {
		const char *why;

		if (!n->child[i])
			continue;
		count++;
		why = shift ? check_node(n->child[i], shift - MX_NODE_BITS, t) : NULL;
		if (why)
			return why;
	}
	return count != n->count || !count ? "a tree node's children miscounted" : NULL;
}

static const char *check_vol(const struct mx_svol *v, struct tally *sum)
{
	struct tally t = { 0 };
	const struct mx_ext *e;
	const char *why;
	u32 i;

	for (e = mx_ext_next(v, 0); e; e = mx_ext_next(v, (u64)e->extent + 1)) {
		why = check_extent(v, e, &t);
		if (why)
			return why;
	}
	why = v->root ? check_node(v->root, v->bits - MX_NODE_BITS, &t) : NULL;
	if (why)
		return why;
	if (t.pages != v->pages || t.zero_pages != v->zero_pages ||
	    t.lost_pages != v->lost_pages || t.extents != v->extents)
		return "a volume's pages miscounted";
	sum->pages += t.pages;
	sum->zero_pages += t.zero_pages;
	sum->lost_pages += t.lost_pages;
	sum->extents += t.extents;
	for (i = 0; i < MX_OBJ_KINDS; i++)
		sum->objs[i] += t.objs[i];
	return NULL;
}

static const char *check_vols(struct mx_store *s, struct tally *t, u64 *vols)
{
	struct mx_list *n, *lists[2] = { &s->vols, &s->graves };
	const char *why;
	u32 i;

	for (i = 0; i < 2; i++) {
		mx_list_for_each(n, lists[i]) {
			struct mx_svol *v = mx_list_entry(n, struct mx_svol, node);

			why = check_vol(v, t);
			if (why)
				return why;
			if (i == 0 && mx_svol_get(s, v->uuid) != v)
				return "a volume is not found by its uuid";
			*vols += i == 0;
		}
	}
	return NULL;
}

const char *mx_store_check(struct mx_store *s)
{
	struct tally t = { 0 };
	u64 vols = 0, assembling = 0;
	const char *why = check_vols(s, &t, &vols);

	if (!why)
		why = mx_slab_check(s, t.objs);
	if (!why)
		why = mx_asm_check(s, &assembling);
	if (why)
		return why;
	if (vols != s->st.volumes || t.extents != s->st.extents || t.pages != s->st.pages ||
	    t.zero_pages != s->st.zero_pages || t.lost_pages != s->st.lost_pages)
		return "the store's sums are off";
	if (s->held != t.pages + assembling + s->nspares || s->st.data_bytes != s->held * MX_PAGE)
		return "pages got from the port and pages kept differ";
	return NULL;
}
