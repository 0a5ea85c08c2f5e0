/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - the order in which a machine is saved and loaded.
 *
 * Save: vCPUs parked, devices quiet; hash table and clocks of the VM, the
 * vCPUs, interrupt controllers, devices, console, RAM, then the manifest.
 * Load: everything is read and checked first, then the machine is built by
 * the normal path, then state goes in by the same order.  A machine whose
 * load failed is destroyed; it never runs.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_H
#define VMM_SNAPSHOT_SNAPSHOT_H

#include "snapshot/manifest.h"
#include "snapshot/ram.h"
#include "snapshot/stream.h"

struct build_options;
struct mote_err;
struct vm;

/* Descriptors of a snapshot, borrowed. */
struct snapshot_files {
	int manifest_fd, state_fd, memory_fd;
};

/* The VM must be paused (or not started). */
int snapshot_save(struct vm *vm, const struct snapshot_files *files,
		  struct mote_err *err);

/* An opened snapshot. */
struct snapshot {
	struct manifest manifest;
	struct snapshot_files fds; /* owned; -1 when closed */
	/* Read by snapshot_read_state. */
	uint8_t *state;
	struct snap_reader reader;
	struct ram_index ram;
};

/* Open the directory's files and check the manifest. */
int snapshot_open(struct snapshot *s, int dirfd, const char *path,
		  struct mote_err *err);
void snapshot_close(struct snapshot *s);

/* Read and check the state file; once. */
int snapshot_read_state(struct snapshot *s, struct mote_err *err);

/* Compare every byte of memory with its digests (and read the state). */
int snapshot_verify(struct snapshot *s, struct mote_err *err);

/*
 * Can this host restore it?  Architecture, page size, vCPU count, lengths:
 * refused by name, before a VM exists.
 */
int snapshot_compat(const struct snapshot *s, struct mote_err *err);

/* Build a machine from opt (its memory fields are set here) and load it. */
int snapshot_load(struct snapshot *s, struct build_options *opt,
		  struct vm **out, struct mote_err *err);

#endif
