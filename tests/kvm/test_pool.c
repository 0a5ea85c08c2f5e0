/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pool.c - clones by the public API: each is new, none repeats.
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

struct pooled {
	struct vmtest_snapshot s;
	struct mote_snapshot *snap;
	struct mote_config *cfg;
	struct mote_pool *pool;
	struct mote_err err;
};

static void open_saved(struct pooled *p, const char *args)
{
	struct vmtest t;

	memset(p, 0, sizeof(*p));
	vmtest_init(&t, args);
	vmtest_start(&t, "counter");
	vmtest_wait_for(&t, "count 3\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vm_dispatch(t.vm);
	vmtest_save(&t, &p->s);
	vmtest_fini(&t);
	p->cfg = mote_config_new();
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, p->s.dir, &p->snap, &p->err),
		     0, "%s", p->err.msg);
	cr_assert_eq(mote_snapshot_config(p->snap, p->cfg, &p->err), 0, "%s",
		     p->err.msg);
}

static void make_pool(struct pooled *p, unsigned int clones, bool refill,
		      bool rewind)
{
	struct mote_pool_options opt = {.size = sizeof(opt),
					.vm = MOTE_VM_OPTIONS_INIT,
					.clones = clones,
					.refill = refill};

	opt.vm.config = p->cfg;
	opt.vm.snapshot = p->snap;
	opt.vm.rewind = rewind;
	cr_assert_eq(mote_pool_create(&opt, &p->pool, &p->err), 0, "%s",
		     p->err.msg);
}

static void close_pool(struct pooled *p)
{
	mote_pool_destroy(p->pool);
	mote_snapshot_close(p->snap);
	mote_config_free(p->cfg);
	vmtest_remove(&p->s);
}

/* Run a claimed one to its end; its output. */
static void run(struct pooled *p, struct mote_vm *vm, char *out, size_t size)
{
	struct mote_status st = {.size = sizeof(st)};
	int pipes[2];
	ssize_t n;

	cr_assert_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	mote_vm_console_attach(vm, -1, pipes[1]);
	cr_assert_eq(mote_vm_resume(vm, &p->err), 0, "%s", p->err.msg);
	do {
		struct pollfd fds[MOTE_VM_POLL_MAX];
		int timeout, k = mote_vm_poll(vm, fds, &timeout);

		poll(fds, (nfds_t)k, timeout);
		mote_vm_dispatch(vm, fds, k);
		mote_vm_status(vm, &st, NULL);
	} while (st.state != MOTE_ENDED || st.console_pending);
	cr_assert_eq(st.end, MOTE_END_EXIT);
	n = read(pipes[0], out, size - 1);
	cr_assert_gt(n, 0);
	out[n] = 0;
	mote_vm_console_attach(vm, -1, -1);
	close(pipes[0]);
	close(pipes[1]);
}

/* The generation's id that a clone prints. */
static void id_of(const char *out, char id[33])
{
	const char *at = strstr(out, "generation 2 id ");

	cr_assert_not_null(at, "%s", out);
	snprintf(id, 33, "%.32s", at + strlen("generation 2 id "));
}

static void claim_run(struct pooled *p, char id[33], bool give_back)
{
	static char out[8192];
	struct mote_vm *vm;

	cr_assert_eq(mote_pool_claim(p->pool, &vm, &p->err), 0, "%s",
		     p->err.msg);
	run(p, vm, out, sizeof(out));
	cr_assert_not_null(strstr(out, "done at 40\n"), "%s", out);
	id_of(out, id);
	if (give_back)
		mote_pool_give_back(p->pool, vm);
	else
		mote_vm_destroy(vm);
}

static void expect_all_differ(char id[][33], int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(id[i], id[k], "%d and %d", i, k);
}

Test(vm_pool, every_clone_is_new)
{
	struct pooled p;
	char id[6][33];

	open_saved(&p, "until=40 step_ms=1");
	make_pool(&p, 3, false, false);
	cr_assert_eq(mote_pool_parked(p.pool), 3);
	/* More than are parked: the rest are made when they are asked for. */
	for (int i = 0; i < 6; i++)
		claim_run(&p, id[i], false);
	cr_assert_eq(mote_pool_parked(p.pool), 0);
	expect_all_differ(id, 6);
	cr_assert_eq(mote_pool_fill(p.pool, &p.err), 0, "%s", p.err.msg);
	cr_assert_eq(mote_pool_parked(p.pool), 3);
	close_pool(&p);
}

Test(vm_pool, its_thread_replaces_what_was_taken)
{
	struct pooled p;
	char id[8][33];

	open_saved(&p, "until=40 step_ms=1");
	make_pool(&p, 2, true, false);
	for (int i = 0; i < 8; i++)
		claim_run(&p, id[i], false);
	expect_all_differ(id, 8);
	while (mote_pool_parked(p.pool) < 2)
		usleep(1000);
	close_pool(&p);
}

Test(vm_pool, one_that_is_given_back_is_rewound)
{
	struct pooled p;
	char id[6][33];

	open_saved(&p, "until=40 step_ms=1");
	make_pool(&p, 1, false, true);
	for (int i = 0; i < 6; i++) {
		claim_run(&p, id[i], true);
		cr_expect_eq(mote_pool_parked(p.pool), 1);
	}
	expect_all_differ(id, 6);
	close_pool(&p);
}

/* The text of a manifest whose guest can't tell clones apart. */
Test(vm_pool, a_shared_identity_has_to_be_allowed)
{
	struct mote_pool_options opt = {
		.size = sizeof(opt), .vm = MOTE_VM_OPTIONS_INIT, .clones = 2};
	struct pooled p = {.err = {0}};
	struct vmtest t;

	vmtest_init(&t, "ticks=2 step_ms=3600000");
	t.cfg.vm.protocol = PROTOCOL_HVT;
	vmtest_start(&t, "hvt-probe");
	vmtest_wait_for(&t, "tick 1\n");
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	vmtest_save(&t, &p.s);
	vmtest_fini(&t);
	p.cfg = mote_config_new();
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, p.s.dir, &p.snap, &p.err), 0,
		     "%s", p.err.msg);
	cr_assert_eq(mote_snapshot_config(p.snap, p.cfg, &p.err), 0, "%s",
		     p.err.msg);
	cr_assert_not(mote_snapshot_has_identity(p.snap));
	opt.vm.config = p.cfg;
	opt.vm.snapshot = p.snap;
	cr_assert_eq(mote_pool_create(&opt, &p.pool, &p.err), -EINVAL);
	cr_assert_not_null(strstr(p.err.msg, "restore.allow_shared_identity"),
			   "%s", p.err.msg);
	cr_assert_eq(mote_config_set(p.cfg, "test",
				     "restore.allow_shared_identity=yes", NULL),
		     0);
	cr_assert_eq(mote_pool_create(&opt, &p.pool, &p.err), 0, "%s",
		     p.err.msg);
	close_pool(&p);
}
