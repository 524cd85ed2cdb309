/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See checker.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "checker_int.h"

void broken(struct ck *c, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	c->say(c->ctx, why);
	abort();
}

static void *grow(void *p, u32 *cap, size_t size)
{
	*cap = *cap ? *cap * 2 : 16;
	p = realloc(p, *cap * size);
	if (!p)
		abort();
	return p;
}

u32 ck_stamp(struct ck *c) { return ++c->stamp; }

static u32 op_new(struct ck *c, struct ck_sess *s, enum ck_kind kind, u64 blk, u32 n)
{
	if (c->nops == c->ops_cap)
		c->ops = grow(c->ops, &c->ops_cap, sizeof *c->ops);
	c->ops[c->nops] = (struct ck_op){
		.sess = s, .blk = blk, .n = n, .kind = (u8)kind, .submit = ck_stamp(c),
	};
	return c->nops++;
}

struct ck *ck_new(void (*fn)(void *, const char *), void *ctx)
{
	struct ck *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->say = fn;
	c->ctx = ctx;
	op_new(c, NULL, CK_WRITE_ZEROS, 0, 0);
	c->ops[0].done = ck_stamp(c);
	return c;
}

static void vol_free(struct ck_vol *v)
{
	struct ck_sess *s;
	struct ck_ext *e;
	u32 i, b;

	for (i = 0; i < EXT_HASH; i++)
		while ((e = v->ext[i])) {
			v->ext[i] = e->next;
			for (b = 0; b < EXT_BLOCKS; b++)
				free(e->blk[b].c);
			free(e);
		}
	while ((s = v->sess)) {
		v->sess = s->older;
		free(s);
	}
	free(v->reads);
	free(v);
}

void ck_free(struct ck *c)
{
	struct ck_vol *v;

	while ((v = c->vols)) {
		c->vols = v->next;
		vol_free(v);
	}
	free(c->ops);
	free(c);
}

struct ck_vol *ck_vol_new(struct ck *c, const char *name)
{
	struct ck_vol *v = calloc(1, sizeof *v);

	if (!v)
		abort();
	v->ck = c;
	snprintf(v->name, sizeof v->name, "%s", name);
	v->salt = (ck_stamp(c) + 1) * 0x9e3779b97f4a7c15ull;
	v->next = c->vols;
	c->vols = v;
	return v;
}

/* ---- sessions ---- */

struct ck_sess *ck_open(struct ck_vol *v, const char *who, u32 epoch, bool forced)
{
	struct ck_sess *s = calloc(1, sizeof *s), **at = &v->sess;

	if (!s)
		abort();
	s->vol = v;
	s->order = epoch;
	s->opened = ck_stamp(v->ck);
	s->forced = forced;
	snprintf(s->who, sizeof s->who, "%s", who);
	while (*at && (*at)->order > epoch)
		at = &(*at)->older;
	if (*at && (*at)->order == epoch)
		broken(v->ck, "%s: %s and %s both own epoch %u", v->name, (*at)->who, who, epoch);
	s->older = *at;
	*at = s;
	return s;
}

void ck_asks(struct ck_sess *s)
{
	s->asks = true;
}

void ck_force(struct ck_vol *v)
{
	struct ck_sess *s;

	for (s = v->sess; s; s = s->older) {
		if (s->over || s->shaken)
			continue;
		s->shaken = true;
		s->shaken_at = ck_stamp(v->ck);
	}
}

bool ck_overtaken(const struct ck_sess *s)
{
	return s->vol->sess != s;
}

static void forget_reads(struct ck_sess *s)
{
	struct ck_vol *v = s->vol;
	u32 i, k;

	for (i = k = 0; i < v->nreads; i++)
		if (v->ck->ops[v->reads[i]].sess != s)
			v->reads[k++] = v->reads[i];
	v->nreads = k;
}

void ck_crash(struct ck_sess *s)
{
	s->over = true;
	forget_reads(s);
}

void ck_close(struct ck_sess *s)
{
	struct ck *c = s->vol->ck;
	u32 i;

	for (i = 1; i < c->nops; i++)
		if (c->ops[i].sess == s && !c->ops[i].done)
			broken(c, "%s: %s closed with request #%u still under way", s->vol->name,
			     s->who, i);
	s->over = true;
	forget_reads(s);
}

/* The session of the next higher epoch. */
static const struct ck_sess *next_sess(const struct ck_sess *s)
{
	const struct ck_sess *t = s->vol->sess;

	if (t == s)
		return NULL;
	while (t->older != s)
		t = t->older;
	return t;
}

