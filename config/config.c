/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - struct vm_config: defaults, single sets, cross checks, text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "config/config.h"
#include "config/config_priv.h"

/* A configuration file is a few lines; more is the wrong file. */
#define FILE_BYTES_MAX	MIB
#define FILE_BYTES_STEP ((size_t)8192)

int config_init(struct vm_config *c)
{
	int ret;

	*c = (struct vm_config){0};
	ret = section_defaults(c, NULL);
	if (ret < 0)
		config_fini(c);
	return ret;
}

int config_copy(struct vm_config *to, const struct vm_config *from)
{
	*to = *from;
	if (section_copy_all(to, from) == 0)
		return 0;
	config_fini(to);
	*to = (struct vm_config){0};
	return -ENOMEM;
}

void config_fini(struct vm_config *c)
{
	section_free_all(c);
}

unsigned int config_virtio_count(const struct vm_config *c)
{
	if (c->vm.protocol == PROTOCOL_HVT)
		return 0;
	return c->disk_count + c->net_count + c->rng.enable;
}

bool config_acpi(const struct vm_config *c)
{
	switch (c->vm.protocol) {
	case PROTOCOL_LINUX:
	case PROTOCOL_PVH:
		return c->vm.acpi != ACPI_NO;
	case PROTOCOL_MULTIBOOT:
		return c->vm.acpi == ACPI_YES;
	default:
		return false;
	}
}

static void forget(char **s)
{
	free(*s);
	*s = NULL;
}

static void forget_files(struct vm_config *c)
{
	forget(&c->vm.initrd); /* it is in RAM */
	forget(&c->vm.core);
	forget(&c->console.path);
	forget(&c->snapshot.dir);
	forget(&c->snapshot.ready);
	forget(&c->restore.from);
	forget(&c->sandbox.user);
	forget(&c->sandbox.group);
	forget(&c->sandbox.netns);
	forget(&c->limits.cgroup);
	forget(&c->control.socket);
	forget(&c->metrics.file);
	forget(&c->log.file);
	for (uint32_t i = 0; i < c->disk_count; i++)
		forget(&c->disk[i].path);
	for (uint32_t i = 0; i < c->net_count; i++) {
		forget(&c->net[i].tap);
		c->net[i].fd = -1;
	}
	for (uint32_t i = 0; i < c->passthrough_count; i++) {
		forget(&c->passthrough[i].pci);
		forget(&c->passthrough[i].cdev);
		c->passthrough[i].fd = -1;
	}
}

int config_forget_run(struct vm_config *c)
{
	struct vm_config def;
	int ret = config_init(&def);

	if (ret < 0)
		return ret;
	forget_files(c);
	c->console = def.console;
	c->snapshot = def.snapshot;
	c->restore = def.restore;
	c->sandbox = def.sandbox;
	c->limits = def.limits;
	c->control = def.control;
	c->metrics = def.metrics;
	c->log = def.log;
	/* Its strings are ours now. */
	def.console.path = def.snapshot.dir = def.snapshot.ready = NULL;
	def.restore.from = def.sandbox.user = def.sandbox.group = NULL;
	def.sandbox.netns = def.limits.cgroup = NULL;
	def.control.socket = def.metrics.file = def.log.file = NULL;
	config_fini(&def);
	return 0;
}

/* The whole of fd; at most FILE_BYTES_MAX. */
static int read_all(int fd, char **text, size_t *len)
{
	cleanup_free char *buf = NULL;
	size_t used = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (used == size) {
			char *grown = realloc(buf, size + FILE_BYTES_STEP);

			if (grown == NULL)
				return -ENOMEM;
			buf = grown;
			size += FILE_BYTES_STEP;
		}
		n = read(fd, buf + used, size - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > FILE_BYTES_MAX)
			return -EFBIG;
	}
	*text = ptr_steal(&buf);
	*len = used;
	return 0;
}

int config_parse_file(struct vm_config *c, const char *path, unsigned int arch,
		      struct config_errors *errs)
{
	struct faults f = {.errs = errs, .name = path};
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	struct mote_err err = {0};
	size_t len = 0;
	int ret;

	fd = fd_open_regular(AT_FDCWD, path, false, &err);
	if (fd < 0) {
		fault(&f, 0, NULL, "%s", err.msg);
		return f.no_memory ? -ENOMEM : fd;
	}
	ret = read_all(fd, &text, &len);
	if (ret == -EFBIG)
		fault(&f, 0, NULL, "found more than 1M, expected an INI file");
	else if (ret < 0)
		fault(&f, 0, NULL, "read: %s", strerror(-ret));
	if (ret < 0)
		return f.no_memory ? -ENOMEM : ret;
	return config_parse_text(c, path, text, len, arch, errs);
}

