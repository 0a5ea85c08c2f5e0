/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_precopy.c - the driver against a machine and a link that are models.
 *
 * The clock is the link's: it moves by what was sent, nothing else.  So how
 * well a pause was predicted is exact, whatever this host is doing.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "memory/dirty.h"
#include "memory/memslot.h"
#include "snapshot/precopy.h"

#define MS	 UINT64_C(1000000)
#define LINK	 (64 * MIB) /* bytes a second */
#define RAM_MIB	 256
#define MIB_NS	 (1000 * MS / 64) /* a MiB on that link */
#define STICKY_0 0		  /* first MiB of the device's pins */
#define CPU_0	 64		  /* first MiB that the guest writes */

/* A machine with RAM_MIB in two slots. */
static struct {
	uint64_t clock;
	uint64_t sticky;    /* pages held from the start */
	uint64_t burst;	    /* pages the guest writes while round 1 is sent */
	uint64_t per_s;	    /* then so many a second, in the same place */
	uint64_t owed_from; /* clock of the last harvest */
	uint64_t state;	    /* bytes of device state */
	bool hidden;	    /* devices' pages are asked for at the stop alone */
	bool burst_done, paused, finished;
	int starts, stops, resumes, sends, fail_send, cancel_at;
	uint64_t bytes;
	uint8_t *count; /* how often each page was sent */
	bool sent_paused;
} m;

static struct memslot_table slots;
static struct dirty_tracker t;
static struct precopy_result r;
static struct mote_err err;
static uint64_t page, mib; /* mib: pages of one */

static int on_start(void *opaque, struct mote_err *e)
{
	m.starts++;
	return 0;
}

static int on_stop(void *opaque, struct mote_err *e)
{
	m.stops++;
	return 0;
}

/* Pages [first, first + n) of all, as bits of the slot that begins at base. */
static void put(uint64_t first, uint64_t n, uint64_t base, uint64_t pages,
		uint64_t *bits)
{
	for (uint64_t i = first; i < first + n; i++)
		if (i >= base && i < base + pages)
			bitmap_set(bits, i - base);
}

static uint64_t base_of(int slot)
{
	return slot ? RAM_MIB / 2 * mib : 0;
}

static int cpu(void *opaque, int slot, uint64_t gpa, uint64_t pages,
	       uint64_t *bits, enum dirty_class *class, struct mote_err *e)
{
	static uint64_t now, from;
	uint64_t n;

	*class = DIRTY_WRITTEN;
	if (slot == 0) { /* both slots see the same moment */
		now = m.clock;
		from = m.owed_from;
		m.owed_from = now;
	}
	n = m.paused ? 0 : (now - from) * m.per_s / (1000 * MS);
	if (m.burst && now && !m.burst_done)
		n = m.burst;
	if (slot)
		m.burst_done |= now > 0;
	put(CPU_0 * mib, n, base_of(slot), pages, bits);
	return 0;
}

static int device(void *opaque, int slot, uint64_t gpa, uint64_t pages,
		  uint64_t *bits, enum dirty_class *class, struct mote_err *e)
{
	*class = DIRTY_STICKY;
	if (!m.hidden || m.paused)
		put(STICKY_0 * mib, m.sticky, base_of(slot), pages, bits);
	return 0;
}

static int send_pages(void *opaque, uint64_t first, uint64_t n,
		      struct mote_err *e)
{
	uint64_t left;

	if (++m.sends == m.fail_send)
		return err_set(e, EPIPE, "the link is gone");
	cr_assert_not_null(memslot_page(&slots, first, &left));
	cr_assert_leq(n, left, "a run within a slot");
	for (uint64_t i = first; i < first + n; i++)
		m.count[i]++;
	m.bytes += n * page;
	m.clock += n * page * 1000 * MS / LINK;
	m.sent_paused |= m.paused;
	return 0;
}

static uint64_t now_ns(void *opaque)
{
	return m.clock;
}

static int pending(void *opaque, uint64_t *bytes, struct mote_err *e)
{
	*bytes = m.state;
	return 0;
}

static int pause_it(void *opaque, struct mote_err *e)
{
	cr_expect_not(m.paused);
	m.paused = true;
	return 0;
}

static int finish(void *opaque, struct mote_err *e)
{
	cr_expect(m.paused);
	m.finished = true;
	m.clock += m.state * 1000 * MS / LINK;
	return 0;
}

static void resume(void *opaque)
{
	m.resumes++;
	m.paused = false;
}

static bool cancelled(void *opaque)
{
	return m.cancel_at && m.sends >= m.cancel_at;
}

static const struct precopy_target target = {
	.send = send_pages,
	.now_ns = now_ns,
	.pending = pending,
	.pause = pause_it,
	.finish = finish,
	.resume = resume,
	.cancelled = cancelled,
};

