/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor's encoding, names and addresses. Bodies of calls: body.c.
 *
 * Decoding is strict: what decodes, encodes to the same bytes (but for names of
 * nodes, which are made printable), so that two holders never keep
 * different bytes for one version.
 */
#include "desc.h"
#include "pack.h"

#define DESC_FIXED	320u
#define DESC_SPARE	72u	/* zero; for live handoff and drain */
#define SRVREF_WIRE	48u
#define DEAD_WIRE	12u

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == ':' || c == '+' || c == '@' || c == '-' || c == '/';
}

bool mx_name_valid(const char *name)
{
	u32 n = 0;

	if (name[0] == '-' || name[0] == '.' || name[0] == '/')
		return false;
	while (name[n]) {
		if (n == MX_NAME_MAX || !name_char(name[n]))
			return false;
		n++;
	}
	return n > 0 && name[n - 1] != '/';
}

int mx_desc_cmp(const struct mx_desc *a, const struct mx_desc *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return 0;
}

static int srvref_find(const struct mx_srvref *r, u32 n, u64 id, u64 incarnation)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (r[i].id == id && r[i].incarnation == incarnation)
			return (int)i;
	return -1;
}

int mx_desc_enrolled(const struct mx_desc *d, u64 id, u64 incarnation)
{
	return srvref_find(d->enrolled, d->nenrolled, id, incarnation);
}

int mx_desc_prev(const struct mx_desc *d, u64 id, u64 incarnation)
{
	return srvref_find(d->prev, d->nprev, id, incarnation);
}

int mx_desc_holder(const struct mx_desc *d, u64 id, u64 incarnation)
{
	return srvref_find(d->holders, d->nholders, id, incarnation);
}

bool mx_desc_head_votes(const struct mx_desc_head *d, u64 id, u64 incarnation)
{
	return srvref_find(d->holders, d->nholders, id, incarnation) >= 0 ||
	       srvref_find(d->prev, d->nprev, id, incarnation) >= 0;
}

u32 mx_node_encode(u8 *p, const struct mx_node *n)
{
	u32 i;

	mx_st64(p, n->id);
	mx_st64(p + 8, n->incarnation);
	memset(p + 16, 0, MX_NAME_MAX + 1);
	for (i = 0; i < MX_NAME_MAX && n->name[i]; i++)
		p[16 + i] = (u8)n->name[i];
	return MX_NODE_WIRE;
}

/* A node's name is only shown to people: whatever a peer sends there ends, and
 * is made safe to print. */
void mx_node_decode(const u8 *p, struct mx_node *n)
{
	u32 i;

	n->id = mx_ld64(p);
	n->incarnation = mx_ld64(p + 8);
	memset(n->name, 0, sizeof n->name);
	for (i = 0; i < MX_NAME_MAX && p[16 + i]; i++)
		n->name[i] = p[16 + i] >= 0x20 && p[16 + i] < 0x7f ? (char)p[16 + i] : '?';
}

static u32 addr_bytes(u8 fam)
{
	switch (fam) {
	case MX_FAM_IP4:
		return 4;
	case MX_FAM_IP6:
	case MX_FAM_SIM:
		return 16;
	case MX_FAM_ETH:
		return 6;
	default:
		return 0;
	}
}

/* The scope is one machine's interface index and means nothing to others: it
 * goes out as 0, and whoever uses the address finds its own. */
u32 mx_addr_encode(u8 *p, const struct mx_addr *a)
{
	u32 n = addr_bytes(a->fam);

	memset(p, 0, MX_ADDR_WIRE);
	p[0] = a->fam;
	mx_st16(p + 2, a->port);
	memcpy(p + 8, a->a, n);
	return MX_ADDR_WIRE;
}

bool mx_addr_decode(const u8 *p, struct mx_addr *a)
{
	u32 n = addr_bytes(p[0]), i;

	memset(a, 0, sizeof *a);
	if (p[1] || mx_ld32(p + 4) || (!n && p[0] != MX_FAM_NONE))
		return false;
	if ((p[0] == MX_FAM_NONE || p[0] == MX_FAM_ETH) && mx_ld16(p + 2))
		return false;
	for (i = n; i < 16; i++)
		if (p[8 + i])
			return false;
	a->fam = p[0];
	a->port = mx_ld16(p + 2);
	memcpy(a->a, p + 8, n);
	return true;
}

/* ---- pieces shared with body.c ---- */

