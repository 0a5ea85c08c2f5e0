/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inproc.c - what needs to be inside: libmote's create to first exit, its
 * own time for each exit, the price of the vCPU filter.
 *
 * Linked with --wrap=kvm_run: the library's calls of kvm_run come here
 * first, so that the time between two of them is seen and nothing else of
 * the library is changed.  The bare loop that is subtracted takes its
 * times in the same way.
 */
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor_vm.h"
#include "measure.h"
#include "sandbox/sandbox.h"
#include "vmm/mote.h"

#define COUNT	 4000 /* of each kind, as in guests/exits */
#define ROUNDS	 9
#define GAPS_MAX (2 * COUNT + 8)

/* --- the library's kvm_run, seen from outside ----------------------------- */

int __real_kvm_run(int vcpu_fd);
int __wrap_kvm_run(int vcpu_fd);

static struct {
	uint64_t first_exit; /* when KVM_RUN came back for the first time */
	uint64_t last;
	double gap[GAPS_MAX]; /* ns from one's return to the next's start */
	int gaps;
} seen;

int __wrap_kvm_run(int vcpu_fd)
{
	uint64_t t = now_ns();
	int ret;

	if (seen.last && seen.gaps < GAPS_MAX)
		seen.gap[seen.gaps++] = (double)(t - seen.last);
	ret = __real_kvm_run(vcpu_fd);
	seen.last = now_ns();
	if (!seen.first_exit)
		seen.first_exit = seen.last;
	return ret;
}

void seen_reset(void)
{
	seen.first_exit = seen.last = 0;
	seen.gaps = 0;
}

uint64_t seen_first_exit(void)
{
	return seen.first_exit;
}

/* --- a machine of the library --------------------------------------------- */

static struct mote_config *config_of(const char *dir, const char *guest)
{
	struct mote_config *cfg = mote_config_new();
	char text[800];
	int n = snprintf(text, sizeof(text),
			 "[vm]\nkernel = %s/guests/%s\nmemory = 16M\n"
			 "[sandbox]\nenable = no\n",
			 dir, guest);

	if (cfg && n < (int)sizeof(text) &&
	    mote_config_parse(cfg, "bench", text, (size_t)n, NULL) == 0)
		return cfg;
	mote_config_free(cfg);
	return NULL;
}

static bool wait_end(struct mote_vm *vm)
{
	struct mote_status st = {.size = sizeof(st)};

	for (;;) {
		struct pollfd fds[MOTE_VM_POLL_MAX];
		int timeout, n;

		mote_vm_status(vm, &st, NULL);
		if (st.state == MOTE_ENDED)
			return st.end == MOTE_END_EXIT && st.exit_code == 0;
		n = mote_vm_poll(vm, fds, &timeout);
		poll(fds, (nfds_t)n, timeout);
		mote_vm_dispatch(vm, fds, n);
	}
}

/* Create, run to its end, destroy; *us: from create to the first exit. */
static bool run_mote(const struct mote_config *cfg, double *us)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_err err = {0};
	struct mote_vm *vm;
	uint64_t start;
	bool ok;

	opt.config = cfg;
	seen_reset();
	start = now_ns();
	if (mote_vm_create(&opt, &vm, &err) < 0) {
		fprintf(stderr, "bench: %s\n", err.msg);
		return false;
	}
	ok = mote_vm_start(vm, false, &err) == 0 && wait_end(vm);
	mote_vm_destroy(vm);
	*us = (double)(seen.first_exit - start) / 1e3;
	return ok;
}

static bool run_floor(double *us)
{
	struct floor_vm f = {0};
	uint64_t start = now_ns();
	int bad = floor_vm_open(&f, floor_code, sizeof(floor_code)) ||
		  floor_vm_run(&f);

	*us = (double)(now_ns() - start) / 1e3;
	floor_vm_close(&f);
	return !bad;
}

static void first_exit(const struct place *p, int runs)
{
	static double mote[RUNS_MAX], base[RUNS_MAX];
	struct mote_config *cfg = config_of(p->dir, "noop.elf");
	char note[80];
	double m;
	bool ok = cfg != NULL;

	for (int i = 0; i < runs && ok; i++)
		ok = run_floor(&base[i]) && run_mote(cfg, &mote[i]);
	mote_config_free(cfg);
	if (!ok) {
		fprintf(stderr, "bench: a guest in process failed\n");
		return;
	}
	sort_doubles(mote, runs);
	sort_doubles(base, runs);
	m = base[runs / 2];
	snprintf(note, sizeof(note), "p10 %.2f p90 %.2f, %d runs",
		 mote[runs / 10] / m, mote[runs * 9 / 10] / m, runs);
	metric_add_spread("launch.inprocess_first_exit.ratio_floor",
			  mote[runs / 2] / m, mote[runs / 10] / m,
			  mote[runs * 9 / 10] / m, note);
}

