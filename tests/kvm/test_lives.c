/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lives.c - machines created, started, stopped and destroyed in one
 * process through the public API, of both contracts: nothing is left of
 * them, here or in KVM.  200 lives with all other tests, 10,000 in
 * make test-long.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stress.h"
#include "mote.h"

#define WARM_UP	     20 /* lives: what libraries allocate once */
#define RSS_SLACK    (512 * 1024)
#define LONG_TIMEOUT 3600

static const struct guest {
	const char *image, *memory, *words;
} guests[] = {
	{"counter", "vm.memory=16M", "vm.cmdline=step_ms=1000 quiet=1"},
#if !defined(__powerpc64__)
	{"hvt-probe", "vm.memory=4M", "vm.cmdline=ticks=1000 step_ms=3600000"},
#endif
};
#define GUESTS (sizeof(guests) / sizeof(guests[0]))

static struct mote_config *configure(const struct guest *g)
{
	const char *dir = getenv("MOTE_GUESTS");
	struct mote_config *cfg = mote_config_new();
	char text[300];

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("/dev/kvm: %s", strerror(errno));
	snprintf(text, sizeof(text), "vm.kernel=%s/%s.elf",
		 dir ? dir : "build/guests", g->image);
	if (access(text + strlen("vm.kernel="), R_OK) < 0)
		cr_skip_test("%s: %s", text, strerror(errno));
	cr_assert_not_null(cfg);
	cr_assert_eq(mote_config_set(cfg, "test", text, NULL), 0);
	cr_assert_eq(mote_config_set(cfg, "test", g->memory, NULL), 0);
	cr_assert_eq(mote_config_set(cfg, "test", g->words, NULL), 0);
	return cfg;
}

static void turn(struct mote_vm *vm, struct mote_status *st)
{
	struct pollfd fds[MOTE_VM_POLL_MAX];
	int timeout, n = mote_vm_poll(vm, fds, &timeout);

	poll(fds, (nfds_t)n, 200);
	mote_vm_dispatch(vm, fds, n);
	*st = (struct mote_status){.size = sizeof(*st)};
	mote_vm_status(vm, st, NULL);
}

/* Asked to end; a guest that can't be asked is killed by that. */
static void stop(struct mote_vm *vm)
{
	struct mote_status st;

	mote_vm_ask_stop(vm);
	do
		turn(vm, &st);
	while (st.state != MOTE_ENDED);
	cr_expect(st.end == MOTE_END_EXIT || st.end == MOTE_END_KILLED);
	cr_expect_eq(st.exit_code, 0);
}

/* One life, in one of five ways by number. */
static void live(const struct mote_config *cfg, long number)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_err err = {0};
	struct mote_status st;
	struct mote_vm *vm;

	opt.config = cfg;
	cr_assert_eq(mote_vm_create(&opt, &vm, &err), 0, "%s", err.msg);
	switch (number % 5) {
	case 0: /* never started */
		break;
	case 1: /* asked */
		cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
		stop(vm);
		break;
	case 2: /* destroyed as it runs */
		cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
		break;
	case 3: /* never resumed */
		cr_assert_eq(mote_vm_start(vm, true, &err), 0, "%s", err.msg);
		mote_vm_kill(vm);
		break;
	default: /* ready, paused, resumed, killed */
		cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
		do
			turn(vm, &st);
		while (!st.ready);
		cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
		cr_assert_eq(mote_vm_resume(vm, &err), 0, "%s", err.msg);
		mote_vm_kill(vm);
	}
	mote_vm_destroy(vm);
}

/* Lines of /proc/self/maps that hold text. */
static int maps_with(const char *text)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

static long rss(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	cr_assert_not_null(f);
	cr_assert_eq(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Descriptors of KVM that are open in this process: each pins its VM. */
static int kvm_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		char path[300], to[256];
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		len = readlink(path, to, sizeof(to) - 1);
		if (len <= 0)
			continue;
		to[len] = 0;
		n += strstr(to, "kvm") != NULL;
	}
	closedir(d);
	return n;
}

