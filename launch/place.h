/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - where of the host's the VM process runs: the network namespace
 * of [sandbox] netns, the cgroups of [limits] cgroup.
 *
 * The launcher opens and checks both with the rights of who started it; the
 * VM process joins them before it gives up its own.  Its [limits] as well.
 * Threads: one.
 */
#ifndef VMM_LAUNCH_PLACE_H
#define VMM_LAUNCH_PLACE_H

struct mote_config;
struct mote_err;

#define PLACE_CGROUPS_MAX 16 /* version 1 has a tree for each controller */

struct host_place {
	int netns; /* -1: none */
	int cgroup[PLACE_CGROUPS_MAX];
	int cgroup_count;
};

/* 0, or negative with the key and the path named; place_close in any case. */
int place_open(struct host_place *p, const struct mote_config *cfg,
	       struct mote_err *err);
void place_close(struct host_place *p);

/*
 * Move this process, which has one thread, into the cgroups; before it has a
 * cgroup namespace of its own, whose root they then are.
 */
int place_join_cgroups(const struct host_place *p, struct mote_err *err);

/* [limits] open_files, file_size, threads of this process: never up. */
int place_limit(const struct mote_config *cfg, struct mote_err *err);

#endif
