/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit.c - bench-kit: the whole benchmark in one static file, to be run on
 * hardware that we do not have.
 *
 *   bench-kit [FILE.json]      about a minute; writes bench-kit.json
 *
 * It carries mote, the floor programs and the guests, unpacks them into a
 * folder of its own under TMPDIR, /tmp, /var/tmp or here (the first from
 * which programs may be run), and removes it at the end, also when it is
 * interrupted.  Peers are those on PATH.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define RUNS	   500
#define RUNS_PEERS 100

extern const struct {
	const char *path;
	const char *data, *end;
	long program;
} kit_files[];

static const char ini[] = "[vm]\nkernel = ../guests/noop.elf\n"
			  "memory = 16M\n[sandbox]\nenable = no\n";

/* All that may stand in the folder; what is not there is no matter. */
static void remove_all(const char *dir)
{
	static const char *const more[] = {"bench/noop.ini",
					   "bench/qemu-noop.rom",
					   "bench/kvmtool-noop.bin"};
	static const char *const dirs[] = {"bench", "guests", ""};
	char path[600];

	for (int i = 0; kit_files[i].path; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, kit_files[i].path);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, more[i]);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
		rmdir(path);
	}
}

static bool write_file(const char *dir, const char *name, const char *data,
		       size_t len, mode_t mode)
{
	char path[600];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return false;
	n = write(fd, data, len);
	return close(fd) == 0 && n == (ssize_t)len;
}

static bool unpack(const char *dir)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/bench", dir);
	if (mkdir(path, 0755) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/guests", dir);
	if (mkdir(path, 0755) < 0)
		return false;
	for (int i = 0; kit_files[i].path; i++)
		if (!write_file(dir, kit_files[i].path, kit_files[i].data,
				(size_t)(kit_files[i].end - kit_files[i].data),
				kit_files[i].program ? 0755 : 0644))
			return false;
	return write_file(dir, "bench/noop.ini", ini, sizeof(ini) - 1, 0644);
}

/* Unpacked, and programs run from there: not from a noexec mount. */
static bool unpack_in(const char *parent, char *dir, size_t size)
{
	static const char *const version[] = {"--version", NULL};

	if (!parent ||
	    snprintf(dir, size, "%s/mote-bench-XXXXXX", parent) >= (int)size ||
	    !mkdtemp(dir))
		return false;
	if (unpack(dir) &&
	    subject_works(subject_new("mote", dir, "mote", version)))
		return true;
	remove_all(dir);
	return false;
}

static void measure_all(const char *dir)
{
	char path[600];
	const struct place place = {.dir = dir, .ini = path};
	struct sched_param rr = {.sched_priority = 1};

	snprintf(path, sizeof(path), "%s/bench/noop.ini", dir);
	/* Fewer other programs in between; not permitted is fine. */
	sched_setscheduler(0, SCHED_RR, &rr);
	bench_launch(&place, RUNS);
	bench_inproc(&place, RUNS);
	bench_memory(&place);
	bench_peers(&place, RUNS_PEERS);
}

/* The work is a child's, so that the folder goes whatever happens to it. */
static int run_child(const char *dir, const char *json)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		measure_all(dir);
		print_table();
		_exit(write_json(json) < 0 || fflush(stdout) != 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const char *json = argc > 1 ? argv[1] : "bench-kit.json";
	const char *const parents[] = {getenv("TMPDIR"), "/tmp", "/var/tmp",
				       "."};
	char dir[400];
	bool ok = false;
	int ret;

	if (argc > 2 || json[0] == '-') {
		fprintf(stderr,
			"usage: bench-kit [FILE.json]\n"
			"Measures mote against the least that KVM takes, and "
			"against solo5-hvt, lkvm and\nqemu-system-x86_64 where "
			"they are on PATH.  About a minute; needs /dev/kvm; "
			"root\nfor the jail.\n");
		return 64;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		fprintf(stderr, "bench-kit: /dev/kvm: %m\n");
		return 69;
	}
	/* A signal to the group ends the child; we clean up after it. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	for (int i = 0; i < 4 && !ok; i++)
		ok = unpack_in(parents[i], dir, sizeof(dir));
	if (!ok) {
		fprintf(stderr, "bench-kit: no folder from which programs may "
				"be run; set TMPDIR\n");
		return 71;
	}
	ret = run_child(dir, json);
	remove_all(dir);
	if (ret == 0)
		printf("written: %s\n", json);
	return ret;
}
