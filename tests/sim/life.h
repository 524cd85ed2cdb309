/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One simulated life of a cluster: what its seed draws, who does what in it,
 * and how it ends.
 *
 *	draw -> start -> work under faults -> heal -> drain -> verify -> delete -> audit
 */
#ifndef MEMX_SIM_LIFE_H
#define MEMX_SIM_LIFE_H

#include "sim.h"
#include "checker.h"

#define LIFE_SERVERS_MAX	5
#define LIFE_CLIENTS_MAX	3
#define LIFE_VOLS_MAX		2
#define LIFE_WINDOWS_MAX	3
#define LIFE_CREATES_MAX	64

/* ---- what a seed draws ---- */

/* Which kinds of fault a life has. Every life has a random few of them, so that
 * each is met alone, with each other one, and not at all. */
enum fault {
	FAULT_LOSS, FAULT_BURST, FAULT_DUP, FAULT_REORDER, FAULT_CORRUPT, FAULT_DELAY,
	FAULT_MTU, FAULT_PARTITION, FAULT_ONE_WAY, FAULT_SLOW_LINK,
	FAULT_SERVER_CRASH, FAULT_CLIENT_CRASH, FAULT_LEAVE,
	FAULT_CEILING, FAULT_PAGES, FAULT_ALLOC, FAULT_CLOCK,
	FAULTS
};

struct life_conf {
	u32 nservers, nclients, nvols;
	u32 faults;		/* bits: enum fault */
	u32 severity;		/* 1 mild .. 3 */
	u32 mtu;		/* what links carry at first */
	bool broadcast;
	u32 key;		/* 0 none, 1 cluster key, 2 volume keys for clients but the first */
	u64 rekey_packets;
	mx_ns announce_every, silent_after, caretaker_after, lease;
	u64 ceiling;		/* a server's */
	u32 reserve_pages, assemblies, jobs;
	u32 ios, enroll_max, rx_bytes;
	mx_ns pump_delay;
	mx_ns fault_every;	/* mean time between faults; MX_NEVER none */
	mx_ns active;		/* how long the work goes on */
	u32 ops_max;		/* requests in all */
	mx_ns think;		/* mean time between a client's decisions */
	u32 depth_max;
	u32 io_max;		/* blocks of the largest request */
	bool submit_in_done;	/* the next request comes from inside done() */
	bool force;		/* clients sometimes take over by force */
	bool fickle;		/* buffers change while under way */
	bool moves, resizes, deletes;
};

/* ---- volumes ---- */

enum cr_state { CR_PENDING, CR_OK, CR_REFUSED, CR_UNKNOWN };
enum del_state { DEL_NONE, DEL_UNKNOWN, DEL_OK };

/* One create call: names an instance of a volume by its op_id. */
struct life_create {
	u64 op_id, size;
	u32 vol;		/* index */
	enum cr_state state;
	enum del_state deleted;
	mx_ns deleted_at;
	u32 deletes;		/* under way */
	struct ck_vol *ck;	/* once opened */
	u8 uuid[MX_UUID];
	bool have_uuid;
	bool recovered, resizing;
	u32 tries, nholders, by, by_life;
	u32 epoch;		/* highest that was opened */
	u64 size_a, size_b;	/* what its size may be: two while a resize is in doubt */
	u32 holders_hit;	/* servers (bits) that crashed since all was known well */
};

struct life_vol {
	char name[MX_NAME_MAX + 1];
	struct { u64 blk; u32 n; } win[LIFE_WINDOWS_MAX];	/* where the work goes */
	u32 nwin;
	u64 size;		/* that creates ask for */
	bool clash;		/* two instances were met: no way but by hand */
};

/* ---- clients ---- */

struct life;
struct life_sess;
/* OPENING -> OPEN | FAILED; OPEN -> CLOSING -> CLOSED; FAILED and CLOSED are freed. */
enum sess_state { SESS_OPENING, SESS_OPEN, SESS_CLOSING, SESS_CLOSED, SESS_FAILED };

/* A request of the workload. Kept until its session ends, so that a late touch of
 * its buffer is seen. */
struct life_op {
	struct mx_req req;
	struct sim_buf buf;
	struct mx_list node;
	struct life_sess *s;
	u32 op;			/* the checker's number */
	u8 kind;
	bool ended, bad_range;
	u64 blk;
	u32 n;
	u32 versions;
	mx_ns begun;
};

struct life_sess {
	struct life *l;
	struct mx_list node;	/* of its client */
	struct life_client *c;
	struct life_vol *vol;
	struct life_create *cr;
	struct mx_vol *v;
	struct mx_vol_conf conf;
	enum sess_state state;
	mx_ns since;		/* of the state */
	struct ck_vol *ckv;
	struct ck_sess *ck;
	u32 epoch;
	u64 blocks;		/* its size */
	struct mx_list ops, dead;
	u32 inflight, depth, burst;
	bool fill_due, fenced, aborted, resizing, want_close;
	u32 shrink_op;
	u64 shrink_to;
	u32 aborts;		/* aborts whose effect is still to be looked at */
	u32 side_ops;		/* moves, resizes, block status under way */
	enum mx_status error;	/* FAILED: why */
	/* The final verification: all windows in order, and again page by page what
	 * ended "lost". */
	bool verify;
	u32 vwin;
	u64 vnext;
	struct { u64 blk; u32 n; } redo[64];
	u32 nredo;
};

