/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders and decoders of the wire format: see wire.h for what they promise. */
#include "wire.h"

/* ---- outer header ---- */

enum mx_reject_why mx_outer_decode(const u8 *p, u32 len, struct mx_outer *o)
{
	if (len < MX_OUTER)
		return MX_RJ_SHORT;
	if (p[0] != MX_MAGIC)
		return MX_RJ_MAGIC;
	if (p[2] != MX_PROTO_MAJOR)
		return MX_RJ_VERSION;
	if (p[1] < MX_KIND_HANDSHAKE || p[1] > MX_KIND_ANNOUNCE)
		return MX_RJ_KIND;
	o->kind = p[1];
	o->major = p[2];
	o->flags = p[3];
	o->heads_len = mx_ld16(p + 4);
	o->session = mx_ld32(p + 8);
	o->hcrc = mx_ld32(p + 12);
	o->pktno = mx_ld64(p + 16);
	if (o->flags || mx_ld16(p + 6))
		return MX_RJ_FIELD;
	if (o->heads_len % 8 || o->heads_len < MX_HEAD || o->heads_len > len - MX_OUTER)
		return MX_RJ_HEADS;
	if (o->kind == MX_KIND_SEALED && len - MX_OUTER - o->heads_len < MX_TAG)
		return MX_RJ_SHORT;
	return MX_RJ_NONE;
}

void mx_outer_encode(u8 *p, const struct mx_outer *o)
{
	p[0] = MX_MAGIC;
	p[1] = o->kind;
	p[2] = o->major;
	p[3] = o->flags;
	mx_st16(p + 4, o->heads_len);
	mx_st16(p + 6, 0);
	mx_st32(p + 8, o->session);
	mx_st32(p + 12, o->hcrc);
	mx_st64(p + 16, o->pktno);
}

/* The CRC with the field hcrc taken as zero. */
static u32 outer_crc(const u8 *p, u32 heads_len)
{
	static const u8 zero[4];
	u32 crc = mx_crc32c(0xffffffffu, p, 12);

	crc = mx_crc32c(crc, zero, 4);
	return mx_crc32c(crc, p + 16, MX_OUTER - 16 + heads_len);
}

void mx_outer_seal_crc(u8 *p, u32 heads_len)
{
	mx_st32(p + 12, outer_crc(p, heads_len));
}

bool mx_outer_check_crc(const u8 *p, u32 heads_len)
{
	return mx_ld32(p + 12) == outer_crc(p, heads_len);
}

/* ---- heads ---- */

void mx_head_encode(u8 *p, const struct mx_head *h)
{
	mx_st16(p, h->type);
	mx_st16(p + 2, h->hlen);
	mx_st32(p + 4, h->plen);
	mx_st32(p + 8, h->tag);
	mx_st16(p + 12, h->flags);
	p[14] = h->attempt;
	p[15] = h->status;
}

static void head_decode(const u8 *p, struct mx_head *h)
{
	h->type = mx_ld16(p);
	h->hlen = mx_ld16(p + 2);
	h->plen = mx_ld32(p + 4);
	h->tag = mx_ld32(p + 8);
	h->flags = mx_ld16(p + 12);
	h->attempt = p[14];
	h->status = p[15];
}

enum mx_reject_why mx_walk_init(struct mx_walk *w, const u8 *heads, u32 heads_len,
				u32 payload_len)
{
	u32 off, plen_sum = 0;

	for (off = 0; off < heads_len;) {
		u32 hlen, plen;

		if (heads_len - off < MX_HEAD)
			return MX_RJ_HLEN;
		hlen = mx_ld16(heads + off + 2);
		plen = mx_ld32(heads + off + 4);
		if (hlen < MX_HEAD || hlen % 8 || hlen > heads_len - off)
			return MX_RJ_HLEN;
		if (plen > payload_len - plen_sum)
			return MX_RJ_PLEN;
		plen_sum += plen;
		off += hlen;
	}
	if (!heads_len)
		return MX_RJ_HEADS;
	if (plen_sum != payload_len)
		return MX_RJ_PLEN;
	w->heads = heads;
	w->left = heads_len;
	w->pay_off = 0;
	w->pay_left = payload_len;
	return MX_RJ_NONE;
}

