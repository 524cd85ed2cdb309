// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys from the kernel's keyrings: see key.h. */
#include <keys/user-type.h>
#include <linux/key.h>
#include <linux/module.h>
#include <linux/string.h>
#include "core/desc.h"
#include "net/linux/key.h"

#define KEY_BYTES	32u

static int take_payload(struct mx_key *k, const u8 *p, u32 len)
{
	if (len < KEY_BYTES || len > KEY_BYTES + MX_NAME_MAX)
		return -EINVAL;
	memcpy(k->key, p, KEY_BYTES);
	k->kind = MX_KEY_CLUSTER;
	if (len == KEY_BYTES)
		return 0;
	k->kind = MX_KEY_VOLUME;
	memcpy(k->volume, p + KEY_BYTES, len - KEY_BYTES);
	return strlen(k->volume) == len - KEY_BYTES && mx_name_valid(k->volume) ? 0 : -EINVAL;
}

int mxk_key_read(const char *desc, struct mx_key *k)
{
	const struct user_key_payload *p;
	struct key *key;
	int rc;

	memset(k, 0, sizeof(*k));
	if (!strstarts(desc, MXK_KEY_PREFIX) || !desc[strlen(MXK_KEY_PREFIX)])
		return -EINVAL;
	/* No callout: a key that is not there is not asked for in user space. */
	key = request_key(&key_type_logon, desc, NULL);
	if (IS_ERR(key))
		return PTR_ERR(key);
	down_read(&key->sem);
	p = user_key_payload_locked(key);
	/* It may have been revoked since it was found. */
	rc = p ? take_payload(k, p->data, p->datalen) : -EKEYREVOKED;
	up_read(&key->sem);
	key_put(key);
	if (rc)
		memzero_explicit(k, sizeof(*k));
	return rc;
}
EXPORT_SYMBOL_GPL(mxk_key_read);

const char *mxk_key_error(int rc)
{
	switch (rc) {
	case -EINVAL:
		return "expected " MXK_KEY_DESC ", a key of type logon as `memxctl key load NAME` adds it";
	case -ENOKEY:
		return "there is no such key in the session's or the user's keyring; `memxctl key load NAME` adds it";
	case -EKEYEXPIRED:
		return "that key has expired";
	case -EKEYREVOKED:
		return "that key was revoked";
	case -EACCES:
		return "this process may not search for that key";
	default:
		return "that key cannot be read";
	}
}
EXPORT_SYMBOL_GPL(mxk_key_error);

void mxk_key_use(struct mx_ep_conf *c, const struct mx_key *k)
{
	if (k)
		c->key = *k;
	c->require_key = k && k->kind != MX_KEY_NONE;
}
EXPORT_SYMBOL_GPL(mxk_key_use);
