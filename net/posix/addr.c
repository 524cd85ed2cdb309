/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses: what people type, what the kernel wants, what the core compares.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/posix/net.h"

char *mxp_msg(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

/* ---- interfaces ---- */

u32 mxp_if_index(const char *name, char **err)
{
	struct if_nameindex *all, *i;
	char there[256] = "";
	size_t used = 0;
	u32 index = if_nametoindex(name);

	if (index)
		return index;
	all = if_nameindex();
	for (i = all; i && i->if_index; i++) {
		int n = snprintf(there + used, sizeof there - used, "%s%s", used ? ", " : "",
				 i->if_name);
		if (n < 0 || used + (size_t)n >= sizeof there)
			break;
		used += (size_t)n;
	}
	if (all)
		if_freenameindex(all);
	*err = mxp_msg("there is no network interface \"%s\"; this machine has: %s", name,
		       there[0] ? there : "none");
	return 0;
}

/* Calls @fn for each address of interface @ifindex until it returns true. */
static bool each_if_addr(u32 ifindex, bool (*fn)(const struct mx_addr *a, const void *arg),
			 const void *arg)
{
	struct ifaddrs *all, *i;
	char name[IF_NAMESIZE];
	bool found = false;

	if (!if_indextoname(ifindex, name) || getifaddrs(&all))
		return false;
	for (i = all; i && !found; i = i->ifa_next) {
		struct mx_addr a;

		if (!i->ifa_addr || strcmp(i->ifa_name, name))
			continue;
		if (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)
			continue;
		if (mxp_addr_from_sock((const union mxp_sockaddr *)i->ifa_addr, &a))
			found = fn(&a, arg);
	}
	freeifaddrs(all);
	return found;
}

static bool same_host(const struct mx_addr *a, const void *arg)
{
	const struct mx_addr *b = arg;

	return a->fam == b->fam && !memcmp(a->a, b->a, sizeof a->a);
}

bool mxp_if_has_addr(u32 ifindex, const struct mx_addr *a)
{
	return each_if_addr(ifindex, same_host, a);
}

static bool same_family(const struct mx_addr *a, const void *arg)
{
	return a->fam == *(const enum mx_fam *)arg;
}

bool mxp_if_has_family(u32 ifindex, enum mx_fam fam)
{
	return each_if_addr(ifindex, same_family, &fam);
}

/* ---- to and from the kernel's form ---- */

bool mxp_addr_from_sock(const union mxp_sockaddr *s, struct mx_addr *a)
{
	memset(a, 0, sizeof *a);
	switch (s->sa.sa_family) {
	case AF_INET:
		a->fam = MX_FAM_IP4;
		a->port = ntohs(s->in.sin_port);
		memcpy(a->a, &s->in.sin_addr, 4);
		return true;
	case AF_INET6:
		a->port = ntohs(s->in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&s->in6.sin6_addr)) {
			a->fam = MX_FAM_IP4;
			memcpy(a->a, s->in6.sin6_addr.s6_addr + 12, 4);
			return true;
		}
		a->fam = MX_FAM_IP6;
		memcpy(a->a, &s->in6.sin6_addr, 16);
		if (IN6_IS_ADDR_LINKLOCAL(&s->in6.sin6_addr))
			a->scope = s->in6.sin6_scope_id;
		return true;
	case AF_PACKET:
		if (s->ll.sll_halen != 6)
			return false;
		a->fam = MX_FAM_ETH;
		a->scope = (u32)s->ll.sll_ifindex;
		memcpy(a->a, s->ll.sll_addr, 6);
		return true;
	}
	return false;
}

