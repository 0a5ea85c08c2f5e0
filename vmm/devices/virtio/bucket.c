/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/bucket.h"

#define NS_PER_S UINT64_C(1000000000)
#define RATE_MAX (UINT64_C(1) << 40) /* far from where sums wrap */

void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ns)
{
	if (rate > RATE_MAX)
		rate = RATE_MAX;
	*b = (struct bucket){
		.rate = rate, .level = (int64_t)rate, .at_ns = now_ns};
}

static uint64_t muldiv(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

static void fill(struct bucket *b, uint64_t now_ns)
{
	uint64_t ns = now_ns > b->at_ns ? now_ns - b->at_ns : 0, more;

	more = muldiv(ns, b->rate, NS_PER_S);
	if (more == 0)
		return;
	if ((int64_t)more < 0 || b->level + (int64_t)more >= (int64_t)b->rate) {
		b->level = (int64_t)b->rate;
		b->at_ns = now_ns;
		return;
	}
	b->level += (int64_t)more;
	/* What is less than a token stays for the next time. */
	b->at_ns += muldiv(more, NS_PER_S, b->rate);
}

uint64_t bucket_ready(struct bucket *b, uint64_t n, uint64_t now_ns)
{
	int64_t want;

	if (b->rate == 0)
		return 0;
	fill(b, now_ns);
	want = n > b->rate ? (int64_t)b->rate : (int64_t)n;
	if (b->level >= want)
		return 0;
	return now_ns + 1 +
	       muldiv((uint64_t)(want - b->level), NS_PER_S, b->rate);
}

void bucket_take(struct bucket *b, uint64_t n)
{
	if (b->rate == 0)
		return;
	if (n > RATE_MAX)
		n = RATE_MAX;
	b->level -= (int64_t)n;
}
