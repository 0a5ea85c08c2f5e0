/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_oci.c - any bytes as a bundle's config.json: refused in words, or a
 * machine with a guest that lies in the rootfs.
 *
 * The rootfs is real, with a way out (a symbolic link) that must not be one.
 * Paths of the host that a bundle may name (a network namespace, a rootfs
 * elsewhere) are kept from being opened: a fuzz target is to change nothing.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "fuzz/support/fuzz.h"
#include "oci/oci.h"

static char dir[64], file[128];
static ino_t guest; /* the one file in the rootfs */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (dir[0] && strncmp(path, dir, strlen(dir)) != 0)
		return __real_open("/nowhere", O_RDONLY | O_CLOEXEC);
	return __real_open(path, flags, mode);
}

static int forget(const char *path, const struct stat *st, int kind,
		  struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void clean(void)
{
	nftw(dir, forget, 8, FTW_DEPTH | FTW_PHYS);
}

static void make(void)
{
	char path[128];
	struct stat st;
	int fd;

	strcpy(dir, "/tmp/fuzz-oci-XXXXXX");
	require(mkdtemp(dir) != NULL, "a folder");
	atexit(clean);
	snprintf(file, sizeof(file), "%s/config.json", dir);
	snprintf(path, sizeof(path), "%s/rootfs", dir);
	require(mkdir(path, 0700) == 0, "a rootfs");
	snprintf(path, sizeof(path), "%s/rootfs/out", dir);
	require(symlink("../../../../../../etc/passwd", path) == 0, "a link");
	snprintf(path, sizeof(path), "%s/rootfs/guest", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	require(fd >= 0 && fstat(fd, &st) == 0, "a guest");
	guest = st.st_ino;
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bundle b;
	struct mote_err err = {0};
	struct stat st;
	int fd, ret;

	if (!dir[0])
		make();
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && fd_write_full(fd, data, size) == 0, "a file");
	close(fd);
	ret = bundle_open(&b, dir, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0) {
		require(fstat(b.kernel_fd, &st) == 0 && st.st_ino == guest,
			"a guest from outside the rootfs");
		require(memchr(b.annotations, 0, sizeof(b.annotations)) != NULL,
			"annotations without an end");
		bundle_close(&b);
	}
	return 0;
}
