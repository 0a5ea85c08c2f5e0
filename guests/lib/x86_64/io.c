/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - ports: the event device by 32-bit IN and OUT, the 8250 by string
 * output, one exit for many bytes.
 */
#include "guest.h"

const char guest_arch[] = "x86_64";

uint32_t reg_read(const struct mote_boot *boot, enum mote_reg reg)
{
	uint32_t val;

	__asm__ volatile("inl %w1, %0"
			 : "=a"(val)
			 : "d"((uint16_t)(boot->event_base + reg))
			 : "memory");
	return val;
}

void reg_write(const struct mote_boot *boot, enum mote_reg reg, uint32_t val)
{
	__asm__ volatile("outl %0, %w1"
			 :
			 : "a"(val), "d"((uint16_t)(boot->event_base + reg))
			 : "memory");
}

void console_write(const struct mote_boot *boot, const char *s, size_t len)
{
	__asm__ volatile("rep outsb"
			 : "+S"(s), "+c"(len)
			 : "d"((uint16_t)boot->console_base)
			 : "memory");
}

static uint8_t in8(uint64_t port)
{
	uint8_t val;

	__asm__ volatile("inb %w1, %0"
			 : "=a"(val)
			 : "d"((uint16_t)port)
			 : "memory");
	return val;
}

int console_get(const struct mote_boot *boot)
{
	enum { LSR = 5, LSR_DATA = 1 }; /* line status register */

	if (!(in8(boot->console_base + LSR) & LSR_DATA))
		return -1;
	return in8(boot->console_base);
}
