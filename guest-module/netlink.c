// SPDX-License-Identifier: GPL-2.0-or-later
/* The generic netlink family "memx": see net/linux/uapi.h. */
#define pr_fmt(fmt) "memx: " fmt
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include "core/desc.h"
#include "guest-module/dev.h"
#include "net/linux/key.h"

#define NAME_BYTES	80u		/* of a name that is typed: a longer one is cut in messages */

/*
 * A command that takes time. The families' lock is held while a command is taken
 * up, so it runs in a work item, and tells the sender how it ended.
 */
struct job {
	struct work_struct work;
	struct net *net;
	struct sk_buff *answer;		/* made ahead: who has asked waits for it without end */
	u32 portid, seq;
	u8 cmd;
	struct memx_dev *dev;
	struct memx_attach *attach;	/* ATTACH */
	bool force, shrink;
	u64 size;
	char why[MEMX_WHY];
};

static struct workqueue_struct *jobs;
static struct genl_family family;

/* ---- jobs ---- */

static void job_tell(struct job *j, int rc)
{
	struct sk_buff *skb = j->answer;
	char device[DISK_NAME_LEN];
	void *head;

	j->answer = NULL;
	head = genlmsg_put(skb, j->portid, j->seq, &family, 0, j->cmd);
	snprintf(device, sizeof(device), "memxblk%u", j->dev->index);
	if (!head || nla_put_u32(skb, MEMX_A_RESULT, (u32)-rc) ||
	    (rc && nla_put_string(skb, MEMX_A_MESSAGE, j->why)) ||
	    nla_put_string(skb, MEMX_A_DEVICE, device) ||
	    nla_put_u64_64bit(skb, MEMX_A_SIZE, j->size, MEMX_A_PAD)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_unicast(j->net, skb, j->portid);	/* who has gone hears nothing */
}

static void job_free(struct job *j)
{
	if (j->attach)
		memx_attach_free(j->attach);
	put_net(j->net);
	memx_dev_put(j->dev);
	kfree(j);
}

static void job_work(struct work_struct *w)
{
	struct job *j = container_of(w, struct job, work);
	int rc;

	switch (j->cmd) {
	case MEMX_CMD_ATTACH:
		kref_get(&j->dev->ref);		/* for the answer */
		rc = memx_dev_attach(j->dev, j->attach, j->why, sizeof(j->why));
		break;
	case MEMX_CMD_DETACH:
		rc = memx_dev_detach(j->dev, j->force, j->why, sizeof(j->why));
		break;
	default:
		rc = memx_dev_resize(j->dev, j->size, j->shrink, j->why, sizeof(j->why));
	}
	job_tell(j, rc);
	job_free(j);
}

static struct job *job_new(struct genl_info *info)
{
	struct job *j = kzalloc(sizeof(*j), GFP_KERNEL);

	if (!j)
		return NULL;
	j->answer = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!j->answer) {
		kfree(j);
		return NULL;
	}
	INIT_WORK(&j->work, job_work);
	j->net = get_net(genl_info_net(info));
	j->portid = info->snd_portid;
	j->seq = info->snd_seq;
	j->cmd = info->genlhdr->cmd;
	return j;
}

/* One that is not begun. */
static void job_drop(struct job *j)
{
	put_net(j->net);
	nlmsg_free(j->answer);
	if (j->attach)
		memx_attach_free(j->attach);
	kfree(j);
}

/* ---- ATTACH ---- */

static int get_servers(struct memx_attach *a, struct genl_info *info)
{
	struct nlattr *at;
	char text[MXK_ADDR_STR];
	int left, rc;

	if (!info->attrs[MEMX_A_SERVERS]) {
		GENL_SET_ERR_MSG(info, "no server was named; give the address of one or more");
		return -EINVAL;
	}
	nla_for_each_nested(at, info->attrs[MEMX_A_SERVERS], left) {
		if (nla_type(at) != MEMX_A_SERVER)
			continue;
		nla_strscpy(text, at, sizeof(text));
		rc = memx_attach_add_server(a, text);
		if (!rc)
			continue;
		NL_SET_BAD_ATTR(info->extack, at);
		if (rc == -E2BIG)
			GENL_SET_ERR_MSG(info, "more than 16 servers were named; a few are enough, they tell of each other");
		else
			GENL_SET_ERR_MSG(info, "that is not a server's address; expected " MXK_ADDR_WORDS);
		return rc;
	}
	return 0;
}

