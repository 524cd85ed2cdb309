/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: volumes, pages and their accounting, writes and reads.
 *
 * What is held never grows beyond the ceiling (which may be lowered below it): pages got from the port (also those
 * still being assembled, and a few kept at hand) and all bookkeeping. The last
 * reserve_pages of it are not for new pages: half of them let a full store still
 * replace pages it has, half let it still take newer descriptors.
 */
#include "store_int.h"

#define RESERVE_DEFAULT	64u
#define RESERVE_MIN	(4 * MX_SPARES)
#define ASMS_DEFAULT	4096u
#define ASMS_MIN	16u
#define DROP_EXTENTS	64u	/* freed in one step of dropping a volume */

static void grave_dig(struct mx_svol *v, u32 *budget);

/* ---- the store ---- */

struct mx_store *mx_store_new(const struct mx_port *port, const struct mx_store_conf *c)
{
	struct mx_store *s = port->alloc(port->ctx, sizeof *s);
	u32 n = c->assemblies_max;

	if (!s)
		return NULL;
	s->port = port;
	s->st.ceiling = c->ceiling;
	s->st.meta_bytes = sizeof *s;
	s->reserve = c->reserve_pages;
	if (!s->reserve)
		s->reserve = (u32)mx_min_u64(c->ceiling >> 16, RESERVE_DEFAULT);
	s->reserve = mx_max_u32(s->reserve, RESERVE_MIN);
	mx_list_init(&s->vols);
	mx_list_init(&s->graves);
	mx_slab_init(s);
	/* One for each 1 MiB: more would be a noticeable share of a small store. */
	if (!n)
		n = (u32)mx_min_u64(mx_max_u64(c->ceiling >> 20, ASMS_MIN), ASMS_DEFAULT);
	if (!mx_asm_init(s, n)) {
		port->free(port->ctx, s, sizeof *s);
		return NULL;
	}
	mx_slab_work(s);
	return s;
}

void mx_store_free(struct mx_store *s)
{
	const struct mx_port *port = s->port;

	while (!mx_list_empty(&s->vols))
		mx_svol_drop(mx_list_entry(s->vols.next, struct mx_svol, node));
	while (!mx_list_empty(&s->graves)) {
		u32 budget = DROP_EXTENTS;

		grave_dig(mx_list_entry(s->graves.next, struct mx_svol, node), &budget);
	}
	mx_asm_fini(s);
	while (s->nspares)
		port->page_put(port->ctx, s->spare[--s->nspares]);
	mx_slab_fini(s);
	port->free(port->ctx, s, sizeof *s);
}

const struct mx_store_stats *mx_store_stats(const struct mx_store *s)
{
	return &s->st;
}

static u64 used(const struct mx_store *s)
{
	return s->st.meta_bytes + (s->held - s->nspares) * MX_PAGE;
}

u64 mx_store_room(const struct mx_store *s)
{
	u64 taken = used(s) + (u64)s->reserve * MX_PAGE;

	return taken < s->st.ceiling ? s->st.ceiling - taken : 0;
}

void mx_store_set_ceiling(struct mx_store *s, u64 bytes)
{
	s->st.ceiling = bytes;
}

void mx_store_close(struct mx_store *s)
{
	s->closed = true;
}

u32 mx_store_drops(const struct mx_store *s)
{
	return s->drops;
}

u64 mx_store_vital(const struct mx_store *s)
{
	return s->reserve / 2 * MX_PAGE;
}

void mx_store_charge(struct mx_store *s, s64 bytes)
{
	s->st.meta_bytes += (u64)bytes;
}

/* ---- pages ---- */

