/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memxctl: shows and manages a MemX pool. See memxctl(1).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/posix/key.h"
#include "tools/memxctl.h"

#define TIMEOUT		5	/* seconds */

static const char usage[] =
	"Usage: memxctl [OPTION...] COMMAND\n"
	"\n"
	"Shows and manages a MemX pool.\n"
	"\n"
	"Commands:\n"
	"  servers                          the pool's servers\n"
	"  status                           health of servers and volumes\n"
	"  top                              load, live\n"
	"  metrics                          figures for Prometheus\n"
	"  volume create NAME SIZE          make a volume\n"
	"  volume list                      all volumes\n"
	"  volume info NAME                 one volume: where it is, who uses it\n"
	"  volume resize NAME SIZE          grow it; with --shrink make it smaller\n"
	"  volume delete NAME               delete it and what is in it\n"
	"  volume recover NAME              go on with what is left when most holders are gone\n"
	"  volume key NAME                  the key that opens this volume alone\n"
	"  keygen                           a new key for a pool\n"
	"\n"
	"Commands for the kernel modules:\n"
	"  attach NAME                      make the volume a block device, /dev/memxblkN\n"
	"  detach NAME|DEVICE               give it back; with --force also with I/O under way\n"
	"  attached                         what is attached on this machine\n"
	"  resize NAME|DEVICE SIZE          change the size of an attached volume\n"
	"  key load NAME                    give them a key, as memx:NAME\n"
	"  host start --memory SIZE         make this machine donate memory (memx-server)\n"
	"  host set                         change how much\n"
	"  host status                      what it donates, and would lose\n"
	"  host stop                        end that\n"
	"\n"
	"Options:\n"
	"  -s, --server=ADDR[:PORT]   a server of the pool (repeatable; default: MEMX_SERVERS,\n"
	"                             /etc/memx/client.conf, this machine)\n"
	"  -i, --interface=IF         find servers by their announcements there; raw:IF\n"
	"  -k, --key-file=FILE        the pool's key\n"
	"  -t, --timeout=SECONDS      how long to wait for servers (default 5)\n"
	"  -j, --json                 print JSON\n"
	"  -h, --help                 this text; after a command: its options\n"
	"      --version\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 in use, 5 degraded or lost\n"
	"(status), 6 no server answered, 7 key refused. See memxctl(1).\n";

void die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fflush(stdout);
	fputs("memxctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(code);
}

int ctl_code(int rc)
{
	switch (-rc) {
	case EINVAL:
	case EMEDIUMTYPE:
	case EMSGSIZE:
		return CTL_USAGE;
	case ENOENT:
		return CTL_NOT_FOUND;
	case EBUSY:
		return CTL_IN_USE;
	case ENOTRECOVERABLE:
		return CTL_DEGRADED;
	case ETIMEDOUT:
	case EHOSTUNREACH:
		return CTL_NO_SERVER;
	case EKEYREJECTED:
	case EACCES:
		return CTL_KEY;
	default:
		return CTL_FAILED;
	}
}

void die_errno(int rc, char *err)
{
	die(ctl_code(rc), "%s", err && *err ? err : strerror(-rc));
}

void ctl_options(const GOptionEntry *entries, const char *group, const char *summary,
		 const char *args, int want, int *argc, char ***argv)
{
	GOptionContext *o = g_option_context_new(args);
	char *prog = g_strdup_printf("memxctl %s%s", group, (*argv)[0]);
	GError *e = NULL;

	g_set_prgname(prog);
	g_option_context_set_summary(o, summary);
	if (entries)
		g_option_context_add_main_entries(o, entries, NULL);
	g_option_context_set_description(o, "For --server, --key-file, --json and others see memxctl --help.\n");
	if (!g_option_context_parse(o, argc, argv, &e))
		die(CTL_USAGE, "%s; see %s --help", e->message, prog);
	if (!want && *argc > 1)
		die(CTL_USAGE, "%s takes no argument, but \"%s\" was given; see %s --help", prog, (*argv)[1],
		    prog);
	if (*argc - 1 != want)
		die(CTL_USAGE, "%s takes %d argument%s (%s), but %d %s given; see %s --help", prog, want,
		    want == 1 ? "" : "s", args, *argc - 1, *argc == 2 ? "was" : "were",
		    prog);
	g_option_context_free(o);
	g_free(prog);
}

