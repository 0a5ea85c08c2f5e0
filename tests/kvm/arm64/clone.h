/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone.h - a guest that says "ready", is saved then, and goes on in another
 * machine (guest_arm64.h, wait_for_clone).
 */
#ifndef TESTS_KVM_ARM64_CLONE_H
#define TESTS_KVM_ARM64_CLONE_H

#include "kvm/vmtest.h"

/* a (initialised, not built) runs the guest until it is ready; saved to s. */
void clone_save(struct vmtest *a, const char *guest, struct vmtest_snapshot *s);

/* Save a, remove it, and run b (initialised as a was) to its end. */
void clone_run(struct vmtest *a, struct vmtest *b, const char *guest);

#endif
