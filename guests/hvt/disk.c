/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - a Solo5 hvt guest with two disks: copies "from" to "to", sector
 * by sector, reads it back, and tries what must be refused.
 */
#include "hvt.h"

HVT_ABI_NOTE(SOLO5_TARGET_HVT, HVT_ABI_VERSION);
HVT_MANIFEST(2, HVT_BLOCK_NAMED("from"), HVT_BLOCK_NAMED("to"));

#define FROM 1
#define TO   2
#define MAX  32768

static uint8_t a[MAX], b[MAX];

static int refused(uint64_t size, uint64_t sector)
{
	return hvt_disk(0, FROM, size, a, sector) == HVT_EINVAL &&
	       hvt_disk(0, FROM, size - sector, a, 2 * sector) == HVT_EINVAL &&
	       hvt_disk(1, TO, UINT64_MAX - 511, a, 512) == HVT_EINVAL &&
	       hvt_disk(0, FROM, 0, a, UINT64_MAX) == HVT_EINVAL &&
	       hvt_disk(0, 0, 0, a, sector) == HVT_EINVAL &&
	       hvt_disk(0, 3, 0, a, sector) == HVT_EINVAL &&
	       hvt_disk(0, UINT64_MAX, 0, a, sector) == HVT_EINVAL;
}

int hvt_main(const struct hvt_boot_info *bi)
{
	const struct solo5_mft *mft = (const void *)(uintptr_t)bi->mft;
	uint64_t size = mft->e[FROM].u.block.capacity;
	uint64_t sector = mft->e[FROM].u.block.block_size;

	say("capacity ");
	say_u64(size);
	say(" sector ");
	say_u64(sector);
	say("\n");
	if (!mft->e[FROM].attached || !mft->e[TO].attached ||
	    mft->e[TO].u.block.capacity < size || sector > MAX)
		return 1;
	for (uint64_t off = 0; off < size; off += sector) {
		int r = hvt_disk(0, FROM, off, a, sector);
		int w = r ? r : hvt_disk(1, TO, off, a, sector);
		int again = w ? w : hvt_disk(0, TO, off, b, sector);

		for (uint64_t i = 0; !again && i < sector; i++)
			if (a[i] != b[i])
				again = -1;
		if (r || w || again) {
			say("FAILURE at ");
			say_u64(off);
			say("\n");
			return r ? 10 + r : w ? 20 + w : 30;
		}
	}
	if (!refused(size, sector)) {
		say("FAILURE: a bad request was served\n");
		return 2;
	}
	say("SUCCESS\n");
	return 0;
}
