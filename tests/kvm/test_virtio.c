/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_virtio.c - virtio devices as a guest's driver uses them, on real KVM:
 * disks, entropy, snapshots in the midst of requests.
 */
#include "kvm/vmtest.h"
#include "snapshot/rewind.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/num.h"
#include "devices/virtio/io.h"

#if !defined(__powerpc64__)

#define DISK (4 * MIB)

struct disk {
	char path[64];
};

static void disk_make(struct disk *d, uint64_t size)
{
	int fd;

	snprintf(d->path, sizeof(d->path), "/tmp/virtio-XXXXXX");
	fd = mkostemp(d->path, O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void disk_remove(struct disk *d)
{
	unlink(d->path);
}

static struct disk_config *add_disk(struct vmtest *t, const struct disk *d)
{
	struct vm_config *c = &t->cfg;

	c->disk = realloc(c->disk, (c->disk_count + 1) * sizeof(*c->disk));
	cr_assert_not_null(c->disk);
	c->disk[c->disk_count] = (struct disk_config){
		.name = strdup("root"),
		.path = strdup(d->path),
		.sector_size = 512,
		.queues = 1,
	};
	return &c->disk[c->disk_count++];
}

static void expect_good_end(struct vmtest *t)
{
	vmtest_wait_end(t);
	cr_expect_eq(t->vm->end, VM_END_EXIT, "%s: %s", t->vm->err.msg, t->out);
	cr_expect_eq(t->vm->exit_code, 0, "%s", t->out);
	cr_expect_null(strstr(t->out, "FAIL "), "%s", t->out);
}

static uint64_t word_at(const struct disk *d, uint64_t off)
{
	uint64_t word = 0;
	int fd = open(d->path, O_RDONLY | O_CLOEXEC);

	cr_assert_eq(fd_pread_full(fd, &word, sizeof(word), off), 0);
	close(fd);
	return word;
}

static uint64_t blocks_of(const struct disk *d)
{
	struct stat st;

	cr_assert_eq(stat(d->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void run_all_checks(const char *args, uint32_t queues)
{
	struct disk d;
	struct vmtest t;

	disk_make(&d, DISK);
	vmtest_init(&t, args);
	add_disk(&t, &d)->queues = queues;
	vmtest_start(&t, "vblk");
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "id root sectors 8192 size 512\n"),
			   "%s", t.out);
	/* On the host too: what was written, and the holes. */
	cr_expect_eq(word_at(&d, 8 * 512), 2 * 0x9e3779b97f4a7c15ull);
	cr_expect_eq(word_at(&d, 64 * 512), 0);
	cr_expect_leq(blocks_of(&d), 10 * 4096);
	vmtest_fini(&t);
	disk_remove(&d);
}

Test(virtio, a_disk_does_what_it_should)
{
	run_all_checks("", 0);
}

Test(virtio, a_disk_with_indirect_tables_does_too)
{
	run_all_checks("indirect=1", 1);
}

Test(virtio, a_disk_without_event_indices_does_too)
{
	run_all_checks("events=0", 8);
}

Test(virtio, a_disk_that_is_read_only_refuses_writes)
{
	struct disk d;
	struct vmtest t;

	disk_make(&d, DISK);
	vmtest_init(&t, "ro=1");
	add_disk(&t, &d)->readonly = true;
	vmtest_start(&t, "vblk");
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "ok write refused"), "%s", t.out);
	cr_expect_eq(word_at(&d, 0), 0);
	vmtest_fini(&t);
	disk_remove(&d);
}

Test(virtio, a_disk_of_no_whole_sectors_is_refused)
{
	struct disk d;
	struct vmtest t;

	disk_make(&d, 4096 + 512);
	vmtest_init(&t, "");
	add_disk(&t, &d)->sector_size = 4096;
	cr_expect_eq(vmtest_try_start(&t, "vblk"), -EINVAL);
	cr_expect_not_null(strstr(t.err.msg,
				  "disk.root: 4608 bytes, expected a multiple "
				  "of its sector size, 4096"),
			   "%s", t.err.msg);
	vmtest_fini(&t);
	disk_remove(&d);
}

static uint64_t exits(const struct vmtest *t)
{
	uint64_t n = 0;

	for (int k = 0; k < VCPU_EXIT_KINDS; k++)
		if (k != VCPU_EXIT_KICK)
			n += atomic_load(&t->vm->vcpu[0]->exits[k]);
	return n;
}

/* Exits of a guest that reads so often 1 MiB. */
static uint64_t exits_of_reads(int reads)
{
	struct virtio_totals n;
	char args[32], want[64];
	struct disk d;
	struct vmtest t;
	uint64_t got;

	disk_make(&d, DISK);
	snprintf(args, sizeof(args), "big=%d", reads);
	snprintf(want, sizeof(want), "reads %d kicks ", reads);
	vmtest_init(&t, args);
	add_disk(&t, &d);
	vmtest_start(&t, "vblk");
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, want), "%s", t.out);
	virtio_io_count(t.vm->virtio, &n);
	cr_expect_eq(n.requests, (uint64_t)reads);
	/* None where the device looked before it was told. */
	cr_expect_leq(n.kicks, (uint64_t)reads);
	cr_expect_gt(n.kicks, 0);
	cr_expect_eq(n.resets, 0);
	got = exits(&t);
	vmtest_fini(&t);
	disk_remove(&d);
	return got;
}

