/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim --seed N [--trace]		one life, with its verdict
 * sim --seeds A-B [-j N]		a range; each life in a process of its own, so
 *					that one that crashes is one that failed
 * sim --scale|--scale-small [--out FILE]	a large cluster without faults (scale.c)
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "life.h"
#include "scale.h"

#define JOBS_MAX	64
#define CPU_LIMIT_S	60	/* of one life; typical ones take hundredths */
#define TWICE_EVERY	64	/* lives run a second time, to see that they are the same */

struct result {
	u64 hash;
	bool done;
	struct life_stats st;
};

struct job {
	pid_t pid;		/* 0: free */
	u64 seed;
	bool again;		/* second run of the same */
	u64 hash;		/* of the first */
	FILE *out;
	struct result *res;	/* shared with the child */
};

struct range {
	u64 next, last;
	u32 jobs, first_only;
	u64 passed, failed;
	bool stop;
	struct job job[JOBS_MAX];
	struct life_stats sum;
};

static void usage(FILE *f)
{
	fprintf(f,
		"usage: sim --seed N [--trace]\n"
		"       sim --seeds A-B [-j JOBS] [--first] [--stats]\n"
		"       sim --scale|--scale-small [--out FILE]\n"
		"  --seed N    run one simulated cluster life and say whether it kept all promises\n"
		"  --trace     print every event and datagram of it\n"
		"  --seeds A-B run the lives A to B; failing ones are named with the command that\n"
		"              replays them\n"
		"  --first     stop at the first that fails\n"
		"  --stats     say what happened in them all\n"
		"  --scale     1,000 servers and 1,000 clients without faults; figures as JSON\n"
		"  --scale-small  the same with 100 and 100, in seconds\n");
}

static u64 number(const char *s, char **end, const char *what)
{
	u64 n;

	errno = 0;
	n = strtoull(s, end, 10);
	if (*end == s || errno || *s == '-') {
		fprintf(stderr, "sim: %s wants a number, got \"%s\"\n", what, s);
		exit(2);
	}
	return n;
}

static void child(struct job *j)
{
	struct rlimit r = { CPU_LIMIT_S, CPU_LIMIT_S + 1 };

	setrlimit(RLIMIT_CPU, &r);
	r.rlim_cur = r.rlim_max = 0;
	setrlimit(RLIMIT_CORE, &r);
	if (dup2(fileno(j->out), 1) < 0)
		_exit(3);
	life_run(j->seed, NULL, &j->res->st, &j->res->hash);
	j->res->done = true;
	fflush(NULL);
	_exit(0);
}

static void start(struct range *r, struct job *j)
{
	memset(j->res, 0, sizeof *j->res);
	j->out = tmpfile();
	if (!j->out) {
		perror("sim: temporary file");
		exit(3);
	}
	fflush(NULL);
	j->pid = fork();
	if (j->pid < 0) {
		perror("sim: fork");
		exit(3);
	}
	if (j->pid == 0)
		child(j);
	(void)r;
}

static void failed(struct range *r, struct job *j, int status)
{
	char line[2048] = "";

	r->failed++;
	rewind(j->out);
	while (fgets(line, sizeof line, j->out))
		if (!strncmp(line, "VIOLATION", 9))
			break;
	line[strcspn(line, "\n")] = 0;
	printf("FAILED seed %llu: ", (unsigned long long)j->seed);
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
		printf("took more than %d s of CPU", CPU_LIMIT_S);
	else if (WIFSIGNALED(status))
		printf("crashed with signal %d", WTERMSIG(status));
	else if (j->again && j->res->done)
		printf("a second run of it was not the same");
	else
		printf("%s", *line ? line : "ended without a verdict");
	printf("\n  replay: make sim SEED=%llu\n", (unsigned long long)j->seed);
	fflush(stdout);
	if (r->first_only)
		r->stop = true;
}

static void add_stats(struct life_stats *sum, const struct life_stats *st)
{
	u64 *a = (u64 *)sum;
	const u64 *b = (const u64 *)st;
	size_t i;

	for (i = 0; i < sizeof *sum / sizeof *a; i++)
		a[i] += b[i];
}

/* True if the job goes on with a second run. */
static bool finish(struct range *r, struct job *j, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 && j->res->done;
	bool same = !j->again || j->res->hash == j->hash;
	bool more = false;

	if (!ok || !same) {
		failed(r, j, status);
	} else if (!j->again && j->seed % TWICE_EVERY == 0) {
		j->again = more = true;
		j->hash = j->res->hash;
	} else {
		r->passed++;
		add_stats(&r->sum, &j->res->st);
	}
	fclose(j->out);
	j->pid = 0;
	return more;
}

