/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_passthrough.c - a machine with a device of a host that is a model, and
 * a guest that writes whatever it likes wherever the device can be reached.
 *
 * The device has all kinds of interrupts, a BAR in two mapped parts around its
 * MSI-X table, one that can't be mapped, and ports.  Whatever was written, the
 * host's answers were asked for by the rules, a driver that begins anew finds
 * the device as it was, and nothing is left of the machine in the end.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/stress.h"
#include "devices/fake_vfio.h"
#include "devices/vfio/open.h"
#include "devices/vfio/uapi.h"
#include "fake/fake_kvm.h"
#include "fake/fakevm.h"
#include "memory/guestmem.h"
#include "snapshot/inspect.h"
#include "snapshot/snapshot.h"

#define MSI   0x50u
#define MSIX  0x70u
#define TABLE 0x1000u /* in BAR 1 */
#define PORTS 3
#define SMALL 4 /* a BAR that can't be mapped */

static struct fakevm f;
static char said[512]; /* the last warning */
static struct build_fd given[2];
static uint64_t seed;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void cap(uint8_t *c, unsigned int at, uint8_t id, unsigned int more)
{
	c[at] = id;
	c[at + 1] = (uint8_t)more;
}

/* Configuration space as the host has it. */
static void make_device(uint32_t msi, uint32_t msix)
{
	const uint32_t header[] = {0x11e81234, 0x00100000, 0x00ff0010, 0};
	const uint32_t bar[] = {0xfea00000, 0xfeb00004, 0, 0xc001, 0xfec10000};
	uint8_t c[256] = {0};

	memcpy(c, header, sizeof(header));
	memcpy(c + PCI_BASE_ADDRESS_0, bar, sizeof(bar));
	c[PCI_CAPABILITY_LIST] = 0x40;
	c[PCI_INTERRUPT_PIN] = 1;
	cap(c, 0x40, PCI_CAP_ID_PM, MSI);
	cap(c, MSI, PCI_CAP_ID_MSI, MSIX);
	c[MSI + PCI_MSI_FLAGS] = 0x80 | 3 << 1;
	c[MSI + PCI_MSI_FLAGS + 1] = 1;
	cap(c, MSIX, PCI_CAP_ID_MSIX, 0x90);
	c[MSIX + PCI_MSIX_FLAGS] = (uint8_t)(msix - 1);
	c[MSIX + PCI_MSIX_TABLE] = 1;
	c[MSIX + PCI_MSIX_TABLE + 1] = TABLE >> 8;
	c[MSIX + PCI_MSIX_PBA] = 1;
	c[MSIX + PCI_MSIX_PBA + 1] = (TABLE + 0x800) >> 8;
	cap(c, 0x90, PCI_CAP_ID_VNDR, 0xa0);
	cap(c, 0xa0, PCI_CAP_ID_EXP, 0);

	fake_vfio_start();
	fake_vfio.pci_fd = memfd_create("device", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fake_vfio.pci_fd, 9 * FAKE_REGION), 0);
	cr_assert_eq(fd_pwrite_full(fake_vfio.pci_fd, c, sizeof(c),
				    VFIO_PCI_CONFIG_REGION_INDEX * FAKE_REGION),
		     0);
	fake_vfio.bar[0] = fake_vfio.bar[1] = 0x4000;
	fake_vfio.bar[PORTS] = 32;
	fake_vfio.bar[SMALL] = 16;
	fake_vfio.bar_flags[0] = VFIO_REGION_INFO_FLAG_MMAP;
	fake_vfio.bar_flags[1] =
		VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	fake_vfio.irqs[VFIO_PCI_INTX_IRQ_INDEX] = 1;
	fake_vfio.irqs[VFIO_PCI_MSI_IRQ_INDEX] = msi;
	fake_vfio.irqs[VFIO_PCI_MSIX_IRQ_INDEX] = msix;
}

static void hear(void *opaque, int level, const char *line)
{
	(void)opaque;
	(void)level;
	snprintf(said, sizeof(said), "%s", line);
}

