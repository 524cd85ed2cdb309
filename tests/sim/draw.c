/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a seed draws: the cluster, its load, and what goes wrong. */
#include <stdio.h>
#include "life.h"

static const char *const fault_names[FAULTS] = {
	"loss", "bursts", "duplicates", "reorder", "corruption", "delay", "mtu", "partition",
	"one-way-cuts", "slow-links", "server-crash", "client-crash", "leave", "ceiling",
	"page-pool", "alloc-fail", "clock-skew",
};

static bool has(const struct life *l, enum fault f) { return l->cf.faults >> f & 1; }

/* Each life has a random subset of all faults, of random size: some none. */
static u32 draw_faults(struct rng *r)
{
	u32 chance = (u32)rng_below(r, 5) * 200000, set = 0, f;

	for (f = 0; f < FAULTS; f++)
		if (rng_ppm(r, chance))
			set |= 1u << f;
	return set;
}

void life_weather(struct life *l)
{
	struct rng *r = &l->w.rng_fault;
	struct sim_net *n = &l->w.net;
	u32 sev = l->cf.severity;

	memset(n, 0, sizeof *n);
	n->delay_min = rng_log(r, 5 * MX_US, 200 * MX_US);
	n->delay_mean = rng_log(r, 1 * MX_US, 100 * MX_US);
	if (has(l, FAULT_DELAY)) {
		n->delay_min = rng_log(r, 50 * MX_US, sev * 10 * MX_MS);
		n->delay_mean = rng_log(r, 50 * MX_US, sev * 30 * MX_MS);
	}
	if (has(l, FAULT_LOSS))
		n->loss_ppm = (u32)rng_log(r, 100, sev * 60000);
	if (has(l, FAULT_BURST)) {
		n->burst_ppm = (u32)rng_log(r, 100, sev * 5000);
		n->burst_len = (u32)rng_log(r, 4, 64);
	}
	if (has(l, FAULT_DUP))
		n->dup_ppm = (u32)rng_log(r, 1000, sev * 100000);
	if (has(l, FAULT_REORDER)) {
		n->reorder_ppm = (u32)rng_log(r, 1000, sev * 100000);
		/* Now and then so late that its session, or its owner, is history. */
		n->reorder_mean = rng_log(r, 50 * MX_US, rng_one_in(r, 4) ? 20 * MX_SEC : 20 * MX_MS);
	}
	if (has(l, FAULT_CORRUPT))
		n->corrupt_ppm = (u32)rng_log(r, 100, sev * 10000);
	if (has(l, FAULT_SLOW_LINK)) {
		n->rate = rng_log(r, 2 << 20, 128 << 20);
		n->queue = (u32)rng_log(r, 64 << 10, 1 << 20);
	}
}

static u32 draw_mtu(struct rng *r)
{
	static const u32 mtus[] = { 1232, 1452, 1472, 4000, 8952, 8972, 65000, 65000 };

	return mtus[rng_below(r, MX_ARRAY_SIZE(mtus))];
}

static void draw_cluster(struct life_conf *c, struct rng *r)
{
	static const u32 servers[] = { 1, 2, 3, 3, 3, 4, 5, 5 };
	static const u32 clients[] = { 1, 1, 2, 2, 3 };

	c->nservers = servers[rng_below(r, MX_ARRAY_SIZE(servers))];
	c->nclients = clients[rng_below(r, MX_ARRAY_SIZE(clients))];
	c->nvols = 1 + (u32)rng_one_in(r, 4);
	c->mtu = draw_mtu(r);
	c->broadcast = rng_one_in(r, 2);
	c->key = rng_one_in(r, 2) ? 0 : rng_one_in(r, 4) ? 2 : 1;
	c->rekey_packets = rng_one_in(r, 8) ? rng_log(r, 300, 3000) : 0;
	c->announce_every = rng_log(r, 500 * MX_MS, 2 * MX_SEC);
	c->silent_after = rng_log(r, 1 * MX_SEC, 5 * MX_SEC);
	c->caretaker_after = rng_log(r, 3 * MX_SEC, 60 * MX_SEC);
	c->lease = rng_log(r, 1 * MX_SEC, 10 * MX_SEC);
	c->ceiling = 64 << 20;
	if (c->faults >> FAULT_CEILING & 1)
		c->ceiling = rng_log(r, 1536 << 10, 6 << 20);
	c->reserve_pages = (u32)rng_log(r, 4, 64);
	c->assemblies = (u32)rng_log(r, rng_one_in(r, 4) ? 2 : 64, 256);
	c->jobs = (u32)rng_log(r, rng_one_in(r, 4) ? 4 : 64, 256);
	c->enroll_max = rng_one_in(r, 3) ? (u32)rng_range(r, 1, 3) : 16;
	c->pump_delay = rng_one_in(r, 3) ? rng_log(r, 1 * MX_US, 200 * MX_US) : 0;
}

