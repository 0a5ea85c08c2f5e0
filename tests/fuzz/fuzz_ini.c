/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ini.c - any bytes as an INI file: refused with messages, or read
 * and then described, parsed and described again to the same text.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "fuzz/support/fuzz.h"

/* What parses must describe itself; returns the description or NULL. */
static char *read_and_describe(const char *text, size_t len, unsigned int arch)
{
	struct config_errors errs = {0};
	struct vm_config c;
	char *out = NULL;
	int ret;

	require(config_init(&c) == 0, "no defaults");
	ret = config_parse_text(&c, NULL, text, len, arch, &errs);
	require((ret == 0) == (errs.count == 0), "result and messages differ");
	require(ret == 0 || ret == -EINVAL, "an odd result");
	for (size_t i = 0; i < errs.count; i++)
		require(strncmp(errs.msg[i], "config:", 7) == 0 &&
				strchr(errs.msg[i], '\n') == NULL,
			"an odd message");
	if (ret == 0) {
		config_check(&c, NULL, arch, &errs);
		out = config_describe(&c);
		require(out != NULL, "no description");
	}
	config_errors_fini(&errs);
	config_fini(&c);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int arch = 1;
	char *first, *second;

	if (size > 0) {
		arch = 1u << data[0] % 3;
		data++;
		size--;
	}
	first = read_and_describe((const char *)data, size, arch);
	if (first == NULL)
		return 0;
	second = read_and_describe(first, strlen(first), arch);
	require(second != NULL, "a description does not parse");
	require(strcmp(first, second) == 0, "two descriptions differ");
	free(first);
	free(second);
	return 0;
}
