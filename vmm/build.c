/* SPDX-License-Identifier: Apache-2.0 */
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "arch/common/elf.h"
#include "arch/common/solo5.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "base/timeline.h"
#include "config/config.h"
#include "devices/ioapic.h"
#include "devices/vfio/passthrough.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "memory/ring.h"
#include "vm.h"

static int open_kvm(struct vm *vm, int fd, struct mote_err *err)
{
	if (fd < 0) {
		vm->kvm_fd = kvm_open(NULL, err);
		return vm->kvm_fd < 0 ? vm->kvm_fd : 0;
	}
	vm->kvm_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (vm->kvm_fd < 0)
		return err_set(err, errno, "dup of the KVM descriptor: %s",
			       strerror(errno));
	return 0;
}

/* Map or read one region's part of a snapshot's memory file. */
static int restore_region(struct vm *vm, const struct build_options *opt,
			  const struct arch_ram *ram, uint64_t off,
			  struct mote_err *err)
{
	cleanup_map struct map map = {0};
	int ret;

	if (opt->memory_copy) {
		ret = memslot_add(&vm->slots, ram->gpa, ram->size, err);
		if (ret >= 0)
			ret = guest_write_fd(&vm->slots, ram->gpa,
					     opt->memory_fd, off, ram->size);
		if (ret < 0)
			err_set(err, -ret, "read of the memory file: %s",
				strerror(-ret));
		return ret;
	}
	ret = map_file_private(&map, opt->memory_fd, off, ram->size,
			       MEMSLOT_ALIGN, err);
	if (ret < 0)
		return ret;
	return memslot_add_map(&vm->slots, ram->gpa, &map, err);
}

static int enter_pager(void *opaque, int uffd)
{
	const struct vm *vm = opaque;

	return vm->pager_enter(vm->env.opaque, uffd, vm->events.fd);
}

/*
 * Ranges are registered before anybody, be it mlock(2), can touch them, and
 * served before KVM knows them.
 */
static int restore_paged(struct vm *vm, const struct build_options *opt,
			 const struct arch_ram *ram, int n,
			 struct mote_err *err)
{
	struct map map[ARCH_RAM_MAX] = {{0}};
	struct pager_ops ops = opt->pager;
	int ret;

	ops.owner = ops.opaque = vm;
	ops.failed = vm_pager_failed;
	ops.enter = opt->pager_enter ? enter_pager : NULL;
	vm->pager_enter = opt->pager_enter;
	ret = pager_create(&vm->pager, opt->uffd_fd, opt->pager_block, &ops,
			   err);
	for (int i = 0; ret == 0 && i < n; i++) {
		ret = map_anon(&map[i], ram[i].size, MEMSLOT_ALIGN, err);
		if (ret == 0)
			ret = pager_add(vm->pager, &map[i], err);
	}
	if (ret == 0)
		ret = pager_start(vm->pager, err);
	for (int i = 0; ret >= 0 && i < n; i++)
		ret = memslot_add_map(&vm->slots, ram[i].gpa, &map[i], err);
	timeline_mark(vm->timeline, "pager started");
	for (int i = 0; i < n; i++)
		map_fini(&map[i]);
	return ret < 0 ? err_wrap(err, ret, "memory") : 0;
}

static int build_memory(struct vm *vm, const struct build_options *opt,
			struct mote_err *err)
{
	struct arch_ram ram[ARCH_RAM_MAX];
	enum hugepages huge = opt->cfg->memory.hugepages;
	uint64_t off = 0;
	int n = arch_ram_layout(opt->cfg->vm.protocol, opt->cfg->vm.memory,
				ram);

