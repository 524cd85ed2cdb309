/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Server store: pages of volumes, by (volume, extent).
 *
 * No network here: what a page is, when a write may replace it, and what it
 * costs. A page remembers the number (epoch, sequence) of its last write and a
 * CRC32C per block. Bookkeeping: a page slot is 48 bytes; slots come in groups
 * of 16 pages, groups in extents, so that sparse volumes stay cheap; all of it
 * counts against the ceiling and stays under 1.5 % of a full store.
 *
 * Zero pages and discarded pages keep their number but no data. A freed extent
 * leaves its highest number in the volume's floor, and a write at or below the
 * floor to a page without a slot is STALE.
 */
#ifndef MEMX_CORE_STORE_H
#define MEMX_CORE_STORE_H

#include "port.h"
#include "wire.h"

struct mx_store;
struct mx_svol;			/* one volume's part in this store */

struct mx_store_conf {
	u64 ceiling;		/* bytes, data and bookkeeping together */
	u32 reserve_pages;	/* for overwrites on a full store; default 64, fewer below 4 MiB */
	u32 assemblies_max;	/* pages being assembled at once; default one for each
				 * 1 MiB of the ceiling, at most 4096 */
};
struct mx_store_stats {
	u64 ceiling, data_bytes, meta_bytes;
	u64 pages, zero_pages, lost_pages, extents, volumes;
	u64 full, busy, stale, bad_crc;	/* refusals */
};
struct mx_store *mx_store_new(const struct mx_port *port, const struct mx_store_conf *c);
void mx_store_free(struct mx_store *s);
const struct mx_store_stats *mx_store_stats(const struct mx_store *s);
u64 mx_store_room(const struct mx_store *s);	/* bytes that may still be taken */
void mx_store_set_ceiling(struct mx_store *s, u64 bytes);	/* may be below what is held: then FULL */

/* Asked to stop: extents that are not here yet are refused with LEAVING. */
void mx_store_close(struct mx_store *s);
/* Bookkeeping for writes is taken from the port here, never by a write (which
 * is answered BUSY if there is none), and dropped volumes' pages are given back
 * bit by bit. To be called from a timer while wants_work. True: more to do now. */
bool mx_store_work(struct mx_store *s);
bool mx_store_wants_work(const struct mx_store *s);
/* A second has passed. Where fragments of pages fill what there is for them, those of
 * pages that nothing was added to since the last call but one give way; until then
 * fragments of further pages are answered BUSY. */
void mx_store_age(struct mx_store *s);
/* Bookkeeping kept elsewhere that counts against the ceiling too; vital: what it may take
 * beyond the room that is left, because a full server must still be talked to. */
u64 mx_store_vital(const struct mx_store *s);
void mx_store_charge(struct mx_store *s, s64 bytes);
/* Counts dropped volumes: a struct mx_svol * kept is good while it has not changed. */
u32 mx_store_drops(const struct mx_store *s);

/* Volumes. get: NULL if not known. make: finds or creates; NULL: no memory/ceiling. */
struct mx_svol *mx_svol_get(struct mx_store *s, const u8 uuid[MX_UUID]);
struct mx_svol *mx_svol_make(struct mx_store *s, const u8 uuid[MX_UUID]);
/* Frees every page of it; a large volume's in the calls of mx_store_work that follow. */
void mx_svol_drop(struct mx_svol *v);
struct mx_svol *mx_svol_next(struct mx_store *s, struct mx_svol *prev);	/* all of them; prev NULL first */
const u8 *mx_svol_uuid(const struct mx_svol *v);
u32 mx_svol_epoch(const struct mx_svol *v);
void mx_svol_set_epoch(struct mx_svol *v, u32 epoch);	/* only upwards */
/* A descriptor copy kept with the data (for recovery); copied, replaces. */
bool mx_svol_set_desc(struct mx_svol *v, const u8 *desc, u32 len);
const u8 *mx_svol_desc(const struct mx_svol *v, u32 *len);
u64 mx_svol_data_bytes(const struct mx_svol *v);
u64 mx_svol_extents(const struct mx_svol *v);