int config_set(struct vm_config *c, const char *origin, const char *assign,
	       unsigned int arch, struct config_errors *errs)
{
	struct faults f = {.errs = errs,
			   .name = origin != NULL ? origin : "config"};
	const char *eq = strchr(assign, '='), *dot = NULL;
	cleanup_free char *what = NULL;
	const struct key *k;
	char hint[512];
	struct quoted q;
	struct why why = {""};
	int ret;

	if (eq != NULL)
		dot = memrchr(assign, '.', (size_t)(eq - assign));
	if (dot == NULL || dot == assign || dot + 1 == eq) {
		fault(&f, 0, NULL, "found %s, expected SECTION.KEY=VALUE",
		      quote(&q, assign));
		return faults_result(&f);
	}
	what = strndup(assign, (size_t)(eq - assign));
	if (what == NULL)
		return -ENOMEM;

	/* Split at the last dot, and put it back for the messages. */
	what[dot - assign] = '\0';
	k = keys_find(what, what + (dot - assign) + 1);
	if (k == NULL) {
		bool known = keys_section(what) != NULL;

		suggest(what, known ? what + (dot - assign) + 1 : NULL, hint,
			sizeof(hint));
		what[dot - assign] = '.';
		fault(&f, 0, NULL, "%s: no such %s%s", quote(&q, what),
		      known ? "key" : "section", hint);
		return faults_result(&f);
	}
	ret = section_put(c, k, what, eq + 1, NULL, arch, &why);
	what[dot - assign] = '.';
	if (ret == -EINVAL)
		fault(&f, 0, what, "%s", why.text);
	return f.no_memory ? -ENOMEM : ret;
}

static void check_console(struct faults *f, const struct vm_config *c)
{
	bool may = c->console.type == CONSOLE_FILE ||
		   c->console.type == CONSOLE_SOCKET ||
		   c->console.type == CONSOLE_PTY;

	if (c->console.type == CONSOLE_FILE && c->console.path == NULL)
		fault(f, 0, "console.path",
		      "not set, expected the file for type = file");
	if (c->console.type == CONSOLE_SOCKET && c->console.path == NULL)
		fault(f, 0, "console.path",
		      "not set, expected the socket for type = socket");
	if (!may && c->console.path != NULL)
		fault(f, 0, "console.path",
		      "set, expected only with console.type = file, socket "
		      "or pty");
}

/* A path that becomes the name of a unix socket. */
static void check_socket(struct faults *f, const char *what, const char *path)
{
	const size_t sun = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (path != NULL && strlen(path) > sun)
		fault(f, 0, what,
		      "found a path of %zu bytes, expected at most %zu",
		      strlen(path), sun);
}

static void check_memory(struct faults *f, const struct vm_config *c)
{
	if (c->memory.shared && c->restore.from != NULL &&
	    c->restore.memory != RESTORE_COPY)
		fault(f, 0, "memory.shared",
		      "found yes with a snapshot that is mapped, expected "
		      "restore.memory = copy beside it");
}

static void check_restore(struct faults *f, const struct vm_config *c)
{
	if (c->restore.verify == VERIFY_LAZY &&
	    (c->restore.memory == RESTORE_COW ||
	     c->restore.memory == RESTORE_COPY))
		fault(f, 0, "restore.verify",
		      "found lazy, expected restore.memory = uffd or auto "
		      "beside it");
	if (c->restore.verify == VERIFY_LAZY && c->restore.record)
		fault(f, 0, "restore.record",
		      "found yes with restore.verify = lazy, which brings "
		      "whole chunks, expected another verify");
}

/* Two disks on one file that both write would ruin it. */
static void check_disk(struct faults *f, const struct vm_config *c, uint32_t i)
{
	const struct disk_config *d = &c->disk[i];
	char what[SECTION_MAX + 16];

	snprintf(what, sizeof(what), "disk.%.*s.path", SECTION_NAME_MAX,
		 d->name);
	if (d->path == NULL) {
		fault(f, 0, what, "not set, expected the disk's file");
		return;
	}
	for (uint32_t k = 0; k < i && !d->readonly; k++)
		if (!c->disk[k].readonly && c->disk[k].path != NULL &&
		    strcmp(c->disk[k].path, d->path) == 0)
			fault(f, 0, what,
			      "the file of [disk.%s] too, expected at most "
			      "one of them without readonly = yes",
			      c->disk[k].name);
}

