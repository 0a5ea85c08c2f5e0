/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - rules of initialisation and of virtio-mmio (virtio 1.2, 2.1,
 * 2.2, 3.1, 4.2), for every device.
 */
#include "villain.h"

#define READY (VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK)

static uint32_t state(void)
{
	return vget(&dev, V_STATUS);
}

static enum verdict by_status(void)
{
	return state() & VS_NEEDS_RESET ? NEEDS_RESET : PASS;
}

static void restart(uint32_t status)
{
	vput(&dev, V_STATUS, 0);
	if (status)
		vput(&dev, V_STATUS, status);
}

/* --- status -----------------------------------------------------------------
 */

static enum verdict ok_without_features(void)
{
	restart(VS_ACK | VS_DRIVER);
	vput(&dev, V_STATUS, VS_ACK | VS_DRIVER | VS_DRIVER_OK);
	return must(!(state() & VS_DRIVER_OK)) == PASS ? by_status() : WEDGED;
}

static enum verdict ok_at_once(void)
{
	restart(0);
	vput(&dev, V_STATUS, READY);
	return must(!(state() & VS_DRIVER_OK)) == PASS ? by_status() : WEDGED;
}

static enum verdict refused(uint32_t status, uint64_t accept)
{
	restart(status);
	vaccept(&dev, accept);
	vput(&dev, V_STATUS, status | VS_FEATURES_OK);
	return must(!(state() & VS_FEATURES_OK));
}

static enum verdict without_version_1(void)
{
	return refused(VS_ACK | VS_DRIVER, 0);
}

static enum verdict not_offered(void)
{
	return refused(VS_ACK | VS_DRIVER, VF_VERSION_1 | 1ull << 40);
}

static enum verdict all_features(void)
{
	return refused(VS_ACK | VS_DRIVER, ~0ull);
}

static enum verdict without_driver(void)
{
	return refused(VS_ACK, VF_VERSION_1);
}

static enum verdict packed(void)
{
	return refused(VS_ACK | VS_DRIVER, VF_VERSION_1 | 1ull << 34);
}

static enum verdict access_platform(void)
{
	return refused(VS_ACK | VS_DRIVER, VF_VERSION_1 | 1ull << 33);
}

static enum verdict features_after_ok(void)
{
	vaccept(&dev, ~0ull);
	return works();
}

static enum verdict bits_taken_back(void)
{
	vput(&dev, V_STATUS, VS_ACK);
	return state() == READY ? works() : WEDGED;
}

static enum verdict unknown_bits(void)
{
	vput(&dev, V_STATUS, READY | 0x30 | 0xffffff00);
	return state() == READY ? works() : WEDGED;
}

static enum verdict claims_needs_reset(void)
{
	vput(&dev, V_STATUS, READY | VS_NEEDS_RESET);
	return state() == READY ? works() : WEDGED;
}

static enum verdict twice_ok(void)
{
	vput(&dev, V_STATUS, READY);
	vput(&dev, V_STATUS, READY);
	return works();
}

static enum verdict failed(void)
{
	vput(&dev, V_STATUS, READY | VS_FAILED);
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	for (int i = 0; i < 1000; i++)
		(void)vget(&dev, V_STATUS);
	return must(*(volatile uint16_t *)&ring.used.idx == 0);
}

static enum verdict status_ones(void)
{
	vput(&dev, V_STATUS, ~0u);
	return must(state() == (READY | VS_FAILED));
}

static enum verdict reset_amid(void)
{
	for (int i = 0; i < 50; i++) {
		if (!setup())
			return WEDGED;
		voffer(&ring, 0);
		vput(&dev, V_NOTIFY, kind->queue);
		vput(&dev, V_STATUS, 0);
		if (state() != 0)
			return WEDGED;
	}
	return PASS;
}

static enum verdict resets(void)
{
	for (int i = 0; i < 500; i++)
		vput(&dev, V_STATUS, 0);
	return must(state() == 0);
}

/* --- queues -----------------------------------------------------------------
 */

/* Everything else is right; then DRIVER_OK. */
static enum verdict with(uint32_t size, uint64_t desc, uint64_t avail,
			 uint64_t used)
{
	if (!vbegin(&dev, 0))
		return WEDGED;
	vput(&dev, V_QUEUE_SEL, kind->queue);
	vput(&dev, V_QUEUE_SIZE, size);
	vput64(&dev, V_DESC, desc);
	vput64(&dev, V_AVAIL, avail);
	vput64(&dev, V_USED, used);
	vput(&dev, V_QUEUE_READY, 1);
	if (vget(&dev, V_QUEUE_READY) != 0)
		return WEDGED;
	vput(&dev, V_STATUS, READY);
	vput(&dev, V_NOTIFY, kind->queue);
	return by_status();
}

