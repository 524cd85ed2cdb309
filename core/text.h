/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sentences for people, put together without a C library. What does not fit is
 * cut off; the string always ends.
 */
#ifndef MEMX_CORE_TEXT_H
#define MEMX_CORE_TEXT_H

#include "port.h"

struct mx_text { char *p; u32 cap, len; };

static inline void mx_text_init(struct mx_text *t, char *buf, u32 cap)
{
	t->p = buf;
	t->cap = cap;
	t->len = 0;
	buf[0] = 0;
}

static inline void mx_text_char(struct mx_text *t, char c)
{
	if (t->len + 1 >= t->cap)
		return;
	t->p[t->len++] = c;
	t->p[t->len] = 0;
}

static inline struct mx_text *mx_text_str(struct mx_text *t, const char *s)
{
	while (*s)
		mx_text_char(t, *s++);
	return t;
}

static inline struct mx_text *mx_text_u64(struct mx_text *t, u64 v)
{
	char d[20];
	u32 n = 0;

	do {
		d[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		mx_text_char(t, d[--n]);
	return t;
}

static inline struct mx_text *mx_text_hex(struct mx_text *t, const u8 *p, u32 n)
{
	static const char d[] = "0123456789abcdef";

	for (u32 i = 0; i < n; i++) {
		mx_text_char(t, d[p[i] >> 4]);
		mx_text_char(t, d[p[i] & 15]);
	}
	return t;
}

/* A number of bytes in the largest unit that keeps it whole or above 10. */
static inline struct mx_text *mx_text_bytes(struct mx_text *t, u64 v)
{
	static const char unit[6][8] = { " bytes", " KiB", " MiB", " GiB", " TiB", " PiB" };
	u32 i = 0;

	while (i < 5 && v >= 1024 && (!(v & 1023) || v >= 10240)) {
		v >>= 10;
		i++;
	}
	return mx_text_str(mx_text_u64(t, v), unit[i]);
}

#endif
