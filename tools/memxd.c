/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memxd: donates memory to a MemX pool. See memxd(8).
 *
 * One thread does everything but make memory resident (memxd_pages.c): it takes
 * datagrams, gives them to the core's server and sends what that has to say.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "net/posix/key.h"
#include "net/posix/size.h"
#include "tools/memxd.h"

#define TICK		MX_SEC
#define STATUS_EVERY	10u		/* ticks between status lines to systemd */
#define EXIT_GAVE_UP	3		/* ended on request with data still here */

struct daemon {
	struct options opt;
	struct mxp_net net;
	struct mx_port port;
	struct pages *pages;
	struct mx_server *server;
	struct mx_node node;
	mx_ns started, next_tick, watchdog, next_watchdog;
	u64 ticks;
	u64 ceiling;			/* as last set */
	bool short_of_memory;		/* said so */
	mx_ns cpu_before, spun_before, tick_before;
	bool leaving;
	char extra[512];		/* what STATS tells of this program */
};

static volatile sig_atomic_t got_term, got_usr1;
static int wake_fd = -1;

/* ---- signals ---- */

static void on_signal(int sig)
{
	int saved = errno;
	u64 one = 1;

	if (sig == SIGUSR1)
		got_usr1 = 1;
	else
		got_term++;
	if (write(wake_fd, &one, sizeof one) < 0) {
		/* it is readable already */
	}
	errno = saved;
}

static void catch_signals(void)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGUSR1 };
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < MX_ARRAY_SIZE(sigs); i++)
		sigaction(sigs[i], &a, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/* ---- port ---- */

static void *port_page_get(void *ctx)
{
	struct daemon *d = ctx;

	return pages_get(d->pages);
}

static void port_page_put(void *ctx, void *page)
{
	struct daemon *d = ctx;

	pages_put(d->pages, page);
}

static void port_log(void *ctx, int level, const char *line)
{
	log_line(level, line);
}

/* ---- who we are ---- */

/* The same for each start on this machine with this name and address. */
static void derive_id(struct daemon *d)
{
	u8 key[64] = { 0 }, out[32];
	struct {
		char name[MX_NAME_MAX + 1];
		struct mx_addr addr;
	} what = { .addr = d->net.socks[0].local };
	ssize_t n = -1;
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, key, sizeof key);
		close(fd);
	}
	if (n <= 0) {
		mxp_random(NULL, &d->node.id, sizeof d->node.id);
		return;
	}
	strcpy(what.name, d->opt.name);
	mx_hmac_sha256(out, key, (size_t)n, &what, sizeof what);
	d->node.id = mx_ld64(out);
}

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	log_line(MX_LOG_ERR, line);
	exit(1);
}

/* The id in the state directory, which is made at the first start. */
static void stored_id(struct daemon *d)
{
	char file[4096], text[32] = "";
	unsigned long long id = 0;
	FILE *f;

	if (mkdir(d->opt.state_dir, 0755) && errno != EEXIST)
		fail("cannot make the state directory %s: %s", d->opt.state_dir, strerror(errno));
	snprintf(file, sizeof file, "%s/node-id", d->opt.state_dir);
	f = fopen(file, "re");
	if (f) {
		if (!fgets(text, sizeof text, f) || sscanf(text, "%16llx", &id) != 1 || !id)
			fail("%s does not have a node id (16 hex digits); restore it, or remove it to "
			     "get a new one", file);
		fclose(f);
		d->node.id = id;
		return;
	}
	mxp_random(NULL, &d->node.id, sizeof d->node.id);
	f = fopen(file, "wxe");
	if (!f || fprintf(f, "%016llx\n", (unsigned long long)d->node.id) < 0 || fclose(f))
		fail("cannot write %s: %s; give the user memxd runs as write access, or leave out "
		     "--state-dir", file, strerror(errno));
}

static void identify(struct daemon *d)
{
	strcpy(d->node.name, d->opt.name);
	mxp_random(NULL, &d->node.incarnation, sizeof d->node.incarnation);
	if (d->opt.state_dir)
		stored_id(d);
	else
		derive_id(d);
}

/* ---- set-up ---- */

