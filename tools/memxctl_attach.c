/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes as block devices of this machine's kernel: attach, detach, attached, resize. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/memxctl_attach.h"
#include "tools/memxctl_nl.h"
#include "tools/memxctl_table.h"

#define CONF_FILE	"/etc/memx/client.conf"

/* ---- command line, errors ---- */

/* The kernel's errors by memxctl's exit codes. */
int kernel_code(int rc)
{
	switch (-rc) {
	case ENODEV:
		return CTL_NOT_FOUND;
	case EEXIST:
	case EALREADY:
		return CTL_IN_USE;
	case ENOKEY:
		return CTL_KEY;
	default:
		return ctl_code(rc);
	}
}

static void G_GNUC_NORETURN fail(const char *what, const char *name, int code, const char *err)
{
	die(code, "cannot %s \"%s\": %s", what, name, err);
}

void connect_kernel(bool load)
{
	if (!load && !kernel_has_module())
		die(CTL_FAILED, "the kernel module memx is not loaded, so nothing is attached here; "
		    "modprobe memx loads it");
	kernel_connect();
}

/* ---- where the pool is ---- */

struct where {
	GPtrArray *servers;		/* as typed */
	char *interface, *key_file;
};

static void add_words(GPtrArray *to, const char *words)
{
	char **w = g_strsplit_set(words, " \t,", -1);

	for (char **s = w; *s; s++)
		if (**s)
			g_ptr_array_add(to, g_strdup(*s));
	g_strfreev(w);
}

/* The same file that the client library reads. */
static void read_conf(struct where *w)
{
	char *text = NULL, **lines;

	if (!g_file_get_contents(CONF_FILE, &text, NULL, NULL))
		return;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		char *key = g_strstrip(lines[i]), *value = strchr(key, '=');

		if (!*key || *key == '#')
			continue;
		if (value)
			*value++ = 0;
		key = g_strchomp(key);
		if (value && !strcmp(key, "server"))
			add_words(w->servers, value);
		else if (value && !strcmp(key, "interface"))
			w->interface = g_strdup(g_strstrip(value));
		else if (value && !strcmp(key, "key-file"))
			w->key_file = w->key_file ? w->key_file : g_strdup(g_strstrip(value));
		else
			die(CTL_USAGE, "line %u of " CONF_FILE " is not understood; expected "
			    "server=ADDRESS, interface=NAME or key-file=FILE", i + 1);
	}
	g_strfreev(lines);
	g_free(text);
}

/* Without servers or an interface of @c: where the environment or the file says. */
static void find_pool(const struct ctl *c, struct where *w)
{
	const char *env = getenv("MEMX_SERVERS");

	w->servers = g_ptr_array_new();
	w->interface = c->interface;
	w->key_file = c->key_file;
	for (char **s = c->servers; s && *s; s++)
		g_ptr_array_add(w->servers, *s);
	if (w->servers->len || w->interface)
		return;
	if (env && *env)
		add_words(w->servers, env);
	else
		read_conf(w);
	if (!w->servers->len && !w->interface)
		g_ptr_array_add(w->servers, g_strdup("127.0.0.1"));
}

/* What an interface's announcements say. */
static int ask_around(struct ctl *c, const struct where *w, GPtrArray *out, char **err)
{
	int code;

	c->interface = w->interface;
	c->key_file = w->key_file;
	code = ctl_try_connect(c, err);
	if (code)
		return code;
	pool_collect(c);
	for (guint i = 0; i < c->pool->len && out->len < MEMX_SERVERS_MAX; i++) {
		const struct server *s = g_ptr_array_index(c->pool, i);

		g_ptr_array_add(out, nlc_address(&s->addr, NULL));
	}
	return CTL_OK;
}

/* Servers' addresses as numbers, for the kernel. Where only an interface was named they are
 * asked for here: announcements are for user space to hear. */
static int addresses(struct ctl *c, struct where *w, char ***list, char **err)
{
	GPtrArray *out = g_ptr_array_new();
	int code = CTL_OK;

	for (guint i = 0; !code && i < w->servers->len; i++)
		code = nlc_resolve(w->servers->pdata[i], out, MEMX_SERVERS_MAX, &w->interface, err);
	if (!code && !out->len)
		code = ask_around(c, w, out, err);
	g_ptr_array_add(out, NULL);
	*list = (char **)g_ptr_array_free(out, FALSE);
	return code;
}

/* ---- attach ---- */

static u32 milliseconds(const char *option, double s)
{
	if (!(s >= 0 && s <= 1e6))
		die(CTL_USAGE, "%s must be from 0 to 1000000 seconds", option);
	return table_ms(s);
}

