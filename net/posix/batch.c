/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams between the endpoint and the kernel, many by one system call.
 *
 * Sending: datagrams are pulled from the endpoint until it has no more, the
 * batch is full, or the next one leaves by another socket; then one sendmmsg.
 * A plain datagram is sent from where its data lies; one to be sealed is
 * gathered first. Equal-sized datagrams to one peer become one message that the
 * kernel (or the network card) cuts: UDP_SEGMENT. Their counterpart at the
 * receiver is UDP_GRO.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "net/posix/net.h"

#define CTRL_BYTES	(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))
union ctrl {
	struct cmsghdr align;
	u8 bytes[CTRL_BYTES];
};

#define SELF_SLOTS	8u

struct mxp_rx {
	unsigned sock;			/* where the messages below came from */
	unsigned got, next;		/* messages received; given to the endpoint */
	u8 *bufs;			/* MXP_RX_BATCH of MXP_RX_BUF */
	struct mmsghdr msgs[MXP_RX_BATCH];
	struct iovec iov[MXP_RX_BATCH];
	union mxp_sockaddr names[MXP_RX_BATCH];
	union ctrl ctrl[MXP_RX_BATCH];
};

/* One message to the kernel: a datagram, or a run of them. */
struct run {
	u32 size;			/* of each datagram but the last */
	u32 total;
	u32 segs;
	bool closed;			/* the last one was shorter */
};

struct mxp_tx {
	unsigned sock;
	unsigned nd, nmsgs, niov;
	u32 gathered;			/* bytes used of @gather */
	u8 *gather;
	struct mx_tx *d[MXP_TX_BATCH];	/* d[0..nd) are in the batch */
	struct mx_tx *mem;
	struct mmsghdr msgs[MXP_TX_BATCH];
	struct run runs[MXP_TX_BATCH];
	union mxp_sockaddr names[MXP_TX_BATCH];
	struct mx_addr to[MXP_TX_BATCH];
	union ctrl ctrl[MXP_TX_BATCH];
	u8 raw_head[MXP_TX_BATCH][MXP_RAW_HEAD];
	/* Raw datagrams to ourselves, which no interface loops back. */
	u8 *self;			/* SELF_SLOTS of MXP_RX_BUF */
	u32 self_len[SELF_SLOTS];
	u8 self_sock[SELF_SLOTS];
	unsigned self_head, self_tail;
	struct iovec iov[MXP_TX_IOVS];
};

