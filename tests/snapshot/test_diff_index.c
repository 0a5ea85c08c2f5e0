/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_diff_index.c - what diff.c writes in several steps is what was there
 * at the last one; sections that name places which can't be are refused.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "memory/memslot.h"
#include "snapshot/diff.h"
#include "snapshot/manifest.h"

#define PAGES 700 /* more than 2 MiB of 4 KiB pages */

static struct memslot_table slots, other;
static uint64_t page;
/* Of the machine of a snapshot, as its manifest and the section say. */
static uint64_t manifest_page, section_page;
static int fd = -1;

static void add_slot(struct memslot_table *t, int i, uint64_t gpa,
		     uint64_t pages)
{
	cr_assert_eq(map_anon(&t->slot[i].ram, pages * page, page, NULL), 0);
	t->slot[i].gpa = gpa;
}

/* Two slots, as a large machine has them: 400 pages and 300. */
static void begin(void)
{
	page = manifest_page = section_page = host_page_size();
	memslot_init(&slots, -1);
	memslot_init(&other, -1);
	add_slot(&slots, 0, 0, 400);
	add_slot(&slots, 1, UINT64_C(1) << 32, PAGES - 400);
	add_slot(&other, 0, 0, 400);
	add_slot(&other, 1, UINT64_C(1) << 32, PAGES - 400);
	fd = memfd_create("diff", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
}

static void end(void)
{
	for (int i = 0; i < 2; i++) {
		map_fini(&slots.slot[i].ram);
		map_fini(&other.slot[i].ram);
	}
	close(fd);
	cr_expect_eq(map_live(), 0);
}

TestSuite(diff_index, .init = begin, .fini = end);

static void poke(uint64_t *bits, uint64_t i, int value)
{
	uint64_t n;

	memset(memslot_page(&slots, i, &n), value, page);
	bitmap_set(bits, i);
}

static int index_load(struct diff_index *di, const struct snap_writer *w,
		      const struct snap_digest *digest, uint64_t length,
		      struct mote_err *err)
{
	const struct manifest m = {.page_size = (uint32_t)page,
				   .memory_length = length,
				   .memory_digest = *digest};
	static struct snap_reader r;
	struct ram_index ri;
	int ret = snap_reader_init(&r, w->buf, w->len, err);

	cr_assert_eq(ret, 0, "%s", err->msg);
	ret = diff_index_load(di, &ri, &r, &m, err);
	if (ret == 0)
		ret = ram_verify(&ri, fd, err);
	return ret;
}

/* The file and the section over RAM of zeros are RAM as it is. */
static void expect_equal(const struct snap_writer *w,
			 const struct snap_digest *digest, uint64_t length)
{
	struct mote_err err = {0};
	struct diff_index di;
	uint64_t n;

	cr_assert_eq(index_load(&di, w, digest, length, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(diff_apply(&di, fd, &other, &err), 0, "%s", err.msg);
	for (uint64_t i = 0; i < PAGES; i++)
		cr_expect_eq(memcmp(memslot_page(&slots, i, &n),
				    memslot_page(&other, i, &n), page),
			     0, "page %d", (int)i);
	diff_index_fini(&di);
}

static void save_steps(int steps, uint64_t *length)
{
	static uint64_t all[PAGES / 64 + 1];
	struct diff_out *d = diff_begin(&slots, fd);
	struct mote_err err = {0};
	struct snap_digest digest;
	struct snap_writer w;

	cr_assert_not_null(d);
	srand(7);
	for (int n = 0; n < steps; n++) {
		uint64_t bits[PAGES / 64 + 1] = {0};

		for (int i = 0; i < 120; i++)
			poke(bits, (uint64_t)(rand() % PAGES), rand() % 3);
		for (uint64_t i = 390; i < 410; i++) /* both slots */
			poke(bits, i, n + 1);
		bitmap_or(all, bits, PAGES);
		cr_assert_eq(diff_add(d, bits, &err), 0, "%s", err.msg);
	}
	snap_writer_init(&w);
	cr_assert_eq(diff_finish(d, all, &w, &digest, length, &err), 0, "%s",
		     err.msg);
	cr_expect_eq((uint64_t)fd_size(fd), *length);
	cr_expect_geq(diff_written(d), *length);
	cr_assert_eq(snap_writer_finish(&w, &err), 0);
	diff_end(d);
	expect_equal(&w, &digest, *length);
	snap_writer_fini(&w);
}

Test(diff_index, one_step_is_what_was_there)
{
	uint64_t length;

	save_steps(1, &length);
	cr_expect_lt(length, 140 * page);
}

Test(diff_index, of_many_steps_the_last_counts)
{
	uint64_t length;

	save_steps(30, &length);
	cr_expect_leq(length, PAGES * page, "no page is there twice");
	cr_expect_gt(length, RAM_CHUNK, "digests of more than one chunk");
}

Test(diff_index, nothing_changed)
{
	uint64_t length;

	save_steps(0, &length);
	cr_expect_eq(length, 0);
}

/* --- sections that were written by somebody else ------------------------- */

struct run {
	uint64_t first, count;
	uint8_t kind;
	uint64_t at;
};

/* A section of this version, of a file of so many pages. */
static int load_runs(uint16_t version, const struct run *run, int n,
		     uint64_t file_pages, struct diff_index *di,
		     struct mote_err *err)
{
	uint64_t length = file_pages * manifest_page;
	struct manifest m = {.page_size = (uint32_t)manifest_page,
			     .memory_length = length};
	uint8_t digests[160] = {0};
	struct snap_writer w;
	static struct snap_reader r;
	struct ram_index ri;
	int ret;

	snap_writer_init(&w);
	snap_section_begin(&w, DIFF_SECTION, 0, version, SNAP_REQUIRED);
	ram_put_regions(&w, &slots);
	snap_put_u32(&w, (uint32_t)section_page);
	snap_put_u64(&w, (uint64_t)n);
	for (int i = 0; i < n; i++) {
		snap_put_u64(&w, run[i].first);
		snap_put_u64(&w, run[i].count);
		snap_put_u8(&w, run[i].kind);
		if (version > 1)
			snap_put_u64(&w, run[i].at);
	}
	m.memory_digest = ram_put_digests(&w, digests, 16 * ram_chunks(length));
	snap_section_end(&w);
	cr_assert_eq(snap_writer_finish(&w, err), 0);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, err), 0);
	ret = diff_index_load(di, &ri, &r, &m, err);
	snap_writer_fini(&w);
	return ret;
}

Test(diff_index, version_1_has_its_pages_in_order)
{
	const struct run run[] = {{3, 2, DIFF_PAGES, 0},
				  {7, 4, DIFF_ZEROS, 0},
				  {20, 5, DIFF_PAGES, 0}};
	struct mote_err err = {0};
	struct diff_index di;

	cr_assert_eq(load_runs(1, run, 3, 7, &di, &err), 0, "%s", err.msg);
	cr_expect_eq(di.run[0].at, 0);
	cr_expect_eq(di.run[2].at, 2);
	cr_expect_eq(diff_find(&di, 24), &di.run[2]);
	cr_expect_null(diff_find(&di, 25));
	diff_index_fini(&di);
}

Test(diff_index, version_2_says_where_they_are)
{
	const struct run run[] = {{3, 2, DIFF_PAGES, 5},
				  {7, 4, DIFF_ZEROS, 0},
				  {20, 5, DIFF_PAGES, 0}};
	struct mote_err err = {0};
	struct diff_index di;

	cr_assert_eq(load_runs(2, run, 3, 7, &di, &err), 0, "%s", err.msg);
	cr_expect_eq(di.run[0].at, 5);
	cr_expect_eq(di.run[2].at, 0);
	diff_index_fini(&di);
	cr_expect_eq(load_runs(3, run, 3, 7, &di, &err), -EBADMSG);
}

static void expect_refused(struct run run, uint64_t file_pages,
			   const char *word)
{
	struct mote_err err = {0};
	struct diff_index di;

	cr_expect_eq(load_runs(2, &run, 1, file_pages, &di, &err), -EBADMSG,
		     "%s", word);
	cr_expect_not_null(strstr(err.msg, word), "%s", err.msg);
	cr_expect_eq(err_exit_code(&err), ERR_CLASS_DATA);
	cr_expect_null(di.run);
}

Test(diff_index, places_that_can_t_be_are_refused)
{
	const char *lacks = "memory file lacks", *run = "run of pages";

	expect_refused((struct run){3, 2, DIFF_PAGES, 1}, 2, lacks);
	expect_refused((struct run){3, 2, DIFF_PAGES, UINT64_MAX}, 2, lacks);
	expect_refused((struct run){3, 2, DIFF_PAGES, UINT64_MAX - 1}, 2,
		       lacks);
	expect_refused((struct run){3, 2, DIFF_PAGES, 0}, 3, "not as many");
	expect_refused((struct run){3, 2, DIFF_KINDS, 0}, 2, run);
	expect_refused((struct run){PAGES - 1, 2, DIFF_PAGES, 0}, 2, run);
	expect_refused((struct run){3, 0, DIFF_PAGES, 0}, 0, run);
}

/* A diff is verified on every host; only a restore wants the same pages. */
Test(diff_index, pages_of_another_host_are_read)
{
	const struct run run[] = {{3, 2, DIFF_PAGES, 0},
				  {PAGES / 2 - 1, 1, DIFF_PAGES, 2}};
	struct mote_err err = {0};
	struct diff_index di;

	manifest_page = section_page = 2 * page;
	cr_assert_eq(load_runs(2, run, 2, 3, &di, &err), 0, "%s", err.msg);
	cr_expect_eq(di.pages, 3);
	diff_index_fini(&di);
	expect_refused((struct run){PAGES / 2, 1, DIFF_PAGES, 0}, 1,
		       "run of pages");
	section_page = page;
	expect_refused(run[0], 2, "page size is not the manifest's");
}
