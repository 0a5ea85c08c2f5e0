/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini.c - INI text to struct vm_config, through a guarded libinih.
 *
 * libinih 55 reads on silently where a line is too long, cuts values at
 * " ;", takes ':' for '=', and reports a continuation like a second key.
 * So our reader stands in front of it: it takes one physical line at a
 * time, decides what the line is, and hands libinih a plain rendering of
 * it that none of this can touch: a bare newline for what is not for it
 * (blank, comment, refused), otherwise "[section]", "key=value" or
 * " value" with each ';' replaced by SEMICOLON, a byte that no line may
 * hold, and of a section as much as it keeps.  What libinih then reports is
 * compared with what the reader meant, and every line must be reported exactly
 * once; if the two ever differ, the line is refused instead of misread.
 */
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/config_priv.h"

#define SEMICOLON '\x01'

_Static_assert(INI_LINE_MAX + 2 <= INI_MAX_LINE, "lines would be cut");

enum line_kind {
	LINE_NOTHING, /* blank, comment or refused */
	LINE_SECTION,
	LINE_KEY,
	LINE_MORE, /* continues the value */
};

/* What an indented line would continue. */
enum open_value {
	OPEN_NOTHING,
	OPEN_VALUE,
	OPEN_REFUSED, /* a key that was refused: its rest is skipped */
};

struct seen_section {
	char name[SECTION_MAX + 1];
	int line;
};

struct reader {
	struct faults f;
	struct vm_config *c;
	unsigned int arch;
	char *dir; /* what relative paths are joined to, or NULL */
	const char *text;
	size_t len, pos;
	int line;

	/* The line that libinih has, and whether it reported it. */
	enum line_kind kind;
	const char *piece;
	size_t piece_len;
	bool delivered;

	char section[SECTION_MAX + 1];
	bool section_ok;  /* false: its keys are skipped */
	bool any_section; /* a header was found, good or bad */
	struct seen_section *sections;
	size_t section_count;
	int *seen; /* line of each row of the key table */

	enum open_value open;
	const struct key *key;
	int key_line;
	char *value;
	size_t value_len, value_cap;
};

/* "section.key" for messages. */
struct place {
	char s[SECTION_MAX + INI_NAME_MAX + 2];
};

static const char *place_of(const struct reader *r, const char *key, size_t len,
			    struct place *p)
{
	if (len > INI_NAME_MAX)
		len = INI_NAME_MAX;
	snprintf(p->s, sizeof(p->s), "%s%s%.*s", r->section,
		 r->section[0] != '\0' && len > 0 ? "." : "", (int)len, key);
	return p->s;
}

static const char *place_of_open(const struct reader *r, struct place *p)
{
	if (r->open != OPEN_VALUE)
		return place_of(r, "", 0, p);
	return place_of(r, r->key->info.key, strlen(r->key->info.key), p);
}

/* Add to the value that is being collected. */
static int value_add(struct reader *r, const char *s, size_t len)
{
	size_t need = r->value_len + len + 1;

	if (need > r->value_cap) {
		size_t cap = need * 2;
		char *grown = realloc(r->value, cap);

		if (grown == NULL) {
			r->f.no_memory = true;
			return -ENOMEM;
		}
		r->value = grown;
		r->value_cap = cap;
	}
	memcpy(r->value + r->value_len, s, len);
	r->value_len += len;
	r->value[r->value_len] = '\0';
	return 0;
}

/* The value is complete: store it. */
static void finish_value(struct reader *r)
{
	struct place p = {""};
	struct why why = {""};
	int ret;

	if (r->open == OPEN_VALUE) {
		if (r->value_len > 0 && r->value[r->value_len - 1] == '\\') {
			fault(&r->f, r->key_line, place_of_open(r, &p),
			      "the value ends with a backslash, expected an "
			      "indented line that continues it");
		} else {
			ret = section_put(r->c, r->key, r->section, r->value,
					  r->dir, r->arch, &why);
			if (ret == -ENOMEM)
				r->f.no_memory = true;
			else if (ret < 0)
				fault(&r->f, r->key_line, place_of_open(r, &p),
				      "%s", why.text);
		}
	}
	r->open = OPEN_NOTHING;
	r->value_len = 0;
}

