/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.c - a 128 MiB snapshot: restored in process against the floor, and
 * rewound against restored anew.
 *
 * The guest (guests/touch) was saved at its ready mark; it writes to its
 * working set and exits once it runs again.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "floor_vm.h"
#include "saved.h"

#define REWINDS 5

static const char *const files[] = {"manifest", "state", "memory"};

/* --- a snapshot to restore ------------------------------------------------ */

bool failed(const char *what, const struct mote_err *err)
{
	fprintf(stderr, "bench: %s: %s\n", what, err->msg);
	return false;
}

/* One turn of an embedder's loop; at most until the guest's next event. */
static void turn(struct mote_vm *vm)
{
	struct pollfd fds[MOTE_VM_POLL_MAX];
	int timeout, n = mote_vm_poll(vm, fds, &timeout);

	poll(fds, (nfds_t)n, timeout);
	mote_vm_dispatch(vm, fds, n);
}

bool run_to_end(struct mote_vm *vm)
{
	struct mote_status st = {.size = sizeof(st)};

	for (;;) {
		mote_vm_status(vm, &st, NULL);
		if (st.state == MOTE_ENDED)
			return st.end == MOTE_END_EXIT && st.exit_code == 0;
		turn(vm);
	}
}

bool saved_files(const char *dir, struct mote_snapshot_files *f)
{
	int fd[3];

	for (int i = 0; i < 3; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		fd[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
			     0600);
	}
	*f = (struct mote_snapshot_files){
		.manifest_fd = fd[0], .state_fd = fd[1], .memory_fd = fd[2]};
	return fd[0] >= 0 && fd[1] >= 0 && fd[2] >= 0;
}

void saved_close(const struct mote_snapshot_files *f)
{
	close(f->manifest_fd);
	close(f->state_fd);
	close(f->memory_fd);
}

static bool save_at_ready(struct mote_vm *vm, const char *dir,
			  struct mote_err *err)
{
	struct mote_status st = {.size = sizeof(st)};
	struct mote_snapshot_files f;
	bool ok;

	while (!st.ready && st.state != MOTE_ENDED) {
		turn(vm);
		mote_vm_status(vm, &st, NULL);
	}
	if (mote_vm_pause(vm, err) < 0 || !saved_files(dir, &f))
		return false;
	ok = mote_vm_snapshot(vm, &f, NULL, err) == 0;
	saved_close(&f);
	return ok;
}

static struct mote_config *config_of(const char *build, const char *guest,
				     const char *args)
{
	struct mote_config *cfg = mote_config_new();
	char text[800];
	int n = snprintf(text, sizeof(text),
			 "[vm]\nkernel = %s/guests/%s.elf\nmemory = 128M\n"
			 "cmdline = %s\n",
			 build, guest, args);

	if (cfg && n < (int)sizeof(text) &&
	    mote_config_parse(cfg, "bench", text, (size_t)n, NULL) == 0)
		return cfg;
	mote_config_free(cfg);
	return NULL;
}

void saved_drop(struct saved *s)
{
	char path[96];

	mote_snapshot_close(s->snap);
	mote_config_free(s->cfg);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, files[i]);
		unlink(path);
	}
	rmdir(s->dir);
	*s = (struct saved){.dir = ""};
}

bool saved_make(struct saved *s, const char *build, const char *args)
{
	return saved_guest(s, build, "touch", args);
}

bool saved_guest(struct saved *s, const char *build, const char *guest,
		 const char *args)
{
	struct mote_config *cfg = config_of(build, guest, args);
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_err err = {0};
	struct mote_vm *vm = NULL;
	bool ok;

	*s = (struct saved){.dir = "/tmp/mote-bench-XXXXXX"};
	opt.config = cfg;
	ok = cfg && mkdtemp(s->dir) && mote_vm_create(&opt, &vm, &err) == 0 &&
	     mote_vm_start(vm, false, &err) == 0 &&
	     save_at_ready(vm, s->dir, &err);
	mote_vm_destroy(vm);
	mote_config_free(cfg);
	s->cfg = mote_config_new();
	ok = ok && s->cfg &&
	     mote_snapshot_open(AT_FDCWD, s->dir, &s->snap, &err) == 0 &&
	     mote_snapshot_config(s->snap, s->cfg, &err) == 0 &&
	     mote_config_set(s->cfg, "bench", "restore.verify=off", NULL) == 0;
	if (!ok) {
		saved_drop(s);
		return failed("snapshot", &err);
	}
	return true;
}

/* --- restored in process -------------------------------------------------- */

