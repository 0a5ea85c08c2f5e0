/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vrng.c - drives a virtio entropy device of PCI by MSI-X (x86_64, ring 0).
 *
 * rounds=N requests, each answered by an interrupt; then one while its
 * vector is masked, which must come when it no longer is, and one while all
 * are.  hostile=N: first, N times, anything is written to configuration space,
 * table and pending bits, while the device is idle.  Source: Virtual I/O
 * Device 1.2, 2.7, 4.1, 5.4.
 */
#include "apic.h"
#include "guest.h"
#include "pci.h"
#include "scribble.h"

#define VRNG_ID 0x10441af4u
#define VECTOR	0x71
#define PAGE	4096u

#define CAP_COMMON 1
#define CAP_NOTIFY 2

#define STATUS_ACK	   1u
#define STATUS_DRIVER	   2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define FEATURES_HIGH	   3u /* VERSION_1, ACCESS_PLATFORM */

struct common {
	uint32_t device_feature_select, device_feature;
	uint32_t driver_feature_select, driver_feature;
	uint16_t config_vector, num_queues;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_vector, queue_enable;
	uint16_t queue_notify_off;
	uint32_t queue_desc[2], queue_driver[2], queue_device[2];
};

#define QUEUE 8
static struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
} desc[QUEUE] __attribute__((aligned(16)));
static volatile struct {
	uint16_t flags, index, ring[QUEUE];
} avail __attribute__((aligned(4)));
static volatile struct {
	uint16_t flags, index;
	struct {
		uint32_t id, len;
	} ring[QUEUE];
} used __attribute__((aligned(4)));
static uint8_t buf[64];

APIC_ENTRY(vrng);

static volatile struct common *common;
static volatile uint16_t *notify;
static volatile uint32_t *table; /* of MSI-X */
static unsigned int msix;
static pci_dev dev;

static void say(const char *what, uint64_t n)
{
	print(what);
	print_u64(n);
}

/* The structure that a vendor capability of that type points to. */
static volatile uint8_t *structure(uint8_t type, unsigned int *cap)
{
	for (unsigned int at = dev[PCI_CAPS]; at; at = dev[at + 1])
		if (dev[at] == PCI_CAP_VENDOR && dev[at + 3] == type) {
			*cap = at;
			return (volatile uint8_t
					*)(uintptr_t)(pci_bar(dev,
							      dev[at + 4]) +
						      pci_read32(dev, at + 8));
		}
	return 0;
}

static void set_address(volatile uint32_t to[2], const volatile void *p)
{
	to[0] = (uint32_t)(uintptr_t)p;
	to[1] = 0;
}

static void msix_flags(uint16_t v)
{
	pci_write16(dev, msix + 2, v);
}

static int take(const struct mote_boot *boot)
{
	unsigned int cap = 0;
	uint32_t where;

	dev = pci_find(boot, VRNG_ID, 0);
	if (!dev)
		return print("no virtio entropy device\n"), 1;
	pci_write16(dev, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_DMA);
	common = (volatile struct common *)structure(CAP_COMMON, &cap);
	if (!common)
		return print("no common structure\n"), 1;
	msix = pci_capability(dev, PCI_CAP_MSIX);
	where = pci_read32(dev, msix + 4);
	table = (volatile uint32_t *)(uintptr_t)(pci_bar(dev, where & 7) +
						 (where & ~7u));
	say("vectors ", (pci_read16(dev, msix + 2) & 0x7ffu) + 1u);
	say(" masked ", table[3]);
	print("\n");
	set_gate(VECTOR, vrng_entry);
	apic_on();
	table[0] = 0xfee00000u;
	table[1] = 0;
	table[2] = VECTOR;
	table[3] = 0;
	msix_flags(0x8000);
	return 0;
}

static int start(void)
{
	unsigned int cap = 0;
	volatile uint8_t *base = structure(CAP_NOTIFY, &cap);

	common->status = 0;
	while (common->status)
		;
	common->status = STATUS_ACK | STATUS_DRIVER;
	common->driver_feature_select = 1;
	common->driver_feature = FEATURES_HIGH;
	common->status = STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES_OK;
	if (!(common->status & STATUS_FEATURES_OK))
		return print("features refused\n"), 1;
	common->queue_select = 0;
	common->queue_size = QUEUE;
	common->queue_vector = 0;
	if (common->queue_vector != 0)
		return print("vector refused\n"), 1;
	set_address(common->queue_desc, desc);
	set_address(common->queue_driver, &avail);
	set_address(common->queue_device, &used);
	notify =
		(volatile uint16_t *)(base + common->queue_notify_off *
						     pci_read32(dev, cap + 16));
	common->queue_enable = 1;
	common->status = STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES_OK |
			 STATUS_DRIVER_OK;
	return 0;
}

/* Into its table, its pending bits, its registers of configuration space. */
static void hostile(uint64_t rounds)
{
	volatile uint8_t *page = (volatile uint8_t *)(uintptr_t)table;

	random += guest_arg_u64("seed", 0) * 0x9e3779b97f4a7c15u;
	for (uint64_t r = 0; r < rounds; r++) {
		scribble(page, PAGE);
		scribble(page, 64);
		scribble(dev, 256);
		scribble(dev + msix, 12);
	}
	msix_flags(0);
	for (unsigned int i = 0; i < 6; i++) /* nothing moves, no more sizes */
		pci_write32(dev, PCI_BAR(i), 0);
}

/* One request; until the device has used it. */
static void request(void)
{
	uint16_t want = (uint16_t)(avail.index + 1);

	desc[0].addr = (uintptr_t)buf;
	desc[0].len = sizeof(buf);
	desc[0].flags = 2; /* the device writes */
	avail.ring[avail.index % QUEUE] = 0;
	__asm__ volatile("" ::: "memory");
	avail.index = want;
	__asm__ volatile("mfence" ::: "memory");
	*notify = 0;
	while (used.index != want)
		__asm__ volatile("sti; pause; cli" ::: "memory");
}

/* Until so many interrupts have come; how many did. */
static uint64_t wait_for(uint64_t want)
{
	for (int i = 0; vrng_count < want && i < 1000000; i++)
		__asm__ volatile("sti; pause; cli" ::: "memory");
	return vrng_count;
}

int guest_main(const struct mote_boot *boot)
{
	uint64_t rounds = guest_arg_u64("rounds", 10), zero = 0;
	uint64_t attacks = guest_arg_u64("hostile", 0);

	if (take(boot))
		return 1;
	if (attacks) {
		hostile(attacks);
		take(boot);
	}
	if (start())
		return 1;
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t sum = 0;

		for (unsigned int k = 0; k < sizeof(buf); k++)
			buf[k] = 0;
		request();
		for (unsigned int k = 0; k < sizeof(buf); k++)
			sum |= buf[k];
		zero += sum == 0;
		wait_for(i + 1);
	}
	say("interrupts ", vrng_count);
	say(" empty ", zero);
	table[3] = 1;
	request();
	wait_for(rounds + 1); /* in vain */
	say(" while masked ", vrng_count - rounds);
	table[3] = 0;
	say(" then ", wait_for(rounds + 1) - rounds);
	msix_flags(0xc000);
	request();
	wait_for(rounds + 2);
	say(" all masked ", vrng_count - rounds - 1);
	msix_flags(0x8000);
	say(" then ", wait_for(rounds + 2) - rounds - 1);
	print("\n");
	reg_write(boot, MOTE_REG_READY, 1);
	return 0;
}
