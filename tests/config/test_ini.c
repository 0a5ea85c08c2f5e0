/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>

#include "config/config_priv.h"
#include "helpers.h"

Test(ini, a_colon_is_not_a_separator)
{
	check_line("cmdline: x", NULL);
	check_line("cmdline:x", NULL);
	check_line("cmdline: x = y", NULL);
	check_line("cmdline:", NULL);
	check_line(":", NULL);
	check_line("cmdline = a:b", "a:b");

	AUTO_PARSED p = parse("[vm]\nmemory: 64M\n");
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:2: vm: found 'memory: 64M', expected KEY = "
			 "VALUE; ':' does not separate");
}

Test(ini, a_comment_is_a_whole_line)
{
	AUTO_PARSED p = parse("# a\n; b\n[vm]\n#c = d\n;memory = 2M\n"
			      "vcpus = 2\n");

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_eq(p.c.vm.vcpus, 2);
	cr_assert_eq(p.c.vm.memory, 32u << 20);
}

Test(ini, sections_that_differ_late_are_not_the_same)
{
	/* 50 bytes each, one more than libinih keeps. */
	static const char text[] =
		"[disk.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaX]\n"
		"path = x\n"
		"[disk.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaY]\n"
		"path = y\n";
	AUTO_PARSED p = parse_as(NULL, text, X86);

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_eq(p.c.disk_count, 2);
	cr_assert_str_eq(text_of(p.c.disk[0].path), "x");
	cr_assert_str_eq(text_of(p.c.disk[1].path), "y");
}

Test(ini, a_bad_section_header_is_refused_and_its_keys_skipped)
{
	static const char *const bad[] = {
		"[vm",	    "[]",      "[ vm]",	   "[vm ]",	 "[vm] # x",
		"[vm] ; x", "[vm]]",   "[[vm]]",   "[v m]",	 "[vm/x]",
		"[vm]x",    "[vm:]",   "[v;m]",	   "[\xc3\xa4]", "[vm=x]",
		"[",	    "[vm]\tx", "[vm] = 3",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[200];

		snprintf(text, sizeof(text), "%s\nmemory = 2M\nx\n  y\n",
			 bad[i]);
		AUTO_PARSED p = parse(text);
		cr_assert_eq(p.ret, -EINVAL, "%s", bad[i]);
		cr_assert_eq(p.e.count, 2, "%s: %zu", bad[i], p.e.count);
		cr_assert_eq(strncmp(msg(&p, 0), "t.ini:1: ", 9), 0);
		cr_assert_eq(strncmp(msg(&p, 1), "t.ini:3: ", 9), 0);
		cr_assert_eq(p.c.vm.memory, 32u << 20);
	}
}

Test(ini, white_space_after_a_section_header_is_fine)
{
	AUTO_PARSED p = parse("[vm] \t \nvcpus = 2");

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_eq(p.c.vm.vcpus, 2);
}

Test(ini, a_continuation_is_joined_by_one_space)
{
	check_line("cmdline = a\n  b\n\tc", "a b c");
	check_line("cmdline =\n  b", "b");
	check_line("cmdline = a  \n \t  b  c  ", "a b  c");
	check_line("cmdline = a\n# between\n; too\n b", "a b");
	check_line("cmdline = a\n memory=1G\n [sandbox]\n x:y ;z",
		   "a memory=1G [sandbox] x:y ;z");
	check_line("cmdline = a\n cmdline = b", "a cmdline = b");
}

Test(ini, a_backslash_joins_with_nothing)
{
	check_line("cmdline = a\\\n  b", "ab");
	check_line("cmdline = a \\\n  b", "a b");
	check_line("cmdline = a  \\  \n  b", "a  b");
	check_line("cmdline = a\\\\\n  b", "a\\b");
	check_line("cmdline = \\\n  b", "b");
	check_line("cmdline = a\\b\n  c\\d", "a\\b c\\d");
	check_line("cmdline = a\\\n  b\\\n  c", "abc");
}

Test(ini, a_backslash_with_nothing_after_it_is_refused)
{
	check_line("cmdline = a\\", NULL);
	check_line("cmdline = \\", NULL);
	check_line("cmdline = a\\\n", NULL);

	AUTO_PARSED p = parse("[vm]\ncmdline = a\\\nvcpus = 2");
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:2: vm.cmdline: the value ends with a "
			 "backslash, expected an indented line that continues "
			 "it");
}

