/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.h - a token bucket: so many a second, one second's worth at once.
 *
 * Pure: the caller says what time it is.  Threads: the caller's lock.  Trust:
 * amounts are the guest's, and any; one larger than the bucket waits until it
 * is full and then leaves it in debt, so that nothing waits for ever.
 */
#ifndef VMM_DEVICES_VIRTIO_BUCKET_H
#define VMM_DEVICES_VIRTIO_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t rate; /* tokens a second; 0: no limit */
	int64_t level; /* tokens; below 0: debt */
	uint64_t at_ns;
};

/* Full at that time (CLOCK_MONOTONIC). */
void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ns);

/* 0: n could be taken now; else when to ask again.  Takes nothing. */
uint64_t bucket_ready(struct bucket *b, uint64_t n, uint64_t now_ns);

/* Take n; after bucket_ready. */
void bucket_take(struct bucket *b, uint64_t n);

#endif
