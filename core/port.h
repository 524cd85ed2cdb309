/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's port: all it takes from its surroundings.
 *
 * core/ compiles unchanged into user-space programs, kernel modules and the
 * simulator. This is the only header of the core that asks which of them it is
 * in, and the only system header any core file includes. Below are
 *  - types, byte order and the four mem* functions,
 *  - functions without a state of their own that each surrounding links in (checksum,
 *    cryptography),
 *  - struct mx_port, the table of what differs from one instance to another
 *    (memory, randomness, request buffers).
 *
 * The core has no clock, lock, thread, socket, float or global. Time comes in
 * with each call as mx_ns: nanoseconds of any monotonic clock.
 */
#ifndef MEMX_CORE_PORT_H
#define MEMX_CORE_PORT_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/string.h>
#include <linux/stddef.h>
#include <linux/limits.h>
#else
#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int32_t s32;
typedef int64_t s64;
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
#endif

typedef u64 mx_ns;			/* time: nanoseconds, monotonic */
#define MX_NEVER	(~(mx_ns)0)	/* "no deadline" */
#define MX_US		1000ull
#define MX_MS		1000000ull
#define MX_SEC		1000000000ull

/* Members that can be named one by one, or together as @name of type struct @tag. */
#define MX_STRUCT_GROUP(tag, name, ...) \
	union { struct { __VA_ARGS__ }; struct tag { __VA_ARGS__ } name; }
