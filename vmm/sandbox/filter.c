/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.c - puts a generated seccomp filter on the calling thread.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/kick.h"
#include "filters.h" /* generated */
#include "sandbox/policy.h"
#include "sandbox/sandbox.h"

_Static_assert(sizeof(filters) / sizeof(filters[0]) == SANDBOX_ROLES,
	       "filters.h is of another policy.h");

/* The number that takes the place of a placeholder, -1: leave it. */
static int known_now(uint32_t k, const int fd[SANDBOX_FDS])
{
	switch (k) {
	case POLICY_AT_VCPU:
		return fd[SANDBOX_FD_VCPU];
	case POLICY_AT_EVENTS:
		return fd[SANDBOX_FD_EVENTS];
	case POLICY_AT_BLOCK:
		return fd[SANDBOX_FD_BLOCK];
	case POLICY_AT_UFFD:
		return fd[SANDBOX_FD_UFFD];
	case POLICY_AT_VM:
		return fd[SANDBOX_FD_VM];
	case POLICY_AT_IRQ:
		return fd[SANDBOX_FD_IRQ];
	case POLICY_AT_PID:
		return getpid();
	case POLICY_AT_KICK:
		return VCPU_KICK_SIGNAL;
	default:
		return -1;
	}
}

int sandbox_filter_load(enum sandbox_role role, enum sandbox_mode mode,
			const int fd[SANDBOX_FDS])
{
	static const uint32_t otherwise[] = {
		[SANDBOX_KILL] = SECCOMP_RET_KILL_PROCESS,
		[SANDBOX_ERRNO] = SECCOMP_RET_ERRNO | EPERM,
		[SANDBOX_LOG] = SECCOMP_RET_LOG,
	};
	struct sock_filter insn[POLICY_FILTER_MAX];
	struct sock_fprog prog = {.filter = insn};

	if ((unsigned int)role >= SANDBOX_ROLES ||
	    (unsigned int)mode > SANDBOX_LOG)
		return -EINVAL;
	prog.len = filters[role].count;
	memcpy(insn, filters[role].insn, prog.len * sizeof(insn[0]));
	for (unsigned int i = 0; i < prog.len; i++) {
		int value = -1;

		if (insn[i].code == (BPF_JMP | BPF_JEQ | BPF_K))
			value = known_now(insn[i].k, fd);
		if (insn[i].code == (BPF_RET | BPF_K) &&
		    insn[i].k == SECCOMP_RET_LOG)
			insn[i].k = otherwise[mode];
		if (value >= 0)
			insn[i].k = (uint32_t)value;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* This thread only: each role has its own. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return -errno;
	return 0;
}
