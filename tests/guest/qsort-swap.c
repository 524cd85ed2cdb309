// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Quicksort over an array larger than the machine's memory.
 *
 * Fills an array of 64-bit keys from a seed, sorts it in place and checks the
 * result: ascending order, and sum, xor and sum of mixed keys equal to what
 * the generator produced. The three totals are taken from the generator, not
 * read back from memory, so a page that came back wrong from swap shows even
 * when it happens to be in order.
 *
 * Progress goes to standard output, a line every two seconds at most.
 * Exit status: 0 sorted and checked, 1 wrong result, 2 cannot run.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define INSERTION_KEYS	24	/* below this an insertion sort is faster */
#define SAMPLE_KEYS	63	/* looked at for the pivot of a large range */
#define STACK_RANGES	64	/* the smaller side first: log2(n) is enough */
#define PROGRESS_NS	2000000000LL
#define SWAPS_PER_LOOK	32768	/* exchanges between two looks at the clock */
#define MIB_KEYS	(1048576 / sizeof(uint64_t))
#define MAX_MIB		(1UL << 20)

struct totals {
	uint64_t sum;
	uint64_t xor;
	uint64_t mixed;
};

/* A part of the array still to sort, with its share of the whole work. */
struct range {
	size_t first;
	size_t count;
	double share;
};

struct progress {
	const char *phase;
	double done;		/* 0 to 1 within the phase */
	int64_t last_ns;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void progress_start(struct progress *progress, const char *phase)
{
	progress->phase = phase;
	progress->done = 0;
	progress->last_ns = now_ns();
	printf("%s 0 %%\n", phase);
}

/* Says how far it is when the last line is old enough; @ahead is done but not counted yet. */
static void progress_show(struct progress *progress, double ahead)
{
	int64_t now = now_ns();

	if (now - progress->last_ns < PROGRESS_NS)
		return;
	progress->last_ns = now;
	printf("%s %d %%\n", progress->phase, (int)((progress->done + ahead) * 100));
}

static void progress_add(struct progress *progress, double share)
{
	progress->done += share;
	progress_show(progress, 0);
}

/* splitmix64's finalizer: a bijection, so distinct inputs stay distinct. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static void totals_add(struct totals *totals, uint64_t key)
{
	totals->sum += key;
	totals->xor ^= key;
	totals->mixed += mix(key + 0x9e3779b97f4a7c15ULL);
}

static struct totals fill(uint64_t *keys, size_t count, uint64_t seed, struct progress *progress)
{
	struct totals totals = { 0 };
	uint64_t state = seed;

	progress_start(progress, "fill");
	for (size_t i = 0; i < count; i++) {
		uint64_t key;

		state += 0x9e3779b97f4a7c15ULL;
		key = mix(state);
		keys[i] = key;
		totals_add(&totals, key);
		if (i % MIB_KEYS == MIB_KEYS - 1)
			progress_add(progress, (double)MIB_KEYS / count);
	}
	return totals;
}

static void insertion_sort(uint64_t *keys, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		uint64_t key = keys[i];
		size_t j = i;

		for (; j > 0 && keys[j - 1] > key; j--)
			keys[j] = keys[j - 1];
		keys[j] = key;
	}
}

/*
 * The median of a few keys spread over the range: a pass over an array on swap
 * is dear, so the two sides should be of nearly equal size.
 */
static uint64_t pivot_of(const uint64_t *keys, size_t count)
{
	uint64_t sample[SAMPLE_KEYS];
	size_t samples = count >= MIB_KEYS / 16 ? SAMPLE_KEYS : 3;

	for (size_t i = 0; i < samples; i++)
		sample[i] = keys[i * (count - 1) / (samples - 1)];
	insertion_sort(sample, samples);
	return sample[samples / 2];
}

/*
 * Hoare's partition: afterwards no key before the returned index is greater
 * than any key from it on, and both sides hold at least one key.
 */
static size_t partition(uint64_t *keys, size_t count, double share, struct progress *progress)
{
	uint64_t pivot = pivot_of(keys, count);
	size_t i = 0, j = count - 1;

	for (size_t swaps = 1;; swaps++) {
		uint64_t t;

		if (swaps % SWAPS_PER_LOOK == 0)
			progress_show(progress, share * (i + count - j) / count);
		while (keys[i] < pivot)
			i++;
		while (keys[j] > pivot)
			j--;
		if (i >= j)
			break;
		t = keys[i];
		keys[i++] = keys[j];
		keys[j--] = t;
	}
	/* i == j only on a key equal to the pivot, which may stand on either side */
	return i == 0 ? 1 : i;
}

/* How many partition passes a range of this many keys needs, roughly. */
static int passes(size_t count)
{
	int n = 0;

	for (; count > INSERTION_KEYS; count /= 2)
		n++;
	return n;
}

/*
 * Progress is split along the ranges: a partition pass takes its part of the
 * range's share, the two sides divide the rest by size, so the percentage
 * only grows and ends at 100.
 */
static void sort(uint64_t *keys, size_t count, struct progress *progress)
{
	struct range stack[STACK_RANGES] = { { 0, count, 1.0 } };
	size_t depth = 1;

	progress_start(progress, "sort");
	while (depth > 0) {
		struct range range = stack[--depth];
		struct range left, right;
		uint64_t *base = keys + range.first;
		double pass_share;
		size_t split;

		if (range.count <= INSERTION_KEYS) {
			insertion_sort(base, range.count);
			progress->done += range.share;
			continue;
		}
		pass_share = range.share / (passes(range.count) + 1);
		split = partition(base, range.count, pass_share, progress);
		if (range.count >= MIB_KEYS / 16)
			progress_add(progress, pass_share);
		else
			progress->done += pass_share;
		range.share -= pass_share;
		left = (struct range){ range.first, split, range.share * split / range.count };
		right = (struct range){ range.first + split, range.count - split,
					range.share - left.share };
		/* The larger side waits: the stack never holds more than log2(n) ranges. */
		stack[depth++] = left.count > right.count ? left : right;
		stack[depth++] = left.count > right.count ? right : left;
	}
}

static bool check(const uint64_t *keys, size_t count, const struct totals *want,
		  struct progress *progress)
{
	struct totals got = { 0 };
	size_t disorder = 0, first_disorder = 0;
	bool good = true;

