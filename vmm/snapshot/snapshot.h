/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - the order in which a machine is saved and loaded.
 *
 * Save: vCPUs parked, devices quiet; hash table and clocks of the VM, the
 * vCPUs, interrupt controllers, devices, console, RAM, then the manifest.  Of
 * a machine that runs (snapshot_save_live) RAM is written ahead of that, and
 * digests, state file and manifest are made when it runs again.
 * Load: everything is read and checked first, then the machine is built by
 * the normal path, then state goes in by the same order.  A machine whose
 * load failed is destroyed; it never runs.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_H
#define VMM_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>

#include "snapshot/diff.h"
#include "snapshot/layers.h"
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

struct snapshot;

struct snapshot_options {
	/* What its folder will be called: the parent of later diffs; or NULL.
	 */
	const char *name;
	/* Only what changed since the machine's reference (vm->reference). */
	bool diff;
	/* What the machine was loaded from, or NULL. */
	const struct snapshot *from;
	/*
	 * Of children (fork.c), no diff: what changed since from where RAM is
	 * mapped from that, or, frozen, RAM is the memory file; and no
	 * reference of later diffs.
	 */
	bool fork, frozen;
};

/* What is the same for every save, ahead of the first: it takes a while. */
void snapshot_prepare(struct vm *vm);

/*
 * Write the three files.  The VM must be paused (or not started); it may run
 * again right after.  Then, once the files are where they belong or not:
 * snapshot_saved.  A diff's parent is vm->reference; -EINVAL: there is none,
 * or what changed since then was not tracked.
 */
int snapshot_save(struct vm *vm, const struct snapshot_files *files,
		  const struct snapshot_options *opt, struct mote_err *err);

/*
 * The same of a machine that runs: its memory is written while it goes on;
 * it stands still for its state and the pages that it changed last, and runs
 * again when this returns.  memory_fd is open for reading too.  A machine
 * that can't go on afterwards is left paused, and that is an error.
 */
int snapshot_save_live(struct vm *vm, const struct snapshot_files *files,
		       const struct snapshot_options *opt,
		       struct mote_err *err);

/* kept: it is whole, and the reference of the next diff. */
void snapshot_saved(struct vm *vm, bool kept);

#define SNAPSHOT_DEPTH_MAX 32 /* diffs above a full one */

/* A file that nobody can change (chattr +i, fs-verity), and its last change. */
struct snapshot_seen {
	bool known;
	uint32_t major, minor;
	uint64_t inode, size;
	int64_t ctime_s;
	uint32_t ctime_ns;
};

/* An opened snapshot; a diff's has all its parents. */
struct snapshot {
	char name[MANIFEST_NAME_MAX]; /* of its folder; "": not known */
	struct manifest manifest;
	struct snapshot_files fds; /* owned; -1 when closed */
	int hotset_fd;		   /* likewise; -1: it has none */
	int dir_fd;		   /* of its folder; not of a parent's */
	struct snapshot *parent;   /* owned */
	unsigned int depth;	   /* parents above it */
	bool sealed;		   /* memory_fd is a verified copy */
	struct snapshot_seen seen; /* memory_fd, as it was verified */
	bool host_ok;		   /* snapshot_host said yes */
	/* Read by snapshot_read_state. */
	uint8_t *state;
	struct snap_reader reader;
	struct ram_index ram;
	struct diff_index diff; /* of a diff */
	struct layers layers;
};

/*
 * Open the directory's files and check the manifest; of a diff also those of
 * its parents, which lie beside it.
 */
int snapshot_open(struct snapshot *s, int dirfd, const char *path,
		  struct mote_err *err);
void snapshot_close(struct snapshot *s);

/* Read and check the state files of it and its parents; once. */
int snapshot_read_state(struct snapshot *s, struct mote_err *err);

/* Compare every byte of memory with its digests (and read the state). */
int snapshot_verify(struct snapshot *s, struct mote_err *err);

/* The same of its hotset, where it has one; its state was read. */
int snapshot_verify_hotset(struct snapshot *s, struct mote_err *err);