static bool is_section_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') &&
		    !(s[i] >= 'A' && s[i] <= 'Z') &&
		    !(s[i] >= '0' && s[i] <= '9') &&
		    strchr("._-", s[i]) == NULL)
			return false;
	return len > 0;
}

static bool is_key_name(const char *s, size_t len)
{
	return is_section_name(s, len) && memchr(s, '.', len) == NULL;
}

/* Refuse a section given twice; otherwise remember it. */
static bool section_is_new(struct reader *r)
{
	struct seen_section *grown;

	for (size_t i = 0; i < r->section_count; i++)
		if (strcmp(r->sections[i].name, r->section) == 0) {
			fault(&r->f, r->line, r->section,
			      "section found twice, expected once; the first "
			      "is on line %d",
			      r->sections[i].line);
			return false;
		}
	grown = reallocarray(r->sections, r->section_count + 1, sizeof(*grown));
	if (grown == NULL) {
		r->f.no_memory = true;
		return true;
	}
	r->sections = grown;
	memcpy(grown[r->section_count].name, r->section, sizeof(r->section));
	grown[r->section_count++].line = r->line;
	return true;
}

/* r->section is new or not: is it one of the table? */
static bool section_is_known(struct reader *r)
{
	char hint[512], family[SECTION_MAX + 8];

	if (keys_section(r->section) == NULL) {
		snprintf(family, sizeof(family), "%s.NAME", r->section);
		if (keys_section(family) != NULL)
			fault(&r->f, r->line, r->section,
			      "section has no name, expected [%s]", family);
		else
			fault(&r->f, r->line, r->section, "no such section%s",
			      suggest(r->section, NULL, hint, sizeof(hint)));
		return false;
	}
	if (!keys_section_now(r->section))
		fault(&r->f, r->line, r->section, "not in this version yet");
	return true;
}

/* A section of a family, or of what it adds, is there even without a key. */
static bool section_exists(struct reader *r)
{
	const struct family *family = keys_section(r->section)->family;
	struct why why = {""};
	int ret = 0;

	if (section_find(r->c, family, r->section) == NULL)
		ret = section_add(r->c, family, r->section, &why);
	else if (family == NULL)
		ret = section_present(r->c, r->section);
	if (ret == -ENOMEM)
		r->f.no_memory = true;
	else if (ret < 0)
		fault(&r->f, r->line, r->section, "%s", why.text);
	return ret == 0;
}

/* s, len: the line without white space at its end. */
static enum line_kind take_section(struct reader *r, const char *s, size_t len)
{
	const char *close = memchr(s, ']', len);
	struct quoted q;

	finish_value(r);
	r->any_section = true;
	r->section_ok = false;
	r->section[0] = '\0';
	if (close != s + len - 1 || !is_section_name(s + 1, len - 2)) {
		fault(&r->f, r->line, NULL, "found %s, expected [SECTION]",
		      quote_n(&q, s, len));
		return LINE_NOTHING;
	}
	if (len - 2 > SECTION_MAX) {
		fault(&r->f, r->line, NULL,
		      "section name of %zu bytes, expected at most %zu",
		      len - 2, SECTION_MAX);
		return LINE_NOTHING;
	}
	memcpy(r->section, s + 1, len - 2);
	r->section[len - 2] = '\0';
	if (section_is_new(r) && strchr(r->section, '.') != NULL)
		memset(r->seen, 0, keys_count() * sizeof(*r->seen));
	r->section_ok = section_is_known(r) && section_exists(r);
	return r->section_ok ? LINE_SECTION : LINE_NOTHING;
}

