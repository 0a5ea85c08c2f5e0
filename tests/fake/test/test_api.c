/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api.c - what mote_vm_poll waits for: a console whose reader is slow
 * gets the rest when the reader is back, also after the guest's end; one
 * whose reader comes later gets what was kept.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "base/fd.h"
#include "base/guest_abi.h"
#include "fake/elfimg.h"
#include "fake/fake_kvm.h"
#include "mote.h"
#include "snapshot/manifest.h"

static struct mote_config *cfg;
static struct mote_vm *vm;
static int console[2];
static size_t filled;

static struct fake_exit out(uint16_t port, uint8_t size, uint8_t value)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_IO, .data = {value}};

	e.run.io.direction = KVM_EXIT_IO_OUT;
	e.run.io.port = port;
	e.run.io.size = size;
	e.run.io.count = 1;
	return e;
}

/* A guest that says "x\n" and, with end, ends. */
static void start(bool end, const char *type, int out_fd)
{
	static struct fake_exit e[3];
	struct mote_err err = {0};
	struct elfimg img;
	int kernel;
	struct mote_vm_options opt = {
		.size = sizeof(opt),
		.kvm_fd = -1,
		.console_in_fd = -1,
	};

	fake_kvm_reset();
	e[0] = out(LAYOUT_SERIAL_PORT, 1, 'x');
	e[1] = out(LAYOUT_SERIAL_PORT, 1, '\n');
	e[2] = out(LAYOUT_EVENT_PORT + MOTE_REG_EXIT, 4, 9);
	fake_kvm_script(e, end ? 3 : 2);
	elfimg_init(&img);
	kernel = elfimg_fd(&img, sizeof(img));
	cfg = mote_config_new();
	cr_assert_not_null(cfg);
	cr_assert_eq(mote_config_set(cfg, "test", "vm.memory=4M", NULL), 0);
	cr_assert_eq(mote_config_set(cfg, "test", type, NULL), 0);
	cr_assert_eq(
		mote_config_set(cfg, "test", "vm.core=/of/the/saver", NULL), 0);
	opt.config = cfg;
	opt.kernel_fd = kernel;
	opt.console_out_fd = out_fd;
	cr_assert_eq(mote_vm_create(&opt, &vm, &err), 0, "%s", err.msg);
	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	fd_close(kernel);
}

