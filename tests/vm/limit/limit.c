// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memx-limit.ko: how fast two kernels can exchange a block device's requests and
 * replies over UDP when they do nothing else.
 *
 * A yardstick for tests/vm/bench, so that results of different days can be
 * compared: it shares no code with MemX and is not tuned along with it. Do not
 * change what it does; a better yardstick gets another name.
 *
 * No block layer, no sessions, no order, no windows, no threads: everything happens
 * in the softirq that receives. A read is a request of 64 bytes and a reply of
 * packets with 64 bytes and data, a write the other way round; the data of a packet
 * is as many multiples of 1 KiB as the MTU has room for. Data is sent by reference
 * to the pages it lies in and copied once, where it arrives. A CRC32C for each 512
 * bytes is made by the writer, kept by the server and verified by the receiver of
 * the data, in the pass that copies. What has no answer after half a second is
 * repeated and counted; a run with repeats is no limit.
 *
 *	insmod memx-limit.ko mib=64			the server
 *	insmod memx-limit.ko peer=10.0.0.1 op=read bytes=4096 depth=1 seconds=3
 *		runs while it is being loaded, and logs "memx-limit: EXCHANGES exchanges,
 *		MS ms, REPEATS repeats, BAD bad"
 */
#define pr_fmt(fmt) "memx-limit: " fmt
#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <net/ip.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

static char *peer = "";
module_param(peer, charp, 0444);
static char *op = "read";
module_param(op, charp, 0444);
static uint bytes = 4096, depth = 1, seconds = 3, mib = 64, mtu = 1500;
module_param(bytes, uint, 0444);
module_param(depth, uint, 0444);
module_param(seconds, uint, 0444);
module_param(mib, uint, 0444);
module_param(mtu, uint, 0444);

#define PORT		7790
#define BLOCK		512u
#define UNIT		1024u
#define BYTES_MAX	(128u << 10)
#define DEPTH_MAX	64u
#define FRAG_CRCS	16u		/* 8 KiB in a packet */
#define HEADROOM	(LL_MAX_HEADER + sizeof(struct iphdr) + sizeof(struct udphdr))

enum { READ_REQ = 1, READ_DATA, WRITE_DATA, WRITE_ACK };

/* Both ends are of one architecture: host byte order will do. */
struct packet {
	u32 tag;			/* request's number << 8 | slot */
	u16 type;
	u16 units;			/* of UNIT, in this packet */
	u32 first;			/* unit of the request that this packet starts with */
	u32 total;			/* units of the request */
	u64 page;			/* of the store, where the request starts */
	u32 crc[FRAG_CRCS];
};
#define HEAD_SMALL	64u		/* what is sent of it when eight CRCs are enough */

struct slot {
	u32 tag;
	u64 page;
	u64 have[2];			/* units that came, a bit each */
	unsigned long sent;
	struct page *mem[BYTES_MAX / PAGE_SIZE];
};

struct stored {
	struct page *page;
	u32 crc[PAGE_SIZE / BLOCK];
};

static struct socket *sock;
static struct rtable *route;
static __be32 route_from, route_to;
static DEFINE_SPINLOCK(lock);
static struct slot *slots;
static struct stored *store;
static u64 npages, exchanges, repeats, bad;
static bool running, writing;
static struct timer_list tick;
static u32 rng = 1;

/* ---- checksums ---- */

static u32 crc_copy(u8 *dst, const u8 *src)
{
	u64 crc = ~0u;
	u32 i;

	for (i = 0; i < BLOCK; i += 8) {
		u64 v = *(const u64 *)(src + i);

		if (dst)
			*(u64 *)(dst + i) = v;
		asm("crc32q %1, %0" : "+r"(crc) : "r"(v));
	}
	return (u32)crc;
}

/* ---- sending ---- */

static u32 units_per_packet(void)
{
	u32 room = mtu - sizeof(struct iphdr) - sizeof(struct udphdr) - HEAD_SMALL;

	if (room / UNIT > 4)
		room -= sizeof(struct packet) - HEAD_SMALL;
	return min_t(u32, room / UNIT, FRAG_CRCS * BLOCK / UNIT);
}

