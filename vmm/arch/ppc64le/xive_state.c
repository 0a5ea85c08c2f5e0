/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xive_state.c - XIVE's native mode in a snapshot.
 *
 * The order is the kernel's (xive.rst): sources off, queues written out, then
 * all is read; and sources on last.  A save turns the sources on again, so
 * that the machine can go on.  The vCPUs' part is here, too, and not with
 * their registers: it may change until the sources are off.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/ppc64le/xive.h"
#include "base/err.h"
#include "kvm/kvm.h"
#include "memory/guestmem.h"
#include "snapshot/stream.h"

#define VERSION 1

/* KVM_REG_PPC_VP_STATE; the second word says nothing. */
struct vp_state {
	uint64_t word[2];
};

/* --- save -------------------------------------------------------------------
 */

static int save_server(struct arch_vm *a, uint32_t server,
		       struct snap_writer *w, struct mote_err *err)
{
	struct vp_state vp = {0};
	int ret =
		kvm_get_one_reg(a->vcpu[server]->fd, KVM_REG_PPC_VP_STATE, &vp);

	if (ret < 0)
		return err_set(err, -ret, "XIVE: vCPU %u: %s", server,
			       strerror(-ret));
	snap_put_u64(w, vp.word[0]);
	for (uint32_t p = 0; p < XIVE_PRIORITIES; p++) {
		struct xive_queue q;

		ret = xive_get_queue(a->xive, server, p, &q);
		if (ret < 0)
			return err_set(err, -ret, "XIVE: vCPU %u, queue %u: %s",
				       server, p, strerror(-ret));
		snap_put_u8(w, q.on);
		if (!q.on)
			continue;
		snap_put_u64(w, q.gpa);
		snap_put_u32(w, q.toggle);
		snap_put_u32(w, q.index);
	}
	return 0;
}

static int save_quiet(struct arch_vm *a, const uint8_t *pq,
		      struct snap_writer *w, struct mote_err *err)
{
	struct xive *x = a->xive;
	int ret = kvm_set_attr(x->fd, KVM_DEV_XIVE_GRP_CTRL,
			       KVM_DEV_XIVE_EQ_SYNC, NULL);

	if (ret < 0)
		return err_set(err, -ret, "XIVE: sync: %s", strerror(-ret));
	snap_section_begin(w, XIVE_SECTION, 0, VERSION, SNAP_REQUIRED);
	snap_put_u32(w, x->sources);
	for (uint32_t i = 0; i < x->sources; i++) {
		snap_put_u8(w, pq[i]);
		snap_put_u32(w, x->target[i].server);
		snap_put_u8(w, x->target[i].priority);
		snap_put_u32(w, x->target[i].number);
	}
	for (uint32_t i = 0; ret == 0 && i < x->sources; i++)
		ret = save_server(a, i, w, err);
	if (ret == 0)
		snap_section_end(w);
	return ret;
}

int xive_save(struct arch_vm *a, struct snap_writer *w, struct mote_err *err)
{
	struct xive *x = a->xive;
	uint8_t pq[PPC_VCPUS_MAX];
	int ret;

	for (uint32_t i = 0; i < x->sources; i++) {
		pq[i] = xive_get_pq(x, i);
		xive_set_pq(x, i, XIVE_PQ_OFF);
	}
	ret = save_quiet(a, pq, w, err);
	for (uint32_t i = 0; i < x->sources; i++)
		xive_set_pq(x, i, pq[i]);
	return ret;
}

/* --- load -------------------------------------------------------------------
 */

struct state {
	uint8_t pq[PPC_VCPUS_MAX];
	struct xive_target target[PPC_VCPUS_MAX];
	uint64_t vp[PPC_VCPUS_MAX];
	struct xive_queue queue[PPC_VCPUS_MAX][XIVE_PRIORITIES];
};

static int bad(struct mote_err *err, const char *what, uint32_t i)
{
	return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
			     "section " XIVE_SECTION ": %s %u is damaged", what,
			     i);
}

