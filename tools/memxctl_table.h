/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of volumes to attach at boot, /etc/memx/volumes: a line for each,
 *
 *	NAME [OPTION,OPTION...]
 *
 * with blanks or tabs between; empty lines and those starting with # are skipped.
 */
#ifndef MEMX_TOOLS_MEMXCTL_TABLE_H
#define MEMX_TOOLS_MEMXCTL_TABLE_H

#include <glib.h>

#define TABLE_FILE	"/etc/memx/volumes"

struct table_entry {
	char *name;
	GPtrArray *servers;		/* char *; empty: as memxctl finds the pool */
	char *interface, *key_file;	/* NULL: the same */
	gboolean read_only, swap, noauto;
	int priority;			/* of swap; -1: the kernel's choice */
	int queues;			/* 0: default */
	double fail_after, timeout;	/* seconds; 0: for ever, default */
};

/* A line without its end. FALSE and a sentence (g_free) in *err: not understood; TRUE and
 * NULL in *ep: nothing in it. */
gboolean table_line(const char *line, struct table_entry **ep, char **err);

struct table_error {
	unsigned line;			/* from 1 */
	char *name, *what;		/* its first word; a sentence */
};

/* A whole text: struct table_entry of the lines that are understood. struct table_error of
 * the others in *errors, also of those with a name that stands before. */
GPtrArray *table_parse(const char *text, GPtrArray **errors);
/* NULL: it is not there. */
const struct table_entry *table_find(const GPtrArray *all, const char *name);
void table_entry_free(struct table_entry *e);

/* For the kernel: a time that is not 0, which means for ever, does not become 0. */
guint32 table_ms(double seconds);

#endif
