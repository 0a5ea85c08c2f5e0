/* SPDX-License-Identifier: Apache-2.0 */
#include "config/cpu_features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define NAME_MAX_LEN 31
#define LEVELS	     4

/* Names by bit; "-" is none, or none that a guest is ever shown. */
static const struct {
	uint32_t leaf, subleaf;
	int reg;
	const char *names;
} words[CPU_WORDS] = {
	[CPU_1_EDX] = {1, 0, 3,
		       "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge "
		       "mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse "
		       "sse2 ss ht tm ia64 pbe"},
	[CPU_1_ECX] = {1, 0, 2,
		       "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 "
		       "ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 "
		       "sse4_2 x2apic movbe popcnt tsc_deadline_timer aes "
		       "xsave osxsave avx f16c rdrand hypervisor"},
	[CPU_7_EBX] = {7, 0, 1,
		       "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms "
		       "invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed "
		       "adx smap avx512ifma - clflushopt clwb intel_pt "
		       "avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
	[CPU_7_ECX] = {7, 0, 2,
		       "prefetchwt1 avx512vbmi umip pku ospke waitpkg "
		       "avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni "
		       "avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - "
		       "rdpid - bus_lock_detect cldemote - movdiri movdir64b "
		       "enqcmd sgx_lc pks"},
	[CPU_7_EDX] = {7, 0, 3,
		       "- - avx512_4vnniw avx512_4fmaps fsrm uintr - - "
		       "avx512_vp2intersect - md_clear - - - serialize - "
		       "tsxldtrk - pconfig arch_lbr ibt - amx_bf16 "
		       "avx512_fp16 amx_tile amx_int8 spec_ctrl intel_stibp "
		       "flush_l1d arch_capabilities core_capabilities "
		       "spec_ctrl_ssbd"},
	[CPU_7_1_EAX] = {7, 1, 0,
			 "- - - rao_int avx_vnni avx512_bf16 - cmpccxadd - - "
			 "fzrm fsrs fsrc - - - - - - - - amx_fp16 - avx_ifma "
			 "- - lam"},
	[CPU_7_1_EDX] = {7, 1, 3,
			 "- - - - avx_vnni_int8 avx_ne_convert - - amx_complex "
			 "- avx_vnni_int16 - - - prefetchi - - - cet_sss avx10 "
			 "- apx_f"},
	[CPU_7_2_EDX] = {7, 2, 3,
			 "psfd ipred_ctrl rrsba_ctrl ddpd_u bhi_ctrl mcdt_no"},
	[CPU_D_1_EAX] = {0xd, 1, 0, "xsaveopt xsavec xgetbv1 xsaves xfd"},
	/* Its ALIAS bits repeat leaf 1 (AMD): hide_dependent. */
	[CPU_80000001_EDX] = {0x80000001, 0, 3,
			      "- - - - - - - - - - - syscall - - - - - - - - "
			      "nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
			      "3dnowext 3dnow"},
	[CPU_80000001_ECX] = {0x80000001, 0, 2,
			      "lahf_lm cmp_legacy svm extapic cr8_legacy abm "
			      "sse4a misalignsse 3dnowprefetch osvw ibs xop "
			      "skinit wdt - lwp fma4 tce - nodeid_msr - tbm "
			      "topoext perfctr_core perfctr_nb - bpext ptsc "
			      "perfctr_llc mwaitx"},
	[CPU_80000007_EDX] = {0x80000007, 0, 3, "- - - - - - - - constant_tsc"},
	[CPU_80000008_EBX] = {0x80000008, 0, 1,
			      "clzero irperf xsaveerptr - rdpru - - - - "
			      "wbnoinvd - - ibpb - ibrs stibp - - - - - - - - "
			      "ssbd virt_ssbd"},
	[CPU_80000021_EAX] = {0x80000021, 0, 0,
			      "no_nested_data_bp wrmsr_xx_base_ns lfence_rdtsc "
			      "- - - null_sel_clr_base - autoibrs "
			      "no_smm_ctl_msr - - - - - - - - - - - - - - - - "
			      "- sbpb ibpb_brtype srso_no"},
};

#define ALIAS 0x0183f3ffu

/* What every level has: a kernel would not begin without it. */
static const char for_kernels[] =
	"de pse tsc msr pae mce apic sep mtrr pge mca pat pse36 clflush ht "
	"x2apic tsc_deadline_timer hypervisor nx";

/* What each level adds to the one below (x86-64 psABI, table 3.1). */
static const char *const levels[LEVELS + 1] = {
	[0] = for_kernels,
	[1] = "fpu cx8 cmov mmx fxsr sse sse2 syscall lm",
	[2] = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
	[3] = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave osxsave",
	[4] = "avx512f avx512bw avx512cd avx512dq avx512vl",
};

/* Without the first, none of the others (names that end in "*": all such). */
static const struct {
	const char *needed, *others;
} needs[] = {
	{"xsave", "osxsave avx pku ospke mpx amx_tile xsaveopt xsavec xgetbv1 "
		  "xsaves xfd"},
	{"avx", "avx2 fma f16c vaes vpclmulqdq avx_vnni avx_ifma avx_vnni_int8 "
		"avx_ne_convert avx_vnni_int16 avx10 xop fma4 avx512f"},
	{"avx512f", "avx512*"},
	{"amx_tile", "amx_*"},
	{"fxsr", "sse"},
	{"sse", "sse2"},
};

/* The next word of a list of them, cut at spaces; NULL at its end. */
static const char *next_name(const char **list, char name[NAME_MAX_LEN + 1])
{
	size_t len;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	if (len == 0)
		return NULL;
	memcpy(name, *list, num_min(len, NAME_MAX_LEN));
	name[num_min(len, NAME_MAX_LEN)] = 0;
	*list += len;
	return name;
}

static bool matches(const char *name, const char *pattern)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return !strncmp(name, pattern, len - 1);
	return !strcmp(name, pattern);
}

