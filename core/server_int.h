/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the server: server.c (life, peers, jobs), serve.c (data path), seal.c
 * (control calls on stored extents), shed.c (asking owners to move some away), holder.c (descriptors, votes, leases),
 * bits.c (allocation bitmaps), stats.c, caretaker.c.
 */
#ifndef MEMX_CORE_SERVER_INT_H
#define MEMX_CORE_SERVER_INT_H

#include "server.h"
#include "claim.h"
#include "pack.h"

#define RESERVES_MAX	128u	/* names being made at once: 5 s of one creator at 25 a second */
#define RESERVE_KEEP	(5 * MX_SEC)
#define LEASE_MAX_MS	(3600u * 1000)
#define DROPPED_MAX	1024u	/* volumes remembered to be gone; fewer at a small server */
#define DROPPED_MIN	128u
#define TOMBS_MAX	256u		/* deleted volumes whose descriptor is kept */
#define RECENT_READS	64u
#define TICK		MX_SEC

/* ---- replies waiting to be sent ---- */
enum mx_job_kind { MX_JOB_READ, MX_JOB_ACK, MX_JOB_BLKSTAT };

/* What a job reads from. The store may change before it is sent: the volume is
 * looked up again if any was dropped since. */
struct mx_job_from {
	struct mx_svol *vol;
	u32 drops;
	u32 epoch, gen, extent;
	u8 uuid[MX_UUID];
};

struct mx_job {
	struct mx_txm txm;
	struct mx_list node;	/* speer.jobs, or server.free_jobs */
	struct mx_speer *sp;	/* NULL: free */
	u32 tag;
	u16 flags;
	u8 attempt, status, kind;
	bool wanted;		/* READ: only blocks in want */
	u16 first, nblocks;	/* READ: in the extent; ACK: as on the wire */
	u16 done;		/* READ: blocks sent or skipped */
	union {
		struct { u32 have; u64 num; } ack;
		struct { struct mx_job_from from; u8 want[32]; } read;
	};
};

/* What a server keeps of an accepted peer. */
struct mx_speer {
	struct mx_list node;	/* server.speers */
	struct mx_server *s;
	struct mx_peer *peer;
	struct mx_list jobs;
	struct mx_job *last_ack;	/* may be merged into while it waits */
	struct mx_job *recent[RECENT_READS];	/* by tag: a repeated READ replaces the one waiting */
	bool restricted;	/* came with a volume's key */
	u8 volume[MX_NAME_MAX + 1];
};

/* ---- descriptors held ---- */
struct mx_bchunk { u32 count; u8 bits[MX_BITS_CHUNK_BYTES]; };

struct mx_bitmap {
	struct mx_bchunk **chunks;
	u32 nchunks;		/* room in chunks */
	u64 set;		/* bits */
	u32 epoch, round;	/* version; of one being filled: the last batch it has */
};

struct mx_held {
	u8 uuid[MX_UUID];
	u8 *desc;		/* accepted, encoded */
	u32 desc_len;
	u32 promised;
	struct mx_node promised_to;
	u64 lease_id, lease_inc;	/* whose lease; meaningful while it lives */
	mx_ns lease_until;	/* 0: none */
	mx_ns buried_at;	/* a tombstone since */
	mx_ns quiet_since;	/* no lease, no vote since; for the caretaker */
	struct mx_bitmap bits;
	struct mx_bitmap fill;	/* being filled, for bits */
	bool filling;
	u32 fill_epoch, fill_no;	/* the last filling begun */
	u32 fill_clear;		/* round of the last CLEAR applied to it */
	/* caretaker */
	mx_ns care_at;		/* not looked after before */
	mx_ns checked_at;	/* the others were asked, or told us */
	u32 care_fails;
};

struct mx_reserve { u64 op_id; u8 uuid[MX_UUID]; char name[MX_NAME_MAX + 1]; mx_ns until; };

struct mx_dropped { u8 uuid[MX_UUID]; u32 epoch; };
struct mx_letgo { u8 uuid[MX_UUID]; u32 epoch; u64 version; };

struct mx_care;

/* What an owner is asked to move away; the message, while it waits to be sent. */
struct mx_shed_ask {
	struct mx_txm txm;
	struct mx_shed m;
	struct mx_shed_entry e[MX_SHED_MAX];
};

#define MX_READ_PAGES	33u	/* 256 blocks not aligned to a page */

struct mx_server {
	const struct mx_port *port;
	struct mx_server_conf conf;
	struct mx_ep *ep;
	struct mx_store *store;
	struct mx_server_stats st;
	u64 ctl_used, ctl_budget;	/* bytes of mx_srv_alloc; charged: the larger */
	u32 load;
	bool leaving;
	mx_ns started;
	struct mx_timer work;	/* bookkeeping for the store */
	struct mx_timer tick;

	struct mx_list speers;
	struct mx_job *jobs;
	u32 njobs, nfree;
	struct mx_list free_jobs;

	struct mx_held **held;	/* in order of uuid */
	u32 nheld, held_cap;
	struct mx_reserve *reserves;
	u32 nrings;		/* entries of dropped and of letgo */
	struct mx_dropped *dropped;	/* volumes dropped last: not to be sealed anew */
	u32 ndropped;
	struct mx_letgo *letgo;		/* descriptors let go last: not to come back */
	u32 nletgo;
	u64 ep_charged;			/* bytes of the endpoint's that are charged to the store */
	struct mx_care *care;
	struct mx_shed_ask shed;
	const char *extra;	/* STATS lines of the surrounding */
	/* What read_fill() gathers; of no meaning between its calls. Too large for the
	 * stack of a kernel's softirq. */
	struct mx_read_entry read_e[MX_READ_PAGES];
	u32 read_crcs[MX_IO_BLOCKS_MAX];
};