/* A read of 1 MiB is one kick; where KVM takes that itself, no exit at all. */
Test(virtio, a_request_is_one_kick_at_most)
{
	uint64_t few = exits_of_reads(10), many = exits_of_reads(110);

	/* The lines that it says differ by two digits each. */
	cr_expect_leq(many, few + 100 + 8, "%lu and %lu", (unsigned long)few,
		      (unsigned long)many);
}

/* What is over the limit comes later, and comes. */
Test(virtio, a_limit_delays_and_loses_nothing)
{
	struct virtio_totals n;
	struct disk d;
	struct vmtest t;

	disk_make(&d, DISK);
	vmtest_init(&t, "limit=60");
	add_disk(&t, &d)->rate_ops = 50;
	t.cfg.disk[0].rate_bytes = 3 * MIB;
	vmtest_start(&t, "vblk");
	expect_good_end(&t);
	virtio_io_count(t.vm->virtio, &n);
	cr_expect_eq(n.requests, 60);
	vmtest_fini(&t);
	disk_remove(&d);
}

/* --- bad drivers ------------------------------------------------------------
 */

static uint64_t anonymous_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	unsigned long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Anonymous: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static unsigned int count(const char *text, const char *word)
{
	unsigned int n = 0;

	for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}

/*
 * Each rule that a driver can break, on each device, has the outcome that the
 * guest expects; after it the device works as ever.
 */
Test(virtio_bad_drivers, break_nothing)
{
	struct virtio_totals n;
	struct vmtest t;
	struct disk d;
	uint64_t before;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair),
		     0);
	disk_make(&d, DISK);
	vmtest_init(&t, "");
	add_disk(&t, &d);
	t.cfg.rng.enable = true;
	t.cfg.net = calloc(1, sizeof(*t.cfg.net));
	cr_assert_not_null(t.cfg.net);
	t.cfg.net_count = 1;
	t.cfg.net[0] = (struct net_config){.name = strdup("n"), .fd = pair[0]};
	vmtest_start(&t, "villain");
	before = anonymous_kib();
	expect_good_end(&t);
	cr_expect_null(strstr(t.out, "WEDGED"), "%s", t.out);
	cr_expect_null(strstr(t.out, "unexpected"), "%s", t.out);
	cr_expect_not_null(strstr(t.out, "villain: all as expected\n"), "%s",
			   t.out);
	/* Whether they were run at all. */
	cr_expect_geq(count(t.out, " PASS\n") + count(t.out, " NEEDS_RESET\n"),
		      380, "%s", t.out);
	virtio_io_count(t.vm->virtio, &n);
	cr_expect_geq(n.resets, 180);
	/* The guest's own RAM, and nothing that grows with its faults. */
	cr_expect_leq(anonymous_kib(), before + VMTEST_MEMORY / 1024 + 1024);
	cr_expect_eq(vm_pause(t.vm, NULL), -ESRCH, "it has ended");
	vmtest_fini(&t);
	disk_remove(&d);
	close(pair[0]);
	close(pair[1]);
}

