/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/linux_guest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 24

void linux_need(const char *kernel)
{
	if (access(kernel, R_OK) < 0)
		cr_skip_test("%s: %s", kernel, strerror(errno));
}

long linux_number(const char *out, const char *words)
{
	const char *at = strstr(out, words);

	return at ? strtol(at + strlen(words), NULL, 10) : -1;
}

const char *linux_run(const char *const words[], int *status)
{
	const char *bin = getenv("MOTE_BIN");
	const char *argv[WORDS_MAX + 2] = {bin ? bin : "build/mote"};
	static char out[262144];
	size_t n = 0;
	int fd[2], c;
	pid_t pid;
	FILE *p;

	for (int i = 0; words[i] && i < WORDS_MAX; i++)
		argv[i + 1] = words[i];
	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(fd[1]);
	p = fdopen(fd[0], "r");
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
	fclose(p);
	cr_assert_eq(waitpid(pid, status, 0), pid);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
	return out;
}

void linux_expect(const char *out, int cpus)
{
	char online[32];

	snprintf(online, sizeof(online), cpus > 1 ? "online 0-%d" : "online %d",
		 cpus - 1);
	cr_expect_eq(linux_number(out, "guest: cpus "), cpus);
	cr_expect_not_null(strstr(out, online), "%s", online);
	cr_expect_geq(linux_number(out, "guest: memory "), 150);
	cr_expect_leq(linux_number(out, "guest: memory "), 256);
	cr_expect_geq(linux_number(out, "guest: year "), 2024);
	cr_expect_eq(linux_number(out, "guest: worker "), 500);
	cr_expect_null(strstr(out, "guest: FAILED"));
	cr_expect_not_null(strstr(out, "guest: done"));
}
