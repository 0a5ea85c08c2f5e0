/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hotset.c - any bytes as the head of a hotset file: as they are, and
 * with the digests put right, so that they do not stop everything.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "fuzz/support/fuzz.h"
#include "snapshot/hotset.h"

#define FIXED 72
#define RUN   17
#define TOTAL 8192

static const struct snap_digest of = {{1}};

static void parse(const uint8_t *head, size_t len, uint64_t size)
{
	struct mote_err err = {0};
	uint64_t next = 0, pages = 0;
	struct hotset h;
	int ret = hotset_parse(&h, head, len, size, &of, TOTAL, &err);

	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	require((ret < 0) == (h.run == NULL), "result and runs differ");
	for (uint64_t i = 0; ret == 0 && i < h.runs; i++) {
		const struct hotset_run *r = &h.run[i];

		require(r->first >= next && r->count > 0 && r->count <= TOTAL &&
				r->first <= TOTAL - r->count,
			"a run outside RAM");
		require(r->at + r->count * host_page_size() <= size,
			"a run outside the file");
		next = r->first + r->count;
		pages += r->count;
	}
	require(ret < 0 || pages == h.pages, "another number of pages");
	hotset_fini(&h);
}

/* The bytes are number of runs, pages of the file, then runs. */
static void as_runs(const uint8_t *data, size_t size)
{
	static uint8_t head[65536];
	uint64_t runs = data[0], pages = data[1] | (uint64_t)data[2] << 8;
	uint64_t used = FIXED + runs * RUN;
	uint32_t format = 1, page = (uint32_t)host_page_size();
	uint64_t len = (used + 16 + page - 1) / page * page;
	struct snap_digest d;

	memset(head, 0, sizeof(head));
	memcpy(head, "MOTEHOTS", 8);
	memcpy(head + 8, &format, 4);
	memcpy(head + 12, &page, 4);
	memcpy(head + 16, of.byte, 16);
	memcpy(head + 56, &pages, 8);
	memcpy(head + 64, &runs, 8);
	memcpy(head + FIXED, data + 3,
	       size - 3 < runs * RUN ? size - 3 : runs * RUN);
	d = snap_digest(head, used);
	memcpy(head + used, d.byte, 16);
	parse(head, len, len + pages * page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse(data, size, size);
	if (size > 3)
		as_runs(data, size);
	return 0;
}
