/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memx-bench: drives a volume through the client library, without QEMU.
 *
 *	memx-bench --server 127.0.0.1 --create 256M --op randread --depth 32 test
 *
 * Prints one line of JSON. With --verify each block's content is told from its
 * place and how often it was written, and every read is checked; requests that
 * would overlap one under way are then not made.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "net/posix/client.h"

#define DEPTH_MAX	1024u
#define IOVS_MAX	8u
#define BUCKETS		512u	/* of latencies: 16 for each power of two of ns */

struct options {
	const char *servers[64];
	unsigned nservers;
	const char *key_file, *interface, *volume;
	unsigned depth, poll_us, read_percent, seed, iovs;
	bool sequential, verify, fill, filled, keep_open, quiet, force;
	u64 bytes, range, create, count;
	double seconds;
};

struct slot {
	struct memx_req req;
	struct iovec iov[IOVS_MAX];
	struct bench *b;
	u8 *buf;
	mx_ns started;
	bool busy;
};

struct bench {
	struct options opt;
	struct memx *m;
	struct mx_vol *vol;
	struct slot *slots;
	u64 rng, next_off, range;
	u64 submitted, completed, bytes;
	u64 failed, wrong;
	enum mx_status first_error;
	u64 first_error_off;
	u32 *versions;			/* --verify: writes made to each block */
	u8 *blocks_busy;
	unsigned inflight;
	bool stopping;
	u64 histogram[BUCKETS];
};

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("memx-bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static u64 next_random(struct bench *b)
{
	u64 x = b->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return b->rng = x;
}

/* ---- content ---- */

static void fill_block(u8 *p, u64 block, u32 version)
{
	u64 x = (block << 24 ^ version) * 0x9e3779b97f4a7c15ull + 1;

	for (unsigned i = 0; i < MX_BLOCK; i += 8) {
		mx_st64(p + i, x);
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	}
}

static bool check_block(const u8 *p, u64 block, u32 version)
{
	u8 want[MX_BLOCK] = { 0 };

	if (version)
		fill_block(want, block, version);
	return !memcmp(p, want, MX_BLOCK);
}

static void mark_busy(struct bench *b, u64 off, u8 busy)
{
	memset(b->blocks_busy + off / MX_BLOCK, busy, b->opt.bytes / MX_BLOCK);
}

static bool is_busy(struct bench *b, u64 off)
{
	return memchr(b->blocks_busy + off / MX_BLOCK, 1, b->opt.bytes / MX_BLOCK) != NULL;
}

/* ---- requests ---- */

static void count_latency(struct bench *b, mx_ns ns)
{
	unsigned log = ns < 16 ? 4 : 63 - (unsigned)__builtin_clzll(ns);
	unsigned i = (log - 4) * 16 + (unsigned)(ns >> (log - 4) & 15);

	b->histogram[i < BUCKETS ? i : BUCKETS - 1]++;
}

static double percentile_us(const struct bench *b, double part)
{
	u64 left = (u64)((double)b->completed * part);

	for (unsigned i = 0; i < BUCKETS; i++) {
		if (left < b->histogram[i])
			return (double)((u64)(16 + i % 16) << (i / 16)) / 1000.0;
		left -= b->histogram[i];
	}
	return 0;
}

static void check_read(struct bench *b, struct slot *s)
{
	u64 first = s->req.core.off / MX_BLOCK;

	for (u64 i = 0; i < b->opt.bytes / MX_BLOCK; i++) {
		if (check_block(s->buf + i * MX_BLOCK, first + i, b->versions[first + i]))
			continue;
		if (!b->wrong++)
			fprintf(stderr, "memx-bench: block %llu is not what was written last\n",
				(unsigned long long)(first + i));
	}
}

static bool submit(struct bench *b, struct slot *s);

static void done(struct mx_req *core, enum mx_status st)
{
	struct slot *s = mx_container_of(core, struct slot, req.core);
	struct bench *b = s->b;

	s->busy = false;
	b->inflight--;
	if (st != MX_OK) {
		if (!b->failed++) {
			b->first_error = st;
			b->first_error_off = core->off;
		}
		b->stopping = true;
	} else {
		b->completed++;
		b->bytes += core->len;
		count_latency(b, memx_now() - s->started);
		if (b->opt.verify && core->op == MX_REQ_READ)
			check_read(b, s);
	}
	if (b->opt.verify)
		mark_busy(b, core->off, 0);
	if (!b->stopping)
		submit(b, s);
}

static bool choose_offset(struct bench *b, u64 *off)
{
	u64 places = b->range / b->opt.bytes;

	for (unsigned try = 0; try < 100; try++) {
		if (b->opt.sequential) {
			*off = b->next_off;
			b->next_off = (b->next_off + b->opt.bytes) % (places * b->opt.bytes);
		} else if (b->opt.verify && b->range > b->opt.bytes) {
			/* any block, not only multiples of the size */
			*off = next_random(b) % ((b->range - b->opt.bytes) / MX_BLOCK + 1) * MX_BLOCK;
		} else {
			*off = next_random(b) % places * b->opt.bytes;
		}
		if (!b->opt.verify || !is_busy(b, *off))
			return true;
	}
	return false;
}

/* Cuts the buffer into pieces of odd lengths. */
static void scatter(struct bench *b, struct slot *s)
{
	unsigned n = b->opt.iovs;
	u64 at = 0;

	for (unsigned i = 0; i < n; i++) {
		u64 left = b->opt.bytes - at, len = left;

		if (i + 1 < n)
			len = next_random(b) % (left / (n - i) * 2 + 1);
		if (len > left)
			len = left;
		s->iov[i] = (struct iovec){ s->buf + at, len };
		at += len;
	}
	s->req.niov = n;
}

static bool submit(struct bench *b, struct slot *s)
{
	struct mx_req *core = &s->req.core;
	u64 off;

	if (b->opt.count && b->submitted >= b->opt.count)
		return false;
	if (!choose_offset(b, &off))
		return false;
	core->op = next_random(b) % 100 < b->opt.read_percent ? MX_REQ_READ : MX_REQ_WRITE;
	core->flags = MX_REQ_STABLE;
	core->off = off;
	core->len = b->opt.bytes;
	core->done = done;
	if (b->opt.verify) {
		mark_busy(b, off, 1);
		for (u64 i = 0; core->op == MX_REQ_WRITE && i < b->opt.bytes / MX_BLOCK; i++)
			fill_block(s->buf + i * MX_BLOCK, off / MX_BLOCK + i,
				   ++b->versions[off / MX_BLOCK + i]);
	}
	s->req.iov = s->iov;
	scatter(b, s);
	s->busy = true;
	s->started = memx_now();
	b->inflight++;
	b->submitted++;
	memx_submit(b->m, b->vol, &s->req);
	return true;
}

/* Until @until (or the count is reached), then until all have ended. */
static void drive(struct bench *b, mx_ns until)
{
	b->stopping = false;
	while (!b->stopping || b->inflight) {
		for (unsigned i = 0; i < b->opt.depth && !b->stopping; i++)
			if (!b->slots[i].busy && !submit(b, &b->slots[i]))
				break;
		memx_flush(b->m);
		memx_wait(b->m, until);
		memx_process(b->m);
		if (memx_now() >= until || (b->opt.count && b->submitted >= b->opt.count)) {
			b->stopping = true;
			until = MX_NEVER;
		}
	}
}

static void fill(struct bench *b)
{
	const struct options saved = b->opt;

	b->opt.sequential = true;
	b->opt.read_percent = 0;
	b->opt.bytes = 128 * 1024 < b->range ? 128 * 1024 : b->range;
	b->opt.count = b->range / b->opt.bytes;
	if (b->opt.depth > 8)
		b->opt.depth = 8;
	b->next_off = 0;
	b->submitted = 0;
	drive(b, MX_NEVER);
	b->opt = saved;
	b->next_off = 0;
	b->submitted = b->completed = b->bytes = 0;
	memset(b->histogram, 0, sizeof b->histogram);
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static int report(struct bench *b, double seconds, double cpu)
{
	struct mx_vol_stats st;
	double n = b->completed ? (double)b->completed : 1;

	mx_vol_stats(b->vol, &st, memx_now());
	printf("{\"read_percent\": %u, \"bytes\": %llu, \"depth\": %u, \"sequential\": %s, "
	       "\"seconds\": %.3f, \"requests\": %llu, \"iops\": %.0f, \"mib_s\": %.1f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"client_cpu_us\": %.2f, \"retransmits\": %llu, "
	       "\"failed\": %llu, \"wrong\": %llu}\n", b->opt.read_percent,
	       (unsigned long long)b->opt.bytes, b->opt.depth, b->opt.sequential ? "true" : "false",
	       seconds, (unsigned long long)b->completed, (double)b->completed / seconds,
	       (double)b->bytes / seconds / 1048576, percentile_us(b, 0.5), percentile_us(b, 0.99),
	       cpu / n * 1e6, (unsigned long long)st.retransmits, (unsigned long long)b->failed,
	       (unsigned long long)b->wrong);
	if (b->failed)
		fprintf(stderr, "memx-bench: %llu requests failed, the first at byte %llu: %s\n",
			(unsigned long long)b->failed, (unsigned long long)b->first_error_off,
			mx_status_str(b->first_error));
	return b->failed || b->wrong || !b->completed;
}

/* ---- set-up ---- */

static u64 parse_size(const char *s)
{
	char *end;
	u64 v = strtoull(s, &end, 10);

	switch (*end) {
	case 'T': v <<= 10; /* fallthrough */
	case 'G': v <<= 10; /* fallthrough */
	case 'M': v <<= 10; /* fallthrough */
	case 'K': v <<= 10; end++;
	}
	if (end == s || *end)
		die("\"%s\" is not a size; expected a number, maybe with K, M, G or T", s);
	return v;
}

static void set_op(struct options *o, const char *s)
{
	static const struct { const char *name; unsigned percent; bool seq; } ops[] = {
		{ "randread", 100, false }, { "randwrite", 0, false }, { "randrw", 50, false },
		{ "read", 100, true }, { "write", 0, true },
	};

	for (unsigned i = 0; i < MX_ARRAY_SIZE(ops); i++)
		if (!strcmp(s, ops[i].name)) {
			o->read_percent = ops[i].percent;
			o->sequential = ops[i].seq;
			return;
		}
	die("\"%s\" is no operation; expected randread, randwrite, randrw, read or write", s);
}

static const char usage[] =
	"usage: memx-bench [OPTION]... VOLUME\n"
	"  --server ADDR     a server of the pool (repeatable; default 127.0.0.1)\n"
	"  --interface IF    listen for servers there, or raw:IF\n"
	"  --key-file FILE\n"
	"  --create SIZE     create the volume first\n"
	"  --op OP           randread, randwrite, randrw, read, write (default randread)\n"
	"  --bytes SIZE      of a request (default 4K)\n"
	"  --depth N         requests under way (default 1)\n"
	"  --range SIZE      part of the volume that is used (default all)\n"
	"  --seconds S, --count N   how long (default 5 seconds)\n"
	"  --fill            write all of it before\n"
	"  --verify          check what is read\n"
	"  --filled          with --verify: the content is what --fill --verify left there, be it\n"
	"                    another program's\n"
	"  --iovs N          cut each buffer into N pieces of odd lengths\n"
	"  --poll-us N       poll so long before sleeping\n"
	"  --seed N, --force, --quiet\n";

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "server", 1, NULL, 's' }, { "interface", 1, NULL, 'i' }, { "key-file", 1, NULL, 'k' },
		{ "create", 1, NULL, 'c' }, { "op", 1, NULL, 'o' }, { "bytes", 1, NULL, 'b' },
		{ "depth", 1, NULL, 'd' }, { "range", 1, NULL, 'r' }, { "seconds", 1, NULL, 't' },
		{ "count", 1, NULL, 'n' }, { "fill", 0, NULL, 'f' }, { "verify", 0, NULL, 'v' },
		{ "filled", 0, NULL, 'l' },
		{ "iovs", 1, NULL, 'I' }, { "poll-us", 1, NULL, 'p' }, { "seed", 1, NULL, 'S' },
		{ "force", 0, NULL, 'F' }, { "quiet", 0, NULL, 'q' }, { "help", 0, NULL, 'h' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			if (o->nservers == MX_ARRAY_SIZE(o->servers) - 1)
				die("too many servers");
			o->servers[o->nservers++] = optarg;
			break;
		case 'i': o->interface = optarg; break;
		case 'k': o->key_file = optarg; break;
		case 'c': o->create = parse_size(optarg); break;
		case 'o': set_op(o, optarg); break;
		case 'b': o->bytes = parse_size(optarg); break;
		case 'd': o->depth = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'r': o->range = parse_size(optarg); break;
		case 't': o->seconds = strtod(optarg, NULL); break;
		case 'n': o->count = strtoull(optarg, NULL, 10); break;
		case 'f': o->fill = true; break;
		case 'v': o->verify = true; break;
		case 'l': o->filled = true; break;
		case 'I': o->iovs = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'p': o->poll_us = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'S': o->seed = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'F': o->force = true; break;
		case 'q': o->quiet = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	o->volume = argv[optind];
	if (!o->depth || o->depth > DEPTH_MAX)
		die("--depth must be from 1 to %u", DEPTH_MAX);
	if (o->filled && (o->fill || !o->verify))
		die("--filled goes with --verify, and without --fill");
	if (!o->iovs || o->iovs > IOVS_MAX)
		die("--iovs must be from 1 to %u", IOVS_MAX);
	if (!o->bytes || o->bytes % MX_BLOCK)
		die("--bytes must be a multiple of %u", MX_BLOCK);
}

static void *pages(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		       -1, 0);

	if (p == MAP_FAILED)
		die("not enough memory for %llu bytes", (unsigned long long)bytes);
	return p;
}

