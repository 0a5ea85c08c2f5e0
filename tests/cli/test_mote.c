/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mote.c - the built command line with a guest, on this host and in
 * every lab: run, ctl pause, snapshot and stop, restore.
 */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

/*
 * Are the numbers behind each "count " of a text consecutive?  The last one,
 * or -1.  The pause may have cut a line, so texts are joined first.
 */
static long count_up(const char *text)
{
	const char *p = text;
	long n = -1;

	while ((p = strstr(p, "count "))) {
		long next = strtol(p + 6, NULL, 10);

		if (n >= 0 && next != n + 1)
			return -1;
		n = next;
		p += 6;
	}
	return n;
}

Test(cli_mote, run_gives_the_guests_output_and_code, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");

	command_need_kvm();
	cr_assert_eq(
		command_run(out, WORDS("run", "--kernel",
				       command_guest("hello"), "--memory",
				       "32M", "--", "nonce=4711", "exit=23")),
		23, "%s", command_text(out));
	cr_assert_not_null(
		strstr(command_text(out), "arguments: nonce=4711 exit=23"),
		"%s", command_text(out));
}

Test(cli_mote, run_without_a_jail_does_too, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");

	command_need_kvm();
	cr_assert_eq(command_run(out, WORDS("run", "--kernel",
					    command_guest("hello"), "--memory",
					    "32M", "--set", "sandbox.enable=no",
					    "--", "exit=3")),
		     3, "%s", command_text(out));
}

Test(cli_mote, sigterm_reaches_the_guest, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");
	pid_t pid;

	command_need_kvm();
	pid = command_start(out,
			    WORDS("run", "--kernel", command_guest("counter"),
				  "--memory", "32M"));
	command_wait_for(out, "count 2");
	kill(pid, SIGTERM);
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(out));
	cr_assert_not_null(strstr(command_text(out), "stopped at"), "%s",
			   command_text(out));
}

Test(cli_mote, a_restored_guest_goes_on_counting, .init = command_setup,
     .fini = command_teardown, .timeout = 120)
{
	char *out = command_path("out"), *again = command_path("again"),
	     *said = command_path("said"), *sock = command_path("sock"),
	     *snap = command_path("snap"), *control;
	static char before[COMMAND_OUT_MAX], both[2 * COMMAND_OUT_MAX];
	long paused_at;
	pid_t pid;

	command_need_kvm();
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	/* Output and log go to one file: a warning would cut a line. */
	pid = command_start(out,
			    WORDS("run", "--kernel", command_guest("counter"),
				  "--memory", "32M", "--set", control, "--set",
				  "log.level=err", "--", "step_ms=20"));
	command_wait_for(out, "count 3");
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "pause")), 0, "%s",
		     command_text(said));
	snprintf(before, sizeof(before), "%s", command_text(out));
	paused_at = count_up(before);
	cr_assert_geq(paused_at, 2, "%s", before);
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "snapshot", snap)), 0,
		     "%s", command_text(said));
	cr_assert_str_eq(command_text(out), before, "it was paused");
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     command_text(said));
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(out));

	cr_assert_eq(command_run(said, WORDS("verify", snap)), 0, "%s",
		     command_text(said));
	pid = command_start(again, WORDS("restore", snap, "--set", control,
					 "--set", "log.level=err"));
	command_wait_for(again, "generation 2 id");
	command_wait_for(again, "count ");
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     command_text(said));
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(again));
	snprintf(both, sizeof(both), "%s%s", before, command_text(again));
	cr_assert_gt(count_up(both), paused_at, "%s", both);
	cr_assert_not_null(strstr(both, "generation 2 id"), "%s", both);
}

/* All of it in the jail: whatever an architecture saves as changes, too. */
Test(cli_mote, a_diff_of_a_guest_that_runs_is_restored, .init = command_setup,
     .fini = command_teardown, .timeout = 120)
{
	char *out = command_path("out"), *again = command_path("again"),
	     *said = command_path("said"), *sock = command_path("sock"),
	     *base = command_path("base"), *diff = command_path("diff"),
	     *control;
	static char both[2 * COMMAND_OUT_MAX];
	pid_t pid;

	command_need_kvm();
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(out,
			    WORDS("run", "--kernel", command_guest("counter"),
				  "--memory", "32M", "--set", control, "--set",
				  "log.level=err", "--", "step_ms=20"));
	command_wait_for(out, "count 3");
	cr_assert_eq(command_run(said, WORDS("snapshot", sock, base)), 0, "%s",
		     command_text(said));
	command_wait_for(out, "count 9");
	cr_assert_eq(command_run(said, WORDS("snapshot", sock, diff, "--diff")),
		     0, "%s", command_text(said));
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     command_text(said));
	command_finish(pid);
	cr_assert_eq(command_run(said, WORDS("inspect", diff)), 0, "%s",
		     command_text(said));
	cr_assert_not_null(strstr(command_text(said), "parent = base"), "%s",
			   command_text(said));
#ifdef __powerpc64__
	cr_assert_not_null(
		strstr(command_text(said), "changed since the parent"), "%s",
		command_text(said));
#endif
	pid = command_start(again, WORDS("restore", diff, "--set", control,
					 "--set", "log.level=err"));
	command_wait_for(again, "generation 2 id");
	command_wait_for(again, "count ");
	cr_assert_eq(command_run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     command_text(said));
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(again));
	snprintf(both, sizeof(both), "%s", command_text(again));
	cr_assert_geq(count_up(both), 9, "%s", both);
}

Test(cli_mote, doctor_says_what_guests_can_have, .init = command_setup,
     .fini = command_teardown)
{
	char *out = command_path("out");

	command_need_kvm();
	cr_assert_eq(command_run(out, WORDS("doctor")), 0, "%s",
		     command_text(out));
	cr_expect_not_null(strstr(command_text(out), "ok   virtual machine"),
			   "%s", command_text(out));
#ifdef __aarch64__
	/* Newer kernels know 1.2 and 1.3, too. */
	cr_expect_not_null(
		strstr(command_text(out), "ok   PSCI versions: 0.2 1.0 1.1"),
		"%s", command_text(out));
	cr_expect_not_null(strstr(command_text(out), "GICv"), "%s",
			   command_text(out));
#endif
#ifdef __powerpc64__
	cr_expect_not_null(strstr(command_text(out), "ok   hashed page tables"),
			   "%s", command_text(out));
	cr_expect_not_null(strstr(command_text(out), "radix guests"), "%s",
			   command_text(out));
#endif
}
