/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.c - runs the tests of this program, each in a process of its own.
 *
 * A test has passed only if its process sent the byte 'P' at the very end and
 * then exited with 0.  So a crash, an exit() in the middle or a kill cannot
 * look like success.  Tests with .signal or .exit_code must end that way.
 * Whatever processes a test leaves behind are killed and reported.
 *
 * usage: see usage() below.  Exit status: 0 all selected tests passed or were
 * skipped, 1 a test failed, 2 usage or an empty selection.
 */
#include "criterion/criterion.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATTERN_MAX 256
#define NOTE_MAX    1024

enum outcome { PASSED, FAILED, SKIPPED };

/* What a test process tells its parent: one tag byte, then words. */
enum tag { TAG_PASS = 'P', TAG_FAIL = 'F', TAG_SKIP = 'S' };

struct options {
	const char *pattern[PATTERN_MAX];
	bool hit[PATTERN_MAX]; /* the pattern matched some test */
	int npattern;
	double timeout;
	const char *counts;
	bool list;
};

struct report {
	char text[NOTE_MAX];
	size_t len;
};

static struct criterion_test *tests, **tests_end = &tests;
static struct criterion_suite *suites;

/* State of a test process. */
static struct {
	sigjmp_buf out;
	pid_t pid;
	pid_t tid;
	int report_fd;
	bool failed;
	char skip[NOTE_MAX];
	bool skipped;
} child = {.report_fd = -1};

void cr_register_test_(struct criterion_test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

void cr_register_suite_(struct criterion_suite *suite)
{
	suite->next = suites;
	suites = suite;
}

/* ---- in the test process ---- */

void cr_fail_begin_(const char *file, int line, const char *what)
{
	int err = errno;

	fflush(stdout);
	fprintf(stderr, "  %s:%d: not true: %s", file, line, what);
	if (err)
		fprintf(stderr, "  [errno %s]", strerrorname_np(err));
	fputc('\n', stderr);
}

void cr_fail_note_(const char *fmt, ...)
{
	va_list ap;

	fputs("    ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cr_fail_end_(bool fatal)
{
	(void)fatal;
	child.failed = true;
	/* A forked child has its own copy of the flag: only its status tells.
	 */
	if (getpid() != child.pid)
		_exit(1);
}

void cr_abort_(void)
{
	/* Jumping to another thread's stack is not possible. */
	if (getpid() != child.pid || gettid() != child.tid)
		_exit(1);
	siglongjmp(child.out, 1);
}

void cr_skip_(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(child.skip, sizeof(child.skip), fmt, ap);
	va_end(ap);
	child.skipped = true;
	cr_abort_();
}

void cr_log_(const char *level, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "  [%s] ", level);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void call(void (*fn)(void))
{
	/* A fini runs even after the test gave up; it may give up as well. */
	if (fn && sigsetjmp(child.out, 1) == 0)
		fn();
}

static void send_report(enum tag tag, const char *text)
{
	char buf[NOTE_MAX + 1];
	int len = snprintf(buf, sizeof(buf), "%c%s", tag, text);

	if (write(child.report_fd, buf, (size_t)len) < 0)
		_exit(1);
}

static void run_in_child(const struct criterion_test *t,
			 const struct criterion_suite *s)
{
	child.pid = getpid();
	child.tid = gettid();
	errno = 0;
	if (s)
		call(s->data.init);
	if (!child.failed && !child.skipped)
		call(t->data.init);
	if (!child.failed && !child.skipped)
		call(t->test);
	call(t->data.fini);
	if (s)
		call(s->data.fini);

	fflush(NULL);
	if (child.failed)
		send_report(TAG_FAIL, "");
	else if (child.skipped)
		send_report(TAG_SKIP, child.skip);
	else
		send_report(TAG_PASS, "");
	/* Not _exit: coverage and sanitizers do their work in exit handlers. */
	exit(0);
}

/* ---- in the runner ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const struct criterion_suite *find_suite(const char *name)
{
	const struct criterion_suite *s;

	for (s = suites; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static double limit_of(const struct criterion_test *t,
		       const struct criterion_suite *s, double fallback)
{
	if (t->data.timeout > 0)
		return t->data.timeout;
	if (s && s->data.timeout > 0)
		return s->data.timeout;
	return fallback;
}

/*
 * Wait for the test process, at most limit seconds (0: for ever).  SIGCHLD is
 * blocked, so it stays pending if it comes between waitpid and sigtimedwait.
 */
static bool wait_child(pid_t pid, double limit, int *status)
{
	double end = now() + limit;
	double left;
	struct timespec ts;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid) {
		left = limit > 0 ? end - now() : 3600;
		if (left <= 0)
			return false;
		ts.tv_sec = (time_t)left;
		ts.tv_nsec = (long)((left - (double)ts.tv_sec) * 1e9);
		sigtimedwait(&set, NULL, &ts);
	}
	return true;
}

/*
 * The runner is a subreaper, so what a test left behind is now our child.
 * Killing a parent hands its children to us: go round until none is left.
 */
static int kill_leftovers(void)
{
	char path[64];
	FILE *f;
	int pid, n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	for (;;) {
		f = fopen(path, "re");
		if (!f)
			return n;
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
		if (pid <= 0)
			return n;
		/* A zombie was only left unreaped; that is no leftover. */
		if (waitpid(pid, NULL, WNOHANG) == pid)
			continue;
		kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) != pid)
			return n;
		n++;
	}
}

