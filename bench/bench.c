/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c - make bench: mote against the floor, interleaved in one run.
 *
 *   bench [--plot] [BUILD-DIR [RUNS]]  measures, prints a table, writes
 *                                      bench.json (and pictures)
 *   bench --snapshots [...]            only restore.c, clones.c, peer_restore.c
 *   bench --counts PROGRAM...          prints the system calls of one run
 *
 * Run from the top of the tree.  What is measured how stands beside it:
 * launch.c for whole programs, inproc.c for the library.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"
#include "trace.h"

static void bench_counts(const struct place *p)
{
	char mote[512];
	char *argv[] = {mote, "run", (char *)p->ini, NULL};
	struct trace t;

	snprintf(mote, sizeof(mote), "%s/mote", p->dir);
	if (trace_run(argv, &t) < 0 || t.status != 0)
		return;
	metric_add("launch.syscalls", (double)t.total, "jail off");
	metric_add("launch.kvm_ioctls", (double)t.kvm_ioctls, "jail off");
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
		metric_add("size.binary_kib", (double)st.st_size / 1024,
			   "stripped, static");
	if (number_of("git ls-files vmm config | grep '\\.[ch]$' | "
		      "xargs cat | wc -l",
		      &v))
		metric_add("size.lines", v, "vmm/ and config/");
	snprintf(command, sizeof(command), "bench/reach.sh %s --total", build);
	if (number_of(command, &v))
		metric_add("size.guest_reachable_lines", v,
			   "call graph, first count");
}

/* --- all --------------------------------------------------------------- */

static int bench_all(const char *build, int runs, bool with_plot)
{
	const struct place place = {.dir = build, .ini = "bench/noop.ini"};
	struct sched_param rr = {.sched_priority = 1};
	char path[512];

	/* Fewer other programs in between; not permitted is fine. */
	sched_setscheduler(0, SCHED_RR, &rr);
	if (access("/dev/kvm", R_OK | W_OK) == 0) {
		bench_launch(&place, runs);
		bench_inproc(&place, runs);
		bench_restore(&place, runs);
		bench_clones(&place, runs);
		bench_restore_peers(&place, RUNS_MIN);
		bench_memory(&place);
		bench_counts(&place);
		bench_peers(&place, RUNS_MIN);
	} else {
		printf("no usable /dev/kvm: only sizes\n");
	}
	bench_sizes(build);
	print_table();
	snprintf(path, sizeof(path), "%s/bench.json", build);
	if (write_json(path) < 0)
		return 1;
	return with_plot && plot_all(build) < 0;
}

/* Snapshots alone: what is printed, and no file is written. */
static int bench_snapshots(const char *build, int runs)
{
	const struct place place = {.dir = build};
	struct sched_param rr = {.sched_priority = 1};

	sched_setscheduler(0, SCHED_RR, &rr);
	bench_restore(&place, runs);
	bench_clones(&place, runs);
	bench_restore_peers(&place, RUNS_MIN);
	print_table();
	return 0;
}

int main(int argc, char **argv)
{
	bool with_plot = argc > 1 && !strcmp(argv[1], "--plot");
	const char *build;
	bool snapshots;
	int runs;

	if (argc > 2 && !strcmp(argv[1], "--counts"))
		return print_counts(argv + 2);
	snapshots = argc > 1 && !strcmp(argv[1], "--snapshots");
	argc -= with_plot || snapshots;
	argv += with_plot || snapshots;
	build = argc > 1 ? argv[1] : "build";
	runs = argc > 2 ? atoi(argv[2]) : 100;
	if (argc > 3 || build[0] == '-' || runs < RUNS_MIN || runs > RUNS_MAX) {
		fprintf(stderr,
			"usage: bench [--plot|--snapshots] [BUILD-DIR [RUNS "
			"%d..%d]]\n",
			RUNS_MIN, RUNS_MAX);
		return 64;
	}
	if (snapshots)
		return bench_snapshots(build, runs);
	return bench_all(build, runs, with_plot);
}