static void open_sockets(struct daemon *d)
{
	struct options *o = &d->opt;
	struct mxp_net *n = &d->net;
	char *err = NULL, a[MXP_ADDR_STR];

	if (o->key.kind == MX_KEY_NONE) {
		memcpy(n->trust, o->trusted, sizeof o->trusted[0] * o->ntrusted);
		n->ntrust = o->ntrusted;
		n->loopback = if_nametoindex("lo");
	}
	for (unsigned i = 0; i < o->nlisten; i++) {
		struct mxp_udp_opts u = {
			.local = o->listen[i], .dual = o->listen_dual[i], .server = true,
			.buffer = o->socket_buffer,
		};

		if (mxp_udp_open(n, &u, &err))
			fail("%s", err);
	}
	for (unsigned i = 0; i < o->ninterfaces; i++) {
		const char *name = o->interfaces[i];
		bool raw = !strncmp(name, "raw:", 4);
		u32 index = if_nametoindex(raw ? name + 4 : name);

		if (raw ? mxp_raw_open(n, index, name + 4, o->socket_buffer, &err) :
			  mxp_mcast_join(n, index, name, MX_UDP_PORT, &err))
			fail("%s", err);
	}
	for (unsigned i = 0; i < n->nsocks; i++) {
		if (n->socks[i].kind == MXP_MCAST)
			continue;
		say(MX_LOG_INFO, "listening on %s%s", mxp_addr_str(&n->socks[i].local, a),
		    n->socks[i].v6 && !n->socks[i].v6only ? " (and IPv4)" : "");
	}
}

static void check_buffers(struct daemon *d)
{
	char have[MXP_SIZE_STR];
	u32 rcvbuf = mxp_net_rcvbuf(&d->net);

	if (rcvbuf < 1u << 20)
		say(MX_LOG_WARN, "socket buffers are limited to %s: requests will be lost under load; "
		    "raise net.core.rmem_max and net.core.wmem_max to 8388608 (sysctl)",
		    mxp_size_str(rcvbuf, have));
}

static void announce_on(struct daemon *d)
{
	struct mx_ep *ep = mx_server_ep(d->server);

	for (unsigned i = 0; i < d->opt.ninterfaces; i++) {
		const char *name = d->opt.interfaces[i];
		bool raw = !strncmp(name, "raw:", 4);
		u32 index = if_nametoindex(raw ? name + 4 : name);
		struct mx_addr a;

		if (raw) {
			mxp_raw_broadcast(index, &a);
			mxp_net_localise(&d->net, &a);
		} else if (!mxp_mcast_addr(&d->net, index, MX_UDP_PORT, &a)) {
			fail("--interface %s: none of the addresses listened on is on it, so nobody who "
			     "hears of this server there could reach it; add --listen with an address "
			     "of %s (or *)", name, name);
		}
		mx_ep_add_announce_addr(ep, &a);
	}
	for (unsigned i = 0; i < d->opt.njoin; i++) {
		struct mx_addr a = d->opt.join[i];

		mxp_net_localise(&d->net, &a);
		mx_ep_add_seed(ep, &a);
	}
}

static bool jobs_low(void *user)
{
	struct daemon *d = user;

	return mx_server_jobs_low(d->server);
}

static void make_server(struct daemon *d)
{
	u32 rcvbuf = mxp_net_rcvbuf(&d->net);
	struct mx_server_conf c = {
		.ep.node = d->node,
		.ep.key = d->opt.key,
		.ep.require_key = d->opt.key.kind != MX_KEY_NONE,
		.ep.suites = d->opt.suites,
		.ep.dgram_max = mxp_net_dgram_max(&d->net),
		.ep.rwnd = rcvbuf / 4 * 3,
		.store.ceiling = d->opt.memory,
	};

	mxp_port_init(&d->port, d);
	d->port.page_get = port_page_get;
	d->port.page_put = port_page_put;
	d->port.log = port_log;
	d->pages = pages_new(d->opt.memory);
	if (d->pages)
		d->server = mx_server_new(&d->port, &c, mxp_now());
	mxp_key_wipe(&c.ep.key, sizeof c.ep.key);
	if (!d->server)
		fail("not enough memory for a server");
	d->ceiling = d->opt.memory;
	d->net.ep = mx_server_ep(d->server);
	d->net.tx_first = jobs_low;
	d->net.user = d;
	d->net.poll_us = d->opt.poll_us;
	d->net.wake_fd = wake_fd;
	d->net.wake_by_signal = true;
}

