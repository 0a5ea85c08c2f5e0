/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_queue.c - the iterator over virtqueues, against a model that knows the
 * whole ring at once, and rule by rule.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/bucket.h"
#include "devices/virtio/queue.h"
#include "memory/memslot.h"

#define RAM	(UINT64_C(64) << 20)
#define DESC	0x1000u
#define AVAIL	0x3000u
#define USED	0x4000u
#define TABLE	0x6000u
#define BUFFERS 0x10000u

#define NEXT	 1
#define WRITE	 2
#define INDIRECT 4

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct rig {
	struct memslot_table slots;
	struct virtqueue q;
	uint8_t *ram;
	uint16_t idx; /* of the available ring */
	struct vq_chain c;
};

static void rig_init(struct rig *r, uint16_t size)
{
	memset(r, 0, sizeof(*r));
	memslot_init(&r->slots, -1);
	cr_assert_eq(map_anon(&r->slots.slot[0].ram, RAM, 0, NULL), 0);
	r->slots.slot[0].dirty = calloc(RAM / 4096 / 64, sizeof(uint64_t));
	cr_assert_not_null(r->slots.slot[0].dirty);
	r->ram = r->slots.slot[0].ram.addr;
	r->q = (struct virtqueue){.size = size,
				  .ready = true,
				  .desc = DESC,
				  .avail = AVAIL,
				  .used = USED,
				  .indirect = true};
	cr_assert_eq(vq_check(&r->q, &r->slots), 0);
}

static void rig_fini(struct rig *r)
{
	memslot_fini(&r->slots);
}

static uint16_t *u16(struct rig *r, uint64_t at)
{
	return (uint16_t *)(r->ram + at);
}

static struct desc *table(struct rig *r, uint64_t at)
{
	return (struct desc *)(r->ram + at);
}

static void offer(struct rig *r, uint16_t head)
{
	*u16(r, AVAIL + 4 + 2u * (r->idx % r->q.size)) = head;
	*u16(r, AVAIL + 2) = ++r->idx;
}

static int peek(struct rig *r)
{
	return vq_peek(&r->q, &r->slots, 0, &r->c);
}

/* One chain of one buffer. */
static void offer_one(struct rig *r, uint64_t addr, uint32_t len,
		      uint16_t flags)
{
	table(r, DESC)[0] = (struct desc){addr, len, flags, 0};
	offer(r, 0);
}

static void expect_broken(struct rig *r, const char *why)
{
	cr_expect_eq(peek(r), -EBADMSG);
	cr_expect_str_eq(r->q.broken ? r->q.broken : "it is not", why);
	/* And so it stays. */
	cr_expect_eq(peek(r), -EBADMSG);
}

/* --- exhaustive -------------------------------------------------------------
 */

#define SMALL 4

/* What a chain of that ring is, said another way: 1 or -EBADMSG. */
static int model(const struct desc *d, uint16_t *order, int *count,
		 int *readable)
{
	bool seen[SMALL] = {false}, wrote = false;
	unsigned int at = 0;

	*count = *readable = 0;
	for (;;) {
		if (at >= SMALL || seen[at] || d[at].flags & INDIRECT)
			return -EBADMSG;
		seen[at] = true;
		if (d[at].flags & WRITE)
			wrote = true;
		else if (wrote)
			return -EBADMSG;
		else
			(*readable)++;
		order[(*count)++] = (uint16_t)at;
		if (!(d[at].flags & NEXT))
			return 1;
		at = d[at].next;
	}
}

/* The four entries at d are what number says; is it as the model has it? */
static bool try_one(struct rig *r, struct desc *d, uint32_t number)
{
	int count, readable, want;
	uint16_t order[SMALL];

	for (uint16_t i = 0; i < SMALL; i++) {
		d[i] = (struct desc){BUFFERS + i * 64u, i + 1u,
				     (uint16_t)(number & 7),
				     (uint16_t)(number >> 3 & 7)};
		number >>= 6;
	}
	want = model(d, order, &count, &readable);
	r->q.broken = NULL;
	if (peek(r) != want)
		return false;
	if (want < 0)
		return r->q.broken != NULL;
	if (r->c.count != count || r->c.readable != readable)
		return false;
	for (int i = 0; i < count; i++)
		if (r->c.buf[i].gpa != d[order[i]].addr ||
		    r->c.buf[i].len != d[order[i]].len)
			return false;
	return true;
}

