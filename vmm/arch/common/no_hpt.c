/* SPDX-License-Identifier: Apache-2.0 */
/*
 * no_hpt.c - what x86_64 and arm64 need not do, and ppc64le does: nothing of
 * the VM's own state is so large that it is saved as changes.  The Makefile
 * leaves it out there.
 */
#include <errno.h>

#include "arch/arch.h"
#include "base/err.h"

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
