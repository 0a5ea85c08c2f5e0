/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_filter.c - the filters as the kernel runs them: each in a child, which
 * puts what it saw into shared memory.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILTERS_WANT_CALLS
#include "base/kick.h"
#include "filters.h"
#include "sandbox/policy.h"
#include "sandbox/sandbox.h"

#define LAST_CALL 470
#define DENIED	  EPERM

/* What the children tell; as many as there are system calls. */
static int *shared_results(void)
{
	void *p =
		mmap(NULL, (LAST_CALL + 1) * sizeof(int),
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void load(enum sandbox_role role, enum sandbox_mode mode, int vcpu,
		 int events)
{
	const int fd[SANDBOX_FDS] = {
		[SANDBOX_FD_VCPU] = vcpu, [SANDBOX_FD_EVENTS] = events,
		[SANDBOX_FD_BLOCK] = -1,  [SANDBOX_FD_UFFD] = -1,
		[SANDBOX_FD_VM] = -1,	  [SANDBOX_FD_IRQ] = -1,
	};

	if (sandbox_filter_load(role, mode, fd) < 0)
		_exit(99);
}

enum listed { NOT_LISTED, WITH_CHECKS, FREE };

static enum listed listed(enum sandbox_role role, int nr)
{
	enum listed best = NOT_LISTED;

	for (const struct filter_call *c = filter_calls[role]; c->name; c++)
		if (c->nr == nr && best != FREE)
			best = c->check[0].arg >= 0 ? WITH_CHECKS : FREE;
	return best;
}

/* These do not come back. */
static bool leaves(long nr)
{
#ifdef __x86_64__
	/*
	 * uretprobe and uprobe: from 6.14 the kernel does not show them to
	 * filters; outside of a probe they end the caller with SIGILL.
	 */
	if (nr == 335 || nr == 336)
		return true;
#endif
	return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn;
}

/* Arguments that fit no rule and do no harm where a call is allowed. */
static void try_all(enum sandbox_role role)
{
	int *seen = shared_results();
	pid_t pid = fork();

	if (pid == 0) {
		load(role, SANDBOX_ERRNO, -1, -1);
		for (long nr = 0; nr <= LAST_CALL; nr++) {
			if (leaves(nr))
				continue;
			seen[nr] = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L) < 0
					   ? errno
					   : 0;
		}
		_exit(0);
	}
	cr_assert_eq(wait_for(pid), 0);
	for (int nr = 0; nr <= LAST_CALL; nr++) {
		if (leaves(nr))
			continue;
		if (listed(role, nr) == FREE)
			cr_expect_neq(seen[nr], DENIED, "call %d is refused",
				      nr);
		else
			cr_expect_eq(seen[nr], DENIED,
				     "call %d is not refused: %d", nr,
				     seen[nr]);
	}
	munmap(seen, (LAST_CALL + 1) * sizeof(int));
}

Test(filter, a_role_gets_only_what_its_table_lists)
{
	for (int role = 0; role < SANDBOX_ROLES; role++)
		try_all((enum sandbox_role)role);
}

/* --- each rule, as the kernel applies it --------------------------------- */

/* Descriptors that the placeholders become: not /dev/null's own number. */
struct own_fds {
	int fd[SANDBOX_FDS];
	int null;
};

static void open_own(struct own_fds *o)
{
	o->null = open("/dev/null", O_RDWR);
	for (int i = 0; i < SANDBOX_FDS; i++)
		o->fd[i] = fcntl(o->null, F_DUPFD, 100 + i);
	o->fd[SANDBOX_FD_BLOCK] = fcntl(o->null, F_DUPFD, 128);
}

/* What the loader makes of a value of the table. */
static uint32_t patched(uint32_t value, const struct own_fds *o)
{
	switch (value) {
	case POLICY_AT_VCPU:
		return (uint32_t)o->fd[SANDBOX_FD_VCPU];
	case POLICY_AT_EVENTS:
		return (uint32_t)o->fd[SANDBOX_FD_EVENTS];
	case POLICY_AT_BLOCK:
		return (uint32_t)o->fd[SANDBOX_FD_BLOCK];
	case POLICY_AT_UFFD:
		return (uint32_t)o->fd[SANDBOX_FD_UFFD];
	case POLICY_AT_VM:
		return (uint32_t)o->fd[SANDBOX_FD_VM];
	case POLICY_AT_IRQ:
		return (uint32_t)o->fd[SANDBOX_FD_IRQ];
	case POLICY_AT_PID:
		return (uint32_t)getpid();
	case POLICY_AT_KICK:
		return VCPU_KICK_SIGNAL;
	default:
		return value;
	}
}

static bool in_table(enum sandbox_role role, long nr, const long arg[6],
		     const struct own_fds *o)
{
	for (const struct filter_call *c = filter_calls[role]; c->name; c++) {
		bool fits = c->nr == nr;

		for (int i = 0; fits && c->check[i].arg >= 0; i++)
			fits = ((uint32_t)arg[c->check[i].arg] &
				c->check[i].mask) ==
			       patched(c->check[i].value, o);
		if (fits)
			return true;
	}
	return false;
}

/* How many calls the kernel judged otherwise than the table does. */
static int judge(enum sandbox_role role, long nr, const long a[6],
		 const struct own_fds *o)
{
	int e = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;

	return (e != DENIED) != in_table(role, nr, a, o);
}

/* All rules of a role with arguments that fit, and each off by one bit. */
static int judge_rules(enum sandbox_role role, const struct own_fds *o,
		       int *tried)
{
	int wrong = 0;

	for (const struct filter_call *c = filter_calls[role]; c->name; c++) {
		/* No memory, no descriptor: what gets through does nothing. */
		long arg[6] = {-1, -1, -1, -1, -1, -1};

		if (leaves(c->nr))
			continue;
		for (int i = 0; c->check[i].arg >= 0; i++)
			arg[c->check[i].arg] = patched(c->check[i].value, o);
		wrong += judge(role, c->nr, arg, o);
		++*tried;
		for (int i = 0; c->check[i].arg >= 0; i++) {
			for (int bit = 0; bit < 32; bit++) {
				long *at = &arg[c->check[i].arg], was = *at;

				*at ^= 1L << bit;
				wrong += judge(role, c->nr, arg, o);
				*at = was;
			}
		}
	}
	return wrong;
}

Test(filter, each_rule_lets_its_call_through_and_no_other)
{
	int *seen = shared_results();

	for (int r = 0; r < SANDBOX_ROLES; r++) {
		enum sandbox_role role = (enum sandbox_role)r;
		pid_t pid = fork();

		if (pid == 0) {
			struct own_fds o;

			open_own(&o);
			if (sandbox_filter_load(role, SANDBOX_ERRNO, o.fd) < 0)
				_exit(99);
			seen[1] = 0;
			seen[0] = judge_rules(role, &o, &seen[1]);
			_exit(0);
		}
		cr_assert_eq(wait_for(pid), 0);
		cr_expect_eq(seen[0], 0, "role %d: %d calls", r, seen[0]);
		cr_expect_gt(seen[1], 10, "role %d: %d rules", r, seen[1]);
	}
	munmap(seen, (LAST_CALL + 1) * sizeof(int));
}

Test(filter, a_forbidden_call_kills_the_process)
{
	for (int role = 0; role < SANDBOX_ROLES; role++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			load((enum sandbox_role)role, SANDBOX_KILL, -1, -1);
			syscall(SYS_getppid);
			_exit(0);
		}
		status = wait_for(pid);
		cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			  "role %d: status 0x%x", role, (unsigned int)status);
	}
}