static void setup(void)
{
	struct dirty_source src = {.start = on_start, .stop = on_stop};

	page = host_page_size();
	mib = MIB / page;
	memset(&m, 0, sizeof(m));
	memset(&slots, 0, sizeof(slots));
	slots.vm_fd = -1;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(map_anon(&slots.slot[i].ram, RAM_MIB / 2 * MIB, 0,
				      NULL),
			     0);
		slots.slot[i].gpa = (uint64_t)i * GIB;
		slots.slot[i].dirty = calloc(RAM_MIB / 2 * mib / 64 + 1, 8);
	}
	m.count = calloc(RAM_MIB * mib, 1);
	cr_assert_eq(dirty_init(&t, &slots, NULL), 0);
	t.count = 0; /* there is no KVM here */
	src.name = "cpu";
	src.harvest = cpu;
	cr_assert_eq(dirty_add_source(&t, &src, NULL), 0);
	src.name = "device";
	src.harvest = device;
	cr_assert_eq(dirty_add_source(&t, &src, NULL), 0);
}

TestSuite(precopy, .init = setup);

static int run(uint64_t limit_ms, bool force)
{
	const struct precopy_limits limits = {
		.pause_ns = limit_ms * MS, .bandwidth = 0, .force = force};

	return precopy_run(&t, &target, &limits, &r, &err);
}

/* What is sticky from the start to the end was sent once, in the pause. */
static void expect_sticky_once(void)
{
	for (uint64_t i = 0; i < m.sticky; i++)
		cr_assert_eq(m.count[STICKY_0 * mib + i], 1,
			     "page %d: %d times", (int)i,
			     m.count[STICKY_0 * mib + i]);
	cr_expect_eq(r.sticky_pages, m.sticky);
	cr_expect_eq(r.resent_sticky, 0);
}

static void expect_all_sent(void)
{
	for (uint64_t i = 0; i < t.pages; i++)
		cr_assert_geq(m.count[i], 1, "page %d was never sent", (int)i);
	cr_expect_eq(m.starts, 2);
	cr_expect_eq(m.stops, 2, "tracking ended");
	cr_expect(m.paused && m.finished);
	cr_expect_eq(m.resumes, 0);
}

static void expect_prediction_within(unsigned int percent)
{
	int64_t off = (int64_t)(r.pause_ns - r.predicted_ns);

	cr_expect_leq((uint64_t)llabs(off) * 100, r.pause_ns * percent,
		      "predicted %d ms, was %d ms", (int)(r.predicted_ns / MS),
		      (int)(r.pause_ns / MS));
}

Test(precopy, an_idle_machine_is_sent_once)
{
	cr_assert_eq(run(10, false), 0, "%s", err.msg);
	expect_all_sent();
	cr_expect_eq(r.rounds, 1);
	cr_expect_eq(r.round_pages, RAM_MIB * mib);
	cr_expect_eq(r.stop_pages, 0);
	cr_expect_eq(r.resent_pages, 0);
	cr_expect(r.fits);
	cr_expect_eq(r.bandwidth, LINK);
}

/*
 * 64 MiB of pins and 64 MiB that the guest wrote meanwhile, a link of 64 MiB
 * a second, a pause of 1.2 s at most: 2 s would be too long, so there is one
 * more round, and what is predicted after it is what comes.
 */
Test(precopy, sticky_pages_are_in_the_prediction_from_the_start)
{
	m.sticky = 64 * mib;
	m.burst = 64 * mib;
	m.per_s = 8 * mib;
	cr_assert_eq(run(1200, false), 0, "%s", err.msg);
	expect_all_sent();
	expect_sticky_once();
	expect_prediction_within(10);
	cr_expect_eq(r.rounds, 2);
	cr_expect(r.fits);
	cr_expect_leq(r.pause_ns, 1200 * MS);
	cr_expect_eq(r.round_pages, (192 + 64) * mib);
	cr_expect_eq(r.stop_pages, (64 + 8) * mib);
	cr_expect_eq(r.predicted_ns, 72 * MIB_NS);
}

