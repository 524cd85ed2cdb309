/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a volume is made of: its descriptor, and where its extents are.
 *
 * Needs no ownership and changes nothing. Each enrolled server is asked for the
 * extents it has, and holders for the allocation bitmap (a majority's union, as
 * an owner reads it). An extent whose bit is set and which nobody lists is lost if
 * a server's incarnation is gone, may be on a server that is silent, and is a hole
 * otherwise: its owner died before the first write, or after it was discarded.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/store.h"
#include "tools/memxctl.h"

#define CONNECT_SECONDS	1.0
#define CALL_NS		(3 * MX_SEC)
#define NOWHERE		0xffff

/* ---- calls, one at a time ---- */

struct call {
	struct mx_call core;
	u8 req[256];
	u8 *rep;
	u32 rep_len;
	enum mx_status st;
	unsigned pending;
};

static void call_done(struct mx_call *core, enum mx_status st, const u8 *body, u32 len, mx_ns now)
{
	struct call *c = mx_container_of(core, struct call, core);

	c->st = st;
	c->rep = g_memdup2(body, len);
	c->rep_len = len;
	c->pending = 0;
}

/* c->req[0..len) holds the request. */
static enum mx_status call(struct ctl *ctl, struct call *c, struct mx_peer *p, u16 op, u32 len)
{
	memset(&c->core, 0, sizeof c->core);
	c->rep = NULL;
	c->pending = 1;
	c->st = MX_ST_TIMEOUT;
	mx_call_start(&c->core, p, op, c->req, len, CALL_NS, memx_now(), call_done);
	ctl_run(ctl, &c->pending, (double)CALL_NS / 1e9 + 1);
	if (c->pending)
		mx_call_cancel(&c->core);
	return c->st;
}

/* ---- the map ---- */

struct map {
	u64 n;
	u32 *gen;
	u16 *place, *pages, *flags;	/* place: index in volume.places, NOWHERE */
	u8 *bits, *other;		/* allocation bitmap: the newest, and one being read */
	u64 version;			/* of the newest: epoch << 32 | round */
	unsigned bitmaps;		/* of how many holders */
};

static void map_note(struct map *m, unsigned place, const struct mx_ext_entry *e)
{
	/* A copy being made does not count. */
	if (e->extent >= m->n || e->flags & MX_EXT_INCOMING)
		return;
	if (m->place[e->extent] != NOWHERE && m->gen[e->extent] >= e->gen)
		return;
	m->place[e->extent] = (u16)place;
	m->gen[e->extent] = e->gen;
	m->pages[e->extent] = e->pages;
	m->flags[e->extent] = e->flags;
}

static bool list_extents(struct ctl *ctl, struct volume *v, struct map *m, struct mx_peer *p,
			 unsigned place)
{
	struct mx_list_ext_req r = { .epoch = v->desc->epoch };
	struct call c;

	memcpy(r.uuid, v->desc->uuid, MX_UUID);
	for (;;) {
		u32 count, next;
		enum mx_status st = call(ctl, &c, p, MX_OP_LIST_EXTENTS,
					 mx_list_ext_req_encode(c.req, sizeof c.req, &r));

		/* Never written there under this epoch: it has nothing. */
		if (st == MX_ST_NEED_SEAL) {
			g_free(c.rep);
			return true;
		}
		if (st != MX_OK || c.rep_len < 8) {
			g_free(c.rep);
			return false;
		}
		count = mx_ld32(c.rep);
		next = mx_ld32(c.rep + 4);
		for (u32 i = 0; i < count && 8 + (u64)(i + 1) * MX_EXT_ENTRY_WIRE <= c.rep_len; i++) {
			struct mx_ext_entry e;

			if (mx_ext_entry_decode(c.rep + 8 + i * MX_EXT_ENTRY_WIRE, MX_EXT_ENTRY_WIRE, &e))
				map_note(m, place, &e);
		}
		g_free(c.rep);
		if (next == 0xffffffff || next <= r.from)
			return true;
		r.from = next;
	}
}

