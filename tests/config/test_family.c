/* SPDX-License-Identifier: Apache-2.0 */
/* Sections that may be many: [disk.NAME] and [net.NAME]. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/num.h"
#include "config/config_priv.h"
#include "helpers.h"

#define NAME67                                                                 \
	"n234567890123456789012345678901234567890123456789012345678901234567"

_Static_assert(sizeof(NAME67) == 68, "NAME67");

Test(family, sections_keep_the_order_of_the_file)
{
	AUTO_PARSED p = parse(EVERYTHING);
	const struct disk_config *d = p.c.disk;
	const struct net_config *n = p.c.net;
	static const uint8_t mac[6] = {2, 0, 0, 0x0a, 0xbc, 0xff};

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	cr_assert_eq(p.c.disk_count, 2);
	cr_assert_str_eq(d[0].name, "b");
	cr_assert_str_eq(d[0].path, "/d");
	cr_assert_eq(d[0].type, DISK_BLOCK);
	cr_assert(d[0].readonly);
	cr_assert_eq(d[0].sector_size, 4096);
	cr_assert_str_eq(d[1].name, "a");
	cr_assert_str_eq(d[1].path, "/e");
	cr_assert_eq(d[1].type, DISK_FILE);
	cr_assert(!d[1].readonly);
	cr_assert_eq(d[1].sector_size, 512);
	cr_assert_eq(p.c.net_count, 2);
	cr_assert_str_eq(n[0].name, "x");
	cr_assert_str_eq(n[0].tap, "tap0");
	cr_assert_eq(n[0].fd, -1);
	cr_assert(n[0].has_mac);
	cr_assert_arr_eq(n[0].mac, mac, 6);
	cr_assert_eq(n[0].mtu, 9000);
	cr_assert_str_eq(n[1].name, "w");
	cr_assert_null(n[1].tap);
	cr_assert_eq(n[1].fd, 7);
	cr_assert(!n[1].has_mac);
	cr_assert_eq(n[1].mtu, 0);
}

Test(family, a_set_finds_its_section_or_adds_it)
{
	AUTO_PARSED p = parse("[disk.a]\npath = /a\n[disk.b]\npath = /b\n");
	char buf[64];

	cr_assert_eq(config_set(&p.c, "x", "disk.a.path=/c", X86, &p.e), 0);
	cr_assert_eq(config_set(&p.c, "x", "disk.n.readonly=on", X86, &p.e), 0);
	cr_assert_eq(config_set(&p.c, "x", "net.n.fd=3", X86, &p.e), 0);
	cr_assert_eq(p.c.disk_count, 3);
	cr_assert_str_eq(p.c.disk[0].path, "/c");
	cr_assert_str_eq(p.c.disk[1].path, "/b");
	cr_assert_str_eq(p.c.disk[2].name, "n");
	cr_assert(p.c.disk[2].readonly);
	cr_assert_eq(p.c.disk[2].sector_size, 512, "defaults come first");
	cr_assert_str_eq(config_get(&p.c, "disk.b.path", buf, sizeof(buf)),
			 "/b");
	cr_assert_str_eq(config_get(&p.c, "disk.n.readonly", buf, sizeof(buf)),
			 "yes");
	cr_assert_str_eq(config_get(&p.c, "net.n.fd", buf, sizeof(buf)), "3");
	cr_assert_str_eq(config_get(&p.c, "net.n.mtu", buf, sizeof(buf)),
			 "auto");
	cr_assert_null(config_get(&p.c, "net.n.mac", buf, sizeof(buf)));
	cr_assert_null(config_get(&p.c, "disk.no.path", buf, sizeof(buf)));
	cr_assert_null(config_get(&p.c, "disk.NAME.path", buf, sizeof(buf)));
	cr_assert_null(config_get(&p.c, "disk.path", buf, sizeof(buf)));
}

Test(family, a_refused_set_adds_nothing)
{
	static const char *const bad[] = {
		"disk.n.path=",		"disk.n.sector_size=513",
		"disk.n.cache=none",	"disk.n.rate_ops=0",
		"net.n.rate_bytes=1K",	"net.n.tap=a/b",
		"disk.n n.path=x",	"disk.n/n.path=x",
		"disk.\x1b.path=x",	"disk.é.path=x",
		"disk.n;.path=x",	"disk." NAME67 "8.path=x",
		"net." NAME67 "8.fd=1",
	};
	AUTO_PARSED p = parse("[disk.a]\npath = /a\n");

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_expect_eq(config_set(&p.c, "x", bad[i], X86, &p.e), -EINVAL,
			     "%s", bad[i]);
		cr_expect_eq(p.e.count, i + 1);
		cr_expect_eq(p.c.disk_count, 1, "%s", bad[i]);
		cr_expect_eq(p.c.net_count, 0, "%s", bad[i]);
	}
	cr_expect_eq(config_set(&p.c, "x", "disk." NAME67 ".path=x", X86, NULL),
		     0);
	cr_expect_eq(config_set(&p.c, "x", "net." NAME67 ".fd=1", X86, NULL),
		     0);
	round_trip(&p.c, X86);
}

/* 63 are taken; the next one is refused by name, and its keys skipped. */
static void check_limit(const char *kind, const char *line)
{
	char text[8192], want[200];
	size_t len = 0;

	for (int i = 0; i < 64; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[%s.n%d]\n", kind, i);
	snprintf(text + len, sizeof(text) - len, "%s\n[log]\nlevel = info\n",
		 line);
	AUTO_PARSED p = parse(text);
	cr_expect_eq(p.ret, -EINVAL);
	cr_expect_eq(p.e.count, 1);
	snprintf(want, sizeof(want),
		 "t.ini:64: %s.n63: one section more, expected at most 63 of "
		 "[%s.NAME]",
		 kind, kind);
	cr_expect_str_eq(msg(&p, 0), want);
	cr_expect_eq(p.c.disk_count + p.c.net_count, 63);
	cr_expect_eq(p.c.log.level, 6);

	snprintf(text, sizeof(text), "%s.new.%.*s=1", kind,
		 (int)strcspn(line, " "), line);
	cr_expect_eq(config_set(&p.c, "--set", text, X86, &p.e), -EINVAL);
	snprintf(want, sizeof(want),
		 "--set: %.*s: one section more, expected at most 63 of "
		 "[%s.NAME]",
		 (int)strcspn(text, "="), text, kind);
	cr_expect_str_eq(msg(&p, 1), want);
	snprintf(text, sizeof(text), "%s.n62.%.*s=1", kind,
		 (int)strcspn(line, " "), line);
	cr_expect_eq(config_set(&p.c, "--set", text, X86, &p.e), 0);
}

Test(family, the_sixty_fourth_is_refused_by_name)
{
	check_limit("disk", "path = x");
	check_limit("net", "fd = 1");
}

Test(family, a_sector_is_a_power_of_two)
{
	static const char *const good[] = {"512", "1K",	   "1024", "2K",   "4K",
					   "8K",  "16384", "32K",  "32768"};
	static const char *const bad[] = {
		"",	"0",	 "1",
		"256",	"511",	 "513",
		"1000", "1536",	 "3K",
		"24K",	"32769", "48K",
		"64K",	"1M",	 "-512",
		"512b", "0x200", "4294967808",
		"4G",	"1e3",	 "18446744073709552128"};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "disk.a.sector_size=%s", good[i]);
		AUTO_PARSED p = set(text);
		cr_expect_eq(p.ret, 0, "%s", text);
		round_trip(&p.c, X86);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "disk.a.sector_size=%s", bad[i]);
		AUTO_PARSED p = set(text);
		cr_expect_eq(p.ret, -EINVAL, "%s", text);
	}
	AUTO_PARSED p = set("disk.a.sector_size=3K");
	cr_expect_str_eq(msg(&p, 0),
			 "--set: disk.a.sector_size: found '3K', expected a "
			 "size such as 4K, 512 to 32K, a power of two");
}

