/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/fdt.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define NODE_NAME_MAX 48
#define STRINGS_MAX   256

static void keep(struct fdt_writer *w, int ret)
{
	if (w->error == 0 && ret < 0)
		w->error = ret;
}

void fdt_writer_init(struct fdt_writer *w, void *buf, size_t size)
{
	*w = (struct fdt_writer){.buf = buf};
	if (size > INT_MAX)
		size = INT_MAX;
	keep(w, fdt_create(buf, (int)size));
	if (w->error == 0)
		keep(w, fdt_finish_reservemap(buf));
	fdt_node_begin(w, "");
}

int fdt_writer_finish(struct fdt_writer *w, struct mote_err *err)
{
	fdt_node_end(w);
	if (w->error == 0)
		keep(w, fdt_finish(w->buf));
	if (w->error == -FDT_ERR_NOSPACE)
		return err_set(err, ENOSPC,
			       "the device tree does not fit into its place");
	if (w->error < 0)
		return err_set(err, EINVAL, "device tree: %s",
			       fdt_strerror(w->error));
	return (int)fdt_totalsize(w->buf);
}

void fdt_node_begin(struct fdt_writer *w, const char *name)
{
	if (w->error == 0)
		keep(w, fdt_begin_node(w->buf, name));
}

void fdt_node_begin_at(struct fdt_writer *w, const char *name, uint64_t unit)
{
	char full[NODE_NAME_MAX];
	int n = snprintf(full, sizeof(full), "%s@%" PRIx64, name, unit);

	if (n < 0 || (size_t)n >= sizeof(full))
		keep(w, -FDT_ERR_BADVALUE);
	fdt_node_begin(w, full);
}

void fdt_node_end(struct fdt_writer *w)
{
	if (w->error == 0)
		keep(w, fdt_end_node(w->buf));
}

void fdt_put_bytes(struct fdt_writer *w, const char *name, const void *p,
		   size_t len)
{
	if (len > INT_MAX)
		keep(w, -FDT_ERR_BADVALUE);
	if (w->error == 0)
		keep(w, fdt_property(w->buf, name, p, (int)len));
}

void fdt_put_flag(struct fdt_writer *w, const char *name)
{
	fdt_put_bytes(w, name, "", 0);
}

void fdt_put_u32(struct fdt_writer *w, const char *name, uint32_t v)
{
	fdt_put_cells(w, name, &v, 1);
}

void fdt_put_u64(struct fdt_writer *w, const char *name, uint64_t v)
{
	fdt_put_u64s(w, name, &v, 1);
}

void fdt_put_cells(struct fdt_writer *w, const char *name, const uint32_t *cell,
		   size_t n)
{
	fdt32_t be[FDT_CELLS_MAX];

	if (n > FDT_CELLS_MAX) {
		keep(w, -FDT_ERR_BADVALUE);
		return;
	}
	for (size_t i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(cell[i]);
	fdt_put_bytes(w, name, be, n * sizeof(be[0]));
}

void fdt_put_u64s(struct fdt_writer *w, const char *name, const uint64_t *v,
		  size_t n)
{
	uint32_t cell[FDT_CELLS_MAX];

	if (n > FDT_CELLS_MAX / 2) {
		keep(w, -FDT_ERR_BADVALUE);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		cell[2 * i] = (uint32_t)(v[i] >> 32);
		cell[2 * i + 1] = (uint32_t)v[i];
	}
	fdt_put_cells(w, name, cell, 2 * n);
}

void fdt_put_string(struct fdt_writer *w, const char *name, const char *s)
{
	fdt_put_bytes(w, name, s, strlen(s) + 1);
}

void fdt_put_strings(struct fdt_writer *w, const char *name,
		     const char *const *s, size_t n)
{
	char all[STRINGS_MAX];
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(s[i]) + 1;

		if (len > sizeof(all) - at) {
			keep(w, -FDT_ERR_BADVALUE);
			return;
		}
		memcpy(all + at, s[i], len);
		at += len;
	}
	fdt_put_bytes(w, name, all, at);
}