/* The kernel shortens both to what it filled in. */
static void renew(struct mxp_rx *rx, unsigned k)
{
	rx->msgs[k].msg_hdr.msg_namelen = sizeof rx->names[k];
	rx->msgs[k].msg_hdr.msg_controllen = CTRL_BYTES;
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int mxp_net_init(struct mxp_net *n)
{
	memset(n, 0, sizeof *n);
	n->wake_fd = -1;
	n->rx = map(sizeof *n->rx);
	n->tx = map(sizeof *n->tx);
	n->paths = map(sizeof *n->paths * MXP_PATHS);
	if (!n->rx || !n->tx || !n->paths)
		goto nomem;
	n->rx->bufs = map((size_t)MXP_RX_BATCH * MXP_RX_BUF);
	n->tx->gather = map(MXP_TX_GATHER);
	n->tx->mem = map(sizeof(struct mx_tx) * MXP_TX_BATCH);
	n->tx->self = map((size_t)SELF_SLOTS * MXP_RX_BUF);
	if (!n->rx->bufs || !n->tx->gather || !n->tx->mem || !n->tx->self)
		goto nomem;
	for (unsigned i = 0; i < MXP_RX_BATCH; i++) {
		n->rx->iov[i].iov_base = n->rx->bufs + (size_t)i * MXP_RX_BUF;
		n->rx->iov[i].iov_len = MXP_RX_BUF;
		n->rx->msgs[i].msg_hdr.msg_iov = &n->rx->iov[i];
		n->rx->msgs[i].msg_hdr.msg_iovlen = 1;
		n->rx->msgs[i].msg_hdr.msg_name = &n->rx->names[i];
		n->rx->msgs[i].msg_hdr.msg_control = &n->rx->ctrl[i];
		renew(n->rx, i);
	}
	for (unsigned i = 0; i < MXP_TX_BATCH; i++)
		n->tx->d[i] = &n->tx->mem[i];
	return 0;
nomem:
	mxp_net_free(n);
	return -ENOMEM;
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void mxp_net_free(struct mxp_net *n)
{
	for (unsigned i = 0; i < n->nsocks; i++)
		close(n->socks[i].fd);
	n->nsocks = 0;
	if (n->rx)
		unmap(n->rx->bufs, (size_t)MXP_RX_BATCH * MXP_RX_BUF);
	if (n->tx) {
		unmap(n->tx->gather, MXP_TX_GATHER);
		unmap(n->tx->mem, sizeof(struct mx_tx) * MXP_TX_BATCH);
		unmap(n->tx->self, (size_t)SELF_SLOTS * MXP_RX_BUF);
	}
	unmap(n->rx, sizeof *n->rx);
	unmap(n->tx, sizeof *n->tx);
	unmap(n->paths, sizeof *n->paths * MXP_PATHS);
	n->rx = NULL;
	n->tx = NULL;
	n->paths = NULL;
}

/* ---- which socket and local address a peer uses ---- */

void mxp_net_localise(const struct mxp_net *n, struct mx_addr *a)
{
	if (a->scope && a->scope == n->home)
		a->scope = 0;
}

static bool is_link_local(const struct mx_addr *a)
{
	return a->fam == MX_FAM_IP6 && a->a[0] == 0xfe && (a->a[1] & 0xc0) == 0x80;
}

/* The opposite, for the kernel. */
static socklen_t outside(const struct mxp_net *n, const struct mx_addr *a, bool v6,
			 union mxp_sockaddr *to)
{
	struct mx_addr full = *a;

	if (!full.scope && (full.fam == MX_FAM_ETH || is_link_local(a)))
		full.scope = n->home;
	return mxp_addr_to_sock(&full, v6, to);
}

static struct mxp_path *path_slot(const struct mxp_net *n, const struct mx_addr *a)
{
	u64 h = (mx_ld64(a->a) ^ mx_ld64(a->a + 8) ^ a->port ^ (u64)a->scope << 32) *
		0x9e3779b97f4a7c15ull;

	return &n->paths[h >> 54];
}
MX_BUILD_ASSERT(MXP_PATHS == 1 << 10);

static void path_learn(struct mxp_net *n, const struct mx_addr *from, unsigned sock,
		       const struct in6_addr *local)
{
	struct mxp_path *p = path_slot(n, from);

	if (mx_addr_eq(&p->peer, from) && p->sock == sock &&
	    !memcmp(&p->local, local, sizeof *local))
		return;
	p->peer = *from;
	p->sock = (u8)sock;
	p->local = *local;
}

static bool serves(const struct mxp_sock *s, u32 home, const struct mx_addr *to)
{
	switch (s->kind) {
	case MXP_RAW:
		return to->fam == MX_FAM_ETH && (to->scope ? to->scope : home) == s->ifindex;
	case MXP_UDP:
		if (to->fam == MX_FAM_IP6)
			return s->v6;
		return to->fam == MX_FAM_IP4 && !s->v6only &&
		       (!s->v6 || mxp_addr_is_any(&s->local));
	default:
		return false;
	}
}

static bool is_group(const struct mx_addr *a)
{
	return (a->fam == MX_FAM_IP4 && (a->a[0] & 0xf0) == 0xe0) ||
	       (a->fam == MX_FAM_IP6 && a->a[0] == 0xff);
}

/* Index of the socket to send by, -1: none. *@path is set if the local address
 * is known. */
static int choose(const struct mxp_net *n, const struct mx_addr *to, const struct mxp_path **path)
{
	bool lo = mxp_addr_is_loopback(to);
	int second = -1;

	*path = NULL;
	if (to->fam != MX_FAM_ETH && !is_group(to)) {
		const struct mxp_path *p = path_slot(n, to);

		if (mx_addr_eq(&p->peer, to)) {
			*path = p;
			return p->sock;
		}
	}
	for (unsigned i = 0; i < n->nsocks; i++) {
		const struct mxp_sock *s = &n->socks[i];

		if (!serves(s, n->home, to))
			continue;
		/* A socket bound to 127.0.0.1 reaches this machine only, and one
		 * bound to another address cannot be answered from loopback. */
		if (s->kind == MXP_UDP && !mxp_addr_is_any(&s->local) &&
		    mxp_addr_is_loopback(&s->local) != lo) {
			second = second < 0 && !is_group(to) ? (int)i : second;
			continue;
		}
		return (int)i;
	}
	return second;
}

/* ---- receiving ---- */

unsigned mxp_recv(struct mxp_net *n, unsigned i, bool wait)
{
	struct mxp_rx *rx = n->rx;
	struct mxp_sock *s = &n->socks[i];
	int got;

	for (unsigned k = 0; k < rx->got; k++)
		renew(rx, k);
	rx->sock = i;
	rx->next = 0;
	do {
		got = recvmmsg(s->fd, rx->msgs, MXP_RX_BATCH, wait ? MSG_WAITFORONE : MSG_DONTWAIT,
			       NULL);
	} while (got < 0 && errno == EINTR && !wait);
	n->stats.rx_calls++;
	rx->got = got > 0 ? (unsigned)got : 0;
	s->ready = got == MXP_RX_BATCH;
	if (got > 0)
		n->hot = i;
	return rx->got;
}

bool mxp_rx_pending(const struct mxp_net *n)
{
	return n->rx->next < n->rx->got || n->tx->self_head != n->tx->self_tail;
}

/* What comes beside a message. */
struct about {
	u32 gso;
	u32 ifindex;
	struct in6_addr local;
};

static void read_ctrl(struct msghdr *m, struct about *a)
{
	struct cmsghdr *c;

	memset(a, 0, sizeof *a);
	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof size);
			a->gso = size > 0 ? (u32)size : 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof i);
			a->ifindex = i.ipi6_ifindex;
			a->local = i.ipi6_addr;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof i);
			a->ifindex = (u32)i.ipi_ifindex;
			a->local.s6_addr[10] = a->local.s6_addr[11] = 0xff;
			memcpy(a->local.s6_addr + 12, &i.ipi_addr, 4);
		}
	}
}

