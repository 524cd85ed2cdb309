/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of this folder: how datagrams go from the core to the network
 * and back.
 *
 *	node.c	drives: takes the lock, packs, drops it, sends
 *	heads.c	where the heads of what is sent lie
 *	blocks.c	control memory of more than a page
 *	skb.c	makes skbs of what the core hands out, datagrams of skbs that came
 *	udp.c	UDP over IPv4 and IPv6: sockets, sending, receiving
 *	gro.c	joins datagrams that came together, for one way through IP
 *	route.c	by which way, and from which of our addresses, a peer is reached
 *	raw.c	raw Ethernet
 *	dev.c	the interface that is used, which may go and come back
 *	group.c	the multicast groups by which servers find each other over UDP
 */
#ifndef MEMX_LINUX_CARRIER_H
#define MEMX_LINUX_CARRIER_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include "core/wire.h"
#include "net/linux/node.h"

/* Of a datagram, by its outer header: is it a session's? */
static inline bool mxk_is_session(const u8 *outer)
{
	return outer[1] == MX_KIND_PLAIN || outer[1] == MX_KIND_SEALED;
}

/* What an skb carries in its cb from being packed to being sent. */
struct mxk_send {
	struct sk_buff *last;	/* of the list, once there is one: mxk_join */
	u8 from[16];		/* as in struct mx_addr; UDP only */
	u8 to[16];
	__be16 port;
	u16 each;		/* bytes of the datagram, as UDP's of several: of all but the last */
	u16 segs;
	u8 fam;
	u8 full : 1;		/* nothing may follow: the last was shorter, for one */
	u8 list : 1;		/* what follows is an skb of its own in the list */
	u8 session : 1;		/* see mxk_route_to() */
};

static inline struct mxk_send *mxk_send_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct mxk_send) > sizeof(skb->cb));
	return (struct mxk_send *)skb->cb;
}

/* ---- skb.c ---- */
/* Room ahead of the datagram for what UDP, IP and the device put there. */
#define MXK_HEADROOM	(LL_MAX_HEADER + MXK_RAW_HEAD + sizeof(struct ipv6hdr) + sizeof(struct udphdr))

/* Datagrams that came together and are handed out before what they led to is packed:
 * a server has room for a limited number of replies that wait. */
#define MXK_UNPACK_RUN	32u

/* Datagrams that go out as one skb with a list. */
#define MXK_JOIN_BYTES	60000u
#define MXK_JOIN_MAX	64u

/* Adds @next to what goes with @skb, if it still may; whether it goes the same way is
 * the caller's to know. */
bool mxk_join(struct sk_buff *skb, struct sk_buff *next);
/* Adds the datagram in n->tx to those in n->out. Under the lock. */
void mxk_pack(struct mxk_node *n);
/* Takes one of them. Without the lock, bottom halves off since it was packed. */
void mxk_send(struct mxk_node *n, struct sk_buff *skb);
/* Hands the datagram in @skb to the endpoint: @len bytes from @off on. @shared: others
 * see its bytes too (skb_cloned(); of a list, its head), which are opened elsewhere then.
 * True: the endpoint took it for one of a session. Under the lock. */
bool mxk_unpack(struct mxk_node *n, mx_ns now, const struct mx_addr *from, struct sk_buff *skb,
		bool shared, u32 off, u32 len);
/* Gives back what was received, with all that is joined to it. Bottom halves off. */
void mxk_free_received(struct sk_buff *skb);
/* After each; *@count is 0 when the lock has just been taken. Under the lock. */
void mxk_unpacked(struct mxk_node *n, mx_ns now, u32 *count);

/* ---- heads.c ---- */
int mxk_heads_init(struct mxk_node *n);		/* sleeps; -ENOMEM */
void mxk_heads_exit(struct mxk_node *n);
/* An empty skb with @bytes of room. NULL: not from here. Under the lock. */
struct sk_buff *mxk_heads_skb(struct mxk_node *n, u32 bytes);

/* ---- route.c ---- */
struct mxk_route {
	struct mx_addr to;
	bool was_asked;
	u8 asked[16];		/* the address of ours @to wrote to */
	u8 from[16];		/* what is sent leaves from here; goes with @dst */
	struct dst_entry *dst;
	u32 cookie;
};

int mxk_routes_init(struct mxk_node *n, bool many);
void mxk_routes_exit(struct mxk_node *n);
/* @session: for a datagram of a session, not a handshake's or an announcement. NULL:
 * there is no way there. Under the lock. */
struct mxk_route *mxk_route_to(struct mxk_node *n, const struct mx_addr *to, bool session);
/* @from wrote to our address @local: that is where answers leave from. @session: the
 * endpoint took it for one of a session. Under the lock. */
void mxk_route_asked(struct mxk_node *n, const struct mx_addr *from, const u8 local[16],
		     bool session);

