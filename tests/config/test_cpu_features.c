/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "config/cpu_features.h"

static struct cpu_features parsed(const char *text)
{
	struct cpu_features f;

	cr_assert_eq(cpu_features_parse(text, &f), 0, "%s", text);
	return f;
}

static bool shows(const char *text, const char *name)
{
	struct cpu_features f = parsed(text);
	enum cpu_word word;
	int bit;

	cr_assert(cpu_feature_find(name, &word, &bit), "%s", name);
	return f.show[word] >> bit & 1;
}

Test(cpu_features, a_name_is_a_bit_and_back)
{
	static const struct {
		const char *name;
		enum cpu_word word;
		int bit;
	} known[] = {
		/* Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E */
		{"sse2", CPU_1_EDX, 26},
		{"cx16", CPU_1_ECX, 13},
		{"hypervisor", CPU_1_ECX, 31},
		{"avx2", CPU_7_EBX, 5},
		{"avx512vl", CPU_7_EBX, 31},
		{"la57", CPU_7_ECX, 16},
		{"serialize", CPU_7_EDX, 14},
		{"avx_vnni", CPU_7_1_EAX, 4},
		{"xsaves", CPU_D_1_EAX, 3},
		{"lm", CPU_80000001_EDX, 29},
		{"abm", CPU_80000001_ECX, 5},
		{"constant_tsc", CPU_80000007_EDX, 8},
		{"stibp", CPU_80000008_EBX, 15},
	};
	enum cpu_word word;
	char name[48];
	int bit;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		cr_assert(cpu_feature_find(known[i].name, &word, &bit));
		cr_expect(word == known[i].word && bit == known[i].bit, "%s",
			  known[i].name);
		cpu_feature_name(word, bit, name, sizeof(name));
		cr_expect_str_eq(name, known[i].name);
	}
	cr_expect_not(cpu_feature_find("-", &word, &bit));
	cr_expect_not(cpu_feature_find("", &word, &bit));
	cpu_feature_name(CPU_1_ECX, 16, name, sizeof(name));
	cr_expect_str_eq(name, "bit 16 of CPUID 0x1.0 ecx");
	cpu_feature_name(CPU_D_1_EAX, 31, name, sizeof(name));
	cr_expect_str_eq(name, "bit 31 of CPUID 0xd.1 eax");
}

/* No name twice: it would hide one and show the other. */
Test(cpu_features, each_name_is_of_one_bit)
{
	for (int w = 0; w < CPU_WORDS; w++)
		for (int i = 0; i < 32; i++) {
			enum cpu_word word;
			char name[48];
			int bit;

			cpu_feature_name((enum cpu_word)w, i, name,
					 sizeof(name));
			if (strstr(name, "CPUID"))
				continue;
			cr_assert(cpu_feature_find(name, &word, &bit));
			cr_expect((int)word == w && bit == i, "%s", name);
		}
}

Test(cpu_features, a_level_has_its_features_and_those_below)
{
	cr_expect(parsed(NULL).all && parsed("host").all);
	cr_expect_not(parsed("host,-aes").all || parsed("host").level);
	cr_expect(parsed("x86-64-v1").level);
	cr_expect(shows("x86-64-v1", "sse2") && shows("x86-64-v1", "apic"));
	cr_expect_not(shows("x86-64-v1", "ssse3"));
	cr_expect(shows("x86-64-v2", "sse4_2") && shows("x86-64-v2", "fpu"));
	cr_expect_not(shows("x86-64-v2", "xsave") || shows("x86-64-v2", "aes"));
	cr_expect(shows("x86-64-v3", "avx2") && shows("x86-64-v3", "xsave"));
	cr_expect_not(shows("x86-64-v3", "avx512f") ||
		      shows("x86-64-v3", "smap"));
	cr_expect(shows("x86-64-v4", "avx512vl"));
	cr_expect_not(shows("x86-64-v4", "avx512_vnni"));
	cr_expect(shows("host", "avx512_vnni"));
}

Test(cpu_features, single_ones_are_hidden_and_shown)
{
	cr_expect_not(shows("host,-rdrand,-aes", "aes") ||
		      shows("host,-rdrand,-aes", "rdrand"));
	cr_expect(shows("host,-rdrand,-aes", "avx"));
	cr_expect(shows("x86-64-v2,+aes,+rdrand", "rdrand"));
	cr_expect(shows("host,-aes,+aes", "aes"));
}

Test(cpu_features, what_needs_a_hidden_one_goes_with_it)
{
	static const char *const vectors[] = {"avx",  "avx2",	 "fma",
					      "f16c", "avx512f", "avx512_vnni",
					      "vaes", "xsaves"};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		cr_expect_not(shows("host,-xsave", vectors[i]), "%s",
			      vectors[i]);
	cr_expect_not(shows("host,-avx512f", "avx512_vpopcntdq"));
	cr_expect(shows("host,-avx512f", "avx2"));
	cr_expect_not(shows("host,-amx_tile", "amx_int8"));
	/* AMD's copies of leaf 1 */
	cr_expect_eq(parsed("host,-mmx").show[CPU_80000001_EDX] >> 23 & 1, 0);
	cr_expect_eq(parsed("host,-pge").show[CPU_80000001_EDX] >> 13 & 1, 0);
	cr_expect_eq(parsed("host").show[CPU_80000001_EDX] >> 13 & 1, 1);
}

/* What is asked for must be there: a level's, or +NAME's, but no more. */
Test(cpu_features, a_level_and_a_plus_want_theirs)
{
	struct cpu_features f = parsed("x86-64-v2,-popcnt,+aes");
	enum cpu_word word;
	int bit;

	cr_assert(cpu_feature_find("popcnt", &word, &bit));
	cr_expect_not(f.want[word] >> bit & 1);
	cr_assert(cpu_feature_find("aes", &word, &bit));
	cr_expect(f.want[word] >> bit & 1);
	cr_assert(cpu_feature_find("sse4_2", &word, &bit));
	cr_expect(f.want[word] >> bit & 1);
	cr_assert(cpu_feature_find("x2apic", &word, &bit));
	cr_expect_not(f.want[word] >> bit & 1);
	f = parsed("host,-aes");
	for (int w = 0; w < CPU_WORDS; w++)
		cr_expect_eq(f.want[w], 0);
}

Test(cpu_features, others_are_refused)
{
	static const char *const bad[] = {
		"",
		",",
		"hosts",
		"x86-64",
		"x86-64-v0",
		"x86-64-v5",
		"x86-64-v22",
		"aes",
		"-aes",
		"host,",
		"host,aes",
		"host,-",
		"host,--",
		"host,-none",
		"host,-aes,",
		"host,-avx*",
		"host -aes",
		"host,-avx2 ",
		"host,x86-64-v2",
		"x86-64-v2,+avx2",
		"host,-xsave,+fma",
		"host,-abcdefghijklmnopqrstuvwxyzabcdefgh"};
	struct cpu_features f;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(cpu_features_parse(bad[i], &f), -EINVAL, "'%s'",
			     bad[i]);
}
