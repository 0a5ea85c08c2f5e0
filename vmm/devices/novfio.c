/* SPDX-License-Identifier: Apache-2.0 */
/*
 * novfio.c - an architecture whose guests get no devices of the host: arch_pci
 * says so before any of these is called, and no key of [passthrough.NAME] is
 * taken there.
 */
#include <errno.h>

#include "base/err.h"
#include "devices/vfio/open.h"
#include "devices/vfio/passthrough.h"

static int none(struct mote_err *err)
{
	return err_set_class(err, ENOTSUP, ERR_CLASS_DATA,
			     "passthrough: not on this architecture");
}

int vfio_open_device(const struct passthrough_config *p, struct mote_err *err)
{
	(void)p;
	return none(err);
}

bool vfio_host_has(uint16_t vendor, uint16_t device)
{
	(void)vendor;
	(void)device;
	return false;
}

const char *vfio_open_more(const struct vm_config *c, unsigned int i)
{
	(void)c;
	(void)i;
	return NULL;
}

int vfio_open_container(const char *which, struct mote_err *err)
{
	(void)which;
	return none(err);
}

int passthrough_create(struct passthrough **out,
		       const struct passthrough_options *opt,
		       struct mote_err *err)
{
	(void)opt;
	*out = NULL;
	return none(err);
}

void passthrough_destroy(struct passthrough *p)
{
	(void)p;
}

int passthrough_fds(const struct passthrough *p)
{
	(void)p;
	return -1;
}

int passthrough_check(const struct passthrough *p, bool ready, bool sticky,
		      struct mote_err *err)
{
	(void)p;
	(void)ready;
	(void)sticky;
	return none(err);
}

int passthrough_freeze(struct passthrough *p, struct mote_err *err)
{
	(void)p;
	return none(err);
}

int passthrough_thaw(struct passthrough *p, struct mote_err *err)
{
	(void)p;
	return none(err);
}

int passthrough_pending(struct passthrough *p, uint64_t *bytes,
			struct mote_err *err)
{
	(void)p;
	(void)bytes;
	return none(err);
}

void passthrough_loaded(struct passthrough *p)
{
	(void)p;
}

int passthrough_run(struct passthrough *p, struct mote_err *err)
{
	(void)p;
	return none(err);
}

int passthrough_dirty(void *passthrough, struct dirty_tracker *t,
		      struct mote_err *err)
{
	(void)passthrough;
	(void)t;
	return none(err);
}
