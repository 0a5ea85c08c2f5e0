/* SPDX-License-Identifier: Apache-2.0 */
/*
 * psci.c - arm64: say what version the firmware (KVM) claims to have.
 *
 * Arguments: off=1 ends by SYSTEM_OFF, fault=1 by an undefined instruction,
 * pair=1 by an access that KVM can't decode, else exit=N (0) is the code.
 * Source: ARM DEN 0022, 5.1.1 PSCI_VERSION and 5.1.9 SYSTEM_OFF; what a
 * call clobbers: ARM DEN 0028 (SMCCC), 2.6.
 */
#include "guest.h"

#define PSCI_VERSION	0x84000000u
#define PSCI_SYSTEM_OFF 0x84000008u

static uint32_t call(uint32_t function)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = 0;
	register uint64_t x2 __asm__("x2") = 0;
	register uint64_t x3 __asm__("x3") = 0;

	/* SMCCC 1.0 allows all of x4 to x17 to change, too. */
	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			   "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return (uint32_t)x0;
}

int guest_main(const struct mote_boot *boot)
{
	uint32_t version = call(PSCI_VERSION);

	print("psci ");
	print_u64(version >> 16);
	print(".");
	print_u64(version & 0xffff);
	print("\n");
	reg_write(boot, MOTE_REG_READY, 1);
	if (guest_arg_u64("off", 0))
		call(PSCI_SYSTEM_OFF);
	if (guest_arg_u64("fault", 0))
		__asm__ volatile("udf #0");
	if (guest_arg_u64("pair", 0))
		__asm__ volatile("stp wzr, wzr, [%0]"
				 :
				 : "r"(boot->event_base)
				 : "memory");
	return (int)guest_arg_u64("exit", 0);
}