/* A diff: the log is somebody's who will want to know all of it again. */
Test(precopy, a_tracker_that_runs_goes_on_and_forgets_nothing)
{
	uint64_t *first = calloc(bitmap_words(RAM_MIB * mib) + 1, 8);
	const struct precopy_limits limits = {
		.pause_ns = 1200 * MS, .running = true, .first = first};

	m.sticky = 16 * mib;
	m.burst = 32 * mib;
	m.burst_done = false;
	for (uint64_t i = 0; i < 8 * mib; i++)
		bitmap_set(first, 200 * mib + i);
	cr_assert_eq(dirty_start(&t, &err), 0);
	cr_assert_eq(precopy_run(&t, &target, &limits, &r, &err), 0, "%s",
		     err.msg);
	cr_expect_eq(m.starts, 2);
	cr_expect_eq(m.stops, 0);
	cr_expect(m.paused && m.finished);
	expect_sticky_once();
	for (uint64_t i = 0; i < t.pages; i++) {
		bool sent = i < 16 * mib ||
			    (i >= CPU_0 * mib && i < (CPU_0 + 32) * mib) ||
			    (i >= 200 * mib && i < 208 * mib);

		cr_assert_eq(m.count[i] > 0, sent, "page %d: %d times", (int)i,
			     m.count[i]);
	}
	cr_expect_eq(dirty_count(&t, DIRTY_WRITTEN), 32 * mib,
		     "what was sent in a round is still in the log");
	cr_expect_eq(dirty_stop(&t, &err), 0);
	cr_expect_eq(m.stops, 2);
	free(first);
}

/*
 * The ablation: devices are asked only when the machine stands.  64 MiB seem
 * to fit, and the pause is twice as long as was said.  The pins were sent in
 * the first round, for nothing.
 */
Test(precopy, asking_devices_only_at_the_stop_misses_by_two)
{
	m.sticky = 64 * mib;
	m.burst = 64 * mib;
	m.per_s = 8 * mib;
	m.hidden = true;
	cr_assert_eq(run(1200, false), 0, "%s", err.msg);
	expect_all_sent();
	cr_expect(r.fits, "so it was believed");
	cr_expect_eq(r.predicted_ns, 64 * MIB_NS);
	cr_expect_eq(r.pause_ns, 2 * r.predicted_ns);
	cr_expect_gt(r.pause_ns, 1200 * MS);
	cr_expect_eq(r.resent_sticky, 64 * mib);
}

Test(precopy, device_state_is_in_the_prediction)
{
	m.sticky = 8 * mib;
	m.state = 16 * MIB;
	cr_assert_eq(run(400, false), 0, "%s", err.msg);
	expect_all_sent();
	expect_sticky_once();
	cr_expect_eq(r.predicted_ns, 24 * MIB_NS);
	cr_expect_eq(r.pause_ns, 24 * MIB_NS);
	cr_expect_eq(r.state_bytes, 16 * MIB);
}

Test(precopy, pins_that_alone_are_too_much_end_it_after_one_round)
{
	m.sticky = 128 * mib;
	cr_assert_eq(run(1200, false), -ETIME);
	cr_expect_eq(r.rounds, 1, "no round can help");
	cr_expect(strstr(err.msg, "pause would be 2000 ms"), "%s", err.msg);
	cr_expect(strstr(err.msg, "131072 KiB are always dirty"), "%s",
		  err.msg);
	cr_expect_not(m.paused);
	cr_expect_not(m.sent_paused);
	cr_expect_eq(m.stops, 2);
}

Test(precopy, a_guest_that_writes_faster_than_the_link_is_told_so)
{
	m.burst = 64 * mib;
	m.per_s = 80 * mib;
	cr_assert_eq(run(300, false), -ETIME);
	cr_expect_geq(r.rounds, 3);
	cr_expect_leq(r.rounds, 6);
	cr_expect_not(r.fits);
	cr_expect_eq(m.stops, 2);
	cr_expect_eq(m.resumes, 0, "it was never paused");
}

Test(precopy, forced_it_stops_all_the_same_and_says_how_long)
{
	m.sticky = 16 * mib;
	m.burst = 64 * mib;
	m.per_s = 80 * mib;
	cr_assert_eq(run(300, true), 0, "%s", err.msg);
	cr_expect_not(r.fits);
	expect_all_sent();
	expect_sticky_once();
	expect_prediction_within(10);
	cr_expect_gt(r.pause_ns, 300 * MS);
}

Test(precopy, cancelled_in_a_round_it_stops_tracking)
{
	m.cancel_at = 3;
	cr_assert_eq(run(10, false), -ECANCELED);
	cr_expect_eq(m.sends, 3);
	cr_expect_eq(m.stops, 2);
	cr_expect_not(m.paused);
}

Test(precopy, a_link_that_breaks_in_the_pause_lets_the_machine_run)
{
	m.sticky = 8 * mib;
	cr_assert_eq(run(400, false), 0);
	m.fail_send = m.sends;
	m.sends = 0;
	m.paused = m.burst_done = false;
	m.clock = m.owed_from = 0;
	cr_assert_eq(run(400, false), -EPIPE);
	cr_expect_str_eq(err.msg, "the link is gone");
	cr_expect_eq(m.resumes, 1);
	cr_expect_not(m.paused);
	cr_expect_eq(m.stops, 4);
}

static int no_start(void *opaque, struct mote_err *e)
{
	return err_set(e, EBUSY, "taken");
}

