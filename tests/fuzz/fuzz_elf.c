/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_elf.c - any bytes as an image: refused in words, or loaded with
 * everything it names inside the guest's memory.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/common/elf.h"
#include "base/err.h"
#include "base/fd.h"
#include "fuzz/support/fuzz.h"
#include "memory/memslot.h"

#define RAM  (UINT64_C(1) << 20)
#define BASE UINT64_C(0x10000)

static struct memslot_table slots = {.vm_fd = -1};

static void make_ram(void)
{
	if (slots.slot[0].ram.addr)
		return;
	require(map_anon(&slots.slot[0].ram, RAM, 0, NULL) == 0, "no RAM");
	slots.slot[0].dirty = calloc(RAM / 4096 / 64, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mote_err err = {0};
	struct elf_image img;
	static struct elf_file f;
	uint8_t below[64];
	int fd = memfd_create("elf", MFD_CLOEXEC);
	int ret;

	make_ram();
	require(fd >= 0 && fd_write_full(fd, data, size) == 0, "no file");
	ret = elf_open(&f, fd, EM_X86_64, &err);
	if (ret == 0)
		ret = elf_load(&slots, &f, BASE, &img, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		require(img.low >= BASE && img.high <= RAM &&
				img.entry >= img.low && img.entry < img.high,
			"outside the memory");
	memset(below, 0, sizeof(below));
	require(!memcmp((char *)slots.slot[0].ram.addr + BASE - sizeof(below),
			below, sizeof(below)),
		"written below the base");
	close(fd);
	return 0;
}
