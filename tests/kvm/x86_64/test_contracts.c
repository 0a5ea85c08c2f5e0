/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_contracts.c - the guest pc by each of the others' contracts, as a user
 * runs it: what it was handed, its CPUs, interrupts, ends, clones.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

static void start(void)
{
	command_setup();
	command_need_kvm();
}

TestSuite(x86_boot, .init = start, .fini = command_teardown, .timeout = 120);

/* "vm.kernel=FILE" of a guest that may be no ELF file (malloc'd). */
static char *kernel(const char *name)
{
	const char *dir = getenv("MOTE_GUESTS");
	char *set;

	cr_assert_geq(asprintf(&set, "vm.kernel=%s/%s",
			       dir ? dir : "build/guests", name),
		      0);
	if (access(set + strlen("vm.kernel="), R_OK) < 0)
		cr_skip_test("%s: %s", set, strerror(errno));
	return set;
}

#define RUN(image, ...)                                                        \
	WORDS("run", "--set", kernel(image), "--set", "console.type=stdio",    \
	      __VA_ARGS__)
#define CMDLINE(text) "--set", "vm.cmdline=" text

static const char *said;

static int run(const char *const words[])
{
	char *out = command_path("out");
	int ret = command_run(out, words);

	said = command_text(out);
	free(out);
	return ret;
}

#define HAS(text)     cr_expect_not_null(strstr(said, text), "%s: %s", text, said)
#define HAS_NOT(text) cr_expect_null(strstr(said, text), "%s: %s", text, said)

static void expect_usual(const char *contract)
{
	char line[64];

	snprintf(line, sizeof(line), "contract: %s\n", contract);
	HAS(line);
	HAS("cmdline: cpus=2 some words\n");
	HAS("map: 8000 1000 2\n");
	HAS("map: 100000 1f00000 1\n");
	HAS("cpus started: 2\n");
	HAS("interrupts: 1\n");
	HAS("done\n");
	HAS_NOT("WRONG");
}

Test(x86_boot, each_image_is_known_by_its_headers)
{
	static const struct {
		const char *image, *contract;
	} all[] = {
		{"pc.elf", "pvh"},
		{"pc-flat.img", "multiboot"},
		{"pc-linux32.img", "linux32"},
		{"pc-linux64.img", "linux64"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_expect_eq(run(RUN(all[i].image, "--set", "vm.vcpus=2",
				     CMDLINE("cpus=2 some words"))),
			     0, "%s", all[i].image);
		expect_usual(all[i].contract);
	}
}

Test(x86_boot, the_protocol_may_be_told)
{
	cr_expect_eq(
		run(RUN("pc.elf", "--set", "vm.vcpus=2", "--set",
			"vm.protocol=multiboot", CMDLINE("cpus=2 some words"))),
		0);
	expect_usual("multiboot");
	HAS("magic: 2badb002\n");
	HAS("upper: 7c00\n");
	cr_expect_eq(
		run(RUN("pc-vmlinux.elf", "--set", "vm.vcpus=2", "--set",
			"vm.protocol=linux", CMDLINE("cpus=2 some words"))),
		0);
	expect_usual("linux64");
}

Test(x86_boot, acpi_is_there_by_contract_or_by_wish)
{
	cr_expect_eq(
		run(RUN("pc.elf", "--set", "vm.vcpus=3", CMDLINE("cpus=3"))),
		0);
	HAS("rsdp: e0000\n");
	HAS("table: FACP\n");
	HAS("table: APIC\n");
	HAS("cpus by ACPI: 3\n");
	HAS("ioapic: fec00000\n");
	cr_expect_eq(
		run(RUN("pc.elf", "--set", "vm.acpi=no", CMDLINE("cpus=1"))),
		0);
	HAS("no ACPI\n");
	cr_expect_eq(run(RUN("pc-flat.img", CMDLINE("cpus=1"))), 0);
	HAS("no ACPI\n");
	/* It finds them by itself. */
	cr_expect_eq(run(RUN("pc-flat.img", "--set", "vm.acpi=yes",
			     CMDLINE("cpus=1"))),
		     0);
	HAS("rsdp: e0000\n");
	HAS_NOT("WRONG");
}

/* FNV-1a, as the guest does. */
static char *put_module(size_t size, uint32_t *sum)
{
	char *path = command_path("module");
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	*sum = 2166136261u;
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(i * 7 + i / 256);

		cr_assert_eq(fputc(byte, f), byte);
		*sum = (*sum ^ byte) * 16777619u;
	}
	cr_assert_eq(fclose(f), 0);
	return path;
}

