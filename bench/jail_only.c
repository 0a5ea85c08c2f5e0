/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail_only.c - mote's jail without a machine: what floor_jail is compared
 * with.  The fork and the namespaces as launch/launcher.c makes them
 * (for root; another user is refused), the rest is the library's.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/mote.h"

#define NOBODY 65534

/* With the argument "steps": what each took, in us, one a line on stdout. */
static struct mote_timeline *steps;

static void print_steps(void)
{
	for (uint32_t i = 1; i < steps->count; i++)
		printf("%s\t%.1f\n", steps->mark[i].name,
		       (double)(steps->mark[i].ns - steps->mark[i - 1].ns) /
			       1e3);
}

static int child(int sock)
{
	const struct mote_jail_options jail = {
		.size = sizeof(jail),
		.new_root = true,
		.uid = NOBODY,
		.gid = NOBODY,
		.keep_fds = &sock,
		.keep_count = 1,
		.timeline = steps,
	};
	struct mote_err err = {0};
	unsigned int layers;
	char done = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP | CLONE_NEWNET) < 0)
		return 3;
	mote_timeline_mark(steps, "namespaces");
	if (mote_jail_enter(&jail, &layers, NULL, &err) < 0 ||
	    mote_jail_lock(MOTE_SECCOMP_KILL, &err) < 0) {
		fprintf(stderr, "jail: %s\n", err.msg);
		return 4;
	}
	mote_timeline_mark(steps, "jail: last descriptors, filter");
	return write(sock, &done, 1) == 1 ? 0 : 5;
}

int main(int argc, char **argv)
{
	int pair[2], status;
	pid_t pid;
	char done;

	if (geteuid() != 0) {
		fprintf(stderr, "jail: only as root\n");
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "steps"))
		steps = mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mote_timeline_mark(steps, "start");
	if (unshare(CLONE_NEWPID) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 8;
	pid = fork();
	if (pid == 0)
		_exit(child(pair[1]));
	close(pair[1]);
	if (pid < 0 || read(pair[0], &done, 1) != 1)
		return 9;
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 10;
	if (steps)
		print_steps();
	return WEXITSTATUS(status);
}
