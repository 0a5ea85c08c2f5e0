/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtty.c - a serial card on PCI whose registers are ports (x86_64, ring 0):
 * the kernel's sample of a mediated device, samples/vfio-mdev/mtty.c.
 *
 * It gives back what it is sent.  The guest sends, and asks for it once it is
 * a new generation: restored, with another card that has the first one's
 * state.
 */
#include "guest.h"
#include "pci.h"

#define MTTY_ID 0x32534348u

#define DATA	0
#define FIFO	2
#define LINE	5
#define SCRATCH 7

static uint16_t base;

static void out(unsigned int reg, uint8_t val)
{
	__asm__ volatile("outb %0, %w1"
			 :
			 : "a"(val), "d"((uint16_t)(base + reg)));
}

static uint8_t in(unsigned int reg)
{
	uint8_t val;

	__asm__ volatile("inb %w1, %0"
			 : "=a"(val)
			 : "d"((uint16_t)(base + reg)));
	return val;
}

int guest_main(const struct mote_boot *boot)
{
	pci_dev d = pci_find(boot, MTTY_ID, 0);
	char text[2] = "";

	if (!d)
		return print("no mtty\n"), 1;
	pci_write16(d, PCI_COMMAND, PCI_COMMAND_IO);
	base = (uint16_t)(pci_read32(d, PCI_BAR(0)) & ~3u);
	print("ports ");
	print_hex(base, 4);
	print(" of ");
	print_u64(pci_bar_size(d, 0));
	out(FIFO, 1);
	out(SCRATCH, 0x5a);
	for (const char *s = "kept"; *s; s++)
		out(DATA, (uint8_t)*s);
	print(" sent\n");
	reg_write(boot, MOTE_REG_READY, 1);
	while (!(reg_read(boot, MOTE_REG_EVENTS) & MOTE_EVENT_NEWGEN))
		reg_write(boot, MOTE_REG_WAIT, 10);
	reg_write(boot, MOTE_REG_EVENTS, MOTE_EVENT_NEWGEN);
	print("scratch ");
	print_hex(in(SCRATCH), 2);
	print(" data ");
	while (in(LINE)&1) {
		text[0] = (char)in(DATA);
		print(text);
	}
	print("\n");
	return 0;
}
