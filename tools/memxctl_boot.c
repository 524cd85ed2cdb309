/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach --table and detach --table: what /etc/memx/volumes says. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/memxctl_attach.h"
#include "tools/memxctl_table.h"

/* Between two tries of --wait. */
#define PAUSE	2	/* seconds */

int table_wants(int argc, char **argv)
{
	int words = 0;
	bool table = false;

	for (int i = 1; i < argc; i++) {
		table |= !strcmp(argv[i], "--table");
		words += *argv[i] != '-';
	}
	return table && !words ? 0 : 1;
}

/* One exit code for several volumes. */
static int both(int a, int b)
{
	return !a || a == b ? b : !b ? a : CTL_FAILED;
}

/* ---- the table ---- */

static const char *table_file(void)
{
	const char *other = getenv("MEMX_VOLUMES");

	return other && *other ? other : TABLE_FILE;
}

/* All lines that are right, for all volumes or the one that is named; it needs no others.
 * Ends memxctl if its own is wrong. *code: what the wrong ones make of it all. */
static GPtrArray *read_table(const char *name, int *code)
{
	GPtrArray *all, *errors;
	char *text = NULL;
	GError *e = NULL;

	if (!g_file_get_contents(table_file(), &text, NULL, &e))
		die(CTL_FAILED, "%s", e->message);
	all = table_parse(text, &errors);
	g_free(text);
	for (guint i = 0; i < errors->len; i++) {
		const struct table_error *x = g_ptr_array_index(errors, i);

		fprintf(stderr, "memxctl: %s, line %u: %s\n", table_file(), x->line, x->what);
		if (name && !strcmp(x->name, name))
			exit(CTL_USAGE);
	}
	*code = !name && errors->len ? CTL_USAGE : CTL_OK;
	g_ptr_array_unref(errors);
	return all;
}

/* ---- swap ---- */

/* Runs a program; its own messages are enough. */
static bool run(const char *const *words)
{
	GError *e = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN,
			  NULL, NULL, NULL, NULL, &status, &e) ||
	    !g_spawn_check_wait_status(status, &e)) {
		fprintf(stderr, "memxctl: %s: %s\n", words[0], e->message);
		g_error_free(e);
		return false;
	}
	return true;
}

/* As crypttab's swap: nothing that was in it counts. */
static bool swap_on(const struct table_entry *e, const char *device)
{
	g_autofree char *path = g_strdup_printf("/dev/%s", device), *priority = g_strdup_printf("%d", e->priority);
	const char *make[] = { "mkswap", path, NULL };
	const char *on[] = { "swapon", "--discard", path, e->priority >= 0 ? "--priority" : NULL, priority, NULL };

	return run(make) && run(on);
}

/* ---- attaching ---- */

static int attach_entry(const struct ctl *common, const struct table_entry *e, char *device, char **err)
{
	struct ctl c = *common;
	struct kernel_attach k = {
		.volume = e->name, .read_only = e->read_only, .queues = (u32)e->queues,
		.fail_after_ms = table_ms(e->fail_after),
		.timeout_ms = table_ms(!e->timeout && c.timeout_given ? c.timeout : e->timeout),
	};
	g_autofree char **servers = NULL;
	int code;

	if (e->servers->len || e->interface) {
		c.servers = servers = g_new0(char *, e->servers->len + 1);
		memcpy(servers, e->servers->pdata, e->servers->len * sizeof(char *));
		c.interface = e->interface;
	}
	if (e->key_file)
		c.key_file = e->key_file;
	code = attach_volume(&c, &k, device, err);
	memx_free(c.m);
	return code;
}

/* What need not stay so while machines come up: servers that do not answer, or of which those
 * that do have not heard of the volume; a name or an interface that is not known. */
static bool may_pass(int code)
{
	return code == CTL_NO_SERVER || code == CTL_DEGRADED || code == CTL_NOT_FOUND || code == CTL_USAGE;
}

