/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.c - an OCI bundle's config.json as the machine to run.
 *
 * The image: "vm.kernel.path" of config.json, else urunc's annotation, else
 * the first word of process.args; always looked up inside the rootfs, where
 * no symbolic link leads out (openat2, RESOLVE_IN_ROOT).  Trust: the bundle
 * is the user's, but the rootfs is the image's.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "oci/oci.h"

#define CONFIG_MAX   (4u << 20)
#define ARGS_MAX     256
#define MEMORY_MIN   (1u << 20)
#define URUNC_BINARY "com.urunc.unikernel.binary"

static struct json_object *get(struct json_object *o, const char *key,
			       enum json_type type)
{
	struct json_object *v;

	if (!o || !json_object_object_get_ex(o, key, &v) ||
	    !json_object_is_type(v, type))
		return NULL;
	return v;
}

static const char *get_string(struct json_object *o, const char *key)
{
	struct json_object *v = get(o, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

/* Which file of the rootfs is the guest, and how many args name it. */
static const char *find_image(struct json_object *root, int *used)
{
	struct json_object *vm = get(root, "vm", json_type_object);
	struct json_object *process = get(root, "process", json_type_object);
	struct json_object *args = get(process, "args", json_type_array);
	const char *path =
		get_string(get(vm, "kernel", json_type_object), "path");

	*used = 0;
	if (path)
		return path;
	path = get_string(get(root, "annotations", json_type_object),
			  URUNC_BINARY);
	if (path)
		return path;
	if (!args || json_object_array_length(args) == 0)
		return NULL;
	*used = 1;
	return json_object_get_string(json_object_array_get_idx(args, 0));
}

static int open_in_root(const char *rootfs, const char *path,
			struct mote_err *err)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	cleanup_fd int dir = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int fd;

	if (dir < 0)
		return err_set(err, errno, "root.path: open %s: %s", rootfs,
			       strerror(errno));
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0)
		return err_set(err, errno, "guest image %s in the rootfs: %s",
			       path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(fd);
		return err_set(err, EINVAL,
			       "guest image %s in the rootfs: "
			       "not a regular file",
			       path);
	}
	return fd;
}

static int set(struct bundle *b, const char *key, const char *value,
	       struct mote_err *err)
{
	cleanup_free char *assign = NULL;
	cleanup_free char *faults = NULL;

	if (asprintf(&assign, "%s=%s", key, value) < 0) {
		assign = NULL; /* asprintf leaves it undefined */
		return err_set(err, ENOMEM, "%s", key);
	}
	if (mote_config_set(b->cfg, "config.json", assign, &faults) < 0)
		return err_set(err, EINVAL, "%s", faults ? faults : key);
	return 0;
}

/* linux.resources.memory.limit, else the default of vm.memory. */
static int set_memory(struct bundle *b, struct json_object *root,
		      struct mote_err *err)
{
	struct json_object *linux_ = get(root, "linux", json_type_object);
	struct json_object *res = get(linux_, "resources", json_type_object);
	struct json_object *mem = get(res, "memory", json_type_object);
	struct json_object *limit = get(mem, "limit", json_type_int);
	int64_t bytes = limit ? json_object_get_int64(limit) : 0;
	char text[32];

	if (bytes < MEMORY_MIN)
		return 0;
	snprintf(text, sizeof(text), "%lldM", (long long)(bytes >> 20));
	return set(b, "vm.memory", text, err);
}

static int append_args(struct bundle *b, struct json_object *root, int skip,
		       struct mote_err *err)
{
	struct json_object *process = get(root, "process", json_type_object);
	struct json_object *args = get(process, "args", json_type_array);
	size_t n = args ? json_object_array_length(args) : 0;
	char *word[ARGS_MAX];
	int count = 0;

	if (n > ARGS_MAX)
		return err_set(err, E2BIG, "process.args: more than %d words",
			       ARGS_MAX);
	for (size_t i = (size_t)skip; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(args, i);

		if (!json_object_is_type(o, json_type_string))
			return err_set(err, EINVAL,
				       "process.args: word %zu is not a string",
				       i);
		word[count++] = (char *)json_object_get_string(o);
	}
	if (count && mote_config_append_args(b->cfg, word, count) < 0)
		return err_set(err, EINVAL,
			       "process.args: too long for a "
			       "guest's command line, or with "
			       "control characters");
	return 0;
}