/* "a, b or c" */
static char *name_all(const struct command *subs)
{
	GString *s = g_string_new(NULL);

	for (const struct command *p = subs; p->name; p++)
		g_string_append_printf(s, "%s%s", p == subs ? "" : p[1].name ? ", " : " or ", p->name);
	return g_string_free(s, FALSE);
}

int ctl_dispatch(struct ctl *c, const struct command *subs, const char *help, int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		puts(help);
		return CTL_OK;
	}
	for (const struct command *p = subs; argc > 1 && p->name; p++)
		if (!strcmp(argv[1], p->name))
			return p->run(c, argc - 1, argv + 1);
	if (argc > 1)
		die(CTL_USAGE, "%s: there is no command \"%s\"; expected %s", argv[0], argv[1], name_all(subs));
	die(CTL_USAGE, "%s: a command is missing; expected %s", argv[0], name_all(subs));
}

static void print_log(void *user, int level, const char *line)
{
	if (level <= MX_LOG_ERR)
		fprintf(stderr, "memxctl: %s\n", line);
}

int ctl_try_connect(struct ctl *c, char **err)
{
	struct memx_opts o = {
		.servers = (const char *const *)c->servers, .interface = c->interface,
		.key_file = c->key_file, .log = print_log,
	};
	int rc;

	if (c->m)
		return CTL_OK;
	c->m = memx_new(&o, err);
	if (!c->m) {
		if (!*err)
			*err = g_strdup("not enough memory");
		return CTL_USAGE;
	}
	rc = memx_wait_servers(c->m, (mx_ns)(c->timeout * 1e9), err);
	if (!rc)
		return CTL_OK;
	if (!*err)
		*err = g_strdup(strerror(-rc));
	memx_free(c->m);
	c->m = NULL;
	return ctl_code(rc);
}

void ctl_connect(struct ctl *c)
{
	char *err = NULL;
	int code = ctl_try_connect(c, &err);

	if (code)
		die(code, "%s", err);
}

void ctl_run(struct ctl *c, const unsigned *pending, double seconds)
{
	mx_ns until = memx_now() + (mx_ns)(seconds * 1e9);

	memx_flush(c->m);
	while (*pending && memx_now() < until) {
		memx_process(c->m);
		if (*pending)
			memx_wait(c->m, until);
	}
}

/* ---- JSON ---- */

void print_json(JsonBuilder *b)
{
	JsonNode *root = json_builder_get_root(b);
	char *text = json_to_string(root, TRUE);

	puts(text);
	g_free(text);
	json_node_unref(root);
	g_object_unref(b);
}

void j_str(JsonBuilder *b, const char *name, const char *v)
{
	json_builder_set_member_name(b, name);
	if (v)
		json_builder_add_string_value(b, v);
	else
		json_builder_add_null_value(b);
}

void j_int(JsonBuilder *b, const char *name, u64 v)
{
	json_builder_set_member_name(b, name);
	json_builder_add_int_value(b, (gint64)v);
}

void j_bool(JsonBuilder *b, const char *name, bool v)
{
	json_builder_set_member_name(b, name);
	json_builder_add_boolean_value(b, v);
}

void j_double(JsonBuilder *b, const char *name, double v)
{
	json_builder_set_member_name(b, name);
	json_builder_add_double_value(b, v);
}

/* ---- keygen ---- */

