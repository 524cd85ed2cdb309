// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes to a block device and says which writes were acknowledged; later
 * checks that every one of them is there.
 *
 *   ack-writer write DEVICE SEED WORKERS COUNT
 *   ack-writer verify DEVICE SEED WORKERS ACKED,ACKED,...
 *
 * Each worker is a process with its own part of the device and one write in
 * flight. Write number n of a worker goes to a place and has a size that only
 * seed, worker and n determine; each of its 512-byte sectors names all three,
 * so a sector found on the device says which write it is from. "ack K N" is
 * printed once write N of worker K is done (COUNT 0: until killed). Even
 * workers write with O_DSYNC, all with O_DIRECT.
 *
 * The log of a killed guest may end before the last acknowledged write. The
 * device tells more: a worker starts write n after n - 1 was acknowledged, so
 * when anything of write m is seen, all before m must be there. A write in
 * flight may be there in part, sector by sector. A slot of 64 KiB that cannot be
 * read counts as unreadable, not as wrong: the caller knows what may be lost.
 *
 * Exit status: 0 good, 1 wrong or missing data, 2 cannot run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTOR_BYTES	512
#define SLOT_SECTORS	128	/* a write stays within 64 KiB */
#define SLOT_BYTES	(SLOT_SECTORS * SECTOR_BYTES)
#define SIZE_STEPS	8	/* 1, 2, 4 ... 128 sectors */
#define MAX_WORKERS	16
#define MAX_REPORTS	10	/* wrong sectors named one by one */
#define SECTOR_WORDS	(SECTOR_BYTES / sizeof(uint64_t))
#define MAGIC		0x4b43415f584d454dULL
#define UNREADABLE	UINT64_MAX
#define STRANGE		(UINT64_MAX - 1)	/* readable, but from no write of ours */

enum { WORD_MAGIC, WORD_SEED, WORD_WORKER, WORD_NUMBER, WORD_SECTOR, WORD_BODY };

struct job {
	const char *device;
	uint64_t seed;
	unsigned int workers;
	uint64_t sectors;
};

struct place {
	uint64_t sector;
	unsigned int count;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static uint64_t worker_sectors(const struct job *job)
{
	return job->sectors / job->workers / SLOT_SECTORS * SLOT_SECTORS;
}

static struct place place_of(const struct job *job, unsigned int worker, uint64_t number)
{
	uint64_t random = mix(job->seed ^ mix(((uint64_t)worker << 48) + number));
	uint64_t slot = (random >> 16) % (worker_sectors(job) / SLOT_SECTORS);
	struct place place;

	place.count = 1U << (random % SIZE_STEPS);
	place.sector = worker * worker_sectors(job) + slot * SLOT_SECTORS +
		       (random >> 8) % 256 % (SLOT_SECTORS - place.count + 1);
	return place;
}

static void sector_fill(const struct job *job, uint64_t *words, uint64_t worker, uint64_t number,
			uint64_t sector)
{
	uint64_t state = mix(job->seed + number) ^ mix(sector);

	words[WORD_MAGIC] = MAGIC;
	words[WORD_SEED] = job->seed;
	words[WORD_WORKER] = worker;
	words[WORD_NUMBER] = number;
	words[WORD_SECTOR] = sector;
	for (size_t i = WORD_BODY; i < SECTOR_WORDS; i++) {
		state += 0x9e3779b97f4a7c15ULL;
		words[i] = mix(state);
	}
}

static void *slot_buffer(void)
{
	void *buffer;

	if (posix_memalign(&buffer, 4096, SLOT_BYTES) != 0) {
		fprintf(stderr, "ack-writer: no memory\n");
		exit(2);
	}
	return buffer;
}

static int device_open(const struct job *job, int flags)
{
	int fd = open(job->device, flags | O_DIRECT | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "ack-writer: cannot open %s: %s\n", job->device, strerror(errno));
		exit(2);
	}
	return fd;
}

