/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_linux.c - Debian's cloud kernel boots as a guest: two CPUs, its memory,
 * a clock, a shell; it powers off, reboots, panics.  Only in lab-x86-linux.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "kvm/linux_guest.h"

#define BASE "console=ttyS0 panic=-1 nokaslr mitigations=off no_timer_check"
#define ARGS(cmdline, ...)                                                     \
	WORDS("run", "--set", "vm.kernel=" LINUX_KERNEL, "--set",              \
	      "vm.initrd=" LINUX_INITRD, "--set", "vm.memory=256M", "--set",   \
	      "vm.cmdline=" BASE cmdline, __VA_ARGS__)

Test(x86_linux, debians_kernel_boots_with_two_cpus_and_powers_off,
     .timeout = 560)
{
	const char *out;
	int status;

	linux_need(LINUX_KERNEL);
	out = linux_run(ARGS("", "--set", "vm.vcpus=2"), &status);
	cr_expect_eq(status, 0, "power-off ends it with 0: %d", status);
	linux_expect(out, 2);
	cr_expect_not_null(strstr(out, "guest: clock kvm-clock"));
	cr_expect_not_null(strstr(out, "ttyS0"), "an interrupt of its own");
	cr_expect_not_null(strstr(out, "ACPI:Ged"), "one that tells of clones");
	cr_expect_not_null(strstr(out, "Power down"));
}

/* By ACPI's reset register; so does a panic. */
Test(x86_linux, it_reboots_and_panics_into_a_reset, .timeout = 560)
{
	static const char *const how[] = {
		"vm.cmdline=" BASE " quiet mote.reboot",
		"vm.cmdline=" BASE " quiet mote.panic"};

	linux_need(LINUX_KERNEL);
	for (int i = 0; i < 2; i++) {
		int status;
		const char *out = linux_run(
			ARGS("", "--set", "vm.vcpus=1", "--set", how[i]),
			&status);

		linux_expect(out, 1);
		cr_expect_not_null(strstr(out, "the guest asked for a reset"));
		cr_expect_eq(status, 0, "%d", status);
	}
}

/* The same kernel once more, as what a bzImage unpacks: PVH's 32-bit entry. */
Test(x86_linux, it_boots_by_pvh, .timeout = 560)
{
	const char *out;
	int status;

	linux_need(LINUX_VMLINUX);
	out = linux_run(WORDS("run", "--set", "vm.kernel=" LINUX_VMLINUX,
			      "--set", "vm.initrd=" LINUX_INITRD, "--set",
			      "vm.memory=256M", "--set",
			      "vm.cmdline=" BASE " quiet", "--set",
			      "vm.vcpus=2"),
			&status);
	cr_expect_eq(status, 0, "%d", status);
	linux_expect(out, 2);
}

Test(x86_linux, it_boots_by_its_own_protocol_as_a_vmlinux, .timeout = 560)
{
	const char *out;
	int status;

	linux_need(LINUX_VMLINUX);
	out = linux_run(WORDS("run", "--set", "vm.kernel=" LINUX_VMLINUX,
			      "--set", "vm.initrd=" LINUX_INITRD, "--set",
			      "vm.memory=256M", "--set", "vm.protocol=linux",
			      "--set", "vm.cmdline=" BASE " quiet", "--set",
			      "vm.vcpus=2"),
			&status);
	cr_expect_eq(status, 0, "%d", status);
	linux_expect(out, 2);
}

Test(x86_linux, what_is_typed_reaches_it_by_interrupt, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_echo("vm.cmdline=" BASE " quiet mote.echo");
}

/* Two CPUs, in the middle of what they compute; a clone goes on as well. */
Test(x86_linux, a_snapshot_of_it_goes_on_and_knows_that_it_is_a_clone,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_snapshot("vm.cmdline=" BASE " quiet mote.ticks");
}

Test(x86_linux, its_disks_and_its_entropy_are_virtio_devices,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_virtio("vm.cmdline=" BASE " quiet mote.virtio");
}

Test(x86_linux, it_finds_its_devices_and_they_work, .init = command_setup,
     .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_devices("vm.cmdline=" BASE " quiet");
}