Test(ini, an_indented_line_needs_something_to_continue)
{
	static const struct {
		const char *text;
		int line;
	} bad[] = {
		{"  [vm]\n", 1},
		{"[vm]\n  kernel = x\n", 2},
		{"[vm]\nkernel = x\n\n  y\n", 4},
		{"[vm]\nkernel = x\n \t\n  y\n", 4},
		{"[vm]\nkernel = x\n[cpu]\n  y\n", 4},
		{"# x\n  y\n", 2},
		{" x", 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_PARSED p = parse(bad[i].text);

		cr_assert(refused_at(&p, bad[i].line), "%s", msg(&p, 0));
		cr_assert_eq(p.e.count, 1);
	}
}

Test(ini, an_indented_comment_is_refused)
{
	AUTO_PARSED p = parse("[vm]\ncmdline = a\n  # b\n  ; c\n  d\n");

	cr_assert_eq(p.e.count, 2);
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:3: vm.cmdline: indented line begins with '#', "
			 "expected a comment without indentation, or more of "
			 "the value");
}

Test(ini, a_key_given_twice_is_refused_with_both_lines)
{
	AUTO_PARSED p = parse("[vm]\nvcpus = 2\n\nvcpus = 2\n");

	cr_assert_eq(p.e.count, 1);
	cr_assert_str_eq(msg(&p, 0), "t.ini:4: vm.vcpus: found twice, expected "
				     "once; the first is on line 2");
}

Test(ini, a_section_given_twice_is_refused_with_both_lines)
{
	AUTO_PARSED p = parse("[vm]\nvcpus = 2\n[log]\n[vm]\nmemory = 2M\n"
			      "vcpus = 3\n");

	cr_assert_eq(p.e.count, 2);
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:4: vm: section found twice, expected once; the "
			 "first is on line 1");
	cr_assert_str_eq(msg(&p, 1), "t.ini:6: vm.vcpus: found twice, expected "
				     "once; the first is on line 2");
}

Test(ini, members_of_a_family_have_their_own_keys)
{
	AUTO_PARSED p = parse("[disk.a]\npath = x\npath = y\n"
			      "[disk.b]\npath = x\n[disk.a]\n");

	cr_assert_eq(p.e.count, 2);
	cr_assert_not_null(strstr(msg(&p, 0), ":3: disk.a.path: found twice"));
	cr_assert_not_null(strstr(msg(&p, 1), ":6: disk.a: section found tw"));
}

Test(ini, a_key_before_any_section_is_refused)
{
	AUTO_PARSED p = parse("memory = 2M\n[vm]\nvcpus = 2\n");

	cr_assert_eq(p.e.count, 1);
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:1: memory: key before any section, expected "
			 "[SECTION] first");
	cr_assert_eq(p.c.vm.memory, 32u << 20);
}

Test(ini, a_line_without_a_key_is_refused)
{
	check_line("= x", NULL);
	check_line("=", NULL);
	check_line("cmdline", NULL);
	check_line("cmd line = x", NULL);
	check_line("cmdline# = x", NULL);
	check_line("vm.cmdline = x", NULL);
	check_line("\"cmdline\" = x", NULL);
	check_line("\xc2\xa0"
		   "cmdline = x",
		   NULL);
}

Test(ini, keys_are_case_sensitive)
{
	AUTO_PARSED p = parse("[vm]\nMemory = 2M\n");

	cr_assert_str_eq(msg(&p, 0), "t.ini:2: vm.Memory: no such key, did you "
				     "mean 'memory'?");
}

static const char small[] = "# note\n[vm]\nname = a\nkernel = k\n"
			    "cmdline = x ; y\n  more\nvcpus = 2\n\n[log]\n"
			    "level = info\n";

/* The small file with byte c put in at every offset, or over every byte. */
static void check_byte_everywhere(char c, bool insert)
{
	size_t len = sizeof(small) - 1;
	char text[sizeof(small) + 1];
	int line = 1;

	for (size_t at = 0; at < len + insert; at++) {
		memcpy(text, small, at);
		text[at] = c;
		memcpy(text + at + 1, small + at + !insert, len - at);
		/* CR LF is a way to end a line. */
		if (c == '\r' && text[at + 1] == '\n' &&
		    at + 1 < len + insert) {
			line += small[at] == '\n';
			continue;
		}
		AUTO_PARSED p = parse_bytes(text, len + insert);
		char want[32];

		snprintf(want, sizeof(want), "t.ini:%d: ", line);
		cr_assert_eq(p.ret, -EINVAL, "0x%02x at %zu", c, at);
		cr_assert_not_null(msg(&p, 0));
		bool found = false;
		for (size_t i = 0; i < p.e.count; i++)
			found |= strncmp(msg(&p, i), want, strlen(want)) == 0 &&
				 strstr(msg(&p, i), " in column ") != NULL;
		cr_assert(found, "0x%02x at %zu: %s", c, at, msg(&p, 0));
		line += at < len && small[at] == '\n';
	}
}

