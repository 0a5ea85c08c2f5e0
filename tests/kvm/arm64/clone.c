/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/arm64/clone.h"

#include <criterion/criterion.h>

void clone_save(struct vmtest *a, const char *guest, struct vmtest_snapshot *s)
{
	vmtest_start(a, guest);
	vmtest_wait_for(a, "ready\n");
	cr_assert_eq(vm_pause(a->vm, &a->err), 0, "%s", a->err.msg);
	vm_dispatch(a->vm);
	vmtest_save(a, s);
}

void clone_run(struct vmtest *a, struct vmtest *b, const char *guest)
{
	struct vmtest_snapshot s, again;

	clone_save(a, guest, &s);
	vmtest_fini(a);
	vmtest_load(b, &s);
	vmtest_save(b, &again); /* unrun: nothing may differ */
	vmtest_expect_same(&s, &again);
	cr_assert_eq(vm_start(b->vm, false, &b->err), 0, "%s", b->err.msg);
	vmtest_wait_end(b);
	cr_expect_eq(b->vm->end, VM_END_EXIT, "%s", b->vm->err.msg);
	vmtest_remove(&again);
	vmtest_remove(&s);
}
