/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - the launcher: opens what a VM needs, forks the VM process into
 * its jail, relays signals and the result, makes snapshots appear.
 *
 * Unjailed ([sandbox] enable=no) everything happens in the one process.
 * Threads: one, before any other exists.  mote(1) and mote-oci(8) call it.
 */
#ifndef VMM_LAUNCH_LAUNCH_H
#define VMM_LAUNCH_LAUNCH_H

#include <stdbool.h>

#include "launch/place.h"
#include "mote.h"

struct launch_options {
	const struct mote_config *cfg;
	struct mote_snapshot *snapshot; /* restore it; may be NULL */
	struct mote_timeline *timeline; /* shared mapping; may be NULL */
	int kernel_fd; /* the image, borrowed; -1: open vm.kernel */
	bool paused;   /* before the first instruction; ctl resume starts */
	bool no_stdin; /* the console gets no input */
	int netns_fd;  /* network namespace to join, -1: a new, empty one */
	/*
	 * -1, or a pipe that learns how the launch went: one '\n' once the
	 * machine is built, or the error's text.  Closed in either case.
	 */
	int created_fd;
	/*
	 * -1, or a socket on which the parked machine waits for who becomes its
	 * console (claim.h); rewind: and then for the next one.
	 */
	int claim_fd;
	bool rewind;
	/* Told the name of the console's terminal, where it has one. */
	void (*console)(void *opaque, const char *name);
	void *opaque;
};

struct launch_result {
	enum mote_end end;
	int exit_code;	     /* what the launcher shall exit with */
	struct mote_err err; /* of a crash */
};

/*
 * Run one VM to its end.  Blocks and takes SIGTERM, SIGINT, SIGHUP and
 * SIGCHLD.  A negative value: it never ran, *err says why.
 */
int launch_run(const struct launch_options *opt, struct launch_result *res,
	       struct mote_err *err);

/*
 * Two signals that come this close are one wish: timeout(1) and shells
 * signal the process and its group.
 */
#define LAUNCH_SAME_STOP_NS 200000000u

/* --- between launcher.c and vmproc.c ---------------------------------------
 */

struct broker;

/* What was opened for the VM process. */
struct launch_fds {
	int initrd; /* -1: none */
	int kvm, kernel;
	int console_in, console_out;
	int console_file;		/* owned when the console is a file */
	int console_listen;		/* ... a socket: listening; -1 */
	int console_pty;		/* ... a terminal: its master; -1 */
	char console_name[64];		/* ... and the name of the other end */
	int control;			/* listening; -1: none */
	int snapshot_dir;		/* parent of [snapshot] dir; -1: none */
	char snapshot_name[256];	/* ... and its last part */
	int signals;			/* signalfd when unjailed; -1 */
	int log;			/* [log] file, else stderr */
	struct mote_device_fd *devices; /* owned; of [disk.*] and [net.*] */
	int device_count;
	int core_dir;		 /* [vm] core; -1: none */
	int hotset;		 /* hotset.tmp of [restore] record; -1 */
	unsigned int owner_uid;	 /* who may use the control socket */
	unsigned int uid, gid;	 /* what the VM process becomes */
	struct host_place place; /* network namespace, cgroups */
};

/* The VM process: build, jail when jailed, run, report. */
int vmproc_run(const struct launch_options *opt, const struct launch_fds *fds,
	       struct broker *broker, bool jailed, struct launch_result *res,
	       struct mote_err *err);

/* Configuration as the launcher needs it. */
bool launch_is(const struct mote_config *cfg, const char *key,
	       const char *value);
unsigned long long launch_number(const struct mote_config *cfg, const char *key,
				 unsigned long long def);

/* The filter of vCPU threads that [sandbox] asks for. */
enum mote_seccomp launch_seccomp(const struct mote_config *cfg);

/* Machines of this process may be mapped from files: mote_sigbus_handle. */
void launch_watch_sigbus(void);

/* The configuration with number for each "%i"; NULL: out of memory. */
struct mote_config *launch_numbered(const struct mote_config *from,
				    unsigned int number);

/* The machine's name, or "". */
const char *launch_name(const struct mote_config *cfg);

#endif
