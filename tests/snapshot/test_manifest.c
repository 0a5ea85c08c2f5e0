/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "snapshot/manifest.h"

static char *sample(size_t *len)
{
	char config[] = "[vm]\nmemory = 16M\n";
	struct manifest m = {
		.arch = "x86_64",
		.cpu = "a CPU of the test",
		.identity = "generation-page",
		.page_size = 4096,
		.vcpus = 2,
		.memory_length = 16 << 20,
		.state_length = 1234,
		.config = config,
		.config_length = sizeof(config) - 1,
	};

	memset(m.state_digest.byte, 0xab, 16);
	memset(m.memory_digest.byte, 0x01, 16);
	return manifest_format(&m, len);
}

Test(manifest, what_is_written_is_read)
{
	struct manifest m;
	size_t len;
	char *text = sample(&len);

	cr_assert_eq(manifest_parse(&m, text, len, NULL), 0);
	cr_assert_str_eq(m.arch, "x86_64");
	cr_assert_str_eq(m.cpu, "a CPU of the test");
	cr_assert_eq(m.vcpus, 2u);
	cr_assert_eq(m.memory_length, 16u << 20);
	cr_assert_eq(m.state_digest.byte[15], 0xab);
	cr_assert_str_eq(m.config, "[vm]\nmemory = 16M\n");
	manifest_fini(&m);
	free(text);
}

Test(manifest, every_flipped_bit_is_found)
{
	size_t len;
	char *text = sample(&len);

	for (size_t bit = 0; bit < len * 8; bit++) {
		struct mote_err err = {0};
		struct manifest m;

		text[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_lt(manifest_parse(&m, text, len, &err), 0, "bit %zu",
			     bit);
		cr_assert_neq(err.msg[0], 0);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	free(text);
}

Test(manifest, every_cut_is_found)
{
	size_t len;
	char *text = sample(&len);

	for (size_t n = 0; n < len; n++) {
		char *copy = malloc(n + 1);
		struct manifest m;

		memcpy(copy, text, n);
		cr_assert_lt(manifest_parse(&m, copy, n, NULL), 0, "cut at %zu",
			     n);
		free(copy);
	}
	free(text);
}

/* Change one line and repair the digest, as an attacker would. */
static int parse_changed(const char *from, const char *to, struct mote_err *err)
{
	struct snap_digest d;
	struct manifest m;
	size_t len, at;
	char *text = sample(&len);
	char *p, *changed, hex[33];
	int ret;

	text = realloc(text, len + 1);
	text[len] = 0;
	p = strstr(text, from);
	cr_assert_not_null(p, "no \"%s\"", from);
	changed = calloc(1, len + strlen(to) + 1);
	at = (size_t)(p - text);
	memcpy(changed, text, at);
	strcat(changed, to);
	strcat(changed, p + strlen(from));
	len = strlen(changed);
	at = len - strlen("digest: \n") - 32;
	d = snap_digest(changed, at);
	manifest_digest_text(&d, hex);
	memcpy(changed + at + 8, hex, 32);
	ret = manifest_parse(&m, changed, len, err);
	manifest_fini(&m);
	free(changed);
	free(text);
	return ret;
}

Test(manifest, unknown_keys_are_skipped_but_required_ones_are_not)
{
	struct mote_err err = {0};

	cr_assert_eq(parse_changed("vcpus: 2", "novelty: yes\nvcpus: 2", NULL),
		     0);
	cr_assert_eq(
		parse_changed("requires: base", "requires: base magic", &err),
		-EBADMSG);
	cr_assert_not_null(strstr(err.msg, "requires"), "%s", err.msg);
}

Test(manifest, bad_values_are_named)
{
	static const struct {
		const char *from, *to, *word;
	} bad[] = {
		{"vcpus: 2", "vcpus: 0", "vcpus"},
		{"vcpus: 2", "vcpus: 99999999999999999999", "vcpus"},
		{"vcpus: 2", "vcpus: 2\nvcpus: 2", "twice"},
		{"vcpus: 2", "vcpus 2", "without"},
		{"page-size: 4096", "page-size: 4095", "page-size"},
		{"vcpus: 2\n", "", "vcpus is missing"},
		{"config-length: ", "config-length: 9", "config-length"},
		{"parent: none", "parent: other", "parent"},
		{"state-digest: a", "state-digest: x", "state-digest"},
		{"mote-snapshot 1", "mote-snapshot 2", "format version"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mote_err err = {0};

		cr_expect_eq(parse_changed(bad[i].from, bad[i].to, &err),
			     -EBADMSG, "%s", bad[i].to);
		cr_expect_not_null(strstr(err.msg, bad[i].word), "%s: %s",
				   bad[i].to, err.msg);
	}
}
