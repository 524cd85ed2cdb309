/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Three servers, a client and a volume, for tests of volumes. */
#ifndef TESTS_THREE_H
#define TESTS_THREE_H

#include "cluster.h"

static inline void fill(u8 *p, u32 len, u64 seed)
{
	for (u32 i = 0; i < len; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (u8)(seed >> 56);
	}
}

struct three { struct cl c; struct clvol v; };

static inline void three_up(struct three *t, u64 seed, u32 mib, u64 size, const struct mx_vol_conf *conf)
{
	cl_init(&t->c, seed);
	for (int i = 0; i < 3; i++)
		cl_server(&t->c, i, mib);
	cl_client(&t->c, 5);
	assert_int_equal(cl_create(&t->c, 5, "vm1", size), MX_OK);
	assert_int_equal(cl_open(&t->c, 5, "vm1", conf, &t->v), MX_OK);
}

static inline void three_down(struct three *t)
{
	if (t->v.v)
		cl_close(&t->c, &t->v);
	cl_end(&t->c);
}

static inline u64 server_of(struct clvol *v, u32 extent)
{
	u64 id;

	mx_vol_extent(v->v, extent, &id, NULL);
	return id;
}

/* Writes page @page of every extent with its own stamp. */
static inline void mark_all(struct three *t, u32 extents, u32 page, u32 salt)
{
	u8 a[4096];

	for (u32 e = 0; e < extents; e++) {
		fill(a, sizeof a, e + salt);
		assert_int_equal(cl_io(&t->v, MX_REQ_WRITE, ((u64)e << 20) + page * 4096, a, sizeof a), MX_OK);
	}
}

static inline enum mx_status check_page(struct three *t, u32 e, u32 page, u32 salt)
{
	u8 a[4096], b[4096];
	enum mx_status st;

	memset(b, 0xee, sizeof b);
	st = cl_io(&t->v, MX_REQ_READ, ((u64)e << 20) + page * 4096, b, sizeof b);
	if (st != MX_OK)
		return st;
	fill(a, sizeof a, e + salt);
	if (!salt)
		memset(a, 0, sizeof a);
	assert_memory_equal(a, b, sizeof a);
	return MX_OK;
}

/* @servers of 64 MiB, a client and its volume of 32 MiB, each extent of which is marked. */
static inline void many_up(struct three *t, u64 seed, int servers, int client, const char *name)
{
	cl_init(&t->c, seed);
	for (int i = 0; i < servers; i++)
		cl_server(&t->c, i, 64);
	cl_client(&t->c, client);
	assert_int_equal(cl_create(&t->c, client, name, 32 << 20), MX_OK);
	assert_int_equal(cl_open(&t->c, client, name, NULL, &t->v), MX_OK);
	mark_all(t, 32, 0, 10);
}

#endif
