/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci.h - what the files of mote-oci(8) share.
 *
 * A container is a monitor process, which is the launcher of one VM, and a
 * folder STATE-ROOT/ID with state.json and the VM's control socket.  There
 * is no daemon.  Source: OCI runtime-spec 1.0.2 (runtime.md, config.md).
 */
#ifndef VMM_OCI_OCI_H
#define VMM_OCI_OCI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mote.h"

#define OCI_ID_MAX   200
#define OCI_PATH_MAX 4096
#define OCI_VERSION  "1.0.2"

/* --- bundle.c: config.json to a machine -------------------------------- */

struct bundle {
	char path[OCI_PATH_MAX]; /* absolute */
	struct mote_config *cfg; /* owned */
	int kernel_fd;		 /* opened inside the rootfs */
	int netns_fd;		 /* -1: an empty one */
	char annotations[4096];	 /* as JSON text */
};

/* Read BUNDLE/config.json.  -EINVAL and words when it can't be run. */
int bundle_open(struct bundle *b, const char *path, struct mote_err *err);
void bundle_close(struct bundle *b);

/* --- state.c: what is known of a container ----------------------------- */

enum oci_status {
	OCI_CREATED,
	OCI_RUNNING,
	OCI_STOPPED,
};

struct container {
	char root[96]; /* the sum with id is bounded by a socket's name */
	char id[OCI_ID_MAX + 1];
	char bundle[OCI_PATH_MAX];
	char annotations[4096];
	pid_t pid;
	uint64_t start_time; /* of the process: a pid alone can be reused */
	bool started;
};

/* Check the id and fill in the struct; nothing is touched. */
int container_init(struct container *c, const char *root, const char *id,
		   struct mote_err *err);

/* Make the folder: -EEXIST when the id is taken. */
int container_make(struct container *c, struct mote_err *err);

/* Write state.json whole (renamed into place). */
int container_save(const struct container *c, struct mote_err *err);

/* Read it: -ENOENT when there is no such container. */
int container_load(struct container *c, struct mote_err *err);

/* Remove folder and files; what is missing is fine. */
/* 0 or -errno: something is left. */
int container_remove(const struct container *c);

enum oci_status container_status(const struct container *c);
const char *container_status_name(enum oci_status s);

/* A path inside the folder; buf is OCI_PATH_MAX long and is returned. */
const char *container_path(const struct container *c, const char *file,
			   char *buf);

/* When the process started, in clock ticks since boot; 0: it is gone. */
uint64_t process_start_time(pid_t pid);

#endif
