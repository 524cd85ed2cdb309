/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the endpoint: what its files share. Nobody else includes this.
 *
 *	ep.c		instance, receiving, order of sending
 *	peer.c		table of peers, states, round trips, window
 *	session.c	session table, numbers, replay window, key schedule
 *	handshake.c	HELLO, RETRY, WELCOME, REJECT, RESET on both sides
 *	mtu.c		path MTU probing and fall-back
 *	txq.c		packing messages into datagrams
 *	call.c		control calls we make; icall.c: those we answer
 *	member.c	announcements, members, seeds
 *	timer.c		timing wheel
 *	log.c		log lines
 *
 * Lifetime: peers are freed by their own timer (in mx_ep_step), by a BYE, by
 * eviction (both in mx_ep_rx, after which the datagram is not touched again), or
 * with the endpoint; never from inside a call of the user's. Memory that a
 * datagram handed out by mx_ep_tx refers to is freed only in the next mx_ep_rx
 * or mx_ep_step.
 */
#ifndef MEMX_CORE_EP_INT_H
#define MEMX_CORE_EP_INT_H

#include "ep.h"
#include "desc.h"

/* ---- limits, each with its reason ---- */
#define SESSIONS_MAX	(1u << 18)	/* 262,144; the rest of an index is random */
#define REPLAY_BITS	2048u		/* numbers remembered */
#define REPLAY_WORDS	(REPLAY_BITS / 64 + 1)	/* one word is cleared ahead */
#define SMALL_RING	64u		/* answers to unknowns waiting to be sent */
#define SMALL_MAX	160u		/* bytes of the largest: REJECT, RETRY, RESET */
#define ANSWERS_BURST	100u		/* RESETs, and REJECTs, in a row */
#define ANSWERS_EVERY	(10 * MX_MS)	/* and then a hundred a second */
#define SEEDS_MAX	64u
#define ANNOUNCE_ADDRS	16u
#define ICALLS_MAX	512u		/* control calls held for answering, per endpoint */
#define ICALLS_PEER	64u		/* ... and per peer, so that one cannot take all */
#define ICALL_BYTES	(16u << 20)	/* bodies held, both ways */
#define WINDOW_START	(256u << 10)
#define WINDOW_MIN	(128u << 10)	/* one request of the largest size */
#define MTU_STEPS	4u

/* ---- times ---- */
#define HELLO_FIRST	(100 * MX_MS)	/* back-off of HELLO, before any round trip is known */
#define HELLO_MAX	(5 * MX_SEC)
#define REFUSED_RETRY	(10 * MX_SEC)
#define BUSY_RETRY	(2 * MX_SEC)
#define PING_MIN	(1 * MX_SEC)
#define PING_MAX	(5 * MX_SEC)
#define PREV_KEEP	(10 * MX_SEC)	/* the old session is accepted after a new one */
#define HALF_KEEP	(10 * MX_SEC)	/* accepted, never proved */
#define LINGER		(30 * MX_SEC)	/* put, but may be wanted again */
#define IDLE_EVICT	(60 * MX_SEC)	/* may be evicted when the table is full */
#define IDLE_GONE	(600 * MX_SEC)
#define COOKIE_SLOT	(30 * MX_SEC)
#define RTO_MIN		(5 * MX_MS)
#define RTO_MAX		(1 * MX_SEC)
#define RTO_FIRST	(100 * MX_MS)
#define ICALL_KEEP	(2 * MX_SEC)	/* a reply is kept to be repeated */
#define ICALL_GATHER	(5 * MX_SEC)	/* a request is gathered */
#define MEMBER_KEEP	(600 * MX_SEC)

