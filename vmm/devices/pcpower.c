/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcpower.c - the ports by which an x86 guest resets or ends its machine:
 * ACPI's sleep and reset registers, the keyboard controller's pulse on the
 * reset line, and the chipset's reset control.  Nothing else of those
 * devices is here; no state.
 *
 * Source: ACPI 6.5, 4.8.3.6 and 4.8.3.7; Intel 8042 command 0xfe; Intel ICH
 * datasheet, RST_CNT (0xcf9).
 */
#include "base/event.h"
#include "devices/models.h"

/* ACPI: three registers in a row. */
enum { REG_SLEEP, REG_STATUS, REG_RESET };

#define SLEEP_ENABLE  0x20
#define SLEEP_TYPE(v) ((v) >> 2 & 7)
#define TYPE_OFF      5
#define RESET_VALUE   1

/* The keyboard controller: ports from 0x60 on. */
enum { KBD_PORT_B = 1, KBD_COMMAND = 4 };

#define KBD_PULSE_RESET	   0xfe
#define PORT_B_TIMER2_DONE 0x20 /* who waits for it has waited */

#define RST_CPU 0x04

static int power_probe(struct device *dev, const struct device_config *cfg,
		       struct mote_err *err)
{
	(void)dev;
	(void)cfg;
	(void)err;
	return 0;
}

static uint64_t power_read(struct device *dev, int region, uint64_t off,
			   int len)
{
	(void)dev;
	(void)region;
	(void)off;
	return len == 1 ? 0 : UINT64_MAX;
}

static uint64_t kbd_read(struct device *dev, int region, uint64_t off, int len)
{
	(void)dev;
	(void)region;
	if (len != 1)
		return UINT64_MAX;
	return off == KBD_PORT_B ? PORT_B_TIMER2_DONE : 0;
}

static void acpi_write(struct device *dev, int region, uint64_t off, int len,
		       uint64_t val)
{
	(void)region;
	if (len != 1)
		return;
	if (off == REG_SLEEP && val & SLEEP_ENABLE &&
	    SLEEP_TYPE(val) == TYPE_OFF)
		event_end(dev->cfg.events, EVENT_EXIT, 0);
	else if (off == REG_RESET && val == RESET_VALUE)
		event_end(dev->cfg.events, EVENT_RESET, 0);
}

static void kbd_write(struct device *dev, int region, uint64_t off, int len,
		      uint64_t val)
{
	(void)region;
	if (len == 1 && off == KBD_COMMAND && val == KBD_PULSE_RESET)
		event_end(dev->cfg.events, EVENT_RESET, 0);
}

static void cf9_write(struct device *dev, int region, uint64_t off, int len,
		      uint64_t val)
{
	(void)region;
	(void)off;
	if (len == 1 && val & RST_CPU)
		event_end(dev->cfg.events, EVENT_RESET, 0);
}

const struct device_ops acpi_power_ops = {
	.name = "acpi-power",
	.version = 1,
	.probe = power_probe,
	.read = power_read,
	.write = acpi_write,
};

const struct device_ops i8042_ops = {
	.name = "i8042",
	.version = 1,
	.probe = power_probe,
	.read = kbd_read,
	.write = kbd_write,
};

const struct device_ops cf9_ops = {
	.name = "cf9",
	.version = 1,
	.probe = power_probe,
	.read = power_read,
	.write = cf9_write,
};
