/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/num.h"
#include "helpers.h"

Test(wrap, a_description_parses_to_the_same_struct)
{
	AUTO_PARSED d = parse("");
	AUTO_PARSED p = parse(EVERYTHING);
	AUTO_PARSED a = set_as("cpu.psci=1.1", ARM);
	AUTO_PARSED h = set_as("cpu.psci=host", ARM);
	AUTO_PARSED o = set_as("cpu.hpt_order=24", PPC);

	round_trip(&d.c, X86);
	round_trip(&p.c, X86);
	round_trip(&a.c, ARM);
	round_trip(&h.c, ARM);
	round_trip(&o.c, PPC);
}

Test(wrap, every_number_is_described_exactly)
{
	static const char *const sets[] = {
		"vm.memory=1M",	       "vm.memory=1T",
		"vm.memory=1023M",     "vm.memory=1025M",
		"vm.memory=33554432",  "vm.memory=1024K",
		"vm.stop_timeout=0",   "vm.stop_timeout=1ms",
		"vm.stop_timeout=60s", "vm.stop_timeout=61s",
		"vm.stop_timeout=60m", "vm.stop_timeout=1001ms",
		"control.mode=0",      "control.mode=777",
		"vm.vcpus=64",	       "vm.max_vcpus=1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		AUTO_PARSED p = set(sets[i]);

		cr_assert_eq(p.ret, 0, "%s: %s", sets[i], msg(&p, 0));
		round_trip(&p.c, X86);
	}
}

Test(wrap, no_described_line_is_longer_than_the_parser_takes)
{
	char text[8300] = "vm.cmdline=";

	for (size_t len = 1; len <= 8191; len += len < 600 ? 1 : 211) {
		for (size_t i = 0; i < len; i++)
			text[11 + i] = i % 7 == 5 && i + 1 < len ? ' ' : 'a';
		text[11 + len] = '\0';
		AUTO_PARSED p = set(text);
		cr_assert_eq(p.ret, 0, "%zu: %s", len, msg(&p, 0));
		round_trip(&p.c, X86);
		memset(text + 11, 'b', len);
		AUTO_PARSED q = set(text);
		cr_assert_eq(q.ret, 0, "%zu: %s", len, msg(&q, 0));
		round_trip(&q.c, X86);
	}
	memset(text + 11, 'b', 8192);
	AUTO_PARSED p = set(text);
	cr_assert_str_eq(msg(&p, 0), "--set: vm.cmdline: found 8192 bytes, "
				     "expected at most 8191");
}

Test(wrap, odd_bytes_at_every_break_survive_the_round_trip)
{
	static const char *const odd[] = {
		"  ",	"\t",  " ;", " #",   "\\",	"\\ ",	    " \\",
		"\\\\", ";;;", "= ", " [x]", "   #   ", "\xc3\xa4", ":"};
	char text[700] = "vm.cmdline=";

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		for (size_t at = 1; at < 420; at++) {
			memset(text + 11, 'a', 500);
			text[511] = '\0';
			/* The same bytes around both line ends. */
			memcpy(text + 11 + at, odd[i], strlen(odd[i]));
			AUTO_PARSED p = set(text);
			cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
			round_trip(&p.c, X86);
		}
}

Test(wrap, no_line_begins_within_a_character)
{
	for (size_t pad = 0; pad < 4; pad++) {
		char text[1100] = "vm.cmdline=";
		char *out;

		memset(text + 11, 'a', pad);
		for (int i = 0; i < 300; i++)
			strcat(text, "\xe2\x82\xac");
		AUTO_PARSED p = set(text);
		cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
		out = config_describe(&p.c);
		for (const char *s = strstr(out, "\n  "); s != NULL;
		     s = strstr(s + 1, "\n  "))
			cr_assert_eq((unsigned char)s[3], 0xe2);
		free(out);
	}
}

Test(wrap, random_command_lines_survive_or_are_refused)
{
	unsigned int seed = 7, kept = 0;

	for (int round = 0; round < 20000; round++) {
		char text[1100] = "vm.cmdline=";
		size_t len = next_random(&seed) % 1000 + 1;
		unsigned int bias = next_random(&seed) % 60 + 1;

		for (size_t i = 0; i < len; i++) {
			unsigned int r = next_random(&seed);

			text[11 + i] = r % bias == 0 ? " \t;#\\=:"[r / bias % 7]
						     : (char)(r / 64 % 255 + 1);
		}
		AUTO_PARSED p = set(text);
		if (p.ret == 0) {
			cr_assert_str_eq(p.c.vm.cmdline, text + 11);
			round_trip(&p.c, X86);
			kept++;
		}
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)text[11 + i] < 0x20 ||
			    text[11 + i] == 0x7f)
				text[11 + i] = 'x';
		AUTO_PARSED q = set(text);
		if (q.ret == 0) {
			round_trip(&q.c, X86);
			kept++;
		}
	}
	cr_assert_gt(kept, 5000);
}

Test(wrap, what_an_ini_file_cannot_hold_is_refused)
{
	char run[400] = "vm.cmdline=x";

	AUTO_PARSED a = set("vm.cmdline= x");
	AUTO_PARSED b = set("vm.cmdline=x ");
	AUTO_PARSED c = set("vm.cmdline=x\\");
	AUTO_PARSED d = set("vm.cmdline=x\ny");
	memset(run + 12, ';', 300);
	AUTO_PARSED e = set(run);
	AUTO_PARSED f = parse_as("a\nb/t.ini", "[vm]\nkernel = x\n", X86);

	cr_assert_not_null(strstr(msg(&a, 0), "begins or ends with white"));
	cr_assert_not_null(strstr(msg(&b, 0), "begins or ends with white"));
	cr_assert_not_null(strstr(msg(&c, 0), "ends with a backslash"));
	cr_assert_not_null(strstr(msg(&d, 0), "has a control byte"));
	cr_assert_not_null(strstr(msg(&e, 0), "no place to break it"));
	cr_assert_not_null(strstr(msg(&f, 0), "has a control byte"));
}
