/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diverge.h - which pages of a private file mapping have left the file.
 *
 * A page that was written (by the guest, by us) became our own; the kernel's
 * page map tells it from the file's pages at no cost to who writes.  Pages
 * in swap count.  Within a transparent huge page all of its pages do.
 * Threads: any; the descriptor is of the process that opened it, a child
 * must open its own.
 */
#ifndef VMM_MEMORY_DIVERGE_H
#define VMM_MEMORY_DIVERGE_H

#include <stddef.h>
#include <stdint.h>

struct mote_err;

/* /proc/self/pagemap, before the process loses its root; or -errno. */
int diverge_open(struct mote_err *err);

/*
 * Set the bit (addr's page is bit 0) of each page of [addr, addr + len) that
 * is not the file's.  By PAGEMAP_SCAN, before Linux 6.7 by reading pagemap.
 */
int diverge_scan(int pagemap_fd, const void *addr, size_t len, uint64_t *bits,
		 struct mote_err *err);

/* The same of each page that is mapped at all, the file's or not. */
int diverge_touched(int pagemap_fd, const void *addr, size_t len,
		    uint64_t *bits, struct mote_err *err);

#endif
