/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - rules of virtqueues (virtio 1.2, 2.7), for every device.
 */
#include "villain.h"

/* The last descriptor of the good request. */
static struct vdesc *last(void)
{
	return &ring.desc[kind->descs - 1];
}

static uint64_t here(const void *p)
{
	return (uintptr_t)p;
}

#define WRONG(name, ...)                                                       \
	static enum verdict name(void)                                         \
	{                                                                      \
		__VA_ARGS__;                                                   \
		return go();                                                   \
	}

WRONG(next_is_itself, last()->flags |= VD_NEXT;
      last()->next = (uint16_t)(kind->descs - 1))
WRONG(next_is_first, last()->flags |= VD_NEXT; last()->next = 0)
WRONG(next_is_size, last()->flags |= VD_NEXT; last()->next = SIZE)
WRONG(next_is_far, last()->flags |= VD_NEXT; last()->next = 0xffff)
WRONG(addr_end_of_ram, last()->addr = RAM_END)
WRONG(addr_ones, last()->addr = ~0ull)
WRONG(addr_wraps, last()->addr = ~0ull - 8; last()->len = 64)
WRONG(addr_sign, last()->addr |= 1ull << 63)
WRONG(addr_53_bits, last()->addr |= 1ull << 52)
WRONG(addr_is_device, last()->addr = dev.base)
WRONG(addr_before_device, last()->addr = dev.base - 4096)
WRONG(len_ones, last()->len = ~0u)
WRONG(len_half, last()->len = 0x80000000u)
WRONG(len_past_ram, last()->addr = RAM_END - 8; last()->len = 64)
WRONG(first_addr_bad, ring.desc[0].addr = RAM_END + 4096)
WRONG(first_len_bad, ring.desc[0].len = 0xfffffff0u)

static enum verdict head_is_size(void)
{
	voffer(&ring, SIZE);
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(ring.next_avail);
}

static enum verdict head_is_far(void)
{
	voffer(&ring, 0xffff);
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(ring.next_avail);
}

static enum verdict jump(uint16_t by)
{
	*(volatile uint16_t *)&ring.avail.idx = by;
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(1);
}

static enum verdict idx_too_far(void)
{
	return jump(SIZE + 1);
}

static enum verdict idx_back(void)
{
	return jump(0xffff);
}

static enum verdict idx_half(void)
{
	return jump(0x8000);
}

static enum verdict idx_back_later(void)
{
	enum verdict v = go();

	if (v != PASS)
		return WEDGED;
	*(volatile uint16_t *)&ring.avail.idx = 0;
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(2);
}

/* What can be read behind what can be written. */
static enum verdict order(void)
{
	vset(&ring, 0, data, 16, VD_NEXT | VD_WRITE, 1);
	vset(&ring, 1, data, 16, VD_NEXT, 2);
	vset(&ring, 2, data, 16, VD_WRITE, 0);
	return go();
}

static enum verdict chain_of_4_gib(void)
{
	features = 0;
	if (!begin(256))
		return WEDGED;
	vready(&dev);
	for (uint16_t i = 0; i < 256; i++)
		ring.desc[i] = (struct vdesc){0, 0x1000000, VD_NEXT | VD_WRITE,
					      (uint16_t)(i + 1)};
	ring.desc[255].flags = VD_WRITE;
	return go();
}

/* --- indirect ---------------------------------------------------------------
 */

/* The good request in a table. */
static void indirect(void)
{
	for (uint16_t i = 0; i < kind->descs; i++)
		table[i] = ring.desc[i];
	ring.desc[0] =
		(struct vdesc){here(table), kind->descs * 16u, VD_INDIRECT, 0};
}

static struct vdesc *last_inner(void)
{
	return &table[kind->descs - 1];
}

#define WRONG_INDIRECT(name, ...)                                              \
	static enum verdict name(void)                                         \
	{                                                                      \
		indirect();                                                    \
		__VA_ARGS__;                                                   \
		return go();                                                   \
	}

WRONG_INDIRECT(in_next, ring.desc[0].flags |= VD_NEXT; ring.desc[0].next = 1)
WRONG_INDIRECT(in_empty, ring.desc[0].len = 0)
WRONG_INDIRECT(in_odd_len, ring.desc[0].len += 8)
WRONG_INDIRECT(in_one_byte, ring.desc[0].len = 1)
WRONG_INDIRECT(in_too_long, ring.desc[0].len = (SIZE + 1) * 16)
WRONG_INDIRECT(in_huge, ring.desc[0].len = 0xfffffff0u)
WRONG_INDIRECT(in_past_ram, ring.desc[0].addr = RAM_END - 8)
WRONG_INDIRECT(in_ones, ring.desc[0].addr = ~0ull - 15)
WRONG_INDIRECT(in_device, ring.desc[0].addr = dev.base)
WRONG_INDIRECT(in_next_outside, last_inner()->flags |= VD_NEXT;
	       last_inner()->next = kind->descs)
