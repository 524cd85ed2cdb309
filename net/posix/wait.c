/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers that block: for tools, and for a driver's open and close. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "net/posix/client_int.h"

int mx_status_errno(enum mx_status st)
{
	switch (st) {
	case MX_OK:
	case MX_ST_PARTIAL:		return 0;
	case MX_ST_BUSY:		return EAGAIN;
	case MX_ST_FULL:
	case MX_ST_NO_SPACE:		return ENOSPC;
	case MX_ST_FENCED:
	case MX_ST_BEHIND:
	case MX_ST_LEASE_LAPSED:	return ESTALE;
	case MX_ST_NO_VOLUME:
	case MX_ST_DELETED:		return ENOENT;
	case MX_ST_EXISTS:		return EEXIST;
	case MX_ST_OWNED:		return EBUSY;
	case MX_ST_INVALID:		return EINVAL;
	case MX_ST_DENIED:		return EACCES;
	case MX_ST_UNSUPPORTED:		return EOPNOTSUPP;
	case MX_ST_LEAVING:		return ESHUTDOWN;
	case MX_ST_TIMEOUT:		return ETIMEDOUT;
	case MX_ST_UNREACHABLE:
	case MX_ST_NO_SERVERS:		return EHOSTUNREACH;
	case MX_ST_READ_ONLY:		return EROFS;
	case MX_ST_CANCELLED:		return ECANCELED;
	case MX_ST_NOMEM:		return ENOMEM;
	case MX_ST_BAD_KEY:
	case MX_ST_NO_KEY:		return EKEYREJECTED;
	case MX_ST_BAD_VERSION:		return EPROTO;
	case MX_ST_NO_QUORUM:		return ENOTRECOVERABLE;
	case MX_ST_NAME_CLASH:		return ENOTUNIQ;
	case MX_ST_NEED_SEAL:
	case MX_ST_STALE:
	case MX_ST_STALE_GEN:
	case MX_ST_BAD_CRC:
	case MX_ST_LOST:
	case MX_ST_NOT_ENROLLED:
	case MX_ST_NOT_HOLDER:
	case MX_ST_NEED_BITS:		return EIO;
	}
	return EIO;
}

static void wait_begin(struct memx *m)
{
	m->waiting = true;
	m->woken = false;
	m->wait_st = MX_OK;
	memx_flush(m);
}

static void wake(struct memx *m, enum mx_status st)
{
	if (!m->waiting)
		return;
	m->wait_st = st;
	m->woken = true;
}

/* Until wake() was called. */
static void wait_woken(struct memx *m)
{
	while (!m->woken) {
		memx_process(m);
		if (!m->woken)
			memx_wait(m, MX_NEVER);
	}
	m->waiting = false;
	memx_flush(m);
}

/* ---- who is there ---- */

#define SETTLE_QUIET	(150 * MX_MS)
#define SETTLE_MOST	(4 * MX_SEC)	/* two announcements, one of them lost */

void memx_settle(struct memx *m, mx_ns most)
{
	struct mx_ep *ep = m->net.ep;
	mx_ns start = mxp_now(), last = start, now = start;
	u32 known = 0;

	m->settled = true;
	while (now < start + most && (!known || now < last + SETTLE_QUIET)) {
		memx_process(m);
		now = mxp_now();
		if (mx_ep_nmembers(ep) != known) {
			if (m->ifindex && !known)
				mx_ep_add_seed(ep, &mx_ep_member(ep, 0)->addr);
			known = mx_ep_nmembers(ep);
			last = now;
		}
		memx_wait(m, now + SETTLE_QUIET / 4);
	}
}

/* Seeds tell of the others at once; announcements take their time. */
static void settle_once(struct memx *m)
{
	if (m->ifindex && !m->settled)
		memx_settle(m, SETTLE_MOST);
}

/* ---- open and close ---- */

static void opened(void *user, enum mx_status st, mx_ns now)
{
	wake(user, st);
}

static void closed(void *user, mx_ns now)
{
	wake(user, MX_OK);
}