enum mx_status mx_page_take(struct mx_store *s, bool overwrite, u8 **page, bool *over)
{
	*over = false;
	if (mx_store_room(s) < MX_PAGE) {
		if (!overwrite) {
			s->st.full++;
			return MX_ST_FULL;
		}
		*over = true;
		/* Of what is unfinished the oldest is likeliest to stay so. */
		while (s->over + MX_SPARES >= s->reserve / 2)
			if (!mx_asm_evict(s))
				break;
		if (s->over + MX_SPARES >= s->reserve / 2)
			goto busy;
	}
	if (s->nspares) {
		*page = s->spare[--s->nspares];
		return MX_OK;
	}
	*page = s->port->page_get(s->port->ctx);
	if (*page) {
		s->held++;
		s->st.data_bytes += MX_PAGE;
		return MX_OK;
	}
busy:
	s->st.busy++;
	return MX_ST_BUSY;
}

void mx_page_release(struct mx_store *s, u8 *page)
{
	const struct mx_port *port = s->port;

	if (s->nspares < MX_SPARES && s->st.meta_bytes + s->held * MX_PAGE <= s->st.ceiling &&
	    !(port->page_busy && port->page_busy(port->ctx, page))) {
		s->spare[s->nspares++] = page;
		return;
	}
	port->page_put(port->ctx, page);
	s->held--;
	s->st.data_bytes -= MX_PAGE;
}

typedef u64 __attribute__((may_alias, aligned(1))) u64_any;

bool mx_is_zero(const void *p, u32 len)
{
	const u64_any *w = p;
	u32 i;

	/* Nearly every page that is not zero shows it in its first bytes. */
	if (w[0] | w[1])
		return false;
	for (i = 0; i < len / 8; i += 8)
		if (w[i] | w[i + 1] | w[i + 2] | w[i + 3] |
		    w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7])
			return false;
	return true;
}

static void block_seeds(const struct mx_svol *v, u32 extent, u32 first, u32 n, u32 *seeds)
{
	u64 block = (u64)extent * MX_EXTENT_BLOCKS + first;
	u32 i;

	for (i = 0; i < n; i++)
		seeds[i] = mx_block_seed(v->seed, block + i);
}

bool mx_take_blocks(const struct mx_svol *v, u32 extent, u32 first, u32 n, u8 *dst,
		    const u8 *src, const u8 *head, u32 crc_at, u32 *crcs)
{
	u32 seeds[MX_PAGE_BLOCKS] = { 0 }, bad = 0, i;

	block_seeds(v, extent, first, n, seeds);
	mx_crc32c_blocks(dst, src, n, seeds, crcs);
	for (i = 0; i < n; i++)
		bad |= crcs[i] ^ mx_write_crc(head, crc_at + i);
	if (!bad)
		return true;
	v->store->st.bad_crc++;
	return false;
}

void mx_fill_rest(const struct mx_svol *v, u32 extent, u32 page, const struct mx_slot *old,
		  u8 need, u8 *data, u32 *crcs)
{
	u32 i, seed;

	for (i = 0; i < MX_PAGE_BLOCKS; i++) {
		u8 *at = data + i * MX_BLOCK;

		if (need >> i & 1)
			continue;
		if (old && old->data) {
			memcpy(at, old->data + i * MX_BLOCK, MX_BLOCK);
			crcs[i] = old->crc[i];
			continue;
		}
		memset(at, 0, MX_BLOCK);
		block_seeds(v, extent, page * MX_PAGE_BLOCKS + i, 1, &seed);
		crcs[i] = mx_crc32c(seed, at, MX_BLOCK);
	}
}

/* ---- volumes ---- */

static struct mx_svol **bucket_of(struct mx_store *s, const u8 *uuid)
{
	u64 h = (mx_ld64(uuid) ^ mx_ld64(uuid + 8)) * 0x9e3779b97f4a7c15ull;

	return &s->bucket[h >> 32 & (MX_VOL_BUCKETS - 1)];
}

struct mx_svol *mx_svol_get(struct mx_store *s, const u8 uuid[MX_UUID])
{
	struct mx_svol *v = s->last;

	if (v && memcmp(v->uuid, uuid, MX_UUID) == 0)
		return v;
	for (v = *bucket_of(s, uuid); v; v = v->hash_next)
		if (memcmp(v->uuid, uuid, MX_UUID) == 0)
			return s->last = v;
	return NULL;
}