#define D ((uintptr_t)ring.desc)
#define A ((uintptr_t)&ring.avail)
#define U ((uintptr_t)&ring.used)

#define BAD_QUEUE(name, size, desc, avail, used)                               \
	static enum verdict name(void)                                         \
	{                                                                      \
		return with(size, desc, avail, used);                          \
	}

BAD_QUEUE(size_0, 0, D, A, U)
BAD_QUEUE(size_3, 3, D, A, U)
BAD_QUEUE(size_512, 512, D, A, U)
BAD_QUEUE(size_32768, 32768, D, A, U)
BAD_QUEUE(size_wraps, 65536 + 16, D, A, U)
BAD_QUEUE(size_ones, ~0u, D, A, U)
BAD_QUEUE(desc_odd, SIZE, D + 8, A, U)
BAD_QUEUE(avail_odd, SIZE, D, A + 1, U)
BAD_QUEUE(used_odd, SIZE, D, A, U + 2)
BAD_QUEUE(desc_outside, SIZE, RAM_END, A, U)
BAD_QUEUE(avail_outside, SIZE, D, RAM_END, U)
BAD_QUEUE(used_outside, SIZE, D, A, RAM_END)
BAD_QUEUE(desc_across, SIZE, RAM_END - 16, A, U)
BAD_QUEUE(avail_across, SIZE, D, RAM_END - 4, U)
BAD_QUEUE(used_across, SIZE, D, A, RAM_END - 8)
BAD_QUEUE(desc_wraps, SIZE, ~0ull - 15, A, U)
BAD_QUEUE(avail_wraps, SIZE, D, ~0ull - 1, U)
BAD_QUEUE(used_wraps, SIZE, D, A, ~0ull - 3)
BAD_QUEUE(desc_device, SIZE, dev.base, A, U)
BAD_QUEUE(used_device, SIZE, D, A, dev.base + V_CONFIG)

/* Registers of a queue, written at the wrong time. */
static void scribble_queue(void)
{
	vput(&dev, V_QUEUE_SEL, kind->queue);
	vput(&dev, V_QUEUE_SIZE, 2);
	vput64(&dev, V_DESC, 0x123450);
	vput64(&dev, V_AVAIL, ~0ull);
	vput64(&dev, V_USED, 0);
}

static enum verdict rewritten_when_ready(void)
{
	if (!begin(SIZE))
		return WEDGED;
	scribble_queue();
	vready(&dev);
	return works();
}

static enum verdict rewritten_when_ok(void)
{
	scribble_queue();
	vput(&dev, V_QUEUE_READY, 1);
	return works();
}

static enum verdict ready_after_ok(void)
{
	if (!vbegin(&dev, 0))
		return WEDGED;
	vput(&dev, V_STATUS, READY);
	scribble_queue();
	vput(&dev, V_QUEUE_READY, 1);
	return must(vget(&dev, V_QUEUE_READY) == 0 && state() == READY);
}

static enum verdict no_queue_at_all(void)
{
	if (!vbegin(&dev, 0))
		return WEDGED;
	vput(&dev, V_STATUS, READY);
	for (uint32_t i = 0; i < 10; i++)
		vput(&dev, V_NOTIFY, i);
	return must(state() == READY);
}

static enum verdict before_features(void)
{
	restart(VS_ACK | VS_DRIVER);
	scribble_queue();
	vput(&dev, V_QUEUE_READY, 1);
	return must(vget(&dev, V_QUEUE_READY) == 0);
}

static enum verdict select_outside(void)
{
	vput(&dev, V_QUEUE_SEL, kind->queues);
	if (vget(&dev, V_QUEUE_MAX) != 0 || vget(&dev, V_QUEUE_READY) != 0)
		return WEDGED;
	vput(&dev, V_QUEUE_SEL, ~0u);
	vput(&dev, V_QUEUE_SIZE, 4);
	vput64(&dev, V_DESC, 0);
	vput(&dev, V_QUEUE_READY, 1);
	if (vget(&dev, V_QUEUE_MAX) != 0 || vget(&dev, V_QUEUE_READY) != 0)
		return WEDGED;
	return works();
}

static enum verdict stopped_queue(void)
{
	vput(&dev, V_QUEUE_SEL, kind->queue);
	vput(&dev, V_QUEUE_READY, 0);
	if (vget(&dev, V_QUEUE_READY) != 0)
		return WEDGED;
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	for (int i = 0; i < 1000; i++)
		(void)state();
	return must(*(volatile uint16_t *)&ring.used.idx == 0);
}

