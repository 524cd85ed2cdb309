/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of limit-udp. */
#define _GNU_SOURCE
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limit-udp.h"

static const char usage[] =
"usage: limit-udp [options]\n"
"  --mode read|write      what the client asks for (read)\n"
"  --bytes N              data of a request, a multiple of 4096 (4096)\n"
"  --depth N              requests in flight (1)\n"
"  --poll                 both ends spin instead of sleeping\n"
"  --batch N              datagrams taken by one system call at most (32)\n"
"  --crc                  CRC32C of the data, made, kept and verified\n"
"  --fragment N           data in one datagram at most (61440)\n"
"  --gso                  UDP segmentation offload: one system call's datagrams\n"
"                         to one place travel as one; N must divide --bytes\n"
"  --connect-server       the server serves this one client only\n"
"  --client-cpu N|any     where the client runs (0)\n"
"  --server-cpu N|any     where the server runs (1)\n"
"  --store N              bytes of memory behind the server (268435456)\n"
"  --step N               from one request's offset to the next (1064960)\n"
"  --seconds S            measured time (2)\n"
"  --warmup S             before it (0.2)\n"
"  --count N              measure N requests instead of a time\n";

static double number(const char *name, const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= min && v <= max))
		die("--%s %s: a number from %.0f to %.0f was expected", name, text, min, max);
	return v;
}

static int cpu_number(const char *name, const char *text)
{
	if (!strcmp(text, "any"))
		return CPU_ANY;
	return (int)number(name, text, 0, CPU_SETSIZE - 1);
}

static bool mode_is_write(const char *text)
{
	if (strcmp(text, "read") && strcmp(text, "write"))
		die("--mode %s: read or write was expected", text);
	return !strcmp(text, "write");
}

static void options_check(struct options *o)
{
	size_t pages = o->bytes / PAGE_BYTES;

	if (o->bytes % PAGE_BYTES || o->store_bytes % PAGE_BYTES || o->step % PAGE_BYTES ||
	    o->fragment_max % PAGE_BYTES)
		die("--bytes, --store, --step and --fragment must be multiples of %u", PAGE_BYTES);
	if (o->store_bytes < 2 * o->bytes || o->step > o->store_bytes)
		die("--store must hold two requests and one --step at least");
	if (o->poll && o->client_cpu == o->server_cpu && o->client_cpu != CPU_ANY)
		die("--poll needs two CPUs: give --client-cpu and --server-cpu different ones");
	o->fragments = (unsigned int)((o->bytes + o->fragment_max - 1) / o->fragment_max);
	if (o->fragments > FRAGMENTS_MAX)
		die("%u fragments are too many (%u at most): raise --fragment",
		    o->fragments, FRAGMENTS_MAX);
	o->fragment_bytes = (pages + o->fragments - 1) / o->fragments * PAGE_BYTES;
	if (o->gso && o->bytes % o->fragment_bytes)
		die("--gso needs fragments of one size: give a --fragment that divides --bytes");
}

void options_parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "mode", 1, NULL, 'm' }, { "bytes", 1, NULL, 'b' },
		{ "depth", 1, NULL, 'd' }, { "poll", 0, NULL, 'p' },
		{ "batch", 1, NULL, 'B' }, { "crc", 0, NULL, 'c' },
		{ "fragment", 1, NULL, 'f' }, { "gso", 0, NULL, 'g' },
		{ "connect-server", 0, NULL, 'k' }, { "client-cpu", 1, NULL, 'C' },
		{ "server-cpu", 1, NULL, 'S' }, { "store", 1, NULL, 's' },
		{ "step", 1, NULL, 't' }, { "seconds", 1, NULL, 'T' },
		{ "warmup", 1, NULL, 'w' }, { "count", 1, NULL, 'n' },
		{ "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	int c, i = 0;

	while ((c = getopt_long(argc, argv, "", names, &i)) != -1) {
		const char *name = c == '?' ? "" : names[i].name;

		switch (c) {
		case 'm': o->write = mode_is_write(optarg); break;
		case 'b': o->bytes = (size_t)number(name, optarg, PAGE_BYTES, 1 << 20); break;
		case 'd': o->depth = (unsigned int)number(name, optarg, 1, DEPTH_MAX); break;
		case 'p': o->poll = true; break;
		case 'B': o->batch = (unsigned int)number(name, optarg, 1, 1024); break;
		case 'c': o->crc = true; break;
		case 'f': o->fragment_max = (size_t)number(name, optarg, PAGE_BYTES, 61440); break;
		case 'g': o->gso = true; break;
		case 'k': o->connect_server = true; break;
		case 'C': o->client_cpu = cpu_number(name, optarg); break;
		case 'S': o->server_cpu = cpu_number(name, optarg); break;
		case 's': o->store_bytes = (size_t)number(name, optarg, 1 << 20, 1e13); break;
		case 't': o->step = (size_t)number(name, optarg, PAGE_BYTES, 1e12); break;
		case 'T': o->seconds = number(name, optarg, 0.01, 3600); break;
		case 'w': o->warmup = number(name, optarg, 0, 60); break;
		case 'n': o->count = (uint64_t)number(name, optarg, 1, 1e12); break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind < argc)
		die("unexpected argument '%s'; --help lists the options", argv[optind]);
	options_check(o);
}
