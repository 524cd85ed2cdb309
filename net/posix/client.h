/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client in a user-space program: sockets around core/client.h.
 *
 * Thread rule: one caller at a time per struct memx (the caller locks). Nothing
 * blocks except memx_open_wait() and its kin, which poll by themselves and are
 * meant for tools and for a driver's open.
 */
#ifndef MEMX_NET_POSIX_CLIENT_H
#define MEMX_NET_POSIX_CLIENT_H

#include <sys/uio.h>
#include "core/client.h"
#include "core/ep.h"

struct memx;			/* one client instance: sockets, endpoint */

struct memx_opts {
	const char *const *servers;	/* seeds "host", "host:port", "[v6]:port", "eth:IF/aa:bb:.."; NULL-ended, may be NULL */
	const char *interface;		/* listen for announcements (multicast) and use raw Ethernet if "raw:IF"; NULL: no */
	const char *key_file;		/* file with the key in hex (memxctl keygen); NULL: none */
	const char *key_hex;		/* or the key itself */
	const char *node_name;		/* how an owner is named to others; NULL: hostname and program and pid */
	unsigned poll_us;		/* spin this long for an answer before sleeping; 0: off */
	unsigned socket_buffer;		/* bytes, 0: 4 MiB (as far as the system lets) */
	void (*log)(void *user, int level, const char *line);
	void *user;
};
/* NULL: *err is a malloc'ed sentence that names cause and remedy. With neither
 * servers nor interface: the environment's MEMX_SERVERS ("host:port host:port"),
 * else /etc/memx/client.conf (server=..., interface=..., key-file=..., a line
 * each), else 127.0.0.1 and ::1. A key in the file is used if none is given. */
struct memx *memx_new(const struct memx_opts *o, char **err);
void memx_free(struct memx *m);
struct mx_client *memx_core(struct memx *m);
mx_ns memx_now(void);			/* CLOCK_BOOTTIME */

/* Event loop integration: when any fd is readable, or memx_deadline() is
 * reached, call memx_process(). After submits call memx_flush() once. */
unsigned memx_fds(struct memx *m, int fds[4]);	/* the same as long as @m lives */
mx_ns memx_deadline(struct memx *m);
/* Receives what is there, runs timers, sends what is due. Returns the number of
 * datagrams received. Completions are called from here. */
unsigned memx_process(struct memx *m);
void memx_flush(struct memx *m);	/* sends what submits queued */
/* Is a datagram waiting? Cheap, changes nothing, may be called beside others. */
bool memx_readable(const struct memx *m);
/* Sleeps (or polls, with poll_us) until memx_process() has something to do or
 * @until is reached. For programs without an event loop. */
void memx_wait(struct memx *m, mx_ns until);

/* A request on scattered memory. The iovec array must stay until done. */
struct memx_req {
	struct mx_req core;		/* op, flags, off, len, done; buf is set by memx_submit */
	const struct iovec *iov;
	unsigned niov;
	size_t iov_skip;		/* bytes of iov before the request's data */
	/* The library's; zero at first. */
	void *stable;			/* copy, when the buffer changed while being sent */
	void (*user_done)(struct mx_req *r, enum mx_status st);
	unsigned at;			/* element of the last access, */
	size_t at_off;			/* and bytes of iov before it */
};
void memx_submit(struct memx *m, struct mx_vol *v, struct memx_req *r);

/* Blocking helpers (poll inside). Return 0 or -errno; *err as above. */
int memx_open_wait(struct memx *m, const char *volume, const struct mx_vol_conf *conf,
		   struct mx_vol **v, char **err);
int memx_close_wait(struct memx *m, struct mx_vol *v);	/* frees v */
int memx_op_wait(struct memx *m, void (*start)(struct memx *m, struct mx_vol_op *o, void *arg),
		 void *arg, char **err);	/* runs until o->done */
int memx_create_wait(struct memx *m, const char *name, u64 size, char **err);
int memx_rw_wait(struct memx *m, struct mx_vol *v, enum mx_req_op op, u64 off, u64 len, void *buf);
/* Positive errno: LOST EIO, NO_SPACE ENOSPC, FENCED ESTALE, OWNED EBUSY, NO_VOLUME
 * ENOENT, EXISTS EEXIST, NO_SERVERS and UNREACHABLE EHOSTUNREACH, BAD_KEY and NO_KEY
 * EKEYREJECTED, NO_QUORUM ENOTRECOVERABLE ... 0 for MX_OK. */
int mx_status_errno(enum mx_status st);
/* Waits until the pool's servers are known: until no new one was heard of for a
 * moment, at most @most. Where they are found by what they announce (every two
 * seconds), the first one heard is asked for the others. memx_wait_servers,
 * memx_open_wait and memx_op_wait do this once where an interface was given. */
void memx_settle(struct memx *m, mx_ns most);
/* Waits until at least one server is known, or @timeout: -ETIMEDOUT with *err naming
 * whom it asked and what to do. */
int memx_wait_servers(struct memx *m, mx_ns timeout, char **err);

#endif
