/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.c - a chain of diffs becomes one full snapshot.
 *
 * The memory is put together as a restore does it, in private mappings of
 * the full one's file, and saved as a machine's; the rest of the state is
 * the last diff's, byte for byte.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "memory/memslot.h"
#include "snapshot/snapshot.h"

static void unmap(struct memslot_table *t)
{
	for (int i = 0; i < MEMSLOT_MAX; i++)
		map_fini(&t->slot[i].ram);
}

static int map_ram(struct memslot_table *t, const struct snapshot *root,
		   struct mote_err *err)
{
	const struct ram_index *ri = &root->ram;
	uint64_t off = 0;

	memslot_init(t, -1);
	for (uint32_t i = 0; i < ri->regions; i++) {
		int ret = map_file_private(&t->slot[i].ram, root->fds.memory_fd,
					   off, ri->region[i].size, 0, err);

		if (ret < 0)
			return ret;
		t->slot[i].gpa = ri->region[i].gpa;
		off += ri->region[i].size;
	}
	return 0;
}

static void copy_sections(struct snap_writer *w, const struct snapshot *s)
{
	struct snap_reader r = s->reader;

	layers_patch(s, &r);
	for (int i = 0; i < r.count; i++) {
		const struct snap_section *from = &r.section[i];

		if (!strcmp(from->name, DIFF_SECTION))
			continue;
		snap_section_begin(w, from->name, from->instance, from->version,
				   (enum snap_flags)from->flags);
		snap_put_bytes(w, from->data, from->len);
		snap_section_end(w);
	}
}

static int write_all(const struct snapshot *s, const struct memslot_table *t,
		     const struct snapshot_files *files, struct mote_err *err)
{
	struct manifest m = s->manifest; /* borrows its configuration */
	struct snap_writer w;
	uint64_t written;
	int ret;

	memset(m.parent, 0, sizeof(m.parent));
	m.memory_length = memslot_total(t);
	snap_writer_init(&w);
	copy_sections(&w, s);
	ret = ram_save(t, files->memory_fd, &w, &m.memory_digest, &written,
		       err);
	if (ret == 0)
		ret = snap_writer_finish(&w, err);
	if (ret == 0)
		ret = snapshot_write(&m, &w, files, err);
	snap_writer_fini(&w);
	return ret;
}

int snapshot_merge(struct snapshot *s, const struct snapshot_files *files,
		   struct mote_err *err)
{
	struct memslot_table t;
	int ret = snapshot_compat(s, err);

	/* What is damaged must not get digests that say it is sound. */
	if (ret == 0)
		ret = snapshot_verify(s, err);
	if (ret < 0)
		return ret;
	ret = map_ram(&t, snapshot_root(s), err);
	if (ret == 0)
		ret = snapshot_apply_diffs(s, &t, err);
	if (ret == 0)
		ret = write_all(s, &t, files, err);
	unmap(&t);
	return ret;
}
