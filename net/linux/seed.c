// SPDX-License-Identifier: GPL-2.0-or-later
/* The servers a client was told of: see seed.h. */
#include <linux/module.h>
#include "core/wire.h"
#include "net/linux/key.h"
#include "net/linux/seed.h"

/* Others may still say yes for so long after the first has said no. */
#define OTHERS	(300 * MX_MS)

int mxk_seed_add(struct mxk_seeds *s, struct mx_ep *ep, const struct mx_addr *a, mx_ns now)
{
	if (s->n == MXK_SEEDS_MAX)
		return -E2BIG;
	s->peer[s->n] = mx_peer_connect(ep, a, now);
	if (!s->peer[s->n])
		return -ENOMEM;
	s->n++;
	return mx_ep_add_seed(ep, a) ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(mxk_seed_add);

enum mx_status mxk_seeds_refused(struct mxk_seeds *s, mx_ns now, struct mx_addr *who)
{
	const struct mx_peer *no = NULL;

	for (u32 i = 0; i < s->n; i++) {
		if (mx_peer_state(s->peer[i]) == MX_PEER_UP)
			return MX_OK;
		if (mx_peer_state(s->peer[i]) == MX_PEER_REFUSED)
			no = s->peer[i];
	}
	if (!no)
		return MX_OK;
	if (!s->refused_at)
		s->refused_at = now;
	if (now - s->refused_at < OTHERS)
		return MX_OK;
	*who = *mx_peer_addr(no);
	return mx_peer_reject(no) ? mx_peer_reject(no) : MX_ST_UNREACHABLE;
}
EXPORT_SYMBOL_GPL(mxk_seeds_refused);

const char *mxk_seeds_cipher(const struct mxk_seeds *s)
{
	enum mx_suite suite = MX_SUITE_NONE;

	for (u32 i = 0; i < s->n && suite == MX_SUITE_NONE; i++)
		suite = mx_peer_suite(s->peer[i]);
	switch (suite) {
	case MX_SUITE_CHACHA20_POLY1305:
		return "encrypted by ChaCha20-Poly1305";
	case MX_SUITE_AES256_GCM:
		return "encrypted by AES-256-GCM";
	default:
		return "not encrypted";
	}
}
EXPORT_SYMBOL_GPL(mxk_seeds_cipher);

const char *mxk_refusal(enum mx_status st)
{
	switch (st) {
	case MX_ST_BAD_KEY:
		return "it does not accept the key: it is another pool's, or another volume's, or no key is used there";
	case MX_ST_NO_KEY:
		return "it wants its pool's key: give memxctl --key-file FILE (key-file= in "
		       "/etc/memx/volumes or client.conf), or the module key=" MXK_KEY_DESC;
	case MX_ST_BAD_VERSION:
		return "it speaks another version of the protocol; install the same release on both";
	default:
		return mx_status_str(st);
	}
}
EXPORT_SYMBOL_GPL(mxk_refusal);

void mxk_seeds_put(struct mxk_seeds *s)
{
	while (s->n)
		mx_peer_put(s->peer[--s->n]);
}
EXPORT_SYMBOL_GPL(mxk_seeds_put);
