/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limit-udp: how fast two processes of this machine can exchange requests and
 * replies of a block device over UDP on loopback, when they do nothing else.
 *
 * It is a yardstick for `make bench`, so that results of different days can be
 * compared: it shares no code with MemX and is not tuned along with it. Do not
 * change what it does; a better yardstick gets another name.
 *
 * A read is a request of 48 bytes and a reply of 48 bytes plus the data; a
 * write is the other way round. Data larger than one datagram travels in
 * fragments of whole pages, as equal as they can be. The server sends from a
 * store of --store bytes walked in steps of --step, and receives into spare
 * pages of it, so that data is as cold as a store's is; all memory is touched
 * before the clock starts. Beyond that it checks the number in each page it
 * reads, and with --crc what a checked exchange has to compute (a CRC32C for
 * each 512 bytes: made by the writer, kept by the server, verified by the
 * receiver of the data).
 *
 * One line of JSON goes to stdout. A datagram that is lost is asked for again
 * after a second and counted; a run with `retries` other than 0 is no limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "limit-udp.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Only read by a process of the same machine: host byte order will do. */
struct header {
	uint64_t tag;			/* the request's number */
	uint64_t offset;		/* of the whole request in the store */
	uint32_t bytes;			/* of the whole request */
	uint32_t crc;			/* of this fragment's data, with --crc */
	uint16_t slot;
	uint16_t fragment;
	uint8_t reserved[20];
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "header is 48 bytes");

/* One end of the exchange: a socket and the arrays for batched calls on it. */
struct end {
	const struct options *opt;
	int fd;

	/*
	 * Bulk datagrams (a header and data) are received scattered: each
	 * message has room for `rx_segments` pairs of a header and a fragment.
	 * Others are headers alone and go into one flat buffer.
	 */
	bool rx_bulk;
	unsigned int rx_messages;
	unsigned int rx_segments;
	struct mmsghdr *rx;
	struct iovec *rx_iov;
	struct sockaddr_in *rx_name;
	unsigned char *rx_control;

	/* What is to be sent with the next flush. */
	unsigned int tx_segments;	/* in one message */
	unsigned int tx_items;
	unsigned int tx_capacity;
	unsigned int tx_iovs;
	struct mmsghdr *tx;
	struct iovec *tx_iov;
	struct header *tx_header;
	unsigned char *tx_control;
	struct sockaddr_in peer;
	bool connected;
};

struct server {
	struct end end;
	unsigned char *store;
	uint32_t *page_crc;
	size_t spare;			/* where the next spare pages lie */
	uint64_t slot_tag[DEPTH_MAX];
	uint64_t slot_have[DEPTH_MAX];	/* bitmap of a write's fragments */
};

struct slot {
	uint64_t tag;
	uint64_t offset;
	uint64_t have;			/* bitmap of a read's fragments */
	unsigned char *source;		/* what a write sends */
};

struct client {
	struct end end;
	struct slot *slots;
	uint64_t next_tag;
	uint64_t next_offset;
	uint64_t completed;
	uint64_t retries;
	pid_t server;
};

#define CONTROL_BYTES CMSG_SPACE(sizeof(int))

