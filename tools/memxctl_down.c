/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detach --table: swapoff, umount and detach, as units stop by it. A machine that is being
 * switched off must not wait for ever for servers that are gone: swapoff(2), umount(2), the
 * kernel's detach and systemd's own last swapoff cannot be interrupted while they do. So all of
 * them are children here, and the volume is watched meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "tools/memxctl_attach.h"

/* How long swapoff is tried, and who has a device open is waited for while the machine stops;
 * services have 90 to end. */
#define PATIENCE	120	/* seconds */
/* For so long nothing was answered while something waited for it: the pool is given up... */
#define SILENCE		60	/* seconds */
/* ...or this, where some of its servers are there. */
#define SILENCE_OF_SOME	300	/* seconds */

const struct kernel_dev *down_find(const char *volume)
{
	GArray *all = list_kernel();

	for (guint i = 0; i < all->len; i++)
		if (!strcmp(g_array_index(all, struct kernel_dev, i).volume, volume))
			return &g_array_index(all, struct kernel_dev, i);
	g_array_unref(all);
	return NULL;
}

static bool swaps(const char *path)
{
	g_autofree char *text = NULL, *word = g_strdup_printf("%s ", path);

	return g_file_get_contents("/proc/swaps", &text, NULL, NULL) && strstr(text, word);
}

bool down_swaps(const char *device)
{
	g_autofree char *path = g_strdup_printf("/dev/%s", device);

	return swaps(path);
}

/* (Of is-system-running "starting" is the answer, too, when boot had not ended.) */
bool down_machine_stops(void)
{
	static bool stops;
	const char *ask[] = { "systemctl", "list-jobs", "--no-legend", NULL };
	g_autofree char *answer = NULL;

	stops = stops || (g_spawn_sync(NULL, (char **)ask, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL,
				       NULL, NULL, &answer, NULL, NULL, NULL) &&
			  strstr(answer, "shutdown.target"));
	return stops;
}

/* ---- a pool that is silent ---- */

struct watch {
	const char *volume;
	bool forced;
	u64 last;		/* what it had done when that last changed */
	gint64 since, looked;	/* when that was, and when it was looked at, us */
};

/* Both ends of requests count: what is answered lets more begin. */
static u64 progress(const struct kernel_dev *d)
{
	return d->reads + d->writes + d->inflight + d->read_bytes + d->write_bytes;
}

/* Looks every second. Detaches by force when a machine stops and nothing moves. */
static void watch(struct watch *w)
{
	gint64 now = g_get_monotonic_time();
	const struct kernel_dev *d;
	char *err = NULL;

	if (w->forced || now - w->looked < G_USEC_PER_SEC)
		return;
	w->looked = now;
	d = down_find(w->volume);
	if (!d)
		return;
	if (!d->inflight || (d->lease && d->servers_up == d->servers_all) || progress(d) != w->last ||
	    !w->since) {
		w->last = progress(d);
		w->since = now;
	}
	if (now - w->since < (d->lease && d->servers_up ? SILENCE_OF_SOME : SILENCE) * G_USEC_PER_SEC ||
	    !down_machine_stops())
		return;
	fprintf(stderr, "memxctl: %u of %u servers of \"%s\" answer, what waits for the others has waited for %d "
		"seconds, and this machine is being switched off: it is detached by force, and that ends with errors\n",
		d->servers_up, d->servers_all, w->volume, (int)((now - w->since) / G_USEC_PER_SEC));
	w->forced = true;
	if (kernel_detach_volume(w->volume, true, &err))
		fprintf(stderr, "memxctl: cannot detach \"%s\" by force: %s\n", w->volume, err);
	g_free(err);
}

/* Runs a program that may wait for the servers, and can then be ended by force only: its exit
 * status, or -1. */
