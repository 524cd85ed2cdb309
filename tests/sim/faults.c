/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Things that go wrong while the work goes on, and their healing. */
#include "life.h"

static struct life *life_of(struct world *w) { return w->user; }
static bool has(const struct life *l, enum fault f) { return l->cf.faults >> f & 1; }

/* ---- starting nodes ---- */

static void ep_conf(struct life *l, struct mx_ep_conf *c)
{
	c->key = l->cluster_key;
	c->peers_max = 64;
	c->members_max = 32;
	c->dgram_max = MX_DGRAM_MAX;
	c->rwnd = 1 << 20;
	c->announce_every = l->cf.announce_every;
	c->silent_after = l->cf.silent_after;
	c->rekey_packets = l->cf.rekey_packets;
}

/* The life in the event is the one that ended: a node started since is left alone. */
static void on_start(struct world *w, struct sim_ev *e)
{
	struct sim_node *n = &w->nodes[e->x];

	if (n->up || n->life != e->life)
		return;
	if (n->role == SIM_SERVER)
		life_start_server(life_of(w), n->idx);
	else
		life_start_client(life_of(w), n->idx - w->nservers);
}

static void start_later(struct sim_node *n, mx_ns after)
{
	world_at(n->w, n->w->now + after, on_start, n, NULL, n->idx);
}

/* How a node finds others: a broadcast address, or two seeds. */
static bool join(struct life *l, struct sim_node *n)
{
	struct mx_addr a;

	if (l->cf.broadcast) {
		node_addr(&a, SIM_BCAST);
		return mx_ep_add_announce_addr(n->ep, &a);
	}
	node_addr(&a, 0);
	if (n->idx != 0 && !mx_ep_add_seed(n->ep, &a))
		return false;
	node_addr(&a, (n->idx + 1) % l->w.nservers);
	return n->idx == (n->idx + 1) % l->w.nservers || mx_ep_add_seed(n->ep, &a);
}

static void started(struct life *l, struct sim_node *n, bool ok)
{
	if (!ok || !join(l, n)) {
		if (ok)
			node_stop(n);
		start_later(n, 200 * MX_MS);
		return;
	}
	node_pump(n);
}

void life_start_server(struct life *l, u32 i)
{
	struct mx_server_conf c = {
		.store = {
			.ceiling = l->cf.ceiling, .reserve_pages = l->cf.reserve_pages,
			.assemblies_max = l->cf.assemblies,
		},
		.volumes_max = 64,
		.caretaker_after = l->cf.caretaker_after,
		.jobs = l->cf.jobs,
	};

	ep_conf(l, &c.ep);
	started(l, &l->w.nodes[i], node_start_server(&l->w.nodes[i], &c));
}

void life_start_client(struct life *l, u32 i)
{
	struct mx_client_conf c = { .rx_bytes_max = l->cf.rx_bytes };
	struct life_client *cl = &l->cl[i];

	ep_conf(l, &c.ep);
	cl->may_create = true;
	if (l->cf.key == 2 && i > 0) {
		const char *vol = l->vols[i % l->cf.nvols].name;

		cl->may_create = false;
		c.ep.key.kind = MX_KEY_VOLUME;
		mx_volume_key(c.ep.key.key, l->cluster_key.key, vol);
		snprintf(c.ep.key.volume, sizeof c.ep.key.volume, "%s", vol);
	}
	started(l, cl->n, node_start_client(cl->n, &c));
}

/* ---- crashes ---- */

/* Is @gen the newest committed generation of this extent anywhere? Read from the
 * stores themselves, not from what a client believes. */
static bool newest_copy(struct world *w, const struct sim_node *self, const u8 *uuid, u32 extent,
			u32 gen)
{
	u32 i;

	for (i = 0; i < w->nservers; i++) {
		struct sim_node *n = &w->nodes[i];
		struct mx_svol *v;
		struct mx_extinfo e;

		if (n == self || !n->up)
			continue;
		v = mx_svol_get(mx_server_store(n->srv), uuid);
		if (v && mx_svol_next_extent(v, extent, &e) && e.extent == extent &&
		    !(e.flags & MX_EXT_INCOMING) && e.gen > gen)
			return false;
	}
	return true;
}

/* Does losing this copy lose the extent? The newest copy's does. So does that of
 * the source of a move, however far the copy has got, until the descriptor says
 * otherwise: its owner knows, or, where there is none, the next will decide. */