/* ---- each second ---- */

static u64 used_bytes(const struct daemon *d)
{
	const struct mx_store_stats *s = mx_store_stats(mx_server_store(d->server));

	return s->data_bytes + s->meta_bytes;
}

/* Offers less while the host has less than the floor left for itself. */
static void watch_floor(struct daemon *d)
{
	u64 available = host_available(), floor = d->opt.floor, used = used_bytes(d), ceiling;
	struct pages_stats ps;
	char a[MXP_SIZE_STR], f[MXP_SIZE_STR], c[MXP_SIZE_STR];

	if (!available)
		return;
	pages_stats(d->pages, &ps);
	available += ps.free * MX_PAGE;		/* ours already */
	if (available >= floor)
		ceiling = used + (available - floor);
	else
		ceiling = used > floor - available ? used - (floor - available) : 0;
	ceiling = mx_min_u64(ceiling, d->opt.memory);
	/* Every change is announced: small ones are not worth it. */
	if (ceiling == d->ceiling || (ceiling != d->opt.memory && ceiling > used && d->ceiling >= used &&
				      (ceiling > d->ceiling ? ceiling - d->ceiling :
				       d->ceiling - ceiling) < d->opt.memory / 64))
		return;
	mx_server_set_ceiling(d->server, ceiling);
	d->ceiling = ceiling;
	mxp_size_str(ceiling, c);
	if (ceiling < d->opt.memory && !d->short_of_memory) {
		d->short_of_memory = true;
		say(MX_LOG_WARN, "the host has %s available and %s are to be left to it: offering %s "
		    "instead of what --memory says, until it has more", mxp_size_str(available, a),
		    mxp_size_str(floor, f), c);
	} else if (ceiling == d->opt.memory && d->short_of_memory) {
		d->short_of_memory = false;
		say(MX_LOG_INFO, "the host has enough memory again: offering %s", c);
	}
}

static mx_ns cpu_time(void)
{
	struct rusage r;

	if (getrusage(RUSAGE_SELF, &r))
		return 0;
	return (mx_ns)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * MX_SEC +
	       (mx_ns)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * MX_US;
}

/* Share of the last second in which the thread worked (polling in vain is not work). */
static void measure_load(struct daemon *d, mx_ns now)
{
	mx_ns cpu = cpu_time(), spun = d->net.spun, wall = now - d->tick_before;
	mx_ns used = cpu - d->cpu_before, idle = spun - d->spun_before;

	used = used > idle ? used - idle : 0;
	if (wall >= TICK / 2)		/* the first is a moment after the start, and about that */
		mx_server_set_load(d->server, (u32)mx_min_u64(1000, used * 1000 / wall));
	d->cpu_before = cpu;
	d->spun_before = spun;
	d->tick_before = now;
}

/* Of a server that is leaving. Under systemd `systemctl stop` waits, and sends no more. */
static const char *what_ends_it(void)
{
	return getenv("NOTIFY_SOCKET") ? "`systemctl kill memxd`" : "a second signal";
}

static void tell_status(struct daemon *d)
{
	u64 volumes, extents, bytes;
	char used[MXP_SIZE_STR], offered[MXP_SIZE_STR];

	if (d->leaving) {	/* packaging/memxd-stop knows it by the first word */
		mx_server_only_copies(d->server, &volumes, &extents, &bytes);
		notify("STATUS=Leaving; holds the only copy of %s in %llu volumes; %s ends it at once",
		       mxp_size_str(bytes, used), (unsigned long long)volumes, what_ends_it());
		return;
	}
	notify("STATUS=%s of %s in use, %llu volumes",
	       mxp_size_str(used_bytes(d), used), mxp_size_str(d->ceiling, offered),
	       (unsigned long long)mx_store_stats(mx_server_store(d->server))->volumes);
}