static void event(void *user, const char *line, mx_ns now)
{
	struct memx *m = user;

	if (m->log)
		m->log(m->log_user, MX_LOG_WARN, line);
}

const struct mx_vol_ops memx_vol_ops = { .opened = opened, .closed = closed, .event = event };

int memx_open_wait(struct memx *m, const char *volume, const struct mx_vol_conf *conf,
		   struct mx_vol **vp, char **err)
{
	struct mx_vol *v;
	const char *why;

	*vp = NULL;
	*err = NULL;
	if (!mx_name_valid(volume)) {
		*err = mxp_msg("\"%.80s\" is not a volume's name; names are 1 to %u of A-Z a-z 0-9 "
			       ". _ : + @ - and, inside, /", volume, MX_NAME_MAX);
		return -EINVAL;
	}
	settle_once(m);
	v = mx_vol_open(m->core, volume, conf, &memx_vol_ops, m, mxp_now());
	if (!v) {
		*err = mxp_msg("not enough memory to open volume \"%s\"", volume);
		return -ENOMEM;
	}
	wait_begin(m);
	wait_woken(m);
	if (m->wait_st == MX_OK) {
		*vp = v;
		return 0;
	}
	why = mx_vol_error(v);
	*err = why && *why ? mxp_msg("%s", why) :
	       mxp_msg("cannot open volume \"%s\": %s", volume, mx_status_str(m->wait_st));
	mx_vol_free(v);
	return -mx_status_errno(m->wait_st);
}

int memx_close_wait(struct memx *m, struct mx_vol *v)
{
	mx_vol_close(v, mxp_now());
	wait_begin(m);
	wait_woken(m);
	mx_vol_free(v);
	memx_flush(m);
	return -mx_status_errno(m->wait_st);
}

/* ---- operations ---- */

struct op_wait {
	struct mx_vol_op op;
	struct memx *m;
	char *err;
};

static void op_done(struct mx_vol_op *o, enum mx_status st, const char *err, mx_ns now)
{
	struct op_wait *w = mx_container_of(o, struct op_wait, op);

	if (st != MX_OK)
		w->err = mxp_msg("%s", err && *err ? err : mx_status_str(st));
	wake(w->m, st);
}

int memx_op_wait(struct memx *m, void (*start)(struct memx *m, struct mx_vol_op *o, void *arg),
		 void *arg, char **err)
{
	struct op_wait w = { .op.done = op_done, .m = m };

	*err = NULL;
	settle_once(m);
	m->waiting = true;
	m->woken = false;
	start(m, &w.op, arg);
	memx_flush(m);
	wait_woken(m);
	*err = w.err;
	return -mx_status_errno(m->wait_st);
}

struct create_arg {
	const char *name;
	u64 size, op_id;
};

static void create_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	struct create_arg *a = arg;

	mx_client_create(m->core, a->name, a->size, a->op_id, o, mxp_now());
}

int memx_create_wait(struct memx *m, const char *name, u64 size, char **err)
{
	struct create_arg a = { .name = name, .size = size };

	m->port.random(NULL, &a.op_id, sizeof a.op_id);
	return memx_op_wait(m, create_start, &a, err);
}

struct rw_wait {
	struct memx_req req;
	struct memx *m;
};

static void rw_done(struct mx_req *r, enum mx_status st)
{
	struct rw_wait *w = mx_container_of(r, struct rw_wait, req.core);

	wake(w->m, st);
}

int memx_rw_wait(struct memx *m, struct mx_vol *v, enum mx_req_op op, u64 off, u64 len, void *buf)
{
	struct iovec iov = { buf, len };
	struct rw_wait w = {
		.req.core = { .op = (u8)op, .off = off, .len = len, .done = rw_done },
		.req.iov = &iov, .req.niov = 1, .m = m,
	};

	m->waiting = true;
	m->woken = false;
	memx_submit(m, v, &w.req);
	memx_flush(m);
	wait_woken(m);
	return -mx_status_errno(m->wait_st);
}

