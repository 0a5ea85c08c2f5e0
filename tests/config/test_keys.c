/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "config/config_priv.h"
#include "helpers.h"

/* DESIGN.md, section 3. */
static const char *const wanted[] = {
	"vm.name",
	"vm.kernel",
	"vm.initrd",
	"vm.cmdline",
	"vm.protocol",
	"vm.memory",
	"vm.vcpus",
	"vm.max_vcpus",
	"vm.stop_timeout",
	"vm.core",
	"cpu.features",
	"cpu.psci",
	"cpu.sve",
	"cpu.pauth",
	"cpu.hpt_order",
	"memory.shared",
	"memory.lock",
	"memory.dirty_tracking",
	"console.type",
	"console.path",
	"disk.NAME.path",
	"disk.NAME.type",
	"disk.NAME.readonly",
	"disk.NAME.sector_size",
	"disk.NAME.cache",
	"net.NAME.tap",
	"net.NAME.fd",
	"net.NAME.mac",
	"net.NAME.mtu",
	"vsock.cid",
	"vsock.socket",
	"rng.enable",
	"rng.rate_bytes",
	"balloon.",
	"balloon.reporting",
	"passthrough.NAME.pci",
	"passthrough.NAME.cdev",
	"passthrough.NAME.fd",
	"passthrough.NAME.snapshot",
	"passthrough.NAME.diff",
	"snapshot.dir",
	"snapshot.when",
	"snapshot.ready",
	"snapshot.durability",
	"restore.from",
	"restore.memory",
	"restore.verify",
	"restore.hotset",
	"restore.record",
	"restore.resume",
	"restore.allow_shared_identity",
	"sandbox.enable",
	"sandbox.require",
	"sandbox.user",
	"sandbox.group",
	"sandbox.namespaces",
	"sandbox.netns",
	"sandbox.landlock",
	"sandbox.seccomp",
	"limits.cgroup",
	"limits.open_files",
	"limits.file_size",
	"limits.threads",
	"control.socket",
	"control.mode",
	"metrics.file",
	"metrics.format",
	"metrics.interval",
	"log.level",
	"log.file",
};

/* "section.key" of a row, with a real name for a family. */
static const char *full_name(const struct config_key_info *k, char *buf,
			     size_t size, bool instance)
{
	size_t kind = strcspn(k->section, ".");

	if (k->section[kind] == '\0' || !instance)
		snprintf(buf, size, "%s.%s", k->section, k->key);
	else
		snprintf(buf, size, "%.*s.x0.%s", (int)kind, k->section,
			 k->key);
	return buf;
}

Test(keys, every_key_of_the_design_is_in_the_table)
{
	for (size_t w = 0; w < ARRAY_SIZE(wanted); w++) {
		bool found = false;
		char name[80];

		for (size_t i = 0; config_key(i) != NULL; i++)
			found |= strcmp(full_name(config_key(i), name,
						  sizeof(name), false),
					wanted[w]) == 0;
		cr_assert(found, "%s", wanted[w]);
	}
}

Test(keys, no_key_is_in_the_table_twice)
{
	char a[80], b[80];

	for (size_t i = 0; config_key(i) != NULL; i++)
		for (size_t j = 0; j < i; j++)
			cr_assert_str_neq(
				full_name(config_key(i), a, sizeof(a), false),
				full_name(config_key(j), b, sizeof(b), false));
}

Test(keys, sections_are_in_one_piece)
{
	for (size_t i = 1; config_key(i) != NULL; i++)
		for (size_t j = 0; j + 1 < i; j++)
			cr_assert(strcmp(config_key(i)->section,
					 config_key(j)->section) != 0 ||
					  strcmp(config_key(i)->section,
						 config_key(i - 1)->section) ==
						  0,
				  "%s", config_key(i)->section);
}

Test(keys, every_row_is_filled)
{
	size_t i;

	for (i = 0; config_key(i) != NULL; i++) {
		const struct config_key_info *k = config_key(i);

		cr_assert_not_null(k->section);
		cr_assert_not_null(k->key);
		cr_assert_not_null(k->type);
		cr_assert_not_null(k->range);
		cr_assert_not_null(k->def);
		cr_assert_not_null(k->help);
		cr_assert_not_null(k->unit);
		cr_assert_neq(k->help[0], '\0', "%s.%s", k->section, k->key);
		cr_assert_null(strchr(k->help, '\n'));
		cr_assert_leq(strlen(k->help), 60, "%s", k->help);
		cr_assert_neq(k->arch & CONFIG_ARCH_ANY, 0);
		cr_assert(k->key[0] == '\0' || k->type[0] != '\0');
		cr_assert_leq(strlen(k->key), INI_NAME_MAX);
		cr_assert_eq(k->since == NULL, keys_at(i)->kind == KEY_LATER);
	}
	cr_assert_eq(i, keys_count());
	cr_assert_null(keys_at(i));
	cr_assert_null(config_key(i + 1000));
}