#if defined(__x86_64__)

/* Descriptors that change while they are used. */
Test(virtio_bad_drivers, of_two_vcpus_break_nothing)
{
	struct virtio_totals n;
	struct vmtest t;
	struct disk d;

	disk_make(&d, DISK);
	vmtest_init(&t, "");
	t.cfg.vm.vcpus = 2;
	add_disk(&t, &d);
	vmtest_start(&t, "vrace");
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "resets "), "%s", t.out);
	virtio_io_count(t.vm->virtio, &n);
	cr_expect_gt(n.resets, 10, "%s", t.out);
	cr_expect_gt(n.requests, 10);
	vmtest_fini(&t);
	disk_remove(&d);
}

#endif

/* A bad driver does not keep the machine from being paused. */
Test(virtio_bad_drivers, can_be_paused_all_the_time)
{
	struct vmtest t;
	struct disk d;

	disk_make(&d, DISK);
	vmtest_init(&t, "");
	add_disk(&t, &d);
	t.cfg.rng.enable = true;
	vmtest_start(&t, "villain");
	for (int i = 0; i < 200; i++) {
		if (vm_pause(t.vm, &t.err) < 0)
			break; /* it has ended */
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
		vmtest_turn(&t);
	}
	expect_good_end(&t);
	cr_expect_null(strstr(t.out, "unexpected"), "%s", t.out);
	vmtest_fini(&t);
	disk_remove(&d);
}

/* --- a thread that can't be jailed
 * --------------------------------------------
 */

static int enter_nothing(void *opaque, int fds, int events_fd)
{
	(void)opaque;
	(void)fds;
	(void)events_fd;
	return -EPERM;
}

/* The guest ends, which is told; nothing is read or written meanwhile. */
Test(virtio, an_io_thread_without_its_filter_ends_the_guest)
{
	struct vmtest t;
	struct disk d;

	disk_make(&d, DISK);
	vmtest_init(&t, "");
	add_disk(&t, &d);
	t.opt.io_enter = enter_nothing;
	vmtest_start(&t, "vblk");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_CRASH);
	cr_expect_not_null(strstr(t.vm->err.msg, "I/O thread: its seccomp"),
			   "%s", t.vm->err.msg);
	vmtest_fini(&t);
	cr_expect_eq(word_at(&d, 0), 0);
	disk_remove(&d);
}

/* --- snapshots --------------------------------------------------------------
 */

#define ROUNDS "rounds=6000"

/* The driver has eight requests under way, always. */
static void save_under_load(struct vmtest *t, const struct disk *d,
			    struct vmtest_snapshot *s, bool live)
{
	vmtest_init(t, ROUNDS);
	add_disk(t, d);
	vmtest_start(t, "vblk");
	vmtest_wait_for(t, "ready\n");
	if (live) {
		vmtest_save_live(t, s, false, true);
		vm_kill(t->vm);
	} else {
		cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
		vmtest_save(t, s);
	}
	cr_assert_null(strstr(t->out, "load done"), "too early: %s", t->out);
}