Test(family, a_mac_is_six_bytes_of_one_station)
{
	static const char *const bad[] = {"02:00:00:00:00",
					  "02:00:00:00:00:",
					  "02:00:00:00:00:0",
					  "02:00:00:00:00:001",
					  "02:00:00:00:00:00:",
					  "2:0:0:0:0:1",
					  "02-00-00-00-00-01",
					  "020000000001",
					  "02:00:00:00:00:0g",
					  "02:00:00:00:00:01 ",
					  " 02:00:00:00:00:01",
					  "02:00:00:00:0:001",
					  "02::00:00:00:00:01",
					  "0x2:00:00:00:00:1",
					  "random",
					  ":02:00:00:00:00:01",
					  "00:00:00:00:00:00",
					  "01:00:00:00:00:00",
					  "ff:ff:ff:ff:ff:ff",
					  "33:33:00:00:00:01",
					  "03:00:00:00:00:01",
					  "02:00:00:00:00:\x11\x11"};
	static const uint8_t want[6] = {0xfe, 0xDC, 0xba, 0x98, 0x76, 0x54};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "net.a.mac=%s", bad[i]);
		AUTO_PARSED p = set(text);
		cr_expect_eq(p.ret, -EINVAL, "%s", text);
		cr_expect_eq(p.c.net_count, 0);
	}
	AUTO_PARSED p = set("net.a.mac=FE:dc:BA:98:76:54");
	cr_assert_eq(p.ret, 0);
	cr_expect(p.c.net[0].has_mac);
	cr_expect_arr_eq(p.c.net[0].mac, want, 6);
	round_trip(&p.c, X86);
	cr_expect_eq(config_set(&p.c, "x", "net.a.mac=x", X86, NULL), -EINVAL);
	cr_expect_arr_eq(p.c.net[0].mac, want, 6);
	cr_expect_eq(config_set(&p.c, "x", "net.a.mac=", X86, NULL), 0);
	cr_expect(!p.c.net[0].has_mac, "an empty one unsets it");
	AUTO_PARSED q = set("net.a.mac=33:33:00:00:00:01");
	cr_expect_str_eq(msg(&q, 0),
			 "--set: net.a.mac: found '33:33:00:00:00:01', a "
			 "multicast address, expected the address of one "
			 "station");
}