struct mx_svol *mx_svol_make(struct mx_store *s, const u8 uuid[MX_UUID])
{
	struct mx_svol *v = mx_svol_get(s, uuid), **b;

	if (v)
		return v;
	v = mx_meta_alloc(s, sizeof *v, true);
	if (!v)
		return NULL;
	v->store = s;
	memcpy(v->uuid, uuid, MX_UUID);
	v->seed = mx_crc32c(0xffffffff, uuid, MX_UUID);
	b = bucket_of(s, uuid);
	v->hash_next = *b;
	*b = v;
	mx_list_add_tail(&s->vols, &v->node);
	s->st.volumes++;
	return v;
}

/* Frees up to *budget extents, and the volume itself once there is none. */
static void grave_dig(struct mx_svol *v, u32 *budget)
{
	struct mx_store *s = v->store;
	struct mx_ext *e;

	while (*budget && (e = mx_ext_next(v, 0))) {
		mx_ext_free(v, e);
		--*budget;
	}
	if (v->root)
		return;
	mx_list_del(&v->node);
	mx_meta_free(s, v, sizeof *v);
}

void mx_svol_drop(struct mx_svol *v)
{
	struct mx_store *s = v->store;
	struct mx_svol **at = bucket_of(s, v->uuid);
	u32 budget = DROP_EXTENTS;

	while (*at != v)
		at = &(*at)->hash_next;
	*at = v->hash_next;
	mx_list_del(&v->node);
	s->last = NULL;
	s->st.volumes--;
	s->drops++;
	mx_asm_drop_vol(v);
	mx_meta_free(s, v->desc, v->desc_len);
	v->desc = NULL;
	mx_list_add_tail(&s->graves, &v->node);
	grave_dig(v, &budget);
}

bool mx_store_work(struct mx_store *s)
{
	u32 budget = DROP_EXTENTS;
	struct mx_list *n, *t;

	mx_list_for_each_safe(n, t, &s->graves) {
		if (!budget)
			break;
		grave_dig(mx_list_entry(n, struct mx_svol, node), &budget);
	}
	return mx_slab_work(s) || !mx_list_empty(&s->graves);
}

bool mx_store_wants_work(const struct mx_store *s)
{
	return mx_slab_wants_work(s) || !mx_list_empty(&s->graves);
}

void mx_store_age(struct mx_store *s)
{
	s->era++;
}

struct mx_svol *mx_svol_next(struct mx_store *s, struct mx_svol *prev)
{
	struct mx_list *n = prev ? prev->node.next : s->vols.next;

	return n == &s->vols ? NULL : mx_list_entry(n, struct mx_svol, node);
}

const u8 *mx_svol_uuid(const struct mx_svol *v)
{
	return v->uuid;
}

u32 mx_svol_epoch(const struct mx_svol *v)
{
	return v->epoch;
}

void mx_svol_set_epoch(struct mx_svol *v, u32 epoch)
{
	if (epoch <= v->epoch)
		return;
	v->epoch = epoch;
	/* The rest of a page that began to come under an older epoch never comes; and
	 * what the new epoch writes may have lower generations. */
	mx_asm_drop_vol(v);
}

bool mx_svol_set_desc(struct mx_svol *v, const u8 *desc, u32 len)
{
	u8 *copy = v->desc;

	if (len != v->desc_len) {
		copy = mx_meta_alloc(v->store, len, true);
		if (!copy)
			return false;
		mx_meta_free(v->store, v->desc, v->desc_len);
	}
	memcpy(copy, desc, len);
	v->desc = copy;
	v->desc_len = len;
	return true;
}

const u8 *mx_svol_desc(const struct mx_svol *v, u32 *len)
{
	*len = v->desc_len;
	return v->desc;
}

u64 mx_svol_data_bytes(const struct mx_svol *v)
{
	return v->pages * MX_PAGE;
}

u64 mx_svol_extents(const struct mx_svol *v)
{
	return v->extents;
}

/* ---- writing ---- */

