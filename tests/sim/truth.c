/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the servers themselves have of a volume, read from their memory: whether a
 * client's "no quorum" or "no such volume" can be right.
 */
#include <stdlib.h>
#include <string.h>
#include "life.h"
#include "../../core/server_int.h"

/* Is the descriptor held by that very incarnation? */
static bool held_by(const struct life *l, const struct mx_srvref *r, const u8 *uuid)
{
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		const struct sim_node *n = &l->w.nodes[i];

		if (n->up && n->id == r->id && mx_ep_node(n->ep)->incarnation == r->incarnation)
			return mx_held_find(n->srv, uuid) != NULL;
	}
	return false;
}

static bool majority_holds(const struct life *l, const struct mx_srvref *set, u32 n, const u8 *uuid)
{
	u32 i, yes = 0;

	for (i = 0; i < n; i++)
		yes += held_by(l, &set[i], uuid);
	return yes >= mx_majority(n);
}

static bool has(const struct mx_srvref *set, u32 n, const struct sim_node *s)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (set[i].id == s->id && set[i].incarnation == mx_ep_node(s->ep)->incarnation)
			return true;
	return false;
}

/* The newest descriptor of a volume that counts: of one that changes the holders,
 * a holder from before must know. False: none counts. */
static bool newest(const struct life *l, const u8 *uuid, struct mx_desc *best, struct mx_desc *tmp)
{
	bool any = false;
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		const struct sim_node *n = &l->w.nodes[i];
		struct mx_held *h = n->up ? mx_held_find(n->srv, uuid) : NULL;

		if (!h || !mx_desc_decode(h->desc, h->desc_len, tmp, NULL))
			continue;
		if (tmp->nprev && !has(tmp->prev, tmp->nprev, n))
			continue;
		if (!any || mx_desc_cmp(tmp, best) > 0)
			memcpy(best, tmp, sizeof *best);
		any = true;
	}
	return any;
}

/* Is a live volume of that name at a majority of its holders? */
bool truth_quorum(const struct life *l, u32 vol)
{
	struct mx_desc *best = malloc(sizeof *best), *tmp = malloc(sizeof *tmp);
	bool yes = false;
	u32 i, k;

	if (!best || !tmp)
		abort();
	for (i = 0; i < l->w.nservers && !yes; i++) {
		const struct sim_node *n = &l->w.nodes[i];

		for (k = 0; n->up && k < n->srv->nheld && !yes; k++) {
			const struct mx_held *h = n->srv->held[k];

			if (strcmp((const char *)h->desc + MX_DESC_NAME, l->vols[vol].name) ||
			    !newest(l, h->uuid, best, tmp) || best->state != MX_VOL_LIVE)
				continue;
			yes = majority_holds(l, best->holders, best->nholders, h->uuid) &&
			      (!best->nprev || majority_holds(l, best->prev, best->nprev, h->uuid));
		}
	}
	free(best);
	free(tmp);
	return yes;
}

/* Has some server seen the end of its deletion, or a majority a tombstone? */
static bool is_over(const struct life *l, const u8 *uuid, struct mx_desc *best, struct mx_desc *tmp)
{
	u32 i;

	for (i = 0; i < l->w.nservers; i++) {
		const struct sim_node *n = &l->w.nodes[i];

		if (n->up && !mx_held_find(n->srv, uuid) && mx_dropped_epoch(n->srv, uuid))
			return true;
	}
	return newest(l, uuid, best, tmp) && best->state == MX_VOL_DELETED &&
	       majority_holds(l, best->holders, best->nholders, uuid);
}

/* Do two volumes have that name of which no deletion is known? */
bool truth_clash(const struct life *l, u32 vol)
{
	struct mx_desc *best = malloc(sizeof *best), *tmp = malloc(sizeof *tmp);
	u8 first[MX_UUID];
	u32 i, k, n = 0;

	if (!best || !tmp)
		abort();
	for (i = 0; i < l->w.nservers; i++) {
		const struct sim_node *s = &l->w.nodes[i];

		for (k = 0; s->up && k < s->srv->nheld && n < 2; k++) {
			const struct mx_held *h = s->srv->held[k];

			if (strcmp((const char *)h->desc + MX_DESC_NAME, l->vols[vol].name) ||
			    mx_ld32(h->desc + MX_DESC_STATE) != MX_VOL_LIVE ||
			    (n && !memcmp(first, h->uuid, MX_UUID)) || is_over(l, h->uuid, best, tmp))
				continue;
			memcpy(first, h->uuid, MX_UUID);
			n++;
		}
	}
	free(best);
	free(tmp);
	return n == 2;
}
