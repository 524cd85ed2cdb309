// SPDX-License-Identifier: GPL-2.0-or-later
/* The generic netlink family "memx-server": see net/linux/uapi.h. */
#define pr_fmt(fmt) "memx-server: " fmt
#include <linux/genetlink.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include "core/wire.h"
#include "net/linux/nl.h"
#include "server-kmod/server.h"

#define KEY_DESC_MAX	128

static const struct nla_policy policy[MEMX_SERVER_A_MAX + 1] = {
	[MEMX_SERVER_A_MEMORY] = { .type = NLA_U64 },
	[MEMX_SERVER_A_FLOOR] = { .type = NLA_U64 },
	[MEMX_SERVER_A_INTERFACE] = { .type = NLA_NUL_STRING, .len = MXK_IFNAME - 1 },
	[MEMX_SERVER_A_TRUSTED] = { .type = NLA_FLAG },
	[MEMX_SERVER_A_KEY] = { .type = NLA_NUL_STRING, .len = KEY_DESC_MAX },
	[MEMX_SERVER_A_NAME] = { .type = NLA_NUL_STRING, .len = MX_NAME_MAX },
	[MEMX_SERVER_A_PORT] = { .type = NLA_U16 },
	[MEMX_SERVER_A_JOIN] = { .type = NLA_NUL_STRING, .len = 64 },
	[MEMX_SERVER_A_DISCARD] = { .type = NLA_FLAG },
};

static struct genl_family family;

/* ---- start ---- */

static const char *text(const struct nlattr *a)
{
	return a ? nla_data(a) : "";
}

/* JOIN comes several times, of which info->attrs has the last. */
static int take_join(const struct genl_info *info, struct host_conf *c)
{
	const struct nlattr *a;
	int rest;

	nla_for_each_attr(a, genlmsg_data(info->genlhdr), genlmsg_len(info->genlhdr), rest) {
		if (nla_type(a) != MEMX_SERVER_A_JOIN)
			continue;
		if (c->njoin == MEMX_SERVER_JOIN_MAX) {
			mxk_nl_error(info->extack, "more than %u servers to join; a few are enough, they tell of each other",
				     MEMX_SERVER_JOIN_MAX);
			return -EINVAL;
		}
		if (mxk_parse_addr(text(a), &c->join[c->njoin])) {
			mxk_nl_error(info->extack, "\"%s\" is not a server's address; expected " MXK_ADDR_WORDS,
				     text(a));
			return -EINVAL;
		}
		c->njoin++;
	}
	return 0;
}

static int do_start(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **at = info->attrs;
	struct host_conf c = {
		.ifname = text(at[MEMX_SERVER_A_INTERFACE]), .key = text(at[MEMX_SERVER_A_KEY]),
		.name = text(at[MEMX_SERVER_A_NAME]), .trusted = at[MEMX_SERVER_A_TRUSTED],
		.port = at[MEMX_SERVER_A_PORT] ? nla_get_u16(at[MEMX_SERVER_A_PORT]) : MX_UDP_PORT,
		.has_floor = at[MEMX_SERVER_A_FLOOR],
	};
	int rc;

	if (!at[MEMX_SERVER_A_MEMORY]) {
		mxk_nl_error(info->extack, "how much memory is to be donated is not said");
		return -EINVAL;
	}
	c.memory = nla_get_u64(at[MEMX_SERVER_A_MEMORY]);
	if (c.has_floor)
		c.floor = nla_get_u64(at[MEMX_SERVER_A_FLOOR]);
	rc = take_join(info, &c);
	if (rc)
		return rc;
	mutex_lock(&host_lock);
	rc = server_start(&c, info->extack);
	mutex_unlock(&host_lock);
	return rc;
}

/* ---- set, stop ---- */

static int not_serving(struct genl_info *info)
{
	mxk_nl_error(info->extack, "this machine does not serve; memxctl host start makes it donate memory");
	return -ESRCH;
}

static int do_set(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *memory = info->attrs[MEMX_SERVER_A_MEMORY];
	const struct nlattr *floor = info->attrs[MEMX_SERVER_A_FLOOR];
	struct server *s;
	u64 m, f;
	int rc;

	mutex_lock(&host_lock);
	s = the_server;
	if (!s) {
		rc = not_serving(info);
		goto out;
	}
	m = memory ? nla_get_u64(memory) : s->memory;
	f = floor ? nla_get_u64(floor) : s->floor;
	rc = host_check_memory(m, f, info->extack);
	if (rc)
		goto out;
	server_set_memory(s, m, f);
	pr_info("donates %llu MiB and leaves the host %llu MiB from now on\n", m >> 20, f >> 20);
out:
	mutex_unlock(&host_lock);
	return rc;
}

static int do_stop(struct sk_buff *skb, struct genl_info *info)
{
	int rc;

	mutex_lock(&host_lock);
	if (the_server)
		rc = server_ask_to_stop(the_server, info->attrs[MEMX_SERVER_A_DISCARD], info->extack);
	else
		rc = not_serving(info);
	mutex_unlock(&host_lock);
	return rc;
}

