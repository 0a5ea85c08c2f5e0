/* SPDX-License-Identifier: Apache-2.0 */
/*
 * precopy.h - move RAM while the machine runs, until the rest of it fits a
 * pause; then stop and move the rest.
 *
 * For live migration, and for a snapshot to a target slower than memory.
 * Knows nothing of KVM or VFIO: a dirty_tracker says what changed, callbacks
 * move pages and tell the time.  Sticky pages (dirty.h) are in the prediction
 * from the first harvest on and are sent once, at the stop: a round that sent
 * them would send them for nothing.  Threads: the VM thread.
 */
#ifndef VMM_SNAPSHOT_PRECOPY_H
#define VMM_SNAPSHOT_PRECOPY_H

#include <stdbool.h>
#include <stdint.h>

struct dirty_tracker;
struct mote_err;

/* All are given opaque; NULL where there is nothing to do.  0 or -errno. */
struct precopy_target {
	/*
	 * One of the two.  send: n pages from number page on (memslot_page), in
	 * one slot.  send_all: a round's pages at once, a bit each, none beyond
	 * the last page; the callee may clear bits.  Between its calls nobody
	 * asks cancelled.
	 */
	int (*send)(void *opaque, uint64_t page, uint64_t n,
		    struct mote_err *err);
	int (*send_all)(void *opaque, uint64_t *bits, struct mote_err *err);
	uint64_t (*now_ns)(void *opaque); /* of any clock that only grows */
	/*
	 * What finish will have to move beside RAM, in bytes; asked at every
	 * prediction, so that devices can move some of it early.
	 */
	int (*pending)(void *opaque, uint64_t *bytes, struct mote_err *err);
	int (*pause)(void *opaque, struct mote_err *err);  /* vCPUs, devices */
	int (*finish)(void *opaque, struct mote_err *err); /* their state */
	void (*resume)(void *opaque); /* undoes pause after a failure */
	bool (*cancelled)(void *opaque);
	void *opaque;
};

struct precopy_limits {
	uint64_t pause_ns;	 /* the longest pause that is wanted */
	uint64_t bandwidth;	 /* bytes a second, until one is measured */
	unsigned int rounds_max; /* 0: 30 */
	bool force;		 /* stop even if the pause will be longer */
	/*
	 * The tracker runs already, for somebody else, and goes on: what it had
	 * and what was found here is in it afterwards (as written).
	 */
	bool running;
	const uint64_t *first; /* what the first round sends; NULL: all */
};

struct precopy_result {
	unsigned int rounds;   /* before the stop; the first sends all of RAM */
	bool fits;	       /* predicted_ns is within the limit */
	uint64_t predicted_ns; /* of the pause, when it was decided */
	uint64_t pause_ns;     /* what it took */
	uint64_t bandwidth;    /* as measured last */
	uint64_t round_pages;  /* sent while running */
	uint64_t stop_pages;   /* sent during the pause */
	uint64_t sticky_pages; /* of those: sticky */
	uint64_t resent_pages; /* sent more than once */
	uint64_t resent_sticky; /* of those: sticky at the stop */
	uint64_t state_bytes;	/* as predicted */
};

/*
 * Start the tracker (its sources are added, it does not run), move everything
 * and stop it, also after a failure.  On success the machine is paused and
 * all of it has been sent.  Else it runs, as it did: -ECANCELED, -ETIME (the
 * pause would not fit and force is not set; the message says what is in the
 * way), or what a callback returned.  *r is filled in as far as it came.
 */
int precopy_run(struct dirty_tracker *t, const struct precopy_target *to,
		const struct precopy_limits *limits, struct precopy_result *r,
		struct mote_err *err);

#endif