static void begin(void)
{
	struct config_errors e = {0};
	static const char *const words[] = {
		"passthrough.dev.pci=0000:00:05.0",
		"passthrough.dev.snapshot=without-device",
	};

	fakevm_init(&f, 1);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(config_set(&f.cfg, "test", words[i],
					CONFIG_ARCH_X86_64, &e),
			     0);
	f.cfg.vm.protocol = PROTOCOL_MOTE;
	given[0] = (struct build_fd){"passthrough.dev", eventfd(0, EFD_CLOEXEC),
				     0};
	given[1] = (struct build_fd){"vfio", eventfd(0, EFD_CLOEXEC), 0};
	f.opt.fds = given;
	f.opt.fd_count = 2;
	f.opt.log = (struct log){.sink = hear, .level = LOG_LEVEL_WARN};
	fakevm_start(&f, false);
	f.vm->ready = true; /* it would say so */
}

static void end(void)
{
	fakevm_fini(&f);
	for (int i = 0; i < 2; i++)
		fd_clear(&given[i].fd);
	fd_clear(&fake_vfio.pci_fd);
	cr_expect_eq(fake_kvm_irqfds(), 0, "KVM listens to what is closed");
	cr_expect(fake_vfio_idle());
}

static uint64_t rd(enum bus_space space, uint64_t addr, int len)
{
	uint64_t val = 0;

	bus_read(&f.vm->bus, space, addr, len, &val);
	return val;
}

static void wr(enum bus_space space, uint64_t addr, int len, uint64_t val)
{
	uint32_t wait;

	bus_write(&f.vm->bus, space, addr, len, val, &wait);
}

/* Of the function, which is device 1. */
static uint64_t config(unsigned int off)
{
	return arch_pci()->ecam + (1 << 15) + off;
}

static uint64_t bar_at(int i)
{
	return rd(BUS_MMIO, config(PCI_BASE_ADDRESS_0 + 4 * (unsigned int)i),
		  4) &
	       ~(i == PORTS ? UINT64_C(3) : UINT64_C(15));
}

static uint64_t bar_size(int i)
{
	uint64_t at = config(PCI_BASE_ADDRESS_0 + 4 * (unsigned int)i), v;
	uint64_t was = rd(BUS_MMIO, at, 4);

	wr(BUS_MMIO, at, 4, UINT32_MAX);
	v = rd(BUS_MMIO, at, 4) & ~(i == PORTS ? UINT64_C(3) : UINT64_C(15));
	wr(BUS_MMIO, at, 4, was);
	return (~v & UINT32_MAX) + 1;
}

static const int lens[] = {1, 2, 4, 4, 4, 8};

static void any_access(enum bus_space space, uint64_t addr)
{
	int len = lens[next() % ARRAY_SIZE(lens)];

	if (next() % 4)
		addr &= ~(uint64_t)(len - 1);
	if (next() % 3)
		wr(space, addr, len, next() % 4 ? next() : UINT64_MAX);
	else
		rd(space, addr, len);
}

/* Somewhere; most often where something is. */
static void any_thing(void)
{
	uint64_t ioapic = arch_ioapic(), r = next();

	switch (next() % 8) {
	case 0:
		any_access(BUS_MMIO, arch_pci()->ecam + r % MIB);
		break;
	case 1:
		any_access(BUS_MMIO, config(MSI + r % 24));
		break;
	case 2:
		any_access(BUS_MMIO, config(MSIX + r % 12));
		break;
	case 3: /* the table, its pending bits, what lies around */
		any_access(BUS_MMIO, bar_at(1) + TABLE + r % 4096);
		break;
	case 4:
		any_access(BUS_MMIO, bar_at(1) + TABLE + r % 64);
		break;
	case 5:
		wr(BUS_MMIO, ioapic, 4, r % 80);
		any_access(BUS_MMIO, ioapic + 0x10);
		any_access(BUS_MMIO, ioapic + r % 4096);
		break;
	case 6:
		any_access(BUS_PIO, bar_at(PORTS) + r % 40);
		any_access(BUS_MMIO, bar_at(SMALL) + r % 20);
		break;
	default:
		any_access(BUS_MMIO, config((unsigned int)r % 256));
		break;
	}
}