Test(family, an_interface_has_a_name_that_the_kernel_takes)
{
	static const char *const good[] = {
		"t", "tap0", "tap0123456789ab", "a.b-c_d", "v%i", "@x", "..."};
	static const char *const bad[] = {
		"tap0123456789abc", ".", "..", "a/b", "a b", "a:b", "a\tb",
		"t\xc3\xa4"};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "net.a.tap=%s", good[i]);
		AUTO_PARSED p = set(text);
		cr_expect_eq(p.ret, 0, "%s", text);
		round_trip(&p.c, X86);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "net.a.tap=%s", bad[i]);
		AUTO_PARSED p = set(text);
		cr_expect_eq(p.ret, -EINVAL, "%s", text);
	}
}

Test(family, numbers_of_a_net_do_not_wrap)
{
	static const char *const bad[] = {
		"net.a.fd=-1",
		"net.a.fd=2147483648",
		"net.a.fd=4294967295",
		"net.a.fd=4294967296",
		"net.a.fd=4294967297",
		"net.a.fd=18446744073709551615",
		"net.a.fd=18446744073709551616",
		"net.a.fd=18446744073709551617",
		"net.a.fd=0x3",
		"net.a.fd=1e1",
		"net.a.fd=03",
		"net.a.fd=3 ",
		"net.a.fd=none",
		"net.a.mtu=",
		"net.a.mtu=0",
		"net.a.mtu=67",
		"net.a.mtu=65536",
		"net.a.mtu=4294968796", /* 2^32 + 1500 */
		"net.a.mtu=18446744073709553116",
		"net.a.mtu=-1500",
		"net.a.mtu=0x5dc",
		"net.a.mtu=1e3",
		"net.a.mtu=1K",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_PARSED p = set(bad[i]);

		cr_expect_eq(p.ret, -EINVAL, "%s", bad[i]);
		cr_expect_eq(p.e.count, 1, "%s", bad[i]);
		cr_expect_eq(p.c.net_count, 0, "%s", bad[i]);
	}
	AUTO_PARSED p = set("net.a.fd=2147483647");
	cr_expect_eq(p.c.net[0].fd, INT32_MAX);
	AUTO_PARSED q = set("net.a.fd=0");
	cr_expect_eq(q.c.net[0].fd, 0);
	cr_expect_eq(config_set(&q.c, "x", "net.a.fd=", X86, NULL), 0);
	cr_expect_eq(q.c.net[0].fd, -1, "an empty one unsets it");
}

