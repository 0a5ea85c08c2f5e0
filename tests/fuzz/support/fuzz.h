/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what fuzz targets share: an input that is taken piece by piece,
 * and a promise that must hold.
 */
#ifndef TESTS_FUZZ_SUPPORT_FUZZ_H
#define TESTS_FUZZ_SUPPORT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz: broken promise: %s\n", what);
	abort();
}

/*
 * How many accesses or hypercalls a target of the hypercall surface made; told
 * at its end, "stat::calls: N".
 */
extern unsigned long fuzz_calls;

struct input {
	const uint8_t *at, *end;
};

/* Little-endian; zeros past the end. */
static inline uint64_t take(struct input *in, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)(in->at < in->end ? *in->at++ : 0) << 8 * i;
	return v;
}

static inline size_t left(const struct input *in)
{
	return (size_t)(in->end - in->at);
}

static inline void take_bytes(struct input *in, void *buf, size_t len)
{
	size_t n = len < left(in) ? len : left(in);

	if (n)
		memcpy(buf, in->at, n);
	memset((char *)buf + n, 0, len - n);
	in->at += n;
}

/* Bytes of an access: mostly what drivers use. */
static inline int take_width(struct input *in)
{
	static const int widths[] = {4, 4, 4, 4, 1, 2, 8, 1};

	return widths[take(in, 1) % 8];
}

static inline uint64_t ones(int len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * len) - 1;
}

#endif