Test(ini, a_nul_anywhere_is_refused_with_its_line)
{
	check_byte_everywhere('\0', true);
	check_byte_everywhere('\0', false);
}

Test(ini, a_control_byte_anywhere_is_refused_with_its_line)
{
	for (int c = 1; c < 0x20; c++)
		if (c != '\t' && c != '\n') {
			check_byte_everywhere((char)c, true);
			check_byte_everywhere((char)c, false);
		}
	check_byte_everywhere(0x7f, true);
}

Test(ini, a_file_that_ends_anywhere_is_read_as_far_as_it_goes)
{
	for (size_t len = 0; len < sizeof(small); len++) {
		/* Not terminated, so that reading on is seen by ASan. */
		char *text = malloc(len + (len == 0));

		cr_assert_not_null(text);
		memcpy(text, small, len);
		AUTO_PARSED p = parse_bytes(text, len);
		cr_assert(p.ret == 0 || p.e.count == 1, "%zu", len);
		free(text);
	}
}

Test(ini, an_empty_file_is_all_defaults)
{
	AUTO_PARSED p = parse("");
	AUTO_PARSED q = parse_bytes(NULL, 0);

	cr_assert_eq(p.ret, 0);
	cr_assert_eq(q.ret, 0);
	cr_assert_eq(p.c.vm.vcpus, 1);
}

Test(ini, a_file_without_a_last_newline_is_fine)
{
	AUTO_PARSED p = parse("[vm]\nvcpus = 3");

	cr_assert_eq(p.ret, 0);
	cr_assert_eq(p.c.vm.vcpus, 3);
}

Test(ini, crlf_is_a_line_end)
{
	AUTO_PARSED p = parse("[vm]\r\n# c\r\ncmdline = a\r\n  b\r\n\r\n"
			      "vcpus = 2\r\n");

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "a b");
	cr_assert_eq(p.c.vm.vcpus, 2);
}

Test(ini, a_byte_order_mark_is_refused_and_the_rest_still_checked)
{
	AUTO_PARSED p = parse("\xef\xbb\xbf[vm]\nvcpus = 0\n");

	cr_assert_eq(p.e.count, 2);
	cr_assert_str_eq(msg(&p, 0),
			 "t.ini:1: UTF-8 byte order mark, expected text");
	cr_assert_not_null(strstr(msg(&p, 1), ":2: vm.vcpus: found '0'"));
}

Test(ini, bytes_above_ascii_are_data)
{
	for (int c = 0x80; c < 0x100; c++) {
		char line[] = "cmdline = a?b?", want[] = "a?b?";

		line[11] = line[13] = want[1] = want[3] = (char)c;
		check_line(line, want);
	}
}

Test(ini, all_faults_are_reported_in_the_order_of_lines)
{
	AUTO_PARSED p = parse("x = y\n[vm]\nmemory = 3\n  # c\nvcpus = 99\n"
			      "frob = 1\n[nope]\nx = y\n[log]\nlevel = all\n");
	int before = 0;

	cr_assert_eq(p.e.count, 7);
	for (size_t i = 0; i < p.e.count; i++) {
		int line = 0;

		cr_assert_eq(sscanf(msg(&p, i), "t.ini:%d:", &line), 1);
		cr_assert_geq(line, before);
		before = line;
	}
}

Test(ini, more_than_a_hundred_faults_are_cut_with_a_note)
{
	char text[4000] = "[vm]\n";

	for (int i = 0; i < 500; i++)
		strcat(text, "bad\n");
	AUTO_PARSED p = parse(text);
	cr_assert_eq(p.ret, -EINVAL);
	cr_assert_eq(p.e.count, 101);
	cr_assert_str_eq(msg(&p, 99), "t.ini:101: vm: found 'bad', expected "
				      "KEY = VALUE");
	cr_assert_str_eq(msg(&p, 100),
			 "t.ini: too many faults, the rest is not shown");
}

