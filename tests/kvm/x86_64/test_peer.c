/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_peer.c - Debian's kernel by mote and by QEMU's microvm in one machine:
 * how often each was left for user space until init ran, by the kernel's own
 * count, and how long that took (said, not judged: the lab is emulated).  Only
 * in lab-x86-peer, which brings both.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "kvm/linux_guest.h"

#define PEER   "/lib/peer/qemu"
#define EVENT  "/sys/kernel/tracing/events/kvm/kvm_userspace_exit/"
#define APPEND "console=ttyS0 panic=-1 nokaslr mitigations=off no_timer_check"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_gt(write(fd, text, strlen(text)), 0, "%s: %s", path,
		     strerror(errno));
	close(fd);
}

/* The sum of "Hits:" in the histogram. */
static long hits(void)
{
	static char text[65536];
	FILE *f = fopen(EVENT "hist", "r");
	size_t n;
	char *at;

	cr_assert_not_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	at = strstr(text, "Hits: ");
	cr_assert_not_null(at, "%s", text);
	return strtol(at + 6, NULL, 10);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Exits until init; the guest is ended then. */
static long until_init(const char *name, const char *const words[])
{
	double began = now();
	char line[4096];
	long n = -1;
	int fd[2];
	pid_t pid;
	FILE *p;

	put(EVENT "trigger", "hist:keys=reason");
	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		close(0);
		open("/dev/null", O_RDONLY);
		execv(words[0], (char *const *)words);
		_exit(127);
	}
	close(fd[1]);
	p = fdopen(fd[0], "r");
	cr_assert_not_null(p);
	while (n < 0 && fgets(line, sizeof(line), p))
		if (strstr(line, "guest: init"))
			n = hits();
	printf("%s: %ld exits, %.1f s until init\n", name, n, now() - began);
	kill(pid, SIGTERM);
	fclose(p);
	waitpid(pid, NULL, 0);
	put(EVENT "trigger", "!hist:keys=reason");
	cr_assert_gt(n, 0, "%s: no init", name);
	return n;
}

static void compare(const char *append)
{
	char line[256], set[300];
	const char *mote = getenv("MOTE_BIN");
	long ours, theirs;

	snprintf(line, sizeof(line), "%s%s", APPEND, append);
	snprintf(set, sizeof(set), "vm.cmdline=%s", line);
	ours = until_init("mote", WORDS(mote ? mote : "build/mote", "run",
					"--set", "vm.kernel=" LINUX_KERNEL,
					"--set", "vm.initrd=" LINUX_INITRD,
					"--set", "vm.memory=256M", "--set",
					"vm.vcpus=2", "--set", set));
	theirs = until_init("QEMU microvm",
			    WORDS(PEER, "-M", "microvm", "-accel", "kvm",
				  "-cpu", "host", "-smp", "2", "-m", "256",
				  "-nodefaults", "-no-user-config", "-display",
				  "none", "-serial", "stdio", "-no-reboot",
				  "-L", "/lib/peer", "-kernel", LINUX_KERNEL,
				  "-initrd", LINUX_INITRD, "-append", line));
	cr_expect_lt(2 * ours, theirs, "%ld and %ld exits", ours, theirs);
}

Test(x86_peer, fewer_than_half_of_the_exits_until_init, .timeout = 560)
{
	linux_need(LINUX_KERNEL);
	linux_need(PEER);
	mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL);
	compare(" quiet");
	compare("");
}
