/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_misuse.c - clients of the control socket that stall, flood, or hand
 * over the wrong descriptors: the guest goes on, others are answered, and the
 * VM process holds afterwards what it held before.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/command.h"

#define FLOOD	  20000
#define ANSWER_MS 5000
#define FDS_MAX	  8

static const char status[] = "{\"command\":\"status\"}\n";
static char *sock, *out, *said;
static pid_t vm;

static void setup(void)
{
	char *control, *kernel;

	command_setup();
	command_need_kvm();
	sock = command_path("sock");
	out = command_path("out");
	said = command_path("said");
	kernel = command_guest("counter");
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	vm = command_start(out,
			   WORDS("run", "--kernel", kernel, "--memory", "2M",
				 "--set", control, "--", "step_ms=20"));
	command_wait_for(out, "count 3\n");
	free(control);
	free(kernel);
}

static void teardown(void)
{
	if (vm > 0) {
		command_run(said, WORDS("ctl", sock, "stop"));
		cr_expect_eq(command_finish(vm), 0, "%s", command_text(out));
	}
	command_teardown();
}

TestSuite(misuse, .init = setup, .fini = teardown, .timeout = 240);

static int client(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", sock);
	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0,
		     "%s", strerror(errno));
	return fd;
}

/* An answer of at most size bytes, or "" when none comes. */
static void hear(int fd, char *buf, size_t size)
{
	struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	n = recv(fd, buf, size - 1, 0);
	buf[n > 0 ? n : 0] = 0;
}

static void ask(const char *text, const int *fds, int n, char *buf, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 253)];
	} control;
	struct iovec iov = {(char *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = client();

	memset(&control, 0, sizeof(control));
	if (n > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	}
	cr_assert_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)strlen(text));
	if (size > 0)
		hear(fd, buf, size);
	close(fd);
}

/* How many descriptors the launcher and its VM process have. */
static int count_descriptors(void)
{
	char path[96], list[256] = "";
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)vm,
		 (int)vm);
	f = fopen(path, "r");
	if (f && !fgets(list, sizeof(list), f))
		list[0] = 0;
	if (f)
		fclose(f);
	for (int i = 0; i < 2; i++) {
		DIR *d;

		snprintf(path, sizeof(path), "/proc/%ld/fd",
			 i ? strtol(list, NULL, 10) : (long)vm);
		d = opendir(path);
		while (d && readdir(d))
			n++;
		if (d)
			closedir(d);
	}
	return n;
}

/* ... once it stays the same: what a client had is closed after it left. */
static int descriptors(void)
{
	int n = -1, before;

	do {
		before = n;
		usleep(30000);
		n = count_descriptors();
	} while (n != before);
	return n;
}

/* As many as before, once the launcher has closed its own. */
static void expect_held(int held)
{
	for (int i = 0; i < 100 && descriptors() > held; i++)
		usleep(50000);
	cr_expect_leq(descriptors(), held, "%d, %d before", descriptors(),
		      held);
}

static void expect_answers(const char *when)
{
	char buf[4096];

	ask(status, NULL, 0, buf, sizeof(buf));
	cr_expect_not_null(strstr(buf, "\"ok\":true"), "%s: '%s'", when, buf);
}

