/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_priv.h - what the files of config/ share: the key table's rows,
 * values, faults, suggestions.
 *
 * Threads: any; the table is constant.  Trust: text is the user's.
 */
#ifndef CONFIG_CONFIG_PRIV_H
#define CONFIG_CONFIG_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/*
 * What libinih 55 keeps of a line, found by running it: its reader gets a
 * buffer of 200 bytes, so 198 bytes and a newline are the most that it
 * takes as one line.  With 199 the newline counts as a line of its own,
 * with 200 the rest is read as a new key.  Sections and the key that a
 * continuation belongs to are cut at 49 bytes.
 */
#define INI_LINE_MAX 198
#define INI_NAME_MAX 49

#define CONFIG_ARCH_ANY                                                        \
	(CONFIG_ARCH_X86_64 | CONFIG_ARCH_ARM64 | CONFIG_ARCH_PPC64LE)

/* How a key's text is read and where it is kept. */
enum key_kind {
	KEY_LATER,   /* known, but not in this version */
	KEY_TEXT,    /* char *, any text; empty unsets it */
	KEY_NAME,    /* char *, [A-Za-z0-9][A-Za-z0-9._-]* */
	KEY_ACCOUNT, /* char *, user or group, name or number */
	KEY_PATH,    /* char * */
	KEY_SIZE,    /* uint64_t */
	KEY_TIME,    /* uint64_t, ms */
	KEY_COUNT,   /* uint32_t */
	KEY_BOOL,    /* bool */
	KEY_CHOICE,  /* int or an enum */
	KEY_PSCI,    /* uint32_t */
	KEY_MODE,    /* uint32_t, octal */
};

enum key_flags {
	KEY_QUIET = 1 << 0, /* described only where it is not the default */
	KEY_AUTO = 1 << 1,  /* "auto" stands for 0 */
};

/* One word that a KEY_CHOICE takes; the list ends with a NULL name. */
struct choice {
	const char *name;
	int value;
	unsigned int arch;
	bool later; /* not in this version yet */
};

struct key {
	struct config_key_info info;
	enum key_kind kind;
	unsigned int flags;
	size_t off; /* into struct vm_config */
	/* Numbers: their range; text: its length in bytes. */
	uint64_t min;
	uint64_t max;
	uint64_t step;
	const struct choice *choices;
};

/* The i-th row, or NULL past the end. */
const struct key *keys_at(size_t i);
size_t keys_count(void);
size_t keys_index(const struct key *k);

/* Is name ("vm", "disk.root") an instance of pattern ("vm", "disk.NAME")? */
bool keys_section_is(const char *pattern, const char *name);

/* The first row of that section, or NULL: no such section. */
const struct key *keys_section(const char *name);

/* Has the section at least one key that works in this version? */
bool keys_section_now(const char *name);

/* The row of section.key, or NULL. */
const struct key *keys_find(const char *section, const char *name);

/* "x86_64", "arm64 and ppc64le"; buf is returned. */
const char *keys_arch_text(unsigned int arch, char *buf, size_t size);

/*
 * ", did you mean 'x'?" or ", expected a, b or c" for an unknown section
 * (key NULL) or key; buf is returned.
 */
const char *suggest(const char *section, const char *key, char *buf,
		    size_t size);

/* Faults of one parse, kept in the order of lines. */
#define FAULTS_MAX 100

struct faults {
	struct config_errors *errs; /* may be NULL: only counted */
	const char *name;
	int count;
	int line[FAULTS_MAX + 1];
	bool no_memory;
};

/* "NAME:LINE: WHAT: text"; line 0 and what NULL or "" are left out. */
void fault(struct faults *f, int line, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Is the list full, so that reading on is useless? */
bool faults_full(const struct faults *f);

/* 0, -EINVAL or -ENOMEM. */
int faults_result(const struct faults *f);

/* Text of the user made fit for a message: quoted, escaped, shortened. */
struct quoted {
	char s[96];
};

const char *quote_n(struct quoted *q, const char *s, size_t len);
const char *quote(struct quoted *q, const char *s);

/* Why a value was refused: the part after "section.key: ". */
struct why {
	char text[512];
};

/*
 * Read text as k's value into *c; on failure *c is unchanged.  dir: what
 * relative paths are joined to, or NULL.  0, -EINVAL and *why, -ENOMEM.
 */
int value_set(struct vm_config *c, const struct key *k, const char *text,
	      const char *dir, unsigned int arch, struct why *why);

/*
 * The value as INI text: buf, or the string of *c itself; NULL when unset
 * or when *c holds no value that the key can have.
 */
const char *value_text(const struct vm_config *c, const struct key *k,
		       char *buf, size_t size);

/* "found TEXT, expected ..." for a value that k can't have; -EINVAL. */
int value_unexpected(struct why *why, const struct key *k, const char *text);

/* Give *to its own copies of from's strings; the rest was copied.  -ENOMEM. */
int value_copy_strings(struct vm_config *to, const struct vm_config *from);

/* Free and unset every string. */
void value_free_all(struct vm_config *c);

/* Can text stand in an INI file as the value of key?  0, or -EINVAL. */
int value_writable(const char *key, const char *text, struct why *why);

/*
 * How much of text, the rest of a value, goes on a line with room bytes:
 * the piece's length, 0 when there is no place to break.  *glue: the line
 * ends with a backslash and nothing is left out; otherwise the one space
 * after the piece is, when anything follows.
 */
size_t value_piece(const char *text, size_t room, bool *glue);

static inline bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

#endif
