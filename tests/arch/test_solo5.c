/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_solo5.c - Solo5 images and manifests that are broken in one place
 * each.  The image is one of our own guests, damaged in memory.
 */
#include "arch/common/solo5.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/fd.h"

#define MEMORY	 (UINT64_C(4) << 20)
#define FILE_MAX (256 * 1024)

static struct {
	uint8_t file[FILE_MAX];
	size_t len;
	Elf64_Ehdr *eh;
	Elf64_Phdr *ph;
	struct solo5_abi *abi;
	struct solo5_mft mft[1]; /* in the file it is not aligned */
	void *mft_at;		 /* there */
	size_t mft_len;
	Elf64_Nhdr *mft_note;
} g;

static void load_guest(void)
{
	const char *dir = getenv("MOTE_GUESTS");
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/hvt-disk.elf",
		 dir ? dir : "build/guests");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		cr_skip_test("%s: %s", path, strerror(errno));
	g.len = (size_t)fd_size(fd);
	cr_assert_leq(g.len, FILE_MAX);
	cr_assert_eq(fd_pread_full(fd, g.file, g.len, 0), 0);
	fd_close(fd);
	g.eh = (void *)g.file;
	g.ph = (void *)(g.file + g.eh->e_phoff);
	for (int i = 0; i < g.eh->e_phnum; i++) {
		uint8_t *note = g.file + g.ph[i].p_offset;
		Elf64_Nhdr *nh = (void *)note;

		if (g.ph[i].p_type != PT_NOTE)
			continue;
		if (nh->n_type == SOLO5_NOTE_ABI)
			g.abi = (void *)(note + 20);
		if (nh->n_type == SOLO5_NOTE_MANIFEST) {
			g.mft_note = nh;
			g.mft_at = note + 24;
			g.mft_len = offsetof(struct solo5_mft, e[3]);
			memcpy(g.mft, g.mft_at, g.mft_len);
		}
	}
	cr_assert_not_null(g.abi);
	cr_assert_not_null(g.mft_at);
}

static int read_image(size_t len, struct solo5_image *img, struct mote_err *err)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	static struct elf_file f;
	int ret;

	memcpy(g.mft_at, g.mft, g.mft_len);
	cr_assert_eq(fd_pwrite_full(fd, g.file, len, 0), 0);
	ret = elf_open(&f, fd, arch_elf_machine, err);
	if (ret == 0)
		ret = solo5_read(img, &f, MEMORY, err);
	fd_close(fd);
	return ret;
}

static void expect_refused(const char *words, int line)
{
	static struct solo5_image img;
	struct mote_err err = {0};
	int ret = read_image(g.len, &img, &err);

	cr_expect_lt(ret, 0, "line %d: it was taken", line);
	cr_expect_not_null(strstr(err.msg, words),
			   "line %d: \"%s\", not \"%s\"", line, err.msg, words);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA, "line %d", line);
	load_guest();
}

#define REFUSED(damage, words)                                                 \
	do {                                                                   \
		damage;                                                        \
		expect_refused(words, __LINE__);                               \
	} while (0)

TestSuite(solo5, .init = load_guest);

#if defined(__powerpc64__)
#define GUEST_TEST(name) __attribute__((unused)) static void unused_##name(void)
#else
#define GUEST_TEST(name) Test(solo5, name)
#endif

GUEST_TEST(a_sound_image_is_taken)
{
	static struct solo5_image img;
	struct mote_err err = {0};

	cr_assert_eq(read_image(g.len, &img, &err), 0, "%s", err.msg);
	cr_expect_eq(img.mft.entries, 3u);
	cr_expect_str_eq(img.mft.e[1].name, "from");
	cr_expect_eq(img.mft.e[2].type, (uint32_t)SOLO5_BLOCK);
	cr_expect_eq(img.segs, 3);
	cr_expect_eq(img.seg[0].prot, (uint32_t)(SOLO5_R | SOLO5_X));
	cr_expect_eq(img.seg[1].prot, (uint32_t)SOLO5_R);
	cr_expect_eq(img.seg[2].prot, (uint32_t)(SOLO5_R | SOLO5_W));
	cr_expect_eq(img.end, img.seg[2].end);
	cr_expect_eq(img.entry, HVT_IMAGE_BASE);
}

