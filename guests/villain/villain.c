/* SPDX-License-Identifier: Apache-2.0 */
/*
 * villain.c - a bad virtio driver (x86_64: in ring 3).
 *
 * vv.test=ID: that test; else all of them.  A line for each: its id, its name,
 * the verdict, and "unexpected" where another was due; exits with how many.
 */
#include "villain.h"

const struct kind *kind;
struct vdev dev;
struct vring ring, other;
struct vdesc table[512] __attribute__((aligned(16)));
uint8_t data[65536] __attribute__((aligned(4096)));
uint64_t ram_end, features;

static const struct mote_boot *boot_page;

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t status;

static void good_blk(void)
{
	header.type = 0;
	header.sector = 0;
	vset(&ring, 0, &header, 16, VD_NEXT, 1);
	vset(&ring, 1, data, 512, VD_NEXT | VD_WRITE, 2);
	vset(&ring, 2, &status, 1, VD_WRITE, 0);
}

static void good_net(void)
{
	for (unsigned int i = 0; i < 72; i++)
		data[i] = i < 24 && i >= 12 ? 0xff : 0;
	vset(&ring, 0, data, 12, VD_NEXT, 1);
	vset(&ring, 1, data + 12, 60, 0, 0);
}

static void good_rx(void)
{
	vset(&ring, 0, data, 2048, VD_WRITE, 0);
}

static void good_rng(void)
{
	vset(&ring, 0, data, 16, VD_WRITE, 0);
}

static const struct kind kinds[] = {
	{"blk", VID_BLK, 0, 1, 3, good_blk},
	{"net", VID_NET, 1, 2, 2, good_net},
	{"rng", VID_RNG, 0, 1, 1, good_rng},
};

void use_rx(void);
void use_rx(void)
{
	static const struct kind rx = {"net", VID_NET, 0, 2, 1, good_rx};

	kind = &rx;
}

int begin(uint16_t size)
{
	if (!vbegin(&dev, features))
		return 0;
	vqueue(&dev, &ring, kind->queue, size);
	if (kind->queues > 1)
		vqueue(&dev, &other, (uint16_t)!kind->queue, SIZE);
	return 1;
}

int setup(void)
{
	if (!begin(SIZE))
		return 0;
	vready(&dev);
	kind->good();
	return 1;
}

static int broken(void)
{
	return (vget(&dev, V_STATUS) & VS_NEEDS_RESET) != 0;
}

enum verdict outcome(uint16_t used)
{
	const volatile uint16_t *idx = &ring.used.idx;

	for (int i = 0; i < 3000; i++) {
		for (int k = 0; k < 200 && *idx != used; k++)
			vrelax();
		if (*idx == used)
			return broken() ? NEEDS_RESET : PASS;
		if (broken())
			return NEEDS_RESET;
		reg_write(boot_page, MOTE_REG_WAIT, 1);
	}
	return WEDGED;
}

enum verdict go(void)
{
	voffer(&ring, 0);
	vput(&dev, V_NOTIFY, kind->queue);
	return outcome(ring.next_avail);
}

enum verdict works(void)
{
	kind->good();
	return go() == PASS ? PASS : WEDGED;
}

enum verdict must(int ok)
{
	return ok ? PASS : WEDGED;
}

enum verdict unmoved(void)
{
	return broken() ? NEEDS_RESET : works();
}

/* Of a device that was ill-treated: reset, and as good as new. */
static int recovers(const struct kind *k)
{
	kind = k;
	features = VF_INDIRECT | VF_EVENT_IDX;
	vput(&dev, V_STATUS, 0);
	for (int i = 0; vget(&dev, V_STATUS) != 0; i++)
		if (i > 100000)
			return 0;
	features = 0;
	if (vget(&dev, V_ISR) != 0 || !setup())
		return 0;
	return works() == PASS;
}

static const char *const verdict_name[] = {"PASS", "NEEDS_RESET", "WEDGED"};

static int run_one(const struct kind *k, unsigned int id, const struct test *t)
{
	enum verdict v;
	int ok;

	kind = k;
	features = VF_INDIRECT;
	v = setup() ? t->run() : WEDGED;
	if (!recovers(k))
		v = WEDGED;
	ok = v == t->expect || (t->expect == EITHER && v != WEDGED);
	print_u64(id);
	print(" ");
	print(k->name);
	print(" ");
	print(t->name);
	print(" ");
	print(verdict_name[v]);
	print(ok ? "\n" : " unexpected\n");
	return !ok;
}

static int run_table(const struct kind *k, unsigned int first,
		     const struct test *t, uint64_t only)
{
	int wrong = 0;

	for (unsigned int i = 0; t[i].name; i++)
		if (!only || only == first + i)
			wrong += run_one(k, first + i, &t[i]);
	return wrong;
}

int guest_main(const struct mote_boot *boot)
{
	const struct test *const own[] = {blk_tests, net_tests, rng_tests};
	uint64_t only = guest_arg_u64("vv.test", 0);
	int wrong = 0;

	boot_page = boot;
	ram_end = boot->ram[0].base + boot->ram[0].size;
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int id = (i + 1) * 1000;

		if (!vfind(boot, kinds[i].id, 0, &dev, NULL))
			continue;
		wrong += run_table(&kinds[i], id, transport_tests, only);
		wrong += run_table(&kinds[i], id + 200, queue_tests, only);
		wrong += run_table(&kinds[i], id + 400, own[i], only);
	}
	print(wrong ? "villain: unexpected\n" : "villain: all as expected\n");
	return wrong > 100 ? 100 : wrong;
}
