/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.c - memory map and device tree of a ppc64le guest.  A pure builder.
 *
 * Source: LoPAR 1.1, appendix B (device tree of a pseries guest).
 */
#include <errno.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/common/fdt.h"
#include "arch/ppc64le/layout.h"
#include "base/err.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "config/config.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

#define RAM_MAX	    (UINT64_C(1) << 46)
#define TIMEBASE_HZ 512000000u /* architected since POWER6 */

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
		{"hvc", BUS_HCALL, LAYOUT_HVC_HCALL, LAYOUT_HVC_SIZE},
		{"event", BUS_HCALL, MOTE_HCALL_READ, LAYOUT_EVENT_SIZE},
	};

	(void)protocol;
	*count = ARRAY_SIZE(devices);
	return devices;
}

static void put_cpus(struct fdt_writer *w, const struct vm_config *cfg,
		     uint32_t hpt_order)
{
	const uint32_t pft[] = {0, hpt_order};

	fdt_node_begin(w, "cpus");
	fdt_put_u32(w, "#address-cells", 1);
	fdt_put_u32(w, "#size-cells", 0);
	for (uint32_t i = 0; i < cfg->vm.vcpus; i++) {
		fdt_node_begin_at(w, "cpu", i);
		fdt_put_string(w, "device_type", "cpu");
		fdt_put_u32(w, "reg", i);
		fdt_put_u32(w, "timebase-frequency", TIMEBASE_HZ);
		if (hpt_order)
			fdt_put_cells(w, "ibm,pft-size", pft, ARRAY_SIZE(pft));
		fdt_node_end(w);
	}
	fdt_node_end(w);
}

int arch_boot_tables(struct arch_vm *a, struct memslot_table *slots,
		     const struct vm_config *cfg, bool user_mode, uint64_t *fdt,
		     struct mote_err *err)
{
	const uint64_t ram[] = {0, cfg->vm.memory};
	void *buf = guest_map_write(slots, LAYOUT_FDT, LAYOUT_FDT_SIZE);
	struct fdt_writer w;
	int ret;

	(void)user_mode;
	if (!buf)
		return err_set(err, EFAULT,
			       "device tree does not fit into "
			       "RAM");
	fdt_writer_init(&w, buf, LAYOUT_FDT_SIZE);
	fdt_put_u32(&w, "#address-cells", 2);
	fdt_put_u32(&w, "#size-cells", 2);
	fdt_put_string(&w, "device_type", "chrp");
	fdt_put_string(&w, "model", "mote");
	fdt_put_string(&w, "compatible", "mote,pseries");
	fdt_node_begin(&w, "chosen");
	fdt_put_string(&w, "bootargs", cfg->vm.cmdline ? cfg->vm.cmdline : "");
	fdt_node_end(&w);
	fdt_node_begin_at(&w, "memory", 0);
	fdt_put_string(&w, "device_type", "memory");
	fdt_put_u64s(&w, "reg", ram, ARRAY_SIZE(ram));
	fdt_node_end(&w);
	put_cpus(&w, cfg, a->radix ? 0 : a->hpt.order);
	fdt_node_begin(&w, "vdevice");
	fdt_put_u32(&w, "#address-cells", 1);
	fdt_put_u32(&w, "#size-cells", 0);
	fdt_node_begin_at(&w, "vty", 0);
	fdt_put_string(&w, "device_type", "serial");
	fdt_put_string(&w, "compatible", "hvterm1");
	fdt_put_u32(&w, "reg", 0);
	fdt_node_end(&w);
	fdt_node_end(&w);
	ret = fdt_writer_finish(&w, err);
	if (ret < 0)
		return err_wrap(err, ret, "device tree");
	*fdt = LAYOUT_FDT;
	return 0;
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
