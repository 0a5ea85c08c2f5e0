/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "snapshot/hotset.h"

#define TOTAL 4096

static const struct snap_digest of = {{1, 2, 3}};

/* Pages 10 to 19, 27 (seven on) and 40, of which 10 and 11 are written. */
static void make(struct hotset *h)
{
	uint64_t bits[TOTAL / 64] = {0}, written[TOTAL / 64] = {0};
	struct mote_err err = {0};

	for (int i = 10; i < 20; i++)
		bitmap_set(bits, i);
	bitmap_set(bits, 27);
	bitmap_set(bits, 40);
	bitmap_set(written, 40);
	bitmap_set(written, 10);
	cr_assert_eq(hotset_make(h, bits, written, TOTAL, &err), 0, "%s",
		     err.msg);
	h->digest.byte[5] = 9;
}

struct text {
	uint8_t *head;
	uint64_t len, size;
};

static void format(struct text *t)
{
	struct hotset h;

	make(&h);
	cr_assert_eq(hotset_format(&h, &of, &t->head, &t->len, NULL), 0);
	t->size = t->len + h.pages * host_page_size();
	hotset_fini(&h);
}

static int parse(const struct text *t, struct hotset *h, struct mote_err *err)
{
	memset(err, 0, sizeof(*err));
	return hotset_parse(h, t->head, t->len, t->size, &of, TOTAL, err);
}

Test(hotset, small_gaps_are_bridged)
{
	struct hotset h;

	make(&h);
	cr_assert_eq(h.runs, 2u);
	cr_expect_eq(h.run[0].first, 10u);
	cr_expect_eq(h.run[0].count, 18u);
	cr_expect_eq(h.run[0].flags, 0);
	cr_expect_eq(h.run[1].first, 40u);
	cr_expect_eq(h.run[1].count, 1u);
	cr_expect_eq(h.run[1].flags, HOTSET_WRITTEN);
	cr_expect_eq(h.pages, 19u);
	hotset_fini(&h);
}

Test(hotset, what_is_written_is_read)
{
	struct mote_err err;
	struct hotset h;
	struct text t;

	format(&t);
	cr_expect_eq(t.len % host_page_size(), 0u);
	cr_assert_eq(parse(&t, &h, &err), 0, "%s", err.msg);
	cr_expect_eq(h.runs, 2u);
	cr_expect_eq(h.pages, 19u);
	cr_expect_eq(h.digest.byte[5], 9);
	cr_expect_eq(h.run[0].at, t.len);
	cr_expect_eq(h.run[1].first, 40u);
	cr_expect_eq(h.run[1].flags, HOTSET_WRITTEN);
	cr_expect_eq(h.run[1].at, t.len + 18 * host_page_size());
	hotset_fini(&h);
	free(t.head);
}

/* All that is not padding is under the digest. */
Test(hotset, no_byte_of_its_head_can_change)
{
	struct mote_err err;
	struct hotset h;
	struct text t;

	format(&t);
	for (uint64_t i = 0; i < 72 + 2 * 17 + 16; i++) {
		t.head[i] ^= 0x10;
		cr_expect_lt(parse(&t, &h, &err), 0, "byte %llu",
			     (unsigned long long)i);
		cr_expect_eq(err_exit_code(&err), 65);
		cr_expect_null(h.run);
		t.head[i] ^= 0x10;
	}
	cr_assert_eq(parse(&t, &h, &err), 0, "%s", err.msg);
	hotset_fini(&h);
	free(t.head);
}

Test(hotset, a_length_that_does_not_fit_is_refused)
{
	struct mote_err err;
	struct hotset h;
	struct text t;

	format(&t);
	t.size++;
	cr_expect_eq(parse(&t, &h, &err), -EBADMSG);
	t.size--;
	for (uint64_t len = 0; len < t.len; len++) {
		struct text cut = t;

		cut.len = len;
		cr_expect_eq(parse(&cut, &h, &err), -EBADMSG);
	}
	free(t.head);
}

Test(hotset, one_of_another_snapshot_or_machine_is_refused)
{
	static const struct snap_digest other = {{1, 2, 4}};
	struct mote_err err = {0};
	struct hotset h;
	struct text t;

	format(&t);
	cr_expect_eq(
		hotset_parse(&h, t.head, t.len, t.size, &other, TOTAL, &err),
		-ESTALE);
	cr_expect_str_eq(err.msg, "hotset: it is of another snapshot");
	cr_expect_eq(hotset_parse(&h, t.head, t.len, t.size, &of, 40, &err),
		     -EBADMSG);
	cr_expect_eq(hotset_parse(&h, t.head, t.len, t.size, &of, 41, &err), 0);
	hotset_fini(&h);
	free(t.head);
}

Test(hotset, more_than_it_is_good_for_is_no_hot_set)
{
	uint64_t total = 2 * HOTSET_PAGES_MAX;
	uint64_t *bits = calloc(total / 64, sizeof(*bits));
	struct mote_err err = {0};
	struct hotset h;

	cr_assert_not_null(bits);
	for (uint64_t i = 0; i < HOTSET_PAGES_MAX; i++)
		bitmap_set(bits, i);
	cr_expect_eq(hotset_make(&h, bits, bits, total, &err), 0);
	hotset_fini(&h);
	bitmap_set(bits, total - 1);
	cr_expect_eq(hotset_make(&h, bits, bits, total, &err), -E2BIG);
	cr_expect_not_null(strstr(err.msg, "16385 pages were touched"), "%s",
			   err.msg);
	cr_expect_null(h.run);
	free(bits);
}

Test(hotset, its_pages_have_a_digest)
{
	uint64_t page = host_page_size();
	struct mote_err err = {0};
	struct hotset h;
	char *data;
	FILE *f = tmpfile();

	cr_assert_not_null(f);
	make(&h);
	data = calloc(h.pages, page);
	cr_assert_not_null(data);
	memset(data + page, 7, page);
	h.digest = snap_digest(data, h.pages * page);
	cr_assert_eq(fd_pwrite_full(fileno(f), data, h.pages * page, page), 0);
	cr_expect_eq(hotset_verify(&h, fileno(f), &err), 0, "%s", err.msg);
	cr_assert_eq(fd_pwrite_full(fileno(f), "x", 1, 3 * page), 0);
	cr_expect_eq(hotset_verify(&h, fileno(f), &err), -EBADMSG);
	free(data);
	hotset_fini(&h);
	fclose(f);
}
