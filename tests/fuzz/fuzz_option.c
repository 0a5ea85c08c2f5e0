/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_option.c - any lines as the settings of a command line or of the API
 * ("section.key=value"), one by one, and words for the guest: each is refused
 * with a message or taken; what was taken describes itself, and what is
 * refused changes nothing.
 */
#include "base/err.h"
#include "config/config.h"
#include "config/cpu_features.h"
#include "fuzz/support/fuzz.h"

#define WORDS 8

/* *was: how c describes itself, before and after. */
static void set(struct vm_config *c, const char *line, unsigned int arch,
		char **was)
{
	struct config_errors errs = {0};
	int ret = config_set(c, "--set", line, arch, &errs);
	char *now = config_describe(c);

	require((ret == 0) == (errs.count == 0), "result and messages differ");
	for (size_t i = 0; i < errs.count; i++)
		require(strncmp(errs.msg[i], "--set", 5) == 0 &&
				strchr(errs.msg[i], '\n') == NULL,
			"an odd message");
	require(now != NULL, "no description");
	require(ret == 0 || strcmp(*was, now) == 0,
		"what was refused changed something");
	free(*was);
	*was = now;
	config_errors_fini(&errs);
}

static void features(const char *text)
{
	struct cpu_features f;

	cpu_features_parse(text, &f);
}

/* The description parses to the same. */
static void again(const struct vm_config *c, unsigned int arch)
{
	struct config_errors errs = {0};
	char *first = config_describe(c), *second;
	struct vm_config d;

	require(first != NULL, "no description");
	require(config_init(&d) == 0, "no defaults");
	require(config_parse_text(&d, NULL, first, strlen(first), arch,
				  &errs) == 0,
		"a description does not parse");
	second = config_describe(&d);
	require(second && strcmp(first, second) == 0,
		"two descriptions differ");
	free(first);
	free(second);
	config_fini(&d);
	config_errors_fini(&errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errs = {0};
	char *text, *word[WORDS], *next, *was;
	struct vm_config c;
	unsigned int arch;
	int words = 0;

	if (size == 0)
		return 0;
	arch = 1u << data[0] % 3;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	require(config_init(&c) == 0, "no defaults");
	was = config_describe(&c);
	require(was != NULL, "no description");
	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (line[0] != '-')
			set(&c, line, arch, &was);
		else if (line[1] == 'f')
			features(line + 2);
		else if (words < WORDS)
			word[words++] = line + 1;
	}
	if (words)
		config_append_args(&c, word, words);
	config_check(&c, NULL, arch, &errs);
	again(&c, arch);
	config_errors_fini(&errs);
	config_fini(&c);
	free(was);
	free(text);
	return 0;
}
