/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/num.h"
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
	/* Where libinih begins anew: multiples of its 199 bytes. */
	static const size_t whole[] = {397,  398,  399,	 400,  597,
				       796,  995,  1990, 2000, 4096,
				       4975, 4976, 4999, 5000};

	for (size_t len = 150; len < 240; len++)
		for (size_t col = 9; col < len; col++)
			check_word_at(len, col, " memory=1G");
	/* Every length; which columns moves on with it. */
	for (size_t len = 240; len <= 5000; len++)
		for (size_t col = 9 + len % 31; col < len; col += 31)
			check_word_at(len, col, "=");
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		for (size_t col = 9; col < whole[i]; col++)
			check_word_at(whole[i], col, " memory=1G");
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

Test(ini_lines, a_colon_is_no_separator_in_a_line_of_any_length)
{
	for (size_t len = 9; len <= 5000; len += len < 420 ? 1 : 89) {
		char line[5100];

		/* "cmdline:aaa", with an '=' later or without one. */
		make_line(line, len, 7, ":");
		check_line(line, NULL);
		line[len - 1] = '=';
		check_line(line, NULL);
		/* A colon before the '=' of a good line. */
		make_line(line, len, 4, ":");
		check_line(line, NULL);
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
	char text[400] = "[", want[300];

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
			 "most 79",
			 len);
		cr_assert_str_eq(msg(&p, 0), want);
		cr_assert_eq(p.e.count, 1);
		cr_assert_eq(p.c.disk_count, 0);
	} else if (len > 5 + SECTION_NAME_MAX) {
		cr_assert_eq(p.ret, -EINVAL);
		snprintf(want, sizeof(want),
			 "/t.ini:1: disk.%.*s: the section's name is '%.*s', "
			 "expected 1 to 67 of A-Z a-z 0-9 _ -",
			 (int)(len - 5), text + 6, (int)(len - 5), text + 6);
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
	for (size_t len = 1; len <= INI_LINE_MAX - 2; len++) {
		check_section(len, 'x');
		check_section(len, '7');
	}
}

Test(ini_lines, two_sections_are_two_wherever_their_names_differ)
{
	for (size_t col = 0; col < SECTION_NAME_MAX; col++) {
		char a[SECTION_NAME_MAX + 1], text[300];

		memset(a, 'n', SECTION_NAME_MAX);
		a[SECTION_NAME_MAX] = '\0';
		AUTO_PARSED p = parse_as(NULL, "", X86);
		for (int i = 0; i < 2; i++) {
			a[col] = (char)('x' + i);
			snprintf(text, sizeof(text),
				 "[disk.%s]\npath = /%d\n[net.%s]\nfd = %d\n",
				 a, i, a, i);
			cr_assert_eq(config_parse_text(&p.c, NULL, text,
						       strlen(text), X86, &p.e),
				     0, "%s", msg(&p, 0));
		}
		cr_assert_eq(p.c.disk_count, 2);
		cr_assert_eq(p.c.net_count, 2);
		cr_assert_str_eq(p.c.disk[0].path, "/0");
		cr_assert_str_eq(p.c.disk[1].path, "/1");
		cr_assert_eq(p.c.disk[1].name[col], 'y');
		cr_assert_eq(p.c.net[1].fd, 1);
		round_trip(&p.c, X86);
	}
}

Test(ini_lines, a_long_section_line_is_refused_and_its_keys_skipped)
{
	for (size_t len = INI_LINE_MAX - 1; len <= 5000;
	     len += len < 420 ? 1 : 83)
		for (size_t col = 190; col < 210 && col < len; col++) {
			char text[5200] = "[";

			memset(text + 1, 'd', len - 2);
			memcpy(text + col, "]", 1);
			memcpy(text + len - 1, "]", 2);
			strcat(text, "\nvcpus = 7\n[log]\nlevel = info\n");
			AUTO_PARSED p = parse(text);
			cr_assert(refused_at(&p, 1), "%zu: %s", len,
				  msg(&p, 0));
			cr_assert_eq(p.e.count, 1, "%zu", len);
			cr_assert_eq(p.c.vm.vcpus, 1);
			cr_assert_eq(p.c.log.level, 6);
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

/* libinih reports both of these alike: the first key with a value. */
Test(ini_lines, a_continuation_is_no_duplicate_at_any_length)
{
	for (size_t len = 1; len + 1 <= INI_LINE_MAX; len++) {
		char text[900], more[200], want[500];

		memset(more, 'b', len);
		more[len] = '\0';
		snprintf(text, sizeof(text),
			 "[vm]\ncmdline = a\n %s\n\t%s\nvcpus = 2\n", more,
			 more);
		AUTO_PARSED p = parse(text);
		cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
		snprintf(want, sizeof(want), "a %s %s", more, more);
		cr_assert_str_eq(text_of(p.c.vm.cmdline), want);

		snprintf(text, sizeof(text),
			 "[vm]\ncmdline = a\n %s\ncmdline = %.*s\nvcpus = 2\n",
			 more, (int)(len < 180 ? len : 180), more);
		AUTO_PARSED q = parse(text);
		cr_assert(refused_at(&q, 4), "%s", msg(&q, 0));
		cr_assert_eq(q.e.count, 1);
		cr_assert_not_null(strstr(msg(&q, 0), "found twice"));
		snprintf(want, sizeof(want), "a %s", more);
		cr_assert_str_eq(text_of(q.c.vm.cmdline), want);
		cr_assert_eq(q.c.vm.vcpus, 2);
	}
}

Test(ini_lines, a_continuation_that_looks_like_a_key_is_data_in_any_column)
{
	static const char *const words[] = {"memory=1G", "memory: 1G", "[log]",
					    "cmdline=x", " ; x",       "x\\"};

	for (size_t w = 0; w < ARRAY_SIZE(words); w++)
		for (size_t indent = 1; indent < 185; indent++) {
			char line[300];
			bool fault = strcmp(words[w], "x\\") == 0 ||
				     strcmp(words[w], " ; x") == 0;

			snprintf(line, sizeof(line), "cmdline = a\n%*s%s",
				 (int)indent, "", words[w]);
			if (!fault) {
				char want[40];

				snprintf(want, sizeof(want), "a %s", words[w]);
				check_line(line, want);
				continue;
			}
			/* A comment, or a value that is cut off. */
			char text[400];

			snprintf(text, sizeof(text), "[vm]\n%s\nvcpus = 2\n",
				 line);
			AUTO_PARSED p = parse(text);
			cr_assert_eq(p.ret, -EINVAL, "%s", text);
			cr_assert_eq(p.c.vm.vcpus, 2);
			cr_assert_eq(p.c.vm.memory, 32u << 20);
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