/* As a driver does that knows of nothing before it. */
static void expect_as_new(uint64_t round)
{
	wr(BUS_MMIO, config(MSIX + PCI_MSIX_FLAGS), 2, 0);
	wr(BUS_MMIO, config(MSI + PCI_MSI_FLAGS), 2, 0);
	wr(BUS_MMIO, config(PCI_COMMAND), 2, 0);
	cr_expect_eq(rd(BUS_MMIO, config(0), 4), 0x11e81234, "round %lu",
		     round);
	cr_expect_eq(rd(BUS_MMIO, config(PCI_COMMAND), 4), 0x00100000);
	cr_expect_eq(rd(BUS_MMIO, config(PCI_CAPABILITY_LIST), 1), MSI);
	cr_expect_eq(rd(BUS_MMIO, config(MSI), 2), MSIX << 8 | PCI_CAP_ID_MSI);
	cr_expect_eq(rd(BUS_MMIO, config(MSIX), 2), 0x9000 | PCI_CAP_ID_MSIX);
	cr_expect_eq(bar_size(0), 0x4000);
	cr_expect_eq(bar_size(1), 0x4000);
	cr_expect_eq(bar_size(PORTS), 32);
	cr_expect_eq(bar_size(SMALL), 16);
	cr_expect_eq(fake_vfio.irq_index, VFIO_PCI_INTX_IRQ_INDEX);
	cr_expect_eq(fake_vfio.irq_refused, 0, "round %lu: %d", round,
		     fake_vfio.irq_refused);
}

static void use_msi(void)
{
	wr(BUS_MMIO, config(MSI + PCI_MSI_ADDRESS_LO), 4, 0xfee00000);
	wr(BUS_MMIO, config(MSI + PCI_MSI_ADDRESS_HI), 4, 0);
	wr(BUS_MMIO, config(MSI + PCI_MSI_DATA_64), 2, 0x40);
	wr(BUS_MMIO, config(MSI + PCI_MSI_MASK_64), 4, 0);
	wr(BUS_MMIO, config(MSI + PCI_MSI_FLAGS), 2, 0x31);
	cr_expect_eq(fake_vfio.irq_index, VFIO_PCI_MSI_IRQ_INDEX);
	cr_expect_eq(fake_vfio.irq_count, 8);
	wr(BUS_MMIO, config(MSI + PCI_MSI_FLAGS), 2, 0);
}

/* n: of its table. */
static void use_msix(uint32_t n)
{
	uint64_t table = bar_at(1) + TABLE;

	wr(BUS_MMIO, config(MSIX + PCI_MSIX_FLAGS), 2, 0x8000);
	cr_expect_eq(fake_vfio.irq_index, VFIO_PCI_MSIX_IRQ_INDEX);
	cr_expect_eq(fake_vfio.irq_count, n);
	cr_expect_eq(rd(BUS_MMIO, config(MSIX + PCI_MSIX_FLAGS), 2),
		     0x8000 | (n - 1));
	for (uint32_t i = 0; i < n; i++) {
		wr(BUS_MMIO, table + 16 * i, 8, 0xfee00000);
		wr(BUS_MMIO, table + 16 * i + 8, 8, 0x41 + i);
	}
	wr(BUS_MMIO, config(MSIX + PCI_MSIX_FLAGS), 2, 0);
}

static int save_to(struct snapshot_files *s, bool diff)
{
	const struct snapshot_options opt = {.name = "s", .diff = diff};
	int ret;

	*s = (struct snapshot_files){memfd_create("manifest", MFD_CLOEXEC),
				     memfd_create("state", MFD_CLOEXEC),
				     memfd_create("memory", MFD_CLOEXEC)};
	ret = snapshot_save_live(f.vm, s, &opt, &f.err);
	snapshot_saved(f.vm, ret == 0);
	return ret;
}