void print_attached(const struct ctl *c, const char *volume, const char *device)
{
	JsonBuilder *b;

	if (!c->json) {
		printf("/dev/%s\n", device);
		return;
	}
	b = json_builder_new();
	json_builder_begin_object(b);
	j_str(b, "volume", volume);
	j_str(b, "device", device);
	json_builder_end_object(b);
	print_json(b);
}

int attach_volume(struct ctl *c, struct kernel_attach *k, char *device, char **err)
{
	static char desc[KERNEL_KEY_DESC];
	struct mx_key key;
	struct where w;
	int code, rc;

	find_pool(c, &w);
	code = addresses(c, &w, &k->servers, err);
	k->interface = w.interface;
	k->key = w.key_file ? desc : NULL;
	if (!code && k->key)
		code = nlc_hand_over_key(w.key_file, desc, &key, err);
	if (!code) {
		rc = kernel_attach(k, device, err);
		/* What is not there, or down, is the interface. */
		code = !rc ? CTL_OK : rc == -ENODEV || rc == -ENETDOWN ? CTL_USAGE : kernel_code(rc);
	}
	g_strfreev(k->servers);
	return code;
}

/* ---- attach, detach, resize ---- */

static int attach_named(struct ctl *c, struct kernel_attach *k)
{
	char device[32], *err = NULL;
	int code = attach_volume(c, k, device, &err);

	if (code)
		fail("attach", k->volume, code, err);
	down_by_systemd(k->volume);
	print_attached(c, k->volume, device);
	return CTL_OK;
}

int cmd_attach(struct ctl *c, int argc, char **argv)
{
	gboolean read_only = FALSE, force = FALSE, table = FALSE, wait = FALSE;
	double fail_after = 0;
	int queues = 0;
	const GOptionEntry entries[] = {
		{ "read-only", 'r', 0, G_OPTION_ARG_NONE, &read_only, "For reading only", NULL },
		{ "fail-after", 0, 0, G_OPTION_ARG_DOUBLE, &fail_after,
		  "Requests fail when servers have been silent for so long (default: they wait for ever)",
		  "SECONDS" },
		{ "queues", 0, 0, G_OPTION_ARG_INT, &queues,
		  "Hardware queues (default: one for each CPU, at most 4)", "N" },
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force,
		  "Also if it seems to be in use: its user is known to be dead", NULL },
		{ "table", 0, 0, G_OPTION_ARG_NONE, &table,
		  "As " TABLE_FILE " says; without NAME all that stand there", NULL },
		{ "wait", 0, 0, G_OPTION_ARG_NONE, &wait,
		  "With --table NAME: again and again while servers are missing (not for swap)", NULL },
		{ 0 },
	};
	struct kernel_attach k = { 0 };

	ctl_options(entries, "", "Makes a volume a block device of this machine and prints its name. Waits up to\n"
	      "--timeout seconds (default 30) for it.", "NAME", table_wants(argc, argv), &argc, &argv);
	if (table && (read_only || force || queues || fail_after != 0))
		die(CTL_USAGE, "with --table the file says how volumes are attached; see memxctl attach --help");
	if (wait && !(table && argc > 1))
		die(CTL_USAGE, "--wait goes with --table NAME; see memxctl attach --help");
	if (table)
		return table_attach(c, argv[1], wait);
	check_name(argv[1]);
	if (queues < 0 || queues > (int)MEMX_QUEUES_MAX)
		die(CTL_USAGE, "--queues must be from 1 to %u", MEMX_QUEUES_MAX);
	k.volume = argv[1];
	k.fail_after_ms = milliseconds("--fail-after", fail_after);
	k.timeout_ms = c->timeout_given ? milliseconds("--timeout", c->timeout) : 0;
	k.queues = (u32)queues;
	k.read_only = read_only;
	k.force = force;
	connect_kernel(true);
	return attach_named(c, &k);
}

int cmd_detach(struct ctl *c, int argc, char **argv)
{
	gboolean force = FALSE, table = FALSE;
	const GOptionEntry entries[] = {
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force,
		  "Also while it is open: I/O under way and to come ends with errors", NULL },
		{ "table", 0, 0, G_OPTION_ARG_NONE, &table,
		  "What is in " TABLE_FILE ", after swapoff; without NAME all that stand there", NULL },
		{ 0 },
	};
	char *err = NULL;
	int rc;

	(void)c;
	ctl_options(entries, "", "Gives a volume back that is attached here. It waits for its I/O and servers; --force\n"
	      "ends that too.", "NAME|DEVICE", table_wants(argc, argv), &argc, &argv);
	if (table)
		return table_detach(argv[1]);
	connect_kernel(false);
	rc = kernel_detach(argv[1], force, &err);
	if (rc)
		fail("detach", argv[1], kernel_code(rc), err);
	return CTL_OK;
}