static void read_report(int fd, struct report *r)
{
	ssize_t n;

	/* Non-blocking: a process left behind may hold the other end. */
	n = read(fd, r->text, sizeof(r->text) - 1);
	r->len = n > 0 ? (size_t)n : 0;
	r->text[r->len] = '\0';
}

static const char *signal_name(int sig)
{
	static char buf[32];
	const char *name = sigabbrev_np(sig);

	if (!name)
		snprintf(buf, sizeof(buf), "signal %d", sig);
	else
		snprintf(buf, sizeof(buf), "SIG%s", name);
	return buf;
}

/* Judge an ended test; why gets the reason for anything but a pass. */
static enum outcome judge(const struct criterion_test *t, int status,
			  const struct report *r, char *why, size_t size)
{
	int tag = r->len ? r->text[0] : 0;

	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == t->data.signal)
			return PASSED;
		snprintf(why, size, "killed by %s",
			 signal_name(WTERMSIG(status)));
		return FAILED;
	}
	if (tag == TAG_FAIL) {
		snprintf(why, size, "see above");
		return FAILED;
	}
	if (tag == TAG_SKIP && WEXITSTATUS(status) == 0) {
		snprintf(why, size, "%s", r->text + 1);
		return SKIPPED;
	}
	if (t->data.signal) {
		snprintf(why, size, "did not die of %s",
			 signal_name(t->data.signal));
		return FAILED;
	}
	if (t->data.exit_code) {
		if (tag == 0 && WEXITSTATUS(status) == t->data.exit_code)
			return PASSED;
		snprintf(why, size, "status %d, expected %d",
			 WEXITSTATUS(status), t->data.exit_code);
		return FAILED;
	}
	if (tag == TAG_PASS && WEXITSTATUS(status) == 0)
		return PASSED;
	snprintf(why, size, "exited with %d %s", WEXITSTATUS(status),
		 tag ? "after its end" : "before its end");
	return FAILED;
}

/* Everything that the child needs before the test's own code runs. */
static void become_test(int report_fd, const sigset_t *mask, pid_t runner)
{
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner)
		_exit(1);
	setpgid(0, 0);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	sigprocmask(SIG_SETMASK, mask, NULL);
	child.report_fd = report_fd;
}

static enum outcome run_test(struct criterion_test *t, double fallback)
{
	const struct criterion_suite *s = find_suite(t->category);
	double limit = limit_of(t, s, fallback);
	double start = now();
	char why[NOTE_MAX] = "";
	struct report r = {.len = 0};
	enum outcome res;
	int fds[2], status = 0, left;
	pid_t pid, self = getpid();
	sigset_t chld, old;
	bool ended;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		perror("runner: pipe");
		return FAILED;
	}
	sigprocmask(SIG_BLOCK, &chld, &old);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		become_test(fds[1], &old, self);
		run_in_child(t, s);
	}
	close(fds[1]);
	if (pid < 0) {
		perror("runner: fork");
		close(fds[0]);
		return FAILED;
	}

	ended = wait_child(pid, limit, &status);
	if (!ended) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	kill(-pid, SIGKILL);
	left = kill_leftovers();
	sigprocmask(SIG_SETMASK, &old, NULL);

	read_report(fds[0], &r);
	close(fds[0]);
	if (ended) {
		res = judge(t, status, &r, why, sizeof(why));
	} else {
		res = FAILED;
		snprintf(why, sizeof(why), "time limit of %g s", limit);
	}
	if (left)
		printf("  [warn] %d process%s left behind, killed\n", left,
		       left == 1 ? "" : "es");
	printf("[%s] %s::%s%s%s",
	       res == PASSED   ? "PASS"
	       : res == FAILED ? "FAIL"
			       : "SKIP",
	       t->category, t->name, *why ? ": " : "", why);
	t->seconds = now() - start;
	if (t->seconds >= 1)
		printf(" (%.1f s)", t->seconds);
	putchar('\n');
	return res;
}

/* "suite" stands for the whole suite. */
static bool matches(const char *pattern, const char *category, const char *name)
{
	char full[512];

	if (!strchr(pattern, '/'))
		return fnmatch(pattern, category, 0) == 0;
	snprintf(full, sizeof(full), "%s/%s", category, name);
	return fnmatch(pattern, full, 0) == 0;
}

