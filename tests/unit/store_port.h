/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port for tests of the store and the server: counts what is taken, fails
 * when told to, and objects to allocation where there must be none.
 */
#ifndef MEMX_TESTS_STORE_PORT_H
#define MEMX_TESTS_STORE_PORT_H

#include <stdio.h>
#include <stdlib.h>
#include "core/port.h"

struct tport {
	struct mx_port port;
	u64 alloc_bytes;	/* now */
	u64 pages;		/* now */
	u64 allocs;		/* so far */
	u64 fail_at;		/* the alloc to fail, counted from 1; 0: none */
	u64 page_limit;		/* page_get returns NULL above it; 0: no limit */
	bool no_alloc;		/* a data path is running */
	u64 rng;
	void *shared;		/* all pages are this one (figures only) */
	void *busy;		/* a page still referred to by somebody else */
};

static inline u64 trand(u64 *s)
{
	u64 z = *s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void tport_die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static void *tport_alloc(void *ctx, size_t size)
{
	struct tport *t = ctx;
	void *p;

	if (t->no_alloc)
		tport_die("allocation on the data path");
	if (++t->allocs == t->fail_at)
		return NULL;
	p = calloc(1, size);
	if (!p)
		tport_die("out of memory");
	t->alloc_bytes += size;
	return p;
}

static void tport_free(void *ctx, void *p, size_t size)
{
	struct tport *t = ctx;

	if (!p)
		return;
	if (t->no_alloc)
		tport_die("free on the data path");
	t->alloc_bytes -= size;
	free(p);
}

static void tport_random(void *ctx, void *buf, size_t len)
{
	struct tport *t = ctx;
	u8 *b = buf;

	while (len--)
		*b++ = (u8)trand(&t->rng);
}

static void *tport_page_get(void *ctx)
{
	struct tport *t = ctx;
	u8 *p = t->shared;

	if (t->page_limit && t->pages >= t->page_limit)
		return NULL;
	if (!p) {
		p = malloc(4096);
		memset(p, 0xa5, 4096);
	}
	t->pages++;
	return p;
}

static void tport_page_put(void *ctx, void *page)
{
	struct tport *t = ctx;

	t->pages--;
	if (page != t->shared && page != t->busy)
		free(page);
}

static bool tport_page_busy(void *ctx, void *page)
{
	struct tport *t = ctx;

	return page == t->busy;
}

static inline void tport_init(struct tport *t)
{
	memset(t, 0, sizeof *t);
	t->port.ctx = t;
	t->port.alloc = tport_alloc;
	t->port.free = tport_free;
	t->port.random = tport_random;
	t->port.page_get = tport_page_get;
	t->port.page_put = tport_page_put;
	t->port.page_busy = tport_page_busy;
	t->rng = 1;
}

#endif
