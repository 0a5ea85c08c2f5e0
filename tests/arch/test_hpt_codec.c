/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_codec.h"
#include "base/err.h"

#define ENTRIES hpt_entries(18)

static size_t record(uint8_t *out, uint32_t index, uint16_t valid,
		     uint16_t invalid, bool big)
{
	const struct hpt_record rec = {
		.index = index, .valid = valid, .invalid = invalid};

	hpt_header_put(out, &rec, big);
	memset(out + HPT_HEADER_SIZE, 0, (size_t)valid * HPT_ENTRY_SIZE);
	for (uint32_t i = 0; i < valid; i++)
		out[HPT_HEADER_SIZE + i * HPT_ENTRY_SIZE + HPT_HVLOCK_BYTE] =
			HPT_VALID_BIT;
	return HPT_HEADER_SIZE + (size_t)valid * HPT_ENTRY_SIZE;
}

Test(hpt_codec, both_byte_orders_are_read)
{
	for (int big = 0; big < 2; big++) {
		struct hpt_record rec;
		uint8_t buf[256];
		size_t pos = 0, len = record(buf, 0x102, 3, 0x405, big);
		uint64_t next = 0;

		cr_assert_eq(hpt_record_next(buf, len, &pos, big, ENTRIES,
					     &next, &rec, NULL),
			     1);
		cr_assert_eq(rec.index, 0x102u);
		cr_assert_eq(rec.valid, 3);
		cr_assert_eq(rec.invalid, 0x405);
		cr_assert_eq(next, 0x102u + 3 + 0x405);
		cr_assert_eq(pos, len);
		cr_assert_eq(hpt_record_next(buf, len, &pos, big, ENTRIES,
					     &next, &rec, NULL),
			     0);
	}
}

Test(hpt_codec, the_wrong_byte_order_is_refused)
{
	struct hpt_record rec;
	uint64_t next = 0;
	uint8_t buf[256];
	size_t pos = 0, len = record(buf, 0x102, 3, 0x405, true);

	cr_assert_eq(hpt_record_next(buf, len, &pos, false, ENTRIES, &next,
				     &rec, NULL),
		     -EBADMSG);
}

Test(hpt_codec, every_cut_is_found)
{
	uint8_t buf[512];
	size_t len = record(buf, 0, 2, 7, false);

	len += record(buf + len, 20, 1, 0, false);
	for (size_t n = 1; n < len; n++) {
		uint8_t *copy = malloc(n);
		struct hpt_counts counts;
		int ret;

		memcpy(copy, buf, n);
		ret = hpt_stream_check(copy, n, ENTRIES, &counts, NULL);
		/* A cut between two records is a shorter stream. */
		cr_assert_eq(ret,
			     n == HPT_HEADER_SIZE + 2 * HPT_ENTRY_SIZE
				     ? 0
				     : -EBADMSG,
			     "cut at %zu", n);
		free(copy);
	}
}

Test(hpt_codec, indices_only_rise_and_stay_in_the_table)
{
	struct mote_err err = {0};
	uint8_t buf[512];
	struct hpt_counts counts;
	size_t len = record(buf, 100, 1, 0, false);

	len += record(buf + len, 100, 1, 0, false);
	cr_assert_eq(hpt_stream_check(buf, len, ENTRIES, &counts, &err),
		     -EBADMSG);
	cr_assert_not_null(strstr(err.msg, "backwards"), "%s", err.msg);
	len = record(buf, (uint32_t)ENTRIES - 1, 1, 1, false);
	cr_assert_eq(hpt_stream_check(buf, len, ENTRIES, &counts, &err),
		     -EBADMSG);
	cr_assert_not_null(strstr(err.msg, "beyond"), "%s", err.msg);
	len = record(buf, (uint32_t)ENTRIES - 1, 1, 0, false);
	cr_assert_eq(hpt_stream_check(buf, len, ENTRIES, &counts, NULL), 0);
	cr_assert_eq(counts.valid, 1u);
}

Test(hpt_codec, an_entry_needs_its_valid_bit)
{
	struct mote_err err = {0};
	uint8_t buf[64];
	struct hpt_counts counts;
	size_t len = record(buf, 0, 1, 0, false);

	buf[HPT_HEADER_SIZE + HPT_HVLOCK_BYTE] = 0;
	cr_assert_eq(hpt_stream_check(buf, len, ENTRIES, &counts, &err),
		     -EBADMSG);
	cr_assert_not_null(strstr(err.msg, "valid bit"), "%s", err.msg);
}

Test(hpt_codec, an_empty_stream_is_fine)
{
	struct hpt_counts counts = {.valid = 1};

	cr_assert_eq(hpt_stream_check((const uint8_t *)"", 0, ENTRIES, &counts,
				      NULL),
		     0);
	cr_assert_eq(counts.valid, 0u);
}
