/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key files: one line, a cluster key "HEX" or a volume's key "NAME:HEX". */
#ifndef MEMX_NET_POSIX_KEY_H
#define MEMX_NET_POSIX_KEY_H

#include "core/ep.h"

/* -EINVAL and a malloc'ed sentence in *err that does not contain the key. @what
 * names where the text comes from. */
int mxp_key_parse(const char *text, const char *what, struct mx_key *k, char **err);
/* Reads a file: lines starting with # are skipped. Refuses one that everybody
 * may read. */
int mxp_key_load(const char *file, struct mx_key *k, char **err);
/* "HEX" or "NAME:HEX"; @buf of MXP_KEY_STR bytes. */
#define MXP_KEY_STR	(MX_NAME_MAX + 1 + 64 + 1)
void mxp_key_str(const struct mx_key *k, char *buf);
void mxp_key_wipe(void *p, size_t len);

#endif
