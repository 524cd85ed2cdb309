/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scale: a large cluster of the same core in the same world, with faults off.
 *
 * Link model: every node has one full-duplex 1 Gbit/s link to one switch, 50 us
 * from node to node, 1 MiB of buffer at each output; frames carry 66 bytes of
 * Ethernet, IP and UDP around a datagram (preamble and gap included).
 *
 * What is not materialised: page data. All pages of all servers are one page of
 * memory, every write has the same content, and an extent counts as full
 * with its first page: servers' ceilings are scaled down by what that page costs,
 * so that "64 GiB" means room for 65,536 extents, and what they announce is scaled
 * up again on its way. Everything else (sessions, placement, enrolment, bitmaps,
 * page maps, extent lists) is the real thing.
 *
 * Two clusters: one of 1,000 servers alike, and a smaller one, filled to a half,
 * whose servers differ in size and load; or both at a tenth of that (--scale-small).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sim.h"
#include "scale.h"

#define FRAME		66u
#define SERVER_GIB	64u
#define COST_OF_EXTENT	(4096u + 1152u)	/* a store's memory for an extent with one page */
#define FILL_EXTENTS	512u	/* each client writes this many: 0.5 GiB of its volume */
#define MIX_EXTENTS	1200u
#define CREATE_EVERY	(45 * MX_MS)	/* servers remember 128 names being made, for 5 s each */
#define TIB_EXTENTS	(1u << 20)
#define ANNOUNCE_FOR	(10 * MX_SEC)

/* mix: servers of 1, 2 and 4 GiB, each at a load of 0, 300 and 700 */
struct sc_size { u32 servers, clients, mix_servers, mix_clients, big_gib; };
static const struct sc_size full = { 1000, 1000, 252, 250, 1024 };
static const struct sc_size small = { 100, 100, 63, 62, 64 };

struct sc_op {
	struct mx_req req;
	struct sim_buf buf;
	struct sc_client *c;
};

struct sc_client {
	struct scale *s;
	struct sim_node *n;
	char name[32];
	struct mx_vol *v;
	struct mx_vol_op create;
	u32 next, end, depth, inflight;
	bool done, closed, fills;
	struct sc_op ops[64];
};

struct scale {
	struct world w;
	struct sc_client *cl;
	u32 nclients, running, fill, big;
	bool mixed;
	FILE *json;
	bool first;
	u8 page[MX_PAGE];	/* all pages there are */
	struct timespec began;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "sim --scale: %s: %s\n", what, why);
	exit(1);
}

static void progress(struct scale *s, const char *what)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	fprintf(stderr, "[%4ld s] %s\n", (long)(t.tv_sec - s->began.tv_sec), what);
}

#define LINK	"every node: one full-duplex link of 1 Gbit/s to one switch, 50 us from node to " \
		"node, 1 MiB of buffer at each output, 66 bytes around a datagram; no faults"

/* One row, as tests/bench/run writes them. */
static void figure(struct scale *s, const char *name, const char *unit, double value,
		   const char *what)
{
	printf("  %-26s %12.*f %-10s %s\n", name, value < 100 ? 3 : 0, value, unit, what);
	if (!s->json)
		return;
	fprintf(s->json, "%s  {\"case\": \"scale-%s\", \"subject\": \"memx\", \"peer\": \"link-1g\", "
		"\"metric\": \"%s\", \"value\": %.6g, \"peer_value\": null, \"ratio\": null, "
		"\"what\": \"%s\", \"link\": \"" LINK "\"}", s->first ? "" : ",\n", name, unit, value,
		what);
	s->first = false;
}

/* "1,000" */
static const char *grouped(u32 n)
{
	static char b[16];

	snprintf(b, sizeof b, n < 1000 ? "%u" : "%u,%03u", n < 1000 ? n : n / 1000, n % 1000);
	return b;
}

/* A row whose @what has one number, as "%s". */
static void figure_of(struct scale *s, const char *name, const char *unit, double value,
		      const char *what, u32 n)
{
	char text[128], *at = strstr(what, "%s");

	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - what), what, grouped(n), at + 2);
	figure(s, name, unit, value, text);
}

