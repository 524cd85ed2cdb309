/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format. Normative text: docs/protocol.md; this file and that one
 * change together. All integers little-endian, no padding, every message head
 * a multiple of 8 bytes.
 *
 * A datagram is
 *
 *	outer header (24) | heads (heads_len) | payloads | [AEAD tag (16)]
 *
 * The heads section holds one or more message heads back to back; each says
 * how many payload bytes (plen) belong to it, and payloads follow in the same
 * order. Heads of a PLAIN datagram are covered by the outer header's CRC; data
 * payloads by their own CRC per 512-byte block, control payloads by body_crc.
 * In a SEALED datagram all after the outer header is encrypted, and the outer
 * header authenticated.
 */
#ifndef MEMX_CORE_WIRE_H
#define MEMX_CORE_WIRE_H

#include "port.h"

#define MX_PROTO_MAJOR		1	/* others are refused with a REJECT */
#define MX_PROTO_MINOR		0	/* feature bits tell the rest */

#define MX_BLOCK		512u
#define MX_PAGE			4096u
#define MX_PAGE_BLOCKS		8u
#define MX_EXTENT_SHIFT		20u
#define MX_EXTENT		(1u << MX_EXTENT_SHIFT)	/* bytes */
#define MX_EXTENT_PAGES		256u
#define MX_EXTENT_BLOCKS	2048u
#define MX_IO_BLOCKS_MAX	256u	/* blocks in one READ or WRITE: 128 KiB */
#define MX_VOL_BYTES_MAX	(1ull << 50)	/* 1 PiB */
#define MX_EXTENTS_MAX		(1u << 30)	/* of the largest volume */
#define MX_NAME_MAX		63	/* bytes of a volume's or node's name */
#define MX_UUID			16
#define MX_HOLDERS_MAX		5
#define MX_HOLDERS_WANT		3
#define MX_ENROLLED_MAX		1024
#define MX_DEAD_MAX		256

#define MX_DGRAM_MIN		1200u	/* what any path carries: IPv6's 1,280 less headers */
#define MX_DGRAM_MAX		65000u	/* loopback */
#define MX_CTL_BODY_MAX		(60u * 1024)

#define MX_UDP_PORT		7770
#define MX_MCAST4		"239.77.69.88"
#define MX_MCAST6		"ff15::4d58"
#define MX_ETHERTYPE		0x88B5

/*
 * Page number: which write a page's content comes from.
 * epoch counter (20 bits) << 44 | sequence (44 bits). 0 is "never written".
 */
#define MX_SEQ_BITS		44
#define MX_SEQ_MASK		((1ull << MX_SEQ_BITS) - 1)
#define MX_EPOCH_MAX		((1u << 20) - 1)
static inline u64 mx_num(u32 epoch, u64 seq) { return (u64)epoch << MX_SEQ_BITS | seq; }
static inline u32 mx_num_epoch(u64 num) { return (u32)(num >> MX_SEQ_BITS); }

/* ---- outer header ---- */
enum mx_kind {
	MX_KIND_HANDSHAKE = 1,	/* HELLO, RETRY, WELCOME, REJECT, RESET */
	MX_KIND_PLAIN = 2,
	MX_KIND_SEALED = 3,
	MX_KIND_ANNOUNCE = 4,	/* one ANNOUNCE */
};
#define MX_MAGIC		0x4d
#define MX_OUTER		24u
#define MX_TAG			16u
struct mx_outer {
	u8 kind;		/* enum mx_kind */
	u8 major;
	u8 flags;		/* 0 */
	u16 heads_len;		/* multiple of 8 */
	u32 session;		/* the receiver's index; 0 in HANDSHAKE, ANNOUNCE */
	u32 hcrc;		/* CRC32C(0xffffffff) of outer header with this 0, and
				 * heads; 0 in SEALED */
	u64 pktno;		/* counts up from 1 per session and direction; AEAD nonce */
};
/* offsets: 0 magic, 1 kind, 2 major, 3 flags, 4 heads_len(2), 6 zero(2),
 * 8 session(4), 12 hcrc(4), 16 pktno(8) */

/* ---- message head, common part ---- */
#define MX_HEAD			16u
struct mx_head {
	u16 type;		/* enum mx_msg */
	u16 hlen;		/* whole head, this part included; multiple of 8 */
	u32 plen;		/* payload bytes */
	u32 tag;		/* requester's choice; echoed in every reply */
	u16 flags;
	u8 attempt;		/* 0 first; echoed; for write data also see WRITE */
	u8 status;		/* replies: enum mx_status; requests: 0 */
};
/* offsets: 0 type, 2 hlen, 4 plen, 8 tag, 12 flags, 14 attempt, 15 status */

