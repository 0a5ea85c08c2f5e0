/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "oci/oci.h"

static bool id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-");

	return n > 0 && n <= OCI_ID_MAX && !id[n] && strcmp(id, ".") != 0 &&
	       strcmp(id, "..") != 0;
}

int container_init(struct container *c, const char *root, const char *id,
		   struct mote_err *err)
{
	memset(c, 0, sizeof(*c));
	if (!*root)
		return err_set(err, EINVAL, "--root: expected a folder");
	if (!id_ok(id))
		return err_set(err, EINVAL,
			       "container id \"%.64s\": expected letters, "
			       "digits, _ . + -",
			       id);
	if (strlen(root) + strlen(id) > 80)
		return err_set(err, ENAMETOOLONG,
			       "state root and container id are too long for "
			       "a socket's name (80 bytes together)");
	strcpy(c->root, root);
	strcpy(c->id, id);
	return 0;
}

const char *container_path(const struct container *c, const char *file,
			   char *buf)
{
	int n = snprintf(buf, OCI_PATH_MAX, "%s/%s%s%s", c->root, c->id,
			 *file ? "/" : "", file);

	return n < OCI_PATH_MAX ? buf : "";
}

/* The state root and what leads to it: engines give a fresh one. */
static int make_root(const char *root, struct mote_err *err)
{
	char path[sizeof(((struct container *)0)->root)];

	for (size_t i = 1;; i++) {
		if (root[i] && root[i] != '/')
			continue;
		memcpy(path, root, i);
		path[i] = 0;
		if (mkdir(path, 0711) < 0 && errno != EEXIST)
			return err_set(err, errno, "mkdir %s: %s", path,
				       strerror(errno));
		if (!root[i])
			return 0;
	}
}

int container_make(struct container *c, struct mote_err *err)
{
	char path[OCI_PATH_MAX];
	int ret = make_root(c->root, err);

	if (ret < 0)
		return ret;
	if (mkdir(container_path(c, "", path), 0711) < 0)
		return err_set(err, errno, "container %s: %s", c->id,
			       errno == EEXIST ? "it exists already"
					       : strerror(errno));
	return 0;
}

int container_remove(const struct container *c)
{
	char path[OCI_PATH_MAX];

	unlink(container_path(c, "control.sock", path));
	unlink(container_path(c, "state.json", path));
	unlink(container_path(c, "state.json.tmp", path));
	return rmdir(container_path(c, "", path)) < 0 ? -errno : 0;
}

int container_save(const struct container *c, struct mote_err *err)
{
	struct json_object *o = json_object_new_object();
	char path[OCI_PATH_MAX], tmp[OCI_PATH_MAX];
	const char *text;
	int fd, ret;

	json_object_object_add(o, "id", json_object_new_string(c->id));
	json_object_object_add(o, "pid", json_object_new_int(c->pid));
	json_object_object_add(o, "start_time",
			       json_object_new_int64((int64_t)c->start_time));
	json_object_object_add(o, "bundle", json_object_new_string(c->bundle));
	json_object_object_add(o, "started",
			       json_object_new_boolean(c->started));
	json_object_object_add(o, "annotations",
			       json_object_new_string(c->annotations));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	container_path(c, "state.json.tmp", tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	if (fd >= 0)
		fd_close(fd);
	if (ret == 0 && rename(tmp, container_path(c, "state.json", path)) < 0)
		ret = -errno;
	json_object_put(o);
	if (ret < 0)
		return err_set(err, -ret, "write of %s: %s", tmp,
			       strerror(-ret));
	return 0;
}

static const char *get_string(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, json_type_string))
		return "";
	return json_object_get_string(v);
}

int container_load(struct container *c, struct mote_err *err)
{
	char path[OCI_PATH_MAX];
	struct json_object *o, *v;

	container_path(c, "state.json", path);
	if (access(path, F_OK) < 0 && errno != ENOENT)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (access(path, F_OK) < 0)
		return err_set(err, ENOENT, "container %s does not exist",
			       c->id);
	o = json_object_from_file(path);
	if (!o)
		return err_set(err, EBADMSG, "%s: not JSON", path);
	if (json_object_object_get_ex(o, "pid", &v))
		c->pid = json_object_get_int(v);
	if (json_object_object_get_ex(o, "start_time", &v))
		c->start_time = (uint64_t)json_object_get_int64(v);
	if (json_object_object_get_ex(o, "started", &v))
		c->started = json_object_get_boolean(v);
	snprintf(c->bundle, sizeof(c->bundle), "%s", get_string(o, "bundle"));
	snprintf(c->annotations, sizeof(c->annotations), "%s",
		 get_string(o, "annotations"));
	json_object_put(o);
	return 0;
}

uint64_t process_start_time(pid_t pid)
{
	char path[64], buf[1024];
	char *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	fd_close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	/* After the name in parentheses: state is field 3, start is 22. */
	p = strrchr(buf, ')');
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

enum oci_status container_status(const struct container *c)
{
	if (c->pid <= 0 || process_start_time(c->pid) != c->start_time)
		return OCI_STOPPED;
	return c->started ? OCI_RUNNING : OCI_CREATED;
}

const char *container_status_name(enum oci_status s)
{
	static const char *const name[] = {"created", "running", "stopped"};

	return name[s];
}
