/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_rtas.c - any bytes as guest RAM, and any address in and around it as
 * an RTAS argument block: what is not a result stays as it was.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/rtas.h"
#include "fuzz/support/fuzz.h"
#include "memory/memslot.h"

#define RAM 256

static int32_t start(void *opaque, uint32_t cpu, uint64_t entry, uint64_t arg)
{
	(void)entry;
	(void)arg;
	++*(int *)opaque;
	return cpu & 1 ? RTAS_SUCCESS : RTAS_PARAMETER_ERROR;
}

static int32_t state(void *opaque, uint32_t cpu, uint32_t *out)
{
	(void)opaque;
	*out = cpu;
	return RTAS_SUCCESS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memslot_table slots = {.vm_fd = -1};
	uint64_t dirty[2] = {0}, gpa;
	uint8_t before[RAM] = {0}, *ram;
	enum rtas_then then = RTAS_THEN_REBOOT;
	int starts = 0;
	struct rtas_host host = {start, state, &starts};
	bool ok;

	if (size < sizeof(gpa))
		return 0;
	memcpy(&gpa, data, sizeof(gpa));
	if (gpa & 1) /* mostly in RAM */
		gpa = gpa >> 8 & (RAM - 1);
	size -= sizeof(gpa);
	memcpy(before, data + sizeof(gpa), size < RAM ? size : RAM);
	ram = malloc(RAM);
	memcpy(ram, before, RAM);
	slots.slot[0].ram.addr = ram;
	slots.slot[0].ram.size = RAM;
	slots.slot[0].dirty = dirty;

	ok = rtas_call(&slots, gpa, &host, &then);
	require(starts <= 1, "more than one start");
	require(then != RTAS_THEN_STARTED || starts == 1, "nobody started");
	if (!ok) {
		require(then == RTAS_THEN_RETURN, "a bad block did something");
		require(!memcmp(ram, before, RAM), "a bad block was written");
	} else {
		gpa &= (UINT64_C(1) << 60) - 1;
		require(gpa + 12 <= RAM, "a block outside RAM");
		require(!memcmp(ram, before, gpa + 12), "its header changed");
	}
	free(ram);
	return 0;
}
