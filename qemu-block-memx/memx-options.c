/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of the memx block driver.
 *
 * They arrive as a flat QDict, whether given by -drive, by a filename or, in a
 * QEMU whose schema knows the driver, by -blockdev. Defaults and meaning are
 * those of BlockdevOptionsMemx in the schema (patches/, qapi/block-core.json).
 */
#include "memx-compat.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/option.h"
#include "crypto/secret.h"
#include "memx-options.h"

#define MEMX_DEFAULT_PORT		"7770"
#define MEMX_DEFAULT_OPEN_TIMEOUT_S	30
/* More than this is a mistake (milliseconds meant, or a sign lost). */
#define MEMX_TIMEOUT_S_MAX		(7u * 24 * 3600)
/* As long as QEMU's own I/O threads poll by themselves. */
#define MEMX_DEFAULT_POLL_US		32
/* Longer than any answer worth spinning for. */
#define MEMX_POLL_US_MAX		10000u

const char *const memx_strong_options[] = {
	"volume", "server.", "interface", "raw", "key-secret", "key-file", NULL
};

static QemuOptsList memx_runtime_opts = {
	.name = "memx",
	.head = QTAILQ_HEAD_INITIALIZER(memx_runtime_opts.head),
	.desc = {
		{
			.name = "volume",
			.type = QEMU_OPT_STRING,
			.help = "name of the volume",
		}, {
			.name = "interface",
			.type = QEMU_OPT_STRING,
			.help = "network interface to hear announcements on",
		}, {
			.name = "raw",
			.type = QEMU_OPT_BOOL,
			.help = "raw Ethernet frames instead of UDP",
		}, {
			.name = "key-secret",
			.type = QEMU_OPT_STRING,
			.help = "ID of the secret object that holds the key",
		}, {
			.name = "key-file",
			.type = QEMU_OPT_STRING,
			.help = "file that holds the key",
		}, {
			.name = "open-timeout",
			.type = QEMU_OPT_NUMBER,
			.help = "seconds that opening may take, 0: no limit (default: 30)",
		}, {
			.name = "timeout",
			.type = QEMU_OPT_NUMBER,
			.help = "seconds to wait for silent servers, 0: for ever (default)",
		}, {
			.name = "force",
			.type = QEMU_OPT_BOOL,
			.help = "take the volume from an owner known to be dead",
		}, {
			.name = "poll-us",
			.type = QEMU_OPT_NUMBER,
			.help = "microseconds to spin for an answer at most (default: 32)",
		},
		{ /* end of list */ }
	},
};

static bool get_number(QemuOpts *opts, const char *name, unsigned defval, unsigned max,
		       unsigned *out, Error **errp)
{
	uint64_t v = qemu_opt_get_number(opts, name, defval);

	if (v > max) {
		error_setg(errp, "memx: '%s' is %" PRIu64 ", but must be between 0 and %u",
			   name, v, max);
		return false;
	}
	*out = v;
	return true;
}

/* "host" and "port" as one word; an IPv6 address in brackets. */
static char *join_address(const char *host, const char *port)
{
	bool v6 = strchr(host, ':') && host[0] != '[';

	return g_strdup_printf(v6 ? "[%s]:%s" : "%s:%s", host,
			       port && *port ? port : MEMX_DEFAULT_PORT);
}

/* A port is a string in the schema; json: filenames may give a number. */
static char *take_port(QDict *server, const char *key, Error **errp)
{
	QObject *obj = qdict_get(server, key);
	unsigned long v;
	char *text;

	if (!obj)
		return g_strdup(MEMX_DEFAULT_PORT);
	if (qobject_to(QNum, obj))
		text = qnum_to_string(qobject_to(QNum, obj));
	else
		text = g_strdup(qdict_get_try_str(server, key));
	if (!text || qemu_strtoul(text, NULL, 10, &v) < 0 || v < 1 || v > 65535) {
		error_setg(errp, "memx: server.%s is '%s', but must be a UDP port, 1 to 65535",
			   key, text ? text : "not a string");
		g_free(text);
		return NULL;
	}
	qdict_del(server, key);
	return text;
}

/* server.0.host, server.0.port, server.1.host, ... */
static bool take_servers(MemxOptions *o, QDict *options, Error **errp)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	QDict *servers;
	bool ok = false;
	unsigned i;

	qdict_extract_subqdict(options, &servers, "server.");
	for (i = 0; ; i++) {
		g_autofree char *host_key = g_strdup_printf("%u.host", i);
		g_autofree char *port_key = g_strdup_printf("%u.port", i);
		const char *host = qdict_get_try_str(servers, host_key);
		g_autofree char *port = NULL;

		if (!host)
			break;
		if (!*host) {
			error_setg(errp, "memx: server.%s is empty", host_key);
			goto out;
		}
		port = take_port(servers, port_key, errp);
		if (!port)
			goto out;
		g_ptr_array_add(list, join_address(host, port));
		qdict_del(servers, host_key);
	}
	if (qdict_size(servers)) {
		error_setg(errp, "memx: 'server.%s' is not understood; servers are given as "
			   "server.0.host, server.0.port, server.1.host and so on",
			   qdict_entry_key(qdict_first(servers)));
		goto out;
	}
	ok = true;
