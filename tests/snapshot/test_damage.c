/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_damage.c - a golden snapshot is damaged in every place that it has:
 * open and verify must say where, whoever did it.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/stress.h"
#include "memory/pager.h"
#include "mote.h"
#include "snapshot/golden.h"
#include "snapshot/manifest.h"
#include "snapshot/paged.h"
#include "snapshot/ram.h"
#include "snapshot/snapshot.h"

#define GOLDEN "x86_64/counter-1"
#define PAGE   4096u

static struct golden g;

static void setup(void)
{
	golden_copy(&g, GOLDEN);
}

static void teardown(void)
{
	golden_remove(&g);
}

TestSuite(stress_damage, .init = setup, .fini = teardown, .timeout = 3600);

/* xorshift: the same bits in every run. */
static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void flip(enum golden_file f, uint64_t bit)
{
	uint8_t b;

	cr_assert_eq(fd_pread_full(g.fd[f], &b, 1, bit / 8), 0);
	b ^= (uint8_t)(1u << bit % 8);
	cr_assert_eq(fd_pwrite_full(g.fd[f], &b, 1, bit / 8), 0);
}

typedef int check_fn(const char *dir, struct mote_err *err);

/* Refused as bad data, in words that have both. */
static void expect_refused_by(check_fn *check, uint64_t at, const char *file,
			      const char *place)
{
	struct mote_err err = {0};
	int ret = check(g.dir, &err);

	cr_assert_lt(ret, 0, "%s: %llu is not found", file,
		     (unsigned long long)at);
	cr_assert_eq(mote_err_exit_code(&err), ERR_CLASS_DATA, "%s: %llu: %s",
		     file, (unsigned long long)at, err.msg);
	cr_assert(strstr(err.msg, file) && strstr(err.msg, place),
		  "%s: %llu: no \"%s\" in: %s", file, (unsigned long long)at,
		  place, err.msg);
}

static void expect_refused(uint64_t at, const char *file, const char *place)
{
	expect_refused_by(golden_verify, at, file, place);
}

Test(stress_damage, every_bit_of_the_manifest)
{
	for (uint64_t bit = 0; bit < g.size[GOLDEN_MANIFEST] * 8; bit++) {
		flip(GOLDEN_MANIFEST, bit);
		expect_refused(bit, "manifest", ": ");
		flip(GOLDEN_MANIFEST, bit);
	}
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
}

/* Where byte at lies: "section NAME[N], offset HEADER". */
static void place_of(const struct snap_reader *r, const uint8_t *state,
		     uint64_t at, char *text, size_t size)
{
	snprintf(text, size, "offset");
	for (int i = 0; i < r->count; i++) {
		const struct snap_section *s = &r->section[i];
		uint64_t begin = (uint64_t)(s->data - state);

		if (at >= begin && at < begin + s->len)
			snprintf(text, size, "section %s[%u], offset %llu",
				 s->name, s->instance,
				 (unsigned long long)begin - 64);
	}
}

Test(stress_damage, every_bit_of_the_state)
{
	static struct snap_reader r;
	uint8_t *state = golden_read(&g, GOLDEN_STATE);
	char place[96];

	cr_assert_eq(snap_reader_init(&r, state, g.size[GOLDEN_STATE], NULL),
		     0);
	for (uint64_t bit = 0; bit < g.size[GOLDEN_STATE] * 8; bit++) {
		place_of(&r, state, bit / 8, place, sizeof(place));
		flip(GOLDEN_STATE, bit);
		expect_refused(bit, "state: ", place);
		flip(GOLDEN_STATE, bit);
	}
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
	free(state);
}

/* Which chunk holds the bit, in the words of an error. */
static void chunk_of(uint64_t bit, char *text, size_t size)
{
	uint64_t begin = bit / 8 / RAM_CHUNK * RAM_CHUNK;

	snprintf(text, size, "memory: offset %llu to %llu",
		 (unsigned long long)begin,
		 (unsigned long long)(begin + RAM_CHUNK));
}

static void damage_memory(uint64_t bit, check_fn *check)
{
	char place[96];

	chunk_of(bit, place, sizeof(place));
	flip(GOLDEN_MEMORY, bit);
	expect_refused_by(check, bit, "memory", place);
	flip(GOLDEN_MEMORY, bit);
}

Test(stress_damage, every_bit_of_the_first_and_last_page)
{
	uint64_t bits = PAGE * 8, last = (g.size[GOLDEN_MEMORY] - PAGE) * 8;
	uint64_t step =
		(uint64_t)(bits / (uint64_t)stress_count(128, PAGE * 8));

	for (uint64_t bit = 0; bit < bits; bit += step) {
		damage_memory(bit, golden_verify);
		damage_memory(last + bit, golden_verify);
	}
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
}

