/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_stream.c - any bytes as a state file: as they are, and (so that the
 * digests do not stop everything) as the payload of a section that is then
 * read field by field as the first bytes say.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/support/fuzz.h"
#include "snapshot/stream.h"

static struct snap_reader reader;

static void as_a_file(const uint8_t *data, size_t size)
{
	struct mote_err err = {0};
	int ret = snap_reader_init(&reader, data, size, &err);

	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	for (int i = 0; ret == 0 && i < reader.count; i++) {
		const struct snap_section *s = &reader.section[i];

		require(s->data >= data && s->data + s->len <= data + size,
			"a section outside the file");
	}
}

/* Fields of the widths that the bytes name; sums what was read. */
static void read_fields(struct snap_section *s, const uint8_t *widths,
			size_t count)
{
	uint8_t buf[256];
	const uint8_t *raw;

	for (size_t i = 0; i < count; i++) {
		size_t left = snap_left(s);

		switch (widths[i] % 6) {
		case 0:
			snap_get_u8(s);
			break;
		case 1:
			snap_get_u16(s);
			break;
		case 2:
			snap_get_u32(s);
			break;
		case 3:
			snap_get_u64(s);
			break;
		case 4:
			snap_get_bytes(s, buf, widths[i]);
			break;
		default:
			raw = snap_get_raw(s, widths[i]);
			require(!raw || raw + widths[i] <= s->data + s->len,
				"raw bytes past the section");
		}
		require(snap_left(s) <= left, "the cursor went back");
	}
	require((snap_section_close(s, NULL) == 0) ==
			(!s->error && s->pos == s->len),
		"an odd close");
}

static void as_a_payload(const uint8_t *data, size_t size)
{
	size_t widths = data[0] % 32;
	struct snap_section s;
	struct snap_writer w;

	data++;
	size--;
	if (size < widths)
		return;
	snap_writer_init(&w);
	snap_section_begin(&w, "fuzz", 1, 1, SNAP_REQUIRED);
	snap_put_bytes(&w, data + widths, size - widths);
	snap_section_end(&w);
	require(snap_writer_finish(&w, NULL) == 0, "no state file");
	require(snap_reader_init(&reader, w.buf, w.len, NULL) == 0,
		"what was written is not read");
	require(snap_section_open(&reader, "fuzz", 0, &s, NULL) < 0,
		"a section that is not there");
	require(snap_section_open(&reader, "fuzz", 1, &s, NULL) == 0,
		"the section is lost");
	require(s.len == size - widths && !memcmp(s.data, data + widths, s.len),
		"another payload");
	read_fields(&s, data, widths);
	snap_writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_a_file(data, size);
	if (size > 0)
		as_a_payload(data, size);
	return 0;
}
