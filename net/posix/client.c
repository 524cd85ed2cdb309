/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client in a user-space program: making one, and its event loop's side.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "net/posix/client_int.h"
#include "net/posix/key.h"

#define CONF_FILE	"/etc/memx/client.conf"
#define IDLE_SOCKETS	16	/* others than the busy one are looked at each so many calls */

/* What a client is made of, from options, environment or file. */
struct setup {
	struct memx *m;
	struct mx_key key;
	char interface[64];
	bool any_server;
};

mx_ns memx_now(void)
{
	return mxp_now();
}

/* ---- port ---- */

static void port_log(void *ctx, int level, const char *line)
{
	struct memx *m = ctx;

	if (m->log)
		m->log(m->log_user, level, line);
}

static void make_port(struct memx *m)
{
	mxp_port_init(&m->port, m);
	m->port.log = port_log;
	memx_port_buffers(&m->port);
	m->net.buf = &memx_buf_ops;
}

/* ---- what it is made of ---- */

static int add_server(struct setup *s, const char *text, char **err)
{
	struct memx *m = s->m;
	struct mx_addr a[MXP_ADDR_MAX];
	unsigned n = mxp_addr_parse(text, MX_UDP_PORT, a, MXP_ADDR_MAX, err);

	if (!n)
		return -EINVAL;
	if (m->nseeds + n > MEMX_SEEDS_MAX) {
		*err = mxp_msg("more than %u server addresses were given; a few are enough, servers "
			       "tell of each other", MEMX_SEEDS_MAX);
		return -E2BIG;
	}
	memcpy(&m->seeds[m->nseeds], a, n * sizeof a[0]);
	m->nseeds += n;
	s->any_server = true;
	return 0;
}

static int add_servers_of(struct setup *s, const char *list, char **err)
{
	char *copy = strdup(list), *save = NULL, *t;
	int rc = copy ? 0 : -ENOMEM;

	for (t = copy ? strtok_r(copy, " \t,", &save) : NULL; t && !rc;
	     t = strtok_r(NULL, " \t,", &save))
		rc = add_server(s, t, err);
	free(copy);
	return rc;
}

static int set_interface(struct setup *s, const char *name, char **err)
{
	if (strlen(name) >= sizeof s->interface) {
		*err = mxp_msg("there is no network interface \"%s\"", name);
		return -EINVAL;
	}
	strcpy(s->interface, name);
	return 0;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = 0;
	return s;
}

static int conf_line(struct setup *s, char *line, unsigned number, char **err)
{
	char *key = trim(line), *value = strchr(key, '=');

	if (!*key || *key == '#')
		return 0;
	if (value) {
		*value = 0;
		value = trim(value + 1);
		key = trim(key);
		if (!strcmp(key, "server"))
			return add_servers_of(s, value, err);
		if (!strcmp(key, "interface"))
			return set_interface(s, value, err);
		if (!strcmp(key, "key-file"))
			return s->key.kind ? 0 : mxp_key_load(value, &s->key, err);
	}
	*err = mxp_msg("line %u of " CONF_FILE " is not understood; expected server=ADDRESS, "
		       "interface=NAME or key-file=FILE", number);
	return -EINVAL;
}

static int read_conf(struct setup *s, char **err)
{
	char line[512];
	unsigned number = 0;
	FILE *f = fopen(CONF_FILE, "re");
	int rc = 0;

	if (!f)
		return 0;
	while (!rc && fgets(line, sizeof line, f))
		rc = conf_line(s, line, ++number, err);
	fclose(f);
	return rc;
}

static int gather(struct setup *s, const struct memx_opts *o, char **err)
{
	const char *env = getenv("MEMX_SERVERS");
	int rc = 0;

	if (o->key_hex)
		rc = mxp_key_parse(o->key_hex, "the key", &s->key, err);
	else if (o->key_file)
		rc = mxp_key_load(o->key_file, &s->key, err);
	for (unsigned i = 0; !rc && o->servers && o->servers[i]; i++)
		rc = add_server(s, o->servers[i], err);
	if (!rc && o->interface)
		rc = set_interface(s, o->interface, err);
	if (rc || s->any_server || s->interface[0])
		return rc;
	rc = env && *env ? add_servers_of(s, env, err) : read_conf(s, err);
	if (rc || s->any_server || s->interface[0])
		return rc;
	rc = add_server(s, "127.0.0.1", err);
	return rc ? rc : add_server(s, "::1", err);
}

