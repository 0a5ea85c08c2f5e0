/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdt.h - write a flattened device tree into a buffer of fixed size.
 *
 * A thin layer over libfdt's sequential writer: the first error sticks and
 * is told by fdt_writer_finish, so that a builder reads like the tree.
 * Numbers are given in host order.  Threads: any, one writer on one.
 * Source: Devicetree Specification 0.4, chapters 2 and 5.
 */
#ifndef VMM_ARCH_COMMON_FDT_H
#define VMM_ARCH_COMMON_FDT_H

#include <stddef.h>
#include <stdint.h>

struct mote_err;

#define FDT_CELLS_MAX 64 /* of one property */

struct fdt_writer {
	void *buf;
	int error; /* sticky, libfdt's (negative) */
};

/* Begins the tree and its root node; buf has size bytes and stays yours. */
void fdt_writer_init(struct fdt_writer *w, void *buf, size_t size);

/* Ends the root and the tree: its length in bytes, or -errno. */
int fdt_writer_finish(struct fdt_writer *w, struct mote_err *err);

void fdt_node_begin(struct fdt_writer *w, const char *name);
/* "name@unit" with the unit in hexadecimal. */
void fdt_node_begin_at(struct fdt_writer *w, const char *name, uint64_t unit);
void fdt_node_end(struct fdt_writer *w);

void fdt_put_flag(struct fdt_writer *w, const char *name); /* empty */
void fdt_put_u32(struct fdt_writer *w, const char *name, uint32_t v);
void fdt_put_u64(struct fdt_writer *w, const char *name, uint64_t v);
/* n 32-bit cells; at most FDT_CELLS_MAX. */
void fdt_put_cells(struct fdt_writer *w, const char *name, const uint32_t *cell,
		   size_t n);
/* Pairs of 64-bit address and size, for two cells each: n numbers. */
void fdt_put_u64s(struct fdt_writer *w, const char *name, const uint64_t *v,
		  size_t n);
void fdt_put_string(struct fdt_writer *w, const char *name, const char *s);
/* A list of n strings, one after the other with their NULs. */
void fdt_put_strings(struct fdt_writer *w, const char *name,
		     const char *const *s, size_t n);
void fdt_put_bytes(struct fdt_writer *w, const char *name, const void *p,
		   size_t len);

#endif
