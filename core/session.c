/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions: the table by which a datagram finds its keys, the numbers that were
 * received, and how keys follow from a handshake.
 */
#include "ep_int.h"

/* ---- table ---- */

/* A session's place is the low bits of its index; different ones stay different in a
 * larger table. */
static bool grow(struct mx_ep *ep)
{
	u32 n = ep->nslots ? ep->nslots * 2 : 16, i;
	struct mx_slot *t;

	if (n > SESSIONS_MAX)
		return false;
	t = mx_alloc(ep, n * sizeof *t);
	if (!t)
		return false;
	for (i = 0; i < ep->nslots; i++) {
		struct mx_sess *s = ep->slots[i].s;

		if (s)
			t[s->local & (n - 1)].s = s;
	}
	mx_release(ep, ep->slots, ep->nslots * sizeof *t);
	ep->slots = t;
	ep->nslots = ep->slot_free = n;
	for (i = n; i--; ) {
		if (t[i].s)
			continue;
		t[i].next_free = ep->slot_free;
		ep->slot_free = i;
	}
	return true;
}

struct mx_sess *mx_sess_new(struct mx_peer *p, mx_ns now)
{
	struct mx_ep *ep = p->ep;
	struct mx_sess *s;
	u32 slot, high;

	if (ep->slot_free == ep->nslots && !grow(ep))
		return NULL;
	s = mx_alloc(ep, sizeof *s);
	if (!s)
		return NULL;
	slot = ep->slot_free;
	ep->slot_free = ep->slots[slot].next_free;
	ep->slots[slot].s = s;
	/* The rest is random, so that what was meant for an older session of this slot,
	 * for another endpoint at this address, or a guess, does not fit; not zero, so
	 * that an index never is. */
	high = 1 + (u32)mx_rand_below(ep, (1ull << 32) / ep->nslots - 1);
	s->local = slot + high * ep->nslots;
	s->peer = p;
	s->made = now;
	s->renew_at = ep->conf.rekey_packets;
	return s;
}

static void wipe_keys(struct mx_ep *ep, struct mx_sess *s)
{
	if (!s->keys)
		return;
	mx_aead_clear(&s->keys->tx);
	mx_aead_clear(&s->keys->rx);
	mx_wipe(s->keys, sizeof *s->keys);
	mx_release(ep, s->keys, sizeof *s->keys);
	s->keys = NULL;
}

void mx_sess_free(struct mx_ep *ep, struct mx_sess *s)
{
	u32 slot;

	if (!s)
		return;
	slot = s->local & (ep->nslots - 1);
	ep->slots[slot].s = NULL;
	ep->slots[slot].next_free = ep->slot_free;
	ep->slot_free = slot;
	wipe_keys(ep, s);
	mx_release(ep, s, sizeof *s);
}

/* Enough datagrams went one way: the client starts the next handshake. */
void mx_sess_renew(struct mx_sess *s, mx_ns now)
{
	struct mx_peer *p = s->peer;

	if (!p->initiator || s != p->cur)
		return;
	s->renew_at = ~0ull;	/* noted */
	p->renew = true;
	p->ping_at = now;
	mx_peer_arm(p);
}

/* ---- replay window ---- */

/*
 * A ring of words; word n / 64 % REPLAY_WORDS holds number n. It has one word
 * more than REPLAY_BITS need: the one that is being entered is cleared first.
 */
bool mx_replay_fresh(const struct mx_sess *s, u64 pktno)
{
	if (!pktno)
		return false;
	if (pktno > s->rx_top)
		return true;
	if (s->rx_top - pktno >= REPLAY_BITS)
		return false;
	return !(s->rx_seen[pktno / 64 % REPLAY_WORDS] & 1ull << pktno % 64);
}