static int run(struct watch *w, GSpawnFlags flags, const char *const *words)
{
	GError *e = NULL;
	int status = -1;
	GPid pid;

	if (!g_spawn_async(NULL, (char **)words, NULL, flags | G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
			   NULL, NULL, &pid, &e)) {
		fprintf(stderr, "memxctl: %s: %s\n", words[0], e->message);
		g_error_free(e);
		return -1;
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		g_usleep(G_USEC_PER_SEC / 4);
		watch(w);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- swapoff, umount ---- */

/* The device and its partitions, as paths. */
static GPtrArray *nodes_of(const char *device)
{
	g_autofree char *folder = g_strdup_printf("/sys/block/%s", device);
	GPtrArray *nodes = g_ptr_array_new_with_free_func(g_free);
	GDir *dir = g_dir_open(folder, 0, NULL);
	const char *name;

	g_ptr_array_add(nodes, g_strdup_printf("/dev/%s", device));
	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, device))
			g_ptr_array_add(nodes, g_strdup_printf("/dev/%s", name));
	if (dir)
		g_dir_close(dir);
	return nodes;
}

/*
 * While a machine is switched off, what uses memory ends at the same time, and systemd may
 * be about to do swapoff, too: it fails for want of memory, is killed for it (the kernel
 * takes who does swapoff(2) first), or finds another at work. So it is tried for a while.
 */
static bool swap_off(struct watch *w, const char *path)
{
	const char *off[] = { "swapoff", path, NULL };

	for (int tries = 0; swaps(path); tries++) {
		if (!run(w, 0, off))
			continue;
		if (tries >= PATIENCE)
			return false;
		g_usleep(G_USEC_PER_SEC);
		watch(w);
	}
	return true;
}

static void unmount(struct watch *w, const GPtrArray *nodes)
{
	for (guint i = 0; i < nodes->len; i++) {
		const char *words[] = { "umount", "--recursive", "--all-targets", g_ptr_array_index(nodes, i), NULL };

		run(w, G_SPAWN_STDERR_TO_DEV_NULL, words);
	}
}

/* ---- what was attached by hand ---- */

/* A program's output without the newline, or NULL. */
static char *output_of(const char *const *words)
{
	char *text = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, &status,
			  NULL))
		return NULL;
	if (!status)
		return g_strchomp(text);
	g_free(text);
	return NULL;
}

void down_by_systemd(const char *volume)
{
	const char *escape[] = { "systemd-escape", "--template=memx-attached@.service", "--", volume, NULL };
	g_autofree char *unit = NULL, *done = NULL;

	if (!g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR))
		return;
	unit = output_of(escape);
	if (unit) {
		const char *start[] = { "systemctl", "--quiet", "--no-block", "start", unit, NULL };

		done = output_of(start);
	}
	if (!done)
		fprintf(stderr, "memxctl: systemd will not give \"%s\" back before the network goes; swapoff and "
			"detach it before this machine is switched off\n", volume);
}

/* ---- detaching ---- */

/*
 * Mounts that are not in fstab with _netdev are, to systemd, of local disks: they end after the
 * network has gone. So they are ended here, as soon as whoever works there has been stopped.
 */
int down_volume(const struct kernel_dev *d)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	const char *detach[] = { self ? self : "memxctl", "detach", d->volume, NULL };
	g_autoptr(GPtrArray) nodes = nodes_of(d->device);
	struct watch w = { .volume = d->volume };
	gint64 until;
	int code;

	/* Some of this may lie in the swap that it takes away. */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	for (guint i = 0; i < nodes->len; i++)
		if (!swap_off(&w, g_ptr_array_index(nodes, i)))
			return CTL_FAILED;
	until = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;
	while (!w.forced) {
		bool wait = g_get_monotonic_time() < until && down_machine_stops();

		code = run(&w, wait ? G_SPAWN_STDERR_TO_DEV_NULL : 0, detach);
		if (code != CTL_IN_USE || !wait)
			break;
		unmount(&w, nodes);
	}
	return w.forced || code < 0 ? CTL_FAILED : code;
}
