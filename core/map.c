// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page map: where each extent is. All of it is allocated when the volume is opened or
 * grown, so that no request waits for memory: 16 bytes an extent, 16 MiB for a TiB. Three
 * levels, as of a page table, so that it is made of single pages: a kernel that has to
 * make it in a softirq finds those in the most fragmented memory. (The root is larger for
 * more than 64 TiB.)
 */
#include "client_int.h"

#define LEAF_BYTES	(MX_LEAF * sizeof(struct mx_ent))
#define MID_BYTES	(MX_MID * sizeof(struct mx_ent *))
MX_BUILD_ASSERT(LEAF_BYTES == 4096);

static void *map_alloc(const struct mx_port *port, size_t size)
{
	return port->alloc_map ? port->alloc_map(port->ctx, size) : port->alloc(port->ctx, size);
}

static u32 leaves(u32 nents)
{
	return (nents + MX_LEAF - 1) >> MX_LEAF_SHIFT;
}

static struct mx_ent **leaf_at(const struct mx_map *m, u32 i)
{
	return &m->mid[i >> MX_MID_SHIFT][i & (MX_MID - 1)];
}

static void cut_leaves(struct mx_map *m, const struct mx_port *port, u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		port->free(port->ctx, *leaf_at(m, i), LEAF_BYTES);
		*leaf_at(m, i) = NULL;
		m->bytes -= LEAF_BYTES;
	}
}

static bool grow_root(struct mx_map *m, const struct mx_port *port, u32 want)
{
	struct mx_ent ***mid = map_alloc(port, want * sizeof *mid);

	if (!mid)
		return false;
	if (m->nmid) {
		memcpy(mid, m->mid, m->nmid * sizeof *mid);
		port->free(port->ctx, m->mid, m->nmid * sizeof *mid);
	}
	m->mid = mid;
	m->bytes += (want - m->nmid) * sizeof *mid;
	m->nmid = want;
	return true;
}

/* Room for pointers to so many leaves. */
static bool grow_mids(struct mx_map *m, const struct mx_port *port, u32 nleaf)
{
	u32 want = (nleaf + MX_MID - 1) >> MX_MID_SHIFT;

	if (want > m->nmid && !grow_root(m, port, want))
		return false;
	for (u32 i = 0; i < want; i++) {
		if (m->mid[i])
			continue;
		m->mid[i] = map_alloc(port, MID_BYTES);
		if (!m->mid[i])
			return false;
		m->bytes += MID_BYTES;
	}
	return true;
}

/* Entries beyond the end must be holes already when it shrinks. The two upper levels
 * only grow. */
bool mx_map_resize(struct mx_map *m, const struct mx_port *port, u32 nents)
{
	u32 have = leaves(m->nents), want = leaves(nents);

	if (!grow_mids(m, port, want))
		return false;
	for (u32 i = have; i < want; i++) {
		*leaf_at(m, i) = map_alloc(port, LEAF_BYTES);
		if (!*leaf_at(m, i)) {
			cut_leaves(m, port, have, i);
			return false;
		}
		m->bytes += LEAF_BYTES;
	}
	if (want < have)
		cut_leaves(m, port, want, have);
	m->count[MX_EXT_HOLE] += nents;
	m->count[MX_EXT_HOLE] -= m->nents;
	m->nents = nents;
	return true;
}

void mx_map_free(struct mx_map *m, const struct mx_port *port)
{
	cut_leaves(m, port, 0, leaves(m->nents));
	for (u32 i = 0; i < m->nmid; i++)
		if (m->mid[i])
			port->free(port->ctx, m->mid[i], MID_BYTES);
	if (m->nmid)
		port->free(port->ctx, m->mid, m->nmid * sizeof *m->mid);
	memset(m, 0, sizeof *m);
}

void mx_map_set(struct mx_map *m, struct mx_ent *e, enum mx_ext_state st)
{
	m->count[e->state]--;
	m->count[st]++;
	e->state = (u8)st;
}
