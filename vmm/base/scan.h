/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - the ioctl PAGEMAP_SCAN of /proc/self/pagemap (Linux 6.7,
 * include/uapi/linux/fs.h and Documentation/admin-guide/mm/pagemap.rst) under
 * names of our own; the headers of older systems lack it.  Threads: any.
 */
#ifndef VMM_BASE_SCAN_H
#define VMM_BASE_SCAN_H

#include <stdint.h>
#include <sys/ioctl.h>

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end;
	uint64_t vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN	     _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (UINT64_C(1) << 2)
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_SWAPPED (UINT64_C(1) << 4)

#endif