bool saved_restore(const struct saved *s, bool rewind, struct mote_vm **vm,
		   struct mote_err *err)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;

	opt.config = s->cfg;
	opt.snapshot = s->snap;
	opt.rewind = rewind;
	return mote_vm_create(&opt, vm, err) == 0;
}

bool saved_run(const struct saved *s, double *first, double *end, double *gone)
{
	struct mote_err err = {0};
	struct mote_vm *vm;
	uint64_t start = now_ns();
	bool ok;

	seen_reset();
	if (!saved_restore(s, false, &vm, &err))
		return failed("restore", &err);
	ok = mote_vm_start(vm, false, &err) == 0 && run_to_end(vm);
	if (first)
		*first = (double)(seen_first_exit() - start) / 1e3;
	if (end)
		*end = (double)(now_ns() - start) / 1e3;
	mote_vm_destroy(vm);
	if (gone)
		*gone = (double)(now_ns() - start) / 1e3;
	return ok;
}

static bool set(const struct saved *s, const char *assign)
{
	return mote_config_set(s->cfg, "bench", assign, NULL) == 0;
}

int floor_file(char path[64])
{
	uint8_t *ram;
	int fd;

	strcpy(path, "/tmp/mote-bench-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	ram = ftruncate(fd, SAVED_RAM) == 0
		      ? mmap(NULL, FLOOR_RAM, PROT_READ | PROT_WRITE,
			     MAP_SHARED, fd, 0)
		      : MAP_FAILED;
	if (ram == MAP_FAILED) {
		close(fd);
		return -1;
	}
	floor_fill(ram, floor_code, sizeof(floor_code));
	munmap(ram, FLOOR_RAM);
	return fd;
}

static bool floor_restore(int file, double *us)
{
	struct floor_vm f = {0};
	uint64_t start = now_ns();
	bool ok;

	f.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ok = floor_vm_shell(&f, SAVED_RAM, file) == 0 &&
	     floor_regs(f.vcpu) == 0 && floor_vm_run(&f) == 0;
	*us = (double)(now_ns() - start) / 1e3;
	floor_vm_close(&f);
	return ok;
}

void add_medians(const char *name, double *a, double *b, int runs)
{
	char note[80];
	double m;

	sort_doubles(a, runs);
	sort_doubles(b, runs);
	m = b[runs / 2];
	snprintf(note, sizeof(note), "p10 %.2f p90 %.2f, %d runs",
		 a[runs / 10] / m, a[runs * 9 / 10] / m, runs);
	metric_add_spread(name, a[runs / 2] / m, a[runs / 10] / m,
			  a[runs * 9 / 10] / m, note);
}

struct subject *saved_program(const struct saved *s, const char *build)
{
	const char *const off[] = {"restore", s->dir,
				   "--set",   "sandbox.enable=no",
				   "--set",   "restore.verify=off",
				   NULL};

	return subject_new("mote restore", build, "mote", off);
}

/* The process: mote restore, from its start to reaped, and the floor's. */
static void first_insn_process(const struct place *p, const struct saved *s,
			       const char *file, int runs)
{
	const char *const base[] = {file, NULL};
	struct subject *m = saved_program(s, p->dir);
	struct subject *f = subject_new("floor", p->dir, "bench/floor", base);
	struct subject *both[] = {f, m};

	if (subject_works(f) && subject_works(m) && measure(both, 2, runs))
		add_ratio("restore.first_insn.process.ratio_floor", m,
			  median_us(f, runs), runs);
}

/* In process; the first of verify=once makes the copy that the others map. */
static void first_insn(const struct saved *s, int file, const char *verify,
		       const char *name, int runs)
{
	static double mote[RUNS_MAX], base[RUNS_MAX];
	bool ok = set(s, verify) && saved_run(s, NULL, NULL, NULL);

	for (int i = 0; i < runs && ok; i++)
		ok = floor_restore(file, &base[i]) &&
		     saved_run(s, &mote[i], NULL, NULL);
	if (ok)
		add_medians(name, mote, base, runs);
}

static void first_insns(const struct place *p, int runs)
{
	struct saved s;
	char path[64];
	int file = floor_file(path);

	if (file < 0)
		return;
	if (saved_make(&s, p->dir, "pages=0")) {
		first_insn(&s, file, "restore.verify=off",
			   "restore.first_insn.inprocess.ratio_floor", runs);
		first_insn_process(p, &s, path, runs);
		first_insn(&s, file, "restore.verify=once",
			   "restore.first_insn.verified.ratio_floor", runs);
		saved_drop(&s);
	}
	close(file);
	unlink(path);
}

/* --- rewound -------------------------------------------------------------- */

/* The library's calls of KVM but KVM_RUN, as inproc.c sees kvm_run. */
static int kvm_calls;

int __real_kvm_call(int fd, unsigned long request, void *arg);
int __wrap_kvm_call(int fd, unsigned long request, void *arg);
int __wrap_kvm_call(int fd, unsigned long request, void *arg)
{
	kvm_calls++;
	return __real_kvm_call(fd, request, arg);
}

int __real_kvm_call_value(int fd, unsigned long request, unsigned long value);
int __wrap_kvm_call_value(int fd, unsigned long request, unsigned long value);
int __wrap_kvm_call_value(int fd, unsigned long request, unsigned long value)
{
	kvm_calls++;
	return __real_kvm_call_value(fd, request, value);
}

/*
 * One rewind, to where the guest runs again (some state is set only there),
 * and from its beginning to the end of the guest's working set.
 */
static bool rewind_once(struct mote_vm *vm, double *rewind, double *whole)
{
	struct mote_err err = {0};
	uint64_t start = now_ns();

	kvm_calls = 0;
	if (mote_vm_rewind(vm, NULL, &err) < 0 || mote_vm_resume(vm, &err) < 0)
		return failed("rewind", &err);
	*rewind = (double)(now_ns() - start) / 1e3;
	if (!run_to_end(vm))
		return failed("rewound guest", &err);
	*whole = (double)(now_ns() - start) / 1e3;
	return true;
}

struct rewound {
	struct saved s;
	struct mote_vm *vm;
};

static bool rewound_open(struct rewound *r, const char *build, int pages,
			 int stride)
{
	struct mote_err err = {0};
	char args[64];

	snprintf(args, sizeof(args), "pages=%d run=64 stride=%d", pages,
		 stride);
	if (!saved_make(&r->s, build, args))
		return false;
	if (saved_restore(&r->s, true, &r->vm, &err) &&
	    mote_vm_start(r->vm, false, &err) == 0 && run_to_end(r->vm))
		return true;
	mote_vm_destroy(r->vm);
	saved_drop(&r->s);
	return failed("restore", &err);
}

static void rewound_close(struct rewound *r)
{
	mote_vm_destroy(r->vm);
	saved_drop(&r->s);
}

/* 512 pages in runs of 64; some of one, then as many of the other. */
static void against_restore(const struct place *p, int runs)
{
	static double anew[RUNS_MAX + REWINDS], again[RUNS_MAX];
	struct rewound r;
	double part;
	bool ok = rewound_open(&r, p->dir, 512, 512);

	for (int i = 0; i < runs && ok; i++) {
		if (i % REWINDS == 0)
			for (int k = i; k < i + REWINDS && ok; k++)
				ok = saved_run(&r.s, NULL, NULL, &anew[k]);
		ok = ok && rewind_once(r.vm, &part, &again[i]);
	}
	if (!ok)
		return;
	rewound_close(&r);
	add_medians("rewind.512p.speedup_restore", anew, again, runs);
}

/* 1: out %al, $0x10; jmp 1b */
static const uint8_t out_code[] = {0xe6, 0x10, 0xeb, 0xfc};

/* From one exit for a port to the next, with nothing done about it. */
static bool pio_roundtrip(double *us)
{
	static double t[RUNS_MAX];
	struct floor_vm f = {0};
	bool ok = !floor_vm_open(&f, out_code, sizeof(out_code)) &&
		  !floor_vm_run(&f);

	for (int i = 0; i < RUNS_MAX && ok; i++) {
		uint64_t start = now_ns();

		ok = !floor_vm_run(&f);
		t[i] = (double)(now_ns() - start) / 1e3;
	}
	floor_vm_close(&f);
	sort_doubles(t, RUNS_MAX);
	*us = t[RUNS_MAX / 2];
	return ok;
}

/* Rewinding so many pages, in runs of 64. */
static bool rewind_point(const char *build, int pages, int runs,
			 struct rewind_point *p)
{
	static double t[RUNS_MAX];
	struct rewound r;
	double whole;
	bool ok = rewound_open(&r, build, pages, 512);

	if (!ok)
		return false;
	for (int i = 0; i < runs && ok; i++)
		ok = rewind_once(r.vm, &t[i], &whole);
	rewound_close(&r);
	sort_doubles(t, runs);
	*p = (struct rewind_point){.pages = pages,
				   .us = t[runs / 2],
				   .lo = t[runs / 10],
				   .hi = t[runs * 9 / 10]};
	return ok;
}

struct rewind_cost rewind_cost;

/*
 * A line over 0 to 2,048 pages: its start is what no page takes, its slope
 * the least squares' through that point.
 */
static void rewind_line(const struct place *p, int runs)
{
	static const int pages[] = {0,	 1,   4,    16,	  64,	128,  256, 384,
				    512, 768, 1024, 1280, 1536, 1792, 2048};
	struct rewind_cost *c = &rewind_cost;
	double us_16 = 0, pio, xx = 0, xy = 0;
	int calls_16 = 0;
	char note[80];

	c->runs = runs;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct rewind_point *at = &c->point[i];

		if (!rewind_point(p->dir, pages[i], runs, at))
			return;
		c->n++;
		xx += (double)at->pages * at->pages;
		xy += at->pages * (at->us - c->point[0].us);
		if (at->pages == 16) {
			us_16 = at->us;
			calls_16 = kvm_calls;
		}
	}
	c->fixed = c->point[0].us;
	c->per_page = xy / xx;
	metric_add("rewind.us_fixed", c->fixed, "no page written by the guest");
	metric_add("rewind.us_per_page", c->per_page,
		   "up to 2,048 in runs of 64");
	if (!pio_roundtrip(&pio))
		return;
	c->pio_us = pio;
	snprintf(note, sizeof(note), "%.1f us, a round trip %.1f us", us_16,
		 pio);
	metric_add("rewind.16p.pio_roundtrips", us_16 / pio, note);
	metric_add("rewind.kvm_ioctls", calls_16,
		   "but KVM_RUN; a guest in ring 3");
}

