// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A thread that has the FPU two thirds of the time, as disk encryption or RAID would, with
 * interrupts and softirqs on: those find it taken.
 */
#include <asm/fpu/api.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>

#define TAKEN_US	1000u
#define LEFT_US		500u

static struct task_struct *thread;

static int take_and_leave(void *unused)
{
	while (!kthread_should_stop()) {
		u64 end = ktime_get_ns() + TAKEN_US * NSEC_PER_USEC;

		kernel_fpu_begin();
		while (ktime_get_ns() < end)
			cpu_relax();
		kernel_fpu_end();
		usleep_range(LEFT_US, LEFT_US + 100);
	}
	return 0;
}

static int __init fpu_init(void)
{
	thread = kthread_run(take_and_leave, NULL, "memx-fpu-test");
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit fpu_exit(void)
{
	kthread_stop(thread);
}

module_init(fpu_init);
module_exit(fpu_exit);
MODULE_DESCRIPTION("MemX: test with a busy FPU");
MODULE_LICENSE("GPL");