static bool counts(struct life *l, const struct sim_node *n, const struct life_create *cr,
		   const struct mx_extinfo *e)
{
	struct mx_list *p;
	u64 server;
	u32 i, gen;

	if (newest_copy(&l->w, n, cr->uuid, e->extent, e->gen))
		return true;
	for (i = 0; i < l->cf.nclients; i++)
		mx_list_for_each(p, &l->cl[i].sess) {
			struct life_sess *s = mx_list_entry(p, struct life_sess, node);

			if (s->cr == cr && s->ck && !ck_overtaken(s->ck) &&
			    mx_vol_extent(s->v, e->extent, &server, &gen) == MX_EXT_PLACED)
				return server == n->id;
		}
	return true;
}

static void holder_hit(struct life *l, const struct sim_node *n)
{
	u32 i;

	for (i = 0; i < l->ncreates; i++)
		l->creates[i].holders_hit |= 1u << n->idx;
}

void life_server_crash(struct world *w, struct sim_node *n)
{
	struct life *l = life_of(w);
	struct mx_store *st = mx_server_store(n->srv);
	struct mx_svol *v;
	u32 i;

	l->st.crashes_s++;
	for (v = mx_svol_next(st, NULL); v; v = mx_svol_next(st, v)) {
		struct mx_extinfo e;
		struct life_create *cr = NULL;
		u32 from = 0;

		for (i = 0; i < l->ncreates; i++)
			if (l->creates[i].have_uuid &&
			    !memcmp(l->creates[i].uuid, mx_svol_uuid(v), MX_UUID))
				cr = &l->creates[i];
		while (cr && mx_svol_next_extent(v, from, &e)) {
			TR(w, "  %s has %s extent %u gen %u, %u pages, flags %x, number %u.%llu", n->name,
			   l->vols[cr->vol].name, e.extent, e.gen, e.pages, e.flags, mx_num_epoch(e.num),
			   (unsigned long long)(e.num & MX_SEQ_MASK));
			if (!(e.flags & MX_EXT_INCOMING) && counts(l, n, cr, &e)) {
				TR(w, "  %s held %s extent %u gen %u: may be lost", n->name,
				   l->vols[cr->vol].name, e.extent, e.gen);
				ck_lost(cr->ck, e.extent);
			}
			if (e.extent == ~0u)
				break;
			from = e.extent + 1;
		}
	}
	holder_hit(l, n);
}

void life_client_crash(struct world *w, struct sim_node *n)
{
	struct life *l = life_of(w);
	struct life_client *c = &l->cl[n->idx - w->nservers];
	struct mx_list *p, *tmp;

	l->st.crashes_c++;
	mx_list_for_each_safe(p, tmp, &c->sess)
		sess_drop(mx_list_entry(p, struct life_sess, node));
	side_drop(c);
}

static void crash(struct life *l, struct sim_node *n)
{
	if (!n->up)
		return;
	node_crash(n);
	start_later(n, rng_log(&l->w.rng_fault, 1 * MX_MS, 20 * MX_SEC));
}

/* ---- the others ---- */

static void on_heal_cut(struct world *w, struct sim_ev *e)
{
	(void)e;
	TR(w, "the partition ends");
	net_heal(w);
}

static void partition(struct life *l)
{
	struct world *w = &l->w;
	bool one_way = has(l, FAULT_ONE_WAY) && (!has(l, FAULT_PARTITION) ||
						 rng_one_in(&w->rng_fault, 2));
	u32 groups = (u32)rng_below(&w->rng_fault, 1u << w->nnodes);

	l->st.partitions++;
	TR(w, "PARTITION: nodes %x against %x%s", groups, ~groups & ((1u << w->nnodes) - 1),
	   one_way ? ", one way" : "");
	net_cut(w, groups, one_way);
	world_at(w, w->now + rng_log(&w->rng_fault, 20 * MX_MS, 30 * MX_SEC), on_heal_cut, NULL,
		 NULL, 0);
}

static void new_mtu(struct life *l)
{
	static const u32 mtus[] = { 1200, 1232, 1452, 1472, 4000, 8972, 65000 };
	struct world *w = &l->w;
	u32 a = (u32)rng_below(&w->rng_fault, w->nnodes), b = (u32)rng_below(&w->rng_fault, w->nnodes);
	u32 mtu = mtus[rng_below(&w->rng_fault, MX_ARRAY_SIZE(mtus))];

	TR(w, "the path between %s and %s now carries %u bytes", w->nodes[a].name,
	   w->nodes[b].name, mtu);
	net_link(w, a, b)->mtu = net_link(w, b, a)->mtu = mtu;
}

