/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_hvt.c - what the Solo5 contract adds to building a machine: the
 * devices of the guest's manifest, boot info, page protections, entry.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/common/solo5.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/timeline.h"
#include "build.h"
#include "devices/hostdev.h"
#include "devices/hvt.h"
#include "memory/guestmem.h"
#include "vm.h"

/* --- devices ---------------------------------------------------------------
 */

static const struct disk_config *find_disk(const struct vm_config *c,
					   const char *name)
{
	for (uint32_t i = 0; i < c->disk_count; i++)
		if (!strcmp(c->disk[i].name, name))
			return &c->disk[i];
	return NULL;
}

static const struct net_config *find_net(const struct vm_config *c,
					 const char *name)
{
	for (uint32_t i = 0; i < c->net_count; i++)
		if (!strcmp(c->net[i].name, name))
			return &c->net[i];
	return NULL;
}

static int not_attached(const char *kind, const struct solo5_mft_entry *e,
			struct mote_err *err)
{
	char buf[16];

	return err_set_class(err, ENODEV, ERR_CLASS_DATA,
			     "%s.%s: the guest's manifest declares it (%s), "
			     "and nothing is attached: expected a section "
			     "[%s.%s]",
			     kind, e->name, solo5_type_name(e->type, buf), kind,
			     e->name);
}

static int attach_disk(struct vm *vm, const struct build_options *opt,
		       uint32_t index, const char *name, struct mote_err *err)
{
	const struct disk_config *cfg = find_disk(vm->cfg, name);
	const struct build_fd *given = build_find_fd(opt, "disk", name);
	cleanup_fd int own = -1;
	int64_t size;
	int ret = 0;

	if (!cfg)
		return not_attached("disk", &hvt_manifest(vm->hvt)->e[index],
				    err);
	if (!given)
		ret = hostdev_open_disk(cfg, &own, err);
	if (ret < 0)
		return ret;
	size = hostdev_disk_size(given ? given->fd : own);
	if (size < 0)
		return err_set_class(err, (int)-size, ERR_CLASS_DATA,
				     "disk.%s: size: %s", name,
				     strerror((int)-size));
	return hvt_attach_block(vm->hvt, index, given ? given->fd : own,
				(uint64_t)size, (uint16_t)cfg->sector_size,
				err);
}

static int attach_net(struct vm *vm, const struct build_options *opt,
		      uint32_t index, const char *name, struct mote_err *err)
{
	const struct net_config *cfg = find_net(vm->cfg, name);
	const struct build_fd *given = build_find_fd(opt, "net", name);
	cleanup_fd int own = -1;
	uint32_t mtu = given ? given->mtu : 0;
	uint8_t mac[6];
	int ret = 0;

	if (!cfg)
		return not_attached("net", &hvt_manifest(vm->hvt)->e[index],
				    err);
	if (!given)
		ret = hostdev_open_net(cfg, false, &own, &mtu, err);
	if (ret == 0)
		ret = hostdev_mac(cfg, mac, err);
	if (ret < 0)
		return ret;
	return hvt_attach_net(vm->hvt, index, given ? given->fd : own, mac,
			      mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu,
			      err);
}

static bool declares(const struct solo5_mft *mft, uint32_t type,
		     const char *name)
{
	for (uint32_t i = 1; i < mft->entries; i++)
		if (mft->e[i].type == type && !strcmp(mft->e[i].name, name))
			return true;
	return false;
}

/* Every section has its device in the guest. */
static int check_sections(const struct vm *vm, struct mote_err *err)
{
	const struct solo5_mft *mft = hvt_manifest(vm->hvt);
	const struct vm_config *c = vm->cfg;

	for (uint32_t i = 0; i < c->disk_count; i++)
		if (!declares(mft, SOLO5_BLOCK, c->disk[i].name))
			return err_set_class(err, ENODEV, ERR_CLASS_DATA,
					     "disk.%s: resource not declared "
					     "in the guest's manifest",
					     c->disk[i].name);
	for (uint32_t i = 0; i < c->net_count; i++)
		if (!declares(mft, SOLO5_NET, c->net[i].name))
			return err_set_class(err, ENODEV, ERR_CLASS_DATA,
					     "net.%s: resource not declared in "
					     "the guest's manifest",
					     c->net[i].name);
	return 0;
}

