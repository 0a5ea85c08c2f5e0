/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpuid.c - what a guest is shown of its CPU: cpu.features, and the same
 * again after a restore, or a refusal by name.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/state_priv.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "config/cpu_features.h"
#include "kvm/kvm.h"
#include "snapshot/stream.h"

#define ENTRIES 256

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[ENTRIES];
};

static uint32_t reg(const struct table *t, uint32_t leaf, uint32_t subleaf,
		    int which)
{
	for (uint32_t i = 0; i < t->head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entry[i];
		const uint32_t all[] = {e->eax, e->ebx, e->ecx, e->edx};

		if (e->function == leaf && e->index == subleaf)
			return all[which];
	}
	return 0;
}

static bool has(const struct table *t, const char *name)
{
	enum cpu_word word;
	uint32_t leaf, subleaf;
	int bit, which;

	cr_assert(cpu_feature_find(name, &word, &bit), "%s", name);
	cpu_word_place(word, &leaf, &subleaf, &which);
	return reg(t, leaf, subleaf, which) >> bit & 1;
}

/* What the machine gives its vCPUs. */
static struct table given(struct vmtest *t)
{
	const struct kvm_cpuid2 *c = t->vm->arch.cpuid;
	struct table copy = {.head = *c};

	cr_assert_leq(c->nent, ENTRIES);
	memcpy(copy.entry, c->entries, c->nent * sizeof(c->entries[0]));
	return copy;
}

/* NULL: the default. */
static void show(struct vmtest *t, const char *features)
{
	if (!features)
		return;
	free(t->cfg.cpu.features);
	t->cfg.cpu.features = strdup(features);
}

static struct table of_guest(const char *features)
{
	static struct vmtest t;
	struct table c;

	vmtest_init(&t, "");
	show(&t, features);
	vmtest_start(&t, "hello");
	vmtest_wait_end(&t);
	cr_expect(strstr(t.out, "hello"), "%s", t.out);
	c = given(&t);
	vmtest_fini(&t);
	return c;
}

/* A host that has everything. */
static struct table rich(void)
{
	static const struct {
		uint32_t leaf, index;
	} at[] = {{1, 0},	   {4, 0},	    {7, 0},
		  {7, 1},	   {7, 2},	    {0xd, 0},
		  {0xd, 1},	   {0xd, 2},	    {0xd, 5},
		  {0xd, 9},	   {0xd, 18},	    {0x14, 0},
		  {0x80000001, 0}, {0x80000007, 0}, {0x80000008, 0},
		  {0x8000000a, 0}, {0x40000001, 0}};
	struct table t = {.head.nent = ARRAY_SIZE(at)};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		t.entry[i] = (struct kvm_cpuid_entry2){
			.function = at[i].leaf,
			.index = at[i].index,
			.eax = UINT32_MAX,
			.ebx = UINT32_MAX,
			.ecx = at[i].leaf == 0xd && at[i].index > 1
				       ? 0 /* a user's state */
				       : UINT32_MAX,
			.edx = UINT32_MAX};
	return t;
}

static struct table masked(const char *features)
{
	struct table t = rich();
	struct cpu_features f;

	cr_assert_eq(cpu_features_parse(features, &f), 0);
	cpuid_mask(&t.head, &f);
	return t;
}

Test(x86_cpuid, a_level_hides_the_rest)
{
	static const struct {
		const char *level, *in, *out;
		uint32_t xcr0;
	} cases[] = {
		{"x86-64-v1", "sse2 lm nx apic",
		 "sse4_2 avx avx2 aes rdrand smep", 0},
		{"x86-64-v2", "sse4_2 popcnt cx16",
		 "xsave avx avx2 avx512f smap rdseed", 0},
		{"x86-64-v3", "avx2 fma abm",
		 "avx512f aes xsaves sha_ni rdpid clwb", 7},
		{"x86-64-v4", "avx512vl avx2", "avx512_vnni amx_tile pku",
		 0xe7},
		{"host,-avx", "aes xsave pku", "avx avx2 fma avx512f vaes",
		 0x6021b},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct table c = masked(cases[i].level);
		char list[64], *save, *name;

		snprintf(list, sizeof(list), "%s", cases[i].in);
		for (name = strtok_r(list, " ", &save); name;
		     name = strtok_r(NULL, " ", &save))
			cr_expect(has(&c, name), "%s: %s", cases[i].level,
				  name);
		snprintf(list, sizeof(list), "%s", cases[i].out);
		for (name = strtok_r(list, " ", &save); name;
		     name = strtok_r(NULL, " ", &save))
			cr_expect_not(has(&c, name), "%s: %s", cases[i].level,
				      name);
		/* XSAVE state is that of what is left. */
		cr_expect_eq(reg(&c, 0xd, 0, 0), cases[i].xcr0, "%s: 0x%x",
			     cases[i].level, reg(&c, 0xd, 0, 0));
		for (uint32_t k = 2; k < 19; k++)
			cr_expect(reg(&c, 0xd, k, 0) == 0 ||
					  cases[i].xcr0 >> k & 1,
				  "%s: state %u", cases[i].level, k);
	}
}