static void check_says(const char *text, const char *want)
{
	AUTO_PARSED p = parse_as(NULL, "[vm]\nkernel = k\n", X86);

	cr_assert_eq(
		config_parse_text(&p.c, NULL, text, strlen(text), X86, &p.e), 0,
		"%s", msg(&p, 0));
	if (want == NULL) {
		cr_expect_eq(config_check(&p.c, "t", X86, &p.e), 0, "%s: %s",
			     text, msg(&p, 0));
		return;
	}
	cr_expect_eq(config_check(&p.c, "t", X86, &p.e), -EINVAL, "%s", text);
	cr_expect_eq(p.e.count, 1, "%s", text);
	cr_expect_str_eq(msg(&p, 0), want);
}

Test(family, check_compares_disks)
{
	check_says("[disk.a]\n",
		   "t: disk.a.path: not set, expected the disk's file");
	check_says("[disk.a]\npath = x\n[disk.b]\npath = y\n", NULL);
	check_says("[disk.a]\npath = x\n[disk.b]\npath = x\n",
		   "t: disk.b.path: the file of [disk.a] too, expected at most "
		   "one of them without readonly = yes");
	check_says("[disk.a]\npath = x\n[disk.b]\npath = x\nreadonly = yes\n",
		   NULL);
	check_says("[disk.a]\npath = x\nreadonly = yes\n[disk.b]\npath = x\n",
		   NULL);
}

Test(family, check_compares_nets)
{
	check_says("[net.a]\n", "t: net.a.tap: not set, expected tap or fd");
	check_says("[net.a]\ntap = t\n[net.b]\ntap = u\n[net.c]\nfd = 3\n"
		   "[net.d]\nfd = 4\n",
		   NULL);
	check_says("[net.a]\ntap = t\nfd = 0\n",
		   "t: net.a.tap: set beside fd, expected one of the two");
	check_says(
		"[net.a]\ntap = t\n[net.b]\ntap = t\n",
		"t: net.b.tap: the interface of [net.a] too, expected one of "
		"its own");
	check_says(
		"[net.a]\nfd = 3\n[net.b]\nfd = 3\n",
		"t: net.b.tap: the interface of [net.a] too, expected one of "
		"its own");
}

