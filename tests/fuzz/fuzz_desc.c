/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors and bodies of control calls: no input is read out of bounds, and
 * what decodes encodes to the very bytes it came from (nodes' names apart, which
 * decoding makes printable: it is then a second decoding that must agree).
 */
#include <stdlib.h>
#include "core/desc.h"

static void need(int ok)
{
	if (!ok)
		abort();
}

static u8 out[MX_CTL_BODY_MAX], again[MX_CTL_BODY_MAX];
static struct mx_desc desc, desc2;

/* Encoding is stable from the first decoding on. */
#define ROUND(type, name, ...)								\
	do {										\
		struct type r, r2;							\
		u32 n, n2;								\
		memset(&r, 0, sizeof r);						\
		memset(&r2, 0, sizeof r2);						\
		if (name##_decode(p, len, &r, ##__VA_ARGS__)) {				\
			n = name##_encode(out, sizeof out, &r);				\
			need(n == len);							\
			need(name##_decode(out, n, &r2, ##__VA_ARGS__));		\
			n2 = name##_encode(again, sizeof again, &r2);			\
			need(n2 == n && memcmp(out, again, n) == 0);			\
			need(!n || name##_encode(again, n - 1, &r2) == 0);		\
		}									\
	} while (0)

/* What precedes the descriptor in an ACCEPT or SEAL decodes into @r; the head that a
 * server keeps of it is what the whole says. */
#define CLAIMED(name)									\
	do {										\
		struct mx_desc_head head;						\
		struct name r;								\
		u32 n;									\
		if (name##_decode(p, len, &r, &head)) {					\
			need(mx_desc_decode(p + MX_ACCEPT_FIXED, len - MX_ACCEPT_FIXED, &desc, NULL)); \
			need(memcmp(&head, &desc.head, sizeof head) == 0);		\
			r.desc = &desc;							\
			n = name##_encode(out, sizeof out, &r);				\
			need(n == len && name##_decode(out, n, &r, &head));		\
		}									\
	} while (0)

static void one(const u8 *p, u32 len, u32 what)
{
	struct mx_hstate h = { .desc = &desc };
	struct mx_list_entry le;
	struct mx_ext_entry xe;
	struct mx_addr a;
	struct mx_node node;
	u32 used;

	switch (what) {
	case 0:
		if (mx_desc_decode(p, len, &desc, &used)) {
			need(used <= len && used == mx_desc_encoded(&desc));
			need(mx_desc_encode(out, sizeof out, &desc) == used);
			need(mx_desc_decode(out, used, &desc2, NULL));
			need(memcmp(&desc, &desc2, sizeof desc) == 0);
		}
		break;
	case 1:
		if (mx_hstate_decode(p, len, &h, &used))
			need(used <= len && mx_hstate_encode(out, sizeof out, &h) == used);
		break;
	case 2: ROUND(mx_lookup_req, mx_lookup_req); break;
	case 3: ROUND(mx_list_req, mx_list_req); break;
	case 4: ROUND(mx_reserve_req, mx_reserve_req); break;
	case 5: ROUND(mx_prepare_req, mx_prepare_req); break;
	case 6: CLAIMED(mx_accept_req); break;
	case 7: CLAIMED(mx_seal_req); break;
	case 8: ROUND(mx_lease_req, mx_lease_req); break;
	case 9: ROUND(mx_bits_req, mx_bits_req); break;
	case 10: ROUND(mx_bits_get_req, mx_bits_get_req); break;
	case 11: ROUND(mx_list_ext_req, mx_list_ext_req); break;
	case 12: ROUND(mx_drop_ext_req, mx_drop_ext_req); break;
	case 13: ROUND(mx_drop_vol_req, mx_drop_vol_req); break;
	case 14:
		if (mx_list_entry_decode(p, len, &le))
			need(mx_list_entry_encode(out, sizeof out, &le) == 224);
		break;
	case 15:
		if (mx_ext_entry_decode(p, len, &xe)) {
			need(mx_ext_entry_encode(out, sizeof out, &xe) == 24);
			need(memcmp(out, p, 24) == 0);
		}
		break;
	case 16:
		if (len >= MX_ADDR_WIRE && mx_addr_decode(p, &a)) {
			need(mx_addr_encode(out, &a) == MX_ADDR_WIRE);
			need(memcmp(out, p, MX_ADDR_WIRE) == 0);
		}
		break;
	default:
		if (len >= MX_NODE_WIRE) {
			mx_node_decode(p, &node);
			need(mx_node_encode(out, &node) == MX_NODE_WIRE);
			mx_node_decode(out, &node);
			need(mx_node_encode(again, &node) && memcmp(out, again, 80) == 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u8 *copy;
	u32 len;

	if (size < 1 || size > MX_CTL_BODY_MAX)
		return 0;
	/* An exact copy, so that the sanitizer sees one byte too far. */
	len = (u32)size - 1;
	copy = malloc(len ? len : 1);
	memcpy(copy, data + 1, len);
	one(copy, len, data[0] % 18);
	free(copy);
	return 0;
}
