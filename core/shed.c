// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A server that holds more than it may (its ceiling went down, because its host is
 * short of memory) asks owners to move extents away, until it does not. It drops
 * nothing itself, and an owner may have no other place for them.
 *
 * Every second one owner is asked for as much as there is too much, at most
 * MX_SHED_MAX extents; which volume's, and from which extent on, is random. What is
 * asked for twice, or was moved before the message arrives, does no harm.
 */
#include "server_int.h"

#define LOOKUPS	64u	/* of owners, each second */

/* The session of a volume's owner, of several the one heard last. NULL: it has none here,
 * or there is no owner. A node says itself who it is: one that came with the key of
 * another volume is not believed. */
static struct mx_peer *owner_of(struct mx_server *s, const struct mx_svol *v)
{
	struct mx_peer *owner = NULL;
	const struct mx_list *n;
	const u8 *desc;
	u32 len;

	desc = mx_svol_desc(v, &len);
	if (!desc || mx_ld32(desc + MX_DESC_EPOCH) != mx_svol_epoch(v))
		return NULL;
	mx_list_for_each(n, &s->speers) {
		const struct mx_speer *sp = mx_list_entry(n, struct mx_speer, node);
		const struct mx_node *node = mx_peer_node(sp->peer);

		if (node->id == mx_ld64(desc + MX_DESC_OWNER) &&
		    node->incarnation == mx_ld64(desc + MX_DESC_OWNER + 8) &&
		    mx_srv_allowed(sp, desc + MX_DESC_NAME) &&
		    (!owner || mx_peer_heard(sp->peer) > mx_peer_heard(owner)))
			owner = sp->peer;
	}
	return owner;
}

static u32 random_below(struct mx_server *s, u32 n)
{
	u32 r;

	s->port->random(s->port->ctx, &r, sizeof r);
	return (u32)((u64)r * n >> 32);
}

/* From the volume whose number in their list is @at on, the first that has data and an
 * owner, LOOKUPS being looked for at most. */
static struct mx_svol *owned_volume(struct mx_server *s, u64 at, struct mx_peer **owner)
{
	u64 n = 0, end = at + mx_store_stats(s->store)->volumes;
	struct mx_svol *v = NULL;
	u32 lookups = 0;

	while (n < end && lookups < LOOKUPS) {
		v = mx_svol_next(s->store, v);
		if (!v) {		/* the first comes after the last */
			if (!n)
				return NULL;
			continue;
		}
		if (n++ < at || !mx_svol_data_bytes(v))
			continue;
		lookups++;
		*owner = owner_of(s, v);
		if (*owner)
			return v;
	}
	return NULL;
}

/* Adds extents of @v in [from, end) until @bytes are free by them; true: they are. */
static bool add_extents(struct mx_shed_ask *a, struct mx_svol *v, u32 from, u32 end, u64 *bytes)
{
	struct mx_extinfo i;

	while (a->m.n < MX_SHED_MAX && *bytes && mx_svol_next_extent(v, from, &i) && i.extent < end) {
		from = i.extent + 1;
		if (!i.pages || (i.flags & MX_EXT_INCOMING))
			continue;
		a->e[a->m.n++] = (struct mx_shed_entry){ .extent = i.extent, .gen = i.gen };
		*bytes -= mx_min_u64((u64)i.pages * MX_PAGE, *bytes);
	}
	return a->m.n == MX_SHED_MAX || !*bytes;
}

static void choose_extents(struct mx_server *s, struct mx_shed_ask *a, struct mx_svol *v, u64 bytes)
{
	u32 all = MX_EXTENTS_MAX, from = 0, len;
	const u8 *desc = mx_svol_desc(v, &len);
	u64 size = mx_ld64(desc + MX_DESC_SIZE);

	if (size >= MX_EXTENT)
		from = random_below(s, (u32)(size >> MX_EXTENT_SHIFT));
	memcpy(a->m.uuid, mx_svol_uuid(v), MX_UUID);
	a->m.epoch = mx_svol_epoch(v);
	a->m.n = 0;
	if (!add_extents(a, v, from, all, &bytes))
		add_extents(a, v, 0, from, &bytes);
}

static enum mx_fill fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_shed_ask *a = mx_container_of(m, struct mx_shed_ask, txm);
	u32 hlen = mx_shed_hlen(a->m.n);
	struct mx_head h = { 0 };

	(void)p;
	if (r->head_room < hlen || r->room < hlen)
		return MX_FILL_NOROOM;
	r->hlen = mx_shed_encode(r->head, &h, &a->m, a->e);
	r->plen = r->nsegs = 0;
	return MX_FILL_DONE;
}

void mx_shed_init(struct mx_server *s)
{
	mx_txm_init(&s->shed.txm, fill);
}

void mx_shed_tick(struct mx_server *s)
{
	const struct mx_store_stats *st = mx_store_stats(s->store);
	u64 used = st->data_bytes + st->meta_bytes;
	struct mx_peer *owner;
	struct mx_svol *v;

	if (used <= st->ceiling || mx_txm_queued(&s->shed.txm))
		return;
	v = owned_volume(s, random_below(s, (u32)st->volumes), &owner);
	if (!v)
		return;
	choose_extents(s, &s->shed, v, used - st->ceiling);
	if (!s->shed.m.n)
		return;
	s->st.shed += s->shed.m.n;
	mx_peer_send(owner, &s->shed.txm);
}
