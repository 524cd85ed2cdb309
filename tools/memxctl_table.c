/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of volumes: see memxctl_table.h. */
#include <string.h>
#include "core/desc.h"
#include "net/linux/uapi.h"
#include "tools/memxctl_table.h"

void table_entry_free(struct table_entry *e)
{
	if (!e)
		return;
	g_ptr_array_unref(e->servers);
	g_free(e->name);
	g_free(e->interface);
	g_free(e->key_file);
	g_free(e);
}

static gboolean number(const char *option, const char *value, double most, double *out, char **err)
{
	char *end;

	*out = g_ascii_strtod(value, &end);
	if (end != value && !*end && *out >= 0 && *out <= most)
		return TRUE;
	*err = g_strdup_printf("%s=%s: expected a number from 0 to %.0f", option, value, most);
	return FALSE;
}

static gboolean whole(const char *option, const char *value, int most, int *out, char **err)
{
	double d;

	if (!number(option, value, most, &d, err))
		return FALSE;
	*out = (int)d;
	if (*out == d)
		return TRUE;
	*err = g_strdup_printf("%s=%s: expected a whole number", option, value);
	return FALSE;
}

static gboolean text(const char *option, const char *value, char **out, char **err)
{
	if (*value && !*out) {
		*out = g_strdup(value);
		return TRUE;
	}
	*err = g_strdup_printf(*value ? "%s= stands twice" : "%s= has no value", option);
	return FALSE;
}

static gboolean valued(struct table_entry *e, const char *name, const char *value, char **err)
{
	if (!strcmp(name, "server") && *value) {
		g_ptr_array_add(e->servers, g_strdup(value));
		return TRUE;
	}
	if (!strcmp(name, "interface"))
		return text(name, value, &e->interface, err);
	if (!strcmp(name, "key-file"))
		return text(name, value, &e->key_file, err);
	if (!strcmp(name, "fail-after"))
		return number(name, value, 1e6, &e->fail_after, err);
	if (!strcmp(name, "timeout"))
		return number(name, value, 3600, &e->timeout, err);
	if (!strcmp(name, "queues"))
		return whole(name, value, MEMX_QUEUES_MAX, &e->queues, err);
	if (!strcmp(name, "swap")) {
		e->swap = TRUE;
		return whole(name, value, 32767, &e->priority, err);
	}
	*err = g_strdup_printf("there is no option \"%s=%s\"; there are server=, interface=, key-file=, "
			       "fail-after=, timeout=, queues=, swap[=PRIORITY], read-only and noauto",
			       name, value);
	return FALSE;
}

static gboolean option(struct table_entry *e, char *word, char **err)
{
	char *value = strchr(word, '=');

	if (value) {
		*value = 0;
		return valued(e, word, value + 1, err);
	}
	if (!strcmp(word, "read-only"))
		e->read_only = TRUE;
	else if (!strcmp(word, "noauto"))
		e->noauto = TRUE;
	else if (!strcmp(word, "swap"))
		e->swap = TRUE;
	else if (*word)
		return valued(e, word, "", err);
	return TRUE;
}

static gboolean options(struct table_entry *e, const char *list, char **err)
{
	char **words = g_strsplit(list, ",", -1);
	gboolean good = TRUE;

	for (char **w = words; good && *w; w++)
		good = option(e, *w, err);
	g_strfreev(words);
	if (good && e->swap && e->read_only) {
		*err = g_strdup("swap cannot be read-only");
		return FALSE;
	}
	return good;
}

gboolean table_line(const char *line, struct table_entry **ep, char **err)
{
	g_autofree char *copy = g_strstrip(g_strdup(line));
	size_t n = strcspn(copy, " \t");
	struct table_entry *e;
	char *rest;

	*ep = NULL;
	if (!*copy || *copy == '#')
		return TRUE;
	rest = copy + n + strspn(copy + n, " \t");
	copy[n] = 0;
	if (!mx_name_valid(copy)) {
		*err = g_strdup_printf("\"%.80s\" is not a volume's name", copy);
		return FALSE;
	}
	if (strpbrk(rest, " \t")) {
		*err = g_strdup_printf("\"%s\": options are separated by commas, without blanks", rest);
		return FALSE;
	}
	e = g_new0(struct table_entry, 1);
	e->name = g_strdup(copy);
	e->servers = g_ptr_array_new_with_free_func(g_free);
	e->priority = -1;
	if (options(e, rest, err)) {
		*ep = e;
		return TRUE;
	}
	table_entry_free(e);
	return FALSE;
}

const struct table_entry *table_find(const GPtrArray *all, const char *name)
{
	for (guint i = 0; i < all->len; i++) {
		const struct table_entry *e = g_ptr_array_index(all, i);

		if (!strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static void table_error_free(struct table_error *x)
{
	g_free(x->name);
	g_free(x->what);
	g_free(x);
}

static void complain(GPtrArray *errors, unsigned line, const char *text, char *what)
{
	struct table_error *x = g_new0(struct table_error, 1);
	g_autofree char *copy = g_strstrip(g_strdup(text));

	x->line = line;
	x->name = g_strndup(copy, strcspn(copy, " \t"));
	x->what = what;
	g_ptr_array_add(errors, x);
}

GPtrArray *table_parse(const char *text, GPtrArray **errors)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)table_entry_free);
	char **lines = g_strsplit(text, "\n", -1);

	*errors = g_ptr_array_new_with_free_func((GDestroyNotify)table_error_free);
	for (unsigned i = 0; lines[i]; i++) {
		struct table_entry *e;
		char *why = NULL;

		if (table_line(lines[i], &e, &why) && e && table_find(all, e->name)) {
			why = g_strdup_printf("volume \"%s\" stands there twice", e->name);
			g_clear_pointer(&e, table_entry_free);
		}
		if (why)
			complain(*errors, i + 1, lines[i], why);
		else if (e)
			g_ptr_array_add(all, e);
	}
	g_strfreev(lines);
	return all;
}

guint32 table_ms(double seconds)
{
	guint32 ms = (guint32)(seconds * 1000 + 0.5);

	return ms || seconds <= 0 ? ms : 1;
}