/* ---- timing wheel ---- */
#define WHEEL_SHIFT	18u		/* a tick is 2^18 ns, 0.26 ms */
#define WHEEL_BITS	6u
#define WHEEL_SLOTS	(1u << WHEEL_BITS)
#define WHEEL_LEVELS	5u		/* 2^30 ticks, 78 h; farther ones are looked at again */
struct mx_wheel {
	u64 tick;			/* the next tick to run */
	u64 next;			/* no timer is due before this tick */
	u64 busy[WHEEL_LEVELS];		/* a clear bit: that slot is empty */
	struct mx_list due;		/* armed for a time already over */
	struct mx_list slot[WHEEL_LEVELS][WHEEL_SLOTS];
};
void mx_wheel_init(struct mx_wheel *w, mx_ns now);
void mx_wheel_set(struct mx_wheel *w, struct mx_timer *t, mx_ns at);
void mx_wheel_run(struct mx_wheel *w, mx_ns now);
mx_ns mx_wheel_deadline(const struct mx_wheel *w);

/* ---- sessions ---- */
struct mx_skeys { struct mx_aead_key tx, rx; };
struct mx_sess {
	struct mx_peer *peer;
	u32 local;			/* index here, which the other side writes */
	u32 remote;			/* the other side's */
	struct mx_skeys *keys;		/* NULL: plain */
	u64 tx_pktno;			/* last used */
	u64 rx_top;			/* highest received */
	u64 renew_at;			/* pktno, either way, at which a new handshake is due */
	u64 rx_seen[REPLAY_WORDS];	/* bit n % 2112: number n was received */
	mx_ns made;
	u8 suite;
	bool proved;			/* something valid came over it */
};
struct mx_slot {
	struct mx_sess *s;		/* NULL: free */
	u32 next_free;
};

/* A handshake we started. */
struct mx_hs {
	u8 hello[MX_HELLO_HEAD];	/* as sent; the cookie is filled in by RETRY */
	u8 secret[32];
	mx_ns sent_at, wait;
	u32 sends;
};

/* A handshake we answered; becomes the peer's when it is proved. */
struct mx_pend {
	u8 welcome[MX_WELCOME_HEAD];
	u8 client_random[32];
	struct mx_node node;
	struct mx_key key;
	u32 rwnd, dgram_max;
	mx_ns made;
};

/* ---- peers ---- */
/* What a peer's next datagram must carry; see txq.c. */
enum {
	WANT_HELLO = 1, WANT_WELCOME = 2, WANT_PING = 4, WANT_PONG = 8,
	WANT_PROBE_OK = 16, WANT_BYE = 32,
};

struct mx_peer {
	/* what every datagram touches */
	struct mx_ep *ep;
	struct mx_sess *cur;		/* sending; NULL: no session yet */
	mx_ns heard;			/* something valid came */
	mx_ns asked_at;			/* if asked */
	u8 state;			/* enum mx_peer_state; see peer_set_state */
	bool initiator;
	bool asked;			/* something was sent that wants an answer */
	u8 want;			/* WANT_* */
	u8 probes;			/* MTU steps whose probe is to be sent, a bit each */
	u32 dgram;			/* datagram size in use */
	struct mx_list ready;		/* in ep->ready: may have something to send */
	struct mx_list ctl;		/* control messages, ahead of data */
	struct mx_list data;
	/* window */
	u32 wnd, inflight, ssthresh, rwnd;
	u32 burst;			/* bytes sent since its turn began */
	mx_ns srtt, rttvar;		/* srtt 0: not measured */
	mx_ns cut_at;			/* last halving, if cut */
	bool cut;
	bool renew;			/* a new handshake is due */
	bool active;			/* messages were sent since the last look */
	bool leaving;			/* BYE was said: nobody wants it */

