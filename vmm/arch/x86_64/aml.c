/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
	OP_ROOT = 0x5c,
	OP_NOTIFY = 0x86,
};

/* A length is always written in this many bytes, its longest common form. */
#define LENGTH_BYTES 3

void aml_init(struct aml *a, void *buf, size_t size)
{
	*a = (struct aml){.buf = buf, .size = size};
}

void aml_bytes(struct aml *a, const void *p, size_t len)
{
	if (a->full || len > a->size - a->used) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->used, p, len);
	a->used += len;
}

void aml_u8(struct aml *a, uint8_t v)
{
	aml_bytes(a, &v, sizeof(v));
}

void aml_u16(struct aml *a, uint16_t v)
{
	aml_bytes(a, &v, sizeof(v));
}

void aml_u32(struct aml *a, uint32_t v)
{
	aml_bytes(a, &v, sizeof(v));
}

void aml_u64(struct aml *a, uint64_t v)
{
	aml_bytes(a, &v, sizeof(v));
}

/* Where the length goes that aml_end fills in. */
static size_t begin(struct aml *a)
{
	size_t at = a->used;

	aml_bytes(a, "\0\0\0", LENGTH_BYTES);
	return at;
}

void aml_end(struct aml *a, size_t at)
{
	size_t len = a->used - at;

	if (a->full)
		return;
	a->buf[at] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (len & 0xf));
	a->buf[at + 1] = (uint8_t)(len >> 4);
	a->buf[at + 2] = (uint8_t)(len >> 12);
}

size_t aml_scope(struct aml *a, const char *name)
{
	size_t at;

	aml_u8(a, OP_SCOPE);
	at = begin(a);
	aml_u8(a, OP_ROOT);
	aml_bytes(a, name, 4);
	return at;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t at;

	aml_u8(a, OP_EXT);
	aml_u8(a, OP_EXT_DEVICE);
	at = begin(a);
	aml_bytes(a, name, 4);
	return at;
}

size_t aml_method(struct aml *a, const char *name, unsigned int args)
{
	size_t at;

	aml_u8(a, OP_METHOD);
	at = begin(a);
	aml_bytes(a, name, 4);
	aml_u8(a, (uint8_t)(args | 8)); /* serialised */
	return at;
}

size_t aml_package(struct aml *a, unsigned int elements)
{
	size_t at;

	aml_u8(a, OP_PACKAGE);
	at = begin(a);
	aml_u8(a, (uint8_t)elements);
	return at;
}

/* The buffer's size, a word, stands right behind its length. */
size_t aml_resources(struct aml *a)
{
	size_t at;

	aml_name(a, "_CRS");
	aml_u8(a, OP_BUFFER);
	at = begin(a);
	aml_u8(a, OP_WORD);
	aml_u16(a, 0);
	return at;
}

void aml_resources_end(struct aml *a, size_t at)
{
	size_t body = at + LENGTH_BYTES + 3;

	aml_u8(a, 0x79); /* end tag; no checksum */
	aml_u8(a, 0);
	aml_end(a, at);
	if (a->full)
		return;
	a->buf[body - 2] = (uint8_t)(a->used - body);
	a->buf[body - 1] = (uint8_t)((a->used - body) >> 8);
}

void aml_name(struct aml *a, const char *name)
{
	aml_u8(a, OP_NAME);
	aml_bytes(a, name, 4);
}

void aml_integer(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		aml_u8(a, (uint8_t)v); /* ZeroOp, OneOp */
	} else if (v <= UINT8_MAX) {
		aml_u8(a, OP_BYTE);
		aml_u8(a, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		aml_u8(a, OP_WORD);
		aml_u16(a, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		aml_u8(a, OP_DWORD);
		aml_u32(a, (uint32_t)v);
	} else {
		aml_u8(a, OP_QWORD);
		aml_u64(a, v);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_u8(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

void aml_name_integer(struct aml *a, const char *name, uint64_t v)
{
	aml_name(a, name);
	aml_integer(a, v);
}

void aml_name_string(struct aml *a, const char *name, const char *s)
{
	aml_name(a, name);
	aml_string(a, s);
}

static uint32_t hex(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits, four digits: in the order of the wire. */
void aml_name_eisa(struct aml *a, const char *name, const char *id)
{
	uint32_t v = (uint32_t)(id[0] - '@') << 26 |
		     (uint32_t)(id[1] - '@') << 21 |
		     (uint32_t)(id[2] - '@') << 16 | hex(id[3]) << 12 |
		     hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);

	aml_name(a, name);
	aml_u8(a, OP_DWORD);
	aml_u32(a, __builtin_bswap32(v));
}

void aml_notify(struct aml *a, const char *first, const char *second,
		uint8_t value)
{
	aml_u8(a, OP_NOTIFY);
	aml_u8(a, OP_ROOT);
	aml_u8(a, OP_DUAL_NAME);
	aml_bytes(a, first, 4);
	aml_bytes(a, second, 4);
	aml_integer(a, value);
}

void aml_io(struct aml *a, uint16_t port, uint8_t count)
{
	aml_u8(a, 0x47);
	aml_u8(a, 1); /* all 16 bits are decoded */
	aml_u16(a, port);
	aml_u16(a, port);
	aml_u8(a, 1);
	aml_u8(a, count);
}

void aml_memory(struct aml *a, uint32_t base, uint32_t size)
{
	aml_u8(a, 0x86);
	aml_u16(a, 9);
	aml_u8(a, 1); /* to be written too */
	aml_u32(a, base);
	aml_u32(a, size);
}

void aml_interrupt(struct aml *a, uint32_t gsi)
{
	aml_u8(a, 0x89);
	aml_u16(a, 6);
	aml_u8(a, 3); /* a consumer of it, edge-triggered */
	aml_u8(a, 1);
	aml_u32(a, gsi);
}