out:
	if (ok && list->len) {
		g_ptr_array_add(list, NULL);
		o->servers = (char **)g_ptr_array_free(list, false);
	} else {
		g_ptr_array_free(list, true);
	}
	qobject_unref(servers);
	return ok;
}

static bool take_interface(MemxOptions *o, QemuOpts *opts, Error **errp)
{
	const char *interface = qemu_opt_get(opts, "interface");
	bool raw = qemu_opt_get_bool(opts, "raw", false);

	if (raw && !interface) {
		error_setg(errp, "memx: 'raw' needs 'interface': raw frames are not routed");
		return false;
	}
	if (raw)
		o->interface = g_strdup_printf("raw:%s", interface);
	else
		o->interface = g_strdup(interface);
	return true;
}

static bool take_opts(MemxOptions *o, QemuOpts *opts, Error **errp)
{
	o->volume = g_strdup(qemu_opt_get(opts, "volume"));
	if (!o->volume || !*o->volume) {
		error_setg(errp, "memx: no volume given; "
			   "expected 'volume=NAME' or a filename like memx:NAME");
		return false;
	}
	o->key_secret = g_strdup(qemu_opt_get(opts, "key-secret"));
	o->key_file = g_strdup(qemu_opt_get(opts, "key-file"));
	if (o->key_secret && o->key_file) {
		error_setg(errp, "memx: 'key-secret' and 'key-file' cannot be used together");
		return false;
	}
	o->force = qemu_opt_get_bool(opts, "force", false);
	return take_interface(o, opts, errp) &&
		get_number(opts, "open-timeout", MEMX_DEFAULT_OPEN_TIMEOUT_S,
			   MEMX_TIMEOUT_S_MAX, &o->open_timeout_s, errp) &&
		get_number(opts, "timeout", 0, MEMX_TIMEOUT_S_MAX, &o->timeout_s, errp) &&
		get_number(opts, "poll-us", MEMX_DEFAULT_POLL_US, MEMX_POLL_US_MAX, &o->poll_us, errp);
}

MemxOptions *memx_options_new(QDict *options, Error **errp)
{
	g_autoptr(MemxOptions) o = g_new0(MemxOptions, 1);
	QemuOpts *opts = qemu_opts_create(&memx_runtime_opts, NULL, 0, &error_abort);
	bool ok = qemu_opts_absorb_qdict(opts, options, errp) &&
		take_opts(o, opts, errp) && take_servers(o, options, errp);

	qemu_opts_del(opts);
	return ok ? g_steal_pointer(&o) : NULL;
}

void memx_options_free(MemxOptions *o)
{
	if (!o)
		return;
	g_free(o->volume);
	g_strfreev(o->servers);
	g_free(o->interface);
	g_free(o->key_secret);
	g_free(o->key_file);
	g_free(o);
}

char *memx_options_key_hex(const MemxOptions *o, Error **errp)
{
	char *key;

	if (!o->key_secret)
		return NULL;
	key = qcrypto_secret_lookup_as_utf8(o->key_secret, errp);
	/* Secrets read from files end in a newline more often than not. */
	return key ? g_strchomp(key) : NULL;
}

/* ---- filenames ---- */

static bool is_option(const char *name)
{
	const QemuOptDesc *d;

	for (d = memx_runtime_opts.desc; d->name; d++) {
		if (strcmp(d->name, name) == 0 && strcmp(name, "volume") != 0)
			return true;
	}
	return false;
}

/* "host", "host:port", "[v6]", "[v6]:port" -> server.N.host, server.N.port */
static bool put_server(QDict *options, unsigned n, const char *text, Error **errp)
{
	g_autofree char *host_key = g_strdup_printf("server.%u.host", n);
	g_autofree char *port_key = g_strdup_printf("server.%u.port", n);
	const char *end, *port = NULL;
	g_autofree char *host = NULL;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			goto bad;
		host = g_strndup(text + 1, end - text - 1);
		port = end[1] ? end + 2 : NULL;
	} else {
		end = strchr(text, ':');
		host = end ? g_strndup(text, end - text) : g_strdup(text);
		port = end ? end + 1 : NULL;
	}
	if (!*host || (port && !*port))
		goto bad;
	qdict_put_str(options, host_key, host);
	if (port)
		qdict_put_str(options, port_key, port);
	return true;