/* Of leaves without names a level has none, the host all. */
Test(x86_cpuid, a_level_is_the_same_on_every_host)
{
	struct table level = masked("x86-64-v3");
	struct table host = masked("host,-aes");

	cr_expect_eq(reg(&level, 7, 2, 3), 0);
	cr_expect_eq(reg(&level, 0x14, 0, 0), 0);
	cr_expect_eq(reg(&level, 0x8000000a, 0, 3), 0);
	cr_expect_eq(reg(&level, 0x40000001, 0, 0), 0x100000bu);
	cr_expect_eq(reg(&level, 4, 0, 0), UINT32_MAX);
	cr_expect_eq(reg(&host, 0x14, 0, 0), UINT32_MAX);
	cr_expect_eq(reg(&host, 1, 0, 2), UINT32_MAX & ~(1u << 25));
}

Test(x86_cpuid, a_guest_is_shown_what_there_is)
{
	struct table host = of_guest(NULL), less = of_guest("host,-cx16");

	cr_expect(has(&host, "sse2") && has(&host, "lm"));
	cr_expect(has(&host, "hypervisor"));
	cr_expect(has(&host, "tsc_deadline_timer"));
	cr_expect_not(has(&less, "cx16"));
	cr_expect_eq(reg(&host, 1, 0, 2) & ~(1u << 13), reg(&less, 1, 0, 2));
	of_guest("x86-64-v1"); /* it runs */
}

static void wait_avx(struct vmtest *t, const char *features)
{
	vmtest_init(t, "");
	show(t, features);
	vmtest_start(t, "simdavx");
	while (!t->vm->ready && t->vm->state != VM_ENDED)
		vmtest_turn(t);
	vmtest_drain(t);
}

/* Ring 0 asks the CPU itself: KVM that runs it there answers as it was told. */
Test(x86_cpuid, the_guest_itself_sees_it)
{
	static struct vmtest t;
	struct table host = of_guest(NULL);

	if (!has(&host, "avx"))
		cr_skip_test("this KVM offers no AVX to guests");
	wait_avx(&t, "x86-64-v3");
	cr_expect_null(strstr(t.out, "no avx"), "%s", t.out);
	vmtest_fini(&t);
	wait_avx(&t, "x86-64-v2");
	cr_expect(strstr(t.out, "no avx"), "%s", t.out);
	vmtest_fini(&t);
}

/* --- saved and restored ----------------------------------------------------
 */

static struct kvm_cpuid2 *copy_of(struct table *t)
{
	struct kvm_cpuid2 *c = malloc(sizeof(*t));

	cr_assert_not_null(c);
	memcpy(c, t, sizeof(*t));
	return c;
}

static void save_counter(struct vmtest *t, struct vmtest_snapshot *s,
			 const char *features)
{
	vmtest_init(t, "step_ms=1");
	show(t, features);
	vmtest_start(t, "counter");
	vmtest_wait_for(t, "count 3");
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
	vmtest_save(t, s);
	vmtest_fini(t);
}

