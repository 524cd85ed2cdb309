/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Talking to memx.ko: see memxctl_kernel.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "tools/memxctl_kernel.h"
#include "tools/memxctl_nl.h"

/* How often, and how far apart in microseconds, a busy device is tried to be detached. */
#define BUSY_TRIES	20
#define BUSY_PAUSE	100000u

static struct nlc nlc;
static volatile sig_atomic_t interrupted;

/* What comes back for one command. */
struct exchange {
	u8 cmd;
	u32 seq;
	bool acked, done;
	int rc;
	char *message, device[32];
	GArray *list;
};

/* ---- the module ---- */

bool kernel_has_module(void)
{
	return access("/sys/module/memx", F_OK) == 0;
}

void kernel_connect(void)
{
	nlc_open(&nlc, MEMX_GENL_NAME, "memx", MEMX_A_MAX);
	nl_socket_disable_auto_ack(nlc.sock);	/* outcomes come after acknowledgements */
}

/* ---- messages ---- */

static struct nl_msg *message(u8 cmd, int flags)
{
	struct nl_msg *m = nlmsg_alloc();

	if (!m || !genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, nlc.family, 0, flags, cmd, MEMX_GENL_VERSION))
		g_error("not enough memory for a message");
	return m;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct exchange *x = arg;

	(void)from;
	if (e->msg.nlmsg_seq != x->seq)
		return NL_SKIP;
	x->rc = e->error;
	x->message = nlc_sentence(e);
	if (!x->message)
		x->message = g_strdup(e->error == -EPERM ? "only root (CAP_NET_ADMIN) may do that" :
							   g_strerror(-e->error));
	x->done = true;
	return NL_STOP;
}

static int on_ack(struct nl_msg *m, void *arg)
{
	struct exchange *x = arg;

	if (nlmsg_hdr(m)->nlmsg_seq == x->seq)
		x->acked = true;
	return NL_STOP;
}

static int on_finish(struct nl_msg *m, void *arg)
{
	struct exchange *x = arg;

	(void)m;
	x->done = true;
	return NL_STOP;
}

static void copy(char *to, size_t size, struct nlattr *a)
{
	g_strlcpy(to, a ? nla_get_string(a) : "", size);
}

static u32 get32(struct nlattr **a, enum memx_attr at)
{
	return a[at] ? nla_get_u32(a[at]) : 0;
}

static u64 get64(struct nlattr **a, enum memx_attr at)
{
	return a[at] ? nla_get_u64(a[at]) : 0;
}

/* Servers are several attributes of one type. */
static GString *get_servers(struct genlmsghdr *g)
{
	GString *s = g_string_new(NULL);
	struct nlattr *a;
	int left;

	nla_for_each_attr(a, genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), left)
		if (nla_type(a) == MEMX_A_SERVER)
			g_string_append_printf(s, "%s%s", s->len ? " " : "", nla_get_string(a));
	return s;
}

static void get_figures(struct kernel_dev *d, struct nlattr **a)
{
	d->size = get64(a, MEMX_A_SIZE);
	d->placed = get64(a, MEMX_A_EXT_PLACED);
	d->lost = get64(a, MEMX_A_EXT_LOST);
	d->unknown = get64(a, MEMX_A_EXT_UNKNOWN);
	d->reads = get64(a, MEMX_A_READS);
	d->writes = get64(a, MEMX_A_WRITES);
	d->read_bytes = get64(a, MEMX_A_READ_BYTES);
	d->write_bytes = get64(a, MEMX_A_WRITE_BYTES);
	d->retransmits = get64(a, MEMX_A_RETRANSMITS);
	d->errors = get64(a, MEMX_A_ERRORS);
	d->memory = get64(a, MEMX_A_MEMORY);
	d->openers = get32(a, MEMX_A_OPENERS);
	d->inflight = get32(a, MEMX_A_INFLIGHT);
	d->epoch = get32(a, MEMX_A_EPOCH);
	d->servers_all = get32(a, MEMX_A_SERVERS_ALL);
	d->servers_up = get32(a, MEMX_A_SERVERS_UP);
	d->servers_gone = get32(a, MEMX_A_SERVERS_GONE);
}

