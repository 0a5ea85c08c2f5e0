/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak.c - what a process that makes, snapshots, restores, rewinds and ends
 * machines all the time holds after hours: as much as after a minute.
 *
 *   soak SECONDS MOTE GUESTS FOLDER
 *
 * Beside each other, by the library: four machines, each of which is paused,
 * snapshotted (full, live, diff), restored, rewound and ended again and again,
 * and must count on from where it was; a hostile guest, another attack each
 * time; machines that are started and stopped, and the command line's, jailed,
 * which are processes.  Twenty times, or every five seconds, all of them end
 * what they have and wait: then descriptors, threads, mappings, memory and
 * files left are counted.  The first three counts warm up; descriptors and
 * threads stay the same from then on, and memory as it was.
 *
 * SOAK_LEAK=1: each life of those four leaks a descriptor and 16 KiB, for who
 * doubts that this would be found.
 *
 * It prints each count; "ok", "FAIL" for each demand; and last "N passed, N
 * failed, N skipped".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mote.h"

#define LOOPERS	   4
#define WORKERS	   (LOOPERS + 3)
#define COUNTS_MAX 512
#define WARM_UP	   3
#define REWINDS	   8
#define LINE_BYTES 96
#define WAIT_MS	   20000 /* for one line of a guest, on a busy host */
#define GROWTH_KIB 1024

#define RATE_PER_SECOND 9 /* starts and stops: 10,000 in 20 minutes */

static const char *mote, *guests, *folder;
static atomic_bool over;
static bool leak;
static void *volatile sink;
static atomic_ulong starts, processes, snapshots, restores, rewinds, attacks,
	wrong;

extern char **environ;

static void complain(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("wrong: %s\n", line);
	fflush(stdout);
	atomic_fetch_add(&wrong, 1);
}

/* --- all stand still while it is counted --------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold;
	int held;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER,
	  .changed = PTHREAD_COND_INITIALIZER};

static bool held(void)
{
	bool hold;

	pthread_mutex_lock(&gate.lock);
	hold = gate.hold;
	pthread_mutex_unlock(&gate.lock);
	return hold || atomic_load(&over);
}

/* A worker that holds nothing passes here. */
static void pass_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	if (gate.hold) {
		gate.held++;
		pthread_cond_broadcast(&gate.changed);
		while (gate.hold)
			pthread_cond_wait(&gate.changed, &gate.lock);
		gate.held--;
	}
	pthread_mutex_unlock(&gate.lock);
}

static void close_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.hold = true;
	while (gate.held < WORKERS)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.hold = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* --- a machine and what it prints ----------------------------------------- */

struct machine {
	struct mote_config *cfg;
	struct mote_vm *vm;
	int out[2];
	char line[LINE_BYTES];
	size_t len;
	long count; /* of its last "count N" */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void machine_end(struct machine *m)
{
	mote_vm_destroy(m->vm);
	mote_config_free(m->cfg);
	for (int i = 0; i < 2; i++)
		if (m->out[i] >= 0)
			close(m->out[i]);
	*m = (struct machine){.out = {-1, -1}};
}

static int set(struct machine *m, const char *assign)
{
	return mote_config_set(m->cfg, "soak", assign, NULL);
}

/* From an image, or where snap is not NULL from that. */
static int machine_make(struct machine *m, const char *guest, const char *args,
			struct mote_snapshot *snap)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_err err = {0};
	char text[512];
	int ret;

