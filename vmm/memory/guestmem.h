/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guestmem.h - the only way to guest RAM: checked, and marked dirty.
 *
 * Threads: any.  gpa and len come from the guest and are hostile; a range
 * must lie within one slot.  KVM does not log what we write, so every write
 * here marks its pages in the slot's own bitmap.
 */
#ifndef VMM_MEMORY_GUESTMEM_H
#define VMM_MEMORY_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memslot_table;

/*
 * Copy out of or into guest RAM; -EFAULT when any byte is not RAM, or no more:
 * sigbus.h.
 */
bool guest_is_ram(const struct memslot_table *t, uint64_t gpa, uint64_t len);
int guest_read(const struct memslot_table *t, uint64_t gpa, void *buf,
	       size_t len);
int guest_write(struct memslot_table *t, uint64_t gpa, const void *buf,
		size_t len);

/*
 * One access of 16 bits to what the guest shares with us at the same time, gpa
 * being even: nothing that follows the load is looked at before it, everything
 * that went before the store is seen with it.  -EFAULT as above.
 */
int guest_load16(const struct memslot_table *t, uint64_t gpa, uint16_t *out);
int guest_store16(struct memslot_table *t, uint64_t gpa, uint16_t val);

/* Read len bytes of fd at off straight into guest RAM. */
int guest_write_fd(struct memslot_table *t, uint64_t gpa, int fd, uint64_t off,
		   uint64_t len);

/*
 * From here on neither the guest nor we may write there: a guest's attempt
 * ends KVM_RUN with EFAULT, ours is -EFAULT.  Whole host pages within the
 * range only.  -ENOSPC: too many ranges.
 */
int guest_protect(struct memslot_table *t, uint64_t gpa, uint64_t len);

/* Zero a range of guest RAM. */
int guest_zero(struct memslot_table *t, uint64_t gpa, uint64_t len);

/*
 * A pointer to len bytes for a caller that writes there until the guest
 * can run; the pages count as written.  NULL when it is not all RAM.
 */
void *guest_map_write(struct memslot_table *t, uint64_t gpa, uint64_t len);

/*
 * It has been written there, by a caller beside whom a snapshot may be written
 * meanwhile (a vCPU's thread): the mark from before may have been taken.
 */
void guest_written(struct memslot_table *t, uint64_t gpa, uint64_t len);

/* The same to look at only. */
const void *guest_map_read(const struct memslot_table *t, uint64_t gpa,
			   uint64_t len);

#endif