bool mx_walk_next(struct mx_walk *w, struct mx_head *h, const u8 **head, u32 *pay_off)
{
	if (!w->left)
		return false;
	head_decode(w->heads, h);
	*head = w->heads;
	*pay_off = w->pay_off;
	w->heads += h->hlen;
	w->left -= h->hlen;
	w->pay_off += h->plen;
	w->pay_left -= h->plen;
	return true;
}

/* Writes the common part with the given lengths; what every encoder ends with. */
static u32 finish(u8 *p, struct mx_head *h, u32 hlen, u32 plen)
{
	h->hlen = (u16)hlen;
	h->plen = plen;
	mx_head_encode(p, h);
	return hlen;
}

/* A message of this type and length, without payload? */
static bool bare(const struct mx_head *h, u16 type, u32 hlen)
{
	return h->type == type && h->hlen == hlen && !h->plen;
}

/* A run of blocks inside one extent. */
static bool run_ok(u32 first, u32 nblocks, u32 max)
{
	return nblocks >= 1 && nblocks <= max && first < MX_EXTENT_BLOCKS &&
	       first + nblocks <= MX_EXTENT_BLOCKS;
}

static bool extent_ok(u32 extent)
{
	return extent < MX_VOL_BYTES_MAX >> MX_EXTENT_SHIFT;
}

/* ---- data messages ---- */

bool mx_read_decode(const u8 *p, const struct mx_head *h, struct mx_read *m)
{
	bool want = h->flags & MX_F_WANT;

	if (!bare(h, MX_READ, want ? 80 : 48))
		return false;
	memcpy(m->uuid, p + 16, MX_UUID);
	m->epoch = mx_ld32(p + 32);
	m->gen = mx_ld32(p + 36);
	m->extent = mx_ld32(p + 40);
	m->first = mx_ld16(p + 44);
	m->nblocks = mx_ld16(p + 46);
	if (want)
		memcpy(m->want, p + 48, sizeof m->want);
	else
		memset(m->want, 0xff, sizeof m->want);
	return extent_ok(m->extent) && m->epoch <= MX_EPOCH_MAX &&
	       run_ok(m->first, m->nblocks, MX_IO_BLOCKS_MAX);
}

u32 mx_read_encode(u8 *p, struct mx_head *h, const struct mx_read *m)
{
	bool want = h->flags & MX_F_WANT;

	h->type = MX_READ;
	memcpy(p + 16, m->uuid, MX_UUID);
	mx_st32(p + 32, m->epoch);
	mx_st32(p + 36, m->gen);
	mx_st32(p + 40, m->extent);
	mx_st16(p + 44, m->first);
	mx_st16(p + 46, m->nblocks);
	if (want)
		memcpy(p + 48, m->want, sizeof m->want);
	return finish(p, h, want ? 80 : 48, 0);
}

/* Entries agree with nblocks, and their DATA blocks with CRCs and payload. */
static bool read_entries_ok(const u8 *p, const struct mx_head *h, const struct mx_read_data *m)
{
	struct mx_read_entry e;
	u32 i, blocks = 0, data = 0;

	for (i = 0; i < m->npages; i++) {
		mx_read_data_entry(p, i, &e);
		if (e.kind > MX_PAGE_LOST || e.nblocks < 1 || e.nblocks > MX_PAGE_BLOCKS)
			return false;
		blocks += e.nblocks;
		if (e.kind == MX_PAGE_DATA)
			data += e.nblocks;
	}
	return blocks == m->nblocks && h->plen == data * MX_BLOCK &&
	       h->hlen == mx_read_data_hlen(m->npages, data);
}

bool mx_read_data_decode(const u8 *p, const struct mx_head *h, struct mx_read_data *m)
{
	if (h->type != MX_READ_DATA || h->hlen < MX_READ_DATA_FIXED)
		return false;
	m->first = mx_ld16(p + 16);
	m->nblocks = mx_ld16(p + 18);
	m->npages = mx_ld16(p + 20);
	m->zero = 0;
	if (h->status != MX_OK)
		return h->hlen == MX_READ_DATA_FIXED && !h->plen && !m->npages;
	if (m->npages < 1 || m->npages > MX_IO_BLOCKS_MAX ||
	    (u32)h->hlen < MX_READ_DATA_FIXED + m->npages * 16u)
		return false;
	if (m->nblocks < 1 || (u32)m->first + m->nblocks > MX_IO_BLOCKS_MAX)
		return false;
	return read_entries_ok(p, h, m);
}

