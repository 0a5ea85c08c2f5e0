/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xive_hcall.c - the H_INT_ calls of a guest in XIVE's native mode.
 *
 * KVM's device is asked for nothing that it would complain about in the
 * host's log: every argument is checked here first.
 */
#include <errno.h>

#include "arch/ppc64le/layout.h"
#include "arch/ppc64le/papr.h"
#include "arch/ppc64le/xive.h"
#include "memory/guestmem.h"

enum {
	H_INT_GET_SOURCE_INFO = 0x3a8,
	H_INT_SET_SOURCE_CONFIG = 0x3ac,
	H_INT_GET_SOURCE_CONFIG = 0x3b0,
	H_INT_GET_QUEUE_INFO = 0x3b4,
	H_INT_SET_QUEUE_CONFIG = 0x3b8,
	H_INT_GET_QUEUE_CONFIG = 0x3bc,
	H_INT_ESB = 0x3c8,
	H_INT_SYNC = 0x3cc,
	H_INT_RESET = 0x3d0,
};

#define SET_NUMBER    2u /* of SET_SOURCE_CONFIG */
#define SET_MASK      1u
#define ALWAYS_NOTIFY 1u /* of the queue calls */
#define QUEUE_DEBUG   1u /* of GET_QUEUE_CONFIG */
#define ESB_STORE     1u /* of ESB */
#define TOGGLE_SHIFT  62
#define NUMBER_MAX    ((UINT64_C(1) << 31) - 1)
#define PAGE_LOG2     XIVE_QUEUE_LOG2 /* of the pages shown: xive_offered */
#define NO_QUEUE_PAGE 0

static bool good_priority(uint64_t priority)
{
	return priority < XIVE_PRIORITIES;
}

static int64_t source_info(struct xive *x, uint64_t *args)
{
	uint64_t page = UINT64_C(1) << PAGE_LOG2;
	uint64_t at = LAYOUT_XIVE_ESB + args[1] * 2 * page;

	if (args[0])
		return H_PARAMETER;
	if (args[1] >= x->sources)
		return H_P2;
	args[0] = 0;
	args[1] = at + page; /* control */
	args[2] = at;	     /* trigger */
	args[3] = PAGE_LOG2;
	return H_SUCCESS;
}

static int64_t set_source(struct xive *x, const uint64_t *args)
{
	struct xive_target to;
	uint64_t flags = args[0];

	if (flags & ~(uint64_t)(SET_NUMBER | SET_MASK))
		return H_PARAMETER;
	if (args[1] >= x->sources)
		return H_P2;
	to = x->target[args[1]];
	if (flags & SET_NUMBER) {
		if (args[4] > NUMBER_MAX)
			return H_P5;
		to.number = (uint32_t)args[4];
	}
	if (flags & SET_MASK || args[3] == XIVE_MASKED) {
		to.priority = XIVE_MASKED;
	} else {
		if (args[2] >= x->sources)
			return H_P3;
		if (!good_priority(args[3]))
			return H_P4;
		to.server = (uint32_t)args[2];
		to.priority = (uint8_t)args[3];
	}
	/* Also: no queue is there for it. */
	return xive_set_target(x, (uint32_t)args[1], &to) < 0 ? H_HARDWARE
							      : H_SUCCESS;
}

static int64_t get_source(struct xive *x, uint64_t *args)
{
	const struct xive_target *to;

	if (args[0])
		return H_PARAMETER;
	if (args[1] >= x->sources)
		return H_P2;
	to = &x->target[args[1]];
	args[0] = to->server;
	args[1] = to->priority;
	args[2] = to->number;
	return H_SUCCESS;
}

/* Of the calls for a queue: arguments 2 and 3. */
static int64_t check_queue(const struct xive *x, const uint64_t *args)
{
	if (args[1] >= x->sources)
		return H_P2;
	return good_priority(args[2]) ? H_SUCCESS : H_P3;
}

/* Queues always notify, and have no page of control. */
static int64_t queue_info(struct xive *x, uint64_t *args)
{
	int64_t status = args[0] ? H_PARAMETER : check_queue(x, args);

	if (status != H_SUCCESS)
		return status;
	args[0] = NO_QUEUE_PAGE;
	args[1] = NO_QUEUE_PAGE;
	return H_SUCCESS;
}

