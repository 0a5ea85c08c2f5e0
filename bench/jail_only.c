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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/mote.h"

#define NOBODY 65534

static int child(int sock)
{
	const struct mote_jail_options jail = {
		.size = sizeof(jail),
		.new_root = true,
		.uid = NOBODY,
		.gid = NOBODY,
		.keep_fds = &sock,
		.keep_count = 1,
	};
	struct mote_err err = {0};
	unsigned int layers;
	char done = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP | CLONE_NEWNET) < 0)
		return 3;
	if (mote_jail_enter(&jail, &layers, NULL, &err) < 0 ||
	    mote_jail_lock(MOTE_SECCOMP_KILL, &err) < 0) {
		fprintf(stderr, "jail: %s\n", err.msg);
		return 4;
	}
	return write(sock, &done, 1) == 1 ? 0 : 5;
}

int main(void)
{
	int pair[2], status;
	pid_t pid;
	char done;

	if (geteuid() != 0) {
		fprintf(stderr, "jail: only as root\n");
		return 1;
	}
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
	return WEXITSTATUS(status);
}
