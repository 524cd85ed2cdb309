/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `volume recover`: an admin claim put together from what is left, held until its
 * holders are as many as there can be, then given back. */
#include "ops_int.h"

#define HEAL_PATIENCE	(20 * MX_SEC)
#define ALL_PATIENCE	(600 * MX_SEC)	/* all servers are asked, twice, the dead ones too */
#define POLL		(200 * MX_MS)

static void heal_poll(struct mx_opctx *x, mx_ns now)
{
	if (mx_claim_state(x->claim) != MX_CLAIM_HELD)
		return;			/* being released, or lost: that ends it */
	if (mx_claim_healthy(x->claim, now) || now >= x->until) {
		x->claimed = mx_op_end;
		mx_claim_release(x->claim, now);
		return;
	}
	mx_timer_set(x->c->ep, &x->timer, now + POLL);
}

static void recovered(struct mx_opctx *x, enum mx_status st, mx_ns now)
{
	if (st == MX_ST_INVALID) {
		mx_op_end_why(x, st, " needs no recovery: most of its holders answer", now);
	} else if (st != MX_OK) {
		mx_op_end(x, st, now);
	} else {
		x->until = now + HEAL_PATIENCE;
		x->tick = heal_poll;
		mx_timer_set(x->c->ep, &x->timer, now + POLL);
	}
}

void mx_client_recover(struct mx_client *c, const char *name, const u8 *uuid, struct mx_vol_op *o, mx_ns now)
{
	struct mx_opctx *x = mx_op_new(c, name, o, now);

	if (!x || !mx_op_claim(x, false, true, now))
		return;
	x->claimed = recovered;
	mx_timer_set(c->ep, &x->limit, now + ALL_PATIENCE);
	mx_claim_recover(x->claim, x->name, uuid, now);
}
