/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define HEAD	    "mote-snapshot 1\n"
#define HEAD_PREFIX "mote-snapshot "
#define DIGEST_LINE (sizeof("digest: ") - 1 + 32 + 1)

void manifest_fini(struct manifest *m)
{
	free(m->config);
	m->config = NULL;
}

void manifest_digest_text(const struct snap_digest *d, char text[33])
{
	for (int i = 0; i < 16; i++)
		sprintf(text + 2 * i, "%02x", d->byte[i]);
}

bool manifest_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= MANIFEST_NAME_MAX || !strcmp(name, ".") ||
	    !strcmp(name, "..") || name[0] == ' ' || name[len - 1] == ' ')
		return false;
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == 0x7f || *name == '/')
			return false;
	return true;
}

/* "none", or the digest and the name. */
static void format_parent(const struct manifest *m,
			  char text[33 + MANIFEST_NAME_MAX])
{
	if (!m->parent[0]) {
		strcpy(text, "none");
		return;
	}
	manifest_digest_text(&m->parent_digest, text);
	text[32] = ' ';
	strcpy(text + 33, m->parent);
}

char *manifest_format(struct manifest *m, size_t *len)
{
	char state[33], memory[33], whole[33], parent[33 + MANIFEST_NAME_MAX];
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	manifest_digest_text(&m->state_digest, state);
	manifest_digest_text(&m->memory_digest, memory);
	format_parent(m, parent);
	fprintf(f,
		HEAD "requires: base%s\n"
		     "architecture: %s\n"
		     "page-size: %u\n"
		     "cpu: %s\n"
		     "vcpus: %u\n"
		     "clone-identity: %s\n"
		     "parent: %s\n"
		     "state-length: %" PRIu64 "\n"
		     "state-digest: %s\n"
		     "memory-length: %" PRIu64 "\n"
		     "memory-digest: %s\n"
		     "config-length: %zu\n\n",
		m->parent[0] ? " diff" : "", m->arch, m->page_size, m->cpu,
		m->vcpus, m->identity, parent, m->state_length, state,
		m->memory_length, memory, m->config_length);
	fwrite(m->config, 1, m->config_length, f);
	if (fflush(f) != 0) {
		fclose(f);
		free(text);
		return NULL;
	}
	m->digest = snap_digest(text, *len);
	manifest_digest_text(&m->digest, whole);
	fprintf(f, "digest: %s\n", whole);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int bad(struct mote_err *err, const char *what)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA, "%s", what);
}

/* 32 digits; what comes after them is the caller's. */
static bool parse_hex_part(const char *s, struct snap_digest *d)
{
	for (int i = 0; i < 16; i++) {
		char two[3] = {s[2 * i], s[2 * i + 1], 0};
		char *end;

		if (!strchr("0123456789abcdef", two[0]) || !two[0] ||
		    !strchr("0123456789abcdef", two[1]) || !two[1])
			return false;
		d->byte[i] = (uint8_t)strtoul(two, &end, 16);
	}
	return true;
}

static bool parse_hex(const char *s, struct snap_digest *d)
{
	return parse_hex_part(s, d) && s[32] == 0;
}

static bool parse_number(const char *s, uint64_t max, uint64_t *out)
{
	*out = 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || !num_mul(*out, 10, out) ||
		    !num_add(*out, (uint64_t)(*s - '0'), out))
			return false;
	}
	return *out <= max;
}

static bool parse_text(const char *s, char *out, size_t size)
{
	if (!*s || strlen(s) >= size)
		return false;
	strcpy(out, s);
	return true;
}

static bool parse_parent(struct manifest *m, const char *s)
{
	m->parent[0] = 0;
	if (!strcmp(s, "none"))
		return true;
	if (!parse_hex_part(s, &m->parent_digest) || s[32] != ' ' ||
	    !manifest_name_ok(s + 33))
		return false;
	strcpy(m->parent, s + 33);
	return true;
}

/* Words that a reader must know. */
static bool parse_requires(struct manifest *m, const char *s)
{
	m->is_diff = !strcmp(s, "base diff");
	return m->is_diff || !strcmp(s, "base");
}

enum {
	K_REQUIRES = 1 << 0,
	K_ARCH = 1 << 1,
	K_PAGE = 1 << 2,
	K_CPU = 1 << 3,
	K_VCPUS = 1 << 4,
	K_IDENTITY = 1 << 5,
	K_PARENT = 1 << 6,
	K_STATE_LEN = 1 << 7,
	K_STATE = 1 << 8,
	K_MEM_LEN = 1 << 9,
	K_MEM = 1 << 10,
	K_CONFIG = 1 << 11,
	K_ALL = (1 << 12) - 1,
};

static const char *const key_names[] = {
	"requires",	"architecture",	  "page-size",	   "cpu",
	"vcpus",	"clone-identity", "parent",	   "state-length",
	"state-digest", "memory-length",  "memory-digest", "config-length",
};

