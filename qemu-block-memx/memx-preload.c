// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memx-preload.so: brings the block driver into one QEMU process.
 *
 * QEMU opens a block driver's module only when the driver's name stands in a
 * table compiled into it; the table of a distribution's binary has no "memx".
 * memx-run therefore preloads this object, which opens the module before
 * main() runs. The module's constructor then registers like a built-in driver.
 *
 * The module needs QEMU's symbols, so it must not be preloaded itself: any
 * other program that inherits the environment would fail to start. This
 * object needs libc alone, and does nothing in a program that is not QEMU (a
 * wrapper script's shell passes the environment on to the QEMU it starts).
 * In QEMU it takes itself out of the environment, so that helpers which QEMU
 * starts get the environment that memx-run was called with.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENV_MODULE "MEMX_RUN_MODULE"
/* The value of LD_PRELOAD before memx-run prepended to it; unset if none. */
#define ENV_SAVED_PRELOAD "MEMX_RUN_SAVED_PRELOAD"

/* The exit status that shells use for "found, but cannot be executed". */
#define EXIT_NOT_RUNNABLE 126

static void restore_environment(void)
{
	const char *saved = getenv(ENV_SAVED_PRELOAD);

	if (saved)
		setenv("LD_PRELOAD", saved, 1);
	else
		unsetenv("LD_PRELOAD");
	unsetenv(ENV_SAVED_PRELOAD);
	unsetenv(ENV_MODULE);
}

__attribute__((constructor)) static void memx_preload(void)
{
	const char *module = getenv(ENV_MODULE);

	if (!module || !dlsym(RTLD_DEFAULT, "register_module_init"))
		return;

	if (!dlopen(module, RTLD_NOW | RTLD_LOCAL)) {
		fprintf(stderr, "memx-run: this QEMU cannot load the memx driver: %s\n"
			"memx-run: the driver was built for another QEMU; "
			"build or install the one for this version\n",
			dlerror());
		_exit(EXIT_NOT_RUNNABLE);
	}
	restore_environment();
}