u32 mx_read_data_encode(u8 *p, struct mx_head *h, const struct mx_read_data *m,
			const struct mx_read_entry *e, const u32 *crcs, u32 ncrcs)
{
	u32 i, hlen = mx_read_data_hlen(m->npages, ncrcs);
	u8 *q = p + MX_READ_DATA_FIXED;

	h->type = MX_READ_DATA;
	mx_st16(p + 16, m->first);
	mx_st16(p + 18, m->nblocks);
	mx_st16(p + 20, m->npages);
	mx_st16(p + 22, 0);
	for (i = 0; i < m->npages; i++, q += 16) {
		mx_st64(q, e[i].num);
		mx_st32(q + 8, e[i].kind | (u32)e[i].nblocks << 8);
		mx_st32(q + 12, 0);
	}
	for (i = 0; i < ncrcs; i++, q += 4)
		mx_st32(q, crcs[i]);
	if (ncrcs % 2)
		mx_st32(q, 0);
	return finish(p, h, hlen, ncrcs * MX_BLOCK);
}

bool mx_write_decode(const u8 *p, const struct mx_head *h, struct mx_write *m)
{
	u32 end, req_end;

	if (h->type != MX_WRITE || h->hlen < MX_WRITE_FIXED)
		return false;
	memcpy(m->uuid, p + 16, MX_UUID);
	m->num = mx_ld64(p + 32);
	m->gen = mx_ld32(p + 40);
	m->extent = mx_ld32(p + 44);
	m->first = mx_ld16(p + 48);
	m->nblocks = mx_ld16(p + 50);
	m->req_first = mx_ld16(p + 52);
	m->req_nblocks = mx_ld16(p + 54);
	if (!m->num || !extent_ok(m->extent) ||
	    !run_ok(m->first, m->nblocks, MX_IO_BLOCKS_MAX) ||
	    !run_ok(m->req_first, m->req_nblocks, MX_IO_BLOCKS_MAX))
		return false;
	end = (u32)m->first + m->nblocks;
	req_end = (u32)m->req_first + m->req_nblocks;
	return m->first >= m->req_first && end <= req_end &&
	       h->hlen == mx_write_hlen(m->nblocks) && h->plen == m->nblocks * MX_BLOCK;
}

u32 mx_write_encode(u8 *p, struct mx_head *h, const struct mx_write *m, const u32 *crcs)
{
	u8 *q = p + MX_WRITE_FIXED;
	u32 i;

	h->type = MX_WRITE;
	memcpy(p + 16, m->uuid, MX_UUID);
	mx_st64(p + 32, m->num);
	mx_st32(p + 40, m->gen);
	mx_st32(p + 44, m->extent);
	mx_st16(p + 48, m->first);
	mx_st16(p + 50, m->nblocks);
	mx_st16(p + 52, m->req_first);
	mx_st16(p + 54, m->req_nblocks);
	for (i = 0; i < m->nblocks; i++, q += 4)
		mx_st32(q, crcs[i]);
	if (m->nblocks % 2)
		mx_st32(q, 0);
	return finish(p, h, mx_write_hlen(m->nblocks), m->nblocks * MX_BLOCK);
}

bool mx_zero_decode(const u8 *p, const struct mx_head *h, struct mx_zero *m)
{
	if (!bare(h, MX_ZERO, 56))
		return false;
	memcpy(m->uuid, p + 16, MX_UUID);
	m->num = mx_ld64(p + 32);
	m->gen = mx_ld32(p + 40);
	m->extent = mx_ld32(p + 44);
	m->first = mx_ld16(p + 48);
	m->nblocks = mx_ld16(p + 50);
	m->zero = 0;
	return m->num && extent_ok(m->extent) &&
	       run_ok(m->first, m->nblocks, MX_EXTENT_BLOCKS);
}

u32 mx_zero_encode(u8 *p, struct mx_head *h, const struct mx_zero *m)
{
	h->type = MX_ZERO;
	memcpy(p + 16, m->uuid, MX_UUID);
	mx_st64(p + 32, m->num);
	mx_st32(p + 40, m->gen);
	mx_st32(p + 44, m->extent);
	mx_st16(p + 48, m->first);
	mx_st16(p + 50, m->nblocks);
	mx_st32(p + 52, 0);
	return finish(p, h, 56, 0);
}