Test(x86_boot, a_module_comes_whole_by_every_contract)
{
	static const char *const images[] = {
		"pc.elf", "pc-flat.img", "pc-linux32.img", "pc-linux64.img"};
	uint32_t sum;
	char *module = put_module(5003, &sum), *set, want[64];

	cr_assert_geq(asprintf(&set, "vm.initrd=%s", module), 0);
	snprintf(want, sizeof(want), "module sum: %x\n", sum);
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		cr_expect_eq(
			run(RUN(images[i], "--set", set, CMDLINE("cpus=1"))),
			0);
		HAS("module size: 138b\n");
		HAS(want);
	}
	free(set);
	free(module);
}

Test(x86_boot, memory_goes_on_above_the_hole)
{
	cr_expect_eq(
		run(RUN("pc.elf", "--set", "vm.memory=5G", CMDLINE("cpus=1"))),
		0);
	HAS("map: 100000 bff00000 1\n");
	HAS("map: 100000000 80000000 1\n");
	cr_expect_eq(run(RUN("pc-linux64.img", "--set", "vm.memory=5G",
			     CMDLINE("cpus=1"))),
		     0);
	HAS("map: 100000000 80000000 1\n");
}

Test(x86_boot, it_resets_in_every_way)
{
	static const char *const ways[] = {"reset", "cf9", "kbd", "bios"};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char cmdline[64];

		snprintf(cmdline, sizeof(cmdline), "vm.cmdline=cpus=1 end=%s",
			 ways[i]);
		cr_expect_eq(run(RUN("pc.elf", "--set", cmdline)), 0, "%s",
			     ways[i]);
		HAS("done\n");
		HAS("the guest asked for a reset");
	}
	cr_expect_eq(run(RUN("pc.elf", CMDLINE("cpus=1 end=triple"))), 75);
	HAS("triple fault");
}

/* It sleeps in HLT until the interrupt comes. */
Test(x86_boot, what_is_typed_comes_by_interrupt)
{
	char *out = command_path("out"), *fifo = command_path("socket"), *set;
	char command[512];
	pid_t pid;

	cr_assert_geq(asprintf(&set, "console.path=%s", fifo), 0);
	pid = command_start(out, WORDS("run", "--set", kernel("pc.elf"),
				       "--set", "console.type=pty", "--set",
				       set, CMDLINE("cpus=1 type")));
	for (int i = 0; i < 500 && access(fifo, F_OK) < 0; i++)
		usleep(20000);
	snprintf(command, sizeof(command),
		 "exec 3<>%s; stty raw -echo <&3; printf 'a line\\n' >&3; "
		 "timeout 60 sed -n '/heard: /{p;q}' <&3",
		 fifo);
	{
		FILE *p = popen(command, "r");
		char line[128] = "";

		cr_assert_not_null(p);
		cr_expect_not_null(fgets(line, sizeof(line), p));
		pclose(p);
		cr_expect_not_null(strstr(line, "heard: a line"), "%s", line);
	}
	cr_expect_eq(command_finish(pid), 0);
	free(set);
	free(fifo);
	free(out);
}

