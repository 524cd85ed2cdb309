/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATS: a server's figures as lines "key value". Keys are never renamed and
 * never change their meaning; new ones may come, in any order:
 *
 *	version			of the program
 *	name, node, incarnation	who it is; the last two 16 hexadecimal digits
 *	uptime_s
 *	capacity_bytes		the ceiling: all that may be taken
 *	used_bytes		data_bytes + meta_bytes
 *	data_bytes		pages, those being assembled included
 *	meta_bytes		bookkeeping
 *	free_bytes		room for new pages
 *	pages, zero_pages, lost_pages, extents, volumes		kept here
 *	held, owned		descriptors held; of them with a live lease
 *	load			0..1000
 *	leaving			1: was asked to stop
 *	reads, writes, zeros, blkstats, calls			requests so far
 *	read_bytes, written_bytes
 *	busy, full, stale, fenced, need_seal, bad_crc		refusals so far
 *	shed			extents that owners were asked to move away
 *	dropped			requests dropped because replies were waiting
 *	rx_dgrams, rx_bytes, tx_dgrams, tx_bytes, rejects	of the endpoint
 *	peers			accepted sessions
 *	volume.UUID EXTENTS DATABYTES NAME	as many as fit
 */
#include "server_int.h"
#include "text.h"

#ifndef MEMX_VERSION
#define MEMX_VERSION "unknown"
#endif

static void kv(struct mx_text *t, const char *key, u64 v)
{
	mx_text_char(mx_text_u64(mx_text_str(mx_text_str(t, key), " "), v), '\n');
}

static void kx(struct mx_text *t, const char *key, u64 v)
{
	u8 be[8];
	u32 i;

	for (i = 0; i < 8; i++)
		be[i] = (u8)(v >> (56 - 8 * i));
	mx_text_char(mx_text_hex(mx_text_str(mx_text_str(t, key), " "), be, 8), '\n');
}

static void identity(struct mx_text *t, const struct mx_server *s, mx_ns now)
{
	const struct mx_node *n = mx_srv_node(s);

	mx_text_str(mx_text_str(mx_text_str(t, "version "), MEMX_VERSION), "\nname ");
	mx_text_str(mx_text_str(t, n->name), "\n");
	kx(t, "node", n->id);
	kx(t, "incarnation", n->incarnation);
	kv(t, "uptime_s", (now - s->started) / MX_SEC);
}

static void memory(struct mx_text *t, const struct mx_server *s)
{
	const struct mx_store_stats *st = mx_store_stats(s->store);

	kv(t, "capacity_bytes", st->ceiling);
	kv(t, "used_bytes", st->data_bytes + st->meta_bytes);
	kv(t, "data_bytes", st->data_bytes);
	kv(t, "meta_bytes", st->meta_bytes);
	kv(t, "free_bytes", mx_store_room(s->store));
	kv(t, "pages", st->pages);
	kv(t, "zero_pages", st->zero_pages);
	kv(t, "lost_pages", st->lost_pages);
	kv(t, "extents", st->extents);
	kv(t, "volumes", st->volumes);
	kv(t, "stale", st->stale);
}

static void requests(struct mx_text *t, const struct mx_server *s, mx_ns now)
{
	struct mx_server_stats st;

	mx_server_stats(s, &st, now);
	kv(t, "held", st.held);
	kv(t, "owned", st.owned);
	kv(t, "load", s->load);
	kv(t, "leaving", s->leaving);
	kv(t, "reads", st.reads);
	kv(t, "writes", st.writes);
	kv(t, "zeros", st.zeros);
	kv(t, "blkstats", st.blkstats);
	kv(t, "calls", st.calls);
	kv(t, "read_bytes", st.read_bytes);
	kv(t, "written_bytes", st.write_bytes);
	kv(t, "busy", st.busy);
	kv(t, "full", st.full);
	kv(t, "fenced", st.fenced);
	kv(t, "need_seal", st.need_seal);
	kv(t, "bad_crc", st.bad_crc);
	kv(t, "shed", st.shed);
	kv(t, "dropped", st.dropped_jobs);
}

static void endpoint(struct mx_text *t, const struct mx_server *s)
{
	const struct mx_ep_stats *e = mx_ep_stats(s->ep);
	const struct mx_list *n;
	u64 rejects = 0, peers = 0;
	u32 i;

	for (i = 0; i < MX_RJ_COUNT; i++)
		rejects += e->rejects[i];
	mx_list_for_each(n, &s->speers)
		peers++;
	kv(t, "rx_dgrams", e->rx_dgrams);
	kv(t, "rx_bytes", e->rx_bytes);
	kv(t, "tx_dgrams", e->tx_dgrams);
	kv(t, "tx_bytes", e->tx_bytes);
	kv(t, "rejects", rejects);
	kv(t, "peers", peers);
}

static void volume(struct mx_text *t, const struct mx_svol *v)
{
	u32 len;
	const u8 *desc = mx_svol_desc(v, &len);

	mx_text_hex(mx_text_str(t, "volume."), mx_svol_uuid(v), MX_UUID);
	mx_text_u64(mx_text_str(t, " "), mx_svol_extents(v));
	mx_text_u64(mx_text_str(t, " "), mx_svol_data_bytes(v));
	mx_text_str(t, " ");
	if (desc)
		mx_text_str(t, (const char *)desc + MX_DESC_NAME);
	mx_text_char(t, '\n');
}

enum mx_status mx_call_stats(struct mx_ccall *c)
{
	struct mx_server *s = c->s;
	struct mx_svol *v = NULL;
	struct mx_text t;

	mx_text_init(&t, (char *)c->rep.p, c->rep.cap);
	identity(&t, s, c->now);
	memory(&t, s);
	requests(&t, s, c->now);
	endpoint(&t, s);
	if (s->extra)
		mx_text_str(&t, s->extra);
	/* A line of a volume takes at most 150 bytes. */
	while (t.cap - t.len > 256 && (v = mx_svol_next(s->store, v)))
		volume(&t, v);
	c->rep.len = t.len;
	return MX_OK;
}
