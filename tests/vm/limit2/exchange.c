// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests and replies: see batch.h. */
#define pr_fmt(fmt) "memx-limit-batch: " fmt
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include "batch.h"

static char *peer = "";
module_param(peer, charp, 0444);
static char *op = "read";
module_param(op, charp, 0444);
static uint bytes = 4096, depth = 1, seconds = 3, mib = 64;
module_param(bytes, uint, 0444);
module_param(depth, uint, 0444);
module_param(seconds, uint, 0444);
module_param(mib, uint, 0444);
uint mtu = 1500;
module_param(mtu, uint, 0444);

#define BYTES_MAX	(128u << 10)
#define DEPTH_MAX	64u
#define PAGE_CRCS	(PAGE_SIZE / BLOCK)

struct slot {
	u32 tag;
	u64 page;
	u64 have[2];			/* units that came, a bit each */
	unsigned long sent;
	struct page *mem[BYTES_MAX / PAGE_SIZE];
};

static DEFINE_SPINLOCK(lock);
static struct slot *slots;
static struct page **store;
static u32 (*store_crc)[PAGE_CRCS];
static struct whom server;
static u64 npages, exchanges, repeats, bad;
static bool running, writing;
static struct timer_list tick;
static u32 rng = 1;

/* ---- checksums ---- */

/* @len bytes, copied to @dst unless it is NULL. */
static u32 crc_copy(u64 crc, u8 *dst, const u8 *src, u32 len)
{
	u32 i;

	for (i = 0; i + 8 <= len; i += 8) {
		u64 v = *(const u64 *)(src + i);

		if (dst)
			*(u64 *)(dst + i) = v;
		asm("crc32q %1, %0" : "+r"(crc) : "r"(v));
	}
	for (; i < len; i++) {
		if (dst)
			dst[i] = src[i];
		asm("crc32b %1, %0" : "+r"(crc) : "r"(src[i]));
	}
	return (u32)crc;
}

/* What lies at @off of the packet in one piece, and how much that is. */
static const u8 *piece(const struct sk_buff *skb, u32 off, u32 *len)
{
	u32 i;

	if (off < skb_headlen(skb)) {
		*len = skb_headlen(skb) - off;
		return skb->data + off;
	}
	off -= skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *f = &skb_shinfo(skb)->frags[i];

		if (off < skb_frag_size(f)) {
			*len = skb_frag_size(f) - off;
			return (u8 *)skb_frag_address(f) + off;
		}
		off -= skb_frag_size(f);
	}
	return NULL;
}

struct source {
	const struct sk_buff *skb;
	u32 off;
	const u8 *at;
	u32 left;			/* at @at */
};

/* The next block of the packet to @dst; its CRC. */
static u32 take_block(struct source *s, u8 *dst)
{
	u32 crc = ~0u, done = 0;

	while (done < BLOCK) {
		u32 n;

		if (!s->left)
			s->at = piece(s->skb, s->off, &s->left);
		if (!s->at)
			return 0;
		n = min(s->left, BLOCK - done);
		crc = crc_copy(crc, dst + done, s->at, n);
		done += n;
		s->at += n;
		s->off += n;
		s->left -= n;
	}
	return crc;
}

/* ---- client ---- */

static void send_write(struct slot *s, struct batch *b)
{
	u32 per = carrier_units(), total = bytes / UNIT, at, i;

	for (at = 0; at < total; at += per) {
		u32 n = min(per, total - at), off = at * UNIT;
		struct head h = { .tag = s->tag, .type = WRITE_DATA, .units = n, .first = at,
				  .total = total, .page = s->page };

		for (i = 0; i < n * UNIT / BLOCK; i++) {
			u32 o = off + i * BLOCK;

			h.crc[i] = crc_copy(~0u, NULL, (u8 *)page_address(s->mem[o >> PAGE_SHIFT]) +
					    offset_in_page(o), BLOCK);
		}
		batch_add(b, &h, s->mem, off);
	}
}

static void send_slot(struct slot *s, struct batch *b)
{
	struct head h = { .tag = s->tag, .type = READ_REQ, .total = bytes / UNIT, .page = s->page };

	s->sent = jiffies;
	s->have[0] = s->have[1] = 0;
	if (writing)
		send_write(s, b);
	else
		batch_add(b, &h, NULL, 0);
}

static void next_request(struct slot *s, struct batch *b)
{
	rng = rng * 1664525u + 1013904223u;
	s->tag += 0x100;
	s->page = (u64)(rng >> 8) % (npages - bytes / PAGE_SIZE);
	send_slot(s, b);
}

