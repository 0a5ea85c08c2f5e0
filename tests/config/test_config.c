/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <glob.h>
#include <unistd.h>

#include "base/num.h"
#include "config/config_priv.h"
#include "helpers.h"

Test(config, defaults_are_as_documented)
{
	struct vm_config c;

	cr_assert_eq(config_init(&c), 0);
	cr_assert_null(c.vm.name);
	cr_assert_null(c.vm.kernel);
	cr_assert_null(c.vm.initrd);
	cr_assert_null(c.vm.cmdline);
	cr_assert_eq(c.vm.protocol, PROTOCOL_AUTO);
	cr_assert_eq(c.vm.memory, 32 * MIB);
	cr_assert_eq(c.vm.vcpus, 1);
	cr_assert_eq(c.vm.max_vcpus, 0);
	cr_assert_eq(c.vm.stop_timeout_ms, 5000);
	cr_assert_null(c.vm.core);
	cr_assert_eq(c.cpu.psci, PSCI_DEFAULT);
	cr_assert_eq(c.cpu.hpt_order, 0);
	cr_assert(!c.memory.shared);
	cr_assert(!c.memory.lock);
	cr_assert_null(c.disk);
	cr_assert_eq(c.disk_count, 0);
	cr_assert_null(c.net);
	cr_assert_eq(c.net_count, 0);
	cr_assert_eq(c.memory.dirty_tracking, DIRTY_AUTO);
	cr_assert_eq(c.console.type, CONSOLE_STDIO);
	cr_assert_null(c.console.path);
	cr_assert_null(c.snapshot.dir);
	cr_assert_eq(c.snapshot.when, SNAPSHOT_NEVER);
	cr_assert_eq(c.snapshot.durability, DURABILITY_FULL);
	cr_assert_null(c.restore.from);
	cr_assert_eq(c.restore.memory, RESTORE_AUTO);
	cr_assert_eq(c.restore.verify, VERIFY_AUTO);
	cr_assert(c.restore.resume);
	cr_assert(c.sandbox.enable);
	cr_assert(!c.sandbox.require);
	cr_assert_null(c.sandbox.user);
	cr_assert_null(c.sandbox.group);
	cr_assert(c.sandbox.namespaces);
	cr_assert_eq(c.sandbox.seccomp, SECCOMP_KILL);
	cr_assert_null(c.control.socket);
	cr_assert_eq(c.control.mode, 0600);
	cr_assert_null(c.metrics.file);
	cr_assert_eq(c.metrics.format, METRICS_JSON);
	cr_assert_eq(c.metrics.interval_ms, 10000);
	cr_assert_eq(c.log.level, 4);
	cr_assert_null(c.log.file);
	config_fini(&c);
}

Test(config, every_working_key_reaches_its_field)
{
	AUTO_PARSED p = parse(EVERYTHING);

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_str_eq(text_of(p.c.vm.name), "n.1");
	cr_assert_str_eq(text_of(p.c.vm.kernel), "/k");
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "a b");
	cr_assert_eq(p.c.vm.protocol, PROTOCOL_MOTE);
	cr_assert_eq(p.c.vm.memory, GIB);
	cr_assert_eq(p.c.vm.vcpus, 4);
	cr_assert_eq(p.c.vm.max_vcpus, 4);
	cr_assert_eq(p.c.vm.stop_timeout_ms, 1500);
	cr_assert_str_eq(text_of(p.c.vm.core), "/cores");
	cr_assert(p.c.memory.shared);
	cr_assert(p.c.memory.lock);
	cr_assert_eq(p.c.disk_count, 2);
	cr_assert_eq(p.c.net_count, 2);
	cr_assert_eq(p.c.console.type, CONSOLE_FILE);
	cr_assert_str_eq(text_of(p.c.console.path), "/c");
	cr_assert_str_eq(text_of(p.c.snapshot.dir), "/s");
	cr_assert_eq(p.c.snapshot.when, SNAPSHOT_READY);
	cr_assert_eq(p.c.snapshot.durability, DURABILITY_NONE);
	cr_assert_str_eq(text_of(p.c.restore.from), "/f");
	cr_assert_eq(p.c.restore.memory, RESTORE_COPY);
	cr_assert_eq(p.c.restore.verify, VERIFY_EAGER);
	cr_assert(!p.c.restore.resume);
	cr_assert(p.c.sandbox.enable);
	cr_assert(p.c.sandbox.require);
	cr_assert_str_eq(text_of(p.c.sandbox.user), "1000");
	cr_assert_str_eq(text_of(p.c.sandbox.group), "_kvm");
	cr_assert(!p.c.sandbox.namespaces);
	cr_assert_eq(p.c.sandbox.seccomp, SECCOMP_LOG);
	cr_assert_str_eq(text_of(p.c.control.socket), "/sock");
	cr_assert_eq(p.c.control.mode, 0660);
	cr_assert_str_eq(text_of(p.c.metrics.file), "/m");
	cr_assert_eq(p.c.metrics.format, METRICS_PROMETHEUS);
	cr_assert_eq(p.c.metrics.interval_ms, 250);
	cr_assert_eq(p.c.log.level, 7);
	cr_assert_str_eq(text_of(p.c.log.file), "/log");
	cr_assert_eq(config_check(&p.c, "t.ini", X86, &p.e), 0);
}

