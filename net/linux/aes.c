// SPDX-License-Identifier: GPL-2.0-or-later
/* AES-256-GCM by the crypto API: see aes.h. */
#define pr_fmt(fmt) "memx: " fmt
#include <asm/simd.h>
#include <crypto/aead.h>
#include <crypto/internal/simd.h>
#include <linux/kmod.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "core/wire.h"
#include "net/linux/aes.h"

#define TAG		16u
#define AT_HAND		32u	/* transforms: what 16 sessions made at once need */
/* A datagram that lies in vmalloc memory, page by page, and its associated data. */
#define SG_MAX		(MX_DGRAM_MAX / PAGE_SIZE + 4)

static bool aes = true;
module_param(aes, bool, 0444);
MODULE_PARM_DESC(aes, "offer AES-256-GCM where the processor has instructions for it (default on)");

struct mxk_aes {
	struct list_head node;		/* in pool.free */
	struct crypto_aead *tfm;
	struct scatterlist sg[SG_MAX];
	u8 iv[12];
	struct aead_request req;	/* the last: its context follows */
};

static struct {
	spinlock_t lock;
	struct list_head free;		/* lock */
	u32 nfree;			/* lock */
	bool have;
	bool stopping;
	struct work_struct refill;
} pool = { .lock = __SPIN_LOCK_UNLOCKED(pool.lock), .free = LIST_HEAD_INIT(pool.free) };

/* ---- transforms ---- */

/*
 * Up to 6.15 the x86 implementations are internal ones with a wrapper in front, later
 * the plain name is theirs. Others than by the processor's instructions are slow, and
 * their time depends on the key.
 */
static struct crypto_aead *new_tfm(void)
{
	struct crypto_aead *t = crypto_alloc_aead("__gcm(aes)", CRYPTO_ALG_INTERNAL,
						  CRYPTO_ALG_INTERNAL | CRYPTO_ALG_ASYNC);
	const char *driver;

	if (IS_ERR(t))
		t = crypto_alloc_aead("gcm(aes)", 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(t))
		return NULL;
	driver = crypto_tfm_alg_driver_name(crypto_aead_tfm(t));
	if ((strstr(driver, "aesni") || strstr(driver, "vaes")) &&
	    !crypto_aead_setauthsize(t, TAG) && crypto_aead_ivsize(t) == 12)
		return t;
	crypto_free_aead(t);
	return NULL;
}

static struct mxk_aes *new_aes(void)
{
	struct crypto_aead *t = new_tfm();
	struct mxk_aes *a;

	if (!t)
		return NULL;
	a = kzalloc(sizeof(*a) + crypto_aead_reqsize(t), GFP_KERNEL);
	if (!a) {
		crypto_free_aead(t);
		return NULL;
	}
	a->tfm = t;
	aead_request_set_tfm(&a->req, t);
	aead_request_set_callback(&a->req, 0, NULL, NULL);
	return a;
}

static void free_aes(struct mxk_aes *a)
{
	crypto_free_aead(a->tfm);
	kfree_sensitive(a);
}

/* ---- pool ---- */

static struct mxk_aes *take(void)
{
	struct mxk_aes *a;

	spin_lock_bh(&pool.lock);
	a = list_first_entry_or_null(&pool.free, struct mxk_aes, node);
	if (a) {
		list_del(&a->node);
		pool.nfree--;
	}
	if (pool.nfree < AT_HAND / 2 && pool.have && !pool.stopping)
		queue_work(system_unbound_wq, &pool.refill);
	spin_unlock_bh(&pool.lock);
	return a;
}

static void give(struct mxk_aes *a)
{
	spin_lock_bh(&pool.lock);
	list_add(&a->node, &pool.free);
	pool.nfree++;
	if (pool.nfree > 2 * AT_HAND && !pool.stopping)
		queue_work(system_unbound_wq, &pool.refill);
	spin_unlock_bh(&pool.lock);
}

/* Towards AT_HAND, from either side. */
static void refill(struct work_struct *work)
{
	struct mxk_aes *a;

	while (READ_ONCE(pool.nfree) < AT_HAND) {
		a = new_aes();
		if (!a)
			return;
		give(a);
	}
	while (READ_ONCE(pool.nfree) > 2 * AT_HAND) {
		a = take();
		if (!a)
			return;
		free_aes(a);
	}
}

void mxk_aes_init(void)
{
	INIT_WORK(&pool.refill, refill);
	if (!aes)
		return;
	/* No alias leads from the internal name to the module. */
	request_module("crypto-aes");
	refill(&pool.refill);
	pool.have = pool.nfree >= 2;
}

void mxk_aes_exit(void)
{
	struct mxk_aes *a;

	pool.stopping = true;
	cancel_work_sync(&pool.refill);
	while ((a = take()) != NULL)
		free_aes(a);
}

bool mxk_aes_have(void)
{
	return pool.have;
}

bool mxk_aes_ready(void)
{
	return crypto_simd_usable();
}

struct mxk_aes *mxk_aes_get(const u8 key[32])
{
	struct mxk_aes *a = take();

	if (a && crypto_aead_setkey(a->tfm, key, 32)) {
		give(a);
		a = NULL;
	}
	return a;
}

void mxk_aes_put(struct mxk_aes *a)
{
	static const u8 none[32];

	if (!a)
		return;
	crypto_aead_setkey(a->tfm, none, sizeof(none));
	give(a);
}

/* ---- use ---- */

/* Appends [p, p + len) to the table; the number of entries then used, 0: does not fit. */
static u32 add_sg(struct scatterlist *sg, u32 n, const u8 *p, size_t len)
{
	while (len) {
		size_t step = len;
		struct page *page;

		if (is_vmalloc_addr(p)) {
			step = min_t(size_t, len, PAGE_SIZE - offset_in_page(p));
			page = vmalloc_to_page(p);
		} else {
			page = virt_to_page(p);
		}
		if (n == SG_MAX)
			return 0;
		sg_set_page(&sg[n++], page, step, offset_in_page(p));
		p += step;
		len -= step;
	}
	return n;
}

/* @len is of all that is after the associated data, the tag too when it is there. */
static bool prepare(struct mxk_aes *a, u64 pktno, const void *aad, size_t aad_len, u8 *buf,
		    size_t room, size_t len)
{
	u32 n;

	if (WARN_ON_ONCE(!mxk_aes_ready()))
		return false;
	sg_init_table(a->sg, SG_MAX);
	if ((const u8 *)aad + aad_len == buf)
		n = add_sg(a->sg, 0, aad, aad_len + room);
	else
		n = add_sg(a->sg, add_sg(a->sg, 0, aad, aad_len), buf, room);
	if (!n)
		return false;
	sg_mark_end(&a->sg[n - 1]);
	memset(a->iv, 0, 4);
	mx_st64(a->iv + 4, pktno);
	aead_request_set_ad(&a->req, aad_len);
	aead_request_set_crypt(&a->req, a->sg, a->sg, len, a->iv);
	return true;
}

bool mxk_aes_seal(struct mxk_aes *a, u64 pktno, const void *aad, size_t aad_len, u8 *buf,
		  size_t len)
{
	return prepare(a, pktno, aad, aad_len, buf, len + TAG, len) &&
	       !crypto_aead_encrypt(&a->req);
}

bool mxk_aes_open(struct mxk_aes *a, u64 pktno, const void *aad, size_t aad_len, u8 *buf,
		  size_t len)
{
	return prepare(a, pktno, aad, aad_len, buf, len + TAG, len + TAG) &&
	       !crypto_aead_decrypt(&a->req);
}