Test(ini, messages_show_no_raw_control_bytes)
{
	AUTO_PARSED p = set("vm.memory=\x1b[31mred\n");

	cr_assert_str_eq(
		msg(&p, 0),
		"--set: vm.memory: found '\\x1b[31mred\\x0a', expected "
		"a size such as 64M, 1M to 1T, a multiple of 1M");
}

/* Debian's libinih can be switched over by anyone in the process. */
extern bool ini_allow_multiline __attribute__((weak));
extern bool ini_allow_no_value __attribute__((weak));
extern bool ini_allow_inline_comments __attribute__((weak));
extern char *ini_inline_comment_prefixes __attribute__((weak));
extern char *ini_start_comment_prefixes __attribute__((weak));

/* The small file while libinih reads otherwise: which line is refused. */
static int refused_line(void)
{
	int line = -1;
	AUTO_PARSED p = parse(small);

	if (p.ret == 0) {
		cr_assert_str_eq(text_of(p.c.vm.cmdline), "x ; y more");
		cr_assert_eq(p.c.vm.vcpus, 2);
		return 0;
	}
	cr_assert_not_null(strstr(msg(&p, 0), "the INI library"), "%s",
			   msg(&p, 0));
	sscanf(msg(&p, 0), "t.ini:%d:", &line);
	return line;
}

Test(ini, a_libinih_that_reads_otherwise_is_refused)
{
	char odd[] = "\x01", m[] = "m", *before;

	if (&ini_allow_multiline == NULL || &ini_allow_no_value == NULL ||
	    &ini_allow_inline_comments == NULL ||
	    &ini_inline_comment_prefixes == NULL ||
	    &ini_start_comment_prefixes == NULL)
		cr_skip_test("reason %s", "this libinih has no switches");
	cr_assert_eq(refused_line(), 0);

	/* Line 6 continues line 5, which has a semicolon. */
	ini_allow_multiline = false;
	cr_assert_eq(refused_line(), 6);
	ini_allow_no_value = true;
	cr_assert_eq(refused_line(), 6);
	ini_allow_no_value = false;
	ini_allow_multiline = true;

	ini_allow_inline_comments = false;
	cr_assert_eq(refused_line(), 0);
	ini_allow_inline_comments = true;

	before = ini_inline_comment_prefixes;
	ini_inline_comment_prefixes = odd;
	cr_assert_eq(refused_line(), 5);
	ini_inline_comment_prefixes = before;

	before = ini_start_comment_prefixes;
	ini_start_comment_prefixes = m;
	cr_assert_eq(refused_line(), 6);
	ini_start_comment_prefixes = before;
	cr_assert_eq(refused_line(), 0);
}

/* One random line of a value: any printable bytes and tabs. */
static size_t random_piece(char *s, size_t max, unsigned int *seed)
{
	static const char often[] = " ;#:=[]\\\t";
	size_t len = next_random(seed) % max + 1;

	for (size_t i = 0; i < len; i++) {
		unsigned int r = next_random(seed);

		s[i] = r % 3 == 0 ? often[r / 3 % (sizeof(often) - 1)]
				  : (char)(0x21 + r / 3 % 0x5e);
	}
	/* What must not be at the ends of a line. */
	if (strchr(" \t#;", s[0]) != NULL)
		s[0] = 'x';
	if (strchr(" \t\\", s[len - 1]) != NULL)
		s[len - 1] = 'x';
	s[len] = '\0';
	return len;
}

Test(ini, random_values_on_many_lines_are_read_exactly)
{
	unsigned int seed = 1;

	for (int round = 0; round < 3000; round++) {
		char text[4096] = "[vm]\nvcpus = 2\ncmdline = ",
		     want[4096] = "";
		unsigned int pieces = next_random(&seed) % 8 + 1;

		for (unsigned int i = 0; i < pieces; i++) {
			char piece[256];
			bool glue = next_random(&seed) % 4 == 0;

			random_piece(piece, 180, &seed);
			strcat(text, i == 0 ? "" : "   ");
			strcat(text, piece);
			strcat(want, piece);
			if (i + 1 < pieces)
				strcat(want, glue ? "" : " ");
			strcat(text, glue && i + 1 < pieces ? "\\\n" : "\n");
		}
		strcat(text, "[log]\nlevel = info\n");
		AUTO_PARSED p = parse(text);
		cr_assert_eq(p.ret, 0, "round %d: %s", round, msg(&p, 0));
		cr_assert_str_eq(text_of(p.c.vm.cmdline), want);
		cr_assert_eq(p.c.log.level, 6);
	}
}
