/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parser.h - a parser with a planted bug, for examples/fuzz: compiled into the
 * guest that is rewound and into the native program beside it.
 *
 *   'M' 'R' 1 COUNT, then COUNT records of TYPE LENGTH BYTES
 *
 * 'N' names the session, 'V' adds a value, 'E' ends it.  The bug: a name whose
 * first byte is '~' is taken for an alias, and its length is not checked.
 */
#ifndef GUESTS_PARSE_PARSER_H
#define GUESTS_PARSE_PARSER_H

#include <stddef.h>
#include <stdint.h>

#define SESSION_NAME 16

struct session {
	uint8_t name[SESSION_NAME];
	int (*done)(const struct session *s); /* what the bug writes over */
	uint32_t sum, values;
};

static int session_done(const struct session *s)
{
	return s->values > 3 ? 1 : 0;
}

static void session_copy(volatile uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i];
}

static int session_record(struct session *s, uint8_t type, const uint8_t *p,
			  size_t len)
{
	if (type == 'N') {
		if (len > 0 && p[0] == '~') {
			session_copy(s->name, p, len); /* the planted bug */
			return 0;
		}
		if (len > SESSION_NAME)
			return -1;
		session_copy(s->name, p, len);
		return 0;
	}
	if (type == 'V') {
		for (size_t i = 0; i < len; i++)
			s->sum = s->sum * 31 + p[i];
		s->values++;
		return 0;
	}
	return type == 'E' ? 1 : -1;
}

static int parse(const uint8_t *p, size_t len)
{
	struct session s = {.done = session_done};
	size_t at = 4;

	if (len < 4 || p[0] != 'M' || p[1] != 'R' || p[2] != 1)
		return -1;
	for (uint8_t left = p[3]; left > 0; left--) {
		size_t size;
		int ret;

		if (len - at < 2)
			return -1;
		size = p[at + 1];
		if (len - at - 2 < size)
			return -1;
		ret = session_record(&s, p[at], p + at + 2, size);
		if (ret < 0)
			return -1;
		at += 2 + size;
		if (ret > 0)
			break;
	}
	return s.done(&s);
}

#endif
