// SPDX-License-Identifier: GPL-2.0-or-later
/* Sentences for those who send netlink requests. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include "net/linux/nl.h"

/*
 * The kernel copies the text after the request's function has returned. It has a
 * buffer for that only from 6.2 on, of 80 bytes; ours are used in turn, so a text
 * stays until 31 later requests have failed.
 */
#define TEXTS	32u

void mxk_nl_error(struct netlink_ext_ack *ack, const char *fmt, ...)
{
	static char text[TEXTS][256];
	static atomic_t next;
	char *at = text[(unsigned int)atomic_inc_return(&next) % TEXTS];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(at, sizeof(text[0]), fmt, ap);
	va_end(ap);
	if (ack)
		ack->_msg = at;
	else
		pr_err("%s\n", at);
}
EXPORT_SYMBOL_GPL(mxk_nl_error);
