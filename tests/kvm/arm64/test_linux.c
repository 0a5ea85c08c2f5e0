/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_linux.c - Debian's cloud kernel boots as a guest: two CPUs, its memory,
 * a clock, a shell; it powers off, reboots.  Only in lab-arm64-linux.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "kvm/linux_guest.h"

#define BASE "console=ttyAMA0 panic=-1 nokaslr mitigations=off"
#define ARGS(cmdline, ...)                                                     \
	WORDS("run", "--set", "vm.kernel=" LINUX_KERNEL, "--set",              \
	      "vm.initrd=" LINUX_INITRD, "--set", "vm.memory=256M", "--set",   \
	      "vm.cmdline=" BASE cmdline, __VA_ARGS__)

Test(arm64_linux, debians_kernel_boots_with_two_cpus_and_powers_off,
     .timeout = 560)
{
	const char *out;
	int status;

	linux_need(LINUX_KERNEL);
	out = linux_run(ARGS("", "--set", "vm.vcpus=2"), &status);
	cr_expect_eq(status, 0, "power-off ends it with 0: %d", status);
	linux_expect(out, 2);
	cr_expect_not_null(strstr(out, "guest: clock arch_sys_counter"));
	cr_expect_not_null(strstr(out, "uart-pl011"),
			   "an interrupt of its own");
}

/* By PSCI; so does a panic. */
Test(arm64_linux, it_reboots_into_a_reset, .timeout = 560)
{
	const char *out;
	int status;

	linux_need(LINUX_KERNEL);
	out = linux_run(ARGS(" quiet mote.reboot", "--set", "vm.vcpus=1"),
			&status);
	linux_expect(out, 1);
	cr_expect_not_null(strstr(out, "the guest asked for a reset"));
	cr_expect_eq(status, 0, "%d", status);
}

Test(arm64_linux, what_is_typed_reaches_it_by_interrupt, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_echo("vm.cmdline=" BASE " quiet mote.echo");
}

/* Two CPUs, in the middle of what they compute; a clone goes on as well. */
Test(arm64_linux, a_snapshot_of_it_goes_on, .init = command_setup,
     .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_snapshot("vm.cmdline=" BASE " quiet mote.ticks");
}

Test(arm64_linux, its_disks_and_its_entropy_are_virtio_devices,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_virtio("vm.cmdline=" BASE " quiet mote.virtio");
}

Test(arm64_linux, it_finds_its_devices_and_they_work, .init = command_setup,
     .fini = command_teardown, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_devices("vm.cmdline=" BASE " quiet");
}