/* Chosen by at least one pattern (none given: all) and excluded by none. */
static bool selected(struct options *o, const struct criterion_test *t)
{
	const struct criterion_suite *s = find_suite(t->category);
	bool positive = false, in = false, out = false;
	const char *p;
	int i;

	if (t->data.disabled || (s && s->data.disabled))
		return false;
	for (i = 0; i < o->npattern; i++) {
		p = o->pattern[i];
		if (*p != '!')
			positive = true;
		if (!matches(p + (*p == '!'), t->category, t->name))
			continue;
		o->hit[i] = true;
		if (*p == '!')
			out = true;
		else
			in = true;
	}
	return (in || !positive) && !out;
}

/* A pattern without a test is a mistake that would hide as success. */
static int count_idle_patterns(const struct options *o)
{
	int i, n = 0;

	for (i = 0; i < o->npattern; i++) {
		if (o->hit[i])
			continue;
		printf("[FAIL] no test matches '%s'\n", o->pattern[i]);
		n++;
	}
	return n;
}

static int write_counts(const char *path, const int *count)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fprintf(f, "%d %d %d\n", count[PASSED], count[FAILED], count[SKIPPED]);
	return fclose(f);
}

/* The suites that took a second or more, in the order of their first test. */
static void print_suite_seconds(void)
{
	const struct criterion_test *t, *u;
	double total = 0, sum;

	printf("seconds:");
	for (t = tests; t; t = t->next) {
		total += t->seconds;
		for (u = tests; strcmp(u->category, t->category) != 0;)
			u = u->next;
		if (u != t)
			continue;
		for (sum = 0; u; u = u->next)
			if (strcmp(u->category, t->category) == 0)
				sum += u->seconds;
		if (sum >= 1)
			printf(" %s %.0f,", t->category, sum);
	}
	printf(" all %.0f\n", total);
}

static int run_all(struct options *o)
{
	struct criterion_test *t;
	int count[3] = {0};
	int chosen = 0;

	for (t = tests; t; t = t->next) {
		if (!selected(o, t))
			continue;
		chosen++;
		if (o->list)
			printf("%s/%s\n", t->category, t->name);
		else
			count[run_test(t, o->timeout)]++;
		fflush(stdout);
	}
	count[FAILED] += count_idle_patterns(o);
	if (o->list)
		return count[FAILED] ? 2 : 0;
	print_suite_seconds();
	printf("%d passed, %d failed, %d skipped\n", count[PASSED],
	       count[FAILED], count[SKIPPED]);
	fflush(stdout);
	if (o->counts && write_counts(o->counts, count) < 0) {
		perror(o->counts);
		return 1;
	}
	if (count[FAILED])
		return 1;
	return chosen ? 0 : 2;
}

static int add_pattern(struct options *o, const char *p)
{
	if (o->npattern == PATTERN_MAX) {
		fprintf(stderr, "runner: more than %d patterns\n", PATTERN_MAX);
		return -1;
	}
	o->pattern[o->npattern++] = p;
	return 0;
}

/* One pattern a line; # starts a comment.  The strings live to the end. */
static int add_pattern_file(struct options *o, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512], word[512];
	char *p;
	int ret = 0;

	if (!f) {
		perror(path);
		return -1;
	}
	while (ret == 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%511s", word) != 1)
			continue;
		p = strdup(word);
		ret = p ? add_pattern(o, p) : -1;
	}
	fclose(f);
	return ret;
}

static int usage(FILE *to, int status)
{
	fputs("usage: tests [--filter GLOB]... [--tests FILE] [--timeout "
	      "SECONDS]\n"
	      "             [--counts FILE] [--list] [GLOB]...\n"
	      "GLOB is suite/name, suite alone, or !GLOB to leave tests out; "
	      "each must\n"
	      "match a test.  --tests reads one GLOB a line.  --counts writes "
	      "the line\n"
	      "'PASSED FAILED SKIPPED' when all is done.  --timeout 0 means no "
	      "limit.\n",
	      to);
	return status;
}

static int parse(struct options *o, int argc, char **argv)
{
	const char *a, *v;
	int i, ret = 0;

	for (i = 1; i < argc && ret == 0; i++) {
		a = argv[i];
		if (strcmp(a, "--help") == 0)
			exit(usage(stdout, 0));
		if (strcmp(a, "--list") == 0) {
			o->list = true;
			continue;
		}
		if (a[0] != '-') {
			ret = add_pattern(o, a);
			continue;
		}
		v = i + 1 < argc ? argv[++i] : NULL;
		if (!v)
			ret = -1;
		else if (strcmp(a, "--filter") == 0)
			ret = add_pattern(o, v);
		else if (strcmp(a, "--tests") == 0)
			ret = add_pattern_file(o, v);
		else if (strcmp(a, "--timeout") == 0)
			o->timeout = strtod(v, NULL);
		else if (strcmp(a, "--counts") == 0)
			o->counts = v;
		else
			ret = -1;
	}
	return ret;
}

int main(int argc, char **argv)
{
	struct options o = {.timeout = 60};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (parse(&o, argc, argv) < 0)
		return usage(stderr, 2);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return run_all(&o);
}