static int cmd_keygen(struct ctl *c, int argc, char **argv)
{
	struct mx_key k = { .kind = MX_KEY_CLUSTER };
	char text[MXP_KEY_STR];
	FILE *f;

	if (argc > 1)
		die(CTL_USAGE, "keygen takes no argument; `(umask 077; memxctl keygen >FILE)` keeps the "
		    "key in a file that only you can read");
	f = fopen("/dev/urandom", "re");
	if (!f || fread(k.key, 1, sizeof k.key, f) != sizeof k.key)
		die(CTL_FAILED, "cannot read /dev/urandom: %s", strerror(errno));
	fclose(f);
	mxp_key_str(&k, text);
	puts(text);
	if (fflush(stdout))
		die(CTL_FAILED, "cannot write the key: %s", strerror(errno));
	mxp_key_wipe(text, sizeof text);
	mxp_key_wipe(&k, sizeof k);
	return CTL_OK;
}

/* ---- command line ---- */

static const struct command commands[] = {
	{ "servers", cmd_servers }, { "status", cmd_status }, { "top", cmd_top },
	{ "metrics", cmd_metrics }, { "volume", cmd_volume }, { "keygen", cmd_keygen },
	{ "key", cmd_kernel_key }, { "host", cmd_host }, { "attach", cmd_attach },
	{ "detach", cmd_detach }, { "attached", cmd_attached }, { "resize", cmd_resize_device },
};

static const struct command *find_command(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	die(CTL_USAGE, "there is no command \"%s\"; there are servers, status, top, metrics, volume, "
	    "keygen, attach, detach, attached, resize, key and host (memxctl --help)", name);
}

/* Takes the common options out of argv, wherever they stand. */
static void common_options(struct ctl *c, int *argc, char ***argv)
{
	gboolean version = FALSE;
	const GOptionEntry entries[] = {
		{ "server", 's', 0, G_OPTION_ARG_STRING_ARRAY, &c->servers, NULL, NULL },
		{ "interface", 'i', 0, G_OPTION_ARG_STRING, &c->interface, NULL, NULL },
		{ "key-file", 'k', 0, G_OPTION_ARG_FILENAME, &c->key_file, NULL, NULL },
		{ "timeout", 't', 0, G_OPTION_ARG_DOUBLE, &c->timeout, NULL, NULL },
		{ "json", 'j', 0, G_OPTION_ARG_NONE, &c->json, NULL, NULL },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &version, NULL, NULL },
		{ 0 },
	};
	GOptionContext *context = g_option_context_new(NULL);
	GError *e = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_set_ignore_unknown_options(context, TRUE);
	if (!g_option_context_parse(context, argc, argv, &e))
		die(CTL_USAGE, "%s; see memxctl --help", e->message);
	g_option_context_free(context);
	if (version) {
		printf("memxctl %s, protocol %u.%u\n", MEMX_VERSION, MX_PROTO_MAJOR, MX_PROTO_MINOR);
		exit(CTL_OK);
	}
	c->timeout_given = c->timeout >= 0;
	if (!c->timeout_given)
		c->timeout = TIMEOUT;
	if (!(c->timeout > 0 && c->timeout <= 3600))
		die(CTL_USAGE, "--timeout must be from 0 to 3600 seconds");
}

int main(int argc, char **argv)
{
	struct ctl c = { .timeout = -1 };
	const struct command *cmd;
	int rc;

	setlocale(LC_CTYPE, "");
	common_options(&c, &argc, &argv);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
			 !strcmp(argv[1], "help"))) {
		fputs(usage, stdout);
		return CTL_OK;
	}
	if (argc < 2) {
		fputs(usage, stderr);
		return CTL_USAGE;
	}
	if (argv[1][0] == '-')
		die(CTL_USAGE, "there is no option %s; see memxctl --help", argv[1]);
	cmd = find_command(argv[1]);
	rc = cmd->run(&c, argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout))
		die(CTL_FAILED, "cannot write the result: %s", strerror(errno));
	memx_free(c.m);
	return rc;
}
