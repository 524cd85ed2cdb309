// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A volume's servers. Each is one incarnation of one node. On the way to READY it
 * is sealed (it learns our epoch) and, if it was enrolled before we came, lists
 * what it holds.
 *
 *	CAND -> ENROLL -> SEAL -> [LIST ->] READY
 *	                  SEAL <----------- READY	epoch changed, or it asks for it
 *	any of them -> GONE
 *
 * Whether an incarnation is over is decided by one thing only: the node answered
 * a SEAL over a session of another incarnation. What members announce and what a
 * fresh session says are reasons to ask, because either may be older than the
 * descriptor.
 */
#include "client_int.h"
#include "store.h"

#define SEAL_PATIENCE	(3 * MX_SEC)
#define CALL_PATIENCE	(5 * MX_SEC)
#define RETRY		(200 * MX_MS)
#define CAND_PATIENCE	(3 * MX_SEC)

static void seal_start(struct mx_vs *s, mx_ns now);
static void list_start(struct mx_vs *s, mx_ns now);

const char *mx_vs_name(const struct mx_vs *s)
{
	const struct mx_member *m = mx_ep_member_by_id(s->vol->c->ep, s->id);
	const struct mx_node *n = s->srv ? mx_peer_node(s->srv->peer) : NULL;

	if (n && n->id == s->id && n->name[0])
		return n->name;
	return m && m->node.name[0] ? m->node.name : "(name unknown)";
}

bool mx_vs_ok(const struct mx_vs *s)
{
	return s->state == MX_VS_READY && mx_srv_up(s->srv);
}

static void retry_later(struct mx_vs *s, mx_ns now, mx_ns wait)
{
	s->retry_at = now + wait;
	mx_vol_tick_at(s->vol, s->retry_at);
}

static void call_end(struct mx_vs *s)
{
	s->busy = false;
	if (s->sealing_body)
		s->vol->seal_users--;
	s->sealing_body = false;
}

static void call_cancel(struct mx_vs *s)
{
	if (!s->busy)
		return;
	mx_call_cancel(&s->call);
	call_end(s);
}

static bool enrolled(const struct mx_vs *s)
{
	return s->state == MX_VS_SEAL || s->state == MX_VS_LIST || s->state == MX_VS_READY;
}

/* ---- parts that wait for the server ---- */

/* What is under way stops; it starts anew when the server is ready. */
static void park_all(struct mx_vs *s)
{
	struct mx_vol *v = s->vol;

	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->vs != s || (io->state != MX_IO_SENT && io->state != MX_IO_QUEUED))
			continue;
		mx_io_detach(io);
		io->state = MX_IO_PARKED;
		mx_list_add_tail(&s->parked, &io->node);
	}
}

static void unpark_all(struct mx_vs *s, mx_ns now)
{
	struct mx_list turn;

	mx_list_take(&turn, &s->parked);
	while (!mx_list_empty(&turn)) {
		struct mx_io *io = mx_list_entry(turn.next, struct mx_io, node);

		mx_list_del(&io->node);
		/* A number of this epoch; what was sent before is an older write. */
		if (io->op != MX_REQ_READ && io->op != MX_IO_BLKSTAT)
			io->num = mx_vol_next_num(s->vol);
		mx_io_start(io, now);
	}
}

static void set_state(struct mx_vs *s, enum mx_vs_state st, mx_ns now)
{
	s->state = (u8)st;
	if (st != MX_VS_READY)
		return;
	if (s->reported) {
		char line[200];
		struct mx_text t;

		s->reported = false;
		mx_text_init(&t, line, sizeof line);
		mx_text_str(mx_text_str(&t, "server "), mx_vs_name(s));
		mx_text_str(&t, " is back");
		mx_vol_event(s->vol, &t, now);
	}
	unpark_all(s, now);
	mx_acts_retry(s->vol, now);
	mx_vs_drops(s, now);
}

/* ---- making and ending ---- */

struct mx_vs *mx_vs_find(const struct mx_vol *v, u64 id, u64 inc)
{
	for (u32 i = 1; i < v->nvs; i++)
		if (v->vs[i] && v->vs[i]->id == id && v->vs[i]->inc == inc)
			return v->vs[i];
	return NULL;
}

