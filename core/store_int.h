/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's insides, shared by slab.c (where bookkeeping comes from),
 * extent.c (finding and freeing extents), assembly.c (pages cut into fragments)
 * and store.c (everything else).
 *
 *	volume -> radix tree of 64-way nodes -> extent -> groups of 16 slots -> page
 *
 * A slot whose number is 0 is absent: the page was never written, or, in a
 * LOSTBASE extent, is lost. A slot with a number and no data reads as zeros.
 * Slots are only changed by mx_slot_set(), which keeps every counter.
 */
#ifndef MEMX_CORE_STORE_INT_H
#define MEMX_CORE_STORE_INT_H

#include "store.h"

/* ---- slabs ---- */
#define MX_CHUNK	16384u	/* taken from and given back to the port whole */
enum mx_obj_kind { MX_OBJ_GROUP, MX_OBJ_EXTENT, MX_OBJ_NODE, MX_OBJ_KINDS };

/* Every object starts with its own place in its chunk: how it finds its way
 * back costs 2 bytes instead of a pointer. */
struct mx_obj {
	u16 off;
	u16 next;		/* free: offset of the next free one, 0: last */
};

struct mx_chunk {
	struct mx_list node;	/* store.free_chunks, store.partial[kind], or none: full */
	u16 first;		/* offset of the first free object */
	u16 nfree, ntotal;
	u8 kind;
};

/* ---- pages, groups, extents ---- */
#define MX_GROUP_SLOTS	16u
#define MX_GROUPS	(MX_EXTENT_PAGES / MX_GROUP_SLOTS)

struct mx_slot {
	u8 *data;
	u64 num;
	u32 crc[MX_PAGE_BLOCKS];	/* valid with data */
};
MX_BUILD_ASSERT(sizeof(struct mx_slot) == 48);

struct mx_group {
	struct mx_obj obj;
	u16 used;		/* slots with a number */
	u16 zero;
	struct mx_slot slot[MX_GROUP_SLOTS];
};
MX_BUILD_ASSERT(sizeof(struct mx_group) == 776);

struct mx_ext {
	struct mx_obj obj;
	u16 ndata;		/* slots with data */
	u16 nslots;		/* slots with a number */
	u32 extent, gen;
	u64 max;		/* highest number seen, earlier generations included */
	u64 floor;		/* absent slots: a number at or below is STALE */
	u16 flags;		/* MX_EXT_* */
	struct mx_group *group[MX_GROUPS];
};

#define MX_NODE_BITS	6u
#define MX_NODE_WAYS	(1u << MX_NODE_BITS)
#define MX_TREE_BITS	30u	/* extents of the largest volume; five levels */
struct mx_node64 {
	struct mx_obj obj;
	u16 count;
	u16 zero;
	void *child[MX_NODE_WAYS];	/* mx_node64, at the lowest level mx_ext */
};

/* ---- assemblies ---- */
struct mx_asm {
	struct mx_list node;	/* store.asm_lru (oldest first) or store.asm_free */
	u32 next;		/* in the hash chain: index + 1, 0: end */
	u32 era;		/* store.era when it was last added to */
	struct mx_svol *vol;	/* NULL: free */
	u32 extent, gen;
	u64 num;
	u8 page, attempt;
	u8 have, need;		/* blocks, bit 0..7 */
	bool over;		/* its page came out of the reserve */
	u8 *data;
	u32 crc[MX_PAGE_BLOCKS];
};

struct mx_svol {
	struct mx_list node;	/* store.vols, or store.graves */
	struct mx_svol *hash_next;
	struct mx_store *store;
	u8 uuid[MX_UUID];
	u32 seed;		/* of block CRCs */
	u32 epoch;
	u64 floor;
	struct mx_node64 *root;
	u32 bits;		/* of the extent number that the tree covers */
	u32 nasm;
	u64 extents, pages, zero_pages, lost_pages;
	u8 *desc;
	u32 desc_len;
};

#define MX_VOL_BUCKETS	512u
#define MX_SPARES	4u

struct mx_store {
	const struct mx_port *port;
	struct mx_store_stats st;	/* data_bytes: held pages, spares and assemblies too */
	u64 held;			/* pages got and not put */
	u32 reserve;			/* pages */
	u32 over;			/* assemblies holding pages of the reserve */
	u32 drops;			/* volumes dropped so far */
	bool closed;			/* takes no new extent */
	/* Pages just replaced: the next write takes them without asking the port. */
	u8 *spare[MX_SPARES];
	u32 nspares;

	struct mx_list free_chunks;	/* wholly free, of no kind */
	u32 nfree_chunks, chunks_low;
	u32 chunks_short;		/* a write was refused for want of so many */
	struct mx_list partial[MX_OBJ_KINDS];
	u32 nfree[MX_OBJ_KINDS];	/* objects free in partial chunks */

	struct mx_list vols;
	struct mx_list graves;		/* dropped, still being freed */
	struct mx_svol *bucket[MX_VOL_BUCKETS];
	struct mx_svol *last;		/* looked up last */

	struct mx_asm *asms;
	u32 *asm_bucket;		/* index + 1 */
	u32 nasms, asm_mask;
	u32 era;			/* counts mx_store_age */
	struct mx_list asm_lru, asm_free;
};