static u32 head_len(u32 units)
{
	return units > 4 ? sizeof(struct packet) : HEAD_SMALL;
}

static struct sk_buff *new_packet(const struct packet *p)
{
	u32 len = head_len(p->units);
	struct sk_buff *skb = alloc_skb(HEADROOM + len, GFP_ATOMIC);

	if (!skb)
		return NULL;
	skb_reserve(skb, HEADROOM);
	skb_put_data(skb, p, len);
	return skb;
}

static void add_units(struct sk_buff *skb, struct page *page, u32 off, u32 len)
{
	get_page(page);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, off, len, len);
}

static bool find_route(__be32 to)
{
	struct flowi4 fl = { .flowi4_proto = IPPROTO_UDP, .daddr = to };

	if (route && to == route_to && dst_check(&route->dst, 0))
		return true;
	if (route)
		ip_rt_put(route);
	route = ip_route_output_key(&init_net, &fl);
	if (IS_ERR(route)) {
		route = NULL;
		return false;
	}
	route_from = fl.saddr;
	route_to = to;
	return true;
}

static void queue_packet(struct sk_buff_head *out, struct sk_buff *skb, __be32 to, __be16 port)
{
	if (!skb)
		return;
	if (!find_route(to)) {
		kfree_skb(skb);
		return;
	}
	skb_dst_set(skb, dst_clone(&route->dst));
	*(__be32 *)skb->cb = to;
	*(__be32 *)(skb->cb + 4) = route_from;
	*(__be16 *)(skb->cb + 8) = port;
	__skb_queue_tail(out, skb);
}

static void send_all(struct sk_buff_head *out)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(out)) != NULL) {
		struct rtable *rt = skb_rtable(skb);
		__be32 to = *(__be32 *)skb->cb, from = *(__be32 *)(skb->cb + 4);
		__be16 port = *(__be16 *)(skb->cb + 8);

		skb->_skb_refdst = 0;
		udp_tunnel_xmit_skb(rt, sock->sk, skb, from, to, 0, 64, htons(IP_DF), htons(PORT), port,
				    false, false);
	}
}

/* ---- client ---- */

static void send_read(struct slot *s, struct sk_buff_head *out)
{
	struct packet p = { .tag = s->tag, .type = READ_REQ, .total = bytes / UNIT, .page = s->page };

	queue_packet(out, new_packet(&p), in_aton(peer), htons(PORT));
}

static void send_write(struct slot *s, struct sk_buff_head *out)
{
	u32 per = units_per_packet(), total = bytes / UNIT, at, i;

	for (at = 0; at < total; at += per) {
		u32 n = min(per, total - at), off = at * UNIT, left = n * UNIT;
		struct packet p = { .tag = s->tag, .type = WRITE_DATA, .units = n, .first = at,
				    .total = total, .page = s->page };
		struct sk_buff *skb;

		for (i = 0; i < left / BLOCK; i++) {
			u32 b = off + i * BLOCK;

			p.crc[i] = crc_copy(NULL, (u8 *)page_address(s->mem[b >> PAGE_SHIFT]) +
					    offset_in_page(b));
		}
		skb = new_packet(&p);
		while (skb && left) {
			u32 len = min_t(u32, left, PAGE_SIZE - offset_in_page(off));

			add_units(skb, s->mem[off >> PAGE_SHIFT], offset_in_page(off), len);
			off += len;
			left -= len;
		}
		queue_packet(out, skb, in_aton(peer), htons(PORT));
	}
}

static void send_slot(struct slot *s, struct sk_buff_head *out)
{
	s->sent = jiffies;
	s->have[0] = s->have[1] = 0;
	if (writing)
		send_write(s, out);
	else
		send_read(s, out);
}

static void next_request(struct slot *s, struct sk_buff_head *out)
{
	rng = rng * 1664525u + 1013904223u;
	s->tag += 0x100;
	s->page = (u64)(rng >> 8) % (npages - bytes / PAGE_SIZE);
	send_slot(s, out);
}

static bool all_there(const struct slot *s)
{
	u32 n = bytes / UNIT;

	return s->have[0] == (n >= 64 ? ~0ull : (1ull << n) - 1) &&
	       (n <= 64 || s->have[1] == (n >= 128 ? ~0ull : (1ull << (n - 64)) - 1));
}