static bool trusted(const struct mxp_net *n, u32 ifindex)
{
	if (!n->ntrust || ifindex == n->loopback)
		return true;
	for (unsigned i = 0; i < n->ntrust; i++)
		if (n->trust[i] == ifindex)
			return true;
	return false;
}

static void hand_over(struct mxp_net *n, mx_ns now, const struct mx_addr *from, u8 *p, u32 len)
{
	n->stats.rx_dgrams++;
	mx_ep_rx(n->ep, now, from, p, len);
	if (n->tx_first && n->tx_first(n->user))
		mxp_flush(n, now);
}

static unsigned deliver_udp(struct mxp_net *n, unsigned k, mx_ns now)
{
	struct mxp_rx *rx = n->rx;
	const struct mxp_sock *s = &n->socks[rx->sock];
	struct msghdr *m = &rx->msgs[k].msg_hdr;
	u8 *p = rx->iov[k].iov_base;
	u32 left = rx->msgs[k].msg_len, size = left;
	struct mx_addr from;
	unsigned count = 0;

	if (m->msg_flags & MSG_TRUNC || !mxp_addr_from_sock(&rx->names[k], &from) || !from.port)
		return 0;
	mxp_net_localise(n, &from);
	if (m->msg_controllen) {
		struct about a;

		read_ctrl(m, &a);
		if (s->pktinfo) {
			if (!trusted(n, a.ifindex)) {
				n->stats.untrusted++;
				return 0;
			}
			path_learn(n, &from, rx->sock, &a.local);
		}
		if (a.gso && a.gso < left) {
			size = a.gso;
			n->stats.gro_runs++;
		}
	} else if (s->kind == MXP_UDP && n->nsocks > 1) {
		static const struct in6_addr none;

		path_learn(n, &from, rx->sock, &none);
	}
	while (left) {
		u32 len = mx_min_u32(size, left);

		hand_over(n, now, &from, p, len);
		count++;
		p += len;
		left -= len;
	}
	return count;
}