void mx_wpage_commit(struct mx_wpage *p, u8 *data, const u32 *crcs)
{
	struct mx_svol *v = p->v;
	const struct mx_write *w = p->w;

	if (!p->e || p->e->gen < w->gen)
		p->e = mx_ext_make(v, p->e, w->extent, w->gen, p->flags);
	/* An older, unfinished write of the page must not come after this. */
	if (v->nasm)
		mx_asm_drop_page(v, w->extent, p->page, w->num);
	mx_slot_set(v, p->e, p->page, data, w->num, crcs);
	p->old = NULL;
}

/* The whole of what the request writes in this page is here. */
static enum mx_status write_direct(struct mx_wpage *p)
{
	struct mx_store *s = p->v->store;
	u32 blk = p->page * MX_PAGE_BLOCKS, crcs[MX_PAGE_BLOCKS];
	enum mx_status st;
	bool over;
	u8 *data;

	if ((p->need == 0xff || !p->old || !p->old->data) && mx_is_zero(p->src, p->n * MX_BLOCK)) {
		if (!mx_take_blocks(p->v, p->w->extent, blk + p->first, p->n, NULL, p->src,
				    p->head, p->crc_at, crcs))
			return MX_ST_BAD_CRC;
		mx_wpage_commit(p, NULL, NULL);
		return MX_OK;
	}
	st = mx_page_take(s, p->old && p->old->data, &data, &over);
	if (st != MX_OK)
		return st;
	if (!mx_take_blocks(p->v, p->w->extent, blk + p->first, p->n, data + p->first * MX_BLOCK,
			    p->src, p->head, p->crc_at, crcs + p->first)) {
		mx_page_release(s, data);
		return MX_ST_BAD_CRC;
	}
	if (p->need != 0xff) {
		mx_fill_rest(p->v, p->w->extent, p->page, p->old, p->need, data, crcs);
		if (mx_is_zero(data, MX_PAGE)) {
			mx_page_release(s, data);
			data = NULL;
		}
	}
	mx_wpage_commit(p, data, crcs);
	return MX_OK;
}

/* May this request change the page at all? */
static enum mx_status write_allowed(struct mx_wpage *p, u64 *num)
{
	const struct mx_write *w = p->w;
	bool lostbase = p->flags & MX_F_LOSTBASE;
	u64 floor = p->v->floor;

	if (p->e && w->gen < p->e->gen) {
		*num = p->e->gen;
		return MX_ST_STALE_GEN;
	}
	p->old = NULL;
	if (p->e && w->gen == p->e->gen) {
		p->old = mx_slot_find(p->e, p->page);
		lostbase = p->e->flags & MX_EXT_LOSTBASE;
		floor = mx_max_u64(floor, p->e->floor);
	}
	if (p->old ? w->num < p->old->num : w->num <= floor) {
		*num = p->old ? p->old->num : floor;
		p->v->store->st.stale++;
		return MX_ST_STALE;
	}
	if (p->old && w->num == p->old->num)
		return MX_OK;
	/* What was lost of the page beside these blocks must not become zeros. */
	if (!p->old && lostbase && p->need != 0xff)
		return MX_ST_LOST;
	if (!p->e && p->v->store->closed)
		return MX_ST_LEAVING;
	return mx_ext_ready(p->v, p->e, p->page);
}

static enum mx_status write_page(struct mx_wpage *p, u32 *have, u64 *num)
{
	enum mx_status st = write_allowed(p, num);

	if (st != MX_OK)
		return st;
	if (p->old && p->old->num == p->w->num)
		return MX_OK;
	return p->have == p->need ? write_direct(p) : mx_asm_write(p, have);
}

static u8 block_mask(u32 first, u32 n)
{
	return (u8)(((1u << n) - 1) << first);
}

/* Part @n blocks at @blk of a request falls into page p->page. */
static void wpage_at(struct mx_wpage *p, u32 blk, u32 n)
{
	u32 page_blk = blk & ~(MX_PAGE_BLOCKS - 1);
	u32 lo = mx_max_u32(p->w->req_first, page_blk);
	u32 hi = mx_min_u32(p->w->req_first + p->w->req_nblocks, page_blk + MX_PAGE_BLOCKS);

	p->page = (u8)(blk / MX_PAGE_BLOCKS);
	p->first = (u8)(blk - page_blk);
	p->n = (u8)n;
	p->have = block_mask(p->first, n);
	p->need = block_mask(lo - page_blk, hi - lo);
}

