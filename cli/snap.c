/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snap.c - mote inspect, verify, compat, merge: a snapshot without a VM.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "launch/snapdir.h"

static int open_one(int argc, char **argv, bool *json,
		    struct mote_snapshot **snap)
{
	struct mote_err err = {0};
	const char *path = NULL;

	*snap = NULL;
	for (int i = 1; i < argc; i++) {
		if (json && !strcmp(argv[i], "--json"))
			*json = true;
		else if (argv[i][0] == '-')
			return fail(ERR_CLASS_USAGE, "%s: unknown option %s",
				    argv[0], argv[i]);
		else if (path)
			return fail(ERR_CLASS_USAGE, "%s: one SNAPSHOT only",
				    argv[0]);
		else
			path = argv[i];
	}
	if (!path)
		return fail(ERR_CLASS_USAGE,
			    "%s: expected a SNAPSHOT "
			    "directory",
			    argv[0]);
	if (mote_snapshot_open(AT_FDCWD, path, snap, &err) < 0)
		return fail_err(&err);
	return 0;
}

int cmd_inspect(int argc, char **argv)
{
	struct mote_snapshot *snap;
	struct mote_err err = {0};
	bool json = false;
	int ret = open_one(argc, argv, &json, &snap);
	char *text;

	if (ret)
		return ret;
	text = mote_snapshot_describe(snap, json, &err);
	ret = text ? 0 : fail_err(&err);
	if (text && (fputs(text, stdout) < 0 || fflush(stdout) != 0))
		ret = fail(ERR_CLASS_IO, "standard output: %m");
	free(text);
	mote_snapshot_close(snap);
	return ret;
}

int cmd_verify(int argc, char **argv)
{
	struct mote_snapshot *snap;
	struct mote_err err = {0};
	int ret = open_one(argc, argv, NULL, &snap);

	if (ret)
		return ret;
	if (mote_snapshot_verify(snap, &err) < 0)
		ret = fail_err(&err);
	else
		puts("every byte is as it was written");
	mote_snapshot_close(snap);
	return ret;
}

/* What it must be given for that: lines of its description. */
static void tell_devices(struct mote_snapshot *snap)
{
	char *text = mote_snapshot_describe(snap, false, NULL), *save = NULL;

	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save))
		if (!strncmp(l, "passthrough.", strlen("passthrough.")))
			printf("it needs %s\n", l);
	free(text);
}

int cmd_compat(int argc, char **argv)
{
	struct mote_snapshot *snap;
	struct mote_err err = {0};
	int ret = open_one(argc, argv, NULL, &snap);

	if (ret)
		return ret;
	if (mote_snapshot_compat(snap, &err) < 0)
		ret = fail_err(&err);
	else if (puts("this host can restore it") >= 0)
		tell_devices(snap);
	mote_snapshot_close(snap);
	return ret;
}

static int merge(struct mote_snapshot *snap, char *out, struct mote_err *err)
{
	struct snapdir dir;
	struct mote_snapshot_files files;
	const char *name;
	int parent, ret = open_parent(out, &name, &parent);

	if (ret)
		return ret;
	ret = snapdir_begin(&dir, parent, name, NULL, err);
	if (ret < 0)
		return fail_err(err);
	files = (struct mote_snapshot_files){dir.file_fd[0], dir.file_fd[1],
					     dir.file_fd[2]};
	ret = mote_snapshot_merge(snap, &files, err);
	if (ret == 0)
		ret = snapdir_commit(&dir, SNAPDIR_SYNC_FULL, err);
	else
		snapdir_abort(&dir);
	return ret < 0 ? fail_err(err) : 0;
}

int cmd_merge(int argc, char **argv)
{
	struct mote_snapshot *snap;
	struct mote_err err = {0};
	int ret;

	if (argc != 3)
		return fail(ERR_CLASS_USAGE, "merge: expected DIFF OUT");
	if (mote_snapshot_open(AT_FDCWD, argv[1], &snap, &err) < 0)
		return fail_err(&err);
	ret = merge(snap, argv[2], &err);
	mote_snapshot_close(snap);
	return ret;
}