socklen_t mxp_addr_to_sock(const struct mx_addr *a, bool v6, union mxp_sockaddr *s)
{
	switch (a->fam) {
	case MX_FAM_IP4:
		if (v6) {
			memset(&s->in6, 0, sizeof s->in6);
			s->in6.sin6_family = AF_INET6;
			s->in6.sin6_port = htons(a->port);
			s->in6.sin6_addr.s6_addr[10] = s->in6.sin6_addr.s6_addr[11] = 0xff;
			memcpy(s->in6.sin6_addr.s6_addr + 12, a->a, 4);
			return sizeof s->in6;
		}
		memset(&s->in, 0, sizeof s->in);
		s->in.sin_family = AF_INET;
		s->in.sin_port = htons(a->port);
		memcpy(&s->in.sin_addr, a->a, 4);
		return sizeof s->in;
	case MX_FAM_IP6:
		if (!v6)
			return 0;
		memset(&s->in6, 0, sizeof s->in6);
		s->in6.sin6_family = AF_INET6;
		s->in6.sin6_port = htons(a->port);
		s->in6.sin6_scope_id = a->scope;
		memcpy(&s->in6.sin6_addr, a->a, 16);
		return sizeof s->in6;
	case MX_FAM_ETH:
		memset(&s->ll, 0, sizeof s->ll);
		s->ll.sll_family = AF_PACKET;
		s->ll.sll_protocol = htons(MX_ETHERTYPE);
		s->ll.sll_ifindex = (int)a->scope;
		s->ll.sll_halen = 6;
		memcpy(s->ll.sll_addr, a->a, 6);
		return sizeof s->ll;
	}
	return 0;
}

bool mxp_addr_is_loopback(const struct mx_addr *a)
{
	if (a->fam == MX_FAM_IP4)
		return a->a[0] == 127;
	return a->fam == MX_FAM_IP6 && IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)a->a);
}

bool mxp_addr_is_any(const struct mx_addr *a)
{
	static const u8 zero[16];

	return (a->fam == MX_FAM_IP4 || a->fam == MX_FAM_IP6) && !memcmp(a->a, zero, 16);
}

char *mxp_addr_str(const struct mx_addr *a, char *buf)
{
	char host[INET6_ADDRSTRLEN], ifname[IF_NAMESIZE];

	switch (a->fam) {
	case MX_FAM_IP4:
		inet_ntop(AF_INET, a->a, host, sizeof host);
		snprintf(buf, MXP_ADDR_STR, "%s:%u", host, a->port);
		break;
	case MX_FAM_IP6:
		inet_ntop(AF_INET6, a->a, host, sizeof host);
		if (a->scope && if_indextoname(a->scope, ifname))
			snprintf(buf, MXP_ADDR_STR, "[%s%%%s]:%u", host, ifname, a->port);
		else
			snprintf(buf, MXP_ADDR_STR, "[%s]:%u", host, a->port);
		break;
	case MX_FAM_ETH:
		if (!a->scope || !if_indextoname(a->scope, ifname))
			ifname[0] = 0;
		snprintf(buf, MXP_ADDR_STR, "eth:%s%s%02x:%02x:%02x:%02x:%02x:%02x", ifname,
			 ifname[0] ? "/" : "", a->a[0], a->a[1], a->a[2], a->a[3], a->a[4], a->a[5]);
		break;
	default:
		snprintf(buf, MXP_ADDR_STR, "nowhere");
	}
	return buf;
}

/* ---- what people type ---- */

static const char forms[] = "expected HOST, HOST:PORT, [IPV6]:PORT or eth:INTERFACE/MAC";

static bool parse_port(const char *s, bool zero_ok, u16 *port)
{
	unsigned long v = 0;
	const char *p;

	for (p = s; *p >= '0' && *p <= '9' && v <= 65535; p++)
		v = v * 10 + (unsigned long)(*p - '0');
	if (p == s || *p || v > 65535 || (!v && !zero_ok))
		return false;
	*port = (u16)v;
	return true;
}

static bool parse_mac(const char *s, u8 mac[6])
{
	unsigned m[6];
	int end = 0;

	if (strlen(s) != 17 || strspn(s, "0123456789abcdefABCDEF:") != 17)
		return false;
	if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
		   &end) != 6 || end != 17)
		return false;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (u8)m[i];
	return true;
}

