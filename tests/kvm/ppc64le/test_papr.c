/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_papr.c - RTAS, H_SET_MODE and vCPUs that are started and stop, as the
 * guest papr sees them; what a snapshot says of them; what harms nobody.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/ppc64le/papr.h"
#include "base/map.h"
#include "base/num.h"
#include "kvm/kvm.h"
#include "kvm/vmtest.h"
#include "snapshot/stream.h"

static void run(const char *args, uint32_t vcpus, const char *words)
{
	struct vmtest t;

	vmtest_init(&t, args);
	t.cfg.vm.vcpus = vcpus;
	vmtest_start(&t, "papr");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->exit_code, 0, "%s", t.out);
	cr_expect_not_null(strstr(t.out, words), "%s", t.out);
	vmtest_fini(&t);
}

Test(ppc64_papr, every_call_gives_what_lopar_says)
{
	run("calls=1", 1, "fine\n");
}

Test(ppc64_papr, power_off_ends_the_guest_with_0)
{
	run("off=1", 1, "");
}

Test(ppc64_papr, system_reboot_is_a_reset)
{
	struct vmtest t;

	vmtest_init(&t, "reboot=1");
	vmtest_start(&t, "papr");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_RESET, "%s", t.vm->err.msg);
	vmtest_fini(&t);
}

Test(ppc64_papr, a_vcpu_stops_itself_and_is_started_again)
{
	run("again=100", 2, "fine\n");
}

/* Parked again and again while vCPU 1 comes and goes: no wake-up is lost. */
Test(ppc64_papr, starts_survive_pauses, .timeout = 120)
{
	struct vmtest t;

	vmtest_init(&t, "again=300");
	t.cfg.vm.vcpus = 2;
	vmtest_start(&t, "papr");
	while (t.vm->end == VM_END_NONE) {
		if (vm_pause(t.vm, &t.err) == 0) {
			for (int k = 0; k < 2; k++)
				cr_expect_eq(vcpu_state(t.vm->vcpu[k]),
					     VCPU_PARKED);
			cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s",
				     t.err.msg);
		}
		vmtest_turn(&t);
	}
	vmtest_drain(&t);
	cr_expect_eq(t.vm->exit_code, 0, "%s", t.out);
	cr_expect_not_null(strstr(t.out, "fine\n"), "%s", t.out);
	vmtest_fini(&t);
}

Test(ppc64_papr, interrupts_become_little_endian)
{
	run("mode=1", 1, "fine\n");
}

/* It spins in the guest and must be brought out of it. */
Test(ppc64_papr, the_mode_of_a_vcpu_that_runs_changes_too)
{
	run("mode=1", 2, "fine\n");
	run("mode=1", 3, "fine\n"); /* and one that was never started */
}

Test(ppc64_papr, a_snapshot_knows_who_is_stopped)
{
	struct vmtest_snapshot first, second;
	struct vmtest a, b;

	vmtest_init(&a, "again=60");
	a.cfg.vm.vcpus = 3;
	vmtest_start(&a, "papr");
	vmtest_wait_for(&a, "half\n");
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	cr_expect(arch_vcpu_stopped(&a.vm->vcpu[2]->arch));
	vmtest_save(&a, &first);
	vmtest_fini(&a);

	vmtest_init(&b, "again=60");
	b.cfg.vm.vcpus = 3;
	vmtest_load(&b, &first);
	cr_expect(arch_vcpu_stopped(&b.vm->vcpu[2]->arch));
	cr_expect(!arch_vcpu_stopped(&b.vm->vcpu[0]->arch));
	vmtest_save(&b, &second);
	vmtest_expect_same(&first, &second);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->exit_code, 0, "%s", b.out);
	vmtest_fini(&b);
	vmtest_remove(&first);
	vmtest_remove(&second);
}

