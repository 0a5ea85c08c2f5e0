/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wrap.c - how a value of any length is laid out in lines of an INI file.
 *
 * An indented line continues the value before it.  It is joined by one
 * space; where the line before ends with a backslash, that is dropped and
 * the two are joined with nothing between them.  So any value can be
 * written that has no control bytes, does not begin or end with white
 * space or end with a backslash, and has a place to break often enough: a
 * line can't begin with white space, '#' or ';', nor within a character
 * of UTF-8.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"

/* May ch be the first byte of a continuation? */
static bool may_begin(char ch)
{
	return ch != '\0' && !is_blank(ch) && ch != '#' && ch != ';' &&
	       ((unsigned char)ch & 0xc0) != 0x80;
}

size_t value_piece(const char *text, size_t room, bool *glue)
{
	size_t len = strlen(text);

	*glue = false;
	if (len <= room)
		return len;
	for (size_t i = room; i > 0; i--)
		if (text[i] == ' ' && may_begin(text[i + 1]) &&
		    !is_blank(text[i - 1]) && text[i - 1] != '\\')
			return i;
	*glue = true;
	for (size_t i = room - 1; i > 0; i--)
		if (may_begin(text[i]))
			return i;
	return 0;
}

int value_writable(const char *key, const char *text, struct why *why)
{
	size_t len = strlen(text), room = INI_LINE_MAX - strlen(key) - 3;
	const char *fault = NULL;
	bool glue;

	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\t') ||
		    text[i] == 0x7f)
			fault = "has a control byte";
	if (len > 0 && (is_blank(text[0]) || is_blank(text[len - 1])))
		fault = "begins or ends with white space";
	else if (len > 0 && text[len - 1] == '\\')
		fault = "ends with a backslash";

	while (fault == NULL && *text != '\0') {
		size_t n = value_piece(text, room, &glue);

		if (n == 0)
			fault = "has no place to break it into lines";
		text += n + (!glue && text[n] == ' ');
		room = INI_LINE_MAX - 2;
	}
	if (fault == NULL)
		return 0;
	snprintf(why->text, sizeof(why->text),
		 "the value %s, expected text that an INI file can hold",
		 fault);
	return -EINVAL;
}
