/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/diverge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/num.h"
#include "base/scan.h"

#define SCAN_REGIONS 128

/* pagemap.rst: one 64-bit word a page. */
#define MAP_FILE    (UINT64_C(1) << 61)
#define MAP_SWAPPED (UINT64_C(1) << 62)
#define MAP_PRESENT (UINT64_C(1) << 63)
#define MAP_WORDS   512

int diverge_open(struct mote_err *err)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "/proc/self/pagemap: %s",
			       strerror(errno));
	return fd;
}

static void set_range(uint64_t *bits, uint64_t first, uint64_t end)
{
	while (first < end)
		bitmap_set(bits, first++);
}

/* Pages without category skip.  -ENOTTY: this kernel has no such call. */
static int by_scan(int fd, uint64_t addr, uint64_t len, uint64_t skip,
		   uint64_t *bits)
{
	struct scan_region region[SCAN_REGIONS];
	size_t page = host_page_size();
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = addr,
		.end = addr + len,
		.vec = (uintptr_t)region,
		.vec_len = SCAN_REGIONS,
		.category_inverted = skip,
		.category_mask = skip,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT,
	};

	while (arg.start < arg.end) {
		int n = ioctl(fd, SCAN, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++)
			set_range(bits, (region[i].start - addr) / page,
				  (region[i].end - addr) / page);
		arg.start = arg.walk_end;
	}
	return 0;
}

static int by_reading(int fd, uint64_t addr, uint64_t len, uint64_t skip,
		      uint64_t *bits)
{
	uint64_t word[MAP_WORDS], page = host_page_size();
	uint64_t pages = len / page;

	for (uint64_t at = 0; at < pages; at += MAP_WORDS) {
		uint64_t n = num_min(MAP_WORDS, pages - at);
		int ret = fd_pread_full(fd, word, n * sizeof(word[0]),
					(addr / page + at) * sizeof(word[0]));

		if (ret < 0)
			return ret;
		for (uint64_t i = 0; i < n; i++)
			if (!(word[i] & skip) &&
			    (word[i] & (MAP_PRESENT | MAP_SWAPPED)))
				bitmap_set(bits, at + i);
	}
	return 0;
}

static int scan(int fd, const void *addr, size_t len, bool file, uint64_t *bits,
		struct mote_err *err)
{
	int ret = by_scan(fd, (uintptr_t)addr, len, file ? 0 : SCAN_FILE, bits);

	if (ret == -ENOTTY || ret == -EINVAL)
		ret = by_reading(fd, (uintptr_t)addr, len, file ? 0 : MAP_FILE,
				 bits);
	if (ret < 0)
		return err_set(err, -ret, "page map: %s", strerror(-ret));
	return 0;
}

int diverge_scan(int pagemap_fd, const void *addr, size_t len, uint64_t *bits,
		 struct mote_err *err)
{
	return scan(pagemap_fd, addr, len, false, bits, err);
}

int diverge_touched(int pagemap_fd, const void *addr, size_t len,
		    uint64_t *bits, struct mote_err *err)
{
	return scan(pagemap_fd, addr, len, true, bits, err);
}