static void check_net(struct faults *f, const struct vm_config *c, uint32_t i)
{
	const struct net_config *n = &c->net[i];
	char what[SECTION_MAX + 16];

	snprintf(what, sizeof(what), "net.%.*s.tap", SECTION_NAME_MAX, n->name);
	if (n->tap == NULL && n->fd < 0)
		fault(f, 0, what, "not set, expected tap or fd");
	else if (n->tap != NULL && n->fd >= 0)
		fault(f, 0, what, "set beside fd, expected one of the two");
	for (uint32_t k = 0; k < i; k++)
		if ((n->tap != NULL && c->net[k].tap != NULL &&
		     strcmp(n->tap, c->net[k].tap) == 0) ||
		    (n->fd >= 0 && n->fd == c->net[k].fd))
			fault(f, 0, what,
			      "the interface of [net.%s] too, expected one "
			      "of its own",
			      c->net[k].name);
}

static bool same_device(const struct passthrough_config *a,
			const struct passthrough_config *b)
{
	return (a->pci != NULL && b->pci != NULL &&
		strcmp(a->pci, b->pci) == 0) ||
	       (a->cdev != NULL && b->cdev != NULL &&
		strcmp(a->cdev, b->cdev) == 0) ||
	       (a->fd >= 0 && a->fd == b->fd);
}

/* A device may write any page of RAM, so all of it is pinned. */
static void check_passthrough(struct faults *f, const struct vm_config *c,
			      uint32_t i)
{
	const struct passthrough_config *p = &c->passthrough[i];
	int ways = (p->pci != NULL) + (p->cdev != NULL) + (p->fd >= 0);
	char what[SECTION_MAX + 24];

	snprintf(what, sizeof(what), "passthrough.%.*s.pci", SECTION_NAME_MAX,
		 p->name);
	if (ways == 0)
		fault(f, 0, what, "not set, expected pci, cdev or fd");
	else if (ways > 1)
		fault(f, 0, what, "expected one of pci, cdev and fd");
	/* They share one address space, of type1 or of iommufd. */
	if (i > 0 && ways == 1 &&
	    (p->pci == NULL) != (c->passthrough[0].pci == NULL))
		fault(f, 0, what, "expected %s as in [passthrough.%s]",
		      p->pci == NULL ? "pci" : "cdev or fd",
		      c->passthrough[0].name);
	for (uint32_t k = 0; k < i; k++)
		if (same_device(p, &c->passthrough[k]))
			fault(f, 0, what, "the device of [passthrough.%s] too",
			      c->passthrough[k].name);
	if (i > 0)
		return;
	if (c->restore.memory == RESTORE_COW ||
	    c->restore.memory == RESTORE_UFFD)
		fault(f, 0, "restore.memory",
		      "found %s, expected copy with [passthrough.%s]: devices "
		      "pin all of RAM",
		      c->restore.memory == RESTORE_COW ? "cow" : "uffd",
		      p->name);
	if (c->restore.record)
		fault(f, 0, "restore.record",
		      "found yes, expected no with [passthrough.%s]: devices "
		      "pin all of RAM",
		      p->name);
	if (c->restore.verify == VERIFY_LAZY)
		fault(f, 0, "restore.verify",
		      "found lazy, expected another with [passthrough.%s]: "
		      "devices pin all of RAM",
		      p->name);
}