/* Nothing is started after swap: it need not be waited for. */
static int attach_waiting(const struct ctl *c, const struct table_entry *e, bool wait, char *device)
{
	g_autofree char *said = NULL;

	for (;;) {
		char *err = NULL;
		int code = attach_entry(c, e, device, &err);

		wait &= may_pass(code) && !e->swap;
		/* Once, as long as it is the same. */
		if (code && (!wait || g_strcmp0(err, said)))
			fprintf(stderr, "memxctl: cannot attach \"%s\": %s%s\n", e->name, err,
				wait ? "; it is tried again and again" : "");
		g_free(said);
		said = err;
		/* 2 is for what is wrong in the table, which stays so. */
		if (!wait || !kernel_pause(PAUSE))
			return code == CTL_USAGE ? CTL_FAILED : code;
	}
}

/* One that is there already is as it should be, or is not taken for it. */
static int keep(const struct table_entry *e, const struct kernel_dev *d)
{
	const char *why = NULL;

	if (d->state == MEMX_STATE_ATTACHING)
		why = "it is being attached just now";
	else if (d->state != MEMX_STATE_ATTACHED)
		why = "it is being detached just now";
	else if (d->fenced)
		why = "another client has taken it from this machine; memxctl detach --force first";
	if (!why)
		return !e->swap || down_swaps(d->device) || swap_on(e, d->device) ? CTL_OK : CTL_FAILED;
	fprintf(stderr, "memxctl: cannot attach \"%s\": %s\n", e->name, why);
	return CTL_IN_USE;
}

static int attach_one(const struct ctl *c, const struct table_entry *e, bool wait)
{
	const struct kernel_dev *d = down_find(e->name);
	char device[32], *err = NULL;
	int code;

	if (d)
		return keep(e, d);
	code = attach_waiting(c, e, wait, device);
	if (code)
		return code;
	if (!e->swap || swap_on(e, device)) {
		if (!getenv("MEMX_UNIT"))
			down_by_systemd(e->name);
		print_attached(c, e->name, device);
		return CTL_OK;
	}
	if (kernel_detach_volume(e->name, false, &err))
		fprintf(stderr, "memxctl: cannot detach \"%s\" again: %s\n", e->name, err);
	g_free(err);
	return CTL_FAILED;
}

int table_attach(struct ctl *c, const char *name, bool wait)
{
	const struct table_entry *e;
	int code;
	GPtrArray *table = read_table(name, &code);

	if (name) {
		e = table_find(table, name);
		if (!e)
			die(CTL_USAGE, "volume \"%s\" is not in %s", name, table_file());
		connect_kernel(true);
		return attach_one(c, e, wait);
	}
	connect_kernel(true);
	for (guint i = 0; i < table->len; i++) {
		e = g_ptr_array_index(table, i);
		if (!e->noauto)
			code = both(code, attach_one(c, e, false));
	}
	return code;
}

/* ---- detaching ---- */

/* A unit whose stop has failed is not stopped once more when the machine goes down. */
static int down_again(const struct kernel_dev *d)
{
	int code = down_volume(d);

	if (code && !down_machine_stops())
		down_by_systemd(d->volume);
	return code;
}

static int detach_named(const char *name)
{
	const struct kernel_dev *d = NULL;

	if (kernel_has_module()) {
		connect_kernel(false);
		d = down_find(name);
	}
	if (d)
		return down_again(d);
	fprintf(stderr, "memxctl: volume \"%s\" is not attached here\n", name);
	return CTL_OK;
}

int table_detach(const char *name)
{
	GPtrArray *table;
	int code;

	if (name)
		return detach_named(name);
	table = read_table(NULL, &code);
	connect_kernel(false);
	/* In the opposite order. */
	for (guint i = table->len; i-- > 0;) {
		const struct table_entry *e = g_ptr_array_index(table, i);
		const struct kernel_dev *d = down_find(e->name);

		if (d)
			code = both(code, down_volume(d));
	}
	return code;
}
