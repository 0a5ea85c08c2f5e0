/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm.c - a build of mote in which a timer interrupts each thread 10,000
 * times a second, for storm.sh.
 *
 * The product's objects are linked as they are; a handler without SA_RESTART
 * is set before main, and a timer for each thread: the first of a process,
 * and those that load a filter as their first act.  MOTE_STORM=FILE: a line is
 * added there at the end with how many signals were handled, by the first
 * threads and by the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

#define PERIOD_NS 100000

/* Shared by launcher, VM process and clones. */
static struct shared {
	unsigned long first, others;
} * shared;
static pid_t launcher;

static __thread bool other; /* a handler makes no system call */

static void handle(int sig)
{
	(void)sig;
	__atomic_fetch_add(other ? &shared->others : &shared->first, 1,
			   __ATOMIC_RELAXED);
}

/* For the calling thread. */
static void arm(void)
{
	const struct itimerspec often = {{0, PERIOD_NS}, {0, PERIOD_NS}};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = SIGALRM};
	sigset_t set;
	timer_t t;

	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (timer_create(CLOCK_MONOTONIC, &ev, &t) < 0 ||
	    timer_settime(t, 0, &often, NULL) < 0)
		abort();
}

static void report(void)
{
	const char *path = getenv("MOTE_STORM");
	char line[96];
	int fd, n;

	if (!path || getpid() != launcher)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	n = snprintf(line, sizeof(line), "%lu %lu\n", shared->first,
		     shared->others);
	if (write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

static void __attribute__((constructor)) begin(void)
{
	const struct sigaction sa = {.sa_handler = handle};

	launcher = getpid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || sigaction(SIGALRM, &sa, NULL) < 0 ||
	    atexit(report) != 0)
		abort();
	arm();
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	pid_t pid = __real_fork();

	if (pid == 0)
		arm();
	return pid;
}

/* Whoever blocks signals means those that are his. */
static int set_mask(int how, const sigset_t *set, sigset_t *old,
		    int (*real)(int, const sigset_t *, sigset_t *))
{
	sigset_t less;

	if (!set || how == SIG_UNBLOCK)
		return real(how, set, old);
	less = *set;
	sigdelset(&less, SIGALRM);
	return real(how, &less, old);
}

int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return set_mask(how, set, old, __real_pthread_sigmask);
}

int __real_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return set_mask(how, set, old, __real_sigprocmask);
}

int __real_sandbox_filter_load(enum sandbox_role role, enum sandbox_mode mode,
			       const int fd[SANDBOX_FDS]);
int __wrap_sandbox_filter_load(enum sandbox_role role, enum sandbox_mode mode,
			       const int fd[SANDBOX_FDS]);
int __wrap_sandbox_filter_load(enum sandbox_role role, enum sandbox_mode mode,
			       const int fd[SANDBOX_FDS])
{
	if (syscall(SYS_gettid) != getpid()) {
		other = true;
		arm();
	}
	return __real_sandbox_filter_load(role, mode, fd);
}