static void print_stats(const struct life_stats *s)
{
	u32 i;

#define LINE(label, field)	printf("  %-28s %llu\n", label, (unsigned long long)s->field)
	LINE("lives", lives);
	LINE("virtual seconds", virtual_ms / 1000);
	LINE("datagrams delivered", datagrams);
	LINE("reads", reads);
	LINE("writes", writes);
	LINE("zero writes", zeros);
	LINE("discards", discards);
	LINE("opens", opens);
	LINE("opens by force", forced);
	LINE("creates", creates);
	LINE("deletes", deletes);
	LINE("resizes", resizes);
	LINE("moves", moves);
	LINE("block status", blkstats);
	LINE("server crashes", crashes_s);
	LINE("client crashes", crashes_c);
	LINE("partitions", partitions);
	LINE("failed allocations", alloc_fails);
	LINE("failed pages", page_fails);
	LINE("requests ended lost", lost_reads);
	LINE("volumes without quorum", no_quorum);
	LINE("recovers", recovers);
	LINE("name clashes", clashes);
	LINE("blocks verified at the end", verified_blocks);
	LINE("blocks lost at the end", lost_blocks);
#undef LINE
	for (i = 1; i < 96; i++)
		if (s->ended[i])
			printf("  requests ended \"%s\": %llu\n", mx_status_str(i),
			       (unsigned long long)s->ended[i]);
	for (i = 1; i < 96; i++)
		if (s->open_fail[i])
			printf("  opens ended \"%s\": %llu\n", mx_status_str(i),
			       (unsigned long long)s->open_fail[i]);
}

static int run_range(struct range *r, bool stats)
{
	struct result *shared = mmap(NULL, sizeof *shared * JOBS_MAX, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u32 i, busy = 0;

	if (shared == MAP_FAILED) {
		perror("sim: shared memory");
		return 3;
	}
	for (i = 0; i < r->jobs; i++)
		r->job[i].res = &shared[i];
	for (;;) {
		int status;
		pid_t pid;

		for (i = 0; i < r->jobs && !r->stop && r->next <= r->last; i++) {
			if (r->job[i].pid)
				continue;
			r->job[i].seed = r->next++;
			r->job[i].again = false;
			start(r, &r->job[i]);
			busy++;
		}
		if (!busy)
			break;
		pid = waitpid(-1, &status, 0);
		for (i = 0; i < r->jobs; i++)
			if (pid > 0 && r->job[i].pid == pid) {
				if (finish(r, &r->job[i], status))
					start(r, &r->job[i]);
				else
					busy--;
			}
	}
	if (stats)
		print_stats(&r->sum);
	printf("%llu passed, %llu failed\n", (unsigned long long)r->passed,
	       (unsigned long long)r->failed);
	return r->failed ? 1 : 0;
}

static int run_one(u64 seed, bool trace)
{
	struct life_stats st;
	u64 hash;

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	life_run(seed, trace ? stdout : NULL, &st, &hash);
	printf("seed %llu kept all promises: %llu reads, %llu writes, %llu zeroed, %llu virtual s, "
	       "hash %016llx\n", (unsigned long long)seed, (unsigned long long)st.reads,
	       (unsigned long long)st.writes, (unsigned long long)(st.zeros + st.discards),
	       (unsigned long long)(st.virtual_ms / 1000), (unsigned long long)hash);
	return 0;
}

int main(int argc, char **argv)
{
	static struct range r = { .jobs = 1 };
	bool trace = false, one = false, many = false, stats = false, scale = false, small = false;
	const char *out = NULL;
	char *end;
	int i;

	for (i = 1; i < argc; i++) {
		const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(a, "--seed")) {
			r.next = r.last = number(v, &end, a);
			one = true;
			i++;
		} else if (!strcmp(a, "--seeds")) {
			r.next = number(v, &end, a);
			r.last = *end == '-' ? number(end + 1, &end, a) : r.next;
			many = true;
			i++;
		} else if (!strcmp(a, "-j")) {
			r.jobs = mx_min_u32(JOBS_MAX, (u32)number(v, &end, a));
			r.jobs = mx_max_u32(r.jobs, 1);
			i++;
		} else if (!strcmp(a, "--out")) {
			out = v;
			i++;
		} else if (!strcmp(a, "--trace")) {
			trace = true;
		} else if (!strcmp(a, "--first")) {
			r.first_only = 1;
		} else if (!strcmp(a, "--stats")) {
			stats = true;
		} else if (!strcmp(a, "--scale")) {
			scale = true;
		} else if (!strcmp(a, "--scale-small")) {
			scale = small = true;
		} else if (!strcmp(a, "--help")) {
			usage(stdout);
			return 0;
		} else {
			fprintf(stderr, "sim: unknown argument \"%s\"\n", a);
			usage(stderr);
			return 2;
		}
	}
	if (one + many + scale != 1) {
		fprintf(stderr, "sim: say one of --seed, --seeds and --scale\n");
		usage(stderr);
		return 2;
	}
	if (scale)
		return scale_run(out, small);
	return one ? run_one(r.next, trace) : run_range(&r, stats);
}