/* The bitmap of the holder @p; that of the newest version counts. */
static bool read_bits(struct ctl *ctl, struct volume *v, struct map *m, struct mx_peer *p)
{
	struct mx_bits_get_req r = { .epoch = v->desc->epoch };
	u64 version = 0;
	struct call c;

	memcpy(r.uuid, v->desc->uuid, MX_UUID);
	memset(m->other, 0, m->n / 8 + 1);
	for (;;) {
		u32 chunk, next;
		u64 at;

		if (call(ctl, &c, p, MX_OP_BITS_GET, mx_bits_get_req_encode(c.req, sizeof c.req, &r)) !=
		    MX_OK || c.rep_len < MX_BITS_GET_FIXED + MX_BITS_CHUNK_BYTES) {
			g_free(c.rep);
			return false;
		}
		chunk = mx_ld32(c.rep);
		next = mx_ld32(c.rep + 4);
		version = (u64)mx_ld32(c.rep + 8) << 32 | mx_ld32(c.rep + 12);
		at = (u64)chunk * MX_BITS_CHUNK_BYTES;
		for (u64 i = 0; i < MX_BITS_CHUNK_BYTES && (at + i) * 8 < m->n; i++)
			m->other[at + i] = c.rep[MX_BITS_GET_FIXED + i];
		g_free(c.rep);
		if (next == 0xffffffff || next <= r.chunk)
			break;
		r.chunk = next;
	}
	if (!m->bitmaps || version > m->version) {
		u8 *t = m->bits;

		m->bits = m->other;
		m->other = t;
		m->version = version;
	}
	return true;
}

/* ---- places ---- */

static struct place *place_of(struct volume *v, const struct mx_srvref *ref)
{
	struct place p = { .ref = *ref };

	for (guint i = 0; i < v->places->len; i++) {
		struct place *q = &g_array_index(v->places, struct place, i);

		if (q->ref.id == ref->id && q->ref.incarnation == ref->incarnation)
			return q;
	}
	g_array_append_val(v->places, p);
	return &g_array_index(v->places, struct place, v->places->len - 1);
}

static void find_places(struct volume *v)
{
	const struct mx_desc *d = v->desc;

	for (u32 i = 0; i < d->nholders; i++)
		place_of(v, &d->holders[i])->holder = true;
	for (u32 i = 0; i < d->nenrolled; i++) {
		struct place *p = place_of(v, &d->enrolled[i]);

		p->enrolled = true;
		p->gone = d->enrolled[i].state == MX_ENR_GONE;
	}
}

/* The address a server is heard at now is better than the one recorded. */
static struct mx_peer *connect_to(struct ctl *ctl, const struct place *p)
{
	struct mx_ep *ep = mx_client_ep(memx_core(ctl->m));
	const struct mx_member *m = mx_ep_member_by_id(ep, p->ref.id);

	return mx_peer_connect(ep, m ? &m->addr : &p->ref.addr, memx_now());
}

static void connect_all(struct ctl *ctl, struct volume *v, struct mx_peer **peers)
{
	mx_ns until = memx_now() + (mx_ns)(CONNECT_SECONDS * 1e9);
	bool all = false;

	for (guint i = 0; i < v->places->len; i++)
		peers[i] = connect_to(ctl, &g_array_index(v->places, struct place, i));
	memx_flush(ctl->m);
	while (!all && memx_now() < until) {
		memx_process(ctl->m);
		all = true;
		for (guint i = 0; i < v->places->len; i++)
			all &= !peers[i] || mx_peer_state(peers[i]) == MX_PEER_UP ||
			       mx_peer_state(peers[i]) == MX_PEER_REFUSED ||
			       is_silent(ctl, g_array_index(v->places, struct place, i).ref.id);
		if (!all)
			memx_wait(ctl->m, memx_now() + 20 * MX_MS);
	}
	for (guint i = 0; i < v->places->len; i++) {
		struct place *p = &g_array_index(v->places, struct place, i);

		if (!peers[i] || mx_peer_state(peers[i]) != MX_PEER_UP) {
			note_silent(ctl, p->ref.id);
			continue;
		}
		/* As another incarnation it has nothing any more, and no vote. */
		p->answered = mx_peer_node(peers[i])->incarnation == p->ref.incarnation;
		if (!p->answered)
			p->gone = true;
	}
}

