/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "launch/launch.h"
#include "launch/metrics.h"

static int format_json(const struct metrics *m, const char *vm, char *buf,
		       size_t size)
{
	struct json_object *o = json_object_new_object();
	int n;

	metrics_json(m, vm, o);
	n = snprintf(buf, size, "%s\n",
		     json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

/* A new file of that name; what a killed launcher of our pid left goes. */
static int create(int dir, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags, 0600);

	if (fd < 0 && errno == EEXIST && unlinkat(dir, name, 0) == 0)
		fd = openat(dir, name, flags, 0600);
	return fd < 0 ? -errno : fd;
}

static int replace(const struct metrics_file *f, const char *text, size_t len)
{
	char tmp[sizeof(f->name) + METRICS_TMP_MAX];
	int fd, ret;

	snprintf(tmp, sizeof(tmp), "%s.tmp-%d", f->name, (int)getpid());
	fd = create(f->dir_fd, tmp);
	if (fd < 0)
		return fd;
	ret = fd_write_full(fd, text, len);
	/* Some file systems tell only now that there is no room. */
	if (close(fd) < 0 && ret == 0)
		ret = -errno;
	if (ret == 0 && renameat(f->dir_fd, tmp, f->dir_fd, f->name) < 0)
		ret = -errno;
	if (ret < 0)
		unlinkat(f->dir_fd, tmp, 0);
	return ret;
}

void metrics_file_write(struct metrics_file *f, const struct metrics *m)
{
	char text[METRICS_TEXT_MAX], line[512];
	const char *vm;
	int ret;

	if (f->dir_fd < 0)
		return;
	vm = launch_name(f->log.cfg);
	ret = f->prometheus ? metrics_prometheus(m, vm, text, sizeof(text))
			    : format_json(m, vm, text, sizeof(text));
	if (ret >= 0)
		ret = replace(f, text, (size_t)ret);
	if (ret == 0 || f->failed)
		return;
	f->failed = true;
	snprintf(line, sizeof(line), "metrics.file: write of %s: %s", f->name,
		 strerror(-ret));
	launch_log_warn(&f->log, line);
}
