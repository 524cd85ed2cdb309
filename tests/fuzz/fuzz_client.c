/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients, and caretakers of servers, under replies of any content (hostile.h). The
 * input is a list of steps: what the clients do, what becomes of the servers, which
 * replies are changed and how, and how much time passes.
 *
 * Whatever was answered: every request and operation ends once, at the latest when
 * the servers are dead and the time it was given is over; volumes can be closed;
 * memory stays bounded, and all of it is given back.
 */
#include "hostile.h"

#define STEPS		48u
#define VOLS		3u		/* two at one client, the third at another */
#define REQS		12u
#define OPS		6u
#define STATS		4u
#define BUF		65536u
#define SENT_MAX	40000u		/* datagrams of an input's steps */
#define SIZE		(6u << 20)

enum { CLIENT = 5, OTHER = 6 };

static struct cl net;
static struct bytes in;

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- requests ---- */

struct freq { struct mx_req r; struct clbuf b; bool busy; u8 data[BUF]; };
static struct freq reqs[REQS];
struct fstat { struct mx_blkstat_req r; bool busy; };
static struct fstat stats[STATS];
struct fop { struct mx_vol_op o; bool busy, of_vol; };
static struct fop ops[OPS];
struct fvol { struct mx_vol *v; bool opened, closing, closed; };
static struct fvol vols[VOLS];

static void req_done(struct mx_req *r, enum mx_status st)
{
	struct freq *q = mx_container_of(r, struct freq, r);

	(void)st;
	need(q->busy, "a request ends twice");
	q->busy = false;
	free(q->b.copy);
	q->b.copy = NULL;
}

static void stat_done(struct mx_blkstat_req *r, enum mx_status st)
{
	struct fstat *s = mx_container_of(r, struct fstat, r);

	need(s->busy, "a block status ends twice");
	need(st != MX_OK || r->run, "a block status of no length");
	s->busy = false;
}

static void op_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct fop *f = mx_container_of(o, struct fop, o);

	(void)now;
	need(f->busy, "an operation ends twice");
	need(st == MX_OK || (err && strlen(err) < 400), "an operation fails without a sentence");
	f->busy = false;
}

static void entry(void *user, const struct mx_list_entry *e)
{
	(void)user;
	need(strlen(e->name) <= MX_NAME_MAX, "a name too long");
}

static void text(void *user, const char *t, u32 len)
{
	u8 sum = 0;

	(void)user;
	for (u32 i = 0; i < len; i++)
		sum ^= (u8)t[i];
	__asm__ __volatile__("" : : "r"(sum));
}

static struct fop *op_get(bool of_vol)
{
	for (u32 i = 0; i < OPS; i++)
		if (!ops[i].busy) {
			memset(&ops[i], 0, sizeof ops[i]);
			ops[i].o.done = op_done;
			ops[i].busy = true;
			ops[i].of_vol = of_vol;
			return &ops[i];
		}
	return NULL;
}

static void submit(struct fvol *f, u8 op, u32 at)
{
	struct freq *q = NULL;

	for (u32 i = 0; i < REQS && !q; i++)
		if (!reqs[i].busy)
			q = &reqs[i];
	if (!q || !f->v)
		return;
	memset(&q->r, 0, sizeof q->r);
	q->r.op = op;
	q->r.off = (u64)(at & 0xff) << 15;		/* to 8 MiB */
	q->r.off += (at >> 8 & 3) * MX_BLOCK;
	q->r.len = (at >> 10 & 1 ? 0 : 4096) + (u64)(at >> 11 & 31) * MX_BLOCK * 3;
	if (op == MX_REQ_ZERO || op == MX_REQ_DISCARD)
		q->r.len = (q->r.len + (at >> 12)) << 9;
	if (op == MX_REQ_FLUSH)
		q->r.off = q->r.len = 0;
	q->r.flags = at >> 15 & 1 ? MX_REQ_STABLE : 0;
	q->r.buf = &q->b;
	q->r.done = req_done;
	q->b = (struct clbuf){ .data = q->data, .len = BUF, .changing = at & 0x4000 };
	q->busy = true;
	mx_vol_submit(f->v, &q->r, net.now);
}

static void blkstat(struct fvol *f, u32 at)
{
	for (u32 i = 0; i < STATS && f->v; i++)
		if (!stats[i].busy) {
			memset(&stats[i].r, 0, sizeof stats[i].r);
			stats[i].r.off = (u64)at << 12;
			stats[i].r.done = stat_done;
			stats[i].busy = true;
			mx_vol_blkstat(f->v, &stats[i].r, net.now);
			return;
		}
}

/* ---- volumes ---- */

static void opened(void *user, enum mx_status st, mx_ns now)
{
	struct fvol *f = user;

	(void)now;
	need(!f->opened && !f->closed, "opened twice");
	f->opened = true;
	need(st == MX_OK || mx_vol_error(f->v)[0], "an open fails without a sentence");
}

static void closed(void *user, mx_ns now)
{
	struct fvol *f = user;

	(void)now;
	need(f->closing && !f->closed, "closed twice, or unasked");
	f->closed = true;
}

