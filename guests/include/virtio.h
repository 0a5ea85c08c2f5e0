/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio.h - a small driver for virtio-mmio devices, for our own guests: it
 * finds them by the boot page, sets them up and polls their queues.
 *
 * Source: virtio 1.2, 2.7, 3.1, 4.2.
 */
#ifndef GUESTS_INCLUDE_VIRTIO_H
#define GUESTS_INCLUDE_VIRTIO_H

#include "guest.h"

enum vreg {
	V_MAGIC = 0x000,
	V_VERSION = 0x004,
	V_DEVICE = 0x008,
	V_VENDOR = 0x00c,
	V_OFFERED = 0x010,
	V_OFFERED_SEL = 0x014,
	V_ACCEPTED = 0x020,
	V_ACCEPTED_SEL = 0x024,
	V_QUEUE_SEL = 0x030,
	V_QUEUE_MAX = 0x034,
	V_QUEUE_SIZE = 0x038,
	V_QUEUE_READY = 0x044,
	V_NOTIFY = 0x050,
	V_ISR = 0x060,
	V_ACK = 0x064,
	V_STATUS = 0x070,
	V_DESC = 0x080,
	V_AVAIL = 0x090,
	V_USED = 0x0a0,
	V_GENERATION = 0x0fc,
	V_CONFIG = 0x100,
};

#define VS_ACK	       1u
#define VS_DRIVER      2u
#define VS_DRIVER_OK   4u
#define VS_FEATURES_OK 8u
#define VS_NEEDS_RESET 64u
#define VS_FAILED      128u

#define VF_INDIRECT  (1ull << 28)
#define VF_EVENT_IDX (1ull << 29)
#define VF_VERSION_1 (1ull << 32)

#define VD_NEXT	    1u
#define VD_WRITE    2u
#define VD_INDIRECT 4u

#define VID_NET 1u
#define VID_BLK 2u
#define VID_RNG 4u

#define VRING_MAX 256

struct vdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring {
	struct vdesc desc[VRING_MAX];
	struct {
		uint16_t flags, idx, ring[VRING_MAX], used_event;
	} avail __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VRING_MAX];
		uint16_t avail_event;
	} used __attribute__((aligned(16)));
	/* of the driver */
	uint16_t size, index, next_avail, next_used;
	uint64_t used_events; /* gpa of avail.used_event, avail_event */
	uint32_t kicks;
} __attribute__((aligned(4096)));

struct vdev {
	uintptr_t base;
	uint64_t offered, accepted;
};

static inline uint32_t vget(const struct vdev *d, enum vreg reg)
{
	return *(volatile uint32_t *)(d->base + reg);
}

static inline void vput(const struct vdev *d, enum vreg reg, uint32_t v)
{
	*(volatile uint32_t *)(d->base + reg) = v;
}

static inline uint32_t vconfig32(const struct vdev *d, uint32_t off)
{
	return *(volatile uint32_t *)(d->base + V_CONFIG + off);
}

static inline void vfence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void vrelax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* The n-th device with that id; false: there is none. */
static inline int vfind(const struct mote_boot *boot, uint32_t id,
			unsigned int n, struct vdev *d, unsigned int *slot)
{
	for (unsigned int i = 0; i < boot->virtio_count; i++) {
		d->base = (uintptr_t)(boot->virtio +
				      (uint64_t)i * MOTE_VIRTIO_SIZE);
		if (vget(d, V_MAGIC) != 0x74726976 || vget(d, V_VERSION) != 2 ||
		    vget(d, V_DEVICE) != id)
			continue;
		if (n-- > 0)
			continue;
		if (slot)
			*slot = i;
		return 1;
	}
	return 0;
}

static inline uint64_t voffered(const struct vdev *d)
{
	uint64_t low;

	vput(d, V_OFFERED_SEL, 0);
	low = vget(d, V_OFFERED);
	vput(d, V_OFFERED_SEL, 1);
	return low | (uint64_t)vget(d, V_OFFERED) << 32;
}