/* The network namespace, where the engine has made one. */
static int open_netns(struct bundle *b, struct json_object *root,
		      struct mote_err *err)
{
	struct json_object *linux_ = get(root, "linux", json_type_object);
	struct json_object *list = get(linux_, "namespaces", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *ns = json_object_array_get_idx(list, i);
		const char *type = get_string(ns, "type");
		const char *path = get_string(ns, "path");

		if (!type || strcmp(type, "network") != 0 || !path || !*path)
			continue;
		b->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (b->netns_fd < 0)
			return err_set(err, errno,
				       "linux.namespaces: open %s: %s", path,
				       strerror(errno));
	}
	return 0;
}

static int open_image(struct bundle *b, struct json_object *root, int *used,
		      struct mote_err *err)
{
	const char *rootfs =
		get_string(get(root, "root", json_type_object), "path");
	const char *image = find_image(root, used);
	cleanup_free char *full = NULL;

	if (!rootfs)
		return err_set(err, EINVAL,
			       "config.json: root.path is "
			       "missing");
	if (!image)
		return err_set(err, EINVAL,
			       "config.json: no guest image: expected "
			       "vm.kernel.path, the annotation %s, or "
			       "process.args",
			       URUNC_BINARY);
	if (rootfs[0] != '/') {
		if (asprintf(&full, "%s/%s", b->path, rootfs) < 0) {
			full = NULL;
			return err_set(err, ENOMEM, "root.path");
		}
		rootfs = full;
	}
	b->kernel_fd = open_in_root(rootfs, image, err);
	if (b->kernel_fd < 0)
		return b->kernel_fd;
	return set(b, "vm.kernel", image, err);
}

static int read_config(struct bundle *b, struct json_object *root,
		       struct mote_err *err)
{
	struct json_object *process = get(root, "process", json_type_object);
	struct json_object *notes = get(root, "annotations", json_type_object);
	struct json_object *tty = get(process, "terminal", json_type_boolean);
	int used = 0;
	int ret;

	if (!get_string(root, "ociVersion"))
		return err_set(err, EINVAL,
			       "config.json: ociVersion is "
			       "missing");
	if (tty && json_object_get_boolean(tty))
		return err_set(err, EOPNOTSUPP,
			       "process.terminal: not in this "
			       "version yet");
	snprintf(b->annotations, sizeof(b->annotations), "%s",
		 notes ? json_object_to_json_string_ext(notes,
							JSON_C_TO_STRING_PLAIN)
		       : "{}");
	ret = open_image(b, root, &used, err);
	if (ret == 0)
		ret = set_memory(b, root, err);
	if (ret == 0)
		ret = append_args(b, root, used, err);
	if (ret == 0)
		ret = open_netns(b, root, err);
	return ret;
}

int bundle_open(struct bundle *b, const char *path, struct mote_err *err)
{
	struct json_object *root;
	char file[OCI_PATH_MAX + 16];
	struct stat st;
	int ret;

	memset(b, 0, sizeof(*b));
	b->kernel_fd = b->netns_fd = -1;
	if (!realpath(path, b->path))
		return err_set(err, errno, "bundle %s: %s", path,
			       strerror(errno));
	snprintf(file, sizeof(file), "%s/config.json", b->path);
	if (stat(file, &st) < 0)
		return err_set(err, errno, "%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_MAX)
		return err_set(err, EINVAL,
			       "%s: expected a file of at most "
			       "4 MiB",
			       file);
	b->cfg = mote_config_new();
	root = json_object_from_file(file);
	if (!root || !b->cfg)
		ret = err_set(err, EINVAL, "%s: %s", file,
			      json_util_get_last_err());
	else
		ret = read_config(b, root, err);
	json_object_put(root);
	if (ret < 0)
		bundle_close(b);
	return ret;
}

void bundle_close(struct bundle *b)
{
	fd_clear(&b->kernel_fd);
	fd_clear(&b->netns_fd);
	mote_config_free(b->cfg);
	b->cfg = NULL;
}
