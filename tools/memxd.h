/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of memxd, the memory server in user space. */
#ifndef MEMX_TOOLS_MEMXD_H
#define MEMX_TOOLS_MEMXD_H

#include "core/server.h"
#include "net/posix/net.h"

/* ---- log (memxd_host.c) ---- */
void log_init(int level);
int log_level_parse(const char *s);	/* -1: unknown */
void log_line(int level, const char *line);
void say(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- what systemd is told (memxd_host.c) ---- */
void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
mx_ns watchdog_interval(void);		/* MX_NEVER: none asked for */

/* ---- the host (memxd_host.c) ---- */
u64 host_available(void);		/* MemAvailable; 0: cannot be told */
u64 host_total(void);
/*
 * Guests' pages are in received datagrams, too, and keys on the heap and in registers:
 * there is no core file at all, whatever the limit and whoever takes them.
 */
void make_no_core(void);
/* Locks what the process has and will have; says what to do if it may not. */
void lock_memory(u64 wanted);

/* ---- 4 KiB pages (memxd_pages.c) ---- */
struct pages;
struct pages *pages_new(u64 bytes);
void pages_free(struct pages *p);
void *pages_get(void *pages);
void pages_put(void *pages, void *page);
/* Tells the time; scrubs and trims a little when that is due. Call it often. */
void pages_idle(struct pages *p, mx_ns now);
mx_ns pages_deadline(const struct pages *p);	/* when it has something to do */
struct pages_stats {
	u64 used, free;			/* pages; free ones that are resident */
	u64 scrubbed, released, denied;	/* pages, chunks, page_get without success */
	u64 dirty;			/* free and not yet scrubbed */
};
void pages_stats(const struct pages *p, struct pages_stats *s);

/* ---- options (memxd_options.c) ---- */
#define LISTEN_MAX	12
#define IF_MAX		MXP_TRUST_MAX
#define JOIN_MAX	64
struct options {
	u64 memory, floor;
	struct mx_addr listen[LISTEN_MAX];
	bool listen_dual[LISTEN_MAX];
	unsigned nlisten;
	char *interfaces[IF_MAX];	/* IF or raw:IF */
	unsigned ninterfaces;
	u32 trusted[IF_MAX];
	unsigned ntrusted;
	struct mx_addr join[JOIN_MAX];
	unsigned njoin;
	struct mx_key key;
	char name[MX_NAME_MAX + 1];
	char *state_dir;
	unsigned poll_us;
	unsigned socket_buffer;
	u8 suites;
	int log_level;
};
/* Reads options and the file they name, checks them; exits with 0 (--help,
 * --version) or 2 and a message. */
void options_read(struct options *o, int argc, char **argv);

#endif
