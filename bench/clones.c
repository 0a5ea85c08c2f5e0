/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clones.c - many machines from one snapshot: a pool's claim against a
 * restore, a thousand alive, the pause of a snapshot and of a fork, and a
 * request that is answered by a machine that nobody used before.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scan.h"
#include "floor_vm.h"
#include "guests/parse/parse.h"
#include "saved.h"

#define CLONES	1000
#define REPEATS 5
#define TENTH	(CLONES / 10)
#define PAGE_KB 4

#define SETTLE_US    500000
#define SETTLE_TRIES 20
#define SETTLED_KIB  1024

extern char **environ;

/* --- a pool's claim ------------------------------------------------------- */

static bool claim_once(struct mote_pool *pool, double *first)
{
	struct mote_err err = {0};
	struct mote_vm *vm;
	uint64_t start;
	bool ok;

	if (mote_pool_fill(pool, &err) < 0)
		return failed("pool", &err);
	seen_reset();
	start = now_ns();
	if (mote_pool_claim(pool, &vm, &err) < 0)
		return failed("claim", &err);
	ok = mote_vm_resume(vm, &err) == 0 && run_to_end(vm);
	*first = (double)(seen_first_exit() - start) / 1e3;
	mote_vm_destroy(vm);
	return ok;
}

static void pooled(const struct saved *s, int runs)
{
	static double claim[RUNS_MAX], anew[RUNS_MAX];
	struct mote_pool_options opt = {
		.size = sizeof(opt), .vm = MOTE_VM_OPTIONS_INIT, .clones = 1};
	struct mote_err err = {0};
	struct mote_pool *pool;
	bool ok = true;

	opt.vm.config = s->cfg;
	opt.vm.snapshot = s->snap;
	if (mote_pool_create(&opt, &pool, &err) < 0) {
		failed("pool", &err);
		return;
	}
	for (int i = 0; i < runs && ok; i++)
		ok = claim_once(pool, &claim[i]) &&
		     saved_run(s, &anew[i], NULL, NULL);
	mote_pool_destroy(pool);
	if (ok)
		add_medians("restore.first_insn.pooled.ratio_unpooled", claim,
			    anew, runs);
}

/* --- a thousand alive ----------------------------------------------------- */

/* A number in KiB of a file of "Name:  N kB" lines; -1. */
static double kib_of(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[160];
	double v = -1;

	while (f && v < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			v = strtod(line + strlen(name), NULL);
	if (f)
		fclose(f);
	return v;
}

struct density {
	double available, anon; /* KiB each */
	double named;		/* KiB: what the kernel says is for something */
	double tail; /* median time of the last tenth over the first */
	double own;  /* KiB of pages of guests, each */
};

static double median_of(const double *v, int n)
{
	static double copy[CLONES];

	memcpy(copy, v, (size_t)n * sizeof(*v));
	sort_doubles(copy, n);
	return copy[n / 2];
}

/*
 * MemAvailable also moves with what the kernel still gives back from before;
 * these do not.  (Stacks of threads are in VmallocUsed.)
 */
static double named_kib(void)
{
	static const char *const what[] = {"AnonPages:", "Slab:", "PageTables:",
					   "SecPageTables:", "VmallocUsed:"};
	double sum = 0;

	for (int i = 0; i < 5; i++)
		sum += kib_of("/proc/meminfo", what[i]);
	return sum;
}

static void density_begin(struct density *d)
{
	*d = (struct density){
		.named = named_kib(),
		.available = kib_of("/proc/meminfo", "MemAvailable:"),
		.anon = kib_of("/proc/self/smaps_rollup", "Anonymous:")};
}

static void density_end(struct density *d, const double *us)
{
	d->available -= kib_of("/proc/meminfo", "MemAvailable:");
	d->available /= CLONES;
	d->named = (named_kib() - d->named) / CLONES;
	d->anon = kib_of("/proc/self/smaps_rollup", "Anonymous:") - d->anon;
	d->anon /= CLONES;
	d->tail = median_of(us + CLONES - TENTH, TENTH) / median_of(us, TENTH);
}

static bool alive_restore(const struct saved *s, int pagemap,
			  struct mote_vm **vm, struct mote_err *err)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;

	opt.config = s->cfg;
	opt.snapshot = s->snap;
	opt.pagemap_fd = pagemap;
	return mote_vm_create(&opt, vm, err) == 0;
}

