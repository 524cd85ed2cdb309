// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Nth allocation that one command makes in the kernel fails (a debug kernel's fault
 * injection, Documentation/fault-injection). Which allocations count is said by the
 * filters of failslab and fail_page_alloc in debugfs.
 *
 *	nth N insmod FILE [PARAMETER...]	loads a module, trying once, unlike busybox
 *	nth N run COMMAND [ARGUMENT...]		those of the program's first task
 *
 * The status is that of the command; of insmod 0, or 1 and a line with the error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAIL_NTH "/proc/thread-self/fail-nth"

static void die(const char *what)
{
	fprintf(stderr, "nth: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* Opened once: to open it again would be an allocation that can be the Nth. */
static void arm(const char *n)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fd < 0 || write(fd, n, strlen(n)) < 0)
		die(FAIL_NTH);
}

static void join(char *to, size_t size, char **word)
{
	for (*to = 0; *word; word++) {
		strncat(to, *word, size - strlen(to) - 1);
		strncat(to, " ", size - strlen(to) - 1);
	}
}

static int load(const char *n, char **argv)
{
	char params[1000];
	int file = open(argv[0], O_RDONLY | O_CLOEXEC), err = 0;

	if (file < 0)
		die(argv[0]);
	join(params, sizeof params, argv + 1);
	arm(n);
	if (syscall(SYS_finit_module, file, params, 0))
		err = errno;
	arm("0");
	if (err)
		printf("error %s\n", strerror(err));
	return err != 0;
}

int main(int argc, char **argv)
{
	if (argc < 4 || (strcmp(argv[2], "run") && strcmp(argv[2], "insmod"))) {
		fprintf(stderr, "usage: nth N insmod FILE [PARAMETER...] | nth N run COMMAND...\n");
		return 2;
	}
	if (!strcmp(argv[2], "insmod"))
		return load(argv[1], argv + 3);
	arm(argv[1]);
	execvp(argv[3], argv + 3);
	die(argv[3]);
}