bool ck_overtaken_by_force(const struct ck_sess *s)
{
	const struct ck_sess *next = next_sess(s);

	return next && (next->forced || s->shaken);
}

/* May what it tells be old? */
static bool excused(const struct ck_sess *s)
{
	return !s->asks && ck_overtaken_by_force(s);
}

static void check_owner(struct ck_vol *v, u32 op)
{
	struct ck *c = v->ck;
	const struct ck_op *o = &c->ops[op];
	const struct ck_sess *next = next_sess(o->sess);
	u64 blk;

	/* Whoever waits for the lease may count on the owner before being
	 * silent. A forced takeover cannot: it was told that owner is dead. */
	if (next && !ck_overtaken_by_force(o->sess))
		broken(c, "%s: request #%u of %s completed although %s has owned the volume since "
		     "stamp %u (#%u began at %u)", v->name, op, o->sess->who, next->who,
		     next->opened, op, o->submit);
	if (o->kind == CK_READ)
		return;
	for (blk = o->blk; blk < o->blk + o->n; blk += EXT_BLOCKS - blk % EXT_BLOCKS) {
		struct ck_ext *e = ext_get(v, (u32)(blk / EXT_BLOCKS));

		if (e->wr_order > o->sess->order && e->wr_stamp < o->submit)
			broken(c, "%s: write #%u of the old owner %s, begun at %u, completed in extent "
			     "%u, where a newer owner had completed one at %u", v->name, op,
			     o->sess->who, o->submit, e->no, e->wr_stamp);
		if (e->wr_order < o->sess->order) {
			e->wr_order = o->sess->order;
			e->wr_stamp = o->done;
		}
	}
}

/* ---- requests ---- */

static void read_begins(struct ck_vol *v, u32 op)
{
	if (v->nreads == v->reads_cap)
		v->reads = grow(v->reads, &v->reads_cap, sizeof *v->reads);
	v->reads[v->nreads++] = op;
}

static void read_ended(struct ck_vol *v, u32 op)
{
	u32 i;

	for (i = 0; i < v->nreads; i++)
		if (v->reads[i] == op) {
			v->reads[i] = v->reads[--v->nreads];
			break;
		}
}

u32 ck_begin(struct ck_sess *s, enum ck_kind kind, u64 blk, u32 n)
{
	struct ck_vol *v = s->vol;
	u32 op = op_new(v->ck, s, kind, blk, n), i;

	if (kind == CK_READ) {
		read_begins(v, op);
		return op;
	}
	for (i = 0; i < n; i++)
		blk_add(v, blk_get(v, blk + i), kind == CK_WRITE ? ck_value(op, 0) : CK_ZERO, op);
	return op;
}

void ck_changed(struct ck_vol *v, u32 op, u64 blk, u32 version)
{
	blk_add(v, blk_get(v, blk), version ? ck_value(op, version) : CK_ZERO, op);
}

void ck_put_zeros(struct ck_vol *v, u32 op, u64 blk)
{
	struct ck_blk *b = blk_get(v, blk);
	u16 i;

	for (i = 0; i < b->n; i++)
		if (b->c[i].op == op)
			b->c[i].val = CK_ZERO;
}

/* Has C's request ended before X's began? Then C is older wherever both are. */
static bool before(const struct ck_op *c, const struct ck_op *x)
{
	return c->done && c->done < x->submit;
}

/* A discard is a wish: of a lost page it only takes effect on the whole. */
static bool stays_lost(const struct ck_op *w, u64 blk, const struct ck_cand *k)
{
	u64 page = blk - blk % PAGE_BLOCKS;

	return w->kind == CK_DISCARD && k->val == CK_LOST &&
	       (w->blk > page || w->blk + w->n < page + PAGE_BLOCKS);
}

static void end_write(struct ck_vol *v, u32 op, enum ck_end how)
{
	struct ck *c = v->ck;
	const struct ck_op *w = &c->ops[op];
	u64 blk;
	u16 i;

	for (blk = w->blk; blk < w->blk + w->n; blk++) {
		struct ck_blk *b = blk_get(v, blk);

		for (i = 0; i < b->n; i++) {
			struct ck_cand *k = &b->c[i];
			const struct ck_op *o = &c->ops[k->op];

			if (k->gone != NOT_YET || stays_lost(w, blk, k))
				continue;
			if (how == CK_REFUSED) {
				if (k->op == op)
					k->gone = 0;
			} else if (k->op != op &&
				   (before(o, w) || (o->sess && o->sess->order < w->sess->order))) {
				k->gone = w->done;
			}
		}
	}
}

