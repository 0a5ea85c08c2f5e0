/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_image.c - headers of others' images, wrong in one field each.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/bzimage.h"
#include "arch/x86_64/multiboot.h"
#include "base/err.h"
#include "base/num.h"

/* --- bzImage
 * ------------------------------------------------------------------
 */

static uint8_t head[BZIMAGE_HEADER_MAX];

static void set(unsigned int off, size_t len, uint64_t v)
{
	memcpy(head + off, &v, len);
}

/* One sector of setup, 64 KiB of code, at 16 MiB or where it fits. */
static void good(void)
{
	memset(head, 0, sizeof(head));
	set(0x1f1, 1, 1);
	set(0x1f4, 4, 0x1000);
	set(0x1fe, 2, 0xaa55);
	set(0x200, 2, 0x66eb);
	memcpy(head + 0x202, "HdrS", 4);
	set(0x206, 2, 0x20f);
	set(0x211, 1, 1);
	set(0x22c, 4, 0x7fffffff);
	set(0x230, 4, 0x200000);
	set(0x234, 1, 1);
	set(0x236, 2, 1);
	set(0x238, 4, 2047);
	set(0x258, 8, 0x1000000);
	set(0x260, 4, 0x100000);
}

#define GOOD_SIZE (0x400 + 0x10000)

static int parse(size_t len, uint64_t size, struct bzimage *z,
		 struct mote_err *err)
{
	*err = (struct mote_err){0};
	return bzimage_parse(head, len, size, z, err);
}

static void refused(const char *field)
{
	struct mote_err err;
	struct bzimage z;

	cr_expect_eq(parse(sizeof(head), GOOD_SIZE, &z, &err), -ENOEXEC, "%s",
		     field);
	cr_expect_not_null(strstr(err.msg, field), "\"%s\", not \"%s\"",
			   err.msg, field);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA, "%s", field);
}

TestSuite(bzimage, .init = good);

Test(bzimage, a_good_header_is_read)
{
	struct mote_err err;
	struct bzimage z;

	cr_assert_eq(parse(sizeof(head), GOOD_SIZE, &z, &err), 0, "%s",
		     err.msg);
	cr_expect(bzimage_is(head, sizeof(head)));
	cr_expect_eq(z.payload, 0x400);
	cr_expect_eq(z.payload_size, 0x10000);
	cr_expect_eq(z.header_size, 0x268 - 0x1f1);
	cr_expect_eq(z.align, 0x200000);
	cr_expect_eq(z.prefer, 0x1000000);
	cr_expect_eq(z.room, 0x100000);
	cr_expect_eq(z.initrd_max, 0x7fffffff);
	cr_expect_eq(z.cmdline_max, 2047);
	cr_expect(z.relocatable && z.entry64);
	set(0x1f1, 1, 0); /* means 4 */
	cr_assert_eq(parse(sizeof(head), GOOD_SIZE + 3 * 512, &z, &err), 0);
	cr_expect_eq(z.payload, 5 * 512);
}

#define REFUSED(off, len, v, field)                                            \
	do {                                                                   \
		good();                                                        \
		set(off, len, v);                                              \
		refused(field);                                                \
	} while (0)

Test(bzimage, each_field_is_checked)
{
	REFUSED(0x1fe, 2, 0x55aa, "boot_flag");
	REFUSED(0x202, 1, 'h', "magic");
	REFUSED(0x206, 2, 0x20b, "version: 2.11");
	REFUSED(0x206, 2, 0, "version");
	REFUSED(0x211, 1, 0, "loadflags");
	REFUSED(0x201, 1, 0, "header");
	REFUSED(0x201, 1, 0x61, "header");
	REFUSED(0x201, 1, 0xff, "header");
	REFUSED(0x1f4, 4, 0, "syssize");
	REFUSED(0x1f4, 4, 0x1001, "syssize");
	REFUSED(0x1f4, 4, UINT32_MAX, "syssize");
	REFUSED(0x1f1, 1, 255, "syssize");
	REFUSED(0x230, 4, 0, "kernel_alignment");
	REFUSED(0x230, 4, 0x800, "kernel_alignment");
	REFUSED(0x230, 4, 0x300000, "kernel_alignment");
	REFUSED(0x230, 4, 0x80000000, "kernel_alignment");
	REFUSED(0x258, 8, 0xff000, "pref_address");
	REFUSED(0x258, 8, 0x100001, "pref_address");
	REFUSED(0x258, 8, UINT64_MAX - 0xfff, "pref_address");
	REFUSED(0x258, 8, UINT64_C(0x100000000), "pref_address");
	REFUSED(0x260, 4, 0, "init_size");
	REFUSED(0x260, 4, 0xffff, "init_size");
	REFUSED(0x260, 4, UINT32_MAX, "init_size");
}

Test(bzimage, a_file_that_ends_anywhere_is_refused)
{
	struct mote_err err;
	struct bzimage z;

	for (size_t len = 0; len < 0x268; len++) {
		cr_expect_eq(parse(len, len, &z, &err), -ENOEXEC, "%zu", len);
		cr_expect_neq(err.msg[0], 0, "%zu", len);
	}
	for (uint64_t size = 0x268; size < GOOD_SIZE; size += 97)
		cr_expect_eq(parse(sizeof(head), size, &z, &err), -ENOEXEC,
			     "%llu", (unsigned long long)size);
	cr_expect_eq(parse(sizeof(head), GOOD_SIZE, &z, &err), 0);
	cr_expect(!bzimage_is(head, 0x205));
}

