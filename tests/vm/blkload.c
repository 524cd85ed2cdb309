/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkload: random or sequential requests to a block device at a given depth, with
 * nothing else in the way (fio spends more instructions on starting than on a
 * second of measuring).
 *
 *	blkload DEVICE read|write|seqread|seqwrite BYTES DEPTH SECONDS
 *
 * Prints "REQUESTS ELAPSED_US BUSY_US": what the CPU was not idle, where there is
 * one CPU. Under qemu -icount that is instructions.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <linux/fs.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX	256

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double idle(void)
{
	double up, id;
	FILE *f = fopen("/proc/uptime", "r");

	if (!f || fscanf(f, "%lf %lf", &up, &id) != 2)
		die("/proc/uptime");
	fclose(f);
	return id;
}

static uint64_t rng = 88172645463325252ull;

static uint64_t below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

int main(int argc, char **argv)
{
	struct iocb cb[DEPTH_MAX], *list[DEPTH_MAX];
	struct io_event ev[DEPTH_MAX];
	aio_context_t ctx = 0;
	uint64_t size, slots, at = 0, done = 0;
	int fd, depth, bytes, n;
	double end, begin, idle0, took;
	char *mem;

	if (argc != 6)
		return 2;
	fd = open(argv[1], O_RDWR | O_DIRECT);
	bytes = atoi(argv[3]);
	depth = atoi(argv[4]);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		die(argv[1]);
	if (bytes < 512 || depth < 1 || depth > DEPTH_MAX)
		return 2;
	slots = size / (uint64_t)bytes;
	mem = aligned_alloc(4096, (size_t)bytes * (size_t)depth);
	if (!mem || syscall(SYS_io_setup, depth, &ctx))
		die("io_setup");
	memset(mem, 0x5a, (size_t)bytes * (size_t)depth);
	memset(cb, 0, sizeof cb);
	for (int i = 0; i < depth; i++) {
		cb[i].aio_fildes = (uint32_t)fd;
		cb[i].aio_lio_opcode = strstr(argv[2], "read") ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
		cb[i].aio_buf = (uintptr_t)(mem + (size_t)i * (size_t)bytes);
		cb[i].aio_nbytes = (uint64_t)bytes;
		list[i] = &cb[i];
	}
	begin = now();
	idle0 = idle();
	end = begin + atof(argv[5]);
	n = depth;
	for (int left = 0;;) {
		for (int i = 0; i < n; i++)
			list[i]->aio_offset = (int64_t)((argv[2][0] == 's' ? at++ % slots :
							 below(slots)) * (uint64_t)bytes);
		if (n && syscall(SYS_io_submit, ctx, n, list) != n)
			die("io_submit");
		left += n;
		if (!left)
			break;
		n = (int)syscall(SYS_io_getevents, ctx, 1, depth, ev, NULL);
		if (n < 1)
			die("io_getevents");
		for (int i = 0; i < n; i++) {
			if (ev[i].res != bytes) {
				fprintf(stderr, "request ended with %lld\n", (long long)ev[i].res);
				return 1;
			}
			list[i] = (struct iocb *)(uintptr_t)ev[i].obj;
		}
		left -= n;
		done += (uint64_t)n;
		if (now() >= end)
			n = 0;
		if (!n && !left)
			break;
	}
	took = now() - begin;
	printf("%llu %.0f %.0f\n", (unsigned long long)done, took * 1e6,
	       (took - (idle() - idle0)) * 1e6);
	return 0;
}
