/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.c - what arm64 and ppc64le need not do, and x86_64 does: to bring a
 * vCPU's state back with fewer calls than a load.  The Makefile leaves it out
 * there.
 */
#include "arch/arch.h"

/* Loading it once more is all there is to it. */
int arch_vcpu_remember(struct arch_vcpu *v, const struct memslot_table *slots,
		       struct mote_err *err)
{
	(void)v;
	(void)slots;
	(void)err;
	return 0;
}

int arch_vcpu_rewind(struct arch_vcpu *v, struct snap_reader *r, bool whole,
		     struct mote_err *err)
{
	(void)whole;
	return arch_vcpu_load(v, r, err);
}

void arch_vcpu_forget(struct arch_vcpu *v)
{
	(void)v;
}
