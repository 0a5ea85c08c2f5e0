/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch.h - what every architecture provides to the machine.
 *
 * arch/$(ARCH)/ defines all of these; which one is linked is the choice.
 * Threads: the VM thread, vCPUs parked, except arch_vcpu_exit (the vCPU's
 * own thread).  A function that is not written returns -ENOTSUP in words.
 */
#ifndef VMM_ARCH_ARCH_H
#define VMM_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch_types.h"	   /* arch/$(ARCH): struct arch_vm, struct arch_vcpu */
#include "config/config.h" /* enum vm_protocol */
#include "memory/bus.h"

struct elf_file;
struct event_queue;
struct kvm_run;
struct memslot_table;
struct mote_err;
struct snap_reader;
struct snap_section;
struct snap_writer;
struct solo5_image;
struct vm_config;

/* --- what it is --------------------------------------------------------- */

extern const char arch_name[];		   /* "x86_64", "arm64", "ppc64le" */
extern const uint16_t arch_elf_machine;	   /* EM_* of its images */
extern const unsigned int arch_config_bit; /* CONFIG_ARCH_* */

/* --- memory map --------------------------------------------------------- */

struct arch_ram {
	uint64_t gpa, size;
};
#define ARCH_RAM_MAX 2

/*
 * Where size bytes of RAM go under that contract (hvt: all from 0, else this
 * version's map); how many regions, or -EINVAL: too much, or no multiple of
 * the contract's grain.
 */
int arch_ram_layout(enum vm_protocol protocol, uint64_t size,
		    struct arch_ram ram[ARCH_RAM_MAX]);

/* The lowest guest address an image may load to; below lies our own. */
uint64_t arch_image_base(void);

/* A device that every machine of that contract has, and where. */
struct arch_device {
	const char *model; /* name in devices/registry.c */
	enum bus_space space;
	uint64_t base, size;
	uint32_t irq; /* as build_irq counts them; 0: none */
};
const struct arch_device *arch_devices(enum vm_protocol protocol,
				       size_t *count);

/*
 * Where a PCI root bus goes: configuration space of one bus (1 MiB), windows
 * for BARs, 64-bit ones from high on or above RAM.
 * NULL: not here.
 */
struct arch_pci {
	uint64_t ecam;
	uint64_t mmio, mmio_size;
	uint64_t high, high_size;
	uint64_t ports, ports_size;
};
const struct arch_pci *arch_pci(void);

/* Where an I/O APIC of ours goes; 0: KVM has the interrupt controller. */
uint64_t arch_ioapic(void);

/*
 * Where the n-th virtio-mmio device goes: ARCH_VIRTIO_SIZE bytes at base, and
 * its edge-triggered interrupt as build_irq counts them.  False: there is no
 * room for so many, or none at all here.
 */
#define ARCH_VIRTIO_SIZE 0x1000
struct arch_virtio {
	uint64_t base;
	uint32_t irq;
};
bool arch_virtio(unsigned int n, struct arch_virtio *out);

/* --- the VM ------------------------------------------------------------- */

/*
 * Create the KVM VM of the right type: *vm_fd.  Before any slot or vCPU:
 * interrupt controller mode, hash table.  arch_vm_fini undoes (half-built
 * too) and runs before the VM's descriptor is closed.  saved: the state that
 * will be loaded into it, which arch_host_check has seen; NULL: none.
 */
int arch_vm_create(struct arch_vm *a, int kvm_fd, const struct vm_config *cfg,
		   const struct snap_reader *saved, int *vm_fd,
		   struct mote_err *err);
void arch_vm_fini(struct arch_vm *a);

/*
 * After all vCPUs exist: in-kernel interrupt controllers.  slots: the guest's
 * memory, which outlives a.
 */
int arch_vm_ready(struct arch_vm *a, struct memslot_table *slots,
		  struct mote_err *err);

/* --- a vCPU ------------------------------------------------------------- */

/*
 * CPUID, features, firmware version, ...: before its first run.  fd and run
 * (its kvm_run) stay the caller's.
 */
int arch_vcpu_init(struct arch_vcpu *v, struct arch_vm *a, int fd,
		   struct kvm_run *run, uint32_t id, struct mote_err *err);
void arch_vcpu_fini(struct arch_vcpu *v);