static int get_key(struct memx_attach *a, struct genl_info *info)
{
	char desc[NAME_BYTES];
	int rc;

	if (!info->attrs[MEMX_A_KEY])
		return 0;
	nla_strscpy(desc, info->attrs[MEMX_A_KEY], sizeof(desc));
	rc = mxk_key_read(desc, &a->key);
	if (rc)
		info->extack->_msg = mxk_key_error(rc);
	a->conf.key = &a->key;
	return rc;
}

static u32 get_u32(struct genl_info *info, enum memx_attr at)
{
	return info->attrs[at] ? nla_get_u32(info->attrs[at]) : 0;
}

static int get_attach(struct memx_attach *a, struct genl_info *info)
{
	int rc;

	if (!info->attrs[MEMX_A_VOLUME] ||
	    nla_strscpy(a->name, info->attrs[MEMX_A_VOLUME], sizeof(a->name)) < 0 ||
	    !mx_name_valid(a->name)) {
		GENL_SET_ERR_MSG(info, "that is not a volume's name; names are 1 to 63 of A-Z a-z 0-9 . _ : + @ - and, inside, /, and do not start with - or .");
		return -EINVAL;
	}
	if (info->attrs[MEMX_A_NODE_NAME])
		nla_strscpy(a->node_name, info->attrs[MEMX_A_NODE_NAME], sizeof(a->node_name));
	if (info->attrs[MEMX_A_INTERFACE])
		nla_strscpy(a->ifname, info->attrs[MEMX_A_INTERFACE], sizeof(a->ifname));
	a->conf.read_only = info->attrs[MEMX_A_READ_ONLY];
	a->conf.take = info->attrs[MEMX_A_TAKE];
	a->conf.fail_after_ms = get_u32(info, MEMX_A_FAIL_AFTER_MS);
	a->conf.timeout_ms = get_u32(info, MEMX_A_TIMEOUT_MS);
	a->queues = get_u32(info, MEMX_A_QUEUES);
	if (a->queues > MEMX_QUEUES_MAX || a->conf.timeout_ms > MEMX_TIMEOUT_MS_MAX) {
		GENL_SET_ERR_MSG(info, "at most 64 hardware queues and a time-out of an hour are possible");
		return -EINVAL;
	}
	rc = get_servers(a, info);
	return rc ?: get_key(a, info);
}

static int do_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct job *j = job_new(info);
	int rc = -ENOMEM;

	if (!j)
		return rc;
	j->attach = kvzalloc(sizeof(*j->attach), GFP_KERNEL);
	if (!j->attach)
		goto err;
	memx_attach_init(j->attach);
	rc = get_attach(j->attach, info);
	if (rc)
		goto err;
	rc = memx_dev_new(j->attach, &j->dev);
	if (rc == -EEXIST)
		GENL_SET_ERR_MSG(info, "that volume is attached here already, or being attached or detached; see `memxctl attached`");
	if (rc)
		goto err;
	queue_work(jobs, &j->work);
	return 0;
err:
	job_drop(j);
	return rc;
}

/* ---- DETACH, RESIZE ---- */

static struct memx_dev *get_dev(struct genl_info *info)
{
	struct nlattr *v = info->attrs[MEMX_A_VOLUME], *b = info->attrs[MEMX_A_DEVICE];
	char name[NAME_BYTES];
	struct memx_dev *d;

	if (!v && !b) {
		GENL_SET_ERR_MSG(info, "neither a volume nor a device was named");
		return ERR_PTR(-EINVAL);
	}
	nla_strscpy(name, v ?: b, sizeof(name));
	d = memx_dev_find(v ? name : NULL, name);
	if (d)
		return d;
	NL_SET_ERR_MSG_ATTR(info->extack, v ?: b, "no such volume or device is attached here; see `memxctl attached`");
	return ERR_PTR(-ENODEV);
}

