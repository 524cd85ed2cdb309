/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carriers and the drive loop of a user-space endpoint.
 *
 * struct mxp_net holds all sockets of one endpoint (core/ep.h): UDP, multicast
 * groups, raw Ethernet. It brings datagrams from them to the endpoint and what
 * the endpoint hands out to them, in batches, and sleeps or polls in between.
 * memxd and the client library (client.c) are both built on it.
 *
 * One caller at a time per mxp_net.
 */
#ifndef MEMX_NET_POSIX_NET_H
#define MEMX_NET_POSIX_NET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <linux/if_packet.h>
#include "core/ep.h"

/* ---- addresses (addr.c) ---- */

#define MXP_ADDR_STR	80	/* "[v6%scope]:port", "eth:IF/aa:bb:cc:dd:ee:ff" */
#define MXP_ADDR_MAX	8	/* addresses taken of one name */

/*
 * Parses "host", "host:port", "v6", "[v6]", "[v6]:port" (v6 maybe with %IF) and
 * "eth:IF/aa:bb:cc:dd:ee:ff" (or without IF/). Names are resolved. Returns how many addresses
 * were written to @out (at most @max), or 0 with a malloc'ed sentence in *err.
 */
unsigned mxp_addr_parse(const char *s, u16 default_port, struct mx_addr *out, unsigned max,
			char **err);
/* The same for something to bind to: "*" is every address (IPv4 and IPv6),
 * and a port 0 lets the system choose. */
unsigned mxp_addr_parse_listen(const char *s, u16 default_port, struct mx_addr *out,
			       unsigned max, char **err);
/* Writes at most MXP_ADDR_STR bytes to @buf and returns it. */
char *mxp_addr_str(const struct mx_addr *a, char *buf);
bool mxp_addr_is_loopback(const struct mx_addr *a);
bool mxp_addr_is_any(const struct mx_addr *a);
/* Index of a network interface, or 0 with a sentence in *err that names those
 * there are. */
u32 mxp_if_index(const char *name, char **err);
/* Has interface @ifindex the address @a? */
bool mxp_if_has_addr(u32 ifindex, const struct mx_addr *a);
/* Has it any address of this family? */
bool mxp_if_has_family(u32 ifindex, enum mx_fam fam);

union mxp_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_ll ll;
};
/* False: not an address of this carrier. IPv4 mapped into IPv6 comes out as IPv4. */
bool mxp_addr_from_sock(const union mxp_sockaddr *s, struct mx_addr *a);
/* @v6: for an IPv6 socket, so IPv4 is mapped. Returns the length, 0: cannot. */
socklen_t mxp_addr_to_sock(const struct mx_addr *a, bool v6, union mxp_sockaddr *s);