static enum verdict early_kick(void)
{
	if (!begin(SIZE))
		return WEDGED;
	kind->good();
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	for (int i = 0; i < 1000; i++)
		(void)state();
	if (*(volatile uint16_t *)&ring.used.idx != 0)
		return WEDGED;
	vready(&dev);
	return outcome(1);
}

/* --- registers --------------------------------------------------------------
 */

static enum verdict read_only(void)
{
	static const uint16_t at[] = {V_MAGIC,	   V_VERSION, V_DEVICE,
				      V_VENDOR,	   V_OFFERED, V_QUEUE_MAX,
				      V_GENERATION};

	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint32_t was = vget(&dev, (enum vreg)at[i]);

		vput(&dev, (enum vreg)at[i], ~was);
		if (vget(&dev, (enum vreg)at[i]) != was)
			return WEDGED;
	}
	return works();
}

static enum verdict interrupt_status(void)
{
	if (works() != PASS)
		return WEDGED;
	vput(&dev, V_ISR, ~0u);
	vput(&dev, V_ACK, ~0u);
	return must(vget(&dev, V_ISR) == 0) == PASS ? works() : WEDGED;
}

static enum verdict write_only(void)
{
	static const uint16_t at[] = {
		V_OFFERED_SEL, V_ACCEPTED, V_ACCEPTED_SEL, V_QUEUE_SEL,
		V_QUEUE_SIZE,  V_NOTIFY,   V_ACK,	   V_DESC,
		V_AVAIL + 4,   V_USED};

	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (vget(&dev, (enum vreg)at[i]) != 0)
			return WEDGED;
	return works();
}

static enum verdict feature_words(void)
{
	vput(&dev, V_OFFERED_SEL, 2);
	if (vget(&dev, V_OFFERED) != 0)
		return WEDGED;
	vput(&dev, V_OFFERED_SEL, ~0u);
	if (vget(&dev, V_OFFERED) != 0)
		return WEDGED;
	restart(VS_ACK | VS_DRIVER);
	vput(&dev, V_ACCEPTED_SEL, 7);
	vput(&dev, V_ACCEPTED, ~0u);
	vaccept(&dev, VF_VERSION_1);
	vput(&dev, V_STATUS, VS_ACK | VS_DRIVER | VS_FEATURES_OK);
	return must((state() & VS_FEATURES_OK) != 0);
}

static enum verdict shared_memory(void)
{
	for (uint32_t id = 0; id < 4; id++) {
		vput(&dev, (enum vreg)0x0ac, id);
		for (uint32_t at = 0xb0; at < 0xc0; at += 4)
			if (vget(&dev, (enum vreg)at) != ~0u)
				return WEDGED;
	}
	return works();
}

static enum verdict config_past_end(void)
{
	for (uint32_t at = V_CONFIG + 0x40; at < MOTE_VIRTIO_SIZE; at += 4) {
		if (vget(&dev, (enum vreg)at) != 0)
			return WEDGED;
		if (at % 256 == 0)
			vput(&dev, (enum vreg)at, ~0u);
	}
	return works();
}

static enum verdict config_written(void)
{
	uint32_t was[16];

	for (unsigned int i = 0; i < 16; i++)
		was[i] = vconfig32(&dev, i * 4);
	for (unsigned int i = 0; i < 16; i++)
		vput(&dev, (enum vreg)(V_CONFIG + i * 4), ~was[i]);
	for (unsigned int i = 0; i < 16; i++)
		if (vconfig32(&dev, i * 4) != was[i])
			return WEDGED;
	return works();
}

static volatile uint8_t *at8(uint32_t off)
{
	return (volatile uint8_t *)(dev.base + off);
}

static enum verdict bytes(void)
{
	if (*at8(V_MAGIC) != 0 || *at8(V_STATUS) != 0)
		return WEDGED;
	*at8(V_STATUS) = 0;
	*at8(V_QUEUE_READY) = 0;
	return state() == READY ? works() : WEDGED;
}

static enum verdict halves(void)
{
	volatile uint16_t *at = (volatile uint16_t *)(dev.base + V_STATUS);

	if (*at != 0)
		return WEDGED;
	*at = 0;
	*(volatile uint16_t *)(dev.base + V_NOTIFY) = kind->queue;
	return state() == READY ? works() : WEDGED;
}

static enum verdict quads(void)
{
	volatile uint64_t *at = (volatile uint64_t *)(dev.base + V_STATUS);

	(void)*at;
	*at = 0;
	*(volatile uint64_t *)(dev.base + V_DESC) = ~0ull;
	return state() == READY ? works() : WEDGED;
}

