/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvt.h - the guest side of the Solo5 hvt contract, for our own guests.
 */
#ifndef GUESTS_HVT_H
#define GUESTS_HVT_H

#include <stddef.h>
#include <stdint.h>

#include "base/hvt_abi.h"

/* Written by each guest. */
int hvt_main(const struct hvt_boot_info *bi);

void hvt_call(enum hvt_call nr, const volatile void *arg);
void hvt_exit(int status) __attribute__((noreturn));
/* As a Solo5 program that can't go on: says ABORT, ends with 255. */
void hvt_abort(const char *why) __attribute__((noreturn));

size_t str_len(const char *s);
void say(const char *s);
void say_u64(uint64_t v);
void say_hex(uint64_t v);

/* Is word among the command line's words; the number behind "word="? */
int arg_has(const struct hvt_boot_info *bi, const char *word);
uint64_t arg_u64(const struct hvt_boot_info *bi, const char *word,
		 uint64_t def);

uint64_t hvt_cycles(void);
uint64_t hvt_wall(void);
int hvt_wait_for(uint64_t ns, uint64_t *ready);
int hvt_disk(int write, uint64_t handle, uint64_t off, void *data,
	     uint64_t len);
int hvt_send(uint64_t handle, const void *data, uint64_t len);
int hvt_receive(uint64_t handle, void *data, uint64_t *len);

/* --- notes ---------------------------------------------------------------- */

struct hvt_abi_note {
	uint32_t namesz, descsz, type;
	char name[8];
	struct solo5_abi abi;
};

#define HVT_ABI_NOTE(target_, version_)                                        \
	__attribute__((                                                        \
		section(".note.solo5.abi"), used,                              \
		aligned(4))) static const struct hvt_abi_note hvt_abi_note = { \
		6,                                                             \
		sizeof(struct solo5_abi),                                      \
		SOLO5_NOTE_ABI,                                                \
		"Solo5",                                                       \
		{.target = (target_), .version = (version_)}}

/* HVT_MANIFEST(2, {"storage", SOLO5_BLOCK}, {"service0", SOLO5_NET}) */
#define HVT_MANIFEST(n_, ...)                                                  \
	__attribute__((section(".note.solo5.manifest"), used,                  \
		       aligned(4))) static const struct {                      \
		uint32_t namesz, descsz, type;                                 \
		char name[8];                                                  \
		uint32_t pad;                                                  \
		uint32_t version, entries;                                     \
		struct solo5_mft_entry e[(n_) + 1];                            \
	} __attribute__((packed, aligned(4))) hvt_manifest_note = {            \
		6,                                                             \
		4 + 8 + ((n_) + 1) * sizeof(struct solo5_mft_entry),           \
		SOLO5_NOTE_MANIFEST,                                           \
		"Solo5",                                                       \
		0,                                                             \
		SOLO5_MFT_VERSION,                                             \
		(n_) + 1,                                                      \
		{{.type = SOLO5_RESERVED_FIRST}, __VA_ARGS__}}

#define HVT_BLOCK_NAMED(name_)                                                 \
	{                                                                      \
		.name = name_, .type = SOLO5_BLOCK                             \
	}
#define HVT_NET_NAMED(name_)                                                   \
	{                                                                      \
		.name = name_, .type = SOLO5_NET                               \
	}

#endif
