/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
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

/*
 * Map size bytes of fd (-1: anonymous) at an address aligned to align; flags
 * say how it is shared.
 */
static int map_aligned(struct map *m, int flags, int fd, uint64_t off,
		       size_t size, size_t align, struct mote_err *err)
{
	const int prot = PROT_READ | PROT_WRITE;
	uint64_t total;
	uintptr_t base;
	void *p;

	if (fd < 0)
		flags |= MAP_ANONYMOUS;
	p = mmap(NULL, size, prot, flags, fd, (off_t)off);
	if (p == MAP_FAILED)
		return err_set(err, errno, "mmap of %zu bytes: %s", size,
			       strerror(errno));
	/*
	 * Large ones are aligned by the kernel since Linux 6.7, and of files
	 * where these can have huge pages; what is unmapped costs a call to
	 * each VM of the process.
	 */
	if (align <= host_page_size() || (uintptr_t)p % align == 0)
		return map_take(m, p, size, p, size);
	munmap(p, size);

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
	return map_aligned(m, MAP_PRIVATE | MAP_NORESERVE, -1, 0, size, align,
			   err);
}

static int no_huge_pages(size_t size, size_t huge, int code,
			 struct mote_err *err)
{
	return err_set_class(err, code, ERR_CLASS_UNAVAILABLE,
			     "%zu huge pages of %zu bytes: %s (see "
			     "vm.nr_hugepages)",
			     size / huge, huge, strerror(code));
}

static int check_huge(size_t size, size_t huge, struct mote_err *err)
{
	if (size % huge == 0)
		return 0;
	return err_set_class(err, EINVAL, ERR_CLASS_DATA,
			     "%zu bytes are no multiple of the huge page "
			     "size, %zu",
			     size, huge);
}

int map_anon_huge(struct map *m, size_t size, size_t huge, struct mote_err *err)
{
	/* The size is in the flags as a power of two (mmap(2)). */
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		    __builtin_ctzl(huge) << MAP_HUGE_SHIFT;
	int ret = check_huge(size, huge, err);
	void *p;

	if (ret < 0)
		return ret;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return no_huge_pages(size, huge, errno, err);
	return map_take(m, p, size, p, size);
}

/* A memfd of that size for good. */
static int make_memfd(size_t size, size_t huge, struct mote_err *err)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	cleanup_fd int fd = -1;

	if (huge)
		flags |= MFD_HUGETLB | (unsigned int)__builtin_ctzl(huge)
					       << MFD_HUGE_SHIFT;
	fd = memfd_create("mote guest RAM", flags);
	if (fd < 0 && huge)
		return no_huge_pages(size, huge, errno, err);
	if (fd < 0)
		return err_set(err, errno, "memfd: %s", strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0)
		return err_set(err, errno, "memfd of %zu bytes: %s", size,
			       strerror(errno));
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return err_set(err, errno, "seals of a memfd: %s",
			       strerror(errno));
	return fd_steal(&fd);
}

int map_memfd(struct map *m, size_t size, size_t align, size_t huge, int *fd,
	      struct mote_err *err)
{
	cleanup_fd int memfd = -1;
	int ret = huge ? check_huge(size, huge, err) : 0;

	if (ret < 0)
		return ret;
	memfd = make_memfd(size, huge, err);
	if (memfd < 0)
		return memfd;
	/* Reserved pages are counted here, so that a lack shows now. */
	ret = map_aligned(m, huge ? MAP_SHARED : MAP_SHARED | MAP_NORESERVE,
			  memfd, 0, size, huge > align ? huge : align, err);
	if (ret == -ENOMEM && huge)
		return no_huge_pages(size, huge, ENOMEM, err);
	if (ret < 0)
		return ret;
	*fd = fd_steal(&memfd);
	return 0;
}

int map_lock(const struct map *m, struct mote_err *err)
{
	struct rlimit limit = {0};
	int ret = mlock2(m->addr, m->size, MLOCK_ONFAULT);

	if (ret < 0 && (errno == ENOSYS || errno == EINVAL))
		ret = mlock(m->addr, m->size);
	if (ret == 0)
		return 0;
	ret = errno;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return err_set_class(err, ret, ERR_CLASS_PERM,
			     "lock of %zu bytes: %s: RLIMIT_MEMLOCK is %llu "
			     "bytes (ulimit -l)",
			     m->size, strerror(ret),
			     (unsigned long long)limit.rlim_cur);
}

void map_want_huge(const struct map *m)
{
	madvise(m->addr, m->size, MADV_HUGEPAGE);
}

int map_file_private(struct map *m, int fd, uint64_t off, size_t size,
		     size_t align, struct mote_err *err)
{
	return map_aligned(m, MAP_PRIVATE | MAP_NORESERVE, fd, off, size, align,
			   err);
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