static int save(bool diff)
{
	struct snapshot_files s;
	int ret = save_to(&s, diff);

	close(s.manifest_fd);
	close(s.state_fd);
	close(s.memory_fd);
	return ret;
}

Test(fake_passthrough, a_guest_that_writes_anything_anywhere, .timeout = 300)
{
	struct live before = live_now();
	long rounds = stress_count(1000, 50000);

	for (seed = 1; seed < 4; seed++) {
		uint64_t begun = seed;

		make_device(8, 8);
		begin();
		for (long r = 0; r < rounds; r++) {
			for (int i = 0; i < 200; i++)
				any_thing();
			if (r % 64 == 5)
				cr_expect_eq(save(false), 0, "%s", f.err.msg);
			expect_as_new((uint64_t)r);
			use_msi();
			use_msix(8);
		}
		end();
		seed = begun;
	}
	expect_live(&before, "after all");
}

Test(fake_passthrough, msi_and_msix_may_differ_in_number)
{
	make_device(8, 3);
	begin();
	use_msi();
	use_msix(3);
	cr_expect_eq(fake_vfio.irq_refused, 0);
	end();
}

/* What type1 told once it does not tell again: who asked must keep it. */
Test(fake_passthrough, a_diff_has_what_the_device_wrote)
{
	make_device(8, 8);
	begin();
	cr_assert_eq(save(false), 0, "%s", f.err.msg);
	cr_assert_eq(save(true), 0, "%s", f.err.msg);
	cr_expect_eq(f.vm->snapshots.last.pages, 0);
	fake_vfio.dirty[5] = fake_vfio.dirty[77] = 1;
	cr_assert_eq(save(true), 0, "%s", f.err.msg);
	cr_expect_eq(f.vm->snapshots.last.pages, 2);
	end();
}

Test(fake_passthrough, a_diff_is_refused_where_all_is_always_dirty)
{
	make_device(8, 8);
	begin();
	cr_expect_lt(save(true), 0);
	cr_expect_not_null(strstr(f.err.msg, "take a full one first"), "%s",
			   f.err.msg);
	cr_assert_eq(save(false), 0, "%s", f.err.msg);
	fake_vfio.all = true;
	cr_expect_lt(save(true), 0);
	cr_expect_not_null(strstr(f.err.msg, "see passthrough.dev.diff"), "%s",
			   f.err.msg);
	f.cfg.passthrough[0].diff = PASSTHROUGH_DIFF_FULL;
	cr_expect_eq(save(true), 0, "%s", f.err.msg);
	cr_expect_eq(f.vm->snapshots.last.pages, -1, "a full one");
	end();
}

/* Like make_device, of one whose state can be taken, len bytes of it. */
static void make_mover(uint64_t flags, size_t len)
{
	make_device(8, 8);
	fake_vfio.mig_flags = flags;
	fake_vfio.data_fd = memfd_create("blob", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fake_vfio.data_fd, (off_t)len), 0);
}

static void end_mover(void)
{
	cr_expect_eq(fake_vfio.state, MIG_RUNNING);
	end();
	fd_clear(&fake_vfio.data_fd);
}

Test(fake_passthrough, a_devices_state_is_taken_while_the_guest_runs)
{
	make_mover(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY, 100);
	fake_vfio.initial_bytes = 60;
	begin();
	cr_expect_eq(save(false), 0, "%s", f.err.msg);
	cr_expect_eq(fake_vfio.precopies, 1);
	cr_expect_eq(lseek(fake_vfio.data_fd, 0, SEEK_CUR), 100);
	cr_expect_geq(f.vm->snapshots.last.predicted_ns, 0);
	cr_expect_eq(f.vm->state, VM_RUNNING);
	end_mover();
}

