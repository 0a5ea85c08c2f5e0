/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - memory mappings with an owner, counted so that tests see leaks.
 *
 * Threads: any.  Sizes are bytes and multiples of the host page size.
 */
#ifndef VMM_BASE_MAP_H
#define VMM_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct mote_err;

struct map {
	void *addr; /* NULL when empty */
	size_t size;
	void *reserve; /* what to unmap: larger than addr where aligned */
	size_t reserve_size;
};

/* 4 KiB, 16 KiB or 64 KiB: ask, never assume. */
size_t host_page_size(void);

/*
 * Anonymous zero pages, private, not reserved.  align is a power of two
 * (0: page size); RAM wants 2 MiB so that huge pages can back it.
 */
int map_anon(struct map *m, size_t size, size_t align, struct mote_err *err);

/*
 * The same in reserved huge pages of huge bytes (2 MiB, 1 GiB); size is a
 * multiple of it.  -ENOMEM: the host has not that many.
 */
int map_anon_huge(struct map *m, size_t size, size_t huge,
		  struct mote_err *err);

/*
 * Zero pages that other processes can map too: a memfd of that size, sealed
 * against any other size, in *fd (the caller's).  huge: 0, or the size of
 * reserved huge pages, as above.
 */
int map_memfd(struct map *m, size_t size, size_t align, size_t huge, int *fd,
	      struct mote_err *err);

/*
 * Keep the pages in memory once they are there.  A failure names the limit
 * (class 77): RLIMIT_MEMLOCK.
 */
int map_lock(const struct map *m, struct mote_err *err);

/* Ask for transparent huge pages; where there are none, small ones do. */
void map_want_huge(const struct map *m);

/*
 * A private (copy-on-write) view of size bytes of fd at off, writable
 * here, never written back.  fd stays the caller's.
 */
int map_file_private(struct map *m, int fd, uint64_t off, size_t size,
		     size_t align, struct mote_err *err);

/* A shared view of fd at off: KVM's run area, a BAR.  prot as in mmap(2). */
int map_shared(struct map *m, int fd, uint64_t off, size_t size, int prot,
	       struct mote_err *err);

/* Unmap and empty; an empty map is fine. */
void map_fini(struct map *m);

/* Hand the mapping over: returns it and empties *m. */
struct map map_steal(struct map *m);

/* How many mappings of this process are live (for tests). */
int map_live(void);

#define cleanup_map __attribute__((cleanup(map_fini)))

#endif
