/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fork.c - children of a machine that runs, by the public API.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/vmtest.h"
#include "mote.h"

/* A machine and what it has said. */
struct talker {
	struct mote_vm *vm;
	struct mote_err err;
	int pipe[2];
	char out[65536];
	size_t len;
};

static void open_talker(struct talker *t)
{
	memset(t, 0, sizeof(*t));
	cr_assert_eq(pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK), 0);
}

static void close_talker(struct talker *t)
{
	mote_vm_destroy(t->vm);
	close(t->pipe[0]);
	close(t->pipe[1]);
}

static enum mote_state turn(struct talker *t)
{
	struct mote_status st = {.size = sizeof(st)};
	struct pollfd fds[MOTE_VM_POLL_MAX];
	int timeout, n = mote_vm_poll(t->vm, fds, &timeout);
	ssize_t got;

	poll(fds, (nfds_t)n, timeout < 0 ? 100 : timeout);
	mote_vm_dispatch(t->vm, fds, n);
	while (t->len < sizeof(t->out) - 1 &&
	       (got = read(t->pipe[0], t->out + t->len,
			   sizeof(t->out) - 1 - t->len)) > 0)
		t->len += (size_t)got;
	t->out[t->len] = 0;
	mote_vm_status(t->vm, &st, NULL);
	return st.console_pending ? MOTE_RUNNING : st.state;
}

static void run_until(struct talker *t, const char *text)
{
	while (!strstr(t->out, text))
		cr_assert_neq(turn(t), MOTE_ENDED, "no %s: %s", text, t->out);
}

static void run_to_end(struct talker *t)
{
	while (turn(t) != MOTE_ENDED)
		;
}

static struct mote_config *config(const char *more)
{
	const char *dir = getenv("MOTE_GUESTS");
	struct mote_config *cfg = mote_config_new();
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "[vm]\nkernel = %s/counter.elf\nmemory = 16M\n"
			 "cmdline = until=1000 step_ms=1\n%s",
			 dir ? dir : "build/guests", more);

	cr_assert_eq(mote_config_parse(cfg, "test", text, (size_t)n, NULL), 0);
	return cfg;
}

static void start(struct talker *t, const struct mote_config *cfg,
		  struct mote_snapshot *snap)
{
	struct mote_vm_options opt = MOTE_VM_OPTIONS_INIT;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("no usable /dev/kvm");
	open_talker(t);
	opt.config = cfg;
	opt.snapshot = snap;
	opt.console_out_fd = t->pipe[1];
	cr_assert_eq(mote_vm_create(&opt, &t->vm, &t->err), 0, "%s",
		     t->err.msg);
	cr_assert_eq(mote_vm_start(t->vm, false, &t->err), 0, "%s", t->err.msg);
}

/* The number of the last whole count line, and of the first. */
static int last_count(const struct talker *t)
{
	const char *p = t->out, *last = NULL;

	while ((p = strstr(p, "count "))) {
		if (strchr(p, '\n'))
			last = p;
		p++;
	}
	return last ? atoi(last + strlen("count ")) : 0;
}

static int first_count(const struct talker *t)
{
	const char *p = strstr(t->out, "count ");

	return p ? atoi(p + strlen("count ")) : 0;
}

/* A child goes on after what the parent had said, as another generation. */
static void expect_child(struct mote_snapshot *snap, int after, int before,
			 char id[33])
{
	static struct talker t;
	struct mote_config *cfg = mote_config_new();
	struct mote_err err = {0};
	const char *gen;

	cr_assert_eq(mote_snapshot_config(snap, cfg, &err), 0, "%s", err.msg);
	start(&t, cfg, snap);
	run_to_end(&t);
	cr_assert_not_null(strstr(t.out, "done at 1000\n"), "%s", t.out);
	cr_expect_gt(first_count(&t), after);
	cr_expect_leq(first_count(&t), before);
	gen = strstr(t.out, " id ");
	cr_assert_not_null(gen, "%s", t.out);
	snprintf(id, 33, "%.32s", gen + 4);
	close_talker(&t);
	mote_config_free(cfg);
}