/*
 * One fragment of a write. Commits each page that is complete with it; pages
 * cut by the fragment's ends wait in an assembly (keyed by page, num, attempt; a
 * newer attempt or number of the same page replaces an older assembly).
 * @payload nblocks * 512 bytes; @crcs as carried. Data is verified before it is
 * seen. The result for the fragment as a whole:
 *   MX_OK: *first, *n is the range of blocks now committed (whole pages of the
 *     request's range touched by the fragment and complete; n may be 0: nothing
 *     complete yet and no report wanted)
 *   PARTIAL: have bitmap in *have, for the page at *first (when !n && report)
 *   BUSY, FULL, STALE (num), STALE_GEN (num: the generation here), BAD_CRC,
 *   LEAVING, INVALID, LOST (part of a page whose rest is lost): about the page at
 *     first; pages before it may have been committed. The whole is to be repeated
 *     (pages already committed are then OK).
 * A repeated write with the page's own number is OK and changes nothing.
 * A generation above the extent's replaces the extent; below: STALE_GEN.
 */
struct mx_wres {
	u16 first, nblocks;
	u32 have;
	u64 num;
};
enum mx_status mx_store_write(struct mx_svol *v, const struct mx_write *w, u8 attempt,
			      u16 flags, const u8 *head /* for mx_write_crc */,
			      const u8 *payload, struct mx_wres *res);
/* Write zeroes or discard of any run of blocks inside one extent. *emptied: the
 * extent was freed, nothing but the floor is left (never while it is INCOMING or
 * has lost pages left; only with MX_F_DISCARD); with MX_F_KEEP it could be, and
 * waits for mx_store_drop_extent. Creates slots only where it must: a discard of a
 * page that was never written needs none. A generation above the extent's
 * replaces it, below is STALE_GEN. STALE: some page has a newer number (*num); the
 * others were done. LOST: zeroes for part of a lost page (a discard skips it). */
enum mx_status mx_store_zero(struct mx_svol *v, const struct mx_zero *z, u16 flags,
			     bool *emptied, u64 *num);

/* Reading: one page of an extent. Data stays valid until the next mutating call.
 * page: 0..255. */
struct mx_pageref {
	u8 kind;		/* enum mx_page_kind */
	u64 num;
	const u8 *data;		/* DATA only */
	const u32 *crcs;	/* DATA only: 8 */
};
/* STALE_GEN if the extent is here under a newer generation; one that is not here,
 * or only under an older one, reads as HOLE. */
enum mx_status mx_store_read(struct mx_svol *v, u32 extent, u32 gen, u32 page,
			     struct mx_pageref *ref);
void mx_store_blkstat(struct mx_svol *v, u32 extent, u32 gen, u8 kinds[64]);

/* Extents, for rebuild and moves. In order of extent number from @from. */
struct mx_extinfo { u32 extent, gen; u16 pages /* with data */; u16 flags; u64 num /* highest */; };
enum {
	MX_EXT_LOSTBASE = 1,	/* pages without a slot are lost, not holes */
	MX_EXT_INCOMING = 2,	/* a copy being made: not authoritative */
};
bool mx_svol_next_extent(struct mx_svol *v, u32 from, struct mx_extinfo *e);
/* Drops an extent at or below @gen (idempotent), raising the floor to its
 * highest number and to @num. */
enum mx_status mx_store_drop_extent(struct mx_svol *v, u32 extent, u32 gen, u64 num);
/* Clears INCOMING. OK if already clear; STALE_GEN if the generation differs or
 * the extent is not here. */
enum mx_status mx_store_commit_extent(struct mx_svol *v, u32 extent, u32 gen);
/* Consistency of all counters and pointers, for tests: NULL, or what is wrong. */
const char *mx_store_check(struct mx_store *s);

#endif
