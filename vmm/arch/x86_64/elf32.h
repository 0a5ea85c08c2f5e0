/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf32.h - a 32-bit ELF image for the 386, as many PVH and Multiboot kernels
 * are, read into the form of a 64-bit one.  Source and threads: elf.h.
 */
#ifndef VMM_ARCH_X86_64_ELF32_H
#define VMM_ARCH_X86_64_ELF32_H

struct elf_file;
struct mote_err;

/* 1: it is one, and sound; 0: it is none; or an error (class 65). */
int elf32_open(struct elf_file *f, int fd, struct mote_err *err);

#endif
