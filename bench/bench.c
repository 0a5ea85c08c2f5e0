/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c - make bench: mote against the floor, interleaved in one run.
 *
 *   bench BUILD-DIR [RUNS]     measures, prints a table, writes bench.json
 *   bench --counts PROGRAM...  prints the system calls of one run
 *
 * A ratio is of medians over RUNS (at least 50) interleaved runs; the
 * spread beside it is that of the 10th and 90th percentile.  A metric whose
 * subject does not exist is absent, never zero.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <seccomp.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

#define RUNS_MIN 50
#define RUNS_MAX 5000
#define METRICS	 64

extern char **environ;

static struct {
	char name[64];
	double value;
	char note[64];
} metric[METRICS];
static int metrics;

static void add(const char *name, double value, const char *note)
{
	if (metrics == METRICS)
		return;
	snprintf(metric[metrics].name, sizeof(metric[0].name), "%s", name);
	snprintf(metric[metrics].note, sizeof(metric[0].note), "%s", note);
	metric[metrics++].value = value;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- programs side by side --------------------------------------------- */

struct subject {
	const char *name;
	char *argv[8];
	double us[RUNS_MAX];
	long minflt;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void quiet(posix_spawn_file_actions_t *fa)
{
	posix_spawn_file_actions_init(fa);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR,
						 0);
}

/* Start to reaped, once; the program must end with 0. */
static bool run_once(struct subject *s, int i,
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
	s->us[i] = (double)(now_ns() - start) / 1e3;
	s->minflt = ru.ru_minflt;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool measure(struct subject *const s[], int n, int runs)
{
	posix_spawn_file_actions_t fa;
	bool ok = true;

	quiet(&fa);
	for (int i = 0; i < runs && ok; i++)
		for (int k = 0; k < n && ok; k++) {
			ok = run_once(s[k], i, &fa);
			if (!ok)
				fprintf(stderr, "bench: %s failed\n",
					s[k]->name);
		}
	posix_spawn_file_actions_destroy(&fa);
	for (int k = 0; k < n && ok; k++)
		qsort(s[k]->us, (size_t)runs, sizeof(double), by_value);
	return ok;
}

static void add_ratio(const char *name, const struct subject *a,
		      const struct subject *b, int runs)
{
	double base = b->us[runs / 2];
	char note[64];

	snprintf(note, sizeof(note), "p10 %.2f p90 %.2f, %d runs",
		 a->us[runs / 10] / base, a->us[runs * 9 / 10] / base, runs);
	add(name, a->us[runs / 2] / base, note);
}

static struct subject *subject(const char *name, const char *build,
			       const char *file, const char *const args[])
{
	struct subject *s = calloc(1, sizeof(*s));
	char path[512];
	int n = 1;

	if (!s)
		exit(1);
	snprintf(path, sizeof(path), "%s/%s", build, file);
	s->name = name;
	s->argv[0] = strdup(path);
	for (int i = 0; args && args[i]; i++)
		s->argv[n++] = strdup(args[i]);
	return s;
}

/* Launches per second with WAYS of them at a time; 0: one failed. */
#define WAYS 8
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
			ok = posix_spawn(&pid, s->argv[0], &fa, NULL, s->argv,
					 environ) == 0 &&
			     ok;
			begun++;
			continue;
		}
		if (wait(&status) < 0)
			break;
		done++;
		ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	posix_spawn_file_actions_destroy(&fa);
	return ok ? total * 1e9 / (double)(now_ns() - start) : 0;
}

/* Rounds of each in turn, the median of the rounds' ratios. */
static void bench_churn(const char *name, const struct subject *s,
			const struct subject *f)
{
	double ratio[5];
	char note[64];

	for (int i = 0; i < 5; i++) {
		double base = churn(f, 80), mine = churn(s, 80);

		if (base == 0 || mine == 0)
			return;
		ratio[i] = mine / base;
	}
	qsort(ratio, 5, sizeof(double), by_value);
	snprintf(note, sizeof(note), "from %.2f to %.2f, 5 rounds of 80",
		 ratio[0], ratio[4]);
	add(name, ratio[2], note);
}

static void bench_launch(const char *build, int runs)
{
	static const char *const off[] = {"run", "bench/noop.ini", NULL};
	static const char *const on[] = {"run", "bench/noop.ini", "--set",
					 "sandbox.enable=yes", NULL};
	struct subject *f = subject("floor", build, "bench/floor", NULL);
	struct subject *fn =
		subject("floor-nolibc", build, "bench/floor-nolibc", NULL);
	struct subject *m = subject("mote", build, "mote", off);
	struct subject *mj = subject("mote jailed", build, "mote", on);
	struct subject *all[] = {f, fn, m, mj};
	struct trace t;

	if (!measure(all, 4, runs))
		return;
	add_ratio("launch.exec_exit.ratio_floor", m, f, runs);
	add_ratio("launch.exec_exit.ratio_floor_nolibc", m, fn, runs);
	add_ratio("launch.jailed.ratio_bare_floor", mj, f, runs);
	bench_churn("churn.8way.ratio_floor", m, f);
	bench_churn("churn.8way.jailed.ratio_floor", mj, f);
	add("floor.exec_exit.us", f->us[runs / 2], "this host, not a claim");
	add("launch.page_faults", (double)m->minflt, "last run");
	if (trace_run(m->argv, &t) == 0 && t.status == 0) {
		add("launch.syscalls", (double)t.total, "jail off");
		add("launch.kvm_ioctls", (double)t.kvm_ioctls, "jail off");
	}
}

