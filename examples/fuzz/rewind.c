/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewind.c - libFuzzer drives a guest: each input is parsed by the same virtual
 * machine, put back to the same instant before.
 *
 *   fuzz-rewind [libFuzzer's options]       look for the bug
 *   MOTE_FUZZ_BENCH=NATIVE fuzz-rewind      executions per second, beside
 *                                           starting NATIVE for each input
 *
 * The guest is booted once, to its ready mark; mote_vm_fork keeps that instant
 * in memory, and one child of it is rewound for each input (mote_vm_rewind).
 * A guest that crashes is a bug that was found; it is rewound as well.  What
 * edges the guest took is copied to where libFuzzer looks for counters.
 */
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mote.h>

#include "../../guests/parse/parse.h"

#define RAM_AT 0ul /* where an x86_64 guest's RAM begins */
#define PAGE   (RAM_AT + PARSE_AT)
#define RUNS   3000

extern char **environ;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer takes counters from this section beside its own. */
__attribute__((section(
	"__libfuzzer_extra_counters"))) static uint8_t counters[PARSE_EDGES];

static struct mote_vm *vm;

static void die(const char *what, const struct mote_err *err)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, err->msg);
	exit(1);
}

/* Poll until the guest has ended, or is ready. */
static struct mote_status wait_for(struct mote_vm *v, bool ready)
{
	struct mote_status st = {.size = sizeof(st)};

	for (;;) {
		struct pollfd fds[MOTE_VM_POLL_MAX];
		int timeout, n;

		mote_vm_status(v, &st, NULL);
		if (st.state == MOTE_ENDED || (ready && st.ready))
			return st;
		n = mote_vm_poll(v, fds, &timeout);
		poll(fds, (nfds_t)n, timeout);
		mote_vm_dispatch(v, fds, n);
	}
}

static struct mote_snapshot *boot(const char *kernel)
{
	struct mote_config *cfg = mote_config_new();
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_snapshot *snap;
	struct mote_err err = {0};
	struct mote_vm *parent;
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "[vm]\nkernel = %s\nmemory = 16M\n", kernel);

	if (!cfg || mote_config_parse(cfg, "fuzz", text, (size_t)n, NULL) < 0)
		die("configuration", &err);
	opt.config = cfg;
	if (mote_vm_create(&opt, &parent, &err) < 0 ||
	    mote_vm_start(parent, false, &err) < 0)
		die(kernel, &err);
	if (!wait_for(parent, true).ready)
		die("the guest ended before it was ready", &err);
	if (mote_vm_fork(parent, &snap, &err) < 0)
		die("fork", &err);
	mote_vm_destroy(parent);
	mote_config_free(cfg);
	return snap;
}

/* One child, which is used for every input. */
static void make_child(struct mote_snapshot *snap)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_config *cfg = mote_config_new();
	struct mote_err err = {0};

	if (!cfg || mote_snapshot_config(snap, cfg, &err) < 0)
		die("configuration", &err);
	opt.config = cfg;
	opt.snapshot = snap;
	opt.rewind = true;
	if (mote_vm_create(&opt, &vm, &err) < 0 ||
	    mote_vm_start(vm, true, &err) < 0)
		die("child", &err);
	mote_config_free(cfg);
	mote_snapshot_close(snap);
}

static struct mote_status execute(const uint8_t *data, size_t size)
{
	uint32_t len =
		size > PARSE_INPUT_MAX ? PARSE_INPUT_MAX : (uint32_t)size;
	struct mote_err err = {0};
	struct mote_status st;

	if (mote_vm_rewind(vm, NULL, &err) < 0 ||
	    mote_vm_memory_write(vm, PAGE, &len, sizeof(len)) < 0 ||
	    mote_vm_memory_write(vm, PAGE + offsetof(struct parse_page, input),
				 data, len) < 0 ||
	    mote_vm_resume(vm, &err) < 0)
		die("rewind", &err);
	st = wait_for(vm, false);
	mote_vm_memory_read(vm, PAGE + offsetof(struct parse_page, edge),
			    counters, sizeof(counters));
	return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mote_status st = execute(data, size);

	if (st.end != MOTE_END_CRASH)
		return 0;
	fprintf(stderr, "fuzz: the guest crashed\n");
	abort(); /* libFuzzer keeps the input */
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bench(const char *native)
{
	static const uint8_t input[] = "MR\1\2N\3abcV\4wxyzE";
	char path[] = "/tmp/mote-fuzz-XXXXXX";
	int fd = mkstemp(path);
	double began = now(), rewound, started;

	if (fd < 0 || write(fd, input, sizeof(input)) != sizeof(input))
		exit(1);
	close(fd);
	for (int i = 0; i < RUNS; i++)
		if (execute(input, sizeof(input)).end != MOTE_END_EXIT)
			exit(1);
	rewound = now() - began;
	began = now();
	for (int i = 0; i < RUNS; i++) {
		char *argv[] = {(char *)native, path, NULL};
		int status;
		pid_t pid;

		if (posix_spawn(&pid, native, NULL, NULL, argv, environ) != 0 ||
		    waitpid(pid, &status, 0) != pid || status != 0)
			exit(1);
	}
	started = now() - began;
	unlink(path);
	printf("a guest, rewound for each input:        %8.0f a second\n"
	       "a native program, started for each one: %8.0f a second\n",
	       RUNS / rewound, RUNS / started);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *kernel = getenv("MOTE_FUZZ_GUEST");
	const char *native = getenv("MOTE_FUZZ_BENCH");

	(void)argc;
	(void)argv;
	make_child(boot(kernel ? kernel : "build/guests/parse.elf"));
	if (native) {
		bench(native);
		exit(0);
	}
	return 0;
}
