/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pci.c - any accesses of a guest to a passed-through device of a host
 * that is a model (tests/devices/fake_vfio.h): configuration space, the MSI-X
 * table, BARs that can't be mapped, ports, the I/O APIC; between them the
 * state is saved, loaded, and loaded with bytes changed.
 *
 * The host is never asked for interrupts that the device has not, and a driver
 * that begins anew finds the device as it was.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "devices/fake_vfio.h"
#include "devices/ioapic.h"
#include "fuzz/support/machine.h"
#include "vm.h"

#define MSI   0x50u
#define MSIX  0x70u
#define TABLE 0x1000u /* in BAR 1 */
#define PORTS 3
#define SMALL 4 /* a BAR that can't be mapped */
#define COUNT 8 /* vectors of each kind */

static struct fakevm f;
static struct build_fd given[2];
static struct device *root, *ioapic;

static void cap(uint8_t *c, unsigned int at, uint8_t id, unsigned int more)
{
	c[at] = id;
	c[at + 1] = (uint8_t)more;
}

static void make_device(void)
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
	cap(c, MSIX, PCI_CAP_ID_MSIX, 0);
	c[MSIX + PCI_MSIX_FLAGS] = COUNT - 1;
	c[MSIX + PCI_MSIX_TABLE] = 1;
	c[MSIX + PCI_MSIX_TABLE + 1] = TABLE >> 8;
	c[MSIX + PCI_MSIX_PBA] = 1;
	c[MSIX + PCI_MSIX_PBA + 1] = (TABLE + 0x800) >> 8;

	fake_vfio_start();
	fake_vfio.pci_fd = memfd_create("device", MFD_CLOEXEC);
	require(ftruncate(fake_vfio.pci_fd, 9 * FAKE_REGION) == 0, "a device");
	require(fd_pwrite_full(fake_vfio.pci_fd, c, sizeof(c),
			       VFIO_PCI_CONFIG_REGION_INDEX * FAKE_REGION) == 0,
		"a device");
	fake_vfio.bar[0] = fake_vfio.bar[1] = 0x4000;
	fake_vfio.bar[PORTS] = 32;
	fake_vfio.bar[SMALL] = 16;
	fake_vfio.bar_flags[0] = VFIO_REGION_INFO_FLAG_MMAP;
	fake_vfio.bar_flags[1] =
		VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	fake_vfio.mig_flags = VFIO_MIGRATION_STOP_COPY;
	fake_vfio.data_fd = memfd_create("blob", MFD_CLOEXEC);
	require(ftruncate(fake_vfio.data_fd, 100) == 0, "a device's state");
	fake_vfio.irqs[VFIO_PCI_INTX_IRQ_INDEX] = 1;
	fake_vfio.irqs[VFIO_PCI_MSI_IRQ_INDEX] = COUNT;
	fake_vfio.irqs[VFIO_PCI_MSIX_IRQ_INDEX] = COUNT;
}