enum mx_msg {
	/* handshake, announcement */
	MX_HELLO = 1, MX_RETRY = 2, MX_WELCOME = 3, MX_REJECT = 4, MX_RESET = 5,
	MX_ANNOUNCE = 8,
	/* data */
	MX_READ = 16, MX_READ_DATA = 17,
	MX_WRITE = 18, MX_WRITE_ACK = 19,
	MX_ZERO = 20,		/* write zeroes or discard; answered by WRITE_ACK */
	MX_BLKSTAT = 22, MX_BLKSTAT_DATA = 23,
	/* session upkeep */
	MX_PING = 32, MX_PONG = 33,
	MX_PROBE = 34, MX_PROBE_OK = 35,	/* path MTU */
	MX_BYE = 36,		/* session ends, no answer */
	/* control: one request and one reply of up to MX_CTL_BODY_MAX bytes, fragmented */
	MX_CALL = 48, MX_REPLY = 49,
	/* 64..79 and 81..95 are kept for live handoff and drain: */
	MX_HANDOFF_FIRST = 64, MX_HANDOFF_LAST = 79,
	MX_SHED = 80,		/* a server to an owner: move these extents away, no answer */
	MX_DRAIN_FIRST = 81, MX_DRAIN_LAST = 95,
};

/* Operations inside MX_CALL. Bodies: core/ctl.h. */
enum mx_op {
	MX_OP_MEMBERS = 1,	/* whom do you know */
	MX_OP_STATS = 2,	/* server figures for memxctl */
	MX_OP_LOOKUP = 3,	/* by name or uuid -> descriptor, if a holder */
	MX_OP_LIST = 4,		/* volumes this server is a holder of */
	MX_OP_RESERVE = 5,	/* a name, for a create */
	MX_OP_PREPARE = 6,	/* ballot (epoch) -> promise + accepted descriptor */
	MX_OP_ACCEPT = 7,	/* descriptor under a ballot */
	MX_OP_LEASE = 8,	/* renew, or release */
	MX_OP_BITS_SET = 9,	/* allocation bitmap: extents placed / freed */
	MX_OP_BITS_GET = 10,
	MX_OP_SEAL = 11,	/* enrolled server learns epoch + descriptor */
	MX_OP_LIST_EXTENTS = 12,
	MX_OP_DROP_EXTENT = 13,
	MX_OP_DROP_VOLUME = 14,
	MX_OP_FORGET = 15,	/* holder: descriptor of a wholly deleted volume */
	MX_OP_RECOVER_LIST = 16,/* descriptor copies kept with data, for volume recover */
	MX_OP_COMMIT_EXTENT = 17,/* an incoming copy is complete */
	/* kept for later: */
	MX_OP_HANDOFF_FIRST = 64, MX_OP_DRAIN_FIRST = 80,
};

/* Why something was refused, or how it ended. On the wire, one byte. */
enum mx_status {
	MX_OK = 0,
	MX_ST_PARTIAL = 1,	/* WRITE_ACK: page still lacks fragments (have bitmap) */
	MX_ST_BUSY = 2,		/* pool empty, table full: again later */
	MX_ST_FULL = 3,		/* memory ceiling reached */
	MX_ST_FENCED = 4,	/* an older epoch than the server knows */
	MX_ST_NEED_SEAL = 5,	/* volume or epoch not known here: SEAL first */
	MX_ST_STALE = 6,	/* number at or below the page's, or the floor: new number */
	MX_ST_STALE_GEN = 7,	/* extent held here under a newer generation */
	MX_ST_BAD_CRC = 8,	/* data does not match its checksum: send again */
	MX_ST_LOST = 9,		/* content is known to be lost */
	MX_ST_NOT_ENROLLED = 10,
	MX_ST_NOT_HOLDER = 11,
	MX_ST_NO_VOLUME = 12,
	MX_ST_EXISTS = 13,
	MX_ST_OWNED = 14,	/* live lease of another owner; body names it */
	MX_ST_BEHIND = 15,	/* ballot or version too old; body has the newest known */
	MX_ST_DELETED = 16,
	MX_ST_INVALID = 17,	/* malformed or out of range */
	MX_ST_DENIED = 18,	/* the session's key does not cover this */
	MX_ST_UNSUPPORTED = 19,
	MX_ST_LEAVING = 20,	/* server was asked to stop: takes nothing new */
	MX_ST_NEED_BITS = 21,	/* the bitmap here lacks something: fill it */
	/* never in a reply; BAD_KEY, BAD_VERSION and NO_KEY stand in a REJECT */
	MX_ST_TIMEOUT = 64,	/* policy ran out */
	MX_ST_UNREACHABLE = 65,
	MX_ST_NO_SERVERS = 66,
	MX_ST_NO_SPACE = 67,	/* no server has room: ENOSPC */
	MX_ST_LEASE_LAPSED = 68,
	MX_ST_READ_ONLY = 69,
	MX_ST_CANCELLED = 70,
	MX_ST_NOMEM = 71,
	MX_ST_BAD_KEY = 72,
	MX_ST_BAD_VERSION = 73,
	MX_ST_NO_KEY = 74,	/* the server wants a key */
	MX_ST_NO_QUORUM = 75,	/* majority of holders gone: volume recover */
	MX_ST_NAME_CLASH = 76,	/* two uuids hold one name */
};
const char *mx_status_str(enum mx_status s);	/* short English phrase */