static void attach(struct mx_vs *s, mx_ns now)
{
	const struct mx_member *m = mx_ep_member_by_id(s->vol->c->ep, s->id);

	if (m)
		s->addr = m->addr;
	s->srv = mx_srv_get(s->vol->c, &s->addr, now);
	if (!s->srv)
		retry_later(s, now, RETRY);
}

/* NULL: no memory, or too many. The next tick looks at it; callers see to one. */
struct mx_vs *mx_vs_new(struct mx_vol *v, u64 id, u64 inc, const struct mx_addr *a,
			enum mx_vs_state st, mx_ns now)
{
	const struct mx_port *port = v->c->port;
	const struct mx_member *m = mx_ep_member_by_id(v->c->ep, id);
	struct mx_vs *s;
	u32 i = 1;

	while (i < v->nvs && v->vs[i])
		i++;
	if (i == MX_VS_MAX)
		return NULL;
	s = port->alloc(port->ctx, sizeof *s);
	if (!s)
		return NULL;
	s->vol = v;
	s->idx = (u16)i;
	s->id = id;
	s->inc = inc;
	s->addr = *a;
	s->state = (u8)st;
	s->since = now;
	s->retry_at = now;	/* its session may be up already: then nothing else wakes it */
	s->free = m ? m->free : 1ull << 30;
	s->load = m ? m->load : 0;
	mx_list_init(&s->parked);
	if (st != MX_VS_GONE)
		attach(s, now);
	v->vs[i] = s;
	if (i >= v->nvs)
		v->nvs = i + 1;
	return s;
}

/* Nothing may refer to it any more. */
void mx_vs_free(struct mx_vs *s)
{
	struct mx_vol *v = s->vol;

	call_cancel(s);
	if (s->srv)
		mx_srv_put(s->srv);
	v->vs[s->idx] = NULL;
	while (v->nvs > 1 && !v->vs[v->nvs - 1])
		v->nvs--;
	v->c->port->free(v->c->port->ctx, s, sizeof *s);
}

void mx_vs_stop(struct mx_vs *s)
{
	call_cancel(s);
}

/* Has anything that is there been acknowledged to the user? Not so if only the
 * server has said so yet (the bit is not set), or if it is known to be zeroes. */
static bool was_told(const struct mx_ent *e)
{
	return (e->flags & MX_EF_LOSTBASE) || (e->flags & (MX_EF_BIT | MX_EF_EMPTY)) == MX_EF_BIT;
}

/* Every extent there: lost if anything was acknowledged of it. */
static u32 lose_extents(struct mx_vs *s)
{
	struct mx_vol *v = s->vol;
	u32 lost = 0;

	for (u32 i = 0; s->extents && i < v->map.nents; i++) {
		struct mx_ent *e = mx_map_at(&v->map, i);

		if (e->srv[0] != s->idx)
			continue;
		mx_map_set(&v->map, e, was_told(e) ? MX_EXT_LOST : MX_EXT_HOLE);
		lost += e->state == MX_EXT_LOST;
		e->flags &= MX_EF_BIT;
		e->srv[0] = 0;
		s->extents--;
		if (e->state == MX_EXT_HOLE && e->flags)
			v->sweep = 0;
	}
	return lost;
}

static void tell_gone(struct mx_vs *s, u32 lost, mx_ns now)
{
	char line[300];
	struct mx_text t;

	mx_text_init(&t, line, sizeof line);
	mx_text_str(mx_text_str(&t, "server "), mx_vs_name(s));
	mx_text_str(&t, " has restarted and holds nothing of before");
	if (lost) {
		mx_text_str(mx_text_u64(mx_text_str(&t, ": "), lost),
			    " extents of 1 MiB are lost; reading them is an error until they are "
			    "written or discarded");
	}
	mx_vol_event(s->vol, &t, now);
}