static unsigned deliver_raw(struct mxp_net *n, unsigned k, mx_ns now)
{
	struct mxp_rx *rx = n->rx;
	const union mxp_sockaddr *name = &rx->names[k];
	u8 *p = rx->iov[k].iov_base;
	u32 len = rx->msgs[k].msg_len;
	struct mx_addr from;

	if (rx->msgs[k].msg_hdr.msg_flags & MSG_TRUNC)
		return 0;
	if (name->ll.sll_pkttype != PACKET_HOST && name->ll.sll_pkttype != PACKET_BROADCAST &&
	    name->ll.sll_pkttype != PACKET_MULTICAST)
		return 0;
	p = mxp_raw_dgram(p, &len);
	if (!p || !mxp_addr_from_sock(name, &from))
		return 0;
	mxp_net_localise(n, &from);
	hand_over(n, now, &from, p, len);
	return 1;
}

/* Only those that are there now: answering may add more. */
static unsigned deliver_self(struct mxp_net *n, mx_ns now)
{
	struct mxp_tx *tx = n->tx;
	unsigned end = tx->self_tail, count = end - tx->self_head;

	while (tx->self_head != end) {
		unsigned k = tx->self_head % SELF_SLOTS;
		struct mx_addr from = n->socks[tx->self_sock[k]].local;

		mxp_net_localise(n, &from);
		hand_over(n, now, &from, tx->self + (size_t)k * MXP_RX_BUF, tx->self_len[k]);
		tx->self_head++;
	}
	return count;
}

unsigned mxp_deliver(struct mxp_net *n, mx_ns now)
{
	struct mxp_rx *rx = n->rx;
	unsigned count = deliver_self(n, now);

	while (rx->next < rx->got) {
		unsigned k = rx->next++;

		count += n->socks[rx->sock].kind == MXP_RAW ? deliver_raw(n, k, now) :
							      deliver_udp(n, k, now);
	}
	return count;
}

/* ---- sending ---- */

/* Waits shortly for room in the socket's buffer. False: still none. */
static bool wait_room(struct mxp_net *n, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	n->stats.tx_blocked++;
	return poll(&p, 1, 20) > 0;
}

/* A run that the kernel would not cut is sent datagram by datagram. */
static void send_apart(struct mxp_net *n, struct mxp_sock *s, unsigned k)
{
	struct msghdr h = n->tx->msgs[k].msg_hdr;
	struct iovec iov[MX_TX_SEGS * 2], *from = h.msg_iov;
	size_t skip = 0, left = n->tx->runs[k].total;

	/* The local address stays, UDP_SEGMENT (which is last) goes. */
	h.msg_controllen -= CMSG_SPACE(sizeof(u16));
	if (!h.msg_controllen)
		h.msg_control = NULL;
	h.msg_iov = iov;
	while (left) {
		size_t want = mx_min_u64(n->tx->runs[k].size, left), have = 0;

		for (h.msg_iovlen = 0; have < want && h.msg_iovlen < MX_ARRAY_SIZE(iov);) {
			struct iovec *to = &iov[h.msg_iovlen++];

			to->iov_base = (u8 *)from->iov_base + skip;
			to->iov_len = mx_min_u64(from->iov_len - skip, want - have);
			have += to->iov_len;
			skip += to->iov_len;
			if (skip == from->iov_len) {
				from++;
				skip = 0;
			}
		}
		if (have == want && sendmsg(s->fd, &h, MSG_DONTWAIT) < 0) {
			n->stats.tx_too_big += errno == EMSGSIZE;
			n->stats.tx_errors += errno != EMSGSIZE;
		}
		left -= have;
	}
}

