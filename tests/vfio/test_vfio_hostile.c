/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_hostile.c - guests that misuse the device they were given, VMMs
 * that are killed with it, users who may not have it: nothing stays pinned,
 * and the next run finds the device as if nothing had been.
 */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/stress.h"
#include "cli/command.h"
#include "vfio/edurun.h"
#include "vfio/labdev.h"

#define READY "snapshot = without-device\n"

static long before; /* pages that were pinned */

static void setup(void)
{
	edurun_setup();
	before = edurun_pinned();
}

/* Processes that were killed let go of their memory when they are gone. */
static void expect_none_pinned(const char *when)
{
	for (int i = 0; i < 100 && edurun_pinned() != before; i++)
		usleep(50000);
	cr_expect_eq(edurun_pinned(), before, "pinned: %ld, were %ld %s",
		     edurun_pinned(), before, when);
}

TestSuite(vfio_hostile, .init = setup, .fini = command_teardown,
	  .timeout = 300);

static void attack(const char *how, long rounds, long seed)
{
	char words[96];

	snprintf(words, sizeof(words),
		 "vm.cmdline=%s rounds=3 hostile=%ld seed=%ld", how, rounds,
		 seed);
	cr_expect_eq(command_run(edurun.out,
				 WORDS("run", edurun_ini(""), "--set", words)),
		     0, "%s: %s", words, command_text(edurun.out));
	cr_expect_eq(edurun_number("hostile rounds "), rounds);
	cr_expect_eq(edurun_number("\nrounds "), 3);
	cr_expect_eq(edurun_number(" wrong "), 0);
	expect_none_pinned(words);
}

Test(vfio_hostile, a_device_survives_what_a_guest_does_to_it)
{
	long seeds = stress_count(2, 20);

	for (long s = 1; s <= seeds; s++) {
		attack("msi=1", 20, s);
		attack("intx=1", 20, 100 + s);
	}
}

Test(vfio_hostile, a_table_of_msix_survives_it_too)
{
	long seeds = stress_count(2, 20);
	char *kernel, *pci, words[96];

	cr_assert_neq(edurun.rng[0], 0, "no virtio entropy device");
	lab_bind(edurun.rng, "vfio-pci");
	cr_assert_geq(asprintf(&kernel, "vm.kernel=%s", command_guest("vrng")),
		      0);
	cr_assert_geq(asprintf(&pci, "passthrough.rng.pci=%s", edurun.rng), 0);
	for (long s = 1; s <= seeds; s++) {
		snprintf(words, sizeof(words),
			 "vm.cmdline=rounds=10 hostile=2000 seed=%ld", s);
		cr_assert_eq(command_run(edurun.out,
					 WORDS("run", "--set", kernel, "--set",
					       pci, "--set", words)),
			     0, "%s: %s", words, command_text(edurun.out));
		cr_expect_eq(edurun_number("interrupts "), 10);
		expect_none_pinned(words);
	}
}

/* A guest that is at it for as long as the test wants. */
static pid_t start(const char *cmdline, char **sock)
{
	char *control, words[64];
	pid_t pid;

	*sock = command_path("sock");
	cr_assert_geq(asprintf(&control, "control.socket=%s", *sock), 0);
	snprintf(words, sizeof(words), "vm.cmdline=%s", cmdline);
	unlink(*sock);
	pid = command_start(edurun.out, WORDS("run", edurun_ini(READY), "--set",
					      control, "--set", words));
	free(control);
	return pid;
}

static void expect_well(const char *when)
{
	char words[] = "vm.cmdline=msi=1 rounds=2";

	expect_none_pinned(when);
	cr_expect_eq(command_run(edurun.out,
				 WORDS("run", edurun_ini(""), "--set", words)),
		     0, "%s: %s", when, command_text(edurun.out));
	cr_expect_eq(edurun_number(" wrong "), 0, "%s", when);
}