static inline void vaccept(struct vdev *d, uint64_t features)
{
	d->accepted = features;
	vput(d, V_ACCEPTED_SEL, 0);
	vput(d, V_ACCEPTED, (uint32_t)features);
	vput(d, V_ACCEPTED_SEL, 1);
	vput(d, V_ACCEPTED, (uint32_t)(features >> 32));
}

/* Up to FEATURES_OK, with what is offered of want; false: refused. */
static inline int vbegin(struct vdev *d, uint64_t want)
{
	vput(d, V_STATUS, 0);
	while (vget(d, V_STATUS) != 0)
		vrelax();
	vput(d, V_STATUS, VS_ACK);
	vput(d, V_STATUS, VS_ACK | VS_DRIVER);
	d->offered = voffered(d);
	vaccept(d, d->offered & (want | VF_VERSION_1));
	vput(d, V_STATUS, VS_ACK | VS_DRIVER | VS_FEATURES_OK);
	return (vget(d, V_STATUS) & VS_FEATURES_OK) != 0;
}

static inline void vput64(const struct vdev *d, enum vreg reg, uint64_t v)
{
	vput(d, reg, (uint32_t)v);
	vput(d, (enum vreg)(reg + 4), (uint32_t)(v >> 32));
}

/*
 * The rings follow each other as the device counts them: the event fields lie
 * behind the ring's last entry, wherever that is for this size.
 */
static inline volatile uint16_t *vused_event(struct vring *r)
{
	return (volatile uint16_t *)&r->avail.ring[r->size];
}

static inline volatile uint16_t *vavail_event(struct vring *r)
{
	return (volatile uint16_t *)&r->used.ring[r->size];
}

static inline void vqueue(const struct vdev *d, struct vring *r, uint16_t index,
			  uint16_t size)
{
	for (uint32_t i = 0; i < sizeof(*r) / 8; i++)
		((volatile uint64_t *)r)[i] = 0;
	r->size = size;
	r->index = index;
	vput(d, V_QUEUE_SEL, index);
	vput(d, V_QUEUE_SIZE, size);
	vput64(d, V_DESC, (uintptr_t)r->desc);
	vput64(d, V_AVAIL, (uintptr_t)&r->avail);
	vput64(d, V_USED, (uintptr_t)&r->used);
	vput(d, V_QUEUE_READY, 1);
}

static inline void vready(const struct vdev *d)
{
	vput(d, V_STATUS, VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK);
}

static inline void vset(struct vring *r, uint16_t i, const void *p,
			uint32_t len, uint16_t flags, uint16_t next)
{
	r->desc[i] = (struct vdesc){(uintptr_t)p, len, flags, next};
}

/* Offer the chain that begins there; the device hears of it by vkick. */
static inline void voffer(struct vring *r, uint16_t head)
{
	volatile uint16_t *idx = (volatile uint16_t *)&r->avail.idx;

	r->avail.ring[r->next_avail % r->size] = head;
	vfence();
	*idx = ++r->next_avail;
}

static inline void vkick(const struct vdev *d, struct vring *r)
{
	const volatile uint16_t *flags = &r->used.flags;

	vfence();
	if (d->accepted & VF_EVENT_IDX) {
		/* One chain at a time: is it the one they wait for? */
		if ((uint16_t)(r->next_avail - 1) != *vavail_event(r))
			return;
	} else if (*flags & 1) {
		return;
	}
	r->kicks++;
	vput(d, V_NOTIFY, r->index);
}

/* The next one that came back: true, its head and length. */
static inline int vtake(struct vring *r, uint16_t *head, uint32_t *len)
{
	const volatile uint16_t *idx = &r->used.idx;

	if (*idx == r->next_used)
		return 0;
	vfence();
	*head = (uint16_t)r->used.ring[r->next_used % r->size].id;
	*len = r->used.ring[r->next_used % r->size].len;
	r->next_used++;
	return 1;
}

/* Wait for one; false: the device wants to be reset. */
static inline int vwait(const struct vdev *d, struct vring *r, uint16_t *head,
			uint32_t *len)
{
	for (uint32_t i = 0; !vtake(r, head, len); i++) {
		if (i % 65536 == 65535 && vget(d, V_STATUS) & VS_NEEDS_RESET)
			return 0;
		vrelax();
	}
	return 1;
}

#endif