Test(x86_cpuid, a_restored_guest_is_shown_the_same)
{
	static const char *const features[] = {NULL, "x86-64-v1", "host,-cx16"};
	static struct vmtest t;
	struct vmtest_snapshot s;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		struct table was = of_guest(features[i]), is;

		save_counter(&t, &s, features[i]);
		vmtest_init(&t, ""); /* which says host */
		vmtest_load(&t, &s);
		is = given(&t);
		cr_expect_eq(was.head.nent, is.head.nent);
		for (uint32_t k = 0; k < is.head.nent; k++) {
			struct kvm_cpuid_entry2 *a = &was.entry[k],
						*b = &is.entry[k];

			cr_expect(a->function == b->function &&
					  a->index == b->index &&
					  a->flags == b->flags &&
					  a->eax == b->eax &&
					  a->ebx == b->ebx &&
					  a->ecx == b->ecx && a->edx == b->edx,
				  "leaf 0x%x", a->function);
		}
		cr_assert_eq(vm_start(t.vm, false, &t.err), 0);
		vmtest_wait_for(&t, "count 5");
		vmtest_fini(&t);
		vmtest_remove(&s);
	}
}

/* A guest of a richer host: refused by name, before there is a machine. */
Test(x86_cpuid, a_guest_of_a_richer_host_is_refused)
{
	static struct vmtest t;
	struct vmtest_snapshot s;
	struct table all = rich();

	vmtest_init(&t, "step_ms=1");
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 3");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	free(t.vm->arch.cpuid);
	t.vm->arch.cpuid = copy_of(&all);
	vmtest_save(&t, &s);
	vmtest_fini(&t);
	vmtest_init(&t, "");
	cr_expect_eq(vmtest_try_load(&t, &s), -ENOTSUP);
	cr_expect(strstr(t.err.msg, "CPU: this host lacks"), "%s", t.err.msg);
	cr_expect_null(t.vm);
	vmtest_fini(&t);
	vmtest_remove(&s);
}

/* A host that lacks one is refused by its name. */
Test(x86_cpuid, what_the_host_lacks_is_named)
{
	struct table host = rich(), less = masked("host,-popcnt,-sha_ni");
	cleanup_free struct kvm_cpuid2 *a = copy_of(&host), *b = copy_of(&less);
	struct mote_err err = {0};

	cr_expect_eq(cpuid_compare(a, a, &err), 0, "%s", err.msg);
	cr_expect_eq(cpuid_compare(b, a, &err), 0, "%s", err.msg);
	cr_expect_eq(cpuid_compare(a, b, &err), -ENOTSUP);
	cr_expect(strstr(err.msg, "shown: popcnt, sha_ni ("), "%s", err.msg);
	cr_expect_eq(err.exit_class, (int)ERR_CLASS_UNAVAILABLE);
	b->nent = 0; /* a host that has nothing */
	cr_expect_eq(cpuid_compare(a, b, &err), -ENOTSUP);
	cr_expect(strstr(err.msg, "fpu, vme"), "%s", err.msg);
}

Test(x86_cpuid, a_section_is_read_as_it_was_written_or_refused)
{
	static struct snap_reader r;
	struct table host = of_guest(NULL);
	cleanup_free struct kvm_cpuid2 *a = copy_of(&host);
	struct kvm_cpuid2 *b = NULL;
	struct mote_err err = {0};
	struct snap_section s;
	struct snap_writer w;

	cpuid_set_apic(a, 7);
	snap_writer_init(&w);
	cpuid_save(a, &w);
	cr_assert_eq(snap_writer_finish(&w, &err), 0, "%s", err.msg);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, &err), 0, "%s",
		     err.msg);
	cr_assert(snap_section_find(&r, "x86-cpuid", 0, &s));
	cr_expect_not(snap_section_find(&r, "x86-cpuid", 1, &s));
	cr_expect_eq(cpuid_load(&s, &b, &err), 0, "%s", err.msg);
	cr_expect_eq(b->nent, a->nent);
	cpuid_set_apic(a, 0); /* whose id it was is not saved */
	for (uint32_t i = 0; i < a->nent; i++) {
		a->entries[i].padding[0] = b->entries[i].padding[0];
		cr_expect_eq(memcmp(&a->entries[i], &b->entries[i],
				    sizeof(b->entries[i])),
			     0, "entry %u", i);
	}
	free(b);
	for (size_t cut = 0; cut < s.len; cut += 7) {
		struct snap_section part = s;

		part.len = cut;
		cr_expect_eq(cpuid_load(&part, &b, &err), -EBADMSG);
		free(b);
	}
	s.version = 2;
	cr_expect_eq(cpuid_load(&s, &b, &err), -EBADMSG);
	free(b);
	snap_writer_fini(&w);
}
