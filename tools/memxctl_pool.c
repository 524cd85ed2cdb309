/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pool's servers: finding them, their figures, `servers` and `top`. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/memxctl.h"

#define SETTLE_MAX_NS	(3 * MX_SEC)
#define STATS_SECONDS	1.5

/* ---- collecting ---- */

static void stats_text(void *user, const char *text, u32 len)
{
	struct server *s = user;
	char *copy = g_strndup(text, len), **lines = g_strsplit(copy, "\n", -1);

	for (unsigned i = 0; lines[i]; i++) {
		char *space = strchr(lines[i], ' ');

		if (!space)
			continue;
		*space = 0;
		g_hash_table_replace(s->stats, g_strdup(lines[i]), g_strdup(space + 1));
	}
	g_strfreev(lines);
	g_free(copy);
}

static void stats_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct server *s = mx_container_of(o, struct server, op);

	s->answered = st == MX_OK;
	s->refusal = st;
	(*s->pending)--;
}

static int by_name(const void *a, const void *b)
{
	const struct server *x = *(struct server *const *)a, *y = *(struct server *const *)b;
	int d = strcmp(x->node.name, y->node.name);

	return d ? d : x->node.id < y->node.id ? -1 : x->node.id > y->node.id;
}

static struct server *server_new(struct ctl *c, const struct mx_member *m, mx_ns now)
{
	struct server *s = g_new0(struct server, 1);

	s->ctl = c;
	s->node = m->node;
	s->addr = m->addr;
	s->capacity = m->capacity;
	s->free = m->free;
	s->load = m->load;
	s->age_s = m->age_s + (now > m->heard ? (u32)((now - m->heard) / MX_SEC) : 0);
	s->leaving = m->flags & MX_MEMBER_LEAVING;
	s->stats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	s->op.user = s;
	s->op.done = stats_done;
	return s;
}

void pool_collect(struct ctl *c)
{
	/* Answers that come late write here: it stays. */
	unsigned *pending = g_new0(unsigned, 1);
	struct mx_ep *ep;

	ctl_connect(c);
	ep = mx_client_ep(memx_core(c->m));
	if (!c->pool)
		memx_settle(c->m, SETTLE_MAX_NS);
	c->pool = g_ptr_array_new();
	for (u32 i = 0; i < mx_ep_nmembers(ep); i++) {
		const struct mx_member *m = mx_ep_member(ep, i);

		if (m->flags & MX_MEMBER_SERVER)
			g_ptr_array_add(c->pool, server_new(c, m, memx_now()));
	}
	g_ptr_array_sort(c->pool, by_name);
	*pending = c->pool->len;
	for (guint i = 0; i < c->pool->len; i++) {
		struct server *s = g_ptr_array_index(c->pool, i);

		s->pending = pending;
		mx_client_server_stats(memx_core(c->m), s->node.id, stats_text, &s->op, memx_now());
	}
	ctl_run(c, pending, MIN(STATS_SECONDS, c->timeout));
	for (guint i = 0; i < c->pool->len; i++) {
		const struct server *s = g_ptr_array_index(c->pool, i);

		if (!s->answered && s->refusal == MX_OK)
			note_silent(c, s->node.id);
	}
}

void note_silent(struct ctl *c, u64 id)
{
	if (!c->silent)
		c->silent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_add(c->silent, g_memdup2(&id, sizeof id));
}

bool is_silent(const struct ctl *c, u64 id)
{
	return c->silent && g_hash_table_contains(c->silent, &id);
}

struct server *pool_find(const struct ctl *c, u64 id)
{
	for (guint i = 0; c->pool && i < c->pool->len; i++) {
		struct server *s = g_ptr_array_index(c->pool, i);

		if (s->node.id == id)
			return s;
	}
	return NULL;
}

u64 server_stat(const struct server *s, const char *key)
{
	const char *v = g_hash_table_lookup(s->stats, key);

	return v ? g_ascii_strtoull(v, NULL, 10) : 0;
}