static void check_vm(struct faults *f, const struct vm_config *c)
{
	if (c->vm.kernel == NULL && c->restore.from == NULL)
		fault(f, 0, "vm.kernel",
		      "not set, expected the guest's file "
		      "(or restore.from)");
	if (c->vm.initrd != NULL &&
	    (c->vm.protocol == PROTOCOL_HVT || c->vm.protocol == PROTOCOL_MOTE))
		fault(f, 0, "vm.initrd",
		      "set, expected another protocol than hvt and mote");
	if (c->vm.acpi == ACPI_YES &&
	    (c->vm.protocol == PROTOCOL_HVT || c->vm.protocol == PROTOCOL_MOTE))
		fault(f, 0, "vm.acpi",
		      "yes, expected another protocol than hvt and mote");
	if (c->cpu.hpt_order != 0 && c->cpu.mmu == CPU_MMU_RADIX)
		fault(f, 0, "cpu.hpt_order",
		      "set, expected mmu=hash beside it");
	/* Clones would take over pages that the host's hardware writes to. */
	if (c->cpu.irq == CPU_IRQ_XIVE && c->memory.shared)
		fault(f, 0, "memory.shared",
		      "yes, expected irq=xics beside it");
	if (c->vm.max_vcpus == 0 || c->vm.max_vcpus == c->vm.vcpus)
		return;
	if (c->vm.max_vcpus < c->vm.vcpus)
		fault(f, 0, "vm.max_vcpus",
		      "found %u, expected at least vm.vcpus, %u",
		      c->vm.max_vcpus, c->vm.vcpus);
	else
		fault(f, 0, "vm.max_vcpus",
		      "more than vm.vcpus: not in this version yet");
}

/* "disk.root.path" */
static const char *place(const void *at, const struct key *k, char *buf,
			 size_t size)
{
	const char *section = k->info.section;

	if (k->family == NULL)
		snprintf(buf, size, "%s.%s", section, k->info.key);
	else
		snprintf(buf, size, "%.*s.%s.%s", (int)strcspn(section, "."),
			 section, section_name(at), k->info.key);
	return buf;
}

/*
 * A struct may have been filled by hand, so everything that it holds goes
 * through the parser once more.
 */
static void check_key(struct faults *f, const void *at, const struct key *k,
		      unsigned int arch)
{
	union {
		struct vm_config vm;
		struct disk_config disk;
		struct net_config net;
	} scratch;
	char buf[64], what[SECTION_MAX + INI_NAME_MAX + 2];
	const char *text = value_text(at, k, buf, sizeof(buf));
	struct why why = {""};
	char **string;
	int ret = 0;

	memset(&scratch, 0, sizeof(scratch));
	if (text == NULL && k->kind == KEY_CHOICE)
		ret = value_unexpected(&why, k, "");
	else if (text != NULL &&
		 (text[0] == '\0' || strcmp(text, k->info.def) != 0))
		ret = value_set(&scratch, k, text, NULL, arch, &why);
	string = value_string(&scratch, k);
	if (string != NULL)
		free(*string);
	if (ret == -ENOMEM)
		f->no_memory = true;
	if (ret == -EINVAL)
		fault(f, 0, place(at, k, what, sizeof(what)), "%s", why.text);
}

/* The elements that a family's array may have, and their names. */
static bool check_family(struct faults *f, const struct vm_config *c,
			 const struct key *k)
{
	uint32_t count = section_count(c, k->family);
	struct why why;

	if (count > k->family->max)
		fault(f, 0, k->info.section,
		      "found %u sections, expected at most %u", count,
		      k->family->max);
	for (uint32_t i = 0; i < count; i++) {
		const char *name = section_name(section_nth(c, k->family, i));
		int ret = section_check_name(name, &why);

		if (ret < 0)
			fault(f, 0, k->info.section, "%s", why.text);
		for (uint32_t j = 0; ret == 0 && j < i; j++)
			if (strcmp(name, section_name(section_nth(c, k->family,
								  j))) == 0)
				fault(f, 0, k->info.section,
				      "found '%s' twice, expected once", name);
		if (ret < 0)
			return false;
	}
	return true;
}

/* False: a name is missing, nothing can be said of its section. */
static bool check_keys(struct faults *f, const struct vm_config *c,
		       unsigned int arch)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);

		if (k->family != NULL && keys_at(i - 1)->family != k->family &&
		    !check_family(f, c, k))
			return false;
		for (uint32_t n = 0; n < section_count(c, k->family); n++)
			check_key(f, section_nth(c, k->family, n), k, arch);
	}
	return true;
}

int config_check(const struct vm_config *c, const char *name, unsigned int arch,
		 struct config_errors *errs)
{
	struct faults f = {.errs = errs,
			   .name = name != NULL ? name : "config"};

