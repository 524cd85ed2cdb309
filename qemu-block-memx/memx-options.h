/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of a memx node: as a QDict, as a filename, and as a struct. */
#ifndef MEMX_QEMU_OPTIONS_H
#define MEMX_QEMU_OPTIONS_H

#include "memx-compat.h"

typedef struct MemxOptions {
	char *volume;
	char **servers;		/* "host:port", NULL-ended; NULL: not given */
	char *interface;	/* as struct memx_opts takes it: "raw:IF" for raw frames */
	char *key_secret;
	char *key_file;
	unsigned open_timeout_s;	/* 0: no limit */
	unsigned timeout_s;	/* 0: wait for ever */
	unsigned poll_us;
	bool force;
} MemxOptions;

/* Takes what it knows out of @options. NULL: @errp is set. */
MemxOptions *memx_options_new(QDict *options, Error **errp);
void memx_options_free(MemxOptions *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemxOptions, memx_options_free)

/* The key that @o names, in hex; NULL without error: none, or in a file. */
char *memx_options_key_hex(const MemxOptions *o, Error **errp);

/* .bdrv_parse_filename: memx:NAME[?OPTIONS] or memx://HOST[:PORT],.../NAME[?OPTIONS] */
void memx_parse_filename(const char *filename, QDict *options, Error **errp);
/* The filename that stands for @o; NULL if longer than @max. */
char *memx_options_filename(const MemxOptions *o, size_t max);

extern const char *const memx_strong_options[];

#endif
