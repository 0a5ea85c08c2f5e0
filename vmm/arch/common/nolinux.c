/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nolinux.c - where Linux is no guest yet: x86_64 and arm64.  The Makefile
 * leaves it out on ppc64le.
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
