/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memxctl host ...: memx-server.ko on this machine. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "net/linux/uapi.h"
#include "tools/memxctl.h"
#include "tools/memxctl_nl.h"

#define PORT_DEFAULT	-1

/* As typed. */
struct typed {
	char *memory, *floor, *trusted, *name, **join, *config;
	GPtrArray *servers;		/* of @join, as numbers, which is what the kernel reads */
	int port;
	gboolean discard, wait;
};

static u64 size_of(const char *text, const char *what)
{
	char *err = NULL;
	u64 v = 0;

	if (text && !mxp_size_parse(text, what, &v, &err))
		die(CTL_USAGE, "%s", err);
	return v;
}

static void put_memory(struct nl_msg *m, const struct typed *t)
{
	if (t->memory)
		nla_put_u64(m, MEMX_SERVER_A_MEMORY, size_of(t->memory, "--memory"));
	if (t->floor)
		nla_put_u64(m, MEMX_SERVER_A_FLOOR, size_of(t->floor, "--floor"));
}

/* Asking for the family would load the module, which may be set to donate at once. */
static bool is_loaded(void)
{
	return access("/sys/module/memx_server", F_OK) == 0;
}

static void open_module(struct nlc *n)
{
	nlc_open(n, MEMX_SERVER_GENL_NAME, "memx-server", MEMX_SERVER_A_MAX);
}

static void open_loaded(struct nlc *n)
{
	if (!is_loaded())
		die(CTL_NOT_FOUND, "this machine does not serve; memxctl host start makes it donate memory");
	open_module(n);
}

static void G_GNUC_NORETURN refused(struct nlc *n, int rc)
{
	int code = CTL_FAILED;

	switch (-rc) {
	case EINVAL:
	case ENODEV:
	case EMEDIUMTYPE:
	case EMSGSIZE:
		code = CTL_USAGE;
		break;
	case ESRCH:
		code = CTL_NOT_FOUND;
		break;
	case EBUSY:
		code = CTL_IN_USE;
		break;
	case ENOKEY:
		code = CTL_KEY;
		break;
	}
	die(code, "%s", n->said);
}

static void run(struct nlc *n, struct nl_msg *m)
{
	int rc = nlc_run(n, m, NULL, NULL);

	if (rc)
		refused(n, rc);
	nlc_close(n);
}

/* ---- start ---- */

/* What was typed counts more. */
static void config_port(struct typed *t, const char *value)
{
	char *end;
	long port = strtol(value, &end, 10);

	if (*end || port < 1 || port > 65535)
		die(CTL_USAGE, "%s: port must be from 1 to 65535, and is \"%.80s\"", t->config, value);
	if (t->port == PORT_DEFAULT)
		t->port = (int)port;
}

static void config_line(struct ctl *c, struct typed *t, GPtrArray *join, const char *name, const char *value)
{
	const struct { const char *name; char **to; } texts[] = {
		{ "memory", &t->memory }, { "floor", &t->floor }, { "name", &t->name },
		{ "trusted-interface", &t->trusted }, { "interface", &c->interface },
		{ "key-file", &c->key_file },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		if (strcmp(name, texts[i].name))
			continue;
		if (!*texts[i].to)
			*texts[i].to = g_strdup(value);
		return;
	}
	if (!strcmp(name, "join"))
		g_ptr_array_add(join, g_strdup(value));
	else if (!strcmp(name, "port"))
		config_port(t, value);
	else
		die(CTL_USAGE, "%s: there is no setting \"%.80s\"; there are memory, floor, key-file, interface, "
		    "trusted-interface, join, name and port", t->config, name);
}

