/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One life, from its seed to its verdict. */
#include <stdlib.h>
#include "life.h"

static void ck_failed(void *ctx, const char *why)
{
	sim_fail(ctx, "%s", why);
}

static void check_now(struct life *l)
{
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		struct sim_node *n = &l->w.nodes[i];
		const char *why = n->up ? mx_store_check(mx_server_store(n->srv)) : NULL;

		if (why)
			sim_fail(&l->w, "store of %s is inconsistent: %s", n->name, why);
	}
}

static void count_up(struct life *l)
{
	struct life_stats *st = &l->st;

	st->lives = 1;
	st->virtual_ms = l->w.now / MX_MS;
	st->datagrams = l->w.delivered;
	st->alloc_fails = l->w.alloc_fails;
	st->page_fails = l->w.page_fails;
}

void life_run(u64 seed, FILE *trace, struct life_stats *out, u64 *hash)
{
	struct life *l = calloc(1, sizeof *l);
	mx_ns next_check;
	u32 i;

	if (!l)
		abort();
	l->w.trace = trace;
	life_draw(l, seed);
	life_print(l);
	l->ck = ck_new(ck_failed, &l->w);
	l->active = true;
	for (i = 0; i < l->cf.nclients; i++) {
		struct life_client *c = &l->cl[i];

		c->l = l;
		c->idx = i;
		c->n = &l->w.nodes[l->w.nservers + i];
		mx_list_init(&c->sess);
		mx_list_init(&c->side);
	}
	faults_start(l);
	for (i = 0; i < l->cf.nservers; i++)
		life_start_server(l, i);
	for (i = 0; i < l->cf.nclients; i++)
		life_start_client(l, i);
	work_start(l);
	for (next_check = l->cf.active / 4; l->w.now < l->cf.active;
	     next_check += l->cf.active / 4) {
		while (world_step(&l->w, mx_min_u64(next_check, l->cf.active)))
			;
		check_now(l);
	}
	life_end(l);
	count_up(l);
	if (out)
		*out = l->st;
	if (hash)
		*hash = l->w.hash;
	ck_free(l->ck);
	world_free(&l->w);
	free(l);
}
