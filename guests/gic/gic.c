/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gic.c - arm64: a software generated and a shared interrupt become pending
 * and are not taken until we are a clone; then say which interrupts there
 * are, in the order of their priorities.
 */
#include "guest_gic.h"

#define SGI 3u
#define SPI 40u

int guest_main(const struct mote_boot *boot)
{
	uint32_t irq;

	gic_start();
	gic_enable(SGI, 0x80);
	gic_enable(SPI, 0xa0);
	gic_raise_sgi(SGI);
	gic_raise_spi(SPI);
	wait_for_clone(boot);
	print("pending:");
	for (int i = 0; i < 8 && (irq = gic_take()) != GIC_NONE; i++) {
		print(" ");
		print_u64(irq);
	}
	print("\n");
	return 0;
}
