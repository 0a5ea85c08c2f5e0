/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define KVMIO 0xae
#define OPTIONS                                                                \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE |    \
	 PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL)

static void note_ioctl(struct trace *t, unsigned long request)
{
	t->ioctls++;
	if ((request >> 8 & 0xff) == KVMIO)
		t->kvm_ioctls++;
	for (int i = 0; i < TRACE_IOCTL_MAX; i++) {
		if (t->ioctl[i].count && t->ioctl[i].request != request)
			continue;
		t->ioctl[i].request = request;
		t->ioctl[i].count++;
		return;
	}
}

static void note(struct trace *t, pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return;
	/* Entry only: there rax holds -ENOSYS. */
	if ((long)regs.rax != -ENOSYS)
		return;
	t->total++;
	if (regs.orig_rax < TRACE_NR_MAX)
		t->by_nr[regs.orig_rax]++;
	if (regs.orig_rax == SYS_ioctl)
		note_ioctl(t, regs.rsi);
}

static void __attribute__((noreturn)) child(char *const argv[])
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	execv(argv[0], argv);
	_exit(127);
}

int trace_run(char *const argv[], struct trace *t)
{
	pid_t first = fork();
	bool running = false;
	int status;

	memset(t, 0, sizeof(*t));
	if (first < 0)
		return -errno;
	if (first == 0)
		child(argv);
	waitpid(first, &status, 0);
	ptrace(PTRACE_SETOPTIONS, first, 0, OPTIONS);
	ptrace(PTRACE_SYSCALL, first, 0, 0);
	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		int sig;

		if (pid < 0)
			return errno == ECHILD ? 0 : -errno;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == first)
				t->status = status;
			continue;
		}
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80)) {
			if (running) /* what led to the exec is not its own */
				note(t, pid);
			sig = 0;
		} else if (sig == SIGTRAP || sig == SIGSTOP) {
			running = running || sig == SIGTRAP;
			sig = 0;
		}
		ptrace(PTRACE_SYSCALL, pid, 0, sig);
	}
}