static void client_data(struct slot *s, const struct packet *p, const u8 *data)
{
	u32 i, off = p->first * UNIT;

	for (i = 0; i < p->units * UNIT / BLOCK; i++, off += BLOCK, data += BLOCK) {
		u8 *to = (u8 *)page_address(s->mem[off >> PAGE_SHIFT]) + offset_in_page(off);

		if (crc_copy(to, data) != p->crc[i])
			bad++;
	}
	for (i = 0; i < p->units; i++)
		s->have[(p->first + i) / 64] |= 1ull << (p->first + i) % 64;
}

static void client_rx(const struct packet *p, const u8 *data, struct sk_buff_head *out)
{
	struct slot *s = &slots[p->tag % DEPTH_MAX];

	if (!running || s->tag != p->tag || (p->first + p->units) * UNIT > bytes)
		return;
	if (p->type == READ_DATA && !writing) {
		client_data(s, p, data);
		if (!all_there(s))
			return;
	} else if (p->type != WRITE_ACK) {
		return;
	}
	exchanges++;
	next_request(s, out);
}

static void on_tick(struct timer_list *t)
{
	struct sk_buff_head out;
	u32 i;

	__skb_queue_head_init(&out);
	spin_lock(&lock);
	for (i = 0; running && i < depth; i++) {
		if (time_before(jiffies, slots[i].sent + HZ / 2))
			continue;
		repeats++;
		send_slot(&slots[i], &out);
	}
	spin_unlock(&lock);
	send_all(&out);
	if (running)
		mod_timer(&tick, jiffies + HZ / 10);
}

/* ---- server ---- */

static void server_read(const struct packet *q, __be32 to, __be16 port, struct sk_buff_head *out)
{
	u32 per = units_per_packet(), at;

	for (at = 0; at < q->total; at += per) {
		u32 n = min(per, q->total - at), off = at * UNIT, left = n * UNIT, crc = 0;
		struct packet p = { .tag = q->tag, .type = READ_DATA, .units = n, .first = at,
				    .total = q->total, .page = q->page };
		struct sk_buff *skb;
		u32 o = off, l = left;

		for (; l; l -= BLOCK, o += BLOCK)
			p.crc[crc++] = store[q->page + (o >> PAGE_SHIFT)].crc[offset_in_page(o) / BLOCK];
		skb = new_packet(&p);
		while (skb && left) {
			u32 len = min_t(u32, left, PAGE_SIZE - offset_in_page(off));

			add_units(skb, store[q->page + (off >> PAGE_SHIFT)].page, offset_in_page(off), len);
			off += len;
			left -= len;
		}
		queue_packet(out, skb, to, port);
	}
}

static void server_write(const struct packet *p, const u8 *data, __be32 to, __be16 port,
			 struct sk_buff_head *out)
{
	struct slot *s = &slots[p->tag % DEPTH_MAX];
	u32 i, off = p->first * UNIT;

	if (s->tag != p->tag) {
		s->tag = p->tag;
		s->have[0] = s->have[1] = 0;
	}
	for (i = 0; i < p->units * UNIT / BLOCK; i++, off += BLOCK, data += BLOCK) {
		struct stored *t = &store[p->page + (off >> PAGE_SHIFT)];
		u32 crc = crc_copy((u8 *)page_address(t->page) + offset_in_page(off), data);

		t->crc[offset_in_page(off) / BLOCK] = crc;
		if (crc != p->crc[i])
			bad++;
	}
	for (i = 0; i < p->units; i++)
		s->have[(p->first + i) / 64] |= 1ull << (p->first + i) % 64;
	if (hweight64(s->have[0]) + hweight64(s->have[1]) == p->total) {
		struct packet a = { .tag = p->tag, .type = WRITE_ACK };

		queue_packet(out, new_packet(&a), to, port);
	}
}

static void server_rx(const struct packet *p, const u8 *data, __be32 from, __be16 port,
		      struct sk_buff_head *out)
{
	if (p->total * UNIT > BYTES_MAX || p->first + p->units > p->total ||
	    p->page + p->total * UNIT / PAGE_SIZE > npages)
		return;
	if (p->type == READ_REQ)
		server_read(p, from, port, out);
	else if (p->type == WRITE_DATA)
		server_write(p, data, from, port, out);
}