int cmd_resize_device(struct ctl *c, int argc, char **argv)
{
	gboolean shrink = FALSE;
	const GOptionEntry entries[] = {
		{ "shrink", 0, 0, G_OPTION_ARG_NONE, &shrink,
		  "Allow it to become smaller; what is behind the new end is lost", NULL },
		{ 0 },
	};
	char *err = NULL;
	u64 size;
	int rc;

	(void)c;
	ctl_options(entries, "", "Changes the size of a volume that is attached here; its device follows at once.",
	      "NAME|DEVICE SIZE", 2, &argc, &argv);
	size = check_size(argv[2]);
	connect_kernel(false);
	rc = kernel_resize(argv[1], size, shrink, &err);
	if (rc == -EPERM && !shrink && err && strstr(err, "smaller"))
		die(CTL_USAGE, "%s: %s with --shrink", argv[1], err);
	if (rc)
		fail("resize", argv[1], kernel_code(rc), err);
	return CTL_OK;
}

/* ---- attached ---- */

GArray *list_kernel(void)
{
	char *err = NULL;
	int rc;
	GArray *all = kernel_list(&rc, &err);

	if (!all)
		die_errno(rc, err);
	return all;
}

static const char *state_of(const struct kernel_dev *d)
{
	switch (d->state) {
	case MEMX_STATE_ATTACHING:
		return "attaching";
	case MEMX_STATE_DETACHING:
		return "detaching";
	case MEMX_STATE_DEAD:
		return "dead";
	default:
		return d->fenced ? "fenced" : !d->lease || d->servers_up < d->servers_all ? "waiting" :
		       d->lost ? "lost" : "ok";
	}
}

static void dev_json(JsonBuilder *b, const struct kernel_dev *d)
{
	char uuid[37];

	if (d->has_uuid)
		uuid_str(d->uuid, uuid);
	json_builder_begin_object(b);
	j_str(b, "device", d->device);
	j_str(b, "volume", d->volume);
	j_str(b, "uuid", d->has_uuid ? uuid : NULL);
	j_str(b, "state", state_of(d));
	j_int(b, "size_bytes", d->size);
	j_bool(b, "read_only", d->read_only);
	j_bool(b, "encrypted", d->sealed);
	j_int(b, "open", d->openers);
	j_int(b, "inflight", d->inflight);
	j_str(b, "pool", d->servers->str);
	j_str(b, "interface", *d->interface ? d->interface : NULL);
	j_int(b, "queues", d->queues);
	j_double(b, "fail_after_seconds", d->fail_after_ms / 1000.0);
	j_int(b, "epoch", d->epoch);
	j_int(b, "servers", d->servers_all);
	j_int(b, "servers_up", d->servers_up);
	j_int(b, "servers_gone", d->servers_gone);
	j_int(b, "placed_extents", d->placed);
	j_int(b, "lost_extents", d->lost);
	j_int(b, "unknown_extents", d->unknown);
	j_int(b, "reads", d->reads);
	j_int(b, "writes", d->writes);
	j_int(b, "read_bytes", d->read_bytes);
	j_int(b, "write_bytes", d->write_bytes);
	j_int(b, "retransmits", d->retransmits);
	j_int(b, "errors", d->errors);
	j_int(b, "map_bytes", d->memory);
	json_builder_end_object(b);
}

static void list_text(const GArray *all)
{
	char size[MXP_SIZE_STR];

	printf("%-12s %-24s %10s %-10s %-3s %4s %9s %s\n", "DEVICE", "VOLUME", "SIZE", "STATE", "RO",
	       "OPEN", "SERVERS", "POOL");
	for (guint i = 0; i < all->len; i++) {
		const struct kernel_dev *d = &g_array_index(all, struct kernel_dev, i);

		printf("%-12s %-24s %10s %-10s %-3s %4u %4u of %-2u %s\n", d->device, d->volume,
		       mxp_size_str(d->size, size), state_of(d), d->read_only ? "ro" : "-", d->openers,
		       d->servers_up, d->servers_all, d->servers->str);
	}
}

int cmd_attached(struct ctl *c, int argc, char **argv)
{
	JsonBuilder *b;
	GArray *all;

	ctl_options(NULL, "", "Lists the volumes that are block devices of this machine.", NULL, 0, &argc, &argv);
	connect_kernel(false);
	all = list_kernel();
	if (!c->json) {
		list_text(all);
		return CTL_OK;
	}
	b = json_builder_new();
	json_builder_begin_array(b);
	for (guint i = 0; i < all->len; i++)
		dev_json(b, &g_array_index(all, struct kernel_dev, i));
	json_builder_end_array(b);
	print_json(b);
	return CTL_OK;
}
