/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/machine.h"

#include <sys/mman.h>

#include "base/err.h"
#include "base/fd.h"
#include "memory/guestmem.h"

void machine_make(struct fakevm *f)
{
	fakevm_init(f, 2);
	f->cfg.vm.protocol = PROTOCOL_MOTE;
	fakevm_start(f, true);
}

void machine_save(struct fakevm *f, bool diff, struct base *b)
{
	const struct snapshot_options opt = {.name = "base", .diff = diff};
	struct snapshot_files files = {
		.manifest_fd = memfd_create("manifest", MFD_CLOEXEC),
		.state_fd = memfd_create("state", MFD_CLOEXEC),
		.memory_fd = memfd_create("memory", MFD_CLOEXEC),
	};
	struct mote_err err = {0};

	/* Some pages that a diff has to hold. */
	for (uint64_t gpa = 0x200000; diff && gpa < 0x210000; gpa += 0x3000)
		guest_write(&f->vm->slots, gpa, "page", 4);
	require(snapshot_save_live(f->vm, &files, &opt, &err) == 0, err.msg);
	snapshot_saved(f->vm, true);
	base_read(b, files.manifest_fd, files.state_fd, files.memory_fd);
	fd_close(files.manifest_fd);
	fd_close(files.state_fd);
}
