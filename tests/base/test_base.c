/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/guest_abi.h"
#include "base/map.h"
#include "base/num.h"
#include "base/ref.h"

Test(err, wrap_puts_the_context_in_front)
{
	struct mote_err err = {0};

	cr_assert_eq(err_set(&err, EACCES, "open /a.img"), -EACCES);
	cr_assert_eq(err_wrap(&err, -EACCES, "disk%d", 0), -EACCES);
	cr_assert_str_eq(err.msg, "disk0: open /a.img");
	cr_assert_eq(err_exit_code(&err), 77);
}

Test(err, long_context_never_costs_the_cause)
{
	struct mote_err err = {0};
	char *end;

	err_set(&err, EIO, "the cause");
	for (int i = 0; i < 100; i++)
		err_wrap(&err, -EIO, "context number %d is a long one", i);
	end = err.msg + strlen(err.msg) - strlen("the cause");
	cr_assert_str_eq(end, "the cause");
	cr_assert_lt(strlen(err.msg), sizeof(err.msg));
}

Test(err, no_struct_is_fine)
{
	cr_assert_eq(err_set(NULL, ENOMEM, "x"), -ENOMEM);
	cr_assert_eq(err_wrap(NULL, -ENOMEM, "x"), -ENOMEM);
}

Test(num, arithmetic_says_when_it_overflows)
{
	uint64_t v;

	cr_assert(num_add(1, 2, &v) && v == 3);
	cr_assert_not(num_add(UINT64_MAX, 1, &v));
	cr_assert_not(num_mul(UINT64_MAX, 2, &v));
	cr_assert(num_round_up(4097, 4096, &v) && v == 8192);
	cr_assert_not(num_round_up(UINT64_MAX, 4096, &v));
}

Test(num, within_is_right_at_the_edges)
{
	cr_assert(num_within(0, 0, 0));
	cr_assert(num_within(10, 0, 10));
	cr_assert(num_within(0, 10, 10));
	cr_assert_not(num_within(1, 10, 10));
	cr_assert_not(num_within(11, 0, 10));
	cr_assert_not(num_within(UINT64_MAX, 2, 10));
	cr_assert_not(num_within(5, UINT64_MAX, 10));
}

Test(ref, get_fails_at_zero)
{
	struct ref r;

	ref_init(&r);
	cr_assert(ref_get(&r));
	cr_assert_not(ref_put(&r));
	cr_assert(ref_put(&r), "the last put says so");
	cr_assert_not(ref_get(&r));
}

Test(bitmap, counts_and_merges)
{
	uint64_t a[3] = {0}, b[3] = {0};

	bitmap_set(a, 0);
	bitmap_set(a, 64);
	bitmap_set_atomic(b, 130);
	bitmap_or(a, b, 192);
	cr_assert_eq(bitmap_count(a, 192), 3);
	cr_assert(bitmap_test(a, 130));
	bitmap_clear(a, 64);
	cr_assert_not(bitmap_test(a, 64));
}

Test(map, aligned_and_counted)
{
	struct map m = {0};
	int live = map_live();

	cr_assert_eq(map_anon(&m, 3 * MIB, 2 * MIB, NULL), 0);
	cr_assert_eq((uintptr_t)m.addr % (2 * MIB), 0);
	cr_assert_eq(map_live(), live + 1);
	memset(m.addr, 1, m.size);
	map_fini(&m);
	map_fini(&m);
	cr_assert_eq(map_live(), live);
}

Test(map, a_private_file_is_never_written)
{
	char path[] = "/tmp/mote-test-XXXXXX";
	int fd = mkstemp(path);
	size_t page = host_page_size();
	struct map m = {0};
	char c = 'x';

	unlink(path);
	cr_assert_eq(ftruncate(fd, (off_t)(2 * page)), 0);
	cr_assert_eq(fd_pwrite_full(fd, &c, 1, page), 0);
	cr_assert_eq(map_file_private(&m, fd, page, page, 2 * MIB, NULL), 0);
	cr_assert_eq(*(char *)m.addr, 'x');
	*(char *)m.addr = 'y';
	cr_assert_eq(fd_pread_full(fd, &c, 1, page), 0);
	cr_assert_eq(c, 'x');
	map_fini(&m);
	close(fd);
}