Test(config, booleans_have_three_spellings)
{
	static const char *const words[] = {"no",   "yes", "false",
					    "true", "off", "on"};
	static const char *const bad[] = {"", "1", "0", "Yes", "y", "enabled"};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text, sizeof(text), "sandbox.require=%s", words[i]);
		AUTO_PARSED p = set(text);
		cr_assert_eq(p.ret, 0, "%s", text);
		cr_assert_eq(p.c.sandbox.require, i % 2 == 1, "%s", text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "sandbox.require=%s", bad[i]);
		AUTO_PARSED p = set(text);
		cr_assert_eq(p.ret, -EINVAL, "%s", text);
	}
}

Test(config, psci_is_major_minor_or_host)
{
	static const char *const bad[] = {
		"",	 "1",	  ".",	  "1.",	  ".2",	  "1.x",
		"x.1",	 "1.0.0", "01.0", "1.00", "-1.0", "1.-0",
		"100.0", "1.100", "Host", "1. 0", " 1.0", "1.0 "};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "cpu.psci=%s", bad[i]);
		AUTO_PARSED p = set_as(text, ARM);
		cr_assert_eq(p.ret, -EINVAL, "%s", text);
	}
	AUTO_PARSED p = set_as("cpu.psci=1.3", ARM);
	cr_assert_eq(p.c.cpu.psci, 1u << 16 | 3);
	AUTO_PARSED q = set_as("cpu.psci=host", ARM);
	cr_assert_eq(q.c.cpu.psci, PSCI_HOST);
	AUTO_PARSED r = set_as("cpu.psci=99.99", ARM);
	cr_assert_eq(r.c.cpu.psci, 99u << 16 | 99);
}

Test(config, relative_paths_belong_to_the_file)
{
	static const char text[] = "[vm]\nkernel = k/x\n[log]\nfile = /l\n";
	static const struct {
		const char *name, *want;
		bool here; /* below the working directory */
	} cases[] = {
		{"d/e/t.ini", "/d/e/k/x", true},
		{"/t.ini", "/k/x", false},
		{"./t.ini", "/./k/x", true},
		{"t.ini", "/k/x", true},
		{"-", "k/x", false},
		{NULL, "k/x", false},
		{"/a b/t.ini", "/a b/k/x", false},
	};
	char cwd[4096], want[8192];

	cr_assert_not_null(getcwd(cwd, sizeof(cwd)));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_PARSED p = parse_as(cases[i].name, text, X86);

		cr_assert_eq(p.ret, 0);
		snprintf(want, sizeof(want), "%s%s", cases[i].here ? cwd : "",
			 cases[i].want);
		cr_assert_str_eq(text_of(p.c.vm.kernel), want);
		cr_assert_str_eq(text_of(p.c.log.file), "/l");
	}
	AUTO_PARSED p = set("vm.kernel=k/x");
	cr_assert_str_eq(text_of(p.c.vm.kernel), "k/x");
}

