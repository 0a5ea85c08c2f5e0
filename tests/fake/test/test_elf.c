/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_elf.c - the loader against images that are wrong in one way each.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/common/elf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "fake/elfimg.h"
#include "fake/fake_kvm.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"

static struct memslot_table slots;
static struct elf_image out;

static void start(void)
{
	fake_kvm_reset();
	memslot_init(&slots, 3);
	cr_assert_eq(memslot_add(&slots, 0, 4 * MIB, NULL), 0);
}

static void end(void)
{
	memslot_fini(&slots);
}

TestSuite(elf, .init = start, .fini = end);

static int load_fd(int fd, struct mote_err *err)
{
	static struct elf_file f;
	int ret = elf_open(&f, fd, arch_elf_machine, err);

	return ret < 0 ? ret : elf_load(&slots, &f, ELFIMG_BASE, &out, err);
}

static int load_len(const struct elfimg *img, size_t len, struct mote_err *err)
{
	int fd = elfimg_fd(img, len);
	int ret = load_fd(fd, err);

	fd_close(fd);
	return ret;
}

static void expect_refused(const struct elfimg *img, const char *words)
{
	struct mote_err err = {0};

	cr_expect_eq(load_len(img, sizeof(*img), &err), -ENOEXEC, "%s", words);
	cr_expect_not_null(strstr(err.msg, words), "\"%s\", not \"%s\"",
			   err.msg, words);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA, "%s", words);
}

/* An image with one change to it is refused in these words. */
#define REFUSED(change, words)                                                 \
	do {                                                                   \
		struct elfimg img;                                             \
                                                                               \
		elfimg_init(&img);                                             \
		change;                                                        \
		expect_refused(&img, words);                                   \
	} while (0)

Test(elf, a_good_image_is_loaded_where_it_says)
{
	struct mote_err err = {0};
	struct elfimg img;
	uint8_t got[ELFIMG_BYTES + 1];

	elfimg_init(&img);
	cr_assert_eq(load_len(&img, sizeof(img), &err), 0, "%s", err.msg);
	cr_expect_eq(out.entry, ELFIMG_BASE + 4);
	cr_expect_eq(out.low, ELFIMG_BASE);
	cr_expect_eq(out.high, ELFIMG_BASE + 0x12000);
	cr_expect(out.has_note);
	cr_expect_eq(out.note_version, 1u);
	for (int i = 0; i < 2; i++) {
		guest_read(&slots, img.ph[i].p_paddr, got, sizeof(got));
		cr_expect_arr_eq(got, img.data[i], ELFIMG_BYTES);
		cr_expect_eq(got[ELFIMG_BYTES], 0);
	}
}

Test(elf, headers_that_are_wrong_are_named)
{
	REFUSED(img.eh.e_ident[0] = 0, "not an ELF file");
	REFUSED(img.eh.e_ident[EI_CLASS] = ELFCLASS32, "not a 64-bit ELF");
	REFUSED(img.eh.e_ident[EI_DATA] = ELFDATA2MSB, "not a little-endian");
	REFUSED(img.eh.e_machine = EM_S390, "ELF file for machine 22");
	REFUSED(img.eh.e_type = ET_DYN, "not a static executable");
	REFUSED(img.eh.e_type = ET_REL, "not a static executable");
	REFUSED(img.eh.e_phentsize = 32, "bad program header table");
	REFUSED(img.eh.e_phnum = 0, "bad program header table");
	REFUSED(img.eh.e_phnum = 65, "bad program header table");
	REFUSED(img.eh.e_phnum = UINT16_MAX, "bad program header table");
	REFUSED(img.eh.e_phoff = sizeof(img), "program headers beyond the end");
	REFUSED(img.eh.e_phoff = UINT64_MAX, "program headers beyond the end");
	REFUSED(img.eh.e_phnum = 64, "program headers beyond the end");
}

Test(elf, segments_that_are_wrong_are_named)
{
	REFUSED(img.ph[1].p_filesz = 8193, "segment 1: larger in the file");
	REFUSED(img.ph[1].p_offset = sizeof(img), "segment 1: beyond the end");
	REFUSED(img.ph[1].p_offset = UINT64_MAX, "segment 1: beyond the end");
	REFUSED(img.ph[0].p_paddr = ELFIMG_BASE - 1,
		"images start at 0x100000");
	REFUSED(img.ph[0].p_paddr = 0, "images start at 0x100000");
	REFUSED(img.ph[1].p_paddr = UINT64_MAX - 100,
		"segment 1: its address wraps");
	REFUSED(img.ph[1].p_memsz = UINT64_MAX, "segment 1: its address wraps");
	REFUSED(img.ph[1].p_paddr = ELFIMG_BASE + 8191,
		"segments 0 and 1 overlap");
	REFUSED(img.ph[1].p_paddr = ELFIMG_BASE, "segments 0 and 1 overlap");
	REFUSED(img.ph[0].p_memsz = 0x10001, "segments 0 and 1 overlap");
	REFUSED(img.ph[1].p_paddr = 4 * MIB - 8191,
		"segment 1: 0x3fe001+0x2000 is outside");
	REFUSED(img.ph[1].p_paddr = UINT64_C(1) << 40,
		"is outside the guest's memory");
	REFUSED(img.ph[1].p_memsz = 4 * MIB, "is outside the guest's memory");
	REFUSED(img.eh.e_phnum = 0; img.eh.e_phnum = 1; img.ph[0].p_memsz = 0;
		img.ph[0].p_filesz = 0, "no segment to load");
	REFUSED(img.eh.e_entry = 0, "entry point outside");
	REFUSED(img.eh.e_entry = ELFIMG_BASE + 0x12000, "entry point outside");
	REFUSED(img.eh.e_entry = UINT64_MAX, "entry point outside");
}

