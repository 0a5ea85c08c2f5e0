/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rounds.c - snapshots of snapshots, many times over: nothing may drift,
 * get lost or come twice.  A slice with all other tests, whole by
 * make test-long.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/stress.h"
#include "kvm/vmtest.h"
#include "memory/memslot.h"

#define LONG_TIMEOUT 3600
#define ENDLESS	     "rounds=1000000000"

static void pause_vm(struct vmtest *t)
{
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vm_dispatch(t->vm);
}

/* The guest has worked since the last time. */
static void work(struct vmtest *t)
{
	t->out_len = 0;
	t->out[0] = 0;
	vmtest_wait_for(t, "round ");
}

static void work_and_pause(struct vmtest *t)
{
	work(t);
	pause_vm(t);
}

static void load(struct vmtest *t, const struct vmtest_snapshot *s)
{
	vmtest_init(t, "");
	t->cfg.vm.cmdline[0] = 0;
	vmtest_load(t, s);
}

static void run(struct vmtest *t)
{
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

/* --- saved again unrun -----------------------------------------------------
 */

Test(stress_rounds, saved_again_unrun_is_the_same_every_time,
     .timeout = LONG_TIMEOUT)
{
	struct vmtest_snapshot first, last, next;
	struct vmtest t;
	long rounds = stress_count(20, 1000);

	vmtest_init(&t, ENDLESS);
	vmtest_start(&t, "sum");
	work_and_pause(&t);
	vmtest_save(&t, &first);
	vmtest_fini(&t);
	last = first;
	for (long i = 0; i < rounds; i++) {
		vmtest_init(&t, ENDLESS);
		vmtest_load(&t, &last);
		vmtest_save(&t, &next);
		vmtest_expect_same(&last, &next);
		vmtest_fini(&t);
		if (i > 0)
			vmtest_remove(&last);
		last = next;
	}
	vmtest_expect_same(&first, &last);
	vmtest_remove(&last);
	vmtest_remove(&first);
}

/* --- a chain is the full one -----------------------------------------------
 */

static int open_in(const struct vmtest_snapshot *s, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void merge(const struct vmtest_snapshot *s, struct vmtest_snapshot *out)
{
	struct snapshot *snap = calloc(1, sizeof(*snap));
	struct mote_err err = {0};
	struct snapshot_files f;

	cr_assert_not_null(snap);
	snprintf(out->dir, sizeof(out->dir), "/tmp/vmtest-XXXXXX");
	cr_assert_not_null(mkdtemp(out->dir));
	f = (struct snapshot_files){open_in(out, "manifest"),
				    open_in(out, "state"),
				    open_in(out, "memory")};
	cr_assert_eq(snapshot_open(snap, AT_FDCWD, s->dir, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(snapshot_merge(snap, &f, &err), 0, "%s", err.msg);
	snapshot_close(snap);
	free(snap);
	fd_close(f.manifest_fd);
	fd_close(f.state_fd);
	fd_close(f.memory_fd);
}

static void expect_same_memory(const struct vmtest_snapshot *a,
			       const struct vmtest_snapshot *b, long round)
{
	char cmd[192];

	snprintf(cmd, sizeof(cmd), "cmp %s/memory %s/memory", a->dir, b->dir);
	cr_assert_eq(system(cmd), 0, "round %ld: %s", round, cmd);
}

/* KiB of this process that are in swap. */
static long swapped(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmSwap: %ld", &kib);
	fclose(f);
	return kib;
}

/* As a host that is short of memory does. */
static void page_out(struct vmtest *t)
{
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct map *ram = &t->vm->slots.slot[i].ram;

		if (ram->addr)
			cr_assert_eq(
				madvise(ram->addr, ram->size, MADV_PAGEOUT), 0,
				"%s", strerror(errno));
	}
}

/* base + diff + diff against the full one; *base becomes that one. */
static long chain_round(struct vmtest_snapshot *base, bool pressure, long round)
{
	struct vmtest_snapshot one, two, full, merged;
	long most = 0;
	struct vmtest t;

	load(&t, base);
	run(&t);
	work_and_pause(&t);
	if (pressure)
		page_out(&t);
	most = swapped();
	vmtest_save_diff(&t, &one, true);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	if (pressure)
		page_out(&t); /* the guest runs */
	work_and_pause(&t);
	if (pressure)
		page_out(&t);
	most = swapped() > most ? swapped() : most;
	vmtest_save_diff(&t, &two, true);
	vmtest_save(&t, &full);
	vmtest_fini(&t);
	merge(&two, &merged);
	expect_same_memory(&merged, &full, round);
	vmtest_remove(&merged);
	vmtest_remove(&two);
	vmtest_remove(&one);
	vmtest_remove(base);
	*base = full;
	return most;
}

static long chain_rounds(bool pressure)
{
	struct vmtest_snapshot base;
	long rounds = stress_count(5, 100), most = 0;
	struct vmtest t;

	vmtest_init(&t, ENDLESS);
	vmtest_start(&t, "sum");
	work_and_pause(&t);
	vmtest_save(&t, &base);
	vmtest_fini(&t);
	for (long i = 0; i < rounds; i++) {
		long kib = chain_round(&base, pressure, i);

		most = kib > most ? kib : most;
	}
	vmtest_remove(&base);
	return most;
}

Test(stress_rounds, a_chain_of_diffs_is_the_full_one_every_time,
     .timeout = LONG_TIMEOUT)
{
	chain_rounds(false);
}

static bool have_swap(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[256];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n++;
	if (f)
		fclose(f);
	return n > 1; /* the first is the title */
}

Test(stress_rounds, a_chain_of_diffs_under_memory_pressure,
     .timeout = LONG_TIMEOUT)
{
	if (!have_swap())
		cr_skip_test("no swap: make test-long as root makes some");
	cr_expect_gt(chain_rounds(true), 0, "nothing of it was swapped out");
}

/* --- work goes on ----------------------------------------------------------
 */

#define WORK "rounds=16000"

/* What is behind "sum " in the last output, as text. */
static void get_sum(const struct vmtest *t, char sum[32])
{
	const char *p = strstr(t->out, "sum ");

	cr_assert_not_null(p, "no sum in: %s", t->out);
	cr_assert_eq(sscanf(p, "sum %31[0-9]\n", sum), 1, "%s", p);
}

static void undisturbed(char sum[32])
{
	struct vmtest t;

	vmtest_init(&t, WORK);
	vmtest_start(&t, "sum");
	vmtest_wait_end(&t);
	get_sum(&t, sum);
	vmtest_fini(&t);
}

/*
 * *t is saved, fully or as a diff to *last, and goes on as another one; live:
 * it runs, and writes its table while that is copied.
 */
static void change_horses(struct vmtest *t, struct vmtest_snapshot *s, long i,
			  bool live)
{
	if (live)
		vmtest_save_live(t, &s[i], i % 4, true);
	else if (i % 4)
		vmtest_save_diff(t, &s[i], true);
	else
		vmtest_save(t, &s[i]);
	vmtest_fini(t);
	load(t, &s[i]);
	t->cfg.restore.memory = RESTORE_AUTO;
	run(t);
}

static void work_through(bool live)
{
	static struct vmtest_snapshot s[100];
	long all = stress_count(20, (long)ARRAY_SIZE(s)), i;
	char want[32], got[32];
	struct vmtest t;

	undisturbed(want);
	vmtest_init(&t, WORK);
	vmtest_start(&t, "sum");
	for (i = 0; i < all; i++) {
		work(&t);
		if (!live)
			pause_vm(&t);
		change_horses(&t, s, i, live);
	}
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT);
	get_sum(&t, got);
	cr_expect_str_eq(got, want);
	vmtest_fini(&t);
	while (i-- > 0)
		vmtest_remove(&s[i]);
}

Test(stress_rounds, work_is_right_through_pauses_snapshots_and_restores,
     .timeout = LONG_TIMEOUT)
{
	work_through(false);
}

Test(stress_rounds, work_is_right_through_snapshots_while_it_is_done,
     .timeout = LONG_TIMEOUT)
{
	work_through(true);
}

/* --- states that are not what the digests say -------------------------------
 */

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Some bytes of some section are others; the digests are right. */
static void forge(struct snapshot *s)
{
	const struct snap_section *sec;

	do
		sec = &s->reader.section[next_random() %
					 (uint64_t)s->reader.count];
	while (!strcmp(sec->name, "ram") || sec->len == 0);
	for (int n = 0; n < 3; n++)
		((uint8_t *)sec->data)[next_random() % sec->len] =
			(uint8_t)next_random();
}

Test(stress_rounds, a_forged_state_hurts_its_own_machine_only,
     .timeout = LONG_TIMEOUT)
{
	struct snapshot *from = calloc(1, sizeof(*from));
	long all = stress_count(100, 5000), refused = 0;
	struct vmtest_snapshot s;
	struct vmtest t;

	cr_assert_not_null(from);
	vmtest_init(&t, ENDLESS);
	vmtest_start(&t, "sum");
	work_and_pause(&t);
	vmtest_save(&t, &s);
	vmtest_fini(&t);
	for (long i = 0; i < all; i++) {
		int ret;

		vmtest_init(&t, "");
		cr_assert_eq(snapshot_open(from, AT_FDCWD, s.dir, &t.err), 0);
		cr_assert_eq(snapshot_read_state(from, &t.err), 0);
		forge(from);
		ret = snapshot_load(from, &t.opt, &t.vm, &t.err);
		if (ret == 0) {
			/* It may crash, hang or work. */
			ret = vm_start(t.vm, false, &t.err);
			for (int n = 0; ret == 0 && n < 3; n++) {
				usleep(500);
				vm_dispatch(t.vm);
				vmtest_drain(&t);
				t.out_len = 0;
			}
		}
		if (ret < 0) {
			refused++;
			cr_assert_neq(t.err.msg[0], 0, "round %ld", i);
		}
		vmtest_fini(&t);
		snapshot_close(from);
	}
	cr_log_info("%ld of %ld refused", refused, all);
	cr_expect_lt(refused, all);
	free(from);
	vmtest_remove(&s);
}