/*
 * Verify memory once for all that will be loaded from s: each layer's
 * descriptor (the number stays) becomes a sealed copy of what was compared,
 * so that nobody can change it afterwards.  Fine when done already.  Without
 * root only the diffs, not the full one.
 */
int snapshot_seal(struct snapshot *s, bool root, struct mote_err *err);

/*
 * Can this host restore it?  Architecture, page size, vCPU count, lengths:
 * refused by name, before a VM exists.
 */
int snapshot_compat(struct snapshot *s, struct mote_err *err);

/* Is it of this architecture?  Else nothing but inspect and verify is of use.
 */
int snapshot_arch(const struct snapshot *s, struct mote_err *err);

/*
 * The same for files that are open already, of which nothing is checked but
 * the manifest: fds and parent (NULL: none) are taken over, also by a failure.
 */
int snapshot_adopt(struct snapshot *s, const struct snapshot_files *fds,
		   struct snapshot *parent, struct mote_err *err);

/* Another one of the same files, with the same parents; *out is malloc'd. */
int snapshot_dup(const struct snapshot *s, struct snapshot **out,
		 struct mote_err *err);

/*
 * Where children of a machine begin: a snapshot of it in memory.  A machine
 * that runs is paused meanwhile.  from: what its RAM is mapped from, or NULL.
 * *rebased: from now on its RAM is mapped from s.
 */
int snapshot_fork(struct snapshot *s, struct vm *vm,
		  const struct snapshot *from, bool *rebased,
		  struct mote_err *err);

/*
 * The same into empty files of the caller, all of RAM into the memory file:
 * where RAM is mapped from a snapshot, what that holds is copied before the
 * pause.  Of such memory there are no digests: it is for children at once.
 */
int snapshot_fork_into(const struct snapshot_files *f, struct vm *vm,
		       const struct snapshot *from, struct mote_err *err);

/*
 * Does this host's KVM (kvm_fd, -1: /dev/kvm) offer what the state needs, which
 * was read?  Refused by name, before the guest's VM exists.  values: as
 * arch_host_check.  A yes is kept: what KVM offers does not change, and
 * machines after the first of s cost no question.
 */
int snapshot_host(struct snapshot *s, int kvm_fd, bool values,
		  struct mote_err *err);

/*
 * Build a machine from opt (its memory fields are set here) and load it; *out
 * is NULL after an error.
 * s may be loaded any number of times, by one thread at a time.  A machine
 * whose memory comes by userfaultfd reads s until it is destroyed.
 */
int snapshot_load(struct snapshot *s, const struct build_options *opt,
		  struct vm **out, struct mote_err *err);

/*
 * Load the vCPUs, the VM's and the devices' state from the sections of s;
 * the machine is the one that was built for it, and parked.
 */
enum snapshot_pass {
	SNAPSHOT_LOAD,
	SNAPSHOT_REWIND,       /* once more, after arch_vcpu_remember */
	SNAPSHOT_REWIND_WHOLE, /* the same after a crash */
};
int snapshot_load_state(struct vm *vm, const struct snapshot *s,
			enum snapshot_pass pass, struct mote_err *err);

/* Its next diff is to s. */
void snapshot_note_reference(struct vm *vm, const struct snapshot *s);

/* The full one at the end of its parents. */
const struct snapshot *snapshot_root(const struct snapshot *s);

/* Put the diffs over the full one's memory, oldest first. */
int snapshot_apply_diffs(const struct snapshot *s,
			 const struct memslot_table *slots,
			 struct mote_err *err);

/* Write state and manifest; fills in the state's length and digest. */
int snapshot_write(struct manifest *m, const struct snap_writer *w,
		   const struct snapshot_files *files, struct mote_err *err);

/*
 * Read a page from the newest diff that has it: 1; 0: the full snapshot at
 * the root has it; or -errno.
 */
int snapshot_diff_page(const struct snapshot *s, uint64_t page, void *buf);

/*
 * Write a full snapshot that equals the diff s on its parents.  No machine
 * is made; the result does not depend on the host but for its page size.
 */
int snapshot_merge(struct snapshot *s, const struct snapshot_files *files,
		   struct mote_err *err);

#endif
