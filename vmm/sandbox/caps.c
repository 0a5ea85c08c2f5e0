/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caps.c - drop every capability, then prove it.
 *
 * Through libcap-ng, but for capng_change_id: ids are changed in jail.c by
 * number.  (libcap-ng is one object file, so a static link still wants what
 * that function calls; tools/slim.c keeps it out of our tools.)
 */
#include <cap-ng.h>
#include <errno.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/err.h"
#include "sandbox/jail_priv.h"

/*
 * Root is a user like any other, ids change without side effects, nothing
 * becomes ambient, capabilities are not kept over an id change; all locked.
 */
#define SECUREBITS                                                             \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |       \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |             \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/*
 * Not through libcap-ng: it reads /proc/PID/status, and in a pid namespace
 * of our own under the old /proc that is another process's.  Number of
 * capabilities that are gone from the set, or -errno.
 */
static int empty_bounding_set(void)
{
	int cap = 0, has;

	while ((has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0) {
		if (has && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
		has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has != 0)
			return has < 0 ? -EINVAL : -EBUSY;
		cap++;
	}
	/* The first number that is none ends it, and nothing before. */
	return cap > CAP_AUDIT_READ ? cap : -EINVAL;
}

static bool ambient_set_empty(void)
{
	int cap = 0, has;

	while ((has = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0,
			    0)) == 0)
		cap++;
	return has < 0 && cap > CAP_SETPCAP;
}

int caps_bound(struct mote_err *err)
{
	int ret = empty_bounding_set();

	/*
	 * Who has no CAP_SETPCAP: an ordinary user without a user namespace.
	 * He holds nothing, and no-new-privs keeps it so.
	 */
	if (ret == -EPERM)
		return 0;
	if (ret < 0)
		return err_set(err, -ret, "capabilities: bounding set: %s",
			       strerror(-ret));
	if (prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0) < 0)
		return err_set(err, errno, "capabilities: securebits: %s",
			       strerror(errno));
	if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != SECUREBITS)
		return err_set(err, EPERM,
			       "capabilities: securebits are not as set");
	return 0;
}

int caps_drop(struct jail_report *report, struct mote_err *err)
{
	/* Ambient ones go with the permitted and inheritable sets. */
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_set(err, EPERM, "capabilities: not dropped");
	if (capng_get_caps_process() != 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE ||
	    !ambient_set_empty())
		return err_set(err, EPERM,
			       "capabilities: some are left after "
			       "all were dropped");
	report->layers |= JAIL_CAPS;
	return 0;
}
