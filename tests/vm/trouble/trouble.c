// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does on purpose what the checkers of the debug kernel are there to find, so that
 * tests/vm/selftest can see that a guest fails by it. And takes all memory for a while.
 *
 *	modprobe memx-trouble what=leak|free|bounds|locks|sleep|timer
 *	modprobe memx-trouble what=hog ms=1000
 *	modprobe memx-trouble what=shatter	until it is unloaded
 */
#define pr_fmt(fmt) "memx-trouble: " fmt
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

static char *what = "";
module_param(what, charp, 0444);

static unsigned int ms = 1000;
module_param(ms, uint, 0444);

static DEFINE_SPINLOCK(lock_a);
static DEFINE_SPINLOCK(lock_b);

/* Nothing points to it any more. */
static void leak(void)
{
	void *p = kmalloc(300, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	pr_info("an object is left behind%s\n", p ? "" : ": no memory");
}

static void use_freed(void)
{
	u8 *p = kzalloc(100, GFP_KERNEL), *q = p;

	OPTIMIZER_HIDE_VAR(q);
	kfree(p);
	pr_info("read %u\n", READ_ONCE(q[10]));
}

static void out_of_bounds(void)
{
	u8 *p = kzalloc(100, GFP_KERNEL);
	unsigned int at = 100;

	OPTIMIZER_HIDE_VAR(at);
	if (p)
		WRITE_ONCE(p[at], 1);
	kfree(p);
}

/* One after the other: no deadlock, but two of them at once would. */
static void both_orders(void)
{
	spin_lock(&lock_a);
	spin_lock(&lock_b);
	spin_unlock(&lock_b);
	spin_unlock(&lock_a);
	spin_lock(&lock_b);
	spin_lock(&lock_a);
	spin_unlock(&lock_a);
	spin_unlock(&lock_b);
}

static void sleep_in_lock(void)
{
	spin_lock(&lock_a);
	might_sleep();
	spin_unlock(&lock_a);
}

struct late {
	struct timer_list timer;
};

static void late_fn(struct timer_list *t)
{
}

static void init_armed_timer(void)
{
	struct late *l = kzalloc(sizeof(*l), GFP_KERNEL);

	if (!l)
		return;
	timer_setup(&l->timer, late_fn, 0);
	mod_timer(&l->timer, jiffies + 3600 * HZ);
	timer_setup(&l->timer, late_fn, 0);	/* it is armed */
	del_timer_sync(&l->timer);
	kfree(l);
}

/*
 * For so long, every page that an interrupt may take is taken. What is still to be had
 * is had by those alone who may use the emergency reserves.
 */
static void hog(void)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms), n = 0;
	struct page *page, *next;
	LIST_HEAD(taken);

	while (time_before(jiffies, end)) {
		while ((page = alloc_page(GFP_ATOMIC | __GFP_NOWARN))) {
			list_add(&page->lru, &taken);
			n++;
		}
		usleep_range(500, 1000);
	}
	list_for_each_entry_safe(page, next, &taken, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	pr_info("had %lu pages for %u ms\n", n, ms);
}

static LIST_HEAD(kept);

static void let_go(void)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &kept, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

/* Of all memory that is free every other two pages are kept, so that no more than two are
 * to be had that lie beside each other. (With single ones a machine cannot fork.) */
static void shatter(void)
{
	struct page *page, *next;
	unsigned long had = 0, left = 0;

	while ((page = alloc_page(GFP_ATOMIC | __GFP_NOWARN))) {
		list_add(&page->lru, &kept);
		had++;
	}
	list_for_each_entry_safe(page, next, &kept, lru)
		if (page_to_pfn(page) & 2) {
			list_del(&page->lru);
			__free_page(page);
			left++;
		}
	pr_info("kept %lu of %lu pages\n", had - left, had);
}

static const struct {
	const char *name;
	void (*fn)(void);
} all[] = {
	{ "leak", leak }, { "free", use_freed }, { "bounds", out_of_bounds },
	{ "locks", both_orders }, { "sleep", sleep_in_lock }, { "timer", init_armed_timer },
	{ "hog", hog }, { "shatter", shatter },
};

static int __init trouble_init(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(what, all[i].name)) {
			all[i].fn();
			return 0;
		}
	pr_err("what=\"%s\" is not known\n", what);
	return -EINVAL;
}

static void __exit trouble_exit(void)
{
	let_go();
}

module_init(trouble_init);
module_exit(trouble_exit);
MODULE_DESCRIPTION("MemX: trouble for tests");
MODULE_LICENSE("GPL");