static void get_dev(struct kernel_dev *d, struct nlattr **a)
{
	copy(d->volume, sizeof d->volume, a[MEMX_A_VOLUME]);
	copy(d->device, sizeof d->device, a[MEMX_A_DEVICE]);
	copy(d->interface, sizeof d->interface, a[MEMX_A_INTERFACE]);
	d->state = get32(a, MEMX_A_STATE);
	d->queues = get32(a, MEMX_A_QUEUES);
	d->fail_after_ms = get32(a, MEMX_A_FAIL_AFTER_MS);
	d->read_only = a[MEMX_A_READ_ONLY];
	d->sealed = a[MEMX_A_SEALED];
	d->fenced = a[MEMX_A_FENCED];
	d->lease = a[MEMX_A_LEASE];
	d->has_uuid = a[MEMX_A_UUID] && nla_len(a[MEMX_A_UUID]) == sizeof d->uuid;
	if (d->has_uuid)
		memcpy(d->uuid, nla_data(a[MEMX_A_UUID]), sizeof d->uuid);
	get_figures(d, a);
}

static int on_valid(struct nl_msg *m, void *arg)
{
	struct exchange *x = arg;
	struct nlmsghdr *h = nlmsg_hdr(m);
	struct nlattr *a[MEMX_A_MAX + 1];
	struct kernel_dev d = { 0 };

	if (h->nlmsg_seq != x->seq || genlmsg_parse(h, 0, a, MEMX_A_MAX, NULL))
		return NL_SKIP;
	if (x->list) {
		get_dev(&d, a);
		d.servers = get_servers(nlmsg_data(h));
		g_array_append_val(x->list, d);
		return NL_OK;
	}
	if (!a[MEMX_A_RESULT])
		return NL_SKIP;
	x->rc = -(int)nla_get_u32(a[MEMX_A_RESULT]);
	if (x->rc)
		x->message = g_strdup(a[MEMX_A_MESSAGE] ? nla_get_string(a[MEMX_A_MESSAGE]) :
				      g_strerror(-x->rc));
	copy(x->device, sizeof x->device, a[MEMX_A_DEVICE]);
	x->done = true;
	return NL_STOP;
}

/* Sends @m and waits for its outcome; a command's is told after its acknowledgement. */
static int exchange(struct nl_msg *m, struct exchange *x, bool may_interrupt, char **err)
{
	struct pollfd p = { .fd = nl_socket_get_fd(nlc.sock), .events = POLLIN };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = nl_send_auto(nlc.sock, m);

	x->seq = nlmsg_hdr(m)->nlmsg_seq;
	nlmsg_free(m);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, x);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, x);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, x);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, x);
	while (rc >= 0 && !x->done && !(may_interrupt && interrupted))
		if (poll(&p, 1, -1) > 0)
			rc = nl_recvmsgs(nlc.sock, cb);
	nl_cb_put(cb);
	if (x->done) {
		*err = x->message;
		return x->rc;
	}
	*err = rc < 0 ? g_strdup_printf("netlink: %s", nl_geterror(rc)) : NULL;
	return rc < 0 ? -EIO : -EINTR;
}

/* ---- commands ---- */

/* A command about one that is attached. */
struct order {
	u8 cmd;
	bool force, shrink;
	u64 bytes;
};

static int give_order(const struct order *o, enum memx_attr by, const char *name, char **err)
{
	struct nl_msg *m = message(o->cmd, NLM_F_ACK);
	struct exchange x = { .cmd = o->cmd };

	nla_put_string(m, by, name);
	if (o->bytes)
		nla_put_u64(m, MEMX_A_SIZE, o->bytes);
	if (o->force)
		nla_put_flag(m, MEMX_A_FORCE);
	if (o->shrink)
		nla_put_flag(m, MEMX_A_SHRINK);
	return exchange(m, &x, false, err);
}

static bool like_a_device(const char *word)
{
	return g_str_has_prefix(word, "memxblk") && word[7] && !word[7 + strspn(word + 7, "0123456789")];
}

