/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP sockets: opening, options, multicast groups.
 *
 * Every datagram goes out unfragmented (the endpoint probes the path), and the
 * kernel's own idea of the path's MTU is not used: it comes from ICMP messages
 * that anybody may send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "net/posix/net.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

#define BUFFER_DEFAULT	(4u << 20)

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static u32 get_buffer(int fd, int name)
{
	int v = 0;
	socklen_t len = sizeof v;

	if (getsockopt(fd, SOL_SOCKET, name, &v, &len))
		return 0;
	return (u32)v / 2;	/* the kernel doubles it, for its own overhead */
}

void mxp_sock_buffers(struct mxp_sock *s, unsigned wanted)
{
	if (!wanted)
		wanted = BUFFER_DEFAULT;
	/* FORCE wants CAP_NET_ADMIN; without it net.core.rmem_max is the limit. */
	if (set(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)wanted))
		set(s->fd, SOL_SOCKET, SO_RCVBUF, (int)wanted);
	if (set(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)wanted))
		set(s->fd, SOL_SOCKET, SO_SNDBUF, (int)wanted);
	s->rcvbuf = get_buffer(s->fd, SO_RCVBUF);
	s->sndbuf = get_buffer(s->fd, SO_SNDBUF);
}

struct mxp_sock *mxp_sock_add(struct mxp_net *n, int fd, enum mxp_kind kind)
{
	struct mxp_sock *s;

	if (n->nsocks == MXP_SOCKS)
		return NULL;
	s = &n->socks[n->nsocks++];
	memset(s, 0, sizeof *s);
	s->fd = fd;
	s->kind = kind;
	s->ready = true;
	return s;
}

/* ---- data sockets ---- */

/*
 * Binds so that a second server on the same address and port is noticed. A
 * group's socket (of a client on this host) on the same port makes a plain bind
 * to "any" fail, too; then the loopback address tells whether a server is there.
 */