	if (n < 0)
		return err_set_class(err, -n, ERR_CLASS_DATA,
				     "vm.memory: %" PRIu64 " bytes do not fit "
				     "into the memory map",
				     opt->cfg->vm.memory);
	vm->slots.thp = huge == HUGEPAGES_THP;
	vm->slots.huge = huge == HUGEPAGES_2M	? 2 * MIB
			 : huge == HUGEPAGES_1G ? GIB
						: 0;
	vm->slots.shared = opt->cfg->memory.shared;
	vm->slots.lock = opt->cfg->memory.lock;
	if (vm->slots.shared && opt->memory_fd >= 0 && !opt->memory_copy)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "memory.shared: a snapshot that is "
				     "mapped is private: set "
				     "restore.memory=copy");
	if (vm->slots.huge && opt->memory_fd >= 0 && !opt->memory_copy)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "memory.hugepages: a snapshot that is "
				     "mapped has the file's pages: set "
				     "restore.memory=copy");
	if (opt->pager_block)
		return restore_paged(vm, opt, ram, n, err);
	for (int i = 0; i < n; i++) {
		int ret;

		if (opt->memory_fd >= 0)
			ret = restore_region(vm, opt, &ram[i], off, err);
		else
			ret = memslot_add(&vm->slots, ram[i].gpa, ram[i].size,
					  err);
		if (ret < 0)
			return err_wrap(err, ret, "memory");
		off += ram[i].size;
	}
	if (opt->memory_fd >= 0 && !opt->memory_copy)
		vm_watch_memory(vm);
	return 0;
}

static int build_vcpus(struct vm *vm, struct mote_err *err)
{
	uint32_t n = vm->cfg->vm.vcpus;

	if (n == 0 || n > VM_VCPUS_MAX)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.vcpus: %u, expected 1 to %d", n,
				     VM_VCPUS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		struct vcpu *v;
		int ret = vcpu_create(&v, &vm->env, i, err);

		if (ret == 0)
			ret = ring_add(&vm->slots, v->fd, err);
		if (ret < 0) {
			vcpu_put(&v);
			return ret;
		}
		/* Published only when it is whole. */
		pthread_mutex_lock(&vm->table_lock);
		vm->vcpu[vm->vcpus++] = v;
		pthread_mutex_unlock(&vm->table_lock);
	}
	return arch_vm_ready(&vm->arch, &vm->slots, err);
}

/* Our own contract, which is also what AUTO is when nothing says otherwise. */
static bool is_ours(enum vm_protocol protocol)
{
	return protocol == PROTOCOL_MOTE || protocol == PROTOCOL_AUTO;
}

/*
 * What interrupts of devices go through, where KVM has only the local part:
 * Linux and its kin expect an I/O APIC, our own contract has one where a
 * device needs it.
 */
static int build_platform(struct vm *vm, struct mote_err *err)
{
	const struct vm_config *c = vm->cfg;
	struct device_config cfg = {
		.space = BUS_MMIO, .base = arch_ioapic(), .size = IOAPIC_SIZE};
	int ret;

	vm->irqroutes.vm_fd = vm->vm_fd;
	if (cfg.base == 0 || c->vm.protocol == PROTOCOL_HVT ||
	    (is_ours(c->vm.protocol) && c->passthrough_count == 0 &&
	     config_virtio_count(c) == 0))
		return 0;
	ret = device_create(&vm->ioapic, "ioapic", 0, &cfg, &vm->bus, err);
	if (ret < 0)
		return ret;
	vm->device[vm->devices++] = vm->ioapic;
	ioapic_routes(vm->ioapic, &vm->irqroutes);
	return 0;
}

int build_block_fd(struct vm *vm, int *fd, struct mote_err *err)
{
	int ret =
		fd_gather_more(fd, &vm->device_fds, &vm->device_fds_used, err);

	return ret < 0 ? ret : 0;
}

int build_irq(struct vm *vm, uint32_t irq, int event_fd, struct mote_err *err)
{
	int ret;

	if (vm->ioapic) {
		if (irq >= IRQROUTE_PINS)
			return err_set(err, EINVAL, "interrupt %u of %d", irq,
				       IRQROUTE_PINS);
		ioapic_attach(vm->ioapic, (int)irq, event_fd, NULL, NULL);
		return 0;
	}
	ret = irqroutes_connect(&vm->irqroutes, (int)irq, event_fd, true);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "KVM_IRQFD of interrupt %u: %s", irq,
				     strerror(-ret));
	return 0;
}

const struct build_fd *build_find_fd(const struct build_options *opt,
				     const char *kind, const char *name)
{
	size_t len = strlen(kind);

	for (int i = 0; i < opt->fd_count; i++) {
		const char *s = opt->fds[i].section;

		if (!strncmp(s, kind, len) && s[len] == '.' &&
		    !strcmp(s + len + 1, name))
			return &opt->fds[i];
	}
	return NULL;
}

int build_irqfd(struct vm *vm, uint32_t irq, int *event_fd,
		struct mote_err *err)
{
	int *fd = &vm->irq_fd[vm->irq_fds], ret;