/* --- Multiboot
 * ----------------------------------------------------------------
 */

struct mb {
	uint32_t magic, flags, checksum, header, load, load_end, bss_end, entry;
};

static uint8_t file[2 * MULTIBOOT_SEARCH];

static int parse_at(size_t at, const struct mb *h, size_t len, uint64_t size,
		    struct multiboot *m, struct mote_err *err)
{
	struct mb put = *h;

	memset(file, 0, sizeof(file));
	*err = (struct mote_err){0};
	put.checksum -= put.magic + put.flags;
	memcpy(file + at, &put, sizeof(put));
	return multiboot_parse(file, len, size, m, err);
}

/* 64 bytes into the file, which is loaded to 1 MiB as it is. */
static const struct mb flat = {
	.magic = 0x1badb002,
	.flags = 0x10003,
	.header = 0x100040,
	.load = 0x100000,
	.load_end = 0x103000,
	.bss_end = 0x108000,
	.entry = 0x100100,
};

Test(multiboot, a_header_is_found_where_it_may_be)
{
	struct mote_err err;
	struct multiboot m;
	struct mb h = flat;

	h.flags = 3;
	for (size_t at = 0; at + 12 <= MULTIBOOT_SEARCH; at += 4) {
		cr_expect_eq(
			parse_at(at, &h, sizeof(file), sizeof(file), &m, &err),
			1, "%zu", at);
		cr_expect(!m.flat);
	}
	/* Not a multiple of 4; beyond the first 8192 bytes; cut. */
	cr_expect_eq(parse_at(65, &h, sizeof(file), sizeof(file), &m, &err), 0);
	cr_expect_eq(parse_at(MULTIBOOT_SEARCH - 8, &h, sizeof(file),
			      sizeof(file), &m, &err),
		     0);
	cr_expect_eq(parse_at(64, &h, 64 + 11, 64 + 11, &m, &err), 0);
	cr_expect_eq(parse_at(64, &h, 64 + 12, 64 + 12, &m, &err), 1);
	h.checksum = 1;
	cr_expect_eq(parse_at(64, &h, sizeof(file), sizeof(file), &m, &err), 0);
}

Test(multiboot, a_flat_image_says_where_it_goes)
{
	struct mote_err err;
	struct multiboot m;
	struct mb h = flat;

	cr_assert_eq(parse_at(64, &h, sizeof(file), sizeof(file), &m, &err), 1,
		     "%s", err.msg);
	cr_expect(m.flat);
	cr_expect_eq(m.from, 0);
	cr_expect_eq(m.load, 0x100000);
	cr_expect_eq(m.size, 0x3000);
	cr_expect_eq(m.end, 0x108000);
	cr_expect_eq(m.entry, 0x100100);
	/* Not from the file's begin, all of it, no memory behind it. */
	h.header = 0x100010;
	h.load_end = h.bss_end = 0;
	cr_assert_eq(parse_at(64, &h, sizeof(file), sizeof(file), &m, &err), 1);
	cr_expect_eq(m.from, 0x30);
	cr_expect_eq(m.size, sizeof(file) - 0x30);
	cr_expect_eq(m.end, 0x100000 + m.size);
}

#define MB_REFUSED(change, field)                                              \
	do {                                                                   \
		struct mb h = flat;                                            \
		struct mote_err err;                                           \
		struct multiboot m;                                            \
                                                                               \
		h.change;                                                      \
		cr_expect_eq(parse_at(64, &h, sizeof(file), sizeof(file), &m,  \
				      &err),                                   \
			     -ENOEXEC, #change);                               \
		cr_expect_not_null(strstr(err.msg, field), "\"%s\": " #change, \
				   err.msg);                                   \
		cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA);             \
	} while (0)

Test(multiboot, each_field_is_checked)
{
	MB_REFUSED(flags = 0x10007, "flags");
	MB_REFUSED(flags = 0x8003, "flags");
	MB_REFUSED(load = 0xff000, "load_addr");
	MB_REFUSED(load = 0x100044, "header_addr");
	MB_REFUSED(header = 0xfffff, "header_addr");
	MB_REFUSED(header = 0x100041, "header_addr");
	MB_REFUSED(header = UINT32_MAX, "header_addr");
	MB_REFUSED(load_end = 0xfffff, "load_end_addr");
	MB_REFUSED(load_end = 0x104001, "load_end_addr");
	MB_REFUSED(load_end = UINT32_MAX, "load_end_addr");
	MB_REFUSED(load_end = 0x100000, "entry_addr");
	MB_REFUSED(bss_end = 0x102fff, "bss_end_addr");
	MB_REFUSED(entry = 0xfffff, "entry_addr");
	MB_REFUSED(entry = 0x103000, "entry_addr");
	MB_REFUSED(entry = UINT32_MAX, "entry_addr");
}

Test(multiboot, a_header_that_the_file_cuts_is_refused)
{
	struct mote_err err;
	struct multiboot m;

	for (size_t len = 64 + 12; len < 64 + sizeof(flat); len++)
		cr_expect_eq(parse_at(64, &flat, len, len, &m, &err), -ENOEXEC,
			     "%zu", len);
}