WRONG_INDIRECT(in_loop, last_inner()->flags |= VD_NEXT; last_inner()->next = 0)
WRONG_INDIRECT(in_in,
	       table[0] = (struct vdesc){here(table + 64), 16, VD_INDIRECT, 0})
WRONG_INDIRECT(in_itself, table[0] = ring.desc[0])
WRONG_INDIRECT(in_addr, last_inner()->addr = RAM_END)
WRONG_INDIRECT(in_len, last_inner()->len = ~0u)
WRONG_INDIRECT(in_good, (void)0)

static enum verdict in_not_negotiated(void)
{
	features = 0;
	if (!setup())
		return WEDGED;
	indirect();
	return go();
}

static enum verdict in_misaligned(void)
{
	uint8_t *to = data + 8192 + 3;
	const uint8_t *from = (const uint8_t *)table;

	indirect();
	for (unsigned int i = 0; i < 48; i++)
		to[i] = from[i];
	ring.desc[0].addr = here(to);
	return go();
}

/* --- what is odd and no harm ------------------------------------------------
 */

WRONG(unknown_flags, ring.desc[0].flags |= 0xfff8)
WRONG(avail_flags, ring.avail.flags = 0xfffe)
WRONG(used_flags, ring.used.flags = 0xffff)
WRONG(next_unused, last()->next = 0xffff)

static enum verdict used_idx_scribbled(void)
{
	ring.used.idx = 7;
	return go();
}

static enum verdict same_head_twice(void)
{
	voffer(&ring, 0);
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(2);
}

static enum verdict events_scribbled(void)
{
	features = VF_EVENT_IDX;
	if (!setup())
		return WEDGED;
	*vused_event(&ring) = 0x7777;
	*vavail_event(&ring) = 0x8888;
	return go();
}

static enum verdict kick_for_nothing(void)
{
	vput(&dev, V_NOTIFY, kind->queue);
	return unmoved();
}

static enum verdict many_kicks(void)
{
	for (int i = 0; i < 2000; i++)
		vput(&dev, V_NOTIFY, kind->queue);
	return unmoved();
}

static enum verdict kick_of_no_queue(void)
{
	vput(&dev, V_NOTIFY, 99);
	vput(&dev, V_NOTIFY, ~0u);
	vput(&dev, V_NOTIFY, kind->queues);
	return unmoved();
}

static enum verdict kick_high_bits(void)
{
	vput(&dev, V_NOTIFY, 0xabcd0000u | kind->queue);
	return unmoved();
}

/* The three areas at places that overlap. */
static enum verdict areas(uint64_t desc, uint64_t avail, uint64_t used)
{
	if (!vbegin(&dev, 0))
		return WEDGED;
	for (unsigned int i = 0; i < sizeof(ring) / 8; i++)
		((volatile uint64_t *)&ring)[i] = 0;
	ring.size = SIZE;
	vput(&dev, V_QUEUE_SEL, kind->queue);
	vput(&dev, V_QUEUE_SIZE, SIZE);
	vput64(&dev, V_DESC, desc);
	vput64(&dev, V_AVAIL, avail);
	vput64(&dev, V_USED, used);
	vput(&dev, V_QUEUE_READY, 1);
	vready(&dev);
	kind->good();
	/* Anything may be served; it must end. */
	*(volatile uint16_t *)(uintptr_t)(avail + 2) = 1;
	for (int i = 0; i < 20; i++)
		vput(&dev, V_NOTIFY, kind->queue);
	return vget(&dev, V_STATUS) & VS_NEEDS_RESET ? NEEDS_RESET : PASS;
}

static enum verdict used_is_avail(void)
{
	return areas(here(ring.desc), here(&ring.avail), here(&ring.avail));
}

static enum verdict used_is_desc(void)
{
	return areas(here(ring.desc), here(&ring.avail), here(ring.desc));
}

static enum verdict all_is_one(void)
{
	return areas(here(ring.desc), here(ring.desc), here(ring.desc));
}

/* Its own rings are what it writes to. */
static enum verdict buffer_is_ring(void)
{
	features = 0;
	if (!setup())
		return WEDGED;
	last()->addr = here(&ring.used);
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	for (int i = 0; i < 20; i++)
		vput(&dev, V_NOTIFY, kind->queue);
	return vget(&dev, V_STATUS) & VS_NEEDS_RESET ? NEEDS_RESET : PASS;
}

