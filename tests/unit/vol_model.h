/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random requests on a volume, and what they may return: each block of 512 bytes
 * is filled with the number of the request that wrote it. A read may see, block by
 * block, what was acknowledged when it was submitted, or any write that was under
 * way since; after a failed write either. Within a page it sees one write.
 */
#ifndef MEMX_TEST_VOL_MODEL_H
#define MEMX_TEST_VOL_MODEL_H

#include "cluster.h"

#define VM_SLOTS	64
#define VM_MAXLEN	(160u * 1024)

struct vmreq {
	struct clreq q;
	bool busy, discard, fresh;
	u32 stamp;
	u32 first, n;			/* blocks */
	u8 *data;
	u32 *before;			/* reads: what was acknowledged at the start */
	struct vm *m;
};

struct vm {
	struct clvol *v;
	u32 nblocks, slots;
	u32 *acked;			/* stamp of the last acknowledged write, 0: zeros */
	u32 *maybe;			/* a failed write that may yet show, 0: none */
	u32 *since;			/* per write slot history: see vm_seen */
	struct { u32 first, n, stamp; u64 end; } log[1 << 16];	/* writes, by stamp */
	struct vmreq r[VM_SLOTS];
	u32 stamp, done, errors, lost;
	u64 clock;
	bool lost_ok, aligned;
	int bad;
};

static CL_UNUSED void vm_init(struct vm *m, struct clvol *v, u32 nblocks, u32 slots)
{
	memset(m, 0, sizeof *m);
	m->v = v;
	m->nblocks = nblocks;
	m->slots = slots;
	m->acked = calloc(nblocks, 4);
	m->maybe = calloc(nblocks, 4);
	for (u32 i = 0; i < slots; i++) {
		m->r[i].data = malloc(VM_MAXLEN);
		m->r[i].before = malloc(VM_MAXLEN / 512 * 4);
		m->r[i].m = m;
	}
}

static CL_UNUSED void vm_free(struct vm *m)
{
	for (u32 i = 0; i < m->slots; i++) {
		free(m->r[i].data);
		free(m->r[i].before);
	}
	free(m->acked);
	free(m->maybe);
}

static void vm_fill(u8 *p, u32 n, u32 stamp)
{
	u32 *w = (u32 *)p;

	for (u32 i = 0; i < n * 128; i++)
		w[i] = stamp ? stamp * 2654435761u + i % 128 : 0;
}

/* The stamp a block carries, or ~0 if it is no whole block. */
static u32 vm_stamp(const u8 *p)
{
	const u32 *w = (const u32 *)p;
	u32 stamp = w[0] * 244002641u;	/* inverse of 2654435761 mod 2^32 */

	for (u32 i = 0; i < 128; i++)
		if (w[i] != (stamp ? stamp * 2654435761u + i : 0))
			return ~0u;
	return stamp;
}

/* May block @b, read since @start, carry @stamp? */
static bool vm_may(struct vm *m, u32 b, u32 before, u32 stamp, u64 start)
{
	if (stamp == before || stamp == m->acked[b] || stamp == m->maybe[b])
		return true;
	for (u32 s = m->stamp; s && s + 4096 > m->stamp; s--) {
		u32 k = s & 0xffff;
		u32 shows = m->log[k].stamp;

		if (b < m->log[k].first || b >= m->log[k].first + m->log[k].n)
			continue;
		if (m->log[k].end < start)
			continue;
		if (shows == stamp)
			return true;
	}
	return false;
}

static void vm_check(struct vmreq *r)
{
	struct vm *m = r->m;
	u64 start = r->q.r.born;
	u32 last = 0;

	for (u32 i = 0; i < r->n; i++) {
		u32 s = vm_stamp(r->data + i * 512), b = r->first + i;

		if (s == ~0u || !vm_may(m, b, r->before[i], s, start)) {
			printf("# block %u reads %u, not %u (acked now %u, maybe %u), at %.6f from %.6f\n", b, s,
			       r->before[i], m->acked[b], m->maybe[b], (double)m->v->cl->now / 1e9,
			       (double)start / 1e9);
			m->bad++;
		}
		if (m->aligned && b % 8 && i && s != last) {
			printf("# page torn at block %u: %u and %u\n", b, last, s);
			m->bad++;
		}
		last = s;
	}
}

static void vm_done(struct mx_req *q, enum mx_status st)
{
	struct vmreq *r = mx_container_of(q, struct vmreq, q.r);
	struct vm *m = r->m;
	u32 k = r->stamp & 0xffff;

	free(r->q.b.copy);
	r->q.b.copy = NULL;
	r->busy = false;
	m->done++;
	m->errors += st != MX_OK;
	m->lost += st == MX_ST_LOST;
	if (q->op == MX_REQ_READ) {
		if (st == MX_OK)
			vm_check(r);
		return;
	}
	m->log[k].end = m->v->cl->now;
	for (u32 i = 0; i < r->n; i++) {
		u32 b = r->first + i;

		if (st == MX_OK) {
			m->acked[b] = m->log[k].stamp;
			m->maybe[b] = m->log[k].stamp;
		} else {
			m->maybe[b] = m->log[k].stamp;
		}
	}
}