void mx_vs_gone(struct mx_vs *s, mx_ns now)
{
	struct mx_vol *v = s->vol;
	u32 lost;

	if (s->state == MX_VS_GONE)
		return;
	call_cancel(s);
	if (s->state == MX_VS_CAND || (s->state == MX_VS_ENROLL && !s->in_edit)) {
		mx_vs_free(s);
		return;
	}
	s->state = MX_VS_GONE;
	s->recorded = false;
	lost = lose_extents(s);
	if (v->phase >= MX_VP_REBUILD)
		tell_gone(s, lost, now);
	mx_move_vs_gone(v, s, now);
	for (u32 i = 0; i < v->nios; i++) {
		struct mx_io *io = &v->ios[i];

		if (io->vs == s && !(io->flags & MX_IOF_INTERNAL) &&
		    (io->state == MX_IO_SENT || io->state == MX_IO_QUEUED ||
		     io->state == MX_IO_PARKED || io->state == MX_IO_BIT))
			mx_part_reroute(io, now);
	}
	if (s->srv)
		mx_srv_put(s->srv);
	s->srv = NULL;
	mx_vol_sync_desc(v, now);
	mx_rebuild_check(v, now);
	mx_rebuild_late(v, now);
	mx_acts_retry(v, now);
	mx_client_kick(v->c, now);
}

/* ---- SEAL ---- */

/* True if the answer came from this incarnation. False: it did not, or none came;
 * what follows from that is done. */
static bool answer_counts(struct mx_vs *s, enum mx_status st, mx_ns now)
{
	const struct mx_node *n = s->srv ? mx_peer_node(s->srv->peer) : NULL;

	if (st >= 64 || !n) {
		retry_later(s, now, RETRY);
		return false;
	}
	if (n->id != s->id) {
		retry_later(s, now, MX_SEC);
		return false;
	}
	if (n->incarnation != s->inc) {
		mx_vs_gone(s, now);
		return false;
	}
	return true;
}

static void seal_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_vs *s = mx_container_of(call, struct mx_vs, call);
	struct mx_vol *v = s->vol;

	(void)body;
	(void)len;
	call_end(s);
	if (!answer_counts(s, st, now))
		return;
	switch (st) {
	case MX_OK:
		/* Taken again under a higher epoch meanwhile: once more. */
		if (v->seal_epoch != v->epoch) {
			retry_later(s, now, 0);
			break;
		}
		if (s->listed) {
			set_state(s, MX_VS_READY, now);
			break;
		}
		set_state(s, MX_VS_LIST, now);
		s->list_from = 0;
		list_start(s, now);
		break;
	case MX_ST_FENCED:
		mx_vol_suspect(v, s, now);
		retry_later(s, now, MX_SEC);
		break;
	case MX_ST_FULL:
		s->full = true;
		s->full_at = now;
		retry_later(s, now, MX_SEC);
		break;
	default:		/* BUSY; NOT_ENROLLED: the descriptor was an old one */
		retry_later(s, now, RETRY);
		break;
	}
	mx_client_kick(v->c, now);
}

/* One encoded descriptor serves all calls at a time: it is large, and no memory
 * is to be asked for here. */
static bool seal_body(struct mx_vol *v)
{
	const struct mx_desc *d = mx_claim_desc(v->claim);
	struct mx_seal_req r = { .epoch = v->epoch, .claimant = *mx_ep_node(v->c->ep), .desc = d };

	if (v->seal_len && v->seal_version == d->version && v->seal_epoch == v->epoch)
		return true;
	if (v->seal_users)
		return false;
	v->seal_len = mx_seal_req_encode(v->seal_body, MX_CTL_BODY_MAX, &r);
	v->seal_version = d->version;
	v->seal_epoch = v->epoch;
	return v->seal_len != 0;
}

static void seal_start(struct mx_vs *s, mx_ns now)
{
	struct mx_vol *v = s->vol;

	if (s->busy || !mx_srv_up(s->srv))
		return;
	if (mx_claim_state(v->claim) != MX_CLAIM_HELD || !seal_body(v)) {
		retry_later(s, now, 10 * MX_MS);
		return;
	}
	s->busy = s->sealing_body = true;
	v->seal_users++;
	mx_call_start(&s->call, s->srv->peer, MX_OP_SEAL, v->seal_body, v->seal_len,
		      SEAL_PATIENCE, now, seal_done);
}

void mx_vs_seal(struct mx_vs *s, mx_ns now)
{
	if (!enrolled(s))
		return;
	/* A listing, or a drop, begun before is begun anew. */
	if (s->state != MX_VS_SEAL)
		call_cancel(s);
	park_all(s);
	set_state(s, MX_VS_SEAL, now);
	seal_start(s, now);
}

/* ---- LIST_EXTENTS ---- */

