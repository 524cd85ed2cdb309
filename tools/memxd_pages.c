/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memxd's data pages.
 *
 * One reservation of address space, in chunks of 2 MiB. A chunk is made resident
 * when it is needed and given back when no page of it is used. A helper thread
 * does both (each takes as long as hundreds of requests): the server hands it
 * chunks and takes them back, and when it is short of pages for a moment,
 * pages_get() says so.
 *
 * Pages are taken from the chunks with the fewest free ones, so that others run
 * empty; where freed pages stay scattered, single ones are given back.
 *
 * A page taken is always overwritten whole before anybody can read it. Pages
 * that stay free are scrubbed a second or two later: writing to a page that was
 * freed a moment ago, which is what an overwrite does, costs nothing extra then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "tools/memxd.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define CHUNK_SHIFT	21
#define CHUNK		(1ull << CHUNK_SHIFT)
#define CHUNK_PAGES	(CHUNK / MX_PAGE)
#define BUCKETS		8u		/* of chunks by how many pages are free */
#define READY_CHUNKS	2u		/* wholly free, resident: what is kept at hand */
#define READY_MOST	16u		/* ... while the store grows fast */
#define SCRUB_AFTER	MX_SEC		/* free for this long */
#define SCRUB_BATCH	64u		/* pages by one call of pages_idle */
#define SCRUB_EVERY	(2 * MX_MS)	/* so that requests come in between */
#define TRIM_SHARE	4u		/* free ones over 1/4 of those used: trim */
#define TRIM_MIN	8192u		/* ... and over 32 MiB */
#define TRIM_CHUNKS	4u		/* by one call */

enum where {
	COLD,			/* address space only */
	COMING,			/* at the helper, being made resident */
	USED,			/* in a bucket or full */
	READY,			/* wholly free, resident, clean or dirty */
	GOING,			/* at the helper, being given back */
};

struct chunk {
	struct mx_list node;	/* bucket, ready or cold list, or a helper's queue */
	struct mx_list dirty;	/* in pages.dirty, when it has dirty pages */
	mx_ns put_at;		/* last put, for the scrubber */
	u8 where;
	u8 bucket;
	bool failed;		/* could not be made resident */
	u16 nfree, ndirty, npunched;
	u16 stack[CHUNK_PAGES];	/* free pages */
	u64 is_dirty[CHUNK_PAGES / 64];
	u64 is_punched[CHUNK_PAGES / 64];	/* free and given back singly */
};

/* What the two threads share; under lock. */
struct helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct mx_list work, finished;
	bool stop;
	volatile bool any_finished;
};

struct pages {
	u8 *base;
	u64 nchunks;
	struct chunk *chunks;
	struct mx_list buckets[BUCKETS];	/* [0]: fewest free */
	struct mx_list ready, cold, dirty;
	u64 nready, ncoming, ngoing;
	u64 want_ready;
	u64 used, free, ndirty;		/* free: resident ones */
	u64 scrubbed, released, denied;
	mx_ns now, retry_at, next;	/* next: when pages_idle has something to do */
	bool old_madvise;		/* no MADV_DONTNEED_LOCKED */
	struct helper h;
};

static u8 *chunk_mem(const struct pages *p, const struct chunk *c)
{
	return p->base + ((u64)(c - p->chunks) << CHUNK_SHIFT);
}

