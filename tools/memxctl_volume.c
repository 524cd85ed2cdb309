/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memxctl volume ... */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/posix/key.h"
#include "tools/memxctl.h"

void uuid_str(const u8 u[MX_UUID], char out[37])
{
	char *p = out;

	for (unsigned i = 0; i < MX_UUID; i++)
		p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
}

/* ---- what was typed ---- */

void check_name(const char *name)
{
	if (!mx_name_valid(name))
		die(CTL_USAGE, "\"%.80s\" is not a volume's name; names are 1 to %u of A-Z a-z 0-9 . _ : + @ - "
		    "and, inside, /, and do not start with - or .", name, MX_NAME_MAX);
}

u64 check_size(const char *text)
{
	char *err = NULL;
	u64 size;

	if (!mxp_size_parse(text, "SIZE", &size, &err))
		die(CTL_USAGE, "%s", err);
	if (!size)
		die(CTL_USAGE, "SIZE: a volume of size 0 is of no use; expected a size as 512M or 10G");
	if (size % MX_BLOCK)
		die(CTL_USAGE, "SIZE: %llu is not a multiple of %u, which is what disks are made of; "
		    "expected a size as 512M or 10G", (unsigned long long)size, MX_BLOCK);
	if (size > MX_VOL_BYTES_MAX)
		die(CTL_USAGE, "SIZE: %s is more than a volume may have (1P)", text);
	return size;
}

/* Hexadecimal digits, with or without what stands between them. NULL if there is no @text. */
static const u8 *check_uuid(const char *text, u8 uuid[MX_UUID])
{
	unsigned n = 0;

	if (!text)
		return NULL;
	for (const char *p = text; *p; p++) {
		int v = g_ascii_xdigit_value(*p);

		if (*p == '-')
			continue;
		if (v < 0 || n >= 2 * MX_UUID)
			n = 2 * MX_UUID;
		else
			uuid[n / 2] = (u8)(n % 2 ? uuid[n / 2] | v : v << 4);
		n++;
	}
	if (n != 2 * MX_UUID)
		die(CTL_USAGE, "--uuid: \"%.80s\" is not a uuid; expected %u hexadecimal digits, as "
		    "'memxctl volume list --json' shows them", text, 2 * MX_UUID);
	return uuid;
}

#define UUID_OPTION(to) \
	{ "uuid", 0, 0, G_OPTION_ARG_STRING, to, "Which one, where two have the name", "UUID" }

static void fail(const char *what, const char *name, int rc, char *err)
{
	char *all = err && strstr(err, name) ? g_strdup(err) :
		    g_strdup_printf("cannot %s volume \"%s\": %s", what, name, err ? err : strerror(-rc));

	die_errno(rc, all);
}

/* ---- create, resize, delete, recover ---- */

static u64 pool_free(const struct ctl *c)
{
	u64 sum = 0;

	for (guint i = 0; i < c->pool->len; i++)
		sum += ((struct server *)g_ptr_array_index(c->pool, i))->free;
	return sum;
}

static int cmd_create(struct ctl *c, int argc, char **argv)
{
	char *err = NULL, size_text[MXP_SIZE_STR], free_text[MXP_SIZE_STR];
	const char *name;
	u64 size;
	int rc;

	ctl_options(NULL, "volume ", "Makes a volume. It takes memory only as it is written.", "NAME SIZE", 2, &argc, &argv);
	name = argv[1];
	check_name(name);
	size = check_size(argv[2]);
	pool_collect(c);	/* all servers should be known before holders are chosen */
	rc = memx_create_wait(c->m, name, size, &err);
	if (rc)
		fail("create", name, rc, err);
	if (size > pool_free(c))
		fprintf(stderr, "memxctl: note: the volume is larger (%s) than what the pool has free now "
			"(%s); writes fail with \"no space\" when that is used up\n",
			mxp_size_str(size, size_text), mxp_size_str(pool_free(c), free_text));
	if (c->json) {
		JsonBuilder *b = json_builder_new();

		json_builder_begin_object(b);
		j_str(b, "name", name);
		j_int(b, "size_bytes", size);
		json_builder_end_object(b);
		print_json(b);
	} else {
		printf("created volume %s, %s\n", name, mxp_size_str(size, size_text));
	}
	return CTL_OK;
}

struct op_arg {
	const char *name;
	const u8 *uuid;
	u64 size;
	bool yes;
};

static void resize_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	struct op_arg *a = arg;

	mx_client_resize(memx_core(m), a->name, a->size, a->yes, o, memx_now());
}