static void list_end(struct mx_vs *s, mx_ns now)
{
	struct mx_vol *v = s->vol;

	s->listed = true;
	set_state(s, MX_VS_READY, now);
	if (s->voided && !s->nleft && !s->relist)
		mx_vol_sync_desc(v, now);
	mx_rebuild_check(v, now);
	mx_rebuild_late(v, now);
}

static bool list_take(struct mx_vs *s, const u8 *body, u32 len)
{
	u32 n, next;

	if (len < 8)
		return false;
	n = mx_ld32(body);
	next = mx_ld32(body + 4);
	if (n > (len - 8) / MX_EXT_ENTRY_WIRE)
		return false;
	for (u32 i = 0; i < n; i++) {
		struct mx_ext_entry e;

		if (!mx_ext_entry_decode(body + 8 + i * MX_EXT_ENTRY_WIRE, MX_EXT_ENTRY_WIRE, &e) ||
		    !mx_rebuild_take(s, &e))
			return false;
	}
	if (next != 0xffffffff && next <= s->list_from)
		return false;
	s->list_from = next;
	return true;
}

static void list_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_vs *s = mx_container_of(call, struct mx_vs, call);

	call_end(s);
	if (!answer_counts(s, st, now))
		return;
	if (st == MX_ST_NEED_SEAL) {
		mx_vs_seal(s, now);
	} else if (st == MX_ST_FENCED) {
		mx_vol_suspect(s->vol, s, now);
		retry_later(s, now, MX_SEC);
	} else if (st != MX_OK || !list_take(s, body, len)) {
		s->list_from = 0;
		retry_later(s, now, RETRY);
	} else if (s->list_from == 0xffffffff) {
		list_end(s, now);
	} else {
		list_start(s, now);
	}
	mx_client_kick(s->vol->c, now);
}

static void list_start(struct mx_vs *s, mx_ns now)
{
	struct mx_vol *v = s->vol;
	struct mx_list_ext_req r = { .epoch = v->epoch, .from = s->list_from };
	u32 n;

	if (s->busy || !mx_srv_up(s->srv))
		return;
	memcpy(r.uuid, v->uuid, MX_UUID);
	n = mx_list_ext_req_encode(s->body, sizeof s->body, &r);
	s->busy = true;
	mx_call_start(&s->call, s->srv->peer, MX_OP_LIST_EXTENTS, s->body, n, CALL_PATIENCE, now,
		      list_done);
}

/* ---- DROP_EXTENT ---- */

static bool being_forgotten(const struct mx_vol *v, const struct mx_vs *s, u32 extent, u32 gen)
{
	for (u32 i = 0; i < v->nundead; i++) {
		const struct mx_deadref *u = &v->undead[i];

		if (u->id == s->id && u->inc == s->inc && u->extent == extent && u->gen == gen)
			return true;
	}
	return false;
}

/* A copy that the descriptor calls dead, and that no move is making; and not while
 * another version is being written, which may call it live. */
static bool next_dead(struct mx_vs *s, u32 *extent, u32 *gen)
{
	struct mx_vol *v = s->vol;
	const struct mx_desc *d = mx_claim_desc(v->claim);
	int at = mx_desc_enrolled(d, s->id, s->inc);

	if (at < 0 || v->nundead == MX_UNDEAD_MAX || v->edit_busy)
		return false;
	for (u32 i = 0; i < d->ndead; i++) {
		const struct mx_dead *x = &d->dead[i];
		const struct mx_move *m = &v->move;

		if (x->gen == MX_GEN_ANY)	/* what of it is there was listed: left[] */
			continue;
		if (x->server != at || being_forgotten(v, s, x->extent, x->gen))
			continue;
		if (m->stage && m->act->extent == x->extent && (m->to == s || m->from == s))
			continue;
		*extent = x->extent;
		*gen = x->gen;
		return true;
	}
	return false;
}

bool mx_vs_left_over(struct mx_vs *s, u32 extent, u32 gen)
{
	for (u32 i = 0; i < s->nleft; i++)
		if (s->left[i].extent == extent && s->left[i].gen == gen)
			return true;
	if (s->nleft == MX_VS_DROPS)
		return false;
	s->left[s->nleft++] = (struct mx_leftover){ extent, gen };
	return true;
}

/* The first of them, which was asked for. */
static void forget_left(struct mx_vs *s)
{
	s->nleft--;
	for (u32 i = 0; i < s->nleft; i++)
		s->left[i] = s->left[i + 1];
}