Test(filter, running_another_vcpu_kills_the_process)
{
	int own = open("/dev/null", O_RDWR), other = dup(own);

	for (int run = 0; run < 2; run++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			load(SANDBOX_VCPU, SANDBOX_KILL, own, -1);
			ioctl(run ? own : other, KVM_RUN, 0);
			_exit(0);
		}
		status = wait_for(pid);
		cr_expect_eq(run ? WIFEXITED(status)
				 : WIFSIGNALED(status) &&
					     WTERMSIG(status) == SIGSYS,
			     1, "%d: status 0x%x", run, (unsigned int)status);
	}
	close(own);
	close(other);
}

Test(filter, an_allowed_exit_is_one)
{
	for (int role = 0; role < SANDBOX_ROLES; role++) {
		pid_t pid = fork();

		if (pid == 0) {
			load((enum sandbox_role)role, SANDBOX_KILL, -1, -1);
			_exit(7);
		}
		cr_expect_eq(WEXITSTATUS(wait_for(pid)), 7);
	}
}

Test(filter, logging_lets_everything_through)
{
	pid_t pid = fork();

	if (pid == 0) {
		load(SANDBOX_VCPU, SANDBOX_LOG, -1, -1);
		_exit(syscall(SYS_getppid) > 0 ? 0 : 1);
	}
	cr_expect_eq(wait_for(pid), 0);
}

