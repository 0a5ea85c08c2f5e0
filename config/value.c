/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - one value between its text and the struct that holds it.
 *
 * value_set and value_text are each other's inverse for every key.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "config/config_priv.h"
#include "config/cpu_features.h"

#define PATH_BYTES_MAX 4095
#define MAC_BYTES      6

/* KEY_MAC's bool is found behind the bytes. */
_Static_assert(offsetof(struct net_config, has_mac) ==
		       offsetof(struct net_config, mac) + MAC_BYTES,
	       "has_mac does not follow mac");

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
	case KEY_SIZE32:
		return "a size such as 4K";
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
	case KEY_IFNAME:
		return "the name of an interface";
	case KEY_PCI:
		return "a PCI address such as 0000:00:05.0";
	case KEY_FD:
		return "the number of a descriptor";
	case KEY_MAC:
		return "a MAC address such as 02:00:00:00:00:01";
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

static void *field(void *at, const struct key *k)
{
	return (char *)at + k->off;
}

static bool is_wide(const struct key *k)
{
	return k->kind == KEY_SIZE || k->kind == KEY_TIME;
}

static uint64_t get_number(const void *at, const struct key *k)
{
	const void *p = (const char *)at + k->off;

	return is_wide(k) ? *(const uint64_t *)p : *(const uint32_t *)p;
}

static void put_number(void *at, const struct key *k, uint64_t v)
{
	if (is_wide(k))
		*(uint64_t *)field(at, k) = v;
	else
		*(uint32_t *)field(at, k) = (uint32_t)v;
}

static bool in_range(const struct key *k, uint64_t v)
{
	if (k->kind == KEY_SIZE32 && (v & (v - 1)) != 0)
		return false;
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

static int set_number(void *at, const struct key *k, const char *text,
		      struct why *why)
{
	uint64_t v = 0;
	int ret;

	if ((k->flags & KEY_AUTO) && strcmp(text, "auto") == 0) {
		put_number(at, k, 0);
		return 0;
	}
	if (k->kind == KEY_SIZE || k->kind == KEY_SIZE32)
		ret = config_parse_size(text, &v);
	else if (k->kind == KEY_TIME)
		ret = config_parse_time_ms(text, &v);
	else if (k->kind == KEY_MODE)
		ret = parse_mode(text, &v);
	else
		ret = config_parse_u64(text, &v);
	if (ret < 0 || !in_range(k, v))
		return value_unexpected(why, k, text);
	put_number(at, k, v);
	return 0;
}

static int set_psci(void *at, const struct key *k, const char *text,
		    struct why *why)
{
	char major[3] = "";
	uint64_t hi, lo;
	const char *dot;

	if (strcmp(text, "auto") == 0) {
		put_number(at, k, PSCI_DEFAULT);
		return 0;
	}
	if (strcmp(text, "host") == 0) {
		put_number(at, k, PSCI_HOST);
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
	put_number(at, k, hi << 16 | lo);
	return 0;
}

static int set_bool(void *at, const struct key *k, const char *text,
		    struct why *why)
{
	static const char *const words[] = {"no",   "yes", "false",
					    "true", "off", "on"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field(at, k) = i % 2 == 1;
			return 0;
		}
	return value_unexpected(why, k, text);
}

static int set_choice(void *at, const struct key *k, const char *text,
		      unsigned int arch, struct why *why)
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
	*(int *)field(at, k) = ch->value;
	return 0;
}

static int set_fd(void *at, const struct key *k, const char *text,
		  struct why *why)
{
	uint64_t v;

	if (text[0] != '\0' && (config_parse_u64(text, &v) < 0 || v > INT_MAX))
		return value_unexpected(why, k, text);
	*(int *)field(at, k) = text[0] != '\0' ? (int)v : -1;
	return 0;
}

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* "02:00:00:00:00:01"; an address of one station that is not all zero. */
static int set_mac(void *at, const struct key *k, const char *text,
		   struct why *why)
{
	uint8_t mac[MAC_BYTES] = {0}, any = 0;
	uint8_t *to = field(at, k);

	for (size_t i = 0; text[0] != '\0' && i < MAC_BYTES; i++) {
		const char *s = text + 3 * i;
		int hi = hex_digit(s[0]), lo = hi < 0 ? -1 : hex_digit(s[1]);

		if (lo < 0 || s[2] != (i + 1 < MAC_BYTES ? ':' : '\0'))
			return value_unexpected(why, k, text);
		mac[i] = (uint8_t)(hi << 4 | lo);
		any |= mac[i];
	}
	if (text[0] != '\0' && (!any || (mac[0] & 1)))
		return refuse(why,
			      "found '%s', %s, expected the address of "
			      "one station",
			      text, any ? "a multicast address" : "all zero");
	memcpy(to, mac, sizeof(mac));
	*(bool *)(to + MAC_BYTES) = text[0] != '\0';
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

/* As the kernel takes it (dev_valid_name), in printable ASCII. */
static bool is_interface(const char *s, size_t max)
{
	if (strlen(s) > max || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || *s == '/' || *s == ':')
			return false;
	return true;
}

/* As sysfs names it: %04x:%02x:%02x.%d. */
static bool is_pci_address(const char *s)
{
	static const char form[] = "xxxx:xx:xx.7";

	if (strlen(s) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i] != '\0'; i++)
		if (form[i] == 'x'   ? strchr("0123456789abcdef", s[i]) == NULL
		    : form[i] == '7' ? s[i] < '0' || s[i] > '7'
				     : s[i] != form[i])
			return false;
	return true;
}

static int check_string(const struct key *k, const char *text, struct why *why)
{
	struct cpu_features features;
	struct config_ready ready;
	size_t len = strlen(text);

	if (k->kind == KEY_NAME && !is_name(text, "._-", k->max))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_ACCOUNT && !is_account(text, k->max))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_IFNAME && !is_interface(text, k->max))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_PCI && !is_pci_address(text))
		return value_unexpected(why, k, text);
	if (k->kind == KEY_CPU && cpu_features_parse(text, &features) < 0)
		return value_unexpected(why, k, text);
	if (k->kind == KEY_READY && config_parse_ready(text, &ready) < 0)
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

