/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

int event_init(struct event_queue *q, struct mote_err *err)
{
	atomic_init(&q->pending, 0);
	atomic_init(&q->over, false);
	atomic_init(&q->exit_code, 0);
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0)
		return err_set(err, errno, "eventfd: %s", strerror(errno));
	return 0;
}

void event_fini(struct event_queue *q)
{
	fd_clear(&q->fd);
}

void event_signal(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void event_post(struct event_queue *q, unsigned int bits)
{
	/* Who adds a bit wakes; all bits already there means awake soon. */
	if ((atomic_fetch_or(&q->pending, bits) & bits) == bits)
		return;
	event_signal(q->fd);
}

void event_end(struct event_queue *q, unsigned int bit, int code)
{
	if (atomic_exchange(&q->over, true))
		return;
	atomic_store(&q->exit_code, code);
	event_post(q, bit);
}

void event_rewind(struct event_queue *q)
{
	atomic_store(&q->exit_code, 0);
	atomic_store(&q->over, false);
	event_take(q);
}

unsigned int event_take(struct event_queue *q)
{
	uint64_t count;

	/* Clear first: a post between the two leaves the fd readable. */
	while (read(q->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	return atomic_exchange(&q->pending, 0);
}
