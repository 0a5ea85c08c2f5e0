/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/inspect.h"

#include <string.h>

#include "snapshot/snapshot.h"

#define PCI_CONFIG_SIZE 256 /* devices/pci/root.h */
#define MSIX_ENTRY	16

#define ARM64_VCPU     "arm64-vcpu"
#define ARM64_PSCI     UINT64_C(0x6030000000140000) /* KVM_REG_ARM_PSCI_VERSION */
#define REG_SIZE_SHIFT 52
#define REG_SIZE_MASK  0xf

/* MAJOR << 16 | MINOR of an arm64 guest's first vCPU; 0: it has none. */
static uint32_t psci_of(const struct snapshot *s)
{
	struct snap_section sec;

	if (!s->state || !snap_section_find(&s->reader, ARM64_VCPU, 0, &sec))
		return 0;
	for (uint32_t n = snap_get_u32(&sec); n > 0 && !sec.error; n--) {
		uint64_t id = snap_get_u64(&sec);

		if (id == ARM64_PSCI)
			return (uint32_t)snap_get_u64(&sec);
		snap_get_raw(&sec, (size_t)1 << (id >> REG_SIZE_SHIFT &
						 REG_SIZE_MASK));
	}
	return 0;
}

/* As root_save of devices/pci and function_save of devices/vfio write it. */
bool inspect_device(const struct snapshot *s, struct snap_section *sec,
		    uint32_t *n, struct inspect_device *d)
{
	uint8_t config[PCI_CONFIG_SIZE];
	uint64_t vectors;

	if (*n == 0) {
		if (!s->state || !snap_section_find(&s->reader, "pci", 0, sec))
			return false;
		*n = snap_get_u32(sec) + 1;
	}
	if (*n <= 1 || sec->error)
		return false;
	--*n;
	memset(d, 0, sizeof(*d));
	snap_get_bytes(sec, d->name, snap_get_u8(sec));
	d->state = snap_get_u8(sec);
	if (d->state) {
		vectors = snap_get_u32(sec);
		snap_get_bytes(sec, config, sizeof(config));
		snap_get_raw(sec, vectors * MSIX_ENTRY);
		d->vendor = (uint16_t)(config[0] | config[1] << 8);
		d->device = (uint16_t)(config[2] | config[3] << 8);
		d->bytes = snap_get_u64(sec);
		snap_get_raw(sec, d->bytes);
	}
	return !sec->error;
}

static void devices_text(FILE *f, const struct snapshot *s)
{
	struct snap_section sec;
	struct inspect_device d;
	uint32_t n = 0;

	while (inspect_device(s, &sec, &n, &d))
		if (d.state)
			fprintf(f,
				"passthrough.%s = PCI device %04x:%04x, %llu "
				"bytes of state\n",
				d.name, d.vendor, d.device,
				(unsigned long long)d.bytes);
		else
			fprintf(f,
				"passthrough.%s = a device, without its "
				"state\n",
				d.name);
}

static void hpt_text(FILE *f, const struct layers *l)
{
	if (!l->hpt)
		return;
	fprintf(f,
		"hashed page table = order %u, %llu entries, %llu valid, %llu "
		"bolted",
		l->hpt_order, (unsigned long long)l->hpt_entries,
		(unsigned long long)l->hpt_valid,
		(unsigned long long)l->hpt_bolted);
	if (l->hpt_changes)
		fprintf(f, ", %llu changed since the parent",
			(unsigned long long)l->hpt_changed);
	fputc('\n', f);
}

static void hpt_json(FILE *f, const struct layers *l)
{
	if (!l->hpt)
		return;
	fprintf(f,
		",\"hpt\":{\"order\":%u,\"entries\":%llu,\"valid\":%llu,"
		"\"bolted\":%llu,\"changed\":",
		l->hpt_order, (unsigned long long)l->hpt_entries,
		(unsigned long long)l->hpt_valid,
		(unsigned long long)l->hpt_bolted);
	if (l->hpt_changes)
		fprintf(f, "%llu}", (unsigned long long)l->hpt_changed);
	else
		fprintf(f, "null}");
}

void inspect_text(FILE *f, const struct snapshot *s)
{
	const struct manifest *m = &s->manifest;
	uint32_t psci = psci_of(s);

	fprintf(f,
		"architecture = %s\ncpu = %s\npage-size = %u\nvcpus = %u\n"
		"memory = %llu\nmemory file = %llu\n"
		"clone identity = %s\nparent = %s\ndepth = %u\n",
		m->arch, m->cpu, m->page_size, m->vcpus,
		(unsigned long long)s->ram.ram,
		(unsigned long long)m->memory_length, m->identity,
		m->is_diff ? m->parent : "none", s->depth);
	for (int i = 0; s->state && i < s->reader.count; i++) {
		const struct snap_section *sec = &s->reader.section[i];

		fprintf(f, "section %s[%u] = version %u, %zu bytes%s\n",
			sec->name, sec->instance, sec->version, sec->len,
			sec->flags & SNAP_REQUIRED ? ", required" : "");
	}
	devices_text(f, s);
	hpt_text(f, &s->layers);
	if (psci)
		fprintf(f, "PSCI = %u.%u\n", psci >> 16, psci & 0xffff);
}

/* Names and models are printable ASCII without quotes or they are "?". */
static const char *json_safe(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return "?";
	return s;
}

static void devices_json(FILE *f, const struct snapshot *s)
{
	const char *open = ",\"passthrough\":[";
	struct snap_section sec;
	struct inspect_device d;
	uint32_t n = 0;

	while (inspect_device(s, &sec, &n, &d)) {
		fprintf(f, "%s{\"name\":\"%s\",", open, json_safe(d.name));
		if (d.state)
			fprintf(f, "\"id\":\"%04x:%04x\",\"state\":%llu}",
				d.vendor, d.device,
				(unsigned long long)d.bytes);
		else
			fprintf(f, "\"id\":null,\"state\":null}");
		open = ",";
	}
	if (open[1] == '\0')
		fputc(']', f);
}

void inspect_json(FILE *f, const struct snapshot *s)
{
	const struct manifest *m = &s->manifest;
	const char *quote = m->is_diff ? "\"" : "";
	uint32_t psci = psci_of(s);

	fprintf(f,
		"{\"architecture\":\"%s\",\"cpu\":\"%s\",\"page_size\":%u,"
		"\"vcpus\":%u,\"memory\":%llu,\"memory_file\":%llu,"
		"\"clone_identity\":\"%s\","
		"\"parent\":%s%s%s,\"depth\":%u,\"sections\":[",
		json_safe(m->arch), json_safe(m->cpu), m->page_size, m->vcpus,
		(unsigned long long)s->ram.ram,
		(unsigned long long)m->memory_length, json_safe(m->identity),
		quote, m->is_diff ? json_safe(m->parent) : "null", quote,
		s->depth);
	for (int i = 0; s->state && i < s->reader.count; i++) {
		const struct snap_section *sec = &s->reader.section[i];

		fprintf(f,
			"%s{\"name\":\"%s\",\"instance\":%u,\"version\":%u,"
			"\"length\":%zu,\"required\":%s}",
			i ? "," : "", json_safe(sec->name), sec->instance,
			sec->version, sec->len,
			sec->flags & SNAP_REQUIRED ? "true" : "false");
	}
	fprintf(f, "]");
	devices_json(f, s);
	hpt_json(f, &s->layers);
	if (psci)
		fprintf(f, ",\"psci\":\"%u.%u\"", psci >> 16, psci & 0xffff);
	fprintf(f, "}\n");
}
