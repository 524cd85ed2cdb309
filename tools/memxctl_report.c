/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Health of the whole pool: `status` for people and scripts, `metrics` for Prometheus. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/memxctl.h"

struct report {
	GPtrArray *volumes;		/* struct volume *, inspected */
	GPtrArray *unseen;		/* names of volumes about which nothing could be learnt, with why */
	unsigned silent, leaving;
	u64 capacity, used, free;
	enum health worst;
};

static void worse(struct report *r, enum health h)
{
	if (h > r->worst)
		r->worst = h;
}

static void report_volumes(struct ctl *c, struct report *r)
{
	char *err = NULL;
	GArray *all;
	int rc;

	all = volumes_list(c, &rc, &err);
	if (!all)
		die_errno(rc, err);
	for (guint i = 0; i < all->len; i++) {
		const struct mx_list_entry *e = &g_array_index(all, struct mx_list_entry, i);
		struct volume *v;

		if (e->state == MX_VOL_DELETED)
			continue;
		v = volume_get(c, e->name, &rc, &err);
		if (!v) {
			g_ptr_array_add(r->unseen, g_strdup_printf("%s: %s", e->name, err));
			worse(r, HEALTH_UNREACHABLE);
			continue;
		}
		volume_inspect(c, v);
		worse(r, volume_health(c, v));
		g_ptr_array_add(r->volumes, v);
	}
	g_array_free(all, TRUE);
}

static void make_report(struct ctl *c, struct report *r)
{
	memset(r, 0, sizeof *r);
	r->volumes = g_ptr_array_new();
	r->unseen = g_ptr_array_new();
	pool_collect(c);
	for (guint i = 0; i < c->pool->len; i++) {
		const struct server *s = g_ptr_array_index(c->pool, i);
		const char *state = server_state(s);

		r->capacity += s->capacity;
		r->used += server_used(s);
		r->free += s->free;
		r->leaving += s->leaving;
		if (!strcmp(state, "silent") || !strcmp(state, "refused")) {
			r->silent++;
			worse(r, HEALTH_DEGRADED);
		}
	}
	report_volumes(c, r);
}

/* ---- status ---- */

static const char one_copy[] =
	"Each page is kept once: when a server crashes, what it held is lost.";

static void status_text(struct ctl *c, const struct report *r)
{
	char a[MXP_SIZE_STR], b[MXP_SIZE_STR];

	printf("pool      %s\n", health_str(r->worst));
	printf("servers   %u", c->pool->len);
	if (r->silent)
		printf(", %u silent", r->silent);
	if (r->leaving)
		printf(", %u leaving", r->leaving);
	printf("\nmemory    %s of %s in use\n", mxp_size_str(r->used, a), mxp_size_str(r->capacity, b));
	printf("volumes   %u\n", r->volumes->len + r->unseen->len);
	printf("copies    1. %s\n", one_copy);
	for (guint i = 0; i < c->pool->len; i++) {
		const struct server *s = g_ptr_array_index(c->pool, i);
		const char *state = server_state(s);

		if (strcmp(state, "up"))
			printf("server    %s: %s%s\n", s->node.name, state,
			       s->leaving ? "; delete or move away what it holds, then it ends" : "");
	}
	for (guint i = 0; i < r->volumes->len; i++) {
		const struct volume *v = g_ptr_array_index(r->volumes, i);
		char *why = volume_trouble(c, v);

		if (why)
			printf("volume    %s: %s: %s\n", v->desc->name, health_str(volume_health(c, v)), why);
		g_free(why);
	}
	for (guint i = 0; i < r->unseen->len; i++)
		printf("volume    %s\n", (const char *)g_ptr_array_index(r->unseen, i));
}

