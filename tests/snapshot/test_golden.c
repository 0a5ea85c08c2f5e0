/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_golden.c - the snapshots of tests/golden are read for ever, on every
 * host, and what this version writes has their format until a version says
 * otherwise.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/fd.h"
#include "mote.h"
#include "snapshot/golden.h"
#include "snapshot/manifest.h"

/* f for each folder of tests/golden/ARCH; how many there were. */
static int for_arch(const char *arch, void (*f)(const char *))
{
	char path[96];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "tests/golden/%s", arch);
	d = opendir(path);
	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.64s", arch, e->d_name);
		f(path);
		n++;
	}
	closedir(d);
	return n;
}

static int for_all(void (*f)(const char *))
{
	if (access("tests/golden", R_OK) < 0)
		cr_skip_test("tests/golden: %s", strerror(errno));
	return for_arch("x86_64", f) + for_arch("arm64", f) +
	       for_arch("ppc64le", f);
}

static void path_of(const char *name, const char *file, char path[160])
{
	snprintf(path, 160, "tests/golden/%s%s%s", name, file ? "/" : "",
		 file ? file : "");
}

static char *read_golden(const char *name, const char *file, size_t *len)
{
	char path[160], *buf;
	int fd;

	path_of(name, file, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	*len = (size_t)fd_size(fd);
	buf = malloc(*len + 1);
	cr_assert_not_null(buf);
	cr_assert_eq(fd_pread_full(fd, buf, *len, 0), 0, "%s", path);
	fd_close(fd);
	return buf;
}

static void expect_sound(const char *name)
{
	struct mote_err err = {0};
	char path[160];

	path_of(name, NULL, path);
	cr_expect_eq(golden_verify(path, &err), 0, "%s", err.msg);
}

Test(golden, every_one_is_sound_on_every_host)
{
	cr_expect_geq(for_all(expect_sound), 3);
}

/* Keys, their order and words: what is parsed is written as it was. */
static void expect_same_manifest(const char *name)
{
	struct mote_err err = {0};
	size_t len, other;
	char *was = read_golden(name, "manifest", &len), *now;
	struct manifest m;

	cr_assert_eq(manifest_parse(&m, was, len, &err), 0, "%s: %s", name,
		     err.msg);
	now = manifest_format(&m, &other);
	cr_expect(other == len && !memcmp(was, now, len),
		  "%s: the manifest is written in another form now: if that "
		  "is meant, its version must rise, and this one stay",
		  name);
	free(now);
	free(was);
	manifest_fini(&m);
}

Test(golden, this_version_writes_the_same_manifest)
{
	for_all(expect_same_manifest);
}

static void expect_same_codec(const char *name)
{
	static struct snap_reader r;
	struct mote_err err = {0};
	struct snap_writer w;
	size_t len;
	char *was = read_golden(name, "state", &len);

	cr_assert_eq(snap_reader_init(&r, was, len, &err), 0, "%s: %s", name,
		     err.msg);
	snap_writer_init(&w);
	for (int i = 0; i < r.count; i++)
		golden_put_section(&w, &r.section[i]);
	cr_assert_eq(snap_writer_finish(&w, &err), 0);
	cr_expect(w.len == len && !memcmp(was, w.buf, len),
		  "%s: headers or digests of sections are written in another "
		  "form now",
		  name);
	snap_writer_fini(&w);
	free(was);
}

Test(golden, this_version_writes_the_same_headers_and_digests)
{
	for_all(expect_same_codec);
}

/* Its architecture's sections, all of versions that are known. */
static void expect_sections(const char *name)
{
	static const struct {
		const char *arch, *section; /* arch: how its name begins */
	} must[] = {
		{"x86_64", "x86-vm"},
		{"x86_64", "x86-vcpu"},
		{"x86_64", "8250"},
		{"arm64", "arm64-vcpu"},
		{"arm64", "pl011"},
		{"ppc64le", "ppc64-vcpu"},
		{"ppc64le/counter-1", "ppc64-hpt"},
		{"ppc64le/counter-2", "ppc64-hpt"},
		{"ppc64le/counter-radix", "ppc64-mmu"},
		{"ppc64le/counter-radix", "ppc64-xics"},
		{"ppc64le/counter-xive", "ppc64-mmu"},
		{"ppc64le/counter-xive", "ppc64-xive"},
	};
	static struct snap_reader r;
	size_t len;
	char *state = read_golden(name, "state", &len);

	cr_assert_eq(snap_reader_init(&r, state, len, NULL), 0);
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++) {
		struct mote_err err = {0};
		struct snap_section s;

		if (strncmp(name, must[i].arch, strlen(must[i].arch)) != 0)
			continue;
		cr_expect_eq(
			snap_section_open(&r, must[i].section, 0, &s, &err), 0,
			"%s: %s", name, err.msg);
	}
	free(state);
}

Test(golden, each_has_the_sections_of_its_architecture)
{
	for_all(expect_sections);
}

/* Nobody's folder, socket, disk or host is in them. */
static void expect_nothing_live(const char *name)
{
	static const char *const words[] = {
		"/", "socket", "path =", "tap =", "core =", "dir =", "user ="};
	size_t len;
	char *text = read_golden(name, "manifest", &len);
	char *config;

	text[len] = 0;
	config = strstr(text, "\n\n");
	cr_assert_not_null(config, "%s", name);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		cr_expect_null(strstr(config, words[i]), "%s: %s in: %s", name,
			       words[i], config);
	free(text);
}

Test(golden, none_holds_what_belongs_to_a_run)
{
	for_all(expect_nothing_live);
}

static void expect_other_refused(const char *name)
{
	struct mote_snapshot *s;
	struct mote_err err = {0};
	char path[160];

	if (!strncmp(name, arch_name, strlen(arch_name)))
		return;
	path_of(name, NULL, path);
	cr_assert_eq(mote_snapshot_open(AT_FDCWD, path, &s, &err), 0, "%s",
		     err.msg);
	cr_expect_lt(mote_snapshot_compat(s, &err), 0, "%s", name);
	cr_expect_not_null(strstr(err.msg, "architecture: the snapshot is of"),
			   "%s", err.msg);
	cr_expect_eq(mote_err_exit_code(&err), ERR_CLASS_UNAVAILABLE);
	mote_snapshot_close(s);
}

Test(golden, those_of_another_architecture_are_refused_by_name)
{
	cr_expect_gt(for_all(expect_other_refused), 1);
}