/* Paused, saved and stopped whatever it does. */
Test(vfio_hostile, a_guest_at_it_is_paused_saved_and_stopped)
{
	char *sock, *said = command_path("said"), name[16];
	pid_t pid = start("hostile=1000000", &sock);

	command_wait_for(edurun.out, "hostile");
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "snap%d", i);
		cr_expect_eq(command_run(said, WORDS("ctl", sock, "pause")), 0,
			     "%s", command_text(said));
		if (i % 2)
			cr_expect_eq(
				command_run(said, WORDS("ctl", sock, "resume")),
				0, "%s", command_text(said));
		cr_expect_eq(command_run(said, WORDS("snapshot", sock,
						     command_path(name))),
			     0, "%s", command_text(said));
		if (i % 2 == 0)
			cr_expect_eq(
				command_run(said, WORDS("ctl", sock, "resume")),
				0, "%s", command_text(said));
		cr_expect_eq(
			command_run(said, WORDS("verify", command_path(name))),
			0, "%s", command_text(said));
	}
	kill(pid, SIGTERM);
	kill(pid, SIGTERM);
	cr_expect_neq(command_finish(pid), -1, "it had to be killed");
	expect_well("after a guest that was stopped");
}

/* The process of the VM, which the launcher started; or 0. */
static pid_t child_of(pid_t pid)
{
	char line[64] = "", command[96];
	FILE *f;

	snprintf(command, sizeof(command),
		 "grep -l '^PPid:.%d$' /proc/[0-9]*/status", (int)pid);
	f = popen(command, "r");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		pclose(f);
	return line[0] ? atoi(line + strlen("/proc/")) : 0;
}

/* In the middle of DMA: the VM's own process, or its launcher. */
Test(vfio_hostile, a_vmm_that_is_killed_leaves_the_device_to_the_next)
{
	for (int launcher = 0; launcher < 2; launcher++) {
		char *sock;
		pid_t pid = start("msi=1 rounds=100000", &sock), vm;

		command_wait_for(edurun.out, "raised 1");
		usleep(150000); /* a DMA takes edu 100 ms */
		vm = child_of(pid);
		cr_assert_gt(vm, 0);
		cr_expect_gt(edurun_pinned(), before, "it drives nothing");
		kill(launcher ? pid : vm, SIGKILL);
		cr_expect_gt(command_finish(pid), 0);
		expect_well(launcher ? "after the launcher's death"
				     : "after the VM's death");
	}
}

/* While a snapshot is written, at several moments. */
Test(vfio_hostile, a_vmm_that_is_killed_in_a_snapshot_too)
{
	static const useconds_t after[] = {0,	  5000,	  20000,
					   60000, 150000, 400000};
	char *said = command_path("said"), *snap = command_path("snap");
	int unfinished = 0;

	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		char *sock, command[128];
		pid_t pid = start("hostile=1000000", &sock), saving;

		command_wait_for(edurun.out, "hostile");
		saving = command_start(said, WORDS("snapshot", sock, snap));
		usleep(after[i]);
		kill(child_of(pid), SIGKILL);
		command_finish(pid);
		/* Whole, or not there. */
		if (command_finish(saving) == 0)
			cr_expect_eq(command_run(said, WORDS("verify", snap)),
				     0, "%s", command_text(said));
		else
			unfinished++;
		expect_none_pinned("after a snapshot that was cut");
		snprintf(command, sizeof(command), "rm -rf %s", snap);
		cr_expect_eq(system(command), 0);
	}
	printf("[info] %d of 6 snapshots were cut\n", unfinished);
	cr_expect_gt(unfinished, 0);
	expect_well("after them all");
}

/* mote as a user who may use KVM, but not the device. */
static int as_nobody(const char *const words[])
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		_exit(command_run(edurun.out, words));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

Test(vfio_hostile, who_may_not_open_the_device_is_told_where)
{
	char *kernel, *pci, *dir = command_path("");

	cr_assert_geq(asprintf(&kernel, "vm.kernel=%s", command_guest("edu")),
		      0);
	cr_assert_geq(asprintf(&pci, "passthrough.edu.pci=%s", edurun.address),
		      0);
	cr_assert_eq(chmod(dir, 0777), 0);
	cr_assert_eq(chmod("/dev/kvm", 0666), 0);
	cr_expect_eq(as_nobody(WORDS("run", "--set", kernel, "--set", pci)), 77,
		     "%s", command_text(edurun.out));
	cr_expect_not_null(strstr(command_text(edurun.out),
				  "passthrough.edu.pci: open /dev/vfio/"),
			   "%s", command_text(edurun.out));
	cr_expect_not_null(
		strstr(command_text(edurun.out), "Permission denied"), "%s",
		command_text(edurun.out));
}