/* Machines whose guests have run, and wait. */
static bool mote_alive(const struct saved *s, struct density *d)
{
	static struct mote_vm *vm[CLONES];
	static double us[CLONES];
	struct mote_err err = {0};
	double pages = 0;
	int n = 0, pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	density_begin(d);
	for (; n < CLONES; n++) {
		uint64_t start = now_ns();

		seen_reset();
		if (!alive_restore(s, pagemap, &vm[n], &err) ||
		    mote_vm_start(vm[n], false, &err) < 0)
			break;
		while (!seen_first_exit()) /* its thread runs beside this */
			sched_yield();
		us[n] = (double)(seen_first_exit() - start) / 1e3;
	}
	density_end(d, us);
	for (int i = 0; i < n; i++) {
		struct mote_metrics m = {.size = sizeof(m)};

		mote_vm_metrics(vm[i], &m);
		pages += m.dirty_pages > 0 ? (double)m.dirty_pages : 0;
	}
	d->own = pages * PAGE_KB / CLONES;
	for (int i = 0; i < CLONES && vm[i]; i++)
		mote_vm_destroy(vm[i]);
	close(pagemap);
	return n == CLONES || failed("clone", &err);
}

struct floor_thread {
	struct floor_vm vm;
	pthread_t thread;
	sem_t ran, end;
	int bad;
};

static void *floor_thread(void *opaque)
{
	struct floor_thread *t = opaque;

	t->bad = floor_vm_run(&t->vm);
	sem_post(&t->ran);
	while (sem_wait(&t->end) < 0)
		;
	return NULL;
}

/* Machines that are alive beside each other have a thread each to run in. */
static bool floor_alive(int file, struct density *d)
{
	static struct floor_thread floor[CLONES];
	static double us[CLONES];
	int n = 0;

	density_begin(d);
	for (; n < CLONES; n++) {
		struct floor_thread *t = &floor[n];
		struct floor_vm *f = &t->vm;
		uint64_t start = now_ns();

		sem_init(&t->ran, 0, 0);
		sem_init(&t->end, 0, 0);
		f->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		if (floor_vm_shell(f, SAVED_RAM, file) || floor_regs(f->vcpu) ||
		    pthread_create(&t->thread, NULL, floor_thread, t))
			break;
		while (sem_wait(&t->ran) < 0)
			;
		if (t->bad)
			break;
		us[n] = (double)(now_ns() - start) / 1e3;
	}
	density_end(d, us);
	for (int i = 0; i < n; i++) {
		sem_post(&floor[i].end);
		pthread_join(floor[i].thread, NULL);
		floor_vm_close(&floor[i].vm);
	}
	return n == CLONES;
}

/* The kernel gives back what machines had some time after they are gone. */
static void settle(void)
{
	double was = 0, now;

	for (int i = 0; i < SETTLE_TRIES; i++, was = now) {
		now = kib_of("/proc/meminfo", "MemAvailable:");
		if (now - was < SETTLED_KIB)
			return;
		usleep(SETTLE_US);
	}
}

/* Each in a child, so that neither finds what the other left behind. */
static bool in_child(const struct saved *s, int file, struct density *shared,
		     struct density *d)
{
	pid_t pid;
	int status;

	settle();
	pid = fork();
	if (pid == 0)
		_exit(!(s ? mote_alive(s, shared) : floor_alive(file, shared)));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return false;
	*d = *shared;
	return true;
}

static void thousand(const struct saved *s)
{
	struct density *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double named[REPEATS], ours[REPEATS], floors[REPEATS], tails[REPEATS],
		floor_tails[REPEATS];
	struct density m, f;
	char path[64], note[80];
	int n = 0, file = floor_file(path);

	if (shared == MAP_FAILED || file < 0)
		return;
	for (; n < REPEATS && in_child(s, file, shared, &m) &&
	       in_child(NULL, file, shared, &f);
	     n++) {
		named[n] = m.named / f.named;
		ours[n] = m.available;
		floors[n] = f.available;
		tails[n] = m.tail;
		floor_tails[n] = f.tail;
	}
	if (n == REPEATS) {
		snprintf(note, sizeof(note), "MemAvailable; the floor %.0f KiB",
			 median_of(floors, n));
		metric_add("clones.1000.kib_each", median_of(ours, n), note);
		metric_add("clones.1000.ratio_floor",
			   median_of(ours, n) / median_of(floors, n),
			   "one process, hot set off");
		metric_add("clones.1000.named.ratio_floor", median_of(named, n),
			   "the same by what the kernel has a name for");
		snprintf(note, sizeof(note), "the floor %.2f",
			 median_of(floor_tails, n));
		metric_add("clones.1000.tail_ratio", median_of(tails, n), note);
		snprintf(note, sizeof(note),
			 "anonymous memory less %.0f KiB of the guest", m.own);
		metric_add("clones.private_kib", m.anon - m.own, note);
	} else {
		fprintf(stderr, "bench: a thousand clones failed\n");
	}
	close(file);
	unlink(path);
	munmap(shared, sizeof(*shared));
}