/* As memxd.conf: a line "name = value" is the option --name=value. */
static void read_config(struct ctl *c, struct typed *t)
{
	GPtrArray *join = g_ptr_array_new();
	char *text = NULL, **lines;
	GError *e = NULL;

	if (!g_file_get_contents(t->config, &text, NULL, &e))
		die(CTL_FAILED, "%s", e->message);
	for (char **j = t->join; j && *j; j++)
		g_ptr_array_add(join, *j);
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		char *name = g_strstrip(lines[i]), *value = strchr(name, '=');

		if (!*name || *name == '#')
			continue;
		if (!value)
			die(CTL_USAGE, "%s, line %u is not understood; expected NAME = VALUE", t->config, i + 1);
		*value++ = 0;
		config_line(c, t, join, g_strchomp(name), g_strchug(value));
	}
	g_ptr_array_add(join, NULL);
	t->join = (char **)g_ptr_array_free(join, FALSE);
	g_strfreev(lines);
	g_free(text);
}

/* What can be told without the kernel. */
static void check_start(struct ctl *c, const struct typed *t)
{
	if (!t->memory)
		die(CTL_USAGE, "how much memory is to be donated is not said; give --memory SIZE, as "
		    "--memory 4G");
	size_of(t->memory, "--memory");
	size_of(t->floor, "--floor");
	if (t->port != PORT_DEFAULT && (t->port < 1 || t->port > 65535))
		die(CTL_USAGE, "--port must be from 1 to 65535");
	if (t->name && !mx_name_valid(t->name))
		die(CTL_USAGE, "--name \"%.80s\" is not possible; names are 1 to %u of A-Z a-z 0-9 . _ : + "
		    "@ -", t->name, MX_NAME_MAX);
	if (t->trusted && c->interface)
		die(CTL_USAGE, "--interface and --trusted-interface each name the only interface served; "
		    "give one of them");
	if (!c->key_file && !t->trusted && !(c->interface && !strcmp(c->interface, "lo")))
		die(CTL_USAGE, "without a key anybody who can reach this machine could read and overwrite "
		    "what is kept here; give --key-file FILE (memxctl keygen makes a key), or name a "
		    "network as trusted: --trusted-interface IF");
}

static void resolve_join(struct typed *t)
{
	char *err = NULL;

	t->servers = g_ptr_array_new_with_free_func(g_free);
	for (char **j = t->join; j && *j; j++)
		if (nlc_resolve(*j, t->servers, MEMX_SERVER_JOIN_MAX, NULL, &err))
			die(CTL_USAGE, "--join: %s", err);
}

static void put_network(struct ctl *c, struct nl_msg *m, const struct typed *t)
{
	char desc[KERNEL_KEY_DESC], *err = NULL;
	struct mx_key k;

	if (t->trusted || c->interface)
		nla_put_string(m, MEMX_SERVER_A_INTERFACE, t->trusted ? t->trusted : c->interface);
	if (t->trusted)
		nla_put_flag(m, MEMX_SERVER_A_TRUSTED);
	if (c->key_file) {
		if (nlc_hand_over_key(c->key_file, desc, &k, &err))
			die(CTL_KEY, "%s", err);
		if (k.kind != MX_KEY_CLUSTER)
			die(CTL_KEY, "%s has the key of one volume (%s); a server needs the pool's key",
			    c->key_file, k.volume);
		nla_put_string(m, MEMX_SERVER_A_KEY, desc);
	}
	for (guint i = 0; i < t->servers->len; i++)
		nla_put_string(m, MEMX_SERVER_A_JOIN, t->servers->pdata[i]);
}