enum arch_exit {
	ARCH_EXIT_DONE,	   /* handled, run on */
	ARCH_EXIT_END,	   /* the guest ended; an event was posted */
	ARCH_EXIT_UNKNOWN, /* not one of this architecture's */
	ARCH_EXIT_STOPPED, /* handled; arch_vcpu_stopped until another vCPU
			      starts it: its thread waits */
	ARCH_EXIT_OTHERS,  /* handled; the other vCPUs shall pass by
			      arch_vcpu_enter */
};

/*
 * Does it wait to be started by another vCPU, by a call that KVM leaves to
 * us?  Any thread.
 */
bool arch_vcpu_stopped(struct arch_vcpu *v);

/*
 * Before it enters the guest, after a kick and after it was started: set the
 * registers that other vCPUs' calls have asked for.  Its own thread; 0 or
 * -errno.
 */
int arch_vcpu_enter(struct arch_vcpu *v);

/*
 * An exit that the neutral loop does not know (hypercalls, ...).  *wait_ms:
 * how long the vCPU shall sleep before it goes on, as bus_write says.
 */
enum arch_exit arch_vcpu_exit(struct arch_vcpu *v, struct kvm_run *run,
			      const struct bus *bus, struct event_queue *events,
			      uint32_t *wait_ms);

/*
 * KVM's descriptor of an interrupt controller that the exits of vCPUs set up;
 * -1: KVM does it all by itself.
 */
int arch_irq_fd(const struct arch_vm *a);

/* --- boot, mote contract (docs/GUEST-ABI.md) ----------------------------- */

struct arch_boot {
	uint64_t entry;	    /* guest-physical */
	uint64_t boot_page; /* gpa of struct mote_boot, handed to the guest */
	bool user_mode;	    /* x86_64: enter in ring 3 */
	/* x86_64, of arch_image_load: the registers that it is entered with */
	enum vm_protocol protocol;
	bool wide; /* in long mode, else in protected mode without paging */
};

/* gpa of the boot page and the generation page, before any RAM is used. */
uint64_t arch_boot_page(void);
uint64_t arch_generation_page(void);

/*
 * Do the tables of such a guest say where the id in the generation page is?
 * *irq: what tells it that there is a new one.
 */
bool arch_vmgenid(const struct vm_config *cfg, uint32_t *irq);

/*
 * Tables in RAM (page tables, device tree); *fdt: its gpa or 0.  user_mode:
 * as of the entry; the tables are out of the guest's reach then.
 */
int arch_boot_tables(struct arch_vm *a, struct memslot_table *slots,
		     const struct vm_config *cfg, bool user_mode, uint64_t *fdt,
		     struct mote_err *err);

/* Registers at entry; vCPUs but 0 wait for the architecture's start call. */
int arch_vcpu_boot(struct arch_vcpu *v, const struct arch_boot *boot,
		   struct mote_err *err);

/* --- boot, others' contracts: Linux, PVH, Multiboot ---------------------- */

/*
 * An image that elf_open did not take: is it one of those all the same?  Then
 * 0, and of a file that is no ELF file *f has only fd and size.  -ENOEXEC
 * without a word in *err: it is not; with one: it is, and broken.
 */
int arch_image_open(struct elf_file *f, int fd, enum vm_protocol protocol,
		    struct mote_err *err);

/* 1 and which contract an image is of that is none of ours, 0: none known. */
int arch_image_protocol(const struct elf_file *f, enum vm_protocol *protocol,
			struct mote_err *err);

/*
 * By cfg's protocol: load the kernel, the initrd (-1: none) and the tables
 * beside it.  boot: entry, and in boot_page what its first register holds;
 * then arch_vcpu_boot.  -ENOTSUP: not here.
 */
int arch_image_load(struct arch_vm *a, struct memslot_table *slots,
		    const struct vm_config *cfg, const struct elf_file *kernel,
		    int initrd_fd, struct arch_boot *boot,
		    struct mote_err *err);

/* --- boot, Solo5 hvt contract (base/hvt_abi.h); -ENOTSUP: not here ---------
 */

/* gpa of struct hvt_boot_info; manifest and command line follow it. */
uint64_t arch_hvt_boot_info(void);

/* Page tables over memory bytes of RAM, as the image's segments ask. */
int arch_hvt_tables(struct memslot_table *slots, const struct solo5_image *img,
		    uint64_t memory, struct mote_err *err);

