/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/chardev.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/num.h"
#include "base/trigger.h"
#include "snapshot/stream.h"

#define CHUNK	4096u /* PIPE_BUF: a pipe that polls writable takes it */
#define MUCH	1024u
#define PACE_AT (CHARDEV_OUT / 4 * 3)

int chardev_init(struct chardev *c, int in_fd, int out_fd,
		 struct event_queue *events, atomic_bool *pace,
		 struct mote_err *err)
{
	memset(c, 0, sizeof(*c));
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->events = events;
	c->pace = pace;
	c->out = malloc(CHARDEV_OUT + CHARDEV_IN);
	if (!c->out)
		return err_set(err, ENOMEM, "console buffer");
	c->in = c->out + CHARDEV_OUT;
	pthread_mutex_init(&c->lock, NULL);
	return 0;
}

void chardev_fini(struct chardev *c)
{
	if (!c->out)
		return;
	free(c->out);
	c->out = NULL;
	pthread_mutex_destroy(&c->lock);
}

void chardev_attach(struct chardev *c, int in_fd, int out_fd)
{
	pthread_mutex_lock(&c->lock);
	c->keep = true;
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->out_failed = false;
	atomic_store_explicit(c->pace, out_fd >= 0 && c->out_len >= PACE_AT,
			      memory_order_relaxed);
	pthread_mutex_unlock(&c->lock);
	if (c->changed)
		c->changed(c->changed_opaque);
}

static void put_locked(struct chardev *c, uint8_t byte)
{
	bool read = c->out_fd >= 0;

	if (c->out_len == CHARDEV_OUT) {
		c->dropped++;
		if (read)
			return;
		/* Nobody flushes meanwhile, so the oldest may go. */
		c->out_head = (c->out_head + 1) % CHARDEV_OUT;
		c->out_len--;
	}
	c->out[(c->out_head + c->out_len++) % CHARDEV_OUT] = byte;
	if (read && c->out_len >= PACE_AT)
		atomic_store_explicit(c->pace, true, memory_order_relaxed);
}

void chardev_put(struct chardev *c, uint8_t byte)
{
	unsigned int events = 0;
	bool hit;

	pthread_mutex_lock(&c->lock);
	hit = trigger_scan(c->trigger, &byte, 1);
	if (c->out_fd >= 0 || c->keep)
		put_locked(c, byte);
	/* Wake for the first byte (a timer then runs), a line, or much. */
	if (c->out_fd >= 0 && c->out_len == 1)
		events |= EVENT_CONSOLE;
	if (c->out_fd >= 0 &&
	    (byte == '\n' || c->out_len == MUCH || c->out_len >= PACE_AT))
		events |= EVENT_CONSOLE | EVENT_LINE;
	pthread_mutex_unlock(&c->lock);
	if (hit)
		trigger_reached(c->trigger, TRIGGER_CONSOLE);
	if (events)
		event_post(c->events, events);
}

size_t chardev_write(struct chardev *c, const void *buf, size_t len)
{
	unsigned int events = 0;
	const uint8_t *p = buf;
	size_t n = 0;
	bool hit;

	pthread_mutex_lock(&c->lock);
	if (c->out_fd < 0 && !c->keep)
		n = len;
	/* Without a reader the oldest make room; with one, it does. */
	for (; n < len && (c->out_fd < 0 || c->out_len < CHARDEV_OUT); n++) {
		put_locked(c, p[n]);
		if (p[n] == '\n')
			events |= EVENT_LINE;
	}
	hit = trigger_scan(c->trigger, buf, n);
	if (c->out_fd < 0)
		events = 0;
	else if (n)
		events |= EVENT_CONSOLE | (c->out_len >= MUCH ? EVENT_LINE : 0);
	pthread_mutex_unlock(&c->lock);
	if (hit)
		trigger_reached(c->trigger, TRIGGER_CONSOLE);
	if (events)
		event_post(c->events, events);
	return n;
}

bool chardev_get(struct chardev *c, uint8_t *byte)
{
	bool have;

	pthread_mutex_lock(&c->lock);
	have = c->in_len > 0;
	if (have) {
		*byte = c->in[c->in_head];
		c->in_head = (c->in_head + 1) % CHARDEV_IN;
		c->in_len--;
	}
	pthread_mutex_unlock(&c->lock);
	return have;
}

bool chardev_readable(struct chardev *c)
{
	bool have;

	pthread_mutex_lock(&c->lock);
	have = c->in_len > 0;
	pthread_mutex_unlock(&c->lock);
	return have;
}

bool chardev_has_room(struct chardev *c)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->out_len < CHARDEV_OUT || c->out_fd < 0;
	pthread_mutex_unlock(&c->lock);
	return room;
}

