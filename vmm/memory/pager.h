/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pager.h - guest RAM that is filled when it is touched first, block by
 * block, through userfaultfd (Linux Documentation/admin-guide/mm/
 * userfaultfd.rst, missing mode).
 *
 * Threads: the VM thread creates, adds, starts, destroys; the pager's own
 * thread fills.  Whoever touches a missing page - a vCPU inside KVM_RUN, the
 * VM thread, a read(2) into RAM - waits in the kernel until that thread has
 * put the block there, so it must never touch guest RAM itself, nor wait for
 * one who may.  It allocates nothing and opens nothing.
 *
 * A block that can't be filled: failed() is called first, then who waits gets
 * zeros and nothing of the block.  failed() has to see to it that the guest
 * does not go on; it runs on the pager's thread.
 */
#ifndef VMM_MEMORY_PAGER_H
#define VMM_MEMORY_PAGER_H

#include <stdbool.h>
#include <stdint.h>

struct map;
struct mote_err;
struct pager;

struct pager_ops {
	/* Bytes [off, off + len) of RAM, ranges one after the other. */
	int (*fill)(void *source, uint64_t off, uint64_t len, void *buf,
		    struct mote_err *err);
	void *source;
	void (*failed)(void *owner);
	void *owner;
	/* Runs first in its thread (its filter); 0 or -errno; may be NULL. */
	int (*enter)(void *opaque, int uffd);
	void *opaque;
};

/*
 * A userfaultfd of this process that also sees faults inside the kernel, as
 * KVM's are; class 69 says what is missing.
 */
int pager_open(struct mote_err *err);

/*
 * block: bytes that are filled at a time, a power of two and at least a page.
 * uffd is duplicated.
 */
int pager_create(struct pager **out, int uffd, uint64_t block,
		 const struct pager_ops *ops, struct mote_err *err);

/* RAM that nobody has touched; it must outlive the pager. */
int pager_add(struct pager *p, const struct map *ram, struct mote_err *err);

int pager_start(struct pager *p, struct mote_err *err);

/* Did a block fail, and why (*err, may be NULL)?  Any thread. */
bool pager_failed(struct pager *p, struct mote_err *err);

/*
 * What is still missing is zeros from here on; end alone leaves what other
 * threads may still ask (pager_failed).  NULL is fine.
 */
void pager_end(struct pager *p);
void pager_destroy(struct pager *p);

#endif
