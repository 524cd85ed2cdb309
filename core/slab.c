/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where slots, extents and tree nodes come from.
 *
 * A write must not ask its surroundings for memory (it may run where that is
 * not allowed, and the machine may be out of it because of what we are the swap
 * of). So a number of chunks is kept ahead, and filled up by mx_store_work()
 * between datagrams; a write that finds none is answered BUSY. Chunks that
 * become wholly free serve any kind of object, and go back to the port when
 * half as many again as wanted are free.
 */
#include "store_int.h"

#define CHUNK_HEAD	((sizeof(struct mx_chunk) + 7) & ~(size_t)7)
#define CHUNKS_LOW_MIN	4u
#define CHUNKS_LOW_MAX	128u
#define CHUNK_PAGES	32u	/* a chunk ahead is worth it for so many pages yet to come */

static const u32 obj_size[MX_OBJ_KINDS] = {
	[MX_OBJ_GROUP] = sizeof(struct mx_group),
	[MX_OBJ_EXTENT] = (sizeof(struct mx_ext) + 7) & ~7u,
	[MX_OBJ_NODE] = sizeof(struct mx_node64),
};

void *mx_meta_alloc(struct mx_store *s, u64 bytes, bool vital)
{
	u64 more = vital ? mx_store_vital(s) : 0;
	void *p;

	if (mx_store_room(s) + more < bytes)
		return NULL;
	p = s->port->alloc(s->port->ctx, bytes);
	if (p)
		s->st.meta_bytes += bytes;
	return p;
}

void mx_meta_free(struct mx_store *s, void *p, u64 bytes)
{
	if (!p)
		return;
	s->port->free(s->port->ctx, p, bytes);
	s->st.meta_bytes -= bytes;
}

static u32 per_chunk(enum mx_obj_kind kind)
{
	return (u32)(MX_CHUNK - CHUNK_HEAD) / obj_size[kind];
}

void mx_slab_init(struct mx_store *s)
{
	u32 i;

	mx_list_init(&s->free_chunks);
	for (i = 0; i < MX_OBJ_KINDS; i++)
		mx_list_init(&s->partial[i]);
	/* A thousandth of the store, so that it stays within the share that
	 * bookkeeping may have. */
	s->chunks_low = (u32)mx_min_u64(mx_max_u64(s->st.ceiling >> 24, CHUNKS_LOW_MIN),
					CHUNKS_LOW_MAX);
}

static void chunk_free_first(struct mx_store *s)
{
	struct mx_list *n = s->free_chunks.next;

	mx_list_del(n);
	s->nfree_chunks--;
	mx_meta_free(s, mx_list_entry(n, struct mx_chunk, node), MX_CHUNK);
}

void mx_slab_fini(struct mx_store *s)
{
	while (!mx_list_empty(&s->free_chunks))
		chunk_free_first(s);
}

/* Fewer as the store fills, so that the last room is for data: what is ahead would
 * never be used. But what a write was refused for is had. */
static u32 chunks_wanted(const struct mx_store *s)
{
	u64 useful = 1 + mx_store_room(s) / (CHUNK_PAGES * MX_PAGE);

	return mx_max_u32((u32)mx_min_u64(s->chunks_low, useful), s->chunks_short);
}

bool mx_slab_wants_work(const struct mx_store *s)
{
	u32 want = chunks_wanted(s);

	return (s->nfree_chunks < want && mx_store_room(s) >= MX_CHUNK) ||
	       s->nfree_chunks > want * 3 / 2;
}

bool mx_slab_work(struct mx_store *s)
{
	while (s->nfree_chunks < chunks_wanted(s) && mx_store_room(s) >= MX_CHUNK) {
		struct mx_chunk *c = mx_meta_alloc(s, MX_CHUNK, false);

		if (!c)
			return true;
		mx_list_add_tail(&s->free_chunks, &c->node);
		s->nfree_chunks++;
	}
	/* What goes back makes room, and with it more may be wanted: never all of it. */
	while (s->nfree_chunks > chunks_wanted(s) * 3 / 2)
		chunk_free_first(s);
	return false;
}

