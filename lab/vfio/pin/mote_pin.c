// SPDX-License-Identifier: GPL-2.0
/*
 * mote_pin.c - a mediated device that pins guest pages when it is told to
 *
 * For mote's VFIO lab: no driver in Debian's kernels makes type1's dirty
 * bitmap fine-grained, because none that runs without hardware pins pages.
 * Region 0 has four 64-bit registers: IOVA, PAGES, COMMAND and RESULT.
 * Writing COMMAND carries it out; RESULT is a count of pages or -errno:
 *
 *   1 HOLD   pin PAGES pages from IOVA on and keep them
 *   2 DROP   unpin what is held of that range
 *   3 WRITE  write the first 8 bytes of each page by vfio_dma_rw
 *   4 TOUCH  pin, write and unpin each page
 *   5 READ   read the first 8 bytes of each page by vfio_dma_rw
 *   6 STORE  write the held pages through the pin: the IOMMU's owner sees
 *            nothing of it
 */
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#define PIN_REGION_SIZE 32
#define PIN_REGION(pos) ((u64)(pos) >> 40)
#define PIN_OFFSET(pos) ((u64)(pos) & ((1ull << 40) - 1))

enum { REG_IOVA, REG_PAGES, REG_COMMAND, REG_RESULT, REGS };
enum { DO_HOLD = 1, DO_DROP, DO_WRITE, DO_TOUCH, DO_READ, DO_STORE };

struct pin_dev {
	struct vfio_device vdev;
	struct mutex lock;
	u64 reg[REGS];
	struct xarray held; /* iova page number to struct page */
};

static struct class *pin_class;
static struct device *pin_root;
static struct mdev_parent pin_parent;
static struct mdev_type pin_type = {
	.sysfs_name = "1",
	.pretty_name = "pins pages",
};
static struct mdev_type *pin_types[] = {&pin_type};

static struct pin_dev *to_pin(struct vfio_device *vdev)
{
	return container_of(vdev, struct pin_dev, vdev);
}

static void store(struct page *page, u64 val)
{
	u64 *to = kmap_local_page(page);

	*to = val;
	kunmap_local(to);
}

static int hold(struct pin_dev *p, u64 iova)
{
	unsigned long pfn = iova >> PAGE_SHIFT;
	struct page *page;
	int ret;

	if (xa_load(&p->held, pfn))
		return -EEXIST;
	ret = vfio_pin_pages(&p->vdev, iova, 1, IOMMU_READ | IOMMU_WRITE,
			     &page);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	ret = xa_err(xa_store(&p->held, pfn, page, GFP_KERNEL));
	if (ret)
		vfio_unpin_pages(&p->vdev, iova, 1);
	return ret;
}

static int drop(struct pin_dev *p, u64 iova)
{
	if (!xa_erase(&p->held, iova >> PAGE_SHIFT))
		return -ENOENT;
	vfio_unpin_pages(&p->vdev, iova, 1);
	return 0;
}

static int touch(struct pin_dev *p, u64 iova)
{
	struct page *page;
	int ret;

	ret = vfio_pin_pages(&p->vdev, iova, 1, IOMMU_READ | IOMMU_WRITE,
			     &page);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	store(page, iova);
	vfio_unpin_pages(&p->vdev, iova, 1);
	return 0;
}

static int one_page(struct pin_dev *p, u64 iova)
{
	struct page *page;
	u64 val = iova;

	switch (p->reg[REG_COMMAND]) {
	case DO_HOLD:
		return hold(p, iova);
	case DO_DROP:
		return drop(p, iova);
	case DO_WRITE:
		return vfio_dma_rw(&p->vdev, iova, &val, sizeof(val), true);
	case DO_TOUCH:
		return touch(p, iova);
	case DO_READ:
		return vfio_dma_rw(&p->vdev, iova, &val, sizeof(val), false);
	case DO_STORE:
		page = xa_load(&p->held, iova >> PAGE_SHIFT);
		if (!page)
			return -ENOENT;
		store(page, ~iova);
		return 0;
	}
	return -EINVAL;
}

static void command(struct pin_dev *p)
{
	u64 i;
	int ret = 0;

	for (i = 0; i < p->reg[REG_PAGES]; i++) {
		ret = one_page(p, p->reg[REG_IOVA] + (i << PAGE_SHIFT));
		if (ret)
			break;
		cond_resched();
	}
	p->reg[REG_RESULT] = i ? i : (s64)ret;
}

/* Also called back by the kernel before a range that is held gets unmapped. */
static void drop_range(struct pin_dev *p, u64 iova, u64 length)
{
	unsigned long last = (iova + length - 1) >> PAGE_SHIFT;
	unsigned long pfn;
	void *page;

	xa_for_each_range(&p->held, pfn, page, iova >> PAGE_SHIFT, last)
		drop(p, (u64)pfn << PAGE_SHIFT);
}

static ssize_t pin_read(struct vfio_device *vdev, char __user *buf,
			size_t count, loff_t *pos)
{
	struct pin_dev *p = to_pin(vdev);
	u64 off = PIN_OFFSET(*pos);

	if (PIN_REGION(*pos) || off >= PIN_REGION_SIZE ||
	    count > PIN_REGION_SIZE - off)
		return -EINVAL;
	if (copy_to_user(buf, (u8 *)p->reg + off, count))
		return -EFAULT;
	*pos += count;
	return count;
}