int build_hvt_attach(struct vm *vm, const struct build_options *opt,
		     struct mote_err *err)
{
	const struct solo5_mft *mft = hvt_manifest(vm->hvt);
	int ret = check_sections(vm, err);

	for (uint32_t i = 1; ret == 0 && i < mft->entries; i++)
		ret = mft->e[i].type == SOLO5_BLOCK
			      ? attach_disk(vm, opt, i, mft->e[i].name, err)
			      : attach_net(vm, opt, i, mft->e[i].name, err);
	if (ret == 0)
		ret = hvt_seal(vm->hvt, &vm->device_fds, err);
	if (ret < 0)
		return ret;
	vm->env.strict = true;
	vm->env.waiter = (struct vcpu_waiter){
		.pending = hvt_pending,
		.wait = hvt_wait,
		.opaque = vm->hvt,
		.kick_fd = hvt_kick_fd(vm->hvt),
	};
	return 0;
}

/* --- boot ------------------------------------------------------------------
 */

/* Boot info, then the manifest, then the command line. */
static int write_boot_info(struct vm *vm, const struct solo5_image *img,
			   uint64_t hz, struct mote_err *err)
{
	const struct solo5_mft *mft = hvt_manifest(vm->hvt);
	const char *cmdline = vm->cfg->vm.cmdline ? vm->cfg->vm.cmdline : "";
	size_t len = strlen(cmdline) + 1,
	       mft_len = offsetof(struct solo5_mft, e) +
			 mft->entries * sizeof(mft->e[0]);
	struct hvt_boot_info bi = {
		.mem_size = vm->cfg->vm.memory,
		.kernel_end = img->end,
		.cpu_cycle_freq = hz,
		.mft = arch_hvt_boot_info() + sizeof(bi),
	};
	int ret;

	if (len > HVT_CMDLINE_SIZE)
		return err_set_class(err, E2BIG, ERR_CLASS_DATA,
				     "vm.cmdline: %zu bytes, protocol hvt "
				     "takes %u",
				     len - 1, HVT_CMDLINE_SIZE - 1);
	bi.cmdline = bi.mft + mft_len;
	ret = guest_write(&vm->slots, arch_hvt_boot_info(), &bi, sizeof(bi));
	if (ret == 0)
		ret = guest_write(&vm->slots, bi.mft, mft, mft_len);
	if (ret == 0)
		ret = guest_write(&vm->slots, bi.cmdline, cmdline, len);
	if (ret < 0)
		return err_set(err, -ret, "boot info: %s", strerror(-ret));
	return 0;
}

/* What the guest must not write is kept by the host's page tables. */
static int protect(struct vm *vm, const struct solo5_image *img,
		   struct mote_err *err)
{
	for (int i = 0; i < img->segs; i++) {
		const struct solo5_segment *s = &img->seg[i];
		int ret;

		if (s->prot & SOLO5_W)
			continue;
		ret = guest_protect(&vm->slots, s->start, s->end - s->start);
		if (ret < 0)
			return err_set(err, -ret, "segment %d: mprotect: %s",
				       s->phdr, strerror(-ret));
	}
	return 0;
}

int build_hvt_boot(struct vm *vm, const struct build_options *opt,
		   const struct elf_file *kernel, struct mote_err *err)
{
	uint64_t memory = vm->cfg->vm.memory, hz = 0;
	struct solo5_image img = {0};
	int ret = solo5_read(&img, kernel, memory, err);

	if (ret < 0)
		return ret;
	hvt_set_manifest(vm->hvt, &img.mft);
	ret = build_hvt_attach(vm, opt, err);
	timeline_mark(vm->timeline, "devices attached");
	if (ret == 0)
		ret = solo5_load(&img, kernel, &vm->slots, err);
	timeline_mark(vm->timeline, "image loaded");
	if (ret == 0)
		ret = arch_hvt_tables(&vm->slots, &img, memory, err);
	if (ret == 0)
		ret = arch_hvt_entry(&vm->vcpu[0]->arch, img.entry, memory, &hz,
				     err);
	if (ret == 0)
		ret = write_boot_info(vm, &img, hz, err);
	if (ret == 0)
		ret = protect(vm, &img, err);
	return ret;
}
