/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed.c - two guests in one process through libmote.
 *
 *   cc embed.c $(pkg-config --cflags --libs mote) -o embed
 *   ./embed hello.elf
 *
 * The library makes a thread for each vCPU; this one polls and dispatches.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mote.h>

#define GUESTS 2

static int die(const struct mote_err *err)
{
	fprintf(stderr, "embed: %s\n", err->msg);
	return mote_err_exit_code(err);
}

static struct mote_vm *start(const char *image, int number,
			     struct mote_err *err)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;
	struct mote_config *cfg = mote_config_new();
	struct mote_vm *vm = NULL;
	char text[512], *faults = NULL;

	snprintf(text, sizeof(text), "vm.kernel=%s", image);
	if (mote_config_set(cfg, "embed", text, &faults) < 0) {
		fputs(faults, stderr);
		exit(65);
	}
	snprintf(text, sizeof(text), "vm.cmdline=guest=%d exit=%d", number,
		 number);
	mote_config_set(cfg, "embed", text, NULL);
	opt.config = cfg;
	opt.console_out_fd = STDOUT_FILENO;
	if (mote_vm_create(&opt, &vm, err) == 0 &&
	    mote_vm_start(vm, false, err) < 0) {
		mote_vm_destroy(vm);
		vm = NULL;
	}
	mote_config_free(cfg); /* the VM has a copy */
	return vm;
}

/* Until the guest has ended and its last word is out: its exit code. */
static int run(struct mote_vm *vm)
{
	struct mote_status st = {.size = sizeof(st)};

	for (;;) {
		struct pollfd fds[MOTE_VM_POLL_MAX];
		int timeout, n = mote_vm_poll(vm, fds, &timeout);

		if (poll(fds, (nfds_t)n, timeout) < 0 && errno != EINTR)
			return -errno;
		mote_vm_dispatch(vm, fds, n);
		mote_vm_status(vm, &st, NULL);
		if (st.state == MOTE_ENDED && st.console_pending == 0)
			return st.exit_code;
	}
}

int main(int argc, char **argv)
{
	struct mote_err err = {0};
	struct mote_vm *vm[GUESTS];
	int bad = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: embed IMAGE\n");
		return 64;
	}
	for (int i = 0; i < GUESTS; i++) {
		vm[i] = start(argv[1], i + 1, &err);
		if (!vm[i])
			return die(&err);
	}
	for (int i = 0; i < GUESTS; i++) {
		int code = run(vm[i]);

		printf("guest %d ended with %d\n", i + 1, code);
		bad |= code != i + 1;
		mote_vm_destroy(vm[i]);
	}
	return bad;
}