GUEST_TEST(headers_and_notes_that_are_broken_are_named)
{
	REFUSED(g.eh->e_ident[0] = 0, "not an ELF file");
	REFUSED(g.eh->e_machine = EM_S390, "ELF file for machine 22");
	REFUSED(g.eh->e_type = ET_DYN, "ET_EXEC");
	REFUSED(g.eh->e_phoff = g.len, "beyond the end of the file");
	REFUSED(g.abi->target = SOLO5_TARGET_SPT, "for target spt (2)");
	REFUSED(g.abi->target = 77, "for target ? (77)");
	REFUSED(g.abi->version = 1, "hvt ABI version 1, this version runs 2");
	REFUSED(g.abi->version = 3, "the shared-ring network is not there");
	REFUSED(((Elf64_Nhdr *)((uint8_t *)g.abi - 20))->n_type = 9,
		"no Solo5 ABI note");
	REFUSED(((Elf64_Nhdr *)((uint8_t *)g.abi - 20))->n_descsz = 12,
		"ABI note: 12 bytes");
	REFUSED(g.mft_note->n_type = 9, "no Solo5 manifest note");
	REFUSED(g.mft_note->n_descsz = 1 << 20, "broken note");
	REFUSED(g.mft_note->n_descsz = 8, "manifest: 8 bytes, too short");
}

GUEST_TEST(manifests_that_are_broken_are_named)
{
	REFUSED(g.mft->version = 2, "manifest: version 2");
	REFUSED(g.mft->entries = 0, "manifest: 0 entries");
	REFUSED(g.mft->entries = 65, "manifest: 65 entries, expected 1 to 64");
	REFUSED(g.mft->entries = UINT32_MAX, "manifest: 4294967295 entries");
	REFUSED(g.mft->entries = 2, "for 2 entries");
	REFUSED(g.mft->entries = 4, "for 4 entries");
	REFUSED(g.mft->e[0].type = SOLO5_NET, "entry 0 is not the reserved");
	REFUSED(g.mft->e[0].name[0] = 'x', "entry 0 is not the reserved");
	REFUSED(g.mft->e[1].name[0] = 0, "entry 1: no name");
	REFUSED(g.mft->e[1].name[2] = '/', "other characters");
	REFUSED(memset(g.mft->e[1].name, 'a', SOLO5_NAME_SIZE),
		"entry 1: its name has no end");
	REFUSED(g.mft->e[2].type = 3, "\"to\": type 3, expected BLOCK_BASIC");
	REFUSED(g.mft->e[2].type = SOLO5_RESERVED_FIRST, "type 1073741824");
	REFUSED(g.mft->e[2].attached = 1, "attached already");
	REFUSED(strcpy(g.mft->e[2].name, "from"), "entries 1 and 2: both");
}

GUEST_TEST(segments_that_are_broken_are_named)
{
	REFUSED(g.ph[0].p_filesz = g.ph[0].p_memsz + 1, "segment 0: larger");
	REFUSED((g.ph[1].p_offset = g.len, g.ph[1].p_filesz = 1),
		"segment 1: beyond");
	REFUSED(g.ph[1].p_offset = UINT64_MAX, "segment 1: beyond");
	REFUSED(g.ph[2].p_memsz = UINT64_MAX, "+0xffffffffffffffff aligned");
	REFUSED(g.ph[1].p_align = 3, "is no alignment");
	REFUSED(g.ph[1].p_align = 0, "is no alignment");
	REFUSED(g.ph[0].p_vaddr = 0xff000, "images start at 0x100000");
	REFUSED(g.ph[0].p_align = 1 << 21, "images start at 0x100000");
	REFUSED(g.ph[1].p_vaddr = 0x100000, "segment 1: at 0x100000, overlaps");
	REFUSED(g.ph[1].p_vaddr = 0x180000, "segment 2: at 0x10");
	REFUSED(g.ph[2].p_memsz = MEMORY, "outside the guest's memory");
	REFUSED(g.ph[2].p_vaddr = MEMORY, "outside the guest's memory");
	REFUSED(g.ph[0].p_flags |= PF_W, "segment 0: writable and executable");
	REFUSED(g.ph[1].p_align = 16, "segment 1: not aligned to pages");
	REFUSED(g.eh->e_entry = 0, "entry point outside");
	REFUSED(g.eh->e_entry = 0x3fffff, "entry point outside");
	REFUSED((g.ph[0].p_type = g.ph[1].p_type = g.ph[2].p_type = PT_NULL),
		"no segment to load");
}

GUEST_TEST(every_cut_is_refused_or_complete)
{
	static struct solo5_image img;

	for (size_t len = 0; len < g.len; len += len < 8192 ? 61 : 4093) {
		struct mote_err err = {0};
		int ret = read_image(len, &img, &err);

		cr_expect_eq(ret < 0, err.msg[0] != 0, "at %zu", len);
	}
}

GUEST_TEST(flipped_bits_never_crash_and_never_leave_memory)
{
	static struct solo5_image img;
	size_t head =
		g.eh->e_phoff + (size_t)g.eh->e_phnum * sizeof(Elf64_Phdr);

	for (size_t bit = 0; bit < head * 8; bit++) {
		struct mote_err err = {0};

		g.file[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (read_image(g.len, &img, &err) == 0) {
			cr_expect_leq(img.end, MEMORY, "bit %zu", bit);
			for (int i = 0; i < img.segs; i++)
				cr_expect_geq(img.seg[i].start, HVT_IMAGE_BASE,
					      "bit %zu", bit);
		}
		g.file[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