/* Set or clear what has that name; how many did. */
static int set(uint32_t words_of[CPU_WORDS], const char *pattern, bool on)
{
	char name[NAME_MAX_LEN + 1];
	int n = 0;

	for (int w = 0; w < CPU_WORDS; w++) {
		const char *list = words[w].names;

		for (int bit = 0; next_name(&list, name); bit++) {
			uint32_t mask = UINT32_C(1) << bit;

			if (!strcmp(name, "-") || !matches(name, pattern))
				continue;
			words_of[w] =
				on ? words_of[w] | mask : words_of[w] & ~mask;
			n++;
		}
	}
	return n;
}

static void set_list(uint32_t words_of[CPU_WORDS], const char *list, bool on)
{
	char name[NAME_MAX_LEN + 1];

	while (next_name(&list, name))
		set(words_of, name, on);
}

bool cpu_feature_find(const char *name, enum cpu_word *word, int *bit)
{
	char have[NAME_MAX_LEN + 1];

	for (int w = 0; w < CPU_WORDS; w++) {
		const char *list = words[w].names;

		for (int i = 0; next_name(&list, have); i++) {
			if (!strcmp(have, "-") || strcmp(have, name) != 0)
				continue;
			*word = (enum cpu_word)w;
			*bit = i;
			return true;
		}
	}
	return false;
}

static bool shown(const struct cpu_features *f, const char *name)
{
	enum cpu_word word;
	int bit;

	return cpu_feature_find(name, &word, &bit) &&
	       f->show[word] & UINT32_C(1) << bit;
}

static void hide_dependent(struct cpu_features *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (!shown(f, needs[i].needed))
			set_list(f->show, needs[i].others, false);
	f->show[CPU_80000001_EDX] &= ~ALIAS;
	f->show[CPU_80000001_EDX] |= f->show[CPU_1_EDX] & ALIAS;
}

static int begin(struct cpu_features *f, const char *base)
{
	int level = 0;

	if (!strcmp(base, "host")) {
		memset(f->show, 0xff, sizeof(f->show));
		return 0;
	}
	if (!strncmp(base, "x86-64-v", 8) && strlen(base) == 9)
		level = base[8] - '0';
	if (level < 1 || level > LEVELS)
		return -EINVAL;
	f->level = true;
	set_list(f->show, levels[0], true);
	for (int i = 1; i <= level; i++) {
		set_list(f->show, levels[i], true);
		set_list(f->want, levels[i], true);
	}
	/* The system's, by what it has enabled. */
	set(f->want, "osxsave", false);
	return 0;
}

/* -NAME or +NAME */
static bool apply(struct cpu_features *f, const char *item)
{
	const char *name = item + 1;
	bool on = item[0] == '+';

	if ((!on && item[0] != '-') || !*name || strchr(name, '*') ||
	    !strcmp(name, "-") || set(f->show, name, on) == 0)
		return false;
	set(f->want, name, on);
	return true;
}

int cpu_features_parse(const char *text, struct cpu_features *out)
{
	bool first = true;

	*out = (struct cpu_features){.all = !text || !strcmp(text, "host")};
	if (out->all) { /* of nearly all machines: no time for names */
		memset(out->show, 0xff, sizeof(out->show));
		return 0;
	}
	for (; text; first = false) {
		size_t len = strcspn(text, ",");
		char item[NAME_MAX_LEN + 2];

		if (len == 0 || len >= sizeof(item))
			return -EINVAL;
		snprintf(item, sizeof(item), "%.*s", (int)len, text);
		text = text[len] == ',' ? text + len + 1 : NULL;
		if (first && begin(out, item) < 0)
			return -EINVAL;
		if (first)
			continue;
		if (!apply(out, item))
			return -EINVAL;
	}
	hide_dependent(out);
	for (int w = 0; w < CPU_WORDS; w++)
		if (out->want[w] & ~out->show[w])
			return -EINVAL;
	return 0;
}

void cpu_feature_name(enum cpu_word word, int bit, char *buf, size_t size)
{
	static const char *const reg[] = {"eax", "ebx", "ecx", "edx"};
	const char *list = words[word].names;
	char name[NAME_MAX_LEN + 1] = "-";

	for (int i = 0; i <= bit && next_name(&list, name); i++)
		if (i == bit && strcmp(name, "-") != 0) {
			snprintf(buf, size, "%s", name);
			return;
		}
	snprintf(buf, size, "bit %d of CPUID 0x%x.%u %s", bit, words[word].leaf,
		 words[word].subleaf, reg[words[word].reg]);
}

void cpu_word_place(enum cpu_word word, uint32_t *leaf, uint32_t *subleaf,
		    int *reg)
{
	*leaf = words[word].leaf;
	*subleaf = words[word].subleaf;
	*reg = words[word].reg;
}