static void tell_stats(struct daemon *d)
{
	const struct mxp_net_stats *n = &d->net.stats;
	struct pages_stats p;

	pages_stats(d->pages, &p);
	snprintf(d->extra, sizeof d->extra,
		 "resident_bytes %llu\nscrubbed_pages %llu\nnone_at_hand %llu\nhost_available_bytes %llu\n"
		 "floor_bytes %llu\nsocket_buffer_bytes %u\nrx_calls %llu\ntx_calls %llu\nsleeps %llu\n"
		 "untrusted %llu\n", (unsigned long long)(p.used + p.free) * MX_PAGE,
		 (unsigned long long)p.scrubbed, (unsigned long long)p.denied,
		 (unsigned long long)host_available(), (unsigned long long)d->opt.floor,
		 mxp_net_rcvbuf(&d->net), (unsigned long long)n->rx_calls,
		 (unsigned long long)n->tx_calls, (unsigned long long)n->sleeps,
		 (unsigned long long)n->untrusted);
	mx_server_set_extra(d->server, d->extra);
}

static void tick(struct daemon *d, mx_ns now)
{
	d->next_tick = now + TICK;
	tell_stats(d);
	watch_floor(d);
	measure_load(d, now);
	if (now >= d->next_watchdog) {
		notify("WATCHDOG=1");
		d->next_watchdog = now + d->watchdog;
	}
	if (d->ticks++ % STATUS_EVERY == 0)
		tell_status(d);
}

/* ---- on request ---- */

static void log_stats(struct daemon *d)
{
	const struct mx_store_stats *st = mx_store_stats(mx_server_store(d->server));
	const struct mx_ep_stats *ep = mx_ep_stats(mx_server_ep(d->server));
	const struct mxp_net_stats *n = &d->net.stats;
	struct mx_server_stats s;
	struct pages_stats p;
	char a[MXP_SIZE_STR], b[MXP_SIZE_STR], c[MXP_SIZE_STR];
	u64 rejected = 0;

	mx_server_stats(d->server, &s, mxp_now());
	pages_stats(d->pages, &p);
	for (unsigned i = 1; i < MX_RJ_COUNT; i++)
		rejected += ep->rejects[i];
	say(MX_LOG_INFO, "store: %s data and %s bookkeeping of %s, %llu volumes, %llu extents, "
	    "%llu pages, %llu zero pages", mxp_size_str(st->data_bytes, a),
	    mxp_size_str(st->meta_bytes, b), mxp_size_str(st->ceiling, c),
	    (unsigned long long)st->volumes, (unsigned long long)st->extents,
	    (unsigned long long)st->pages, (unsigned long long)st->zero_pages);
	say(MX_LOG_INFO, "requests: %llu reads, %llu writes, %llu zero or discard, %llu control; refused: "
	    "%llu busy, %llu full, %llu fenced, %llu damaged", (unsigned long long)s.reads,
	    (unsigned long long)s.writes, (unsigned long long)s.zeros, (unsigned long long)s.calls,
	    (unsigned long long)s.busy, (unsigned long long)s.full, (unsigned long long)s.fenced,
	    (unsigned long long)s.bad_crc);
	say(MX_LOG_INFO, "network: %llu datagrams in (%llu calls, %llu rejected, %llu untrusted), %llu out "
	    "(%llu calls, %llu too large, %llu failed), %llu sleeps, %llu handshakes",
	    (unsigned long long)n->rx_dgrams, (unsigned long long)n->rx_calls,
	    (unsigned long long)rejected, (unsigned long long)n->untrusted,
	    (unsigned long long)n->tx_dgrams, (unsigned long long)n->tx_calls,
	    (unsigned long long)n->tx_too_big, (unsigned long long)n->tx_errors,
	    (unsigned long long)n->sleeps, (unsigned long long)ep->handshakes);
	say(MX_LOG_INFO, "memory: %llu pages used, %llu free, %llu scrubbed, %llu chunks given back, "
	    "%llu times none at hand; holder of %u volumes, %u in use", (unsigned long long)p.used,
	    (unsigned long long)p.free, (unsigned long long)p.scrubbed,
	    (unsigned long long)p.released, (unsigned long long)p.denied, s.held, s.owned);
}

