// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making the map from what holders and servers know.
 *
 * An extent has at most one live copy: every other one is named dead in the
 * descriptor before the live one takes a write (move.c). So what a server lists,
 * less what is called dead, is where the extent is, whichever other servers are
 * silent.
 *
 * The allocation bit says that something was acknowledged: it is set after the
 * first write was committed by a server, and cleared while the server still lists
 * the extent. Bit set and listed by nobody: if a server is silent, it may be there:
 * UNKNOWN. Else it was at one whose incarnation is over: LOST.
 *
 * Bit clear and listed: a write of which nobody was told, or what is left of an
 * extent that was emptied. It is a hole, whatever is there, and is dropped. If the
 * server is silent it is dropped when it lists; and before anything else is put in
 * the hole's place, the descriptor calls whatever the silent server may have there
 * dead (MX_HOLD_VOID), for a whole range of holes at once, so that it is not met
 * again as a second copy.
 *
 * After a recovery (MX_DESC_UNSURE) the bitmap may lack bits that were set: then what is
 * listed counts, and its bit is set; a hole may be at a silent server.
 */
#include "client_int.h"
#include "store.h"

/* ---- allocation bits ---- */

static void take_chunk(void *user, u32 first, const u8 *bits)
{
	struct mx_vol *v = user;

	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES; i++) {
		if (!bits[i])
			continue;
		for (u32 b = 0; b < 8; b++) {
			u32 e = first + i * 8 + b;

			if ((bits[i] >> b & 1) && e < v->map.nents)
				mx_map_at(&v->map, e)->flags |= MX_EF_BIT;
		}
	}
}

static void bits_read(void *user, enum mx_status st, mx_ns now)
{
	struct mx_vol *v = user;

	if (st != MX_OK)		/* fenced; if the claim gets it back, again */
		return;
	v->bits_done = true;
	mx_claim_set_bits_source(v->claim, mx_rebuild_bits_source);
	mx_rebuild_check(v, now);
}

bool mx_rebuild_bits_source(void *user, u32 chunk, u8 *bits)
{
	struct mx_vol *v = user;
	u32 first = chunk * MX_BITS_CHUNK_BYTES * 8;
	bool any = false;

	memset(bits, 0, MX_BITS_CHUNK_BYTES);
	for (u32 i = 0; i < MX_BITS_CHUNK_BYTES * 8 && first + i < v->map.nents; i++) {
		if (!(mx_map_at(&v->map, first + i)->flags & MX_EF_BIT))
			continue;
		bits[i / 8] |= (u8)(1 << (i & 7));
		any = true;
	}
	return any;
}

/* ---- extents listed ---- */

static bool unsure(const struct mx_vol *v)
{
	return mx_claim_desc(v->claim)->flags & MX_DESC_UNSURE;
}

/* A copy that counts for nothing, and that the descriptor does not name. */
static void left_over(struct mx_vs *s, u32 extent, u32 gen)
{
	struct mx_vol *v = s->vol;

	v->gen_used = mx_max_u32(v->gen_used, gen);	/* what takes its place is newer */
	if (!mx_vs_left_over(s, extent, gen))
		s->relist = true;
}

static void put_entry(struct mx_vs *s, struct mx_ent *ent, const struct mx_ext_entry *e)
{
	struct mx_vol *v = s->vol;

	ent->gen = e->gen;
	ent->srv[0] = s->idx;
	ent->flags &= MX_EF_BIT;
	ent->flags |= e->pages || (e->flags & MX_EXT_LOSTBASE) ? MX_EF_DATA : MX_EF_EMPTY;
	if (e->flags & MX_EXT_LOSTBASE)
		ent->flags |= MX_EF_LOSTBASE;
	s->extents++;
	mx_map_set(&v->map, ent, MX_EXT_PLACED);
}

/* The volume is in use: the map knows better, but for what it does not know. */
static bool take_late(struct mx_vs *s, struct mx_ent *ent, const struct mx_ext_entry *e)
{
	if (ent->state == MX_EXT_UNKNOWN) {
		put_entry(s, ent, e);
		if (mx_bit_disagrees(ent)) {
			s->vol->sweep = mx_min_u32(s->vol->sweep, e->extent);
			mx_vol_tick_at(s->vol, 0);
		}
		return true;
	}
	if (ent->state != MX_EXT_PLACED || ent->srv[0] != s->idx)
		left_over(s, e->extent, e->gen);
	return true;
}

static bool comes_before(const struct mx_vol *v, const struct mx_ext_entry *e, const struct mx_ent *ent)
{
	u32 epoch = mx_num_epoch(e->num);

	if (unsure(v) && epoch != ent->act)
		return epoch < ent->act;
	return e->gen < ent->gen || (e->gen == ent->gen && epoch <= ent->act);
}

/* Two copies: the higher generation counts, then the later epoch (after a recovery,
 * which may have forgotten a move, the other way round). The other is to be recorded
 * as dead before the volume opens. */
static bool take_second(struct mx_vs *s, struct mx_ent *ent, const struct mx_ext_entry *e)
{
	struct mx_vol *v = s->vol;
	struct mx_vs *other = v->vs[ent->srv[0]];
	u32 epoch = mx_num_epoch(e->num);

	if (comes_before(v, e, ent))
		return mx_vol_new_dead(v, s, e->extent, e->gen);
	if (!mx_vol_new_dead(v, other, e->extent, ent->gen))
		return false;
	other->extents--;
	put_entry(s, ent, e);
	ent->act = epoch;
	return true;
}

