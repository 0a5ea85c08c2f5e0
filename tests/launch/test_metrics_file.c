/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics_file.c - the metrics file is whole at any time, and a target
 * that fails is told once; log lines that are lost are counted.
 */
#include "launch/metrics_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "launch/metrics.h"
#include "mote.h"

#define TEXT_MAX 16384

static char dir[64];
static int logs[2]; /* a pipe, neither end blocks */
static struct mote_config *cfg;
static struct metrics_file file;
static const struct metrics some = {{[METRIC_VCPUS] = 3}};

static void setup(void)
{
	strcpy(dir, "/tmp/mote-file-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(pipe2(logs, O_NONBLOCK), 0);
	cfg = mote_config_new();
	cr_assert_eq(mote_config_set(cfg, "test", "vm.name=n1", NULL), 0);
	file = (struct metrics_file){
		.dir_fd = open(dir, O_RDONLY | O_DIRECTORY),
		.name = "m",
		.log = {.cfg = cfg, .fd = logs[1]},
	};
	cr_assert_geq(file.dir_fd, 0);
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_expect_eq(system(command), 0);
	fd_close(file.dir_fd);
	fd_close(logs[0]);
	fd_close(logs[1]);
	mote_config_free(cfg);
}

/* All that can be read of fd now. */
static const char *take(int fd)
{
	static char buf[TEXT_MAX];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = 0;
	return buf;
}

static int files(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

Test(metrics_file, a_reader_of_the_old_one_keeps_it_whole, .init = setup,
     .fini = teardown)
{
	struct metrics more = some;
	struct stat a, b;
	char text[TEXT_MAX];
	int old;

	umask(0);
	metrics_file_write(&file, &some);
	old = openat(file.dir_fd, "m", O_RDONLY);
	cr_assert_geq(old, 0);
	more.value[METRIC_VCPUS] = 4;
	metrics_file_write(&file, &more);
	strcpy(text, take(old));
	cr_expect_not_null(strstr(text, "\"vcpus\":3"), "%s", text);
	cr_expect_eq(text[strlen(text) - 1], '\n');
	cr_assert_eq(fstat(old, &a), 0);
	cr_assert_eq(fstatat(file.dir_fd, "m", &b, 0), 0);
	cr_expect_neq(a.st_ino, b.st_ino, "it was written into, not replaced");
	cr_expect_eq(b.st_mode & 07777, 0600u);
	fd_close(old);
	old = openat(file.dir_fd, "m", O_RDONLY);
	cr_expect_not_null(strstr(take(old), "\"vcpus\":4"));
	fd_close(old);
	cr_expect_eq(files(), 1, "nothing temporary is left");
	cr_expect_str_empty(take(logs[0]));
}

Test(metrics_file, the_other_form_is_prometheus, .init = setup,
     .fini = teardown)
{
	int fd;

	file.prometheus = true;
	metrics_file_write(&file, &some);
	fd = openat(file.dir_fd, "m", O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_expect_not_null(strstr(take(fd), "\nmote_vcpus{vm=\"n1\"} 3\n"));
	fd_close(fd);
}

Test(metrics_file, what_a_killed_launcher_left_does_not_matter, .init = setup,
     .fini = teardown)
{
	char tmp[64];

	snprintf(tmp, sizeof(tmp), "m.tmp-%d", (int)getpid());
	fd_close(openat(file.dir_fd, tmp, O_CREAT | O_WRONLY, 0600));
	metrics_file_write(&file, &some);
	cr_expect_eq(files(), 1);
	cr_expect_eq(faccessat(file.dir_fd, "m", R_OK, 0), 0);
}

/* The warning comes once, however often it fails. */
static void check_failing(const char *why)
{
	const char *said;

	metrics_file_write(&file, &some);
	said = take(logs[0]);
	cr_expect_not_null(strstr(said, "mote[n1]: warn: metrics.file: write "
					"of m: "),
			   "%s", said);
	cr_expect_not_null(strstr(said, why), "%s", said);
	metrics_file_write(&file, &some);
	cr_expect_str_empty(take(logs[0]), "once is enough");
}

Test(metrics_file, a_removed_folder_is_told_once, .init = setup,
     .fini = teardown)
{
	cr_assert_eq(rmdir(dir), 0);
	check_failing("No such file");
}

Test(metrics_file, a_folder_in_its_place_is_told_once, .init = setup,
     .fini = teardown)
{
	cr_assert_eq(mkdirat(file.dir_fd, "m", 0700), 0);
	check_failing("Is a directory");
	cr_expect_eq(files(), 1, "nothing temporary is left");
}

Test(metrics_file, a_full_disk_leaves_the_old_one, .init = setup,
     .fini = teardown)
{
	struct rlimit none, was;
	int fd;

	metrics_file_write(&file, &some);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){8, was.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	check_failing("File too large");
	setrlimit(RLIMIT_FSIZE, &was);
	cr_expect_eq(files(), 1, "nothing temporary is left");
	fd = openat(file.dir_fd, "m", O_RDONLY);
	cr_expect_not_null(strstr(take(fd), "\"vcpus\":3"));
	fd_close(fd);
	/* There is room again. */
	cr_assert_eq(unlinkat(file.dir_fd, "m", 0), 0);
	metrics_file_write(&file, &some);
	cr_expect_eq(faccessat(file.dir_fd, "m", R_OK, 0), 0);
}

Test(metrics_file, a_quiet_log_is_told_nothing, .init = setup, .fini = teardown)
{
	cr_assert_eq(mote_config_set(cfg, "test", "log.level=err", NULL), 0);
	cr_assert_eq(rmdir(dir), 0);
	metrics_file_write(&file, &some);
	cr_expect_str_empty(take(logs[0]));
}

Test(metrics_file, none_is_wanted_none_is_written, .init = setup,
     .fini = teardown)
{
	int fd = file.dir_fd;

	file.dir_fd = -1;
	metrics_file_write(&file, &some);
	cr_expect_eq(files(), 0);
	file.dir_fd = fd;
}

Test(logline, a_full_pipe_loses_lines_and_counts_them, .init = setup,
     .fini = teardown)
{
	struct launch_log log = {.cfg = cfg, .fd = logs[1]};

	launch_log_line(&log, 4, "one");
	cr_expect_eq(log.dropped, 0);
	cr_expect_str_eq(take(logs[0]), "mote[n1]: warn: one\n");
	for (int i = 0; i < 65536 && log.dropped == 0; i++)
		launch_log_line(&log, 4, "some line or other of the log");
	cr_expect_eq(log.dropped, 1);
	/* As long as the others: it is not to fit into what they left. */
	launch_log_line(&log, 4, "another line of the same length");
	cr_expect_eq(log.dropped, 2);
	while (*take(logs[0]))
		;
	launch_log_line(&log, 4, "heard");
	cr_expect_eq(log.dropped, 2);
	cr_expect_str_eq(take(logs[0]), "mote[n1]: warn: heard\n");
}

Test(logline, a_full_disk_counts_too, .init = setup, .fini = teardown)
{
	struct launch_log log = {.cfg = cfg, .fd = open("/dev/full", O_WRONLY)};

	cr_assert_geq(log.fd, 0);
	launch_log_line(&log, 4, "x");
	cr_expect_eq(log.dropped, 1);
	fd_close(log.fd);
}
