/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h - what the guest parse and its driver (examples/fuzz/rewind.c) share
 * in guest memory: an input, and how often each edge was taken for it.
 */
#ifndef GUESTS_PARSE_PARSE_H
#define GUESTS_PARSE_PARSE_H

#include <stdint.h>

#define PARSE_AT	(8ul << 20) /* offset in RAM */
#define PARSE_INPUT_MAX 4000
#define PARSE_EDGES	2048

struct parse_page {
	uint32_t len;
	uint8_t input[PARSE_INPUT_MAX];
	uint8_t edge[PARSE_EDGES];
};

#endif
