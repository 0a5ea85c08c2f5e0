/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_features.c - what arm64 vCPUs are made with: nothing that was not asked
 * for, the same again after a restore, and what a host lacks is told by name
 * before there is a guest.  On every host; with SVE and pointer authentication
 * themselves: test_sve.c.
 */
#include <criterion/criterion.h>

#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/elf.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "kvm/kvm_hook.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

#define F(n)  (1u << KVM_ARM_VCPU_##n)
#define WORDS 8

/* A state of one section, as a snapshot would have it. */
struct vm_section {
	struct snap_writer w;
	struct snap_reader r;
};

static void finish(struct vm_section *v)
{
	struct mote_err err = {0};

	snap_section_end(&v->w);
	cr_assert_eq(snap_writer_finish(&v->w, &err), 0);
	cr_assert_eq(snap_reader_init(&v->r, v->w.buf, v->w.len, &err), 0, "%s",
		     err.msg);
}

static void begin(struct vm_section *v, uint16_t version)
{
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	snap_writer_init(&v->w);
	snap_section_begin(&v->w, "arm64-vm", 0, version, SNAP_REQUIRED);
	snap_put_u32(&v->w, 32);
	snap_put_u64(&v->w, hz);
}

static void section(struct vm_section *v, uint32_t features, uint64_t lengths)
{
	begin(v, 2);
	snap_put_u32(&v->w, features);
	for (int i = 0; features & F(SVE) && i < WORDS; i++)
		snap_put_u64(&v->w, i == 0 ? lengths : 0);
	finish(v);
}

static int check(const struct vm_section *v, struct mote_err *err)
{
	cleanup_fd int kvm = kvm_open(NULL, err);

	cr_assert_geq(kvm, 0, "%s", err->msg);
	return arch_host_check(kvm, &v->r, &v->r.section[0], false, err);
}

/* Create a VM for that state; *bits: what its vCPUs would be made with. */
static int create(const struct vm_section *v, uint32_t *bits,
		  struct mote_err *err)
{
	cleanup_fd int kvm = kvm_open(NULL, err);
	cleanup_fd int vm = -1;
	struct arch_vm a;
	struct vmtest t;
	int ret;

	vmtest_init(&t, "");
	ret = arch_vm_create(&a, kvm, &t.cfg, &v->r, &vm, err);
	*bits = a.features[0];
	if (ret == 0)
		ret = arch_vm_load(&a, (struct snap_reader *)&v->r, err);
	arch_vm_fini(&a);
	vmtest_fini(&t);
	return ret;
}

static int no_features(long cap)
{
	return cap == KVM_CAP_ARM_SVE || cap == KVM_CAP_ARM_PTRAUTH_ADDRESS ||
			       cap == KVM_CAP_ARM_PTRAUTH_GENERIC
		       ? 0
		       : KVM_HOOK_PASS;
}

Test(arm64_features, none_is_there_that_was_not_asked_for)
{
	static const char *const guest[] = {"sve", "pauth"};
	struct vmtest t;

	for (size_t i = 0; i < ARRAY_SIZE(guest); i++) {
		vmtest_init(&t, "");
		vmtest_start(&t, guest[i]);
		cr_expect_eq(t.vm->arch.features[0], F(PSCI_0_2));
		vmtest_wait_end(&t);
		cr_expect_not_null(strstr(t.out, "no "), "%s", t.out);
		cr_expect_eq(t.vm->exit_code, 2);
		vmtest_fini(&t);
	}
}

static void expect_no_build(bool sve, bool pauth, const char *key)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.cpu.sve = sve;
	t.cfg.cpu.pauth = pauth;
	cr_assert_eq(build_vm(&t.vm, &t.opt, &t.err), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, key), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&t);
}

Test(arm64_features, what_the_host_lacks_is_refused_by_its_key)
{
	kvm_hook.check_extension = no_features;
	expect_no_build(true, false, "cpu.sve");
	expect_no_build(false, true, "cpu.pauth");
}

static void expect_refused(uint32_t features, const char *words)
{
	struct mote_err err = {0};
	struct vm_section v;
	uint32_t bits;

	section(&v, features, 1);
	cr_expect_eq(check(&v, &err), -ENOTSUP, "0x%x", features);
	cr_expect_not_null(strstr(err.msg, words), "%s", err.msg);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_UNAVAILABLE);
	cr_expect_eq(create(&v, &bits, &err), -ENOTSUP, "0x%x", features);
	cr_expect_not_null(strstr(err.msg, words), "%s", err.msg);
	snap_writer_fini(&v.w);
}