static void event(void *user, const char *line, mx_ns now)
{
	(void)user;
	(void)now;
	need(strlen(line) < 1000, "a line too long");
}

static int node_of(const struct fvol *f) { return f == &vols[2] ? OTHER : CLIENT; }
static const char *name_of(u32 how) { return how & 1 ? "b" : "a"; }

static void vol_open(struct fvol *f, u32 how)
{
	static const struct mx_vol_ops vops = { opened, closed, event };
	struct mx_vol_conf vc;

	if (f->v)
		return;
	memset(&vc, 0, sizeof vc);
	memset(f, 0, sizeof *f);
	vc.read_only = how & 2;
	vc.force = how & 4;
	vc.wait_owner = how & 8;
	vc.fail_after = 4 * MX_SEC;
	vc.open_timeout = 10 * MX_SEC;
	vc.rebuild_wait = MX_SEC;
	vc.lease = 3 * MX_SEC;
	vc.ios = 16;
	vc.enroll_max = how & 16 ? 2 : 0;
	f->v = mx_vol_open(net.n[node_of(f)].client, name_of(how), &vc, &vops, f, net.now);
}

/* Gives it back if it was closed. */
static void vol_reap(struct fvol *f)
{
	if (!f->v || !f->closed)
		return;
	mx_vol_free(f->v);
	f->v = NULL;
}

static void vol_close(struct fvol *f)
{
	if (f->v && !f->closing) {
		f->closing = true;
		mx_vol_close(f->v, net.now);
	}
}

static void look(const struct fvol *f)
{
	struct mx_vol_stats s;
	u64 n = 0;

	if (!f->v)
		return;
	mx_vol_stats(f->v, &s, net.now);
	for (u32 i = 0; i < 4; i++)
		n += s.extents[i];
	/* While it is resized, one goes before the other. */
	if (f->v->phase == MX_VP_OPEN && !f->v->resize)
		need(n == (mx_vol_size(f->v) + MX_EXTENT - 1) >> MX_EXTENT_SHIFT, "extents are miscounted");
}

/* ---- steps ---- */

/* Asks the owner to move what there is; the recipe's bytes then change the message. */
static void shed(struct fvol *f)
{
	struct mx_shed m = { .n = 1 + in8(&in) % 8 };
	struct mx_shed_entry e[8];
	struct mx_head h = { 0 };
	u32 changes = in8(&in) % 8;

	if (!f->v)
		return;
	memcpy(m.uuid, f->v->uuid, MX_UUID);
	m.epoch = f->v->epoch;
	for (u32 i = 0; i < m.n; i++) {
		e[i].extent = i;
		e[i].gen = i < f->v->map.nents ? mx_map_at(&f->v->map, i)->gen : 0;
	}
	extra.len = mx_shed_encode(extra.b, &h, &m, e);
	extra.to = node_of(f);
	while (changes--)
		extra.b[MX_HEAD + in8(&in) % (extra.len - MX_HEAD)] ^= (u8)in8(&in);
}

static void by_name(u32 what, u32 how)
{
	struct mx_client *c = net.n[how & 2 ? OTHER : CLIENT].client;
	struct fop *f = op_get(false);
	u64 size = ((u64)(how >> 2 & 15) << 19) + MX_BLOCK;

	if (!f)
		return;
	switch (what) {
	case 0: mx_client_create(c, name_of(how), size, how, &f->o, net.now); break;
	case 1: mx_client_delete(c, name_of(how), NULL, how & 64, &f->o, net.now); break;
	case 2: mx_client_resize(c, name_of(how), size, how & 128, &f->o, net.now); break;
	case 3: mx_client_recover(c, name_of(how), NULL, &f->o, net.now); break;
	case 4: mx_client_info(c, name_of(how), &f->o, net.now); break;
	case 5: mx_client_list(c, entry, &f->o, net.now); break;
	default: mx_client_server_stats(c, 100 + how % (SERVERS + 1), text, &f->o, net.now); break;
	}
}

static void by_owner(struct fvol *v, bool move, u32 how)
{
	struct fop *f = v->v && v->opened && !v->closing ? op_get(true) : NULL;

	if (!f)
		return;
	if (move)
		mx_vol_move(v->v, how & 15, how & 16 ? 100 + (how >> 5) % SERVERS : 0, &f->o, net.now);
	else
		mx_vol_resize(v->v, ((u64)(how & 15) << 19) + MX_BLOCK, &f->o, net.now);
}

static void server_step(u32 what, u32 i)
{
	struct clnode *n = &net.n[i % SERVERS];

	switch (what) {
	case 0: server_down(&net, (int)(i % SERVERS)); break;
	case 1:
		server_down(&net, (int)(i % SERVERS));
		server_up(&net, (int)(i % SERVERS), 4 + (i >> 2 & 7) * 4);
		break;
	case 2: n->silent = !n->silent; break;
	case 3:
		if (n->server)
			mx_server_leave(n->server, net.now);
		break;
	default:
		if (n->server)
			mx_server_set_ceiling(n->server, (u64)(i >> 2) << 17);
	}
}

