/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "config/config_priv.h"
#include "helpers.h"

/* Lines at every length, with what libinih trips over in every column. */

/* "cmdline=aaaa...": len bytes, with word at column col. */
static void make_line(char *line, size_t len, size_t col, const char *word)
{
	memset(line, 'a', len);
	memcpy(line, "cmdline=", 8);
	line[len] = '\0';
	for (size_t i = 0; word[i] != '\0' && col + i < len; i++)
		line[col + i] = word[i];
	if (strchr(" \t\\", line[len - 1]) != NULL)
		line[len - 1] = 'a';
}

static void check_word_at(size_t len, size_t col, const char *word)
{
	char line[5100];

	make_line(line, len, col, word);
	check_line(line, len <= INI_LINE_MAX ? line + 8 : NULL);
}

Test(ini_lines, a_long_line_is_exact_or_refused_wherever_an_equals_sign_is)
{
	for (size_t len = 150; len < 240; len++)
		for (size_t col = 9; col < len; col++)
			check_word_at(len, col, " memory=1G");
	for (size_t len = 240; len <= 5000; len += 41)
		for (size_t col = 9; col < len; col += col < 210 ? 3 : 97)
			check_word_at(len, col, " memory=1G");
}

Test(ini_lines, the_rest_of_a_long_line_never_becomes_a_key)
{
	/* What libinih would read as a line of its own begins at 199. */
	for (size_t len = 199; len <= 5000; len += len < 300 ? 1 : 53)
		for (size_t col = 190; col < 210 && col < len; col++) {
			check_word_at(len, col, "memory=1G");
			check_word_at(len, col, "[sandbox]");
		}
}

Test(ini_lines, a_long_line_is_refused_by_its_length)
{
	char text[600] = "[vm]\n";

	make_line(text + 5, 199, 20, "");
	AUTO_PARSED p = parse(text);
	cr_assert_eq(p.e.count, 1);
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:2: vm.cmdline: line of 199 bytes, expected at "
			 "most 198; an indented line continues a value");
}

Test(ini_lines, a_long_comment_or_blank_line_is_refused_too)
{
	char line[400];

	for (size_t len = 150; len < 300; len++) {
		char text[512];

		memset(line, '#', len);
		line[len] = '\0';
		snprintf(text, sizeof(text), "[vm]\n%s\nvcpus = 2\n", line);
		AUTO_PARSED p = parse(text);
		cr_assert_eq(p.ret, len <= INI_LINE_MAX ? 0 : -EINVAL);
		cr_assert(p.ret == 0 || refused_at(&p, 2));

		memset(line, ' ', len);
		snprintf(text, sizeof(text), "[vm]\n%s\nvcpus = 2\n", line);
		AUTO_PARSED q = parse(text);
		cr_assert_eq(q.ret, len <= INI_LINE_MAX ? 0 : -EINVAL);
		cr_assert(q.ret == 0 || refused_at(&q, 2));
	}
}

Test(ini_lines, the_separator_may_be_in_any_column_of_a_line)
{
	char line[400];

	for (int pad = 0; pad < 300; pad++) {
		snprintf(line, sizeof(line), "cmdline%*s= x y", pad, "");
		check_line(line, strlen(line) <= INI_LINE_MAX ? "x y" : NULL);
		snprintf(line, sizeof(line), "cmdline =%*sx=y", pad, "");
		check_line(line, strlen(line) <= INI_LINE_MAX ? "x=y" : NULL);
	}
}

Test(ini_lines, a_colon_in_any_column_is_data_or_refused)
{
	for (size_t len = 150; len < 210; len++)
		for (size_t col = 0; col < len; col++) {
			char line[300];

			make_line(line, len, col, ":");
			if (col == 7) /* "cmdline:aaa" */
				check_line(line, NULL);
			else if (col < 7 || len > INI_LINE_MAX)
				check_line(line, NULL);
			else
				check_line(line, line + 8);
		}
}

Test(ini_lines, a_semicolon_in_any_column_of_a_value_is_data)
{
	for (size_t len = 30; len <= 210; len += len < 190 ? 20 : 1)
		for (size_t col = 9; col < len; col++) {
			check_word_at(len, col, " ;");
			check_word_at(len, col, " #");
			check_word_at(len, col, "\t; x");
			check_word_at(len, col, ";;;");
		}
	check_line("cmdline = ; x", "; x");
	check_line("cmdline = # x", "# x");
	check_line("cmdline=;", ";");
}

/* "[" name "]" where name has len bytes, the last one c. */
static void check_section(size_t len, char c)
{
	char text[400] = "[", want[200];

	memset(text + 1, 'a', len);
	memcpy(text + 1, "disk.", len < 5 ? len : 5);
	text[len] = c;
	text[len + 1] = '\0';
	strcat(text, "]\npath = x\n[log]\nlevel = info\n");
	AUTO_PARSED p = parse_as("/t.ini", text, X86);
	cr_assert_eq(p.c.log.level, 6);
	if (len > SECTION_MAX) {
		cr_assert_eq(p.ret, -EINVAL);
		snprintf(want, sizeof(want),
			 "/t.ini:1: section name of %zu bytes, expected at "
			 "most 72",
			 len);
		cr_assert_str_eq(msg(&p, 0), want);
		cr_assert_eq(p.e.count, 1);
		cr_assert_eq(p.c.disk_count, 0);
	} else if (len > 5) {
		cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
		cr_assert_eq(p.c.disk_count, 1);
		cr_assert_eq(strlen(p.c.disk[0].name), len - 5);
		cr_assert_eq(p.c.disk[0].name[len - 6], c);
		cr_assert_str_eq(text_of(p.c.disk[0].path), "/x");
		round_trip(&p.c, X86);
	} else {
		cr_assert_eq(p.ret, -EINVAL);
	}
}

Test(ini_lines, a_section_name_is_exact_or_refused_at_every_length)
{
	for (size_t len = 1; len <= 190; len++) {
		check_section(len, 'x');
		check_section(len, '7');
	}
}

Test(ini_lines, a_continuation_is_exact_or_refused_at_every_length)
{
	for (size_t len = 1; len < 420; len++) {
		char line[600], want[600], more[500];

		memset(more, 'b', len);
		more[len] = '\0';
		snprintf(line, sizeof(line), "cmdline=a\n %s", more);
		snprintf(want, sizeof(want), "a %s", more);
		if (len + 1 <= INI_LINE_MAX) {
			check_line(line, want);
			continue;
		}
		char text[700];

		snprintf(text, sizeof(text), "[vm]\n%s\n c\nvcpus = 2\n", line);
		AUTO_PARSED p = parse(text);
		cr_assert(refused_at(&p, 3), "%s", msg(&p, 0));
		cr_assert_eq(p.e.count, 1);
		cr_assert_null(p.c.vm.cmdline);
		cr_assert_eq(p.c.vm.vcpus, 2);
	}
}

Test(ini_lines, a_continuation_with_a_semicolon_in_any_column_is_exact)
{
	for (size_t col = 1; col < 150; col++) {
		char line[300], more[200];

		memset(more, 'b', 160);
		more[160] = '\0';
		memcpy(more + col, " ; #", 4);
		snprintf(line, sizeof(line), "cmdline = a\\\n   %s", more);
		memmove(more + 1, more, 161);
		more[0] = 'a';
		check_line(line, more);
	}
}
