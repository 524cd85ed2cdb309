/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memxctl key: puts a key file's key where the kernel modules find it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core/desc.h"
#include "net/posix/key.h"
#include "tools/memxctl.h"
#include "tools/memxctl_key.h"

#define KEY_FILE	"/etc/memx/key"

long kernel_key_add(const struct mx_key *k, const char *name, int ring, char *desc)
{
	u8 payload[sizeof k->key + MX_NAME_MAX];
	size_t n = sizeof k->key;
	long rc;

	if (!*name || strlen(name) > MX_NAME_MAX)
		return -EINVAL;
	snprintf(desc, KERNEL_KEY_DESC, "memx:%s", name);
	memcpy(payload, k->key, n);
	if (k->kind == MX_KEY_VOLUME) {
		memcpy(payload + n, k->volume, strlen(k->volume));
		n += strlen(k->volume);
	}
	rc = syscall(SYS_add_key, "logon", desc, payload, n, ring);
	if (rc < 0)
		rc = -errno;
	mxp_key_wipe(payload, sizeof payload);
	return rc;
}

static const char load_help[] =
	"Usage: memxctl [--key-file FILE] key load NAME\n\n"
	"Puts the key of FILE (default: " KEY_FILE ") into the kernel's keyring, as the key of\n"
	"type logon memx:NAME, in place of one that is there. The kernel modules take it from\n"
	"there (modprobe memx-server key=memx:NAME ...); user space cannot read it back. It is\n"
	"in the session's keyring, and linked to the user's, until these go or\n"
	"`keyctl purge logon memx:NAME`. A module that runs keeps the key it was given.\n";

static int load(struct ctl *c, const char *name)
{
	const char *file = c->key_file ? c->key_file : KEY_FILE;
	char *err = NULL, desc[KERNEL_KEY_DESC];
	struct mx_key k;
	long id;
	int rc;

	rc = mxp_key_load(file, &k, &err);
	if (rc)
		die(CTL_KEY, "%s", err ? err : strerror(-rc));
	/* Into the session's keyring first: who possesses a key by that may link it. A service
	 * has a session of its own, which does not possess what is in the user's keyring. */
	id = kernel_key_add(&k, name, KEY_SPEC_SESSION_KEYRING, desc);
	mxp_key_wipe(&k, sizeof k);
	if (id == -EINVAL)
		die(CTL_USAGE, "key load: \"%s\" cannot be a key's name; expected 1 to %u characters",
		    name, MX_NAME_MAX);
	if (id == -ENOSYS)
		die(CTL_FAILED, "key load: this kernel has no keyrings (CONFIG_KEYS)");
	if (id < 0)
		die(CTL_FAILED, "key load: the kernel does not take the key: %s", strerror((int)-id));
	if (syscall(SYS_keyctl, KEYCTL_LINK, id, KEY_SPEC_USER_KEYRING) < 0)
		die(CTL_FAILED, "key load: the key is in the session's keyring, but not in the user's, where "
		    "other sessions look: %s", strerror(errno));
	puts(desc);
	return CTL_OK;
}

int cmd_kernel_key(struct ctl *c, int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[argc - 1], "--help") || !strcmp(argv[argc - 1], "-h"))) {
		fputs(load_help, stdout);
		return CTL_OK;
	}
	if (argc == 3 && !strcmp(argv[1], "load"))
		return load(c, argv[2]);
	die(CTL_USAGE, "key: expected `key load NAME`; memxctl key --help tells more");
}