bool mx_write_ack_decode(const u8 *p, const struct mx_head *h, struct mx_write_ack *m)
{
	if (!bare(h, MX_WRITE_ACK, 32))
		return false;
	m->first = mx_ld16(p + 16);
	m->nblocks = mx_ld16(p + 18);
	m->have = mx_ld32(p + 20);
	m->num = mx_ld64(p + 24);
	return m->first < MX_EXTENT_BLOCKS &&
	       (u32)m->first + m->nblocks <= MX_EXTENT_BLOCKS && m->have <= 0xff;
}

u32 mx_write_ack_encode(u8 *p, struct mx_head *h, const struct mx_write_ack *m)
{
	h->type = MX_WRITE_ACK;
	mx_st16(p + 16, m->first);
	mx_st16(p + 18, m->nblocks);
	mx_st32(p + 20, m->have);
	mx_st64(p + 24, m->num);
	return finish(p, h, 32, 0);
}

bool mx_blkstat_decode(const u8 *p, const struct mx_head *h, struct mx_blkstat *m)
{
	if (!bare(h, MX_BLKSTAT, 48))
		return false;
	memcpy(m->uuid, p + 16, MX_UUID);
	m->epoch = mx_ld32(p + 32);
	m->gen = mx_ld32(p + 36);
	m->extent = mx_ld32(p + 40);
	m->zero = 0;
	return extent_ok(m->extent) && m->epoch <= MX_EPOCH_MAX;
}

u32 mx_blkstat_encode(u8 *p, struct mx_head *h, const struct mx_blkstat *m)
{
	h->type = MX_BLKSTAT;
	memcpy(p + 16, m->uuid, MX_UUID);
	mx_st32(p + 32, m->epoch);
	mx_st32(p + 36, m->gen);
	mx_st32(p + 40, m->extent);
	mx_st32(p + 44, 0);
	return finish(p, h, 48, 0);
}

bool mx_shed_decode(const u8 *p, const struct mx_head *h, struct mx_shed *m)
{
	if (h->type != MX_SHED || h->plen || h->hlen <= mx_shed_hlen(0))
		return false;
	memcpy(m->uuid, p + 16, MX_UUID);
	m->epoch = mx_ld32(p + 32);
	m->n = mx_ld32(p + 36);
	if (m->epoch > MX_EPOCH_MAX || m->n > MX_SHED_MAX || h->hlen != mx_shed_hlen(m->n))
		return false;
	for (u32 i = 0; i < m->n; i++) {
		struct mx_shed_entry e;

		mx_shed_entry(p, i, &e);
		if (!extent_ok(e.extent))
			return false;
	}
	return true;
}

u32 mx_shed_encode(u8 *p, struct mx_head *h, const struct mx_shed *m, const struct mx_shed_entry *e)
{
	h->type = MX_SHED;
	memcpy(p + 16, m->uuid, MX_UUID);
	mx_st32(p + 32, m->epoch);
	mx_st32(p + 36, m->n);
	for (u32 i = 0; i < m->n; i++) {
		mx_st32(p + 40 + 8 * i, e[i].extent);
		mx_st32(p + 44 + 8 * i, e[i].gen);
	}
	return finish(p, h, mx_shed_hlen(m->n), 0);
}

bool mx_blkstat_data_decode(const u8 *p, const struct mx_head *h, struct mx_blkstat_data *m)
{
	if (!bare(h, MX_BLKSTAT_DATA, 88))
		return false;
	m->zero = 0;
	memcpy(m->kinds, p + 24, sizeof m->kinds);
	return true;
}

u32 mx_blkstat_data_encode(u8 *p, struct mx_head *h, const struct mx_blkstat_data *m)
{
	h->type = MX_BLKSTAT_DATA;
	mx_st64(p + 16, 0);
	memcpy(p + 24, m->kinds, sizeof m->kinds);
	return finish(p, h, 88, 0);
}

/* ---- control ---- */

bool mx_ctl_decode(const u8 *p, const struct mx_head *h, struct mx_ctl *m)
{
	if ((h->type != MX_CALL && h->type != MX_REPLY) || h->hlen != MX_CTL_HEAD)
		return false;
	m->op = mx_ld16(p + 16);
	m->zero = 0;
	m->total = mx_ld32(p + 20);
	m->off = mx_ld32(p + 24);
	m->body_crc = mx_ld32(p + 28);
	m->zero64 = 0;
	if (m->total > MX_CTL_BODY_MAX || m->off > m->total || h->plen > m->total - m->off)
		return false;
	if (m->off % MX_CTL_UNIT)
		return false;
	if (!h->plen)		/* an empty body is one empty fragment */
		return !m->total;
	return h->plen % MX_CTL_UNIT == 0 || m->off + h->plen == m->total;
}

