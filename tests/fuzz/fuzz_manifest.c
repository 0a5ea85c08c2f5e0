/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_manifest.c - any bytes as a manifest, as they are and with the head
 * and the digest that let the parser go on; what parses is written again
 * and parses to the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/support/fuzz.h"
#include "snapshot/manifest.h"

static void again(struct manifest *m)
{
	struct manifest n;
	size_t len;
	char *text = manifest_format(m, &len);

	require(text != NULL, "no text");
	if (len <= MANIFEST_MAX) {
		struct mote_err err = {0};

		require(manifest_parse(&n, text, len, &err) == 0, err.msg);
		require(!strcmp(m->arch, n.arch) && !strcmp(m->cpu, n.cpu) &&
				m->vcpus == n.vcpus &&
				m->page_size == n.page_size &&
				m->memory_length == n.memory_length &&
				m->state_length == n.state_length &&
				m->config_length == n.config_length &&
				!memcmp(m->config, n.config, n.config_length),
			"it says something else now");
		manifest_fini(&n);
	}
	free(text);
}

static void parse(const char *text, size_t len)
{
	struct mote_err err = {0};
	struct manifest m;
	int ret = manifest_parse(&m, text, len, &err);

	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		again(&m);
	manifest_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "mote-snapshot 1\n";
	struct snap_digest d;
	char hex[33];
	char *copy;
	size_t at = sizeof(head) - 1;

	/* A copy of the exact size: reads past it are seen. */
	copy = malloc(size + 1);
	memcpy(copy, data, size);
	parse(copy, size);
	free(copy);

	copy = malloc(at + size + 42);
	memcpy(copy, head, at);
	memcpy(copy + at, data, size);
	d = snap_digest(copy, at + size);
	manifest_digest_text(&d, hex);
	snprintf(copy + at + size, 42, "digest: %s\n", hex);
	parse(copy, at + size + 41);
	free(copy);
	return 0;
}
