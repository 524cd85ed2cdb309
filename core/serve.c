/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path: READ, WRITE, ZERO, BLKSTAT.
 *
 * A write is done when its message is handed in; what waits is the answer. A
 * read waits as a job that names what is wanted, and looks at the store only when
 * a datagram has room for it: nothing is copied, and what goes out is the page as
 * it is then.
 */
#include "server_int.h"

#define WHOLE_PAGE	(MX_READ_DATA_FIXED + 16u + 4 * MX_PAGE_BLOCKS + MX_PAGE)

/* ---- answers ---- */

static enum mx_fill ack_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_job *j = mx_container_of(m, struct mx_job, txm);
	struct mx_write_ack a = { .first = j->first, .nblocks = j->nblocks,
				  .have = j->ack.have, .num = j->ack.num };
	struct mx_head h = { .type = MX_WRITE_ACK, .tag = j->tag, .flags = j->flags,
			     .attempt = j->attempt, .status = j->status };

	(void)p;
	if (r->head_room < 32 || r->room < 32)
		return MX_FILL_NOROOM;
	r->hlen = mx_write_ack_encode(r->head, &h, &a);
	mx_job_free(j);
	return MX_FILL_DONE;
}

/* Can the answer waiting last also say this? Fragments of one request mostly
 * follow each other, and so do their answers. */
static bool ack_merge(struct mx_job *j, const struct mx_head *h, enum mx_status st, u16 flags,
		      const struct mx_wres *res)
{
	if (!j || j->tag != h->tag || j->attempt != h->attempt || j->status != st ||
	    j->flags != flags)
		return false;
	if (st != MX_OK) {
		if (j->first != res->first)
			return false;
		j->ack.have = res->have;
		j->ack.num = res->num;
		return true;
	}
	if (res->first == j->first + j->nblocks) {
		j->nblocks = (u16)(j->nblocks + res->nblocks);
		return true;
	}
	return res->first >= j->first && res->first + res->nblocks <= j->first + j->nblocks;
}

static void ack(struct mx_speer *sp, const struct mx_head *h, enum mx_status st, u16 flags,
		const struct mx_wres *res)
{
	struct mx_job *j;

	if (ack_merge(sp->last_ack, h, st, flags, res))
		return;
	j = mx_job_get(sp, MX_JOB_ACK, h);
	if (!j)
		return;
	j->status = (u8)st;
	j->flags = flags;
	j->first = res->first;
	j->nblocks = res->nblocks;
	j->ack.have = res->have;
	j->ack.num = res->num;
	sp->last_ack = j;
	mx_txm_init(&j->txm, ack_fill);
	mx_peer_send(sp->peer, &j->txm);
}

static void count_refusal(struct mx_server *s, enum mx_status st)
{
	switch (st) {
	case MX_ST_BUSY:
		s->st.busy++;
		break;
	case MX_ST_FULL:
		s->st.full++;
		break;
	case MX_ST_FENCED:
		s->st.fenced++;
		break;
	case MX_ST_NEED_SEAL:
		s->st.need_seal++;
		break;
	case MX_ST_BAD_CRC:
		s->st.bad_crc++;
		break;
	default:
		break;
	}
}

/* The volume, if this peer may use it under @epoch now. */
static enum mx_status find_vol(struct mx_speer *sp, const u8 *uuid, u32 epoch, struct mx_svol **v,
			       u64 *known)
{
	u32 len, have;
	const u8 *desc;

	*v = mx_svol_get(sp->s->store, uuid);
	*known = 0;
	if (!*v)
		return MX_ST_NEED_SEAL;
	if (sp->restricted) {
		desc = mx_svol_desc(*v, &len);
		if (!desc || !mx_srv_allowed(sp, desc + MX_DESC_NAME))
			return MX_ST_DENIED;
	}
	have = mx_svol_epoch(*v);
	*known = have;
	return epoch == have ? MX_OK : epoch < have ? MX_ST_FENCED : MX_ST_NEED_SEAL;
}

/* ---- writing ---- */