/* Every offset, every width, all ones and zeros; then a reset mends it. */
static enum verdict everything(void)
{
	for (uint32_t off = 0; off < 0x140; off += 4) {
		vput(&dev, (enum vreg)off, ~0u);
		(void)vget(&dev, (enum vreg)off);
		*at8(off) = 0xff;
		(void)*at8(off + 3);
		*(volatile uint16_t *)(dev.base + off + 2) = 0xffff;
		vput(&dev, (enum vreg)off, 0);
	}
	return PASS;
}

#if defined(__x86_64__)
static enum verdict misaligned(void)
{
	for (uint32_t off = 0; off < 0x120; off++) {
		volatile uint32_t *at = (volatile uint32_t *)(dev.base + off);

		if (off % 4 == 0)
			continue;
		(void)*at;
		if (off < V_CONFIG - 4)
			*at = 0;
	}
	return state() == READY ? works() : WEDGED;
}

static enum verdict across_the_end(void)
{
	volatile uint32_t *at =
		(volatile uint32_t *)(dev.base + MOTE_VIRTIO_SIZE - 2);

	(void)*at;
	*at = ~0u;
	return works();
}
#endif

const struct test transport_tests[] = {
	{"DRIVER_OK without FEATURES_OK", NEEDS_RESET, ok_without_features},
	{"all status bits at once", NEEDS_RESET, ok_at_once},
	{"FEATURES_OK without VERSION_1", PASS, without_version_1},
	{"a feature not offered", PASS, not_offered},
	{"all features", PASS, all_features},
	{"FEATURES_OK without DRIVER", PASS, without_driver},
	{"a packed ring", PASS, packed},
	{"ACCESS_PLATFORM", PASS, access_platform},
	{"features after FEATURES_OK", PASS, features_after_ok},
	{"status bits taken back", PASS, bits_taken_back},
	{"unknown status bits", PASS, unknown_bits},
	{"NEEDS_RESET by the driver", PASS, claims_needs_reset},
	{"DRIVER_OK again", PASS, twice_ok},
	{"kicks after FAILED", PASS, failed},
	{"a status of ones", PASS, status_ones},
	{"resets amid requests", PASS, reset_amid},
	{"500 resets", PASS, resets},
	{"a queue of 0", NEEDS_RESET, size_0},
	{"a queue of 3", NEEDS_RESET, size_3},
	{"a queue of 512", NEEDS_RESET, size_512},
	{"a queue of 32768", NEEDS_RESET, size_32768},
	{"a queue of 65552", NEEDS_RESET, size_wraps},
	{"a queue of ones", NEEDS_RESET, size_ones},
	{"a table not aligned", NEEDS_RESET, desc_odd},
	{"an available ring not aligned", NEEDS_RESET, avail_odd},
	{"a used ring not aligned", NEEDS_RESET, used_odd},
	{"a table outside of RAM", NEEDS_RESET, desc_outside},
	{"an available ring outside of RAM", NEEDS_RESET, avail_outside},
	{"a used ring outside of RAM", NEEDS_RESET, used_outside},
	{"a table across the end", NEEDS_RESET, desc_across},
	{"an available ring across the end", NEEDS_RESET, avail_across},
	{"a used ring across the end", NEEDS_RESET, used_across},
	{"a table that wraps", NEEDS_RESET, desc_wraps},
	{"an available ring that wraps", NEEDS_RESET, avail_wraps},
	{"a used ring that wraps", NEEDS_RESET, used_wraps},
	{"a table in the device", NEEDS_RESET, desc_device},
	{"a used ring in the device", NEEDS_RESET, used_device},
	{"a queue rewritten when ready", PASS, rewritten_when_ready},
	{"a queue rewritten after DRIVER_OK", PASS, rewritten_when_ok},
	{"a queue made ready after DRIVER_OK", PASS, ready_after_ok},
	{"no queue at all", PASS, no_queue_at_all},
	{"a queue before FEATURES_OK", PASS, before_features},
	{"queues that are not there", PASS, select_outside},
	{"a queue that was stopped", PASS, stopped_queue},
	{"a kick before DRIVER_OK", PASS, early_kick},
	{"registers to be read only", PASS, read_only},
	{"the interrupt status written", PASS, interrupt_status},
	{"registers to be written only", PASS, write_only},
	{"words of features past the second", PASS, feature_words},
	{"shared memory", PASS, shared_memory},
	{"configuration past its end", PASS, config_past_end},
	{"configuration written", PASS, config_written},
	{"registers by bytes", PASS, bytes},
	{"registers by 16 bits", PASS, halves},
	{"registers by 64 bits", PASS, quads},
	{"all registers, all widths", PASS, everything},
#if defined(__x86_64__)
	{"registers not aligned", PASS, misaligned},
	{"an access across the end", PASS, across_the_end},
#endif
	{0},
};
