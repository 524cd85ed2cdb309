/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's descriptor, and the bodies of control calls (MX_CALL/MX_REPLY).
 * Both sides encode and decode with the functions here, nowhere else.
 */
#ifndef MEMX_CORE_DESC_H
#define MEMX_CORE_DESC_H

#include "port.h"
#include "wire.h"
#include "ep.h"

#define MX_NODE_WIRE	80u
#define MX_ADDR_WIRE	24u
#define MX_HSTATE_FIXED	88u	/* before its descriptor */
#define MX_ACCEPT_FIXED	88u	/* bodies of ACCEPT and SEAL, before the descriptor */
#define MX_EXTENTS_MAX	(1u << 30)	/* MX_VOL_BYTES_MAX / MX_EXTENT */

enum mx_vol_state { MX_VOL_LIVE = 1, MX_VOL_DELETED = 2 };
enum { MX_ENR_OK = 1, MX_ENR_GONE = 2 /* its incarnation is known to be over, or was given up */ };

struct mx_srvref {		/* one server incarnation, and where it was last seen */
	u64 id, incarnation;
	struct mx_addr addr;
	u32 state;		/* enrolled: MX_ENR_* */
};				/* on the wire 8 + 8 + 24 + 4 + 4 zero = 48 */

struct mx_dead {		/* a copy given up while its server could not be told */
	u16 server;		/* index in enrolled */
	u32 extent, gen;
	u16 order;		/* 2^order extents from @extent on */
};				/* on the wire server 2, order 2, extent 4, gen 4 = 12 */

/*
 * Consensus per volume is single-decree Paxos repeated: ballot = epoch, value =
 * the descriptor, acceptors = holders. (epoch, version) orders descriptors; the
 * one ballot's claimant writes versions in sequence.
 */
enum {
	MX_DESC_UNSURE = 1,	/* recovered: the allocation bitmap may lack bits, so an extent
				 * that is listed counts whatever its bit */
};
struct mx_desc {
	/* All but the long lists: what a holder looks at, and a hundredth of the size. */
	MX_STRUCT_GROUP(mx_desc_head, head,
		u8 uuid[MX_UUID];
		char name[MX_NAME_MAX + 1];
		u64 size;		/* bytes, multiple of 512 */
		u32 state;		/* enum mx_vol_state */
		u32 extent_shift;	/* 20 */
		u64 policy;		/* low byte: copies of each page, 1; the rest 0 */
		u64 op_id;		/* of the create: a retry is the same create */
		u32 epoch;		/* ballot under which this was accepted */
		u32 owned;		/* 1: owner below uses it; 0: released */
		u64 version;
		struct mx_node owner;	/* who claimed @epoch */
		u64 last_writer;	/* last data owner: may claim again if none came between */
		u64 last_writer_inc;
		u32 config;		/* counts changes of the holder set */
		u32 nholders;
		u32 nenrolled;
		u32 ndead;
		u32 nprev;		/* not 0: holders are being changed, from these */
		u32 flags;		/* MX_DESC_* */
		struct mx_srvref holders[MX_HOLDERS_MAX];
		struct mx_srvref prev[MX_HOLDERS_MAX];
	);
	struct mx_srvref enrolled[MX_ENROLLED_MAX];
	struct mx_dead dead[MX_DEAD_MAX];
};				/* 54 KB in memory: allocate, do not put on a stack */
/* Encoded size: fixed part 320 + 48 per holder and enrolled + 12 per dead. */
u32 mx_desc_encoded(const struct mx_desc *d);
u32 mx_desc_encode(u8 *p, u32 cap, const struct mx_desc *d);	/* 0: does not fit */
/* Total: false on any malformed input. @used may be NULL. The head's alone checks
 * just as much, and keeps only that. */
bool mx_desc_head_decode(const u8 *p, u32 len, struct mx_desc_head *d);
bool mx_desc_decode(const u8 *p, u32 len, struct mx_desc *d, u32 *used);
/* 1..63 of [A-Za-z0-9._:+@-] with '/' inside, not starting with '-' or '.' or '/' */
bool mx_name_valid(const char *name);
int mx_desc_cmp(const struct mx_desc *a, const struct mx_desc *b);	/* by (epoch, version) */
/* Index in enrolled/holders of (id, incarnation), or -1. */
int mx_desc_enrolled(const struct mx_desc *d, u64 id, u64 incarnation);
int mx_desc_prev(const struct mx_desc *d, u64 id, u64 incarnation);
int mx_desc_holder(const struct mx_desc *d, u64 id, u64 incarnation);
/* Is it among the holders, or those they are changed from? */
bool mx_desc_head_votes(const struct mx_desc_head *d, u64 id, u64 incarnation);
static inline u32 mx_majority(u32 n) { return n / 2 + 1; }

/* ---- bodies ---- */
/* Every request decoder is total and every encoder returns the length, 0 if it
 * does not fit @cap. Claimant = struct mx_node, 80 bytes on the wire. */