static void quiet(void *opaque, int level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

static void make(void)
{
	static const char word[] = "passthrough.dev.pci=0000:00:05.0";
	struct config_errors e = {0};

	make_device();
	fakevm_init(&f, 1);
	require(config_set(&f.cfg, "test", word, CONFIG_ARCH_X86_64, &e) == 0,
		"a configuration");
	f.cfg.vm.protocol = PROTOCOL_MOTE;
	given[0] = (struct build_fd){"passthrough.dev", eventfd(0, EFD_CLOEXEC),
				     0};
	given[1] = (struct build_fd){"vfio", eventfd(0, EFD_CLOEXEC), 0};
	f.opt.fds = given;
	f.opt.fd_count = 2;
	f.opt.log = (struct log){.sink = quiet, .level = LOG_LEVEL_WARN};
	fakevm_start(&f, true);
	for (uint32_t i = 0; i < f.vm->devices; i++) {
		if (!strcmp(f.vm->device[i]->ops->name, "pci"))
			root = f.vm->device[i];
		if (!strcmp(f.vm->device[i]->ops->name, "ioapic"))
			ioapic = f.vm->device[i];
	}
	require(root && ioapic, "a bus");
}

static uint64_t rd(enum bus_space space, uint64_t addr, int len)
{
	uint64_t val = 0;

	bus_read(&f.vm->bus, space, addr, len, &val);
	require((val & ~ones(len)) == 0, "more than was asked for");
	return val;
}

static void wr(enum bus_space space, uint64_t addr, int len, uint64_t val)
{
	uint32_t wait = 0;

	bus_write(&f.vm->bus, space, addr, len, val, &wait);
	require(wait == 0, "a wait");
}

static uint64_t config(uint64_t off)
{
	return arch_pci()->ecam + (1 << 15) + off;
}

static uint64_t bar_at(int i)
{
	return rd(BUS_MMIO, config(PCI_BASE_ADDRESS_0 + 4u * (unsigned int)i),
		  4) &
	       ~(i == PORTS ? UINT64_C(3) : UINT64_C(15));
}

static void access_at(struct input *in, enum bus_space space, uint64_t addr)
{
	uint64_t how = take(in, 1), val;
	int len = take_width(in);

	if (how & 1)
		addr &= ~(uint64_t)(len - 1);
	if (how & 2) {
		rd(space, addr, len);
		return;
	}
	val = how & 4 ? take(in, 4) : take(in, 1) % 2 ? UINT64_MAX : 0;
	wr(space, addr, len, val);
}

static void restart(void)
{
	root->ops->reset(root);
	ioapic->ops->reset(ioapic);
}

static struct snap_reader reader;

/* The sections of both, with some bytes changed. */
static void state(struct input *in, unsigned int changes)
{
	struct mote_err err = {0};
	struct snap_writer w, edited;
	struct base b = {0};

	snap_writer_init(&w);
	require(device_save(root, &w, &err) == 0 &&
			device_save(ioapic, &w, &err) == 0 &&
			snap_writer_finish(&w, &err) == 0,
		err.msg);
	b.state = w.buf;
	require(snap_reader_init(&b.reader, w.buf, w.len, &err) == 0, err.msg);
	if (changes) {
		edit_state(&b, in, &edited);
		require(snap_reader_init(&reader, edited.buf, edited.len,
					 &err) == 0,
			err.msg);
	} else {
		reader = b.reader;
	}
	for (int i = 0; i < 2; i++) {
		struct mote_err why = {0};
		int ret = device_load(i ? ioapic : root, &reader, &why);

		require((ret < 0) == (why.msg[0] != 0),
			"result and message differ");
		require(ret == 0 || changes, "its own state");
		if (ret < 0)
			restart(); /* such a machine would never run */
	}
	if (changes)
		snap_writer_fini(&edited);
	snap_writer_fini(&w);
}

static void step(struct input *in)
{
	uint64_t what = take(in, 1) % 16, r = take(in, 1);
	uint64_t at = arch_ioapic();

	switch (what) {
	case 0:
		access_at(in, BUS_MMIO,
			  arch_pci()->ecam + (r << 12 | take(in, 2) % 4096));
		break;
	case 1:
	case 2:
		access_at(in, BUS_MMIO, config(MSI + r % 24));
		break;
	case 3:
	case 4:
		access_at(in, BUS_MMIO, config(MSIX + r % 12));
		break;
	case 5:
	case 6: /* the table; its end, its pending bits, what lies around */
		access_at(in, BUS_MMIO, bar_at(1) + TABLE + r % 160);
		break;
	case 7:
		access_at(in, BUS_MMIO, bar_at(1) + TABLE + (r << 4));
		break;
	case 8:
	case 9:
		wr(BUS_MMIO, at, 4, r);
		access_at(in, BUS_MMIO, at + 0x10);
		break;
	case 10:
		access_at(in, BUS_MMIO, at + (r % 2 ? IOAPIC_EOI : r * 16));
		break;
	case 11:
		access_at(in, BUS_PIO, bar_at(PORTS) + r % 40);
		break;
	case 12:
		access_at(in, BUS_MMIO, bar_at(SMALL) + r % 20);
		break;
	case 13:
		state(in, r % 2);
		break;
	default:
		access_at(in, BUS_MMIO, config(r));
	}
}

/* As a driver does that knows of nothing before it. */
static void expect_as_new(void)
{
	wr(BUS_MMIO, config(MSIX + PCI_MSIX_FLAGS), 2, 0);
	wr(BUS_MMIO, config(MSI + PCI_MSI_FLAGS), 2, 0);
	wr(BUS_MMIO, config(PCI_COMMAND), 2, 0);
	require(rd(BUS_MMIO, config(0), 4) == 0x11e81234, "its id");
	require(rd(BUS_MMIO, config(PCI_COMMAND), 4) == 0x00100000, "command");
	require(rd(BUS_MMIO, config(MSI), 2) == (MSIX << 8 | PCI_CAP_ID_MSI),
		"its MSI capability");
	require(rd(BUS_MMIO, config(MSIX), 2) == PCI_CAP_ID_MSIX,
		"its MSI-X capability");
	require(fake_vfio.irq_index == VFIO_PCI_INTX_IRQ_INDEX, "its pin");
	require(fake_vfio.irq_refused == 0,
		"the host was asked for what the device has not");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	if (!f.vm)
		make();
	while (in.at < in.end)
		step(&in);
	expect_as_new();
	restart();
	return 0;
}