/* Nobody is left to start anybody: that is the guest's affair. */
Test(ppc64_papr, a_guest_that_stopped_all_its_vcpus_can_be_killed)
{
	struct vmtest t;

	vmtest_init(&t, "stop=1");
	t.cfg.vm.vcpus = 2;
	vmtest_start(&t, "papr");
	vmtest_wait_for(&t, "stopping\n");
	for (int i = 0; i < 20; i++) {
		usleep(1000);
		cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
		cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	}
	vmtest_drain(&t);
	cr_expect_null(strstr(t.out, "not stopped"), "%s", t.out);
	vm_kill(t.vm);
	vmtest_fini(&t);
}

/*
 * A block that is none.  Where KVM answers RTAS calls of the interrupt
 * controller it looks at the block first, and ends KVM_RUN with an error.
 */
static void harms_nobody(const char *args)
{
	struct vmtest t;

	vmtest_init(&t, args);
	vmtest_start(&t, "papr");
	vmtest_wait_end(&t);
	if (t.vm->arch.xics_fd < 0) {
		cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
		cr_expect_eq(t.vm->exit_code, 0, "%s: %s", args, t.out);
	} else if (t.vm->end == VM_END_CRASH) {
		cr_expect_eq(err_exit_code(&t.vm->err), ERR_CLASS_GUEST);
		cr_expect_not_null(strstr(t.vm->err.msg, "KVM_RUN"), "%s",
				   t.vm->err.msg);
	} else {
		cr_expect_eq(t.vm->exit_code, 0, "%s: %s", args, t.out);
	}
	vmtest_fini(&t);
}

Test(ppc64_papr, a_bad_block_harms_nobody)
{
	harms_nobody("block=16777216");		    /* behind RAM */
	harms_nobody("block=16777208");		    /* across its end */
	harms_nobody("block=16777213");		    /* and unaligned */
	harms_nobody("block=18446744073709551608"); /* wraps */
	harms_nobody("block=1152921504606846968");  /* so do 60 bits */
	harms_nobody("nargs=17");
	harms_nobody("nargs=1073741820"); /* times 4 wraps */
	harms_nobody("nargs=4294967295");
}

Test(ppc64_papr, a_storm_of_calls_from_all_vcpus_passes, .timeout = 120)
{
	run("storm=2000", 3, "fine\n");
}

/*
 * Their timebases were read one after the other, and KVM keeps offsets in
 * steps: made one by one they would differ now and then.  Here they would.
 */
Test(ppc64_papr, restored_vcpus_have_one_timebase)
{
	const uint64_t step = UINT64_C(1) << 24;
	struct vmtest_snapshot snap;
	uint64_t offset[2] = {1, 2};
	struct vmtest a, b;

	vmtest_init(&a, "again=100");
	a.cfg.vm.vcpus = 2;
	vmtest_build(&a, "papr");
	vmtest_save(&a, &snap);
	vmtest_fini(&a);
	vmtest_init(&b, "again=100");
	b.cfg.vm.vcpus = 2;
	vmtest_load(&b, &snap);
	b.vm->vcpu[1]->arch.held_tb = b.vm->vcpu[0]->arch.held_tb + step;
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	cr_assert_eq(vm_pause(b.vm, &b.err), 0, "%s", b.err.msg);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(kvm_get_one_reg(b.vm->vcpu[i]->arch.fd,
					     KVM_REG_PPC_TB_OFFSET, &offset[i]),
			     0);
	cr_expect_eq(offset[0], offset[1], "%llx and %llx",
		     (unsigned long long)offset[0],
		     (unsigned long long)offset[1]);
	vmtest_fini(&b);
	vmtest_remove(&snap);
}

/* One vCPU changes the page table while the others compute. */
Test(ppc64_hptsmp, entries_come_and_go_beside_vcpus_that_compute,
     .timeout = 120)
{
	struct vmtest t;

	/* Real mode takes a group of the table for each page of the host. */
	if (host_page_size() == 4096) {
		vmtest_init(&t, "order=19 pages=64 rounds=5");
		t.cfg.cpu.hpt_order = 19;
	} else {
		vmtest_init(&t, "order=18 pages=64 rounds=5");
		t.cfg.cpu.hpt_order = 18;
	}
	t.cfg.vm.vcpus = 3;
	vmtest_start(&t, "hptsmp");
	vmtest_wait_end(&t);
	cr_expect_eq(t.vm->end, VM_END_EXIT, "%s", t.vm->err.msg);
	cr_expect_eq(t.vm->exit_code, 0, "%s", t.out);
	cr_expect_not_null(strstr(t.out, "round 5\nsums "), "%s", t.out);
	vmtest_fini(&t);
}

