/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hpt.c - any bytes as a stream of page table records, in both byte
 * orders and for tables of any order.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/common/hpt_codec.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_hpt: %s\n", what);
	abort();
}

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
	free(copy);
	return 0;
}
