/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved.h - snapshots of guests/touch for the benchmarks of restore.c and
 * clones.c, and what to do with them in process.
 */
#ifndef BENCH_SAVED_H
#define BENCH_SAVED_H

#include <stdbool.h>

#include "measure.h"
#include "vmm/mote.h"

#define SAVED_RAM (128ul << 20)

struct saved {
	char dir[64];
	struct mote_snapshot *snap;
	struct mote_config *cfg; /* what restores it: cow, verify off */
};

/* Boot the guest with these arguments and save it where it is ready. */
bool saved_make(struct saved *s, const char *build, const char *args);
/* The same of another guest. */
bool saved_guest(struct saved *s, const char *build, const char *guest,
		 const char *args);
void saved_drop(struct saved *s);

bool saved_restore(const struct saved *s, bool rewind, struct mote_vm **vm,
		   struct mote_err *err);

/*
 * Restore it and run it to its end.  Microseconds from the beginning, each
 * where not NULL: to the guest's first exit; to its end; to the machine
 * destroyed, as one that can't be rewound has to be.
 */
bool saved_run(const struct saved *s, double *first, double *end, double *gone);

/* mote restore of it, as a program: jail off, nothing verified. */
struct subject *saved_program(const struct saved *s, const char *build);

/* Three files of a snapshot in dir; closed by the caller. */
bool saved_files(const char *dir, struct mote_snapshot_files *f);
void saved_close(const struct mote_snapshot_files *f);

bool run_to_end(struct mote_vm *vm);
bool failed(const char *what, const struct mote_err *err);

/* The floor's guest as a file to be restored from, open; *path: its name. */
int floor_file(char path[64]);

/* What rewinds cost, for plot.c; pio_us is 0 before all is measured. */
#define REWIND_POINTS 16

struct rewind_cost {
	struct rewind_point {
		int pages;
		double us, lo, hi; /* median, 10th and 90th percentile */
	} point[REWIND_POINTS];
	int n, runs;
	double fixed, per_page; /* the fitted line, us */
	double pio_us;		/* one round trip of a port exit */
};

extern struct rewind_cost rewind_cost;

/* Median of a over that of b, with the 10th and 90th percentile of a. */
void add_medians(const char *name, double *a, double *b, int runs);

#endif