	*m = (struct machine){.out = {-1, -1}};
	if (pipe2(m->out, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	m->cfg = mote_config_new();
	if (snap) {
		ret = mote_snapshot_config(snap, m->cfg, &err);
	} else {
		snprintf(text, sizeof(text), "vm.kernel=%s/%s.elf", guests,
			 guest);
		ret = set(m, text) | set(m, "vm.memory=2M");
		snprintf(text, sizeof(text), "vm.cmdline=%s", args);
		ret |= set(m, text);
	}
	opt.config = m->cfg;
	opt.snapshot = snap;
	opt.rewind = snap != NULL;
	opt.console_out_fd = m->out[1];
	opt.seccomp = MOTE_SECCOMP_KILL;
	if (ret == 0)
		ret = mote_vm_create(&opt, &m->vm, &err);
	if (ret == 0)
		ret = mote_vm_start(m->vm, false, &err);
	if (ret < 0)
		complain("%s: %s", guest, err.msg);
	else
		atomic_fetch_add(&starts, 1);
	return ret;
}

/* Take what it printed; true when a "count N" was in it. */
static bool machine_read(struct machine *m)
{
	bool news = false;
	char c;

	while (read(m->out[0], &c, 1) == 1) {
		if (c != '\n') {
			if (m->len < sizeof(m->line) - 1)
				m->line[m->len++] = c;
			continue;
		}
		m->line[m->len] = 0;
		m->len = 0;
		if (!strncmp(m->line, "count ", 6)) {
			m->count = strtol(m->line + 6, NULL, 10);
			news = true;
			break;
		}
	}
	return news;
}

static enum mote_state machine_turn(struct machine *m, int ms)
{
	struct mote_status st = {.size = sizeof(st)};
	struct pollfd fds[MOTE_VM_POLL_MAX];
	struct mote_err err;
	int timeout, n = mote_vm_poll(m->vm, fds, &timeout);

	poll(fds, (nfds_t)n, timeout >= 0 && timeout < ms ? timeout : ms);
	mote_vm_dispatch(m->vm, fds, n);
	mote_vm_status(m->vm, &st, &err);
	return st.state;
}

/* Until it says its next count. */
static int machine_wait(struct machine *m)
{
	uint64_t until = now_ms() + WAIT_MS;

	while (!machine_read(m)) {
		if (machine_turn(m, 10) == MOTE_ENDED) {
			complain("a counter ended");
			return -EIO;
		}
		if (now_ms() > until) {
			complain("a counter says nothing after %ld", m->count);
			return -ETIMEDOUT;
		}
	}
	return 0;
}

/* What it had printed before is of another time. */
static void machine_forget(struct machine *m)
{
	char buf[256];

	while (read(m->out[0], buf, sizeof(buf)) > 0)
		;
	m->len = 0;
}

/* --- snapshots ---------------------------------------------------------------
 */

static void remove_snapshot(const char *dir)
{
	static const char *const name[] = {"manifest", "state", "memory"};
	char path[600];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int make_files(const char *dir, struct mote_snapshot_files *f)
{
	char path[600];

	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/manifest", dir);
	f->manifest_fd =
		open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	snprintf(path, sizeof(path), "%s/state", dir);
	f->state_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	snprintf(path, sizeof(path), "%s/memory", dir);
	f->memory_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return f->memory_fd < 0 ? -errno : 0;
}

static int take(struct machine *m, const char *dir, bool live, bool diff)
{
	struct mote_snapshot_options opt = {.size = sizeof(opt),
					    .name = strrchr(dir, '/') + 1,
					    .diff = diff};
	struct mote_snapshot_files f = {-1, -1, -1};
	struct mote_err err = {0};
	int ret = make_files(dir, &f);

	if (ret == 0 && live)
		ret = mote_vm_snapshot_live(m->vm, &f, &opt, &err);
	if (ret == 0 && !live) {
		ret = mote_vm_pause(m->vm, &err);
		if (ret == 0)
			ret = mote_vm_snapshot(m->vm, &f, &opt, &err);
		mote_vm_resume(m->vm, &err);
	}
	mote_vm_snapshot_end(m->vm, ret == 0);
	close(f.manifest_fd);
	close(f.state_fd);
	close(f.memory_fd);
	if (ret < 0)
		complain("snapshot: %s", err.msg);
	atomic_fetch_add(&snapshots, 1);
	return ret;
}

/* It counts on from where it was, each time that it is there again. */
static void restore_and_rewind(const char *dir, long at_least)
{
	struct mote_snapshot *snap = NULL;
	struct mote_err err = {0};
	struct machine m = {.out = {-1, -1}};
	long first = 0;
	int ret = mote_snapshot_open(AT_FDCWD, dir, &snap, &err);

	if (ret < 0)
		complain("%s: %s", dir, err.msg);
	if (ret == 0)
		ret = machine_make(&m, "a snapshot", NULL, snap);
	if (ret == 0)
		ret = machine_wait(&m);
	first = m.count;
	if (ret == 0 && (first < at_least || first > at_least + 1000000))
		complain("%s: count %ld after %ld", dir, first, at_least);
	atomic_fetch_add(&restores, 1);
	for (int i = 0; ret == 0 && i < REWINDS && !held(); i++) {
		ret = mote_vm_rewind(m.vm, NULL, &err);
		if (ret < 0)
			complain("rewind: %s", err.msg);
		machine_forget(&m);
		if (ret == 0)
			ret = mote_vm_resume(m.vm, &err);
		if (ret == 0)
			ret = machine_wait(&m);
		if (ret == 0 && m.count != first)
			complain("rewound to %ld, first it was %ld", m.count,
				 first);
		atomic_fetch_add(&rewinds, 1);
	}
	machine_end(&m);
	mote_snapshot_close(snap);
}

static void one_life(int id, unsigned int n)
{
	char full[512], diff[520];
	struct machine m;
	long at;
	int ret = machine_make(&m, "counter", "step_ms=2", NULL);

	snprintf(full, sizeof(full), "%s/vm%d-%u", folder, id, n);
	snprintf(diff, sizeof(diff), "%s-diff", full);
	for (int i = 0; ret == 0 && i < 3; i++)
		ret = machine_wait(&m);
	at = m.count;
	if (ret == 0)
		ret = take(&m, full, n % 2, false);
	if (ret == 0)
		restore_and_rewind(full, at);
	if (ret == 0 && !held()) {
		ret = machine_wait(&m);
		at = m.count;
		if (ret == 0)
			ret = take(&m, diff, n % 3 == 0, true);
		if (ret == 0)
			restore_and_rewind(diff, at);
	}
	machine_end(&m);
	remove_snapshot(diff);
	remove_snapshot(full);
	if (leak)
		sink = memset(malloc(16384), dup(0), 16384);
}

static void *looper(void *opaque)
{
	int id = (int)(intptr_t)opaque;

	for (unsigned int n = 0; !atomic_load(&over); n++) {
		pass_gate();
		if (!held())
			one_life(id, n);
	}
	pass_gate();
	return NULL;
}

/* --- those beside -----------------------------------------------------------
 */

static void *attacker(void *opaque)
{
	static const char *const attack[] = {
		"wild=1",   "nothing=1", "page=1",  "exit2=1", "flood=1",
		"wait=1",   "halt=1",	 "trap=1",  "run=1",   "run=2",
		"tables=1", "ins=1",	 "calls=1", "apic=1",
	};
	size_t n = sizeof(attack) / sizeof(attack[0]);

	(void)opaque;
	for (unsigned int i = 0; !atomic_load(&over); i++) {
		struct machine m;
		uint64_t until = now_ms() + 300;

		pass_gate();
		if (held())
			continue;
		if (machine_make(&m, "hostile", attack[i % n], NULL) == 0)
			while (now_ms() < until && !held() &&
			       machine_turn(&m, 10) != MOTE_ENDED)
				machine_forget(&m);
		machine_end(&m);
		atomic_fetch_add(&attacks, 1);
	}
	return NULL;
}

static void start_and_stop(void)
{
	struct mote_status st = {.size = sizeof(st)};
	uint64_t until = now_ms() + WAIT_MS;
	struct mote_err err = {0};
	struct machine m;

	if (machine_make(&m, "noop", "", NULL) == 0) {
		while (machine_turn(&m, 10) != MOTE_ENDED && now_ms() < until)
			;
		mote_vm_status(m.vm, &st, &err);
		if (st.end != MOTE_END_EXIT || st.exit_code != 0)
			complain("noop: end %d, code %d: %s", st.end,
				 st.exit_code, err.msg);
	}
	machine_end(&m);
}

static void *churner(void *opaque)
{
	uint64_t began = now_ms(), n = 0;

	(void)opaque;
	while (!atomic_load(&over)) {
		pass_gate();
		if (held() || n * 1000 > (now_ms() - began) * RATE_PER_SECOND) {
			usleep(2000);
			continue;
		}
		start_and_stop();
		n++;
	}
	return NULL;
}

static void *spawner(void *opaque)
{
	char kernel[512];
	char *argv[] = {(char *)mote, "run", "--kernel", kernel,
			"--memory",   "2M",  "--set",	 "console.type=null",
			NULL};

	posix_spawn_file_actions_t quiet;

	(void)opaque;
	snprintf(kernel, sizeof(kernel), "%s/noop.elf", guests);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null",
					 O_WRONLY, 0);
	while (!atomic_load(&over)) {
		int status = 0;
		pid_t pid;

		pass_gate();
		if (held())
			continue;
		if (posix_spawn(&pid, mote, &quiet, NULL, argv, environ) != 0 ||
		    waitpid(pid, &status, 0) != pid || status != 0)
			complain("mote run: status %d", status);
		atomic_fetch_add(&processes, 1);
		usleep(500000);
	}
	posix_spawn_file_actions_destroy(&quiet);
	return NULL;
}

/* --- what is held
 * -------------------------------------------------------------- */

struct held {
	long fds, threads, maps, kib, files;
};

static long entries(const char *path)
{
	long n = -2; /* . and .. */
	DIR *d = opendir(path);

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static struct held look(void)
{
	struct held h = {.fds = entries("/proc/self/fd") - 1,
			 .threads = entries("/proc/self/task"),
			 .files = entries(folder)};
	char line[512];
	FILE *f;

	malloc_trim(0);
	f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f))
		h.maps += strchr(line, '\n') != NULL;
	if (f)
		fclose(f);
	f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssAnon:", 8) ||
		    !strncmp(line, "RssShmem:", 9))
			h.kib += strtol(strchr(line, ':') + 1, NULL, 10);
	if (f)
		fclose(f);
	return h;
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* The middle one of what the counts from .. to say at that place. */
static long middle(const struct held *h, int from, int to, size_t at)
{
	long v[COUNTS_MAX];

	for (int i = from; i < to; i++)
		v[i - from] = *(const long *)((const char *)&h[i] + at);
	qsort(v, (size_t)(to - from), sizeof(v[0]), by_size);
	return v[(to - from) / 2];
}

static int failures, successes;

static void demand(bool so, const char *what, long first, long last)
{
	printf("%s %s: %ld at first, %ld at last\n", so ? "ok" : "FAIL", what,
	       first, last);
	if (so)
		successes++;
	else
		failures++;
}

static void judge(const struct held *h, int n, unsigned int seconds)
{
	int third = WARM_UP + (n - WARM_UP + 2) / 3,
	    last = n - (n - WARM_UP) / 3;
	bool fds = true, threads = true, files = true;
	long from, to;

	for (int i = WARM_UP; i < n; i++) {
		fds = fds && h[i].fds == h[WARM_UP].fds;
		threads = threads && h[i].threads == h[WARM_UP].threads;
		files = files && h[i].files == 0;
	}
	demand(fds, "descriptors stay", h[WARM_UP].fds, h[n - 1].fds);
	demand(threads, "threads stay", h[WARM_UP].threads, h[n - 1].threads);
	demand(files, "no file is left", h[WARM_UP].files, h[n - 1].files);
	from = middle(h, WARM_UP, third, offsetof(struct held, maps));
	to = middle(h, last, n, offsetof(struct held, maps));
	demand(to <= from + 16, "mappings stay", from, to);
	from = middle(h, WARM_UP, third, offsetof(struct held, kib));
	to = middle(h, last, n, offsetof(struct held, kib));
	demand(to <= from + GROWTH_KIB, "memory (KiB) stays", from, to);
	demand(atomic_load(&starts) >= seconds * 1000ul * 10 / 1200,
	       "starts and stops", (long)(seconds * 1000ul * 10 / 1200),
	       (long)atomic_load(&starts));
	demand(atomic_load(&rewinds) > 0 && atomic_load(&restores) > 0 &&
		       atomic_load(&attacks) > 0,
	       "all took part: rewinds, attacks", (long)atomic_load(&rewinds),
	       (long)atomic_load(&attacks));
	demand(atomic_load(&wrong) == 0, "nothing went wrong", 0,
	       (long)atomic_load(&wrong));
}

int main(int argc, char **argv)
{
	static struct held h[COUNTS_MAX];
	pthread_t t[WORKERS];
	unsigned int seconds, step;
	uint64_t began = now_ms();
	int n = 0;

	if (argc != 5) {
		fprintf(stderr, "soak SECONDS MOTE GUESTS FOLDER\n");
		return 64;
	}
	seconds = (unsigned int)strtoul(argv[1], NULL, 10);
	mote = argv[2];
	guests = argv[3];
	folder = argv[4];
	leak = getenv("SOAK_LEAK") != NULL;
	signal(SIGPIPE, SIG_IGN);
	step = seconds / 20 < 5 ? 5 : seconds / 20;
	for (int i = 0; i < LOOPERS; i++)
		pthread_create(&t[i], NULL, looper, (void *)(intptr_t)i);
	pthread_create(&t[LOOPERS], NULL, attacker, NULL);
	pthread_create(&t[LOOPERS + 1], NULL, churner, NULL);
	pthread_create(&t[LOOPERS + 2], NULL, spawner, NULL);
	printf("%8s %6s %8s %9s %9s %6s %8s %9s %9s\n", "seconds", "fds",
	       "threads", "mappings", "KiB", "files", "starts", "snapshots",
	       "rewinds");
	while (now_ms() - began < seconds * 1000ull && n < COUNTS_MAX) {
		sleep(step);
		close_gate();
		h[n] = look();
		printf("%8lu %6ld %8ld %9ld %9ld %6ld %8lu %9lu %9lu\n",
		       (unsigned long)(now_ms() - began) / 1000, h[n].fds,
		       h[n].threads, h[n].maps, h[n].kib, h[n].files,
		       atomic_load(&starts), atomic_load(&snapshots),
		       atomic_load(&rewinds));
		fflush(stdout);
		n++;
		open_gate();
	}
	atomic_store(&over, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	printf("%lu snapshots, %lu restores, %lu rewinds, %lu attacks, %lu "
	       "starts and stops, %lu processes\n",
	       atomic_load(&snapshots), atomic_load(&restores),
	       atomic_load(&rewinds), atomic_load(&attacks),
	       atomic_load(&starts), atomic_load(&processes));
	if (n < WARM_UP + 3)
		demand(false, "counts", WARM_UP + 3, n);
	else
		judge(h, n, seconds);
	printf("%d passed, %d failed, 0 skipped\n", successes, failures);
	return failures ? 1 : 0;
}