bad:
	error_setg(errp, "memx: '%s' is not a server address; "
		   "expected HOST, HOST:PORT or [IPv6]:PORT", text);
	return false;
}

/* "server=h:p&timeout=5" */
static bool parse_query(const char *query, QDict *options, unsigned *nservers, Error **errp)
{
	g_auto(GStrv) words = g_strsplit(query, "&", -1);
	unsigned i;

	for (i = 0; words[i]; i++) {
		char *eq = strchr(words[i], '=');
		g_autofree char *value = NULL;

		if (!*words[i])
			continue;
		value = eq ? g_uri_unescape_string(eq + 1, NULL) : NULL;
		if (!value) {
			error_setg(errp, "memx: '%s' in the filename is not OPTION=VALUE",
				   words[i]);
			return false;
		}
		*eq = '\0';
		if (strcmp(words[i], "server") == 0) {
			if (!put_server(options, (*nservers)++, value, errp))
				return false;
		} else if (is_option(words[i])) {
			qdict_put_str(options, words[i], value);
		} else {
			error_setg(errp, "memx: unknown option '%s' in the filename; known are "
				   "server, interface, raw, key-secret, key-file, open-timeout, "
				   "timeout, force and poll-us", words[i]);
			return false;
		}
	}
	return true;
}

static bool parse_hosts(const char *hosts, QDict *options, unsigned *nservers, Error **errp)
{
	g_auto(GStrv) words = g_strsplit(hosts, ",", -1);
	unsigned i;

	for (i = 0; words[i]; i++) {
		if (!put_server(options, (*nservers)++, words[i], errp))
			return false;
	}
	return true;
}

/* A filename and an option that name different volumes: an image whose header
 * names its backing file, which is overridden by options, comes here. */
static bool put_volume(QDict *options, const char *volume, Error **errp)
{
	const char *other = qdict_get_try_str(options, "volume");

	if (other && strcmp(other, volume) != 0) {
		error_setg(errp, "memx: the filename names volume '%s', the option 'volume' '%s'; "
			   "give one of them", volume, other);
		return false;
	}
	qdict_put_str(options, "volume", volume);
	return true;
}

void memx_parse_filename(const char *filename, QDict *options, Error **errp)
{
	g_autofree char *text = NULL, *volume = NULL;
	unsigned nservers = 0;
	char *name, *query;

	if (!strstart(filename, "memx:", (const char **)&name)) {
		error_setg(errp, "memx: '%s' does not begin with 'memx:'", filename);
		return;
	}
	text = g_strdup(name);
	query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	name = text;
	if (strncmp(name, "//", 2) == 0) {
		char *hosts = name + 2;

		name = strchr(hosts, '/');
		if (!name) {
			error_setg(errp, "memx: '%s' names no volume; "
				   "expected memx://HOST[:PORT]/NAME", filename);
			return;
		}
		*name++ = '\0';
		/* memx:///NAME: no host given */
		if (*hosts && !parse_hosts(hosts, options, &nservers, errp))
			return;
	}
	volume = g_uri_unescape_string(name, NULL);
	if (!volume || !*volume) {
		error_setg(errp, "memx: '%s' names no volume; expected memx:NAME", filename);
		return;
	}
	if (put_volume(options, volume, errp) && query)
		parse_query(query, options, &nservers, errp);
}

/* Bytes that may stand for themselves in the name, and in an option's value. */
#define NAME_ALLOWED	":+@/"
#define VALUE_ALLOWED	":/[]@+,"

static void add_option(GString *s, const char *name, const char *value)
{
	g_autofree char *escaped = NULL;

	if (!value)
		return;
	escaped = g_uri_escape_string(value, VALUE_ALLOWED, false);
	g_string_append_printf(s, "%c%s=%s", strchr(s->str, '?') ? '&' : '?', name, escaped);
}

char *memx_options_filename(const MemxOptions *o, size_t max)
{
	g_autofree char *name = g_uri_escape_string(o->volume, NAME_ALLOWED, false);
	GString *s = g_string_new("memx:");
	const char *interface = o->interface;
	char **server;
	bool fits;

	g_string_append(s, name);
	for (server = o->servers; server && *server; server++)
		add_option(s, "server", *server);
	if (interface && strstart(interface, "raw:", &interface))
		add_option(s, "raw", "on");
	add_option(s, "interface", interface);
	add_option(s, "key-secret", o->key_secret);
	add_option(s, "key-file", o->key_file);
	fits = s->len < max;
	return g_string_free(s, !fits);
}