/* Message @k was refused with errno @e. True: try it again. */
static bool refused(struct mxp_net *n, struct mxp_sock *s, unsigned k, int e, unsigned *tries)
{
	switch (e) {
	case EINTR:
		return true;
	case EAGAIN:
	case ENOBUFS:
		if (++*tries < 5 && wait_room(n, s->fd))
			return true;
		break;
	case EIO:	/* the interface cannot cut for us */
		s->gso = false;
		/* fallthrough */
	case EINVAL:
	case EMSGSIZE:	/* a probe, or the path has become narrower: lost, ... */
		if (n->tx->runs[k].segs > 1) {
			send_apart(n, s, k);	/* ... but not a smaller last one */
			return false;
		}
		if (e == EMSGSIZE) {
			n->stats.tx_too_big++;
			return false;
		}
		break;
	}
	/* Unreachable, filtered, out of buffers: lost, as on the way. */
	n->stats.tx_errors++;
	n->stats.last_errno = e;
	return false;
}

static void add_segment_size(struct mxp_tx *tx, unsigned k)
{
	struct msghdr *h = &tx->msgs[k].msg_hdr;
	struct cmsghdr *c = (struct cmsghdr *)(tx->ctrl[k].bytes + h->msg_controllen);
	u16 size = (u16)tx->runs[k].size;

	h->msg_control = tx->ctrl[k].bytes;
	h->msg_controllen += CMSG_SPACE(sizeof size);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof size);
	memcpy(CMSG_DATA(c), &size, sizeof size);
}

/* Sends what is collected. */
static void push(struct mxp_net *n)
{
	struct mxp_tx *tx = n->tx;
	struct mxp_sock *s = &n->socks[tx->sock];
	unsigned k, tries = 0;

	for (k = 0; k < tx->nmsgs; k++)
		if (tx->runs[k].segs > 1) {
			add_segment_size(tx, k);
			n->stats.gso_runs++;
		}
	for (k = 0; k < tx->nmsgs;) {
		int rc;

		if (tx->nmsgs - k == 1)
			rc = sendmsg(s->fd, &tx->msgs[k].msg_hdr, MSG_DONTWAIT) < 0 ? -1 : 1;
		else
			rc = sendmmsg(s->fd, tx->msgs + k, tx->nmsgs - k, MSG_DONTWAIT);
		n->stats.tx_calls++;
		if (rc > 0) {
			k += (unsigned)rc;
			tries = 0;
		} else if (!refused(n, s, k, errno, &tries)) {
			k++;
		}
	}
	tx->nd = tx->nmsgs = tx->niov = 0;
	tx->gathered = 0;
}

static void copy_segs(struct mxp_net *n, const struct mx_tx *t, u8 *p)
{
	memcpy(p, t->hdr, t->hdr_len);
	p += t->hdr_len;
	for (u32 i = 0; i < t->nsegs; i++) {
		const struct mx_seg *g = &t->segs[i];

		if (g->kind == MX_SEG_MEM)
			memcpy(p, (u8 *)g->buf + g->off, g->len);
		else
			n->buf->copy(p, g->buf, g->off, g->len);
		p += g->len;
	}
}