static void restore_load(struct vmtest *t, const struct disk *d,
			 const struct vmtest_snapshot *s,
			 enum restore_memory how)
{
	vmtest_init(t, "");
	add_disk(t, d);
	t->cfg.restore.memory = how;
	vmtest_load(t, s);
	cr_assert_eq(vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

static void check_snapshot(bool live, enum restore_memory how)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	struct disk d;

	disk_make(&d, DISK);
	save_under_load(&a, &d, &s, live);
	vmtest_fini(&a);
	restore_load(&b, &d, &s, how);
	expect_good_end(&b);
	cr_expect_not_null(strstr(b.out, "load done 6000\n"), "%s", b.out);
	vmtest_fini(&b);
	vmtest_remove(&s);
	disk_remove(&d);
}

Test(virtio_snapshot, requests_under_way_are_neither_lost_nor_repeated)
{
	check_snapshot(false, RESTORE_COW);
}

Test(virtio_snapshot, of_a_guest_that_ran_meanwhile)
{
	const char *sanitizer = getenv("MOTE_SANITIZER");

	/* Memory is copied while devices write to it: the mark comes after. */
	if (sanitizer && !strcmp(sanitizer, "tsan"))
		cr_skip_test("it races, as it should");
	check_snapshot(true, RESTORE_COPY);
}

Test(virtio_snapshot, with_pages_that_come_when_they_are_touched)
{
	check_snapshot(false, RESTORE_UFFD);
}

static void save_reader(struct vmtest *t, const struct disk *d,
			struct vmtest_snapshot *s)
{
	vmtest_init(t, "big=1000");
	add_disk(t, d)->readonly = true;
	vmtest_start(t, "vblk");
	cr_assert_eq(vm_pause(t->vm, &t->err), 0, "%s", t->err.msg);
	vmtest_save(t, s);
	cr_assert_neq(t->vm->state, VM_ENDED);
}

/* Back amid its requests, from runs that ended and from one that did not. */
Test(virtio_snapshot, a_rewound_guest_goes_on_with_the_same_requests)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	struct rewind *r;
	struct disk d;

	disk_make(&d, DISK);
	save_reader(&a, &d, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	add_disk(&b, &d)->readonly = true;
	vmtest_load(&b, &s);
	cr_assert_eq(rewind_init(&r, b.vm, b.from, &b.err), 0, "%s", b.err.msg);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(rewind_vm(r, NULL, &b.err), 0, "%s", b.err.msg);
		vmtest_drain(&b);
		b.out_len = 0;
		b.out[0] = 0;
		cr_assert_eq(vm_resume(b.vm, &b.err), 0, "%s", b.err.msg);
		if (i > 0)
			expect_good_end(&b);
	}
	vmtest_fini(&b);
	rewind_fini(r);
	vmtest_remove(&s);
	disk_remove(&d);
}

Test(virtio_snapshot, what_was_written_to_a_disk_is_not_undone)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;
	struct rewind *r;
	struct disk d;

	disk_make(&d, DISK);
	save_under_load(&a, &d, &s, false);
	vmtest_fini(&a);
	restore_load(&b, &d, &s, RESTORE_COW);
	cr_assert_eq(vm_pause(b.vm, &b.err), 0, "%s", b.err.msg);
	cr_expect_lt(rewind_init(&r, b.vm, b.from, &b.err), 0);
	cr_expect_not_null(strstr(b.err.msg, "disk.root.readonly"), "%s",
			   b.err.msg);
	vmtest_fini(&b);
	vmtest_remove(&s);
	disk_remove(&d);
}

Test(virtio_snapshot, pauses_amid_requests_lose_nothing)
{
	struct vmtest t;
	struct disk d;

	disk_make(&d, DISK);
	vmtest_init(&t, ROUNDS);
	add_disk(&t, &d);
	vmtest_start(&t, "vblk");
	for (int i = 0; i < 100 && t.vm->state == VM_RUNNING; i++) {
		if (vm_pause(t.vm, &t.err) < 0)
			break; /* it has ended */
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
		vm_dispatch(t.vm);
	}
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "load done 6000\n"), "%s", t.out);
	vmtest_fini(&t);
	disk_remove(&d);
}

/* Loaded and saved again without a run: the same bytes. */
Test(virtio_snapshot, nothing_changes_by_loading)
{
	struct vmtest_snapshot s, again;
	struct vmtest a, b;
	struct disk d;

	disk_make(&d, DISK);
	save_under_load(&a, &d, &s, false);
	vmtest_fini(&a);
	vmtest_init(&b, ROUNDS);
	add_disk(&b, &d);
	b.cfg.restore.memory = RESTORE_COPY;
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, true, &b.err), 0, "%s", b.err.msg);
	vmtest_save(&b, &again);
	vmtest_fini(&b);
	vmtest_expect_same(&s, &again);
	vmtest_remove(&s);
	vmtest_remove(&again);
	disk_remove(&d);
}

