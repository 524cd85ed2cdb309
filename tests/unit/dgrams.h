/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams on their way, for tests that carry them in memory in virtual time: made
 * from what an endpoint hands out, kept in order of arrival (of two at one time, as
 * they were sent).
 */
#ifndef MEMX_TEST_DGRAMS_H
#define MEMX_TEST_DGRAMS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/ep.h"

struct dgram {
	mx_ns at;
	u64 seq;
	struct mx_addr from, to;
	u32 len;
	u8 *data;
};

struct dgrams {
	struct dgram *q;
	u32 n, cap;
	u64 seq;
};

/* False: no more are carried. The bytes are copied. */
static inline bool dgrams_put(struct dgrams *s, const struct dgram *proto, mx_ns at)
{
	struct dgram *d;

	if (!s->q)
		s->q = malloc(s->cap * sizeof *s->q);
	if (s->n == s->cap)
		return false;
	d = &s->q[s->n++];
	*d = *proto;
	d->at = at;
	d->seq = s->seq++;
	d->data = malloc(d->len);
	memcpy(d->data, proto->data, d->len);
	return true;
}

/* Which arrives first; s->n if there is none. */
static inline u32 dgrams_next(const struct dgrams *s)
{
	u32 k, best = s->n;

	for (k = 0; k < s->n; k++)
		if (best == s->n || s->q[k].at < s->q[best].at ||
		    (s->q[k].at == s->q[best].at && s->q[k].seq < s->q[best].seq))
			best = k;
	return best;
}

/* Takes it out; its data are the caller's to free. */
static inline struct dgram dgrams_take(struct dgrams *s, u32 k)
{
	struct dgram d = s->q[k];

	s->q[k] = s->q[--s->n];
	return d;
}

static inline void dgrams_free(struct dgrams *s)
{
	while (s->n)
		free(s->q[--s->n].data);
	free(s->q);
	s->q = NULL;
}

/* A datagram's bytes; @bytes says where those of a request's buffer are (NULL: the
 * test has none). */
static inline u32 dgram_gather(const struct mx_tx *tx, u8 *out, u8 *(*bytes)(void *buf))
{
	u32 i, len = tx->hdr_len;

	memcpy(out, tx->hdr, tx->hdr_len);
	for (i = 0; i < tx->nsegs; i++) {
		const struct mx_seg *s = &tx->segs[i];
		const u8 *p = s->kind == MX_SEG_BUF ? bytes(s->buf) : s->buf;

		memcpy(out + len, p + s->off, s->len);
		len += s->len;
	}
	if (tx->sealed) {
		mx_ep_seal(tx, out);
		len += MX_TAG;
	}
	if (len != tx->len) {
		fprintf(stderr, "datagram of %u bytes said to be %u\n", len, tx->len);
		abort();
	}
	return len;
}

#endif