static bool vm_overlaps(struct vm *m, u32 first, u32 n)
{
	/* By page: the order of overlapping writes is the volume's affair, but which
	 * of two is acknowledged last is then not the one written last. */
	u32 a = first / 8 * 8, b = (first + n + 7) / 8 * 8;

	for (u32 i = 0; i < m->slots; i++) {
		struct vmreq *r = &m->r[i];

		if (r->busy && r->q.r.op != MX_REQ_READ && r->first < b && r->first + r->n > a)
			return true;
	}
	return false;
}

/* One more request, of any kind, in a free slot. */
static void vm_begin(struct vm *m, struct vmreq *r)
{
	struct cl *c = m->v->cl;
	u32 kind = (u32)(cl_rand(c) % 100), step = m->aligned ? 8 : 1;
	u32 most = kind >= 96 ? 4096 : cl_rand(c) % 4 ? 32 : VM_MAXLEN / 512;
	u32 n = (u32)(cl_rand(c) % most / step * step + step), first;
	u8 op = kind < 45 ? MX_REQ_READ : kind < 90 ? MX_REQ_WRITE : kind < 95 ? MX_REQ_ZERO
									      : MX_REQ_DISCARD;

	if (op <= MX_REQ_WRITE && n > VM_MAXLEN / 512)
		n = VM_MAXLEN / 512;
	n = n < m->nblocks ? n : m->nblocks;
	first = (u32)(cl_rand(c) % (m->nblocks - n + 1)) / step * step;
	if (op != MX_REQ_READ && vm_overlaps(m, first, n))
		return;
	r->first = first;
	r->n = n;
	r->busy = true;
	if (op == MX_REQ_READ) {
		memcpy(r->before, m->acked + first, n * 4);
		memset(r->data, 0xee, n * 512);
	} else {
		u32 k = ++m->stamp & 0xffff;

		r->stamp = m->stamp;
		m->log[k].first = first;
		m->log[k].n = n;
		m->log[k].stamp = op == MX_REQ_WRITE ? m->stamp : 0;
		m->log[k].end = MX_NEVER;
		if (op == MX_REQ_WRITE)
			vm_fill(r->data, n, m->stamp);
	}
	memset(&r->q, 0, sizeof r->q);
	r->q.r.op = op;
	r->q.r.off = (u64)first * 512;
	r->q.r.len = (u64)n * 512;
	r->q.r.buf = &r->q.b;
	r->q.r.done = vm_done;
	r->q.r.flags = cl_rand(c) % 2 ? MX_REQ_STABLE : 0;
	r->q.b.data = r->data;
	r->q.b.len = VM_MAXLEN;
	mx_vol_submit(m->v->v, &r->q.r, c->now);
}

static bool vm_idle(void *arg)
{
	struct vm *m = arg;

	for (u32 i = 0; i < m->slots; i++)
		if (m->r[i].busy)
			return false;
	return true;
}

/* @n requests, as many at a time as there are slots. False: they do not end. */
static CL_UNUSED bool vm_run(struct vm *m, u32 n, mx_ns most)
{
	struct cl *c = m->v->cl;
	mx_ns until = c->now + most;
	u32 begun = 0;

	while (begun < n && c->now < until) {
		for (u32 i = 0; i < m->slots && begun < n; i++)
			if (!m->r[i].busy) {
				vm_begin(m, &m->r[i]);
				begun++;
			}
		cl_run(c, c->now + 200 * MX_US, NULL, NULL);
	}
	return cl_run(c, until, vm_idle, m);
}

/* Reads all of it. */
static CL_UNUSED bool vm_verify(struct vm *m)
{
	struct cl *c = m->v->cl;
	struct vmreq *r = &m->r[0];

	for (u32 b = 0; b < m->nblocks; b += r->n) {
		r->first = b;
		r->n = VM_MAXLEN / 512 < m->nblocks - b ? VM_MAXLEN / 512 : m->nblocks - b;
		r->busy = true;
		memcpy(r->before, m->acked + b, r->n * 4);
		memset(&r->q, 0, sizeof r->q);
		r->q.r.op = MX_REQ_READ;
		r->q.r.off = (u64)b * 512;
		r->q.r.len = (u64)r->n * 512;
		r->q.r.buf = &r->q.b;
		r->q.r.done = vm_done;
		r->q.b.data = r->data;
		r->q.b.len = VM_MAXLEN;
		mx_vol_submit(m->v->v, &r->q.r, c->now);
		if (!cl_run(c, c->now + 60 * MX_SEC, vm_idle, m))
			return false;
	}
	return m->bad == 0;
}

#endif