static void status_json(struct ctl *c, const struct report *r)
{
	JsonBuilder *b = json_builder_new();

	json_builder_begin_object(b);
	j_str(b, "health", health_str(r->worst));
	j_int(b, "servers", c->pool->len);
	j_int(b, "servers_silent", r->silent);
	j_int(b, "servers_leaving", r->leaving);
	j_int(b, "capacity_bytes", r->capacity);
	j_int(b, "used_bytes", r->used);
	j_int(b, "free_bytes", r->free);
	j_int(b, "copies", 1);
	j_str(b, "note", one_copy);
	json_builder_set_member_name(b, "volumes");
	json_builder_begin_array(b);
	for (guint i = 0; i < r->volumes->len; i++) {
		const struct volume *v = g_ptr_array_index(r->volumes, i);
		char *why = volume_trouble(c, v);

		json_builder_begin_object(b);
		j_str(b, "name", v->desc->name);
		j_str(b, "health", health_str(volume_health(c, v)));
		j_str(b, "trouble", why);
		j_int(b, "size_bytes", v->desc->size);
		j_int(b, "mapped_bytes", v->mapped_pages * MX_PAGE);
		j_int(b, "lost_extents", v->lost + v->lost_base);
		j_int(b, "unknown_extents", v->unknown);
		j_int(b, "holders", v->desc->nholders);
		j_int(b, "holders_up", v->holders_up);
		j_str(b, "owner", v->desc->owned && v->state.lease_ms ? v->desc->owner.name : NULL);
		json_builder_end_object(b);
		g_free(why);
	}
	for (guint i = 0; i < r->unseen->len; i++) {
		char **part = g_strsplit(g_ptr_array_index(r->unseen, i), ": ", 2);

		json_builder_begin_object(b);
		j_str(b, "name", part[0]);
		j_str(b, "health", health_str(HEALTH_UNREACHABLE));
		j_str(b, "trouble", part[1]);
		json_builder_end_object(b);
		g_strfreev(part);
	}
	json_builder_end_array(b);
	json_builder_end_object(b);
	print_json(b);
}

static void refuse_arguments(int argc, char **argv, const char *help)
{
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		printf("Usage: memxctl [OPTION...] %s\n\n%s\nSee memxctl --help for the options.\n",
		       argv[0], help);
		exit(CTL_OK);
	}
	if (argc > 1)
		die(CTL_USAGE, "%s takes no argument, but \"%s\" was given; see memxctl --help", argv[0],
		    argv[1]);
}

int cmd_status(struct ctl *c, int argc, char **argv)
{
	struct report r;

	refuse_arguments(argc, argv,
			 "Shows the health of the pool. Exit status 0: all is well; 5: something is degraded,\n"
			 "unreachable or lost, and the lines about it say what.\n");
	make_report(c, &r);
	if (c->json)
		status_json(c, &r);
	else
		status_text(c, &r);
	return r.worst == HEALTH_OK ? CTL_OK : CTL_DEGRADED;
}

/* ---- metrics ---- */

struct metric {
	const char *name, *type, *help;
	const char *stat;		/* key in STATS; NULL: computed */
};

static const struct metric server_metrics[] = {
	{ "memx_server_used_bytes", "gauge", "Memory used, data and bookkeeping.", "used_bytes" },
	{ "memx_server_data_bytes", "gauge", "Memory used by data.", "data_bytes" },
	{ "memx_server_meta_bytes", "gauge", "Memory used by bookkeeping.", "meta_bytes" },
	{ "memx_server_pages", "gauge", "Pages with data.", "pages" },
	{ "memx_server_extents", "gauge", "Extents held.", "extents" },
	{ "memx_server_volumes", "gauge", "Volumes with data here.", "volumes" },
	{ "memx_server_held_descriptors", "gauge", "Descriptors held.", "held" },
	{ "memx_server_reads_total", "counter", "Read requests.", "reads" },
	{ "memx_server_writes_total", "counter", "Write requests.", "writes" },
	{ "memx_server_zeros_total", "counter", "Zero and discard requests.", "zeros" },
	{ "memx_server_read_bytes_total", "counter", "Bytes read.", "read_bytes" },
	{ "memx_server_written_bytes_total", "counter", "Bytes written.", "written_bytes" },
	{ "memx_server_busy_total", "counter", "Requests refused as busy.", "busy" },
	{ "memx_server_full_total", "counter", "Requests refused as full.", "full" },
	{ "memx_server_fenced_total", "counter", "Requests refused under an old epoch.", "fenced" },
	{ "memx_server_bad_crc_total", "counter", "Writes that did not match their checksum.", "bad_crc" },
	{ "memx_server_uptime_seconds", "gauge", "Since its start.", "uptime_s" },
};

