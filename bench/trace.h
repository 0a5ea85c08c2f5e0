/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - count the system calls of a program and its children.
 *
 * By ptrace, so that nothing but the kernel is needed.  x86_64 only.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#define TRACE_NR_MAX	512
#define TRACE_IOCTL_MAX 64

struct trace {
	unsigned long total, ioctls, kvm_ioctls;
	unsigned long by_nr[TRACE_NR_MAX];
	struct {
		unsigned long request, count;
	} ioctl[TRACE_IOCTL_MAX];
	int status; /* of waitpid */
};

/* Run argv to its end, stdout and stderr to /dev/null.  0 or -errno. */
int trace_run(char *const argv[], struct trace *t);

/* Print them, "NAME COUNT" a line; an exit code (counts.c). */
int print_counts(char **argv);

#endif
