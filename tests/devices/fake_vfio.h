/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_vfio.h - a kernel's VFIO as far as mote asks it, or a stone in the way
 * of the real one.
 *
 * The test programs are linked with --wrap=vfio_ioctl.  With fake_vfio.on
 * unset calls go to the kernel; fail_at makes the n-th call from now on fail,
 * in both cases.  The model follows drivers/vfio/vfio_iommu_type1.c and
 * drivers/iommu/iommufd of Linux 6.12 and refuses what they refuse.  Threads:
 * one.  Each test is a process.
 */
#ifndef TESTS_DEVICES_FAKE_VFIO_H
#define TESTS_DEVICES_FAKE_VFIO_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_MAPS   64
#define FAKE_PAGES  4096 /* the model's RAM, from address 0 on */
#define FAKE_PAGE   4096u
#define FAKE_REGION (UINT64_C(1) << 20)

struct fake_vfio {
	bool on;
	int calls;   /* so far */
	int fail_at; /* that call fails, 0: none */
	int fail_with;
	unsigned long failed; /* its request; 0: it did not come to that */
	unsigned long refuse; /* every call with this request fails so */
	int refuse_not;	      /* but on this descriptor (unless 0) */

	/* What the host has. */
	bool viable, no_type1, no_dirty;
	uint64_t bitmap_max; /* bytes */
	uint64_t gap_first, gap_last;
	uint32_t avail;
	bool hwpt_dirty; /* the IOMMU can log */
	bool device_logs;
	uint32_t log_ranges_max;
	uint64_t mig_flags;

	/* What mote made of it. */
	int container_fd; /* once it was asked for its version */
	int groups, attached, hwpts, ioas, maps;
	struct {
		uint64_t iova, size;
	} map[FAKE_MAPS];
	int tracking;	     /* type1, or page tables that log */
	uint32_t log_ranges; /* of the device; 0: it does not log */
	uint64_t log_first, log_last;
	int gets, resets;
	bool seen_full_bitmap; /* a bitmap was not zeroed for us */

	/* Pages: dirty once, held by pins; all: an IOMMU-backed group. */
	uint8_t dirty[FAKE_PAGES], held[FAKE_PAGES], logged[FAKE_PAGES];
	bool all;

	/* A device's state. */
	int state, data_fd;
	uint64_t initial_bytes;
	uint64_t state_bytes; /* told of one without pre-copy, unless 0 */
	int precopies;	      /* times that it entered PRE_COPY */
	bool mig_error;	      /* the next change of state ends in ERROR */
	int mig_error_to;     /* only one to this state (unless 0) */

	/*
	 * A PCI function, where pci_fd is not -1: region i begins at
	 * i * FAKE_REGION of that file.
	 */
	int pci_fd;
	uint64_t bar[6]; /* bytes */
	uint32_t bar_flags[6];
	uint32_t irqs[3]; /* INTx, MSI, MSI-X */
	int irq_index;	  /* as armed; -1: none */
	uint32_t irq_count;
	int irq_fd[64];
	int irq_refused; /* times that it was asked for what it has not */
};
extern struct fake_vfio fake_vfio;

/* A host on which everything works, and nothing used. */
void fake_vfio_start(void);

/* Nothing attached, mapped, allocated or tracked. */
bool fake_vfio_idle(void);

#endif
