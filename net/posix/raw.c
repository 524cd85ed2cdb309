/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw Ethernet: EtherType MX_ETHERTYPE, for hosts on one segment.
 *
 * The kernel makes the Ethernet header (SOCK_DGRAM). Short frames are padded on
 * their way, so a frame starts with its datagram's length (see batch.c and
 * docs/protocol.md, "Carriers").
 */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <net/if_arp.h>
#include "net/posix/net.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static char *explain(const char *ifname, int e)
{
	if (e == EPERM || e == EACCES)
		return mxp_msg("raw Ethernet on %s is not permitted: it needs the capability "
			       "CAP_NET_RAW (for memxd under systemd see the comment in its unit, "
			       "`systemctl cat memxd`; else run the program as root, or `setcap "
			       "cap_net_raw+ep` it)", ifname);
	if (e == ENETDOWN)
		return mxp_msg("raw Ethernet on %s: the interface is down; `ip link set %s up`",
			       ifname, ifname);
	return mxp_msg("cannot open raw Ethernet on %s: %s", ifname, strerror(e));
}

static int check_interface(int fd, const char *ifname, u32 *mtu, char **err)
{
	struct ifreq r;

	memset(&r, 0, sizeof r);
	strncpy(r.ifr_name, ifname, sizeof r.ifr_name - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &r))
		return -errno;
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
		*err = mxp_msg("%s is not an Ethernet interface; use UDP on it (--listen)", ifname);
		return -EINVAL;
	}
	if (ioctl(fd, SIOCGIFFLAGS, &r))
		return -errno;
	if (!(r.ifr_flags & IFF_UP))
		return -ENETDOWN;
	if (ioctl(fd, SIOCGIFMTU, &r))
		return -errno;
	if (r.ifr_mtu < (int)(MX_DGRAM_MIN + MXP_RAW_HEAD)) {
		*err = mxp_msg("the MTU of %s is %d; MemX needs %u at least", ifname, r.ifr_mtu,
			       MX_DGRAM_MIN + MXP_RAW_HEAD);
		return -EINVAL;
	}
	*mtu = mx_min_u32((u32)r.ifr_mtu - MXP_RAW_HEAD, MX_DGRAM_MAX);
	return 0;
}

int mxp_raw_open(struct mxp_net *n, u32 ifindex, const char *ifname, unsigned buffer, char **err)
{
	union mxp_sockaddr sa;
	struct mxp_sock *s;
	socklen_t len = sizeof sa;
	u32 mtu = 0;
	int one = 1, rc, fd;

	*err = NULL;
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = -errno;
		*err = explain(ifname, errno);
		return rc;
	}
	rc = check_interface(fd, ifname, &mtu, err);
	memset(&sa.ll, 0, sizeof sa.ll);
	sa.ll.sll_family = AF_PACKET;
	sa.ll.sll_protocol = htons(MX_ETHERTYPE);
	sa.ll.sll_ifindex = (int)ifindex;
	if (!rc && bind(fd, &sa.sa, sizeof sa.ll))
		rc = -errno;
	if (!rc && getsockname(fd, &sa.sa, &len))
		rc = -errno;
	s = rc ? NULL : mxp_sock_add(n, fd, MXP_RAW);
	if (!s) {
		if (!*err)
			*err = explain(ifname, rc ? -rc : EMFILE);
		close(fd);
		return rc ? rc : -EMFILE;
	}
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	s->ifindex = ifindex;
	s->mtu = mtu;
	mxp_addr_from_sock(&sa, &s->local);
	mxp_sock_buffers(s, buffer);
	if (!n->home)
		n->home = ifindex;
	return 0;
}

u8 *mxp_raw_dgram(u8 *frame, u32 *len)
{
	if (*len < MXP_RAW_HEAD || mx_ld16(frame) > *len - MXP_RAW_HEAD)
		return NULL;
	*len = mx_ld16(frame);
	return frame + MXP_RAW_HEAD;
}

void mxp_raw_broadcast(u32 ifindex, struct mx_addr *a)
{
	memset(a, 0, sizeof *a);
	a->fam = MX_FAM_ETH;
	a->scope = ifindex;
	memset(a->a, 0xff, 6);
}
