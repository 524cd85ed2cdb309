/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server under requests of any content: control bodies and data messages of
 * any type, in any order, as a peer with a session could send them.
 */
#include "../unit/server_net.h"

static struct world *w;
static struct mx_speer *sp;

static void start(void)
{
	struct mx_server_conf c;
	struct mx_desc *d;

	w = w_new(1);
	c = srv_conf(w, 1);
	c.store.ceiling = 4 << 20;
	c.jobs = 32;
	if (!srv_start(w, 1, &c))
		abort();
	d = w_desc(w, "vm1", 7, 1);
	if (w_seal(w, 1, d, 1) != MX_OK || w_accept(w, 1, d, 0, &d->owner) != MX_OK)
		abort();
	free(d);
	sp = mx_list_entry(w->srv[1]->speers.next, struct mx_speer, node);
}

static void call(u8 op, const u8 *body, u32 len, u8 tenant)
{
	static u8 rep[MX_CTL_BODY_MAX];
	struct mx_ccall c = { .s = w->srv[1], .sp = sp, .body = body, .len = len, .now = w->net.now };

	sp->restricted = tenant & 1;
	memset(sp->volume, 0, sizeof sp->volume);
	memcpy(sp->volume, "vm1", 3);
	/* Small replies are cut short, never written past. */
	mx_put_init(&c.rep, rep, tenant & 2 ? sizeof rep : 4200);
	switch (op % 16) {
	case 0: mx_call_stats(&c); break;
	case 1: mx_call_lookup(&c); break;
	case 2: mx_call_list(&c); break;
	case 3: mx_call_reserve(&c); break;
	case 4: mx_call_prepare(&c); break;
	case 5: mx_call_accept(&c); break;
	case 6: mx_call_lease(&c); break;
	case 7: mx_call_bits_set(&c); break;
	case 8: mx_call_bits_get(&c); break;
	case 9: mx_call_seal(&c); break;
	case 10: mx_call_list_extents(&c); break;
	case 11: mx_call_drop_extent(&c, false); break;
	case 12: mx_call_drop_extent(&c, true); break;
	case 13: mx_call_drop_volume(&c); break;
	case 14: mx_call_forget(&c); break;
	default: mx_call_recover_list(&c); break;
	}
	if (!c.rep.bad && c.rep.len > c.rep.cap)
		abort();
}

/* Makes a message concern the volume there is, and a write's checksums right. */
static void mend(u8 type, u8 *head, u32 hlen, const u8 *payload, u32 plen)
{
	u32 seed, i, n = plen / 512, block;

	if (hlen < 56)
		return;
	memset(head + 16, 7, 16);
	if (MX_READ + type % 8 == MX_READ || MX_READ + type % 8 == MX_BLKSTAT)
		mx_st32(head + 32, 1);
	else
		mx_st64(head + 32, mx_num(1, mx_ld64(head + 32) & MX_SEQ_MASK));
	seed = mx_crc32c(0xffffffff, head + 16, 16);
	block = mx_ld32(head + 44) * 2048 + mx_ld16(head + 48);
	for (i = 0; i < n && 56 + i * 4 + 4 <= hlen; i++)
		mx_st32(head + 56 + i * 4,
			mx_crc32c(mx_block_seed(seed, block + i), payload + i * 512, 512));
}

static void data(u8 type, u8 flags, u8 *head, u32 hlen, const u8 *payload, u32 plen)
{
	struct mx_head h = { .type = (u16)(MX_READ + type % 8), .hlen = (u16)(hlen & ~7u),
			     .plen = plen, .tag = flags & 3, .flags = flags, .attempt = flags >> 4 };

	if (type >= 192)
		mend(type, head, hlen, payload, plen);
	sp->restricted = false;
	mx_serve(sp, &h, head, payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	const char *why;

	start();
	while (size >= 4) {
		u32 len = (u32)(in[2] | in[3] << 8);
		u8 op = in[0], arg = in[1], *copy;

		in += 4;
		size -= 4;
		if (len > size)
			len = (u32)size;
		copy = malloc(len ? len : 1);
		memcpy(copy, in, len);
		if (op < 128) {
			call(op, copy, len, arg);
		} else {
			u32 hlen = len < 200 ? len : 200;

			data(op, arg, copy, hlen, copy + hlen, len - hlen);
		}
		free(copy);
		in += len;
		size -= len;
		if (op & 64)
			net_for(&w->net, 1100 * MX_MS);
	}
	why = mx_store_check(mx_server_store(w->srv[1]));
	if (why) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	w_free(w);
	return 0;
}
