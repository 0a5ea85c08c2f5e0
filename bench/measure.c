/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
	int n = 1;

	if (!s)
		exit(1);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	s->name = name;
	s->argv[0] = strdup(path);
	for (int i = 0; args && args[i] && n < 23; i++)
		s->argv[n++] = strdup(args[i]);
	return s;
}

static void quiet(posix_spawn_file_actions_t *fa)
{
	posix_spawn_file_actions_init(fa);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR,
						 0);
}

static bool ended_well(const struct subject *s, int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == s->status;
}

static bool run_once(const struct subject *s, double *us, double *faults,
		     const posix_spawn_file_actions_t *fa)
{
	uint64_t start = now_ns();
	struct rusage ru;
	int status;
	pid_t pid;

	if (posix_spawn(&pid, s->argv[0], fa, NULL, s->argv, environ) != 0)
		return false;
	if (wait4(pid, &status, 0, &ru) < 0)
		return false;
	*us = (double)(now_ns() - start) / 1e3;
	*faults = (double)ru.ru_minflt;
	return ended_well(s, status);
}

bool subject_works(const struct subject *s)
{
	posix_spawn_file_actions_t fa;
	double us, faults;
	bool ok;

	quiet(&fa);
	ok = run_once(s, &us, &faults, &fa);
	posix_spawn_file_actions_destroy(&fa);
	return ok;
}

bool measure(struct subject *const s[], int n, int runs)
{
	posix_spawn_file_actions_t fa;
	bool ok = true;

	quiet(&fa);
	for (int i = 0; i < runs && ok; i++)
		for (int k = 0; k < n && ok; k++) {
			ok = run_once(s[k], &s[k]->us[i], &s[k]->faults[i],
				      &fa);
			if (!ok)
				fprintf(stderr, "bench: %s failed\n",
					s[k]->name);
		}
	posix_spawn_file_actions_destroy(&fa);
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
	uint64_t start = now_ns();
	int begun = 0, done = 0;
	bool ok = true;

	quiet(&fa);
	while (done < begun || begun < total) {
		int status;
		pid_t pid;

		if (begun < total && begun - done < WAYS) {
			if (posix_spawn(&pid, s->argv[0], &fa, NULL, s->argv,
					environ) != 0) {
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
	return ok ? total * 1e9 / (double)(now_ns() - start) : 0;
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
