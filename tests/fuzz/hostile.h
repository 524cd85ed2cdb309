/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers that answer as the input's bytes say. They are real ones, on the network
 * of tests/unit/cluster.h; a rule picks messages of theirs on the way (the nth reply
 * to an operation, say), and a recipe changes them. Session, number, tag and checksums
 * are right in what is delivered, so that it is read, and not only thrown away.
 */
#ifndef MEMX_FUZZ_HOSTILE_H
#define MEMX_FUZZ_HOSTILE_H

#include "../unit/cluster.h"
#include "core/client_int.h"

#define SERVERS		4		/* nodes 0 to 3; the others are clients */
#define RULES		8
#define ALLOC_MAX	(24u << 20)	/* of a client: a port may refuse */

/* What is freed is used again soon: most of the time would else go to fresh pages. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8:allocator_release_to_os_interval_ms=-1";
}

/* ---- the input ---- */

struct bytes { const u8 *p; size_t left; };

static inline u32 in8(struct bytes *b)
{
	if (!b->left)
		return 0;
	b->left--;
	return *b->p++;
}
static inline u32 in16(struct bytes *b) { u32 x = in8(b); return x | in8(b) << 8; }
static inline u32 in32(struct bytes *b) { u32 x = in16(b); return x | in16(b) << 16; }

/* ---- rules ---- */

enum {
	HOW_SKIP = 7,		/* so many pass before */
	HOW_ALWAYS = 8,		/* not once only */
	HOW_BOTH = 16,		/* the original goes before it */
	HOW_RAW = 32,		/* replies: the fragment's head is changed, too */
	HOW_CRC = 64,		/* read data: blocks' checksums are made right */
	HOW_CLIENTS = 128,	/* only what clients are sent */
};
struct rule {
	u8 type, op;		/* REPLY: the operation, 0: any */
	u8 how, skip;
	struct bytes recipe;
};
static struct rule rules[RULES];
static u32 nrules;		/* ever made; the oldest is replaced */

static void rules_clear(void)
{
	memset(rules, 0, sizeof rules);
	nrules = 0;
}

static void rule_add(struct bytes *in)
{
	static const u8 others[] = {
		MX_READ_DATA, MX_WRITE_ACK, MX_BLKSTAT_DATA, MX_SHED, MX_PONG, MX_PROBE_OK, MX_ANNOUNCE,
	};
	struct rule *r = &rules[nrules++ % RULES];
	u32 what = in8(in) % 32;

	r->type = what < 20 ? MX_REPLY : others[what % sizeof others];
	r->op = what < 20 ? (u8)what : 0;
	r->how = (u8)in8(in);
	r->skip = r->how & HOW_SKIP;
	r->recipe.left = mx_min_u32(in8(in) % 64, (u32)in->left);
	r->recipe.p = in->p;
	in->p += r->recipe.left;
	in->left -= r->recipe.left;
}

static struct rule *rule_for(const struct mx_head *h, const u8 *head, bool to_client, bool use)
{
	for (u32 i = 0; i < RULES; i++) {
		struct rule *r = &rules[i];

		if (!r->type || r->type != h->type || (r->how & HOW_CLIENTS && !to_client) ||
		    (r->op && h->hlen >= 18 && mx_ld16(head + 16) != r->op))
			continue;
		if (use && r->skip) {
			r->skip--;
			continue;
		}
		if (use && !(r->how & HOW_ALWAYS))
			r->type = 0;
		return r;
	}
	return NULL;
}

/* ---- a message being changed ---- */

static struct mutant {
	u8 b[80000];		/* head, payload */
	u32 hlen, plen;
	u32 base;		/* edits begin there */
} mu;

/* Bodies of before, to come again at the wrong time: two of each operation. */
static struct { u32 len; u8 b[6000]; } old[64];
static u32 old_turn;

static void remember(u32 op, const u8 *body, u32 len)
{
	u32 k = op % 32 * 2 + (old_turn++ & 1);

	if (len > sizeof old[k].b)
		return;
	old[k].len = len;
	memcpy(old[k].b, body, len);
}

static void lengthen_head(u32 n, u8 with)
{
	n &= ~7u;
	if (mu.hlen + mu.plen + n > sizeof mu.b || mu.hlen + n > 60000)
		return;
	memmove(mu.b + mu.hlen + n, mu.b + mu.hlen, mu.plen);
	memset(mu.b + mu.hlen, with, n);
	mu.hlen += n;
}

static void lengthen(u32 n, u8 with)
{
	if (mu.hlen + mu.plen + n > sizeof mu.b)
		return;
	memset(mu.b + mu.hlen + mu.plen, with, n);
	mu.plen += n;
}

static void cut(u32 to)
{
	if (mu.base + to < mu.hlen) {
		mu.hlen = mx_max_u32((mu.base + to) & ~7u, MX_HEAD);
		mu.plen = 0;
	} else {
		mu.plen = mu.base + to - mu.hlen;
	}
}

