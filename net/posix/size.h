/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people type and read them. */
#ifndef MEMX_NET_POSIX_SIZE_H
#define MEMX_NET_POSIX_SIZE_H

#include "core/port.h"

/*
 * "4096", "512K", "1.5G", "10GiB": powers of 1024; "10GB" is refused, because
 * people mean two things by it. 0 with a malloc'ed sentence in *err, else bytes.
 * @what names the value in the sentence ("--memory").
 */
bool mxp_size_parse(const char *s, const char *what, u64 *bytes, char **err);
#define MXP_SIZE_STR	24
/* "512 B", "4.0 KiB", "1.5 GiB". @buf of MXP_SIZE_STR bytes, returned. */
char *mxp_size_str(u64 bytes, char *buf);

#endif