static void drop_done(struct mx_call *call, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct mx_vs *s = mx_container_of(call, struct mx_vs, call);
	struct mx_vol *v = s->vol;

	(void)body;
	(void)len;
	call_end(s);
	if (!answer_counts(s, st, now))
		return;
	if (st == MX_ST_NEED_SEAL) {
		mx_vs_seal(s, now);
		return;
	}
	/* STALE_GEN: a newer copy is there; the old one is not. */
	if (st != MX_OK && st != MX_ST_STALE_GEN) {
		retry_later(s, now, MX_SEC);
		return;
	}
	if (s->dropping_left) {
		forget_left(s);
		mx_act_dropped(s, s->drop_extent, s->drop_gen, now);
		mx_client_kick(v->c, now);
	} else if (v->nundead < MX_UNDEAD_MAX) {
		v->undead[v->nundead++] = (struct mx_deadref){
			s->id, s->inc, s->drop_extent, s->drop_gen,
		};
		mx_vol_sync_desc(v, now);
	}
	if (s->voided && !s->nleft && !s->relist)
		mx_vol_sync_desc(v, now);
	if (!s->nleft && !mx_list_empty(&v->held))
		mx_vol_tick_at(v, now);		/* some may have waited for it */
	if (!s->nleft && s->relist) {
		s->relist = false;
		s->list_from = 0;
		s->state = MX_VS_LIST;
		list_start(s, now);
		return;
	}
	mx_vs_drops(s, now);
}

void mx_vs_drops(struct mx_vs *s, mx_ns now)
{
	struct mx_vol *v = s->vol;
	struct mx_drop_ext_req r = { .epoch = v->epoch };
	u32 n;

	if (s->busy || s->state != MX_VS_READY || !mx_srv_up(s->srv) || !mx_vol_running(v) ||
	    v->fail)
		return;
	s->dropping_left = s->nleft != 0;
	if (s->nleft) {
		s->drop_extent = s->left[0].extent;
		s->drop_gen = s->left[0].gen;
	} else if (!next_dead(s, &s->drop_extent, &s->drop_gen)) {
		return;
	}
	memcpy(r.uuid, v->uuid, MX_UUID);
	r.extent = s->drop_extent;
	r.gen = s->drop_gen;
	/* Writes of ours to it may still be on their way: they must not bring it
	 * back. None is below the number to come. */
	r.num = mx_num(v->epoch, v->seq);
	n = mx_drop_ext_req_encode(s->body, sizeof s->body, &r);
	s->busy = true;
	mx_call_start(&s->call, s->srv->peer, MX_OP_DROP_EXTENT, s->body, n, CALL_PATIENCE, now,
		      drop_done);
}

/* ---- what is heard of it ---- */

static void rehome(struct mx_vs *s, const struct mx_addr *a, mx_ns now)
{
	call_cancel(s);
	park_all(s);
	if (s->state == MX_VS_READY || s->state == MX_VS_LIST)
		s->state = MX_VS_SEAL;
	if (s->srv)
		mx_srv_put(s->srv);
	s->addr = *a;
	s->srv = mx_srv_get(s->vol->c, a, now);
	if (!s->srv)
		retry_later(s, now, RETRY);
}

/* Somebody else answers where it was. */
static void look_elsewhere(struct mx_vs *s, mx_ns now)
{
	const struct mx_member *m = mx_ep_member_by_id(s->vol->c->ep, s->id);

	call_cancel(s);
	park_all(s);
	if (s->state == MX_VS_READY || s->state == MX_VS_LIST)
		s->state = MX_VS_SEAL;
	if (m && !mx_addr_eq(&m->addr, mx_peer_addr(s->srv->peer)))
		rehome(s, &m->addr, now);
	else
		retry_later(s, now, MX_SEC);
}

static void candidate_up(struct mx_vs *s, u64 inc, mx_ns now)
{
	if (mx_vs_find(s->vol, s->id, inc)) {
		mx_vs_free(s);
		return;
	}
	s->inc = inc;
	s->state = MX_VS_ENROLL;
	mx_vol_sync_desc(s->vol, now);
}

