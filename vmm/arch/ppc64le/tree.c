/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/ppc64le/tree.h"

#include "arch/common/fdt.h"
#include "arch/common/rtas.h"
#include "arch/ppc64le/layout.h"
#include "arch/ppc64le/xive.h"
#include "base/guest_abi.h"
#include "base/num.h"

#define CPU_HZ 1000000000u /* nobody computes with it */

const uint8_t tree_rtas_code[TREE_RTAS_CODE] = {
	0x7c, 0x64, 0x1b, 0x78, /* mr r4, r3: the argument block */
	0x3c, 0x60, 0x00, 0x00, /* lis r3, 0 */
	0x60, 0x63, 0xf0, 0x00, /* ori r3, r3, 0xf000: H_RTAS */
	0x44, 0x00, 0x00, 0x22, /* sc 1 */
	0x4e, 0x80, 0x00, 0x20, /* blr */
};

static void put_memory(struct fdt_writer *w, uint64_t base, uint64_t size)
{
	const uint64_t reg[] = {base, size};

	if (size == 0)
		return;
	fdt_node_begin_at(w, "memory", base);
	fdt_put_string(w, "device_type", "memory");
	fdt_put_u64s(w, "reg", reg, ARRAY_SIZE(reg));
	fdt_node_end(w);
}

/* ibm,segment-page-sizes: of each segment its pages. */
static void put_page_sizes(struct fdt_writer *w, const struct tree_host *h)
{
	uint32_t cell[FDT_CELLS_MAX];
	size_t n = 0;

	for (int i = 0; i < TREE_PAGE_SIZES && h->segment[i].shift; i++) {
		const struct tree_segment *s = &h->segment[i];
		uint32_t pages = 0;

		while (pages < TREE_PAGE_SIZES && s->page[pages].shift)
			pages++;
		if (pages == 0)
			continue;
		if (n + 3 + 2 * (size_t)pages > FDT_CELLS_MAX)
			break;
		cell[n++] = s->shift;
		cell[n++] = s->encoding;
		cell[n++] = pages;
		for (uint32_t k = 0; k < pages; k++) {
			cell[n++] = s->page[k].shift;
			cell[n++] = s->page[k].encoding;
		}
	}
	if (n)
		fdt_put_cells(w, "ibm,segment-page-sizes", cell, n);
}

/*
 * ibm,pa-features of a radix guest: what it may use (LoPAR, "CPU features").
 * Without it Linux goes by the processor's version, which says no radix.
 */
static void put_features(struct fdt_writer *w, const struct tree *t)
{
	enum { LENGTH = 42 };
	uint8_t f[2 + LENGTH] = {LENGTH, 0};
	uint8_t *bit = f + 2; /* by byte; 0x80 is its bit 0 */

	bit[0] = 0xf6;		  /* MMU, FPU, run latch, no-execute, ... */
	bit[1] = 0x1f;		  /* rounding, SPRG3, ... */
	bit[5] = 0xf0;		  /* little-endian, CFAR, ... */
	bit[16] = bit[18] = 0x80; /* vectors, vectors of scalars */
	if (t->host.transactions)
		bit[22] = 0x80;
	bit[32] = 0x80; /* atomic updates, little-endian too */
	bit[34] = 0xc0; /* event-based branches */
	bit[40] = 0x80; /* radix trees */
	fdt_put_bytes(w, "ibm,pa-features", f, sizeof(f));
}

static void put_radix(struct fdt_writer *w, const struct tree *t)
{
	uint32_t n = 0;

	while (n < TREE_PAGE_SIZES && t->host.radix_page[n])
		n++;
	if (n)
		fdt_put_cells(w, "ibm,processor-radix-AP-encodings",
			      t->host.radix_page, n);
	put_features(w, t);
}