static void try_all(struct rig *r, struct desc *d)
{
	uint32_t tried = 0;

	/* next above 4 is as 4 is. */
	for (uint32_t n = 0; n < 1u << 24; n++) {
		if ((n >> 3 & 7) > 4 || (n >> 9 & 7) > 4 || (n >> 15 & 7) > 4 ||
		    (n >> 21 & 7) > 4)
			continue;
		tried++;
		cr_assert(try_one(r, d, n), "ring 0x%06x", n);
	}
	cr_expect_eq(tried, 40u * 40 * 40 * 40);
}

Test(virtqueue, every_ring_of_four_is_what_the_model_says)
{
	static struct rig r;

	rig_init(&r, SMALL);
	r.q.indirect = false;
	offer(&r, 0);
	try_all(&r, table(&r, DESC));
	rig_fini(&r);
}

Test(virtqueue, every_indirect_table_of_four_is_what_the_model_says)
{
	static struct rig r;

	rig_init(&r, SMALL);
	table(&r, DESC)[2] = (struct desc){TABLE, 64, INDIRECT, 0};
	offer(&r, 2);
	try_all(&r, table(&r, TABLE));
	cr_expect_eq(r.c.head, 2);
	rig_fini(&r);
}

/* --- rules ------------------------------------------------------------------
 */

