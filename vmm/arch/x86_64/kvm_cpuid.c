/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm_cpuid.c - what a guest is shown of its CPU: all that KVM offers, or
 * less (cpu.features); and after a restore what it was shown before, on this
 * host or another.
 *
 * Source: KVM API 4.46 (KVM_GET_SUPPORTED_CPUID); Intel SDM vol. 2, CPUID.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/state_priv.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "config/config.h"
#include "config/cpu_features.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define SECTION_CPUID "x86-cpuid"
#define VERSION	      1
#define ENTRIES_MAX   256
#define MISSING_MAX   200 /* bytes of names in a message */

#define LEAF_KVM KVM_CPUID_FEATURES

/* XCR0, by what needs them; x87 and SSE are always there. */
#define XCR0_LEGACY 0x3u
static const struct {
	const char *feature;
	uint32_t xcr0;
} states[] = {{"avx", 1u << 2},
	      {"mpx", 3u << 3},
	      {"avx512f", 7u << 5},
	      {"pku", 1u << 9},
	      {"amx_tile", 3u << 17}};

/* Of KVM's own leaf: clocks, which every KVM has that we run on. */
#define KVM_PORTABLE                                                           \
	(1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_NOP_IO_DELAY |      \
	 1u << KVM_FEATURE_CLOCKSOURCE2 |                                      \
	 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT)

static struct kvm_cpuid2 *table_new(uint32_t entries, struct mote_err *err)
{
	struct kvm_cpuid2 *c =
		malloc(sizeof(*c) + entries * sizeof(c->entries[0]));

	if (c)
		*c = (struct kvm_cpuid2){.nent = entries};
	else
		err_set(err, ENOMEM, "CPUID table");
	return c;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, int reg)
{
	uint32_t *const all[] = {&e->eax, &e->ebx, &e->ecx, &e->edx};

	return all[reg];
}

static struct kvm_cpuid_entry2 *entry(struct kvm_cpuid2 *c, uint32_t leaf,
				      uint32_t subleaf)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf &&
		    c->entries[i].index == subleaf)
			return &c->entries[i];
	return NULL;
}

static uint32_t *word_of(struct kvm_cpuid2 *c, enum cpu_word word)
{
	uint32_t leaf, subleaf;
	struct kvm_cpuid_entry2 *e;
	int reg;

	cpu_word_place(word, &leaf, &subleaf, &reg);
	e = entry(c, leaf, subleaf);
	return e ? reg_of(e, reg) : NULL;
}

/* --- what there is ---------------------------------------------------------
 */

/* The same on whichever CPU this thread runs, and what our machine has. */
static void make_ours(struct kvm_cpuid2 *c)
{
	uint32_t *word = word_of(c, CPU_1_ECX);

	cpuid_set_apic(c, 0);
	if (!word)
		return;
	*word |= 1u << 31; /* a hypervisor is here */
	/* KVM's APIC has TSC deadlines; Linux before 6.14 is silent. */
	*word |= 1u << 24;
}

static int supported(int kvm_fd, struct kvm_cpuid2 **out, struct mote_err *err)
{
	/* KVM fills in what it has; zeroes beyond would be pages for nothing */
	struct kvm_cpuid2 *c = table_new(ENTRIES_MAX, err), *fits;
	int ret;

	*out = c;
	if (!c)
		return -ENOMEM;
	ret = kvm_call(kvm_fd, KVM_GET_SUPPORTED_CPUID, c);
	if (ret < 0)
		return err_set(err, -ret, "KVM_GET_SUPPORTED_CPUID: %s",
			       strerror(-ret));
	fits = realloc(c, sizeof(*c) + c->nent * sizeof(c->entries[0]));
	*out = fits ? fits : c;
	make_ours(*out);
	return 0;
}

void cpuid_set_apic(struct kvm_cpuid2 *c, uint32_t id)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0x00ffffff) | id << 24;
		if (e->function == 0xb || e->function == 0x1f)
			e->edx = id;
	}
}

/* --- less of it ------------------------------------------------------------
 */

