/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/queue.h"

#include <errno.h>
#include <stddef.h>

#include "base/num.h"
#include "memory/guestmem.h"

#define DESC_SIZE 16u

enum desc_flags {
	DESC_NEXT = 1,
	DESC_WRITE = 2,
	DESC_INDIRECT = 4,
	DESC_FLAGS = DESC_NEXT | DESC_WRITE | DESC_INDIRECT,
};

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

/* Of the available and used areas. */
#define AREA_FLAGS 0u
#define AREA_IDX   2u
#define AREA_RING  4u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct used_elem {
	uint32_t id, len;
};

_Static_assert(sizeof(struct desc) == DESC_SIZE, "a descriptor is 16 bytes");

static uint64_t avail_event(const struct virtqueue *q)
{
	return q->used + AREA_RING + sizeof(struct used_elem) * q->size;
}

static uint64_t used_event(const struct virtqueue *q)
{
	return q->avail + AREA_RING + sizeof(uint16_t) * q->size;
}

void vq_reset(struct virtqueue *q)
{
	*q = (struct virtqueue){.size = 0};
}

int vq_check(const struct virtqueue *q, const struct memslot_table *slots)
{
	uint32_t n = q->size;

	if (n == 0 || n > VQ_SIZE_MAX || n & (n - 1))
		return -EINVAL;
	if (q->desc % 16 || q->avail % 2 || q->used % 4)
		return -EINVAL;
	/* The two event fields lie behind the rings. */
	if (!guest_is_ram(slots, q->desc, (uint64_t)DESC_SIZE * n) ||
	    !guest_is_ram(slots, q->avail, AREA_RING + 2u * n + 2) ||
	    !guest_is_ram(slots, q->used, AREA_RING + 8u * n + 2))
		return -EINVAL;
	return 0;
}

void vq_break(struct virtqueue *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
}

static int broken(struct virtqueue *q, const char *why)
{
	vq_break(q, why);
	return -EBADMSG;
}

/* --- chains -----------------------------------------------------------------
 */

/* One buffer more; its descriptor is our copy. */
static int add_buffer(struct virtqueue *q, const struct memslot_table *slots,
		      struct vq_chain *c, const struct desc *d)
{
	bool write = d->flags & DESC_WRITE;
	uint32_t *sum = write ? &c->write_len : &c->read_len;
	uint64_t total = (uint64_t)c->read_len + c->write_len + d->len;

	if (!write && c->readable != c->count)
		return broken(q, "a buffer to read after one to write");
	if (total > UINT32_MAX)
		return broken(q, "a chain of 4 GiB or more");
	if (d->len == 0)
		return 0;
	if (!guest_is_ram(slots, d->addr, d->len))
		return broken(q, "a buffer that is not RAM");
	*sum += d->len;
	if (!write)
		c->readable++;
	c->buf[c->count++] = (struct vq_buf){.gpa = d->addr, .len = d->len};
	return 0;
}

/* A table of descriptors, and how far a chain went in it. */
struct walk {
	uint64_t table;
	uint32_t entries;
	uint32_t seen; /* descriptors of the chain, over all tables */
	bool indirect;
};

/* 1: *d is a table to go on in; 0: the chain is over. */
static int walk_table(struct virtqueue *q, const struct memslot_table *slots,
		      struct walk *w, uint16_t at, struct vq_chain *c,
		      struct desc *d)
{
	int ret;

	for (;;) {
		if (at >= w->entries)
			return broken(q, "a descriptor outside of its table");
		if (guest_read(slots, w->table + (uint64_t)DESC_SIZE * at, d,
			       sizeof(*d)) < 0)
			return broken(q, "a table that is not RAM");
		if (d->flags & DESC_INDIRECT)
			return 1;
		/* So many is a loop, too. */
		if (++w->seen > q->size)
			return broken(q, "a chain longer than the queue");
		ret = add_buffer(q, slots, c, d);
		if (ret < 0 || !(d->flags & DESC_NEXT))
			return ret;
		at = d->next;
	}
}

