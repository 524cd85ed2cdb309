/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Talking to the kernel modules: see memxctl_nl.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netlink/genl/ctrl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/posix/key.h"
#include "tools/memxctl.h"
#include "tools/memxctl_key.h"
#include "tools/memxctl_nl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK	270
#endif

/* ---- answers ---- */

/* The kernel's sentence stands behind the request that it gives back with an error. */
char *nlc_sentence(const struct nlmsgerr *e)
{
	const struct nlmsghdr *h = (const void *)((const char *)e - NLMSG_HDRLEN);
	size_t off = sizeof *e, len = h->nlmsg_len - NLMSG_HDRLEN;
	struct nlattr *text;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += e->msg.nlmsg_len - NLMSG_HDRLEN;
	if (off >= len)
		return NULL;
	text = nla_find((struct nlattr *)((char *)e + off), (int)(len - off), NLMSGERR_ATTR_MSG);
	return text ? g_strndup(nla_data(text), (gsize)nla_len(text)) : NULL;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct nlc *c = arg;

	c->said = nlc_sentence(e);
	if (!c->said)
		c->said = g_strdup(e->error == -EPERM ? "only root (CAP_NET_ADMIN) may do that" :
							strerror(-e->error));
	/* nl_recvmsgs() hands this back: the kernel's number, not one of libnl's. */
	return e->error;
}

static int on_answer(struct nl_msg *m, void *arg)
{
	struct nlc *c = arg;
	struct nlattr *attrs[c->max + 1];
	struct genlmsghdr *g = genlmsg_hdr(nlmsg_hdr(m));

	if (nla_parse(attrs, c->max, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), NULL) == 0 && c->reply)
		c->reply(attrs, c->user);
	return NL_OK;
}

/* ---- requests ---- */

void nlc_open(struct nlc *c, const char *family, const char *module, int max_attr)
{
	int on = 1, rc;

	memset(c, 0, sizeof *c);
	c->max = max_attr;
	c->sock = nl_socket_alloc();
	if (!c->sock)
		die(CTL_FAILED, "not enough memory");
	rc = genl_connect(c->sock);
	if (rc)
		die(CTL_FAILED, "cannot talk to the kernel: %s", nl_geterror(rc));
	/* Without these errors are numbers alone; kernels that are too old do that. */
	setsockopt(nl_socket_get_fd(c->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	setsockopt(nl_socket_get_fd(c->sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	c->family = genl_ctrl_resolve(c->sock, family);
	if (c->family < 0)
		die(CTL_FAILED, "the kernel module %s is not loaded on this machine; modprobe %s loads it, or says why not (it comes with the package memx-dkms, which builds it for each kernel that has headers: see dkms status)",
		    module, module);
	nl_socket_modify_cb(c->sock, NL_CB_VALID, NL_CB_CUSTOM, on_answer, c);
	nl_socket_modify_err_cb(c->sock, NL_CB_CUSTOM, on_error, c);
}

void nlc_close(struct nlc *c)
{
	nl_socket_free(c->sock);
	g_clear_pointer(&c->said, g_free);
}

struct nl_msg *nlc_request(struct nlc *c, u8 cmd, int flags)
{
	struct nl_msg *m = nlmsg_alloc();

	if (!m || !genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, c->family, 0, flags | NLM_F_ACK, cmd, 1))
		die(CTL_FAILED, "not enough memory");
	return m;
}

int nlc_run(struct nlc *c, struct nl_msg *m, void (*reply)(struct nlattr **, void *), void *user)
{
	int rc;

	g_clear_pointer(&c->said, g_free);
	c->reply = reply;
	c->user = user;
	rc = nl_send_auto(c->sock, m);
	nlmsg_free(m);
	/* Until the acknowledgement or an error. */
	if (rc >= 0)
		rc = nl_wait_for_ack(c->sock);
	if (rc >= 0)
		return 0;
	if (!c->said) {
		c->said = g_strdup_printf("no answer from the kernel: %s", nl_geterror(rc));
		return -EIO;
	}
	return rc;
}

/* ---- keys ---- */

int nlc_hand_over_key(const char *file, char desc[KERNEL_KEY_DESC], struct mx_key *k, char **err)
{
	char name[32];
	long id;

	if (mxp_key_load(file, k, err)) {
		if (!*err)
			*err = g_strdup("the key cannot be read");
		return CTL_KEY;
	}
	snprintf(name, sizeof name, "memxctl-%d", (int)getpid());
	id = kernel_key_add(k, name, KEY_SPEC_PROCESS_KEYRING, desc);
	mxp_key_wipe(k->key, sizeof k->key);
	if (id >= 0)
		return CTL_OK;
	*err = g_strdup_printf("the kernel does not take the key: %s", strerror((int)-id));
	return CTL_KEY;
}

/* ---- addresses ---- */

char *nlc_address(const struct mx_addr *a, char **interface)
{
	char text[MXP_ADDR_STR], ifname[IF_NAMESIZE];
	struct mx_addr bare = *a;

	if (a->scope && interface && !*interface && if_indextoname(a->scope, ifname))
		*interface = g_strconcat(a->fam == MX_FAM_ETH ? "raw:" : "", ifname, NULL);
	bare.scope = 0;
	return g_strdup(mxp_addr_str(&bare, text));
}

int nlc_resolve(const char *typed, GPtrArray *out, unsigned most, char **interface, char **err)
{
	struct mx_addr a[MXP_ADDR_MAX];
	unsigned n = mxp_addr_parse(typed, MX_UDP_PORT, a, MXP_ADDR_MAX, err);

	for (unsigned i = 0; i < n && out->len < most; i++)
		g_ptr_array_add(out, nlc_address(&a[i], interface));
	return n ? CTL_OK : CTL_USAGE;
}