static void on_alloc_ok(struct world *w, struct sim_ev *e)
{
	w->nodes[e->node].alloc_fail_ppm = 0;
}

static void memory_short(struct life *l, struct sim_node *n)
{
	struct rng *r = &l->w.rng_fault;

	n->alloc_fail_ppm = (u32)rng_log(r, 1000, 300000 * l->cf.severity);
	TR(&l->w, "%s: allocations fail, %u in a million", n->name, n->alloc_fail_ppm);
	world_at(&l->w, l->w.now + rng_log(r, 10 * MX_MS, 5 * MX_SEC), on_alloc_ok, n, NULL, 0);
}

static void squeeze(struct life *l, struct sim_node *n)
{
	u64 to = rng_log(&l->w.rng_fault, 64 << 10, l->cf.ceiling);

	if (!n->up || n->role != SIM_SERVER)
		return;
	TR(&l->w, "%s: ceiling %llu KiB", n->name, (unsigned long long)(to >> 10));
	mx_server_set_ceiling(n->srv, to);
	node_pump(n);
}

static struct sim_node *any_node(struct life *l, bool server)
{
	struct world *w = &l->w;
	u32 n = server ? w->nservers : w->nnodes - w->nservers;

	return &w->nodes[(server ? 0 : w->nservers) + rng_below(&w->rng_fault, n)];
}

static void one_fault(struct life *l)
{
	u32 f = (u32)rng_below(&l->w.rng_fault, FAULTS);
	struct sim_node *n;

	if (!has(l, f))
		return;
	switch (f) {
	case FAULT_SERVER_CRASH:
		crash(l, any_node(l, true));
		break;
	case FAULT_CLIENT_CRASH:
		crash(l, any_node(l, false));
		break;
	case FAULT_PARTITION:
	case FAULT_ONE_WAY:
		partition(l);
		break;
	case FAULT_MTU:
		new_mtu(l);
		break;
	case FAULT_ALLOC:
		memory_short(l, any_node(l, rng_one_in(&l->w.rng_fault, 2)));
		break;
	case FAULT_CEILING:
		squeeze(l, any_node(l, true));
		break;
	case FAULT_LEAVE:
		n = any_node(l, true);
		if (!n->up || !rng_one_in(&l->w.rng_fault, 3))
			break;
		TR(&l->w, "%s is asked to leave", n->name);
		n->leaving = true;
		mx_server_leave(n->srv, node_now(n));
		holder_hit(l, n);	/* takes no descriptor it does not have yet */
		node_pump(n);
		break;
	default:
		life_weather(l);
	}
}

static void on_fault(struct world *w, struct sim_ev *e)
{
	struct life *l = life_of(w);
	u32 tries = (u32)rng_range(&w->rng_fault, 1, 4);

	(void)e;
	if (!l->active)
		return;
	while (tries--)
		one_fault(l);
	world_at(w, w->now + rng_exp(&w->rng_fault, l->cf.fault_every), on_fault, NULL, NULL, 0);
}

void faults_start(struct life *l)
{
	l->w.hooks.server_crash = life_server_crash;
	l->w.hooks.client_crash = life_client_crash;
	l->w.hooks.buf_touch = io_touch;
	if (l->cf.fault_every != MX_NEVER)
		world_at(&l->w, rng_exp(&l->w.rng_fault, l->cf.fault_every), on_fault, NULL, NULL, 0);
}

/* From here on nothing goes wrong any more; what is down comes back. Clocks keep
 * their rates and links what they carry: that is how the machines are. */
void faults_heal(struct life *l)
{
	struct world *w = &l->w;
	u32 i;

	TR(w, "ALL FAULTS HEAL");
	l->active = false;
	w->healed = true;
	net_heal(w);
	memset(&w->net, 0, sizeof w->net);
	w->net.delay_min = 50 * MX_US;
	w->net.delay_mean = 10 * MX_US;
	for (i = 0; i < w->nnodes; i++) {
		struct sim_node *n = &w->nodes[i];

		n->alloc_fail_ppm = 0;
		if (n->up && n->role == SIM_SERVER)
			mx_server_set_ceiling(n->srv, l->cf.ceiling);
		if (!n->up && n->role == SIM_SERVER)
			life_start_server(l, i);
		else if (!n->up)
			life_start_client(l, i - w->nservers);
	}
}