Test(virtqueue, sizes_and_places_are_checked)
{
	static struct rig r;
	struct virtqueue q;

	rig_init(&r, 256);
	q = r.q;
#define BAD(field, val)                                                        \
	do {                                                                   \
		q = r.q;                                                       \
		q.field = (val);                                               \
		cr_expect_eq(vq_check(&q, &r.slots), -EINVAL, #field);         \
	} while (0)
	BAD(size, 0);
	BAD(size, 3);
	BAD(size, 512);
	BAD(desc, DESC + 8);
	BAD(avail, AVAIL + 1);
	BAD(used, USED + 2);
	BAD(desc, RAM - 4096 + 16);
	BAD(avail, RAM - 516);
	BAD(used, RAM - 2052);
	BAD(used, UINT64_MAX - 3);
	BAD(desc, UINT64_MAX - 15);
	q = r.q;
	q.used = RAM - 2056;
	cr_expect_eq(vq_check(&q, &r.slots), 0);
	rig_fini(&r);
}

Test(virtqueue, nothing_available_is_nothing)
{
	static struct rig r;

	rig_init(&r, 8);
	cr_expect_eq(peek(&r), 0);
	offer_one(&r, BUFFERS, 16, 0);
	cr_expect_eq(vq_peek(&r.q, &r.slots, 1, &r.c), 0);
	r.q.ready = false;
	cr_expect_eq(peek(&r), 0);
	rig_fini(&r);
}

#define RULE(name, why, ...)                                                   \
	Test(virtqueue, name)                                                  \
	{                                                                      \
		static struct rig r;                                           \
		struct desc *d;                                                \
		rig_init(&r, 8);                                               \
		d = table(&r, DESC);                                           \
		(void)d;                                                       \
		__VA_ARGS__;                                                   \
		expect_broken(&r, why);                                        \
		rig_fini(&r);                                                  \
	}

RULE(more_available_than_entries, "more available than the queue holds",
     *u16(&r, AVAIL + 2) = 9)
RULE(an_index_that_goes_back, "more available than the queue holds",
     *u16(&r, AVAIL + 2) = 0xffff)
RULE(a_head_outside, "a descriptor outside of its table", offer(&r, 8))
RULE(a_next_outside, "a descriptor outside of its table",
     offer_one(&r, BUFFERS, 1, NEXT);
     d[0].next = 8)
RULE(a_loop, "a chain longer than the queue", offer_one(&r, BUFFERS, 1, NEXT))
RULE(a_buffer_outside, "a buffer that is not RAM", offer_one(&r, RAM - 1, 2, 0))
RULE(a_buffer_that_wraps, "a buffer that is not RAM",
     offer_one(&r, UINT64_MAX, 2, 0))
RULE(a_buffer_far_away, "a buffer that is not RAM",
     offer_one(&r, UINT64_C(1) << 62, 1, 0))
RULE(reading_after_writing, "a buffer to read after one to write",
     offer_one(&r, BUFFERS, 1, NEXT | WRITE);
     d[0].next = 1; d[1] = (struct desc){BUFFERS, 1, 0, 0})
RULE(indirect_with_next, "an indirect table with a next descriptor",
     offer_one(&r, TABLE, 16, INDIRECT | NEXT))
RULE(indirect_of_no_length, "an indirect table of a bad length",
     offer_one(&r, TABLE, 0, INDIRECT))
RULE(indirect_of_a_bad_length, "an indirect table of a bad length",
     offer_one(&r, TABLE, 24, INDIRECT))
RULE(indirect_too_long, "an indirect table longer than the queue",
     offer_one(&r, TABLE, 9 * 16, INDIRECT))
RULE(indirect_huge, "an indirect table longer than the queue",
     offer_one(&r, TABLE, UINT32_MAX - 15, INDIRECT))
RULE(indirect_outside, "an indirect table that is not RAM",
     offer_one(&r, RAM - 16, 32, INDIRECT))
RULE(indirect_not_negotiated, "an indirect table, not negotiated",
     offer_one(&r, TABLE, 16, INDIRECT);
     r.q.indirect = false)
RULE(indirect_in_indirect, "an indirect table in another",
     offer_one(&r, TABLE, 16, INDIRECT);
     table(&r, TABLE)[0] = (struct desc){TABLE, 16, INDIRECT, 0})
RULE(indirect_next_outside, "a descriptor outside of its table",
     offer_one(&r, TABLE, 16, INDIRECT);
     table(&r, TABLE)[0] = (struct desc){BUFFERS, 1, NEXT, 1})

Test(virtqueue, a_chain_of_4_gib_is_refused_and_one_byte_less_is_not)
{
	static struct rig r;

	rig_init(&r, 128);
	for (uint16_t i = 0; i < 64; i++)
		table(&r, DESC)[i] = (struct desc){0, (uint32_t)RAM, NEXT,
						   (uint16_t)(i + 1)};
	table(&r, DESC)[63].flags = 0;
	table(&r, DESC)[63].len--;
	offer(&r, 0);
	cr_expect_eq(peek(&r), 1);
	cr_expect_eq(r.c.read_len, UINT32_MAX);
	table(&r, DESC)[63].len++;
	expect_broken(&r, "a chain of 4 GiB or more");
	rig_fini(&r);
}

Test(virtqueue, direct_buffers_may_come_ahead_of_an_indirect_table)
{
	static struct rig r;

	rig_init(&r, 4);
	table(&r, DESC)[0] = (struct desc){BUFFERS, 5, NEXT, 3};
	table(&r, DESC)[3] = (struct desc){TABLE, 48, INDIRECT, 0};
	for (uint16_t i = 0; i < 3; i++)
		table(&r, TABLE)[i] = (struct desc){BUFFERS + 64u * i, 7,
						    WRITE | (i < 2 ? NEXT : 0),
						    (uint16_t)(i + 1)};
	offer(&r, 0);
	cr_expect_eq(peek(&r), 1);
	cr_expect_eq(r.c.count, 4);
	cr_expect_eq(r.c.readable, 1);
	cr_expect_eq(r.c.read_len, 5);
	cr_expect_eq(r.c.write_len, 21);
	/* One more is longer than the queue. */
	table(&r, DESC)[3].len = 64;
	table(&r, TABLE)[2].flags |= NEXT;
	table(&r, TABLE)[3] = (struct desc){BUFFERS, 1, WRITE, 0};
	expect_broken(&r, "a chain longer than the queue");
	rig_fini(&r);
}

Test(virtqueue, buffers_of_no_length_are_none)
{
	static struct rig r;

	rig_init(&r, 4);
	table(&r, DESC)[0] = (struct desc){UINT64_MAX, 0, NEXT, 1};
	table(&r, DESC)[1] = (struct desc){BUFFERS, 3, WRITE, 0};
	offer(&r, 0);
	cr_expect_eq(peek(&r), 1);
	cr_expect_eq(r.c.count, 1);
	cr_expect_eq(r.c.readable, 0);
	rig_fini(&r);
}

/* --- giving back ------------------------------------------------------------
 */

Test(virtqueue, indices_wrap_and_the_used_ring_is_in_order)
{
	static struct rig r;

	rig_init(&r, 8);
	for (uint32_t i = 0; i < 70000; i++) {
		uint64_t at = USED + 4 + 8u * (i % 8);

		table(&r, DESC)[i % 8] = (struct desc){BUFFERS, 9, WRITE, 0};
		offer(&r, (uint16_t)(i % 8));
		cr_assert_eq(peek(&r), 1, "chain %u", i);
		vq_finish(&r.q, &r.slots, r.c.head, i);
		cr_assert_eq(*u16(&r, USED + 2), (uint16_t)(i + 1));
		cr_assert_eq(*(uint32_t *)(r.ram + at), i % 8);
		cr_assert_eq(*(uint32_t *)(r.ram + at + 4), i);
	}
	cr_expect_eq(peek(&r), 0);
	rig_fini(&r);
}

Test(virtqueue, several_chains_are_shown_at_once)
{
	static struct rig r;

	rig_init(&r, 8);
	for (uint16_t i = 0; i < 3; i++) {
		table(&r, DESC)[i] = (struct desc){BUFFERS, 1, WRITE, 0};
		offer(&r, i);
	}
	for (uint16_t i = 0; i < 3; i++) {
		cr_expect_eq(vq_peek(&r.q, &r.slots, i, &r.c), 1);
		vq_put(&r.q, &r.slots, i, r.c.head, 100u + i);
		cr_expect_eq(*u16(&r, USED + 2), 0);
	}
	vq_publish(&r.q, &r.slots, 3);
	cr_expect_eq(*u16(&r, USED + 2), 3);
	cr_expect_eq(*(uint32_t *)(r.ram + USED + 4 + 8 * 2 + 4), 102);
	cr_expect_eq(peek(&r), 0);
	rig_fini(&r);
}

/* n chains come and go, unheard. */
static void serve(struct rig *r, int n)
{
	while (n-- > 0) {
		offer_one(r, BUFFERS, 1, WRITE);
		cr_assert_eq(peek(r), 1);
		vq_finish(&r->q, &r->slots, 0, 0);
	}
}

Test(virtqueue, interrupts_by_flag)
{
	static struct rig r;

	rig_init(&r, 8);
	cr_expect_not(vq_interrupt(&r.q, &r.slots), "nothing was done");
	serve(&r, 1);
	cr_expect(vq_interrupt(&r.q, &r.slots));
	cr_expect_not(vq_interrupt(&r.q, &r.slots), "it was told");
	*u16(&r, AVAIL) = 1;
	serve(&r, 2);
	cr_expect_not(vq_interrupt(&r.q, &r.slots));
	rig_fini(&r);
}

Test(virtqueue, interrupts_by_index)
{
	static struct rig r;

	rig_init(&r, 8);
	r.q.event_idx = true;
	*u16(&r, AVAIL) = 1; /* has no meaning then */
	*u16(&r, AVAIL + 4 + 16) = 2;
	serve(&r, 2);
	cr_expect_not(vq_interrupt(&r.q, &r.slots), "they wait for a third");
	serve(&r, 1);
	cr_expect(vq_interrupt(&r.q, &r.slots));
	serve(&r, 5);
	cr_expect_not(vq_interrupt(&r.q, &r.slots), "2 is past");
	*u16(&r, AVAIL + 4 + 16) = 9;
	serve(&r, 4);
	cr_expect(vq_interrupt(&r.q, &r.slots), "9 was among them");
	rig_fini(&r);
}

Test(virtqueue, kicks_by_flag_and_by_index)
{
	static struct rig r;

	rig_init(&r, 8);
	vq_quiet(&r.q, &r.slots);
	cr_expect_eq(*u16(&r, USED), 1);
	cr_expect_not(vq_listen(&r.q, &r.slots));
	cr_expect_eq(*u16(&r, USED), 0);
	offer_one(&r, BUFFERS, 1, 0);
	cr_expect(vq_listen(&r.q, &r.slots), "one came meanwhile");
	r.q.event_idx = true;
	vq_quiet(&r.q, &r.slots);
	cr_expect_eq(*u16(&r, USED), 0);
	cr_expect_eq(peek(&r), 1);
	vq_finish(&r.q, &r.slots, 0, 0);
	cr_expect_not(vq_listen(&r.q, &r.slots));
	cr_expect_eq(*u16(&r, USED + 4 + 64), 1, "the event is the next one");
	rig_fini(&r);
}

/* --- bytes ------------------------------------------------------------------
 */

static bool is_dirty(const struct rig *r, uint64_t gpa)
{
	uint64_t page = gpa / 4096;

	return r->slots.slot[0].dirty[page / 64] >> page % 64 & 1;
}

Test(virtqueue, bytes_are_found_across_buffers)
{
	static struct rig r;
	uint8_t got[64] = {0};
	struct iovec iov[VQ_SIZE_MAX];

	rig_init(&r, 8);
	table(&r, DESC)[0] = (struct desc){BUFFERS, 3, NEXT, 1};
	table(&r, DESC)[1] = (struct desc){BUFFERS + 100, 5, NEXT, 2};
	table(&r, DESC)[2] = (struct desc){BUFFERS + 4096, 4, NEXT | WRITE, 3};
	table(&r, DESC)[3] = (struct desc){BUFFERS + 3 * 4096, 4, WRITE, 0};
	memcpy(r.ram + BUFFERS, "abc", 3);
	memcpy(r.ram + BUFFERS + 100, "defgh", 5);
	offer(&r, 0);
	cr_assert_eq(peek(&r), 1);
	cr_expect_eq(vq_copy_from(&r.slots, &r.c, 0, got, 64), 8);
	cr_expect_arr_eq(got, "abcdefgh", 8);
	cr_expect_eq(vq_copy_from(&r.slots, &r.c, 2, got, 3), 3);
	cr_expect_arr_eq(got, "cde", 3);
	cr_expect_eq(vq_copy_from(&r.slots, &r.c, 8, got, 1), 0);
	cr_expect_eq(vq_copy_to(&r.slots, &r.c, 3, "XYZ", 3), 3);
	cr_expect_eq(r.ram[BUFFERS + 4096 + 3], 'X');
	cr_expect_arr_eq(r.ram + BUFFERS + 3 * 4096, "YZ", 2);
	cr_expect(is_dirty(&r, BUFFERS + 4096));
	cr_expect(is_dirty(&r, BUFFERS + 3 * 4096));
	cr_expect_not(is_dirty(&r, BUFFERS));
	cr_expect_not(is_dirty(&r, BUFFERS + 2 * 4096));
	cr_expect_eq(vq_copy_to(&r.slots, &r.c, 7, "12", 2), 1);
	cr_expect_eq(vq_map(&r.slots, &r.c, false, 1, 6, iov), 2);
	cr_expect_eq(iov[0].iov_len, 2);
	cr_expect_eq(iov[1].iov_len, 4);
	cr_expect_eq(iov[1].iov_base, r.ram + BUFFERS + 100);
	cr_expect_eq(vq_map(&r.slots, &r.c, true, 0, 9, iov), -EFAULT);
	rig_fini(&r);
}

Test(bucket, a_second_at_once_and_then_the_rate)
{
	const uint64_t s = 1000000000;
	struct bucket b;

	bucket_init(&b, 1000, 5 * s);
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(bucket_ready(&b, 1, 5 * s), 0);
		bucket_take(&b, 1);
	}
	cr_expect_gt(bucket_ready(&b, 1, 5 * s), 5 * s);
	cr_expect_leq(bucket_ready(&b, 1, 5 * s), 5 * s + s / 1000 + 1);
	/* Looking often loses no part of a token. */
	for (uint64_t t = 0; t < s; t += 999)
		(void)bucket_ready(&b, 1, 5 * s + t);
	cr_expect_eq(bucket_ready(&b, 1000, 6 * s), 0);
	cr_expect_eq(bucket_ready(&b, 1000, 60 * s), 0, "no more than full");
	bucket_take(&b, 1000);
	cr_expect_neq(bucket_ready(&b, 1, 60 * s), 0);
}

Test(bucket, what_is_larger_than_it_goes_when_it_is_full)
{
	const uint64_t s = 1000000000;
	struct bucket b;

	bucket_init(&b, 10, 0);
	cr_expect_eq(bucket_ready(&b, 25, 0), 0);
	bucket_take(&b, 25);
	cr_expect_neq(bucket_ready(&b, 1, 1 * s), 0, "it is in debt");
	cr_expect_eq(bucket_ready(&b, 1, 2 * s), 0);
	bucket_init(&b, 0, 0);
	bucket_take(&b, UINT64_MAX);
	cr_expect_eq(bucket_ready(&b, UINT64_MAX, 0), 0, "no limit");
	bucket_init(&b, UINT64_MAX, 0);
	bucket_take(&b, UINT64_MAX);
	cr_expect_lt(bucket_ready(&b, 1, 1), s);
}
