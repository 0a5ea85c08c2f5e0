/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aml.h - write ACPI Machine Language into a buffer of fixed size.
 *
 * As fdt.h: the first thing that does not fit sticks and is told at the end,
 * so that a builder reads like the tables.  Threads: any, one writer on one.
 * Source: ACPI 6.5, chapters 20 (AML) and 6.4 (resource descriptors).
 */
#ifndef VMM_ARCH_X86_64_AML_H
#define VMM_ARCH_X86_64_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t size, used;
	bool full; /* sticky: something did not fit */
};

void aml_init(struct aml *a, void *buf, size_t size);

void aml_bytes(struct aml *a, const void *p, size_t len);
void aml_u8(struct aml *a, uint8_t v);
void aml_u16(struct aml *a, uint16_t v);
void aml_u32(struct aml *a, uint32_t v);
void aml_u64(struct aml *a, uint64_t v);

/*
 * Objects with a length: what the begin returns goes to aml_end.  Names are
 * of four characters, "_SB_"; a scope's is absolute.
 */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_method(struct aml *a, const char *name, unsigned int args);
size_t aml_package(struct aml *a, unsigned int elements);
size_t aml_resources(struct aml *a); /* "_CRS" */
void aml_end(struct aml *a, size_t begin);
void aml_resources_end(struct aml *a, size_t begin);

/* Name (name, ...): what follows is its value, or one of these. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_name_integer(struct aml *a, const char *name, uint64_t v);
void aml_name_string(struct aml *a, const char *name, const char *s);
/* "PNP0501" and the like, as the number that it stands for. */
void aml_name_eisa(struct aml *a, const char *name, const char *id);

/* Notify (\first.second, value) */
void aml_notify(struct aml *a, const char *first, const char *second,
		uint8_t value);

/* Resources, between aml_resources and its end. */
void aml_io(struct aml *a, uint16_t port, uint8_t count);
void aml_memory(struct aml *a, uint32_t base, uint32_t size);
void aml_interrupt(struct aml *a, uint32_t gsi); /* edge, high, exclusive */

#endif