static void step(u32 what)
{
	struct fvol *f = &vols[what % VOLS];

	switch (what / 8 % 32) {
	case 0: case 1: case 2: case 3: rule_add(&in); break;
	case 4: submit(f, MX_REQ_WRITE, in16(&in)); break;
	case 5: submit(f, MX_REQ_READ, in16(&in)); break;
	case 6: submit(f, MX_REQ_ZERO, in16(&in)); break;
	case 7: submit(f, MX_REQ_DISCARD, in16(&in)); break;
	case 8: submit(f, MX_REQ_FLUSH, 0); break;
	case 9: blkstat(f, in16(&in) % 2048); break;
	case 10: case 11: vol_open(f, in8(&in)); break;
	case 12: vol_close(f); break;
	case 13: case 14: case 15: case 16: case 17: case 18: case 19:
		by_name(what / 8 % 32 - 13, in8(&in)); break;
	case 20: by_owner(f, true, in8(&in)); break;
	case 21: by_owner(f, false, in8(&in)); break;
	case 22: shed(f); break;
	case 23: case 24: case 25: case 26: case 27:
		server_step(what / 8 % 32 - 23, in8(&in)); break;
	case 28:
		if (f->v)
			mx_vol_abort(f->v, MX_ST_CANCELLED, net.now);
		break;
	case 29: rules_clear(); break;
	case 30: net.loss = in8(&in) % 200; break;
	default: look(f); break;
	}
}

static void pass(u32 how)
{
	static const u32 ms[] = { 0, 3, 12, 30, 100, 400, 2000, 7000 };

	cl_for(&net, (mx_ns)ms[how & 7] * MX_MS + 1);
	for (u32 i = 0; i < VOLS; i++)
		vol_reap(&vols[i]);
	need(net.n[CLIENT].live_bytes <= ALLOC_MAX && net.way.n < net.way.cap, "too much at once");
}

/* ---- the end ---- */

/* What goes on still; NULL: nothing. */
static const char *going_on(void)
{
	for (u32 i = 0; i < REQS; i++)
		if (reqs[i].busy)
			return "a request never ends";
	for (u32 i = 0; i < STATS; i++)
		if (stats[i].busy)
			return "a block status never ends";
	for (u32 i = 0; i < OPS; i++)
		if (ops[i].busy && !ops[i].of_vol)
			return "an operation never ends";
	for (u32 i = 0; i < VOLS; i++)
		if (vols[i].v && !vols[i].opened && !vols[i].closing)
			return "an open never ends";
	return NULL;
}

static bool requests_done(void *arg)
{
	(void)arg;
	return !going_on();
}

static bool all_closed(void *arg)
{
	(void)arg;
	for (u32 i = 0; i < VOLS; i++)
		if (vols[i].v && !vols[i].closed)
			return false;
	return true;
}

static void finish_all(bool servers_live)
{
	rules_clear();
	extra.len = 0;
	net.loss = 0;
	if (servers_live)
		cl_run(&net, net.now + 30 * MX_SEC, requests_done, NULL);
	for (int i = 0; i < SERVERS; i++)
		server_down(&net, i);
	if (!cl_run(&net, net.now + 200 * MX_SEC, requests_done, NULL))
		need(false, going_on());
	for (u32 i = 0; i < VOLS; i++)
		vol_close(&vols[i]);
	need(cl_run(&net, net.now + 100 * MX_SEC, all_closed, NULL), "a volume does not close");
	for (u32 i = 0; i < VOLS; i++)
		vol_reap(&vols[i]);
	for (u32 i = 0; i < OPS; i++)
		need(!ops[i].busy, "an operation outlives its volume");
	cl_end(&net);
}

static void begin(u32 how)
{
	memset(vols, 0, sizeof vols);
	cl_init(&net, 1 + (how >> 4));
	net.way.cap = 8192;
	net.delay = MX_MS;
	net.mtu = how & 1 ? 1500 : 65535;
	net.tap = tap;
	for (int i = 0; i < SERVERS; i++)
		net.n[i].cl = &net;
	for (u32 i = 0; i <= (how >> 1 & 3); i++)
		server_up(&net, (int)i, 32);
	need(client_up(&net, CLIENT) && client_up(&net, OTHER), "no memory to begin");
	if (how & 8)
		return;
	/* As most want it: a volume, open, with something in it. */
	need(cl_create(&net, CLIENT, "a", SIZE) == MX_OK, "cannot create");
	vol_open(&vols[0], 0);
	cl_for(&net, 40 * MX_MS);
	for (u32 i = 0; i < 3; i++)
		submit(&vols[0], MX_REQ_WRITE, i * 33 | 0x800);
	cl_for(&net, 40 * MX_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u32 how;

	in = (struct bytes){ data, size };
	rules_clear();
	extra.len = 0;
	how = in8(&in);
	begin(how);
	for (u32 n = 0; n < STEPS && in.left && net.sent < SENT_MAX; n++) {
		u32 what = in8(&in);

		step(what);
		if (what / 8 % 32 > 3)		/* rules take no time */
			pass(in8(&in));
	}
	finish_all(how & 16);
	return 0;
}
