/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/linux_guest.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/command.h"

#define WORDS_MAX 24

void linux_need(const char *kernel)
{
	if (access(kernel, R_OK) < 0)
		cr_skip_test("%s: %s", kernel, strerror(errno));
}

long linux_number(const char *out, const char *words)
{
	const char *at = strstr(out, words);

	return at ? strtol(at + strlen(words), NULL, 10) : -1;
}

const char *linux_run(const char *const words[], int *status)
{
	const char *bin = getenv("MOTE_BIN");
	const char *argv[WORDS_MAX + 2] = {bin ? bin : "build/mote"};
	static char out[262144];
	size_t n = 0;
	int fd[2], c;
	pid_t pid;
	FILE *p;

	for (int i = 0; words[i] && i < WORDS_MAX; i++)
		argv[i + 1] = words[i];
	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(fd[1]);
	p = fdopen(fd[0], "r");
	cr_assert_not_null(p);
	/* Shown as it comes: a boot that hangs tells how far it came. */
	while ((c = fgetc(p)) != EOF) {
		putchar(c);
		if (c == '\n')
			fflush(stdout);
		if (n + 1 < sizeof(out))
			out[n++] = (char)c;
	}
	out[n] = 0;
	fclose(p);
	cr_assert_eq(waitpid(pid, status, 0), pid);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
	return out;
}

void linux_expect(const char *out, int cpus)
{
	char online[32];

	snprintf(online, sizeof(online), cpus > 1 ? "online 0-%d" : "online %d",
		 cpus - 1);
	cr_expect_eq(linux_number(out, "guest: cpus "), cpus);
	cr_expect_not_null(strstr(out, online), "%s", online);
	cr_expect_geq(linux_number(out, "guest: memory "), 150);
	cr_expect_leq(linux_number(out, "guest: memory "), 256);
	cr_expect_geq(linux_number(out, "guest: year "), 2024);
	cr_expect_eq(linux_number(out, "guest: worker "), 500);
	cr_expect_null(strstr(out, "guest: FAILED"));
	cr_expect_not_null(strstr(out, "guest: done"));
}

#define COMMON                                                                 \
	"--set", "vm.kernel=" LINUX_KERNEL, "--set",                           \
		"vm.initrd=" LINUX_INITRD, "--set", "vm.memory=256M", "--set"