/* What a holder says of a volume: LOOKUP, PREPARE, and every refusal of
 * PREPARE/ACCEPT/LEASE that knows the volume. 88 bytes + descriptor. A holder
 * votes as whoever it is: whether (its id, its incarnation) stands in the set
 * being asked is the claimant's to count. */
struct mx_hstate {
	u32 promised;		/* highest ballot promised */
	u32 lease_ms;		/* left of the owner's lease; 0: none */
	struct mx_node holder_of;	/* who was promised @promised */
	struct mx_desc *desc;	/* accepted; caller-provided storage */
};
u32 mx_hstate_encode(u8 *p, u32 cap, const struct mx_hstate *h);
bool mx_hstate_decode(const u8 *p, u32 len, struct mx_hstate *h, u32 *used);

enum { MX_LOOKUP_NAME = 1, MX_LOOKUP_UUID = 2 };
struct mx_lookup_req { u32 by; u8 uuid[MX_UUID]; char name[MX_NAME_MAX + 1]; };
/* reply OK: u32 count (1..2), u32 zero, then that many hstates back to back
 * (two: one name, two uuids; if both do not fit in a body, they come without
 * their enrolled and dead lists and serve only to be named). NO_VOLUME: none.
 * DELETED volumes are not found by name.
 * RECOVER_LIST has the same request and reply: the copies kept with data;
 * promised is then the epoch the volume is sealed with there, lease_ms 0. */

struct mx_list_req { u8 after[MX_UUID]; };	/* zero: from the start */
struct mx_list_entry {		/* 224 on the wire */
	u8 uuid[MX_UUID];
	char name[MX_NAME_MAX + 1];
	u64 size, version;
	u32 epoch, owned, state, lease_ms;
	u32 nholders, nenrolled, ngone, ndead;
	u64 bits_set;		/* extents placed, as this holder knows */
	struct mx_node owner;
};
/* reply: u32 count, u32 more, entries in order of uuid */

struct mx_reserve_req { u64 op_id; u8 uuid[MX_UUID]; char name[MX_NAME_MAX + 1]; };
/* OK (kept 5 s) | EXISTS + u8 uuid[16] */

enum { MX_PREP_FORCE = 1,	/* the old owner is known to be dead: do not wait for its lease */
       MX_PREP_ADMIN = 2 };	/* not to use the data: resize, delete, holders */
struct mx_prepare_req { u8 uuid[MX_UUID]; u32 epoch; u32 flags; struct mx_node claimant; };
/* OK + hstate | OWNED + hstate | BEHIND + hstate | NOT_HOLDER | DELETED + hstate */

struct mx_accept_req { u32 lease_ms; u32 zero; struct mx_node claimant;
	const struct mx_desc *desc;	/* decoded: NULL; its head apart, its bytes at MX_ACCEPT_FIXED */
};
/* OK | BEHIND + hstate | NOT_HOLDER (neither known here nor in desc->holders) */

struct mx_lease_req { u8 uuid[MX_UUID]; u32 epoch; u32 lease_ms; struct mx_node claimant; };
/* lease_ms 0: release. OK | FENCED + hstate | NOT_HOLDER */

/*
 * The allocation bitmap at a holder has a version, (epoch, round): batches of SET
 * and CLEAR are applied one by one in the order of their rounds, and one that does
 * not follow is refused with NEED_BITS. So two bitmaps of one version are equal,
 * and of two the newer has all that the older was told. A holder that missed
 * something is filled: BEGIN, CHUNKs and batches go to a second bitmap, and END
 * puts that in the first one's place.
 */
enum {
	MX_BITS_SET = 1,	/* n extents; round: the one before plus 1 */
	MX_BITS_CLEAR = 2,
	MX_BITS_BEGIN = 3,	/* begin filling: batches up to round are in the chunks; n 0 */
	MX_BITS_CHUNK = 4,	/* chunk n, as after round; BUSY: something was cleared since */
	MX_BITS_END = 5,	/* all chunks are there; it must have the batches up to round; n 2:
				 * epoch and round of the version it then is. If that epoch is
				 * the request's, its round is as far as batches have come */
	MX_BITS_ADOPT = 6,	/* if its version is the one given (n 2: epoch, round), it is
				 * (epoch of the request, 0) from now on */
};
#define MX_BITS_CHUNK_BYTES	4096u	/* 32,768 extents, 32 GiB */
#define MX_BITS_LIST_MAX	4096u
#define MX_BITS_CHUNKS_MAX	(MX_EXTENTS_MAX / (MX_BITS_CHUNK_BYTES * 8))
#define MX_BITS_REQ_FIXED	40u
struct mx_bits_req {
	u8 uuid[MX_UUID];
	u32 epoch, how;
	u32 n;			/* words of data, or the chunk's index */
	u32 round;
	u32 fill;		/* BEGIN, CHUNK, END: which filling; counts up under one epoch */
	u32 zero;
	const u8 *data;		/* u32 [n], or MX_BITS_CHUNK_BYTES; points into the body on decode */
};
/* OK | NEED_BITS | BUSY | FENCED | NOT_HOLDER */
struct mx_bits_get_req { u8 uuid[MX_UUID]; u32 epoch; u32 chunk; };
/* OK + u32 chunk, u32 next (next chunk with any bit, 0xffffffff: none), u32 epoch, u32
 * round (version), 4096 bytes */
