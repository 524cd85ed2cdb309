/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines of the endpoint about strangers: what, and from where. */
#include "ep_int.h"

struct line { char buf[160]; u32 n; };

static void put(struct line *l, const char *s)
{
	while (*s && l->n < sizeof l->buf - 1)
		l->buf[l->n++] = *s++;
	l->buf[l->n] = 0;
}

static void put_num(struct line *l, u32 v, u32 base, u32 digits)
{
	char t[12];
	u32 i = sizeof t - 1;

	t[i] = 0;
	do {
		t[--i] = "0123456789abcdef"[v % base];
		v /= base;
		if (digits)
			digits--;
	} while (v || digits);
	put(l, t + i);
}

static void put_addr(struct line *l, const struct mx_addr *a)
{
	u32 i;

	switch (a->fam) {
	case MX_FAM_IP4:
		for (i = 0; i < 4; i++) {
			put_num(l, a->a[i], 10, 1);
			put(l, i < 3 ? "." : ":");
		}
		put_num(l, a->port, 10, 1);
		break;
	case MX_FAM_IP6:
		put(l, "[");
		for (i = 0; i < 8; i++) {
			put_num(l, (u32)a->a[2 * i] << 8 | a->a[2 * i + 1], 16, 1);
			put(l, i < 7 ? ":" : "]:");
		}
		put_num(l, a->port, 10, 1);
		break;
	case MX_FAM_ETH:
		for (i = 0; i < 6; i++) {
			put_num(l, a->a[i], 16, 2);
			put(l, i < 5 ? ":" : "");
		}
		break;
	default:
		put(l, "address of family ");
		put_num(l, a->fam, 10, 1);
	}
}

/* Ten lines at once, then one a second: the network can provoke them. */
void mx_ep_log_from(struct mx_ep *ep, int level, const char *what, const struct mx_addr *from,
		    mx_ns now)
{
	struct line l = { .n = 0 };

	if (!ep->port->log || !mx_rate_ok(&ep->log_rate, 10, MX_SEC, now))
		return;
	put_addr(&l, from);
	put(&l, ": ");
	put(&l, what);
	ep->port->log(ep->port->ctx, level, l.buf);
}