/*
 * A read returns what was there since it began. Whoever takes over by force says
 * that the old owner is dead. If it is not, it still goes by its own map for as long
 * as its lease seems to last, and may answer from it, that a range is a hole, say:
 * with what was there when the takeover began, at the earliest. One whose clock may
 * stand still asks before it does.
 */
static u32 read_since(const struct ck_vol *v, u32 op)
{
	const struct ck_op *o = &v->ck->ops[op];

	if (!excused(o->sess))
		return o->submit;
	return o->sess->shaken ? mx_min_u32(o->submit, o->sess->shaken_at) : 0;
}

/* The candidate that a read's block matches; NULL if several do (zeros). */
static struct ck_cand *match(struct ck_vol *v, u32 op, u64 blk, const u8 *data, struct ck_blk **bp)
{
	u32 since = read_since(v, op);
	u64 val = identify(v, blk, data);
	const struct ck_ext *e = ext_find(v, (u32)(blk / EXT_BLOCKS));
	struct ck_blk *b = e ? (struct ck_blk *)&e->blk[blk % EXT_BLOCKS] : NULL;
	struct ck_cand *hit = NULL;
	u32 hits = 0;
	u16 i;

	*bp = b;
	if (!b || !b->c) {
		if (val != CK_ZERO)
			fail_read(v, op, blk, val);
		return NULL;
	}
	for (i = 0; i < b->n; i++)
		if (b->c[i].val == val && b->c[i].gone > since) {
			hit = &b->c[i];
			hits++;
		}
	if (!hits)
		fail_read(v, op, blk, val);
	return hits == 1 ? hit : NULL;
}

/* A loss shows when the client hears of what was lost: while a write of before the
 * crash is under way there, a read may still show what was before it. */
static bool shows(const struct ck *c, const struct ck_op *o, const struct ck_op *r)
{
	u32 i;

	for (i = 1; o->kind == CK_CRASH && i < c->nops; i++) {
		const struct ck_op *w = &c->ops[i];

		if (w->sess && w->kind != CK_READ && w->submit < o->done &&
		    (!w->done || w->done > r->submit) && w->blk < o->blk + o->n &&
		    o->blk < w->blk + w->n)
			return false;
	}
	return true;
}

/* A read saw @x: what is thereby over? */
static void saw(struct ck *c, const struct ck_op *r, struct ck_blk *b, const struct ck_cand *x)
{
	const struct ck_op *ox = &c->ops[x->op];
	u16 i;

	for (i = 0; i < b->n; i++) {
		struct ck_cand *k = &b->c[i];
		const struct ck_op *o = &c->ops[k->op];
		bool landed = o->done && o->how == CK_OK && o->done < r->submit;
		bool fenced = o->sess && o->sess->order < r->sess->order;

		if (k == x || k->gone != NOT_YET)
			continue;
		if (before(o, ox) || ((landed || fenced) && shows(c, o, r)))
			k->gone = r->done;
	}
}

static bool covers(const struct ck_op *o, u64 blk)
{
	return blk >= o->blk && blk < o->blk + o->n;
}

/* Blocks of one page, as one read saw them: is one write there only in part? */
static void check_torn(struct ck_vol *v, u32 op, u64 blk, struct ck_cand **x, u32 n)
{
	struct ck *c = v->ck;
	u32 i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++) {
			const struct ck_op *a, *b;

			if (!x[i] || !x[j] || x[i]->op == x[j]->op)
				continue;
			a = &c->ops[x[i]->op];
			b = &c->ops[x[j]->op];
			if (!covers(a, blk + j))
				continue;
			if (before(b, a) || covers(b, blk + i))
				broken(c, "%s: read #%u saw a torn page: block %llu is of #%u, block %llu "
				     "of #%u", v->name, op, (unsigned long long)(blk + i), x[i]->op,
				     (unsigned long long)(blk + j), x[j]->op);
		}
}