/* What the guest knows of its disk must be so. */
Test(virtio_snapshot, another_disk_is_refused)
{
	struct vmtest_snapshot s;
	struct disk d, larger;
	struct vmtest a, b;

	disk_make(&d, DISK);
	disk_make(&larger, DISK + MIB);
	save_under_load(&a, &d, &s, false);
	vmtest_fini(&a);

	vmtest_init(&b, "");
	add_disk(&b, &larger);
	cr_expect_eq(vmtest_try_load(&b, &s), -EINVAL);
	cr_expect_not_null(strstr(b.err.msg,
				  "disk.root: 10240 sectors of 512 bytes, the "
				  "snapshot's guest has seen 8192"),
			   "%s", b.err.msg);
	vmtest_fini(&b);

	vmtest_init(&b, "");
	add_disk(&b, &d)->readonly = true;
	cr_expect_eq(vmtest_try_load(&b, &s), -EINVAL);
	cr_expect_not_null(strstr(b.err.msg, "disk.root: "), "%s", b.err.msg);
	vmtest_fini(&b);

	vmtest_init(&b, "");
	add_disk(&b, &d)->queues = 2;
	cr_expect_eq(vmtest_try_load(&b, &s), -EINVAL);
	cr_expect_not_null(strstr(b.err.msg, "another number of queues"), "%s",
			   b.err.msg);
	vmtest_fini(&b);
	vmtest_remove(&s);
	disk_remove(&d);
	disk_remove(&larger);
}

#if defined(__x86_64__)

/* --- entropy, with interrupts -----------------------------------------------
 */

Test(virtio, entropy_comes_with_an_interrupt_each)
{
	struct vmtest t;

	vmtest_init(&t, "rounds=20 bytes=1000");
	t.cfg.rng.enable = true;
	vmtest_start(&t, "vent");
	expect_good_end(&t);
	cr_expect_not_null(strstr(t.out, "interrupts 21\n"), "%s", t.out);
	vmtest_fini(&t);
}

/* Hex lines of 16 bytes, all but the last: none of one is in the other. */
static void expect_different(const char *a, const char *b)
{
	int lines = 0;

	for (const char *p = a; strlen(p) > 33 && p[32] == '\n'; p += 33) {
		char line[34];

		snprintf(line, sizeof(line), "%.33s", p);
		cr_expect_null(strstr(b, line), "%s", line);
		lines++;
	}
	cr_expect_geq(lines, 3, "%s", a);
}

Test(virtio_snapshot, clones_draw_different_bytes)
{
	struct vmtest_snapshot s;
	struct vmtest a, b[2];

	vmtest_init(&a, "rounds=8 hold=3 say=1");
	a.cfg.rng.enable = true;
	vmtest_start(&a, "vent");
	vmtest_wait_for(&a, "holding\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	for (int i = 0; i < 2; i++) {
		vmtest_init(&b[i], "");
		b[i].cfg.rng.enable = true;
		vmtest_load(&b[i], &s);
		cr_assert_eq(vm_start(b[i].vm, false, &b[i].err), 0, "%s",
			     b[i].err.msg);
		expect_good_end(&b[i]);
	}
	expect_different(b[0].out, b[1].out);
	vmtest_fini(&b[0]);
	vmtest_fini(&b[1]);
	vmtest_remove(&s);
}

#endif

#else

Test(virtio, there_is_none_on_this_architecture)
{
	struct vmtest t;

	vmtest_init(&t, "");
	t.cfg.rng.enable = true;
	cr_expect_eq(vmtest_try_start(&t, "hello"), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, "no virtio devices"), "%s",
			   t.err.msg);
	vmtest_fini(&t);
}

#endif