Test(config, an_empty_path_is_not_its_directory)
{
	AUTO_PARSED p = parse_as("d/t.ini", "[vm]\nkernel =\n", X86);

	cr_assert_eq(p.e.count, 1);
	cr_assert_str_eq(msg(&p, 0), "d/t.ini:2: vm.kernel: found nothing, "
				     "expected a path");
}

Test(config, a_path_is_at_most_as_long_as_the_kernel_takes)
{
	char text[5000] = "vm.kernel=";

	memset(text + 10, 'x', 4095);
	AUTO_PARSED p = set(text);
	cr_assert_eq(p.ret, 0);
	memset(text + 10, 'x', 4096);
	AUTO_PARSED q = set(text);
	cr_assert_str_eq(msg(&q, 0), "--set: vm.kernel: found 4096 bytes, "
				     "expected at most 4095");
}

Test(config, a_set_replaces_what_was_there)
{
	AUTO_PARSED p = parse("[vm]\nmemory = 64M\ncmdline = a\n");

	cr_assert_eq(config_set(&p.c, "x", "vm.memory=2M", X86, &p.e), 0);
	cr_assert_eq(config_set(&p.c, "x", "vm.memory=3M", X86, &p.e), 0);
	cr_assert_eq(config_set(&p.c, "x", "vm.cmdline=b=c", X86, &p.e), 0);
	cr_assert_eq(p.c.vm.memory, 3 * MIB);
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "b=c");
	cr_assert_eq(config_set(&p.c, "x", "vm.cmdline=", X86, &p.e), 0);
	cr_assert_null(p.c.vm.cmdline);
	cr_assert_eq(p.e.count, 0);
}

Test(config, a_refused_set_changes_nothing)
{
	AUTO_PARSED p = parse(EVERYTHING);
	char *before = config_describe(&p.c);
	static const char *const bad[] = {
		"vm.memory=x",	   "vm.kernel=",    "vm.name=a b",
		"vm.cmdline=a\nb", "log.level=all", "cpu.psci=1.0",
		"cpu.mmu=hash",	   "vm.kernel= x",  "sandbox.user=a b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int ret = config_set(&p.c, "x", bad[i], X86, &p.e);
		char *after = config_describe(&p.c);

		cr_assert_eq(ret, -EINVAL, "%s", bad[i]);
		cr_assert_eq(p.e.count, i + 1);
		cr_assert_str_eq(before, after);
		free(after);
	}
	free(before);
}

Test(config, a_set_without_section_or_key_is_refused)
{
	static const char *const bad[] = {
		"",   "vm",	"vm=1", ".memory=1M", "vm.=1M",	     "=",
		".=", "memory", "a.b",	"vm.memory",  "vm=a.memory",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_PARSED p = set(bad[i]);

		cr_assert_eq(p.ret, -EINVAL, "%s", bad[i]);
		cr_assert_not_null(
			strstr(msg(&p, 0), "expected SECTION.KEY=VALUE"));
	}
	AUTO_PARSED p = set("vsock.cid=3");
	cr_assert_str_eq(msg(&p, 0),
			 "--set: vsock.cid: not in this version yet");
}

Test(config, unknown_names_in_a_set_get_a_suggestion)
{
	AUTO_PARSED p = set("vm.memroy=1M");
	AUTO_PARSED q = set("sandbx.enable=no");
	AUTO_PARSED r = set("vm.\x1b=no");

	cr_assert_str_eq(msg(&p, 0), "--set: 'vm.memroy': no such key, did you "
				     "mean 'memory'?");
	cr_assert_str_eq(msg(&q, 0),
			 "--set: 'sandbx.enable': no such section, did you "
			 "mean [sandbox]?");
	cr_assert_null(strchr(msg(&r, 0), '\x1b'));
}

static void check_says(const char *text, const char *want)
{
	AUTO_PARSED p = parse(text);

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	if (want == NULL) {
		cr_assert_eq(config_check(&p.c, "t.ini", X86, &p.e), 0,
			     "%s: %s", text, msg(&p, 0));
		return;
	}
	cr_assert_eq(config_check(&p.c, "t.ini", X86, &p.e), -EINVAL);
	cr_assert_eq(p.e.count, 1, "%s", text);
	cr_assert_str_eq(msg(&p, 0), want);
}