/* --- hot sets ---------------------------------------------------------------
 */

/* What the guest touches, into the snapshot; it is opened anew. */
static bool record(struct saved *s)
{
	struct mote_err err = {0};
	struct mote_vm *vm = NULL;
	char path[96];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/hotset", s->dir);
	ok = set(s, "restore.record=yes") &&
	     saved_restore(s, false, &vm, &err) &&
	     mote_vm_start(vm, false, &err) == 0 && run_to_end(vm);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ok = ok && mote_vm_hotset(vm, fd, &err) == 0 && fsync(fd) == 0;
	close(fd);
	mote_vm_destroy(vm);
	mote_snapshot_close(s->snap);
	s->snap = NULL;
	ok = ok && mote_snapshot_open(AT_FDCWD, s->dir, &s->snap, &err) == 0 &&
	     set(s, "restore.record=no");
	return ok || failed("hot set", &err);
}

/* Nothing of it in the page cache, where a disk is below. */
static void forget(const struct saved *s)
{
	int fd[MOTE_SNAPSHOT_FDS_MAX];
	int n = mote_snapshot_fds(s->snap, fd);

	for (int i = 0; i < n; i++) {
		fsync(fd[i]);
		posix_fadvise(fd[i], 0, 0, POSIX_FADV_DONTNEED);
	}
}