void mx_replay_mark(struct mx_sess *s, u64 pktno)
{
	if (pktno > s->rx_top) {
		u64 word = s->rx_top / 64, last = pktno / 64;

		if (last - word >= REPLAY_WORDS) {
			memset(s->rx_seen, 0, sizeof s->rx_seen);
		} else {
			while (word++ < last)
				s->rx_seen[word % REPLAY_WORDS] = 0;
		}
		s->rx_top = pktno;
	}
	s->rx_seen[pktno / 64 % REPLAY_WORDS] |= 1ull << pktno % 64;
}

/* ---- keys ---- */

void mx_volume_key(u8 out[32], const u8 cluster[32], const char *volume)
{
	static const char label[] = "memx volume";	/* with its final zero */
	u8 buf[sizeof label + MX_NAME_MAX];
	u32 n = 0;

	memcpy(buf, label, sizeof label);
	while (n < MX_NAME_MAX && volume[n]) {
		buf[sizeof label + n] = (u8)volume[n];
		n++;
	}
	mx_hmac_sha256(out, cluster, 32, buf, sizeof label + n);
}

static void derive(u8 out[32], const u8 key[32], const char *label, u32 len)
{
	mx_hmac_sha256(out, key, 32, label, len);
}

void mx_prk(u8 prk[32], const u8 key[32], const u8 dh[32], const u8 *hello,
	    const u8 *server_random)
{
	static const char label[] = "memx session v1";
	const u32 n = sizeof label - 1;
	u8 buf[sizeof label - 1 + 4 * 32];

	memcpy(buf, label, n);
	memcpy(buf + n, dh, 32);
	memcpy(buf + n + 32, hello + MX_HELLO_RANDOM, 32);
	memcpy(buf + n + 64, server_random, 32);
	mx_hmac_sha256(buf + n + 96, "", 0, hello, MX_HELLO_COOKIE);
	mx_hmac_sha256(prk, key, 32, buf, sizeof buf);
	mx_wipe(buf, sizeof buf);
}

bool mx_sess_set_keys(struct mx_ep *ep, struct mx_sess *s, const u8 prk[32], u8 suite, bool client)
{
	u8 c[32], v[32];
	bool ok;

	wipe_keys(ep, s);
	s->keys = mx_alloc(ep, sizeof *s->keys);
	if (!s->keys)
		return false;
	derive(c, prk, "client", 6);
	derive(v, prk, "server", 6);
	ok = mx_aead_setkey(&s->keys->tx, suite, client ? c : v) &&
	     mx_aead_setkey(&s->keys->rx, suite, client ? v : c);
	s->suite = suite;
	mx_wipe(c, sizeof c);
	mx_wipe(v, sizeof v);
	if (!ok)
		wipe_keys(ep, s);
	return ok;
}

void mx_hello_mac(u8 mac[32], const u8 key[32], const u8 *hello)
{
	u8 k[32];

	derive(k, key, "hello", 5);
	mx_hmac_sha256(mac, k, 32, hello, MX_HELLO_MAC);
	mx_wipe(k, sizeof k);
}

void mx_welcome_mac(u8 mac[32], const u8 prk[32], const u8 *welcome)
{
	u8 k[32];

	derive(k, prk, "welcome", 7);
	mx_hmac_sha256(mac, k, 32, welcome, MX_WELCOME_MAC);
	mx_wipe(k, sizeof k);
}

/* Suites this side may use, a bit each. */
u8 mx_suites(const struct mx_ep *ep)
{
	u8 have = 0, s;

	for (s = MX_SUITE_CHACHA20_POLY1305; s <= MX_SUITE_AES256_GCM; s++)
		if (mx_aead_have(s))
			have |= (u8)(1u << s);
	return ep->conf.suites ? have & ep->conf.suites : have;
}

/* Proves that an address receives what is sent to it, without a memory of it. */
void mx_cookie(struct mx_ep *ep, u8 out[32], const struct mx_addr *a, const u8 *random, u64 slot)
{
	u8 buf[sizeof *a + 32 + 8];

	memcpy(buf, a, sizeof *a);
	memcpy(buf + sizeof *a, random, 32);
	mx_st64(buf + sizeof *a + 32, slot);
	mx_hmac_sha256(out, ep->cookie_secret, 32, buf, sizeof buf);
}