/* False: nothing would be lost. */
static bool holds_data(struct daemon *d, u64 *volumes, u64 *extents, u64 *bytes)
{
	mx_server_only_copies(d->server, volumes, extents, bytes);
	return *extents > 0;
}

static void first_term(struct daemon *d)
{
	u64 volumes, extents, bytes;
	char b[MXP_SIZE_STR];

	holds_data(d, &volumes, &extents, &bytes);
	say(MX_LOG_WARN, "asked to stop, but this server holds the only copy of %llu extents of %llu "
	    "volumes (%s), which would be lost. It takes nothing new now and ends when they are "
	    "deleted or moved away; %s ends it at once",
	    (unsigned long long)extents, (unsigned long long)volumes, mxp_size_str(bytes, b),
	    what_ends_it());
	mx_server_leave(d->server, mxp_now());
	mxp_flush(&d->net, mxp_now());
	/* Not STOPPING=1: systemd would give it TimeoutStopSec= from now on, and kill it. */
	d->leaving = true;
	tell_status(d);
}

/* True: end now, with *status. */
static bool asked_to_stop(struct daemon *d, int *status)
{
	u64 volumes, extents, bytes;
	char b[MXP_SIZE_STR];

	if (!holds_data(d, &volumes, &extents, &bytes)) {
		say(MX_LOG_INFO, "stopping; nothing is lost");
		*status = 0;
		return true;
	}
	if (!d->leaving) {
		first_term(d);
		if (got_term < 2)
			return false;
	}
	if (got_term < 2)
		return false;
	say(MX_LOG_WARN, "stopping at the second signal: %llu extents of %llu volumes (%s) are lost",
	    (unsigned long long)extents, (unsigned long long)volumes, mxp_size_str(bytes, b));
	*status = EXIT_GAVE_UP;
	return true;
}

/* ---- driving ---- */

static void drain_wake_fd(void)
{
	u64 v;

	if (read(wake_fd, &v, sizeof v) < 0) {
		/* empty: fine */
	}
}

static int run(struct daemon *d)
{
	int status = 0;

	for (;;) {
		mx_ns until;

		mxp_step(&d->net);
		pages_idle(d->pages, d->net.now);
		if (d->net.now >= d->next_tick) {
			tick(d, d->net.now);
			if (d->leaving && asked_to_stop(d, &status))
				break;
		}
		if (got_usr1) {
			got_usr1 = 0;
			drain_wake_fd();
			log_stats(d);
		}
		if (got_term && (!d->leaving || got_term > 1)) {
			drain_wake_fd();
			if (asked_to_stop(d, &status))
				break;
		}
		until = mx_min_u64(mx_ep_deadline(d->net.ep), pages_deadline(d->pages));
		mxp_wait(&d->net, mx_min_u64(until, d->next_tick));
	}
	return status;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	char mem[MXP_SIZE_STR], floor[MXP_SIZE_STR];
	int status;

	make_no_core();
	options_read(&d.opt, argc, argv);
	log_init(d.opt.log_level);
	catch_signals();
	lock_memory(d.opt.memory);
	if (mxp_net_init(&d.net))
		fail("not enough memory");
	open_sockets(&d);
	check_buffers(&d);
	identify(&d);
	make_server(&d);
	announce_on(&d);
	mxp_key_wipe(&d.opt.key.key, sizeof d.opt.key.key);
	d.started = d.tick_before = mxp_now();
	d.watchdog = watchdog_interval();
	d.next_watchdog = d.watchdog == MX_NEVER ? MX_NEVER : d.started;
	say(MX_LOG_INFO, "memxd %s: server %s (id %016llx) donates %s, leaves the host %s, %s",
	    MEMX_VERSION, d.node.name, (unsigned long long)d.node.id,
	    mxp_size_str(d.opt.memory, mem), mxp_size_str(d.opt.floor, floor),
	    d.opt.key.kind == MX_KEY_NONE ? "no key" : "sessions need the key");
	watch_floor(&d);
	notify("READY=1");
	status = run(&d);
	notify("STOPPING=1");
	mx_ep_bye(d.net.ep, mxp_now());
	mxp_flush(&d.net, mxp_now());
	mx_server_free(d.server);
	mxp_net_free(&d.net);
	pages_free(d.pages);
	return status;
}