	if (!check_keys(&f, c, arch))
		return faults_result(&f);
	check_vm(&f, c);
	check_memory(&f, c);
	check_restore(&f, c);
	check_console(&f, c);
	for (uint32_t i = 0; i < c->disk_count; i++)
		check_disk(&f, c, i);
	for (uint32_t i = 0; i < c->net_count; i++)
		check_net(&f, c, i);
	for (uint32_t i = 0; i < c->passthrough_count; i++)
		check_passthrough(&f, c, i);
	if (c->snapshot.when != SNAPSHOT_NEVER && c->snapshot.dir == NULL)
		fault(&f, 0, "snapshot.dir",
		      "not set, expected with snapshot.when");
	if (c->sandbox.require && !c->sandbox.enable)
		fault(&f, 0, "sandbox.require",
		      "found yes, expected no with sandbox.enable = no");
	if (c->sandbox.netns && !(c->sandbox.enable && c->sandbox.namespaces))
		fault(&f, 0, "sandbox.netns",
		      "set, expected only with sandbox.enable = yes and "
		      "sandbox.namespaces = yes");
	check_socket(&f, "control.socket", c->control.socket);
	if (c->console.type == CONSOLE_SOCKET)
		check_socket(&f, "console.path", c->console.path);
	return faults_result(&f);
}

int config_append_args(struct vm_config *c, char *const args[], int count)
{
	const struct key *k = keys_find("vm", "cmdline");
	cleanup_free char *line = NULL;
	struct why why = {""};
	size_t len = 1;
	char *end;

	if (count <= 0)
		return 0;
	if (c->vm.cmdline != NULL)
		len += strlen(c->vm.cmdline);
	for (int i = 0; i < count; i++)
		len += strlen(args[i]) + 1;
	line = malloc(len);
	if (line == NULL)
		return -ENOMEM;
	end = stpcpy(line, c->vm.cmdline != NULL ? c->vm.cmdline : "");
	for (int i = 0; i < count; i++) {
		if (end != line)
			*end++ = ' ';
		end = stpcpy(end, args[i]);
	}
	return value_set(c, k, line, NULL, CONFIG_ARCH_ANY, &why);
}

/* "key = value", continued on indented lines where it is long. */
static void print_key(FILE *out, const char *key, const char *text)
{
	size_t room = INI_LINE_MAX - strlen(key) - 3;

	fprintf(out, "%s = ", key);
	for (;;) {
		bool glue;
		size_t n = value_piece(text, room, &glue);

		/* n is 0 only for text that value_set would have refused. */
		if (n == 0)
			n = strlen(text);
		fprintf(out, "%.*s%s\n", (int)n, text, glue ? "\\" : "");
		text += n + (!glue && text[n] == ' ');
		if (*text == '\0')
			return;
		fputs("  ", out);
		room = INI_LINE_MAX - 2;
	}
}

/* One section from row first of the table on, *at its values. */
static void describe_section(FILE *out, const void *at, size_t first)
{
	const struct key *k = keys_at(first);
	const char *section = k->info.section;
	const char *gap = ftell(out) > 0 ? "\n" : "";
	bool headed = k->family != NULL;

	/* What a family's section is, it is without any key too. */
	if (headed)
		fprintf(out, "%s[%.*s.%s]\n", gap, (int)strcspn(section, "."),
			section, section_name(at));
	for (size_t i = first; (k = keys_at(i)) != NULL; i++) {
		char buf[64];
		const char *value;

		if (strcmp(section, k->info.section) != 0)
			return;
		value = value_text(at, k, buf, sizeof(buf));
		if (value == NULL ||
		    ((k->flags & KEY_QUIET) && strcmp(value, k->info.def) == 0))
			continue;
		if (!headed)
			fprintf(out, "%s[%s]\n", gap, section);
		headed = true;
		print_key(out, k->info.key, value);
	}
}

char *config_describe(const struct vm_config *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool failed;

	if (out == NULL)
		return NULL;
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct family *family = keys_at(i)->family;

		if (i > 0 && strcmp(keys_at(i - 1)->info.section,
				    keys_at(i)->info.section) == 0)
			continue;
		for (uint32_t n = 0; n < section_count(c, family); n++)
			describe_section(out, section_nth(c, family, n), i);
	}
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

const char *config_get(const struct vm_config *c, const char *key, char *buf,
		       size_t size)
{
	const char *dot = strrchr(key, '.');
	const struct key *k;
	char section[SECTION_MAX + 1];
	const void *at;

	if (!dot || (size_t)(dot - key) >= sizeof(section))
		return NULL;
	memcpy(section, key, (size_t)(dot - key));
	section[dot - key] = 0;
	k = keys_find(section, dot + 1);
	if (!k || k->kind == KEY_LATER)
		return NULL;
	at = section_find(c, k->family, section);
	return at ? value_text(at, k, buf, size) : NULL;
}