/* ---- memory ---- */

static void *one_page(void *ctx)
{
	struct sim_node *n = ctx;

	return ((struct scale *)n->w->user)->page;
}

static void no_put(void *ctx, void *page) { (void)ctx; (void)page; }

/* What a server says it has is what its ceiling stands for. */
static void scale_announced(struct world *w, u8 *dgram, u32 len)
{
	u8 *head = dgram + MX_OUTER, *member;
	struct mx_announce a;
	struct mx_outer o;
	struct mx_walk walk;
	struct mx_head h;
	const u8 *p;
	u32 off;

	(void)w;
	if (mx_outer_decode(dgram, len, &o) || o.kind != MX_KIND_ANNOUNCE ||
	    mx_walk_init(&walk, head, o.heads_len, 0) || !mx_walk_next(&walk, &h, &p, &off) ||
	    !mx_announce_decode(p, &h, &a))
		return;
	member = head + (a.member - head);
	for (u32 at = 104; at <= 112; at += 8)		/* capacity, free */
		mx_st64(member + at, mx_ld64(member + at) / COST_OF_EXTENT * MX_EXTENT);
	mx_outer_seal_crc(dgram, o.heads_len);
}

/* ---- running ---- */

static void run_for(struct scale *s, mx_ns t)
{
	mx_ns until = s->w.now + t;

	while (world_step(&s->w, until))
		;
}

static void run_until_idle(struct scale *s, const char *what, mx_ns limit)
{
	mx_ns until = s->w.now + limit;

	while (s->running)
		if (!world_step(&s->w, until))
			die(what, "did not end in the time allowed");
}

static void join(struct sim_node *n)
{
	struct mx_addr a;

	node_addr(&a, SIM_BCAST);
	if (!mx_ep_add_announce_addr(n->ep, &a))
		die("announce address", "refused");
	node_pump(n);
}

static void ep_conf(struct mx_ep_conf *c)
{
	c->peers_max = 4096;
	c->members_max = 4096;
	c->dgram_max = 1472;
	c->rwnd = 1 << 20;
}

static u32 server_gib(const struct scale *s, u32 i)
{
	return s->mixed ? 1u << i % 3 : SERVER_GIB;
}

static u32 server_load(const struct scale *s, u32 i)
{
	static const u32 loads[] = { 0, 300, 700 };

	return s->mixed ? loads[i / 3 % 3] : 0;
}

static void start_server(struct scale *s, u32 i)
{
	struct mx_server_conf c = {
		.store = {
			.ceiling = (u64)server_gib(s, i) * 1024 * COST_OF_EXTENT, .reserve_pages = 64,
			.assemblies_max = 256,
		},
		.volumes_max = 4096, .jobs = 1024,
	};
	struct sim_node *n = &s->w.nodes[i];

	n->port.page_get = one_page;
	n->port.page_put = no_put;
	ep_conf(&c.ep);
	if (!node_start_server(n, &c))
		die("server", "cannot start");
	mx_server_set_load(n->srv, server_load(s, i));
	join(n);
}

static void start_client(struct scale *s, u32 i)
{
	struct mx_client_conf c = { .rx_bytes_max = 1 << 20 };
	struct sc_client *cl = &s->cl[i];

	cl->s = s;
	cl->n = &s->w.nodes[s->w.nservers + i];
	snprintf(cl->name, sizeof cl->name, "vm%u", i);
	ep_conf(&c.ep);
	if (!node_start_client(cl->n, &c))
		die("client", "cannot start");
	join(cl->n);
}

static void finished(struct sc_client *c)
{
	if (!c->done)
		c->s->running--;
	c->done = true;
}

/* ---- a client's way: create, open, write into extent after extent ---- */

static void submit(struct sc_client *c);

static void written(struct mx_req *r, enum mx_status st)
{
	struct sc_op *o = mx_container_of(r, struct sc_op, req);
	struct sc_client *c = o->c;

	if (st != MX_OK)
		die(c->name, mx_status_str(st));
	o->buf.magic = 0;
	c->inflight--;
	if (c->next < c->end)
		submit(c);
	else if (!c->inflight)
		finished(c);
}