static int cmd_start(struct ctl *c, int argc, char **argv)
{
	struct typed t = { .port = PORT_DEFAULT };
	const GOptionEntry entries[] = {
		{ "memory", 'm', 0, G_OPTION_ARG_STRING, &t.memory,
		  "Memory to donate at most, as 512M or 8G (needed)", "SIZE" },
		{ "floor", 0, 0, G_OPTION_ARG_STRING, &t.floor,
		  "Memory to leave to the host (default: 1/20 of it, at least 64M)", "SIZE" },
		{ "trusted-interface", 0, 0, G_OPTION_ARG_STRING, &t.trusted,
		  "Serve on this interface only, without a key", "IF" },
		{ "join", 0, 0, G_OPTION_ARG_STRING_ARRAY, &t.join,
		  "A server of the pool (repeatable)", "ADDR[:PORT]" },
		{ "name", 'n', 0, G_OPTION_ARG_STRING, &t.name,
		  "How this server is named to people (default: the host's name)", "NAME" },
		{ "port", 0, 0, G_OPTION_ARG_INT, &t.port, "UDP port (default 7770)", "N" },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &t.config,
		  "A file with such options: lines as memory = 8G, key-file = /etc/memx/key", "FILE" },
		{ 0 },
	};
	struct nl_msg *m;
	struct nlc n;

	ctl_options(entries, "host ", "Makes this machine donate memory, by the kernel module memx-server. --key-file and\n"
		    "--interface say to whom: with the key all interfaces are served, or the one named.",
		    NULL, 0, &argc, &argv);
	if (t.config)
		read_config(c, &t);
	check_start(c, &t);
	resolve_join(&t);
	open_module(&n);
	m = nlc_request(&n, MEMX_SERVER_CMD_START, 0);
	put_memory(m, &t);
	put_network(c, m, &t);
	if (t.name)
		nla_put_string(m, MEMX_SERVER_A_NAME, t.name);
	if (t.port != PORT_DEFAULT)
		nla_put_u16(m, MEMX_SERVER_A_PORT, (u16)t.port);
	run(&n, m);
	g_ptr_array_unref(t.servers);
	return CTL_OK;
}

/* ---- set ---- */

static int cmd_set(struct ctl *c, int argc, char **argv)
{
	struct typed t = { 0 };
	const GOptionEntry entries[] = {
		{ "memory", 'm', 0, G_OPTION_ARG_STRING, &t.memory, "Memory to donate at most", "SIZE" },
		{ "floor", 0, 0, G_OPTION_ARG_STRING, &t.floor, "Memory to leave to the host", "SIZE" },
		{ 0 },
	};
	struct nl_msg *m;
	struct nlc n;

	ctl_options(entries, "host ", "Changes how much this machine donates, from now on. Less than it holds: it takes\n"
		    "nothing new, and drops nothing.", NULL, 0, &argc, &argv);
	if (!t.memory && !t.floor)
		die(CTL_USAGE, "what is to be set is not said; give --memory SIZE or --floor SIZE");
	size_of(t.memory, "--memory");
	size_of(t.floor, "--floor");
	open_loaded(&n);
	m = nlc_request(&n, MEMX_SERVER_CMD_SET, 0);
	put_memory(m, &t);
	run(&n, m);
	return CTL_OK;
}

/* ---- status ---- */

static u64 figure(struct nlattr **a, int attr)
{
	return a[attr] ? nla_get_u64(a[attr]) : 0;
}

static unsigned state_of(struct nlattr **a)
{
	return a[MEMX_SERVER_A_STATE] ? nla_get_u32(a[MEMX_SERVER_A_STATE]) : 0;
}

static const char *state_str(struct nlattr **a)
{
	static const char *const names[] = { "stopped", "serving", "leaving" };
	unsigned s = state_of(a);

	return s < G_N_ELEMENTS(names) ? names[s] : "unknown";
}

