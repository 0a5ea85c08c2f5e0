/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_priv.h - what save.c writes and snapshot.c loads.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_PRIV_H
#define VMM_SNAPSHOT_SNAPSHOT_PRIV_H

#define SECTION_CONSOLE "console"
#define CONSOLE_VERSION 1

#endif