static void write_rx(struct mx_speer *sp, const struct mx_head *h, const u8 *head,
		     const u8 *payload)
{
	struct mx_server *s = sp->s;
	struct mx_wres res = { 0 };
	struct mx_write w;
	struct mx_svol *v;
	enum mx_status st;

	if (!mx_write_decode(head, h, &w))
		return;
	st = find_vol(sp, w.uuid, mx_num_epoch(w.num), &v, &res.num);
	if (st == MX_OK) {
		st = mx_store_write(v, &w, h->attempt, h->flags, head, payload, &res);
		s->st.writes += w.first == w.req_first;
		s->st.write_bytes += w.nblocks * MX_BLOCK;
		if (st == MX_OK && !res.nblocks)
			return;		/* nothing to say yet */
	} else {
		res.first = w.first;
		res.nblocks = w.nblocks;
	}
	if (st != MX_OK)
		count_refusal(s, st);
	ack(sp, h, st, 0, &res);
}

static void zero_rx(struct mx_speer *sp, const struct mx_head *h, const u8 *head)
{
	struct mx_server *s = sp->s;
	struct mx_wres res = { 0 };
	bool emptied = false;
	struct mx_zero z;
	struct mx_svol *v;
	enum mx_status st;

	if (!mx_zero_decode(head, h, &z))
		return;
	s->st.zeros++;
	st = find_vol(sp, z.uuid, mx_num_epoch(z.num), &v, &res.num);
	if (st == MX_OK)
		st = mx_store_zero(v, &z, h->flags, &emptied, &res.num);
	if (st != MX_OK)
		count_refusal(s, st);
	res.first = z.first;
	res.nblocks = z.nblocks;
	ack(sp, h, st, emptied ? MX_F_EMPTY : 0, &res);
}

/* ---- reading ---- */

static bool wanted(const struct mx_job *j, u32 i)
{
	return !j->wanted || (j->read.want[i / 8] >> i % 8 & 1);
}

/* Is what the job reads from still there, under the same epoch? */
static enum mx_status job_vol(struct mx_job *j)
{
	struct mx_store *store = j->sp->s->store;
	struct mx_job_from *f = &j->read.from;
	u32 drops = mx_store_drops(store);

	if (f->drops != drops) {
		f->vol = mx_svol_get(store, f->uuid);
		f->drops = drops;
	}
	if (!f->vol)
		return MX_ST_NEED_SEAL;
	return mx_svol_epoch(f->vol) == f->epoch ? MX_OK : MX_ST_FENCED;
}

struct gather {
	struct mx_job *j;
	struct mx_room *r;
	bool cut;		/* datagrams too small for whole pages */
	enum mx_status st;
	u32 at;			/* next block of the request */
	u32 nblocks, npages, ncrcs;
	struct mx_read_entry *e;	/* the server's read_e, read_crcs */
	u32 *crcs;
};

/* How many of @n blocks, of a page with data or without, still have room. */
static u32 fits(const struct gather *g, u32 n, bool data)
{
	const struct mx_room *r = g->r;
	u32 hlen = mx_read_data_hlen(g->npages + 1, g->ncrcs), used;

	if (!data)
		return hlen <= r->head_room && hlen + g->ncrcs * MX_BLOCK <= r->room ? n : 0;
	if (r->nsegs == r->nsegs_max)
		return 0;
	for (; n; n--) {
		hlen = mx_read_data_hlen(g->npages + 1, g->ncrcs + n);
		used = hlen + (g->ncrcs + n) * MX_BLOCK;
		if (hlen <= r->head_room && used <= r->room)
			return n;
		if (!g->cut)
			return 0;
	}
	return 0;
}