static void draw_work(struct life_conf *c, struct rng *r)
{
	c->active = rng_log(r, 2 * MX_SEC, 120 * MX_SEC);
	c->ops_max = (u32)rng_log(r, 100, 8000);
	c->think = mx_max_u64(c->active / rng_range(r, 10, 200), 5 * MX_MS);
	c->depth_max = (u32)rng_log(r, 1, 32);
	c->io_max = (u32)rng_log(r, 1, 512);
	c->ios = (u32)rng_log(r, rng_one_in(r, 4) ? 1 : 8, 64);
	c->rx_bytes = (u32)rng_log(r, 64 << 10, 1 << 20);
	c->submit_in_done = rng_one_in(r, 3);
	c->force = rng_one_in(r, 3);
	c->fickle = rng_one_in(r, 2);
	c->moves = rng_one_in(r, 2);
	c->resizes = rng_one_in(r, 3);
	c->deletes = rng_one_in(r, 3);
	c->fault_every = rng_one_in(r, 8) ? MX_NEVER :
			 c->active / (mx_ns)rng_range(r, 2, 60);
}

/* Where a volume's requests go: a few windows, so that they meet. The last may
 * be far out, where the allocation bitmap is in another chunk. */
static void draw_volume(struct life_vol *v, u32 i, struct rng *r)
{
	u64 blocks = rng_log(r, 16, 16384);
	u32 k;

	snprintf(v->name, sizeof v->name, "vol%u", i);
	if (rng_one_in(r, 4))
		blocks = rng_log(r, 1 << 20, 1ull << 28);	/* up to 128 GiB */
	v->size = blocks * MX_BLOCK;
	v->nwin = 1 + (u32)rng_below(r, LIFE_WINDOWS_MAX);
	for (k = 0; k < v->nwin; k++) {
		u32 n = (u32)mx_min_u64(blocks, rng_log(r, 16, 8192));
		u64 at = k == 0 ? 0 : k == 1 ? blocks - n : rng_below(r, blocks - n + 1);

		v->win[k].blk = at;
		v->win[k].n = n;
	}
}

static void draw_nodes(struct life *l)
{
	struct rng *r = &l->w.rng_fault;
	u32 i;

	for (i = 0; i < l->w.nnodes; i++) {
		struct sim_node *n = &l->w.nodes[i];

		if (has(l, FAULT_CLOCK))
			n->ppm = (s32)rng_range(r, 0, 20000) - 10000;
		if (n->role == SIM_SERVER && has(l, FAULT_PAGES)) {
			n->pool_max = (u32)rng_log(r, 2, 256);
			n->page_fail_ppm = (u32)rng_log(r, 1000, 100000);
		}
	}
}

void life_draw(struct life *l, u64 seed)
{
	struct life_conf *c = &l->cf;
	struct rng r;
	u32 i;

	rng_seed(&r, seed, 0);
	c->faults = draw_faults(&r);
	c->severity = (u32)rng_range(&r, 1, 3);
	draw_cluster(c, &r);
	draw_work(c, &r);
	l->ops_left = c->ops_max;
	l->space_short = has(l, FAULT_CEILING) || has(l, FAULT_LEAVE);
	for (i = 0; i < c->nvols; i++)
		draw_volume(&l->vols[i], i, &r);
	world_init(&l->w, seed, c->nservers, c->nclients);
	net_links(&l->w, c->mtu);
	l->w.broadcast = c->broadcast;
	l->w.pump_delay = c->pump_delay;
	l->w.user = l;
	draw_nodes(l);
	life_weather(l);
	for (i = 0; i < 32; i++)
		l->cluster_key.key[i] = (u8)rng_u64(&r);
	l->cluster_key.kind = c->key ? MX_KEY_CLUSTER : MX_KEY_NONE;
}

void life_print(const struct life *l)
{
	const struct life_conf *c = &l->cf;
	FILE *f = l->w.trace;
	u32 i;

	if (!f)
		return;
	fprintf(f, "seed %llu: %u servers, %u clients, %u volumes; mtu %u, %s, %s\n",
		(unsigned long long)l->w.seed, c->nservers, c->nclients, c->nvols, c->mtu,
		c->broadcast ? "broadcast" : "seeds",
		c->key == 2 ? "cluster and volume keys" : c->key ? "cluster key" : "no key");
	fprintf(f, "  lease %llu ms, silent after %llu ms, caretaker after %llu ms, ceiling %llu KiB, "
		"reserve %u, assemblies %u, jobs %u\n", (unsigned long long)(c->lease / MX_MS),
		(unsigned long long)(c->silent_after / MX_MS),
		(unsigned long long)(c->caretaker_after / MX_MS),
		(unsigned long long)(c->ceiling >> 10), c->reserve_pages, c->assemblies, c->jobs);
	fprintf(f, "  work for %llu ms: up to %u requests of up to %u blocks, depth up to %u, ios %u"
		"%s%s%s%s%s%s\n", (unsigned long long)(c->active / MX_MS), c->ops_max, c->io_max,
		c->depth_max, c->ios, c->submit_in_done ? ", submits in done()" : "",
		c->force ? ", force" : "", c->fickle ? ", fickle buffers" : "",
		c->moves ? ", moves" : "", c->resizes ? ", resizes" : "",
		c->deletes ? ", deletes" : "");
	fprintf(f, "  faults (severity %u):", c->severity);
	for (i = 0; i < FAULTS; i++)
		if (c->faults >> i & 1)
			fprintf(f, " %s", fault_names[i]);
	fprintf(f, "%s\n", c->faults ? "" : " none");
	for (i = 0; i < c->nvols; i++)
		fprintf(f, "  %s: %llu bytes, %u windows\n", l->vols[i].name,
			(unsigned long long)l->vols[i].size, l->vols[i].nwin);
}