u32 mx_ctl_encode(u8 *p, struct mx_head *h, const struct mx_ctl *m)
{
	mx_st16(p + 16, m->op);
	mx_st16(p + 18, 0);
	mx_st32(p + 20, m->total);
	mx_st32(p + 24, m->off);
	mx_st32(p + 28, m->body_crc);
	mx_st64(p + 32, 0);
	return finish(p, h, MX_CTL_HEAD, h->plen);
}

/* ---- handshake ---- */

bool mx_hello_decode(const u8 *p, const struct mx_head *h, struct mx_hello *m)
{
	if (h->type != MX_HELLO || h->hlen != MX_HELLO_HEAD)
		return false;
	m->head = p;
	m->node = p + 16;
	m->random = p + MX_HELLO_RANDOM;
	m->share = p + 128;
	m->features = mx_ld64(p + 160);
	m->suites = p[168];
	m->key_kind = p[169];
	m->minor = mx_ld16(p + 170);
	m->session = mx_ld32(p + 172);
	m->rwnd = mx_ld32(p + 176);
	m->dgram_max = mx_ld32(p + 180);
	m->volume = p + 184;
	m->mac = p + MX_HELLO_MAC;
	m->cookie = p + MX_HELLO_COOKIE;
	return m->key_kind <= 2 && m->dgram_max >= MX_DGRAM_MIN && !m->volume[MX_NAME_MAX];
}

void mx_hello_encode(u8 *p, struct mx_head *h, const struct mx_hello *m)
{
	h->type = MX_HELLO;
	memcpy(p + 16, m->node, 80);
	memcpy(p + MX_HELLO_RANDOM, m->random, 32);
	memcpy(p + 128, m->share, 32);
	mx_st64(p + 160, m->features);
	p[168] = m->suites;
	p[169] = m->key_kind;
	mx_st16(p + 170, m->minor);
	mx_st32(p + 172, m->session);
	mx_st32(p + 176, m->rwnd);
	mx_st32(p + 180, m->dgram_max);
	memcpy(p + 184, m->volume, 64);
	memset(p + MX_HELLO_MAC, 0, 64);
	finish(p, h, MX_HELLO_HEAD, MX_HELLO_PAD);
}

bool mx_welcome_decode(const u8 *p, const struct mx_head *h, struct mx_welcome *m)
{
	if (!bare(h, MX_WELCOME, MX_WELCOME_HEAD))
		return false;
	m->head = p;
	m->node = p + 16;
	m->random = p + 96;
	m->share = p + 128;
	m->features = mx_ld64(p + 160);
	m->suite = p[168];
	m->key_kind = p[169];
	m->minor = mx_ld16(p + 170);
	m->session = mx_ld32(p + 172);
	m->rwnd = mx_ld32(p + 176);
	m->dgram_max = mx_ld32(p + 180);
	m->client_session = mx_ld32(p + 184);
	m->client_random = p + 192;
	m->mac = p + MX_WELCOME_MAC;
	return m->key_kind <= 2 && m->dgram_max >= MX_DGRAM_MIN;
}

void mx_welcome_encode(u8 *p, struct mx_head *h, const struct mx_welcome *m)
{
	h->type = MX_WELCOME;
	memcpy(p + 16, m->node, 80);
	memcpy(p + 96, m->random, 32);
	memcpy(p + 128, m->share, 32);
	mx_st64(p + 160, m->features);
	p[168] = m->suite;
	p[169] = m->key_kind;
	mx_st16(p + 170, m->minor);
	mx_st32(p + 172, m->session);
	mx_st32(p + 176, m->rwnd);
	mx_st32(p + 180, m->dgram_max);
	mx_st32(p + 184, m->client_session);
	mx_st32(p + 188, 0);
	memcpy(p + 192, m->client_random, 32);
	memset(p + MX_WELCOME_MAC, 0, 32);
	finish(p, h, MX_WELCOME_HEAD, 0);
}

bool mx_retry_decode(const u8 *p, const struct mx_head *h, struct mx_retry *m)
{
	if (!bare(h, MX_RETRY, MX_RETRY_HEAD))
		return false;
	m->client_random = p + 16;
	m->cookie = p + 48;
	return true;
}