	progress_start(progress, "check");
	for (size_t i = 0; i < count; i++) {
		totals_add(&got, keys[i]);
		if (i > 0 && keys[i - 1] > keys[i] && disorder++ == 0)
			first_disorder = i;
		if (i % MIB_KEYS == MIB_KEYS - 1)
			progress_add(progress, (double)MIB_KEYS / count);
	}
	if (disorder > 0) {
		printf("wrong: %zu keys out of order, the first is number %zu\n", disorder,
		       first_disorder);
		good = false;
	}
	if (got.sum != want->sum || got.xor != want->xor || got.mixed != want->mixed) {
		printf("wrong: totals are %016llx %016llx %016llx, the fill's were %016llx %016llx %016llx\n",
		       (unsigned long long)got.sum, (unsigned long long)got.xor,
		       (unsigned long long)got.mixed, (unsigned long long)want->sum,
		       (unsigned long long)want->xor, (unsigned long long)want->mixed);
		good = false;
	}
	return good;
}

/*
 * Damage on purpose, so that a test can show that the check sees it: "value"
 * flips a bit before the sort (order stays right, the totals do not), "order"
 * swaps two keys after it (the totals stay right, the order does not).
 */
static void plant(uint64_t *keys, size_t count, const char *kind, const char *when)
{
	uint64_t t;

	if (kind == NULL || strcmp(kind, when) != 0)
		return;
	if (strcmp(kind, "value") == 0) {
		keys[count / 3] ^= 1ULL << 17;
		return;
	}
	t = keys[count / 4];
	keys[count / 4] = keys[count / 2];
	keys[count / 2] = t;
}

static unsigned long number(const char *text, const char *what, unsigned long max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max) {
		fprintf(stderr, "qsort-swap: %s is \"%s\"; it must be a number up to %lu\n", what,
			text, max);
		exit(2);
	}
	return value;
}

static int run(size_t mib, uint64_t seed, const char *planted)
{
	size_t count = mib * MIB_KEYS;
	struct progress progress = { 0 };
	struct totals want;
	struct rusage usage;
	int64_t start, filled, sorted, checked;
	uint64_t *keys;
	bool good;

	keys = mmap(NULL, count * sizeof(*keys), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (keys == MAP_FAILED) {
		fprintf(stderr, "qsort-swap: no %zu MiB of address space: %s\n", mib,
			strerror(errno));
		return 2;
	}
	start = now_ns();
	want = fill(keys, count, seed, &progress);
	filled = now_ns();
	plant(keys, count, planted, "value");
	sort(keys, count, &progress);
	plant(keys, count, planted, "order");
	sorted = now_ns();
	good = check(keys, count, &want, &progress);
	checked = now_ns();
	getrusage(RUSAGE_SELF, &usage);
	printf("%s: %zu MiB, %zu keys, fill %.1f s, sort %.1f s, check %.1f s, %ld pages read from swap\n",
	       good ? "sorted and checked" : "wrong result", mib, count, (filled - start) / 1e9,
	       (sorted - filled) / 1e9, (checked - sorted) / 1e9, usage.ru_majflt);
	return good ? 0 : 1;
}

static void usage_and_exit(void)
{
	fprintf(stderr, "usage: qsort-swap MIB SEED [order|value]\n"
			"  sorts MIB of 64-bit keys made from SEED and checks the result;\n"
			"  the last word plants an error which the check must find\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *planted = argc == 4 ? argv[3] : NULL;
	unsigned long mib, seed;

	if (argc != 3 && argc != 4)
		usage_and_exit();
	if (planted != NULL && strcmp(planted, "order") != 0 && strcmp(planted, "value") != 0)
		usage_and_exit();
	mib = number(argv[1], "the array's size in MiB", MAX_MIB);
	seed = number(argv[2], "the seed", ~0UL);
	if (mib == 0) {
		fprintf(stderr, "qsort-swap: the array's size must be at least 1 MiB\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	return run(mib, seed, planted);
}