/* No usable "key =" at s: say what is wrong. */
static void refuse_key(struct reader *r, const char *s, size_t len,
		       size_t key_len, bool equals)
{
	struct quoted q;
	struct place p = {""};

	place_of(r, "", 0, &p);
	if (!equals && memchr(s, ':', len) != NULL)
		fault(&r->f, r->line, p.s,
		      "found %s, expected KEY = VALUE; ':' does not separate",
		      quote_n(&q, s, len));
	else if (!equals)
		fault(&r->f, r->line, p.s, "found %s, expected KEY = VALUE",
		      quote_n(&q, s, len));
	else if (key_len == 0)
		fault(&r->f, r->line, p.s,
		      "no key before '=', expected "
		      "KEY = VALUE");
	else if (memchr(s, ':', key_len) != NULL)
		fault(&r->f, r->line, p.s,
		      "found %s before '=', expected a key; ':' does not "
		      "separate",
		      quote_n(&q, s, key_len));
	else
		fault(&r->f, r->line, p.s,
		      "found %s before '=', expected a key",
		      quote_n(&q, s, key_len));
}

/* A well formed key in a known section: is it one, and the first? */
static bool accept_key(struct reader *r, const char *s, size_t len)
{
	char name[INI_NAME_MAX + 1] = "", hint[512];
	const struct key *k = NULL;
	struct place p = {""};
	int *seen;

	memcpy(name, s, len < INI_NAME_MAX ? len : INI_NAME_MAX);
	if (len <= INI_NAME_MAX)
		k = keys_find(r->section, name);
	if (k == NULL) {
		fault(&r->f, r->line, place_of(r, s, len, &p), "no such key%s",
		      suggest(r->section, name, hint, sizeof(hint)));
		return false;
	}
	seen = &r->seen[keys_index(k)];
	if (*seen != 0) {
		fault(&r->f, r->line, place_of(r, s, len, &p),
		      "found twice, expected once; the first is on line %d",
		      *seen);
		return false;
	}
	*seen = r->line;
	r->key = k;
	r->key_line = r->line;
	return true;
}

static enum line_kind take_key(struct reader *r, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);
	size_t key_len = eq != NULL ? (size_t)(eq - s) : 0;

	finish_value(r);
	r->open = OPEN_REFUSED;
	while (key_len > 0 && is_blank(s[key_len - 1]))
		key_len--;
	if (eq == NULL || !is_key_name(s, key_len)) {
		refuse_key(r, s, len, key_len, eq != NULL);
		return LINE_NOTHING;
	}
	if (!r->any_section) {
		struct place p = {""};

		fault(&r->f, r->line, place_of(r, s, key_len, &p),
		      "key before any section, expected [SECTION] first");
		return LINE_NOTHING;
	}
	if (!r->section_ok || !accept_key(r, s, key_len))
		return LINE_NOTHING;
	for (eq++; eq < s + len && is_blank(*eq); eq++)
		;
	r->piece = eq;
	r->piece_len = (size_t)(s + len - eq);
	r->open = OPEN_VALUE;
	return LINE_KEY;
}

/* s, len: an indented line without its indentation. */
static enum line_kind take_more(struct reader *r, const char *s, size_t len)
{
	struct quoted q;
	struct place p = {""};

	if (r->open == OPEN_REFUSED)
		return LINE_NOTHING;
	if (r->open == OPEN_NOTHING) {
		fault(&r->f, r->line, place_of(r, "", 0, &p),
		      "indented line %s continues nothing, expected no white "
		      "space before a key or section",
		      quote_n(&q, s, len));
		return LINE_NOTHING;
	}
	if (*s == '#' || *s == ';') {
		fault(&r->f, r->line, place_of_open(r, &p),
		      "indented line begins with '%c', expected a comment "
		      "without indentation, or more of the value",
		      *s);
		return LINE_NOTHING;
	}
	r->piece = s;
	r->piece_len = len;
	return LINE_MORE;
}