/* --- sizes ------------------------------------------------------------- */

/* The first number that a shell command prints; false when it fails. */
static bool number_of(const char *command, double *out)
{
	FILE *p = popen(command, "r");
	char line[128] = "";
	char *end;
	bool ok;

	if (!p)
		return false;
	ok = fgets(line, sizeof(line), p) != NULL;
	ok = pclose(p) == 0 && ok;
	*out = strtod(line, &end);
	return ok && end != line;
}

static void bench_sizes(const char *build)
{
	char command[1024], path[400];
	struct stat st;
	double v;

	snprintf(path, sizeof(path), "%.300s/bench/mote.stripped", build);
	snprintf(command, sizeof(command), "strip -o %s %.300s/mote && echo 1",
		 path, build);
	if (number_of(command, &v) && stat(path, &st) == 0)
		add("size.binary_kib", (double)st.st_size / 1024,
		    "stripped, static");
	if (number_of("git ls-files vmm config | grep '\\.[ch]$' | "
		      "xargs cat | wc -l",
		      &v))
		add("size.lines", v, "vmm/ and config/");
	snprintf(command, sizeof(command), "bench/reach.sh %s --total", build);
	if (number_of(command, &v))
		add("size.guest_reachable_lines", v, "call graph, first count");
}

/* --- output ------------------------------------------------------------ */

static void write_json(const char *build)
{
	char path[512], cpu[64] = "";
	struct utsname u;
	FILE *f;

	snprintf(path, sizeof(path), "%s/bench.json", build);
	f = fopen(path, "we");
	if (!f) {
		fprintf(stderr, "bench: open %s: %m\n", path);
		exit(1);
	}
	uname(&u);
	snprintf(cpu, sizeof(cpu), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	fprintf(f,
		"{\"host\": {\"kernel\": \"%s\", \"machine\": \"%s\", "
		"\"cpus\": %s},\n \"metrics\": {",
		u.release, u.machine, cpu);
	for (int i = 0; i < metrics; i++)
		fprintf(f, "%s\n  \"%s\": %.6g", i ? "," : "", metric[i].name,
			metric[i].value);
	fprintf(f, "\n }}\n");
	if (fclose(f) != 0) {
		fprintf(stderr, "bench: write %s: %m\n", path);
		exit(1);
	}
}

static void print_table(void)
{
	for (int i = 0; i < metrics; i++)
		printf("%-40s %12.3f  %s\n", metric[i].name, metric[i].value,
		       metric[i].note);
}

/* --- counts ------------------------------------------------------------ */

static const char *ioctl_name(unsigned long request)
{
	static const struct {
		unsigned long request;
		const char *name;
	} known[] = {
#define NAME(x) {x, #x}
		NAME(KVM_GET_API_VERSION),
		NAME(KVM_CREATE_VM),
		NAME(KVM_CHECK_EXTENSION),
		NAME(KVM_GET_VCPU_MMAP_SIZE),
		NAME(KVM_SET_USER_MEMORY_REGION),
		NAME(KVM_ENABLE_CAP),
		NAME(KVM_CREATE_VCPU),
		NAME(KVM_GET_SUPPORTED_CPUID),
		NAME(KVM_SET_CPUID2),
		NAME(KVM_GET_SREGS),
		NAME(KVM_SET_SREGS),
		NAME(KVM_SET_REGS),
		NAME(KVM_SET_TSS_ADDR),
		NAME(KVM_SET_SIGNAL_MASK),
		NAME(KVM_SET_MSRS),
		NAME(KVM_RUN),
#undef NAME
	};
	static char other[32];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].request == request)
			return known[i].name;
	snprintf(other, sizeof(other), "0x%lx", request);
	return other;
}

static int print_counts(char **argv)
{
	struct trace t;
	int ret = trace_run(argv, &t);

	if (ret < 0 || t.status != 0) {
		fprintf(stderr, "bench: %s: %s\n", argv[0],
			ret < 0 ? strerror(-ret) : "failed");
		return 1;
	}
	for (int nr = 0; nr < TRACE_NR_MAX; nr++) {
		char *name;

		if (!t.by_nr[nr])
			continue;
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		printf("%s %lu\n", name ? name : "?", t.by_nr[nr]);
		free(name);
	}
	for (int i = 0; i < TRACE_IOCTL_MAX && t.ioctl[i].count; i++)
		printf("ioctl %s %lu\n", ioctl_name(t.ioctl[i].request),
		       t.ioctl[i].count);
	return 0;
}

int main(int argc, char **argv)
{
	struct sched_param rr = {.sched_priority = 1};
	int runs = argc > 2 ? atoi(argv[2]) : 100;

	if (argc > 2 && !strcmp(argv[1], "--counts"))
		return print_counts(argv + 2);
	if (argc < 2 || runs < RUNS_MIN || runs > RUNS_MAX) {
		fprintf(stderr, "usage: bench BUILD-DIR [RUNS %d..%d]\n",
			RUNS_MIN, RUNS_MAX);
		return 64;
	}
	/* Fewer other programs in between; not permitted is fine. */
	sched_setscheduler(0, SCHED_RR, &rr);
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		bench_launch(argv[1], runs);
	else
		printf("no usable /dev/kvm: only sizes\n");
	bench_sizes(argv[1]);
	print_table();
	write_json(argv[1]);
	return 0;
}