/* What it will take counts in how long the pause is said to be. */
Test(fake_passthrough, the_size_of_a_state_is_in_the_estimate)
{
	int64_t small;

	make_mover(VFIO_MIGRATION_STOP_COPY, 100);
	begin();
	cr_expect_eq(save(false), 0, "%s", f.err.msg);
	small = f.vm->snapshots.last.predicted_ns;
	fake_vfio.state_bytes = UINT64_C(1) << 40;
	cr_expect_eq(save(false), 0, "%s", f.err.msg);
	cr_expect_gt(f.vm->snapshots.last.predicted_ns, small + 1000000000,
		     "%ld, was %ld", f.vm->snapshots.last.predicted_ns, small);
	end_mover();
}

Test(fake_passthrough, a_device_that_does_not_go_on_is_told)
{
	make_mover(VFIO_MIGRATION_STOP_COPY, 100);
	begin();
	fake_vfio.mig_error = true;
	fake_vfio.mig_error_to = MIG_RUNNING;
	cr_expect_eq(save(false), 0, "the snapshot itself is whole");
	cr_expect_not_null(strstr(said, "passthrough.dev: the device did not "
					"go on from its state and was reset"),
			   "%s", said);
	end_mover();
}

/* Each call of a snapshot: the guest runs on, and so does the device. */
Test(fake_passthrough, each_call_that_fails_leaves_both_running)
{
	int n = 0, failed = 0;

	make_mover(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY, 100);
	fake_vfio.initial_bytes = 60;
	begin();
	do {
		lseek(fake_vfio.data_fd, 0, SEEK_SET);
		fake_vfio.calls = 0;
		fake_vfio.failed = 0;
		fake_vfio.fail_with = EIO;
		fake_vfio.fail_at = ++n;
		failed += save(false) < 0;
		cr_expect_eq(f.vm->state, VM_RUNNING, "call %d", n);
		cr_expect_eq(fake_vfio.state, MIG_RUNNING, "call %d", n);
	} while (fake_vfio.failed && n < 100);
	fake_vfio.fail_at = 0;
	cr_expect_gt(failed, 5);
	cr_expect_lt(n, 100);
	end_mover();
}

static void expect_described(struct snapshot *s)
{
	struct inspect_device d;
	struct snap_section sec;
	char *text;
	size_t len;
	uint32_t n = 0;
	FILE *out = open_memstream(&text, &len);

	cr_assert_eq(snapshot_read_state(s, &f.err), 0, "%s", f.err.msg);
	cr_assert(inspect_device(s, &sec, &n, &d));
	cr_expect_str_eq(d.name, "dev");
	cr_expect_eq(d.vendor, 0x1234);
	cr_expect_eq(d.device, 0x11e8);
	cr_expect_eq(d.bytes, 100);
	cr_expect_not(inspect_device(s, &sec, &n, &d));
	cr_assert_not_null(out);
	inspect_text(out, s);
	inspect_json(out, s);
	fclose(out);
	cr_expect_not_null(strstr(text, "\npassthrough.dev = PCI device "
					"1234:11e8, 100 bytes of state\n"),
			   "%s", text);
	cr_expect_not_null(strstr(text, ",\"passthrough\":[{\"name\":\"dev\","
					"\"id\":\"1234:11e8\",\"state\":100}]"),
			   "%s", text);
	free(text);
}

/* This host's first one is there; what nobody makes is not. */
Test(fake_passthrough, a_host_has_a_device_or_not)
{
	unsigned int vendor = 0, device = 0;
	FILE *devices = fopen("/proc/bus/pci/devices", "r");

	if (devices && fscanf(devices, "%*x %4x%4x", &vendor, &device) == 2)
		cr_expect(vfio_host_has((uint16_t)vendor, (uint16_t)device));
	if (devices)
		fclose(devices);
	if (access("/sys/bus/mdev", F_OK) < 0)
		cr_expect_not(vfio_host_has(0xfffe, 0xfffe));
}