Test(fd, only_regular_files_are_opened)
{
	char dir[] = "/tmp/mote-test-XXXXXX";
	struct mote_err err = {0};
	char path[64];
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_lt(fd_open_regular(AT_FDCWD, dir, false, &err), 0);
	cr_assert_not_null(strstr(err.msg, "a directory"), "%s", err.msg);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_assert_lt(fd_open_regular(AT_FDCWD, path, false, &err), 0);
	cr_assert_not_null(strstr(err.msg, "a fifo"), "%s", err.msg);
	unlink(path);
	cr_assert_lt(fd_open_regular(AT_FDCWD, "/dev/null", false, &err), 0);
	cr_assert_not_null(strstr(err.msg, "a character device"), "%s",
			   err.msg);
	cr_assert_eq(fd_open_regular(AT_FDCWD, path, false, &err), -ENOENT);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	fd = fd_open_regular(AT_FDCWD, path, true, &err);
	cr_assert_geq(fd, 0);
	close(fd);
	unlink(path);
	rmdir(dir);
}

Test(fd, descriptors_travel_and_the_surplus_is_closed)
{
	int pair[2], got[1] = {-1}, pass[3], n = 0;
	char c = 'm', back = 0;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (int i = 0; i < 3; i++)
		pass[i] = open("/dev/null", O_RDONLY);
	cr_assert_eq(fd_send_msg(pair[0], &c, 1, pass, 3), 0);
	cr_assert_eq(fd_recv_msg(pair[1], &back, 1, got, 1, &n), 1);
	cr_assert_eq(n, 1);
	cr_assert_eq(back, 'm');
	cr_assert(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(fcntl(got[0] + 1, F_GETFD), -1, "the surplus leaked");
}

Test(event, posts_are_taken_once)
{
	struct event_queue q;

	cr_assert_eq(event_init(&q, NULL), 0);
	event_post(&q, EVENT_READY);
	event_post(&q, EVENT_READY | EVENT_LINE);
	cr_assert_eq(event_take(&q), (unsigned int)(EVENT_READY | EVENT_LINE));
	cr_assert_eq(event_take(&q), 0u);
	event_fini(&q);
}

Test(event, the_first_end_counts)
{
	struct event_queue q;

	cr_assert_eq(event_init(&q, NULL), 0);
	event_end(&q, EVENT_EXIT, 7);
	event_end(&q, EVENT_CRASH, 0);
	cr_assert_eq(event_take(&q), (unsigned int)EVENT_EXIT);
	cr_assert_eq(atomic_load(&q.exit_code), 7);
	event_fini(&q);
}

Test(guest_abi, the_layout_is_the_documented_one)
{
	cr_assert_eq(offsetof(struct mote_boot, vcpus), 0x0c);
	cr_assert_eq(offsetof(struct mote_boot, generation), 0x10);
	cr_assert_eq(offsetof(struct mote_boot, event_base), 0x28);
	cr_assert_eq(offsetof(struct mote_boot, console_type), 0x38);
	cr_assert_eq(offsetof(struct mote_boot, ram), 0x40);
	cr_assert_eq(offsetof(struct mote_boot, events), 0xc0);
	cr_assert_leq(sizeof(struct mote_boot), MOTE_CMDLINE_OFFSET);
	cr_assert_eq(MOTE_CMDLINE_OFFSET + MOTE_CMDLINE_SIZE, 4096);
	cr_assert_eq(offsetof(struct mote_generation, seed), 0x18);
	cr_assert_eq(offsetof(struct mote_generation, wall_clock_ns), 0x40);
}