/* --- the pause of a snapshot and of a fork -------------------------------- */

/* A restored machine whose guest has written that many pages, and runs. */
static bool dirty_one(struct saved *s, const char *build, int pages,
		      struct mote_vm **vm)
{
	struct mote_err err = {0};
	char args[64];

	snprintf(args, sizeof(args), "pages=%d run=64 stride=64 stay=1", pages);
	if (!saved_make(s, build, args))
		return false;
	if (!saved_restore(s, false, vm, &err) ||
	    mote_vm_start(*vm, false, &err) < 0)
		return failed("restore", &err);
	usleep(200000);
	return true;
}

/* How long the guest stands still for a diff; its size. */
static bool diff_once(struct mote_vm *vm, const char *dir, double *us,
		      double *kib)
{
	struct mote_snapshot_options opt = {
		.size = sizeof(opt), .name = "diff", .diff = true};
	struct mote_metrics m = {.size = sizeof(m)};
	struct mote_snapshot_files f;
	struct mote_err err = {0};
	bool ok;

	if (!saved_files(dir, &f))
		return false;
	ok = mote_vm_snapshot_live(vm, &f, &opt, &err) == 0;
	mote_vm_snapshot_end(vm, false); /* so that each is as large */
	mote_vm_metrics(vm, &m);
	*us = (double)m.snapshot_pause_ns / 1e3;
	*kib = (double)(lseek(f.memory_fd, 0, SEEK_END) +
			lseek(f.state_fd, 0, SEEK_END) +
			lseek(f.manifest_fd, 0, SEEK_END)) /
	       1024;
	saved_close(&f);
	return ok || failed("diff", &err);
}

#define SCAN_REGIONS 128

/* A private mapping of a file, with as many pages of its own. */
struct bare {
	char path[64];
	int file, pagemap;
	uint8_t *ram;
	size_t len;
};

static bool bare_open(struct bare *b, int pages)
{
	b->file = floor_file(b->path);
	b->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	b->len = (size_t)pages * PAGE_KB * 1024;
	b->ram = mmap(NULL, SAVED_RAM, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_NORESERVE, b->file, 0);
	if (b->file < 0 || b->pagemap < 0 || b->ram == MAP_FAILED)
		return false;
	memset(b->ram + SAVED_RAM / 8, 1, b->len);
	return true;
}

static void bare_close(struct bare *b)
{
	munmap(b->ram, SAVED_RAM);
	close(b->pagemap);
	close(b->file);
	unlink(b->path);
}

/* Find what left the file and write it, and no more. */
static bool bare_once(struct bare *b, const char *dir, double *us)
{
	struct scan_region region[SCAN_REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)b->ram,
		.end = (uintptr_t)b->ram + SAVED_RAM,
		.vec = (uintptr_t)region,
		.vec_len = SCAN_REGIONS,
		.category_inverted = SCAN_FILE,
		.category_mask = SCAN_FILE | SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};
	struct mote_snapshot_files f;
	uint64_t start;
	size_t done = 0;

	if (!saved_files(dir, &f))
		return false;
	start = now_ns();
	while (arg.start < arg.end) {
		int n = ioctl(b->pagemap, SCAN, &arg);

		if (n < 0)
			break;
		for (int i = 0; i < n; i++) {
			ssize_t wrote = write(
				f.memory_fd, (void *)(uintptr_t)region[i].start,
				region[i].end - region[i].start);

			done += wrote > 0 ? (size_t)wrote : 0;
		}
		arg.start = arg.walk_end;
	}
	*us = (double)(now_ns() - start) / 1e3;
	saved_close(&f);
	return done == b->len;
}

static bool pause_of(const char *build, int pages, int runs, double *mote,
		     double *bare, double *over_kib)
{
	char dir[] = "/tmp/mote-bench-XXXXXX";
	struct mote_vm *vm = NULL;
	struct saved s, out;
	struct bare b;
	double kib = 0;
	bool ok = mkdtemp(dir) && bare_open(&b, pages) &&
		  dirty_one(&s, build, pages, &vm);

	if (!ok)
		return false;
	for (int i = 0; i < runs && ok; i++)
		ok = diff_once(vm, dir, &mote[i], &kib) &&
		     bare_once(&b, dir, &bare[i]);
	*over_kib = kib - pages * PAGE_KB;
	mote_vm_destroy(vm);
	bare_close(&b);
	saved_drop(&s);
	out = (struct saved){.dir = ""};
	snprintf(out.dir, sizeof(out.dir), "%s", dir);
	saved_drop(&out);
	return ok;
}

