/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.c - memory map of a ppc64le guest, and its tables in RAM.
 */
#include <errno.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/common/hpt_codec.h"
#include "arch/ppc64le/boot.h"
#include "arch/ppc64le/layout.h"
#include "arch/ppc64le/tree.h"
#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "base/guest_abi.h"
#include "base/map.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

#define RAM_MAX (UINT64_C(1) << 46)

const struct arch_pci *arch_pci(void)
{
	return NULL;
}

uint64_t arch_ioapic(void)
{
	return 0;
}

bool arch_virtio(unsigned int n, struct arch_virtio *out)
{
	(void)n;
	(void)out;
	return false;
}

uint64_t arch_image_base(void)
{
	return LAYOUT_IMAGE_BASE;
}

uint64_t arch_boot_page(void)
{
	return LAYOUT_BOOT_PAGE;
}

uint64_t arch_generation_page(void)
{
	return LAYOUT_GENERATION;
}

int arch_ram_layout(enum vm_protocol protocol, uint64_t size,
		    struct arch_ram ram[ARCH_RAM_MAX])
{
	(void)protocol;
	if (size > RAM_MAX)
		return -EINVAL;
	/* One region from 0: real mode reaches all of it through the VRMA. */
	ram[0] = (struct arch_ram){.gpa = 0, .size = size};
	return 1;
}

const struct arch_device *arch_devices(enum vm_protocol protocol, size_t *count)
{
	static const struct arch_device devices[] = {
		{"hvc", BUS_HCALL, LAYOUT_HVC_HCALL, LAYOUT_HVC_SIZE, 0},
		{"event", BUS_HCALL, MOTE_HCALL_READ, LAYOUT_EVENT_SIZE, 0},
	};

	/* Linux knows of no event device. */
	*count = protocol == PROTOCOL_LINUX ? 1 : ARRAY_SIZE(devices);
	return devices;
}

int arch_boot_tables(struct arch_vm *a, struct memslot_table *slots,
		     const struct vm_config *cfg, bool user_mode, uint64_t *fdt,
		     struct mote_err *err)
{
	int ret;

	(void)user_mode;
	ret = boot_tree(a, slots, cfg,
			&(struct boot_place){
				.fdt = LAYOUT_FDT,
				.rtas = LAYOUT_RTAS,
			},
			err);
	if (ret == 0)
		*fdt = LAYOUT_FDT;
	return ret;
}

/*
 * How far real mode reaches through the VRMA: KVM enters one page of ours
 * into each group of the table at most.
 */
static uint64_t real_mode_area(const struct arch_vm *a, uint64_t memory)
{
	if (a->hpt.order == 0)
		return memory; /* a radix tree: all of it */
	return num_min(memory, (hpt_entries(a->hpt.order) / 8) *
				       (uint64_t)host_page_size());
}

int boot_tree(const struct arch_vm *a, struct memslot_table *slots,
	      const struct vm_config *cfg, const struct boot_place *at,
	      struct mote_err *err)
{
	void *buf = guest_map_write(slots, at->fdt, LAYOUT_FDT_SIZE);
	struct tree t = {
		.vcpus = cfg->vm.vcpus,
		.hpt_order = a->hpt.order,
		.radix = a->radix,
		.xics = a->xics_fd >= 0,
		.xive = a->xive ? a->xive->sources : 0,
		.page = host_page_size(),
		.memory = cfg->vm.memory,
		.rma = real_mode_area(a, cfg->vm.memory),
		.cmdline = cfg->vm.cmdline,
		.rtas = at->rtas,
		.rtas_size = LAYOUT_RTAS_SIZE,
		.initrd = at->initrd,
		.initrd_end = at->initrd_end,
	};
	int ret;

	if (!buf)
		return err_set(err, EFAULT,
			       "device tree does not fit into RAM");
	ret = guest_write(slots, at->rtas, tree_rtas_code,
			  sizeof(tree_rtas_code));
	if (ret < 0)
		return err_set(err, -ret, "RTAS does not fit into RAM");
	tree_host(a, &t.host);
	ret = tree_build(&t, buf, LAYOUT_FDT_SIZE, err);
	return ret < 0 ? err_wrap(err, ret, "device tree") : 0;
}

/* --- Solo5 hvt: there is no such target on this architecture ---------------
 */

uint64_t arch_hvt_boot_info(void)
{
	return 0;
}

int arch_hvt_tables(struct memslot_table *slots, const struct solo5_image *img,
		    uint64_t memory, struct mote_err *err)
{
	(void)slots;
	(void)img;
	(void)memory;
	return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
			     "protocol hvt: not on ppc64le");
}
