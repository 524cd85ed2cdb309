/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoint: what servers and clients share of the protocol.
 *
 * An endpoint keeps peers (a remote node at an address), runs the handshake
 * (cookie, key agreement, re-keying), seals and opens datagrams, refuses
 * replays, measures round trips, finds the path's datagram size, holds a
 * congestion window per peer, packs messages into datagrams, and carries
 * control calls (one request body, one reply body, each fragmented).
 * Announcements and the table of members are here too.
 *
 * Driving it: mx_ep_rx() for each datagram received, mx_ep_step() when
 * mx_ep_deadline() is reached, and after either mx_ep_tx() until it returns
 * false, sending what it hands out. Nothing here sleeps or allocates on the
 * data path. One caller at a time per endpoint.
 */
#ifndef MEMX_CORE_EP_H
#define MEMX_CORE_EP_H

#include "port.h"
#include "wire.h"

struct mx_ep;
struct mx_peer;

/* Where a datagram comes from or goes to. Compared as bytes: unused ones are 0. */
enum mx_fam { MX_FAM_NONE = 0, MX_FAM_IP4 = 4, MX_FAM_IP6 = 6, MX_FAM_ETH = 14, MX_FAM_SIM = 99 };
struct mx_addr {
	u8 fam;
	u8 zero;
	u16 port;		/* host order; 0 for ETH */
	u32 scope;		/* interface index for ETH and link-local IP6, else 0 */
	u8 a[16];		/* 4, 16 or 6 bytes, the rest 0 */
};
MX_BUILD_ASSERT(sizeof(struct mx_addr) == 24);
static inline bool mx_addr_eq(const struct mx_addr *a, const struct mx_addr *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

struct mx_node {		/* who a node is */
	u64 id;			/* lasting */
	u64 incarnation;	/* random, new at each start */
	char name[MX_NAME_MAX + 1];
};

/* Keys: 32 bytes. A volume key is HMAC(cluster key, "memx volume" 0 name). */
enum mx_key_kind { MX_KEY_NONE = 0, MX_KEY_CLUSTER = 1, MX_KEY_VOLUME = 2 };
struct mx_key {
	u8 kind;
	u8 key[32];
	char volume[MX_NAME_MAX + 1];	/* VOLUME: which */
};
/* Keys must be gone, not only forgotten: the store cannot be left out. */
static inline void mx_wipe(void *p, size_t n)
{
	memset(p, 0, n);
	__asm__ __volatile__("" : : "r"(p) : "memory");
}
void mx_volume_key(u8 out[32], const u8 cluster[32], const char *volume);

/* ---- sending ---- */

/*
 * A message waiting to be sent to a peer. It is not the bytes but a source of
 * them: fill() is called when there is room in a datagram and writes as much
 * of the message as fits (one head with its payload named by segments), so that
 * a large message becomes as many datagrams as the path needs, and nothing is
 * copied or allocated. Embed it; it must stay until fill returned DONE, or
 * mx_txm_cancel() was called.
 */
enum { MX_SEG_MEM = 0, MX_SEG_BUF = 1 };
struct mx_seg {
	u8 kind;		/* MEM: buf is an address; BUF: a request's buffer (port) */
	u32 off, len;
	void *buf;
};
#define MX_TX_SEGS	64
struct mx_room {
	u8 *head;		/* in: where to write the head */
	u32 head_room;		/* in: bytes left for head... */
	u32 room;		/* in: ...and for head + payload together */
	struct mx_seg *segs;
	u32 nsegs_max;		/* in */
	u32 nsegs;		/* out */
	u32 hlen, plen;		/* out: of the one message written */
	mx_ns now;		/* in */
};
enum mx_fill {
	MX_FILL_DONE,		/* written (or hlen 0: nothing to say), message finished; the
				 * txm may be gone, the segments' memory not yet (see mx_tx) */
	MX_FILL_MORE,		/* written, call again for the next part */
	MX_FILL_NOROOM,		/* nothing written: try in an empty datagram */
};
struct mx_txm {
	struct mx_list node;
	enum mx_fill (*fill)(struct mx_txm *m, struct mx_peer *p, struct mx_room *r);
};
void mx_txm_init(struct mx_txm *m, enum mx_fill (*fill)(struct mx_txm *, struct mx_peer *,
							struct mx_room *));
/* Queues at the tail; no effect if queued already. Before the session is up
 * messages wait. */
void mx_peer_send(struct mx_peer *p, struct mx_txm *m);
static inline bool mx_txm_queued(const struct mx_txm *m) { return !mx_list_empty(&m->node); }
static inline void mx_txm_cancel(struct mx_txm *m) { mx_list_del(&m->node); }

/* A datagram to send: hdr[0..hdr_len) is outer header and heads, then the
 * segments in order. Keys and segments stay valid until the next call into the
 * endpoint other than mx_ep_tx, so that several can be sent in one go. */
struct mx_tx {
	struct mx_addr to;
	struct mx_peer *peer;	/* NULL: handshake with an unknown, announcement */
	u32 len;		/* whole datagram, tag included */
	u32 hdr_len;
	u32 nsegs;
	bool sealed;		/* must go through mx_ep_seal */
	u64 pktno;
	const struct mx_aead_key *key;
	struct mx_seg segs[MX_TX_SEGS];
	u8 hdr[8192];
};
bool mx_ep_tx(struct mx_ep *ep, mx_ns now, struct mx_tx *tx);
/* For a sealed datagram the surrounding gathers hdr and segments into @dgram
 * (tx->len bytes of room) and calls this; it encrypts and adds the tag. */
void mx_ep_seal(const struct mx_tx *tx, u8 *dgram);

/* ---- receiving ---- */
/* @dgram is contiguous and writable (opened in place). Returns why it was
 * dropped, MX_RJ_NONE if taken. */
enum mx_reject_why mx_ep_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			    u8 *dgram, u32 len);
void mx_ep_step(struct mx_ep *ep, mx_ns now);
mx_ns mx_ep_deadline(const struct mx_ep *ep);

