/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_passthrough.c - mote run with QEMU's edu device as the guest's own:
 * jailed, by its BAR, DMA and MSI; what is refused, and what is left behind.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/num.h"
#include "base/stress.h"
#include "cli/command.h"
#include "devices/fake_vfio.h"
#include "kvm/vmtest.h"
#include "vfio/edurun.h"
#include "vfio/labdev.h"

TestSuite(vfio_passthrough, .init = edurun_setup, .fini = command_teardown,
	  .timeout = 300);

static void drive(const char *how, long rounds)
{
	long before = edurun_pinned();
	char words[64];

	snprintf(words, sizeof(words), "vm.cmdline=%s rounds=%ld", how, rounds);
	cr_assert_eq(command_run(edurun.out,
				 WORDS("run", edurun_ini(""), "--set", words)),
		     0, "%s", command_text(edurun.out));
	cr_expect_not_null(strstr(command_text(edurun.out), "edu 010000ed"));
	cr_expect_eq(edurun_number(" KiB "), 1024);
	cr_expect_eq(edurun_number("raised "), 1);
	cr_expect_eq(edurun_number("rounds "), rounds);
	/* One raised, one for the fill, and one a round: none twice or lost. */
	cr_expect_eq(edurun_number("interrupts "), rounds + 2);
	cr_expect_eq(edurun_number("wrong "), 0);
	cr_expect_eq(edurun_pinned(), before, "pages are still pinned");
}

Test(vfio_passthrough, a_guest_drives_the_device_by_dma_and_messages)
{
	/* A DMA takes edu 100 ms, and a command here 30 s at most. */
	for (long left = stress_count(30, 2000); left > 0; left -= 200)
		drive("msi=1", left < 200 ? left : 200);
}

Test(vfio_passthrough, a_guest_drives_the_device_by_its_interrupt_pin)
{
	drive("intx=1", stress_count(20, 200));
}

/* Its table is in a BAR of its own, the rest in one of 64 bits. */
Test(vfio_passthrough, a_guest_drives_another_device_by_msix)
{
	long rounds = stress_count(50, 2000);
	const char *dir = getenv("MOTE_GUESTS");
	char *words, *kernel, *pci;

	cr_assert_neq(edurun.rng[0], 0, "no virtio entropy device");
	lab_bind(edurun.rng, "vfio-pci");
	cr_assert_geq(asprintf(&words, "vm.cmdline=rounds=%ld", rounds), 0);
	cr_assert_geq(asprintf(&kernel, "vm.kernel=%s/vrng.elf",
			       dir ? dir : "build/guests"),
		      0);
	cr_assert_geq(asprintf(&pci, "passthrough.rng.pci=%s", edurun.rng), 0);
	cr_assert_eq(
		command_run(edurun.out, WORDS("run", "--set", kernel, "--set",
					      pci, "--set", words)),
		0, "%s", command_text(edurun.out));
	cr_expect_geq(edurun_number("vectors "), 2);
	cr_expect_eq(edurun_number(" masked "), 1);
	cr_expect_eq(edurun_number("interrupts "), rounds);
	cr_expect_eq(edurun_number(" empty "), 0);
	cr_expect_not_null(
		strstr(command_text(edurun.out),
		       " while masked 0 then 1 all masked 0 then 1\n"),
		"%s", command_text(edurun.out));
}

static void expect_refused(int code, const char *config, const char *words)
{
	cr_expect_eq(command_run(edurun.out, WORDS("run", edurun_ini(config))),
		     code, "%s", command_text(edurun.out));
	cr_expect_not_null(strstr(command_text(edurun.out), words),
			   "\"%s\" is not in: %s", words,
			   command_text(edurun.out));
}

Test(vfio_passthrough, a_device_that_is_not_bound_is_told_how)
{
	lab_bind(edurun.address, NULL);
	expect_refused(69, "", "bound to no driver, expected vfio-pci");
	lab_bind(edurun.address, "vfio-pci");
}

