/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.c - what the user may have meant by an unknown section or key.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"

/* Names longer than this are too far from any that is known. */
#define WORD_MAX 48

/* Near enough to be a typing error? */
static bool near(size_t dist, size_t len)
{
	return dist <= (len < 6 ? 2 : len / 3) && dist < len;
}

/*
 * Insertions, deletions, replacements and swaps of neighbours that make b
 * of a, upper and lower case alike; WORD_MAX for words that are far apart
 * by their lengths alone.
 */
static size_t distance(const char *a, size_t la, const char *b)
{
	size_t lb = strlen(b);
	size_t row[3][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX ||
	    !near(la > lb ? la - lb : lb - la, la))
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *cur = row[i % 3], *up = row[(i + 2) % 3];
		const size_t *up2 = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			size_t best = up[j - 1] + (ca != b[j - 1]);

			if (up[j] + 1 < best)
				best = up[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 && ca == b[j - 2] &&
			    tolower((unsigned char)a[i - 2]) == b[j - 1] &&
			    up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			cur[j] = best;
		}
	}
	return row[la % 3][lb];
}

/* Append name to the list "a, b or c"; the caller knows which is last. */
static void list_add(char *buf, size_t size, const char *name, bool first,
		     bool last)
{
	size_t used = strlen(buf);

	snprintf(buf + used, size - used, "%s%s",
		 first ? "" : (last ? " or " : ", "), name);
}

static const char *suggest_section(const char *name, char *buf, size_t size)
{
	size_t best = WORD_MAX, len = strcspn(name, ".");
	const char *found = NULL, *before = "";
	char kind[WORD_MAX];

	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const char *sec = keys_at(i)->info.section;
		size_t dist;

		snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(sec, "."),
			 sec);
		dist = distance(name, len, kind);
		if (dist < best) {
			best = dist;
			found = sec;
		}
	}
	if (found != NULL && near(best, len)) {
		snprintf(buf, size, ", did you mean [%s]?", found);
		return buf;
	}

	snprintf(buf, size, ", expected ");
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const char *sec = keys_at(i)->info.section;

		if (strcmp(sec, before) != 0)
			list_add(buf, size, sec, i == 0,
				 strcmp(sec, keys_at(keys_count() - 1)
						     ->info.section) == 0);
		before = sec;
	}
	return buf;
}

/* Every key of the section, as ", expected a, b or c". */
static void list_keys(const char *section, char *buf, size_t size)
{
	const struct key *last = NULL;
	bool first = true;

	for (size_t i = 0; keys_at(i) != NULL; i++)
		if (keys_section_is(keys_at(i)->info.section, section))
			last = keys_at(i);
	snprintf(buf, size, ", expected ");
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);

		if (!keys_section_is(k->info.section, section) ||
		    k->info.key[0] == '\0')
			continue;
		list_add(buf, size, k->info.key, first, k == last);
		first = false;
	}
	if (first)
		snprintf(buf, size, ", expected none in this section");
}

static const char *suggest_key(const char *section, const char *key, char *buf,
			       size_t size)
{
	size_t best = WORD_MAX, len = strlen(key);
	const char *found = NULL, *elsewhere = NULL;

	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct config_key_info *info = &keys_at(i)->info;
		size_t dist = distance(key, len, info->key);

		if (info->key[0] == '\0')
			continue;
		if (!keys_section_is(info->section, section)) {
			if (dist == 0 && elsewhere == NULL)
				elsewhere = info->section;
		} else if (dist < best) {
			best = dist;
			found = info->key;
		}
	}
	if (found != NULL && near(best, len) &&
	    (elsewhere == NULL || best <= 1))
		snprintf(buf, size, ", did you mean '%s'?", found);
	else if (elsewhere != NULL)
		snprintf(buf, size, ", '%s' belongs to [%s]", key, elsewhere);
	else
		list_keys(section, buf, size);
	return buf;
}

const char *suggest(const char *section, const char *key, char *buf,
		    size_t size)
{
	if (key == NULL)
		return suggest_section(section, buf, size);
	return suggest_key(section, key, buf, size);
}