/* Takes the next blocks of one page. False: the message is full, or ends here. */
static bool gather_page(struct gather *g)
{
	struct mx_job *j = g->j;
	u32 blk = j->first + g->at, off = blk % MX_PAGE_BLOCKS, n = 0, got;
	u32 most = mx_min_u32(j->nblocks - g->at, MX_PAGE_BLOCKS - off);
	struct mx_read_entry *e = &g->e[g->npages];
	struct mx_pageref ref;
	struct mx_seg *seg;

	while (n < most && wanted(j, g->at + n))
		n++;
	g->st = mx_store_read(j->read.from.vol, j->read.from.extent, j->read.from.gen,
			      blk / MX_PAGE_BLOCKS, &ref);
	if (g->st != MX_OK || g->npages == MX_READ_PAGES)
		return false;
	got = fits(g, n, ref.kind == MX_PAGE_DATA);
	if (!got)
		return false;
	e->num = ref.num;
	e->kind = ref.kind;
	e->nblocks = (u8)got;
	e->zero16 = 0;
	e->zero32 = 0;
	if (ref.kind == MX_PAGE_DATA) {
		memcpy(g->crcs + g->ncrcs, ref.crcs + off, got * sizeof *g->crcs);
		g->ncrcs += got;
		seg = &g->r->segs[g->r->nsegs++];
		seg->kind = MX_SEG_MEM;
		seg->buf = (void *)(ref.data + off * MX_BLOCK);	/* only ever read */
		seg->off = 0;
		seg->len = got * MX_BLOCK;
	}
	g->npages++;
	g->nblocks += got;
	g->at += got;
	return got == n;
}

static void skip_unwanted(struct gather *g)
{
	while (g->at < g->j->nblocks && !wanted(g->j, g->at))
		g->at++;
}

/* A status instead of data: ends the request. */
static enum mx_fill read_refused(struct mx_job *j, struct mx_room *r, enum mx_status st)
{
	struct mx_head h = { .type = MX_READ_DATA, .tag = j->tag, .attempt = j->attempt,
			     .status = (u8)st };
	struct mx_read_data m = { 0 };

	if (r->head_room < MX_READ_DATA_FIXED || r->room < MX_READ_DATA_FIXED)
		return MX_FILL_NOROOM;
	r->hlen = mx_read_data_encode(r->head, &h, &m, NULL, NULL, 0);
	count_refusal(j->sp->s, st);
	mx_job_free(j);
	return MX_FILL_DONE;
}

static enum mx_fill read_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_job *j = mx_container_of(m, struct mx_job, txm);
	struct mx_head h = { .type = MX_READ_DATA, .tag = j->tag, .attempt = j->attempt };
	struct mx_read_data d = { 0 };
	struct gather g;
	u32 from;

	g.j = j;
	g.r = r;
	g.e = j->sp->s->read_e;
	g.crcs = j->sp->s->read_crcs;
	g.st = j->status ? j->status : job_vol(j);
	if (g.st != MX_OK)
		return read_refused(j, r, g.st);
	g.cut = mx_peer_dgram(p) < WHOLE_PAGE + MX_OUTER + MX_TAG + 64;
	g.at = j->done;
	g.nblocks = g.npages = g.ncrcs = 0;
	skip_unwanted(&g);
	from = g.at;
	while (g.at < j->nblocks && wanted(j, g.at) && gather_page(&g))
		;
	if (g.st != MX_OK && !g.npages)
		return read_refused(j, r, g.st);
	if (!g.npages && g.at < j->nblocks)
		return MX_FILL_NOROOM;
	if (g.npages) {
		d.first = (u16)from;
		d.nblocks = (u16)g.nblocks;
		d.npages = (u16)g.npages;
		r->hlen = mx_read_data_encode(r->head, &h, &d, g.e, g.crcs, g.ncrcs);
		r->plen = g.ncrcs * MX_BLOCK;
		j->sp->s->st.read_bytes += g.nblocks * MX_BLOCK;
	}
	skip_unwanted(&g);
	j->done = (u16)g.at;
	if (g.at < j->nblocks)
		return MX_FILL_MORE;
	mx_job_free(j);
	return MX_FILL_DONE;
}

/* A READ that is repeated while its answer waits is not answered twice. */
static struct mx_job *read_job(struct mx_speer *sp, const struct mx_head *h)
{
	struct mx_job **at = &sp->recent[h->tag % RECENT_READS], *j = *at;