static int64_t set_queue(const struct arch_vm *a, const uint64_t *args)
{
	struct xive *x = a->xive;
	struct xive_queue q = {.toggle = 1};
	int64_t status = args[0] & ~(uint64_t)ALWAYS_NOTIFY
				 ? H_PARAMETER
				 : check_queue(x, args);

	if (status != H_SUCCESS)
		return status;
	if (args[4]) { /* its size; 0: no queue any more */
		if (args[4] != XIVE_QUEUE_LOG2)
			return H_P5;
		if (!(args[0] & ALWAYS_NOTIFY))
			return H_PARAMETER;
		q.on = true;
		q.gpa = args[3];
		if (q.gpa & ((1u << XIVE_QUEUE_LOG2) - 1) ||
		    !guest_is_ram(a->slots, q.gpa, 1u << XIVE_QUEUE_LOG2))
			return H_P4;
	}
	return xive_set_queue(x, (uint32_t)args[1], (uint32_t)args[2], &q) < 0
		       ? H_HARDWARE
		       : H_SUCCESS;
}

static int64_t get_queue(struct xive *x, uint64_t *args)
{
	bool debug = args[0] & QUEUE_DEBUG;
	struct xive_queue q;
	int64_t status = args[0] & ~(uint64_t)QUEUE_DEBUG
				 ? H_PARAMETER
				 : check_queue(x, args);

	if (status != H_SUCCESS)
		return status;
	if (xive_get_queue(x, (uint32_t)args[1], (uint32_t)args[2], &q) < 0)
		return H_HARDWARE;
	args[0] = q.on ? ALWAYS_NOTIFY : 0;
	args[1] = q.on ? q.gpa : 0;
	args[2] = q.on ? XIVE_QUEUE_LOG2 : 0;
	args[3] = q.on && debug ? (uint64_t)q.toggle << TOGGLE_SHIFT | q.index
				: 0;
	return H_SUCCESS;
}

static int64_t do_esb(struct xive *x, uint64_t *args)
{
	if (args[0] & ~(uint64_t)ESB_STORE)
		return H_PARAMETER;
	if (args[1] >= x->sources)
		return H_P2;
	if (args[2] >= UINT64_C(1) << PAGE_LOG2 || args[2] % sizeof(uint64_t))
		return H_P3;
	if (args[0] & ESB_STORE) {
		xive_esb_store(x, (uint32_t)args[1], args[2], args[3]);
		args[0] = UINT64_MAX;
	} else {
		args[0] = xive_esb_load(x, (uint32_t)args[1], args[2]);
	}
	return H_SUCCESS;
}

static int64_t do_sync(struct xive *x, const uint64_t *args)
{
	if (args[0])
		return H_PARAMETER;
	if (args[1] >= x->sources)
		return H_P2;
	return xive_sync(x, (uint32_t)args[1]) < 0 ? H_HARDWARE : H_SUCCESS;
}

static int64_t do_reset(struct xive *x, const uint64_t *args)
{
	if (args[0])
		return H_PARAMETER;
	return xive_reset(x) < 0 ? H_HARDWARE : H_SUCCESS;
}

static int64_t answer(const struct arch_vm *a, uint64_t nr, uint64_t *args)
{
	struct xive *x = a->xive;

	switch (nr) {
	case H_INT_GET_SOURCE_INFO:
		return source_info(x, args);
	case H_INT_SET_SOURCE_CONFIG:
		return set_source(x, args);
	case H_INT_GET_SOURCE_CONFIG:
		return get_source(x, args);
	case H_INT_GET_QUEUE_INFO:
		return queue_info(x, args);
	case H_INT_SET_QUEUE_CONFIG:
		return set_queue(a, args);
	case H_INT_GET_QUEUE_CONFIG:
		return get_queue(x, args);
	case H_INT_ESB:
		return do_esb(x, args);
	case H_INT_SYNC:
		return do_sync(x, args);
	case H_INT_RESET:
		return do_reset(x, args);
	default: /* "OS reporting lines" */
		return H_FUNCTION;
	}
}

bool xive_hcall(struct arch_vm *a, uint64_t nr, uint64_t args[BUS_HCALL_ARGS],
		int64_t *status)
{
	if (!a->xive || nr < H_INT_GET_SOURCE_INFO || nr > H_INT_RESET)
		return false;
	pthread_mutex_lock(&a->xive->lock);
	*status = answer(a, nr, args);
	pthread_mutex_unlock(&a->xive->lock);
	return true;
}