static void status_json(struct nlattr **a)
{
	static const struct { const char *name; int attr; } figures[] = {
		{ "memory_bytes", MEMX_SERVER_A_MEMORY }, { "floor_bytes", MEMX_SERVER_A_FLOOR },
		{ "offered_bytes", MEMX_SERVER_A_OFFERED }, { "data_bytes", MEMX_SERVER_A_DATA },
		{ "bookkeeping_bytes", MEMX_SERVER_A_BOOKKEEPING },
		{ "at_hand_bytes", MEMX_SERVER_A_AT_HAND },
		{ "host_available_bytes", MEMX_SERVER_A_AVAILABLE },
		{ "only_copy_volumes", MEMX_SERVER_A_VOLUMES },
		{ "only_copy_extents", MEMX_SERVER_A_EXTENTS },
		{ "only_copy_bytes", MEMX_SERVER_A_BYTES }, { "reads", MEMX_SERVER_A_READS },
		{ "writes", MEMX_SERVER_A_WRITES }, { "busy", MEMX_SERVER_A_BUSY },
		{ "full", MEMX_SERVER_A_FULL }, { "returned_bytes", MEMX_SERVER_A_RETURNED },
	};
	JsonBuilder *b = json_builder_new();
	char id[17];

	json_builder_begin_object(b);
	j_str(b, "state", state_str(a));
	if (state_of(a) != MEMX_SERVER_STOPPED) {
		snprintf(id, sizeof id, "%016llx", (unsigned long long)figure(a, MEMX_SERVER_A_ID));
		j_str(b, "name", a[MEMX_SERVER_A_NAME] ? nla_get_string(a[MEMX_SERVER_A_NAME]) : NULL);
		j_str(b, "id", id);
		j_str(b, "interface",
		      a[MEMX_SERVER_A_INTERFACE] ? nla_get_string(a[MEMX_SERVER_A_INTERFACE]) : NULL);
		if (a[MEMX_SERVER_A_PORT])
			j_int(b, "port", nla_get_u16(a[MEMX_SERVER_A_PORT]));
		else
			j_str(b, "port", NULL);
		j_bool(b, "key", a[MEMX_SERVER_A_KEYED] != NULL);
		for (unsigned i = 0; i < G_N_ELEMENTS(figures); i++)
			j_int(b, figures[i].name, figure(a, figures[i].attr));
	}
	json_builder_end_object(b);
	print_json(b);
}

static char *size(struct nlattr **a, int attr, char buf[MXP_SIZE_STR])
{
	return mxp_size_str(figure(a, attr), buf);
}

static void where_text(struct nlattr **a)
{
	const char *name = a[MEMX_SERVER_A_INTERFACE] ? nla_get_string(a[MEMX_SERVER_A_INTERFACE]) :
							"all interfaces";
	const char *key = a[MEMX_SERVER_A_KEYED] ? "with a key" : "without a key";

	if (g_str_has_prefix(name, "raw:"))
		printf("serves on  raw Ethernet on %s, %s\n", name + strlen("raw:"), key);
	else
		printf("serves on  %s, UDP port %u, %s\n", name,
		       a[MEMX_SERVER_A_PORT] ? nla_get_u16(a[MEMX_SERVER_A_PORT]) : 0, key);
}

static void status_text(struct nlattr **a)
{
	char s1[MXP_SIZE_STR], s2[MXP_SIZE_STR], s3[MXP_SIZE_STR];

	printf("state      %s%s\n", state_str(a),
	       state_of(a) == MEMX_SERVER_LEAVING ? " (takes nothing new, ends when it holds nothing)" : "");
	if (state_of(a) == MEMX_SERVER_STOPPED)
		return;
	printf("server     %s (id %016llx)\n",
	       a[MEMX_SERVER_A_NAME] ? nla_get_string(a[MEMX_SERVER_A_NAME]) : "?",
	       (unsigned long long)figure(a, MEMX_SERVER_A_ID));
	where_text(a);
	printf("donates    %s at most, leaves the host %s\n", size(a, MEMX_SERVER_A_MEMORY, s1),
	       size(a, MEMX_SERVER_A_FLOOR, s2));
	printf("offers     %s now: the host has %s available\n", size(a, MEMX_SERVER_A_OFFERED, s1),
	       size(a, MEMX_SERVER_A_AVAILABLE, s2));
	printf("in use     %s data, %s bookkeeping, %s at hand\n", size(a, MEMX_SERVER_A_DATA, s1),
	       size(a, MEMX_SERVER_A_BOOKKEEPING, s2), size(a, MEMX_SERVER_A_AT_HAND, s3));
	if (figure(a, MEMX_SERVER_A_EXTENTS))
		printf("holds      the only copy of %llu extents of %llu volumes (%s), so the module cannot be\n"
		       "           unloaded; memxctl host stop ends it when they are gone, with --discard now\n",
		       (unsigned long long)figure(a, MEMX_SERVER_A_EXTENTS),
		       (unsigned long long)figure(a, MEMX_SERVER_A_VOLUMES),
		       size(a, MEMX_SERVER_A_BYTES, s1));
	else
		printf("holds      nothing that would be lost\n");
}