bool mx_rebuild_take(struct mx_vs *s, const struct mx_ext_entry *e)
{
	struct mx_vol *v = s->vol;
	struct mx_ent *ent;

	if (mx_desc_is_dead(v, s, e->extent, e->gen))
		return true;		/* mx_vs_drops() sees to it */
	if (mx_desc_is_dead(v, s, e->extent, MX_GEN_ANY) || e->extent >= v->map.nents ||
	    (e->flags & MX_EXT_INCOMING)) {
		left_over(s, e->extent, e->gen);
		return true;
	}
	ent = mx_map_at(&v->map, e->extent);
	if (v->phase != MX_VP_REBUILD)
		return take_late(s, ent, e);
	if (ent->state == MX_EXT_PLACED && ent->srv[0] != s->idx)
		return take_second(s, ent, e);
	if (ent->state == MX_EXT_PLACED)
		s->extents--;		/* listed once more */
	put_entry(s, ent, e);
	ent->act = mx_num_epoch(e->num);
	return true;
}

/* ---- conclusions ---- */

bool mx_rebuild_all_told(const struct mx_vol *v)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i] && v->vs[i]->state != MX_VS_GONE && !v->vs[i]->listed &&
		    v->vs[i]->state >= MX_VS_SEAL)
			return false;
	return true;
}

static bool counts(const struct mx_vol *v, const struct mx_ent *e)
{
	return (e->flags & MX_EF_BIT) || unsure(v);
}

static void conclude(struct mx_vol *v, bool told)
{
	for (u32 i = 0; i < v->map.nents; i++) {
		struct mx_ent *e = mx_map_at(&v->map, i);

		e->act = 0;
		if (e->state == MX_EXT_PLACED && !counts(v, e)) {
			struct mx_vs *s = v->vs[e->srv[0]];

			left_over(s, i, e->gen);
			s->extents--;
			e->srv[0] = 0;
			e->flags = 0;
			mx_map_set(&v->map, e, MX_EXT_HOLE);
		} else if (e->state == MX_EXT_HOLE && !told && counts(v, e)) {
			mx_map_set(&v->map, e, MX_EXT_UNKNOWN);
		} else if (e->state == MX_EXT_HOLE && (e->flags & MX_EF_BIT)) {
			mx_map_set(&v->map, e, MX_EXT_LOST);
		}
	}
	v->sweep = 0;
}

static bool something_to_record(const struct mx_vol *v)
{
	return v->nnewdead != 0;
}

void mx_rebuild_check(struct mx_vol *v, mx_ns now)
{
	bool told;

	if (v->phase == MX_VP_RECORD && !something_to_record(v)) {
		mx_vol_opened(v, MX_OK, now);
		return;
	}
	if (v->phase != MX_VP_REBUILD || !v->bits_done)
		return;
	told = mx_rebuild_all_told(v);
	if (!told && now < v->rebuild_until) {
		mx_vol_tick_at(v, v->rebuild_until);
		return;
	}
	conclude(v, told);
	v->phase = MX_VP_RECORD;
	mx_vol_sync_desc(v, now);
	if (!something_to_record(v))
		mx_vol_opened(v, MX_OK, now);
}

static void tell_lost(struct mx_vol *v, u64 n, mx_ns now)
{
	char line[200];
	struct mx_text t;

	mx_text_init(&t, line, sizeof line);
	mx_text_str(mx_text_u64(&t, n), " extents of 1 MiB are lost: the server that held them has "
					"restarted");
	mx_vol_event(v, &t, now);
}

/* A server that was silent has told, or is gone. */
void mx_rebuild_late(struct mx_vol *v, mx_ns now)
{
	u64 n = v->map.count[MX_EXT_UNKNOWN], lost = v->map.count[MX_EXT_LOST];

	if (v->phase <= MX_VP_RECORD || (!n && mx_list_empty(&v->unknown)))
		return;
	if (n && mx_rebuild_all_told(v)) {
		for (u32 i = 0; i < v->map.nents; i++) {
			struct mx_ent *e = mx_map_at(&v->map, i);

			if (e->state == MX_EXT_UNKNOWN)
				mx_map_set(&v->map, e, e->flags & MX_EF_BIT ? MX_EXT_LOST :
									      MX_EXT_HOLE);
		}
		n = v->map.count[MX_EXT_LOST] - lost;
		if (n)
			tell_lost(v, n, now);
	}
	mx_reads_retry(v, now);
	mx_acts_retry(v, now);
}

/* ---- start ---- */

static bool take_servers(struct mx_vol *v, mx_ns now)
{
	const struct mx_desc *d = mx_claim_desc(v->claim);

	for (u32 i = 0; i < d->nenrolled; i++) {
		const struct mx_srvref *r = &d->enrolled[i];

		struct mx_vs *s;

		if (r->state == MX_ENR_GONE)
			continue;
		s = mx_vs_new(v, r->id, r->incarnation, &r->addr, MX_VS_SEAL, now);
		if (!s)
			return false;
		for (u32 k = 0; k < d->ndead; k++)
			s->voided |= d->dead[k].server == i && d->dead[k].gen == MX_GEN_ANY;
	}
	return true;
}

void mx_rebuild_start(struct mx_vol *v, mx_ns now)
{
	v->phase = MX_VP_REBUILD;
	v->rebuild_until = now + v->conf.rebuild_wait;
	if (!take_servers(v, now)) {
		mx_vol_opened(v, MX_ST_NOMEM, now);
		return;
	}
	mx_claim_read_bits(v->claim, now, take_chunk, bits_read);
	for (u32 i = 1; i < v->nvs; i++)
		mx_vs_check(v->vs[i], now);
	mx_vol_tick_at(v, v->rebuild_until);
}

/* Bits are read anew after the claim was lost and taken again. */
void mx_rebuild_again(struct mx_vol *v, mx_ns now)
{
	if (v->phase == MX_VP_REBUILD && !v->bits_done)
		mx_claim_read_bits(v->claim, now, take_chunk, bits_read);
}
