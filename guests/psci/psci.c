/* SPDX-License-Identifier: Apache-2.0 */
/*
 * psci.c - arm64: say what version the firmware (KVM) claims to have.
 *
 * Arguments: calls=1 tries the calls of calls.c, clone=1 stops there while the
 * second vCPU is off until we are a clone; off=1 ends by SYSTEM_OFF, off2=1 by
 * SYSTEM_OFF2, reset=1 by SYSTEM_RESET, fault=1 by an undefined instruction,
 * pair=1 by an access that KVM can't decode, else exit=N (0) is the code.
 * Source: ARM DEN 0022, 5.
 */
#include "psci.h"
#include "guest_arm64.h"

/* Off, or why not: SYSTEM_OFF2 came with PSCI 1.3. */
static void off2(void)
{
	if (psci_call(PSCI_FEATURES, PSCI_SYSTEM_OFF2, 0, 0) < 0) {
		print("off2: not supported\n");
		return;
	}
	psci_call(PSCI_SYSTEM_OFF2, PSCI_HIBERNATE_OFF, 0, 0);
	print("off2: came back\n");
}

int guest_main(const struct mote_boot *boot)
{
	uint32_t version = (uint32_t)psci_call(PSCI_VERSION, 0, 0, 0);

	print("psci ");
	print_u64(version >> 16);
	print(".");
	print_u64(version & 0xffff);
	print("\n");
	reg_write(boot, MOTE_REG_READY, 1);
	if (guest_arg_u64("calls", 0))
		psci_try_calls(boot, version);
	if (guest_arg_u64("off", 0))
		psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
	if (guest_arg_u64("off2", 0))
		off2();
	if (guest_arg_u64("reset", 0))
		psci_call(PSCI_SYSTEM_RESET, 0, 0, 0);
	if (guest_arg_u64("fault", 0))
		__asm__ volatile("udf #0");
	if (guest_arg_u64("pair", 0))
		__asm__ volatile("stp wzr, wzr, [%0]"
				 :
				 : "r"(boot->event_base)
				 : "memory");
	return (int)guest_arg_u64("exit", 0);
}