/* ---- data messages: after the common part ---- */

/* MX_READ flags */
#define MX_F_WANT	0x0001	/* a want bitmap follows: only these blocks */
struct mx_read {		/* head 48, or 80 with want */
	u8 uuid[MX_UUID];	/* 16 */
	u32 epoch;		/* 32 */
	u32 gen;		/* 36 */
	u32 extent;		/* 40 */
	u16 first;		/* 44: block in the extent */
	u16 nblocks;		/* 46: 1..MX_IO_BLOCKS_MAX, within the extent */
	u8 want[32];		/* 48: bit i: block first + i */
};

/* MX_READ_DATA: a run of blocks of the request, page by page. A status other
 * than OK ends the request: no entries. Each datagram's fragment stands alone. */
enum mx_page_kind {
	MX_PAGE_DATA = 0, MX_PAGE_ZERO = 1 /* written as zeros or discarded */,
	MX_PAGE_HOLE = 2 /* never written */, MX_PAGE_LOST = 3,
};
struct mx_read_entry {		/* 16 */
	u64 num;
	u8 kind;		/* enum mx_page_kind */
	u8 nblocks;		/* 1..8, all of one page */
	u16 zero16;
	u32 zero32;
};
struct mx_read_data {		/* head 24 + 16 * npages + 4 * data blocks, padded to 8 */
	u16 first;		/* 16: block relative to the request's first */
	u16 nblocks;		/* 18: sum of the entries' */
	u16 npages;		/* 20 */
	u16 zero;		/* 22 */
	/* entries, then u32 crc[] of the DATA entries' blocks; payload likewise */
};
#define MX_READ_DATA_FIXED	24u
static inline u32 mx_read_data_hlen(u32 npages, u32 data_blocks)
{
	return (MX_READ_DATA_FIXED + npages * 16 + data_blocks * 4 + 7) & ~7u;
}

/* MX_WRITE flags (LOSTBASE also in MX_ZERO) */
#define MX_F_REPORT	0x0002	/* answer also when the page is incomplete */
#define MX_F_LOSTBASE	0x0004	/* if this creates the extent, pages absent are lost */
#define MX_F_DISCARD	0x0008	/* MX_ZERO: may be forgotten, reads give zeros */
#define MX_F_INCOMING	0x0010	/* if this creates the extent, it is a copy being made */
#define MX_F_KEEP	0x0020	/* MX_ZERO: an extent that becomes empty stays listed, with
				 * no pages, until it is dropped; the answer is EMPTY */
/* All fragments of one attempt at a page carry the same attempt; fragments of
 * different attempts are never joined. */
struct mx_write {		/* head 56 + 4 * nblocks, padded to 8 */
	u8 uuid[MX_UUID];	/* 16 */
	u64 num;		/* 32 */
	u32 gen;		/* 40 */
	u32 extent;		/* 44 */
	u16 first;		/* 48: first block of this fragment, in the extent */
	u16 nblocks;		/* 50: of this fragment */
	u16 req_first;		/* 52: of the whole request */
	u16 req_nblocks;	/* 54 */
	/* u32 crc[nblocks] */
};
#define MX_WRITE_FIXED		56u
static inline u32 mx_write_hlen(u32 nblocks)
{
	return (MX_WRITE_FIXED + nblocks * 4 + 7) & ~7u;
}

