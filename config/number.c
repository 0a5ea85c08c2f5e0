/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.c - numbers with units, read without overflow and without guessing.
 *
 * No sign, no blanks, no 0x, no exponent, no fraction; a leading zero is
 * refused because it means octal to some and nothing to others.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/num.h"
#include "config/config.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits at s; *rest is what follows them. */
static int read_digits(const char *s, uint64_t *out, const char **rest)
{
	uint64_t v = 0;
	const char *p = s;
	bool fits = true;

	for (; *p >= '0' && *p <= '9'; p++)
		fits = fits && num_mul(v, 10, &v) &&
		       num_add(v, (uint64_t)(*p - '0'), &v);
	if (p == s || (s[0] == '0' && p - s > 1))
		return -EINVAL;
	*rest = p;
	*out = v;
	return fits ? 0 : -ERANGE;
}

static int read_with_unit(const char *s, const struct unit *units,
			  uint64_t *out)
{
	const char *rest = "";
	uint64_t v;
	int ret = read_digits(s, &v, &rest);

	if (ret == -EINVAL)
		return ret;
	for (; units->name != NULL; units++) {
		if (strcmp(rest, units->name) != 0)
			continue;
		if (ret < 0 || !num_mul(v, units->factor, &v))
			return -ERANGE;
		*out = v;
		return 0;
	}
	return -EINVAL;
}

int config_parse_u64(const char *s, uint64_t *out)
{
	static const struct unit units[] = {{"", 1}, {NULL, 0}};

	return read_with_unit(s, units, out);
}

int config_parse_ready(const char *s, struct config_ready *out)
{
	static const char console[] = "console:", after[] = "after:";

	*out = (struct config_ready){.on = READY_MARK};
	if (!s || !strcmp(s, "mark"))
		return 0;
	if (!strcmp(s, "idle")) {
		out->on = READY_IDLE;
		return 0;
	}
	if (!strncmp(s, console, strlen(console))) {
		out->on = READY_CONSOLE;
		out->text = s + strlen(console);
		return *out->text && strlen(out->text) <= READY_TEXT_MAX
			       ? 0
			       : -EINVAL;
	}
	if (strncmp(s, after, strlen(after)) != 0)
		return -EINVAL;
	out->on = READY_AFTER;
	if (config_parse_time_ms(s + strlen(after), &out->ms) < 0 ||
	    out->ms > READY_AFTER_MAX)
		return -EINVAL;
	return 0;
}

int config_parse_size(const char *s, uint64_t *out)
{
	static const struct unit units[] = {{"", 1},	       {"K", KIB},
					    {"M", MIB},	       {"G", GIB},
					    {"T", 1024 * GIB}, {NULL, 0}};

	return read_with_unit(s, units, out);
}

int config_parse_time_ms(const char *s, uint64_t *out)
{
	static const struct unit units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60000}, {NULL, 0}};

	if (strcmp(s, "0") == 0) {
		*out = 0;
		return 0;
	}
	return read_with_unit(s, units, out);
}