static bool write_sane(const struct mx_write *w)
{
	u32 end = w->first + w->nblocks, req_end = w->req_first + w->req_nblocks;

	return w->nblocks && w->first >= w->req_first && end <= req_end &&
	       req_end <= MX_EXTENT_BLOCKS && w->num && !(w->extent >> MX_TREE_BITS);
}

enum mx_status mx_store_write(struct mx_svol *v, const struct mx_write *w, u8 attempt,
			      u16 flags, const u8 *head, const u8 *payload, struct mx_wres *res)
{
	struct mx_wpage p = { .v = v, .w = w, .flags = flags, .attempt = attempt,
			      .src = payload, .head = head };
	u32 blk = w->first, end = blk + w->nblocks, partial = 0, partial_at = 0, n;

	memset(res, 0, sizeof *res);
	if (!write_sane(w))
		return MX_ST_INVALID;
	p.e = mx_ext_find(v, w->extent);
	for (; blk < end; blk += n, p.src += n * MX_BLOCK, p.crc_at += n) {
		enum mx_status st;
		u32 have = 0, lo, hi;

		n = mx_min_u32(end - blk, MX_PAGE_BLOCKS - blk % MX_PAGE_BLOCKS);
		wpage_at(&p, blk, n);
		lo = mx_max_u32(w->req_first, p.page * MX_PAGE_BLOCKS);
		hi = mx_min_u32(w->req_first + w->req_nblocks, (p.page + 1u) * MX_PAGE_BLOCKS);
		st = write_page(&p, &have, &res->num);
		if (st == MX_OK) {
			if (!res->nblocks)
				res->first = (u16)lo;
			res->nblocks = (u16)(hi - res->first);
		} else if (st == MX_ST_PARTIAL) {
			if (have && !partial) {
				partial = have;
				partial_at = lo;
			}
			if (res->nblocks)
				break;	/* the acknowledged range has no gaps */
		} else {
			res->first = (u16)lo;
			res->nblocks = (u16)(hi - lo);
			return st;
		}
	}
	if (res->nblocks || !partial || !(flags & MX_F_REPORT))
		return MX_OK;
	res->first = (u16)partial_at;
	res->have = partial;
	return MX_ST_PARTIAL;
}

/* ---- zeroes and discards ---- */

struct zwrite {
	struct mx_svol *v;
	const struct mx_zero *z;
	struct mx_ext *e;
	u16 flags;
	u64 stale;		/* highest number met that is newer */
	bool changed;
};

/* Zeroes some blocks of a page that has data. */
static enum mx_status zero_part(struct zwrite *zw, u32 page, const struct mx_slot *old, u8 zap)
{
	struct mx_svol *v = zw->v;
	struct mx_slot tmp = { 0 };
	u32 crcs[MX_PAGE_BLOCKS];
	enum mx_status st;
	bool over;
	u8 *data;

	st = mx_page_take(v->store, true, &data, &over);
	if (st != MX_OK)
		return st;
	mx_fill_rest(v, zw->z->extent, page, old, zap, data, crcs);
	mx_fill_rest(v, zw->z->extent, page, &tmp, (u8)~zap, data, crcs);
	if (mx_is_zero(data, MX_PAGE)) {
		mx_page_release(v->store, data);
		data = NULL;
	}
	mx_slot_set(v, zw->e, page, data, zw->z->num, crcs);
	zw->changed = true;
	return MX_OK;
}

/*
 * A page without a slot. Where the group is there the slot costs nothing. Where
 * not, the extent's floor keeps late duplicates of older writes out instead; such
 * a write still under way to another absent page is told STALE and comes again.
 */