static unsigned parse_eth(const char *s, struct mx_addr *out, char **err)
{
	const char *rest = s + 4, *slash = strchr(rest, '/');
	char ifname[IF_NAMESIZE];
	size_t n = slash ? (size_t)(slash - rest) : 0;

	memset(out, 0, sizeof *out);
	out->fam = MX_FAM_ETH;
	if (slash) {
		if (!n || n >= sizeof ifname) {
			*err = mxp_msg("\"%s\" names no interface; expected eth:INTERFACE/MAC, as "
				       "eth:eth0/52:54:00:12:34:56", s);
			return 0;
		}
		memcpy(ifname, rest, n);
		ifname[n] = 0;
		out->scope = mxp_if_index(ifname, err);
		if (!out->scope)
			return 0;
		rest = slash + 1;
	}
	if (!parse_mac(rest, out->a)) {
		*err = mxp_msg("\"%s\" is not an Ethernet address; expected eth:INTERFACE/MAC, as "
			       "eth:eth0/52:54:00:12:34:56", s);
		return 0;
	}
	return 1;
}

/* Splits into host (copied to @host) and port. False, with *err set: malformed. */
static bool split(const char *s, char *host, size_t cap, u16 *port, bool zero_ok, char **err)
{
	const char *end, *colon = strchr(s, ':');
	const char *from = s;

	if (*s == '[') {
		end = strchr(s, ']');
		from = s + 1;
		if (!end || (end[1] && end[1] != ':')) {
			*err = mxp_msg("\"%s\" is not an address: a \"[\" needs its \"]\", and only "
				       ":PORT may follow; %s", s, forms);
			return false;
		}
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && strchr(colon + 1, ':')) {
		end = s + strlen(s);	/* an IPv6 address without port */
		colon = NULL;
	} else {
		end = colon ? colon : s + strlen(s);
	}
	if (end == from || (size_t)(end - from) >= cap) {
		*err = mxp_msg("\"%s\" is not an address: the host is %s; %s", s,
			       end == from ? "missing" : "too long", forms);
		return false;
	}
	memcpy(host, from, (size_t)(end - from));
	host[end - from] = 0;
	if (colon && !parse_port(colon + 1, zero_ok, port)) {
		*err = mxp_msg("\"%s\" is not a port in \"%s\"; expected a number from 1 to 65535",
			       colon + 1, s);
		return false;
	}
	return true;
}

static unsigned resolve(const char *host, u16 port, struct mx_addr *out, unsigned max, char **err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *all, *i;
	unsigned n = 0;
	int rc = getaddrinfo(host, NULL, &hints, &all);

	if (rc) {
		*err = mxp_msg("cannot find the address of \"%s\": %s; give a name that this machine "
			       "can resolve, or an IP address", host,
			       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return 0;
	}
	for (i = all; i && n < max; i = i->ai_next) {
		if (!mxp_addr_from_sock((const union mxp_sockaddr *)i->ai_addr, &out[n]))
			continue;
		out[n++].port = port;
	}
	freeaddrinfo(all);
	if (!n)
		*err = mxp_msg("\"%s\" has no IPv4 or IPv6 address", host);
	return n;
}

unsigned mxp_addr_parse(const char *s, u16 port, struct mx_addr *out, unsigned max, char **err)
{
	char host[256];

	if (!strncmp(s, "eth:", 4))
		return parse_eth(s, out, err);
	if (!split(s, host, sizeof host, &port, false, err))
		return 0;
	return resolve(host, port, out, max, err);
}

unsigned mxp_addr_parse_listen(const char *s, u16 port, struct mx_addr *out, unsigned max,
			       char **err)
{
	char host[256];

	if (!strncmp(s, "eth:", 4) || !strncmp(s, "raw:", 4)) {
		*err = mxp_msg("\"%s\" is not an address to listen on; raw Ethernet is asked for by "
			       "--interface raw:INTERFACE", s);
		return 0;
	}
	if (!split(s, host, sizeof host, &port, true, err))
		return 0;
	if (!strcmp(host, "*")) {
		memset(out, 0, sizeof *out);
		out->fam = MX_FAM_IP6;
		out->port = port;
		return 1;	/* with mxp_udp_opts.dual */
	}
	return resolve(host, port, out, max, err);
}
