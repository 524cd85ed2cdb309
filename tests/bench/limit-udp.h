/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of limit-udp share; limit-udp.c says what it is. */
#ifndef LIMIT_UDP_H
#define LIMIT_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES	4096u
#define HEADER_BYTES	48u
#define DATAGRAM_MAX	65507u		/* UDP over IPv4 on loopback's MTU */
#define SEGMENTS_MAX	60u		/* Linux takes 64 in one send */
#define DEPTH_MAX	1024u
#define FRAGMENTS_MAX	64u		/* bits of a slot's bitmap */
#define TIMEOUT_NS	1000000000ull
#define CPU_ANY		(-1)

struct options {
	bool write;
	bool poll;
	bool crc;
	bool gso;
	bool connect_server;
	unsigned int depth;
	unsigned int batch;
	int client_cpu;
	int server_cpu;
	size_t bytes;
	size_t fragment_max;
	size_t store_bytes;
	size_t step;
	double seconds;
	double warmup;
	uint64_t count;			/* 0: run for `seconds` */

	/* Derived. */
	unsigned int fragments;
	size_t fragment_bytes;		/* of all but the last */
};

/* Fills *o from the command line, or ends the program with what is wrong in it. */
void options_parse(struct options *o, int argc, char **argv);

/*
 * The CRC32C of each 512 bytes, added up: one number for the header, at the cost
 * of all. `bytes` is a multiple of a page.
 */
uint32_t crc_data(const unsigned char *p, size_t bytes);

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