	struct mx_peer *hash_next;
	struct mx_addr addr;
	struct mx_list all;		/* ep->initiators, accepted (by last heard) or half */
	mx_ns touched;			/* when it was last moved in ep->accepted */
	struct mx_sess *prev;		/* replaced, still accepted until prev_until */
	struct mx_sess *next;		/* handshake under way */
	struct mx_hs *hs;		/* initiator: handshake under way */
	struct mx_pend *pend;		/* acceptor: WELCOME sent, not proved */
	u64 rnd;			/* acceptor: of the HELLO that made cur */
	struct mx_node node;
	struct mx_key *key;		/* acceptor: VOLUME, own copy; else NULL */
	u32 refs;			/* initiator: connects less puts */
	u8 reject;			/* enum mx_status of the last REJECT */
	bool half;			/* acceptor, never proved: user does not know it */
	void *user;
	struct mx_list calls;		/* we make: struct mx_call */
	struct mx_list icalls;		/* we answer: struct mx_icall */
	u32 nicalls;

	/* what the timer is for; MX_NEVER if not */
	struct mx_timer timer;
	mx_ns hello_at, ping_at, prev_until, end_at, probe_at;
	mx_ns ping_every, ping_sent;
	u32 ping_tag, pong_tag;
	bool ping_open;			/* PING sent, no PONG yet */

	/* path MTU, see mtu.c */
	u16 mtu_step[MTU_STEPS];	/* sizes, ascending */
	u8 mtu_n, mtu_round, mtu_cap;	/* steps; rounds done; steps to be tried now */
	u8 big_lost;			/* losses reported since a large one was seen to pass */
	u8 verify;			/* tries left to see whether dgram still passes */
	mx_ns verify_from, verified;
	u16 probe_ok[MTU_STEPS];	/* sizes to confirm */
	u8 nprobe_ok;
	u32 dgram_max;			/* theirs */
};

/* A control request being gathered, or its reply being sent or kept. */
struct mx_icall {
	struct mx_list node;		/* peer->icalls */
	struct mx_list lru;		/* ep->icalls, oldest first */
	struct mx_txm txm;
	struct mx_peer *peer;
	u32 tag;
	u16 op;
	u8 attempt, status;
	bool answered;
	u32 total, crc;			/* of the request */
	u64 have;
	u8 *req;
	u8 *rep;
	u32 rep_len, rep_crc, sent_off;
	mx_ns at;
};

struct mx_small {			/* a short datagram to somebody who is no peer */
	struct mx_addr to;
	u16 len;
	u8 data[SMALL_MAX];
};
struct mx_bucket { u32 tokens; mx_ns at; };	/* rate limit */

struct mx_seed {
	struct mx_addr addr;
	struct mx_peer *peer;
	struct mx_call call;
	u8 req[8 + MX_MEMBER_WIRE];
	u32 asked;
};

struct mx_ep {
	const struct mx_port *port;
	const struct mx_ep_ops *ops;
	void *user;
	struct mx_ep_conf conf;
	struct mx_ep_stats stats;
	u64 bytes;			/* of mx_alloc, and ourselves */
	struct mx_list ready;
	struct mx_list claims;		/* struct mx_claim, oldest first */
	struct mx_slot *slots;
	u32 nslots;			/* 0, or a power of two */
	u32 slot_free;			/* nslots: none */
	struct mx_wheel wheel;

	struct mx_peer **hash;
	u32 hash_mask;
	u64 hash_seed;
	struct mx_list initiators, accepted, half;
	u32 ninitiators, naccepted, nhalf;

	struct mx_small small[SMALL_RING];
	u32 small_head, small_n;
	u8 cookie_secret[32];
	struct mx_bucket reset_rate, reject_rate, log_rate;

	struct mx_list icalls;
	u32 nicalls, icall_bytes;
	struct mx_timer icall_timer;
	u8 *scratch;			/* MX_CTL_BODY_MAX, a reply being made; a client's only while calls come */
	u32 call_tag;
	mx_ns planned;			/* when the next step was due after the last one */
	mx_ns woke;			/* the last that came much too late */