static int bind_alone(int fd, const struct mx_addr *local, const union mxp_sockaddr *sa,
		      socklen_t len)
{
	union mxp_sockaddr lo = *sa;
	int probe, rc;

	if (!bind(fd, &sa->sa, len))
		return 0;
	if (errno != EADDRINUSE || !mxp_addr_is_any(local) || !local->port)
		return -errno;
	probe = socket(sa->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return -EADDRINUSE;
	if (sa->sa.sa_family == AF_INET6)
		lo.in6.sin6_addr = in6addr_loopback;
	else
		lo.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = bind(probe, &lo.sa, len);
	close(probe);
	if (rc || set(fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return -EADDRINUSE;
	return bind(fd, &sa->sa, len) ? -errno : 0;
}

static void set_options(struct mxp_sock *s, const struct mxp_udp_opts *o)
{
	set(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	set(s->fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	if (s->v6) {
		set(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
		set(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
		set(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	}
	/* Of an IPv4 datagram, too, an IPv6 socket tells by its own option. */
	if (s->pktinfo && s->v6)
		set(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	else if (s->pktinfo)
		set(s->fd, IPPROTO_IP, IP_PKTINFO, 1);
	s->gso = set(s->fd, SOL_UDP, UDP_SEGMENT, 0) == 0;
	s->gro = set(s->fd, SOL_UDP, UDP_GRO, 1) == 0;
	mxp_sock_buffers(s, o->buffer);
}

static char *explain_bind(const struct mx_addr *local, int rc)
{
	char a[MXP_ADDR_STR];

	mxp_addr_str(local, a);
	switch (-rc) {
	case EADDRINUSE:
		return mxp_msg("cannot listen on %s: another program has this port; stop it (ss -ulnp "
			       "shows it) or choose another port", a);
	case EADDRNOTAVAIL:
		return mxp_msg("cannot listen on %s: this machine has no such address; `ip address` "
			       "shows those it has", a);
	case EACCES:
		return mxp_msg("cannot listen on %s: ports below 1024 are for root; choose another "
			       "port (the usual one is %u)", a, MX_UDP_PORT);
	default:
		return mxp_msg("cannot open a UDP socket for %s: %s", a, strerror(-rc));
	}
}

int mxp_udp_open(struct mxp_net *n, const struct mxp_udp_opts *o, char **err)
{
	struct mx_addr local = o->local;
	union mxp_sockaddr sa;
	struct mxp_sock *s;
	socklen_t len;
	bool v6 = local.fam == MX_FAM_IP6;
	int fd, rc;

	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && v6 && o->dual && mxp_addr_is_any(&local)) {
		/* A kernel without IPv6 */
		local.fam = MX_FAM_IP4;
		v6 = false;
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0) {
		rc = -errno;
		*err = explain_bind(&local, rc);
		return rc;
	}
	if (v6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !o->dual);
	len = mxp_addr_to_sock(&local, v6, &sa);
	rc = bind_alone(fd, &local, &sa, len);
	if (rc) {
		*err = explain_bind(&local, rc);
		close(fd);
		return rc;
	}
	s = mxp_sock_add(n, fd, MXP_UDP);
	if (!s) {
		*err = mxp_msg("more than %u sockets are not supported; listen on fewer addresses",
			       MXP_SOCKS);
		close(fd);
		return -EMFILE;
	}
	s->v6 = v6;
	s->v6only = v6 && !o->dual;
	s->pktinfo = (o->server && mxp_addr_is_any(&local)) || n->ntrust;
	set_options(s, o);
	len = sizeof sa;
	if (!getsockname(fd, &sa.sa, &len))
		mxp_addr_from_sock(&sa, &s->local);
	return 0;
}

/* ---- announcements ---- */

static void group(struct mx_addr *a, enum mx_fam fam, u16 port)
{
	memset(a, 0, sizeof *a);
	a->fam = (u8)fam;
	a->port = port;
	inet_pton(fam == MX_FAM_IP4 ? AF_INET : AF_INET6,
		  fam == MX_FAM_IP4 ? MX_MCAST4 : MX_MCAST6, a->a);
}

static int join(int fd, enum mx_fam fam, u32 ifindex)
{
	if (fam == MX_FAM_IP4) {
		struct ip_mreqn m = { .imr_ifindex = (int)ifindex };

		inet_pton(AF_INET, MX_MCAST4, &m.imr_multiaddr);
		set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
		return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
	} else {
		struct ipv6_mreq m = { .ipv6mr_interface = ifindex };

		inet_pton(AF_INET6, MX_MCAST6, &m.ipv6mr_multiaddr);
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
		return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m);
	}
}

/* Those bound to "any" on the group's port must agree to share it. */
static void allow_sharing(struct mxp_net *n, u16 port)
{
	for (unsigned i = 0; i < n->nsocks; i++) {
		struct mxp_sock *s = &n->socks[i];

		if (s->kind == MXP_UDP && s->local.port == port)
			set(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	}
}

static int join_one(struct mxp_net *n, enum mx_fam fam, u32 ifindex, u16 port)
{
	struct mx_addr g;
	union mxp_sockaddr sa;
	struct mxp_sock *s;
	socklen_t len;
	int fd, rc;

	fd = socket(fam == MX_FAM_IP4 ? AF_INET : AF_INET6,
		    SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	group(&g, fam, port);
	len = mxp_addr_to_sock(&g, fam == MX_FAM_IP6, &sa);
	/* Bound to the group, so that nothing else comes here. */
	if (join(fd, fam, ifindex) || set(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    bind(fd, &sa.sa, len)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	s = mxp_sock_add(n, fd, MXP_MCAST);
	if (!s) {
		close(fd);
		return -EMFILE;
	}
	s->v6 = s->v6only = fam == MX_FAM_IP6;
	s->ifindex = ifindex;
	s->local = g;
	return 0;
}

int mxp_mcast_join(struct mxp_net *n, u32 ifindex, const char *ifname, u16 port, char **err)
{
	int rc4, rc6;

	allow_sharing(n, port);
	rc4 = join_one(n, MX_FAM_IP4, ifindex, port);
	rc6 = join_one(n, MX_FAM_IP6, ifindex, port);
	if (!n->home)
		n->home = ifindex;
	if (!rc4 || !rc6)
		return 0;
	*err = mxp_msg("cannot listen for announcements (%s and %s, port %u) on %s: %s; is the "
		       "interface up, with multicast (`ip link show %s`)?",
		       MX_MCAST4, MX_MCAST6, port, ifname, strerror(-rc4), ifname);
	return rc4;
}

static bool can_send(const struct mxp_sock *s, enum mx_fam fam, u32 ifindex)
{
	if (s->kind != MXP_UDP || mxp_addr_is_loopback(&s->local))
		return false;
	if (fam == MX_FAM_IP4 ? s->v6only || (s->v6 && !mxp_addr_is_any(&s->local)) : !s->v6)
		return false;
	return mxp_addr_is_any(&s->local) || mxp_if_has_addr(ifindex, &s->local);
}

bool mxp_mcast_addr(const struct mxp_net *n, u32 ifindex, u16 port, struct mx_addr *a)
{
	static const enum mx_fam fams[] = { MX_FAM_IP4, MX_FAM_IP6 };

	for (unsigned f = 0; f < 2; f++) {
		if (!mxp_if_has_family(ifindex, fams[f]))
			continue;
		for (unsigned i = 0; i < n->nsocks; i++) {
			if (!can_send(&n->socks[i], fams[f], ifindex))
				continue;
			group(a, fams[f], port);
			a->scope = ifindex;	/* batch.c sends by this interface */
			return true;
		}
	}
	return false;
}

/* ---- figures ---- */

u32 mxp_net_dgram_max(const struct mxp_net *n)
{
	u32 max = 0;

	for (unsigned i = 0; i < n->nsocks; i++)
		max = mx_max_u32(max, n->socks[i].kind == MXP_RAW ? n->socks[i].mtu :
				 n->socks[i].kind == MXP_UDP ? MX_DGRAM_MAX : 0);
	return max;
}

u32 mxp_net_rcvbuf(const struct mxp_net *n)
{
	u32 min = ~0u;

	for (unsigned i = 0; i < n->nsocks; i++)
		if (n->socks[i].kind != MXP_MCAST)
			min = mx_min_u32(min, n->socks[i].rcvbuf);
	return min;
}
