/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_vfio_dirty.c - a device writes guest memory: who notices?
 *
 * QEMU's edu device writes a page of a running guest's RAM through the
 * emulated IOMMU.  KVM's log must not have it, VFIO's bitmap must, and the
 * tracker must return the union, each page in its class.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/common/elf.h"
#include "base/bitmap.h"
#include "base/num.h"
#include "build.h"
#include "config/config.h"
#include "devices/vfio/dirty.h"
#include "devices/vfio/space.h"
#include "memory/dirty.h"
#include "memory/guestmem.h"
#include "vfio/labdev.h"
#include "vfio/pci.h"
#include "vm.h"

#define EDU_SRC	   0x80
#define EDU_DST	   0x88
#define EDU_COUNT  0x90
#define EDU_CMD	   0x98
#define EDU_RUN	   1u
#define EDU_TO_RAM 2u
#define EDU_BUFFER 0x40000u
#define FROM_GPA   0x800000ull
#define TO_GPA	   0x900000ull
#define FORCED_GPA 0xa00000ull
#define BYTES	   2048u

static void reg(struct vfio_pci *d, int off, uint64_t val)
{
	volatile uint32_t *bar = d->bar0.addr;

	bar[off / 4] = (uint32_t)val;
	bar[off / 4 + 1] = (uint32_t)(val >> 32);
}

static void edu_dma(struct vfio_pci *d, uint64_t from, uint64_t to,
		    uint32_t command)
{
	volatile uint32_t *bar = d->bar0.addr;

	reg(d, EDU_SRC, from);
	reg(d, EDU_DST, to);
	reg(d, EDU_COUNT, BYTES);
	reg(d, EDU_CMD, command | EDU_RUN);
	for (int i = 0; i < 4000 && (bar[EDU_CMD / 4] & EDU_RUN); i++)
		usleep(1000);
	cr_assert_eq(bar[EDU_CMD / 4] & EDU_RUN, 0, "the DMA did not end");
}

/* A source that reports one page: what a device that can pin would. */
static int forced_harvest(void *opaque, int slot, uint64_t gpa, uint64_t pages,
			  uint64_t *bitmap, enum dirty_class *class,
			  struct mote_err *err)
{
	(void)opaque;
	(void)slot;
	(void)pages;
	(void)err;
	*class = DIRTY_DEVICE;
	bitmap_set(bitmap, (FORCED_GPA - gpa) / host_page_size());
	return 0;
}

static int nothing(void *opaque, struct mote_err *err)
{
	(void)opaque;
	(void)err;
	return 0;
}

static struct vm *make_guest(struct vm_config *cfg)
{
	const char *dir = getenv("MOTE_GUESTS");
	struct build_options opt = {.cfg = cfg,
				    .kvm_fd = -1,
				    .console_in_fd = -1,
				    .console_out_fd = -1,
				    .memory_fd = -1,
				    .pagemap_fd = -1,
				    .uffd_fd = -1};
	enum vm_protocol protocol = PROTOCOL_MOTE;
	struct mote_err err = {0};
	struct elf_file kernel;
	char path[PATH_MAX];
	struct vm *vm;
	int fd;