/* A contiguous piece of the ring, copied out so that no lock is held. */
static uint32_t peek(struct chardev *c, uint8_t *buf)
{
	uint32_t n;

	pthread_mutex_lock(&c->lock);
	n = (uint32_t)num_min(c->out_len, CHUNK);
	n = (uint32_t)num_min(n, CHARDEV_OUT - c->out_head);
	memcpy(buf, c->out + c->out_head, n);
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void consume(struct chardev *c, uint32_t n)
{
	bool was_full;

	pthread_mutex_lock(&c->lock);
	was_full = c->out_len == CHARDEV_OUT;
	if (c->out_failed && !c->left)
		c->dropped += n;
	c->out_head = (c->out_head + n) % CHARDEV_OUT;
	c->out_len -= n;
	if (c->out_len < PACE_AT / 2)
		atomic_store_explicit(c->pace, false, memory_order_relaxed);
	pthread_mutex_unlock(&c->lock);
	if (was_full && c->changed)
		c->changed(c->changed_opaque);
}

static void last_input(struct chardev *c)
{
	struct pollfd p = {.fd = c->in_fd, .events = POLLIN};

	while (chardev_wants_input(c) && poll(&p, 1, 0) > 0 &&
	       (p.revents & POLLIN) && chardev_fill(c))
		;
}

bool chardev_flush(struct chardev *c, bool wait)
{
	uint8_t buf[CHUNK];
	uint32_t n;

	if (c->out_fd < 0)
		return false;
	while ((n = peek(c, buf)) > 0) {
		struct pollfd p = {.fd = c->out_fd, .events = POLLOUT};
		ssize_t done = n;

		if (!c->out_failed) {
			if (poll(&p, 1, wait ? -1 : 0) == 0)
				return true;
			done = write(c->out_fd, buf, n);
		}
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0 && c->keep) {
			/* What it said before it left is for the guest. */
			last_input(c);
			chardev_attach(c, -1, -1);
			return false;
		}
		if (done < 0) {
			c->out_failed = true;
			c->left = errno == EPIPE;
			continue;
		}
		consume(c, (uint32_t)done);
	}
	return false;
}

bool chardev_fill(struct chardev *c)
{
	uint8_t buf[512];
	uint32_t room;
	ssize_t n;

	pthread_mutex_lock(&c->lock);
	room = CHARDEV_IN - c->in_len;
	pthread_mutex_unlock(&c->lock);
	if (room == 0)
		return true;
	n = read(c->in_fd, buf, num_min(room, sizeof(buf)));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	pthread_mutex_lock(&c->lock);
	for (ssize_t i = 0; i < n; i++)
		c->in[(c->in_head + c->in_len++) % CHARDEV_IN] = buf[i];
	pthread_mutex_unlock(&c->lock);
	if (c->changed)
		c->changed(c->changed_opaque);
	return true;
}

void chardev_counts(struct chardev *c, uint64_t *dropped, uint64_t *pending)
{
	pthread_mutex_lock(&c->lock);
	*dropped = c->dropped;
	*pending = c->out_fd >= 0 ? c->out_len : 0;
	pthread_mutex_unlock(&c->lock);
}

bool chardev_wants_input(struct chardev *c)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->in_fd >= 0 && c->in_len < CHARDEV_IN;
	pthread_mutex_unlock(&c->lock);
	return room;
}

int chardev_save(struct chardev *c, struct snap_writer *w)
{
	snap_put_u32(w, c->out_len);
	for (uint32_t i = 0; i < c->out_len; i++)
		snap_put_u8(w, c->out[(c->out_head + i) % CHARDEV_OUT]);
	snap_put_u32(w, c->in_len);
	for (uint32_t i = 0; i < c->in_len; i++)
		snap_put_u8(w, c->in[(c->in_head + i) % CHARDEV_IN]);
	return 0;
}

int chardev_load(struct chardev *c, struct snap_section *s)
{
	uint32_t out = snap_get_u32(s);
	uint32_t in;

	if (out > CHARDEV_OUT)
		return -EBADMSG;
	snap_get_bytes(s, c->out, out);
	in = snap_get_u32(s);
	if (in > CHARDEV_IN)
		return -EBADMSG;
	snap_get_bytes(s, c->in, in);
	c->dropped += c->out_len; /* of a machine that is rewound */
	c->out_head = c->in_head = 0;
	c->out_len = c->out_fd < 0 && !c->keep ? 0 : out;
	c->in_len = in;
	atomic_store_explicit(c->pace, c->out_fd >= 0 && c->out_len >= PACE_AT,
			      memory_order_relaxed);
	/* The guest may never write again: what waits goes out by itself. */
	if (c->out_len > 0)
		event_post(c->events, EVENT_CONSOLE | EVENT_LINE);
	return 0;
}