/* Control memory: counts against the store's ceiling. NULL: none, or no room. */
void *mx_srv_alloc(struct mx_server *s, size_t n);
void mx_srv_free(struct mx_server *s, void *p, size_t n);
static inline const struct mx_node *mx_srv_node(const struct mx_server *s)
{
	return &s->conf.ep.node;
}
/* May this peer touch the volume of that name? @name: 64 bytes, zero-padded. */
static inline bool mx_srv_allowed(const struct mx_speer *sp, const u8 *name)
{
	return !sp->restricted || memcmp(sp->volume, name, MX_NAME_MAX + 1) == 0;
}

/* server.c */
struct mx_speer *mx_srv_peer(struct mx_server *s, struct mx_peer *p);	/* NULL: no memory */
struct mx_job *mx_job_get(struct mx_speer *sp, enum mx_job_kind kind, const struct mx_head *h);
void mx_job_free(struct mx_job *j);

/* serve.c */
void mx_serve(struct mx_speer *sp, const struct mx_head *h, const u8 *head, const u8 *payload);

/* A control call. */
struct mx_ccall {
	struct mx_server *s;
	struct mx_speer *sp;
	const u8 *body;
	u32 len;
	struct mx_put rep;
	mx_ns now;
};

/* Places of an encoded descriptor that are looked at without decoding it. */
#define MX_DESC_NAME	16u
#define MX_DESC_SIZE	80u
#define MX_DESC_STATE	88u
#define MX_DESC_OP	104u
#define MX_DESC_EPOCH	112u
#define MX_DESC_VERSION	120u
#define MX_DESC_OWNER	128u	/* a node */
#define MX_DESC_CONFIG	224u
#define MX_DESC_NHOLDERS	228u
#define MX_DESC_NENROLLED	232u
#define MX_DESC_NDEAD	236u
#define MX_DESC_NPREV	240u
#define MX_DESC_LISTS	320u
#define MX_DESC_REF	48u	/* a holder or enrolled incarnation */
/* The enrolled incarnations, and their number. */
static inline const u8 *mx_desc_bytes_enrolled(const u8 *d, u32 *n)
{
	*n = mx_ld32(d + MX_DESC_NENROLLED);
	return d + MX_DESC_LISTS + MX_DESC_REF * (mx_ld32(d + MX_DESC_NHOLDERS) +
						  mx_ld32(d + MX_DESC_NPREV));
}
static inline u32 mx_desc_ref_state(const u8 *ref) { return mx_ld32(ref + 40); }
/* Does (epoch, version) of the encoded @a come after that of @b? */
static inline bool mx_desc_bytes_newer(const u8 *a, const u8 *b)
{
	u32 ea = mx_ld32(a + MX_DESC_EPOCH), eb = mx_ld32(b + MX_DESC_EPOCH);

	return ea != eb ? ea > eb : mx_ld64(a + MX_DESC_VERSION) > mx_ld64(b + MX_DESC_VERSION);
}
/* Writes an hstate around an encoded descriptor; @brief leaves its lists out. */
void mx_put_hstate(struct mx_put *w, u32 promised, u32 lease_ms, const struct mx_node *to,
		   const u8 *desc, u32 len, bool brief);

/* seal.c */
enum mx_status mx_call_seal(struct mx_ccall *c);
enum mx_status mx_call_list_extents(struct mx_ccall *c);
enum mx_status mx_call_drop_extent(struct mx_ccall *c, bool commit);
enum mx_status mx_call_drop_volume(struct mx_ccall *c);
void mx_drop_volume(struct mx_server *s, const u8 *uuid, u32 epoch);
/* The epoch under which it was dropped here; 0: not that we remember. */
u32 mx_dropped_epoch(const struct mx_server *s, const u8 *uuid);
enum mx_status mx_call_recover_list(struct mx_ccall *c);

/* holder.c */
struct mx_held *mx_held_find(struct mx_server *s, const u8 *uuid);
void mx_held_drop(struct mx_server *s, struct mx_held *h);
bool mx_held_leased(const struct mx_held *h, mx_ns now);
bool mx_held_deleted(struct mx_server *s, const u8 *uuid, u32 epoch);
bool mx_held_desc(struct mx_server *s, const struct mx_held *h, struct mx_desc *d);
enum mx_status mx_call_lookup(struct mx_ccall *c);
enum mx_status mx_call_list(struct mx_ccall *c);
enum mx_status mx_call_reserve(struct mx_ccall *c);
enum mx_status mx_call_prepare(struct mx_ccall *c);
enum mx_status mx_call_accept(struct mx_ccall *c);
enum mx_status mx_call_lease(struct mx_ccall *c);
enum mx_status mx_call_forget(struct mx_ccall *c);
void mx_holders_free(struct mx_server *s);

/* bits.c */
enum mx_status mx_call_bits_set(struct mx_ccall *c);
enum mx_status mx_call_bits_get(struct mx_ccall *c);
void mx_bits_free(struct mx_server *s, struct mx_held *h);

/* shed.c */
void mx_shed_init(struct mx_server *s);
void mx_shed_tick(struct mx_server *s);

/* stats.c */
enum mx_status mx_call_stats(struct mx_ccall *c);

/* caretaker.c */
bool mx_care_init(struct mx_server *s);
void mx_care_free(struct mx_server *s);
void mx_care_tick(struct mx_server *s, mx_ns now);
void mx_care_forget(struct mx_server *s, const u8 *uuid);	/* no longer held here */
void mx_care_wanted(struct mx_server *s, const u8 *uuid);	/* somebody waits for our claim's end */

#endif