static void submit(struct sc_client *c)
{
	struct sc_op *o = c->ops;

	while (o->buf.magic)
		o++;
	o->c = c;
	o->buf = (struct sim_buf){ .magic = SIM_BUF_LIVE, .len = MX_PAGE, .data = c->s->page };
	o->req = (struct mx_req){
		.op = MX_REQ_WRITE, .flags = MX_REQ_STABLE, .off = (u64)c->next++ * MX_EXTENT,
		.len = MX_PAGE, .buf = &o->buf, .done = written,
	};
	c->inflight++;
	mx_vol_submit(c->v, &o->req, node_now(c->n));
}

static void opened(void *user, enum mx_status st, mx_ns now)
{
	struct sc_client *c = user;

	(void)now;
	if (st != MX_OK)
		die(c->name, mx_vol_error(c->v));
	if (c->next == c->end)
		finished(c);
	while (c->next < c->end && c->inflight < c->depth)
		submit(c);
}

static void closed(void *user, mx_ns now)
{
	struct sc_client *c = user;

	(void)now;
	c->closed = true;
	finished(c);
}

static const struct mx_vol_ops vol_ops = { .opened = opened, .closed = closed };

static void open_vol(struct sc_client *c, const char *name)
{
	struct mx_vol_conf conf = { .lease = 10 * MX_SEC, .open_timeout = 120 * MX_SEC };

	c->done = false;
	c->s->running++;
	c->v = mx_vol_open(c->n->cli, name, &conf, &vol_ops, c, node_now(c->n));
	if (!c->v)
		die(name, "no memory");
	node_pump(c->n);
}

static void created(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct sc_client *c = o->user;

	(void)now;
	if (st != MX_OK)
		die(c->name, err ? err : mx_status_str(st));
	finished(c);
	if (c->fills) {
		c->end = c->s->fill;
		c->depth = 4;
		open_vol(c, c->name);
	}
}

static void create_vol(struct sc_client *c, u64 size)
{
	c->done = false;
	c->s->running++;
	c->create.done = created;
	c->create.user = c;
	mx_client_create(c->n->cli, c->name, size, mix64(c->n->idx), &c->create, node_now(c->n));
	node_pump(c->n);
}

static void close_vol(struct sc_client *c)
{
	c->done = c->closed = false;
	c->s->running++;
	mx_vol_close(c->v, node_now(c->n));
	node_pump(c->n);
	run_until_idle(c->s, "close", 60 * MX_SEC);
	mx_vol_free(c->v);
	c->v = NULL;
}

/* ---- what is measured ---- */

static u64 rx_bytes(const struct sim_node *n, u64 *dgrams)
{
	const struct mx_ep_stats *st = mx_ep_stats(n->ep);

	*dgrams = st->rx_dgrams;
	return st->rx_bytes;
}

static void measure_announcements(struct scale *s)
{
	struct sim_node *n = s->cl[0].n;
	u64 d0, d1, b0 = rx_bytes(n, &d0), b1;
	double bits;

	run_for(s, ANNOUNCE_FOR);
	b1 = rx_bytes(n, &d1);
	bits = (double)(b1 - b0 + (d1 - d0) * FRAME) * 8 * MX_SEC / ANNOUNCE_FOR;
	figure_of(s, "announce-share", "percent", bits / 1e9 * 100,
		  "of a 1 Gbit/s link taken by announcements of %s servers", s->w.nservers);
	figure(s, "announce-rate", "per second", (double)(d1 - d0) * MX_SEC / ANNOUNCE_FOR,
	       "announcements that reach a node");
}

static u64 extents_of(const struct scale *s, u32 i)
{
	return mx_store_stats(mx_server_store(s->w.nodes[i].srv))->extents;
}