static bool has(struct kvm_cpuid2 *c, const char *feature)
{
	enum cpu_word word;
	uint32_t *reg;
	int bit;

	if (!cpu_feature_find(feature, &word, &bit))
		return false;
	reg = word_of(c, word);
	return reg && *reg & UINT32_C(1) << bit;
}

/* Leaf 0xd lists the state of what is left. */
static void mask_xsave(struct kvm_cpuid2 *c)
{
	uint32_t xcr0 = has(c, "xsave") ? XCR0_LEGACY : 0;
	bool supervisor = has(c, "xsaves");

	for (size_t i = 0; xcr0 && i < ARRAY_SIZE(states); i++)
		if (has(c, states[i].feature))
			xcr0 |= states[i].xcr0;
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		bool there = e->index < 2 ||
			     (e->index < 32 && xcr0 >> e->index & 1) ||
			     (supervisor && e->ecx & 1);

		if (e->function != 0xd)
			continue;
		if (e->index == 0) {
			e->eax &= xcr0;
			e->edx = 0;
		}
		if (e->index == 1 && !supervisor)
			e->ebx = e->ecx = e->edx = 0;
		if (!xcr0 || !there)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}

/* A level is the same on every host: no leaf that has no words. */
static void mask_leaves(struct kvm_cpuid2 *c)
{
	static const uint32_t kept[] = {
		0,	    1,		2,	    4,		7,
		0xb,	    0xd,	0x80000000, 0x80000001, 0x80000002,
		0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000007,
		0x80000008, 0x40000000, 0x40000001};

	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		bool keep = false;

		for (size_t k = 0; k < ARRAY_SIZE(kept); k++)
			keep |= kept[k] == e->function;
		if (!keep || (e->function == 7 && e->index > 1))
			e->eax = e->ebx = e->ecx = e->edx = 0;
		if (e->function == 7 && e->index == 1)
			e->ebx = e->ecx = 0;
		if (e->function == LEAF_KVM)
			e->eax &= KVM_PORTABLE;
	}
}

void cpuid_mask(struct kvm_cpuid2 *c, const struct cpu_features *f)
{
	if (f->all)
		return;
	if (f->level)
		mask_leaves(c);
	for (int w = 0; w < CPU_WORDS; w++) {
		uint32_t *reg = word_of(c, (enum cpu_word)w);

		if (reg)
			*reg &= f->show[w];
	}
	mask_xsave(c);
}

/* --- in a snapshot ---------------------------------------------------------
 */

void cpuid_save(const struct kvm_cpuid2 *c, struct snap_writer *w)
{
	snap_section_begin(w, SECTION_CPUID, 0, VERSION, 0);
	snap_put_u32(w, c->nent);
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		bool id = e->function == 0xb || e->function == 0x1f;

		snap_put_u32(w, e->function);
		snap_put_u32(w, e->index);
		snap_put_u32(w, e->flags);
		snap_put_u32(w, e->eax);
		/* Each vCPU has its own APIC id in these; here it is 0. */
		snap_put_u32(w, e->function == 1 ? e->ebx & 0xffffff : e->ebx);
		snap_put_u32(w, e->ecx);
		snap_put_u32(w, id ? 0 : e->edx);
	}
	snap_section_end(w);
}

int cpuid_load(const struct snap_section *of, struct kvm_cpuid2 **out,
	       struct mote_err *err)
{
	struct snap_section s = *of;
	int ret = snap_section_version(&s, VERSION, err);
	uint32_t n;

	*out = NULL;
	if (ret < 0)
		return ret;
	n = snap_get_u32(&s);
	if (n > ENTRIES_MAX)
		s.error = -EBADMSG;
	if (s.error)
		return snap_section_close(&s, err);
	*out = table_new(n, err);
	if (!*out)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *e = &(*out)->entries[i];

		*e = (struct kvm_cpuid_entry2){.function = snap_get_u32(&s)};
		e->index = snap_get_u32(&s);
		e->flags = snap_get_u32(&s);
		e->eax = snap_get_u32(&s);
		e->ebx = snap_get_u32(&s);
		e->ecx = snap_get_u32(&s);
		e->edx = snap_get_u32(&s);
	}
	return snap_section_close(&s, err);
}

