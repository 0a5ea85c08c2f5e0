/* SPDX-License-Identifier: Apache-2.0 */
/*
 * section.c - the structs that hold the values: struct vm_config itself, and
 * an element of an array in it for each section of a family, [disk.NAME].
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_priv.h"

_Static_assert(offsetof(struct disk_config, name) == 0 &&
		       offsetof(struct net_config, name) == 0 &&
		       offsetof(struct passthrough_config, name) == 0,
	       "an element begins with its name");

static void **list_of(const struct vm_config *c, const struct family *family)
{
	return (void **)((char *)c + family->list);
}

static uint32_t *count_of(const struct vm_config *c,
			  const struct family *family)
{
	return (uint32_t *)((char *)c + family->count);
}

uint32_t section_count(const struct vm_config *c, const struct family *family)
{
	return family == NULL ? 1 : *count_of(c, family);
}

void *section_nth(const struct vm_config *c, const struct family *family,
		  uint32_t i)
{
	if (family == NULL)
		return (void *)c;
	return (char *)*list_of(c, family) + i * family->size;
}

const char *section_name(const void *at)
{
	return *(char *const *)at;
}

int section_check_name(const char *name, struct why *why)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	struct quoted q;

	if (name != NULL && name[0] != '\0' &&
	    strlen(name) <= SECTION_NAME_MAX &&
	    name[strspn(name, chars)] == '\0')
		return 0;
	snprintf(why->text, sizeof(why->text),
		 "the section's name is %s, expected 1 to %d of A-Z a-z 0-9 "
		 "_ -",
		 name != NULL ? quote(&q, name) : "not set", SECTION_NAME_MAX);
	return -EINVAL;
}

void *section_find(const struct vm_config *c, const struct family *family,
		   const char *section)
{
	const char *name = strchr(section, '.');

	if (family == NULL)
		return (void *)c;
	for (uint32_t i = 0; name != NULL && i < *count_of(c, family); i++) {
		void *at = section_nth(c, family, i);

		if (strcmp(section_name(at), name + 1) == 0)
			return at;
	}
	return NULL;
}

int section_defaults(void *at, const struct family *family)
{
	struct why why;

	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		int ret;

		if (k->family != family || k->kind == KEY_LATER ||
		    (k->info.def[0] == '\0' && k->kind != KEY_FD))
			continue;
		ret = value_set(at, k, k->info.def, NULL, CONFIG_ARCH_ANY,
				&why);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void free_strings(void *at, const struct family *family)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		char **s = keys_at(i)->family == family
				   ? value_string(at, keys_at(i))
				   : NULL;

		if (s != NULL) {
			free(*s);
			*s = NULL;
		}
	}
	if (family != NULL) {
		free(*(char **)at);
		*(char **)at = NULL;
	}
}

static void drop_last(struct vm_config *c, const struct family *family)
{
	uint32_t *count = count_of(c, family);

	free_strings(section_nth(c, family, --*count), family);
}

int section_add(struct vm_config *c, const struct family *family,
		const char *section, struct why *why)
{
	const char *name = strchr(section, '.') + 1;
	uint32_t *count = count_of(c, family);
	void *list, *at;
	int ret = section_check_name(name, why);

	if (ret < 0)
		return ret;
	if (*count >= family->max) {
		snprintf(why->text, sizeof(why->text),
			 "one section more, expected at most %" PRIu32
			 " of [%.*s.NAME]",
			 family->max, (int)(name - 1 - section), section);
		return -EINVAL;
	}
	list = reallocarray(*list_of(c, family), *count + 1, family->size);
	if (list == NULL)
		return -ENOMEM;
	*list_of(c, family) = list;
	at = section_nth(c, family, (*count)++);
	memset(at, 0, family->size);
	*(char **)at = strdup(name);
	ret = *(char **)at == NULL ? -ENOMEM : section_defaults(at, family);
	if (ret < 0)
		drop_last(c, family);
	return ret;
}

int section_present(struct vm_config *c, const char *section)
{
	const struct key *k = keys_section(section);
	struct why why = {.text = ""};

	if (k == NULL || !(k->flags & KEY_SECTION))
		return 0;
	return value_set(c, k, "yes", NULL, CONFIG_ARCH_ANY, &why);
}

int section_put(struct vm_config *c, const struct key *k, const char *section,
		const char *text, const char *dir, unsigned int arch,
		struct why *why)
{
	void *at = section_find(c, k->family, section);
	bool fresh = at == NULL;
	int ret;

	if (fresh) {
		ret = section_add(c, k->family, section, why);
		if (ret < 0)
			return ret;
		at = section_find(c, k->family, section);
	}
	ret = value_set(at, k, text, dir, arch, why);
	if (ret < 0 && fresh)
		drop_last(c, k->family);
	return ret;
}

static int copy_string(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from != NULL && *to == NULL ? -ENOMEM : 0;
}

/* *to is a copy of *from byte by byte: give it strings of its own. */
static int copy_strings(void *to, const void *from, const struct family *family)
{
	int ret = 0;

	if (family != NULL)
		ret = copy_string(to, section_name(from));
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		char **dst = k->family == family ? value_string(to, k) : NULL;

		if (dst != NULL && copy_string(dst, *dst) < 0)
			ret = -ENOMEM;
	}
	return ret;
}

static int copy_family(struct vm_config *to, const struct vm_config *from,
		       const struct family *family)
{
	uint32_t count = *count_of(from, family);
	void *list = NULL;
	int ret = 0;

	*list_of(to, family) = NULL;
	*count_of(to, family) = 0;
	if (count == 0)
		return 0;
	list = calloc(count, family->size);
	if (list == NULL)
		return -ENOMEM;
	memcpy(list, *list_of(from, family), count * family->size);
	*list_of(to, family) = list;
	*count_of(to, family) = count;
	for (uint32_t i = 0; i < count; i++)
		if (copy_strings(section_nth(to, family, i),
				 section_nth(from, family, i), family) < 0)
			ret = -ENOMEM;
	return ret;
}

/* The family that begins with row i of the table, or NULL. */
static const struct family *family_from(size_t i)
{
	const struct family *family = keys_at(i)->family;

	return i > 0 && keys_at(i - 1)->family == family ? NULL : family;
}

int section_copy_all(struct vm_config *to, const struct vm_config *from)
{
	int ret;

	ret = copy_strings(to, from, NULL);
	for (size_t i = 0; keys_at(i) != NULL; i++)
		if (family_from(i) != NULL &&
		    copy_family(to, from, family_from(i)) < 0)
			ret = -ENOMEM;
	return ret;
}

void section_free_all(struct vm_config *c)
{
	free_strings(c, NULL);
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct family *family = family_from(i);

		if (family == NULL)
			continue;
		while (*count_of(c, family) > 0)
			drop_last(c, family);
		free(*list_of(c, family));
		*list_of(c, family) = NULL;
	}
}
