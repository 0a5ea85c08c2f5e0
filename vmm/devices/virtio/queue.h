/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - the one iterator over a split virtqueue.
 *
 * Pure: no KVM, no descriptors of the host; guest RAM by memory/guestmem.h.
 * Each descriptor is copied once and then checked.  A rule that the driver
 * broke makes the queue broken: nothing more is looked at until its reset.
 *
 * Threads: one at a time (the caller's lock).  Trust: none; the other side may
 * change anything in RAM at any moment.  Source: virtio 1.2, 2.7.
 */
#ifndef VMM_DEVICES_VIRTIO_QUEUE_H
#define VMM_DEVICES_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct memslot_table;

#define VQ_SIZE_MAX 256

struct virtqueue {
	uint16_t size; /* entries */
	bool ready;
	uint64_t desc, avail, used; /* guest addresses of its three areas */
	uint16_t next_avail, next_used;
	uint16_t told;	    /* next_used when the last interrupt was decided */
	bool event_idx;	    /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;	    /* VIRTIO_F_INDIRECT_DESC was */
	bool quiet;	    /* we asked for no kicks */
	const char *broken; /* why; NULL: it is not */
};

struct vq_buf {
	uint64_t gpa;
	uint32_t len; /* at least 1, all of it RAM when it was looked at */
};

/* A request: buffers to read from, then buffers to write to. */
struct vq_chain {
	uint16_t head;
	uint16_t count, readable; /* buffers: all; those to read */
	uint32_t read_len, write_len;
	struct vq_buf buf[VQ_SIZE_MAX];
};

/* Power-on state. */
void vq_reset(struct virtqueue *q);

/*
 * The driver's size and addresses: 0, or -EINVAL where they are none (size not
 * a power of two up to VQ_SIZE_MAX, areas not aligned, not RAM).
 */
int vq_check(const struct virtqueue *q, const struct memslot_table *slots);

/*
 * The chain that is ahead of the next one by so many: 1, or 0 where there is
 * none.  -EBADMSG: the queue is broken.
 */
int vq_peek(struct virtqueue *q, const struct memslot_table *slots,
	    uint16_t ahead, struct vq_chain *c);

/*
 * Give chains back, len being how much was written into each: put them down
 * one after the other, then take so many off and show that.
 */
void vq_put(struct virtqueue *q, struct memslot_table *slots, uint16_t ahead,
	    uint16_t head, uint32_t len);
void vq_publish(struct virtqueue *q, struct memslot_table *slots, uint16_t n);

/* All of that of one chain that was peeked with ahead 0. */
void vq_finish(struct virtqueue *q, struct memslot_table *slots, uint16_t head,
	       uint32_t len);

/* Does the driver want an interrupt for what was given back since the last? */
bool vq_interrupt(struct virtqueue *q, const struct memslot_table *slots);

/*
 * Ask for no kicks while we are at it; or for the next one, and then look
 * again: true when there is something already.
 */
void vq_quiet(struct virtqueue *q, struct memslot_table *slots);
bool vq_listen(struct virtqueue *q, struct memslot_table *slots);

/* Stop using it for that reason; the first one counts. */
void vq_break(struct virtqueue *q, const char *why);

/*
 * Copy bytes at off of what is to be read, or written: how many there were.
 * Pages of vq_copy_to are marked as written.
 */
uint32_t vq_copy_from(const struct memslot_table *slots,
		      const struct vq_chain *c, uint32_t off, void *buf,
		      uint32_t len);
uint32_t vq_copy_to(struct memslot_table *slots, const struct vq_chain *c,
		    uint32_t off, const void *buf, uint32_t len);

/*
 * Pointers to [off, off + len) of the readable or the writable part: entries
 * of iov, which has room for VQ_SIZE_MAX of them; -EFAULT when it is no RAM
 * (any more).  vq_wrote when something was written there.
 */
int vq_map(struct memslot_table *slots, const struct vq_chain *c, bool write,
	   uint32_t off, uint32_t len, struct iovec *iov);
void vq_wrote(struct memslot_table *slots, const struct vq_chain *c,
	      uint32_t off, uint32_t len);

#endif