static void *filtered_thread(void *arg)
{
	(void)arg;
	load(SANDBOX_VCPU, SANDBOX_ERRNO, -1, -1);
	return (void *)(intptr_t)(syscall(SYS_getppid) < 0);
}

Test(filter, it_holds_for_one_thread)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t;
		void *refused = NULL;

		if (pthread_create(&t, NULL, filtered_thread, NULL) != 0 ||
		    pthread_join(t, &refused) != 0)
			_exit(1);
		_exit(refused && syscall(SYS_getppid) > 0 ? 0 : 2);
	}
	cr_expect_eq(wait_for(pid), 0);
}

Test(filter, unknown_roles_and_modes_are_refused)
{
	const int fd[SANDBOX_FDS] = {-1, -1, -1, -1, -1, -1};

	cr_expect_eq(sandbox_filter_load(SANDBOX_ROLES, SANDBOX_KILL, fd),
		     -EINVAL);
	cr_expect_eq(
		sandbox_filter_load(SANDBOX_VCPU, (enum sandbox_mode)3, fd),
		-EINVAL);
}

/* errno of a call, 0 when it did not fail. */
static int try_call(long nr, long a, long b, long c, long d)
{
	return syscall(nr, a, b, c, d, 0L, 0L) < 0 ? errno : 0;
}

enum {
	OWN_RUN,
	OWN_RUN_HIGH_BITS,
	OTHER_RUN,
	OWN_OTHER_IOCTL,
	EVENTS_WRITE,
	EVENTS_SHORT,
	OTHER_WRITE,
	WAKE,
	WAKE_SHARED,
	DONTNEED,
	OTHER_ADVICE,
};

Test(filter, a_vcpu_runs_itself_and_writes_to_its_events)
{
	int *seen = shared_results();
	int own = open("/dev/null", O_RDWR), other = dup(own);
	int events = eventfd(0, 0);
	pid_t pid = fork();

	if (pid == 0) {
		static const uint64_t one = 1;
		static int word;
		long buf = (long)(intptr_t)&one, w = (long)(intptr_t)&word;

		load(SANDBOX_VCPU, SANDBOX_ERRNO, own, events);
		seen[OWN_RUN] = try_call(SYS_ioctl, own, KVM_RUN, 0, 0);
		seen[OWN_RUN_HIGH_BITS] = try_call(
			SYS_ioctl, own,
			(long)(0xffffffff00000000 | (unsigned int)KVM_RUN), 0,
			0);
		seen[OTHER_RUN] = try_call(SYS_ioctl, other, KVM_RUN, 0, 0);
		seen[OWN_OTHER_IOCTL] = try_call(
			SYS_ioctl, own, (long)KVM_GET_MP_STATE, buf, 0);
		seen[EVENTS_WRITE] = try_call(SYS_write, events, buf, 8, 0);
		seen[EVENTS_SHORT] = try_call(SYS_write, events, buf, 4, 0);
		seen[OTHER_WRITE] = try_call(SYS_write, other, buf, 8, 0);
		seen[WAKE] = try_call(SYS_futex, w, FUTEX_WAKE_PRIVATE, 1, 0);
		seen[WAKE_SHARED] = try_call(SYS_futex, w, FUTEX_WAKE, 1, 0);
		seen[DONTNEED] = try_call(SYS_madvise, 0, 0, MADV_DONTNEED, 0);
		seen[OTHER_ADVICE] = try_call(SYS_madvise, 0, 0, MADV_FREE, 0);
		_exit(0);
	}
	cr_assert_eq(wait_for(pid), 0);
	/* /dev/null knows no KVM_RUN, so ENOTTY says that the call was made. */
	cr_expect_eq(seen[OWN_RUN], ENOTTY);
	cr_expect_eq(seen[OWN_RUN_HIGH_BITS], ENOTTY);
	cr_expect_eq(seen[OTHER_RUN], DENIED);
	cr_expect_eq(seen[OWN_OTHER_IOCTL], DENIED);
	cr_expect_eq(seen[EVENTS_WRITE], 0);
	cr_expect_eq(seen[WAKE], 0);
	cr_expect_eq(seen[DONTNEED], 0);
	if (listed(SANDBOX_VCPU, SYS_mmap) == NOT_LISTED) { /* no sanitizer */
		cr_expect_eq(seen[EVENTS_SHORT], DENIED);
		cr_expect_eq(seen[OTHER_WRITE], DENIED);
		cr_expect_eq(seen[WAKE_SHARED], DENIED);
		cr_expect_eq(seen[OTHER_ADVICE], DENIED);
	}
	munmap(seen, (LAST_CALL + 1) * sizeof(int));
	close(own);
	close(other);
	close(events);
}

