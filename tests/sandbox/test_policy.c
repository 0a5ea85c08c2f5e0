/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "sandbox/policy.h"

static bool same_checks(const struct policy_rule *a,
			const struct policy_rule *b)
{
	for (int i = 0; i < POLICY_CHECKS; i++) {
		const struct policy_check *x = &a->check[i], *y = &b->check[i];

		if (!x->value || !y->value)
			return x->value == y->value;
		if (x->arg != y->arg || strcmp(x->value, y->value) != 0)
			return false;
	}
	return true;
}

static void check_rules(const struct policy *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct policy_rule *r = &p->rule[i];

		cr_expect(r->call && *r->call, "%s: rule %zu has no name",
			  p->name, i);
		cr_expect(r->reason && strlen(r->reason) > 10,
			  "%s: %s has no reason", p->name, r->call);
		for (size_t k = 0; k < i; k++)
			cr_expect(strcmp(r->call, p->rule[k].call) != 0 ||
					  !same_checks(r, &p->rule[k]),
				  "%s: %s is there twice", p->name, r->call);
	}
}

static bool allows(const struct policy *p, const char *call)
{
	for (size_t i = 0; i < p->count; i++)
		if (!strcmp(p->rule[i].call, call))
			return true;
	return false;
}

Test(policy, every_rule_says_why_and_stands_once)
{
	for (int r = 0; r < SANDBOX_ROLES; r++)
		check_rules(policy_of((enum sandbox_role)r));
	check_rules(policy_sanitizer());
}

/* docs/THREATS.md promises the number. */
Test(policy, a_vcpu_has_twelve_calls_and_one_ioctl)
{
	const struct policy *p = policy_of(SANDBOX_VCPU);
	int calls = 0, ioctls = 0, ppc = 0, ppc_vm = 0, ppc_irq = 0;

	for (size_t i = 0; i < p->count; i++) {
		const char *fd = p->rule[i].check[0].value;
		bool first = true;

		for (size_t k = 0; k < i; k++)
			if (!strcmp(p->rule[i].call, p->rule[k].call))
				first = false;
		calls += first;
		if (strcmp(p->rule[i].call, "ioctl") != 0)
			continue;
		if (p->rule[i].arch == POLICY_PPC64LE) {
			ppc += !strcmp(fd, "@vcpu");
			ppc_vm += !strcmp(fd, "@vm");
			ppc_irq += !strcmp(fd, "@irq");
			continue;
		}
		cr_expect_str_eq(fd, "@vcpu");
		ioctls += p->rule[i].arch == 0;
	}
	cr_expect_eq(calls, 12);
	cr_expect_eq(ioctls, 1);
	cr_expect_eq(ppc, 2, "its registers at start-cpu and H_SET_MODE");
	cr_expect_eq(ppc_vm, 1, "the process table");
	cr_expect_eq(ppc_irq, 2, "where interrupts go");
}

Test(policy, no_role_can_open_connect_or_start_anything)
{
	static const char *const never[] = {
		"open",
		"openat",
		"openat2",
		"creat",
		"socket",
		"socketpair",
		"connect",
		"bind",
		"clone",
		"clone3",
		"fork",
		"vfork",
		"execve",
		"execveat",
		"ptrace",
		"mount",
		"unshare",
		"setns",
		"bpf",
		"io_uring_setup",
		"prctl",
		"seccomp",
		"kill",
		"tkill",
		"rename",
		"renameat2",
		"unlinkat",
		"mkdirat",
		"pidfd_getfd",
		"userfaultfd",
		"memfd_create",
		"dup",
		"process_vm_writev",
		"perf_event_open",
		"io_uring_enter",
		"keyctl",
	};

	for (int r = 0; r < SANDBOX_ROLES; r++)
		for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
			cr_expect(!allows(policy_of((enum sandbox_role)r),
					  never[i]),
				  "%s", never[i]);
}

/* An ioctl number alone names a different call on every kind of file. */
Test(policy, no_role_has_a_free_ioctl_mmap_or_futex)
{
	static const char *const checked[] = {"ioctl",	"mmap",	  "mprotect",
					      "futex",	"tgkill", "madvise",
					      "mremap", "sendto"};

	for (int role = 0; role < SANDBOX_ROLES; role++) {
		const struct policy *p = policy_of((enum sandbox_role)role);

		for (size_t i = 0; i < p->count; i++)
			for (size_t k = 0;
			     k < sizeof(checked) / sizeof(checked[0]); k++)
				if (!strcmp(p->rule[i].call, checked[k]))
					cr_expect(p->rule[i].check[0].value !=
							  NULL,
						  "%s: any %s", p->name,
						  checked[k]);
	}
}