/* Add a name to a list in buf. */
static void list_add(char *buf, size_t size, const char *name)
{
	size_t at = strlen(buf);

	snprintf(buf + at, size - at, "%s%s", at ? ", " : "", name);
}

/* Set when the guest runs, or by what it does: not the host's. */
static uint32_t runtime_bits(enum cpu_word word)
{
	if (word == CPU_1_ECX)
		return 1u << 27;		/* osxsave */
	return word == CPU_7_ECX ? 1u << 4 : 0; /* ospke */
}

/* The names of want's bits that c lacks, for a message. */
static void list_missing(struct kvm_cpuid2 *c, const uint32_t want[CPU_WORDS],
			 char *buf, size_t size)
{
	for (int w = 0; w < CPU_WORDS; w++) {
		enum cpu_word word = (enum cpu_word)w;
		const uint32_t *there = word_of(c, word);
		uint32_t lacks = want[w] & ~(there ? *there : 0);

		for (lacks &= ~runtime_bits(word); lacks; lacks &= lacks - 1) {
			char name[48];

			cpu_feature_name(word, __builtin_ctz(lacks), name,
					 sizeof(name));
			list_add(buf, size, name);
		}
	}
}

int cpuid_compare(struct kvm_cpuid2 *shown, struct kvm_cpuid2 *host,
		  struct mote_err *err)
{
	char missing[MISSING_MAX] = "";
	uint32_t want[CPU_WORDS];
	struct kvm_cpuid_entry2 *k = entry(shown, LEAF_KVM, 0);
	struct kvm_cpuid_entry2 *offered = entry(host, LEAF_KVM, 0);
	struct kvm_cpuid_entry2 *x = entry(shown, 0xd, 0);
	struct kvm_cpuid_entry2 *there = entry(host, 0xd, 0);

	for (int w = 0; w < CPU_WORDS; w++) {
		const uint32_t *reg = word_of(shown, (enum cpu_word)w);

		want[w] = reg ? *reg : 0;
	}
	list_missing(host, want, missing, sizeof(missing));
	if (k && k->eax & ~(offered ? offered->eax : 0))
		list_add(missing, sizeof(missing), "features of KVM");
	if (!missing[0] && x && x->eax & ~(there ? there->eax : 0))
		list_add(missing, sizeof(missing), "XSAVE state");
	if (!missing[0])
		return 0;
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "CPU: this host lacks what the guest was shown: "
			     "%s (cpu.features can hide it from a new guest)",
			     missing);
}

/* --- a machine's -----------------------------------------------------------
 */

int cpuid_host_check(int kvm_fd, const struct snap_section *s,
		     struct mote_err *err)
{
	cleanup_free struct kvm_cpuid2 *shown = NULL, *host = NULL;
	int ret;

	if (strcmp(s->name, SECTION_CPUID) != 0)
		return 0;
	ret = cpuid_load(s, &shown, err);
	if (ret == 0)
		ret = supported(kvm_fd, &host, err);
	return ret < 0 ? ret : cpuid_compare(shown, host, err);
}

int cpuid_create(struct arch_vm *a, const struct vm_config *cfg,
		 const struct snap_reader *saved, struct mote_err *err)
{
	char missing[MISSING_MAX] = "";
	struct cpu_features f;
	struct snap_section s;
	int ret;

	/* Compared with this host's before: cpuid_host_check. */
	if (saved && snap_section_find(saved, SECTION_CPUID, 0, &s))
		return cpuid_load(&s, &a->cpuid, err);
	ret = cpu_features_parse(cfg->cpu.features, &f);
	if (ret < 0) /* it was when it was read */
		return err_set(err, -ret, "cpu.features");
	ret = supported(a->kvm_fd, &a->cpuid, err);
	if (ret < 0 || f.all)
		return ret;
	list_missing(a->cpuid, f.want, missing, sizeof(missing));
	if (missing[0])
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "cpu.features: this host lacks %s",
				     missing);
	cpuid_mask(a->cpuid, &f);
	return 0;
}
