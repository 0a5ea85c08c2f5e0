/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/paged.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "snapshot/snapshot.h"

/* The pages of [off, off + len) that a diff has, over what the root has. */
static int overlay(const struct snapshot *s, uint64_t off, uint64_t len,
		   char *buf, struct mote_err *err)
{
	uint64_t page = host_page_size();

	for (uint64_t at = 0; s->parent && at < len; at += page) {
		int ret = snapshot_diff_page(s, (off + at) / page, buf + at);

		if (ret < 0)
			return err_set_class(err, -ret, ERR_CLASS_IO,
					     "snapshot %s: read of a diff's "
					     "memory: %s",
					     s->name, strerror(-ret));
	}
	return 0;
}

int paged_fill(void *source, uint64_t off, uint64_t len, void *buf,
	       struct mote_err *err)
{
	const struct snapshot *s = source, *root = snapshot_root(s);
	int ret = fd_pread_full(root->fds.memory_fd, buf, len, off);

	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_IO,
				     "snapshot %s: memory: offset %" PRIu64
				     ": %s",
				     root->name, off, strerror(-ret));
	return overlay(s, off, len, buf, err);
}

int paged_fill_verified(void *source, uint64_t off, uint64_t len, void *buf,
			struct mote_err *err)
{
	const struct snapshot *s = source, *root = snapshot_root(s);

	for (uint64_t i = 0; i < root->ram.chunks; i++) {
		struct ram_chunk c = ram_chunk(&root->ram, i);
		int ret;

		if (c.off != off || c.len != len)
			continue;
		ret = ram_read_chunk(&c, root->fds.memory_fd, buf, err);
		if (ret < 0)
			return err_wrap(err, ret, "snapshot %s: chunk %" PRIu64,
					root->name, i);
		return overlay(s, off, len, buf, err);
	}
	return err_set(err, EFAULT,
		       "no chunk of the memory file is at offset "
		       "%" PRIu64,
		       off);
}