Test(elf, a_bad_segment_leaves_the_ram_alone)
{
	struct elfimg img;
	uint8_t got[ELFIMG_BYTES], zero[ELFIMG_BYTES] = {0};

	elfimg_init(&img);
	img.ph[1].p_paddr = UINT64_MAX - 100;
	cr_expect_eq(load_len(&img, sizeof(img), NULL), -ENOEXEC);
	guest_read(&slots, ELFIMG_BASE, got, sizeof(got));
	cr_expect_arr_eq(got, zero, sizeof(got));
}

Test(elf, notes_that_are_broken_are_named)
{
	REFUSED(img.ph[2].p_filesz = 8193, "note segment larger than 8192");
	REFUSED(img.ph[2].p_offset = sizeof(img) - 1,
		"note segment beyond the end");
	REFUSED(img.ph[2].p_offset = UINT64_MAX, "note segment beyond the end");
	REFUSED(img.note.head.n_namesz = UINT32_MAX, "broken note");
	REFUSED(img.note.head.n_descsz = UINT32_MAX, "broken note");
	REFUSED(img.note.head.n_descsz = 9, "broken note");
	REFUSED(img.note.head.n_namesz = 9, "broken note");
	REFUSED(img.note.head.n_descsz = 4, "broken mote note");
	REFUSED(img.note.head.n_descsz = 0, "broken mote note");
}

Test(elf, notes_of_others_are_passed_over)
{
	struct elfimg img;

	elfimg_init(&img);
	img.note.owner[0] = 'M';
	cr_expect_eq(load_len(&img, sizeof(img), NULL), 0);
	cr_expect_not(out.has_note);
	elfimg_init(&img);
	img.note.head.n_type = 2;
	cr_expect_eq(load_len(&img, sizeof(img), NULL), 0);
	cr_expect_not(out.has_note);
	elfimg_init(&img);
	img.ph[2].p_filesz = 11; /* less than a note's head */
	cr_expect_eq(load_len(&img, sizeof(img), NULL), 0);
	cr_expect_not(out.has_note);
}

Test(elf, every_cut_of_the_file_is_refused)
{
	const size_t used = offsetof(struct elfimg, data) + 2 * ELFIMG_BYTES;
	struct elfimg img;

	elfimg_init(&img);
	for (size_t len = 0; len < used; len++) {
		struct mote_err err = {0};

		cr_expect_eq(load_len(&img, len, &err), -ENOEXEC, "%zu bytes",
			     len);
		cr_expect_neq(err.msg[0], 0);
	}
}

Test(elf, every_flipped_bit_loads_or_is_refused_in_words)
{
	struct elfimg img;

	elfimg_init(&img);
	for (size_t bit = 0; bit < offsetof(struct elfimg, data) * 8; bit++) {
		struct mote_err err = {0};
		int ret;

		((uint8_t *)&img)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ret = load_len(&img, sizeof(img), &err);
		cr_expect(ret == 0 || ret == -ENOEXEC, "bit %zu: %d", bit, ret);
		cr_expect_eq(ret < 0, err.msg[0] != 0, "bit %zu", bit);
		((uint8_t *)&img)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

Test(elf, what_is_not_a_file_is_refused)
{
	struct mote_err err = {0};
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(load_fd(fds[0], &err), -ENOEXEC);
	cr_expect_not_null(strstr(err.msg, "too short"), "%s", err.msg);
	close(fds[0]);
	close(fds[1]);
	cr_expect_eq(load_fd(fds[0], &err), -EBADF);
}

Test(elf, an_empty_segment_may_lie_anywhere)
{
	struct elfimg img;

	elfimg_init(&img);
	img.ph[1].p_memsz = img.ph[1].p_filesz = 0;
	img.ph[1].p_paddr = ELFIMG_BASE + 100;
	cr_expect_eq(load_len(&img, sizeof(img), NULL), 0,
		     "it takes no room, so it overlaps nothing");
}
