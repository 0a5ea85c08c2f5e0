/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvc.c - the PAPR virtual terminal: H_GET_TERM_CHAR, H_PUT_TERM_CHAR.
 *
 * Source: LoPAR 14.11 (hypercalls 0x54 and 0x58).  Up to 16 bytes travel in
 * two registers, most significant byte first.
 */
#include <errno.h>

#include "base/err.h"
#include "devices/chardev.h"
#include "devices/models.h"

#define H_GET_TERM_CHAR 0x54
#define H_PUT_TERM_CHAR 0x58
#define H_SUCCESS	0
#define H_PARAMETER	(-4)
#define H_FUNCTION	(-2)
#define TERM_MAX	16

static int hvc_probe(struct device *dev, const struct device_config *cfg,
		     struct mote_err *err)
{
	(void)dev;
	(void)cfg;
	(void)err;
	return 0;
}

static int64_t put_chars(struct device *dev, const uint64_t *args)
{
	uint64_t len = args[1];

	if (len > TERM_MAX)
		return H_PARAMETER;
	for (uint64_t i = 0; i < len; i++)
		chardev_put(dev->cfg.console,
			    (uint8_t)(args[2 + i / 8] >> (56 - 8 * (i % 8))));
	return H_SUCCESS;
}

static int64_t get_chars(struct device *dev, uint64_t *args)
{
	uint64_t n = 0;
	uint8_t byte;

	args[1] = args[2] = 0;
	while (n < TERM_MAX && chardev_get(dev->cfg.console, &byte)) {
		args[1 + n / 8] |= (uint64_t)byte << (56 - 8 * (n % 8));
		n++;
	}
	args[0] = n;
	return H_SUCCESS;
}

static int64_t hvc_hcall(struct device *dev, int region, uint64_t nr,
			 uint64_t args[BUS_HCALL_ARGS])
{
	(void)region;
	if (nr == H_PUT_TERM_CHAR)
		return put_chars(dev, args);
	if (nr == H_GET_TERM_CHAR)
		return get_chars(dev, args);
	return H_FUNCTION;
}

const struct device_ops hvc_ops = {
	.name = "hvc",
	.version = 1,
	.probe = hvc_probe,
	.hcall = hvc_hcall,
};