#define MX_BITS_GET_FIXED	16u

struct mx_seal_req { u32 epoch; u32 zero; struct mx_node claimant;
	const struct mx_desc *desc;	/* likewise */
};
/* OK + u64 extents | FENCED + u32 epoch, u32 0 | NOT_ENROLLED (this incarnation is not in desc) */

struct mx_list_ext_req { u8 uuid[MX_UUID]; u32 epoch; u32 from; };
/* OK + u32 count, u32 next (0xffffffff: end), entries of 24: u32 extent, u32 gen,
 * u16 pages, u16 flags, u32 zero, u64 num.  FENCED, NEED_SEAL */
#define MX_EXT_ENTRY_WIRE	24u
struct mx_ext_entry { u32 extent, gen; u16 pages, flags; u64 num; };	/* as struct mx_extinfo */

struct mx_drop_ext_req { u8 uuid[MX_UUID]; u32 epoch; u32 extent; u32 gen; u32 zero; u64 num; };
/* also COMMIT_EXTENT (num unused). OK | FENCED | NEED_SEAL | STALE_GEN */
struct mx_drop_vol_req { u8 uuid[MX_UUID]; u32 epoch; u32 zero; };
/* OK (also if not here) | FENCED. FORGET: the same body. */

/* STATS: empty request; reply text lines "key value\n", see memxctl(1). */

u32 mx_lookup_req_encode(u8 *p, u32 cap, const struct mx_lookup_req *r);
bool mx_lookup_req_decode(const u8 *p, u32 len, struct mx_lookup_req *r);
u32 mx_list_req_encode(u8 *p, u32 cap, const struct mx_list_req *r);
bool mx_list_req_decode(const u8 *p, u32 len, struct mx_list_req *r);
u32 mx_list_entry_encode(u8 *p, u32 cap, const struct mx_list_entry *e);
bool mx_list_entry_decode(const u8 *p, u32 len, struct mx_list_entry *e);
u32 mx_reserve_req_encode(u8 *p, u32 cap, const struct mx_reserve_req *r);
bool mx_reserve_req_decode(const u8 *p, u32 len, struct mx_reserve_req *r);
u32 mx_prepare_req_encode(u8 *p, u32 cap, const struct mx_prepare_req *r);
bool mx_prepare_req_decode(const u8 *p, u32 len, struct mx_prepare_req *r);
/* decode into caller's @desc storage */
u32 mx_accept_req_encode(u8 *p, u32 cap, const struct mx_accept_req *r);
bool mx_accept_req_decode(const u8 *p, u32 len, struct mx_accept_req *r, struct mx_desc_head *d);
u32 mx_lease_req_encode(u8 *p, u32 cap, const struct mx_lease_req *r);
bool mx_lease_req_decode(const u8 *p, u32 len, struct mx_lease_req *r);
u32 mx_bits_req_encode(u8 *p, u32 cap, const struct mx_bits_req *r);
bool mx_bits_req_decode(const u8 *p, u32 len, struct mx_bits_req *r);
u32 mx_bits_get_req_encode(u8 *p, u32 cap, const struct mx_bits_get_req *r);
bool mx_bits_get_req_decode(const u8 *p, u32 len, struct mx_bits_get_req *r);
u32 mx_seal_req_encode(u8 *p, u32 cap, const struct mx_seal_req *r);
bool mx_seal_req_decode(const u8 *p, u32 len, struct mx_seal_req *r, struct mx_desc_head *d);
u32 mx_list_ext_req_encode(u8 *p, u32 cap, const struct mx_list_ext_req *r);
bool mx_list_ext_req_decode(const u8 *p, u32 len, struct mx_list_ext_req *r);
u32 mx_ext_entry_encode(u8 *p, u32 cap, const struct mx_ext_entry *e);
bool mx_ext_entry_decode(const u8 *p, u32 len, struct mx_ext_entry *e);
u32 mx_drop_ext_req_encode(u8 *p, u32 cap, const struct mx_drop_ext_req *r);
bool mx_drop_ext_req_decode(const u8 *p, u32 len, struct mx_drop_ext_req *r);
u32 mx_drop_vol_req_encode(u8 *p, u32 cap, const struct mx_drop_vol_req *r);
bool mx_drop_vol_req_decode(const u8 *p, u32 len, struct mx_drop_vol_req *r);
u32 mx_node_encode(u8 *p, const struct mx_node *n);		/* 80 */
void mx_node_decode(const u8 *p, struct mx_node *n);		/* name forced to end */
u32 mx_addr_encode(u8 *p, const struct mx_addr *a);		/* 24 */
bool mx_addr_decode(const u8 *p, struct mx_addr *a);

#endif
