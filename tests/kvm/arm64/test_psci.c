/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_psci.c - the PSCI version is pinned, seen by the guest, described in
 * the device tree, saved and restored.
 */
#include <criterion/criterion.h>

#include <libfdt.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/guest_abi.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "memory/guestmem.h"

#define PSCI_0_2 2u
#define PSCI_1_0 0x10000u
#define PSCI_1_1 0x10001u
#define PSCI_3_7 0x30007u

static uint64_t version_of(const struct vmtest *t)
{
	uint64_t v = 0;

	cr_assert_eq(kvm_get_one_reg(t->vm->vcpu[0]->fd,
				     KVM_REG_ARM_PSCI_VERSION, &v),
		     0);
	return v;
}

static void run_guest(uint32_t psci, const char *expected)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = psci;
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->exit_code, 0, "%s", t.vm->err.msg);
	cr_expect_str_eq(t.out, expected);
	vmtest_fini(&t);
}

Test(arm64_psci, the_default_is_1_0_whatever_the_kernel_has)
{
	run_guest(PSCI_DEFAULT, "psci 1.0\n");
}

Test(arm64_psci, the_guest_sees_the_version_that_was_set)
{
	run_guest(PSCI_0_2, "psci 0.2\n");
	run_guest(PSCI_1_0, "psci 1.0\n");
	run_guest(PSCI_1_1, "psci 1.1\n");
}

Test(arm64_psci, host_means_what_the_kernel_offers)
{
	char expected[32];
	struct vmtest t;
	uint64_t v;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = PSCI_HOST;
	vmtest_start(&t, "psci");
	v = version_of(&t);
	vmtest_wait_end(&t);
	cr_expect_geq(v, PSCI_1_0);
	snprintf(expected, sizeof(expected), "psci %u.%u\n",
		 (unsigned int)(v >> 16), (unsigned int)(v & 0xffff));
	cr_expect_str_eq(t.out, expected);
	vmtest_fini(&t);
}

Test(arm64_psci, a_version_that_the_kernel_lacks_is_refused_by_name)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = PSCI_3_7;
	cr_assert_lt(build_vm(&t.vm, &t.opt, &t.err), 0);
	cr_expect_null(t.vm);
	cr_expect_not_null(strstr(t.err.msg, "cpu.psci"), "%s", t.err.msg);
	cr_expect_not_null(strstr(t.err.msg, "3.7"), "%s", t.err.msg);
	cr_expect_eq(err_exit_code(&t.err), ERR_CLASS_UNAVAILABLE);
	vmtest_fini(&t);
}

/* The guest's machine is not begun. */
Test(arm64_psci, it_is_refused_before_there_is_a_machine)
{
	struct mote_err err = {0};
	struct arch_vm a;
	struct vmtest t;
	int vm_fd = -1, kvm_fd = kvm_open(NULL, &err);

	if (kvm_fd < 0)
		cr_skip_test("%s", err.msg);
	vmtest_init(&t, "");
	t.cfg.cpu.psci = PSCI_3_7;
	cr_expect_lt(arch_vm_create(&a, kvm_fd, &t.cfg, NULL, &vm_fd, &err), 0);
	cr_expect_eq(vm_fd, -1);
	cr_expect_eq(err.exit_class, ERR_CLASS_UNAVAILABLE);
	cr_expect_not_null(strstr(err.msg, "cpu.psci: this host's KVM does not "
					   "offer PSCI 3.7"),
			   "%s", err.msg);
	vmtest_fini(&t);
	close(kvm_fd);
}

Test(arm64_psci, every_vcpu_has_the_version)
{
	struct vmtest t;
	uint64_t v = 0;

	vmtest_init(&t, "");
	t.cfg.cpu.psci = PSCI_0_2;
	t.cfg.vm.vcpus = 2;
	vmtest_build(&t, "psci");
	cr_expect_eq(version_of(&t), PSCI_0_2);
	cr_assert_eq(kvm_get_one_reg(t.vm->vcpu[1]->fd,
				     KVM_REG_ARM_PSCI_VERSION, &v),
		     0);
	cr_expect_eq(v, PSCI_0_2);
	vmtest_fini(&t);
}

Test(arm64_psci, a_snapshot_keeps_the_version)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "");
	a.cfg.cpu.psci = PSCI_0_2;
	vmtest_build(&a, "psci"); /* saved before it asks */
	vmtest_save(&a, &s);
	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	cr_expect_eq(version_of(&b), PSCI_0_2);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_str_eq(b.out, "psci 0.2\n");
	vmtest_fini(&b);
	vmtest_fini(&a);
	vmtest_remove(&s);
}

static void expect_crash(const char *args, const char *address)
{
	struct vmtest t;

	vmtest_init(&t, args);
	vmtest_start(&t, "psci");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_CRASH);
	cr_expect_eq(err_exit_code(&t.vm->err), ERR_CLASS_GUEST);
	cr_expect_not_null(strstr(t.vm->err.msg, address), "%s", t.vm->err.msg);
	vmtest_fini(&t);
}

Test(arm64_psci, a_fault_without_vectors_ends_the_guest)
{
	expect_crash("fault=1 exit=9", "0x9200000");
}

Test(arm64_psci, an_access_that_nobody_can_decode_ends_the_guest)
{
	expect_crash("pair=1 exit=9", "0x9100000");
}

static bool tree_says(const struct vmtest *t, const char *compatible)
{
	struct mote_boot boot;
	const void *fdt;
	int node;

	cr_assert_eq(guest_read(&t->vm->slots, arch_boot_page(), &boot,
				sizeof(boot)),
		     0);
	fdt = guest_map_read(&t->vm->slots, boot.fdt, 65536);
	cr_assert_not_null(fdt);
	cr_assert_eq(fdt_check_header(fdt), 0);
	node = fdt_path_offset(fdt, "/psci");
	cr_assert_geq(node, 0);
	return fdt_node_check_compatible(fdt, node, compatible) == 0;
}

Test(arm64_psci, the_device_tree_names_the_version)
{
	struct vmtest a, b;

	vmtest_init(&a, "");
	a.cfg.cpu.psci = PSCI_0_2;
	vmtest_build(&a, "psci");
	cr_expect(tree_says(&a, "arm,psci-0.2"));
	cr_expect(!tree_says(&a, "arm,psci-1.0"));
	vmtest_fini(&a);
	vmtest_init(&b, "");
	vmtest_build(&b, "psci");
	cr_expect(tree_says(&b, "arm,psci-0.2"));
	cr_expect(tree_says(&b, "arm,psci-1.0"));
	vmtest_fini(&b);
}