/* The architecture that a key is for, this one if it may be. */
static unsigned int arch_of(const struct config_key_info *k)
{
	return k->arch & X86 ? X86 : k->arch & ARM ? ARM : PPC;
}

Test(keys, a_key_of_later_is_refused_by_name)
{
	for (size_t i = 0; config_key(i) != NULL; i++) {
		const struct config_key_info *k = config_key(i);
		char name[80], assign[100], want[200], text[200];
		int line = 2;

		if (k->since != NULL || k->key[0] == '\0')
			continue;
		full_name(k, name, sizeof(name), true);
		snprintf(assign, sizeof(assign), "%s=1", name);
		AUTO_PARSED p = set_as(assign, arch_of(k));
		snprintf(want, sizeof(want),
			 "--set: %s: not in this version yet", name);
		cr_assert_str_eq(msg(&p, 0), want);

		*strrchr(name, '.') = '\0';
		snprintf(text, sizeof(text), "[%s]\n%s = 1\n", name, k->key);
		AUTO_PARSED q = parse_as("t.ini", text, arch_of(k));
		snprintf(want, sizeof(want),
			 "t.ini:%d: %s.%s: not in this version yet", line, name,
			 k->key);
		cr_assert_eq(q.ret, -EINVAL);
		cr_assert_str_eq(msg(&q, q.e.count - 1), want);
	}
}

Test(keys, a_section_of_later_is_refused_even_when_empty)
{
	static const char *const later[] = {"balloon", "vsock"};
	char text[64], want[100];

	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		snprintf(text, sizeof(text), "[%s]\n", later[i]);
		snprintf(want, sizeof(want),
			 "t.ini:1: %s: not in this version yet", later[i]);
		AUTO_PARSED p = parse(text);
		cr_assert_eq(p.e.count, 1);
		cr_assert_str_eq(msg(&p, 0), want);
	}
}

Test(keys, the_section_rng_alone_is_the_device)
{
	AUTO_PARSED none = parse("[vm]\n");
	AUTO_PARSED p = parse("[rng]\n");
	AUTO_PARSED no = parse("[rng]\nenable = no\nrate_bytes = 4K\n");
	AUTO_PARSED set_it = set("rng.enable=yes");
	cleanup_free char *text = config_describe(&p.c);

	cr_expect_not(none.c.rng.enable);
	cr_expect(p.c.rng.enable);
	cr_expect_eq(config_virtio_count(&p.c), 1);
	cr_expect_not_null(strstr(text, "[rng]\nenable = yes\n"), "%s", text);
	cr_expect_not(no.c.rng.enable);
	cr_expect_eq(no.c.rng.rate_bytes, 4096);
	cr_expect_eq(config_virtio_count(&no.c), 0);
	cr_expect(set_it.c.rng.enable);
}

Test(keys, a_key_of_another_architecture_names_it)
{
	AUTO_PARSED a = set_as("cpu.psci=1.0", X86);
	AUTO_PARSED b = set_as("cpu.hpt_order=24", ARM);
	AUTO_PARSED c = set_as("cpu.psci=1.0", PPC);
	AUTO_PARSED d = set_as("cpu.sve=yes", X86);
	AUTO_PARSED e = set_as("vm.protocol=pvh", ARM);
	AUTO_PARSED f = set_as("vm.protocol=hvt", PPC);

	cr_assert_str_eq(msg(&a, 0),
			 "--set: cpu.psci: only for arm64, this is x86_64");
	cr_assert_str_eq(msg(&b, 0),
			 "--set: cpu.hpt_order: only for ppc64le, this is "
			 "arm64");
	cr_assert_str_eq(msg(&c, 0),
			 "--set: cpu.psci: only for arm64, this is ppc64le");
	cr_assert_str_eq(msg(&d, 0),
			 "--set: cpu.sve: only for arm64, this is x86_64");
	cr_assert_str_eq(msg(&e, 0), "--set: vm.protocol: 'pvh' is only for "
				     "x86_64, this is arm64");
	cr_assert_str_eq(msg(&f, 0), "--set: vm.protocol: 'hvt' is only for "
				     "x86_64 and arm64, this is ppc64le");
}