static void put_cpu(struct fdt_writer *w, const struct tree *t, uint32_t id)
{
	const uint32_t segments[] = {28, t->host.terabyte ? 40 : UINT32_MAX,
				     UINT32_MAX, UINT32_MAX};
	const uint32_t pft[] = {0, t->hpt_order};
	const uint32_t global[] = {id, 0};

	fdt_node_begin_at(w, "cpu", id);
	fdt_put_string(w, "device_type", "cpu");
	fdt_put_string(w, "status", "okay");
	fdt_put_u32(w, "reg", id);
	fdt_put_u32(w, "ibm,ppc-interrupt-server#s", id);
	fdt_put_cells(w, "ibm,ppc-interrupt-gserver#s", global,
		      ARRAY_SIZE(global));
	fdt_put_u32(w, "cpu-version", t->host.pvr);
	fdt_put_u32(w, "timebase-frequency", t->host.timebase_hz);
	fdt_put_u32(w, "clock-frequency", CPU_HZ);
	fdt_put_u32(w, "d-cache-block-size", t->host.dcache_line);
	fdt_put_u32(w, "d-cache-line-size", t->host.dcache_line);
	fdt_put_u32(w, "d-cache-size", t->host.dcache_size);
	fdt_put_u32(w, "i-cache-block-size", t->host.icache_line);
	fdt_put_u32(w, "i-cache-line-size", t->host.icache_line);
	fdt_put_u32(w, "i-cache-size", t->host.icache_size);
	fdt_put_u32(w, "ibm,vmx", 2); /* VMX and VSX */
	fdt_put_u32(w, "ibm,dfp", 1);
	fdt_put_flag(w, "64-bit");
	if (t->host.slb_size) {
		fdt_put_u32(w, "slb-size", t->host.slb_size);
		fdt_put_u32(w, "ibm,slb-size", t->host.slb_size);
	}
	fdt_put_cells(w, "ibm,pft-size", pft, ARRAY_SIZE(pft));
	fdt_put_cells(w, "ibm,processor-segment-sizes", segments,
		      ARRAY_SIZE(segments));
	put_page_sizes(w, &t->host);
	if (t->radix)
		put_radix(w, t);
	fdt_node_end(w);
}

static void put_cpus(struct fdt_writer *w, const struct tree *t)
{
	fdt_node_begin(w, "cpus");
	fdt_put_u32(w, "#address-cells", 1);
	fdt_put_u32(w, "#size-cells", 0);
	for (uint32_t i = 0; i < t->vcpus; i++)
		put_cpu(w, t, i);
	fdt_node_end(w);
}

static void put_rtas(struct fdt_writer *w, const struct tree *t)
{
	static const char *const hypertas[] = {
		"hcall-pft",	"hcall-term", "hcall-interrupt",
		"hcall-splpar", "hcall-bulk", "hcall-set-mode",
	};
	uint32_t end = t->xics ? MOTE_RTAS_END : MOTE_RTAS_SET_XIVE;

	fdt_node_begin(w, "rtas");
	fdt_put_strings(w, "ibm,hypertas-functions", hypertas,
			ARRAY_SIZE(hypertas));
	fdt_put_u32(w, "linux,rtas-base", (uint32_t)t->rtas);
	fdt_put_u32(w, "linux,rtas-entry", (uint32_t)t->rtas);
	fdt_put_u32(w, "rtas-size", (uint32_t)t->rtas_size);
	fdt_put_u32(w, "rtas-version", 1);
	for (uint32_t token = MOTE_RTAS_FIRST; token < end; token++)
		fdt_put_u32(w, rtas_name(token), token);
	fdt_node_end(w);
}

static void put_xics(struct fdt_writer *w, const struct tree *t)
{
	const uint32_t servers[] = {0, t->vcpus};

	fdt_node_begin(w, "interrupt-controller");
	fdt_put_string(w, "device_type",
		       "PowerPC-External-Interrupt-Presentation");
	fdt_put_string(w, "compatible", "IBM,ppc-xicp");
	fdt_put_cells(w, "ibm,interrupt-server-ranges", servers,
		      ARRAY_SIZE(servers));
	fdt_put_flag(w, "interrupt-controller");
	fdt_put_u32(w, "#interrupt-cells", 2);
	fdt_put_u32(w, "#address-cells", 0);
	fdt_node_end(w);
}

/*
 * The user's page of the thread's area, which is not there, comes first, then
 * the system's: Linux takes the second.
 */
