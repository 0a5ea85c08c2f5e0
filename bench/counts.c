/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts.c - the system calls of one run of a program, by name.
 */
#include <linux/kvm.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

static const char *ioctl_name(unsigned long request)
{
	static const struct {
		unsigned long request;
		const char *name;
	} known[] = {
#define NAME(x) {x, #x}
		NAME(KVM_GET_API_VERSION),
		NAME(KVM_CREATE_VM),
		NAME(KVM_CHECK_EXTENSION),
		NAME(KVM_GET_VCPU_MMAP_SIZE),
		NAME(KVM_SET_USER_MEMORY_REGION),
		NAME(KVM_ENABLE_CAP),
		NAME(KVM_CREATE_VCPU),
		NAME(KVM_GET_SUPPORTED_CPUID),
		NAME(KVM_SET_CPUID2),
		NAME(KVM_GET_SREGS),
		NAME(KVM_SET_SREGS),
		NAME(KVM_SET_REGS),
		NAME(KVM_SET_TSS_ADDR),
		NAME(KVM_SET_SIGNAL_MASK),
		NAME(KVM_SET_MSRS),
		NAME(KVM_RUN),
#undef NAME
	};
	static char other[32];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].request == request)
			return known[i].name;
	snprintf(other, sizeof(other), "0x%lx", request);
	return other;
}

int print_counts(char **argv)
{
	struct trace t;
	int ret = trace_run(argv, &t);

	if (ret < 0 || t.status != 0) {
		fprintf(stderr, "bench: %s: %s\n", argv[0],
			ret < 0 ? strerror(-ret) : "failed");
		return 1;
	}
	for (int nr = 0; nr < TRACE_NR_MAX; nr++) {
		char *name;

		if (!t.by_nr[nr])
			continue;
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		printf("%s %lu\n", name ? name : "?", t.by_nr[nr]);
		free(name);
	}
	for (int i = 0; i < TRACE_IOCTL_MAX && t.ioctl[i].count; i++)
		printf("ioctl %s %lu\n", ioctl_name(t.ioctl[i].request),
		       t.ioctl[i].count);
	return 0;
}