static int set_string(void *at, const struct key *k, const char *text,
		      const char *dir, struct why *why)
{
	cleanup_free char *copy = NULL;
	char **slot = field(at, k);
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

int value_set(void *at, const struct key *k, const char *text, const char *dir,
	      unsigned int arch, struct why *why)
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
	case KEY_IFNAME:
	case KEY_PCI:
	case KEY_CPU:
	case KEY_READY:
		return set_string(at, k, text, dir, why);
	case KEY_SIZE:
	case KEY_SIZE32:
	case KEY_TIME:
	case KEY_COUNT:
	case KEY_MODE:
		return set_number(at, k, text, why);
	case KEY_BOOL:
		return set_bool(at, k, text, why);
	case KEY_CHOICE:
		return set_choice(at, k, text, arch, why);
	case KEY_PSCI:
		return set_psci(at, k, text, why);
	case KEY_FD:
		return set_fd(at, k, text, why);
	case KEY_MAC:
		return set_mac(at, k, text, why);
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

static const char *mac_text(const uint8_t *mac, char *buf, size_t size)
{
	const bool *set = (const bool *)(mac + MAC_BYTES);

	if (!*set)
		return NULL;
	snprintf(buf, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
	return buf;
}

static const char *fd_text(int fd, char *buf, size_t size)
{
	if (fd < 0)
		return NULL;
	snprintf(buf, size, "%d", fd);
	return buf;
}

static const char *choice_text(int v, const struct key *k)
{
	const struct choice *ch = k->choices;

	while (ch->name != NULL && ch->value != v)
		ch++;
	return ch->name;
}

const char *value_text(const void *at, const struct key *k, char *buf,
		       size_t size)
{
	const void *p = (const char *)at + k->off;

	switch (k->kind) {
	case KEY_LATER:
		return NULL;
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_ACCOUNT:
	case KEY_PATH:
	case KEY_IFNAME:
	case KEY_PCI:
	case KEY_CPU:
	case KEY_READY:
		return *(char *const *)p;
	case KEY_SIZE:
	case KEY_SIZE32:
		if ((k->flags & KEY_AUTO) && get_number(at, k) == 0)
			return "auto";
		return size_text(get_number(at, k), buf, size);
	case KEY_TIME:
		return time_text(get_number(at, k), buf, size);
	case KEY_COUNT:
		if ((k->flags & KEY_AUTO) && get_number(at, k) == 0)
			return "auto";
		snprintf(buf, size, "%" PRIu64, get_number(at, k));
		return buf;
	case KEY_MODE:
		snprintf(buf, size, "%04" PRIo64, get_number(at, k));
		return buf;
	case KEY_BOOL:
		return *(const bool *)p ? "yes" : "no";
	case KEY_CHOICE:
		return choice_text(*(const int *)p, k);
	case KEY_PSCI:
		return psci_text(get_number(at, k), buf, size);
	case KEY_FD:
		return fd_text(*(const int *)p, buf, size);
	case KEY_MAC:
		return mac_text(p, buf, size);
	}
	return NULL;
}

char **value_string(void *at, const struct key *k)
{
	switch (k->kind) {
	case KEY_TEXT:
	case KEY_NAME:
	case KEY_ACCOUNT:
	case KEY_PATH:
	case KEY_IFNAME:
	case KEY_PCI:
	case KEY_CPU:
	case KEY_READY:
		return field(at, k);
	default:
		return NULL;
	}
}