static void head(const char *name, const char *type, const char *help)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, with what must be escaped. */
static char *label(const char *v)
{
	GString *s = g_string_new(NULL);

	for (; *v; v++) {
		if (*v == '"' || *v == '\\')
			g_string_append_c(s, '\\');
		if (*v == '\n')
			g_string_append(s, "\\n");
		else
			g_string_append_c(s, *v);
	}
	return g_string_free(s, FALSE);
}

static void server_line(const char *metric, const struct server *s, double v)
{
	char *name = label(s->node.name);

	printf("%s{server=\"%s\",id=\"%016llx\"} %.15g\n", metric, name, (unsigned long long)s->node.id, v);
	g_free(name);
}

static void each_server(const struct ctl *c, const char *name, const char *type, const char *help,
			double (*get)(const struct server *s))
{
	head(name, type, help);
	for (guint i = 0; i < c->pool->len; i++)
		server_line(name, g_ptr_array_index(c->pool, i), get(g_ptr_array_index(c->pool, i)));
}

static double get_up(const struct server *s) { return s->answered; }
static double get_leaving(const struct server *s) { return s->leaving; }
static double get_capacity(const struct server *s) { return (double)s->capacity; }
static double get_free(const struct server *s) { return (double)s->free; }
static double get_load(const struct server *s) { return s->load / 1000.0; }

static void volume_line(const char *metric, const struct volume *v, double x)
{
	char *name = label(v->desc->name);

	printf("%s{volume=\"%s\"} %.15g\n", metric, name, x);
	g_free(name);
}

static void each_volume(const struct report *r, const char *name, const char *help,
			double (*get)(const struct volume *v))
{
	head(name, "gauge", help);
	for (guint i = 0; i < r->volumes->len; i++)
		volume_line(name, g_ptr_array_index(r->volumes, i),
			    get(g_ptr_array_index(r->volumes, i)));
}

static double get_size(const struct volume *v) { return (double)v->desc->size; }
static double get_mapped(const struct volume *v) { return (double)(v->mapped_pages * MX_PAGE); }
static double get_lost(const struct volume *v) { return (double)(v->lost + v->lost_base); }
static double get_unknown(const struct volume *v) { return (double)v->unknown; }
static double get_holders(const struct volume *v) { return v->desc->nholders; }
static double get_holders_up(const struct volume *v) { return v->holders_up; }
static double get_owned(const struct volume *v) { return v->desc->owned && v->state.lease_ms; }

int cmd_metrics(struct ctl *c, int argc, char **argv)
{
	struct report r;

	refuse_arguments(argc, argv, "Prints the pool's figures in Prometheus' text format, for its textfile\n"
			 "collector or a web server's CGI.\n");
	make_report(c, &r);
	each_server(c, "memx_server_up", "gauge", "1 if the server answered.", get_up);
	each_server(c, "memx_server_leaving", "gauge", "1 if it was asked to stop.", get_leaving);
	each_server(c, "memx_server_capacity_bytes", "gauge", "Memory donated.", get_capacity);
	each_server(c, "memx_server_free_bytes", "gauge", "Memory still to be had.", get_free);
	each_server(c, "memx_server_load_ratio", "gauge", "Share of a processor in use.", get_load);
	for (unsigned m = 0; m < G_N_ELEMENTS(server_metrics); m++) {
		const struct metric *x = &server_metrics[m];

		head(x->name, x->type, x->help);
		for (guint i = 0; i < c->pool->len; i++) {
			const struct server *s = g_ptr_array_index(c->pool, i);

			if (s->answered)
				server_line(x->name, s, (double)server_stat(s, x->stat));
		}
	}
	each_volume(&r, "memx_volume_size_bytes", "Size.", get_size);
	each_volume(&r, "memx_volume_mapped_bytes", "Data stored.", get_mapped);
	each_volume(&r, "memx_volume_lost_extents", "Extents that are lost, at least in part.", get_lost);
	each_volume(&r, "memx_volume_unknown_extents", "Extents that may be on silent servers.", get_unknown);
	each_volume(&r, "memx_volume_holders", "Holders of the descriptor.", get_holders);
	each_volume(&r, "memx_volume_holders_up", "Those that answer.", get_holders_up);
	each_volume(&r, "memx_volume_in_use", "1 if somebody has a lease.", get_owned);
	return CTL_OK;
}