static void end_read_ok(struct ck_vol *v, u32 op, const u8 *data)
{
	struct ck *c = v->ck;
	const struct ck_op *r = &c->ops[op];
	struct ck_cand *x[PAGE_BLOCKS];
	struct ck_blk *b[PAGE_BLOCKS];
	u64 blk = r->blk, end = r->blk + r->n;
	bool old = excused(r->sess);	/* it shows what was, not what is */
	u32 i, n;

	for (; blk < end; blk += n) {
		n = (u32)mx_min_u64(PAGE_BLOCKS - blk % PAGE_BLOCKS, end - blk);
		for (i = 0; i < n; i++)
			x[i] = match(v, op, blk + i, data + (blk + i - r->blk) * CK_BLOCK, &b[i]);
		check_torn(v, op, blk, x, n);
		for (i = 0; i < n && !old; i++)
			if (x[i])
				saw(c, r, b[i], x[i]);
	}
}

/* Only what a crash took may be called lost: somewhere in the pages touched. */
static void check_lost(struct ck_vol *v, u32 op)
{
	const struct ck_op *o = &v->ck->ops[op];
	u64 blk = o->blk - o->blk % PAGE_BLOCKS;
	u64 end = (o->blk + o->n + PAGE_BLOCKS - 1) / PAGE_BLOCKS * PAGE_BLOCKS;

	for (; blk < end; blk++)
		if (blk_has(v, blk, CK_LOST, o->submit))
			return;
	broken(v->ck, "%s: #%u by %s (blocks %llu + %u, extent %llu) ended with \"lost\", but no crash "
	     "took any of it", v->name, op, o->sess->who, (unsigned long long)o->blk, o->n,
	     (unsigned long long)(o->blk / EXT_BLOCKS));
}

void ck_end(struct ck_vol *v, u32 op, enum ck_end how, const u8 *data)
{
	struct ck *c = v->ck;
	struct ck_op *o = &c->ops[op];

	if (o->done)
		broken(c, "%s: request #%u of %s ended twice", v->name, op, o->sess->who);
	if (o->sess->over)
		broken(c, "%s: request #%u of %s ended after its session", v->name, op, o->sess->who);
	o->done = ck_stamp(c);
	/* As with reads: of a hole nothing need be sent to say that it is zeros. */
	if (how == CK_OK && o->kind != CK_WRITE && o->kind != CK_READ && excused(o->sess))
		how = CK_FAILED;
	/* An error is an error; what a former owner says of its reason is old. */
	if (how == CK_ENDED_LOST && ck_overtaken(o->sess))
		how = CK_FAILED;
	o->how = (u8)how;
	if (how == CK_OK)
		check_owner(v, op);
	if (how == CK_ENDED_LOST)
		check_lost(v, op);
	if (o->kind != CK_READ) {
		if (how == CK_OK || how == CK_REFUSED)
			end_write(v, op, how);
		return;
	}
	if (how == CK_OK)
		end_read_ok(v, op, data);
	read_ended(v, op);
}

/* ---- block status, loss, resize ---- */

u32 ck_look(struct ck_sess *s)
{
	struct ck *c = s->vol->ck;
	u32 op = op_new(c, s, CK_READ, 0, 0);

	c->ops[op].done = c->ops[op].submit;	/* no request that has to end */
	read_begins(s->vol, op);
	return op;
}

u32 ck_looked(struct ck_vol *v, u32 look)
{
	read_ended(v, look);
	return v->ck->ops[look].submit;
}

void ck_run_zero(struct ck_vol *v, u32 since, u64 blk, u64 n)
{
	u64 b = blk, end = blk + n;

	while (b < end) {
		u64 next = mx_min_u64(end, (b / EXT_BLOCKS + 1) * EXT_BLOCKS);

		/* A run of holes may be very long; most of it was never touched. */
		if (!ext_find(v, (u32)(b / EXT_BLOCKS)))
			b = next;
		for (; b < next; b++)
			if (!blk_has(v, b, CK_ZERO, since))
				broken(v->ck, "%s: block status says block %llu reads as zeros; it holds "
				       "data", v->name, (unsigned long long)b);
	}
}

void ck_run_lost(struct ck_vol *v, u32 since, u64 blk, u64 n)
{
	u64 b, end = (blk + n + PAGE_BLOCKS - 1) / PAGE_BLOCKS * PAGE_BLOCKS;

	for (b = blk - blk % PAGE_BLOCKS; b < end; b++)
		if (blk_has(v, b, CK_LOST, since))
			return;
	broken(v->ck, "%s: block status says block %llu is lost, but no crash took it", v->name,
	     (unsigned long long)blk);
}

