/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trip.c - let a process stumble at its n-th system call.
 *
 *   trip WHO CALL N ACTION
 *
 * WHO: the id of a thread that runs, or "-" and after ACTION a command.
 * CALL: the name of a call (see below), "write" (all that write a file) or
 * "any" (but waiting).  N: from 1, 0 only counts.  ACTION:
 *
 *   kill   SIGKILL when the call has returned
 *   short  the call is asked for half of the bytes
 *   ENOSPC EIO EDQUOT   the call is not made and fails so
 *
 * "ready" is printed once the thread is watched, then a line for each CALL:
 * its count, its number, its first argument and "*" if it was made to
 * stumble.  Ends with the process, or by a signal, which lets it go on.  By
 * ptrace, x86_64 only; nothing else than that is needed on the host.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD)
#define ANY	-1
#define WRITES	-2

static const struct {
	const char *name;
	long nr;
} calls[] = {
	{"any", ANY},
	{"write", WRITES},
	{"mkdirat", SYS_mkdirat},
	{"openat", SYS_openat},
	{"ftruncate", SYS_ftruncate},
	{"fsync", SYS_fsync},
	{"renameat2", SYS_renameat2},
};

static const struct {
	const char *name;
	int code; /* 0: kill, -1: short */
} actions[] = {
	{"kill", 0},	    {"short", -1},	{"EIO", EIO},
	{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
};

struct trip {
	pid_t pid;
	long call;
	unsigned long n, seen;
	int action;
	bool inside;		     /* between entry and exit of a call */
	bool now;		     /* ... which is the one */
	long result;		     /* to be written at its exit; 1: none */
	struct user_regs_struct was; /* at its entry */
};

static bool is_writing(unsigned long nr)
{
	return nr == SYS_write || nr == SYS_pwrite64 || nr == SYS_writev ||
	       nr == SYS_pwritev;
}

static bool is_waiting(unsigned long nr)
{
	return nr == SYS_poll || nr == SYS_ppoll || nr == SYS_restart_syscall;
}

/* Events and consoles are written to at any time. */
static bool is_file(const struct trip *t, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)t->pid, fd);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool matches(const struct trip *t, const struct user_regs_struct *r)
{
	if (t->call == ANY)
		return !is_waiting(r->orig_rax);
	if (t->call == WRITES)
		return is_writing(r->orig_rax) && is_file(t, (int)r->rdi);
	return r->orig_rax == (unsigned long)t->call;
}

/* Half of what it was to write: bytes, or pieces. */
static void halve(struct user_regs_struct *r)
{
	if (is_writing(r->orig_rax) && r->rdx > 1)
		r->rdx /= 2;
}

static void entry(struct trip *t)
{
	struct user_regs_struct r;

	t->now = false;
	t->result = 1;
	if (ptrace(PTRACE_GETREGS, t->pid, 0, &r) < 0 || !matches(t, &r))
		return;
	t->now = ++t->seen == t->n;
	printf("%lu %lu %ld%s\n", t->seen, (unsigned long)r.orig_rax,
	       (long)(int)r.rdi, t->now ? " *" : "");
	if (!t->now || t->action == 0)
		return;
	if (t->action < 0) {
		halve(&r);
	} else {
		/* One in its place that a jail allows and that does nothing. */
		t->result = -t->action;
		t->was = r;
		r.orig_rax = SYS_close;
		r.rdi = (unsigned long)-1;
	}
	ptrace(PTRACE_SETREGS, t->pid, 0, &r);
}

static void leave(struct trip *t)
{
	if (t->now && t->action == 0)
		kill(t->pid, SIGKILL);
	if (t->result > 0)
		return;
	t->was.rax = (unsigned long)t->result;
	ptrace(PTRACE_SETREGS, t->pid, 0, &t->was);
}

static int watch(struct trip *t)
{
	int status;

	while (waitpid(t->pid, &status, __WALL) == t->pid) {
		int sig = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

		if (!WIFSTOPPED(status))
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
		if (sig == (SIGTRAP | 0x80)) {
			t->inside = !t->inside;
			if (t->inside)
				entry(t);
			else
				leave(t);
			sig = 0;
		} else if (status >> 16) {
			sig = 0; /* a stop of ptrace's own */
		}
		ptrace(PTRACE_SYSCALL, t->pid, 0, sig);
	}
	return 0;
}

static pid_t start(char **command)
{
	pid_t pid = fork();

	if (pid == 0) {
		raise(SIGSTOP);
		execv(command[0], command);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, WUNTRACED);
	return pid;
}

static bool parse(struct trip *t, char **argv)
{
	bool call = false, action = false;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(argv[2], calls[i].name)) {
			t->call = calls[i].nr;
			call = true;
		}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(argv[4], actions[i].name)) {
			t->action = actions[i].code;
			action = true;
		}
	t->n = strtoul(argv[3], NULL, 10);
	return call && action;
}

int main(int argc, char **argv)
{
	struct trip t = {0};
	bool own;

	if (argc < 5 || !parse(&t, argv)) {
		fprintf(stderr, "usage: trip WHO CALL N ACTION [COMMAND...]\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	own = !strcmp(argv[1], "-");
	if (own && argc < 6)
		return 64;
	t.pid = own ? start(argv + 5) : (pid_t)strtol(argv[1], NULL, 10);
	if (ptrace(PTRACE_SEIZE, t.pid, 0, OPTIONS) < 0) {
		perror("trip: PTRACE_SEIZE");
		return 77;
	}
	if (own)
		kill(t.pid, SIGCONT);
	else
		ptrace(PTRACE_INTERRUPT, t.pid, 0, 0);
	if (own) {
		/* It stands in SIGSTOP: the next stop is the way out of it. */
		ptrace(PTRACE_INTERRUPT, t.pid, 0, 0);
	} else {
		int status;

		/* Out of the call that it waits in; then it is watched. */
		waitpid(t.pid, &status, __WALL);
		ptrace(PTRACE_SYSCALL, t.pid, 0, 0);
	}
	printf("ready\n");
	return watch(&t);
}