Test(config, check_finds_what_only_two_keys_show)
{
	check_says("", "t.ini: vm.kernel: not set, expected the guest's file "
		       "(or restore.from)");
	check_says("[vm]\nkernel = k", NULL);
	check_says("[restore]\nfrom = s", NULL);
	check_says("[vm]\nkernel = k\nvcpus = 4\nmax_vcpus = 2",
		   "t.ini: vm.max_vcpus: found 2, expected at least vm.vcpus, "
		   "4");
	check_says("[vm]\nkernel = k\nvcpus = 2\nmax_vcpus = 4",
		   "t.ini: vm.max_vcpus: more than vm.vcpus: not in this "
		   "version yet");
	check_says("[vm]\nkernel = k\n[console]\ntype = file",
		   "t.ini: console.path: not set, expected the file for type "
		   "= file");
	check_says("[vm]\nkernel = k\n[console]\npath = x",
		   "t.ini: console.path: set, expected only with console.type "
		   "= file, socket or pty");
	check_says("[vm]\nkernel = k\n[console]\ntype = socket",
		   "t.ini: console.path: not set, expected the socket for type "
		   "= socket");
	check_says("[vm]\nkernel = k\n[console]\ntype = pty", NULL);
	check_says("[vm]\nkernel = k\n[console]\ntype = pty\npath = x", NULL);
	check_says("[vm]\nkernel = k\n[memory]\nshared = yes", NULL);
	check_says("[restore]\nfrom = s\n[memory]\nshared = yes",
		   "t.ini: memory.shared: found yes with a snapshot that is "
		   "mapped, expected restore.memory = copy beside it");
	check_says("[restore]\nfrom = s\nmemory = copy\n[memory]\n"
		   "shared = yes\nlock = yes",
		   NULL);
	check_says("[vm]\nkernel = k\n[snapshot]\nwhen = ready",
		   "t.ini: snapshot.dir: not set, expected with "
		   "snapshot.when");
	check_says("[vm]\nkernel = k\n[sandbox]\nenable = no\nrequire = yes",
		   "t.ini: sandbox.require: found yes, expected no with "
		   "sandbox.enable = no");
}

Test(config, check_measures_the_socket_path)
{
	char text[300] = "[restore]\nfrom=s\n[control]\nsocket=/";
	size_t len = strlen(text);

	memset(text + len, 'x', 106);
	check_says(text, NULL);
	memset(text + len, 'x', 107);
	check_says(text, "t.ini: control.socket: found a path of 108 bytes, "
			 "expected at most 107");
	len = (size_t)snprintf(text, sizeof(text),
			       "[restore]\nfrom=s\n[console]\ntype=socket\n"
			       "path=/");
	memset(text + len, 'x', 107);
	text[len + 107] = '\0';
	check_says(text, "t.ini: console.path: found a path of 108 bytes, "
			 "expected at most 107");
}

Test(config, a_copy_owns_its_strings_and_says_the_same)
{
	AUTO_PARSED p = parse("[vm]\nkernel=/k\ncmdline=a b\nmemory=64M\n"
			      "[control]\nsocket=/s\n");
	struct vm_config copy;
	char *a, *b;

	cr_assert_eq(p.ret, 0);
	cr_assert_eq(config_copy(&copy, &p.c), 0);
	cr_assert_neq(copy.vm.kernel, p.c.vm.kernel);
	a = config_describe(&p.c);
	b = config_describe(&copy);
	cr_assert_str_eq(a, b);
	free(a);
	free(b);
	config_fini(&copy);
}