/* ---- sockets ---- */

static int open_udp(struct memx *m, unsigned buffer, char **err)
{
	struct mxp_udp_opts o = { .dual = true, .buffer = buffer };
	bool only4 = m->nseeds && !m->ifindex;

	/* Where only IPv4 was asked for a plain socket is a little faster, but
	 * servers may tell of others that have IPv6 addresses: loopback cannot. */
	for (unsigned i = 0; i < m->nseeds; i++)
		if (m->seeds[i].fam != MX_FAM_IP4 || !mxp_addr_is_loopback(&m->seeds[i]))
			only4 = false;
	o.local.fam = only4 ? MX_FAM_IP4 : MX_FAM_IP6;
	return mxp_udp_open(&m->net, &o, err);
}

static int open_sockets(struct setup *s, unsigned buffer, char **err)
{
	struct memx *m = s->m;
	bool raw = !strncmp(s->interface, "raw:", 4), udp = !raw;
	const char *ifname = s->interface + (raw ? 4 : 0);
	int rc = 0;

	if (s->interface[0]) {
		m->ifindex = mxp_if_index(ifname, err);
		if (!m->ifindex)
			return -ENODEV;
		strcpy(m->interface, s->interface);
	}
	for (unsigned i = 0; i < m->nseeds; i++)
		udp |= m->seeds[i].fam != MX_FAM_ETH;
	if (udp)
		rc = open_udp(m, buffer, err);
	if (!rc && raw)
		rc = mxp_raw_open(&m->net, m->ifindex, ifname, buffer, err);
	else if (!rc && m->ifindex)
		rc = mxp_mcast_join(&m->net, m->ifindex, ifname, MX_UDP_PORT, err);
	for (unsigned i = 0; !rc && i < m->nseeds; i++) {
		char name[IF_NAMESIZE] = "?";

		if (m->seeds[i].fam != MX_FAM_ETH)
			continue;
		if (m->ifindex && (!m->seeds[i].scope || m->seeds[i].scope == m->ifindex))
			continue;
		if (!m->seeds[i].scope) {
			*err = mxp_msg("the Ethernet address of a server needs the interface by which "
				       "it is reached: eth:INTERFACE/MAC, or --interface raw:INTERFACE");
			return -EINVAL;
		}
		if (m->ifindex) {
			*err = mxp_msg("one interface at a time: %s was asked for and a server is on "
				       "another", m->interface);
			return -EINVAL;
		}
		m->ifindex = m->seeds[i].scope;
		if_indextoname(m->ifindex, name);
		snprintf(m->interface, sizeof m->interface, "raw:%s", name);
		rc = mxp_raw_open(&m->net, m->ifindex, name, buffer, err);
	}
	return rc;
}

/* ---- the endpoint ---- */

