/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - greet, repeat the arguments, end with exit=N of them (or 0).
 */
#include "guest.h"

int guest_main(const struct mote_boot *boot)
{
	uint64_t ram = 0;

	for (uint32_t i = 0; i < boot->ram_count; i++)
		ram += boot->ram[i].size;
	reg_write(boot, MOTE_REG_READY, 1);
	print("hello from a mote guest on ");
	print(guest_arch);
	print(", ");
	print_u64(ram >> 20);
	print(" MiB, arguments: ");
	print(guest_args());
	print("\n");
	return (int)guest_arg_u64("exit", 0);
}