/* ---- status ---- */

struct figure {
	int attr;
	u64 value;
};

static int put_figures(struct sk_buff *skb, const struct figure *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (nla_put_u64_64bit(skb, f[i].attr, f[i].value, MEMX_SERVER_A_PAD))
			return -EMSGSIZE;
	return 0;
}

static int put_state(struct sk_buff *skb, const struct server *s)
{
	if (nla_put_u32(skb, MEMX_SERVER_A_STATE,
			s->leaving ? MEMX_SERVER_LEAVING : MEMX_SERVER_SERVING) ||
	    nla_put_string(skb, MEMX_SERVER_A_NAME, s->id.name) ||
	    (*s->ifname && nla_put_string(skb, MEMX_SERVER_A_INTERFACE, s->ifname)) ||
	    (s->trusted && nla_put_flag(skb, MEMX_SERVER_A_TRUSTED)) ||
	    (s->keyed && nla_put_flag(skb, MEMX_SERVER_A_KEYED)) ||
	    (!s->node.raw && nla_put_u16(skb, MEMX_SERVER_A_PORT, s->node.port_no)))
		return -EMSGSIZE;
	return 0;
}

static int put_server(struct sk_buff *skb, struct server *s)
{
	const struct mx_store_stats *st = mx_store_stats(mx_server_store(s->core));
	const struct mxk_pages *g = &s->node.pages;
	struct mx_server_stats q;
	struct host_only o;
	mx_ns now = mxk_enter(&s->node);
	int rc;

	mx_server_stats(s->core, &q, now);
	mx_server_only_copies(s->core, &o.volumes, &o.extents, &o.bytes);
	{
		const struct figure f[] = {
			{ MEMX_SERVER_A_MEMORY, s->memory }, { MEMX_SERVER_A_FLOOR, s->floor },
			{ MEMX_SERVER_A_ID, s->id.id }, { MEMX_SERVER_A_OFFERED, s->offered },
			{ MEMX_SERVER_A_DATA, st->data_bytes },
			{ MEMX_SERVER_A_BOOKKEEPING, st->meta_bytes },
			{ MEMX_SERVER_A_AT_HAND, (u64)g->nfree << PAGE_SHIFT },
			{ MEMX_SERVER_A_AVAILABLE, host_available() },
			{ MEMX_SERVER_A_VOLUMES, o.volumes }, { MEMX_SERVER_A_EXTENTS, o.extents },
			{ MEMX_SERVER_A_BYTES, o.bytes },
			{ MEMX_SERVER_A_READS, q.reads }, { MEMX_SERVER_A_WRITES, q.writes },
			{ MEMX_SERVER_A_BUSY, q.busy }, { MEMX_SERVER_A_FULL, q.full },
			{ MEMX_SERVER_A_RETURNED, g->returned << PAGE_SHIFT },
		};

		rc = put_figures(skb, f, ARRAY_SIZE(f));
	}
	mxk_leave(&s->node, now);
	return rc ?: put_state(skb, s);
}

static int do_status(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *head;
	int rc;

	if (!msg)
		return -ENOMEM;
	head = genlmsg_put_reply(msg, info, &family, 0, MEMX_SERVER_CMD_STATUS);
	if (!head) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	mutex_lock(&host_lock);
	if (the_server)
		rc = put_server(msg, the_server);
	else
		rc = nla_put_u32(msg, MEMX_SERVER_A_STATE, MEMX_SERVER_STOPPED);
	mutex_unlock(&host_lock);
	if (rc) {
		nlmsg_free(msg);
		return rc;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

/* ---- the family ---- */

static const struct genl_ops ops[] = {
	{ .cmd = MEMX_SERVER_CMD_STATUS, .doit = do_status },
	{ .cmd = MEMX_SERVER_CMD_START, .doit = do_start, .flags = GENL_ADMIN_PERM },
	{ .cmd = MEMX_SERVER_CMD_SET, .doit = do_set, .flags = GENL_ADMIN_PERM },
	{ .cmd = MEMX_SERVER_CMD_STOP, .doit = do_stop, .flags = GENL_ADMIN_PERM },
};

static struct genl_family family __ro_after_init = {
	.name = MEMX_SERVER_GENL_NAME,
	.version = MEMX_SERVER_GENL_VERSION,
	.module = THIS_MODULE,
	.maxattr = MEMX_SERVER_A_MAX,
	.policy = policy,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = MEMX_SERVER_CMD_STOP + 1,
	/* Starting and stopping take time, and host_lock is enough. */
	.parallel_ops = true,
};

int host_netlink_init(void)
{
	return genl_register_family(&family);
}

void host_netlink_exit(void)
{
	genl_unregister_family(&family);
}

MODULE_ALIAS_GENL_FAMILY(MEMX_SERVER_GENL_NAME);