static int read_source(const struct xive *x, struct snap_section *s, uint32_t i,
		       struct state *st, struct mote_err *err)
{
	struct xive_target *to = &st->target[i];

	st->pq[i] = snap_get_u8(s);
	to->server = snap_get_u32(s);
	to->priority = snap_get_u8(s);
	to->number = snap_get_u32(s);
	if (!s->error &&
	    (st->pq[i] > 3 || to->server >= x->sources ||
	     (to->priority >= XIVE_PRIORITIES && to->priority != XIVE_MASKED) ||
	     to->number >> 31))
		return bad(err, "source", i);
	return 0;
}

static int read_server(const struct arch_vm *a, struct snap_section *s,
		       uint32_t i, struct state *st, struct mote_err *err)
{
	const uint64_t size = UINT64_C(1) << XIVE_QUEUE_LOG2;

	st->vp[i] = snap_get_u64(s);
	for (uint32_t p = 0; p < XIVE_PRIORITIES; p++) {
		struct xive_queue *q = &st->queue[i][p];
		uint8_t on = snap_get_u8(s);

		*q = (struct xive_queue){.on = on};
		if (on) {
			q->gpa = snap_get_u64(s);
			q->toggle = snap_get_u32(s);
			q->index = snap_get_u32(s);
		}
		if (s->error)
			return 0;
		if (on > 1 || q->toggle > 1 ||
		    q->index >= size / sizeof(uint32_t) ||
		    (on &&
		     (q->gpa % size || !guest_is_ram(a->slots, q->gpa, size))))
			return bad(err, "a queue of vCPU", i);
	}
	return 0;
}

static int read_all(const struct arch_vm *a, struct snap_section *s,
		    struct state *st, struct mote_err *err)
{
	uint32_t n = snap_get_u32(s);
	int ret = 0;

	if (!s->error && n != a->xive->sources)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "section " XIVE_SECTION
				     ": %u sources, expected %u",
				     n, a->xive->sources);
	for (uint32_t i = 0; ret == 0 && !s->error && i < n; i++)
		ret = read_source(a->xive, s, i, st, err);
	for (uint32_t i = 0; ret == 0 && !s->error && i < n; i++)
		ret = read_server(a, s, i, st, err);
	return ret < 0 ? ret : snap_section_close(s, err);
}

static int put_server(const struct arch_vm *a, uint32_t i,
		      const struct state *st)
{
	struct vp_state vp = {.word = {st->vp[i]}};
	int ret = 0;

	for (uint32_t p = 0; ret == 0 && p < XIVE_PRIORITIES; p++)
		if (st->queue[i][p].on)
			ret = xive_set_queue(a->xive, i, p, &st->queue[i][p]);
	return ret < 0 ? ret
		       : kvm_set_one_reg(a->vcpu[i]->fd, KVM_REG_PPC_VP_STATE,
					 &vp);
}

/* Queues, then what goes there, then what sends it. */
static int put_all(const struct arch_vm *a, const struct state *st)
{
	struct xive *x = a->xive;
	int ret = xive_reset(x);

	for (uint32_t i = 0; ret == 0 && i < x->sources; i++)
		ret = put_server(a, i, st);
	for (uint32_t i = 0; ret == 0 && i < x->sources; i++)
		ret = xive_set_target(x, i, &st->target[i]);
	for (uint32_t i = 0; ret == 0 && i < x->sources; i++)
		xive_set_pq(x, i, st->pq[i]);
	return ret;
}

int xive_load(struct arch_vm *a, struct snap_reader *r, struct mote_err *err)
{
	struct snap_section s;
	struct state st;
	int ret = snap_section_open(r, XIVE_SECTION, 0, &s, err);

	if (ret == 0)
		ret = snap_section_version(&s, VERSION, err);
	if (ret == 0)
		ret = read_all(a, &s, &st, err);
	if (ret < 0)
		return ret;
	ret = put_all(a, &st);
	if (ret < 0)
		return err_set_class(err, -ret, ERR_CLASS_UNAVAILABLE,
				     "section " XIVE_SECTION
				     ": this host refuses it: %s",
				     strerror(-ret));
	return 0;
}
