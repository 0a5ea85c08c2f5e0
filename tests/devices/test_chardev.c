/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/fd.h"
#include "devices/chardev.h"
#include "snapshot/stream.h"

static struct event_queue events;
static struct chardev c;
static atomic_bool pace;
static int in[2], out[2];

static void start(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the tools do */
	cr_assert_eq(event_init(&events, NULL), 0);
	cr_assert_eq(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(chardev_init(&c, in[0], out[1], &events, &pace, NULL), 0);
}

static void end(void)
{
	chardev_fini(&c);
	event_fini(&events);
}

TestSuite(chardev, .init = start, .fini = end);

/* Byte i of a stream in which neighbours differ. */
static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static size_t put(size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		chardev_put(&c, pattern(from + i));
	return from + n;
}

/* Read what is in the pipe and compare; how far the stream has come. */
static size_t take(size_t from)
{
	static uint8_t buf[CHARDEV_OUT];
	ssize_t n;

	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			cr_assert_eq(buf[i], pattern(from++));
	return from;
}

static void save(struct snap_writer *w)
{
	snap_writer_init(w);
	snap_section_begin(w, "console", 0, 1, SNAP_REQUIRED);
	chardev_save(&c, w);
	snap_section_end(w);
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
}

/* As snapshot.c loads it. */
static int load(const struct snap_writer *w)
{
	struct snap_reader *r = malloc(sizeof(*r));
	struct snap_section s;
	int ret;

	cr_assert_not_null(r);
	cr_assert_eq(snap_reader_init(r, w->buf, w->len, NULL), 0);
	cr_assert_eq(snap_section_open(r, "console", 0, &s, NULL), 0);
	ret = chardev_load(&c, &s);
	if (ret == 0)
		ret = snap_section_close(&s, NULL);
	free(r);
	return ret;
}

Test(chardev, the_ring_wraps_and_loses_nothing)
{
	size_t wrote = 0, got = 0;

	for (int i = 0; i < 40; i++) {
		wrote = put(wrote, 5000);
		cr_assert_not(chardev_flush(&c, false));
		got = take(got);
	}
	cr_expect_eq(got, wrote);
	cr_expect_eq(c.dropped, 0u);
}

Test(chardev, a_full_pipe_keeps_the_rest_for_later)
{
	size_t wrote = 0, got = 0;

	while (!chardev_flush(&c, false))
		wrote = put(wrote, 4096);
	cr_expect_gt(c.out_len, 0u);
	got = take(got);
	while (chardev_flush(&c, false))
		got = take(got);
	cr_expect_eq(take(got), wrote);
}

Test(chardev, what_does_not_fit_is_dropped_and_counted)
{
	put(0, CHARDEV_OUT);
	cr_expect_not(chardev_has_room(&c));
	cr_expect_eq(c.dropped, 0u);
	put(CHARDEV_OUT, 77);
	cr_expect_eq(c.dropped, 77u);
	cr_expect_eq(c.out_len, CHARDEV_OUT);
	chardev_flush(&c, false);
	cr_expect(chardev_has_room(&c));
	cr_expect_neq(take(0), 0u, "the first bytes are the ones kept");
}

Test(chardev, three_quarters_ask_for_a_slower_guest)
{
	size_t wrote = put(0, CHARDEV_OUT / 4 * 3 - 1), got;

	cr_expect_not(atomic_load(&pace));
	put(wrote, 1);
	cr_expect(atomic_load(&pace));
	got = 0;
	while (chardev_flush(&c, false))
		got = take(got);
	cr_expect_not(atomic_load(&pace), "the reader has caught up");
}

Test(chardev, a_line_wakes_at_once_and_a_byte_in_a_moment)
{
	chardev_put(&c, 'a');
	cr_expect_eq(event_take(&events), (unsigned int)EVENT_CONSOLE);
	chardev_put(&c, 'b');
	cr_expect_eq(event_take(&events), 0u);
	chardev_put(&c, '\n');
	cr_expect_eq(event_take(&events),
		     (unsigned int)(EVENT_CONSOLE | EVENT_LINE));
}

Test(chardev, a_reader_that_left_does_not_hold_the_guest_up)
{
	fd_clear(&out[0]);
	put(0, CHARDEV_OUT);
	cr_expect(atomic_load(&pace));
	cr_expect_not(chardev_flush(&c, false));
	cr_expect(c.out_failed);
	cr_expect_eq(c.out_len, 0u);
	cr_expect_not(atomic_load(&pace));
	put(0, 10);
	cr_expect_not(chardev_flush(&c, true), "it does not wait either");
	cr_expect_eq(c.out_len, 0u);
}

Test(chardev, without_an_output_bytes_vanish)
{
	c.out_fd = -1;
	put(0, 100);
	cr_expect_eq(c.out_len, 0u);
	cr_expect_eq(c.dropped, 0u);
	cr_expect_not(chardev_flush(&c, true));
	cr_expect_eq(event_take(&events), 0u);
}

Test(chardev, without_a_reader_the_last_bytes_are_kept)
{
	size_t n = 3 * CHARDEV_OUT + 777;
	uint64_t dropped, pending;

	chardev_attach(&c, -1, -1);
	put(0, n);
	cr_expect_not(atomic_load(&pace), "nobody to wait for");
	cr_expect(chardev_has_room(&c), "a guest that polls would hang");
	cr_expect_eq(event_take(&events), 0u, "nothing to do for anybody");
	cr_expect_not(chardev_flush(&c, true), "it does not wait either");
	chardev_counts(&c, &dropped, &pending);
	cr_expect_eq(dropped, n - CHARDEV_OUT);
	cr_expect_eq(pending, 0u, "an end would wait for nobody");

	chardev_attach(&c, in[0], out[1]);
	chardev_counts(&c, &dropped, &pending);
	cr_expect_eq(pending, CHARDEV_OUT);
	cr_expect(atomic_load(&pace), "the reader has much to read");
	n -= CHARDEV_OUT;
	while (chardev_flush(&c, false))
		n = take(n);
	cr_expect_eq(take(n), 3 * CHARDEV_OUT + 777u);
	cr_expect_not(atomic_load(&pace));
}

Test(chardev, a_reader_may_leave_and_another_come)
{
	int next[2];
	uint8_t byte;

	chardev_attach(&c, in[0], out[1]);
	put(0, 100);
	cr_expect_not(chardev_flush(&c, false));
	cr_expect_eq(take(0), 100u);
	fd_clear(&out[0]);
	put(100, 50);
	cr_expect_not(chardev_flush(&c, false));
	cr_expect_eq(c.out_fd, -1, "a failed write ends it");
	cr_expect_eq(c.in_fd, -1);
	cr_expect_not(chardev_wants_input(&c));
	put(150, 25);

	cr_assert_eq(pipe2(next, O_CLOEXEC | O_NONBLOCK), 0);
	chardev_attach(&c, in[0], next[1]);
	cr_expect_not(chardev_flush(&c, false));
	out[0] = next[0];
	cr_expect_eq(take(100), 175u, "the 75 bytes that nobody heard");
	cr_expect_eq(c.dropped, 0u);
	cr_assert_eq(fd_write_full(in[1], "x", 1), 0);
	cr_expect(chardev_wants_input(&c));
	cr_expect(chardev_fill(&c));
	cr_expect(chardev_get(&c, &byte));
	cr_expect_eq(byte, (uint8_t)'x', "and he is heard");
}

Test(chardev, what_is_kept_is_saved_and_loaded)
{
	struct snap_writer w;

	chardev_attach(&c, -1, -1);
	put(0, 200);
	save(&w);
	chardev_fini(&c);
	cr_assert_eq(chardev_init(&c, -1, -1, &events, &pace, NULL), 0);
	chardev_attach(&c, -1, -1);
	cr_assert_eq(load(&w), 0);
	chardev_attach(&c, -1, out[1]);
	cr_expect_not(chardev_flush(&c, false));
	cr_expect_eq(take(0), 200u);
	snap_writer_fini(&w);
}

Test(chardev, input_waits_in_its_ring_until_it_is_read)
{
	static uint8_t buf[CHARDEV_IN + 100];
	size_t got = 0;
	uint8_t byte;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	cr_assert_eq(fd_write_full(in[1], buf, sizeof(buf)), 0);
	cr_expect_not(chardev_readable(&c));
	while (chardev_wants_input(&c))
		cr_assert(chardev_fill(&c));
	cr_expect_eq(c.in_len, CHARDEV_IN);
	cr_expect(chardev_fill(&c), "a full ring is not the end");
	for (int turn = 0; turn < 2; turn++) {
		while (chardev_get(&c, &byte))
			cr_assert_eq(byte, pattern(got++));
		cr_expect(chardev_fill(&c));
	}
	cr_expect_eq(got, sizeof(buf));
	fd_clear(&in[1]);
	cr_expect_not(chardev_fill(&c), "the end of the input");
	cr_expect_not(chardev_get(&c, &byte));
}

Test(chardev, both_rings_are_saved_and_what_waits_goes_out)
{
	struct snap_writer w, again;
	uint8_t byte;

	put(0, 60000); /* so that the ring wraps */
	while (chardev_flush(&c, false))
		take(0);
	take(0);
	put(0, 9000);
	cr_assert_eq(fd_write_full(in[1], "abc", 3), 0);
	chardev_fill(&c);
	chardev_get(&c, &byte);
	save(&w);
	chardev_fini(&c);
	event_take(&events);
	cr_assert_eq(chardev_init(&c, in[0], out[1], &events, &pace, NULL), 0);
	cr_assert_eq(load(&w), 0);
	save(&again);
	cr_assert_eq(w.len, again.len);
	cr_expect_arr_eq(w.buf, again.buf, w.len);
	cr_expect_eq(event_take(&events),
		     (unsigned int)(EVENT_CONSOLE | EVENT_LINE),
		     "nobody would write it before the guest does");
	cr_expect_not(chardev_flush(&c, false));
	cr_expect_eq(take(0), 9000u);
	chardev_get(&c, &byte);
	cr_expect_eq(byte, (uint8_t)'b');
	snap_writer_fini(&w);
	snap_writer_fini(&again);
}

Test(chardev, a_ring_that_is_loaded_full_asks_for_a_slower_guest)
{
	struct snap_writer w;

	put(0, CHARDEV_OUT);
	save(&w);
	chardev_fini(&c);
	atomic_store(&pace, false);
	cr_assert_eq(chardev_init(&c, in[0], out[1], &events, &pace, NULL), 0);
	cr_assert_eq(load(&w), 0);
	cr_expect(atomic_load(&pace));
	snap_writer_fini(&w);
}

/* A section around a payload. */
static int load_payload(const uint8_t *payload, size_t len)
{
	struct snap_writer w;
	int ret;

	snap_writer_init(&w);
	snap_section_begin(&w, "console", 0, 1, SNAP_REQUIRED);
	snap_put_bytes(&w, payload, len);
	snap_section_end(&w);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	ret = load(&w);
	snap_writer_fini(&w);
	cr_expect_leq(c.out_len, CHARDEV_OUT);
	cr_expect_leq(c.in_len, CHARDEV_IN);
	return ret;
}

Test(chardev, hostile_state_is_refused_or_valid)
{
	uint8_t p[] = {3, 0, 0, 0, 'a', 'b', 'c', 2, 0, 0, 0, 'd', 'e'};

	cr_expect_eq(load_payload(p, sizeof(p)), 0);
	for (size_t i = 0; i < sizeof(p); i++)
		for (int flip = 1; flip < 256; flip++) {
			bool length = i < 4 || (i >= 7 && i < 11);
			int ret;

			p[i] ^= (uint8_t)flip;
			ret = load_payload(p, sizeof(p));
			cr_expect_eq(ret, length ? -EBADMSG : 0, "%zu ^ %d", i,
				     flip);
			p[i] ^= (uint8_t)flip;
		}
	for (size_t i = 0; i < sizeof(p); i++)
		cr_expect_eq(load_payload(p, i), -EBADMSG, "%zu bytes", i);
}
