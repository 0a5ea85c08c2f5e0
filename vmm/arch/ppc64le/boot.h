/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.h - between boot.c and linux.c: what both contracts put into RAM.
 */
#ifndef VMM_ARCH_PPC64LE_BOOT_H
#define VMM_ARCH_PPC64LE_BOOT_H

#include <stdint.h>

struct arch_vm;
struct memslot_table;
struct mote_err;
struct vm_config;

/* Guest addresses; initrd 0: there is none. */
struct boot_place {
	uint64_t fdt, rtas, initrd, initrd_end;
};

/* RTAS and the device tree to their places. */
int boot_tree(const struct arch_vm *a, struct memslot_table *slots,
	      const struct vm_config *cfg, const struct boot_place *at,
	      struct mote_err *err);

#endif
