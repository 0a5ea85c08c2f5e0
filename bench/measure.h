/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h - the one table of metrics, and programs run side by side.
 *
 * A ratio is of medians over interleaved runs; the spread beside it is the
 * 10th and 90th percentile of the measured one over the other's median.
 * What could not be measured is not added: absent, never zero.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#define RUNS_MIN    50
#define RUNS_MAX    5000
#define METRICS_MAX 128
#define ARGS_MAX    23

struct metric {
	char name[64], note[80];
	double value;
	bool spread; /* lo and hi are set */
	double lo, hi;
};

extern struct metric metric[METRICS_MAX];
extern int metrics;

void metric_add(const char *name, double value, const char *note);
void metric_add_spread(const char *name, double value, double lo, double hi,
		       const char *note);

uint64_t now_ns(void);
void sort_doubles(double *v, int n);

/* A program: argv, and what its runs took. */
struct subject {
	const char *name;
	char *argv[ARGS_MAX + 1];
	const char *input; /* a file as its standard input; NULL: nothing */
	int status;	   /* with which it ends when it did what it should */
	bool speaks; /* it did with the first byte on its stdout; killed */
	double us[RUNS_MAX];
	double faults[RUNS_MAX];
};

/* dir/file with args (NULL-terminated, may be NULL); never freed. */
struct subject *subject_new(const char *name, const char *dir, const char *file,
			    const char *const args[]);

/* More arguments after those that it has. */
void subject_args(struct subject *s, const char *const args[]);

/* Does one run end as it should, within a minute? */
bool subject_works(const struct subject *s);

/*
 * Start to reaped (or to the first byte), each in turn, runs times; then the
 * times are sorted. False: one failed (told on stderr).
 */
bool measure(struct subject *const s[], int n, int runs);

double median_us(const struct subject *s, int runs);
void add_ratio(const char *name, const struct subject *a, double base_us,
	       int runs);

/* Launches per second of a over those of b, WAYS at a time. */
#define WAYS 8
void measure_churn(const char *name, const struct subject *a,
		   const struct subject *b);

/* --- what is measured: each adds its metrics ------------------------------ */

/* Where the programs are: DIR/mote, DIR/bench/floor, DIR/guests/noop.elf. */
struct place {
	const char *dir;
	const char *ini; /* of the noop guest, jail off */
};

void bench_launch(const struct place *p, int runs);
void bench_memory(const struct place *p);
void bench_peers(const struct place *p, int runs);
void bench_inproc(const struct place *p, int runs);
void bench_restore(const struct place *p, int runs);
void bench_clones(const struct place *p, int runs);
void bench_restore_peers(const struct place *p, int runs);

/* --- peers, in launch.c ----------------------------------------------------
 */

/*
 * QEMU's microvm with nothing but this firmware, which qemu_rom() writes: its
 * guest writes to a port forever, and ends QEMU with QEMU_ENDED where
 * qemu_exit is among its arguments.  NULL: there is no QEMU on PATH.
 */
#define QEMU_ENDED 3
extern const char *const qemu_exit[];
struct subject *qemu_new(const char *name, const char *rom, const char *memory);
bool qemu_rom(const char *path);

/* The peer's time over mote's; why not, on stdout. */
void measure_peer(const char *metric_name, struct subject *peer,
		  struct subject *mote, int runs);

/* inproc.c: when the library's KVM_RUN came back first since the reset. */
void seen_reset(void);
uint64_t seen_first_exit(void);

/* --- what is said about it -------------------------------------------------
 */

void print_table(void);
int write_json(const char *path);

/* plot.c: pictures into build/bench-*.svg.  0 or -1, told on stderr. */
int plot_all(const char *build);

#endif
