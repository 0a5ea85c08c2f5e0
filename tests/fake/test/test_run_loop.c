/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_run_loop.c - whatever KVM_RUN says, the machine goes on or ends with
 * a message; it never hangs and the process lives.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "base/timeline.h"
#include "fake/fake_kvm.h"
#include "fake/fakevm.h"

#define WAIT_NS (UINT64_C(10) * 1000000000)

enum outcome {
	GOES_ON,
	ENDS,
	HANGS,
};

/* One vCPU that gets these exits; what becomes of the machine. */
static enum outcome run(struct fakevm *f, const struct fake_exit *exits,
			size_t count)
{
	uint64_t began = timeline_now();

	fakevm_init(f, 1);
	fake_kvm_script(exits, count);
	fakevm_start(f, false);
	while (timeline_now() - began < WAIT_NS) {
		vm_dispatch(f->vm);
		if (f->vm->state == VM_ENDED)
			return ENDS;
		/* All exits are done with when it asks for one more. */
		if (fake_kvm_runs() > count)
			return GOES_ON;
		usleep(100);
	}
	return HANGS;
}

static void expect_crash(const struct fake_exit *e, const char *message)
{
	struct fakevm f;

	cr_expect_eq(run(&f, e, 1), ENDS, "%s", message);
	cr_expect_eq(f.vm->end, VM_END_CRASH, "%s", message);
	cr_expect_not_null(strstr(f.vm->err.msg, message), "\"%s\", not \"%s\"",
			   f.vm->err.msg, message);
	cr_expect_eq(err_exit_code(&f.vm->err), ERR_CLASS_GUEST);
	fakevm_fini(&f);
}

static void expect_goes_on(const struct fake_exit *e, const char *what)
{
	struct fakevm f;

	cr_expect_eq(run(&f, e, 1), GOES_ON, "%s: %s", what, f.vm->err.msg);
	fakevm_fini(&f);
}

Test(run_loop, every_exit_reason_goes_on_or_ends_with_words, .timeout = 60)
{
	for (uint32_t reason = 0; reason <= 40; reason++) {
		struct fake_exit e = {.run.exit_reason = reason};
		bool handled = reason == KVM_EXIT_IO ||
			       reason == KVM_EXIT_MMIO ||
			       reason == KVM_EXIT_IOAPIC_EOI ||
			       reason == KVM_EXIT_DIRTY_RING_FULL;
		struct fakevm f;
		enum outcome o = run(&f, &e, 1);

		cr_expect_eq(o, handled ? GOES_ON : ENDS, "reason %u: %d",
			     reason, o);
		if (o == ENDS) {
			cr_expect_eq(f.vm->end, VM_END_CRASH, "%u", reason);
			cr_expect_not_null(strstr(f.vm->err.msg, "vCPU 0: "),
					   "reason %u: %s", reason,
					   f.vm->err.msg);
		}
		fakevm_fini(&f);
	}
}

Test(run_loop, a_reason_of_the_future_is_told_by_number)
{
	struct fake_exit e = {.run.exit_reason = UINT32_MAX};

	expect_crash(&e, "unexpected KVM exit reason 4294967295");
}

Test(run_loop, known_ends_have_their_own_words)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_SHUTDOWN};

	expect_crash(&e, "triple fault");
	e.run.exit_reason = KVM_EXIT_FAIL_ENTRY;
	e.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	expect_crash(&e, "refuses to enter the guest (reason 0x80000021)");
	e = (struct fake_exit){.run.exit_reason = KVM_EXIT_INTERNAL_ERROR};
	e.run.internal.suberror = 3;
	expect_crash(&e, "KVM internal error 3");
	e = (struct fake_exit){.run.exit_reason = KVM_EXIT_HLT};
	expect_crash(&e, "halted with nothing to wake it");
}

Test(run_loop, system_events_end_the_machine_as_they_say)
{
	for (uint32_t type = 0; type <= 8; type++) {
		struct fake_exit e = {.run.exit_reason = KVM_EXIT_SYSTEM_EVENT};
		enum vm_end end = VM_END_CRASH;
		struct fakevm f;

		if (type == KVM_SYSTEM_EVENT_SHUTDOWN)
			end = VM_END_EXIT;
		if (type == KVM_SYSTEM_EVENT_RESET)
			end = VM_END_RESET;
		e.run.system_event.type = type;
		cr_expect_eq(run(&f, &e, 1), ENDS, "type %u", type);
		cr_expect_eq(f.vm->end, end, "type %u", type);
		cr_expect_eq(f.vm->err.code != 0, end == VM_END_CRASH);
		fakevm_fini(&f);
	}
}

/* Whether KVM has done the last instruction before it differs by host. */
Test(run_loop, with_when_exit_the_last_instruction_is_completed)
{
	static const struct fake_exit end[] = {
		{.run = {.exit_reason = KVM_EXIT_SYSTEM_EVENT,
			 .system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN}},
		{.run.exit_reason = KVM_EXIT_SHUTDOWN},
	};

	for (int exit = 0; exit < 2; exit++) {
		struct fakevm f;

		fakevm_init(&f, 1);
		f.cfg.snapshot.when = exit ? SNAPSHOT_EXIT : SNAPSHOT_NEVER;
		fake_kvm_script(end, ARRAY_SIZE(end));
		fakevm_start(&f, false);
		cr_assert(fakevm_wait_end(&f));
		cr_expect_eq(vm_settle(f.vm, &f.err), exit ? 0 : -ESRCH);
		if (exit)
			cr_expect_eq(fake_kvm_runs(), 2, "not completed");
		cr_expect_eq(f.vm->end, VM_END_EXIT, "the guest went on");
		fakevm_fini(&f);
	}
}

