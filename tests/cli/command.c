/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES	  600 /* of 50 ms: a lab is slow */
#define WORDS_MAX 24

extern char **environ;

static char dir[64];

void command_setup(void)
{
	strcpy(dir, "/tmp/mote-cli-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

void command_teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_expect_eq(system(command), 0);
}

char *command_path(const char *name)
{
	char *path;

	cr_assert_geq(asprintf(&path, "%s/%s", dir, name), 0);
	return path;
}

void command_need_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("no usable /dev/kvm: %s", strerror(errno));
}

char *command_guest(const char *name)
{
	const char *guests = getenv("MOTE_GUESTS");
	char *path;

	cr_assert_geq(asprintf(&path, "%s/%s.elf",
			       guests ? guests : "build/guests", name),
		      0);
	return path;
}

pid_t command_start(const char *out, const char *const words[])
{
	const char *bin = getenv("MOTE_BIN");
	posix_spawn_file_actions_t fa;
	char *argv[WORDS_MAX] = {bin ? (char *)bin : "build/mote"};
	pid_t pid;
	int n = 1;

	while (words[n - 1]) {
		cr_assert_lt(n, WORDS_MAX - 1, "too many words");
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

int command_finish(pid_t pid)
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

bool command_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
		       0 ||
	       info.si_pid == pid;
}

int command_run(const char *out, const char *const words[])
{
	return command_finish(command_start(out, words));
}

const char *command_text(const char *path)
{
	static char buf[COMMAND_OUT_MAX];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return buf;
}

void command_wait_for(const char *path, const char *text)
{
	for (int i = 0; i < TRIES; i++) {
		if (strstr(command_text(path), text))
			return;
		usleep(50000);
	}
	cr_assert_fail("no \"%s\" in: %s", text, command_text(path));
}