/* What may hold a value, filled with defaults. */
union holder {
	struct vm_config vm;
	struct disk_config disk;
	struct net_config net;
};

static void holder_init(union holder *h, const struct key *k)
{
	memset(h, 0, sizeof(*h));
	cr_assert_eq(section_defaults(h, k->family), 0);
}

/* Of what a default can be, only this has strings. */
static void holder_fini(union holder *h, const struct key *k)
{
	for (size_t i = 0; keys_at(i) != NULL; i++)
		if (keys_at(i)->family == k->family &&
		    value_string(h, keys_at(i)) != NULL)
			free(*value_string(h, keys_at(i)));
}

/* Set the key to text and return what that gives. */
static int set_key(const struct key *k, const char *text)
{
	union holder h;
	struct why why;
	int ret;

	holder_init(&h, k);
	ret = value_set(&h, k, text, NULL, arch_of(&k->info), &why);
	holder_fini(&h, k);
	return ret;
}

Test(keys, a_choice_has_the_words_of_its_type)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		char words[200] = "";

		if (k->kind != KEY_CHOICE)
			continue;
		for (const struct choice *c = k->choices; c->name != NULL;
		     c++) {
			if (words[0] != '\0')
				strcat(words, "|");
			strcat(words, c->name);
			cr_assert_eq(set_key(k, c->name) == 0,
				     !c->later && (c->arch & arch_of(&k->info)),
				     "%s", c->name);
		}
		cr_assert_str_eq(words, k->info.type);
		cr_assert_eq(set_key(k, k->info.type), -EINVAL);
		cr_assert_eq(set_key(k, ""), -EINVAL);
	}
}

Test(keys, words_of_later_are_refused_by_name)
{
	static const char *const later[] = {
		"memory.dirty_tracking=wp",
	};

	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		char want[200];
		int key = (int)strcspn(later[i], "=");
		AUTO_PARSED p = set(later[i]);

		snprintf(want, sizeof(want),
			 "--set: %.*s: '%s': not in this version yet", key,
			 later[i], later[i] + key + 1);
		cr_assert_eq(p.ret, -EINVAL);
		cr_assert_str_eq(msg(&p, 0), want);
	}
}

Test(keys, snapshot_ready_has_four_forms)
{
	static const struct {
		const char *text;
		enum snapshot_ready on;
		const char *words;
		uint64_t ms;
	} good[] = {
		{"mark", READY_MARK, NULL, 0},
		{"idle", READY_IDLE, NULL, 0},
		{"console:up: yes", READY_CONSOLE, "up: yes", 0},
		{"console:after:1s", READY_CONSOLE, "after:1s", 0},
		{"after:2s", READY_AFTER, NULL, 2000},
		{"after:0", READY_AFTER, NULL, 0},
		{"after:60m", READY_AFTER, NULL, 3600000},
	};
	static const char *const bad[] = {
		"",	  "marks",     "console", "console:", "after:",
		"after:", "after:61m", "after:1", "Idle",     "after: 1s"};
	struct config_ready r;

	cr_assert_eq(config_parse_ready(NULL, &r), 0);
	cr_assert_eq(r.on, READY_MARK);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cr_assert_eq(config_parse_ready(good[i].text, &r), 0, "%s",
			     good[i].text);
		cr_expect_eq(r.on, good[i].on, "%s", good[i].text);
		cr_expect_eq(r.ms, good[i].ms, "%s", good[i].text);
		if (good[i].words)
			cr_expect_str_eq(r.text, good[i].words);
		else
			cr_expect_null(r.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(config_parse_ready(bad[i], &r), -EINVAL, "%s",
			     bad[i]);
}

static void set_number(const struct key *k, uint64_t v, int want)
{
	char text[40];

	snprintf(text, sizeof(text),
		 k->kind == KEY_MODE ? "%" PRIo64 : "%" PRIu64, v);
	if (k->kind == KEY_TIME)
		strcat(text, "ms");
	cr_assert_eq(set_key(k, text), want, "%s.%s = %s", k->info.section,
		     k->info.key, text);
}

Test(keys, a_number_is_refused_just_outside_its_range)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);

		if (k->kind != KEY_SIZE && k->kind != KEY_TIME &&
		    k->kind != KEY_COUNT && k->kind != KEY_MODE &&
		    k->kind != KEY_SIZE32)
			continue;
		set_number(k, k->min, 0);
		set_number(k, k->max, 0);
		set_number(k, k->max + 1, -EINVAL);
		set_number(k, k->max + k->step, -EINVAL);
		if (k->min > 0) {
			set_number(k, k->min - 1, -EINVAL);
			set_number(k, k->min - k->step, -EINVAL);
		}
		if (k->step > 1)
			set_number(k, k->min + 1, -EINVAL);
	}
}

