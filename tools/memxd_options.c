/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memxd's options. A configuration file has the same ones, a line each:
 * "memory = 8G" is --memory=8G; what is on the command line comes after it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glib.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/desc.h"
#include "net/posix/key.h"
#include "net/posix/size.h"
#include "tools/memxd.h"

#define FLOOR_SHARE	20u		/* of the host's memory: 1/20 */
#define FLOOR_MIN	(256ull << 20)
#define MEMORY_MIN	(8ull << 20)
/* A little longer than a client of QEMU takes between an answer and its next request, at
 * depth 1; about as long as the processor is busy with a sleep and a wake-up. */
#define POLL_DEFAULT_US	20
#define POLL_MAX_US	1000000

/* As typed. */
static struct {
	char *config, *memory, *floor, *key_file, *name, *state_dir, *log_level, *buffer, *suite;
	char **listen, **interface, **trusted, **join;
	int poll_us;
	gboolean foreground, version;
} typed = { .poll_us = POLL_DEFAULT_US };

static const GOptionEntry entries[] = {
	{ "config", 'c', 0, G_OPTION_ARG_FILENAME, &typed.config,
	  "Read options from FILE, a line \"name = value\" each", "FILE" },
	{ "memory", 'm', 0, G_OPTION_ARG_STRING, &typed.memory,
	  "Memory to donate, as 512M or 8G (needed)", "SIZE" },
	{ "listen", 'l', 0, G_OPTION_ARG_STRING_ARRAY, &typed.listen,
	  "Serve on this address; * is all of them (repeatable; default: loopback, with a key or "
	  "a trusted interface all)", "ADDR[:PORT]" },
	{ "interface", 'i', 0, G_OPTION_ARG_STRING_ARRAY, &typed.interface,
	  "Announce this server there; raw:IF: and serve raw Ethernet (repeatable)", "IF" },
	{ "trusted-interface", 0, 0, G_OPTION_ARG_STRING_ARRAY, &typed.trusted,
	  "Serve there without a key (repeatable)", "IF" },
	{ "join", 'j', 0, G_OPTION_ARG_STRING_ARRAY, &typed.join,
	  "A server of the pool (repeatable)", "ADDR[:PORT]" },
	{ "key-file", 'k', 0, G_OPTION_ARG_FILENAME, &typed.key_file,
	  "The pool's key, as memxctl keygen prints it", "FILE" },
	{ "name", 'n', 0, G_OPTION_ARG_STRING, &typed.name,
	  "How this server is named to people (default: the host's name)", "NAME" },
	{ "floor", 0, 0, G_OPTION_ARG_STRING, &typed.floor,
	  "Memory to leave to the host (default: 1/20 of it, at least 256M)", "SIZE" },
	{ "poll-us", 0, 0, G_OPTION_ARG_INT, &typed.poll_us,
	  "Poll N microseconds for requests before sleeping, while they come (default 20)", "N" },
	{ "socket-buffer", 0, 0, G_OPTION_ARG_STRING, &typed.buffer,
	  "Buffer of each socket (default 4M, as far as the system allows)", "SIZE" },
	{ "suite", 0, 0, G_OPTION_ARG_STRING, &typed.suite,
	  "Encrypt by chacha20-poly1305 or aes256-gcm only (default: the faster of those both "
	  "sides have)", "NAME" },
	{ "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &typed.state_dir,
	  "Keep this server's lasting id there (default: made from the machine's id, name and "
	  "address)", "DIR" },
	{ "log-level", 0, 0, G_OPTION_ARG_STRING, &typed.log_level,
	  "error, warning, info (default) or debug", "LEVEL" },
	{ "foreground", 'f', 0, G_OPTION_ARG_NONE, &typed.foreground,
	  "Stay in the foreground (always so)", NULL },
	{ "version", 0, 0, G_OPTION_ARG_NONE, &typed.version, "Print the version", NULL },
	{ 0 },
};