enum {
	KICK_SELF,
	KICK_PARENT,
	TERM_SELF,
	MAP_PLAIN,
	MAP_CODE,
	MAP_A_FILE,
	MAP_COMMON,
	PROTECT,
	PROTECT_EXEC,
	RUN,
	STATE,
	CREATE_VCPU,
};

static int try_map(int prot, int flags, int fd)
{
	void *p = mmap(NULL, 4096, prot, flags, fd, 0);

	return p == MAP_FAILED ? errno : 0;
}

Test(filter, the_vm_thread_kicks_its_own_and_maps_no_code)
{
	int *seen = shared_results();
	int null = open("/dev/null", O_RDWR);
	pid_t pid = fork();

	if (pid == 0) {
		long page = sysconf(_SC_PAGESIZE);
		void *p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		long me = getpid(), tid = syscall(SYS_gettid);
		long mother = getppid(), at = (long)(intptr_t)p;

		signal(VCPU_KICK_SIGNAL, SIG_IGN);
		load(SANDBOX_CONTROL, SANDBOX_ERRNO, -1, -1);
		seen[KICK_SELF] =
			try_call(SYS_tgkill, me, tid, VCPU_KICK_SIGNAL, 0);
		seen[KICK_PARENT] = try_call(SYS_tgkill, mother, mother,
					     VCPU_KICK_SIGNAL, 0);
		seen[TERM_SELF] = try_call(SYS_tgkill, me, tid, SIGCONT, 0);
		seen[MAP_PLAIN] = try_map(PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1);
		seen[MAP_CODE] = try_map(PROT_READ | PROT_EXEC,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1);
		seen[MAP_A_FILE] = try_map(PROT_READ, MAP_PRIVATE, null);
		seen[MAP_COMMON] =
			try_map(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1);
		seen[PROTECT] = try_call(SYS_mprotect, at, page, PROT_READ, 0);
		seen[PROTECT_EXEC] = try_call(SYS_mprotect, at, page,
					      PROT_READ | PROT_EXEC, 0);
		seen[RUN] = try_call(SYS_ioctl, null, KVM_RUN, 0, 0);
		seen[STATE] =
			try_call(SYS_ioctl, null, KVM_CHECK_EXTENSION, 0, 0);
		seen[CREATE_VCPU] =
			try_call(SYS_ioctl, null, KVM_CREATE_VCPU, 0, 0);
		_exit(0);
	}
	cr_assert_eq(wait_for(pid), 0);
	cr_expect_eq(seen[KICK_SELF], 0);
	cr_expect_eq(seen[KICK_PARENT], DENIED);
	cr_expect_eq(seen[TERM_SELF], DENIED);
	cr_expect_eq(seen[MAP_PLAIN], 0);
	cr_expect_eq(seen[PROTECT], 0);
	if (listed(SANDBOX_CONTROL, SYS_mmap) == WITH_CHECKS) {
		cr_expect_eq(seen[MAP_CODE], DENIED);
		cr_expect_eq(seen[MAP_A_FILE], DENIED);
		cr_expect_eq(seen[MAP_COMMON], DENIED);
		cr_expect_eq(seen[PROTECT_EXEC], DENIED);
	}
	cr_expect_eq(seen[RUN], DENIED, "the guest is the vCPU threads' own");
	cr_expect_eq(seen[STATE], ENOTTY);
	cr_expect_eq(seen[CREATE_VCPU], DENIED);
	munmap(seen, (LAST_CALL + 1) * sizeof(int));
	close(null);
}
