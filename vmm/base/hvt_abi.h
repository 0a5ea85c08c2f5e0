/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt_abi.h - the Solo5 hvt guest contract, ABI 2, as numbers and layouts.
 *
 * What a Solo5 unikernel built for the target "hvt" has in its ELF notes,
 * finds at entry and passes to a hypercall.  Included by the machine and by
 * our own guests; freestanding C only.  Fields are in the guest's byte
 * order, little-endian.  Source: Solo5, include/solo5/{elf,mft,hvt}_abi.h.
 */
#ifndef VMM_BASE_HVT_ABI_H
#define VMM_BASE_HVT_ABI_H

#include <stdint.h>

#define HVT_ABI_VERSION	 2u
#define HVT_IMAGE_BASE	 0x100000ull
#define HVT_CMDLINE_SIZE 8192u	/* with the NUL */
#define HVT_PORT	 0x500u /* x86_64: 32-bit OUT to this + number */
#define HVT_MMIO	 0x100000000ull /* arm64: 32-bit store, number << 3 */
#define HVT_MEMORY_GRAIN 0x200000ull	/* RAM is a multiple of this */
#define HVT_COOKIE_SIZE	 512u

/* --- ELF notes of owner "Solo5" ------------------------------------------ */

#define SOLO5_NOTE_OWNER    "Solo5"
#define SOLO5_NOTE_ABI	    0x31494241u /* "ABI1" */
#define SOLO5_NOTE_MANIFEST 0x3154464du /* "MFT1" */

enum solo5_target {
	SOLO5_TARGET_HVT = 1,
	SOLO5_TARGET_SPT = 2,
	SOLO5_TARGET_VIRTIO = 3,
	SOLO5_TARGET_MUEN = 4,
	SOLO5_TARGET_GENODE = 5,
	SOLO5_TARGET_XEN = 6,
};

struct solo5_abi {
	uint32_t target; /* enum solo5_target */
	uint32_t version;
	uint32_t reserved[2];
};

enum solo5_device {
	SOLO5_BLOCK = 1,
	SOLO5_NET = 2,
	SOLO5_RESERVED_FIRST = 1 << 30, /* what entry 0 is */
};

#define SOLO5_MFT_VERSION 1u
#define SOLO5_MFT_MAX	  64 /* entries, the reserved first included */
#define SOLO5_NAME_SIZE	  68 /* with the NUL */

/* One device that the guest declares; the machine fills in the rest. */
struct solo5_mft_entry {
	char name[SOLO5_NAME_SIZE];
	uint32_t type; /* enum solo5_device */
	union {
		struct {
			uint64_t capacity;   /* bytes */
			uint16_t block_size; /* bytes */
		} block;
		struct {
			uint8_t mac[6];
			uint16_t mtu;
		} net;
		uint64_t words[2];
	} u;
	uint64_t host;	  /* the machine's own; not the guest's business */
	uint8_t attached; /* boolean */
	uint8_t reserved[7];
};

struct solo5_mft {
	uint32_t version;
	uint32_t entries;
	struct solo5_mft_entry e[SOLO5_MFT_MAX];
};

_Static_assert(sizeof(struct solo5_mft_entry) == 104, "manifest entry");
_Static_assert(__builtin_offsetof(struct solo5_mft_entry, u) == 72, "entry");
_Static_assert(__builtin_offsetof(struct solo5_mft_entry, attached) == 96,
	       "manifest entry");
_Static_assert(__builtin_offsetof(struct solo5_mft, e) == 8, "manifest");

/* --- at entry -------------------------------------------------------------
 */

/* Its address is the entry point's only argument. */
struct hvt_boot_info {
	uint64_t mem_size;	 /* bytes of RAM, from 0 */
	uint64_t kernel_end;	 /* the first address after the image */
	uint64_t cpu_cycle_freq; /* Hz of TSC or CNTVCT */
	uint64_t cmdline;	 /* address of the command line */
	uint64_t mft;		 /* address of the manifest */
};

/* --- hypercalls: the argument is the address of one of these ----------------
 */

enum hvt_call {
	HVT_WALLTIME = 1,
	HVT_PUTS = 2,
	HVT_POLL = 3,
	HVT_BLOCK_WRITE = 4,
	HVT_BLOCK_READ = 5,
	HVT_NET_WRITE = 6,
	HVT_NET_READ = 7,
	HVT_HALT = 8,
	HVT_CALLS,
};

enum hvt_result {
	HVT_OK = 0,
	HVT_AGAIN = 1,	/* nothing to read now */
	HVT_EINVAL = 2, /* bad handle, offset or length */
	HVT_EUNSPEC = 3,
};

struct hvt_walltime {
	uint64_t nsecs; /* out: since 1970 UTC */
};

struct hvt_puts {
	uint64_t data, len;
};

struct hvt_poll {
	uint64_t timeout_nsecs; /* from now */
	uint64_t ready_set;	/* out: bit = index in the manifest */
	int32_t ret;		/* out: how many bits */
	uint32_t pad;
};

struct hvt_block {
	uint64_t handle, offset, data, len;
	int32_t ret; /* out: enum hvt_result */
	uint32_t pad;
};

struct hvt_net {
	uint64_t handle, data;
	uint64_t len; /* read: out too */
	int32_t ret;  /* out: enum hvt_result */
	uint32_t pad;
};

struct hvt_halt {
	uint64_t cookie; /* 0, or HVT_COOKIE_SIZE bytes for a core file */
	int32_t exit_status;
	uint32_t pad;
};

#define HVT_STATUS_ABORT 255

/* What the cookie of an aborted x86_64 guest points to. */
struct hvt_trap_x86 {
	uint64_t cr2, error, rip, cs, rflags, rsp, ss;
};

#endif
