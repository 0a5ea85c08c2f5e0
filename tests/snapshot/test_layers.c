/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_layers.c - a table that a chain of diffs holds as changes.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_section.h"
#include "base/err.h"
#include "snapshot/snapshot.h"

#define ORDER	18u
#define ENTRIES hpt_entries(ORDER)

static const uint8_t entry_a[HPT_ENTRY_SIZE] = {1, [HPT_HVLOCK_BYTE] = 0x11};
static const uint8_t entry_b[HPT_ENTRY_SIZE] = {2, [HPT_HVLOCK_BYTE] = 0x01};

struct layer {
	struct snapshot s;
	struct snap_writer w;
};

static void layer_init(struct layer *l, struct layer *parent, uint32_t order,
		       enum hpt_kind kind, const struct hpt_stream *t)
{
	struct mote_err err = {0};

	memset(l, 0, sizeof(*l));
	snap_writer_init(&l->w);
	snap_section_begin(&l->w, HPT_SECTION, 0, HPT_SECTION_VERSION,
			   SNAP_REQUIRED);
	hpt_section_write(&l->w, order, kind, hpt_view(t));
	snap_section_end(&l->w);
	cr_assert_eq(snap_writer_finish(&l->w, &err), 0);
	cr_assert_eq(snap_reader_init(&l->s.reader, l->w.buf, l->w.len, &err),
		     0, "%s", err.msg);
	l->s.parent = parent ? &parent->s : NULL;
}

static void layer_fini(struct layer *l)
{
	layers_fini(&l->s.layers);
	snap_writer_fini(&l->w);
}

/* Entry 10 is there, all others are not. */
static void make_base(struct layer *l)
{
	struct hpt_stream t = {0};

	hpt_put_invalid(&t, 0, 10);
	hpt_put_valid(&t, 10, 1, entry_a);
	hpt_put_invalid(&t, 11, ENTRIES - 11);
	layer_init(l, NULL, ORDER, HPT_WHOLE, &t);
	hpt_stream_fini(&t);
}

Test(layers, changes_are_put_over_their_parents_table)
{
	struct layer *l = calloc(3, sizeof(*l));
	struct hpt_stream t = {0};
	struct mote_err err = {0};
	struct snap_reader *r = malloc(sizeof(*r));
	struct hpt_section h;
	struct snap_section sec;

	make_base(&l[0]);
	hpt_put_valid(&t, 100, 1, entry_b);
	layer_init(&l[1], &l[0], ORDER, HPT_CHANGES, &t);
	hpt_stream_clear(&t);
	hpt_put_invalid(&t, 10, 1);
	hpt_put_valid(&t, 101, 1, entry_a);
	layer_init(&l[2], &l[1], ORDER, HPT_CHANGES, &t);
	hpt_stream_fini(&t);

	cr_assert_eq(layers_read(&l[2].s, &err), 0, "%s", err.msg);
	cr_assert_eq(l[2].s.layers.hpt_valid, 2u);
	cr_assert_eq(l[2].s.layers.hpt_bolted, 1u);
	cr_assert_eq(l[2].s.layers.hpt_changed, 2u);
	cr_assert_eq(l[2].s.layers.hpt_entries, ENTRIES);
	*r = l[2].s.reader;
	layers_patch(&l[2].s, r);
	cr_assert_eq(snap_section_open(r, HPT_SECTION, 0, &sec, &err), 0);
	cr_assert_eq(hpt_section_read(&sec, &h, &err), 0, "%s", err.msg);
	cr_assert_eq(h.kind, HPT_WHOLE);
	cr_assert_eq(h.counts.valid, 2u);
	cr_assert(h.counts.whole);
	/* 100 invalid ones, then both. */
	cr_assert_arr_eq(h.stream.buf + 2 * HPT_HEADER_SIZE, entry_b,
			 HPT_ENTRY_SIZE);
	cr_assert_arr_eq(h.stream.buf + 2 * HPT_HEADER_SIZE + HPT_ENTRY_SIZE,
			 entry_a, HPT_ENTRY_SIZE);
	for (int i = 0; i < 3; i++)
		layer_fini(&l[i]);
	free(r);
	free(l);
}

static void expect_refused(struct layer *l, const char *words)
{
	struct mote_err err = {0};

	cr_assert_eq(layers_read(&l->s, &err), -EBADMSG);
	cr_assert_not_null(strstr(err.msg, words), "%s", err.msg);
	layer_fini(l);
}

Test(layers, what_does_not_fit_its_parent_is_refused)
{
	struct layer *l = calloc(2, sizeof(*l));
	struct hpt_stream t = {0};

	hpt_put_valid(&t, 100, 1, entry_b);
	make_base(&l[0]);
	layer_init(&l[1], &l[0], ORDER + 1, HPT_CHANGES, &t);
	expect_refused(&l[1], "no table of order 19");
	layer_init(&l[1], NULL, ORDER, HPT_CHANGES, &t);
	expect_refused(&l[1], "no table of order 18");
	layer_init(&l[1], NULL, ORDER, HPT_WHOLE, &t);
	expect_refused(&l[1], "gaps");
	layer_init(&l[1], NULL, 47, HPT_WHOLE, &t);
	expect_refused(&l[1], "order 47");
	layer_init(&l[1], NULL, ORDER, HPT_KINDS, &t);
	expect_refused(&l[1], "unknown kind 2");
	hpt_stream_fini(&t);
	layer_fini(&l[0]);
	free(l);
}