/* Takes the next step that its session allows. May free a candidate. */
void mx_vs_check(struct mx_vs *s, mx_ns now)
{
	const struct mx_node *n;

	s->retry_at = 0;
	if (s->state == MX_VS_GONE)
		return;
	if (!s->srv)
		attach(s, now);
	if (!mx_srv_up(s->srv))
		return;
	n = mx_peer_node(s->srv->peer);
	if (n->id != s->id) {
		if (s->state == MX_VS_CAND)
			mx_vs_free(s);
		else
			look_elsewhere(s, now);
		return;
	}
	if (s->state == MX_VS_CAND) {
		candidate_up(s, n->incarnation, now);
		return;
	}
	if (n->incarnation != s->inc && s->state != MX_VS_SEAL) {
		if (s->state == MX_VS_ENROLL)
			return;		/* it ends up at SEAL, or unwritten */
		mx_vs_seal(s, now);	/* the answer decides */
		return;
	}
	if (s->state == MX_VS_SEAL)
		seal_start(s, now);
	else if (s->state == MX_VS_LIST)
		list_start(s, now);
	else if (s->state == MX_VS_READY)
		mx_vs_drops(s, now);
}

static void tell_silent(struct mx_vs *s, enum mx_peer_state st, mx_ns now)
{
	char line[300];
	struct mx_text t;

	if (s->reported || !enrolled(s))
		return;
	s->reported = true;
	mx_text_init(&t, line, sizeof line);
	mx_text_str(mx_text_str(&t, "server "), mx_vs_name(s));
	if (st == MX_PEER_REFUSED)
		mx_text_str(mx_text_str(&t, " refuses us: "),
			    mx_status_str(mx_peer_reject(s->srv->peer)));
	else
		mx_text_str(&t, " does not answer");
	mx_text_str(&t, s->vol->conf.fail_after ? "; requests for it will fail"
						 : "; requests for it wait until it does");
	mx_vol_event(s->vol, &t, now);
}

void mx_vol_peer(struct mx_vol *v, struct mx_srv *srv, mx_ns now)
{
	enum mx_peer_state st = mx_peer_state(srv->peer);

	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (!s || s->srv != srv)
			continue;
		if (st == MX_PEER_UP) {
			mx_vs_check(s, now);
		} else if (st == MX_PEER_SILENT || st == MX_PEER_REFUSED) {
			if (s->sealing_body)
				call_cancel(s);
			tell_silent(s, st, now);
		}
	}
	mx_rebuild_check(v, now);
}

void mx_vol_member(struct mx_vol *v, const struct mx_member *m, mx_ns now)
{
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (!s || s->id != m->node.id || s->state == MX_VS_GONE)
			continue;
		s->free = m->free;
		s->booked = 0;
		s->load = m->load;
		if (m->node.incarnation == s->inc)
			s->leaving = m->flags & MX_MEMBER_LEAVING;
		if (s->srv && !mx_srv_up(s->srv) && !mx_addr_eq(&m->addr, mx_peer_addr(s->srv->peer)))
			rehome(s, &m->addr, now);
		if (m->node.incarnation != s->inc || !s->srv)
			mx_vs_check(s, now);
	}
	if (v->want_servers)
		mx_place_recruit(v, now);
}

/* Steps whose time has come. */
void mx_vs_tick(struct mx_vol *v, mx_ns now)
{
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (!s)
			continue;
		if (s->state == MX_VS_CAND && now >= s->since + CAND_PATIENCE) {
			mx_vs_free(s);
			continue;
		}
		if (s->retry_at && now >= s->retry_at)
			mx_vs_check(s, now);
		s = v->vs[i];
		if (s && (s->retry_at || s->state == MX_VS_CAND))
			mx_vol_tick_at(v, s->retry_at ? s->retry_at : s->since + CAND_PATIENCE);
	}
}

/* The epoch has changed: every server must learn it before anything else. */
void mx_vs_reseal(struct mx_vol *v, mx_ns now)
{
	for (u32 i = 1; i < v->nvs; i++) {
		struct mx_vs *s = v->vs[i];

		if (!s || !enrolled(s))
			continue;
		s->list_from = 0;
		mx_vs_seal(s, now);
	}
}

/* The descriptor lists it at a majority. */
void mx_vs_enrolled(struct mx_vs *s, mx_ns now)
{
	s->listed = true;		/* it was empty of this volume */
	set_state(s, MX_VS_SEAL, now);
	mx_vs_check(s, now);
}