void mx_retry_encode(u8 *p, struct mx_head *h, const struct mx_retry *m)
{
	h->type = MX_RETRY;
	memcpy(p + 16, m->client_random, 32);
	memcpy(p + 48, m->cookie, 32);
	finish(p, h, MX_RETRY_HEAD, 0);
}

bool mx_rejectmsg_decode(const u8 *p, const struct mx_head *h, struct mx_rejectmsg *m)
{
	if (!bare(h, MX_REJECT, MX_REJECT_HEAD))
		return false;
	m->client_random = p + 16;
	m->major = mx_ld16(p + 48);
	m->minor = mx_ld16(p + 50);
	return true;
}

void mx_rejectmsg_encode(u8 *p, struct mx_head *h, const struct mx_rejectmsg *m)
{
	h->type = MX_REJECT;
	memcpy(p + 16, m->client_random, 32);
	mx_st16(p + 48, m->major);
	mx_st16(p + 50, m->minor);
	mx_st32(p + 52, 0);
	finish(p, h, MX_REJECT_HEAD, 0);
}

bool mx_announce_decode(const u8 *p, const struct mx_head *h, struct mx_announce *m)
{
	if (!bare(h, MX_ANNOUNCE, MX_ANNOUNCE_HEAD))
		return false;
	m->head = p;
	m->member = p + 16;
	m->counter = mx_ld64(p + 144);
	m->keyed = mx_ld32(p + 152);
	m->mac = p + MX_ANNOUNCE_MAC;
	return m->keyed <= 1;
}

void mx_announce_encode(u8 *p, struct mx_head *h, const struct mx_announce *m)
{
	h->type = MX_ANNOUNCE;
	memcpy(p + 16, m->member, 128);
	mx_st64(p + 144, m->counter);
	mx_st32(p + 152, m->keyed);
	mx_st32(p + 156, 0);
	memset(p + MX_ANNOUNCE_MAC, 0, 32);
	finish(p, h, MX_ANNOUNCE_HEAD, 0);
}

/* ---- statuses ---- */

const char *mx_status_str(enum mx_status s)
{
	switch (s) {
	case MX_OK: return "ok";
	case MX_ST_PARTIAL: return "incomplete";
	case MX_ST_BUSY: return "busy, try again";
	case MX_ST_FULL: return "server is full";
	case MX_ST_FENCED: return "another client has taken the volume over";
	case MX_ST_NEED_SEAL: return "server does not know the volume's epoch yet";
	case MX_ST_STALE: return "a newer write is there";
	case MX_ST_STALE_GEN: return "the extent has moved";
	case MX_ST_BAD_CRC: return "checksum mismatch";
	case MX_ST_LOST: return "data was lost with its server";
	case MX_ST_NOT_ENROLLED: return "server is not enrolled for the volume";
	case MX_ST_NOT_HOLDER: return "server does not hold the volume's descriptor";
	case MX_ST_NO_VOLUME: return "no such volume";
	case MX_ST_EXISTS: return "name is taken";
	case MX_ST_OWNED: return "volume is in use by another client";
	case MX_ST_BEHIND: return "a newer version of the descriptor exists";
	case MX_ST_DELETED: return "volume was deleted";
	case MX_ST_INVALID: return "malformed or out of range";
	case MX_ST_DENIED: return "key does not cover this";
	case MX_ST_UNSUPPORTED: return "not supported by the other side";
	case MX_ST_LEAVING: return "server is leaving";
	case MX_ST_NEED_BITS: return "the allocation bitmap there is not complete";
	case MX_ST_TIMEOUT: return "timed out";
	case MX_ST_UNREACHABLE: return "unreachable";
	case MX_ST_NO_SERVERS: return "no servers found";
	case MX_ST_NO_SPACE: return "no server has room";
	case MX_ST_LEASE_LAPSED: return "lease has lapsed";
	case MX_ST_READ_ONLY: return "opened read-only";
	case MX_ST_CANCELLED: return "cancelled";
	case MX_ST_NOMEM: return "out of memory";
	case MX_ST_BAD_KEY: return "wrong key";
	case MX_ST_BAD_VERSION: return "protocol versions do not match";
	case MX_ST_NO_KEY: return "the server wants a key";
	case MX_ST_NO_QUORUM: return "the majority of the volume's holders is gone";
	case MX_ST_NAME_CLASH: return "two volumes have this name";
	}
	return "unknown status";
}