/* slab.c */
void mx_slab_init(struct mx_store *s);
void mx_slab_fini(struct mx_store *s);
bool mx_slab_wants_work(const struct mx_store *s);
bool mx_slab_work(struct mx_store *s);	/* refills; true: lacks chunks it could have */
/* NULL only if mx_slab_ready was not asked before. */
void *mx_slab_get(struct mx_store *s, enum mx_obj_kind kind);
void mx_slab_put(struct mx_store *s, enum mx_obj_kind kind, void *obj);
/* OK if so many objects are to be had; BUSY until mx_store_work has run; FULL. */
enum mx_status mx_slab_ready(struct mx_store *s, u32 groups, u32 extents, u32 nodes);
const char *mx_slab_check(struct mx_store *s, const u64 used[MX_OBJ_KINDS]);

/* Bytes of bookkeeping taken or given back. @vital: may use half of the reserve. */
void *mx_meta_alloc(struct mx_store *s, u64 bytes, bool vital);
void mx_meta_free(struct mx_store *s, void *p, u64 bytes);

/* extent.c */
struct mx_ext *mx_ext_find(const struct mx_svol *v, u32 extent);
struct mx_ext *mx_ext_next(const struct mx_svol *v, u64 from);
/* What making an extent or a slot may need; OK: the make calls cannot fail. */
enum mx_status mx_ext_ready(struct mx_svol *v, const struct mx_ext *e, u32 page);
/* Makes @extent at @gen, in place of an older generation @old (or NULL). */
struct mx_ext *mx_ext_make(struct mx_svol *v, struct mx_ext *old, u32 extent, u32 gen, u16 flags);
void mx_ext_free(struct mx_svol *v, struct mx_ext *e);
static inline struct mx_slot *mx_slot_at(const struct mx_ext *e, u32 page)
{
	struct mx_group *g = e->group[page / MX_GROUP_SLOTS];

	return g ? &g->slot[page % MX_GROUP_SLOTS] : NULL;
}
/* The present slot of a page, or NULL. */
static inline struct mx_slot *mx_slot_find(const struct mx_ext *e, u32 page)
{
	struct mx_slot *sl = mx_slot_at(e, page);

	return sl && sl->num ? sl : NULL;
}
/* The page becomes @data (NULL: zeros) with number @num, at once; an old page
 * is released. @crcs with data only. The slot's group is made if need be. */
void mx_slot_set(struct mx_svol *v, struct mx_ext *e, u32 page, u8 *data, u64 num,
		 const u32 *crcs);

/* store.c */
/* A page to fill. @overwrite: it will replace one, so the reserve may be used;
 * *over tells that it was. OK, BUSY, FULL. */
enum mx_status mx_page_take(struct mx_store *s, bool overwrite, u8 **page, bool *over);
void mx_page_release(struct mx_store *s, u8 *page);
bool mx_is_zero(const void *p, u32 len);
/* Verifies @n blocks from block @first of the volume's @extent and copies them
 * to @dst (NULL: only verifies); their CRCs go to @crcs. */
bool mx_take_blocks(const struct mx_svol *v, u32 extent, u32 first, u32 n, u8 *dst,
		    const u8 *src, const u8 *head, u32 crc_at, u32 *crcs);
/* Completes a page of which only the blocks in @need are filled in, from the
 * page it replaces. */
void mx_fill_rest(const struct mx_svol *v, u32 extent, u32 page, const struct mx_slot *old,
		  u8 need, u8 *data, u32 *crcs);
/* A write to one page, in the making. */
struct mx_wpage {
	struct mx_svol *v;
	const struct mx_write *w;
	struct mx_ext *e;	/* the extent as it is now, any generation, or NULL */
	struct mx_slot *old;	/* the page as it is now at w->gen, or NULL */
	u16 flags;
	u8 attempt;
	u8 page;
	u8 need;		/* blocks the request writes in this page */
	u8 have;		/* blocks in this fragment: first, n */
	u8 first, n;
	const u8 *src;
	const u8 *head;
	u32 crc_at;		/* index of the first block's CRC in head */
};
/* The filled page becomes visible. What it takes was asked for before. */
void mx_wpage_commit(struct mx_wpage *p, u8 *data, const u32 *crcs);

/* assembly.c */
bool mx_asm_init(struct mx_store *s, u32 n);
void mx_asm_fini(struct mx_store *s);
bool mx_asm_evict(struct mx_store *s);	/* the oldest; false: none is old enough */
/* Forget what is being assembled for a page up to number @num, an extent, a volume. */
void mx_asm_drop_page(struct mx_svol *v, u32 extent, u32 page, u64 num);
void mx_asm_drop_extent(struct mx_svol *v, u32 extent, u32 gen);
void mx_asm_drop_vol(struct mx_svol *v);
/* A fragment that does not fill its page's need alone. OK: page committed.
 * PARTIAL: *have is what is there; 0: the fragment was of no use. */
enum mx_status mx_asm_write(struct mx_wpage *p, u32 *have);
const char *mx_asm_check(struct mx_store *s, u64 *pages);

#endif
