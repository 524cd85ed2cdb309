// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The owner's side of SHED: a server that has to hold less asks for extents to be
 * moved away. One at a time is, as by mx_vol_move(), of those in the last message; when
 * one cannot be, for want of room in the pool most likely, they are forgotten, and so are
 * further messages for a while: whoever still has too much asks again.
 */
#include "client_int.h"

#define PAUSE	(5 * MX_SEC)	/* after one that could not be moved */

/* Is it still there, where it was asked for? @by: who asks; NULL: whoever has it. */
static bool is_at(const struct mx_vol *v, const struct mx_node *by, u32 extent, u32 gen)
{
	const struct mx_ent *e = extent < v->map.nents ? mx_map_at(&v->map, extent) : NULL;
	const struct mx_vs *s;

	if (!e || e->state != MX_EXT_PLACED || e->gen != gen)
		return false;
	s = v->vs[e->srv[0]];
	return !by || (s->id == by->id && s->inc == by->incarnation);
}

static struct mx_vol *vol_of(struct mx_client *c, const struct mx_shed *m)
{
	struct mx_list *n;

	mx_list_for_each(n, &c->vols) {
		struct mx_vol *v = mx_list_entry(n, struct mx_vol, node);

		if (v->phase == MX_VP_OPEN && !v->tell_opened && v->epoch == m->epoch &&
		    memcmp(v->uuid, m->uuid, MX_UUID) == 0)
			return v;
	}
	return NULL;
}

void mx_shed_rx(struct mx_client *c, struct mx_peer *p, const struct mx_head *h, const u8 *head,
		mx_ns now)
{
	/* By whichever of its addresses. */
	const struct mx_node *by = mx_peer_node(p);
	struct mx_shed_todo *t;
	struct mx_shed m;
	struct mx_vol *v;

	if (!mx_shed_decode(head, h, &m))
		return;
	v = vol_of(c, &m);
	if (!v || v->fail || v->conf.read_only || now < v->shed.not_before)
		return;
	/* All that is asked for now: of what was before, there may be no need any more. */
	t = &v->shed;
	t->n = 0;
	for (u32 i = 0; i < m.n && t->n < MX_SHED_MAX; i++) {
		struct mx_shed_entry e;

		mx_shed_entry(head, i, &e);
		if (is_at(v, by, e.extent, e.gen))
			t->e[t->n++] = e;
	}
	if (t->n)
		mx_vol_tick_at(v, now);
}

static void moved(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct mx_vol *v = o->user;
	struct mx_shed_todo *t = &v->shed;

	(void)err;
	t->busy = false;
	if (st != MX_OK && st != MX_ST_BUSY) {
		t->n = 0;
		t->not_before = now + PAUSE;
	}
	mx_vol_tick_at(v, now);
}

/* From the volume's tick: begins with the next that is still where it was, when nothing
 * else is being moved: writes to it wait from now on. */
void mx_shed_next(struct mx_vol *v, mx_ns now)
{
	struct mx_shed_todo *t = &v->shed;

	while (t->n && !t->busy && !v->move.stage && v->phase == MX_VP_OPEN && !v->fail) {
		u32 extent = t->e[--t->n].extent;

		if (!is_at(v, NULL, extent, t->e[t->n].gen))
			continue;
		t->op.done = moved;
		t->op.user = v;
		t->busy = true;
		mx_vol_move(v, extent, 0, &t->op, now);
	}
}
