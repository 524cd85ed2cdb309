/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bounded cursors over a body's bytes. Running out makes the cursor bad, and
 * everything after it reads zero or writes nothing, so that callers check once,
 * at the end.
 */
#ifndef MEMX_CORE_PACK_H
#define MEMX_CORE_PACK_H

#include "port.h"

struct mx_put { u8 *p; u32 cap, len; bool bad; };
struct mx_get { const u8 *p; u32 left; bool bad; };

static inline void mx_put_init(struct mx_put *w, u8 *p, u32 cap)
{
	w->p = p;
	w->cap = cap;
	w->len = 0;
	w->bad = false;
}

/* The next @n bytes to be written, or NULL. */
static inline u8 *mx_put_room(struct mx_put *w, u32 n)
{
	u8 *at = w->p + w->len;

	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	w->len += n;
	return at;
}

static inline void mx_put16(struct mx_put *w, u16 v)
{
	u8 *at = mx_put_room(w, 2);

	if (at)
		mx_st16(at, v);
}

static inline void mx_put32(struct mx_put *w, u32 v)
{
	u8 *at = mx_put_room(w, 4);

	if (at)
		mx_st32(at, v);
}

static inline void mx_put64(struct mx_put *w, u64 v)
{
	u8 *at = mx_put_room(w, 8);

	if (at)
		mx_st64(at, v);
}

static inline void mx_put_mem(struct mx_put *w, const void *src, u32 n)
{
	u8 *at = mx_put_room(w, n);

	/* src may lie further on in the same buffer (batched bitmaps) */
	if (at && n)
		memmove(at, src, n);
}

static inline void mx_put_zero(struct mx_put *w, u32 n)
{
	u8 *at = mx_put_room(w, n);

	if (at)
		memset(at, 0, n);
}

/* Length written, 0 if it did not fit. */
static inline u32 mx_put_end(const struct mx_put *w)
{
	return w->bad ? 0 : w->len;
}

static inline void mx_get_init(struct mx_get *r, const u8 *p, u32 len)
{
	r->p = p;
	r->left = len;
	r->bad = false;
}

static inline const u8 *mx_get_mem(struct mx_get *r, u32 n)
{
	const u8 *at = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return at;
}

static inline u16 mx_get16(struct mx_get *r)
{
	const u8 *at = mx_get_mem(r, 2);

	return at ? mx_ld16(at) : 0;
}

static inline u32 mx_get32(struct mx_get *r)
{
	const u8 *at = mx_get_mem(r, 4);

	return at ? mx_ld32(at) : 0;
}

static inline u64 mx_get64(struct mx_get *r)
{
	const u8 *at = mx_get_mem(r, 8);

	return at ? mx_ld64(at) : 0;
}

static inline void mx_get_copy(struct mx_get *r, void *dst, u32 n)
{
	const u8 *at = mx_get_mem(r, n);

	if (at)
		memcpy(dst, at, n);
	else
		memset(dst, 0, n);
}

/* Bytes kept for later versions: must be zero. */
static inline void mx_get_zero(struct mx_get *r, u32 n)
{
	const u8 *at = mx_get_mem(r, n);
	u32 i;

	for (i = 0; at && i < n; i++)
		if (at[i])
			r->bad = true;
}

/* In desc.c. */
struct mx_node;
void mx_put_node(struct mx_put *w, const struct mx_node *n);
void mx_get_node(struct mx_get *r, struct mx_node *n);
void mx_put_name(struct mx_put *w, const char *name);
void mx_get_name(struct mx_get *r, char *name, bool empty_ok);

/* All was there, and nothing is left. */
static inline bool mx_get_end(const struct mx_get *r)
{
	return !r->bad && r->left == 0;
}

#endif
