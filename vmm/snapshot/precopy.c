/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/precopy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "memory/dirty.h"
#include "memory/memslot.h"

#define NS_PER_S   UINT64_C(1000000000)
#define ROUNDS_MAX 30
#define CHUNK	   256 /* pages between two looks at cancelled() */
/* Rounds in a row that gain less than a tenth: it will not get better. */
#define PATIENCE 3

struct run {
	struct dirty_tracker *t;
	const struct precopy_target *to;
	const struct precopy_limits *limits;
	struct precopy_result *r;
	uint64_t *now;	/* pages to send next */
	uint64_t *sent; /* pages sent at least once */
	uint64_t *kept; /* what a tracker that goes on has lost */
	uint64_t best_ns;
	unsigned int stale;
};

/* bytes / rate in nanoseconds, without overflow of what RAM can be. */
static uint64_t duration(uint64_t bytes, uint64_t rate)
{
	unsigned __int128 ns = (unsigned __int128)bytes * NS_PER_S;

	return rate ? (uint64_t)(ns / rate) : 0;
}

static int send_run(struct run *p, uint64_t at, uint64_t n,
		    struct mote_err *err)
{
	if (p->to->cancelled && p->to->cancelled(p->to->opaque))
		return err_set(err, ECANCELED, "pre-copy was cancelled");
	return p->to->send_all ? p->to->send_all(p->to->opaque, p->now, err)
			       : p->to->send(p->to->opaque, at, n, err);
}

/* In runs that stay in a slot. */
static int send_runs(struct run *p, struct mote_err *err)
{
	uint64_t pages = p->t->pages, n;
	int ret = 0;

	for (uint64_t at = 0; ret == 0; at += n) {
		at = bitmap_next(p->now, at, pages);
		if (at == pages)
			break;
		memslot_page(p->t->slots, at, &n);
		n = num_min(num_min(n, CHUNK), pages - at);
		for (uint64_t i = 1; i < n; i++)
			if (!bitmap_test(p->now, at + i))
				n = i;
		ret = send_run(p, at, n, err);
	}
	return ret;
}

/* Send the pages of p->now; counts them. */
static int send_pages(struct run *p, uint64_t *count, struct mote_err *err)
{
	uint64_t pages = p->t->pages;

	if (pages % 64)
		p->now[pages / 64] &= (UINT64_C(1) << pages % 64) - 1;
	*count += bitmap_count(p->now, pages);
	for (size_t i = 0; i < bitmap_words(pages); i++) {
		p->r->resent_pages +=
			(uint64_t)__builtin_popcountll(p->sent[i] & p->now[i]);
		p->sent[i] |= p->now[i];
	}
	return p->to->send_all ? send_run(p, 0, pages, err) : send_runs(p, err);
}

/* What a stop would have to send, and how long that would take. */
static int predict(struct run *p, uint64_t *fixed_ns, struct mote_err *err)
{
	const struct dirty_tracker *t = p->t;
	uint64_t page = host_page_size(), rate = p->r->bandwidth;
	int ret = dirty_harvest(p->t, err);

	if (ret == 0 && p->to->pending)
		ret = p->to->pending(p->to->opaque, &p->r->state_bytes, err);
	if (ret < 0)
		return ret;
	*fixed_ns = duration(
		dirty_count(t, DIRTY_STICKY) * page + p->r->state_bytes, rate);
	p->r->predicted_ns = duration(
		dirty_count(t, DIRTY_CLASSES) * page + p->r->state_bytes, rate);
	p->r->fits = rate && p->r->predicted_ns <= p->limits->pause_ns;
	return 0;
}

/* A round: what changed, or (the first) everything; never what is sticky. */
static int send_round(struct run *p, struct mote_err *err)
{
	uint64_t began = p->to->now_ns(p->to->opaque), took, pages = 0;
	int ret;

	for (size_t i = 0; i < bitmap_words(p->t->pages); i++) {
		p->now[i] = p->t->map[DIRTY_WRITTEN][i] |
			    p->t->map[DIRTY_DEVICE][i];
		p->kept[i] |= p->now[i];
		if (p->r->rounds == 0)
			p->now[i] |= p->limits->first ? p->limits->first[i]
						      : UINT64_MAX;
		p->now[i] &= ~p->t->map[DIRTY_STICKY][i];
	}
	/* Forgotten first: what changes while it is sent counts again. */
	dirty_reset(p->t);
	p->r->rounds++;
	ret = send_pages(p, &pages, err);
	p->r->round_pages += pages;
	took = p->to->now_ns(p->to->opaque) - began;
	/* A few pages tell nothing about the link. */
	if (took && (pages >= CHUNK || !p->r->bandwidth))
		p->r->bandwidth =
			(uint64_t)((unsigned __int128)pages * host_page_size() *
				   NS_PER_S / took);
	return ret;
}