static enum mx_status zero_absent(struct zwrite *zw, u32 page, u8 zap)
{
	struct mx_ext *e = zw->e;
	u64 num = zw->z->num;
	enum mx_status st;

	if (e->flags & MX_EXT_LOSTBASE) {
		if (num <= zw->v->floor) {
			zw->stale = mx_max_u64(zw->stale, zw->v->floor);
			return MX_OK;
		}
		if (zap != 0xff)	/* a discard is only a wish, a zero is not */
			return zw->flags & MX_F_DISCARD ? MX_OK : MX_ST_LOST;
		st = mx_ext_ready(zw->v, e, page);
		if (st != MX_OK)
			return st;
	} else if (num <= mx_max_u64(zw->v->floor, e->floor)) {
		return MX_OK;		/* zeros already, and newer writes are kept apart */
	} else if (!mx_slot_at(e, page)) {
		e->floor = num;
		e->max = mx_max_u64(e->max, num);
		zw->changed = true;
		return MX_OK;
	}
	mx_slot_set(zw->v, e, page, NULL, num, NULL);
	zw->changed = true;
	return MX_OK;
}

static enum mx_status zero_page(struct zwrite *zw, u32 page, u8 zap)
{
	struct mx_slot *old = mx_slot_find(zw->e, page);
	const struct mx_zero *z = zw->z;

	if (zw->v->nasm)
		mx_asm_drop_page(zw->v, z->extent, page, z->num);
	if (!old)
		return zero_absent(zw, page, zap);
	if (old->num >= z->num) {
		if (old->num > z->num)
			zw->stale = mx_max_u64(zw->stale, old->num);
		return MX_OK;
	}
	if (old->data && zap != 0xff)
		return zero_part(zw, page, old, zap);
	mx_slot_set(zw->v, zw->e, page, NULL, z->num, NULL);
	zw->changed = true;
	return MX_OK;
}

/* The extent at the request's generation: found, made, or none needed (e NULL). */
static enum mx_status zero_extent(struct zwrite *zw, u64 *num)
{
	struct mx_svol *v = zw->v;
	const struct mx_zero *z = zw->z;
	enum mx_status st;

	zw->e = mx_ext_find(v, z->extent);
	if (zw->e && zw->e->gen > z->gen) {
		*num = zw->e->gen;
		return MX_ST_STALE_GEN;
	}
	if (zw->e && zw->e->gen == z->gen)
		return MX_OK;
	if ((zw->flags & MX_F_DISCARD) && !(zw->flags & (MX_F_LOSTBASE | MX_F_INCOMING))) {
		if (zw->e)
			mx_ext_free(v, zw->e);
		zw->e = NULL;
		v->floor = mx_max_u64(v->floor, z->num);
		return MX_OK;
	}
	if (!zw->e && z->num <= v->floor) {
		*num = v->floor;
		return MX_ST_STALE;
	}
	if (!zw->e && v->store->closed)
		return MX_ST_LEAVING;
	if (!zw->e) {
		st = mx_slab_ready(v->store, 0, 1, MX_TREE_BITS / MX_NODE_BITS);
		if (st != MX_OK)
			return st;
	}
	zw->e = mx_ext_make(v, zw->e, z->extent, z->gen, zw->flags);
	return MX_OK;
}

/* Only a discard that did something frees the extent: its sender hears EMPTY
 * and clears the extent's bit; the sender of a late duplicate would not. */
static bool zero_empties(const struct zwrite *zw)
{
	const struct mx_ext *e = zw->e;

	if (!(zw->flags & MX_F_DISCARD) || e->ndata || (e->flags & MX_EXT_INCOMING))
		return false;
	if (!zw->changed && !(zw->flags & MX_F_KEEP))
		return false;
	return !(e->flags & MX_EXT_LOSTBASE) || e->nslots == MX_EXTENT_PAGES;
}

