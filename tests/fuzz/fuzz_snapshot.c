/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_snapshot.c - the files of a snapshot, edited, with digests that are
 * right: a full one and a diff of this architecture, and (in a tree with
 * tests/golden) those of arm64 and ppc64le, which any host opens, inspects,
 * verifies and, where it is told to, merges.
 *
 * What is opened is described as JSON that parses; what says that it fits is
 * loaded into a machine; memory that was changed is found.
 */
#include <json-c/json.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "fuzz/support/machine.h"
#include "snapshot/inspect.h"
#include "vm.h"

enum {
	FULL,
	DIFF,
	ARM64,
	PPC64LE,
	BASES,
};

static struct fakevm f;
static struct base base[BASES];

static void make(void)
{
	machine_make(&f);
	machine_save(&f, false, &base[FULL]);
	machine_save(&f, true, &base[DIFF]);
	if (!base_open(&base[ARM64], "tests/golden/arm64/counter-3"))
		base[ARM64] = base[FULL];
	if (!base_open(&base[PPC64LE], "tests/golden/ppc64le/counter-2"))
		base[PPC64LE] = base[DIFF];
}

/* Takes over what it makes; NULL: refused. */
static struct snapshot *adopt(const struct base *b, const char *manifest,
			      size_t manifest_len, const void *state,
			      size_t state_len, struct snapshot *parent)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_files files = {edit_file(manifest, manifest_len),
				       edit_file(state, state_len),
				       dup(b->memory_fd)};
	struct mote_err err = {0};
	int ret;

	require(s && files.memory_fd >= 0, "memory");
	ret = snapshot_adopt(s, &files, parent, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		return s;
	snapshot_close(s);
	free(s);
	return NULL;
}

static void describe(const struct snapshot *s)
{
	struct json_object *o;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	require(out != NULL, "memory");
	inspect_text(out, s);
	rewind(out);
	inspect_json(out, s);
	fputc(0, out);
	fclose(out);
	o = json_tokener_parse(text);
	require(o && json_object_is_type(o, json_type_object),
		"JSON that does not parse");
	json_object_put(o);
	free(text);
}

static void load(struct snapshot *s)
{
	struct mote_err err = {0};
	struct vm *vm = NULL;
	int ret = snapshot_load(s, &f.opt, &vm, &err);

	require((ret < 0) == (vm == NULL), "result and machine differ");
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	vm_destroy(vm);
}

static void use(struct snapshot *s, unsigned int how)
{
	struct mote_err err = {0};
	int ret = snapshot_compat(s, &err);

	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	memset(&err, 0, sizeof(err));
	ret = snapshot_read_state(s, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	describe(s);
	if (ret < 0)
		return;
	if (how & 1)
		load(s);
	if (how % 16 == 14) {
		memset(&err, 0, sizeof(err));
		ret = snapshot_verify(s, &err);
		require((ret < 0) == (err.msg[0] != 0),
			"result and message differ");
	}
	if (how % 32 == 28 && s->parent) {
		struct snapshot_files to = {edit_file("", 0), edit_file("", 0),
					    edit_file("", 0)};

		memset(&err, 0, sizeof(err));
		ret = snapshot_merge(s, &to, &err);
		require((ret < 0) == (err.msg[0] != 0),
			"result and message differ");
		fd_close(to.manifest_fd);
		fd_close(to.state_fd);
		fd_close(to.memory_fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct snapshot *s, *parent = NULL;
	struct snap_writer w;
	unsigned int how;
	size_t len;
	char *text;
	const struct base *b;

	if (!f.vm)
		make();
	b = &base[take(&in, 1) % BASES];
	how = (unsigned int)take(&in, 1);
	edit_state(b, &in, &w);
	text = edit_manifest(b, &in, &w, &len);
	if (strstr(b->manifest, "parent: none") == NULL)
		parent = adopt(&base[FULL], base[FULL].manifest,
			       base[FULL].manifest_len, base[FULL].state,
			       base[FULL].state_len, NULL);
	s = adopt(b, text, len, w.buf, w.len, parent);
	if (s) {
		use(s, how);
		snapshot_close(s);
		free(s);
	}
	free(text);
	snap_writer_fini(&w);
	return 0;
}
