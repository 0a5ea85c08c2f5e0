/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_solo5.c - any file as a Solo5 image: notes, manifest, segments and
 * the tables that are built for it.  What is taken lies within memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/common/solo5.h"
#include "base/err.h"
#include "base/fd.h"
#include "fuzz/support/fuzz.h"

#define MEMORY (UINT64_C(8) << 20)

static void check(const struct solo5_image *img)
{
	uint64_t last = HVT_IMAGE_BASE;

	require(img->entry >= HVT_IMAGE_BASE && img->entry < img->end, "entry");
	for (int i = 0; i < img->segs; i++) {
		const struct solo5_segment *s = &img->seg[i];

		require(s->start >= last && s->start < s->end, "order");
		require(s->end <= MEMORY, "outside the memory");
		require((s->prot & (SOLO5_W | SOLO5_X)) != (SOLO5_W | SOLO5_X),
			"writable and executable");
		last = s->end;
	}
	require(img->mft.entries >= 1 && img->mft.entries <= SOLO5_MFT_MAX,
		"entries");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct solo5_image img;
	static struct elf_file f;
	struct mote_err err = {0};
	int fd = memfd_create("solo5", MFD_CLOEXEC);
	int ret;

	require(fd >= 0 && fd_write_full(fd, data, size) == 0, "no file");
	ret = elf_open(&f, fd, EM_X86_64, &err);
	if (ret == 0)
		ret = solo5_read(&img, &f, MEMORY, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		check(&img);
	close(fd);
	/* The manifest alone, without the luck of a whole image. */
	if (size <= sizeof(struct solo5_mft)) {
		static struct solo5_mft mft;

		memset(&mft, 0, sizeof(mft));
		memcpy(&mft, data, size);
		solo5_check_manifest(&mft, size, NULL);
	}
	return 0;
}