static int cmd_resize(struct ctl *c, int argc, char **argv)
{
	gboolean shrink = FALSE;
	const GOptionEntry entries[] = {
		{ "shrink", 0, 0, G_OPTION_ARG_NONE, &shrink,
		  "Allow it to become smaller; what is behind the new end is lost", NULL },
		{ 0 },
	};
	char *err = NULL, was[MXP_SIZE_STR], now[MXP_SIZE_STR];
	struct op_arg a = { 0 };
	struct volume *v;
	u64 old;
	int rc;

	ctl_options(entries, "volume ", "Changes a volume's size. It must not be in use (its user resizes it then).",
		"NAME SIZE", 2, &argc, &argv);
	a.name = argv[1];
	check_name(a.name);
	a.size = check_size(argv[2]);
	a.yes = shrink;
	pool_collect(c);
	v = volume_get(c, a.name, &rc, &err);
	if (!v)
		fail("resize", a.name, rc, err);
	old = v->desc->size;
	volume_free(v);
	if (a.size < old && !shrink)
		die(CTL_USAGE, "volume \"%s\" has %s; making it smaller (%s) loses what is behind the new end: "
		    "say --shrink if that is wanted", a.name, mxp_size_str(old, was),
		    mxp_size_str(a.size, now));
	rc = memx_op_wait(c->m, resize_start, &a, &err);
	if (rc)
		fail("resize", a.name, rc, err);
	printf("volume %s has %s now (was %s)\n", a.name, mxp_size_str(a.size, now),
	       mxp_size_str(old, was));
	return CTL_OK;
}

static void delete_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	struct op_arg *a = arg;

	mx_client_delete(memx_core(m), a->name, a->uuid, a->yes, o, memx_now());
}

static int cmd_delete(struct ctl *c, int argc, char **argv)
{
	gboolean force = FALSE;
	g_autofree char *uuid = NULL;
	const GOptionEntry entries[] = {
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force,
		  "Also if it seems to be in use: its user is known to be dead", NULL },
		UUID_OPTION(&uuid),
		{ 0 },
	};
	struct op_arg a = { 0 };
	u8 id[MX_UUID];
	char *err = NULL;
	int rc;

	ctl_options(entries, "volume ", "Deletes a volume and all that is in it.", "NAME", 1, &argc, &argv);
	a.name = argv[1];
	check_name(a.name);
	a.uuid = check_uuid(uuid, id);
	a.yes = force;
	pool_collect(c);
	rc = memx_op_wait(c->m, delete_start, &a, &err);
	if (rc)
		fail("delete", a.name, rc, err);
	printf("deleted volume %s\n", a.name);
	return CTL_OK;
}

static void recover_start(struct memx *m, struct mx_vol_op *o, void *arg)
{
	struct op_arg *a = arg;

	mx_client_recover(memx_core(m), a->name, a->uuid, o, memx_now());
}

static int cmd_recover(struct ctl *c, int argc, char **argv)
{
	g_autofree char *uuid = NULL;
	const GOptionEntry entries[] = { UUID_OPTION(&uuid), { 0 } };
	struct op_arg a = { 0 };
	u8 id[MX_UUID];
	char *err = NULL, *why;
	struct volume *v;
	int rc;

	ctl_options(entries, "volume ", "Goes on with what is left of a volume when most of its holders are gone for good.\n"
		"What nobody has any more reads as zeros if no surviving holder knows of it, so a\n"
		"file system on it should be checked. If the holders may come back, wait for them.",
		"NAME", 1, &argc, &argv);
	a.name = argv[1];
	check_name(a.name);
	a.uuid = check_uuid(uuid, id);
	pool_collect(c);
	rc = memx_op_wait(c->m, recover_start, &a, &err);
	if (rc)
		fail("recover", a.name, rc, err);
	v = volume_get(c, a.name, &rc, &err);
	if (!v && rc == -ENOTUNIQ) {	/* the other one of the name is there still */
		printf("the volume %s with uuid %s can be opened by nobody while another has its name, but has "
		       "holders again\n", a.name, uuid ? uuid : "?");
		g_free(err);
		return CTL_OK;
	}
	if (!v)
		fail("show", a.name, rc, err);
	volume_inspect(c, v);
	why = volume_trouble(c, v);
	printf("volume %s can be opened again; %llu of its extents are left, %llu are lost%s%s\n"
	       "Check the file system on it: extents that no surviving holder knew of read as zeros.\n",
	       a.name, (unsigned long long)v->mapped, (unsigned long long)v->lost, why ? "; " : "",
	       why ? why : "");
	g_free(why);
	volume_free(v);
	return CTL_OK;
}

/* ---- list ---- */

