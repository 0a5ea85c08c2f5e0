/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_golden.c - the golden snapshots of this architecture run, by the
 * command line, on this host and in each lab: a counter goes on counting.
 *
 * One of another CPU than this one may be refused (69), which is said.  One of
 * this CPU that is refused, or none that is restored, skips the test; and a
 * lab's set must not hold a test that it skips.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/err.h"
#include "cli/command.h"
#include "snapshot/snapshot.h"

#define UNAVAILABLE 69
#define STEP_US	    20000

struct result {
	int restored;
	int refused;
	char why[512]; /* of one of this CPU, or the last that was */
	bool ours;
};

/* Does its manifest say of the CPU what one of this host would? */
static bool of_this_cpu(const char *path)
{
	char cpu[sizeof(((struct manifest *)0)->cpu)] = "";
	struct mote_err err = {0};
	struct snapshot s;
	bool same;

	cr_assert_eq(snapshot_open(&s, AT_FDCWD, path, &err), 0, "%s", err.msg);
	arch_cpu_model(cpu, sizeof(cpu));
	same = !strcmp(cpu, s.manifest.cpu);
	snapshot_close(&s);
	return same;
}

static void note_refused(struct result *r, const char *path, const char *text)
{
	int len = (int)strcspn(text, "\n");

	cr_log_info("refused: %s: %.*s", path, len, text);
	r->refused++;
	if (r->ours)
		return;
	r->ours = of_this_cpu(path);
	snprintf(r->why, sizeof(r->why), "%s%s: %.*s", path,
		 r->ours ? " (of this CPU)" : "", len, text);
}

/* The number of its first whole "count" line, or -1. */
static long first_count(const char *text)
{
	const char *p = strncmp(text, "count ", 6) ? strstr(text, "\ncount ")
						   : text - 1;

	return p ? strtol(p + 7, NULL, 10) : -1;
}

/* Until it counts or has ended by itself. */
static void wait_for_count(pid_t pid, const char *out)
{
	for (int i = 0; i < 1500 && first_count(command_text(out)) < 0; i++) {
		if (command_ended(pid))
			return;
		usleep(STEP_US);
	}
}

static void restore(const char *path, const char *how, struct result *r)
{
	char *out = command_path("out"), *said = command_path("said"),
	     *sock = command_path("sock"), *control;
	const char *text;
	pid_t pid;
	int code;

	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	/* Output and log go to one file: a warning would cut a line. */
	pid = command_start(out, WORDS("restore", path, "--set", control,
				       "--set", "log.level=err", "--set",
				       "restore.verify=eager", "--set", how));
	wait_for_count(pid, out);
	command_run(said, WORDS("ctl", sock, "stop"));
	code = command_finish(pid);
	text = command_text(out);
	if (code == UNAVAILABLE) {
		note_refused(r, path, text);
	} else {
		cr_expect_eq(code, 0, "%s, %s: %s", path, how, text);
		cr_expect_not_null(strstr(text, "generation 2 id"),
				   "%s, %s: it does not know that it is "
				   "another: %s",
				   path, how, text);
		cr_expect_gt(first_count(text), 3, "%s, %s: %s", path, how,
			     text);
		cr_expect_lt(first_count(text), 100, "%s, %s: %s", path, how,
			     text);
		r->restored++;
	}
	free(control);
	free(sock);
	free(said);
	free(out);
}

/* Each counter of this architecture; those of tests/fake ran on no KVM. */
static void for_counters(void (*f)(const char *path, const char *how,
				   struct result *r),
			 const char *how, struct result *r)
{
	char folder[64], path[400];
	struct dirent *e;
	int n = 0;
	DIR *d;

	command_need_kvm();
	snprintf(folder, sizeof(folder), "tests/golden/%s", arch_name);
	d = opendir(folder);
	if (!d)
		cr_skip_test("%s: %s", folder, strerror(errno));
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "counter-", 8) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		f(path, how, r);
		n++;
	}
	closedir(d);
	cr_assert_gt(n, 0, "%s is empty", folder);
}

static void restore_all(const char *how)
{
	struct result r = {0};

	for_counters(restore, how, &r);
	cr_log_info("%s: %d restored, %d refused", how, r.restored, r.refused);
	if (r.ours || !r.restored)
		cr_skip_test("%d of %d were refused: %s", r.refused,
			     r.restored + r.refused, r.why);
}

TestSuite(golden_runs, .init = command_setup, .fini = command_teardown,
	  .timeout = 120);

Test(golden_runs, with_memory_that_is_mapped)
{
	restore_all("restore.memory=cow");
}

Test(golden_runs, with_memory_that_is_copied)
{
	restore_all("restore.memory=copy");
}

/* What compat says of a snapshot without a VM, a restore says with one. */
static void expect_told(const char *path, const char *how, struct result *r)
{
	char *said = command_path("said"), *out = command_path("out"),
	     *sock = command_path("sock"), *control;
	int before = command_run(said, WORDS("compat", path)), after;
	pid_t pid;

	(void)how;
	(void)r;
	cr_assert(before == 0 || before == UNAVAILABLE, "%s: %d: %s", path,
		  before, command_text(said));
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(out, WORDS("restore", path, "--set", control,
				       "--set", "log.level=err"));
	wait_for_count(pid, out);
	command_run(said, WORDS("ctl", sock, "stop"));
	after = command_finish(pid);
#ifdef __x86_64__
	/* Which MSRs this host refuses, only a vCPU tells. */
	if (before == 0 && after == UNAVAILABLE)
		after = 0;
#endif
	cr_expect_eq(before, after, "%s: compat %d, restore %d: %s", path,
		     before, after, command_text(out));
	free(control);
}

Test(golden_compat, says_before_what_a_restore_says_then, .init = command_setup,
     .fini = command_teardown, .timeout = 120)
{
	for_counters(expect_told, NULL, NULL);
}
