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
#include "config/config.h"
#include "memory/pager.h"
#include "sandbox/sandbox.h"

struct elf_file;
struct mote_err;
struct timeline;
struct vm;

/* The descriptor of a guest's device, by its section ("disk.data"). */
struct build_fd {
	const char *section;
	int fd;	      /* borrowed */
	uint32_t mtu; /* networks */
};

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
	const struct snap_reader *saved; /* its state; NULL: none */
	int initrd_fd; /* of protocol linux, borrowed; -1: none */
	int memory_fd; /* -1: fresh zero memory */
	bool memory_copy;
	/*
	 * Or fill it when it is touched, pager_block bytes at a time (0: not
	 * so), by pager.fill and .source (pager.h).
	 */
	uint64_t pager_block;
	struct pager_ops pager;
	bool rewind; /* it will go back to its snapshot again and again */
	int uffd_fd; /* of pager_open, duplicated; -1: opened when needed */
	/* Runs first in the pager's thread (its filter); may be NULL. */
	int (*pager_enter)(void *opaque, int uffd, int events_fd);
	/* Runs first in the thread of virtio devices; may be NULL. */
	int (*io_enter)(void *opaque, int fds, int events_fd);
	int pagemap_fd; /* duplicated; -1: opened when it is needed */
	const struct build_fd *fds; /* what is not among them is opened */
	int fd_count;
};

/*
 * Put the filter of its role on the calling thread, which is to run that vCPU
 * of vm; for thread_enter.  0 or -errno.
 */
int build_vcpu_filter(const struct vm *vm, int vcpu_fd, enum sandbox_mode mode);

/*
 * Open the image of a kernel (fd is borrowed while *f is used) and say, where
 * that was left open, which contract it is of by its notes and headers:
 * PROTOCOL_MOTE where nothing says so (which refuses it).
 */
int build_open_kernel(struct elf_file *f, int fd, const char *name,
		      enum vm_protocol *protocol, struct mote_err *err);

/*
 * event_fd (borrowed, outlives the machine's vCPUs) raises that interrupt of
 * the guest's at each write: a pin of the I/O APIC, or on arm64 a shared
 * interrupt, counted from 0.  Before the first run.
 */
int build_irq(struct vm *vm, uint32_t irq, int event_fd, struct mote_err *err);

/* A new eventfd for it, which the machine closes: build_block_fd, build_irq. */
int build_irqfd(struct vm *vm, uint32_t irq, int *event_fd,
		struct mote_err *err);

/*
 * Exchange *fd for a copy among those that vCPU threads may write to (the
 * filters vcpu_dev and vcpu_pci): for eventfds of devices.  Before build_irq.
 */
int build_block_fd(struct vm *vm, int *fd, struct mote_err *err);

/* What was given for that section, or NULL. */
const struct build_fd *build_find_fd(const struct build_options *opt,
				     const char *kind, const char *name);

/* Virtio devices, as config_virtio_count has them (build_virtio.c). */
int build_virtio(struct vm *vm, const struct build_options *opt,
		 struct mote_err *err);

/* A machine that has not run: VM, slots, vCPUs, devices. */
int build_vm(struct vm **out, const struct build_options *opt,
	     struct mote_err *err);

/*
 * Load the kernel image into it and set the registers of its entry; under
 * the hvt contract also attach the devices of its manifest.
 */
int build_boot(struct vm *vm, const struct build_options *opt,
	       const struct elf_file *kernel, struct mote_err *err);

/* hvt (build_hvt.c): attach what the guest declares; after a load, too. */
int build_hvt_attach(struct vm *vm, const struct build_options *opt,
		     struct mote_err *err);
int build_hvt_boot(struct vm *vm, const struct build_options *opt,
		   const struct elf_file *kernel, struct mote_err *err);

#endif
