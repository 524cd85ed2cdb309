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
/* A whole text; the sentence names the line. NULL: *err. Also refuses a name twice. */
GPtrArray *table_parse(const char *text, char **err);
void table_entry_free(struct table_entry *e);

#endif
