/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MEMX_SIM_SCALE_H
#define MEMX_SIM_SCALE_H
#include <stdbool.h>
/* Writes figures as JSON to @out (NULL: only the table on stdout). @reduced: a tenth
 * of the size. */
int scale_run(const char *out, bool reduced);
#endif
