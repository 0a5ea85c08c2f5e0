/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helpers.h - parse a text and look at what came of it.
 */
#ifndef TESTS_CONFIG_HELPERS_H
#define TESTS_CONFIG_HELPERS_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define X86 CONFIG_ARCH_X86_64
#define ARM CONFIG_ARCH_ARM64
#define PPC CONFIG_ARCH_PPC64LE

struct parsed {
	struct vm_config c;
	struct config_errors e;
	int ret;
};

static inline void parsed_fini(struct parsed *p)
{
	config_fini(&p->c);
	config_errors_fini(&p->e);
}

#define AUTO_PARSED __attribute__((cleanup(parsed_fini))) struct parsed

static inline struct parsed parse_bytes(const char *text, size_t len)
{
	struct parsed p = {.e = {0}};

	p.ret = config_init(&p.c);
	if (p.ret == 0)
		p.ret = config_parse_text(&p.c, "t.ini", text, len, X86, &p.e);
	return p;
}

static inline struct parsed parse_as(const char *name, const char *text,
				     unsigned int arch)
{
	struct parsed p = {.e = {0}};

	p.ret = config_init(&p.c);
	if (p.ret == 0)
		p.ret = config_parse_text(&p.c, name, text, strlen(text), arch,
					  &p.e);
	return p;
}

static inline struct parsed parse(const char *text)
{
	return parse_as("t.ini", text, X86);
}

/* Defaults, and one set on top. */
static inline struct parsed set_as(const char *assign, unsigned int arch)
{
	struct parsed p = {.e = {0}};

	p.ret = config_init(&p.c);
	if (p.ret == 0)
		p.ret = config_set(&p.c, "--set", assign, arch, &p.e);
	return p;
}

static inline struct parsed set(const char *assign)
{
	return set_as(assign, X86);
}

/* The i-th message, or "" so that a missing one fails and does not crash. */
static inline const char *msg(const struct parsed *p, size_t i)
{
	return i < p->e.count ? p->e.msg[i] : "";
}

/* NULL and "" apart, for comparisons. */
static inline const char *text_of(const char *s)
{
	return s != NULL ? s : "(unset)";
}

