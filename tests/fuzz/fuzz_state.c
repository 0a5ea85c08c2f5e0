/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_state.c - the state of a machine (x86_64: clock, vCPUs with their
 * registers, MSRs and CPUID, devices, console), edited, with digests that are
 * right, loaded into one that is parked: taken or refused in words, and what
 * was taken can be saved again.
 */
#include "arch/arch.h"
#include "base/err.h"
#include "fuzz/support/machine.h"
#include "vm.h"

static struct fakevm f;
static struct base base;

static void save_again(void)
{
	struct mote_err err = {0};
	struct snap_writer w;

	snap_writer_init(&w);
	require(arch_vm_save(&f.vm->arch, false, &w, &err) == 0, err.msg);
	for (uint32_t i = 0; i < f.vm->devices; i++)
		require(device_save(f.vm->device[i], &w, &err) == 0, err.msg);
	require(snap_writer_finish(&w, &err) == 0, err.msg);
	snap_writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	static struct snapshot s;
	struct mote_err err = {0};
	struct snap_writer w;
	int ret;

	if (!f.vm) {
		machine_make(&f);
		machine_save(&f, false, &base);
	}
	edit_state(&base, &in, &w);
	require(snap_reader_init(&s.reader, w.buf, w.len, &err) == 0, err.msg);
	s.state = w.buf;
	for (int i = 0; i < s.reader.count; i++) {
		struct mote_err why = {0};

		ret = arch_host_check(f.vm->kvm_fd, &s.reader,
				      &s.reader.section[i], true, &why);
		require((ret < 0) == (why.msg[0] != 0),
			"result and message differ");
	}
	ret = snapshot_load_state(f.vm, &s, SNAPSHOT_LOAD, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	if (ret == 0)
		save_again();
	snap_writer_fini(&w);
	return 0;
}
