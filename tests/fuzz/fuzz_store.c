/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stream of operations on the store, each compared with the naive model. */
#include "../unit/store_model.h"

static u32 pick_fuzz(struct model *m, u32 n)
{
	u32 v, k = n > 256 ? 2 : 1;

	if (m->fuzz_left < k) {
		m->over = true;
		return 0;
	}
	v = k == 2 ? mx_ld16(m->fuzz) : m->fuzz[0];
	m->fuzz += k;
	m->fuzz_left -= k;
	return v % n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m;
	bool tight;

	if (size < 2 || size > 16384)
		return 0;
	tight = data[0] & 1;
	m = calloc(1, sizeof *m);
	if (!m || !m_init(m, tight ? 1200 << 10 : 16 << 20, tight))
		abort();
	m->pick = pick_fuzz;
	m->fuzz = data + 1;
	m->fuzz_left = size - 1;
	while (!m->over) {
		m_step(m);
		/* Without work for long, a write may lack bookkeeping. */
		if (!m->closed && m->fuzz_left < 64 && (data[0] & 2)) {
			mx_store_close(m->s);
			m->closed = true;
		}
	}
	m_fini(m);
	free(m);
	return 0;
}
