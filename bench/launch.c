/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - whole launches: mote, jailed and not, against the floors and
 * against peers; and the memory of a machine that runs.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

extern char **environ;

#define STEPS_MAX 8

/* What each step of the jail takes: jail.step.N.us_p50 and _p99, named. */
static void add_jail_steps(const char *dir, int runs)
{
	static double us[STEPS_MAX][RUNS_MAX];
	char name[STEPS_MAX][48], line[96], command[512], metric_name[64];
	int steps = 0;

	snprintf(command, sizeof(command), "%s/bench/jail-only steps", dir);
	for (int run = 0; run < runs; run++) {
		FILE *f = popen(command, "r");
		int n = 0;

		while (f && n < STEPS_MAX && fgets(line, sizeof(line), f))
			if (sscanf(line, "%47[^\t]\t%lf", name[n],
				   &us[n][run]) == 2)
				n++;
		if (!f || pclose(f) != 0 || (run > 0 && n != steps))
			return;
		steps = n;
	}
	for (int i = 0; i < steps; i++) {
		sort_doubles(us[i], runs);
		snprintf(metric_name, sizeof(metric_name),
			 "jail.step.%d.us_p50", i + 1);
		metric_add(metric_name, us[i][runs / 2], name[i]);
		snprintf(metric_name, sizeof(metric_name),
			 "jail.step.%d.us_p99", i + 1);
		metric_add(metric_name, us[i][runs * 99 / 100], name[i]);
	}
}

static void add_jail(struct subject *jail, struct subject *floor_jail, int runs)
{
	struct subject *both[] = {floor_jail, jail};
	char note[80];

	if (!subject_works(floor_jail) || !subject_works(jail)) {
		printf("no jail metrics: this user may not, or the kernel "
		       "lacks a layer\n");
		return;
	}
	if (!measure(both, 2, runs))
		return;
	add_ratio("jail.ratio_floor", jail, median_us(floor_jail, runs), runs);
	snprintf(note, sizeof(note), "this host; process start to reaped");
	metric_add("jail.ms_p50", median_us(jail, runs) / 1e3, note);
	metric_add("jail.ms_p99", jail->us[runs * 99 / 100] / 1e3, note);
}

/* F + floor_jail as two programs, and as one that does both. */
static void add_jailed(struct subject *m, struct subject *f,
		       struct subject *floor_jail, struct subject *one,
		       int runs)
{
	struct subject *all[] = {f, floor_jail, one, m};
	double base;

	if (!subject_works(floor_jail) || !subject_works(m) ||
	    !measure(all, 4, runs))
		return;
	base = median_us(f, runs) + median_us(floor_jail, runs);
	add_ratio("launch.jailed.ratio_floor", m, base, runs);
	add_ratio("launch.jailed.ratio_floor_in_jail", m, median_us(one, runs),
		  runs);
	measure_churn("churn.8way.jailed.ratio_floor", m, one);
}

void bench_launch(const struct place *p, int runs)
{
	const char *const off[] = {"run", p->ini, NULL};
	const char *const on[] = {"run", p->ini, "--set", "sandbox.enable=yes",
				  NULL};
	static const char *const vm[] = {"vm", NULL};
	struct subject *f = subject_new("floor", p->dir, "bench/floor", NULL);
	struct subject *fn = subject_new("floor without libc", p->dir,
					 "bench/floor-nolibc", NULL);
	struct subject *fj =
		subject_new("floor_jail", p->dir, "bench/floor-jail", NULL);
	struct subject *fv =
		subject_new("floor in jail", p->dir, "bench/floor-jail", vm);
	struct subject *j =
		subject_new("jail", p->dir, "bench/jail-only", NULL);
	struct subject *m = subject_new("mote", p->dir, "mote", off);
	struct subject *mj = subject_new("mote jailed", p->dir, "mote", on);
	struct subject *all[] = {f, fn, m};

	if (!measure(all, 3, runs))
		return;
	add_ratio("launch.exec_exit.ratio_floor", m, median_us(f, runs), runs);
	add_ratio("launch.exec_exit.ratio_floor_nolibc", m, median_us(fn, runs),
		  runs);
	metric_add("floor.exec_exit.us", median_us(f, runs),
		   "this host, not a claim");
	metric_add("launch.page_faults", m->faults[runs / 2],
		   "jail off, median");
	metric_add("floor.page_faults", f->faults[runs / 2], "median");
	measure_churn("churn.8way.ratio_floor", m, f);
	add_jailed(mj, f, fj, fv, runs);
	add_jail(j, fj, runs);
	add_jail_steps(p->dir, runs);
}

/* --- memory --------------------------------------------------------------- */

