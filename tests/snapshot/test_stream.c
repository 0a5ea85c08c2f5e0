/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "snapshot/stream.h"

/* Two sections, one optional. */
static void write_sample(struct snap_writer *w)
{
	snap_writer_init(w);
	snap_section_begin(w, "alpha", 0, 2, SNAP_REQUIRED);
	snap_put_u8(w, 0x11);
	snap_put_u16(w, 0x2233);
	snap_put_u32(w, 0x44556677);
	snap_put_u64(w, 0x8899aabbccddeeff);
	snap_section_end(w);
	snap_section_begin(w, "beta", 3, 1, 0);
	snap_put_bytes(w, "bytes", 5);
	snap_section_end(w);
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
}

Test(stream, what_is_written_is_read)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_section s;
	struct snap_writer w;
	char bytes[5];

	write_sample(&w);
	cr_assert_eq(snap_reader_init(r, w.buf, w.len, NULL), 0);
	cr_assert_eq(snap_section_open(r, "alpha", 0, &s, NULL), 0);
	cr_assert_eq(s.version, 2);
	cr_assert_eq(snap_get_u8(&s), 0x11);
	cr_assert_eq(snap_get_u16(&s), 0x2233);
	cr_assert_eq(snap_get_u32(&s), 0x44556677u);
	cr_assert_eq(snap_get_u64(&s), 0x8899aabbccddeeffull);
	cr_assert_eq(snap_section_close(&s, NULL), 0);
	cr_assert_eq(snap_section_open(r, "beta", 3, &s, NULL), 0);
	snap_get_bytes(&s, bytes, 5);
	cr_assert_arr_eq(bytes, "bytes", 5);
	cr_assert_eq(snap_section_close(&s, NULL), 0);
	cr_assert_eq(snap_reader_finish(r, NULL), 0);
	free(r);
	snap_writer_fini(&w);
}

Test(stream, numbers_are_little_endian_in_the_file)
{
	struct snap_writer w;

	write_sample(&w);
	cr_assert_eq(w.buf[16 + 64 + 1], 0x33);
	cr_assert_eq(w.buf[16 + 64 + 2], 0x22);
	snap_writer_fini(&w);
}

Test(stream, every_flipped_bit_is_found)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_writer w;

	write_sample(&w);
	for (size_t bit = 0; bit < w.len * 8; bit++) {
		struct mote_err err = {0};

		w.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(snap_reader_init(r, w.buf, w.len, &err), -EBADMSG,
			     "bit %zu", bit);
		cr_assert_neq(err.msg[0], 0);
		w.buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(r);
	snap_writer_fini(&w);
}

Test(stream, every_cut_is_found)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_writer w;

	write_sample(&w);
	for (size_t len = 0; len < w.len; len++) {
		/* A copy, so that a sanitizer sees any read beyond. */
		uint8_t *copy = malloc(len ? len : 1);

		memcpy(copy, w.buf, len);
		cr_assert_eq(snap_reader_init(r, copy, len, NULL), -EBADMSG,
			     "cut at %zu", len);
		free(copy);
	}
	free(r);
	snap_writer_fini(&w);
}

Test(stream, reading_past_a_section_sticks)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_section s;
	struct snap_writer w;

	write_sample(&w);
	snap_reader_init(r, w.buf, w.len, NULL);
	snap_section_open(r, "beta", 3, &s, NULL);
	cr_assert_eq(snap_get_u64(&s), 0u);
	cr_assert_eq(snap_get_u8(&s), 0, "an error sticks");
	cr_assert_eq(snap_section_close(&s, NULL), -EBADMSG);
	free(r);
	snap_writer_fini(&w);
}

Test(stream, an_unread_tail_is_an_error)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct mote_err err = {0};
	struct snap_section s;
	struct snap_writer w;

	write_sample(&w);
	snap_reader_init(r, w.buf, w.len, NULL);
	snap_section_open(r, "beta", 3, &s, NULL);
	snap_get_u8(&s);
	cr_assert_eq(snap_section_close(&s, &err), -EBADMSG);
	cr_assert_str_eq(err.msg, "section beta[3]: 4 bytes too many");
	free(r);
	snap_writer_fini(&w);
}

Test(stream, unknown_required_is_refused_and_optional_skipped)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct mote_err err = {0};
	struct snap_section s;
	struct snap_writer w;

	write_sample(&w);
	snap_reader_init(r, w.buf, w.len, NULL);
	cr_assert_eq(snap_reader_finish(r, &err), -EBADMSG);
	cr_assert_not_null(strstr(err.msg, "alpha[0]"), "%s", err.msg);
	snap_section_open(r, "alpha", 0, &s, NULL);
	cr_assert_eq(snap_reader_finish(r, NULL), 0, "beta is optional");
	free(r);
	snap_writer_fini(&w);
}

Test(stream, newer_versions_are_refused_by_name)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct mote_err err = {0};
	struct snap_section s;
	struct snap_writer w;

	write_sample(&w);
	snap_reader_init(r, w.buf, w.len, NULL);
	snap_section_open(r, "alpha", 0, &s, NULL);
	cr_assert_eq(snap_section_version(&s, 1, &err), -EBADMSG);
	cr_assert_str_eq(err.msg, "section alpha[0]: version 2, this version "
				  "reads up to 1");
	cr_assert_eq(snap_section_version(&s, 2, NULL), 0);
	free(r);
	snap_writer_fini(&w);
}

Test(stream, a_missing_section_is_named)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct mote_err err = {0};
	struct snap_section s;
	struct snap_writer w;

	write_sample(&w);
	snap_reader_init(r, w.buf, w.len, NULL);
	cr_assert_eq(snap_section_open(r, "gamma", 1, &s, &err), -ENOENT);
	cr_assert_str_eq(err.msg, "section gamma[1] is missing");
	free(r);
	snap_writer_fini(&w);
}

Test(stream, the_same_section_twice_is_refused)
{
	struct snap_reader *r = calloc(1, sizeof(*r));
	struct snap_writer w;

	snap_writer_init(&w);
	for (int i = 0; i < 2; i++) {
		snap_section_begin(&w, "twin", 0, 1, SNAP_REQUIRED);
		snap_section_end(&w);
	}
	snap_writer_finish(&w, NULL);
	cr_assert_eq(snap_reader_init(r, w.buf, w.len, NULL), -EBADMSG);
	free(r);
	snap_writer_fini(&w);
}