Test(config, check_looks_at_structs_filled_by_hand)
{
	struct config_errors e = {0};
	struct vm_config c;

	cr_assert_eq(config_init(&c), 0);
	c.vm.kernel = strdup("k");
	c.vm.memory = MIB + 1;
	c.vm.vcpus = 0;
	c.cpu.psci = 1u << 16;
	c.vm.name = strdup("a\nb");
	c.memory.dirty_tracking = DIRTY_WP;
	c.console.type = (enum console_type)77;
	c.control.mode = 01000;
	cr_assert_eq(config_check(&c, NULL, X86, &e), -EINVAL);
	cr_assert_eq(e.count, 7);
	cr_assert_str_eq(e.msg[0],
			 "config: vm.name: found 'a\\x0ab', expected a name, 1 "
			 "to 64 of A-Z a-z 0-9 . _ -");
	cr_assert_str_eq(e.msg[1],
			 "config: vm.memory: found '1048577', expected a size "
			 "such as 64M, 1M to 1T, a multiple of 1M");
	cr_assert_str_eq(e.msg[2], "config: vm.vcpus: found '0', expected a "
				   "number, 1 to 64");
	cr_assert_str_eq(e.msg[3],
			 "config: cpu.psci: only for arm64, this is x86_64");
	cr_assert_str_eq(e.msg[4],
			 "config: memory.dirty_tracking: 'wp': not in "
			 "this version yet");
	cr_assert_eq(config_check(&c, NULL, X86, NULL), -EINVAL);
	config_errors_fini(&e);
	config_fini(&c);
}

Test(config, arguments_follow_the_command_line)
{
	char *args[] = {"a", "b c", "d"};
	char *bad[] = {"x\ny"}, *blank[] = {"x "};
	AUTO_PARSED p = parse("[vm]\ncmdline = x  y\n");
	AUTO_PARSED q = parse("");

	cr_assert_eq(config_append_args(&p.c, args, 3), 0);
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "x  y a b c d");
	cr_assert_eq(config_append_args(&p.c, args, 0), 0);
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "x  y a b c d");
	cr_assert_eq(config_append_args(&p.c, bad, 1), -EINVAL);
	cr_assert_eq(config_append_args(&p.c, blank, 1), -EINVAL);
	cr_assert_str_eq(text_of(p.c.vm.cmdline), "x  y a b c d");
	cr_assert_eq(config_append_args(&q.c, args, 1), 0);
	cr_assert_str_eq(text_of(q.c.vm.cmdline), "a");
}

Test(config, every_example_loads)
{
	unsigned int arches[] = {X86, ARM, PPC};
	glob_t g = {0};

	if (glob("config/examples/*.ini", 0, NULL, &g) != 0)
		cr_skip_test("reason %s", "config/examples is not here");
	cr_assert_geq(g.gl_pathc, 3);
	for (size_t i = 0; i < g.gl_pathc; i++)
		for (size_t a = 0; a < ARRAY_SIZE(arches); a++) {
			AUTO_PARSED p = parse_as(NULL, "", arches[a]);
			int ret = config_parse_file(&p.c, g.gl_pathv[i],
						    arches[a], &p.e);

			cr_assert_eq(ret, 0, "%s", msg(&p, 0));
			ret = config_check(&p.c, g.gl_pathv[i], arches[a],
					   &p.e);
			cr_assert_eq(ret, 0, "%s", msg(&p, 0));
			round_trip(&p.c, arches[a]);
		}
	globfree(&g);
}

Test(config, a_file_that_cannot_be_read_is_refused_by_name)
{
	AUTO_PARSED p = parse("");

	cr_assert_eq(config_parse_file(&p.c, "no/such.ini", X86, &p.e),
		     -ENOENT);
	cr_assert_eq(strncmp(msg(&p, 0), "no/such.ini: ", 13), 0);
	cr_assert_not_null(strstr(msg(&p, 0), "No such file"));
	cr_assert_lt(config_parse_file(&p.c, "/dev/null", X86, &p.e), 0);
	cr_assert_lt(config_parse_file(&p.c, "/", X86, &p.e), 0);
	cr_assert_eq(p.e.count, 3);
}

Test(config, a_file_is_at_most_a_mebibyte)
{
	char name[] = "/tmp/mote-config-XXXXXX";
	int fd = mkstemp(name);
	AUTO_PARSED p = parse("");
	static const char text[] = "[vm]\nvcpus = 3";

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	cr_assert_eq(config_parse_file(&p.c, name, X86, &p.e), 0);
	cr_assert_eq(p.c.vm.vcpus, 3);
	cr_assert_eq(ftruncate(fd, 1048577), 0);
	cr_assert_eq(config_parse_file(&p.c, name, X86, &p.e), -EFBIG);
	cr_assert_not_null(strstr(msg(&p, 0), "found more than 1M"));
	close(fd);
	unlink(name);
}

