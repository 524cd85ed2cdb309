/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx-limit-batch.ko: how fast two kernels can exchange a block device's requests
 * and replies when they do nothing else, and put together what can be put together.
 *
 * A yardstick beside memx-limit, which sends each packet by itself: it shares no code
 * with MemX and is not tuned along with it. Do not change what it does; a better
 * yardstick gets another name.
 *
 *	exchange.c	requests, replies, checksums
 *	carrier.c	packets over UDP or raw Ethernet
 *
 * No block layer, no sessions, no order, no windows, no threads: everything happens in
 * the softirq that receives. A packet has heads, then the data of all of them: as many
 * as the MTU has room for, so that one packet takes many requests, and two pages at an
 * MTU of 9,000. Data is a multiple of 1 KiB for each head. Packets that are made under
 * one lock make one trip through the network stack, and are handed to the device with
 * one kick; those that come in one poll of the device are handled under one lock.
 *
 * Data is sent by reference to the pages it lies in and copied once, where it arrives.
 * A CRC32C for each 512 bytes is made by the writer, kept by the server and verified by
 * the receiver of the data, in the pass that copies. What has no answer after half a
 * second is repeated and counted; a run with repeats is no limit.
 *
 *	insmod memx-limit-batch.ko mib=64 [carrier=raw iface=eth0]	the server
 *	insmod memx-limit-batch.ko peer=10.0.0.1 op=read bytes=4096 depth=1 seconds=3
 *	insmod memx-limit-batch.ko carrier=raw iface=eth0 peer=52:54:00:77:00:01 ...
 *		runs while it is being loaded, and logs "memx-limit-batch: EXCHANGES
 *		exchanges, MS ms, REPEATS repeats, BAD bad"
 */
#ifndef MEMX_LIMIT_BATCH_H
#define MEMX_LIMIT_BATCH_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#define BLOCK		512u
#define UNIT		1024u
#define HEAD_CRCS	16u		/* 8 KiB */

enum { READ_REQ = 1, READ_DATA, WRITE_DATA, WRITE_ACK };

/* Both ends are of one architecture: host byte order will do. */
struct packet_head {
	u16 heads;
	u16 len;			/* of the packet, this included */
	u32 zero;
};

struct head {
	u32 tag;			/* request's number << 8 | slot */
	u16 type;
	u16 units;			/* of UNIT, in this packet */
	u32 first;			/* unit of the request that they start with */
	u32 total;			/* units of the request */
	u64 page;			/* of the store, where the request starts */
	u64 zero;
	u32 crc[HEAD_CRCS];
};
#define HEAD_SMALL	64u		/* what is sent of it when eight CRCs are enough */

static inline u32 head_len(u32 units)
{
	return units > 4 ? sizeof(struct head) : HEAD_SMALL;
}

/* Whom an answer goes to. */
struct whom {
	__be32 addr;
	__be16 port;
	u8 mac[ETH_ALEN];
};

struct rtable;

/* Packets being made, all for one peer. */
struct batch {
	struct whom to;
	struct rtable *route;		/* to there; with @from */
	__be32 from;
	struct sk_buff *cur;		/* has room, perhaps */
	struct sk_buff_head out;	/* complete: each may have more in its list */
};

/* ---- carrier.c ---- */
int carrier_open(const char *peer, struct whom *to);
void carrier_close(void);		/* sleeps; nothing is received after it */
void batch_init(struct batch *b, const struct whom *to);
/* Adds @h with @h->units of data, which begin @off bytes into @pages. Nothing is added
 * without memory: what is lost is repeated. */
void batch_add(struct batch *b, const struct head *h, struct page *const *pages, u32 off);
/* Without the lock, bottom halves off. */
void batch_send(struct batch *b);
/* Units that one head may have with this MTU. */
u32 carrier_units(void);

/* ---- exchange.c ---- */
/* Between these two, received() for each packet: @off is where it begins in @skb. They
 * are called in softirq and hold a lock; what they lead to is added to @b. */
void receive_begin(void);
void received(struct sk_buff *skb, u32 off, struct batch *b);
void receive_end(void);

extern uint mtu;

#endif