Test(keys, a_default_is_a_value_of_its_key)
{
	for (size_t i = 0; keys_at(i) != NULL; i++) {
		const struct key *k = keys_at(i);
		union holder h;
		char buf[64];
		const char *text;

		if (k->kind == KEY_LATER)
			continue;
		holder_init(&h, k);
		text = value_text(&h, k, buf, sizeof(buf));
		if (k->info.def[0] == '\0') {
			cr_assert_null(text, "%s.%s", k->info.section,
				       k->info.key);
		} else {
			cr_assert_eq(set_key(k, k->info.def), 0, "%s",
				     k->info.def);
			cr_assert_str_eq(text, k->info.def);
		}
		holder_fini(&h, k);
	}
}

/* A [section] with the misspelt key is refused, and the key suggested. */
static void check_misspelt(const struct config_key_info *k, const char *typo)
{
	char name[80], text[200], want[200];

	full_name(k, name, sizeof(name), true);
	*strrchr(name, '.') = '\0';
	if (keys_find(name, typo) != NULL)
		return;
	snprintf(text, sizeof(text), "[%s]\n%s = 1\n", name, typo);
	snprintf(want, sizeof(want), "did you mean '%s'?", k->key);
	AUTO_PARSED p = parse_as("t.ini", text, arch_of(k));
	cr_assert_eq(p.ret, -EINVAL);
	cr_assert_not_null(strstr(msg(&p, p.e.count - 1), want), "%s: %s", typo,
			   msg(&p, p.e.count - 1));
}

Test(keys, a_misspelt_key_is_recognised)
{
	for (size_t i = 0; config_key(i) != NULL; i++) {
		const struct config_key_info *k = config_key(i);
		size_t len = strlen(k->key);
		char typo[64];

		if (len < 5)
			continue;
		for (size_t at = 0; at < len; at++) {
			/* One letter left out, doubled, or two swapped. */
			snprintf(typo, sizeof(typo), "%.*s%s", (int)at, k->key,
				 k->key + at + 1);
			check_misspelt(k, typo);
			snprintf(typo, sizeof(typo), "%.*s%s", (int)at + 1,
				 k->key, k->key + at);
			check_misspelt(k, typo);
			snprintf(typo, sizeof(typo), "%s", k->key);
			if (at + 1 < len && typo[at] != typo[at + 1]) {
				typo[at] = k->key[at + 1];
				typo[at + 1] = k->key[at];
				check_misspelt(k, typo);
			}
		}
	}
}

Test(keys, an_unknown_name_lists_what_there_is)
{
	AUTO_PARSED p = parse("[quux]\n");
	AUTO_PARSED q = parse("[log]\nquux = 1\n");
	AUTO_PARSED r = parse("[cpu]\nmemory = 1M\n");
	AUTO_PARSED s = parse("[disk]\n");
	AUTO_PARSED t = parse("[vm.a]\n");
	AUTO_PARSED u = parse("[disk.a.b]\n");

	cr_assert_not_null(strstr(msg(&p, 0), "expected vm, cpu, memory, "));
	cr_assert_not_null(strstr(msg(&p, 0), ", metrics or log"));
	cr_assert_str_eq(msg(&q, 0), "t.ini:2: log.quux: no such key, expected "
				     "level, file or format");
	cr_assert_str_eq(msg(&r, 0), "t.ini:2: cpu.memory: no such key, "
				     "'memory' belongs to [vm]");
	cr_assert_str_eq(msg(&s, 0), "t.ini:1: disk: section has no name, "
				     "expected [disk.NAME]");
	cr_assert_str_eq(msg(&t, 0), "t.ini:1: vm.a: no such section, did you "
				     "mean [vm]?");
	cr_assert_str_eq(msg(&u, 0), "t.ini:1: disk.a.b: no such section, did "
				     "you mean [disk.NAME]?");
}