void ck_lost(struct ck_vol *v, u32 extent)
{
	struct ck *c = v->ck;
	u32 op = op_new(c, NULL, CK_CRASH, (u64)extent * EXT_BLOCKS, EXT_BLOCKS), i;

	c->ops[op].done = ck_stamp(c);
	for (i = 0; i < EXT_BLOCKS; i++)
		blk_add(v, blk_get(v, (u64)extent * EXT_BLOCKS + i), CK_LOST, op);
}

static bool has_cand(const struct ck_blk *b, u32 op)
{
	u16 k;

	for (k = 0; k < b->n; k++)
		if (b->c[k].op == op)
			return true;
	return false;
}

/* Every block from @blk on that was ever touched may be zeros by @op. */
static void cut_off(struct ck_vol *v, u64 blk, u32 op)
{
	struct ck_ext *e;
	u32 i, b;

	for (i = 0; i < EXT_HASH; i++)
		for (e = v->ext[i]; e; e = e->next)
			for (b = 0; b < EXT_BLOCKS; b++)
				if (e->blk[b].c && (u64)e->no * EXT_BLOCKS + b >= blk &&
				    !has_cand(&e->blk[b], op))
					blk_add(v, &e->blk[b], CK_ZERO, op);
}

u32 ck_shrink_begin(struct ck_vol *v, u64 blk)
{
	u32 op = op_new(v->ck, NULL, CK_RESIZE, blk, 0);

	cut_off(v, blk, op);
	return op;
}

/* @cut: its extent is cut in two. If it is lost, that is known of the whole only,
 * and the part cut off is lost still if it comes back. */
static void shrunk(struct ck *c, struct ck_blk *b, u32 op, enum ck_end how, bool cut)
{
	u16 k;

	for (k = 0; k < b->n; k++) {
		struct ck_cand *x = &b->c[k];

		if (x->gone != NOT_YET)
			continue;
		if (how == CK_REFUSED && x->op == op)
			x->gone = 0;
		if (how == CK_OK && before(&c->ops[x->op], &c->ops[op]) && !(cut && x->val == CK_LOST))
			x->gone = c->ops[op].done;
	}
}

void ck_shrink_end(struct ck_vol *v, u32 op, u64 blk, enum ck_end how)
{
	struct ck *c = v->ck;
	struct ck_ext *e;
	u32 i, b;

	if (how != CK_REFUSED)		/* also what was written meanwhile */
		cut_off(v, blk, op);
	c->ops[op].done = ck_stamp(c);
	c->ops[op].how = (u8)how;
	if (how != CK_OK && how != CK_REFUSED)
		return;
	for (i = 0; i < EXT_HASH; i++)
		for (e = v->ext[i]; e; e = e->next)
			for (b = 0; b < EXT_BLOCKS; b++)
				if ((u64)e->no * EXT_BLOCKS + b >= blk)
					shrunk(c, &e->blk[b], op, how,
					       e->no == blk / EXT_BLOCKS && blk % EXT_BLOCKS);
}

void ck_recovered(struct ck_vol *v, bool deleted)
{
	struct ck *c = v->ck;
	struct ck_ext *e;
	u32 op = op_new(c, NULL, CK_CRASH, 0, 0), i, b;

	c->ops[op].done = ck_stamp(c);
	for (i = 0; i < EXT_HASH; i++)
		for (e = v->ext[i]; e; e = e->next)
			for (b = 0; b < EXT_BLOCKS; b++) {
				u64 blk = (u64)e->no * EXT_BLOCKS + b;
				bool zero = blk_has(v, blk, CK_ZERO, c->stamp - 1);
				bool lost = blk_has(v, blk, CK_LOST, c->stamp - 1);

				if ((zero || deleted) && !lost)
					blk_add(v, &e->blk[b], CK_LOST, op);
				/* Also beside a zero of some write: it is not that one's. */
				if (lost || deleted)
					blk_add(v, &e->blk[b], CK_ZERO, op);
			}
}

bool ck_may_be_lost(const struct ck_vol *v, u64 blk)
{
	return blk_has(v, blk, CK_LOST, v->ck->stamp);
}

u64 ck_blocks_lost(const struct ck_vol *v)
{
	const struct ck_ext *e;
	u64 n = 0;
	u32 i, b;

	for (i = 0; i < EXT_HASH; i++)
		for (e = v->ext[i]; e; e = e->next)
			for (b = 0; b < EXT_BLOCKS; b++)
				n += e->blk[b].c && blk_has(v, (u64)e->no * EXT_BLOCKS + b, CK_LOST,
							    v->ck->stamp);
	return n;
}