/* io_submit's flags */
enum { IO_STABLE = 1, IO_FICKLE = 2, IO_ZEROS = 4, IO_FLUSH = 8 };

struct life_client {
	struct life *l;
	struct sim_node *n;
	u32 idx;
	struct mx_list sess;
	struct mx_list side;	/* operations by name under way */
	bool may_create;	/* has the cluster's key */
	enum mx_status recover_st;	/* how the last recover ended */
};

struct life_stats {
	u64 lives, reads, writes, zeros, discards, flushes, ended[96];
	u64 opens, open_fail[96], takeovers, forced, lost_reads, lost_blocks, creates, deletes,
	    moves, resizes, recovers, blkstats, clashes, no_quorum, crashes_s, crashes_c, partitions,
	    verified_blocks, virtual_ms, datagrams, retransmits, alloc_fails, page_fails,
	    rekeys;
};

struct life {
	struct world w;
	struct life_conf cf;
	struct ck *ck;
	struct life_vol vols[LIFE_VOLS_MAX];
	struct life_client cl[LIFE_CLIENTS_MAX];
	struct life_create creates[LIFE_CREATES_MAX];
	u32 ncreates;
	u32 ops_left;
	bool active;		/* faults and new work still come */
	bool space_short;	/* memory was ever tight: "full" is a fair answer */
	struct life_stats st;
	struct mx_server_conf sc;
	struct mx_key cluster_key;
};

/* ---- draw.c ---- */
void life_draw(struct life *l, u64 seed);
void life_print(const struct life *l);
void life_weather(struct life *l);	/* the network's distributions, anew */

/* ---- faults.c ---- */
void faults_start(struct life *l);
void faults_heal(struct life *l);
void life_start_server(struct life *l, u32 i);
void life_start_client(struct life *l, u32 i);
void life_server_crash(struct world *w, struct sim_node *n);
void life_client_crash(struct world *w, struct sim_node *n);

/* ---- volumes.c: operations by name ---- */
void vols_create(struct life_client *c, u32 vol);
void vols_delete(struct life_client *c, u32 vol, bool force);
void vols_resize(struct life_client *c, u32 vol);
void vols_info(struct life_client *c, u32 vol);
void vols_list(struct life_client *c);
void vols_recover(struct life_client *c, u32 vol);
struct life_create *vols_known(struct life *l, const struct mx_desc *d, u32 vol, mx_ns begun);
u32 vols_alive(struct life *l, u32 vol);	/* instances that must be there */
u32 vols_maybe(struct life *l, u32 vol);	/* instances that may be there */
u32 vols_met(const struct life *l, u32 vol);	/* instances that may still be told of */
u32 vols_ever(const struct life *l, u32 vol);	/* creates of that name so far */
bool vols_may_be_gone(struct life *l, u32 vol);
bool vols_instance_gone(const struct life *l, u32 i);
void vols_force(struct life *l, u32 vol);	/* a takeover by force begins */
bool vols_forcing(struct life *l, u32 vol);	/* ... and is under way */
bool side_busy(const struct life_client *c);
void side_drop(struct life_client *c);		/* its client crashed */

/* ---- truth.c ---- */
bool truth_quorum(const struct life *l, u32 vol);	/* a majority of its holders has it */
bool truth_clash(const struct life *l, u32 vol);	/* two of that name, not known to be deleted */

/* ---- sess.c: data opens ---- */
struct life_sess *sess_open(struct life_client *c, u32 vol, const struct mx_vol_conf *conf);
void sess_close(struct life_sess *s);
void sess_close_later(struct life_sess *s);
void sess_abort(struct life_sess *s);
void sess_free(struct life_sess *s);
void sess_drop(struct life_sess *s);		/* its client crashed */
void sess_resync(struct life_sess *s);		/* with the size its volume has now */
struct life_sess *sess_of(struct life_client *c, u32 vol);
void sess_move(struct life_sess *s);
void sess_resize(struct life_sess *s);
void sess_blkstat(struct life_sess *s);

/* ---- io.c: requests ---- */
void io_burst(struct life_sess *s);
void io_fill(struct life_sess *s);
struct life_op *io_submit(struct life_sess *s, enum ck_kind kind, u64 blk, u32 n, u32 flags);
void io_touch(struct world *w, void *buf);

/* ---- workload.c ---- */
void work_start(struct life *l);

/* ---- end.c ---- */
void life_end(struct life *l);	/* heal .. audit */
void end_fill(struct life_sess *s);
void end_read(struct life_sess *s, struct life_op *o, enum mx_status st);

/* ---- life.c ---- */
void life_run(u64 seed, FILE *trace, struct life_stats *out, u64 *hash);

#endif
