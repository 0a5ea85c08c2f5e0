/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmtest.h - a machine under test, driven from inside the process.
 *
 * White box: build.h, vm.h and snapshot.h are called as mote.c does.  What
 * fails here fails the test; a host without /dev/kvm or without the guest
 * image skips it.  Guests are looked for in $MOTE_GUESTS (build/guests);
 * $VMTEST_DIRTY is memory.dirty_tracking of every machine that does not say.
 */
#ifndef TESTS_KVM_VMTEST_H
#define TESTS_KVM_VMTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "build.h"
#include "config/config.h"
#include "snapshot/snapshot.h"
#include "vm.h"

#define VMTEST_MEMORY  (UINT64_C(16) << 20)
#define VMTEST_OUT_MAX 32768

struct vmtest {
	struct vm_config cfg;
	struct build_options opt;
	struct mote_err err;
	struct vm *vm;
	struct snapshot *from; /* what it was loaded from */
	int pipe[2];	       /* the console */
	char out[VMTEST_OUT_MAX];
	size_t out_len;
};

/*
 * Defaults, VMTEST_MEMORY, one vCPU, args as command line; nothing is built
 * yet, so that a test may change cfg.  vmtest_fini undoes all.
 */
void vmtest_init(struct vmtest *t, const char *args);
void vmtest_fini(struct vmtest *t);

/* Build the machine and load the guest; it has not run. */
void vmtest_build(struct vmtest *t, const char *guest);

/* build and vm_start */
void vmtest_start(struct vmtest *t, const char *guest);

/* The same where it may fail: its answer; the message is in t->err. */
int vmtest_try_start(struct vmtest *t, const char *guest);

/* One turn of what the VM thread does. */
void vmtest_turn(struct vmtest *t);

/* Run until the guest has ended. */
void vmtest_wait_end(struct vmtest *t);

/* Run until its output holds text. */
void vmtest_wait_for(struct vmtest *t, const char *text);

/* Take what waits in the pipe. */
void vmtest_drain(struct vmtest *t);

/* All files of a snapshot in a new folder under /tmp. */
struct vmtest_snapshot {
	char dir[64];
};
void vmtest_save(struct vmtest *t, struct vmtest_snapshot *s);
/* The same as a diff to the one before; kept: it is the next one's parent. */
void vmtest_save_diff(struct vmtest *t, struct vmtest_snapshot *s, bool kept);
/* The same of a machine that runs, and does so again. */
void vmtest_save_live(struct vmtest *t, struct vmtest_snapshot *s, bool diff,
		      bool kept);
/* The files of a fork of a machine that maps no snapshot. */
void vmtest_fork(struct vmtest *t, struct vmtest_snapshot *s);
void vmtest_remove(struct vmtest_snapshot *s);

/* Build *t (initialised, not built) from it; it has not run. */
void vmtest_load(struct vmtest *t, const struct vmtest_snapshot *s);
/* The same where it may fail: its answer; the message is in t->err. */
int vmtest_try_load(struct vmtest *t, const struct vmtest_snapshot *s);

/* Every file of one is, byte by byte, that of the other. */
void vmtest_expect_same(const struct vmtest_snapshot *a,
			const struct vmtest_snapshot *b);

#endif