enum mx_status mx_store_zero(struct mx_svol *v, const struct mx_zero *z, u16 flags,
			     bool *emptied, u64 *num)
{
	struct zwrite zw = { .v = v, .z = z, .flags = flags };
	u32 blk = z->first, end = blk + z->nblocks, n;
	enum mx_status st;

	*emptied = false;
	*num = 0;
	if (!z->nblocks || end > MX_EXTENT_BLOCKS || !z->num || z->extent >> MX_TREE_BITS)
		return MX_ST_INVALID;
	st = zero_extent(&zw, num);
	if (st != MX_OK)
		return st;
	*emptied = !zw.e;
	if (!zw.e)
		return MX_OK;
	for (; blk < end; blk += n) {
		u32 first = blk % MX_PAGE_BLOCKS;

		n = mx_min_u32(end - blk, MX_PAGE_BLOCKS - first);
		st = zero_page(&zw, blk / MX_PAGE_BLOCKS, block_mask(first, n));
		if (st != MX_OK)
			return st;
	}
	if (zw.stale) {
		*num = zw.stale;
		v->store->st.stale++;
		return MX_ST_STALE;
	}
	if (zero_empties(&zw)) {
		zw.e->max = mx_max_u64(zw.e->max, z->num);
		if (!(flags & MX_F_KEEP))
			mx_ext_free(v, zw.e);
		*emptied = true;
	}
	return MX_OK;
}

/* ---- reading ---- */

static void page_ref(const struct mx_ext *e, u32 page, struct mx_pageref *ref)
{
	const struct mx_slot *sl = mx_slot_find(e, page);

	if (!sl) {
		ref->kind = e->flags & MX_EXT_LOSTBASE ? MX_PAGE_LOST : MX_PAGE_HOLE;
		return;
	}
	ref->num = sl->num;
	ref->kind = sl->data ? MX_PAGE_DATA : MX_PAGE_ZERO;
	ref->data = sl->data;
	ref->crcs = sl->data ? sl->crc : NULL;
}

enum mx_status mx_store_read(struct mx_svol *v, u32 extent, u32 gen, u32 page,
			     struct mx_pageref *ref)
{
	const struct mx_ext *e = mx_ext_find(v, extent);

	memset(ref, 0, sizeof *ref);
	ref->kind = MX_PAGE_HOLE;
	/* An older generation is as good as gone: the newer one has no page yet. */
	if (!e || e->gen < gen)
		return MX_OK;
	if (e->gen > gen)
		return MX_ST_STALE_GEN;
	page_ref(e, page, ref);
	return MX_OK;
}

void mx_store_blkstat(struct mx_svol *v, u32 extent, u32 gen, u8 kinds[64])
{
	const struct mx_ext *e = mx_ext_find(v, extent);
	struct mx_pageref ref;
	u32 i;

	memset(kinds, MX_PAGE_HOLE * 0x55, 64);
	if (!e || e->gen != gen)
		return;
	memset(kinds, 0, 64);
	for (i = 0; i < MX_EXTENT_PAGES; i++) {
		page_ref(e, i, &ref);
		kinds[i / 4] |= (u8)(ref.kind << (i % 4 * 2));
	}
}

/* ---- extents ---- */

bool mx_svol_next_extent(struct mx_svol *v, u32 from, struct mx_extinfo *i)
{
	const struct mx_ext *e = mx_ext_next(v, from);

	if (!e)
		return false;
	i->extent = e->extent;
	i->gen = e->gen;
	i->pages = e->ndata;
	i->flags = e->flags;
	i->num = e->max;
	return true;
}

enum mx_status mx_store_drop_extent(struct mx_svol *v, u32 extent, u32 gen, u64 num)
{
	struct mx_ext *e = mx_ext_find(v, extent);

	if (e && e->gen > gen)
		return MX_ST_STALE_GEN;
	if (e)
		mx_ext_free(v, e);
	v->floor = mx_max_u64(v->floor, num);
	return MX_OK;
}

enum mx_status mx_store_commit_extent(struct mx_svol *v, u32 extent, u32 gen)
{
	struct mx_ext *e = mx_ext_find(v, extent);

	if (!e || e->gen != gen)
		return MX_ST_STALE_GEN;
	e->flags &= (u16)~MX_EXT_INCOMING;
	return MX_OK;
}
