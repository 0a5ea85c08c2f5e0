/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vsx.c - all of FPR, VMX and VSX, and the rounding mode, through
 * pauses and snapshots: the guest's result is what its steps give natively.
 */
#include "kvm/vmtest.h"

#include <criterion/criterion.h>

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guests/include/vsx.h"
#include "kvm/kvm.h"

#define RUN_US 5000
#define ROUNDS 4

/* In a child: it leaves no register as a C function has to. */
static uint64_t native_sum(uint64_t steps)
{
	static const uint32_t go_on;
	struct vsx_state *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t sum;
	pid_t pid;

	cr_assert_neq(s, MAP_FAILED);
	vsx_init(s);
	pid = fork();
	if (pid == 0) {
		vsx_run(s, &go_on, steps);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	sum = vsx_sum(s);
	munmap(s, sizeof(*s));
	return sum;
}

static bool sum_is_right(struct vmtest *t)
{
	const char *at;
	char *end;
	uint64_t steps;

	vm_ask_stop(t->vm);
	vmtest_wait_end(t);
	cr_assert_eq(t->vm->end, VM_END_EXIT, "%s", t->vm->err.msg);
	at = strstr(t->out, "steps ");
	cr_assert_not_null(at, "%s", t->out);
	steps = strtoull(at + 6, &end, 10);
	cr_assert_eq(strncmp(end, " sum ", 5), 0, "%s", t->out);
	return native_sum(steps) == strtoull(end + 5, NULL, 16);
}

Test(ppc64_vsx, a_computation_survives_snapshots, .timeout = 120)
{
	struct vmtest_snapshot s;
	struct vmtest a, b;

	vmtest_init(&a, "");
	vmtest_start(&a, "vsx");
	vmtest_wait_for(&a, "computing\n");
	usleep(RUN_US);
	cr_assert_eq(vm_pause(a.vm, &a.err), 0, "%s", a.err.msg);
	vmtest_save(&a, &s);
	vmtest_fini(&a);
	vmtest_init(&b, "");
	vmtest_load(&b, &s);
	cr_assert_eq(vm_start(b.vm, false, &b.err), 0, "%s", b.err.msg);
	for (int i = 0; i < ROUNDS; i++) {
		usleep(RUN_US);
		cr_assert_eq(vm_pause(b.vm, &b.err), 0, "%s", b.err.msg);
		cr_assert_eq(vm_resume(b.vm, &b.err), 0, "%s", b.err.msg);
	}
	cr_expect(sum_is_right(&b), "another sum: %s", b.out);
	vmtest_fini(&b);
	vmtest_remove(&s);
}

/* Does the sum show that a bit of that register was another? */
static bool shows(uint64_t reg)
{
	uint8_t val[16];
	struct vmtest t;
	bool right;
	int fd;

	vmtest_init(&t, "");
	vmtest_start(&t, "vsx");
	vmtest_wait_for(&t, "computing\n");
	usleep(RUN_US);
	cr_assert_eq(vm_pause(t.vm, &t.err), 0, "%s", t.err.msg);
	fd = t.vm->vcpu[0]->fd;
	cr_assert_eq(kvm_get_one_reg(fd, reg, val), 0);
	val[1] ^= 4;
	cr_assert_eq(kvm_set_one_reg(fd, reg, val), 0);
	cr_assert_eq(vm_resume(t.vm, &t.err), 0, "%s", t.err.msg);
	right = sum_is_right(&t);
	vmtest_fini(&t);
	return !right;
}

/*
 * The test would notice: one bit of one register, of each kind.  Between two
 * of the guest's instructions a register may be about to be written: then no
 * bit of it counts, and it is tried elsewhere.
 */
Test(ppc64_vsx, one_bit_of_a_register_shows, .timeout = 120)
{
	static const uint64_t regs[] = {
		KVM_REG_PPC_FPR0 + 5,
		KVM_REG_PPC_VR0 + 7,
		KVM_REG_PPC_VSR0 + 9,
		KVM_REG_PPC_VRSAVE,
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(*regs); i++) {
		int tries = 1;

		while (!shows(regs[i]) && tries < 5)
			tries++;
		cr_expect_lt(tries, 5, "register %zu is not in it", i);
	}
}
