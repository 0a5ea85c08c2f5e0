/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - the yardstick: the least that a process can do with KVM to run
 * a guest: 16 MiB, one vCPU, ring 3, one OUT; then give it all back in
 * order.  Its system calls are pinned in floor.expected.
 *
 * With a file (restore.c makes it) it restores a 128 MiB guest from that.
 *
 * Built twice: statically with the C library, and (FLOOR_NOLIBC) without.
 */
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#ifdef FLOOR_NOLIBC
static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define do_open(p, fl)	  sys(__NR_open, (long)(p), fl, 0, 0, 0, 0)
#define do_ioctl(f, r, a) sys(__NR_ioctl, f, (long)(r), (long)(a), 0, 0, 0)
#define do_mmap(l, pr, fl, fd)                                                 \
	((void *)sys(__NR_mmap, 0, (long)(l), pr, fl, fd, 0))
#define do_munmap(p, l) sys(__NR_munmap, (long)(p), (long)(l), 0, 0, 0, 0)
#define do_close(f)	sys(__NR_close, f, 0, 0, 0, 0, 0)
#define do_exit(c)	sys(__NR_exit_group, c, 0, 0, 0, 0, 0)
#endif

#include "floor_vm.h"

#ifdef FLOOR_NOLIBC
/* The compiler may call it. */
void *memset(void *dst, int c, size_t n);
void *memset(void *dst, int c, size_t n)
{
	char *d = dst;

	while (n--)
		*d++ = (char)c;
	return dst;
}

void *memcpy(void *dst, const void *src, size_t n);
void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

__attribute__((noreturn, force_align_arg_pointer)) void _start(void);
void _start(void)
{
	do_exit(floor_main());
	__builtin_unreachable();
}
#else
/* With a file: restored from it, its memory mapped copy on write. */
int main(int argc, char **argv)
{
	if (argc > 1)
		do_exit(floor_restore_main(argv[1]));
	do_exit(floor_main());
}
#endif
