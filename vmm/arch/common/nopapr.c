/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nopapr.c - what only ppc64le does.  The Makefile leaves it out there.
 */
#include <errno.h>

#include "arch/arch.h"
#include "base/err.h"

/* KVM itself starts and stops vCPUs here. */
bool arch_vcpu_stopped(struct arch_vcpu *v)
{
	(void)v;
	return false;
}

int arch_vcpu_enter(struct arch_vcpu *v)
{
	(void)v;
	return 0;
}

int arch_irq_fd(const struct arch_vm *a)
{
	(void)a;
	return -1;
}

/* Nothing of the VM's own state is so large that it is saved as changes. */
void arch_vm_saved(struct arch_vm *a, bool kept)
{
	(void)a;
	(void)kept;
}

int arch_vm_follow(struct arch_vm *a, uint64_t budget_ns, struct mote_err *err)
{
	(void)a;
	(void)budget_ns;
	(void)err;
	return 1;
}

int arch_hpt_read(struct arch_vm *a, uint64_t first, bool bolted, void **out,
		  size_t *len, struct mote_err *err)
{
	(void)a;
	(void)first;
	(void)bolted;
	*out = NULL;
	*len = 0;
	return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
			     "%s has no hashed page tables", arch_name);
}