static int do_job(struct sk_buff *skb, struct genl_info *info)
{
	struct memx_dev *d = get_dev(info);
	struct job *j;

	if (IS_ERR(d))
		return PTR_ERR(d);
	j = job_new(info);
	if (!j) {
		memx_dev_put(d);
		return -ENOMEM;
	}
	j->dev = d;
	j->force = info->attrs[MEMX_A_FORCE];
	j->shrink = info->attrs[MEMX_A_SHRINK];
	if (info->attrs[MEMX_A_SIZE])
		j->size = nla_get_u64(info->attrs[MEMX_A_SIZE]);
	queue_work(jobs, &j->work);
	return 0;
}

/* ---- GET ---- */

static int put_u64(struct sk_buff *skb, enum memx_attr at, u64 v)
{
	return nla_put_u64_64bit(skb, at, v, MEMX_A_PAD);
}

static int put_servers(struct sk_buff *skb, const struct memx_dev *d)
{
	char text[MXK_ADDR_STR];

	for (u32 i = 0; i < d->nservers; i++)
		if (nla_put_string(skb, MEMX_A_SERVER, mxk_format_addr(&d->servers[i], text)))
			return -EMSGSIZE;
	return 0;
}

static int put_dev(struct sk_buff *skb, const struct memx_dev *d)
{
	char device[DISK_NAME_LEN];

	snprintf(device, sizeof(device), "memxblk%u", d->index);
	return nla_put_string(skb, MEMX_A_VOLUME, d->name) ||
	       nla_put_string(skb, MEMX_A_DEVICE, device) ||
	       nla_put_u32(skb, MEMX_A_STATE, d->state) ||
	       put_servers(skb, d) ||
	       nla_put_string(skb, MEMX_A_INTERFACE, d->ifname) ||
	       nla_put_u32(skb, MEMX_A_QUEUES, d->queues) ||
	       nla_put_u32(skb, MEMX_A_FAIL_AFTER_MS, d->fail_after_ms) ||
	       (d->read_only && nla_put_flag(skb, MEMX_A_READ_ONLY)) ||
	       nla_put_u32(skb, MEMX_A_OPENERS, d->disk ? disk_openers(d->disk) : 0);
}

static int put_volume(struct sk_buff *skb, struct memx_volume *v)
{
	struct mx_vol_stats st;

	memx_volume_stats(v, &st);
	return put_u64(skb, MEMX_A_SIZE, memx_volume_size(v)) ||
	       nla_put_u32(skb, MEMX_A_INFLIGHT, memx_volume_inflight(v)) ||
	       (memx_volume_sealed(v) && nla_put_flag(skb, MEMX_A_SEALED)) ||
	       (st.fenced && nla_put_flag(skb, MEMX_A_FENCED)) ||
	       (st.lease_ok && nla_put_flag(skb, MEMX_A_LEASE)) ||
	       nla_put_u32(skb, MEMX_A_EPOCH, st.epoch) ||
	       nla_put_u32(skb, MEMX_A_SERVERS_ALL, st.servers) ||
	       nla_put_u32(skb, MEMX_A_SERVERS_UP, st.servers_up) ||
	       nla_put_u32(skb, MEMX_A_SERVERS_GONE, st.servers_gone) ||
	       put_u64(skb, MEMX_A_EXT_PLACED, st.extents[MX_EXT_PLACED]) ||
	       put_u64(skb, MEMX_A_EXT_LOST, st.extents[MX_EXT_LOST]) ||
	       put_u64(skb, MEMX_A_EXT_UNKNOWN, st.extents[MX_EXT_UNKNOWN]) ||
	       put_u64(skb, MEMX_A_READS, st.reads) ||
	       put_u64(skb, MEMX_A_WRITES, st.writes) ||
	       put_u64(skb, MEMX_A_READ_BYTES, st.read_bytes) ||
	       put_u64(skb, MEMX_A_WRITE_BYTES, st.write_bytes) ||
	       put_u64(skb, MEMX_A_RETRANSMITS, st.retransmits) ||
	       put_u64(skb, MEMX_A_ERRORS, memx_volume_errors(v)) ||
	       put_u64(skb, MEMX_A_MEMORY, st.map_bytes);
}

static int put_uuid(struct sk_buff *skb, struct memx_dev *d)
{
	u8 uuid[16];

	if (!d->disk)		/* not known, perhaps */
		return 0;
	memx_volume_uuid(d->vol, uuid);
	return nla_put(skb, MEMX_A_UUID, sizeof(uuid), uuid);
}

