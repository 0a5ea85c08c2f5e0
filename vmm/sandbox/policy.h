/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - the allow-lists of system calls, one table per thread role.
 *
 * Read by gen_filter at build time (on the build machine), by its
 * documentation and by the tests; nothing of it is used at run time.  What
 * a table does not list is refused.
 */
#ifndef VMM_SANDBOX_POLICY_H
#define VMM_SANDBOX_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "sandbox/sandbox.h"

/* Where a rule holds; 0 in a rule: everywhere. */
enum policy_arch {
	POLICY_X86_64 = 1 << 0,
	POLICY_ARM64 = 1 << 1,
	POLICY_PPC64LE = 1 << 2,
};

#define POLICY_CHECKS 3

/*
 * The low 32 bits of argument arg, masked, must be value.  Both are names
 * from gen_consts.c (the target's own numbers), decimal numbers, or, for
 * value, one of the placeholders below.  mask NULL: all 32 bits.  The kernel
 * takes int arguments from the low half and C libraries differ in what they
 * leave in the upper one, so that is never compared.
 */
struct policy_check {
	int arg;
	const char *mask;
	const char *value; /* NULL: no more checks */
};

struct policy_rule {
	const char *call;
	struct policy_check check[POLICY_CHECKS];
	unsigned int arch;  /* enum policy_arch, 0: all */
	bool rare;	    /* most runs never make it */
	const char *reason; /* why this thread can't do without it */
};

struct policy {
	const char *name;
	const struct policy_rule *rule;
	size_t count;
};

/* role < SANDBOX_ROLES. */
const struct policy *policy_of(enum sandbox_role role);

/* What a build with sanitizers may do on top, in every role. */
const struct policy *policy_sanitizer(void);

/*
 * Numbers that are known only when a filter is loaded.  The generated BPF
 * holds these instead, and the loader writes the real ones over them.  As
 * descriptors or pids they can't exist, so one that stays never matches.
 */
enum policy_placeholder {
	POLICY_AT_VCPU = 0x7fd00001,   /* "@vcpu": this vCPU's descriptor */
	POLICY_AT_EVENTS = 0x7fd00002, /* "@events": the VM's eventfd */
	POLICY_AT_PID = 0x7fd00003,    /* "@pid": this process */
	POLICY_AT_KICK = 0x7fd00004,   /* "@kick": VCPU_KICK_SIGNAL */
	POLICY_AT_UFFD = 0x7fd00005,   /* "@uffd": the VM's userfaultfd */
	POLICY_AT_VM = 0x7fd00006,     /* "@vm": the VM's descriptor */
	POLICY_AT_IRQ = 0x7fd00007,    /* "@irq": KVM's controller */
	/* "@block": of a block of 64 descriptors, with mask FD_BLOCK. */
	POLICY_AT_BLOCK = 0x7fd00040,
};

/* What a filter made with --audit tells its tracer: 16 bits. */
#define POLICY_AUDIT_ID(role, rule) ((role) << 8 | (rule))

/* Instructions in the largest filter; the loader patches it on its stack. */
#define POLICY_FILTER_MAX 512

#endif