static bool test(const u64 *bits, unsigned i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void flip(u64 *bits, unsigned i)
{
	bits[i / 64] ^= 1ull << (i % 64);
}

/* ---- the helper's side ---- */

static bool make_resident(u8 *mem)
{
	if (!madvise(mem, CHUNK, MADV_POPULATE_WRITE))
		return true;
	if (errno != EINVAL)
		return false;
	for (u64 i = 0; i < CHUNK; i += MX_PAGE)	/* Linux before 5.14 */
		((volatile u8 *)mem)[i] = 0;
	return true;
}

static void give_back(struct pages *p, u8 *mem, size_t len)
{
	if (!p->old_madvise && !madvise(mem, len, MADV_DONTNEED_LOCKED))
		return;
	p->old_madvise = true;				/* Linux before 5.18 */
	munlock(mem, len);
	madvise(mem, len, MADV_DONTNEED);
	mlock2(mem, len, MLOCK_ONFAULT);
}

static void *helper_main(void *arg)
{
	struct pages *p = arg;
	struct helper *h = &p->h;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		struct chunk *c;

		while (mx_list_empty(&h->work) && !h->stop)
			pthread_cond_wait(&h->wake, &h->lock);
		if (h->stop)
			break;
		c = mx_list_entry(h->work.next, struct chunk, node);
		mx_list_del(&c->node);
		pthread_mutex_unlock(&h->lock);
		if (c->where == COMING)
			c->failed = !make_resident(chunk_mem(p, c));
		else
			give_back(p, chunk_mem(p, c), CHUNK);
		pthread_mutex_lock(&h->lock);
		mx_list_add_tail(&h->finished, &c->node);
		h->any_finished = true;
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void hand_out(struct pages *p, struct chunk *c, enum where where)
{
	c->where = (u8)where;
	pthread_mutex_lock(&p->h.lock);
	mx_list_add_tail(&p->h.work, &c->node);
	pthread_cond_signal(&p->h.wake);
	pthread_mutex_unlock(&p->h.lock);
}

/* ---- the server's side ---- */

static void reset_chunk(struct chunk *c)
{
	c->nfree = CHUNK_PAGES;
	c->ndirty = c->npunched = 0;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		c->stack[i] = (u16)(CHUNK_PAGES - 1 - i);	/* lowest address first */
	memset(c->is_dirty, 0, sizeof c->is_dirty);
	memset(c->is_punched, 0, sizeof c->is_punched);
}

static void take_back(struct pages *p)
{
	struct mx_list *pos, *tmp, done;

	if (!p->h.any_finished)
		return;
	mx_list_init(&done);
	pthread_mutex_lock(&p->h.lock);
	p->h.any_finished = false;
	mx_list_for_each_safe(pos, tmp, &p->h.finished) {
		mx_list_del(pos);
		mx_list_add_tail(&done, pos);
	}
	pthread_mutex_unlock(&p->h.lock);
	mx_list_for_each_safe(pos, tmp, &done) {
		struct chunk *c = mx_list_entry(pos, struct chunk, node);

		mx_list_del(pos);
		if (c->where == COMING)
			p->ncoming--;
		else
			p->ngoing--;
		if (c->where == COMING && !c->failed) {
			reset_chunk(c);
			c->where = READY;
			mx_list_add_tail(&p->ready, &c->node);
			p->nready++;
			p->free += CHUNK_PAGES;
			continue;
		}
		if (c->where == COMING)
			p->retry_at = p->now + MX_SEC;	/* the host has none now */
		else
			p->released++;
		c->where = COLD;
		c->failed = false;
		mx_list_add_head(&p->cold, &c->node);
	}
}

/* Has chunks made resident ahead of need. */
static void refill(struct pages *p)
{
	while (p->nready + p->ncoming < p->want_ready && !mx_list_empty(&p->cold)) {
		struct chunk *c;

		if (p->retry_at) {
			if (p->now < p->retry_at)
				return;
			p->retry_at = 0;
		}
		c = mx_list_entry(p->cold.next, struct chunk, node);
		mx_list_del(&c->node);
		p->ncoming++;
		hand_out(p, c, COMING);
	}
}

static unsigned bucket_of(const struct chunk *c)
{
	return (c->nfree - 1u) / (CHUNK_PAGES / BUCKETS);
}

/* Puts a chunk where its number of free pages belongs. */
static void place(struct pages *p, struct chunk *c)
{
	unsigned b;

	if (!c->nfree) {
		mx_list_del(&c->node);		/* full: in no list */
		c->bucket = BUCKETS;
		return;
	}
	b = bucket_of(c);
	if (c->where == USED && c->bucket == b)
		return;
	mx_list_del(&c->node);
	c->where = USED;
	c->bucket = (u8)b;
	mx_list_add_head(&p->buckets[b], &c->node);
}

static struct chunk *choose(struct pages *p)
{
	for (unsigned b = 0; b < BUCKETS; b++)
		if (!mx_list_empty(&p->buckets[b]))
			return mx_list_entry(p->buckets[b].next, struct chunk, node);
	if (mx_list_empty(&p->ready))
		take_back(p);
	if (mx_list_empty(&p->ready))
		return NULL;
	p->nready--;
	return mx_list_entry(p->ready.next, struct chunk, node);
}

void *pages_get(void *pages)
{
	struct pages *p = pages;
	struct chunk *c = choose(p);
	unsigned i;

	if (p->nready < p->want_ready) {
		/* Down to the last while one is under way: more ahead of need. */
		if (!p->nready && p->ncoming && p->want_ready < READY_MOST)
			p->want_ready++;
		refill(p);
	}
	if (!c) {
		p->denied++;
		return NULL;
	}
	i = c->stack[--c->nfree];
	p->used++;
	if (test(c->is_punched, i)) {
		flip(c->is_punched, i);
		c->npunched--;
	} else {
		p->free--;
	}
	if (test(c->is_dirty, i)) {
		flip(c->is_dirty, i);
		p->ndirty--;
		if (!--c->ndirty)
			mx_list_del(&c->dirty);
	}
	place(p, c);
	return chunk_mem(p, c) + i * MX_PAGE;
}

/* Gives back a chunk that is wholly free and in no list. */
static void let_go(struct pages *p, struct chunk *c)
{
	if (c->ndirty) {
		p->ndirty -= c->ndirty;
		mx_list_del(&c->dirty);
	}
	p->free -= CHUNK_PAGES - c->npunched;
	p->ngoing++;
	hand_out(p, c, GOING);
}

/* A chunk has run empty. */
static void emptied(struct pages *p, struct chunk *c)
{
	mx_list_del(&c->node);
	/* A punched one is not whole any more: back, to come whole next time. */
	if (p->nready < p->want_ready && !c->npunched) {
		c->where = READY;
		mx_list_add_head(&p->ready, &c->node);
		p->nready++;
		return;
	}
	let_go(p, c);
}

void pages_put(void *pages, void *page)
{
	struct pages *p = pages;
	u64 off = (u64)((u8 *)page - p->base);
	struct chunk *c = &p->chunks[off >> CHUNK_SHIFT];
	unsigned i = (unsigned)(off / MX_PAGE % CHUNK_PAGES);

	c->stack[c->nfree++] = (u16)i;
	c->put_at = p->now;
	p->used--;
	p->free++;
	flip(c->is_dirty, i);
	p->ndirty++;
	if (!c->ndirty++)
		mx_list_add_tail(&p->dirty, &c->dirty);
	if (c->nfree == CHUNK_PAGES)
		emptied(p, c);
	else
		place(p, c);
}

/* ---- when there is time ---- */

static unsigned scrub_chunk(struct pages *p, struct chunk *c, unsigned most)
{
	u8 *mem = chunk_mem(p, c);
	unsigned done = 0;

	for (unsigned w = 0; w < CHUNK_PAGES / 64 && done < most; w++)
		while (c->is_dirty[w] && done < most) {
			unsigned i = w * 64 + (unsigned)__builtin_ctzll(c->is_dirty[w]);

			memset(mem + i * MX_PAGE, 0, MX_PAGE);
			flip(c->is_dirty, i);
			c->ndirty--;
			done++;
		}
	if (!c->ndirty)
		mx_list_del(&c->dirty);
	p->ndirty -= done;
	p->scrubbed += done;
	return done;
}

static void scrub(struct pages *p)
{
	struct mx_list *pos, *tmp;
	unsigned left = SCRUB_BATCH;

	mx_list_for_each_safe(pos, tmp, &p->dirty) {
		struct chunk *c = mx_list_entry(pos, struct chunk, dirty);

		if (p->now < c->put_at + SCRUB_AFTER) {
			/* In use: look at the next ones first another time. */
			mx_list_del(pos);
			mx_list_add_tail(&p->dirty, pos);
			p->next = p->now + SCRUB_AFTER / 8;
			return;
		}
		left -= scrub_chunk(p, c, left);
		if (!left) {
			p->next = p->now + SCRUB_EVERY;
			return;
		}
	}
}

/* Gives the free pages of a chunk back singly. */
static void punch(struct pages *p, struct chunk *c)
{
	for (unsigned k = 0; k < c->nfree; k++) {
		unsigned i = c->stack[k];

		if (test(c->is_punched, i))
			continue;
		give_back(p, chunk_mem(p, c) + i * MX_PAGE, MX_PAGE);
		flip(c->is_punched, i);
		c->npunched++;
		p->free--;
		if (test(c->is_dirty, i)) {
			flip(c->is_dirty, i);
			p->ndirty--;
			if (!--c->ndirty)
				mx_list_del(&c->dirty);
		}
	}
}

static bool wants_trim(const struct pages *p)
{
	u64 scattered = p->free - p->nready * CHUNK_PAGES;

	return scattered > TRIM_MIN && scattered > p->used / TRIM_SHARE;
}

static void trim(struct pages *p)
{
	unsigned left = TRIM_CHUNKS;

	for (unsigned b = BUCKETS; b-- > 0 && left && wants_trim(p);) {
		struct mx_list *pos;

		mx_list_for_each(pos, &p->buckets[b]) {
			struct chunk *c = mx_list_entry(pos, struct chunk, node);

			if (c->npunched == c->nfree || p->now < c->put_at + SCRUB_AFTER)
				continue;
			punch(p, c);
			if (!--left)
				break;
		}
	}
}

/* Fast growth is over, or goes on: towards what is kept at hand. */
static void settle_ready(struct pages *p)
{
	if (p->want_ready > READY_CHUNKS && p->nready == p->want_ready)
		p->want_ready--;
	while (p->nready > p->want_ready) {
		struct chunk *c = mx_list_entry(p->ready.prev, struct chunk, node);

		mx_list_del(&c->node);
		p->nready--;
		let_go(p, c);
	}
	refill(p);
}

void pages_idle(struct pages *p, mx_ns now)
{
	p->now = now;
	take_back(p);
	if (now < p->next)
		return;
	p->next = now + MX_SEC;
	settle_ready(p);
	if (p->ndirty)
		scrub(p);
	if (wants_trim(p)) {
		trim(p);
		p->next = mx_min_u64(p->next, now + SCRUB_AFTER / 8);
	}
}

mx_ns pages_deadline(const struct pages *p)
{
	return p->next;
}

void pages_stats(const struct pages *p, struct pages_stats *s)
{
	*s = (struct pages_stats){
		.used = p->used, .free = p->free, .dirty = p->ndirty, .scrubbed = p->scrubbed,
		.released = p->released, .denied = p->denied,
	};
}

/* ---- set-up ---- */

static void *reserve(u64 bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

struct pages *pages_new(u64 bytes)
{
	struct pages *p = calloc(1, sizeof *p);
	u8 *raw;

	if (!p)
		return NULL;
	p->nchunks = (bytes + CHUNK - 1) / CHUNK + READY_CHUNKS;
	raw = reserve((p->nchunks + 1) * CHUNK);
	p->chunks = reserve(p->nchunks * sizeof *p->chunks);
	if (!raw || !p->chunks) {
		free(p);
		return NULL;
	}
	p->base = (u8 *)(((uintptr_t)raw + CHUNK - 1) & ~(CHUNK - 1));
	madvise(p->base, p->nchunks * CHUNK, MADV_DONTDUMP);
	madvise(p->base, p->nchunks * CHUNK, MADV_HUGEPAGE);
	for (unsigned b = 0; b < BUCKETS; b++)
		mx_list_init(&p->buckets[b]);
	mx_list_init(&p->ready);
	mx_list_init(&p->cold);
	mx_list_init(&p->dirty);
	mx_list_init(&p->h.work);
	mx_list_init(&p->h.finished);
	for (u64 i = 0; i < p->nchunks; i++) {
		mx_list_init(&p->chunks[i].dirty);
		mx_list_add_tail(&p->cold, &p->chunks[i].node);
	}
	pthread_mutex_init(&p->h.lock, NULL);
	pthread_cond_init(&p->h.wake, NULL);
	if (pthread_create(&p->h.thread, NULL, helper_main, p)) {
		munmap(raw, (p->nchunks + 1) * CHUNK);
		munmap(p->chunks, p->nchunks * sizeof *p->chunks);
		free(p);
		return NULL;
	}
	p->now = mxp_now();
	p->want_ready = READY_CHUNKS;
	refill(p);
	return p;
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->h.lock);
	p->h.stop = true;
	pthread_cond_signal(&p->h.wake);
	pthread_mutex_unlock(&p->h.lock);
	pthread_join(p->h.thread, NULL);
	munmap(p->base, p->nchunks * CHUNK);	/* what is before it goes with the process */
	munmap(p->chunks, p->nchunks * sizeof *p->chunks);
	free(p);
}
