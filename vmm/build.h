/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h - from a configuration to a machine; used by boot and by restore.
 *
 * There is no second list of ports, devices or regions: restore builds the
 * same way, with other memory, and then loads state into it.
 */
#ifndef VMM_BUILD_H
#define VMM_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

struct mote_err;
struct timeline;
struct vm;
struct vm_config;

struct build_options {
	const struct vm_config *cfg; /* outlives the VM */
	struct log log;
	struct timeline *timeline;
	int kvm_fd; /* borrowed (a copy is kept); -1: open /dev/kvm */
	int console_in_fd, console_out_fd; /* borrowed */
	/* Runs first in each vCPU thread (its seccomp filter); may be NULL. */
	int (*thread_enter)(void *opaque, int vcpu_fd);
	void *opaque;
	/* Memory of a snapshot to map (copy on write) or, copy, to read. */
	int memory_fd; /* -1: fresh zero memory */
	bool memory_copy;
};

/* A machine that has not run: VM, slots, vCPUs, devices. */
int build_vm(struct vm **out, const struct build_options *opt,
	     struct mote_err *err);

/*
 * Load the kernel image (mote contract) into it and set the registers of
 * its entry.  kernel_fd is borrowed.
 */
int build_boot(struct vm *vm, int kernel_fd, struct mote_err *err);

#endif