static void put(u8 *at, u32 room, struct bytes *r, u32 e)
{
	static const u32 odd[] = {
		0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, MX_EXTENTS_MAX,
		MX_EXTENTS_MAX - 1, MX_EPOCH_MAX, MX_EPOCH_MAX + 1, 4096, 0x10000, 1u << 20,
	};
	u32 v = e & 0x80 ? odd[in8(r) % MX_ARRAY_SIZE(odd)] : in32(r);

	if (room >= 4)
		mx_st32(at, v);
}

static void add(u8 *at, u32 room, s8 n, u32 e)
{
	if (e & 0x80 && room >= 8)
		mx_st64(at, mx_ld64(at) + (u64)(s64)n);
	else if (e & 0x40 && room >= 2)
		mx_st16(at, (u16)(mx_ld16(at) + n));
	else if (room >= 4)
		mx_st32(at, mx_ld32(at) + (u32)n);
}

static void overwrite(u8 *at, u32 room, struct bytes *r)
{
	u32 n = mx_min_u32(in8(r) % 48, room);

	while (n--)
		*at++ = (u8)in8(r);
}

static void bring_back(u32 k)
{
	if (mu.base != mu.hlen)
		return;
	mu.plen = old[k % 64].len;
	memcpy(mu.b + mu.hlen, old[k % 64].b, mu.plen);
}

static void edit(struct bytes *r)
{
	u32 e = in8(r), len = mu.hlen + mu.plen - mu.base, at;

	if ((e & 7) == 0) {
		mu.b[15] = (u8)in8(r);
		return;
	}
	if ((e & 7) == 6) {
		mx_st16(mu.b + 12, (u16)in8(r));
		mu.b[14] = (u8)(mu.b[14] + (e >> 3));
		return;
	}
	if ((e & 7) == 7) {
		bring_back(in8(r));
		return;
	}
	if ((e & 7) == 2) {
		u32 n = in8(r) * 8, with = in8(r);

		if (e & 0x80)
			lengthen_head(n, (u8)with);
		else
			lengthen(n, (u8)with);
		return;
	}
	at = in16(r) % (len + 1);
	if ((e & 7) == 1)
		cut(at);
	else if ((e & 7) == 3)
		put(mu.b + mu.base + (at & ~3u), len - (at & ~3u), r, e);
	else if ((e & 7) == 4)
		overwrite(mu.b + mu.base + at, len - at, r);
	else
		add(mu.b + mu.base + (at & ~1u), len - (at & ~1u), (s8)in8(r), e);
}

/* Checksums of the blocks there are, as the part that asked expects them. */
static void crcs_right(struct mx_client *c)
{
	u32 i = mx_ld32(mu.b + 8) & 0xffff, at, crc = 0, npages;
	struct mx_io *io = c && i < c->nios ? c->ios[i] : NULL;

	if (!io || io->state != MX_IO_SENT || mu.hlen < MX_READ_DATA_FIXED)
		return;
	at = io->first + mx_ld16(mu.b + 16);
	npages = mx_ld16(mu.b + 20);
	for (i = 0; i < npages && MX_READ_DATA_FIXED + (i + 1) * 16 <= mu.hlen; i++) {
		struct mx_read_entry e;

		mx_read_data_entry(mu.b, i, &e);
		for (u32 j = 0; j < e.nblocks; j++, at++) {
			u32 seed = mx_block_seed(io->vol->seed, (u64)io->extent * MX_EXTENT_BLOCKS + at);
			u32 place = MX_READ_DATA_FIXED + npages * 16 + crc * 4;

			if (e.kind != MX_PAGE_DATA)
				continue;
			if (place + 4 > mu.hlen || (crc + 1) * MX_BLOCK > mu.plen)
				return;
			mx_st32(mu.b + place, mx_crc32c(seed, mu.b + mu.hlen + crc * MX_BLOCK, MX_BLOCK));
			crc++;
		}
	}
}

static void mutate(const struct rule *r, const struct mx_head *h, const u8 *head, const u8 *payload,
		   struct mx_client *to)
{
	bool body = h->type == MX_REPLY && !(r->how & HOW_RAW);
	struct bytes recipe = r->recipe;

	memcpy(mu.b, head, h->hlen);
	memcpy(mu.b + h->hlen, payload, h->plen);
	mu.hlen = h->hlen;
	mu.plen = h->plen;
	mu.base = body ? mu.hlen : MX_HEAD;
	while (recipe.left)
		edit(&recipe);
	mx_st16(mu.b + 2, (u16)mu.hlen);
	mx_st32(mu.b + 4, mu.plen);
	if (body && mu.hlen == MX_CTL_HEAD) {
		mx_st32(mu.b + 20, mu.plen);
		mx_st32(mu.b + 24, 0);
		mx_st32(mu.b + 28, mx_crc32c(0xffffffffu, mu.b + mu.hlen, mu.plen));
	}
	if (h->type == MX_READ_DATA && r->how & HOW_CRC)
		crcs_right(to);
}

