/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "launch/launch.h"

#define NOBODY	 65534u
#define FILE_MAX (4u << 20)

/* "123" with nothing behind it; false for a name. */
static bool parse_id(const char *s, size_t len, uint32_t *id)
{
	uint64_t v = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || v > UINT32_MAX / 10)
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*id = (uint32_t)v;
	return v < UINT32_MAX; /* -1 means "leave it" to the kernel */
}

/* name:password:id[:second...] of one line. */
static bool parse_line(const char *line, const char *name, uint32_t *id,
		       uint32_t *second)
{
	size_t n = strlen(name);
	const char *p;
	size_t len;

	if (strncmp(line, name, n) != 0 || line[n] != ':')
		return false;
	p = strchr(line + n + 1, ':');
	if (!p)
		return false;
	len = strcspn(++p, ":");
	if (!parse_id(p, len, id))
		return false;
	if (second && p[len] == ':') {
		p += len + 1;
		parse_id(p, strcspn(p, ":"), second);
	}
	return true;
}

int account_find(const char *file, const char *name, uint32_t *id,
		 uint32_t *second)
{
	cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	int64_t size = fd < 0 ? -errno : fd_size(fd);
	char *save = NULL;
	int ret;

	if (size < 0)
		return (int)size;
	if (size > FILE_MAX)
		return -EFBIG;
	text = calloc(1, (size_t)size + 1);
	if (!text)
		return -ENOMEM;
	ret = fd_pread_full(fd, text, (size_t)size, 0);
	if (ret < 0)
		return ret;
	for (char *l = strtok_r(text, "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save))
		if (parse_line(l, name, id, second))
			return 0;
	return -ENOENT;
}

/* A number, or a name of the file. */
static int find(const char *key, const char *file, const char *value,
		uint32_t *id, uint32_t *second, struct mote_err *err)
{
	int ret;

	if (parse_id(value, strlen(value), id))
		return 0;
	ret = account_find(file, value, id, second);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_DATA,
				     "%s: %s is not in %s", key, value, file);
	return 0;
}

/* Does this user namespace know the id?  (lines "first outside count") */
static bool is_mapped(const char *file, uint32_t id)
{
	cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
	char text[4096];
	char *save = NULL;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return true; /* no such file: no user namespaces */
	text[n] = 0;
	for (char *l = strtok_r(text, "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save)) {
		char *end;
		uint64_t first = strtoull(l, &end, 10);
		uint64_t count;

		strtoull(end, &end, 10);
		count = strtoull(end, &end, 10);
		if (id >= first && id - first < count)
			return true;
	}
	return false;
}

int account_resolve(const struct mote_config *cfg, uint32_t *uid, uint32_t *gid,
		    struct mote_err *err)
{
	char buf[8];
	const char *user =
		mote_config_get(cfg, "sandbox.user", buf, sizeof(buf));
	const char *group =
		mote_config_get(cfg, "sandbox.group", buf, sizeof(buf));
	bool root = geteuid() == 0;
	/* Without a jail nobody becomes anybody: no need to look. */
	bool drops = root && launch_is(cfg, "sandbox.enable", "yes");
	int ret = 0;

	*uid = drops && is_mapped("/proc/self/uid_map", NOBODY) ? NOBODY
								: getuid();
	*gid = drops && is_mapped("/proc/self/gid_map", NOBODY) ? NOBODY
								: getgid();
	if (user)
		ret = find("sandbox.user", "/etc/passwd", user, uid, gid, err);
	if (ret == 0 && group)
		ret = find("sandbox.group", "/etc/group", group, gid, NULL,
			   err);
	if (ret < 0)
		return ret;
	if (!root && (*uid != getuid() || *gid != getgid()))
		return err_set_class(err, EPERM, ERR_CLASS_PERM,
				     "sandbox.user, sandbox.group: only root "
				     "can become somebody else");
	return 0;
}