Test(vfio_passthrough, what_pins_memory_excludes_is_refused)
{
	expect_refused(65, "[restore]\nmemory = cow\n",
		       "restore.memory: found cow, expected copy with "
		       "[passthrough.edu]");
	expect_refused(69, "[passthrough.two]\npci = 0000:00:1f.7\n",
		       "passthrough.two.pci: 0000:00:1f.7: no such device");
}

/* Asked for while the guest is at it, and once it is ready. */
Test(vfio_passthrough, a_snapshot_needs_a_device_that_can_or_a_word)
{
	char *sock = command_path("sock"), *said = command_path("said"),
	     *snap = command_path("snap"), *again = command_path("again"),
	     *control;
	pid_t pid;

	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(edurun.out,
			    WORDS("run", edurun_ini(""), "--set", control,
				  "--set", "vm.cmdline=rounds=2 hold=1"));
	command_wait_for(edurun.out, "wrong ");
	cr_expect_neq(command_run(said, WORDS("snapshot", sock, snap)), 0);
	cr_expect_not_null(strstr(command_text(said),
				  "passthrough.edu: the device can't save its "
				  "state: see passthrough.edu.snapshot"),
			   "%s", command_text(said));
	cr_expect_eq(command_run(said, WORDS("ctl", sock, "stop")), 0);
	kill(pid, SIGTERM);
	command_finish(pid);

	pid = command_start(
		edurun.out,
		WORDS("run",
		      edurun_ini("snapshot = without-device\ndiff = full\n"),
		      "--set", control, "--set", "vm.cmdline=rounds=3 hold=1"));
	command_wait_for(edurun.out, "wrong ");
	cr_expect_eq(command_run(said, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(said));
	kill(pid, SIGTERM);
	kill(pid, SIGTERM);
	command_finish(pid);

	cr_expect_eq(command_run(said, WORDS("compat", snap)), 0, "%s",
		     command_text(said));
	cr_expect_not_null(strstr(command_text(said),
				  "it needs passthrough.edu = a device, "
				  "without its state\n"),
			   "%s", command_text(said));
	/* Without a device by that name; with one, its DMA is still there. */
	cr_expect_neq(command_run(said, WORDS("restore", snap)), 0);
	cr_expect_not_null(
		strstr(command_text(said), "passthrough.edu.pci: not set"),
		"%s", command_text(said));
	snprintf(edurun.out, sizeof(edurun.out), "%s", again);
	cr_assert_geq(
		asprintf(&control, "passthrough.edu.pci=%s", edurun.address),
		0);
	cr_expect_eq(
		command_run(again, WORDS("restore", snap, "--set", control)), 0,
		"%s", command_text(again));
	cr_expect_eq(edurun_number("again wrong "), 0);
}

/* The n-th call fails: false, that call was never made. */
static bool try_with(int n)
{
	struct config_errors e = {0};
	struct vmtest t;
	char *word;
	int ret;

	vmtest_init(&t, "rounds=1");
	t.cfg.vm.memory = 32 * MIB;
	t.cfg.vm.protocol = PROTOCOL_MOTE;
	cr_assert_geq(asprintf(&word, "passthrough.edu.pci=%s", edurun.address),
		      0);
	cr_assert_eq(config_set(&t.cfg, "test", word, CONFIG_ARCH_X86_64, &e),
		     0);
	free(word);
	fake_vfio.calls = 0;
	fake_vfio.failed = 0;
	fake_vfio.fail_with = EIO;
	fake_vfio.fail_at = n;
	ret = vmtest_try_start(&t, "edu");
	fake_vfio.fail_at = 0;
	cr_assert(n > 0 || ret == 0, "%s", t.err.msg);
	if (ret < 0)
		cr_expect_not_null(strstr(t.err.msg, "passthrough"),
				   "call %d: %s", n, t.err.msg);
	else
		vmtest_wait_end(&t);
	vmtest_fini(&t);
	return fake_vfio.failed != 0;
}

Test(vfio_passthrough, each_call_that_fails_leaves_nothing_behind)
{
	long before = edurun_pinned();
	int fds = 0, n = 0;

	cr_assert_not(try_with(0));
	fds = live_fds();
	do {
		n++;
	} while (n < 200 && try_with(n));
	cr_expect_gt(n, 20, "%d calls", n);
	cr_expect_lt(n, 200);
	printf("[info] each of %d calls failed once\n", n - 1);
	cr_expect_eq(edurun_pinned(), before, "pages are still pinned");
	cr_expect_eq(live_fds(), fds, "descriptors are left");
}

/* A snapshot in which the n-th call fails; the guest runs afterwards. */
static int save_with(struct vmtest *t, int n)
{
	struct snapshot_files f = {memfd_create("manifest", MFD_CLOEXEC),
				   memfd_create("state", MFD_CLOEXEC),
				   memfd_create("memory", MFD_CLOEXEC)};
	const struct snapshot_options opt = {.name = "s"};
	int ret;

	t->err.msg[0] = 0;
	fake_vfio.calls = 0;
	fake_vfio.failed = 0;
	fake_vfio.fail_with = EIO;
	fake_vfio.fail_at = n;
	ret = snapshot_save_live(t->vm, &f, &opt, &t->err);
	fake_vfio.fail_at = 0;
	snapshot_saved(t->vm, ret == 0);
	cr_expect_eq((ret < 0), (t->err.msg[0] != 0), "call %d: %d", n, ret);
	cr_expect_eq(t->vm->state, VM_RUNNING, "call %d: it stands still", n);
	close(f.manifest_fd);
	close(f.state_fd);
	close(f.memory_fd);
	return ret;
}

Test(vfio_passthrough, a_snapshot_that_fails_leaves_the_guest_running)
{
	struct config_errors e = {0};
	struct vmtest t;
	char *word;
	int n = 0, failed = 0;

	vmtest_init(&t, "rounds=1 hold=1");
	t.cfg.vm.memory = 32 * MIB;
	t.cfg.vm.protocol = PROTOCOL_MOTE;
	cr_assert_geq(asprintf(&word, "passthrough.edu.pci=%s", edurun.address),
		      0);
	cr_assert_eq(config_set(&t.cfg, "test", word, CONFIG_ARCH_X86_64, &e),
		     0);
	cr_assert_eq(config_set(&t.cfg, "test",
				"passthrough.edu.snapshot=without-device",
				CONFIG_ARCH_X86_64, &e),
		     0);
	vmtest_start(&t, "edu");
	vmtest_wait_for(&t, "wrong 0");
	for (int i = 0; i < 100 && !t.vm->ready; i++)
		vmtest_turn(&t);
	do {
		failed += save_with(&t, ++n) < 0;
	} while (fake_vfio.failed && n < 100);
	cr_expect_gt(failed, 0);
	cr_expect_lt(n, 100);
	printf("[info] %d of %d calls failed a snapshot\n", failed, n - 1);
	cr_expect_eq(save_with(&t, 0), 0, "%s", t.err.msg);
	vm_kill(t.vm);
	vmtest_fini(&t);
}

/* --- device nodes and iommufd ----------------------------------------------
 */

/* Its path; the descriptor is closed. */
static char *path_of(int fd)
{
	char link[64], *path = calloc(1, PATH_MAX);

	cr_assert_not_null(path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	cr_assert_gt(readlink(link, path, PATH_MAX - 1), 0);
	close(fd);
	return path;
}

static char *guest(const char *name)
{
	const char *dir = getenv("MOTE_GUESTS");
	char *word;

	cr_assert_geq(asprintf(&word, "vm.kernel=%s/%s.elf",
			       dir ? dir : "build/guests", name),
		      0);
	return word;
}

static char *node_of(const char *section, const char *path)
{
	char *word;

	cr_assert_geq(asprintf(&word, "passthrough.%s.cdev=%s", section, path),
		      0);
	return word;
}

TestSuite(vfio_node, .init = edurun_setup, .fini = command_teardown,
	  .timeout = 300);

Test(vfio_node, a_guest_drives_a_device_of_iommufd)
{
	long before = edurun_pinned();
	char name[64];
	int fd = lab_edu_node(name);

	if (fd < 0)
		cr_skip_test("this kernel has no VFIO device nodes");
	cr_assert_eq(command_run(edurun.out,
				 WORDS("run", "--set", guest("edu"), "--set",
				       node_of("edu", path_of(fd)), "--set",
				       "vm.cmdline=rounds=10")),
		     0, "%s", command_text(edurun.out));
	cr_expect_eq(edurun_number("interrupts "), 12);
	cr_expect_eq(edurun_number("wrong "), 0);
	cr_expect_eq(edurun_pinned(), before, "pages are still pinned");
}

/* Ports, which are trapped; what one card was told another one answers. */
Test(vfio_node, a_devices_state_is_in_the_snapshot)
{
	char *sock = command_path("sock"), *said = command_path("said"),
	     *snap = command_path("snap"), *again = command_path("again"),
	     *control, *node;
	char name[3][64];
	int fd = lab_mdev_node(MTTY_TYPE1, name[0]);
	pid_t pid;

	if (fd < 0)
		cr_skip_test("this kernel has no mtty by its node");
	cr_assert_geq(asprintf(&control, "control.socket=%s", sock), 0);
	pid = command_start(edurun.out,
			    WORDS("run", "--set", guest("mtty"), "--set",
				  node_of("tty", path_of(fd)), "--set",
				  control));
	command_wait_for(edurun.out, " sent");
	cr_expect_eq(edurun_number(" of "), 8);
	cr_expect_eq(command_run(said, WORDS("snapshot", sock, snap)), 0, "%s",
		     command_text(said));
	cr_expect_eq(command_run(said, WORDS("ctl", sock, "metrics", "--json")),
		     0, "%s", command_text(said));
	cr_expect_not_null(
		strstr(command_text(said), "\"snapshot_predicted_pause_ns\":"),
		"%s", command_text(said));
	/* It tells what it writes, nothing, so there are diffs. */
	cr_expect_eq(command_run(said, WORDS("snapshot", "--diff", sock,
					     command_path("diff"))),
		     0, "%s", command_text(said));
	kill(pid, SIGTERM);
	kill(pid, SIGTERM);
	command_finish(pid);

	fd = lab_mdev_node(MTTY_TYPE1, name[1]);
	node = node_of("tty", path_of(fd));
	cr_expect_eq(command_run(again, WORDS("restore", snap, "--set", node)),
		     0, "%s", command_text(again));
	cr_expect_not_null(strstr(command_text(again), "scratch 5a data kept"),
			   "%s", command_text(again));
	cr_expect_eq(command_run(again, WORDS("restore", command_path("diff"),
					      "--set", node)),
		     0, "%s", command_text(again));
	cr_expect_not_null(strstr(command_text(again), "scratch 5a data kept"),
			   "%s", command_text(again));
	cr_expect_eq(command_run(again, WORDS("compat", snap)), 0, "%s",
		     command_text(again));
	cr_expect_not_null(strstr(command_text(again),
				  "it needs passthrough.tty = PCI device "
				  "4348:3253, "),
			   "%s", command_text(again));
	/* No two machines can have the device. */
	cr_expect_eq(command_run(again, WORDS("pool", snap, "--size", "2",
					      "--listen", sock, "--set", node)),
		     65, "%s", command_text(again));
	cr_expect_not_null(strstr(command_text(again),
				  "passthrough.tty: a device can't be in two "
				  "machines"),
			   "%s", command_text(again));

	/* A card of two ports is another device. */
	fd = lab_mdev_node(MTTY_TYPE2, name[2]);
	cr_expect_eq(command_run(again, WORDS("restore", snap, "--set",
					      node_of("tty", path_of(fd)))),
		     65, "%s", command_text(again));
	fputs(command_text(again), stdout);
	cr_expect_not_null(strstr(command_text(again), "passthrough.tty: "));
	for (int i = 0; i < 3; i++)
		lab_mdev_remove(name[i]);
}