/* ---- counting ---- */

/* Pages that extent @i of a volume of @size has: the last may be shorter. */
static u64 pages_of(u64 size, u64 i)
{
	return (mx_min_u64(size - (i << MX_EXTENT_SHIFT), MX_EXTENT) + MX_PAGE - 1) / MX_PAGE;
}

static void count(struct volume *v, struct map *m, bool all_listed)
{
	bool bits_known = m->bitmaps >= mx_majority(v->desc->nholders), any_gone = false;

	for (guint i = 0; i < v->places->len; i++) {
		struct place *p = &g_array_index(v->places, struct place, i);

		any_gone |= p->enrolled && p->gone;
	}

	for (u64 i = 0; i < m->n; i++) {
		bool bit = m->bits[i / 8] >> (i % 8) & 1;

		if (m->place[i] != NOWHERE) {
			struct place *p = &g_array_index(v->places, struct place, m->place[i]);

			p->extents++;
			p->pages += m->pages[i];
			v->mapped++;
			v->mapped_pages += m->pages[i];
			if (m->flags[i] & MX_EXT_LOSTBASE && m->pages[i] < pages_of(v->desc->size, i))
				v->lost_base++;
		} else if (bit && !all_listed) {
			v->unknown++;
		} else if (bit && any_gone) {
			v->lost++;
		}
	}
	v->inspected = bits_known;
}

static bool map_init(struct map *m, u64 size)
{
	m->n = (size + MX_EXTENT - 1) >> MX_EXTENT_SHIFT;
	m->gen = calloc(m->n + 1, sizeof *m->gen);
	m->place = malloc((m->n + 1) * sizeof *m->place);
	m->pages = calloc(m->n + 1, sizeof *m->pages);
	m->flags = calloc(m->n + 1, sizeof *m->flags);
	m->bits = calloc(1, m->n / 8 + 1);
	m->other = calloc(1, m->n / 8 + 1);
	m->version = 0;
	m->bitmaps = 0;
	if (!m->gen || !m->place || !m->pages || !m->flags || !m->bits || !m->other)
		return false;
	memset(m->place, 0xff, (m->n + 1) * sizeof *m->place);
	return true;
}

static void map_free(struct map *m)
{
	free(m->gen);
	free(m->place);
	free(m->pages);
	free(m->flags);
	free(m->bits);
	free(m->other);
}

void volume_inspect(struct ctl *ctl, struct volume *v)
{
	struct mx_peer **peers;
	bool all_listed = true;
	struct map m;

	find_places(v);
	peers = g_new0(struct mx_peer *, v->places->len + 1);
	connect_all(ctl, v, peers);
	if (!map_init(&m, v->desc->size))
		die(CTL_FAILED, "not enough memory for the map of volume \"%s\"", v->desc->name);
	for (guint i = 0; i < v->places->len; i++) {
		struct place *p = &g_array_index(v->places, struct place, i);

		if (p->holder && p->answered) {
			v->holders_up++;
			m.bitmaps += read_bits(ctl, v, &m, peers[i]);
		}
		if (!p->enrolled || p->gone)
			continue;
		if (p->answered)
			p->answered = list_extents(ctl, v, &m, peers[i], i);
		if (!p->answered) {
			v->enrolled_silent++;
			all_listed = false;
		}
	}
	count(v, &m, all_listed);
	map_free(&m);
	for (guint i = 0; i < v->places->len; i++)
		if (peers[i])
			mx_peer_put(peers[i]);
	g_free(peers);
}

/* ---- health ---- */