/* VMs of this process that KVM has now, by its own list; -1: no list. */
static int kvm_count(void)
{
	DIR *d = opendir("/sys/kernel/debug/kvm");
	char mine[32];
	struct dirent *e;
	int n = 0;

	if (!d)
		return -1;
	snprintf(mine, sizeof(mine), "%d-", (int)getpid());
	while ((e = readdir(d)))
		n += strncmp(e->d_name, mine, strlen(mine)) == 0;
	closedir(d);
	return n;
}

static void live_often(const struct guest *g, long n)
{
	struct mote_config *cfg = configure(g);
	struct live before;
	long rss_before;
	int maps;

	for (long i = 0; i < WARM_UP; i++)
		live(cfg, i);
	before = live_now();
	maps = maps_with("");
	rss_before = rss();
	for (long i = 0; i < n; i++)
		live(cfg, i);
	expect_live(&before, g->image);
	cr_expect_eq(kvm_fds(), 0, "%s: descriptors of KVM are open", g->image);
	cr_expect_eq(maps_with("kvm"), 0, "%s: run areas are mapped", g->image);
	/* The heap may be cut in two; a leak would be one a life. */
	cr_expect_lt(maps_with(""), maps + 10, "%s: mappings", g->image);
	fprintf(stderr, "%s: %ld lives, RSS %+ld KiB\n", g->image, n,
		(rss() - rss_before) / 1024);
	/* A sanitizer keeps pages of its own for what we touch. */
	if (!getenv("MOTE_SANITIZER"))
		cr_expect_lt(rss() - rss_before, RSS_SLACK, "%s: RSS",
			     g->image);
	mote_config_free(cfg);
}

Test(stress_life, thousands_of_lives_leave_nothing, .timeout = LONG_TIMEOUT)
{
	for (size_t i = 0; i < GUESTS; i++)
		live_often(&guests[i], stress_count(200, 10000) / (long)GUESTS);
}

Test(stress_life, kvm_has_forgotten_the_machines, .timeout = LONG_TIMEOUT)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_config *cfg = configure(&guests[0]);
	struct mote_err err = {0};
	struct mote_vm *vm;

	if (kvm_count() < 0)
		cr_skip_test("KVM's list of VMs, /sys/kernel/debug/kvm: %s",
			     strerror(errno));
	opt.config = cfg;
	cr_assert_eq(mote_vm_create(&opt, &vm, &err), 0, "%s", err.msg);
	cr_expect_eq(kvm_count(), 1, "one machine");
	mote_vm_destroy(vm);
	cr_expect_eq(kvm_count(), 0, "none");
	for (long i = 0; i < stress_count(200, 10000); i++)
		live(cfg, i);
	cr_expect_eq(kvm_count(), 0, "none after many lives");
	mote_config_free(cfg);
}

/* Only POWER's hashed guests have such a table, and only a still one is read:
 * records are header and entries, so never fewer bytes than a header. */
Test(lives, the_page_table_is_read_where_there_is_one)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_config *cfg = configure(&guests[0]);
	struct mote_err err = {0};
	struct mote_status st;
	struct mote_vm *vm;
	void *stream;
	size_t len = 1;

	opt.config = cfg;
	cr_assert_eq(mote_vm_create(&opt, &vm, &err), 0, "%s", err.msg);
	cr_assert_eq(mote_vm_start(vm, false, &err), 0, "%s", err.msg);
	do
		turn(vm, &st);
	while (!st.ready);
	cr_expect_eq(mote_hpt_read(vm, 0, false, &stream, &len, &err), -EBUSY);
	cr_expect_str_eq(err.msg, "the VM is running: pause it first");
	cr_expect_null(stream);
	cr_expect_eq(len, 0);
	cr_assert_eq(mote_vm_pause(vm, &err), 0, "%s", err.msg);
	err.msg[0] = 0;
#if defined(__powerpc64__)
	cr_assert_eq(mote_hpt_read(vm, 0, false, &stream, &len, &err), 0, "%s",
		     err.msg);
	cr_expect_geq(len, 8);
	free(stream);
#else
	cr_expect_eq(mote_hpt_read(vm, 0, false, &stream, &len, &err),
		     -ENOTSUP);
	cr_expect_not_null(strstr(err.msg, "has no hashed page tables"));
	cr_expect_null(stream);
#endif
	mote_vm_destroy(vm);
	mote_config_free(cfg);
}
