/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <errno.h>
#include <linux/mman.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"

static atomic_int live; /* a counter for tests, not state */

size_t host_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int map_live(void)
{
	return atomic_load(&live);
}

static int map_take(struct map *m, void *addr, size_t size, void *reserve,
		    size_t reserve_size)
{
	*m = (struct map){
		.addr = addr,
		.size = size,
		.reserve = reserve,
		.reserve_size = reserve_size,
	};
	atomic_fetch_add(&live, 1);
	return 0;
}

/* Map size bytes of fd (-1: anonymous) at an address aligned to align. */
static int map_aligned(struct map *m, int fd, uint64_t off, size_t size,
		       size_t align, struct mote_err *err)
{
	int flags = MAP_PRIVATE | MAP_NORESERVE;
	const int prot = PROT_READ | PROT_WRITE;
	uint64_t total;
	uintptr_t base;
	void *p;

	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	if (align <= host_page_size()) {
		p = mmap(NULL, size, prot, flags, fd, (off_t)off);
		if (p == MAP_FAILED)
			return err_set(err, errno, "mmap of %zu bytes: %s",
				       size, strerror(errno));
		return map_take(m, p, size, p, size);
	}

	if (!num_add(size, align, &total))
		return err_set(err, ENOMEM, "mmap of %zu bytes: too large",
			       size);
	p = mmap(NULL, total, fd < 0 ? prot : PROT_NONE,
		 MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_set(err, errno, "mmap of %zu bytes: %s", size,
			       strerror(errno));
	base = ((uintptr_t)p + align - 1) & ~((uintptr_t)align - 1);
	if (fd >= 0 && mmap((void *)base, size, prot, flags | MAP_FIXED, fd,
			    (off_t)off) == MAP_FAILED) {
		int code = errno;

		munmap(p, total);
		return err_set(err, code, "mmap of %zu bytes of a file: %s",
			       size, strerror(code));
	}
	return map_take(m, (void *)base, size, p, total);
}

int map_anon(struct map *m, size_t size, size_t align, struct mote_err *err)
{
	return map_aligned(m, -1, 0, size, align, err);
}

int map_anon_huge(struct map *m, size_t size, size_t huge, struct mote_err *err)
{
	/* The size is in the flags as a power of two (mmap(2)). */
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		    __builtin_ctzl(huge) << MAP_HUGE_SHIFT;
	void *p;

	if (size % huge)
		return err_set_class(
			err, EINVAL, ERR_CLASS_DATA,
			"%zu bytes are no multiple of the huge page "
			"size, %zu",
			size, huge);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return err_set_class(err, errno, ERR_CLASS_UNAVAILABLE,
				     "%zu huge pages of %zu bytes: %s (see "
				     "vm.nr_hugepages)",
				     size / huge, huge, strerror(errno));
	return map_take(m, p, size, p, size);
}

void map_want_huge(const struct map *m)
{
	madvise(m->addr, m->size, MADV_HUGEPAGE);
}

int map_file_private(struct map *m, int fd, uint64_t off, size_t size,
		     size_t align, struct mote_err *err)
{
	return map_aligned(m, fd, off, size, align, err);
}

int map_shared(struct map *m, int fd, uint64_t off, size_t size, int prot,
	       struct mote_err *err)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)off);

	if (p == MAP_FAILED)
		return err_set(err, errno, "mmap of %zu shared bytes: %s", size,
			       strerror(errno));
	return map_take(m, p, size, p, size);
}

void map_fini(struct map *m)
{
	if (!m->addr)
		return;
	munmap(m->reserve, m->reserve_size);
	atomic_fetch_sub(&live, 1);
	*m = (struct map){0};
}

struct map map_steal(struct map *m)
{
	struct map ret = *m;

	*m = (struct map){0};
	return ret;
}
