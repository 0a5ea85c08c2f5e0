/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hpt.c - any bytes as a stream of page table records, in both byte
 * orders and for tables of any order, and as a snapshot's section.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_section.h"
#include "base/err.h"
#include "fuzz/support/fuzz.h"
#include "snapshot/stream.h"

static void walk(const uint8_t *buf, size_t len, bool big, uint64_t entries)
{
	uint64_t next = 0, last = 0;
	struct mote_err err = {0};
	struct hpt_record rec;
	size_t pos = 0;
	int ret;

	do {
		size_t was = pos;

		ret = hpt_record_next(buf, len, &pos, big, entries, &next, &rec,
				      &err);
		if (ret <= 0)
			break;
		require(pos > was && pos <= len, "the cursor is wrong");
		require(rec.index >= last, "an index went backwards");
		require(next <= entries, "beyond the table");
		require(rec.entries + (size_t)rec.valid * HPT_ENTRY_SIZE <=
				buf + len,
			"entries past the stream");
		last = next;
	} while (1);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
}

static int same(const struct hpt_stream *a, const struct hpt_stream *b)
{
	return a->len == b->len &&
	       (a->len == 0 || !memcmp(a->buf, b->buf, a->len));
}

/* Both are sound: put together and taken apart again they fit. */
static void combine(struct hpt_view a, struct hpt_view b, uint64_t entries)
{
	struct hpt_stream sum = {0}, again = {0}, diff = {0}, back = {0};
	struct hpt_counts counts, base, over;

	if (hpt_stream_check(a.buf, a.len, entries, &base, NULL) < 0 ||
	    hpt_stream_check(b.buf, b.len, entries, &over, NULL) < 0)
		return;
	require(hpt_stream_merge(&sum, a, b, entries, NULL) == 0, "merge");
	require(hpt_stream_check(sum.buf, sum.len, entries, &counts, NULL) == 0,
		"the sum is unsound");
	require(counts.valid >= over.valid && counts.valid + counts.invalid >=
						      base.valid + base.invalid,
		"entries were lost");
	require(!base.whole || counts.whole, "a gap appeared");
	/* The same once more changes nothing. */
	require(hpt_stream_merge(&again, hpt_view(&sum), b, entries, NULL) == 0,
		"merge");
	require(same(&again, &sum), "two forms of one table");
	if (base.whole) {
		require(hpt_stream_difference(&diff, a, hpt_view(&sum), entries,
					      NULL) == 0,
			"difference");
		require(hpt_stream_merge(&back, a, hpt_view(&diff), entries,
					 NULL) == 0,
			"merge");
		require(same(&back, &sum), "a difference is not what differs");
	}
	hpt_stream_fini(&sum);
	hpt_stream_fini(&again);
	hpt_stream_fini(&diff);
	hpt_stream_fini(&back);
}

/* Small tables, so that whole ones are found. */
static void two_streams(const uint8_t *buf, size_t len)
{
	size_t half;

	if (len < 2)
		return;
	half = (size_t)(buf[0] | buf[1] << 8) %
	       (len - 1); /* of the len - 2 that follow */
	combine((struct hpt_view){buf + 2, half},
		(struct hpt_view){buf + 2 + half, len - 2 - half}, 16);
}

static void section(const uint8_t *buf, size_t len)
{
	struct snap_section s = {.name = HPT_SECTION, .data = buf, .len = len};
	struct mote_err err = {0};
	struct hpt_section out;
	int ret;

	for (s.version = 1; s.version <= HPT_SECTION_VERSION; s.version++) {
		err.msg[0] = 0;
		s.pos = 0;
		s.error = 0;
		ret = hpt_section_read(&s, &out, &err);
		require((ret < 0) == (err.msg[0] != 0),
			"result and message differ");
		require(ret < 0 ||
				(out.stream.buf >= buf &&
				 out.stream.buf + out.stream.len <= buf + len),
			"a stream past the section");
		require(ret < 0 || out.counts.valid + out.counts.invalid <=
					   hpt_entries(out.order),
			"more than the table holds");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mote_err err = {0};
	struct hpt_counts counts;
	uint64_t entries;
	uint8_t *copy;
	int ret;

	if (size == 0)
		return 0;
	entries = hpt_entries(HPT_ORDER_MIN +
			      data[0] % (HPT_ORDER_MAX - HPT_ORDER_MIN + 1));
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	walk(copy, size - 1, false, entries);
	walk(copy, size - 1, true, entries);
	ret = hpt_stream_check(copy, size - 1, entries, &counts, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	require(ret < 0 || counts.valid + counts.invalid <= entries,
		"more than the table holds");
	two_streams(copy, size - 1);
	section(copy, size - 1);
	free(copy);
	return 0;
}