static void pauses(const struct place *p, int runs)
{
	static double small[RUNS_MAX], large[RUNS_MAX], bare[RUNS_MAX],
		bare_large[RUNS_MAX];
	double kib, ignored;

	if (!pause_of(p->dir, 512, runs, small, bare, &kib))
		return;
	add_medians("snapshot.pause_2m.ratio_floor", small, bare, runs);
	metric_add("snapshot.diff_overhead_kib", kib,
		   "2 MiB dirty; all files less those pages");
	if (pause_of(p->dir, 16384, runs, large, bare_large, &ignored))
		add_medians("snapshot.pause_64m.ratio_2m", large, small, runs);
}

/* fork(2) of this process, which is gone at once; from the parent's view. */
static bool bare_fork(double *us)
{
	uint64_t start = now_ns();
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(0);
	*us = (double)(now_ns() - start) / 1e3;
	return pid > 0 && waitpid(pid, &status, 0) == pid;
}

static void fork_pause(const struct place *p, int runs)
{
	static double pause[RUNS_MAX], bare[RUNS_MAX];
	struct mote_err err = {0};
	struct mote_vm *vm;
	struct saved s;
	bool ok = dirty_one(&s, p->dir, 64, &vm);

	for (int i = 0; i < runs && ok; i++) {
		struct mote_metrics m = {.size = sizeof(m)};
		struct mote_snapshot *snap;

		ok = bare_fork(&bare[i]) && mote_vm_fork(vm, &snap, &err) == 0;
		if (!ok)
			break;
		mote_vm_metrics(vm, &m);
		pause[i] = (double)m.snapshot_pause_ns / 1e3;
		mote_snapshot_close(snap);
	}
	if (ok)
		add_medians("fork.pause.ratio_fork2", pause, bare, runs);
	else
		failed("fork", &err);
	mote_vm_destroy(vm);
	saved_drop(&s);
}

/* --- a request ------------------------------------------------------------ */

/*
 * guests/parse: the request is put into memory, the answer is its code.  The
 * machine was put back to its snapshot, so nobody used it before.
 */
static bool request_once(struct mote_vm *vm, double *us)
{
	static const uint8_t input[] = "MR\1\2N\3abcV\4wxyzE";
	const uint32_t len = sizeof(input);
	struct mote_err err = {0};
	uint64_t start = now_ns();
	bool ok = mote_vm_rewind(vm, NULL, &err) == 0 &&
		  mote_vm_memory_write(vm, PARSE_AT, &len, sizeof(len)) == 0 &&
		  mote_vm_memory_write(
			  vm, PARSE_AT + offsetof(struct parse_page, input),
			  input, len) == 0 &&
		  mote_vm_resume(vm, &err) == 0 && run_to_end(vm);

	*us = (double)(now_ns() - start) / 1e3;
	return ok || failed("request", &err);
}

static bool spawn_once(const char *path, double *us)
{
	char *argv[] = {(char *)path, NULL};
	uint64_t start = now_ns();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		return false;
	*us = (double)(now_ns() - start) / 1e3;
	return true;
}

static void requests(const struct place *p, int runs)
{
	static double served[RUNS_MAX], spawned[RUNS_MAX];
	struct mote_err err = {0};
	struct mote_vm *vm = NULL;
	char noop[512];
	struct saved s;
	bool ok;

	snprintf(noop, sizeof(noop), "%.300s/bench/noop", p->dir);
	if (!saved_guest(&s, p->dir, "parse", ""))
		return;
	ok = saved_restore(&s, true, &vm, &err) &&
	     mote_vm_start(vm, true, &err) == 0;
	for (int i = 0; i < runs && ok; i++)
		ok = request_once(vm, &served[i]) &&
		     spawn_once(noop, &spawned[i]);
	mote_vm_destroy(vm);
	saved_drop(&s);
	if (ok)
		add_medians("serve.request.ratio_spawn", served, spawned, runs);
	else
		failed("request", &err);
}

void bench_clones(const struct place *p, int runs)
{
	struct saved s;

	if (saved_make(&s, p->dir, "pages=0")) {
		pooled(&s, runs);
		saved_drop(&s);
	}
	if (saved_make(&s, p->dir, "pages=0 stay=1")) {
		thousand(&s);
		saved_drop(&s);
	}
	pauses(p, runs);
	fork_pause(p, runs);
	requests(p, runs);
}