/* The machine stays: what is described is as if nothing else had been set. */
Test(config, what_belongs_to_a_run_is_forgotten)
{
	static const char machine[] =
		"[vm]\nkernel = /k\ncmdline = a b\nmemory = 8M\n"
		"[disk.d]\nreadonly = yes\n[net.n]\nmtu = 1400\n";
	static const char *const run[] = {
		"vm.core=/c",	       "console.type=file",
		"console.path=/p",     "disk.d.path=/d",
		"net.n.tap=tap0",      "snapshot.dir=/s",
		"snapshot.when=ready", "snapshot.durability=none",
		"snapshot.ready=idle", "restore.from=/f",
		"restore.memory=copy", "restore.verify=eager",
		"sandbox.enable=no",   "sandbox.user=me",
		"sandbox.group=us",    "control.socket=/o",
		"metrics.file=/m",     "log.level=debug",
		"log.file=/l",	       "log.format=json",
	};
	AUTO_PARSED a = parse(machine);
	AUTO_PARSED b = parse(machine);
	char *was = config_describe(&a.c), *now;

	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		cr_assert_eq(config_set(&b.c, "test", run[i], X86, NULL), 0,
			     "%s", run[i]);
	now = config_describe(&b.c);
	cr_assert_str_neq(now, was);
	free(now);
	cr_assert_eq(config_forget_run(&b.c), 0);
	now = config_describe(&b.c);
	cr_assert_str_eq(now, was);
	free(now);
	free(was);
}

/* The initrd is in the RAM that is saved. */
Test(config, the_initrds_path_is_forgotten)
{
	AUTO_PARSED a = parse("[vm]\nkernel = k\n");

	cr_assert_eq(config_set(&a.c, "test", "vm.protocol=linux", PPC, NULL),
		     0);
	cr_assert_eq(config_set(&a.c, "test", "vm.initrd=/i", PPC, NULL), 0);
	cr_assert_eq(config_check(&a.c, "t.ini", PPC, &a.e), 0);
	cr_assert_eq(config_forget_run(&a.c), 0);
	cr_assert_null(a.c.vm.initrd);
	cr_assert_eq(a.c.vm.protocol, PROTOCOL_LINUX);
}

Test(config, memory_that_is_shared_and_native_interrupts_do_not_meet)
{
	AUTO_PARSED a = parse("[vm]\nkernel = k\n");

	cr_assert_eq(config_set(&a.c, "test", "memory.shared=yes", PPC, NULL),
		     0);
	cr_assert_eq(config_set(&a.c, "test", "cpu.irq=xics", PPC, NULL), 0);
	cr_assert_eq(config_check(&a.c, "t.ini", PPC, &a.e), 0);
	cr_assert_eq(config_set(&a.c, "test", "cpu.irq=xive", PPC, NULL), 0);
	cr_assert_eq(config_check(&a.c, "t.ini", PPC, &a.e), -EINVAL);
	cr_assert_str_eq(a.e.msg[0], "t.ini: memory.shared: yes, expected "
				     "irq=xics beside it");
}

Test(config, a_radix_guest_has_no_hashed_table_to_size)
{
	AUTO_PARSED a = parse("[vm]\nkernel = k\n");

	cr_assert_eq(config_set(&a.c, "test", "cpu.hpt_order=24", PPC, NULL),
		     0);
	cr_assert_eq(config_check(&a.c, "t.ini", PPC, &a.e), 0);
	cr_assert_eq(config_set(&a.c, "test", "cpu.mmu=radix", PPC, NULL), 0);
	cr_assert_eq(config_check(&a.c, "t.ini", PPC, &a.e), -EINVAL);
	cr_assert_str_eq(a.e.msg[0], "t.ini: cpu.hpt_order: set, expected "
				     "mmu=hash beside it");
}