#define GUEST_RAM_KIB (16 << 10)

static bool field(const char *line, const char *name, long *kib)
{
	size_t n = strlen(name);

	if (strncmp(line, name, n) != 0)
		return false;
	*kib = strtol(line + n, NULL, 10);
	return true;
}

/*
 * Resident and anonymous KiB of a process, without mappings that are as
 * large as the guest's RAM: that is its RAM.  False: not to be read.
 */
static bool read_smaps(pid_t pid, long *rss, long *anon)
{
	char path[64], line[512];
	long size = 0, kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	*rss = *anon = 0;
	while (fgets(line, sizeof(line), f)) {
		if (field(line, "Size:", &kib))
			size = kib;
		if (size >= GUEST_RAM_KIB)
			continue;
		if (field(line, "Rss:", &kib))
			*rss += kib;
		if (field(line, "Anonymous:", &kib))
			*anon += kib;
	}
	fclose(f);
	return *rss > 0;
}

static pid_t child_of(pid_t pid)
{
	char path[80], line[64];
	long child = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f))
		child = strtol(line, NULL, 10);
	fclose(f);
	return (pid_t)child;
}

/* Start argv with its output into a pipe and wait for its first byte. */
static pid_t start_guest(char *const argv[], int *out)
{
	posix_spawn_file_actions_t fa;
	int end[2];
	char byte;
	pid_t pid;
	int ret;

	if (pipe2(end, O_CLOEXEC) < 0)
		return -1;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, end[1], 1);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	ret = posix_spawn(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(end[1]);
	if (ret == 0 && read(end[0], &byte, 1) != 1) {
		waitpid(pid, NULL, 0);
		ret = -1;
	}
	*out = end[0];
	return ret == 0 ? pid : -1;
}

void bench_memory(const struct place *p)
{
	char kernel[600];
	const char *const args[] = {
		"run",	 "--kernel",	       kernel, "--memory", "16M",
		"--set", "sandbox.enable=yes", NULL};
	struct subject *s;
	long rss, anon, lrss, lanon;
	pid_t pid, child;
	int out = -1;

	snprintf(kernel, sizeof(kernel), "%s/guests/counter.elf", p->dir);
	s = subject_new("mote", p->dir, "mote", args);
	pid = start_guest(s->argv, &out);
	if (pid < 0) {
		printf("no memory metrics: the counter guest does not run\n");
		return;
	}
	child = child_of(pid);
	if (child > 0 && read_smaps(child, &rss, &anon) &&
	    read_smaps(pid, &lrss, &lanon)) {
		metric_add("launch.rss_kib", (double)rss,
			   "VM process, jailed, without guest RAM");
		metric_add("launch.anon_kib", (double)anon,
			   "VM process, jailed, without guest RAM");
		metric_add("launch.launcher_rss_kib", (double)lrss,
			   "the launcher beside it");
		metric_add("launch.launcher_anon_kib", (double)lanon,
			   "the launcher beside it");
	} else {
		printf("no memory metrics: /proc does not let us see\n");
	}
	kill(pid, SIGKILL); /* the VM process dies with it */
	waitpid(pid, NULL, 0);
	close(out);
}

/* --- peers ---------------------------------------------------------------- */