/* ---- is anybody there? ---- */

static bool server_up(struct memx *m, struct mx_peer **peers, unsigned n)
{
	struct mx_ep *ep = m->net.ep;

	for (unsigned i = 0; i < n; i++)
		if (peers[i] && mx_peer_state(peers[i]) == MX_PEER_UP)
			return true;
	for (u32 i = 0; i < mx_ep_nmembers(ep); i++)
		if (mx_ep_member(ep, i)->flags & MX_MEMBER_SERVER)
			return true;
	return false;
}

/* Whom was it asked, in words; malloc'ed. */
static char *asked(const struct memx *m)
{
	char a[MXP_ADDR_STR], *s = NULL, *t;

	for (unsigned i = 0; i < m->nseeds; i++) {
		t = mxp_msg("%s%s%s", s ? s : "", s ? ", " : "", mxp_addr_str(&m->seeds[i], a));
		free(s);
		s = t;
	}
	if (m->interface[0]) {
		t = mxp_msg("%s%sinterface %s", s ? s : "", s ? ", " : "", m->interface);
		free(s);
		s = t;
	}
	return s;
}

static int explain_refusal(const struct mx_peer *p, char **err)
{
	char a[MXP_ADDR_STR];
	enum mx_status st = mx_peer_reject(p);

	mxp_addr_str(mx_peer_addr(p), a);
	switch (st) {
	case MX_ST_BAD_KEY:
		*err = mxp_msg("server %s does not accept the key: it is another pool's, or another "
			       "volume's; compare the key file with the server's", a);
		break;
	case MX_ST_NO_KEY:
		*err = mxp_msg("server %s wants a key: give its pool's key file (--key-file, or "
			       "key-file= in /etc/memx/client.conf)", a);
		break;
	case MX_ST_BAD_VERSION:
		*err = mxp_msg("server %s speaks another version of the protocol than this program "
			       "(%s, protocol %u); install the same release on both", a, MEMX_VERSION,
			       MX_PROTO_MAJOR);
		break;
	default:
		*err = mxp_msg("server %s refuses a session: %s", a, mx_status_str(st));
	}
	return -mx_status_errno(st ? st : MX_ST_UNREACHABLE);
}

int memx_wait_servers(struct memx *m, mx_ns timeout, char **err)
{
	struct mx_peer *peers[MEMX_SEEDS_MAX];
	mx_ns until = mxp_now() + timeout, refused_at = 0;
	int rc = -EAGAIN;
	char *whom;

	*err = NULL;
	for (unsigned i = 0; i < m->nseeds; i++)
		peers[i] = mx_peer_connect(m->net.ep, &m->seeds[i], mxp_now());
	memx_flush(m);
	while (rc == -EAGAIN) {
		const struct mx_peer *refused = NULL;
		mx_ns now;

		memx_process(m);
		now = mxp_now();
		for (unsigned i = 0; i < m->nseeds; i++)
			if (peers[i] && mx_peer_state(peers[i]) == MX_PEER_REFUSED)
				refused = peers[i];
		if (refused && !refused_at)
			refused_at = now;
		if (server_up(m, peers, m->nseeds))
			rc = 0;
		/* Others may still say yes. */
		else if (refused && (now >= refused_at + 300 * MX_MS || now >= until))
			rc = explain_refusal(refused, err);
		else if (now >= until)
			rc = -ETIMEDOUT;
		else
			memx_wait(m, refused ? refused_at + 300 * MX_MS : until);
	}
	for (unsigned i = 0; i < m->nseeds; i++)
		if (peers[i])
			mx_peer_put(peers[i]);
	if (!rc)
		settle_once(m);
	if (rc != -ETIMEDOUT)
		return rc;
	whom = asked(m);
	*err = mxp_msg("no memory server answered (asked: %s): is memxd running there, does it "
		       "listen on that address and port, and does a firewall let UDP through?",
		       whom ? whom : "nobody");
	free(whom);
	return rc;
}