Test(arm64_features, a_snapshot_is_refused_by_name_before_there_is_a_vm)
{
	kvm_hook.check_extension = no_features;
	expect_refused(F(PSCI_0_2) | F(SVE), "scalable vectors (SVE)");
	expect_refused(F(PSCI_0_2) | F(PTRAUTH_ADDRESS) | F(PTRAUTH_GENERIC),
		       "pointer authentication");
	/* One half of it is none. */
	expect_refused(F(PSCI_0_2) | F(PTRAUTH_ADDRESS),
		       "pointer authentication");
}

Test(arm64_features, features_that_we_do_not_know_are_refused_by_number)
{
	expect_refused(F(PSCI_0_2) | F(PMU_V3), "0x8");
	expect_refused(F(PSCI_0_2) | 1u << 30, "0x40000000");
	expect_refused(0, "without PSCI 0.2");
}

Test(arm64_features, version_1_of_the_section_is_psci_alone)
{
	struct mote_err err = {0};
	struct vm_section v;
	uint32_t bits;

	begin(&v, 1);
	finish(&v);
	cr_expect_eq(check(&v, &err), 0, "%s", err.msg);
	cr_expect_eq(create(&v, &bits, &err), 0, "%s", err.msg);
	cr_expect_eq(bits, F(PSCI_0_2));
	snap_writer_fini(&v.w);
}

Test(arm64_features, a_section_that_is_cut_is_an_error)
{
	struct mote_err err = {0};
	struct vm_section whole, v;
	struct snap_section s;
	uint32_t bits;

	section(&whole, F(PSCI_0_2), 0);
	cr_expect_eq(create(&whole, &bits, &err), 0, "%s", err.msg);
	s = whole.r.section[0];
	for (size_t len = 0; len <= s.len; len++) {
		snap_writer_init(&v.w);
		snap_section_begin(&v.w, "arm64-vm", 0, 2, SNAP_REQUIRED);
		snap_put_bytes(&v.w, s.data, len);
		if (len == s.len)
			snap_put_u8(&v.w, 0); /* ... or too long */
		finish(&v);
		cr_expect_lt(create(&v, &bits, &err), 0, "%zu bytes", len);
		snap_writer_fini(&v.w);
	}
	snap_writer_fini(&whole.w);
}

Test(arm64_features, an_address_size_that_the_host_lacks_is_refused)
{
	struct mote_err err = {0};
	struct vm_section v;
	uint32_t bits;
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	snap_writer_init(&v.w);
	snap_section_begin(&v.w, "arm64-vm", 0, 2, SNAP_REQUIRED);
	snap_put_u32(&v.w, 60);
	snap_put_u64(&v.w, hz);
	snap_put_u32(&v.w, F(PSCI_0_2));
	finish(&v);
	cr_expect_eq(check(&v, &err), -ENOTSUP);
	cr_expect_not_null(strstr(err.msg, "address size: 60 bits"), "%s",
			   err.msg);
	cr_expect_eq(create(&v, &bits, &err), -ENOTSUP);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_UNAVAILABLE);
	snap_writer_fini(&v.w);
}

Test(arm64_features, a_counter_of_another_speed_is_refused)
{
	struct mote_err err = {0};
	struct vm_section v;
	uint32_t bits;

	snap_writer_init(&v.w);
	snap_section_begin(&v.w, "arm64-vm", 0, 2, SNAP_REQUIRED);
	snap_put_u32(&v.w, 32);
	snap_put_u64(&v.w, 12345);
	snap_put_u32(&v.w, F(PSCI_0_2));
	finish(&v);
	cr_expect_eq(check(&v, &err), -ENOTSUP);
	cr_expect_not_null(strstr(err.msg, "CNTFRQ_EL0"), "%s", err.msg);
	cr_expect_eq(create(&v, &bits, &err), -ENOTSUP);
	snap_writer_fini(&v.w);
}

/* An x86 image is told as such, before anything of it is loaded. */
Test(arm64_features, an_image_of_another_architecture_is_refused_by_name)
{
	char path[] = "/tmp/image-XXXXXX";
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			    ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	enum vm_protocol protocol = PROTOCOL_AUTO;
	struct mote_err err = {0};
	struct elf_file f = {0};
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, &eh, sizeof(eh)), sizeof(eh));
	cr_expect_eq(build_open_kernel(&f, fd, path, &protocol, &err),
		     -ENOEXEC);
	cr_expect_not_null(strstr(err.msg, "ELF file for machine 62"), "%s",
			   err.msg);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA);
	close(fd);
	unlink(path);
}