/* --- the interrupt controller ----------------------------------------------
 */

Test(ppc64_xics, interrupts_between_vcpus_and_sources_work)
{
	run("xics=1", 1, "");
}

Test(ppc64_xics, a_pending_interrupt_is_restored)
{
	struct vmtest_snapshot first, second;
	struct vmtest a, b;
	bool have;

	vmtest_init(&a, "xics=1 wait=1");
	vmtest_start(&a, "papr");
	have = a.vm->arch.xics_fd >= 0;
	printf("  [info] XICS: %s\n", have ? "yes" : "not on this host");
	vmtest_wait_for(&a, have ? "sent\n" : "no xics\n");
	if (!have) {
		vmtest_fini(&a);
		return;
	}
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &first);
	vmtest_fini(&a);
	vmtest_init(&b, "xics=1 wait=1");
	vmtest_load(&b, &first);
	vmtest_save(&b, &second);
	vmtest_expect_same(&first, &second);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	vmtest_wait_end(&b);
	cr_expect_eq(b.vm->exit_code, 0, "%s", b.out);
	cr_expect_not_null(strstr(b.out, "xics works\n"), "%s", b.out);
	vmtest_fini(&b);
	vmtest_remove(&first);
	vmtest_remove(&second);
}

/* A state with just that section: n sources, of which the first is first. */
static struct snap_reader *sources(struct snap_writer *w, uint32_t n,
				   uint64_t first)
{
	struct snap_reader *r = calloc(1, sizeof(*r));

	snap_writer_init(w);
	snap_section_begin(w, "ppc64-xics", 0, 1, SNAP_REQUIRED);
	snap_put_u32(w, n);
	for (uint32_t i = 0; i < n; i++)
		snap_put_u64(w, i ? 0x2ff00000000 : first);
	snap_section_end(w);
	cr_assert_eq(snap_writer_finish(w, NULL), 0);
	cr_assert_eq(snap_reader_init(r, w->buf, w->len, NULL), 0);
	return r;
}

Test(ppc64_xics, what_cannot_be_loaded_is_refused_by_name)
{
	static const struct {
		uint32_t n;
		uint64_t first;
		const char *words;
	} bad[] = {
		{15, 0, "15 sources"},
		{17, 0, "17 sources"},
		{16, UINT64_C(1) << 50, "source 0x1000 has unknown bits"},
	};
	struct arch_vm none = {.vm_fd = -1, .xics_fd = -1};
	struct snap_reader *r;
	struct snap_writer w;
	struct vmtest t;

	vmtest_init(&t, "");
	vmtest_build(&t, "hello");
	for (size_t i = 0; i < ARRAY_SIZE(bad) && t.vm->arch.xics_fd >= 0;
	     i++) {
		r = sources(&w, bad[i].n, bad[i].first);
		cr_expect_lt(arch_irq_load(&t.vm->arch, r, &t.err), 0);
		cr_expect_not_null(strstr(t.err.msg, bad[i].words), "%s",
				   t.err.msg);
		free(r);
		snap_writer_fini(&w);
	}
	vmtest_fini(&t);

	/* A host whose KVM has none, and a state that needs one. */
	r = sources(&w, 16, 0);
	cr_expect_eq(xics_create(&none, r, &t.err), -ENOTSUP);
	cr_expect_not_null(strstr(t.err.msg, "section ppc64-xics"), "%s",
			   t.err.msg);
	cr_expect_eq(xics_create(&none, NULL, &t.err), 0, "without is fine");
	cr_expect_eq(none.xics_fd, -1);
	free(r);
	snap_writer_fini(&w);
}
