/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mote.c - the built command line with a guest, on this host and in
 * every lab: run, ctl pause, snapshot and stop, restore.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES	600 /* of 50 ms: a lab is slow */
#define OUT_MAX 65536

extern char **environ;

static char dir[64];

static const char *mote(void)
{
	const char *bin = getenv("MOTE_BIN");

	return bin ? bin : "build/mote";
}

static char *guest(const char *name)
{
	const char *guests = getenv("MOTE_GUESTS");
	char *path;

	cr_assert_geq(asprintf(&path, "%s/%s.elf",
			       guests ? guests : "build/guests", name),
		      0);
	return path;
}

static char *in_dir(const char *name)
{
	char *path;

	cr_assert_geq(asprintf(&path, "%s/%s", dir, name), 0);
	return path;
}

static void setup(void)
{
	strcpy(dir, "/tmp/mote-cli-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_expect_eq(system(command), 0);
}

static void need_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("no usable /dev/kvm: %s", strerror(errno));
}

/* Start mote with these words; output and errors go to one file. */
static pid_t start(const char *out, const char *const words[])
{
	posix_spawn_file_actions_t fa;
	char *argv[24] = {(char *)mote()};
	pid_t pid;
	int n = 1;

	while (words[n - 1] && n < 23) {
		argv[n] = (char *)words[n - 1];
		n++;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, out,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&fa, 1, 2);
	cr_assert_eq(posix_spawn(&pid, argv[0], &fa, NULL, argv, environ), 0,
		     "%s can't be started", argv[0]);
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

/* Its exit code, or 128 + the signal that ended it. */
static int finish(pid_t pid)
{
	int status;

	for (int i = 0; i < TRIES; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status)
						 : 128 + WTERMSIG(status);
		usleep(50000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static int run(const char *out, const char *const words[])
{
	return finish(start(out, words));
}

static const char *text_of(const char *path)
{
	static char buf[OUT_MAX];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return buf;
}

static void wait_for(const char *path, const char *text)
{
	for (int i = 0; i < TRIES; i++) {
		if (strstr(text_of(path), text))
			return;
		usleep(50000);
	}
	cr_assert_fail("no \"%s\" in: %s", text, text_of(path));
}

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

#define WORDS(...)                                                             \
	(const char *const[])                                                  \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

Test(cli_mote, run_gives_the_guests_output_and_code, .init = setup,
     .fini = teardown)
{
	char *out = in_dir("out");

	need_kvm();
	cr_assert_eq(
		run(out, WORDS("run", "--kernel", guest("hello"), "--memory",
			       "32M", "--", "nonce=4711", "exit=23")),
		23, "%s", text_of(out));
	cr_assert_not_null(
		strstr(text_of(out), "arguments: nonce=4711 exit=23"), "%s",
		text_of(out));
}

Test(cli_mote, run_without_a_jail_does_too, .init = setup, .fini = teardown)
{
	char *out = in_dir("out");

	need_kvm();
	cr_assert_eq(run(out, WORDS("run", "--kernel", guest("hello"),
				    "--memory", "32M", "--set",
				    "sandbox.enable=no", "--", "exit=3")),
		     3, "%s", text_of(out));
}

Test(cli_mote, sigterm_reaches_the_guest, .init = setup, .fini = teardown)
{
	char *out = in_dir("out");
	pid_t pid;

	need_kvm();
	pid = start(out, WORDS("run", "--kernel", guest("counter"), "--memory",
			       "32M"));
	wait_for(out, "count 2");
	kill(pid, SIGTERM);
	cr_assert_eq(finish(pid), 0, "%s", text_of(out));
	cr_assert_not_null(strstr(text_of(out), "stopped at"), "%s",
			   text_of(out));
}

Test(cli_mote, a_restored_guest_goes_on_counting, .init = setup,
     .fini = teardown, .timeout = 120)
{
	char *out = in_dir("out"), *again = in_dir("again"),
	     *said = in_dir("said"), *sock = in_dir("sock"),
	     *snap = in_dir("snap"), *control;
	static char before[OUT_MAX], both[2 * OUT_MAX];
	long paused_at;
	pid_t pid;

	need_kvm();
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	/* Output and log go to one file: a warning would cut a line. */
	pid = start(out, WORDS("run", "--kernel", guest("counter"), "--memory",
			       "32M", "--set", control, "--set",
			       "log.level=err", "--", "step_ms=20"));
	wait_for(out, "count 3");
	cr_assert_eq(run(said, WORDS("ctl", sock, "pause")), 0, "%s",
		     text_of(said));
	snprintf(before, sizeof(before), "%s", text_of(out));
	paused_at = count_up(before);
	cr_assert_geq(paused_at, 2, "%s", before);
	cr_assert_eq(run(said, WORDS("ctl", sock, "snapshot", snap)), 0, "%s",
		     text_of(said));
	cr_assert_str_eq(text_of(out), before, "it was paused");
	cr_assert_eq(run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     text_of(said));
	cr_assert_eq(finish(pid), 0, "%s", text_of(out));

	cr_assert_eq(run(said, WORDS("verify", snap)), 0, "%s", text_of(said));
	pid = start(again, WORDS("restore", snap, "--set", control, "--set",
				 "log.level=err"));
	wait_for(again, "generation 2 id");
	wait_for(again, "count ");
	cr_assert_eq(run(said, WORDS("ctl", sock, "stop")), 0, "%s",
		     text_of(said));
	cr_assert_eq(finish(pid), 0, "%s", text_of(again));
	snprintf(both, sizeof(both), "%s%s", before, text_of(again));
	cr_assert_gt(count_up(both), paused_at, "%s", both);
	cr_assert_not_null(strstr(both, "generation 2 id"), "%s", both);
}
