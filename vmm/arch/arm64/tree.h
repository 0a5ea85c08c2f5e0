/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the device tree of an arm64 guest, into its RAM with the first
 * vectors.  Sources and threads: boot.c.
 */
#ifndef VMM_ARCH_ARM64_TREE_H
#define VMM_ARCH_ARM64_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vm;
struct memslot_table;
struct mote_err;
struct vm_config;

struct tree {
	bool linux_guest; /* what only a guest that is not ours is told */
	uint64_t initrd, initrd_end;
};

int tree_put(struct arch_vm *a, struct memslot_table *slots,
	     const struct vm_config *cfg, const struct tree *t,
	     struct mote_err *err);

#endif
