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
	struct why why = {""};

	*c = (struct vm_config){0};
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		int ret;

		if (k->kind == KEY_LATER || k->info.def[0] == '\0')
			continue;
		ret = value_set(c, k, k->info.def, NULL, CONFIG_ARCH_ANY, &why);
		if (ret < 0) {
			config_fini(c);
			return ret;
		}
	}
	return 0;
}

int config_copy(struct vm_config *to, const struct vm_config *from)
{
	*to = *from;
	if (value_copy_strings(to, from) == 0)
		return 0;
	config_fini(to);
	*to = (struct vm_config){0};
	return -ENOMEM;
}

void config_fini(struct vm_config *c)
{
	value_free_all(c);
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
	else if (ret < 0 && ret != -ENOMEM)
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
	what[dot - assign] = '.';
	ret = value_set(c, k, eq + 1, NULL, arch, &why);
	if (ret == -EINVAL)
		fault(&f, 0, what, "%s", why.text);
	return f.no_memory ? -ENOMEM : ret;
}

static void check_console(struct faults *f, const struct vm_config *c)
{
	if (c->console.type == CONSOLE_FILE && c->console.path == NULL)
		fault(f, 0, "console.path",
		      "not set, expected the file for type = file");
	if (c->console.type != CONSOLE_FILE && c->console.path != NULL)
		fault(f, 0, "console.path",
		      "set, expected only with "
		      "console.type = file");
}

static void check_vm(struct faults *f, const struct vm_config *c)
{
	if (c->vm.kernel == NULL && c->restore.from == NULL)
		fault(f, 0, "vm.kernel",
		      "not set, expected the guest's file "
		      "(or restore.from)");
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

/*
 * A struct may have been filled by hand, so everything that it holds goes
 * through the parser once more.
 */
static void check_keys(struct faults *f, const struct vm_config *c,
		       unsigned int arch)
{
	struct vm_config scratch = {0};

	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		char buf[64], what[64];
		const char *text = value_text(c, k, buf, sizeof(buf));
		struct why why = {""};
		int ret = 0;

		if (text == NULL && k->kind == KEY_CHOICE)
			ret = value_unexpected(&why, k, "");
		else if (text != NULL && strcmp(text, k->info.def) != 0)
			ret = value_set(&scratch, k, text, NULL, arch, &why);
		if (ret == -ENOMEM)
			f->no_memory = true;
		if (ret != -EINVAL)
			continue;
		snprintf(what, sizeof(what), "%s.%s", k->info.section,
			 k->info.key);
		fault(f, 0, what, "%s", why.text);
	}
	value_free_all(&scratch);
}

int config_check(const struct vm_config *c, const char *name, unsigned int arch,
		 struct config_errors *errs)
{
	struct faults f = {.errs = errs,
			   .name = name != NULL ? name : "config"};
	const size_t sun = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	check_keys(&f, c, arch);
	check_vm(&f, c);
	check_console(&f, c);
	if (c->snapshot.when != SNAPSHOT_NEVER && c->snapshot.dir == NULL)
		fault(&f, 0, "snapshot.dir",
		      "not set, expected with snapshot.when");
	if (c->sandbox.require && !c->sandbox.enable)
		fault(&f, 0, "sandbox.require",
		      "found yes, expected no with sandbox.enable = no");
	if (c->control.socket != NULL && strlen(c->control.socket) > sun)
		fault(&f, 0, "control.socket",
		      "found a path of %zu bytes, expected at most %zu",
		      strlen(c->control.socket), sun);
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

char *config_describe(const struct vm_config *c)
{
	const char *section = "";
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool failed;

	if (out == NULL)
		return NULL;
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		char buf[64];
		const char *value = value_text(c, k, buf, sizeof(buf));

		if (value == NULL ||
		    ((k->flags & KEY_QUIET) && strcmp(value, k->info.def) == 0))
			continue;
		if (strcmp(section, k->info.section) != 0)
			fprintf(out, "%s[%s]\n", section[0] ? "\n" : "",
				k->info.section);
		section = k->info.section;
		print_key(out, k->info.key, value);
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
	char section[64];

	if (!dot || (size_t)(dot - key) >= sizeof(section))
		return NULL;
	memcpy(section, key, (size_t)(dot - key));
	section[dot - key] = 0;
	k = keys_find(section, dot + 1);
	if (!k || k->kind == KEY_LATER)
		return NULL;
	return value_text(c, k, buf, size);
}
