/* SPDX-License-Identifier: Apache-2.0 */
/*
 * radix.h - guests on radix trees: the VM's mode, its process table, and what
 * the device tree says of the host's trees.
 *
 * The trees lie in the guest's RAM; what KVM knows is where the guest's
 * process table lies (H_REGISTER_PROC_TBL) and whether the guest flushes its
 * translations itself (GTSE).  Sources: Linux api.rst 4.92 to 4.94; LoPAR
 * 14.5.4.14; Power ISA 3.1, book III 7.7.6 (the table's entry).
 */
#ifndef VMM_ARCH_PPC64LE_RADIX_H
#define VMM_ARCH_PPC64LE_RADIX_H

#include <stdint.h>

struct arch_vm;
struct mote_err;
struct snap_reader;
struct snap_writer;

#define RADIX_SECTION "ppc64-mmu"

/* A new VM without a process table.  -ENOTSUP: the host has no such guests. */
int radix_init(int vm_fd, struct mote_err *err);

/*
 * H_REGISTER_PROC_TBL of a radix guest: its four arguments, its status.  Any
 * vCPU's thread; of two at once the last one's table stays.
 */
int64_t radix_register(struct arch_vm *a, const uint64_t args[4]);

/* The section, written and loaded.  VM thread, vCPUs parked. */
void radix_save(const struct arch_vm *a, struct snap_writer *w);
int radix_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err);

#endif
