/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hpt_stream.c - streams of page table records against tables that are
 * plain arrays: 1,000 random ones, in both byte orders of the kernel's headers.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_stream.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/stress.h"

#define ORDER	18u
#define ENTRIES 16384u
#define TABLES	1000 /* a tenth of it under emulation */

struct table {
	uint8_t e[ENTRIES][HPT_ENTRY_SIZE]; /* all zeros: invalid */
};

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t random_u32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static void set_random(struct table *t, uint32_t i)
{
	for (unsigned int k = 0; k < HPT_ENTRY_SIZE; k++)
		t->e[i][k] = (uint8_t)random_u32();
	t->e[i][HPT_HVLOCK_BYTE] |= HPT_VALID_BIT;
	t->e[i][HPT_HVLOCK_BYTE] &= (uint8_t)~HPT_HVLOCK_BIT;
}

/* Runs of any length that are set, cleared or left. */
static void scramble(struct table *t)
{
	uint32_t most = 1u << random_u32() % 14;

	for (uint32_t i = 0; i < ENTRIES;) {
		uint32_t n = 1 + random_u32() % most, what = random_u32() % 4;

		for (; n > 0 && i < ENTRIES; n--, i++) {
			if (what == 0)
				set_random(t, i);
			else if (what == 1)
				memset(t->e[i], 0, HPT_ENTRY_SIZE);
		}
	}
}

static bool is_valid(const struct table *t, uint32_t i)
{
	return t->e[i][HPT_HVLOCK_BYTE] & HPT_VALID_BIT;
}

/*
 * What the kernel says of a table: records cut where a read of room bytes is
 * full, headers in one byte order, entries locked.  was: only what differs.
 */
static void tell(const struct table *t, const struct table *was, size_t room,
		 bool big, struct hpt_stream *out)
{
	uint64_t next = 0;
	uint8_t *buf = malloc(room);
	uint32_t i = 0;

	while (i < ENTRIES) {
		size_t len = 0;

		while (i < ENTRIES &&
		       len + HPT_HEADER_SIZE + HPT_ENTRY_SIZE < room) {
			struct hpt_record rec = {0};
			size_t head = len;

#define TOLD(k) (!was || memcmp(t->e[k], was->e[k], HPT_ENTRY_SIZE) != 0)
			while (i < ENTRIES && !TOLD(i))
				i++;
			rec.index = i;
			len += HPT_HEADER_SIZE;
			for (; i < ENTRIES && len + HPT_ENTRY_SIZE < room &&
			       is_valid(t, i) && TOLD(i);
			     i++, rec.valid++, len += HPT_ENTRY_SIZE) {
				memcpy(buf + len, t->e[i], HPT_ENTRY_SIZE);
				buf[len + HPT_HVLOCK_BYTE] |= HPT_HVLOCK_BIT;
			}
			for (; i < ENTRIES && !is_valid(t, i) && TOLD(i); i++)
				rec.invalid++;
			if (rec.valid || rec.invalid)
				hpt_header_put(buf + head, &rec, big);
			else
				len = head;
		}
		cr_assert_eq(hpt_stream_add(out, buf, len, big, ENTRIES, &next,
					    NULL),
			     0);
	}
	free(buf);
}

/* The table that a whole stream describes is t. */
static void expect(const struct hpt_stream *s, const struct table *t,
		   const char *what)
{
	struct hpt_counts counts;
	struct mote_err err = {0};
	uint64_t next = 0, at = 0;
	struct hpt_record rec;
	size_t pos = 0;

	cr_assert_eq(hpt_stream_check(s->buf, s->len, ENTRIES, &counts, &err),
		     0, "%s: %s", what, err.msg);
	cr_assert(counts.whole, "%s: gaps", what);
	while (hpt_record_next(s->buf, s->len, &pos, false, ENTRIES, &next,
			       &rec, NULL) > 0) {
		for (uint32_t i = 0; i < rec.valid; i++, at++)
			cr_assert_arr_eq(t->e[at],
					 rec.entries + i * HPT_ENTRY_SIZE,
					 HPT_ENTRY_SIZE, "%s: entry %lu", what,
					 (unsigned long)at);
		for (uint32_t i = 0; i < rec.invalid; i++, at++)
			cr_assert(!is_valid(t, (uint32_t)at), "%s", what);
	}
	cr_assert_eq(at, ENTRIES);
}

static void expect_same(const struct hpt_stream *a, const struct hpt_stream *b)
{
	cr_assert_eq(a->len, b->len);
	cr_assert_arr_eq(a->buf, b->buf, a->len);
}