static void entry_json(JsonBuilder *b, const struct mx_list_entry *e)
{
	char uuid[37];

	json_builder_begin_object(b);
	j_str(b, "name", e->name);
	uuid_str(e->uuid, uuid);
	j_str(b, "uuid", uuid);
	j_int(b, "size_bytes", e->size);
	j_str(b, "state", e->state == MX_VOL_DELETED ? "deleted" : "live");
	j_int(b, "placed_extents", e->bits_set);
	j_str(b, "owner", e->owned && e->lease_ms ? e->owner.name : NULL);
	j_int(b, "lease_ms", e->lease_ms);
	j_int(b, "epoch", e->epoch);
	j_int(b, "holders", e->nholders);
	j_int(b, "servers", e->nenrolled - e->ngone);
	j_int(b, "servers_gone", e->ngone);
	json_builder_end_object(b);
}

static int cmd_list(struct ctl *c, int argc, char **argv)
{
	char size[MXP_SIZE_STR], placed[MXP_SIZE_STR], *err = NULL;
	JsonBuilder *b;
	GArray *all;
	int rc;

	ctl_options(NULL, "volume ", "Lists all volumes of the pool.", NULL, 0, &argc, &argv);
	pool_collect(c);
	all = volumes_list(c, &rc, &err);
	if (!all)
		die_errno(rc, err);
	if (c->json) {
		b = json_builder_new();
		json_builder_begin_array(b);
		for (guint i = 0; i < all->len; i++)
			entry_json(b, &g_array_index(all, struct mx_list_entry, i));
		json_builder_end_array(b);
		print_json(b);
		return CTL_OK;
	}
	printf("%-32s %10s %10s %8s %s\n", "NAME", "SIZE", "PLACED", "SERVERS", "USED BY");
	for (guint i = 0; i < all->len; i++) {
		const struct mx_list_entry *e = &g_array_index(all, struct mx_list_entry, i);

		printf("%-32s %10s %10s %8u %s\n", e->name, mxp_size_str(e->size, size),
		       mxp_size_str(e->bits_set << MX_EXTENT_SHIFT, placed), e->nenrolled - e->ngone,
		       e->state == MX_VOL_DELETED ? "(being deleted)" :
		       e->owned && e->lease_ms ? e->owner.name : "-");
	}
	return CTL_OK;
}

/* ---- info ---- */

static const char *place_state(const struct place *p)
{
	return p->gone ? "gone" : p->answered ? "up" : "silent";
}

static const char *place_name(const struct ctl *c, const struct place *p, char *buf)
{
	const struct server *s = pool_find(c, p->ref.id);

	if (s)
		return s->node.name;
	sprintf(buf, "%016llx", (unsigned long long)p->ref.id);
	return buf;
}

static void place_json(const struct ctl *c, JsonBuilder *b, const struct place *p, bool data)
{
	char id[17], a[MXP_ADDR_STR];

	json_builder_begin_object(b);
	j_str(b, "name", place_name(c, p, id));
	sprintf(id, "%016llx", (unsigned long long)p->ref.id);
	j_str(b, "id", id);
	j_str(b, "address", mxp_addr_str(&p->ref.addr, a));
	j_str(b, "state", place_state(p));
	if (data) {
		j_int(b, "extents", p->extents);
		j_int(b, "bytes", p->pages * MX_PAGE);
	}
	json_builder_end_object(b);
}

static void info_json(const struct ctl *c, const struct volume *v)
{
	const struct mx_desc *d = v->desc;
	JsonBuilder *b = json_builder_new();
	char uuid[37], *why = volume_trouble(c, v);

	uuid_str(d->uuid, uuid);
	json_builder_begin_object(b);
	j_str(b, "name", d->name);
	j_str(b, "uuid", uuid);
	j_int(b, "size_bytes", d->size);
	j_str(b, "health", health_str(volume_health(c, v)));
	j_str(b, "trouble", why);
	j_int(b, "mapped_bytes", v->mapped_pages * MX_PAGE);
	j_int(b, "mapped_extents", v->mapped);
	j_int(b, "lost_extents", v->lost + v->lost_base);
	j_int(b, "unknown_extents", v->unknown);
	j_str(b, "owner", d->owned && v->state.lease_ms ? d->owner.name : NULL);
	j_int(b, "lease_ms", v->state.lease_ms);
	j_int(b, "epoch", d->epoch);
	j_int(b, "version", d->version);
	j_int(b, "copies", 1);
	for (unsigned data = 0; data < 2; data++) {
		json_builder_set_member_name(b, data ? "servers" : "holders");
		json_builder_begin_array(b);
		for (guint i = 0; i < v->places->len; i++) {
			const struct place *p = &g_array_index(v->places, struct place, i);

			if (data ? p->enrolled : p->holder)
				place_json(c, b, p, data);
		}
		json_builder_end_array(b);
	}
	json_builder_end_object(b);
	print_json(b);
	g_free(why);
}

