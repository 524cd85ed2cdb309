// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a full server spends on itself: all memory its core has taken beside pages,
 * tables, fixed buffers, sessions and peers included.
 */
#include "unit.h"
#include "cluster.h"
#include "core/server_int.h"

#define CLIENTS_MAX	16
#define LEN	(128u << 10)

static void *shared_get(void *ctx)
{
	static u8 page[4096];

	((struct clnode *)ctx)->pages++;
	return page;
}

static void shared_put(void *ctx, void *page)
{
	(void)page;
	((struct clnode *)ctx)->pages--;
}

/* A client with a volume for each 16 MiB, over encrypted sessions, writes until there is
 * no room. */
static double full_server(u32 mib, u32 nclients, struct mx_store_stats *st)
{
	static struct cl c;
	static struct clvol v[CLIENTS_MAX];
	static u8 data[LEN];
	struct mx_key key = { .kind = MX_KEY_CLUSTER, .key = { 7 } };
	size_t bytes;
	u64 at = 0;
	u32 i;

	memset(data, 0x77, sizeof data);
	cl_init(&c, mib);
	c.key = &key;
	cl_server(&c, 0, mib);
	c.n[0].port.page_get = shared_get;
	c.n[0].port.page_put = shared_put;
	for (i = 0; i < nclients; i++) {
		char name[4] = { 'v', 'm', (char)('a' + i) };

		cl_client(&c, 3 + (int)i);
		assert_int_equal(cl_create(&c, 3 + (int)i, name, 1ull << 40), MX_OK);
		assert_int_equal(cl_open(&c, 3 + (int)i, name, NULL, &v[i]), MX_OK);
	}
	for (i = 0; cl_io(&v[i], MX_REQ_WRITE, at, data, LEN) == MX_OK; i = (i + 1) % nclients)
		at += i + 1 == nclients ? LEN : 0;
	cl_for(&c, 10 * MX_SEC);	/* replies kept to be repeated go */
	*st = *mx_store_stats(mx_server_store(c.n[0].server));
	bytes = c.n[0].live_bytes;
	assert_true(st->data_bytes + bytes <= (u64)mib << 20);
	for (i = 0; i < nclients; i++)
		cl_close(&c, &v[i]);
	cl_end(&c);
	return (double)bytes / (double)((u64)mib << 20);
}

static void all_of_it(void **state)
{
	static const u32 mib[] = { 64, 128, 256, 512 };
	bool ok = true;

	(void)state;
	for (u32 i = 0; i < MX_ARRAY_SIZE(mib); i++) {
		u32 clients = mx_min_u32(mib[i] / 16, CLIENTS_MAX);
		struct mx_store_stats st;
		double taken = full_server(mib[i], clients, &st), said = (double)st.meta_bytes / (double)st.ceiling;

		print_message("# %u MiB full, %u clients: %.2f %% data, %.3f %% taken for bookkeeping, "
			      "%.3f %% charged\n", mib[i], clients, 100.0 * (double)st.data_bytes / (double)st.ceiling, taken * 100,
			      said * 100);
		ok = ok && taken <= 0.015 && said <= 0.015;
	}
	assert_true(ok);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
	};

	return unit_main(argc, argv, tests);
}
