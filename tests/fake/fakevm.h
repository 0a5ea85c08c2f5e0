/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakevm.h - a machine on the fake KVM.
 */
#ifndef TESTS_FAKE_FAKEVM_H
#define TESTS_FAKE_FAKEVM_H

#include <stdint.h>

#include "base/err.h"
#include "base/stress.h"
#include "build.h"
#include "config/config.h"
#include "vm.h"

#define FAKEVM_MEMORY (UINT64_C(4) << 20)

struct fakevm {
	struct vm_config cfg;
	struct build_options opt;
	struct mote_err err;
	struct vm *vm;
	int kernel_fd; /* an image that every build_boot takes */
};

/* Defaults, FAKEVM_MEMORY, no console; nothing is built yet. */
void fakevm_init(struct fakevm *f, uint32_t vcpus);
void fakevm_fini(struct fakevm *f);

/* build_vm, build_boot and vm_start as far as they go; the first error. */
int fakevm_up(struct fakevm *f, bool paused);

/* The same where it must work. */
void fakevm_start(struct fakevm *f, bool paused);

/* Dispatch until the guest is over; false: 10 seconds were not enough. */
bool fakevm_wait_end(struct fakevm *f);

#endif