void mx_put_node(struct mx_put *w, const struct mx_node *n)
{
	u8 *at = mx_put_room(w, MX_NODE_WIRE);

	if (at)
		mx_node_encode(at, n);
}

void mx_get_node(struct mx_get *r, struct mx_node *n)
{
	const u8 *at = mx_get_mem(r, MX_NODE_WIRE);

	if (at)
		mx_node_decode(at, n);
	else
		memset(n, 0, sizeof *n);
}

void mx_put_name(struct mx_put *w, const char *name)
{
	u8 *at = mx_put_room(w, MX_NAME_MAX + 1);
	u32 i;

	if (!at)
		return;
	memset(at, 0, MX_NAME_MAX + 1);
	for (i = 0; i < MX_NAME_MAX && name[i]; i++)
		at[i] = (u8)name[i];
}

/* A volume's name: valid, or empty where @empty_ok; the rest of the field zero. */
void mx_get_name(struct mx_get *r, char *name, bool empty_ok)
{
	u32 i;

	mx_get_copy(r, name, MX_NAME_MAX + 1);
	if (name[MX_NAME_MAX]) {
		name[MX_NAME_MAX] = 0;
		r->bad = true;
	}
	for (i = 0; i < MX_NAME_MAX && name[i]; i++)
		;
	for (; i <= MX_NAME_MAX; i++)
		if (name[i])
			r->bad = true;
	if (!(empty_ok && !name[0]) && !mx_name_valid(name))
		r->bad = true;
}

/* ---- descriptor ---- */

static void put_srvref(struct mx_put *w, const struct mx_srvref *s)
{
	u8 *at;

	mx_put64(w, s->id);
	mx_put64(w, s->incarnation);
	at = mx_put_room(w, MX_ADDR_WIRE);
	if (at)
		mx_addr_encode(at, &s->addr);
	mx_put32(w, s->state);
	mx_put32(w, 0);
}

static void get_srvref(struct mx_get *r, struct mx_srvref *s, bool enrolled)
{
	const u8 *at;

	s->id = mx_get64(r);
	s->incarnation = mx_get64(r);
	at = mx_get_mem(r, MX_ADDR_WIRE);
	if (!at || !mx_addr_decode(at, &s->addr))
		r->bad = true;
	s->state = mx_get32(r);
	mx_get_zero(r, 4);
	if (s->id == 0 || s->state > MX_ENR_GONE || (enrolled && !s->state))
		r->bad = true;
}

u32 mx_desc_encoded(const struct mx_desc *d)
{
	return DESC_FIXED + SRVREF_WIRE * (d->nholders + d->nprev + d->nenrolled) +
	       DEAD_WIRE * d->ndead;
}

static void put_desc_fixed(struct mx_put *w, const struct mx_desc_head *d)
{
	mx_put_mem(w, d->uuid, MX_UUID);
	mx_put_name(w, d->name);
	mx_put64(w, d->size);
	mx_put32(w, d->state);
	mx_put32(w, d->extent_shift);
	mx_put64(w, d->policy);
	mx_put64(w, d->op_id);
	mx_put32(w, d->epoch);
	mx_put32(w, d->owned);
	mx_put64(w, d->version);
	mx_put_node(w, &d->owner);
	mx_put64(w, d->last_writer);
	mx_put64(w, d->last_writer_inc);
	mx_put32(w, d->config);
	mx_put32(w, d->nholders);
	mx_put32(w, d->nenrolled);
	mx_put32(w, d->ndead);
	mx_put32(w, d->nprev);
	mx_put32(w, d->flags);
	mx_put_zero(w, DESC_SPARE);
}

u32 mx_desc_encode(u8 *p, u32 cap, const struct mx_desc *d)
{
	struct mx_put w;
	u32 i;

	if (d->nholders > MX_HOLDERS_MAX || d->nenrolled > MX_ENROLLED_MAX ||
	    d->ndead > MX_DEAD_MAX || d->nprev > MX_HOLDERS_MAX)
		return 0;
	mx_put_init(&w, p, cap);
	put_desc_fixed(&w, &d->head);
	for (i = 0; i < d->nholders; i++)
		put_srvref(&w, &d->holders[i]);
	for (i = 0; i < d->nprev; i++)
		put_srvref(&w, &d->prev[i]);
	for (i = 0; i < d->nenrolled; i++)
		put_srvref(&w, &d->enrolled[i]);
	for (i = 0; i < d->ndead; i++) {
		mx_put16(&w, d->dead[i].server);
		mx_put16(&w, d->dead[i].order);
		mx_put32(&w, d->dead[i].extent);
		mx_put32(&w, d->dead[i].gen);
	}
	return mx_put_end(&w);
}

