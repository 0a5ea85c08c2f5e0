/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_image.c - any bytes as an image of the others' contracts: refused in
 * words with 65, or loaded with everything it names inside the guest's memory,
 * and nothing of it below 1 MiB.  The first byte chooses protocol, module,
 * ACPI and how much memory there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "arch/x86_64/layout.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "build.h"
#include "config/config.h"
#include "fuzz/support/fuzz.h"
#include "memory/memslot.h"

#define RAM_MAX (4 * MIB)

static struct memslot_table slots = {.vm_fd = -1};
static struct vm_config cfg;
static int module = -1, image = -1;

static void make_once(void)
{
	static const char bytes[5000] = "module";

	if (module >= 0)
		return;
	require(map_anon(&slots.slot[0].ram, RAM_MAX, 0, NULL) == 0, "no RAM");
	slots.slot[0].dirty = calloc(RAM_MAX / 4096 / 64, 8);
	require(config_init(&cfg) == 0, "no configuration");
	cfg.vm.cmdline = strdup("some words");
	module = memfd_create("module", MFD_CLOEXEC);
	image = memfd_create("image", MFD_CLOEXEC);
	require(fd_write_full(module, bytes, sizeof(bytes)) == 0, "module");
}

/* What the image may not touch: zeros where nothing of ours lies. */
static void check_low(const uint8_t *ram)
{
	static const struct {
		uint64_t from, to;
	} empty[] = {{0, LAYOUT_GDT},
		     {0x2000, LAYOUT_BOOT_PAGE},
		     {LAYOUT_GENERATION, LAYOUT_PML4},
		     {LAYOUT_PT0, LAYOUT_CMDLINE},
		     {LAYOUT_CMDLINE + 16, LAYOUT_ACPI},
		     {LAYOUT_ACPI + LAYOUT_ACPI_SIZE, LAYOUT_RESET_CODE}};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		for (uint64_t at = empty[i].from; at < empty[i].to; at++)
			require(ram[at] == 0, "written below 1 MiB");
}

static void put_file(const uint8_t *data, size_t size)
{
	require(ftruncate(image, 0) == 0 && lseek(image, 0, SEEK_SET) == 0 &&
			fd_write_full(image, data, size) == 0,
		"no file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum vm_protocol protocols[] = {
		PROTOCOL_AUTO, PROTOCOL_LINUX, PROTOCOL_PVH,
		PROTOCOL_MULTIBOOT};
	static struct elf_file f;
	struct mote_err err = {0};
	struct arch_boot boot = {0};
	struct arch_vm vm = {0};
	uint8_t *ram;
	uint8_t how;
	int ret;

	if (size < 1)
		return 0;
	make_once();
	how = data[0];
	ram = slots.slot[0].ram.addr;
	require(madvise(ram, RAM_MAX, MADV_DONTNEED) == 0, "no RAM");
	slots.slot[0].ram.size = how & 0x10 ? RAM_MAX : 2 * MIB;
	cfg.vm.memory = slots.slot[0].ram.size;
	cfg.vm.acpi = how & 8 ? ACPI_YES : ACPI_AUTO;
	cfg.vm.protocol = protocols[how & 3];
	put_file(data + 1, size - 1);
	ret = build_open_kernel(&f, image, "image", &cfg.vm.protocol, &err);
	if (ret == 0 && (cfg.vm.protocol == PROTOCOL_HVT ||
			 cfg.vm.protocol == PROTOCOL_MOTE))
		return 0; /* fuzz_elf, fuzz_solo5 */
	if (ret == 0)
		ret = arch_image_load(&vm, &slots, &cfg, &f,
				      how & 4 ? module : -1, &boot, &err);
	slots.slot[0].ram.size = RAM_MAX;
	if (ret < 0) {
		require(err.msg[0] != 0, "no words");
		require(err_exit_code(&err) == ERR_CLASS_DATA,
			"another class than data");
		return 0;
	}
	require(boot.entry >= LAYOUT_IMAGE_BASE && boot.entry < cfg.vm.memory,
		"an entry outside the memory");
	for (uint64_t at = cfg.vm.memory; at < RAM_MAX; at++)
		require(ram[at] == 0, "written behind the memory");
	check_low(ram);
	return 0;
}
