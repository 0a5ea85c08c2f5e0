/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - the I/O thread: one for all virtio devices of a machine.
 *
 * It sleeps on the devices' kicks, on descriptors of the host that a device
 * wants input of, and on the next moment of a rate limit.  It is created
 * standing still; virtio_io_go lets it work, virtio_io_halt returns when it
 * stands: requests are finished, or as if they had not begun, and guest RAM
 * stays untouched until it goes again.
 *
 * Threads: the VM thread, but for virtio_io_poke (any).
 */
#ifndef VMM_DEVICES_VIRTIO_IO_H
#define VMM_DEVICES_VIRTIO_IO_H

#include <stdbool.h>
#include <stdint.h>

struct memslot_table;
struct mote_err;
struct virtio;
struct virtio_counts;
struct virtio_io;

#define VIRTIO_DEVICES_MAX 19

struct virtio_io_options {
	/* Runs first in the thread (its filter); may be NULL. */
	int (*enter)(void *opaque, int fds);
	/* Guest RAM means nothing any more: do not write it anywhere. */
	bool (*lost)(void *opaque);
	bool paged; /* ... which may turn out when a page is touched */
	/* The thread could not begin. */
	void (*failed)(void *opaque);
	void *opaque;
};

int virtio_io_create(struct virtio_io **out,
		     const struct virtio_io_options *opt, struct mote_err *err);

/* Before the start; devices are borrowed, and outlive the thread. */
int virtio_io_add(struct virtio_io *io, struct virtio *v, struct mote_err *err);

/* What a vCPU's thread writes 8 bytes to for virtio_io_poke; to be exchanged.
 */
int *virtio_io_poke_fd(struct virtio_io *io);

/* All devices are there: their descriptors become one block. */
int virtio_io_seal(struct virtio_io *io, struct mote_err *err);
int virtio_io_start(struct virtio_io *io, struct mote_err *err);

void virtio_io_go(struct virtio_io *io);
void virtio_io_halt(struct virtio_io *io);

/* Look at the device's queues. */
void virtio_io_poke(struct virtio_io *io, struct virtio *v);

/*
 * End the thread as soon as it can, without waiting: it writes nothing to the
 * host any more.  Then destroy waits for it.
 */
void virtio_io_end(struct virtio_io *io);
void virtio_io_join(struct virtio_io *io);
void virtio_io_destroy(struct virtio_io *io);

/*
 * One turn of the thread, by a caller that has none: sleep (again: only look),
 * serve what is due; true: there is more at once.  After virtio_io_go.
 */
bool virtio_io_turn(struct virtio_io *io, bool again);

/* Sums over all devices. */
struct virtio_totals {
	uint64_t kicks, requests, interrupts, resets, dropped;
};
void virtio_io_count(const struct virtio_io *io, struct virtio_totals *t);

/* For models, on the thread. */
bool virtio_io_hurry(const struct virtio_io *io);
bool virtio_io_lost(const struct virtio_io *io);
bool virtio_io_paged(const struct virtio_io *io);
struct virtio_scratch *virtio_io_scratch(struct virtio_io *io);

#endif
