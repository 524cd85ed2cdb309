/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memxd and its host: the log, systemd, memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/posix/size.h"
#include "tools/memxd.h"

/* ---- log ---- */

static int log_most = MX_LOG_INFO;
static bool log_journal;	/* stderr goes to the journal, which wants <N> and no name */

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_init(int level)
{
	log_most = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
	setlinebuf(stderr);
}

int log_level_parse(const char *s)
{
	for (unsigned i = 0; i < MX_ARRAY_SIZE(level_names); i++)
		if (!strcmp(s, level_names[i]))
			return (int)i;
	return -1;
}

void log_line(int level, const char *line)
{
	static const int syslog_level[] = { 3, 4, 6, 7 };

	if (level > log_most || level < 0)
		return;
	if (log_journal)
		fprintf(stderr, "<%d>%s\n", syslog_level[level], line);
	else if (level <= MX_LOG_WARN)
		fprintf(stderr, "memxd: %s: %s\n", level_names[level], line);
	else
		fprintf(stderr, "memxd: %s\n", line);
}

void say(int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	log_line(level, line);
}

/* ---- systemd ---- */

/*
 * The notification protocol is one datagram to a named socket, stable and
 * documented in sd_notify(3); a library (and what it pulls into a program that
 * locks its memory) is not worth it.
 */
void notify(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char text[512];
	va_list ap;
	int fd, n;

	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof sa.sun_path)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	strcpy(sa.sun_path, path);
	if (*path == '@')
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		say(MX_LOG_WARN, "cannot notify systemd at %s: %s", path, strerror(errno));
	close(fd);
}

mx_ns watchdog_interval(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long v = usec ? strtoull(usec, NULL, 10) : 0;

	if (!v || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
		return MX_NEVER;
	return v * MX_US / 2;
}

/* ---- memory ---- */

static u64 meminfo(const char *key)
{
	static int fd = -1;
	char text[2048], *at;
	ssize_t n;

	if (fd < 0)
		fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = 0;
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

u64 host_available(void)
{
	return meminfo("\nMemAvailable:");
}

u64 host_total(void)
{
	return meminfo("MemTotal:");
}

void make_no_core(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		say(MX_LOG_WARN, "cannot switch core files off: %s", strerror(errno));
}

void lock_memory(u64 wanted)
{
	struct rlimit r;
	char have[MXP_SIZE_STR] = "0 B", want[MXP_SIZE_STR];

	/*
	 * With a limit, MCL_FUTURE would make later allocations fail once it is
	 * reached: only where it is far enough (root has none).
	 */
	if (getrlimit(RLIMIT_MEMLOCK, &r))
		r.rlim_cur = 0;
	if ((r.rlim_cur >= wanted + wanted / 8 + (256u << 20) || geteuid() == 0) &&
	    !mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return;
	mxp_size_str(r.rlim_cur, have);
	mxp_size_str(wanted, want);
	say(MX_LOG_WARN, "memory is not locked: the limit is %s and %s are to be donated, so the host "
	    "may swap out what guests keep here; raise it (LimitMEMLOCK=infinity in the unit, "
	    "`ulimit -l unlimited` in a shell)", have, want);
}