	if (vm->irq_fds == VM_DEVICES_MAX)
		return err_set(err, ENOSPC, "interrupts: more than %d",
			       VM_DEVICES_MAX);
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		return err_set(err, errno, "eventfd: %s", strerror(errno));
	vm->irq_fds++;
	ret = build_block_fd(vm, fd, err);
	if (ret == 0)
		ret = build_irq(vm, irq, *fd, err);
	if (ret == 0)
		*event_fd = *fd;
	return ret;
}

/* How a guest that is not ours is told that it is a clone. */
static int build_generation(struct vm *vm, struct mote_err *err)
{
	uint32_t irq;

	vm->identity = vm->event_device != NULL;
	if (!arch_vmgenid(vm->cfg, &irq))
		return 0;
	vm->identity = true;
	return build_irqfd(vm, irq, &vm->generation_fd, err);
}

static int build_devices(struct vm *vm, struct mote_err *err)
{
	size_t n;
	const struct arch_device *ad = arch_devices(vm->cfg->vm.protocol, &n);

	for (size_t i = 0; i < n; i++) {
		struct device_config cfg = {
			.space = ad[i].space,
			.base = ad[i].base,
			.size = ad[i].size,
			.events = &vm->events,
			.slots = &vm->slots,
			.console = &vm->console,
			.boot_page = arch_boot_page(),
			.trigger = vm->env.trigger,
		};
		struct device *dev;
		int ret = 0;

		if (ad[i].irq)
			ret = build_irqfd(vm, ad[i].irq, &cfg.irq_fd, err);
		if (ret < 0)
			return ret;
		ret = device_create(&dev, ad[i].model, 0, &cfg, &vm->bus, err);
		if (ret < 0)
			return ret;
		vm->device[vm->devices++] = dev;
		if (!strcmp(ad[i].model, "event"))
			vm->event_device = dev;
		if (!strcmp(ad[i].model, "hvt"))
			vm->hvt = dev;
	}
	return 0;
}

static int find_section(const void *opaque, const char *section)
{
	const struct build_options *opt = opaque;

	for (int i = 0; i < opt->fd_count; i++)
		if (!strcmp(opt->fds[i].section, section))
			return opt->fds[i].fd;
	return -1;
}

/* [passthrough.NAME] */
static int build_passthrough(struct vm *vm, const struct build_options *opt,
			     struct mote_err *err)
{
	const struct arch_pci *pci = arch_pci();
	struct device *root;
	struct arch_virtio next;
	struct device_config cfg;
	int ret;

	if (vm->cfg->passthrough_count == 0)
		return 0;
	if (!pci || vm->cfg->vm.protocol != PROTOCOL_MOTE)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "passthrough.%s: only guests of protocol "
				     "mote on x86_64 in this version",
				     vm->cfg->passthrough[0].name);
	if (opt->rewind)
		return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
				     "passthrough.%s: a device can't go back "
				     "to a snapshot: no rewind, no pool",
				     vm->cfg->passthrough[0].name);
	/* Their pins are the last eight. */
	if (arch_virtio(config_virtio_count(vm->cfg), &next) &&
	    next.irq > IRQROUTE_PINS - CONFIG_PASSTHROUGHS_MAX)
		return err_set_class(err, ENOSPC, ERR_CLASS_DATA,
				     "passthrough.%s: %u virtio devices "
				     "leave no interrupts for it",
				     vm->cfg->passthrough[0].name,
				     config_virtio_count(vm->cfg));
	cfg = (struct device_config){
		.space = BUS_MMIO, .base = pci->ecam, .size = MIB};
	ret = device_create(&root, "pci", 0, &cfg, &vm->bus, err);
	if (ret < 0)
		return ret;
	vm->device[vm->devices++] = root;
	ret = passthrough_create(&vm->passthrough,
				 &(struct passthrough_options){
					 .cfg = vm->cfg,
					 .arch = pci,
					 .slots = &vm->slots,
					 .bus = &vm->bus,
					 .root = root,
					 .ioapic = vm->ioapic,
					 .routes = &vm->irqroutes,
					 .find = find_section,
					 .opaque = opt,
				 },
				 err);
	if (ret == 0) {
		vm->device_fds = passthrough_fds(vm->passthrough);
		vm->device_fds_used = (int)vm->cfg->passthrough_count;
		vm->track.more = passthrough_dirty;
		vm->track.more_opaque = vm->passthrough;
	}
	timeline_mark(vm->timeline, "devices passed through");
	return ret;
}

