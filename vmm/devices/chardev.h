/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chardev.h - the host end of a console: two byte rings and two fds.
 *
 * The device side (any vCPU thread) only moves bytes in memory and posts an
 * event; the VM thread moves them to and from the descriptors.  When the
 * output ring is three quarters full, vCPUs are asked to slow down (pace);
 * only what a guest writes beyond that is lost, and counted.
 *
 * Who reads may come and go (chardev_attach).  While nobody does, the guest
 * is not slowed down: the ring keeps what it wrote last, and what had to
 * make room is counted as lost.
 */
#ifndef VMM_DEVICES_CHARDEV_H
#define VMM_DEVICES_CHARDEV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_queue;
struct mote_err;
struct snap_section;
struct snap_writer;
struct trigger;

#define CHARDEV_OUT (64u << 10)
#define CHARDEV_IN  (4u << 10)

struct chardev {
	pthread_mutex_t lock;
	struct event_queue *events;
	atomic_bool *pace;
	int in_fd, out_fd; /* borrowed; -1: none */
	bool out_failed;   /* a write failed: output is dropped */
	bool left;	   /* ... since the reader has gone: not counted */
	bool keep;	   /* another may come: output waits for him */
	uint8_t *out;	   /* CHARDEV_OUT bytes */
	uint32_t out_head, out_len;
	uint8_t *in; /* behind out; not in here: it would be zeroed */
	uint32_t in_head, in_len;
	uint64_t dropped;
	struct trigger *trigger; /* looks for a text in the output; or NULL */
	/* Input came, or room for output did: VM thread, no lock held. */
	void (*changed)(void *opaque);
	void *changed_opaque;
};

int chardev_init(struct chardev *c, int in_fd, int out_fd,
		 struct event_queue *events, atomic_bool *pace,
		 struct mote_err *err);
void chardev_fini(struct chardev *c);

/*
 * VM thread: from now on these are the descriptors (borrowed, O_NONBLOCK;
 * -1, -1: nobody reads).  What was kept goes out at the next flush.  Where
 * a write fails, later, it is nobody again.
 */
void chardev_attach(struct chardev *c, int in_fd, int out_fd);

/* Device side. */
void chardev_put(struct chardev *c, uint8_t byte);
/* As many bytes as there is room for: how many. */
size_t chardev_write(struct chardev *c, const void *buf, size_t len);
bool chardev_get(struct chardev *c, uint8_t *byte);
bool chardev_readable(struct chardev *c);
bool chardev_has_room(struct chardev *c);

/*
 * VM thread: write what out_fd takes now without blocking; true when
 * something is left.  wait: block until all is written or the reader is
 * gone.
 */
bool chardev_flush(struct chardev *c, bool wait);

/* VM thread: in_fd is readable.  False at its end: poll it no more. */
bool chardev_fill(struct chardev *c);

/* Bytes of output lost, and not taken yet by who reads. */
void chardev_counts(struct chardev *c, uint64_t *dropped, uint64_t *pending);

/* Is there room for input (else in_fd need not be polled)? */
bool chardev_wants_input(struct chardev *c);

/* Bytes that are in the rings, both ways. */
int chardev_save(struct chardev *c, struct snap_writer *w);
int chardev_load(struct chardev *c, struct snap_section *s);

#endif
