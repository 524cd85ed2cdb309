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
	MEMX_SERVER_A_PORT,		/* u16: UDP port; start, status (not by raw Ethernet) */
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

#define MEMX_GENL_NAME		"memx"
#define MEMX_GENL_VERSION	1

/*
 * ---- memx.ko: family "memx", volumes attached here as block devices ----
 *
 * ATTACH, DETACH and RESIZE take time, and generic netlink must not stand still
 * meanwhile. They are acknowledged as soon as they have been taken up, or refused at
 * once with extack's text; the outcome comes to the same socket as a message with
 * the same command and sequence number that has MEMX_A_RESULT and, where that is
 * not 0, MEMX_A_MESSAGE. A sender that has gone misses it, and nothing else: what it
 * asked for goes on, and is seen by GET.
 */
enum memx_cmd {
	MEMX_CMD_UNSPEC,
	/*
	 * VOLUME, and SERVERS; may have INTERFACE, KEY, NODE_NAME,
	 * READ_ONLY, TAKE, QUEUES, FAIL_AFTER_MS, TIMEOUT_MS. Its outcome has
	 * DEVICE too. Needs CAP_NET_ADMIN.
	 */
	MEMX_CMD_ATTACH,
	/*
	 * VOLUME or DEVICE; may have FORCE. -EBUSY while the device is open.
	 * With FORCE requests under way end with an error, and those who have it
	 * open keep a dead device. Also ends an ATTACH under way. Needs
	 * CAP_NET_ADMIN.
	 */
	MEMX_CMD_DETACH,
	/* A dump: a message for each attached volume. VOLUME or DEVICE: that one. */
	MEMX_CMD_GET,
	/* VOLUME or DEVICE, and SIZE; SHRINK if it may become smaller. Needs
	 * CAP_NET_ADMIN. */
	MEMX_CMD_RESIZE,
	__MEMX_CMD_MAX
};

enum memx_attr {
	MEMX_A_UNSPEC,
	MEMX_A_PAD,
	/* what to attach, and how; those with (get) are also told by GET */
	MEMX_A_VOLUME,		/* string: name (get) */
	MEMX_A_DEVICE,		/* string: "memxblk0" (get) */
	MEMX_A_SERVERS,		/* nest of MEMX_A_SERVER */
	MEMX_A_SERVER,		/* string: an address as mxk_parse_addr() has it (get: several) */
	MEMX_A_INTERFACE,	/* string: this network interface only, raw:IF by raw Ethernet (get) */
	MEMX_A_KEY,		/* string: memx:NAME, a key of type "logon" that the sender
				 * possesses (net/linux/key.h) */
	MEMX_A_NODE_NAME,	/* string: what servers call this client; default: the machine */
	MEMX_A_READ_ONLY,	/* flag (get) */
	MEMX_A_TAKE,		/* flag: from an owner that is known to be dead */
	MEMX_A_QUEUES,		/* u32: hardware queues (get) */
	MEMX_A_FAIL_AFTER_MS,	/* u32: requests fail after so long a silence; 0: never (get) */
	MEMX_A_TIMEOUT_MS,	/* u32: for attaching */
	MEMX_A_FORCE,		/* flag */
	MEMX_A_SIZE,		/* u64: bytes (get) */
	MEMX_A_SHRINK,		/* flag */
	/* outcome */
	MEMX_A_RESULT,		/* u32: 0, or an errno */
	MEMX_A_MESSAGE,		/* string: what was wrong, and what to do */
	/* told by GET */
	MEMX_A_STATE,		/* u32: enum memx_state */
	MEMX_A_UUID,		/* 16 bytes */
	MEMX_A_OPENERS,		/* u32 */
	MEMX_A_INFLIGHT,	/* u32: requests under way */
	MEMX_A_SEALED,		/* flag: encrypted, by a key */
	MEMX_A_FENCED,		/* flag: another client has taken the volume */
	MEMX_A_LEASE,		/* flag: ownership is in force; without it nothing completes */
	MEMX_A_EPOCH,		/* u32 */
	MEMX_A_SERVERS_ALL,	/* u32: servers that may hold data */
	MEMX_A_SERVERS_UP,	/* u32 */
	MEMX_A_SERVERS_GONE,	/* u32: ended, with what they held */
	MEMX_A_EXT_PLACED,	/* u64: extents of 1 MiB by where they are */
	MEMX_A_EXT_LOST,	/* u64 */
	MEMX_A_EXT_UNKNOWN,	/* u64 */
	MEMX_A_READS,		/* u64: requests */
	MEMX_A_WRITES,		/* u64 */
	MEMX_A_READ_BYTES,	/* u64 */
	MEMX_A_WRITE_BYTES,	/* u64 */
	MEMX_A_RETRANSMITS,	/* u64 */
	MEMX_A_ERRORS,		/* u64: requests that ended with an error */
	MEMX_A_MEMORY,		/* u64: bytes that the map takes here */
	__MEMX_A_MAX
};
#define MEMX_A_MAX	(__MEMX_A_MAX - 1)

enum memx_state {
	MEMX_STATE_ATTACHING = 1,
	MEMX_STATE_ATTACHED,
	MEMX_STATE_DETACHING,
	MEMX_STATE_DEAD,	/* detached by force; closing */
};

#define MEMX_SERVERS_MAX	16u
#define MEMX_QUEUES_MAX		64u
#define MEMX_TIMEOUT_MS_MAX	3600000u

#endif
