// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page map: where each extent is. Two levels, all of it allocated when the
 * volume is opened or grown, so that no request waits for memory: 16 bytes an
 * extent, 16 MiB for a TiB, and as much again as the last leaf is not full.
 */
#include "client_int.h"

#define LEAF_BYTES	(MX_LEAF * sizeof(struct mx_ent))

static u32 leaves(u32 nents)
{
	return (nents + MX_LEAF - 1) >> MX_LEAF_SHIFT;
}

static void cut_leaves(struct mx_map *m, const struct mx_port *port, u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		port->free(port->ctx, m->leaf[i], LEAF_BYTES);
		m->leaf[i] = NULL;
		m->bytes -= LEAF_BYTES;
	}
}

static bool grow_table(struct mx_map *m, const struct mx_port *port, u32 want)
{
	struct mx_ent **leaf = port->alloc(port->ctx, want * sizeof *leaf);

	if (!leaf)
		return false;
	if (m->nleaf) {
		memcpy(leaf, m->leaf, m->nleaf * sizeof *leaf);
		port->free(port->ctx, m->leaf, m->nleaf * sizeof *leaf);
	}
	m->leaf = leaf;
	m->bytes += (want - m->nleaf) * sizeof *leaf;
	m->nleaf = want;
	return true;
}

/* Entries beyond the end must be holes already when it shrinks. The table of
 * leaves only grows. */
bool mx_map_resize(struct mx_map *m, const struct mx_port *port, u32 nents)
{
	u32 have = leaves(m->nents), want = leaves(nents);

	if (want > m->nleaf && !grow_table(m, port, want))
		return false;
	for (u32 i = have; i < want; i++) {
		m->leaf[i] = port->alloc(port->ctx, LEAF_BYTES);
		if (!m->leaf[i]) {
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
	if (m->nleaf)
		port->free(port->ctx, m->leaf, m->nleaf * sizeof *m->leaf);
	memset(m, 0, sizeof *m);
}

void mx_map_set(struct mx_map *m, struct mx_ent *e, enum mx_ext_state st)
{
	m->count[e->state]--;
	m->count[st]++;
	e->state = (u8)st;
}