struct mx_zero {		/* head 56 */
	u8 uuid[MX_UUID];	/* 16 */
	u64 num;		/* 32 */
	u32 gen;		/* 40 */
	u32 extent;		/* 44 */
	u16 first;		/* 48 */
	u16 nblocks;		/* 50: up to MX_EXTENT_BLOCKS */
	u32 zero;		/* 52 */
};

/* MX_WRITE_ACK flags */
#define MX_F_EMPTY	0x0001	/* nothing is left of the extent here; it was freed, or with
				 * KEEP may be dropped */
struct mx_write_ack {		/* head 32 */
	u16 first;		/* 16: block in the extent */
	u16 nblocks;		/* 18: OK: committed. Else: what the status is about */
	u32 have;		/* 20: PARTIAL: blocks of first's page received, bit 0..7 */
	u64 num;		/* 24: STALE: the page's number, or the floor */
};

struct mx_blkstat {		/* head 48: like mx_read, whole extent */
	u8 uuid[MX_UUID];
	u32 epoch, gen, extent;
	u32 zero;
};
struct mx_blkstat_data {	/* head 88: 2 bits a page, enum mx_page_kind, page i at bits 2i */
	u64 zero;		/* 16 */
	u8 kinds[64];		/* 24 */
};

#define MX_SHED_MAX	128u
struct mx_shed {		/* head 40 + 8 * n */
	u8 uuid[MX_UUID];	/* 16 */
	u32 epoch;		/* 32: the volume's, as it is sealed there */
	u32 n;			/* 36: 1..MX_SHED_MAX */
	/* entries */
};
struct mx_shed_entry { u32 extent, gen; };
static inline u32 mx_shed_hlen(u32 n) { return 40u + 8 * n; }

/* MX_CALL and MX_REPLY fragments; head 40, payload the fragment: it starts at a
 * multiple of MX_CTL_UNIT and is whole units but for the body's end, so that
 * fragments cut for different datagram sizes fit together. */
#define MX_CTL_HEAD	40u
#define MX_CTL_UNIT	1024u	/* with its head, fits MX_DGRAM_MIN */
#define MX_CTL_UNITS	(MX_CTL_BODY_MAX / MX_CTL_UNIT)	/* 60: a bitmap in one u64 */
struct mx_ctl {
	u16 op;			/* 16: enum mx_op */
	u16 zero;		/* 18 */
	u32 total;		/* 20: bytes of the whole body */
	u32 off;		/* 24: of this fragment */
	u32 body_crc;		/* 28: CRC32C(0xffffffff) of the whole body */
	u64 zero64;		/* 32 */
};

struct mx_pong { u64 load; };	/* PONG head 24: 16: in-flight requests, 1/1000 busy in high 32 */
/* PROBE: head 24: u32 size (whole datagram), u32 zero; payload pads to size.
 * PROBE_OK: head 24: the same size; no payload. */

#define MX_FEATURES	0ull	/* bits of features that we know, offer and grant */

/* ---- handshake: one message in a datagram of kind HANDSHAKE ----
 * pktno and session of the outer header are 0. Byte strings point into the
 * message when decoded. */