/* Fork it while it runs, twice; children, and the parent itself, end right. */
static void fork_twice(struct talker *t)
{
	struct mote_snapshot *snap[2];
	int after[2], before[2];
	char id[4][33];

	for (int i = 0; i < 2; i++) {
		char text[32];

		after[i] = last_count(t);
		cr_assert_eq(mote_vm_fork(t->vm, &snap[i], &t->err), 0, "%s",
			     t->err.msg);
		turn(t);
		before[i] = last_count(t) + 20;
		snprintf(text, sizeof(text), "count %d\n", last_count(t) + 10);
		run_until(t, text);
	}
	expect_child(snap[0], after[0], before[0], id[0]);
	expect_child(snap[1], after[1], before[1], id[1]);
	expect_child(snap[0], after[0], before[0], id[2]);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(id[i], id[k]);
	run_to_end(t);
	cr_expect_not_null(strstr(t->out, "done at 1000\n"), "%s", t->out);
	/* Nobody else wrote into its memory: it counted one by one. */
	for (int i = first_count(t); i <= 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "count %d\n", i);
		cr_expect_not_null(strstr(t->out, text), "%s", text);
	}
	mote_snapshot_close(snap[0]);
	mote_snapshot_close(snap[1]);
}

Test(vm_fork, of_a_machine_with_memory_of_its_own)
{
	static struct talker t;
	struct mote_config *cfg = config("");

	start(&t, cfg, NULL);
	run_until(&t, "count 3\n");
	fork_twice(&t);
	close_talker(&t);
	mote_config_free(cfg);
}

Test(vm_fork, of_shared_memory_nothing_is_copied)
{
	static struct talker t;
	struct mote_config *cfg = config("[memory]\nshared = yes\n");

	start(&t, cfg, NULL);
	run_until(&t, "count 3\n");
	fork_twice(&t);
	close_talker(&t);
	mote_config_free(cfg);
}

Test(vm_fork, of_a_restored_machine_and_of_its_child)
{
	static struct talker t, c;
	struct mote_config *cfg = config(""), *child = mote_config_new();
	struct mote_snapshot *snap;

	start(&t, cfg, NULL);
	run_until(&t, "count 3\n");
	/* Paused: one that runs counts on while its memory is copied. */
	cr_assert_eq(mote_vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(mote_vm_fork(t.vm, &snap, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(mote_vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	cr_assert_eq(mote_snapshot_config(snap, child, &t.err), 0, "%s",
		     t.err.msg);
	start(&c, child, snap);
	run_until(&c, "count 8\n");
	mote_snapshot_close(snap); /* the child keeps what it needs */
	fork_twice(&c);
	close_talker(&c);
	run_to_end(&t);
	close_talker(&t);
	mote_config_free(child);
	mote_config_free(cfg);
}

Test(vm_fork, of_a_paused_machine_leaves_it_paused)
{
	struct mote_status st = {.size = sizeof(st)};
	static struct talker t;
	struct mote_config *cfg = config("[memory]\nshared = yes\n");
	struct mote_snapshot *snap;
	char id[33];
	int at;

	start(&t, cfg, NULL);
	run_until(&t, "count 3\n");
	cr_assert_eq(mote_vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	turn(&t);
	at = last_count(&t);
	cr_assert_eq(mote_vm_fork(t.vm, &snap, &t.err), 0, "%s", t.err.msg);
	mote_vm_status(t.vm, &st, NULL);
	cr_expect_eq(st.state, MOTE_PAUSED);
	expect_child(snap, at, at + 1, id);
	/* A diff would name it as its parent, and it has no directory. */
	cr_expect_null(mote_vm_parent(t.vm, (uint8_t[16]){0}));
	mote_snapshot_close(snap);
	close_talker(&t);
	mote_config_free(cfg);
}