/* Sections whose devices this architecture has no place for. */
static int check_sections(const struct vm_config *c, struct mote_err *err)
{
	const char *kind = c->disk_count  ? "disk."
			   : c->net_count ? "net."
					  : "rng";
	const char *name = c->disk_count  ? c->disk[0].name
			   : c->net_count ? c->net[0].name
					  : "";
	unsigned int n = config_virtio_count(c);
	struct arch_virtio at;

	static const char *const names[] = {
		[PROTOCOL_AUTO] = "mote",   [PROTOCOL_PVH] = "pvh",
		[PROTOCOL_LINUX] = "linux", [PROTOCOL_MULTIBOOT] = "multiboot",
		[PROTOCOL_MOTE] = "mote",
	};
	const char *protocol = names[c->vm.protocol];

	if (c->vm.initrd &&
	    (is_ours(c->vm.protocol) || c->vm.protocol == PROTOCOL_HVT))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "vm.initrd: protocol %s takes none",
				     protocol ? protocol : "hvt");
	if (n == 0 || arch_virtio(n - 1, &at))
		return 0;
	if (arch_virtio(0, &at))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "%s%s: %u virtio devices, this version "
				     "has room for fewer",
				     kind, name, n);
	return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
			     "%s%s: this architecture has no virtio devices in "
			     "this version",
			     kind, name);
}

/* [snapshot] when and ready: who tells the moment. */
static int build_trigger(struct vm *vm, struct mote_err *err)
{
	static const enum trigger_on on[] = {
		[READY_MARK] = TRIGGER_MARK,
		[READY_IDLE] = TRIGGER_IDLE,
		[READY_CONSOLE] = TRIGGER_CONSOLE,
		[READY_AFTER] = TRIGGER_NEVER,
	};
	struct config_ready ready;

	vm->env.finish = vm->cfg->snapshot.when == SNAPSHOT_EXIT;
	if (vm->cfg->snapshot.when != SNAPSHOT_READY)
		return 0;
	if (config_parse_ready(vm->cfg->snapshot.ready, &ready) < 0)
		return err_set(err, EINVAL, "snapshot.ready");
	trigger_init(&vm->trigger, on[ready.on], ready.text, &vm->events);
	vm->after_ms = ready.on == READY_AFTER ? (int64_t)ready.ms : -1;
	vm->env.trigger = &vm->trigger;
	if (ready.on == READY_CONSOLE)
		vm->console.trigger = &vm->trigger;
	return 0;
}

static int build_parts(struct vm *vm, const struct build_options *opt,
		       struct mote_err *err)
{
	int ret = check_sections(vm->cfg, err);

	if (ret == 0)
		ret = open_kvm(vm, opt->kvm_fd, err);
	if (ret < 0)
		return ret;
	ret = event_init(&vm->events, err);
	if (ret == 0)
		ret = chardev_init(&vm->console, opt->console_in_fd,
				   opt->console_out_fd, &vm->events,
				   &vm->env.pace, err);
	if (ret == 0)
		ret = build_trigger(vm, err);
	/* Whoever reads these comes when he likes. */
	vm->console.keep = vm->cfg->console.type == CONSOLE_PTY ||
			   vm->cfg->console.type == CONSOLE_SOCKET;
	if (ret == 0)
		ret = arch_vm_create(&vm->arch, vm->kvm_fd, vm->cfg, opt->saved,
				     &vm->vm_fd, err);
	timeline_mark(vm->timeline, "VM created");
	if (ret < 0)
		return ret;
	memslot_init(&vm->slots, vm->vm_fd);
	vm->env.kvm_fd = vm->kvm_fd;
	vm->env.vm_fd = vm->vm_fd;
	ret = track_choose(&vm->track, vm->cfg->memory.dirty_tracking, err);
	if (ret == 0)
		ret = build_memory(vm, opt, err);
	timeline_mark(vm->timeline, "memory slots");
	if (ret == 0)
		ret = build_vcpus(vm, err);
	timeline_mark(vm->timeline, "vCPUs created");
	if (ret == 0)
		ret = build_platform(vm, err);
	if (ret == 0)
		ret = build_devices(vm, err);
	if (ret == 0)
		ret = build_generation(vm, err);
	if (ret == 0)
		ret = build_passthrough(vm, opt, err);
	if (ret == 0)
		ret = build_virtio(vm, opt, err);
	return ret;
}