static void print_log(void *user, int level, const char *line)
{
	const struct bench *b = user;

	if (!b->opt.quiet && level <= MX_LOG_WARN)
		fprintf(stderr, "memx-bench: %s\n", line);
}

static void set_up(struct bench *b)
{
	struct options *o = &b->opt;
	struct memx_opts mo = {
		.servers = o->nservers ? o->servers : NULL, .interface = o->interface,
		.key_file = o->key_file, .poll_us = o->poll_us, .log = print_log, .user = b,
	};
	struct mx_vol_conf vc = {
		.wait_owner = true, .force = o->force, .open_timeout = 20 * MX_SEC,
	};
	u64 largest = o->bytes > 128 * 1024 ? o->bytes : 128 * 1024;
	char *err;

	b->m = memx_new(&mo, &err);
	if (!b->m || memx_wait_servers(b->m, 5 * MX_SEC, &err))
		die("%s", err);
	if (o->create && memx_create_wait(b->m, o->volume, o->create, &err))
		die("%s", err);
	if (memx_open_wait(b->m, o->volume, &vc, &b->vol, &err))
		die("%s", err);
	b->range = mx_vol_size(b->vol);
	if (o->range && o->range < b->range)
		b->range = o->range;
	if (b->range < o->bytes)
		die("the volume has %llu bytes, a request %llu", (unsigned long long)b->range,
		    (unsigned long long)o->bytes);
	b->rng = o->seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	b->slots = calloc(o->depth, sizeof *b->slots);
	b->versions = calloc(b->range / MX_BLOCK + 1, sizeof *b->versions);
	b->blocks_busy = calloc(b->range / MX_BLOCK + 1, 1);
	if (!b->slots || !b->versions || !b->blocks_busy)
		die("not enough memory");
	for (u64 i = 0; o->filled && i < b->range / MX_BLOCK; i++)
		b->versions[i] = 1;
	for (unsigned i = 0; i < o->depth; i++) {
		b->slots[i].b = b;
		b->slots[i].buf = pages(largest);
		/* not zeros: those take no memory at the servers */
		for (u64 k = 0; k < largest; k += MX_BLOCK)
			fill_block(b->slots[i].buf + k, k, i + 1);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = {
		.opt = { .depth = 1, .bytes = 4096, .seconds = 5, .read_percent = 100, .iovs = 1,
			 .seed = 1 },
	};
	double cpu;
	mx_ns start;
	int rc;

	parse(&b.opt, argc, argv);
	set_up(&b);
	if (b.opt.fill)
		fill(&b);
	cpu = cpu_seconds();
	start = memx_now();
	drive(&b, b.opt.count ? MX_NEVER : start + (mx_ns)(b.opt.seconds * 1e9));
	rc = report(&b, (double)(memx_now() - start) / 1e9, cpu_seconds() - cpu);
	memx_close_wait(b.m, b.vol);
	memx_free(b.m);
	return rc;
}