/* --- own time of an exit -------------------------------------------------- */

/* mov $COUNT, %ecx; 1: out %al, $0x10; dec %ecx; jnz 1b; jmp . */
static const uint8_t loop_code[] = {0xb9, COUNT & 0xff, COUNT >> 8, 0,	  0,
				    0xe6, 0x10,		0xff,	    0xc9, 0x75,
				    0xfa, 0xeb,		0xfe};

/* Median gap of a loop that does nothing but KVM_RUN. */
static bool bare_gap(double *ns)
{
	static double gap[COUNT];
	struct floor_vm f = {0};
	uint64_t last = 0;
	bool ok = !floor_vm_open(&f, loop_code, sizeof(loop_code));

	for (int i = 0; i < COUNT && ok; i++) {
		uint64_t t = now_ns();

		if (i)
			gap[i - 1] = (double)(t - last);
		ok = ioctl((int)f.vcpu, KVM_RUN, 0) == 0;
		last = now_ns();
		ok = ok && f.run->exit_reason == KVM_EXIT_IO;
	}
	floor_vm_close(&f);
	if (!ok)
		return false;
	sort_doubles(gap, COUNT - 1);
	*ns = gap[COUNT / 2];
	return true;
}

static void add_own(const char *name, double *own, const char *what)
{
	char note[80];

	sort_doubles(own, ROUNDS);
	snprintf(note, sizeof(note), "%s; from %.0f to %.0f, %d rounds", what,
		 own[0], own[ROUNDS - 1], ROUNDS);
	metric_add_spread(name, own[ROUNDS / 2], own[0], own[ROUNDS - 1], note);
}

static void own_time(const struct place *p)
{
	struct mote_config *cfg = config_of(p->dir, "exits.elf");
	double pio[ROUNDS], mmio[ROUNDS], bare, us;
	bool ok = cfg != NULL;

	for (int i = 0; i < ROUNDS && ok; i++) {
		ok = bare_gap(&bare) && run_mote(cfg, &us) &&
		     seen.gaps >= 2 * COUNT;
		if (!ok)
			break;
		/* The gap after exit i; the guest's order is known. */
		sort_doubles(seen.gap, COUNT);
		sort_doubles(seen.gap + COUNT, COUNT);
		pio[i] = seen.gap[COUNT / 2] - bare;
		mmio[i] = seen.gap[COUNT + COUNT / 2] - bare;
	}
	mote_config_free(cfg);
	if (!ok) {
		fprintf(stderr, "bench: the guest of exits failed\n");
		return;
	}
	add_own("exit.pio.own_ns", pio, "to a device's register");
	add_own("exit.mmio.own_ns", mmio, "to no device");
}

/* --- the vCPU's filter ---------------------------------------------------- */

#define CALLS 20000

/*
 * A KVM_RUN that KVM refuses at once, since this process (a fork) is not
 * the VM's: what is left is the price of the system call, with or without
 * the filter.  Mean of CALLS.
 */
static void refused_runs(int vcpu_fd, bool filtered, double *ns)
{
	const int fd[SANDBOX_FDS] = {
		[SANDBOX_FD_VCPU] = vcpu_fd, [SANDBOX_FD_EVENTS] = -1};
	uint64_t start;

	if (filtered &&
	    sandbox_filter_load(SANDBOX_VCPU, SANDBOX_ERRNO, fd) < 0)
		_exit(1);
	start = now_ns();
	for (int i = 0; i < CALLS; i++)
		if (ioctl(vcpu_fd, KVM_RUN, 0) == 0)
			_exit(1);
	*ns = (double)(now_ns() - start) / CALLS;
	_exit(0);
}

static bool fork_runs(int vcpu_fd, bool filtered, double *shared)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		refused_runs(vcpu_fd, filtered, shared);
	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void filter_price(void)
{
	double *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct floor_vm f = {0};
	double price[ROUNDS];
	bool ok = shared != MAP_FAILED &&
		  !floor_vm_open(&f, floor_code, sizeof(floor_code));

	for (int i = 0; i < ROUNDS && ok; i++) {
		double bare;

		ok = fork_runs((int)f.vcpu, false, shared);
		bare = *shared;
		ok = ok && fork_runs((int)f.vcpu, true, shared);
		price[i] = *shared - bare;
	}
	floor_vm_close(&f);
	if (shared != MAP_FAILED)
		munmap(shared, 4096);
	if (ok)
		add_own("seccomp.kvm_run.overhead_ns", price, "one KVM_RUN");
	else
		fprintf(stderr, "bench: the filter could not be measured\n");
}

void bench_inproc(const struct place *p, int runs)
{
	first_exit(p, runs);
	own_time(p);
	filter_price();
}
