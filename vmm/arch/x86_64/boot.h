/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.h - tables in RAM that both our own guests and others start with.
 * Threads: the VM thread before the first run.
 */
#ifndef VMM_ARCH_X86_64_BOOT_H
#define VMM_ARCH_X86_64_BOOT_H

#include <stdbool.h>

struct memslot_table;

/*
 * Page tables from LAYOUT_PML4 on: all RAM, and with devices the windows of
 * theirs and the I/O APIC.  0 or -errno.
 */
int boot_identity_map(struct memslot_table *slots, bool devices);

/* Two flat segments at LAYOUT_BOOT_CS_SEL and the next; wide: of 64 bits. */
int boot_flat_gdt(struct memslot_table *slots, bool wide);

#endif