/* A program of that name on PATH, or false. */
static bool find_on_path(const char *name, char *out, size_t size)
{
	const char *path = getenv("PATH");
	char copy[4096];
	char *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path ? path : "");
	for (char *d = strtok_r(copy, ":", &save); d;
	     d = strtok_r(NULL, ":", &save)) {
		snprintf(out, size, "%s/%s", d, name);
		if (access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* mote under a peer's name is no peer: it says who it is. */
static bool is_mote(const char *program, const struct place *p)
{
	char command[1200], line[128] = "";
	char own[600];
	FILE *f;

	snprintf(own, sizeof(own), "%s/mote", p->dir);
	if (same_file(program, own))
		return true;
	snprintf(command, sizeof(command), "'%s' --version 2>/dev/null",
		 program);
	f = popen(command, "r");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	pclose(f);
	return strstr(line, "mote") != NULL;
}

static bool write_image(const char *path, const uint8_t *data, size_t len)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fwrite(data, 1, len, f) == len;

	return f && fclose(f) == 0 && ok;
}

/*
 * The guests of peers do what ours does, nothing but end, each by the way
 * that its VMM has: a reset vector that writes 1 to QEMU's exit device (QEMU
 * ends with 3; with 1 it would end of any failure, too); a flat real-mode
 * image that pulls the reset line.
 */
bool qemu_rom(const char *path)
{
	/* mov $1, %al; 1: out %al, $0xf4; jmp 1b */
	static const uint8_t debug_exit[] = {0xb0, 0x01, 0xe6,
					     0xf4, 0xeb, 0xfc};
	static uint8_t rom[64 << 10];

	memcpy(rom + sizeof(rom) - 16, debug_exit, sizeof(debug_exit));
	return write_image(path, rom, sizeof(rom));
}

static bool make_guests(const char *dir)
{
	static const uint8_t reset[] = {0xb0, 0xfe, 0xe6, 0x64, 0xf4};
	char path[600];

	snprintf(path, sizeof(path), "%s/bench/qemu-noop.rom", dir);
	if (!qemu_rom(path))
		return false;
	snprintf(path, sizeof(path), "%s/bench/kvmtool-noop.bin", dir);
	return write_image(path, reset, sizeof(reset));
}

void measure_peer(const char *metric_name, struct subject *peer,
		  struct subject *mote, int runs)
{
	struct subject *both[] = {mote, peer};
	char note[80];
	double lo, hi, base;

	if (!subject_works(peer)) {
		printf("no %s: %s does not run its guest here\n", metric_name,
		       peer->name);
		return;
	}
	if (!measure(both, 2, runs))
		return;
	base = median_us(mote, runs);
	lo = peer->us[runs / 10] / base;
	hi = peer->us[runs * 9 / 10] / base;
	snprintf(note, sizeof(note),
		 "%.1f ms to mote's %.2f, p10 %.1f p90 %.1f",
		 median_us(peer, runs) / 1e3, base / 1e3, lo, hi);
	metric_add_spread(metric_name, median_us(peer, runs) / base, lo, hi,
			  note);
}

static void peer_of_launch(const char *metric_name, struct subject *peer,
			   const struct place *p, int runs)
{
	const char *const off[] = {"run", p->ini, NULL};

	measure_peer(metric_name, peer,
		     subject_new("mote", p->dir, "mote", off), runs);
}

const char *const qemu_exit[] = {"-device",
				 "isa-debug-exit,iobase=0xf4,iosize=0x4", NULL};

struct subject *qemu_new(const char *name, const char *rom, const char *memory)
{
	const char *const args[] = {"-M",
				    "microvm,accel=kvm,pit=off,pic=off,rtc=off,"
				    "isa-serial=off",
				    "-cpu",
				    "host,-arch-capabilities",
				    "-m",
				    memory,
				    "-bios",
				    rom,
				    "-display",
				    "none",
				    "-nodefaults",
				    "-no-user-config",
				    NULL};
	char path[512];

	if (!find_on_path("qemu-system-x86_64", path, sizeof(path)))
		return NULL;
	return subject_new(name, "", path + 1, args);
}

static void peer_qemu(const struct place *p, int runs)
{
	struct subject *s;
	char rom[600];

	snprintf(rom, sizeof(rom), "%s/bench/qemu-noop.rom", p->dir);
	s = qemu_new("qemu microvm", rom, "16M");
	if (!s)
		return;
	subject_args(s, qemu_exit);
	s->status = QEMU_ENDED;
	peer_of_launch("launch.ratio_qemu_microvm", s, p, runs);
}

static void peer_kvmtool(const struct place *p, int runs)
{
	char path[512], image[600];
	const char *const args[] = {"run", "-k", image, "-m",	     "64",
				    "-c",  "1",	 "-n",	"mode=none", NULL};

	snprintf(image, sizeof(image), "%s/bench/kvmtool-noop.bin", p->dir);
	if (find_on_path("lkvm", path, sizeof(path)))
		peer_of_launch("launch.ratio_kvmtool",
			       subject_new("kvmtool", "", path + 1, args), p,
			       runs);
}

/* Its guest comes from Solo5's own tools: MOTE_BENCH_HVT names it. */
static void peer_solo5(const struct place *p, int runs)
{
	const char *guest = getenv("MOTE_BENCH_HVT");
	const char *const args[] = {"--mem=16", guest, NULL};
	char path[512];

	if (!find_on_path("solo5-hvt", path, sizeof(path)) || is_mote(path, p))
		return;
	if (!guest) {
		printf("solo5-hvt is here: MOTE_BENCH_HVT=GUEST.hvt names a "
		       "guest that ends at once\n");
		return;
	}
	peer_of_launch("launch.ratio_solo5_hvt",
		       subject_new("solo5-hvt", "", path + 1, args), p, runs);
}

void bench_peers(const struct place *p, int runs)
{
	if (!make_guests(p->dir))
		return;
	peer_qemu(p, runs);
	peer_kvmtool(p, runs);
	peer_solo5(p, runs);
}
