/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/guestmem.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "base/fd.h"
#include "base/num.h"
#include "memory/memslot.h"
#include "memory/sigbus.h"

/* The one translation of a guest address. */
static const struct memslot *find(const struct memslot_table *t, uint64_t gpa,
				  uint64_t len, uint64_t *off)
{
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slot[i];

		if (!s->ram.addr || gpa < s->gpa)
			continue;
		*off = gpa - s->gpa;
		if (num_within(*off, len, s->ram.size))
			return s;
	}
	return NULL;
}

static bool writable(const struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	for (int i = 0; i < t->readonlys; i++)
		if (gpa < t->readonly[i].end && t->readonly[i].gpa < gpa + len)
			return false;
	return true;
}

static void mark(const struct memslot *s, uint64_t off, uint64_t len)
{
	size_t page = host_page_size();

	if (len == 0)
		return;
	for (uint64_t i = off / page; i <= (off + len - 1) / page; i++)
		bitmap_set_atomic(s->dirty, i);
}

/* memcpy that fails where the file behind guest RAM was cut short. */
static int copy(void *to, const void *from, size_t len)
{
	sigjmp_buf here;
	int ret = -EFAULT;

	if (sigsetjmp(here, 0) == 0) {
		sigbus_jump = &here;
		memcpy(to, from, len);
		ret = 0;
	}
	sigbus_jump = NULL;
	return ret;
}

bool guest_is_ram(const struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	uint64_t off;

	return find(t, gpa, len, &off) != NULL;
}

int guest_read(const struct memslot_table *t, uint64_t gpa, void *buf,
	       size_t len)
{
	const void *src = guest_map_read(t, gpa, len);

	if (!src)
		return -EFAULT;
	return copy(buf, src, len);
}

int guest_write(struct memslot_table *t, uint64_t gpa, const void *buf,
		size_t len)
{
	uint64_t off;
	const struct memslot *s = find(t, gpa, len, &off);
	int ret;

	if (!s || !writable(t, gpa, len))
		return -EFAULT;
	ret = copy((char *)s->ram.addr + off, buf, len);
	/* Last: marked first, a harvest between the two would lose it. */
	mark(s, off, len);
	return ret;
}

static int load16(const uint16_t *from, uint16_t *to)
{
	sigjmp_buf here;
	int ret = -EFAULT;

	if (sigsetjmp(here, 0) == 0) {
		sigbus_jump = &here;
		*to = __atomic_load_n(from, __ATOMIC_ACQUIRE);
		ret = 0;
	}
	sigbus_jump = NULL;
	return ret;
}

static int store16(uint16_t *to, uint16_t val)
{
	sigjmp_buf here;
	int ret = -EFAULT;

	if (sigsetjmp(here, 0) == 0) {
		sigbus_jump = &here;
		__atomic_store_n(to, val, __ATOMIC_RELEASE);
		ret = 0;
	}
	sigbus_jump = NULL;
	return ret;
}

/* Little-endian, as every guest of ours is, on hosts that are too. */
int guest_load16(const struct memslot_table *t, uint64_t gpa, uint16_t *out)
{
	const void *src = guest_map_read(t, gpa, sizeof(*out));

	return !src || gpa % sizeof(*out) ? -EFAULT : load16(src, out);
}

int guest_store16(struct memslot_table *t, uint64_t gpa, uint16_t val)
{
	void *dst = guest_map_write(t, gpa, sizeof(val));
	int ret = !dst || gpa % sizeof(val) ? -EFAULT : store16(dst, val);

	guest_written(t, gpa, sizeof(val)); /* last, as in guest_write */
	return ret;
}

int guest_write_fd(struct memslot_table *t, uint64_t gpa, int fd, uint64_t off,
		   uint64_t len)
{
	void *dst = guest_map_write(t, gpa, len);

	if (!dst)
		return -EFAULT;
	return fd_pread_full(fd, dst, len, off);
}

void guest_written(struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	uint64_t off;
	const struct memslot *s = find(t, gpa, len, &off);

	if (s)
		mark(s, off, len);
}

int guest_protect(struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	uint64_t page = host_page_size(), off, skip;
	const struct memslot *s = find(t, gpa, len, &off);

	if (!s)
		return -EFAULT;
	skip = (page - off % page) % page;
	if (len < skip + page)
		return 0;
	gpa += skip;
	off += skip;
	len = (len - skip) / page * page;
	if (t->readonlys == MEMSLOT_READONLY_MAX)
		return -ENOSPC;
	if (mprotect((char *)s->ram.addr + off, len, PROT_READ) < 0)
		return -errno;
	t->readonly[t->readonlys++] =
		(struct memslot_readonly){.gpa = gpa, .end = gpa + len};
	return 0;
}

int guest_zero(struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	void *dst = guest_map_write(t, gpa, len);

	if (!dst)
		return -EFAULT;
	memset(dst, 0, len);
	return 0;
}

void *guest_map_write(struct memslot_table *t, uint64_t gpa, uint64_t len)
{
	uint64_t off;
	const struct memslot *s = find(t, gpa, len, &off);

	if (!s || !writable(t, gpa, len))
		return NULL;
	mark(s, off, len);
	return (char *)s->ram.addr + off;
}

const void *guest_map_read(const struct memslot_table *t, uint64_t gpa,
			   uint64_t len)
{
	uint64_t off;
	const struct memslot *s = find(t, gpa, len, &off);

	return s ? (const char *)s->ram.addr + off : NULL;
}
