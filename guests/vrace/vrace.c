/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vrace.c - a second vCPU changes descriptors, an indirect table and the ring
 * of a disk while the device uses them.
 *
 * The first offers rounds=N (2000) requests and resets the device when it must;
 * in the end, the other one stopped, the disk must work.  Says how often it was
 * reset; 2: the second vCPU does not start.
 */
#include "virtio.h"

void smp_start(uint32_t cpu, void (*fn)(void), void *stack_top);

#define SIZE 16

static struct vdev dev;
static struct vring ring;
static struct vdesc table[SIZE] __attribute__((aligned(16)));
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t status;
static uint8_t data[4096] __attribute__((aligned(4096)));
static char stack[4096] __attribute__((aligned(16)));
static volatile int started, stop;

static void flip(volatile struct vdesc *d, uint32_t n)
{
	switch (n % 8) {
	case 0:
		d->addr = ~0ull - n;
		break;
	case 1:
		d->len = ~0u;
		break;
	case 2:
		d->next = (uint16_t)n;
		break;
	case 3:
		d->flags = n & 7;
		break;
	case 4:
		d->addr = (uintptr_t)table;
		d->len = 64;
		d->flags = VD_INDIRECT;
		break;
	default:
		d->addr = (uintptr_t)data;
		d->len = 512;
	}
}

static void other_main(void)
{
	started = 1;
	for (uint32_t n = 12345; !stop; n = n * 1103515245 + 12345) {
		volatile uint16_t *avail = (volatile uint16_t *)ring.avail.ring;

		flip(&ring.desc[n >> 8 & 3], n >> 16);
		flip(&table[n >> 10 & 3], n >> 19);
		avail[n >> 12 & 15] = n >> 16 & 3;
		header.type = n >> 20 & 1 ? 0 : n >> 21 & 15;
	}
	stop = 2;
}

static int start(void)
{
	if (!vbegin(&dev, VF_INDIRECT))
		return 0;
	vqueue(&dev, &ring, 0, SIZE);
	vready(&dev);
	return 1;
}

static void build(void)
{
	header.type = 0;
	header.sector = 0;
	vset(&ring, 0, &header, 16, VD_NEXT, 1);
	vset(&ring, 1, data, 512, VD_NEXT | VD_WRITE, 2);
	vset(&ring, 2, (const void *)&status, 1, VD_WRITE, 0);
	for (uint16_t i = 0; i < 3; i++)
		table[i] = ring.desc[i];
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 2000), resets = 0;
	uint16_t head;
	uint32_t len;

	if (!vfind(boot, VID_BLK, 0, &dev, NULL) || !start())
		return 100;
	smp_start(1, other_main, stack + sizeof(stack));
	for (int ms = 0; !started; ms++) {
		if (ms == 2000)
			return 2;
		reg_write(boot, MOTE_REG_WAIT, 1);
	}
	for (uint64_t i = 0; i < rounds; i++) {
		build();
		voffer(&ring, 0);
		vput(&dev, V_NOTIFY, 0);
		for (int k = 0; k < 20 && !vtake(&ring, &head, &len); k++)
			vrelax();
		if (!(vget(&dev, V_STATUS) & VS_NEEDS_RESET))
			continue;
		resets++;
		if (!start())
			return 101;
	}
	stop = 1;
	while (stop != 2)
		vrelax();
	if (!start())
		return 102;
	build();
	status = 0xff;
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, 0);
	if (!vwait(&dev, &ring, &head, &len) || status != 0)
		return 103;
	print("resets ");
	print_u64(resets);
	print("\n");
	return 0;
}