/* Bytes that no line may hold, however it is read.  True if refused. */
static bool refuse_bytes(struct reader *r, const char *s, size_t len,
			 size_t physical)
{
	bool comment = *s == '#' || *s == ';', indented = is_blank(*s);
	const char *eq = memchr(s, '=', len);
	struct place p = {""};
	size_t i = 0;

	while (i < len && ((unsigned char)s[i] >= 0x20 || s[i] == '\t') &&
	       s[i] != 0x7f)
		i++;
	if (i == len && physical <= INI_LINE_MAX)
		return false;

	if (!indented && !comment) {
		size_t key_len = eq != NULL ? (size_t)(eq - s) : 0;

		finish_value(r);
		while (key_len > 0 && is_blank(s[key_len - 1]))
			key_len--;
		if (!is_key_name(s, key_len))
			key_len = 0;
		if (*s == '[') {
			r->any_section = true;
			r->section_ok = false;
			r->section[0] = '\0';
		}
		place_of(r, s, key_len, &p);
	} else {
		place_of_open(r, &p);
	}
	if (i < len && s[i] == '\0')
		fault(&r->f, r->line, p.s,
		      "NUL byte in column %zu, expected text", i + 1);
	else if (i < len)
		fault(&r->f, r->line, p.s,
		      "control byte 0x%02x in column %zu, expected text",
		      (unsigned char)s[i], i + 1);
	else
		fault(&r->f, r->line, p.s,
		      "line of %zu bytes, expected at most %d; an indented "
		      "line continues a value",
		      physical, INI_LINE_MAX);
	if (!comment && !(indented && r->open == OPEN_NOTHING))
		r->open = OPEN_REFUSED;
	return true;
}

static enum line_kind take_line(struct reader *r, const char *s, size_t len,
				size_t physical)
{
	size_t indent = 0;

	if (len > 0 && refuse_bytes(r, s, len, physical))
		return LINE_NOTHING;
	while (len > 0 && is_blank(s[len - 1]))
		len--;
	if (len == 0) {
		finish_value(r);
		return LINE_NOTHING;
	}
	if (*s == '#' || *s == ';')
		return LINE_NOTHING;
	while (is_blank(s[indent]))
		indent++;
	if (indent > 0)
		return take_more(r, s + indent, len - indent);
	if (*s == '[')
		return take_section(r, s, len);
	return take_key(r, s, len);
}

/* Cut the next physical line off; false at the end of the text. */
static bool next_line(struct reader *r)
{
	static const char bom[] = "\xef\xbb\xbf";
	const char *s, *end;
	size_t len, physical;

	if (r->pos == r->len || faults_full(&r->f))
		return false;
	s = r->text + r->pos;
	end = memchr(s, '\n', r->len - r->pos);
	physical = end != NULL ? (size_t)(end - s) : r->len - r->pos;
	r->pos += physical + (end != NULL);
	r->line++;
	len = physical;
	/* A line may end with CR LF; CR anywhere else is a control byte. */
	if (end != NULL && len > 0 && s[len - 1] == '\r')
		len--;
	if (r->line == 1 && len >= 3 && memcmp(s, bom, 3) == 0) {
		fault(&r->f, 1, NULL, "UTF-8 byte order mark, expected text");
		s += 3;
		len -= 3;
		physical -= 3;
	}
	r->kind = take_line(r, s, len, physical);
	return true;
}

static void disagree(struct reader *r, const char *how)
{
	struct place p = {""};

	fault(&r->f, r->line, place_of_open(r, &p),
	      "the INI library %s, expected it to agree with mote", how);
	r->open = OPEN_REFUSED;
	r->kind = LINE_NOTHING;
}

/* The line before this one must have been reported by now. */
static void check_delivered(struct reader *r)
{
	if ((r->kind == LINE_KEY || r->kind == LINE_MORE) && !r->delivered)
		disagree(r, "skipped this line");
	r->kind = LINE_NOTHING;
	r->delivered = false;
}