/* ---- udp.c ---- */
int mxk_udp_open(struct mxk_node *n, const struct mxk_conf *c);
void mxk_udp_close(struct mxk_node *n);
/* Takes the skb. Without the lock, bottom halves off. */
void mxk_udp_send(struct mxk_node *n, struct sk_buff *skb);
/* The interface is another one from now on; sleeps. -EPERM: a socket that is bound can be
 * bound anew only by who has CAP_NET_RAW. */
int mxk_udp_bind(struct mxk_node *n, int ifindex);
/* As mxk_raw_take(). */
void mxk_udp_take(struct mxk_node *n, struct sk_buff *skb);

/* ---- group.c; all of them for UDP; but for mxk_group_choose() they sleep ---- */
/* A server with an interface of its choice hears others from now on. False: nobody can be
 * told of it there; else *@to is where it is announced. */
bool mxk_group_begin(struct mxk_node *n, struct mx_addr *to);
/* What goes to the group goes by IPv6 while the interface has no IPv4 address. Any context. */
void mxk_group_choose(const struct mxk_node *n, struct mx_addr *to);
/* It is @dev from now on, and no longer @ifindex; harmless if it was not. Under RTNL. */
void mxk_group_join(struct mxk_node *n, struct net_device *dev);
void mxk_group_leave(struct mxk_node *n, int ifindex);

/* ---- gro.c ---- */
/* For the sockets. */
struct sk_buff *mxk_gro_receive(struct sock *sk, struct list_head *head, struct sk_buff *skb);
int mxk_gro_complete(struct sock *sk, struct sk_buff *skb, int nhoff);
/* Both carriers: @skb to the list of @p, from where it begins for GRO. False: no more. */
bool mxk_gro_join(struct sk_buff *p, struct sk_buff *skb);
extern bool mxk_gro;			/* the parameter gro */

/* ---- raw.c ---- */
#define MXK_RAW_HEAD	4u
void mxk_raw_init(void);		/* once for the module; exit sleeps */
void mxk_raw_exit(void);
/* Logs why @dev cannot be used. */
int mxk_raw_check(const struct net_device *dev);
/* Begin and end to use @dev; they sleep. */
int mxk_raw_attach(struct mxk_node *n, struct net_device *dev);
void mxk_raw_detach(struct mxk_node *n);	/* harmless if it is not attached */
/* Puts the head before the datagram. */
void mxk_raw_head(struct sk_buff *skb);
/* What came, with what was joined to it: to the endpoint. Takes the skb. Without the
 * lock, bottom halves off, under RCU. */
void mxk_raw_take(struct mxk_node *n, struct sk_buff *skb);
/* Takes the skb. Without the lock, bottom halves off since it was packed. */
void mxk_raw_send(struct mxk_node *n, struct sk_buff *skb);

/* ---- dev.c; all of them sleep ---- */
/* @name: IF, raw:IF, or nothing. Logs what is wrong with it. */
int mxk_dev_open(struct mxk_node *n, const char *name);
/* From now on notices when it goes or comes. */
int mxk_dev_watch(struct mxk_node *n);
void mxk_dev_close(struct mxk_node *n);
/* Bytes a peer may have under way to this node: what the receive ring of the interface
 * (without a choice: of the smallest) holds. */
u32 mxk_dev_rwnd(struct mxk_node *n);

/* ---- node.c ---- */
/* Once for the module; exit sleeps. */
int mxk_node_init(void);
void mxk_node_exit(void);
/*
 * True: what came cannot be opened now, because a sealed session's cipher needs the
 * FPU and this softirq has interrupted kernel code that uses it. The skb was taken, and
 * is handed to mxk_udp_take() or mxk_raw_take() by a work item, as soon as that code has
 * ended. Without the lock, bottom halves off.
 */
bool mxk_put_off(struct mxk_node *n, struct sk_buff *skb);
/* Takes the lock if the node is at work. */
bool mxk_rx_begin(struct mxk_node *n, mx_ns *now);
/* Packs what the endpoint has to send by now, if it may and can; the lock is kept. */
void mxk_pack_all(struct mxk_node *n, mx_ns now);

/* ---- blocks.c ---- */
int mxk_blocks_begin(void);		/* once for the module; -ENOMEM; end sleeps */
void mxk_blocks_end(void);
void mxk_blocks_init(struct mxk_node *n);
void mxk_blocks_exit(struct mxk_node *n);	/* after mxk_stop(); sleeps */
/* @size bytes, more than a page, zeroed; kvfree() gives them back. NULL: none is at hand, and
 * there may be if it is asked for again. Under the lock. */
void *mxk_block_take(struct mxk_node *n, size_t size);

/* ---- port.c, pages.c ---- */
void mxk_port_init(struct mxk_node *n);
int mxk_pages_init(struct mxk_node *n, const struct mxk_conf *c);
/* Nothing else uses the pages any more: the store may be freed without the lock. Can be
 * repeated. Sleeps. */
void mxk_pages_stop(struct mxk_node *n);
void mxk_pages_exit(struct mxk_node *n);

#endif
