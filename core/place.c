// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Choosing servers, and looking for more of them.
 */
#include "client_int.h"

#define FULL_FOR	(200 * MX_MS)	/* a server that was full is asked again after */
#define RETRY		(100 * MX_MS)	/* what waits for a server is tried again after */
#define HEARD_LATELY	(20 * MX_SEC)
#define ENROLL_FIRST	4u	/* servers of a small volume */
#define ENROLL_STEP	16u	/* extents placed for each one more */
#define ENROLL_EVER	1000u		/* incarnations in a descriptor, so that some are left */

/* ---- choosing ---- */

static bool has_room(const struct mx_vs *s, mx_ns now)
{
	return !s->leaving && !(s->full && now < s->full_at + FULL_FOR);
}

static u64 room_left(const struct mx_vs *s)
{
	return s->free - mx_min_u64(s->free, s->booked);
}

/* @not is the source of a move: then those it has tried are left out too. */
static bool usable(const struct mx_vs *s, const struct mx_vs *not, u64 room, mx_ns now)
{
	return s && s != not && mx_vs_ok(s) && !s->voided && has_room(s, now) && room_left(s) >= room &&
	       (!not || s->tried != s->vol->move.serial);
}

static struct mx_vs *nth_usable(struct mx_vol *v, const struct mx_vs *not, u64 room, u32 n, mx_ns now)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (usable(v->vs[i], not, room, now) && !n--)
			return v->vs[i];
	return NULL;
}

static u64 weight(u64 room, u32 load)
{
	return (room >> 12) * (1001 - mx_min_u32(load, 1000));
}

/* Two different ones of @n, which is 2 at least. */
static void draw_two(struct mx_client *c, u32 n, u32 *i, u32 *j)
{
	*i = mx_client_random(c, n);
	*j = mx_client_random(c, n - 1);
	*j += *j >= *i;
}

/* Two at random, the better of them. */
static struct mx_vs *choose_two(struct mx_vol *v, const struct mx_vs *not, u64 room, mx_ns now)
{
	struct mx_vs *a, *b;
	u32 n = 0, i, j;

	for (i = 1; i < v->nvs; i++)
		n += usable(v->vs[i], not, room, now);
	if (n < 2)
		return n ? nth_usable(v, not, room, 0, now) : NULL;
	draw_two(v->c, n, &i, &j);
	a = nth_usable(v, not, room, i, now);
	b = nth_usable(v, not, room, j, now);
	return weight(room_left(b), b->load) > weight(room_left(a), a->load) ? b : a;
}

/* On its way to be usable. */
static bool coming(const struct mx_vs *s)
{
	switch (s->state) {
	case MX_VS_CAND:
	case MX_VS_ENROLL:
		return true;
	case MX_VS_SEAL:
	case MX_VS_LIST:
		return mx_srv_up(s->srv) && !s->leaving && !s->full;
	default:
		return false;
	}
}

static enum mx_placed choose_wanted(struct mx_vol *v, const struct mx_vs *not, u64 id,
				    struct mx_vs **out, mx_ns now)
{
	const struct mx_member *m = mx_ep_member_by_id(v->c->ep, id);
	struct mx_vs *s = NULL;

	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i] && v->vs[i]->id == id && v->vs[i]->state != MX_VS_GONE)
			s = v->vs[i];
	if (s == not && s)
		return MX_PLACE_FULL;
	if (!s && m) {
		s = mx_vs_new(v, id, 0, &m->addr, MX_VS_CAND, now);
		mx_vol_tick_at(v, now);
		return s ? MX_PLACE_WAIT : MX_PLACE_FULL;
	}
	if (!s)
		return MX_PLACE_FULL;
	if (usable(s, not, 0, now)) {
		*out = s;
		return MX_PLACED;
	}
	return has_room(s, now) ? MX_PLACE_WAIT : MX_PLACE_FULL;
}

/* Servers are heard, but none that is not ours already has room: a full pool,
 * not one that is still to be found. */
static bool pool_full(struct mx_vol *v, mx_ns now)
{
	u32 i, n = mx_ep_nmembers(v->c->ep);

	for (i = 0; i < n; i++) {
		const struct mx_member *m = mx_ep_member(v->c->ep, i);

		if ((m->flags & MX_MEMBER_SERVER) && now < m->heard + HEARD_LATELY &&
		    ((m->flags & MX_MEMBER_LEAVING) || m->free < MX_EXTENT))
			return true;
	}
	return false;
}

enum mx_placed mx_place_choose(struct mx_vol *v, const struct mx_vs *not, u64 wanted, u64 need,
			       struct mx_vs **out, mx_ns now)
{
	bool full = false;

	if (wanted)
		return choose_wanted(v, not, wanted, out, now);
	*out = choose_two(v, not, MX_EXTENT, now);
	if (*out)
		return MX_PLACED;
	v->want_servers = true;
	mx_vol_tick_at(v, now + RETRY);
	/* Announcements lag behind: a server that says it has little is asked all
	 * the same, unless what is to be moved there is known not to fit. */
	mx_place_recruit(v, now);
	for (u32 i = 1; i < v->nvs; i++) {
		if (!v->vs[i])
			continue;
		if (coming(v->vs[i]))
			return MX_PLACE_WAIT;
		full |= v->vs[i]->state == MX_VS_READY && !has_room(v->vs[i], now);
	}
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (usable(s, not, 0, now) && s->free >= need && (!*out || s->free > (*out)->free))
			*out = s;
	}
	if (*out)
		return MX_PLACED;
	return full || not || pool_full(v, now) ? MX_PLACE_FULL : MX_PLACE_WAIT;
}

