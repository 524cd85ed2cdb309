/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace points: /sys/kernel/tracing/events/memx. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM memx

#if !defined(MEMX_GUEST_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MEMX_GUEST_TRACE_H

#include <linux/tracepoint.h>
#include "core/wire.h"
#include "guest-module/memx_client.h"

#define memx_show_op(op) __print_symbolic(op,				\
	{ MEMX_READ, "read" }, { MEMX_WRITE, "write" }, { MEMX_ZEROES, "zeroes" },	\
	{ MEMX_DISCARD, "discard" }, { MEMX_FLUSH, "flush" })

/* A request goes to the core. Under its volume's lock. */
TRACE_EVENT(memx_request_start,
	TP_PROTO(const char *volume, const struct memx_request *r),
	TP_ARGS(volume, r),
	TP_STRUCT__entry(
		__array(char, volume, MX_NAME_MAX + 1)
		__field(const void *, r)
		__field(u32, op)
		__field(u64, off)
		__field(u64, len)
	),
	TP_fast_assign(
		strscpy(__entry->volume, volume, sizeof(__entry->volume));
		__entry->r = r;
		__entry->op = r->op;
		__entry->off = r->off;
		__entry->len = r->len;
	),
	TP_printk("%s %p %s %llu+%llu", __entry->volume, __entry->r, memx_show_op(__entry->op),
		  __entry->off, __entry->len)
);

DECLARE_EVENT_CLASS(memx_request_end,
	TP_PROTO(const char *volume, const struct memx_request *r, u64 ns),
	TP_ARGS(volume, r, ns),
	TP_STRUCT__entry(
		__array(char, volume, MX_NAME_MAX + 1)
		__field(const void *, r)
		__field(u32, op)
		__field(u64, off)
		__field(u64, len)
		__field(u64, ns)
		__field(int, err)
	),
	TP_fast_assign(
		strscpy(__entry->volume, volume, sizeof(__entry->volume));
		__entry->r = r;
		__entry->op = r->op;
		__entry->off = r->off;
		__entry->len = r->len;
		__entry->ns = ns;
		__entry->err = r->err;
	),
	TP_printk("%s %p %s %llu+%llu result %d after %llu ns", __entry->volume, __entry->r,
		  memx_show_op(__entry->op), __entry->off, __entry->len, __entry->err, __entry->ns)
);

/* A request has ended; done() follows. */
DEFINE_EVENT(memx_request_end, memx_request_done,
	TP_PROTO(const char *volume, const struct memx_request *r, u64 ns),
	TP_ARGS(volume, r, ns)
);

/* It was given up because servers were silent for longer than fail_after. */
DEFINE_EVENT(memx_request_end, memx_request_timeout,
	TP_PROTO(const char *volume, const struct memx_request *r, u64 ns),
	TP_ARGS(volume, r, ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH guest-module
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