/* Like fgets: the plain rendering of the next line. */
static char *read_line(char *buf, int size, void *stream)
{
	struct reader *r = stream;
	int n = 1;

	check_delivered(r);
	if (!next_line(r))
		return NULL;
	buf[0] = '\0';
	if (r->kind == LINE_SECTION)
		n = snprintf(buf, (size_t)size, "[%.*s]\n", INI_NAME_MAX,
			     r->section);
	else if (r->kind == LINE_KEY)
		n = snprintf(buf, (size_t)size, "%s=%.*s\n", r->key->info.key,
			     (int)r->piece_len, r->piece);
	else if (r->kind == LINE_MORE)
		n = snprintf(buf, (size_t)size, " %.*s\n", (int)r->piece_len,
			     r->piece);
	if (n >= size)
		disagree(r, "has too small a buffer");
	if (r->kind == LINE_NOTHING)
		snprintf(buf, (size_t)size, "\n");
	for (char *s = strchr(buf, ';'); s != NULL; s = strchr(s, ';'))
		*s = SEMICOLON;
	return buf;
}

/* Did libinih see the piece as the reader meant it? */
static bool same_piece(const struct reader *r, const char *value)
{
	if (strlen(value) != r->piece_len)
		return false;
	for (size_t i = 0; i < r->piece_len; i++)
		if (r->piece[i] != (value[i] == SEMICOLON ? ';' : value[i]))
			return false;
	return true;
}

/* It was shown as much of the name as it can hold. */
static bool same_section(const struct reader *r, const char *section)
{
	size_t len = strlen(r->section);

	if (len > INI_NAME_MAX)
		len = INI_NAME_MAX;
	return strlen(section) == len && memcmp(section, r->section, len) == 0;
}

/* libinih's callback: a key or a continuation, which the reader knows. */
static int take_report(void *user, const char *section, const char *name,
		       const char *value)
{
	struct reader *r = user;

	if ((r->kind != LINE_KEY && r->kind != LINE_MORE) || r->delivered ||
	    value == NULL || !same_section(r, section) ||
	    strcmp(name, r->key->info.key) != 0 || !same_piece(r, value)) {
		disagree(r, "reads this line differently");
		return 1;
	}
	r->delivered = true;
	if (r->kind == LINE_KEY)
		r->value_len = 0;
	else if (r->value_len > 0 && r->value[r->value_len - 1] == '\\')
		r->value_len--;
	else if (r->value_len > 0 && value_add(r, " ", 1) < 0)
		return 1;
	value_add(r, r->piece, r->piece_len);
	return 1;
}

/*
 * The directory of name, absolute, so that what mote check prints and a
 * snapshot keeps means the same anywhere; NULL where paths stay as they are.
 */
static int find_dir(const char *name, char **dir)
{
	const char *slash = name != NULL ? strrchr(name, '/') : NULL;
	int len = slash != NULL ? (int)(slash - name) : 0;
	char cwd[PATH_MAX];
	int ret;

	*dir = NULL;
	if (name == NULL || strcmp(name, "-") == 0)
		return 0;
	/* "/x.ini": the path gets its slash back when it is joined. */
	if (name[0] == '/')
		ret = asprintf(dir, "%.*s", len, name);
	else if (getcwd(cwd, sizeof(cwd)) == NULL)
		return 0;
	else
		ret = asprintf(dir, "%s%s%.*s", cwd, slash != NULL ? "/" : "",
			       len, name);
	if (ret < 0)
		*dir = NULL;
	return ret < 0 ? -ENOMEM : 0;
}

int config_parse_text(struct vm_config *c, const char *name, const char *text,
		      size_t len, unsigned int arch, struct config_errors *errs)
{
	struct reader r = {
		.f = {.errs = errs, .name = name != NULL ? name : "config"},
		.c = c,
		.arch = arch,
		.text = text,
		.len = len,
	};
	int ret = -ENOMEM;

	r.seen = calloc(keys_count(), sizeof(*r.seen));
	if (r.seen == NULL || find_dir(name, &r.dir) < 0 ||
	    value_add(&r, "", 0) < 0)
		goto out_free;
	ret = ini_parse_stream(read_line, &r, take_report, &r);
	check_delivered(&r);
	if (ret != 0 && !faults_full(&r.f))
		fault(&r.f, ret > 0 ? ret : 0, NULL,
		      "the INI library refused this line, expected it to "
		      "agree with mote");
	finish_value(&r);
	ret = faults_result(&r.f);
out_free:
	free(r.seen);
	free(r.dir);
	free(r.sections);
	free(r.value);
	return ret;
}
