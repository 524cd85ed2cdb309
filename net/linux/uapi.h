/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How user space (memxctl) talks to the kernel modules: generic netlink.
 *
 * Every family has version 1. Errors come with a sentence (NLMSGERR_ATTR_MSG) that
 * says what was wrong and what was expected. Integers are the kernel's; unknown
 * attributes are refused. Numbers are never given a new meaning.
 */
#ifndef MEMX_LINUX_UAPI_H
#define MEMX_LINUX_UAPI_H

/*
 * ---- memx-server.ko: family "memx-server" ----
 *
 * A module serves at most once at a time. START, SET and STOP need CAP_NET_ADMIN.
 *
 * START	begins to serve. MEMORY, and KEY or a TRUSTED interface, are required;
 *		-EBUSY: it serves already.
 * SET		MEMORY, FLOOR: from now on. More is offered at once; less is offered
 *		at once too, but nothing that is held is dropped. -ESRCH: not serving.
 * STOP		ends at once if nothing would be lost. Else it takes nothing new, ends
 *		by itself once it holds nothing any more, and the request fails with
 *		-EBUSY; with DISCARD it ends at once and what it holds is lost. -ESRCH: not
 *		serving.
 * STATUS	answered by the attributes marked "status". For everybody.
 */
#define MEMX_SERVER_GENL_NAME	"memx-server"
#define MEMX_SERVER_GENL_VERSION	1

enum memx_server_cmd {
	MEMX_SERVER_CMD_UNSPEC,
	MEMX_SERVER_CMD_STATUS,
	MEMX_SERVER_CMD_START,
	MEMX_SERVER_CMD_SET,
	MEMX_SERVER_CMD_STOP,
};

enum memx_server_attr {
	MEMX_SERVER_A_UNSPEC,
	MEMX_SERVER_A_PAD,
	MEMX_SERVER_A_MEMORY,	/* u64: bytes to donate at most; start, set, status */
	MEMX_SERVER_A_FLOOR,		/* u64: bytes left available to the host; start, set, status */
	MEMX_SERVER_A_INTERFACE,	/* string: the only one served on; start, status */
	MEMX_SERVER_A_TRUSTED,	/* flag: INTERFACE may be served without a key; start, status */
	MEMX_SERVER_A_KEY,		/* string: memx:NAME, a logon key in the sender's keyrings; start */
	MEMX_SERVER_A_NAME,		/* string: the server's name; start, status */
	MEMX_SERVER_A_PORT,		/* u16: UDP port; start, status */
	MEMX_SERVER_A_JOIN,		/* string, repeated: addresses of servers of the pool; start */
	MEMX_SERVER_A_DISCARD,	/* flag: stop */
	MEMX_SERVER_A_STATE,		/* u32: enum memx_server_state; status */
	/* The rest is status only, and there while it serves. */
	MEMX_SERVER_A_KEYED,		/* flag: sessions need a key */
	MEMX_SERVER_A_ID,		/* u64: its node id */
	MEMX_SERVER_A_OFFERED,	/* u64: what MEMORY came to with the host's memory as it is */
	MEMX_SERVER_A_DATA,		/* u64: bytes of pages held */
	MEMX_SERVER_A_BOOKKEEPING,	/* u64: bytes */
	MEMX_SERVER_A_AT_HAND,	/* u64: bytes taken ahead */
	MEMX_SERVER_A_AVAILABLE,	/* u64: MemAvailable of the host, bytes */
	MEMX_SERVER_A_VOLUMES,	/* u64: volumes with data of which it has the only copy */
	MEMX_SERVER_A_EXTENTS,	/* u64: extents of those */
	MEMX_SERVER_A_BYTES,		/* u64: bytes of those */
	MEMX_SERVER_A_READS,		/* u64: requests served */
	MEMX_SERVER_A_WRITES,	/* u64 */
	MEMX_SERVER_A_BUSY,		/* u64: writes put off for want of memory at hand */
	MEMX_SERVER_A_FULL,		/* u64: writes refused because all that is offered is in use */
	MEMX_SERVER_A_RETURNED,	/* u64: bytes given back because the host was short */

	__MEMX_SERVER_A_MAX
};
#define MEMX_SERVER_A_MAX	(__MEMX_SERVER_A_MAX - 1)
#define MEMX_SERVER_JOIN_MAX	16u

enum memx_server_state {
	MEMX_SERVER_STOPPED,
	MEMX_SERVER_SERVING,
	MEMX_SERVER_LEAVING,		/* asked to stop, holds data, takes nothing new */
};

#endif
