/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stale.h - what the guest "stale" and the test that changes memory under it
 * share: a box at STALE_BOX of guest RAM, and two regions of pages.
 *
 * Region A is the host's: word 0 of each page is the epoch that the page is of
 * (or newer); the guest only reads it.  Region B is the guest's: it writes word
 * 0 of each page and reads it again on the next round; the host may do with
 * the pages what keeps their content.
 */
#ifndef GUESTS_INCLUDE_STALE_H
#define GUESTS_INCLUDE_STALE_H

#include <stdint.h>

#define STALE_BOX   0xc00000u /* from RAM's start on */
#define STALE_A	    0x800000u
#define STALE_B	    0xa00000u /* 2 MiB of its own */
#define STALE_PAGES 64

struct stale_box {
	/* The host's. */
	volatile uint64_t epoch; /* no page of A is older; 0: not now */
	volatile uint64_t stop;
	volatile uint64_t page,
		pages;		 /* bytes, how many (STALE_PAGES at most) */
	volatile uint64_t alias; /* distance to a second view of both, or 0 */
	/* The guest's. */
	volatile uint64_t rounds;
	volatile uint64_t stale, lost;	   /* wrong reads of A, of B */
	volatile uint64_t at, saw, wanted; /* of the first one */
};

#endif
