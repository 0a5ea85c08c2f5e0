/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/sigbus.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/event.h"
#include "base/map.h"

#define RANGES_MAX 8192

/* A free one has no length; begin and the rest are set before it gets one. */
static struct range {
	atomic_uintptr_t begin;
	atomic_size_t len;
	atomic_bool taken;
	atomic_bool *lost;
	struct event_queue *events;
} range[RANGES_MAX];

static atomic_int used; /* none from here on was ever taken */

__thread sigjmp_buf *volatile sigbus_jump SIGBUS_TLS;

static void publish(struct range *r, int number, void *addr, size_t len)
{
	int top = atomic_load(&used);

	while (top <= number &&
	       !atomic_compare_exchange_weak(&used, &top, number + 1))
		;
	atomic_store(&r->begin, (uintptr_t)addr);
	atomic_store(&r->len, len);
}

int sigbus_watch(void *addr, size_t len, atomic_bool *lost,
		 struct event_queue *events)
{
	for (int i = 0; i < RANGES_MAX; i++) {
		struct range *r = &range[i];
		bool no = false;

		if (!atomic_compare_exchange_strong(&r->taken, &no, true))
			continue;
		r->lost = lost;
		r->events = events;
		publish(r, i, addr, len);
		return i;
	}
	return -ENOSPC;
}

void sigbus_unwatch(int number)
{
	if (number < 0)
		return;
	atomic_store(&range[number].len, 0);
	atomic_store(&range[number].taken, false);
}

static const struct range *find(uintptr_t addr)
{
	for (int i = 0, n = atomic_load(&used); i < n; i++) {
		const struct range *r = &range[i];

		if (addr - atomic_load(&r->begin) < atomic_load(&r->len))
			return r;
	}
	return NULL;
}

/* A page of zeros, so that the access comes to its end. */
static bool fill(uintptr_t addr)
{
	size_t page = host_page_size();

	return mmap((void *)(addr & ~(page - 1)), page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != MAP_FAILED;
}

static void unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool sigbus_handle(const siginfo_t *info)
{
	/* One that was sent has no address. */
	const struct range *r =
		info->si_code > 0 ? find((uintptr_t)info->si_addr) : NULL;
	int saved = errno;
	bool done;

	if (!r)
		return false;
	atomic_store(r->lost, true);
	event_end(r->events, EVENT_CRASH, 0);
	if (sigbus_jump) {
		unblock(); /* the handler's return would have */
		siglongjmp(*sigbus_jump, 1);
	}
	done = fill((uintptr_t)info->si_addr);
	errno = saved;
	return done;
}
