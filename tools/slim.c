/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slim.c - keeps what we never use out of our static tools.
 *
 * libcap-ng is one object file, so all that any of its functions names comes
 * along: getpwuid and initgroups bring the C library's name services (300
 * KiB and a loader for modules), sscanf its floating point and wide
 * characters, syslog its clock (120 KiB).  These stand in for them.  Not in
 * the library: there they would take the place of an embedder's.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int slim_sscanf(const char *text, const char *fmt,
		...) __asm__("__isoc99_sscanf");
void slim_syslog(int priority, int flag, const char *fmt,
		 ...) __asm__("__syslog_chk");

/* Only capng_change_id asks, which caps.c does not call. */
struct passwd *getpwuid(uid_t uid)
{
	(void)uid;
	errno = ENOSYS;
	return NULL;
}

int initgroups(const char *user, gid_t group)
{
	(void)user;
	(void)group;
	errno = ENOSYS;
	return -1;
}

/*
 * libcap-ng reads the bounding and ambient set of /proc/PID/status with it;
 * caps.c asks the kernel instead.  Any other use would be a bug of ours.
 */
int slim_sscanf(const char *text, const char *fmt, ...)
{
	(void)text;
	if (strncmp(fmt, "Cap", 3) != 0)
		abort();
	return 0;
}

/* Its complaint about wrong use of capng_apply. */
void slim_syslog(int priority, int flag, const char *fmt, ...)
{
	(void)priority;
	(void)flag;
	(void)fmt;
}
