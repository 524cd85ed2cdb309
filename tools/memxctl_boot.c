/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach --table and detach --table: what /etc/memx/volumes says. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/memxctl_attach.h"
#include "tools/memxctl_table.h"

int table_wants(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--table"))
			return argc == 2 ? 0 : 1;
	return 1;
}

static const char *table_file(void)
{
	const char *other = getenv("MEMX_VOLUMES");

	return other && *other ? other : TABLE_FILE;
}

static GPtrArray *read_table(void)
{
	char *text = NULL, *err = NULL;
	GError *e = NULL;
	GPtrArray *all;

	if (!g_file_get_contents(table_file(), &text, NULL, &e))
		die(CTL_FAILED, "%s", e->message);
	all = table_parse(text, &err);
	if (!all)
		die(CTL_USAGE, "%s, %s", table_file(), err);
	g_free(text);
	return all;
}

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

static bool table_attach_one(const struct ctl *common, const struct table_entry *e)
{
	struct ctl c = *common;
	struct kernel_attach k = {
		.volume = e->name, .read_only = e->read_only, .queues = (u32)e->queues,
		.fail_after_ms = (u32)(e->fail_after * 1000), .timeout_ms = (u32)(e->timeout * 1000),
	};
	char device[32], *err = NULL;
	int rc;

	if (e->servers->len || e->interface) {
		c.servers = g_new0(char *, e->servers->len + 1);
		memcpy(c.servers, e->servers->pdata, e->servers->len * sizeof(char *));
		c.interface = e->interface;
	}
	if (e->key_file)
		c.key_file = e->key_file;
	rc = attach_volume(&c, &k, device, &err);
	if (rc) {
		fprintf(stderr, "memxctl: cannot attach \"%s\": %s\n", e->name, err ? err : strerror(-rc));
		return false;
	}
	print_attached(&c, e->name, device);
	return !e->swap || swap_on(e, device);
}

/* What is attached already is as it should be. */
static const struct kernel_dev *attached_as(const GArray *all, const char *name)
{
	for (guint i = 0; i < all->len; i++)
		if (!strcmp(g_array_index(all, struct kernel_dev, i).volume, name))
			return &g_array_index(all, struct kernel_dev, i);
	return NULL;
}

int table_attach(struct ctl *c, const char *name)
{
	GPtrArray *table = read_table();
	bool found = false, good = true;
	GArray *now;

	connect_kernel(true);
	now = list_kernel();
	for (guint i = 0; i < table->len; i++) {
		const struct table_entry *e = g_ptr_array_index(table, i);

		if (name ? strcmp(e->name, name) : e->noauto)
			continue;
		found = true;
		if (!attached_as(now, e->name))
			good &= table_attach_one(c, e);
	}
	if (name && !found)
		die(CTL_NOT_FOUND, "volume \"%s\" is not in %s", name, table_file());
	return good ? CTL_OK : CTL_FAILED;
}

static bool swaps(const char *device)
{
	g_autofree char *text = NULL, *word = g_strdup_printf("/dev/%s ", device);

	return g_file_get_contents("/proc/swaps", &text, NULL, NULL) && strstr(text, word);
}

/* With swapoff before it. The table may be gone or wrong: the kernel says what there is. */
static bool detach_one(const struct kernel_dev *d)
{
	g_autofree char *path = g_strdup_printf("/dev/%s", d->device);
	const char *off[] = { "swapoff", path, NULL };
	char *err = NULL;
	int rc;

	if (swaps(d->device) && !run(off))
		return false;
	rc = kernel_detach_volume(d->volume, false, &err);
	if (rc)
		fprintf(stderr, "memxctl: cannot detach \"%s\": %s\n", d->volume, err ? err : strerror(-rc));
	return !rc;
}

static int detach_named(const char *name)
{
	const struct kernel_dev *d = NULL;

	if (kernel_has_module()) {
		connect_kernel(false);
		d = attached_as(list_kernel(), name);
	}
	if (d)
		return detach_one(d) ? CTL_OK : CTL_FAILED;
	fprintf(stderr, "memxctl: volume \"%s\" is not attached here\n", name);
	return CTL_OK;
}

int table_detach(const char *name)
{
	GPtrArray *table;
	bool good = true;
	GArray *now;

	if (name)
		return detach_named(name);
	table = read_table();
	connect_kernel(false);
	now = list_kernel();
	/* In the opposite order. */
	for (guint i = table->len; i-- > 0;) {
		const struct table_entry *e = g_ptr_array_index(table, i);
		const struct kernel_dev *d = attached_as(now, e->name);

		if (d)
			good &= detach_one(d);
	}
	return good ? CTL_OK : CTL_FAILED;
}
