/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to the kernel modules on this machine, by generic netlink (libnl). */
#ifndef MEMX_TOOLS_MEMXCTL_NL_H
#define MEMX_TOOLS_MEMXCTL_NL_H

#include <glib.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include "core/ep.h"
#include "tools/memxctl_key.h"

/* One family of one module; one request at a time. */
struct nlc {
	struct nl_sock *sock;
	int family;
	char *said;			/* by the kernel, about the last request; NULL: nothing */
	void (*reply)(struct nlattr **attrs, void *user);
	void *user;
	int max;			/* the highest attribute there is */
};

/* Ends memxctl (CTL_FAILED) with a sentence if the kernel has no such family:
 * @module says which one is to be loaded. */
void nlc_open(struct nlc *c, const char *family, const char *module, int max_attr);
void nlc_close(struct nlc *c);
/* A request to which attributes are added; nlc_run() takes it. */
struct nl_msg *nlc_request(struct nlc *c, u8 cmd, int flags);
/*
 * Sends it and waits for its acknowledgement, giving the attributes (indexed by type,
 * NULL: not there) of each answer to @reply, which may be NULL. 0, or -errno with a
 * sentence in c->said, as the kernel put it or else what the errno means.
 */
int nlc_run(struct nlc *c, struct nl_msg *m, void (*reply)(struct nlattr **, void *), void *user);

/* What the kernel says with an error: g_free it; NULL: nothing. For callers with
 * callbacks of their own. */
char *nlc_sentence(const struct nlmsgerr *e);

/*
 * Reads a key file and puts the key where only this process's requests find it (its
 * process keyring), under the description written to @desc. The key's kind and volume
 * go to *@k, its bytes do not. CTL_KEY and a sentence (g_free) if it cannot.
 */
int nlc_hand_over_key(const char *file, char desc[KERNEL_KEY_DESC], struct mx_key *k, char **err);

/*
 * An address as the kernel modules read it (g_free). Those that hold on one interface only
 * do not name it there: it goes to *@interface (g_free), as raw:IF for Ethernet, if that is
 * NULL and @interface is not.
 */
char *nlc_address(const struct mx_addr *a, char **interface);
/* Adds what a server's name or address as typed comes to, unless there are @most. CTL_USAGE
 * and a sentence (g_free): it comes to nothing. */
int nlc_resolve(const char *typed, GPtrArray *out, unsigned most, char **interface, char **err);

#endif
