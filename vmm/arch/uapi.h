/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uapi.h - a trap of the kernel's interfaces, asked for real.
 *
 * Each trap is one function that tries the thing and answers once; what it
 * needs and can't have here is "absent".  doctor_uapi.c has those that are
 * the same everywhere, arch/$(ARCH)/kvm_uapi.c the others.  Threads: any;
 * nothing is left behind.
 */
#ifndef VMM_ARCH_UAPI_H
#define VMM_ARCH_UAPI_H

#include <stddef.h>
#include <stdint.h>

enum uapi_verdict {
	UAPI_ABSENT, /* can't be asked here; the detail says why */
	UAPI_AS_EXPECTED,
	UAPI_DIFFERS, /* the detail says what was seen */
};

struct uapi_answer {
	enum uapi_verdict verdict;
	char detail[200];
};

struct uapi_trap {
	const char *name; /* what is expected, as a sentence */
	/* kvm_fd is /dev/kvm, or -1 for a trap that is not KVM's. */
	void (*ask)(int kvm_fd, struct uapi_answer *a);
	int needs_kvm;
};

void uapi_answer(struct uapi_answer *a, enum uapi_verdict verdict,
		 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As expected when got is want (0, a count or -errno), else it differs. */
void uapi_expect(struct uapi_answer *a, const char *what, int got, int want);

/* --- of one architecture ---------------------------------------------------
 */

const struct uapi_trap *arch_uapi_traps(size_t *count);

/*
 * A guest for the neutral traps, position-independent machine code for its
 * entry as arch_vcpu_boot makes it: one word each is written to
 * arch_image_base() + 64 KiB * 1, 3 and 6, then one exit to user space,
 * then an endless loop.
 */
const void *arch_uapi_guest(size_t *size);

#endif
