/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many.c - a Solo5 hvt guest with as many devices as a manifest holds: 63
 * disks, "storage0" to "storage62".  Writes each one's number and reads all.
 */
#include "hvt.h"

#define D(n) HVT_BLOCK_NAMED("storage" #n)
#define D10(t)                                                                 \
	D(t##0), D(t##1), D(t##2), D(t##3), D(t##4), D(t##5), D(t##6),         \
		D(t##7), D(t##8), D(t##9)

HVT_ABI_NOTE(SOLO5_TARGET_HVT, HVT_ABI_VERSION);
HVT_MANIFEST(63, D(0), D(1), D(2), D(3), D(4), D(5), D(6), D(7), D(8), D(9),
	     D10(1), D10(2), D10(3), D10(4), D10(5), D(60), D(61), D(62));

static uint8_t sector[512];

int hvt_main(const struct hvt_boot_info *bi)
{
	(void)bi;
	for (uint64_t i = 1; i <= 63; i++) {
		sector[0] = (uint8_t)i;
		if (hvt_disk(1, i, 0, sector, 512) != HVT_OK)
			return 1;
	}
	for (uint64_t i = 1; i <= 63; i++)
		if (hvt_disk(0, i, 0, sector, 512) != HVT_OK || sector[0] != i)
			return 2;
	say("SUCCESS\n");
	return 0;
}
