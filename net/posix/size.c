/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/posix/net.h"
#include "net/posix/size.h"

static const char units[] = "KMGTP";

/* Exponent of 1024 that @unit stands for; -1: none does. */
static int unit_power(const char *unit)
{
	const char *u;

	if (!*unit || !strcasecmp(unit, "B"))
		return 0;
	u = strchr(units, toupper((unsigned char)*unit));
	if (!u || (unit[1] && strcasecmp(unit + 1, "iB")))
		return -1;
	return (int)(u - units) + 1;
}

static bool refuse(const char *s, const char *what, const char *why, char **err)
{
	*err = mxp_msg("%s: \"%s\" %s; expected a number of bytes, maybe with K, M, G or T behind "
		       "it (1024, 1024 times 1024, ...), as 512M or 10G", what, s, why);
	return false;
}

bool mxp_size_parse(const char *s, const char *what, u64 *bytes, char **err)
{
	const char *p = s;
	u64 whole = 0, unit, frac = 0, scale = 1;
	int power;

	for (; isdigit((unsigned char)*p); p++) {
		if (whole > (1ull << 60) / 10)
			return refuse(s, what, "is more than any machine has", err);
		whole = whole * 10 + (u64)(*p - '0');
	}
	if (p == s)
		return refuse(s, what, "is not a size", err);
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++)
			if (scale < 1000000) {
				frac = frac * 10 + (u64)(*p - '0');
				scale *= 10;
			}
	}
	power = unit_power(p);
	if (power < 0)
		return refuse(s, what, "has a unit that is not known", err);
	if (frac && !power)
		return refuse(s, what, "is not a whole number of bytes", err);
	unit = 1ull << (10 * power);
	if (whole > (1ull << 62) / unit)
		return refuse(s, what, "is more than any machine has", err);
	*bytes = whole * unit + (u64)((unsigned __int128)frac * unit / scale);
	return true;
}

char *mxp_size_str(u64 bytes, char *buf)
{
	double v = (double)bytes;
	int power = 0;

	while (v >= 1024 && power < 5) {
		v /= 1024;
		power++;
	}
	if (!power)
		snprintf(buf, MXP_SIZE_STR, "%llu B", (unsigned long long)bytes);
	else
		snprintf(buf, MXP_SIZE_STR, v < 100 ? "%.1f %ciB" : "%.0f %ciB", v, units[power - 1]);
	return buf;
}
