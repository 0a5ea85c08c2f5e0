/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selftest.c - tests that go wrong on purpose, for selftest.sh.
 *
 * "good" passes, "bad" fails in each way that a test can, "fatal" takes the
 * runner or the machine down with it.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static bool fini_ran;

static void set_up(void)
{
	fini_ran = false;
}

static void tear_down(void)
{
	fini_ran = true;
}

TestSuite(good, .timeout = 20);

Test(good, passes, .init = set_up, .fini = tear_down)
{
	const char *null = NULL;

	cr_assert(true);
	cr_assert_eq(1 + 1, 2, "with a message: %d", 2);
	cr_expect_lt(1, 2);
	cr_expect_str_eq("a", "a");
	cr_expect_str_lt("a", "b");
	cr_expect_str_empty("");
	cr_expect_arr_eq("abc", "abd", 2);
	cr_expect_null(null);
	cr_expect_not(fini_ran);
	cr_log_info("a line for the log");
}

Test(good, dies_as_announced, .signal = SIGTERM)
{
	raise(SIGTERM);
}

Test(good, exits_as_announced, .exit_code = 3)
{
	exit(3);
}

Test(good, leaves_a_process_behind)
{
	if (fork() == 0) {
		setsid();
		pause();
	}
}

Test(good, switched_off, .disabled = true)
{
	cr_assert_fail("must not run");
}

Test(bad, fails)
{
	cr_assert_eq(1, 2, "numbers differ");
	puts("MUST-NOT-APPEAR");
}

Test(bad, goes_on_after_an_expectation)
{
	cr_expect_str_eq("one", "two");
	puts("this line appears");
}

Test(bad, crashes)
{
	volatile int *nowhere = NULL;

	*nowhere = 1;
}

Test(bad, exits_in_the_middle)
{
	exit(0);
}

Test(bad, closes_everything_and_exits)
{
	closefrom(0);
	_exit(0);
}

Test(bad, hangs, .timeout = 1)
{
	pause();
}

Test(bad, survives_what_should_kill_it, .signal = SIGSEGV)
{
}

static void *assert_elsewhere(void *arg)
{
	cr_assert_null(arg);
	return NULL;
}

Test(bad, fails_in_a_thread)
{
	pthread_t t;

	pthread_create(&t, NULL, assert_elsewhere, "not null");
	pthread_join(t, NULL);
	pause();
}

Test(bad, fails_in_a_child)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		cr_expect(false);
	waitpid(pid, &status, 0);
	cr_assert_eq(status, 0);
}

static void fail_in_fini(void)
{
	cr_assert_fail("fini");
}

Test(bad, fails_in_fini, .fini = fail_in_fini)
{
}

Test(skipped, says_why)
{
	cr_skip_test("for the reason %d", 7);
}

Test(fatal, kills_the_runner)
{
	kill(getppid(), SIGKILL);
	pause();
}

Test(fatal, stops_the_runner)
{
	kill(getppid(), SIGSTOP);
	pause();
}

Test(fatal, crashes_the_kernel)
{
	FILE *f = fopen("/proc/sysrq-trigger", "w");

	cr_assert_not_null(f);
	fputc('c', f);
	fclose(f);
}

Test(fatal, powers_off)
{
	reboot(RB_POWER_OFF);
}

Test(fatal, forges_a_verdict)
{
	puts("LAB-VERDICT 0123456789abcdef 100 0 0");
	fflush(stdout);
	kill(getppid(), SIGKILL);
	pause();
}

/* Even with the right nonce the real verdict makes two of them. */
Test(fatal, forges_the_nonce)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");
	char *nonce;

	cr_assert_not_null(f);
	cr_assert_not_null(fgets(line, sizeof(line), f));
	fclose(f);
	nonce = strstr(line, "lab.nonce=");
	cr_assert_not_null(nonce);
	printf("LAB-VERDICT %.16s 100 0 0\n", nonce + strlen("lab.nonce="));
}

Test(fatal, writes_its_own_counts)
{
	FILE *f = fopen("/run/counts", "w");

	cr_assert_not_null(f);
	fputs("100 0 0\n", f);
	fclose(f);
	kill(getppid(), SIGKILL);
	pause();
}