static void G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN bad(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("memxd: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

/* For sentences that were made elsewhere. */
static void G_GNUC_NORETURN bad_sentence(char *err)
{
	bad("%s", err ? err : "not enough memory");
}

/* ---- file and command line ---- */

static GOptionContext *context(void)
{
	GOptionContext *c = g_option_context_new("- donate memory to a MemX pool");

	g_option_context_add_main_entries(c, entries, NULL);
	g_option_context_set_description(c,
		"Without a key memxd serves loopback and interfaces named trusted only.\n"
		"SIGTERM ends it at once if it holds nothing; else it says what would be lost, takes\n"
		"nothing new, and a second SIGTERM ends it. SIGUSR1 logs figures. See memxd(8).");
	return c;
}

static void parse(char **args)
{
	GOptionContext *c = context();
	GError *e = NULL;

	if (!g_option_context_parse_strv(c, &args, &e))
		bad("%s; see memxd --help", e->message);
	if (args[0] && args[1])
		bad("\"%s\" is no option; all options start with --, see memxd --help", args[1]);
	g_option_context_free(c);
}

/* The file's lines as arguments, appended to @args. */
static void read_config(const char *file, GPtrArray *args)
{
	GError *e = NULL;
	char *text, **lines;

	if (!g_file_get_contents(file, &text, NULL, &e))
		bad("cannot read the configuration: %s", e->message);
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		char *name = g_strstrip(lines[i]), *value = strchr(name, '=');

		if (!*name || *name == '#')
			continue;
		if (value)
			*value++ = 0;
		name = g_strstrip(name);
		if (!*name || *name == '-' || strpbrk(name, " \t") || !strcmp(name, "config"))
			bad("line %u of %s is not understood; expected \"name = value\" with the name of "
			    "an option, as \"memory = 8G\"", i + 1, file);
		if (value && *g_strstrip(value))
			g_ptr_array_add(args, g_strdup_printf("--%s=%s", name, value));
		else
			g_ptr_array_add(args, g_strdup_printf("--%s", name));
	}
	g_strfreev(lines);
	g_free(text);
}

static void gather(int argc, char **argv)
{
	GPtrArray *args = g_ptr_array_new();

	parse(g_strdupv(argv));
	if (typed.version) {
		printf("memxd %s, protocol %u.%u\n", MEMX_VERSION, MX_PROTO_MAJOR, MX_PROTO_MINOR);
		exit(0);
	}
	if (!typed.config)
		return;
	/* Again, with the file's lines before: lists have those of both. */
	g_ptr_array_add(args, g_strdup(argv[0]));
	read_config(typed.config, args);
	for (int i = 1; i < argc; i++)
		g_ptr_array_add(args, g_strdup(argv[i]));
	g_ptr_array_add(args, NULL);
	typed.listen = typed.interface = typed.trusted = typed.join = NULL;
	parse((char **)g_ptr_array_free(args, FALSE));
}

/* ---- checks ---- */

static u64 size_of(const char *text, const char *what)
{
	char *err = NULL;
	u64 v;

	if (!mxp_size_parse(text, what, &v, &err))
		bad_sentence(err);
	return v;
}

static void check_memory(struct options *o)
{
	u64 total = host_total();
	char a[MXP_SIZE_STR], b[MXP_SIZE_STR];

	if (!typed.memory)
		bad("how much memory is to be donated is not said; give --memory SIZE, as --memory 4G");
	o->memory = size_of(typed.memory, "--memory");
	if (o->memory < MEMORY_MIN)
		bad("--memory %s is too little to be of use; give 8M at least", typed.memory);
	if (total && o->memory > total)
		bad("--memory %s is more than this machine has (%s)", typed.memory,
		    mxp_size_str(total, a));
	o->floor = MAX(total / FLOOR_SHARE, FLOOR_MIN);
	if (typed.floor)
		o->floor = size_of(typed.floor, "--floor");
	if (total && o->floor >= total)
		bad("--floor %s leaves nothing to donate of this machine's %s", typed.floor,
		    mxp_size_str(total, a));
	if (total && o->memory + o->floor > total)
		bad("--memory %s and a floor of %s for the host are more than this machine has (%s); "
		    "donate less, or lower --floor", typed.memory, mxp_size_str(o->floor, a),
		    mxp_size_str(total, b));
}

static u32 interface(const char *name)
{
	char *err = NULL;
	u32 index = mxp_if_index(name, &err);

	if (!index)
		bad_sentence(err);
	return index;
}

static bool is_trusted(const struct options *o, u32 ifindex)
{
	for (unsigned i = 0; i < o->ntrusted; i++)
		if (o->trusted[i] == ifindex)
			return true;
	return false;
}

static void check_interfaces(struct options *o)
{
	for (char **s = typed.trusted; s && *s; s++) {
		if (o->ntrusted == IF_MAX)
			bad("more than %u trusted interfaces; use a key (--key-file)", IF_MAX);
		if (!strncmp(*s, "raw:", 4))
			*s += 4;
		o->trusted[o->ntrusted++] = interface(*s);
	}
	for (char **s = typed.interface; s && *s; s++) {
		bool raw = !strncmp(*s, "raw:", 4);
		u32 index = interface(raw ? *s + 4 : *s);

		if (o->ninterfaces == IF_MAX)
			bad("more than %u interfaces to announce on are not supported", IF_MAX);
		if (raw && o->key.kind == MX_KEY_NONE && !is_trusted(o, index))
			bad("without a key anybody on %s could read and overwrite what is kept here; "
			    "give --key-file FILE (memxctl keygen makes a key), or say that the "
			    "network is trusted: --trusted-interface %s", *s + 4, *s + 4);
		o->interfaces[o->ninterfaces++] = *s;
	}
}

static void may_listen(const struct options *o, const struct mx_addr *a, const char *text)
{
	if (o->key.kind != MX_KEY_NONE || mxp_addr_is_loopback(a))
		return;
	if (mxp_addr_is_any(a) && o->ntrusted)
		return;		/* others than those are not listened to (batch.c) */
	for (unsigned i = 0; i < o->ntrusted; i++)
		if (mxp_if_has_addr(o->trusted[i], a))
			return;
	bad("refusing to listen on %s without a key: anybody who can reach it could read and "
	    "overwrite what is kept here; give --key-file FILE (memxctl keygen makes a key), or "
	    "name the interface of that address as trusted: --trusted-interface IF", text);
}

static void add_listen(struct options *o, const char *text)
{
	struct mx_addr a[MXP_ADDR_MAX];
	char *err = NULL;
	unsigned n = mxp_addr_parse_listen(text, MX_UDP_PORT, a, MXP_ADDR_MAX, &err);

	if (!n)
		bad_sentence(err);
	for (unsigned i = 0; i < n; i++) {
		if (o->nlisten == LISTEN_MAX)
			bad("more than %u addresses to listen on; * is all of them", LISTEN_MAX);
		may_listen(o, &a[i], text);
		o->listen_dual[o->nlisten] = *text == '*';
		o->listen[o->nlisten++] = a[i];
	}
}

static bool has_ipv6(void)
{
	return access("/proc/sys/net/ipv6/conf/lo/disable_ipv6", F_OK) == 0 &&
	       mxp_if_has_family(if_nametoindex("lo"), MX_FAM_IP6);
}

static void check_listen(struct options *o)
{
	bool raw_only = o->ninterfaces > 0;

	for (char **s = typed.listen; s && *s; s++)
		add_listen(o, *s);
	for (unsigned i = 0; i < o->ninterfaces; i++)
		raw_only &= !strncmp(o->interfaces[i], "raw:", 4);
	if (o->nlisten)
		return;
	if (!raw_only && (o->key.kind != MX_KEY_NONE || o->ntrusted)) {
		add_listen(o, "*");
		return;
	}
	add_listen(o, "127.0.0.1");
	if (has_ipv6())
		add_listen(o, "::1");
}

static void check_join(struct options *o)
{
	for (char **s = typed.join; s && *s; s++) {
		struct mx_addr a[MXP_ADDR_MAX];
		char *err = NULL;
		unsigned n = mxp_addr_parse(*s, MX_UDP_PORT, a, MXP_ADDR_MAX, &err);

		if (!n)
			bad_sentence(err);
		if (o->njoin + n > JOIN_MAX)
			bad("more than %u addresses to join; a few are enough, servers tell of each "
			    "other", JOIN_MAX);
		memcpy(&o->join[o->njoin], a, n * sizeof a[0]);
		o->njoin += n;
	}
}

/*
 * The unit hands the files of /etc/memx, which may be root's alone, to memxd as
 * credentials memx_NAME (LoadCredential=memx:/etc/memx); a user who may read none
 * of the originals reads them there.
 */
static const char *key_path(const char *file)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *parent = g_path_get_dirname(file), *name = g_path_get_basename(file);
	char *handed;

	if (!dir || strcmp(parent, "/etc/memx"))
		return file;
	handed = g_strdup_printf("%s/memx_%s", dir, name);
	return access(handed, F_OK) ? file : handed;
}