static int walk_indirect(struct virtqueue *q, const struct memslot_table *slots,
			 struct walk *w, const struct desc *d,
			 struct vq_chain *c)
{
	struct desc inner;
	int ret;

	if (!q->indirect)
		return broken(q, "an indirect table, not negotiated");
	if (d->flags & DESC_NEXT)
		return broken(q, "an indirect table with a next descriptor");
	if (d->len == 0 || d->len % DESC_SIZE)
		return broken(q, "an indirect table of a bad length");
	if (d->len / DESC_SIZE > q->size)
		return broken(q, "an indirect table longer than the queue");
	if (!guest_is_ram(slots, d->addr, d->len))
		return broken(q, "an indirect table that is not RAM");
	w->table = d->addr;
	w->entries = d->len / DESC_SIZE;
	ret = walk_table(q, slots, w, 0, c, &inner);
	return ret > 0 ? broken(q, "an indirect table in another") : ret;
}

/* How many chains the driver has made available beyond ours. */
static int available(struct virtqueue *q, const struct memslot_table *slots,
		     uint16_t *n)
{
	uint16_t idx = 0;

	if (guest_load16(slots, q->avail + AREA_IDX, &idx) < 0)
		return broken(q, "its available ring is not RAM");
	*n = (uint16_t)(idx - q->next_avail);
	if (*n > q->size)
		return broken(q, "more available than the queue holds");
	return 0;
}

int vq_peek(struct virtqueue *q, const struct memslot_table *slots,
	    uint16_t ahead, struct vq_chain *c)
{
	struct walk w = {.table = q->desc, .entries = q->size};
	uint16_t n = 0, at = (uint16_t)(q->next_avail + ahead);
	struct desc d;
	int ret;

	if (q->broken)
		return -EBADMSG;
	if (!q->ready)
		return 0;
	ret = available(q, slots, &n);
	if (ret < 0 || n <= ahead)
		return ret;
	c->head = 0;
	c->count = c->readable = 0;
	c->read_len = c->write_len = 0;
	if (guest_load16(slots,
			 q->avail + AREA_RING +
				 sizeof(uint16_t) * (at & (q->size - 1u)),
			 &c->head) < 0)
		return broken(q, "its available ring is not RAM");
	ret = walk_table(q, slots, &w, c->head, c, &d);
	if (ret > 0)
		ret = walk_indirect(q, slots, &w, &d, c);
	return ret < 0 ? ret : 1;
}

/* --- giving back ------------------------------------------------------------
 */

void vq_put(struct virtqueue *q, struct memslot_table *slots, uint16_t ahead,
	    uint16_t head, uint32_t len)
{
	struct used_elem e = {.id = head, .len = len};
	uint32_t at = (uint16_t)(q->next_used + ahead) & (q->size - 1u);

	if (guest_write(slots, q->used + AREA_RING + sizeof(e) * at, &e,
			sizeof(e)) < 0)
		vq_break(q, "its used ring is not RAM");
}

void vq_publish(struct virtqueue *q, struct memslot_table *slots, uint16_t n)
{
	q->next_avail = (uint16_t)(q->next_avail + n);
	q->next_used = (uint16_t)(q->next_used + n);
	if (guest_store16(slots, q->used + AREA_IDX, q->next_used) < 0)
		vq_break(q, "its used ring is not RAM");
}

void vq_finish(struct virtqueue *q, struct memslot_table *slots, uint16_t head,
	       uint32_t len)
{
	vq_put(q, slots, 0, head, len);
	vq_publish(q, slots, 1);
}

bool vq_interrupt(struct virtqueue *q, const struct memslot_table *slots)
{
	uint16_t was = q->told, now = q->next_used, val = 0;

	if (was == now || q->broken || !q->ready)
		return false;
	q->told = now;
	/* The used index is out before we look whether they want to know. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx) {
		if (guest_load16(slots, used_event(q), &val) < 0)
			return true;
		return (uint16_t)(now - val - 1) < (uint16_t)(now - was);
	}
	if (guest_load16(slots, q->avail + AREA_FLAGS, &val) < 0)
		return true;
	return !(val & AVAIL_NO_INTERRUPT);
}

void vq_quiet(struct virtqueue *q, struct memslot_table *slots)
{
	if (q->quiet || q->broken || !q->ready)
		return;
	q->quiet = true;
	/* With events the old one stays behind: no kick until vq_listen. */
	if (!q->event_idx)
		guest_store16(slots, q->used + AREA_FLAGS, USED_NO_NOTIFY);
}