/* A small generator, so that a failure happens again. */
static inline unsigned int next_random(unsigned int *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* A value for every key that works on x86_64, none of them the default. */
#define EVERYTHING                                                             \
	"[vm]\nname = n.1\nkernel = /k\ncmdline = a b\nprotocol = mote\n"      \
	"memory = 1G\nvcpus = 4\nmax_vcpus = 4\nstop_timeout = 1500ms\n"       \
	"core = /cores\n"                                                      \
	"[memory]\nhugepages = thp\nshared = yes\nlock = yes\n"                \
	"dirty_tracking = auto\n"                                              \
	"[console]\ntype = file\npath = /c\n"                                  \
	"[disk.b]\npath = /d\ntype = block\nreadonly = yes\n"                  \
	"sector_size = 4K\n"                                                   \
	"[disk.a]\npath = /e\n"                                                \
	"[net.x]\ntap = tap0\nmac = 02:00:00:0a:bC:ff\nmtu = 9000\n"           \
	"[net.w]\nfd = 7\n"                                                    \
	"[snapshot]\ndir = /s\nwhen = ready\ndurability = none\n"              \
	"[restore]\nfrom = /f\nmemory = copy\nverify = eager\nresume = no\n"   \
	"[sandbox]\nenable = on\nrequire = true\nuser = 1000\ngroup = _kvm\n"  \
	"namespaces = off\nseccomp = log\n"                                    \
	"[control]\nsocket = /sock\nmode = 660\n"                              \
	"[metrics]\nfile = /m\nformat = prometheus\ninterval = 250ms\n"        \
	"[log]\nlevel = debug\nfile = /log\n"

static inline bool same_text(const char *a, const char *b)
{
	return strcmp(text_of(a), text_of(b)) == 0;
}

static inline bool same_disks(const struct vm_config *a,
			      const struct vm_config *b)
{
	bool same = a->disk_count == b->disk_count;

	for (uint32_t i = 0; same && i < a->disk_count; i++) {
		const struct disk_config *x = &a->disk[i], *y = &b->disk[i];

		same = same_text(x->name, y->name) &&
		       same_text(x->path, y->path) && x->type == y->type &&
		       x->readonly == y->readonly &&
		       x->sector_size == y->sector_size;
	}
	return same;
}

static inline bool same_nets(const struct vm_config *a,
			     const struct vm_config *b)
{
	bool same = a->net_count == b->net_count;

	for (uint32_t i = 0; same && i < a->net_count; i++) {
		const struct net_config *x = &a->net[i], *y = &b->net[i];

		same = same_text(x->name, y->name) &&
		       same_text(x->tap, y->tap) && x->fd == y->fd &&
		       x->has_mac == y->has_mac &&
		       memcmp(x->mac, y->mac, sizeof(x->mac)) == 0 &&
		       x->mtu == y->mtu;
	}
	return same;
}

static inline bool same_config(const struct vm_config *a,
			       const struct vm_config *b)
{
	return same_text(a->vm.name, b->vm.name) &&
	       same_text(a->vm.kernel, b->vm.kernel) &&
	       same_text(a->vm.initrd, b->vm.initrd) &&
	       same_text(a->vm.cmdline, b->vm.cmdline) &&
	       a->vm.protocol == b->vm.protocol &&
	       a->vm.memory == b->vm.memory && a->vm.vcpus == b->vm.vcpus &&
	       a->vm.max_vcpus == b->vm.max_vcpus &&
	       a->vm.stop_timeout_ms == b->vm.stop_timeout_ms &&
	       same_text(a->vm.core, b->vm.core) &&
	       a->cpu.psci == b->cpu.psci &&
	       a->cpu.hpt_order == b->cpu.hpt_order &&
	       a->memory.dirty_tracking == b->memory.dirty_tracking &&
	       a->memory.hugepages == b->memory.hugepages &&
	       a->memory.shared == b->memory.shared &&
	       a->memory.lock == b->memory.lock && same_disks(a, b) &&
	       same_nets(a, b) && a->console.type == b->console.type &&
	       same_text(a->console.path, b->console.path) &&
	       same_text(a->snapshot.dir, b->snapshot.dir) &&
	       a->snapshot.when == b->snapshot.when &&
	       same_text(a->snapshot.ready, b->snapshot.ready) &&
	       a->snapshot.durability == b->snapshot.durability &&
	       same_text(a->restore.from, b->restore.from) &&
	       a->restore.memory == b->restore.memory &&
	       a->restore.verify == b->restore.verify &&
	       a->restore.resume == b->restore.resume &&
	       a->sandbox.enable == b->sandbox.enable &&
	       a->sandbox.require == b->sandbox.require &&
	       same_text(a->sandbox.user, b->sandbox.user) &&
	       same_text(a->sandbox.group, b->sandbox.group) &&
	       a->sandbox.namespaces == b->sandbox.namespaces &&
	       a->sandbox.seccomp == b->sandbox.seccomp &&
	       same_text(a->control.socket, b->control.socket) &&
	       a->control.mode == b->control.mode &&
	       same_text(a->metrics.file, b->metrics.file) &&
	       a->metrics.format == b->metrics.format &&
	       a->metrics.interval_ms == b->metrics.interval_ms &&
	       a->log.level == b->log.level &&
	       same_text(a->log.file, b->log.file);
}

/* describe, parse, compare, describe again, compare. */
static inline void round_trip(const struct vm_config *c, unsigned int arch)
{
	char *text = config_describe(c), *again;

	cr_assert_not_null(text);
	AUTO_PARSED p = parse_as(NULL, text, arch);
	cr_assert_eq(p.ret, 0, "%s\n%s", msg(&p, 0), text);
	cr_assert(same_config(c, &p.c), "%s", text);
	again = config_describe(&p.c);
	cr_assert_str_eq(text, again);
	free(text);
	free(again);
}

/* Refused, and every message names that line. */
static inline bool refused_at(const struct parsed *p, int line)
{
	char place[32];

	snprintf(place, sizeof(place), "t.ini:%d: ", line);
	if (p->ret != -EINVAL || p->e.count == 0)
		return false;
	for (size_t i = 0; i < p->e.count; i++)
		if (strncmp(p->e.msg[i], place, strlen(place)) != 0)
			return false;
	return true;
}

/*
 * "[vm]\nLINE\nvcpus = 2\n": LINE sets cmdline to want, or is refused as
 * line 2, and nothing else changes either way.
 */
static inline void check_line(const char *line, const char *want)
{
	char text[8192];

	snprintf(text, sizeof(text), "[vm]\n%s\nvcpus = 2\n", line);
	AUTO_PARSED p = parse(text);
	if (want != NULL) {
		cr_assert_eq(p.ret, 0, "%s: %s", line, msg(&p, 0));
		cr_assert_str_eq(text_of(p.c.vm.cmdline), want);
	} else {
		cr_assert(refused_at(&p, 2), "%s: %s", line, msg(&p, 0));
		cr_assert_eq(p.e.count, 1);
		cr_assert_null(p.c.vm.cmdline);
	}
	cr_assert_eq(p.c.vm.memory, 32u << 20, "%s", line);
	cr_assert_eq(p.c.vm.vcpus, 2, "%s", line);
	cr_assert(p.c.sandbox.enable);
}

#endif
