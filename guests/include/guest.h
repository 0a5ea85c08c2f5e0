/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - the guest side of the mote contract, for our own guests.
 *
 * start.S of the architecture sets up a stack and calls guest_main with
 * the boot page; its return value becomes the exit code.  io.c of the
 * architecture provides reg_read, reg_write and console_write.
 */
#ifndef GUESTS_INCLUDE_GUEST_H
#define GUESTS_INCLUDE_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/guest_abi.h"

/* Every guest defines this. */
int guest_main(const struct mote_boot *boot);

/* lib/ARCH/io.c: registers of the event device, bytes to the console. */
uint32_t reg_read(const struct mote_boot *boot, enum mote_reg reg);
void reg_write(const struct mote_boot *boot, enum mote_reg reg, uint32_t val);
void console_write(const struct mote_boot *boot, const char *s, size_t len);
/* A byte that came from the console, -1: none is there. */
int console_get(const struct mote_boot *boot);
extern const char guest_arch[];

/* lib/guest.c */
void guest_init(const struct mote_boot *boot);
void __attribute__((noreturn)) guest_exit(int code);
void print(const char *s);
void print_u64(uint64_t v);
void print_hex(uint64_t v, int digits);
const char *guest_args(void);

/* "name=NUMBER" among the words of the command line, or def. */
uint64_t guest_arg_u64(const char *name, uint64_t def);
const struct mote_generation *guest_generation(void);

#endif