static enum verdict dead_kicks(void)
{
	last()->addr = ~0ull;
	if (go() != NEEDS_RESET)
		return WEDGED;
	kind->good();
	for (int i = 0; i < 100; i++) {
		voffer(&ring, 0);
		vput(&dev, V_NOTIFY, kind->queue);
	}
	return must(*(volatile uint16_t *)&ring.used.idx == 0) == PASS
		       ? NEEDS_RESET
		       : WEDGED;
}

const struct test queue_tests[] = {
	{"a descriptor that is its own next", NEEDS_RESET, next_is_itself},
	{"a loop", NEEDS_RESET, next_is_first},
	{"next is the queue's size", NEEDS_RESET, next_is_size},
	{"next is 65535", NEEDS_RESET, next_is_far},
	{"a head that is the queue's size", NEEDS_RESET, head_is_size},
	{"a head that is 65535", NEEDS_RESET, head_is_far},
	{"more available than entries", NEEDS_RESET, idx_too_far},
	{"an index that goes back", NEEDS_RESET, idx_back},
	{"an index half round", NEEDS_RESET, idx_half},
	{"an index that goes back later", NEEDS_RESET, idx_back_later},
	{"a buffer at the end of RAM", NEEDS_RESET, addr_end_of_ram},
	{"a buffer at all ones", NEEDS_RESET, addr_ones},
	{"a buffer that wraps", NEEDS_RESET, addr_wraps},
	{"a buffer with bit 63", NEEDS_RESET, addr_sign},
	{"a buffer with bit 52", NEEDS_RESET, addr_53_bits},
	{"a buffer in the device", NEEDS_RESET, addr_is_device},
	{"a buffer in no memory", NEEDS_RESET, addr_before_device},
	{"a buffer of 4 GiB less 1", NEEDS_RESET, len_ones},
	{"a buffer of 2 GiB", NEEDS_RESET, len_half},
	{"a buffer across the end of RAM", NEEDS_RESET, len_past_ram},
	{"a first buffer outside", NEEDS_RESET, first_addr_bad},
	{"a first buffer too long", NEEDS_RESET, first_len_bad},
	{"reading after writing", NEEDS_RESET, order},
	{"a chain of 4 GiB", NEEDS_RESET, chain_of_4_gib},
	{"indirect, well formed", PASS, in_good},
	{"indirect, not aligned", PASS, in_misaligned},
	{"indirect, not negotiated", NEEDS_RESET, in_not_negotiated},
	{"indirect with next", NEEDS_RESET, in_next},
	{"indirect of no length", NEEDS_RESET, in_empty},
	{"indirect of half a descriptor more", NEEDS_RESET, in_odd_len},
	{"indirect of one byte", NEEDS_RESET, in_one_byte},
	{"indirect longer than the queue", NEEDS_RESET, in_too_long},
	{"indirect of almost 4 GiB", NEEDS_RESET, in_huge},
	{"indirect across the end of RAM", NEEDS_RESET, in_past_ram},
	{"indirect at all ones", NEEDS_RESET, in_ones},
	{"indirect in the device", NEEDS_RESET, in_device},
	{"indirect, next outside", NEEDS_RESET, in_next_outside},
	{"indirect, a loop", NEEDS_RESET, in_loop},
	{"indirect in indirect", NEEDS_RESET, in_in},
	{"indirect in itself", NEEDS_RESET, in_itself},
	{"indirect, a buffer outside", NEEDS_RESET, in_addr},
	{"indirect, a buffer too long", NEEDS_RESET, in_len},
	{"unknown flags of a descriptor", PASS, unknown_flags},
	{"unknown flags of the ring", PASS, avail_flags},
	{"flags of the used ring", PASS, used_flags},
	{"a next that is none", PASS, next_unused},
	{"the used index written", PASS, used_idx_scribbled},
	{"one head twice", PASS, same_head_twice},
	{"both events written", PASS, events_scribbled},
	{"a kick for nothing", PASS, kick_for_nothing},
	{"2000 kicks", PASS, many_kicks},
	{"kicks of no queue", PASS, kick_of_no_queue},
	{"a kick with high bits", PASS, kick_high_bits},
	{"used ring on the available one", EITHER, used_is_avail},
	{"used ring on the table", EITHER, used_is_desc},
	{"all three at one place", EITHER, all_is_one},
	{"a buffer that is the used ring", EITHER, buffer_is_ring},
	{"kicks after NEEDS_RESET", NEEDS_RESET, dead_kicks},
	{0},
};