/* Registers at entry; *hz: how fast the guest's cycle counter runs. */
int arch_hvt_entry(struct arch_vcpu *v, uint64_t entry, uint64_t memory,
		   uint64_t *hz, struct mote_err *err);

/*
 * Where a vCPU that does not run stands, and the name of that register; for
 * messages.  Also allowed to the filter of the VM thread.
 */
int arch_vcpu_pc(struct arch_vcpu *v, uint64_t *pc, const char **name);

/*
 * A vCPU's registers as a core file's NT_PRSTATUS (struct elf_prstatus) into
 * buf; trap: where an aborted hvt guest noted its trap (HVT_COOKIE_SIZE
 * bytes) or NULL.  The length, or -errno.
 */
#define ARCH_PRSTATUS_MAX 512
int arch_prstatus(struct arch_vcpu *v, const void *trap,
		  uint8_t buf[ARCH_PRSTATUS_MAX]);

/*
 * What doctor says of this architecture: f once for each thing, with words
 * and whether there is any.  vcpu_fd: one of the VM a, not initialised.
 */
void arch_doctor(struct arch_vm *a, int vcpu_fd,
		 void (*f)(const void *opaque, const char *name, bool ok,
			   const char *detail, const char *cost),
		 const void *opaque);

/* --- state --------------------------------------------------------------- */

/*
 * Sections of the VM.  Load runs after the slots and before any vCPU is
 * loaded; the irq pair after them (interrupt controllers).  All vCPUs are
 * parked.  What derives from a clock is held as loaded until arch_*_commit,
 * just before the first run, so that save after load gives the same bytes.
 * diff: what is large may be saved as changes to the last state that was
 * kept (arch_vm_saved) or loaded.
 */
int arch_vm_save(struct arch_vm *a, bool diff, struct snap_writer *w,
		 struct mote_err *err);
void arch_vm_saved(struct arch_vm *a, bool kept);
int arch_vm_load(struct arch_vm *a, struct snap_reader *r,
		 struct mote_err *err);
int arch_irq_save(struct arch_vm *a, struct snap_writer *w,
		  struct mote_err *err);
int arch_irq_load(struct arch_vm *a, struct snap_reader *r,
		  struct mote_err *err);
int arch_vcpu_save(struct arch_vcpu *v, struct snap_writer *w,
		   struct mote_err *err);
int arch_vcpu_load(struct arch_vcpu *v, struct snap_reader *r,
		   struct mote_err *err);

/*
 * Ahead of a save, while the guest runs: look at what is large for about
 * budget_ns, so that the save has little to do.  1: once through; 0: there is
 * more.
 */
int arch_vm_follow(struct arch_vm *a, uint64_t budget_ns, struct mote_err *err);

/*
 * The hashed page table as a stream (arch/common/hpt_stream.h; *out is
 * malloc'd) of the entries from first on; bolted: the others as invalid.
 * -ENOTSUP: there is none.
 */
int arch_hpt_read(struct arch_vm *a, uint64_t first, bool bolted, void **out,
		  size_t *len, struct mote_err *err);

/*
 * A vCPU that will be rewound (snapshot/rewind.h): after its load, remember
 * what is needed to bring the loaded state back with few calls.  Then
 * arch_vcpu_rewind is arch_vcpu_load of the same section once more.  whole: the
 * guest crashed, which may have changed more than it could by running.
 */
int arch_vcpu_remember(struct arch_vcpu *v, const struct memslot_table *slots,
		       struct mote_err *err);
int arch_vcpu_rewind(struct arch_vcpu *v, struct snap_reader *r, bool whole,
		     struct mote_err *err);
void arch_vcpu_forget(struct arch_vcpu *v);

int arch_vm_commit(struct arch_vm *a, struct mote_err *err);
int arch_vcpu_commit(struct arch_vcpu *v, struct mote_err *err);

/*
 * Does this KVM (its device) have what s, one section of a saved state, needs?
 * Refused by name, before there is a VM of the guest's.  What only a VM can
 * tell, its load tells, or a bare one that is gone before this returns.
 * values: will it take all values too?  That lasts as long as a load.
 */
int arch_host_check(int kvm_fd, const struct snap_reader *saved,
		    const struct snap_section *s, bool values,
		    struct mote_err *err);

/*
 * One line that names the CPU for the manifest ("EPYC family 25 ..."),
 * into buf; never empty.
 */
void arch_cpu_model(char *buf, size_t len);

#endif