Test(x86_boot, a_clone_has_an_id_of_its_own)
{
	char *out = command_path("first"), *again = command_path("again"),
	     *sock = command_path("sock"), *snap = command_path("snap"),
	     *ret = command_path("said"), *control;
	pid_t pid;

	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(out, RUN("pc.elf", "--set", control, "--set",
				     "vm.vcpus=2", CMDLINE("cpus=2 loop")));
	command_wait_for(out, "loop\n");
	cr_expect_eq(command_run(ret, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(ret));
	cr_expect_eq(command_run(ret, WORDS("inspect", snap)), 0);
	cr_expect_not_null(strstr(command_text(ret), "vmgenid"), "%s",
			   command_text(ret));
	/* It does not count as one; the clone does. */
	cr_expect_null(strstr(command_text(out), "clone\n"));
	cr_expect_null(strstr(command_text(out), "WRONG"));
	cr_expect_eq(command_run(again, WORDS("restore", snap)), 0, "%s",
		     command_text(again));
	cr_expect_not_null(strstr(command_text(again), "clone\ndone\n"), "%s",
			   command_text(again));
	cr_expect(!command_ended(pid));
	cr_expect_eq(command_run(ret, WORDS("ctl", sock, "stop")), 0, "%s",
		     command_text(ret));
	command_finish(pid);
	free(control);
	free(out);
	free(again);
	free(sock);
	free(snap);
	free(ret);
}

/* A copy of an image, cut or changed at one place. */
static char *changed(const char *image, long cut, long at, uint8_t byte)
{
	char *from = kernel(image) + strlen("vm.kernel="),
	     *path = command_path("image");
	static uint8_t all[65536];
	FILE *f = fopen(from, "r");
	size_t n;

	cr_assert_not_null(f);
	n = fread(all, 1, sizeof(all), f);
	fclose(f);
	if (cut >= 0 && (size_t)cut < n)
		n = (size_t)cut;
	if (at >= 0)
		all[at] = byte;
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(all, 1, n, f), n);
	cr_assert_eq(fclose(f), 0);
	return path;
}

static void refused(const char *path, const char *protocol, const char *words)
{
	char set[256], how[64];

	snprintf(set, sizeof(set), "vm.kernel=%s", path);
	snprintf(how, sizeof(how), "vm.protocol=%s", protocol);
	cr_expect_eq(run(WORDS("run", "--set", set, "--set", how)), 65, "%s",
		     said);
	HAS(words);
	HAS(path);
}

Test(x86_boot, a_broken_image_is_refused_by_field_with_65)
{
	refused(changed("pc-linux64.img", 0x200, -1, 0), "linux", "bzImage");
	refused(changed("pc-linux64.img", 0x1000, -1, 0), "auto", "syssize");
	refused(changed("pc-linux64.img", -1, 0x1fe, 0), "auto", "boot_flag");
	refused(changed("pc-linux64.img", -1, 0x207, 1), "auto", "version");
	refused(changed("pc-linux64.img", -1, 0x25c, 1), "auto",
		"pref_address");
	refused(changed("pc-linux64.img", -1, 0x263, 0x40), "auto",
		"outside the guest's memory");
	refused(changed("pc-flat.img", -1, 0x11f, 0x7f), "auto", "entry_addr");
	refused(changed("pc-flat.img", 0x118, -1, 0), "auto",
		"the file ends in it");
	refused(changed("pc.elf", -1, 0x2c, 0), "pvh", "program header");
	refused(changed("pc.elf", 0x40, -1, 0), "pvh", "program headers");
	refused(changed("pc.elf", 0x2000, -1, 0), "auto",
		"beyond the end of the file");
	refused(changed("pc-vmlinux.elf", -1, -1, 0), "mote", "no ELF note");
	refused(changed("pc.elf", -1, -1, 0), "linux", "64-bit vmlinux");
	refused(changed("pc.elf", -1, -1, 0), "mote", "not a 64-bit ELF");
	refused(changed("pc-flat.img", -1, -1, 0), "pvh", "not an ELF file");
}

Test(x86_boot, a_command_line_or_module_that_does_not_fit_is_told)
{
	static char cmdline[2100] = "vm.cmdline=";
	uint32_t sum;
	char *module = put_module(2000000, &sum), *set;

	memset(cmdline + strlen(cmdline), 'x', 2049);
	cr_expect_eq(run(RUN("pc-linux64.img", "--set", cmdline)), 65);
	HAS("vm.cmdline");
	cr_assert_geq(asprintf(&set, "vm.initrd=%s", module), 0);
	cr_expect_eq(run(RUN("pc-linux64.img", "--set", set, "--set",
			     "vm.memory=3M")),
		     65);
	HAS("vm.initrd");
	free(set);
	free(module);
}