int build_vm(struct vm **out, const struct build_options *opt,
	     struct mote_err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int ret;

	*out = NULL;
	if (!vm)
		return err_set(err, ENOMEM, "virtual machine");
	vm->cfg = opt->cfg;
	vm->log = opt->log;
	vm->timeline = opt->timeline;
	vm->kvm_fd = vm->vm_fd = -1;
	vm->events.fd = vm->device_fds = vm->generation_fd = -1;
	vm->dispatch_again_ms = -1;
	for (int i = 0; i < MEMSLOT_MAX; i++)
		vm->watched[i] = -1;
	pthread_mutex_init(&vm->table_lock, NULL);
	irqroutes_init(&vm->irqroutes, -1);
	memslot_init(&vm->slots, -1);
	track_init(&vm->track, &vm->slots);
	vm->env.bus = &vm->bus;
	vm->env.events = &vm->events;
	vm->env.arch_vm = &vm->arch;
	vm->env.thread_enter = opt->thread_enter;
	vm->env.opaque = opt->opaque;

	ret = build_parts(vm, opt, err);
	if (ret < 0) {
		vm_destroy(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

static void describe_console(struct mote_boot *boot,
			     const struct arch_device *d)
{
	static const struct {
		const char *model;
		enum mote_console type;
	} known[] = {
		{"8250", MOTE_CONSOLE_8250},
		{"pl011", MOTE_CONSOLE_PL011},
		{"hvc", MOTE_CONSOLE_HVC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].model, d->model) != 0)
			continue;
		boot->console_type = known[i].type;
		/* A terminal is called by number, not by address. */
		boot->console_base = d->space == BUS_HCALL ? 0 : d->base;
		boot->console_transport = (uint32_t)d->space;
	}
}

static uint32_t transport(enum bus_space space)
{
	switch (space) {
	case BUS_PIO:
		return MOTE_BY_PORT;
	case BUS_MMIO:
		return MOTE_BY_MMIO;
	default:
		return MOTE_BY_HCALL;
	}
}

/* Fill in the boot page: what the guest has and where. */
static int write_boot_page(struct vm *vm, uint64_t fdt, struct mote_err *err)
{
	const char *cmdline = vm->cfg->vm.cmdline ? vm->cfg->vm.cmdline : "";
	size_t n, len = strlen(cmdline) + 1;
	const struct arch_device *d = arch_devices(PROTOCOL_MOTE, &n);
	struct mote_boot boot = {
		.magic = MOTE_BOOT_MAGIC,
		.version = MOTE_ABI_VERSION,
		.vcpus = vm->vcpus,
		.generation = arch_generation_page(),
		.fdt = fdt,
		.pci = vm->passthrough ? arch_pci()->ecam : 0,
	};
	struct arch_virtio virtio;
	int ret;

	if (config_virtio_count(vm->cfg) && arch_virtio(0, &virtio)) {
		boot.virtio = virtio.base;
		boot.virtio_count = config_virtio_count(vm->cfg);
		boot.virtio_irq = virtio.irq;
	}
	if (len > MOTE_CMDLINE_SIZE)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "vm.cmdline: %zu bytes, protocol mote "
				     "takes %d",
				     len - 1, MOTE_CMDLINE_SIZE - 1);
	for (size_t i = 0; i < n; i++) {
		describe_console(&boot, &d[i]);
		if (!strcmp(d[i].model, "event")) {
			boot.event_base = d[i].base;
			boot.event_transport = transport(d[i].space);
		}
	}
	boot.console_transport = transport(boot.console_transport);
	for (int i = 0; i < MEMSLOT_MAX && boot.ram_count < MOTE_RAM_MAX; i++)
		if (vm->slots.slot[i].ram.addr)
			boot.ram[boot.ram_count++] =
				(struct mote_ram){vm->slots.slot[i].gpa,
						  vm->slots.slot[i].ram.size};
	ret = guest_write(&vm->slots, arch_boot_page(), &boot, sizeof(boot));
	if (ret == 0)
		ret = guest_write(&vm->slots,
				  arch_boot_page() + MOTE_CMDLINE_OFFSET,
				  cmdline, len);
	if (ret < 0)
		return err_set(err, -ret, "boot page: %s", strerror(-ret));
	return 0;
}

