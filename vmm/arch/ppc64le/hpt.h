/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpt.h - reading and writing a VM's hashed page table through KVM's fds.
 *
 * Source: Linux api.rst 4.78 and what was measured (the traps stand at the
 * functions).  Threads: the VM thread, all vCPUs out of KVM_RUN.
 */
#ifndef VMM_ARCH_PPC64LE_HPT_H
#define VMM_ARCH_PPC64LE_HPT_H

#include <stdint.h>

struct mote_err;
struct snap_section;
struct snap_writer;

/* Allocate a table of *order (2^order bytes); *order is what it became. */
int hpt_allocate(int kvm_fd, int vm_fd, uint32_t *order, struct mote_err *err);

/* One full pass over the table into the open section: u64 length, stream. */
int hpt_save(int vm_fd, uint32_t order, struct snap_writer *w,
	     struct mote_err *err);

/*
 * Check the whole stream, then write it.  An error may leave part of it
 * written: destroy the VM.
 */
int hpt_load(int vm_fd, uint32_t order, struct snap_section *s,
	     struct mote_err *err);

#endif
