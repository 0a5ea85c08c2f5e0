/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/rewind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "config/config.h"
#include "snapshot/paged.h"
#include "snapshot/snapshot.h"
#include "vm.h"

struct rewind {
	struct vm *vm;
	const struct snapshot *from;
	/*
	 * Pages as the snapshot has them, read when they are needed first: a
	 * mapping of the file would be faster once, and end the process if
	 * somebody truncates it.
	 */
	struct map base;
	uint64_t *have; /* those that were read, a bit a page */
	uint64_t *bits; /* those that left the file */
};

static int refuse(struct vm *vm, struct mote_err *err)
{
	const struct vm_config *c = vm->cfg;

	if (!vm->track.mapped)
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "rewind: restore.memory: a machine that "
				     "can be rewound has its memory mapped "
				     "from the snapshot");
	for (uint32_t i = 0; i < c->disk_count; i++)
		if (!c->disk[i].readonly)
			return err_set_class(err, EINVAL, ERR_CLASS_DATA,
					     "rewind: disk.%s.readonly: what "
					     "is written to a disk can't be "
					     "undone: expected yes",
					     c->disk[i].name);
	return 0;
}

int rewind_init(struct rewind **out, struct vm *vm, const struct snapshot *s,
		struct mote_err *err)
{
	struct rewind *r;
	int ret = refuse(vm, err);

	*out = NULL;
	if (ret < 0)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, ENOMEM, "rewind");
	r->vm = vm;
	r->from = s;
	r->bits = track_bits(&vm->track);
	r->have = track_bits(&vm->track);
	ret = r->bits && r->have
		      ? map_anon(&r->base, memslot_total(&vm->slots), 0, err)
		      : err_set(err, ENOMEM, "rewind");
	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_remember(&vm->vcpu[i]->arch, &vm->slots, err);
	if (ret < 0) {
		rewind_fini(r);
		return ret;
	}
	vm->env.keep = true;
	*out = r;
	return 0;
}

void rewind_fini(struct rewind *r)
{
	if (!r)
		return;
	map_fini(&r->base);
	free(r->bits);
	free(r->have);
	free(r);
}

/* Nobody but us could write these, and we did not since the load. */
static void leave_readonly(struct rewind *r)
{
	const struct memslot_table *t = &r->vm->slots;
	uint64_t page = host_page_size(), first = 0;

	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct memslot *s = &t->slot[i];

		if (!s->ram.addr)
			continue;
		for (int k = 0; k < t->readonlys; k++) {
			const struct memslot_readonly *ro = &t->readonly[k];

			if (ro->gpa < s->gpa || ro->end > s->gpa + s->ram.size)
				continue;
			for (uint64_t a = ro->gpa; a < ro->end; a += page)
				bitmap_clear(r->bits,
					     first + (a - s->gpa) / page);
		}
		first += s->ram.size / page;
	}
}

/* Read the page as the snapshot has it: from a diff or from the root. */
static int fetch(struct rewind *r, uint64_t i, struct mote_err *err)
{
	uint64_t page = host_page_size();
	int ret = paged_fill((void *)r->from, i * page, page,
			     (char *)r->base.addr + i * page, err);

	if (ret == 0)
		bitmap_set(r->have, i);
	return ret;
}

/* The end of the run of set bits that begins at i, within n pages. */
static uint64_t run_end(const uint64_t *bits, uint64_t i, uint64_t n)
{
	uint64_t end = i + n;

	while (i < end && bitmap_test(bits, i))
		i++;
	return i;
}

static int copy_pages(struct rewind *r, uint64_t all, struct mote_err *err)
{
	uint64_t page = host_page_size(), i = 0;

	while ((i = bitmap_next(r->bits, i, all)) < all) {
		uint64_t left, end;
		char *to = memslot_page(&r->vm->slots, i, &left);

		end = run_end(r->bits, i, left);
		for (uint64_t k = i; k < end; k++) {
			int ret =
				bitmap_test(r->have, k) ? 0 : fetch(r, k, err);

			if (ret < 0)
				return ret;
		}
		memcpy(to, (char *)r->base.addr + i * page, (end - i) * page);
		i = end;
	}
	return 0;
}

static int copy_back(struct rewind *r, uint64_t *pages, struct mote_err *err)
{
	uint64_t all = track_pages(&r->vm->track);
	int ret;

	memset(r->bits, 0, bitmap_words(all) * sizeof(*r->bits));
	ret = track_diverged(&r->vm->track, r->bits, err);
	if (ret < 0)
		return ret;
	leave_readonly(r);
	if (pages)
		*pages = bitmap_count(r->bits, all);
	return copy_pages(r, all, err);
}

int rewind_vm(struct rewind *r, uint64_t *pages, struct mote_err *err)
{
	struct mote_err own = {0};
	bool crashed;
	int ret = vm_rewind_begin(r->vm, &crashed, err);

	if (ret < 0)
		return ret;
	ret = copy_back(r, pages, &own);
	if (ret == 0)
		ret = vm_memory_lost(r->vm, &own);
	if (ret == 0)
		ret = snapshot_load_state(r->vm, r->from,
					  crashed ? SNAPSHOT_REWIND_WHOLE
						  : SNAPSHOT_REWIND,
					  &own);
	if (ret < 0)
		err_wrap(&own, ret, "rewind");
	vm_rewind_end(r->vm, ret < 0 ? &own : NULL);
	if (ret < 0) {
		if (err)
			*err = own;
		return ret;
	}
	track_rebase(&r->vm->track);
	snapshot_note_reference(r->vm, r->from);
	return 0;
}
