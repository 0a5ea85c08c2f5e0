/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail_priv.h - the parts of jail_enter, in the order in which it calls them.
 *
 * Each returns 0, with what it applied and read back in report->layers, or
 * -errno.  What this kernel lacks is not an error: it is noted in
 * report->missing.
 */
#ifndef VMM_SANDBOX_JAIL_PRIV_H
#define VMM_SANDBOX_JAIL_PRIV_H

#include "sandbox/sandbox.h"

struct mote_err;

/* "what: why; " at the end of report->missing. */
void jail_missing(struct jail_report *report, const char *what,
		  const char *why);

/* An empty, read-only root without the mounts of the old one. */
int jail_new_root(struct jail_report *report, struct mote_err *err);

/* While root: nothing executed later, or by id change, can gain any. */
int caps_bound(struct mote_err *err);

/* Give up all capabilities, and ask the kernel whether they are gone. */
int caps_drop(struct jail_report *report, struct mote_err *err);

/* No rights at all, on everything that the kernel's Landlock knows. */
int jail_landlock(struct jail_report *report, struct mote_err *err);

#endif