static int boot_mote(struct vm *vm, const struct elf_file *kernel,
		     struct mote_err *err)
{
	struct arch_boot boot = {.boot_page = arch_boot_page()};
	struct elf_image img = {0};
	uint64_t fdt = 0;
	int ret = elf_load(&vm->slots, kernel, arch_image_base(), &img, err);

	if (ret < 0)
		return ret;
	if (!img.has_note)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "no ELF note of owner \"mote\" or "
				     "\"Solo5\": not an image of a protocol "
				     "that this version runs");
	if (img.note_version != MOTE_ABI_VERSION)
		return err_set_class(err, ENOEXEC, ERR_CLASS_DATA,
				     "mote ABI version %u, this version runs "
				     "%u",
				     img.note_version, MOTE_ABI_VERSION);
	boot.entry = img.entry;
	boot.user_mode = img.note_flags & ELF_NOTE_RING3;
	timeline_mark(vm->timeline, "image loaded");

	ret = arch_boot_tables(&vm->arch, &vm->slots, vm->cfg, boot.user_mode,
			       &fdt, err);
	if (ret == 0)
		ret = write_boot_page(vm, fdt, err);
	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_boot(&vm->vcpu[i]->arch, &boot, err);
	return ret;
}

static int boot_image(struct vm *vm, const struct elf_file *kernel,
		      int initrd_fd, struct mote_err *err)
{
	struct arch_boot boot = {0};
	int ret = arch_image_load(&vm->arch, &vm->slots, vm->cfg, kernel,
				  initrd_fd, &boot, err);

	timeline_mark(vm->timeline, "image loaded");
	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_boot(&vm->vcpu[i]->arch, &boot, err);
	return ret;
}

/* Which contract an image is of: ours by their notes, then the others. */
static int find_protocol(struct elf_file *f, enum vm_protocol *protocol,
			 struct mote_err *err)
{
	int ret = 0;

	*protocol = PROTOCOL_MOTE;
	if (f->eh.e_machine == arch_elf_machine) {
		ret = solo5_probe(f, err);
		if (ret > 0)
			*protocol = PROTOCOL_HVT;
		if (ret == 0)
			ret = elf_own_note(f, err);
	}
	if (ret == 0)
		ret = arch_image_protocol(f, protocol, err);
	return ret < 0 ? ret : 0;
}

int build_open_kernel(struct elf_file *f, int fd, const char *name,
		      enum vm_protocol *protocol, struct mote_err *err)
{
	int ret = elf_open(f, fd, arch_elf_machine, err);

	if (ret == -ENOEXEC)
		ret = arch_image_open(f, fd, *protocol, err);
	if (ret == 0 && *protocol == PROTOCOL_AUTO)
		ret = find_protocol(f, protocol, err);
	return ret < 0 ? err_wrap(err, ret, "%s", name ? name : "kernel") : 0;
}

int build_boot(struct vm *vm, const struct build_options *opt,
	       const struct elf_file *kernel, struct mote_err *err)
{
	const char *name = vm->cfg->vm.kernel ? vm->cfg->vm.kernel : "kernel";
	int ret;

	if (vm->hvt)
		ret = build_hvt_boot(vm, opt, kernel, err);
	else if (is_ours(vm->cfg->vm.protocol))
		ret = boot_mote(vm, kernel, err);
	else
		ret = boot_image(vm, kernel, opt->initrd_fd, err);
	if (ret < 0)
		return err_wrap(err, ret, "%s", name);
	timeline_mark(vm->timeline, "registers set");
	return 0;
}

int build_vcpu_filter(const struct vm *vm, int vcpu_fd, enum sandbox_mode mode)
{
	const int fd[SANDBOX_FDS] = {
		[SANDBOX_FD_VCPU] = vcpu_fd,
		[SANDBOX_FD_EVENTS] = vm->events.fd,
		[SANDBOX_FD_BLOCK] = vm->device_fds,
		[SANDBOX_FD_UFFD] = -1,
		[SANDBOX_FD_VM] = vm->vm_fd,
		[SANDBOX_FD_IRQ] = arch_irq_fd(&vm->arch),
	};

	return sandbox_filter_load(vm->hvt	     ? SANDBOX_VCPU_HVT
				   : vm->passthrough ? SANDBOX_VCPU_PCI
				   : vm->ioapic || vm->device_fds >= 0
					   ? SANDBOX_VCPU_DEV
					   : SANDBOX_VCPU,
				   mode, fd);
}
