/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.c - Linux as a guest: where its image and what it needs lie.
 *
 * Source: Linux Documentation/powerpc/booting.rst, and the entry of
 * arch/powerpc/kernel/head_64.S: entered at its first byte in real mode with
 * r3 = the device tree, r4 = r5 = 0; other vCPUs come by RTAS start-cpu.
 *
 *   0       the kernel, as its segments' low address bits say
 *   then    RTAS, the device tree, the initrd, each on 64 KiB of its own
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "arch/ppc64le/boot.h"
#include "arch/ppc64le/layout.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"

#define REAL_ADDRESS ((UINT64_C(1) << 60) - 1)
#define GRAIN	     UINT64_C(0x10000)

/* Its image says virtual addresses in places; the top bits select no RAM. */
static void use_real_addresses(struct elf_file *f)
{
	f->eh.e_entry &= REAL_ADDRESS;
	for (int i = 0; i < f->eh.e_phnum; i++)
		f->ph[i].p_paddr &= REAL_ADDRESS;
}

static int load_initrd(struct memslot_table *slots, int fd, uint64_t at,
		       uint64_t *end, struct mote_err *err)
{
	int64_t size = fd_size(fd);
	int ret;

	if (size <= 0)
		return err_set_class(err, size < 0 ? (int)-size : ENODATA,
				     ERR_CLASS_DATA, "vm.initrd: %s",
				     size < 0 ? strerror((int)-size)
					      : "it is empty");
	ret = guest_write_fd(slots, at, fd, 0, (uint64_t)size);
	if (ret == -EFAULT)
		return err_set_class(err, ENOMEM, ERR_CLASS_DATA,
				     "vm.initrd: %" PRId64
				     " bytes at 0x%" PRIx64
				     " are outside the guest's memory",
				     size, at);
	if (ret < 0)
		return err_set(err, -ret, "vm.initrd: read: %s",
			       strerror(-ret));
	*end = at + (uint64_t)size;
	return 0;
}

int arch_linux_load(struct arch_vm *a, struct memslot_table *slots,
		    const struct vm_config *cfg, const struct elf_file *kernel,
		    int initrd_fd, struct arch_boot *boot, struct mote_err *err)
{
	struct elf_file f = *kernel;
	struct elf_image img;
	struct boot_place at = {0};
	uint64_t high;
	int ret;

	use_real_addresses(&f);
	ret = elf_load(slots, &f, 0, &img, err);
	if (ret < 0)
		return ret;
	if (!num_add(img.high, GRAIN - 1, &high))
		return err_set(err, EINVAL, "the image's end wraps");
	at.rtas = high / GRAIN * GRAIN;
	at.fdt = at.rtas + LAYOUT_RTAS_SIZE;
	if (initrd_fd >= 0) {
		at.initrd = at.fdt + LAYOUT_FDT_SIZE;
		ret = load_initrd(slots, initrd_fd, at.initrd, &at.initrd_end,
				  err);
	}
	if (ret == 0)
		ret = boot_tree(a, slots, cfg, &at, err);
	boot->entry = img.entry;
	boot->boot_page = at.fdt;
	return ret;
}