/* Above all that any copy of it may have: as the map knows, as the descriptor calls
 * dead, and as a move that was given up may yet call dead (gen_used). */
u32 mx_next_gen(struct mx_vol *v, u32 extent)
{
	const struct mx_desc *d = mx_claim_desc(v->claim);
	u32 gen = mx_max_u32(mx_map_at(&v->map, extent)->gen, v->gen_used);

	for (u32 i = 0; i < d->ndead; i++)
		if (d->dead[i].extent == extent && d->dead[i].gen > gen &&
		    d->dead[i].gen != MX_GEN_ANY)
			gen = d->dead[i].gen;
	return gen + 1;
}

/* Gives an extent without a server one. */
enum mx_placed mx_place(struct mx_vol *v, u32 extent, mx_ns now)
{
	struct mx_ent *e = mx_map_at(&v->map, extent);
	struct mx_vs *s;
	enum mx_placed r = mx_place_choose(v, NULL, 0, 0, &s, now);

	if (r != MX_PLACED)
		return r;
	e->gen = mx_next_gen(v, extent);
	e->flags &= MX_EF_BIT;
	if (e->state == MX_EXT_LOST)
		e->flags |= MX_EF_LOSTBASE;
	e->srv[0] = s->idx;
	s->extents++;
	s->booked += MX_EXTENT;
	mx_map_set(&v->map, e, MX_EXT_PLACED);
	if (v->map.count[MX_EXT_PLACED] % ENROLL_STEP == 0) {
		v->want_servers = true;
		mx_vol_tick_at(v, now);	/* nothing is allocated on a request's path */
	}
	return MX_PLACED;
}

/* ---- enrolling ---- */

static bool known(const struct mx_vol *v, u64 id)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i] && v->vs[i]->id == id && v->vs[i]->state != MX_VS_GONE)
			return true;
	return false;
}

static bool eligible(const struct mx_vol *v, const struct mx_member *m, mx_ns now)
{
	return (m->flags & MX_MEMBER_SERVER) && !(m->flags & MX_MEMBER_LEAVING) &&
	       m->free >= MX_EXTENT && now < m->heard + HEARD_LATELY && !known(v, m->node.id);
}

/* Members that could be enrolled, and the extents they have room for in all. */
static u32 count_eligible(const struct mx_vol *v, u64 *room, mx_ns now)
{
	u32 members = mx_ep_nmembers(v->c->ep), n = 0;

	*room = 0;
	for (u32 i = 0; i < members; i++) {
		const struct mx_member *m = mx_ep_member(v->c->ep, i);

		if (eligible(v, m, now)) {
			*room += m->free / MX_EXTENT;
			n++;
		}
	}
	return n;
}

static const struct mx_member *nth_eligible(const struct mx_vol *v, u32 n, mx_ns now)
{
	u32 members = mx_ep_nmembers(v->c->ep);

	for (u32 i = 0; i < members; i++) {
		const struct mx_member *m = mx_ep_member(v->c->ep, i);

		if (eligible(v, m, now) && !n--)
			return m;
	}
	return NULL;
}

/* Two of @n at random, the better of them. */
static const struct mx_member *better_member(const struct mx_vol *v, u32 n, mx_ns now)
{
	const struct mx_member *a, *b;
	u32 i, j;

	if (n < 2)
		return nth_eligible(v, 0, now);
	draw_two(v->c, n, &i, &j);
	a = nth_eligible(v, i, now);
	b = nth_eligible(v, j, now);
	return weight(b->free, b->load) > weight(a->free, a->load) ? b : a;
}

struct enrolled {
	u32 have;	/* with room, and in touch or about to be */
	u32 fresh;	/* with at least half the room that members not enrolled have on average */
	u32 ever;
};

static void count_enrolled(struct mx_vol *v, struct enrolled *e, u64 others_room, u32 others,
			   mx_ns now)
{
	*e = (struct enrolled){ .ever = mx_claim_desc(v->claim)->nenrolled };
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (!s || s->state == MX_VS_GONE)
			continue;
		e->ever += s->state == MX_VS_CAND || s->state == MX_VS_ENROLL;
		if (s->full && now >= s->full_at + FULL_FOR && s->free >= MX_EXTENT)
			s->full = false;
		if (s->full || s->leaving || room_left(s) < MX_EXTENT)
			continue;
		e->have += usable(s, NULL, MX_EXTENT, now) || coming(s);
		e->fresh += room_left(s) / MX_EXTENT * 2 * others >= others_room;
	}
}

/*
 * Makes candidates of members as the volume grows: a few at first, then another one
 * for each ENROLL_STEP extents, each the better of two. Every server more is one
 * more whose crash is the volume's loss, and what is chosen late is chosen by what
 * is free then. There are never more than enroll_max with room, but for those that
 * have little left beside what the others in the pool have.
 */
void mx_place_recruit(struct mx_vol *v, mx_ns now)
{
	u64 want = ENROLL_FIRST + v->map.count[MX_EXT_PLACED] / ENROLL_STEP, room;
	struct enrolled e;
	u32 n;

	if (v->conf.read_only || v->fail || !mx_vol_running(v))
		return;
	n = count_eligible(v, &room, now);
	count_enrolled(v, &e, room, n, now);
	for (; n && e.have < want && e.fresh < v->conf.enroll_max && e.ever < ENROLL_EVER; n--) {
		const struct mx_member *m = better_member(v, n, now);

		if (!mx_vs_new(v, m->node.id, 0, &m->addr, MX_VS_CAND, now))
			return;
		e.have++;
		e.fresh++;
		e.ever++;
		mx_vol_tick_at(v, now);
	}
	v->want_servers = !e.have;	/* else the next step of growth looks again */
}