	if (j && j->tag == h->tag && j->kind == MX_JOB_READ) {
		j->attempt = h->attempt;
		return j;
	}
	j = mx_job_get(sp, MX_JOB_READ, h);
	if (!j)
		return NULL;
	*at = j;
	mx_txm_init(&j->txm, read_fill);
	return j;
}

static void job_from(struct mx_job *j, struct mx_svol *v, const u8 *uuid, u32 epoch, u32 gen,
		     u32 extent)
{
	struct mx_job_from *f = &j->read.from;

	f->vol = v;
	f->drops = mx_store_drops(j->sp->s->store);
	f->epoch = epoch;
	f->gen = gen;
	f->extent = extent;
	memcpy(f->uuid, uuid, MX_UUID);
}

static void read_rx(struct mx_speer *sp, const struct mx_head *h, const u8 *head)
{
	enum mx_status st;
	struct mx_svol *v;
	struct mx_read q;
	struct mx_job *j;
	u64 known;

	if (!mx_read_decode(head, h, &q))
		return;
	st = find_vol(sp, q.uuid, q.epoch, &v, &known);
	j = read_job(sp, h);
	if (!j)
		return;
	sp->s->st.reads += h->attempt == 0;
	job_from(j, v, q.uuid, q.epoch, q.gen, q.extent);
	j->status = (u8)st;
	j->first = q.first;
	j->nblocks = q.nblocks;
	j->done = 0;
	j->wanted = h->flags & MX_F_WANT;
	if (j->wanted)
		memcpy(j->read.want, q.want, sizeof q.want);
	mx_peer_send(sp->peer, &j->txm);
}

/* ---- block status ---- */

static enum mx_fill blkstat_fill(struct mx_txm *m, struct mx_peer *p, struct mx_room *r)
{
	struct mx_job *j = mx_container_of(m, struct mx_job, txm);
	struct mx_head h = { .type = MX_BLKSTAT_DATA, .tag = j->tag, .attempt = j->attempt };
	struct mx_job_from *f = &j->read.from;
	struct mx_blkstat_data d = { 0 };
	enum mx_status st = j->status ? j->status : job_vol(j);
	struct mx_pageref ref;

	(void)p;
	if (r->head_room < 88 || r->room < 88)
		return MX_FILL_NOROOM;
	if (st == MX_OK)
		st = mx_store_read(f->vol, f->extent, f->gen, 0, &ref);
	if (st == MX_OK)
		mx_store_blkstat(f->vol, f->extent, f->gen, d.kinds);
	h.status = (u8)st;
	r->hlen = mx_blkstat_data_encode(r->head, &h, &d);
	mx_job_free(j);
	return MX_FILL_DONE;
}

static void blkstat_rx(struct mx_speer *sp, const struct mx_head *h, const u8 *head)
{
	struct mx_blkstat q;
	enum mx_status st;
	struct mx_svol *v;
	struct mx_job *j;
	u64 known;

	if (!mx_blkstat_decode(head, h, &q))
		return;
	sp->s->st.blkstats++;
	st = find_vol(sp, q.uuid, q.epoch, &v, &known);
	j = mx_job_get(sp, MX_JOB_BLKSTAT, h);
	if (!j)
		return;
	job_from(j, v, q.uuid, q.epoch, q.gen, q.extent);
	j->status = (u8)st;
	mx_txm_init(&j->txm, blkstat_fill);
	mx_peer_send(sp->peer, &j->txm);
}

void mx_serve(struct mx_speer *sp, const struct mx_head *h, const u8 *head, const u8 *payload)
{
	switch (h->type) {
	case MX_READ:
		read_rx(sp, h, head);
		break;
	case MX_WRITE:
		write_rx(sp, h, head, payload);
		break;
	case MX_ZERO:
		zero_rx(sp, h, head);
		break;
	case MX_BLKSTAT:
		blkstat_rx(sp, h, head);
		break;
	default:
		break;
	}
}
