/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of memxctl, which shows and manages a pool. */
#ifndef MEMX_TOOLS_MEMXCTL_H
#define MEMX_TOOLS_MEMXCTL_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include "net/posix/client.h"
#include "net/posix/net.h"
#include "net/posix/size.h"

/* Exit codes; memxctl(1) lists them. */
enum {
	CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_FOUND = 3, CTL_IN_USE = 4,
	CTL_DEGRADED = 5, CTL_NO_SERVER = 6, CTL_KEY = 7,
};

struct ctl {
	struct memx *m;
	/* common options */
	char **servers, *interface, *key_file;
	double timeout;			/* seconds, for servers to answer */
	bool timeout_given;
	gboolean json;
	GPtrArray *pool;		/* struct server *, by name, after pool_collect() */
	GHashTable *silent;		/* ids of servers that were waited for in vain */
};

struct command {
	const char *name;		/* NULL: the end of a list */
	int (*run)(struct ctl *c, int argc, char **argv);
};

/* ---- memxctl.c ---- */
/* Prints "memxctl: ..." and ends with @code. */
void die(int code, const char *fmt, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
/* The exit code for an -errno of the library. */
int ctl_code(int rc);
/* Takes a sentence of the library and an -errno of its. */
void die_errno(int rc, char *err) G_GNUC_NORETURN;
/* Parses a command's own options; exactly @want arguments, which @args names, must be
 * left in *argv. (*argv)[0] is the command, @group what comes before it ("" or "volume "). */
void ctl_options(const GOptionEntry *entries, const char *group, const char *summary,
		 const char *args, int want, int *argc, char ***argv);
/* Runs the one of @subs that argv[1] names, or prints @help; argv[0] is what they belong to. */
int ctl_dispatch(struct ctl *c, const struct command *subs, const char *help, int argc, char **argv);
/* Makes the client and waits for a server, once. */
void ctl_connect(struct ctl *c);
/* The same, but hands back an exit code and a sentence (g_free); 0: connected. */
int ctl_try_connect(struct ctl *c, char **err);
/* Runs the client until *@pending is 0, or for @seconds. */
void ctl_run(struct ctl *c, const unsigned *pending, double seconds);
void print_json(JsonBuilder *b);
/* Sets a member of the object being built. */
void j_str(JsonBuilder *b, const char *name, const char *v);	/* NULL: null */
void j_int(JsonBuilder *b, const char *name, u64 v);
void j_bool(JsonBuilder *b, const char *name, bool v);
void j_double(JsonBuilder *b, const char *name, double v);

/* ---- memxctl_pool.c ---- */
struct server {
	struct mx_node node;
	struct mx_addr addr;
	u64 capacity, free;		/* as announced */
	u32 load, age_s;
	bool leaving, answered;		/* to STATS */
	enum mx_status refusal;
	GHashTable *stats;		/* key -> value, text */
	struct ctl *ctl;
	struct mx_vol_op op;
	unsigned *pending;
};
/* Finds the pool's servers and asks each for its figures. */
void pool_collect(struct ctl *c);
struct server *pool_find(const struct ctl *c, u64 id);
void note_silent(struct ctl *c, u64 id);	/* not to be waited for again */
bool is_silent(const struct ctl *c, u64 id);
u64 server_stat(const struct server *s, const char *key);	/* 0 if it did not tell */
u64 server_used(const struct server *s);
const char *server_state(const struct server *s);		/* up, leaving, silent, refused */
int cmd_servers(struct ctl *c, int argc, char **argv);
int cmd_top(struct ctl *c, int argc, char **argv);

/* ---- memxctl_attach.c ---- */
int cmd_attach(struct ctl *c, int argc, char **argv);
int cmd_detach(struct ctl *c, int argc, char **argv);
int cmd_attached(struct ctl *c, int argc, char **argv);
int cmd_resize_device(struct ctl *c, int argc, char **argv);

/* ---- memxctl_key.c ---- */
int cmd_kernel_key(struct ctl *c, int argc, char **argv);

/* ---- memxctl_inspect.c ---- */
struct place {			/* what a server has of a volume */
	struct mx_srvref ref;
	bool holder, enrolled, gone, answered;
	u64 extents, pages;
};
struct volume {
	struct mx_hstate state;
	struct mx_desc *desc;
	GArray *places;			/* struct place */
	bool inspected;			/* extents were counted */
	u64 mapped, mapped_pages;	/* extents, pages of those mapped */
	u64 lost, unknown, lost_base;	/* extents; with pages lost in them */
	unsigned holders_up, enrolled_silent;
};
enum health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_UNREACHABLE, HEALTH_LOST };
/* NULL with -errno in *rc and *err set. Free with volume_free. */
struct volume *volume_get(struct ctl *c, const char *name, int *rc, char **err);
/* Asks holders and servers where extents are. */
void volume_inspect(struct ctl *c, struct volume *v);
void volume_free(struct volume *v);
enum health volume_health(const struct ctl *c, const struct volume *v);
const char *health_str(enum health h);
/* Why it is not OK, a sentence; NULL if it is. */
char *volume_trouble(const struct ctl *c, const struct volume *v);
/* Entries of all volumes, by name. */
GArray *volumes_list(struct ctl *c, int *rc, char **err);	/* struct mx_list_entry */

/* ---- memxctl_volume.c ---- */
int cmd_volume(struct ctl *c, int argc, char **argv);
/* What was typed: end with CTL_USAGE and a sentence if it cannot be. */
void check_name(const char *name);
u64 check_size(const char *text);
void uuid_str(const u8 uuid[MX_UUID], char out[37]);

/* ---- memxctl_report.c ---- */
int cmd_status(struct ctl *c, int argc, char **argv);
int cmd_metrics(struct ctl *c, int argc, char **argv);

/* ---- memxctl_host.c ---- */
int cmd_host(struct ctl *c, int argc, char **argv);

#endif
