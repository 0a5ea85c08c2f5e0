/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/memslot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"

static bool page_aligned(uint64_t v)
{
	return (v & (host_page_size() - 1)) == 0;
}

static bool in_use(const struct memslot *s)
{
	return s->ram.addr != NULL;
}

static bool overlaps(const struct memslot_table *t, uint64_t gpa, uint64_t end)
{
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slot[i];

		if (in_use(s) && gpa < s->gpa + s->ram.size && s->gpa < end)
			return true;
	}
	return false;
}

static int find_free(const struct memslot_table *t)
{
	for (int i = 0; i < MEMSLOT_MAX; i++)
		if (!in_use(&t->slot[i]))
			return i;
	return -1;
}

void memslot_init(struct memslot_table *t, int vm_fd)
{
	memset(t, 0, sizeof(*t));
	t->vm_fd = vm_fd;
}

void memslot_fini(struct memslot_table *t)
{
	for (int i = 0; i < MEMSLOT_MAX; i++)
		if (in_use(&t->slot[i]))
			memslot_remove(t, i, NULL);
}

static int check_range(const struct memslot_table *t, uint64_t gpa,
		       uint64_t size, struct mote_err *err)
{
	uint64_t end;

	if (size == 0 || !page_aligned(gpa | size) || !num_add(gpa, size, &end))
		return err_set(err, EINVAL, "bad range: gpa=0x%" PRIx64, gpa);
	if (overlaps(t, gpa, end))
		return err_set(err, EEXIST, "0x%" PRIx64 " is taken", gpa);
	return 0;
}

int memslot_add_map(struct memslot_table *t, uint64_t gpa, struct map *ram,
		    struct mote_err *err)
{
	cleanup_free uint64_t *dirty = NULL;
	int id, ret;

	ret = check_range(t, gpa, ram->size, err);
	if (ret < 0)
		return ret;
	id = find_free(t);
	if (id < 0)
		return err_set(err, ENOSPC, "all %d slots used", MEMSLOT_MAX);
	dirty = calloc(bitmap_words(ram->size / host_page_size()),
		       sizeof(uint64_t));
	if (!dirty)
		return err_set(err, ENOMEM, "slot %d: out of memory", id);
	ret = t->lock ? map_lock(ram, err) : 0;
	if (ret < 0)
		return err_wrap(err, ret, "memory.lock");
	ret = kvm_set_memory(t->vm_fd, (uint32_t)id, t->flags, gpa, ram->size,
			     ram->addr);
	if (ret < 0)
		return err_set(err, -ret, "KVM refused slot %d: %s", id,
			       strerror(-ret));

	/* Nothing can fail from here: the table takes the mapping over. */
	t->slot[id] = (struct memslot){.gpa = gpa,
				       .ram = map_steal(ram),
				       .dirty = ptr_steal(&dirty),
				       .fd = -1};
	return id;
}

int memslot_add(struct memslot_table *t, uint64_t gpa, uint64_t size,
		struct mote_err *err)
{
	cleanup_map struct map ram = {0};
	cleanup_fd int fd = -1;
	int ret;

	ret = check_range(t, gpa, size, err);
	if (ret < 0)
		return ret;
	if (t->shared)
		ret = map_memfd(&ram, size, MEMSLOT_ALIGN, t->huge, &fd, err);
	else if (t->huge)
		ret = map_anon_huge(&ram, size, t->huge, err);
	else
		ret = map_anon(&ram, size, MEMSLOT_ALIGN, err);
	if (ret < 0)
		return err_wrap(err, ret, "guest RAM");
	if (t->thp)
		map_want_huge(&ram);
	ret = memslot_add_map(t, gpa, &ram, err);
	if (ret >= 0)
		t->slot[ret].fd = fd_steal(&fd);
	return ret;
}

int memslot_remove(struct memslot_table *t, int id, struct mote_err *err)
{
	struct memslot *s;
	int ret = 0;

	assert(id >= 0 && id < MEMSLOT_MAX);
	s = &t->slot[id];
	/*
	 * A closed VM has no slots left.  The memory goes only after KVM has
	 * let go of it: the other order would leave KVM a stale address.
	 */
	if (t->vm_fd >= 0)
		ret = kvm_set_memory(t->vm_fd, (uint32_t)id, 0, s->gpa, 0,
				     NULL);
	if (ret < 0)
		return err_set(err, -ret, "KVM kept slot %d", id);
	map_fini(&s->ram);
	fd_clear(&s->fd);
	free(s->dirty);
	*s = (struct memslot){0};
	return 0;
}

/* The first failure is told; the other slots are switched all the same. */
int memslot_count(const struct memslot_table *t)
{
	int n = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++)
		n += t->slot[i].ram.addr != NULL;
	return n;
}

/* What the host's page tables keep the guest from writing, once more. */
static int protect_again(const struct memslot_table *t, const struct memslot *s)
{
	for (int i = 0; i < t->readonlys; i++) {
		uint64_t off = t->readonly[i].gpa - s->gpa;

		if (mprotect((char *)s->ram.addr + off,
			     t->readonly[i].end - t->readonly[i].gpa,
			     PROT_READ) < 0)
			return -errno;
	}
	return 0;
}

int memslot_freeze(struct memslot_table *t, struct mote_err *err)
{
	struct memslot *only = NULL;
	int ret;

	for (int i = 0; i < MEMSLOT_MAX; i++)
		if (t->slot[i].ram.addr)
			only = &t->slot[i];
	if (!only || memslot_count(t) != 1 || only->fd < 0 || t->huge)
		return err_set(err, EINVAL, "memory: not shared, or not whole");
	if (mmap(only->ram.addr, only->ram.size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, only->fd,
		 0) == MAP_FAILED)
		return err_set(err, errno, "memory: %s", strerror(errno));
	ret = protect_again(t, only);
	if (ret < 0)
		return err_set(err, -ret, "memory: %s", strerror(-ret));
	ret = t->lock ? map_lock(&only->ram, err) : 0;
	return ret < 0 ? ret : only->fd;
}

static int set_flags(struct memslot_table *t, uint32_t flags,
		     struct mote_err *err)
{
	int first = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		struct memslot *s = &t->slot[i];
		int ret;

		if (!in_use(s))
			continue;
		ret = kvm_set_memory(t->vm_fd, (uint32_t)i, flags, s->gpa,
				     s->ram.size, s->ram.addr);
		if (ret < 0 && !first)
			first = err_set(err, -ret,
					"slot %d: KVM %s dirty logging: %s", i,
					flags ? "refused" : "did not end",
					strerror(-ret));
	}
	t->flags = flags;
	return first;
}

int memslot_log_dirty(struct memslot_table *t, bool on, struct mote_err *err)
{
	int ret = set_flags(t, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, err);

	if (ret < 0 && on)
		set_flags(t, 0, NULL);
	return ret;
}

void *memslot_page(const struct memslot_table *t, uint64_t page, uint64_t *n)
{
	uint64_t size = host_page_size();

	*n = 0;
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slot[i];
		uint64_t pages = s->ram.size / size;

		if (page < pages) {
			*n = pages - page;
			return (char *)s->ram.addr + page * size;
		}
		page -= pages;
	}
	return NULL;
}

uint64_t memslot_total(const struct memslot_table *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++)
		sum += t->slot[i].ram.size;
	return sum;
}
