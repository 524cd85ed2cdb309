/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timing wheel: five levels of 64 slots, each level's slot as wide as the level
 * below. A timer goes where its distance puts it; when the wheel reaches a slot
 * of a higher level, what is in it is spread over the levels below.
 *
 * Cancelling is unlinking: it does not know the wheel. So a clear bit in busy[]
 * promises an empty slot, and a set one promises nothing.
 */
#include "ep_int.h"

#define MASK	(WHEEL_SLOTS - 1)

void mx_timer_init(struct mx_timer *t, void (*fn)(struct mx_timer *, mx_ns))
{
	mx_list_init(&t->node);
	t->at = MX_NEVER;
	t->fn = fn;
}

void mx_timer_cancel(struct mx_timer *t)
{
	if (t->node.next)
		mx_list_del(&t->node);
}

void mx_wheel_init(struct mx_wheel *w, mx_ns now)
{
	u32 l, i;

	w->tick = (now >> WHEEL_SHIFT) + 1;
	w->next = ~0ull;
	mx_list_init(&w->due);
	for (l = 0; l < WHEEL_LEVELS; l++) {
		w->busy[l] = 0;
		for (i = 0; i < WHEEL_SLOTS; i++)
			mx_list_init(&w->slot[l][i]);
	}
}

/* Rounded up, so that no timer runs early. */
static u64 tick_of(mx_ns at)
{
	return (at >> WHEEL_SHIFT) + ((at & ((1u << WHEEL_SHIFT) - 1)) != 0);
}

static void place(struct mx_wheel *w, struct mx_timer *t)
{
	u64 tick = tick_of(t->at), dist;
	u32 l, i;

	if (tick < w->tick) {
		mx_list_add_tail(&w->due, &t->node);
		return;
	}
	dist = tick - w->tick;
	for (l = 0; l < WHEEL_LEVELS - 1; l++)
		if (dist < 1ull << WHEEL_BITS * (l + 1))
			break;
	/* Farther than the wheel goes: its last slot, and from there again. */
	if (dist >= 1ull << WHEEL_BITS * WHEEL_LEVELS)
		tick = w->tick + (1ull << WHEEL_BITS * WHEEL_LEVELS) - 1;
	i = tick >> WHEEL_BITS * l & MASK;
	mx_list_add_tail(&w->slot[l][i], &t->node);
	w->busy[l] |= 1ull << i;
}

void mx_wheel_set(struct mx_wheel *w, struct mx_timer *t, mx_ns at)
{
	u64 tick;

	if (t->node.next)
		mx_list_del(&t->node);
	else
		mx_list_init(&t->node);
	t->at = at;
	if (at == MX_NEVER)
		return;
	place(w, t);
	tick = tick_of(at);
	if (tick < w->next)
		w->next = tick;
}

void mx_timer_set(struct mx_ep *ep, struct mx_timer *t, mx_ns at)
{
	mx_wheel_set(&ep->wheel, t, at);
}

static void splice(struct mx_list *from, struct mx_list *to)
{
	if (mx_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	mx_list_init(from);
}

/* At the first tick of a slot of level @l: spread it over the levels below. */
static void cascade(struct mx_wheel *w, u32 l)
{
	u32 i = w->tick >> WHEEL_BITS * l & MASK;
	struct mx_list todo;

	if (i == 0 && l + 1 < WHEEL_LEVELS)
		cascade(w, l + 1);
	if (!(w->busy[l] & 1ull << i))
		return;
	w->busy[l] &= ~(1ull << i);
	mx_list_init(&todo);
	splice(&w->slot[l][i], &todo);
	while (!mx_list_empty(&todo)) {
		struct mx_timer *t = mx_list_entry(todo.next, struct mx_timer, node);

		mx_list_del(&t->node);
		place(w, t);
	}
}

/* First tick from w->tick on at which a slot has to be looked at. */
static u64 find_next(struct mx_wheel *w)
{
	u64 best = ~0ull;
	u32 l;

	for (l = 0; l < WHEEL_LEVELS; l++) {
		u32 shift = WHEEL_BITS * l;
		u64 base = w->tick >> shift;

		/* A slot whose first tick is over has been spread already; what
		 * is in it is for the next turn of the wheel. */
		if (w->tick & ((1ull << shift) - 1))
			base++;
		while (w->busy[l]) {
			u32 r = base & MASK;
			u64 turned = w->busy[l] >> r | w->busy[l] << (-r & MASK);
			u64 k = (u64)__builtin_ctzll(turned);
			u32 i = (base + k) & MASK;

			if (!mx_list_empty(&w->slot[l][i])) {
				best = mx_min_u64(best, (base + k) << shift);
				break;
			}
			w->busy[l] &= ~(1ull << i);
		}
	}
	return best;
}

static void run_list(struct mx_list *list, mx_ns now)
{
	struct mx_list todo;

	mx_list_init(&todo);
	splice(list, &todo);
	while (!mx_list_empty(&todo)) {
		struct mx_timer *t = mx_list_entry(todo.next, struct mx_timer, node);

		mx_list_del(&t->node);
		t->fn(t, now);
	}
}

void mx_wheel_run(struct mx_wheel *w, mx_ns now)
{
	u64 last = now >> WHEEL_SHIFT;

	if (last < w->next)
		return;
	run_list(&w->due, now);
	while (w->tick <= last) {
		u64 at = find_next(w);
		u32 i;

		if (at > last) {
			w->tick = last + 1;
			break;
		}
		w->tick = at;
		if (!(at & MASK))
			cascade(w, 1);
		i = at & MASK;
		w->busy[0] &= ~(1ull << i);
		/* From here on, what is armed for this tick is due at once. */
		w->tick++;
		run_list(&w->slot[0][i], now);
	}
	w->next = mx_list_empty(&w->due) ? find_next(w) : 0;
}

mx_ns mx_wheel_deadline(const struct mx_wheel *w)
{
	if (w->next > MX_NEVER >> WHEEL_SHIFT)
		return MX_NEVER;
	return w->next << WHEEL_SHIFT;
}
