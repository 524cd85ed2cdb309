// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses: words to values and back. */
#include <linux/ctype.h>
#include <linux/etherdevice.h>
#include <linux/inet.h>
#include <linux/module.h>
#include "core/wire.h"
#include "net/linux/node.h"

static int parse_port(const char *text, u16 *port)
{
	return kstrtou16(text, 10, port) || !*port ? -EINVAL : 0;
}

static int parse_eth(const char *text, struct mx_addr *a)
{
	a->fam = MX_FAM_ETH;
	return strlen(text) == 3 * ETH_ALEN - 1 && mac_pton(text, a->a) &&
	       is_valid_ether_addr(a->a) ? 0 : -EINVAL;
}

static int parse6(const char *text, struct mx_addr *a)
{
	bool brackets = *text == '[';
	const char *end;

	a->fam = MX_FAM_IP6;
	a->port = MX_UDP_PORT;
	if (!brackets)
		return in6_pton(text, -1, a->a, -1, &end) && !*end ? 0 : -EINVAL;
	if (!in6_pton(text + 1, -1, a->a, ']', &end) || *end != ']')
		return -EINVAL;
	if (!end[1])
		return 0;
	return end[1] == ':' ? parse_port(end + 2, &a->port) : -EINVAL;
}

int mxk_parse_addr(const char *text, struct mx_addr *a)
{
	const char *end;

	memset(a, 0, sizeof(*a));
	if (strstarts(text, "eth:"))
		return parse_eth(text + 4, a);
	if (*text == '[' || strchr(text, ':') != strrchr(text, ':'))
		return parse6(text, a);
	a->fam = MX_FAM_IP4;
	a->port = MX_UDP_PORT;
	if (in4_pton(text, -1, a->a, -1, &end) && !*end)
		return 0;
	if (!in4_pton(text, -1, a->a, ':', &end) || *end != ':')
		return -EINVAL;
	return parse_port(end + 1, &a->port);
}
EXPORT_SYMBOL_GPL(mxk_parse_addr);

char *mxk_format_addr(const struct mx_addr *a, char *buf)
{
	switch (a->fam) {
	case MX_FAM_IP4:
		snprintf(buf, MXK_ADDR_STR, "%pI4:%u", a->a, a->port);
		break;
	case MX_FAM_IP6:
		snprintf(buf, MXK_ADDR_STR, "[%pI6c]:%u", a->a, a->port);
		break;
	case MX_FAM_ETH:
		snprintf(buf, MXK_ADDR_STR, "eth:%pM", a->a);
		break;
	default:
		strscpy(buf, "?", MXK_ADDR_STR);
	}
	return buf;
}
EXPORT_SYMBOL_GPL(mxk_format_addr);
