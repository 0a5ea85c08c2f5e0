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
#include <stdint.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "arch/common/initrd.h"
#include "arch/ppc64le/boot.h"
#include "arch/ppc64le/layout.h"
#include "base/err.h"
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

int arch_image_open(struct elf_file *f, int fd, enum vm_protocol protocol,
		    struct mote_err *err)
{
	(void)f;
	(void)fd;
	(void)protocol;
	(void)err;
	return -ENOEXEC;
}

/* A vmlinux says nothing of itself: vm.protocol has to. */
int arch_image_protocol(const struct elf_file *f, enum vm_protocol *protocol,
			struct mote_err *err)
{
	(void)f;
	(void)protocol;
	(void)err;
	return 0;
}

bool arch_vmgenid(const struct vm_config *cfg, uint32_t *irq)
{
	(void)cfg;
	(void)irq;
	return false;
}

int arch_image_load(struct arch_vm *a, struct memslot_table *slots,
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
		int64_t size = initrd_size(initrd_fd, err);

		if (size < 0)
			return -ENODATA;
		at.initrd = at.fdt + LAYOUT_FDT_SIZE;
		at.initrd_end = at.initrd + (uint64_t)size;
		ret = initrd_load(slots, initrd_fd, at.initrd, (uint64_t)size,
				  err);
	}
	if (ret == 0)
		ret = boot_tree(a, slots, cfg, &at, err);
	boot->entry = img.entry;
	boot->boot_page = at.fdt;
	return ret;
}
