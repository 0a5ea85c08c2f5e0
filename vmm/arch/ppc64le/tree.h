/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the device tree of a ppc64le guest.  A pure builder.
 *
 * Source: LoPAR 1.1, appendix B (nodes and properties), 7.2 (RTAS), 14.5.4.2
 * (ibm,hypertas-functions); Devicetree Specification 0.4, chapter 3.
 */
#ifndef VMM_ARCH_PPC64LE_TREE_H
#define VMM_ARCH_PPC64LE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arch_vm;
struct mote_err;

/* What the host's processor is like: kvm_host.c asks. */
#define TREE_PAGE_SIZES 8

struct tree_page_size {
	uint32_t shift;
	uint32_t encoding; /* in an HPTE */
};

struct tree_segment {
	uint32_t shift;	   /* its base page size; 0: no more segments */
	uint32_t encoding; /* in an SLB entry */
	struct tree_page_size page[TREE_PAGE_SIZES]; /* until shift 0 */
};

struct tree_host {
	uint32_t pvr;
	uint32_t timebase_hz;
	uint32_t dcache_line, icache_line, dcache_size, icache_size;
	uint32_t slb_size;
	bool terabyte; /* segments of 1 TiB */
	struct tree_segment segment[TREE_PAGE_SIZES];
	bool transactions; /* guests may use them */
	/* Of radix trees: page sizes as AP << 29 | shift; until 0. */
	uint32_t radix_page[TREE_PAGE_SIZES];
};

/* Ask KVM and the C library; what they can't tell gets POWER's usual. */
void tree_host(const struct arch_vm *a, struct tree_host *h);

/* What the tree says; gpa 0: there is none. */
struct tree {
	struct tree_host host;
	uint32_t vcpus, hpt_order;
	bool radix, xics;
	uint32_t xive;	      /* its sources; 0: not in XIVE's native mode */
	uint64_t page;	      /* of the host */
	uint64_t memory, rma; /* real mode reaches that much of it */
	const char *cmdline;
	uint64_t rtas, rtas_size;
	uint64_t initrd, initrd_end;
};

/* Into size bytes at buf: the tree's length or -errno. */
int tree_build(const struct tree *t, void *buf, size_t size,
	       struct mote_err *err);

/*
 * RTAS as the tree's linux,rtas-entry wants it: big-endian code that makes
 * the hypercall, whatever the caller's byte order.
 */
#define TREE_RTAS_CODE 20
extern const uint8_t tree_rtas_code[TREE_RTAS_CODE];

#endif
