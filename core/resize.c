// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changing the size of an open volume. Growing: memory for the map, then the
 * descriptor. Shrinking: what is beyond is refused, discarded, and forgotten by
 * its servers; then the descriptor; then the map.
 */
#include "client_int.h"

#define FORGET_PATIENCE	(30 * MX_SEC)

enum stage { GROW, CUT, FORGET, SHRINK };

struct mx_resize {
	struct mx_vol *v;
	struct mx_vol_op *o;
	u8 stage;
	u64 size, old;
	struct mx_req req;
	bool discarded;
	enum mx_status st;
	mx_ns until;		/* FORGET ends */
};

static u32 extents_of(u64 size)
{
	return (u32)((size + MX_EXTENT - 1) >> MX_EXTENT_SHIFT);
}

static void end(struct mx_vol *v, enum mx_status st, const char *err, mx_ns now)
{
	struct mx_vol_op *o = v->resize->o;

	v->new_size = 0;
	v->c->port->free(v->c->port->ctx, v->resize, sizeof *v->resize);
	v->resize = NULL;
	if (v->phase == MX_VP_CLOSING)
		mx_vol_tick_at(v, now);
	if (o)
		o->done(o, st, st == MX_OK ? NULL : err ? err : mx_status_str(st), now);
}

void mx_resize_free(struct mx_vol *v)
{
	if (v->resize)
		end(v, MX_ST_CANCELLED, NULL, 0);
}

bool mx_resize_asks(const struct mx_vol *v)
{
	return v->resize && v->resize->stage == CUT && !v->resize->discarded;
}

/* The volume closes, and no request but ours is under way. */
void mx_resize_stop(struct mx_vol *v, mx_ns now)
{
	if (mx_resize_asks(v))
		mx_vol_end_all(v, MX_ST_CANCELLED, now);
	else
		end(v, MX_ST_CANCELLED, NULL, now);
}

static void discarded(struct mx_req *r, enum mx_status st)
{
	struct mx_resize *z = mx_container_of(r, struct mx_resize, req);

	z->discarded = true;
	z->st = st;
	mx_vol_tick_at(z->v, 0);	/* at once; not from here: we are being delivered */
}

void mx_resize_disown(struct mx_vol *v)
{
	if (v->resize)
		v->resize->o = NULL;
}

/*
 * The claim was lost and taken again. Somebody may have made the volume larger by
 * name meanwhile, which harms nobody's data, so that we were not fenced by it
 * (making it smaller opens it, and would have). A change of ours that is under
 * way goes on from there.
 */
void mx_resize_reclaimed(struct mx_vol *v, mx_ns now)
{
	u64 size = mx_claim_desc(v->claim)->size;
	struct mx_resize *z = v->resize;
	char line[120];
	struct mx_text t;

	if (size <= (z ? mx_max_u64(z->old, z->size) : v->size))
		return;
	mx_text_init(&t, line, sizeof line);
	if (extents_of(size) > v->map.nents && !mx_map_resize(&v->map, v->c->port, extents_of(size))) {
		mx_text_str(&t, "it was made larger, but there is not enough memory for its map; what was "
				"added cannot be used");
		mx_vol_event(v, &t, now);
		return;
	}
	if (z) {
		z->old = size;
		return;
	}
	v->size = size;
	mx_text_bytes(mx_text_str(&t, "it was made larger by another client: "), size);
	mx_vol_event(v, &t, now);
}

/* True when nothing beyond the new end is anywhere any more. */
static bool all_forgotten(struct mx_vol *v, mx_ns now)
{
	bool all = true;

	for (u32 i = extents_of(v->resize->size); i < v->map.nents; i++) {
		struct mx_ent *e = mx_map_at(&v->map, i);
		struct mx_act *a;

		if (e->state == MX_EXT_HOLE && !e->act && !(e->flags & MX_EF_BIT))
			continue;
		all = false;
		if (e->act || e->state == MX_EXT_UNKNOWN)
			continue;
		/* Its server has only zeroes of it. */
		a = mx_act_get(v, i);
		if (!a)
			break;
		e->flags &= ~(MX_EF_DATA | MX_EF_LOSTBASE);
		mx_act_clear(a, now);
	}
	return all;
}

