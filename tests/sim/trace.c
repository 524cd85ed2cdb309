/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trace's account of a datagram: each message in it, in words.
 *
 * Works on sealed ones too in the fast build, whose stand-in for encryption
 * leaves the text readable; in the build with real cryptography only length
 * and number can be told.
 */
#include "sim.h"

static const char *msg_name(u16 t)
{
	switch (t) {
	case MX_HELLO: return "HELLO";
	case MX_RETRY: return "RETRY";
	case MX_WELCOME: return "WELCOME";
	case MX_REJECT: return "REJECT";
	case MX_RESET: return "RESET";
	case MX_ANNOUNCE: return "ANNOUNCE";
	case MX_READ: return "READ";
	case MX_READ_DATA: return "READ_DATA";
	case MX_WRITE: return "WRITE";
	case MX_WRITE_ACK: return "WRITE_ACK";
	case MX_ZERO: return "ZERO";
	case MX_BLKSTAT: return "BLKSTAT";
	case MX_BLKSTAT_DATA: return "BLKSTAT_DATA";
	case MX_PING: return "PING";
	case MX_PONG: return "PONG";
	case MX_PROBE: return "PROBE";
	case MX_PROBE_OK: return "PROBE_OK";
	case MX_BYE: return "BYE";
	case MX_CALL: return "CALL";
	case MX_REPLY: return "REPLY";
	}
	return "?";
}

static const char *op_name(u16 op)
{
	static const char *const names[] = {
		[MX_OP_MEMBERS] = "members", [MX_OP_STATS] = "stats", [MX_OP_LOOKUP] = "lookup",
		[MX_OP_LIST] = "list", [MX_OP_RESERVE] = "reserve", [MX_OP_PREPARE] = "prepare",
		[MX_OP_ACCEPT] = "accept", [MX_OP_LEASE] = "lease", [MX_OP_BITS_SET] = "bits-set",
		[MX_OP_BITS_GET] = "bits-get", [MX_OP_SEAL] = "seal",
		[MX_OP_LIST_EXTENTS] = "list-extents", [MX_OP_DROP_EXTENT] = "drop-extent",
		[MX_OP_DROP_VOLUME] = "drop-volume", [MX_OP_FORGET] = "forget",
		[MX_OP_RECOVER_LIST] = "recover-list", [MX_OP_COMMIT_EXTENT] = "commit-extent",
	};

	return op < MX_ARRAY_SIZE(names) && names[op] ? names[op] : "?";
}

static void trace_num(FILE *f, u64 num)
{
	fprintf(f, " num %u.%llu", mx_num_epoch(num), (unsigned long long)(num & MX_SEQ_MASK));
}

static void trace_read_data(FILE *f, const u8 *p, const struct mx_head *h)
{
	struct mx_read_data m;
	struct mx_read_entry e;
	u32 i;

	if (!mx_read_data_decode(p, h, &m))
		return;
	fprintf(f, " +%u n %u:", m.first, m.nblocks);
	for (i = 0; i < m.npages && i < 4; i++) {
		mx_read_data_entry(p, i, &e);
		fprintf(f, " %c%u@%u.%llu", "DZHL"[e.kind & 3], e.nblocks, mx_num_epoch(e.num),
			(unsigned long long)(e.num & MX_SEQ_MASK));
	}
	if (m.npages > 4)
		fprintf(f, " ...");
}

static void trace_body(FILE *f, const u8 *p, const struct mx_head *h)
{
	struct mx_read r;
	struct mx_write wr;
	struct mx_zero z;
	struct mx_write_ack a;
	struct mx_ctl c;

	switch (h->type) {
	case MX_READ:
		if (mx_read_decode(p, h, &r))
			fprintf(f, " epoch %u ext %u gen %u blk %u n %u%s", r.epoch, r.extent,
				r.gen, r.first, r.nblocks, h->flags & MX_F_WANT ? " want" : "");
		break;
	case MX_READ_DATA:
		trace_read_data(f, p, h);
		break;
	case MX_WRITE:
		if (!mx_write_decode(p, h, &wr))
			break;
		trace_num(f, wr.num);
		fprintf(f, " ext %u gen %u blk %u n %u of %u n %u", wr.extent, wr.gen, wr.first,
			wr.nblocks, wr.req_first, wr.req_nblocks);
		break;
	case MX_ZERO:
		if (!mx_zero_decode(p, h, &z))
			break;
		trace_num(f, z.num);
		fprintf(f, " ext %u gen %u blk %u n %u", z.extent, z.gen, z.first, z.nblocks);
		break;
	case MX_WRITE_ACK:
		if (!mx_write_ack_decode(p, h, &a))
			break;
		fprintf(f, " blk %u n %u have %02x", a.first, a.nblocks, a.have);
		trace_num(f, a.num);
		break;
	case MX_CALL:
	case MX_REPLY:
		if (mx_ctl_decode(p, h, &c))
			fprintf(f, " %s %u+%u of %u", op_name(c.op), c.off, h->plen, c.total);
		break;
	default:
		break;
	}
}

void trace_dgram(struct world *w, const char *verb, u32 from, u32 to, const u8 *p, u32 len)
{
	struct mx_outer o;
	struct mx_walk k;
	struct mx_head h;
	const u8 *head;
	u32 off, pay;
	FILE *f = w->trace;

	if (!f)
		return;
	fprintf(f, "%4llu.%06llu  %s %s %s %u bytes", (unsigned long long)(w->now / MX_SEC),
		(unsigned long long)(w->now % MX_SEC / 1000), w->nodes[from].name, verb,
		w->nodes[to].name, len);
	if (mx_outer_decode(p, len, &o) != MX_RJ_NONE) {
		fprintf(f, " (not readable)\n");
		return;
	}
	fprintf(f, " #%llu", (unsigned long long)o.pktno);
	pay = len - MX_OUTER - (o.kind == MX_KIND_SEALED ? MX_TAG : 0);
	if (len < MX_OUTER + (o.kind == MX_KIND_SEALED ? MX_TAG : 0) || pay < o.heads_len ||
	    mx_walk_init(&k, p + MX_OUTER, o.heads_len, pay - o.heads_len) != MX_RJ_NONE) {
		fprintf(f, " (sealed or damaged)\n");
		return;
	}
	while (mx_walk_next(&k, &h, &head, &off)) {
		fprintf(f, " | %s tag %x", msg_name(h.type), h.tag);
		if (h.attempt)
			fprintf(f, " try %u", h.attempt);
		if (h.flags)
			fprintf(f, " flags %x", h.flags);
		trace_body(f, head, &h);
		if (h.status)
			fprintf(f, " = %s", sim_status(h.status));
	}
	fputc('\n', f);
}
