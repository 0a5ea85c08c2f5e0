/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - one value between its text and struct vm_config.
 *
 * value_set and value_text are each other's inverse for every key.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "config/config_priv.h"

#define PATH_BYTES_MAX 4095

static int refuse(struct why *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* What a message says that the key takes. */
static const char *kind_text(const struct key *k)
{
	switch (k->kind) {
	case KEY_SIZE:
		return "a size such as 64M";
	case KEY_TIME:
		return "a time such as 500ms or 2s";
	case KEY_COUNT:
		return "a number";
	case KEY_MODE:
		return "an octal mode such as 0600";
	case KEY_NAME:
		return "a name";
	case KEY_PATH:
		return "a path";
	default:
		return k->info.type;
	}
}

int value_unexpected(struct why *why, const struct key *k, const char *text)
{
	struct quoted q;

	return refuse(why, "found %s, expected %s%s%s",
		      text[0] == '\0' ? "nothing" : quote(&q, text),
		      kind_text(k), k->info.range[0] != '\0' ? ", " : "",
		      k->info.range);
}

static void *field(struct vm_config *c, const struct key *k)
{
	return (char *)c + k->off;
}

static uint64_t get_number(const struct vm_config *c, const struct key *k)
{
	const char *at = (const char *)c + k->off;

	if (k->kind == KEY_SIZE || k->kind == KEY_TIME)
		return *(const uint64_t *)(const void *)at;
	return *(const uint32_t *)(const void *)at;
}

static void put_number(struct vm_config *c, const struct key *k, uint64_t v)
{
	if (k->kind == KEY_SIZE || k->kind == KEY_TIME)
		*(uint64_t *)field(c, k) = v;
	else
		*(uint32_t *)field(c, k) = (uint32_t)v;
}

static bool in_range(const struct key *k, uint64_t v)
{
	return v >= k->min && v <= k->max && (k->step == 0 || v % k->step == 0);
}

static int parse_mode(const char *s, uint64_t *out)
{
	uint64_t v = 0;
	size_t len = strspn(s, "01234567");

	if (len == 0 || len > 4 || s[len] != '\0')
		return -EINVAL;
	while (*s != '\0')
		v = v * 8 + (uint64_t)(*s++ - '0');
	*out = v;
	return 0;
}

static int set_number(struct vm_config *c, const struct key *k,
		      const char *text, struct why *why)
{
	uint64_t v = 0;
	int ret;

	if ((k->flags & KEY_AUTO) && strcmp(text, "auto") == 0) {
		put_number(c, k, 0);
		return 0;
	}
	if (k->kind == KEY_SIZE)
		ret = config_parse_size(text, &v);
	else if (k->kind == KEY_TIME)
		ret = config_parse_time_ms(text, &v);
	else if (k->kind == KEY_MODE)
		ret = parse_mode(text, &v);
	else
		ret = config_parse_u64(text, &v);
	if (ret < 0 || !in_range(k, v))
		return value_unexpected(why, k, text);
	put_number(c, k, v);
	return 0;
}

static int set_psci(struct vm_config *c, const struct key *k, const char *text,
		    struct why *why)
{
	char major[3] = "";
	uint64_t hi, lo;
	const char *dot;

	if (strcmp(text, "auto") == 0) {
		put_number(c, k, PSCI_DEFAULT);
		return 0;
	}
	if (strcmp(text, "host") == 0) {
		put_number(c, k, PSCI_HOST);
		return 0;
	}
	dot = strchr(text, '.');
	if (!dot || dot == text || dot - text > 2 || strlen(dot + 1) > 2)
		return value_unexpected(why, k, text);
	memcpy(major, text, (size_t)(dot - text));
	/* No sscanf: it would bring 100 KiB of floats into a static mote. */
	if (config_parse_u64(major, &hi) < 0 ||
	    config_parse_u64(dot + 1, &lo) < 0)
		return value_unexpected(why, k, text);
	put_number(c, k, hi << 16 | lo);
	return 0;
}

static int set_bool(struct vm_config *c, const struct key *k, const char *text,
		    struct why *why)
{
	static const char *const words[] = {"no",   "yes", "false",
					    "true", "off", "on"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field(c, k) = i % 2 == 1;
			return 0;
		}
	return value_unexpected(why, k, text);
}

static int set_choice(struct vm_config *c, const struct key *k,
		      const char *text, unsigned int arch, struct why *why)
{
	const struct choice *ch = k->choices;
	char only[48], here[48];

	while (ch->name != NULL && strcmp(ch->name, text) != 0)
		ch++;
	if (ch->name == NULL)
		return value_unexpected(why, k, text);
	if (!(ch->arch & arch))
		return refuse(why, "'%s' is only for %s, this is %s", text,
			      keys_arch_text(ch->arch, only, sizeof(only)),
			      keys_arch_text(arch, here, sizeof(here)));
	if (ch->later)
		return refuse(why, "'%s': not in this version yet", text);
	*(int *)field(c, k) = ch->value;
	return 0;
}

static bool is_name(const char *s, const char *extra, size_t max)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(s);

	if (len == 0 || len > max || strchr(extra, s[0]) != NULL)
		return false;
	for (; *s != '\0'; s++)
		if (strchr(alnum, *s) == NULL && strchr(extra, *s) == NULL)
			return false;
	return true;
}

/* A number that is an id, or what could be a name; not looked up here. */
static bool is_account(const char *s, size_t max)
{
	uint64_t id;

	if (s[0] >= '0' && s[0] <= '9')
		return config_parse_u64(s, &id) == 0 && id < UINT32_MAX;
	return is_name(s[0] == '_' ? s + 1 : s, "_.-", max);
}