Test(run_loop, errors_of_kvm_run_end_the_machine_with_words)
{
	static const int codes[] = {ENOMEM, EFAULT, EIO,   ENOEXEC, ENOSYS,
				    EPERM,  EBADF,  ENXIO, EINVAL};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct fake_exit e = {.ret = -codes[i]};

		expect_crash(&e, strerror(codes[i]));
	}
}

Test(run_loop, eintr_and_eagain_go_on)
{
	struct fake_exit e[] = {
		{.ret = -EINTR},
		{.ret = -EAGAIN},
		{.ret = -EAGAIN},
		{.ret = -EINTR},
	};
	struct fakevm f;

	cr_expect_eq(run(&f, e, ARRAY_SIZE(e)), GOES_ON, "%s", f.vm->err.msg);
	fakevm_fini(&f);
}

Test(run_loop, an_eagain_that_never_ends_can_be_paused, .timeout = 30)
{
	static const struct fake_exit again = {.ret = -EAGAIN};
	struct fakevm f;

	fakevm_init(&f, 1);
	fake_kvm_repeat(&again);
	fakevm_start(&f, false);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(vm_pause(f.vm, NULL), 0);
		cr_assert_eq(vm_resume(f.vm, NULL), 0);
	}
	fakevm_fini(&f);
}

Test(run_loop, mmio_of_odd_lengths_goes_on, .timeout = 60)
{
	static const uint32_t lengths[] = {0, 1, 2, 3,	4,   5,	    6,
					   7, 8, 9, 16, 255, 65536, UINT32_MAX};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
		struct fake_exit e = {.run.exit_reason = KVM_EXIT_MMIO};

		e.run.mmio.phys_addr = i % 3 ? 0xd0000000 : UINT64_MAX;
		e.run.mmio.len = lengths[i / 2];
		e.run.mmio.is_write = i % 2;
		expect_goes_on(&e, "mmio");
	}
}

Test(run_loop, port_accesses_of_odd_sizes_go_on, .timeout = 60)
{
	static const uint16_t ports[] = {0, 0x3f8, 0x3ff, 0x6d0, 0x6ef, 0xffff};

	for (size_t p = 0; p < ARRAY_SIZE(ports); p++)
		for (unsigned int size = 0; size < 10; size++)
			for (unsigned int count = 0; count < 3; count++) {
				struct fake_exit e = {.run.exit_reason =
							      KVM_EXIT_IO};

				/* Writes of zero would be an exit code. */
				e.run.io.direction = KVM_EXIT_IO_IN;
				e.run.io.port = ports[p];
				e.run.io.size = (uint8_t)size;
				e.run.io.count = count;
				expect_goes_on(&e, "port");
			}
}

Test(run_loop, a_repeated_read_of_nothing_gives_all_ones)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_IO};
	uint8_t ones[16], data[16];
	struct fakevm f;

	e.run.io.direction = KVM_EXIT_IO_IN;
	e.run.io.port = 0x80;
	e.run.io.size = 4;
	e.run.io.count = 4;
	memset(ones, 0xff, sizeof(ones));
	cr_expect_eq(run(&f, &e, 1), GOES_ON);
	fake_kvm_io_data(f.vm->vcpu[0]->fd, data, sizeof(data));
	cr_expect_arr_eq(data, ones, sizeof(data));
	fakevm_fini(&f);
}

Test(run_loop, the_exit_register_ends_with_its_code)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_IO,
			      .data = {0x2a, 1, 0, 0}};
	struct fakevm f;

	e.run.io.direction = KVM_EXIT_IO_OUT;
	e.run.io.port = LAYOUT_EVENT_PORT + MOTE_REG_EXIT;
	e.run.io.size = 4;
	e.run.io.count = 1;
	cr_expect_eq(run(&f, &e, 1), ENDS);
	cr_expect_eq(f.vm->end, VM_END_EXIT);
	cr_expect_eq(f.vm->exit_code, 0x2a, "the low 8 bits");
	cr_expect_eq(f.vm->err.code, 0);
	fakevm_fini(&f);
}

Test(run_loop, an_endless_wait_is_cut_short_by_a_pause, .timeout = 30)
{
	struct fake_exit e = {.run.exit_reason = KVM_EXIT_IO,
			      .data = {0xff, 0xff, 0xff, 0xff}};
	struct fakevm f;

	e.run.io.direction = KVM_EXIT_IO_OUT;
	e.run.io.port = LAYOUT_EVENT_PORT + MOTE_REG_WAIT;
	e.run.io.size = 4;
	e.run.io.count = 1;
	fakevm_init(&f, 1);
	fake_kvm_script(&e, 1);
	fakevm_start(&f, false);
	while (fake_kvm_runs() == 0)
		usleep(100);
	usleep(10000);
	cr_expect_eq(fake_kvm_runs(), 1u, "it does not sleep");
	cr_expect_eq(vm_pause(f.vm, NULL), 0);
	fakevm_fini(&f);
}

Test(run_loop, the_first_end_counts)
{
	struct fake_exit e[2] = {
		{.run.exit_reason = KVM_EXIT_SHUTDOWN},
		{.run.exit_reason = KVM_EXIT_SHUTDOWN},
	};
	struct fakevm f;

	fakevm_init(&f, 2);
	fake_kvm_script(e, 2);
	fakevm_start(&f, false);
	cr_expect(fakevm_wait_end(&f));
	cr_expect_eq(f.vm->end, VM_END_CRASH);
	vm_dispatch(f.vm);
	vm_kill(f.vm);
	cr_expect_eq(f.vm->end, VM_END_CRASH);
	cr_expect_eq(vm_pause(f.vm, NULL), -ESRCH);
	cr_expect_eq(vm_resume(f.vm, NULL), -ESRCH);
	fakevm_fini(&f);
}