/* Cuts a free chunk into objects of @kind. */
static struct mx_chunk *chunk_carve(struct mx_store *s, enum mx_obj_kind kind)
{
	struct mx_chunk *c;
	u32 i, n = per_chunk(kind), off = CHUNK_HEAD;

	if (mx_list_empty(&s->free_chunks))
		return NULL;
	c = mx_list_entry(s->free_chunks.next, struct mx_chunk, node);
	mx_list_del(&c->node);
	s->nfree_chunks--;
	c->kind = (u8)kind;
	c->first = (u16)off;
	c->nfree = c->ntotal = (u16)n;
	for (i = 0; i < n; i++, off += obj_size[kind]) {
		struct mx_obj *o = (struct mx_obj *)((u8 *)c + off);

		o->off = (u16)off;
		o->next = i + 1 < n ? (u16)(off + obj_size[kind]) : 0;
	}
	mx_list_add_head(&s->partial[kind], &c->node);
	s->nfree[kind] += n;
	return c;
}

void *mx_slab_get(struct mx_store *s, enum mx_obj_kind kind)
{
	struct mx_chunk *c;
	struct mx_obj *o;
	u16 off;

	if (!mx_list_empty(&s->partial[kind]))
		c = mx_list_entry(s->partial[kind].next, struct mx_chunk, node);
	else
		c = chunk_carve(s, kind);
	if (!c)
		return NULL;
	off = c->first;
	o = (struct mx_obj *)((u8 *)c + off);
	c->first = o->next;
	s->nfree[kind]--;
	if (--c->nfree == 0)
		mx_list_del(&c->node);
	memset(o, 0, obj_size[kind]);
	o->off = off;
	return o;
}

void mx_slab_put(struct mx_store *s, enum mx_obj_kind kind, void *obj)
{
	struct mx_obj *o = obj;
	struct mx_chunk *c = (struct mx_chunk *)((u8 *)obj - o->off);

	o->next = c->first;
	c->first = o->off;
	s->nfree[kind]++;
	if (c->nfree++ == 0)
		mx_list_add_head(&s->partial[kind], &c->node);
	if (c->nfree < c->ntotal)
		return;
	mx_list_del(&c->node);
	s->nfree[kind] -= c->ntotal;
	mx_list_add_head(&s->free_chunks, &c->node);
	s->nfree_chunks++;
}

enum mx_status mx_slab_ready(struct mx_store *s, u32 groups, u32 extents, u32 nodes)
{
	u32 chunks = (s->nfree[MX_OBJ_GROUP] < groups) + (s->nfree[MX_OBJ_EXTENT] < extents) +
		     (s->nfree[MX_OBJ_NODE] < nodes);

	if (chunks <= s->nfree_chunks) {
		s->chunks_short = 0;
		return MX_OK;
	}
	if (mx_store_room(s) < (u64)chunks * MX_CHUNK) {
		s->st.full++;
		return MX_ST_FULL;
	}
	s->chunks_short = chunks;
	s->st.busy++;
	return MX_ST_BUSY;
}

const char *mx_slab_check(struct mx_store *s, const u64 used[MX_OBJ_KINDS])
{
	struct mx_list *n;
	u32 kind, free_chunks = 0;

	mx_list_for_each(n, &s->free_chunks)
		free_chunks++;
	if (free_chunks != s->nfree_chunks)
		return "free chunks miscounted";
	for (kind = 0; kind < MX_OBJ_KINDS; kind++) {
		u32 nfree = 0;

		mx_list_for_each(n, &s->partial[kind]) {
			struct mx_chunk *c = mx_list_entry(n, struct mx_chunk, node);
			u32 k = 0;
			u16 off = c->first;

			if (c->kind != kind || !c->nfree || c->nfree == c->ntotal)
				return "chunk in the wrong list";
			for (; off && k <= c->ntotal; k++)
				off = ((struct mx_obj *)((u8 *)c + off))->next;
			if (k != c->nfree)
				return "chunk's free objects miscounted";
			nfree += c->nfree;
		}
		if (nfree != s->nfree[kind])
			return "free objects miscounted";
		if ((used[kind] + nfree) % per_chunk(kind))
			return "objects lost";
	}
	return NULL;
}
