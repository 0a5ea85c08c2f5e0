/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_abi.h - the mote guest contract, version 1 (docs/GUEST-ABI.md).
 *
 * Included by the machine and by guests; freestanding C only.  All fields
 * are in the guest's byte order, which is little-endian everywhere.
 */
#ifndef VMM_BASE_GUEST_ABI_H
#define VMM_BASE_GUEST_ABI_H

#include <stdint.h>

#define MOTE_ABI_VERSION 1u
#define MOTE_BOOT_MAGIC	 0x746f6f4265746f6dull /* "moteBoot" */
#define MOTE_RAM_MAX	 8

/* How the event device and the console are reached. */
enum mote_transport {
	MOTE_BY_PORT = 1,  /* x86_64: 32-bit IN and OUT (console: 8-bit) */
	MOTE_BY_MMIO = 2,  /* arm64: 32-bit loads and stores */
	MOTE_BY_HCALL = 3, /* ppc64le: hypercalls */
};

/* What stands behind console_base. */
enum mote_console {
	MOTE_CONSOLE_8250 = 1,
	MOTE_CONSOLE_PL011 = 2,
	MOTE_CONSOLE_HVC = 3, /* H_PUT_TERM_CHAR, console_base: terminal */
};

struct mote_ram {
	uint64_t base, size; /* bytes */
};

#define MOTE_CMDLINE_OFFSET 0x400
#define MOTE_CMDLINE_SIZE   0xc00 /* with the NUL */

/* The boot page: 4096 bytes at the address that the guest is handed. */
struct mote_boot {
	uint64_t magic;
	uint32_t version;
	uint32_t vcpus;
	uint64_t generation; /* gpa of struct mote_generation */
	uint64_t fdt;	     /* gpa of a device tree, 0: none */
	uint32_t event_transport, console_transport;
	uint64_t event_base, console_base;
	uint32_t console_type;
	uint32_t ram_count;
	struct mote_ram ram[MOTE_RAM_MAX];
	/* The bits of MOTE_REG_EVENTS, to poll without an exit. */
	uint32_t events;
	uint32_t reserved;
	uint64_t pci; /* gpa of PCI configuration space, bus 0; 0: none */
	/*
	 * virtio_count virtio-mmio devices: the first at that gpa, the others
	 * MOTE_VIRTIO_SIZE after each other; the first one's interrupt (a pin
	 * of the I/O APIC; arm64: a shared one), the others' follow.
	 */
	uint64_t virtio;
	uint32_t virtio_count, virtio_irq;
};
#define MOTE_VIRTIO_SIZE 0x1000

/* The generation page: new at every boot and for every clone. */
struct mote_generation {
	uint64_t count; /* rises by one whenever the rest is new */
	uint8_t id[16];
	uint8_t seed[32];	/* fresh random bytes, use once */
	int64_t wall_delta_ns;	/* how far the wall clock jumped */
	uint64_t wall_clock_ns; /* since 1970 UTC, when this was written */
};

/* Registers of the event device: offsets, 32 bits wide. */
enum mote_reg {
	MOTE_REG_MAGIC = 0x00,	 /* R: MOTE_EVENT_MAGIC */
	MOTE_REG_VERSION = 0x04, /* R: MOTE_ABI_VERSION */
	MOTE_REG_READY = 0x08,	 /* W: the guest is up */
	MOTE_REG_EXIT = 0x0c,	 /* W: end with this code (low 8 bits) */
	MOTE_REG_EVENTS = 0x10,	 /* R: MOTE_EVENT_*; W: acknowledge bits */
	MOTE_REG_WAIT = 0x14,	 /* W: sleep up to this many milliseconds */
};
#define MOTE_REG_SPAN	  0x20
#define MOTE_EVENT_MAGIC  0x65746f6du /* "mote" */
#define MOTE_EVENT_STOP	  (1u << 0)   /* please end (SIGTERM) */
#define MOTE_EVENT_NEWGEN (1u << 1)   /* the generation page is new */

/* ppc64le: r4 = register; read returns its value in r4, write takes r5. */
#define MOTE_HCALL_READ	 0xf6d0u
#define MOTE_HCALL_WRITE 0xf6d4u

/*
 * ppc64le: tokens of RTAS calls, the device tree's, for guests that do not
 * read it.  H_RTAS: r4 = address of the argument block.
 */
#define MOTE_HCALL_RTAS 0xf000u
enum mote_rtas {
	MOTE_RTAS_FIRST = 0x2000,
	MOTE_RTAS_POWER_OFF = MOTE_RTAS_FIRST,
	MOTE_RTAS_SYSTEM_REBOOT,
	MOTE_RTAS_GET_TIME_OF_DAY,
	MOTE_RTAS_START_CPU,
	MOTE_RTAS_STOP_SELF,
	MOTE_RTAS_QUERY_CPU,
	MOTE_RTAS_SET_XIVE, /* the last four: with an interrupt controller */
	MOTE_RTAS_GET_XIVE,
	MOTE_RTAS_INT_ON,
	MOTE_RTAS_INT_OFF,
	MOTE_RTAS_END,
};

#endif