/* Of two, both would be needed: no better than one. */
static unsigned holders_wanted(const struct ctl *ctl)
{
	return ctl->pool && ctl->pool->len < MX_HOLDERS_WANT ? 1 : MX_HOLDERS_WANT;
}

enum health volume_health(const struct ctl *ctl, const struct volume *v)
{
	if (v->lost || v->lost_base)
		return HEALTH_LOST;
	if (v->holders_up < mx_majority(v->desc->nholders) || v->enrolled_silent)
		return HEALTH_UNREACHABLE;
	if (v->holders_up < v->desc->nholders || v->desc->nholders < holders_wanted(ctl))
		return HEALTH_DEGRADED;
	return HEALTH_OK;
}

const char *health_str(enum health h)
{
	static const char *const names[] = { "ok", "degraded", "unreachable", "lost" };

	return names[h];
}

char *volume_trouble(const struct ctl *ctl, const struct volume *v)
{
	unsigned n = v->desc->nholders;

	if (v->lost || v->lost_base)
		return g_strdup_printf("%llu extents (1 MiB each) are lost%s: reading them is an error; write or "
				       "discard them to go on",
				       (unsigned long long)(v->lost + v->lost_base),
				       v->lost_base ? ", some of them in part" : "");
	if (v->holders_up < mx_majority(n))
		return g_strdup_printf("only %u of %u holders answer: it cannot be opened; start the others, or, "
				       "if they are gone for good, memxctl volume recover %s",
				       v->holders_up, n, v->desc->name);
	if (v->enrolled_silent)
		return g_strdup_printf("%u servers with its data do not answer; %llu extents may be on them",
				       v->enrolled_silent, (unsigned long long)v->unknown);
	if (v->holders_up < n)
		return g_strdup_printf("%u of %u holders answer; the missing one is replaced within some "
				       "minutes if there is a server for it", v->holders_up, n);
	if (n < holders_wanted(ctl))
		return g_strdup_printf("%u holders, although there are servers for %u; it is made up when the "
				       "volume is used", n, holders_wanted(ctl));
	return NULL;
}

/* ---- getting ---- */

struct info_wait {
	const char *name;
	struct volume *v;
	void (*done)(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now);
};

/* Copies what is only valid during the call. */
static void info_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct info_wait *w = o->user;
	const struct mx_hstate *h = o->priv;

	if (st == MX_OK && h) {
		w->v->state = *h;
		*w->v->desc = *h->desc;
		w->v->state.desc = w->v->desc;
	}
	w->done(o, st, err, now);
}

static void info_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	struct info_wait *w = arg;

	w->done = o->done;
	o->done = info_done;
	o->user = w;
	mx_client_info(memx_core(m), w->name, o, memx_now());
}

struct volume *volume_get(struct ctl *ctl, const char *name, int *rc, char **err)
{
	struct volume *v = g_new0(struct volume, 1);
	struct info_wait w = { .name = name, .v = v };

	v->desc = g_new0(struct mx_desc, 1);
	v->places = g_array_new(FALSE, FALSE, sizeof(struct place));
	*rc = memx_op_wait(ctl->m, info_start, &w, err);
	if (!*rc)
		return v;
	volume_free(v);
	return NULL;
}

void volume_free(struct volume *v)
{
	g_array_free(v->places, TRUE);
	g_free(v->desc);
	g_free(v);
}

/* ---- list ---- */

static void list_entry(void *user, const struct mx_list_entry *e)
{
	g_array_append_val((GArray *)user, *e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct mx_list_entry *)a)->name, ((const struct mx_list_entry *)b)->name);
}

static void list_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	o->user = arg;
	mx_client_list(memx_core(m), list_entry, o, memx_now());
}

GArray *volumes_list(struct ctl *ctl, int *rc, char **err)
{
	GArray *a = g_array_new(FALSE, TRUE, sizeof(struct mx_list_entry));

	*rc = memx_op_wait(ctl->m, list_start, a, err);
	if (*rc) {
		g_array_free(a, TRUE);
		return NULL;
	}
	g_array_sort(a, by_name);
	return a;
}