static void default_name(char *name)
{
	char host[HOST_NAME_MAX + 1] = "client";
	const char *prog = program_invocation_short_name;

	gethostname(host, sizeof host - 1);
	snprintf(name, MX_NAME_MAX + 1, "%.32s:%.20s:%d", host, prog ? prog : "", (int)getpid());
	for (char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._:+@-", *p))
			*p = '_';
}

static int make_core(struct setup *s, const struct memx_opts *o, char **err)
{
	struct memx *m = s->m;
	u32 rcvbuf = mxp_net_rcvbuf(&m->net);
	struct mx_client_conf c = {
		.ep.key = s->key,
		.ep.require_key = s->key.kind != MX_KEY_NONE,
		.ep.dgram_max = mxp_net_dgram_max(&m->net),
		/* A quarter is left for what the kernel needs besides the data. */
		.ep.rwnd = rcvbuf / 4 * 3,
		.rx_bytes_max = rcvbuf / 4 * 3,
	};
	struct mx_ep *ep;

	mxp_random(NULL, &c.ep.node.id, sizeof c.ep.node.id);
	mxp_random(NULL, &c.ep.node.incarnation, sizeof c.ep.node.incarnation);
	if (o->node_name)
		snprintf(c.ep.node.name, sizeof c.ep.node.name, "%s", o->node_name);
	else
		default_name(c.ep.node.name);
	m->core = mx_client_new(&m->port, &c, mxp_now());
	mxp_key_wipe(&c.ep.key, sizeof c.ep.key);
	if (!m->core) {
		*err = mxp_msg("not enough memory for a client");
		return -ENOMEM;
	}
	ep = mx_client_ep(m->core);
	m->net.ep = ep;
	for (unsigned i = 0; i < m->nseeds; i++) {
		mxp_net_localise(&m->net, &m->seeds[i]);
		mx_ep_add_seed(ep, &m->seeds[i]);
	}
	return 0;
}

struct memx *memx_new(const struct memx_opts *o, char **err)
{
	struct memx *m = calloc(1, sizeof *m);
	struct setup s = { .m = m };
	int rc;

	*err = NULL;
	if (!m || mxp_net_init(&m->net)) {
		*err = mxp_msg("not enough memory for a client");
		free(m);
		return NULL;
	}
	m->log = o->log;
	m->log_user = o->user;
	m->net.poll_us = o->poll_us;
	make_port(m);
	rc = gather(&s, o, err);
	if (!rc)
		rc = open_sockets(&s, o->socket_buffer, err);
	if (!rc)
		rc = make_core(&s, o, err);
	mxp_key_wipe(&s.key, sizeof s.key);
	if (rc) {
		if (!*err)
			*err = mxp_msg("cannot make a client: %s", strerror(-rc));
		memx_free(m);
		return NULL;
	}
	memx_flush(m);
	return m;
}

void memx_free(struct memx *m)
{
	if (!m)
		return;
	if (m->core) {
		mx_ep_bye(m->net.ep, mxp_now());
		mxp_flush(&m->net, mxp_now());
		mx_client_free(m->core);
	}
	mxp_net_free(&m->net);
	free(m);
}

struct mx_client *memx_core(struct memx *m)
{
	return m->core;
}

/* ---- event loop ---- */

unsigned memx_fds(struct memx *m, int fds[4])
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->net.nsocks && n < 4; i++)
		fds[n++] = m->net.socks[i].fd;
	return n;
}

mx_ns memx_deadline(struct memx *m)
{
	return mx_ep_deadline(m->net.ep);
}

unsigned memx_process(struct memx *m)
{
	unsigned got;

	m->net.socks[m->net.hot].ready = true;
	if (m->calls++ % IDLE_SOCKETS == 0)
		mxp_all_ready(&m->net);
	got = mxp_step(&m->net);
	if (!got && m->net.nsocks > 1) {
		mxp_all_ready(&m->net);
		got = mxp_step(&m->net);
	}
	return got;
}

void memx_flush(struct memx *m)
{
	mxp_flush(&m->net, mxp_now());
}

bool memx_readable(const struct memx *m)
{
	char c;

	return recv(m->net.socks[m->net.hot].fd, &c, 1, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC) >= 0;
}

void memx_wait(struct memx *m, mx_ns until)
{
	mxp_wait(&m->net, mx_min_u64(until, mx_ep_deadline(m->net.ep)));
}

/* ---- requests ---- */

/* The copy made for a buffer that changed is not needed any more. */
static void request_done(struct mx_req *core, enum mx_status st)
{
	struct memx_req *r = mx_container_of(core, struct memx_req, core);

	free(r->stable);
	r->stable = NULL;
	core->done = r->user_done;
	core->done(core, st);
}

void memx_submit(struct memx *m, struct mx_vol *v, struct memx_req *r)
{
	r->core.buf = r;
	r->user_done = r->core.done;
	r->core.done = request_done;
	r->stable = NULL;
	r->at = 0;
	r->at_off = 0;
	mx_vol_submit(v, &r->core, mxp_now());
}