static int write_worker(const struct job *job, unsigned int worker, uint64_t count)
{
	int fd = device_open(job, O_WRONLY | (worker % 2 == 0 ? O_DSYNC : 0));
	uint64_t *buffer = slot_buffer();
	char line[64];

	for (uint64_t number = 1; count == 0 || number <= count; number++) {
		struct place place = place_of(job, worker, number);
		size_t bytes = (size_t)place.count * SECTOR_BYTES;
		ssize_t done;
		int length;

		for (unsigned int i = 0; i < place.count; i++)
			sector_fill(job, buffer + i * SECTOR_WORDS, worker, number,
				    place.sector + i);
		done = pwrite(fd, buffer, bytes, (off_t)(place.sector * SECTOR_BYTES));
		if (done != (ssize_t)bytes) {
			fprintf(stderr, "ack-writer: worker %u, write %" PRIu64 ": %s\n", worker,
				number, done < 0 ? strerror(errno) : "short write");
			return 1;
		}
		/* One write(2) a line, so that the workers' lines stay whole. */
		length = snprintf(line, sizeof(line), "ack %u %" PRIu64 "\n", worker, number);
		if (write(STDOUT_FILENO, line, (size_t)length) != length)
			return 2;
	}
	return 0;
}

static int run_write(const struct job *job, uint64_t count)
{
	int status, result = 0;

	for (unsigned int worker = 0; worker < job->workers; worker++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(write_worker(job, worker, count));
		if (pid < 0) {
			perror("ack-writer: fork");
			return 2;
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) > result)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 2;
	return result;
}

/* Which write a sector's content is from; 0 for zeros. False: from no write. */
static bool sector_number(const struct job *job, const uint64_t *words, uint64_t sector,
			  uint64_t *number)
{
	uint64_t want[SECTOR_WORDS];
	struct place place;

	memset(want, 0, sizeof(want));
	*number = 0;
	if (memcmp(words, want, SECTOR_BYTES) == 0)
		return true;
	*number = words[WORD_NUMBER];
	sector_fill(job, want, sector / worker_sectors(job), *number, sector);
	place = place_of(job, (unsigned int)(sector / worker_sectors(job)), *number);
	return memcmp(words, want, SECTOR_BYTES) == 0 && *number > 0 && sector >= place.sector &&
	       sector < place.sector + place.count;
}

/* Reads one slot into seen[]; returns how many of its sectors no write explains. */
static uint64_t read_slot(const struct job *job, int fd, uint64_t first, uint64_t *buffer,
			  uint64_t *seen)
{
	ssize_t done = pread(fd, buffer, SLOT_BYTES, (off_t)(first * SECTOR_BYTES));
	uint64_t strange = 0;

	if (done != SLOT_BYTES && (done >= 0 || errno != EIO)) {
		fprintf(stderr, "ack-writer: sector %" PRIu64 ": %s\n", first,
			done < 0 ? strerror(errno) : "short read");
		exit(2);
	}
	for (uint64_t sector = first; sector < first + SLOT_SECTORS; sector++) {
		uint64_t *words = buffer + (sector - first) * SECTOR_WORDS;

		if (done < 0) {
			seen[sector] = UNREADABLE;
		} else if (!sector_number(job, words, sector, &seen[sector])) {
			seen[sector] = STRANGE;
			if (strange++ < MAX_REPORTS)
				printf("wrong: sector %" PRIu64 " holds what no write put there\n",
				       sector);
		}
	}
	return strange;
}

/* Compares one worker's part with what its writes must have left. */
static uint64_t check_worker(const struct job *job, unsigned int worker, uint64_t acked,
			     const uint64_t *seen, uint64_t *need)
{
	uint64_t first = worker * worker_sectors(job), last = acked, newest = 0, wrong = 0;
	struct place in_flight;

	for (uint64_t s = first; s < first + worker_sectors(job); s++)
		if (seen[s] < STRANGE && seen[s] > newest)
			newest = seen[s];
	if (newest > acked)
		last = newest - 1;
	for (uint64_t number = 1; number <= last; number++) {
		struct place place = place_of(job, worker, number);

		for (unsigned int i = 0; i < place.count; i++)
			need[place.sector + i] = number;
	}
	in_flight = place_of(job, worker, last + 1);
	for (uint64_t s = first; s < first + worker_sectors(job); s++) {
		bool in_place = s >= in_flight.sector && s < in_flight.sector + in_flight.count;

		if (seen[s] >= STRANGE || seen[s] == need[s] ||
		    (seen[s] == last + 1 && in_place))
			continue;
		if (wrong++ < MAX_REPORTS)
			printf("wrong: worker %u, sector %" PRIu64 " holds write %" PRIu64
			       ", not the acknowledged %" PRIu64 "\n", worker, s, seen[s], need[s]);
	}
	printf("worker %u: %" PRIu64 " logged, %" PRIu64 " acknowledged, newest seen %" PRIu64 "\n",
	       worker, acked, last, newest);
	return wrong;
}