/* By what somebody typed. */
static int give_typed(const struct order *o, const char *what, char **err)
{
	static const char by_volume[] = "/dev/memx/by-volume/", dev[] = "/dev/";
	int rc;

	if (g_str_has_prefix(what, by_volume))
		return give_order(o, MEMX_A_VOLUME, what + strlen(by_volume), err);
	if (g_str_has_prefix(what, dev))
		return give_order(o, MEMX_A_DEVICE, what + strlen(dev), err);
	rc = give_order(o, MEMX_A_VOLUME, what, err);
	if (rc != -ENODEV || !like_a_device(what))
		return rc;
	g_clear_pointer(err, g_free);
	return give_order(o, MEMX_A_DEVICE, what, err);
}

static void on_signal(int n)
{
	(void)n;
	interrupted = 1;
}

bool kernel_pause(unsigned seconds)
{
	if (!interrupted)
		sleep(seconds);
	return !interrupted;
}

int kernel_attach(const struct kernel_attach *a, char *device, char **err)
{
	struct nl_msg *m = message(MEMX_CMD_ATTACH, NLM_F_ACK);
	struct exchange x = { .cmd = MEMX_CMD_ATTACH };
	struct sigaction act = { .sa_handler = on_signal };
	struct nlattr *nest;
	char *ignored = NULL;
	int rc;

	nla_put_string(m, MEMX_A_VOLUME, a->volume);
	nest = nla_nest_start(m, MEMX_A_SERVERS);
	for (char **s = a->servers; *s; s++)
		nla_put_string(m, MEMX_A_SERVER, *s);
	nla_nest_end(m, nest);
	if (a->interface)
		nla_put_string(m, MEMX_A_INTERFACE, a->interface);
	if (a->key)
		nla_put_string(m, MEMX_A_KEY, a->key);
	if (a->read_only)
		nla_put_flag(m, MEMX_A_READ_ONLY);
	if (a->force)
		nla_put_flag(m, MEMX_A_TAKE);
	nla_put_u32(m, MEMX_A_QUEUES, a->queues);
	nla_put_u32(m, MEMX_A_FAIL_AFTER_MS, a->fail_after_ms);
	nla_put_u32(m, MEMX_A_TIMEOUT_MS, a->timeout_ms);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	rc = exchange(m, &x, true, err);
	if (rc == -EINTR) {
		kernel_detach_volume(a->volume, true, &ignored);
		g_free(ignored);
		*err = g_strdup("interrupted; it is not attached");
	}
	g_strlcpy(device, x.device, sizeof x.device);
	return rc;
}

/* udev opens for a moment what has just come, or got another size, or was closed. */
static int detach(const char *what, bool typed, bool force, char **err)
{
	const struct order o = { .cmd = MEMX_CMD_DETACH, .force = force };

	for (int tries = 0;; tries++) {
		int rc = typed ? give_typed(&o, what, err) : give_order(&o, MEMX_A_VOLUME, what, err);

		if (rc != -EBUSY || tries == BUSY_TRIES)
			return rc;
		g_clear_pointer(err, g_free);
		g_usleep(BUSY_PAUSE);
	}
}

int kernel_detach(const char *what, bool force, char **err)
{
	return detach(what, true, force, err);
}

int kernel_detach_volume(const char *name, bool force, char **err)
{
	return detach(name, false, force, err);
}

int kernel_resize(const char *what, u64 bytes, bool shrink, char **err)
{
	return give_typed(&(struct order){ .cmd = MEMX_CMD_RESIZE, .bytes = bytes, .shrink = shrink },
			  what, err);
}

static int by_device(const void *a, const void *b)
{
	const char *x = ((const struct kernel_dev *)a)->device, *y = ((const struct kernel_dev *)b)->device;
	size_t n = strlen(x), k = strlen(y);

	return n == k ? strcmp(x, y) : n < k ? -1 : 1;
}

GArray *kernel_list(int *rc, char **err)
{
	struct nl_msg *m = message(MEMX_CMD_GET, NLM_F_DUMP);
	struct exchange x = { .cmd = MEMX_CMD_GET };

	x.list = g_array_new(FALSE, TRUE, sizeof(struct kernel_dev));
	*rc = exchange(m, &x, false, err);
	if (*rc) {
		g_array_unref(x.list);
		return NULL;
	}
	g_array_sort(x.list, by_device);
	return x.list;
}