static void on_status(struct nlattr **attrs, void *user)
{
	struct ctl *c = user;

	if (c->json)
		status_json(attrs);
	else
		status_text(attrs);
}

static int cmd_host_status(struct ctl *c, int argc, char **argv)
{
	struct nlc n;
	int rc;

	ctl_options(NULL, "host ", "Shows what this machine donates, and what would be lost if it stopped.", NULL, 0,
		    &argc, &argv);
	if (!is_loaded()) {
		on_status((struct nlattr *[MEMX_SERVER_A_MAX + 1]){ NULL }, c);
		return CTL_OK;
	}
	open_module(&n);
	rc = nlc_run(&n, nlc_request(&n, MEMX_SERVER_CMD_STATUS, 0), on_status, c);
	if (rc)
		refused(&n, rc);
	nlc_close(&n);
	return CTL_OK;
}

/* ---- stop ---- */

static void on_state(struct nlattr **attrs, void *user)
{
	*(unsigned *)user = state_of(attrs);
}

/* Until it holds nothing. A module that is gone (-ENOENT) holds nothing either. */
static void wait_stopped(struct nlc *n)
{
	unsigned state = MEMX_SERVER_LEAVING;
	int rc;

	fprintf(stderr, "memxctl: %s\n", n->said);
	while (state != MEMX_SERVER_STOPPED) {
		g_usleep(G_USEC_PER_SEC / 4);
		rc = nlc_run(n, nlc_request(n, MEMX_SERVER_CMD_STATUS, 0), on_state, &state);
		if (rc == -ENOENT)
			return;
		if (rc)
			refused(n, rc);
	}
}

static int cmd_stop(struct ctl *c, int argc, char **argv)
{
	struct typed t = { 0 };
	const GOptionEntry entries[] = {
		{ "discard", 0, 0, G_OPTION_ARG_NONE, &t.discard,
		  "Lose what this machine has the only copy of", NULL },
		{ "wait", 0, 0, G_OPTION_ARG_NONE, &t.wait,
		  "Return when it has ended, however long that takes", NULL },
		{ 0 },
	};
	struct nl_msg *m;
	struct nlc n;
	int rc;

	ctl_options(entries, "host ", "Ends donating at once if nothing is lost by it. Else this machine takes nothing new and\n"
		    "ends when what it holds is deleted or moved away.", NULL, 0, &argc, &argv);
	if (t.wait && !is_loaded())
		return CTL_OK;
	open_loaded(&n);
	m = nlc_request(&n, MEMX_SERVER_CMD_STOP, 0);
	if (t.discard)
		nla_put_flag(m, MEMX_SERVER_A_DISCARD);
	rc = nlc_run(&n, m, NULL, NULL);
	if (rc == -EBUSY && t.wait)
		wait_stopped(&n);
	else if (rc && !(rc == -ESRCH && t.wait))
		refused(&n, rc);
	nlc_close(&n);
	return CTL_OK;
}

/* ---- dispatch ---- */

int cmd_host(struct ctl *c, int argc, char **argv)
{
	static const struct command subs[] = {
		{ "status", cmd_host_status }, { "start", cmd_start }, { "set", cmd_set },
		{ "stop", cmd_stop }, { 0 },
	};

	return ctl_dispatch(c, subs,
			    "Usage: memxctl [OPTION...] host status | start --memory SIZE | set | stop\n\n"
			    "What this machine donates by the kernel module memx-server.\n"
			    "memxctl host start --help (and so on) tells about each.", argc, argv);
}