struct mx_hello {		/* head 312, payload 864 zero bytes: 1,200 in all */
	const u8 *head;		/* decode: start of the message, what MACs cover */
	const u8 *node;		/* 16: struct mx_node, 80 bytes */
	const u8 *random;	/* 96: 32; head.tag is its first 4 bytes */
	const u8 *share;	/* 128: X25519, 32; zero without a key */
	u64 features;		/* 160: offered */
	u8 suites;		/* 168: bit (1 << enum mx_suite) offered */
	u8 key_kind;		/* 169: enum mx_key_kind */
	u16 minor;		/* 170 */
	u32 session;		/* 172: the client's index, for what the server sends */
	u32 rwnd;		/* 176 */
	u32 dgram_max;		/* 180 */
	const u8 *volume;	/* 184: 64, the volume whose key it is */
	const u8 *mac;		/* 248: 32 HMAC(HMAC(key, "hello"), bytes 0..247) */
	const u8 *cookie;	/* 280: 32, zero at first; all before it stays the same */
};
#define MX_HELLO_RANDOM	96u
#define MX_HELLO_MAC	248u
#define MX_HELLO_COOKIE	280u
#define MX_HELLO_HEAD	312u
#define MX_HELLO_PAD	(MX_DGRAM_MIN - MX_OUTER - MX_HELLO_HEAD)
struct mx_retry {		/* head 80 */
	const u8 *client_random;	/* 16: 32 */
	const u8 *cookie;	/* 48: 32 */
};
#define MX_RETRY_HEAD	80u
struct mx_welcome {		/* head 256 */
	const u8 *head;
	const u8 *node;		/* 16: 80 */
	const u8 *random;	/* 96: 32, the server's */
	const u8 *share;	/* 128: 32 */
	u64 features;		/* 160: of those offered, the ones in use */
	u8 suite;		/* 168: enum mx_suite */
	u8 key_kind;		/* 169 */
	u16 minor;		/* 170 */
	u32 session;		/* 172: the server's index */
	u32 rwnd;		/* 176 */
	u32 dgram_max;		/* 180 */
	u32 client_session;	/* 184, then 4 zero */
	const u8 *client_random;	/* 192: 32 */
	const u8 *mac;		/* 224: 32 HMAC(HMAC(prk, "welcome"), bytes 0..223) */
};
#define MX_WELCOME_MAC	224u
#define MX_WELCOME_HEAD	256u
/* REJECT and the places of HELLO's type, tag and random are the same in every
 * major version; a REJECT(BAD_VERSION) carries the refuser's in the outer header. */
struct mx_rejectmsg {		/* head 56; head.status says why */
	const u8 *client_random;	/* 16: 32 */
	u16 major, minor;	/* 48, 50: what the refuser speaks; then 4 zero */
};
#define MX_REJECT_HEAD	56u
/* RESET: head 16, the common part alone; tag is the session that is not known. */
enum { MX_FEAT_NONE = 0 };	/* no feature bit is defined yet */

/* ---- announcement: one message in a datagram of kind ANNOUNCE ---- */
struct mx_announce {		/* head 192 */
	const u8 *head;
	const u8 *member;	/* 16: struct mx_member (core/ep.h), 128 bytes */
	u64 counter;		/* 144: goes up with each of an incarnation */
	u32 keyed;		/* 152: 1: a MAC follows; then 4 zero */
	const u8 *mac;		/* 160: HMAC(HMAC(cluster key, "announce"), bytes 0..159) */
};
#define MX_ANNOUNCE_MAC	160u
#define MX_ANNOUNCE_HEAD	192u

/* ---- decoding: total; a rejected datagram is counted by reason ---- */
enum mx_reject_why {
	MX_RJ_NONE = 0, MX_RJ_SHORT, MX_RJ_MAGIC, MX_RJ_VERSION, MX_RJ_KIND, MX_RJ_HEADS,
	MX_RJ_CRC, MX_RJ_HLEN, MX_RJ_PLEN, MX_RJ_FIELD, MX_RJ_SESSION, MX_RJ_REPLAY,
	MX_RJ_AEAD, MX_RJ_COUNT,
};

/* Outer header only. */
enum mx_reject_why mx_outer_decode(const u8 *p, u32 len, struct mx_outer *o);
void mx_outer_encode(u8 *p, const struct mx_outer *o);
/* Fills hcrc of an encoded PLAIN/HANDSHAKE/ANNOUNCE datagram whose heads follow. */
void mx_outer_seal_crc(u8 *p, u32 heads_len);
bool mx_outer_check_crc(const u8 *p, u32 heads_len);

void mx_head_encode(u8 *p, const struct mx_head *h);

/* Walks the heads section. @payload_len: bytes after the heads. Checks bounds
 * and hlen/plen sums of all heads before the first is handed out. */
struct mx_walk { const u8 *heads; u32 left; u32 pay_off, pay_left; };
enum mx_reject_why mx_walk_init(struct mx_walk *w, const u8 *heads, u32 heads_len,
				u32 payload_len);
/* False: no more. *pay_off is relative to the start of the payload section. */
bool mx_walk_next(struct mx_walk *w, struct mx_head *h, const u8 **head, u32 *pay_off);

/* One per data message: false if malformed or out of range (the message alone
 * is then dropped). encode returns hlen; the common part's hlen is filled too. */
