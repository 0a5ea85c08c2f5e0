/* SPDX-License-Identifier: Apache-2.0 */
#include "kvm/arm64/state_edit.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

void state_finish(struct state *st)
{
	struct mote_err err;

	cr_assert_eq(snap_writer_finish(&st->w, &err), 0);
	cr_assert_eq(snap_reader_init(&st->r, st->w.buf, st->w.len, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(snap_section_open(&st->r, "arm64-vcpu", 0, &st->s, &err),
		     0);
	st->regs = snap_get_u32(&st->s);
}

struct state *state_save(struct vmtest *t)
{
	struct state *st = calloc(1, sizeof(*st));

	cr_assert_not_null(st);
	snap_writer_init(&st->w);
	cr_assert_eq(arch_vcpu_save(&t->vm->vcpu[0]->arch, &st->w, &t->err), 0,
		     "%s", t->err.msg);
	state_finish(st);
	return st;
}

void state_release(struct state *st)
{
	snap_writer_fini(&st->w);
	free(st);
}

static uint32_t size_of(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

struct state *state_edit(const struct state *from, uint64_t without,
			 uint64_t with, uint64_t value)
{
	struct state *st = calloc(1, sizeof(*st));
	struct snap_section s = from->s;
	uint32_t n = from->regs;
	bool added = with == NO_REG;

	cr_assert_not_null(st);
	snap_writer_init(&st->w);
	snap_section_begin(&st->w, "arm64-vcpu", 0, 1, SNAP_REQUIRED);
	snap_put_u32(&st->w, n - (without != NO_REG) + (with != NO_REG));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t id = snap_get_u64(&s);
		const void *p = snap_get_raw(&s, size_of(id));

		if (!added && id > with) {
			snap_put_u64(&st->w, with);
			snap_put_u64(&st->w, value);
			added = true;
		}
		if (id == without)
			continue;
		snap_put_u64(&st->w, id);
		snap_put_bytes(&st->w, p, size_of(id));
	}
	if (!added && with != NO_REG) {
		snap_put_u64(&st->w, with);
		snap_put_u64(&st->w, value);
	}
	n = (uint32_t)snap_left(&s);
	snap_put_bytes(&st->w, snap_get_raw(&s, n), n);
	snap_section_end(&st->w);
	state_finish(st);
	return st;
}

uint64_t state_value(const struct state *st, uint64_t wanted)
{
	struct snap_section s = st->s;

	for (uint32_t i = 0; i < st->regs; i++) {
		uint64_t v = 0, id = snap_get_u64(&s);
		const void *p = snap_get_raw(&s, size_of(id));

		memcpy(&v, p, num_min(size_of(id), 8));
		if (id == wanted)
			return v;
	}
	cr_assert_fail("register 0x%llx is not in the state",
		       (unsigned long long)wanted);
	return 0;
}

int state_load(struct vmtest *t, struct state *st)
{
	return arch_vcpu_load(&t->vm->vcpu[0]->arch, &st->r, &t->err);
}
