/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - what is asked of bytes in memory.  Threads: any.
 */
#ifndef VMM_BASE_MEM_H
#define VMM_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* len is at least 1 */
bool mem_is_zero(const void *p, size_t len);

#endif
