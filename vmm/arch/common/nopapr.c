/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nopapr.c - what only ppc64le does.  The Makefile leaves it out there.
 */
#include <errno.h>

#include "arch/arch.h"
#include "base/err.h"

int arch_linux_load(struct arch_vm *a, struct memslot_table *slots,
		    const struct vm_config *cfg, const struct elf_file *kernel,
		    int initrd_fd, struct arch_boot *boot, struct mote_err *err)
{
	(void)a;
	(void)slots;
	(void)cfg;
	(void)kernel;
	(void)initrd_fd;
	(void)boot;
	return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
			     "protocol linux: only on ppc64le in this "
			     "version");
}

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