Test(hpt_stream, a_thousand_tables_are_told_put_together_and_taken_apart)
{
	struct table *was = calloc(1, sizeof(*was));
	struct table *now = calloc(1, sizeof(*now));
	struct hpt_stream base = {0};

	tell(was, NULL, 1024, false, &base);
	for (long i = 0; i < stress_count(TABLES, TABLES); i++) {
		struct hpt_stream whole = {0}, told = {0}, sum = {0},
				  diff = {0};
		size_t room = 64 + random_u32() % 65536;
		bool big = i & 1;

		scramble(now);
		tell(now, NULL, room, big, &whole);
		expect(&whole, now, "whole");
		/* An incremental pass over what was known. */
		tell(now, was, room, big, &told);
		cr_assert_eq(hpt_stream_merge(&sum, hpt_view(&base),
					      hpt_view(&told), ENTRIES, NULL),
			     0);
		expect_same(&sum, &whole);
		/* What we find to differ is what the kernel would tell. */
		cr_assert_eq(hpt_stream_difference(&diff, hpt_view(&base),
						   hpt_view(&whole), ENTRIES,
						   NULL),
			     0);
		expect_same(&diff, &told);
		hpt_stream_fini(&base);
		base = whole;
		*was = *now;
		hpt_stream_fini(&told);
		hpt_stream_fini(&sum);
		hpt_stream_fini(&diff);
	}
	hpt_stream_fini(&base);
	free(was);
	free(now);
}

Test(hpt_stream, counts_are_split_where_16_bits_end)
{
	const uint64_t entries = hpt_entries(24),
		       runs[] = {65535, 65536, 131071};
	uint8_t *e = calloc(131071, HPT_ENTRY_SIZE);

	for (size_t i = 0; i < 131071; i++)
		e[i * HPT_ENTRY_SIZE + HPT_HVLOCK_BYTE] = HPT_VALID_BIT;
	for (size_t r = 0; r < ARRAY_SIZE(runs); r++) {
		struct hpt_stream s = {0};
		struct hpt_counts counts;
		struct hpt_record rec;
		uint64_t next = 0, valid = 0, invalid = 0;
		size_t pos = 0, n = 0;

		hpt_put_valid(&s, 5, runs[r], e);
		hpt_put_invalid(&s, 5 + runs[r], runs[r]);
		cr_assert_eq(s.error, 0);
		cr_assert_eq(
			hpt_stream_check(s.buf, s.len, entries, &counts, NULL),
			0);
		cr_assert_eq(counts.valid, runs[r]);
		cr_assert_eq(counts.invalid, runs[r]);
		while (hpt_record_next(s.buf, s.len, &pos, false, entries,
				       &next, &rec, NULL) > 0) {
			valid += rec.valid;
			invalid += rec.invalid;
			n++;
		}
		cr_assert_eq(valid, runs[r]);
		cr_assert_eq(invalid, runs[r]);
		/* One record where both fit, none that is empty. */
		cr_assert_eq(n,
			     runs[r] == 65535	? 1u
			     : runs[r] == 65536 ? 3u
						: 5u,
			     "%zu records", n);
		hpt_stream_fini(&s);
	}
	free(e);
}

Test(hpt_stream, only_the_bolted_ones_from_an_index_on)
{
	struct table *t = calloc(1, sizeof(*t)), *want = calloc(1, sizeof(*t));
	struct hpt_stream all = {0}, some = {0}, from = {0};
	struct hpt_record rec;
	uint64_t next = 0;
	size_t pos = 0;

	scramble(t);
	for (uint32_t i = 0; i < ENTRIES; i++)
		if (t->e[i][HPT_HVLOCK_BYTE] & HPT_BOLTED_BIT)
			memcpy(want->e[i], t->e[i], HPT_ENTRY_SIZE);
	tell(t, NULL, 4096, false, &all);
	cr_assert_eq(hpt_stream_select(&some, hpt_view(&all), 0, true, ENTRIES,
				       NULL),
		     0);
	expect(&some, want, "bolted");
	cr_assert_eq(hpt_stream_select(&from, hpt_view(&all), 1000, false,
				       ENTRIES, NULL),
		     0);
	cr_assert_eq(hpt_record_next(from.buf, from.len, &pos, false, ENTRIES,
				     &next, &rec, NULL),
		     1);
	cr_assert_eq(rec.index, 1000u);
	hpt_stream_fini(&all);
	hpt_stream_fini(&some);
	hpt_stream_fini(&from);
	free(t);
	free(want);
}

Test(hpt_stream, the_kernel_is_held_to_the_rules_too)
{
	const struct hpt_record rec = {.index = ENTRIES - 1, .invalid = 2};
	struct hpt_stream s = {0};
	struct mote_err err = {0};
	uint8_t head[HPT_HEADER_SIZE];
	uint64_t next = 0;

	hpt_header_put(head, &rec, false);
	cr_assert_eq(hpt_stream_add(&s, head, sizeof(head), false, ENTRIES,
				    &next, &err),
		     -EBADMSG);
	cr_assert_not_null(strstr(err.msg, "beyond"), "%s", err.msg);
	hpt_stream_fini(&s);
}
