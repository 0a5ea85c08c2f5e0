/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker.h - what the jailed VM process and its launcher say to each other.
 *
 * One SOCK_SEQPACKET pair, fixed-size messages, at most one request of the
 * VM process in flight.  The launcher does not trust the VM process: names
 * are checked again, only one snapshot is open at a time.
 */
#ifndef VMM_LAUNCH_BROKER_H
#define VMM_LAUNCH_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "launch/metrics.h"
#include "mote.h"

struct metrics_file;

enum broker_op {
	/* VM process to launcher */
	BROKER_CREATED = 1, /* the machine is built */
	/*
	 * fd: parent directory (none: the configured); text: the name, of a
	 * diff also a newline and its base (snapdir.h)
	 */
	BROKER_SNAP_BEGIN,
	BROKER_SNAP_COMMIT,
	BROKER_SNAP_ABORT,
	BROKER_RESULT,	/* how it ended */
	BROKER_CORE,	/* a file for the guest's core; its path comes back */
	BROKER_METRICS, /* to be written to their file; no reply */
	BROKER_HOTSET,	/* hotset.tmp is written: give it its name */
	/* launcher to VM process */
	BROKER_REPLY = 100,
	BROKER_STOP,	 /* ask the guest to end */
	BROKER_SNAPSHOT, /* take one: [snapshot] when=signal */
};

struct broker_msg {
	uint32_t op;
	int32_t status;		/* 0 or -errno */
	int32_t end, exit_code; /* BROKER_RESULT */
	int32_t exit_class;
	union {
		char text[MOTE_ERR_MAX]; /* a name, or an error */
		struct metrics metrics;	 /* BROKER_METRICS */
	};
};

/* Where the VM process's wishes go: a launcher, or itself when unjailed. */
struct broker {
	int sock;		      /* -1: unjailed, done right here */
	struct snapdir *here;	      /* unjailed: the open snapshot */
	int dir_fd;		      /* unjailed: [snapshot] dir; -1 */
	int sync;		      /* enum snapdir_sync */
	int core_dir;		      /* unjailed: [vm] core; -1 */
	int hotset_dir, hotset_fd;    /* unjailed: of restore.record; -1 */
	struct metrics_file *metrics; /* unjailed: [metrics] file */
	bool snap_asked; /* BROKER_SNAPSHOT came; cleared when served */
};

int broker_send(int sock, const struct broker_msg *msg, int fd);

/* 0, -EPIPE at the other end's death, or -errno; fds as fd_recv_msg. */
int broker_recv(int sock, struct broker_msg *msg, int *fds, int max, int *n);

/*
 * VM process: ask for the three files of snapshot name under parent_fd
 * (-1: the configured directory; borrowed), then make it whole or drop it.
 * base as in snapdir.h.  *stop is set when a BROKER_STOP arrived meanwhile,
 * snap_asked when a BROKER_SNAPSHOT did.
 */
int broker_snap_begin(struct broker *b, int parent_fd, const char *name,
		      const char *base, struct mote_snapshot_files *files,
		      bool *stop, struct mote_err *err);
int broker_snap_commit(struct broker *b, bool *stop, struct mote_err *err);
void broker_snap_abort(struct broker *b, bool *stop);

/* A new file for the guest's core (*fd is the caller's) and its name. */
int broker_core(struct broker *b, int *fd, char *name, size_t size, bool *stop,
		struct mote_err *err);

/* What was opened as hotset.tmp is whole. */
int broker_hotset(struct broker *b, bool *stop, struct mote_err *err);

/*
 * Metrics for their file, replied to by nobody.  While the launcher is busy
 * they are left out, but for the last ones: the guest does not wait.
 */
void broker_metrics(struct broker *b, const struct metrics *m, bool last);

/* What it does on the launcher's side: "core.solo5-hvt.PID" in dir. */
int core_open(int dir, int *fd, char *name, size_t size, struct mote_err *err);

#endif