static void measure_evenness(struct scale *s)
{
	u64 sum = 0, max = 0, min = ~0ull;
	u32 i;

	for (i = 0; i < s->w.nservers; i++) {
		u64 n = extents_of(s, i);

		sum += n;
		max = mx_max_u64(max, n);
		min = mx_min_u64(min, n);
	}
	figure_of(s, "placed", "extents", (double)sum, "of 1 MiB, written by %s clients",
		  s->nclients - 2);
	figure_of(s, "placement-fullest", "of mean", (double)max * s->w.nservers / (double)sum,
		  "the fullest of %s servers of 64 GiB", s->w.nservers);
	figure(s, "placement-emptiest", "of mean", (double)min * s->w.nservers / (double)sum,
	       "the emptiest of them");
}

/* Of servers of @gib (0: any) at @load (~0: any): how full they are. */
static double share_used(const struct scale *s, u32 gib, u32 load)
{
	u64 used = 0, room = 0;

	for (u32 i = 0; i < s->w.nservers; i++) {
		if ((gib && server_gib(s, i) != gib) || (load != ~0u && server_load(s, i) != load))
			continue;
		used += extents_of(s, i);
		room += (u64)server_gib(s, i) * 1024;
	}
	return (double)used / (double)room;
}

static void measure_mixed(struct scale *s)
{
	double max = 0, min = 1;
	char label[96];

	for (u32 i = 0; i < s->w.nservers; i++) {
		double u = (double)extents_of(s, i) / (server_gib(s, i) * 1024.0);

		max = u > max ? u : max;
		min = u < min ? u : min;
	}
	figure_of(s, "mixed-used", "percent", 100 * share_used(s, 0, ~0u),
		  "of a pool of %s servers of 1, 2 and 4 GiB at loads of 0, 300 and 700",
		  s->w.nservers);
	figure(s, "mixed-fullest", "percent", 100 * max, "of the fullest server there");
	figure(s, "mixed-emptiest", "percent", 100 * min, "of the emptiest");
	for (u32 gib = 1; gib <= 4; gib *= 2) {
		snprintf(label, sizeof label, "mixed-%ugib", gib);
		figure(s, label, "percent", 100 * share_used(s, gib, ~0u), "of those of that size");
	}
	for (u32 i = 0; i < 9; i += 3) {
		snprintf(label, sizeof label, "mixed-load-%u", server_load(s, i));
		figure(s, label, "percent", 100 * share_used(s, 0, server_load(s, i)),
		       "of those at that load");
	}
}

/* Opens @name at @c, which has it not open, and says what that took. */
static void measure_open(struct scale *s, struct sc_client *c, const char *name, const char *as,
			 const char *what)
{
	const struct mx_ep_stats *st = mx_ep_stats(c->n->ep);
	u64 rx = st->rx_dgrams, tx = st->tx_dgrams, bytes = st->rx_bytes + st->tx_bytes;
	u64 ann = (u64)s->w.nservers;	/* what is heard meanwhile is not the open's */
	mx_ns began = s->w.now, took;
	char label[64];
	u64 heard;

	c->next = c->end = 0;
	open_vol(c, name);
	run_until_idle(s, "open", 300 * MX_SEC);
	took = s->w.now - began;
	heard = ann * took / (2 * MX_SEC);
	snprintf(label, sizeof label, "%s-time", as);
	figure(s, label, "ms", (double)took / MX_MS, what);
	snprintf(label, sizeof label, "%s-packets", as);
	figure(s, label, "packets", (double)(st->rx_dgrams - rx + st->tx_dgrams - tx - heard),
	       "sent and received meanwhile, without announcements");
	snprintf(label, sizeof label, "%s-bytes", as);
	figure(s, label, "bytes", (double)(st->rx_bytes + st->tx_bytes - bytes) -
	       (double)heard * 216, "in them");
}

static void measure_map(struct scale *s, struct sc_client *c)
{
	struct mx_vol_stats st;

	mx_vol_stats(c->v, &st, node_now(c->n));
	figure(s, "map-memory", "bytes",
	       (double)st.map_bytes * TIB_EXTENTS / (double)st.extents[MX_EXT_PLACED],
	       "of a client's page map, for a mapped TiB");
	if (st.extents[MX_EXT_PLACED] != s->big)
		die("rebuilt map", "lacks extents");
}