void die(const char *fmt, ...)
{
	va_list ap;

	fputs("limit-udp: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void *alloc(size_t count, size_t bytes)
{
	void *p = NULL;
	size_t all = (count * bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;

	if (posix_memalign(&p, PAGE_BYTES, all ? all : PAGE_BYTES))
		die("out of memory for %zu bytes; try a smaller --store", all);
	memset(p, 0, all ? all : PAGE_BYTES);
	return p;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime: %s", strerror(errno));
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void cpu_relax(void)
{
#ifdef __x86_64__
	_mm_pause();
#endif
}

/* A page carries its place in the store, so that a reader sees a mix-up. */
static void page_fill(unsigned char *page, uint64_t offset)
{
	memset(page, 0x5a, PAGE_BYTES);
	memcpy(page, &offset, sizeof(offset));
}

static size_t fragment_at(const struct options *opt, unsigned int fragment)
{
	return fragment * opt->fragment_bytes;
}

static size_t fragment_len(const struct options *opt, unsigned int fragment)
{
	size_t left = opt->bytes - fragment_at(opt, fragment);

	return left < opt->fragment_bytes ? left : opt->fragment_bytes;
}

static uint64_t all_fragments(const struct options *opt)
{
	return opt->fragments == 64 ? ~0ull : (1ull << opt->fragments) - 1;
}

/* The next place for `bytes` in a walk through the store that wraps around. */
static size_t step_on(const struct options *opt, size_t offset, size_t bytes)
{
	offset += opt->step;
	if (offset > opt->store_bytes - bytes)
		offset %= opt->store_bytes - bytes + PAGE_BYTES;
	return offset;
}

/* --- one end -------------------------------------------------------------- */

static unsigned char *end_buffer(size_t bytes)
{
	return alloc(1, bytes);
}

static void end_init_rx(struct end *e)
{
	const struct options *opt = e->opt;
	size_t iovs = e->rx_bulk ? 2 * e->rx_segments : 1;
	size_t flat = e->rx_segments * HEADER_BYTES;
	struct header *headers = NULL;

	e->rx = alloc(e->rx_messages, sizeof(*e->rx));
	e->rx_iov = alloc(e->rx_messages * iovs, sizeof(*e->rx_iov));
	e->rx_name = alloc(e->rx_messages, sizeof(*e->rx_name));
	e->rx_control = alloc(e->rx_messages, CONTROL_BYTES);
	if (e->rx_bulk)
		headers = alloc((size_t)e->rx_messages * e->rx_segments, HEADER_BYTES);

	for (unsigned int m = 0; m < e->rx_messages; m++) {
		struct iovec *iov = &e->rx_iov[m * iovs];
		struct msghdr *h = &e->rx[m].msg_hdr;

		if (!e->rx_bulk)
			*iov = (struct iovec){ end_buffer(flat), flat };
		for (unsigned int s = 0; e->rx_bulk && s < e->rx_segments; s++) {
			iov[2 * s] = (struct iovec){ headers++, HEADER_BYTES };
			iov[2 * s + 1] = (struct iovec){ end_buffer(opt->fragment_bytes),
							 opt->fragment_bytes };
		}
		h->msg_iov = iov;
		h->msg_iovlen = iovs;
	}
}

static void end_init_tx(struct end *e)
{
	e->tx = alloc(e->tx_capacity, sizeof(*e->tx));
	e->tx_iov = alloc(2 * (size_t)e->tx_capacity, sizeof(*e->tx_iov));
	e->tx_header = alloc(e->tx_capacity, sizeof(*e->tx_header));
	e->tx_control = alloc(e->tx_capacity, CONTROL_BYTES);
}

static int socket_open(const struct options *opt)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct timeval second = { .tv_sec = 1 };
	int on = 1, room = 8 << 20, fd;

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		die("cannot open a UDP socket on 127.0.0.1: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (opt->gso && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)))
		die("this kernel has no UDP_GRO (%s): leave --gso out", strerror(errno));
	return fd;
}

static void end_init(struct end *e, const struct options *opt, int fd, bool rx_bulk)
{
	unsigned int bulk = 1, small = 1;

	if (opt->gso) {
		bulk = DATAGRAM_MAX / (HEADER_BYTES + (unsigned int)opt->fragment_bytes);
		bulk = bulk < SEGMENTS_MAX ? bulk : SEGMENTS_MAX;
		small = SEGMENTS_MAX;
	}
	e->opt = opt;
	e->fd = fd;
	e->rx_bulk = rx_bulk;
	e->rx_segments = rx_bulk ? bulk : small;
	e->tx_segments = rx_bulk ? small : bulk;
	e->rx_messages = (opt->batch + e->rx_segments - 1) / e->rx_segments;
	e->tx_capacity = opt->depth * (rx_bulk ? 1 : opt->fragments);
	end_init_rx(e);
	end_init_tx(e);
}

/*
 * Up to a batch of messages, without a copy of the payload: 0 when nothing came
 * for a second.
 */
static unsigned int end_receive(struct end *e)
{
	const struct options *opt = e->opt;
	uint64_t since = 0;
	int n;

	for (unsigned int m = 0; m < e->rx_messages; m++) {
		struct msghdr *h = &e->rx[m].msg_hdr;

		h->msg_name = e->connected ? NULL : &e->rx_name[m];
		h->msg_namelen = e->connected ? 0 : sizeof(e->rx_name[m]);
		h->msg_control = opt->gso ? e->rx_control + m * CONTROL_BYTES : NULL;
		h->msg_controllen = opt->gso ? CONTROL_BYTES : 0;
	}
	for (unsigned int spins = 1;; spins++) {
		n = recvmmsg(e->fd, e->rx, e->rx_messages,
			     opt->poll ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
		if (n > 0)
			return (unsigned int)n;
		if (errno != EAGAIN && errno != EINTR)
			die("recvmmsg: %s", strerror(errno));
		if (!opt->poll)
			return 0;
		if (spins % 4096 == 0) {
			uint64_t now = now_ns(CLOCK_MONOTONIC);

			since = since ? since : now;
			if (now - since > TIMEOUT_NS)
				return 0;
		}
		cpu_relax();
	}
}

/* The size of the datagrams that the kernel joined into one message. */
static size_t segment_bytes(const struct end *e, unsigned int message)
{
	struct msghdr *h = &e->rx[message].msg_hdr;
	struct cmsghdr *c;
	int bytes;

	if (h->msg_flags & MSG_TRUNC)
		die("a datagram was larger than expected");
	for (c = e->opt->gso ? CMSG_FIRSTHDR(h) : NULL; c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
			return (size_t)bytes;
		}
	}
	return e->rx[message].msg_len;
}

static void tx_flush(struct end *e)
{
	unsigned int messages = (e->tx_items + e->tx_segments - 1) / e->tx_segments;
	unsigned int sent = 0;

	while (sent < messages) {
		int n = sendmmsg(e->fd, e->tx + sent, messages - sent, 0);

		if (n < 0 && errno != EINTR)
			die("sendmmsg: %s", strerror(errno));
		sent += n > 0 ? (unsigned int)n : 0;
	}
	e->tx_items = 0;
	e->tx_iovs = 0;
}

static void tx_segmented(struct end *e, struct msghdr *h, unsigned int message, size_t bytes)
{
	uint16_t segment = (uint16_t)bytes;
	struct cmsghdr *c;

	h->msg_control = e->tx_control + message * CONTROL_BYTES;
	h->msg_controllen = CMSG_SPACE(sizeof(segment));
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

static void tx_add(struct end *e, const struct header *header, unsigned char *data, size_t bytes)
{
	unsigned int message, place;
	struct msghdr *h;

	if (e->tx_items == e->tx_capacity)
		tx_flush(e);
	message = e->tx_items / e->tx_segments;
	place = e->tx_items % e->tx_segments;
	h = &e->tx[message].msg_hdr;
	if (!place) {
		*h = (struct msghdr){ .msg_iov = &e->tx_iov[e->tx_iovs] };
		h->msg_name = e->connected ? NULL : &e->peer;
		h->msg_namelen = e->connected ? 0 : sizeof(e->peer);
	} else if (place == 1) {
		tx_segmented(e, h, message, HEADER_BYTES + bytes);
	}
	e->tx_header[e->tx_items] = *header;
	e->tx_iov[e->tx_iovs++] = (struct iovec){ &e->tx_header[e->tx_items], HEADER_BYTES };
	if (bytes)
		e->tx_iov[e->tx_iovs++] = (struct iovec){ data, bytes };
	h->msg_iovlen = (size_t)(&e->tx_iov[e->tx_iovs] - h->msg_iov);
	e->tx_items++;
}

/*
 * The datagram number `segment` of a message; its data in *data, which stays
 * valid until the next end_receive(). Returns NULL past the last one.
 */
static struct header *rx_segment(struct end *e, unsigned int message, unsigned int segment,
				 struct iovec **data)
{
	struct iovec *iov = e->rx[message].msg_hdr.msg_iov;
	size_t bytes = segment_bytes(e, message);
	size_t got = e->rx[message].msg_len;

	if (segment * bytes >= got)
		return NULL;
	*data = NULL;
	if (!e->rx_bulk) {
		if (bytes != HEADER_BYTES)
			die("a message of %zu bytes where %u were expected", bytes, HEADER_BYTES);
		return (struct header *)((unsigned char *)iov->iov_base + segment * bytes);
	}
	if (bytes <= HEADER_BYTES || (got > bytes && bytes != HEADER_BYTES + iov[1].iov_len))
		die("a data message of %zu bytes was not expected", bytes);
	*data = &iov[2 * segment + 1];
	return iov[2 * segment].iov_base;
}

/* --- server --------------------------------------------------------------- */

static void server_read(struct server *s, const struct header *request)
{
	const struct options *opt = s->end.opt;
	struct header reply = *request;

	if (request->bytes != opt->bytes || request->offset > opt->store_bytes - opt->bytes)
		die("server: a request outside the store");
	for (unsigned int f = 0; f < opt->fragments; f++) {
		size_t at = request->offset + fragment_at(opt, f);
		size_t bytes = fragment_len(opt, f);

		reply.fragment = (uint16_t)f;
		reply.crc = 0;
		for (size_t p = 0; opt->crc && p < bytes; p += PAGE_BYTES)
			reply.crc += s->page_crc[(at + p) / PAGE_BYTES];
		tx_add(&s->end, &reply, s->store + at, bytes);
	}
}

static void server_write(struct server *s, const struct header *request, struct iovec *data)
{
	const struct options *opt = s->end.opt;
	unsigned int slot = request->slot;

	if (slot >= opt->depth || request->fragment >= opt->fragments)
		die("server: a write with an impossible slot or fragment");
	if (opt->crc &&
	    crc_data(data->iov_base, fragment_len(opt, request->fragment)) != request->crc)
		die("server: checksum mismatch in data received");

	/* The data stays where it was received; the next goes to spare pages. */
	data->iov_base = s->store + s->spare;
	s->spare = step_on(opt, s->spare, opt->fragment_bytes);

	if (s->slot_tag[slot] != request->tag) {
		s->slot_tag[slot] = request->tag;
		s->slot_have[slot] = 0;
	}
	s->slot_have[slot] |= 1ull << request->fragment;
	if (s->slot_have[slot] == all_fragments(opt))
		tx_add(&s->end, request, NULL, 0);
}

static void server_init(struct server *s, const struct options *opt, int fd)
{
	end_init(&s->end, opt, fd, opt->write);
	s->store = alloc(1, opt->store_bytes);
	s->page_crc = alloc(opt->store_bytes / PAGE_BYTES, sizeof(*s->page_crc));
	for (size_t at = 0; at < opt->store_bytes; at += PAGE_BYTES) {
		page_fill(s->store + at, at);
		if (opt->crc)
			s->page_crc[at / PAGE_BYTES] = crc_data(s->store + at, PAGE_BYTES);
	}
}

static void server_run(struct server *s)
{
	struct end *e = &s->end;

	for (;;) {
		unsigned int n = end_receive(e);

		if (n && !e->connected) {
			e->peer = e->rx_name[0];
			if (e->opt->connect_server) {
				if (connect(e->fd, (struct sockaddr *)&e->peer, sizeof(e->peer)))
					die("server: connect: %s", strerror(errno));
				e->connected = true;
			}
		}
		for (unsigned int m = 0; m < n; m++) {
			struct header *request;
			struct iovec *data;

			for (unsigned int k = 0; (request = rx_segment(e, m, k, &data)); k++) {
				if (e->opt->write)
					server_write(s, request, data);
				else
					server_read(s, request);
			}
		}
		tx_flush(e);
	}
}

/* --- client --------------------------------------------------------------- */

static void client_send(struct client *c, unsigned int slot)
{
	const struct options *opt = c->end.opt;
	struct slot *s = &c->slots[slot];
	struct header request = {
		.tag = s->tag, .offset = s->offset,
		.bytes = (uint32_t)opt->bytes, .slot = (uint16_t)slot,
	};

	s->have = 0;
	if (!opt->write) {
		tx_add(&c->end, &request, NULL, 0);
		return;
	}
	for (unsigned int f = 0; f < opt->fragments; f++) {
		unsigned char *data = s->source + fragment_at(opt, f);
		size_t bytes = fragment_len(opt, f);

		request.fragment = (uint16_t)f;
		request.crc = opt->crc ? crc_data(data, bytes) : 0;
		tx_add(&c->end, &request, data, bytes);
	}
}

static void client_next(struct client *c, unsigned int slot)
{
	const struct options *opt = c->end.opt;
	struct slot *s = &c->slots[slot];

	s->tag = c->next_tag++;
	s->offset = c->next_offset;
	c->next_offset = step_on(opt, c->next_offset, opt->bytes);
	client_send(c, slot);
}

static void client_reply(struct client *c, const struct header *reply, const struct iovec *data)
{
	const struct options *opt = c->end.opt;
	struct slot *s = &c->slots[reply->slot % opt->depth];
	uint64_t place;

	if (s->tag != reply->tag)
		return;		/* the answer to a request that was sent twice */
	if (opt->write) {
		s->have = all_fragments(opt);
	} else {
		if (reply->fragment >= opt->fragments)
			die("a reply with an impossible fragment");
		memcpy(&place, data->iov_base, sizeof(place));
		if (place != s->offset + fragment_at(opt, reply->fragment))
			die("wrong data: asked for offset %llu, got the page of %llu",
			    (unsigned long long)(s->offset + fragment_at(opt, reply->fragment)),
			    (unsigned long long)place);
		if (opt->crc &&
		    crc_data(data->iov_base, fragment_len(opt, reply->fragment)) != reply->crc)
			die("checksum mismatch in data received");
		s->have |= 1ull << reply->fragment;
	}
	if (s->have == all_fragments(opt)) {
		c->completed++;
		client_next(c, reply->slot);
	}
}

static void client_nothing_came(struct client *c)
{
	int status;

	if (waitpid(c->server, &status, WNOHANG) == c->server)
		die("the server ended early (status 0x%x)", status);
	for (unsigned int i = 0; i < c->end.opt->depth; i++) {
		c->retries++;
		client_send(c, i);
	}
}

static void client_init(struct client *c, const struct options *opt, int fd,
			const struct sockaddr_in *to)
{
	end_init(&c->end, opt, fd, !opt->write);
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		die("connect: %s", strerror(errno));
	c->end.connected = true;
	c->next_tag = 1;
	c->slots = alloc(opt->depth, sizeof(*c->slots));
	for (unsigned int i = 0; i < opt->depth; i++) {
		c->slots[i].source = alloc(1, opt->bytes);
		memset(c->slots[i].source, 0xa5, opt->bytes);
	}
	for (unsigned int i = 0; i < opt->depth; i++)
		client_next(c, i);
	tx_flush(&c->end);
}

/* Until `until_ns`, or until `count` requests have been completed. */
static uint64_t client_run(struct client *c, uint64_t until_ns, uint64_t count)
{
	struct end *e = &c->end;
	uint64_t now;

	do {
		unsigned int n = end_receive(e);

		if (!n)
			client_nothing_came(c);
		for (unsigned int m = 0; m < n; m++) {
			struct header *reply;
			struct iovec *data;

			for (unsigned int k = 0; (reply = rx_segment(e, m, k, &data)); k++)
				client_reply(c, reply, data);
		}
		tx_flush(e);
		now = now_ns(CLOCK_MONOTONIC);
	} while (count ? c->completed < count : now < until_ns);
	return now;
}

/* --- the measurement ------------------------------------------------------ */

static void pin(int cpu, const char *who)
{
	cpu_set_t set;

	if (cpu == CPU_ANY)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run the %s on CPU %d (%s): name another, or 'any'",
		    who, cpu, strerror(errno));
}

static pid_t server_start(const struct options *opt, int fd)
{
	static struct server s;
	int ready[2];
	char byte = 0;
	pid_t pid;

	if (pipe(ready))
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(opt->server_cpu, "server");
		server_init(&s, opt, fd);
		if (write(ready[1], &byte, 1) != 1)
			die("server: pipe: %s", strerror(errno));
		server_run(&s);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the server did not start");
	close(ready[0]);
	return pid;
}

static void report(const struct options *opt, const struct client *c, double seconds,
		   double client_us, double server_us)
{
	double n = (double)c->completed;
	int room = 0;
	socklen_t len = sizeof(room);

	getsockopt(c->end.fd, SOL_SOCKET, SO_RCVBUF, &room, &len);
	printf("{\"name\": \"limit-udp\", \"mode\": \"%s\", \"bytes\": %zu, \"depth\": %u, "
	       "\"poll\": %s, \"crc\": %s, \"gso\": %s, \"server_connected\": %s, "
	       "\"batch\": %u, \"fragments\": %u, \"fragment_bytes\": %zu, "
	       "\"client_cpu\": %d, \"server_cpu\": %d, \"rcvbuf\": %d, "
	       "\"requests\": %llu, \"seconds\": %.6f, \"iops\": %.1f, \"mb_per_s\": %.2f, "
	       "\"client_us_per_request\": %.3f, \"server_us_per_request\": %.3f, "
	       "\"retries\": %llu}\n",
	       opt->write ? "write" : "read", opt->bytes, opt->depth,
	       opt->poll ? "true" : "false", opt->crc ? "true" : "false",
	       opt->gso ? "true" : "false", opt->connect_server ? "true" : "false",
	       opt->batch, opt->fragments, opt->fragment_bytes,
	       opt->client_cpu, opt->server_cpu, room,
	       (unsigned long long)c->completed, seconds, n / seconds,
	       n * (double)opt->bytes / seconds / 1e6, client_us / n, server_us / n,
	       (unsigned long long)c->retries);
}

static void measure(const struct options *opt)
{
	static struct client c;
	struct sockaddr_in to;
	socklen_t len = sizeof(to);
	clockid_t server_clock;
	uint64_t start, end, client_start, server_start_ns, client_end, server_end;
	int server_fd = socket_open(opt);

	if (getsockname(server_fd, (struct sockaddr *)&to, &len))
		die("getsockname: %s", strerror(errno));
	c.server = server_start(opt, server_fd);
	close(server_fd);
	if (clock_getcpuclockid(c.server, &server_clock))
		die("no CPU clock for the server process");
	pin(opt->client_cpu, "client");
	client_init(&c, opt, socket_open(opt), &to);

	client_run(&c, now_ns(CLOCK_MONOTONIC) + (uint64_t)(opt->warmup * 1e9), 0);
	c.completed = 0;
	c.retries = 0;
	client_start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	server_start_ns = now_ns(server_clock);
	start = now_ns(CLOCK_MONOTONIC);
	end = client_run(&c, start + (uint64_t)(opt->seconds * 1e9), opt->count);
	client_end = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	server_end = now_ns(server_clock);

	kill(c.server, SIGKILL);
	waitpid(c.server, NULL, 0);
	report(opt, &c, (double)(end - start) / 1e9,
	       (double)(client_end - client_start) / 1e3,
	       (double)(server_end - server_start_ns) / 1e3);
}

int main(int argc, char **argv)
{
	struct options opt = {
		.depth = 1, .batch = 32, .client_cpu = 0, .server_cpu = 1,
		.bytes = PAGE_BYTES, .fragment_max = 61440,
		.store_bytes = 256u << 20, .step = 1064960,
		.seconds = 2, .warmup = 0.2,
	};

	options_parse(&opt, argc, argv);
	measure(&opt);
	return 0;
}