Test(family, check_looks_at_elements_filled_by_hand)
{
	struct config_errors e = {0};
	struct disk_config disk[2] = {
		{.name = (char *)"a", .path = (char *)"x", .sector_size = 513},
		{.name = (char *)"b",
		 .path = (char *)"",
		 .sector_size = 512,
		 .type = (enum disk_type)9},
	};
	struct net_config net[2] = {
		{.name = (char *)"a b", .fd = 3},
		{.name = (char *)"n", .fd = 4, .mtu = 67},
	};
	AUTO_PARSED p = parse("[vm]\nkernel = k\n");

	p.c.disk = disk;
	p.c.disk_count = 2;
	cr_expect_eq(config_check(&p.c, NULL, X86, &e), -EINVAL);
	cr_assert_eq(e.count, 3);
	cr_expect_str_eq(e.msg[0], "config: disk.b.path: found nothing, "
				   "expected a path");
	cr_expect_str_eq(e.msg[1], "config: disk.b.type: found nothing, "
				   "expected file|block");
	cr_expect_str_eq(e.msg[2],
			 "config: disk.a.sector_size: found '513', expected a "
			 "size such as 4K, 512 to 32K, a power of two");
	config_errors_fini(&e);
	disk[1].name = NULL;
	cr_expect_eq(config_check(&p.c, NULL, X86, &e), -EINVAL);
	cr_expect_str_eq(e.msg[0],
			 "config: disk.NAME: the section's name is not set, "
			 "expected 1 to 67 of A-Z a-z 0-9 _ -");
	config_errors_fini(&e);
	p.c.disk = NULL;
	p.c.disk_count = 0;

	p.c.net = net;
	p.c.net_count = 2;
	cr_expect_eq(config_check(&p.c, NULL, X86, &e), -EINVAL);
	cr_expect_not_null(strstr(e.msg[0], "net.NAME: the section's name is "
					    "'a b'"));
	config_errors_fini(&e);
	net[0].name = (char *)"n";
	cr_expect_eq(config_check(&p.c, NULL, X86, &e), -EINVAL);
	cr_assert_eq(e.count, 2);
	cr_expect_str_eq(e.msg[0],
			 "config: net.NAME: found 'n' twice, expected once");
	cr_expect_not_null(strstr(e.msg[1], "net.n.mtu: found '67'"));
	config_errors_fini(&e);
	p.c.net = NULL;
	p.c.net_count = 0;
}

Test(family, a_copy_owns_all_of_it)
{
	AUTO_PARSED p = parse(EVERYTHING);
	struct vm_config copy;

	cr_assert_eq(config_copy(&copy, &p.c), 0);
	cr_expect(same_config(&copy, &p.c));
	cr_expect_neq(copy.disk, p.c.disk);
	cr_expect_neq(copy.disk[0].name, p.c.disk[0].name);
	cr_expect_neq(copy.disk[0].path, p.c.disk[0].path);
	cr_expect_neq(copy.net[0].tap, p.c.net[0].tap);
	config_fini(&copy);
	cr_expect_null(copy.disk);
	cr_expect_eq(copy.disk_count, 0);
	cr_expect_null(copy.net);
	cr_expect_str_eq(p.c.disk[0].path, "/d", "the original is untouched");
}

Test(family, an_empty_section_is_described)
{
	AUTO_PARSED p = parse("[net.a]\n[disk.b]\n[net.c]\n");
	char *text;

	cr_assert_eq(p.ret, 0, "%s", msg(&p, 0));
	round_trip(&p.c, X86);
	text = config_describe(&p.c);
	cr_expect_not_null(strstr(text, "\n[net.a]\n\n[net.c]\n"), "%s", text);
	cr_expect_null(strstr(text, "mtu"), "the tap's is not a number");
	cr_expect_null(strstr(text, "mac"));
	free(text);
}

Test(family, random_sets_survive_the_round_trip)
{
	static const char *const sets[] = {
		"disk.A.path=/pA",
		"disk.A.readonly=yes",
		"disk.A.type=block",
		"disk.A.sector_size=4K",
		"net.A.tap=tapA",
		"net.A.fd=5",
		"net.A.mac=02:00:00:00:00:0A",
		"net.A.mtu=1500",
		"net.A.mac=",
		"net.A.tap=",
	};
	unsigned int seed = 3;

	for (int round = 0; round < 300; round++) {
		AUTO_PARSED p = parse("[vm]\nkernel = /k\n");

		for (int i = 0; i < 20; i++) {
			char text[80], name;

			snprintf(text, sizeof(text), "%s",
				 sets[next_random(&seed) % ARRAY_SIZE(sets)]);
			name = (char)('a' + next_random(&seed) % 6);
			for (char *s = text; *s != '\0'; s++)
				*s = *s == 'A' ? name : *s;
			cr_assert_eq(config_set(&p.c, "x", text, X86, &p.e), 0,
				     "%s: %s", text, msg(&p, 0));
		}
		round_trip(&p.c, X86);
	}
}