static uint64_t random_bit(void)
{
	return next_random() % (g.size[GOLDEN_MEMORY] * 8);
}

/* What verify=eager and mote verify ask. */
Test(stress_damage, random_bits_of_the_memory)
{
	for (long n = stress_count(500, 100000); n > 0; n--)
		damage_memory(random_bit(), golden_verify);
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
}

/* What verify=once asks, before there is a machine. */
static int seal(const char *dir, struct mote_err *err)
{
	struct mote_snapshot *s;
	int ret = mote_snapshot_open(AT_FDCWD, dir, &s, err);

	if (ret < 0)
		return ret;
	ret = mote_snapshot_seal(s, err);
	mote_snapshot_close(s);
	return ret;
}

Test(stress_damage, random_bits_while_memory_is_sealed)
{
	for (long n = stress_count(500, 100000); n > 0; n--)
		damage_memory(random_bit(), seal);
	cr_expect_eq(seal(g.dir, NULL), 0);
}

/* --- what verify=lazy does: RAM that a pager fills --------------------------
 */

struct paged {
	struct snapshot s;
	struct map ram;
	struct pager *pager;
	atomic_bool failed; /* it was told so */
};

static void note_failed(void *owner)
{
	atomic_store((atomic_bool *)owner, true);
}

/* As snapshot_load and build_vm do it, without the machine. */
static void paged_open(struct paged *p, int uffd)
{
	const struct pager_ops ops = {.fill = paged_fill_verified,
				      .source = &p->s,
				      .failed = note_failed,
				      .owner = &p->failed};
	struct mote_err err = {0};

	atomic_init(&p->failed, false);
	cr_assert_eq(snapshot_open(&p->s, AT_FDCWD, g.dir, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(snapshot_seal(&p->s, false, &err), 0, "%s", err.msg);
	cr_assert_eq(map_anon(&p->ram, g.size[GOLDEN_MEMORY], RAM_CHUNK, &err),
		     0, "%s", err.msg);
	cr_assert_eq(pager_create(&p->pager, uffd, RAM_CHUNK, &ops, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(pager_add(p->pager, &p->ram, &err), 0, "%s", err.msg);
	cr_assert_eq(pager_start(p->pager, &err), 0, "%s", err.msg);
}

static void paged_close(struct paged *p)
{
	pager_destroy(p->pager);
	map_fini(&p->ram);
	snapshot_close(&p->s);
}

/* The page at off, of which nobody may see a byte. */
static void expect_unseen(struct paged *p, uint64_t off, uint64_t bit)
{
	const char *page = (char *)p->ram.addr + off / PAGE * PAGE;

	/* The first byte faults, and is answered once the owner was told. */
	cr_assert(mem_is_zero(page, PAGE), "%llu: the page at %llu was seen",
		  (unsigned long long)bit, (unsigned long long)off);
	cr_assert(atomic_load(&p->failed), "%llu: the owner was not told",
		  (unsigned long long)bit);
}

static void touch_damaged(uint64_t bit, uint64_t first, uint64_t full, int uffd)
{
	char place[96], want[512];
	struct mote_err err = {0};
	struct paged p;

	chunk_of(bit, place, sizeof(place));
	paged_open(&p, uffd);
	flip(GOLDEN_MEMORY, bit);
	expect_unseen(&p, first, bit);
	expect_unseen(&p, bit / 8, bit);
	expect_unseen(&p, full, bit);
	flip(GOLDEN_MEMORY, bit);
	cr_assert(pager_failed(p.pager, &err));
	snprintf(want, sizeof(want),
		 "snapshot %s: chunk %llu: %s: digest does not match", p.s.name,
		 (unsigned long long)(bit / 8 / RAM_CHUNK), place);
	cr_assert_str_eq(err.msg, want);
	cr_assert_eq(mote_err_exit_code(&err), ERR_CLASS_DATA);
	paged_close(&p);
}

/* It is there as it was, and how far the first page that is not zeros is. */
static uint64_t expect_sound(int uffd)
{
	uint8_t *memory = golden_read(&g, GOLDEN_MEMORY);
	struct paged p;
	uint64_t at = 0;

	paged_open(&p, uffd);
	cr_assert_arr_eq(p.ram.addr, memory, g.size[GOLDEN_MEMORY]);
	cr_assert_not(pager_failed(p.pager, NULL));
	while (mem_is_zero((char *)p.ram.addr + at, PAGE))
		at += PAGE;
	paged_close(&p);
	free(memory);
	return at;
}

/* Whichever page of the chunk is touched first, none of it is seen. */
Test(stress_damage, random_bits_of_memory_that_is_paged_in)
{
	struct mote_err err = {0};
	int uffd = pager_open(&err);
	uint64_t full;

	if (uffd < 0)
		cr_skip_test("%s", err.msg);
	full = expect_sound(uffd);
	for (long n = stress_count(500, 100000); n > 0; n--) {
		uint64_t bit = random_bit();

		touch_damaged(bit, random_bit() / 8, full, uffd);
	}
	expect_sound(uffd);
	fd_close(uffd);
	cr_expect_eq(map_live(), 0);
}

/* --- cut, swapped, mixed --------------------------------------------------
 */

static void cut_everywhere(enum golden_file f, const char *name, uint64_t step)
{
	void *whole = golden_read(&g, f);

	for (uint64_t len = 0; len < g.size[f]; len += step) {
		cr_assert_eq(ftruncate(g.fd[f], (off_t)len), 0);
		expect_refused(len, name, ": ");
		cr_assert_eq(fd_pwrite_full(g.fd[f], whole, g.size[f], 0), 0);
	}
	free(whole);
}

Test(stress_damage, a_file_that_is_cut_anywhere)
{
	cut_everywhere(GOLDEN_MANIFEST, "manifest", 1);
	cut_everywhere(GOLDEN_STATE, "state: ", 1);
	cut_everywhere(GOLDEN_MEMORY, "memory: ", PAGE * 3 + 1);
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
}

Test(stress_damage, a_file_that_has_more)
{
	for (int f = 0; f < GOLDEN_FILES; f++) {
		cr_assert_eq(fd_pwrite_full(g.fd[f], "", 1, g.size[f]), 0);
		expect_refused((uint64_t)f, golden_name[f], ": ");
		cr_assert_eq(ftruncate(g.fd[f], (off_t)g.size[f]), 0);
	}
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
}

/* Section i stands where j does, and the other way; each is sound. */
static void swap_sections(const struct snap_reader *r, int i, int j)
{
	struct snap_writer w;

	snap_writer_init(&w);
	for (int k = 0; k < r->count; k++)
		golden_put_section(&w, &r->section[k == i   ? j
						   : k == j ? i
							    : k]);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	cr_assert_eq(fd_pwrite_full(g.fd[GOLDEN_STATE], w.buf, w.len, 0), 0);
	snap_writer_fini(&w);
}

Test(stress_damage, two_sections_that_changed_places)
{
	static struct snap_reader r;
	uint8_t *state = golden_read(&g, GOLDEN_STATE);

	cr_assert_eq(snap_reader_init(&r, state, g.size[GOLDEN_STATE], NULL),
		     0);
	cr_assert_geq(r.count, 6);
	for (int i = 0; i < r.count; i++)
		for (int j = i + 1; j < r.count; j++) {
			swap_sections(&r, i, j);
			expect_refused((uint64_t)i,
				       "state: ", "parts of two snapshots?");
		}
	swap_sections(&r, 0, 0);
	cr_expect_eq(golden_verify(g.dir, NULL), 0);
	free(state);
}

/* A second one: the same with another byte of memory and digests to it. */
static void make_other(struct golden *o)
{
	golden_copy(o, GOLDEN);
	cr_assert_eq(fd_pwrite_full(o->fd[GOLDEN_MEMORY], "other", 5, 77777),
		     0);
	golden_repair_memory(o);
	cr_assert_eq(golden_verify(o->dir, NULL), 0, "the repair is wrong");
}

Test(stress_damage, files_of_two_snapshots)
{
	struct golden o;

	make_other(&o);
	for (int mix = 1; mix < 7; mix++) {
		struct golden m;

		golden_copy(&m, GOLDEN);
		for (int f = 0; f < GOLDEN_FILES; f++) {
			void *p = golden_read(&o, (enum golden_file)f);

			if (mix & 1 << f)
				golden_write(&m, (enum golden_file)f, p,
					     o.size[f]);
			free(p);
		}
		cr_expect_lt(golden_verify(m.dir, NULL), 0, "mix %d", mix);
		golden_remove(&m);
	}
	golden_remove(&o);
}

/* --- who repairs the digests -----------------------------------------------
 */

static long max_rss_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* All that the command line does with a snapshot but run it. */
static int look_at(const char *dir)
{
	struct mote_snapshot *s;
	struct mote_err err = {0};
	int ret = mote_snapshot_open(AT_FDCWD, dir, &s, &err);

	if (ret == 0) {
		struct mote_config *cfg = mote_config_new();

		free(mote_snapshot_describe(s, true, &err));
		free(mote_snapshot_describe(s, false, &err));
		mote_snapshot_config(s, cfg, &err);
		mote_snapshot_compat(s, &err);
		err.msg[0] = 0;
		ret = mote_snapshot_verify(s, &err);
		mote_config_free(cfg);
		mote_snapshot_close(s);
	}
	cr_assert_eq(ret < 0, err.msg[0] != 0, "%d: %s", ret, err.msg);
	return ret;
}

/* Some bytes of p become others, small and large numbers among them. */
static void mutate(uint8_t *p, uint64_t len)
{
	static const uint64_t odd[] = {0,	   1,	       0xff,
				       0x7fffffff, UINT32_MAX, INT64_MAX,
				       UINT64_MAX, 1u << 20};

	for (uint64_t n = 1 + next_random() % 4; n > 0; n--) {
		uint64_t at = next_random() % len,
			 size = 1u << next_random() % 4;
		uint64_t v = odd[next_random() % ARRAY_SIZE(odd)];

		if (next_random() % 2)
			v = next_random();
		memcpy(p + at, &v, num_min(size, len - at));
	}
}

Test(stress_damage, digests_that_an_attacker_repaired)
{
	uint8_t *state = golden_read(&g, GOLDEN_STATE);
	uint8_t *manifest = golden_read(&g, GOLDEN_MANIFEST);
	uint64_t slen = g.size[GOLDEN_STATE], mlen = g.size[GOLDEN_MANIFEST];
	uint8_t *buf = malloc(slen + mlen);
	long before = 0, all = stress_count(3000, 200000), sound = 0;

	cr_assert_not_null(buf);
	for (long n = 0; n < all; n++) {
		uint64_t cut = next_random() % 8 ? 0 : next_random() % 100;

		memcpy(buf, state, slen);
		memcpy(buf + slen, manifest, mlen);
		if (n % 4) {
			/* Not the header's magic: behind it is more to see. */
			mutate(buf + 8, slen - 8);
			golden_repair_state(&g, buf, slen - cut,
					    (char *)buf + slen, mlen);
		} else {
			golden_write(&g, GOLDEN_STATE, state, slen);
			mutate(buf + slen + 16, mlen - 16);
			golden_repair_manifest(&g, (char *)buf + slen, mlen);
		}
		sound += look_at(g.dir) == 0;
		if (n == 100)
			before = max_rss_kib();
	}
	cr_log_info("%ld of %ld are sound now", sound, all);
	cr_expect_gt(sound, 0, "no digest was repaired");
	cr_expect_lt(sound, all);
	if (!getenv("MOTE_SANITIZER")) /* those keep what was freed */
		cr_expect_lt(max_rss_kib() - before, 16 << 10,
			     "KiB more than at first");
	free(buf);
	free(manifest);
	free(state);
}

/* --- a file that nobody can change is read once ----------------------------
 */

static int set_immutable(int fd, bool on)
{
	long flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

/* Is its first page in the page cache? */
static bool is_cached(int fd)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) == 1;
}

static void forget(int fd)
{
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

Test(stress_damage, an_immutable_file_is_verified_once)
{
	struct mote_err err = {0};
	struct mote_snapshot *s;
	int fd = g.fd[GOLDEN_MEMORY], ret = set_immutable(fd, true);

	if (ret < 0)
		cr_skip_test("/tmp: chattr +i: %s", strerror(-ret));
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, g.dir, &s, &err), 0);
	cr_expect_eq(mote_snapshot_verify(s, &err), 0, "%s", err.msg);
	forget(fd);
	if (!is_cached(fd)) { /* as in a memory file system */
		cr_expect_eq(mote_snapshot_verify(s, &err), 0, "%s", err.msg);
		cr_expect_not(is_cached(fd), "it was read again");
	}
	/* Whoever may take the mark away may change it: then it is another. */
	cr_expect_eq(set_immutable(fd, false), 0);
	flip(GOLDEN_MEMORY, 0);
	cr_expect_eq(set_immutable(fd, true), 0);
	cr_expect_eq(mote_snapshot_verify(s, &err), -EBADMSG);
	cr_expect_eq(set_immutable(fd, false), 0);
	cr_expect_eq(mote_snapshot_verify(s, &err), -EBADMSG);
	flip(GOLDEN_MEMORY, 0);
	/* Without the mark each time is the first. */
	cr_expect_eq(mote_snapshot_verify(s, &err), 0, "%s", err.msg);
	flip(GOLDEN_MEMORY, 0);
	cr_expect_eq(mote_snapshot_verify(s, &err), -EBADMSG);
	mote_snapshot_close(s);
}