void linux_echo(const char *cmdline)
{
	int in[2], out[2];
	const char *bin = getenv("MOTE_BIN");
	char text[65536];
	size_t n = 0;
	bool typed = false;
	int status, c;
	pid_t pid;
	FILE *p;

	cr_assert(pipe(in) == 0 && pipe(out) == 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(in[1]);
		close(out[0]);
		execl(bin ? bin : "build/mote", "mote", "run", COMMON, cmdline,
		      (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p = fdopen(out[0], "r");
	cr_assert_not_null(p);
	while ((c = fgetc(p)) != EOF) {
		putchar(c);
		if (n + 1 < sizeof(text))
			text[n++] = (char)c;
		text[n] = 0;
		if (!typed && strstr(text, "guest: say something")) {
			typed = true;
			cr_assert_eq(write(in[1], "typed by hand\n", 14), 14);
		}
	}
	fclose(p);
	close(in[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_expect(typed);
	cr_expect_not_null(strstr(text, "guest: heard typed by hand"));
}

/* What a line "tick N year ... generations G" says of the last tick. */
static long generations(const char *out)
{
	const char *last = strstr(out, "guest: tick 15 ");

	return last ? linux_number(last, "generations ") : -1;
}

static void check_went_on(const char *out)
{
	cr_expect_not_null(strstr(out, "guest: tick 15"), "%s", out);
	cr_expect_not_null(strstr(out, "guest: done"), "%s", out);
	cr_expect_null(strstr(out, "WRONG"), "%s", out);
}

static char *disk(const char *name, const char *key, uint64_t size)
{
	cleanup_free char *path = command_path(name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *word = NULL;

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, "first one", 9), 9);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	cr_assert_geq(asprintf(&word, "%s=%s", key, path), 0);
	return word;
}

void linux_virtio(const char *cmdline)
{
	cleanup_free char *data = disk("data", "disk.data.path", 8 << 20);
	cleanup_free char *ro = disk("ro", "disk.ro.path", 1 << 20);
	cleanup_free char *path = command_path("data");
	const char *out;
	char begin[9];
	int status, fd;

	out = linux_run(WORDS("run", COMMON, cmdline, "--set", data, "--set",
			      ro, "--set", "disk.ro.readonly=yes", "--set",
			      "rng.enable=yes", "--set", "vm.vcpus=2"),
			&status);
	cr_expect_eq(status, 0, "%d", status);
	cr_expect_eq(linux_number(out, "guest: virtio "), 3);
	cr_expect_eq(linux_number(out, "guest: writable "), 16384);
	cr_expect_not_null(strstr(out, "id data flush write back"));
	cr_expect_not_null(strstr(out, "guest: disk written and read"));
	cr_expect_not_null(strstr(out, "guest: read-only 2048 first one"));
	cr_expect_not_null(strstr(out, "guest: rng virtio_rng"));
	cr_expect_eq(linux_number(out, "guest: random bytes "), 4000);
	cr_expect_null(strstr(out, "WRONG"));
	cr_expect_null(strstr(out, "guest: FAILED"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(read(fd, begin, sizeof(begin)), (ssize_t)sizeof(begin));
	cr_expect_arr_eq(begin, "1\n2\n3\n4\n5", sizeof(begin));
	close(fd);
}

/* A file of so many bytes that differ; its MD5 sum as md5sum says it. */
static void make_disk(const char *path, size_t size, char sum[33])
{
	char command[256];
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	for (size_t i = 0; i < size / 8; i++) {
		uint64_t word = (i + size) * UINT64_C(0x9e3779b97f4a7c15);

		cr_assert_eq(fwrite(&word, sizeof(word), 1, f), 1);
	}
	cr_assert_eq(fclose(f), 0);
	snprintf(command, sizeof(command), "md5sum <%s", path);
	f = popen(command, "r");
	cr_assert_not_null(f);
	cr_assert_eq(fread(sum, 32, 1, f), 1);
	sum[32] = 0;
	pclose(f);
}

/* As command_wait_for, but as long as a boot takes in a busy lab. */
static void wait_for(const char *path, const char *text)
{
	for (int i = 0; i < 500; i++) {
		if (strstr(command_text(path), text))
			return;
		sleep(1);
	}
	cr_assert_fail("no \"%s\" in: %s", text, command_text(path));
}

void linux_snapshot(const char *cmdline)
{
	char *out = command_path("out"), *sock = command_path("sock"),
	     *snap = command_path("snap"), *said = command_path("said"),
	     *disk = command_path("disk"), *control, *set;
	char sum[33];
	pid_t pid;

	make_disk(disk, 1 << 20, sum);
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	cr_assert_geq(asprintf(&set, "disk.a.path=%s", disk), 0);
	pid = command_start(out,
			    WORDS("run", COMMON, cmdline, "--set", "vm.vcpus=2",
				  "--set", control, "--set", set));
	wait_for(out, "guest: tick 3");
	cr_assert_eq(command_run(said, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(said));
	wait_for(out, "guest: done");
	cr_assert_eq(command_finish(pid), 0, "%s", command_text(out));
	check_went_on(command_text(out));
	cr_expect_eq(generations(command_text(out)), 0, "%s",
		     command_text(out));
	for (int i = 0; i < 2; i++) {
		char name[16], *again;
		const char *text;

		snprintf(name, sizeof(name), "again%d", i);
		again = command_path(name);
		pid = command_start(again,
				    WORDS("restore", snap, "--set", set));
		wait_for(again, "guest: done");
		cr_expect_eq(command_finish(pid), 0, "%s", command_text(again));
		text = command_text(again);
		fputs(text, stdout);
		check_went_on(text);
		/* Where the kernel has the driver: once. */
		if (LINUX_TELLS_CLONES)
			cr_expect_eq(generations(text), 1, "%s", text);
		free(again);
	}
	free(control);
	free(out);
	free(sock);
	free(snap);
	free(said);
	free(disk);
	free(set);
}

static bool has_copy(const char *path)
{
	static char a[262144], b[262144];
	FILE *f = fopen(path, "r");
	bool same;

	cr_assert_not_null(f);
	same = fread(a, sizeof(a), 1, f) == 1 &&
	       fseek(f, 1 << 20, SEEK_SET) == 0 &&
	       fread(b, sizeof(b), 1, f) == 1 && !memcmp(a, b, sizeof(a));
	fclose(f);
	return same;
}

void linux_devices(const char *cmdline)
{
	char *rw = command_path("rw"), *ro = command_path("ro"), *set_rw,
	     *set_ro, line[128], sum_rw[33], sum_ro[33];
	const char *out, *sent, *back;
	int status;

	make_disk(rw, 4 << 20, sum_rw);
	make_disk(ro, 1 << 20, sum_ro);
	cr_assert_geq(asprintf(&set_rw, "disk.a.path=%s", rw), 0);
	cr_assert_geq(asprintf(&set_ro, "disk.b.path=%s", ro), 0);
	cr_assert_eq(system("busybox tunctl -t mote0 >/dev/null && "
			    "busybox ifconfig mote0 10.77.0.1 netmask "
			    "255.255.255.0 up && "
			    "(busybox nc -l -p 7777 -e busybox cat &)"),
		     0);
	out = linux_run(WORDS("run", COMMON, cmdline, "--set", "vm.vcpus=2",
			      "--set", set_rw, "--set", set_ro, "--set",
			      "disk.b.readonly=yes", "--set", "net.n.tap=mote0",
			      "--set", "rng.enable=yes"),
			&status);
	cr_expect_eq(status, 0, "%d", status);
	linux_expect(out, 2);
	cr_expect_eq(linux_number(out, "guest: virtio "), 4);
	snprintf(line, sizeof(line),
		 "guest: block vda sectors 8192 readonly 0 sum %s", sum_rw);
	cr_expect_not_null(strstr(out, line), "%s", line);
	snprintf(line, sizeof(line),
		 "guest: block vdb sectors 2048 readonly 1 sum %s", sum_ro);
	cr_expect_not_null(strstr(out, line), "%s", line);
	cr_expect_not_null(strstr(out, "guest: block copied"));
	cr_expect(has_copy(rw), "what it wrote is in the file");
	cr_expect_eq(linux_number(out, "guest: entropy "), 64);
	cr_expect_not_null(strstr(out, "3 packets transmitted, 3 packets "
				       "received"));
	sent = strstr(out, "guest: sent ");
	back = strstr(out, "guest: back ");
	cr_expect(sent && back && !memcmp(sent + 12, back + 12, 32),
		  "TCP, there and back");
	cr_expect_eq(system("busybox tunctl -d mote0 >/dev/null"), 0);
	free(set_rw);
	free(set_ro);
	free(rw);
	free(ro);
}
