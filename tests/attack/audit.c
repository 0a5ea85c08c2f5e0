/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - which rules of the seccomp filters does a run use?
 *
 *   audit COUNTS COMMAND [ARGUMENT...]   run it, add to the file COUNTS
 *   audit COUNTS                         the verdict
 *   lab-tests ARGUMENT...                in a lab (LAB_AUDIT): run /bin/audited
 *                                        and print the counts, "AUDIT ..."
 *
 * COMMAND runs programs that were built with AUDIT=1: in their filters each
 * rule stops the thread for a tracer, this one, and tells its number.  All
 * descendants are traced, and nothing but those stops is taken note of.
 *
 * The verdict: a rule of this architecture that nothing used is an error
 * unless the table calls it rare.  Prints "ok", "FAIL" or "rare" lines; "none"
 * for a role of which no thread ran (no device to pass through, say).
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/policy.h"

#define RULES_MAX 256 /* POLICY_AUDIT_ID */

#ifdef __x86_64__
#define HERE POLICY_X86_64
#elif defined(__aarch64__)
#define HERE POLICY_ARM64
#else
#define HERE POLICY_PPC64LE
#endif

static uint64_t used[SANDBOX_ROLES][RULES_MAX];

static void read_counts(const char *path)
{
	unsigned int role, rule;
	unsigned long long n;
	FILE *f = fopen(path, "r");

	if (!f)
		return;
	while (fscanf(f, "%u %u %llu", &role, &rule, &n) == 3)
		if (role < SANDBOX_ROLES && rule < RULES_MAX)
			used[role][rule] += n;
	fclose(f);
}

static void put_counts(FILE *f, const char *before)
{
	for (unsigned int role = 0; role < SANDBOX_ROLES; role++)
		for (unsigned int rule = 0; rule < RULES_MAX; rule++)
			if (used[role][rule])
				fprintf(f, "%s%u %u %llu\n", before, role, rule,
					(unsigned long long)used[role][rule]);
}

static int write_counts(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		fprintf(stderr, "audit: %s: %s\n", path, strerror(errno));
		return 2;
	}
	put_counts(f, "");
	return fclose(f) == 0 ? 0 : 2;
}

/* --- tracing ---------------------------------------------------------------
 */

static void count(pid_t pid)
{
	unsigned long id = 0;

	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &id) == 0 &&
	    id >> 8 < SANDBOX_ROLES)
		used[id >> 8][id & 0xff]++;
}

/* A thread has stopped: let it go on as if nobody watched. */
static void go_on(pid_t pid, int status)
{
	int sig = WSTOPSIG(status);

	switch (status >> 16) {
	case PTRACE_EVENT_SECCOMP:
		count(pid);
		sig = 0;
		break;
	case PTRACE_EVENT_STOP:
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN ||
		    sig == SIGTTOU) { /* it is to stand still */
			ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			return;
		}
		sig = 0;
		break;
	case 0:
		break; /* a signal: deliver it */
	default:
		sig = 0;
	}
	ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)sig);
}

static int trace(char **argv)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	pid_t child = fork(), pid;
	int status, result = 2;

	if (child == 0) {
		raise(SIGSTOP); /* until it is traced */
		execvp(argv[0], argv);
		fprintf(stderr, "audit: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, WUNTRACED) != child ||
	    ptrace(PTRACE_SEIZE, child, NULL, (void *)options) < 0) {
		fprintf(stderr, "audit: trace: %s\n", strerror(errno));
		return 2;
	}
	kill(child, SIGCONT);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			go_on(pid, status);
		else if (pid == child)
			result = WIFEXITED(status) ? WEXITSTATUS(status)
						   : 128 + WTERMSIG(status);
	}
	return result;
}

/* --- the verdict ------------------------------------------------------------
 */

static void say(const char *verdict, const struct policy *p, size_t i,
		uint64_t n)
{
	const struct policy_rule *r = &p->rule[i];

	printf("%s %s %s", verdict, p->name, r->call);
	for (int c = 0; c < POLICY_CHECKS && r->check[c].value; c++)
		printf(" %s", r->check[c].value);
	printf(": %llu (%s)\n", (unsigned long long)n, r->reason);
}

static bool ran(unsigned int role)
{
	for (unsigned int rule = 0; rule < RULES_MAX; rule++)
		if (used[role][rule])
			return true;
	return false;
}

static int verdict(void)
{
	int failed = 0;

	for (unsigned int role = 0; role < SANDBOX_ROLES; role++) {
		const struct policy *p = policy_of((enum sandbox_role)role);

		for (size_t i = 0; i < p->count; i++) {
			const struct policy_rule *r = &p->rule[i];
			uint64_t n = used[role][i];

			if (r->arch && !(r->arch & HERE))
				continue;
			failed += !n && !r->rare && ran(role);
			say(n		 ? "ok"
			    : !ran(role) ? "none"
			    : r->rare	 ? "rare"
					 : "FAIL nothing used",
			    p, i, n);
		}
	}
	return failed != 0;
}

/* As the only test program of a lab's machine. */
static int in_lab(char **argv)
{
	static char audited[] = "/bin/audited";
	int status;

	argv[0] = audited;
	status = trace(argv);
	put_counts(stdout, "AUDIT ");
	return fflush(stdout) == 0 ? status : 2;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	int status;

	if (!strcmp(name ? name + 1 : argv[0], "lab-tests"))
		return in_lab(argv);
	if (argc < 2) {
		fprintf(stderr, "usage: audit COUNTS [COMMAND...]\n");
		return 64;
	}
	read_counts(argv[1]);
	if (argc == 2)
		return verdict();
	status = trace(argv + 2);
	return write_counts(argv[1]) ? 2 : status;
}