static void check_key(struct options *o)
{
	char *err = NULL;

	if (!typed.key_file)
		return;
	if (mxp_key_load(key_path(typed.key_file), &o->key, &err))
		bad_sentence(err);
	if (o->key.kind != MX_KEY_CLUSTER)
		bad("%s has the key of one volume (%s); a server needs the pool's key, from which "
		    "those are made", typed.key_file, o->key.volume);
}

static void check_suite(struct options *o)
{
	enum mx_suite s = MX_SUITE_NONE;

	if (!typed.suite)
		return;
	if (!strcmp(typed.suite, "chacha20-poly1305"))
		s = MX_SUITE_CHACHA20_POLY1305;
	else if (!strcmp(typed.suite, "aes256-gcm"))
		s = MX_SUITE_AES256_GCM;
	else
		bad("--suite \"%s\" is not known; there are chacha20-poly1305 and aes256-gcm",
		    typed.suite);
	if (!mx_aead_have(s))
		bad("--suite %s: this machine's processor has no instructions for it; use "
		    "chacha20-poly1305", typed.suite);
	o->suites = (u8)(1u << s);
}

static void check_name(struct options *o)
{
	char host[MX_NAME_MAX + 1] = "server";

	gethostname(host, sizeof host - 1);
	host[sizeof host - 1] = 0;
	g_strlcpy(o->name, typed.name ? typed.name : host, sizeof o->name);
	if ((typed.name && strlen(typed.name) > MX_NAME_MAX) || !mx_name_valid(o->name))
		bad("--name \"%.80s\" is not possible; names are 1 to %u of A-Z a-z 0-9 . _ : + @ -",
		    typed.name ? typed.name : host, MX_NAME_MAX);
}

void options_read(struct options *o, int argc, char **argv)
{
	memset(o, 0, sizeof *o);
	o->log_level = MX_LOG_INFO;
	gather(argc, argv);
	if (typed.log_level) {
		o->log_level = log_level_parse(typed.log_level);
		if (o->log_level < 0)
			bad("--log-level \"%s\" is not known; there are error, warning, info and debug",
			    typed.log_level);
	}
	if (typed.poll_us < 0 || typed.poll_us > POLL_MAX_US)
		bad("--poll-us must be from 0 to %u", POLL_MAX_US);
	o->poll_us = (unsigned)typed.poll_us;
	if (typed.buffer) {
		u64 v = size_of(typed.buffer, "--socket-buffer");

		if (v < 64 * 1024 || v > 1024ull << 20)
			bad("--socket-buffer must be from 64K to 1G");
		o->socket_buffer = (unsigned)v;
	}
	o->state_dir = typed.state_dir;
	check_memory(o);
	check_key(o);
	check_suite(o);
	check_name(o);
	check_interfaces(o);
	check_listen(o);
	check_join(o);
}
