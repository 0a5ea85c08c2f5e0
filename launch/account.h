/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account.h - the user and group that the VM process becomes.
 *
 * Names are looked up in /etc/passwd and /etc/group by ourselves: the C
 * library's look-up loads modules, which a static program can't.
 */
#ifndef VMM_LAUNCH_ACCOUNT_H
#define VMM_LAUNCH_ACCOUNT_H

#include <stdint.h>

struct mote_config;
struct mote_err;

/*
 * [sandbox] user and group as numbers; unset: 65534 (who root of a user
 * namespace that does not know it is: himself), or for the group of a
 * named user that user's own.  Who is not root stays who he is: another
 * one is an error (class 77).
 */
int account_resolve(const struct mote_config *cfg, uint32_t *uid, uint32_t *gid,
		    struct mote_err *err);

/* Look name up in a passwd or group file: 0, -ENOENT or -errno. */
int account_find(const char *file, const char *name, uint32_t *id,
		 uint32_t *second);

#endif