static void note(struct slot *s, const struct head *h)
{
	u32 i;

	for (i = 0; i < h->units; i++)
		s->have[(h->first + i) / 64] |= 1ull << (h->first + i) % 64;
}

static bool all_there(const struct slot *s, u32 total)
{
	return hweight64(s->have[0]) + hweight64(s->have[1]) == total;
}

static void client_data(struct slot *s, const struct head *h, struct source *from)
{
	u32 i, off = h->first * UNIT;

	for (i = 0; i < h->units * UNIT / BLOCK; i++, off += BLOCK) {
		u8 *to = (u8 *)page_address(s->mem[off >> PAGE_SHIFT]) + offset_in_page(off);

		if (take_block(from, to) != h->crc[i])
			bad++;
	}
	note(s, h);
}

static void client_rx(const struct head *h, struct source *from, struct batch *b)
{
	struct slot *s = &slots[h->tag % DEPTH_MAX];

	if (!running || s->tag != h->tag || (h->first + h->units) * UNIT > bytes)
		return;
	if (h->type == READ_DATA && !writing) {
		client_data(s, h, from);
		if (!all_there(s, bytes / UNIT))
			return;
	} else if (h->type != WRITE_ACK) {
		return;
	}
	exchanges++;
	next_request(s, b);
}

static void on_tick(struct timer_list *t)
{
	struct batch b;
	u32 i;

	batch_init(&b, &server);
	spin_lock(&lock);
	for (i = 0; running && i < depth; i++) {
		if (time_before(jiffies, slots[i].sent + HZ / 2))
			continue;
		repeats++;
		send_slot(&slots[i], &b);
	}
	spin_unlock(&lock);
	batch_send(&b);
	if (running)
		mod_timer(&tick, jiffies + HZ / 10);
}

/* ---- server ---- */

static void server_read(const struct head *q, struct batch *b)
{
	u32 per = carrier_units(), at, i;

	for (at = 0; at < q->total; at += per) {
		u32 n = min(per, q->total - at), off = at * UNIT;
		struct head h = { .tag = q->tag, .type = READ_DATA, .units = n, .first = at,
				  .total = q->total, .page = q->page };

		for (i = 0; i < n * UNIT / BLOCK; i++) {
			u32 o = off + i * BLOCK;

			h.crc[i] = store_crc[q->page + (o >> PAGE_SHIFT)][offset_in_page(o) / BLOCK];
		}
		batch_add(b, &h, store + q->page, off);
	}
}

static void server_write(const struct head *h, struct source *from, struct batch *b)
{
	struct slot *s = &slots[h->tag % DEPTH_MAX];
	struct head a = { .tag = h->tag, .type = WRITE_ACK };
	u32 i, off = h->first * UNIT;

	if (s->tag != h->tag) {
		s->tag = h->tag;
		s->have[0] = s->have[1] = 0;
	}
	for (i = 0; i < h->units * UNIT / BLOCK; i++, off += BLOCK) {
		u64 page = h->page + (off >> PAGE_SHIFT);
		u32 crc = take_block(from, (u8 *)page_address(store[page]) + offset_in_page(off));

		store_crc[page][offset_in_page(off) / BLOCK] = crc;
		if (crc != h->crc[i])
			bad++;
	}
	note(s, h);
	if (all_there(s, h->total))
		batch_add(b, &a, NULL, 0);
}

static void server_rx(const struct head *h, struct source *from, struct batch *b)
{
	if (h->total * UNIT > BYTES_MAX || h->first + h->units > h->total ||
	    h->page + h->total * UNIT / PAGE_SIZE > npages)
		return;
	if (h->type == READ_REQ)
		server_read(h, b);
	else if (h->type == WRITE_DATA)
		server_write(h, from, b);
}

/* ---- both ---- */

void receive_begin(void)
{
	spin_lock(&lock);
}

void receive_end(void)
{
	spin_unlock(&lock);
}

/* The heads of a packet from @off on: where its data begins. 0: it makes no sense. */
static u32 data_at(const struct sk_buff *skb, u32 off, u32 heads)
{
	struct head h;
	u32 i;

	for (i = 0; i < heads; i++) {
		if (skb->len < off + HEAD_SMALL || skb_copy_bits(skb, off, &h, HEAD_SMALL))
			return 0;
		off += head_len(h.units);
	}
	return off;
}