/* ---- all of it ---- */

static void start_all(struct scale *s, u32 nservers, u32 nclients)
{
	u32 i;

	world_init(&s->w, 1, nservers, nclients);
	s->w.user = s;
	s->w.broadcast = true;
	s->w.hooks.broadcast = scale_announced;
	s->w.healed = true;
	s->w.net = (struct sim_net){
		.delay_min = 50 * MX_US, .rate = 125000000, .queue = 1 << 20,
	};
	for (i = 0; i < nservers; i++)
		start_server(s, i);
	for (i = 0; i < nclients; i++)
		start_client(s, i);
}

static void on_create(struct world *w, struct sim_ev *e)
{
	struct sc_client *c = e->p;

	(void)w;
	c->s->running--;	/* create_vol counts it anew */
	create_vol(c, (u64)SERVER_GIB << 30);
}

static void fill(struct scale *s)
{
	u32 i;

	for (i = 1; i + 1 < s->nclients; i++) {
		s->cl[i].fills = true;
		s->running++;
		world_at(&s->w, s->w.now + i * CREATE_EVERY, on_create, NULL, &s->cl[i], 0);
	}
	run_until_idle(s, "creating and filling volumes", 900 * MX_SEC);
	progress(s, "volumes created and filled");
}

static void big_volume(struct scale *s)
{
	struct sc_client *big = &s->cl[s->nclients - 1], *other = &s->cl[0];

	create_vol(big, (u64)s->big * MX_EXTENT);
	run_until_idle(s, "create", 60 * MX_SEC);
	big->next = 0;
	big->end = s->big;
	big->depth = 64;
	open_vol(big, big->name);
	run_until_idle(s, "placing all of a large volume", 3600 * MX_SEC);
	progress(s, "large volume placed");
	close_vol(big);
	measure_open(s, other, big->name, "rebuild", s->big == TIB_EXTENTS ?
		     "to open a volume of 1 TiB, all of it placed" :
		     "to open a volume of 64 GiB, all of it placed");
	measure_map(s, other);
	close_vol(other);
}

static struct scale *begin(const char *what, bool mixed, u32 nservers, u32 nclients, FILE *json)
{
	struct scale *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	clock_gettime(CLOCK_MONOTONIC, &s->began);
	memset(s->page, 0x6d, sizeof s->page);
	s->mixed = mixed;
	s->fill = mixed ? MIX_EXTENTS : FILL_EXTENTS;
	s->nclients = nclients + 2;	/* one that looks on, one with a large volume */
	s->cl = calloc(s->nclients, sizeof *s->cl);
	if (!s->cl)
		abort();
	s->json = json;
	s->first = mixed;	/* it comes first */
	printf("%u servers of %s, %u clients; " LINK "\n", nservers, what, nclients);
	start_all(s, nservers, s->nclients);
	run_for(s, 5 * MX_SEC);
	progress(s, "cluster started");
	return s;
}

static void end(struct scale *s)
{
	world_free(&s->w);
	free(s->cl);
	free(s);
}

int scale_run(const char *out, bool reduced)
{
	const struct sc_size *z = reduced ? &small : &full;
	FILE *json = NULL;
	struct scale *s;

	if (out) {
		json = fopen(out, "w");
		if (!json)
			die(out, "cannot be written");
		fprintf(json, "[\n");
	}
	s = begin("1, 2 and 4 GiB at loads of 0, 300 and 700", true, z->mix_servers, z->mix_clients,
		  json);
	fill(s);
	measure_mixed(s);
	end(s);
	s = begin("64 GiB", false, z->servers, z->clients, json);
	s->big = z->big_gib << 10;
	measure_announcements(s);
	fill(s);
	measure_evenness(s);
	close_vol(&s->cl[1]);
	measure_open(s, &s->cl[0], s->cl[1].name, "open", "to open a volume of 64 GiB, 0.5 GiB written");
	close_vol(&s->cl[0]);
	big_volume(s);
	end(s);
	if (json) {
		fprintf(json, "\n]\n");
		fclose(json);
	}
	return 0;
}