static bool parse_value(struct manifest *m, unsigned int key, const char *v)
{
	uint64_t n = 0;
	bool ok;

	switch (key) {
	case K_REQUIRES:
		return parse_requires(m, v);
	case K_ARCH:
		return parse_text(v, m->arch, sizeof(m->arch));
	case K_PAGE:
		ok = parse_number(v, 1 << 20, &n) && n && !(n & (n - 1));
		m->page_size = (uint32_t)n;
		return ok;
	case K_CPU:
		return parse_text(v, m->cpu, sizeof(m->cpu));
	case K_VCPUS:
		ok = parse_number(v, 65536, &n) && n;
		m->vcpus = (uint32_t)n;
		return ok;
	case K_IDENTITY:
		return parse_text(v, m->identity, sizeof(m->identity));
	case K_PARENT:
		return parse_parent(m, v);
	case K_STATE_LEN:
		return parse_number(v, GIB, &m->state_length);
	case K_STATE:
		return parse_hex(v, &m->state_digest);
	case K_MEM_LEN:
		return parse_number(v, INT64_MAX, &m->memory_length);
	case K_MEM:
		return parse_hex(v, &m->memory_digest);
	case K_CONFIG:
		ok = parse_number(v, MANIFEST_MAX, &n);
		m->config_length = n;
		return ok;
	default:
		return true; /* unknown and not required */
	}
}

static unsigned int find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
		if (!strcmp(key_names[i], name))
			return 1u << i;
	return 0;
}

/* "key: value" without its newline; line is writable. */
static int parse_line(struct manifest *m, char *line, unsigned int *seen,
		      struct mote_err *err)
{
	char *sep = strstr(line, ": ");
	unsigned int key;

	if (!sep)
		return bad(err, "a line without \": \"");
	*sep = 0;
	key = find_key(line);
	if (key & *seen)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "%s stands twice", line);
	*seen |= key;
	if (!parse_value(m, key, sep + 2))
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "%s: \"%.40s\" is not what this version "
				     "can read",
				     line, sep + 2);
	return 0;
}

/* The lines up to the empty one; *pos moves behind it. */
static int parse_lines(struct manifest *m, const char *text, size_t len,
		       size_t *pos, struct mote_err *err)
{
	unsigned int seen = 0;

	for (;;) {
		const char *nl = memchr(text + *pos, '\n', len - *pos);
		char line[320];
		size_t n;
		int ret;

		if (!nl)
			return bad(err, "cut within the keys");
		n = (size_t)(nl - (text + *pos));
		if (n >= sizeof(line) || memchr(text + *pos, 0, n))
			return bad(err, "a line that is too long");
		memcpy(line, text + *pos, n);
		line[n] = 0;
		*pos += n + 1;
		if (n == 0)
			break;
		ret = parse_line(m, line, &seen, err);
		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
		if (!(seen & 1u << i))
			return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
					     "%s is missing", key_names[i]);
	return 0;
}

/* The last line is the digest of all before it. */
static int check_digest(const char *text, size_t len,
			struct snap_digest *digest, struct mote_err *err)
{
	struct snap_digest want, got;
	char hex[33];

	if (len < sizeof(HEAD) - 1 + DIGEST_LINE)
		return bad(err, "too short");
	if (memcmp(text, HEAD_PREFIX, sizeof(HEAD_PREFIX) - 1) != 0)
		return bad(err, "not a manifest of a mote snapshot");
	if (memcmp(text, HEAD, sizeof(HEAD) - 1) != 0)
		return bad(err, "format version is not 1, the one that this "
				"version reads");
	text += len - DIGEST_LINE;
	if (memcmp(text, "digest: ", 8) != 0 || text[DIGEST_LINE - 1] != '\n')
		return bad(err, "no digest at the end: cut or damaged");
	memcpy(hex, text + 8, 32);
	hex[32] = 0;
	if (!parse_hex(hex, &want))
		return bad(err, "digest is not hexadecimal");
	got = snap_digest(text - (len - DIGEST_LINE), len - DIGEST_LINE);
	if (memcmp(got.byte, want.byte, sizeof(got.byte)) != 0)
		return bad(err, "digest does not match: damaged");
	*digest = got;
	return 0;
}

int manifest_parse(struct manifest *m, const char *text, size_t len,
		   struct mote_err *err)
{
	size_t pos = sizeof(HEAD) - 1;
	int ret;

	memset(m, 0, sizeof(*m));
	if (len > MANIFEST_MAX)
		return bad(err, "larger than a manifest can be");
	ret = check_digest(text, len, &m->digest, err);
	if (ret == 0)
		ret = parse_lines(m, text, len - DIGEST_LINE, &pos, err);
	if (ret < 0)
		return ret;
	if (m->is_diff != (m->parent[0] != 0))
		return bad(err, "requires and parent disagree");
	if (pos + m->config_length != len - DIGEST_LINE)
		return bad(err, "config-length does not match");
	m->config = malloc(m->config_length + 1);
	if (!m->config)
		return err_set(err, ENOMEM, "manifest");
	memcpy(m->config, text + pos, m->config_length);
	m->config[m->config_length] = 0;
	return 0;
}