bool mx_read_decode(const u8 *p, const struct mx_head *h, struct mx_read *m);
u32 mx_read_encode(u8 *p, struct mx_head *h, const struct mx_read *m);
bool mx_write_decode(const u8 *p, const struct mx_head *h, struct mx_write *m);
u32 mx_write_encode(u8 *p, struct mx_head *h, const struct mx_write *m, const u32 *crcs);
bool mx_zero_decode(const u8 *p, const struct mx_head *h, struct mx_zero *m);
u32 mx_zero_encode(u8 *p, struct mx_head *h, const struct mx_zero *m);
bool mx_write_ack_decode(const u8 *p, const struct mx_head *h, struct mx_write_ack *m);
u32 mx_write_ack_encode(u8 *p, struct mx_head *h, const struct mx_write_ack *m);
bool mx_blkstat_decode(const u8 *p, const struct mx_head *h, struct mx_blkstat *m);
u32 mx_blkstat_encode(u8 *p, struct mx_head *h, const struct mx_blkstat *m);
bool mx_blkstat_data_decode(const u8 *p, const struct mx_head *h, struct mx_blkstat_data *m);
u32 mx_blkstat_data_encode(u8 *p, struct mx_head *h, const struct mx_blkstat_data *m);
bool mx_shed_decode(const u8 *p, const struct mx_head *h, struct mx_shed *m);
u32 mx_shed_encode(u8 *p, struct mx_head *h, const struct mx_shed *m, const struct mx_shed_entry *e);
static inline void mx_shed_entry(const u8 *p, u32 i, struct mx_shed_entry *e)
{
	e->extent = mx_ld32(p + 40 + 8 * i);
	e->gen = mx_ld32(p + 44 + 8 * i);
}
/* READ_DATA: decode checks that the entries, CRCs and payload agree; entry i
 * and crc j are then read with the two accessors. */
bool mx_read_data_decode(const u8 *p, const struct mx_head *h, struct mx_read_data *m);
static inline void mx_read_data_entry(const u8 *p, u32 i, struct mx_read_entry *e)
{
	p += MX_READ_DATA_FIXED + i * 16;
	e->num = mx_ld64(p);
	e->kind = p[8];
	e->nblocks = p[9];
}
static inline u32 mx_read_data_crc(const u8 *p, u32 npages, u32 j)
{
	return mx_ld32(p + MX_READ_DATA_FIXED + npages * 16 + j * 4);
}
static inline u32 mx_write_crc(const u8 *p, u32 j)
{
	return mx_ld32(p + MX_WRITE_FIXED + j * 4);
}
/* Entries, then the CRCs of their DATA blocks; plen becomes ncrcs * MX_BLOCK. */
u32 mx_read_data_encode(u8 *p, struct mx_head *h, const struct mx_read_data *m,
			const struct mx_read_entry *e, const u32 *crcs, u32 ncrcs);
/* h->type (CALL or REPLY) and h->plen are the caller's. */
bool mx_ctl_decode(const u8 *p, const struct mx_head *h, struct mx_ctl *m);
u32 mx_ctl_encode(u8 *p, struct mx_head *h, const struct mx_ctl *m);
/* Encoders of messages with a MAC or cookie leave those zero. */
bool mx_hello_decode(const u8 *p, const struct mx_head *h, struct mx_hello *m);
void mx_hello_encode(u8 *p, struct mx_head *h, const struct mx_hello *m);
bool mx_retry_decode(const u8 *p, const struct mx_head *h, struct mx_retry *m);
void mx_retry_encode(u8 *p, struct mx_head *h, const struct mx_retry *m);
bool mx_welcome_decode(const u8 *p, const struct mx_head *h, struct mx_welcome *m);
void mx_welcome_encode(u8 *p, struct mx_head *h, const struct mx_welcome *m);
bool mx_rejectmsg_decode(const u8 *p, const struct mx_head *h, struct mx_rejectmsg *m);
void mx_rejectmsg_encode(u8 *p, struct mx_head *h, const struct mx_rejectmsg *m);
bool mx_announce_decode(const u8 *p, const struct mx_head *h, struct mx_announce *m);
void mx_announce_encode(u8 *p, struct mx_head *h, const struct mx_announce *m);

/* Seed of a block's CRC: binds data to its volume and place.
 * vol_seed = mx_crc32c(0xffffffff, uuid, 16); block counted from the volume's start. */
static inline u32 mx_block_seed(u32 vol_seed, u64 block)
{
	/* Fibonacci hashing of the block number, folded: neighbours differ in
	 * many bits. */
	u64 x = (block + 1) * 0x9e3779b97f4a7c15ull;
	return vol_seed ^ (u32)(x >> 32) ^ (u32)x;
}

#endif