#define MX_BUILD_ASSERT(c)	_Static_assert(c, #c)
#define mx_container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define MX_ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static inline u32 mx_min_u32(u32 a, u32 b) { return a < b ? a : b; }
static inline u32 mx_max_u32(u32 a, u32 b) { return a > b ? a : b; }
static inline u64 mx_min_u64(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 mx_max_u64(u64 a, u64 b) { return a > b ? a : b; }

/* Little-endian loads and stores on unaligned bytes. */
static inline u16 mx_ld16(const void *p)
{
	const u8 *b = p;
	return (u16)(b[0] | b[1] << 8);
}
static inline u32 mx_ld32(const void *p)
{
	const u8 *b = p;
	return b[0] | (u32)b[1] << 8 | (u32)b[2] << 16 | (u32)b[3] << 24;
}
static inline u64 mx_ld64(const void *p)
{
	return mx_ld32(p) | (u64)mx_ld32((const u8 *)p + 4) << 32;
}
static inline void mx_st16(void *p, u16 v)
{
	u8 *b = p;
	b[0] = (u8)v; b[1] = (u8)(v >> 8);
}
static inline void mx_st32(void *p, u32 v)
{
	u8 *b = p;
	b[0] = (u8)v; b[1] = (u8)(v >> 8); b[2] = (u8)(v >> 16); b[3] = (u8)(v >> 24);
}
static inline void mx_st64(void *p, u64 v)
{
	mx_st32(p, (u32)v);
	mx_st32((u8 *)p + 4, (u32)(v >> 32));
}

/* A doubly linked list; an element is in at most one list by each node. */
struct mx_list { struct mx_list *next, *prev; };
static inline void mx_list_init(struct mx_list *l) { l->next = l->prev = l; }
static inline bool mx_list_empty(const struct mx_list *l) { return l->next == l; }
static inline void mx_list_add_tail(struct mx_list *l, struct mx_list *n)
{
	n->prev = l->prev; n->next = l; l->prev->next = n; l->prev = n;
}
static inline void mx_list_add_head(struct mx_list *l, struct mx_list *n)
{
	n->next = l->next; n->prev = l; l->next->prev = n; l->next = n;
}
/* Leaves @n initialised, so that mx_list_empty(n) tells "in no list". */
static inline void mx_list_del(struct mx_list *n)
{
	n->prev->next = n->next; n->next->prev = n->prev;
	mx_list_init(n);
}
#define mx_list_entry(n, type, member)	mx_container_of(n, type, member)
/* All of @from becomes @to, and @from empty. */
static inline void mx_list_take(struct mx_list *to, struct mx_list *from)
{
	mx_list_init(to);
	if (mx_list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	mx_list_init(from);
}

#define mx_list_for_each(pos, head) \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)
#define mx_list_for_each_safe(pos, tmp, head) \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); \
	     (pos) = (tmp), (tmp) = (pos)->next)

/* ---- linked in: callable from any context; they fail only where they say so ---- */

/* CRC32C (Castagnoli, reflected 0x82f63b78), without pre- or post-inversion:
 * mx_crc32c(mx_crc32c(s, a, n), b, m) is the CRC over a then b. */
u32 mx_crc32c(u32 seed, const void *p, size_t n);

/* CRCs of @nblocks consecutive 512-byte blocks, block i started from seeds[i].
 * If @dst is not NULL the data is copied there in the same pass. */
void mx_crc32c_blocks(void *dst, const void *src, u32 nblocks,
		      const u32 *seeds, u32 *crcs);

/* HMAC-SHA-256 (RFC 2104), 32 bytes out. */
void mx_hmac_sha256(u8 out[32], const void *key, size_t key_len,
		    const void *data, size_t len);

/* X25519 (RFC 7748). mx_x25519 returns false for a low-order point, or without memory. */
bool mx_x25519(u8 out[32], const u8 scalar[32], const u8 point[32]);
void mx_x25519_base(u8 out[32], const u8 scalar[32]);

enum mx_suite {
	MX_SUITE_NONE = 0,		/* plain */
	MX_SUITE_CHACHA20_POLY1305 = 1,	/* RFC 8439, always there */
	MX_SUITE_AES256_GCM = 2,	/* where the machine is fast at it */
};
bool mx_aead_have(enum mx_suite suite);

/* A key prepared for use; the surrounding keeps in it what it wants: the key itself, or
 * a handle of the library that has it. Used from one thread at a time. */
struct mx_aead_key {
	u8 suite;
	u8 raw[32];
	void *handle;
};
/* @k is zeroed, or was cleared. Not for the path of a block request, as it may take
 * memory. False: there is none; the session is not made, and @k is as it was. */
bool mx_aead_setkey(struct mx_aead_key *k, enum mx_suite suite, const u8 key[32]);
/* Wipes the key and gives back what setkey took; leaves @k zeroed. Of a zeroed one: nothing. */
void mx_aead_clear(struct mx_aead_key *k);
/* Seals in place: buf[0..len) plain -> cipher, 16-byte tag at buf + len.
 * Nonce: 4 zero bytes, then @pktno little-endian. */
void mx_aead_seal(const struct mx_aead_key *k, u64 pktno, const void *aad,
		  size_t aad_len, u8 *buf, size_t len);
/* Opens in place, @len without the tag. False: forged or damaged, and buf's
 * content is then undefined. */
bool mx_aead_open(const struct mx_aead_key *k, u64 pktno, const void *aad,
		  size_t aad_len, u8 *buf, size_t len);

/* ---- per instance ---- */

/*
 * A block request's data as the surrounding holds it (iovecs, bio, grants):
 * the core only ever names (buf, byte offset, length).
 */
struct mx_port {
	void *ctx;	/* given back as the first argument below */

	/* May this machine be stopped without its clock telling, as virtual ones are? A lease
	 * is no proof then, and what only a client's map tells (holes, block status) is first
	 * confirmed by a majority of holders: a round trip. */
	bool clock_stops;

	/* Memory for control structures. Called when an instance, a volume, a
	 * peer is set up and from control messages, never from the path of a
	 * block request. May fail (NULL). alloc zeroes. @size is told to free. */
	void *(*alloc)(void *ctx, size_t size);
	/* The same for a volume's page map, of which there can be much: not out of what is
	 * kept for emergencies. NULL: alloc does. */
	void *(*alloc_map)(void *ctx, size_t size);
	void (*free)(void *ctx, void *p, size_t size);

	/* Fills with random bytes (cryptographic outside the simulator). */
	void (*random)(void *ctx, void *buf, size_t len);

	/* A server's 4 KiB data pages. page_get takes from a pool that is
	 * filled elsewhere: NULL means "not now" (busy). The content of a page
	 * got is undefined. page_put gives back (and scrubs, as the port sees
	 * fit). Clients leave both NULL. */
	void *(*page_get)(void *ctx);
	void (*page_put)(void *ctx, void *page);
	/* Does something outside, such as a datagram that is being sent, still
	 * refer to the page? It is then put instead of being filled anew at once.
	 * NULL: never, the carrier copies. */
	bool (*page_busy)(void *ctx, void *page);

	/* A client's request buffers. All offsets and lengths are multiples of
	 * 512 bytes. Servers leave these NULL. */
	/* CRCs of what will be sent. If @stable the port must (once per
	 * request) take a copy that cannot change any more and from then on
	 * send that copy; it returns false if it cannot now. */
	bool (*buf_crc)(void *ctx, void *buf, u32 off, u32 nblocks,
			const u32 *seeds, u32 *crcs, bool stable);
	/* Copies received data in; false if a block's CRC differs (content of
	 * that range is then undefined and will be fetched again). */
	bool (*buf_put)(void *ctx, void *buf, u32 off, const void *src,
			u32 nblocks, const u32 *seeds, const u32 *crcs);
	void (*buf_zero)(void *ctx, void *buf, u32 off, u32 len);

	/* One line for the log; NULL: none wanted. */
	void (*log)(void *ctx, int level, const char *line);
};
enum { MX_LOG_ERR, MX_LOG_WARN, MX_LOG_INFO, MX_LOG_DEBUG };

#endif