static void get_desc_fixed(struct mx_get *r, struct mx_desc_head *d)
{
	mx_get_copy(r, d->uuid, MX_UUID);
	mx_get_name(r, d->name, false);
	d->size = mx_get64(r);
	d->state = mx_get32(r);
	d->extent_shift = mx_get32(r);
	d->policy = mx_get64(r);
	d->op_id = mx_get64(r);
	d->epoch = mx_get32(r);
	d->owned = mx_get32(r);
	d->version = mx_get64(r);
	mx_get_node(r, &d->owner);
	d->last_writer = mx_get64(r);
	d->last_writer_inc = mx_get64(r);
	d->config = mx_get32(r);
	d->nholders = mx_get32(r);
	d->nenrolled = mx_get32(r);
	d->ndead = mx_get32(r);
	d->nprev = mx_get32(r);
	d->flags = mx_get32(r);
	mx_get_zero(r, DESC_SPARE);
}

/* Every use of a descriptor may rely on these. */
static bool desc_sane(const struct mx_desc_head *d)
{
	return d->size % MX_BLOCK == 0 && d->size <= MX_VOL_BYTES_MAX &&
	       (d->state == MX_VOL_LIVE || d->state == MX_VOL_DELETED) &&
	       d->extent_shift == MX_EXTENT_SHIFT && d->policy == 1 && d->owned <= 1 &&
	       d->epoch >= 1 && d->epoch <= MX_EPOCH_MAX && d->version >= 1 &&
	       d->nholders >= 1 && d->nholders <= MX_HOLDERS_MAX &&
	       d->nprev <= MX_HOLDERS_MAX && d->flags <= MX_DESC_UNSURE &&
	       d->nenrolled <= MX_ENROLLED_MAX && d->ndead <= MX_DEAD_MAX;
}

/* One server has one vote. */
static bool holders_distinct(const struct mx_desc_head *d)
{
	u32 i, j;

	for (i = 0; i < d->nholders; i++)
		for (j = 0; j < i; j++)
			if (d->holders[i].id == d->holders[j].id)
				return false;
	return true;
}

static bool get_desc_head(struct mx_get *r, struct mx_desc_head *d)
{
	u32 i;

	memset(d, 0, sizeof *d);
	get_desc_fixed(r, d);
	if (r->bad || !desc_sane(d))
		return false;
	for (i = 0; i < d->nholders; i++)
		get_srvref(r, &d->holders[i], false);
	for (i = 0; i < d->nprev; i++)
		get_srvref(r, &d->prev[i], false);
	return holders_distinct(d);
}

static void get_dead(struct mx_get *r, struct mx_dead *x, u32 nenrolled)
{
	x->server = mx_get16(r);
	x->order = mx_get16(r);
	x->extent = mx_get32(r);
	x->gen = mx_get32(r);
	if (x->server >= nenrolled || x->order > 30)
		r->bad = true;
}

/* No caller can use counts that do not hold. */
static bool desc_bad(struct mx_desc_head *d)
{
	d->nholders = d->nenrolled = d->ndead = d->nprev = 0;
	return false;
}

bool mx_desc_decode(const u8 *p, u32 len, struct mx_desc *d, u32 *used)
{
	struct mx_get r;
	u32 i;

	memset(d, 0, sizeof *d);
	mx_get_init(&r, p, len);
	if (!get_desc_head(&r, &d->head))
		return desc_bad(&d->head);
	for (i = 0; i < d->nenrolled; i++)
		get_srvref(&r, &d->enrolled[i], true);
	for (i = 0; i < d->ndead; i++)
		get_dead(&r, &d->dead[i], d->nenrolled);
	if (r.bad || (!used && r.left))
		return desc_bad(&d->head);
	if (used)
		*used = len - r.left;
	return true;
}

bool mx_desc_head_decode(const u8 *p, u32 len, struct mx_desc_head *d)
{
	struct mx_srvref server;
	struct mx_dead dead;
	struct mx_get r;
	u32 i;

	mx_get_init(&r, p, len);
	if (!get_desc_head(&r, d))
		return desc_bad(d);
	for (i = 0; i < d->nenrolled; i++)
		get_srvref(&r, &server, true);
	for (i = 0; i < d->ndead; i++)
		get_dead(&r, &dead, d->nenrolled);
	return r.bad || r.left ? desc_bad(d) : true;
}