/* Names the datagram's parts. 0: too many for @max. */
static unsigned name_parts(struct mxp_net *n, const struct mx_tx *t, struct iovec *iov,
			   unsigned max)
{
	unsigned k = 1;

	if (!max)
		return 0;
	iov[0].iov_base = (void *)t->hdr;
	iov[0].iov_len = t->hdr_len;
	for (u32 i = 0; i < t->nsegs; i++) {
		const struct mx_seg *g = &t->segs[i];
		unsigned used = 1;

		if (k == max)
			return 0;
		if (g->kind == MX_SEG_MEM) {
			u8 *p = (u8 *)g->buf + g->off;

			if ((u8 *)iov[k - 1].iov_base + iov[k - 1].iov_len == p) {
				iov[k - 1].iov_len += g->len;
				continue;
			}
			iov[k].iov_base = p;
			iov[k].iov_len = g->len;
		} else {
			used = n->buf->iov(g->buf, g->off, g->len, &iov[k], max - k);
			if (!used)
				return 0;
		}
		k += used;
	}
	return k;
}

/* Where the datagram's bytes are; 0: no room left in this batch. */
static unsigned lay_out(struct mxp_net *n, const struct mx_tx *t)
{
	struct mxp_tx *tx = n->tx;
	struct iovec *iov = &tx->iov[tx->niov];
	unsigned used;
	u8 *p;

	if (!t->sealed) {
		used = name_parts(n, t, iov, MXP_TX_IOVS - 1 - tx->niov);
		if (used || tx->niov)
			return used;
		/* In more pieces than one message takes: copy. */
	}
	if (tx->gathered + t->len > MXP_TX_GATHER || tx->niov == MXP_TX_IOVS - 1)
		return 0;
	p = tx->gather + tx->gathered;
	tx->gathered += (t->len + 63) & ~63u;
	copy_segs(n, t, p);
	if (t->sealed)
		mx_ep_seal(t, p);
	iov->iov_base = p;
	iov->iov_len = t->len;
	return 1;
}
MX_BUILD_ASSERT(MXP_TX_GATHER >= 2 * (MX_DGRAM_MAX + 64));

static void add_source(struct mxp_tx *tx, unsigned k, const struct mxp_sock *s,
		       const struct mxp_path *path, const struct mx_addr *to)
{
	struct msghdr *h = &tx->msgs[k].msg_hdr;
	struct cmsghdr *c = &tx->ctrl[k].align;
	u32 out = is_group(to) ? to->scope : 0;

	if (!out && (!path || !s->pktinfo || IN6_IS_ADDR_UNSPECIFIED(&path->local)))
		return;
	h->msg_control = c;
	if (s->v6 && to->fam == MX_FAM_IP6) {
		struct in6_pktinfo i = { .ipi6_ifindex = out };

		if (!out)
			i.ipi6_addr = path->local;
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof i);
		memcpy(CMSG_DATA(c), &i, sizeof i);
		h->msg_controllen = CMSG_SPACE(sizeof i);
	} else {
		struct in_pktinfo i = { .ipi_ifindex = (int)out };

		if (!out)
			memcpy(&i.ipi_spec_dst, path->local.s6_addr + 12, 4);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof i);
		memcpy(CMSG_DATA(c), &i, sizeof i);
		h->msg_controllen = CMSG_SPACE(sizeof i);
	}
}

/* Appends to the run before, if it is one with it. */
static bool extend(struct mxp_net *n, const struct mx_tx *t, unsigned used)
{
	struct mxp_tx *tx = n->tx;
	struct msghdr *h;
	struct run *r;

	if (!tx->nmsgs || !n->socks[tx->sock].gso)
		return false;
	r = &tx->runs[tx->nmsgs - 1];
	h = &tx->msgs[tx->nmsgs - 1].msg_hdr;
	if (r->closed || r->size > MXP_GSO_DGRAM || t->len > r->size || r->segs == MXP_GSO_SEGS ||
	    r->total + t->len > MX_DGRAM_MAX || h->msg_iovlen + used > MXP_TX_IOVS ||
	    !mx_addr_eq(&tx->to[tx->nmsgs - 1], &t->to))
		return false;
	h->msg_iovlen += used;
	r->total += t->len;
	r->segs++;
	r->closed = t->len < r->size;
	return true;
}