void received(struct sk_buff *skb, u32 off, struct batch *b)
{
	struct packet_head p;
	struct source from = { .skb = skb };
	u32 end, i;

	if (skb->len < off + sizeof(p) || skb_copy_bits(skb, off, &p, sizeof(p)) ||
	    skb->len < off + p.len)
		return;
	end = off + p.len;
	off += sizeof(p);
	from.off = data_at(skb, off, p.heads);
	for (i = 0; from.off && i < p.heads; i++) {
		struct head h;
		u32 next;

		skb_copy_bits(skb, off, &h, HEAD_SMALL);
		if (h.units > HEAD_CRCS * BLOCK / UNIT || from.off + h.units * UNIT > end)
			return;
		if (head_len(h.units) > HEAD_SMALL)
			skb_copy_bits(skb, off, &h, sizeof(h));
		next = from.off + h.units * UNIT;
		if (store)
			server_rx(&h, &from, b);
		else
			client_rx(&h, &from, b);
		off += head_len(h.units);
		if (from.off != next)		/* what was not wanted */
			from = (struct source){ .skb = skb, .off = next };
	}
}

/* ---- life ---- */

static int make_slots(bool pages)
{
	u32 i, k;

	slots = vzalloc(DEPTH_MAX * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (i = 0; i < DEPTH_MAX; i++) {
		slots[i].tag = i;
		for (k = 0; pages && i < depth && k < DIV_ROUND_UP(bytes, PAGE_SIZE); k++) {
			slots[i].mem[k] = alloc_page(GFP_KERNEL);
			if (!slots[i].mem[k])
				return -ENOMEM;
			memset(page_address(slots[i].mem[k]), i + k + 1, PAGE_SIZE);
		}
	}
	return 0;
}

static int make_store(void)
{
	struct page **pages = vzalloc(npages * sizeof(*pages));
	u64 i;
	u32 k;

	store = pages;
	store_crc = vzalloc(npages * sizeof(*store_crc));
	if (!pages || !store_crc)
		return -ENOMEM;
	for (i = 0; i < npages; i++) {
		u8 *at;

		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i])
			return -ENOMEM;
		at = page_address(pages[i]);
		memset(at, (u8)(i * 7 + 1), PAGE_SIZE);
		for (k = 0; k < PAGE_CRCS; k++)
			store_crc[i][k] = crc_copy(~0u, NULL, at + k * BLOCK, BLOCK);
	}
	return 0;
}

static void free_all(void)
{
	u64 i;
	u32 k;

	carrier_close();
	for (i = 0; slots && i < DEPTH_MAX; i++)
		for (k = 0; k < BYTES_MAX / PAGE_SIZE; k++)
			if (slots[i].mem[k])
				put_page(slots[i].mem[k]);
	for (i = 0; store && i < npages; i++)
		if (store[i])
			put_page(store[i]);
	vfree(slots);
	vfree(store);
	vfree(store_crc);
}

static void run_client(void)
{
	struct batch b;
	ktime_t begin;
	u64 ms;
	u32 i;

	writing = op[0] == 'w';
	batch_init(&b, &server);
	timer_setup(&tick, on_tick, 0);
	spin_lock_bh(&lock);
	running = true;
	for (i = 0; i < depth; i++)
		next_request(&slots[i], &b);
	spin_unlock(&lock);
	batch_send(&b);
	local_bh_enable();
	mod_timer(&tick, jiffies + HZ / 10);
	begin = ktime_get();
	msleep(seconds * 1000);
	spin_lock_bh(&lock);
	running = false;
	ms = ktime_ms_delta(ktime_get(), begin);
	spin_unlock_bh(&lock);
	del_timer_sync(&tick);
	pr_info("%llu exchanges, %llu ms, %llu repeats, %llu bad\n", exchanges, ms, repeats, bad);
}

static int __init limit_init(void)
{
	bool client = *peer;
	int rc = -EINVAL;

	npages = (u64)mib << (20 - PAGE_SHIFT);
	if (bytes % UNIT || !bytes || bytes > BYTES_MAX || !depth || depth > DEPTH_MAX ||
	    npages <= bytes / PAGE_SIZE || mtu < 1500)
		return rc;
	if (!boot_cpu_has(X86_FEATURE_XMM4_2))
		return -ENODEV;
	rc = make_slots(client);
	if (!rc && !client)
		rc = make_store();
	if (!rc)
		rc = carrier_open(peer, &server);
	if (rc)
		free_all();
	else if (client)
		run_client();
	return rc;
}

static void __exit limit_exit(void)
{
	if (bad)
		pr_err("%llu bad blocks\n", bad);
	free_all();
}

module_init(limit_init);
module_exit(limit_exit);
MODULE_DESCRIPTION("MemX: the yardstick of its measurements, with batching");
MODULE_LICENSE("GPL");