/* ---- both ---- */

static int encap_rcv(struct sock *sk, struct sk_buff *skb)
{
	const u32 off = sizeof(struct udphdr);
	__be32 from = ip_hdr(skb)->saddr;
	__be16 port = udp_hdr(skb)->source;
	struct sk_buff_head out;
	struct packet p;
	u32 head;
	u8 *data;

	__skb_queue_head_init(&out);
	memset(&p, 0, sizeof(p));
	if (skb->len < off + HEAD_SMALL || skb_copy_bits(skb, off, &p, HEAD_SMALL))
		goto drop;
	head = head_len(p.units);
	if (p.units > FRAG_CRCS * BLOCK / UNIT || skb->len < off + head + p.units * UNIT ||
	    (head > HEAD_SMALL && skb_copy_bits(skb, off, &p, head)))
		goto drop;
	/* As it comes: the datagram in the first fragment, or all of it linear. */
	if (skb_headlen(skb) == off && skb_shinfo(skb)->nr_frags == 1)
		data = (u8 *)skb_frag_address(&skb_shinfo(skb)->frags[0]) + head;
	else if (!skb_linearize(skb))
		data = skb->data + off + head;
	else
		goto drop;
	spin_lock(&lock);
	if (store)
		server_rx(&p, data, from, port, &out);
	else
		client_rx(&p, data, &out);
	spin_unlock(&lock);
	consume_skb(skb);
	send_all(&out);
	return 0;
drop:
	kfree_skb(skb);
	return 0;
}

static int open_socket(void)
{
	struct udp_port_cfg conf = { .family = AF_INET, .local_udp_port = htons(PORT),
				     .use_udp_checksums = 1 };
	struct udp_tunnel_sock_cfg tunnel = { .sk_user_data = &lock, .encap_type = 1,
					      .encap_rcv = encap_rcv };
	int rc = udp_sock_create(&init_net, &conf, &sock);

	if (!rc)
		setup_udp_tunnel_sock(&init_net, sock, &tunnel);
	return rc;
}

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
	u64 i;
	u32 k;

	store = vzalloc(npages * sizeof(*store));
	if (!store)
		return -ENOMEM;
	for (i = 0; i < npages; i++) {
		u8 *at;

		store[i].page = alloc_page(GFP_KERNEL);
		if (!store[i].page)
			return -ENOMEM;
		at = page_address(store[i].page);
		memset(at, (u8)(i * 7 + 1), PAGE_SIZE);
		for (k = 0; k < PAGE_SIZE / BLOCK; k++)
			store[i].crc[k] = crc_copy(NULL, at + k * BLOCK);
	}
	return 0;
}

static void free_all(void)
{
	u64 i;
	u32 k;

	if (sock) {
		udp_tunnel_sock_release(sock);
		synchronize_net();
	}
	for (i = 0; slots && i < DEPTH_MAX; i++)
		for (k = 0; k < BYTES_MAX / PAGE_SIZE; k++)
			if (slots[i].mem[k])
				put_page(slots[i].mem[k]);
	for (i = 0; store && i < npages; i++)
		if (store[i].page)
			put_page(store[i].page);
	vfree(slots);
	vfree(store);
	if (route)
		ip_rt_put(route);
}

static void run_client(void)
{
	struct sk_buff_head out;
	ktime_t begin;
	u64 ms;
	u32 i;

	writing = op[0] == 'w';
	__skb_queue_head_init(&out);
	timer_setup(&tick, on_tick, 0);
	spin_lock_bh(&lock);
	running = true;
	for (i = 0; i < depth; i++)
		next_request(&slots[i], &out);
	spin_unlock(&lock);
	send_all(&out);
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
	    npages <= bytes / PAGE_SIZE)
		return rc;
	if (!boot_cpu_has(X86_FEATURE_XMM4_2))
		return -ENODEV;
	rc = make_slots(client);
	if (!rc && !client)
		rc = make_store();
	if (!rc)
		rc = open_socket();
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
MODULE_DESCRIPTION("MemX: the yardstick of its measurements");
MODULE_LICENSE("GPL");
