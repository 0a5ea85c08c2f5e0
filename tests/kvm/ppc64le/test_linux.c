/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_linux.c - Debian's kernel boots as a guest of mote run: two CPUs, its
 * memory, a clock, a shell, a power-off.  Only in the lab's set ppc64-linux,
 * which brings kernel and initrd (lab/ppc64/guest-init says the lines).
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

#define KERNEL "/lib/mote/linux/vmlinux"
#define INITRD "/lib/mote/linux/initrd"

/* The number behind the words, -1: they are not there. */
static long number(const char *out, const char *words)
{
	const char *at = strstr(out, words);

	return at ? strtol(at + strlen(words), NULL, 10) : -1;
}

Test(ppc64_linux, debians_kernel_boots_to_a_shell_and_powers_off,
     .timeout = 560)
{
	const char *bin = getenv("MOTE_BIN");
	static char out[262144];
	char command[512];
	size_t n = 0;
	FILE *p;
	int c;

	if (access(KERNEL, R_OK) < 0)
		cr_skip_test("%s: %s", KERNEL, strerror(errno));
	snprintf(command, sizeof(command),
		 "%s run --set vm.kernel=" KERNEL " --set vm.initrd=" INITRD
		 " --set vm.protocol=linux --set vm.memory=256M "
		 "--set vm.vcpus=2 --set 'vm.cmdline=console=hvc0 panic=-1' "
		 "2>&1 </dev/null",
		 bin ? bin : "build/mote");
	p = popen(command, "r");
	cr_assert_not_null(p);
	/* Shown as it comes: a boot that hangs tells how far it came. */
	while ((c = fgetc(p)) != EOF) {
		putchar(c);
		if (c == '\n')
			fflush(stdout);
		if (n + 1 < sizeof(out))
			out[n++] = (char)c;
	}
	out[n] = 0;
	cr_expect_eq(pclose(p), 0, "power-off ends it with 0");
	cr_expect_eq(number(out, "guest: cpus "), 2);
	cr_expect_not_null(strstr(out, "guest: online 0-1"));
	cr_expect_geq(number(out, "guest: memory "), 150);
	cr_expect_leq(number(out, "guest: memory "), 256);
	cr_expect_geq(number(out, "guest: year "), 2024);
	cr_expect_eq(number(out, "guest: timebase "), 512000000);
	cr_expect_eq(number(out, "guest: worker "), 2000);
	cr_expect_not_null(strstr(out, "guest: done"));
}

/* Both of its processes compute on, through Linux's own page table entries. */
Test(ppc64_linux, a_snapshot_of_it_is_restored_and_goes_on,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	char *out = command_path("out"), *again = command_path("again"),
	     *said = command_path("said"), *sock = command_path("sock"),
	     *snap = command_path("snap"), *control;
	pid_t pid;
	long tick;

	if (access(KERNEL, R_OK) < 0)
		cr_skip_test("%s: %s", KERNEL, strerror(errno));
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(
		out, WORDS("run", "--set", "vm.kernel=" KERNEL, "--set",
			   "vm.initrd=" INITRD, "--set", "vm.protocol=linux",
			   "--set", "vm.memory=256M", "--set", "vm.vcpus=2",
			   "--set", "vm.cmdline=console=hvc0 quiet mote.ticks",
			   "--set", control));
	command_wait_for(out, "guest: tick 3");
	cr_assert_eq(command_run(said, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(said));
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(out));
	cr_assert_not_null(strstr(command_text(out), "guest: done"), "%s",
			   command_text(out));

	cr_assert_eq(command_run(said, WORDS("inspect", snap)), 0, "%s",
		     command_text(said));
	fputs(command_text(said), stdout);
	pid = command_start(again, WORDS("restore", snap));
	command_wait_for(again, "guest: done");
	cr_expect_eq(command_finish(pid), 0, "%s", command_text(again));
	fputs(command_text(again), stdout);
	tick = number(command_text(again), "guest: tick ");
	cr_expect_geq(tick, 3, "%s", command_text(again));
	cr_expect_not_null(strstr(command_text(again), "guest: tick 25"), "%s",
			   command_text(again));
	cr_expect_null(strstr(command_text(again), "WRONG"), "%s",
		       command_text(again));
}