	/* members */
	struct mx_member **members;
	u32 nmembers, members_cap;
	struct mx_member **mhash;
	struct mx_member self;
	bool closing;
	bool announcing;
	u64 announce_counter;
	struct mx_addr announce_to[ANNOUNCE_ADDRS];
	u32 nannounce, announce_left;	/* addresses still to be sent to */
	u8 announce_msg[MX_OUTER + MX_ANNOUNCE_HEAD];
	struct mx_seed *seeds[SEEDS_MAX];
	u32 nseeds;
	struct mx_seed gossip;		/* the member asked at random */
	struct mx_timer announce_timer, seed_timer, expire_timer;
};

/* Clipped sum: a deadline is never before its start. */
static inline mx_ns mx_after(mx_ns now, mx_ns d)
{
	return now > MX_NEVER - d ? MX_NEVER : now + d;
}
static inline void *mx_alloc(struct mx_ep *ep, size_t n)
{
	void *p = ep->port->alloc(ep->port->ctx, n);

	ep->bytes += p ? n : 0;
	return p;
}
static inline void mx_release(struct mx_ep *ep, void *p, size_t n)
{
	if (!p)
		return;
	ep->bytes -= n;
	ep->port->free(ep->port->ctx, p, n);
}
static inline void mx_random(struct mx_ep *ep, void *p, size_t n)
{
	ep->port->random(ep->port->ctx, p, n);
}

/* ep.c */
void mx_tx_raw(struct mx_tx *tx, const struct mx_addr *to);
bool mx_rate_ok(struct mx_bucket *b, u32 burst, mx_ns every, mx_ns now);
struct mx_small *mx_small_get(struct mx_ep *ep, const struct mx_addr *to);	/* NULL: full */
u64 mx_rand_below(struct mx_ep *ep, u64 n);
mx_ns mx_jitter(struct mx_ep *ep, mx_ns t);	/* within an eighth of it */
bool mx_ct_equal(const u8 *a, const u8 *b, u32 n);	/* in constant time */

/* log.c */
void mx_ep_log_from(struct mx_ep *ep, int level, const char *what, const struct mx_addr *from,
		    mx_ns now);

/* peer.c */
/* One we connected to. */
struct mx_peer *mx_peer_find(struct mx_ep *ep, const struct mx_addr *a);
/* One accepted, or about to be. Several nodes can share an address: raw Ethernet has
 * no ports. */
struct mx_peer *mx_peer_find_accepted(struct mx_ep *ep, const struct mx_addr *a, u64 node);
/* @accepted: who it says it is; NULL: we connect to it. */
struct mx_peer *mx_peer_new(struct mx_ep *ep, const struct mx_addr *a, const struct mx_node *accepted,
			    mx_ns now);
void mx_peer_free(struct mx_peer *p, mx_ns now);
void mx_peer_forget_key(struct mx_peer *p);
bool mx_peer_make_room(struct mx_ep *ep, mx_ns now);
void mx_peer_set_state(struct mx_peer *p, enum mx_peer_state st, bool reborn, mx_ns now);
void mx_peer_ping(struct mx_peer *p, mx_ns now);
void mx_peer_ready(struct mx_peer *p);
void mx_peer_arm(struct mx_peer *p);
void mx_peer_unused(struct mx_peer *p, mx_ns now);
void mx_peer_drop_queues(struct mx_peer *p);
void mx_peer_heard_slow(struct mx_peer *p, mx_ns now);
static inline void mx_peer_want(struct mx_peer *p, u8 w)
{
	p->want |= w;
	mx_peer_ready(p);
}
/* Something valid came from the peer. */
static inline void mx_peer_note_heard(struct mx_peer *p, mx_ns now)
{
	p->heard = now;
	p->asked = false;
	if (p->state != MX_PEER_UP || (!p->initiator && now - p->touched > MX_SEC))
		mx_peer_heard_slow(p, now);
}

