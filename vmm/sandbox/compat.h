/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compat.h - kernel interfaces that are newer than the oldest headers that
 * we build with (Linux 6.1, glibc 2.36).  Whether the kernel has them is
 * asked at run time.
 */
#ifndef VMM_SANDBOX_COMPAT_H
#define VMM_SANDBOX_COMPAT_H

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* One number on every architecture. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif

/* Memory-deny-write-execute, Linux 6.3. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE		 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#define PR_GET_MDWE		 66
#endif

/* struct landlock_ruleset_attr of ABI 6; older kernels take its head. */
struct compat_landlock {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* from ABI 4 */
	uint64_t scoped;	     /* from ABI 6 */
};

#define COMPAT_LANDLOCK_VERSION (1u << 0) /* ask for the ABI */

/* Rights by the ABI that brought them, as "all below this bit". */
#define COMPAT_LANDLOCK_FS_1  13 /* execute ... make_sym */
#define COMPAT_LANDLOCK_FS_2  14 /* refer */
#define COMPAT_LANDLOCK_FS_3  15 /* truncate */
#define COMPAT_LANDLOCK_FS_5  16 /* ioctl_dev */
#define COMPAT_LANDLOCK_NET   2	 /* ABI 4: TCP bind, connect */
#define COMPAT_LANDLOCK_SCOPE 2	 /* ABI 6: abstract sockets, signals */

#endif
