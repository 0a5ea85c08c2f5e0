/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref.h - an atomic reference count that refuses to rise from zero.
 *
 * Threads: any.  Overflow and underflow are our own bugs, so they assert.
 */
#ifndef VMM_BASE_REF_H
#define VMM_BASE_REF_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ref {
	atomic_int count;
};

#define REF_MAX (1 << 30)

static inline void ref_init(struct ref *r)
{
	atomic_init(&r->count, 1);
}

/* Take a reference unless the count is already zero. */
static inline bool ref_get(struct ref *r)
{
	int old = atomic_load_explicit(&r->count, memory_order_relaxed);

	do {
		if (old == 0)
			return false;
		assert(old > 0 && old < REF_MAX);
	} while (!atomic_compare_exchange_weak_explicit(
		&r->count, &old, old + 1, memory_order_acquire,
		memory_order_relaxed));
	return true;
}

/* Drop a reference; true for the last one, whose owner frees. */
static inline bool ref_put(struct ref *r)
{
	int old = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);

	assert(old > 0);
	return old == 1;
}

static inline int ref_count(const struct ref *r)
{
	return atomic_load_explicit(&r->count, memory_order_relaxed);
}

#endif