Test(family, a_device_of_the_host_is_named_once)
{
	check_says("[passthrough.a]\n",
		   "t: passthrough.a.pci: not set, expected pci, cdev or fd");
	check_says("[passthrough.a]\npci = 0000:00:05.0\nfd = 3\n",
		   "t: passthrough.a.pci: expected one of pci, cdev and fd");
	check_says("[passthrough.a]\npci = 0000:00:05.0\n[passthrough.b]\n"
		   "pci = 0000:00:06.0\n",
		   NULL);
	check_says("[passthrough.b]\ncdev = /dev/vfio/devices/vfio0\n"
		   "[passthrough.c]\nfd = 3\n",
		   NULL);
	check_says("[passthrough.a]\npci = 0000:00:05.0\n[passthrough.b]\n"
		   "fd = 3\n",
		   "t: passthrough.b.pci: expected pci as in [passthrough.a]");
	check_says("[passthrough.a]\nfd = 3\n[passthrough.b]\nfd = 3\n",
		   "t: passthrough.b.pci: the device of [passthrough.a] too");
	check_says("[passthrough.a]\npci = 0000:00:05.0\n[passthrough.b]\n"
		   "pci = 0000:00:05.0\n",
		   "t: passthrough.b.pci: the device of [passthrough.a] too");
}

/* As long as any: [disk.NAME] has the shorter word before it. */
Test(family, a_devices_name_may_be_as_long_as_a_disks)
{
	char name[SECTION_NAME_MAX + 1], text[200], want[200];

	memset(name, 'n', SECTION_NAME_MAX);
	name[SECTION_NAME_MAX] = 0;
	snprintf(text, sizeof(text), "[passthrough.%s]\n", name);
	snprintf(want, sizeof(want),
		 "t: passthrough.%s.pci: not set, expected pci, cdev or fd",
		 name);
	check_says(text, want);
}

Test(family, a_pci_address_is_as_sysfs_names_it)
{
	static const char *const bad[] = {"00:05.0",	  "0000:00:05.8",
					  "0000:00:05",	  "0000:00:05.0 x",
					  "0000:00:0G.0", "../../etc/pass"};
	char text[96];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "[passthrough.a]\npci = %s\n",
			 bad[i]);
		AUTO_PARSED p = parse(text);
		cr_expect_eq(p.ret, -EINVAL, "%s", bad[i]);
		cr_expect_not_null(strstr(msg(&p, 0), "expected a PCI address "
						      "such as 0000:00:05.0"),
				   "%s", msg(&p, 0));
	}
}

/* Devices write RAM past the host's page tables. */
Test(family, what_fills_memory_later_is_refused_beside_a_device)
{
#define DEVICE "[passthrough.a]\nfd = 3\n[restore]\nfrom = s\n"
	check_says(DEVICE "memory = copy\n", NULL);
	check_says(DEVICE "memory = cow\n",
		   "t: restore.memory: found cow, expected copy with "
		   "[passthrough.a]: devices pin all of RAM");
	check_says(DEVICE "memory = uffd\n",
		   "t: restore.memory: found uffd, expected copy with "
		   "[passthrough.a]: devices pin all of RAM");
	check_says(DEVICE "record = yes\n",
		   "t: restore.record: found yes, expected no with "
		   "[passthrough.a]: devices pin all of RAM");
	check_says(DEVICE "verify = lazy\n",
		   "t: restore.verify: found lazy, expected another with "
		   "[passthrough.a]: devices pin all of RAM");
}