static void put_xive(struct fdt_writer *w, const struct tree *t)
{
	const uint64_t reg[] = {LAYOUT_XIVE_TIMA + t->page, t->page,
				LAYOUT_XIVE_TIMA, t->page};
	const uint32_t sources[] = {0, t->xive};

	fdt_node_begin_at(w, "interrupt-controller", reg[0]);
	fdt_put_string(w, "device_type", "power-ivpe");
	fdt_put_string(w, "compatible", "ibm,power-ivpe");
	fdt_put_u64s(w, "reg", reg, ARRAY_SIZE(reg));
	fdt_put_u32(w, "ibm,xive-eq-sizes", XIVE_QUEUE_LOG2);
	fdt_put_cells(w, "ibm,xive-lisn-ranges", sources, ARRAY_SIZE(sources));
	fdt_put_flag(w, "interrupt-controller");
	fdt_put_u32(w, "#interrupt-cells", 2);
	fdt_node_end(w);
}

static void put_vdevice(struct fdt_writer *w)
{
	fdt_node_begin(w, "vdevice");
	fdt_put_string(w, "device_type", "vdevice");
	fdt_put_string(w, "compatible", "IBM,vdevice");
	fdt_put_u32(w, "#address-cells", 1);
	fdt_put_u32(w, "#size-cells", 0);
	fdt_node_begin_at(w, "vty", LAYOUT_TERMINAL);
	fdt_put_string(w, "name", "vty");
	fdt_put_string(w, "device_type", "serial");
	fdt_put_string(w, "compatible", "hvterm1");
	fdt_put_u32(w, "reg", LAYOUT_TERMINAL);
	fdt_node_end(w);
	fdt_node_end(w);
}

/*
 * ibm,architecture-vec-5: what was agreed upon with a guest that did not ask
 * (LoPAR, "client architecture support", vector 5).
 */
static void put_agreement(struct fdt_writer *w, const struct tree *t)
{
	enum { LENGTH = 26, XIVE = 23, MMU = 24, RADIX = 26 };
	uint8_t v[1 + LENGTH] = {LENGTH - 1};

	if (!t->radix && !t->xive)
		return;
	if (t->xive)
		v[XIVE] = 0x40; /* the native mode, and nothing else */
	if (t->radix) {
		v[MMU] = 0x40;	 /* radix, and nothing else */
		v[RADIX] = 0x40; /* GTSE */
	}
	fdt_put_bytes(w, "ibm,architecture-vec-5", v, sizeof(v));
}

static void put_chosen(struct fdt_writer *w, const struct tree *t)
{
	fdt_node_begin(w, "chosen");
	fdt_put_string(w, "bootargs", t->cmdline ? t->cmdline : "");
	fdt_put_string(w, "stdout-path", "/vdevice/vty@0");
	fdt_put_string(w, "linux,stdout-path", "/vdevice/vty@0");
	put_agreement(w, t);
	if (t->initrd) {
		fdt_put_u64(w, "linux,initrd-start", t->initrd);
		fdt_put_u64(w, "linux,initrd-end", t->initrd_end);
	}
	fdt_node_end(w);
}

int tree_build(const struct tree *t, void *buf, size_t size,
	       struct mote_err *err)
{
	const uint64_t reserved[] = {t->rtas, t->rtas_size};
	/* The first that is not the guest's, and how many. */
	const uint32_t priorities[] = {XIVE_PRIORITIES,
				       XIVE_MASKED - XIVE_PRIORITIES};
	struct fdt_writer w;

	fdt_writer_init(&w, buf, size);
	fdt_put_u32(&w, "#address-cells", 2);
	fdt_put_u32(&w, "#size-cells", 2);
	fdt_put_string(&w, "device_type", "chrp");
	fdt_put_string(&w, "model", "mote");
	fdt_put_string(&w, "compatible", "mote,pseries");
	fdt_put_u64s(&w, "reserved-ranges", reserved, ARRAY_SIZE(reserved));
	if (t->xive)
		fdt_put_cells(&w, "ibm,plat-res-int-priorities", priorities,
			      ARRAY_SIZE(priorities));
	put_chosen(&w, t);
	put_memory(&w, 0, t->rma);
	put_memory(&w, t->rma, t->memory - t->rma);
	put_cpus(&w, t);
	put_rtas(&w, t);
	if (t->xics)
		put_xics(&w, t);
	if (t->xive)
		put_xive(&w, t);
	put_vdevice(&w);
	return fdt_writer_finish(&w, err);
}
