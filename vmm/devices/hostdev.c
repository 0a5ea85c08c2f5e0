/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/hostdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "config/config.h"

#define MTU_DEFAULT 1500u

/* --- disks -----------------------------------------------------------------
 */

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	case S_IFIFO:
		return "a fifo";
	default:
		return "a socket or something else";
	}
}

int hostdev_open_disk(const struct disk_config *cfg, int *fd,
		      struct mote_err *err)
{
	bool block = cfg->type == DISK_BLOCK;
	cleanup_fd int got = -1;
	struct stat st;

	/* Looked at first: to open some files has consequences. */
	if (stat(cfg->path, &st) == 0 &&
	    (block ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode)))
		return err_set_class(
			err, EINVAL, ERR_CLASS_DATA,
			"disk.%s.path: %s: %s, expected %s%s", cfg->name,
			cfg->path, type_name(st.st_mode),
			block ? "a block device" : "a regular file",
			S_ISBLK(st.st_mode) ? " (or type = block)" : "");
	got = fd_open_at(AT_FDCWD, cfg->path, cfg->readonly ? O_RDONLY : O_RDWR,
			 0);
	if (got < 0)
		return err_set_class(err, -got, err_path_class(-got),
				     "disk.%s.path: open %s: %s", cfg->name,
				     cfg->path, fd_open_why(-got));
	if (fstat(got, &st) < 0)
		return err_set_class(err, errno, ERR_CLASS_IO,
				     "disk.%s.path: %s: %s", cfg->name,
				     cfg->path, strerror(errno));
	if (block ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "disk.%s.path: %s: it changed while it "
				     "was opened",
				     cfg->name, cfg->path);
	*fd = fd_steal(&got);
	return 0;
}

int64_t hostdev_disk_size(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);

	return end < 0 ? -errno : end;
}

/* --- networks --------------------------------------------------------------
 */

static int net_error(const struct net_config *cfg, const char *what, int code,
		     struct mote_err *err)
{
	return err_set_class(err, code,
			     code == EPERM || code == EACCES
				     ? ERR_CLASS_PERM
				     : ERR_CLASS_UNAVAILABLE,
			     "net.%s.tap: %s: %s%s%s", cfg->name,
			     cfg->tap ? cfg->tap : "descriptor", what,
			     what[0] ? ": " : "", strerror(code));
}

/* The interface's flags and MTU; it must exist, or opening would make it. */
static int query(const struct net_config *cfg, const char *name,
		 short *if_flags, uint32_t *mtu, struct mote_err *err)
{
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};

	if (sock < 0)
		sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return net_error(cfg, "socket", errno, err);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr) < 0)
		return net_error(cfg, "no such interface", errno, err);
	*if_flags = ifr.ifr_flags;
	if (ioctl(sock, SIOCGIFMTU, &ifr) == 0)
		*mtu = (uint32_t)ifr.ifr_mtu;
	return 0;
}

static int open_tap(const struct net_config *cfg, bool virtio, int *fd,
		    uint32_t *mtu, struct mote_err *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	cleanup_fd int got = -1;
	short if_flags = 0;
	int ret;

	if (strlen(cfg->tap) >= sizeof(ifr.ifr_name))
		return net_error(cfg, "", ENAMETOOLONG, err);
	ret = query(cfg, cfg->tap, &if_flags, mtu, err);
	if (ret < 0)
		return ret;
	if (!(if_flags & IFF_UP))
		return net_error(cfg, "the interface is not up", ENETDOWN, err);
	got = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (got < 0)
		return net_error(cfg, "open /dev/net/tun", errno, err);
	strcpy(ifr.ifr_name, cfg->tap);
	if (virtio)
		ifr.ifr_flags |= IFF_VNET_HDR;
	if (ioctl(got, TUNSETIFF, &ifr) < 0)
		return net_error(cfg,
				 errno == EINVAL ? "not a tap interface, or "
						   "one with other flags"
						 : "attach",
				 errno, err);
	/* A name with a pattern makes another interface. */
	if (strcmp(ifr.ifr_name, cfg->tap) != 0)
		return net_error(cfg, "another interface came", EINVAL, err);
	*fd = fd_steal(&got);
	return 0;
}

/* A tap, or a socket whose other end takes frames. */
static bool carries_frames(int fd)
{
	struct ifreq ifr = {.ifr_name = ""};
	struct stat st;

	return ioctl(fd, TUNGETIFF, &ifr) == 0 ||
	       (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
}

static int copy_fd(const struct net_config *cfg, int *fd, uint32_t *mtu,
		   struct mote_err *err)
{
	cleanup_fd int got = fcntl(cfg->fd, F_DUPFD_CLOEXEC, 3);
	struct ifreq ifr = {0};
	short if_flags;
	int flags;

	if (got < 0)
		return err_set_class(err, errno, ERR_CLASS_DATA,
				     "net.%s.fd: %d: %s", cfg->name, cfg->fd,
				     strerror(errno));
	flags = fcntl(got, F_GETFL);
	if (flags < 0 || fcntl(got, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_set_class(err, errno, ERR_CLASS_DATA,
				     "net.%s.fd: %d: %s", cfg->name, cfg->fd,
				     strerror(errno));
	/* A tap that is in this network namespace tells its MTU. */
	if (ioctl(got, TUNGETIFF, &ifr) == 0)
		query(cfg, ifr.ifr_name, &if_flags, mtu, NULL);
	if (!carries_frames(got))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "net.%s.fd: %d is no tap and no socket",
				     cfg->name, cfg->fd);
	*fd = fd_steal(&got);
	return 0;
}

bool hostdev_net_has_header(int fd)
{
	struct ifreq ifr = {0};

	return ioctl(fd, TUNGETIFF, &ifr) == 0 && ifr.ifr_flags & IFF_VNET_HDR;
}

int hostdev_mac(const struct net_config *cfg, uint8_t mac[6],
		struct mote_err *err)
{
	memcpy(mac, cfg->mac, 6);
	if (cfg->has_mac)
		return 0;
	if (getrandom(mac, 6, 0) != 6)
		return err_set(err, errno, "getrandom: %s", strerror(errno));
	/* Locally administered, of a single host. */
	mac[0] = (uint8_t)((mac[0] & 0xfe) | 0x02);
	return 0;
}

int hostdev_open_net(const struct net_config *cfg, bool virtio, int *fd,
		     uint32_t *mtu, struct mote_err *err)
{
	int ret;

	*mtu = MTU_DEFAULT;
	ret = cfg->tap ? open_tap(cfg, virtio, fd, mtu, err)
		       : copy_fd(cfg, fd, mtu, err);
	if (ret == 0 && cfg->mtu)
		*mtu = cfg->mtu;
	return ret;
}
