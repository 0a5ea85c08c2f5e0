/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.c - a build of mote that attacks its own jail, for probe.sh.
 *
 *   MOTE_PROBE=NAME        which probe, from a thread of the VM process, once
 *                          its jail is closed; "list" prints them all
 *   MOTE_PROBE_ROLE        control or vcpu: which thread
 *   MOTE_PROBE_WITHOUT     a layer of the jail that is left out, or "all";
 *                          "room": a descriptor is closed first
 *   MOTE_PROBE_TARGET      what there is to reach: see read_target
 *
 * The product's objects are linked as they are, with these calls wrapped:
 * kvm_run and mote_jail_lock (a moment when the jail is closed), and those by
 * which a layer is applied.  The launcher prints the outcome at its end:
 * "probe: NAME ROLE: killed", "refused ERRNO", "ESCAPED" or "did not run".
 */
#include <errno.h>
#include <linux/securebits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack/probe.h"
#include "mote.h"
#include "sandbox/compat.h"
#include "sandbox/jail_priv.h"
#include "sandbox/sandbox.h"

enum { IDLE, BEGUN, ENDED };

/* Shared by launcher and VM process. */
static struct shared {
	struct target target;
	char without[PROBE_TEXT];
	const struct probe *probe;
	bool on_vcpu;
	volatile int locked; /* the jail is closed */
	volatile int state;
	volatile int result;
} * shared;
static pid_t launcher;

static bool without(const char *layer)
{
	return shared && (strstr(shared->without, layer) ||
			  !strcmp(shared->without, "all"));
}

static const char *env(const char *name)
{
	const char *s = getenv(name);

	return s ? s : "";
}

/* "DIR ABSTRACT PORT KEY VICTIM LINK" */
static void read_target(struct target *t)
{
	sscanf(env("MOTE_PROBE_TARGET"), "%127s %127s %d %d %d %15s", t->dir,
	       t->abstract, &t->port, &t->shm_key, &t->victim, t->link);
	t->launcher = launcher;
}

static void list(void)
{
	for (size_t i = 0; i < probe_count; i++)
		printf("%s%s%s%s\n", probes[i].name,
		       probes[i].room ? " room" : "",
		       probes[i].single ? " single: " : "",
		       probes[i].single ? probes[i].single : "");
	exit(0);
}

static void __attribute__((constructor)) begin(void)
{
	const char *name = env("MOTE_PROBE");

	if (!*name)
		return;
	if (!strcmp(name, "list"))
		list();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		exit(99);
	launcher = getpid();
	read_target(&shared->target);
	snprintf(shared->without, sizeof(shared->without), "%s",
		 env("MOTE_PROBE_WITHOUT"));
	shared->on_vcpu = !strcmp(env("MOTE_PROBE_ROLE"), "vcpu");
	for (size_t i = 0; i < probe_count; i++)
		if (!strcmp(probes[i].name, name))
			shared->probe = &probes[i];
	if (!shared->probe)
		exit(98);
}

static void __attribute__((destructor)) end(void)
{
	if (!shared || getpid() != launcher)
		return;
	fprintf(stderr, "probe: %s %s: ", shared->probe->name,
		shared->on_vcpu ? "vcpu" : "control");
	if (shared->state == IDLE)
		fprintf(stderr, "did not run\n");
	else if (shared->state == BEGUN)
		fprintf(stderr, "killed\n");
	else if (shared->result == 0)
		fprintf(stderr, "ESCAPED\n");
	else
		fprintf(stderr, "refused %s\n",
			strerrorname_np(shared->result));
}

static void attack(void)
{
	if (shared->state != IDLE)
		return;
	if (without("room"))
		close(0);
	shared->state = BEGUN;
	shared->result = shared->probe->try(&shared->target);
	shared->state = ENDED;
}

/* --- when ------------------------------------------------------------------
 */

int __real_mote_jail_lock(enum mote_seccomp mode, struct mote_err *err);
int __wrap_mote_jail_lock(enum mote_seccomp mode, struct mote_err *err);
int __wrap_mote_jail_lock(enum mote_seccomp mode, struct mote_err *err)
{
	int ret = __real_mote_jail_lock(mode, err);

	if (ret < 0 || !shared)
		return ret;
	shared->locked = 1;
	if (!shared->on_vcpu)
		attack();
	return ret;
}

int __real_kvm_run(int fd);
int __wrap_kvm_run(int fd);
int __wrap_kvm_run(int fd)
{
	if (shared && shared->on_vcpu) {
		while (!shared->locked) /* no call that a filter may forbid */
			;
		attack();
	}
	return __real_kvm_run(fd);
}

/* --- layers left out ---------------------------------------------------------
 */

int __real_jail_new_root(struct jail_report *report, struct mote_err *err);
int __wrap_jail_new_root(struct jail_report *report, struct mote_err *err);
int __wrap_jail_new_root(struct jail_report *report, struct mote_err *err)
{
	return without("root") ? 0 : __real_jail_new_root(report, err);
}

/* Without it they are kept over the change of the user. */
int __real_caps_bound(struct mote_err *err);
int __wrap_caps_bound(struct mote_err *err);
int __wrap_caps_bound(struct mote_err *err)
{
	if (!without("capabilities"))
		return __real_caps_bound(err);
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	return 0;
}

int __real_caps_drop(struct jail_report *report, struct mote_err *err);
int __wrap_caps_drop(struct jail_report *report, struct mote_err *err);
int __wrap_caps_drop(struct jail_report *report, struct mote_err *err)
{
	return without("capabilities") ? 0 : __real_caps_drop(report, err);
}

/* Limits are believed to be set; those of descriptors are counted on. */
static struct rlimit pretended[RLIM_NLIMITS];
static bool is_pretended[RLIM_NLIMITS];

int __real_setrlimit(int what, const struct rlimit *r);
int __wrap_setrlimit(int what, const struct rlimit *r);
int __wrap_setrlimit(int what, const struct rlimit *r)
{
	if (!without("limits"))
		return __real_setrlimit(what, r);
	pretended[what] = *r;
	is_pretended[what] = true;
	return 0;
}

int __real_getrlimit(int what, struct rlimit *r);
int __wrap_getrlimit(int what, struct rlimit *r);
int __wrap_getrlimit(int what, struct rlimit *r)
{
	if (!is_pretended[what])
		return __real_getrlimit(what, r);
	*r = pretended[what];
	return 0;
}

/* Which would take all that there is without them. */
int __real_fd_room_fill(struct mote_err *err);
int __wrap_fd_room_fill(struct mote_err *err);
int __wrap_fd_room_fill(struct mote_err *err)
{
	return without("limits") ? 0 : __real_fd_room_fill(err);
}

int __real_prctl(int what, unsigned long a, unsigned long b, unsigned long c,
		 unsigned long d);
int __wrap_prctl(int what, unsigned long a, unsigned long b, unsigned long c,
		 unsigned long d);
int __wrap_prctl(int what, unsigned long a, unsigned long b, unsigned long c,
		 unsigned long d)
{
	if (without("mdwe") && what == PR_SET_MDWE)
		return 0;
	if (without("mdwe") && what == PR_GET_MDWE)
		return PR_MDWE_REFUSE_EXEC_GAIN;
	if (without("dumpable") && what == PR_SET_DUMPABLE)
		a = 1;
	return __real_prctl(what, a, b, c, d);
}

/* close_range is called by its number. */
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);
long __wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (without("fds") && nr == SYS_close_range)
		return 0;
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
