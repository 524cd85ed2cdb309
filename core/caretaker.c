/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "server_int.h"
bool mx_care_init(struct mx_server *s) { (void)s; return true; }
void mx_care_free(struct mx_server *s) { (void)s; }
void mx_care_tick(struct mx_server *s, mx_ns now) { (void)s; (void)now; }
void mx_care_forget(struct mx_server *s, const u8 *uuid) { (void)s; (void)uuid; }
