/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pl031.c - an ARM PrimeCell real-time clock without an alarm: the host's
 * wall clock, and how far the guest has set it from that.
 *
 * Source: ARM DDI 0224, chapter 3.  32-bit registers; narrower accesses work
 * on the low bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "devices/models.h"
#include "snapshot/stream.h"

enum {
	REG_DR = 0x000,	  /* R: seconds since 1970 */
	REG_MR = 0x004,	  /* when to tell: it is kept, and nobody told */
	REG_LR = 0x008,	  /* W: set the clock */
	REG_CR = 0x00c,	  /* 1: it runs, and always does */
	REG_IMSC = 0x010, /* bit 0 */
	REG_ID = 0xfe0,
};

struct pl031 {
	uint32_t offset; /* that the guest's clock is ahead, modulo 2^32 */
	uint32_t match, load, mask;
};

static uint32_t wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)now.tv_sec;
}

static int pl031_probe(struct device *dev, const struct device_config *cfg,
		       struct mote_err *err)
{
	(void)cfg;
	dev->priv = calloc(1, sizeof(struct pl031));
	if (!dev->priv)
		return err_set(err, ENOMEM, "pl031");
	return 0;
}

static void pl031_destroy(struct device *dev)
{
	free(dev->priv);
}

static void pl031_reset(struct device *dev)
{
	*(struct pl031 *)dev->priv = (struct pl031){0};
}

static uint64_t pl031_read(struct device *dev, int region, uint64_t off,
			   int len)
{
	/* Peripheral and PrimeCell id: part 0x031 (3.3.9 on). */
	static const uint8_t id[8] = {0x31, 0x10, 0x04, 0x00,
				      0x0d, 0xf0, 0x05, 0xb1};
	const struct pl031 *p = dev->priv;

	(void)region;
	(void)len;
	if (off >= REG_ID && off % 4 == 0)
		return id[(off - REG_ID) / 4 & 7];
	switch (off) {
	case REG_DR:
		return wall() + p->offset;
	case REG_MR:
		return p->match;
	case REG_LR:
		return p->load;
	case REG_CR:
		return 1;
	case REG_IMSC:
		return p->mask;
	default:
		return 0;
	}
}

static void pl031_write(struct device *dev, int region, uint64_t off, int len,
			uint64_t val)
{
	struct pl031 *p = dev->priv;

	(void)region;
	(void)len;
	switch (off) {
	case REG_MR:
		p->match = (uint32_t)val;
		break;
	case REG_LR:
		p->load = (uint32_t)val;
		p->offset = p->load - wall();
		break;
	case REG_IMSC:
		p->mask = val & 1;
		break;
	default:
		break;
	}
}

static int pl031_save(struct device *dev, struct snap_writer *w,
		      struct mote_err *err)
{
	const struct pl031 *p = dev->priv;

	(void)err;
	snap_put_u32(w, p->offset);
	snap_put_u32(w, p->match);
	snap_put_u32(w, p->load);
	snap_put_u32(w, p->mask);
	return 0;
}

static int pl031_load(struct device *dev, struct snap_section *s,
		      struct mote_err *err)
{
	struct pl031 *p = dev->priv;

	p->offset = snap_get_u32(s);
	p->match = snap_get_u32(s);
	p->load = snap_get_u32(s);
	p->mask = snap_get_u32(s);
	if (p->mask > 1)
		return err_set_class(err, EBADMSG, ERR_CLASS_DATA,
				     "pl031: register out of range");
	return 0;
}

const struct device_ops pl031_ops = {
	.name = "pl031",
	.version = 1,
	.probe = pl031_probe,
	.destroy = pl031_destroy,
	.reset = pl031_reset,
	.read = pl031_read,
	.write = pl031_write,
	.save = pl031_save,
	.load = pl031_load,
};
