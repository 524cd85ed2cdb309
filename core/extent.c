/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extents of a volume: a radix tree by extent number (found in at most five
 * steps, in order for listings, grows a node at a time), and the slots in them.
 */
#include "store_int.h"

struct mx_ext *mx_ext_find(const struct mx_svol *v, u32 extent)
{
	void *at = v->root;
	u32 shift = v->bits;

	if (!at || (u64)extent >> v->bits)
		return NULL;
	while (shift && at) {
		shift -= MX_NODE_BITS;
		at = ((struct mx_node64 *)at)->child[extent >> shift & (MX_NODE_WAYS - 1)];
	}
	return at;
}

/* The first extent numbered @from or above. */
struct mx_ext *mx_ext_next(const struct mx_svol *v, u64 from)
{
	while (v->root && !(from >> v->bits)) {
		struct mx_node64 *n = v->root;
		u32 shift = v->bits;

		for (;;) {
			u32 i;

			shift -= MX_NODE_BITS;
			i = (u32)(from >> shift) & (MX_NODE_WAYS - 1);
			for (; i < MX_NODE_WAYS && !n->child[i]; i++)
				from = ((from >> shift) + 1) << shift;
			if (i == MX_NODE_WAYS)
				break;	/* carried: down again from the root */
			if (!shift)
				return n->child[i];
			n = n->child[i];
		}
	}
	return NULL;
}

enum mx_status mx_ext_ready(struct mx_svol *v, const struct mx_ext *e, u32 page)
{
	if (e && e->group[page / MX_GROUP_SLOTS])
		return MX_OK;
	return mx_slab_ready(v->store, 1, !e, e ? 0 : MX_TREE_BITS / MX_NODE_BITS);
}

static void tree_insert(struct mx_svol *v, struct mx_ext *e)
{
	struct mx_store *s = v->store;
	struct mx_node64 *n;
	u32 shift;

	while (!v->root || (u64)e->extent >> v->bits) {
		n = mx_slab_get(s, MX_OBJ_NODE);
		if (v->root) {
			n->child[0] = v->root;
			n->count = 1;
			v->bits += MX_NODE_BITS;
		} else {
			for (v->bits = MX_NODE_BITS; e->extent >> v->bits; )
				v->bits += MX_NODE_BITS;
		}
		v->root = n;
	}
	n = v->root;
	for (shift = v->bits - MX_NODE_BITS; ; shift -= MX_NODE_BITS) {
		void **at = &n->child[e->extent >> shift & (MX_NODE_WAYS - 1)];

		if (!*at) {
			*at = shift ? mx_slab_get(s, MX_OBJ_NODE) : (void *)e;
			n->count++;
		}
		if (!shift)
			return;
		n = *at;
	}
}

static void tree_remove(struct mx_svol *v, u32 extent)
{
	struct mx_node64 *path[MX_TREE_BITS / MX_NODE_BITS], *n = v->root;
	u32 shift = v->bits, depth = 0;

	while (shift) {
		shift -= MX_NODE_BITS;
		path[depth++] = n;
		n = n->child[extent >> shift & (MX_NODE_WAYS - 1)];
	}
	while (depth--) {
		n = path[depth];
		n->child[extent >> shift & (MX_NODE_WAYS - 1)] = NULL;
		shift += MX_NODE_BITS;
		if (--n->count)
			return;
		mx_slab_put(v->store, MX_OBJ_NODE, n);
	}
	v->root = NULL;
	v->bits = 0;
}

static void lost_count(struct mx_svol *v, u64 add, u64 sub)
{
	v->lost_pages += add - sub;
	v->store->st.lost_pages += add - sub;
}

static void group_free(struct mx_svol *v, struct mx_ext *e, struct mx_group *g)
{
	struct mx_store *s = v->store;
	u32 i;

	for (i = 0; i < MX_GROUP_SLOTS; i++) {
		struct mx_slot *sl = &g->slot[i];

		if (!sl->num)
			continue;
		e->nslots--;
		if (sl->data) {
			mx_page_release(s, sl->data);
			e->ndata--;
			v->pages--;
			s->st.pages--;
		} else {
			v->zero_pages--;
			s->st.zero_pages--;
		}
	}
	mx_slab_put(s, MX_OBJ_GROUP, g);
}

static void ext_clear(struct mx_svol *v, struct mx_ext *e)
{
	u32 i;

	mx_asm_drop_extent(v, e->extent, e->gen);
	if (e->flags & MX_EXT_LOSTBASE)
		lost_count(v, 0, MX_EXTENT_PAGES - e->nslots);
	for (i = 0; i < MX_GROUPS; i++) {
		if (e->group[i])
			group_free(v, e, e->group[i]);
		e->group[i] = NULL;
	}
}

struct mx_ext *mx_ext_make(struct mx_svol *v, struct mx_ext *old, u32 extent, u32 gen, u16 flags)
{
	struct mx_store *s = v->store;
	struct mx_ext *e = old;

	if (old) {
		ext_clear(v, old);
		old->floor = 0;
	} else {
		e = mx_slab_get(s, MX_OBJ_EXTENT);
		e->extent = extent;
		tree_insert(v, e);
		v->extents++;
		s->st.extents++;
	}
	/* Of generations that are over nothing can come any more. */
	if (gen)
		mx_asm_drop_extent(v, extent, gen - 1);
	e->gen = gen;
	e->flags = (flags & MX_F_LOSTBASE ? MX_EXT_LOSTBASE : 0) |
		   (flags & MX_F_INCOMING ? MX_EXT_INCOMING : 0);
	if (e->flags & MX_EXT_LOSTBASE)
		lost_count(v, MX_EXTENT_PAGES, 0);
	return e;
}

void mx_ext_free(struct mx_svol *v, struct mx_ext *e)
{
	ext_clear(v, e);
	v->floor = mx_max_u64(v->floor, e->max);
	tree_remove(v, e->extent);
	mx_slab_put(v->store, MX_OBJ_EXTENT, e);
	v->extents--;
	v->store->st.extents--;
}

void mx_slot_set(struct mx_svol *v, struct mx_ext *e, u32 page, u8 *data, u64 num,
		 const u32 *crcs)
{
	struct mx_store *s = v->store;
	struct mx_group **g = &e->group[page / MX_GROUP_SLOTS];
	struct mx_slot *sl;
	int pages = data != NULL, zeros = data == NULL;

	if (!*g)
		*g = mx_slab_get(s, MX_OBJ_GROUP);
	sl = &(*g)->slot[page % MX_GROUP_SLOTS];
	if (!sl->num) {
		(*g)->used++;
		e->nslots++;
		if (e->flags & MX_EXT_LOSTBASE)
			lost_count(v, 0, 1);
	} else if (sl->data) {
		mx_page_release(s, sl->data);
		pages--;
	} else {
		zeros--;
	}
	sl->data = data;
	sl->num = num;
	if (data)
		memcpy(sl->crc, crcs, sizeof sl->crc);
	e->max = mx_max_u64(e->max, num);
	e->ndata = (u16)(e->ndata + pages);
	v->pages += (u64)(s64)pages;
	s->st.pages += (u64)(s64)pages;
	v->zero_pages += (u64)(s64)zeros;
	s->st.zero_pages += (u64)(s64)zeros;
}