static int check_string(const struct key *k, const char *text, struct why *why)
{
	size_t len = strlen(text);

	if (k->kind == KEY_NAME && !is_name(text, "._-", k->max))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_ACCOUNT && !is_account(text, k->max))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_PATH && len == 0)
		return value_unexpected(why, k, text);
	if (k->kind == KEY_PATH && len > PATH_BYTES_MAX)
		return refuse(why, "found %zu bytes, expected at most %d", len,
			      PATH_BYTES_MAX);
	if (k->kind == KEY_TEXT && len > k->max)
		return refuse(why, "found %zu bytes, expected at most %" PRIu64,
			      len, k->max);
	return value_writable(k->info.key, text, why);
}

static int set_string(struct vm_config *c, const struct key *k,
		      const char *text, const char *dir, struct why *why)
{
	cleanup_free char *copy = NULL;
	char **slot = field(c, k);
	int ret;

	/* An empty path must not become its directory. */
	if (k->kind != KEY_PATH || text[0] == '/' || text[0] == '\0')
		dir = NULL;
	if (asprintf(&copy, "%s%s%s", dir != NULL ? dir : "",
		     dir != NULL ? "/" : "", text) < 0) {
		copy = NULL;
		return -ENOMEM;
	}
	ret = check_string(k, copy, why);
	if (ret < 0)
		return ret;
	free(*slot);
	*slot = copy[0] != '\0' ? ptr_steal(&copy) : NULL;
	return 0;
}

int value_set(struct vm_config *c, const struct key *k, const char *text,
	      const char *dir, unsigned int arch, struct why *why)
{
	char only[48], here[48];

	if (!(k->info.arch & arch))
		return refuse(why, "only for %s, this is %s",
			      keys_arch_text(k->info.arch, only, sizeof(only)),
			      keys_arch_text(arch, here, sizeof(here)));

	switch (k->kind) {
	case KEY_LATER:
		break;
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_ACCOUNT:
	case KEY_PATH:
		return set_string(c, k, text, dir, why);
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_COUNT:
	case KEY_MODE:
		return set_number(c, k, text, why);
	case KEY_BOOL:
		return set_bool(c, k, text, why);
	case KEY_CHOICE:
		return set_choice(c, k, text, arch, why);
	case KEY_PSCI:
		return set_psci(c, k, text, why);
	}
	return refuse(why, "not in this version yet");
}

static const char *size_text(uint64_t v, char *buf, size_t size)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	size_t n = 0;

	while (v != 0 && v % 1024 == 0 && n + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		n++;
	}
	snprintf(buf, size, "%" PRIu64 "%s", v, units[n]);
	return buf;
}

static const char *time_text(uint64_t ms, char *buf, size_t size)
{
	if (ms == 0)
		snprintf(buf, size, "0");
	else if (ms % 60000 == 0)
		snprintf(buf, size, "%" PRIu64 "m", ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(buf, size, "%" PRIu64 "s", ms / 1000);
	else
		snprintf(buf, size, "%" PRIu64 "ms", ms);
	return buf;
}

static const char *psci_text(uint64_t v, char *buf, size_t size)
{
	if (v == PSCI_DEFAULT)
		return "auto";
	if (v == PSCI_HOST)
		return "host";
	snprintf(buf, size, "%" PRIu64 ".%" PRIu64, v >> 16, v & 0xffff);
	return buf;
}

static const char *choice_text(const struct vm_config *c, const struct key *k)
{
	int v = *(const int *)(const void *)((const char *)c + k->off);
	const struct choice *ch = k->choices;

	while (ch->name != NULL && ch->value != v)
		ch++;
	return ch->name;
}

const char *value_text(const struct vm_config *c, const struct key *k,
		       char *buf, size_t size)
{
	const char *at = (const char *)c + k->off;

	switch (k->kind) {
	case KEY_LATER:
		return NULL;
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_ACCOUNT:
	case KEY_PATH:
		return *(char *const *)(const void *)at;
	case KEY_SIZE:
		return size_text(get_number(c, k), buf, size);
	case KEY_TIME:
		return time_text(get_number(c, k), buf, size);
	case KEY_COUNT:
		if ((k->flags & KEY_AUTO) && get_number(c, k) == 0)
			return "auto";
		snprintf(buf, size, "%" PRIu64, get_number(c, k));
		return buf;
	case KEY_MODE:
		snprintf(buf, size, "%04" PRIo64, get_number(c, k));
		return buf;
	case KEY_BOOL:
		return *(const bool *)(const void *)at ? "yes" : "no";
	case KEY_CHOICE:
		return choice_text(c, k);
	case KEY_PSCI:
		return psci_text(get_number(c, k), buf, size);
	}
	return NULL;
}

static bool is_string(const struct key *k)
{
	return k->kind == KEY_TEXT || k->kind == KEY_NAME ||
	       k->kind == KEY_ACCOUNT || k->kind == KEY_PATH;
}

int value_copy_strings(struct vm_config *to, const struct vm_config *from)
{
	int ret = 0;

	to->vm.initrd = NULL; /* has no working key yet */
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		char *const *src;
		char **dst;

		if (!is_string(k))
			continue;
		src = (char *const *)((const char *)from + k->off);
		dst = field(to, k);
		*dst = *src != NULL ? strdup(*src) : NULL;
		if (*src != NULL && *dst == NULL)
			ret = -ENOMEM;
	}
	return ret;
}

void value_free_all(struct vm_config *c)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);

		if (is_string(k)) {
			char **slot = field(c, k);

			free(*slot);
			*slot = NULL;
		}
	}
	free(c->vm.initrd); /* has no working key yet */
	c->vm.initrd = NULL;
}