/* 2 MiB in one layout: without the hot set over with it. */
static void working_set(const struct place *p, const char *layout,
			const char *args, const char *how, int runs)
{
	static double lazy[RUNS_MAX], hot[RUNS_MAX];
	char name[64], on[64], path[96];
	struct saved s;
	bool ok = saved_make(&s, p->dir, args) && record(&s);

	snprintf(on, sizeof(on), "restore.hotset=%s", how);
	for (int cold = 0; cold < 2 && ok; cold++) {
		for (int i = 0; i < runs && ok; i++) {
			if (cold)
				forget(&s);
			ok = set(&s, "restore.hotset=off") &&
			     saved_run(&s, NULL, &lazy[i], NULL);
			if (cold)
				forget(&s);
			ok = ok && set(&s, on) &&
			     saved_run(&s, NULL, &hot[i], NULL);
		}
		snprintf(name, sizeof(name), "restore.ws2m.%s.%s.speedup_lazy",
			 layout, cold ? "cold" : "warm");
		if (ok)
			add_medians(name, lazy, hot, runs);
	}
	snprintf(path, sizeof(path), "%s/hotset", s.dir);
	unlink(path);
	saved_drop(&s);
}

static void working_sets(const struct place *p, int runs)
{
	working_set(p, "packed", "fill=1 pages=512", "private-thp", runs);
	working_set(p, "runs", "fill=1 pages=512 run=64 stride=512",
		    "shared-runs", runs);
	working_set(p, "scattered", "fill=1 pages=512 stride=48", "auto", runs);
}

void bench_restore(const struct place *p, int runs)
{
	first_insns(p, runs);
	working_sets(p, runs);
	against_restore(p, runs);
	rewind_line(p, runs);
}
