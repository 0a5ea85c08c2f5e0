/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "memory/memslot.h"

int ring_enable(struct memslot_table *t, struct mote_err *err)
{
	uint32_t cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
	int ret, max = kvm_check_extension(t->vm_fd, cap);
	uint64_t args[4] = {0};

	if (max <= 0) { /* x86 before Linux 6.1, whose order is as strong */
		cap = KVM_CAP_DIRTY_LOG_RING;
		max = kvm_check_extension(t->vm_fd, cap);
	}
	if (max <= 0)
		return err_set_class(err, ENOTSUP, ERR_CLASS_UNAVAILABLE,
				     "memory.dirty_tracking: ring: this host's "
				     "KVM has no dirty ring: auto and bitmap "
				     "need none");
	t->rings = calloc(1, sizeof(*t->rings));
	if (!t->rings)
		return err_set(err, ENOMEM, "dirty rings");
	args[0] = num_min(RING_BYTES, (uint64_t)max);
	t->rings->entries = (uint32_t)(args[0] / sizeof(struct kvm_dirty_gfn));
	ret = kvm_enable_cap(t->vm_fd, cap, args);
	/*
	 * Where this exists (arm64) KVM also writes without a vCPU, the
	 * tables of the interrupt controller; and alone the rings were wrong.
	 */
	t->rings->bitmap =
		ret == 0 &&
		kvm_check_extension(t->vm_fd,
				    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP) > 0;
	if (t->rings->bitmap)
		ret = kvm_enable_cap(t->vm_fd,
				     KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, NULL);
	if (ret == 0)
		return 0;
	ring_fini(t);
	return err_set(err, -ret, "memory.dirty_tracking: ring: %s",
		       strerror(-ret));
}

int ring_add(struct memslot_table *t, int vcpu_fd, struct mote_err *err)
{
	struct ring_set *r = t->rings;
	int ret;

	if (!r)
		return 0;
	assert(r->count < RING_VCPUS_MAX);
	ret = map_shared(&r->vcpu[r->count].map, vcpu_fd,
			 RING_PAGE * host_page_size(),
			 r->entries * sizeof(struct kvm_dirty_gfn),
			 PROT_READ | PROT_WRITE, err);
	if (ret < 0)
		return err_wrap(err, ret, "dirty ring");
	r->count++;
	return 0;
}

void ring_fini(struct memslot_table *t)
{
	for (uint32_t i = 0; t->rings && i < t->rings->count; i++)
		map_fini(&t->rings->vcpu[i].map);
	free(t->rings);
	t->rings = NULL;
}

/* Address space and slot in one number; ours are all in space 0. */
static bool mark(const struct memslot_table *t, uint32_t slot, uint64_t page)
{
	const struct memslot *s;

	if (slot >= MEMSLOT_MAX)
		return false;
	s = &t->slot[slot];
	if (page >= s->ram.size / host_page_size())
		return false;
	bitmap_set_atomic(s->dirty, page);
	return true;
}

/* No more than it holds: KVM may fill it behind us. */
static void take(const struct memslot_table *t, struct ring *ring)
{
	struct ring_set *r = t->rings;
	struct kvm_dirty_gfn *gfn = ring->map.addr;

	for (uint32_t n = 0; n < r->entries; n++, ring->next++) {
		struct kvm_dirty_gfn *g = &gfn[ring->next % r->entries];

		/* Slot and offset are read after the flag that gives them. */
		if (__atomic_load_n(&g->flags, __ATOMIC_ACQUIRE) !=
		    KVM_DIRTY_GFN_F_DIRTY)
			return;
		if (!mark(t, g->slot, g->offset))
			r->stray = true;
		__atomic_store_n(&g->flags, KVM_DIRTY_GFN_F_RESET,
				 __ATOMIC_RELEASE);
		r->taken = true;
	}
}

int ring_collect(const struct memslot_table *t, struct mote_err *err)
{
	struct ring_set *r = t->rings;
	int ret;

	for (uint32_t i = 0; r && i < r->count; i++)
		take(t, &r->vcpu[i]);
	if (!r || !r->taken)
		return 0;
	ret = kvm_reset_dirty_rings(t->vm_fd);
	if (ret < 0)
		return err_set(err, -ret, "KVM_RESET_DIRTY_RINGS: %s",
			       strerror(-ret));
	r->taken = false;
	return 0;
}