u64 server_used(const struct server *s)
{
	if (s->answered)
		return server_stat(s, "used_bytes");
	return s->capacity > s->free ? s->capacity - s->free : 0;
}

const char *server_state(const struct server *s)
{
	if (s->refusal == MX_ST_DENIED)
		return "up";	/* a volume's key does not cover figures of servers */
	if (!s->answered)
		return s->refusal == MX_ST_BAD_KEY || s->refusal == MX_ST_NO_KEY ? "refused" : "silent";
	return s->leaving ? "leaving" : "up";
}

static u64 requests(const struct server *s)
{
	return server_stat(s, "reads") + server_stat(s, "writes") + server_stat(s, "zeros");
}

/* ---- servers ---- */

static void server_json(JsonBuilder *b, const struct server *s)
{
	char a[MXP_ADDR_STR], id[17];

	json_builder_begin_object(b);
	j_str(b, "name", s->node.name);
	j_str(b, "address", mxp_addr_str(&s->addr, a));
	snprintf(id, sizeof id, "%016llx", (unsigned long long)s->node.id);
	j_str(b, "id", id);
	snprintf(id, sizeof id, "%016llx", (unsigned long long)s->node.incarnation);
	j_str(b, "incarnation", id);
	j_str(b, "state", server_state(s));
	j_int(b, "capacity_bytes", s->capacity);
	j_int(b, "used_bytes", server_used(s));
	j_int(b, "free_bytes", s->free);
	j_int(b, "load_permille", s->load);
	j_int(b, "heard_seconds_ago", s->age_s);
	j_int(b, "volumes", server_stat(s, "volumes"));
	j_int(b, "extents", server_stat(s, "extents"));
	j_int(b, "read_bytes", server_stat(s, "read_bytes"));
	j_int(b, "written_bytes", server_stat(s, "written_bytes"));
	j_int(b, "requests", requests(s));
	j_int(b, "uptime_seconds", server_stat(s, "uptime_s"));
	j_str(b, "version", g_hash_table_lookup(s->stats, "version"));
	json_builder_end_object(b);
}

static void no_options(int argc, char **argv, const char *what)
{
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		printf("Usage: memxctl [OPTION...] %s\n\n%s\nSee memxctl --help for the options.\n",
		       argv[0], what);
		exit(CTL_OK);
	}
	if (argc > 1)
		die(CTL_USAGE, "%s takes no argument, but \"%s\" was given; see memxctl --help", argv[0],
		    argv[1]);
}

int cmd_servers(struct ctl *c, int argc, char **argv)
{
	char a[MXP_ADDR_STR], cap[MXP_SIZE_STR], used[MXP_SIZE_STR], fr[MXP_SIZE_STR];
	JsonBuilder *b;

	no_options(argc, argv, "Lists the pool's servers: where they are, what they donate, what of it is\n"
		   "used and how busy they are.\n");
	pool_collect(c);
	if (c->json) {
		b = json_builder_new();
		json_builder_begin_array(b);
		for (guint i = 0; i < c->pool->len; i++)
			server_json(b, g_ptr_array_index(c->pool, i));
		json_builder_end_array(b);
		print_json(b);
		return CTL_OK;
	}
	printf("%-20s %-28s %-8s %10s %10s %10s %6s\n", "NAME", "ADDRESS", "STATE", "CAPACITY", "USED",
	       "FREE", "LOAD");
	for (guint i = 0; i < c->pool->len; i++) {
		const struct server *s = g_ptr_array_index(c->pool, i);

		printf("%-20s %-28s %-8s %10s %10s %10s %5.1f%%\n", s->node.name,
		       mxp_addr_str(&s->addr, a), server_state(s), mxp_size_str(s->capacity, cap),
		       mxp_size_str(server_used(s), used), mxp_size_str(s->free, fr),
		       s->load / 10.0);
	}
	return CTL_OK;
}

/* ---- top ---- */

struct frame {
	mx_ns at;
	GPtrArray *servers;
};

