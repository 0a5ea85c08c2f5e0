/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_restore.c - mote restore against QEMU's microvm -incoming: from the
 * start of the process to the first byte on its standard output, which the
 * guest writes with the first instructions that it runs.
 *
 * Both machines: one vCPU and 128 MiB, of which the 120 MiB from 8 MiB on are
 * not zero: each page begins with its address + 1.  Below that mote's has its
 * guest (guests/touch, its stack and boot page: some pages), QEMU's nothing;
 * QEMU's firmware, 64 KiB, lies outside.  mote's guest was saved at its ready
 * mark, sees that it is a new generation and says so.  QEMU's was migrated as
 * it ran a loop of two instructions that writes to a port where nothing was;
 * where it comes to, QEMU's debug console is.
 *
 * mote maps its file (cow, the default).  QEMU loads a stream that it migrated
 * to exec:cat, from exec:cat (restore.ratio_qemu) and as a file that it reads
 * itself (_file); and, where it knows that, a file that it wrote and reads
 * with mapped-ram (_mapped_ram).  Neither verifies anything, neither is
 * jailed, all files are in the page cache.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "saved.h"

#define FROM_MIB 8
#define FROM	 ((uint64_t)FROM_MIB << 20)
#define PAGE	 4096

static const char *const names[] = {"rom", "fill", "commands", "stream",
				    "mapped"};

struct peer_files {
	char dir[32];
	char rom[64], fill[64], commands[64], stream[64], mapped[64];
};

static bool files_make(struct peer_files *f)
{
	char *const path[] = {f->rom, f->fill, f->commands, f->stream,
			      f->mapped};

	strcpy(f->dir, "/tmp/mote-bench-XXXXXX");
	if (!mkdtemp(f->dir))
		return false;
	for (int i = 0; i < 5; i++)
		snprintf(path[i], 64, "%s/%s", f->dir, names[i]);
	return true;
}

static void files_drop(const struct peer_files *f)
{
	const char *const path[] = {f->rom, f->fill, f->commands, f->stream,
				    f->mapped};

	for (int i = 0; i < 5; i++)
		unlink(path[i]);
	rmdir(f->dir);
}

/* The memory from FROM on, as guests/touch fills it. */
static bool write_fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && ftruncate(fd, SAVED_RAM - FROM) == 0;

	for (uint64_t at = FROM; at < SAVED_RAM && ok; at += PAGE) {
		uint64_t word = at | 1;

		ok = pwrite(fd, &word, sizeof(word), (off_t)(at - FROM)) ==
		     sizeof(word);
	}
	close(fd);
	return ok;
}

static bool write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fputs(text, f) >= 0;

	return f && fclose(f) == 0 && ok;
}

/* --- QEMU's side ---------------------------------------------------------- */

static const char *const mapped_ram[] = {"-global", "migration.mapped-ram=on",
					 NULL};

static struct subject *qemu(const struct peer_files *f,
			    const char *const args[])
{
	struct subject *s = qemu_new("qemu microvm", f->rom, "128M");

	if (s)
		subject_args(s, args);
	return s;
}

/* QEMU, led by these lines for its monitor, ends well. */
static bool qemu_led(const struct peer_files *f, const char *const args[],
		     bool mapped, const char *lines)
{
	const char *const monitor[] = {"-monitor", "stdio", NULL};
	struct subject *s = qemu(f, args);
	bool ok = write_text(f->commands, lines);

	subject_args(s, monitor);
	if (mapped)
		subject_args(s, mapped_ram);
	s->input = f->commands;
	return ok && subject_works(s);
}

/* It refuses a setting that it does not know. */
static bool knows_mapped_ram(const struct peer_files *f)
{
	const char *const stopped[] = {"-S", NULL};

	return qemu_led(f, stopped, true, "quit\n");
}

/* The monitor takes no line before a migration is done. */
static bool qemu_save(const struct peer_files *f, bool mapped)
{
	char loader[128], lines[256];
	const char *const args[] = {"-device", loader, NULL};

	snprintf(loader, sizeof(loader),
		 "loader,file=%s,addr=0x%llx,force-raw=on", f->fill,
		 (unsigned long long)FROM);
	snprintf(lines, sizeof(lines),
		 "migrate_set_parameter max-bandwidth 10G\n"
		 "migrate \"%s%s\"\nquit\n",
		 mapped ? "file:" : "exec:cat >",
		 mapped ? f->mapped : f->stream);
	return qemu_led(f, args, mapped, lines);
}

static struct subject *qemu_incoming(const struct peer_files *f,
				     const char *uri)
{
	static const char *const console[] = {
		"-chardev", "stdio,id=out,signal=off", "-device",
		"isa-debugcon,iobase=0xf4,chardev=out", NULL};
	const char *const args[] = {"-incoming", uri, NULL};
	struct subject *s = qemu(f, args);

	subject_args(s, console);
	s->speaks = true;
	return s;
}

/* --- both ------------------------------------------------------------------
 */

static void compare(const struct peer_files *f, struct subject *mote, int runs)
{
	bool mapped = knows_mapped_ram(f);
	struct subject *s;
	char uri[96];

	if (!qemu_save(f, false)) {
		printf("no restore.ratio_qemu*: qemu does not migrate here\n");
		return;
	}
	snprintf(uri, sizeof(uri), "exec:cat %s", f->stream);
	measure_peer("restore.ratio_qemu", qemu_incoming(f, uri), mote, runs);
	/* What knows mapped-ram knows file:, and will forget files as fd:. */
	snprintf(uri, sizeof(uri), "file:%s", f->stream);
	s = qemu_incoming(f, mapped ? uri : "fd:0");
	s->input = f->stream;
	measure_peer("restore.ratio_qemu_file", s, mote, runs);
	if (!mapped || !qemu_save(f, true)) {
		printf("no restore.ratio_qemu_mapped_ram: this qemu %s\n",
		       mapped ? "does not migrate with it here"
			      : "does not know mapped-ram (9.0 and later do)");
		return;
	}
	snprintf(uri, sizeof(uri), "file:%s", f->mapped);
	s = qemu_incoming(f, uri);
	subject_args(s, mapped_ram);
	measure_peer("restore.ratio_qemu_mapped_ram", s, mote, runs);
}

void bench_restore_peers(const struct place *p, int runs)
{
	struct subject *mote;
	struct peer_files f;
	struct saved s;
	char args[32];

	if (!qemu_new("", "", "")) {
		printf("no restore.ratio_qemu*: no qemu-system-x86_64 on "
		       "PATH\n");
		return;
	}
	if (!files_make(&f))
		return;
	snprintf(args, sizeof(args), "fill=1 say=1 from=%d", FROM_MIB);
	if (!qemu_rom(f.rom) || !write_fill(f.fill)) {
		fprintf(stderr, "bench: write %s: %m\n", f.dir);
	} else if (saved_make(&s, p->dir, args)) {
		mote = saved_program(&s, p->dir);
		mote->speaks = true;
		compare(&f, mote, runs);
		saved_drop(&s);
	}
	files_drop(&f);
}
