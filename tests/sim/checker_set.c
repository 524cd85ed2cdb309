/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which contents a block may have: see checker.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "checker_int.h"

/* ---- contents ---- */

/* A content's number names its write: request << 8 | version of the buffer. */
u64 ck_value(u32 op, u32 version) { return (u64)op << 8 | (version & 0xff); }
static u32 val_op(u64 val) { return (u32)(val >> 8); }

static u64 pattern(const struct ck_vol *v, u64 val, u64 blk)
{
	u64 x = (val + 1) * 0xbf58476d1ce4e5b9ull ^ (blk + v->salt) * 0x94d049bb133111ebull;

	return x ^ x >> 29;
}

void ck_fill(const struct ck_vol *v, u64 val, u64 blk, u8 *out)
{
	u64 x = pattern(v, val, blk), w[CK_BLOCK / 8];
	u32 i;

	if (val == CK_ZERO) {
		memset(out, 0, CK_BLOCK);
		return;
	}
	w[0] = val;
	for (i = 1; i < CK_BLOCK / 8; i++)
		w[i] = x + i * 0x9e3779b97f4a7c15ull;
	memcpy(out, w, CK_BLOCK);
}

u64 identify(const struct ck_vol *v, u64 blk, const u8 *data)
{
	u64 w[CK_BLOCK / 8], x, bad = 0;
	u32 i;

	memcpy(w, data, CK_BLOCK);
	if (!w[0]) {
		for (i = 1; i < CK_BLOCK / 8; i++)
			bad |= w[i];
		return bad ? CK_BAD : CK_ZERO;
	}
	x = pattern(v, w[0], blk);
	for (i = 1; i < CK_BLOCK / 8; i++)
		bad |= w[i] ^ (x + i * 0x9e3779b97f4a7c15ull);
	return bad ? CK_BAD : w[0];
}

/* ---- the sets ---- */

struct ck_ext *ext_find(const struct ck_vol *v, u32 no)
{
	struct ck_ext *e = v->ext[no % EXT_HASH];

	while (e && e->no != no)
		e = e->next;
	return e;
}

struct ck_ext *ext_get(struct ck_vol *v, u32 no)
{
	struct ck_ext *e = ext_find(v, no);

	if (e)
		return e;
	e = calloc(1, sizeof *e);
	if (!e)
		abort();
	e->no = no;
	e->next = v->ext[no % EXT_HASH];
	v->ext[no % EXT_HASH] = e;
	return e;
}

struct ck_blk *blk_get(struct ck_vol *v, u64 blk)
{
	return &ext_get(v, (u32)(blk / EXT_BLOCKS))->blk[blk % EXT_BLOCKS];
}

/* Nothing that could still be returned needs what was impossible before this. */
static u32 oldest_read(const struct ck_vol *v)
{
	const struct ck_sess *s;
	u32 i, min = NOT_YET;

	for (s = v->sess; s; s = s->older)	/* may answer as of then */
		if (s->shaken && !s->over)
			min = mx_min_u32(min, s->shaken_at);
	for (i = 0; i < v->nreads; i++)
		min = mx_min_u32(min, v->ck->ops[v->reads[i]].submit);
	return min == NOT_YET ? v->ck->stamp : min;
}

void blk_add(struct ck_vol *v, struct ck_blk *b, u64 val, u32 op)
{
	u16 i, k;

	if (!b->c) {
		b->cap = 4;
		b->c = malloc(b->cap * sizeof *b->c);
		if (!b->c)
			abort();
		b->c[b->n++] = (struct ck_cand){ .val = CK_ZERO, .op = 0, .gone = NOT_YET };
	}
	if (b->n == b->cap) {
		u32 keep = oldest_read(v);

		for (i = k = 0; i < b->n; i++)
			if (b->c[i].gone >= keep)
				b->c[k++] = b->c[i];
		b->n = k;
	}
	if (b->n == b->cap) {
		b->cap *= 2;
		b->c = realloc(b->c, b->cap * sizeof *b->c);
		if (!b->c)
			abort();
	}
	b->c[b->n++] = (struct ck_cand){ .val = val, .op = op, .gone = NOT_YET };
}

bool blk_has(const struct ck_vol *v, u64 blk, u64 val, u32 since)
{
	const struct ck_ext *e = ext_find(v, (u32)(blk / EXT_BLOCKS));
	const struct ck_blk *b = e ? &e->blk[blk % EXT_BLOCKS] : NULL;
	u16 i;

	if (!b || !b->c)
		return val == CK_ZERO;
	for (i = 0; i < b->n; i++)
		if (b->c[i].val == val && b->c[i].gone > since)
			return true;
	return false;
}

static const char *val_text(const struct ck *c, u64 val, char *out, size_t len)
{
	if (val == CK_ZERO)
		snprintf(out, len, "zeros");
	else if (val == CK_LOST)
		snprintf(out, len, "lost");
	else if (val == CK_BAD)
		snprintf(out, len, "something never written here");
	else if (val_op(val) >= c->nops)
		snprintf(out, len, "an unknown request's data");
	else
		snprintf(out, len, "#%u.%u", val_op(val), (u32)(val & 0xff));
	return out;
}

void fail_read(struct ck_vol *v, u32 op, u64 blk, u64 got)
{
	struct ck *c = v->ck;
	const struct ck_blk *b = blk_get(v, blk);
	char set[700] = "", one[64];
	size_t at = 0;
	u16 i;

	for (i = 0; i < b->n && at < sizeof set - 80; i++) {
		const struct ck_op *o = &c->ops[b->c[i].op];

		at += (size_t)snprintf(set + at, sizeof set - at, " %s%s(%u..%u)%s",
			b->c[i].gone > c->ops[op].submit ? "" : "no longer ",
			val_text(c, b->c[i].val, one, sizeof one), o->submit, o->done,
			i + 1 < b->n ? "," : "");
	}
	broken(c, "%s: read #%u by %s returned %s at block %llu (extent %llu, byte %llu); allowed:%s",
	     v->name, op, c->ops[op].sess->who, val_text(c, got, one, sizeof one),
	     (unsigned long long)blk, (unsigned long long)(blk / EXT_BLOCKS),
	     (unsigned long long)(blk * CK_BLOCK), b->c ? set : " zeros (never written)");
}