Test(precopy, a_source_that_does_not_start_ends_it_before_a_page)
{
	t.source[1].start = no_start;
	cr_assert_eq(run(10, false), -EBUSY);
	cr_expect_eq(m.sends, 0);
	cr_expect_eq(m.stops, 1, "the one that had started");
}

/* A real link: the other end gets every byte, whatever time it takes. */
static int to_socket(void *opaque, uint64_t first, uint64_t n,
		     struct mote_err *e)
{
	uint64_t left;
	void *from = memslot_page(&slots, first, &left);
	int ret = fd_write_full(*(int *)opaque, &first, sizeof(first));

	if (ret == 0)
		ret = fd_write_full(*(int *)opaque, &n, sizeof(n));
	if (ret == 0)
		ret = fd_write_full(*(int *)opaque, from, n * page);
	m.clock += n;
	return ret < 0 ? err_set(e, -ret, "socket") : 0;
}

static uint8_t *copy;

static void *receive(void *arg)
{
	uint64_t head[2];

	while (fd_read_full(*(int *)arg, head, sizeof(head)) == 0)
		if (fd_read_full(*(int *)arg, copy + head[0] * page,
				 head[1] * page) < 0)
			return arg;
	return NULL;
}

Test(precopy, what_arrives_over_a_socket_is_the_machine)
{
	struct precopy_target to = target;
	struct precopy_limits limits = {.pause_ns = 1};
	pthread_t thread;
	void *failed;
	int sv[2];

	copy = calloc(RAM_MIB * mib, page);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	to.opaque = &sv[0];
	to.send = to_socket;
	m.sticky = mib;
	limits.force = true;
	for (int i = 0; i < 2; i++)
		for (uint64_t b = 0; b < RAM_MIB / 2 * MIB; b += 4096)
			((uint8_t *)slots.slot[i].ram.addr)[b] =
				(uint8_t)(b / 4096 + (uint64_t)i + 1);
	cr_assert_eq(pthread_create(&thread, NULL, receive, &sv[1]), 0);
	cr_assert_eq(precopy_run(&t, &to, &limits, &r, &err), 0, "%s", err.msg);
	close(sv[0]);
	pthread_join(thread, &failed);
	cr_expect_null(failed);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(memcmp(copy + (uint64_t)i * RAM_MIB / 2 * MIB,
				    slots.slot[i].ram.addr, RAM_MIB / 2 * MIB),
			     0);
	cr_expect_eq(r.sticky_pages, mib);
	cr_expect_eq(r.resent_pages, 0);
}

/* A machine of 70 pages, which end within a word, asked for round by round. */
#define FEW 70
static struct {
	int rounds, cancel_at;
	uint64_t pages, beyond;
} at_once;

static int send_at_once(void *opaque, uint64_t *bits, struct mote_err *e)
{
	at_once.rounds++;
	at_once.pages += bitmap_count(bits, FEW);
	at_once.beyond |= bits[FEW / 64] >> FEW % 64;
	m.clock += MS;
	memset(bits, 0, bitmap_words(FEW) * 8); /* it may */
	return 0;
}

static bool cancel_at_once(void *opaque)
{
	return at_once.cancel_at && at_once.rounds >= at_once.cancel_at;
}

static int run_at_once(void)
{
	const struct precopy_limits limits = {.pause_ns = 1, .force = true};
	struct precopy_target to = target;
	int ret;

	to.send = NULL;
	to.send_all = send_at_once;
	to.cancelled = cancel_at_once;
	slots.slot[1].ram = (struct map){0};
	slots.slot[0].ram.size = FEW * page;
	cr_assert_eq(dirty_init(&t, &slots, NULL), 0);
	t.source[0] = (struct dirty_source){
		.start = on_start, .stop = on_stop, .harvest = device};
	m.sticky = 3;
	ret = precopy_run(&t, &to, &limits, &r, &err);
	dirty_fini(&t);
	return ret;
}

Test(precopy, a_round_at_once_has_no_page_beyond_the_last)
{
	dirty_fini(&t);
	cr_assert_eq(run_at_once(), 0, "%s", err.msg);
	cr_expect_eq(at_once.beyond, 0);
	cr_expect_eq(at_once.pages, FEW, "each once");
	cr_expect_eq(at_once.rounds, (int)r.rounds + 1);
	cr_expect_eq(r.round_pages, FEW - 3);
	cr_expect_eq(r.stop_pages, 3);
	cr_expect_eq(r.resent_pages, 0);
}

Test(precopy, rounds_at_once_are_cancelled_between_them)
{
	dirty_fini(&t);
	at_once.cancel_at = 1;
	cr_expect_eq(run_at_once(), -ECANCELED);
	cr_expect_eq(at_once.rounds, 1);
	cr_expect_not(m.paused);
}