/* Is there no point in another round? */
static bool hopeless(struct run *p, uint64_t fixed_ns)
{
	unsigned int most =
		p->limits->rounds_max ? p->limits->rounds_max : ROUNDS_MAX;

	if (p->r->predicted_ns < p->best_ns - p->best_ns / 10) {
		p->best_ns = p->r->predicted_ns;
		p->stale = 0;
	} else {
		p->stale++;
	}
	return p->r->rounds >= most || p->stale >= PATIENCE ||
	       fixed_ns > p->limits->pause_ns;
}

static int too_long(struct run *p, struct mote_err *err)
{
	uint64_t kib = host_page_size() / KIB;

	return err_set(
		err, ETIME,
		"the pause would be %" PRIu64 " ms, the limit is %" PRIu64
		" ms: after %u rounds %" PRIu64 " KiB change and %" PRIu64
		" KiB are always dirty (devices' pins), at %" PRIu64 " KiB/s",
		p->r->predicted_ns / 1000000, p->limits->pause_ns / 1000000,
		p->r->rounds,
		(dirty_count(p->t, DIRTY_CLASSES) -
		 dirty_count(p->t, DIRTY_STICKY)) *
			kib,
		dirty_count(p->t, DIRTY_STICKY) * kib, p->r->bandwidth / KIB);
}

static int rounds(struct run *p, struct mote_err *err)
{
	uint64_t fixed_ns;
	int ret = predict(p, &fixed_ns, err);

	/* Everything goes once; what is sticky need not wait to be known. */
	if (ret == 0 && !p->limits->force && fixed_ns > p->limits->pause_ns)
		return too_long(p, err);
	while (ret == 0) {
		ret = send_round(p, err);
		if (ret == 0)
			ret = predict(p, &fixed_ns, err);
		if (ret < 0 || p->r->fits)
			break;
		if (hopeless(p, fixed_ns))
			return p->limits->force ? 0 : too_long(p, err);
	}
	return ret;
}

/* The machine stands still: the rest, each page once, and the state. */
static int send_rest(struct run *p, struct mote_err *err)
{
	const uint64_t *sticky = p->t->map[DIRTY_STICKY];
	int ret = dirty_harvest(p->t, err);

	if (ret < 0)
		return ret;
	memset(p->now, 0, bitmap_words(p->t->pages) * sizeof(*p->now));
	dirty_union(p->t, p->now);
	for (size_t i = 0; i < bitmap_words(p->t->pages); i++)
		p->r->resent_sticky +=
			(uint64_t)__builtin_popcountll(sticky[i] & p->sent[i]);
	p->r->sticky_pages = dirty_count(p->t, DIRTY_STICKY);
	ret = send_pages(p, &p->r->stop_pages, err);
	if (ret == 0 && p->to->finish)
		ret = p->to->finish(p->to->opaque, err);
	return ret;
}

static int stop_and_finish(struct run *p, struct mote_err *err)
{
	uint64_t began = p->to->now_ns(p->to->opaque);
	int ret = p->to->pause ? p->to->pause(p->to->opaque, err) : 0;

	if (ret < 0)
		return ret;
	ret = send_rest(p, err);
	p->r->pause_ns = p->to->now_ns(p->to->opaque) - began;
	if (ret < 0 && p->to->resume)
		p->to->resume(p->to->opaque);
	return ret;
}

int precopy_run(struct dirty_tracker *t, const struct precopy_target *to,
		const struct precopy_limits *limits, struct precopy_result *r,
		struct mote_err *err)
{
	size_t words = bitmap_words(t->pages) + 1;
	cleanup_free uint64_t *now = calloc(words, sizeof(*now));
	cleanup_free uint64_t *sent = calloc(words, sizeof(*sent));
	cleanup_free uint64_t *kept = calloc(words, sizeof(*kept));
	struct run p = {.t = t,
			.to = to,
			.limits = limits,
			.r = r,
			.now = now,
			.sent = sent,
			.kept = kept,
			.best_ns = UINT64_MAX};
	int ret;

	*r = (struct precopy_result){.bandwidth = limits->bandwidth};
	if (!now || !sent || !kept)
		return err_set(err, ENOMEM, "pre-copy: %" PRIu64 " pages",
			       t->pages);
	/* Before the first page is copied, or its changes go unseen. */
	ret = limits->running ? 0 : dirty_start(t, err);
	if (ret < 0)
		return ret;
	ret = rounds(&p, err);
	if (ret == 0)
		ret = stop_and_finish(&p, err);
	/* A log that stays on costs, no more: all has been sent. */
	if (limits->running)
		bitmap_or(t->map[DIRTY_WRITTEN], kept, t->pages);
	else
		dirty_stop(t, NULL);
	return ret;
}