/* Nobody reads and the pipe is full. */
static void start_blocked(bool end)
{
	static const char page[4096] = "fill";
	ssize_t n;

	cr_assert_eq(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	while ((n = write(console[1], page, sizeof(page))) > 0)
		filled += (size_t)n;
	start(end, "console.type=stdio", console[1]);
}

/* One turn of an embedder's loop; false: nothing came in that time. */
static bool turn(int limit_ms)
{
	struct pollfd fds[MOTE_VM_POLL_MAX];
	int timeout, n = mote_vm_poll(vm, fds, &timeout);

	if (timeout < 0 || timeout > limit_ms)
		timeout = limit_ms;
	if (poll(fds, (nfds_t)n, timeout) == 0 && timeout == limit_ms)
		return false;
	mote_vm_dispatch(vm, fds, n);
	return true;
}

static struct mote_status status(void)
{
	struct mote_status st;

	mote_vm_status(vm, &st, NULL);
	return st;
}

static void drain(char *last, size_t want)
{
	char buf[4096];
	size_t got = 0;

	for (int i = 0; got < filled + want && i < 2000; i++) {
		ssize_t n = read(console[0], buf, sizeof(buf));

		if (n > 0) {
			got += (size_t)n;
			memcpy(last, buf + n - (n > 1 ? 2 : 1), 2);
		} else {
			turn(10);
		}
	}
	cr_expect_eq(got, filled + want);
}

static void finish(void)
{
	mote_vm_destroy(vm);
	mote_config_free(cfg);
	fd_close(console[0]);
	fd_clear(&console[1]);
}

Test(api, a_slow_reader_gets_the_rest_after_the_end, .timeout = 60)
{
	char last[3] = "";

	start_blocked(true);
	for (int i = 0; i < 100 && status().state != MOTE_ENDED; i++)
		turn(100);
	cr_assert_eq(status().state, MOTE_ENDED);
	while (turn(50))
		; /* nothing moves until somebody reads */
	cr_expect_eq(status().console_pending, 2u);
	drain(last, 2);
	cr_expect_str_eq(last, "x\n");
	cr_expect_eq(status().console_pending, 0u);
	finish();
}

Test(api, a_slow_reader_gets_the_rest_from_a_silent_guest, .timeout = 60)
{
	char last[3] = "";

	start_blocked(false);
	while (turn(200))
		;
	cr_expect_eq(status().state, MOTE_RUNNING);
	cr_expect_eq(status().console_pending, 2u);
	drain(last, 2);
	cr_expect_str_eq(last, "x\n");
	finish();
}

Test(api, a_full_console_does_not_spin)
{
	int turns = 0;

	start_blocked(false);
	while (turn(200) && turns < 1000)
		turns++;
	cr_expect_lt(turns, 100, "it turns and turns");
	finish();
}

Test(api, a_reader_that_comes_later_gets_what_was_kept, .timeout = 60)
{
	char buf[8] = "";

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	start(false, "console.type=socket", -1);
	while (turn(200))
		;
	cr_expect_not(status().console_attached);
	cr_expect_eq(status().console_pending, 0u, "nobody to wait for");
	cr_expect_eq(read(console[0], buf, sizeof(buf)), -1);

	cr_assert_eq(mote_vm_console_attach(vm, -1, console[1]), 0);
	cr_expect(status().console_attached);
	cr_expect_eq(read(console[0], buf, sizeof(buf)), 2);
	cr_expect_str_eq(buf, "x\n");
	cr_assert_eq(mote_vm_console_attach(vm, -1, -1), 0);
	cr_expect_not(status().console_attached);
	finish();
}

Test(api, a_failed_write_means_that_nobody_reads, .timeout = 60)
{
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	start(false, "console.type=pty", -1);
	while (turn(200))
		;
	fd_clear(&console[0]);
	cr_assert_eq(mote_vm_console_attach(vm, -1, console[1]), 0);
	cr_expect_not(status().console_attached);
	console[0] = dup(0);
	finish();
}

Test(api, an_end_does_not_wait_for_who_is_not_there, .timeout = 60)
{
	cr_assert_eq(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	start(true, "console.type=pty", -1);
	for (int i = 0; i < 100 && status().state != MOTE_ENDED; i++)
		turn(100);
	cr_expect_eq(status().state, MOTE_ENDED);
	cr_expect_eq(status().exit_code, 9);
	cr_expect_eq(status().console_pending, 0u);
	finish();
}

static int open_in(const char *dir, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	return fd;
}

/* As if the saved machine had had devices. */
static void name_resources(int fd)
{
	static const char more[] = "[disk.d]\npath = /of/the/saver\n"
				   "readonly = yes\n"
				   "[net.n]\ntap = saver0\n"
				   "mac = 02:00:00:00:00:01\n"
				   "[net.m]\nfd = 77\n";
	size_t size = (size_t)fd_size(fd);
	char *old = calloc(1, size + 1), *config;
	struct manifest m = {0};
	struct mote_err err = {0};

	cr_assert_not_null(old);
	cr_assert_eq(fd_pread_full(fd, old, size, 0), 0);
	cr_assert_eq(manifest_parse(&m, old, size, &err), 0, "%s", err.msg);
	free(old);
	config = calloc(1, m.config_length + sizeof(more));
	cr_assert_not_null(config);
	memcpy(config, m.config, m.config_length);
	memcpy(config + m.config_length, more, sizeof(more));
	free(m.config);
	m.config = config;
	m.config_length += strlen(more);
	old = manifest_format(&m, &size);
	cr_assert_not_null(old);
	cr_assert_eq(fd_pwrite_full(fd, old, size, 0), 0);
	free(old);
	manifest_fini(&m);
}

Test(api, a_snapshot_names_no_resource_of_who_restores_it, .timeout = 60)
{
	char dir[] = "/tmp/mote-api-XXXXXX";
	struct mote_config *saved = mote_config_new();
	struct mote_snapshot *snap = NULL;
	struct mote_snapshot_files files;
	struct mote_err err = {0};
	char *text;

	cr_assert_not_null(mkdtemp(dir));
	files = (struct mote_snapshot_files){open_in(dir, "manifest"),
					     open_in(dir, "state"),
					     open_in(dir, "memory")};
	cr_assert_eq(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	start(false, "console.type=null", -1);
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
	cr_assert_eq(mote_vm_snapshot(vm, &files, NULL, &err), 0, "%s",
		     err.msg);
	name_resources(files.manifest_fd);
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, dir, &snap, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(mote_snapshot_config(snap, saved, &err), 0, "%s", err.msg);

	text = mote_config_describe(saved);
	cr_expect_not_null(strstr(text, "[disk.d]\ntype = file\n"
					"readonly = yes\n"),
			   "%s", text);
	cr_expect_not_null(strstr(text, "[net.n]\nmac = 02:00:00:00:00:01\n"),
			   "%s", text);
	cr_expect_not_null(strstr(text, "[net.m]\n"), "%s", text);
	cr_expect_null(strstr(text, "saver"), "%s", text);
	cr_expect_null(strstr(text, "77"), "%s", text);
	free(text);
	mote_snapshot_close(snap);
	mote_config_free(saved);
	fd_close(files.manifest_fd);
	fd_close(files.state_fd);
	fd_close(files.memory_fd);
	for (int i = 0; i < 3; i++) {
		static const char *const name[] = {"manifest", "state",
						   "memory"};
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		unlink(path);
	}
	rmdir(dir);
	finish();
}