/* ---- peers ---- */
enum mx_peer_state {
	MX_PEER_NEW,		/* nothing sent yet */
	MX_PEER_HELLO,		/* handshake under way, repeated with back-off for ever */
	MX_PEER_UP,
	MX_PEER_SILENT,		/* was UP or HELLO; nothing heard for a while; still tried */
	MX_PEER_REFUSED,	/* REJECT received: why in mx_peer_reject(); tried rarely */
	MX_PEER_GONE,		/* only told, never seen: an accepted peer ends. Its messages
				 * are unlinked and it is freed, or used anew, after the call */
};
/*
 * A peer is one direction of initiation. Those we connected to live until they
 * are put. Those we accepted (their first state is UP) end by BYE, by silence of
 * ten minutes, by eviction when the table is full, or because the client has
 * started anew: then GONE is told, and UP with @reborn for the new one.
 */
/* Finds or makes the peer for @a and starts the handshake. NULL: no memory, or
 * table full. Holds it: each connect wants one mx_peer_put. */
struct mx_peer *mx_peer_connect(struct mx_ep *ep, const struct mx_addr *a, mx_ns now);
void mx_peer_put(struct mx_peer *p);
enum mx_peer_state mx_peer_state(const struct mx_peer *p);
enum mx_status mx_peer_reject(const struct mx_peer *p);	/* BAD_KEY, BAD_VERSION, NO_KEY, BUSY ... */
const struct mx_node *mx_peer_node(const struct mx_peer *p);	/* id 0 until UP once */
const struct mx_addr *mx_peer_addr(const struct mx_peer *p);
const struct mx_key *mx_peer_key(const struct mx_peer *p);	/* by which it proved itself (acceptor side) */
enum mx_suite mx_peer_suite(const struct mx_peer *p);	/* of the session in use; NONE: plain */
bool mx_peer_is_initiator(const struct mx_peer *p);	/* we connected */
/* When last heard (authenticated); not before we were last suspended, and could not hear. */
mx_ns mx_peer_heard(const struct mx_peer *p);
/* When we were last found to have been suspended, or stopped, for 10 s or longer. */
mx_ns mx_ep_woke(const struct mx_ep *ep);
void *mx_peer_user(const struct mx_peer *p);		/* free for the user above */
void mx_peer_set_user(struct mx_peer *p, void *u);

