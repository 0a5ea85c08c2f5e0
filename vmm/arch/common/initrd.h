/* SPDX-License-Identifier: Apache-2.0 */
/*
 * initrd.h - the initial RAM disk of a guest: a file that is put into RAM as
 * it is.  Threads: the VM thread before the first run.
 */
#ifndef VMM_ARCH_COMMON_INITRD_H
#define VMM_ARCH_COMMON_INITRD_H

#include <stdint.h>

struct memslot_table;
struct mote_err;

/* How large it is; -1: it is empty, or can't be looked at. */
int64_t initrd_size(int fd, struct mote_err *err);

/* Its size bytes to gpa, 0 or -errno. */
int initrd_load(struct memslot_table *slots, int fd, uint64_t gpa,
		uint64_t size, struct mote_err *err);

/*
 * As high as it goes below limit, on a page of its own, but not below low;
 * *gpa: where.
 */
int initrd_load_high(struct memslot_table *slots, int fd, uint64_t low,
		     uint64_t limit, uint64_t *gpa, uint64_t *size,
		     struct mote_err *err);

#endif