/* Unless an answer may still come for it: that is kept. */
static void frame_free(struct frame *f)
{
	struct server *s = f->servers->len ? g_ptr_array_index(f->servers, 0) : NULL;

	if (s && *s->pending)
		return;
	if (s)
		g_free(s->pending);
	for (guint i = 0; i < f->servers->len; i++) {
		s = g_ptr_array_index(f->servers, i);
		g_hash_table_unref(s->stats);
		g_free(s);
	}
	g_ptr_array_free(f->servers, TRUE);
}

static u64 delta(const struct server *now, const struct server *before, const char *key)
{
	u64 a = server_stat(now, key), b = server_stat(before, key);

	return a > b ? a - b : 0;
}

static const struct server *same(const struct frame *f, const struct server *s)
{
	for (guint i = 0; i < f->servers->len; i++) {
		const struct server *o = g_ptr_array_index(f->servers, i);

		if (o->node.id == s->node.id && o->node.incarnation == s->node.incarnation)
			return o;
	}
	return s;	/* new: no rates yet */
}

static void print_frame(const struct frame *now, const struct frame *before, bool clear)
{
	double seconds = (double)(now->at - before->at) / 1e9;
	u64 capacity = 0, used = 0;
	char a[MXP_SIZE_STR], b[MXP_SIZE_STR], c[MXP_SIZE_STR], d[MXP_SIZE_STR];

	for (guint i = 0; i < now->servers->len; i++) {
		const struct server *s = g_ptr_array_index(now->servers, i);

		capacity += s->capacity;
		used += server_used(s);
	}
	if (clear)
		fputs("\033[H\033[J", stdout);
	printf("%u servers, %s of %s in use\n\n", now->servers->len, mxp_size_str(used, a),
	       mxp_size_str(capacity, b));
	printf("%-20s %-8s %6s %10s %10s %10s %10s %12s %12s\n", "NAME", "STATE", "LOAD", "USED", "FREE",
	       "READS/S", "WRITES/S", "READ/S", "WRITTEN/S");
	for (guint i = 0; i < now->servers->len; i++) {
		const struct server *s = g_ptr_array_index(now->servers, i), *o = same(before, s);

		printf("%-20s %-8s %5.1f%% %10s %10s %10.0f %10.0f %12s %12s\n", s->node.name,
		       server_state(s), s->load / 10.0, mxp_size_str(server_used(s), a),
		       mxp_size_str(s->free, b), (double)delta(s, o, "reads") / seconds,
		       (double)(delta(s, o, "writes") + delta(s, o, "zeros")) / seconds,
		       mxp_size_str((u64)((double)delta(s, o, "read_bytes") / seconds), c),
		       mxp_size_str((u64)((double)delta(s, o, "written_bytes") / seconds), d));
	}
	fflush(stdout);
}

int cmd_top(struct ctl *c, int argc, char **argv)
{
	double interval = 1;
	int count = 0;
	const GOptionEntry entries[] = {
		{ "interval", 'd', 0, G_OPTION_ARG_DOUBLE, &interval,
		  "Seconds between two frames (default 1)", "SECONDS" },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "End after N frames (default: never)", "N" },
		{ 0 },
	};
	GOptionContext *o = g_option_context_new("- load of the pool's servers, live");
	struct frame before, now;
	unsigned never = 1;
	GError *e = NULL;

	g_option_context_add_main_entries(o, entries, NULL);
	if (!g_option_context_parse(o, &argc, &argv, &e))
		die(CTL_USAGE, "%s; see memxctl top --help", e->message);
	if (argc > 1 || interval < 0.1 || interval > 3600 || count < 0)
		die(CTL_USAGE, "top takes --interval (0.1 to 3600 seconds) and --count; see memxctl top --help");
	if (c->json)
		die(CTL_USAGE, "top has no JSON; use memxctl servers --json");
	pool_collect(c);
	before = (struct frame){ memx_now(), c->pool };
	for (int i = 0; !count || i < count; i++) {
		ctl_run(c, &never, interval);
		pool_collect(c);
		now = (struct frame){ memx_now(), c->pool };
		print_frame(&now, &before, isatty(STDOUT_FILENO));
		frame_free(&before);
		before = now;
	}
	return CTL_OK;
}
