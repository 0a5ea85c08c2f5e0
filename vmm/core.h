/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - a core file of a guest: ELF64, NT_PRSTATUS of vCPU 0, its RAM.
 *
 * Threads: the VM thread, vCPUs parked or ended.  Source: System V gABI;
 * Linux, elf(5) and core(5).
 */
#ifndef VMM_CORE_H
#define VMM_CORE_H

struct mote_err;
struct vm;

/* fd: a new, empty file. */
int core_write(struct vm *vm, int fd, struct mote_err *err);

#endif