/* printf into malloc'ed memory; for *err. Never NULL unless memory is out. */
char *mxp_msg(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- sockets ---- */

#define MXP_SOCKS	16
#define MXP_RX_BATCH	32	/* datagrams (or coalesced runs) by one recvmmsg */
#define MXP_RX_BUF	65536u	/* each */
#define MXP_TX_BATCH	32	/* datagrams pulled before a sendmmsg */
#define MXP_TX_IOVS	1024	/* UIO_MAXIOV: what one message may have */
#define MXP_TX_GATHER	(512u * 1024)	/* room to seal datagrams in */
#define MXP_TX_EARLY	(32u * 1024)	/* sealed: this much is worth a system call */
#define MXP_TRUST_MAX	8
#define MXP_RAW_HEAD	4u	/* length (2, little-endian), zero (2) before a datagram */
#define MXP_GSO_SEGS	64
#define MXP_GSO_DGRAM	16384u	/* larger ones are not worth a run */

enum mxp_kind { MXP_UDP, MXP_MCAST /* receives only */, MXP_RAW };

struct mxp_sock {
	int fd;
	enum mxp_kind kind;
	bool v6;		/* AF_INET6; takes IPv4 too if it is not v6only */
	bool v6only;
	bool pktinfo;		/* tells and sets the local address */
	bool gso, gro;
	bool ready;		/* may have something to read */
	u32 ifindex;		/* RAW, MCAST */
	u32 mtu;		/* RAW: largest datagram */
	struct mx_addr local;
	u32 rcvbuf, sndbuf;	/* effective, as payload bytes */
};

/* By which socket, and from which of our addresses, to answer somebody. */
struct mxp_path {
	struct mx_addr peer;
	u8 sock;
	u32 ifindex;		/* only kept for IPv6 link-local */
	struct in6_addr local;	/* IPv4 is mapped; all zero: not known */
};
#define MXP_PATHS	1024	/* direct-mapped */

struct mxp_net_stats {
	u64 rx_calls, tx_calls, rx_dgrams, tx_dgrams;
	u64 sleeps, polls;		/* waits that blocked; fruitless polls */
	u64 tx_too_big, tx_errors, tx_blocked, gso_runs, gro_runs, untrusted;
	int last_errno;			/* of tx_errors */
};

/* What MX_SEG_BUF segments name; NULL where they do not occur (servers). */
struct mxp_buf_ops {
	/* Where [off, off + len) of a request's data is: fills @iov, returns how
	 * many were used, 0 if it takes more than @max. */
	unsigned (*iov)(void *buf, u32 off, u32 len, struct iovec *iov, unsigned max);
	void (*copy)(u8 *dst, void *buf, u32 off, u32 len);
};

struct mxp_rx;			/* receive buffers */
struct mxp_tx;			/* what is collected for one sendmmsg */

struct mxp_net {
	struct mxp_sock socks[MXP_SOCKS];
	unsigned nsocks;
	unsigned hot;			/* index of the socket last read with success */
	struct mx_ep *ep;
	const struct mxp_buf_ops *buf;
	bool (*tx_first)(void *user);	/* mx_server_jobs_low; NULL: no */
	void *user;
	/* One more fd that ends a sleep; -1: none. With @wake_by_signal a signal
	 * comes along with it, and to miss that for RECV_SLEEP does not matter. */
	int wake_fd;
	bool wake_by_signal;

	/* Loopback and these interfaces are listened to; 0 of them: all. */
	u32 trust[MXP_TRUST_MAX];
	unsigned ntrust;
	u32 loopback;			/* its ifindex */
	/* The interface that link-local and Ethernet addresses without a scope are
	 * on; what is heard there has scope 0, as addresses on the wire have. */
	u32 home;

	/* Busy polling. */
	unsigned poll_us;
	unsigned poll_misses;		/* in a row; polling rests after a few */
	unsigned poll_rest, poll_left;	/* for so many arrivals; of them to come */
	unsigned eager;			/* >0: the last tries without ppoll paid */
	bool rcvtimeo_set;		/* at the only socket */
	bool idle;			/* the last sleep in recvmmsg brought nothing */
	mx_ns now;			/* at the end of the last mxp_step */
	mx_ns spun;			/* spent polling in vain, in sum */

	struct mxp_rx *rx;
	struct mxp_tx *tx;
	struct mxp_path *paths;
	struct mxp_net_stats stats;
};

/* Memory for batches; -ENOMEM. Sockets are added after. */
int mxp_net_init(struct mxp_net *n);
void mxp_net_free(struct mxp_net *n);	/* closes all sockets; harmless on a zeroed one */

struct mxp_udp_opts {
	struct mx_addr local;	/* fam and port; address may be "any" */
	bool dual;		/* IP6 any: IPv4 as well */
	bool server;		/* answers from the address asked; may share multicast */
	unsigned buffer;	/* wanted socket buffers, bytes; 0: 4 MiB */
};
/* Adds a socket. -errno, with a sentence in *err (cause and remedy). */
int mxp_udp_open(struct mxp_net *n, const struct mxp_udp_opts *o, char **err);
/* Receives announcements: joins MX_MCAST4 or MX_MCAST6 on an interface. Tries
 * both families; fails if neither works. */
int mxp_mcast_join(struct mxp_net *n, u32 ifindex, const char *ifname, u16 port, char **err);
/* Where to announce on an interface: the group of the family that interface and
 * sockets have. False: none (no suitable socket or address there). */
bool mxp_mcast_addr(const struct mxp_net *n, u32 ifindex, u16 port, struct mx_addr *group);
/* Raw Ethernet on an interface; EPERM is explained in *err. */
int mxp_raw_open(struct mxp_net *n, u32 ifindex, const char *ifname, unsigned buffer, char **err);
/* The datagram in a frame's *@len bytes, which may be padded, and its length to *@len;
 * NULL: there is none. */
u8 *mxp_raw_dgram(u8 *frame, u32 *len);
/* ff:ff:ff:ff:ff:ff on it. */
void mxp_raw_broadcast(u32 ifindex, struct mx_addr *a);
/* An address as it is known inside this endpoint: without the scope that is
 * understood. */
void mxp_net_localise(const struct mxp_net *n, struct mx_addr *a);
/* Used by udp.c and raw.c: a slot for a socket, and its buffers. */
struct mxp_sock *mxp_sock_add(struct mxp_net *n, int fd, enum mxp_kind kind);
void mxp_sock_buffers(struct mxp_sock *s, unsigned wanted);

/* The largest datagram that any socket here may send, for mx_ep_conf.dgram_max,
 * and the smallest receive buffer among those that carry data. */
u32 mxp_net_dgram_max(const struct mxp_net *n);
u32 mxp_net_rcvbuf(const struct mxp_net *n);

/* ---- batches (batch.c) ---- */
/* One recvmmsg on socket @i; what came waits in n->rx. Returns how many. With
 * @wait it sleeps until the first has come, or a signal, or SO_RCVTIMEO is over. */
unsigned mxp_recv(struct mxp_net *n, unsigned i, bool wait);
/* Datagrams received and not yet given to the endpoint? */
bool mxp_rx_pending(const struct mxp_net *n);
/* Gives them to the endpoint, sending in between when n->tx_first asks for it.
 * Returns how many datagrams it were. */
unsigned mxp_deliver(struct mxp_net *n, mx_ns now);
/* Sends all that the endpoint has to send now. */
void mxp_flush(struct mxp_net *n, mx_ns now);

/* ---- driving (loop.c) ---- */
/* What every program gives the core: memory from malloc, random bytes from the kernel. */
void mxp_port_init(struct mx_port *port, void *ctx);
void mxp_random(void *ctx, void *buf, size_t len);
mx_ns mxp_now(void);			/* CLOCK_BOOTTIME: leases go on while suspended */
/* Sockets marked ready -> endpoint, timers, sends. Returns datagrams received. */
unsigned mxp_step(struct mxp_net *n);
/* Until something may be read or @until: polls, then sleeps. Marks what is ready. */
void mxp_wait(struct mxp_net *n, mx_ns until);
/* Marks every socket as worth a try (an outside event loop did the waiting). */
void mxp_all_ready(struct mxp_net *n);
/* Non-blocking: is there a datagram? What it reads is kept for mxp_step. */
bool mxp_poll(struct mxp_net *n);

#endif