/* Under memx_lock. */
static int put_entry(struct sk_buff *skb, struct memx_dev *d, u32 portid, u32 seq, int flags)
{
	void *head = genlmsg_put(skb, portid, seq, &family, flags, MEMX_CMD_GET);

	if (!head)
		return -EMSGSIZE;
	if (put_dev(skb, d) || (d->vol && (put_volume(skb, d->vol) || put_uuid(skb, d)))) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

static int do_get(struct sk_buff *skb, struct genl_info *info)
{
	struct memx_dev *d = get_dev(info);
	struct sk_buff *rep;
	int rc;

	if (IS_ERR(d))
		return PTR_ERR(d);
	rep = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	mutex_lock(&memx_lock);
	rc = rep ? put_entry(rep, d, info->snd_portid, info->snd_seq, 0) : -ENOMEM;
	mutex_unlock(&memx_lock);
	memx_dev_put(d);
	if (!rc)
		return genlmsg_reply(rep, info);
	nlmsg_free(rep);
	return rc;
}

static int dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct memx_dev *d;
	long at = 0;

	mutex_lock(&memx_lock);
	list_for_each_entry(d, &memx_devs, node) {
		if (at++ < cb->args[0])
			continue;
		if (put_entry(skb, d, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, NLM_F_MULTI))
			break;
		cb->args[0] = at;
	}
	mutex_unlock(&memx_lock);
	return skb->len;
}

/* ---- the family ---- */

static const struct nla_policy policy[MEMX_A_SHRINK + 1] = {
	[MEMX_A_VOLUME] = { .type = NLA_NUL_STRING, .len = NAME_BYTES },
	[MEMX_A_DEVICE] = { .type = NLA_NUL_STRING, .len = NAME_BYTES },
	[MEMX_A_SERVERS] = { .type = NLA_NESTED },
	[MEMX_A_INTERFACE] = { .type = NLA_NUL_STRING, .len = MEMX_IFNAME - 1 },
	[MEMX_A_KEY] = { .type = NLA_NUL_STRING, .len = NAME_BYTES - 1 },
	[MEMX_A_NODE_NAME] = { .type = NLA_NUL_STRING, .len = MX_NAME_MAX },
	[MEMX_A_READ_ONLY] = { .type = NLA_FLAG },
	[MEMX_A_TAKE] = { .type = NLA_FLAG },
	[MEMX_A_QUEUES] = { .type = NLA_U32 },
	[MEMX_A_FAIL_AFTER_MS] = { .type = NLA_U32 },
	[MEMX_A_TIMEOUT_MS] = { .type = NLA_U32 },
	[MEMX_A_FORCE] = { .type = NLA_FLAG },
	[MEMX_A_SIZE] = { .type = NLA_U64 },
	[MEMX_A_SHRINK] = { .type = NLA_FLAG },
};

static const struct genl_ops ops[] = {
	{ .cmd = MEMX_CMD_ATTACH, .flags = GENL_ADMIN_PERM, .doit = do_attach },
	{ .cmd = MEMX_CMD_DETACH, .flags = GENL_ADMIN_PERM, .doit = do_job },
	{ .cmd = MEMX_CMD_GET, .doit = do_get, .dumpit = dump },
	{ .cmd = MEMX_CMD_RESIZE, .flags = GENL_ADMIN_PERM, .doit = do_job },
};

static struct genl_family family = {
	.name = MEMX_GENL_NAME,
	.version = MEMX_GENL_VERSION,
	.maxattr = MEMX_A_SHRINK,
	.policy = policy,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = __MEMX_CMD_MAX,
	.parallel_ops = true,
};

int memx_netlink_init(void)
{
	int rc;

	/* Not WQ_MEM_RECLAIM: nothing that frees memory waits for a job, and jobs wait
	 * for work items of others (del_gendisk). */
	jobs = alloc_workqueue("memx", WQ_UNBOUND, 0);
	if (!jobs)
		return -ENOMEM;
	rc = genl_register_family(&family);
	if (!rc)
		return 0;
	destroy_workqueue(jobs);
	jobs = NULL;
	return rc;
}

void memx_netlink_exit(void)
{
	if (!jobs)
		return;
	genl_unregister_family(&family);
	memx_dev_stop_attaching();
	destroy_workqueue(jobs);
}
