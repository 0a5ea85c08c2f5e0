/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.c - what all our guests share, on every architecture.
 */
#include "guest.h"

static const struct mote_boot *boot_page;

/* The compiler may call these. */
void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	char *d = dst;

	while (n--)
		*d++ = (char)c;
	return dst;
}

void guest_init(const struct mote_boot *boot)
{
	boot_page = boot;
}

void guest_exit(int code)
{
	for (;;)
		reg_write(boot_page, MOTE_REG_EXIT, (uint32_t)code);
}

/* Called by start.S. */
void guest_entry(const struct mote_boot *boot);
void guest_entry(const struct mote_boot *boot)
{
	guest_init(boot);
	if (boot->magic != MOTE_BOOT_MAGIC ||
	    reg_read(boot, MOTE_REG_MAGIC) != MOTE_EVENT_MAGIC)
		guest_exit(125);
	guest_exit(guest_main(boot));
}

void print(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	console_write(boot_page, s, n);
}

void print_u64(uint64_t v)
{
	char buf[21];
	size_t at = sizeof(buf);

	do {
		buf[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	console_write(boot_page, buf + at, sizeof(buf) - at);
}

void print_hex(uint64_t v, int digits)
{
	char buf[16];

	for (int i = 0; i < digits; i++)
		buf[i] = "0123456789abcdef"[v >> (4 * (digits - 1 - i)) & 15];
	console_write(boot_page, buf, (size_t)digits);
}

const char *guest_args(void)
{
	return (const char *)boot_page + MOTE_CMDLINE_OFFSET;
}

uint64_t guest_arg_u64(const char *name, uint64_t def)
{
	const char *p = guest_args();

	while (*p) {
		const char *n = name;

		while (*n && *p == *n) {
			p++;
			n++;
		}
		if (!*n && *p == '=') {
			uint64_t v = 0;

			for (p++; *p >= '0' && *p <= '9'; p++)
				v = v * 10 + (uint64_t)(*p - '0');
			return v;
		}
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return def;
}

const struct mote_generation *guest_generation(void)
{
	return (const struct mote_generation *)(uintptr_t)boot_page->generation;
}
