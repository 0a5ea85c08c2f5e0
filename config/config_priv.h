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
 * continuation belongs to are cut at 49 bytes: keys are not longer, and of
 * a section it sees only so much, as the reader tells sections apart.
 */
#define INI_LINE_MAX 198
#define INI_NAME_MAX 49

/* Of [KIND.NAME]: Solo5's devices have names of up to 67 bytes. */
#define SECTION_NAME_MAX 67
#define SECTION_MAX	 (sizeof("passthrough.") - 1 + SECTION_NAME_MAX)

#define CONFIG_ARCH_ANY                                                        \
	(CONFIG_ARCH_X86_64 | CONFIG_ARCH_ARM64 | CONFIG_ARCH_PPC64LE)

/* How a key's text is read and where it is kept. */
enum key_kind {
	KEY_LATER,   /* known, but not in this version */
	KEY_TEXT,    /* char *, any text; empty unsets it */
	KEY_NAME,    /* char *, [A-Za-z0-9][A-Za-z0-9._-]* */
	KEY_ACCOUNT, /* char *, user or group, name or number */
	KEY_PATH,    /* char * */
	KEY_IFNAME,  /* char *, of a network interface; empty unsets it */
	KEY_PCI,     /* char *, DDDD:BB:DD.F in hexadecimal */
	KEY_SIZE,    /* uint64_t */
	KEY_SIZE32,  /* uint32_t, a power of two */
	KEY_TIME,    /* uint64_t, ms */
	KEY_COUNT,   /* uint32_t */
	KEY_BOOL,    /* bool */
	KEY_CHOICE,  /* int or an enum */
	KEY_PSCI,    /* uint32_t */
	KEY_MODE,    /* uint32_t, octal */
	KEY_FD,	     /* int; empty: -1 */
	KEY_CPU,     /* char *, what cpu_features_parse takes */
	KEY_READY,   /* char *, what config_parse_ready takes */
	KEY_MAC,     /* uint8_t[6] and the bool after it; empty: unset */
};

enum key_flags {
	KEY_QUIET = 1 << 0,   /* described only where it is not the default */
	KEY_AUTO = 1 << 1,    /* "auto" stands for 0 */
	KEY_SECTION = 1 << 2, /* the section alone sets it to yes */
};

/* One word that a KEY_CHOICE takes; the list ends with a NULL name. */
struct choice {
	const char *name;
	int value;
	unsigned int arch;
	bool later; /* not in this version yet */
};

/* Sections [KIND.NAME]: an array of structs, one a section. */
struct family {
	size_t list;  /* the array's place in struct vm_config */
	size_t count; /* ... and that of its uint32_t length */
	size_t size;  /* of an element, which begins with its char *name */
	uint32_t max;
};

struct key {
	struct config_key_info info;
	enum key_kind kind;
	unsigned int flags;
	const struct family *family; /* NULL: the section is there once */
	size_t off; /* into struct vm_config or the family's element */
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
 * Read text as k's value into *at, the struct that holds it (vm_config or a
 * family's element); on failure it is unchanged.  dir: what relative paths
 * are joined to, or NULL.  0, -EINVAL and *why, -ENOMEM.
 */
int value_set(void *at, const struct key *k, const char *text, const char *dir,
	      unsigned int arch, struct why *why);

/*
 * The value as INI text: buf, or the string of *at itself; NULL when unset
 * or when *at holds no value that the key can have.
 */
const char *value_text(const void *at, const struct key *k, char *buf,
		       size_t size);

/* "found TEXT, expected ..." for a value that k can't have; -EINVAL. */
int value_unexpected(struct why *why, const struct key *k, const char *text);

/* The string of *at that is k's value, or NULL: k is no string. */
char **value_string(void *at, const struct key *k);

/* --- section.c: the structs that hold the values ------------------------ */

/* Set the defaults of vm_config (family NULL) or of a new element. */
int section_defaults(void *at, const struct family *family);

/* How many sections of the table's section there are: 1, or a family's. */
uint32_t section_count(const struct vm_config *c, const struct family *family);

/* The i-th of them: a family's element, or *c itself. */
void *section_nth(const struct vm_config *c, const struct family *family,
		  uint32_t i);

/* The name of an element that section_nth gave. */
const char *section_name(const void *at);

/* 0, or -EINVAL and *why: no name of a section [KIND.NAME]. */
int section_check_name(const char *name, struct why *why);

/* What holds the values of the section ("vm", "disk.root"), or NULL. */
void *section_find(const struct vm_config *c, const struct family *family,
		   const char *section);

/* Add an element with defaults.  -EINVAL and *why: full or a bad name. */
/* [NAME] of what is there by its section alone: 0 or -ENOMEM. */
int section_present(struct vm_config *c, const char *section);

int section_add(struct vm_config *c, const struct family *family,
		const char *section, struct why *why);

/*
 * value_set in that section, which is added where it is new; after a
 * failure *c is unchanged.
 */
int section_put(struct vm_config *c, const struct key *k, const char *section,
		const char *text, const char *dir, unsigned int arch,
		struct why *why);

/* Give *to its own copies of what from owns; the rest was copied.  -ENOMEM. */
int section_copy_all(struct vm_config *to, const struct vm_config *from);

/* Free and unset every string and family. */
void section_free_all(struct vm_config *c);

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
