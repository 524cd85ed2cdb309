/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `qemu-img bench` has no --object, so it cannot open anything that needs TLS
 * credentials or a secret. This shared object, named in LD_PRELOAD, gives it
 * one: the object described in the environment variable QEMU_BENCH_OBJECT, as
 * it would stand behind --object. It changes nothing else.
 *
 * QEMU creates objects only once its type system is up; its list of block
 * drivers is initialised right after that, so this waits in that list.
 */
#include <stdlib.h>

#define MODULE_INIT_BLOCK 1		/* include/qemu/module.h, since QEMU 2.12 */

/* Exported by the program that this is loaded into. */
void register_module_init(void (*fn)(void), int type) __attribute__((weak));
void user_creatable_process_cmdline(const char *text) __attribute__((weak));

static void add_object(void)
{
	const char *text = getenv("QEMU_BENCH_OBJECT");

	if (text)
		user_creatable_process_cmdline(text);
}

static __attribute__((constructor)) void init(void)
{
	/* Other programs of the same environment are left alone. */
	if (register_module_init && user_creatable_process_cmdline)
		register_module_init(add_object, MODULE_INIT_BLOCK);
}