/* Round trips and window, for the data path above. */
mx_ns mx_peer_rto(const struct mx_peer *p);
void mx_peer_rtt_sample(struct mx_peer *p, mx_ns rtt);
/* Bytes (requested plus sent) that may be under way to this peer now. */
u32 mx_peer_window_room(const struct mx_peer *p);
void mx_peer_window_take(struct mx_peer *p, u32 bytes);
void mx_peer_window_done(struct mx_peer *p, u32 bytes);	/* answered: additive increase */
void mx_peer_window_lost(struct mx_peer *p, mx_ns now);	/* timeout or gap: halved, once per RTT */
u32 mx_peer_dgram(const struct mx_peer *p);		/* datagram size in use */

/* ---- timers ---- */
/*
 * For the users above; run from mx_ep_step, never early, late by less than
 * 0.3 ms. Arming, moving and cancelling are O(1). Free only when cancelled.
 */
struct mx_timer {
	struct mx_list node;
	mx_ns at;
	void (*fn)(struct mx_timer *t, mx_ns now);
};
void mx_timer_init(struct mx_timer *t, void (*fn)(struct mx_timer *, mx_ns));
void mx_timer_set(struct mx_ep *ep, struct mx_timer *t, mx_ns at);	/* MX_NEVER: cancels */
void mx_timer_cancel(struct mx_timer *t);	/* harmless on one zeroed or not armed */

/* ---- control calls ---- */
/*
 * mx_call is embedded by the caller; @req must stay until done() is called.
 * Repeated with back-off until answered, or until @timeout after start; done is
 * called exactly once (never from inside mx_call_start) with MX_OK or the
 * reply's status and the body (valid during the call), or MX_ST_TIMEOUT,
 * MX_ST_UNREACHABLE (REFUSED peer), MX_ST_CANCELLED.
 */
struct mx_call {
	struct mx_list node;		/* ep: calls of the peer */
	struct mx_txm txm;
	struct mx_timer timer;		/* repeat, or deadline */
	struct mx_peer *peer;
	u16 op;
	u8 attempt;
	u32 tag;
	const void *req;
	u32 req_len;
	u32 sent_off;
	u32 req_crc;
	mx_ns started, deadline, resend_at, rto;
	u8 *rep;			/* reassembly, from port->alloc */
	u32 rep_len, rep_got;
	u64 rep_have;			/* units received (MX_CTL_UNIT), a bit each */
	u32 rep_crc;
	u8 rep_status;
	void (*done)(struct mx_call *c, enum mx_status st, const u8 *body, u32 len, mx_ns now);
	void *user;
};
void mx_call_start(struct mx_call *c, struct mx_peer *p, u16 op, const void *req, u32 req_len,
		   mx_ns timeout, mx_ns now,
		   void (*done)(struct mx_call *, enum mx_status, const u8 *, u32, mx_ns));
/* No callback follows. Harmless on a call that is not under way (zeroed). */
void mx_call_cancel(struct mx_call *c);

/* ---- members: who announces itself ---- */
struct mx_member {		/* 128 bytes on the wire, in this order */
	struct mx_node node;	/* 8 + 8 + 64 */
	struct mx_addr addr;	/* fam 1, zero 1, port 2, scope 4 (sent as 0), a 16 = 24 */
	u64 capacity;		/* bytes donated */
	u64 free;		/* bytes still to be had */
	u32 load;		/* 0..1000 */
	u16 flags;		/* MX_MEMBER_* */
	u16 age_s;		/* when heard last; 0 in one's own announcement */
	/* not on the wire */
	mx_ns heard;
	u64 counter;		/* newest announcement of this incarnation */
	struct mx_peer *peer;	/* for users; set by them, NULL at first. While it is
				 * set the member is not removed; otherwise it may be when
				 * silent for ten minutes, so keep no pointer to it */
};
#define MX_MEMBER_WIRE	128	/* 80 + 24 + 16 + 8 */
enum { MX_MEMBER_SERVER = 1, MX_MEMBER_LEAVING = 2 };
u64 mx_ep_bytes(const struct mx_ep *ep);	/* memory it has taken */
u32 mx_ep_nmembers(const struct mx_ep *ep);
struct mx_member *mx_ep_member(struct mx_ep *ep, u32 i);
struct mx_member *mx_ep_member_by_id(struct mx_ep *ep, u64 id);
/* Servers: what to announce (node and addr are filled in by the endpoint; the
 * receiver takes the address from the datagram). */
