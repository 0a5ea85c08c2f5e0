/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - a paused machine on the fake KVM, and snapshots of it.
 */
#ifndef TESTS_FUZZ_SUPPORT_MACHINE_H
#define TESTS_FUZZ_SUPPORT_MACHINE_H

#include "fake/fakevm.h"
#include "fuzz/support/edit.h"

/* Two vCPUs, booted and parked. */
void machine_make(struct fakevm *f);

/* Save it; diff: as changes to what was saved before. */
void machine_save(struct fakevm *f, bool diff, struct base *b);

#endif
