/* SPDX-License-Identifier: Apache-2.0 */
/*
 * villain.h - a driver that breaks one rule at a time: what its tables share.
 *
 * A test does its wrong and says what it saw; the driver then resets the
 * device, sets it up as it should and makes a request.  Verdicts: PASS, the
 * device went on or refused; NEEDS_RESET, it said so; WEDGED, it did not work
 * again, or did what it must not.
 */
#ifndef GUESTS_VILLAIN_VILLAIN_H
#define GUESTS_VILLAIN_VILLAIN_H

#include "virtio.h"

enum verdict {
	PASS,
	NEEDS_RESET,
	WEDGED,
	EITHER, /* as an expectation: PASS or NEEDS_RESET */
};

/* One of the devices, and its queue that is driven. */
struct kind {
	const char *name;
	uint32_t id;
	uint16_t queue, queues;
	uint16_t descs;	    /* of a good request */
	void (*good)(void); /* puts it into descriptors 0 and on */
};

struct test {
	const char *name;
	enum verdict expect;
	enum verdict (*run)(void);
};

#define SIZE	16
#define DATA	4096u
#define RAM_END ((uint64_t)ram_end)

extern const struct kind *kind;
extern struct vdev dev;
extern struct vring ring;
extern struct vring other; /* the queue that is not driven */
extern struct vdesc table[512];
extern uint8_t data[65536];
extern uint64_t ram_end;
extern uint64_t features; /* that setup asks for */

/* Features, queues, not yet DRIVER_OK; false: refused. */
int begin(uint16_t size);
int setup(void); /* and DRIVER_OK */

/* Offer head 0 and kick; what became of it. */
enum verdict go(void);
/* Only wait: for that many that came back, or NEEDS_RESET. */
enum verdict outcome(uint16_t used);
/* A good request, here and now, without a reset: PASS or WEDGED. */
enum verdict works(void);
/* PASS where it is as it must be. */
enum verdict must(int ok);
/* Nothing came of it, and the device still works. */
enum verdict unmoved(void);

extern const struct test transport_tests[], queue_tests[], blk_tests[],
	net_tests[], rng_tests[];

#endif