bool vq_listen(struct virtqueue *q, struct memslot_table *slots)
{
	uint16_t n = 0;
	int ret;

	if (q->broken || !q->ready)
		return false;
	q->quiet = false;
	ret = q->event_idx ? guest_store16(slots, avail_event(q), q->next_avail)
			   : guest_store16(slots, q->used + AREA_FLAGS, 0);
	if (ret < 0)
		vq_break(q, "its used ring is not RAM");
	/* Ours is out before we look at theirs. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ret == 0 && available(q, slots, &n) == 0 && n > 0;
}

/* --- bytes ------------------------------------------------------------------
 */

/* A piece of one part of a chain. */
struct piece {
	uint64_t gpa;
	uint32_t len;
};

/*
 * Where in the chain's part (write: the writable one) off lies, as much as one
 * buffer holds of the len bytes; len 0: beyond its end.  *i, *base: where the
 * last piece was; 0 before the first.
 */
static struct piece next_piece(const struct vq_chain *c, bool write,
			       uint32_t off, uint32_t len, uint16_t *i,
			       uint32_t *base)
{
	uint16_t first = write ? c->readable : 0;
	uint16_t n = write ? (uint16_t)(c->count - c->readable) : c->readable;

	for (; *i < n; (*i)++) {
		const struct vq_buf *b = &c->buf[first + *i];

		if (off - *base < b->len)
			return (struct piece){
				.gpa = b->gpa + (off - *base),
				.len = (uint32_t)num_min(
					len, b->len - (off - *base)),
			};
		*base += b->len;
	}
	return (struct piece){.len = 0};
}

uint32_t vq_copy_from(const struct memslot_table *slots,
		      const struct vq_chain *c, uint32_t off, void *buf,
		      uint32_t len)
{
	uint32_t done = 0, base = 0;
	uint16_t i = 0;

	while (done < len) {
		struct piece p =
			next_piece(c, false, off + done, len - done, &i, &base);

		if (p.len == 0 ||
		    guest_read(slots, p.gpa, (char *)buf + done, p.len) < 0)
			break;
		done += p.len;
	}
	return done;
}

uint32_t vq_copy_to(struct memslot_table *slots, const struct vq_chain *c,
		    uint32_t off, const void *buf, uint32_t len)
{
	uint32_t done = 0, base = 0;
	uint16_t i = 0;

	while (done < len) {
		struct piece p =
			next_piece(c, true, off + done, len - done, &i, &base);

		if (p.len == 0 ||
		    guest_write(slots, p.gpa, (const char *)buf + done, p.len) <
			    0)
			break;
		done += p.len;
	}
	return done;
}

int vq_map(struct memslot_table *slots, const struct vq_chain *c, bool write,
	   uint32_t off, uint32_t len, struct iovec *iov)
{
	uint32_t done = 0, base = 0;
	uint16_t i = 0;
	int n = 0;

	while (done < len) {
		struct piece p =
			next_piece(c, write, off + done, len - done, &i, &base);
		void *at = NULL;

		if (p.len > 0)
			at = write ? guest_map_write(slots, p.gpa, p.len)
				   : (void *)guest_map_read(slots, p.gpa,
							    p.len);
		if (!at)
			return -EFAULT;
		iov[n++] = (struct iovec){.iov_base = at, .iov_len = p.len};
		done += p.len;
	}
	return n;
}

void vq_wrote(struct memslot_table *slots, const struct vq_chain *c,
	      uint32_t off, uint32_t len)
{
	uint32_t done = 0, base = 0;
	uint16_t i = 0;

	while (done < len) {
		struct piece p =
			next_piece(c, true, off + done, len - done, &i, &base);

		if (p.len == 0)
			break;
		guest_written(slots, p.gpa, p.len);
		done += p.len;
	}
}
