/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_features.h - cpu.features: which features of an x86_64 CPU a guest is
 * shown, in Linux's words for them (/proc/cpuinfo).
 *
 *   host | x86-64-v1 .. x86-64-v4, then any number of ,-NAME and ,+NAME
 *
 * Levels are those of the x86-64 psABI; a level also shows what every 64-bit
 * CPU has for its kernel, and nothing else.  What a level or +NAME asks for a
 * host must have: the same words are the same machine.  Pure; threads: any.
 * Source: Intel SDM vol. 2 CPUID, AMD APM vol. 3 appendix E, Linux 6.12
 * arch/x86/include/asm/cpufeatures.h for the words.
 */
#ifndef CONFIG_CPU_FEATURES_H
#define CONFIG_CPU_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cpu_word {
	CPU_1_EDX,
	CPU_1_ECX,
	CPU_7_EBX,
	CPU_7_ECX,
	CPU_7_EDX,
	CPU_7_1_EAX,
	CPU_7_1_EDX,
	CPU_7_2_EDX,
	CPU_D_1_EAX,
	CPU_80000001_EDX,
	CPU_80000001_ECX,
	CPU_80000007_EDX,
	CPU_80000008_EBX,
	CPU_80000021_EAX,
	CPU_WORDS,
};

struct cpu_features {
	bool all;   /* host, and nothing hidden: whatever there is */
	bool level; /* of one of the levels: leaves without words are hidden */
	uint32_t show[CPU_WORDS]; /* the bits that may be shown */
	uint32_t want[CPU_WORDS]; /* those of them that must be there */
};

/*
 * NULL is host.  -EINVAL: not of this form, a name that is none, or +NAME of
 * what needs another that is not shown.
 */
int cpu_features_parse(const char *text, struct cpu_features *out);

/* Which bit has that name; false: none. */
bool cpu_feature_find(const char *name, enum cpu_word *word, int *bit);

/* The name of a bit, or "bit 7 of CPUID 1 ecx", into buf. */
void cpu_feature_name(enum cpu_word word, int bit, char *buf, size_t size);

/* Where CPUID has that word: leaf, subleaf, register (0 eax to 3 edx). */
void cpu_word_place(enum cpu_word word, uint32_t *leaf, uint32_t *subleaf,
		    int *reg);

#endif
