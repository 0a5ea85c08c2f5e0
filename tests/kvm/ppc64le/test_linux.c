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

static void need_kernel(void)
{
	if (access(KERNEL, R_OK) < 0)
		cr_skip_test("%s: %s", KERNEL, strerror(errno));
}

static void boot(const char *mmu, const char *irq, const char *name)
{
	const char *bin = getenv("MOTE_BIN");
	static char out[262144];
	char command[512], line[64];
	size_t n = 0;
	FILE *p;
	int c;

	need_kernel();
	snprintf(command, sizeof(command),
		 "%s run --set vm.kernel=" KERNEL " --set vm.initrd=" INITRD
		 " --set vm.protocol=linux --set vm.memory=256M "
		 "--set vm.vcpus=2 --set 'vm.cmdline=console=hvc0 panic=-1' "
		 "--set cpu.mmu=%s --set cpu.irq=%s 2>&1 </dev/null",
		 bin ? bin : "build/mote", mmu, irq);
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
	snprintf(line, sizeof(line), "guest: mmu %s", name);
	cr_expect_not_null(strstr(out, line), "%s", line);
	cr_expect_not_null(strstr(out, "guest: done"));
}

Test(ppc64_linux, debians_kernel_boots_to_a_shell_and_powers_off,
     .timeout = 560)
{
	boot("hash", "xics", "Hash");
}

Test(ppc64_linux, so_it_does_on_radix_trees, .timeout = 560)
{
	boot("radix", "xics", "Radix");
}

/* They interrupt each other through pages of their own. */
Test(ppc64_linux, so_it_does_on_radix_trees_with_xive, .timeout = 560)
{
	boot("radix", "xive", "Radix");
}

/* How many interrupts that CPU has had from the others, at a tick's line. */
static long ipis(const char *tick, int cpu)
{
	const char *at = tick ? strstr(tick, "ipis ") : NULL;
	char *end;
	long n;

	if (!at)
		return -1;
	n = strtol(at + strlen("ipis "), &end, 10);
	return cpu ? strtol(end, NULL, 10) : n;
}

/*
 * What a restored one says: it went on, what it computed was right, and its
 * CPUs still interrupt each other.
 */
static void check_went_on(const char *out)
{
	const char *first = strstr(out, "guest: tick "),
		   *last = strstr(out, "guest: tick 25");

	fputs(out, stdout);
	for (int cpu = 0; cpu < 2; cpu++)
		cr_expect_gt(ipis(last, cpu), ipis(first, cpu), "CPU %d: %s",
			     cpu, out);
	cr_expect_geq(number(out, "guest: tick "), 3, "%s", out);
	cr_expect_not_null(strstr(out, "guest: tick 25"), "%s", out);
	cr_expect_not_null(strstr(out, "guest: done"), "%s", out);
	cr_expect_null(strstr(out, "WRONG"), "%s", out);
}

/* A snapshot of it while it computes; says what inspect says. */
static void save(const char *mmu, const char *irq, const char *snap,
		 const char *said)
{
	char *out = command_path("out"), *sock = command_path("sock"), *control,
	     *set_mmu, *set_irq;
	pid_t pid;

	need_kernel();
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	cr_assert_geq(asprintf(&set_mmu, "cpu.mmu=%s", mmu), 0);
	cr_assert_geq(asprintf(&set_irq, "cpu.irq=%s", irq), 0);
	pid = command_start(
		out,
		WORDS("run", "--set", "vm.kernel=" KERNEL, "--set",
		      "vm.initrd=" INITRD, "--set", "vm.protocol=linux",
		      "--set", "vm.memory=256M", "--set", "vm.vcpus=2", "--set",
		      "vm.cmdline=console=hvc0 quiet mote.ticks", "--set",
		      control, "--set", set_mmu, "--set", set_irq));
	command_wait_for(out, "guest: tick 3");
	cr_assert_eq(command_run(said, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(said));
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(out));
	cr_assert_not_null(strstr(command_text(out), "guest: done"), "%s",
			   command_text(out));
	cr_expect_null(strstr(command_text(out), "WRONG"), "%s",
		       command_text(out));
	cr_assert_eq(command_run(said, WORDS("inspect", snap)), 0, "%s",
		     command_text(said));
	fputs(command_text(said), stdout);
	free(control);
	free(set_mmu);
	free(set_irq);
}

/* Both of its processes compute on, through Linux's own page table entries. */
Test(ppc64_linux, a_snapshot_of_it_is_restored_and_goes_on,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	char *again = command_path("again"), *said = command_path("said"),
	     *snap = command_path("snap");
	pid_t pid;

	save("hash", "xics", snap, said);
	pid = command_start(again, WORDS("restore", snap));
	command_wait_for(again, "guest: done");
	cr_expect_eq(command_finish(pid), 0, "%s", command_text(again));
	check_went_on(command_text(again));
}

/* By its own trees, which KVM finds through the process table's address. */
Test(ppc64_linux, a_snapshot_of_it_on_radix_is_restored_by_an_ini_file,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	char *again = command_path("again"), *said = command_path("said"),
	     *snap = command_path("snap"), *ini = command_path("vm.ini");
	FILE *f;
	pid_t pid;

	save("radix", "xics", snap, said);
	f = fopen(ini, "w");
	cr_assert_not_null(f);
	fprintf(f, "[restore]\nfrom = %s\n", snap);
	fclose(f);
	pid = command_start(again, WORDS("run", ini));
	command_wait_for(again, "guest: done");
	cr_expect_eq(command_finish(pid), 0, "%s", command_text(again));
	check_went_on(command_text(again));
}

/* So do the pages in which the host's hardware queues its interrupts. */
Test(ppc64_linux, a_snapshot_of_it_with_xive_is_restored_and_goes_on,
     .init = command_setup, .fini = command_teardown, .timeout = 560)
{
	char *again = command_path("again"), *said = command_path("said"),
	     *snap = command_path("snap");
	pid_t pid;

	save("radix", "xive", snap, said);
	cr_expect_not_null(strstr(command_text(said), "section ppc64-xive"));
	pid = command_start(again, WORDS("restore", snap));
	command_wait_for(again, "guest: done");
	cr_expect_eq(command_finish(pid), 0, "%s", command_text(again));
	check_went_on(command_text(again));
}