static uint64_t *sector_array(const struct job *job)
{
	uint64_t *array = calloc(job->sectors, sizeof(*array));

	if (array == NULL) {
		fprintf(stderr, "ack-writer: no memory for %" PRIu64 " sectors\n", job->sectors);
		exit(2);
	}
	return array;
}

static int run_verify(const struct job *job, const uint64_t *acked)
{
	uint64_t used = worker_sectors(job) * job->workers;
	uint64_t wrong = 0, unreadable = 0, written = 0;
	uint64_t *seen = sector_array(job), *need = sector_array(job);
	uint64_t *buffer = slot_buffer();
	int fd = device_open(job, O_RDONLY);

	for (uint64_t sector = 0; sector < used; sector += SLOT_SECTORS)
		wrong += read_slot(job, fd, sector, buffer, seen);
	for (unsigned int worker = 0; worker < job->workers; worker++)
		wrong += check_worker(job, worker, acked[worker], seen, need);
	for (uint64_t sector = 0; sector < used; sector++) {
		unreadable += seen[sector] == UNREADABLE;
		written += need[sector] != 0;
	}
	printf("verified %" PRIu64 " written %" PRIu64 " unreadable %" PRIu64 " wrong %" PRIu64 "\n",
	       used, written, unreadable, wrong);
	return wrong == 0 ? 0 : 1;
}

static uint64_t number(const char *text, const char *what, char **end)
{
	uint64_t value;

	errno = 0;
	value = strtoull(text, end, 10);
	if (errno != 0 || *end == text || text[0] == '-' || (**end != '\0' && **end != ',')) {
		fprintf(stderr, "ack-writer: %s is \"%s\"; it must be a number\n", what, text);
		exit(2);
	}
	return value;
}

static void job_measure(struct job *job)
{
	struct stat st;
	uint64_t bytes;
	int fd = open(job->device, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "ack-writer: cannot open %s: %s\n", job->device, strerror(errno));
		exit(2);
	}
	bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
		perror("ack-writer: BLKGETSIZE64");
		exit(2);
	}
	close(fd);
	job->sectors = bytes / SECTOR_BYTES;
	if (job->workers == 0 || job->workers > MAX_WORKERS ||
	    job->sectors / job->workers < SLOT_SECTORS) {
		fprintf(stderr, "ack-writer: %u workers on %" PRIu64 " bytes: it takes 1 to %d "
			"workers and %d bytes for each\n", job->workers, bytes, MAX_WORKERS,
			SLOT_BYTES);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint64_t acked[MAX_WORKERS] = { 0 };
	struct job job;
	char *end;

	if (argc != 6 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "verify") != 0)) {
		fprintf(stderr, "usage: ack-writer write DEVICE SEED WORKERS COUNT\n"
			"       ack-writer verify DEVICE SEED WORKERS ACKED,ACKED,...\n");
		return 2;
	}
	job.device = argv[2];
	job.seed = number(argv[3], "the seed", &end);
	job.workers = (unsigned int)number(argv[4], "the number of workers", &end);
	job_measure(&job);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[1], "write") == 0)
		return run_write(&job, number(argv[5], "the count", &end));
	end = argv[5] - 1;
	for (unsigned int worker = 0; worker < job.workers; worker++) {
		if (worker > 0 && *end != ',') {
			fprintf(stderr, "ack-writer: \"%s\" must hold %u numbers\n", argv[5],
				job.workers);
			return 2;
		}
		acked[worker] = number(end + 1, "an acknowledged number", &end);
	}
	return run_verify(&job, acked);
}
