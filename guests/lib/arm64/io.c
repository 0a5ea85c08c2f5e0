/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - MMIO: plain loads and stores of one register, so that the fault's
 * syndrome tells KVM all of the access (no pairs, no write-back).
 */
#include "guest.h"

const char guest_arch[] = "arm64";

uint32_t reg_read(const struct mote_boot *boot, enum mote_reg reg)
{
	uint32_t val;

	__asm__ volatile("ldr %w0, [%1]"
			 : "=r"(val)
			 : "r"(boot->event_base + reg)
			 : "memory");
	return val;
}

void reg_write(const struct mote_boot *boot, enum mote_reg reg, uint32_t val)
{
	__asm__ volatile("str %w0, [%1]"
			 :
			 : "r"(val), "r"(boot->event_base + reg)
			 : "memory");
}

void console_write(const struct mote_boot *boot, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		__asm__ volatile("strb %w0, [%1]"
				 :
				 : "r"(s[i]), "r"(boot->console_base)
				 : "memory");
}

static uint32_t pl011(const struct mote_boot *boot, uint64_t reg)
{
	uint32_t val;

	__asm__ volatile("ldr %w0, [%1]"
			 : "=r"(val)
			 : "r"(boot->console_base + reg)
			 : "memory");
	return val;
}

int console_get(const struct mote_boot *boot)
{
	enum { DR = 0, FR = 0x18, FR_RXFE = 0x10 }; /* receiver empty */

	return pl011(boot, FR) & FR_RXFE ? -1 : (int)(pl011(boot, DR) & 0xff);
}
