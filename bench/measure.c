/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

extern char **environ;

struct metric metric[METRICS_MAX];
int metrics;

static struct metric *next_metric(const char *name, double value,
				  const char *note)
{
	static struct metric lost;
	struct metric *m = metrics < METRICS_MAX ? &metric[metrics++] : &lost;

	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->note, sizeof(m->note), "%s", note);
	m->value = value;
	return m;
}

void metric_add(const char *name, double value, const char *note)
{
	next_metric(name, value, note);
}

void metric_add_spread(const char *name, double value, double lo, double hi,
		       const char *note)
{
	struct metric *m = next_metric(name, value, note);

	m->spread = true;
	m->lo = lo;
	m->hi = hi;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort_doubles(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(double), by_value);
}

/* --- programs side by side ------------------------------------------------ */

struct subject *subject_new(const char *name, const char *dir, const char *file,
			    const char *const args[])
{
	struct subject *s = calloc(1, sizeof(*s));
	char path[512];

	if (!s)
		exit(1);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	s->name = name;
	s->argv[0] = strdup(path);
	if (args)
		subject_args(s, args);
	return s;
}

void subject_args(struct subject *s, const char *const args[])
{
	int n = 0;

	while (s->argv[n])
		n++;
	for (int i = 0; args[i] && n < ARGS_MAX; i++)
		s->argv[n++] = strdup(args[i]);
}

static void quiet(posix_spawn_file_actions_t *fa, const char *input)
{
	posix_spawn_file_actions_init(fa);
	posix_spawn_file_actions_addopen(fa, 0, input ? input : "/dev/null",
					 O_RDONLY, 0);
	for (int fd = 1; fd < 3; fd++)
		posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR,
						 0);
}

static bool ended_well(const struct subject *s, int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == s->status;
}

static pid_t start(const struct subject *s,
		   const posix_spawn_file_actions_t *fa)
{
	pid_t pid;

	return posix_spawn(&pid, s->argv[0], fa, NULL, s->argv, environ) ? -1
									 : pid;
}

/* To its first byte, within a minute; then it is killed. */
static bool hear_once(const struct subject *s, double *us)
{
	posix_spawn_file_actions_t fa;
	struct pollfd p = {.events = POLLIN};
	uint64_t begin;
	int out[2];
	bool ok;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return false;
	quiet(&fa, s->input);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	begin = now_ns();
	pid = start(s, &fa);
	posix_spawn_file_actions_destroy(&fa);
	close(out[1]);
	p.fd = out[0];
	ok = pid > 0 && poll(&p, 1, PATIENCE_MS) == 1 && p.revents & POLLIN;
	*us = (double)(now_ns() - begin) / 1e3;
	close(out[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ok;
}

static bool run_once(const struct subject *s, double *us, double *faults)
{
	posix_spawn_file_actions_t fa;
	uint64_t begin;
	struct rusage ru;
	int status;
	pid_t pid;

	*faults = 0;
	if (s->speaks)
		return hear_once(s, us);
	quiet(&fa, s->input);
	begin = now_ns();
	pid = start(s, &fa);
	if (pid > 0 && wait4(pid, &status, 0, &ru) < 0)
		pid = -1;
	*us = (double)(now_ns() - begin) / 1e3;
	posix_spawn_file_actions_destroy(&fa);
	if (pid < 0)
		return false;
	*faults = (double)ru.ru_minflt;
	return ended_well(s, status);
}

bool subject_works(const struct subject *s)
{
	posix_spawn_file_actions_t fa;
	int status = -1;
	pid_t pid, gone = 0;
	double us;

	if (s->speaks)
		return hear_once(s, &us);
	quiet(&fa, s->input);
	pid = start(s, &fa);
	posix_spawn_file_actions_destroy(&fa);
	if (pid < 0)
		return false;
	for (int ms = 0; ms < PATIENCE_MS && gone == 0; ms++) {
		usleep(1000);
		gone = waitpid(pid, &status, WNOHANG);
	}
	if (gone == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return ended_well(s, status);
}

bool measure(struct subject *const s[], int n, int runs)
{
	bool ok = true;

	for (int i = 0; i < runs && ok; i++)
		for (int k = 0; k < n && ok; k++) {
			ok = run_once(s[k], &s[k]->us[i], &s[k]->faults[i]);
			if (!ok)
				fprintf(stderr, "bench: %s failed\n",
					s[k]->name);
		}
	for (int k = 0; k < n && ok; k++) {
		sort_doubles(s[k]->us, runs);
		sort_doubles(s[k]->faults, runs);
	}
	return ok;
}

double median_us(const struct subject *s, int runs)
{
	return s->us[runs / 2];
}

void add_ratio(const char *name, const struct subject *a, double base_us,
	       int runs)
{
	double lo = a->us[runs / 10] / base_us;
	double hi = a->us[runs * 9 / 10] / base_us;
	char note[80];

	snprintf(note, sizeof(note), "p10 %.2f p90 %.2f, %d runs", lo, hi,
		 runs);
	metric_add_spread(name, a->us[runs / 2] / base_us, lo, hi, note);
}

/* --- many at a time ------------------------------------------------------- */

/* Launches per second with WAYS of them at a time; 0: one failed. */
static double churn(const struct subject *s, int total)
{
	posix_spawn_file_actions_t fa;
	uint64_t begin = now_ns();
	int begun = 0, done = 0;
	bool ok = true;

	quiet(&fa, s->input);
	while (done < begun || begun < total) {
		int status;

		if (begun < total && begun - done < WAYS) {
			if (start(s, &fa) < 0) {
				ok = false;
				break;
			}
			begun++;
			continue;
		}
		if (wait(&status) < 0)
			break;
		done++;
		ok = ok && ended_well(s, status);
	}
	posix_spawn_file_actions_destroy(&fa);
	return ok ? total * 1e9 / (double)(now_ns() - begin) : 0;
}

#define ROUNDS 9
#define EACH   80

/* Rounds of each in turn; the median of the rounds' ratios. */
void measure_churn(const char *name, const struct subject *a,
		   const struct subject *b)
{
	double ratio[ROUNDS];
	char note[80];

	for (int i = 0; i < ROUNDS; i++) {
		double base = churn(b, EACH), mine = churn(a, EACH);

		if (base == 0 || mine == 0)
			return;
		ratio[i] = mine / base;
	}
	sort_doubles(ratio, ROUNDS);
	snprintf(note, sizeof(note), "from %.2f to %.2f, %d rounds of %d",
		 ratio[0], ratio[ROUNDS - 1], ROUNDS, EACH);
	metric_add_spread(name, ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1],
			  note);
}