void mx_resize_tick(struct mx_vol *v, mx_ns now)
{
	struct mx_resize *z = v->resize;

	if (v->fail) {
		end(v, v->fail, v->err, now);
		return;
	}
	if (z->stage == CUT && z->discarded) {
		if (z->st != MX_OK) {
			v->size = z->old;
			end(v, z->st, "what is to be cut off could not be discarded", now);
			return;
		}
		z->stage = FORGET;
		z->until = now + FORGET_PATIENCE;
	}
	if (z->stage == FORGET && all_forgotten(v, now)) {
		z->stage = SHRINK;
		v->new_size = z->size;
		mx_vol_sync_desc(v, now);
	}
	if (z->stage == FORGET && now >= z->until) {
		v->size = z->old;
		end(v, MX_ST_TIMEOUT, "a server that keeps the volume's descriptor, or data beyond the new "
		    "end, does not answer; try again when all are there", now);
		return;
	}
	if (z->stage == FORGET)
		mx_vol_tick_at(v, now + 10 * MX_MS);
}

void mx_resize_edited(struct mx_vol *v, enum mx_status st, mx_ns now)
{
	struct mx_resize *z = v->resize;
	char line[80];
	struct mx_text t;
	bool late;

	if (!z || st != MX_OK)		/* not OK: it is edited again */
		return;
	v->size = z->size;
	if (z->stage == SHRINK)
		mx_map_resize(&v->map, v->c->port, extents_of(z->size));
	late = !z->o;
	end(v, MX_OK, NULL, now);
	if (late) {	/* who asked was told of a timeout */
		mx_text_init(&t, line, sizeof line);
		mx_text_bytes(mx_text_str(&t, "its size was changed after all: "), v->size);
		mx_vol_event(v, &t, now);
	}
}

static void grow(struct mx_vol *v, mx_ns now)
{
	struct mx_resize *z = v->resize;

	z->stage = GROW;
	if (!mx_map_resize(&v->map, v->c->port, extents_of(z->size))) {
		end(v, MX_ST_NOMEM, "not enough memory for the map of the larger volume", now);
		return;
	}
	v->new_size = z->size;
	mx_vol_sync_desc(v, now);
}

static void cut(struct mx_vol *v, mx_ns now)
{
	struct mx_resize *z = v->resize;

	z->stage = CUT;
	v->size = z->size;
	z->req.op = MX_REQ_DISCARD;
	z->req.flags = MX_REQ_INTERNAL;
	z->req.off = z->size;
	z->req.len = z->old - z->size;
	z->req.done = discarded;
	mx_vol_submit(v, &z->req, now);
}

void mx_vol_resize(struct mx_vol *v, u64 size, struct mx_vol_op *o, mx_ns now)
{
	const struct mx_port *port = v->c->port;
	struct mx_resize *z;

	if (v->fail || v->phase != MX_VP_OPEN || v->conf.read_only) {
		o->done(o, v->fail ? v->fail : MX_ST_READ_ONLY, "the volume is not open for writing", now);
		return;
	}
	if (!size || size & (MX_BLOCK - 1) || size > MX_VOL_BYTES_MAX) {
		o->done(o, MX_ST_INVALID, "the size must be a multiple of 512 bytes, above 0 and at most "
			"1 PiB", now);
		return;
	}
	if (v->resize) {
		o->done(o, MX_ST_BUSY, "its size is being changed already", now);
		return;
	}
	z = port->alloc(port->ctx, sizeof *z);
	if (!z) {
		o->done(o, MX_ST_NOMEM, "not enough memory", now);
		return;
	}
	v->resize = z;
	z->v = v;
	z->o = o;
	z->size = size;
	z->old = v->size;
	if (size == v->size)
		end(v, MX_OK, NULL, now);
	else if (size > v->size)
		grow(v, now);
	else
		cut(v, now);
}
