/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostdev.h - open what stands behind a guest's disk or network.
 *
 * Threads: any; done outside the jail.  Names and files are the user's; the
 * type of each is checked, and nothing is created.
 */
#ifndef VMM_DEVICES_HOSTDEV_H
#define VMM_DEVICES_HOSTDEV_H

#include <stdbool.h>
#include <stdint.h>

struct disk_config;
struct mote_err;
struct net_config;

/* A regular file (type=file) or a block device (type=block): *fd. */
int hostdev_open_disk(const struct disk_config *cfg, int *fd,
		      struct mote_err *err);

/* Its size in bytes, or -errno. */
int64_t hostdev_disk_size(int fd);

/*
 * A tap interface that exists and is up, or a copy of the descriptor that
 * was given: *fd, not blocking; *mtu: the interface's.  virtio: frames of that
 * tap come with a virtio header.
 */
int hostdev_open_net(const struct net_config *cfg, bool virtio, int *fd,
		     uint32_t *mtu, struct mote_err *err);

/* Do frames of that descriptor come with one? */
bool hostdev_net_has_header(int fd);

/* The guest's address: the one that was set, or a random one. */
int hostdev_mac(const struct net_config *cfg, uint8_t mac[6],
		struct mote_err *err);

#endif
