/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vent.c - draws from a virtio entropy device, each time by an interrupt
 * through the I/O APIC (x86_64, ring 0).
 *
 * rounds=N draws of bytes=N (64); no two of them may be the same in their
 * first 16 bytes, and all must be whole.  One more comes while the pin is
 * masked, and must be told of when it no longer is.  say=1: prints 16 bytes of
 * each; after round hold=N it is ready and waits for a new generation.
 */
#include "apic.h"
#include "virtio.h"

#define VECTOR 0x71
#define IOAPIC 0xfec00000u
#define MASKED (1u << 16)
#define BYTES  65536u
#define ROUNDS 64u

static struct vdev dev;
static struct vring ring;
static uint8_t buf[BYTES] __attribute__((aligned(4096)));
static uint8_t seen[ROUNDS][16];

APIC_ENTRY(vent);

static void ioapic(uint32_t index, uint32_t v)
{
	*(volatile uint32_t *)(uintptr_t)IOAPIC = index;
	*(volatile uint32_t *)(uintptr_t)(IOAPIC + 0x10) = v;
}

static void set_pin(uint32_t pin, uint32_t low)
{
	ioapic(0x11 + 2 * pin, 0); /* to CPU 0 */
	ioapic(0x10 + 2 * pin, low);
}

/* Sleep until so many interrupts have come. */
static void wait_for(uint64_t n)
{
	for (;;) {
		__asm__ volatile("cli" ::: "memory");
		if (vent_count >= n)
			break;
		__asm__ volatile("sti\n hlt" ::: "memory");
	}
	__asm__ volatile("sti" ::: "memory");
}

static void draw(uint32_t bytes)
{
	for (uint32_t i = 0; i < 16; i++)
		buf[i] = 0;
	vset(&ring, 0, buf, bytes, VD_WRITE, 0);
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, 0);
}

/* What came; false: it is not what was asked for. */
static int take(uint32_t bytes, unsigned int round)
{
	uint16_t head;
	uint32_t len;

	if (!vtake(&ring, &head, &len) || head != 0 || len != bytes)
		return 0;
	if (vget(&dev, V_ISR) & 1)
		vput(&dev, V_ACK, 1);
	for (unsigned int i = 0; i < 16; i++)
		seen[round][i] = buf[i];
	for (unsigned int k = 0; k < round; k++) {
		unsigned int i = 0;

		while (i < 16 && seen[k][i] == seen[round][i])
			i++;
		if (i == 16)
			return 0;
	}
	return 1;
}

static void hold(const struct mote_boot *boot)
{
	const volatile uint32_t *events = &boot->events;

	reg_write(boot, MOTE_REG_READY, 1);
	print("holding\n");
	while (!(*events & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, 1000);
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 8);
	uint32_t bytes = (uint32_t)guest_arg_u64("bytes", 64);
	uint64_t at = guest_arg_u64("hold", ~0ull);
	unsigned int slot = 0;

	if (rounds >= ROUNDS || bytes > BYTES)
		return 2;
	if (!vfind(boot, VID_RNG, 0, &dev, &slot) || !vbegin(&dev, 0)) {
		print("no device\n");
		return 100;
	}
	set_gate(VECTOR, vent_entry);
	apic_on();
	vqueue(&dev, &ring, 0, 8);
	vready(&dev);
	set_pin(boot->virtio_irq + slot, VECTOR);
	for (unsigned int i = 0; i < rounds; i++) {
		draw(bytes);
		wait_for(i + 1);
		if (!take(bytes, i)) {
			print("wrong\n");
			return 3;
		}
		if (guest_arg_u64("say", 0)) {
			for (int k = 0; k < 16; k++)
				print_hex(buf[k], 2);
			print("\n");
		}
		if (i == at)
			hold(boot);
	}
	set_pin(boot->virtio_irq + slot, VECTOR | MASKED);
	draw(bytes);
	while (!*(volatile uint16_t *)&ring.used.idx ||
	       *(volatile uint16_t *)&ring.used.idx == ring.next_used)
		;
	if (vent_count != rounds) {
		print("an interrupt of a masked pin\n");
		return 4;
	}
	set_pin(boot->virtio_irq + slot, VECTOR);
	wait_for(rounds + 1);
	if (!take(bytes, (unsigned int)rounds))
		return 5;
	print("interrupts ");
	print_u64(vent_count);
	print("\n");
	return 0;
}