static void start_message(struct mxp_net *n, const struct mx_tx *t, unsigned used,
			  const struct mxp_path *path)
{
	struct mxp_tx *tx = n->tx;
	struct mxp_sock *s = &n->socks[tx->sock];
	unsigned k = tx->nmsgs++;
	struct msghdr *h = &tx->msgs[k].msg_hdr;

	memset(h, 0, sizeof *h);
	h->msg_name = &tx->names[k];
	h->msg_namelen = outside(n, &t->to, s->v6, &tx->names[k]);
	h->msg_iov = &tx->iov[tx->niov];
	h->msg_iovlen = used;
	tx->to[k] = t->to;
	tx->runs[k] = (struct run){ .size = t->len, .total = t->len, .segs = 1 };
	if (s->kind == MXP_UDP)
		add_source(tx, k, s, path, &t->to);
}

/* The length before a raw datagram: one more part in front. */
static unsigned add_raw_head(struct mxp_tx *tx, u32 len)
{
	u8 *p = tx->raw_head[tx->nmsgs];

	mx_st16(p, (u16)len);
	mx_st16(p + 2, 0);
	tx->iov[tx->niov].iov_base = p;
	tx->iov[tx->niov].iov_len = MXP_RAW_HEAD;
	tx->niov++;
	return 1;
}

static void keep_for_self(struct mxp_net *n, const struct mx_tx *t, unsigned sock)
{
	struct mxp_tx *tx = n->tx;
	unsigned k = tx->self_tail % SELF_SLOTS;

	if (tx->self_tail - tx->self_head == SELF_SLOTS || t->len > n->socks[sock].mtu)
		return;		/* lost, as on the way */
	copy_segs(n, t, tx->self + (size_t)k * MXP_RX_BUF);
	if (t->sealed)
		mx_ep_seal(t, tx->self + (size_t)k * MXP_RX_BUF);
	tx->self_len[k] = t->len;
	tx->self_sock[k] = (u8)sock;
	tx->self_tail++;
	n->stats.tx_dgrams++;
}

/* Takes d[nd] into the batch, sending what is there before if it must. */
static void add(struct mxp_net *n)
{
	struct mxp_tx *tx = n->tx;
	const struct mxp_path *path;
	struct mx_tx *t = tx->d[tx->nd];
	int sock = choose(n, &t->to, &path);
	unsigned used, before;
	bool raw;

	if (sock < 0) {
		n->stats.tx_errors++;
		n->stats.last_errno = EAFNOSUPPORT;
		return;
	}
	raw = n->socks[sock].kind == MXP_RAW;
	if (raw && !memcmp(t->to.a, n->socks[sock].local.a, 6)) {
		keep_for_self(n, t, (unsigned)sock);
		return;
	}
	for (unsigned try = 0; try < 2; try++) {
		if (tx->nd && (try || tx->sock != (unsigned)sock)) {
			/* @t keeps its place as the first of the next batch. */
			tx->d[tx->nd] = tx->d[0];
			tx->d[0] = t;
			push(n);
		}
		tx->sock = (unsigned)sock;
		before = tx->niov;
		if (raw && before < MXP_TX_IOVS)
			add_raw_head(tx, t->len);
		used = lay_out(n, t);
		if (used)
			break;
		tx->niov = before;
	}
	if (!used) {
		n->stats.tx_errors++;	/* larger than any datagram may be */
		return;
	}
	if (raw) {
		used++;
		tx->niov = before;
	}
	tx->nd++;
	n->stats.tx_dgrams++;
	if (raw || !extend(n, t, used))
		start_message(n, t, used, path);
	tx->niov += used;
	/* What was sealed is on its way while the next is being sealed. */
	if (tx->nd == MXP_TX_BATCH || tx->gathered >= MXP_TX_EARLY)
		push(n);
}

void mxp_flush(struct mxp_net *n, mx_ns now)
{
	struct mxp_tx *tx = n->tx;

	while (mx_ep_tx(n->ep, now, tx->d[tx->nd]))
		add(n);
	if (tx->nmsgs)
		push(n);
}