/* ---- a datagram being made ---- */

static struct { u8 heads[70000], pay[160000]; u32 hlen, plen; } mk;
static u8 made[70000];

static void append(const u8 *head, u32 hlen, const u8 *payload, u32 plen)
{
	if (mk.hlen + hlen > 65000 || mk.plen + plen > sizeof mk.pay)
		return;
	memcpy(mk.heads + mk.hlen, head, hlen);
	memcpy(mk.pay + mk.plen, payload, plen);
	mk.hlen += hlen;
	mk.plen += plen;
}

/* In the place of @d, with its outer header. What gets too long is lost. */
static void finish(struct dgram *d)
{
	u32 len = MX_OUTER + mk.hlen + mk.plen;

	if (len > MX_DGRAM_MAX)
		return;
	memcpy(made, d->data, MX_OUTER);
	mx_st16(made + 4, (u16)mk.hlen);
	memcpy(made + MX_OUTER, mk.heads, mk.hlen);
	memcpy(made + MX_OUTER + mk.hlen, mk.pay, mk.plen);
	mx_outer_seal_crc(made, mk.hlen);
	d->data = made;
	d->len = len;
}

/* A message that no server has sent, to go with the next datagram to node @to. */
static struct { u8 b[MX_CTL_UNIT * 2]; u32 len; int to; } extra;

static bool tap(struct cl *c, struct dgram *d, int from)
{
	int to = cl_at(c, &d->to);
	bool to_client = to >= SERVERS, some;
	const u8 *head;
	struct mx_outer o;
	struct mx_walk w;
	struct mx_head h;
	u32 off;

	if (from >= SERVERS || to < 0 || mx_outer_decode(d->data, d->len, &o) != MX_RJ_NONE ||
	    (o.kind != MX_KIND_PLAIN && o.kind != MX_KIND_ANNOUNCE))
		return true;
	some = extra.len && extra.to == to && o.kind == MX_KIND_PLAIN;
	mx_walk_init(&w, d->data + MX_OUTER, o.heads_len, d->len - MX_OUTER - o.heads_len);
	while (mx_walk_next(&w, &h, &head, &off)) {
		some |= rule_for(&h, head, to_client, false) != NULL;
		if (h.type == MX_REPLY)
			remember(mx_ld16(head + 16), d->data + MX_OUTER + o.heads_len + off, h.plen);
	}
	if (!some)
		return true;
	mk.hlen = mk.plen = 0;
	mx_walk_init(&w, d->data + MX_OUTER, o.heads_len, d->len - MX_OUTER - o.heads_len);
	while (mx_walk_next(&w, &h, &head, &off)) {
		const u8 *payload = d->data + MX_OUTER + o.heads_len + off;
		struct rule *r = rule_for(&h, head, to_client, true);

		if (!r || r->how & HOW_BOTH)
			append(head, h.hlen, payload, h.plen);
		if (!r)
			continue;
		mutate(r, &h, head, payload, c->n[to].client);
		append(mu.b, mu.hlen, mu.b + mu.hlen, mu.plen);
	}
	if (extra.len && extra.to == to && o.kind == MX_KIND_PLAIN) {
		append(extra.b, extra.len, extra.b, 0);
		extra.len = 0;
	}
	finish(d);
	return true;
}

/* ---- nodes ---- */

static void *alloc_bounded(void *ctx, size_t size)
{
	struct clnode *n = ctx;

	return n->live_bytes + size > ALLOC_MAX ? NULL : cl_alloc(ctx, size);
}

static struct mx_client *client_up(struct cl *c, int i)
{
	struct mx_client *m = cl_client(c, i);

	c->n[i].port.alloc = alloc_bounded;
	return m;
}

static void server_up(struct cl *c, int i, u32 mib)
{
	struct clnode *n = cl_node(c, i);
	struct mx_server_conf sc;

	memset(&sc, 0, sizeof sc);
	cl_conf(n, &sc.ep, "server");
	sc.store.ceiling = (u64)mib << 20;
	sc.caretaker_after = 3 * MX_SEC;
	sc.jobs = 64;
	n->server = (void *)1;		/* alloc looks at it */
	n->server = mx_server_new(&n->port, &sc, c->now);
	if (!n->server)
		abort();
	n->ep = mx_server_ep(n->server);
	n->silent = false;
	for (int j = 0; j < SERVERS; j++)
		if (j != i) {
			struct mx_addr a = n->addr;

			a.port = (u16)(7000 + j);
			mx_ep_add_seed(n->ep, &a);
		}
}

static void server_down(struct cl *c, int i)
{
	const char *why = c->n[i].server ? mx_store_check(mx_server_store(c->n[i].server)) : NULL;

	if (why) {
		fprintf(stderr, "the store of node %d: %s\n", i, why);
		abort();
	}
	cl_kill(c, i);
}

#endif