	config_init(cfg);
	cfg->vm.memory = 16 * MIB;
	snprintf(path, sizeof(path), "%s/counter.elf",
		 dir ? dir : "build/guests");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(build_vm(&vm, &opt, &err), 0, "%s", err.msg);
	cr_assert_eq(build_open_kernel(&kernel, fd, path, &protocol, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(build_boot(vm, &opt, &kernel, &err), 0, "%s", err.msg);
	close(fd);
	return vm;
}

/* Let the guest count for a moment, then stop it at a safe point. */
static void run_guest(struct vm *vm)
{
	struct mote_err err = {0};

	cr_assert_eq(vm_start(vm, false, &err), 0, "%s", err.msg);
	for (int i = 0; i < 500 && !vm->ready; i++) {
		usleep(10000);
		vm_dispatch(vm);
	}
	cr_assert(vm->ready, "the guest did not get ready");
	usleep(100000);
	cr_assert_eq(vm_pause(vm, &err), 0, "%s", err.msg);
}

Test(vfio_dirty, dma_is_in_vfios_bitmap_and_not_in_kvms_log)
{
	struct dirty_source forced = {.name = "forced",
				      .start = nothing,
				      .harvest = forced_harvest,
				      .stop = nothing};
	struct vfio_space s;
	struct dirty_tracker t;
	struct mote_err err = {0};
	struct vm_config cfg;
	struct vfio_pci edu;
	struct vfio_dev dev;
	uint64_t raw[64] = {0};
	uint8_t want[BYTES];
	char name[64];
	struct vm *vm;
	int group;

	group = lab_edu_group(name);
	if (group < 0)
		cr_skip_test("no edu device with an IOMMU group on this host");
	cr_assert_eq(vfio_space_open_type1(&s, lab_container(), group, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(s.type1.dirty_page_size, 4096);
	cr_assert_eq(vfio_pci_open(&edu, group, name, &err), 0, "%s", err.msg);
	vm = make_guest(&cfg);
	cr_assert_eq(vfio_dev_init(&dev, edu.fd, false, name, &err), 0, "%s",
		     err.msg);
	cr_assert_eq(dev.states, 0, "edu can't be migrated");
	cr_assert_eq(vfio_space_add(&s, &dev, &err), 0);
	cr_assert_eq(dev.log, VFIO_LOG_TYPE1, "edu can't log its writes");
	cr_assert_eq(vfio_space_map(&s, &vm->slots, &err), 0, "%s", err.msg);

	for (unsigned int i = 0; i < BYTES; i++)
		want[i] = (uint8_t)(i * 7 + 1);
	cr_assert_eq(guest_write(&vm->slots, FROM_GPA, want, BYTES), 0);

	cr_assert_eq(dirty_init(&t, &vm->slots, &err), 0, "%s", err.msg);
	cr_assert_eq(vfio_dirty_add(&s, &t, &err), 0);
	cr_assert_eq(dirty_add_source(&t, &forced, &err), 0);
	cr_assert_eq(dirty_start(&t, &err), 0, "%s", err.msg);
	/* What the loader wrote before START is not this test's. */
	cr_assert_eq(dirty_harvest(&t, &err), 0, "%s", err.msg);
	dirty_reset(&t);

	run_guest(vm);
	edu_dma(&edu, FROM_GPA, EDU_BUFFER, 0);
	edu_dma(&edu, EDU_BUFFER, TO_GPA, EDU_TO_RAM);
	cr_assert_arr_eq(guest_map_read(&vm->slots, TO_GPA, BYTES), want,
			 BYTES);

	cr_assert_eq(vfio_container_dirty(&s.type1, 0, 16 * MIB, raw, &err), 0,
		     "%s", err.msg);
	cr_assert(bitmap_test(raw, TO_GPA / 4096),
		  "VFIO does not know of the device's write");
	cr_assert_eq(dirty_harvest(&t, &err), 0, "%s", err.msg);
	cr_assert_not(dirty_test(&t, DIRTY_WRITTEN, TO_GPA),
		      "KVM's log can't have seen DMA");
	cr_assert(dirty_test(&t, DIRTY_STICKY, TO_GPA));
	cr_assert_gt(dirty_count(&t, DIRTY_WRITTEN), 0,
		     "the guest wrote nothing?");
	cr_assert_lt(dirty_count(&t, DIRTY_WRITTEN), 64);
	cr_assert_eq(dirty_count(&t, DIRTY_DEVICE), 0,
		     "what is sticky is not device-written besides");
	cr_assert_eq(dirty_count(&t, DIRTY_STICKY), 4096,
		     "an IOMMU-backed device makes every page dirty");
	cr_assert_eq(dirty_count(&t, DIRTY_CLASSES), 4096);

	/* Copied once, written pages are clean; sticky ones never are. */
	dirty_reset(&t);
	cr_assert_eq(dirty_count(&t, DIRTY_WRITTEN), 0);
	cr_assert_eq(dirty_count(&t, DIRTY_STICKY), 4096);
	cr_assert_eq(dirty_stop(&t, &err), 0, "%s", err.msg);
	cr_assert_lt(vfio_container_dirty(&s.type1, 0, 16 * MIB, raw, &err), 0,
		     "tracking goes on after STOP");

	dirty_fini(&t);
	vfio_space_remove(&s, &dev);
	vfio_pci_close(&edu);
	vfio_space_close(&s);
	vm_destroy(vm);
	config_fini(&cfg);
}
