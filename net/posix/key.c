/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core/desc.h"
#include "net/posix/key.h"
#include "net/posix/net.h"

#define KEY_FILE_MAX	4096

void mxp_key_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly 64 digits, then the end or white space. */
static bool parse_hex(const char *s, u8 key[32])
{
	for (unsigned i = 0; i < 32; i++) {
		int hi = hex_digit(s[2 * i]), lo;

		if (hi < 0)
			return false;
		lo = hex_digit(s[2 * i + 1]);
		if (lo < 0)
			return false;
		key[i] = (u8)(hi << 4 | lo);
	}
	return strspn(s + 64, " \t\r\n") == strlen(s + 64);
}

int mxp_key_parse(const char *text, const char *what, struct mx_key *k, char **err)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	memset(k, 0, sizeof *k);
	if (colon) {
		if (n > MX_NAME_MAX)
			n = 0;
		memcpy(k->volume, text, n);
		k->volume[n] = 0;
		k->kind = MX_KEY_VOLUME;
		if (!mx_name_valid(k->volume)) {
			*err = mxp_msg("%s: the part before \":\" is not a volume's name; a volume's key "
				       "is one line NAME:HEX (`memxctl volume key NAME` prints it)", what);
			goto bad;
		}
		text = colon + 1;
	} else {
		k->kind = MX_KEY_CLUSTER;
	}
	if (parse_hex(text, k->key))
		return 0;
	*err = mxp_msg("%s: not a key; expected 64 hex digits as `memxctl keygen` prints them, or "
		       "NAME:HEX for the key of one volume", what);
bad:
	mxp_key_wipe(k, sizeof *k);
	return -EINVAL;
}

static int find_line(char *text, const char *file, struct mx_key *k, char **err)
{
	char *save = NULL, *line, *found = NULL;

	for (line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			continue;
		if (found) {
			*err = mxp_msg("%s: more than one key in it; leave one", file);
			return -EINVAL;
		}
		found = line;
	}
	if (!found) {
		*err = mxp_msg("%s: no key in it; `memxctl keygen >%s` makes one", file, file);
		return -EINVAL;
	}
	return mxp_key_parse(found, file, k, err);
}

int mxp_key_load(const char *file, struct mx_key *k, char **err)
{
	char text[KEY_FILE_MAX];
	struct stat st;
	size_t n;
	FILE *f = fopen(file, "re");
	int rc;

	if (!f) {
		rc = -errno;
		*err = rc == -ENOENT ?
			mxp_msg("there is no key file %s; `memxctl keygen` makes a key for a new pool, "
				"an existing pool's is on its servers", file) :
			mxp_msg("cannot read the key file %s: %s; it must be readable by the user "
				"this program runs as", file, strerror(-rc));
		return rc;
	}
	if (!fstat(fileno(f), &st) && S_ISREG(st.st_mode) && (st.st_mode & 007)) {
		*err = mxp_msg("the key file %s may be read by everybody on this machine; "
			       "`chmod o= %s` first (and make a new key if others had access)",
			       file, file);
		fclose(f);
		return -EPERM;
	}
	setvbuf(f, NULL, _IONBF, 0);	/* no copy of the key in a buffer */
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	rc = strlen(text) == n ? find_line(text, file, k, err) : -EINVAL;
	if (rc && !*err)
		*err = mxp_msg("%s: not a key file (it has binary data); expected one line of 64 "
			       "hex digits", file);
	mxp_key_wipe(text, sizeof text);
	return rc;
}

void mxp_key_str(const struct mx_key *k, char *buf)
{
	if (k->kind == MX_KEY_VOLUME)
		buf += sprintf(buf, "%s:", k->volume);
	for (unsigned i = 0; i < 32; i++)
		buf += sprintf(buf, "%02x", k->key[i]);
}