void mx_ep_announce(struct mx_ep *ep, u64 capacity, u64 free, u32 load, u16 flags);
/* A seed: asked for its members every few seconds, told of us if we are a
 * server. Also how memxd --join works. */
bool mx_ep_add_seed(struct mx_ep *ep, const struct mx_addr *a);
/* Where announcements are broadcast to (a multicast group, an Ethernet segment). */
bool mx_ep_add_announce_addr(struct mx_ep *ep, const struct mx_addr *a);

/* ---- an endpoint ---- */
struct mx_ep_ops {		/* all may be NULL where noted */
	/* A data message. @payload points into the datagram. */
	void (*message)(void *user, struct mx_peer *p, const struct mx_head *h,
			const u8 *head, const u8 *payload, mx_ns now);
	/* End of a datagram: everything in it was handed out. May be NULL. */
	void (*flush)(void *user, mx_ns now);
	/* A control request. Writes up to @cap bytes of reply body, sets *rep_len
	 * and returns the status. NULL: answered UNSUPPORTED. MEMBERS is answered
	 * by the endpoint itself. */
	enum mx_status (*call)(void *user, struct mx_peer *p, u16 op, const u8 *body, u32 len,
			       u8 *rep, u32 cap, u32 *rep_len, mx_ns now);
	/* State changed; for UP after a new incarnation @reborn is true: what the
	 * old one held is gone. May be NULL. */
	void (*peer)(void *user, struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now);
	/* A member was heard (new, or its figures changed). May be NULL. */
	void (*member)(void *user, struct mx_member *m, mx_ns now);
};
struct mx_ep_conf {
	struct mx_node node;
	struct mx_key key;		/* kind NONE: plain */
	bool accept;			/* servers: answer HELLO */
	bool require_key;		/* accept only sessions by key (set whenever key.kind != NONE) */
	u8 suites;			/* bit (1 << enum mx_suite) allowed; 0: all there are */
	u32 peers_max;			/* default 4096 */
	u32 members_max;		/* default 4096 */
	u32 dgram_max;			/* largest datagram this carrier can take; <= MX_DGRAM_MAX */
	u32 rwnd;			/* bytes a peer may have under way to us; told in handshake */
	u32 window_max;			/* our own cap per peer; default 4 MiB */
	mx_ns announce_every;		/* default 2 s */
	mx_ns silent_after;		/* default 5 s without an answer to what we asked */
	u64 rekey_packets;		/* default 1 << 30; tests lower it */
	mx_ns rekey_after;		/* default 1 h */
};
/* Allocates through port->alloc. NULL: no memory. @port, @ops must stay. */
struct mx_ep *mx_ep_new(const struct mx_port *port, const struct mx_ep_conf *conf,
			const struct mx_ep_ops *ops, void *user, mx_ns now);
void mx_ep_free(struct mx_ep *ep);	/* every call done CANCELLED; no packets are sent */
const struct mx_port *mx_ep_port(const struct mx_ep *ep);
struct mx_list *mx_ep_claims(struct mx_ep *ep);	/* of this endpoint, oldest first (claim.c) */
void *mx_ep_user(const struct mx_ep *ep);
struct mx_ep *mx_peer_ep(const struct mx_peer *p);
const struct mx_node *mx_ep_node(const struct mx_ep *ep);
/* Says BYE to all peers (queued: drain with mx_ep_tx). */
void mx_ep_bye(struct mx_ep *ep, mx_ns now);

struct mx_ep_stats {
	u64 rx_dgrams, rx_bytes, tx_dgrams, tx_bytes;
	u64 rejects[MX_RJ_COUNT];
	u64 handshakes, rekeys, resets, retransmits, calls, call_timeouts;
};
const struct mx_ep_stats *mx_ep_stats(const struct mx_ep *ep);
void mx_ep_count_retransmit(struct mx_ep *ep);

#endif
