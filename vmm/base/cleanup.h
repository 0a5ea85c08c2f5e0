/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - locals that own something and give it back at scope end.
 *
 * A cleanup variable starts empty and is handed over with *_steal as the
 * last step of the function that built it.
 */
#ifndef VMM_BASE_CLEANUP_H
#define VMM_BASE_CLEANUP_H

#include <stdlib.h>

#include "base/fd.h"

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_ptr(int *fd)
{
	if (*fd >= 0)
		fd_close(*fd);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_ptr)))
#define cleanup_fd   __attribute__((cleanup(cleanup_fd_ptr)))

static inline int fd_steal(int *fd)
{
	int ret = *fd;

	*fd = -1;
	return ret;
}

static inline void *ptr_steal(void *pp)
{
	void *ret = *(void **)pp;

	*(void **)pp = NULL;
	return ret;
}

#endif