/* session.c */
struct mx_sess *mx_sess_new(struct mx_peer *p, mx_ns now);
void mx_sess_free(struct mx_ep *ep, struct mx_sess *s);	/* NULL: nothing */
void mx_sess_renew(struct mx_sess *s, mx_ns now);
static inline struct mx_sess *mx_sess_find(struct mx_ep *ep, u32 index)
{
	struct mx_sess *s = ep->nslots ? ep->slots[index & (ep->nslots - 1)].s : NULL;

	return s && s->local == index ? s : NULL;
}
bool mx_replay_fresh(const struct mx_sess *s, u64 pktno);
void mx_replay_mark(struct mx_sess *s, u64 pktno);
/* The secret both sides share; then the keys of a session from it. */
void mx_prk(u8 prk[32], const u8 key[32], const u8 dh[32], const u8 *hello, const u8 *server_random);
bool mx_sess_set_keys(struct mx_ep *ep, struct mx_sess *s, const u8 prk[32], u8 suite, bool client);
void mx_hello_mac(u8 mac[32], const u8 key[32], const u8 *hello);
void mx_welcome_mac(u8 mac[32], const u8 prk[32], const u8 *welcome);
u8 mx_suites(const struct mx_ep *ep);
void mx_cookie(struct mx_ep *ep, u8 out[32], const struct mx_addr *a, const u8 *random, u64 slot);

/* handshake.c */
bool mx_hs_start(struct mx_peer *p, mx_ns now);
void mx_hs_end(struct mx_peer *p);
void mx_hs_resend(struct mx_peer *p, mx_ns now);
void mx_pend_drop(struct mx_peer *p);
bool mx_pend_proved(struct mx_peer *p, mx_ns now);
enum mx_reject_why mx_hs_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			    const struct mx_outer *o, const u8 *dgram, u32 len);
void mx_hs_other_version(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
			 const u8 *dgram, u32 len);
void mx_hs_reset(struct mx_ep *ep, mx_ns now, const struct mx_addr *from, u32 session, u32 len);

/* mtu.c */
void mx_mtu_start(struct mx_peer *p, bool fresh, mx_ns now);
void mx_mtu_tick(struct mx_peer *p, mx_ns now);
void mx_mtu_suspect(struct mx_peer *p, mx_ns now);
void mx_mtu_confirmed(struct mx_peer *p, u32 size, mx_ns now);
void mx_mtu_probe_seen(struct mx_peer *p, u32 size);

/* txq.c */
bool mx_peer_tx(struct mx_peer *p, mx_ns now, struct mx_tx *tx);
void mx_peer_send_ctl(struct mx_peer *p, struct mx_txm *m);

/* call.c, icall.c */
void mx_call_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head, const u8 *payload,
		mx_ns now);
void mx_calls_kick(struct mx_peer *p, mx_ns now);
void mx_calls_end(struct mx_peer *p, enum mx_status st, mx_ns now);
enum mx_fill mx_ctl_fill(struct mx_room *r, const struct mx_head *proto, struct mx_ctl *c,
			 const u8 *body, u32 *off);
bool mx_ctl_gather(u8 *body, u64 *have, const struct mx_ctl *c, const u8 *payload, u32 plen);
void mx_icall_rx(struct mx_peer *p, const struct mx_head *h, const u8 *head, const u8 *payload,
		 mx_ns now);
void mx_icalls_drop(struct mx_peer *p);
void mx_icall_sweep(struct mx_timer *t, mx_ns now);

/* member.c */
bool mx_members_init(struct mx_ep *ep, mx_ns now);
void mx_members_free(struct mx_ep *ep);
enum mx_reject_why mx_announce_rx(struct mx_ep *ep, mx_ns now, const struct mx_addr *from,
				  const struct mx_outer *o, const u8 *dgram, u32 len);
bool mx_announce_tx(struct mx_ep *ep, struct mx_tx *tx);
enum mx_status mx_members_call(struct mx_peer *p, const u8 *body, u32 len, u8 *rep, u32 cap,
			       u32 *rep_len, mx_ns now);

#endif
