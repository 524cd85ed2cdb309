/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memxctl's look at what a volume is made of (tools/memxctl_inspect.c), under replies
 * of any content (hostile.h). The input says which servers live and what was done to
 * the volume before, then how their replies are changed while it is looked at.
 */
#include "hostile.h"
#include "tools/memxctl.h"

#define CLIENT		5
#define SIZE_MAX_SEEN	(1ull << 36)	/* what is said to be larger is not looked at */

static struct cl net;
static struct bytes in;

/* ---- what memxctl stands on: the network in memory in place of the library ---- */

static struct mx_client *fz_core(struct memx *m)
{
	(void)m;
	return net.n[CLIENT].client;
}

static mx_ns fz_now(void) { return net.now; }
static void fz_flush(struct memx *m) { (void)m; }
static void fz_process(struct memx *m) { (void)m; }

static bool fz_wait(struct memx *m, mx_ns until)
{
	(void)m;
	return cl_run(&net, until, NULL, NULL);
}

struct waited { struct mx_vol_op op; bool done; enum mx_status st; };

static void waited_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct waited *w = mx_container_of(o, struct waited, op);

	(void)now;
	if (st != MX_OK && !err)
		abort();
	w->done = true;
	w->st = st;
}

static bool is_done(void *arg) { return ((struct waited *)arg)->done; }

static int fz_op_wait(struct memx *m, void (*start)(struct memx *, struct mx_vol_op *, void *),
		      void *arg, char **err)
{
	struct waited w = { .op.done = waited_done };

	(void)err;
	start(m, &w.op, arg);
	if (!cl_run(&net, net.now + 100 * MX_SEC, is_done, &w))
		abort();
	return w.st == MX_OK ? 0 : -1;
}

static bool none_pending(void *arg) { return !*(const unsigned *)arg; }

void ctl_run(struct ctl *c, const unsigned *pending, double seconds)
{
	(void)c;
	cl_run(&net, net.now + (mx_ns)(seconds * 1e9), none_pending, (void *)pending);
}

void die(int code, const char *fmt, ...)
{
	(void)code;
	(void)fmt;
	abort();
}

void note_silent(struct ctl *c, u64 id) { (void)c; (void)id; }
bool is_silent(const struct ctl *c, u64 id) { (void)c; (void)id; return false; }

#define memx_core	fz_core
#define memx_now	fz_now
#define memx_flush	fz_flush
#define memx_process	fz_process
#define memx_wait	fz_wait
#define memx_op_wait	fz_op_wait
#include "tools/memxctl_inspect.c"

/* ---- an input ---- */

static void look(void)
{
	struct ctl ctl = { 0 };
	char *err = NULL, *why;
	struct volume *v;
	GArray *list;
	int rc;

	list = volumes_list(&ctl, &rc, &err);
	if (list)
		g_array_free(list, TRUE);
	v = volume_get(&ctl, "a", &rc, &err);
	if (!v)
		return;
	if (v->desc->size <= SIZE_MAX_SEEN) {
		volume_inspect(&ctl, v);
		if (v->mapped + v->lost + v->unknown > (v->desc->size + MX_EXTENT - 1) >> MX_EXTENT_SHIFT)
			abort();
	}
	why = volume_trouble(&ctl, v);
	if (!why != (volume_health(&ctl, v) == HEALTH_OK) || !health_str(volume_health(&ctl, v)))
		abort();
	g_free(why);
	volume_free(v);
}

static void write_some(struct clvol *v, u32 what)
{
	static u8 a[4096];

	for (u32 i = 0; i < 8; i++)
		if (what >> i & 1)
			cl_io(v, MX_REQ_WRITE, (u64)i << 20, a, sizeof a);
}

static void begin(u32 how, u32 what)
{
	struct mx_vol_conf vc = { .enroll_max = 4, .ios = 8 };
	struct clvol v;

	cl_init(&net, 1);
	net.way.cap = 8192;
	net.mtu = how & 1 ? 1500 : 65535;
	net.delay = MX_MS;
	net.tap = tap;
	rules_clear();
	extra.len = 0;
	for (int i = 0; i < SERVERS; i++)
		net.n[i].cl = &net;
	for (u32 i = 0; i <= (how >> 1 & 3); i++)
		server_up(&net, (int)i, 16);
	client_up(&net, CLIENT);
	if (cl_create(&net, CLIENT, "a", how & 8 ? (8 << 20) + 512 : 40ull << 30) != MX_OK ||
	    cl_open(&net, CLIENT, "a", &vc, &v) != MX_OK)
		abort();
	write_some(&v, what);
	cl_close(&net, &v);
	if (how & 16)
		server_down(&net, how >> 5 & 3);
	if (how & 16 && how & 128)
		server_up(&net, how >> 5 & 3, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u32 how, what;

	in = (struct bytes){ data, size };
	how = in8(&in);
	what = in8(&in);
	begin(how, what);
	while (in.left && nrules < RULES)
		rule_add(&in);
	look();
	rules_clear();
	for (int i = 0; i < SERVERS; i++)
		server_down(&net, i);
	cl_end(&net);
	return 0;
}