/* A guest that waits for messages must not go on without them. */
Test(fake_passthrough, its_interrupts_are_restored_or_it_is_refused)
{
	struct snapshot_files files;
	struct snapshot s;

	make_mover(VFIO_MIGRATION_STOP_COPY, 100);
	begin();
	wr(BUS_MMIO, config(MSI + PCI_MSI_ADDRESS_LO), 4, 0xfee00000);
	wr(BUS_MMIO, config(MSI + PCI_MSI_FLAGS), 2, 0x11);
	cr_assert_eq(save_to(&files, false), 0, "%s", f.err.msg);
	vm_destroy(f.vm);
	f.vm = NULL;

	cr_assert_eq(snapshot_adopt(&s, &files, NULL, &f.err), 0, "%s",
		     f.err.msg);
	expect_described(&s);
	fake_vfio.refuse = VFIO_DEVICE_SET_IRQS;
	fake_vfio.fail_with = ENOSPC;
	cr_expect_eq(snapshot_load(&s, &f.opt, &f.vm, &f.err), -ENOSPC);
	cr_expect_not_null(strstr(f.err.msg, "passthrough.dev: this host does "
					     "not give it the interrupts"),
			   "%s", f.err.msg);
	fake_vfio.refuse = 0;
	fake_vfio.irq_index = -1;
	cr_assert_eq(snapshot_load(&s, &f.opt, &f.vm, &f.err), 0, "%s",
		     f.err.msg);
	cr_expect_eq(fake_vfio.irq_index, VFIO_PCI_MSI_IRQ_INDEX);
	cr_expect_eq(fake_vfio.irq_count, 2);
	cr_expect_eq(fake_kvm_irqfds(), 2);
	cr_expect_eq(fake_vfio.state, MIG_STOP);
	cr_assert_eq(vm_start(f.vm, false, &f.err), 0, "%s", f.err.msg);
	snapshot_close(&s);
	end_mover();
}

static int load_root(struct device *root, const uint8_t *payload, size_t len)
{
	static struct snap_reader r;
	struct snap_writer w;
	int ret;

	snap_writer_init(&w);
	snap_section_begin(&w, "pci", 0, 1, SNAP_REQUIRED);
	snap_put_bytes(&w, payload, len);
	snap_section_end(&w);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	cr_assert_eq(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	f.err.msg[0] = 0;
	ret = device_load(root, &r, &f.err);
	cr_expect_eq(ret < 0, f.err.msg[0] != 0, "%d: %s", ret, f.err.msg);
	snap_writer_fini(&w);
	return ret;
}

/* Every byte of the section another one, every length: told, or taken. */
Test(fake_passthrough, a_broken_section_is_refused_with_words)
{
	const size_t head = 16 + 64; /* of the file and of the section */
	static const uint8_t flips[] = {0x01, 0x10, 0x80, 0xff};
	struct device *root = NULL;
	struct snap_writer w;
	int refused = 0;

	make_mover(VFIO_MIGRATION_STOP_COPY, 100);
	begin();
	cr_assert_eq(vm_pause(f.vm, &f.err), 0);
	for (uint32_t i = 0; i < f.vm->devices; i++)
		if (!strcmp(f.vm->device[i]->ops->name, "pci"))
			root = f.vm->device[i];
	cr_assert_not_null(root);
	snap_writer_init(&w);
	cr_assert_eq(device_save(root, &w, NULL), 0);
	cr_assert_eq(snap_writer_finish(&w, NULL), 0);
	cr_assert_eq(load_root(root, w.buf + head, w.len - head), 0, "%s",
		     f.err.msg);
	for (size_t i = head; i < w.len; i++)
		for (size_t k = 0; k < sizeof(flips); k++) {
			w.buf[i] ^= flips[k];
			refused +=
				load_root(root, w.buf + head, w.len - head) < 0;
			w.buf[i] ^= flips[k];
		}
	cr_expect_gt(refused, 256 * 3, "%d: what a guest can't write", refused);
	for (size_t n = 0; n < w.len - head; n++)
		cr_expect_lt(load_root(root, w.buf + head, n), 0, "%zu", n);
	snap_writer_fini(&w);
	fake_vfio.state = MIG_RUNNING;
	end_mover();
}
