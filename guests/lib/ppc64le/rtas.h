/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtas.h - one RTAS call by hypercall; cells of the block are big-endian.
 */
#ifndef GUESTS_LIB_PPC64LE_RTAS_H
#define GUESTS_LIB_PPC64LE_RTAS_H

#include <stdint.h>

#include "base/guest_abi.h"
#include "hcall.h"

#define RTAS_CELLS 16

struct rtas_block {
	uint32_t token, nargs, nrets, cell[RTAS_CELLS];
	uint64_t rets; /* KVM reads as far as this */
};

static inline uint32_t rtas_cell(uint32_t v)
{
	return __builtin_bswap32(v);
}

/* Its status; further results are in *b, from cell[nargs + 1] on. */
static inline int32_t rtas_do(struct rtas_block *b, uint32_t token,
			      uint32_t nargs, uint32_t nrets)
{
	unsigned long at = (unsigned long)b;

	b->token = rtas_cell(token);
	b->nargs = rtas_cell(nargs);
	b->nrets = rtas_cell(nrets);
	if (hcall(MOTE_HCALL_RTAS, &at, 0, 0, 0) != 0)
		return -0x7fff;
	return (int32_t)rtas_cell(b->cell[nargs]);
}

#endif