static void info_text(const struct ctl *c, const struct volume *v)
{
	const struct mx_desc *d = v->desc;
	char uuid[37], s[MXP_SIZE_STR], a[MXP_ADDR_STR], id[17], *why = volume_trouble(c, v);

	uuid_str(d->uuid, uuid);
	printf("name      %s\nuuid      %s\nsize      %s (%llu bytes)\n", d->name, uuid,
	       mxp_size_str(d->size, s), (unsigned long long)d->size);
	printf("health    %s%s%s\n", health_str(volume_health(c, v)), why ? ": " : "", why ? why : "");
	printf("stored    %s in %llu extents of 1 MiB, one copy of each page\n",
	       mxp_size_str(v->mapped_pages * MX_PAGE, s), (unsigned long long)v->mapped);
	if (d->owned && v->state.lease_ms)
		printf("used by   %s (epoch %u, lease %.1f s)\n", d->owner.name, d->epoch,
		       v->state.lease_ms / 1000.0);
	else if (d->owned)
		printf("used by   nobody; %s did not give it back (epoch %u)\n", d->owner.name, d->epoch);
	else
		printf("used by   nobody (epoch %u)\n", d->epoch);
	printf("\n%-20s %-28s %-8s %-7s %8s %10s\n", "SERVER", "ADDRESS", "STATE", "HOLDER", "EXTENTS",
	       "DATA");
	for (guint i = 0; i < v->places->len; i++) {
		const struct place *p = &g_array_index(v->places, struct place, i);

		printf("%-20s %-28s %-8s %-7s %8llu %10s\n", place_name(c, p, id),
		       mxp_addr_str(&p->ref.addr, a), place_state(p), p->holder ? "yes" : "-",
		       (unsigned long long)p->extents, mxp_size_str(p->pages * MX_PAGE, s));
	}
	g_free(why);
}

static int cmd_info(struct ctl *c, int argc, char **argv)
{
	struct volume *v;
	char *err = NULL;
	int rc;

	ctl_options(NULL, "volume ", "Shows a volume: its health, its user, and on which servers it is.", "NAME", 1, &argc,
		&argv);
	check_name(argv[1]);
	pool_collect(c);
	v = volume_get(c, argv[1], &rc, &err);
	if (!v)
		fail("show", argv[1], rc, err);
	volume_inspect(c, v);
	if (c->json)
		info_json(c, v);
	else
		info_text(c, v);
	volume_free(v);
	return CTL_OK;
}

/* ---- key ---- */

static int cmd_key(struct ctl *c, int argc, char **argv)
{
	struct mx_key pool, k = { .kind = MX_KEY_VOLUME };
	char text[MXP_KEY_STR], *err = NULL;

	ctl_options(NULL, "volume ", "Prints the key that opens this volume alone, for a guest's host that should hold no\n"
		"more than its own. It is made from the pool's key (--key-file); no server is asked.",
		"NAME", 1, &argc, &argv);
	check_name(argv[1]);
	if (!c->key_file)
		die(CTL_USAGE, "a volume's key is made from the pool's; give that: --key-file FILE");
	if (mxp_key_load(c->key_file, &pool, &err))
		die(CTL_KEY, "%s", err);
	if (pool.kind != MX_KEY_CLUSTER)
		die(CTL_KEY, "%s has the key of volume \"%s\", from which no other can be made; the pool's key "
		    "is needed", c->key_file, pool.volume);
	mx_volume_key(k.key, pool.key, argv[1]);
	strcpy(k.volume, argv[1]);
	mxp_key_str(&k, text);
	puts(text);
	mxp_key_wipe(&pool, sizeof pool);
	mxp_key_wipe(&k, sizeof k);
	mxp_key_wipe(text, sizeof text);
	return CTL_OK;
}

/* ---- dispatch ---- */

int cmd_volume(struct ctl *c, int argc, char **argv)
{
	static const struct command subs[] = {
		{ "create", cmd_create }, { "list", cmd_list }, { "info", cmd_info },
		{ "resize", cmd_resize }, { "delete", cmd_delete }, { "recover", cmd_recover },
		{ "key", cmd_key }, { 0 },
	};

	return ctl_dispatch(c, subs,
			    "Usage: memxctl [OPTION...] volume create NAME SIZE | list | info NAME |\n"
			    "       resize NAME SIZE | delete NAME | recover NAME | key NAME\n\n"
			    "memxctl volume create --help (and so on) tells about each.", argc, argv);
}