static ssize_t pin_write(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *pos)
{
	struct pin_dev *p = to_pin(vdev);
	u64 off = PIN_OFFSET(*pos), val;

	if (PIN_REGION(*pos) || count != sizeof(val) || off % sizeof(val) ||
	    off / sizeof(val) > REG_COMMAND)
		return -EINVAL;
	if (copy_from_user(&val, buf, sizeof(val)))
		return -EFAULT;
	mutex_lock(&p->lock);
	p->reg[off / sizeof(val)] = val;
	if (off / sizeof(val) == REG_COMMAND)
		command(p);
	mutex_unlock(&p->lock);
	*pos += count;
	return count;
}

static int region_info(struct vfio_region_info *info)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->offset = (u64)info->index << 40;
	info->size = info->index ? 0 : PIN_REGION_SIZE;
	info->flags = info->index ? 0
				  : VFIO_REGION_INFO_FLAG_READ |
					    VFIO_REGION_INFO_FLAG_WRITE;
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
static int pin_region_info(struct vfio_device *vdev,
			   struct vfio_region_info *info,
			   struct vfio_info_cap *caps)
{
	return region_info(info);
}
#endif

static long pin_ioctl(struct vfio_device *vdev, unsigned int cmd,
		      unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {};
	struct vfio_region_info region = {};
	void __user *user = (void __user *)arg;
	int ret;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		if (copy_from_user(&info, user, minsz))
			return -EFAULT;
		if (info.argsz < minsz)
			return -EINVAL;
		info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		info.num_regions = VFIO_PCI_NUM_REGIONS;
		info.num_irqs = 0;
		return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		minsz = offsetofend(struct vfio_region_info, offset);
		if (copy_from_user(&region, user, minsz))
			return -EFAULT;
		if (region.argsz < minsz)
			return -EINVAL;
		ret = region_info(&region);
		if (ret)
			return ret;
		return copy_to_user(user, &region, minsz) ? -EFAULT : 0;
	case VFIO_DEVICE_RESET:
		drop_range(to_pin(vdev), 0, U64_MAX);
		return 0;
	}
	return -ENOTTY;
}

static void pin_close(struct vfio_device *vdev)
{
	drop_range(to_pin(vdev), 0, U64_MAX);
}

static void pin_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	drop_range(to_pin(vdev), iova, length);
}

static int pin_init(struct vfio_device *vdev)
{
	struct pin_dev *p = to_pin(vdev);

	mutex_init(&p->lock);
	xa_init(&p->held);
	return 0;
}

static void pin_release(struct vfio_device *vdev)
{
	xa_destroy(&to_pin(vdev)->held);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	vfio_free_device(vdev);
#endif
}

static const struct vfio_device_ops pin_ops = {
	.name = "mote-pin",
	.init = pin_init,
	.release = pin_release,
	.close_device = pin_close,
	.read = pin_read,
	.write = pin_write,
	.ioctl = pin_ioctl,
	.dma_unmap = pin_unmap,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	.get_region_info_caps = pin_region_info,
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#endif
};

static int pin_probe(struct mdev_device *mdev)
{
	struct pin_dev *p;
	int ret;

	p = vfio_alloc_device(pin_dev, vdev, &mdev->dev, &pin_ops);
	if (IS_ERR(p))
		return PTR_ERR(p);
	ret = vfio_register_emulated_iommu_dev(&p->vdev);
	if (ret) {
		vfio_put_device(&p->vdev);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, p);
	return 0;
}

static void pin_remove(struct mdev_device *mdev)
{
	struct pin_dev *p = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&p->vdev);
	vfio_put_device(&p->vdev);
}

static struct mdev_driver pin_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.max_instances = 64,
	.probe = pin_probe,
	.remove = pin_remove,
	.driver =
		{
			.name = "mote_pin",
			.owner = THIS_MODULE,
			.mod_name = KBUILD_MODNAME,
		},
};

static int __init pin_start(void)
{
	int ret = mdev_register_driver(&pin_driver);

	if (ret)
		return ret;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	pin_class = class_create("mote_pin");
#else
	pin_class = class_create(THIS_MODULE, "mote_pin");
#endif
	ret = PTR_ERR_OR_ZERO(pin_class);
	if (ret)
		goto out_driver;
	pin_root = device_create(pin_class, NULL, 0, NULL, "mote_pin");
	ret = PTR_ERR_OR_ZERO(pin_root);
	if (ret)
		goto out_class;
	ret = mdev_register_parent(&pin_parent, pin_root, &pin_driver,
				   pin_types, ARRAY_SIZE(pin_types));
	if (!ret)
		return 0;
	device_unregister(pin_root);
out_class:
	class_destroy(pin_class);
out_driver:
	mdev_unregister_driver(&pin_driver);
	return ret;
}

static void __exit pin_stop(void)
{
	mdev_unregister_parent(&pin_parent);
	device_unregister(pin_root);
	class_destroy(pin_class);
	mdev_unregister_driver(&pin_driver);
}

module_init(pin_start);
module_exit(pin_stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("mote's lab: a mediated device that pins pages");