Test(misuse, a_flood_that_nobody_reads)
{
	int fd = client(), held = descriptors();
	size_t sent = 0;

	for (int i = 0; i < FLOOD; i++) {
		ssize_t n = send(fd, status, sizeof(status) - 1,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		if (n < 0)
			usleep(1000);
		else
			sent++;
	}
	cr_expect_gt(sent, 10);
	expect_answers("during the flood");
	close(fd);
	expect_answers("after it");
	expect_held(held);
}

Test(misuse, clients_that_stall_in_the_middle_of_a_line)
{
	int fd[16], held = descriptors();

	for (int i = 0; i < 16; i++) {
		fd[i] = client();
		cr_expect_eq(send(fd[i], status, 5, MSG_NOSIGNAL), 5);
	}
	expect_answers("while others stall");
	for (int i = 0; i < 16; i++)
		close(fd[i]);
	expect_answers("after them");
	expect_held(held);
}

/* A flood of new clients, each with descriptors that are never asked for. */
Test(misuse, descriptors_that_nobody_wants)
{
	int held = descriptors(), file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int many[253];
	char buf[4096];

	for (int i = 0; i < 253; i++)
		many[i] = file;
	for (int i = 0; i < 300; i++) {
		int n = i % 3 == 0 ? 253 : i % 3 == 1 ? 3 : 1;

		ask(i % 2 ? status : "{\"comm", many, n, buf,
		    i % 2 ? sizeof(buf) : 0);
	}
	expect_answers("after all of them");
	expect_held(held);
	close(file);
}

struct wrong {
	const char *what;
	int fd;
};

/* Each says why, and none of it stays open, or stops the guest. */
static void expect_refused(const char *request, int n, const struct wrong *w,
			   size_t count)
{
	char buf[4096];
	int held = descriptors();

	for (size_t i = 0; i < count; i++) {
		int fds[3] = {w[i].fd, w[i].fd, w[i].fd};

		ask(request, fds, n, buf, sizeof(buf));
		cr_expect_not_null(strstr(buf, "\"ok\":false"), "%s: '%s'",
				   w[i].what, buf);
		cr_expect_not_null(strstr(buf, "\"error\":\""), "%s: '%s'",
				   w[i].what, buf);
		expect_answers(w[i].what);
	}
	expect_held(held);
}

Test(misuse, wrong_descriptors_for_a_snapshot_and_a_fork)
{
	int pipes[2], pair[2];
	char *file = command_path("file");
	struct wrong wrong[FDS_MAX] = {
		{"/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC)},
		{"/dev/full", open("/dev/full", O_RDWR | O_CLOEXEC)},
		{"a file for reading", open("/proc/self/exe", O_RDONLY)},
		{"a path", open("/", O_PATH | O_CLOEXEC)},
		{"a file for writing",
		 open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)},
		{"a pipe's end", -1},
		{"its other end", -1},
		{"a socket", -1},
	};
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct wrong not_for_us[] = {{"a folder of procfs", dir}};

	cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
		     0);
	wrong[5].fd = pipes[0];
	wrong[6].fd = pipes[1];
	wrong[7].fd = pair[0];
	/* "/" as a path is a folder, and root may write there. */
	wrong[3].fd = open("/dev/null", O_PATH | O_CLOEXEC);
	expect_refused("{\"command\":\"snapshot\",\"name\":\"s\"}\n", 1, wrong,
		       FDS_MAX);
	expect_refused("{\"command\":\"snapshot\",\"name\":\"s\"}\n", 1,
		       not_for_us, 1);
	expect_refused("{\"command\":\"snapshot\",\"name\":\"s\"}\n", 0,
		       not_for_us, 1);
	expect_refused("{\"command\":\"fork\"}\n", 3, wrong, FDS_MAX);
	expect_refused("{\"command\":\"fork\"}\n", 2, wrong, FDS_MAX);
	expect_refused("{\"command\":\"fork\"}\n", 3, not_for_us, 1);
	cr_expect_eq(access(file, F_OK), 0);
	free(file);
}

/* One that stops amid a snapshot: it is made or not, and nothing waits. */
Test(misuse, a_client_that_leaves_in_the_middle)
{
	int held = descriptors();
	char name[96];

	for (int i = 0; i < 20; i++) {
		int fd = client();
		int len = snprintf(name, sizeof(name),
				   "{\"command\":\"%s\"}\n{\"command\":\"%s\"",
				   i % 2 ? "pause" : "resume",
				   i % 3 ? "stop" : "snapshot");

		cr_expect_eq(send(fd, name, (size_t)len, MSG_NOSIGNAL), len);
		close(fd);
	}
	expect_answers("after them");
	expect_held(held);
	command_run(said, WORDS("ctl", sock, "resume"));
}
